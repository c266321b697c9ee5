/* SPDX-License-Identifier: MIT */
/* Waiting for some of several tasks, which stay the caller's. */
#include "tests/conformance/conformance.h"

static void say_wait(int rc, hilo_task *const *task, size_t n)
{
	char done[4] = "", *done_end = done, pending[4] = "", *pending_end = pending;

	for (size_t i = 0; i < n; i++)
		*(hilo_task_is_done(task[i]) ? done_end++ : pending_end++) = "abc"[i];
	if (rc < 0 && rc != -ETIMEDOUT)
		say_end("wait", rc);
	else
		say("done %s, pending %s", done, pending);
}

/* In asyncio those that have not ended at the end of a wait are no error. */
#define WAIT(until, deadline, task)                                                                          \
	say_wait(hilo_wait(task, array_size(task), until, deadline), task, array_size(task))

/* At the end: stop what goes on, read what there is, end the handles. One after the other. */
static void end_all(hilo_task *const *task, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)hilo_task_cancel(task[i]);
		(void)hilo_join(task[i], HILO_FOREVER);
	}
}

static void wait_for_all(void)
{
	hilo_task *task[] = {SLEEPER("a", 3), SLEEPER("b", 1, -EIO), SLEEPER("c", 2)};

	WAIT(HILO_ALL_COMPLETED, HILO_FOREVER, task);
	end_all(task, 3);
}

static void wait_for_first(void)
{
	hilo_task *task[] = {SLEEPER("a", 3), SLEEPER("b", 1), SLEEPER("c", 2)};

	WAIT(HILO_FIRST_COMPLETED, HILO_FOREVER, task);
	end_all(task, 3);
}

static void wait_for_each(void)
{
	hilo_task *task[] = {SLEEPER("a", 3), SLEEPER("b", 1), SLEEPER("c", 2)};
	hilo_task *left[] = {task[0], task[2]};

	WAIT(HILO_FIRST_COMPLETED, HILO_FOREVER, task);
	say("waited: %d", hilo_wait(left, 2, HILO_FIRST_COMPLETED, HILO_FOREVER));
	say("waited: %d", hilo_wait(left, 1, HILO_FIRST_COMPLETED, HILO_FOREVER));
	end_all(task, 3);
}

static void wait_for_a_failure(void)
{
	hilo_task *task[] = {SLEEPER("a", 1), SLEEPER("b", 2, -EIO), SLEEPER("c", 3)};

	WAIT(HILO_FIRST_EXCEPTION, HILO_FOREVER, task);
	end_all(task, 3);
}

static void wait_for_a_failure_in_vain(void)
{
	hilo_task *task[] = {SLEEPER("a", 1), SLEEPER("b", 2)};

	WAIT(HILO_FIRST_EXCEPTION, HILO_FOREVER, task);
	end_all(task, 2);
}

static void wait_a_cancel_is_no_failure(void)
{
	hilo_task *task[] = {SLEEPER("a", 50), SLEEPER("b", 5)};

	call_later(2, cancel_task, task[0]);
	WAIT(HILO_FIRST_EXCEPTION, HILO_FOREVER, task);
	end_all(task, 2);
}

static void wait_a_cancel_is_an_end(void)
{
	hilo_task *task[] = {SLEEPER("a", 50), SLEEPER("b", 5)};

	call_later(2, cancel_task, task[0]);
	WAIT(HILO_FIRST_COMPLETED, HILO_FOREVER, task);
	end_all(task, 2);
}

static void wait_in_time(void)
{
	hilo_task *task[] = {SLEEPER("a", 2), SLEEPER("b", 9)};

	WAIT(HILO_ALL_COMPLETED, after(5), task);
	WAIT(HILO_ALL_COMPLETED, after(5), task);
	end_all(task, 2);
}

static void wait_no_time(void)
{
	hilo_task *task[] = {SLEEPER("a", 2), SLEEPER("b", 9)};

	OK(sleep_for(5));
	WAIT(HILO_ALL_COMPLETED, HILO_NO_WAIT, task);
	end_all(task, 2);
}

static void wait_for_what_has_ended(void)
{
	hilo_task *task[] = {SLEEPER("a", 1), SLEEPER("b", 2)};

	OK(sleep_for(5));
	WAIT(HILO_FIRST_COMPLETED, HILO_FOREVER, task);
	WAIT(HILO_ALL_COMPLETED, HILO_FOREVER, task);
	end_all(task, 2);
}

static void wait_for_nothing(void)
{
	say_end("wait", hilo_wait(NULL, 0, HILO_ALL_COMPLETED, HILO_FOREVER));
}

static int waits(void *arg)
{
	hilo_task *const *task = arg;
	int rc = hilo_wait(task, 2, HILO_ALL_COMPLETED, HILO_FOREVER);

	say_end("wait", rc);
	return rc;
}

static void wait_cancelled(void)
{
	hilo_task *task[] = {SLEEPER("a", 8), SLEEPER("b", 9)};
	hilo_task *outer = hilo_spawn(waits, task);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
	WAIT(HILO_ALL_COMPLETED, HILO_FOREVER, task);
	end_all(task, 2);
}

static void wait_reads_no_failure(void)
{
	hilo_task *task[] = {SLEEPER("a", 1, -EIO)};

	WAIT(HILO_ALL_COMPLETED, HILO_FOREVER, task);
	hilo_task_unref(task[0]);
}

TOPIC(wait_several, SCENARIO(wait_for_all), SCENARIO(wait_for_first), SCENARIO(wait_for_each),
      SCENARIO(wait_for_a_failure), SCENARIO(wait_for_a_failure_in_vain),
      SCENARIO(wait_a_cancel_is_no_failure), SCENARIO(wait_a_cancel_is_an_end), SCENARIO(wait_in_time),
      SCENARIO(wait_no_time), SCENARIO(wait_for_what_has_ended), SCENARIO(wait_for_nothing),
      SCENARIO(wait_cancelled), SCENARIO(wait_reads_no_failure));
