/* SPDX-License-Identifier: MIT */
/* Tasks in the order in which they end: each once, none lost, and nobody waits in vain. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define MANY 300

#define FAILS(code) hilo_spawn(test_entry_return, (void *)(intptr_t)(code))
#define SLEEPER() hilo_spawn(test_entry_sleep_forever, NULL)

static void end_sleeper(hilo_task *task)
{
	TASK_CHECK(hilo_task_is_done(task), ==, 0); /* it was left alone */
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
}

/* The next one, which must be there or come. */
static hilo_task *next(hilo_as_completed *set, hilo_time deadline)
{
	hilo_task *task = NULL;

	TASK_CHECK(hilo_as_completed_next(set, &task, deadline), ==, 1);
	return task;
}

/* Each is let go when the one before has ended, in an order of our own. */
TASK_TEST(test_in_the_order_in_which_they_end)
{
	static hilo_future *futures[MANY];
	static hilo_task *tasks[MANY];
	hilo_as_completed *set;

	for (int i = 0; i < MANY; i++) {
		futures[i] = hilo_future_new();
		tasks[i] = hilo_spawn(test_entry_wait, futures[i]);
	}
	TASK_CHECK(hilo_as_completed_new(tasks, MANY, &set), ==, 0);
	for (int k = 0; k < MANY; k++) {
		int i = k * 7 % MANY;

		TASK_CHECK(hilo_future_set(futures[i], NULL, NULL), ==, 0);
		if (k % 3 == 0) /* one that is waited for, two that have ended before */
			TASK_CHECK(next(set, HILO_FOREVER), ==, tasks[i]);
		else
			TASK_CHECK(hilo_await(tasks[i], HILO_FOREVER), ==, 0);
		if (k % 3 == 2) {
			TASK_CHECK(next(set, HILO_NO_WAIT), ==, tasks[(k - 1) * 7 % MANY]);
			TASK_CHECK(next(set, HILO_NO_WAIT), ==, tasks[i]);
		}
	}
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_as_completed_next(set, &tasks[0], HILO_FOREVER), ==, 0);
	hilo_as_completed_free(set);
	for (int i = 0; i < MANY; i++) {
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0); /* the handles are still ours */
		hilo_future_unref(futures[i]);
	}
	return 0;
}

