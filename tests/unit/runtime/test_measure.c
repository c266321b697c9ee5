/* SPDX-License-Identifier: MIT */
/* Work and span of forks, by a clock that goes on when the test says so. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <hilo/runtime/measure.h>
#include <hilo/runtime/parallel.h>

#include "scheduler/base/mem.h"
#include "scheduler/measure.h"

#define BURDEN 4000

static atomic(uint64_t) ticks;

static uint64_t fake_clock(void)
{
	return load_relaxed(&ticks);
}

/* [task] Compute for so many ns. */
static void work(uint64_t ns)
{
	(void)add_relaxed(&ticks, ns);
}

static hilo_measure measure_of(int (*fn)(void *arg), void *arg, int expected)
{
	hilo_measure measure = {.size = sizeof(measure)};

	TASK_CHECK(hilo_measure_run(fn, arg, &measure), ==, expected);
	TASK_CHECK(measure.span, <=, measure.work);
	TASK_CHECK(measure.span, <=, measure.burdened_span);
	return measure;
}

/* As FORK_TEST, by the clock of this test. */
#define MEASURE_TEST(name)                                                                                   \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		hilo__measure_clock = fake_clock;                                                            \
		test_each(name##_body);                                                                      \
		hilo__forks_forced = FORKS_EACH;                                                             \
		test_each(name##_body);                                                                      \
		hilo__forks_forced = FORKS_AS_EVER;                                                          \
		hilo__measure_clock = NULL;                                                                  \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* Each call takes 10: the work is that of all calls, the span that of the way down to fib(1). */
HILO_FORKABLE(long, fib, long, n)
{
	long right;

	work(10);
	if (n < 2)
		return n;
	HILO_FORK(fib, n - 1);
	right = HILO_CALL(fib, n - 2);
	return HILO_JOIN(fib) + right;
}

static int run_fib(void *arg)
{
	long value;

	TASK_CHECK(HILO_REGION(fib, &value, (long)(intptr_t)arg), ==, 0);
	return (int)value;
}

MEASURE_TEST(test_a_tree)
{
	hilo_measure measure = measure_of(run_fib, (void *)15, 610);

	TASK_CHECK(measure.work, ==, 10 * (2 * 987 - 1));
	TASK_CHECK(measure.span, ==, 10 * 15);
	TASK_CHECK(measure.burdened_span, ==, 10 * 15 + 14 * BURDEN);
	TASK_CHECK(measure.forks, ==, 986);
	TASK_CHECK((long long)(measure.parallelism * 150 + 0.5), ==, measure.work);
	return 0;
}

/* Each piece waits for the one before it. */
HILO_FORKABLE(int, chain, int, n)
{
	int rc = 0;

	work(7);
	if (n > 0) {
		HILO_FORK(chain, n - 1);
		rc = HILO_JOIN(chain);
	}
	work(3);
	return rc;
}

static int run_chain(void *arg)
{
	(void)arg;
	return HILO_REGION(chain, NULL, 20);
}

MEASURE_TEST(test_a_chain_is_not_parallel)
{
	hilo_measure measure = measure_of(run_chain, NULL, 0);

	TASK_CHECK(measure.work, ==, 210);
	TASK_CHECK(measure.span, ==, 210);
	TASK_CHECK(measure.parallelism == 1.0, ==, true);
	TASK_CHECK(hilo_measure_speedup(&measure, 8).most == 1.0, ==, true);
	return 0;
}

/* The caller is the longer one of two, then the fork is. */
HILO_FORKABLE(int, takes, uint64_t, ns)
{
	work(ns);
	return 0;
}

HILO_FORKABLE(int, beside, uint64_t, fork, uint64_t, caller)
{
	int rc;

	work(1);
	HILO_FORK(takes, fork);
	work(caller);
	rc = HILO_JOIN(takes);
	work(1);
	return rc;
}

static int run_beside(void *arg)
{
	const uint64_t *two = arg;

	work(100);
	return HILO_REGION(beside, NULL, two[0], two[1]);
}

MEASURE_TEST(test_the_longer_one_of_two_counts)
{
	hilo_measure measure = measure_of(run_beside, (uint64_t[]){30, 50}, 0);

	TASK_CHECK(measure.work, ==, 182);
	TASK_CHECK(measure.span, ==, 152);
	TASK_CHECK(measure.burdened_span, ==, 100 + 1 + BURDEN + 30 + 1);
	measure = measure_of(run_beside, (uint64_t[]){50, 30}, 0);
	TASK_CHECK(measure.work, ==, 182);
	TASK_CHECK(measure.span, ==, 152);
	measure = measure_of(run_beside, (uint64_t[]){30, 50000}, 0);
	TASK_CHECK(measure.burdened_span, ==, measure.span);
	return 0;
}

/* Several forks that are joined by one: each path begins where it was forked. */
HILO_FORKABLE(int, several, int, n)
{
	int rc = 0;

	for (int i = 0; i < n; i++) {
		HILO_FORK(takes, 100);
		work(10);
	}
	for (int i = 0; i < n; i++)
		rc |= HILO_JOIN(takes);
	return rc;
}

static int run_several(void *arg)
{
	return HILO_REGION(several, NULL, (int)(intptr_t)arg);
}

MEASURE_TEST(test_forks_one_after_the_other)
{
	hilo_measure measure = measure_of(run_several, (void *)8, 0);

	TASK_CHECK(measure.work, ==, 880);
	TASK_CHECK(measure.span, ==, 170);
	TASK_CHECK(measure.forks, ==, 8);
	/* More of them than there are records: the last ones run at once. */
	measure = measure_of(run_several, (void *)20000, 0);
	TASK_CHECK(measure.work, ==, 110 * 20000);
	TASK_CHECK(measure.span, ==, 10 * 19999 + 100);
	TASK_CHECK(measure.forks, ==, 20000);
	return 0;
}

/* ---- loops ---- */

static int each_takes_ten(int64_t begin, int64_t end, void *arg)
{
	(void)arg;
	work(10 * (uint64_t)(end - begin));
	return 0;
}

static int run_loops(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_parallel_for(0, 1024, 1, each_takes_ten, NULL), ==, 0);
	work(5);
	return hilo_parallel_for(0, 1024, 256, each_takes_ten, NULL);
}

/* The first piece of a loop is beside all the others, which are halved. */
MEASURE_TEST(test_loops)
{
	hilo_measure measure = measure_of(run_loops, NULL, 0);

	TASK_CHECK(measure.work, ==, 2 * 10240 + 5);
	TASK_CHECK(measure.span, ==, 10 + 5 + 2560);
	TASK_CHECK(measure.burdened_span, >=, measure.span + 10 * BURDEN);
	return 0;
}

static int fold_ten(int64_t begin, int64_t end, void *value, void *arg)
{
	(void)arg;
	work(10 * (uint64_t)(end - begin));
	*(int64_t *)value += end - begin;
	return 0;
}

static int combine_three(void *value, void *right, void *arg)
{
	(void)arg;
	work(3);
	*(int64_t *)value += *(int64_t *)right;
	return 0;
}

static int run_reduce(void *arg)
{
	hilo_reduction how = {.size = sizeof(how),
			      .value_size = sizeof(int64_t),
			      .fold = fold_ten,
			      .combine = combine_three};

	return hilo_parallel_reduce(0, 256, 1, &how, arg, NULL);
}

MEASURE_TEST(test_reductions)
{
	int64_t sum = 0;
	hilo_measure measure = measure_of(run_reduce, &sum, 0);

	TASK_CHECK(sum, ==, 256);
	TASK_CHECK(measure.work, ==, 2560 + 3 * 255);
	TASK_CHECK(measure.span, ==, 10 + 3 * 8);
	TASK_CHECK(measure.burdened_span, ==, 10 + 3 * 8 + 8 * BURDEN);
	return 0;
}

/* ---- what does not count ---- */

static int works_elsewhere(void *arg)
{
	work(1000);
	return hilo_future_set(arg, NULL, NULL);
}

HILO_FORKABLE(int, waits, int, n)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task;
	int rc;

	work(5);
	task = hilo_spawn(works_elsewhere, future);
	rc = hilo_future_await(future, NULL, HILO_FOREVER);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	work(5);
	return rc + n;
}

