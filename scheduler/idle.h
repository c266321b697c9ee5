/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_IDLE_H
#define HILO_SCHEDULER_IDLE_H

/*
 * idle.h - bookkeeping of the workers that have nothing to do: who sleeps, who searches, who watches.
 * How to sleep is the poller's business; whom to wake is decided here.
 *
 * Besides the workers, one a core, there are spare ones (spare.h). One of them watches too, every 5 ms
 * while anybody runs, but takes work only from a worker whose thread has been held for about that long:
 * then the kernel shares the core between the two. So a task that hogs its thread delays no other for
 * more than some 10 ms even when it has the only worker, or all of them have such tasks.
 *
 * Three roles of an idle worker:
 *	searcher  awake, looks for work at the others; at most one in a runtime
 *	watcher   asleep, but for 1 ms at most while some worker runs; at most one in a runtime. It sees
 *	          a worker that is stuck in a long task with work queued, timers due or descriptors ready.
 *	sleeper   asleep until woken, or until its own first timer
 *
 * The rule that keeps work from being left alone, without a fence on any push:
 *
 * I1  While a worker runs and another one sleeps, somebody watches or searches. So work that was
 *     pushed without a wake-up is found within a millisecond at the latest; a worker that is about
 *     to sleep has emptied its own queues itself.
 * I2  Work from outside (inbox, pinned, calls) never relies on I1: the producer pushes, then looks at
 *     the park word; the sleeper sets the park word, then looks at the inboxes; both pairs are
 *     seq_cst read-modify-writes and seq_cst reads, so one of the two sees the other (P1).
 * P1  hilo__loop_notify with worker_sleep.
 * P2  A sleeper is claimed by the CAS of its park word from SLEEPING to NOTIFIED, so one wake-up
 *     costs one system call and is given to one.
 *
 * When to wake somebody for local work is a question of profit, not of correctness: see turn.c.
 *
 * Rejected: an exact count of sleepers and searchers in one word, checked at each push with a full
 * fence, as Go and Tokio do: it doubles the price of a push and wakes workers for tasks that are over
 * before the wake-up lands (one costs the waker 6 to 11 us on a virtual machine, a task 30 ns).
 */
#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

#define IDLE_WORDS 16
#define IDLE_MAX_WORKERS (64 * IDLE_WORDS)

struct idle {
	HILO__ISOLATED atomic(uint32_t) sleeping;	  /* how many sleep; a hint but for I1 */
	atomic(uint32_t) searching;			  /* 0 or 1 */
	atomic(uint32_t) watcher;			  /* index + 1 of the watcher, 0: none */
	atomic(uint32_t) ticking;			  /* the watcher's sleep has a limit of 1 ms */
	atomic(uint32_t) duty;				  /* index + 1 of the spare worker on duty, 0: none */
	atomic(uint32_t) spare_ticking;			  /* its sleep has a limit of 5 ms */
	HILO__ISOLATED atomic(uint64_t) mask[IDLE_WORDS]; /* bit of each sleeping worker; a hint */
};

/* [any] Become the searcher, if there is none. */
static inline bool idle_search_begin(struct idle *idle)
{
	uint32_t none = 0;

	if (load_relaxed(&idle->searching)) /* relaxed: the CAS decides */
		return false;
	return cas_acq_rel(&idle->searching, &none, 1); /* one winner; pairs with search_end */
}

static inline void idle_search_end(struct idle *idle)
{
	store_release(&idle->searching, 0); /* pairs with search_begin */
}

/* [worker @index] Before it looks at its inboxes for the last time. */
static inline void idle_sleep_begin(struct idle *idle, unsigned index)
{
	(void)or_relaxed(&idle->mask[index / 64],
			 (uint64_t)1 << (index % 64)); /* relaxed: a hint, the park word decides */
	(void)add_relaxed(&idle->sleeping, 1);	       /* relaxed: a hint */
}

static inline void idle_sleep_end(struct idle *idle, unsigned index)
{
	(void)and_relaxed(&idle->mask[index / 64], ~((uint64_t)1 << (index % 64))); /* relaxed: as above */
	(void)sub_relaxed(&idle->sleeping, 1);					    /* relaxed: as above */
}

/* [any] How many sleep, at some moment. */
static inline uint32_t idle_sleepers(const struct idle *idle)
{
	return load_relaxed(&((struct idle *)idle)->sleeping); /* relaxed: a hint */
}

/* [any] The sleeper to wake: the lowest, so that the highest sleep longest. -1: none. */
static inline int idle_pick(const struct idle *idle, unsigned workers, unsigned not_me)
{
	for (unsigned word = 0; word * 64 < workers; word++) {
		uint64_t mask =
			load_relaxed(&((struct idle *)idle)->mask[word]); /* relaxed: the park word decides */

		if (not_me / 64 == word)
			mask &= ~((uint64_t)1 << (not_me % 64));
		if (mask)
			return (int)(word * 64 + (unsigned)__builtin_ctzll(mask));
	}
	return -1;
}

/* [worker @index, about to sleep] Become the watcher if there is none. */
static inline bool idle_watch_begin(struct idle *idle, unsigned index)
{
	uint32_t none = 0;

	if (load_seq_cst(&idle->watcher)) /* P3 of search.c */
		return false;
	return cas_seq_cst(&idle->watcher, &none,
			   index + 1); /* one winner; pairs with watch_end; P3 of search.c */
}

static inline void idle_watch_end(struct idle *idle)
{
	store_seq_cst(&idle->watcher, 0); /* pairs with watch_begin; P3 of search.c */
}

#endif /* HILO_SCHEDULER_IDLE_H */
