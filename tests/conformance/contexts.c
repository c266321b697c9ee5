/* SPDX-License-Identifier: MIT */
/* Values that belong to a task, to what it spawns, and to the callbacks that it asks for. */
#include "tests/conformance/conformance.h"

static const hilo_local number = HILO_LOCAL("number", NULL, NULL);
static const hilo_local other = HILO_LOCAL("other", NULL, NULL);

static int get(const hilo_local *local)
{
	return (int)(intptr_t)hilo_local_get(local);
}

static void set(const hilo_local *local, int value)
{
	OK(hilo_local_set(local, (void *)(intptr_t)value, NULL));
}

static void set_with(hilo_local_token *token, int value)
{
	OK(hilo_local_set(&number, (void *)(intptr_t)value, token));
}

static void say_number(const char *who)
{
	say("%s: %d", who, get(&number));
}

static int child(void *arg)
{
	(void)arg;
	say_number("child");
	set(&number, 7);
	OK(sleep_for(2));
	say_number("child");
	return 0;
}

static void value_of_nobody(void)
{
	say_number("main");
	OK(hilo_join(hilo_spawn(child, NULL), HILO_FOREVER));
	say_number("main");
}

static void value_of_the_moment_of_the_spawn(void)
{
	hilo_task *task;

	set(&number, 1);
	task = hilo_spawn(child, NULL);
	set(&number, 2);
	OK(sleep_for(1));
	say_number("main");
	OK(hilo_join(task, HILO_FOREVER));
	say_number("main");
}

static int says_number(void *name)
{
	say_number(name);
	return 0;
}

static int spawns_in_turn(void *arg)
{
	(void)arg;
	set(&number, 2);
	return hilo_join(hilo_spawn(says_number, as_arg("grandchild")), HILO_FOREVER);
}

static void value_of_a_grandchild(void)
{
	set(&number, 1);
	set(&other, 5);
	OK(hilo_join(hilo_spawn(spawns_in_turn, NULL), HILO_FOREVER));
	say_number("main");
	say("other: %d", get(&other));
}

static int counts_up(void *arg)
{
	const struct sleeper *self = arg;

	set(&number, self->code);
	for (int i = 0; i < 3; i++) {
		OK(sleep_for(self->ms));
		set(&number, get(&number) + 1);
		say_number(self->name);
	}
	return 0;
}

static void values_of_two_tasks(void)
{
	hilo_task *a = hilo_spawn(counts_up, AS_SLEEPER("a", 3, 10));
	hilo_task *b = hilo_spawn(counts_up, AS_SLEEPER("b", 4, 20));

	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	say_number("main");
}

static int spawns_into_the_group(void *arg)
{
	set(&number, 2);
	return hilo_group_spawn(arg, says_number, as_arg("of the task"));
}

static void value_of_whoever_spawns_into_a_group(void)
{
	int rc;

	set(&number, 1);
	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, spawns_into_the_group, group));
		OK(sleep_for(1));
		OK(hilo_group_spawn(group, says_number, as_arg("of the block")));
	}
	say_end("group", rc);
}

static void value_taken_back(void)
{
	hilo_local_token first, second;

	set_with(&first, 1);
	set_with(&second, 2);
	say_number("main");
	OK(hilo_local_reset(&second));
	say_number("main");
	OK(hilo_local_reset(&first));
	say_number("main");
}

static void value_taken_back_in_another_order(void)
{
	hilo_local_token first, second;

	set_with(&first, 1);
	set_with(&second, 2);
	set(&number, 3);
	OK(hilo_local_reset(&first));
	say_number("main");
	OK(hilo_local_reset(&second));
	say_number("main");
}

static void value_taken_back_twice(void)
{
	hilo_local_token token;

	set_with(&token, 1);
	say_end("reset", hilo_local_reset(&token));
	set(&number, 2);
	say_end("reset", hilo_local_reset(&token));
	say_number("main");
}

static int takes_back(void *token)
{
	say_end("reset", hilo_local_reset(token));
	say_number("child");
	return 0;
}

