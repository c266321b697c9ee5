/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/wait.h"

static hilo_mutex mutex;

/* [any, holds a reference] @task waits for @object. */
static bool waits_for(hilo_task *task, const void *object)
{
	struct wait_seen seen;

	return hilo__wait_look(task, &seen) && seen.object == object;
}

static void fresh(unsigned flags)
{
	TASK_CHECK(hilo_mutex_init(&mutex, flags), ==, 0);
}

TASK_TEST(test_a_free_mutex_is_locked_at_once)
{
	static hilo_mutex zero = HILO_MUTEX_INIT;

	fresh(0);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&zero, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_unlock(&zero), ==, 0);
	return 0;
}

TASK_TEST(test_flags_that_do_not_exist_are_refused)
{
	fresh(0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_init(&mutex, HILO_MUTEX_FAIR | 6), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "0x6");
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	return 0;
}

/* What one that waits got, and when. */
struct one {
	hilo_time deadline;
	atomic(unsigned) * clock;
	unsigned when;
	int result;
};

static int locks_once(void *arg)
{
	struct one *one = arg;

	one->result = hilo_mutex_lock(&mutex, one->deadline);
	if (one->result == 0) {
		one->when = add_acq_rel(one->clock, 1);
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

static void fifo_with(unsigned flags)
{
	atomic(unsigned) clock = 0;
	struct one one[5];
	hilo_task *task[5];

	fresh(flags);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	for (unsigned i = 0; i < 5; i++) {
		one[i] = (struct one){.deadline = HILO_FOREVER, .clock = &clock};
		task[i] = hilo_spawn(locks_once, &one[i]);
		TEST_UNTIL(waits_for(task[i], &mutex));
	}
	TASK_CHECK(hilo_mutex_destroy(&mutex), ==, -EBUSY);
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, -EDEADLK);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	/* It is the first one's, and ours after all the others. */
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&clock), ==, 5);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	for (unsigned i = 0; i < 5; i++) {
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(one[i].result, ==, 0);
		TASK_CHECK(one[i].when, ==, i);
	}
	TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
}

TASK_TEST(test_a_fair_mutex_is_handed_over_in_order)
{
	fifo_with(HILO_MUTEX_FAIR);
	return 0;
}

static int fifo_default(void *arg)
{
	(void)arg;
	fifo_with(0);
	return 0;
}

static void test_one_worker_hands_over_in_order(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run(1, fifo_default, NULL), 0);
	assert_int_equal(test_run_natural(1, fifo_default, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* Who unlocks goes on; who was given the mutex comes later. */
LOOP_TEST(test_unlocking_does_not_run_the_next_owner)
{
	atomic(unsigned) clock = 0;
	struct one one = {.deadline = HILO_FOREVER, .clock = &clock};
	hilo_loop *loop = hilo_loop_current();
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED, .loop = loop};
	hilo_task *task;

	fresh(HILO_MUTEX_FAIR);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_spawn_with(locks_once, &one, &opts, &task), ==, 0);
	TEST_UNTIL(waits_for(task, &mutex));
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	if (hilo_loop_current() == loop)
		TASK_CHECK(load_acquire(&clock), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(one.result, ==, 0);
	return 0;
}

TASK_TEST(test_a_wait_ends_at_its_deadline)
{
	atomic(unsigned) clock = 0;
	struct one one = {.clock = &clock};
	const hilo_time limits[] = {HILO_NO_WAIT, 1, hilo_after(HILO_MILLISECOND)};
	hilo_task *task;

	for (unsigned flags = 0; flags < 2; flags++) {
		fresh(flags);
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		for (unsigned i = 0; i < array_size(limits); i++) {
			one.deadline = limits[i];
			task = hilo_spawn(locks_once, &one);
			TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
			TASK_CHECK(one.result, ==, -ETIMEDOUT);
		}
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
		TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
	}
	return 0;
}

TASK_TEST(test_a_cancel_ends_the_wait_and_the_next_one_gets_it)
{
	for (unsigned flags = 0; flags < 2; flags++) {
		atomic(unsigned) clock = 0;
		struct one one[2];
		hilo_task *task[2];

		fresh(flags);
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		for (int i = 0; i < 2; i++) {
			one[i] = (struct one){.deadline = HILO_FOREVER, .clock = &clock};
			task[i] = hilo_spawn(locks_once, &one[i]);
			TEST_UNTIL(waits_for(task[i], &mutex));
		}
		TASK_CHECK(hilo_task_cancel(task[0]), ==, 0);
		TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, 0);
		TASK_CHECK(one[0].result, ==, -ECANCELED);
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
		TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
		TASK_CHECK(one[1].result, ==, 0);
		TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
	}
	return 0;
}

static int cancelled_before(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_NO_WAIT), ==, -ECANCELED);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, 0); /* does not wait, so is no place to stop */
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return hilo_mutex_unlock(&mutex);
}

TASK_TEST(test_a_cancel_that_is_set_comes_first)
{
	fresh(0);
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_before, NULL), HILO_FOREVER), ==, 0);
	return 0;
}

