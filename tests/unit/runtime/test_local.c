/* SPDX-License-Identifier: MIT */
/* test_local.c - task-local values: who inherits them, who sees what is set, when they are dropped. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/test.h"

static atomic(unsigned) drops;

static void call_nothing(void *arg)
{
	(void)arg;
}

static void count_drop(void *value)
{
	(void)value;
	(void)add_relaxed(&drops, 1);
}

static void set_another(void *value);

static const hilo_local plain = HILO_LOCAL("plain", NULL, NULL);
static const hilo_local counted = HILO_LOCAL("counted", NULL, count_drop);
static const hilo_local with_default = HILO_LOCAL("with_default", (void *)7, NULL);

static const hilo_local setting = HILO_LOCAL("setting", NULL, set_another);

#define VALUE(n) ((void *)(intptr_t)(n))
#define SET(local, n) TASK_CHECK(hilo_local_set(local, VALUE(n), NULL), ==, 0)
#define CHECK(local, n) TASK_CHECK(hilo_local_get(local), ==, VALUE(n))

TASK_TEST(test_value_is_what_was_set)
{
	CHECK(&plain, 0);
	CHECK(&with_default, 7);
	SET(&plain, 1);
	SET(&with_default, 2);
	CHECK(&plain, 1);
	CHECK(&with_default, 2);
	SET(&plain, 3);
	CHECK(&plain, 3);
	TASK_CHECK(hilo_yield(), ==, 0);
	CHECK(&plain, 3);
	CHECK(&with_default, 2);
	TASK_CHECK(hilo_local_get(NULL), ==, NULL);
	return 0;
}

static int inherits(void *arg)
{
	CHECK(&plain, arg);
	SET(&plain, 100);
	TASK_CHECK(hilo_sleep(1000), ==, 0);
	CHECK(&plain, 100);
	return 0;
}

TASK_TEST(test_task_inherits_at_spawn_and_keeps_its_own)
{
	hilo_task *first, *second;

	SET(&plain, 1);
	first = hilo_spawn(inherits, VALUE(1));
	SET(&plain, 2);
	second = hilo_spawn(inherits, VALUE(2));
	SET(&plain, 3);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 0);
	CHECK(&plain, 3);
	return 0;
}

TASK_TEST(test_reset_goes_back)
{
	hilo_local_token first, second, other;

	TASK_CHECK(hilo_local_set(&with_default, VALUE(1), &first), ==, 0);
	TASK_CHECK(hilo_local_set(&plain, VALUE(10), &other), ==, 0);
	TASK_CHECK(hilo_local_set(&with_default, VALUE(2), &second), ==, 0);
	TASK_CHECK(hilo_local_reset(&second), ==, 0);
	CHECK(&with_default, 1);
	CHECK(&plain, 10);
	TASK_CHECK(hilo_local_reset(&second), ==, HILO_EINVALSTATE);
	/* Not in the reverse order: each goes back to what was there before it. */
	TASK_CHECK(hilo_local_reset(&first), ==, 0);
	CHECK(&with_default, 7);
	CHECK(&plain, 10);
	TASK_CHECK(hilo_local_reset(&other), ==, 0);
	CHECK(&plain, 0);
	TASK_CHECK(hilo_local_reset(NULL), ==, -EINVAL);
	return 0;
}

static int resets(void *token)
{
	return hilo_local_reset(token);
}

