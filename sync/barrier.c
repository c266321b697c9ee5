/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - parties that wait for each other.
 *
 *	FILLING --last arrives, no action--> FILLING, the next round
 *	FILLING --last arrives--> ACTING --action has ended--> FILLING, or broken
 *
 * I1  A round is passed by all that have arrived or by nobody: the last one wins all of them under one hold of the
 *     lock. One whose wait has ended by then cannot be won and has not arrived: it is taken out, those who were won
 *     before are told to begin again, and the one that came last waits as they do. With an action it is different: I3.
 * I2  So a party that was decided for has its answer in its node, is told, and does not come for the lock again, but to
 *     begin again: `again` counts those until they are in a list or have their answer. Who is not in a list any more
 *     and was not won comes, too: `leaving` counts them. While one of the two is not 0 the barrier does not end.
 * I3  Those who have passed may free the barrier, when they are told. With an action they are won when it has ended,
 *     and may leave before: who has is still to come for the lock, and nobody is told before he has done so. He is on
 *     his way, so this takes no longer than a lock that is held.
 * I4  Who had arrived and is to begin again is still one of the round that a reset sends away: he compares `resets`
 *     with what it was when he arrived, each time that he has the lock. After an abort he finds the barrier broken.
 *
 * What a round leaves for the next one is an empty list. asyncio's barrier drains: it keeps others out until all
 * have left, since its parties find out by themselves that they are through. Here each is told, so there is nothing
 * to drain. Only while an action runs, new ones wait in `early`, are woken when it has ended, and begin again: they
 * hold nothing, so one that is cancelled then loses nothing.
 *
 * When an answer was told the object is not touched any more: P3 of contend_impl.h.
 *
 * Rejected: to decide for a party whose wait has ended, which finds that when it takes itself out. It takes the lock
 * of a barrier that the others have passed, and perhaps freed. And to keep those who have arrived from leaving while
 * an action runs: it may take its time, and a cancel should not.
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
	unsigned leaving;    /* I2 */
	unsigned again;	     /* I2 */
	unsigned resets;     /* I4; how often it was reset */
	struct list arrived; /* this round */
	struct list passing; /* the round that is complete, while the action runs */
	struct list early;   /* who came meanwhile */
	int (*action)(void *arg);
	void *arg;
};

/* Begin again. No code: those are above. */
#define ANSWER_NONE INT32_MIN

/* One call. */
struct party {
	struct contend_node node;
	int answer;	 /* I2 */
	bool counted;	 /* it is in arrived; or was, and is to begin again */
	bool again;	 /* it is one of barrier->again; before it is told */
	unsigned resets; /* I4; if counted */
};

static inline struct party *party_of(struct list *link)
{
	return list_entry(link, struct party, node.link);
}

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
	barrier->leaving = 0;
	barrier->again = 0;
	barrier->resets = 0;
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
	busy = barrier->count > 0 || barrier->acting || MUTANT(302, barrier->leaving > 0, false) ||
	       MUTANT(370, barrier->again > 0, false); /* I2 */
	spin_unlock(&barrier->lock);
	return busy ? hilo_fail(-EBUSY, "hilo_barrier_destroy: somebody waits for barrier %p",
				(void *)barrier)
		    : 0;
}

/* [lock] It is to begin again. */
static inline void party_again(struct barrier *barrier, struct party *party)
{
	party->answer = ANSWER_NONE;
	party->again = true;
	barrier->again++;
}

/* [lock, the party] It is in a list, or has its answer, and does not come for the lock again. */
static inline void party_begun(struct barrier *barrier, struct party *party)
{
	barrier->again -= party->again;
	party->again = false;
}

/* [lock, the party] It had arrived, and its round was sent away: I4. */
static inline bool party_is_dropped(const struct barrier *barrier, const struct party *party)
{
	return party->again && party->counted && MUTANT(371, party->resets != barrier->resets, false);
}

/* [lock] All of @list get @answer. Who is to be told is in @won then. */
static void answer_all(struct barrier *barrier, struct list *list, struct list *won, int answer)
{
	struct contend_node *node;

	while ((node = contend_pop(list))) {
		struct party *party = container_of(node, struct party, node);

		party->answer = answer;
		if (!won_add(won, node))
			barrier->leaving++; /* I2 */
		else if (answer == ANSWER_NONE)
			party_again(barrier, party);
	}
}

