/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_EXPLORE_IMPL_H
#define HILO_TESTS_EXPLORE_EXPLORE_IMPL_H

/* explore_impl.h - what the explorer's own files share: search.c, memory.c, fiber.c. */
#include "tests/explore/explore.h"

/*
 * A view: for each location the oldest message that its owner may still read, and before those, for
 * each thread, the clock up to which its plain accesses happened before.
 */
#define VIEW_SIZE 96
#define LOCATIONS (VIEW_SIZE - EXPLORE_THREADS)
#define HISTORY 48
#define CLOCK_MAX 250

struct view {
	_Alignas(32) uint8_t at[VIEW_SIZE];
};

enum thread_status {
	THREAD_READY,
	THREAD_PARKED,
	THREAD_SPINNING, /* paused: goes on when something it looked at has a newer value */
	THREAD_DONE,
};

/* One model thread, reset for each execution. */
struct thread {
	struct view view;
	uint64_t hash;	      /* of all that it has read: its course so far */
	uint64_t looked;      /* locations read since the last pause */
	const void *old_read; /* where its last operation read an old value, ... */
	unsigned old_newest;  /* ... and the newest message there at that time */
	enum thread_status status;
	bool token;	   /* unparked before it parked */
	bool fresh;	   /* scheduled, and nothing done since */
	bool timed;	   /* parked with a limit in time */
	bool glued;	   /* its last operation commutes to the right: no preemption after it */
	const void *futex; /* the word on which it sleeps */
	void *stack;	   /* saved stack pointer */
};

extern struct thread explore_threads[EXPLORE_THREADS];
extern unsigned explore_current;
extern bool explore_live;    /* an execution is on; outside of it accesses go straight to memory */
extern bool explore_tracing; /* the failing execution is run again */

/* search.c: the operation at hand may be preceded by a preemption, unless it commutes to the left. */
void explore_point(bool moves_left);
/* search.c: one of @n ways to go on. */
unsigned explore_branch(unsigned n);
/* search.c: this execution stands for nothing that another one does not. */
void explore_abandon(void) __attribute__((noreturn));
/* search.c: whether R5 is on. */
bool explore_skips_retries(void);
/* search.c: @location turns out to have several writers, so the search begins again. */
void explore_restart(void) __attribute__((noreturn));
void explore_trace(const struct explore_site *site, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* memory.c */
void memory_forget(void); /* before a search */
void memory_reset(void);  /* before each execution */
uint64_t memory_hash(uint64_t h, unsigned threads);
bool memory_has_news(const struct thread *thread);
void memory_plain(const void *p, bool write, const struct explore_site *site, const void *pc);
uint64_t memory_newest(const void *p, size_t size);
void memory_pause(const struct thread *thread);
void memory_look_again(struct thread *thread);
const char *memory_looked_at(const struct thread *thread);

/* fiber.c */
void fiber_reset(unsigned thread, void (*entry)(void));
void fiber_switch(void **save, void *to);

/* One step of a hash of 64 bits. */
static inline uint64_t hash_mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ (h >> 32);
}

#endif /* HILO_TESTS_EXPLORE_EXPLORE_IMPL_H */
