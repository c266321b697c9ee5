/* SPDX-License-Identifier: MIT */
/*
 * test_semaphore.c - permits: how many there are at most, who gets them first, what is refused. The six cases of a
 * call that suspends are in test_suspend.c.
 */
#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

struct taker {
	hilo_semaphore *semaphore;
	size_t n;
};

static int takes(void *arg)
{
	const struct taker *self = arg;

	return hilo_semaphore_acquire(self->semaphore, self->n, HILO_FOREVER);
}

/* A task that waits for permits by now. */
static hilo_task *taker(struct taker *self, hilo_semaphore *semaphore, size_t n)
{
	hilo_task *task;

	*self = (struct taker){semaphore, n};
	task = hilo_spawn(takes, self);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_initialiser_and_init_make_the_same)
{
	hilo_semaphore is = HILO_SEMAPHORE_INIT(3), init;

	memset(&init, 0, sizeof(init));
	TASK_CHECK(hilo_semaphore_value(&init), ==, 0);
	TASK_CHECK(hilo_semaphore_try_acquire(&init, 1), ==, -EAGAIN);
	TASK_CHECK(hilo_semaphore_init(&init, 3, 0), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&is), ==, 3);
	TASK_CHECK(hilo_semaphore_value(&init), ==, 3);
	TASK_CHECK(hilo_semaphore_try_acquire(&is, 4), ==, -EAGAIN);
	TASK_CHECK(hilo_semaphore_try_acquire(&is, 2), ==, 0);
	TASK_CHECK(hilo_semaphore_acquire(&is, 1, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_semaphore_acquire(&is, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_semaphore_acquire(&is, 0, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_semaphore_release(&is, 3), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&is), ==, 3);
	TASK_CHECK(hilo_semaphore_destroy(&is), ==, 0);
	return 0;
}

TASK_TEST(test_first_come_first_served)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(0);
	struct taker self[4];
	hilo_task *task[4];

	for (size_t i = 0; i < 4; i++)
		task[i] = taker(&self[i], &semaphore, 1);
	for (size_t i = 0; i < 4; i++) {
		TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		for (size_t k = i + 1; k < 4; k++)
			TASK_CHECK(hilo_task_is_done(task[k]), ==, 0);
	}
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
	return 0;
}

/* Whoever comes later waits behind the large request, though there would be enough for it. */
TASK_TEST(test_large_request_is_not_overtaken)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2);
	struct taker large, small;
	hilo_task *first = taker(&large, &semaphore, 3), *second = taker(&small, &semaphore, 1);

	TASK_CHECK(hilo_semaphore_try_acquire(&semaphore, 1), ==, -EAGAIN);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 2);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_is_done(second), ==, 0);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 2), ==, 0);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	return 0;
}

TASK_TEST(test_one_release_serves_as_many_as_it_can)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(0);
	struct taker self[40];
	hilo_task *task[40];

	for (size_t i = 0; i < 40; i++)
		task[i] = taker(&self[i], &semaphore, 2);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 77), ==, 0);
	for (size_t i = 0; i < 38; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, -EBUSY);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 3), ==, 0);
	TASK_CHECK(hilo_join(task[38], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task[39], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
	TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, 0);
	return 0;
}

/* There is enough for those behind the one that leaves. */
TASK_TEST(test_who_leaves_lets_the_next_ones_go_on)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2);
	struct taker large, small[3];
	hilo_task *first = taker(&large, &semaphore, 3), *task[3];

	for (size_t i = 0; i < 3; i++)
		task[i] = taker(&small[i], &semaphore, 1);
	TASK_CHECK(hilo_task_cancel(first), ==, 0);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_is_done(task[2]), ==, 0);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
	TASK_CHECK(hilo_join(task[2], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
	TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, 0);
	return 0;
}

TASK_TEST(test_cancelled_waiter_does_not_eat_a_permit)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(0);
	struct taker self[2];
	hilo_task *first = taker(&self[0], &semaphore, 1), *second = taker(&self[1], &semaphore, 1);
	int rc;

	TASK_CHECK(hilo_task_cancel(first), ==, 0);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
	rc = hilo_join(first, HILO_FOREVER);
	if (rc == 0) /* it was faster */
		TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
	else
		TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
	return 0;
}

TASK_TEST(test_bounded_one_refuses_what_is_too_much)
{
	hilo_semaphore semaphore;
	struct taker self;
	hilo_task *task;

	TASK_CHECK(hilo_semaphore_init(&semaphore, 2, 2), ==, 0);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, -EOVERFLOW);
	TASK_CHECK_CONTAINS(hilo_error_message(), "1 permits, there are 2 of at most 2");
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 2);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_semaphore_try_acquire(&semaphore, 3), ==, -EINVAL);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER), ==, 0);
	task = taker(&self, &semaphore, 2);
	TASK_CHECK(hilo_semaphore_release(&semaphore, 2), ==, -EOVERFLOW); /* also while somebody waits */
	TASK_CHECK(hilo_semaphore_release(&semaphore, 1), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

static void test_numbers_do_not_overflow(void **state)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(HILO_SEMAPHORE_MAX);

	(void)state;
	assert_true(hilo_semaphore_value(&semaphore) == HILO_SEMAPHORE_MAX);
	assert_int_equal(hilo_semaphore_release(&semaphore, 1), -EOVERFLOW);
	assert_int_equal(hilo_semaphore_release(&semaphore, SIZE_MAX), -EOVERFLOW);
	assert_int_equal(hilo_semaphore_acquire(&semaphore, HILO_SEMAPHORE_MAX, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_semaphore_value(&semaphore), 0);
	assert_int_equal(hilo_semaphore_acquire(&semaphore, HILO_SEMAPHORE_MAX + 1, HILO_NO_WAIT), -EINVAL);
	assert_int_equal(hilo_semaphore_release(&semaphore, HILO_SEMAPHORE_MAX), 0);
	assert_int_equal(hilo_semaphore_init(&semaphore, 1, HILO_SEMAPHORE_MAX + 1), -EINVAL);
	assert_int_equal(hilo_semaphore_init(&semaphore, 3, 2), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "value 3, max 2"));
	assert_true(hilo_semaphore_value(&semaphore) == HILO_SEMAPHORE_MAX);
}

