/* SPDX-License-Identifier: MIT */
/* Sleeping, and deadlines of single calls. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

static void sleeps_are_exact(void)
{
	OK(sleep_for(1));
	say("1");
	OK(sleep_for(10));
	say("10");
	OK(sleep_for(100));
	say("100");
	OK(sleep_for(1000));
	say("1000");
	OK(sleep_for(24 * 3600 * 1000));
	say("a day");
}

static void sleepers_wake_by_time(void)
{
	static const int ms[] = {13, 2, 7, 31, 5, 17, 3, 29, 11, 19, 23};
	struct sleeper self[array_size(ms)];
	char name[array_size(ms)][4];
	hilo_task *task[array_size(ms)];

	for (size_t i = 0; i < array_size(ms); i++) {
		(void)snprintf(name[i], sizeof(name[i]), "%zu", i);
		self[i] = (struct sleeper){.name = name[i], .ms = ms[i]};
		task[i] = hilo_spawn(sleeper, &self[i]);
	}
	for (size_t i = 0; i < array_size(ms); i++)
		OK(hilo_join(task[i], HILO_FOREVER));
}

static void sleep_of_the_past(void)
{
	say_end("sleep", sleep_for(-5));
	say_end("sleep", sleep_for(0));
}

static void no_time_for_what_has_ended(void)
{
	hilo_task *task = SLEEPER("a", 1, 7);

	OK(sleep_for(5));
	say_end("a", hilo_join(task, HILO_NO_WAIT));
}

static void no_time_for_a_set_future(void)
{
	hilo_future *future = hilo_future_new();

	say_end("future", await_value(future, HILO_NO_WAIT));
	set_value(future, 3);
	say_end("future", await_value(future, HILO_NO_WAIT));
	hilo_future_unref(future);
}

static void limit_leaves_the_task_alone(void)
{
	hilo_task *task = SLEEPER("a", 10, 7);

	say_end("await", hilo_await(task, after(5)));
	say("done: %d", hilo_task_is_done(task));
	say_end("await", hilo_join(task, HILO_FOREVER));
}

static int has_a_limit(void *arg)
{
	int rc = await_value(arg, after(10));

	say_end("future", rc);
	return rc;
}

static void cancelled_before_the_limit(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(has_a_limit, future);

	OK(sleep_for(5));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static void set_before_the_limit(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(has_a_limit, future);

	OK(sleep_for(5));
	set_value(future, 4);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static void a_failure_called_timeout(void)
{
	hilo_task *task = SLEEPER("a", 1, -ETIMEDOUT);

	say_end("await", hilo_await(task, after(5)));
	say("done: %d", hilo_task_is_done(task));
	hilo_task_unref(task);
}

TOPIC(timeouts, SCENARIO(sleeps_are_exact), SCENARIO(sleepers_wake_by_time), SCENARIO(sleep_of_the_past),
      SCENARIO(no_time_for_what_has_ended), SCENARIO(no_time_for_a_set_future),
      SCENARIO(limit_leaves_the_task_alone), SCENARIO(cancelled_before_the_limit),
      SCENARIO(set_before_the_limit), SCENARIO(a_failure_called_timeout));
