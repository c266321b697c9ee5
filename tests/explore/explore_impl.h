/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_EXPLORE_IMPL_H
#define HILO_TESTS_EXPLORE_EXPLORE_IMPL_H

/* explore_impl.h - what the explorer's own files share. README.md tells which file does what. */
#include "tests/explore/explore.h"

/*
 * A view: for each location the oldest message that its owner may still read, and before those, for
 * each thread, the clock up to which its accesses happened before.
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
	const void *old_read; /* where its last operation read a value, not the newest one, ... */
	uint64_t old_value;   /* ... this one, ... */
	unsigned old_newest;  /* ... and how many messages were there at that time: R5 */
	enum thread_status status;
	bool token;	   /* unparked before it parked */
	bool fresh;	   /* scheduled, and nothing done since */
	bool timed;	   /* parked with a limit in time */
	bool glued;	   /* its last operation commutes to the right: no preemption after it */
	const void *futex; /* the word on which it sleeps */
	void *stack;	   /* saved stack pointer */
};

/* The execution that is on. */
struct run {
	const struct explore_model *model;
	int bound, preemptions;
	unsigned steps;
};

extern struct thread explore_threads[EXPLORE_THREADS];
extern unsigned explore_current;
extern struct run explore_run;
extern bool explore_live;    /* an execution is on; outside of it accesses go straight to memory */
extern bool explore_tracing; /* the failing execution is run again */

static inline struct thread *explore_thread(void)
{
	return &explore_threads[explore_current];
}

/* main.c: the command line. */
struct options {
	const char *model;
	double seconds;
	int bound; /* -1: the model's */
	bool merge, commute, retry, trace, list, short_ones, long_ones;
};

extern struct options explore_options;

/* search.c */
/* Part of a state (R4): a kind for each place in an operation where a choice is made. */
enum choice_kind {
	CHOICE_START,
	CHOICE_THREAD, /* who does the next operation */
	CHOICE_READ,   /* inside of an operation: which message */
	CHOICE_NEWS,   /* after a pause: where something newer was seen */
	CHOICE_MODEL,  /* what the model, or the kernel, wants */
};

enum result {
	RESULT_COMPLETE = 0, /* and nothing is wrong; these are exit statuses */
	RESULT_FAILED = 1,
	RESULT_INCOMPLETE = 2, /* out of time */
};

struct findings {
	enum result result;
	uint64_t executions, runs;
	uint64_t ends;	    /* different states in which executions ended ... */
	bool ends_are_more; /* ... or more: the table is full */
	int preemptions;    /* of the execution that failed */
	const char *failure;
	double seconds;
};

/* All executions of @model with at most @bound preemptions. */
void search_run(const struct explore_model *model, int bound, struct findings *ret);
/* The last execution again, which has failed, with a trace. */
void search_repeat(void);
/* One of @n ways to go on. */
unsigned search_choose(unsigned n, enum choice_kind kind);

/* How the execution ends: as a complete one, as one that stands for nothing new, to search again. */
void explore_complete(void) __attribute__((noreturn));
void explore_abandon(void) __attribute__((noreturn));
void explore_restart(void) __attribute__((noreturn));

/* threads.c */
void threads_reset(void); /* before each execution */
uint64_t threads_hash(uint64_t h);
/* Run from @first on; returns when the execution has ended. */
void threads_run(unsigned first);
/* Leave the running thread for good; threads_run returns. */
void threads_leave(void) __attribute__((noreturn));
/* The operation at hand may be preceded by a preemption, unless it commutes to the left. */
void explore_point(bool moves_left);
void explore_trace(const struct explore_site *site, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* memory.c */
#define NOBODY 0xff
#define SEVERAL 0xfe

struct message {
	struct view view;
	uint64_t value;
};

struct location {
	const void *address;
	const struct explore_site *site; /* the first access: a name for it */
	size_t size;
	uint64_t execution; /* in which the rest was reset */
	unsigned count;	    /* of messages */
	unsigned sc;	    /* newest message known to a seq_cst operation */
	uint8_t writer;	    /* who has ever tried to write it: a thread, NOBODY, SEVERAL */
	bool retired;
	uint8_t access[EXPLORE_THREADS]; /* clock of each thread's last access */
	struct message *messages;
};

void memory_forget(void); /* before a search */
void memory_reset(void);  /* before each execution */
uint64_t memory_hash(uint64_t h);
bool memory_is_retired(const void *p);
bool memory_has_news(const struct thread *thread);
bool memory_pauses_in_vain(const struct thread *thread);
void memory_look_again(struct thread *thread);
const char *memory_looked_at(const struct thread *thread);
uint64_t memory_futex(const void *word, size_t size);
struct location *memory_location(const void *p, size_t size, const struct explore_site *site);
void memory_touch(struct location *loc, const struct explore_site *site);
void memory_claim(struct location *loc);
bool memory_is_quiet(const struct location *loc);
unsigned memory_oldest(const struct location *loc, enum explore_order order);
uint64_t memory_read(struct location *loc, unsigned index, enum explore_order order);
void memory_append(struct location *loc, uint64_t value, enum explore_order order,
		   const struct view *carried);

/* race.c */
void race_forget(void);
void race_reset(void);
uint64_t race_hash(void);
void race_access(const void *p, bool write, const struct explore_site *site, const void *pc);
void race_retire(uintptr_t from, uintptr_t to);

/* table.c */
struct known {
	uint64_t state; /* 0: none */
	uint64_t executions;
};

struct table {
	struct known *slots;
	size_t size, used;
};

struct known *table_find(const struct table *table, uint64_t state);
void table_clear(struct table *table);
void table_add(struct table *table, uint64_t state, uint64_t executions);
bool table_is_full(const struct table *table);

/* fiber.c */
void fiber_reset(unsigned thread, void (*entry)(void));
void fiber_switch(void **save, void *to);
void fiber_catch_crashes(void); /* once: a crash of a model thread is a failure of its execution */

/* One step of a hash of 64 bits. */
static inline uint64_t hash_mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ (h >> 32);
}

#endif /* HILO_TESTS_EXPLORE_EXPLORE_IMPL_H */
