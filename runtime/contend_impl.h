/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_CONTEND_IMPL_H
#define HILO_RUNTIME_CONTEND_IMPL_H

/*
 * contend_impl.h - waiting for what one of several gets: an item, a permit, a lock, a wake-up.
 *
 * An object has lists of nodes, one for each that waits, under a lock of its own. Who has something to give
 * takes the first node out, and wins its contender for it:
 *
 *	spin_lock(&object->lock);
 *	while ((node = contend_pop(&object->getters)))
 *		if (contend_win(node, &won)) {
 *			container_of(node, struct getter, node)->item = item;
 *			break;
 *		}
 *	... nobody: it stays with the object
 *	spin_unlock(&object->lock);
 *	if (node)
 *		contend_tell(&won);
 *
 * and who wants something asks under the lock, and waits if there is nothing:
 *
 *	rc = hilo__contend_begin(&contender, WAIT_QUEUE, object, deadline);
 *	if (rc < 0)
 *		return rc;
 *	spin_lock(&object->lock);
 *	... there is something: take it, spin_unlock, hilo__contend_end, return
 *	contend_add(&object->getters, &getter.node, &contender, 0);
 *	spin_unlock(&object->lock);
 *	rc = hilo__contend_wait(&contender);
 *	if (rc < 0) {
 *		spin_lock(&object->lock);
 *		contend_remove(&getter.node);
 *		spin_unlock(&object->lock);
 *	}
 *	hilo__contend_end(&contender);
 *
 * A contender may have nodes in the lists of several objects: the first who wins it decides for which.
 *
 *	the number of the wait:  N --win, or leave--> N + 1       the task's state has it
 *	outcome:                 OPEN --tell--> the number of the node
 *
 * P1  Winning, and leaving, ends the wait in the task's state, which only one can: what is given is either kept by the
 *     giver or received by the contender, whatever comes at the same time. So a result outranks a cancel that comes
 *     after it. If it is parked it is the winner's from that step on, and does not run before it is told.
 * P2  To tell is a release store, which the contender reads with acquire: it sees what was put into its node.
 * P3  The contender returns only once it was told, and it is told after the object's lock was given back. So it
 *     may free the object: the giver does not touch it any more. It may not touch the contender or the node
 *     after telling, either: it wakes by a handle that was copied before.
 *     Between winning and telling the contender spins, if it was not parked, or was held (task_state_hold): so
 *     nothing suspends there, calls the user or asks for memory, and it is not left to another task to tell. Nor may
 *     anything suspend between hilo__contend_begin and _end but hilo__contend_wait, or hilo__wait_park of its wait:
 *     a winner may end the wait in the task's state.
 * P4  A node leaves its list under the object's lock only. If it is not the one that was won for, its contender
 *     takes that lock before the node's place is used again.
 *
 * Rejected: to win by a CAS of `outcome`, and to wake by another one, of the task's state: 8 ns more for each.
 * Rejected: a wake-up after which everybody looks again, as futexes have it. Who was woken and is cancelled then
 * has to pass the wake-up on, and whoever forgets that in one of its paths has lost it. (The rwlock does so while
 * it is not given in turns: there who looks, or leaves, ends in one place, which passes on.) And telling under the
 * lock: one store less, but who has been told and frees the object frees a lock that is held.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

/* An outcome; else the number of the node that was won for. */
#define CONTEND_OPEN UINT32_MAX

/* One that waits: a task or a plain thread. On its stack. */
struct contender {
	/* What a winner needs is in one line, mostly: these, and the head of the wait. */
	atomic(uint32_t) outcome; /* P2 */
	bool parked;		  /* the winner's: it was when it was won */
	struct wait wait;
};

/* Its place in one list. */
struct contend_node {
	struct list link; /* under the object's lock */
	struct contender *contender;
	uint32_t number; /* of the contender's nodes */
};

/* A contender that was won and is to be told. */
struct contend_won {
	struct contender *contender;
	uint32_t number;
};

/* [any] A cancel is set that counts here, so that nothing may be tried. */
static inline bool contend_is_interrupted(const struct thread *self)
{
	return self->task && task_is_interrupted(self->task);
}

/* [any] A cancel is set, whether it counts here or not: without a call. */
static inline bool contend_may_be_interrupted(const struct thread *self)
{
	return self->task && task_is_cancelled(self->task);
}

/* [task, plain thread] What was asked for was there at once; may suspend, if that has happened often. */
static inline void contend_was_free(struct thread *self)
{
	if (self->loop && self->task)
		hilo__wait_was_free(self);
}

/* [task, plain thread] The same, but that who calls it has to call hilo__leave_late himself. True: he has to. */
static inline bool contend_was_often_free(struct thread *self)
{
	return self->loop && self->task && hilo__wait_was_often_free(self);
}

/*
 * [any] What was asked for is not there: wait for it? 0; -ETIMEDOUT: @deadline has passed, so the caller need not be
 * one who could wait; -ECANCELED: so it has, but a cancel was set meanwhile.
 */
