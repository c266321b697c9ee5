/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_RING_H
#define HILO_SCHEDULER_RING_H

/*
 * ring.h - the woken tasks of one worker, first in, first out, of which thieves take half at once.
 *
 *	pop, steal ->  head                   tail  <- push (owner only)
 *	        ... gone | t | t | t | t | t | free ...    index i lives in slot[i & RING_MASK]
 *
 * I1  Only the owner stores tail. head only rises, by CAS alone, so each index is claimed once; with
 *     64 bits it never repeats, and a CAS that finds head unchanged knows that nothing left.
 * I2  0 <= tail - head <= RING_CAP.
 * I3  own.tail is tail; own.head is a value head had, read with acquire: own.head <= head. Hence
 *     own.tail == own.head proves the ring empty and own.tail - own.head < RING_CAP proves room, both
 *     without a look at a line that thieves write.
 * P1  push's store of tail releases; a thief's load acquires: it sees the slots below tail and the
 *     tasks in them.
 * P2  A thief's CAS of head releases its reads of the slots; the owner acquires head (into own.head)
 *     before it writes a slot again.
 *
 * The overwrite hazard. A thief copies slots h .. h+n-1 and only then moves head from h to h+n: what
 * if the owner wrote one of them in between? It does so only after it acquired a head beyond that
 * index, so head had left h. Then one of two things holds. Either the thief's CAS finds head changed
 * and fails, and the copy is thrown away; or the CAS came first, and then the owner's acquire, reading
 * that CAS or a later one of its release sequence (I1: every write of head is a read-modify-write),
 * orders the copy before the overwrite. With 32-bit indices a thief that sleeps between copy and CAS
 * while 2^32 tasks pass would take stale ones; with 64 bits that takes centuries.
 *
 * The owner's own CAS needs no release: its slot reads are ordered before its slot writes by program
 * order. A thief's load of head needs no acquire: a stale head fails at the CAS, and the slots are
 * shown by P1 alone.
 *
 * Progress: push is wait-free, pop lock-free (its CAS fails only if a thief took tasks); a steal
 * answers -EAGAIN instead of repeating, and only if another thread made progress.
 *
 * Rejected. Two packed heads, real and claimed, so that a thief may copy after its claim: the claim
 * locks every other thief out until the copy is done, also if the thief is preempted. An owner who
 * takes tasks without a CAS by moving a batch to a private array: a task that then hogs the worker
 * hides them from thieves. The chunked unbounded FIFO: an allocation on a path that wakes.
 *
 * The idea of a bounded ring with half taken in one CAS is that of the Go scheduler's run queue.
 */
#include <errno.h>
#include <stddef.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

#ifndef RING_CAP
#ifdef HILO_EXPLORE
#define RING_CAP 4
#else
#define RING_CAP 1024
#endif
#endif
#define RING_MASK (RING_CAP - 1)
_Static_assert((RING_CAP & RING_MASK) == 0 && RING_CAP >= 2, "a power of two");

struct hilo_task;
struct link;

struct ring {
	/* [any] Index of the oldest task; raised by CAS only (I1). */
	HILO__ISOLATED atomic(int64_t) head;
	/* [owner] stores, [any] loads: index of the next push. */
	HILO__ISOLATED atomic(int64_t) tail;
	/* [owner] Plain copies beside the line the owner writes anyway (I3). */
	struct {
		int64_t tail;
		int64_t head;
	} own;
	/* [owner] stores, [any] loads. */
	HILO__ISOLATED atomic(struct hilo_task *) slot[RING_CAP];
};

/* Before any other thread knows @ring, whose memory is aligned as its type asks. */
void hilo__ring_init(struct ring *ring);

/* [owner] Refresh own.head and return how many tasks there is room for. */
static inline int64_t hilo__ring_room(struct ring *ring)
{
	ring->own.head = load_acquire(&ring->head); /* P2 */
	return RING_CAP - (ring->own.tail - ring->own.head);
}

/* [owner] Add @task as the youngest. -ENOSPC: full, hilo__ring_spill makes room. */
static inline int hilo__ring_push(struct ring *ring, struct hilo_task *task)
{
	int64_t t = ring->own.tail;

	if (HILO__UNLIKELY(t - ring->own.head >= MUTANT(52, RING_CAP, RING_CAP + 1)) &&
	    hilo__ring_room(ring) == 0)
		return -ENOSPC;
	store_relaxed(&ring->slot[t & RING_MASK], task); /* relaxed: published by P1 */
	ring->own.tail = t + 1;
	MUTANT(53, store_release(&ring->tail, t + 1), store_relaxed(&ring->tail, t + 1)); /* P1 */
	return 0;
}

/* [owner] Take the oldest task, or NULL. */
static inline struct hilo_task *hilo__ring_pop(struct ring *ring)
{
	int64_t h = ring->own.head; /* a guess that the CAS checks, and corrects if thieves were here */
	struct hilo_task *task;

	do {
		if (h == ring->own.tail) {
			ring->own.head = h;
			return NULL; /* I3 */
		}
		task = load_relaxed(&ring->slot[h & RING_MASK]); /* relaxed: own value */
	} while (!MUTANT(54, cas_acquire(&ring->head, &h, h + 1),
			 (store_release(&ring->head, h + 1), true))); /* P2, for own.head */
	ring->own.head = h + 1;
	return task;
}

/*
 * [owner] Add up to @n tasks, task[0] first, and show them to thieves together. Returns how many
 * there was room for.
 */
int hilo__ring_push_many(struct ring *ring, struct hilo_task *const *task, int n);

/*
 * [any] Take the older half of the tasks, at least one and at most @max >= 1, oldest first, into @ret, by
 * one CAS. Returns how many. -ENODATA: empty. -EAGAIN: another thread was faster, try again.
 */
int hilo__ring_steal_many(struct ring *victim, struct hilo_task **ret, int max);

/*
 * [owner of @own] As hilo__ring_steal_many, but the oldest goes to *ret and the others straight to the
 * end of @own, which takes only what it has room for. Returns how many in all.
 */
int hilo__ring_steal(struct ring *victim, struct ring *own, struct hilo_task **ret);

/*
 * [owner] Take the older half out and chain it by the tasks' links, newest at *ret_first and oldest
 * at *ret_last, which is the order that hilo__inbox_push_chain wants. Returns how many; 0 leaves
 * the outputs alone.
 */
int hilo__ring_spill(struct ring *ring, struct link **ret_first, struct link **ret_last);

/* [any] About how many tasks there are: a hint for choosing a victim or for statistics. */
static inline int64_t hilo__ring_size(struct ring *ring)
{
	int64_t h = load_relaxed(&ring->head);	   /* relaxed: a hint */
	int64_t n = load_relaxed(&ring->tail) - h; /* relaxed: a hint */

	return n < 0 ? 0 : n < RING_CAP ? n : RING_CAP;
}

#endif /* HILO_SCHEDULER_RING_H */
