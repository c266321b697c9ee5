/* SPDX-License-Identifier: MIT */
/* How the message of a failure travels, and what becomes of one that nobody looks at. */
#include "tests/support/pool.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

static char sda[] = "sda", sdb[] = "sdb";

static int fail_with_text(void *arg)
{
	return hilo_fail(-EIO, "disk %s is gone", (const char *)arg);
}

TASK_TEST(test_a_message_travels_with_the_result)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "reader"};
	hilo_task *task;

	TASK_CHECK_TEXT(hilo_error_message(), "");
	TASK_CHECK(hilo_error_code(), ==, 0);
	TASK_CHECK(hilo_spawn_with(fail_with_text, sda, &opts, &task), ==, 0);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "disk sda is gone");
	TASK_CHECK_TEXT(hilo_error_task(), "reader");
	TASK_CHECK(hilo_error_code(), ==, -EIO);
	TASK_CHECK(hilo_error_cause(1, NULL, NULL), ==, NULL);

	(void)hilo_fail(-EINVAL, "own");
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "disk sda is gone");
	return 0;
}

static int fail_with_another_code(void *arg)
{
	(void)arg;
	(void)hilo_fail(-EIO, "not what it returns");
	return -ENOENT;
}

/* By way of a task of a task, a future, and a cause; what says nothing of the kind has none. */
static int sized_inner(void *arg)
{
	(void)arg;
	return hilo__error_sizes(hilo_fail(HILO_EINCOMPLETE, "3 bytes of 10"), 3, 10);
}

static int sized_outer(void *arg)
{
	return hilo_join(hilo_spawn(sized_inner, arg), HILO_FOREVER);
}

TASK_TEST(test_sizes_travel_with_the_message)
{
	hilo_future *future = hilo_future_new();
	uint64_t have = 77, want = 78;
	int rc;

	TASK_CHECK(hilo_error_sizes(&have, &want), ==, -ENODATA);
	TASK_CHECK(hilo_join(hilo_spawn(sized_outer, NULL), HILO_FOREVER), ==, HILO_EINCOMPLETE);
	TASK_CHECK_SIZES(3, 10);
	TASK_CHECK(hilo_error_sizes(NULL, NULL), ==, 0);
	TASK_CHECK(hilo_future_set_error(future, HILO_EINCOMPLETE), ==, 0);
	TASK_CHECK(hilo_fail(-EIO, "of no size"), ==, -EIO);
	TASK_CHECK(hilo_error_sizes(&have, &want), ==, -ENODATA);
	TASK_CHECK(have == 77 && want == 78, ==, 1);
	rc = hilo_future_result(future, NULL);
	TASK_CHECK(rc, ==, HILO_EINCOMPLETE);
	TASK_CHECK_SIZES(3, 10);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_the_message_of_another_code_stays_behind)
{
	TASK_CHECK(hilo_join(hilo_spawn(fail_with_another_code, NULL), HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-ENOENT));
	return 0;
}

static int chain_main(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	hilo_task *task;
	int rc;

	if (depth == 0)
		return hilo_fail(-EIO, "level 0");
	task = hilo_spawn(chain_main, (void *)(depth - 1));
	rc = hilo_join(task, HILO_FOREVER);
	TASK_CHECK(rc, ==, -EIO - (depth - 1));
	return hilo_fail(-EIO - (int)depth, "level %d", (int)depth);
}

