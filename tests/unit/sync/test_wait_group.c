/* SPDX-License-Identifier: MIT */
/* test_wait_group.c - wait groups and latches. The six cases of a call that suspends are in test_suspend.c. */
#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

static int waits(void *group)
{
	return hilo_wait_group_wait(group, HILO_FOREVER);
}

static hilo_task *waiter(hilo_wait_group *group)
{
	hilo_task *task = hilo_spawn(waits, group);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_all_zero_is_a_group_with_nothing_under_way)
{
	hilo_wait_group group = HILO_WAIT_GROUP_INIT, zero;

	memset(&zero, 0, sizeof(zero));
	TASK_CHECK(memcmp(&group, &zero, sizeof(zero)), ==, 0);
	TASK_CHECK(hilo_wait_group_wait(&group, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_wait_group_destroy(&group), ==, 0);
	return 0;
}

TASK_TEST(test_last_one_wakes_all)
{
	hilo_wait_group group;
	hilo_task *task[20];

	TASK_CHECK(hilo_wait_group_init(&group), ==, 0);
	TASK_CHECK(hilo_wait_group_add(&group, 2), ==, 0);
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = waiter(&group);
	TASK_CHECK(hilo_wait_group_done(&group), ==, 0);
	TASK_CHECK(hilo_wait_group_count(&group), ==, 1);
	TASK_CHECK(hilo_wait_group_destroy(&group), ==, -EBUSY);
	TASK_CHECK(hilo_wait_group_add(&group, 1), ==, 0); /* while somebody waits: he waits for that, too */
	TASK_CHECK(hilo_wait_group_done(&group), ==, 0);
	TASK_CHECK(hilo_task_is_done(task[0]), ==, 0);
	TASK_CHECK(hilo_wait_group_done(&group), ==, 0);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_it_can_be_used_again_before_those_who_waited_have_run)
{
	hilo_wait_group group = HILO_WAIT_GROUP_INIT;
	hilo_task *first, *second;

	TASK_CHECK(hilo_wait_group_add(&group, 1), ==, 0);
	first = waiter(&group);
	TASK_CHECK(hilo_wait_group_done(&group), ==, 0);
	TASK_CHECK(hilo_wait_group_add(&group, 1), ==, 0);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 0);
	second = waiter(&group);
	TASK_CHECK(hilo_task_cancel(second), ==, 0);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_wait_group_done(&group), ==, 0);
	TASK_CHECK(hilo_wait_group_wait(&group, HILO_NO_WAIT), ==, 0);
	return 0;
}

