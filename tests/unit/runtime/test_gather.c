/* SPDX-License-Identifier: MIT */
/* Waiting for several tasks: what each call returns, whose the tasks are then, and who is told of failures. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define MANY 300 /* more nodes than lie on a stack */

#define FAILS(code) hilo_spawn(test_entry_return, (void *)(intptr_t)(code))
#define SLEEPER() hilo_spawn(test_entry_sleep_forever, NULL)
#define JOIN_CANCELLED(task)                                                                                 \
	do {                                                                                                 \
		TASK_CHECK(hilo_task_cancel(task), ==, 0);                                                   \
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);                                   \
	} while (0)

/* Fails with a message, once its future is set. */
static int fail_later(void *future)
{
	int rc = hilo_future_await(future, NULL, HILO_FOREVER);

	return rc < 0 ? rc : hilo_fail(-EPROTO, "too late");
}

static int set_after_a_while(void *future)
{
	(void)hilo_sleep(3 * HILO_MILLISECOND); /* longer than one after the other is waited for */
	return hilo_future_set(future, NULL, NULL);
}

static int ignores_a_cancel(void *future)
{
	(void)hilo_shield_enter();
	(void)hilo_future_await(future, NULL, HILO_FOREVER);
	(void)hilo_shield_leave();
	return 5;
}

