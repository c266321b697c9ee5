/* SPDX-License-Identifier: MIT */
/* Tasks that begin inside the call that spawns them. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static const hilo_task_opts eager = {.size = sizeof(eager), .flags = HILO_TASK_EAGER};

static hilo_task *spawn(hilo_task_fn entry, void *arg, const hilo_task_opts *opts)
{
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(entry, arg, opts, &task), ==, 0);
	return task;
}

LOOP_TEST(test_a_task_that_does_not_suspend_is_done_on_return)
{
	hilo_task *task = spawn(test_entry_return, (void *)(intptr_t)7, &eager);

	TASK_CHECK(hilo_task_is_done(task), ==, 1);
	return hilo_join(task, HILO_NO_WAIT) - 7;
}

LOOP_TEST(test_a_task_runs_until_it_suspends)
{
	hilo_future *gate = hilo_future_new();
	hilo_task *task = spawn(test_entry_wait, gate, &eager);

	TASK_CHECK(hilo_task_get_state(task), ==, HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_future_set_error(gate, -ENOSPC), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ENOSPC);
	hilo_future_unref(gate);
	return 0;
}

static int count_up(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
	return 0;
}

LOOP_TEST(test_a_task_nobody_waits_for)
{
	atomic(unsigned) count;

	atomic_setup(&count, 0);
	for (unsigned i = 1; i <= 500; i++) {
		TASK_CHECK(hilo_spawn_with(count_up, &count, &eager, NULL), ==, 0);
		TASK_CHECK(load_acquire(&count), ==, i);
	}
	return 0;
}

LOOP_TEST(test_a_task_on_another_kind_of_stack)
{
	hilo_task_opts opts = eager;

	for (int class = HILO_STACK_16K; class <= HILO_STACK_8M; class ++) {
		opts.stack = (enum hilo_stack_class) class;
		TASK_CHECK(hilo_join(spawn(test_entry_return, (void *)(intptr_t) class, &opts), HILO_NO_WAIT),
			   ==, class);
	}
	return 0;
}

/* What ran, in its order. */
struct order {
	char text[16];
	size_t length;
};

struct waking_order {
	struct order order;
	hilo_future *future;
};

static void order_add(struct order *order, char letter)
{
	order->text[order->length++] = letter;
}

static int other_main(void *arg)
{
	order_add(arg, 'o');
	return 0;
}

static int first_then_second(void *arg)
{
	int rc;

	order_add(arg, '1');
	rc = hilo_yield();
	order_add(arg, '2');
	return rc;
}

static int wake_then_yield(void *arg)
{
	struct waking_order *waking = arg;

	order_add(&waking->order, '1');
	TASK_CHECK(hilo_future_set(waking->future, NULL, NULL), ==, 0);
	return hilo_yield();
}

static int woken_main(void *arg)
{
	struct waking_order *waking = arg;
	int rc = hilo_future_await(waking->future, NULL, HILO_FOREVER);

	order_add(&waking->order, 'w');
	return rc;
}

static int order_main(void *arg)
{
	struct order order = {.length = 0};
	hilo_task *other = hilo_spawn(other_main, &order), *task;

	(void)arg;
	task = spawn(first_then_second, &order, &eager);
	order_add(&order, 'c');
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(strncmp(order.text, "1c", 2), ==, 0);
	TASK_CHECK(order.length, ==, 4);
	return 0;
}

/* Nobody comes in between, also not whom the new task wakes. */
static void test_the_caller_goes_on_next(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, order_main, NULL), 0);
	hilo__nobody_stands_in = false;
}

static int waking_main(void *arg)
{
	struct waking_order waking = {.future = hilo_future_new()};
	hilo_task *woken = spawn(woken_main, &waking, &eager), *task;

	(void)arg;
	task = spawn(wake_then_yield, &waking, &eager);
	order_add(&waking.order, 'c');
	TASK_CHECK(hilo_join(woken, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(waking.order.text, "1cw");
	hilo_future_unref(waking.future);
	return 0;
}

static void test_whom_the_new_task_wakes_comes_after_the_caller(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, waking_main, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* A tree in which everybody starts his children eagerly: two each. */
static int tree_main(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	hilo_task *left, *right;
	int sum;

	if (depth == 0)
		return 1;
	left = spawn(tree_main, (void *)(depth - 1), &eager);
	right = spawn(tree_main, (void *)(depth - 1), &eager);
	sum = hilo_join(left, HILO_FOREVER);
	return sum + hilo_join(right, HILO_FOREVER);
}

TASK_TEST(test_a_tree)
{
	TASK_CHECK(tree_main((void *)(intptr_t)10), ==, 1 << 10);
	return 0;
}

/* A chain of callers, all of them ready: more than a queue has room for. */
static int chain_main(void *arg)
{
	intptr_t depth = (intptr_t)arg;

	return depth ? hilo_join(spawn(chain_main, (void *)(depth - 1), &eager), HILO_FOREVER) + 1 : 0;
}

TASK_TEST(test_a_long_chain)
{
	int depth = (int)test_rounds(3000);

	TASK_CHECK(hilo_join(spawn(chain_main, (void *)(intptr_t)depth, &eager), HILO_FOREVER), ==, depth);
	return 0;
}

TASK_TEST(test_a_cancelled_caller_may_spawn)
{
	hilo_task *task;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	task = spawn(test_entry_return, (void *)(intptr_t)3, &eager);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 3);
	return 0;
}

static int loop_index(void *arg)
{
	(void)arg;
	return (int)hilo_loop_index(hilo_loop_current());
}

LOOP_TEST(test_pinned_tasks)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_task_opts opts = eager;

	opts.flags |= HILO_TASK_PINNED;
	for (unsigned i = 0; i < hilo_runtime_workers(runtime); i++) {
		opts.loop = hilo_runtime_loop(runtime, i);
		TASK_CHECK(hilo_join(spawn(loop_index, NULL, &opts), HILO_FOREVER), ==, i);
	}
	return 0;
}

static int pinned_starts_others(void *arg)
{
	unsigned here = hilo_loop_index(hilo_loop_current());

	for (int i = 0; i < 200; i++) {
		hilo_task *task = spawn(test_entry_return, arg, &eager);

		TASK_CHECK(hilo_task_is_done(task), ==, 1);
		TASK_CHECK(hilo_loop_index(hilo_loop_current()), ==, here);
		TASK_CHECK(hilo_join(task, HILO_NO_WAIT), ==, 0);
	}
	return 0;
}

LOOP_TEST(test_a_pinned_caller_stays_where_it_is)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};

	return hilo_join(spawn(pinned_starts_others, NULL, &opts), HILO_FOREVER);
}

