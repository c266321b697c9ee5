/* SPDX-License-Identifier: MIT */
/* What is told of tasks while they run: who resumes and who suspends, on which thread, in which order. */
#include "tests/support/pool.h"
#include "tests/support/test.h"

#include <errno.h>

/* What was told, by all threads. */
static struct told {
	atomic(unsigned) spawned, resumed, suspended, ended;
} told;

/* The task that this thread has been told to run. Hooks do not suspend, so its address is that of their thread. */
static _Thread_local hilo_task *running;

static void tell_spawned(hilo_task *task, void *arg)
{
	TASK_CHECK(task, !=, running);
	(void)add_relaxed(&((struct told *)arg)->spawned, 1);
}

static void tell_resumed(hilo_task *task, void *arg)
{
	TASK_CHECK(running, ==, NULL);
	TASK_CHECK(hilo_task_current(), ==, task);
	running = task;
	(void)add_relaxed(&((struct told *)arg)->resumed, 1);
}

static void tell_suspended(hilo_task *task, void *arg)
{
	TASK_CHECK(running, ==, task);
	TASK_CHECK(hilo_task_current(), ==, task);
	running = NULL;
	(void)add_relaxed(&((struct told *)arg)->suspended, 1);
}

static void tell_ended(hilo_task *task, int result, void *arg)
{
	(void)result;
	TASK_CHECK(running, ==, task);
	running = NULL;
	(void)add_relaxed(&((struct told *)arg)->ended, 1);
}

static const hilo_task_hooks all_hooks = {.size = sizeof(all_hooks),
					  .spawned = tell_spawned,
					  .ended = tell_ended,
					  .arg = &told,
					  .resumed = tell_resumed,
					  .suspended = tell_suspended};

static unsigned told_of(atomic(unsigned) * count)
{
	return load_relaxed(count);
}

/* Run @body; each of the @tasks, that of @body among them, has to run and to end, and nothing is left open. */
static void run_told(unsigned workers, hilo_task_fn body, unsigned tasks)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers, .hooks = &all_hooks};

	told = (struct told){.spawned = 0};
	assert_int_equal(hilo_run(body, NULL, &opts), 0);
	assert_int_equal(told_of(&told.spawned), tasks);
	assert_int_equal(told_of(&told.ended), tasks);
	assert_int_equal(told_of(&told.resumed), told_of(&told.suspended) + tasks);
}

/* With one worker, with some, and with more than there are cores. */
#define TOLD_TEST(name, tasks)                                                                               \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		run_told(1, name##_body, tasks);                                                             \
		run_told(2, name##_body, tasks);                                                             \
		run_told(8, name##_body, tasks);                                                             \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

#define TASKS 200

/* Spawn TASKS of @entry and wait for them. */
static void spawn_all(hilo_task_fn entry, void *arg)
{
	hilo_task *tasks[TASKS];

	for (int i = 0; i < TASKS; i++)
		tasks[i] = hilo_spawn(entry, arg);
	for (int i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
}

TOLD_TEST(test_tasks_that_never_suspend_are_resumed_once, TASKS + 1)
{
	unsigned before = told_of(&told.resumed), waits = told_of(&told.suspended);

	spawn_all(test_entry_return, NULL);
	/* Ours was resumed as often as it was suspended, theirs once each. */
	TASK_CHECK(told_of(&told.resumed) - before, ==, TASKS + told_of(&told.suspended) - waits);
	return 0;
}

static int yield_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	return 0;
}

TOLD_TEST(test_a_yield_is_told, TASKS + 1)
{
	unsigned before = told_of(&told.suspended);

	spawn_all(yield_some, NULL);
	TASK_CHECK(told_of(&told.suspended) - before, >=, TASKS * 10);
	return 0;
}

static int sleep_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		TASK_CHECK(hilo_sleep(50 * HILO_MICROSECOND), ==, 0);
	return 0;
}

TOLD_TEST(test_a_sleep_is_told, TASKS + 1)
{
	spawn_all(sleep_some, NULL);
	return 0;
}

/* Tasks that take long enough to be stolen, and wake each other. */
static int tree(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	hilo_task *left, *right;

	if (depth == 0)
		return yield_some(NULL);
	left = hilo_spawn(tree, (void *)(depth - 1));
	right = hilo_spawn(tree, (void *)(depth - 1));
	for (hilo_time until = hilo_after(20 * HILO_MICROSECOND); hilo_now() < until;)
		;
	TASK_CHECK(hilo_join(left, HILO_FOREVER), ==, 0);
	return hilo_join(right, HILO_FOREVER);
}

TOLD_TEST(test_tasks_that_are_stolen_are_told, 1024)
{
	return hilo_join(hilo_spawn(tree, (void *)9), HILO_FOREVER);
}

static int eager_inner(void *future)
{
	return hilo_future_await(future, NULL, HILO_FOREVER);
}

static int spawn_eager(hilo_task_fn entry, void *arg, hilo_task **ret)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_EAGER};

	return hilo_spawn_with(entry, arg, &opts, ret);
}

static int eager_outer(void *future)
{
	hilo_task *inner;

	TASK_CHECK(spawn_eager(eager_inner, future, &inner), ==, 0);
	return hilo_join(inner, HILO_FOREVER);
}

