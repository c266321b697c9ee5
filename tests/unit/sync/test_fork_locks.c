/* SPDX-License-Identifier: MIT */
/* Locks in forks, in debug mode: misuse is told, whether the fork was stolen or not, and nothing else is. */
#include <errno.h>
#include <string.h>

#include "tests/unit/runtime/forks.h"

#ifdef HILO__TSAN
#define FIB_N 10 /* each fork that is taken is a fiber there */
#define FIB_VALUE 55
#define DEEP 200
#define MANY 1000
#else
#define FIB_N 16
#define FIB_VALUE 987
#define DEEP 5000
#define MANY 20000
#endif

static hilo_mutex mutex;
static hilo_rwlock table;
static hilo_condition changed;

static void fresh(void)
{
	TASK_CHECK(hilo_mutex_init(&mutex, 0), ==, 0);
	hilo_rwlock_init(&table);
	hilo_condition_init(&changed);
}

/* Run @body in debug mode: nothing is stolen, others may steal, each fork is taken. */
static void test_each_way(hilo_task_fn body)
{
	static const unsigned workers[] = {1, 2, 8};

	for (size_t i = 0; i < array_size(workers); i++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = workers[i], .flags = HILO_DEBUG_MODE};

		assert_int_equal(hilo_run(body, NULL, &opts), 0);
		hilo__forks_forced = FORKS_EACH;
		assert_int_equal(hilo_run(body, NULL, &opts), 0);
		hilo__forks_forced = FORKS_AS_EVER;
	}
}

/* What is not the fork's: mutex, table written, table read. */
HILO_FORKABLE(int, gives_back, int, how)
{
	int rc;

	if (how == 0)
		rc = hilo_mutex_unlock(&mutex);
	else if (how == 1)
		rc = hilo_condition_wait(&changed, &mutex, hilo_after(HILO_MILLISECOND));
	else if (how == 2)
		rc = hilo_rwlock_unlock(&table);
	else
		rc = hilo_rwlock_downgrade(&table);
	if (rc < 0)
		TASK_CHECK(hilo_error_message() != NULL, ==, true);
	return rc;
}

HILO_FORKABLE(int, has_and_forks, int, how)
{
	int rc;

	HILO_FORK(gives_back, how);
	rc = HILO_JOIN(gives_back);
	HILO_FORK(gives_back, how); /* one that began after another one has ended */
	TASK_CHECK(HILO_JOIN(gives_back), ==, rc);
	return rc;
}

HILO_FORKABLE(int, grandparent, int, how)
{
	HILO_FORK(has_and_forks, how);
	return HILO_JOIN(has_and_forks);
}

static int unlocks_what_its_ancestors_have(void *arg)
{
	(void)arg;
	fresh();
	for (int how = 0; how < 4; how++) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_rwlock_write(&table, HILO_FOREVER), ==, 0);
		TASK_CHECK(HILO_REGION(grandparent, NULL, how), ==, -EPERM);
		TASK_CHECK(hilo_rwlock_unlock(&table), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

static void test_a_fork_does_not_have_what_its_ancestors_have(void **state)
{
	(void)state;
	test_each_way(unlocks_what_its_ancestors_have);
}

/* On one worker without thieves the messages say whose it is. */
static int is_told_whose_it_is(void *arg)
{
	(void)arg;
	fresh();
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(HILO_REGION(grandparent, NULL, 0), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_mutex_unlock: a fork on the stack of");
	TASK_CHECK_CONTAINS(hilo_error_message(), "an ancestor of it does, locked at");
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	TASK_CHECK(HILO_REGION(grandparent, NULL, 2), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_rwlock_unlock: a fork");
	return hilo_rwlock_unlock(&table);
}

static void test_whose_it_is(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_DEBUG_MODE};

	(void)state;
	assert_int_equal(hilo_run(is_told_whose_it_is, NULL, &opts), 0);
}

HILO_FORKABLE(int, keeps, int, n)
{
	if (n)
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	else
		TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	return 0;
}

HILO_FORKABLE(int, parent_of_who_keeps, int, n)
{
	HILO_FORK(keeps, n);
	return HILO_JOIN(keeps);
}

static int leaves_locks_behind(void *arg)
{
	(void)arg;
	fresh();
	TASK_CHECK(HILO_REGION(parent_of_who_keeps, NULL, 0), ==, 0);
	TASK_CHECK(HILO_REGION(parent_of_who_keeps, NULL, 1), ==, 0);
	return 0;
}

static void test_a_fork_that_keeps_a_lock_is_told(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_DEBUG_MODE};
	char line[2048];

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(leaves_locks_behind, NULL, &opts), 0);
	assert_int_equal(test_log_count("lock kept"), 2);
	test_log_last(line, sizeof(line));
	assert_non_null(strstr(line, "the fork "));
	assert_non_null(strstr(line, "locked at"));
	/* It is not told again. */
	assert_int_equal(hilo_run(leaves_locks_behind, NULL, &opts), 0);
	assert_int_equal(test_log_count("lock kept"), 2);
	test_log_end();
}