TASK_TEST(test_token_of_another_task_is_refused)
{
	hilo_local_token token;

	TASK_CHECK(hilo_local_set(&plain, VALUE(1), &token), ==, 0);
	TASK_CHECK(hilo_join(hilo_spawn(resets, &token), HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "plain");
	CHECK(&plain, 1);
	TASK_CHECK(hilo_local_reset(&token), ==, 0);
	return 0;
}

static int sets_counted(void *arg)
{
	(void)arg;
	SET(&counted, 2);
	return 0;
}

static int only_inherits(void *arg)
{
	CHECK(&counted, arg);
	return 0;
}

static int drops_body(void *arg)
{
	hilo_local_token token;

	(void)arg;
	SET(&counted, 1);
	TASK_CHECK(hilo_join(hilo_spawn(only_inherits, VALUE(1)), HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&drops), ==, 0); /* we have it still */
	TASK_CHECK(hilo_join(hilo_spawn(sets_counted, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&drops), ==, 1); /* its own, at its end */
	TASK_CHECK(hilo_local_set(&counted, VALUE(3), &token), ==, 0);
	TASK_CHECK(hilo_local_reset(&token), ==, 0);
	TASK_CHECK(load_relaxed(&drops), ==, 2);
	return 0;
}

static int drops_main(void *arg)
{
	int rc = hilo_join(hilo_spawn(drops_body, arg), HILO_FOREVER);

	TASK_CHECK(load_relaxed(&drops), ==, 3);
	return rc;
}

static void test_value_is_dropped_once_with_its_last_task(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 4; workers *= 2) {
		store_relaxed(&drops, 0);
		assert_int_equal(test_run(workers, drops_main, NULL), 0);
		assert_int_equal(load_relaxed(&drops), 3);
	}
}

static void set_another(void *value)
{
	if (hilo_local_set(&counted, value, NULL) < 0)
		abort();
}

static int sets_setting(void *arg)
{
	return hilo_local_set(&setting, arg, NULL);
}

TASK_TEST(test_value_that_is_set_by_a_drop_is_dropped)
{
	unsigned before = load_relaxed(&drops);

	TASK_CHECK(hilo_join(hilo_spawn(sets_setting, VALUE(1)), HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&drops) - before, ==, 1);
	return 0;
}

TASK_TEST(test_many_sets_keep_the_chain_short)
{
	hilo_local_token token;
	unsigned before;

	SET(&with_default, 5);
	before = load_relaxed(&drops);
	for (int i = 0; i < 1000; i++) {
		SET(&counted, i);
		CHECK(&counted, i);
		CHECK(&with_default, 5);
	}
	TASK_CHECK(load_relaxed(&drops) - before, >, 900); /* the others are in the chain yet */
	for (int i = 0; i < 1000; i++) {
		TASK_CHECK(hilo_local_set(&plain, VALUE(i), &token), ==, 0);
		SET(&with_default, i);
		TASK_CHECK(hilo_local_reset(&token), ==, 0);
		CHECK(&plain, 0);
		CHECK(&with_default, i);
	}
	return 0;
}

static int check_in_context(void *arg)
{
	CHECK(&plain, arg);
	SET(&plain, 9);
	TASK_CHECK(hilo_yield(), ==, 0);
	return hilo_join(hilo_spawn(inherits, VALUE(9)), HILO_FOREVER);
}

static int enters_again(void *context)
{
	return hilo_context_run(context, check_in_context, NULL);
}

static int takes_back(void *token)
{
	return hilo_local_reset(token);
}

static int sets_in_context(void *token)
{
	TASK_CHECK(hilo_local_set(&plain, VALUE(5), token), ==, 0);
	return 0;
}

TASK_TEST(test_token_belongs_to_its_context)
{
	hilo_local_token token;
	hilo_context *context;

	TASK_CHECK(hilo_local_set(&plain, VALUE(1), &token), ==, 0);
	context = hilo_context_copy();
	TASK_CHECK(hilo_context_run(context, takes_back, &token), ==, -EINVAL);
	CHECK(&plain, 1);
	TASK_CHECK(hilo_local_reset(&token), ==, 0);
	CHECK(&plain, 0);
	TASK_CHECK(hilo_context_run(context, sets_in_context, &token), ==, 0);
	TASK_CHECK(hilo_local_reset(&token), ==, -EINVAL);
	TASK_CHECK(hilo_context_run(context, takes_back, &token), ==, 0);
	hilo_context_free(context);
	return 0;
}

TASK_TEST(test_context_is_a_copy_to_run_in)
{
	hilo_context *context;

	SET(&plain, 4);
	context = hilo_context_copy();
	SET(&plain, 5);
	TASK_CHECK(hilo_context_run(context, check_in_context, VALUE(4)), ==, 0);
	CHECK(&plain, 5);
	TASK_CHECK(hilo_context_run(context, check_in_context, VALUE(9)), ==, 0);
	TASK_CHECK(hilo_context_run(context, enters_again, context), ==, -EBUSY);
	TASK_CHECK(hilo_context_run(NULL, check_in_context, NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_context_run(context, NULL, NULL), ==, -EINVAL);
	hilo_context_free(context);
	hilo_context_free(NULL);
	return 0;
}

static void *thread_main(void *runtime)
{
	hilo_task *task;

	CHECK(&plain, 0);
	SET(&plain, 11);
	SET(&counted, 11);
	TASK_CHECK(hilo_submit(runtime, inherits, VALUE(11), NULL, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	CHECK(&plain, 11);
	return NULL;
}

static void test_plain_thread_has_its_own(void **state)
{
	hilo_runtime *runtime;
	pthread_t thread;

	(void)state;
	assert_int_equal(hilo_runtime_new(NULL, &runtime), 0);
	store_relaxed(&drops, 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_main, runtime), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(load_relaxed(&drops), 1);
	assert_null(hilo_local_get(&plain));
}

static int many_main(void *arg)
{
	(void)arg;
	for (intptr_t i = 0; i < 20; i++) {
		SET(&counted, i);
		TASK_CHECK(hilo_join(hilo_spawn(only_inherits, VALUE(i)), HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* Chains are shared between workers, made anew and dropped at the same time. */
TASK_TEST(test_tasks_of_all_workers_share)
{
	hilo_task *tasks[32];

	for (unsigned round = 0; round < test_rounds(20); round++) {
		SET(&plain, round);
		for (int i = 0; i < 32; i++)
			tasks[i] = hilo_spawn(many_main, NULL);
		TASK_CHECK(hilo_gather(tasks, 32, NULL, HILO_FOREVER), ==, 0);
	}
	return 0;
}

struct seen {
	hilo_local_token token;
	hilo_done_node node;
	hilo_future *future;
	hilo_fd_watcher *watch;
	atomic(unsigned) calls;
	int fds[2];
};

static void callback_inherits(void *arg)
{
	struct seen *seen = arg;

	CHECK(&plain, 21);
	SET(&plain, 50); /* its own */
	SET(&counted, 50);
	(void)add_release(&seen->calls, 1);
}

static void watch_inherits(int fd, unsigned events, void *arg)
{
	struct seen *seen = arg;

	(void)fd, (void)events;
	hilo_fd_unwatch(seen->watch);
	callback_inherits(arg);
}

static int call_inherits(void *arg)
{
	callback_inherits(arg);
	return 0;
}

TASK_TEST(test_callbacks_and_calls_inherit_where_they_are_asked_for)
{
	struct seen seen = {.calls = 0};
	hilo_future *call;
	unsigned before = load_relaxed(&drops);

	seen.future = hilo_future_new();
	TASK_CHECK(pipe(seen.fds), ==, 0);
	SET(&plain, 21);
	TASK_CHECK(hilo_call_soon(callback_inherits, &seen, NULL), ==, 0);
	TASK_CHECK(hilo_call_later(HILO_MILLISECOND, callback_inherits, &seen, NULL), ==, 0);
	TASK_CHECK(hilo_future_on_done(seen.future, &seen.node, callback_inherits, &seen), ==, 0);
	TASK_CHECK(hilo_fd_watch(seen.fds[0], HILO_READABLE, watch_inherits, &seen, &seen.watch), ==, 0);
	TASK_CHECK(hilo_executor_submit(NULL, call_inherits, &seen, &call, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_to_thread(call_inherits, &seen, HILO_FOREVER), ==, 0);
	SET(&plain, 22);
	TASK_CHECK(hilo_future_set(seen.future, NULL, NULL), ==, 0);
	TASK_CHECK(write(seen.fds[1], "x", 1), ==, 1);
	TEST_UNTIL(load_acquire(&seen.calls) == 6);
	TASK_CHECK(hilo_future_await(call, NULL, HILO_FOREVER), ==, 0);
	CHECK(&plain, 22);
	/* What each has set is gone with it. */
	TEST_UNTIL(load_relaxed(&drops) - before == 6);
	hilo_future_unref(call);
	hilo_future_unref(seen.future);
	(void)close(seen.fds[0]);
	(void)close(seen.fds[1]);
	return 0;
}

/* What never runs gives back what it would have run with. */
TASK_TEST(test_callbacks_that_do_not_run_keep_nothing)
{
	hilo_future *future = hilo_future_new();
	unsigned before = load_relaxed(&drops);
	hilo_handle *handle;
	hilo_done_node node;

	SET(&counted, 1);
	TASK_CHECK(hilo_call_later(HILO_MINUTE, call_nothing, NULL, &handle), ==, 0);
	TASK_CHECK(hilo_future_on_done(future, &node, call_nothing, NULL), ==, 0);
	SET(&counted, 2);
	TASK_CHECK(load_relaxed(&drops) - before, ==, 0);
	TASK_CHECK(hilo_handle_cancel(handle), ==, 0);
	hilo_handle_unref(handle);
	while (hilo_future_remove_on_done(future, &node) == -EDEADLK)
		TASK_CHECK(hilo_yield(), ==, 0); /* until we are back on the loop that asked */
	hilo_future_unref(future);
	return 0;
}

static void callback_sets(void *arg)
{
	struct seen *seen = arg;
	hilo_local_token token;

	TASK_CHECK(hilo_local_set(&plain, VALUE(1), &token), ==, 0);
	seen->token = token; /* as the next one would find it; we have to use ours */
	TASK_CHECK(hilo_local_reset(&token), ==, 0);
	(void)add_release(&seen->calls, 1);
}

static void callback_resets(void *arg)
{
	struct seen *seen = arg;

	TASK_CHECK(hilo_local_set(&plain, VALUE(2), NULL), ==, 0);
	TASK_CHECK(hilo_local_reset(&seen->token), ==, -EINVAL);
	CHECK(&plain, 2);
	(void)add_release(&seen->calls, 1);
}

LOOP_TEST(test_token_of_another_callback_is_refused)
{
	struct seen seen = {.calls = 0};
	hilo_loop *loop = hilo_loop_current();

	TASK_CHECK(hilo_call_soon_threadsafe(loop, callback_sets, &seen, NULL), ==, 0);
	TASK_CHECK(hilo_call_soon_threadsafe(loop, callback_resets, &seen, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&seen.calls) == 2);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_is_what_was_set),
		cmocka_unit_test(test_task_inherits_at_spawn_and_keeps_its_own),
		cmocka_unit_test(test_reset_goes_back),
		cmocka_unit_test(test_token_of_another_task_is_refused),
		cmocka_unit_test(test_value_is_dropped_once_with_its_last_task),
		cmocka_unit_test(test_value_that_is_set_by_a_drop_is_dropped),
		cmocka_unit_test(test_many_sets_keep_the_chain_short),
		cmocka_unit_test(test_context_is_a_copy_to_run_in),
		cmocka_unit_test(test_token_belongs_to_its_context),
		cmocka_unit_test(test_plain_thread_has_its_own),
		cmocka_unit_test(test_tasks_of_all_workers_share),
		cmocka_unit_test(test_callbacks_and_calls_inherit_where_they_are_asked_for),
		cmocka_unit_test(test_callbacks_that_do_not_run_keep_nothing),
		cmocka_unit_test(test_token_of_another_callback_is_refused),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
