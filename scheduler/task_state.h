/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_TASK_STATE_H
#define HILO_SCHEDULER_TASK_STATE_H

/*
 * task_state.h - the state word of a task: who may run it, who has woken it, who wants it to stop.
 *
 *	 63                              32 31        24 23        16 15                 2  1  0
 *	| episode: number of this wait     |   reason   |  cancels   |      unused       |W | N| P|
 *
 * P  PARKED    the task has left its stack and waits; whoever clears P makes it ready, alone.
 * N  NOTIFIED  somebody has woken it, or has ended its wait, while it was not parked, and it has not consumed that yet.
 * W  WOKEN     the last wait was ended by who has woken it; a hint for who fetches the task's lines ahead.
 * cancels      how many requests to cancel are set (saturates at 255).
 * reason       of the first of them, by its number (reason.h); 0: none was given.
 * episode      bumped at the end of each wait, by the task or by who ends the wait for it, and at each reuse
 *              of the record, kept while the record is free. A wake-up names the episode it is meant for;
 *              in any other it does nothing.
 *
 * A task that waits does: read its episode; register (task, episode) with whatever shall wake it; look whether
 * that has happened; leave its stack; *commit*: set P unless N is set. Whoever wakes it does: copy (task,
 * episode); detach the waiter; *wake*: clear P, or else set N. Who would be the only one to decide what the
 * wait has come to does *win* instead: the same, and the next episode, if nobody has ended this one; then the
 * task waits until it is told. The episode makes late ones harmless, so that neither needs a reference: the
 * record's memory is never used for anything but tasks, so the word can always be touched. 2^32 waits would
 * have to pass between the copy and the wake for a number to repeat.
 *
 * I1  P is set by the task's own thread after its stack was left, cleared by exactly one wake, win, cancel or
 *     nudge; between that and the next run the task belongs to whoever cleared P, who queues it. Who only looks
 *     at the stack holds it so, too, and sets P again; if N is set by then, he queues it.
 * I2  A task that finds N set does not park. N is cleared by the task alone, when it looks again, and at the end of
 *     the wait, whoever has ended that.
 * P1  wake, win, cancel and nudge release (their CAS), end_wait, consume and commit acquire: what the waker did
 *     before, the task sees after. A task that was parked sees it through the queue as well. What a winner puts into
 *     the wait afterwards it tells by a word of its own.
 * P2  commit releases the task's stack to whoever clears P (acquire in wake, win, cancel, nudge and hold).
 *
 * Every change is one read-modify-write, so that a cancel is never overwritten. Rejected: a plain
 * store on resume, which is two nanoseconds cheaper. A cancel that lands in the owner's store buffer
 * is then lost: the owner has read "no cancel" before its own store becomes visible.
 * Rejected: a reference for every wake-up in flight: two more locked instructions for each wait.
 *
 * Progress: all operations are lock-free; wake, win, cancel and nudge retry only when another one succeeded.
 */
#include "scheduler/base/atomic.h"

#define TASK_PARKED ((uint64_t)1)
#define TASK_NOTIFIED ((uint64_t)2)
#define TASK_WOKEN ((uint64_t)4)
#define TASK_CANCEL_SHIFT 16
#define TASK_CANCEL_ONE ((uint64_t)1 << TASK_CANCEL_SHIFT)
#define TASK_CANCEL_MASK ((uint64_t)0xff << TASK_CANCEL_SHIFT)
#define TASK_REASON_SHIFT 24
#define TASK_REASON_MASK ((uint64_t)0xff << TASK_REASON_SHIFT)
#define TASK_EPISODE_SHIFT 32
#define TASK_EPISODE_ONE ((uint64_t)1 << TASK_EPISODE_SHIFT)

typedef atomic(uint64_t) task_state;

static inline uint32_t task_state_episode(uint64_t state)
{
	return (uint32_t)(state >> TASK_EPISODE_SHIFT);
}

static inline unsigned task_state_cancels(uint64_t state)
{
	return (unsigned)((state & TASK_CANCEL_MASK) >> TASK_CANCEL_SHIFT);
}

static inline uint8_t task_state_reason(uint64_t state)
{
	return (uint8_t)((state & TASK_REASON_MASK) >> TASK_REASON_SHIFT);
}

/* [creator] A new life for the record: next episode, nothing set. Late wakes of the last life may
 * still touch the word; they name an older episode, so what they write is overwritten or refused. */
static inline void task_state_reset(task_state *word)
{
	uint64_t state = load_relaxed(word); /* relaxed: only the episode is used; nobody bumps it now */

	store_relaxed(word, ((state >> TASK_EPISODE_SHIFT) + 1)
				    << TASK_EPISODE_SHIFT); /* published by the queue */
}

/* [task's thread, its stack left behind; or who holds it] Park it. False: it was notified, so it must be queued. */
static inline bool task_state_commit(task_state *word)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */

	do {
		if (MUTANT(20, state & TASK_NOTIFIED, 0))
			return false;
	} while (!MUTANT(21, cas_acq_rel(word, &state, (state | TASK_PARKED) & ~TASK_WOKEN),
			 cas_relaxed(word, &state, (state | TASK_PARKED) & ~TASK_WOKEN))); /* P1, P2 */
	return true;
}

/*
 * [any, holds a reference on the task] Hold a task that is parked: its stack stays as it is, until it is
 * committed again by us, who queue it if that fails. False: it is not parked, or somebody else holds it.
 */
