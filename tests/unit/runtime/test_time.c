/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hilo/runtime/types.h>

#include "scheduler/base/clock.h"

static int64_t fake_now;

static int64_t fake_clock(void *ctx)
{
	return *(int64_t *)ctx;
}

static int time_setup(void **state)
{
	(void)state;
	fake_now = 1000;
	hilo__clock_set_source(fake_clock, &fake_now);
	return 0;
}

static int time_teardown(void **state)
{
	(void)state;
	hilo__clock_set_source(NULL, NULL);
	return 0;
}

static void test_now_is_the_clock(void **state)
{
	(void)state;
	assert_int_equal(hilo_now(), 1000);
	fake_now = 2000;
	assert_int_equal(hilo_now(), 2000);
}

static void test_after_adds(void **state)
{
	(void)state;
	assert_int_equal(hilo_after(500), 1500);
	assert_int_equal(hilo_after(0), 1000);
	assert_int_equal(hilo_after(-400), 600);
	assert_int_equal(hilo_after(3 * HILO_SECOND), 3000001000);
}

static void test_after_saturates(void **state)
{
	(void)state;
	assert_true(hilo_after(HILO_FOREVER) == HILO_FOREVER);
	assert_true(hilo_after(HILO_FOREVER - 1000) == HILO_FOREVER);
	assert_true(hilo_after(HILO_FOREVER - 999) == HILO_FOREVER);
	assert_true(hilo_after(HILO_FOREVER - 1001) == HILO_FOREVER - 1);
}

static void test_after_is_never_negative(void **state)
{
	(void)state;
	assert_int_equal(hilo_after(-1000), 0);
	assert_int_equal(hilo_after(-1001), 0);
	assert_int_equal(hilo_after(INT64_MIN), 0);
	fake_now = 0;
	assert_int_equal(hilo_after(INT64_MIN), 0);
	assert_true(hilo_after(HILO_FOREVER) == HILO_FOREVER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_now_is_the_clock, time_setup, time_teardown),
		cmocka_unit_test_setup_teardown(test_after_adds, time_setup, time_teardown),
		cmocka_unit_test_setup_teardown(test_after_saturates, time_setup, time_teardown),
		cmocka_unit_test_setup_teardown(test_after_is_never_negative, time_setup, time_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
