/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - parties that wait for each other.
 *
 *	FILLING --last arrives, no action--> FILLING, the next round
 *	FILLING --last arrives--> ACTING --action has ended--> FILLING, or broken
 *
 * I1  Who is in `arrived` counts, whatever has ended his wait, until he takes himself out under the lock. So the
 *     last one decides for all of them under one hold of it, and nobody has passed without the others.
 * I2  A party that was decided for has its answer in its node, under the lock. One whose wait had ended already
 *     finds it there when it takes itself out: the result outranks the cancel.
 *
 * What a round leaves for the next one is an empty list. asyncio's barrier drains: it keeps others out until all
 * have left, since its parties find out by themselves that they are through. Here each is told, so there is nothing
 * to drain. Only while an action runs, new ones wait in `early`, are woken when it has ended, and begin again: they
 * hold nothing, so one that is cancelled then loses nothing.
 *
 * When an answer was told the object is not touched any more: P3 of contend_impl.h.
 */
#include <hilo/sync/barrier.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "sync/embed_impl.h"
#include "sync/won_impl.h"

struct barrier {
	struct spinlock lock;
	bool broken;	     /* the rest is under lock */
	bool acting;	     /* the last one runs the action for `passing` */
	unsigned parties;    /* fixed */
	unsigned count;	     /* of arrived */
	unsigned round;	     /* counts those that were complete */
	struct list arrived; /* this round */
	struct list passing; /* the round that is complete, while the action runs */
	struct list early;   /* who came meanwhile */
	int (*action)(void *arg);
	void *arg;
};

/* Not codes, which are above. */
#define ANSWER_NONE INT32_MIN
#define ANSWER_AGAIN (INT32_MIN + 1)

struct party {
	struct contend_node node;
	int answer; /* I2 */
	unsigned round;
};

static inline struct barrier *barrier_of(const hilo_barrier *barrier)
{
	EMBED_FITS(barrier, hilo_barrier);
	return (struct barrier *)barrier;
}

int hilo_barrier_init(hilo_barrier *public, unsigned parties, int (*action)(void *arg), void *arg)
{
	struct barrier *barrier = barrier_of(public);

	if (!barrier || parties < 1 || parties > INT32_MAX)
		return hilo_fail(-EINVAL, "hilo_barrier_init: barrier %p, %u parties", (void *)barrier,
				 parties);
	spin_init(&barrier->lock);
	barrier->broken = false;
	barrier->acting = false;
	barrier->parties = parties;
	barrier->count = 0;
	barrier->round = 0;
	list_init(&barrier->arrived);
	list_init(&barrier->passing);
	list_init(&barrier->early);
	barrier->action = action;
	barrier->arg = arg;
	return 0;
}

int hilo_barrier_destroy(hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);
	bool busy;

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_destroy: barrier is NULL");
	spin_lock(&barrier->lock);
	busy = barrier->count > 0 || barrier->acting;
	spin_unlock(&barrier->lock);
	return busy ? hilo_fail(-EBUSY, "hilo_barrier_destroy: somebody waits for barrier %p",
				(void *)barrier)
		    : 0;
}

/* [lock] All of @list get @answer, or their numbers if that is 0. Who is to be told is in @won then. */
static void answer_all(struct list *list, struct list *won, int answer)
{
	struct contend_node *node;
	int number = 0;

	while ((node = contend_pop(list))) {
		struct party *party = container_of(node, struct party, node);

		party->answer = answer ? answer : number++;
		(void)won_add(won, node);
	}
}

/* [lock, which is given back] This round is over: those who have arrived get @answer. */
static void round_end(struct barrier *barrier, int answer)
{
	struct list won = LIST_INIT(won);

	answer_all(&barrier->arrived, &won, answer);
	barrier->count = 0;
	barrier->round++;
	spin_unlock(&barrier->lock);
	won_tell(&won);
}

/* [last party] Run the action between two holds of the lock; the round is complete. */
static int round_act(struct barrier *barrier)
{
	struct list won = LIST_INIT(won);
	int rc;

	barrier->acting = true;
	list_splice(&barrier->passing, &barrier->arrived);
	barrier->count = 0;
	barrier->round++;
	spin_unlock(&barrier->lock);
	rc = barrier->action(barrier->arg);
	spin_lock(&barrier->lock);
	barrier->acting = false;
	if (rc < 0)
		barrier->broken = true;
	answer_all(&barrier->passing, &won, rc < 0 ? -EPIPE : 0);
	answer_all(&barrier->early, &won, ANSWER_AGAIN);
	spin_unlock(&barrier->lock);
	won_tell(&won);
	return rc;
}

