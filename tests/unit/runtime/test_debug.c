/* SPDX-License-Identifier: MIT */
/* Debug mode: what is still open at the end of a runtime is told, and what holds its loop for long. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const hilo_opts debugging = {.size = sizeof(debugging), .workers = 2, .flags = HILO_DEBUG_MODE};

static void call_nothing(void *arg)
{
	(void)arg;
}

static void watch_nothing(int fd, unsigned events, void *arg)
{
	(void)fd, (void)events, (void)arg;
}

/* What was opened and not ended; ended by the test when the runtime is gone. */
struct opened {
	hilo_executor *executor[2];
	hilo_future *future[3];
	hilo_task *task[4];
	hilo_handle *handle[5];
	hilo_fd_watcher *watch[6];
	hilo_queue *queue[7];
	hilo_broadcast *broadcast[8];
	int fds[2];
};

/* The number of each kind is one more than that of the kind. */
enum opened_kind {
	EXECUTORS = 1,
	FUTURES,
	TASKS,
	HANDLES,
	WATCHES,
	QUEUES,
	CHANNELS
};

/* One of each kind is opened in one place, however often a compiler writes down a loop; and that is no tail call. */
static HILO__NOINLINE void open_one(struct opened *opened, enum opened_kind kind, size_t i)
{
	switch (kind) {
	case EXECUTORS:
		TASK_CHECK(hilo_executor_new(NULL, &opened->executor[i]), ==, 0);
		break;
	case FUTURES:
		opened->future[i] = hilo_future_new();
		break;
	case TASKS:
		opened->task[i] = hilo_spawn(test_entry_return, NULL);
		break;
	case HANDLES:
		TASK_CHECK(hilo_call_later(HILO_MINUTE, call_nothing, NULL, &opened->handle[i]), ==, 0);
		break;
	case WATCHES:
		TASK_CHECK(
			hilo_fd_watch(opened->fds[0], HILO_READABLE, watch_nothing, NULL, &opened->watch[i]),
			==, 0);
		break;
	case QUEUES:
		opened->queue[i] = hilo_queue_new(i + 1);
		break;
	case CHANNELS:
		opened->broadcast[i] = hilo_broadcast_new(1, NULL);
		break;
	}
}

static void open_all(struct opened *opened)
{
	TASK_CHECK(pipe(opened->fds), ==, 0);
	for (enum opened_kind kind = EXECUTORS; kind <= CHANNELS; kind++)
		for (size_t i = 0; i <= (size_t)kind; i++)
			open_one(opened, kind, i);
	for (size_t i = 0; i < array_size(opened->task); i++)
		TASK_CHECK(hilo_await(opened->task[i], HILO_FOREVER), ==, 0);
}

static void end_all(struct opened *opened)
{
	for (size_t i = 0; i < array_size(opened->broadcast); i++)
		hilo_broadcast_free(opened->broadcast[i]);
	for (size_t i = 0; i < array_size(opened->queue); i++)
		TASK_CHECK(hilo_queue_free(opened->queue[i]), ==, 0);
	for (size_t i = 0; i < array_size(opened->watch); i++)
		hilo_fd_unwatch(opened->watch[i]);
	for (size_t i = 0; i < array_size(opened->handle); i++)
		hilo_handle_unref(opened->handle[i]);
	for (size_t i = 0; i < array_size(opened->task); i++)
		hilo_task_unref(opened->task[i]);
	for (size_t i = 0; i < array_size(opened->future); i++)
		hilo_future_unref(opened->future[i]);
	for (size_t i = 0; i < array_size(opened->executor); i++)
		TASK_CHECK(hilo_executor_close(opened->executor[i], 0, HILO_FOREVER), ==, 0);
	(void)close(opened->fds[0]);
	(void)close(opened->fds[1]);
}

static int forgetful_main(void *arg)
{
	open_all(arg);
	return 0;
}

static void check_told(unsigned times)
{
	assert_int_equal(test_log_count("debug: still open: 2 executors that were not closed, made at "),
			 times);
	assert_int_equal(test_log_count("debug: still open: 3 futures that were not released, made at "),
			 times);
	assert_int_equal(test_log_count("debug: still open: 4 handles of ended tasks, neither joined nor "
					"detached, spawned at "),
			 times);
	assert_int_equal(test_log_count("debug: still open: 5 callbacks that have not run, or handles"),
			 times);
	assert_int_equal(test_log_count("debug: still open: 6 watches that were not ended, asked for at "),
			 times);
	assert_int_equal(test_log_count("debug: still open: 7 queues that were not freed, made at "), times);
	assert_int_equal(
		test_log_count("debug: still open: 8 broadcast channels that were not freed, made at "),
		times);
	assert_int_equal(test_log_count("debug: "), 7 * times);
}