static inline bool task_state_hold(task_state *word)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */

	do {
		if (MUTANT(130, !(state & TASK_PARKED), 0))
			return false;
	} while (!MUTANT(131, cas_acq_rel(word, &state, state & ~TASK_PARKED),
			 cas_relaxed(word, &state, state & ~TASK_PARKED))); /* P2 */
	return true;
}

/* [any] Wake the wait @episode. True: the caller has made the task ready and must queue it. */
static inline bool task_state_wake(task_state *word, uint32_t episode)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */
	uint64_t next;

	do {
		if (MUTANT(22, task_state_episode(state) != episode, 0))
			return false;
		/* Also if N is set already: what we read may be old, and the task may have consumed that N. */
		next = (state & ~TASK_PARKED) | TASK_NOTIFIED;
	} while (!MUTANT(23, cas_acq_rel(word, &state, next), cas_relaxed(word, &state, next))); /* P1, P2 */
	return state & TASK_PARKED;
}

/*
 * [any] End the wait @episode, as one of several who would, the task itself among them: the one for whom this is true
 * has, and has still to let the task know. If *@ret_parked, nobody runs it before he has queued it, which he does,
 * alone. If not, it goes on, and finds in the number of its wait that it has to wait until it was told.
 */
static inline bool task_state_win(task_state *word, uint32_t episode, bool *ret_parked)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */
	uint64_t next;

	do {
		if (task_state_episode(state) != episode)
			return false;
		next = (state & ~TASK_PARKED) + TASK_EPISODE_ONE;
		next |= MUTANT(211, state & TASK_PARKED, true) ? TASK_WOKEN : TASK_NOTIFIED;
	} while (!MUTANT(212, cas_acq_rel(word, &state, next), cas_relaxed(word, &state, next))); /* P1, P2 */
	*ret_parked = (state & TASK_PARKED) != 0;
	return true;
}

/*
 * [any] One more request to cancel, for @reason; wakes whatever wait there is. True: the caller must queue it.
 */
static inline bool task_state_cancel(task_state *word, uint8_t reason)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */
	uint64_t next;

	do {
		next = (state & ~TASK_PARKED) | TASK_NOTIFIED;
		if (MUTANT(154, !(state & TASK_CANCEL_MASK), true))
			next |= (uint64_t)reason << TASK_REASON_SHIFT;
		if ((state & TASK_CANCEL_MASK) != TASK_CANCEL_MASK)
			next += TASK_CANCEL_ONE;
	} while (!MUTANT(153, cas_acq_rel(word, &state, next), cas_relaxed(word, &state, next))); /* P1, P2 */
	return MUTANT(24, state & TASK_PARKED, 0);
}

/*
 * [any, async-signal-safe] Have the task look again at whatever it waits for now, or next. True: the caller must
 * queue it. A wake of the episode that was just read would not do: the task may be in the next one by then,
 * and parked.
 */
static inline bool task_state_nudge(task_state *word)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */

	if (MUTANT(152, false, true))
		return task_state_wake(word, task_state_episode(state));
	while (!MUTANT(79, cas_acq_rel(word, &state, (state & ~TASK_PARKED) | TASK_NOTIFIED),
		       cas_relaxed(word, &state, (state & ~TASK_PARKED) | TASK_NOTIFIED))) /* P1, P2 */
		;
	return state & TASK_PARKED;
}

/* [task] Take back one request. Returns how many remain. */
static inline unsigned task_state_uncancel(task_state *word)
{
	uint64_t state = load_relaxed(word); /* relaxed: only an expected value */
	uint64_t next;

	do {
		if (!(state & TASK_CANCEL_MASK))
			return 0;
		next = state - TASK_CANCEL_ONE;
		if (MUTANT(155, !(next & TASK_CANCEL_MASK), false))
			next &= ~TASK_REASON_MASK;
	} while (!cas_relaxed(word, &state, next)); /* relaxed: a count, guards nothing */
	return task_state_cancels(next);
}

/* [task] Take the notification, if there is one: true. The wait goes on, so look again. */
static inline bool task_state_consume(task_state *word)
{
	if (!(load_relaxed(word) & TASK_NOTIFIED)) /* relaxed: if it comes later, commit sees it */
		return false;
	(void)and_acq_rel(word, ~TASK_NOTIFIED); /* P1 */
	return true;
}

/*
 * [task] The wait @episode is over: from here on its wake-ups are stale. False: somebody else has ended it
 * (task_state_win), which notified us if we were not parked. Either way the notification goes with the wait, or the
 * next one began with a round in vain. Nothing is lost with it: we wait for nothing now, so that no wake-up is on its
 * way to the next wait, and who cancels or nudges has left word elsewhere, a count or a flag, which is looked at before
 * that one parks.
 */
static inline bool task_state_end_wait(task_state *word, uint32_t episode)
{
	/* relaxed: an expected value; that it was ended is seen through the queue, or where that is told */
	uint64_t state = load_relaxed(word);

	do {
		if (MUTANT(170, task_state_episode(state) != episode, 0)) {
			if (MUTANT(374, state & TASK_NOTIFIED, 0))
				(void)and_acq_rel(word, ~TASK_NOTIFIED); /* P1 */
			return false;
		}
	} while (!cas_acq_rel(word, &state, (state + TASK_EPISODE_ONE) & ~TASK_NOTIFIED)); /* P1 */
	return true;
}

#endif /* HILO_SCHEDULER_TASK_STATE_H */
