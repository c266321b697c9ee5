/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_RWLOCK_IMPL_H
#define HILO_SYNC_RWLOCK_IMPL_H

/*
 * rwlock_impl.h - what rwlock.c, where its protocol is told, and rwlock_turns.c share.
 */
#include <hilo/sync/rwlock.h>

#include "runtime/contend_impl.h"
#include "sync/barge_impl.h"
#include "sync/mutex_impl.h"
#include "sync/order_impl.h"

#define RW_WAITERS ((uintptr_t)1)
#define RW_LIST ((uintptr_t)2)
#define RW_READ ((uintptr_t)4)
#define RW_TURNS ((uintptr_t)8)
#define RW_WOKEN ((uintptr_t)16)
#define RW_APART ((uintptr_t)32)
#define RW_ONE ((uintptr_t)64)	/* reader */
#define RW_WHO (~(uintptr_t)63) /* records are lines of the cache */
#define RW_HOLDER (RW_WHO | RW_READ)

struct rwlock {
	atomic(uintptr_t) word;
	struct list readers, writers; /* LIST; zero is an empty one */
	struct order_mark order;
	const void *home;	 /* LIST; while somebody waits: sync/barge_impl.h */
	atomic(uint32_t) passes; /* unlockings while somebody waits; about */
	unsigned woken;		 /* LIST; of those that wait, how many were woken and have not looked */
};

_Static_assert(sizeof(struct rwlock) <= sizeof(hilo_rwlock), "HILO_RWLOCK_INIT has room for it");

/* One that waits; on its stack. */
struct rw_waiter {
	struct contend_node node;
	struct contender contender;
	uint64_t since; /* cycles */
	bool woken;	/* LIST; counted in the lock */
};

static inline struct rwlock *rwlock_of(hilo_rwlock *lock)
{
	return (struct rwlock *)lock;
}

static inline bool is_written(uintptr_t word)
{
	return !(word & RW_READ) && word & RW_WHO;
}

static inline bool is_mine(uintptr_t word, const struct hilo_task *me)
{
	return me && !(word & RW_READ) && (word & RW_WHO) == (uintptr_t)me;
}

/* [has the lists] Give them back; the word is @word from now on. The last access: P2. */
static inline void lists_give_back(struct rwlock *lock, uintptr_t word)
{
	MUTANT(323, store_release(&lock->word, word), store_relaxed(&lock->word, word)); /* P1 */
}

static inline bool somebody_waits(const struct rwlock *lock)
{
	return !list_empty(&lock->readers) || !list_empty(&lock->writers);
}

/* [has the lists] It has looked, or is out of its list. */
static inline void waiter_has_looked(struct rwlock *lock, struct rw_waiter *waiter)
{
	if (waiter->woken)
		lock->woken--;
	waiter->woken = false;
}

/* [any] Have the lists; the word, without LIST. */
uintptr_t hilo__rwlock_take_lists(struct rwlock *lock);

/*
 * [has the lists, somebody waits, or has under this hold of them] The lock is held by @holder, maybe nobody, from now
 * on, after a writer or not: give it, or wake who could have it, and give back the lists.
 */
void hilo__rwlock_settle(struct rwlock *lock, uintptr_t holder, bool was_written);

#endif
