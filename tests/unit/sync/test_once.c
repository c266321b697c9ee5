/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/wait.h"

static hilo_once once;
static atomic(unsigned) runs;

static bool waits_for(hilo_task *task, const void *object)
{
	struct wait_seen seen;

	return hilo__wait_look(task, &seen) && seen.object == object;
}

static void fresh(void)
{
	hilo_once_init(&once);
	store_release(&runs, 0);
}

static int does(void *arg)
{
	(void)arg;
	(void)add_relaxed(&runs, 1);
	return 5;
}

static int does_not(void *arg)
{
	(void)arg;
	(void)add_relaxed(&runs, 1);
	return hilo_fail(-EIO, "not this time");
}

TASK_TEST(test_it_is_done_once)
{
	fresh();
	TASK_CHECK(hilo_once_is_done(&once), ==, 0);
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_once_is_done(&once), ==, 1);
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_once_run(&once, does_not, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&runs), ==, 1);
	TASK_CHECK(hilo_once_destroy(&once), ==, 0);
	return 0;
}

TASK_TEST(test_what_has_failed_is_done_by_the_next_one)
{
	fresh();
	TASK_CHECK(hilo_once_run(&once, does_not, NULL, HILO_NO_WAIT), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "not this time");
	TASK_CHECK(hilo_once_is_done(&once), ==, 0);
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&runs), ==, 2);
	return 0;
}

/* A runner that waits until told what to return. */
struct slow {
	hilo_future *future;
	hilo_time deadline;
	int result;
};

static int does_slowly(void *arg)
{
	int rc = hilo_future_await(((struct slow *)arg)->future, NULL, HILO_FOREVER);

	(void)add_relaxed(&runs, 1);
	return rc;
}

static int runs_slowly(void *arg)
{
	struct slow *slow = arg;

	slow->result = hilo_once_run(&once, does_slowly, slow, slow->deadline);
	return 0;
}

static hilo_task *start_runner(struct slow *slow)
{
	hilo_task *task;

	*slow = (struct slow){hilo_future_new(), HILO_FOREVER, 1};
	task = hilo_spawn(runs_slowly, slow);
	TEST_UNTIL(waits_for(task, slow->future));
	return task;
}

static hilo_task *start_waiter(struct slow *slow)
{
	hilo_task *task;

	*slow = (struct slow){hilo_future_new(), HILO_FOREVER, 1};
	task = hilo_spawn(runs_slowly, slow);
	TEST_UNTIL(waits_for(task, &once));
	return task;
}

