/* SPDX-License-Identifier: MIT */
/* Blocks with a limit in time, and blocks that something is acquired for. */
#include "tests/conformance/conformance.h"

/* How a block has ended whose limit is @limit, and that it has left nothing behind. */
static void say_limit(const hilo_timeout *limit, int rc)
{
	say_end("limit", rc);
	say("expired: %d", hilo_timeout_expired(limit));
	say("requests: %u", hilo_task_cancelling(hilo_task_current()));
}

/* A block that has to end at a time, sleeps, and ends with a code. */
struct limited {
	hilo_time when;
	int ms, code;
	bool keeps; /* it ends with the code although its sleep was interrupted */
};

static int limited(void *arg)
{
	const struct limited *self = arg;
	hilo_timeout limit;
	int rc;

	OK(hilo_timeout_enter(&limit, self->when));
	rc = sleep_for(self->ms);
	say_end("sleep", rc);
	if (rc == 0 || self->keeps)
		rc = self->code;
	rc = hilo_timeout_leave(&limit, rc);
	say_limit(&limit, rc);
	return rc;
}

#define LIMITED(when_, ms_, ...) (&(struct limited){.when = (when_), .ms = (ms_), __VA_ARGS__})
#define RUN_LIMITED(...) ((void)limited(LIMITED(__VA_ARGS__)))

static void limit_expires(void)
{
	RUN_LIMITED(after(5), 20);
	say_end("sleep", sleep_for(20));
}

static void limit_does_not_expire(void)
{
	RUN_LIMITED(after(5), 3);
	RUN_LIMITED(after(5), 3, .code = -EIO);
	RUN_LIMITED(HILO_FOREVER, 20, .code = 7);
}

static void limit_of_no_time(void)
{
	RUN_LIMITED(after(0), 20);
}

static void limit_in_the_past(void)
{
	RUN_LIMITED(after(-5), 20);
}

static void limit_of_no_time_and_no_wait(void)
{
	hilo_timeout limit;

	OK(hilo_timeout_enter(&limit, after(0)));
	say_limit(&limit, hilo_timeout_leave(&limit, 7));
	say_end("sleep", sleep_for(1));
}

static void limit_without_notice(void)
{
	RUN_LIMITED(after(5), 20, .code = 7, .keeps = true);
	say_end("sleep", sleep_for(1));
}

static void limit_becomes_a_failure(void)
{
	RUN_LIMITED(after(5), 20, .code = -EIO, .keeps = true);
}

static void limit_moved(hilo_time when, hilo_time then)
{
	int rc;

	HILO_TIMEOUT (limit, when, &rc) {
		OK(sleep_for(2));
		OK(hilo_timeout_reschedule(limit, then));
		rc = sleep_for(20);
		say_end("sleep", rc);
	}
	say_end("limit", rc);
}

static void limit_moved_later(void)
{
	limit_moved(after(5), after(10));
}

static void limit_moved_earlier(void)
{
	limit_moved(after(10), after(5));
}

static void limit_moved_to_the_past(void)
{
	limit_moved(after(10), after(1));
}

static void limit_taken_away(void)
{
	limit_moved(after(5), HILO_FOREVER);
}

static void limit_given_later(void)
{
	limit_moved(HILO_FOREVER, after(5));
}

static void limit_moved_when_it_is_over(void)
{
	int rc;

	HILO_TIMEOUT (limit, after(5), &rc) {
		rc = sleep_for(20);
		say_end("move", hilo_timeout_reschedule(limit, after(50)));
		say("expired: %d", hilo_timeout_expired(limit));
	}
	say_end("limit", rc);
}

static int moves_at_3(void *limit)
{
	OK(sleep_for(3));
	say_end("move", hilo_timeout_reschedule(limit, after(7)));
	return 0;
}

static void limit_moved_by_another_task(void)
{
	hilo_task *task = NULL;
	int rc;

	HILO_TIMEOUT (limit, after(5), &rc) {
		task = hilo_spawn(moves_at_3, limit);
		rc = sleep_for(20);
	}
	say_end("limit", rc);
	OK(hilo_join(task, HILO_FOREVER));
}

