/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TASK_TEST(test_join_returns_what_the_entry_returned)
{
	static const int values[] = {0, 1, 4711, INT32_MAX, -EIO, -EINVAL, -ECANCELED, HILO_ECLOSED};

	for (size_t i = 0; i < array_size(values); i++) {
		hilo_task *task = hilo_spawn(test_entry_return, (void *)(intptr_t)values[i]);

		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, values[i]);
	}
	return 0;
}

LOOP_TEST(test_spawn_never_runs_the_task_inside_the_call)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, &task), ==, 0);
	TASK_CHECK(hilo_task_get_state(task), ==, HILO_TASK_CREATED);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

#define AWAITERS 100

struct many {
	hilo_task *task;
	atomic(unsigned) ready;
};

static int many_await(void *arg)
{
	struct many *many = arg;

	(void)add_release(&many->ready, 1);
	return hilo_await(many->task, HILO_FOREVER);
}

TASK_TEST(test_many_tasks_await_one)
{
	struct many many;
	hilo_task *awaiter[AWAITERS];
	hilo_future *gate = hilo_future_new();

	atomic_setup(&many.ready, 0);
	many.task = hilo_spawn(test_entry_wait, gate);
	for (int i = 0; i < AWAITERS; i++)
		awaiter[i] = hilo_spawn(many_await, &many);
	TEST_UNTIL(load_acquire(&many.ready) == AWAITERS);
	TASK_CHECK(hilo_future_set_error(gate, -ENOSPC), ==, 0);
	for (int i = 0; i < AWAITERS; i++)
		TASK_CHECK(hilo_join(awaiter[i], HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK(hilo_join(many.task, HILO_FOREVER), ==, -ENOSPC);
	hilo_future_unref(gate);
	return 0;
}

TASK_TEST(test_await_again_after_the_end)
{
	hilo_task *task = hilo_spawn(test_entry_return, (void *)(intptr_t)7);

	for (int i = 0; i < 5; i++)
		TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, 7);
	TASK_CHECK(hilo_await(task, HILO_NO_WAIT), ==, 7);
	TASK_CHECK(hilo_join(task, HILO_NO_WAIT), ==, 7);
	return 0;
}

TASK_TEST(test_references_keep_the_handle)
{
	hilo_task *task = hilo_spawn(test_entry_return, (void *)(intptr_t)3);
	hilo_task *second = hilo_task_ref(task), *third = hilo_task_ref(task);

	TASK_CHECK(second, ==, task);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_await(second, HILO_FOREVER), ==, 3);
	hilo_task_unref(second);
	TASK_CHECK(hilo_task_id(third), >, 0);
	hilo_task_detach(third);
	return 0;
}

static int set_future(void *arg)
{
	return hilo_future_set(arg, NULL, NULL);
}

TASK_TEST(test_detached_tasks_run_to_their_end)
{
	for (int i = 0; i < 50; i++) {
		hilo_future *future = hilo_future_new();

		if (i & 1)
			hilo_task_detach(hilo_spawn(set_future, future));
		else
			TASK_CHECK(hilo_spawn_with(set_future, future, NULL, NULL), ==, 0);
		TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
		/* The task may be just leaving set, which needs no reference any more. */
		hilo_future_unref(future);
	}
	return 0;
}

TASK_TEST(test_names_and_numbers)
{
	char name[32] = "a name of one's own", expected[32];
	hilo_task_opts opts = {.size = sizeof(opts), .name = name};
	hilo_task *task, *other = hilo_spawn(test_entry_return, NULL);

	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, &task), ==, 0);
	memset(name, 'x', sizeof(name));
	TASK_CHECK_TEXT(hilo_task_name(task), "a name of one's own");
	(void)snprintf(expected, sizeof(expected), "task-%llu", (unsigned long long)hilo_task_id(other));
	TASK_CHECK_TEXT(hilo_task_name(other), expected);
	TASK_CHECK(hilo_task_name(other), ==, hilo_task_name(other));
	TASK_CHECK(hilo_task_id(task), !=, hilo_task_id(other));
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_current(), !=, NULL);
	TASK_CHECK(hilo_task_id(hilo_task_current()), >, 0);
	return 0;
}

