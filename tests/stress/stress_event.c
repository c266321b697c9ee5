/* SPDX-License-Identifier: MIT */
/*
 * stress_event.c - events: no wake-up is lost, whoever has waited and why ever he has left; and a request on the
 * stack of its task is done when the event says so, and is gone then.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct shared {
	hilo_event event;
	atomic(uint64_t) sets;
};

static void *shared_up(unsigned workers)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	(void)workers;
	TASK_CHECK(shared, !=, NULL);
	return shared;
}

static void shared_down(void *object)
{
	struct shared *shared = object;

	TASK_CHECK(hilo_event_destroy(&shared->event), ==, 0);
	free(shared);
}

static int shared_wait(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct shared *shared = object;
	int rc = hilo_event_wait(&shared->event, deadline);

	(void)actor;
	if (rc == 0)
		TASK_CHECK(load_relaxed(&shared->sets), >, 0); /* what was done before it was set is seen */
	return rc;
}

static int shared_set(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct shared *shared = object;

	(void)actor, (void)deadline;
	(void)add_relaxed(&shared->sets, 1);
	return hilo_event_set(&shared->event);
}

static int shared_clear(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct shared *shared = object;

	(void)actor, (void)deadline;
	return hilo_event_clear(&shared->event);
}

static int shared_is_set(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct shared *shared = object;

	(void)actor, (void)deadline;
	return hilo_event_is_set(&shared->event) ? 0 : -EAGAIN;
}

/* Who waits though it is set is not helped. */
static void shared_wake(void *object)
{
	struct shared *shared = object;

	if (!hilo_event_is_set(&shared->event))
		TASK_CHECK(hilo_event_set(&shared->event), ==, 0);
}

/* Nobody is in it: whoever waits now finds what the last one has left. */
static void shared_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct shared *shared = object;
	int rc = hilo_event_is_set(&shared->event) ? 0 : -ETIMEDOUT;

	(void)actors, (void)count;
	TASK_CHECK(hilo_event_wait(&shared->event, HILO_NO_WAIT), ==, rc);
	TASK_CHECK(hilo_event_destroy(&shared->event), ==, 0);
}

static const struct safety_op shared_ops[] = {
	{"wait", shared_wait, {-ETIMEDOUT, -ECANCELED}, .weight = 6},
	{"set", shared_set, .weight = 2},
	{"clear", shared_clear, .weight = 3},
	{"is_set", shared_is_set, {-EAGAIN}, .weight = 1},
};

static const struct safety_object shared_event = {
	"event",
	.up = shared_up,
	.down = shared_down,
	.wake = shared_wake,
	.check = shared_check,
	SAFETY_OPS(shared_ops),
};

/* Requests that lie with those who make them, and are gone as soon as they are done. */
#define GONE 0xa5

struct request {
	hilo_event done;
	atomic(unsigned) served;
};

struct desk {
	atomic(struct request *) slots[6];
	atomic(uint64_t) made, withdrawn, served;
};

/* Its place, twice the size of what it holds: somebody may come too late. */
struct own {
	unsigned char bytes[2 * sizeof(struct request)];
	bool used;
};

static void *desk_up(unsigned workers)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	(void)workers;
	TASK_CHECK(desk, !=, NULL);
	return desk;
}

/* The place for a new request, in which nobody has written since the last one was gone. */
static struct request *own_take(struct own *own)
{
	for (size_t i = 0; own->used && i < sizeof(own->bytes); i++)
		TASK_CHECK(own->bytes[i], ==, GONE);
	own->used = true;
	memset(own->bytes, 0, sizeof(own->bytes));
	return (struct request *)own->bytes;
}

/* False: all slots are taken. */
static bool desk_post(struct desk *desk, struct request *request, unsigned *ret_slot)
{
	for (unsigned i = 0; i < array_size(desk->slots); i++) {
		struct request *nobody = NULL;

		if (cas_acq_rel(&desk->slots[i], &nobody, request)) {
			*ret_slot = i;
			return true;
		}
	}
	return false;
}

/* Who has been served without having waited for it has to wait: his request is in other hands. */
static int desk_call(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct desk *desk = object;
	struct own *own = actor->own;
	struct request *request = own_take(own), *mine = request;
	unsigned slot;
	int rc = SAFETY_SKIP;

	if (desk_post(desk, request, &slot)) {
		(void)add_relaxed(&desk->made, 1);
		rc = hilo_event_wait(&request->done, deadline);
		if (rc < 0 && cas_acq_rel(&desk->slots[slot], &mine, NULL)) {
			(void)add_relaxed(&desk->withdrawn, 1);
		} else if (rc < 0) {
			bool shielded = hilo_shield_enter() == 0;

			TASK_CHECK(hilo_event_wait(&request->done, HILO_FOREVER), ==, 0);
			if (shielded)
				TASK_CHECK(hilo_shield_leave(), ==, 0);
		}
		TASK_CHECK(load_relaxed(&request->served), ==, rc == 0 || mine != request);
	}
	memset(own->bytes, GONE, sizeof(own->bytes));
	return rc;
}

static int desk_serve(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct desk *desk = object;
	unsigned first = safety_choose(actor, array_size(desk->slots));

	(void)deadline;
	for (unsigned i = 0; i < array_size(desk->slots); i++) {
		struct request *request =
			xchg_acq_rel(&desk->slots[(first + i) % array_size(desk->slots)], NULL);

		if (!request)
			continue;
		(void)add_relaxed(&desk->served, 1);
		store_relaxed(&request->served, 1);
		return hilo_event_set(&request->done); /* it is gone */
	}
	return -EAGAIN;
}

/* All slots may hold requests of those who are patient. */
static void desk_wake(void *object)
{
	struct safety_actor nobody = {.random.state = 1};

	(void)desk_serve(object, &nobody, HILO_NO_WAIT);
}

static void desk_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct desk *desk = object;

	(void)actors, (void)count;
	TASK_CHECK(load_relaxed(&desk->made), ==,
		   load_relaxed(&desk->withdrawn) + load_relaxed(&desk->served));
}

static const struct safety_op desk_ops[] = {
	{"wait, gone then", desk_call, {-ETIMEDOUT, -ECANCELED}, .weight = 1},
	{"set", desk_serve, {-EAGAIN}, .weight = 1},
};

static const struct safety_object request_event = {
	"event of a request", .own_size = sizeof(struct own), .up = desk_up, .down = free, .wake = desk_wake,
	.check = desk_check,  SAFETY_OPS(desk_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&shared_event);
	safety_prove(&request_event);
	return 0;
}
