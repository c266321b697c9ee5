/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/site_impl.h"

static int (*volatile not_inlined)(char *, size_t);

/* The return address of a call in this program, as text. */
static __attribute__((noinline)) int describe_caller(char *buf, size_t size)
{
	hilo__site_describe(__builtin_return_address(0), buf, size);
	return 1;
}

static void test_a_site_in_the_program_is_its_file_and_an_offset(void **state)
{
	char text[SITE_SIZE], *plus, *end;

	(void)state;
	not_inlined = describe_caller;
	assert_int_equal(not_inlined(text, sizeof(text)), 1);
	assert_non_null(strstr(text, "runtime_site"));
	plus = strrchr(text, '+');
	assert_non_null(plus);
	assert_true(strtoul(plus + 1, &end, 16) > 0);
	assert_true(*end == '\0' || strncmp(end, " (", 2) == 0); /* a program that exports its names */
}

static void test_a_site_in_a_library_is_a_name(void **state)
{
	char text[SITE_SIZE];

	(void)state;
	hilo__site_describe((const char *)(uintptr_t)strtoul + 5, text, sizeof(text));
	assert_non_null(strstr(text, "strtoul"));
	assert_non_null(strstr(text, "+0x4 ("));
}

static void test_what_is_no_code(void **state)
{
	char text[SITE_SIZE], expected[32], cut[8];

	(void)state;
	hilo__site_describe(NULL, text, sizeof(text));
	assert_string_equal(text, "?");
	hilo__site_describe(text, text, sizeof(text));
	(void)snprintf(expected, sizeof(expected), "%p", (void *)text);
	assert_string_equal(text, expected);
	hilo__site_describe((const char *)(uintptr_t)strtoul + 5, cut, sizeof(cut));
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_site_in_the_program_is_its_file_and_an_offset),
		cmocka_unit_test(test_a_site_in_a_library_is_a_name),
		cmocka_unit_test(test_what_is_no_code),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
