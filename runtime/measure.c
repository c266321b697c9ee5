/* SPDX-License-Identifier: MIT */
/* measure.c - work and span as programs see them. How they are measured: scheduler/measure.h, fork_measured.c. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/measure.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/runtime_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/measure.h"

/*
 * A fork that another worker takes begins some 2 us late, until it was asked for and given, and is seen to have ended
 * after 2 us at most, or by suspending: fork_steal.c and fork.c.
 */
#define BURDEN_US 4
/* A strand took long: then it is looked at whether the thread was stopped. That costs some hundred ns. */
#define LARGE_US 20
/* An average of so many forks, the least of so many tries: what the library itself takes of a strand. */
#define CALIBRATE_FORKS 64
#define CALIBRATE_TRIES 16
/* From a fork to its join, in the fork, and from there to the next one. */
#define STRANDS_OF_FORK 3

static uint64_t cycles_of_us(uint64_t us)
{
#ifdef HILO_TESTING
	if (hilo__measure_clock)
		return us * 1000;
#endif
	return us * hilo__cycles_per_us();
}

static hilo_time cycles_to_time(uint64_t cycles)
{
#ifdef HILO_TESTING
	if (hilo__measure_clock)
		return (hilo_time)cycles;
#endif
	return hilo__cycles_to_ns(cycles);
}

HILO_FORKABLE(int, nothing, int, n)
{
	return n;
}

HILO_FORKABLE(int, nothings, int, n)
{
	int sum = 0;

	for (int i = 0; i < n; i++) {
		HILO_FORK(nothing, i);
		sum += HILO_JOIN(nothing);
	}
	return sum;
}

/* [task, in a region that is measured] What a strand takes in which nothing is done. */
static uint64_t empty_strand(struct measure *measure)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < CALIBRATE_TRIES; i++) {
		measure->work = 0;
		measure_go(measure);
		(void)HILO_REGION(nothings, NULL, CALIBRATE_FORKS);
		measure_stop(measure);
		least = measure->work < least ? measure->work : least;
	}
	return least / (STRANDS_OF_FORK * CALIBRATE_FORKS);
}

/* [task, in a region that is measured] All at zero. */
static void measure_begin(struct measure *measure)
{
	uint64_t bias = empty_strand(measure);

	*measure = (struct measure){.bias = bias, .burden = cycles_of_us(BURDEN_US)};
#ifdef HILO_TESTING
	if (hilo__measure_clock)
		return;
#endif
	measure->large = cycles_of_us(LARGE_US);
	hilo__measure_arrive(measure);
}

static double ratio(hilo_time a, hilo_time b)
{
	return b > 0 ? (double)a / (double)b : 1;
}

static void measure_tell(const struct measure *measure, hilo_measure *ret)
{
	hilo_measure told = {.size = sizeof(told), .forks = measure->forks};

	told.work = cycles_to_time(measure->work);
	told.span = cycles_to_time(measure->path.span);
	told.burdened_span = cycles_to_time(measure->path.burdened);
	told.parallelism = ratio(told.work, told.span);
	told.burdened_parallelism = ratio(told.work, told.burdened_span);
	(void)SIZED_OUT(hilo_measure, ret, &told, burdened_parallelism);
}

int hilo_measure_run(int (*fn)(void *arg), void *arg, hilo_measure *ret)
{
	struct thread *self = thread_self();
	struct measure measure = {0};
	struct forks *forks;
	int rc;

	if (!fn || !ret)
		return hilo_fail(-EINVAL, "hilo_measure_run: %s is NULL", fn ? "ret" : "fn");
	if (ret->size < SIZED_END(hilo_measure, burdened_parallelism))
		return hilo_fail(-EINVAL, "hilo_measure.size is %zu, less than %zu", ret->size,
				 SIZED_END(hilo_measure, burdened_parallelism));
	if (!self->loop || !self->task)
		return hilo_fail(-EDEADLK, "hilo_measure_run: only a task can");
	forks = hilo__fork_region_of(self);
	if (forks && forks->measured)
		return hilo_fail(-EBUSY, "hilo_measure_run: it is measured already");
	forks = hilo__fork_enter(self, 0);
	if (!forks)
		return -ENOMEM;
	hilo__fork_measure(forks, &measure);
	measure_begin(&measure);
	measure_go(&measure);
	rc = fn(arg);
	measure_stop(&measure);
	(void)hilo__fork_leave(forks);
	measure_tell(&measure, ret);
	return rc;
}

hilo_speedup hilo_measure_speedup(const hilo_measure *measure, unsigned workers)
{
	double p = workers ? workers : 1, work = (double)measure->work;
	double took = work / p + (1 - 1 / p) * (double)measure->burdened_span;

	if (work <= 0)
		return (hilo_speedup){1, 1};
	return (hilo_speedup){.least = work / took,
			      .most = measure->parallelism < p ? measure->parallelism : p};
}

static int report_line(int fd, const char *what, hilo_time time, double parallelism)
{
	char line[128];
	int length = snprintf(line, sizeof(line), "%-14s %14.3f us, parallelism %.2f\n", what,
			      (double)time / 1e3, parallelism);

	return hilo__write_line(fd, line, sizeof(line), length);
}

static int report_speedup(int fd, const hilo_measure *measure, unsigned workers)
{
	hilo_speedup speedup = hilo_measure_speedup(measure, workers);
	char line[128];
	int length = snprintf(line, sizeof(line), "%2u workers     %8.2f to %.2f times as fast\n", workers,
			      speedup.least, speedup.most);

	return hilo__write_line(fd, line, sizeof(line), length);
}

int hilo_measure_report(const hilo_measure *measure, int fd)
{
	char line[128];
	int length = snprintf(line, sizeof(line), "work           %14.3f us, %llu forks\n",
			      (double)measure->work / 1e3, (unsigned long long)measure->forks);
	int rc = hilo__write_line(fd, line, sizeof(line), length);

	if (rc == 0)
		rc = report_line(fd, "span", measure->span, measure->parallelism);
	if (rc == 0)
		rc = report_line(fd, "burdened span", measure->burdened_span, measure->burdened_parallelism);
	for (unsigned workers = 1; workers <= 64 && rc == 0; workers *= 2)
		rc = report_speedup(fd, measure, workers);
	return rc;
}
