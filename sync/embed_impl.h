/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_EMBED_IMPL_H
#define HILO_SYNC_EMBED_IMPL_H

/* embed_impl.h - objects that lie in the user's memory and are valid when all of it is zero. */
#include "scheduler/base/list.h"

/* [holds the object's lock] A list of the object, which has no neighbours before it is used first. */
static inline struct list *embed_list(struct list *list)
{
	if (!list->next)
		list_init(list);
	return list;
}

/* [holds the object's lock] Nobody is in it. */
static inline bool embed_list_empty(const struct list *list)
{
	return !list->next || list_empty(list);
}

/* In the function that knows it: the real object fits into the public one. */
#define EMBED_FITS(real, public)                                                                             \
	_Static_assert(sizeof(struct real) <= sizeof(public) && _Alignof(struct real) <= _Alignof(public),   \
		       #public " is too small")

#endif /* HILO_SYNC_EMBED_IMPL_H */
