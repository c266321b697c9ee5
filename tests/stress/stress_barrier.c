/* SPDX-License-Identifier: MIT */
/*
 * stress_barrier.c - barriers under cancels and deadlines: as many pass as make whole rounds, and each number of a
 * round is had once. Wait groups and latches: nobody returns before, nobody waits for ever.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARTIES 3

struct round {
	hilo_barrier barrier;
	atomic(uint64_t) passed[PARTIES];
	atomic(uint64_t) acted;
};

static int round_action(void *arg)
{
	struct round *round = arg;

	return add_relaxed(&round->acted, 1) % 64 == 63 ? -EIO : 0;
}

static void *round_new(int (*action)(void *))
{
	struct round *round = calloc(1, sizeof(*round));

	TASK_CHECK(round, !=, NULL);
	TASK_CHECK(hilo_barrier_init(&round->barrier, PARTIES, action, round), ==, 0);
	return round;
}

static void *round_up(unsigned workers)
{
	(void)workers;
	return round_new(NULL);
}

static void *acting_up(unsigned workers)
{
	(void)workers;
	return round_new(round_action);
}

static void round_down(void *object)
{
	struct round *round = object;

	TASK_CHECK(hilo_barrier_destroy(&round->barrier), ==, 0);
	free(round);
}

static int round_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct round *round = object;
	int rc = hilo_barrier_wait(&round->barrier, deadline);

	(void)actor;
	if (rc >= 0) {
		TASK_CHECK(rc, <, PARTIES);
		(void)add_relaxed(&round->passed[rc], 1);
	} else if (rc == -EPIPE) {
		if (hilo_barrier_broken(&round->barrier))
			(void)hilo_barrier_reset(&round->barrier);
	}
	return rc;
}

static int round_reset(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct round *round = object;

	(void)actor, (void)deadline;
	return hilo_barrier_reset(&round->barrier);
}

static int round_abort(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct round *round = object;

	(void)actor, (void)deadline;
	return hilo_barrier_abort(&round->barrier);
}

static int round_look(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct round *round = object;

	(void)actor, (void)deadline;
	TASK_CHECK(hilo_barrier_n_waiting(&round->barrier), <, PARTIES);
	return 0;
}

/* Those who are left are too few. */
static void round_wake(void *object)
{
	struct round *round = object;

	if (hilo_barrier_n_waiting(&round->barrier) > 0)
		TASK_CHECK(hilo_barrier_reset(&round->barrier), ==, 0);
}

static void round_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct round *round = object;

	(void)actors, (void)count;
	TASK_CHECK(hilo_barrier_n_waiting(&round->barrier), ==, 0);
	for (unsigned i = 1; i < PARTIES; i++)
		TASK_CHECK(load_relaxed(&round->passed[i]), ==, load_relaxed(&round->passed[0]));
}

static const struct safety_op round_ops[] = {
	{"wait", round_wait, {-ETIMEDOUT, -ECANCELED, -EPIPE}, .weight = 60},
	{"reset", round_reset, .weight = 2},
	{"abort", round_abort, .weight = 1},
	{"n_waiting", round_look, .weight = 10},
};

static const struct safety_object round_barrier = {
	"barrier",	    .up = round_up,	  .down = round_down,
	.wake = round_wake, .check = round_check, SAFETY_OPS(round_ops),
};

/* With an action some leave between the arrival of the last one and its end: their numbers are missing. */
static void acting_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct round *round = object;
	uint64_t last = load_relaxed(&round->passed[PARTIES - 1]);

	(void)actors, (void)count;
	TASK_CHECK(hilo_barrier_n_waiting(&round->barrier), ==, 0);
	TASK_CHECK(last, ==, load_relaxed(&round->acted) - load_relaxed(&round->acted) / 64);
	for (unsigned i = 0; i < PARTIES; i++)
		TASK_CHECK(load_relaxed(&round->passed[i]), <=, last);
}

static const struct safety_op acting_ops[] = {
	{"wait", round_wait, {-ETIMEDOUT, -ECANCELED, -EPIPE, -EIO}, .weight = 60},
	{"reset", round_reset, .weight = 1},
	{"n_waiting", round_look, .weight = 10},
};

static const struct safety_object acting_barrier = {
	"barrier with an action", .up = acting_up,	 .down = round_down,
	.wake = round_wake,	  .check = acting_check, SAFETY_OPS(acting_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&round_barrier);
	safety_prove(&acting_barrier);
	return 0;
}
