/* SPDX-License-Identifier: MIT */
/* One function for many arguments: all are called once, few at a time, and a failure ends it with nothing running. */
#include "tests/support/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/mem.h"

#define MANY 1000

/* One argument, and what the calls have in common. */
struct item {
	struct work *work;
	int number;
	unsigned calls;
};

struct work {
	struct item items[MANY];
	int results[MANY];
	atomic(unsigned) inside, most, begun;
	int fails_from; /* numbers from here on fail */
	struct gate gate;
	bool gated;
};

static struct work *work_new(void)
{
	struct work *work = malloc(sizeof(*work));

	TASK_CHECK(work != NULL, ==, true);
	memset(work, 0, sizeof(*work));
	for (int i = 0; i < MANY; i++) {
		work->items[i] = (struct item){work, i, 0};
		work->results[i] = 77;
	}
	work->fails_from = MANY;
	gate_init(&work->gate);
	return work;
}

static int visit(void *arg)
{
	struct item *item = arg;
	struct work *work = item->work;
	unsigned inside = add_acq_rel(&work->inside, 1) + 1, most = load_relaxed(&work->most);

	while (inside > most && !cas_relaxed(&work->most, &most, inside))
		;
	(void)add_release(&work->begun, 1);
	item->calls++;
	if (work->gated)
		(void)gate_pass(&work->gate);
	(void)sub_release(&work->inside, 1);
	if (item->number >= work->fails_from)
		return hilo_fail(-EIO - item->number, "number %d", item->number);
	return item->number;
}

static int map_some(hilo_executor *executor, struct work *work, size_t n, unsigned in_flight)
{
	return hilo_executor_map(executor, visit, work->items, sizeof(work->items[0]), n, work->results,
				 in_flight, HILO_FOREVER);
}

/* Each was called once, and has its result; of @called none later than that. */
static void work_check(const struct work *work, int called)
{
	TASK_CHECK(load_acquire(&((struct work *)(uintptr_t)work)->inside), ==, 0);
	for (int i = 0; i < MANY; i++) {
		TASK_CHECK(work->items[i].calls, ==, i < called);
		TASK_CHECK(work->results[i], ==, i < called ? i : 77);
	}
}

TASK_TEST(test_each_argument_is_called_once_and_few_at_a_time)
{
	static const unsigned in_flight[] = {1, 2, 7, 0, 32, 33, 500, 100000};
	static const int n[] = {0, 1, 2, 31, 32, 33, MANY};
	hilo_executor *executor = pool_make(8, 0, 0);

	for (size_t i = 0; i < array_size(in_flight); i++)
		for (size_t k = 0; k < array_size(n); k++) {
			struct work *work = work_new();

			TASK_CHECK(map_some(executor, work, (size_t)n[k], in_flight[i]), ==, 0);
			work_check(work, n[k]);
			TASK_CHECK(load_acquire(&work->most), <=,
				   in_flight[i] && in_flight[i] < 8 ? in_flight[i] : 8);
			free(work);
		}
	TASK_CHECK(pool_stats(executor).queued, ==, 0);
	pool_end(executor);
	return 0;
}

/* Some run at the same time, as many as may. */
static int map_gated(void *arg)
{
	struct work *work = arg;

	return map_some(NULL, work, 20, 5);
}

TASK_TEST(test_as_many_as_may_be_are_out_at_once)
{
	struct work *work = work_new();
	hilo_task *task;

	work->gated = true;
	task = hilo_spawn(map_gated, work);
	TEST_UNTIL(load_acquire(&work->begun) == 5);
	TASK_CHECK(load_acquire(&work->inside), ==, 5);
	gate_open(&work->gate);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&work->most), ==, 5);
	work_check(work, 20);
	free(work);
	return 0;
}

TASK_TEST(test_the_lowest_position_that_has_failed_counts)
{
	static const unsigned in_flight[] = {1, 3, 0, 200};
	hilo_executor *executor = pool_make(6, 0, 0);

	for (size_t i = 0; i < array_size(in_flight); i++) {
		struct work *work = work_new();
		unsigned begun;

		work->fails_from = 400;
		TASK_CHECK(map_some(executor, work, MANY, in_flight[i]), ==, -EIO - 400);
		TASK_CHECK_TEXT(hilo_error_message(), "number 400");
		TASK_CHECK(hilo_error_code(), ==, -EIO - 400);
		begun = load_acquire(&work->begun);
		/* Those that follow were not begun once it was known. */
		TASK_CHECK(begun, <=, 401 + (in_flight[i] ? in_flight[i] : 32));
		for (int k = 0; k < MANY; k++) {
			int expected = k < 400 ? k : work->items[k].calls ? -EIO - k : -ECANCELED;

			TASK_CHECK(work->items[k].calls, <=, 1);
			TASK_CHECK(k > 400 || work->items[k].calls, ==, true);
			TASK_CHECK(work->results[k], ==, expected);
		}
		TASK_CHECK(pool_stats(executor).queued, ==, 0);
		free(work);
	}
	pool_end(executor);
	return 0;
}

