/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_QUEUE_IMPL_H
#define HILO_SYNC_QUEUE_IMPL_H

/*
 * queue_impl.h - a queue from inside, and what a select over queues is made of.
 *
 * All of a queue is under one lock, which is held for a few instructions; there is nothing lock-free but the
 * number of items, which is a hint for those who do not hold it.
 *
 * I1  Somebody waits to get only while there is nothing to be had: no item, and in a rendezvous no putter.
 * I2  Somebody waits to put only while it is full: `count` equals `capacity`. So who comes later waits behind him.
 * I3  Who takes an item out of a full queue puts that of the first putter in, under the same hold of the lock; what
 *     was taken out has made room for it, so that this never needs memory.
 * I4  `waiting` counts those that wait or are about to leave: the giver counts down whom it has won, who leaves
 *     counts down himself. While it is not 0 the queue is not freed.
 * I5  `dropping` counts the shutdowns that have taken items out and come back when these were dropped. Until then to
 *     free the queue is to say so, `freed`; the last of them does it.
 * P1  The lock orders all that is under it (P1 of lock.h). To let it go is the last access of a call to the queue,
 *     save for who waits: who learns that he has an item may free it (P3 of contend_impl.h).
 *
 * A select over queues (and other things)
 *
 *	lock all, in order of address                  hilo__queue_lock
 *	look at each, in order, and do the first       hilo__queue_put_now, hilo__queue_get_now
 *	  that can be done
 *	-ENOBUFS: give all locks back, then            hilo__queue_grow(queue, after.need), and look again
 *	none: one node for each                        hilo__queue_enlist
 *	give all locks back, then                      hilo__queue_after, for the one that was done
 *	wait; take back, one lock at a time, those     hilo__queue_leave, of each node but the one that
 *	  that were not won for                        hilo__contend_wait has named
 *
 * What the node that was won for has got is in it: `code`, and `item` of one who wanted to get.
 *
 * Rejected: a ring with a number in each slot and no lock. It takes a locked instruction for each item, too, and a
 * second one to see whether somebody waits; two workers take the lines of the slots from each other, and not only
 * that of the lock; and neither hand-off, nor joining, nor a select over several can be had in one step with it.
 * Rejected: to wake one who waits for room only when the queue is half empty. It saves wake-ups when those who put
 * are faster; but there is room then, and somebody waits for it, perhaps until his deadline.
 */
#include <hilo/sync/queue.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"
#include "scheduler/base/mem.h"

/* Items that a FIFO has room for from the start. */
#ifdef HILO_EXPLORE
#define QUEUE_INLINE 2
#define QUEUE_SEGMENT 2
#else
#define QUEUE_INLINE 15
#define QUEUE_SEGMENT 63
#endif

/* A piece of a FIFO; they are linked to a ring. */
struct queue_segment {
	struct queue_segment *next;
	void **end; /* of its items */
	void *item[];
};

/* What is in one of another order. */
struct queue_entry {
	void *item;
	uint64_t number; /* of its arrival */
};

/* It lies in pieces, each as large as all before it together, but for the first one. */
#define QUEUE_CHUNK 16
#define QUEUE_CHUNKS 32

struct queue_vector {
	uint64_t number; /* of the next arrival */
	unsigned chunks; /* that there are */
	struct queue_entry *chunk[QUEUE_CHUNKS];
	struct queue_entry first[QUEUE_CHUNK];
};

struct hilo_queue {
	/* The line that each put and each get changes. */
	struct spinlock lock;
	uint8_t order;		 /* enum hilo_queue_order */
	uint8_t shut;		 /* enum queue_shut */
	atomic(bool) down;	 /* it was shut down: for those who do not hold the lock */
	uint16_t dropping;	 /* I5 */
	bool freed;		 /* I5 */
	atomic(size_t) count;	 /* under the lock; read by all */
	size_t capacity;	 /* 0: a rendezvous */
	size_t unfinished;	 /* put, and not said to be done */
	void **head, **head_end; /* FIFO: the oldest item, the end of its segment */
	void **tail, **tail_end; /* FIFO: where the next one goes, the end of that segment; else NULL */

	/* Changed by those who wait. */
	struct list getters; /* of queue_waiter.node: these three */
	struct list putters;
	struct list joiners;
	size_t waiting; /* I4 */
	union {
		struct {
			struct queue_segment *head_segment, *tail_segment;
			size_t slots;	 /* in all segments */
			unsigned spares; /* segments without items */
		};
		struct queue_vector *vector;
	};
	hilo_queue_compare_fn compare;
	void *compare_arg;
	atomic(const struct thread *) comparing; /* who calls `compare` */
	void (*drop)(void *item);
	struct debug_mark open;
	struct queue_segment first; /* FIFO: its items follow; else a queue_vector does */
};

enum queue_shut {
	QUEUE_OPEN,
	QUEUE_DRAINING, /* what is there may be got */
	QUEUE_DROPPED,
};

/* One that waits in a queue. On his stack. */
struct queue_waiter {
	struct contend_node node;
	void *item; /* to put; or that was got, if the code is 0 */
	int code;   /* once won: 0, or -EPIPE */
};

/* What is to be done after the locks were given back. */
struct queue_after {
	struct contend_won won; /* to be told; its contender is NULL if there is none */
	void *memory;		/* to be freed, or NULL */
	size_t need;		/* with -ENOBUFS: bytes for hilo__queue_grow */
};

static inline void queue_after_init(struct queue_after *after)
{
	after->won.contender = NULL;
	after->memory = NULL;
	after->need = 0;
}

