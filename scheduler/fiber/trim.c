/* SPDX-License-Identifier: MIT */
/*
 * trim.c - giving the pages of unused stacks back to the system, in bulk: all that were not needed for
 * a while, at once or step by step. Invariants and pairs: stack_impl.h.
 *
 * When: a worker that is about to sleep looks whether TRIM_PERIOD has passed since the last time, in
 * the whole process. If so, what lay in the pools all that time is the surplus; it goes in steps of
 * TRIM_STEP stacks, some 100 us each, between which the worker looks for work. A worker that would
 * sleep without a limit limits it, once or twice, while much lies in the pools. So a burst costs its
 * pages for two periods, a gap shorter than one costs nothing, and an idle process is left alone.
 *
 * Rejected: returning the page of a stack when its task ends. It costs 1.4 us each, then a page fault
 * of 1.7 us for the next task, against nothing; in bulk it costs a fifth.
 */
#include <errno.h>

#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"
#include "scheduler/fiber/stack_impl.h"

/* Batches that leave a pool under one hold of its lock when trimming. */
#define TRIM_BATCHES 256
/* Long against the gaps of a program that goes on, short against the patience of one who looks at its size. */
#define TRIM_PERIOD INT64_C(1000000000)
#define TRIM_STEP 256
/* What may stay for good: 1 MB, if each stack has a page. */
#define TRIM_KEEP 256

static atomic(int64_t) trim_at;	     /* when the next period begins */
static atomic(bool) trim_unfinished; /* some surplus is left */
static atomic(bool) trim_refused;    /* memory is locked: no use in waking up for it */

/* [trimmer] Note each fiber of @batch in its slab; the slabs go to the front of @slabs. */
static struct slab *trim_note(struct fiber *batch, struct slab *slabs)
{
	for (struct fiber *fiber = batch, *next; fiber; fiber = next) {
		unsigned class, slot;
		struct slab *slab = hilo__slab_find(fiber, &class, &slot);

		HILO__ASSERT(slab && class == fiber->class);
		next = fiber->next;
		if (!slab->trimming) {
			slab->trim_next = slabs;
			slabs = slab;
		}
		slab->trimming |= (uint64_t)1 << slot;
		hilo__fiber_annotate_free(fiber);
	}
	return slabs;
}

/* [trimmer] The fibers of some slots of @slab were not emptied: one batch of them. */
static struct fiber *trim_relink(struct slab *slab, unsigned class, uint64_t slots)
{
	struct fiber *batch = NULL;

	for (; slots; slots &= slots - 1) {
		struct fiber *fiber = hilo__slab_fiber(slab, class, (unsigned)__builtin_ctzll(slots));

		fiber->next = batch;
		batch = fiber;
	}
	return batch;
}

/* [trimmer] Empty the noted slots of @slab, adjacent ones in one call. Returns how many. */
static size_t trim_slab(struct stack_pool *pool, unsigned class, struct slab *slab)
{
	size_t stride = hilo__stack_stride(class), trimmed = 0;

	while (slab->trimming) {
		unsigned first = (unsigned)__builtin_ctzll(slab->trimming);
		uint64_t rest = ~(slab->trimming >> first);
		unsigned n = rest ? (unsigned)__builtin_ctzll(rest) : SLAB_SLOTS;
		uint64_t slots = (n == SLAB_SLOTS ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << first;
		/* Guards of both kinds outlive this; locked memory refuses it. */
		int rc = hilo__sys_madvise(slab->base + first * stride, n * stride, MADV_DONTNEED);
		struct fiber *batch = rc < 0 ? trim_relink(slab, class, slots) : NULL;

		slab->trimming &= ~slots;
		spin_lock(&pool->lock);
		if (batch)
			pool_push_batch(pool, batch, n);
		else
			pool_put_cold(pool, slab, slots);
		spin_unlock(&pool->lock);
		trimmed += batch ? 0 : n;
	}
	return trimmed;
}

/* [lock] Batches from the back, of no more than *@surplus fibers together, linked by batch_next. */
static struct fiber *pool_take_surplus(struct stack_pool *pool, size_t *surplus)
{
	struct fiber *list = NULL;

	for (unsigned i = 0; i < TRIM_BATCHES && pool->oldest; i++) {
		struct fiber *batch = pool->oldest;

		if (batch->batch_count > *surplus)
			break;
		*surplus -= batch->batch_count;
		pool_take_batch(pool, batch);
		batch->batch_next = list;
		list = batch;
	}
	return list;
}

/* [trimmer] Empty up to *@surplus fibers of @class, and count it down. Returns how many lost their pages. */
static size_t pool_trim(struct stack_pool *pool, unsigned class, size_t *surplus)
{
	size_t trimmed = 0;

	for (;;) {
		struct fiber *batch, *next;
		struct slab *slabs = NULL;

		spin_lock(&pool->lock);
		batch = pool_take_surplus(pool, surplus);
		spin_unlock(&pool->lock);
		if (!batch)
			return trimmed;
		for (; batch; batch = next) {
			next = batch->batch_next;
			slabs = trim_note(batch, slabs);
		}
		for (; slabs; slabs = slabs->trim_next)
			trimmed += trim_slab(pool, class, slabs);
	}
}

/* [trimmer] Note what is surplus: what was not needed since the last time. */
static void pools_mark(void)
{
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		struct stack_pool *pool = &hilo__stack_pools[i];

		spin_lock(&pool->lock);
		pool->surplus = pool->warm_low;
		pool->warm_low = pool->warm;
		spin_unlock(&pool->lock);
	}
}