TASK_TEST(test_results_need_not_be_kept)
{
	struct work *work = work_new();

	TASK_CHECK(hilo_executor_map(NULL, visit, work->items, sizeof(work->items[0]), MANY, NULL, 0,
				     HILO_FOREVER),
		   ==, 0);
	TASK_CHECK(load_acquire(&work->begun), ==, MANY);
	work->fails_from = 3;
	TASK_CHECK(hilo_executor_map(NULL, visit, work->items, sizeof(work->items[0]), MANY, NULL, 1,
				     HILO_FOREVER),
		   ==, -EIO - 3);
	TASK_CHECK(load_acquire(&work->begun), ==, MANY + 4);
	/* The same argument for all. */
	TASK_CHECK(hilo_executor_map(NULL, visit, work->items, 0, 3, NULL, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(work->items[0].calls, ==, 5);
	free(work);
	return 0;
}

struct early {
	struct work *work;
	hilo_time deadline;
};

static int map_early(void *arg)
{
	struct early *early = arg;

	return hilo_executor_map(NULL, visit, early->work->items, sizeof(early->work->items[0]), MANY,
				 early->work->results, 4, early->deadline);
}

/* Those that run are waited for, whatever ends the wait: their arguments are the caller's. */
TASK_TEST(test_an_early_end_waits_for_what_runs)
{
	hilo_executor *executor = pool_make(2, 0, 0);

	TASK_CHECK(hilo_runtime_set_default_executor(hilo_runtime_current(), executor), ==, 0);
	for (int cancel = 0; cancel < 2; cancel++) {
		struct work *work = work_new();
		struct early early = {work, cancel ? HILO_FOREVER : hilo_after(20 * HILO_MILLISECOND)};
		uint64_t before = pool_stats(executor).cancelled;
		hilo_task *task;
		unsigned begun;

		work->gated = true;
		task = hilo_spawn(map_early, &early);
		if (cancel) {
			TEST_UNTIL(load_acquire(&work->begun) == 2);
			TASK_CHECK(hilo_task_cancel(task), ==, 0);
		}
		/* It has taken out those of its four that were queued, and waits for the others. */
		TEST_UNTIL(pool_stats(executor).cancelled - before + load_acquire(&work->begun) == 4);
		begun = load_acquire(&work->begun);
		if (begun)
			TASK_CHECK(hilo_task_is_done(task), ==, 0);
		gate_open(&work->gate);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, cancel ? -ECANCELED : -ETIMEDOUT);
		TASK_CHECK(load_acquire(&work->begun), ==, begun);
		for (unsigned i = 0; i < MANY; i++)
			TASK_CHECK(work->results[i], ==, i < begun ? (int)i : -ECANCELED);
		free(work);
	}
	return 0;
}

/* With all of them running the end comes too late to be early. */
TASK_TEST(test_results_outrank_the_end_of_the_wait)
{
	struct work *work = work_new();
	struct early early = {work, HILO_NO_WAIT};
	int rc;

	work->gated = true;
	gate_open(&work->gate);
	/* A deadline that has passed still tries once: a few may be begun, and are waited for. */
	rc = map_early(&early);
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(load_acquire(&work->begun), <=, 4);
	TASK_CHECK(load_acquire(&work->inside), ==, 0);
	for (int i = 0; i < MANY; i++)
		TASK_CHECK(work->results[i], ==, work->items[i].calls ? i : -ECANCELED);
	free(work);
	return 0;
}

/* A queue that is full is no failure while calls of one's own are in it; with none it is the policy's. */
TASK_TEST(test_a_small_queue_slows_it_down_only)
{
	for (int policy = HILO_OVERFLOW_SUSPEND; policy <= HILO_OVERFLOW_INLINE; policy++) {
		hilo_executor *executor = pool_make(2, 1, (enum hilo_overflow)policy);
		struct work *work = work_new();

		TASK_CHECK(map_some(executor, work, MANY, 50), ==, 0);
		work_check(work, MANY);
		free(work);
		pool_end(executor);
	}
	return 0;
}

static int map_busy(void *arg)
{
	struct pass *pass = arg;

	return map_some(pass->executor, pass->arg, 10, 3);
}

TASK_TEST(test_a_full_queue_of_others_is_for_the_policy)
{
	for (int policy = HILO_OVERFLOW_SUSPEND; policy <= HILO_OVERFLOW_INLINE; policy++) {
		struct busy_pool pool;
		struct work *work = work_new();
		struct pass pass = {.arg = work};
		hilo_task *task;

		busy_pool_begin(&pool, 1, (enum hilo_overflow)policy);
		TASK_CHECK(hilo_executor_submit(pool.executor, test_entry_return, NULL, NULL, HILO_FOREVER),
			   ==, 0);
		pass.executor = pool.executor;
		task = hilo_spawn(map_busy, &pass);
		if (policy == HILO_OVERFLOW_SUSPEND) {
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
			TASK_CHECK(load_acquire(&work->begun), ==, 0);
			gate_open(&pool.gate);
		}
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==,
			   policy == HILO_OVERFLOW_FAIL ? HILO_EOVERFLOW : 0);
		if (policy != HILO_OVERFLOW_FAIL)
			work_check(work, 10);
		TASK_CHECK(load_acquire(&work->begun), ==, policy == HILO_OVERFLOW_FAIL ? 0 : 10);
		busy_pool_end(&pool);
		free(work);
	}
	return 0;
}

