/* SPDX-License-Identifier: MIT */
/* broadcast_receive.c - receiving. What holds is in broadcast_impl.h. */
#include "sync/broadcast_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/error_impl.h"

/* One that receives. */
struct receive {
	struct arrival arrival; /* of a hilo_receiver */
	bool made_room;		/* for a sender */
	bool won_sender;	/* who has got it ... */
	struct contend_won won; /* ... and is to be told */
};

SELECT_FITS(struct receive);

static hilo_receiver *receive_receiver(const struct receive *r)
{
	return container_of(r->arrival.subscriber, hilo_receiver, subscriber);
}

/* [lock] Receive what is next. False: nothing is, yet. */
static bool receive_look(struct receive *r)
{
	hilo_receiver *receiver = receive_receiver(r);
	hilo_broadcast *b = receiver_channel(receiver);
	struct dropped none = {0};
	struct share *share;

	if (receiver->next == b->end) {
		r->arrival.code = -EPIPE;
		return b->channel.shut;
	}
	if (receiver->next < b->first) {
		receiver->missed = b->first - receiver->next;
		receiver->next = b->first;
		r->arrival.code = -ENOBUFS;
		return true;
	}
	share = b->ring[receiver->next & b->mask];
	MUTANT(253, share->holders++, share->holders);
	r->arrival.value = share->value;
	r->arrival.code = 0;
	subscriber_let_go(&receiver->subscriber, &r->arrival.dropped);
	receiver->subscriber.held = share;
	r->made_room = receiver_pass(receiver, &none); /* we hold it */
	return true;
}

void hilo__receive_give(struct contend_node *node)
{
	struct receive *r = container_of(node, struct receive, arrival.node);

	r->arrival.subscriber->waiting--;
	(void)receive_look(r); /* there is something: I3 */
}

/* [lock] Nothing is next: the last item is not looked at any more. */
static void receive_nothing(struct receive *r, int code)
{
	subscriber_let_go(r->arrival.subscriber, &r->arrival.dropped);
	r->arrival.code = code;
}

static void receive_init(struct receive *r, hilo_receiver *receiver)
{
	arrival_init(&r->arrival, &receiver->subscriber);
	r->made_room = r->won_sender = false;
}

/* [no lock, no contender] What is left to do. */
static int receive_finish(const struct receive *r, void **ret)
{
	if (r->arrival.code == 0)
		*ret = r->arrival.value;
	if (r->won_sender)
		contend_tell(&r->won);
	dropped_drop(&r->arrival.dropped, r->arrival.subscriber->channel->drop);
	return r->arrival.code;
}

/* [lock] There is something, or somebody else waits with this receiver. */
static bool receive_look_first(struct receive *r)
{
	bool there = true;

	if (r->arrival.subscriber->waiting)
		r->arrival.code = -EBUSY;
	else
		there = receive_look(r);
	if (r->made_room)
		r->won_sender = broadcast_grant(receiver_channel(receive_receiver(r)), &r->won);
	return there;
}

/* One try, and a wait if @deadline lets it. -EAGAIN: something is to be dropped before. */
static void receive_once(struct receive *r, hilo_time deadline)
{
	struct spinlock *lock = &r->arrival.subscriber->channel->lock;
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_BROADCAST, receiver_channel(receive_receiver(r)),
				     deadline);

	/* Where nobody may wait, or cannot, what is there is received all the same. */
	if (rc == -ECANCELED) {
		r->arrival.code = rc;
		return;
	}
	spin_lock(lock); /* P1 */
	if (receive_look_first(r)) {
		spin_unlock(lock); /* P1 */
	} else {
		receive_nothing(r, contend_cannot_wait(rc, deadline));
		if (rc == 0 && deadline > 0 && !r->arrival.dropped.there) {
			arrival_wait(&r->arrival, &contender);
		} else {
			if (rc == 0 && deadline > 0)
				r->arrival.code = -EAGAIN;
			spin_unlock(lock); /* P1 */
		}
	}
	if (rc == 0)
		hilo__contend_end(&contender);
}

int hilo_broadcast_receive(hilo_receiver *receiver, void **ret, hilo_time deadline)
{
	struct receive r;
	int rc;

	if (!receiver)
		return -ENOMEM;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_broadcast_receive: ret is NULL");
	do {
		receive_init(&r, receiver);
		receive_once(&r, deadline);
		rc = receive_finish(&r, ret);
	} while (rc == -EAGAIN);
	if (rc == -EBUSY)
		return hilo_fail(rc, "hilo_broadcast_receive: somebody else waits with receiver %p",
				 (void *)receiver);
	if (rc < 0)
		return hilo__error_own_wait(rc, WAIT_BROADCAST, NULL);
	if (deadline > 0)
		contend_was_free(thread_self());
	return rc;
}

int hilo_broadcast_try_receive(hilo_receiver *receiver, void **ret)
{
	struct receive r;

	if (!receiver)
		return -ENOMEM;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_broadcast_try_receive: ret is NULL");
	receive_init(&r, receiver);
	spin_lock(&receiver->subscriber.channel->lock); /* P1 */
	if (!receive_look_first(&r))
		receive_nothing(&r, -EAGAIN);
	spin_unlock(&receiver->subscriber.channel->lock); /* P1 */
	return receive_finish(&r, ret);
}

uint64_t hilo_broadcast_missed(const hilo_receiver *receiver)
{
	return receiver ? receiver->missed : 0;
}

size_t hilo_broadcast_pending(hilo_receiver *receiver)
{
	hilo_broadcast *b = receiver ? receiver_channel(receiver) : NULL;
	uint64_t from;
	size_t n;

	if (!b)
		return 0;
	spin_lock(&b->channel.lock); /* P1 */
	from = receiver->next > b->first ? receiver->next : b->first;
	n = (size_t)(b->end - from);
	spin_unlock(&b->channel.lock); /* P1 */
	return n;
}

/* A case of a select. */

static enum select_looked select_look(struct select_place *place)
{
	struct receive *r = (struct receive *)(void *)place->room;

	receive_init(r, place->object);
	return receive_look_first(r) ? SELECT_DONE : SELECT_WAIT;
}

static int select_finish(struct select_place *place)
{
	return receive_finish((struct receive *)(void *)place->room, place->item);
}

const hilo_select_ops hilo_select_receive = {
	.receives = true,
	.lock = channel_select_lock,
	.look = select_look,
	.enlist = channel_select_enlist,
	.remove = channel_select_remove,
	.finish = select_finish,
};
