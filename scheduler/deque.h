/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_DEQUE_H
#define HILO_SCHEDULER_DEQUE_H

/*
 * deque.h - the fresh tasks of one worker: newest first for its owner, oldest first for thieves.
 *
 *	steal ->  top                   bottom  <- push, pop (owner only)
 *	   ... gone | t | t | t | t | t | free ...         index i lives in slot[i & DEQUE_MASK]
 *
 * I1  Only the owner stores bottom. Anyone may raise top, by a CAS of one step, so each index is
 *     claimed by CAS once and top never repeats (64 bits: no ABA).
 * I2  Outside pop, 0 <= bottom - top <= DEQUE_CAP.
 * I3  own.bottom is bottom; own.top is a value top had, read with acquire: own.top <= top. Hence
 *     own.bottom == own.top proves the deque empty and own.bottom - own.top < DEQUE_CAP proves room,
 *     both without a look at a line that thieves write.
 * P1  Every store of bottom releases; steal's load acquires: a thief that sees bottom > t sees
 *     slot[t] and the task in it.
 * P2  pop stores bottom, then loads top; steal loads top, then bottom. All four, and every CAS of
 *     top, are seq_cst, so owner and thief cannot both miss the other's claim.
 * P3  A CAS of top releases the read of slot[t] before it; the owner acquires top (into own.top)
 *     before it writes that slot again.
 *
 * Why P2 suffices. Suppose pop takes the task at index b without a CAS, having loaded top < b, and a
 * thief takes the same task. The thief loaded top == b, then a bottom > b. Its load of bottom stands
 * before pop's store in the single order S: had it come after, it would have read b, or what a later
 * push stored, and with that (P1) the later push's task. So in S: the CAS that made top b, the thief's
 * load of top, its load of bottom, pop's store, pop's load of top; that last load sees top >= b,
 * against the assumption. The tempting shortcut, "the thief's CAS fails if the owner was there
 * first", is wrong: the owner takes all but the last task without touching top, so no CAS notices.
 *
 * Why every store of bottom releases, also the two in pop that add nothing: C11 lets a relaxed store
 * continue the release sequence of an earlier one by the same thread, later standards do not; with
 * this rule nobody needs to know.
 *
 * P3 is what lets a slot be read with a relaxed load before the CAS: if the CAS succeeds, the read
 * happens before any store that reuses the slot; if it fails, the value is thrown away.
 *
 * Progress: push and pop are wait-free; a steal answers -EAGAIN instead of repeating, and only if
 * another thread made progress.
 *
 * Rejected. Growth: reclaiming the old array needs a scheme that costs more than handing half of a
 * full deque to an inbox, and the relaxed publication of the new array was the published
 * algorithm's one fault. Fences: seq_cst accesses to the two words do the same, and
 * ThreadSanitizer checks them. Taking several by one CAS: the owner pops without a CAS whatever lies
 * above top, so it must be sure that top moves by one.
 *
 * D. Chase, Y. Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005; N. M. Le, A. Pop, A. Cohen,
 * F. Zappa Nardelli, "Correct and Efficient Work-Stealing for Weak Memory Models", PPoPP 2013.
 */
#include <errno.h>
#include <stddef.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

#ifndef DEQUE_CAP
#ifdef HILO_EXPLORE
#define DEQUE_CAP 4
#else
#define DEQUE_CAP 1024
#endif
#endif
#define DEQUE_MASK (DEQUE_CAP - 1)
_Static_assert((DEQUE_CAP & DEQUE_MASK) == 0 && DEQUE_CAP >= 2, "a power of two");

struct hilo_task;
struct link;

struct deque {
	/* [any] Index of the oldest task; raised by CAS only (I1). */
	HILO__ISOLATED atomic(int64_t) top;
	/* [owner] stores, [any] loads: index of the next push. */
	HILO__ISOLATED atomic(int64_t) bottom;
	/* [owner] Plain copies beside the line the owner writes anyway (I3). */
	struct {
		int64_t bottom;
		int64_t top;
	} own;
	/* [owner] stores, [any] loads. */
	HILO__ISOLATED atomic(struct hilo_task *) slot[DEQUE_CAP];
};

/* Before any other thread knows @dq, whose memory is aligned as its type asks. */
void hilo__deque_init(struct deque *dq);