/* [any] hilo__queue_lock, where somebody has it. */
void hilo__queue_lock_slowly(hilo_queue *queue);

/* [any] */
static inline void hilo__queue_lock(hilo_queue *queue)
{
	if (HILO__UNLIKELY(!spin_lock_once(&queue->lock))) /* P1 */
		hilo__queue_lock_slowly(queue);
}

static inline void hilo__queue_unlock(hilo_queue *queue)
{
	spin_unlock(&queue->lock); /* P1 */
}

/*
 * [lock] Put @item if that can be done now. 0; -EAGAIN: it cannot; -EPIPE; -ENOBUFS: it can once hilo__queue_grow was
 * called. @after was initialised.
 */
int hilo__queue_put_now(hilo_queue *queue, void *item, struct queue_after *after);

/* [lock] Get the next item into *@ret if there is one. 0; -EAGAIN: there is none; -EPIPE. @after was initialised. */
int hilo__queue_get_now(hilo_queue *queue, void **ret, struct queue_after *after);

/*
 * [lock, just told -EAGAIN] Be the last in @list, one of the queue's, with node @number of @contender. To put:
 * @waiter->item is set.
 */
static inline void hilo__queue_enlist(hilo_queue *queue, struct list *list, struct queue_waiter *waiter,
				      struct contender *contender, uint32_t number)
{
	waiter->code = -EPIPE; /* unless somebody says otherwise */
	queue->waiting++;
	contend_add(list, &waiter->node, contender, number);
}

/* [lock, the contender, which has left or was won for another node] Out of the list. */
static inline void hilo__queue_leave(hilo_queue *queue, struct queue_waiter *waiter)
{
	MUTANT(204, (void)contend_remove(&waiter->node), (void)0);
	queue->waiting--;
}

/* [contender, enlisted] Wait until won, or out of the list. The waiter's code, else why the wait has ended. */
static inline int hilo__queue_wait(hilo_queue *queue, struct queue_waiter *waiter,
				   struct contender *contender)
{
	int rc = contend_wait(contender);

	if (rc >= 0)
		return waiter->code; /* the queue may be gone */
	hilo__queue_lock(queue);
	hilo__queue_leave(queue, waiter);
	hilo__queue_unlock(queue);
	return rc;
}

/* [no lock] Do what is left to be done; first of all tell who was won, who may be waiting for just that. */
static inline void hilo__queue_after(const struct queue_after *after)
{
	if (after->won.contender)
		contend_tell(&after->won);
	if (HILO__UNLIKELY(after->memory != NULL))
		hilo__free(after->memory);
}

/* [no lock] Give the queue memory for more items; not needed any more, it is freed. 0; -ENOMEM. */
int hilo__queue_grow(hilo_queue *queue, size_t bytes);

/* How items are stored: queue_store.c. */

/* [creator] Bytes of a queue as @opts say. */
size_t hilo__queue_bytes(const hilo_queue_opts *opts);

/* [creator, or lock] Nothing is in it. */
void hilo__queue_store_init(hilo_queue *queue);

/* What was in a queue, on the stack of who drops it. */
struct queue_rest {
	size_t count;
	bool fifo;
	void (*drop)(void *item);
	union {
		struct {
			const struct queue_segment *home; /* that of the queue; only its address counts */
			struct queue_segment *segment;	  /* where the next item is */
			void **head;
			struct queue_segment first; /* a copy of the queue's own; its items are in `room` */
		};
		struct queue_vector vector;
		void *room[3 + sizeof(struct queue_segment) / sizeof(void *) + QUEUE_INLINE];
	};
};

/* [lock] Take out all that is in it, and the memory. */
void hilo__queue_store_detach(hilo_queue *queue, struct queue_rest *rest);

/* [no lock] Drop the items and free the memory; the queue may be gone. */
void hilo__queue_rest_drop(struct queue_rest *rest);

/* [lock] Store @item, for which there is no room at hand. 0, or the bytes that are needed first. */
size_t hilo__queue_push_slowly(hilo_queue *queue, void *item);

/* [lock] As queue_pop, where that is more than a step. */
void *hilo__queue_pop_slowly(hilo_queue *queue, size_t count, struct queue_after *after);

/* [lock] @memory of @bytes is the queue's now. False: it has no use for it. */
bool hilo__queue_store_grow(hilo_queue *queue, void *memory, size_t bytes);

/* [lock] Take the memory out that is kept for later. Its bytes; 0: there is none. */
size_t hilo__queue_store_trim(hilo_queue *queue, void **ret);

/* [lock] Store @item. 0, or the bytes that are needed first. */
static inline size_t queue_push(hilo_queue *queue, void *item)
{
	if (HILO__UNLIKELY(queue->tail == queue->tail_end))
		return hilo__queue_push_slowly(queue, item);
	*queue->tail++ = item;
	return 0;
}

/* [lock, there are @count, before] Take the next item out. @after may get memory to free. */
static inline void *queue_pop(hilo_queue *queue, size_t count, struct queue_after *after)
{
	void **head = queue->head;

	if (HILO__UNLIKELY(queue->order != HILO_QUEUE_FIFO || (head + 1 == queue->head_end && count > 1)))
		return hilo__queue_pop_slowly(queue, count, after);
	queue->head = head + 1;
	if (count == 1) /* begin anew, so that a queue that is mostly empty stays where it is in the caches */
		queue->head = queue->tail = queue->head_segment->item;
	return *head;
}

#endif /* HILO_SYNC_QUEUE_IMPL_H */
