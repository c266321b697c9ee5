/* SPDX-License-Identifier: MIT */
/* Failures that nobody looked at, and who is told of them. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the handler was told. */
static struct {
	pthread_mutex_t lock;
	unsigned calls;
	hilo_exception last;
	char message[64], task[64];
	int sleeps, yields;
	bool in_task;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void handle(const hilo_exception *exception, void *arg)
{
	pthread_mutex_lock(&told.lock);
	TASK_CHECK(arg, ==, &told);
	told.calls++;
	told.last = *exception;
	(void)snprintf(told.message, sizeof(told.message), "%s", exception->message);
	(void)snprintf(told.task, sizeof(told.task), "%s", exception->task ? exception->task : "");
	told.in_task = hilo_task_current() != NULL;
	pthread_mutex_unlock(&told.lock);
}

static unsigned told_calls(void)
{
	unsigned calls;

	pthread_mutex_lock(&told.lock);
	calls = told.calls;
	pthread_mutex_unlock(&told.lock);
	return calls;
}

static int setup(void **state)
{
	(void)state;
	told.calls = 0;
	memset(&told.last, 0, sizeof(told.last));
	hilo_set_exception_handler(handle, &told);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hilo_set_exception_handler(NULL, NULL);
	return 0;
}

static int fail_main(void *arg)
{
	(void)arg;
	return hilo_fail(-EIO, "no luck");
}

static int bare_fail(void *arg)
{
	(void)arg;
	return -EPROTO;
}

/* Which of both drops the last reference, the task or its handle, is open. */
static void lose(hilo_task_fn entry, const char *name, bool detach_first)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = name};
	unsigned calls = told_calls();
	hilo_task *task;
	uint64_t id;

	TASK_CHECK(hilo_spawn_with(entry, NULL, &opts, &task), ==, 0);
	id = hilo_task_id(task);
	if (!detach_first)
		TEST_UNTIL(hilo_task_is_done(task));
	hilo_task_detach(task);
	TEST_UNTIL(told_calls() > calls);
	TASK_CHECK(told_calls(), ==, calls + 1);
	TASK_CHECK(told.last.task_id, ==, id);
	TASK_CHECK(told.last.kind, ==, HILO_EXCEPTION_TASK);
	TASK_CHECK(told.last.size, ==, sizeof(hilo_exception));
	TASK_CHECK((uintptr_t)told.last.entry, ==, (uintptr_t)entry);
	TASK_CHECK(told.last.runtime, ==, hilo_runtime_current());
	TASK_CHECK(told.last.site, !=, NULL);
	TASK_CHECK_TEXT(told.task, name);
	TASK_CHECK(told.in_task, ==, false);
}

TASK_TEST(test_a_lost_failure_of_a_task_is_told_once)
{
	for (int i = 0; i < 20; i++) {
		lose(fail_main, "a-loser", i % 2);
		TASK_CHECK(told.last.code, ==, -EIO);
		TASK_CHECK_TEXT(told.message, "no luck");
		lose(bare_fail, "another", i % 2);
		TASK_CHECK(told.last.code, ==, -EPROTO);
		TASK_CHECK_TEXT(told.message, hilo_strerror(-EPROTO));
	}
	return 0;
}

TASK_TEST(test_what_was_looked_at_or_cancelled_is_not_told)
{
	unsigned calls = told_calls();
	hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL);

	TASK_CHECK(hilo_join(hilo_spawn(fail_main, NULL), HILO_FOREVER), ==, -EIO);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TEST_UNTIL(hilo_task_is_done(task));
	hilo_task_unref(task);
	TASK_CHECK(told_calls(), ==, calls);
	return 0;
}

TASK_TEST(test_a_lost_failure_of_a_future_is_told_once)
{
	hilo_future *future = hilo_future_new();
	unsigned calls = told_calls();

	TASK_CHECK(hilo_future_set_error(future, -ENOSR), ==, 0);
	TASK_CHECK(told_calls(), ==, calls);
	hilo_future_unref(future);
	TASK_CHECK(told_calls(), ==, calls + 1);
	TASK_CHECK(told.last.kind, ==, HILO_EXCEPTION_FUTURE);
	TASK_CHECK(told.last.code, ==, -ENOSR);
	TASK_CHECK(told.last.task_id, ==, 0);
	TASK_CHECK(told.last.entry == NULL, ==, 1);
	TASK_CHECK(told.last.runtime, ==, hilo_runtime_current());
	TASK_CHECK_TEXT(told.message, hilo_strerror(-ENOSR));
	return 0;
}

static void test_a_plain_thread_tells_too(void **state)
{
	hilo_future *future = hilo_future_new();

	(void)state;
	assert_int_equal(hilo_future_set_error(future, -ENOSR), 0);
	hilo_future_unref(future);
	assert_int_equal(told.calls, 1);
	assert_null(told.last.runtime);
}

/* ---- it is a callback ---- */

static void handle_and_wait(const hilo_exception *exception, void *arg)
{
	(void)exception, (void)arg;
	told.sleeps = hilo_sleep(HILO_SECOND);
	told.yields = hilo_yield();
	/* Others may be asked for. */
	TASK_CHECK(hilo_join(NULL, HILO_FOREVER), ==, -ENOMEM);
	hilo_task_detach(hilo_spawn(test_entry_return, NULL));
	TASK_CHECK(hilo_fail(-EPERM, "of the handler"), ==, -EPERM);
}

