/* SPDX-License-Identifier: MIT */
/* Events, semaphores and barriers: who goes on, in which order, and what a cancel leaves behind. */
#include "tests/conformance/conformance.h"

/* One that comes after @start ms, waits for so long at most if @limit is not 0, and needs @ms for itself then. */
struct comer {
	const char *name;
	int start;
	int ms;
	int limit;
	void *object;
};

#define COMER(fn, ...) hilo_spawn(fn, &(struct comer){__VA_ARGS__})

static hilo_time limit_of(const struct comer *self)
{
	return self->limit ? after(self->limit) : HILO_FOREVER;
}

static int waits_for_event(void *arg)
{
	const struct comer *self = arg;
	int rc;

	OK(sleep_for(self->start));
	rc = hilo_event_wait(self->object, limit_of(self));
	if (rc == 0)
		OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

static void event_wakes_all(void)
{
	hilo_event event = HILO_EVENT_INIT;
	hilo_task *a = COMER(waits_for_event, "a", 1, 1, 0, &event);
	hilo_task *b = COMER(waits_for_event, "b", 2, 2, 0, &event);

	OK(sleep_for(5));
	say("set: %d", hilo_event_is_set(&event));
	OK(hilo_event_set(&event));
	say("set: %d", hilo_event_is_set(&event));
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_event_wait(&event, HILO_FOREVER));
	say("at once");
}

static void event_cleared_at_once(void)
{
	hilo_event event = HILO_EVENT_INIT;
	hilo_task *a = COMER(waits_for_event, "a", 0, 1, 0, &event);
	hilo_task *b = COMER(waits_for_event, "b", 3, 1, 5, &event);

	OK(sleep_for(2));
	OK(hilo_event_set(&event));
	OK(hilo_event_clear(&event));
	OK(hilo_join(a, HILO_FOREVER));
	say_end("b", hilo_join(b, HILO_FOREVER));
}

static void event_waiter_cancelled(void)
{
	hilo_event event = HILO_EVENT_INIT;
	hilo_task *a = COMER(waits_for_event, "a", 0, 1, 0, &event);
	hilo_task *b = COMER(waits_for_event, "b", 0, 1, 0, &event);

	OK(sleep_for(2));
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	OK(hilo_event_set(&event));
	OK(hilo_join(b, HILO_FOREVER));
}

static int visits(void *arg)
{
	const struct comer *self = arg;
	int rc;

	OK(sleep_for(self->start));
	rc = hilo_semaphore_acquire(self->object, 1, limit_of(self));
	say_end(self->name, rc);
	if (rc < 0)
		return rc;
	OK(sleep_for(self->ms));
	OK(hilo_semaphore_release(self->object, 1));
	say("%s is out", self->name);
	return 0;
}

static void semaphore_in_order(void)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(1);
	hilo_task *a = COMER(visits, "a", 0, 10, 0, &semaphore),
		  *b = COMER(visits, "b", 1, 10, 0, &semaphore);
	hilo_task *c = COMER(visits, "c", 2, 10, 0, &semaphore);

	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
	say("full: %d", hilo_semaphore_value(&semaphore) == 0);
}

static void semaphore_two_inside(void)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2);
	hilo_task *a = COMER(visits, "a", 0, 10, 0, &semaphore),
		  *b = COMER(visits, "b", 1, 12, 0, &semaphore);
	hilo_task *c = COMER(visits, "c", 2, 10, 0, &semaphore),
		  *d = COMER(visits, "d", 3, 10, 0, &semaphore);

	OK(sleep_for(5));
	say("full: %d", hilo_semaphore_value(&semaphore) == 0);
	OK(hilo_join(a, HILO_FOREVER));
	OK(hilo_join(b, HILO_FOREVER));
	OK(hilo_join(c, HILO_FOREVER));
	OK(hilo_join(d, HILO_FOREVER));
}

static void semaphore_waiter_leaves(void)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(1);
	hilo_task *a = COMER(visits, "a", 0, 10, 0, &semaphore),
		  *b = COMER(visits, "b", 1, 10, 0, &semaphore);
	hilo_task *c = COMER(visits, "c", 2, 10, 4, &semaphore),
		  *d = COMER(visits, "d", 3, 10, 0, &semaphore);

	OK(sleep_for(5));
	ask_to_cancel("b", b);
	say_end("b", hilo_join(b, HILO_FOREVER));
	OK(hilo_join(a, HILO_FOREVER));
	OK(sleep_for(1));
	say_end("c", hilo_join(c, HILO_FOREVER));
	OK(hilo_join(d, HILO_FOREVER));
}

