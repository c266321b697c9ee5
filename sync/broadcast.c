/* SPDX-License-Identifier: MIT */
/*
 * broadcast.c - each item to each receiver.
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
 * I5  The object lives while somebody holds it: the owner, each receiver, and who gives to many.
 * P1  The lock orders all that is under it (P1 of lock.h); what is given to who waits is seen by P2 of
 *     contend_impl.h, so that he need not take the lock.
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

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/select_impl.h"
#include "sync/share_impl.h"

#define CAPACITY_MAX ((size_t)1 << 30)
/* So many items are dropped between two holds of the lock. */
#ifdef HILO_EXPLORE
#define DROP_BATCH 1
#else
#define DROP_BATCH 16
#endif

struct hilo_broadcast {
	struct spinlock lock;
	bool shut;
	uint32_t holders; /* I5 */
	uint32_t receivers;
	uint32_t granted; /* I4 */
	uint32_t capacity, mask;
	uint64_t first, end;
	struct list waiting;  /* of struct receive */
	struct list senders;  /* of struct sender */
	struct shares shares; /* I2 */
	void (*drop)(void *item);
	struct share *ring[]; /* a power of two */
};

struct hilo_receiver {
	hilo_broadcast *broadcast;
	uint64_t next;
	uint64_t missed;
	struct share *held; /* NULL: none */
	uint32_t waiting;   /* nodes in the list: one, or those of one select */
};

/* One that receives. */
struct receive {
	struct contend_node node;
	hilo_receiver *receiver;
	void *item;
	int code;
	struct dropped dropped; /* the last item of the receiver */
	bool made_room;		/* for a sender */
	bool won_sender;	/* who has got it ... */
	struct contend_won won; /* ... and is to be told */
};

/* One that waits for a place. */
struct sender {
	struct contend_node node;
	int code;
};

SELECT_FITS(struct receive);

static size_t broadcast_count(const hilo_broadcast *b)
{
	return (size_t)(b->end - b->first);
}

/* [lock, given back] One holder less; the last one frees it. */
static void broadcast_unlock_put(hilo_broadcast *b)
{
	bool last = --b->holders == 0;

	spin_unlock(&b->lock); /* P1 */
	if (!last)
		return;
	shares_free(&b->shares);
	hilo__free(b);
}

/* [lock] Promise a free place to the first sender, if there are both. True: he is to be told, at once. */
static bool broadcast_grant(hilo_broadcast *b, struct contend_won *ret)
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
static void ring_pop(hilo_broadcast *b, struct dropped *ret)
{
	share_put(&b->shares, b->ring[b->first++ & b->mask], ret);
}

/* [lock, somebody is subscribed] Put @item in, overwriting the oldest one if there is no room. */
static void ring_push(hilo_broadcast *b, void *item, struct dropped *ret)
{
	struct share *share;

	/* One is dropped at most: what nobody holds becomes spare, and is taken. */
	if (broadcast_count(b) == b->capacity)
		ring_pop(b, ret);
	share = share_take(&b->shares, item, ret); /* I2 */
	share->left = b->receivers;
	b->ring[b->end++ & b->mask] = share;
}

/* [lock] Let the receiver's last item go. */
static void receiver_let_go(hilo_receiver *receiver, struct dropped *ret)
{
	if (!receiver->held)
		return;
	share_put(&receiver->broadcast->shares, receiver->held, ret);
	receiver->held = NULL;
}

/* [lock] @receiver passes the next item, which is in the ring. True: it was the last to, and it has left the ring. */
static bool receiver_pass(hilo_receiver *receiver, struct dropped *ret)
{
	hilo_broadcast *b = receiver->broadcast;
	struct share *share = b->ring[receiver->next++ & b->mask];

	if (MUTANT(251, --share->left, share->left))
		return false;
	ring_pop(b, ret);
	return true;
}

