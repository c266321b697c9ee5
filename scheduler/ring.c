/* SPDX-License-Identifier: MIT */
/* ring.c - batches and thieves of the run queue; protocol, invariants and pairs are in ring.h. */
#include "scheduler/ring.h"

#include "scheduler/inbox.h"

void hilo__ring_init(struct ring *ring)
{
	atomic_setup(&ring->head, 0);
	atomic_setup(&ring->tail, 0);
	ring->own.tail = 0;
	ring->own.head = 0;
	for (int i = 0; i < RING_CAP; i++)
		atomic_setup(&ring->slot[i], NULL);
}

/* [owner] Show the slots below @tail, which are written, to thieves. */
static void ring_publish(struct ring *ring, int64_t tail)
{
	ring->own.tail = tail;
	MUTANT(55, store_release(&ring->tail, tail), store_relaxed(&ring->tail, tail)); /* P1 */
}

int hilo__ring_push_many(struct ring *ring, struct hilo_task *const *task, int n)
{
	int64_t t = ring->own.tail;
	int64_t room = RING_CAP - (t - ring->own.head);

	if (room < n)
		room = hilo__ring_room(ring);
	if (n > room)
		n = (int)room;
	for (int i = 0; i < n; i++)
		store_relaxed(&ring->slot[(t + i) & RING_MASK], task[i]); /* relaxed: published by P1 */
	if (n > 0)
		ring_publish(ring, t + n);
	return n;
}

/*
 * [any] Look at @victim: head to *ret_head, and how many tasks a thief may take, which is half, rounded
 * up. 0 if it looks empty. More than the ring holds means that head moved under us.
 */
static int64_t ring_half(struct ring *victim, int64_t *ret_head)
{
	int64_t h = load_relaxed(&victim->head); /* relaxed: a stale one fails at the CAS */
	int64_t n = MUTANT(56, load_acquire(&victim->tail), load_relaxed(&victim->tail)) - h; /* P1 */

	*ret_head = h;
	if (n <= 0)
		return 0;
	return n <= RING_CAP ? (n + 1) / 2 : 1;
}

/* [any] Claim the @n tasks from @h on, which were copied before. */
static bool ring_claim(struct ring *victim, int64_t h, int64_t n)
{
	return MUTANT(57, cas_release(&victim->head, &h, h + n),
		      (store_release(&victim->head, h + n), true)); /* P2 */
}

int hilo__ring_steal_many(struct ring *victim, struct hilo_task **ret, int max)
{
	int64_t h;
	int64_t n = ring_half(victim, &h);

	if (n == 0)
		return -ENODATA;
	if (n > max)
		n = max;
	for (int64_t i = 0; i < n; i++)
		ret[i] = load_relaxed(&victim->slot[(h + i) & RING_MASK]); /* relaxed: shown by P1 */
	return ring_claim(victim, h, n) ? (int)n : -EAGAIN;
}

int hilo__ring_steal(struct ring *victim, struct ring *own, struct hilo_task **ret)
{
	int64_t t = own->own.tail;
	int64_t room = hilo__ring_room(own);
	struct hilo_task *oldest;
	int64_t h;
	int64_t n = ring_half(victim, &h);

	if (n == 0)
		return -ENODATA;
	if (n > room + 1)
		n = MUTANT(58, room + 1, n);
	oldest = load_relaxed(&victim->slot[h & RING_MASK]); /* relaxed: shown by P1 */
	for (int64_t i = 1; i < n; i++) {
		/* relaxed: shown by P1 */
		struct hilo_task *task = load_relaxed(&victim->slot[(h + i) & RING_MASK]);

		/* relaxed: free slots beyond tail, nobody's until published; harmless if the claim fails */
		store_relaxed(&own->slot[(t + i - 1) & RING_MASK], task);
	}
	if (!ring_claim(victim, h, n))
		return -EAGAIN;
	if (n > 1)
		ring_publish(own, t + n - 1);
	*ret = MUTANT(51, oldest, load_relaxed(&victim->slot[h & RING_MASK])); /* relaxed: a planted fault */
	return (int)n;
}

int hilo__ring_spill(struct ring *ring, struct link **ret_first, struct link **ret_last)
{
	int64_t half = (hilo__ring_size(ring) + 1) / 2;
	struct link *first = NULL;
	int n = 0;

	while (n < half) {
		struct hilo_task *task = hilo__ring_pop(ring);
		struct link *link;

		if (task == NULL)
			break;
		link = hilo__task_link(task);
		plain_store(&link->next, first);
		if (first == NULL)
			*ret_last = link;
		first = link;
		n++;
	}
	if (n > 0)
		*ret_first = first;
	return n;
}
