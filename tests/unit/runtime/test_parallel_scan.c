/* SPDX-License-Identifier: MIT */
/* Partial results of ranges, loops and reductions, against what a loop gives; their options, and progress. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/parallel.h>

#include "scheduler/base/mem.h"
#include "tests/unit/runtime/forks.h"

#define MOST 3000

/* Maps x -> a * x + b, which are put together in order: associative, not commutative. */
struct map {
	uint64_t a, b;
};

struct work {
	struct map map[MOST], to[MOST];
	int64_t begin;
	int64_t failing; /* the item at which a pass fails */
	int pass;	 /* which: 1 or 2 */
	bool exclusive, yields;
	hilo_task *cancels; /* NULL, or who is cancelled at the failing item instead */
	atomic(unsigned) finished[MOST];
};

static struct map map_then(struct map first, struct map next)
{
	return (struct map){next.a * first.a, next.a * first.b + next.b};
}

static int at_item(struct work *work, int64_t i, int pass)
{
	if (work->yields && i % 7 == 0)
		(void)hilo_yield();
	if (i != work->failing || pass != work->pass)
		return 0;
	if (!work->cancels)
		return hilo_fail(-EBADF, "item %d", (int)i);
	TASK_CHECK(hilo_task_cancel(work->cancels), ==, 0);
	return 0;
}

static int fold_maps(int64_t begin, int64_t end, void *value, void *arg)
{
	struct work *work = arg;
	struct map *sum = value;
	int rc = 0;

	for (int64_t i = begin; i < end && rc == 0; i++) {
		*sum = map_then(*sum, work->map[i - work->begin]);
		rc = at_item(work, i - work->begin, 1);
	}
	return rc;
}

static int combine_maps(void *value, void *right, void *arg)
{
	(void)arg;
	*(struct map *)value = map_then(*(struct map *)value, *(struct map *)right);
	return 0;
}

static int finish_maps(int64_t begin, int64_t end, void *value, void *arg)
{
	struct work *work = arg;
	struct map *sum = value;
	int rc = 0;

	for (int64_t i = begin; i < end && rc == 0; i++) {
		int64_t at = i - work->begin;

		if (work->exclusive)
			work->to[at] = *sum;
		*sum = map_then(*sum, work->map[at]);
		if (!work->exclusive)
			work->to[at] = *sum;
		(void)add_relaxed(&work->finished[at], 1);
		rc = at_item(work, at, 2);
	}
	return rc < 0 ? rc : 3; /* any success is 0 */
}

static const hilo_reduction maps = {sizeof(maps), sizeof(struct map), fold_maps, combine_maps};

static int count_items(int64_t begin, int64_t end, void *arg)
{
	struct work *work = arg;

	for (int64_t i = begin; i < end; i++) {
		(void)add_relaxed(&work->finished[i - work->begin], 1);
		(void)at_item(work, i - work->begin, 3);
	}
	return 0;
}

static struct work *work_new(struct random *random)
{
	struct work *work = calloc(1, sizeof(*work));

	for (int i = 0; i < MOST; i++)
		work->map[i] = (struct map){random_u64(random) | 1, random_u64(random)};
	work->begin = (int64_t)random_below(random, 1000) - 500;
	work->failing = -1;
	return work;
}

static void check_scan(struct work *work, int64_t length, int64_t grain)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grain};
	struct map sum = {1, 0}, value = {1, 0};

	memset(work->to, 0, sizeof(work->to));
	TASK_CHECK(hilo_parallel_scan(work->begin, work->begin + length, &maps, finish_maps, &value, work,
				      &opts),
		   ==, 0);
	for (int64_t i = 0; i < length; i++) {
		if (work->exclusive)
			TASK_CHECK(memcmp(&work->to[i], &sum, sizeof(sum)), ==, 0);
		sum = map_then(sum, work->map[i]);
		if (!work->exclusive)
			TASK_CHECK(memcmp(&work->to[i], &sum, sizeof(sum)), ==, 0);
	}
	TASK_CHECK(memcmp(&value, &sum, sizeof(sum)), ==, 0);
	value = (struct map){1, 0};
	TASK_CHECK(hilo_parallel_reduce_with(work->begin, work->begin + length, &maps, &value, work, &opts),
		   ==, 0);
	TASK_CHECK(memcmp(&value, &sum, sizeof(sum)), ==, 0);
	TASK_CHECK(hilo_parallel_for_with(work->begin, work->begin + length, count_items, work, &opts), ==,
		   0);
	for (int64_t i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&work->finished[i]), ==, i < length ? 2 : 0);
}

