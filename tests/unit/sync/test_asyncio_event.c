/* SPDX-License-Identifier: MIT */
/* The example of an event: in virtual time it prints what CPython does; whatever the order, nobody goes on before. */
#include "tests/support/printed.h"

#include "examples/asyncio/asyncio_event.c"
#undef main
#undef printf
#undef puts

static void test_the_trace_is_that_of_asyncio(void **state)
{
	static const char *const trace[] = {
		"Esperador A está esperando el evento...",
		"Esperador B está esperando el evento...",
		"Estableciendo el evento.",
		"Esperador A ha recibido el evento!",
		"Esperador B ha recibido el evento!",
	};

	(void)state;
	assert_int_equal(hilo_event_clear(&event), 0);
	print_naturally(main_task);
	assert_printed(trace, array_size(trace));
}

static void test_nobody_goes_on_before_it_is_set(void **state)
{
	(void)state;
	for (unsigned lot = 0; lot < 50; lot++) {
		assert_int_equal(hilo_event_clear(&event), 0);
		print_by_lot(main_task, lot);
		assert_int_equal(printed.count, 5);
		for (const char *name = "AB"; *name; name++) {
			char before[64], after[64];

			(void)snprintf(before, sizeof(before), "Esperador %c está esperando el evento...",
				       *name);
			(void)snprintf(after, sizeof(after), "Esperador %c ha recibido el evento!", *name);
			assert_true(printed_at(before) < printed_at("Estableciendo el evento."));
			assert_true(printed_at(after) > printed_at("Estableciendo el evento."));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_trace_is_that_of_asyncio),
		cmocka_unit_test(test_nobody_goes_on_before_it_is_set),
	};

	(void)example_main; /* the program itself is run as a test of its own */
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
