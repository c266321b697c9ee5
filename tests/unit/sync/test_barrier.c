/* SPDX-License-Identifier: MIT */
/*
 * test_barrier.c - barriers: nobody passes without the others, places that are given back, broken ones, actions.
 * The six cases of a call that suspends are in test_suspend.c.
 */
#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

static int arrives(void *barrier)
{
	return hilo_barrier_wait(barrier, HILO_FOREVER);
}

/* A task that has arrived by now. */
static hilo_task *party(hilo_barrier *barrier)
{
	hilo_task *task = hilo_spawn(arrives, barrier);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_numbers_are_those_of_arrival)
{
	hilo_barrier barrier;
	hilo_task *task[4];

	TASK_CHECK(hilo_barrier_init(&barrier, 5, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_barrier_parties(&barrier), ==, 5);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++) {
			TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, i);
			task[i] = party(&barrier);
		}
		TASK_CHECK(hilo_barrier_destroy(&barrier), ==, -EBUSY);
		TASK_CHECK(hilo_barrier_wait(&barrier, HILO_NO_WAIT), ==, 4);
		TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, 0);
		for (int i = 0; i < 4; i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, i);
	}
	TASK_CHECK(hilo_barrier_destroy(&barrier), ==, 0);
	return 0;
}

TASK_TEST(test_one_party_never_waits)
{
	hilo_barrier barrier;

	TASK_CHECK(hilo_barrier_init(&barrier, 1, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, 0);
	return 0;
}

/* Who was cancelled, or has run out of time, gives its place back; the others keep their order. */
TASK_TEST(test_place_of_one_that_leaves_is_free_again)
{
	hilo_barrier barrier;
	hilo_task *first, *second, *third;

	TASK_CHECK(hilo_barrier_init(&barrier, 3, NULL, NULL), ==, 0);
	first = party(&barrier);
	second = party(&barrier);
	TASK_CHECK(hilo_task_cancel(first), ==, 0);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, 1);
	TASK_CHECK(hilo_barrier_wait(&barrier, hilo_after(1000)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, 1);
	TASK_CHECK(hilo_barrier_broken(&barrier), ==, 0);
	third = party(&barrier);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(third, HILO_FOREVER), ==, 1);
	return 0;
}

TASK_TEST(test_abort_breaks_it_until_it_is_reset)
{
	hilo_barrier barrier;
	hilo_task *task;

	TASK_CHECK(hilo_barrier_init(&barrier, 2, NULL, NULL), ==, 0);
	task = party(&barrier);
	TASK_CHECK(hilo_barrier_abort(&barrier), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "broken");
	TASK_CHECK(hilo_barrier_broken(&barrier), ==, 1);
	TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, 0);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_barrier_reset(&barrier), ==, 0);
	TASK_CHECK(hilo_barrier_broken(&barrier), ==, 0);
	task = party(&barrier);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_reset_sends_those_who_wait_away)
{
	hilo_barrier barrier;
	hilo_task *task;

	TASK_CHECK(hilo_barrier_init(&barrier, 3, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_barrier_reset(&barrier), ==, 0);
	task = party(&barrier);
	TASK_CHECK(hilo_barrier_reset(&barrier), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_barrier_broken(&barrier), ==, 0);
	TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, 0);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return 0;
}

/* What an action has seen, and what it does. */
struct act {
	hilo_barrier barrier;
	hilo_task *waiting[2];
	hilo_event begun, go_on;
	int calls, result;
	bool waits;
};

static int acts(void *arg)
{
	struct act *act = arg;

	act->calls++;
	for (size_t i = 0; i < 2; i++)
		if (act->waiting[i])
			TASK_CHECK(hilo_task_is_done(act->waiting[i]), ==, 0);
	if (act->waits) {
		TASK_CHECK(hilo_event_set(&act->begun), ==, 0);
		TASK_CHECK(hilo_event_wait(&act->go_on, HILO_FOREVER), ==, 0);
	}
	return act->result < 0 ? hilo_fail(act->result, "the action says no") : 0;
}

