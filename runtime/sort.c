/* SPDX-License-Identifier: MIT */
/*
 * sort.c - sorting over forks. What is done serially, on items of a type, is in <hilo/runtime/sort_typed.h>; here is
 * who does what, for items of any size.
 *
 * The quicksort forks what comes after the pivot and goes on with what comes before it. It stops between pieces only,
 * and a piece leaves a permutation behind, so a cancel and a fork that is left out lose nothing.
 *
 * The merge sort has its items in two places in turn. After each step they are all in one of them; a step that has not
 * succeeded leaves them where they were at first. A merge that has begun is not cancelled: what is left out of it for
 * want of memory its caller does himself.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/sort.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "runtime/parallel_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/fork.h"
#include "scheduler/scheduler.h"

/* Items that are sorted serially, some 20 us of numbers. */
#define GRAIN 1024
/* With HILO_GRAIN_SAME. */
#define PIECES_SAME 256
/* A partition and a merge have so many pieces at most, and such ones only. */
#define PIECES_MOST 32u
#define PIECE_GRAINS 16
/* With fewer workers than this the first partition is done by one: what others wait is less than what it costs. */
#define WORKERS_PART 4
/* Bytes that change places at a time. */
#define SWAP_SIZE 512
/* Of the scratch memory: that of any type. */
#define ALIGNMENT ((size_t)64)
/* What sorting takes for each item, at least. */
#define ITEM_CYCLES 16

struct sort {
	const struct hilo_sort_type *type;
	void *arg;
	size_t item; /* bytes */
	size_t grain;
	unsigned workers;
	struct parallel parallel;
};

static void *at(const struct sort *sort, void *items, size_t i)
{
	return (char *)items + i * sort->item;
}

/* Pieces of one piece of work, all of which must be done. */
struct pieces {
	void (*body)(void *of, unsigned piece);
	void *of;
};

static void pieces_here(const struct pieces *pieces, unsigned first, unsigned last)
{
	for (unsigned i = first; i < last; i++)
		pieces->body(pieces->of, i);
}

/* 0. Something below 0 is the answer of a fork that was left out, for want of memory. */
HILO_FORKABLE(int, pieces_all, const struct pieces *, pieces, unsigned, first, unsigned, last)
{
	unsigned middle = first + (last - first) / 2;

	if (last - first <= 1) {
		pieces_here(pieces, first, last);
		return 0;
	}
	HILO_FORK(pieces_all, pieces, middle, last);
	if (HILO_CALL(pieces_all, pieces, first, middle) < 0)
		pieces_here(pieces, first, middle);
	if (HILO_JOIN(pieces_all) < 0)
		pieces_here(pieces, middle, last);
	return 0;
}

/* How many pieces @count items have in a partition or a merge by @most at a time. */
static unsigned pieces_of(const struct sort *sort, size_t count, unsigned most)
{
	size_t pieces = count / (PIECE_GRAINS * sort->grain);

	if (most > PIECES_MOST)
		most = PIECES_MOST;
	return pieces < most ? (unsigned)pieces : most;
}

static void swap_bytes(void *a, void *b, size_t size)
{
	unsigned char bytes[SWAP_SIZE], *x = a, *y = b;

	if (a == b)
		return;
	while (size > 0) {
		size_t n = size < SWAP_SIZE ? size : SWAP_SIZE;

		memcpy(bytes, x, n);
		memcpy(x, y, n);
		memcpy(y, bytes, n);
		x += n;
		y += n;
		size -= n;
	}
}

/* A partition in pieces: each by itself, then what is on the wrong side of the whole changes places. */
struct part {
	struct sort *sort;
	void *items;
	size_t count;
	const void *pivot;
	int equal;
	unsigned pieces;
	size_t lefts;		     /* of all */
	size_t wrong;		     /* on either side */
	size_t left_of[PIECES_MOST]; /* how many of a piece go to the left */
};

static size_t part_begin(const struct part *part, unsigned piece)
{
	size_t each = part->count / part->pieces, more = part->count % part->pieces;

	return piece * each + (piece < more ? piece : more);
}

static void part_piece(void *of, unsigned piece)
{
	struct part *part = of;
	size_t begin = part_begin(part, piece);

	part->left_of[piece] = part->sort->type->part(at(part->sort, part->items, begin),
						      part_begin(part, piece + 1) - begin, part->pivot,
						      part->equal, part->sort->arg);
}

