/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SORT_H
#define HILO_RUNTIME_SORT_H

#include <hilo/runtime/parallel.h>

/*
 * sort.h - sorting on all cores, by forks (fork.h).
 *
 *	rc = hilo_sort(names, count, sizeof(*names), compare_names, NULL, NULL);
 *
 * That calls a function for each comparison. Where comparing is cheap most of the time goes there, so a sort can be
 * made for one type and one order, in which comparing is no call:
 *
 *	#define HILO_SORT_NAME sort_longs
 *	#define HILO_SORT_TYPE long
 *	#define HILO_SORT_LESS(a, b, arg) (*(a) < *(b))
 *	#include <hilo/runtime/sort_typed.h>
 *
 *	rc = sort_longs(numbers, count, NULL, NULL);
 *	rc = sort_longs_stable(numbers, count, NULL, NULL);
 *
 * Sorting takes O(n log n) comparisons for each input; O(n) of what is in order already, or in the reverse order, and
 * O(n log k) of k different items unless it is stable. Items are moved as bytes. They are compared where they lie or
 * in copies of their own; comparing may do all that a fork may, waiting included, and cannot fail.
 *
 * Whatever comes of it the items are all there, each once, in some order: after a failure, a cancel, and if the order
 * contradicts itself, as that of floating point numbers does if one of them is no number.
 *
 * From tasks, and from calls in executors, which run it in a task of their runtime. Elsewhere: -EDEADLK. All suspend.
 */

HILO_BEGIN_DECLS

/* Below 0: *a comes before *b, 0: either may, above 0: after. */
typedef int (*hilo_compare_fn)(const void *a, const void *b, void *arg);

/*
 * [task, suspends] Sort the @count items of @size bytes at @base by @compare, which gets @arg. Those that are equal
 * come out in any order. In place for items of 4, 8 and 16 bytes that lie at multiples of their size; for others
 * memory for a pointer to each is taken, and for a copy of all if there is some. @opts NULL: the defaults; the grain
 * is how many items are sorted serially, 1024 with HILO_GRAIN_AUTO.
 * 0; -ECANCELED; -ENOMEM; -EINVAL: @compare NULL, @size 0, @base NULL for some items, bad @opts; -EOVERFLOW: they do
 * not fit into memory; -EDEADLK.
 */
HILO_API HILO_MUST_CHECK int hilo_sort(void *base, size_t count, size_t size, hilo_compare_fn compare,
				       void *arg, const hilo_parallel_opts *opts);

/*
 * [task, suspends] The same, but those that are equal stay in the order in which they were. Memory for a copy of all
 * items is taken, or for two pointers to each.
 */
HILO_API HILO_MUST_CHECK int hilo_stable_sort(void *base, size_t count, size_t size, hilo_compare_fn compare,
					      void *arg, const hilo_parallel_opts *opts);

/*
 * [generated code] What sort_typed.h makes for a type: serial pieces of work on items of one size. The layout is
 * compiled into programs; what is added comes at the end.
 */
struct hilo_sort_type {
	size_t size;	  /* sizeof(struct hilo_sort_type) */
	size_t item_size; /* bytes */
	/* True: they are in order; those that were in the reverse order, none equal, have been turned round. */
	int (*order)(void *items, size_t count, void *arg);
	/* All are not before *before, which may be NULL. */
	void (*sort)(void *items, size_t count, const void *before, void *arg);
	void (*sort_heap)(void *items, size_t count, void *arg);
	/* Put a good pivot first. True: it is equal to *before, so those that are equal to it are to go left. */
	int (*choose)(void *items, size_t count, const void *before, void *arg);
	/* Those before *pivot, or not after it, to the left; how many. */
	size_t (*part)(void *items, size_t count, const void *pivot, int equal, void *arg);
	/* Stable, to `to`, which is items or scratch; both have room for all. */
	void (*sort_stable)(void *items, size_t count, void *scratch, void *to, void *arg);
	/* Two sorted runs into one. */
	void (*merge)(const void *left, size_t lefts, const void *right, size_t rights, void *to, void *arg);
	/* How many of the first @first of the merged runs are of the left one. */
	size_t (*rank)(const void *left, size_t lefts, const void *right, size_t rights, size_t first,
		       void *arg);
};

/* [generated code] As hilo_sort and hilo_stable_sort. */
HILO_API int hilo_sort_typed(const struct hilo_sort_type *type, void *base, size_t count, void *arg,
			     const hilo_parallel_opts *opts);
HILO_API int hilo_sort_typed_stable(const struct hilo_sort_type *type, void *base, size_t count, void *arg,
				    const hilo_parallel_opts *opts);

HILO_END_DECLS

#endif /* HILO_RUNTIME_SORT_H */
