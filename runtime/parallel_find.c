/* SPDX-License-Identifier: MIT */
/*
 * parallel_find.c - the first item of a range that is what is looked for.
 *
 * What comes first in the range is the answer: an item that was found, a failure, or a cancel. So of two parts the
 * first one's answer counts if it has one, and what lies above an answer need not be looked at.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/parallel.h>

#include "runtime/error_impl.h"
#include "runtime/parallel_impl.h"
#include "scheduler/base/clock.h"

/* The answer of a part in which an item was found. */
#define FOUND 1

struct find {
	struct parallel parallel;
	hilo_find_fn look;
	void *arg;
	int64_t grain;
	atomic(int64_t) first; /* of the items that were found; below it pieces must be looked at */
	atomic(int64_t) above; /* from here on they need not: the first answer so far */
};

static void lower(atomic(int64_t) * to, int64_t value)
{
	int64_t now = load_relaxed(to); /* relaxed: a hint, or read after all have been joined */

	while (value < now && !cas_relaxed(to, &now, value)) /* relaxed: as above */
		;
}

static int find_piece(struct find *find, int64_t begin, int64_t end)
{
	int64_t at = end;
	int rc;

	if (begin >= load_relaxed(&find->above)) /* relaxed: a hint */
		return 0;
	rc = hilo__parallel_stops(&find->parallel);
	if (rc < 0)
		return rc;
	rc = find->look(begin, end, &at, find->arg);
	if (rc > 0 && (at < begin || at >= end))
		rc = hilo_fail(-ERANGE, "hilo_parallel_find: %lld was found in [%lld, %lld)", (long long)at,
			       (long long)begin, (long long)end);
	if (rc > 0)
		lower(&find->first, at);
	if (rc != 0)
		lower(&find->above, rc > 0 ? at : begin);
	hilo__parallel_done(&find->parallel, end - begin);
	return rc > 0 ? FOUND : rc;
}

HILO_FORKABLE(int, find_range, struct find *, find, int64_t, begin, int64_t, end)
{
	struct error *said;
	int64_t middle;
	int rc, later;

	if (range_length(begin, end) <= (uint64_t)find->grain)
		return find_piece(find, begin, end);
	middle = begin + (int64_t)(range_length(begin, end) / 2);
	HILO_FORK(find_range, find, middle, end);
	rc = HILO_CALL(find_range, find, begin, middle);
	said = hilo__parallel_keep(rc);
	later = HILO_JOIN(find_range);
	if (HILO__LIKELY(rc == 0))
		return later;
	if (said || later < 0)
		hilo__error_free(hilo__error_swap(said));
	return rc;
}

HILO_FORKABLE(int, find_all, struct find *, find, int64_t, begin, int64_t, end)
{
	uint64_t began = cycles_now(), grain = (uint64_t)find->grain;
	int64_t first = range_length(begin, end) <= grain ? end : begin + find->grain;
	int rc = find_piece(find, begin, first);

	/* The first piece by itself: what is found in it costs no more than that. */
	if (rc != 0 || first == end)
		return rc;
	hilo__parallel_expect(cycles_now() - began, range_length(first, end) / grain);
	return HILO_CALL(find_range, find, first, end);
}

static int find_begun(struct find *find, int64_t begin, int64_t end, int64_t *ret)
{
	int rc, code = 0;

	find->grain = hilo__parallel_grain(range_length(begin, end), find->parallel.opts.grain);
	atomic_setup(&find->first, INT64_MAX);
	atomic_setup(&find->above, INT64_MAX);
	rc = HILO_REGION_WITH(&hilo__parallel_cancellable, find_all, &code, find, begin, end);
	/* A region that was cancelled has still found the first one, if nothing before it was left out. */
	if (code != FOUND)
		return parallel_region_code(rc, code);
	*ret = load_relaxed(&find->first); /* relaxed: all have been joined */
	return FOUND;
}

int hilo_parallel_find(int64_t begin, int64_t end, hilo_find_fn look, void *arg,
		       const hilo_parallel_opts *opts, int64_t *ret)
{
	struct find find = {.look = look, .arg = arg};
	uint64_t length = begin < end ? range_length(begin, end) : 0;
	int rc;

	if (!look || !ret)
		return hilo_fail(-EINVAL, "hilo_parallel_find: look or ret is NULL");
	rc = hilo__parallel_begin(&find.parallel, opts, length < INT64_MAX ? (int64_t)length : INT64_MAX, 1,
				  "hilo_parallel_find");
	if (rc < 0 || begin >= end)
		return rc;
	return hilo__parallel_end(&find.parallel, find_begun(&find, begin, end, ret));
}
