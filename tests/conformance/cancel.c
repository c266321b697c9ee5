/* SPDX-License-Identifier: MIT */
/* Requests to cancel: when a task sees them, and what it may do about it. */
#include "tests/conformance/conformance.h"

static void cancel_before_start(void)
{
	hilo_task *task = hilo_spawn(say_task, as_arg("never"));

	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void cancel_after_5(hilo_task *task)
{
	OK(sleep_for(5));
	ask_to_cancel("a", task);
	say_end("a", hilo_join(task, HILO_FOREVER));
}

static void cancel_while_it_sleeps(void)
{
	cancel_after_5(SLEEPER("a", 50, 7));
}

static void cancel_what_has_ended(void)
{
	cancel_after_5(SLEEPER("a", 1, 7));
}

static void cancel_from_a_callback(void)
{
	hilo_task *task = SLEEPER("a", 50, 7);

	call_later(3, cancel_task, task);
	say_end("a", hilo_join(task, HILO_FOREVER));
}

static void cancel_swallowed(void)
{
	cancel_after_5(SLEEPER("a", 50, 7, .keeps = true));
}

static void cancel_made_a_failure(void)
{
	cancel_after_5(SLEEPER("a", 50, -EIO, .keeps = true));
}

static int sleeps_twice(void *arg)
{
	bool takes_back = arg;

	say_end("first", sleep_for(50));
	if (takes_back)
		say("requests: %d", hilo_task_uncancel());
	say_end("second", sleep_for(2));
	return 7;
}

static void cancel_swallowed_and_on(void)
{
	cancel_after_5(hilo_spawn(sleeps_twice, NULL));
}

static void cancel_taken_back_and_on(void)
{
	static int yes;

	cancel_after_5(hilo_spawn(sleeps_twice, &yes));
}

static int cancels_itself(void *arg)
{
	(void)arg;
	ask_to_cancel("myself", hilo_task_current());
	say("still here");
	say_end("sleep", sleep_for(1));
	return -ECANCELED;
}

static void cancel_oneself(void)
{
	say_end("task", hilo_join(hilo_spawn(cancels_itself, NULL), HILO_FOREVER));
}

static int cancels_itself_and_returns(void *arg)
{
	(void)arg;
	ask_to_cancel("myself", hilo_task_current());
	return 5;
}

static void cancel_oneself_and_return(void)
{
	say_end("task", hilo_join(hilo_spawn(cancels_itself_and_returns, NULL), HILO_FOREVER));
}

static void cleanup_takes_time(void)
{
	cancel_after_5(SLEEPER("a", 50, 7, .cleanup = 10));
}

static void cleanup_and_another_cancel(void)
{
	hilo_task *task = SLEEPER("a", 50, 7, .cleanup = 10);

	OK(sleep_for(5));
	ask_to_cancel("a", task);
	OK(sleep_for(2));
	ask_to_cancel("a", task);
	say_end("a", hilo_join(task, HILO_FOREVER));
}

int awaits_task(void *arg)
{
	int rc = hilo_await(arg, HILO_FOREVER);

	say_end("await", rc);
	return rc;
}

void awaiter_cancelled(void)
{
	hilo_task *inner = SLEEPER("inner", 10, 7), *outer = hilo_spawn(awaits_task, inner);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
	say_end("inner", hilo_join(inner, HILO_FOREVER));
}

void awaited_cancelled(void)
{
	hilo_task *inner = SLEEPER("inner", 10, 7), *outer = hilo_spawn(awaits_task, inner);

	OK(sleep_for(5));
	ask_to_cancel("inner", inner);
	say_end("outer", hilo_await(outer, HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(outer));
	hilo_task_unref(outer);
	hilo_task_unref(inner);
}

static int ends_as_cancelled(void *arg)
{
	(void)arg;
	return -ECANCELED;
}

static void ended_as_cancelled(void)
{
	say_end("task", hilo_join(hilo_spawn(ends_as_cancelled, NULL), HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(hilo_task_current()));
	say_end("sleep", sleep_for(1));
}

static int awaits_value(void *arg)
{
	int rc = await_value(arg, HILO_FOREVER);

	say_end("value", rc);
	return rc;
}

static void result_then_cancel(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(awaits_value, future);

	OK(sleep_for(1));
	set_value(future, 3);
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static void cancel_then_result(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(awaits_value, future);

	OK(sleep_for(1));
	ask_to_cancel("task", task);
	set_value(future, 3);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static int yields_twice(void *arg)
{
	bool *there = arg;
	int rc;

	*there = true;
	rc = hilo_yield();
	say_end("first", rc);
	if (rc == 0)
		say_end("second", hilo_yield());
	return -ECANCELED;
}

static void cancel_while_it_yields(void)
{
	bool there = false;
	hilo_task *task = hilo_spawn(yields_twice, &there);

	while (!there)
		OK(hilo_yield());
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

TOPIC(cancel, SCENARIO(cancel_before_start), SCENARIO(cancel_while_it_sleeps),
      SCENARIO(cancel_what_has_ended), SCENARIO(cancel_from_a_callback), SCENARIO(cancel_swallowed),
      SCENARIO(cancel_made_a_failure), SCENARIO(cancel_swallowed_and_on), SCENARIO(cancel_taken_back_and_on),
      SCENARIO(cancel_oneself), SCENARIO(cancel_oneself_and_return), SCENARIO(cleanup_takes_time),
      SCENARIO(cleanup_and_another_cancel), SCENARIO(awaiter_cancelled), SCENARIO(awaited_cancelled),
      SCENARIO(ended_as_cancelled), SCENARIO(result_then_cancel), SCENARIO(cancel_then_result),
      SCENARIO(cancel_while_it_yields));
