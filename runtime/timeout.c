/* SPDX-License-Identifier: MIT */
/*
 * timeout.c - blocks that end at a time, and sections that are shielded until one. A timer fires the scope
 * (scheduler/scope.h), nothing else happens when the time comes; what the scope means is decided by the task.
 *
 * Rejected: the earliest of all limits as the deadline of every wait. It spares the timer of a block that
 * never waits, but the limit could not be moved by another task while this one waits, and each kind of wait
 * would have to tell its own deadline from that of a block.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/timeout.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "scheduler/reason.h"
#include "scheduler/scope.h"
#include "scheduler/standin.h"

/* What a hilo_timeout holds. */
struct timeout {
	int *code; /* of the block, for the macros */
	struct scope scope;
	struct timer timer;
	struct hilo_loop *host; /* whose wheel the timer is on */
	atomic(hilo_time) when;
};

_Static_assert(sizeof(struct timeout) <= sizeof(hilo_timeout), "the caller's place is large enough");

static struct timeout *timeout_of(const hilo_timeout *place)
{
	return (struct timeout *)(uintptr_t)place;
}

/* [any, the wheel's lock held] */
static void timeout_fire(struct timer *timer)
{
	hilo__scope_fire(&container_of(timer, struct timeout, timer)->scope, REASON_TIMEOUT);
}

static int timeout_enter(const char *call, hilo_timeout *place, hilo_time when, bool shields)
{
	struct timeout *timeout = timeout_of(place);
	struct thread *self = thread_self();

	if (!place)
		return hilo_fail(-EINVAL, "%s: there is no place for it", call);
	if (!self->loop || !self->task)
		return hilo_fail(-EDEADLK, "%s: only a task can", call);
	timeout->host = self->loop->host;
	atomic_setup(&timeout->when, when);
	hilo__scope_enter(&timeout->scope, shields);
	timer_init(&timeout->timer, timeout_fire);
	if (when == HILO_FOREVER)
		return 0;
	hilo__timer_add(&timeout->host->timers, &timeout->timer, when);
	hilo__standin_armed(self->loop, timeout->host);
	return 0;
}

int hilo_timeout_enter(hilo_timeout *timeout, hilo_time when)
{
	return timeout_enter("hilo_timeout_enter", timeout, when, false);
}

int hilo_grace_enter(hilo_timeout *grace, hilo_time when)
{
	return timeout_enter("hilo_grace_enter", grace, when, true);
}

/* The block has ended with -ETIMEDOUT: what it has waited for then, if it has. */
static HILO__COLD int timeout_say(const struct scope *scope)
{
	if (scope->waited == WAIT_NOTHING)
		return hilo__error_own(-ETIMEDOUT);
	if (scope->waited == WAIT_FD)
		return hilo__error_own_fd(-ETIMEDOUT, (int)(intptr_t)scope->object);
	return hilo__error_own_wait(-ETIMEDOUT, (enum wait_kind)scope->waited, NULL);
}

int hilo_timeout_leave(hilo_timeout *place, int code)
{
	struct timeout *timeout = timeout_of(place);

	if (!place)
		return hilo_fail(-EINVAL, "hilo_timeout_leave: timeout is NULL");
	(void)MUTANT(150, hilo__timer_del(&timeout->host->timers, &timeout->timer), false);
	hilo__scope_leave(&timeout->scope);
	if (code != -ECANCELED || timeout->scope.shields || !scope_has_fired(&timeout->scope) ||
	    task_is_interrupted(timeout->scope.task))
		return code;
	return timeout_say(&timeout->scope);
}

int hilo_timeout_reschedule(hilo_timeout *place, hilo_time when)
{
	struct timeout *timeout = timeout_of(place);

	if (!place)
		return hilo_fail(-EINVAL, "hilo_timeout_reschedule: timeout is NULL");
	(void)hilo__timer_del(&timeout->host->timers, &timeout->timer);
	if (scope_has_fired(&timeout->scope))
		return HILO_EINVALSTATE;
	store_relaxed(&timeout->when, when); /* relaxed: a number */
	if (when == HILO_FOREVER)
		return 0;
	hilo__timer_add(&timeout->host->timers, &timeout->timer, when);
	hilo__standin_armed(thread_self()->loop, timeout->host);
	return 0;
}

hilo_time hilo_timeout_when(const hilo_timeout *place)
{
	return place ? load_relaxed(&timeout_of(place)->when) : HILO_FOREVER; /* relaxed: a number */
}

int hilo_timeout_expired(const hilo_timeout *place)
{
	return place && scope_has_fired(&timeout_of(place)->scope);
}