TASK_TEST(test_the_handler_does_not_suspend)
{
	hilo_future *future = hilo_future_new();
	hilo_task *self = hilo_task_current();

	hilo_set_exception_handler(handle_and_wait, NULL);
	TASK_CHECK(hilo_fail(-ESTALE, "of the task"), ==, -ESTALE);
	TASK_CHECK(hilo_future_set_error(future, -ENOSR), ==, 0);
	hilo_future_unref(future);
	TASK_CHECK(told.sleeps, ==, -EDEADLK);
	TASK_CHECK(told.yields, ==, -EDEADLK);
	TASK_CHECK(hilo_task_current(), ==, self);
	TASK_CHECK_TEXT(hilo_error_message(), "of the task");
	TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, 0);
	hilo_set_exception_handler(handle, &told);
	return 0;
}

static void handle_and_replace(const hilo_exception *exception, void *arg)
{
	hilo_set_exception_handler(handle, &told);
	hilo_default_exception_handler(exception);
	(void)hilo_call_exception_handler(exception);
	(void)arg;
}

static void test_the_handler_may_replace_itself(void **state)
{
	hilo_exception own = {.size = sizeof(own), .code = -EIO, .message = "own"};

	(void)state;
	hilo_set_exception_handler(handle_and_replace, NULL);
	test_log_begin();
	assert_int_equal(hilo_call_exception_handler(&own), 0);
	assert_int_equal(told.calls, 1);
	assert_int_equal(test_log_count("unhandled failure: EIO: own (at ?)"), 1);
	test_log_end();
}

/* ---- the default ---- */

static int lose_both(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "the-lost-one"};
	hilo_future *future = hilo_future_new();

	(void)arg;
	TASK_CHECK(hilo_spawn_with(fail_main, NULL, &opts, NULL), ==, 0);
	TASK_CHECK(hilo_future_set_error(future, -ENOSR), ==, 0);
	hilo_future_unref(future);
	TEST_UNTIL(test_log_count("the-lost-one")); /* or it would be cancelled before it begins */
	return 0;
}

static void test_the_default_writes_a_line(void **state)
{
	(void)state;
	hilo_set_exception_handler(NULL, NULL);
	test_log_begin();
	assert_int_equal(test_run(2, lose_both, NULL), 0);
	assert_int_equal(
		test_log_count("task the-lost-one failed and nobody looked: EIO: no luck (spawned at "), 1);
	assert_int_equal(test_log_count("a future failed and nobody looked: ENOSR: "), 1);
	/* The site is a place in this program. */
	assert_int_equal(test_log_count("runtime_exception+0x") + test_log_count("lose_both+0x"), 2);
	test_log_end();
	assert_int_equal(told.calls, 0);
}

static void test_a_program_tells_by_itself(void **state)
{
	hilo_exception own = {.size = sizeof(own), .code = -EIO, .message = "own", .task_id = 7};

	(void)state;
	assert_int_equal(hilo_call_exception_handler(&own), 0);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.last.kind, HILO_EXCEPTION_OTHER);
	assert_int_equal(told.last.task_id, 7);
	assert_string_equal(told.message, "own");
	assert_int_equal(hilo_call_exception_handler(NULL), -EINVAL);
	own.size = 8;
	assert_int_equal(hilo_call_exception_handler(&own), -EINVAL);
	own.size = 12345;
	assert_int_equal(hilo_call_exception_handler(&own), -E2BIG);
	assert_int_equal(told.calls, 1);
	test_log_begin();
	hilo_default_exception_handler(NULL);
	own.size = sizeof(own);
	own.kind = HILO_EXCEPTION_CALL;
	own.message = NULL;
	hilo_default_exception_handler(&own);
	assert_int_equal(test_log_count("a call in an executor failed and nobody looked: EIO: "), 1);
	assert_int_equal(test_log_count(""), 1);
	test_log_end();
}

/* ---- replaced while others are told ---- */

struct target {
	test_flag alive;
	atomic(unsigned) dead_calls;
};

static void target_told(const hilo_exception *exception, void *arg)
{
	struct target *target = arg;

	(void)exception;
	if (!load_acquire(&target->alive))
		(void)add_relaxed(&target->dead_calls, 1);
}

static test_flag enough;

static void *tell_until_enough(void *arg)
{
	hilo_exception own = {.size = sizeof(own), .code = -EIO};

	while (!load_acquire(&enough))
		TASK_CHECK(hilo_call_exception_handler(&own), ==, 0);
	return arg;
}

static void test_the_old_argument_may_be_freed(void **state)
{
	static struct target targets[2];
	pthread_t threads[3];

	(void)state;
	store_release(&enough, 0);
	store_release(&targets[0].alive, 1);
	hilo_set_exception_handler(target_told, &targets[0]);
	for (size_t i = 0; i < array_size(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_until_enough, NULL), 0);
	for (unsigned round = 1; round <= test_rounds(300); round++) {
		store_release(&targets[round % 2].alive, 1);
		hilo_set_exception_handler(target_told, &targets[round % 2]);
		store_release(&targets[(round + 1) % 2].alive, 0);
	}
	store_release(&enough, 1);
	for (size_t i = 0; i < array_size(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(load_relaxed(&targets[0].dead_calls) + load_relaxed(&targets[1].dead_calls), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_lost_failure_of_a_task_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_was_looked_at_or_cancelled_is_not_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_lost_failure_of_a_future_is_told_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_plain_thread_tells_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_handler_does_not_suspend, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_handler_may_replace_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_default_writes_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_program_tells_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_old_argument_may_be_freed, setup, teardown),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