/* [owner] Refresh own.top; true if there is room for one more. */
static inline bool hilo__deque_look_for_room(struct deque *dq)
{
	dq->own.top = load_acquire(&dq->top); /* P3 */
	return dq->own.bottom - dq->own.top < DEQUE_CAP;
}

/* [owner] Add @task as the newest. -ENOSPC: full, hilo__deque_spill makes room. */
static inline int hilo__deque_push(struct deque *dq, struct hilo_task *task)
{
	int64_t b = dq->own.bottom;

	if (HILO__UNLIKELY(b - dq->own.top >= MUTANT(2, DEQUE_CAP, DEQUE_CAP + 1)) &&
	    !hilo__deque_look_for_room(dq))
		return -ENOSPC;
	store_relaxed(&dq->slot[b & DEQUE_MASK], task); /* relaxed: published by P1 */
	dq->own.bottom = b + 1;
	MUTANT(3, store_release(&dq->bottom, b + 1), store_relaxed(&dq->bottom, b + 1)); /* P1 */
	return 0;
}

/*
 * [owner] Take the only task, of index @t, as a thief would: one locked operation instead of two for
 * the commonest case of all, a task that joins the one it has just spawned.
 */
static inline struct hilo_task *hilo__deque_pop_only(struct deque *dq, int64_t t)
{
	bool won = MUTANT(7, cas_seq_cst(&dq->top, &t, t + 1), true); /* P2, P3 */

	dq->own.top = dq->own.bottom; /* ours now or a thief's: gone in both cases */
	if (!won)
		return NULL;
	return load_relaxed(&dq->slot[(dq->own.bottom - 1) & DEQUE_MASK]); /* relaxed: own value */
}

/* [owner] The rest of pop when thieves left at most one task, that of index @b, and top was @t. */
struct hilo_task *hilo__deque_pop_last(struct deque *dq, int64_t b, int64_t t);

/* [owner] Take the newest task, or NULL. */
static inline struct hilo_task *hilo__deque_pop(struct deque *dq)
{
	int64_t b = dq->own.bottom - 1;
	int64_t t = dq->own.top;

	if (t >= b)
		return t == b ? hilo__deque_pop_only(dq, t) : NULL; /* I3 */
	/* P2: claim slot[b] ... */
	MUTANT(4, store_seq_cst(&dq->bottom, b), store_release(&dq->bottom, b));
	t = MUTANT(5, load_seq_cst(&dq->top), load_acquire(&dq->top)); /* P2, P3: ... then look for thieves */
	if (HILO__UNLIKELY(t >= MUTANT(6, b, b + 1)))
		return hilo__deque_pop_last(dq, b, t);
	dq->own.bottom = b;
	dq->own.top = t;
	return load_relaxed(&dq->slot[b & DEQUE_MASK]); /* relaxed: own value, P2 kept thieves off */
}

/* [owner] Take the oldest task, or NULL: when waiting long matters more than warm caches. */
struct hilo_task *hilo__deque_pop_oldest(struct deque *dq);

/* [any] Take the oldest task. -ENODATA: empty. -EAGAIN: another thread got it, try again. */
int hilo__deque_steal(struct deque *dq, struct hilo_task **ret);

/*
 * [any] Take up to half of the tasks, at least one and at most @max >= 1, oldest first, into @ret. Returns
 * how many, or as hilo__deque_steal. One CAS each, see "Rejected".
 */
int hilo__deque_steal_many(struct deque *dq, struct hilo_task **ret, int max);

/*
 * [owner] Take the older half out and chain it by the tasks' links, newest at *ret_first and oldest
 * at *ret_last, which is the order that hilo__inbox_push_chain wants. Returns how many; 0 leaves
 * the outputs alone.
 */
int hilo__deque_spill(struct deque *dq, struct link **ret_first, struct link **ret_last);

/* [owner] At most so many tasks there are, without a look at what thieves did of late (I3). */
static inline int64_t hilo__deque_own_count(const struct deque *dq)
{
	return dq->own.bottom - dq->own.top;
}

/* [any] About how many tasks there are: a hint for choosing a victim or for statistics. */
static inline int64_t hilo__deque_size(struct deque *dq)
{
	int64_t t = load_relaxed(&dq->top);	   /* relaxed: a hint */
	int64_t n = load_relaxed(&dq->bottom) - t; /* relaxed: a hint */

	return n > 0 ? n : 0;
}

#endif /* HILO_SCHEDULER_DEQUE_H */
