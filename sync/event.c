/* SPDX-License-Identifier: MIT */
/*
 * event.c - something that has happened, or not.
 *
 * P1  `set` is changed under the lock, with release, and read without it, with acquire. Who reads it as set
 *     returns only after he has seen the lock free, with acquire as well: then whoever has set it has let go
 *     of it, and the memory may be freed. What he may see held is a later use of the lock, too; these are short.
 *     An unlocked lock is not seen too early: who has read `set` knows that the lock was taken before.
 *
 * Who waits is told by P3 of contend_impl.h, after the last access.
 *
 * I1  `waiting` counts those who are in the list, or were taken out and not won, and are still to come for the lock, or
 *     were won by one who is still to come for it. While it is not 0 the event does not end.
 *
 * Rejected: not to take the lock where it is set already. Who clears it, then looks for what has happened, and
 * then waits, would sleep for ever if the other one, who has put something there, still saw it set: a store and a
 * load of two words, on both sides. The lock orders them.
 */
#include <hilo/sync/event.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/select_impl.h"
#include "sync/embed_impl.h"
#include "sync/won_impl.h"

struct event {
	struct spinlock lock;
	atomic(uint32_t) set; /* P1 */
	struct list waiters;  /* under lock */
	size_t waiting;	      /* I1; under lock */
};

static inline struct event *event_of(const hilo_event *event)
{
	EMBED_FITS(event, hilo_event);
	return (struct event *)event;
}

/* [any] It is set, and whoever has set it does not touch it any more: P1. */
static inline bool event_look(struct event *event)
{
	if (!MUTANT(225, load_acquire(&event->set), load_relaxed(&event->set))) /* P1 */
		return false;
	for (unsigned round = 0; MUTANT(226, load_acquire(&event->lock.held), false); round++) /* P1 */
		spin_pause(round);
	return true;
}

int hilo_event_init(hilo_event *public, unsigned flags)
{
	struct event *event = event_of(public);

	if (!event || flags & ~HILO_EVENT_SET)
		return hilo_fail(-EINVAL, "hilo_event_init: event %p, flags %#x", (void *)event, flags);
	spin_init(&event->lock);
	atomic_setup(&event->set, flags & HILO_EVENT_SET ? 1 : 0);
	list_init(&event->waiters);
	event->waiting = 0;
	return 0;
}

int hilo_event_destroy(hilo_event *public)
{
	struct event *event = event_of(public);
	bool busy;

	if (!event)
		return hilo_fail(-EINVAL, "hilo_event_destroy: event is NULL");
	spin_lock(&event->lock);
	busy = MUTANT(304, event->waiting > 0, !embed_list_empty(&event->waiters)); /* I1 */
	spin_unlock(&event->lock);
	return busy ? hilo_fail(-EBUSY, "hilo_event_destroy: somebody waits for event %p", (void *)event) : 0;
}

/* [lock] Be one of those who wait; not to be one any more. */
static void event_add(struct event *event, struct contend_node *node, struct contender *contender,
		      uint32_t number)
{
	contend_add(embed_list(&event->waiters), node, contender, number);
	event->waiting++;
}

static void event_remove(struct event *event, struct contend_node *node)
{
	(void)contend_remove(node);
	event->waiting--;
}

static int event_wait(struct event *event, hilo_time deadline)
{
	struct contender contender;
	struct contend_node node;
	int rc = hilo__contend_begin(&contender, WAIT_EVENT, event, deadline);

	if (rc < 0)
		return hilo__error_own(rc);
	spin_lock(&event->lock);
	/* relaxed: under the lock */
	if (load_relaxed(&event->set)) {
		spin_unlock(&event->lock);
		hilo__contend_end(&contender);
		return 0;
	}
	event_add(event, &node, &contender, 0);
	spin_unlock(&event->lock);
	rc = hilo__contend_wait(&contender);
	if (rc < 0) {
		spin_lock(&event->lock);
		event_remove(event, &node);
		spin_unlock(&event->lock);
	}
	hilo__contend_end(&contender);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_event_wait(hilo_event *public, hilo_time deadline)
{
	struct event *event = event_of(public);
	struct thread *self = thread_self();
	int rc;

	if (!event)
		return hilo_fail(-EINVAL, "hilo_event_wait: event is NULL");
	if (contend_is_interrupted(self))
		return hilo__error_own(-ECANCELED);
	if (event_look(event)) {
		if (deadline > 0)
			contend_was_free(self);
		return 0;
	}
	rc = contend_try_on(self, deadline);
	return rc < 0 ? hilo__error_own(rc) : event_wait(event, deadline);
}

int hilo_event_set(hilo_event *public)
{
	struct event *event = event_of(public);
	struct list all = LIST_INIT(all), won = LIST_INIT(won);
	size_t count = 0;

	if (!event)
		return hilo_fail(-EINVAL, "hilo_event_set: event is NULL");
	spin_lock(&event->lock);
	store_release(&event->set, 1); /* P1 */
	list_splice(&all, embed_list(&event->waiters));
	while (won_some(&won, &all, &count)) {
		spin_unlock(&event->lock);
		won_tell_but_last(&won);
		spin_lock(&event->lock);
	}
	event->waiting -= count;
	spin_unlock(&event->lock);
	won_tell(&won);
	return 0;
}

int hilo_event_clear(hilo_event *public)
{
	struct event *event = event_of(public);

	if (!event)
		return hilo_fail(-EINVAL, "hilo_event_clear: event is NULL");
	spin_lock(&event->lock);
	store_release(&event->set, 0); /* P1 */
	spin_unlock(&event->lock);
	return 0;
}

int hilo_event_is_set(const hilo_event *public)
{
	return public && event_look(event_of(public));
}

/* A case of a select: the node of one who waits. */

SELECT_FITS(struct contend_node);

static struct contend_node *node_of(struct select_place *place)
{
	return (struct contend_node *)place->room;
}

static struct spinlock *select_lock(void *object)
{
	return &event_of(object)->lock;
}

static bool select_seems_ready(const void *object)
{
	return load_relaxed(&event_of(object)->set); /* relaxed: a hint */
}

static enum select_looked select_look(struct select_place *place)
{
	return load_relaxed(&event_of(place->object)->set) ? SELECT_DONE
							   : SELECT_WAIT; /* relaxed: under the lock */
}

static void select_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	event_add(event_of(place->object), node_of(place), contender, number);
}

static void select_remove(struct select_place *place)
{
	event_remove(event_of(place->object), node_of(place));
}

static int select_finish(struct select_place *place)
{
	(void)place; /* it may be gone */
	return 0;
}

const hilo_select_ops hilo_select_event = {
	.lock = select_lock,
	.seems_ready = select_seems_ready,
	.look = select_look,
	.enlist = select_enlist,
	.remove = select_remove,
	.finish = select_finish,
};
