/* SPDX-License-Identifier: MIT */
/* What a cancel does not reach: a task that is only awaited, and sections in which requests wait. */
#include "tests/conformance/conformance.h"

/* To await a task is to shield it: what asyncio needs a call for is what happens here anyway. */
static void outer_cancelled_inner_goes_on(void)
{
	awaiter_cancelled();
}

static void inner_cancelled(void)
{
	awaited_cancelled();
}

static void inner_fails(void)
{
	hilo_task *inner = SLEEPER("inner", 10, -EIO), *outer = hilo_spawn(awaits_task, inner);

	say_end("outer", hilo_join(outer, HILO_FOREVER));
	hilo_task_unref(inner);
}

static void inner_in_time(void)
{
	hilo_task *inner = SLEEPER("inner", 10, 7);

	say_end("await", hilo_await(inner, after(5)));
	say_end("await", hilo_join(inner, after(10)));
}

static int has_sections(void *arg)
{
	int depth = (int)(intptr_t)arg;

	for (int i = 0; i < depth; i++)
		OK(hilo_shield_enter());
	say_end("section", sleep_for(10));
	for (int i = depth; i > 0; i--) {
		say_end("section", sleep_for(1));
		OK(hilo_shield_leave());
	}
	say("left");
	say_end("next", sleep_for(1));
	return -ECANCELED;
}

static void section_cancelled(int depth)
{
	hilo_task *task = hilo_spawn(has_sections, (void *)(intptr_t)depth);

	OK(sleep_for(5));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void section_keeps_a_cancel_off(void)
{
	section_cancelled(1);
}

static void sections_nest(void)
{
	section_cancelled(3);
}

static int has_a_limit_inside(void *arg)
{
	OK(hilo_shield_enter());
	say_end("future", await_value(arg, after(10)));
	OK(hilo_shield_leave());
	say_end("next", sleep_for(1));
	return -ECANCELED;
}

static void section_has_limits(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(has_a_limit_inside, future);

	OK(sleep_for(5));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

TOPIC(shield, SCENARIO(outer_cancelled_inner_goes_on), SCENARIO(inner_cancelled), SCENARIO(inner_fails),
      SCENARIO(inner_in_time), SCENARIO(section_keeps_a_cancel_off), SCENARIO(sections_nest),
      SCENARIO(section_has_limits));
