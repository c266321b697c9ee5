/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <hilo/runtime/version.h>

static void test_version_of_header_is_version_of_library(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(hilo_version(), HILO_VERSION);
	assert_string_equal(hilo_version_string(), HILO_VERSION_STRING);
	snprintf(text, sizeof(text), "%d.%d.%d", HILO_VERSION_MAJOR, HILO_VERSION_MINOR, HILO_VERSION_PATCH);
	assert_string_equal(hilo_version_string(), text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_of_header_is_version_of_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
