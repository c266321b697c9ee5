/* SPDX-License-Identifier: MIT */
/*
 * stress_semaphore.c - permits under cancels and deadlines: none is lost, none is doubled, there are never more out
 * than there are; and a semaphore on the stack of the one that waits for it.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

#define PERMITS 20
#define MOST 3 /* in one call */

struct permits {
	hilo_semaphore semaphore;
	atomic(int) out;
};

/* What an actor holds. */
struct own {
	unsigned held;
};

static void *permits_up(unsigned workers)
{
	struct permits *permits = calloc(1, sizeof(*permits));

	(void)workers;
	TASK_CHECK(permits, !=, NULL);
	TASK_CHECK(hilo_semaphore_init(&permits->semaphore, PERMITS, PERMITS), ==, 0);
	return permits;
}

static void permits_down(void *object)
{
	struct permits *permits = object;

	TASK_CHECK(hilo_semaphore_destroy(&permits->semaphore), ==, 0);
	free(permits);
}

static int got(struct permits *permits, struct own *own, unsigned n, int rc)
{
	if (rc < 0)
		return rc;
	own->held += n;
	TASK_CHECK(add_relaxed(&permits->out, (int)n) + (int)n, <=, PERMITS);
	return rc;
}

/* Who holds some does not wait for more: all might. */
static int permits_acquire(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct permits *permits = object;
	struct own *own = actor->own;
	unsigned n = 1 + safety_choose(actor, MOST);

	if (own->held)
		return SAFETY_SKIP;
	return got(permits, own, n, hilo_semaphore_acquire(&permits->semaphore, n, deadline));
}

static int permits_try(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct permits *permits = object;
	struct own *own = actor->own;
	unsigned n = 1 + safety_choose(actor, MOST);

	(void)deadline;
	return got(permits, own, n, hilo_semaphore_try_acquire(&permits->semaphore, n));
}

/* Either of two numbers of permits, in two places of the same line. */
static int permits_select(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct permits *permits = object;
	struct own *own = actor->own;
	unsigned n[2] = {1 + safety_choose(actor, MOST), 1 + safety_choose(actor, MOST)};
	hilo_select_case cases[] = {HILO_SELECT_ACQUIRE(&permits->semaphore, n[0]),
				    HILO_SELECT_ACQUIRE(&permits->semaphore, n[1])};
	int rc;

	if (own->held)
		return SAFETY_SKIP;
	rc = hilo_select(cases, 2, deadline);
	return rc < 0 ? rc : got(permits, own, n[rc], cases[rc].code);
}

static int permits_give(struct permits *permits, struct safety_actor *actor)
{
	struct own *own = actor->own;
	unsigned n = own->held ? 1 + safety_choose(actor, own->held) : 0;

	if (!n)
		return SAFETY_SKIP;
	own->held -= n;
	(void)sub_relaxed(&permits->out, (int)n);
	return hilo_semaphore_release(&permits->semaphore, n);
}

/* At times more than can be out. */
static int permits_release(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct permits *permits = object;

	(void)deadline;
	if (safety_choose(actor, 16) == 0)
		return hilo_semaphore_release(&permits->semaphore, PERMITS + 1);
	return permits_give(permits, actor);
}

static int permits_value(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct permits *permits = object;

	(void)actor, (void)deadline;
	TASK_CHECK(hilo_semaphore_value(&permits->semaphore), <=, PERMITS);
	return 0;
}

static void permits_leave(void *object, struct safety_actor *actor)
{
	while (permits_give(object, actor) != SAFETY_SKIP)
		;
}

static void permits_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct permits *permits = object;

	(void)actors, (void)count;
	TASK_CHECK(hilo_semaphore_value(&permits->semaphore), ==, PERMITS);
	TASK_CHECK(load_relaxed(&permits->out), ==, 0);
}

static const struct safety_op permits_ops[] = {
	{"acquire", permits_acquire, {-ETIMEDOUT, -ECANCELED}, .weight = 6},
	{"select", permits_select, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"try_acquire", permits_try, {-EAGAIN}, .weight = 1},
	{"release", permits_release, {-EOVERFLOW}, .weight = 6},
	{"value", permits_value, .weight = 1},
};

static const struct safety_object permits_semaphore = {
	"semaphore",
	.own_size = sizeof(struct own),
	.up = permits_up,
	.down = permits_down,
	.leave = permits_leave,
	.check = permits_check,
	SAFETY_OPS(permits_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&permits_semaphore);
	return 0;
}
