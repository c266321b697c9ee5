/* SPDX-License-Identifier: MIT */
/* broadcast.c - making a channel, sending, subscribing and leaving. What holds is in broadcast_impl.h. */
#include "sync/broadcast_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "runtime/error_impl.h"

#define CAPACITY_MAX ((size_t)1 << 30)
/* So many items are dropped between two holds of the lock. */
#ifdef HILO_EXPLORE
#define DROP_BATCH 1
#else
#define DROP_BATCH 16
#endif

/* [lock, given back] One holder less; the last one frees it. */
static void broadcast_unlock_put(hilo_broadcast *b)
{
	bool last = --b->channel.holders == 0;

	spin_unlock(&b->channel.lock); /* P1 */
	if (!last)
		return;
	shares_free(&b->channel.shares);
	hilo__free(b);
}

/* [lock, somebody is subscribed] Put @item in, overwriting the oldest one if there is no room. */
static void ring_push(hilo_broadcast *b, void *item, struct dropped *ret)
{
	struct share *share;

	/* One is dropped at most: what nobody holds becomes spare, and is taken. */
	if (broadcast_count(b) == b->capacity)
		ring_pop(b, ret);
	share = share_take(&b->channel.shares, item, ret); /* I2 */
	share->left = b->receivers;
	b->ring[b->end++ & b->mask] = share;
}

/* [lock, given back] All who wait have something: an item, or a shutdown. Afterwards @b may be gone. */
static void broadcast_give(hilo_broadcast *b)
{
	struct contend_won won = {0};

	if (list_empty(&b->channel.waiting)) {
		spin_unlock(&b->channel.lock); /* P1 */
		return;
	}
	MUTANT(255, b->channel.holders++, b->channel.holders); /* I1 of channel_impl.h */
	hilo__contend_give_all(&b->channel.waiting, &b->channel.lock, hilo__receive_give);
	spin_lock(&b->channel.lock); /* P1 */
	while (broadcast_grant(b, &won)) {
		spin_unlock(&b->channel.lock); /* P1 */
		contend_tell(&won);
		spin_lock(&b->channel.lock); /* P1 */
	}
	MUTANT(255, broadcast_unlock_put(b), spin_unlock(&b->channel.lock)); /* P1 */
}

hilo_broadcast *hilo_broadcast_new(size_t capacity, void (*drop)(void *item))
{
	hilo_broadcast *b;
	size_t room = 1;

	if (!capacity || capacity > CAPACITY_MAX) {
		(void)hilo_fail(-EINVAL, "hilo_broadcast_new: a capacity of %zu", capacity);
		return NULL;
	}
	while (room < capacity)
		room *= 2;
	b = hilo__calloc(1, sizeof(*b) + room * sizeof(b->ring[0]));
	if (!b)
		return NULL;
	channel_init(&b->channel, drop);
	list_init(&b->senders);
	b->capacity = (uint32_t)capacity;
	b->mask = (uint32_t)(room - 1);
	for (size_t i = 0; i < capacity; i++)
		if (!channel_add_share(&b->channel)) {
			shares_free(&b->channel.shares);
			hilo__free(b);
			return NULL;
		}
	debug_opened_here(&b->channel.open, DEBUG_BROADCAST, __builtin_return_address(0));
	return b;
}

/* [holder] */
static void broadcast_shut(hilo_broadcast *b)
{
	spin_lock(&b->channel.lock); /* P1 */
	b->channel.shut = true;
	b->channel.holders++; /* I1 of channel_impl.h */
	hilo__contend_tell_all(&b->senders, &b->channel.lock);
	spin_lock(&b->channel.lock); /* P1 */
	hilo__contend_give_all(&b->channel.waiting, &b->channel.lock, hilo__receive_give);
	spin_lock(&b->channel.lock); /* P1 */
	broadcast_unlock_put(b);
}

int hilo_broadcast_shutdown(hilo_broadcast *b)
{
	if (!b)
		return -ENOMEM;
	broadcast_shut(b);
	return 0;
}

void hilo_broadcast_free(hilo_broadcast *b)
{
	if (!b)
		return;
	debug_ended(&b->channel.open);
	broadcast_shut(b);
	spin_lock(&b->channel.lock); /* P1 */
	broadcast_unlock_put(b);
}