static void value_taken_back_by_another_task(void)
{
	hilo_local_token token;

	set_with(&token, 1);
	OK(hilo_join(hilo_spawn(takes_back, &token), HILO_FOREVER));
	say_number("main");
	say_end("reset", hilo_local_reset(&token));
	say_number("main");
}

static void value_taken_back_and_inherited(void)
{
	hilo_local_token token;
	hilo_task *before, *after;

	set_with(&token, 1);
	before = hilo_spawn(says_number, as_arg("before"));
	OK(hilo_local_reset(&token));
	OK(hilo_join(before, HILO_FOREVER));
	after = hilo_spawn(says_number, as_arg("after"));
	OK(hilo_join(after, HILO_FOREVER));
}

static int changes(void *arg)
{
	(void)arg;
	say_number("inside");
	set(&number, get(&number) + 1);
	return get(&number);
}

static void context_keeps_what_is_set(void)
{
	hilo_context *context;

	set(&number, 1);
	context = hilo_context_copy();
	set(&number, 10);
	say_end("run", hilo_context_run(context, changes, NULL));
	say_end("run", hilo_context_run(context, changes, NULL));
	say_number("main");
	hilo_context_free(context);
}

static int runs_again(void *context)
{
	say_end("again", hilo_context_run(context, changes, NULL));
	return 5;
}

static void context_entered_twice(void)
{
	hilo_context *context = hilo_context_copy();

	say_end("run", hilo_context_run(context, runs_again, context));
	say_end("run", hilo_context_run(context, changes, NULL));
	hilo_context_free(context);
}

static int spawns_inside(void *arg)
{
	hilo_task **task = arg;

	*task = hilo_spawn(says_number, as_arg("spawned inside"));
	return 0;
}

static void context_is_inherited(void)
{
	hilo_context *context;
	hilo_task *task = NULL;

	set(&number, 1);
	context = hilo_context_copy();
	set(&number, 10);
	say_end("run", hilo_context_run(context, spawns_inside, &task));
	hilo_context_free(context);
	OK(hilo_join(task, HILO_FOREVER));
}

static int takes_back_in_context(void *token)
{
	return hilo_local_reset(token);
}

static void context_of_another_token(void)
{
	hilo_local_token token;
	hilo_context *context;

	set_with(&token, 1);
	context = hilo_context_copy();
	say_end("reset", hilo_context_run(context, takes_back_in_context, &token));
	say_number("main");
	say_end("reset", hilo_local_reset(&token));
	say_number("main");
	hilo_context_free(context);
}

static void callback_says(void *name)
{
	say_number(name);
}

static void value_of_a_callback(void)
{
	set(&number, 1);
	call_soon(callback_says, "soon");
	set(&number, 2);
	call_later(2, callback_says, "later");
	set(&number, 3);
	OK(sleep_for(3));
	say_number("main");
}

static void callback_sets(void *name)
{
	set(&number, get(&number) + 10);
	say_number(name);
}

static void value_set_by_a_callback(void)
{
	set(&number, 1);
	call_soon(callback_sets, "a");
	call_soon(callback_sets, "b");
	OK(sleep_for(1));
	say_number("main");
}

static void callback_asks_for_another(void *name)
{
	callback_sets(name);
	call_soon(callback_says, "asked by a callback");
	set(&number, 0);
}

static void value_of_a_callback_of_a_callback(void)
{
	set(&number, 1);
	call_soon(callback_asks_for_another, "callback");
	OK(sleep_for(1));
}

static void callback_spawns(void *task)
{
	callback_sets(as_arg("callback"));
	*(hilo_task **)task = hilo_spawn(says_number, as_arg("task"));
}

static void value_of_a_task_of_a_callback(void)
{
	hilo_task *task = NULL;

	set(&number, 1);
	call_soon(callback_spawns, &task);
	OK(sleep_for(1));
	OK(hilo_join(task, HILO_FOREVER));
}

static void callback_sets_future(void *future)
{
	set(&number, 7);
	set_value(future, 5);
}

static void value_of_a_done_callback(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node[2];

	set(&number, 1);
	OK(hilo_future_on_done(future, &node[0], callback_says, as_arg("first")));
	set(&number, 2);
	OK(hilo_future_on_done(future, &node[1], callback_says, as_arg("second")));
	call_later(1, callback_sets_future, future);
	OK(sleep_for(2));
	say_number("main");
	hilo_future_unref(future);
}