static void test_null_is_refused(void **state)
{
	(void)state;
	assert_int_equal(hilo_semaphore_init(NULL, 0, 0), -EINVAL);
	assert_int_equal(hilo_semaphore_acquire(NULL, 1, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_semaphore_try_acquire(NULL, 1), -EINVAL);
	assert_int_equal(hilo_semaphore_release(NULL, 1), -EINVAL);
	assert_int_equal(hilo_semaphore_destroy(NULL), -EINVAL);
	assert_int_equal(hilo_semaphore_value(NULL), 0);
}

static int block_returns(hilo_semaphore *semaphore)
{
	int rc;

	HILO_WITH_SEMAPHORE(semaphore, &rc)
	{
		TASK_CHECK(hilo_semaphore_value(semaphore), ==, 0);
		return 7;
	}
	return rc;
}

static int block_waits(void *semaphore)
{
	int rc;

	HILO_WITH_SEMAPHORE(semaphore, &rc)
	rc = hilo_sleep_until(HILO_FOREVER);
	return rc;
}

TASK_TEST(test_block_gives_its_permit_back_on_every_way_out)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(1);
	hilo_task *task;
	int rc;

	HILO_WITH_SEMAPHORE(&semaphore, &rc)
	rc = -EIO;
	TASK_CHECK(rc, ==, -EIO);
	TASK_CHECK(block_returns(&semaphore), ==, 7);
	HILO_WITH_SEMAPHORE(&semaphore, &rc)
	break;
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	task = hilo_spawn(block_waits, &semaphore);
	TEST_UNTIL(hilo_semaphore_value(&semaphore) == 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	return 0;
}

/* Never more than two of the tasks and threads are inside. */
static hilo_semaphore doors = HILO_SEMAPHORE_INIT(2);
static atomic(int) inside, most;

static int visits(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 50; i++) {
		int now, seen, rc;

		HILO_WITH_SEMAPHORE(&doors, &rc)
		{
			now = add_relaxed(&inside, 1) + 1;
			seen = load_relaxed(&most);
			while (now > seen && !cas_relaxed(&most, &seen, now))
				;
			TASK_CHECK(hilo_yield(), ==, 0);
			(void)sub_relaxed(&inside, 1);
		}
		TASK_CHECK(rc, ==, 0);
	}
	return 0;
}

static void *thread_visits(void *arg)
{
	(void)visits(arg);
	return NULL;
}

TASK_TEST(test_there_are_never_more_inside_than_permits)
{
	hilo_task *task[12];
	pthread_t thread[2];

	store_relaxed(&most, 0);
	for (size_t i = 0; i < array_size(thread); i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, thread_visits, NULL), ==, 0);
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(visits, NULL);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < array_size(thread); i++)
		test_join_thread(thread[i]);
	TASK_CHECK(load_relaxed(&most), <=, 2);
	TASK_CHECK(hilo_semaphore_value(&doors), ==, 2);
	return 0;
}

static void in_callback(void *arg)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(1);

	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, hilo_after(HILO_SECOND)), ==, -EDEADLK);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_semaphore_acquire(&semaphore, 1, hilo_after(-1)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_semaphore_release(arg, 1), ==, 0);
}

TASK_TEST(test_callbacks_may_use_it_if_they_need_not_wait)
{
	hilo_semaphore done = HILO_SEMAPHORE_INIT(0);

	TASK_CHECK(hilo_call_soon(in_callback, &done, NULL), ==, 0);
	return hilo_semaphore_acquire(&done, 1, HILO_FOREVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initialiser_and_init_make_the_same),
		cmocka_unit_test(test_first_come_first_served),
		cmocka_unit_test(test_large_request_is_not_overtaken),
		cmocka_unit_test(test_one_release_serves_as_many_as_it_can),
		cmocka_unit_test(test_who_leaves_lets_the_next_ones_go_on),
		cmocka_unit_test(test_cancelled_waiter_does_not_eat_a_permit),
		cmocka_unit_test(test_bounded_one_refuses_what_is_too_much),
		cmocka_unit_test(test_numbers_do_not_overflow),
		cmocka_unit_test(test_null_is_refused),
		cmocka_unit_test(test_block_gives_its_permit_back_on_every_way_out),
		cmocka_unit_test(test_there_are_never_more_inside_than_permits),
		cmocka_unit_test(test_callbacks_may_use_it_if_they_need_not_wait),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
