/* SPDX-License-Identifier: MIT */
/*
 * completion.c - the paths of a completion that need its lock. Invariants and pairs: completion.h.
 */
#include "scheduler/completion.h"

#include <stddef.h>

#include "scheduler/base/lock.h"

/* Take L. Returns the word as it was, without L. Spins: the lock is held for a few list steps. */
static uint32_t completion_lock(struct completion *c)
{
	uint32_t word = load_relaxed(&c->word); /* relaxed: only an expected value */

	for (unsigned round = 0;; round++) {
		if (word & COMPLETION_LOCK) {
			spin_pause(round);
			word = load_relaxed(&c->word); /* relaxed: only an expected value */
		} else if (cas_acquire(&c->word, &word, word | COMPLETION_LOCK)) { /* P2 */
			return word;
		}
	}
}

/* Give L back, and set @set and clear @clear in the same step. Returns the word as it is then. */
static uint32_t completion_unlock(struct completion *c, uint32_t set, uint32_t clear)
{
	uint32_t word = load_relaxed(&c->word), next; /* relaxed: only an expected value */

	do
		next = (word & ~(COMPLETION_LOCK | clear)) | set;
	while (!MUTANT(33, cas_acq_rel(&c->word, &word, next),
		       cas_relaxed(&c->word, &word, next))); /* P1..3 */
	return next;
}

/* [L] */
static void waiter_unlink(struct completion *c, struct waiter *w)
{
	if (w->next == w) {
		c->waiters = NULL;
	} else {
		w->prev->next = w->next;
		w->next->prev = w->prev;
		if (c->waiters == w)
			c->waiters = w->next;
	}
	store_release(&w->linked, false); /* P4 */
}

/* What is detached under one hold of the lock: handles of tasks, and a chain of callback nodes. */
struct batch {
	unsigned tasks;
	struct waiter *calls, **calls_end;
	struct {
		struct hilo_task *task;
		uint32_t episode;
	} handle[COMPLETION_BATCH];
};

/* [L] Detach the oldest waiters. */
static void batch_detach(struct completion *c, struct batch *batch)
{
	struct waiter *w;

	batch->tasks = 0;
	batch->calls = NULL;
	batch->calls_end = &batch->calls;
	for (unsigned n = 0; n < COMPLETION_BATCH && (w = c->waiters); n++) {
		struct hilo_task *task = w->task;
		uint32_t episode = w->episode;
		bool calls = w->call != NULL;

		waiter_unlink(c, w);
		if (calls) {
			w->next = NULL; /* a callback's node stays: I3 */
			*batch->calls_end = w;
			batch->calls_end = &w->next;
		} else {
			batch->handle[batch->tasks].task = task;
			batch->handle[batch->tasks++].episode = episode;
		}
	}
}

/* Wake and call; a node may be gone once it was called. */
static void batch_notify(struct batch *batch)
{
	struct waiter *w = batch->calls;

	for (unsigned i = 0; i < batch->tasks; i++)
		hilo__task_wake(batch->handle[i].task, batch->handle[i].episode);
	while (w) {
		struct waiter *next = w->next;

		w->call(w);
		w = next;
	}
}

/* Complete with waiters present, or with somebody changing the list. */
bool hilo__completion_set_slow(struct completion *c)
{
	struct batch batch;
	uint32_t word, keep;
	bool more;

	do {
		(void)completion_lock(c);
		batch_detach(c, &batch);
		more = c->waiters || batch.calls;
		keep = MUTANT(37, more, false) ? COMPLETION_WAITERS : 0;
		word = completion_unlock(c, COMPLETION_DONE | keep, COMPLETION_WAITERS);
		batch_notify(&batch); /* I2 */
	} while (more);
	return word < COMPLETION_REF;
}

/* [waiter] Whether the word says that @w comes too late. */
static bool completion_refuses(uint32_t word, const struct waiter *w)
{
	if (!(word & COMPLETION_DONE))
		return false;
	return !w->call ||
	       !MUTANT(38, word & COMPLETION_WAITERS, 0); /* a callback does not overtake others */
}

bool hilo__completion_add(struct completion *c, struct waiter *w)
{
	atomic_setup(&w->linked, false);
	if (completion_refuses(load_acquire(&c->word), w)) /* P1 */
		return false;
	if (completion_refuses(completion_lock(c), w)) {
		(void)completion_unlock(c, 0, 0);
		return false;
	}
	store_relaxed(&w->linked, true); /* relaxed: published by the lock */
	if (c->waiters) {
		w->next = c->waiters;
		w->prev = c->waiters->prev;
		w->prev->next = w;
		w->next->prev = w;
	} else {
		w->next = w->prev = w;
		c->waiters = w;
	}
	(void)completion_unlock(c, MUTANT(34, COMPLETION_WAITERS, 0), 0);
	return true;
}

bool hilo__completion_remove(struct completion *c, struct waiter *w)
{
	bool linked;

	(void)completion_lock(c);
	linked = MUTANT(35, load_relaxed(&w->linked), true); /* relaxed: under L */
	if (linked)
		waiter_unlink(c, w);
	(void)completion_unlock(c, 0, 0);
	return linked;
}