/* [lock] The caller cannot go on at once: he is not the last one, or has to keep out. */
static inline bool barrier_waits(const struct barrier *barrier)
{
	return barrier->acting || (!barrier->broken && barrier->count + 1 < barrier->parties);
}

/* [lock, which is given back] Go on at once. */
static int barrier_go(struct barrier *barrier)
{
	int last = (int)barrier->parties - 1, rc;

	if (barrier->broken) {
		spin_unlock(&barrier->lock);
		return -EPIPE;
	}
	if (!barrier->action) {
		round_end(barrier, 0);
		return last;
	}
	rc = round_act(barrier);
	hilo__error_keep(rc);
	return rc < 0 ? rc : last;
}

/* [party] The wait is over, for the reason @rc, or for the answer, which comes back if there is one. */
static int party_leave(struct barrier *barrier, struct party *party, bool early, int rc)
{
	if (rc >= 0)
		return party->answer;
	spin_lock(&barrier->lock);
	if (party->answer != ANSWER_NONE && party->answer != ANSWER_AGAIN)
		rc = MUTANT(223, party->answer, rc); /* I2 */
	else if (contend_remove(&party->node) && !early && party->round == barrier->round)
		barrier->count--; /* who passes is not counted any more */
	spin_unlock(&barrier->lock);
	return rc;
}

/* [any, suspends] Be one of those who wait: the answer, or why the wait has ended early. */
static int barrier_wait(struct barrier *barrier, hilo_time deadline)
{
	struct contender contender;
	struct party party = {.answer = ANSWER_NONE};
	int rc = hilo__contend_begin(&contender, WAIT_BARRIER, barrier, deadline);
	bool early;

	if (rc < 0)
		return rc;
	spin_lock(&barrier->lock);
	if (barrier_waits(barrier)) {
		early = barrier->acting;
		party.round = barrier->round;
		contend_add(early ? &barrier->early : &barrier->arrived, &party.node, &contender, 0);
		barrier->count += !early;
		spin_unlock(&barrier->lock);
		rc = hilo__contend_wait(&contender);
		rc = party_leave(barrier, &party, early, rc);
	} else {
		/* Not from here: the action may wait. */
		spin_unlock(&barrier->lock);
		rc = ANSWER_AGAIN;
	}
	hilo__contend_end(&contender);
	return rc;
}

int hilo_barrier_wait(hilo_barrier *public, hilo_time deadline)
{
	struct barrier *barrier = barrier_of(public);
	int rc = ANSWER_AGAIN;

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_wait: barrier is NULL");
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	while (rc == ANSWER_AGAIN) {
		spin_lock(&barrier->lock);
		if (!barrier_waits(barrier)) {
			rc = barrier_go(barrier);
			break;
		}
		spin_unlock(&barrier->lock);
		rc = barrier_wait(barrier, deadline);
		if (rc < 0 && rc != ANSWER_AGAIN && rc != -EPIPE)
			return hilo__error_own(rc);
	}
	return rc == -EPIPE ? hilo_fail(-EPIPE, "hilo_barrier_wait: the barrier is broken, or was reset")
			    : rc;
}

int hilo_barrier_reset(hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_reset: barrier is NULL");
	spin_lock(&barrier->lock);
	barrier->broken = false;
	round_end(barrier, -EPIPE);
	return 0;
}

int hilo_barrier_abort(hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_abort: barrier is NULL");
	spin_lock(&barrier->lock);
	barrier->broken = true;
	round_end(barrier, -EPIPE);
	return 0;
}

unsigned hilo_barrier_parties(const hilo_barrier *public)
{
	return public ? barrier_of(public)->parties : 0;
}

unsigned hilo_barrier_n_waiting(const hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);
	unsigned count;

	if (!barrier)
		return 0;
	spin_lock(&barrier->lock);
	count = barrier->count;
	spin_unlock(&barrier->lock);
	return count;
}

int hilo_barrier_broken(const hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);
	bool broken;

	if (!barrier)
		return 0;
	spin_lock(&barrier->lock);
	broken = barrier->broken;
	spin_unlock(&barrier->lock);
	return broken;
}