static void value_of_a_done_callback_asked_late(void)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node;

	set(&number, 1);
	set_value(future, 5);
	set(&number, 2);
	OK(hilo_future_on_done(future, &node, callback_says, as_arg("callback")));
	set(&number, 3);
	OK(sleep_for(1));
	hilo_future_unref(future);
}

static void value_of_a_done_callback_of_a_task(void)
{
	hilo_task *task = hilo_spawn(child, NULL);
	hilo_done_node node;

	set(&number, 1);
	OK(hilo_task_on_done(task, &node, callback_says, as_arg("callback")));
	OK(sleep_for(5));
	OK(hilo_join(task, HILO_FOREVER));
}

static int changes_and_returns(void *arg)
{
	(void)changes(arg);
	return 0;
}

static void runs_in_context(void *context)
{
	OK(hilo_context_run(context, changes_and_returns, NULL));
}

static void callbacks_in_one_context(void)
{
	hilo_context *context;

	set(&number, 1);
	context = hilo_context_copy();
	set(&number, 10);
	call_soon(runs_in_context, context);
	call_later(2, runs_in_context, context);
	OK(sleep_for(3));
	say_end("run", hilo_context_run(context, changes, NULL));
	say_number("main");
	hilo_context_free(context);
}

static void callback_takes_back(void *token)
{
	say_end("reset", hilo_local_reset(token));
	say_number("callback");
}

static void value_taken_back_by_a_callback(void)
{
	hilo_local_token token;

	set_with(&token, 1);
	call_soon(callback_takes_back, &token);
	OK(sleep_for(1));
	OK(hilo_local_reset(&token));
	say_number("main");
}

static int thread_says(void *arg)
{
	(void)arg;
	say_number("thread");
	set(&number, 9);
	return get(&number);
}

static void value_of_a_call_in_a_thread(void)
{
	set(&number, 1);
	say_end("call", hilo_to_thread(thread_says, NULL, HILO_FOREVER));
	say_number("main");
}

static int thread_calls_the_loop(void *loop)
{
	say_number("thread");
	set(&number, 9);
	OK(hilo_call_soon_threadsafe(loop, callback_says, as_arg("callback"), NULL));
	return 0;
}

static void value_of_a_callback_of_a_thread(void)
{
	set(&number, 1);
	OK(hilo_to_thread(thread_calls_the_loop, hilo_loop_current(), HILO_FOREVER));
	OK(sleep_for(1));
	say_number("main");
}

static void value_of_a_call_in_an_executor(void)
{
	set(&number, 1);
	say_end("call", hilo_run_in_executor(NULL, thread_says, NULL, HILO_FOREVER));
}

TOPIC(contexts, SCENARIO(value_of_nobody), SCENARIO(value_of_the_moment_of_the_spawn),
      SCENARIO(value_of_a_grandchild), SCENARIO(values_of_two_tasks),
      SCENARIO(value_of_whoever_spawns_into_a_group), SCENARIO(value_taken_back),
      SCENARIO(value_taken_back_in_another_order), SCENARIO(value_taken_back_twice),
      SCENARIO(value_taken_back_by_another_task), SCENARIO(value_taken_back_and_inherited),
      SCENARIO(context_keeps_what_is_set), SCENARIO(context_entered_twice), SCENARIO(context_is_inherited),
      SCENARIO(context_of_another_token), SCENARIO(value_of_a_callback), SCENARIO(value_set_by_a_callback),
      SCENARIO(value_of_a_callback_of_a_callback), SCENARIO(value_of_a_task_of_a_callback),
      SCENARIO(value_of_a_done_callback), SCENARIO(value_of_a_done_callback_asked_late),
      SCENARIO(value_of_a_done_callback_of_a_task), SCENARIO(callbacks_in_one_context),
      SCENARIO(value_taken_back_by_a_callback), SCENARIO(value_of_a_call_in_a_thread, THREADS),
      SCENARIO(value_of_a_callback_of_a_thread, THREADS), SCENARIO(value_of_a_call_in_an_executor, THREADS));
