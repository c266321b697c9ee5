/* SPDX-License-Identifier: MIT */
/* Locks in debug mode: the order in which they are taken, and where they were. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "sync/order_impl.h"

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

static hilo_condition changed;

/* A place of its own, of less than 1024 bytes. */
HILO__NOINLINE static int waits_here(void)
{
	volatile int rc = hilo_condition_wait(&changed, &first, hilo_after(HILO_MILLISECOND));

	return rc;
}

static int locks_in_a_wait(void *arg)
{
	const char *site, *locked;

	(void)arg;
	fresh();
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	locked = hilo__order_where(hilo_task_current(), &first);
	TASK_CHECK(waits_here(), ==, -ETIMEDOUT);
	site = hilo__order_where(hilo_task_current(), &first);
	TASK_CHECK(site, !=, locked);
	TASK_CHECK(site > (const char *)(uintptr_t)waits_here, ==, true);
	TASK_CHECK(site < (const char *)(uintptr_t)waits_here + 1024, ==, true);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	return 0;
}

static void test_after_a_wait_the_place_is_that_of_the_wait(void **state)
{
	(void)state;
	assert_int_equal(hilo_run(locks_in_a_wait, NULL, &debugging), 0);
}

#define MANY 10000

static hilo_mutex many[MANY];

/* Under the first one all others, one after the other; then the other way round, with the one that was before all. */
static int has_many(void *arg)
{
	(void)arg;
	fresh();
	memset(many, 0, sizeof(many));
	for (int i = 0; i < MANY; i++) {
		TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_lock(&many[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&many[i]), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	}
	TASK_CHECK(hilo_mutex_lock(&many[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(test_log_count("lock order"), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&many[0]), ==, 0);
	/* All at once: none of them is forgotten. */
	for (int i = 0; i < MANY; i++)
		TASK_CHECK(hilo_mutex_lock(&many[i], HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&many[0], HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "locked at");
	for (int i = MANY; i-- > 0;)
		TASK_CHECK(hilo_mutex_unlock(&many[i]), ==, 0);
	return 0;
}

static void test_ten_thousand_locks_are_known(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(has_many, NULL, &debugging), 0);
	test_log_end();
}

static hilo_mutex left[4096];

static int ends_with_a_lock(void *arg)
{
	return hilo_mutex_lock(arg, HILO_FOREVER);
}

static int locks_second(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_mutex_lock(&second, HILO_FOREVER), ==, 0);
	return hilo_mutex_unlock(&second);
}

/* Tasks that end with a lock, and others that are where they were, in memory, and take another one. */
static int leaves_locks(void *arg)
{
	(void)arg;
	fresh();
	memset(left, 0, sizeof(left));
	for (unsigned i = 0; i < array_size(left); i++)
		TASK_CHECK(hilo_join(hilo_spawn(ends_with_a_lock, &left[i]), HILO_FOREVER), ==, 0);
	memset(left, 0, sizeof(left));
	for (unsigned i = 0; i < array_size(left); i++)
		TASK_CHECK(hilo_join(hilo_spawn(locks_second, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&second), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(test_log_count("lock order"), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&first, HILO_FOREVER), ==, 0); /* places that nothing was said of */
	TASK_CHECK(test_log_count("lock order"), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&first), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&second), ==, 0);
	return 0;
}

static void test_what_ended_tasks_had_is_nobodys(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(leaves_locks, NULL, &debugging), 0);
	test_log_end();
}

static int tries_under_a_lock(void *arg)
{
	(void)arg;
	fresh();
	for (int i = 0; i < 2; i++) {
		hilo_mutex *one = i ? &second : &first, *other = i ? &first : &second;

		TASK_CHECK(hilo_mutex_lock(one, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_lock(other, HILO_NO_WAIT), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(other), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(one), ==, 0);
	}
	TASK_CHECK(test_log_count("lock order"), ==, 0);
	return 0;
}

static void test_who_does_not_wait_makes_no_pair(void **state)
{
	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(tries_under_a_lock, NULL, &debugging), 0);
	test_log_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_order_that_is_kept_is_not_told),
		cmocka_unit_test(test_an_inversion_is_told_once),
		cmocka_unit_test(test_mutexes_and_rwlocks_have_one_order),
		cmocka_unit_test(test_who_locks_again_is_told_both_places),
		cmocka_unit_test(test_after_a_wait_the_place_is_that_of_the_wait),
		cmocka_unit_test(test_ten_thousand_locks_are_known),
		cmocka_unit_test(test_what_ended_tasks_had_is_nobodys),
		cmocka_unit_test(test_who_does_not_wait_makes_no_pair),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
