/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_PARALLEL_H
#define HILO_RUNTIME_PARALLEL_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * parallel.h - work over a range, and several functions at once, on all cores: algorithms made of forks (fork.h).
 *
 *	static int compress_blocks(int64_t begin, int64_t end, void *arg)
 *	{
 *		for (int64_t i = begin; i < end; i++)
 *			...
 *		return 0;
 *	}
 *
 *	rc = hilo_parallel_for(0, count, HILO_GRAIN_AUTO, compress_blocks, &job);
 *
 * The range is halved again and again, down to pieces of a grain at most; for each the function is called once. What
 * no idle worker takes the caller does itself, in the order of the range. Everything is over on return.
 *
 * What is called may do all that a fork may: wait, lock, be cancelled. It returns 0 or more, or a negative code: then
 * pieces that have not begun are left out, and that code is returned, with what hilo_fail has attached to it; of
 * several the one of the lowest piece. Whoever is asked to stop leaves out what has not begun, too: -ECANCELED.
 *
 * From tasks, and from calls in executors, which run it in a task of their runtime. Elsewhere: -EDEADLK; a plain
 * thread submits a task. All suspend.
 */

/* How many items a piece has at most, instead of a number of one's own: */
#define HILO_GRAIN_AUTO ((int64_t)0) /* so many that there are some pieces for each worker */
#define HILO_GRAIN_SAME                                                                                      \
	((int64_t)-1) /* a 256th of the range, rounded up: the same with any number of workers */

/*
 * How many items of @total are done, at most so often as was asked for, and once more at the end if nothing failed.
 * Called by whoever has done a piece, by one at a time, with ever more; it is a part of the work, so it may do what
 * that may, and holds up the one who calls it.
 */
typedef void (*hilo_progress_fn)(int64_t done, int64_t total, void *arg);

/* Begin with `size`; zero is the default. */
typedef struct hilo_parallel_opts {
	size_t size;		   /* sizeof(hilo_parallel_opts) */
	int64_t grain;		   /* items, or HILO_GRAIN_AUTO, HILO_GRAIN_SAME */
	hilo_progress_fn progress; /* NULL: nobody is told */
	void *progress_arg;
	hilo_time progress_period; /* least time between two calls; 0: 100 ms */
} hilo_parallel_opts;

/* Do items [begin, end). */
typedef int (*hilo_range_fn)(int64_t begin, int64_t end, void *arg);

/*
 * [task, suspends] Call @body for all of [@begin, @end), piece by piece, in parallel. 0; the code of a piece that
 * failed; -ECANCELED; -ENOMEM; -EINVAL for a grain below HILO_GRAIN_SAME or @body NULL; -EDEADLK. Nothing is to be
 * done if @end is not above @begin: 0.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_for(int64_t begin, int64_t end, int64_t grain, hilo_range_fn body,
					       void *arg);

/* How partial results are made and put together. */
typedef struct hilo_reduction {
	size_t size;	   /* sizeof(hilo_reduction) */
	size_t value_size; /* bytes of a result */
	/* Add what items [begin, end) give to *value. 0 or more, or a negative code. */
	int (*fold)(int64_t begin, int64_t end, void *value, void *arg);
	/* Put *right, of the items that come next, to *value. 0 or more, or a negative code. */
	int (*combine)(void *value, void *right, void *arg);
} hilo_reduction;

/*
 * [task, suspends] Reduce [@begin, @end) to *@value, which holds the neutral element before; each partial result begins
 * as a copy of that, made by memcpy. @combine is to be associative; it need not be commutative. Where it is only
 * nearly so, as adding floating point numbers is, the result depends on where the range is cut: that follows from the
 * range and the grain alone, but for HILO_GRAIN_AUTO, which looks at the number of workers.
 * As hilo_parallel_for; if it fails *@value holds some part of the result.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_reduce(int64_t begin, int64_t end, int64_t grain,
						  const hilo_reduction *how, void *value, void *arg);

/*
 * [task, suspends] Call each of the @count functions with the argument at the same place in @args; @args NULL: NULL.
 * As hilo_parallel_for with pieces of one.
 */
HILO_API HILO_MUST_CHECK int hilo_invoke(size_t count, int (*const fns[])(void *arg), void *const args[]);

HILO_END_DECLS

#endif /* HILO_RUNTIME_PARALLEL_H */
