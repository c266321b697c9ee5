/* SPDX-License-Identifier: MIT */
/*
 * Pushing, popping, stealing and waking tasks takes no lock that could send a thread into the kernel:
 * workers that contend for each other's queues make not one futex call. (That the library does not
 * use the C library's mutexes either is checked where its symbols are: .ci/check-symbols.)
 */
#include "tests/support/test.h"

#include <sched.h>

#include "scheduler/base/sys.h"

#define WORKERS 8
#define TREES 32
#define CHILDREN 50

static atomic(bool) contended;

static int leaf(void *arg)
{
	(void)arg;
	return hilo_yield();
}

static int tree(void *arg)
{
	hilo_task *child[CHILDREN];

	for (unsigned round = 0; round < test_rounds(20); round++) {
		for (int i = 0; i < CHILDREN; i++)
			child[i] = hilo_spawn(leaf, arg);
		for (int i = 0; i < CHILDREN; i++)
			TASK_CHECK(hilo_join(child[i], HILO_FOREVER), ==, 0);
	}
	return 0;
}

static int contend(void *arg)
{
	hilo_task *trees[TREES];
	long before = hilo__sys_calls(SYS_CALL_FUTEX);

	for (int i = 0; i < TREES; i++)
		trees[i] = hilo_spawn(tree, arg);
	for (int i = 0; i < TREES; i++)
		TASK_CHECK(hilo_join(trees[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_FUTEX) - before, ==, 0);
	store_release(&contended, true); /* pairs with the test's load */
	return 0;
}

static void test_workers_that_contend_make_no_futex_call(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = WORKERS};
	hilo_runtime *runtime;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, contend, NULL, NULL, NULL), 0);
	/* Not with hilo_join: this thread would wait on a futex itself. */
	while (!load_acquire(&contended)) /* pairs with contend */
		(void)sched_yield();
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/* So that the count is known to count. */
static void test_a_plain_thread_that_waits_makes_one(void **state)
{
	long before = hilo__sys_calls(SYS_CALL_FUTEX);

	(void)state;
	/* Longer and longer: a thread that is held up comes to the end of a short one before it waits. */
	for (hilo_time span = HILO_MILLISECOND;
	     span < HILO_MINUTE && hilo__sys_calls(SYS_CALL_FUTEX) == before; span *= 2)
		assert_int_equal(hilo_sleep(span), 0);
	assert_true(hilo__sys_calls(SYS_CALL_FUTEX) > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workers_that_contend_make_no_futex_call),
		cmocka_unit_test(test_a_plain_thread_that_waits_makes_one),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
