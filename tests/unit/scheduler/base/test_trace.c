/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/trace.h"

#ifndef HILO_TRACE

static int evaluated;

static void test_trace_off_evaluates_nothing(void **state)
{
	(void)state;
	TRACE_OPEN(no_such_name, evaluated++);
	TRACE_EVENT(no_such_name, TRACE_RUN, evaluated++, evaluated++);
	TRACE_CLOSE(no_such_name);
	assert_int_equal(evaluated, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_trace_off_evaluates_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* All that hilo__trace_dump writes, to be ended with free. */
static char *dump_read(void)
{
	FILE *file = tmpfile();
	long size;
	char *text;

	assert_non_null(file);
	hilo__trace_dump(fileno(file));
	size = lseek(fileno(file), 0, SEEK_END);
	text = calloc(1, (size_t)size + 1);
	assert_int_equal(pread(fileno(file), text, (size_t)size, 0), size);
	fclose(file);
	return text;
}

static unsigned lines_count(const char *text, const char *part)
{
	unsigned count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

static void test_trace_writes_records(void **state)
{
	struct trace_ring *ring;
	char *text;

	(void)state;
	TRACE_OPEN(ring, 3);
	assert_non_null(ring);
	TRACE_EVENT(ring, TRACE_SPAWN, 11, 22);
	TRACE_EVENT(ring, TRACE_STEAL, 33, 44);
	text = dump_read();
	assert_int_equal(lines_count(text, " 3 spawn 11 22\n"), 1);
	assert_true(strstr(text, " 3 steal 33 44\n") > strstr(text, " 3 spawn 11 22\n"));
	free(text);
	TRACE_CLOSE(ring);
}

static void test_trace_keeps_the_newest(void **state)
{
	struct trace_ring *ring, *again;
	char *text;

	(void)state;
	TRACE_OPEN(ring, 9);
	for (unsigned i = 0; i < TRACE_RECORDS + 10; i++)
		TRACE_EVENT(ring, TRACE_POLL, i, 0);
	text = dump_read();
	assert_int_equal(lines_count(text, " 9 poll "), TRACE_RECORDS);
	assert_int_equal(lines_count(text, " 9 poll 9 0\n"), 0);
	assert_int_equal(lines_count(text, " 9 poll 10 0\n"), 1);
	free(text);
	TRACE_CLOSE(ring);
	TRACE_OPEN(again, 10);
	assert_ptr_equal(again, ring); /* what was let go is taken over */
	TRACE_CLOSE(again);
}

static void test_trace_without_a_ring_shares_one(void **state)
{
	struct trace_ring *taken[8], *ring;
	int count = 0;
	char *text;

	(void)state;
	hilo__mem_fail_at(1, true);
	while ((ring = hilo__trace_open(1)) && count < 8)
		taken[count++] = ring;
	assert_null(ring);
	TRACE_EVENT(ring, TRACE_RUN, 77, 2);
	TRACE_EVENT(ring, TRACE_COMPLETE, 77, -5);
	TRACE_CLOSE(ring);
	hilo__mem_fail_at(0, false);
	text = dump_read();
	assert_true(strstr(text, " - complete 77 -5\n") > strstr(text, " - run 77 2\n"));
	free(text);
	while (count > 0)
		hilo__trace_close(taken[--count]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace_writes_records),
		cmocka_unit_test(test_trace_keeps_the_newest),
		cmocka_unit_test(test_trace_without_a_ring_shares_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