/* [lock] Those of @won, who were not decided for, are to begin again. */
static void won_again(struct barrier *barrier, struct list *won)
{
	struct list *link;

	list_for_each (link, won)
		party_again(barrier, party_of(link));
}

/*
 * [lock] Win all that have arrived, each with its number, or nobody: then less have arrived than it seemed. I1. Who
 * is to be told is in @won.
 */
static bool arrived_win(struct barrier *barrier, struct list *won)
{
	struct contend_node *node;
	int number = 0;

	while ((node = contend_pop(&barrier->arrived))) {
		barrier->count--;
		if (MUTANT(223, !won_add(won, node), (won_add(won, node), false))) {
			barrier->leaving++; /* I2 */
			MUTANT(300, won_again(barrier, won), (void)0);
			return false;
		}
		container_of(node, struct party, node)->answer = number++;
	}
	return true;
}

/* [last party; the lock, which is given back] Pass: its number. ANSWER_NONE: it is not the last one after all. */
static int round_pass(struct barrier *barrier, struct party *party)
{
	struct list won = LIST_INIT(won);
	int last = (int)barrier->parties - 1;
	bool complete = arrived_win(barrier, &won);

	if (complete)
		party_begun(barrier, party);
	spin_unlock(&barrier->lock);
	won_tell(&won);
	return complete ? last : ANSWER_NONE;
}

/* [lock] The action begins: those who have arrived wait on, and may leave. */
static void action_begin(struct barrier *barrier)
{
	struct list *link;
	int number = 0;

	list_for_each (link, &barrier->arrived) {
		party_of(link)->counted = false;
		party_of(link)->answer = number++;
	}
	list_splice(&barrier->passing, &barrier->arrived);
	barrier->count = 0;
	barrier->acting = true;
}

/* [lock, perhaps not all the time] The action has ended: win, for @won, those who have not left. */
static void action_end(struct barrier *barrier, struct list *won, int rc)
{
	struct list *link, *next;

	list_for_each_safe(link, next, &barrier->passing)
	{
		struct party *party = party_of(link);
		struct contend_won one;

		if (!contend_win(&party->node, &one))
			continue;
		if (rc < 0)
			party->answer = -EPIPE;
		list_del(link);
		list_add_tail(won, link);
	}
	for (unsigned round = 0; MUTANT(301, !list_empty(&barrier->passing), false); round++) { /* I3 */
		spin_unlock(&barrier->lock);
		spin_pause(round);
		spin_lock(&barrier->lock);
	}
	barrier->acting = false;
	if (rc < 0)
		barrier->broken = true;
}

/* [last party; the lock, which is given back] Run the action, and pass. Its number, or a failure. */
static int round_act(struct barrier *barrier, struct party *party)
{
	struct list won = LIST_INIT(won);
	int last = (int)barrier->parties - 1, rc;

	action_begin(barrier);
	party_begun(barrier, party);
	spin_unlock(&barrier->lock);
	rc = barrier->action(barrier->arg);
	spin_lock(&barrier->lock);
	action_end(barrier, &won, rc);
	answer_all(barrier, &barrier->early, &won, barrier->broken ? -EPIPE : ANSWER_NONE);
	spin_unlock(&barrier->lock);
	won_tell(&won);
	hilo__error_keep(rc);
	return rc < 0 ? rc : last;
}

/* [lock] Whoever comes now cannot go on at once: he is not the last one, or has to keep out. */
static inline bool barrier_waits(const struct barrier *barrier)
{
	return !barrier->broken && (barrier->acting || barrier->count + 1 < barrier->parties);
}

/* [any] Go on at once, if that can be done; ANSWER_NONE: it cannot. */
static int barrier_try(struct barrier *barrier, struct party *party)
{
	int rc = ANSWER_NONE;

	spin_lock(&barrier->lock);
	if (barrier->broken || party_is_dropped(barrier, party)) {
		party_begun(barrier, party);
		rc = -EPIPE;
	} else if (!barrier_waits(barrier)) {
		return barrier->action ? round_act(barrier, party) : round_pass(barrier, party);
	}
	spin_unlock(&barrier->lock);
	return rc;
}