TASK_TEST(test_causes_are_kept_nearest_first)
{
	hilo_task *task = hilo_spawn(chain_main, (void *)(intptr_t)3);
	const char *name = NULL;
	int code = 0;

	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EIO - 3);
	TASK_CHECK_TEXT(hilo_error_message(), "level 3");
	TASK_CHECK_TEXT(hilo_error_cause(1, &code, &name), "level 2");
	TASK_CHECK(code, ==, -EIO - 2);
	TASK_CHECK_CONTAINS(name, "task-");
	TASK_CHECK_TEXT(hilo_error_cause(2, &code, NULL), "level 1");
	TASK_CHECK_TEXT(hilo_error_cause(3, &code, NULL), "level 0");
	TASK_CHECK(code, ==, -EIO);
	TASK_CHECK(hilo_error_cause(4, &code, NULL), ==, NULL);
	TASK_CHECK(hilo_fail(-EPERM, "mine"), ==, -EPERM);
	TASK_CHECK_TEXT(hilo_error_cause(1, NULL, &name), "level 3");
	return 0;
}

/* A chain without end: the nearest 8 are kept. */
TASK_TEST(test_eight_causes_are_kept)
{
	for (int depth = 8; depth < 25; depth++) {
		unsigned causes = 0;
		char expected[32];

		TASK_CHECK(hilo_join(hilo_spawn(chain_main, (void *)(intptr_t)depth), HILO_FOREVER), ==,
			   -EIO - depth);
		while (hilo_error_cause(causes + 1, NULL, NULL)) {
			causes++;
			(void)snprintf(expected, sizeof(expected), "level %d", depth - (int)causes);
			TASK_CHECK_TEXT(hilo_error_cause(causes, NULL, NULL), expected);
		}
		TASK_CHECK(causes, ==, 8);
	}
	return 0;
}

/* The message of the last failure is an argument of the next one. */
static int wrap_own(void *arg)
{
	(void)arg;
	(void)hilo_fail(-EIO, "inner");
	return hilo_fail(-EIO, "outer: %s", hilo_error_message());
}

TASK_TEST(test_a_message_may_quote_the_last_one)
{
	TASK_CHECK(hilo_join(hilo_spawn(wrap_own, NULL), HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "outer: inner");
	for (int i = 0; i < 12; i++)
		(void)hilo_fail(-EIO, "%d %s", i, hilo_error_message());
	TASK_CHECK_TEXT(hilo_error_message(), "11 10 9 8 7 6 5 4 3 2 1 0 outer: inner");
	return 0;
}

TASK_TEST(test_long_messages_end_in_dots)
{
	char text[400];
	const char *message;

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)hilo_fail(-EIO, "%s", text);
	message = hilo_error_message();
	TASK_CHECK(strlen(message), ==, HILO_ERROR_MESSAGE_SIZE - 1);
	TASK_CHECK_TEXT(message + HILO_ERROR_MESSAGE_SIZE - 4, "...");
	return 0;
}

TASK_TEST(test_an_await_that_ends_early_has_no_task)
{
	hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL);
	hilo_task *failed = hilo_spawn(test_entry_return, (void *)(intptr_t)-ETIMEDOUT);

	TASK_CHECK(hilo_await(task, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(hilo_join(failed, HILO_FOREVER), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_task(), !=, NULL);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

static int lost_main(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "lost-one"};
	hilo_task *task;
	int result;

	(void)arg;
	TASK_CHECK(hilo_spawn_with(fail_with_text, sdb, &opts, NULL), ==, 0); /* reported */
	TEST_UNTIL(test_log_count("lost-one")); /* one that the end cancels before it starts does not fail */
	opts.name = "lost-two";
	TASK_CHECK(hilo_spawn_with(test_entry_return, (void *)(intptr_t)-ENOSPC, &opts, &task), ==, 0);
	TEST_UNTIL(hilo_task_is_done(task));
	TASK_CHECK(test_log_count("lost-two"), ==, 0); /* somebody can still look */
	hilo_task_unref(hilo_task_ref(task));
	TASK_CHECK(test_log_count("lost-two"), ==, 0);
	hilo_task_unref(task); /* reported */
	TASK_CHECK(test_log_count("lost-two"), ==, 1);

	opts.name = "seen";
	TASK_CHECK(hilo_spawn_with(test_entry_return, (void *)(intptr_t)-EIO, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EIO);
	TASK_CHECK(hilo_spawn_with(test_entry_return, (void *)(intptr_t)-EIO, &opts, &task), ==, 0);
	TEST_UNTIL(hilo_task_result(task, &result) == 0);
	hilo_task_unref(task);
	TASK_CHECK(hilo_spawn_with(test_entry_return, (void *)(intptr_t)-ECANCELED, &opts, NULL), ==, 0);
	TASK_CHECK(hilo_spawn_with(test_entry_return, (void *)(intptr_t)5, &opts, NULL), ==, 0);
	return 0;
}

static void test_lost_failures_are_reported_once(void **state)
{
	static const unsigned workers[] = {1, 2, 4};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++) {
		test_log_begin();
		assert_int_equal(test_run(workers[i], lost_main, NULL), 0);
		test_log_end();
		assert_int_equal(test_log_count("lost-one"), 1);
		assert_int_equal(test_log_count("disk sdb is gone"), 1);
		assert_int_equal(test_log_count("lost-two"), 1);
		assert_int_equal(test_log_count("ENOSPC"), 1);
		assert_int_equal(test_log_count("seen"), 0);
	}
}

static hilo_future *failed_future(int code)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(hilo_future_set_error(future, code), ==, 0);
	return future;
}

