/* SPDX-License-Identifier: MIT */
/*
 * sort_untyped.c - sorting items of any size by a function: those of some sizes as items of a type of that size, all
 * others by pointers to them, after which they are moved: in parallel, if there is memory for a copy of all, and back.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/sort.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "runtime/parallel_impl.h"
#include "scheduler/base/mem.h"

/* Bytes of all items from which on it is worth it to move them in parallel. */
#define LARGE ((size_t)1 << 20)

struct order {
	hilo_compare_fn compare;
	void *arg;
};

static int order_less(const void *a, const void *b, const struct order *order)
{
	return order->compare(a, b, order->arg) < 0;
}

/* They stand for whatever has their size. */
typedef uint32_t __attribute__((may_alias)) item4;
typedef uint64_t __attribute__((may_alias)) item8;
typedef struct {
	_Alignas(16) uint64_t half[2];
} __attribute__((may_alias)) item16;

#define HILO_SORT_NAME sort4
#define HILO_SORT_TYPE item4
#define HILO_SORT_LESS(a, b, arg) order_less(a, b, arg)
#include <hilo/runtime/sort_typed.h>

#define HILO_SORT_NAME sort8
#define HILO_SORT_TYPE item8
#define HILO_SORT_LESS(a, b, arg) order_less(a, b, arg)
#include <hilo/runtime/sort_typed.h>

#define HILO_SORT_NAME sort16
#define HILO_SORT_TYPE item16
#define HILO_SORT_LESS(a, b, arg) order_less(a, b, arg)
#include <hilo/runtime/sort_typed.h>

#define HILO_SORT_NAME sort_pointers
#define HILO_SORT_TYPE char *
#define HILO_SORT_LESS(a, b, arg) order_less(*(a), *(b), arg)
#include <hilo/runtime/sort_typed.h>

/* Items by pointers to them, in order; and a copy of all. */
struct arranging {
	char *base, *copy;
	char **pointers;
	size_t size;
};

static int items_copy(int64_t begin, int64_t end, void *arg)
{
	const struct arranging *arranging = arg;
	size_t size = arranging->size;

	for (int64_t i = begin; i < end; i++)
		memcpy(arranging->copy + (size_t)i * size, arranging->pointers[i], size);
	return 0;
}

static int items_copy_back(int64_t begin, int64_t end, void *arg)
{
	const struct arranging *arranging = arg;
	size_t size = arranging->size, at = (size_t)begin * size;

	memcpy(arranging->base + at, arranging->copy + at, (size_t)(end - begin) * size);
	return 0;
}

/* All into a copy, and back. What is left out for a cancel is done here: they are sorted. false: no memory. */
static bool items_arrange_apart(char *base, size_t count, size_t size, char **pointers)
{
	struct arranging arranging = {base, NULL, pointers, size};
	hilo_parallel_opts opts = {.size = sizeof(opts)};

	if (count * size < LARGE || hilo__parallel_workers() == 1)
		return false;
	arranging.copy = hilo__malloc(count * size);
	if (!arranging.copy)
		return false;
	if (hilo_parallel_for_with(0, (int64_t)count, items_copy, &arranging, &opts) < 0)
		(void)items_copy(0, (int64_t)count, &arranging);
	if (hilo_parallel_for_with(0, (int64_t)count, items_copy_back, &arranging, &opts) < 0)
		(void)items_copy_back(0, (int64_t)count, &arranging);
	hilo__free(arranging.copy);
	return true;
}

/* Move each item to where its pointer is, one cycle of places after the other; @spare has room for one. */
static void items_arrange(char *base, size_t count, size_t size, char **pointers, char *spare)
{
	for (size_t i = 0; i < count; i++) {
		char *first = base + i * size, *place = first, *from = pointers[i];

		if (from == first)
			continue;
		memcpy(spare, first, size);
		while (from != first) {
			memcpy(place, from, size);
			pointers[(size_t)(place - base) / size] = place;
			place = from;
			from = pointers[(size_t)(place - base) / size];
		}
		memcpy(place, spare, size);
		pointers[(size_t)(place - base) / size] = place;
	}
}

static int sort_by_pointers(char *base, size_t count, size_t size, struct order *order,
			    const hilo_parallel_opts *opts, bool stable)
{
	char **pointers;
	int rc;

	if (count > (SIZE_MAX / 2 - size) / sizeof(*pointers))
		return hilo_fail(-EOVERFLOW, "hilo_sort: %zu items", count);
	pointers = hilo__malloc(count * sizeof(*pointers) + size);
	if (!pointers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		pointers[i] = base + i * size;
	rc = stable ? sort_pointers_stable(pointers, count, order, opts)
		    : sort_pointers(pointers, count, order, opts);
	if (rc >= 0 && !items_arrange_apart(base, count, size, pointers))
		items_arrange(base, count, size, pointers, (char *)(pointers + count));
	hilo__free(pointers);
	return rc;
}

/* The type that items of @size at @base can be sorted as; NULL: none. */
static const struct hilo_sort_type *type_of(const void *base, size_t size)
{
	if ((uintptr_t)base % size)
		return NULL;
	return size == 4 ? &sort4__type : size == 8 ? &sort8__type : size == 16 ? &sort16__type : NULL;
}

static int sort_untyped(void *base, size_t count, size_t size, struct order *order,
			const hilo_parallel_opts *opts, bool stable)
{
	const struct hilo_sort_type *type;

	if (!order->compare || size == 0)
		return hilo_fail(-EINVAL, "hilo_sort: compare is NULL, or items have no size");
	if (!base && count)
		return hilo_fail(-EINVAL, "hilo_sort: base is NULL");
	if (count > (size_t)PTRDIFF_MAX / size)
		return hilo_fail(-EOVERFLOW, "hilo_sort: %zu items of %zu bytes", count, size);
	type = type_of(base, size);
	if (!type)
		return sort_by_pointers(base, count, size, order, opts, stable);
	return stable ? hilo_sort_typed_stable(type, base, count, order, opts)
		      : hilo_sort_typed(type, base, count, order, opts);
}

int hilo_sort(void *base, size_t count, size_t size, hilo_compare_fn compare, void *arg,
	      const hilo_parallel_opts *opts)
{
	struct order order = {compare, arg};

	return sort_untyped(base, count, size, &order, opts, false);
}

int hilo_stable_sort(void *base, size_t count, size_t size, hilo_compare_fn compare, void *arg,
		     const hilo_parallel_opts *opts)
{
	struct order order = {compare, arg};

	return sort_untyped(base, count, size, &order, opts, true);
}
