/* SPDX-License-Identifier: MIT */
/*
 * parallel_scan.c - partial results of a range, in two passes: what each piece gives by itself, then, from what all
 * pieces before it have given, the results in it. Between the passes the pieces are put together one after the other.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/parallel.h>

#include <stddef.h>
#include <string.h>

#include "runtime/parallel_impl.h"
#include "scheduler/base/mem.h"

struct scan {
	struct parallel parallel;
	hilo_reduction how;
	hilo_scan_fn finish;
	void *arg;
	int64_t begin, grain;
	uint64_t length;
	size_t stride;	       /* of the values */
	unsigned char *values; /* one for each piece */
};

static void *value_of(const struct scan *scan, int64_t piece)
{
	return scan->values + (size_t)piece * scan->stride;
}

static int64_t piece_begin(const struct scan *scan, int64_t piece)
{
	uint64_t from = (uint64_t)piece * (uint64_t)scan->grain;

	return (int64_t)((uint64_t)scan->begin + (from < scan->length ? from : scan->length));
}

typedef int (*piece_fn)(int64_t begin, int64_t end, void *value, void *arg);

static int pieces_do(struct scan *scan, int64_t piece, int64_t last, piece_fn fn)
{
	int rc = 0;

	for (; piece < last && rc >= 0; piece++) {
		int64_t begin = piece_begin(scan, piece), end = piece_begin(scan, piece + 1);

		rc = fn(begin, end, value_of(scan, piece), scan->arg);
		hilo__parallel_done(&scan->parallel, rc < 0 ? 0 : end - begin);
	}
	return rc;
}

static int pieces_fold(int64_t piece, int64_t last, void *arg)
{
	struct scan *scan = arg;

	return pieces_do(scan, piece, last, scan->how.fold);
}

static int pieces_finish(int64_t piece, int64_t last, void *arg)
{
	struct scan *scan = arg;

	return pieces_do(scan, piece, last, scan->finish);
}

/* From what each piece gives to what all before it give; @so_far has room for two values, the first is neutral. */
static int pieces_combine(struct scan *scan, int64_t pieces, unsigned char *so_far)
{
	size_t size = scan->how.value_size;
	int rc = 0;

	for (int64_t i = 0; i < pieces && rc >= 0; i++) {
		memcpy(so_far + scan->stride, value_of(scan, i), size);
		memcpy(value_of(scan, i), so_far, size);
		if (i + 1 < pieces)
			rc = scan->how.combine(so_far, so_far + scan->stride, scan->arg);
	}
	return rc < 0 ? rc : 0;
}

static int scan_pieces(struct scan *scan, int64_t pieces, void *value)
{
	unsigned char *so_far = scan->values + (size_t)pieces * scan->stride;
	int rc = 0;

	memcpy(so_far, value, scan->how.value_size);
	for (int64_t i = 0; i < pieces; i++)
		memcpy(value_of(scan, i), value, scan->how.value_size);
	/* What the last one gives nobody asks for. */
	if (pieces > 1)
		rc = hilo__parallel_range(&scan->parallel, 0, pieces - 1, 1, 0, pieces_fold, scan);
	if (rc >= 0)
		rc = pieces_combine(scan, pieces, so_far);
	if (rc >= 0)
		rc = hilo__parallel_range(&scan->parallel, 0, pieces, 1, 0, pieces_finish, scan);
	if (rc >= 0)
		memcpy(value, value_of(scan, pieces - 1), scan->how.value_size);
	return rc < 0 ? rc : 0;
}

/* [task, executor's thread] With one worker one pass is enough, unless the result is to be the same with many. */
static int64_t grain_of(const struct scan *scan)
{
	if (scan->parallel.opts.grain == HILO_GRAIN_AUTO && hilo__parallel_workers() == 1)
		return scan->length < INT64_MAX ? (int64_t)scan->length : INT64_MAX;
	return hilo__parallel_grain(scan->length, scan->parallel.opts.grain);
}

static int scan_begun(struct scan *scan, void *value)
{
	uint64_t pieces;
	int rc;

	scan->grain = grain_of(scan);
	scan->stride = (scan->how.value_size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (scan->stride == 0)
		scan->stride = _Alignof(max_align_t);
	pieces = (scan->length - 1) / (uint64_t)scan->grain + 1;
	if (pieces > INT64_MAX / scan->stride - 2)
		return hilo_fail(-ENOMEM, "hilo_parallel_scan: too many pieces");
	scan->values = hilo__malloc((size_t)(pieces + 2) * scan->stride);
	if (!scan->values)
		return -ENOMEM;
	rc = scan_pieces(scan, (int64_t)pieces, value);
	hilo__free(scan->values);
	return rc;
}

int hilo_parallel_scan(int64_t begin, int64_t end, const hilo_reduction *how, hilo_scan_fn finish,
		       void *value, void *arg, const hilo_parallel_opts *opts)
{
	struct scan scan = {.finish = finish, .arg = arg, .begin = begin};
	int rc = hilo__parallel_reduction(&scan.how, how, value, "hilo_parallel_scan");

	if (rc < 0)
		return rc;
	if (!finish)
		return hilo_fail(-EINVAL, "hilo_parallel_scan: finish is NULL");
	scan.length = begin < end ? range_length(begin, end) : 0;
	rc = hilo__parallel_begin(&scan.parallel, opts,
				  scan.length < INT64_MAX / 2 ? (int64_t)scan.length : INT64_MAX / 2, 2,
				  "hilo_parallel_scan");
	if (rc < 0 || begin >= end)
		return rc;
	return hilo__parallel_end(&scan.parallel, scan_begun(&scan, value));
}