TASK_TEST(test_gather_of_none)
{
	TASK_CHECK(hilo_gather(NULL, 0, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_gather(NULL, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_gather: tasks is NULL");
	return 0;
}

TASK_TEST(test_gather_ends_the_handles)
{
	hilo_task *tasks[MANY], *kept = FAILS(3);

	tasks[0] = hilo_task_ref(kept);
	for (int i = 1; i < MANY; i++)
		tasks[i] = FAILS(i);
	TASK_CHECK(hilo_gather(tasks, MANY, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(kept, HILO_FOREVER), ==, 3);
	return 0;
}

TASK_TEST(test_gather_collects_by_position)
{
	hilo_task *tasks[] = {FAILS(1), NULL, FAILS(-EIO), FAILS(-ECANCELED), FAILS(4)};
	static const int wanted[] = {1, -ENOMEM, -EIO, -ECANCELED, 4};
	int results[array_size(tasks)];

	TASK_CHECK(hilo_gather(tasks, array_size(tasks), results, HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < array_size(tasks); i++)
		TASK_CHECK(results[i], ==, wanted[i]);
	return 0;
}

TASK_TEST(test_gather_returns_the_first_failure)
{
	hilo_future *early = hilo_future_new();
	hilo_task *sleeper = SLEEPER(), *setter = hilo_spawn(set_after_a_while, early);
	hilo_task *tasks[MANY];

	for (int i = 0; i < MANY - 1; i++)
		tasks[i] = hilo_task_ref(sleeper);
	tasks[MANY - 1] = hilo_spawn(fail_later, early);
	TASK_CHECK(hilo_gather(tasks, MANY, NULL, HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK_TEXT(hilo_error_message(), "too late");
	TASK_CHECK(hilo_error_task() != NULL, ==, 1);
	TASK_CHECK(hilo_task_is_done(sleeper), ==, 0); /* it goes on by itself */
	JOIN_CANCELLED(sleeper);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	hilo_future_unref(early);
	return 0;
}

/* A child that was cancelled is a failure like others, and no cancel of who gathers. */
TASK_TEST(test_gather_takes_a_cancelled_child_for_a_failure)
{
	hilo_task *child = SLEEPER(), *tasks[] = {hilo_task_ref(child)};

	TASK_CHECK(hilo_task_cancel(child), ==, 0);
	TASK_CHECK(hilo_gather(tasks, 1, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_error_task() != NULL, ==, 1);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	hilo_task_unref(child);
	return 0;
}

TASK_TEST(test_gather_of_what_could_not_be_made)
{
	hilo_task *sleeper = SLEEPER();
	hilo_task *tasks[] = {NULL, hilo_task_ref(sleeper)}, *later[] = {FAILS(0), NULL};

	TASK_CHECK(hilo_gather(tasks, 2, NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	tasks[0] = hilo_task_ref(sleeper);
	tasks[1] = NULL;
	TASK_CHECK(hilo_gather(tasks, 2, NULL, HILO_FOREVER), ==,
		   -ENOMEM); /* who waits for what is not there? */
	TASK_CHECK(hilo_task_is_done(sleeper), ==, 0);
	JOIN_CANCELLED(sleeper);
	TASK_CHECK(hilo_gather(later, 2, NULL, HILO_FOREVER), ==, -ENOMEM);
	return 0;
}

static int gather_sleepers(void *arg)
{
	hilo_task **kept = arg;
	hilo_task *tasks[] = {hilo_task_ref(kept[0]), hilo_task_ref(kept[1])};

	TASK_CHECK(hilo_gather(tasks, 2, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	/* They have really ended. */
	TASK_CHECK(hilo_task_is_done(kept[0]) && hilo_task_is_done(kept[1]), ==, 1);
	return 1;
}

TASK_TEST(test_to_cancel_a_gather_is_to_cancel_what_it_gathers)
{
	hilo_future *future = hilo_future_new();
	hilo_task *kept[] = {SLEEPER(), hilo_spawn(ignores_a_cancel, future)};
	hilo_task *gatherer = hilo_spawn(gather_sleepers, kept);

	TEST_UNTIL(hilo_task_get_state(kept[1]) == HILO_TASK_SUSPENDED &&
		   hilo_task_get_state(gatherer) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(gatherer), ==, 0);
	TASK_CHECK(hilo_join(kept[0], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_is_done(gatherer), ==, 0); /* one of them takes its time */
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(gatherer, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(kept[1], HILO_FOREVER), ==, 5);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_a_gather_that_runs_out_of_time)
{
	hilo_task *kept = SLEEPER(), *tasks[] = {FAILS(0), hilo_task_ref(kept)};
	int results[] = {77, 77};

	TASK_CHECK(hilo_gather(tasks, 2, results, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	TASK_CHECK(results[0], ==, 0);
	TASK_CHECK(results[1], ==, -ECANCELED);
	TASK_CHECK(hilo_join(kept, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

/* A deadline that has passed: what has ended counts, wherever it is. */
TASK_TEST(test_gather_tries_once)
{
	hilo_task *sleeper = SLEEPER(), *failed = FAILS(-EIO), *tasks[] = {hilo_task_ref(sleeper), failed};

	TEST_UNTIL(hilo_task_is_done(failed));
	TASK_CHECK(hilo_gather(tasks, 2, NULL, HILO_NO_WAIT), ==, -EIO);
	TASK_CHECK(hilo_task_is_done(sleeper), ==, 0);
	JOIN_CANCELLED(sleeper);
	return 0;
}

/* A cancel that is set at entry wins, though all have ended. */
static int gathers_when_cancelled(void *arg)
{
	hilo_task *ended = arg, *tasks[] = {hilo_task_ref(ended)};

	TASK_CHECK(hilo_sleep(HILO_FOREVER - 1), ==, -ECANCELED);
	TASK_CHECK(hilo_wait(tasks, 1, HILO_ALL_COMPLETED, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_wait_for(test_entry_return, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_gather(tasks, 1, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	return 1;
}

TASK_TEST(test_a_cancel_at_entry_wins)
{
	hilo_task *ended = FAILS(0), *task = hilo_spawn(gathers_when_cancelled, ended);

	TEST_UNTIL(hilo_task_is_done(ended) && hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	hilo_task_unref(ended);
	return 0;
}

/* Nobody is told of the wrong failure: what a call says of itself replaces what was said before. */
TASK_TEST(test_own_failures_hide_none)
{
	hilo_task *tasks[] = {NULL};

	TASK_CHECK(hilo_join(FAILS(-EPROTO), HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK(hilo_error_task() != NULL, ==, 1);
	TASK_CHECK(hilo_gather(tasks, 1, NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	TASK_CHECK(hilo_wait_for(NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_wait_for: entry is NULL");
	return 0;
}

/* Who waits in a loop until all have ended lets those go on that it waits for. */
static int counts_down(void *left)
{
	(void)sub_release((atomic(unsigned) *)left, 1);
	return 0;
}

LOOP_TEST(test_a_wait_that_is_over_at_once_lets_others_run)
{
	hilo_task *ended = FAILS(0), *tasks[] = {ended, NULL};
	atomic(unsigned) left;

	TASK_CHECK(hilo_await(ended, HILO_FOREVER), ==, 0);
	atomic_setup(&left, 1);
	tasks[1] = hilo_spawn(counts_down, &left);
	while (hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER) < 2)
		continue;
	TASK_CHECK(load_acquire(&left), ==, 0);
	hilo_task_unref(ended);
	hilo_task_unref(tasks[1]);
	return 0;
}

/* Without memory for nodes the failure is seen all the same. */
TASK_TEST(test_gather_without_memory)
{
	hilo_future *future = hilo_future_new();
	hilo_task *setter = hilo_spawn(set_after_a_while, future), *sleeper = SLEEPER();
	hilo_task *tasks[MANY], *kept[MANY];
	int results[MANY];

	for (int i = 0; i < MANY; i++)
		tasks[i] = i == 0 ? hilo_task_ref(sleeper)
				  : hilo_spawn(i == MANY / 2 ? fail_later : test_entry_wait, future);
	for (int i = 0; i < MANY; i++)
		kept[i] = hilo_task_ref(tasks[i]);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_gather(tasks, MANY, NULL, HILO_FOREVER), ==, -EPROTO);
	hilo__mem_fail_at(0, false);
	JOIN_CANCELLED(sleeper);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_gather(kept, MANY, results, HILO_FOREVER), ==, 0); /* they wait for the future */
	hilo_future_unref(future);
	return 0;
}

static int waits_for_itself(void *arg)
{
	hilo_task *self = hilo_task_current(), *tasks[] = {*(hilo_task **)arg, self};

	TASK_CHECK(hilo_gather(tasks, 2, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_wait(tasks, 2, HILO_ALL_COMPLETED, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "waits for itself");
	return 0;
}

TASK_TEST(test_nobody_waits_for_himself)
{
	hilo_task *other = SLEEPER();

	TASK_CHECK(hilo_join(hilo_spawn(waits_for_itself, &other), HILO_FOREVER), ==, 0);
	JOIN_CANCELLED(other);
	return 0;
}

TASK_TEST(test_wait_for_all)
{
	hilo_task *tasks[] = {FAILS(-EIO), FAILS(0), NULL};
	int code;

	TASK_CHECK(hilo_wait(tasks, 3, HILO_ALL_COMPLETED, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_task_result(tasks[0], &code), ==, 0);
	TASK_CHECK(code, ==, -EIO);
	hilo_task_unref(tasks[0]);
	hilo_task_unref(tasks[1]);
	return 0;
}

TASK_TEST(test_wait_for_the_first)
{
	hilo_task *sleeper = SLEEPER(), *one = FAILS(1);
	hilo_task *tasks[] = {sleeper, one}, *with_none[] = {sleeper, NULL};

	TASK_CHECK(hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_task_is_done(one), ==, 1);
	TASK_CHECK(hilo_wait(with_none, 2, HILO_FIRST_COMPLETED, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_wait(with_none, 2, HILO_FIRST_EXCEPTION, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_wait(with_none, 2, HILO_ALL_COMPLETED, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_is_done(sleeper), ==, 0); /* nothing is cancelled */
	hilo_task_unref(one);
	JOIN_CANCELLED(sleeper);
	return 0;
}

/* What was cancelled has not failed; if all have ended, that is enough. */
TASK_TEST(test_wait_for_the_first_exception)
{
	hilo_future *future = hilo_future_new();
	hilo_task *cancelled = SLEEPER(), *sleeper = SLEEPER(), *fails = hilo_spawn(fail_later, future);
	hilo_task *tasks[] = {cancelled, sleeper, fails}, *setter;

	TASK_CHECK(hilo_task_cancel(cancelled), ==, 0);
	TASK_CHECK(hilo_wait(tasks, 1, HILO_FIRST_EXCEPTION, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_wait(tasks, 3, HILO_FIRST_EXCEPTION, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	setter = hilo_spawn(set_after_a_while, future);
	TASK_CHECK(hilo_wait(tasks, 3, HILO_FIRST_EXCEPTION, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_task_is_done(fails), ==, 1);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(fails, HILO_FOREVER), ==, -EPROTO);
	hilo_task_unref(cancelled);
	JOIN_CANCELLED(sleeper);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_what_wait_refuses)
{
	hilo_task *sleeper = SLEEPER(), *tasks[MANY];

	for (int i = 0; i < MANY; i++)
		tasks[i] = sleeper;
	TASK_CHECK(hilo_wait(tasks, 0, HILO_ALL_COMPLETED, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_wait(NULL, 2, HILO_ALL_COMPLETED, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_wait(tasks, 2, (enum hilo_wait_until)3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_wait: until is 3");
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_wait(tasks, MANY, HILO_FIRST_COMPLETED, HILO_FOREVER), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	JOIN_CANCELLED(sleeper);
	return 0;
}

TASK_TEST(test_wait_for_a_function)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(hilo_wait_for(test_entry_return, (void *)7, HILO_FOREVER), ==, 7);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_wait_for(fail_later, future, hilo_after(HILO_SECOND)), ==, -EPROTO);
	TASK_CHECK_TEXT(hilo_error_message(), "too late");
	hilo_future_unref(future);
	return 0;
}

struct outlasting {
	hilo_future *future;
	test_flag begun;
};

static int begins_and_ignores_a_cancel(void *arg)
{
	struct outlasting *outlasting = arg;

	store_release(&outlasting->begun, 1);
	return ignores_a_cancel(outlasting->future);
}

/* On a busy machine the limit may be over before the task has begun, which then never does. */
static int outlasts_its_limit(void *arg)
{
	struct outlasting *outlasting = arg;
	hilo_time limit = HILO_MILLISECOND;
	int rc;

	do {
		rc = hilo_wait_for(begins_and_ignores_a_cancel, arg, hilo_after(limit));
		limit *= 2;
	} while (!load_acquire(&outlasting->begun));
	return rc;
}

TASK_TEST(test_wait_for_until_it_has_really_ended)
{
	hilo_future *future = hilo_future_new();
	hilo_task *setter = hilo_spawn(set_after_a_while, future);
	struct outlasting outlasting = {.future = future};

	/* What it returns in spite of the cancel stands. */
	atomic_setup(&outlasting.begun, 0);
	TASK_CHECK(hilo_join(hilo_spawn(outlasts_its_limit, &outlasting), HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_future_is_done(future), ==, 1);
	TASK_CHECK(hilo_join(setter, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_wait_for(test_entry_sleep_forever, NULL, hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_error_task() == NULL, ==, 1);
	hilo_future_unref(future);
	return 0;
}

/* A result of its own that looks like the limit's is the task's, with the task's name. */
TASK_TEST(test_wait_for_tells_its_own_limit_from_the_task_s)
{
	TASK_CHECK(hilo_wait_for(test_entry_return, (void *)(intptr_t)-ETIMEDOUT, HILO_FOREVER), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_error_task() != NULL, ==, 1);
	return 0;
}

/* No task, no waiting: a callback may not suspend. */
static void in_a_callback(void *arg)
{
	hilo_task *sleeper = SLEEPER(), *tasks[] = {sleeper};

	TASK_CHECK(hilo_gather(tasks, 1, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_wait(tasks, 1, HILO_ALL_COMPLETED, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_wait_for(test_entry_return, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_task_cancel(sleeper), ==, 0);
	hilo_task_detach(sleeper);
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

static void test_wait_for_needs_a_task(void **state)
{
	(void)state;
	assert_int_equal(hilo_wait_for(test_entry_return, NULL, HILO_FOREVER), -EDEADLK);
}

/* Tasks that end, on all workers, while somebody begins to wait for them, again and again. */
TASK_TEST(test_ends_race_the_wait)
{
	for (unsigned round = 0; round < test_rounds(200); round++) {
		hilo_task *tasks[12], *gathered[12];
		unsigned n = 1 + round % 12;

		for (unsigned i = 0; i < n; i++) {
			tasks[i] = FAILS(round % 3 == 2 && i == n / 2 ? -EIO : 0);
			gathered[i] = hilo_task_ref(tasks[i]);
		}
		if (round % 3)
			TASK_CHECK(hilo_wait(tasks, n, HILO_FIRST_COMPLETED, HILO_FOREVER), >=, 1);
		else
			TASK_CHECK(hilo_wait(tasks, n, HILO_ALL_COMPLETED, HILO_FOREVER), ==, n);
		TASK_CHECK(hilo_gather(gathered, n, NULL, HILO_FOREVER), ==, round % 3 == 2 ? -EIO : 0);
		TASK_CHECK(hilo_gather(tasks, n, (int[12]){0}, HILO_FOREVER), ==, 0);
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gather_of_none),
		cmocka_unit_test(test_gather_ends_the_handles),
		cmocka_unit_test(test_gather_collects_by_position),
		cmocka_unit_test(test_gather_returns_the_first_failure),
		cmocka_unit_test(test_gather_takes_a_cancelled_child_for_a_failure),
		cmocka_unit_test(test_gather_of_what_could_not_be_made),
		cmocka_unit_test(test_to_cancel_a_gather_is_to_cancel_what_it_gathers),
		cmocka_unit_test(test_a_gather_that_runs_out_of_time),
		cmocka_unit_test(test_gather_tries_once),
		cmocka_unit_test(test_a_cancel_at_entry_wins),
		cmocka_unit_test(test_own_failures_hide_none),
		cmocka_unit_test(test_a_wait_that_is_over_at_once_lets_others_run),
		cmocka_unit_test(test_gather_without_memory),
		cmocka_unit_test(test_nobody_waits_for_himself),
		cmocka_unit_test(test_wait_for_all),
		cmocka_unit_test(test_wait_for_the_first),
		cmocka_unit_test(test_wait_for_the_first_exception),
		cmocka_unit_test(test_what_wait_refuses),
		cmocka_unit_test(test_wait_for_a_function),
		cmocka_unit_test(test_wait_for_until_it_has_really_ended),
		cmocka_unit_test(test_wait_for_tells_its_own_limit_from_the_task_s),
		cmocka_unit_test(test_callbacks_do_not_wait),
		cmocka_unit_test(test_wait_for_needs_a_task),
		cmocka_unit_test(test_ends_race_the_wait),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
