/* SPDX-License-Identifier: MIT */
/* The first of several things that are ready; asyncio has one kind of them, and gives no positions. */
#include "tests/conformance/conformance.h"

static int say_select(hilo_select_case *cases, size_t n, hilo_time deadline)
{
	int rc = hilo_select(cases, n, deadline);

	say_end("select", rc);
	return rc;
}

#define SELECT(deadline, ...)                                                                                \
	say_select((hilo_select_case[]){__VA_ARGS__},                                                        \
		   sizeof((hilo_select_case[]){__VA_ARGS__}) / sizeof(hilo_select_case), deadline)

static void end_it(hilo_task *task)
{
	(void)hilo_task_cancel(task);
	say_end("end", hilo_join(task, HILO_FOREVER));
}

static void select_a_task(void)
{
	hilo_task *a = SLEEPER("a", 3, 4), *b = SLEEPER("b", 1, 5);

	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_TASK(b));
	end_it(b);
	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a));
	end_it(a);
}

static void sets_five(void *future)
{
	set_value(future, 5);
}

static void select_a_future(void)
{
	hilo_task *a = SLEEPER("a", 8);
	hilo_future *future = hilo_future_new();

	call_later(2, sets_five, future);
	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_FUTURE(future));
	say_end("future", result_value(future));
	end_it(a);
	hilo_future_unref(future);
}

static void select_a_time(void)
{
	hilo_task *a = SLEEPER("a", 8);

	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_TIMER(after(3)), HILO_SELECT_TIMER(after(2)));
	end_it(a);
}

static void select_what_has_ended(void)
{
	hilo_task *a = SLEEPER("a", 9), *b = SLEEPER("b", 2, 5), *c = SLEEPER("c", 1, 6);

	OK(sleep_for(5));
	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_TASK(b), HILO_SELECT_TASK(c));
	SELECT(HILO_FOREVER, HILO_SELECT_TASK(c), HILO_SELECT_TASK(b), HILO_SELECT_TASK(a));
	end_it(a);
	end_it(b);
	end_it(c);
}

static void select_a_failure(void)
{
	hilo_task *a = SLEEPER("a", 1, -EIO), *b = SLEEPER("b", 9);

	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_TASK(b));
	end_it(a);
	end_it(b);
}

static void select_reads_no_failure(void)
{
	hilo_task *a = SLEEPER("a", 1, -EIO);

	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a));
	hilo_task_unref(a);
}

static void select_a_cancelled_one(void)
{
	hilo_task *a = SLEEPER("a", 9);
	hilo_future *future = hilo_future_new();

	call_later(2, cancel_task, a);
	SELECT(HILO_FOREVER, HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	OK(hilo_future_cancel(future));
	SELECT(HILO_FOREVER, HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	end_it(a);
	say_end("future", result_value(future));
	hilo_future_unref(future);
}

static void select_cancels_nothing(void)
{
	hilo_task *a = SLEEPER("a", 1, 4), *b = SLEEPER("b", 3, 5);

	SELECT(HILO_FOREVER, HILO_SELECT_TASK(a), HILO_SELECT_TASK(b));
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_end("b", hilo_join(b, HILO_FOREVER));
}

static void select_in_time(void)
{
	hilo_task *a = SLEEPER("a", 7, 4);
	hilo_future *future = hilo_future_new();

	SELECT(after(5), HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	say("done: %d", hilo_future_is_done(future));
	SELECT(after(5), HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	end_it(a);
	hilo_future_unref(future);
}

static void select_no_time(void)
{
	hilo_task *a = SLEEPER("a", 2, 4);
	hilo_future *future = hilo_future_new();

	SELECT(HILO_NO_WAIT, HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	OK(sleep_for(3));
	SELECT(HILO_NO_WAIT, HILO_SELECT_FUTURE(future), HILO_SELECT_TASK(a));
	end_it(a);
	hilo_future_unref(future);
}

static void select_of_nothing(void)
{
	say_end("select", hilo_select(NULL, 0, HILO_FOREVER));
}

static void select_one_twice(void)
{
	hilo_future *future = hilo_future_new();

	call_later(2, sets_five, future);
	SELECT(HILO_FOREVER, HILO_SELECT_FUTURE(future), HILO_SELECT_FUTURE(future));
	hilo_future_unref(future);
}

static int selects(void *arg)
{
	return SELECT(HILO_FOREVER, HILO_SELECT_FUTURE(arg));
}

static void select_by_two(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *a = hilo_spawn(selects, future), *b = hilo_spawn(selects, future);

	call_later(2, sets_five, future);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	hilo_future_unref(future);
}

static void select_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(selects, future);

	OK(sleep_for(2));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	set_value(future, 3);
	hilo_future_unref(future);
}

static int cancels_itself_and_selects(void *arg)
{
	ask_to_cancel("myself", hilo_task_current());
	return selects(arg);
}

static void select_with_a_request_set(void)
{
	hilo_future *future = hilo_future_new();

	set_value(future, 3);
	say_end("task", hilo_join(hilo_spawn(cancels_itself_and_selects, future), HILO_FOREVER));
	hilo_future_unref(future);
}

static void select_ready_then_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(selects, future);

	OK(sleep_for(1));
	set_value(future, 3);
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static int selects_itself(void *arg)
{
	(void)arg;
	return SELECT(after(5), HILO_SELECT_TASK(hilo_task_current()));
}

static void select_oneself(void)
{
	say_end("task", hilo_join(hilo_spawn(selects_itself, NULL), HILO_FOREVER));
}

TOPIC(first_ready, SCENARIO(select_a_task), SCENARIO(select_a_future), SCENARIO(select_a_time),
      SCENARIO(select_what_has_ended), SCENARIO(select_a_failure), SCENARIO(select_reads_no_failure),
      SCENARIO(select_a_cancelled_one), SCENARIO(select_cancels_nothing), SCENARIO(select_in_time),
      SCENARIO(select_no_time), SCENARIO(select_of_nothing), SCENARIO(select_one_twice),
      SCENARIO(select_by_two), SCENARIO(select_cancelled), SCENARIO(select_with_a_request_set),
      SCENARIO(select_ready_then_cancelled), SCENARIO(select_oneself));
