/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - loops, reductions and calls side by side, made of forks.
 *
 * The first piece of a loop is timed: forks wake nobody, but if it is seen that a good deal of work is to come one
 * worker is woken.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/parallel.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "runtime/parallel_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

/* A partial result up to this size lies on the stack. */
#define VALUE_INLINE 64

struct range_work {
	hilo_range_fn body;
	void *arg;
	int64_t grain;
	int64_t unit; /* pieces of work that each item counts as */
	struct parallel *parallel;
	/* Of a reduction. */
	hilo_reduction how;
	const void *neutral;
};

/* [any] The piece [begin, end) has ended with @rc, which is returned. */
static int work_piece(struct range_work *work, int64_t begin, int64_t end, int rc)
{
	if (HILO__UNLIKELY(rc < 0))
		store_relaxed(&work->parallel->stopped, true); /* relaxed: a hint */
	else
		hilo__parallel_done(work->parallel, (end - begin) * work->unit);
	return rc < 0 ? rc : 0;
}

static int for_piece(struct range_work *work, int64_t begin, int64_t end)
{
	int rc = hilo__parallel_stops(work->parallel);

	return rc < 0 ? rc : work_piece(work, begin, end, work->body(begin, end, work->arg));
}

HILO_FORKABLE(int, for_range, struct range_work *, work, int64_t, begin, int64_t, end)
{
	struct error *said;
	int64_t middle;
	int rc, later;

	if (range_length(begin, end) <= (uint64_t)work->grain)
		return for_piece(work, begin, end);
	middle = begin + (int64_t)(range_length(begin, end) / 2);
	HILO_FORK(for_range, work, middle, end);
	rc = HILO_CALL(for_range, work, begin, middle);
	said = hilo__parallel_keep(rc);
	later = HILO_JOIN(for_range);
	return HILO__LIKELY(rc == 0 && later == 0) ? 0 : hilo__parallel_codes(rc, later, said);
}

/* The whole range: one piece is timed, beside all the others. */
HILO_FORKABLE(int, for_all, struct range_work *, work, int64_t, begin, int64_t, end)
{
	uint64_t grain = (uint64_t)work->grain, began;
	struct error *said;
	int64_t first;
	int rc, later;

	if (range_length(begin, end) <= grain)
		return for_piece(work, begin, end);
	first = begin + work->grain;
	HILO_FORK(for_range, work, first, end);
	began = cycles_now();
	rc = for_piece(work, begin, first);
	hilo__parallel_expect(cycles_now() - began, range_length(first, end) / grain);
	said = hilo__parallel_keep(rc);
	later = HILO_JOIN(for_range);
	return HILO__LIKELY(rc == 0 && later == 0) ? 0 : hilo__parallel_codes(rc, later, said);
}

int hilo__parallel_range(struct parallel *parallel, int64_t begin, int64_t end, int64_t grain, int64_t unit,
			 hilo_range_fn body, void *arg)
{
	struct range_work work = {
		.body = body, .arg = arg, .grain = grain, .unit = unit, .parallel = parallel};
	int code = 0, rc;

	rc = HILO_REGION_WITH(&hilo__parallel_cancellable, for_all, &code, &work, begin, end);
	return parallel_region_code(rc, code);
}

/* The items of a range as a figure: no more than there are numbers. */
static int64_t range_items(int64_t begin, int64_t end)
{
	uint64_t length = begin < end ? range_length(begin, end) : 0;

	return length < INT64_MAX ? (int64_t)length : INT64_MAX;
}

static int for_with(int64_t begin, int64_t end, hilo_range_fn body, void *arg, const hilo_parallel_opts *opts,
		    const char *name)
{
	struct parallel parallel;
	int rc;

	if (!body)
		return hilo_fail(-EINVAL, "%s: body is NULL", name);
	rc = hilo__parallel_begin(&parallel, opts, range_items(begin, end), 1, name);
	if (rc < 0 || begin >= end)
		return rc;
	rc = hilo__parallel_range(&parallel, begin, end,
				  hilo__parallel_grain(range_length(begin, end), parallel.opts.grain), 1,
				  body, arg);
	return hilo__parallel_end(&parallel, rc);
}

int hilo_parallel_for_with(int64_t begin, int64_t end, hilo_range_fn body, void *arg,
			   const hilo_parallel_opts *opts)
{
	return for_with(begin, end, body, arg, opts, "hilo_parallel_for_with");
}

int hilo_parallel_for(int64_t begin, int64_t end, int64_t grain, hilo_range_fn body, void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grain};

	return for_with(begin, end, body, arg, &opts, "hilo_parallel_for");
}

struct calls {
	int (*const *fns)(void *arg);
	void *const *args;
};

static int call_some(int64_t begin, int64_t end, void *arg)
{
	const struct calls *calls = arg;
	int rc = 0;

	for (int64_t i = begin; i < end && rc >= 0; i++)
		rc = calls->fns[i](calls->args ? calls->args[i] : NULL);
	return rc;
}

