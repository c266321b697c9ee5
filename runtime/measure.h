/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_MEASURE_H
#define HILO_RUNTIME_MEASURE_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * measure.h - how parallel a program is: the work and the span of its forks, and how fast it can be on more workers.
 *
 *	static int all(void *arg)
 *	{
 *		return HILO_REGION(fib, arg, 40);
 *	}
 *
 *	hilo_measure measure = {.size = sizeof(measure)};
 *
 *	rc = hilo_measure_run(all, &result, &measure);
 *	hilo_measure_report(&measure, STDERR_FILENO);
 *
 * The work is the time of all that is done, the span that of the longest chain of what has to be done one after the
 * other: nobody is faster than the span, with however many workers. What a loop, a reduction or a region does that is
 * called meanwhile is measured with it, as all of them are made of forks (fork.h, parallel.h).
 *
 * What is measured runs on one worker, forks at their joins. A fork that waits for what another one does waits for
 * ever. Only time on the worker counts: what tasks do that are spawned, what is waited for and calls in executors do
 * not; nor does, but for some microseconds each time, what the system gives to other threads. A fork takes some 100 ns
 * more than otherwise, which are left out as well as can be: of pieces of less than 20 ns or so the figures tell no
 * more than the order.
 */

/* What was measured. */
typedef struct hilo_measure {
	size_t size;		 /* sizeof(hilo_measure) */
	hilo_time work;		 /* all strands */
	hilo_time span;		 /* the longest path */
	hilo_time burdened_span; /* the same, if each fork on a path is taken by another worker: 4 us more */
	uint64_t forks;		 /* that were made */
	double parallelism;	 /* work / span: as many workers can be busy, on the average */
	double burdened_parallelism; /* work / burdened_span */
} hilo_measure;

/*
 * [task, suspends] Call @fn(@arg), measure what it does, and fill in *@ret; return what it has returned. It may suspend
 * and go on on another worker. -EDEADLK outside of a task; -EBUSY within what is measured already; -ENOMEM; -EINVAL
 * (@fn or @ret is NULL, `size` is too small): *@ret is left alone.
 */
HILO_API HILO_MUST_CHECK int hilo_measure_run(int (*fn)(void *arg), void *arg, hilo_measure *ret);

/* How many times as fast as on one worker. */
typedef struct hilo_speedup {
	double least; /* work / (work / P + (1 - 1 / P) * burdened_span); what is below 1 is too fine to be forked */
	double most; /* the lesser one of P and work / span */
} hilo_speedup;

/*
 * [any] Between which bounds that which was measured is to be expected on @workers (0: as 1), each with a processor
 * and memory of its own.
 */
HILO_API hilo_speedup hilo_measure_speedup(const hilo_measure *measure, unsigned workers);

/* [any] Write it to @fd as some lines of text, with the bounds for 1 to 64 workers. 0, or -errno of the write. */
HILO_API int hilo_measure_report(const hilo_measure *measure, int fd);

HILO_END_DECLS

#endif /* HILO_RUNTIME_MEASURE_H */
