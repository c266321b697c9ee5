/* SPDX-License-Identifier: MIT */
/* inbox.c - the taker's side; protocol, invariants and pairs are in inbox.h. */
#include "scheduler/inbox.h"

struct link *hilo__inbox_take_all(struct inbox *inbox)
{
	/*
	 * Look before the exchange: an idle look at an empty inbox must not take its line away from
	 * the producers.
	 */
	if (load_relaxed(&inbox->head) == NULL) /* relaxed: a hint, the exchange decides */
		return NULL;
	/* Acquire only: NULL publishes nothing, and the release sequence of P1 ends with the list. */
	return MUTANT(43, xchg_acquire(&inbox->head, NULL), xchg_relaxed(&inbox->head, NULL)); /* P1 */
}

struct link *hilo__inbox_take_fifo(struct inbox *inbox)
{
	return hilo__link_reverse(hilo__inbox_take_all(inbox));
}

void hilo__inbox_append(struct inbox *inbox, struct link ***end)
{
	struct link *newest = hilo__inbox_take_all(inbox);

	if (newest == NULL)
		return;
	plain_store(*end, hilo__link_reverse(newest));
	*end = &newest->next;
}

struct link *hilo__link_reverse(struct link *first)
{
	struct link *done = NULL;

	while (first != NULL) {
		struct link *next = plain_load(&first->next);

		plain_store(&first->next, done);
		done = first;
		first = next;
	}
	return done;
}
