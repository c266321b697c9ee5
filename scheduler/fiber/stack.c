/* SPDX-License-Identifier: MIT */
/*
 * stack.c - the pools of fibers behind the caches of loops, one for each class.
 *
 *	cache full:    a batch of 32 warm fibers goes to the front of the pool, by one push
 *	cache empty:   its own reserve; else a batch from the front of the pool; else cold slots, first
 *	               its own, then the pool's, then raw ones that are prepared for it
 *	trim:          batches at the back, unused the longest, lose their pages and become cold slots
 *
 * I1  A fiber is with exactly one of: its user, a cache, a batch in a pool, the trimmer.
 * I2  A slot's bit is in at most one of raw, cold (of its slab), cold (of a bin), or in none while it
 *     has a fiber or is being prepared or trimmed.
 * Memory passes from one thread to another under the pool's lock. The lock is held for a few
 * instructions at a time and never over a system call (but for fork): what must be mapped, guarded or emptied is
 * taken out under the lock and worked on without it.
 * P1  trimming is released by a trimmer at its end and acquired by the next one: it finds the slabs'
 *     notes cleared.
 *
 * Rejected: returning the page of a stack when its task ends. It costs 1.4 us each, then a page fault
 * of 1.7 us for the next task, against nothing; in bulk it costs a fifth.
 */
#include "scheduler/fiber/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"
#include "scheduler/fiber/region.h"

/* Batches that leave a pool under one hold of its lock when trimming. */
#define TRIM_BATCHES 256

struct stack_pool {
	struct spinlock lock;
	/* All [lock]. */
	struct fiber *newest, *oldest; /* batches of warm fibers */
	size_t warm;		       /* fibers in them */
	size_t warm_low;	       /* the least that there were since the last trim */
	struct slab *cold;	       /* slabs with cold slots */
	size_t cold_slots;
	struct region *region; /* where raw slots are taken from */
	size_t slab;	       /* the first of its slabs that may have some */
} HILO__ISOLATED;

static struct stack_pool pools[STACK_CLASSES];
static atomic(bool) trimming; /* a thread trims; others do not wait for it, but fork does */
static atomic(bool) fork_handled;

/* [lock] */
static void pool_push_batch(struct stack_pool *pool, struct fiber *batch, size_t count)
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
static struct fiber *pool_take_batch(struct stack_pool *pool, struct fiber *batch)
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
static void pool_put_cold(struct stack_pool *pool, struct slab *slab, uint64_t slots)
{
	if (!slab->cold) {
		slab->next = pool->cold;
		pool->cold = slab;
	}
	slab->cold |= slots;
	pool->cold_slots += (size_t)__builtin_popcountll(slots);
}

/* [lock] All cold slots of one slab, or 0. */
static uint64_t pool_take_cold(struct stack_pool *pool, struct slab **ret)
{
	struct slab *slab = pool->cold;
	uint64_t slots;

	if (!slab)
		return 0;
	pool->cold = slab->next;
	slots = slab->cold;
	slab->cold = 0;
	pool->cold_slots -= (size_t)__builtin_popcountll(slots);
	*ret = slab;
	return slots;
}

/* [lock] Adjacent raw slots, at most @step, or 0; for hilo__slab_prepare. */
static unsigned pool_take_raw(struct stack_pool *pool, unsigned step, struct slab **ret, unsigned *ret_first)
{
	struct region *region = pool->region;

	for (; region && pool->slab < region->slabs; pool->slab++) {
		struct slab *slab = hilo__slab_open(region, pool->slab);
		unsigned n = 0, first;

		if (!slab->raw)
			continue;
		first = (unsigned)__builtin_ctzll(slab->raw);
		while (n < step && first + n < SLAB_SLOTS && slab->raw >> (first + n) & 1)
			slab->raw &= ~((uint64_t)1 << (first + n++));
		*ret = slab;
		*ret_first = first;
		return n;
	}
	return 0;
}

