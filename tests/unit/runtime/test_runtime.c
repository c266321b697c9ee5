/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"

static void opts_refused(const hilo_opts *opts, const char *part)
{
	hilo_runtime *runtime = NULL;

	assert_int_equal(hilo_run(test_entry_return, NULL, opts), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), part));
	assert_int_equal(hilo_runtime_new(opts, &runtime), -EINVAL);
	assert_null(runtime);
}

static void test_options_are_checked(void **state)
{
	(void)state;
	opts_refused(&(hilo_opts){0}, "size");
	opts_refused(&(hilo_opts){.size = sizeof(hilo_opts), .workers = 100001}, "100001");
	opts_refused(&(hilo_opts){.size = sizeof(hilo_opts), .stack = 6}, "6");
	opts_refused(&(hilo_opts){.size = sizeof(hilo_opts), .flags = 1u << 20}, "0x100000");
	opts_refused(&(hilo_opts){.size = sizeof(hilo_opts), .shutdown = -77}, "-77");
	opts_refused(&(hilo_opts){.size = sizeof(hilo_opts), .spin_us = 1001}, "1001");
	assert_int_equal(hilo_run(NULL, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_run(test_entry_return, NULL, &(hilo_opts){.size = 12345}), -E2BIG);
	assert_non_null(strstr(hilo_error_message(), "12345"));
}

static void env_refused(const char *name, const char *value)
{
	(void)setenv(name, value, 1);
	assert_int_equal(hilo_run(test_entry_return, NULL, NULL), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), name));
	assert_non_null(strstr(hilo_error_message(), value));
	(void)unsetenv(name);
}

static void test_environment_is_checked(void **state)
{
	(void)state;
	env_refused("HILO_WORKERS", "0");
	env_refused("HILO_WORKERS", "-2");
	env_refused("HILO_WORKERS", "3x");
	env_refused("HILO_WORKERS", "99999999999999999999");
	env_refused("HILO_SPIN_US", "51");
	env_refused("HILO_STACK", "65K");
	env_refused("HILO_CONFIG", "2");
}

struct config {
	char text[1024];
};

static int config_main(void *arg)
{
	struct config *config = arg;
	hilo_runtime *runtime = hilo_runtime_current();
	int length = hilo_runtime_config(runtime, config->text, sizeof(config->text));
	char cut[16];

	TASK_CHECK(length, ==, strlen(config->text));
	TASK_CHECK(hilo_runtime_config(runtime, NULL, 0), ==, length);
	memset(cut, 'x', sizeof(cut));
	TASK_CHECK(hilo_runtime_config(runtime, cut, sizeof(cut)), ==, length);
	TASK_CHECK(strlen(cut), ==, sizeof(cut) - 1);
	TASK_CHECK(hilo_runtime_config(NULL, cut, sizeof(cut)), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_config(runtime, NULL, 5), ==, -EINVAL);
	return (int)hilo_runtime_workers(runtime);
}

static void test_environment_overrides_options(void **state)
{
	hilo_opts opts = {
		.size = sizeof(opts), .workers = 2, .stack = HILO_STACK_16K, .shutdown = HILO_SECOND};
	struct config config;

	(void)state;
	assert_int_equal(hilo_run(config_main, &config, &opts), 2);
	assert_non_null(strstr(config.text, "workers=2\n"));
	assert_non_null(strstr(config.text, "stack=16K\n"));
	assert_non_null(strstr(config.text, "shutdown_ms=1000\n"));
	(void)setenv("HILO_WORKERS", "3", 1);
	(void)setenv("HILO_STACK", "256K", 1);
	(void)setenv("HILO_SPIN_US", "0", 1);
	assert_int_equal(hilo_run(config_main, &config, &opts), 3);
	assert_non_null(strstr(config.text, "workers=3\n"));
	assert_non_null(strstr(config.text, "stack=256K\n"));
	assert_non_null(strstr(config.text, "spin_us=0\n"));
	(void)unsetenv("HILO_WORKERS");
	(void)unsetenv("HILO_STACK");
	(void)unsetenv("HILO_SPIN_US");
}

