/* SPDX-License-Identifier: MIT */
/* Tasks: when they run, what they return, who may await them, what is left of them at the end. */
#include "tests/conformance/conformance.h"

#include <string.h>

static void spawn_is_later(void)
{
	hilo_task *task = hilo_spawn(say_task, as_arg("task"));

	say("spawned");
	say_end("task", hilo_join(task, HILO_FOREVER));
}

static void result_and_failure(void)
{
	hilo_task *good = SLEEPER("good", 1, 7), *bad = SLEEPER("bad", 2, -EIO);

	say_end("good", hilo_join(good, HILO_FOREVER));
	say_end("bad", hilo_join(bad, HILO_FOREVER));
}

static void await_what_has_ended(void)
{
	hilo_task *task = SLEEPER("a", 1, 7);

	OK(sleep_for(5));
	say("done: %d", hilo_task_is_done(task));
	say_end("a", hilo_join(task, HILO_FOREVER));
}

static void await_a_failure_twice(void)
{
	hilo_task *task = SLEEPER("a", 1, -EIO);

	say_end("first", hilo_await(task, HILO_FOREVER));
	say_end("second", hilo_await(task, HILO_FOREVER));
	hilo_task_unref(task);
}

struct awaiter {
	const char *name;
	hilo_task *task;
	int ms; /* what it does afterwards takes so long, so that one speaks after the other */
};

static int awaiter(void *arg)
{
	const struct awaiter *self = arg;
	int rc = hilo_await(self->task, HILO_FOREVER);

	OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

#define AWAITER(...) hilo_spawn(awaiter, &(struct awaiter){__VA_ARGS__})

static void await_by_many(void)
{
	hilo_task *task = SLEEPER("task", 5, 7);
	hilo_task *a = AWAITER("a", task, 1), *b = AWAITER("b", task, 2), *c = AWAITER("c", task, 3);

	say_end("a", hilo_join(a, HILO_FOREVER));
	say_end("b", hilo_join(b, HILO_FOREVER));
	say_end("c", hilo_join(c, HILO_FOREVER));
	hilo_task_unref(task);
}

static int awaits_itself(void *arg)
{
	(void)arg;
	say_end("itself", hilo_await(hilo_task_current(), HILO_FOREVER));
	return 1;
}

static void await_oneself(void)
{
	say_end("task", hilo_join(hilo_spawn(awaits_itself, NULL), HILO_FOREVER));
}

static void result_before_the_end(void)
{
	hilo_task *task = SLEEPER("a", 2, 7);
	int code = 0, rc;

	OK(sleep_for(1));
	rc = hilo_task_result(task, &code);
	say_end("result", rc < 0 ? rc : code);
	OK(sleep_for(2));
	rc = hilo_task_result(task, &code);
	say_end("result", rc < 0 ? rc : code);
	hilo_task_unref(task);
}

static void nobody_holds_it(void)
{
	hilo_task_detach(SLEEPER("a", 2));
	OK(sleep_for(3));
	say("the end");
}

static int nests(void *arg)
{
	int depth = (int)(intptr_t)arg, below = 0;

	OK(sleep_for(1));
	if (depth > 0)
		below = hilo_join(hilo_spawn(nests, (void *)(intptr_t)(depth - 1)), HILO_FOREVER);
	say_end("below", below);
	return below + 1;
}

static void tasks_of_tasks(void)
{
	say_end("all", hilo_join(hilo_spawn(nests, (void *)3), HILO_FOREVER));
}

static int says_its_name(void *arg)
{
	(void)arg;
	say("I am %s", hilo_task_name(hilo_task_current()));
	return 0;
}

static void a_task_has_a_name(void)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "worker"};
	hilo_task *task;

	OK(hilo_spawn_with(says_its_name, NULL, &opts, &task));
	OK(hilo_join(task, HILO_FOREVER));
}

/* Two that take turns: each begins when it has seen the other one, a before b. */
static struct {
	bool a_is_there, b_is_there, a_has_begun;
} turns;

