/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_PRINTED_H
#define TESTS_SUPPORT_PRINTED_H

/*
 * printed.h - an example as a part of a test, which reads what it prints. To be included before the example's source,
 * whose main is then called example_main.
 */
#include "tests/support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/simulate.h"

#define PRINTED_LINES 32

/* The lines so far. */
static struct {
	char lines[PRINTED_LINES][96];
	unsigned count;
} printed;

/* [task] A line, without its end. */
static __attribute__((format(printf, 1, 2))) int print_record(const char *format, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	va_list args;
	char line[96];

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[strcspn(line, "\n")] = '\0';
	pthread_mutex_lock(&lock);
	if (printed.count < PRINTED_LINES)
		strcpy(printed.lines[printed.count++], line);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* The position of @line, which was printed once. */
static __attribute__((unused)) unsigned printed_at(const char *line)
{
	unsigned at = PRINTED_LINES;

	for (unsigned i = 0; i < printed.count; i++) {
		if (strcmp(printed.lines[i], line) != 0)
			continue;
		assert_int_equal(at, PRINTED_LINES);
		at = i;
	}
	if (at == PRINTED_LINES)
		fail_msg("it has not printed: %s", line);
	return at;
}

/* Run @body in virtual time, in the order of a program. */
static void print_naturally(hilo_task_fn body)
{
	printed.count = 0;
	assert_int_equal(test_simulate_natural(body, NULL), 0);
}

/* The same in an order by lot. */
static void print_by_lot(hilo_task_fn body, unsigned lot)
{
	printed.count = 0;
	assert_int_equal(test_simulate(test_seed() + lot, body, NULL), 0);
}

/* It has printed the lines of @expected, in this order, and no others. */
static void assert_printed(const char *const *expected, size_t n)
{
	for (size_t i = 0; i < n && i < printed.count; i++)
		assert_string_equal(printed.lines[i], expected[i]);
	assert_int_equal(printed.count, n);
}

#undef printf
#define printf print_record
#define puts(text) print_record("%s\n", text)
#define main example_main
int example_main(void);

#endif /* TESTS_SUPPORT_PRINTED_H */
