/* SPDX-License-Identifier: MIT */
/* Groups: who waits for whom, who is cancelled, and what the block ends with. */
#include "tests/conformance/conformance.h"

static unsigned requests(void)
{
	return hilo_task_cancelling(hilo_task_current());
}

/* How a group has ended, and that it has left nothing behind. */
static void say_group(int rc)
{
	int code;

	say_end("group", rc);
	for (unsigned i = 1; rc < 0 && rc != -ECANCELED && hilo_error_other(i, &code, NULL); i++)
		say_end("other", code);
	say("requests: %u", requests());
}

static void spawn_sleeper(hilo_group *group, const struct sleeper *task)
{
	OK(hilo_group_spawn(group, sleeper, (void *)(uintptr_t)task));
}

static int waits_quietly(void *arg)
{
	(void)arg;
	return sleep_for(50);
}

/* A group of sleepers. Its block sleeps for a while, or not at all, and ends with a code. */
struct block {
	const struct sleeper *tasks[3];
	int ms, code;
	bool keeps; /* it ends with the code although its sleep was interrupted */
};

static int group_block(void *arg)
{
	const struct block *self = arg;
	int rc;

	HILO_GROUP (group, &rc) {
		for (size_t i = 0; i < array_size(self->tasks) && self->tasks[i]; i++)
			spawn_sleeper(group, self->tasks[i]);
		if (self->ms) {
			rc = sleep_for(self->ms);
			say_end("block", rc);
		}
		if (rc == 0 || self->keeps)
			rc = self->code;
	}
	say_group(rc);
	return rc;
}

#define BLOCK(...) (&(struct block){__VA_ARGS__})
#define RUN_BLOCK(...) ((void)group_block(BLOCK(__VA_ARGS__)))

static void group_waits_for_all(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 3), AS_SLEEPER("b", 1), AS_SLEEPER("c", 8)}, .ms = 5);
}

static void group_of_none(void)
{
	RUN_BLOCK(.ms = 0);
	RUN_BLOCK(.code = -EIO);
}

static void group_task_fails_while_the_block_waits(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO), AS_SLEEPER("b", 50, .cleanup = 1)}, .ms = 20);
	say_end("sleep", sleep_for(1));
}

static void group_task_fails_while_the_block_ends(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO), AS_SLEEPER("b", 50, .cleanup = 1)});
	say_end("sleep", sleep_for(1));
}

static void group_block_fails(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 50, .cleanup = 1)}, .ms = 2, .code = -EPIPE);
}

static void group_block_fails_at_once(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 50), AS_SLEEPER("b", 50)}, .code = -EPIPE);
}

static void group_failures_in_their_order(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 50, -EPIPE, 3, true), AS_SLEEPER("b", 2, -EIO),
			    AS_SLEEPER("c", 50, -EPROTO, 1, true)},
		  .ms = 20);
}

static void group_block_fails_after_a_task(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO)}, .ms = 20, .code = -EPIPE, .keeps = true);
}

static void group_block_takes_no_notice(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO)}, .ms = 20, .keeps = true);
}

static void group_after_a_group(void)
{
	RUN_BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO)}, .ms = 20);
	RUN_BLOCK(.tasks = {AS_SLEEPER("b", 2)}, .ms = 20);
}

static void group_task_cancelled(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 50), *b = AS_SLEEPER("b", 3);
	hilo_task *task = NULL;
	int rc;

	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn_with(group, sleeper, (void *)(uintptr_t)a, NULL, &task));
		spawn_sleeper(group, b);
		OK(sleep_for(1));
		ask_to_cancel("a", task);
		rc = sleep_for(1);
	}
	say_group(rc);
	hilo_task_unref(task);
}

static int ends_as_cancelled(void *arg)
{
	(void)arg;
	return -ECANCELED;
}

static void group_task_ends_as_cancelled(void)
{
	const struct sleeper *b = AS_SLEEPER("b", 3);
	int rc;

	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, ends_as_cancelled, NULL));
		spawn_sleeper(group, b);
	}
	say_group(rc);
}

static void group_block_ends_as_cancelled(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 50, .cleanup = 1);
	hilo_task *task = SLEEPER("b", 50);
	int rc;

	call_later(2, cancel_task, task);
	HILO_GROUP (group, &rc) {
		spawn_sleeper(group, a);
		rc = hilo_await(task, HILO_FOREVER);
	}
	say_group(rc);
	hilo_task_unref(task);
}

static int cancel_outer_at_5(hilo_task *outer)
{
	OK(sleep_for(5));
	ask_to_cancel("outer", outer);
	return hilo_join(outer, HILO_FOREVER);
}

static void group_cancelled_while_the_block_waits(void)
{
	hilo_task *outer = hilo_spawn(
		group_block, BLOCK(.tasks = {AS_SLEEPER("a", 50, .cleanup = 1)}, .ms = 20, .code = 7));

	say_end("outer", cancel_outer_at_5(outer));
}

