/* SPDX-License-Identifier: MIT */
/*
 * What wakes, completes, cancels, releases or closes asks for no memory: it must work when there is none.
 * Three looks at that: each such call by itself, by the requests of its own thread; tasks that do all of
 * it to each other, in a simulation, where no other thread disturbs the count; and a runtime whose every
 * request is refused while it finishes what it has.
 */
#include "tests/support/simulate.h"

#include <errno.h>
#include <unistd.h>

#include "scheduler/base/mem.h"

/* Calls that do not suspend: the thread is the same before and after. */
#define ASKS_FOR_NOTHING(call)                                                                               \
	do {                                                                                                 \
		long test_before_ = hilo__mem_calls_here();                                                  \
                                                                                                             \
		call;                                                                                        \
		TASK_CHECK(hilo__mem_calls_here(), ==, test_before_);                                        \
	} while (0)

#define WAITERS 20 /* more than a completer copies at once */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void call_nothing(void *arg)
{
	(void)arg;
}

static void call_says(void *arg)
{
	store_release((test_flag *)arg, 1);
}

static void watch_nothing(int fd, unsigned events, void *arg)
{
	(void)fd, (void)events, (void)arg;
}

static int sleeps_until_cancelled(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER) == -ECANCELED ? 0 : -EPROTO;
}

static void *thread_waits(void *future)
{
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	return NULL;
}

static void futures_complete(void)
{
	hilo_future *future[4];
	hilo_task *task[WAITERS];
	hilo_done_node node;
	test_flag called;
	pthread_t thread;

	for (size_t i = 0; i < array_size(future); i++)
		TASK_CHECK((future[i] = hilo_future_new()), !=, NULL);
	for (int i = 0; i < WAITERS; i++)
		task[i] = hilo_spawn(test_entry_wait, future[0]);
	for (int i = 0; i < WAITERS; i++)
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED);
	TASK_CHECK(pthread_create(&thread, NULL, thread_waits, future[0]), ==, 0);
	atomic_setup(&called, 0);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_on_done(future[0], &node, call_says, &called), ==, 0));
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_set(future[0], NULL, NULL), ==, 0));
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_set(future[0], NULL, NULL), ==, HILO_EINVALSTATE));
	(void)hilo_fail(-EIO, "shared");
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_set_error(future[1], -EIO), ==, 0));
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_cancel(future[2]), ==, 0));
	TEST_UNTIL(load_acquire(&called)); /* the node is the loop's until then */
	test_join_thread(thread);
	for (int i = 0; i < WAITERS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < array_size(future); i++)
		ASKS_FOR_NOTHING(hilo_future_unref(future[i]));
}

static int removes_a_callback(void *arg)
{
	hilo_done_node node;

	TASK_CHECK(hilo_future_on_done(arg, &node, call_nothing, NULL), ==, 0);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_future_remove_on_done(arg, &node), ==, 0));
	ASKS_FOR_NOTHING(
		TASK_CHECK(hilo_task_on_done(hilo_task_current(), &node, call_nothing, NULL), ==, 0));
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_task_remove_on_done(hilo_task_current(), &node), ==, 0));
	return 0;
}

static int fails_unseen(void *arg)
{
	(void)arg;
	return -EIO;
}

static void tasks_end(void)
{
	hilo_task_opts named = {.size = sizeof(named), .name = "named"};
	hilo_future *pending = hilo_future_new();
	hilo_task *task = hilo_spawn(sleeps_until_cancelled, NULL), *fresh, *failed;

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_task_cancel(task), ==, 0));
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, 0);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_task_cancel(task), ==, -EALREADY));
	ASKS_FOR_NOTHING((void)hilo_task_ref(task));
	ASKS_FOR_NOTHING(hilo_task_unref(task));
	ASKS_FOR_NOTHING(hilo_task_unref(task));
	TASK_CHECK(hilo_spawn_with(nothing, NULL, &named, &fresh), ==, 0);
	ASKS_FOR_NOTHING(hilo_task_detach(fresh));
	/* One that failed, which nobody has looked at: that is told, with its name, where it is released. */
	failed = hilo_spawn(fails_unseen, NULL);
	TEST_UNTIL(hilo_task_is_done(failed));
	ASKS_FOR_NOTHING(hilo_task_unref(failed));
	TASK_CHECK(hilo_join(hilo_spawn(removes_a_callback, pending), HILO_FOREVER), ==, 0);
	hilo_future_unref(pending);
}

