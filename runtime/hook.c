/* SPDX-License-Identifier: MIT */
/*
 * hook.c - functions of the user's that may be replaced at any time.
 *
 * A caller takes function and argument together, under a lock, and counts himself in; he calls without
 * the lock. Who replaces them waits until those that took the old pair have counted themselves out, so
 * that afterwards the old argument may be freed. The count is kept in two halves used in turn, or a stream
 * of new calls could keep the waiter waiting.
 *
 * I1  hook.lock protects all of the hook; nothing is called with it held.
 * I2  Only a holder of the setters' mutex turns to the other half, and keeps the mutex until the half
 *     it left is zero. So the half that is turned to is always zero.
 * A function that is itself inside of a call may replace pairs too: it then does not wait, as it would wait
 * for itself, and takes no mutex, as its holder may be waiting for it. That goes for all hooks together: two
 * that are each inside of one and replace the other would wait for each other.
 */
#include "runtime/hook_impl.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

static pthread_mutex_t hook_setters = PTHREAD_MUTEX_INITIALIZER;

/* Calls of this thread that are inside of a user's function. */
static _Thread_local unsigned hook_depth;

void hilo__hook_begin(struct hook *hook, struct hook_call *call)
{
	spin_lock(&hook->lock);
	call->fn = hook->fn;
	call->arg = hook->arg;
	call->half = hook->half;
	hook->active[call->half]++;
	spin_unlock(&hook->lock);
	hook_depth++;
}

void hilo__hook_end(struct hook *hook, const struct hook_call *call)
{
	hook_depth--;
	spin_lock(&hook->lock);
	hook->active[call->half]--;
	spin_unlock(&hook->lock);
}

static bool hook_is_used(struct hook *hook, unsigned half)
{
	bool used;

	spin_lock(&hook->lock);
	used = hook->active[half] != 0;
	spin_unlock(&hook->lock);
	return used;
}

/* Returns the half that was in use. */
static unsigned hook_store(struct hook *hook, hook_fn fn, void *arg, unsigned turn)
{
	unsigned left;

	spin_lock(&hook->lock);
	left = hook->half;
	hook->fn = fn;
	hook->arg = arg;
	hook->half ^= turn;
	spin_unlock(&hook->lock);
	return left;
}

void hilo__hook_replace(struct hook *hook, hook_fn fn, void *arg)
{
	unsigned left;

	if (hook_depth) {
		(void)hook_store(hook, fn, arg, 0);
		return;
	}
	pthread_mutex_lock(&hook_setters);
	left = hook_store(hook, fn, arg, 1); /* only changed by holders of the mutex, I2 */
	while (hook_is_used(hook, left))
		sched_yield();
	pthread_mutex_unlock(&hook_setters);
}
