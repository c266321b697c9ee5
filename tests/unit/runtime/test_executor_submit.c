/* SPDX-License-Identifier: MIT */
/* Calls whose results are futures: how they run, fail, are cancelled, and end with their executor. */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>

#include "scheduler/base/sys.h"

#define TASKS 50

static void *as_value(intptr_t number)
{
	return (void *)number;
}

static int count(void *arg)
{
	return (int)add_release((atomic(unsigned) *)arg, 1);
}

static int fail_with_message(void *arg)
{
	(void)arg;
	return hilo_fail(-EIO, "the disk is full of %s", "holes");
}

static hilo_future *submit(hilo_executor *executor, hilo_blocking_fn fn, void *arg)
{
	hilo_future *future = NULL;

	TASK_CHECK(hilo_executor_submit(executor, fn, arg, &future, HILO_FOREVER), ==, 0);
	TASK_CHECK(future != NULL, ==, true);
	return future;
}

static void *value_of(hilo_future *future)
{
	void *value = NULL;

	TASK_CHECK(hilo_future_await(future, &value, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return value;
}

static int thread_of_call(void *arg)
{
	TASK_CHECK(hilo_task_current(), ==, NULL);
	*(pthread_t *)arg = pthread_self();
	return 5;
}

/* The default executor, and one of one's own. */
TASK_TEST(test_the_result_of_a_call_is_the_value_of_its_future)
{
	hilo_executor *mine = pool_make(2, 0, 0), *executors[] = {NULL, mine};

	for (size_t i = 0; i < array_size(executors); i++) {
		hilo_future *future[TASKS];
		pthread_t thread;

		for (intptr_t n = 0; n < TASKS; n++)
			future[n] = submit(executors[i], test_entry_return, as_value(n));
		for (intptr_t n = 0; n < TASKS; n++)
			TASK_CHECK(value_of(future[n]), ==, as_value(n));
		TASK_CHECK(value_of(submit(executors[i], thread_of_call, &thread)), ==, as_value(5));
		TASK_CHECK(pthread_equal(thread, pthread_self()), ==, 0);
	}
	pool_end(mine);
	return 0;
}

/* Several calls at once, and whichever ends first: as futures they can be selected from. */
TASK_TEST(test_the_first_of_several_calls_is_seen_first)
{
	hilo_executor *mine = pool_make(3, 0, 0);
	hilo_future *future[3];
	struct gate gate[3];

	for (int i = 0; i < 3; i++) {
		gate_init(&gate[i]);
		future[i] = submit(mine, gate_pass, &gate[i]);
	}
	for (int i = 2; i >= 0; i--) {
		hilo_select_case cases[] = {HILO_SELECT_FUTURE(future[0]), HILO_SELECT_FUTURE(future[1]),
					    HILO_SELECT_FUTURE(future[2])};

		TASK_CHECK(hilo_select(cases, (size_t)i + 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
		gate_open(&gate[i]);
		TASK_CHECK(hilo_select(cases, (size_t)i + 1, HILO_FOREVER), ==, i);
		TASK_CHECK(value_of(future[i]), ==, as_value(1));
	}
	pool_end(mine);
	return 0;
}

/* Whatever the pool's thread has said before is no part of it. */
TASK_TEST(test_a_failing_call_fails_its_future_with_its_message)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	hilo_future *told = submit(executor, fail_with_message, NULL);
	hilo_future *silent = submit(executor, test_entry_return, as_value(-EIO));
	void *value = NULL;

	for (int i = 0; i < 2; i++) {
		TASK_CHECK(hilo_future_await(told, &value, HILO_FOREVER), ==, -EIO);
		TASK_CHECK_TEXT(hilo_error_message(), "the disk is full of holes");
		TASK_CHECK(hilo_error_code(), ==, -EIO);
		TASK_CHECK(hilo_future_await(silent, &value, HILO_FOREVER), ==, -EIO);
		TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-EIO));
	}
	TASK_CHECK(value, ==, NULL);
	hilo_future_unref(told);
	hilo_future_unref(silent);
	pool_end(executor);
	return 0;
}

TASK_TEST(test_a_queued_call_that_is_cancelled_never_runs)
{
	struct busy_pool pool;
	atomic(unsigned) calls;
	hilo_future *future[10];

	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, array_size(future), HILO_OVERFLOW_FAIL);
	for (size_t i = 0; i < array_size(future); i++)
		future[i] = submit(pool.executor, count, &calls);
	TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, NULL, HILO_FOREVER), ==,
		   HILO_EOVERFLOW);
	/* At once: its place is free, and it is counted. */
	TASK_CHECK(hilo_future_cancel(future[0]), ==, 0);
	TASK_CHECK(pool_stats(pool.executor).queued, ==, array_size(future) - 1);
	TASK_CHECK(pool_stats(pool.executor).cancelled, ==, 1);
	TASK_CHECK(hilo_future_await(future[0], NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_future_cancel(future[0]), ==, HILO_EINVALSTATE);
	hilo_future_unref(future[0]);
	future[0] = submit(pool.executor, count, &calls);
	for (size_t i = 1; i < array_size(future); i += 2)
		TASK_CHECK(hilo_future_cancel(future[i]), ==, 0);
	busy_pool_end(&pool);
	for (size_t i = 0; i < array_size(future); i++) {
		TASK_CHECK(hilo_future_await(future[i], NULL, HILO_FOREVER), ==, i % 2 ? -ECANCELED : 0);
		hilo_future_unref(future[i]);
	}
	TASK_CHECK(load_acquire(&calls), ==, array_size(future) / 2);
	return 0;
}