/* [lock] Receive what is next. False: nothing is, yet. */
static bool receive_look(struct receive *r)
{
	hilo_receiver *receiver = r->receiver;
	hilo_broadcast *b = receiver->broadcast;
	struct dropped none = {0};
	struct share *share;

	if (receiver->next == b->end) {
		r->code = -EPIPE;
		return b->shut;
	}
	if (receiver->next < b->first) {
		receiver->missed = b->first - receiver->next;
		receiver->next = b->first;
		r->code = -ENOBUFS;
		return true;
	}
	share = b->ring[receiver->next & b->mask];
	MUTANT(253, share->holders++, share->holders);
	r->item = share->value;
	r->code = 0;
	receiver_let_go(receiver, &r->dropped);
	receiver->held = share;
	r->made_room = receiver_pass(receiver, &none); /* we hold it */
	return true;
}

/* [lock, who has won] */
static void receive_give(struct contend_node *node)
{
	struct receive *r = container_of(node, struct receive, node);

	r->receiver->waiting--;
	(void)receive_look(r); /* there is something: I3 */
}

/* [lock, given back] All who wait have something: an item, or a shutdown. Afterwards @b may be gone. */
static void broadcast_give(hilo_broadcast *b)
{
	struct contend_won won = {0};

	if (list_empty(&b->waiting)) {
		spin_unlock(&b->lock); /* P1 */
		return;
	}
	MUTANT(255, b->holders++, b->holders); /* I5 */
	hilo__contend_give_all(&b->waiting, &b->lock, receive_give);
	spin_lock(&b->lock); /* P1 */
	while (broadcast_grant(b, &won)) {
		spin_unlock(&b->lock); /* P1 */
		contend_tell(&won);
		spin_lock(&b->lock); /* P1 */
	}
	MUTANT(255, broadcast_unlock_put(b), spin_unlock(&b->lock)); /* P1 */
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
	spin_init(&b->lock);
	list_init(&b->waiting);
	list_init(&b->senders);
	b->holders = 1;
	b->capacity = (uint32_t)capacity;
	b->mask = (uint32_t)(room - 1);
	b->drop = drop;
	for (size_t i = 0; i < capacity; i++) {
		struct share *share = share_new();

		if (!share) {
			shares_free(&b->shares);
			hilo__free(b);
			return NULL;
		}
		share_spare(&b->shares, share);
	}
	return b;
}

/* [holder] */
static void broadcast_shut(hilo_broadcast *b)
{
	spin_lock(&b->lock); /* P1 */
	b->shut = true;
	b->holders++; /* I5 */
	hilo__contend_tell_all(&b->senders, &b->lock);
	spin_lock(&b->lock); /* P1 */
	hilo__contend_give_all(&b->waiting, &b->lock, receive_give);
	spin_lock(&b->lock); /* P1 */
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
	broadcast_shut(b);
	spin_lock(&b->lock); /* P1 */
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
		spin_unlock(&b->lock); /* P1 */
	}
	return receivers > INT_MAX ? INT_MAX : (int)receivers;
}

