/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_REGION_H
#define HILO_SCHEDULER_FIBER_REGION_H

/*
 * region.h - the address space of stacks: reserved in one piece for each size class, made usable and
 * guarded a few slots at a time. Between region.c and stack.c; nobody else needs it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/fiber/stack.h"

/* Slots of a slab: one bit each in the words below. */
#define SLAB_SLOTS 64

/*
 * The slots of a slab are, each: raw (reserved address space), or taken by whoever prepares them,
 * or cold (usable, in nobody's hands, without a page), or somebody's. The words are kept beside the
 * stacks, not in them: a cold stack has no memory.
 */
struct slab {
	char *base;		  /* of slot 0 */
	uint64_t raw;		  /* [pool's lock] */
	uint64_t cold;		  /* [pool's lock] */
	uint64_t trimming;	  /* [trimmer] */
	atomic(uint64_t) ready;	  /* prepared once and for good, P1 of region.c */
	atomic(uint64_t) guarded; /* those of them that have a guard, P1 */
	struct slab *next;	  /* [pool's lock] among slabs with cold slots */
	struct slab *trim_next;	  /* [trimmer] */
};

/* One reserved mapping: this header, then the slots. */
struct region {
	char *base; /* of slot 0 */
	size_t slots;
	size_t slabs;
	unsigned class;
	struct slab slab[];
};

/* [any] Bytes from one slot to the next, and of its guard. */
size_t hilo__stack_stride(unsigned class);
size_t hilo__stack_guard(unsigned class);

/* [any] Reserve a region for @class: as many slots as usual, or fewer where limits say so. NULL: none. */
struct region *hilo__region_reserve(unsigned class);

/* [any] Give back a region that was not published. */
void hilo__region_release(struct region *region);

/* [pool's lock] Let hilo__stack_find see @region. False: there are too many. */
bool hilo__region_publish(struct region *region);

/* [pool's lock] The @index-th slab of @region, whose slots are raw at first. */
struct slab *hilo__slab_open(struct region *region, size_t index);

/* [any] How many slots of @class are worth preparing at a time, 1 to STACK_BATCH. */
unsigned hilo__slab_step(unsigned class);

/*
 * [taker] Make the raw slots @first to @first + @n - 1 of @slab usable and guarded. Returns how many
 * of them, from the first on, are: fewer than @n, and 0, when there is no memory.
 */
unsigned hilo__slab_prepare(struct slab *slab, unsigned class, unsigned first, unsigned n);

/*
 * [owner of the slots] Have the page at the top of each of @slots, which are ready, in one call: a page
 * fault each costs several times as much. Returns how many, from the lowest on; 0 where that cannot be.
 */
unsigned hilo__slab_populate(struct slab *slab, unsigned class, uint64_t slots);

/* [any] The slab and the slot that @addr lies in, guard included; NULL if it is in none of ours. Async-signal-safe. */
struct slab *hilo__slab_find(const void *addr, unsigned *ret_class, unsigned *ret_slot);

/* [any] Where the fiber of a slot lies. */
struct fiber *hilo__slab_fiber(const struct slab *slab, unsigned class, unsigned slot);

/* [any] Slots in reserved mappings, in prepared slabs, and of these without guard. */
void hilo__region_count(unsigned class, struct stack_stats *ret);

#endif /* HILO_SCHEDULER_FIBER_REGION_H */
