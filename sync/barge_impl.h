/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_BARGE_IMPL_H
#define HILO_SYNC_BARGE_IMPL_H

/*
 * barge_impl.h - when a lock may be taken before those that wait for it; for mutex.c and rwlock.c.
 *
 * To hand a lock over costs a run of the scheduler, and from the first collision on everybody waits for the one that
 * was given it and does not run yet: a convoy. So a lock is let go, and who waits is woken and tries again; not where
 * all who use it are tasks of one worker, which have an order to keep, and not to one that has waited for long.
 */
#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/clock.h"

/* Who has waited so long is given the lock at the next look: less than what most programs notice. */
#define STARVED_US 1000
/* While the first is on its way, whether it has waited so long is looked at so often: a look is 10 ns and the list. */
#define PASSES_PER_LOOK 8

/*
 * How often to look at a lock whose owner runs, and pauses in between: the pauses double. Each look takes the line
 * away from who works with it.
 */
#ifdef HILO_EXPLORE
#define SPIN_LOOKS 0
#else
#define SPIN_LOOKS 5
#endif
#define SPIN_PAUSES 4

/*
 * Home of a lock that is waited for, under its list's lock: the runtime, with one thread for its tasks, that all who
 * use it belong to, as far as is known; else this.
 */
#define BARGE_ANYWHERE ((const void *)1)

/* [any] It was @since cycles that somebody has begun to wait. CPUs differ by a little: a begin may still be to come. */
static inline bool barge_is_late(uint64_t since)
{
	return (int64_t)(cycles_now() - since) >= (int64_t)(STARVED_US * hilo__cycles_per_us());
}

/* [any] The home of the caller, by its runtime alone. */
static inline const void *barge_place(void)
{
	const struct hilo_loop *loop = thread_self()->loop;

	return loop && loop->runtime->workers == 1 ? loop->runtime : BARGE_ANYWHERE;
}

/* [any] The home of the caller, who is about to wait. */
static inline const void *barge_home(void)
{
	const struct hilo_loop *loop = thread_self()->loop;
	const struct hilo_runtime *runtime = barge_place();

	if (runtime == BARGE_ANYWHERE)
		return runtime;
	/* A task that has its thread for long is left to itself, and another thread comes to run the others. */
	for (unsigned i = 0; i < runtime_loops(runtime); i++)
		/* relaxed: a hint; what was meant to be in order has nobody else who runs meanwhile */
		if (runtime->loops[i] != loop && load_relaxed(&runtime->loops[i]->current))
			return BARGE_ANYWHERE;
	return runtime;
}

/* That of two. */
static inline const void *barge_both(const void *home, const void *other)
{
	return home == other ? home : BARGE_ANYWHERE;
}

/* [any] Nothing may be waited for any more, so that nobody need enlist. */
static inline bool barge_is_over(hilo_time deadline)
{
	return deadline != HILO_FOREVER && (deadline <= 0 || hilo__clock_now() >= deadline);
}

/* [any] Spinning makes sense: others may run meanwhile. */
static inline bool barge_may_spin(void)
{
	const struct hilo_loop *loop = thread_self()->loop;

	return !loop || (loop->runtime->spin && loop->runtime->workers > 1);
}

#endif /* HILO_SYNC_BARGE_IMPL_H */