static int await_in_vain(void *future)
{
	return hilo_future_await(future, NULL, HILO_FOREVER);
}

struct callback {
	hilo_future *future; /* NULL: it does not look */
	test_flag called;
};

static void look_or_not(void *arg)
{
	struct callback *callback = arg;

	if (callback->future)
		TASK_CHECK(hilo_future_result(callback->future, NULL), ==, -EPROTO);
	store_release(&callback->called, 1); /* pairs with call_back */
}

/* Have a done callback run, which looks at @seen. */
static void call_back(hilo_future *future, hilo_future *seen)
{
	struct callback callback = {.future = seen};
	hilo_done_node node;

	atomic_setup(&callback.called, 0);
	TASK_CHECK(hilo_future_on_done(future, &node, look_or_not, &callback), ==, 0);
	TEST_UNTIL(load_acquire(&callback.called)); /* pairs with look_or_not */
}

static int lost_futures_main(void *arg)
{
	hilo_future *future = failed_future(-ENOLINK);
	hilo_task *waiter;
	void *value;

	(void)arg;
	/* Others may still look. */
	hilo_future_unref(hilo_future_ref(future));
	TASK_CHECK(hilo_future_is_done(future), ==, 1);
	TASK_CHECK(test_log_count("ENOLINK"), ==, 0);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("ENOLINK"), ==, 1);

	/* To have waited in vain is not to have looked. */
	future = hilo_future_new();
	waiter = hilo_spawn(await_in_vain, future);
	TEST_UNTIL(hilo_task_get_state(waiter) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(waiter), ==, 0);
	TASK_CHECK(hilo_join(waiter, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_future_set_error(future, -ESTALE), ==, 0);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("ESTALE"), ==, 1);

	/* Nor is to be called back. */
	future = failed_future(-ENOSR);
	call_back(future, NULL);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("ENOSR"), ==, 1);
	future = failed_future(-EPROTO);
	call_back(future, future);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("EPROTO"), ==, 0);

	future = failed_future(-EPROTO);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, -EPROTO);
	hilo_future_unref(future);
	future = failed_future(-EPROTO);
	TASK_CHECK(hilo_future_take(future, &value), ==, -EPROTO);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("EPROTO"), ==, 0);

	future = hilo_future_new();
	TASK_CHECK(hilo_future_cancel(future), ==, 0);
	hilo_future_unref(future);
	hilo_future_unref(hilo_future_new());
	TASK_CHECK(test_log_count("a future failed and nobody looked: "), ==, 3);
	return 0;
}

static void test_lost_failures_of_futures_are_reported_once(void **state)
{
	static const unsigned workers[] = {1, 2, 4};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++) {
		test_log_begin();
		assert_int_equal(test_run(workers[i], lost_futures_main, NULL), 0);
		test_log_end();
	}
}