TOLD_TEST(test_an_eager_start_suspends_its_starter, 4)
{
	hilo_future *future = hilo_future_new();
	unsigned before = told_of(&told.suspended);
	hilo_task *outer, *brief;

	TASK_CHECK(spawn_eager(test_entry_return, NULL, &brief), ==, 0);
	TASK_CHECK(told_of(&told.suspended), >, before);
	TASK_CHECK(spawn_eager(eager_outer, future, &outer), ==, 0);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(outer, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(brief, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static const struct {
	unsigned flags;
	enum hilo_stack_class stack;
} special[] = {{HILO_TASK_PINNED, HILO_STACK_DEFAULT},
	       {HILO_TASK_HIGH, HILO_STACK_DEFAULT},
	       {HILO_TASK_LOW, HILO_STACK_DEFAULT},
	       {0, HILO_STACK_16K},
	       {0, HILO_STACK_256K},
	       {HILO_TASK_PINNED, HILO_STACK_16K}};

#define SPECIAL (sizeof(special) / sizeof(special[0]))

TOLD_TEST(test_tasks_with_options_are_told, SPECIAL + 1)
{
	hilo_task *tasks[SPECIAL];

	for (size_t i = 0; i < SPECIAL; i++) {
		hilo_task_opts opts = {
			.size = sizeof(opts), .flags = special[i].flags, .stack = special[i].stack};

		TASK_CHECK(hilo_spawn_with(i % 2 ? sleep_some : yield_some, NULL, &opts, &tasks[i]), ==, 0);
	}
	for (size_t i = 0; i < SPECIAL; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	return 0;
}

static int call_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		TASK_CHECK(hilo_to_thread(test_entry_return, NULL, HILO_FOREVER), ==, 0);
	return 0;
}

/* Woken by threads that are no workers; those see nothing of it. */
TOLD_TEST(test_waits_for_an_executor_are_told, TASKS + 1)
{
	spawn_all(call_some, NULL);
	return 0;
}

TOLD_TEST(test_a_task_that_is_cancelled_is_told, TASKS + 1)
{
	hilo_task *tasks[TASKS];

	for (int i = 0; i < TASKS; i++) {
		tasks[i] = hilo_spawn(test_entry_sleep_forever, NULL);
		if (i % 2)
			TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_task_cancel(tasks[i]), ==, 0);
	}
	for (int i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

/* What the user is called with when a task ends may suspend: before `ended` that is told, after it is not. */
static void drop_value(void *value)
{
	(void)value;
	(void)hilo_yield();
}

static const hilo_local local = HILO_LOCAL("value", NULL, drop_value);

static int set_local(void *arg)
{
	TASK_CHECK(hilo_local_set(&local, arg, NULL), ==, 0);
	return 0;
}

TOLD_TEST(test_after_the_end_nothing_is_told, TASKS * 2 + 1)
{
	static int value;

	for (int i = 0; i < TASKS; i++) {
		hilo_task_opts opts = {.size = sizeof(opts), .destroy = drop_value};
		hilo_task *with_local = hilo_spawn(set_local, &value), *with_destroy;

		TASK_CHECK(hilo_spawn_with(yield_some, &value, &opts, &with_destroy), ==, 0);
		TASK_CHECK(hilo_join(with_local, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(with_destroy, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* Any of them may be there without the others. */
static void test_one_hook_is_enough(void **state)
{
	hilo_task_hooks hooks = {.size = sizeof(hooks), .arg = &told};
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .hooks = &hooks};

	(void)state;
	told = (struct told){.spawned = 0};
	hooks.resumed = tell_resumed;
	hooks.ended = tell_ended;
	assert_int_equal(hilo_run(test_entry_return, NULL, &opts), 0);
	assert_int_equal(told_of(&told.resumed), 1);
	hooks = (hilo_task_hooks){.size = sizeof(hooks), .arg = &told, .spawned = tell_spawned};
	assert_int_equal(hilo_run(yield_some, NULL, &opts), 0);
	assert_int_equal(told_of(&told.suspended), 0);
}

/* A program that was compiled before there were those two. */
static void test_hooks_of_an_older_program(void **state)
{
	hilo_task_hooks hooks = {.size = offsetof(hilo_task_hooks, resumed),
				 .spawned = tell_spawned,
				 .arg = &told,
				 .resumed = tell_resumed};
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .hooks = &hooks};

	(void)state;
	told = (struct told){.spawned = 0};
	assert_int_equal(hilo_run(yield_some, NULL, &opts), 0);
	assert_int_equal(told_of(&told.spawned), 1);
	assert_int_equal(told_of(&told.resumed), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tasks_that_never_suspend_are_resumed_once),
		cmocka_unit_test(test_a_yield_is_told),
		cmocka_unit_test(test_a_sleep_is_told),
		cmocka_unit_test(test_tasks_that_are_stolen_are_told),
		cmocka_unit_test(test_an_eager_start_suspends_its_starter),
		cmocka_unit_test(test_tasks_with_options_are_told),
		cmocka_unit_test(test_waits_for_an_executor_are_told),
		cmocka_unit_test(test_a_task_that_is_cancelled_is_told),
		cmocka_unit_test(test_after_the_end_nothing_is_told),
		cmocka_unit_test(test_one_hook_is_enough),
		cmocka_unit_test(test_hooks_of_an_older_program),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
