/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_SHARE_IMPL_H
#define HILO_SYNC_SHARE_IMPL_H

/*
 * share_impl.h - values that several look at, until the last of them has looked away. All under the lock of the
 * object that they belong to.
 *
 * A share is made when somebody is let in who may hold one, and freed when he goes: so there are always enough, and
 * nothing else takes memory.
 */
#include <stdbool.h>
#include <stdint.h>

#include "scheduler/base/mem.h"

struct share {
	void *value;
	struct share *next; /* of those that are spare */
	uint32_t holders;
	uint32_t left; /* who has still to see it; the owner's */
};

/* Those that nobody holds. */
struct shares {
	struct share *spare;
};

/* A value that is to be dropped once the lock was given back. */
struct dropped {
	void *value;
	bool there;
};

static inline struct share *share_new(void)
{
	return hilo__malloc(sizeof(struct share));
}

/* [lock] Nobody holds @share. */
static inline void share_spare(struct shares *shares, struct share *share)
{
	share->next = shares->spare;
	shares->spare = share;
}

/* [lock] One that nobody holds, there is one, out of the spare ones. */
static inline struct share *share_pop(struct shares *shares)
{
	struct share *share = shares->spare;

	shares->spare = share->next;
	return share;
}

/* [lock] Hold @value, which is the shares' now. */
static inline struct share *share_take(struct shares *shares, void *value)
{
	struct share *share = share_pop(shares);

	share->value = value;
	share->holders = 1;
	return share;
}

/* [lock] Let @share go; the last one has it in *@ret, which is empty before. */
static inline void share_put(struct shares *shares, struct share *share, struct dropped *ret)
{
	if (MUTANT(250, --share->holders, (share->holders = 0)))
		return;
	ret->value = share->value;
	ret->there = true;
	share_spare(shares, share);
}

/* [no lock] */
static inline void dropped_drop(const struct dropped *dropped, void (*drop)(void *value))
{
	if (dropped->there && drop)
		drop(dropped->value);
}

/* [sole owner] Nobody holds any. */
static inline void shares_free(struct shares *shares)
{
	while (shares->spare)
		hilo__free(share_pop(shares));
}

#endif /* HILO_SYNC_SHARE_IMPL_H */
