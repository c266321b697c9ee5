/* SPDX-License-Identifier: MIT */
/*
 * stress_wait_group.c - wait groups and latches under cancels and deadlines: nobody returns too early, nobody waits
 * for ever, the number is right.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

/* What an actor has under way. */
struct own {
	unsigned jobs;
};

static void *group_up(unsigned workers)
{
	(void)workers;
	return calloc(1, sizeof(hilo_wait_group));
}

static void group_down(void *object)
{
	TASK_CHECK(hilo_wait_group_destroy(object), ==, 0);
	free(object);
}

/* Who has something under way would wait for himself. */
static int group_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct own *own = actor->own;

	return own->jobs ? SAFETY_SKIP : hilo_wait_group_wait(object, deadline);
}

static int group_add(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct own *own = actor->own;

	(void)deadline;
	if (own->jobs > 1)
		return SAFETY_SKIP;
	own->jobs++;
	return hilo_wait_group_add(object, 1);
}

static int group_done(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct own *own = actor->own;

	(void)deadline;
	if (!own->jobs)
		return SAFETY_SKIP;
	own->jobs--;
	TASK_CHECK(hilo_wait_group_count(object), >, 0);
	return hilo_wait_group_done(object);
}

static void group_leave(void *object, struct safety_actor *actor)
{
	while (group_done(object, actor, HILO_NO_WAIT) != SAFETY_SKIP)
		;
}

static void group_check(void *object, struct safety_actor *actors, unsigned count)
{
	(void)actors, (void)count;
	TASK_CHECK(hilo_wait_group_count(object), ==, 0);
	TASK_CHECK(hilo_wait_group_wait(object, HILO_NO_WAIT), ==, 0);
}

static const struct safety_op group_ops[] = {
	{"wait", group_wait, {-ETIMEDOUT, -ECANCELED}, .weight = 4},
	{"add", group_add, .weight = 1},
	{"done", group_done, .weight = 4},
};

static const struct safety_object wait_group = {
	"wait group",	      .own_size = sizeof(struct own), .up = group_up,	     .down = group_down,
	.leave = group_leave, .check = group_check,	      SAFETY_OPS(group_ops),
};

/* A latch that never opens, one that opens in the course of each round, and how often they were counted down. */
#define COUNT 400

struct latches {
	hilo_latch never, opens;
	atomic(uint64_t) counted;
};

static void *latches_up(unsigned workers)
{
	struct latches *latches = calloc(1, sizeof(*latches));

	(void)workers;
	TASK_CHECK(latches, !=, NULL);
	TASK_CHECK(hilo_latch_init(&latches->never, SIZE_MAX >> 2), ==, 0);
	TASK_CHECK(hilo_latch_init(&latches->opens, COUNT), ==, 0);
	return latches;
}

static void latches_down(void *object)
{
	struct latches *latches = object;

	TASK_CHECK(hilo_latch_destroy(&latches->never), ==, 0);
	free(latches);
}

static int latches_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct latches *latches = object;
	bool opens = deadline == HILO_FOREVER || safety_choose(actor, 2);
	int rc = hilo_latch_wait(opens ? &latches->opens : &latches->never, deadline);

	if (rc == 0)
		TASK_CHECK(opens && hilo_latch_count(&latches->opens) == 0, ==, 1);
	return rc;
}

static int latches_count_down(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct latches *latches = object;

	(void)actor, (void)deadline;
	(void)add_relaxed(&latches->counted, 1);
	TASK_CHECK(hilo_latch_count_down(&latches->never, 1), ==, 0);
	return hilo_latch_count_down(&latches->opens, 1);
}

static void latches_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct latches *latches = object;

	(void)actors, (void)count;
	TASK_CHECK(hilo_latch_count(&latches->opens), ==, 0);
	TASK_CHECK(hilo_latch_count(&latches->never), ==, (SIZE_MAX >> 2) - load_relaxed(&latches->counted));
	/* A new one, for the next round. */
	TASK_CHECK(hilo_latch_destroy(&latches->opens), ==, 0);
	TASK_CHECK(hilo_latch_init(&latches->opens, test_rounds(COUNT)), ==, 0);
}

static const struct safety_op latches_ops[] = {
	{"wait", latches_wait, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"count_down", latches_count_down, {HILO_EINVALSTATE}, .weight = 1},
};

static const struct safety_object latch = {
	"latch", .up = latches_up, .down = latches_down, .check = latches_check, SAFETY_OPS(latches_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&wait_group);
	safety_prove(&latch);
	return 0;
}
