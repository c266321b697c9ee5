/* SPDX-License-Identifier: MIT */
/* Waiting for one task, which ends with the wait. */
#include "tests/conformance/conformance.h"

#define WAIT_FOR(deadline, ...) hilo_wait_for(sleeper, AS_SLEEPER(__VA_ARGS__), deadline)

static void result_in_time(void)
{
	say_end("wait_for", WAIT_FOR(after(10), "a", 5, 7));
}

static void result_without_limit(void)
{
	say_end("wait_for", WAIT_FOR(HILO_FOREVER, "a", 5, 7));
}

static void failure_in_time(void)
{
	say_end("wait_for", WAIT_FOR(after(10), "a", 5, -EIO));
}

static void too_late(void)
{
	say_end("wait_for", WAIT_FOR(after(5), "a", 50, 7));
}

static void too_late_waits_for_the_end(void)
{
	say_end("wait_for", WAIT_FOR(after(5), "a", 50, 7, .cleanup = 20));
}

static void too_late_and_keeps_its_result(void)
{
	say_end("wait_for", WAIT_FOR(after(5), "a", 50, 7, .cleanup = 2, .keeps = true));
}

static void too_late_and_fails(void)
{
	say_end("wait_for", WAIT_FOR(after(5), "a", 50, -EIO, .cleanup = 2, .keeps = true));
}

static void no_time(void)
{
	say_end("wait_for", WAIT_FOR(HILO_NO_WAIT, "a", 50, 7));
	say_end("sleep", sleep_for(1));
}

static void after_a_timeout_all_goes_on(void)
{
	say_end("wait_for", WAIT_FOR(after(5), "a", 50, 7));
	say_end("sleep", sleep_for(1));
	say_end("wait_for", WAIT_FOR(after(5), "b", 1, 8));
	say("requests: %u", hilo_task_cancelling(hilo_task_current()));
}

/* Two limits, one within the other. */
struct limits {
	int inner;
	struct sleeper *sleeper;
};

static int has_a_limit(void *arg)
{
	const struct limits *limits = arg;
	int rc = hilo_wait_for(sleeper, limits->sleeper, after(limits->inner));

	say_end("inner", rc);
	return rc == -ETIMEDOUT ? 1 : rc;
}

static void two_limits(int outer, int inner)
{
	struct sleeper a = {.name = "a", .ms = 50, .code = 7};
	struct limits limits = {inner, &a};

	say_end("outer", hilo_wait_for(has_a_limit, &limits, after(outer)));
}

static void inner_limit_first(void)
{
	two_limits(9, 4);
}

static void outer_limit_first(void)
{
	two_limits(4, 9);
}

static int waits_for(void *arg)
{
	int rc = hilo_wait_for(sleeper, arg, after(100));

	say_end("wait_for", rc);
	if (rc >= 0)
		say_end("next", sleep_for(1));
	return rc;
}

/* The caller is cancelled. */
static void cancelled_while_it_waits(struct sleeper *inner)
{
	hilo_task *outer = hilo_spawn(waits_for, inner);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

static void wait_for_cancelled(void)
{
	cancelled_while_it_waits(AS_SLEEPER("a", 50, 7, .cleanup = 20));
}

static void wait_for_cancelled_and_a_result(void)
{
	cancelled_while_it_waits(AS_SLEEPER("a", 50, 7, .cleanup = 2, .keeps = true));
}

static int cancelled_before(void *arg)
{
	int rc;

	OK(hilo_task_cancel(hilo_task_current()));
	rc = hilo_wait_for(say_task, arg, after(100));
	say_end("wait_for", rc);
	return rc;
}

static void cancelled_before_wait_for(void)
{
	say_end("outer", hilo_join(hilo_spawn(cancelled_before, as_arg("begun")), HILO_FOREVER));
}

TOPIC(wait_for, SCENARIO(result_in_time), SCENARIO(result_without_limit), SCENARIO(failure_in_time),
      SCENARIO(too_late), SCENARIO(too_late_waits_for_the_end), SCENARIO(too_late_and_keeps_its_result),
      SCENARIO(too_late_and_fails), SCENARIO(no_time), SCENARIO(after_a_timeout_all_goes_on),
      SCENARIO(inner_limit_first), SCENARIO(outer_limit_first), SCENARIO(wait_for_cancelled),
      SCENARIO(wait_for_cancelled_and_a_result), SCENARIO(cancelled_before_wait_for));
