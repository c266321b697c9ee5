/* SPDX-License-Identifier: MIT */
/*
 * stress_mutex.c - mutexes: one at a time has it, and it is not lost to who is cancelled or late; conditions: no
 * notification is lost, and whoever comes back has the mutex.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

struct guarded {
	hilo_mutex mutex;
	hilo_condition condition;
	struct safety_actor *inside; /* under the mutex, as the rest */
	uint64_t entered, items, put, taken;
	atomic(uint64_t) left;
	struct guarded *aside; /* another one, which nobody waits for: so it is mostly free for who tries */
};

static struct guarded *guarded_new(unsigned flags)
{
	struct guarded *guarded = calloc(1, sizeof(*guarded));

	TASK_CHECK(guarded, !=, NULL);
	TASK_CHECK(hilo_mutex_init(&guarded->mutex, flags), ==, 0);
	return guarded;
}

static void *guarded_up_with(unsigned flags)
{
	struct guarded *guarded = guarded_new(flags);

	guarded->aside = guarded_new(flags);
	return guarded;
}

static void *guarded_up(unsigned workers)
{
	(void)workers;
	return guarded_up_with(0);
}

static void *guarded_up_fair(unsigned workers)
{
	(void)workers;
	return guarded_up_with(HILO_MUTEX_FAIR);
}

static void guarded_down(void *object)
{
	struct guarded *guarded = object;

	if (guarded->aside)
		guarded_down(guarded->aside);
	TASK_CHECK(hilo_condition_destroy(&guarded->condition), ==, 0);
	TASK_CHECK(hilo_mutex_destroy(&guarded->mutex), ==, 0);
	free(guarded);
}

static void guarded_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct guarded *guarded = object;

	if (guarded->aside)
		guarded_check(guarded->aside, actors, count);
	TASK_CHECK(hilo_mutex_try_lock(&guarded->mutex), ==, 0);
	TASK_CHECK(guarded->inside, ==, NULL);
	TASK_CHECK(guarded->entered, ==, load_relaxed(&guarded->left));
	TASK_CHECK(guarded->put, ==, guarded->taken + guarded->items);
	TASK_CHECK(hilo_mutex_unlock(&guarded->mutex), ==, 0);
	TASK_CHECK(hilo_condition_destroy(&guarded->condition), ==, 0);
	TASK_CHECK(hilo_mutex_destroy(&guarded->mutex), ==, 0);
}

static void guarded_enter(struct guarded *guarded, struct safety_actor *actor)
{
	TASK_CHECK(guarded->inside, ==, NULL);
	guarded->inside = actor;
	guarded->entered++;
}

static void guarded_leave(struct guarded *guarded, const struct safety_actor *actor)
{
	TASK_CHECK(guarded->inside, ==, actor);
	guarded->inside = NULL;
	(void)add_relaxed(&guarded->left, 1);
	TASK_CHECK(hilo_mutex_unlock(&guarded->mutex), ==, 0);
}

static int guarded_lock(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct guarded *guarded = object;
	int rc = hilo_mutex_lock(&guarded->mutex, deadline);

	if (rc < 0)
		return rc;
	guarded_enter(guarded, actor);
	if (safety_choose(actor, 8) == 0)
		test_pause(); /* others come meanwhile, and have to wait */
	guarded_leave(guarded, actor);
	return 0;
}

static int guarded_try_lock(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct guarded *guarded = safety_choose(actor, 2) ? object : ((struct guarded *)object)->aside;
	int rc = hilo_mutex_try_lock(&guarded->mutex);

	(void)deadline;
	if (rc < 0)
		return rc;
	guarded_enter(guarded, actor);
	guarded_leave(guarded, actor);
	return 0;
}

static const struct safety_op mutex_ops[] = {
	{"lock", guarded_lock, {-ETIMEDOUT, -ECANCELED}, .weight = 4},
	{"try_lock", guarded_try_lock, {-EAGAIN}, .weight = 1},
};

static const struct safety_object mutex = {"mutex", .up = guarded_up, .down = guarded_down,
					   .check = guarded_check, SAFETY_OPS(mutex_ops)};

static const struct safety_object mutex_fair = {"fair mutex", .up = guarded_up_fair, .down = guarded_down,
						.check = guarded_check, SAFETY_OPS(mutex_ops)};

/* ---- conditions: items that are put and taken under the mutex ---- */

static int has_items(void *arg)
{
	const struct guarded *guarded = arg;

	return guarded->items > 0;
}

static int guarded_take(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct guarded *guarded = object;
	int rc = hilo_mutex_lock(&guarded->mutex, deadline);

	if (rc < 0)
		return rc;
	rc = hilo_condition_wait_for(&guarded->condition, &guarded->mutex, has_items, guarded, deadline);
	guarded_enter(guarded, actor);
	if (rc == 0) {
		guarded->items--;
		guarded->taken++;
	}
	guarded_leave(guarded, actor);
	return rc;
}

static int guarded_put(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct guarded *guarded = object;
	int rc = hilo_mutex_lock(&guarded->mutex, deadline);
	bool inside = safety_choose(actor, 2);

	if (rc < 0)
		return rc;
	guarded_enter(guarded, actor);
	guarded->items++;
	guarded->put++;
	if (safety_choose(actor, 16) == 0)
		test_pause(); /* others come meanwhile, and have to wait for the mutex */
	if (inside)
		(void)hilo_condition_notify(&guarded->condition, 1);
	guarded_leave(guarded, actor);
	if (!inside)
		(void)hilo_condition_notify(&guarded->condition, 1);
	return 0;
}

static int guarded_notify_all(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct guarded *guarded = object;

	(void)actor, (void)deadline;
	(void)hilo_condition_notify_all(&guarded->condition);
	return 0;
}

/* Who waits though there is an item was not notified, and is not now. */
static void guarded_wake(void *object)
{
	struct guarded *guarded = object;

	TASK_CHECK(hilo_mutex_lock(&guarded->mutex, HILO_FOREVER), ==, 0);
	if (guarded->items == 0) {
		guarded->items++;
		guarded->put++;
		(void)hilo_condition_notify(&guarded->condition, 1);
	}
	TASK_CHECK(hilo_mutex_unlock(&guarded->mutex), ==, 0);
}

static const struct safety_op condition_ops[] = {
	{"take", guarded_take, {-ETIMEDOUT, -ECANCELED}, .weight = 8, .several = true},
	{"put", guarded_put, {-ETIMEDOUT, -ECANCELED}, .weight = 7, .several = true},
	{"notify_all", guarded_notify_all, .weight = 1},
};

static const struct safety_object condition = {
	"condition",	      .up = guarded_up,	      .down = guarded_down,
	.wake = guarded_wake, .check = guarded_check, SAFETY_OPS(condition_ops)};

int main(void)
{
	test_begin();
	safety_prove(&mutex);
	safety_prove(&mutex_fair);
	safety_prove(&condition);
	return 0;
}
