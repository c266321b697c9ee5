/* SPDX-License-Identifier: MIT */
/* Requests to cancel, and the order of reasons why a wait ends. */
#include "scheduler/reason.h"
#include "tests/support/test.h"

#include <errno.h>
#include <unistd.h>

static atomic(unsigned) entered, destroyed;

static int entry_count(void *arg)
{
	(void)arg;
	(void)add_release(&entered, 1);
	return 0;
}

static void destroy_count(void *arg)
{
	(void)arg;
	(void)add_release(&destroyed, 1);
}

/* Pinned to the loop that we keep busy: it has not started, unless we were held up and somebody stood in. */
TASK_TEST(test_cancel_before_the_start_never_calls_the_entry)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = destroy_count, .flags = HILO_TASK_PINNED};
	unsigned cancelled = 0;
	hilo_task *task;

	store_release(&entered, 0);
	store_release(&destroyed, 0);
	for (unsigned i = 1; i <= 20; i++) {
		int rc;

		TASK_CHECK(hilo_spawn_with(entry_count, NULL, &opts, &task), ==, 0);
		if (hilo_task_cancel(task) == 0)
			TASK_CHECK(hilo_task_cancelling(task), ==, 1);
		rc = hilo_join(task, HILO_FOREVER);
		cancelled += rc == -ECANCELED;
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, true);
		TASK_CHECK(load_acquire(&destroyed), ==, i);
	}
	TASK_CHECK(load_acquire(&entered), ==, 20 - cancelled);
	TASK_CHECK(cancelled, >, 0);
	return 0;
}

static void destroy_waits(void *arg)
{
	TASK_CHECK(hilo_sleep(10 * HILO_MICROSECOND), ==, 0);
	TASK_CHECK(hilo_run_in_executor(NULL, entry_count, NULL, HILO_FOREVER), ==, 0);
	destroy_count(arg);
}

/* What cleans up after a cancelled task may wait: the request is held off meanwhile. */
TASK_TEST(test_cleanup_is_shielded)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = destroy_waits};
	hilo_task *task;

	store_release(&destroyed, 0);
	TASK_CHECK(hilo_spawn_with(entry_count, NULL, &opts, &task), ==, 0);
	(void)hilo_task_cancel(task);
	(void)hilo_join(task, HILO_FOREVER);
	TASK_CHECK(load_acquire(&destroyed), ==, 1);
	return 0;
}

TASK_TEST(test_cancel_ends_a_sleep)
{
	hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_cancel(task), ==, -EALREADY);
	hilo_task_unref(task);
	return 0;
}

static int sticky_main(void *arg)
{
	hilo_time before = hilo_now();

	(void)arg;
	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 1);
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_sleep(HILO_MINUTE), ==, -ECANCELED);
		TASK_CHECK(hilo_yield(), ==, -ECANCELED);
		TASK_CHECK(hilo_checkpoint(), ==, -ECANCELED);
	}
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(hilo_checkpoint(), ==, 0);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_now() - before, >=, HILO_MILLISECOND);
	return 42;
}

TASK_TEST(test_a_request_stays_until_it_is_taken_back)
{
	hilo_task *task = hilo_spawn(sticky_main, NULL);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 42); /* its own result: a cancel is a request */
	return 0;
}

TASK_TEST(test_requests_are_counted)
{
	hilo_task *self = hilo_task_current();

	for (unsigned i = 1; i <= 3; i++) {
		TASK_CHECK(hilo_task_cancel(self), ==, 0);
		TASK_CHECK(hilo_task_cancelling(self), ==, i);
	}
	for (int i = 2; i >= 0; i--) {
		TASK_CHECK(hilo_yield(), ==, -ECANCELED);
		TASK_CHECK(hilo_task_uncancel(), ==, i);
	}
	TASK_CHECK(hilo_yield(), ==, 0);
	for (int i = 0; i < 300; i++)
		TASK_CHECK(hilo_task_cancel(self), ==, 0);
	TASK_CHECK(hilo_task_cancelling(self), ==, 255);
	for (int i = 254; i >= 0; i--)
		TASK_CHECK(hilo_task_uncancel(), ==, i);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_yield(), ==, 0);
	return 0;
}

static int shield_main(void *arg)
{
	hilo_future *gate = arg;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_future_await(gate, NULL, HILO_FOREVER), ==, 0); /* cancelled meanwhile */
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 1);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(hilo_checkpoint(), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	TASK_CHECK(hilo_yield(), ==, -ECANCELED);
	return hilo_sleep(HILO_MINUTE);
}