static void test_what_is_open_is_told_with_its_site(void **state)
{
	struct opened opened;

	(void)state;
	for (int round = 0; round < 3; round++) {
		test_log_begin();
		assert_int_equal(hilo_run(forgetful_main, &opened, &debugging), 0);
		check_told(1);
		assert_int_equal(test_log_count("runtime_debug+0x") + test_log_count("open_all+0x"), 7);
		test_log_end();
		end_all(&opened);
	}
}

static int tidy_main(void *arg)
{
	struct opened opened;

	(void)arg;
	open_all(&opened);
	for (size_t i = 0; i < array_size(opened.handle); i++)
		TASK_CHECK(hilo_handle_cancel(opened.handle[i]), ==, 0);
	end_all(&opened);
	hilo_task_detach(hilo_spawn(test_entry_return, NULL));
	TASK_CHECK(hilo_join(hilo_spawn(test_entry_return, NULL), HILO_FOREVER), ==, 0);
	return 0;
}

static void test_what_was_ended_is_not_told(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(tidy_main, NULL, &debugging), 0);
	assert_int_equal(test_log_count("debug: "), 0);
	test_log_end();
}

static void test_only_in_debug_mode(void **state)
{
	struct opened opened;

	(void)state;
	test_log_begin();
	assert_int_equal(test_run(2, forgetful_main, &opened), 0);
	assert_int_equal(test_log_count(""), 0);
	test_log_end();
	end_all(&opened);
}

static int leave_main(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "left-over"};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(test_entry_wait, arg, &opts, &task), ==, 0);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	hilo_task_detach(task);
	return 0;
}

static void test_tasks_that_are_left_over_are_told(void **state)
{
	hilo_future *future = hilo_future_new();

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(leave_main, future, &debugging), 0);
	assert_int_equal(
		test_log_count("task left-over is left over, and is cancelled: suspended, has waited "), 1);
	assert_int_equal(test_log_count(" s for a future (0x"), 1);
	assert_int_equal(test_log_count(" (spawned at "), 1);
	test_log_end();
	hilo_future_unref(future);
}

/* ---- several runtimes ---- */

static void test_each_tells_of_its_own(void **state)
{
	struct opened first, second;
	hilo_runtime *runtime[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(hilo_runtime_new(i < 2 ? &debugging : NULL, &runtime[i]), 0);
	assert_int_equal(hilo_runtime_get_debug(runtime[0]), 1);
	assert_int_equal(hilo_runtime_get_debug(runtime[2]), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime[0], forgetful_main, &first), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime[1], forgetful_main, &second), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime[2], tidy_main, NULL), 0);
	test_log_begin();
	assert_int_equal(hilo_runtime_close(runtime[0], HILO_FOREVER), 0);
	check_told(1);
	end_all(&first); /* the other one still has all of its own */
	assert_int_equal(hilo_runtime_close(runtime[1], HILO_FOREVER), 0);
	check_told(2);
	assert_int_equal(hilo_runtime_close(runtime[2], HILO_FOREVER), 0);
	check_told(2);
	test_log_end();
	end_all(&second);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hilo_runtime_free(runtime[i]), 0);
}

/* ---- switching it on ---- */

static int debug_main(void *arg)
{
	char text[1024];

	(void)arg;
	TASK_CHECK(hilo_runtime_config(hilo_runtime_current(), text, sizeof(text)), >, 0);
	TASK_CHECK_CONTAINS(text, hilo_runtime_get_debug(hilo_runtime_current()) ? "debug=1\n" : "debug=0\n");
	TASK_CHECK_CONTAINS(text, "keep_sigint=0\n");
	return hilo_runtime_get_debug(hilo_runtime_current());
}

static void test_the_environment_is_stronger_than_the_option(void **state)
{
	(void)state;
	assert_int_equal(hilo_run(debug_main, NULL, NULL), 0);
	assert_int_equal(hilo_run(debug_main, NULL, &debugging), 1);
	(void)setenv("HILO_DEBUG", "1", 1);
	assert_int_equal(hilo_run(debug_main, NULL, NULL), 1);
	(void)setenv("HILO_DEBUG", "0", 1);
	assert_int_equal(hilo_run(debug_main, NULL, &debugging), 0);
	(void)setenv("HILO_DEBUG", "yes", 1);
	assert_int_equal(hilo_run(debug_main, NULL, NULL), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "HILO_DEBUG=yes"));
	(void)unsetenv("HILO_DEBUG");
}

/* ---- what holds its loop ---- */

/* Until somebody has told of it. */
static void hold(const char *part)
{
	while (!test_log_count(part))
		cpu_relax();
}

static int hold_main(void *arg)
{
	(void)arg;
	hold("has held loop ");
	return 0;
}

