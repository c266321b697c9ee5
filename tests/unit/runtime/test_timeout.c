/* SPDX-License-Identifier: MIT */
/* test_timeout.c - blocks with a limit in time, sections with a time of grace. */
#include <errno.h>

#include "tests/support/simulate.h"
#include "tests/support/test.h"

/* Times of the simulation, in which each look at the clock takes a nanosecond. */
#define T(n) ((n)*HILO_MICROSECOND)

/* Everything here is about time: virtual time, so that who is first is certain. */
#define TIMEOUT_TEST(name)                                                                                   \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		for (uint64_t seed = 1; seed <= 5; seed++)                                                   \
			assert_int_equal(test_simulate(test_seed() + seed, name##_body, NULL), 0);           \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

TIMEOUT_TEST(test_block_that_takes_too_long_ends_with_etimedout)
{
	hilo_time start = hilo_now();
	int rc, inside = 0;

	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		inside = hilo_sleep(T(1000));
		rc = inside;
	}
	TASK_CHECK(inside, ==, -ECANCELED);
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_now() - start, <, T(1000));
	TASK_CHECK(hilo_error_code(), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	/* The request is taken back. */
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_sleep(T(10)), ==, 0);
	return 0;
}

TIMEOUT_TEST(test_block_that_ends_in_time_keeps_its_code)
{
	int rc;

	HILO_TIMEOUT (limit, hilo_after(T(1000)), &rc)
		rc = hilo_sleep(T(100));
	TASK_CHECK(rc, ==, 0);
	HILO_TIMEOUT (limit, hilo_after(T(1000)), &rc)
		rc = -EIO;
	TASK_CHECK(rc, ==, -EIO);
	HILO_TIMEOUT (limit, HILO_FOREVER, &rc)
		rc = hilo_sleep(T(100)) < 0 ? -1 : 42;
	TASK_CHECK(rc, ==, 42);
	TASK_CHECK(hilo_sleep(T(10000)), ==, 0);
	return 0;
}

TIMEOUT_TEST(test_code_other_than_ecanceled_stands_although_time_is_over)
{
	int rc;

	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		rc = hilo_sleep(T(1000)) == -ECANCELED ? -EIO : 0;
		TASK_CHECK(hilo_timeout_expired(limit), ==, 1);
	}
	TASK_CHECK(rc, ==, -EIO);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc)
		(void)hilo_sleep(T(1000)); /* the block takes no notice */
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	return 0;
}

TIMEOUT_TEST(test_inner_timeout_ends_the_inner_block_only)
{
	int outer, inner = 0;

	HILO_TIMEOUT (far, hilo_after(T(10000)), &outer) {
		HILO_TIMEOUT (near, hilo_after(T(100)), &inner)
			inner = hilo_sleep(T(5000));
		TASK_CHECK(hilo_timeout_expired(far), ==, 0);
		outer = hilo_sleep(T(100));
	}
	TASK_CHECK(inner, ==, -ETIMEDOUT);
	TASK_CHECK(outer, ==, 0);
	return 0;
}

TIMEOUT_TEST(test_outer_timeout_is_ecanceled_inside)
{
	int outer, inner = 0;

	HILO_TIMEOUT (near, hilo_after(T(100)), &outer) {
		HILO_TIMEOUT (far, hilo_after(T(10000)), &inner)
			inner = hilo_sleep(T(50000));
		TASK_CHECK(inner, ==, -ECANCELED);
		TASK_CHECK(hilo_sleep(T(1)), ==, -ECANCELED); /* until its own block ends */
		outer = inner;
	}
	TASK_CHECK(outer, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_sleep(T(1)), ==, 0);
	return 0;
}

TIMEOUT_TEST(test_both_timeouts_over_the_outer_one_counts)
{
	int outer, inner = 0;

	HILO_TIMEOUT (near, hilo_after(T(100)), &outer) {
		HILO_TIMEOUT (far, hilo_after(T(200)), &inner) {
			(void)hilo_shield_enter();
			(void)hilo_sleep(T(1000));
			(void)hilo_shield_leave();
			inner = hilo_sleep(T(1000));
		}
		TASK_CHECK(inner, ==, -ECANCELED);
		outer = inner;
	}
	TASK_CHECK(outer, ==, -ETIMEDOUT);
	return 0;
}