static void semaphore_released_too_often(void)
{
	hilo_semaphore bounded, plain = HILO_SEMAPHORE_INIT(1);

	OK(hilo_semaphore_init(&bounded, 1, 1));
	say("refused: %d", hilo_semaphore_release(&bounded, 1) < 0);
	OK(hilo_semaphore_acquire(&bounded, 1, HILO_FOREVER));
	say("refused: %d", hilo_semaphore_release(&bounded, 1) < 0);
	say("refused: %d", hilo_semaphore_release(&plain, 1) < 0);
	OK(hilo_semaphore_acquire(&plain, 1, HILO_FOREVER));
	OK(hilo_semaphore_acquire(&plain, 1, HILO_FOREVER));
	say("full: %d", hilo_semaphore_value(&plain) == 0);
}

static int arrives(void *arg)
{
	const struct comer *self = arg;
	int rc;

	OK(sleep_for(self->start));
	rc = hilo_barrier_wait(self->object, limit_of(self));
	if (rc >= 0)
		OK(sleep_for(self->ms));
	say_end(self->name, rc);
	return rc;
}

static void say_barrier(const hilo_barrier *barrier)
{
	say("waiting: %u, broken: %d", hilo_barrier_n_waiting(barrier), hilo_barrier_broken(barrier));
}

static void barrier_passed_twice(void)
{
	hilo_barrier barrier;

	OK(hilo_barrier_init(&barrier, 3, NULL, NULL));
	for (int round = 0; round < 2; round++) {
		hilo_task *a = COMER(arrives, "a", 3, 3, 0, &barrier);
		hilo_task *b = COMER(arrives, "b", 1, 1, 0, &barrier);
		hilo_task *c = COMER(arrives, "c", 2, 2, 0, &barrier);

		OK(sleep_for(2));
		(void)hilo_join(b, HILO_FOREVER);
		say_barrier(&barrier);
		(void)hilo_join(c, HILO_FOREVER);
		(void)hilo_join(a, HILO_FOREVER);
	}
}

static void barrier_party_leaves(void)
{
	hilo_barrier barrier;
	hilo_task *a, *b, *c;

	OK(hilo_barrier_init(&barrier, 2, NULL, NULL));
	a = COMER(arrives, "a", 0, 1, 0, &barrier);
	OK(sleep_for(1));
	say_barrier(&barrier);
	ask_to_cancel("a", a);
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_barrier(&barrier);
	b = COMER(arrives, "b", 0, 1, 3, &barrier);
	say_end("b", hilo_join(b, HILO_FOREVER));
	say_barrier(&barrier);
	b = COMER(arrives, "b", 0, 1, 0, &barrier);
	c = COMER(arrives, "c", 2, 2, 0, &barrier);
	(void)hilo_join(b, HILO_FOREVER);
	(void)hilo_join(c, HILO_FOREVER);
}

static void barrier_aborted(void)
{
	hilo_barrier barrier;
	hilo_task *a;

	OK(hilo_barrier_init(&barrier, 2, NULL, NULL));
	a = COMER(arrives, "a", 0, 1, 0, &barrier);
	OK(sleep_for(2));
	OK(hilo_barrier_abort(&barrier));
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_barrier(&barrier);
	say_end("wait", hilo_barrier_wait(&barrier, HILO_FOREVER));
	OK(hilo_barrier_reset(&barrier));
	say_barrier(&barrier);
}

static void barrier_reset_while_waited_for(void)
{
	hilo_barrier barrier;
	hilo_task *a;

	OK(hilo_barrier_init(&barrier, 3, NULL, NULL));
	a = COMER(arrives, "a", 0, 1, 0, &barrier);
	OK(sleep_for(2));
	OK(hilo_barrier_reset(&barrier));
	say_end("a", hilo_join(a, HILO_FOREVER));
	say_barrier(&barrier);
	say("parties: %u", hilo_barrier_parties(&barrier));
}

TOPIC(sync_objects, SCENARIO(event_wakes_all), SCENARIO(event_cleared_at_once),
      SCENARIO(event_waiter_cancelled), SCENARIO(semaphore_in_order), SCENARIO(semaphore_two_inside),
      SCENARIO(semaphore_waiter_leaves), SCENARIO(semaphore_released_too_often),
      SCENARIO(barrier_passed_twice), SCENARIO(barrier_party_leaves), SCENARIO(barrier_aborted),
      SCENARIO(barrier_reset_while_waited_for));