HILO_FORKABLE(int, waits_twice, int, n)
{
	int rc;

	HILO_FORK(waits, n);
	rc = HILO_CALL(waits, 0);
	return rc + HILO_JOIN(waits);
}

static int run_waits(void *arg)
{
	(void)arg;
	return HILO_REGION(waits_twice, NULL, 3);
}

static int measure_waits(void *arg)
{
	hilo_measure measure = measure_of(run_waits, arg, 3);

	TASK_CHECK(measure.work, ==, 20);
	TASK_CHECK(measure.span, ==, 10);
	return 0;
}

static void test_waits_do_not_count(void **state)
{
	(void)state;
	hilo__measure_clock = fake_clock;
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run(1, measure_waits, NULL), 0);
	hilo__nobody_stands_in = false;
	hilo__measure_clock = NULL;
}

/* ---- stacks ---- */

HILO_FORKABLE(int, deep, int, n)
{
	volatile char frame[512];
	int rc;

	frame[0] = 1;
	work(frame[0]);
	if (n == 0)
		return 0;
	HILO_FORK(takes, 1);
	rc = HILO_CALL(deep, n - 1);
	return rc + HILO_JOIN(takes);
}

HILO_FORKABLE(int, deep_joins, int, n)
{
	volatile char frame[512];

	frame[0] = 1;
	work(frame[0]);
	if (n == 0)
		return 0;
	HILO_FORK(deep_joins, n - 1);
	return HILO_JOIN(deep_joins);
}