TASK_TEST(test_a_shield_holds_requests_off)
{
	hilo_future *gate = hilo_future_new();
	hilo_task *task = hilo_spawn(shield_main, gate);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	for (int i = 0; i < 5; i++)
		(void)hilo_yield();
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(hilo_future_set(gate, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	hilo_future_unref(gate);
	return 0;
}

static void *thread_cancel(void *arg)
{
	TASK_CHECK(hilo_task_cancel(arg), ==, 0);
	return NULL;
}

TASK_TEST(test_a_plain_thread_cancels)
{
	for (int i = 0; i < 20; i++) {
		hilo_task *task = hilo_spawn(test_entry_sleep_forever, NULL);
		pthread_t thread;

		if (i & 1)
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(pthread_create(&thread, NULL, thread_cancel, task), ==, 0);
		TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
		test_join_thread(thread);
		hilo_task_unref(task);
	}
	return 0;
}

static int blocking_count(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
	return 0;
}

/* Everything is ready, but a cancel that is set at entry wins before anything is tried. */
TASK_TEST(test_a_cancel_at_entry_wins)
{
	hilo_task *done = hilo_spawn(test_entry_return, NULL);
	hilo_future *future = hilo_future_new();
	atomic(unsigned) calls;
	int fds[2];

	atomic_setup(&calls, 0);
	TASK_CHECK(pipe(fds), ==, 0);
	TASK_CHECK(write(fds[1], "x", 1), ==, 1);
	TASK_CHECK(hilo_await(done, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_await(done, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_join(done, HILO_NO_WAIT), ==, -ECANCELED); /* the handle stays */
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_run_in_executor(NULL, blocking_count, &calls, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_sleep(0), ==, -ECANCELED);
	TASK_CHECK(hilo_sleep_until(1), ==, -ECANCELED);
	TASK_CHECK(hilo_run(test_entry_return, NULL, NULL), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);

	TASK_CHECK(load_acquire(&calls), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_fd_wait(fds[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	TASK_CHECK(hilo_join(done, HILO_NO_WAIT), ==, 0);
	hilo_future_unref(future);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return 0;
}

static int result_first_main(void *arg)
{
	TASK_CHECK(hilo_future_await(arg, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_await(arg, NULL, HILO_FOREVER), ==, -ECANCELED);
	return 5;
}

/* A task that is pinned to our loop, which runs it only when we suspend. */
static hilo_task *spawn_here(hilo_task_fn entry, void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(entry, arg, &opts, &task), ==, 0);
	return task;
}

static int result_outranks(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		hilo_future *future = hilo_future_new();
		hilo_task *task = spawn_here(result_first_main, future);

		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 5);
		hilo_future_unref(future);
	}
	return 0;
}

LOOP_TEST(test_a_result_outranks_a_later_cancel)
{
	return hilo_join(spawn_here(result_outranks, NULL), HILO_FOREVER);
}

struct timed {
	hilo_future *future;
	hilo_time deadline;
};

static int timed_main(void *arg)
{
	struct timed *timed = arg;

	return hilo_future_await(timed->future, NULL, timed->deadline);
}

static int cancel_outranks(void *arg)
{
	struct timed timed = {hilo_future_new(), 0};
	hilo_task *task;
	bool both = false;

	(void)arg;
	while (!both) {
		timed.deadline = hilo_after(5 * HILO_MILLISECOND);
		task = spawn_here(timed_main, &timed);
		TEST_UNTIL(hilo_task_get_state(task) != HILO_TASK_CREATED);
		/* Its loop is ours: both reasons have come before the task can look, unless it was slow. */
		while (hilo_now() <= timed.deadline)
			;
		if (hilo_task_cancel(task) == 0) {
			both = true;
			TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
		}
		hilo_task_unref(task);
	}
	hilo_future_unref(timed.future);
	return 0;
}

LOOP_TEST(test_a_cancel_outranks_the_deadline)
{
	return hilo_join(spawn_here(cancel_outranks, NULL), HILO_FOREVER);
}

TASK_TEST(test_a_deadline_that_has_passed_tries_once)
{
	hilo_task *done = hilo_spawn(test_entry_return, (void *)(intptr_t)6);
	hilo_task *pending = hilo_spawn(test_entry_sleep_forever, NULL);
	hilo_future *future = hilo_future_new();
	static const hilo_time passed[] = {HILO_NO_WAIT, 1, -1, INT64_MIN};

	TASK_CHECK(hilo_await(done, HILO_FOREVER), ==, 6);
	for (size_t i = 0; i < array_size(passed); i++) {
		TASK_CHECK(hilo_await(done, passed[i]), ==, 6);
		TASK_CHECK(hilo_await(pending, passed[i]), ==, -ETIMEDOUT);
		TASK_CHECK(hilo_error_task(), ==, NULL);
		TASK_CHECK(hilo_future_await(future, NULL, passed[i]), ==, -ETIMEDOUT);
	}
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	for (size_t i = 0; i < array_size(passed); i++)
		TASK_CHECK(hilo_future_await(future, NULL, passed[i]), ==, 0);
	TASK_CHECK(hilo_task_cancel(pending), ==, 0);
	TASK_CHECK(hilo_join(pending, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_join(done, HILO_FOREVER), ==, 6);
	hilo_future_unref(future);
	return 0;
}

/* Cancels from two threads at once, while the task sleeps, yields and takes them back: none is lost. */
struct storm {
	hilo_task *task;
	atomic(unsigned) made;
};

#define STORM 200

static void *storm_cancel(void *arg)
{
	struct storm *storm = arg;

	for (int i = 0; i < STORM; i++) {
		TASK_CHECK(hilo_task_cancel(storm->task), ==, 0);
		(void)add_release(&storm->made, 1);
		/* 255 are kept. */
		TEST_UNTIL(hilo_task_cancelling(storm->task) < 100);
	}
	return NULL;
}

static int storm_main(void *arg)
{
	unsigned seen = 0;

	(void)arg;
	while (seen < 2 * STORM) {
		TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
		while (hilo_task_cancelling(hilo_task_current())) {
			(void)hilo_task_uncancel();
			seen++;
		}
	}
	return (int)seen;
}

TASK_TEST(test_no_cancel_is_lost)
{
	struct storm storm;
	pthread_t thread[2];

	atomic_setup(&storm.made, 0);
	storm.task = hilo_spawn(storm_main, NULL);
	TEST_UNTIL(hilo_task_get_state(storm.task) == HILO_TASK_SUSPENDED);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, storm_cancel, &storm), ==, 0);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(hilo_join(storm.task, HILO_FOREVER), ==, 2 * STORM);
	return 0;
}

static int sleeps_for_ever(void *arg)
{
	(void)arg;
	return hilo_sleep_until(HILO_FOREVER - 1);
}

TASK_TEST(test_first_reason_travels_with_the_cancel)
{
	hilo_task *task = hilo_spawn(sleeps_for_ever, NULL);

	TASK_CHECK(hilo_task_cancel_reason(task), ==, NULL);
	TASK_CHECK(hilo_task_cancel_with(task, "the client has gone"), ==, 0);
	(void)hilo_task_cancel_with(task, "another one");
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK_TEXT(hilo_error_message(), "Operation canceled: the client has gone");
	TASK_CHECK_TEXT(hilo_task_cancel_reason(task), "the client has gone");
	hilo_task_unref(task);
	TASK_CHECK(hilo_task_cancel_reason(NULL), ==, NULL);
	return 0;
}

TASK_TEST(test_reason_goes_with_the_last_request)
{
	hilo_task *self = hilo_task_current();

	TASK_CHECK(hilo_task_cancel_with(self, "one"), ==, 0);
	TASK_CHECK(hilo_task_cancel_with(self, "two"), ==, 0);
	TASK_CHECK(hilo_await(self, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_task_uncancel(), ==, 1);
	TASK_CHECK_TEXT(hilo_task_cancel_reason(self), "one");
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_task_cancel_reason(self), ==, NULL);
	TASK_CHECK(hilo_task_cancel(self), ==, 0);
	TASK_CHECK(hilo_task_cancel_reason(self), ==, NULL);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

/* More texts than there are numbers: the cancel counts all the same. */
static void test_too_many_reasons(void **state)
{
	static char texts[300][8];
	unsigned other = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint8_t number = hilo__reason_number(texts[i]);

		assert_int_not_equal(number, 0);
		if (number == REASON_OTHER)
			other++;
		else
			assert_ptr_equal(hilo__reason_text(number), texts[i]);
		assert_int_equal(hilo__reason_number(texts[i]), number);
	}
	assert_in_range(other, 300 - (REASONS_MAX - REASON_FIRST_FREE), 299);
	assert_non_null(hilo__reason_text(REASON_OTHER));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel_before_the_start_never_calls_the_entry),
		cmocka_unit_test(test_cleanup_is_shielded),
		cmocka_unit_test(test_cancel_ends_a_sleep),
		cmocka_unit_test(test_a_request_stays_until_it_is_taken_back),
		cmocka_unit_test(test_requests_are_counted),
		cmocka_unit_test(test_a_shield_holds_requests_off),
		cmocka_unit_test(test_a_plain_thread_cancels),
		cmocka_unit_test(test_a_cancel_at_entry_wins),
		cmocka_unit_test(test_a_result_outranks_a_later_cancel),
		cmocka_unit_test(test_a_cancel_outranks_the_deadline),
		cmocka_unit_test(test_a_deadline_that_has_passed_tries_once),
		cmocka_unit_test(test_no_cancel_is_lost),
		cmocka_unit_test(test_first_reason_travels_with_the_cancel),
		cmocka_unit_test(test_reason_goes_with_the_last_request),
		cmocka_unit_test(test_too_many_reasons),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
