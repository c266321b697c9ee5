/* SPDX-License-Identifier: MIT */
/* Callbacks of a loop: their order, their handles, what they may do. */
#include "tests/conformance/conformance.h"

static void call_soon_in_order(void)
{
	call_soon(say_text, "a");
	call_soon(say_text, "b");
	call_soon(say_text, "c");
	say("asked");
	OK(sleep_for(1));
}

static void asks_for_another(void *text)
{
	say_text(text);
	call_soon(say_text, "asked by a callback");
}

static void call_soon_from_a_callback(void)
{
	call_soon(asks_for_another, "a");
	call_soon(say_text, "b");
	OK(sleep_for(1));
}

static void call_soon_cancelled(void)
{
	hilo_handle *b;

	call_soon(say_text, "a");
	OK(hilo_call_soon(say_text, as_arg("b"), &b));
	call_soon(say_text, "c");
	OK(hilo_handle_cancel(b));
	hilo_handle_unref(b);
	OK(sleep_for(1));
}

static void cancels_handle(void *arg)
{
	hilo_handle **handle = arg;

	say("a cancels b");
	OK(hilo_handle_cancel(*handle));
}

static void callback_cancels_the_next(void)
{
	hilo_handle *b;

	call_soon(cancels_handle, &b);
	OK(hilo_call_soon(say_text, as_arg("b"), &b));
	call_soon(say_text, "c");
	OK(sleep_for(1));
	hilo_handle_unref(b);
}

static void call_later_by_time(void)
{
	call_later(3, say_text, "a");
	call_later(1, say_text, "b");
	call_later(2, say_text, "c");
	say("asked");
	OK(sleep_for(4));
}

static void calls_at(hilo_time when, const char *const *texts)
{
	for (; *texts; texts++)
		OK(hilo_call_at(when, say_text, as_arg(*texts), NULL));
	OK(sleep_for(6));
}

static void call_at_one_time(void)
{
	static const char *const texts[] = {"a", "b", NULL};

	calls_at(after(5), texts);
}

static void call_at_one_time_many(void)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e", "f", NULL};

	calls_at(after(5), texts);
}

static void call_at_in_the_past(void)
{
	OK(sleep_for(10));
	OK(hilo_call_at(after(-5), say_text, as_arg("late"), NULL));
	say("asked");
	OK(sleep_for(1));
}

static void call_later_cancelled(void)
{
	hilo_handle *a;

	OK(hilo_call_later(3 * HILO_MILLISECOND, say_text, as_arg("a"), &a));
	call_later(4, say_text, "b");
	OK(sleep_for(1));
	OK(hilo_handle_cancel(a));
	hilo_handle_unref(a);
	OK(sleep_for(5));
}

static void says_cancelled(const char *what, const hilo_handle *handle)
{
	say("%s: cancelled %d", what, hilo_handle_cancelled(handle));
}

static void handles_tell(void)
{
	hilo_time when = after(3);
	hilo_handle *a, *b;

	OK(hilo_call_at(when, say_text, as_arg("a"), &a));
	OK(hilo_call_at(when, say_text, as_arg("b"), &b));
	say("when: %d", hilo_handle_when(a) == when);
	says_cancelled("a", a);
	OK(hilo_handle_cancel(b));
	says_cancelled("b", b);
	OK(sleep_for(4));
	says_cancelled("a", a);
	say("when: %d", hilo_handle_when(a) == when);
	hilo_handle_unref(a);
	hilo_handle_unref(b);
}

static void timer_cancels_one_of_its_time(void)
{
	hilo_time when = after(2);
	hilo_handle *b;

	OK(hilo_call_at(when, cancels_handle, &b, NULL));
	OK(hilo_call_at(when, say_text, as_arg("b"), &b));
	OK(sleep_for(3));
	hilo_handle_unref(b);
}

static void timer_again(void *arg)
{
	int *left = arg;

	say("%d left", --*left);
	if (*left > 0)
		call_later(2, timer_again, left);
}

static void timer_asks_for_itself(void)
{
	int left = 3;

	call_later(2, timer_again, &left);
	OK(sleep_for(7));
}

static void spawns(void *arg)
{
	hilo_task **task = arg;

	*task = hilo_spawn(say_task, as_arg("task"));
	say("spawned");
}

static void callback_spawns_a_task(void)
{
	hilo_task *task = NULL;

	call_soon(spawns, &task);
	OK(sleep_for(1));
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void sets_five(void *future)
{
	set_value(future, 5);
}

static void callback_sets_a_future(void)
{
	hilo_future *future = hilo_future_new();

	call_later(2, sets_five, future);
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static void has_no_task(void *arg)
{
	(void)arg;
	say("task: %s", hilo_task_current() ? "some" : "none");
}

static void callback_is_in_no_task(void)
{
	call_soon(has_no_task, NULL);
	OK(sleep_for(1));
}

static void runs_a_loop(void *arg)
{
	(void)arg;
	say_end("run", hilo_run(say_task, as_arg("never"), NULL));
}

static void callback_may_not_run_a_loop(void)
{
	call_soon(runs_a_loop, NULL);
	OK(sleep_for(1));
}

static void calls_left_at_the_end(void)
{
	call_later(10, say_text, "never");
	OK(sleep_for(1));
	say("the end");
}

TOPIC(callbacks, SCENARIO(call_soon_in_order), SCENARIO(call_soon_from_a_callback),
      SCENARIO(call_soon_cancelled), SCENARIO(callback_cancels_the_next), SCENARIO(call_later_by_time),
      SCENARIO(call_at_one_time), SCENARIO(call_at_one_time_many), SCENARIO(call_at_in_the_past),
      SCENARIO(call_later_cancelled), SCENARIO(handles_tell), SCENARIO(timer_cancels_one_of_its_time),
      SCENARIO(timer_asks_for_itself), SCENARIO(callback_spawns_a_task), SCENARIO(callback_sets_a_future),
      SCENARIO(callback_is_in_no_task), SCENARIO(callback_may_not_run_a_loop),
      SCENARIO(calls_left_at_the_end));
