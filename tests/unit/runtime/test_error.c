/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <string.h>

#include <hilo/runtime/error.h>

static void test_errname_knows_errno_and_own_codes(void **state)
{
	(void)state;
	assert_string_equal(hilo_errname(-EINVAL), "EINVAL");
	assert_string_equal(hilo_errname(-ECANCELED), "ECANCELED");
	assert_string_equal(hilo_errname(-ETIMEDOUT), "ETIMEDOUT");
	assert_string_equal(hilo_errname(HILO_ECLOSED), "HILO_ECLOSED");
	assert_string_equal(hilo_errname(HILO_EINVALSTATE), "HILO_EINVALSTATE");
	assert_string_equal(hilo_errname(HILO_EOVERFLOW), "HILO_EOVERFLOW");
}

static void test_error_names_ignore_the_sign(void **state)
{
	(void)state;
	assert_string_equal(hilo_errname(EPIPE), hilo_errname(-EPIPE));
	assert_string_equal(hilo_errname(-HILO_ECLOSED), "HILO_ECLOSED");
	assert_string_equal(hilo_strerror(EPIPE), hilo_strerror(-EPIPE));
	assert_string_equal(hilo_strerror(-HILO_ECLOSED), hilo_strerror(HILO_ECLOSED));
}

static void test_error_unknown_code_has_a_text(void **state)
{
	static const int codes[] = {INT_MIN, INT_MAX, -99999, -5000, -5999, -600};

	(void)state;
	for (int i = 0; i < 6; i++) {
		assert_string_equal(hilo_errname(codes[i]), "E?");
		assert_string_equal(hilo_strerror(codes[i]), "Unknown error");
	}
	assert_string_equal(hilo_errname(0), "E?");
	assert_string_equal(hilo_strerror(0), "Success");
}

static void test_error_every_errno_has_a_sentence(void **state)
{
	(void)state;
	for (int code = 1; code <= 133; code++) {
		assert_true(strlen(hilo_strerror(-code)) > 3);
		assert_int_equal(hilo_errname(-code)[0], 'E');
	}
	assert_string_equal(hilo_strerror(-ENOENT), "No such file or directory");
}

static void test_strerror_is_english_in_any_locale(void **state)
{
	(void)state;
	setlocale(LC_ALL, "es_ES.UTF-8");
	assert_string_equal(hilo_strerror(-ENOENT), "No such file or directory");
	setlocale(LC_ALL, "C");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errname_knows_errno_and_own_codes),
		cmocka_unit_test(test_error_names_ignore_the_sign),
		cmocka_unit_test(test_error_unknown_code_has_a_text),
		cmocka_unit_test(test_error_every_errno_has_a_sentence),
		cmocka_unit_test(test_strerror_is_english_in_any_locale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