static int run_deep(void *arg)
{
	int n = (int)(intptr_t)arg, rc = HILO_REGION(deep, NULL, n);

	return rc < 0 ? rc : HILO_REGION(deep_joins, NULL, n);
}

/* It goes on on other stacks, and is one strand all the same. */
MEASURE_TEST(test_deep_recursion)
{
	const int n = test_rounds(100) < 100 ? 200 : 2000;
	hilo_measure measure = measure_of(run_deep, (void *)(intptr_t)n, 0);

	TASK_CHECK(measure.work, ==, 3 * n + 2);
	TASK_CHECK(measure.span, ==, 2 * n + 2);
	TASK_CHECK(measure.forks, ==, 2 * n);
	return 0;
}

/* ---- failures ---- */

static int fails_at_ten(int64_t begin, int64_t end, void *arg)
{
	(void)end;
	(void)arg;
	work(1);
	return begin == 10 ? hilo_fail(-EBADF, "piece 10") : 0;
}

static int run_fails(void *arg)
{
	return hilo_parallel_for(0, 100, 1, fails_at_ten, arg);
}

MEASURE_TEST(test_failures_are_told)
{
	hilo_measure measure = measure_of(run_fails, NULL, -EBADF);

	TASK_CHECK_TEXT(hilo_error_message(), "piece 10");
	TASK_CHECK(measure.work, ==, 11);
	return 0;
}

static int cancel_at_ten(int64_t begin, int64_t end, void *arg)
{
	(void)end;
	work(1);
	if (begin == 10)
		TASK_CHECK(hilo_task_cancel(arg), ==, 0);
	return 0;
}

static int run_cancelled(void *arg)
{
	return hilo_parallel_for(0, 100, 1, cancel_at_ten, arg);
}

MEASURE_TEST(test_a_cancel_stops_it)
{
	hilo_measure measure = measure_of(run_cancelled, hilo_task_current(), -ECANCELED);

	TASK_CHECK(measure.work, ==, 11);
	while (hilo_task_uncancel() > 0)
		;
	return 0;
}

static int run_within(void *arg)
{
	hilo_measure other = {.size = sizeof(other), .forks = 77};

	TASK_CHECK(hilo_measure_run(run_fib, arg, &other), ==, -EBUSY);
	TASK_CHECK(other.forks, ==, 77);
	return run_fib(arg);
}

