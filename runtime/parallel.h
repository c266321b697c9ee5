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
 * How many items of @total are done, at most so often as was asked for, and once more at the end if nothing failed;
 * @total is -1 as long as nobody knows. What need not be looked at counts as done.
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
 * [task, suspends] Reduce [@begin, @end) to *@value, which holds the neutral element before; each partial result
 * begins as a copy of that, made by memcpy. @combine is to be associative; it need not be commutative. Where it is
 * only nearly so, as adding floating point numbers is, the result depends on where the range is cut: that follows
 * from the range and the grain alone, but for HILO_GRAIN_AUTO, which looks at the number of workers.
 * As hilo_parallel_for; if it fails *@value holds some part of the result.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_reduce(int64_t begin, int64_t end, int64_t grain,
						  const hilo_reduction *how, void *value, void *arg);

/* [task, suspends] The same two with options, or NULL: the defaults. Besides: -EINVAL, -E2BIG for bad ones. */
HILO_API HILO_MUST_CHECK int hilo_parallel_for_with(int64_t begin, int64_t end, hilo_range_fn body, void *arg,
						    const hilo_parallel_opts *opts);
HILO_API HILO_MUST_CHECK int hilo_parallel_reduce_with(int64_t begin, int64_t end, const hilo_reduction *how,
						       void *value, void *arg,
						       const hilo_parallel_opts *opts);

/*
 * What is to become of items [begin, end), where *value is the result of all items before: the results with each item
 * (an inclusive scan), or up to it (an exclusive one). At the end *value is that of all items before @end. 0 or more,
 * or a negative code.
 */
typedef int (*hilo_scan_fn)(int64_t begin, int64_t end, void *value, void *arg);

/*
 * [task, suspends] The result up to each item of [@begin, @end). The range is cut into pieces of a grain, the last
 * one may be shorter; @how->fold is called for each but the last, in parallel, then @how->combine for one after the
 * other, then @finish for each, in parallel. *@value holds the neutral element before, and the result of all items
 * afterwards. How often combining is done follows from range and grain, as in hilo_parallel_reduce; with
 * HILO_GRAIN_AUTO and one worker there is one piece, for which only @finish is called. Progress counts an item when
 * it was seen twice. As hilo_parallel_reduce; memory for a value of each piece is taken.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_scan(int64_t begin, int64_t end, const hilo_reduction *how,
						hilo_scan_fn finish, void *value, void *arg,
						const hilo_parallel_opts *opts);

/* Look at items [begin, end) in order. 1: *ret is what is looked for; 0: none is; or a negative code. */
typedef int (*hilo_find_fn)(int64_t begin, int64_t end, int64_t *ret, void *arg);

/*
 * [task, suspends] The first item of [@begin, @end) that is what is looked for. 1: it is *@ret; 0: there is none, and
 * *@ret is not touched; or what comes before it: the code of a piece that failed, with what was said about it,
 * -ECANCELED, if something before was left out. What lies behind an item that was found, or behind a failure, is not
 * begun; what has begun is waited for. The first piece is looked at before the others begin.
 * -ERANGE: *ret of @look is not in its range; -ENOMEM; -EINVAL, -E2BIG: @look or @ret NULL, bad options; -EDEADLK.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_find(int64_t begin, int64_t end, hilo_find_fn look, void *arg,
						const hilo_parallel_opts *opts, int64_t *ret);

/*
 * [task, suspends] Call each of the @count functions with the argument at the same place in @args; @args NULL: NULL.
 * As hilo_parallel_for with pieces of one.
 */
HILO_API HILO_MUST_CHECK int hilo_invoke(size_t count, int (*const fns[])(void *arg), void *const args[]);

/*
 * [task, suspends] The same with options, or NULL: the defaults. Progress is counted in functions. A grain is how many
 * of them are called one after the other; HILO_GRAIN_AUTO is one. Besides: -EINVAL, -E2BIG for bad options.
 */
HILO_API HILO_MUST_CHECK int hilo_invoke_with(size_t count, int (*const fns[])(void *arg), void *const args[],
					      const hilo_parallel_opts *opts);

HILO_END_DECLS

#endif /* HILO_RUNTIME_PARALLEL_H */
