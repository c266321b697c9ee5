/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/wait.h"

static hilo_mutex mutex;
static hilo_condition condition;
static int items; /* under the mutex */

static void fresh(void)
{
	TASK_CHECK(hilo_mutex_init(&mutex, 0), ==, 0);
	hilo_condition_init(&condition);
	items = 0;
}

static bool waits_for(hilo_task *task, const void *object)
{
	struct wait_seen seen;

	return hilo__wait_look(task, &seen) && seen.object == object;
}

static void lock(void)
{
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
}

static void unlock(void)
{
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
}

/* The caller has the mutex: nobody else can unlock it. */
static void check_mine(void)
{
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, -EDEADLK);
}

struct one {
	hilo_time deadline;
	unsigned when;
	int result;
};

static unsigned turns; /* under the mutex */

static int waits_once(void *arg)
{
	struct one *one = arg;

	lock();
	one->result = hilo_condition_wait(&condition, &mutex, one->deadline);
	check_mine();
	one->when = turns++;
	unlock();
	return 0;
}

static void *thread_waits_once(void *arg)
{
	(void)waits_once(arg);
	return NULL;
}

#define WAITERS 4

static void start(struct one *one, hilo_task **task, unsigned n)
{
	turns = 0;
	for (unsigned i = 0; i < n; i++) {
		one[i] = (struct one){.deadline = HILO_FOREVER};
		task[i] = hilo_spawn(waits_once, &one[i]);
		TEST_UNTIL(waits_for(task[i], &condition));
	}
}

LOOP_TEST(test_notify_wakes_in_order_and_counts)
{
	struct one one[WAITERS];
	hilo_task *task[WAITERS];

	fresh();
	TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 0);
	start(one, task, WAITERS);
	TASK_CHECK(hilo_condition_destroy(&condition), ==, -EBUSY);
	TASK_CHECK(hilo_condition_notify(&condition, 0), ==, 0);
	TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 1);
	TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, 0);
	TASK_CHECK(one[0].result, ==, 0);
	TASK_CHECK(hilo_condition_notify(&condition, 2), ==, 2);
	TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task[2], HILO_FOREVER), ==, 0);
	TASK_CHECK(waits_for(task[3], &condition), ==, true);
	TASK_CHECK(hilo_condition_notify(&condition, 9), ==, 1);
	TASK_CHECK(hilo_join(task[3], HILO_FOREVER), ==, 0);
	for (int i = 0; i < WAITERS; i++)
		TASK_CHECK(one[i].result, ==, 0);
	TASK_CHECK(hilo_condition_destroy(&condition), ==, 0);
	return 0;
}

TASK_TEST(test_notify_all_wakes_those_that_wait)
{
	struct one one[WAITERS], plain = {.deadline = HILO_FOREVER};
	hilo_task *task[WAITERS];
	pthread_t thread;
	size_t woken = 0;

	fresh();
	start(one, task, WAITERS);
	lock();
	TASK_CHECK(hilo_condition_notify_all(&condition), ==, WAITERS);
	unlock();
	for (int i = 0; i < WAITERS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(turns, ==, WAITERS);
	TASK_CHECK(pthread_create(&thread, NULL, thread_waits_once, &plain), ==, 0);
	TEST_UNTIL((woken += hilo_condition_notify_all(&condition)) == 1);
	test_join_thread(thread);
	TASK_CHECK(plain.result, ==, 0);
	return 0;
}

TASK_TEST(test_a_wait_ends_early_with_the_mutex)
{
	struct one one = {0};
	hilo_task *task;
	hilo_time limits[] = {HILO_NO_WAIT, 1, hilo_after(HILO_MILLISECOND)};

	fresh();
	for (unsigned i = 0; i < array_size(limits); i++) {
		one.deadline = limits[i];
		TASK_CHECK(hilo_join(hilo_spawn(waits_once, &one), HILO_FOREVER), ==, 0);
		TASK_CHECK(one.result, ==, -ETIMEDOUT);
	}
	start(&one, &task, 1);
	lock(); /* so that it has to wait for the mutex, cancelled as it is */
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TEST_UNTIL(waits_for(task, &mutex));
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	unlock();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(one.result, ==, -ECANCELED);
	TASK_CHECK(hilo_condition_destroy(&condition), ==, 0);
	return 0;
}

static int has_it_meanwhile(void *arg)
{
	(void)arg;
	lock();
	items++;
	unlock();
	return 0;
}

/* As for Python's threads: there is nothing to wait for, but who waits for the mutex has it. */
TASK_TEST(test_a_wait_that_is_over_gives_the_mutex_up)
{
	hilo_task *task;

	fresh();
	TASK_CHECK(hilo_mutex_init(&mutex, HILO_MUTEX_FAIR), ==, 0);
	lock();
	task = hilo_spawn(has_it_meanwhile, NULL);
	TEST_UNTIL(waits_for(task, &mutex));
	TASK_CHECK(hilo_condition_wait(&condition, &mutex, HILO_NO_WAIT), ==, -ETIMEDOUT);
	check_mine();
	TASK_CHECK(items, ==, 1);
	unlock();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

static int cancelled_before(void *arg)
{
	(void)arg;
	lock();
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_condition_wait(&condition, &mutex, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_condition_wait(&condition, &mutex, HILO_NO_WAIT), ==, -ECANCELED);
	check_mine();
	unlock();
	return 0;
}

TASK_TEST(test_a_cancel_that_is_set_comes_first)
{
	fresh();
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_before, NULL), HILO_FOREVER), ==, 0);
	return 0;
}

