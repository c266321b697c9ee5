/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_QUEUE_H
#define HILO_SYNC_QUEUE_H

#include <hilo/runtime/select.h>
#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * queue.h - items between tasks of any worker and runtime, callbacks and plain threads: in order of arrival, the
 * newest first, or by priority.
 *
 *	hilo_queue *queue = hilo_queue_new(100);
 *
 *	rc = hilo_queue_put(queue, request, HILO_FOREVER);         waits while it is full
 *	...
 *	while (hilo_queue_get(queue, &item, HILO_FOREVER) == 0)    waits while it is empty
 *		serve(item);                                       until it is shut down, and empty
 *
 * Items      Pointers that the queue does not look at; NULL is one like others. An item is the putter's until put
 *            returns 0, the queue's until get returns 0, then the getter's. On any other code it has not changed
 *            hands: a deadline or a cancel that comes while somebody waits neither loses an item nor doubles it.
 * Order      Those that wait to put are served in the order of their arrival, and so are those that wait to get.
 *            An item that is put while somebody waits for one is handed to him at once.
 * Shutdown   Afterwards nothing can be put, and what is there can be got, unless it was dropped. Who waits in vain
 *            is told: -EPIPE.
 * Freeing    Who has been given an item, has been told that there are no more, or has seen hilo_queue_join return
 *            0 may free the queue, if he knows that nobody will use it any more: who put, shut down or said "done"
 *            does not touch it afterwards.
 * Memory     A queue takes 208 bytes, and for its first items 8 each, up to 15 of them (in the other orders
 *            720 bytes); what else is in it takes 8 bytes an item (16 by priority), in pieces that go back when
 *            they are empty, all but one. A bounded queue for up to 15 items never asks for memory after it was
 *            made.
 */
typedef struct hilo_queue hilo_queue;

/*
 * As a capacity: no limit. The only way to it, besides hilo_queue_new_unbounded, is this name. Its value is one that
 * nobody gets by accident, as -1 would be.
 */
#define HILO_QUEUE_UNBOUNDED (SIZE_MAX / 3)
/* As a capacity: none. An item goes from who puts it to who gets it, and both wait for each other. */
#define HILO_QUEUE_RENDEZVOUS (SIZE_MAX / 3 * 2)

enum hilo_queue_order {
	HILO_QUEUE_FIFO = 0,	/* the oldest item first */
	HILO_QUEUE_LIFO = 1,	/* the newest item first */
	HILO_QUEUE_PRIORITY = 2 /* the lowest first; of equal ones the oldest */
};

/* Below 0: @a comes before @b; 0: they are equal; above 0: after it. */
typedef int (*hilo_queue_compare_fn)(const void *a, const void *b, void *arg);

/* Zero means the default in every field but `size` and `capacity`. */
typedef struct hilo_queue_opts {
	size_t size;		     /* sizeof(hilo_queue_opts) */
	size_t capacity;	     /* 1 to SIZE_MAX / 16 items, or one of the names above */
	enum hilo_queue_order order; /* default HILO_QUEUE_FIFO; a rendezvous has no other */
	/*
	 * For HILO_QUEUE_PRIORITY, and only for that: called with compare_arg while the queue is locked, a few times
	 * for each item, so it is to be short, and must neither suspend, nor block, nor call what uses this queue:
	 * where that is noticed it ends the process, with a message.
	 */
	hilo_queue_compare_fn compare;
	void *compare_arg; /* kept as long as the queue */
	/* Called with each item that is dropped, in no lock: by hilo_queue_shutdown and hilo_queue_free. */
	void (*drop)(void *item);
} hilo_queue_opts;

/*
 * [any] A queue for @capacity items, 1 or more, in order of arrival. NULL when out of memory, and with a message for 0,
 * and what cannot be meant, as -1: whoever wants no limit says HILO_QUEUE_UNBOUNDED. NULL may be passed on: calls
 * that could fail answer -ENOMEM.
 */
HILO_API hilo_queue *hilo_queue_new(size_t capacity);

/* [any] hilo_queue_new(HILO_QUEUE_UNBOUNDED): to put never waits. */
HILO_API hilo_queue *hilo_queue_new_unbounded(void);

/* [any] hilo_queue_new(HILO_QUEUE_RENDEZVOUS): it holds nothing, put waits for a getter. */
HILO_API hilo_queue *hilo_queue_new_rendezvous(void);

/* [any] A queue for @capacity items, or HILO_QUEUE_UNBOUNDED, of which the newest is got first. NULL as above. */
HILO_API hilo_queue *hilo_queue_new_lifo(size_t capacity);

