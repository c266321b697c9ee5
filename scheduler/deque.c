/* SPDX-License-Identifier: MIT */
/* deque.c - the parts of the deque that are not the owner's everyday; protocol and pairs: deque.h. */
#include "scheduler/deque.h"

#include "scheduler/inbox.h"

void hilo__deque_init(struct deque *dq)
{
	atomic_setup(&dq->top, 0);
	atomic_setup(&dq->bottom, 0);
	dq->own.bottom = 0;
	dq->own.top = 0;
	for (int i = 0; i < DEQUE_CAP; i++)
		atomic_setup(&dq->slot[i], NULL);
}

/* Thieves want the last task too, so top decides who has it. */
struct hilo_task *hilo__deque_pop_last(struct deque *dq, int64_t b, int64_t t)
{
	struct hilo_task *task = NULL;

	if (t == b && MUTANT(11, cas_seq_cst(&dq->top, &t, b + 1), true)) /* P2, P3 */
		task = load_relaxed(&dq->slot[b & DEQUE_MASK]);		  /* relaxed: own value */
	/* Empty: top is b + 1, by our CAS or by that of a thief, which own.top acquired with it. */
	dq->own.bottom = MUTANT(8, b + 1, b);
	dq->own.top = b + 1;
	store_release(&dq->bottom, b + 1); /* P1 */
	return task;
}

int hilo__deque_steal(struct deque *dq, struct hilo_task **ret)
{
	int64_t t = load_seq_cst(&dq->top);					     /* P2 */
	int64_t b = MUTANT(9, load_seq_cst(&dq->bottom), load_relaxed(&dq->bottom)); /* P1, P2 */
	struct hilo_task *task;

	if (t >= b)
		return -ENODATA;
	/* relaxed: P1 shows it. Before the CAS: after it the owner may use the slot again (P3). */
	task = load_relaxed(&dq->slot[t & DEQUE_MASK]);
	if (!MUTANT(10, cas_seq_cst(&dq->top, &t, t + 1),
		    (store_seq_cst(&dq->top, t + 1), true))) /* P2, P3 */
		return -EAGAIN;
	*ret = MUTANT(1, task, load_relaxed(&dq->slot[t & DEQUE_MASK])); /* relaxed: a planted fault */
	return 0;
}

int hilo__deque_steal_many(struct deque *dq, struct hilo_task **ret, int max)
{
	int64_t half = (hilo__deque_size(dq) + 1) / 2;
	int want = half < max ? (int)half : max;
	int n = 0;
	int rc;

	do {
		rc = hilo__deque_steal(dq, &ret[n]);
	} while (rc == 0 && ++n < want);
	return n > 0 ? n : rc;
}

struct hilo_task *hilo__deque_pop_oldest(struct deque *dq)
{
	struct hilo_task *task = NULL;

	/* Ends: each -EAGAIN means that a thief took one, and nobody adds but us. */
	while (hilo__deque_steal(dq, &task) == -EAGAIN)
		;
	return task;
}

int hilo__deque_spill(struct deque *dq, struct link **ret_first, struct link **ret_last)
{
	int64_t half = (hilo__deque_size(dq) + 1) / 2;
	struct link *first = NULL;
	int n = 0;

	while (n < half) {
		struct hilo_task *task = hilo__deque_pop_oldest(dq);
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