int hilo_broadcast_send(hilo_broadcast *b, void *item)
{
	void (*drop)(void *item) = b ? b->drop : NULL;
	struct dropped dropped = {0};
	int rc;

	if (!b)
		return -ENOMEM;
	spin_lock(&b->lock); /* P1 */
	if (b->shut) {
		spin_unlock(&b->lock); /* P1 */
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
	if (b->shut)
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

	b->holders++; /* I5 */
	contend_add(&b->senders, &sender.node, contender, 0);
	spin_unlock(&b->lock); /* P1 */
	rc = hilo__contend_wait(contender);
	hilo__contend_end(contender);
	spin_lock(&b->lock); /* P1 */
	rc = sender_leave(b, &sender, rc, &won, &is_won);
	if (rc == 0) {
		rc = broadcast_send(b, item, ret);
		spin_lock(&b->lock); /* P1 */
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
	spin_lock(&b->lock); /* P1 */
	if (!b->shut && !broadcast_has_room(b) && may_wait && deadline > 0)
		return broadcast_wait_send(b, item, &contender, ret);
	if (!b->shut && broadcast_has_room(b)) {
		rc = broadcast_send(b, item, ret);
	} else {
		rc = b->shut ? -EPIPE : contend_cannot_wait(rc, deadline);
		spin_unlock(&b->lock); /* P1 */
	}
	if (may_wait)
		hilo__contend_end(&contender);
	return rc;
}

int hilo_broadcast_send_wait(hilo_broadcast *b, void *item, hilo_time deadline)
{
	void (*drop)(void *item) = b ? b->drop : NULL;
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
	hilo_receiver *receiver = b ? hilo__calloc(1, sizeof(*receiver)) : NULL;
	struct share *share = receiver ? share_new() : NULL;

	if (!share) {
		hilo__free(receiver);
		return NULL;
	}
	receiver->broadcast = b;
	spin_lock(&b->lock);		/* P1 */
	share_spare(&b->shares, share); /* I2 */
	b->holders++;
	b->receivers++;
	receiver->next = b->end;
	spin_unlock(&b->lock); /* P1 */
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
	hilo_broadcast *b = receiver->broadcast;
	uint64_t next = receiver->next > b->first ? receiver->next : b->first;

	b->receivers--; /* I1: what is sent after this hold of the lock is not for it */
	MUTANT(256, (void)0, (spin_unlock(&b->lock), spin_lock(&b->lock)));
	for (; next < b->end; next++) {
		struct share *share = b->ring[next & b->mask];

		if (MUTANT(340, --share->left, share->left))
			continue;
		b->first = next + 1; /* those before are gone already */
		leaving->to_grant++;
		leaving->to_drop += share_doom(&b->shares, share);
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
	       share_undoom(&b->shares, &leaving->dropped[leaving->dropped_n])) {
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
	hilo_broadcast *b = receiver ? receiver->broadcast : NULL;
	void (*drop)(void *item) = b ? b->drop : NULL;
	struct leaving leaving = {0};
	struct dropped last = {0}, doomed = {0};
	struct share *share;

	if (!b)
		return 0;
	spin_lock(&b->lock); /* P1 */
	if (receiver->waiting) {
		spin_unlock(&b->lock); /* P1 */
		return hilo_fail(-EBUSY, "hilo_broadcast_unsubscribe: somebody waits with receiver %p",
				 (void *)receiver);
	}
	receiver_let_go(receiver, &last);
	receiver_pass_all(receiver, &leaving);
	while (leaving_take(b, &leaving)) {
		spin_unlock(&b->lock); /* P1 */
		leaving_finish(&leaving, drop);
		spin_lock(&b->lock); /* P1 */
	}
	share = share_pop(&b->shares, &doomed); /* I2 */
	broadcast_unlock_put(b);
	leaving_finish(&leaving, drop);
	dropped_drop(&last, drop);
	dropped_drop(&doomed, drop);
	hilo__free(share);
	hilo__free(receiver);
	return 0;
}

/* [lock] Nothing is next: the last item is not looked at any more. */
static void receive_nothing(struct receive *r, int code)
{
	receiver_let_go(r->receiver, &r->dropped);
	r->code = code;
}

static void receive_init(struct receive *r, hilo_receiver *receiver)
{
	r->receiver = receiver;
	r->dropped.there = false;
	r->made_room = r->won_sender = false;
}

/* [no lock, no contender] What is left to do. */
static int receive_finish(const struct receive *r, void **ret)
{
	if (r->code == 0)
		*ret = r->item;
	if (r->won_sender)
		contend_tell(&r->won);
	dropped_drop(&r->dropped, r->receiver->broadcast->drop);
	return r->code;
}

/* [lock] There is something, or somebody else waits with this receiver. */
static bool receive_look_first(struct receive *r)
{
	bool there = true;

	if (r->receiver->waiting)
		r->code = -EBUSY;
	else
		there = receive_look(r);
	if (r->made_room)
		r->won_sender = broadcast_grant(r->receiver->broadcast, &r->won);
	return there;
}

/* [lock] Be among those who wait. */
static void receive_enlist(struct receive *r, struct contender *contender, uint32_t number)
{
	contend_add(&r->receiver->broadcast->waiting, &r->node, contender, number);
	r->receiver->waiting++;
}

/* [lock] Not won. */
static void receive_remove(struct receive *r)
{
	(void)contend_remove(&r->node);
	r->receiver->waiting--;
}

/* [lock, given back; who waits, whose contender has begun] */
static void receive_wait(struct receive *r, struct contender *contender)
{
	struct spinlock *lock = &r->receiver->broadcast->lock;
	int rc;

	receive_enlist(r, contender, 0);
	spin_unlock(lock); /* P1 */
	rc = hilo__contend_wait(contender);
	if (rc < 0) {
		spin_lock(lock); /* P1 */
		receive_remove(r);
		spin_unlock(lock); /* P1 */
		r->code = rc;
	}
}

/* One try, and a wait if @deadline lets it. -EAGAIN: something is to be dropped before. */
static void receive_once(struct receive *r, hilo_time deadline)
{
	struct spinlock *lock = &r->receiver->broadcast->lock;
	struct contender contender;
	int rc = hilo__contend_begin(&contender, WAIT_BROADCAST, r->receiver->broadcast, deadline);

	/* Where nobody may wait, or cannot, what is there is received all the same. */
	if (rc == -ECANCELED) {
		r->code = rc;
		return;
	}
	spin_lock(lock); /* P1 */
	if (receive_look_first(r)) {
		spin_unlock(lock); /* P1 */
	} else {
		receive_nothing(r, contend_cannot_wait(rc, deadline));
		if (rc == 0 && deadline > 0 && !r->dropped.there) {
			receive_wait(r, &contender);
		} else {
			if (rc == 0 && deadline > 0)
				r->code = -EAGAIN;
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
	spin_lock(&receiver->broadcast->lock); /* P1 */
	if (!receive_look_first(&r))
		receive_nothing(&r, -EAGAIN);
	spin_unlock(&receiver->broadcast->lock); /* P1 */
	return receive_finish(&r, ret);
}

uint64_t hilo_broadcast_missed(const hilo_receiver *receiver)
{
	return receiver ? receiver->missed : 0;
}

size_t hilo_broadcast_pending(hilo_receiver *receiver)
{
	hilo_broadcast *b = receiver ? receiver->broadcast : NULL;
	uint64_t from;
	size_t n;

	if (!b)
		return 0;
	spin_lock(&b->lock); /* P1 */
	from = receiver->next > b->first ? receiver->next : b->first;
	n = (size_t)(b->end - from);
	spin_unlock(&b->lock); /* P1 */
	return n;
}

size_t hilo_broadcast_receivers(hilo_broadcast *b)
{
	size_t n = 0;

	if (b) {
		spin_lock(&b->lock); /* P1 */
		n = b->receivers;
		spin_unlock(&b->lock); /* P1 */
	}
	return n;
}

/* A case of a select. */

static struct spinlock *select_lock(void *object)
{
	return &((hilo_receiver *)object)->broadcast->lock;
}

static enum select_looked select_look(struct select_place *place)
{
	struct receive *r = (struct receive *)place->room;

	receive_init(r, place->object);
	return receive_look_first(r) ? SELECT_DONE : SELECT_WAIT;
}

static void select_enlist(struct select_place *place, struct contender *contender, uint32_t number)
{
	receive_enlist((struct receive *)place->room, contender, number);
}

static void select_remove(struct select_place *place)
{
	receive_remove((struct receive *)place->room);
}

static int select_finish(struct select_place *place)
{
	return receive_finish((struct receive *)place->room, place->item);
}

const hilo_select_ops hilo_select_receive = {
	.receives = true,
	.lock = select_lock,
	.look = select_look,
	.enlist = select_enlist,
	.remove = select_remove,
	.finish = select_finish,
};