static int invoke_check(size_t count, int (*const fns[])(void *arg), const char *name)
{
	if (count && !fns)
		return hilo_fail(-EINVAL, "%s: fns is NULL", name);
	for (size_t i = 0; i < count; i++)
		if (!fns[i])
			return hilo_fail(-EINVAL, "%s: function %zu is NULL", name, i);
	return 0;
}

static int invoke_with(size_t count, int (*const fns[])(void *arg), void *const args[],
		       const hilo_parallel_opts *opts, const char *name)
{
	struct calls calls = {fns, args};
	struct parallel parallel;
	int64_t grain = 1;
	int rc = invoke_check(count, fns, name);

	if (rc == 0)
		rc = hilo__parallel_begin(&parallel, opts, (int64_t)count, 1, name);
	if (rc < 0 || !count)
		return rc;
	if (parallel.opts.grain != HILO_GRAIN_AUTO) /* functions are few, and not alike */
		grain = hilo__parallel_grain(count, parallel.opts.grain);
	rc = hilo__parallel_range(&parallel, 0, (int64_t)count, grain, 1, call_some, &calls);
	return hilo__parallel_end(&parallel, rc);
}

int hilo_invoke_with(size_t count, int (*const fns[])(void *arg), void *const args[],
		     const hilo_parallel_opts *opts)
{
	return invoke_with(count, fns, args, opts, "hilo_invoke_with");
}

int hilo_invoke(size_t count, int (*const fns[])(void *arg), void *const args[])
{
	return invoke_with(count, fns, args, NULL, "hilo_invoke");
}

/* Reductions. */

HILO_FORKABLE(int, reduce_range, struct range_work *, work, int64_t, begin, int64_t, end, void *, value)
{
	_Alignas(max_align_t) unsigned char inline_value[VALUE_INLINE];
	struct error *said;
	int64_t middle;
	void *right;
	int rc, later;

	if (range_length(begin, end) <= (uint64_t)work->grain) {
		rc = hilo__parallel_stops(work->parallel);
		return rc < 0 ? rc
			      : work_piece(work, begin, end, work->how.fold(begin, end, value, work->arg));
	}
	right = work->how.value_size <= VALUE_INLINE ? inline_value : hilo__malloc(work->how.value_size);
	if (!right)
		return work_piece(work, begin, end, -ENOMEM);
	memcpy(right, work->neutral, work->how.value_size);
	middle = begin + (int64_t)(range_length(begin, end) / 2);
	HILO_FORK(reduce_range, work, middle, end, right);
	rc = HILO_CALL(reduce_range, work, begin, middle, value);
	said = hilo__parallel_keep(rc);
	later = HILO_JOIN(reduce_range);
	if (HILO__LIKELY(rc == 0 && later == 0))
		rc = work_piece(work, 0, 0, work->how.combine(value, right, work->arg));
	else
		rc = hilo__parallel_codes(rc, later, said);
	if (right != inline_value)
		hilo__free(right);
	return rc;
}

static int reduce_region(struct range_work *work, int64_t begin, int64_t end, void *value)
{
	_Alignas(max_align_t) unsigned char inline_neutral[VALUE_INLINE];
	void *neutral = inline_neutral;
	int rc, code = 0;

	if (work->how.value_size > VALUE_INLINE && !(neutral = hilo__malloc(work->how.value_size)))
		return -ENOMEM;
	memcpy(neutral, value, work->how.value_size);
	work->grain = hilo__parallel_grain(range_length(begin, end), work->parallel->opts.grain);
	work->neutral = neutral;
	rc = HILO_REGION_WITH(&hilo__parallel_cancellable, reduce_range, &code, work, begin, end, value);
	if (neutral != inline_neutral)
		hilo__free(neutral);
	return parallel_region_code(rc, code);
}

static int reduce_with(int64_t begin, int64_t end, const hilo_reduction *how, void *value, void *arg,
		       const hilo_parallel_opts *opts, const char *name)
{
	struct parallel parallel;
	struct range_work work = {.arg = arg, .unit = 1, .parallel = &parallel};
	int rc = hilo__parallel_reduction(&work.how, how, value, name);

	if (rc == 0)
		rc = hilo__parallel_begin(&parallel, opts, range_items(begin, end), 1, name);
	if (rc < 0 || begin >= end)
		return rc;
	return hilo__parallel_end(&parallel, reduce_region(&work, begin, end, value));
}

int hilo_parallel_reduce_with(int64_t begin, int64_t end, const hilo_reduction *how, void *value, void *arg,
			      const hilo_parallel_opts *opts)
{
	return reduce_with(begin, end, how, value, arg, opts, "hilo_parallel_reduce_with");
}

int hilo_parallel_reduce(int64_t begin, int64_t end, int64_t grain, const hilo_reduction *how, void *value,
			 void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grain};

	return reduce_with(begin, end, how, value, arg, &opts, "hilo_parallel_reduce");
}
