/* SPDX-License-Identifier: MIT */
/*
 * completion.c - the paths of a completion that need its lock. Invariants and pairs: completion.h.
 */
#include "scheduler/completion.h"

#include <sched.h>
#include <stddef.h>

/* Looks at a lock that is held before the CPU is offered to others, who may hold it. */
#define SPIN_ROUNDS 100

/*
 * Take L. Returns the word as it was, without L. Spins: the lock is held for a few list steps, or while
 * a completer wakes many.
 */
static uint32_t completion_lock(struct completion *c)
{
	uint32_t word = load_relaxed(&c->word); /* relaxed: only an expected value */

	for (unsigned round = 0;; round++) {
		if (word & COMPLETION_LOCK) {
			if (round < SPIN_ROUNDS)
				cpu_relax();
			else
				(void)sched_yield();
			word = load_relaxed(&c->word); /* relaxed: only an expected value */
		} else if (cas_acquire(&c->word, &word, word | COMPLETION_LOCK)) { /* P2 */
			return word;
		}
	}
}

/* Give L back, setting @set at the same moment. References may have changed meanwhile. */
static uint32_t completion_unlock(struct completion *c, uint32_t set)
{
	uint32_t word = load_relaxed(&c->word); /* relaxed: only an expected value */

	while (!MUTANT(33, cas_acq_rel(&c->word, &word, (word & ~COMPLETION_LOCK) | set),
		       cas_relaxed(&c->word, &word, (word & ~COMPLETION_LOCK) | set))) /* P1, P2, P3 */
		;
	return word;
}

static void waiter_unlink(struct completion *c, struct waiter *w)
{
	if (w->next == w) {
		c->waiters = NULL;
		return;
	}
	w->prev->next = w->next;
	w->next->prev = w->prev;
	if (c->waiters == w)
		c->waiters = w->next;
}

struct handle {
	struct hilo_task *task;
	uint32_t episode;
};

/* Call what a chain of callback nodes asks for; a node may be gone once it was called. */
static void waiters_call(struct waiter *w)
{
	for (struct waiter *next; w; w = next) {
		next = w->next;
		w->call(w);
	}
}

/* Complete with waiters present, or with somebody changing the list. */
bool hilo__completion_set_slow(struct completion *c)
{
	struct handle last[COMPLETION_BATCH];
	struct waiter *calls = NULL, **calls_end = &calls, *w;
	unsigned count = 0;
	uint32_t word;

	(void)completion_lock(c);
	while ((w = c->waiters)) {
		waiter_unlink(c, w);
		if (w->call) {
			w->next = NULL;
			*calls_end = w;
			calls_end = &w->next;
		} else if (count < COMPLETION_BATCH) {
			last[count].task = w->task;
			last[count++].episode = w->episode;
		} else {
			/* It wakes, finds L held and waits for D: its node is not read after this. */
			hilo__task_wake(w->task, w->episode);
		}
	}
	word = completion_unlock(c, COMPLETION_DONE);
	/* From here on the object and the tasks' nodes may be gone (I2). */
	for (unsigned i = 0; i < count; i++)
		hilo__task_wake(last[i].task, last[i].episode);
	waiters_call(calls);
	return word < COMPLETION_REF;
}

bool hilo__completion_add(struct completion *c, struct waiter *w)
{
	if (completion_is_done(c))
		return false;
	if (completion_lock(c) & COMPLETION_DONE) {
		(void)completion_unlock(c, 0);
		return false;
	}
	if (c->waiters) {
		w->next = c->waiters;
		w->prev = c->waiters->prev;
		w->prev->next = w;
		w->next->prev = w;
	} else {
		w->next = w->prev = w;
		c->waiters = w;
	}
	(void)completion_unlock(c, MUTANT(34, COMPLETION_WAITERS, 0));
	return true;
}

bool hilo__completion_remove(struct completion *c, struct waiter *w)
{
	bool done = completion_lock(c) & COMPLETION_DONE;

	if (MUTANT(35, !done, true))
		waiter_unlink(c, w);
	(void)completion_unlock(c, 0);
	return !done;
}
