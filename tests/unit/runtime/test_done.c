/* SPDX-License-Identifier: MIT */
/* Done callbacks of tasks: when, where and how often they come. Those of futures: test_future.c. */
#include "tests/support/test.h"

#include <errno.h>

#define CALLS 6

/* Callbacks, and what they have seen. */
struct called {
	struct place {
		hilo_done_node node;
		struct called *called;
	} place[CALLS];
	hilo_task *task;
	hilo_loop *loop;
	atomic(unsigned) count;
	struct place *order[CALLS];
	unsigned done;
};

static void called_init(struct called *called, hilo_task *task)
{
	*called = (struct called){.task = task, .loop = hilo_loop_current()};
	atomic_setup(&called->count, 0);
	for (int i = 0; i < CALLS; i++)
		called->place[i].called = called;
}

/* From whoever ends a runtime, too. */
static void on_done_anywhere(void *arg)
{
	struct place *place = arg;
	struct called *called = place->called;

	TASK_CHECK(hilo_task_current(), ==, NULL);
	called->order[load_relaxed(&called->count)] = place;
	called->done += hilo_task_is_done(called->task) != 0;
	(void)add_release(&called->count, 1);
}

static void on_done(void *arg)
{
	struct place *place = arg;

	TASK_CHECK(hilo_loop_current(), ==, place->called->loop);
	on_done_anywhere(arg);
}

static int call_back(struct called *called, int i, hilo_callback_fn fn)
{
	return hilo_task_on_done(called->task, &called->place[i].node, fn, &called->place[i]);
}

static int take_back(struct called *called, int i)
{
	return hilo_task_remove_on_done(called->task, &called->place[i].node);
}

