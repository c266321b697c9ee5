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

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/fork.h"
#include "scheduler/scheduler.h"

/* With HILO_GRAIN_AUTO: forks cost little, and the pieces need not be alike. */
#define PIECES_PER_WORKER 32
/* With HILO_GRAIN_SAME. */
#define PIECES_SAME 256
/* A partial result up to this size lies on the stack. */
#define VALUE_INLINE 64

struct range_work {
	hilo_range_fn body;
	void *arg;
	int64_t grain;
	atomic(bool) failed; /* a hint: what has not begun need not */
	/* Of a reduction. */
	hilo_reduction how;
	const void *neutral;
};

static uint64_t range_length(int64_t begin, int64_t end)
{
	return (uint64_t)end - (uint64_t)begin;
}

/* [any] A piece must not begin any more: 0, or why. */
static int work_stops(struct range_work *work)
{
	if (load_relaxed(&work->failed)) /* relaxed: a hint */
		return -ECANCELED;
	return task_is_interrupted(thread_self()->task) ? -ECANCELED : 0;
}

/* [any] A piece has ended with @rc, which is returned. */
static int work_piece(struct range_work *work, int rc)
{
	if (HILO__UNLIKELY(rc < 0))
		store_relaxed(&work->failed, true); /* relaxed: a hint */
	return rc < 0 ? rc : 0;
}

/* The code of two parts, of which the first has ended with @rc before the second was joined with @later. */
static int codes_of_two(int rc, int later, struct error *said)
{
	if (rc == 0 || (rc == -ECANCELED && later < 0)) {
		hilo__error_free(said);
		return later;
	}
	hilo__error_free(hilo__error_swap(said));
	return rc;
}

/* What was said about @rc is not to be lost to what the other part has to say. */
static struct error *keep_said(int rc)
{
	return HILO__UNLIKELY(rc < 0) ? hilo__error_swap(NULL) : NULL;
}

static int for_piece(struct range_work *work, int64_t begin, int64_t end)
{
	int rc = work_stops(work);

	return rc < 0 ? rc : work_piece(work, work->body(begin, end, work->arg));
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
	said = keep_said(rc);
	later = HILO_JOIN(for_range);
	return HILO__LIKELY(rc == 0 && later == 0) ? 0 : codes_of_two(rc, later, said);
}

/* [task] One piece has taken so many cycles, and so many are left: is it worth to wake somebody? */
static void expect_pieces(uint64_t cycles, uint64_t left)
{
	hilo__fork_expect(thread_self()->loop, cycles * (left < 1024 ? left : 1024));
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
	expect_pieces(cycles_now() - began, range_length(first, end) / grain);
	said = keep_said(rc);
	later = HILO_JOIN(for_range);
	return HILO__LIKELY(rc == 0 && later == 0) ? 0 : codes_of_two(rc, later, said);
}

/* [task, executor's thread] How many workers there are for the caller. */
static unsigned workers_here(void)
{
	const struct thread *self = thread_self();
	const struct hilo_runtime *runtime = self->loop ? self->loop->runtime : self->pool_runtime;

	return runtime ? runtime->workers : 1;
}

/* The grain of @length items for what was asked for. */
static int64_t grain_of(uint64_t length, int64_t grain)
{
	uint64_t pieces =
		grain == HILO_GRAIN_AUTO ? (uint64_t)PIECES_PER_WORKER * workers_here() : PIECES_SAME;

	if (grain > 0)
		return grain;
	return (int64_t)((length - 1) / pieces) + 1;
}

static const hilo_region_opts cancellable = {.size = sizeof(cancellable), .flags = HILO_REGION_CANCELLABLE};

/* The code of a region that has ended with @rc, whose function has returned @code. */
static int region_code(int rc, int code)
{
	return code < 0 && code != -ECANCELED ? code : rc < 0 ? rc : code;
}

int hilo_parallel_for(int64_t begin, int64_t end, int64_t grain, hilo_range_fn body, void *arg)
{
	struct range_work work = {.body = body, .arg = arg};
	int rc, code = 0;

	if (!body)
		return hilo_fail(-EINVAL, "hilo_parallel_for: body is NULL");
	if (grain < HILO_GRAIN_SAME)
		return hilo_fail(-EINVAL, "hilo_parallel_for: the grain is %lld", (long long)grain);
	if (begin >= end)
		return 0;
	atomic_setup(&work.failed, false);
	work.grain = grain_of(range_length(begin, end), grain);
	rc = HILO_REGION_WITH(&cancellable, for_all, &code, &work, begin, end);
	return region_code(rc, code);
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

int hilo_invoke(size_t count, int (*const fns[])(void *arg), void *const args[])
{
	struct calls calls = {fns, args};

	if (count && !fns)
		return hilo_fail(-EINVAL, "hilo_invoke: fns is NULL");
	for (size_t i = 0; i < count; i++)
		if (!fns[i])
			return hilo_fail(-EINVAL, "hilo_invoke: function %zu is NULL", i);
	return hilo_parallel_for(0, (int64_t)count, 1, call_some, &calls);
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
		rc = work_stops(work);
		return rc < 0 ? rc : work_piece(work, work->how.fold(begin, end, value, work->arg));
	}
	right = work->how.value_size <= VALUE_INLINE ? inline_value : hilo__malloc(work->how.value_size);
	if (!right)
		return work_piece(work, -ENOMEM);
	memcpy(right, work->neutral, work->how.value_size);
	middle = begin + (int64_t)(range_length(begin, end) / 2);
	HILO_FORK(reduce_range, work, middle, end, right);
	rc = HILO_CALL(reduce_range, work, begin, middle, value);
	said = keep_said(rc);
	later = HILO_JOIN(reduce_range);
	if (HILO__LIKELY(rc == 0 && later == 0))
		rc = work_piece(work, work->how.combine(value, right, work->arg));
	else
		rc = codes_of_two(rc, later, said);
	if (right != inline_value)
		hilo__free(right);
	return rc;
}

int hilo_parallel_reduce(int64_t begin, int64_t end, int64_t grain, const hilo_reduction *how, void *value,
			 void *arg)
{
	struct range_work work = {.arg = arg};
	_Alignas(max_align_t) unsigned char inline_neutral[VALUE_INLINE];
	void *neutral = inline_neutral;
	int rc = how ? SIZED_IN(hilo_reduction, &work.how, how, combine) : 0, code = 0;

	if (rc < 0)
		return rc;
	if (!work.how.fold || !work.how.combine || !value)
		return hilo_fail(-EINVAL, "hilo_parallel_reduce: fold, combine or value is NULL");
	if (grain < HILO_GRAIN_SAME)
		return hilo_fail(-EINVAL, "hilo_parallel_reduce: the grain is %lld", (long long)grain);
	if (begin >= end)
		return 0;
	if (work.how.value_size > VALUE_INLINE && !(neutral = hilo__malloc(work.how.value_size)))
		return -ENOMEM;
	memcpy(neutral, value, work.how.value_size);
	atomic_setup(&work.failed, false);
	work.grain = grain_of(range_length(begin, end), grain);
	work.neutral = neutral;
	rc = HILO_REGION_WITH(&cancellable, reduce_range, &code, &work, begin, end, value);
	if (neutral != inline_neutral)
		hilo__free(neutral);
	return region_code(rc, code);
}