/* A future carries what who fails it has said. */
static void expect(hilo_future *future, int code, const char *message)
{
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, code);
	TASK_CHECK(hilo_error_code(), ==, code);
	TASK_CHECK_TEXT(hilo_error_message(), message);
}

TASK_TEST(test_a_message_travels_with_a_future)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(hilo_future_set_error(future, hilo_fail(-EIO, "disk %s is gone", sda)), ==, 0);
	/* What is said since is another failure. */
	(void)hilo_fail(-EIO, "another one");
	for (int i = 0; i < 2; i++) {
		expect(future, -EIO, "disk sda is gone");
		TASK_CHECK(hilo_error_task(), ==, NULL);
	}
	/* It was received: the cause of what is made from it. */
	TASK_CHECK(hilo_fail(-EPROTO, "no disk, no mail"), ==, -EPROTO);
	TASK_CHECK_TEXT(hilo_error_cause(1, NULL, NULL), "disk sda is gone");
	hilo_future_unref(future);

	/* Of another code: nobody said that. */
	future = hilo_future_new();
	TASK_CHECK(hilo_future_set_error(future, -ENOENT), ==, 0);
	expect(future, -ENOENT, hilo_strerror(-ENOENT));
	TASK_CHECK(hilo_error_cause(1, NULL, NULL), ==, NULL);
	hilo_future_unref(future);
	return 0;
}

/* A failure that was received is passed on, with the task that has failed, and its causes. */
static int passes_on(void *future)
{
	int rc = hilo_join(hilo_spawn(chain_main, (void *)(intptr_t)2), HILO_FOREVER);

	return hilo_future_set_error(future, rc);
}

TASK_TEST(test_a_future_passes_a_failure_on)
{
	hilo_future *future = hilo_future_new();
	const char *name;
	int code;

	TASK_CHECK(hilo_join(hilo_spawn(passes_on, future), HILO_FOREVER), ==, 0);
	expect(future, -EIO - 2, "level 2");
	TASK_CHECK_CONTAINS(hilo_error_task(), "task-");
	TASK_CHECK_TEXT(hilo_error_cause(1, &code, &name), "level 1");
	TASK_CHECK(code, ==, -EIO - 1);
	TASK_CHECK_CONTAINS(name, "task-");
	TASK_CHECK_TEXT(hilo_error_cause(2, NULL, NULL), "level 0");
	hilo_future_unref(future);
	return 0;
}

static void fail_future(void *future)
{
	TASK_CHECK(hilo_future_set_error(future, hilo_fail(-EIO, "said elsewhere")), ==, 0);
}

static void *fail_future_in_a_thread(void *future)
{
	fail_future(future);
	return NULL;
}

static int fail_future_in_a_pool(void *future)
{
	fail_future(future);
	return 0;
}

/* From wherever it is failed, and to wherever it is awaited. */
static int fail_from_everywhere_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		hilo_future *future = hilo_future_new();
		pthread_t thread;

		if (i == 0)
			TASK_CHECK(hilo_call_soon(fail_future, future, NULL), ==, 0);
		else if (i == 1)
			TASK_CHECK(hilo_run_in_executor(NULL, fail_future_in_a_pool, future, HILO_FOREVER),
				   ==, 0);
		else
			TASK_CHECK(pthread_create(&thread, NULL, fail_future_in_a_thread, future), ==, 0);
		expect(future, -EIO, "said elsewhere");
		if (i == 2)
			test_join_thread(thread); /* what it has said outlives it */
		expect(future, -EIO, "said elsewhere");
		hilo_future_unref(future);
	}
	return 0;
}

