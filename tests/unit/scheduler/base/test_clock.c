/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "scheduler/base/clock.h"

static int64_t virtual_now(void *ctx)
{
	return *(int64_t *)ctx;
}

static int clock_restore(void **state)
{
	(void)state;
	hilo__clock_set_source(NULL, NULL);
	return 0;
}

static void test_clock_never_goes_back(void **state)
{
	int64_t last = hilo__clock_now();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t now = hilo__clock_now();

		assert_true(now >= last);
		last = now;
	}
}

static void test_clock_is_the_monotonic_one(void **state)
{
	struct timespec before, after;
	int64_t now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	now = hilo__clock_now();
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(now >= (int64_t)before.tv_sec * 1000000000 + before.tv_nsec);
	assert_true(now <= (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
}

/* Both clocks over the same span, the cycles read outside: they may only count more, within 5 %. */
static void test_clock_cycles_agree_with_nanoseconds(void **state)
{
	uint64_t per_us = hilo__cycles_per_us();
	uint64_t cycles;
	int64_t start, ns;
	int agreed = 0;

	(void)state;
	assert_true(per_us >= 1);
	for (int i = 0; i < 50 && !agreed; i++) { /* being preempted between two reads spoils a try */
		uint64_t before = cycles_now();

		start = hilo__clock_now();
		do
			ns = hilo__clock_now() - start;
		while (ns < 1000000);
		cycles = cycles_now() - before;
		agreed = hilo__cycles_to_ns(cycles) > ns * 95 / 100 &&
			 hilo__cycles_to_ns(cycles) < ns * 105 / 100;
	}
	assert_true(agreed);
	assert_int_equal(hilo__cycles_to_ns(0), 0);
}

static void test_clock_source_drives_everything(void **state)
{
	int64_t time = 5000;

	(void)state;
	hilo__clock_set_source(virtual_now, &time);
	assert_int_equal(hilo__clock_now(), 5000);
	assert_int_equal(cycles_now(), 5000);
	assert_int_equal(hilo__cycles_per_us(), 1000);
	assert_int_equal(hilo__cycles_to_ns(123), 123);
	time += 1000000000;
	assert_int_equal(hilo__clock_now(), 1000005000);
}

static void test_clock_null_source_is_the_machine(void **state)
{
	int64_t time = 0;

	(void)state;
	hilo__clock_set_source(virtual_now, &time);
	hilo__clock_set_source(NULL, NULL);
	assert_true(hilo__clock_now() > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_never_goes_back),
		cmocka_unit_test(test_clock_is_the_monotonic_one),
		cmocka_unit_test(test_clock_cycles_agree_with_nanoseconds),
		cmocka_unit_test_teardown(test_clock_source_drives_everything, clock_restore),
		cmocka_unit_test_teardown(test_clock_null_source_is_the_machine, clock_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