/* [party] It was to begin again, and does not. */
static void party_give_up(struct barrier *barrier, struct party *party)
{
	spin_lock(&barrier->lock);
	party_begun(barrier, party);
	spin_unlock(&barrier->lock);
}

/* [lock, party] Be one of those who wait. */
static void party_add(struct barrier *barrier, struct party *party, struct contender *contender)
{
	party_begun(barrier, party);
	party->counted = !barrier->acting;
	party->resets = barrier->resets;
	barrier->count += party->counted;
	contend_add(party->counted ? &barrier->arrived : &barrier->early, &party->node, contender, 0);
}

/* [party] Its wait has ended and was not decided for: it has gone. */
static void party_leave(struct barrier *barrier, struct party *party)
{
	spin_lock(&barrier->lock);
	if (!contend_remove(&party->node))
		barrier->leaving--;
	else if (party->counted)
		barrier->count--;
	spin_unlock(&barrier->lock);
}

/* [any, suspends] Be one of those who wait: the answer; why the wait has ended early; or ANSWER_NONE: look again. */
static int barrier_wait(struct barrier *barrier, struct party *party, hilo_time deadline)
{
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_BARRIER, barrier, deadline);

	if (rc < 0)
		return rc;
	spin_lock(&barrier->lock);
	if (barrier_waits(barrier) && !party_is_dropped(barrier, party)) {
		party_add(barrier, party, &contender);
		spin_unlock(&barrier->lock);
		rc = hilo__contend_wait(&contender);
		if (rc < 0)
			party_leave(barrier, party);
		else
			rc = party->answer;
	} else {
		/* Not from here: the action may wait. */
		spin_unlock(&barrier->lock);
		rc = ANSWER_NONE;
	}
	hilo__contend_end(&contender);
	return rc;
}

/* [any, suspends] Arrive, however often that takes; *@at_once: it took no waiting. */
static int barrier_arrive(struct barrier *barrier, hilo_time deadline, bool *at_once)
{
	struct party party = {.answer = ANSWER_NONE};
	int rc = barrier_try(barrier, &party);

	*at_once = rc != ANSWER_NONE;
	while (rc == ANSWER_NONE) {
		rc = contend_try_on(thread_self(), deadline);
		if (rc == 0)
			rc = barrier_wait(barrier, &party, deadline);
		if (rc == ANSWER_NONE) {
			rc = barrier_try(barrier, &party);
		} else if (rc < 0 && rc != -EPIPE) {
			if (party.again)
				party_give_up(barrier, &party);
			return hilo__error_own(rc);
		}
	}
	return rc == -EPIPE ? hilo_fail(-EPIPE, "hilo_barrier_wait: the barrier is broken, or was reset")
			    : rc;
}

int hilo_barrier_wait(hilo_barrier *public, hilo_time deadline)
{
	struct barrier *barrier = barrier_of(public);
	bool at_once;
	int rc;

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_wait: barrier is NULL");
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	rc = barrier_arrive(barrier, deadline, &at_once);
	if (at_once && deadline > 0)
		contend_was_free(thread_self()); /* the action may have moved us */
	return rc;
}

/* [lock, which is given back] Those who have arrived are sent away. @won: others who are to be told, too. */
static void round_drop(struct barrier *barrier, struct list *won)
{
	answer_all(barrier, &barrier->arrived, won, -EPIPE);
	barrier->count = 0;
	spin_unlock(&barrier->lock);
	won_tell(won);
}

int hilo_barrier_reset(hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);
	struct list won = LIST_INIT(won);

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_reset: barrier is NULL");
	spin_lock(&barrier->lock);
	barrier->broken = false;
	barrier->resets++; /* I4 */
	round_drop(barrier, &won);
	return 0;
}

int hilo_barrier_abort(hilo_barrier *public)
{
	struct barrier *barrier = barrier_of(public);
	struct list won = LIST_INIT(won);

	if (!barrier)
		return hilo_fail(-EINVAL, "hilo_barrier_abort: barrier is NULL");
	spin_lock(&barrier->lock);
	barrier->broken = true;
	answer_all(barrier, &barrier->early, &won, -EPIPE);
	round_drop(barrier, &won);
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
