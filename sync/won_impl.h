/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_WON_IMPL_H
#define HILO_SYNC_WON_IMPL_H

/*
 * won_impl.h - those who were won under one hold of a lock, to be told when it was given back.
 *
 * Who was won does not touch its node until it is told, so the node itself is the place in the list. Rejected: to
 * let go of the lock every so often, as hilo__contend_tell_all does. An object that counts would have to be right
 * in between; and what is given in one call is mostly little.
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

/* [holds no lock] Tell all of @won, in order. */
static inline void won_tell(struct list *won)
{
	struct contend_node *node;

	while ((node = contend_pop(won))) {
		struct contend_won one = {node->contender, node->number};

		contend_tell(&one);
	}
}

#endif /* HILO_SYNC_WON_IMPL_H */
