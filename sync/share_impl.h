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
	struct share *doomed,
		*last_doomed; /* with values that are still to be dropped: the oldest, the newest */
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

/*
 * [lock] One that nobody holds, there is one, out of the spare ones. If all of these are doomed, the value of the one
 * that it is comes in *@ret, which is empty then.
 */
static inline struct share *share_pop(struct shares *shares, struct dropped *ret)
{
	struct share *share = shares->spare;

	if (share) {
		shares->spare = share->next;
		return share;
	}
	share = shares->doomed;
	shares->doomed = share->next;
	ret->value = share->value;
	ret->there = MUTANT(341, true, false);
	return share;
}

/* [lock] Hold @value, which is the shares' now. *@ret as above. */
static inline struct share *share_take(struct shares *shares, void *value, struct dropped *ret)
{
	struct share *share = share_pop(shares, ret);

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

/* [lock] Let @share go, as share_put, but its value is dropped later, or by whoever needs the share. True: it is. */
static inline bool share_doom(struct shares *shares, struct share *share)
{
	if (--share->holders)
		return false;
	share->next = NULL;
	if (shares->doomed)
		shares->last_doomed->next = share;
	else
		shares->doomed = share;
	shares->last_doomed = share;
	return true;
}

/* [lock] The oldest doomed value, in *@ret; its share is spare now. False: there is none. */
static inline bool share_undoom(struct shares *shares, struct dropped *ret)
{
	struct share *share = shares->doomed;

	if (!share)
		return false;
	shares->doomed = share->next;
	ret->value = share->value;
	ret->there = true;
	share_spare(shares, share);
	return true;
}

/* [no lock] */
static inline void dropped_drop(const struct dropped *dropped, void (*drop)(void *value))
{
	if (dropped->there && drop)
		drop(dropped->value);
}

/* [sole owner] Nobody holds any, and none is doomed. */
static inline void shares_free(struct shares *shares)
{
	struct share *next;

	for (struct share *share = shares->spare; share; share = next) {
		next = share->next;
		hilo__free(share);
	}
}

#endif /* HILO_SYNC_SHARE_IMPL_H */
