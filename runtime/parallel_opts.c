/* SPDX-License-Identifier: MIT */
/* parallel_opts.c - options, stopping and progress of the algorithms over forks. */
#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/parallel_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/scheduler.h"

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
		parallel->opts.progress(load_relaxed(&parallel->done) / parallel->weight, parallel->total,
					parallel->opts.progress_arg);
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
	if (rc >= 0 && parallel->opts.progress && parallel->total > 0)
		parallel->opts.progress(parallel->total, parallel->total, parallel->opts.progress_arg);
	return rc;
}

unsigned hilo__parallel_workers(void)
{
	const struct thread *self = thread_self();
	const struct hilo_runtime *runtime = self->loop ? self->loop->runtime : self->pool_runtime;

	return runtime ? runtime->workers : 1;
}
