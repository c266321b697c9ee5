/* SPDX-License-Identifier: MIT */
/*
 * stack.c - the pools of fibers behind the caches of loops, one for each class.
 *
 *	cache full:    a batch of 32 warm fibers goes to the front of the pool, by one push
 *	cache empty:   its own reserve; else a batch from the front of the pool; else cold slots, first
 *	               its own, then the pool's, then raw ones that are prepared for it
 *	trim:          batches at the back, unused the longest, lose their pages and become cold slots (trim.c)
 *
 * Invariants and pairs: stack_impl.h.
 */
#include "scheduler/fiber/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"
#include "scheduler/fiber/stack_impl.h"

struct stack_pool hilo__stack_pools[STACK_CLASSES];
atomic(bool) hilo__stack_trimming;
static atomic(bool) fork_handled;

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
	while (xchg_acquire(&hilo__stack_trimming, true)) /* P1 */
		sched_yield();
	for (size_t i = 0; i < STACK_CLASSES; i++)
		spin_lock(&hilo__stack_pools[i].lock);
}

static void fork_done(void)
{
	for (size_t i = STACK_CLASSES; i-- > 0;)
		spin_unlock(&hilo__stack_pools[i].lock);
	store_release(&hilo__stack_trimming, false); /* P1 */
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

/* Make the fiber of a cold slot. */
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

/* The @n lowest of @slots. */
static uint64_t slots_lowest(uint64_t slots, unsigned n)
{
	uint64_t rest = slots;

	for (; n && rest; n--)
		rest &= rest - 1;
	return slots & ~rest;
}

/*
 * Make fibers of cold slots: as many as were made so far, a batch at most, so that a program which needs
 * few has few pages. One is returned, the others become the bin's.
 */
static struct fiber *bin_make(struct stack_bin *bin, unsigned class)
{
	unsigned n = 0;
	struct fiber *fiber;

	if (bin->made > 1 && !fibers_are_large())
		n = hilo__slab_populate(bin->slab, class, slots_lowest(bin->cold, bin->made));
	if (!n)
		n = 1; /* its page comes into being as it is made */
	bin->made = bin->made + n < STACK_BATCH ? bin->made + n : STACK_BATCH;
	for (;;) {
		fiber = fiber_make(bin->slab, class, (unsigned)__builtin_ctzll(bin->cold));
		bin->cold &= bin->cold - 1;
		if (!--n)
			return fiber;
		fiber->next = bin->head;
		bin->head = fiber;
		bin->count++;
	}
}

HILO__COLD struct fiber *hilo__stack_refill(struct stack_bin *bin, unsigned class)
{
	struct stack_pool *pool = &hilo__stack_pools[class - 1];
	struct fiber *batch = bin->reserve;

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
	return bin_make(bin, class);
}

HILO__COLD void hilo__stack_spill(struct stack_bin *bin, unsigned class)
{
	struct stack_pool *pool = &hilo__stack_pools[class - 1];

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
		struct stack_pool *pool = &hilo__stack_pools[i];

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

static void pool_count(unsigned class, struct stack_stats *ret)
{
	struct stack_pool *pool = &hilo__stack_pools[class - 1];

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