static void calls_end(void)
{
	hilo_handle *handle = NULL;
	hilo_fd_watcher *watch = NULL;
	int fds[2];

	TASK_CHECK(hilo_call_later(HILO_MINUTE, call_nothing, NULL, &handle), ==, 0);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_handle_cancel(handle), ==, 0));
	ASKS_FOR_NOTHING(hilo_handle_unref(handle));
	TASK_CHECK(pipe(fds), ==, 0);
	TASK_CHECK(hilo_fd_watch(fds[0], HILO_READABLE, watch_nothing, NULL, &watch), ==, 0);
	ASKS_FOR_NOTHING(hilo_fd_unwatch(watch));
	TASK_CHECK(hilo_add_writer(fds[1], call_nothing, NULL), ==, 0);
	ASKS_FOR_NOTHING(TASK_CHECK(hilo_remove_writer(fds[1]), ==, 1));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

TASK_TEST(test_calls_that_end_something)
{
	test_log_begin();
	for (int i = 0; i < 3; i++) {
		futures_complete();
		tasks_end();
		calls_end();
	}
	TASK_CHECK(test_log_count("a future failed and nobody looked"), ==, 3);
	TASK_CHECK(test_log_count("failed and nobody looked"), ==, 6);
	test_log_end();
	return 0;
}

static int waits_for_flag(void *arg)
{
	TEST_UNTIL(load_acquire((test_flag *)arg));
	return 0;
}

#define QUEUED 40

/* Cancelling calls that are queued, or run, and closing over others: their futures are told. */
static void test_calls_with_futures_end(void **state)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1};
	hilo_executor_stats stats = {.size = sizeof(stats)};
	hilo_future *running, *future[QUEUED];
	hilo_executor *executor;
	test_flag flag;

	(void)state;
	atomic_setup(&flag, 0);
	assert_int_equal(hilo_executor_new(&opts, &executor), 0);
	assert_int_equal(hilo_executor_submit(executor, waits_for_flag, &flag, &running, HILO_FOREVER), 0);
	do
		assert_int_equal(hilo_executor_get_stats(executor, &stats), 0);
	while (!stats.running);
	for (int i = 0; i < QUEUED; i++)
		assert_int_equal(hilo_executor_submit(executor, nothing, NULL, &future[i], HILO_FOREVER), 0);
	for (int i = 0; i < QUEUED; i += 2)
		ASKS_FOR_NOTHING(assert_int_equal(hilo_future_cancel(future[i]), 0));
	ASKS_FOR_NOTHING(assert_int_equal(
		hilo_executor_close(executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_NO_WAIT), -ETIMEDOUT));
	for (int i = 0; i < QUEUED; i++) {
		assert_int_equal(hilo_future_is_done(future[i]), 1);
		assert_int_equal(hilo_future_await(future[i], NULL, HILO_NO_WAIT),
				 i % 2 ? HILO_ECLOSED : -ECANCELED);
	}
	ASKS_FOR_NOTHING(assert_int_equal(hilo_future_cancel(running), 0));
	store_release(&flag, 1);
	ASKS_FOR_NOTHING(assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0));
	for (int i = 0; i < QUEUED; i++)
		ASKS_FOR_NOTHING(hilo_future_unref(future[i]));
	ASKS_FOR_NOTHING(hilo_future_unref(running));
}

/* Closing, from a plain thread, which stays the same while it waits. */
static int leaves_much_behind(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		hilo_task_detach(hilo_spawn(sleeps_until_cancelled, NULL));
		TASK_CHECK(hilo_call_later(HILO_MINUTE, call_nothing, NULL, NULL), ==, 0);
	}
	return hilo_run_in_executor(NULL, nothing, NULL, HILO_FOREVER);
}

static void test_closing(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = workers};
		hilo_executor *executor;
		hilo_runtime *runtime;
		hilo_task *task;

		assert_int_equal(hilo_executor_new(NULL, &executor), 0);
		assert_int_equal(hilo_run_in_executor(executor, nothing, NULL, HILO_FOREVER), 0);
		ASKS_FOR_NOTHING(assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0));
		assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
		assert_int_equal(hilo_submit(runtime, leaves_much_behind, NULL, NULL, &task), 0);
		assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
		ASKS_FOR_NOTHING(assert_int_equal(hilo_runtime_stop(runtime), 0));
		ASKS_FOR_NOTHING(assert_int_equal(hilo_runtime_run_forever(runtime), 0));
		ASKS_FOR_NOTHING(assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0));
		ASKS_FOR_NOTHING(assert_int_equal(hilo_runtime_free(runtime), 0));
	}
}

