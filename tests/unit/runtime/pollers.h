/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RUNTIME_POLLERS_H
#define TESTS_UNIT_RUNTIME_POLLERS_H

/* pollers.h - tests that are run on each poller, whichever is taken by default. */
#include "scheduler/poller.h"
#include "tests/support/test.h"

static unsigned poller_flag; /* of the runtime that runs */

static void run_each(unsigned flag, hilo_task_fn body)
{
	static const unsigned workers[] = {1, 2, 4};

	poller_flag = flag;
	if (flag == HILO_POLLER_URING && hilo__poller_ring_works() < 0)
		TEST_SKIP("no io_uring here");
	for (size_t i = 0; i < array_size(workers); i++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = workers[i], .flags = flag};

		assert_int_equal(hilo_run(body, NULL, &opts), 0);
	}
}

/* A test for each poller, of one body. */
#define IO_TEST(name)                                                                                        \
	static int name##_body(void *arg);                                                                   \
	static void name##_epoll(void **state)                                                               \
	{                                                                                                    \
		(void)state;                                                                                 \
		run_each(HILO_POLLER_EPOLL, name##_body);                                                    \
	}                                                                                                    \
	static void name##_uring(void **state)                                                               \
	{                                                                                                    \
		(void)state;                                                                                 \
		run_each(HILO_POLLER_URING, name##_body);                                                    \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* Both of them, in a table of tests. */
#define BOTH(name) cmocka_unit_test(name##_epoll), cmocka_unit_test(name##_uring)

#endif /* TESTS_UNIT_RUNTIME_POLLERS_H */
