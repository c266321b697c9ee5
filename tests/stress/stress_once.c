/* SPDX-License-Identifier: MIT */
/* stress_once.c - what is to be done once: by one at a time, and in the end by one, whoever is cancelled or late. */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

/* One after the other is used until it was done. */
#define SLOTS 100000

struct slot {
	hilo_once once;
	struct safety_actor *inside; /* of the runner */
	unsigned done;		     /* as well */
};

struct slots {
	struct slot slot[SLOTS];
	atomic(unsigned) current;
};

static void *slots_up(unsigned workers)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	(void)workers;
	TASK_CHECK(slots, !=, NULL);
	return slots;
}

static void slots_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct slots *slots = object;

	(void)actors, (void)count;
	for (unsigned i = 0; i < SLOTS; i++) {
		TASK_CHECK(slots->slot[i].inside, ==, NULL);
		TASK_CHECK(slots->slot[i].done, ==, hilo_once_is_done(&slots->slot[i].once));
		TASK_CHECK(hilo_once_destroy(&slots->slot[i].once), ==, 0);
	}
}

struct running {
	struct slot *slot;
	struct safety_actor *actor;
};

static int slot_do(void *arg)
{
	struct running *running = arg;
	bool works = safety_choose(running->actor, 40) == 0;

	TASK_CHECK(running->slot->inside, ==, NULL);
	TASK_CHECK(running->slot->done, ==, 0);
	running->slot->inside = running->actor;
	if (safety_choose(running->actor, 4) == 0)
		test_pause();
	TASK_CHECK(running->slot->inside, ==, running->actor);
	running->slot->inside = NULL;
	running->slot->done = works;
	return works ? 0 : -EIO;
}

static int slots_run(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct slots *slots = object;
	unsigned current = load_relaxed(&slots->current) % SLOTS;
	struct running running = {&slots->slot[current], actor};
	int rc = hilo_once_run(&running.slot->once, slot_do, &running, deadline);

	if (rc == 0) {
		TASK_CHECK(running.slot->done, ==, 1);
		(void)cas_relaxed(&slots->current, &current, current + 1);
	}
	return rc;
}

static const struct safety_op ops[] = {
	{"run", slots_run, {-EIO, -ETIMEDOUT, -ECANCELED}, .weight = 1, .several = true},
};

static const struct safety_object once = {"once", .up = slots_up, .down = free, .check = slots_check,
					  SAFETY_OPS(ops)};

int main(void)
{
	test_begin();
	safety_prove(&once);
	return 0;
}
