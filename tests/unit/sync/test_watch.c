/* SPDX-License-Identifier: MIT */
/* Watch: the latest value, who sees it, and when one is dropped. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define VALUES 16

/* A value is one of these; dropping it counts. */
static atomic(unsigned) drops[VALUES];

static void *value(unsigned i)
{
	return &drops[i];
}

static unsigned index_of(void *value)
{
	return (unsigned)((atomic(unsigned) *)value - drops);
}

static void count_drop(void *value)
{
	(void)add_release((atomic(unsigned) *)value, 1);
}

static unsigned dropped(unsigned i)
{
	return load_acquire(&drops[i]);
}

static hilo_watch *watch_of_0(void)
{
	for (unsigned i = 0; i < VALUES; i++)
		atomic_setup(&drops[i], 0);
	return hilo_watch_new(value(0), count_drop);
}

/* A value that was not seen is there, and it is @i. */
static void expect(hilo_watcher *watcher, unsigned i)
{
	void *got = NULL;

	TASK_CHECK(hilo_watch_wait(watcher, &got, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(index_of(got), ==, i);
}

static void expect_code(hilo_watcher *watcher, int code)
{
	void *got = &got;

	TASK_CHECK(hilo_watch_wait(watcher, &got, HILO_NO_WAIT), ==, code);
	TASK_CHECK(got, ==, &got); /* set on success only */
}

TASK_TEST(test_a_watcher_sees_the_latest_value_and_each_version_once)
{
	hilo_watch *watch = watch_of_0();
	hilo_watcher *watcher = hilo_watch_subscribe(watch), *late;
	void *got = NULL;

	TASK_CHECK(hilo_watch_seen(watcher), ==, 0);
	expect(watcher, 0);
	TASK_CHECK(hilo_watch_seen(watcher), ==, 1);
	expect_code(watcher, -ETIMEDOUT);
	for (unsigned i = 1; i < 4; i++)
		TASK_CHECK(hilo_watch_set(watch, value(i)), ==, 0);
	TASK_CHECK(hilo_watch_version(watch), ==, 4);
	expect(watcher, 3);
	TASK_CHECK(hilo_watch_seen(watcher), ==, 4);
	late = hilo_watch_subscribe(watch);
	TASK_CHECK(hilo_watch_get(late, &got), ==, 1);
	TASK_CHECK(index_of(got), ==, 3);
	TASK_CHECK(hilo_watch_get(late, &got), ==, 0);
	TASK_CHECK(index_of(got), ==, 3);
	expect_code(late, -ETIMEDOUT);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	TASK_CHECK(hilo_watch_unsubscribe(late), ==, 0);
	hilo_watch_free(watch);
	for (unsigned i = 0; i < 4; i++)
		TASK_CHECK(dropped(i), ==, 1);
	return 0;
}

TASK_TEST(test_a_value_is_dropped_when_nobody_looks_at_it_any_more)
{
	hilo_watch *watch = watch_of_0();
	hilo_watcher *first = hilo_watch_subscribe(watch), *second = hilo_watch_subscribe(watch);

	expect(first, 0);
	expect(second, 0);
	TASK_CHECK(hilo_watch_set(watch, value(1)), ==, 0);
	TASK_CHECK(hilo_watch_set(watch, value(2)), ==, 0);
	TASK_CHECK(dropped(0), ==, 0);
	TASK_CHECK(dropped(1), ==, 1); /* nobody has seen it */
	expect(first, 2);
	TASK_CHECK(dropped(0), ==, 0);
	TASK_CHECK(hilo_watch_unsubscribe(second), ==, 0);
	TASK_CHECK(dropped(0), ==, 1);
	hilo_watch_free(watch);
	TASK_CHECK(dropped(2), ==, 0); /* the first one has it */
	TASK_CHECK(hilo_watch_unsubscribe(first), ==, 0);
	TASK_CHECK(dropped(2), ==, 1);
	return 0;
}

static int follows(void *watcher)
{
	unsigned last = 0;
	void *got;
	int rc;

	while ((rc = hilo_watch_wait(watcher, &got, HILO_FOREVER)) == 0) {
		TASK_CHECK(index_of(got) >= last, ==, 1); /* never back */
		TASK_CHECK(dropped(index_of(got)), ==, 0);
		last = index_of(got);
	}
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	TASK_CHECK(rc, ==, -EPIPE);
	return (int)last;
}

static void *follows_in_a_thread(void *watcher)
{
	TASK_CHECK(follows(watcher), ==, VALUES - 1);
	return NULL;
}

#define CROWD 40

TASK_TEST(test_all_who_wait_see_the_last_value_then_the_shutdown)
{
	for (unsigned round = 0; round < test_rounds(20); round++) {
		hilo_watch *watch = watch_of_0();
		hilo_task *tasks[CROWD];
		pthread_t thread;

		TASK_CHECK(pthread_create(&thread, NULL, follows_in_a_thread, hilo_watch_subscribe(watch)),
			   ==, 0);
		for (int i = 0; i < CROWD; i++)
			tasks[i] = hilo_spawn(follows, hilo_watch_subscribe(watch));
		for (unsigned i = 1; i < VALUES; i++) {
			if (round % 2)
				TASK_CHECK(hilo_yield(), ==, 0);
			TASK_CHECK(hilo_watch_set(watch, value(i)), ==, 0);
		}
		hilo_watch_free(watch);
		for (int i = 0; i < CROWD; i++)
			TASK_CHECK(hilo_await(tasks[i], HILO_FOREVER), ==, VALUES - 1);
		test_join_thread(thread);
		for (unsigned i = 0; i < VALUES; i++)
			TASK_CHECK(dropped(i), ==, 1);
	}
	return 0;
}

TASK_TEST(test_after_a_shutdown_the_latest_is_seen_and_nothing_is_set)
{
	hilo_watch *watch = watch_of_0();
	hilo_watcher *watcher = hilo_watch_subscribe(watch);
	void *got = NULL;

	TASK_CHECK(hilo_watch_shutdown(watch), ==, 0);
	TASK_CHECK(hilo_watch_shutdown(watch), ==, 0);
	TASK_CHECK(hilo_watch_set(watch, value(1)), ==, -EPIPE);
	TASK_CHECK(dropped(1), ==, 0); /* still ours */
	expect(watcher, 0);
	expect_code(watcher, -EPIPE);
	TASK_CHECK(hilo_watch_get(watcher, &got), ==, 0);
	TASK_CHECK(index_of(got), ==, 0);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	hilo_watch_free(watch);
	return 0;
}

static int waits(void *watcher)
{
	void *got;
	int rc = hilo_watch_wait(watcher, &got, HILO_FOREVER);

	return rc < 0 ? rc : (int)index_of(got);
}

TASK_TEST(test_who_waits_is_cancelled_and_has_missed_nothing)
{
	hilo_watch *watch = watch_of_0();
	hilo_watcher *watcher = hilo_watch_subscribe(watch);
	hilo_task *task;

	expect(watcher, 0);
	task = hilo_spawn(waits, watcher);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	expect_code(watcher, -EBUSY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "somebody else waits");
	TASK_CHECK(hilo_watch_get(watcher, &(void *){NULL}), ==, -EBUSY);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, -EBUSY);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_watch_wait(watcher, &(void *){NULL}, hilo_after(HILO_MICROSECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_watch_set(watch, value(1)), ==, 0);
	expect(watcher, 1);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	hilo_watch_free(watch);
	return 0;
}

TASK_TEST(test_what_watch_refuses)
{
	hilo_watch *watch;
	hilo_watcher *watcher;

	TASK_CHECK(hilo_watch_set(NULL, value(0)), ==, -ENOMEM);
	TASK_CHECK(hilo_watch_shutdown(NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_watch_version(NULL), ==, 0);
	TASK_CHECK(hilo_watch_seen(NULL), ==, 0);
	TASK_CHECK(hilo_watch_subscribe(NULL), ==, NULL);
	TASK_CHECK(hilo_watch_unsubscribe(NULL), ==, 0);
	TASK_CHECK(hilo_watch_get(NULL, &(void *){NULL}), ==, -ENOMEM);
	expect_code(NULL, -ENOMEM);
	hilo_watch_free(NULL);
	for (long i = 1; i <= 2; i++) {
		hilo__mem_fail_at(i, true);
		TASK_CHECK(hilo_watch_new(value(0), count_drop), ==, NULL);
	}
	hilo__mem_fail_at(0, false);
	watch = watch_of_0();
	for (long i = 1; i <= 2; i++) {
		hilo__mem_fail_at(i, true);
		TASK_CHECK(hilo_watch_subscribe(watch), ==, NULL);
	}
	hilo__mem_fail_at(0, false);
	watcher = hilo_watch_subscribe(watch);
	TASK_CHECK(hilo_watch_wait(watcher, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_watch_get(watcher, NULL), ==, -EINVAL);
	hilo__mem_fail_at(1, true); /* none of these takes memory */
	for (unsigned i = 1; i < 9; i++) {
		TASK_CHECK(hilo_watch_set(watch, value(i)), ==, 0);
		if (i % 3 == 0)
			expect(watcher, i);
	}
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	hilo__mem_fail_at(0, false);
	hilo_watch_free(watch);
	return 0;
}

/* The first wait of a thread needs memory; what is there need not be waited for. */
static void *sees_without_memory(void *watcher)
{
	void *got;

	hilo__mem_fail_at(1, true);
	expect(watcher, 0);
	TASK_CHECK(hilo_watch_wait(watcher, &got, hilo_after(HILO_MILLISECOND)), <, 0);
	hilo__mem_fail_at(0, false);
	return NULL;
}

/* No runtime: there is no memory for anybody meanwhile. */
static void test_a_thread_without_memory_sees_what_is_there(void **state)
{
	hilo_watch *watch = watch_of_0();
	hilo_watcher *watcher = hilo_watch_subscribe(watch);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, sees_without_memory, watcher), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_watch_unsubscribe(watcher), 0);
	hilo_watch_free(watch);
}

struct in_callback {
	hilo_watch *watch;
	hilo_watcher *watcher;
	test_flag called;
};

static void in_a_callback(void *arg)
{
	struct in_callback *in = arg;

	expect(in->watcher, 0);
	TASK_CHECK(hilo_watch_wait(in->watcher, &(void *){NULL}, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_watch_set(in->watch, value(1)), ==, 0);
	expect(in->watcher, 1);
	store_release(&in->called, 1);
}

TASK_TEST(test_callbacks_watch_as_long_as_they_need_not_wait)
{
	struct in_callback in = {.watch = watch_of_0()};

	in.watcher = hilo_watch_subscribe(in.watch);
	atomic_setup(&in.called, 0);
	TASK_CHECK(hilo_call_soon(in_a_callback, &in, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&in.called));
	TASK_CHECK(hilo_watch_unsubscribe(in.watcher), ==, 0);
	hilo_watch_free(in.watch);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_watcher_sees_the_latest_value_and_each_version_once),
		cmocka_unit_test(test_a_value_is_dropped_when_nobody_looks_at_it_any_more),
		cmocka_unit_test(test_all_who_wait_see_the_last_value_then_the_shutdown),
		cmocka_unit_test(test_after_a_shutdown_the_latest_is_seen_and_nothing_is_set),
		cmocka_unit_test(test_who_waits_is_cancelled_and_has_missed_nothing),
		cmocka_unit_test(test_a_thread_without_memory_sees_what_is_there),
		cmocka_unit_test(test_what_watch_refuses),
		cmocka_unit_test(test_callbacks_watch_as_long_as_they_need_not_wait),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