static void group_cancelled_while_the_block_ends(void)
{
	hilo_task *outer = hilo_spawn(group_block, BLOCK(.tasks = {AS_SLEEPER("a", 50, .cleanup = 3),
								   AS_SLEEPER("b", 50, .cleanup = 1)}));

	say_end("outer", cancel_outer_at_5(outer));
}

static void group_cancelled_twice(void)
{
	hilo_task *outer = hilo_spawn(group_block, BLOCK(.tasks = {AS_SLEEPER("a", 50, .cleanup = 10)}));

	OK(sleep_for(2));
	ask_to_cancel("outer", outer);
	say_end("outer", cancel_outer_at_5(outer));
}

static void group_cancelled_and_a_task_fails(void)
{
	hilo_task *outer =
		hilo_spawn(group_block, BLOCK(.tasks = {AS_SLEEPER("a", 50, -EIO, 1, true)}, .ms = 20));

	say_end("outer", cancel_outer_at_5(outer));
}

static void group_cancelled_after_a_task_has_failed(void)
{
	hilo_task *outer = hilo_spawn(
		group_block,
		BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO), AS_SLEEPER("b", 50, .cleanup = 10)}, .ms = 20));

	say_end("outer", cancel_outer_at_5(outer));
}

static int group_with_a_request_set(void *arg)
{
	bool waits = arg;
	int rc;

	ask_to_cancel("myself", hilo_task_current());
	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, waits_quietly, NULL));
		if (waits) {
			rc = sleep_for(20);
			say_end("block", rc);
		}
	}
	say_group(rc);
	return rc;
}

static void group_waits_with_a_request_set(void)
{
	static int yes;

	say_end("outer", hilo_join(hilo_spawn(group_with_a_request_set, &yes), HILO_FOREVER));
}

static void group_ends_with_a_request_set(void)
{
	say_end("outer", hilo_join(hilo_spawn(group_with_a_request_set, NULL), HILO_FOREVER));
}

static int cancels_at_2(void *task)
{
	OK(sleep_for(2));
	ask_to_cancel("owner", task);
	return 0;
}

static int group_cancelled_from_inside(void *arg)
{
	const struct sleeper *a = AS_SLEEPER("a", 50, .cleanup = 1);
	int rc;

	(void)arg;
	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, cancels_at_2, hilo_task_current()));
		spawn_sleeper(group, a);
	}
	say_group(rc);
	return rc;
}

static void group_task_cancels_the_owner(void)
{
	say_end("outer", hilo_join(hilo_spawn(group_cancelled_from_inside, NULL), HILO_FOREVER));
}

static int stops_at_2(void *group)
{
	OK(sleep_for(2));
	return hilo_group_cancel(group);
}

static void group_stopped_early(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 50, .cleanup = 1);
	int rc;

	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, stops_at_2, group));
		spawn_sleeper(group, a);
		rc = sleep_for(20);
		say_end("block", rc);
	}
	say_group(rc);
	say_end("sleep", sleep_for(1));
}

static void group_inner_failure_ends_there(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 10), *b = AS_SLEEPER("b", 2, -EIO);
	const struct sleeper *c = AS_SLEEPER("c", 50, .cleanup = 1);
	int outer, inner;

	HILO_GROUP (outside, &outer) {
		spawn_sleeper(outside, a);
		HILO_GROUP (inside, &inner) {
			spawn_sleeper(inside, b);
			spawn_sleeper(inside, c);
			inner = waits_quietly(NULL);
		}
		say_group(inner);
		say_end("sleep", sleep_for(2));
	}
	say_group(outer);
}

static void group_outer_failure_stops_the_inner(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 2, -EIO), *b = AS_SLEEPER("b", 50, .cleanup = 1);
	int outer, inner = 0;

	HILO_GROUP (outside, &outer) {
		spawn_sleeper(outside, a);
		HILO_GROUP (inside, &inner)
			spawn_sleeper(inside, b);
		say_group(inner);
		outer = inner;
	}
	say_group(outer);
}

static void group_task_with_a_group_fails(void)
{
	struct block *inner =
		BLOCK(.tasks = {AS_SLEEPER("b", 2, -EIO), AS_SLEEPER("c", 50, -EPIPE, 1, true)}, .ms = 20);
	const struct sleeper *a = AS_SLEEPER("a", 50, .cleanup = 5);
	int rc;

	HILO_GROUP (group, &rc) {
		spawn_sleeper(group, a);
		OK(hilo_group_spawn(group, group_block, inner));
		rc = waits_quietly(NULL);
	}
	say_group(rc);
}

