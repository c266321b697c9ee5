/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RUNTIME_FORKS_H
#define TESTS_UNIT_RUNTIME_FORKS_H

/* forks.h - tests of forks. */
#include "scheduler/fork.h"
#include "tests/support/test.h"

/* As test_each, and again with forks taken by tasks of their own: as far as lots say so, and all of them. */
static inline __attribute__((unused)) void fork_test_each(hilo_task_fn body)
{
	for (int forced = FORKS_AS_EVER; forced <= FORKS_EACH; forced++) {
		hilo__forks_forced = (enum forks_forced)forced;
		test_each(body);
	}
	hilo__forks_forced = FORKS_AS_EVER;
}

/*
 * With so many workers, in the order that a program has; with forks taken as lots say so; and, but for dozens of
 * workers, whose threads take most of the time then, with each of them taken.
 */
static inline __attribute__((unused)) void fork_test_with(hilo_task_fn body, unsigned workers)
{
	assert_int_equal(test_run_natural(workers, body, NULL), 0);
	hilo__forks_forced = FORKS_BY_LOT;
	assert_int_equal(test_run(workers, body, NULL), 0);
	hilo__forks_forced = FORKS_EACH;
	if (workers <= 8)
		assert_int_equal(test_run(workers, body, NULL), 0);
	hilo__forks_forced = FORKS_AS_EVER;
}

static inline __attribute__((unused)) void fork_test_wide(hilo_task_fn body)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	for (size_t i = 0; i < array_size(workers); i++)
		fork_test_with(body, workers[i]);
}

/* As TASK_TEST, in each of these ways. */
#define FORK_TEST_BY(each, name)                                                                             \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		each(name##_body);                                                                           \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

#define FORK_TEST(name) FORK_TEST_BY(fork_test_each, name)
#define FORK_TEST_WIDE(name) FORK_TEST_BY(fork_test_wide, name)

#endif /* TESTS_UNIT_RUNTIME_FORKS_H */
