/* SPDX-License-Identifier: MIT */
/* Loops whose pieces prefer the workers that have done them before. */
#include "tests/support/test.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/affinity.h>

#include "scheduler/base/mem.h"

#define MOST 2000

struct items {
	atomic(uint32_t) done[MOST];
	int64_t begin;
	int64_t failing;
	bool yields;
	hilo_task *cancels; /* who is cancelled at the failing item instead */
};

static int do_items(int64_t begin, int64_t end, void *arg)
{
	struct items *items = arg;

	TASK_CHECK(begin, <, end);
	for (int64_t i = begin; i < end; i++) {
		(void)add_relaxed(&items->done[i - items->begin], 1);
		if (items->yields && i % 7 == 0)
			(void)hilo_yield();
		if (i != items->failing)
			continue;
		if (!items->cancels)
			return hilo_fail(-EBADF, "item %d", (int)i);
		TASK_CHECK(hilo_task_cancel(items->cancels), ==, 0);
	}
	return 5; /* any success is 0 */
}

static void check_items(struct items *items, int64_t length, uint32_t times)
{
	for (int64_t i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&items->done[i]), ==, i < length ? times : 0);
}

/* Several rounds with one and the same, and then with other ranges. */
static int do_everything(void *arg)
{
	static const int64_t grains[] = {HILO_GRAIN_AUTO, HILO_GRAIN_SAME, 1, 3, 64, MOST, INT64_MAX};
	hilo_affinity *affinity = hilo_affinity_new();
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (size_t i = 0; i < array_size(grains); i++) {
		struct items *items = calloc(1, sizeof(*items));
		hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grains[i]};
		int64_t length = random_below(&random, i % 2 ? 40 : MOST);

		items->begin = (int64_t)random_below(&random, 1000) - 500;
		items->failing = INT64_MAX;
		items->yields = i % 3 == 0;
		for (unsigned round = 1; round <= 3; round++) {
			TASK_CHECK(hilo_affinity_run(affinity, items->begin, items->begin + length, do_items,
						     items, &opts),
				   ==, 0);
			check_items(items, length, round);
		}
		free(items);
	}
	hilo_affinity_free(affinity);
	return 0;
}

static void test_each_item_is_done_once_a_round(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], do_everything, NULL), 0);
}

/* A piece for each worker, none of which ends before all have begun: nobody can take one of another. */
struct meeting {
	atomic(unsigned) there;
	unsigned workers;
	unsigned on[8];
};

static int meet(int64_t begin, int64_t end, void *arg)
{
	struct meeting *meeting = arg;

	TASK_CHECK(begin + 1, ==, end);
	meeting->on[begin] = hilo_loop_index(hilo_loop_current());
	(void)add_release(&meeting->there, 1);
	while (load_acquire(&meeting->there) < meeting->workers)
		(void)sched_yield(); /* the thread only */
	return 0;
}

static int meet_in_rounds(void *arg)
{
	struct meeting meeting = {.workers = *(unsigned *)arg};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	hilo_affinity *affinity = hilo_affinity_new();

	for (int round = 0; round < 5; round++) {
		atomic_setup(&meeting.there, 0);
		TASK_CHECK(hilo_affinity_run(affinity, 0, meeting.workers, meet, &meeting, &opts), ==, 0);
		for (unsigned i = 0; i < meeting.workers; i++)
			TASK_CHECK(meeting.on[i], ==, i);
	}
	hilo_affinity_free(affinity);
	return 0;
}

/* Nobody stands in for a worker that is held: each does its own. */
static void test_pieces_stay_where_they_were(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	for (unsigned workers = 1; workers <= 8; workers *= 2)
		assert_int_equal(test_run(workers, meet_in_rounds, &workers), 0);
	hilo__nobody_stands_in = false;
}

/* A piece that does not end before all others have: they are done by whoever is free. */
static int hold_the_first(int64_t begin, int64_t end, void *arg)
{
	(void)end;
	(void)add_release((atomic(unsigned) *)arg, 1);
	while (begin == 0 && load_acquire((atomic(unsigned) *)arg) < 16)
		(void)sched_yield();
	return 0;
}

static int hold_one(void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	hilo_affinity *affinity = hilo_affinity_new();
	atomic(unsigned) done;

	(void)arg;
	for (int round = 0; round < 3; round++) {
		atomic_setup(&done, 0);
		TASK_CHECK(hilo_affinity_run(affinity, 0, 16, hold_the_first, &done, &opts), ==, 0);
		TASK_CHECK(load_relaxed(&done), ==, 16);
	}
	hilo_affinity_free(affinity);
	return 0;
}

static void test_pieces_of_a_worker_that_is_held_are_taken(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run(2, hold_one, NULL), 0);
	assert_int_equal(test_run(4, hold_one, NULL), 0);
	hilo__nobody_stands_in = false;
}

