/* SPDX-License-Identifier: MIT */
/* Failures: what travels with them, and which of them nobody has looked at. */
#include "tests/conformance/conformance.h"

static void failure_nobody_looked_at(void)
{
	hilo_task_detach(SLEEPER("a", 1, -EIO));
	OK(sleep_for(2));
}

static void failure_looked_at(void)
{
	hilo_task *task = SLEEPER("a", 1, -EIO);
	int code;

	OK(sleep_for(2));
	OK(hilo_task_result(task, &code));
	say_end("a", code);
	hilo_task_unref(task);
}

static void failure_looked_at_by_one_of_two(void)
{
	hilo_task *task = SLEEPER("a", 1, -EIO), *other = hilo_task_ref(task);

	say_end("a", hilo_join(task, HILO_FOREVER));
	hilo_task_unref(other);
}

static void failure_waited_for_in_vain(void)
{
	hilo_task *task = SLEEPER("a", 10, -EIO);

	say("waited: %d", hilo_wait(&task, 1, HILO_ALL_COMPLETED, after(5)) > 0);
	hilo_task_detach(task);
	OK(sleep_for(10));
}

static void cancel_is_no_failure(void)
{
	hilo_task *task = SLEEPER("a", 50);

	OK(sleep_for(1));
	ask_to_cancel("a", task);
	hilo_task_detach(task);
	OK(sleep_for(1));
}

static void failed_future_nobody_looked_at(void)
{
	hilo_future *future = hilo_future_new();

	OK(hilo_future_set_error(future, -EIO));
	hilo_future_unref(future);
}

static void failed_future_looked_at(void)
{
	hilo_future *future = hilo_future_new();

	OK(hilo_future_set_error(future, -EIO));
	say_end("future", result_value(future));
	hilo_future_unref(future);
}

static void cancelled_future_is_no_failure(void)
{
	hilo_future *future = hilo_future_new();

	OK(hilo_future_cancel(future));
	hilo_future_unref(future);
}

static void done_callback_has_not_looked(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node;

	OK(hilo_future_on_done(future, &node, say_text, as_arg("done")));
	OK(hilo_future_set_error(future, -EIO));
	hilo_future_unref(future);
	OK(sleep_for(1));
}

static int fails_with_a_message(void *arg)
{
	(void)arg;
	return hilo_fail(-EIO, "block %d is unreadable", 12);
}

static void message_travels(void)
{
	say_end("task", hilo_join(hilo_spawn(fails_with_a_message, NULL), HILO_FOREVER));
	say("message: %s", hilo_error_message());
}

static int fails_because_of_another(void *arg)
{
	(void)arg;
	if (hilo_join(hilo_spawn(fails_with_a_message, NULL), HILO_FOREVER) < 0)
		return hilo_fail(-ENOENT, "there is no such file");
	return 0;
}

static void cause_travels(void)
{
	int code;

	say_end("task", hilo_join(hilo_spawn(fails_because_of_another, NULL), HILO_FOREVER));
	say("message: %s", hilo_error_message());
	say("because: %s", hilo_error_cause(1, &code, NULL));
	say_end("because", code);
}

static int gathers_a_failure(void *arg)
{
	hilo_task *task = hilo_spawn(fails_with_a_message, NULL);

	(void)arg;
	return hilo_gather(&task, 1, NULL, HILO_FOREVER);
}

static void message_travels_through_gather(void)
{
	say_end("task", hilo_join(hilo_spawn(gathers_a_failure, NULL), HILO_FOREVER));
	say("message: %s", hilo_error_message());
}

TOPIC(errors, SCENARIO(failure_nobody_looked_at), SCENARIO(failure_looked_at),
      SCENARIO(failure_looked_at_by_one_of_two), SCENARIO(failure_waited_for_in_vain),
      SCENARIO(cancel_is_no_failure), SCENARIO(failed_future_nobody_looked_at),
      SCENARIO(failed_future_looked_at), SCENARIO(cancelled_future_is_no_failure),
      SCENARIO(done_callback_has_not_looked), SCENARIO(message_travels), SCENARIO(cause_travels),
      SCENARIO(message_travels_through_gather));