static int answer_main(void *arg)
{
	hilo_task *task = hilo_spawn(test_entry_return, arg);

	TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, 0);
	TASK_CHECK(hilo_run_in_executor(NULL, test_entry_return, NULL, HILO_FOREVER), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

static void test_run_returns_what_main_returned(void **state)
{
	(void)state;
	assert_int_equal(hilo_run(answer_main, (void *)(intptr_t)42, NULL), 42);
	assert_int_equal(hilo_run(answer_main, (void *)(intptr_t)-EPIPE, NULL), -EPIPE);
	assert_string_equal(hilo_error_message(), hilo_strerror(-EPIPE));
	assert_null(hilo_runtime_current());
}

static int nested_main(void *arg)
{
	hilo_opts opts = {.size = sizeof(opts)};
	int depth = (int)(intptr_t)arg;

	TASK_CHECK(hilo_run(test_entry_return, NULL, &opts), ==, -EBUSY);
	return depth ? hilo_run(nested_main, (void *)(intptr_t)(depth - 1), NULL) + 1 : 0;
}

TASK_TEST(test_run_inside_a_task_is_a_child)
{
	TASK_CHECK(hilo_run(nested_main, (void *)(intptr_t)5, NULL), ==, 5);
	return 0;
}

/* The child of a cancelled hilo_run is cancelled, and ends first. */
struct nested {
	test_flag started, ended;
};

static int slow_end(void *arg)
{
	struct nested *nested = arg;

	store_release(&nested->started, 1);
	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	store_release(&nested->ended, 1);
	return 0;
}

static int run_child(void *arg)
{
	struct nested *nested = arg;

	TASK_CHECK(hilo_run(slow_end, nested, NULL), ==, -ECANCELED);
	TASK_CHECK(load_acquire(&nested->ended), ==, 1);
	return 3;
}

TASK_TEST(test_the_child_ends_before_run_does)
{
	struct nested nested;
	hilo_task *task;

	atomic_setup(&nested.started, 0);
	atomic_setup(&nested.ended, 0);
	task = hilo_spawn(run_child, &nested);
	TEST_UNTIL(load_acquire(&nested.started) && hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 3);
	return 0;
}

static void test_runtimes_side_by_side(void **state)
{
	hilo_runtime *runtime[4];
	hilo_task *task[4][8];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = 1 + i % 3};

		assert_int_equal(hilo_runtime_new(&opts, &runtime[i]), 0);
	}
	for (unsigned n = 0; n < 8; n++)
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(hilo_submit(runtime[i], answer_main, (void *)(intptr_t)(i * 10 + n),
						     NULL, &task[i][n]),
					 0);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 0; n < 8; n++)
			assert_int_equal(hilo_join(task[i][n], HILO_FOREVER), i * 10 + n);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(hilo_runtime_free(runtime[i]), 0);
	assert_int_equal(hilo_runtime_free(NULL), 0);
}

/* A future between two runtimes, and a task awaited from the other one. */
struct bridge {
	hilo_future *there, *back;
	hilo_task *task;
};

static int bridge_answer(void *arg)
{
	struct bridge *bridge = arg;

	TASK_CHECK(hilo_future_await(bridge->there, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_set(bridge->back, NULL, NULL), ==, 0);
	return 9;
}

static int bridge_ask(void *arg)
{
	struct bridge *bridge = arg;

	TASK_CHECK(hilo_future_set(bridge->there, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(bridge->back, NULL, HILO_FOREVER), ==, 0);
	return hilo_join(bridge->task, HILO_FOREVER);
}

static void test_tasks_of_two_runtimes_meet(void **state)
{
	hilo_runtime *runtime;

	(void)state;
	assert_int_equal(hilo_runtime_new(&(hilo_opts){.size = sizeof(hilo_opts), .workers = 2}, &runtime),
			 0);
	for (int i = 0; i < 100; i++) {
		struct bridge bridge = {hilo_future_new(), hilo_future_new(), NULL};

		assert_int_equal(hilo_submit(runtime, bridge_answer, &bridge, NULL, &bridge.task), 0);
		assert_int_equal(test_run(1 + i % 2, bridge_ask, &bridge), 9);
		hilo_future_unref(bridge.there);
		hilo_future_unref(bridge.back);
	}
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static void test_one_after_the_other_leaks_nothing(void **state)
{
	unsigned threads, fds, rounds = test_rounds(200);
	size_t mapped;
	long live;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(test_run(1 + i % 4, answer_main, NULL), 0);
	fds = test_fds();
	live = hilo__mem_live();
	mapped = hilo__mem_mapped();
	threads = test_threads();
	for (unsigned i = 0; i < rounds; i++)
		assert_int_equal(test_run(1 + i % 4, answer_main, NULL), 0);
	assert_int_equal(test_fds(), fds);
	assert_int_equal(hilo__mem_live(), live);
	assert_in_range(hilo__mem_mapped(), 0, mapped + (4 << 20));
	test_threads_settle(threads);
}

static atomic(unsigned) ended, destroyed;

static int leftover_main(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
	(void)add_release(&ended, 1);
	return -ECANCELED;
}

static void destroy_count(void *arg)
{
	(void)arg;
	(void)add_release(&destroyed, 1);
}

static int leave_tasks(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = destroy_count};

	(void)arg;
	for (int i = 0; i < 100; i++) {
		hilo_task *task;

		TASK_CHECK(hilo_spawn_with(leftover_main, NULL, &opts, &task), ==, 0);
		opts.flags ^= HILO_TASK_PINNED;
		if (i < 50)
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		hilo_task_detach(task);
	}
	return 1;
}

static void test_shutdown_cancels_what_is_left(void **state)
{
	static const unsigned workers[] = {1, 2, 4};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++) {
		store_release(&ended, 0);
		store_release(&destroyed, 0);
		assert_int_equal(test_run(workers[i], leave_tasks, NULL), 1);
		/* Each is destroyed, once; those that had started have seen the cancel. */
		assert_int_equal(load_acquire(&destroyed), 100);
		assert_in_range(load_acquire(&ended), 50, 100);
	}
}

/* Takes no notice of a cancel until it is let go. */
static int stubborn_main(void *arg)
{
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	while (!load_acquire((test_flag *)arg))
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, NULL, NULL), ==, HILO_ECLOSED);
	return hilo_shield_leave();
}