/* A cancel that makes room lets in whoever waits for it. */
TASK_TEST(test_a_cancel_makes_room)
{
	struct busy_pool pool;
	atomic(unsigned) calls;
	struct pass pass = {.fn = count, .arg = &calls, .deadline = HILO_FOREVER};
	hilo_future *future;
	hilo_task *task;

	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 1, HILO_OVERFLOW_SUSPEND);
	pass.executor = pool.executor;
	future = submit(pool.executor, count, &calls);
	task = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_future_cancel(future), ==, 0);
	hilo_future_unref(future);
	TEST_UNTIL(pool_stats(pool.executor).queued == 1);
	busy_pool_end(&pool);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&calls), ==, 1);
	return 0;
}

TASK_TEST(test_a_running_call_that_is_cancelled_goes_on_by_itself)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	struct gate gate;
	hilo_future *future;

	gate_init(&gate);
	future = submit(executor, gate_pass, &gate);
	TEST_UNTIL(load_acquire(&gate.inside));
	TASK_CHECK(hilo_future_cancel(future), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, -ECANCELED);
	hilo_future_unref(future);
	TASK_CHECK(load_acquire(&gate.inside), ==, 1);
	TASK_CHECK(pool_stats(executor).cancelled, ==, 0);
	gate_open(&gate);
	TASK_CHECK(value_of(submit(executor, test_entry_return, as_value(2))), ==, as_value(2));
	TASK_CHECK(pool_stats(executor).abandoned, ==, 1);
	TASK_CHECK(pool_stats(executor).calls, ==, 2);
	pool_end(executor);
	return 0;
}

/* Somebody else may complete it; the call runs all the same. */
TASK_TEST(test_a_future_that_others_have_set_keeps_their_value)
{
	struct busy_pool pool;
	atomic(unsigned) calls;
	hilo_future *future;

	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 0, 0);
	future = submit(pool.executor, count, &calls);
	TASK_CHECK(hilo_future_set(future, &calls, NULL), ==, 0);
	TASK_CHECK(pool_stats(pool.executor).queued, ==, 1);
	busy_pool_end(&pool);
	TASK_CHECK(load_acquire(&calls), ==, 1);
	TASK_CHECK(value_of(future), ==, &calls);
	return 0;
}

/* A handle that goes early loses nothing: the call runs, and all memory comes back. */
static int forget(void *arg)
{
	struct busy_pool pool;
	atomic(unsigned) calls;

	(void)arg;
	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 0, 0);
	for (int i = 0; i < TASKS; i++) {
		hilo_future_unref(submit(pool.executor, count, &calls));
		TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, NULL, HILO_FOREVER), ==, 0);
	}
	busy_pool_end(&pool);
	TASK_CHECK(load_acquire(&calls), ==, 2 * TASKS);
	return 0;
}