/* What of @piece is on the wrong side: on the left (@side 0), on the right (1). Its length. */
static size_t part_wrong(const struct part *part, unsigned piece, int side, size_t *ret_begin)
{
	size_t begin = part_begin(part, piece), end = part_begin(part, piece + 1);
	size_t middle = begin + part->left_of[piece];

	if (side == 0) {
		*ret_begin = middle;
		end = end < part->lefts ? end : part->lefts;
	} else {
		*ret_begin = begin > part->lefts ? begin : part->lefts;
		end = middle;
	}
	return *ret_begin < end ? end - *ret_begin : 0;
}

/* A walk over all that is on the wrong side of one side. */
struct part_walk {
	const struct part *part;
	int side;
	unsigned piece;
	size_t begin, left; /* of the run */
};

static void walk_next(struct part_walk *walk)
{
	while (walk->left == 0 && walk->piece < walk->part->pieces)
		walk->left = part_wrong(walk->part, walk->piece++, walk->side, &walk->begin);
}

static void walk_skip(struct part_walk *walk, size_t count)
{
	for (walk_next(walk); count > 0; walk_next(walk)) {
		size_t n = count < walk->left ? count : walk->left;

		walk->begin += n;
		walk->left -= n;
		count -= n;
	}
}

static void part_swap(void *of, unsigned piece)
{
	struct part *part = of;
	struct part_walk a = {part, 0, 0, 0, 0}, b = {part, 1, 0, 0, 0};
	size_t each = part->wrong / part->pieces, first = piece * each;
	size_t count = piece + 1 == part->pieces ? part->wrong - first : each, n;

	walk_skip(&a, first);
	walk_skip(&b, first);
	for (; count > 0; count -= n) {
		n = a.left < b.left ? a.left : b.left;
		n = n < count ? n : count;
		swap_bytes(at(part->sort, part->items, a.begin), at(part->sort, part->items, b.begin),
			   n * part->sort->item);
		walk_skip(&a, n);
		walk_skip(&b, n);
	}
}

HILO_FORK_DECLARE(size_t, part_all, struct sort *, sort, void *, items, size_t, count, const void *, pivot,
		  int, equal);

/* One more than come before the pivot; 0: left out. */
HILO_FORK_DEFINE(size_t, part_all, struct sort *, sort, void *, items, size_t, count, const void *, pivot,
		 int, equal)
{
	struct part part = {.sort = sort, .items = items, .count = count, .pivot = pivot, .equal = equal};
	struct pieces pieces = {part_piece, &part};
	size_t begin;

	part.pieces = pieces_of(sort, count, 2 * sort->workers);
	if (HILO_CALL(pieces_all, &pieces, 0, part.pieces) < 0)
		pieces_here(&pieces, 0, part.pieces);
	for (unsigned i = 0; i < part.pieces; i++)
		part.lefts += part.left_of[i];
	for (unsigned i = 0; i < part.pieces; i++)
		part.wrong += part_wrong(&part, i, 0, &begin);
	pieces.body = part_swap;
	if (HILO_CALL(pieces_all, &pieces, 0, part.pieces) < 0)
		pieces_here(&pieces, 0, part.pieces);
	return part.lefts + 1;
}

/* The code of two parts. */
static int codes_of_two(int rc, int later)
{
	return rc < 0 && (rc != -ECANCELED || later >= 0) ? rc : later;
}

/* The last step of the quicksort. */
static int quick_end(struct sort *sort, void *items, size_t count, const void *before)
{
	if (count <= sort->grain)
		sort->type->sort(items, count, before, sort->arg);
	else
		sort->type->sort_heap(items, count, sort->arg);
	hilo__parallel_done(&sort->parallel, (int64_t)count);
	return 0;
}

HILO_FORKABLE(int, quick, struct sort *, sort, void *, items, size_t, count, const void *, before, unsigned,
	      limit)
{
	const struct hilo_sort_type *type = sort->type;
	void *rest = at(sort, items, 1);
	size_t left = 0;
	int rc = hilo__parallel_stops(&sort->parallel), equal;

	if (rc < 0)
		return rc;
	if (count <= sort->grain || limit == 0)
		return quick_end(sort, items, count, before);
	equal = type->choose(items, count, before, sort->arg);
	if (sort->workers >= WORKERS_PART && pieces_of(sort, count - 1, 2 * sort->workers) > 1)
		left = HILO_CALL(part_all, sort, rest, count - 1, items, equal);
	left = left ? left - 1 : type->part(rest, count - 1, items, equal, sort->arg);
	swap_bytes(items, at(sort, items, left), sort->item);
	rest = at(sort, items, left + 1);
	if (equal) {
		hilo__parallel_done(&sort->parallel, (int64_t)left + 1);
		return HILO_CALL(quick, sort, rest, count - left - 1, NULL, limit - 1);
	}
	hilo__parallel_done(&sort->parallel, 1);
	HILO_FORK(quick, sort, rest, count - left - 1, at(sort, items, left), limit - 1);
	rc = HILO_CALL(quick, sort, items, left, before, limit - 1);
	return codes_of_two(rc, HILO_JOIN(quick));
}

