/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_WON_IMPL_H
#define HILO_SYNC_WON_IMPL_H

/*
 * won_impl.h - those who were won under a lock, to be told when it was given back.
 *
 * Who was won does not touch its node until it is told, so the node itself is the place in the list.
 *
 * Who gives to many gives the lock back now and then, and tells those he has won so far but for the last of them: that
 * one has not returned, so that the object is there when the lock is taken again (as in hilo__contend_give_all). Those
 * who are still to be won do not see to that: they may leave by themselves.
 */
#include "runtime/contend_impl.h"

/* [holds the object's lock, has taken @node out] Win it, for @won. False: it has left. */
static inline bool won_add(struct list *won, struct contend_node *node)
{
	struct contend_won one;

	if (!contend_win(node, &one))
		return false;
	list_add_tail(won, &node->link);
	return true;
}

/* How many are won under one hold of a lock, which takes some microseconds. */
#ifdef HILO_EXPLORE
#define WON_BATCH 1
#else
#define WON_BATCH 16
#endif

/* [holds the object's lock] Win the first of @from, so many as fit; *@count counts them. True: there are more. */
static inline bool won_some(struct list *won, struct list *from, size_t *count)
{
	struct contend_node *node;

	for (unsigned n = 0; n < WON_BATCH && (node = contend_pop(from));)
		if (won_add(won, node)) {
			n++;
			++*count;
		}
	return !list_empty(from);
}

/* [holds no lock] Tell the first of @won. */
static inline void won_tell_one(struct list *won)
{
	struct contend_node *node = contend_pop(won);
	struct contend_won one = {node->contender, node->number};

	contend_tell(&one);
}

/* [holds no lock, takes it again] Tell all of @won but the last one, in order. */
static inline void won_tell_but_last(struct list *won)
{
	while (MUTANT(303, list_first(won) != list_last(won), !list_empty(won)))
		won_tell_one(won);
}

/* [holds no lock] Tell all of @won, in order. */
static inline void won_tell(struct list *won)
{
	while (!list_empty(won))
		won_tell_one(won);
}

#endif /* HILO_SYNC_WON_IMPL_H */
