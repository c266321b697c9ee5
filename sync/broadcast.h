/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_BROADCAST_H
#define HILO_SYNC_BROADCAST_H

#include <hilo/runtime/select.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * broadcast.h - each item to each receiver: from tasks of any worker and runtime, callbacks and plain threads, to
 * all who have subscribed before it was sent.
 *
 *	hilo_broadcast *news = hilo_broadcast_new(64, free);
 *	hilo_receiver *receiver = hilo_broadcast_subscribe(news);
 *
 *	hilo_broadcast_send(news, item);                                 anybody, never waits
 *	...
 *	while ((rc = hilo_broadcast_receive(receiver, &item, HILO_FOREVER)) != -EPIPE)
 *		if (rc == 0)
 *			print(item);
 *		else if (rc == -ENOBUFS)
 *			printf("%" PRIu64 " missed\n", hilo_broadcast_missed(receiver));
 *
 * Items      Pointers that the channel does not look at, shared by all receivers. An item is the sender's until
 *            send returns 0 or more, then the channel's, which calls `drop` with it, once, when nobody can see it any
 *            more: the last receiver has passed it, or it was overwritten, or there was none. What a receiver
 *            has got is borrowed, and stays as it is, whatever is overwritten meanwhile, until the next call of
 *            receive, try_receive, unsubscribe or of a select with the same receiver. `drop` is called by whoever
 *            sees an item off, in no lock: send, receive, a select, unsubscribe. It may use the channel.
 * Lag        The channel keeps the last items, as many as its capacity. A receiver that is farther behind than that
 *            is told so, once, by -ENOBUFS, and goes on with the oldest that is kept.
 * Order      All receivers see the items in one order, that of the sends.
 * Receivers  Each is used by one task, callback or thread at a time, whoever that is. To subscribe and to
 *            unsubscribe is possible at any time. A receiver sees what is sent from then on.
 * Shutdown   Afterwards nothing can be sent. Receivers get what is there, then -EPIPE.
 * Memory     112 bytes; for each item that may be kept 24, and 8 more, rounded up to a power of two items; 64 for a
 *            receiver. To send takes none.
 */
typedef struct hilo_broadcast hilo_broadcast;
typedef struct hilo_receiver hilo_receiver;

/*
 * [any] A channel that keeps the last @capacity items, 1 or more. @drop may be NULL. NULL when out of memory, and
 * with a message for a capacity of 0 or more than 2^30. NULL may be passed on: calls that could fail answer -ENOMEM.
 */
HILO_API hilo_broadcast *hilo_broadcast_new(size_t capacity, void (*drop)(void *item));

/*
 * [any] Shut it down, and give it up. Receivers that are left get what is there, then -EPIPE; the memory
 * goes with the last of them. NULL: no-op.
 */
HILO_API void hilo_broadcast_free(hilo_broadcast *broadcast);

/*
 * [any] Send @item to all who are subscribed now, overwriting the oldest one if the channel is full. Who waits
 * gets it at once. Returns how many receivers it is for; 0: none, and it was dropped. -EPIPE: shut down; -ENOMEM for
 * NULL: the item stays the caller's. Never allocates.
 */
HILO_API int hilo_broadcast_send(hilo_broadcast *broadcast, void *item);

/*
 * [any, suspends] The same without overwriting: wait for the slowest receiver to make room, in the order of arrival. If
 * all send so, nobody ever lags. Who overwrites does not wait for those who wait, and makes no room for them: use one
 * way or the other with a channel. -ETIMEDOUT, -ECANCELED: not sent; -EDEADLK: it would have to wait, in a
 * callback.
 */
HILO_API int hilo_broadcast_send_wait(hilo_broadcast *broadcast, void *item, hilo_time deadline);

/* [any] No more items. 0, also if that was so before; -ENOMEM for NULL. */
HILO_API int hilo_broadcast_shutdown(hilo_broadcast *broadcast);

/* [any] A new receiver. NULL when out of memory, and for NULL; NULL may be passed on, as above. */
HILO_API hilo_receiver *hilo_broadcast_subscribe(hilo_broadcast *broadcast);

/* [any] End @receiver; what it has not seen is not for it any more. -EBUSY while somebody waits with it. NULL: 0. */
HILO_API int hilo_broadcast_unsubscribe(hilo_receiver *receiver);

/*
 * [any, suspends] Wait for the next item, in *@ret, borrowed until the next call with @receiver. -ENOBUFS: some were
 * overwritten, hilo_broadcast_missed says how many; the next call gets the oldest that is left. -EPIPE: shut
 * down, and all was seen. -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to wait, in a callback; -EBUSY: somebody
 * else waits with @receiver; -EINVAL: @ret is NULL; -ENOMEM for NULL, and for a plain thread's first wait. *@ret is
 * set on 0 only.
 */
HILO_API int hilo_broadcast_receive(hilo_receiver *receiver, void **ret, hilo_time deadline);

/* [any] The same without waiting: -EAGAIN when there is nothing. */
HILO_API HILO_MUST_CHECK int hilo_broadcast_try_receive(hilo_receiver *receiver, void **ret);

/* [who uses @receiver] How many items the last -ENOBUFS was about; 0 before the first. */
HILO_API uint64_t hilo_broadcast_missed(const hilo_receiver *receiver);

/* [any] How many items @receiver has not seen, those it has missed not counted, at some moment of the call. NULL: 0. */
HILO_API size_t hilo_broadcast_pending(hilo_receiver *receiver);

/* [any] How many receivers there are, at some moment of the call. NULL: 0. */
HILO_API size_t hilo_broadcast_receivers(hilo_broadcast *broadcast);

/*
 * A case of hilo_select: to receive with a hilo_receiver * into a void ** @place. Its code is that of
 * hilo_broadcast_receive; -ENOBUFS and -EPIPE win.
 */
#define HILO_SELECT_RECEIVE(r, place) HILO__SELECT_OBJECT(&hilo_select_receive, receiver, r, ret, place)
HILO_API extern const hilo_select_ops hilo_select_receive;

HILO_END_DECLS

#endif /* HILO_SYNC_BROADCAST_H */