static void test_a_message_travels_from_everywhere(void **state)
{
	hilo_future *future = hilo_future_new();
	long live;

	(void)state;
	fail_future(future);
	expect(future, -EIO, "said elsewhere");
	hilo_future_unref(future);
	assert_int_equal(test_run(2, fail_from_everywhere_main, NULL), 0);
	(void)hilo_fail(-EIO, "first");
	(void)hilo_fail(-EIO, "second");
	live = hilo__mem_live();
	for (int i = 0; i < 5; i++)
		assert_int_equal(test_run(2, fail_from_everywhere_main, NULL), 0);
	assert_int_equal(hilo__mem_live(), live);
}

/* Nobody receives it: the message is in the report. And the first who sets it has the word. */
TASK_TEST(test_the_message_of_a_lost_future)
{
	hilo_future *future = hilo_future_new();

	test_log_begin();
	TASK_CHECK(hilo_future_set_error(future, hilo_fail(-EIO, "nobody hears this")), ==, 0);
	TASK_CHECK(hilo_future_set_error(future, hilo_fail(-EIO, "too late")), ==, HILO_EINVALSTATE);
	hilo_future_unref(future);
	TASK_CHECK(test_log_count("a future failed and nobody looked: EIO: nobody hears this (set at"), ==,
		   1);
	test_log_end();
	return 0;
}

static void *thread_fails(void *arg)
{
	(void)arg;
	(void)hilo_fail(-EIO, "in a thread");
	TASK_CHECK_TEXT(hilo_error_message(), "in a thread");
	return NULL;
}

/* What a thread has said goes with the thread. */
static void test_a_thread_leaves_nothing(void **state)
{
	pthread_t thread;
	long live;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, thread_fails, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	live = hilo__mem_live();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pthread_create(&thread, NULL, thread_fails, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_int_equal(hilo__mem_live(), live);
}

static void callback_fails(void *arg)
{
	(void)hilo_fail(-EIO, "in a callback");
	store_release((test_flag *)arg, 1);
}

static int pool_fails(void *arg)
{
	(void)arg;
	return hilo_fail(-EIO, "in a pool's thread");
}

static int pool_says_nothing(void *arg)
{
	(void)arg;
	return -EIO;
}

static int pool_means_another(void *arg)
{
	(void)hilo_fail(-EPERM, "not this one");
	return pool_says_nothing(arg);
}

/* What a call in an executor says is its caller's, and only that call's: a pool's thread makes many. */
TASK_TEST(test_a_message_comes_back_from_an_executor)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1};
	hilo_executor *executor;

	TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
	TASK_CHECK(hilo_run_in_executor(executor, pool_fails, NULL, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "in a pool's thread");
	TASK_CHECK(hilo_error_code(), ==, -EIO);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(hilo_run_in_executor(executor, pool_says_nothing, NULL, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-EIO));
	TASK_CHECK(hilo_run_in_executor(executor, pool_means_another, NULL, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-EIO));
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	return 0;
}

static int pool_has_not_failed(void *arg)
{
	(void)arg;
	return hilo_fail(3, "not a failure");
}

