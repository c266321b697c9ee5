/* SPDX-License-Identifier: MIT */
#ifndef HILO_SYNC_EACH_H
#define HILO_SYNC_EACH_H

#include <hilo/runtime/parallel.h>

HILO_BEGIN_DECLS

/*
 * each.h - items that come one after the other, nobody knows how many, done side by side: lines of a file, entries of
 * a queue, nodes of a list.
 *
 *	static int next_line(void *item, void *arg)
 *	{
 *		struct line *line = item;
 *
 *		return line_read(arg, line);            (1, or 0 at the end)
 *	}
 *
 *	rc = hilo_parallel_each(sizeof(struct line), next_line, do_line, 0, &job, NULL);
 *
 * It is made of forks (fork.h): the caller takes an item, does it, takes the next one, and as many workers as are
 * idle do so as well. No more items are taken than are done at the moment, so the input may be endless.
 */

/*
 * Give the next item: fill in *@item, which has room for one, and return 1; 0: there are no more; or a negative code.
 * It is called by one at a time, and never again after 0 or a negative code. It may wait.
 */
typedef int (*hilo_next_fn)(void *item, void *arg);

/* Do *@item, which may be changed, and is forgotten afterwards. 0 or more, or a negative code. */
typedef int (*hilo_item_fn)(void *item, void *arg);

/*
 * [task, suspends] Call @body for each item of @item_size bytes that @next gives, for @most of them at a time; 0: for
 * as many as there are workers, which is right unless @body waits. @opts NULL: the defaults. The grain is how many
 * items are taken at a time, to be done one after the other: 1 with HILO_GRAIN_AUTO and HILO_GRAIN_SAME.
 *
 * After a failure of either, or a cancel, nothing more is taken; each item that was given is done nevertheless, so
 * that what it may own is not lost. A @next that waits already is woken by a cancel, not by a failure.
 *
 * 0; the code of the failure, of one if there are several; -ECANCELED; -ENOMEM; -EINVAL, -E2BIG: @next or @body NULL,
 * @most above 4096, bad options; -EDEADLK: as hilo_parallel_for.
 */
HILO_API HILO_MUST_CHECK int hilo_parallel_each(size_t item_size, hilo_next_fn next, hilo_item_fn body,
						unsigned most, void *arg, const hilo_parallel_opts *opts);

HILO_END_DECLS

#endif /* HILO_SYNC_EACH_H */