static int turn_a(void *arg)
{
	(void)arg;
	turns.a_is_there = true;
	while (!turns.b_is_there)
		OK(hilo_yield());
	turns.a_has_begun = true;
	for (int i = 1; i <= 3; i++) {
		say("a %d", i);
		OK(hilo_yield());
	}
	return 0;
}

static int turn_b(void *arg)
{
	(void)arg;
	turns.b_is_there = true;
	while (!turns.a_has_begun)
		OK(hilo_yield());
	for (int i = 1; i <= 3; i++) {
		say("b %d", i);
		OK(hilo_yield());
	}
	return 0;
}

static void yield_takes_turns(void)
{
	hilo_task *a, *b;

	memset(&turns, 0, sizeof(turns));
	a = hilo_spawn(turn_a, NULL);
	b = hilo_spawn(turn_b, NULL);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
}

static void order_of_first_runs(void)
{
	hilo_task *a = hilo_spawn(say_task, as_arg("a")), *b = hilo_spawn(say_task, as_arg("b")),
		  *c = hilo_spawn(say_task, as_arg("c"));

	(void)hilo_join(a, HILO_FOREVER);
	(void)hilo_join(b, HILO_FOREVER);
	(void)hilo_join(c, HILO_FOREVER);
}

static int first_runs_in_pairs(void *text)
{
	say_text(text);
	OK(hilo_yield());
	say_text(text);
	return 0;
}

static void order_of_second_runs(void)
{
	hilo_task *a = hilo_spawn(first_runs_in_pairs, as_arg("a")),
		  *b = hilo_spawn(first_runs_in_pairs, as_arg("b"));

	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
}

static int waits_for_value(void *arg)
{
	const struct awaiter *self = arg;

	return hilo_await(self->task, HILO_FOREVER) < 0 ? -EIO : say_task(as_arg(self->name));
}

static void order_of_wakes(void)
{
	hilo_task *task = SLEEPER("task", 10, 0);
	hilo_task *waiter[3];

	for (size_t i = 0; i < array_size(waiter); i++) {
		static const char *const names[] = {"a", "b", "c"};
		static struct awaiter awaiters[array_size(names)];

		awaiters[i] = (struct awaiter){names[i], task, 0};
		waiter[i] = hilo_spawn(waits_for_value, &awaiters[i]);
		OK(sleep_for(1));
	}
	for (size_t i = 0; i < array_size(waiter); i++)
		(void)hilo_join(waiter[i], HILO_FOREVER);
	hilo_task_unref(task);
}

static void main_leaves_a_task(void)
{
	static struct sleeper left = {.name = "left", .ms = 100};

	hilo_task_detach(hilo_spawn(sleeper, &left));
	OK(sleep_for(5));
	say("main ends");
}

static void main_leaves_one_that_cleans_up(void)
{
	static struct sleeper left = {.name = "left", .ms = 100, .cleanup = 20};

	hilo_task_detach(hilo_spawn(sleeper, &left));
	OK(sleep_for(5));
	say("main ends");
}

static int run_inside(void *arg)
{
	(void)arg;
	OK(sleep_for(1));
	say("inside");
	return 3;
}

static void run_inside_a_task(void)
{
	say_end("run", hilo_run(run_inside, NULL, NULL));
}

TOPIC(tasks, SCENARIO(spawn_is_later), SCENARIO(result_and_failure), SCENARIO(await_what_has_ended),
      SCENARIO(await_a_failure_twice), SCENARIO(await_by_many), SCENARIO(await_oneself),
      SCENARIO(result_before_the_end), SCENARIO(nobody_holds_it), SCENARIO(tasks_of_tasks),
      SCENARIO(a_task_has_a_name), SCENARIO(yield_takes_turns), SCENARIO(order_of_first_runs, NATURAL),
      SCENARIO(order_of_second_runs, NATURAL), SCENARIO(order_of_wakes, NATURAL),
      SCENARIO(main_leaves_a_task), SCENARIO(main_leaves_one_that_cleans_up), SCENARIO(run_inside_a_task));
