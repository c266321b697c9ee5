/* SPDX-License-Identifier: MIT */
/*
 * test_event.c - events: all who wait are woken, in order, and keep the wake; between runtimes and plain threads.
 * The six cases of a call that suspends are in test_suspend.c.
 */
#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

static int waits(void *event)
{
	return hilo_event_wait(event, HILO_FOREVER);
}

/* A task that waits for @event by now. */
static hilo_task *waiter(hilo_event *event)
{
	hilo_task *task = hilo_spawn(waits, event);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_all_zero_is_an_event_that_is_not_set)
{
	hilo_event event = HILO_EVENT_INIT, zero;

	memset(&zero, 0, sizeof(zero));
	TASK_CHECK(memcmp(&event, &zero, sizeof(zero)), ==, 0);
	TASK_CHECK(hilo_event_is_set(&event), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_event_destroy(&event), ==, 0);
	return 0;
}

TASK_TEST(test_flag_sets_it_from_the_beginning)
{
	hilo_event event;

	TASK_CHECK(hilo_event_init(&event, HILO_EVENT_SET), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_event_init(&event, 0), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return 0;
}

TASK_TEST(test_set_and_clear_change_what_wait_finds)
{
	hilo_event event = HILO_EVENT_INIT;

	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(hilo_event_is_set(&event), ==, 1);
	TASK_CHECK(hilo_event_wait(&event, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_event_clear(&event), ==, 0);
	TASK_CHECK(hilo_event_is_set(&event), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, hilo_after(1000)), ==, -ETIMEDOUT);
	return 0;
}

/* More than are won under one hold of the lock. */
TASK_TEST(test_set_wakes_all_and_a_clear_at_once_takes_nothing_back)
{
	hilo_event event = HILO_EVENT_INIT;
	hilo_task *task[40];

	for (size_t i = 0; i < array_size(task); i++)
		task[i] = waiter(&event);
	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(hilo_event_clear(&event), ==, 0);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return 0;
}

TASK_TEST(test_one_that_leaves_is_not_in_the_way)
{
	hilo_event event = HILO_EVENT_INIT;
	hilo_task *first = waiter(&event), *second = waiter(&event), *third = waiter(&event);

	TASK_CHECK(hilo_task_cancel(second), ==, 0);
	TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_event_destroy(&event), ==, -EBUSY);
	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(third, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_event_destroy(&event), ==, 0);
	return 0;
}

TASK_TEST(test_cancel_that_is_set_wins_over_an_event_that_is_set)
{
	hilo_event event;

	TASK_CHECK(hilo_event_init(&event, HILO_EVENT_SET), ==, 0);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_FOREVER), ==, 0);
	return 0;
}

/* In the order of one loop, who was woken first runs first. */
static unsigned woken_next;

struct ordered {
	hilo_event *event;
	unsigned turn;
};

static int ordered_main(void *arg)
{
	struct ordered *self = arg;
	int rc = hilo_event_wait(self->event, HILO_FOREVER);

	self->turn = woken_next++;
	return rc;
}

static int order_body(void *arg)
{
	hilo_event event = HILO_EVENT_INIT;
	struct ordered self[4];
	hilo_task *task[4];

	(void)arg;
	woken_next = 0;
	for (size_t i = 0; i < array_size(self); i++) {
		self[i] = (struct ordered){.event = &event};
		task[i] = hilo_spawn(ordered_main, &self[i]);
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED);
	}
	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(woken_next, ==, 0); /* nobody runs before the next statement */
	for (size_t i = 0; i < array_size(self); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	/* The one that was woken last may go before the others. */
	TASK_CHECK(self[0].turn, <, self[1].turn);
	TASK_CHECK(self[1].turn, <, self[2].turn);
	return 0;
}

static void test_who_waited_first_runs_first(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, order_body, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* The event lies with the one that waits, and is gone when that has returned. */
struct request {
	hilo_event done;
	int answer;
};

static hilo_future *requests[64];

static int answers(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < array_size(requests); i++) {
		void *request = NULL;

		TASK_CHECK(hilo_future_await(requests[i], &request, HILO_FOREVER), ==, 0);
		((struct request *)request)->answer = (int)i;
		TASK_CHECK(hilo_event_set(&((struct request *)request)->done), ==, 0);
	}
	return 0;
}