TASK_TEST(test_another_name)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "first"};
	hilo_task *task, *other = hilo_spawn(test_entry_return, NULL);
	const char *first, *second;
	char text[32] = "second";

	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, &task), ==, 0);
	first = hilo_task_name(task);
	TASK_CHECK(hilo_task_set_name(task, text), ==, 0);
	memset(text, 'x', sizeof(text) - 1);
	second = hilo_task_name(task);
	TASK_CHECK_TEXT(second, "second");
	TASK_CHECK(hilo_task_set_name(task, "second"), ==, 0);
	TASK_CHECK(hilo_task_name(task), ==, second); /* nothing has changed */
	TASK_CHECK(hilo_task_set_name(task, NULL), ==, 0);
	(void)snprintf(text, sizeof(text), "task-%llu", (unsigned long long)hilo_task_id(task));
	TASK_CHECK_TEXT(hilo_task_name(task), text);
	TASK_CHECK(hilo_task_set_name(other, "other"), ==, 0); /* nobody has asked before */
	TASK_CHECK_TEXT(hilo_task_name(other), "other");
	TASK_CHECK(hilo_task_set_name(NULL, "none"), ==, -ENOMEM);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_set_name(task, ""), ==, 0);
	TASK_CHECK_TEXT(first, "first");
	TASK_CHECK_TEXT(second, "second");
	hilo_task_unref(task);
	return hilo_join(other, HILO_FOREVER);
}

static int rename_often(void *arg)
{
	for (unsigned i = 0; i < test_rounds(300); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "renamed-%u", i);
		TASK_CHECK(hilo_task_set_name(arg, text), ==, 0);
		TASK_CHECK_CONTAINS(hilo_task_name(arg), "renamed-");
		if (i % 16 == 0)
			(void)hilo_yield();
	}
	return 0;
}

TASK_TEST(test_many_give_one_task_names)
{
	hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL), *other[4];

	for (size_t i = 0; i < array_size(other); i++)
		other[i] = hilo_spawn(rename_often, task);
	for (size_t i = 0; i < array_size(other); i++)
		TASK_CHECK(hilo_join(other[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

TASK_TEST(test_what_a_task_is_made_of)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task = hilo_spawn(test_entry_return, NULL), *pinned;

	opts.loop = hilo_runtime_loop(hilo_runtime_current(), 0);
	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, &pinned), ==, 0);
	TASK_CHECK(hilo_task_entry(task) == test_entry_return, ==, 1);
	TASK_CHECK(hilo_task_runtime(task), ==, hilo_runtime_current());
	TASK_CHECK(hilo_task_loop(task), ==, NULL);
	TASK_CHECK(hilo_task_loop(pinned), ==, opts.loop);
	TASK_CHECK(hilo_task_entry(NULL) == NULL, ==, 1);
	TASK_CHECK(hilo_task_runtime(NULL), ==, NULL);
	TASK_CHECK(hilo_task_loop(NULL), ==, NULL);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return hilo_join(pinned, HILO_FOREVER);
}

static int state_of_self(void *arg)
{
	(void)arg;
	return (int)hilo_task_get_state(hilo_task_current());
}

TASK_TEST(test_states)
{
	hilo_future *gate = hilo_future_new();
	hilo_task *task = hilo_spawn(test_entry_wait, gate);
	int result = 1;

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_result(task, &result), ==, -EAGAIN);
	TASK_CHECK(result, ==, 1);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(hilo_future_set(gate, NULL, NULL), ==, 0);
	TEST_UNTIL(hilo_task_is_done(task));
	TASK_CHECK(hilo_task_get_state(task), ==, HILO_TASK_DONE);
	TASK_CHECK(hilo_task_result(task, &result), ==, 0);
	TASK_CHECK(result, ==, 0);
	hilo_task_unref(task);
	hilo_future_unref(gate);
	task = hilo_spawn(state_of_self, NULL);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_TASK_RUNNABLE);
	return 0;
}