static void test_nobody_needs_to_hold_the_future(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, forget, NULL), 0);
}

static void test_lost_failures_of_calls_are_reported_once(void **state)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	hilo_future *future;
	char line[320];

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_executor_submit(executor, fail_with_message, NULL, NULL, HILO_FOREVER), 0);
	hilo_future_unref(submit(executor, test_entry_return, as_value(-EPERM)));
	future = submit(executor, fail_with_message, NULL);
	assert_int_equal(hilo_future_await(future, NULL, HILO_FOREVER), -EIO); /* seen */
	hilo_future_unref(future);
	assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0);
	assert_int_equal(test_log_count("nobody looked"), 2);
	assert_int_equal(test_log_count("EIO: the disk is full of holes"), 1);
	test_log_last(line, sizeof(line));
	assert_non_null(strstr(line, "EPERM"));
	test_log_end();
}

/* Not run: those with a future are told, the others had nobody to tell, and nothing is reported. */
static int close_refusing(void *arg)
{
	struct busy_pool pool;
	atomic(unsigned) calls;
	hilo_future *future[5];

	(void)arg;
	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 0, 0);
	for (size_t i = 0; i < array_size(future); i++) {
		future[i] = submit(pool.executor, count, &calls);
		TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, NULL, HILO_FOREVER), ==, 0);
	}
	TASK_CHECK(hilo_executor_close(pool.executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
	for (size_t i = 0; i < array_size(future); i++) {
		TASK_CHECK(hilo_future_await(future[i], NULL, HILO_FOREVER), ==, HILO_ECLOSED);
		hilo_future_unref(future[i]);
	}
	TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, &future[0], HILO_FOREVER), ==,
		   HILO_ECLOSED);
	TASK_CHECK(pool_stats(pool.executor).cancelled, ==, 2 * array_size(future));
	busy_pool_end(&pool);
	TASK_CHECK(load_acquire(&calls), ==, 0);
	return 0;
}

static void test_a_closing_executor_tells_the_futures(void **state)
{
	(void)state;
	test_log_begin();
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, close_refusing, NULL), 0);
	assert_int_equal(test_log_count("nobody looked"), 0);
	test_log_end();
}

/* Without the flag all that is queued runs, whether somebody waits for it or not. */
TASK_TEST(test_close_runs_what_is_queued)
{
	struct busy_pool pool;
	atomic(unsigned) calls;

	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 0, 0);
	for (int i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(pool.executor, 0, HILO_NO_WAIT), ==, -ETIMEDOUT);
	busy_pool_end(&pool);
	TASK_CHECK(load_acquire(&calls), ==, TASKS);
	return 0;
}

/* What is queued when the runtime ends never runs, and its future says so. */
static int leave_behind(void *arg)
{
	hilo_future **future = arg;
	static struct gate gate;

	gate_init(&gate);
	TASK_CHECK(hilo_runtime_set_default_executor(hilo_runtime_current(), pool_make(1, 0, 0)), ==, 0);
	TASK_CHECK(hilo_executor_submit(NULL, gate_pass, &gate, NULL, HILO_FOREVER), ==, 0);
	TEST_UNTIL(load_acquire(&gate.inside));
	future[0] = submit(NULL, gate_pass, &gate);
	future[1] = submit(NULL, fail_with_message, NULL);
	TASK_CHECK(hilo_future_cancel(future[1]), ==, 0);
	gate_open(&gate);
	return 0;
}

static void test_futures_outlive_their_runtime(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(20); round++) {
		hilo_future *future[2];
		int rc;

		assert_int_equal(test_run(1 + round % 2, leave_behind, future), 0);
		rc = hilo_future_await(future[0], NULL, HILO_NO_WAIT);
		assert_true(rc == 0 || rc == HILO_ECLOSED);
		assert_int_equal(hilo_future_await(future[1], NULL, HILO_NO_WAIT), -ECANCELED);
		hilo_future_unref(future[0]);
		hilo_future_unref(future[1]);
	}
}

