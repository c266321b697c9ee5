/* SPDX-License-Identifier: MIT */
/*
 * each.c - items of an input of unknown length: some forks, each of which takes items under a mutex and does them. A
 * fork that nobody has taken begins when the input has ended, and has nothing to do.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/sync/each.h>
#include <hilo/sync/mutex.h>

#include <errno.h>
#include <stddef.h>

#include "runtime/error_impl.h"
#include "runtime/parallel_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

#define MOST 4096u
/* Nobody knows how much is to come; after a first item that took this long so many more are supposed. */
#define EXPECTED 64

struct each {
	struct parallel parallel;
	hilo_next_fn next;
	hilo_item_fn body;
	void *arg;
	size_t stride;
	size_t batch; /* items that are taken at a time */
	unsigned runners;
	unsigned char *items; /* a batch for each runner */
	hilo_mutex mutex;
	bool ended; /* under the mutex: nothing more comes */
};

/*
 * [holder of the mutex] Fill a batch, unless nothing more is to be taken. How many there are; *@ret_code: why there are
 * no more, if that is a failure.
 */
static size_t each_fill(struct each *each, unsigned char *items, int *ret_code)
{
	size_t count = 0;
	int rc = 0;

	while (count < each->batch && !each->ended) {
		rc = hilo__parallel_stops(&each->parallel);
		if (rc < 0)
			break;
		rc = each->next(items + count * each->stride, each->arg);
		if (rc > 0)
			count++;
		else
			each->ended = true;
	}
	*ret_code = rc < 0 ? rc : 0;
	return count;
}

/* [task, suspends] The same for who does not have it. */
static size_t each_take(struct each *each, unsigned char *items, int *ret_code)
{
	int rc = hilo__parallel_stops(&each->parallel);
	size_t count;

	if (rc == 0)
		rc = hilo_mutex_lock(&each->mutex, HILO_FOREVER);
	if (rc < 0) {
		*ret_code = rc;
		return 0;
	}
	count = each_fill(each, items, ret_code);
	(void)hilo_mutex_unlock(&each->mutex);
	return count;
}

/* What was taken is done, whatever comes of it; the first failure counts, also before @rc. */
static int each_do(struct each *each, unsigned char *items, size_t count, int rc)
{
	struct error *said = hilo__parallel_keep(rc);

	for (size_t i = 0; i < count; i++) {
		int code = each->body(items + i * each->stride, each->arg);

		if (code >= 0)
			continue;
		store_relaxed(&each->parallel.stopped, true); /* relaxed: a hint */
		rc = hilo__parallel_codes(rc, code, said);
		said = hilo__parallel_keep(rc);
	}
	if (said)
		hilo__error_free(hilo__error_swap(said));
	hilo__parallel_done(&each->parallel, (int64_t)count);
	return rc;
}

HILO_FORKABLE(int, runner, struct each *, each, unsigned, index)
{
	unsigned char *items = each->items + index * each->batch * each->stride;
	uint64_t began = cycles_now();
	bool first = index == 0;
	size_t count;
	int rc;

	do {
		count = each_take(each, items, &rc);
		if (count > 0)
			rc = each_do(each, items, count, rc);
		if (first)
			hilo__parallel_expect(cycles_now() - began, EXPECTED);
		first = false;
	} while (rc == 0 && count > 0);
	if (rc < 0)
		store_relaxed(&each->parallel.stopped, true); /* relaxed: a hint */
	return rc;
}

HILO_FORKABLE(int, runners, struct each *, each)
{
	struct error *said;
	int rc, later;

	for (unsigned i = 1; i < each->runners; i++)
		HILO_FORK(runner, each, i);
	rc = HILO_CALL(runner, each, 0);
	for (unsigned i = 1; i < each->runners; i++) {
		/* Also the code of a runner that was left out; relaxed: a hint. */
		if (rc < 0)
			store_relaxed(&each->parallel.stopped, true);
		said = hilo__parallel_keep(rc);
		later = HILO_JOIN(runner);
		rc = hilo__parallel_codes(rc, later, said);
	}
	return rc;
}

static int each_region(struct each *each)
{
	int code = 0, rc = hilo_mutex_init(&each->mutex, 0);

	if (rc < 0)
		return rc;
	rc = HILO_REGION_WITH(&hilo__parallel_cancellable, runners, &code, each);
	(void)hilo_mutex_destroy(&each->mutex);
	return parallel_region_code(rc, code);
}

static int each_begin(struct each *each, size_t item_size, unsigned most, const hilo_parallel_opts *opts)
{
	int rc = hilo__parallel_begin(&each->parallel, opts, -1, 1, "hilo_parallel_each");

	if (rc < 0)
		return rc;
	if (!each->next || !each->body || most > MOST)
		return hilo_fail(-EINVAL, "hilo_parallel_each: next or body is NULL, or most is %u", most);
	each->batch = each->parallel.opts.grain > 0 ? (size_t)each->parallel.opts.grain : 1;
	each->runners = most ? most : hilo__parallel_workers();
	if (item_size > PTRDIFF_MAX / 2)
		return -ENOMEM;
	each->stride = (item_size + _Alignof(max_align_t)) & ~(_Alignof(max_align_t) - 1);
	if (each->batch > (size_t)PTRDIFF_MAX / each->runners / each->stride)
		return -ENOMEM;
	return 0;
}

int hilo_parallel_each(size_t item_size, hilo_next_fn next, hilo_item_fn body, unsigned most, void *arg,
		       const hilo_parallel_opts *opts)
{
	struct each each = {.next = next, .body = body, .arg = arg};
	int rc = each_begin(&each, item_size, most, opts);

	if (rc < 0)
		return rc;
	each.items = hilo__malloc(each.runners * each.batch * each.stride);
	if (!each.items)
		return -ENOMEM;
	rc = each_region(&each);
	hilo__free(each.items);
	return hilo__parallel_end(&each.parallel, rc);
}