static int sleeper_with_limit(void *arg)
{
	int rc, *seen = arg;

	HILO_TIMEOUT (limit, hilo_after(T(1000)), &rc) {
		rc = hilo_sleep(T(100000));
		*seen = hilo_timeout_expired(limit);
	}
	return rc;
}

TIMEOUT_TEST(test_cancel_from_outside_stays_ecanceled)
{
	int seen = -1;
	hilo_task *task = hilo_spawn(sleeper_with_limit, &seen);

	TASK_CHECK(hilo_sleep(T(100)), ==, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(seen, ==, 0);
	return 0;
}

TIMEOUT_TEST(test_reschedule_moves_the_limit)
{
	hilo_time when = hilo_after(T(100));
	int rc;

	HILO_TIMEOUT (limit, when, &rc) {
		TASK_CHECK(hilo_timeout_when(limit), ==, when);
		TASK_CHECK(hilo_timeout_reschedule(limit, when + T(1000)), ==, 0);
		TASK_CHECK(hilo_timeout_when(limit), ==, when + T(1000));
		TASK_CHECK(hilo_sleep(T(500)), ==, 0);
		TASK_CHECK(hilo_timeout_reschedule(limit, hilo_after(T(100))), ==, 0);
		rc = hilo_sleep(T(5000));
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	HILO_TIMEOUT (limit, HILO_FOREVER, &rc) {
		TASK_CHECK(hilo_timeout_reschedule(limit, hilo_after(T(100))), ==, 0);
		rc = hilo_sleep(T(5000));
		TASK_CHECK(hilo_timeout_reschedule(limit, HILO_FOREVER), ==, HILO_EINVALSTATE);
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		TASK_CHECK(hilo_timeout_reschedule(limit, HILO_FOREVER), ==, 0);
		rc = hilo_sleep(T(5000));
	}
	TASK_CHECK(rc, ==, 0);
	return 0;
}

static int prolonger(void *arg)
{
	hilo_timeout *limit = arg;

	for (int i = 0; i < 5; i++) {
		TASK_CHECK(hilo_sleep(T(80)), ==, 0);
		TASK_CHECK(hilo_timeout_reschedule(limit, hilo_after(T(100))), ==, 0);
	}
	return 0;
}

TIMEOUT_TEST(test_another_task_moves_the_limit)
{
	hilo_time start = hilo_now();
	hilo_task *task = NULL;
	int rc;

	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		task = hilo_spawn(prolonger, limit);
		rc = hilo_sleep(T(100000));
		TASK_CHECK(hilo_join(task, HILO_NO_WAIT), ==, -ECANCELED);
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_now() - start, >=, T(500));
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

TIMEOUT_TEST(test_time_that_is_over_at_entry_stops_what_waits)
{
	hilo_future *future = hilo_future_new();
	int rc;

	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	HILO_TIMEOUT (limit, HILO_NO_WAIT, &rc) {
		TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
		rc = hilo_sleep(T(1000));
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	hilo_future_unref(future);
	return 0;
}

static int leaves_by_return(void)
{
	int rc;

	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		(void)hilo_sleep(T(1000));
		return 7;
	}
	return rc;
}

TIMEOUT_TEST(test_every_way_out_leaves_the_block)
{
	int rc, rounds = 0;

	TASK_CHECK(leaves_by_return(), ==, 7);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		rc = hilo_sleep(T(1000));
		break;
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		rc = hilo_sleep(T(1000));
		rounds++;
		continue;
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(rounds, ==, 1);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		rc = hilo_sleep(T(1000));
		goto out;
	}
out:
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_sleep(T(1)), ==, 0);
	return 0;
}