static int spawns_later(void *arg)
{
	static const struct sleeper late = {.name = "late", .ms = 3};

	OK(sleep_for(2));
	spawn_sleeper(arg, &late);
	return 0;
}

static void group_task_spawns_another(void)
{
	int rc;

	HILO_GROUP (group, &rc)
		OK(hilo_group_spawn(group, spawns_later, group));
	say_group(rc);
}

static int spawns_when_stopped(void *group)
{
	int rc = sleep_for(50);

	say_end("spawn", hilo_group_spawn(group, say_task, as_arg("never")));
	return rc;
}

static void group_task_spawns_while_it_stops(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 2, -EIO);
	int rc;

	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn(group, spawns_when_stopped, group));
		spawn_sleeper(group, a);
		rc = waits_quietly(NULL);
	}
	say_group(rc);
}

static void group_block_spawns_while_it_stops(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 2, -EIO);
	int rc;

	HILO_GROUP (group, &rc) {
		spawn_sleeper(group, a);
		rc = spawns_when_stopped(group);
	}
	say_group(rc);
}

static int awaits_what_fails(void *task)
{
	int rc = hilo_await(task, HILO_FOREVER);

	say_end("await", rc);
	return rc;
}

static void group_task_awaits_the_one_that_fails(void)
{
	const struct sleeper *a = AS_SLEEPER("a", 2, -EIO);
	hilo_task *task = NULL;
	int rc;

	HILO_GROUP (group, &rc) {
		OK(hilo_group_spawn_with(group, sleeper, (void *)(uintptr_t)a, NULL, &task));
		OK(hilo_group_spawn(group, awaits_what_fails, task));
		rc = waits_quietly(NULL);
	}
	say_group(rc);
	hilo_task_unref(task);
}

static void group_within_5(struct block *block)
{
	int rc;

	HILO_TIMEOUT (limit, after(5), &rc)
		rc = group_block(block);
	say_end("limit", rc);
	say("requests: %u", requests());
}

static void group_in_a_limit(void)
{
	group_within_5(BLOCK(.tasks = {AS_SLEEPER("a", 50, .cleanup = 3)}));
}

static void group_fails_in_a_limit(void)
{
	group_within_5(
		BLOCK(.tasks = {AS_SLEEPER("a", 2, -EIO), AS_SLEEPER("b", 50, .cleanup = 10)}, .ms = 20));
}

/* A group whose block sleeps within a limit of its own; one task beside it. */
static void limit_in_a_group(int ms, const struct sleeper *task)
{
	int outer, inner = 0;

	HILO_GROUP (group, &outer) {
		spawn_sleeper(group, task);
		HILO_TIMEOUT (limit, after(ms), &inner)
			inner = sleep_for(20);
		say_end("limit", inner);
		say("requests: %u", requests());
		if (inner != -ETIMEDOUT)
			outer = inner;
	}
	say_group(outer);
}

static void limit_in_a_group_expires(void)
{
	limit_in_a_group(5, AS_SLEEPER("a", 10));
}

static void limit_in_a_group_that_fails(void)
{
	limit_in_a_group(5, AS_SLEEPER("a", 2, -EIO));
}

TOPIC(groups, SCENARIO(group_waits_for_all), SCENARIO(group_of_none),
      SCENARIO(group_task_fails_while_the_block_waits), SCENARIO(group_task_fails_while_the_block_ends),
      SCENARIO(group_block_fails), SCENARIO(group_block_fails_at_once),
      SCENARIO(group_failures_in_their_order), SCENARIO(group_block_fails_after_a_task),
      SCENARIO(group_block_takes_no_notice), SCENARIO(group_after_a_group), SCENARIO(group_task_cancelled),
      SCENARIO(group_task_ends_as_cancelled), SCENARIO(group_block_ends_as_cancelled),
      SCENARIO(group_cancelled_while_the_block_waits), SCENARIO(group_cancelled_while_the_block_ends),
      SCENARIO(group_cancelled_twice), SCENARIO(group_cancelled_and_a_task_fails),
      SCENARIO(group_cancelled_after_a_task_has_failed), SCENARIO(group_waits_with_a_request_set),
      SCENARIO(group_ends_with_a_request_set), SCENARIO(group_task_cancels_the_owner),
      SCENARIO(group_stopped_early), SCENARIO(group_inner_failure_ends_there),
      SCENARIO(group_outer_failure_stops_the_inner), SCENARIO(group_task_with_a_group_fails),
      SCENARIO(group_task_spawns_another), SCENARIO(group_task_spawns_while_it_stops),
      SCENARIO(group_block_spawns_while_it_stops), SCENARIO(group_task_awaits_the_one_that_fails),
      SCENARIO(group_in_a_limit), SCENARIO(group_fails_in_a_limit), SCENARIO(limit_in_a_group_expires),
      SCENARIO(limit_in_a_group_that_fails));
