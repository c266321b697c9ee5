/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_TIMER_H
#define HILO_SCHEDULER_TIMER_H

/*
 * timer.h - the deadlines of one loop: a hierarchical wheel, exact to the nanosecond.
 *
 * Timers stay on the wheel they were armed on. Any thread arms, disarms and fires; what is due fires
 * in the order of (deadline, arming), never before its deadline. Nothing here allocates.
 *
 * The node of a timer may lie on the stack of the one who waits for it. The contract that makes
 * this safe:
 *
 *	fire(timer) is called with the wheel's lock held, the node unlinked. It may read the node and
 *	wake somebody; it must not suspend, and must not call back into this wheel. When it has
 *	returned, the wheel stores "not pending" as the last thing it does to the node.
 *	The waiter calls hilo__timer_del on every way out, even if it was the timer that woke it.
 *	Whatever del answers, afterwards nobody touches the node: it can go out of scope.
 *
 * A task that fire has woken may well run, on another thread, before fire has returned. Its del then
 * finds the timer pending and waits for the lock, that is until at most TIMER_BATCH others have fired.
 * The alternative, to publish "not pending" before fire, or in it, would let the waiter free the node,
 * and itself, while fire still reads whom it has to wake.
 */
#include <hilo/runtime/types.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"

/* Six bits a level: the lowest holds single nanoseconds, the highest the last three of 63 bits. */
#define TIMER_BITS 6
#define TIMER_LEVELS 11
#define TIMER_SLOTS (10 * 64 + 8)

/* A slot of a level from this one on, of 262 us and more, has several lists: see timer.c. */
#define TIMER_WIDE 3
#define TIMER_LANES 4
#define TIMER_LISTS (TIMER_WIDE * 64 + (TIMER_SLOTS - TIMER_WIDE * 64) * TIMER_LANES)

/* The most nodes that are fired or moved while the lock is held once. */
#define TIMER_BATCH 32

/* The most nodes of a slot that are looked at for the earliest: each is likely to be in no cache. */
#define TIMER_LOOK 4

/* One deadline. Zero, but for fire, is a timer that is not armed. 40 bytes. */
struct timer {
	struct list link; /* under the wheel's lock */
	hilo_time when;	  /* likewise */
	void (*fire)(struct timer *timer);
	atomic(uint32_t) pending;
	uint32_t slot; /* under the wheel's lock */
};

/* The wheel of one loop, to be embedded: 32 KiB. */
struct timers {
	atomic(hilo_time) next; /* no armed timer is due before */
	struct spinlock lock;	/* of all that follows */
	bool stale;		/* `next` may be earlier than need be */
	bool past_unsorted;
	uint32_t levels;   /* bit of each level that has an occupied slot */
	bool spills;	   /* a slot is being dealt out, or was until just now */
	uint32_t spilling; /* its shift */
	unsigned lane;	   /* the lane that was dealt from last */
	hilo_time position;
	uint64_t occupied[TIMER_LEVELS];
	struct list past;		/* armed when it was too late already */
	struct list spill[TIMER_LANES]; /* the content of one slot, on its way to the levels below */
	struct list slot[TIMER_LISTS];
};

/* [creator] An empty wheel; @now is the present or a moment in the past. */
void hilo__timers_init(struct timers *timers, hilo_time now);

/* [waiter] Prepare @timer, which is not armed, to call @fire. */
static inline void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	list_init(&timer->link);
	timer->fire = fire;
	atomic_setup(&timer->pending, 0);
}

/*
 * [any] Arm @timer, which must not be armed, for @when. In the past: fires at the next expire.
 * HILO_FOREVER never comes: better not armed at all, but it does no harm.
 *
 * Wakes nobody: a caller for whom the owner of the wheel may be asleep looks at its park word after
 * this. The owner settles the wheel after it has set that word; both take the wheel's lock, so one of
 * them comes second, and sees what the other did.
 */
void hilo__timer_add(struct timers *timers, struct timer *timer, hilo_time when);

/*
 * [any] Disarm. True: it was armed and will not fire. False: it has fired, or was never armed. In
 * both cases nobody touches the node any more when this returns. Takes no lock if it has fired.
 */
bool hilo__timer_del(struct timers *timers, struct timer *timer);

/* [any] Disarm and arm again in one step. What del would have answered. */
bool hilo__timer_move(struct timers *timers, struct timer *timer, hilo_time when);

/*
 * [any] A moment not later than the earliest deadline; HILO_FOREVER if nothing is armed. Exact, but
 * for two cases in which it is early: the earliest timer was disarmed (hilo__timers_settle repairs
 * that), or more than TIMER_LOOK timers lie close together, far away. One load.
 */
static inline hilo_time hilo__timers_next(const struct timers *timers)
{
	return load_relaxed(&((struct timers *)timers)->next); /* relaxed: a number, see timer.c */
}

/* [any] The same after the work that disarming left undone; for the owner, before it sleeps. */
hilo_time hilo__timers_settle(struct timers *timers);

/*
 * [any] Fire what is due at @now, @max at most, and return how many that were. If that is less than
 * @max, nothing more was due. Holds the lock for TIMER_BATCH nodes at a time. One load if nothing
 * is due.
 */
unsigned hilo__timers_expire(struct timers *timers, hilo_time now, unsigned max);

/* [any] The same for a thread that does not own the wheel: gives up when the lock is not free. */
unsigned hilo__timers_try_expire(struct timers *timers, hilo_time now, unsigned max);

#endif /* HILO_SCHEDULER_TIMER_H */
