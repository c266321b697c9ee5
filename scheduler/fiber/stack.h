/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_STACK_H
#define HILO_SCHEDULER_FIBER_STACK_H

/*
 * stack.h - fibers with their stacks: taken from and put back to a cache that lives in a loop, which
 * exchanges batches with one pool per size for the whole process.
 *
 *	loop:  head (up to 32, newest first)  reserve (a batch)  cold (slots without a page)
 *	              |  ^                          |  ^               |
 *	pool:      batches of warm fibers, newest first       slabs with cold slots, raw ones
 *
 * Taking and putting is a push and a pop on head. A stack that was used stays as it is, with its pages,
 * for the next one to use. Pages go back to the system in bulk only (trim.c).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/compiler.h"
#include "scheduler/fiber/fiber.h"

/* The numbers are those of enum hilo_stack_class, which has 0 for the default. */
enum {
	STACK_CLASS_16K = 1,
	STACK_CLASS_64K = 2,
	STACK_CLASS_256K = 3,
	STACK_CLASS_1M = 4,
	STACK_CLASS_8M = 5,
	STACK_CLASSES = 5
};

/* Fibers that move between a cache and the pool at a time. */
#define STACK_BATCH 32

struct slab;

/* What a loop holds of one class. Zero is empty. */
struct stack_bin {
	struct fiber *head;
	unsigned count;
	struct fiber *reserve;
	struct slab *slab; /* of the cold slots */
	uint64_t cold;
	unsigned made; /* of cold slots since the cache was drained; counted up to a batch */
};

/* [owner] Everywhere. Zero is empty. */
struct stack_cache {
	struct stack_bin bin[STACK_CLASSES];
};

/* The parts of get and put that are not worth inlining. */
struct fiber *hilo__stack_refill(struct stack_bin *bin, unsigned class);
void hilo__stack_spill(struct stack_bin *bin, unsigned class);

/*
 * [any] Look whether @fiber, whose stack has no guard, has written below its end; if so, report it
 * as hilo__overflow_install's handler does, and abort.
 */
void hilo__stack_check(struct fiber *fiber);

/*
 * [owner] A fiber that nobody runs on, to be restarted. NULL: no memory. What the last user left in
 * @task and @wait is still there.
 */
static inline struct fiber *hilo__fiber_get(struct stack_cache *cache, unsigned class)
{
	struct stack_bin *bin = &cache->bin[class - 1];
	struct fiber *fiber = bin->head;

	if (HILO__UNLIKELY(!fiber))
		return hilo__stack_refill(bin, class);
	bin->head = fiber->next;
	bin->count--;
	return fiber;
}

/*
 * [owner] Put @fiber back. It may still be the running one, if it switches away before anything else
 * is taken from @cache, and the cache is not drained before that.
 */
static inline void hilo__fiber_put(struct stack_cache *cache, struct fiber *fiber)
{
	unsigned class = fiber->class;
	struct stack_bin *bin = &cache->bin[class - 1];

	if (HILO__UNLIKELY(fiber->unguarded))
		hilo__stack_check(fiber);
	if (HILO__UNLIKELY(bin->count == STACK_BATCH))
		hilo__stack_spill(bin, class);
	fiber->next = bin->head;
	bin->head = fiber;
	bin->count++;
}

/* [owner] Give everything in @cache to the pools; it is empty afterwards and can go on being used. */
void hilo__stack_cache_drain(struct stack_cache *cache);

/*
 * [any] Give pages back: of those stacks that were in the pools ever since the last call. Meant to be
 * called about once a second while something runs. Returns how many stacks. 0 too while another
 * thread does the same.
 */
size_t hilo__stack_trim(void);

/*
 * [any] The same in small steps, at its own pace: true if it has given some back and there may be
 * more, false when nothing is to be done at @now, which is nearly always. For workers about to sleep.
 */
bool hilo__stack_trim_some(int64_t now);

/* [any] When somebody should call hilo__stack_trim_some; INT64_MAX: not worth waking up for. */
int64_t hilo__stack_trim_due(void);

/* [any] Give back the pages of all stacks in the pools. Returns how many stacks. */
size_t hilo__stack_release(void);

/* Figures of one class, each true at some moment; for statistics only. */
struct stack_stats {
	size_t reserved;  /* slots in the reserved address space */
	size_t prepared;  /* slots that were made usable; they stay so */
	size_t unguarded; /* of these, without a guard of their own */
	size_t warm;	  /* unused with their pages, in the pool; those in caches are not counted */
	size_t cold;	  /* unused without, in the pool */
};

/* [any] Read the figures of @class; of all classes together for 0. */
void hilo__stack_get_stats(unsigned class, struct stack_stats *ret);

/* Where an address lies. */
struct stack_info {
	unsigned class;
	bool in_guard; /* in the lowest part of the slot, guarded or not */
	bool guarded;  /* the slot has a guard of its own */
	void *slot;    /* lowest address of the slot, guard included */
	size_t slot_size;
	struct fiber *fiber; /* NULL: the slot was never used, or not since its pages went */
};

/* [any] True and *@ret if @addr lies in one of the stacks or guards. Async-signal-safe. */
bool hilo__stack_find(const void *addr, struct stack_info *ret);

/* [any] Bytes of the stack of @class, as its name says: 65536 for STACK_CLASS_64K. */
size_t hilo__stack_class_size(unsigned class);

/*
 * [any] The census: how deep @fiber's stack was ever used since its pages last went, by this task or
 * earlier ones, in bytes, rounded up to pages. Asks the kernel which pages exist, so it costs nothing
 * until it is called. 0 when the kernel does not say.
 */
size_t hilo__stack_high_water(const struct fiber *fiber);

/*
 * The report of overflows.
 *
 * The task layer supplies hilo__overflow_describe before the first worker starts: it writes who
 * @fiber's task is, like "task NAME (#id), entry FUNCTION", into @buf; hilo__overflow_running says
 * which fiber the calling thread runs, NULL if none or unknown, so that an overflow that leaps over the
 * guard is still recognised. Both are called in a signal handler, and may be left NULL.
 */
extern void (*hilo__overflow_describe)(struct fiber *fiber, char *buf, size_t size);
extern struct fiber *(*hilo__overflow_running)(void);

/*
 * [any] Handle SIGSEGV and SIGBUS from now on, for the whole process, once: a fault in the guard of a
 * stack of ours ends in a report and abort, any other goes to the handler that was there before.
 * 0 or a negative errno.
 */
int hilo__overflow_install(void);

/*
 * [thread] Give the calling thread a signal stack, if it has none yet, and take it back. Needed by
 * each thread that runs fibers: a handler cannot run on the stack that overflowed. 0 or -ENOMEM.
 */
int hilo__overflow_thread_init(void);
void hilo__overflow_thread_fini(void);

#ifdef HILO_TESTING
/* Makes the machine look like one with less; to be changed while no other thread asks for stacks. */
struct stack_test {
	bool no_guard_install; /* the kernel is older than 6.13 */
	long mprotect_guards; /* at most so many guards of the older kind, 0: as the system allows, -1: none */
	size_t region_slots;  /* reserve so many, 0: as usual */
	int64_t trim_period;  /* in ns, 0: as usual, -1: workers do not trim */
};
extern struct stack_test hilo__stack_test;
#endif

#endif /* HILO_SCHEDULER_FIBER_STACK_H */