static int scan_everything(void *arg)
{
	static const int64_t grains[] = {HILO_GRAIN_AUTO, HILO_GRAIN_SAME, 1, 3, 64, MOST, INT64_MAX};
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (unsigned round = 0; round < test_rounds(4) * array_size(grains); round++) {
		struct work *work = work_new(&random);

		work->exclusive = round % 2;
		work->yields = round % 3 == 0;
		check_scan(work, random_below(&random, random_below(&random, 3) ? 60 : MOST),
			   grains[round % array_size(grains)]);
		free(work);
	}
	return 0;
}

static void test_a_scan_gives_what_a_loop_gives(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], scan_everything, NULL), 0);
}

FORK_TEST(test_a_scan_gives_that_with_each_fork_taken)
{
	return scan_everything(NULL);
}

FORK_TEST(test_a_failure_of_a_scan_at_each_item_is_told)
{
	enum {
		LENGTH = 23
	};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 4};
	struct random random;
	struct work *work;

	random_init(&random, test_seed(), 2);
	work = work_new(&random);
	for (work->pass = 1; work->pass <= 2; work->pass++) {
		for (work->failing = 0; work->failing < LENGTH; work->failing++) {
			struct map value = {1, 0};
			bool told = work->pass == 2 || work->failing < LENGTH / 4 * 4;

			work->yields = work->failing % 2;
			/* The last piece is never folded. */
			TASK_CHECK(hilo_parallel_scan(work->begin, work->begin + LENGTH, &maps, finish_maps,
						      &value, work, &opts),
				   ==, told && !(work->pass == 1 && work->failing >= 20) ? -EBADF : 0);
			if (work->pass == 2)
				TASK_CHECK_CONTAINS(hilo_error_message(), "item ");
		}
	}
	free(work);
	return 0;
}

/* Unless all others were done by then; and nothing begins once it is cancelled. */
FORK_TEST(test_a_cancelled_scan_stops)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	struct random random;
	struct work *work;
	int rc;

	random_init(&random, test_seed(), 3);
	work = work_new(&random);
	work->cancels = hilo_task_current();
	work->failing = 10;
	for (work->pass = 1; work->pass <= 2; work->pass++) {
		struct map value = {1, 0};

		rc = hilo_parallel_scan(work->begin, work->begin + 200, &maps, finish_maps, &value, work,
					&opts);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, true);
		memset(work->finished, 0, sizeof(work->finished));
		rc = hilo_parallel_scan(work->begin, work->begin + 200, &maps, finish_maps, &value, work,
					&opts);
		TASK_CHECK(rc, ==, -ECANCELED);
		TASK_CHECK(hilo_parallel_for_with(work->begin, work->begin + 200, count_items, work, &opts),
			   ==, -ECANCELED);
		for (int i = 0; i < 200; i++)
			TASK_CHECK(load_relaxed(&work->finished[i]), ==, 0);
		while (hilo_task_uncancel() > 0)
			;
	}
	free(work);
	return 0;
}

TASK_TEST(test_a_scan_without_memory)
{
	struct random random;
	struct work *work;

	random_init(&random, test_seed(), 4);
	work = work_new(&random);
	for (long n = 1; n < 4; n++) {
		hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
		struct map value = {1, 0};
		int rc;

		hilo__mem_fail_at(n, true);
		rc = hilo_parallel_scan(work->begin, work->begin + 20, &maps, finish_maps, &value, work,
					&opts);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
		TASK_CHECK(n > 1 || rc == -ENOMEM, ==, true);
	}
	free(work);
	return 0;
}

/* ---- progress, and the other options ---- */

struct told {
	atomic(unsigned) inside;
	int64_t last, total;
	unsigned calls;
};

