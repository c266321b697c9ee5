/* SPDX-License-Identifier: MIT */
/* Requests to cancel are counted, and each can be taken back. */
#include "tests/conformance/conformance.h"

static int counts(void *arg)
{
	(void)arg;
	say_end("sleep", sleep_for(50));
	say("requests: %u", hilo_task_cancelling(hilo_task_current()));
	say("requests: %d", hilo_task_uncancel());
	say("requests: %d", hilo_task_uncancel());
	say("requests: %d", hilo_task_uncancel());
	say_end("sleep", sleep_for(1));
	return 7;
}

static void requests_are_counted(void)
{
	hilo_task *task = hilo_spawn(counts, NULL);

	OK(sleep_for(5));
	ask_to_cancel("task", task);
	ask_to_cancel("task", task);
	say("requests: %u", hilo_task_cancelling(task));
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void no_request_to_take_back(void)
{
	say("requests: %d", hilo_task_uncancel());
	say_end("sleep", sleep_for(1));
}

/* A limit made by hand: a timer cancels its own task, which takes that request back and goes on. */
struct limit {
	hilo_task *task;
	bool expired;
};

static void limit_expires(void *arg)
{
	struct limit *limit = arg;

	limit->expired = true;
	OK(hilo_task_cancel(limit->task));
}

static int has_a_limit(void *arg)
{
	struct limit limit = {.task = hilo_task_current()};
	hilo_handle *timer;
	int rc;

	(void)arg;
	OK(hilo_call_later(10 * HILO_MILLISECOND, limit_expires, &limit, &timer));
	rc = sleep_for(50);
	say_end("sleep", rc);
	(void)hilo_handle_cancel(timer);
	hilo_handle_unref(timer);
	if (!limit.expired)
		return rc;
	say("requests: %d", hilo_task_uncancel());
	say_end("sleep", sleep_for(5));
	return 7;
}

static void limit_by_hand(void)
{
	say_end("task", hilo_join(hilo_spawn(has_a_limit, NULL), HILO_FOREVER));
}

static void limit_by_hand_and_a_request(void)
{
	hilo_task *task = hilo_spawn(has_a_limit, NULL);

	OK(sleep_for(5));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void requests_stay_after_the_end(void)
{
	hilo_task *task = SLEEPER("a", 50);

	OK(sleep_for(5));
	ask_to_cancel("a", task);
	say_end("a", hilo_await(task, HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(task));
	hilo_task_unref(task);
}

TOPIC(uncancel, SCENARIO(requests_are_counted), SCENARIO(no_request_to_take_back), SCENARIO(limit_by_hand),
      SCENARIO(limit_by_hand_and_a_request), SCENARIO(requests_stay_after_the_end));