/* A shield keeps off what comes from further out, but not a limit further in. */
TIMEOUT_TEST(test_timeout_inside_of_a_shield_counts)
{
	int rc, inner = 0;

	HILO_TIMEOUT (limit, hilo_after(T(100)), &rc) {
		rc = hilo_sleep(T(1000));
		(void)hilo_shield_enter();
		TASK_CHECK(hilo_sleep(T(500)), ==, 0);
		HILO_TIMEOUT (cleanup, hilo_after(T(100)), &inner)
			inner = hilo_sleep(T(5000));
		TASK_CHECK(inner, ==, -ETIMEDOUT);
		TASK_CHECK(hilo_sleep(T(500)), ==, 0);
		(void)hilo_shield_leave();
		TASK_CHECK(hilo_sleep(T(500)), ==, -ECANCELED);
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	return 0;
}

/* The request is set when the inner block ends, and not when it began, but it does not reach it. */
TIMEOUT_TEST(test_cancel_that_a_shield_keeps_off_does_not_change_the_code)
{
	int inner = 0;

	(void)hilo_shield_enter();
	HILO_TIMEOUT (cleanup, hilo_after(T(100)), &inner) {
		TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
		inner = hilo_sleep(T(5000));
	}
	TASK_CHECK(inner, ==, -ETIMEDOUT);
	(void)hilo_shield_leave();
	TASK_CHECK(hilo_sleep(T(500)), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

/* Set before the block began: it ends each wait in there, so that the limit is no reason. */
TIMEOUT_TEST(test_cancel_before_the_block_stays_ecanceled)
{
	int inner = 0;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	HILO_TIMEOUT (limit, hilo_after(T(100)), &inner) {
		(void)hilo_shield_enter();
		TASK_CHECK(hilo_sleep(T(500)), ==, 0);
		(void)hilo_shield_leave();
		inner = hilo_sleep(T(500));
	}
	TASK_CHECK(inner, ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

static int cleans_up_with_grace(void *arg)
{
	int *cleaned = arg, rc, grace;

	rc = hilo_sleep(T(100000));
	HILO_GRACE (shield, hilo_after(T(1000)), &grace) {
		TASK_CHECK(hilo_sleep(T(500)), ==, 0);
		*cleaned = 1;
		grace = hilo_sleep(T(100000));
	}
	TASK_CHECK(grace, ==, -ECANCELED);
	return rc;
}

TIMEOUT_TEST(test_grace_keeps_a_cancel_off_until_it_is_over)
{
	int cleaned = 0;
	hilo_task *task = hilo_spawn(cleans_up_with_grace, &cleaned);
	hilo_time start;

	TASK_CHECK(hilo_sleep(T(100)), ==, 0);
	start = hilo_now();
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(cleaned, ==, 1);
	TASK_CHECK(hilo_now() - start, >=, T(1000));
	TASK_CHECK(hilo_now() - start, <, T(100000));
	return 0;
}

/* The group waits for the cleanup of its tasks, and that is over when the time of grace is. */
TIMEOUT_TEST(test_tasks_of_a_group_that_stops_have_their_time_of_grace)
{
	for (int fails = 0; fails <= 1; fails++) {
		hilo_time start = 0;
		int cleaned = 0, rc;

		HILO_GROUP (group, &rc) {
			(void)hilo_group_spawn(group, cleans_up_with_grace, &cleaned);
			TASK_CHECK(hilo_sleep(T(100)), ==, 0);
			start = hilo_now();
			if (fails)
				(void)hilo_group_spawn(group, test_entry_return, (void *)(intptr_t)-EIO);
			else
				TASK_CHECK(hilo_group_cancel(group), ==, 0);
		}
		TASK_CHECK(rc, ==, fails ? -EIO : 0);
		TASK_CHECK(cleaned, ==, 1);
		TASK_CHECK(hilo_now() - start, >=, T(1000));
		TASK_CHECK(hilo_now() - start, <, T(100000));
	}
	return 0;
}

static int sleeps_in_grace(void *arg)
{
	int rc;

	HILO_GRACE (shield, hilo_after(T(1000)), &rc)
		rc = hilo_sleep((intptr_t)arg);
	return rc == 0 ? hilo_sleep(T(1)) : rc;
}

TIMEOUT_TEST(test_grace_without_a_request_interrupts_nothing)
{
	hilo_task *task = hilo_spawn(sleeps_in_grace, (void *)(intptr_t)T(5000));

	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	/* A request that comes after the grace is over. */
	task = hilo_spawn(sleeps_in_grace, (void *)(intptr_t)T(5000));
	TASK_CHECK(hilo_sleep(T(2000)), ==, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	/* One that comes meanwhile, and finds the section left before the grace is over. */
	task = hilo_spawn(sleeps_in_grace, (void *)(intptr_t)T(500));
	TASK_CHECK(hilo_sleep(T(100)), ==, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

TIMEOUT_TEST(test_graces_nest)
{
	int outer, inner = 0;

	HILO_TIMEOUT (limit, hilo_after(T(50)), &outer) {
		HILO_GRACE (lasting, hilo_after(T(1000)), &outer) {
			HILO_GRACE (first, hilo_after(T(100)), &inner)
				inner = hilo_sleep(T(500)); /* the outer one keeps it off still */
			TASK_CHECK(inner, ==, 0);
			outer = hilo_sleep(T(5000));
		}
	}
	TASK_CHECK(outer, ==, -ETIMEDOUT);
	return 0;
}

TIMEOUT_TEST(test_wrong_calls_are_refused)
{
	hilo_timeout limit;

	TASK_CHECK(hilo_timeout_enter(NULL, 0), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_timeout_enter");
	TASK_CHECK(hilo_grace_enter(NULL, 0), ==, -EINVAL);
	TASK_CHECK(hilo_timeout_leave(NULL, 0), ==, -EINVAL);
	TASK_CHECK(hilo_timeout_reschedule(NULL, 0), ==, -EINVAL);
	TASK_CHECK(hilo_timeout_when(NULL), ==, HILO_FOREVER);
	TASK_CHECK(hilo_timeout_expired(NULL), ==, 0);
	(void)limit;
	return 0;
}

static void test_only_a_task_can(void **state)
{
	hilo_timeout limit;
	int rc = 0, entered = 0;

	(void)state;
	assert_int_equal(hilo_timeout_enter(&limit, HILO_FOREVER), -EDEADLK);
	assert_int_equal(hilo_grace_enter(&limit, HILO_FOREVER), -EDEADLK);
	HILO_TIMEOUT (block, HILO_FOREVER, &rc)
		entered = 1;
	assert_int_equal(rc, -EDEADLK);
	assert_int_equal(entered, 0);
}

/* Timers fire on one thread while tasks leave their blocks on others. */
static int races_with_its_limit(void *arg)
{
	hilo_time limit = (hilo_time)(intptr_t)arg;

	for (unsigned i = 0; i < test_rounds(200); i++) {
		int rc;

		HILO_TIMEOUT (block, hilo_after(limit), &rc)
			rc = hilo_sleep(limit + (hilo_time)i % 7 * HILO_MICROSECOND);
		if (rc != 0)
			TASK_CHECK(rc, ==, -ETIMEDOUT);
		TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	}
	return 0;
}

TASK_TEST(test_limit_races_with_the_end_of_the_block)
{
	hilo_task *tasks[8];

	for (intptr_t i = 0; i < 8; i++)
		tasks[i] = hilo_spawn(races_with_its_limit, (void *)(i * 20 * HILO_MICROSECOND));
	return hilo_gather(tasks, 8, NULL, HILO_FOREVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_that_takes_too_long_ends_with_etimedout),
		cmocka_unit_test(test_block_that_ends_in_time_keeps_its_code),
		cmocka_unit_test(test_code_other_than_ecanceled_stands_although_time_is_over),
		cmocka_unit_test(test_inner_timeout_ends_the_inner_block_only),
		cmocka_unit_test(test_outer_timeout_is_ecanceled_inside),
		cmocka_unit_test(test_both_timeouts_over_the_outer_one_counts),
		cmocka_unit_test(test_cancel_from_outside_stays_ecanceled),
		cmocka_unit_test(test_reschedule_moves_the_limit),
		cmocka_unit_test(test_another_task_moves_the_limit),
		cmocka_unit_test(test_time_that_is_over_at_entry_stops_what_waits),
		cmocka_unit_test(test_every_way_out_leaves_the_block),
		cmocka_unit_test(test_timeout_inside_of_a_shield_counts),
		cmocka_unit_test(test_cancel_that_a_shield_keeps_off_does_not_change_the_code),
		cmocka_unit_test(test_cancel_before_the_block_stays_ecanceled),
		cmocka_unit_test(test_grace_keeps_a_cancel_off_until_it_is_over),
		cmocka_unit_test(test_tasks_of_a_group_that_stops_have_their_time_of_grace),
		cmocka_unit_test(test_grace_without_a_request_interrupts_nothing),
		cmocka_unit_test(test_graces_nest),
		cmocka_unit_test(test_wrong_calls_are_refused),
		cmocka_unit_test(test_only_a_task_can),
		cmocka_unit_test(test_limit_races_with_the_end_of_the_block),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