/* Two limits, one in the other: what each block ends with, and what the outer one can still do. */
static void two_limits(hilo_time far, hilo_time near)
{
	int outer, inner = 0;

	HILO_TIMEOUT (outside, far, &outer) {
		HILO_TIMEOUT (inside, near, &inner)
			inner = sleep_for(20);
		say_end("inside", inner);
		say("requests: %u", hilo_task_cancelling(hilo_task_current()));
		outer = inner == -ETIMEDOUT ? sleep_for(1) : inner;
	}
	say_end("outside", outer);
	say("requests: %u", hilo_task_cancelling(hilo_task_current()));
}

static void limits_inner_first(void)
{
	two_limits(after(10), after(5));
}

static void limits_outer_first(void)
{
	two_limits(after(5), after(10));
}

static void limits_at_one_time(void)
{
	hilo_time when = after(5);

	two_limits(when, when);
}

static void limit_and_a_deadline(void)
{
	hilo_future *future = hilo_future_new();
	int rc;

	HILO_TIMEOUT (limit, after(5), &rc) {
		say_end("future", await_value(future, after(3)));
		rc = await_value(future, after(10));
		say_end("future", rc);
	}
	say_end("limit", rc);
	hilo_future_unref(future);
}

static void limit_and_a_cancel(void)
{
	hilo_task *task = hilo_spawn(limited, LIMITED(after(5), 20));

	call_later(3, cancel_task, task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static int cleans_up_in_a_limit(void *arg)
{
	hilo_timeout limit;
	int rc;

	(void)arg;
	OK(hilo_timeout_enter(&limit, after(5)));
	rc = sleep_for(20);
	say_end("sleep", rc);
	OK(hilo_shield_enter());
	OK(sleep_for(10));
	OK(hilo_shield_leave());
	rc = hilo_timeout_leave(&limit, rc);
	say_limit(&limit, rc);
	return rc;
}

static void limit_and_then_a_cancel(void)
{
	hilo_task *task = hilo_spawn(cleans_up_in_a_limit, NULL);

	call_later(8, cancel_task, task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static int limited_with_a_request_set(void *arg)
{
	ask_to_cancel("myself", hilo_task_current());
	return limited(arg);
}

static void limit_with_a_request_set(void)
{
	hilo_task *task = hilo_spawn(limited_with_a_request_set, LIMITED(after(5), 20));

	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void limit_of_no_time_with_a_request_set(void)
{
	hilo_task *task = hilo_spawn(limited_with_a_request_set, LIMITED(after(0), 20));

	say_end("task", hilo_join(task, HILO_FOREVER));
}

/* Something that takes time to enter and to leave. */
struct thing {
	const char *name;
	int enters, exits; /* what it returns; 1 from exits: what the block ended with */
};

static int thing_enter(void *self)
{
	const struct thing *thing = self;

	OK(sleep_for(1));
	say_end(thing->name, thing->enters);
	return thing->enters;
}

static int thing_exit(void *self, int code)
{
	const struct thing *thing = self;

	OK(sleep_for(2));
	say("leave %s", thing->name);
	say_end("block", code);
	return thing->exits == 1 ? code : thing->exits;
}

static const hilo_manager manager = {.enter = thing_enter, .exit = thing_exit};

/* A block with a thing, which sleeps and ends with a code. */
struct with {
	struct thing thing;
	int ms, code;
};

static int with(void *arg)
{
	struct with *self = arg;
	int rc;

	HILO_WITH (&manager, &self->thing, &rc) {
		rc = sleep_for(self->ms);
		if (rc == 0)
			rc = self->code;
	}
	say_end("with", rc);
	return rc;
}

#define WITH(enters_, exits_, ms_, code_)                                                                    \
	(&(struct with){.thing = {"thing", (enters_), (exits_)}, .ms = (ms_), .code = (code_)})

static void with_success(void)
{
	(void)with(WITH(0, 1, 3, 0));
}

static void with_failure(void)
{
	(void)with(WITH(0, 1, 3, -EIO));
}

static void with_failure_dealt_with(void)
{
	(void)with(WITH(0, 0, 3, -EIO));
}

static void with_another_failure(void)
{
	(void)with(WITH(0, -EPIPE, 3, -EIO));
}

static void with_success_and_a_failure_to_leave(void)
{
	(void)with(WITH(0, -EPIPE, 3, 0));
}

static void with_what_cannot_be_entered(void)
{
	(void)with(WITH(-EIO, 1, 3, 0));
}

static void with_cancel(void)
{
	hilo_task *task = hilo_spawn(with, WITH(0, 1, 20, 0));

	call_later(5, cancel_task, task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void with_cancel_dealt_with(void)
{
	hilo_task *task = hilo_spawn(with, WITH(0, 0, 20, 0));

	call_later(5, cancel_task, task);
	say_end("task", hilo_await(task, HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(task));
	hilo_task_unref(task);
}

static void with_limit(void)
{
	int rc;

	HILO_TIMEOUT (limit, after(5), &rc)
		rc = with(WITH(0, 1, 20, 0));
	say_end("limit", rc);
}

static void with_two(void)
{
	struct thing a = {"a", 0, 1}, b = {"b", 0, 1};
	int outer, inner = 0;

	HILO_WITH (&manager, &a, &outer) {
		HILO_WITH (&manager, &b, &inner)
			inner = -EIO;
		outer = inner;
	}
	say_end("with", outer);
}

static int with_return_inside(void)
{
	struct thing a = {"a", 0, 1};
	int rc;

	HILO_WITH (&manager, &a, &rc)
		return 7;
	return rc;
}

static void with_return(void)
{
	say_end("function", with_return_inside());
}

static void sleep_and_say(void *text)
{
	OK(sleep_for(1));
	say_text(text);
}

static int defers(void *arg)
{
	int rc;

	(void)arg;
	HILO_DEFER(sleep_and_say, as_arg("the last"));
	HILO_DEFER(sleep_and_say, as_arg("the first"));
	rc = sleep_for(20);
	say_end("sleep", rc);
	return rc;
}

static void defer_and_a_cancel(void)
{
	hilo_task *task = hilo_spawn(defers, NULL);

	call_later(5, cancel_task, task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

TOPIC(scopes, SCENARIO(limit_expires), SCENARIO(limit_does_not_expire), SCENARIO(limit_of_no_time),
      SCENARIO(limit_in_the_past), SCENARIO(limit_of_no_time_and_no_wait), SCENARIO(limit_without_notice),
      SCENARIO(limit_becomes_a_failure), SCENARIO(limit_moved_later), SCENARIO(limit_moved_earlier),
      SCENARIO(limit_moved_to_the_past), SCENARIO(limit_taken_away), SCENARIO(limit_given_later),
      SCENARIO(limit_moved_when_it_is_over), SCENARIO(limit_moved_by_another_task),
      SCENARIO(limits_inner_first), SCENARIO(limits_outer_first), SCENARIO(limits_at_one_time),
      SCENARIO(limit_and_a_deadline), SCENARIO(limit_and_a_cancel), SCENARIO(limit_and_then_a_cancel),
      SCENARIO(limit_with_a_request_set), SCENARIO(limit_of_no_time_with_a_request_set),
      SCENARIO(with_success), SCENARIO(with_failure), SCENARIO(with_failure_dealt_with),
      SCENARIO(with_another_failure), SCENARIO(with_success_and_a_failure_to_leave),
      SCENARIO(with_what_cannot_be_entered), SCENARIO(with_cancel), SCENARIO(with_cancel_dealt_with),
      SCENARIO(with_limit), SCENARIO(with_two), SCENARIO(with_return), SCENARIO(defer_and_a_cancel));