TASK_TEST(test_a_failure_at_each_item_is_told)
{
	enum {
		LENGTH = 37
	};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 2};
	struct items *items = malloc(sizeof(*items));
	hilo_affinity *affinity = hilo_affinity_new();

	for (int64_t failing = 0; failing < LENGTH; failing++) {
		char text[16];

		memset(items, 0, sizeof(*items));
		items->failing = failing;
		items->yields = failing % 2;
		TASK_CHECK(hilo_affinity_run(affinity, 0, LENGTH, do_items, items, &opts), ==, -EBADF);
		(void)snprintf(text, sizeof(text), "item %d", (int)failing);
		TASK_CHECK_TEXT(hilo_error_message(), text);
	}
	hilo_affinity_free(affinity);
	free(items);
	return 0;
}

TASK_TEST(test_a_cancelled_loop_stops)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	hilo_affinity *affinity = hilo_affinity_new();
	struct items *items = calloc(1, sizeof(*items));
	int rc;

	items->failing = 10;
	items->yields = true;
	items->cancels = hilo_task_current();
	rc = hilo_affinity_run(affinity, 0, MOST, do_items, items, &opts);
	TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, true);
	for (int64_t i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&items->done[i]), <=, 1);
	memset(items->done, 0, sizeof(items->done));
	TASK_CHECK(hilo_affinity_run(affinity, 0, MOST, do_items, items, &opts), ==, -ECANCELED);
	check_items(items, 0, 0);
	while (hilo_task_uncancel() > 0)
		;
	items->failing = -1;
	TASK_CHECK(hilo_affinity_run(affinity, 0, MOST, do_items, items, &opts), ==, 0);
	check_items(items, MOST, 1);
	hilo_affinity_free(affinity);
	free(items);
	return 0;
}

/* Who waits for a loop and is cancelled waits until it has stopped. */
static int sleep_in_piece(int64_t begin, int64_t end, void *arg)
{
	int rc;

	(void)end;
	if (begin == 0)
		(void)hilo_event_set(arg);
	rc = hilo_sleep(HILO_FOREVER);
	return rc;
}

struct waiting {
	hilo_affinity *affinity;
	hilo_event event;
};

static int wait_in_loop(void *arg)
{
	struct waiting *waiting = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};

	return hilo_affinity_run(waiting->affinity, 0, 9, sleep_in_piece, &waiting->event, &opts);
}

TASK_TEST(test_a_cancel_reaches_what_waits)
{
	struct waiting waiting = {.affinity = hilo_affinity_new()};
	hilo_task *task;

	TASK_CHECK(hilo_event_init(&waiting.event, 0), ==, 0);
	task = hilo_spawn(wait_in_loop, &waiting);
	TASK_CHECK(hilo_event_wait(&waiting.event, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_affinity_run(waiting.affinity, 0, 9, sleep_in_piece, NULL, NULL), ==, -EBUSY);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_event_destroy(&waiting.event), ==, 0);
	hilo_affinity_free(waiting.affinity);
	return 0;
}

/* Two pieces, each on its worker: the second one has returned when their loop is cancelled, the first one has not. */
struct ended {
	hilo_affinity *affinity;
	hilo_event begun, returns, go_on;
	bool fails;
};

static int end_before_the_cancel(int64_t begin, int64_t end, void *arg)
{
	struct ended *ended = arg;
	int rc;

	(void)end;
	if (begin == 1) {
		TASK_CHECK(hilo_event_wait(&ended->begun, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_event_set(&ended->returns), ==, 0);
		return ended->fails ? hilo_fail(-EIO, "the second piece") : 0;
	}
	(void)hilo_event_set(&ended->begun);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	rc = hilo_event_wait(&ended->go_on, HILO_FOREVER);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return rc;
}

static int loop_that_is_cancelled(void *arg)
{
	struct ended *ended = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	int rc = hilo_affinity_run(ended->affinity, 0, 2, end_before_the_cancel, ended, &opts);

	if (rc < 0)
		TASK_CHECK_TEXT(hilo_error_message(), "the second piece");
	return rc;
}

static int cancel_what_has_ended(void *arg)
{
	struct ended ended = {.affinity = hilo_affinity_new()};

	(void)arg;
	for (int fails = 0; fails < 2; fails++) {
		hilo_task *task;

		ended.fails = fails;
		TASK_CHECK(hilo_event_init(&ended.begun, 0), ==, 0);
		TASK_CHECK(hilo_event_init(&ended.returns, 0), ==, 0);
		TASK_CHECK(hilo_event_init(&ended.go_on, 0), ==, 0);
		task = hilo_spawn(loop_that_is_cancelled, &ended);
		TASK_CHECK(hilo_event_wait(&ended.returns, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_event_set(&ended.go_on), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, fails ? -EIO : 0);
		TASK_CHECK(hilo_event_destroy(&ended.begun), ==, 0);
		TASK_CHECK(hilo_event_destroy(&ended.returns), ==, 0);
		TASK_CHECK(hilo_event_destroy(&ended.go_on), ==, 0);
	}
	hilo_affinity_free(ended.affinity);
	return 0;
}

static void test_what_has_ended_before_a_cancel_is_told(void **state)
{
	(void)state;
	assert_int_equal(test_run(2, cancel_what_has_ended, NULL), 0);
}

/* The share of one worker is cancelled before it begins, or those of all. */
static unsigned shares_told, share_cancelled;
static bool are_shares;

static void share_spawned(hilo_task *task, void *arg)
{
	(void)arg;
	if (!are_shares)
		return;
	if (shares_told++ == share_cancelled || share_cancelled == UINT_MAX)
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
}

static int run_without(hilo_affinity *affinity, struct items *items, unsigned share)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};
	int rc;

	memset(items->done, 0, sizeof(items->done));
	shares_told = 0;
	share_cancelled = share;
	are_shares = true;
	rc = hilo_affinity_run(affinity, 0, 37, do_items, items, &opts);
	are_shares = false;
	return rc;
}