/* [lock, given back] Send: the channel is open. *@ret is to be dropped; afterwards @b may be gone. */
static int broadcast_send(hilo_broadcast *b, void *item, struct dropped *ret)
{
	uint32_t receivers = b->receivers;

	if (receivers) {
		ring_push(b, item, ret);
		broadcast_give(b);
	} else {
		*ret = (struct dropped){item, true};
		spin_unlock(&b->channel.lock); /* P1 */
	}
	return receivers > INT_MAX ? INT_MAX : (int)receivers;
}

int hilo_broadcast_send(hilo_broadcast *b, void *item)
{
	void (*drop)(void *item) = b ? b->channel.drop : NULL;
	struct dropped dropped = {0};
	int rc;

	if (!b)
		return -ENOMEM;
	spin_lock(&b->channel.lock); /* P1 */
	if (b->channel.shut) {
		spin_unlock(&b->channel.lock); /* P1 */
		return hilo__error_own(-EPIPE);
	}
	rc = broadcast_send(b, item, &dropped);
	dropped_drop(&dropped, drop);
	return rc;
}

/* [lock, whose wait is over with @rc] 0: use the place that was promised. */
static int sender_leave(hilo_broadcast *b, struct sender *sender, int rc, struct contend_won *ret,
			bool *ret_won)
{
	if (rc < 0) {
		(void)contend_remove(&sender->node);
		return rc;
	}
	if (sender->code < 0)
		return sender->code;
	b->granted--;
	if (b->channel.shut)
		return -EPIPE;
	if (!b->receivers)
		*ret_won = MUTANT(252, broadcast_grant(b, ret), false); /* I4 */
	return 0;
}

/* [lock, given back; who waits, whose contender has begun] Wait for a place, and send. As broadcast_send. */
static int broadcast_wait_send(hilo_broadcast *b, void *item, struct contender *contender,
			       struct dropped *ret)
{
	struct sender sender = {.code = -EPIPE};
	struct contend_won won = {0};
	bool is_won = false;
	int rc;

	b->channel.holders++; /* I1 of channel_impl.h */
	contend_add(&b->senders, &sender.node, contender, 0);
	spin_unlock(&b->channel.lock); /* P1 */
	rc = hilo__contend_wait(contender);
	hilo__contend_end(contender);
	spin_lock(&b->channel.lock); /* P1 */
	rc = sender_leave(b, &sender, rc, &won, &is_won);
	if (rc == 0) {
		rc = broadcast_send(b, item, ret);
		spin_lock(&b->channel.lock); /* P1 */
	}
	broadcast_unlock_put(b);
	if (is_won)
		contend_tell(&won);
	return rc;
}

/* [lock] Nobody has to be waited for. */
static bool broadcast_has_room(const hilo_broadcast *b)
{
	return !b->receivers || (broadcast_count(b) + b->granted < b->capacity && list_empty(&b->senders));
}

/* As hilo_broadcast_send_wait. *@ret is to be dropped. */
static int send_wait(hilo_broadcast *b, void *item, hilo_time deadline, struct dropped *ret)
{
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_BROADCAST, b, deadline);
	bool may_wait = rc == 0;

	/* Where nobody may wait, or cannot, it is tried all the same. */
	if (rc == -ECANCELED)
		return rc;
	spin_lock(&b->channel.lock); /* P1 */
	if (!b->channel.shut && !broadcast_has_room(b) && may_wait && deadline > 0)
		return broadcast_wait_send(b, item, &contender, ret);
	if (!b->channel.shut && broadcast_has_room(b)) {
		rc = broadcast_send(b, item, ret);
	} else {
		rc = b->channel.shut ? -EPIPE : contend_cannot_wait(rc, deadline);
		spin_unlock(&b->channel.lock); /* P1 */
	}
	if (may_wait)
		hilo__contend_end(&contender);
	return rc;
}

int hilo_broadcast_send_wait(hilo_broadcast *b, void *item, hilo_time deadline)
{
	void (*drop)(void *item) = b ? b->channel.drop : NULL;
	struct dropped dropped = {0};
	int rc = b ? send_wait(b, item, deadline, &dropped) : -ENOMEM;

	dropped_drop(&dropped, drop);
	if (rc < 0)
		return b ? hilo__error_own(rc) : rc;
	if (deadline > 0)
		contend_was_free(thread_self());
	return rc;
}

