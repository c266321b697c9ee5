/* SPDX-License-Identifier: MIT */
/* Callbacks of the end of a task; those of futures are in futures.c. */
#include "tests/conformance/conformance.h"

/* A task, and what its callbacks need. */
struct ending {
	hilo_task *task;
	hilo_done_node node[3];
};

static void on_done_of(hilo_task *task, hilo_done_node *node, hilo_callback_fn fn, const void *arg)
{
	OK(hilo_task_on_done(task, node, fn, (void *)(uintptr_t)arg));
}

static void on_done(struct ending *ending, int i, hilo_callback_fn fn, const void *arg)
{
	on_done_of(ending->task, &ending->node[i], fn, arg);
}

static void say_removed(struct ending *ending, int i)
{
	say("removed: %d", hilo_task_remove_on_done(ending->task, &ending->node[i]) == 0);
}

/* What the callback sees of it. */
static void says_result(void *arg)
{
	struct ending *ending = arg;
	int code = 0, rc = hilo_task_result(ending->task, &code);

	say_end("callback", rc < 0 ? rc : code);
}

static void end_after(struct ending *ending, int ms)
{
	OK(sleep_for(ms));
	say_end("task", hilo_join(ending->task, HILO_FOREVER));
}

static void task_done_in_order(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, say_text, "a");
	on_done(&ending, 1, say_text, "b");
	on_done(&ending, 2, say_text, "c");
	end_after(&ending, 5);
}

static void task_done_removed(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, say_text, "a");
	on_done(&ending, 1, say_text, "b");
	on_done(&ending, 2, say_text, "c");
	OK(sleep_for(1));
	say_removed(&ending, 1);
	say_removed(&ending, 1);
	OK(sleep_for(5));
	say_removed(&ending, 0);
	end_after(&ending, 1);
}

static void task_done_asked_late(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	OK(sleep_for(5));
	on_done(&ending, 0, says_result, &ending);
	say("asked");
	end_after(&ending, 1);
}

static void asks_for_another(void *arg)
{
	say("a");
	on_done(arg, 2, say_text, "asked by a");
}

static void task_done_asks_for_another(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, asks_for_another, &ending);
	on_done(&ending, 1, say_text, "b");
	end_after(&ending, 5);
}

static void removes_the_second(void *arg)
{
	say("a");
	say_removed(arg, 1);
}

static void task_done_removes_the_next(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, removes_the_second, &ending);
	on_done(&ending, 1, say_text, "b");
	end_after(&ending, 5);
}

static void task_done_sees_the_failure(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, -EIO)};

	on_done(&ending, 0, says_result, &ending);
	OK(sleep_for(5));
	hilo_task_unref(ending.task);
}

static void task_done_does_not_look(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, -EIO)};

	on_done(&ending, 0, say_text, "callback");
	OK(sleep_for(5));
	hilo_task_unref(ending.task);
}

static void task_done_of_a_cancelled(void)
{
	struct ending ending = {.task = SLEEPER("task", 9, .cleanup = 2)};

	on_done(&ending, 0, says_result, &ending);
	OK(sleep_for(1));
	ask_to_cancel("task", ending.task);
	end_after(&ending, 5);
}

static void task_done_of_one_that_never_began(void)
{
	struct ending ending = {.task = SLEEPER("task", 9)};

	on_done(&ending, 0, says_result, &ending);
	ask_to_cancel("task", ending.task);
	end_after(&ending, 5);
}

static void task_done_twice_the_same(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, say_text, "a");
	on_done(&ending, 1, say_text, "a");
	end_after(&ending, 5);
}

static void task_done_cancels_another(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};
	hilo_task *other = SLEEPER("other", 9);

	on_done(&ending, 0, cancel_task, other);
	say_end("other", hilo_join(other, HILO_FOREVER));
	end_after(&ending, 1);
}

/* The end of each task is the beginning of the next. */
static struct {
	hilo_task *task[3];
	hilo_done_node node;
	int n;
} chain;

static void begins_the_next(void *arg)
{
	static struct sleeper sleepers[] = {
		{.name = "a", .ms = 1}, {.name = "b", .ms = 1}, {.name = "c", .ms = 1}};

	(void)arg;
	if (chain.n == 3)
		return;
	chain.task[chain.n] = hilo_spawn(sleeper, &sleepers[chain.n]);
	on_done_of(chain.task[chain.n++], &chain.node, begins_the_next, NULL);
}

static void task_done_begins_the_next(void)
{
	chain.n = 0;
	begins_the_next(NULL);
	OK(sleep_for(9));
	for (int i = 0; i < chain.n; i++)
		OK(hilo_join(chain.task[i], HILO_FOREVER));
	say("%d tasks", chain.n);
}

static void task_done_is_in_no_task(void *arg)
{
	(void)arg;
	say("task: %s", hilo_task_current() ? "some" : "none");
}

static void task_done_runs_outside_of_it(void)
{
	struct ending ending = {.task = SLEEPER("task", 2, 3)};

	on_done(&ending, 0, task_done_is_in_no_task, NULL);
	end_after(&ending, 5);
}

static void task_done_at_the_end(void)
{
	static struct sleeper left = {.name = "left", .ms = 100};
	static hilo_done_node node;
	hilo_task *task = hilo_spawn(sleeper, &left);

	on_done_of(task, &node, say_text, "callback");
	hilo_task_unref(task);
	OK(sleep_for(5));
	say("main ends");
}

static void future_done_at_the_end(void)
{
	static hilo_done_node node;
	hilo_future *future = hilo_future_new();

	OK(hilo_future_on_done(future, &node, say_text, as_arg("callback")));
	hilo_future_unref(future);
	OK(sleep_for(5));
	say("main ends");
}

TOPIC(done_callbacks, SCENARIO(task_done_in_order), SCENARIO(task_done_removed),
      SCENARIO(task_done_asked_late), SCENARIO(task_done_asks_for_another),
      SCENARIO(task_done_removes_the_next), SCENARIO(task_done_sees_the_failure),
      SCENARIO(task_done_does_not_look), SCENARIO(task_done_of_a_cancelled),
      SCENARIO(task_done_of_one_that_never_began), SCENARIO(task_done_twice_the_same),
      SCENARIO(task_done_cancels_another), SCENARIO(task_done_begins_the_next),
      SCENARIO(task_done_runs_outside_of_it), SCENARIO(task_done_at_the_end),
      SCENARIO(future_done_at_the_end));