struct from_callback {
	hilo_future *future;
	hilo_task *task;
	bool began, inside;
};

static int begin(void *arg)
{
	((struct from_callback *)arg)->began = true;
	return 0;
}

static void spawn_in_callback(void *arg)
{
	struct from_callback *from = arg;
	hilo_task_opts opts = eager;

	opts.flags |= HILO_TASK_PINNED;
	from->task = spawn(begin, from, &opts);
	from->inside = from->began;
	TASK_CHECK(hilo_future_set(from->future, NULL, NULL), ==, 0);
}

LOOP_TEST(test_in_a_callback_it_begins_as_any_other)
{
	struct from_callback from = {.future = hilo_future_new()};

	TASK_CHECK(hilo_call_soon(spawn_in_callback, &from, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(from.future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(from.task, HILO_FOREVER), ==, 0);
	TASK_CHECK(from.inside, ==, false);
	TASK_CHECK(from.began, ==, true);
	hilo_future_unref(from.future);
	return 0;
}

static void test_from_outside_it_begins_as_any_other(void **state)
{
	hilo_runtime *runtime;
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(NULL, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, test_entry_return, (void *)(intptr_t)5, &eager, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 5);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/* Keeps its worker until its caller has gone on elsewhere. */
static int wait_for_caller(void *arg)
{
	while (!load_acquire((test_flag *)arg))
		cpu_relax();
	return 0;
}

TASK_TEST(test_another_worker_takes_the_caller_over)
{
	test_flag goes_on;
	hilo_task *task;

	atomic_setup(&goes_on, 0);
	task = spawn(wait_for_caller, &goes_on, &eager);
	store_release(&goes_on, 1);
	return hilo_join(task, HILO_FOREVER);
}

static int start_for_ever(void *arg)
{
	while (!load_acquire((test_flag *)arg))
		TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &eager, NULL), ==, 0);
	return 0;
}

static int stop_after_yields(void *arg)
{
	for (int i = 0; i < 50; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	store_release((test_flag *)arg, 1);
	return 0;
}

static int fair_main(void *arg)
{
	hilo_task *task[2];
	test_flag stop;

	(void)arg;
	atomic_setup(&stop, 0);
	task[0] = hilo_spawn(start_for_ever, &stop);
	task[1] = hilo_spawn(stop_after_yields, &stop);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

static void test_who_starts_others_for_ever_starves_nobody(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, fair_main, NULL), 0);
	assert_int_equal(test_run(1, fair_main, NULL), 0);
	hilo__nobody_stands_in = false;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_task_that_does_not_suspend_is_done_on_return),
		cmocka_unit_test(test_a_task_runs_until_it_suspends),
		cmocka_unit_test(test_a_task_nobody_waits_for),
		cmocka_unit_test(test_a_task_on_another_kind_of_stack),
		cmocka_unit_test(test_the_caller_goes_on_next),
		cmocka_unit_test(test_whom_the_new_task_wakes_comes_after_the_caller),
		cmocka_unit_test(test_a_tree),
		cmocka_unit_test(test_a_long_chain),
		cmocka_unit_test(test_a_cancelled_caller_may_spawn),
		cmocka_unit_test(test_pinned_tasks),
		cmocka_unit_test(test_a_pinned_caller_stays_where_it_is),
		cmocka_unit_test(test_in_a_callback_it_begins_as_any_other),
		cmocka_unit_test(test_from_outside_it_begins_as_any_other),
		cmocka_unit_test(test_another_worker_takes_the_caller_over),
		cmocka_unit_test(test_who_starts_others_for_ever_starves_nobody),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
