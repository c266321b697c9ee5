/* SPDX-License-Identifier: MIT */
/* Tasks one after the other, as they end. */
#include "tests/conformance/conformance.h"

static hilo_as_completed *set_of(hilo_task *const *task, size_t n)
{
	hilo_as_completed *set;

	OK(hilo_as_completed_new(task, n, &set));
	return set;
}

/* The next one that ends: its result, or why there is none. */
static int next(hilo_as_completed *set, hilo_time deadline)
{
	hilo_task *task;
	int rc = hilo_as_completed_next(set, &task, deadline), code = 0;

	if (rc == 1 && hilo_task_result(task, &code) == 0)
		say_end("next", code);
	else if (rc < 0)
		say_end("next", rc);
	return rc;
}

static void all_of(hilo_task *const *task, size_t n)
{
	hilo_as_completed *set = set_of(task, n);

	while (next(set, HILO_FOREVER) == 1)
		;
	say("all");
	hilo_as_completed_free(set);
}

static void end_all(hilo_task *const *task, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)hilo_task_cancel(task[i]);
		(void)hilo_join(task[i], HILO_FOREVER);
	}
}

static void completed_in_order(void)
{
	hilo_task *task[] = {SLEEPER("a", 3, 1), SLEEPER("b", 1, 2), SLEEPER("c", 2, 3)};

	all_of(task, 3);
	end_all(task, 3);
}

static void completed_with_failures(void)
{
	hilo_task *task[] = {SLEEPER("a", 3, 1), SLEEPER("b", 1, -EIO), SLEEPER("c", 2, -EPIPE)};

	all_of(task, 3);
	end_all(task, 3);
}

static void completed_and_cancelled(void)
{
	hilo_task *task[] = {SLEEPER("a", 9, 1), SLEEPER("b", 3, 2)};

	call_later(2, cancel_task, task[0]);
	all_of(task, 2);
	end_all(task, 2);
}

static void completed_of_none(void)
{
	hilo_task *const none[] = {NULL};

	all_of(none, 0);
}

static void completed_while_nobody_waits(void)
{
	hilo_task *task[] = {SLEEPER("a", 3, 1), SLEEPER("b", 1, 2), SLEEPER("c", 7, 3)};
	hilo_as_completed *set = set_of(task, 3);

	OK(sleep_for(5));
	for (int i = 0; i < 3; i++)
		next(set, HILO_FOREVER);
	hilo_as_completed_free(set);
	end_all(task, 3);
}

static void completed_before(void)
{
	hilo_task *task[] = {SLEEPER("a", 7, 1), SLEEPER("b", 1, 2)};

	OK(sleep_for(5));
	all_of(task, 2);
	end_all(task, 2);
}

static void completed_in_time(void)
{
	hilo_task *task[] = {SLEEPER("a", 9, 1), SLEEPER("b", 1, 2), SLEEPER("c", 8, 3)};
	hilo_as_completed *set = set_of(task, 3);
	hilo_time deadline = after(5);

	for (int i = 0; i < 3; i++)
		next(set, deadline);
	hilo_as_completed_free(set);
	end_all(task, 3);
}

static void completed_after_the_time(void)
{
	hilo_task *task[] = {SLEEPER("a", 9, 1), SLEEPER("b", 7, 2)};
	hilo_as_completed *set = set_of(task, 2);

	next(set, after(5));
	OK(sleep_for(5));
	next(set, HILO_FOREVER);
	hilo_as_completed_free(set);
	end_all(task, 2);
}

static void completed_in_part(void)
{
	hilo_task *task[] = {SLEEPER("a", 3, 1), SLEEPER("b", 1, 2)};
	hilo_as_completed *set = set_of(task, 2);

	next(set, HILO_FOREVER);
	hilo_as_completed_free(set);
	say_end("a", hilo_await(task[0], HILO_FOREVER));
	end_all(task, 2);
}

static int takes_one(void *set)
{
	return next(set, HILO_FOREVER);
}

static void completed_for_two(void)
{
	hilo_task *task[] = {SLEEPER("a", 3, 1), SLEEPER("b", 1, 2)};
	hilo_as_completed *set = set_of(task, 2);
	hilo_task *taker[] = {hilo_spawn(takes_one, set), hilo_spawn(takes_one, set)};

	(void)hilo_join(taker[0], HILO_FOREVER);
	(void)hilo_join(taker[1], HILO_FOREVER);
	hilo_as_completed_free(set);
	end_all(task, 2);
}

static int takes_all(void *set)
{
	int rc = next(set, HILO_FOREVER);

	while (rc == -ECANCELED) {
		(void)hilo_task_uncancel();
		rc = next(set, HILO_FOREVER);
	}
	while (rc == 1)
		rc = next(set, HILO_FOREVER);
	say("all");
	return 0;
}

static void completed_cancelled_and_on(void)
{
	hilo_task *task[] = {SLEEPER("a", 8, 1), SLEEPER("b", 9, 2)};
	hilo_as_completed *set = set_of(task, 2);
	hilo_task *outer = hilo_spawn(takes_all, set);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	OK(hilo_join(outer, HILO_FOREVER));
	hilo_as_completed_free(set);
	end_all(task, 2);
}

static void completed_cancelled(void)
{
	hilo_task *task[] = {SLEEPER("a", 8, 1)};
	hilo_as_completed *set = set_of(task, 1);
	hilo_task *outer = hilo_spawn(takes_one, set);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
	say("done: %d", hilo_task_is_done(task[0]));
	say_end("a", hilo_await(task[0], HILO_FOREVER));
	hilo_as_completed_free(set);
	end_all(task, 1);
}

static void completed_one_twice(void)
{
	hilo_task *a = SLEEPER("a", 1, 4), *task[] = {a, a};

	all_of(task, 2);
	hilo_task_unref(a);
}

TOPIC(as_completed, SCENARIO(completed_in_order), SCENARIO(completed_with_failures),
      SCENARIO(completed_and_cancelled), SCENARIO(completed_of_none), SCENARIO(completed_while_nobody_waits),
      SCENARIO(completed_before), SCENARIO(completed_in_time), SCENARIO(completed_after_the_time),
      SCENARIO(completed_in_part), SCENARIO(completed_for_two), SCENARIO(completed_cancelled),
      SCENARIO(completed_cancelled_and_on), SCENARIO(completed_one_twice));