static int on_done_pinned(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(test_entry_wait, future);
	struct called called;

	(void)arg;
	called_init(&called, task);
	for (int i = 0; i < 5; i++)
		TASK_CHECK(call_back(&called, i, on_done), ==, 0);
	TASK_CHECK(take_back(&called, 2), ==, 0);
	TASK_CHECK(take_back(&called, 2), ==, -EALREADY);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&called.count) == 4);
	TASK_CHECK(called.done, ==, 4);
	for (int i = 0; i < 4; i++)
		TASK_CHECK(called.order[i], ==, &called.place[i < 2 ? i : i + 1]);
	TASK_CHECK(take_back(&called, 4), ==, -EALREADY);

	/* Ended already: soon, but not inside of the call; and it can be taken back until then. */
	for (int i = 2; i < 4; i++)
		TASK_CHECK(call_back(&called, i, on_done), ==, 0);
	TASK_CHECK(load_acquire(&called.count), ==, 4);
	TASK_CHECK(take_back(&called, 2), ==, 0);
	TEST_UNTIL(load_acquire(&called.count) == 5);
	TASK_CHECK(called.order[4], ==, &called.place[3]);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void run_pinned(hilo_task_fn entry, void *arg, unsigned index)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	opts.loop = hilo_runtime_loop(runtime, index % hilo_runtime_workers(runtime));
	TASK_CHECK(hilo_spawn_with(entry, arg, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
}

/* The task ends wherever it likes; the callbacks come where they were asked for. */
LOOP_TEST(test_callbacks_come_in_order_on_the_loop_that_asked)
{
	for (unsigned i = 0; i < hilo_runtime_workers(hilo_runtime_current()); i++)
		run_pinned(on_done_pinned, NULL, i);
	return 0;
}

static int register_late(void *arg)
{
	struct called *called = arg;

	called->loop = hilo_loop_current();
	for (int i = 0; i < CALLS; i++)
		TASK_CHECK(call_back(called, i, on_done), ==, 0);
	return 0;
}

/* Registered on one loop; another one's task is what ends, and a plain thread causes that. */
static void *set_from_a_thread(void *future)
{
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	return NULL;
}

LOOP_TEST(test_a_plain_thread_ends_the_task)
{
	for (unsigned i = 0; i < 4; i++) {
		hilo_future *future = hilo_future_new();
		struct called called;
		pthread_t thread;

		called_init(&called, hilo_spawn(test_entry_wait, future));
		run_pinned(register_late, &called, i);
		TASK_CHECK(pthread_create(&thread, NULL, set_from_a_thread, future), ==, 0);
		TEST_UNTIL(load_acquire(&called.count) == CALLS);
		TASK_CHECK(called.done, ==, CALLS);
		test_join_thread(thread);
		TASK_CHECK(hilo_join(called.task, HILO_FOREVER), ==, 0);
		hilo_future_unref(future);
	}
	return 0;
}

static int remove_race(void *arg)
{
	unsigned rounds = test_rounds(300);

	(void)arg;
	for (unsigned round = 0; round < rounds; round++) {
		hilo_task *task = hilo_spawn(test_entry_return, NULL);
		struct called called;

		called_init(&called, task);
		TASK_CHECK(call_back(&called, 0, on_done), ==, 0);
		for (unsigned i = 0; i < round % 4; i++)
			(void)hilo_yield();
		if (take_back(&called, 0) == 0)
			TASK_CHECK(load_acquire(&called.count), ==, 0);
		else
			TASK_CHECK(load_acquire(&called.count), ==, 1);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

LOOP_TEST(test_a_callback_is_removed_or_runs)
{
	run_pinned(remove_race, NULL, 0);
	return 0;
}

/* The node is a handle: a task that everybody has let go of is still called back for, and then told of. */
static void count(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
}

TASK_TEST(test_a_callback_keeps_the_task_and_has_not_looked)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(test_entry_wait, future);
	atomic(unsigned) calls;
	hilo_done_node node;

	atomic_setup(&calls, 0);
	TASK_CHECK(hilo_task_on_done(task, &node, count, &calls), ==, 0);
	hilo_task_unref(task);
	test_log_begin();
	TASK_CHECK(hilo_future_set_error(future, -EIO), ==, 0);
	TEST_UNTIL(load_acquire(&calls));
	TASK_CHECK(test_log_count("failed and nobody looked: EIO"), ==, 1);
	test_log_end();
	hilo_future_unref(future);
	return 0;
}

/* A task that is cancelled before it begins has ended like any other. */
TASK_TEST(test_a_task_that_never_begins)
{
	hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL);
	atomic(unsigned) calls;
	hilo_done_node node;

	atomic_setup(&calls, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_task_on_done(task, &node, count, &calls), ==, 0);
	TEST_UNTIL(load_acquire(&calls));
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

/* The task of another runtime outlives the loop that asked: who ends that calls, once. */
static int register_anywhere(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		TASK_CHECK(call_back(arg, i, on_done_anywhere), ==, 0);
	return 0;
}

static void test_callbacks_run_when_their_loop_ends(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	struct called called;
	hilo_runtime *runtime;
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, test_entry_sleep_forever, NULL, NULL, &task), 0);
	for (unsigned workers = 1; workers <= 2; workers++) {
		called_init(&called, task);
		assert_int_equal(test_run(workers, register_anywhere, &called), 0);
		assert_int_equal(load_acquire(&called.count), CALLS);
		assert_int_equal(called.done, 0);
		assert_int_equal(take_back(&called, 0), -EALREADY);
	}
	assert_int_equal(hilo_task_cancel(task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), -ECANCELED);
	assert_int_equal(load_acquire(&called.count), CALLS);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/* Its own runtime ends: the task is cancelled, ends, and the callback sees that. */
static int leave_it_behind(void *arg)
{
	struct called *called = arg;

	called_init(called, hilo_spawn(test_entry_sleep_forever, NULL));
	return call_back(called, 0, on_done_anywhere);
}

static void test_callbacks_of_a_runtime_that_ends(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct called called;

		assert_int_equal(test_run(workers, leave_it_behind, &called), 0);
		assert_int_equal(load_acquire(&called.count), 1);
		assert_int_equal(called.done, 1);
		hilo_task_unref(called.task);
	}
}

static void test_what_is_refused(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_done_node node;
	hilo_runtime *runtime;
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, NULL, &task), 0);
	assert_int_equal(hilo_task_on_done(NULL, &node, on_done, NULL), -ENOMEM);
	assert_int_equal(hilo_task_on_done(task, &node, on_done, NULL), -EDEADLK);
	assert_int_equal(hilo_task_on_done(task, NULL, on_done, NULL), -EINVAL);
	assert_string_equal(hilo_error_message(), "hilo_task_on_done: node is NULL");
	assert_int_equal(hilo_task_on_done(task, &node, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_task_remove_on_done(NULL, &node), -EINVAL);
	assert_int_equal(hilo_task_remove_on_done(task, NULL), -EINVAL);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callbacks_come_in_order_on_the_loop_that_asked),
		cmocka_unit_test(test_a_plain_thread_ends_the_task),
		cmocka_unit_test(test_a_callback_is_removed_or_runs),
		cmocka_unit_test(test_a_callback_keeps_the_task_and_has_not_looked),
		cmocka_unit_test(test_a_task_that_never_begins),
		cmocka_unit_test(test_callbacks_run_when_their_loop_ends),
		cmocka_unit_test(test_callbacks_of_a_runtime_that_ends),
		cmocka_unit_test(test_what_is_refused),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
