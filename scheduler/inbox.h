/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_INBOX_H
#define HILO_SCHEDULER_INBOX_H

/*
 * inbox.h - a many-producer stack of links that is always taken whole.
 *
 *	push -> head -> newest -> ... -> oldest -> NULL
 *	           \
 *	            take_all: head = NULL, and the whole list is the taker's
 *
 * The way into a worker for everything that does not come from that worker: wake-ups from other
 * threads, submissions from outside, the overflow of a full run queue.
 *
 * I1  A link is in at most one inbox, once; from push until take its `next` belongs to the inbox.
 * I2  Only push and fill make head non-NULL, only take_all makes it NULL. push and take_all are
 *     read-modify-writes; an inbox that is filled is filled and pushed to by one thread only, and
 *     filled when it is empty: nobody else makes head non-NULL then.
 * P1  push's CAS releases the link and what hangs on it; take_all's exchange acquires. A push that
 *     reads another's head continues that one's release sequence, so one exchange acquires all.
 * P2  The last look before sleep. A producer pushes (seq_cst read-modify-write of head), then reads
 *     the sleeper's state (seq_cst). The sleeper sets its state (seq_cst read-modify-write), then
 *     reads head with hilo__inbox_is_empty_seq_cst. All four are in the single order S: whichever
 *     of the two writes comes second in S, its thread reads the other's. So either the sleeper sees
 *     the link and stays up, or the producer sees the state and wakes it. With release and acquire
 *     alone both reads may be stale, and the link lies there for ever.
 *
 * Who must look: push says whether the inbox was empty. A producer that found it non-empty may skip
 * the state, since the producer that made it non-empty looks after that push of its own, and no
 * sleeper sleeps over a non-empty inbox. The price is that the wake-up waits for that other thread
 * if it is preempted between its push and its look; who cannot pay it looks in both cases.
 *
 * Progress: take_all is wait-free, push lock-free (a CAS fails only because another one succeeded).
 *
 * There is no ABA. A pop of the single top link would read top->next and install it, which is wrong
 * if top left and came back between; here nobody reads `next` of a link that is still inside. push
 * only needs head to be what its own link points at, and if the same link left and came back it is
 * just that.
 *
 * Rejected: the linked FIFO with a stub node, one exchange per push. A producer preempted
 * between its exchange and its store of `next` hides everything pushed after it, and only one
 * thread may take. Here a peer may empty the inbox of a worker that is stuck, and order comes from
 * one reversal per batch, over lines that the taker is about to touch anyway.
 *
 * After R. K. Treiber, "Systems Programming: Coping with Parallelism", 1986.
 */
#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

struct hilo_task;

/* What an inbox threads together. Written only by who owns it at the moment (I1). */
struct link {
	struct link *next;
};

struct inbox {
	/* [any] Newest link, or NULL. */
	HILO__ISOLATED atomic(struct link *) head;
};

/*
 * Where the link lies in struct hilo_task, asserted where that is defined: after the state word. So
 * queues can chain tasks without knowing what a task is.
 */
#define TASK_LINK_OFFSET 8

static inline struct link *hilo__task_link(struct hilo_task *task)
{
	return (struct link *)(void *)((char *)task + TASK_LINK_OFFSET);
}

static inline struct hilo_task *hilo__link_task(struct link *link)
{
	return (struct hilo_task *)(void *)((char *)link - TASK_LINK_OFFSET);
}

/* Before any other thread knows @inbox. */
static inline void hilo__inbox_init(struct inbox *inbox)
{
	atomic_setup(&inbox->head, NULL);
}

/*
 * [any] Add @first .. @last, already chained and ending anywhere: last->next is overwritten. For
 * FIFO order @first is the newest. True: the inbox was empty, so the caller must see to a wake-up.
 */
static inline bool hilo__inbox_push_chain(struct inbox *inbox, struct link *first, struct link *last)
{
	struct link *head = load_relaxed(&inbox->head); /* relaxed: a guess that the CAS checks */

	do {
		plain_store(&last->next, head);
	} while (!MUTANT(41, cas_seq_cst(&inbox->head, &head, first),
			 cas_release(&inbox->head, &head, first))); /* P1, P2 */
	return head == NULL;
}

/*
 * [the only producer] Put in the list @first, to be taken as it is, in an inbox that is empty and that
 * nobody pushes to: what an owner keeps for later where others can get at it.
 */
static inline void hilo__inbox_fill(struct inbox *inbox, struct link *first)
{
	MUTANT(44, store_release(&inbox->head, first), store_relaxed(&inbox->head, first)); /* P1 */
}

/* [any] Add one link. True: the inbox was empty, so the caller must see to a wake-up. */
static inline bool hilo__inbox_push(struct inbox *inbox, struct link *link)
{
	return hilo__inbox_push_chain(inbox, link, link);
}

/* [any] True if nothing was inside at some moment of the call: a hint, before a batch of work. */
static inline bool hilo__inbox_is_empty(struct inbox *inbox)
{
	return load_relaxed(&inbox->head) == NULL; /* relaxed: a hint; P2 is the next function's */
}

/* [any] The sleeper's half of P2: call it after announcing the sleep. */
static inline bool hilo__inbox_is_empty_seq_cst(struct inbox *inbox)
{
	return MUTANT(42, load_seq_cst(&inbox->head), load_relaxed(&inbox->head)) == NULL; /* P2 */
}

/* [any] Everything, newest first, or NULL. */
struct link *hilo__inbox_take_all(struct inbox *inbox);

/* [any] Everything, oldest first, or NULL. */
struct link *hilo__inbox_take_fifo(struct inbox *inbox);

/*
 * [any] Move everything, oldest first, to the end of a list of the caller's. *@end is where its last
 * `next`, or its head if it is empty, lies, and is moved on. The list ends in NULL.
 */
void hilo__inbox_append(struct inbox *inbox, struct link ***end);

/* Turn a list that is the caller's round; returns its new first link. */
struct link *hilo__link_reverse(struct link *first);

#endif /* HILO_SCHEDULER_INBOX_H */