static void test_misuse_of_a_group_is_answered(void **state)
{
	hilo_wait_group group = HILO_WAIT_GROUP_INIT;

	(void)state;
	assert_int_equal(hilo_wait_group_done(&group), HILO_EINVALSTATE);
	assert_non_null(strstr(hilo_error_message(), "hilo_wait_group_done: 1 of 0"));
	assert_int_equal(hilo_wait_group_count(&group), 0);
	assert_int_equal(hilo_wait_group_add(&group, SIZE_MAX), -EOVERFLOW);
	assert_int_equal(hilo_wait_group_add(&group, SIZE_MAX >> 2), 0);
	assert_int_equal(hilo_wait_group_add(&group, 1), -EOVERFLOW);
	assert_true(hilo_wait_group_count(&group) == SIZE_MAX >> 2);
	assert_int_equal(hilo_wait_group_init(NULL), -EINVAL);
	assert_int_equal(hilo_wait_group_add(NULL, 1), -EINVAL);
	assert_int_equal(hilo_wait_group_done(NULL), -EINVAL);
	assert_int_equal(hilo_wait_group_wait(NULL, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_wait_group_destroy(NULL), -EINVAL);
	assert_int_equal(hilo_wait_group_count(NULL), 0);
}

/* The group lies with the one that waits: gone when it has returned. */
struct job {
	hilo_wait_group *group;
	int value;
};

static int works(void *arg)
{
	struct job *job = arg;

	job->value++;
	return hilo_wait_group_done(job->group);
}

TASK_TEST(test_group_may_be_freed_when_the_last_one_is_done)
{
	for (unsigned i = 0; i < test_rounds(50); i++) {
		hilo_wait_group group = HILO_WAIT_GROUP_INIT;
		struct job job[3];
		hilo_task *task[3];

		TASK_CHECK(hilo_wait_group_add(&group, 3), ==, 0);
		for (size_t k = 0; k < 3; k++) {
			job[k] = (struct job){&group, (int)k};
			task[k] = hilo_spawn(works, &job[k]);
		}
		TASK_CHECK(hilo_wait_group_wait(&group, HILO_FOREVER), ==, 0);
		memset(&group, 0xff, sizeof(group));
		for (int k = 0; k < 3; k++)
			TASK_CHECK(job[k].value, ==, k + 1);
		for (size_t k = 0; k < 3; k++)
			TASK_CHECK(hilo_join(task[k], HILO_FOREVER), ==, 0);
	}
	return 0;
}

static void in_callback(void *arg)
{
	hilo_wait_group group = HILO_WAIT_GROUP_INIT;

	TASK_CHECK(hilo_wait_group_wait(&group, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_wait_group_add(&group, 1), ==, 0);
	TASK_CHECK(hilo_wait_group_wait(&group, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_wait_group_wait(&group, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_wait_group_wait(&group, hilo_after(-1)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_wait_group_done(arg), ==, 0);
}

TASK_TEST(test_callbacks_may_use_it_if_they_need_not_wait)
{
	hilo_wait_group group = HILO_WAIT_GROUP_INIT;

	TASK_CHECK(hilo_wait_group_add(&group, 1), ==, 0);
	TASK_CHECK(hilo_call_soon(in_callback, &group, NULL), ==, 0);
	return hilo_wait_group_wait(&group, HILO_FOREVER);
}

static int waits_for_latch(void *latch)
{
	return hilo_latch_wait(latch, HILO_FOREVER);
}

TASK_TEST(test_latch_opens_and_stays_open)
{
	hilo_latch latch = HILO_LATCH_INIT(3);
	hilo_task *task = hilo_spawn(waits_for_latch, &latch);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_latch_count(&latch), ==, 3);
	TASK_CHECK(hilo_latch_count_down(&latch, 0), ==, 0);
	TASK_CHECK(hilo_latch_count_down(&latch, 2), ==, 0);
	TASK_CHECK(hilo_latch_wait(&latch, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_latch_count_down(&latch, 2), ==, HILO_EINVALSTATE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_latch_count_down: 2 of 1");
	TASK_CHECK(hilo_latch_destroy(&latch), ==, -EBUSY);
	TASK_CHECK(hilo_latch_count_down(&latch, 1), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_latch_wait(&latch, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_latch_count_down(&latch, 1), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_latch_destroy(&latch), ==, 0);
	return 0;
}

static void test_misuse_of_a_latch_is_answered(void **state)
{
	hilo_latch latch;

	(void)state;
	assert_int_equal(hilo_latch_init(&latch, SIZE_MAX), -EINVAL);
	assert_int_equal(hilo_latch_init(NULL, 1), -EINVAL);
	assert_int_equal(hilo_latch_init(&latch, 1), 0);
	assert_int_equal(hilo_latch_count_down(&latch, SIZE_MAX), HILO_EINVALSTATE);
	assert_int_equal(hilo_latch_count_down(NULL, 1), -EINVAL);
	assert_int_equal(hilo_latch_wait(NULL, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_latch_destroy(NULL), -EINVAL);
	assert_int_equal(hilo_latch_count(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_zero_is_a_group_with_nothing_under_way),
		cmocka_unit_test(test_last_one_wakes_all),
		cmocka_unit_test(test_it_can_be_used_again_before_those_who_waited_have_run),
		cmocka_unit_test(test_misuse_of_a_group_is_answered),
		cmocka_unit_test(test_group_may_be_freed_when_the_last_one_is_done),
		cmocka_unit_test(test_callbacks_may_use_it_if_they_need_not_wait),
		cmocka_unit_test(test_latch_opens_and_stays_open),
		cmocka_unit_test(test_misuse_of_a_latch_is_answered),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