/* [task] Wake somebody if it is worth it. */
static void expect_items(size_t count)
{
	hilo__fork_expect(thread_self()->loop, (uint64_t)count * ITEM_CYCLES);
}

HILO_FORKABLE(int, quick_all, struct sort *, sort, void *, items, size_t, count)
{
	unsigned limit = 0;
	int rc = hilo__parallel_stops(&sort->parallel);

	if (rc < 0)
		return rc;
	if (sort->type->order(items, count, sort->arg))
		return 0;
	for (size_t n = count; n; n /= 2)
		limit += 3; /* a step that passes over equal items is one, too */
	expect_items(count);
	return HILO_CALL(quick, sort, items, count, NULL, limit);
}

/* Two runs, one after the other, and where they are merged to. */
struct merge {
	struct sort *sort;
	void *from, *to;
	size_t lefts, count;
	unsigned pieces;
	size_t left_before[PIECES_MOST + 1]; /* items of the left run before a piece */
};

static size_t merge_begin(const struct merge *merge, unsigned piece)
{
	size_t each = merge->count / merge->pieces, more = merge->count % merge->pieces;

	return piece * each + (piece < more ? piece : more);
}

static void merge_piece(void *of, unsigned piece)
{
	struct merge *merge = of;
	struct sort *sort = merge->sort;
	size_t begin = merge_begin(merge, piece), end = merge_begin(merge, piece + 1);
	size_t left = merge->left_before[piece], left_end = merge->left_before[piece + 1];
	size_t right = merge->lefts + (begin - left), right_end = merge->lefts + (end - left_end);

	sort->type->merge(at(sort, merge->from, left), left_end - left, at(sort, merge->from, right),
			  right_end - right, at(sort, merge->to, begin), sort->arg);
}

/* Each from the one before on: so they are a cut whatever the order says. */
static void merge_cut(struct merge *merge)
{
	struct sort *sort = merge->sort;

	merge->left_before[0] = 0;
	for (unsigned i = 1; i <= merge->pieces; i++) {
		size_t begin = merge_begin(merge, i - 1), left = merge->left_before[i - 1];
		size_t right = merge->lefts + (begin - left);

		merge->left_before[i] =
			left + sort->type->rank(at(sort, merge->from, left), merge->lefts - left,
						at(sort, merge->from, right), merge->count - right,
						merge_begin(merge, i) - begin, sort->arg);
	}
}

static void merge_here(struct sort *sort, void *from, size_t lefts, size_t count, void *to)
{
	const void *right = at(sort, from, lefts);

	/* Of the last of the left run and the first of the right one the left one is first: in order already. */
	if (sort->type->rank(at(sort, from, lefts - 1), 1, right, 1, 1, sort->arg) == 1)
		memcpy(to, from, count * sort->item);
	else
		sort->type->merge(from, lefts, right, count - lefts, to, sort->arg);
}

HILO_FORK_DECLARE(int, merge_all, struct sort *, sort, void *, from, size_t, lefts, size_t, count, void *,
		  to);

/* Not inlined, as above. */
__attribute__((noinline))
HILO_FORK_DEFINE(int, merge_all, struct sort *, sort, void *, from, size_t, lefts, size_t, count, void *, to)
{
	struct merge merge = {.sort = sort, .from = from, .to = to, .lefts = lefts, .count = count};
	struct pieces pieces = {merge_piece, &merge};

	merge.pieces = pieces_of(sort, count, 4 * sort->workers);
	merge_cut(&merge);
	if (HILO_CALL(pieces_all, &pieces, 0, merge.pieces) < 0)
		pieces_here(&pieces, 0, merge.pieces);
	return 0;
}

/* Where the items are after a step at this depth: those of the whole, at depth 0, are where they were. */
static void *place_of(int depth, void *items, void *scratch)
{
	return depth % 2 ? scratch : items;
}

static int stable_end(struct sort *sort, void *items, void *scratch, size_t count, int depth)
{
	void *to = place_of(depth, items, scratch);

	if (!sort->type->order(items, count, sort->arg))
		sort->type->sort_stable(items, count, scratch, to, sort->arg);
	else if (to != items)
		memcpy(to, items, count * sort->item);
	hilo__parallel_done(&sort->parallel, (int64_t)count * (sort->parallel.weight - depth));
	return 0;
}