TASK_TEST(test_nobody_awaits_itself)
{
	TASK_CHECK(hilo_await(hilo_task_current(), HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "awaits itself");
	TASK_CHECK(hilo_join(hilo_task_current(), HILO_FOREVER), ==, -EDEADLK);
	return 0;
}

static void check_null_handles(void)
{
	int result;

	TASK_CHECK(hilo_await(NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_join(NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_task_result(NULL, &result), ==, -ENOMEM);
	TASK_CHECK(hilo_task_cancel(NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_task_cancelling(NULL), ==, 0);
	TASK_CHECK(hilo_task_ref(NULL), ==, NULL);
	hilo_task_detach(NULL);
	hilo_task_unref(NULL);
}

TASK_TEST(test_null_is_out_of_memory)
{
	hilo_task *task = NULL;

	check_null_handles();
	TASK_CHECK(hilo_spawn(NULL, NULL), ==, NULL);
	TASK_CHECK(hilo_spawn_with(NULL, NULL, NULL, &task), ==, -EINVAL);
	TASK_CHECK(hilo_submit(hilo_runtime_current(), NULL, NULL, NULL, &task), ==, -EINVAL);
	TASK_CHECK(hilo_submit(NULL, test_entry_return, NULL, NULL, &task), ==, -ENOMEM);
	TASK_CHECK(task, ==, NULL);
	return 0;
}

static void opts_refused(hilo_task_opts *opts, const char *part)
{
	hilo_task *task = NULL;

	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, opts, &task), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(hilo_submit(hilo_runtime_current(), test_entry_return, NULL, opts, &task), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(task, ==, NULL);
}

static void destroy_count(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
}

static int options_main(void *arg)
{
	hilo_runtime *other = arg;
	hilo_task_opts none = {0}, shorter = {.size = sizeof(shorter) - 1};
	hilo_task_opts class = {.size = sizeof(class), .stack = 6, .destroy = destroy_count};
	hilo_task_opts flags = {.size = sizeof(flags), .flags = 0x60};
	hilo_task_opts loop = {.size = sizeof(loop), .flags = HILO_TASK_PINNED};

	opts_refused(&none, "size");
	opts_refused(&shorter, "size");
	opts_refused(&class, "6");
	class.stack = (enum hilo_stack_class) - 1;
	opts_refused(&class, "stack");
	opts_refused(&flags, "0x60");
	loop.loop = hilo_runtime_loop(other, 0);
	opts_refused(&loop, "another runtime");
	return 0;
}

static void test_options_are_checked(void **state)
{
	hilo_runtime *other;

	(void)state;
	assert_int_equal(hilo_runtime_new(&(hilo_opts){.size = sizeof(hilo_opts), .workers = 1}, &other), 0);
	assert_int_equal(test_run(2, options_main, other), 0);
	assert_int_equal(hilo_runtime_free(other), 0);
}

struct ending {
	int (*entry)(void *arg);
	bool cancel, detach;
	int result;
};

static int entry_count(void *arg)
{
	(void)arg;
	return 0;
}

static int entry_fail(void *arg)
{
	(void)arg;
	return -EIO;
}

static int entry_sleep(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER);
}

static int entry_yield(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++)
		(void)hilo_yield();
	return 0;
}

TASK_TEST(test_destroy_is_called_once_at_every_ending)
{
	static const struct ending endings[] = {
		{entry_count, false, false, 0}, {entry_fail, false, false, -EIO},
		{entry_yield, false, false, 0}, {entry_sleep, true, false, -ECANCELED},
		{entry_yield, false, true, 0},
	};

	for (size_t i = 0; i < array_size(endings); i++) {
		atomic(unsigned) destroyed;
		hilo_task_opts opts = {.size = sizeof(opts), .destroy = destroy_count};
		hilo_task *task;

		atomic_setup(&destroyed, 0);
		TASK_CHECK(hilo_spawn_with(endings[i].entry, &destroyed, &opts, &task), ==, 0);
		if (endings[i].cancel) {
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
			TASK_CHECK(load_acquire(&destroyed), ==, 0);
			TASK_CHECK(hilo_task_cancel(task), ==, 0);
		}
		if (endings[i].detach)
			hilo_task_detach(task);
		else
			TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, endings[i].result);
		TEST_UNTIL(load_acquire(&destroyed));
		for (int n = 0; n < 3; n++)
			(void)hilo_yield();
		TASK_CHECK(load_acquire(&destroyed), ==, 1);
	}
	return 0;
}

/* Touch @size bytes of stack, page by page. */
static HILO__NOINLINE unsigned stack_use(size_t size)
{
	volatile char *bytes = __builtin_alloca(size);
	unsigned sum = 0;

	for (size_t i = 0; i < size; i += 512)
		bytes[i] = (char)i;
	for (size_t i = 0; i < size; i += 512)
		sum += (unsigned char)bytes[i] == (unsigned char)(char)i;
	return sum;
}

static int stack_main(void *arg)
{
	size_t size = (size_t)(uintptr_t)arg;

	for (int i = 0; i < 3; i++) {
		TASK_CHECK(stack_use(size), ==, (size + 511) / 512);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	return 0;
}

TASK_TEST(test_stack_classes_are_as_large_as_they_say)
{
	static const size_t sizes[] = {48 << 10, 8 << 10, 48 << 10, 220 << 10, 900 << 10, 7500 << 10};
	hilo_task *task[4 * array_size(sizes)];

	for (size_t i = 0; i < array_size(task); i++) {
		size_t class = i % array_size(sizes);
		hilo_task_opts opts = {.size = sizeof(opts), .stack = (enum hilo_stack_class) class};

		TASK_CHECK(hilo_spawn_with(stack_main, (void *)(uintptr_t)sizes[class], &opts, &task[i]), ==,
			   0);
	}
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

struct pin {
	hilo_loop *loop;
	hilo_future *future;
};

static int pin_main(void *arg)
{
	struct pin *pin = arg;

	for (int i = 0; i < 20; i++) {
		TASK_CHECK(hilo_loop_current(), ==, pin->loop);
		TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_loop_current(), ==, pin->loop);
		TASK_CHECK(hilo_sleep(20 * HILO_MICROSECOND), ==, 0);
	}
	TASK_CHECK(hilo_future_await(pin->future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_loop_current(), ==, pin->loop);
	return 0;
}

static void *thread_set_futures(void *arg)
{
	struct pin *pin = arg;

	for (int i = 0; i < 16; i++)
		TASK_CHECK(hilo_future_set(pin[i].future, NULL, NULL), ==, 0);
	return NULL;
}

TASK_TEST(test_pinned_tasks_stay_on_their_loop)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task[16];
	struct pin pin[16];
	pthread_t thread;

	for (unsigned i = 0; i < 16; i++) {
		pin[i].future = hilo_future_new();
		pin[i].loop = hilo_runtime_loop(runtime, i % hilo_runtime_workers(runtime));
		opts.loop = pin[i].loop;
		if (i & 1)
			TASK_CHECK(hilo_submit(runtime, pin_main, &pin[i], &opts, &task[i]), ==, 0);
		else
			TASK_CHECK(hilo_spawn_with(pin_main, &pin[i], &opts, &task[i]), ==, 0);
	}
	TASK_CHECK(pthread_create(&thread, NULL, thread_set_futures, pin), ==, 0);
	for (int i = 0; i < 16; i++) {
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		hilo_future_unref(pin[i].future);
	}
	test_join_thread(thread);
	return 0;
}

static int loop_is(void *arg)
{
	return hilo_loop_current() == arg;
}

TASK_TEST(test_pinned_without_a_loop_is_pinned_to_the_callers)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;
	hilo_loop *here = hilo_loop_current();

	TASK_CHECK(hilo_spawn_with(loop_is, here, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	return 0;
}

struct alternate {
	atomic(unsigned) turns, done;
};

static int alternate_main(void *arg)
{
	struct alternate *alternate = arg;

	for (int i = 0; i < 200; i++) {
		(void)add_relaxed(&alternate->turns, 1);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	(void)add_release(&alternate->done, 1);
	return 0;
}

TASK_TEST(test_yield_lets_all_others_run)
{
	struct alternate alternate;
	hilo_task *task[8];

	atomic_setup(&alternate.turns, 0);
	atomic_setup(&alternate.done, 0);
	for (int i = 0; i < 8; i++)
		task[i] = hilo_spawn(alternate_main, &alternate);
	for (int i = 0; i < 8; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&alternate.done), ==, 8);
	TASK_CHECK(load_acquire(&alternate.turns), ==, 1600);
	return 0;
}

static int spin_until_set(void *arg)
{
	while (!load_acquire((test_flag *)arg))
		TASK_CHECK(hilo_checkpoint(), ==, 0);
	return 0;
}

static int set_flag(void *arg)
{
	store_release((test_flag *)arg, 1);
	return 0;
}

TASK_TEST(test_checkpoint_yields_in_the_end)
{
	test_flag flag;
	hilo_task *spinner, *setter;

	atomic_setup(&flag, 0);
	spinner = hilo_spawn(spin_until_set, &flag);
	(void)hilo_yield();
	setter = hilo_spawn(set_flag, &flag);
	TASK_CHECK(hilo_join(spinner, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	return 0;
}

/* Pinned to the loop of the one that awaits: nobody else runs it. */
LOOP_TEST(test_awaits_that_are_over_at_once_yield_in_the_end)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_future *ready = hilo_future_new();
	hilo_task *done = hilo_spawn(test_entry_return, NULL), *setter;
	test_flag flag;

	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_future_set(ready, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_await(done, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_spawn_with(set_flag, &flag, &opts, &setter), ==, 0);
	while (!load_acquire(&flag))
		TASK_CHECK(hilo_await(done, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_spawn_with(set_flag, &flag, &opts, &setter), ==, 0);
	while (!load_acquire(&flag))
		TASK_CHECK(hilo_future_await(ready, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	hilo_future_unref(ready);
	return hilo_join(done, HILO_FOREVER);
}

static int sleeper_main(void *arg)
{
	struct random random;

	random_init(&random, test_seed(), (uintptr_t)arg);
	for (int i = 0; i < 5; i++) {
		hilo_time span = random_below(&random, 4000) * HILO_MICROSECOND, before = hilo_now();

		if (i & 1)
			TASK_CHECK(hilo_sleep(span), ==, 0);
		else
			TASK_CHECK(hilo_sleep_until(before + span), ==, 0);
		TASK_CHECK(hilo_now() - before, >=, span);
	}
	return 0;
}

TASK_TEST(test_nobody_sleeps_less_than_asked)
{
	hilo_task *task[300];

	for (uintptr_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(sleeper_main, (void *)i);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_sleep_of_nothing_returns)
{
	TASK_CHECK(hilo_sleep(0), ==, 0);
	TASK_CHECK(hilo_sleep(-5), ==, 0);
	TASK_CHECK(hilo_sleep(INT64_MIN), ==, 0);
	TASK_CHECK(hilo_sleep_until(0), ==, 0);
	TASK_CHECK(hilo_sleep_until(-1), ==, 0);
	TASK_CHECK(hilo_sleep_until(hilo_now() - HILO_SECOND), ==, 0);
	return 0;
}

static void *thread_body(void *arg)
{
	hilo_runtime *runtime = arg;
	hilo_task *task, *sleeper;
	hilo_time before = hilo_now();

	check_null_handles();
	TASK_CHECK(hilo_task_current(), ==, NULL);
	TASK_CHECK(hilo_runtime_current(), ==, NULL);
	TASK_CHECK(hilo_spawn(test_entry_return, NULL), ==, NULL);
	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, NULL, &task), ==, -EDEADLK);
	TASK_CHECK(hilo_task_uncancel(), ==, -EDEADLK);
	TASK_CHECK(hilo_shield_enter(), ==, -EDEADLK);
	TASK_CHECK(hilo_shield_leave(), ==, -EDEADLK);
	TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(hilo_checkpoint(), ==, 0);
	TASK_CHECK(hilo_sleep(2 * HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_now() - before, >=, 2 * HILO_MILLISECOND);

	TASK_CHECK(hilo_submit(runtime, test_entry_return, (void *)(intptr_t)9, NULL, &task), ==, 0);
	TASK_CHECK(hilo_submit(runtime, test_entry_sleep_forever, NULL, NULL, &sleeper), ==, 0);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, 9);
	TASK_CHECK(hilo_join(task, HILO_NO_WAIT), ==, 9);
	before = hilo_now();
	TASK_CHECK(hilo_join(sleeper, before + 3 * HILO_MILLISECOND), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_now(), >=, before + 3 * HILO_MILLISECOND);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(hilo_await(sleeper, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_cancel(sleeper), ==, 0);
	TASK_CHECK(hilo_join(sleeper, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK_CONTAINS(hilo_error_task(), "task-");
	return NULL;
}

TASK_TEST(test_plain_threads_block)
{
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, thread_body, hilo_runtime_current()), ==, 0);
	for (int i = 0; i < 3; i++)
		test_join_thread(thread[i]);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_returns_what_the_entry_returned),
		cmocka_unit_test(test_spawn_never_runs_the_task_inside_the_call),
		cmocka_unit_test(test_many_tasks_await_one),
		cmocka_unit_test(test_await_again_after_the_end),
		cmocka_unit_test(test_references_keep_the_handle),
		cmocka_unit_test(test_detached_tasks_run_to_their_end),
		cmocka_unit_test(test_names_and_numbers),
		cmocka_unit_test(test_another_name),
		cmocka_unit_test(test_many_give_one_task_names),
		cmocka_unit_test(test_what_a_task_is_made_of),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_nobody_awaits_itself),
		cmocka_unit_test(test_null_is_out_of_memory),
		cmocka_unit_test(test_options_are_checked),
		cmocka_unit_test(test_destroy_is_called_once_at_every_ending),
		cmocka_unit_test(test_stack_classes_are_as_large_as_they_say),
		cmocka_unit_test(test_pinned_tasks_stay_on_their_loop),
		cmocka_unit_test(test_pinned_without_a_loop_is_pinned_to_the_callers),
		cmocka_unit_test(test_yield_lets_all_others_run),
		cmocka_unit_test(test_checkpoint_yields_in_the_end),
		cmocka_unit_test(test_awaits_that_are_over_at_once_yield_in_the_end),
		cmocka_unit_test(test_nobody_sleeps_less_than_asked),
		cmocka_unit_test(test_sleep_of_nothing_returns),
		cmocka_unit_test(test_plain_threads_block),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
