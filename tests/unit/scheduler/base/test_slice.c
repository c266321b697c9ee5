/* SPDX-License-Identifier: MIT */
/* Shorter slices: asked for once, of ordinary threads only, and nothing else of the thread changes. */
#include "tests/support/test.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "scheduler/base/slice.h"
#include "scheduler/base/sys.h"

static struct slice_attr attr_get(void)
{
	struct slice_attr attr = {0};

	TASK_CHECK(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0), ==, 0);
	return attr;
}

static void attr_set(struct slice_attr attr)
{
	attr.size = sizeof(attr);
	TASK_CHECK(syscall(SYS_sched_setattr, 0, &attr, 0), ==, 0);
}

/* In a thread of its own, which takes its slices with it. */
static void in_a_thread(void *(*body)(void *))
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
	test_join_thread(thread);
}

static void *ordinary(void *arg)
{
	struct slice_attr before = attr_get(), after;
	bool shortened = hilo__slice_shorten();

	after = attr_get();
	TASK_CHECK(shortened, ==, before.runtime != 0);
	TASK_CHECK(after.runtime, ==, before.runtime < SLICE_NS ? before.runtime : SLICE_NS);
	TASK_CHECK(after.policy, ==, before.policy);
	TASK_CHECK(after.flags, ==, before.flags);
	TASK_CHECK(after.nice, ==, before.nice);
	TASK_CHECK(hilo__slice_shorten(), ==, shortened);
	TASK_CHECK(attr_get().runtime, ==, after.runtime);
	hilo__slice_restore();
	TASK_CHECK(attr_get().runtime, ==, before.runtime);
	TASK_CHECK(attr_get().nice, ==, before.nice);
	return arg;
}

static void *nicer(void *arg)
{
	TASK_CHECK(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1), ==, 0);
	return ordinary(arg);
}

static void *shorter(void *arg)
{
	struct slice_attr attr = attr_get();

	attr.runtime = SLICE_NS / 2;
	attr_set(attr);
	TASK_CHECK(hilo__slice_shorten(), ==, true);
	hilo__slice_restore();
	TASK_CHECK(attr_get().runtime, ==, SLICE_NS / 2);
	return arg;
}

static void *not_ordinary(void *arg)
{
	struct slice_attr attr = attr_get();

	attr.policy = SCHED_BATCH;
	attr_set(attr);
	TASK_CHECK(hilo__slice_shorten(), ==, false);
	TASK_CHECK(attr_get().runtime, ==, attr.runtime);
	TASK_CHECK(attr_get().policy, ==, SCHED_BATCH);
	return arg;
}

static void test_an_ordinary_thread(void **state)
{
	(void)state;
	in_a_thread(ordinary);
	if (getpriority(PRIO_PROCESS, 0) < 19)
		in_a_thread(nicer);
}

static void test_shorter_ones_are_left_alone(void **state)
{
	(void)state;
	if (attr_get().runtime == 0)
		TEST_SKIP("the kernel gives no thread slices of its own");
	in_a_thread(shorter);
}

static void test_other_policies_are_left_alone(void **state)
{
	(void)state;
	in_a_thread(not_ordinary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_ordinary_thread),
		cmocka_unit_test(test_shorter_ones_are_left_alone),
		cmocka_unit_test(test_other_policies_are_left_alone),
	};
	struct slice_attr attr = {0};

	test_begin();
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0)
		return 77; /* emulators */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
