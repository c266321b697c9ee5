/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_BROADCAST_IMPL_H
#define HILO_SYNC_BROADCAST_IMPL_H

/*
 * broadcast_impl.h - a broadcast channel from inside: sending and leaving are in broadcast.c, receiving is in
 * broadcast_receive.c.
 *
 * Items have numbers, from 0; those from `first` to `end` are in the ring. A receiver is a number, that of the
 * item that it gets next.
 *
 * I1  An item's share has `left`, the receivers that were there when it was sent and have not passed it. They pass in
 *     order, and none goes before it has passed all. So whoever has still to see the oldest item has to see all
 *     later ones; an item that nobody has still to see is at the front, and leaves the ring at once. An item
 *     is held by the ring, and by each receiver that has it as its last.
 * I2  There is a share for each place in the ring and for each receiver, which holds one at most: so one is spare
 *     whenever the ring has a free place. It may be a doomed one: who leaves passes all that it has not seen in one
 *     hold of the lock, and drops what nobody else has to see afterwards, some between two holds. Whoever finds
 *     no other spare one meanwhile drops its item in his place.
 * I3  Who waits has seen everything: `next` is `end`. A send takes all who wait out of the list, in one step, and
 *     gives to each what is next for it, which is the item just sent, or, if that was overwritten before its
 *     turn, the news that it was.
 * I4  `granted` places in the ring are promised to senders that have waited, were won, and have not put their item in
 *     yet. They come for it, whatever happens. If there is nothing to put it in for, the promise is passed on.
 * How long it lives, and the order of memory: I1 and P1 of channel_impl.h.
 *
 * 1000 receivers that wait are woken by one send, as they must, but none of them goes for the lock to get its
 * item, and the sender holds it for 16 of them at a time.
 *
 * Rejected: to pass some, drop them, pass more. Who leaves has to count as a receiver until it has passed all,
 * because of I1, so that what is sent meanwhile is for it, too. Where senders are as fast as `drop` is, it never
 * gets away.
 * Rejected: copies of a fixed size in the ring. A receiver that is behind would have to copy under the lock, and what
 * is in a copy can be given up by nobody. Rejected: counts of holders that are atomic, without the lock. A
 * receiver comes for the lock anyway, to wait; to let its last item go in the same hold is cheaper.
 */
#include <hilo/sync/broadcast.h>

#include "sync/channel_impl.h"

struct hilo_broadcast {
	struct channel channel; /* its shares: I2; who waits: struct receive */
	uint32_t receivers;
	uint32_t granted; /* I4 */
	uint32_t capacity, mask;
	uint64_t first, end;
	struct list senders;  /* of struct sender */
	struct share *ring[]; /* a power of two */
};

struct hilo_receiver {
	struct subscriber subscriber;
	uint64_t next;
	uint64_t missed;
};

/* One that waits for a place. */
struct sender {
	struct contend_node node;
	int code;
};

static inline hilo_broadcast *receiver_channel(const hilo_receiver *receiver)
{
	return container_of(receiver->subscriber.channel, struct hilo_broadcast, channel);
}

static inline size_t broadcast_count(const hilo_broadcast *b)
{
	return (size_t)(b->end - b->first);
}

/* [lock] Promise a free place to the first sender, if there are both. True: he is to be told, at once. */
static inline bool broadcast_grant(hilo_broadcast *b, struct contend_won *ret)
{
	struct contend_node *node;

	while (broadcast_count(b) + b->granted < b->capacity && (node = contend_pop(&b->senders))) {
		if (!contend_win(node, ret))
			continue;
		container_of(node, struct sender, node)->code = 0;
		b->granted++;
		return true;
	}
	return MUTANT(257, false, ret->contender != NULL); /* it may be one that has left */
}

/* [lock] Take the oldest item out of the ring. */
static inline void ring_pop(hilo_broadcast *b, struct dropped *ret)
{
	share_put(&b->channel.shares, b->ring[b->first++ & b->mask], ret);
}

/* [lock] @receiver passes the next item, which is in the ring. True: it was the last to, and it has left the ring. */
static inline bool receiver_pass(hilo_receiver *receiver, struct dropped *ret)
{
	hilo_broadcast *b = receiver_channel(receiver);
	struct share *share = b->ring[receiver->next++ & b->mask];

	if (MUTANT(251, --share->left, share->left))
		return false;
	ring_pop(b, ret);
	return true;
}

/* [lock, who has won] The arrival at @node is a struct receive: it gets what is next, or that nothing will come. */
void hilo__receive_give(struct contend_node *node);

#endif /* HILO_SYNC_BROADCAST_IMPL_H */