/* [lock] Slots that could not be prepared, to be tried again another time. */
static void pool_put_raw(struct stack_pool *pool, struct slab *slab, uint64_t slots)
{
	slab->raw |= slots;
	if (slab >= pool->region->slab && slab < pool->region->slab + pool->region->slabs &&
	    pool->slab > (size_t)(slab - pool->region->slab))
		pool->slab = (size_t)(slab - pool->region->slab);
}

static void fork_prepare(void)
{
	while (xchg_acquire(&trimming, true)) /* P1 */
		sched_yield();
	for (size_t i = 0; i < STACK_CLASSES; i++)
		spin_lock(&pools[i].lock);
}

static void fork_done(void)
{
	for (size_t i = STACK_CLASSES; i-- > 0;)
		spin_unlock(&pools[i].lock);
	store_release(&trimming, false); /* P1 */
}

/*
 * [any] Another region for @class. True when raw slots may be had now, thanks to this thread or to
 * another one that was faster.
 */
static bool pool_grow(struct stack_pool *pool, unsigned class, struct region *seen)
{
	struct region *region = hilo__region_reserve(class);
	bool grown;

	/* In a child after fork no lock may be left with a thread that does not exist there. */
	if (region && !xchg_relaxed(&fork_handled, true)) /* relaxed: decides who calls, nothing else */
		(void)pthread_atfork(fork_prepare, fork_done, fork_done);
	spin_lock(&pool->lock);
	grown = pool->region != seen;
	if (!grown && region && hilo__region_publish(region)) {
		pool->region = region;
		pool->slab = 0;
		region = NULL;
		grown = true;
	}
	spin_unlock(&pool->lock);
	if (region)
		hilo__region_release(region);
	return grown;
}

/* [any] Raw slots, prepared. 0: no memory, or no address space. */
static uint64_t pool_prepare(struct stack_pool *pool, unsigned class, struct slab **ret)
{
	unsigned first, n, prepared, step = hilo__slab_step(class);
	struct region *region;
	uint64_t slots;

	for (;;) {
		spin_lock(&pool->lock);
		region = pool->region;
		n = pool_take_raw(pool, step, ret, &first);
		spin_unlock(&pool->lock);
		if (n)
			break;
		if (!pool_grow(pool, class, region))
			return 0;
	}
	prepared = hilo__slab_prepare(*ret, class, first, n);
	slots = (((uint64_t)1 << n) - 1) << first;
	if (prepared < n) {
		uint64_t rest = slots >> (first + prepared) << (first + prepared);

		slots &= ~rest;
		spin_lock(&pool->lock);
		pool_put_raw(pool, *ret, rest);
		spin_unlock(&pool->lock);
	}
	return slots;
}

/* Make the fiber of a cold slot: its page comes into being here. */
static struct fiber *fiber_make(struct slab *slab, unsigned class, unsigned slot)
{
	struct fiber *fiber = hilo__slab_fiber(slab, class, slot);
	size_t guard = hilo__stack_guard(class);

	memset(fiber, 0, sizeof(*fiber));
	fiber->stack_low = slab->base + slot * hilo__stack_stride(class) + guard;
	fiber->stack_size = (size_t)((char *)fiber - (char *)fiber->stack_low);
	fiber->class = (uint8_t) class;
	/* relaxed: the slot came to us under the pool's lock, or we prepared it */
	fiber->unguarded = !(load_relaxed(&slab->guarded) >> slot & 1);
	hilo__fiber_annotate_new(fiber);
	return fiber;
}

/* A batch becomes the bin's, less one fiber, which is returned. */
static struct fiber *bin_open_batch(struct stack_bin *bin, struct fiber *batch)
{
	bin->head = batch->next;
	bin->count = (unsigned)batch->batch_count - 1;
	return batch;
}

HILO__COLD struct fiber *hilo__stack_refill(struct stack_bin *bin, unsigned class)
{
	struct stack_pool *pool = &pools[class - 1];
	struct fiber *batch = bin->reserve;
	unsigned slot;

	if (batch) {
		bin->reserve = NULL;
		return bin_open_batch(bin, batch);
	}
	spin_lock(&pool->lock);
	batch = pool->newest ? pool_take_batch(pool, pool->newest) : NULL;
	if (!batch && !bin->cold)
		bin->cold = pool_take_cold(pool, &bin->slab);
	spin_unlock(&pool->lock);
	if (batch)
		return bin_open_batch(bin, batch);
	if (!bin->cold)
		bin->cold = pool_prepare(pool, class, &bin->slab);
	if (!bin->cold)
		return NULL;
	slot = (unsigned)__builtin_ctzll(bin->cold);
	bin->cold &= bin->cold - 1;
	return fiber_make(bin->slab, class, slot);
}

