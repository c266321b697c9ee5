/* SPDX-License-Identifier: MIT */
/* Why a task was asked to stop: a text that travels with the request. */
#include "tests/conformance/conformance.h"

#include <string.h>

static void say_reason(const char *who, const char *reason)
{
	say("%s: %s", who, reason ? reason : "no reason");
}

/* Awaits @task, and says what its failure tells: the reason is the last part of the message. */
static void say_reason_of(hilo_task *task)
{
	const char *last;

	say_end("task", hilo_join(task, HILO_FOREVER));
	last = strrchr(hilo_error_message(), ':');
	say_reason("its awaiter", last ? last + 2 : NULL);
}

static int told(void *arg)
{
	int rc = sleep_for(50);

	(void)arg;
	say_reason("the task", hilo_task_cancel_reason(hilo_task_current()));
	return rc;
}

static void reason_is_told(void)
{
	hilo_task *task = hilo_spawn(told, NULL);

	OK(sleep_for(1));
	OK(hilo_task_cancel_with(task, "enough"));
	say_reason_of(task);
}

static void reason_of_a_task_that_never_began(void)
{
	hilo_task *task = hilo_spawn(told, NULL);

	OK(hilo_task_cancel_with(task, "enough"));
	say_reason_of(task);
}

static void reason_is_not_given(void)
{
	hilo_task *task = hilo_spawn(told, NULL);

	OK(sleep_for(1));
	OK(hilo_task_cancel(task));
	say_reason_of(task);
}

static void reason_of_the_first_counts(void)
{
	hilo_task *task = hilo_spawn(told, NULL);

	OK(sleep_for(1));
	OK(hilo_task_cancel_with(task, "the first"));
	OK(hilo_task_cancel_with(task, "the second"));
	say_reason_of(task);
}

static int told_twice(void *arg)
{
	(void)arg;
	say_end("sleep", sleep_for(50));
	say_reason("the task", hilo_task_cancel_reason(hilo_task_current()));
	say("requests: %d", hilo_task_uncancel());
	return told(NULL);
}

static void reason_goes_with_its_request(void)
{
	hilo_task *task = hilo_spawn(told_twice, NULL);

	OK(sleep_for(1));
	OK(hilo_task_cancel_with(task, "the first"));
	OK(sleep_for(1));
	OK(hilo_task_cancel_with(task, "the second"));
	say_reason_of(task);
}

static int awaits(void *task)
{
	say_reason_of(task);
	return -ECANCELED;
}

static void reason_reaches_whoever_awaits(void)
{
	hilo_task *task = hilo_spawn(told, NULL), *outer = hilo_spawn(awaits, task);

	OK(sleep_for(1));
	OK(hilo_task_cancel_with(task, "enough"));
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

TOPIC(reasons, SCENARIO(reason_is_told), SCENARIO(reason_of_a_task_that_never_began),
      SCENARIO(reason_is_not_given), SCENARIO(reason_of_the_first_counts),
      SCENARIO(reason_goes_with_its_request), SCENARIO(reason_reaches_whoever_awaits));