static struct busy_pool *let_go;

/* The first call, which its caller makes itself, lets the thread go, and each waits for something. */
static int visit_and_wait(void *arg)
{
	struct item *item = arg;

	if (item->number == 0)
		gate_open(&let_go->gate);
	if (hilo_sleep(HILO_MILLISECOND) < 0)
		return -ECANCELED;
	return visit(arg);
}

TASK_TEST(test_a_call_that_the_caller_makes_itself_may_wait)
{
	struct busy_pool pool;
	struct work *work = work_new();

	let_go = &pool;
	busy_pool_begin(&pool, 1, HILO_OVERFLOW_INLINE);
	TASK_CHECK(hilo_executor_submit(pool.executor, test_entry_return, NULL, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_map(pool.executor, visit_and_wait, work->items, sizeof(work->items[0]), 10,
				     work->results, 3, HILO_FOREVER),
		   ==, 0);
	work_check(work, 10);
	busy_pool_end(&pool);
	free(work);
	return 0;
}

/* The pool closes in the midst of it: what was begun runs, or not if so asked, and nothing is begun any more. */
TASK_TEST(test_closing_ends_it)
{
	for (unsigned flags = 0; flags <= HILO_EXECUTOR_CANCEL_QUEUED; flags++) {
		hilo_executor *executor = pool_make(1, 0, 0);
		struct work *work = work_new();
		struct pass pass = {.executor = executor, .arg = work};
		hilo_task *task;

		work->gated = true;
		task = hilo_spawn(map_busy, &pass);
		TEST_UNTIL(load_acquire(&work->begun) && pool_stats(executor).queued == 2);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_executor_close(executor, flags, HILO_NO_WAIT), ==, -ETIMEDOUT);
		gate_open(&work->gate);
		/* It keeps the executor until it has left. */
		TASK_CHECK(hilo_executor_close(executor, flags, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_ECLOSED);
		TASK_CHECK(load_acquire(&work->begun), <=, flags ? 1 : 3);
		TASK_CHECK(load_acquire(&work->inside), ==, 0);
		TASK_CHECK(work->results[9], ==, -ECANCELED);
		free(work);
	}
	return 0;
}

static void test_what_is_wrong_is_said(void **state)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	int numbers[4] = {0};

	(void)state;
	assert_int_equal(hilo_executor_map(executor, NULL, numbers, 4, 4, NULL, 0, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_executor_map(executor, visit, NULL, 4, 4, NULL, 0, HILO_FOREVER), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "4"));
	assert_int_equal(hilo_executor_map(NULL, visit, numbers, 4, 4, NULL, 0, HILO_FOREVER), -EDEADLK);
	assert_int_equal(hilo_executor_map(executor, visit, NULL, 4, 0, NULL, 0, HILO_FOREVER), 0);
	assert_int_equal(hilo_executor_map(executor, visit, NULL, 0, 0, NULL, 0, HILO_NO_WAIT), 0);
	pool_end(executor);
}

/* A few places are at hand, more take memory. */
static void test_few_calls_take_no_memory(void **state)
{
	hilo_executor *executor = pool_make(2, 0, 0);
	struct work *work = work_new();
	long calls;

	(void)state;
	assert_int_equal(map_some(executor, work, 4, 0), 0);
	hilo__mem_fail_at(1, true);
	assert_int_equal(map_some(executor, work, 100, 32), 0);
	calls = hilo__mem_calls();
	assert_int_equal(map_some(executor, work, 100, 33), -ENOMEM);
	hilo__mem_fail_at(0, false);
	assert_int_equal(calls, 0);
	assert_int_equal(load_acquire(&work->begun), 104);
	pool_end(executor);
	free(work);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_argument_is_called_once_and_few_at_a_time),
		cmocka_unit_test(test_as_many_as_may_be_are_out_at_once),
		cmocka_unit_test(test_the_lowest_position_that_has_failed_counts),
		cmocka_unit_test(test_results_need_not_be_kept),
		cmocka_unit_test(test_an_early_end_waits_for_what_runs),
		cmocka_unit_test(test_results_outrank_the_end_of_the_wait),
		cmocka_unit_test(test_a_small_queue_slows_it_down_only),
		cmocka_unit_test(test_a_full_queue_of_others_is_for_the_policy),
		cmocka_unit_test(test_a_call_that_the_caller_makes_itself_may_wait),
		cmocka_unit_test(test_closing_ends_it),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_few_calls_take_no_memory),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
