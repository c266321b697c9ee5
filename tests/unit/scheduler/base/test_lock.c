/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/sys.h"

#define MILLISECOND INT64_C(1000000)

static struct spinlock lock = SPINLOCK_INIT;
static long protected_count;

static void *thread_count_up(void *arg)
{
	int rounds = *(int *)arg;

	for (int i = 0; i < rounds; i++) {
		if (i % 3 == 0) {
			while (!spin_trylock(&lock))
				cpu_relax();
		} else {
			spin_lock(&lock);
		}
		protected_count++;
		spin_unlock(&lock);
	}
	return NULL;
}

static void test_spin_lock_excludes(void **state)
{
	enum {
		THREADS = 4
	};
	pthread_t threads[THREADS];
	int rounds = 20000;

	(void)state;
	protected_count = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_count_up, &rounds), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(protected_count, (long)THREADS * rounds);
}

static void test_spin_trylock_fails_when_held(void **state)
{
	struct spinlock mine;

	(void)state;
	spin_init(&mine);
	assert_true(spin_trylock(&mine));
	assert_false(spin_trylock(&mine));
	spin_unlock(&mine);
	assert_true(spin_trylock(&mine));
	spin_unlock(&mine);
}

static void test_spin_held_counts(void **state)
{
	struct spinlock a = SPINLOCK_INIT, b = SPINLOCK_INIT;

	(void)state;
	assert_int_equal(hilo__spin_held(), 0);
	spin_lock(&a);
	assert_true(spin_trylock(&b));
	assert_false(spin_trylock(&b));
	assert_int_equal(hilo__spin_held(), 2);
	spin_unlock(&a);
	spin_unlock(&b);
	assert_int_equal(hilo__spin_held(), 0);
}

static void test_futex_wait_other_value_is_eagain(void **state)
{
	atomic(uint32_t) word = 5;

	(void)state;
	assert_int_equal(hilo__futex_wait(&word, 4, INT64_MAX), -EAGAIN);
}

static void test_futex_wait_ends_at_deadline_never_before(void **state)
{
	atomic(uint32_t) word = 0;
	int64_t deadline = hilo__clock_now() + 20 * MILLISECOND;

	(void)state;
	assert_int_equal(hilo__futex_wait(&word, 0, deadline), -ETIMEDOUT);
	assert_true(hilo__clock_now() >= deadline);
}

static void test_futex_wait_past_deadline_is_timeout(void **state)
{
	static const int64_t deadlines[] = {0, 1, -1, INT64_MIN};
	atomic(uint32_t) word = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(hilo__futex_wait(&word, 0, deadlines[i]), -ETIMEDOUT);
}

static void test_futex_wake_without_sleeper_is_zero(void **state)
{
	atomic(uint32_t) word = 0;

	(void)state;
	assert_int_equal(hilo__futex_wake(&word, 1), 0);
}

struct sleeper {
	atomic(uint32_t) word;
	atomic(int) result;
};

/* Sleeps until the word changes, or is interrupted. */
static void *thread_sleep(void *arg)
{
	struct sleeper *sleeper = arg;
	int rc = 0;

	while (load_acquire(&sleeper->word) == 0 && rc == 0)
		rc = hilo__futex_wait(&sleeper->word, 0, INT64_MAX);
	store_release(&sleeper->result, rc);
	return NULL;
}

static void test_futex_wake_wakes_all_that_sleep(void **state)
{
	enum {
		THREADS = 3
	};
	static struct sleeper sleeper;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_sleep, &sleeper), 0);
	store_release(&sleeper.word, 1);
	assert_in_range(hilo__futex_wake(&sleeper.word, INT32_MAX), 0, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void on_signal(int number)
{
	(void)number;
}

static void test_futex_wait_interrupted_is_eintr(void **state)
{
	static struct sleeper sleeper = {.result = 1};
	struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
	pthread_t thread;

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&thread, NULL, thread_sleep, &sleeper), 0);
	while (load_acquire(&sleeper.result) == 1) { /* a signal before the sleep interrupts nothing */
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
	pthread_join(thread, NULL);
	assert_int_equal(load_relaxed(&sleeper.result), -EINTR);
}

static void test_futex_calls_are_counted(void **state)
{
	atomic(uint32_t) word = 0;

	(void)state;
	hilo__sys_fail(SYS_CALL_FUTEX, 2, EINTR, false);
	assert_int_equal(hilo__futex_wake(&word, 1), 0);
	assert_int_equal(hilo__futex_wait(&word, 0, 0), -EINTR);
	assert_int_equal(hilo__futex_wait(&word, 0, 0), -ETIMEDOUT);
	assert_int_equal(hilo__sys_calls(SYS_CALL_FUTEX), 3);
	hilo__sys_reset();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spin_lock_excludes),
		cmocka_unit_test(test_spin_trylock_fails_when_held),
		cmocka_unit_test(test_spin_held_counts),
		cmocka_unit_test(test_futex_wait_other_value_is_eagain),
		cmocka_unit_test(test_futex_wait_ends_at_deadline_never_before),
		cmocka_unit_test(test_futex_wait_past_deadline_is_timeout),
		cmocka_unit_test(test_futex_wake_without_sleeper_is_zero),
		cmocka_unit_test(test_futex_wake_wakes_all_that_sleep),
		cmocka_unit_test(test_futex_wait_interrupted_is_eintr),
		cmocka_unit_test(test_futex_calls_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
