/* SPDX-License-Identifier: MIT */
/* Locks in debug mode: the order in which they are taken, and where they were. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static const hilo_opts debugging = {.size = sizeof(debugging), .workers = 2, .flags = HILO_DEBUG_MODE};

static hilo_mutex first, second;
static hilo_rwlock table;

/* Places of their own. */
HILO__NOINLINE static void lock_first_then_second(void)
{
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&second), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
}

HILO__NOINLINE static void lock_second_then_first(void)
{
	TASK_CHECK(hilo_mutex_lock(&second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&second), ==, 0);
}

static void fresh(void)
{
	TASK_CHECK(hilo_mutex_init(&first, 0), ==, 0);
	TASK_CHECK(hilo_mutex_init(&second, 0), ==, 0);
	hilo_rwlock_init(&table);
}

static int inverts(void *arg)
{
	(void)arg;
	fresh();
	for (int i = 0; i < 3; i++) {
		lock_first_then_second();
		TASK_CHECK(test_log_count("lock order"), ==, i > 0);
		lock_second_then_first();
		TASK_CHECK(test_log_count("lock order"), ==, 1);
	}
	return 0;
}

static void test_an_inversion_is_told_once(void **state)
{
	char line[2048];

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(inverts, NULL, &debugging), 0);
	assert_int_equal(test_log_count("lock order"), 1);
	test_log_last(line, sizeof(line));
	test_log_end();
	assert_non_null(strstr(line, "lock order"));
	assert_non_null(strstr(line, "the other way round"));
}

static int keeps_order(void *arg)
{
	(void)arg;
	fresh();
	for (int i = 0; i < 3; i++)
		lock_first_then_second();
	fresh(); /* others, in the same place */
	for (int i = 0; i < 3; i++)
		lock_second_then_first();
	return 0;
}

static void test_an_order_that_is_kept_is_not_told(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(keeps_order, NULL, &debugging), 0);
	assert_int_equal(test_log_count("lock order"), 0);
	test_log_end();
}

static int mixes(void *arg)
{
	(void)arg;
	fresh();
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_write(&table, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_unlock(&table), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_try_lock(&first), ==, 0); /* does not wait */
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(test_log_count("lock order"), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(test_log_count("lock order"), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_rwlock_unlock(&table), ==, 0);
	return 0;
}

static void test_mutexes_and_rwlocks_have_one_order(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(mixes, NULL, &debugging), 0);
	test_log_end();
}

static int locks_again(void *arg)
{
	(void)arg;
	fresh();
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "locked at");
	TASK_CHECK_CONTAINS(hilo_error_message(), "again at");
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_write(&table, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "locked at");
	TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_rwlock_unlock(&table), ==, 0);
	TASK_CHECK(hilo_rwlock_destroy(&table), ==, 0);
	return 0;
}

static void test_who_locks_again_is_told_both_places(void **state)
{
	(void)state;
	assert_int_equal(hilo_run(locks_again, NULL, &debugging), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_order_that_is_kept_is_not_told),
		cmocka_unit_test(test_an_inversion_is_told_once),
		cmocka_unit_test(test_mutexes_and_rwlocks_have_one_order),
		cmocka_unit_test(test_who_locks_again_is_told_both_places),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