static void callback(void *arg)
{
	TASK_CHECK(hilo_condition_wait(&condition, &mutex, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_condition_notify_all(&condition), ==, 1);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

TASK_TEST(test_callbacks_notify_and_do_not_wait)
{
	hilo_future *future = hilo_future_new();
	struct one one;
	hilo_task *task;

	fresh();
	start(&one, &task, 1);
	TASK_CHECK(hilo_call_soon(callback, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(one.result, ==, 0);
	hilo_future_unref(future);
	return 0;
}

static int is_positive(void *arg)
{
	return *(int *)arg > 0;
}

static int fails(void *arg)
{
	(void)arg;
	return -EIO;
}

TASK_TEST(test_misuse_is_answered)
{
	hilo_mutex other = HILO_MUTEX_INIT;
	struct one one;
	hilo_task *task;

	fresh();
	TASK_CHECK(hilo_condition_wait(&condition, &mutex, HILO_FOREVER), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_condition_wait");
	TASK_CHECK(hilo_condition_wait_for(&condition, &mutex, is_positive, &items, HILO_FOREVER), ==,
		   -EPERM);
	start(&one, &task, 1);
	TASK_CHECK(hilo_mutex_lock(&other, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_condition_wait(&condition, &other, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_mutex_unlock(&other), ==, 0);
	TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

static int takes(void *arg)
{
	int rc;

	lock();
	rc = hilo_condition_wait_for(&condition, &mutex, is_positive, &items, *(hilo_time *)arg);
	check_mine();
	if (rc == 0)
		items--;
	unlock();
	return rc;
}

TASK_TEST(test_wait_for_looks_again)
{
	hilo_time forever = HILO_FOREVER, none = HILO_NO_WAIT;
	hilo_task *task;

	fresh();
	items = 1;
	TASK_CHECK(takes(&none), ==, 0);
	TASK_CHECK(takes(&none), ==, -ETIMEDOUT);
	lock();
	TASK_CHECK(hilo_condition_wait_for(&condition, &mutex, fails, NULL, HILO_FOREVER), ==, -EIO);
	unlock();
	task = hilo_spawn(takes, &forever);
	TEST_UNTIL(waits_for(task, &condition));
	TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 1); /* for nothing */
	TEST_UNTIL(waits_for(task, &condition));
	lock();
	items = 1;
	TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 1);
	unlock();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(items, ==, 0);
	return 0;
}

/* What is true at the end counts, not how the wait has ended. */
TASK_TEST(test_wait_for_looks_once_more_at_the_end)
{
	hilo_time forever = HILO_FOREVER;
	hilo_task *task;

	fresh();
	task = hilo_spawn(takes, &forever);
	TEST_UNTIL(waits_for(task, &condition));
	lock();
	items = 1;
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	unlock();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(items, ==, 0);
	return 0;
}

/* A notification whose receiver is cancelled at the same time goes to the other one, or was received. */
TASK_TEST(test_a_notification_is_not_lost_to_a_cancel)
{
	for (unsigned i = 0; i < test_rounds(200); i++) {
		struct one one[2];
		hilo_task *task[2];
		size_t woken;

		fresh();
		start(one, task, 2);
		TASK_CHECK(hilo_task_cancel(task[0]), ==, 0);
		woken = hilo_condition_notify(&condition, 1);
		TASK_CHECK(woken, ==, 1);
		TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, 0);
		if (one[0].result == 0)
			TASK_CHECK(hilo_condition_notify(&condition, 1), ==, 1);
		TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
		TASK_CHECK(one[1].result, ==, 0);
	}
	return 0;
}

/* ---- many ---- */

struct crowd {
	unsigned rounds;
	unsigned long put, taken; /* under the mutex */
};

static int crowd_put(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		lock();
		items++;
		crowd->put++;
		unlock();
		(void)hilo_condition_notify(&condition, 1);
	}
	return 0;
}

static int crowd_take(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		lock();
		TASK_CHECK(hilo_condition_wait_for(&condition, &mutex, is_positive, &items, HILO_FOREVER), ==,
			   0);
		TASK_CHECK(items, >, 0);
		items--;
		crowd->taken++;
		unlock();
	}
	return 0;
}

static void *crowd_put_thread(void *arg)
{
	(void)crowd_put(arg);
	return NULL;
}

static void *crowd_take_thread(void *arg)
{
	(void)crowd_take(arg);
	return NULL;
}

#define CROWD 4

static int crowd_body(void *arg)
{
	struct crowd crowd = {.rounds = test_rounds(300)};
	hilo_task *put[CROWD], *take[CROWD];
	pthread_t thread[2];

	(void)arg;
	fresh();
	TASK_CHECK(pthread_create(&thread[0], NULL, crowd_take_thread, &crowd), ==, 0);
	TASK_CHECK(pthread_create(&thread[1], NULL, crowd_put_thread, &crowd), ==, 0);
	for (int i = 0; i < CROWD; i++) {
		take[i] = hilo_spawn(crowd_take, &crowd);
		put[i] = hilo_spawn(crowd_put, &crowd);
	}
	for (int i = 0; i < CROWD; i++) {
		TASK_CHECK(hilo_join(take[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(put[i], HILO_FOREVER), ==, 0);
	}
	test_join_thread(thread[0]);
	test_join_thread(thread[1]);
	TASK_CHECK(crowd.put, ==, crowd.taken);
	TASK_CHECK(items, ==, 0);
	return 0;
}

static void test_tasks_and_threads_hand_items_over(void **state)
{
	const unsigned workers[] = {1, 2, 8};

	(void)state;
	for (unsigned i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], crowd_body, NULL), 0);
}

/* On the stack of the one that waits, who frees it at once. */
struct request {
	hilo_mutex mutex;
	hilo_condition done;
	bool is_done;
};

static int serve(void *arg)
{
	struct request *request = arg;

	TASK_CHECK(hilo_mutex_lock(&request->mutex, HILO_FOREVER), ==, 0);
	request->is_done = true;
	(void)hilo_condition_notify(&request->done, 1);
	return hilo_mutex_unlock(&request->mutex);
}

TASK_TEST(test_who_waited_may_free_it)
{
	for (unsigned i = 0; i < test_rounds(200); i++) {
		struct request *request = calloc(1, sizeof(*request));
		hilo_task *task;

		TASK_CHECK(hilo_mutex_lock(&request->mutex, HILO_FOREVER), ==, 0);
		task = hilo_spawn(serve, request);
		while (!request->is_done)
			TASK_CHECK(hilo_condition_wait(&request->done, &request->mutex, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&request->mutex), ==, 0);
		memset(request, 0xff, sizeof(*request));
		free(request);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify_wakes_in_order_and_counts),
		cmocka_unit_test(test_notify_all_wakes_those_that_wait),
		cmocka_unit_test(test_a_wait_ends_early_with_the_mutex),
		cmocka_unit_test(test_a_wait_that_is_over_gives_the_mutex_up),
		cmocka_unit_test(test_a_cancel_that_is_set_comes_first),
		cmocka_unit_test(test_callbacks_notify_and_do_not_wait),
		cmocka_unit_test(test_misuse_is_answered),
		cmocka_unit_test(test_wait_for_looks_again),
		cmocka_unit_test(test_wait_for_looks_once_more_at_the_end),
		cmocka_unit_test(test_a_notification_is_not_lost_to_a_cancel),
		cmocka_unit_test(test_tasks_and_threads_hand_items_over),
		cmocka_unit_test(test_who_waited_may_free_it),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