MEASURE_TEST(test_misuse)
{
	hilo_measure measure = {.size = sizeof(measure)}, small = {.size = 8};

	TASK_CHECK(hilo_measure_run(NULL, NULL, &measure), ==, -EINVAL);
	TASK_CHECK(hilo_measure_run(run_fib, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_measure_run(run_fib, NULL, &small), ==, -EINVAL);
	measure = measure_of(run_within, (void *)5, 5);
	TASK_CHECK(measure.work, ==, 150);
	return 0;
}

static void test_outside_of_a_task(void **state)
{
	hilo_measure measure = {.size = sizeof(measure)};

	(void)state;
	assert_int_equal(hilo_measure_run(run_fib, NULL, &measure), -EDEADLK);
}

/* Nothing has begun, or a fork was left out for want of a stack. */
MEASURE_TEST(test_out_of_memory)
{
	long calls = 1;

	for (long n = 1; n <= calls; n++) {
		hilo_measure measure = {.size = sizeof(measure)};
		int rc;

		hilo__mem_fail_at(n, false);
		rc = hilo_measure_run(run_deep, (void *)50, &measure);
		calls = hilo__mem_calls();
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
	}
	return 0;
}

/* A region afterwards is one like others. */
MEASURE_TEST(test_afterwards_forks_are_stolen_again)
{
	long value;

	(void)measure_of(run_fib, (void *)10, 55);
	TASK_CHECK(HILO_REGION(fib, &value, 12), ==, 0);
	TASK_CHECK(value, ==, 144);
	return 0;
}

/* ---- what is made of it ---- */

static void test_bounds(void **state)
{
	hilo_measure measure = {.size = sizeof(measure),
				.work = 1000000,
				.span = 100000,
				.burdened_span = 125000,
				.parallelism = 10,
				.burdened_parallelism = 8};
	hilo_speedup speedup;

	(void)state;
	speedup = hilo_measure_speedup(&measure, 1);
	assert_true(speedup.least == 1.0 && speedup.most == 1.0);
	speedup = hilo_measure_speedup(&measure, 0);
	assert_true(speedup.least == 1.0 && speedup.most == 1.0);
	speedup = hilo_measure_speedup(&measure, 5);
	assert_true(speedup.least > 3.33 && speedup.least < 3.34 && speedup.most == 5.0);
	speedup = hilo_measure_speedup(&measure, 1000);
	assert_true(speedup.least > 7.9 && speedup.least < 8.0 && speedup.most == 10.0);
	measure = (hilo_measure){.size = sizeof(measure)};
	speedup = hilo_measure_speedup(&measure, 4);
	assert_true(speedup.least == 1.0 && speedup.most == 1.0);
}

static void test_report(void **state)
{
	hilo_measure measure = {.size = sizeof(measure),
				.work = 1000000,
				.span = 100000,
				.burdened_span = 125000,
				.forks = 12,
				.parallelism = 10,
				.burdened_parallelism = 8};
	char text[1024];
	ssize_t length;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hilo_measure_report(&measure, fds[1]), 0);
	close(fds[1]);
	length = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	assert_true(length > 0);
	text[length] = '\0';
	assert_non_null(strstr(text, "work                 1000.000 us, 12 forks\n"));
	assert_non_null(strstr(text, "span                  100.000 us, parallelism 10.00\n"));
	assert_non_null(strstr(text, "burdened span         125.000 us, parallelism 8.00\n"));
	assert_non_null(strstr(text, "16 workers         5.57 to 10.00 times as fast\n"));
	assert_int_equal(hilo_measure_report(&measure, fds[1]), -EBADF);
}

/* By the clock of the machine: whatever it says, the span is no more than the work. */
TASK_TEST(test_with_real_time)
{
	hilo_measure measure = measure_of(run_fib, (void *)18, 2584);

	TASK_CHECK(measure.forks, ==, 4180);
	TASK_CHECK(measure.work, >=, 0);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tree),
		cmocka_unit_test(test_a_chain_is_not_parallel),
		cmocka_unit_test(test_the_longer_one_of_two_counts),
		cmocka_unit_test(test_forks_one_after_the_other),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_reductions),
		cmocka_unit_test(test_waits_do_not_count),
		cmocka_unit_test(test_deep_recursion),
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_a_cancel_stops_it),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_outside_of_a_task),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_afterwards_forks_are_stolen_again),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_with_real_time),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