static int no_failure_body(void *arg)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1};
	hilo_executor *executor;

	(void)arg;
	TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
	TASK_CHECK(hilo_run_in_executor(executor, pool_has_not_failed, NULL, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_executor_submit(executor, pool_has_not_failed, NULL, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	return 0;
}

/* A message that goes with no failure is kept by nobody. */
static void test_a_message_without_a_failure_is_dropped(void **state)
{
	long live;

	(void)state;
	assert_int_equal(test_run(1, no_failure_body, NULL), 0);
	live = hilo__mem_live();
	assert_int_equal(test_run(1, no_failure_body, NULL), 0);
	assert_int_equal(hilo__mem_live(), live);
}

static int fail_everywhere_main(void *arg)
{
	test_flag flag;

	(void)arg;
	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_call_soon(callback_fails, &flag, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&flag));
	TASK_CHECK(hilo_run_in_executor(NULL, pool_fails, NULL, HILO_FOREVER), ==, -EIO);
	(void)hilo_fail(-EIO, "in the first task");
	return 0;
}

static void test_a_runtime_leaves_nothing(void **state)
{
	long live;

	(void)state;
	assert_int_equal(test_run(2, fail_everywhere_main, NULL), 0);
	live = hilo__mem_live();
	for (int i = 0; i < 5; i++)
		assert_int_equal(test_run(2, fail_everywhere_main, NULL), 0);
	assert_int_equal(hilo__mem_live(), live);
}

static int wait_in_vain(void *future)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "slow-one"};
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(future)};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(test_entry_wait, future, &opts, &task), ==, 0);
	TASK_CHECK(hilo_await(task, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for task slow-one");
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a future");
	TASK_CHECK(hilo_wait(&task, 1, HILO_ALL_COMPLETED, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for several tasks");
	TASK_CHECK(hilo_select(cases, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for the first of several");
	TASK_CHECK(hilo_gather(&task, 1, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for several tasks");
	return 0;
}

TASK_TEST(test_a_timeout_tells_what_was_waited_for)
{
	hilo_future *future = hilo_future_new();

	(void)wait_in_vain(future);
	TASK_CHECK(hilo_wait_for(test_entry_wait, future, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for task task-");
	/* That of a task is its own. */
	TASK_CHECK(hilo_join(hilo_spawn(test_entry_return, (void *)(intptr_t)-ETIMEDOUT), HILO_FOREVER), ==,
		   -ETIMEDOUT);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-ETIMEDOUT));
	hilo_future_unref(future);
	return 0;
}

static void test_a_timeout_tells_a_thread_what_was_waited_for(void **state)
{
	hilo_future *future = hilo_future_new();

	(void)state;
	assert_int_equal(hilo_future_await(future, NULL, hilo_after(HILO_MILLISECOND)), -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a future");
	hilo_future_unref(future);
}

TASK_TEST(test_a_timeout_tells_which_call_was_waited_for)
{
	struct busy_pool pool;
	hilo_future *future, *none = NULL;
	int codes[2];

	busy_pool_begin(&pool, 1, HILO_OVERFLOW_SUSPEND);
	TASK_CHECK(hilo_run_in_executor(pool.executor, gate_pass, &pool.gate, hilo_after(HILO_MILLISECOND)),
		   ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a call in an executor");
	TASK_CHECK(hilo_executor_submit(pool.executor, gate_pass, &pool.gate, &future, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a call in an executor");
	/* The queue is full now. */
	TASK_CHECK(hilo_run_in_executor(pool.executor, gate_pass, &pool.gate, hilo_after(HILO_MILLISECOND)),
		   ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for room in an executor");
	TASK_CHECK(hilo_executor_submit(pool.executor, gate_pass, &pool.gate, &none, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for room in an executor");
	TASK_CHECK(hilo_executor_map(pool.executor, gate_pass, &pool.gate, 0, 2, codes, 0,
				     hilo_after(HILO_MILLISECOND)),
		   ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a call in an executor");
	busy_pool_end(&pool);
	hilo_future_unref(future);
	/* That of a call is its own. */
	TASK_CHECK(hilo_to_thread(test_entry_return, (void *)(intptr_t)-ETIMEDOUT, HILO_FOREVER), ==,
		   -ETIMEDOUT);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-ETIMEDOUT));
	return 0;
}

static int wait_for_a_pipe(void *arg)
{
	char text[64];
	int fds[2];

	(void)arg;
	TASK_CHECK(pipe(fds), ==, 0);
	(void)snprintf(text, sizeof(text), "%s: waiting for descriptor %d", hilo_strerror(-ETIMEDOUT),
		       fds[0]);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_TEXT(hilo_error_message(), text);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_TEXT(hilo_error_message(), text);
	(void)close(fds[0]);
	(void)close(fds[1]);
	TASK_CHECK(hilo_fd_wait(1 << 20, HILO_READABLE, HILO_NO_WAIT), ==, -EBADF);
	TASK_CHECK(hilo_error_code(), ==, -EBADF);
	return 0;
}

static void test_a_timeout_tells_which_descriptor_was_waited_for(void **state)
{
	(void)state;
	test_each(wait_for_a_pipe);
	assert_int_equal(wait_for_a_pipe(NULL), 0);
}

/* What the block waits for first when its time is over, whatever it waits for on its way out. */
static int limited(hilo_future *future, int fd)
{
	int rc;

	HILO_TIMEOUT (limit, hilo_after(HILO_MILLISECOND), &rc) {
		if (future)
			rc = hilo_future_await(future, NULL, HILO_FOREVER);
		else if (fd >= 0)
			rc = hilo_fd_wait(fd, HILO_READABLE, HILO_FOREVER);
		else
			while (rc == 0)
				rc = hilo_checkpoint();
		TASK_CHECK(rc, ==, -ECANCELED);
		TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, -ECANCELED);
		TASK_CHECK(hilo_shield_enter(), ==, 0);
		TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, 0);
		TASK_CHECK(hilo_shield_leave(), ==, 0);
	}
	return rc;
}

TASK_TEST(test_a_block_tells_what_it_has_waited_for)
{
	hilo_future *future = hilo_future_new();
	char text[64];
	int fds[2], rc;

	TASK_CHECK(pipe(fds), ==, 0);
	(void)snprintf(text, sizeof(text), ": waiting for descriptor %d", fds[0]);
	TASK_CHECK(limited(future, -1), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a future");
	TASK_CHECK(limited(NULL, fds[0]), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), text);
	/* One that has not waited. */
	TASK_CHECK(limited(NULL, -1), ==, -ETIMEDOUT);
	TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-ETIMEDOUT));
	/* The outer one's time is over, in a wait of the inner one. */
	HILO_TIMEOUT (outer, hilo_after(HILO_MILLISECOND), &rc)
		HILO_TIMEOUT (inner, HILO_FOREVER, &rc)
			rc = hilo_sleep_until(HILO_FOREVER);
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), ": waiting for a timer");
	(void)close(fds[0]);
	(void)close(fds[1]);
	hilo_future_unref(future);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_travels_with_the_result),
		cmocka_unit_test(test_sizes_travel_with_the_message),
		cmocka_unit_test(test_the_message_of_another_code_stays_behind),
		cmocka_unit_test(test_causes_are_kept_nearest_first),
		cmocka_unit_test(test_eight_causes_are_kept),
		cmocka_unit_test(test_a_message_may_quote_the_last_one),
		cmocka_unit_test(test_long_messages_end_in_dots),
		cmocka_unit_test(test_an_await_that_ends_early_has_no_task),
		cmocka_unit_test(test_lost_failures_are_reported_once),
		cmocka_unit_test(test_lost_failures_of_futures_are_reported_once),
		cmocka_unit_test(test_a_message_travels_with_a_future),
		cmocka_unit_test(test_a_future_passes_a_failure_on),
		cmocka_unit_test(test_a_message_travels_from_everywhere),
		cmocka_unit_test(test_the_message_of_a_lost_future),
		cmocka_unit_test(test_a_message_comes_back_from_an_executor),
		cmocka_unit_test(test_a_message_without_a_failure_is_dropped),
		cmocka_unit_test(test_a_timeout_tells_what_was_waited_for),
		cmocka_unit_test(test_a_timeout_tells_a_thread_what_was_waited_for),
		cmocka_unit_test(test_a_timeout_tells_which_call_was_waited_for),
		cmocka_unit_test(test_a_timeout_tells_which_descriptor_was_waited_for),
		cmocka_unit_test(test_a_block_tells_what_it_has_waited_for),
		cmocka_unit_test(test_a_thread_leaves_nothing),
		cmocka_unit_test(test_a_runtime_leaves_nothing),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