/* Tasks that wait for time and for each other, in each way, and end; no others are made. */
#define PAIRS 50

static struct pair {
	hilo_future *future[2];
	hilo_task *sleeper, *waiter, *setter;
} pairs[PAIRS];

static int waits_and_sets(void *arg)
{
	struct pair *pair = arg;

	for (int i = 0; i < 20; i++)
		TASK_CHECK(i & 1 ? hilo_yield() : hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_future_await(pair->future[0], NULL, hilo_after(HILO_MINUTE)), ==, 0);
	return hilo_future_set(pair->future[1], NULL, NULL);
}

static int sets_and_waits(void *arg)
{
	struct pair *pair = arg;

	TASK_CHECK(hilo_sleep(5 * HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_future_set(pair->future[0], NULL, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(pair->future[1], NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_cancel(pair->sleeper), ==, 0);
	return 0;
}

static int simulated_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < PAIRS; i++) {
		struct pair *pair = &pairs[i];

		for (int k = 0; k < 2; k++)
			TASK_CHECK((pair->future[k] = hilo_future_new()), !=, NULL);
		pair->sleeper = hilo_spawn(sleeps_until_cancelled, NULL);
		pair->waiter = hilo_spawn(waits_and_sets, pair);
		pair->setter = hilo_spawn(sets_and_waits, pair);
	}
	TASK_CHECK(hilo_yield(), ==, 0);
	hilo__mem_fail_at(1, true);
	for (int i = 0; i < PAIRS; i++) {
		TASK_CHECK(hilo_join(pairs[i].sleeper, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(pairs[i].waiter, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(pairs[i].setter, HILO_FOREVER), ==, 0);
		for (int k = 0; k < 2; k++)
			hilo_future_unref(pairs[i].future[k]);
	}
	TASK_CHECK(hilo__mem_calls(), ==, 0);
	hilo__mem_fail_at(0, false);
	return 0;
}

static void test_tasks_that_end_each_other(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(20); round++)
		assert_int_equal(test_simulate(test_seed() + round, simulated_main, NULL), 0);
}

/* A runtime that has all it needs, and gets nothing more, does its work to the end. */
struct starved {
	hilo_executor *executor;
	hilo_future *future, *called;
	hilo_task *task[WAITERS];
	int fds[2];
	hilo_done_node node;
};

static void set_called(void *arg)
{
	struct starved *starved = arg;

	TASK_CHECK(hilo_future_set(starved->called, NULL, NULL), ==, 0);
}

static int waits_for_all(void *arg)
{
	struct starved *starved = arg;

	TASK_CHECK(hilo_fd_wait(starved->fds[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	TASK_CHECK(hilo_future_await(starved->future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_run_in_executor(starved->executor, nothing, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	return 0;
}

TASK_TEST(test_a_runtime_without_memory_finishes)
{
	struct starved starved = {.future = hilo_future_new(), .called = hilo_future_new()};

	TASK_CHECK(pipe(starved.fds), ==, 0);
	TASK_CHECK(hilo_executor_new(NULL, &starved.executor), ==, 0);
	for (int i = 0; i < WAITERS; i++)
		starved.task[i] = hilo_spawn(waits_for_all, &starved);
	for (int i = 0; i < WAITERS; i++)
		TEST_UNTIL(hilo_task_get_state(starved.task[i]) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_future_on_done(starved.future, &starved.node, set_called, &starved), ==, 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(write(starved.fds[1], "x", 1), ==, 1);
	TASK_CHECK(hilo_future_set(starved.future, NULL, NULL), ==, 0);
	for (int i = 0; i < WAITERS; i++)
		TASK_CHECK(hilo_join(starved.task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_await(starved.called, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(starved.executor, 0, HILO_FOREVER), ==, 0);
	hilo__mem_fail_at(0, false);
	hilo_future_unref(starved.future);
	hilo_future_unref(starved.called);
	(void)close(starved.fds[0]);
	(void)close(starved.fds[1]);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_that_end_something),
		cmocka_unit_test(test_calls_with_futures_end),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_tasks_that_end_each_other),
		cmocka_unit_test(test_a_runtime_without_memory_finishes),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
