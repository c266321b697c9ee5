/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_CHANNEL_IMPL_H
#define HILO_SYNC_CHANNEL_IMPL_H

/*
 * channel_impl.h - what broadcast and watch have in common: shared values, subscribers that look at one each, who waits
 * for the next.
 *
 * I1  A channel lives while somebody holds it: its owner, each subscriber, and who gives to many.
 * I2  A subscriber holds one value at most, the last that it has got.
 * P1  The lock orders all that is under it (P1 of lock.h); what is given to who waits is seen by P2 of
 *     contend_impl.h, so that he need not take the lock.
 */
#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"
#include "runtime/select_impl.h"
#include "sync/share_impl.h"

/* The first member of what is a channel. */
struct channel {
	struct spinlock lock;
	bool shut;
	uint32_t holders;     /* I1 */
	struct list waiting;  /* of struct arrival: all that wait for the next value */
	struct shares shares; /* share_impl.h */
	void (*drop)(void *value);
	struct debug_mark open; /* the owner's */
};

/* The first member of a receiver, or a watcher. */
struct subscriber {
	struct channel *channel;
	struct share *held; /* I2; NULL: none */
	uint32_t waiting;   /* nodes in the list: one, or those of one select */
};

/* The first member of one call that looks for a value. */
struct arrival {
	struct contend_node node;
	struct subscriber *subscriber;
	void *value;
	int code;
	struct dropped dropped; /* the last value of the subscriber */
};

/* [creator] Held by its owner. */
static inline void channel_init(struct channel *channel, void (*drop)(void *value))
{
	spin_init(&channel->lock);
	list_init(&channel->waiting);
	channel->holders = 1;
	channel->drop = drop;
}

/* [creator] A share for one more who may hold a value. False: no memory. */
static inline bool channel_add_share(struct channel *channel)
{
	struct share *share = share_new();

	if (share)
		share_spare(&channel->shares, share);
	return share != NULL;
}

/* [any] What subscribes to @channel; of @size. NULL: no memory, or no channel. */
static inline struct share *subscriber_new(struct channel *channel, size_t size, struct subscriber **ret)
{
	struct subscriber *subscriber = channel ? hilo__calloc(1, size) : NULL;
	struct share *share = subscriber ? share_new() : NULL;

	if (!share) {
		hilo__free(subscriber);
		return NULL;
	}
	subscriber->channel = channel;
	*ret = subscriber;
	return share;
}

/* [lock] Let the last value go. */
static inline void subscriber_let_go(struct subscriber *subscriber, struct dropped *ret)
{
	if (!subscriber->held)
		return;
	share_put(&subscriber->channel->shares, subscriber->held, ret);
	subscriber->held = NULL;
}

static inline void arrival_init(struct arrival *arrival, struct subscriber *subscriber)
{
	arrival->subscriber = subscriber;
	arrival->dropped.there = false;
}

/* [lock] Be among those who wait. */
static inline void arrival_enlist(struct arrival *arrival, struct contender *contender, uint32_t number)
{
	contend_add(&arrival->subscriber->channel->waiting, &arrival->node, contender, number);
	arrival->subscriber->waiting++;
}

/* [lock] Not won. */
static inline void arrival_remove(struct arrival *arrival)
{
	(void)contend_remove(&arrival->node);
	arrival->subscriber->waiting--;
}

/* [lock, given back; who waits, whose contender has begun] */
static inline void arrival_wait(struct arrival *arrival, struct contender *contender)
{
	struct spinlock *lock = &arrival->subscriber->channel->lock;
	int rc;

	arrival_enlist(arrival, contender, 0);
	spin_unlock(lock); /* P1 */
	rc = hilo__contend_wait(contender);
	if (rc < 0) {
		spin_lock(lock); /* P1 */
		arrival_remove(arrival);
		spin_unlock(lock); /* P1 */
		arrival->code = rc;
	}
}

/* The functions of a select that are the same for both; its object is a subscriber, and the place has an arrival. */

static inline struct spinlock *channel_select_lock(void *object)
{
	return &((struct subscriber *)object)->channel->lock;
}

static inline void channel_select_enlist(struct select_place *place, struct contender *contender,
					 uint32_t number)
{
	arrival_enlist((struct arrival *)(void *)place->room, contender, number);
}

static inline void channel_select_remove(struct select_place *place)
{
	arrival_remove((struct arrival *)(void *)place->room);
}

#endif /* HILO_SYNC_CHANNEL_IMPL_H */
