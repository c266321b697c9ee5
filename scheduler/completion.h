/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_COMPLETION_H
#define HILO_SCHEDULER_COMPLETION_H

/*
 * completion.h - one-shot completion of a task or a future, with its waiters and its references.
 *
 *	 31                                3   2   1   0
 *	| references, in steps of 8          | W | D | L |
 *
 * L  LOCK     the list of waiters is being changed.
 * D  DONE     set once, for ever. The result was written before.
 * W  WAITERS  before D: the list may hold waiters, so that completing needs the lock. With D: the
 *             completer is not through with them.
 *
 * The object lives while it is not done, or W is set, or it is referenced: completing is itself a
 * reference, which costs nothing. So whoever sets D without W and no reference left, or clears W, or
 * drops the last reference with D and not W, frees it; exactly one does, because all decide on the same word.
 *
 * The waiters are detached in batches under L, the first of them with the store that sets D, and woken
 * after L was given back: their handles (task and episode) were copied. While the list holds more of
 * them, or there were callbacks among them, the completer keeps W and comes back. A callback that is
 * added meanwhile is not refused but joins the list, so that it does not overtake those on their way.
 *
 * I1  The list is changed only under L; once D is set, tasks only leave it, and without W nobody is in it.
 * I2  The completer touches neither the object nor a task's waiter of the batch once its store that
 *     gives L back is out, unless that store has left W set.
 * I3  A task's node lives on its stack until it is not in the list: a task that was woken before its
 *     batch was detached, by a timer for one, takes it out itself. A callback's node lives until the
 *     callback has run, which it cannot before `call` has queued it. Callbacks are called after D, in
 *     the order in which they were added.
 * P1  D is stored with release; who reads D with acquire sees the result.
 * P2  L is taken with acquire and given back with release.
 * P3  Dropping a reference releases, the last drop acquires: the one who frees sees all uses ended.
 * P4  That a waiter is not linked any more is the completer's last access to it, and releases; the
 *     waiter acquires before it lets its node go.
 *
 * Rejected: a list without a lock, pushed by CAS and taken by exchange. Removing one waiter that has
 * timed out needs a lock or hazard pointers then, and timeouts are common. And to wake what does not
 * fit one batch before D is set: those found L held, and spun or went round the run queues until the
 * last one was woken.
 */
#include <stddef.h>

#include "scheduler/base/atomic.h"

struct hilo_task;

#define COMPLETION_LOCK 1u
#define COMPLETION_DONE 2u
#define COMPLETION_WAITERS 4u
#define COMPLETION_REF 8u

struct completion {
	atomic(uint32_t) word;
	int32_t result;		/* written before D, by the one that completes */
	struct waiter *waiters; /* under L; a circle, oldest first */
};

/* One waiter. [task]: a task, or a plain thread's record; [callback]: call is set. */
struct waiter {
	struct waiter *next, *prev; /* under L */
	struct hilo_task *task;
	void (*call)(struct waiter *); /* not NULL: called instead of a wake; must only queue */
	uint32_t episode;
	atomic(bool) linked; /* changed under L; P4 */
};

/* How many waiters are detached under one hold of the lock. */
#ifdef HILO_EXPLORE
#define COMPLETION_BATCH 1
#else
#define COMPLETION_BATCH 16
#endif

/* Supplied by the scheduler: wake the wait @episode of @task, if it is still on. */
void hilo__task_wake(struct hilo_task *task, uint32_t episode);

/* [creator] Not done, with @references. */
static inline void completion_init(struct completion *c, uint32_t references)
{
	atomic_setup(&c->word, references * COMPLETION_REF);
	c->waiters = NULL;
}

/* [any] True once done; what was written before is visible. */
static inline bool completion_is_done(const struct completion *c)
{
	return (MUTANT(30, load_acquire(&((struct completion *)c)->word),
		       load_relaxed(&((struct completion *)c)->word)) &
		COMPLETION_DONE) != 0; /* P1 */
}

bool hilo__completion_set_slow(struct completion *c);

/*
 * [the one that completes] Set done; @c->result was written before. True: there is no reference
 * left and the caller must free the object. False: it may be gone already.
 */
static inline bool completion_set(struct completion *c)
{
	uint32_t word = load_relaxed(&c->word); /* relaxed: only an expected value */

	while (!(word & (COMPLETION_WAITERS | COMPLETION_LOCK)))
		if (MUTANT(31, cas_acq_rel(&c->word, &word, word | COMPLETION_DONE),
			   cas_relaxed(&c->word, &word, word | COMPLETION_DONE))) /* P1, P3 */
			return word < COMPLETION_REF;
	return hilo__completion_set_slow(c);
}

/* [holder of a reference] One more. */
static inline void completion_ref(struct completion *c)
{
	(void)add_relaxed(&c->word, COMPLETION_REF); /* relaxed: the caller's own one keeps it alive */
}

/* [holder of a reference] One less. True: the object is done and was the caller's alone: free it. */
static inline bool completion_unref(struct completion *c)
{
	uint32_t word = load_acquire(&c->word); /* P3 */

	/* Sole owner of a finished object: nobody else can touch the word any more. */
	if (word == (COMPLETION_DONE | COMPLETION_REF))
		return true;
	word = sub_acq_rel(&c->word, COMPLETION_REF) - COMPLETION_REF; /* P3 */
	return (word & (COMPLETION_DONE | COMPLETION_WAITERS)) == COMPLETION_DONE &&
	       MUTANT(32, word < COMPLETION_REF, true);
}

/*
 * [waiter] Add @w, whose task or call is set, to the list. False: done already, not added; and all
 * callbacks that were added before have been called.
 */
bool hilo__completion_add(struct completion *c, struct waiter *w);

/* [waiter] Whether @w, which was added, must still be removed before its place is used again. */
static inline bool waiter_is_linked(const struct waiter *w)
{
	return MUTANT(36, load_acquire(&((struct waiter *)(uintptr_t)w)->linked), false); /* P4 */
}

/* [waiter] Take @w out. True: it was in, nobody wakes or calls it for this. */
bool hilo__completion_remove(struct completion *c, struct waiter *w);

#endif /* HILO_SCHEDULER_COMPLETION_H */