static void ask(size_t i)
{
	struct request request = {.done = HILO_EVENT_INIT, .answer = -1};

	TASK_CHECK(hilo_future_set(requests[i], &request, NULL), ==, 0);
	TASK_CHECK(hilo_event_wait(&request.done, HILO_FOREVER), ==, 0);
	TASK_CHECK(request.answer, ==, i);
	memset(&request, 0xff, sizeof(request));
}

TASK_TEST(test_event_may_be_freed_by_the_one_it_has_woken)
{
	hilo_task *task;

	for (size_t i = 0; i < array_size(requests); i++)
		requests[i] = hilo_future_new();
	task = hilo_spawn(answers, NULL);
	for (size_t i = 0; i < array_size(requests); i++)
		ask(i);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < array_size(requests); i++)
		hilo_future_unref(requests[i]);
	return 0;
}

static void *thread_waits(void *event)
{
	return (void *)(intptr_t)hilo_event_wait(event, HILO_FOREVER);
}

static int sets(void *event)
{
	return hilo_event_set(event);
}

/* Two runtimes and a plain thread. */
static void test_event_is_for_everybody(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_event event = HILO_EVENT_INIT;
	hilo_runtime *one, *other;
	hilo_task *task[2];
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &one), 0);
	assert_int_equal(hilo_runtime_new(&opts, &other), 0);
	assert_int_equal(hilo_submit(one, waits, &event, NULL, &task[0]), 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_waits, &event), 0);
	assert_int_equal(hilo_submit(other, sets, &event, NULL, &task[1]), 0);
	assert_int_equal(hilo_event_wait(&event, HILO_FOREVER), 0);
	assert_int_equal(hilo_join(task[0], HILO_FOREVER), 0);
	assert_int_equal(hilo_join(task[1], HILO_FOREVER), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_int_equal(hilo_runtime_free(one), 0);
	assert_int_equal(hilo_runtime_free(other), 0);
}

static void in_callback(void *arg)
{
	hilo_event event = HILO_EVENT_INIT;

	TASK_CHECK(hilo_event_wait(&event, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_event_wait(&event, hilo_after(HILO_SECOND)), ==, -EDEADLK);
	TASK_CHECK(hilo_event_wait(&event, HILO_NO_WAIT), ==, -ETIMEDOUT); /* that need not wait, either */
	TASK_CHECK(hilo_event_wait(&event, hilo_after(-1)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_event_set(&event), ==, 0);
	TASK_CHECK(hilo_event_wait(&event, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_event_set(arg), ==, 0);
}

TASK_TEST(test_callbacks_may_use_it_if_they_need_not_wait)
{
	hilo_event done = HILO_EVENT_INIT;

	TASK_CHECK(hilo_call_soon(in_callback, &done, NULL), ==, 0);
	return hilo_event_wait(&done, HILO_FOREVER);
}

static void test_wrong_arguments_are_refused(void **state)
{
	hilo_event event = HILO_EVENT_INIT;

	(void)state;
	assert_int_equal(hilo_event_init(NULL, 0), -EINVAL);
	assert_int_equal(hilo_event_init(&event, 2), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "flags 0x2"));
	assert_int_equal(hilo_event_wait(NULL, HILO_FOREVER), -EINVAL);
	assert_int_equal(hilo_event_set(NULL), -EINVAL);
	assert_int_equal(hilo_event_clear(NULL), -EINVAL);
	assert_int_equal(hilo_event_destroy(NULL), -EINVAL);
	assert_int_equal(hilo_event_is_set(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_zero_is_an_event_that_is_not_set),
		cmocka_unit_test(test_flag_sets_it_from_the_beginning),
		cmocka_unit_test(test_set_and_clear_change_what_wait_finds),
		cmocka_unit_test(test_set_wakes_all_and_a_clear_at_once_takes_nothing_back),
		cmocka_unit_test(test_one_that_leaves_is_not_in_the_way),
		cmocka_unit_test(test_cancel_that_is_set_wins_over_an_event_that_is_set),
		cmocka_unit_test(test_who_waited_first_runs_first),
		cmocka_unit_test(test_event_may_be_freed_by_the_one_it_has_woken),
		cmocka_unit_test(test_event_is_for_everybody),
		cmocka_unit_test(test_callbacks_may_use_it_if_they_need_not_wait),
		cmocka_unit_test(test_wrong_arguments_are_refused),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
