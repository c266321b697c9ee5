/* SPDX-License-Identifier: MIT */
/* The example of a semaphore: in virtual time it prints what CPython does; whatever the order, two are inside. */
#include "tests/support/printed.h"

#include "examples/asyncio/asyncio_semaphore.c"
#undef main
#undef printf
#undef puts

static void test_the_trace_is_that_of_asyncio(void **state)
{
	static const char *const trace[] = {
		"Trabajador A ha obtenido acceso.", "Trabajador B ha obtenido acceso.",
		"Trabajador A ha liberado acceso.", "Trabajador B ha liberado acceso.",
		"Trabajador C ha obtenido acceso.", "Trabajador D ha obtenido acceso.",
		"Trabajador C ha liberado acceso.", "Trabajador D ha liberado acceso.",
	};

	(void)state;
	print_naturally(main_task);
	assert_printed(trace, array_size(trace));
}

/* Two wait for their turn, whoever they are: one gets it only when another one has had his. */
static void test_two_are_inside_in_any_order(void **state)
{
	(void)state;
	for (unsigned lot = 0; lot < 50; lot++) {
		unsigned in = 0, out = 0;

		print_by_lot(main_task, lot);
		assert_int_equal(printed.count, 8);
		for (unsigned i = 0; i < printed.count; i++) {
			in += strstr(printed.lines[i], "obtenido") != NULL;
			out += strstr(printed.lines[i], "liberado") != NULL;
			/* The permit is given back before that is printed. */
			assert_in_range(in - out, 0, 4);
			if (i < 2)
				assert_int_equal(out, 0);
		}
		assert_int_equal(hilo_semaphore_value(&semaphore), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_trace_is_that_of_asyncio),
		cmocka_unit_test(test_two_are_inside_in_any_order),
	};

	(void)example_main; /* the program itself is run as a test of its own */
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