TASK_TEST(test_a_full_queue_runs_the_call_of_its_caller)
{
	struct busy_pool pool;
	atomic(unsigned) calls;
	hilo_future *future[2];
	pthread_t thread;

	atomic_setup(&calls, 0);
	busy_pool_begin(&pool, 1, HILO_OVERFLOW_INLINE);
	TASK_CHECK(hilo_executor_submit(pool.executor, count, &calls, NULL, HILO_FOREVER), ==, 0);
	(void)hilo_fail(-EIO, "mine");
	future[0] = submit(pool.executor, test_entry_return, as_value(-EIO));
	TASK_CHECK(hilo_future_is_done(future[0]), ==, 1);
	TASK_CHECK_TEXT(hilo_error_message(),
			"mine"); /* what the call says is not the caller's, nor vice versa */
	TASK_CHECK(hilo_future_await(future[0], NULL, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-EIO));
	future[1] = submit(pool.executor, fail_with_message, &thread);
	TASK_CHECK(hilo_future_await(future[1], NULL, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "the disk is full of holes");
	hilo_future_unref(future[0]);
	hilo_future_unref(future[1]);
	busy_pool_end(&pool);
	TASK_CHECK(load_acquire(&calls), ==, 1);
	return 0;
}

static int run_in_call(void *arg)
{
	return hilo_run(test_entry_return, arg, NULL);
}

/* hilo_run in a call of the default executor goes to its runtime; elsewhere it begins one. */
TASK_TEST(test_a_submitted_call_may_run_tasks)
{
	hilo_executor *mine = pool_make(1, 0, 0);

	TASK_CHECK(value_of(submit(NULL, run_in_call, as_value(6))), ==, as_value(6));
	TASK_CHECK(value_of(submit(mine, run_in_call, as_value(7))), ==, as_value(7));
	pool_end(mine);
	return 0;
}

static void test_plain_threads_submit(void **state)
{
	hilo_executor *executor = pool_make(2, 0, 0);
	hilo_future *future = NULL;

	(void)state;
	assert_int_equal(hilo_executor_submit(executor, NULL, NULL, &future, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_executor_submit(NULL, test_entry_return, NULL, &future, HILO_FOREVER),
			 -EDEADLK);
	assert_null(future);
	assert_ptr_equal(value_of(submit(executor, test_entry_return, as_value(4))), as_value(4));
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, true);
	future = submit(executor, test_entry_return,
			as_value(4)); /* the thread may be idle, or starting to be */
	(void)hilo_future_await(future, NULL, HILO_FOREVER);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	hilo_future_unref(future);
	pool_end(executor);
	/* None exists, and none can be had. */
	executor = pool_make(2, 0, 0);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, true);
	future = submit(executor, test_entry_return, as_value(4));
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	assert_int_equal(hilo_future_await(future, NULL, HILO_FOREVER), -EAGAIN);
	hilo_future_unref(future);
	pool_end(executor);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_result_of_a_call_is_the_value_of_its_future),
		cmocka_unit_test(test_the_first_of_several_calls_is_seen_first),
		cmocka_unit_test(test_a_failing_call_fails_its_future_with_its_message),
		cmocka_unit_test(test_a_queued_call_that_is_cancelled_never_runs),
		cmocka_unit_test(test_a_cancel_makes_room),
		cmocka_unit_test(test_a_running_call_that_is_cancelled_goes_on_by_itself),
		cmocka_unit_test(test_a_future_that_others_have_set_keeps_their_value),
		cmocka_unit_test(test_nobody_needs_to_hold_the_future),
		cmocka_unit_test(test_lost_failures_of_calls_are_reported_once),
		cmocka_unit_test(test_a_closing_executor_tells_the_futures),
		cmocka_unit_test(test_close_runs_what_is_queued),
		cmocka_unit_test(test_futures_outlive_their_runtime),
		cmocka_unit_test(test_a_full_queue_runs_the_call_of_its_caller),
		cmocka_unit_test(test_a_submitted_call_may_run_tasks),
		cmocka_unit_test(test_plain_threads_submit),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
