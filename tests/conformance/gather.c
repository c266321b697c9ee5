/* SPDX-License-Identifier: MIT */
/* Waiting for several tasks and owning them. */
#include "tests/conformance/conformance.h"

static void say_results(const int *results, size_t n)
{
	static const char *const names[] = {"first", "second", "third"};

	for (size_t i = 0; i < n; i++)
		say_end(names[i], results[i]);
}

#define GATHER(results, deadline, ...)                                                                       \
	hilo_gather((hilo_task *[]){__VA_ARGS__},                                                            \
		    sizeof((hilo_task *[]){__VA_ARGS__}) / sizeof(hilo_task *), results, deadline)

static void gather_by_position(void)
{
	int results[3];

	say_end("gather",
		GATHER(results, HILO_FOREVER, SLEEPER("a", 3, 1), SLEEPER("b", 1, 2), SLEEPER("c", 2, 3)));
	say_results(results, 3);
}

static void gather_of_none(void)
{
	say_end("gather", hilo_gather(NULL, 0, NULL, HILO_FOREVER));
}

static void gather_what_has_ended(void)
{
	hilo_task *a = SLEEPER("a", 1, 1), *b = SLEEPER("b", 2, 2);
	int results[2];

	OK(sleep_for(5));
	say_end("gather", GATHER(results, HILO_FOREVER, a, b));
	say_results(results, 2);
}

static void gather_first_failure(void)
{
	hilo_task *c = SLEEPER("c", 6, 3);

	say_end("gather",
		GATHER(NULL, HILO_FOREVER, SLEEPER("a", 3, 1), SLEEPER("b", 2, -EIO), hilo_task_ref(c)));
	say_end("c", hilo_join(c, HILO_FOREVER));
}

static void gather_two_failures(void)
{
	say_end("gather", GATHER(NULL, HILO_FOREVER, SLEEPER("a", 5, -EIO), SLEEPER("b", 2, -EPIPE)));
	OK(sleep_for(5));
}

static void gather_failures_as_results(void)
{
	int results[3];

	say_end("gather", GATHER(results, HILO_FOREVER, SLEEPER("a", 1, -EIO), SLEEPER("b", 3, 2),
				 SLEEPER("c", 2, -EPIPE)));
	say_results(results, 3);
}

static void gather_one_twice(void)
{
	hilo_task *a = SLEEPER("a", 1, 4);
	int results[3];

	say_end("gather", GATHER(results, HILO_FOREVER, a, SLEEPER("b", 2, 5), hilo_task_ref(a)));
	say_results(results, 3);
}

/* Gathers a and b, which are told to it. */
struct gatherer {
	hilo_task *a, *b;
	bool keep_failures;
};

static int gatherer(void *arg)
{
	struct gatherer *self = arg;
	int results[2], rc;

	rc = GATHER(self->keep_failures ? results : NULL, HILO_FOREVER, self->a, self->b);
	say_end("gather", rc);
	return rc;
}

#define GATHERER(a_, b_, ...) hilo_spawn(gatherer, &(struct gatherer){.a = (a_), .b = (b_), __VA_ARGS__})

static void gather_cancelled(void)
{
	hilo_task *outer = GATHERER(SLEEPER("a", 50), SLEEPER("b", 2));

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

static void gather_cancelled_waits_for_the_end(void)
{
	hilo_task *outer = GATHERER(SLEEPER("a", 50, .cleanup = 10), SLEEPER("b", 60, .cleanup = 20));

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

static void gather_cancelled_with_results(void)
{
	hilo_task *outer =
		GATHERER(SLEEPER("a", 2, 1), SLEEPER("b", 60, .cleanup = 1), .keep_failures = true);

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

static void gather_cancelled_and_one_keeps_its_result(void)
{
	hilo_task *outer = GATHERER(SLEEPER("a", 50, 1, 2, true), SLEEPER("b", 2));

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

static void gather_and_a_child_cancelled(void)
{
	hilo_task *a = SLEEPER("a", 50), *b = SLEEPER("b", 10, 2);
	hilo_task *outer = GATHERER(hilo_task_ref(a), hilo_task_ref(b));

	OK(sleep_for(5));
	ask_to_cancel("a", a);
	say_end("outer", hilo_await(outer, HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(outer));
	say_end("b", hilo_join(b, HILO_FOREVER));
	hilo_task_unref(outer);
	hilo_task_unref(a);
}

static void gather_results_and_a_child_cancelled(void)
{
	hilo_task *a = SLEEPER("a", 50);
	hilo_task *b = SLEEPER("b", 10, 2);
	int results[2];

	call_later(5, cancel_task, a);
	say_end("gather", GATHER(results, HILO_FOREVER, a, b));
	say_results(results, 2);
}

static void gather_in_time(void)
{
	int results[2];

	say_end("gather", GATHER(results, after(5), SLEEPER("a", 2, 1), SLEEPER("b", 50, 2, 3)));
	OK(sleep_for(1));
	say("the end");
}

static int gathers_in_turn(void *arg)
{
	(void)arg;
	return GATHER(NULL, HILO_FOREVER, SLEEPER("c", 50), SLEEPER("d", 2, 4));
}

static void gather_of_gathers_cancelled(void)
{
	hilo_task *outer = GATHERER(hilo_spawn(gathers_in_turn, NULL), SLEEPER("b", 3));

	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	say_end("outer", hilo_join(outer, HILO_FOREVER));
}

TOPIC(gather, SCENARIO(gather_by_position), SCENARIO(gather_of_none), SCENARIO(gather_what_has_ended),
      SCENARIO(gather_first_failure), SCENARIO(gather_two_failures), SCENARIO(gather_failures_as_results),
      SCENARIO(gather_one_twice), SCENARIO(gather_cancelled), SCENARIO(gather_cancelled_waits_for_the_end),
      SCENARIO(gather_cancelled_with_results), SCENARIO(gather_cancelled_and_one_keeps_its_result),
      SCENARIO(gather_and_a_child_cancelled), SCENARIO(gather_results_and_a_child_cancelled),
      SCENARIO(gather_in_time), SCENARIO(gather_of_gathers_cancelled));