static int sleeps_for_ever(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER);
}

/* What hilo_run submits, in a runtime that this thread does not close yet: the phase it has come to by itself. */
static uint32_t phase_after_the_last_task(bool another_is_left)
{
	struct task_spec ends = {.entry = test_entry_return, .flags = TASK_ENDS};
	hilo_runtime *runtime;
	hilo_task *task;
	uint32_t phase;

	assert_int_equal(hilo_runtime_new(&(hilo_opts){.size = sizeof(hilo_opts), .workers = 2}, &runtime),
			 0);
	if (another_is_left)
		assert_int_equal(hilo_submit(runtime, sleeps_for_ever, NULL, NULL, NULL), 0);
	assert_int_equal(hilo__submit(runtime, &ends, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	TEST_UNTIL(load_acquire(&runtime->quiet) > 0);
	phase = load_acquire(&runtime->phase);
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, NULL, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	return phase;
}

static void test_workers_leave_when_main_was_the_last_task(void **state)
{
	(void)state;
	for (unsigned i = 0; i < test_rounds(20); i++) {
		assert_int_equal(phase_after_the_last_task(false), PHASE_STOPPED);
		assert_int_equal(phase_after_the_last_task(true), PHASE_CLOSING);
	}
}

static void test_shutdown_has_a_deadline(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .shutdown = 5 * HILO_MILLISECOND};
	hilo_task_opts named = {.size = sizeof(named), .name = "the-stubborn-one"};
	hilo_runtime *runtime;
	hilo_task *task;
	test_flag flag;
	hilo_time before;

	(void)state;
	atomic_setup(&flag, 0);
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, stubborn_main, &flag, &named, &task), 0);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	test_log_begin();
	before = hilo_now();
	assert_int_equal(hilo_runtime_free(runtime), -ETIMEDOUT);
	assert_true(hilo_now() - before >= opts.shutdown);
	assert_int_equal(test_log_count("the-stubborn-one did not end"), 1);
	test_log_end();
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, NULL, NULL), HILO_ECLOSED);
	store_release(&flag, 1);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static int free_inside(void *arg)
{
	(void)arg;
	return hilo_runtime_free(hilo_runtime_current());
}

static void test_free_from_inside_is_refused(void **state)
{
	(void)state;
	assert_int_equal(test_run(2, free_inside, NULL), -EDEADLK);
}

static uint64_t stats_sum(hilo_runtime *runtime, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0;; i++) {
		hilo_worker_stats stats = {.size = sizeof(stats)};

		if (hilo_runtime_get_stats(runtime, i, &stats) < 0)
			break;
		sum += *(uint64_t *)(void *)((char *)&stats + offset);
	}
	return sum;
}

