/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_STACK_IMPL_H
#define HILO_SCHEDULER_FIBER_STACK_IMPL_H

/*
 * stack_impl.h - the pools of fibers, as stack.c fills and empties them and trim.c trims them.
 *
 * I1  A fiber is with exactly one of: its user, a cache, a batch in a pool, the trimmer.
 * I2  A slot's bit is in at most one of raw, cold (of its slab), cold (of a bin), or in none while it
 *     has a fiber or is being prepared or trimmed.
 * Memory passes from one thread to another under the pool's lock. The lock is held for a few
 * instructions at a time and never over a system call (but for fork): what must be mapped, guarded or emptied is
 * taken out under the lock and worked on without it.
 * P1  trimming is released by a trimmer at its end and acquired by the next one: it finds the slabs'
 *     notes cleared.
 */
#include "scheduler/base/lock.h"
#include "scheduler/fiber/region.h"

struct stack_pool {
	struct spinlock lock;
	/* All [lock]. */
	struct fiber *newest, *oldest; /* batches of warm fibers */
	size_t warm;		       /* fibers in them */
	size_t warm_low;	       /* the least that there were since the last trim */
	size_t surplus;		       /* of these, how many are still to be trimmed, step by step */
	struct slab *cold;	       /* slabs with cold slots */
	size_t cold_slots;
	struct region *region; /* where raw slots are taken from */
	size_t slab;	       /* the first of its slabs that may have some */
} HILO__ISOLATED;

/* One for each class, the smallest first. */
extern struct stack_pool hilo__stack_pools[STACK_CLASSES];

/* A thread trims; others do not wait for it, but fork does. */
extern atomic(bool) hilo__stack_trimming;

/* [lock] */
static inline void pool_push_batch(struct stack_pool *pool, struct fiber *batch, size_t count)
{
	batch->batch_count = count;
	batch->batch_prev = NULL;
	batch->batch_next = pool->newest;
	if (pool->newest)
		pool->newest->batch_prev = batch;
	else
		pool->oldest = batch;
	pool->newest = batch;
	pool->warm += count;
}

/* [lock] Take @batch out; its fibers stay linked by next. */
static inline struct fiber *pool_take_batch(struct stack_pool *pool, struct fiber *batch)
{
	if (batch->batch_prev)
		batch->batch_prev->batch_next = batch->batch_next;
	else
		pool->newest = batch->batch_next;
	if (batch->batch_next)
		batch->batch_next->batch_prev = batch->batch_prev;
	else
		pool->oldest = batch->batch_prev;
	pool->warm -= batch->batch_count;
	if (pool->warm_low > pool->warm)
		pool->warm_low = pool->warm;
	return batch;
}

/* [lock] */
static inline void pool_put_cold(struct stack_pool *pool, struct slab *slab, uint64_t slots)
{
	if (!slab->cold) {
		slab->next = pool->cold;
		pool->cold = slab;
	}
	slab->cold |= slots;
	pool->cold_slots += (size_t)__builtin_popcountll(slots);
}

#endif /* HILO_SCHEDULER_FIBER_STACK_IMPL_H */
