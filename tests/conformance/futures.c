/* SPDX-License-Identifier: MIT */
/* Futures: set once, awaited by many, and the callbacks that they call. */
#include "tests/conformance/conformance.h"

static int awaits_value(void *arg)
{
	int rc = await_value(arg, HILO_FOREVER);

	say_end("awaiter", rc);
	return rc;
}

static void set_before_await(void)
{
	hilo_future *future = hilo_future_new();

	set_value(future, 4);
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static void await_before_set(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(awaits_value, future);

	OK(sleep_for(2));
	set_value(future, 4);
	say_end("task", hilo_join(task, HILO_FOREVER));
	hilo_future_unref(future);
}

static void set_twice(void)
{
	hilo_future *future = hilo_future_new();

	set_value(future, 1);
	set_value(future, 2);
	say_end("error", hilo_future_set_error(future, -EIO));
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static void set_error(void)
{
	hilo_future *future = hilo_future_new();

	OK(hilo_future_set_error(future, -EIO));
	say_end("first", await_value(future, HILO_FOREVER));
	say_end("second", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static void result_while_pending(void)
{
	hilo_future *future = hilo_future_new();

	say_end("result", result_value(future));
	say("done: %d", hilo_future_is_done(future));
	set_value(future, 3);
	say_end("result", result_value(future));
	say("done: %d", hilo_future_is_done(future));
	hilo_future_unref(future);
}

static void future_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(awaits_value, future);

	OK(sleep_for(1));
	say("cancelled: %d", hilo_future_cancel(future) == 0);
	say_end("task", hilo_await(task, HILO_FOREVER));
	say("requests: %u", hilo_task_cancelling(task));
	set_value(future, 1);
	say("cancelled: %d", hilo_future_cancel(future) == 0);
	hilo_task_unref(task);
	hilo_future_unref(future);
}

static void cancel_a_set_one(void)
{
	hilo_future *future = hilo_future_new();

	set_value(future, 6);
	say("cancelled: %d", hilo_future_cancel(future) == 0);
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

/* The task that awaits a future is cancelled: what of the future? */
static void awaiter_of_a_future_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(awaits_value, future);

	OK(sleep_for(1));
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	say("done: %d", hilo_future_is_done(future));
	set_value(future, 3);
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static void future_in_time(void)
{
	hilo_future *future = hilo_future_new();

	say_end("future", await_value(future, after(5)));
	say("done: %d", hilo_future_is_done(future));
	set_value(future, 3);
	say_end("future", await_value(future, after(5)));
	hilo_future_unref(future);
}

struct share {
	const char *name;
	hilo_future *future;
	int ms;
};

static int shares_value(void *arg)
{
	const struct share *self = arg;
	int rc = await_value(self->future, HILO_FOREVER);

	if (rc < 0)
		return rc;
	OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

#define SHARE(...) hilo_spawn(shares_value, &(struct share){__VA_ARGS__})

static void one_value_for_many(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *a = SHARE("a", future, 1), *b = SHARE("b", future, 2), *c = SHARE("c", future, 3);

	OK(sleep_for(1));
	set_value(future, 9);
	(void)hilo_join(a, HILO_FOREVER);
	(void)hilo_join(b, HILO_FOREVER);
	(void)hilo_join(c, HILO_FOREVER);
	hilo_future_unref(future);
}

/* One of several that await it is cancelled: the others go on. */
static void one_of_many_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_task *a = SHARE("a", future, 1), *b = SHARE("b", future, 2);

	OK(sleep_for(1));
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	set_value(future, 9);
	say_end("b", hilo_join(b, HILO_FOREVER));
	hilo_future_unref(future);
}

static void on_done(hilo_future *future, hilo_done_node *node, hilo_callback_fn fn, const void *arg)
{
	OK(hilo_future_on_done(future, node, fn, (void *)(uintptr_t)arg));
}

static void done_in_order(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node[3];

	on_done(future, &node[0], say_text, "a");
	on_done(future, &node[1], say_text, "b");
	on_done(future, &node[2], say_text, "c");
	set_value(future, 1); /* calls nothing by itself */
	say("after set");
	OK(sleep_for(1));
	hilo_future_unref(future);
}

static void done_removed(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node[3];

	on_done(future, &node[0], say_text, "a");
	on_done(future, &node[1], say_text, "b");
	on_done(future, &node[2], say_text, "c");
	say("removed: %d", hilo_future_remove_on_done(future, &node[1]) == 0);
	say("removed: %d", hilo_future_remove_on_done(future, &node[1]) == 0);
	set_value(future, 1);
	OK(sleep_for(1));
	say("removed: %d", hilo_future_remove_on_done(future, &node[0]) == 0);
	hilo_future_unref(future);
}

static void done_asked_late(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node;

	set_value(future, 1);
	on_done(future, &node, say_text, "a");
	say("asked");
	OK(sleep_for(1));
	hilo_future_unref(future);
}

struct done_pair {
	hilo_future *future;
	hilo_done_node node[3];
};

static void removes_the_second(void *arg)
{
	struct done_pair *pair = arg;

	say("a removes b: %d", hilo_future_remove_on_done(pair->future, &pair->node[1]) == 0);
}

static void done_removes_the_next(void)
{
	struct done_pair pair = {.future = hilo_future_new()};

	on_done(pair.future, &pair.node[0], removes_the_second, &pair);
	on_done(pair.future, &pair.node[1], say_text, "b");
	set_value(pair.future, 1);
	OK(sleep_for(1));
	hilo_future_unref(pair.future);
}

static void asks_for_another(void *arg)
{
	struct done_pair *pair = arg;

	say("a");
	on_done(pair->future, &pair->node[2], say_text, "asked by a");
}

static void done_asks_for_another(void)
{
	struct done_pair pair = {.future = hilo_future_new()};

	on_done(pair.future, &pair.node[0], asks_for_another, &pair);
	on_done(pair.future, &pair.node[1], say_text, "b");
	set_value(pair.future, 1);
	OK(sleep_for(1));
	hilo_future_unref(pair.future);
}

static void done_of_a_cancelled(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node;

	on_done(future, &node, say_text, "a");
	OK(hilo_future_cancel(future));
	OK(sleep_for(1));
	say_end("future", result_value(future));
	hilo_future_unref(future);
}

TOPIC(futures, SCENARIO(set_before_await), SCENARIO(await_before_set), SCENARIO(set_twice),
      SCENARIO(set_error), SCENARIO(result_while_pending), SCENARIO(future_cancelled),
      SCENARIO(cancel_a_set_one), SCENARIO(awaiter_of_a_future_cancelled), SCENARIO(future_in_time),
      SCENARIO(one_value_for_many), SCENARIO(one_of_many_cancelled), SCENARIO(done_in_order),
      SCENARIO(done_removed), SCENARIO(done_asked_late), SCENARIO(done_removes_the_next),
      SCENARIO(done_asks_for_another), SCENARIO(done_of_a_cancelled));
