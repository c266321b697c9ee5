/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

static int reset_faults(void **state)
{
	(void)state;
	hilo__mem_fail_at(0, false);
	hilo__sys_reset();
	return 0;
}

static void test_mem_counts_what_lives(void **state)
{
	long before = hilo__mem_live();
	char *copy = hilo__strdup("hilo");
	void *blocks[3] = {hilo__malloc(10), hilo__calloc(2, 8), hilo__aligned_alloc(128, 256)};

	(void)state;
	assert_string_equal(copy, "hilo");
	assert_int_equal((uintptr_t)blocks[2] % 128, 0);
	assert_int_equal(hilo__mem_live(), before + 4);
	hilo__free(copy);
	for (int i = 0; i < 3; i++)
		hilo__free(blocks[i]);
	hilo__free(NULL);
	assert_int_equal(hilo__mem_live(), before);
}

static void test_mem_fail_at_fails_only_the_nth(void **state)
{
	void *p;

	(void)state;
	hilo__mem_fail_at(2, false);
	p = hilo__malloc(1);
	assert_non_null(p);
	assert_null(hilo__calloc(1, 1));
	hilo__free(p);
	p = hilo__strdup("");
	assert_non_null(p);
	hilo__free(p);
	assert_int_equal(hilo__mem_calls(), 3);
}

static void test_mem_fail_at_persistent_fails_from_the_nth_on(void **state)
{
	void *p;

	(void)state;
	hilo__mem_fail_at(2, true);
	p = hilo__malloc(1);
	assert_non_null(p);
	hilo__free(p);
	assert_null(hilo__malloc(1));
	assert_null(hilo__aligned_alloc(64, 64));
	assert_null(hilo__strdup("x"));
	assert_null(hilo__map(4096));
	assert_null(hilo__map_aligned(65536, 65536));
	hilo__mem_fail_at(0, false);
	p = hilo__malloc(1);
	assert_non_null(p);
	hilo__free(p);
}

static void test_mem_calloc_overflow_is_null(void **state)
{
	volatile size_t huge = SIZE_MAX / 2;

	(void)state;
#if !defined(HILO__ASAN) && !defined(HILO__TSAN) /* which report it and stop */
	assert_null(hilo__calloc(huge, 3));
#else
	(void)huge;
#endif
}

static void test_mem_map_is_zero_and_counted(void **state)
{
	size_t before = hilo__mem_mapped();
	unsigned char *p = hilo__map(3 * 4096);

	(void)state;
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 4096, 0);
	for (size_t i = 0; i < (size_t)3 * 4096; i++)
		assert_int_equal(p[i], 0);
	memset(p, 1, (size_t)3 * 4096);
	assert_int_equal(hilo__mem_mapped(), before + (size_t)3 * 4096);
	hilo__unmap(p, (size_t)3 * 4096);
	hilo__unmap(NULL, 4096);
	assert_int_equal(hilo__mem_mapped(), before);
}

/* Odd page counts in between see to it that the first address is not always aligned. */
static void test_mem_map_aligned_is_aligned_and_keeps_no_more(void **state)
{
	enum {
		ROUNDS = 16
	};
	const size_t alignment = 65536, size = 131072;
	size_t before = hilo__mem_mapped();
	char *maps[ROUNDS], *odd[ROUNDS];

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		odd[i] = hilo__map(4096 * (size_t)(2 * i + 1));
		maps[i] = hilo__map_aligned(alignment, size);
		assert_non_null(odd[i]);
		assert_non_null(maps[i]);
		assert_int_equal((uintptr_t)maps[i] % alignment, 0);
		maps[i][0] = maps[i][size - 1] = 1;
	}
	for (int i = 0; i < ROUNDS; i++) {
		hilo__unmap(odd[i], 4096 * (size_t)(2 * i + 1));
		hilo__unmap(maps[i], size);
	}
	assert_int_equal(hilo__mem_mapped(), before);
}

static void test_mem_map_survives_failing_system_calls(void **state)
{
	size_t before = hilo__mem_mapped();
	char *p;

	(void)state;
	for (long nth = 1; nth <= 2; nth++) {
		hilo__sys_fail(SYS_CALL_MMAP, nth, ENOMEM, true);
		p = hilo__map_aligned((size_t)1 << 21, (size_t)1 << 21);
		hilo__unmap(p, (size_t)1 << 21);
		assert_int_equal(hilo__mem_mapped(), before);
	}
	hilo__sys_fail(SYS_CALL_MMAP, 1, ENOMEM, false);
	assert_null(hilo__map(4096));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_mem_counts_what_lives, reset_faults),
		cmocka_unit_test_teardown(test_mem_fail_at_fails_only_the_nth, reset_faults),
		cmocka_unit_test_teardown(test_mem_fail_at_persistent_fails_from_the_nth_on, reset_faults),
		cmocka_unit_test_teardown(test_mem_calloc_overflow_is_null, reset_faults),
		cmocka_unit_test_teardown(test_mem_map_is_zero_and_counted, reset_faults),
		cmocka_unit_test_teardown(test_mem_map_aligned_is_aligned_and_keeps_no_more, reset_faults),
		cmocka_unit_test_teardown(test_mem_map_survives_failing_system_calls, reset_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