HILO__COLD void hilo__stack_spill(struct stack_bin *bin, unsigned class)
{
	struct stack_pool *pool = &pools[class - 1];

	if (bin->reserve) {
		spin_lock(&pool->lock);
		pool_push_batch(pool, bin->reserve, bin->reserve->batch_count);
		spin_unlock(&pool->lock);
	}
	bin->reserve = bin->head;
	bin->reserve->batch_count = bin->count;
	bin->head = NULL;
	bin->count = 0;
}

void hilo__stack_cache_drain(struct stack_cache *cache)
{
	for (size_t i = 0; i < STACK_CLASSES; i++) {
		struct stack_bin *bin = &cache->bin[i];
		struct stack_pool *pool = &pools[i];

		spin_lock(&pool->lock);
		if (bin->reserve)
			pool_push_batch(pool, bin->reserve, bin->reserve->batch_count);
		if (bin->head)
			pool_push_batch(pool, bin->head, bin->count);
		if (bin->cold)
			pool_put_cold(pool, bin->slab, bin->cold);
		spin_unlock(&pool->lock);
		memset(bin, 0, sizeof(*bin));
	}
}

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

/* [trimmer] Empty @surplus fibers of @class. Returns how many stacks lost their pages. */
static size_t pool_trim(struct stack_pool *pool, unsigned class, size_t surplus)
{
	size_t trimmed = 0;

	for (;;) {
		struct fiber *batch, *next;
		struct slab *slabs = NULL;

		spin_lock(&pool->lock);
		batch = pool_take_surplus(pool, &surplus);
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

/* [any] Trim each pool: what was not needed for a while, or everything. */
static size_t pools_trim(bool all)
{
	size_t trimmed = 0;

	if (stack_annotate_pinned() || xchg_acquire(&trimming, true)) /* P1 */
		return 0;
	for (unsigned i = 0; i < STACK_CLASSES; i++) {
		struct stack_pool *pool = &pools[i];
		size_t surplus;

		spin_lock(&pool->lock);
		surplus = all ? pool->warm : pool->warm_low;
		spin_unlock(&pool->lock);
		trimmed += pool_trim(pool, i + 1, surplus);
		spin_lock(&pool->lock);
		pool->warm_low = pool->warm;
		spin_unlock(&pool->lock);
	}
	store_release(&trimming, false); /* P1 */
	return trimmed;
}

size_t hilo__stack_trim(void)
{
	return pools_trim(false);
}

size_t hilo__stack_release(void)
{
	return pools_trim(true);
}

static void pool_count(unsigned class, struct stack_stats *ret)
{
	struct stack_pool *pool = &pools[class - 1];

	hilo__region_count(class, ret);
	spin_lock(&pool->lock);
	ret->warm += pool->warm;
	ret->cold += pool->cold_slots;
	spin_unlock(&pool->lock);
}

void hilo__stack_get_stats(unsigned class, struct stack_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 1; i <= STACK_CLASSES; i++)
		if (!class || class == i)
			pool_count(i, ret);
}

size_t hilo__stack_high_water(const struct fiber *fiber)
{
	enum {
		PAGES = 256
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char there[PAGES];
	char *top = (char *)(((uintptr_t)fiber + page - 1) & ~(page - 1));

	for (char *at = fiber->stack_low; at < top; at += PAGES * page) {
		size_t pages = (size_t)(top - at) / page < PAGES ? (size_t)(top - at) / page : PAGES;

		if (mincore(at, pages * page, there) < 0)
			return 0;
		for (size_t i = 0; i < pages; i++)
			if (there[i] & 1)
				return (size_t)(top - at) - i * page;
	}
	return 0;
}