static void hold_callback(void *arg)
{
	hold("slow: a callback has held loop ");
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

static int callback_main(void *arg)
{
	hilo_future *future = hilo_future_new();

	(void)arg;
	TASK_CHECK(hilo_call_soon(hold_callback, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void test_what_holds_its_loop_is_told_while_it_does(void **state)
{
	hilo_opts opts = debugging;

	(void)state;
	for (opts.workers = 1; opts.workers <= 2; opts.workers++) {
		test_log_begin();
		assert_int_equal(hilo_run(hold_main, NULL, &opts), 0);
		assert_true(test_log_count("slow: task task-") >= 1);
		test_log_end();
		test_log_begin();
		assert_int_equal(hilo_run(callback_main, NULL, &opts), 0);
		test_log_end();
	}
}

static void *as_text(const char *text)
{
	return (void *)(uintptr_t)text;
}

static int hold_main_by_config(void *text)
{
	char config[1024];

	TASK_CHECK(hilo_runtime_config(hilo_runtime_current(), config, sizeof(config)), >, 0);
	TASK_CHECK_CONTAINS(config, text);
	hold("slow: task task-");
	return 0;
}

static void test_how_long_is_slow_can_be_set(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .slow = 7500 * HILO_MICROSECOND};

	(void)state;
	for (opts.workers = 1; opts.workers <= 2; opts.workers++) {
		test_log_begin();
		assert_int_equal(hilo_run(hold_main_by_config, as_text("slow_ms=7.5\n"), &opts), 0);
		assert_true(test_log_count("(runs ") >= 1);
		assert_int_equal(test_log_count("debug: "), 0);
		test_log_end();
	}
	opts.slow = -1;
	assert_int_equal(hilo_run(hold_main, NULL, &opts), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "hilo_opts.slow is -1: negative"));
	(void)setenv("HILO_SLOW_MS", "12", 1);
	test_log_begin();
	assert_int_equal(hilo_run(hold_main_by_config, as_text("slow_ms=12\n"), NULL), 0);
	test_log_end();
	(void)setenv("HILO_SLOW_MS", "soon", 1);
	assert_int_equal(hilo_run(hold_main, NULL, NULL), -EINVAL);
	(void)unsetenv("HILO_SLOW_MS");
}

static int burn_main(void *text)
{
	hilo_time until = hilo_after(150 * HILO_MILLISECOND);
	char config[1024];

	TASK_CHECK(hilo_runtime_config(hilo_runtime_current(), config, sizeof(config)), >, 0);
	TASK_CHECK_CONTAINS(config, text);
	while (hilo_now() < until)
		cpu_relax();
	return 0;
}

static void test_what_is_slow_is_not_told_if_nobody_wants_to_know(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .slow = HILO_FOREVER, .flags = HILO_DEBUG_MODE};

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(burn_main, as_text("slow_ms=none\n"), NULL), 0);
	assert_int_equal(hilo_run(burn_main, as_text("slow_ms=none\n"), &opts), 0);
	(void)setenv("HILO_SLOW_MS", "0", 1);
	assert_int_equal(hilo_run(burn_main, as_text("slow_ms=none\n"), &debugging), 0);
	(void)unsetenv("HILO_SLOW_MS");
	assert_int_equal(test_log_count("slow: "), 0);
	test_log_end();
}

/* ---- more places than the table has room for ---- */

#define PLACE(n) made[n] = hilo_future_new();
#define PLACES_4(n) PLACE(n) PLACE(n + 1) PLACE(n + 2) PLACE(n + 3)
#define PLACES_16(n) PLACES_4(n) PLACES_4(n + 4) PLACES_4(n + 8) PLACES_4(n + 12)
#define PLACES_64(n) PLACES_16(n) PLACES_16(n + 16) PLACES_16(n + 32) PLACES_16(n + 48)

static hilo_future *made[320];

static int many_places_main(void *arg)
{
	(void)arg;
	PLACES_64(0)
	PLACES_64(64)
	PLACES_64(128)
	PLACES_64(192)
	PLACES_64(256)
	return 0;
}

static void test_what_has_no_room_is_counted(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(many_places_main, NULL, &debugging), 0);
	assert_int_equal(test_log_count("debug: 64 more were opened in too many places to be counted"), 1);
	test_log_end();
	for (size_t i = 0; i < array_size(made); i++)
		hilo_future_unref(made[i]);
	/* And there is room again. */
	test_log_begin();
	assert_int_equal(hilo_run(tidy_main, NULL, &debugging), 0);
	assert_int_equal(test_log_count("debug: "), 0);
	test_log_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_open_is_told_with_its_site),
		cmocka_unit_test(test_what_was_ended_is_not_told),
		cmocka_unit_test(test_only_in_debug_mode),
		cmocka_unit_test(test_tasks_that_are_left_over_are_told),
		cmocka_unit_test(test_each_tells_of_its_own),
		cmocka_unit_test(test_the_environment_is_stronger_than_the_option),
		cmocka_unit_test(test_what_holds_its_loop_is_told_while_it_does),
		cmocka_unit_test(test_how_long_is_slow_can_be_set),
		cmocka_unit_test(test_what_is_slow_is_not_told_if_nobody_wants_to_know),
		cmocka_unit_test(test_what_has_no_room_is_counted),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
