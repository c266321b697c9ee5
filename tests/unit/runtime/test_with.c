/* SPDX-License-Identifier: MIT */
/* test_with.c - what was entered is left, what was deferred is done: on every way out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

/* Each step is a letter in a text. */
struct trace {
	char text[64];
	int enter;	/* what enter returns */
	int exit;	/* what exit returns, unless it is 1: the code */
	int seen;	/* the code that exit has got */
	int interrupts; /* how often a wait in exit was interrupted */
	test_flag inside;
};

static void note(struct trace *trace, const char *step)
{
	strcat(trace->text, step);
}

static int trace_enter(void *self)
{
	struct trace *trace = self;

	note(trace, "(");
	if (hilo_sleep(1000) < 0)
		return -ECANCELED;
	return trace->enter;
}

static int trace_exit(void *self, int code)
{
	struct trace *trace = self;

	trace->seen = code;
	if (hilo_sleep(1000) < 0 || hilo_yield() < 0)
		trace->interrupts++;
	note(trace, ")");
	return trace->exit == 1 ? code : trace->exit;
}

static const hilo_manager traced = {trace_enter, trace_exit};

TASK_TEST(test_block_is_entered_and_left)
{
	struct trace trace = {.exit = 1};
	int rc;

	HILO_WITH (&traced, &trace, &rc) {
		TASK_CHECK(rc, ==, 0);
		note(&trace, "x");
		rc = 42;
	}
	TASK_CHECK_TEXT(trace.text, "(x)");
	TASK_CHECK(rc, ==, 42);
	TASK_CHECK(trace.seen, ==, 42);
	return 0;
}

TASK_TEST(test_what_cannot_be_entered_is_passed_over)
{
	struct trace trace = {.enter = -EBUSY, .exit = 1};
	int rc = 0;

	HILO_WITH (&traced, &trace, &rc)
		note(&trace, "x");
	TASK_CHECK_TEXT(trace.text, "(");
	TASK_CHECK(rc, ==, -EBUSY);
	return 0;
}

TASK_TEST(test_exit_may_deal_with_a_failure_or_change_it)
{
	struct trace trace = {.exit = 0}, other = {.exit = -EPIPE};
	int rc;

	HILO_WITH (&traced, &trace, &rc)
		rc = -EIO;
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(trace.seen, ==, -EIO);
	HILO_WITH (&traced, &other, &rc)
		rc = -EIO;
	TASK_CHECK(rc, ==, -EPIPE);
	return 0;
}

TASK_TEST(test_either_function_may_be_missing)
{
	static const hilo_manager nothing = {NULL, NULL};
	int rc;

	HILO_WITH (&nothing, NULL, &rc)
		rc = -EIO;
	TASK_CHECK(rc, ==, -EIO);
	return 0;
}

static int leaves_by_return(struct trace *trace)
{
	int rc;

	HILO_WITH (&traced, trace, &rc) {
		note(trace, "r");
		return 7;
	}
	return rc;
}

TASK_TEST(test_every_way_out_leaves_the_block)
{
	struct trace trace = {.exit = 1};
	int rc;

	TASK_CHECK(leaves_by_return(&trace), ==, 7);
	HILO_WITH (&traced, &trace, &rc) {
		note(&trace, "b");
		break;
	}
	HILO_WITH (&traced, &trace, &rc) {
		note(&trace, "c");
		continue;
	}
	HILO_WITH (&traced, &trace, &rc) {
		note(&trace, "g");
		goto out;
	}
out:
	TASK_CHECK_TEXT(trace.text, "(r)(b)(c)(g)");
	return 0;
}

TASK_TEST(test_blocks_nest_and_are_left_in_reverse_order)
{
	struct trace trace = {.exit = 1};
	int rc, inner = 0;

	HILO_WITH (&traced, &trace, &rc) {
		note(&trace, "1");
		HILO_WITH (&traced, &trace, &inner)
			note(&trace, "2");
		note(&trace, "3");
	}
	TASK_CHECK_TEXT(trace.text, "(1(2)3)");
	return 0;
}

static int waits_inside(void *arg)
{
	struct trace *trace = arg;
	int rc;

	HILO_WITH (&traced, trace, &rc) {
		store_release(&trace->inside, 1);
		rc = hilo_sleep_until(HILO_FOREVER - 1);
	}
	return rc;
}

TASK_TEST(test_cancel_runs_the_exit_to_its_end)
{
	struct trace trace = {.exit = 1};
	hilo_task *task = hilo_spawn(waits_inside, &trace);

	TEST_UNTIL(load_acquire(&trace.inside));
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK_TEXT(trace.text, "()");
	TASK_CHECK(trace.seen, ==, -ECANCELED);
	TASK_CHECK(trace.interrupts, ==, 0);
	return 0;
}

static int exit_in_time(void *self, int code)
{
	struct trace *trace = self;
	int rc;

	HILO_TIMEOUT (limit, hilo_after(1000), &rc)
		rc = hilo_sleep_until(HILO_FOREVER - 1);
	trace->seen = rc;
	note(trace, ")");
	return code;
}

TASK_TEST(test_exit_can_limit_itself)
{
	static const hilo_manager manager = {trace_enter, exit_in_time};
	struct trace trace = {.enter = 0};
	int rc;

	HILO_WITH (&manager, &trace, &rc)
		(void)hilo_task_cancel(hilo_task_current());
	TASK_CHECK(trace.seen, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

static void deferred(void *arg)
{
	struct trace *trace = arg;

	if (hilo_sleep(1000) < 0)
		trace->interrupts++;
	note(trace, "d");
}

static void deferred_first(void *arg)
{
	note(arg, "D");
}

static int defers(void *arg)
{
	struct trace *trace = arg;

	HILO_DEFER(deferred_first, trace);
	HILO_DEFER(deferred, trace);
	note(trace, "x");
	store_release(&trace->inside, 1);
	return hilo_sleep_until(HILO_FOREVER - 1);
}

TASK_TEST(test_what_was_deferred_is_done_in_reverse_order)
{
	struct trace trace = {.exit = 1};
	hilo_task *task = hilo_spawn(defers, &trace);

	TEST_UNTIL(load_acquire(&trace.inside));
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK_TEXT(trace.text, "xdD");
	TASK_CHECK(trace.interrupts, ==, 0);
	return 0;
}

/* In a plain thread the same blocks work, and block it. */
static void test_plain_thread(void **state)
{
	struct trace trace = {.exit = 1};
	int rc;

	(void)state;
	{
		HILO_DEFER(deferred, &trace);
		HILO_WITH (&traced, &trace, &rc)
			rc = -EIO;
	}
	assert_string_equal(trace.text, "()d");
	assert_int_equal(rc, -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_is_entered_and_left),
		cmocka_unit_test(test_what_cannot_be_entered_is_passed_over),
		cmocka_unit_test(test_exit_may_deal_with_a_failure_or_change_it),
		cmocka_unit_test(test_either_function_may_be_missing),
		cmocka_unit_test(test_every_way_out_leaves_the_block),
		cmocka_unit_test(test_blocks_nest_and_are_left_in_reverse_order),
		cmocka_unit_test(test_cancel_runs_the_exit_to_its_end),
		cmocka_unit_test(test_exit_can_limit_itself),
		cmocka_unit_test(test_what_was_deferred_is_done_in_reverse_order),
		cmocka_unit_test(test_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
