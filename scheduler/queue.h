/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_QUEUE_H
#define HILO_SCHEDULER_QUEUE_H

/*
 * queue.h - what is bound to one loop, its callbacks and its pinned tasks, and tasks that have a priority;
 * first in, first out.
 *
 *	push -> inbox -> gather -> list -> take       push: any thread; the rest: the loop's owner,
 *	                                              or a worker that stands in for it (standin.c);
 *	                                              take_some: thieves, too, who leave the inbox alone
 *
 * The list is what was taken from the inbox and put in order. Its lock is held for some instructions,
 * by gather and remove for some per link that they look at, and contended only while somebody stands
 * in. Nobody pushes under it, so a push stays free of locks.
 *
 * I1  A link is in the inbox or in the list; what was gathered comes before what is in the inbox.
 * P1  The lock (lock.h) orders those who take; the inbox's own pairs order push with gather.
 * P2  The last look before sleep, as P2 of inbox.h. A link that somebody has gathered and not taken is
 *     no longer in the inbox, so he who leaves one behind stores the count (seq_cst), then reads the
 *     owner's park word (seq_cst, hilo__loop_notify), as a producer does.
 */
#include <stdbool.h>

#include "scheduler/base/lock.h"
#include "scheduler/inbox.h"

struct queue {
	struct inbox inbox;
	struct spinlock lock;	/* of what follows */
	atomic(uint32_t) count; /* of the list */
	struct link *first;
	struct link **last;
};

static inline void queue_init(struct queue *queue)
{
	hilo__inbox_init(&queue->inbox);
	spin_init(&queue->lock);
	atomic_setup(&queue->count, 0);
	queue->first = NULL;
	queue->last = &queue->first;
}

/* [any] True if there was nothing at some moment of the call: a hint. */
static inline bool queue_is_empty(struct queue *queue)
{
	return !load_relaxed(&queue->count) && hilo__inbox_is_empty(&queue->inbox); /* relaxed: a hint */
}

/* [any] How many there are that were gathered: a hint. */
static inline unsigned queue_gathered(struct queue *queue)
{
	return load_relaxed(&queue->count); /* relaxed: a hint */
}

/* [any] The sleeper's half of P2. */
static inline bool queue_is_empty_seq_cst(struct queue *queue)
{
	return hilo__inbox_is_empty_seq_cst(&queue->inbox) && !load_seq_cst(&queue->count); /* P2 */
}

/* [server] Put what is in the inbox into the list. Returns how many are in the list then. */
unsigned hilo__queue_gather(struct queue *queue);

/* [server] The oldest of the list, or NULL. */
struct link *hilo__queue_take(struct queue *queue);

/*
 * [any] Take the oldest of the list, @most at most and only as long as @may says so: chained in *@ret, oldest
 * first, up to NULL. Returns how many.
 */
unsigned hilo__queue_take_some(struct queue *queue, unsigned most, bool (*may)(struct link *link),
			       struct link **ret);

/* [server] Everything of @from, gathered, to the end of the list of @to. */
void hilo__queue_move(struct queue *from, struct queue *to);

/* [any] Take @link out. False: it is not there. What was gathered on the way stays: P2 is the caller's. */
bool hilo__queue_remove(struct queue *queue, struct link *link);

#endif /* HILO_SCHEDULER_QUEUE_H */