static int unlocks_anothers(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_mutex_unlock");
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, -EAGAIN);
	return 0;
}

static void *thread_unlocks_anothers(void *arg)
{
	(void)unlocks_anothers(arg);
	return NULL;
}

TASK_TEST(test_only_its_owner_unlocks)
{
	pthread_t thread;

	fresh(0);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, -EPERM);
	TASK_CHECK_CONTAINS(hilo_error_message(), "not locked");
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hilo_spawn(unlocks_anothers, NULL), HILO_FOREVER), ==, 0);
	TASK_CHECK(pthread_create(&thread, NULL, thread_unlocks_anothers, NULL), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	return 0;
}

TASK_TEST(test_its_owner_is_told_that_it_has_it)
{
	fresh(0);
	TASK_CHECK(hilo_task_set_name(hilo_task_current(), "greedy"), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "greedy");
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, -EDEADLK);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	return 0;
}

static void callback(void *arg)
{
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "callback");
	TASK_CHECK(hilo_mutex_try_lock(&mutex), ==, -EDEADLK);
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, -EPERM);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

TASK_TEST(test_a_callback_cannot_have_it)
{
	hilo_future *future = hilo_future_new();

	fresh(0);
	TASK_CHECK(hilo_call_soon(callback, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

/* ---- many ---- */

struct crowd {
	atomic(bool) inside;
	unsigned long count; /* under the mutex */
	unsigned rounds;
};

static int crowd_count(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		TASK_CHECK(xchg_relaxed(&crowd->inside, true), ==, false); /* relaxed: the mutex orders it */
		crowd->count++;
		if (i % 16 == 0)
			test_pause();
		store_relaxed(&crowd->inside, false); /* relaxed: as above */
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

static void *crowd_thread(void *arg)
{
	(void)crowd_count(arg);
	return NULL;
}

#define CROWD 8
#define CROWD_THREADS 2

static int crowd_body(void *arg)
{
	struct crowd crowd = {.rounds = test_rounds(400)};
	hilo_task *task[CROWD];
	pthread_t thread[CROWD_THREADS];

	fresh((unsigned)(uintptr_t)arg);
	for (int i = 0; i < CROWD_THREADS; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, crowd_thread, &crowd), ==, 0);
	for (int i = 0; i < CROWD; i++)
		task[i] = hilo_spawn(crowd_count, &crowd);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < CROWD_THREADS; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(crowd.count, ==, (CROWD + CROWD_THREADS) * crowd.rounds);
	TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
	return 0;
}

static void test_tasks_and_threads_count_under_it(void **state)
{
	const unsigned workers[] = {1, 2, 8};

	(void)state;
	for (unsigned i = 0; i < array_size(workers); i++)
		for (uintptr_t flags = 0; flags < 2; flags++)
			assert_int_equal(test_run(workers[i], crowd_body, (void *)flags), 0);
}

/* It does nothing but take it again, until the one that waits has had it. */
static int never_lets_go(void *arg)
{
	const struct one *one = arg;

	while (load_acquire(one->clock) == 0) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

TASK_TEST(test_who_was_passed_over_is_given_it)
{
	for (unsigned flags = 0; flags < 2; flags++) {
		atomic(unsigned) clock = 0;
		struct one one = {.deadline = HILO_FOREVER, .clock = &clock};
		hilo_task *task;

		fresh(flags);
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		task = hilo_spawn(locks_once, &one);
		TEST_UNTIL(waits_for(task, &mutex));
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
		(void)never_lets_go(&one);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
		TASK_CHECK(one.result, ==, 0);
	}
	return 0;
}

static void *locks_in_a_thread(void *arg)
{
	(void)locks_once(arg);
	return NULL;
}

TASK_TEST(test_a_plain_thread_waits_for_a_task)
{
	atomic(unsigned) clock = 0;
	struct one one = {.deadline = HILO_FOREVER, .clock = &clock},
		   hasty = {.deadline = 1, .clock = &clock};
	pthread_t thread;

	fresh(0);
	TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
	TASK_CHECK(pthread_create(&thread, NULL, locks_in_a_thread, &hasty), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(hasty.result, ==, -ETIMEDOUT);
	TASK_CHECK(pthread_create(&thread, NULL, locks_in_a_thread, &one), ==, 0);
	TEST_UNTIL(load_relaxed((atomic(uintptr_t) *)(void *)&mutex) & 1); /* somebody waits */
	TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(one.result, ==, 0);
	return 0;
}

/* One has it; the other one waits, and frees it as soon as it has had it. */
static int unlocks(void *arg)
{
	hilo_mutex *last = arg;

	TASK_CHECK(hilo_mutex_lock(last, HILO_FOREVER), ==, 0);
	test_pause();
	return hilo_mutex_unlock(last);
}

TASK_TEST(test_the_last_owner_may_free_it)
{
	for (unsigned i = 0; i < test_rounds(200); i++) {
		hilo_mutex *last = calloc(1, sizeof(*last));
		hilo_task *task;

		TASK_CHECK(hilo_mutex_init(last, i % 2), ==, 0);
		task = hilo_spawn(unlocks, last);
		TEST_UNTIL(hilo_mutex_is_locked(last) || hilo_task_is_done(task));
		TASK_CHECK(hilo_mutex_lock(last, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(last), ==, 0);
		memset(last, 0xff, sizeof(*last));
		free(last);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* Two runtimes of one worker each have no order to keep: who runs gets on. */
static atomic(bool) passed;

/* [any] */
static bool somebody_waits(void)
{
	return load_relaxed((atomic(uintptr_t) *)(void *)&mutex) & 1; /* relaxed: at some moment */
}

static int locks_all_the_time(void *arg)
{
	(void)arg;
	while (!load_acquire(&passed)) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

static void *locks_in_a_runtime(void *arg)
{
	TASK_CHECK(test_run(1, locks_all_the_time, arg), ==, 0);
	return NULL;
}

static int passes_a_waiter(void *arg)
{
	(void)arg;
	while (!load_acquire(&passed)) {
		TASK_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER), ==, 0);
		for (int i = 0; i < 10000 && !somebody_waits(); i++)
			cpu_relax();
		if (somebody_waits()) {
			TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
			if (hilo_mutex_try_lock(&mutex) < 0)
				continue;
			store_release(&passed, true);
		}
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	return 0;
}

static void test_one_of_another_runtime_may_be_passed(void **state)
{
	pthread_t thread;

	(void)state;
	fresh(0);
	store_release(&passed, false);
	assert_int_equal(pthread_create(&thread, NULL, locks_in_a_runtime, NULL), 0);
	assert_int_equal(test_run(1, passes_a_waiter, NULL), 0);
	test_join_thread(thread);
	assert_int_equal(hilo_mutex_destroy(&mutex), 0);
}

/* ---- blocks ---- */

static int leaves_by(int how)
{
	int rc = 0;

	for (int i = 0; i < 2; i++) {
		HILO_WITH_MUTEX(&mutex, &rc)
		{
			TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
			if (how == 0)
				return 7;
			if (how == 1)
				break;
			if (how == 2)
				continue;
			rc = -EIO;
		}
	}
	return rc;
}

TASK_TEST(test_a_block_unlocks_however_it_is_left)
{
	const int codes[] = {7, 0, 0, -EIO};

	fresh(0);
	for (int how = 0; how < 4; how++) {
		TASK_CHECK(leaves_by(how), ==, codes[how]);
		TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	}
	return 0;
}

static int block_that_waits(void *arg)
{
	int rc;

	(void)arg;
	HILO_WITH_MUTEX(&mutex, &rc)
	{
		rc = hilo_sleep(HILO_FOREVER);
	}
	return rc;
}

TASK_TEST(test_a_block_unlocks_when_it_is_cancelled)
{
	hilo_task *inside, *outside;

	fresh(0);
	inside = hilo_spawn(block_that_waits, NULL);
	TEST_UNTIL(hilo_mutex_is_locked(&mutex));
	outside = hilo_spawn(block_that_waits, NULL);
	TEST_UNTIL(waits_for(outside, &mutex));
	TASK_CHECK(hilo_task_cancel(outside), ==, 0);
	TASK_CHECK(hilo_join(outside, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 1);
	TASK_CHECK(hilo_task_cancel(inside), ==, 0);
	TASK_CHECK(hilo_join(inside, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_mutex_is_locked(&mutex), ==, 0);
	return 0;
}

TASK_TEST(test_a_block_that_unlocks_itself_has_failed)
{
	int rc;

	fresh(0);
	HILO_WITH_MUTEX(&mutex, &rc)
	{
		TASK_CHECK(hilo_mutex_unlock(&mutex), ==, 0);
	}
	TASK_CHECK(rc, ==, -EPERM);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_free_mutex_is_locked_at_once),
		cmocka_unit_test(test_flags_that_do_not_exist_are_refused),
		cmocka_unit_test(test_a_fair_mutex_is_handed_over_in_order),
		cmocka_unit_test(test_one_worker_hands_over_in_order),
		cmocka_unit_test(test_unlocking_does_not_run_the_next_owner),
		cmocka_unit_test(test_a_wait_ends_at_its_deadline),
		cmocka_unit_test(test_a_cancel_ends_the_wait_and_the_next_one_gets_it),
		cmocka_unit_test(test_a_cancel_that_is_set_comes_first),
		cmocka_unit_test(test_only_its_owner_unlocks),
		cmocka_unit_test(test_its_owner_is_told_that_it_has_it),
		cmocka_unit_test(test_a_callback_cannot_have_it),
		cmocka_unit_test(test_tasks_and_threads_count_under_it),
		cmocka_unit_test(test_who_was_passed_over_is_given_it),
		cmocka_unit_test(test_a_plain_thread_waits_for_a_task),
		cmocka_unit_test(test_the_last_owner_may_free_it),
		cmocka_unit_test(test_one_of_another_runtime_may_be_passed),
		cmocka_unit_test(test_a_block_unlocks_however_it_is_left),
		cmocka_unit_test(test_a_block_unlocks_when_it_is_cancelled),
		cmocka_unit_test(test_a_block_that_unlocks_itself_has_failed),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