static inline int contend_try_on(const struct thread *self, hilo_time deadline)
{
	if (HILO__LIKELY(deadline == HILO_FOREVER || (deadline > 0 && hilo__clock_now() < deadline)))
		return 0;
	return contend_is_interrupted(self) ? -ECANCELED : -ETIMEDOUT;
}

/* [any] hilo__contend_begin has returned @rc, below 0, and what was asked for is not there: what the call ends with. */
static inline int contend_cannot_wait(int rc, hilo_time deadline)
{
	return deadline > 0 ? rc : -ETIMEDOUT;
}

/* [any] Before the first node. 0; -ECANCELED: a cancel is set; -EDEADLK: a callback; -ENOMEM. */
static inline int hilo__contend_begin(struct contender *contender, enum wait_kind kind, const void *object,
				      hilo_time deadline)
{
	atomic_setup(&contender->outcome, CONTEND_OPEN);
	return wait_begin(&contender->wait, kind, object, deadline);
}

/* [contender, holds the object's lock] Be the last in @list. */
static inline void contend_add(struct list *list, struct contend_node *node, struct contender *contender,
			       uint32_t number)
{
	node->contender = contender;
	node->number = number;
	list_init(&node->link);
	list_add_tail(list, &node->link);
}

/* [holds the object's lock] Out of its list, if it is in one. True: it was. */
static inline bool contend_remove(struct contend_node *node)
{
	bool linked = !list_empty(&node->link);

	list_del(&node->link);
	return linked;
}

/* [holds the object's lock] The first of @list, taken out; NULL: there is none. */
static inline struct contend_node *contend_pop(struct list *list)
{
	struct list *link = list_pop_first(list);

	return link ? list_entry(link, struct contend_node, link) : NULL;
}

/*
 * [any, and the contender cannot be gone: mostly by the object's lock, under which @node was in its list] Win it.
 * False: it has left, or somebody else has won it, and the node may be forgotten. True: it has to be told, after the
 * lock was given back; what it gets is put into its node before. Of a node that stays in the list the contender is not
 * told before it was taken out.
 */
static inline bool contend_win(const struct contend_node *node, struct contend_won *ret)
{
	struct contender *contender = node->contender;
	const struct wait *wait = &contender->wait;

	ret->contender = contender;
	ret->number = node->number;
	return task_state_win(&wait->task->state, wait->episode, &contender->parked); /* P1 */
}

/*
 * [who has won, holds no lock] Tell and wake it, for the last time in this wait. Nothing of it may be touched
 * afterwards: P3.
 */
static inline void contend_tell(const struct contend_won *won)
{
	struct hilo_task *task = won->contender->wait.task;
	bool parked = won->contender->parked;

	MUTANT(171, store_release(&won->contender->outcome, won->number),
	       store_relaxed(&won->contender->outcome, won->number)); /* P2 */
	if (HILO__LIKELY(parked))
		hilo__task_woken(task);
}

/*
 * [contender, holds the lock of the only object that it waits for] Nobody has won it. A hint without the lock, but
 * when it says no that stays so.
 */
static inline bool contend_is_open(const struct contender *contender)
{
	const struct wait *wait = &contender->wait;

	/* relaxed: who wins does so under the lock, and what it brings is seen when it is told, P2 */
	return task_state_episode(load_relaxed(&wait->task->state)) == wait->episode;
}

/*
 * [contender, suspends] Wait until won. The number of the node that was won for; else -ECANCELED, -ETIMEDOUT: it has
 * left, and nobody wins it any more. Nodes that were not won for have to be removed, P4.
 */
int hilo__contend_wait(struct contender *contender);

/* [contender, suspends] The same, with the common case inline: it has to wait, and is won then. */
static inline int contend_wait(struct contender *contender)
{
	uint32_t outcome;

	/* If it was won already it was notified, and does not park. An early end is told again: the wait goes on. */
	(void)hilo__wait_park(&contender->wait);
	outcome = load_acquire(&contender->outcome); /* P2 */
	return HILO__LIKELY(outcome != CONTEND_OPEN) ? (int)outcome : hilo__contend_wait(contender);
}

/* [contender] After hilo__contend_begin that has returned 0, in any case. */
static inline void hilo__contend_end(struct contender *contender)
{
	wait_end(&contender->wait);
}

/*
 * [holds @lock, which is given back] Win and tell all that are in @list now, in order; nobody who comes later.
 * If a contender that was told may free the object, all that are in @list at the call must have returned before.
 */
void hilo__contend_tell_all(struct list *list, struct spinlock *lock);

/*
 * [holds @lock, which is given back] The same, and @give puts into each node what it gets: called under the lock, which
 * may have been given back and taken again between two of them.
 */
void hilo__contend_give_all(struct list *list, struct spinlock *lock,
			    void (*give)(struct contend_node *node));

#endif /* HILO_RUNTIME_CONTEND_IMPL_H */