TASK_TEST(test_stats_count)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_worker_stats wrong = {.size = 8}, stats = {.size = sizeof(stats)};
	uint64_t spawned = stats_sum(runtime, offsetof(hilo_worker_stats, spawned));
	uint64_t completed = stats_sum(runtime, offsetof(hilo_worker_stats, completed));

	for (int i = 0; i < 100; i++)
		TASK_CHECK(hilo_join(hilo_spawn(test_entry_return, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(stats_sum(runtime, offsetof(hilo_worker_stats, spawned)), ==, spawned + 100);
	/* The count follows the wake-up. */
	TEST_UNTIL(stats_sum(runtime, offsetof(hilo_worker_stats, completed)) == completed + 100);
	TASK_CHECK(stats_sum(runtime, offsetof(hilo_worker_stats, switches)), >=, 100);
	TASK_CHECK(hilo_runtime_get_stats(runtime, 0, &wrong), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_get_stats(runtime, 1000, &stats), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_get_stats(NULL, 0, &stats), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_get_stats(runtime, 0, NULL), ==, -EINVAL);
	return 0;
}

struct late {
	hilo_runtime *runtime;
	atomic(unsigned) spawned, ended;
};

static int late_entry(void *arg)
{
	(void)arg;
	return hilo_sleep(HILO_SECOND);
}

static void late_end(void *arg)
{
	struct late *late = arg;

	(void)add_release(&late->ended, 1);
}

static void late_callback(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = late_end};
	struct late *late = arg;

	for (int i = 0; i < 20; i++) {
		int rc = hilo_spawn_with(late_entry, late, &opts, NULL);

		if (rc == 0)
			(void)add_release(&late->spawned, 1);
		else
			TASK_CHECK(rc, ==, HILO_ECLOSED);
	}
}

/* Whatever a callback still gets to spawn while the runtime closes is waited for. */
static void test_tasks_of_callbacks_end_before_the_runtime(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = 2};
		struct late late = {0};

		assert_int_equal(hilo_runtime_new(&opts, &late.runtime), 0);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(hilo_call_soon_threadsafe(hilo_runtime_loop(late.runtime, i),
								   late_callback, &late, NULL),
					 0);
		for (int i = 0; i < round * 20; i++)
			cpu_relax();
		assert_int_equal(hilo_runtime_free(late.runtime), 0);
		assert_int_equal(load_acquire(&late.ended), load_acquire(&late.spawned));
	}
}

struct told {
	atomic(unsigned) spawned, ended;
	atomic(int) failures;
};

static void tell_spawned(hilo_task *task, void *arg)
{
	TASK_CHECK(hilo_task_get_state(task), ==, HILO_TASK_CREATED);
	(void)add_relaxed(&((struct told *)arg)->spawned, 1);
}

static void tell_ended(hilo_task *task, int result, void *arg)
{
	struct told *told = arg;

	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	(void)add_relaxed(&told->ended, 1);
	if (result < 0)
		(void)add_relaxed(&told->failures, result);
}

static int hooked_main(void *arg)
{
	hilo_task *tasks[100];

	(void)arg;
	for (intptr_t i = 0; i < 100; i++)
		tasks[i] = hilo_spawn(test_entry_return, (void *)(i == 50 ? -EIO : i));
	for (intptr_t i = 0; i < 100; i++) /* all of them: those that are left when we end are cancelled */
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, i == 50 ? -EIO : i);
	return 0;
}

static void test_hooks_are_told_of_every_task(void **state)
{
	struct told told = {.spawned = 0};
	hilo_task_hooks hooks = {
		.size = sizeof(hooks), .spawned = tell_spawned, .ended = tell_ended, .arg = &told};
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .hooks = &hooks};

	(void)state;
	assert_int_equal(hilo_run(hooked_main, NULL, &opts), 0);
	assert_int_equal(load_relaxed(&told.spawned), 101);
	assert_int_equal(load_relaxed(&told.ended), 101);
	assert_int_equal(load_relaxed(&told.failures), -EIO);
	hooks.size = 1;
	assert_int_equal(hilo_run(hooked_main, NULL, &opts), -EINVAL);
	hooks = (hilo_task_hooks){.size = sizeof(hooks)};
	assert_int_equal(hilo_run(hooked_main, NULL, &opts), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_are_checked),
		cmocka_unit_test(test_environment_is_checked),
		cmocka_unit_test(test_environment_overrides_options),
		cmocka_unit_test(test_run_returns_what_main_returned),
		cmocka_unit_test(test_run_inside_a_task_is_a_child),
		cmocka_unit_test(test_the_child_ends_before_run_does),
		cmocka_unit_test(test_runtimes_side_by_side),
		cmocka_unit_test(test_tasks_of_two_runtimes_meet),
		cmocka_unit_test(test_one_after_the_other_leaks_nothing),
		cmocka_unit_test(test_shutdown_cancels_what_is_left),
		cmocka_unit_test(test_workers_leave_when_main_was_the_last_task),
		cmocka_unit_test(test_shutdown_has_a_deadline),
		cmocka_unit_test(test_tasks_of_callbacks_end_before_the_runtime),
		cmocka_unit_test(test_free_from_inside_is_refused),
		cmocka_unit_test(test_stats_count),
		cmocka_unit_test(test_hooks_are_told_of_every_task),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
