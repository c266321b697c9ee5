/* SPDX-License-Identifier: MIT */
/* Selecting: which of several different things is the first, and that the others are left alone. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define MANY 300 /* more nodes than lie on a stack */

static int set_after_a_while(void *future)
{
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_future_set(future, future, NULL);
}

static void end_sleeper(hilo_task *task)
{
	TASK_CHECK(hilo_task_is_done(task), ==, 0); /* it was left alone */
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
}

/* Each kind, when it is there already and when it has to be waited for. */
TASK_TEST(test_a_task_is_the_first)
{
	hilo_future *future = hilo_future_new(), *never = hilo_future_new();
	hilo_task *task = hilo_spawn(test_entry_wait, future),
		  *setter = hilo_spawn(set_after_a_while, future);
	hilo_select_case cases[] = {
		HILO_SELECT_FUTURE(never),
		HILO_SELECT_TIMER(hilo_after(HILO_MINUTE)),
		HILO_SELECT_TASK(task),
	};

	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_select(cases, 3, HILO_NO_WAIT), ==, 2);
	TASK_CHECK(hilo_join(task, HILO_NO_WAIT), ==, 0); /* nothing was consumed */
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	hilo_future_unref(never);
	return 0;
}

TASK_TEST(test_a_future_is_the_first)
{
	hilo_future *future = hilo_future_new();
	hilo_task *sleeper = hilo_spawn(test_entry_sleep_forever, NULL);
	hilo_task *setter = hilo_spawn(set_after_a_while, future);
	hilo_select_case cases[] = {
		HILO_SELECT_TASK(sleeper),
		HILO_SELECT_FUTURE(future),
		HILO_SELECT_TIMER(hilo_after(HILO_MINUTE)),
	};
	void *value = NULL;

	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_future_result(future, &value), ==, 0);
	TASK_CHECK(value, ==, future);
	end_sleeper(sleeper);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_a_timer_is_the_first)
{
	hilo_time early = hilo_after(HILO_MILLISECOND), late = hilo_after(HILO_MINUTE);
	hilo_task *sleeper = hilo_spawn(test_entry_sleep_forever, NULL);
	hilo_select_case cases[] = {
		HILO_SELECT_TIMER(late), HILO_SELECT_TASK(sleeper),	  HILO_SELECT_TIMER(early),
		HILO_SELECT_TIMER(0),	 HILO_SELECT_TIMER(HILO_FOREVER),
	};

	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_now(), >=, early);
	TASK_CHECK(hilo_select(&cases[3], 1, HILO_FOREVER), ==, 0); /* passed long ago */
	/* Timers alone; and one that never comes. */
	early = hilo_after(HILO_MILLISECOND);
	TASK_CHECK(hilo_select((hilo_select_case[]){HILO_SELECT_TIMER(early)}, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_now(), >=, early);
	TASK_CHECK(hilo_select(&cases[4], 1, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	end_sleeper(sleeper);
	return 0;
}

/* The deadline is not a case: it is told apart from a timer of the same moment. */
TASK_TEST(test_a_timer_of_the_same_moment_outranks_the_deadline)
{
	hilo_time when = hilo_after(HILO_MILLISECOND);
	hilo_future *never = hilo_future_new();
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(never), HILO_SELECT_TIMER(when)};

	TASK_CHECK(hilo_select(cases, 2, when), ==, 1);
	TASK_CHECK(hilo_select(cases, 1, when), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_code(), ==, -ETIMEDOUT);
	hilo_future_unref(never);
	return 0;
}

/* The order of the cases is their priority. */
TASK_TEST(test_the_lowest_position_of_those_that_are_ready)
{
	hilo_future *never = hilo_future_new(), *set = hilo_future_new();
	hilo_task *ended = hilo_spawn(test_entry_return, (void *)(intptr_t)-EIO);
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(never), HILO_SELECT_TASK(ended),
				    HILO_SELECT_FUTURE(set), HILO_SELECT_TIMER(0)};
	hilo_select_case turned[] = {cases[3], cases[2], cases[1], cases[0]};

	TASK_CHECK(hilo_future_set_error(set, -EPROTO), ==, 0);
	TASK_CHECK(hilo_await(ended, HILO_FOREVER), ==, -EIO);
	for (int i = 0; i < 100; i++) {
		TASK_CHECK(hilo_select(cases, 4, HILO_FOREVER), ==, 1);
		TASK_CHECK(hilo_select(turned, 4, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_select(&turned[1], 3, HILO_FOREVER), ==, 0);
	}
	/* A failure is still to be received. */
	TASK_CHECK(hilo_future_result(set, NULL), ==, -EPROTO);
	TASK_CHECK(hilo_join(ended, HILO_FOREVER), ==, -EIO);
	hilo_future_unref(never);
	hilo_future_unref(set);
	return 0;
}

/* What could not be made is ready: who awaits it is told. */
TASK_TEST(test_null_is_ready)
{
	hilo_future *never = hilo_future_new();
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(never), HILO_SELECT_TASK(NULL),
				    HILO_SELECT_FUTURE(NULL)};

	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_await(cases[1].task, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(cases[1].code, ==, -ENOMEM);
	TASK_CHECK(hilo_select(&cases[2], 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_await(cases[2].future, NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(cases[2].code, ==, -ENOMEM);
	hilo_future_unref(never);
	return 0;
}

/* Off: by name, by zero, by its switch, whatever it would be. */
TASK_TEST(test_a_case_that_is_off_never_wins)
{
	hilo_future *set = hilo_future_new();
	hilo_select_case cases[] = {HILO_SELECT_OFF,
				    {0},
				    HILO_SELECT_TASK(hilo_task_current()),
				    HILO_SELECT_TIMER(0),
				    HILO_SELECT_FUTURE(set)};

	TASK_CHECK(hilo_future_set(set, NULL, NULL), ==, 0);
	cases[2].off = 1; /* which would be refused */
	cases[3].off = 1;
	TASK_CHECK(hilo_select(cases, 5, HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_select_fair(cases, 5, HILO_FOREVER), ==, 4);
	cases[3].off = 0;
	TASK_CHECK(hilo_select(cases, 5, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_select(cases, 3, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_select(cases, 3, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	hilo_future_unref(set);
	return 0;
}

/* By lot: each of those that are ready comes up, and no other. */
TASK_TEST(test_a_fair_select_lets_each_win)
{
	hilo_future *set = hilo_future_new(), *never = hilo_future_new();
	hilo_select_case cases[10];
	unsigned won[10] = {0};

	TASK_CHECK(hilo_future_set(set, NULL, NULL), ==, 0);
	for (int i = 0; i < 10; i++)
		cases[i] = (hilo_select_case)HILO_SELECT_FUTURE(i == 2 || i == 3 || i == 9 ? set : never);
	for (unsigned i = 0; i < 3000; i++) {
		int ready = hilo_select_fair(cases, 10, HILO_FOREVER);

		TASK_CHECK(ready == 2 || ready == 3 || ready == 9, ==, 1);
		won[ready]++;
	}
	/* 1000 each, and the odds against 800 are 10^13 to 1. */
	TASK_CHECK(won[2], >, 800);
	TASK_CHECK(won[3], >, 800);
	TASK_CHECK(won[9], >, 800);
	TASK_CHECK(hilo_select_fair(cases, 2, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	hilo_future_unref(set);
	hilo_future_unref(never);
	return 0;
}

static int selects_itself(void *arg)
{
	hilo_select_case cases[] = {HILO_SELECT_TIMER(0), HILO_SELECT_TASK(hilo_task_current())};

	(void)arg;
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "waits for itself");
	return 0;
}

TASK_TEST(test_what_select_refuses)
{
	hilo_select_case cases[MANY];
	hilo_future *never = hilo_future_new();

	for (int i = 0; i < MANY; i++)
		cases[i] = (hilo_select_case)HILO_SELECT_FUTURE(never);
	TASK_CHECK(hilo_select(cases, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_select: 0 cases");
	TASK_CHECK(hilo_select(NULL, 2, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_select: 2 cases, cases is NULL");
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_select(cases, MANY, HILO_FOREVER), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_select(cases, MANY, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	cases[2].kind = (enum hilo_select_kind)77;
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_select: case 2 is of kind 77");
	cases[2] = (hilo_select_case){.kind = HILO_SELECT_KIND_OBJECT};
	TASK_CHECK(hilo_select_fair(cases, 3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_select_fair: case 2 is of no kind of object");
	TASK_CHECK(hilo_join(hilo_spawn(selects_itself, NULL), HILO_FOREVER), ==, 0);
	hilo_future_unref(never);
	return 0;
}

static void in_a_callback(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(future), HILO_SELECT_OFF, HILO_SELECT_TIMER(0)};

	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_select_fair(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_select(cases, 2, hilo_after(HILO_SECOND)), ==, -EDEADLK);
	TASK_CHECK(hilo_select(cases, 2, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	store_release((test_flag *)arg, 1);
}

TASK_TEST(test_callbacks_select_what_need_not_be_waited_for)
{
	test_flag called;

	atomic_setup(&called, 0);
	TASK_CHECK(hilo_call_soon(in_a_callback, &called, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&called));
	return 0;
}

/* A cancel that is set at entry wins, though something is ready. */
static int selects_when_cancelled(void *arg)
{
	hilo_select_case cases[] = {HILO_SELECT_TIMER(0)};

	(void)arg;
	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_select(cases, 1, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_select(cases, 1, HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_a_cancel_at_entry_wins)
{
	hilo_task *task = hilo_spawn(selects_when_cancelled, NULL);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

/* Who looks again and again at what is ready lets others run. */
static int counts_down(void *left)
{
	(void)sub_release((atomic(unsigned) *)left, 1);
	return 0;
}

LOOP_TEST(test_a_select_that_is_over_at_once_lets_others_run)
{
	hilo_select_case cases[] = {HILO_SELECT_TIMER(0)};
	atomic(unsigned) left;
	hilo_task *task;

	atomic_setup(&left, 1);
	task = hilo_spawn(counts_down, &left);
	while (load_acquire(&left))
		TASK_CHECK(hilo_select(cases, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

/* Many wait for the same two, on all workers, and see the same. */
#define CROWD 16

struct crowd {
	hilo_future *future;
	hilo_task *task;
};

static int selects(void *arg)
{
	struct crowd *crowd = arg;
	hilo_select_case cases[] = {HILO_SELECT_TASK(crowd->task), HILO_SELECT_FUTURE(crowd->future)};
	int ready = hilo_select(cases, 2, HILO_FOREVER);

	if (ready == 0)
		TASK_CHECK(hilo_task_is_done(crowd->task), ==, 1);
	TASK_CHECK(hilo_future_is_done(crowd->future), ==, 1); /* the task waits for it */
	return 0;
}

static void *selects_in_a_thread(void *arg)
{
	TASK_CHECK(selects(arg), ==, 0);
	return NULL;
}

TASK_TEST(test_a_crowd_selects)
{
	for (unsigned round = 0; round < test_rounds(50); round++) {
		struct crowd crowd = {.future = hilo_future_new()};
		hilo_task *tasks[CROWD];
		pthread_t thread;

		crowd.task = hilo_spawn(test_entry_wait, crowd.future);
		TASK_CHECK(pthread_create(&thread, NULL, selects_in_a_thread, &crowd), ==, 0);
		for (int i = 0; i < CROWD; i++)
			tasks[i] = hilo_spawn(selects, &crowd);
		for (unsigned i = 0; i < round % 4; i++)
			TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_future_set(crowd.future, NULL, NULL), ==, 0);
		TASK_CHECK(hilo_gather(tasks, CROWD, NULL, HILO_FOREVER), ==, 0);
		test_join_thread(thread);
		TASK_CHECK(hilo_join(crowd.task, HILO_FOREVER), ==, 0);
		hilo_future_unref(crowd.future);
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_task_is_the_first),
		cmocka_unit_test(test_a_future_is_the_first),
		cmocka_unit_test(test_a_timer_is_the_first),
		cmocka_unit_test(test_a_timer_of_the_same_moment_outranks_the_deadline),
		cmocka_unit_test(test_the_lowest_position_of_those_that_are_ready),
		cmocka_unit_test(test_null_is_ready),
		cmocka_unit_test(test_a_case_that_is_off_never_wins),
		cmocka_unit_test(test_a_fair_select_lets_each_win),
		cmocka_unit_test(test_what_select_refuses),
		cmocka_unit_test(test_callbacks_select_what_need_not_be_waited_for),
		cmocka_unit_test(test_a_cancel_at_entry_wins),
		cmocka_unit_test(test_a_select_that_is_over_at_once_lets_others_run),
		cmocka_unit_test(test_a_crowd_selects),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