TASK_TEST(test_action_runs_once_before_anybody_goes_on)
{
	struct act act = {.calls = 0};

	TASK_CHECK(hilo_barrier_init(&act.barrier, 3, acts, &act), ==, 0);
	for (int round = 1; round < 4; round++) {
		act.waiting[0] = party(&act.barrier);
		act.waiting[1] = party(&act.barrier);
		TASK_CHECK(hilo_barrier_wait(&act.barrier, HILO_FOREVER), ==, 2);
		TASK_CHECK(act.calls, ==, round);
		TASK_CHECK(hilo_join(act.waiting[0], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(act.waiting[1], HILO_FOREVER), ==, 1);
	}
	return 0;
}

TASK_TEST(test_failure_of_the_action_breaks_it)
{
	struct act act = {.result = -EIO};

	TASK_CHECK(hilo_barrier_init(&act.barrier, 2, acts, &act), ==, 0);
	act.waiting[0] = party(&act.barrier);
	TASK_CHECK(hilo_barrier_wait(&act.barrier, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "the action says no");
	TASK_CHECK(hilo_join(act.waiting[0], HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_barrier_broken(&act.barrier), ==, 1);
	return 0;
}

/* While it waits in the action others come for the next round, one who has arrived leaves, it is reset. */
TASK_TEST(test_round_that_is_complete_is_not_changed_any_more)
{
	struct act act = {.waits = true};
	hilo_task *last, *early[2];

	TASK_CHECK(hilo_barrier_init(&act.barrier, 3, acts, &act), ==, 0);
	act.waiting[0] = party(&act.barrier);
	act.waiting[1] = party(&act.barrier);
	last = hilo_spawn(arrives, &act.barrier);
	TASK_CHECK(hilo_event_wait(&act.begun, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_barrier_n_waiting(&act.barrier), ==, 0);
	early[0] = party(&act.barrier);
	early[1] = party(&act.barrier);
	TASK_CHECK(hilo_task_cancel(early[1]), ==, 0);
	TASK_CHECK(hilo_join(early[1], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_cancel(act.waiting[0]), ==, 0);
	TASK_CHECK(hilo_join(act.waiting[0], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_barrier_destroy(&act.barrier), ==, -EBUSY);
	TASK_CHECK(hilo_barrier_reset(&act.barrier), ==, 0);
	act.waits = false;
	TASK_CHECK(hilo_event_set(&act.go_on), ==, 0);
	TASK_CHECK(hilo_join(last, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_join(act.waiting[1], HILO_FOREVER), ==, 1); /* as if the other one were there */
	act.waiting[0] = act.waiting[1] = NULL;
	TEST_UNTIL(hilo_barrier_n_waiting(&act.barrier) == 1);
	last = party(&act.barrier);
	TASK_CHECK(hilo_barrier_wait(&act.barrier, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_join(early[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(last, HILO_FOREVER), ==, 1);
	return 0;
}

/* Of the round that is complete nobody is sent away; those who come for the next one are, without having to wait. */
TASK_TEST(test_abort_while_the_action_runs_ends_those_of_the_next_round)
{
	struct act act = {.waits = true};
	hilo_task *last, *early[2];

	TASK_CHECK(hilo_barrier_init(&act.barrier, 2, acts, &act), ==, 0);
	act.waiting[0] = party(&act.barrier);
	last = hilo_spawn(arrives, &act.barrier);
	TASK_CHECK(hilo_event_wait(&act.begun, HILO_FOREVER), ==, 0);
	early[0] = party(&act.barrier);
	early[1] = party(&act.barrier);
	TASK_CHECK(hilo_barrier_abort(&act.barrier), ==, 0);
	TASK_CHECK(hilo_join(early[0], HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_join(early[1], HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_barrier_wait(&act.barrier, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_barrier_destroy(&act.barrier), ==, -EBUSY);
	TASK_CHECK(hilo_event_set(&act.go_on), ==, 0);
	TASK_CHECK(hilo_join(last, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(act.waiting[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_barrier_broken(&act.barrier), ==, 1);
	TASK_CHECK(hilo_barrier_destroy(&act.barrier), ==, 0);
	return 0;
}

static int tells_that_it_has_run(void *arg)
{
	store_relaxed((atomic(int) *)arg, 1);
	return 0;
}

static int loop_body(void *arg)
{
	hilo_barrier barrier;
	atomic(int) has_run;
	hilo_task *task;

	(void)arg;
	atomic_setup(&has_run, 0);
	TASK_CHECK(hilo_barrier_init(&barrier, 1, NULL, NULL), ==, 0);
	task = hilo_spawn(tells_that_it_has_run, &has_run);
	for (unsigned i = 0; i < 100000 && !load_relaxed(&has_run); i++) /* a turn is much shorter */
		TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&has_run), ==, 1);
	return hilo_join(task, HILO_FOREVER);
}

static void test_loop_of_a_party_that_never_waits_lets_others_run(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, loop_body, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* The first that has passed frees it, while others leave: their calls have not returned. */
struct freed {
	hilo_barrier barrier;
	atomic(unsigned) passed;
};

static int passes_and_frees(void *arg)
{
	struct freed *freed = arg;
	int rc = hilo_barrier_wait(&freed->barrier, HILO_FOREVER);

	if (rc >= 0 && add_acq_rel(&freed->passed, 1) == 0)
		memset(&freed->barrier, 0xff, sizeof(freed->barrier));
	return rc;
}

static int frees_early(struct freed *freed)
{
	hilo_task *task[3];
	int rc, passed = 0;

	memset(freed, 0, sizeof(*freed));
	TASK_CHECK(hilo_barrier_init(&freed->barrier, 4, NULL, NULL), ==, 0);
	for (size_t i = 0; i < 3; i++)
		task[i] = hilo_spawn(passes_and_frees, freed);
	TASK_CHECK(hilo_task_cancel(task[1]), ==, 0);
	rc = hilo_barrier_wait(&freed->barrier, hilo_after(HILO_MILLISECOND));
	if (rc >= 0 && add_acq_rel(&freed->passed, 1) == 0)
		memset(&freed->barrier, 0xff, sizeof(freed->barrier));
	else if (rc < 0)
		TASK_CHECK(hilo_barrier_abort(&freed->barrier), ==, 0);
	passed += rc >= 0;
	for (size_t i = 0; i < 3; i++)
		passed += hilo_join(task[i], HILO_FOREVER) >= 0;
	return passed;
}

TASK_TEST(test_barrier_may_be_freed_by_the_first_that_has_passed)
{
	struct freed freed;

	for (unsigned i = 0; i < test_rounds(50); i++) {
		int passed = frees_early(&freed);

		TASK_CHECK(passed == 0 || passed == 4, ==, 1);
	}
	return 0;
}

/* Tasks and threads in step: nobody is a round ahead of another. */
#define PARTIES 5
static hilo_barrier step;
static atomic(unsigned) steps[PARTIES];

static int walks(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (unsigned i = 1; i <= test_rounds(200); i++) {
		store_relaxed(&steps[me], i);
		TASK_CHECK(hilo_barrier_wait(&step, HILO_FOREVER), >=, 0);
		for (unsigned k = 0; k < PARTIES; k++) {
			unsigned other = load_relaxed(&steps[k]);

			TASK_CHECK(other == i || other == i + 1, ==, 1);
		}
	}
	return 0;
}

static void *thread_walks(void *arg)
{
	(void)walks(arg);
	return NULL;
}

TASK_TEST(test_all_walk_in_step)
{
	hilo_task *task[PARTIES];
	pthread_t thread;

	TASK_CHECK(hilo_barrier_init(&step, PARTIES, NULL, NULL), ==, 0);
	TASK_CHECK(pthread_create(&thread, NULL, thread_walks, NULL), ==, 0);
	for (uintptr_t i = 1; i < PARTIES; i++)
		task[i] = hilo_spawn(walks, (void *)i);
	for (size_t i = 1; i < PARTIES; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	test_join_thread(thread);
	return 0;
}

static void in_callback(void *arg)
{
	hilo_barrier barrier;

	TASK_CHECK(hilo_barrier_init(&barrier, 2, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_barrier_wait(&barrier, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_barrier_wait(&barrier, hilo_after(-1)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_barrier_wait(arg, HILO_FOREVER), ==, 1); /* the last one */
}

TASK_TEST(test_callbacks_may_use_it_if_they_need_not_wait)
{
	hilo_barrier barrier;
	hilo_task *task;

	TASK_CHECK(hilo_barrier_init(&barrier, 2, NULL, NULL), ==, 0);
	task = party(&barrier);
	TASK_CHECK(hilo_call_soon(in_callback, &barrier, NULL), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* One whose deadline has passed is a party only if it is the last. */
TASK_TEST(test_party_whose_deadline_has_passed_arrives_last_or_not_at_all)
{
	hilo_barrier barrier;
	hilo_task *task;

	TASK_CHECK(hilo_barrier_init(&barrier, 3, NULL, NULL), ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		TASK_CHECK(hilo_barrier_wait(&barrier, HILO_NO_WAIT), ==, -ETIMEDOUT);
		TASK_CHECK(hilo_barrier_wait(&barrier, hilo_after(-1)), ==, -ETIMEDOUT);
		TASK_CHECK(hilo_barrier_n_waiting(&barrier), ==, i);
		task = party(&barrier);
		(void)hilo_task_detach(task);
	}
	TASK_CHECK(hilo_barrier_wait(&barrier, hilo_after(-1)), ==, 2);
	return 0;
}

static void test_wrong_arguments_are_refused(void **state)
{
	hilo_barrier barrier;

	(void)state;
	assert_int_equal(hilo_barrier_init(&barrier, 0, NULL, NULL), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "0 parties"));
	assert_int_equal(hilo_barrier_init(NULL, 1, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_barrier_wait(NULL, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_barrier_reset(NULL), -EINVAL);
	assert_int_equal(hilo_barrier_abort(NULL), -EINVAL);
	assert_int_equal(hilo_barrier_destroy(NULL), -EINVAL);
	assert_int_equal(hilo_barrier_parties(NULL), 0);
	assert_int_equal(hilo_barrier_n_waiting(NULL), 0);
	assert_int_equal(hilo_barrier_broken(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_those_of_arrival),
		cmocka_unit_test(test_one_party_never_waits),
		cmocka_unit_test(test_place_of_one_that_leaves_is_free_again),
		cmocka_unit_test(test_abort_breaks_it_until_it_is_reset),
		cmocka_unit_test(test_reset_sends_those_who_wait_away),
		cmocka_unit_test(test_action_runs_once_before_anybody_goes_on),
		cmocka_unit_test(test_failure_of_the_action_breaks_it),
		cmocka_unit_test(test_round_that_is_complete_is_not_changed_any_more),
		cmocka_unit_test(test_abort_while_the_action_runs_ends_those_of_the_next_round),
		cmocka_unit_test(test_loop_of_a_party_that_never_waits_lets_others_run),
		cmocka_unit_test(test_barrier_may_be_freed_by_the_first_that_has_passed),
		cmocka_unit_test(test_all_walk_in_step),
		cmocka_unit_test(test_callbacks_may_use_it_if_they_need_not_wait),
		cmocka_unit_test(test_party_whose_deadline_has_passed_arrives_last_or_not_at_all),
		cmocka_unit_test(test_wrong_arguments_are_refused),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
