/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_HEAPS_H
#define HILO_TESTS_EXPLORE_HEAPS_H

/* heaps.h - the heaps of model threads, one each, for models that link the shipped pool.c. */
#include "scheduler/base/mem.h"
#include "scheduler/base/pool.h"
#include "tests/explore/waiting.h"

/* One slab for each thread, as the pool would have made it. */
static _Alignas(POOL_SLAB_SIZE) unsigned char slab_memory[EXPLORE_THREADS][POOL_SLAB_SIZE];
static struct heap heaps[EXPLORE_THREADS];

/* Nothing here is ever mapped. */
void *hilo__map_aligned(size_t alignment, size_t size)
{
	(void)alignment;
	(void)size;
	return NULL;
}

/* All heaps empty. */
static inline void heaps_reset(void)
{
	memset(heaps, 0, sizeof(heaps));
	for (unsigned i = 0; i < EXPLORE_THREADS; i++)
		threads[i].heap = &heaps[i];
}

/* But for @n objects of @kind in that of @thread. */
static inline void heaps_fill(unsigned thread, enum pool_kind kind, unsigned n)
{
	unsigned char *objects = slab_memory[thread] + POOL_SLAB_SIZE / 2;
	struct pool_object **end = &heaps[thread].list[kind].free;
	struct pool_slab *slab = slab_of(objects);

	slab->owner = &heaps[thread];
	slab->kind = kind;
	for (unsigned i = 0; i < n; i++) {
		struct pool_object *object = (struct pool_object *)(void *)(objects + i * POOL_OBJECT_SIZE);

		memset(object, 0, POOL_OBJECT_SIZE);
		*end = object;
		end = &object->next;
	}
}

static inline unsigned heaps_list_length(const struct pool_object *object)
{
	unsigned n = 0;

	for (; object != NULL && n < 10; object = object->next)
		n++;
	return n;
}

/* At the end: how many objects are free, on their way, or back home. */
static inline unsigned heaps_count(enum pool_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < EXPLORE_THREADS; i++)
		n += heaps_list_length(heaps[i].list[kind].free) +
		     heaps_list_length(heaps[i].list[kind].out_first) +
		     heaps_list_length(heaps[i].remote[kind]);
	return n;
}

#endif /* HILO_TESTS_EXPLORE_HEAPS_H */
