/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RUNTIME_FORKS_H
#define TESTS_UNIT_RUNTIME_FORKS_H

/* forks.h - tests of forks. */
#include "scheduler/fork.h"
#include "tests/support/test.h"

/* As TASK_TEST, and once more with each fork taken by a task of its own, as far as lots say so. */
#define FORK_TEST(name)                                                                                      \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		test_each(name##_body);                                                                      \
		hilo__forks_forced = true;                                                                   \
		test_each(name##_body);                                                                      \
		hilo__forks_forced = false;                                                                  \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

#endif /* TESTS_UNIT_RUNTIME_FORKS_H */
