/* SPDX-License-Identifier: MIT */
/*
 * The example of a producer and a consumer, in virtual time and with one worker: what it prints then is, line by
 * line, what CPython 3.13 prints. (That it keeps to the rules with any number of workers and in real time is seen to
 * by examples/asyncio/check_output.sh.)
 */
#include "tests/support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char printed[1024];

static __attribute__((format(printf, 1, 2))) int record(const char *format, ...)
{
	size_t used = strlen(printed);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(printed + used, sizeof(printed) - used, format, args);
	va_end(args);
	return n;
}

#undef printf
#define printf record
#define puts(text) record("%s\n", text)
#define main example_main
int example_main(void);
#include "examples/asyncio/asyncio_queue.c"
#undef main
#undef puts
#undef printf

#include "tests/support/simulate.h"

static void test_the_trace_is_that_of_asyncio(void **state)
{
	(void)state;
	(void)example_main; /* the program itself is run as a test of its own */
	printed[0] = '\0';
	assert_int_equal(test_simulate_natural(main_task, NULL), 0);
	assert_string_equal(printed, "Productor añadió: item_0\n"
				     "Consumidor procesó: item_0\n"
				     "Productor añadió: item_1\n"
				     "Consumidor procesó: item_1\n"
				     "Productor añadió: item_2\n"
				     "Productor añadió: item_3\n"
				     "Consumidor procesó: item_2\n"
				     "Productor añadió: item_4\n"
				     "Consumidor procesó: item_3\n"
				     "Consumidor procesó: item_4\n"
				     "El consumidor ha terminado de trabajar\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_trace_is_that_of_asyncio),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