static int shares_without_a_begin(void *arg)
{
	unsigned workers = *(unsigned *)arg;
	hilo_affinity *affinity = hilo_affinity_new();
	struct items *items = calloc(1, sizeof(*items));

	for (unsigned i = 0; i < workers; i++) {
		items->failing = -1;
		TASK_CHECK(run_without(affinity, items, i), ==, workers == 1 ? -ECANCELED : 0);
		check_items(items, workers == 1 ? 0 : 37, 1);
		items->failing = 20;
		TASK_CHECK(run_without(affinity, items, i), ==, workers == 1 ? -ECANCELED : -EBADF);
		if (workers > 1)
			TASK_CHECK_TEXT(hilo_error_message(), "item 20");
	}
	items->failing = -1;
	TASK_CHECK(run_without(affinity, items, UINT_MAX), ==, -ECANCELED);
	check_items(items, 0, 1);
	hilo_affinity_free(affinity);
	free(items);
	return 0;
}

static void test_a_share_that_does_not_begin(void **state)
{
	static const unsigned counts[] = {1, 2, 4};
	hilo_task_hooks hooks = {.size = sizeof(hooks), .spawned = share_spawned};

	(void)state;
	for (size_t i = 0; i < array_size(counts); i++) {
		unsigned workers = counts[i];
		hilo_opts opts = {.size = sizeof(opts), .workers = workers, .hooks = &hooks};

		assert_int_equal(hilo_run(shares_without_a_begin, &workers, &opts), 0);
	}
}

TASK_TEST(test_without_memory)
{
	struct items *items = calloc(1, sizeof(*items));
	hilo_affinity *affinity = hilo_affinity_new();

	items->failing = -1;
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_affinity_new(), ==, NULL);
	for (long n = 1; n < 6; n++) {
		int rc;

		memset(items->done, 0, sizeof(items->done));
		hilo__mem_fail_at(n, true);
		rc = hilo_affinity_run(affinity, 0, 100, do_items, items, NULL);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
		check_items(items, rc == 0 ? 100 : 0, 1);
	}
	hilo_affinity_free(affinity);
	free(items);
	return 0;
}

static void tell(int64_t done, int64_t total, void *arg)
{
	int64_t *last = arg;

	TASK_CHECK(total, ==, 300);
	TASK_CHECK(done, >=, *last);
	*last = done;
}

TASK_TEST(test_progress_and_misuse)
{
	int64_t last = 0;
	hilo_parallel_opts opts = {sizeof(opts), 7, tell, &last, 1}, bad = {.size = 1};
	struct items *items = calloc(1, sizeof(*items));
	hilo_affinity *affinity = hilo_affinity_new();

	items->failing = -1;
	TASK_CHECK(hilo_affinity_run(affinity, 0, 300, do_items, items, &opts), ==, 0);
	TASK_CHECK(last, ==, 300);
	TASK_CHECK(hilo_affinity_run(NULL, 0, 3, do_items, items, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_affinity_run(affinity, 0, 3, NULL, items, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_affinity_run(affinity, 0, 3, do_items, items, &bad), ==, -EINVAL);
	TASK_CHECK(hilo_affinity_run(affinity, 3, 0, do_items, items, NULL), ==, 0);
	hilo_affinity_free(affinity);
	hilo_affinity_free(NULL);
	free(items);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	hilo_affinity *affinity = hilo_affinity_new();

	(void)state;
	assert_int_equal(hilo_affinity_run(affinity, 0, 3, do_items, NULL, NULL), -EDEADLK);
	hilo_affinity_free(affinity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_item_is_done_once_a_round),
		cmocka_unit_test(test_pieces_stay_where_they_were),
		cmocka_unit_test(test_pieces_of_a_worker_that_is_held_are_taken),
		cmocka_unit_test(test_a_failure_at_each_item_is_told),
		cmocka_unit_test(test_a_cancelled_loop_stops),
		cmocka_unit_test(test_a_cancel_reaches_what_waits),
		cmocka_unit_test(test_what_has_ended_before_a_cancel_is_told),
		cmocka_unit_test(test_a_share_that_does_not_begin),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_progress_and_misuse),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
