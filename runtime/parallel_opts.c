/* SPDX-License-Identifier: MIT */
/* parallel_opts.c - options, stopping and progress of the algorithms over forks. */
#include <hilo/runtime/error.h>

#include "runtime/error_impl.h"
#include "runtime/parallel_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/fork.h"
#include "scheduler/scheduler.h"

/* With HILO_GRAIN_AUTO: forks cost little, and the pieces need not be alike. */
#define PIECES_PER_WORKER 32
/* With HILO_GRAIN_SAME. */
#define PIECES_SAME 256

/* How often somebody is told, if nothing else is asked for. */
#define PERIOD (100 * HILO_MILLISECOND)
/* The longest period, a year: in cycles it still is a number. */
#define PERIOD_MOST (INT64_C(365) * 86400 * HILO_SECOND)

static uint64_t period_of(hilo_time period)
{
	if (period == 0)
		period = PERIOD;
	if (period > PERIOD_MOST)
		period = PERIOD_MOST;
	return (uint64_t)(period / HILO_MICROSECOND) * hilo__cycles_per_us();
}

int hilo__parallel_begin(struct parallel *parallel, const hilo_parallel_opts *given, int64_t total,
			 int64_t weight, const char *name)
{
	hilo_parallel_opts opts = {.size = sizeof(opts)};
	int rc = given ? SIZED_IN(hilo_parallel_opts, &opts, given, progress_period) : 0;

	if (rc < 0)
		return rc;
	if (opts.grain < HILO_GRAIN_SAME)
		return hilo_fail(-EINVAL, "%s: the grain is %lld", name, (long long)opts.grain);
	if (opts.progress_period < 0)
		return hilo_fail(-EINVAL, "%s: the period of progress is %lld", name,
				 (long long)opts.progress_period);
	parallel->opts = opts;
	parallel->total = total;
	parallel->weight = weight;
	parallel->period = opts.progress ? period_of(opts.progress_period) : 0;
	atomic_setup(&parallel->done, 0);
	atomic_setup(&parallel->due, opts.progress ? cycles_now() + parallel->period : 0);
	atomic_setup(&parallel->telling, false);
	atomic_setup(&parallel->stopped, false);
	return 0;
}

int hilo__parallel_reduction(hilo_reduction *to, const hilo_reduction *from, const void *value,
			     const char *name)
{
	int rc = from ? SIZED_IN(hilo_reduction, to, from, combine) : 0;

	if (rc < 0)
		return rc;
	if (!from || !to->fold || !to->combine || !value)
		return hilo_fail(-EINVAL, "%s: fold, combine or value is NULL", name);
	return 0;
}

int hilo__parallel_stops(struct parallel *parallel)
{
	if (load_relaxed(&parallel->stopped)) /* relaxed: a hint */
		return -ECANCELED;
	if (HILO__LIKELY(!task_is_interrupted(thread_self()->task)))
		return 0;
	store_relaxed(&parallel->stopped, true); /* relaxed: a hint */
	return -ECANCELED;
}

/* [any] It may be due, if nobody else is at it. */
static void parallel_tell(struct parallel *parallel)
{
	if (load_relaxed(&parallel->telling) ||
	    xchg_acquire(&parallel->telling, true)) /* P1; relaxed: a hint */
		return;
	/* relaxed: of those who tell one sees what the one before has stored, by P1 */
	if (cycles_now() >= load_relaxed(&parallel->due)) {
		int64_t done = load_relaxed(&parallel->done) / parallel->weight;

		if (parallel->total >= 0 && (done < 0 || done > parallel->total))
			done = parallel->total; /* of ranges that are longer than numbers */
		parallel->opts.progress(done, parallel->total, parallel->opts.progress_arg);
		store_relaxed(&parallel->due, cycles_now() + parallel->period); /* relaxed: P1 */
	}
	store_release(&parallel->telling, false); /* P1 */
}

void hilo__parallel_done(struct parallel *parallel, int64_t pieces)
{
	if (HILO__LIKELY(!parallel->opts.progress))
		return;
	(void)add_relaxed(&parallel->done, pieces);	  /* relaxed: a figure */
	if (cycles_now() >= load_relaxed(&parallel->due)) /* relaxed: a hint */
		parallel_tell(parallel);
}

int hilo__parallel_end(struct parallel *parallel, int rc)
{
	int64_t total = parallel->total;

	if (total < 0)
		total = load_relaxed(
			&parallel->done); /* relaxed: all who have added to it have been waited for */
	if (rc >= 0 && parallel->opts.progress && total > 0)
		parallel->opts.progress(total, total, parallel->opts.progress_arg);
	return rc;
}

unsigned hilo__parallel_workers(void)
{
	const struct thread *self = thread_self();
	const struct hilo_runtime *runtime = self->loop ? self->loop->runtime : self->pool_runtime;

	return runtime ? runtime->workers : 1;
}

int64_t hilo__parallel_grain(uint64_t length, int64_t grain)
{
	uint64_t pieces = PIECES_SAME;

	if (grain > 0)
		return grain;
	if (grain == HILO_GRAIN_AUTO)
		pieces = (uint64_t)PIECES_PER_WORKER * hilo__parallel_workers();
	return (int64_t)((length - 1) / pieces) + 1;
}

struct error *hilo__parallel_keep(int rc)
{
	return HILO__UNLIKELY(rc < 0) ? hilo__error_swap(NULL) : NULL;
}

int hilo__parallel_codes(int rc, int later, struct error *said)
{
	if (rc == 0 || (rc == -ECANCELED && later < 0)) {
		hilo__error_free(said);
		return later;
	}
	hilo__error_free(hilo__error_swap(said));
	return rc;
}

void hilo__parallel_expect(uint64_t cycles, uint64_t left)
{
	hilo__fork_expect(thread_self()->loop, cycles * (left < 1024 ? left : 1024));
}

const hilo_region_opts hilo__parallel_cancellable = {.size = sizeof(hilo__parallel_cancellable),
						     .flags = HILO_REGION_CANCELLABLE};