/* The same where it was taken, in functions of their own. */
HILO_FORKABLE(int, keeps_too, int, n)
{
	if (n)
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	else
		TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	return 0;
}

HILO_FORKABLE(int, parent_of_who_keeps_too, int, n)
{
	HILO_FORK(keeps_too, n);
	HILO_FORK(gives_back, 0);
	(void)HILO_JOIN(gives_back);
	return HILO_JOIN(keeps_too);
}

static int leaves_locks_behind_elsewhere(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		fresh();
		TASK_CHECK(HILO_REGION(parent_of_who_keeps_too, NULL, i % 2), ==, 0);
	}
	return 0;
}

static void test_a_stolen_fork_that_keeps_a_lock_is_told(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_DEBUG_MODE};

	(void)state;
	hilo__forks_forced = FORKS_EACH;
	test_log_begin();
	assert_int_equal(hilo_run(leaves_locks_behind_elsewhere, NULL, &opts), 0);
	assert_int_equal(test_log_count("lock kept"), 2);
	test_log_end();
	hilo__forks_forced = FORKS_AS_EVER;
}

/* What is right: locks that are taken and given back in forks, in calls of them, and in regions within. */
HILO_FORKABLE(long, fib, long, n)
{
	long right;

	if (n < 2) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		if (n == 1)
			(void)hilo_yield();
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
		return n;
	}
	HILO_FORK(fib, n - 1);
	right = HILO_CALL(fib, n - 2);
	return HILO_JOIN(fib) + right;
}

/* In the function that has forked, between its forks, and across those. */
HILO_FORKABLE(int, locks_around, int, depth)
{
	hilo_mutex own = HILO_MUTEX_INIT;
	int rc = 0, inner;

	TASK_CHECK(hilo_mutex_lock(&own, HILO_FOREVER), ==, 0);
	if (depth > 0) {
		HILO_FORK(locks_around, depth - 1);
		TASK_CHECK(HILO_REGION(locks_around, &inner, depth - 2), ==, 0);
		TASK_CHECK(inner, ==, 0);
		rc = HILO_JOIN(locks_around);
	}
	TASK_CHECK(hilo_mutex_unlock(&own), ==, 0);
	return rc;
}

HILO_FORKABLE(long, deep, long, n)
{
	long below;

	if (n == 0)
		return 0;
	HILO_FORK(deep, n - 1);
	below = HILO_JOIN(deep);
	TASK_CHECK(hilo_rwlock_read(&table, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_rwlock_unlock(&table), ==, 0);
	return below + 1;
}

/* More than there is room for: those beyond run at once. */
HILO_FORKABLE(long, many, long, n)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		HILO_FORK(deep, 1);
	for (long i = 0; i < n; i++)
		sum += HILO_JOIN(deep);
	return sum;
}

static int does_it_right(void *arg)
{
	long value = 0;
	int rc = 0;

	(void)arg;
	fresh();
	TASK_CHECK(HILO_REGION(fib, &value, FIB_N), ==, 0);
	TASK_CHECK(value, ==, FIB_VALUE);
	TASK_CHECK(HILO_REGION(locks_around, &rc, 6), ==, 0);
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(HILO_REGION(deep, &value, DEEP), ==, 0);
	TASK_CHECK(value, ==, DEEP);
	if (hilo__forks_forced)
		return 0;
	TASK_CHECK(HILO_REGION(many, &value, MANY), ==, 0);
	TASK_CHECK(value, ==, MANY);
	return 0;
}

static void test_what_is_right_is_not_told(void **state)
{
	(void)state;
	test_log_begin();
	test_each_way(does_it_right);
	assert_int_equal(test_log_count("lock kept"), 0);
	assert_int_equal(test_log_count("lock order"), 0);
	test_log_end();
}

/* What nobody has asked for stays its owner's. */
HILO_FORKABLE(long, joins_of_its_own, long, n)
{
	struct forks *forks = hilo__fork_region_of(thread_self());
	long sum = 0;

	for (long i = 0; i < n; i++)
		HILO_FORK(deep, 0);
	for (long i = 0; i < n; i++) {
		sum += HILO_JOIN(deep);
		TASK_CHECK(forks->split, ==, forks->record);
	}
	return sum;
}

static int joins_without_thieves(void *arg)
{
	(void)arg;
	fresh();
	return HILO_REGION(joins_of_its_own, NULL, 8);
}

/* Each join comes to the library, which is no request: on one worker nothing is ever given away. */
static void test_joins_give_nothing_away_by_themselves(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_DEBUG_MODE};
	int rc;

	(void)state;
	hilo__nobody_stands_in = true;
	rc = hilo_run(joins_without_thieves, NULL, &opts);
	hilo__nobody_stands_in = false;
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fork_does_not_have_what_its_ancestors_have),
		cmocka_unit_test(test_whose_it_is),
		cmocka_unit_test(test_a_fork_that_keeps_a_lock_is_told),
		cmocka_unit_test(test_a_stolen_fork_that_keeps_a_lock_is_told),
		cmocka_unit_test(test_what_is_right_is_not_told),
		cmocka_unit_test(test_joins_give_nothing_away_by_themselves),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
