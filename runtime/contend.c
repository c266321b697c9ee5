/* SPDX-License-Identifier: MIT */
/* contend.c - waiting to be given something, and giving to all. The order is argued in contend_impl.h. */
#include "runtime/contend_impl.h"

#include <errno.h>

/* How many are won under one hold of the lock. */
#ifdef HILO_EXPLORE
#define CONTEND_BATCH 1
#else
#define CONTEND_BATCH 16
#endif

/* Whoever has won it tells soon: it has only to give its lock back. */
static uint32_t contend_outcome(struct contender *contender)
{
	const struct wait *wait = &contender->wait;
	uint32_t outcome;

	for (unsigned round = 0;; round++) {
		outcome = MUTANT(172, load_acquire(&contender->outcome),
				 load_relaxed(&contender->outcome)); /* P2 */
		if (outcome != CONTEND_OPEN)
			return outcome;
		/* relaxed: who ends the wait later notifies us, or finds us parked */
		if (task_state_episode(load_relaxed(&wait->task->state)) == wait->episode)
			return CONTEND_OPEN;
		if (MUTANT(173, false, true))
			return 0;
		spin_pause(round);
	}
}

int hilo__contend_wait(struct contender *contender)
{
	uint32_t outcome;
	int rc = 0;

	while ((outcome = contend_outcome(contender)) == CONTEND_OPEN) {
		if (rc < 0) {
			if (task_state_end_wait(&contender->wait.task->state,
						contender->wait.episode)) /* P1 */
				return rc;
		} else {
			rc = hilo__wait_park(&contender->wait);
		}
	}
	return (int)outcome;
}

/* [lock] Win the first of @list, so many as fit, and give to each. */
static unsigned contend_win_some(struct list *list, struct contend_won won[CONTEND_BATCH],
				 void (*give)(struct contend_node *node))
{
	struct contend_node *node;
	unsigned n = 0;

	while (n < CONTEND_BATCH && (node = contend_pop(list))) {
		if (!contend_win(node, &won[n]))
			continue;
		if (give)
			give(node);
		n++;
	}
	return n;
}

/*
 * One that was won is told only when the lock is not to be taken any more: it has not returned, so that the object
 * is there. Those who are still in the list do not see to that, they may leave it by themselves.
 */
void hilo__contend_give_all(struct list *list, struct spinlock *lock, void (*give)(struct contend_node *node))
{
	struct contend_won won[CONTEND_BATCH + 1];
	struct list all = LIST_INIT(all);
	unsigned kept = 0;

	/* They stay in a list, of ours, and may leave it under the lock as before. */
	list_splice(&all, list);
	for (;;) {
		unsigned n = kept + contend_win_some(&all, &won[kept], give);
		bool more = !list_empty(&all);

		spin_unlock(lock);
		kept = MUTANT(215, more, false);
		for (unsigned i = 0; i + kept < n; i++)
			contend_tell(&won[i]);
		if (!more)
			return;
		won[0] = won[n - 1];
		spin_lock(lock);
	}
}

void hilo__contend_tell_all(struct list *list, struct spinlock *lock)
{
	hilo__contend_give_all(list, lock, NULL);
}
