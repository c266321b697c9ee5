/* SPDX-License-Identifier: MIT */
/* The example of a lock: in virtual time it prints what CPython does; whatever the order, one is inside. */
#include "tests/support/printed.h"

#include "examples/asyncio/asyncio_lock.c"
#undef main
#undef printf
#undef puts

static void test_the_trace_is_that_of_asyncio(void **state)
{
	static const char *const trace[] = {
		"Trabajador A está intentando adquirir el lock...",
		"Trabajador A ha adquirido el lock.",
		"Trabajador B está intentando adquirir el lock...",
		"Trabajador A ha liberado el lock.",
		"Trabajador B ha adquirido el lock.",
		"Trabajador B ha liberado el lock.",
	};

	(void)state;
	print_naturally(main_task);
	assert_printed(trace, array_size(trace));
}

static void test_each_has_it_by_himself(void **state)
{
	(void)state;
	for (unsigned lot = 0; lot < 50; lot++) {
		print_by_lot(main_task, lot);
		assert_int_equal(printed.count, 6);
		for (const char *name = "AB"; *name; name++) {
			char tries[80], has[80], leaves[80];

			(void)snprintf(tries, sizeof(tries),
				       "Trabajador %c está intentando adquirir el lock...", *name);
			(void)snprintf(has, sizeof(has), "Trabajador %c ha adquirido el lock.", *name);
			(void)snprintf(leaves, sizeof(leaves), "Trabajador %c ha liberado el lock.", *name);
			assert_true(printed_at(tries) < printed_at(has));
			assert_true(printed_at(has) < printed_at(leaves));
		}
		assert_int_equal(hilo_mutex_destroy(&lock), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_trace_is_that_of_asyncio),
		cmocka_unit_test(test_each_has_it_by_himself),
	};

	(void)example_main; /* the program itself is run as a test of its own */
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