/* What has ended before comes by position, what could not be made before it. */
TASK_TEST(test_what_has_ended_before)
{
	hilo_task *tasks[] = {FAILS(1), NULL, FAILS(-EIO), NULL, SLEEPER()};
	hilo_as_completed *set;

	TASK_CHECK(hilo_await(tasks[0], HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_await(tasks[2], HILO_FOREVER), ==, -EIO);
	TASK_CHECK(hilo_as_completed_new(tasks, 5, &set), ==, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(next(set, HILO_NO_WAIT), ==, NULL);
	TASK_CHECK(next(set, HILO_NO_WAIT), ==, tasks[0]);
	TASK_CHECK(next(set, HILO_NO_WAIT), ==, tasks[2]);
	TASK_CHECK(hilo_as_completed_next(set, &tasks[1], HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_as_completed_next(set, &tasks[1], hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_code(), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	TASK_CHECK(tasks[1], ==, NULL);
	hilo_as_completed_free(set); /* before all have ended */
	TASK_CHECK(hilo_join(tasks[0], HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(tasks[2], HILO_FOREVER), ==, -EIO);
	end_sleeper(tasks[4]);
	return 0;
}

/* The same task twice is yielded twice; its failure is nobody's who has not looked. */
TASK_TEST(test_to_be_yielded_is_not_to_be_looked_at)
{
	hilo_task *task = FAILS(-EPROTO), *tasks[] = {task, task};
	hilo_as_completed *set;

	TASK_CHECK(hilo_as_completed_new(tasks, 2, &set), ==, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(next(set, HILO_FOREVER), ==, task);
	hilo_as_completed_free(set);
	test_log_begin();
	hilo_task_unref(task);
	TASK_CHECK(test_log_count("failed and nobody looked: EPROTO"), ==, 1);
	test_log_end();
	return 0;
}

TASK_TEST(test_a_set_of_none)
{
	hilo_as_completed *set;
	hilo_task *task;

	TASK_CHECK(hilo_as_completed_new(NULL, 0, &set), ==, 0);
	TASK_CHECK(hilo_as_completed_next(set, &task, HILO_FOREVER), ==, 0);
	hilo_as_completed_free(set);
	hilo_as_completed_free(NULL);
	return 0;
}

/* Whoever has seen a task end gets it, though the worker that has ended it may not be through with that. */
TASK_TEST(test_what_is_seen_to_have_ended_is_there)
{
	for (unsigned round = 0; round < test_rounds(2000); round++) {
		hilo_task *tasks[] = {FAILS(0), FAILS(1)};
		hilo_as_completed *set;

		TASK_CHECK(hilo_as_completed_new(tasks, 2, &set), ==, 0);
		TEST_UNTIL(hilo_task_is_done(tasks[0]) && hilo_task_is_done(tasks[1]));
		for (int i = 0; i < 2; i++)
			(void)next(set, HILO_NO_WAIT);
		hilo_as_completed_free(set);
		for (int i = 0; i < 2; i++)
			TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, i);
	}
	return 0;
}

/* Several take from one set: each task is somebody's, once, and all are told when there are no more. */
struct takers {
	hilo_as_completed *set;
	atomic(unsigned) taken, sum;
};

static int takes_and_joins(void *arg)
{
	struct takers *takers = arg;
	hilo_task *task;
	int rc;

	while ((rc = hilo_as_completed_next(takers->set, &task, HILO_FOREVER)) == 1) {
		(void)add_release(&takers->sum, (unsigned)hilo_join(task, HILO_NO_WAIT));
		(void)add_release(&takers->taken, 1);
	}
	return rc;
}

static void *takes_in_a_thread(void *arg)
{
	TASK_CHECK(takes_and_joins(arg), ==, 0);
	return NULL;
}

TASK_TEST(test_several_takers)
{
	for (unsigned round = 0; round < test_rounds(100); round++) {
		hilo_task *tasks[40], *takers[4];
		struct takers shared;
		pthread_t thread;

		atomic_setup(&shared.taken, 0);
		atomic_setup(&shared.sum, 0);
		for (int i = 0; i < 40; i++)
			tasks[i] = FAILS(i);
		TASK_CHECK(hilo_as_completed_new(tasks, 40, &shared.set), ==, 0);
		TASK_CHECK(pthread_create(&thread, NULL, takes_in_a_thread, &shared), ==, 0);
		for (int i = 0; i < 4; i++)
			takers[i] = hilo_spawn(takes_and_joins, &shared);
		TASK_CHECK(hilo_gather(takers, 4, NULL, HILO_FOREVER), ==, 0);
		test_join_thread(thread);
		TASK_CHECK(load_acquire(&shared.taken), ==, 40);
		TASK_CHECK(load_acquire(&shared.sum), ==, 39 * 40 / 2);
		hilo_as_completed_free(shared.set);
	}
	return 0;
}

static int takes_one(void *set)
{
	hilo_task *task;

	return hilo_as_completed_next(set, &task, HILO_FOREVER);
}

/* Two wait for one task, and one of them is cancelled: the other one has it, or learns that there is none. */
TASK_TEST(test_a_cancel_loses_nothing)
{
	for (unsigned round = 0; round < test_rounds(300); round++) {
		hilo_future *future = hilo_future_new();
		hilo_task *task = hilo_spawn(test_entry_wait, future), *cancelled, *stays;
		hilo_as_completed *set;
		int rc;

		TASK_CHECK(hilo_as_completed_new(&task, 1, &set), ==, 0);
		cancelled = hilo_spawn(takes_one, set);
		stays = hilo_spawn(takes_one, set);
		for (unsigned i = 0; i < round % 4; i++)
			TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
		for (unsigned i = 0; i < round / 4 % 4; i++)
			TASK_CHECK(hilo_yield(), ==, 0);
		(void)hilo_task_cancel(cancelled);
		rc = hilo_join(cancelled, HILO_FOREVER);
		TASK_CHECK(hilo_join(stays, HILO_FOREVER), ==, rc != 1);
		TASK_CHECK(rc == 1 || rc == 0 || rc == -ECANCELED, ==, 1);
		hilo_as_completed_free(set);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
		hilo_future_unref(future);
	}
	return 0;
}

/* Sets come and go while their tasks end, on all workers. */
TASK_TEST(test_a_set_is_freed_while_its_tasks_end)
{
	for (unsigned round = 0; round < test_rounds(300); round++) {
		hilo_task *tasks[12], *task;
		size_t n = 1 + round % 12;
		hilo_as_completed *set;

		for (size_t i = 0; i < n; i++)
			tasks[i] = FAILS(0);
		TASK_CHECK(hilo_as_completed_new(tasks, n, &set), ==, 0);
		for (size_t i = 0; i < round % (n + 1); i++)
			TASK_CHECK(hilo_as_completed_next(set, &task, HILO_FOREVER), ==, 1);
		hilo_as_completed_free(set);
		TASK_CHECK(hilo_gather(tasks, n, NULL, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* Who takes one after the other of what has ended lets others run. */
static int counts_down(void *left)
{
	(void)sub_release((atomic(unsigned) *)left, 1);
	return 0;
}

LOOP_TEST(test_to_take_what_is_there_lets_others_run)
{
	static hilo_task *tasks[MANY];
	hilo_task *ended = FAILS(0), *task;
	hilo_as_completed *set;
	atomic(unsigned) left;

	TASK_CHECK(hilo_await(ended, HILO_FOREVER), ==, 0);
	for (int i = 0; i < MANY; i++)
		tasks[i] = ended;
	atomic_setup(&left, 1);
	task = hilo_spawn(counts_down, &left);
	while (load_acquire(&left)) {
		TASK_CHECK(hilo_as_completed_new(tasks, MANY, &set), ==, 0);
		for (int i = 0; i < MANY; i++)
			TASK_CHECK(next(set, HILO_FOREVER), ==, ended);
		hilo_as_completed_free(set);
	}
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_task_unref(ended);
	return 0;
}

static int makes_a_set_with_itself(void *arg)
{
	hilo_task *tasks[] = {*(hilo_task **)arg, hilo_task_current()};
	hilo_as_completed *set = NULL;

	TASK_CHECK(hilo_as_completed_new(tasks, 2, &set), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "waits for itself");
	TASK_CHECK(set, ==, NULL);
	return 0;
}

TASK_TEST(test_what_is_refused)
{
	hilo_task *sleeper = SLEEPER(), *task = sleeper;
	hilo_as_completed *set = NULL;

	TASK_CHECK(hilo_as_completed_new(NULL, 1, &set), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_as_completed_new: tasks is NULL");
	TASK_CHECK(hilo_as_completed_new(&sleeper, 1, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_join(hilo_spawn(makes_a_set_with_itself, &sleeper), HILO_FOREVER), ==, 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_as_completed_new(&sleeper, 1, &set), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(set, ==, NULL);
	TASK_CHECK(hilo_as_completed_next(NULL, &task, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_as_completed_new(&sleeper, 1, &set), ==, 0);
	TASK_CHECK(hilo_as_completed_next(set, NULL, HILO_FOREVER), ==, -EINVAL);
	hilo_as_completed_free(set);
	end_sleeper(sleeper);
	return 0;
}

/* A callback may make a set and free it, but not wait. */
static void in_a_callback(void *arg)
{
	hilo_task *tasks[] = {NULL}, *task;
	hilo_as_completed *set;

	TASK_CHECK(hilo_as_completed_new(tasks, 1, &set), ==, 0);
	TASK_CHECK(hilo_as_completed_next(set, &task, HILO_NO_WAIT), ==, -EDEADLK);
	hilo_as_completed_free(set);
	store_release((test_flag *)arg, 1);
}

TASK_TEST(test_callbacks_do_not_wait)
{
	test_flag called;

	atomic_setup(&called, 0);
	TASK_CHECK(hilo_call_soon(in_a_callback, &called, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&called));
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_in_which_they_end),
		cmocka_unit_test(test_what_has_ended_before),
		cmocka_unit_test(test_to_be_yielded_is_not_to_be_looked_at),
		cmocka_unit_test(test_a_set_of_none),
		cmocka_unit_test(test_what_is_seen_to_have_ended_is_there),
		cmocka_unit_test(test_several_takers),
		cmocka_unit_test(test_a_cancel_loses_nothing),
		cmocka_unit_test(test_a_set_is_freed_while_its_tasks_end),
		cmocka_unit_test(test_to_take_what_is_there_lets_others_run),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_callbacks_do_not_wait),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