/*
 * [any] A queue for @capacity items, or HILO_QUEUE_UNBOUNDED, of which the lowest is got first, of equal ones the
 * oldest. See hilo_queue_opts.compare. NULL as above.
 */
HILO_API hilo_queue *hilo_queue_new_priority(size_t capacity, hilo_queue_compare_fn compare,
					     void *compare_arg);

/* [any] A queue as @opts say, in *@ret. -EINVAL and -E2BIG with a message, -ENOMEM. */
HILO_API HILO_MUST_CHECK int hilo_queue_new_with(const hilo_queue_opts *opts, hilo_queue **ret);

/*
 * [any] Drop the items that are left, and free @queue. -EBUSY, and nothing is changed, while somebody waits in it.
 * NULL: no-op, 0.
 */
HILO_API int hilo_queue_free(hilo_queue *queue);

/*
 * [any, suspends] Put @item, waiting for room, or for a getter if it is a rendezvous. 0; -EPIPE: it was shut down;
 * -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to wait, in a callback; -ENOMEM: no memory for the item, for a
 * plain thread's first wait, or @queue is NULL.
 */
HILO_API int hilo_queue_put(hilo_queue *queue, void *item, hilo_time deadline);

/*
 * [any, suspends] Get the next item into *@ret, waiting for one. 0; -EPIPE: it was shut down and is empty;
 * -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to wait, in a callback; -ENOMEM: for a plain thread's first wait,
 * or @queue is NULL. *@ret is set on 0 only; -EINVAL: @ret is NULL.
 */
HILO_API int hilo_queue_get(hilo_queue *queue, void **ret, hilo_time deadline);

/* [any] As hilo_queue_put without waiting: -EAGAIN when it is full, or no getter waits in a rendezvous. */
HILO_API HILO_MUST_CHECK int hilo_queue_try_put(hilo_queue *queue, void *item);

/* [any] As hilo_queue_get without waiting: -EAGAIN when it is empty, or no putter waits in a rendezvous. */
HILO_API HILO_MUST_CHECK int hilo_queue_try_get(hilo_queue *queue, void **ret);

/*
 * [any] What was asked for with an item that was got is done: once for each that was put. 0; HILO_EINVALSTATE, with
 * a message, when it was said for all of them already; -ENOMEM for NULL. For hilo_queue_join; who does not use that
 * need not say it.
 */
HILO_API int hilo_queue_task_done(hilo_queue *queue);

/*
 * [any, suspends] Wait until for each item that was put hilo_queue_task_done was called, or it was dropped. 0, at
 * once when that is so now; -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM as hilo_queue_get.
 */
HILO_API int hilo_queue_join(hilo_queue *queue, hilo_time deadline);

/*
 * [any] No more items: who waits to put, and who puts later, is told -EPIPE; getters get what is there, then -EPIPE.
 * With @immediate other than 0 what is there is dropped before this returns, and counts as done for
 * hilo_queue_join then, not before. May be called again, the second time with another @immediate. 0; -ENOMEM for NULL.
 * Never suspends, unless `drop` does.
 */
HILO_API int hilo_queue_shutdown(hilo_queue *queue, int immediate);

/* [any] Items in it, at some moment of the call. NULL: 0. */
HILO_API size_t hilo_queue_size(const hilo_queue *queue);

/* [any] How many there may be: HILO_QUEUE_UNBOUNDED if there is no limit, 0 for a rendezvous and for NULL. */
HILO_API size_t hilo_queue_capacity(const hilo_queue *queue);

/* [any] 1 if there is nothing in it, which is always so for a rendezvous; else 0. NULL: 1. */
HILO_API int hilo_queue_is_empty(const hilo_queue *queue);

/* [any] 1 if there is no room in it, which is always so for a rendezvous; else 0. NULL: 1. */
HILO_API int hilo_queue_is_full(const hilo_queue *queue);

/* [any] Give back the memory that is kept for the next items. Returns the bytes; 0: there was none. NULL: 0. */
HILO_API size_t hilo_queue_trim(hilo_queue *queue);

/*
 * Cases of hilo_select: to get from a hilo_queue * into a void ** @place, and to put a void * @what. Their code is
 * that of hilo_queue_get and hilo_queue_put; -EPIPE wins.
 */
#define HILO_SELECT_GET(q, place) HILO__SELECT_OBJECT(&hilo_select_get, queue, q, ret, place)
#define HILO_SELECT_PUT(q, what) HILO__SELECT_OBJECT(&hilo_select_put, queue, q, item, what)
HILO_API extern const hilo_select_ops hilo_select_get;
HILO_API extern const hilo_select_ops hilo_select_put;

HILO_END_DECLS

#endif /* HILO_SYNC_QUEUE_H */
