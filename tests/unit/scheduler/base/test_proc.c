/* SPDX-License-Identifier: MIT */
/* What is said of a thread that blocks, of one that burns, and of one that has not started. */
#include "tests/support/test.h"

#include <pthread.h>
#include <unistd.h>

#include "scheduler/base/proc.h"

struct subject {
	struct proc_thread proc;
	atomic(bool) started, stop;
	int pipe[2];
};

static void *blocks(void *arg)
{
	struct subject *subject = arg;
	char byte;

	hilo__proc_thread_init(&subject->proc);
	store_release(&subject->started, true); /* pairs with the test's load */
	return (void *)(intptr_t)read(subject->pipe[0], &byte, 1);
}

static void *burns(void *arg)
{
	struct subject *subject = arg;

	hilo__proc_thread_init(&subject->proc);
	store_release(&subject->started, true); /* pairs with the test's load */
	while (!load_acquire(&subject->stop))	/* pairs with the test's store */
		cpu_relax();
	return NULL;
}

static void test_a_thread_that_blocks_is_seen_to(void **state)
{
	struct subject subject = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(pipe(subject.pipe), 0);
	assert_int_equal(pthread_create(&thread, NULL, blocks, &subject), 0);
	TEST_UNTIL(load_acquire(&subject.started)); /* pairs with the thread's store */
	/* It is on its way into the kernel; from then on it says so for good. */
	TEST_UNTIL(test_thread_blocks(&subject.proc));
	assert_true(test_thread_blocks(&subject.proc));
	assert_int_equal(write(subject.pipe[1], "x", 1), 1);
	test_join_thread(thread);
	(void)close(subject.pipe[0]);
	(void)close(subject.pipe[1]);
}

static void test_a_thread_that_burns_uses_cpu(void **state)
{
	struct subject subject = {0};
	pthread_t thread;
	int64_t before;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, burns, &subject), 0);
	TEST_UNTIL(load_acquire(&subject.started)); /* pairs with the thread's store */
	before = hilo__proc_thread_cpu(&subject.proc);
	assert_true(before >= 0);
	TEST_UNTIL(hilo__proc_thread_cpu(&subject.proc) > before + HILO_MILLISECOND);
	store_release(&subject.stop, true); /* pairs with the thread's load */
	test_join_thread(thread);
}

/* Nothing is known: it counts as one that blocks, so that what it keeps is served. */
static void test_a_thread_that_is_not_known_blocks(void **state)
{
	struct subject subject = {0};

	(void)state;
	assert_int_equal(hilo__proc_thread_cpu(&subject.proc), -1);
	assert_true(test_thread_blocks(&subject.proc));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thread_that_blocks_is_seen_to),
		cmocka_unit_test(test_a_thread_that_burns_uses_cpu),
		cmocka_unit_test(test_a_thread_that_is_not_known_blocks),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