hilo_receiver *hilo_broadcast_subscribe(hilo_broadcast *b)
{
	struct subscriber *subscriber;
	struct share *share = subscriber_new(b ? &b->channel : NULL, sizeof(hilo_receiver), &subscriber);
	hilo_receiver *receiver;

	if (!share)
		return NULL;
	receiver = container_of(subscriber, hilo_receiver, subscriber);
	spin_lock(&b->channel.lock);		/* P1 */
	share_spare(&b->channel.shares, share); /* I2 */
	b->channel.holders++;
	b->receivers++;
	receiver->next = b->end;
	spin_unlock(&b->channel.lock); /* P1 */
	return receiver;
}

/* What one who leaves has to do. */
struct leaving {
	size_t to_drop, to_grant; /* at most: so many have left the ring */
	unsigned dropped_n, won_n;
	struct dropped dropped[DROP_BATCH]; /* after this hold of the lock */
	struct contend_won won[DROP_BATCH];
};

/* [lock] Pass all that it has not seen. What nobody has to see any more leaves the ring. */
static void receiver_pass_all(hilo_receiver *receiver, struct leaving *leaving)
{
	hilo_broadcast *b = receiver_channel(receiver);
	uint64_t next = receiver->next > b->first ? receiver->next : b->first;

	b->receivers--; /* I1: what is sent after this hold of the lock is not for it */
	MUTANT(256, (void)0, (spin_unlock(&b->channel.lock), spin_lock(&b->channel.lock)));
	for (; next < b->end; next++) {
		struct share *share = b->ring[next & b->mask];

		if (MUTANT(340, --share->left, share->left))
			continue;
		b->first = next + 1; /* those before are gone already */
		leaving->to_grant++;
		leaving->to_drop += share_doom(&b->channel.shares, share);
	}
}

/* [lock] Take some of what it has to do. False: nothing is left. */
static bool leaving_take(hilo_broadcast *b, struct leaving *leaving)
{
	leaving->dropped_n = leaving->won_n = 0;
	while (leaving->to_grant && leaving->won_n < DROP_BATCH &&
	       broadcast_grant(b, &leaving->won[leaving->won_n])) {
		leaving->won_n++;
		leaving->to_grant--;
	}
	while (leaving->to_drop && leaving->dropped_n < DROP_BATCH &&
	       share_undoom(&b->channel.shares, &leaving->dropped[leaving->dropped_n])) {
		leaving->dropped_n++;
		leaving->to_drop--;
	}
	return leaving->won_n == DROP_BATCH || leaving->dropped_n == DROP_BATCH;
}

/* [no lock] */
static void leaving_finish(const struct leaving *leaving, void (*drop)(void *item))
{
	for (unsigned i = 0; i < leaving->won_n; i++)
		contend_tell(&leaving->won[i]);
	for (unsigned i = 0; i < leaving->dropped_n; i++)
		dropped_drop(&leaving->dropped[i], drop);
}

/* The first and the last hold of the lock may be one. */
int hilo_broadcast_unsubscribe(hilo_receiver *receiver)
{
	hilo_broadcast *b = receiver ? receiver_channel(receiver) : NULL;
	void (*drop)(void *item) = b ? b->channel.drop : NULL;
	struct leaving leaving = {0};
	struct dropped last = {0}, doomed = {0};
	struct share *share;

	if (!b)
		return 0;
	spin_lock(&b->channel.lock); /* P1 */
	if (receiver->subscriber.waiting) {
		spin_unlock(&b->channel.lock); /* P1 */
		return hilo_fail(-EBUSY, "hilo_broadcast_unsubscribe: somebody waits with receiver %p",
				 (void *)receiver);
	}
	subscriber_let_go(&receiver->subscriber, &last);
	receiver_pass_all(receiver, &leaving);
	while (leaving_take(b, &leaving)) {
		spin_unlock(&b->channel.lock); /* P1 */
		leaving_finish(&leaving, drop);
		spin_lock(&b->channel.lock); /* P1 */
	}
	share = share_pop(&b->channel.shares, &doomed); /* I2 */
	broadcast_unlock_put(b);
	leaving_finish(&leaving, drop);
	dropped_drop(&last, drop);
	dropped_drop(&doomed, drop);
	hilo__free(share);
	hilo__free(receiver);
	return 0;
}

size_t hilo_broadcast_receivers(hilo_broadcast *b)
{
	size_t n = 0;

	if (b) {
		spin_lock(&b->channel.lock); /* P1 */
		n = b->receivers;
		spin_unlock(&b->channel.lock); /* P1 */
	}
	return n;
}