static void tell(int64_t done, int64_t total, void *arg)
{
	struct told *told = arg;

	TASK_CHECK(add_relaxed(&told->inside, 1), ==, 0);
	TASK_CHECK(total, ==, told->total);
	TASK_CHECK(done, >=, told->last);
	TASK_CHECK(done, <=, total);
	told->last = done;
	told->calls++;
	(void)hilo_yield(); /* it may wait */
	(void)sub_relaxed(&told->inside, 1);
}

static void told_begin(struct told *told, int64_t total)
{
	*told = (struct told){.total = total};
	atomic_setup(&told->inside, 0);
}

static int do_nothing(int64_t begin, int64_t end, void *arg)
{
	(void)begin;
	(void)end;
	return arg ? *(int *)arg : 0;
}

FORK_TEST(test_progress_goes_up_to_the_whole)
{
	struct told told;
	hilo_parallel_opts opts = {sizeof(opts), 3, tell, &told, 1};
	struct map value = {1, 0};
	struct random random;
	struct work *work;
	int failing = -EDOM;

	random_init(&random, test_seed(), 5);
	work = work_new(&random);
	work->begin = 0;
	told_begin(&told, 500);
	TASK_CHECK(hilo_parallel_for_with(-100, 400, do_nothing, NULL, &opts), ==, 0);
	TASK_CHECK(told.last, ==, 500);
	TASK_CHECK(told.calls, >, 1);
	told_begin(&told, 300);
	TASK_CHECK(hilo_parallel_reduce_with(0, 300, &maps, &value, work, &opts), ==, 0);
	TASK_CHECK(told.last, ==, 300);
	told_begin(&told, 300);
	TASK_CHECK(hilo_parallel_scan(0, 300, &maps, finish_maps, &value, work, &opts), ==, 0);
	TASK_CHECK(told.last, ==, 300);
	/* Who has failed was not done. */
	told_begin(&told, 500);
	TASK_CHECK(hilo_parallel_for_with(0, 500, do_nothing, &failing, &opts), ==, -EDOM);
	TASK_CHECK(told.last, ==, 0);
	free(work);
	return 0;
}

/* Once in a year is once, at the end. */
TASK_TEST(test_progress_is_told_no_more_often_than_asked_for)
{
	struct told told;
	hilo_parallel_opts opts = {sizeof(opts), 1, tell, &told, INT64_MAX};

	told_begin(&told, 500);
	TASK_CHECK(hilo_parallel_for_with(0, 500, do_nothing, NULL, &opts), ==, 0);
	TASK_CHECK(told.calls, ==, 1);
	TASK_CHECK(told.last, ==, 500);
	return 0;
}

TASK_TEST(test_misuse)
{
	hilo_parallel_opts grain = {.size = sizeof(grain), .grain = -2};
	hilo_parallel_opts period = {.size = sizeof(period), .progress_period = -1};
	hilo_parallel_opts size = {.size = 1};
	hilo_reduction empty = {.size = sizeof(empty)};
	struct map value = {1, 0};

	TASK_CHECK(hilo_parallel_for_with(0, 1, NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_for_with(0, 1, do_nothing, NULL, &grain), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_for_with(0, 1, do_nothing, NULL, &period), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_for_with(0, 1, do_nothing, NULL, &size), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_reduce_with(0, 1, NULL, &value, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_scan(0, 1, NULL, finish_maps, &value, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_scan(0, 1, &empty, finish_maps, &value, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_scan(0, 1, &maps, NULL, &value, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_scan(0, 1, &maps, finish_maps, NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_scan(1, 1, &maps, finish_maps, &value, NULL, NULL), ==, 0);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	struct map value = {1, 0};

	(void)state;
	assert_int_equal(hilo_parallel_scan(0, 9, &maps, finish_maps, &value, NULL, NULL), -EDEADLK);
	assert_int_equal(hilo_parallel_for_with(0, 9, do_nothing, NULL, NULL), -EDEADLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_scan_gives_what_a_loop_gives),
		cmocka_unit_test(test_a_scan_gives_that_with_each_fork_taken),
		cmocka_unit_test(test_a_failure_of_a_scan_at_each_item_is_told),
		cmocka_unit_test(test_a_cancelled_scan_stops),
		cmocka_unit_test(test_a_scan_without_memory),
		cmocka_unit_test(test_progress_goes_up_to_the_whole),
		cmocka_unit_test(test_progress_is_told_no_more_often_than_asked_for),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