/* One half of a step has not succeeded: the items of the other one go back to where they were. */
static int stable_undo(struct sort *sort, void *items, void *scratch, size_t count, int depth, int rc)
{
	if (rc >= 0 && place_of(depth + 1, items, scratch) != items)
		memcpy(items, scratch, count * sort->item);
	return rc;
}

HILO_FORKABLE(int, stable, struct sort *, sort, void *, items, void *, scratch, size_t, count, int, depth)
{
	size_t left = count / 2;
	void *right = at(sort, items, left), *right_scratch = at(sort, scratch, left), *from, *to;
	int rc = hilo__parallel_stops(&sort->parallel), later;

	if (rc < 0)
		return rc;
	if (count <= sort->grain)
		return stable_end(sort, items, scratch, count, depth);
	HILO_FORK(stable, sort, right, right_scratch, count - left, depth + 1);
	rc = HILO_CALL(stable, sort, items, scratch, left, depth + 1);
	later = HILO_JOIN(stable);
	if (HILO__UNLIKELY(rc < 0 || later < 0))
		return codes_of_two(stable_undo(sort, items, scratch, left, depth, rc),
				    stable_undo(sort, right, right_scratch, count - left, depth, later));
	from = place_of(depth + 1, items, scratch);
	to = place_of(depth, items, scratch);
	if (pieces_of(sort, count, 4 * sort->workers) <= 1 ||
	    HILO_CALL(merge_all, sort, from, left, count, to) < 0)
		merge_here(sort, from, left, count, to);
	hilo__parallel_done(&sort->parallel, (int64_t)count);
	return 0;
}

HILO_FORKABLE(int, stable_all, struct sort *, sort, void *, items, void *, scratch, size_t, count)
{
	int rc = hilo__parallel_stops(&sort->parallel);

	if (rc < 0)
		return rc;
	if (sort->type->order(items, count, sort->arg))
		return 0;
	expect_items(count);
	return HILO_CALL(stable, sort, items, scratch, count, 0);
}

static size_t grain_of(size_t count, int64_t grain)
{
	if (grain > 0)
		return (uint64_t)grain < count ? (size_t)grain : count;
	return grain == HILO_GRAIN_SAME ? count / PIECES_SAME + 1 : GRAIN;
}

static int sort_begin(struct sort *sort, const struct hilo_sort_type *type, void *base, size_t count,
		      void *arg, const hilo_parallel_opts *opts)
{
	int rc = hilo__parallel_begin(&sort->parallel, opts, (int64_t)count, 1, "hilo_sort");

	if (rc < 0)
		return rc;
	if (!base && count)
		return hilo_fail(-EINVAL, "hilo_sort: base is NULL");
	if (count > (size_t)PTRDIFF_MAX / type->item_size)
		return hilo_fail(-EOVERFLOW, "hilo_sort: %zu items of %zu bytes", count, type->item_size);
	sort->type = type;
	sort->arg = arg;
	sort->item = type->item_size;
	sort->grain = grain_of(count, sort->parallel.opts.grain);
	sort->workers = hilo__parallel_workers();
	return 0;
}

int hilo_sort_typed(const struct hilo_sort_type *type, void *base, size_t count, void *arg,
		    const hilo_parallel_opts *opts)
{
	struct sort sort;
	int rc = sort_begin(&sort, type, base, count, arg, opts);

	if (rc < 0)
		return rc;
	if (count > 1)
		(void)HILO_REGION_WITH(NULL, quick_all, &rc, &sort, base, count); /* rc says it all */
	return hilo__parallel_end(&sort.parallel, rc);
}

/* The number of halvings down to the grain, and 1: so often each item is moved. */
static int64_t stable_weight(const struct sort *sort, size_t count)
{
	int64_t weight = 1;

	for (; count > sort->grain; count -= count / 2)
		weight++;
	return weight;
}

int hilo_sort_typed_stable(const struct hilo_sort_type *type, void *base, size_t count, void *arg,
			   const hilo_parallel_opts *opts)
{
	struct sort sort;
	void *scratch;
	int rc = sort_begin(&sort, type, base, count, arg, opts);

	if (rc < 0 || count < 2)
		return rc < 0 ? rc : hilo__parallel_end(&sort.parallel, 0);
	scratch = hilo__aligned_alloc(ALIGNMENT, (count * sort.item + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	if (!scratch)
		return -ENOMEM;
	sort.parallel.weight = stable_weight(&sort, count);
	(void)HILO_REGION_WITH(NULL, stable_all, &rc, &sort, base, scratch, count); /* rc says it all */
	hilo__free(scratch);
	return hilo__parallel_end(&sort.parallel, rc);
}