TASK_TEST(test_others_wait_until_it_is_done)
{
	struct slow runner, waiter[3];
	hilo_task *task, *waiting[3];

	fresh();
	task = start_runner(&runner);
	for (int i = 0; i < 3; i++)
		waiting[i] = start_waiter(&waiter[i]);
	TASK_CHECK(hilo_once_destroy(&once), ==, -EBUSY);
	TASK_CHECK(hilo_future_set(runner.future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(runner.result, ==, 0);
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_join(waiting[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(waiter[i].result, ==, 0);
		hilo_future_unref(waiter[i].future);
	}
	TASK_CHECK(load_relaxed(&runs), ==, 1);
	hilo_future_unref(runner.future);
	return 0;
}

TASK_TEST(test_who_waits_runs_it_when_the_runner_is_cancelled)
{
	struct slow runner, waiter[2];
	hilo_task *task, *waiting[2];

	fresh();
	task = start_runner(&runner);
	for (int i = 0; i < 2; i++)
		waiting[i] = start_waiter(&waiter[i]);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(runner.result, ==, -ECANCELED);
	TEST_UNTIL(waits_for(waiting[0], waiter[0].future));
	TASK_CHECK(waits_for(waiting[1], &once), ==, true);
	TASK_CHECK(hilo_future_set(waiter[0].future, NULL, NULL), ==, 0);
	for (int i = 0; i < 2; i++) {
		TASK_CHECK(hilo_join(waiting[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(waiter[i].result, ==, 0);
		hilo_future_unref(waiter[i].future);
	}
	hilo_future_unref(runner.future);
	return 0;
}

TASK_TEST(test_a_wait_ends_early)
{
	struct slow runner, waiter;
	hilo_task *task, *waiting;
	hilo_time limits[] = {HILO_NO_WAIT, 1, hilo_after(HILO_MILLISECOND)};

	fresh();
	task = start_runner(&runner);
	for (unsigned i = 0; i < array_size(limits); i++)
		TASK_CHECK(hilo_once_run(&once, does, NULL, limits[i]), ==, -ETIMEDOUT);
	waiting = start_waiter(&waiter);
	TASK_CHECK(hilo_task_cancel(waiting), ==, 0);
	TASK_CHECK(hilo_join(waiting, HILO_FOREVER), ==, 0);
	TASK_CHECK(waiter.result, ==, -ECANCELED);
	TASK_CHECK(hilo_future_set(runner.future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(runner.result, ==, 0);
	hilo_future_unref(waiter.future);
	hilo_future_unref(runner.future);
	return 0;
}

static int cancelled_before(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

TASK_TEST(test_a_cancel_that_is_set_comes_first)
{
	fresh();
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_before, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&runs), ==, 0);
	return 0;
}

static int runs_itself(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, -EDEADLK);
	return 0;
}

TASK_TEST(test_a_function_that_runs_itself_is_told)
{
	fresh();
	TASK_CHECK(hilo_once_run(&once, runs_itself, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&runs), ==, 0);
	return 0;
}

static void callback_runs(void *arg)
{
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

static void callback_would_wait(void *arg)
{
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "a callback cannot wait");
	TASK_CHECK(hilo_once_run(&once, does, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

TASK_TEST(test_a_callback_runs_it_and_does_not_wait)
{
	hilo_future *first = hilo_future_new(), *second = hilo_future_new();
	struct slow runner;
	hilo_task *task;

	fresh();
	TASK_CHECK(hilo_call_soon(callback_runs, first, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(first, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&runs), ==, 1);
	fresh();
	task = start_runner(&runner);
	TASK_CHECK(hilo_call_soon(callback_would_wait, second, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(second, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_set(runner.future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(first);
	hilo_future_unref(second);
	hilo_future_unref(runner.future);
	return 0;
}

/* ---- many ---- */

#define SLOTS 64

static hilo_once slots[SLOTS];
static unsigned long done[SLOTS]; /* by who runs it */

static int slot_do(void *arg)
{
	unsigned slot = (unsigned)(uintptr_t)arg;

	test_pause();
	if (add_relaxed(&runs, 1) % 3)
		return -EIO;
	done[slot]++;
	return 0;
}

static int crowd_run(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < SLOTS; i++) {
		while (hilo_once_run(&slots[i], slot_do, (void *)i, HILO_FOREVER) < 0)
			;
		TASK_CHECK(done[i], ==, 1);
	}
	return 0;
}

static void *crowd_thread(void *arg)
{
	(void)crowd_run(arg);
	return NULL;
}

static int crowd_body(void *arg)
{
	hilo_task *task[6];
	pthread_t thread[2];

	(void)arg;
	for (int i = 0; i < SLOTS; i++) {
		hilo_once_init(&slots[i]);
		done[i] = 0;
	}
	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, crowd_thread, NULL), ==, 0);
	for (int i = 0; i < 6; i++)
		task[i] = hilo_spawn(crowd_run, NULL);
	for (int i = 0; i < 6; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	return 0;
}

static void test_tasks_and_threads_see_what_was_done(void **state)
{
	const unsigned workers[] = {1, 2, 8};

	(void)state;
	for (unsigned i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], crowd_body, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_done_once),
		cmocka_unit_test(test_what_has_failed_is_done_by_the_next_one),
		cmocka_unit_test(test_others_wait_until_it_is_done),
		cmocka_unit_test(test_who_waits_runs_it_when_the_runner_is_cancelled),
		cmocka_unit_test(test_a_wait_ends_early),
		cmocka_unit_test(test_a_cancel_that_is_set_comes_first),
		cmocka_unit_test(test_a_function_that_runs_itself_is_told),
		cmocka_unit_test(test_a_callback_runs_it_and_does_not_wait),
		cmocka_unit_test(test_tasks_and_threads_see_what_was_done),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