/* [lock] A part of the surplus to be trimmed now, whole batches: @max or one. 0: no batch is small enough. */
static size_t pool_take_step(struct stack_pool *pool, size_t max)
{
	size_t n = pool->surplus < max ? pool->surplus : max;

	if (!pool->oldest || pool->oldest->batch_count > pool->surplus)
		n = pool->surplus = 0;
	else if (n < pool->oldest->batch_count)
		n = pool->oldest->batch_count;
	pool->surplus -= n;
	return n;
}

/* [trimmer] Trim a part of the surplus; *@trimmed counts the stacks that lost their pages. False: none is left. */
static bool pools_trim_step(size_t *trimmed)
{
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		struct stack_pool *pool = &hilo__stack_pools[i];
		size_t n;

		spin_lock(&pool->lock);
		n = pool_take_step(pool, TRIM_STEP);
		spin_unlock(&pool->lock);
		if (!n)
			continue;
		*trimmed += pool_trim(pool, i + 1, &n);
		spin_lock(&pool->lock);
		pool->surplus += n;
		spin_unlock(&pool->lock);
		return true;
	}
	return false;
}

/* [any] Become the trimmer. */
static bool trim_begin(void)
{
	return !stack_annotate_pinned() && !xchg_acquire(&hilo__stack_trimming, true); /* P1 */
}

static void trim_end(void)
{
	store_release(&hilo__stack_trimming, false); /* P1 */
}

size_t hilo__stack_trim(void)
{
	size_t trimmed = 0;

	if (!trim_begin())
		return 0;
	pools_mark();
	while (pools_trim_step(&trimmed))
		;
	trim_end();
	return trimmed;
}

size_t hilo__stack_release(void)
{
	size_t trimmed = 0;

	if (!trim_begin())
		return 0;
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		struct stack_pool *pool = &hilo__stack_pools[i];
		size_t all;

		spin_lock(&pool->lock);
		all = pool->warm;
		pool->surplus = 0;
		spin_unlock(&pool->lock);
		trimmed += pool_trim(pool, i + 1, &all);
		spin_lock(&pool->lock);
		pool->warm_low = pool->warm;
		spin_unlock(&pool->lock);
	}
	trim_end();
	return trimmed;
}

/* Below 0: never. */
static int64_t trim_period(void)
{
#ifdef HILO_TESTING
	if (hilo__stack_test.trim_period)
		return hilo__stack_test.trim_period;
#endif
	return TRIM_PERIOD;
}

bool hilo__stack_trim_some(int64_t now)
{
	size_t trimmed = 0;
	bool any;

	/* relaxed, all of them: hints outside, and only the trimmer writes them (P1) */
	if (HILO__LIKELY(now < load_relaxed(&trim_at) && !load_relaxed(&trim_unfinished)))
		return false;
	if (trim_period() < 0 || !trim_begin())
		return false;
	if (now >= load_relaxed(&trim_at)) {		      /* relaxed: as above */
		store_relaxed(&trim_at, now + trim_period()); /* relaxed: as above */
		pools_mark();
	}
	any = pools_trim_step(&trimmed);
	if (any)
		store_relaxed(&trim_refused, !trimmed); /* relaxed: as above */
	store_relaxed(&trim_unfinished, trimmed != 0);	/* relaxed: as above */
	trim_end();
	return trimmed != 0;
}

int64_t hilo__stack_trim_due(void)
{
	size_t warm = 0;

	if (trim_period() < 0 || stack_annotate_pinned() || load_relaxed(&trim_refused)) /* relaxed: a hint */
		return INT64_MAX;
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		struct stack_pool *pool = &hilo__stack_pools[i];

		spin_lock(&pool->lock);
		warm += pool->warm;
		spin_unlock(&pool->lock);
	}
	return warm > TRIM_KEEP ? load_relaxed(&trim_at) : INT64_MAX; /* relaxed: a number */
}
