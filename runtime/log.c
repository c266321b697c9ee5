/* SPDX-License-Identifier: MIT */
/*
 * log.c - where log lines go.
 *
 * A caller of the user's function takes function and argument together, under a lock, and counts
 * itself in; it calls without the lock. Who replaces them waits until those that took the old pair
 * have counted themselves out, so that afterwards the old argument may be freed. The count is kept in
 * two halves used in turn, or a stream of new calls could keep the waiter waiting.
 *
 * I1  sink.lock protects all of sink; nothing is called with it held.
 * I2  Only a holder of the setters' mutex turns to the other half, and keeps the mutex until the half
 *     it left is zero. So the half that is turned to is always zero.
 * A function that is itself inside of a log call may replace the pair too: it then does not wait, as
 * it would wait for itself, and takes no mutex, as its holder may be waiting for it.
 * P1  See scheduler/base/log.h: the hook that is stored here needs only what sink.lock orders.
 */
#include <hilo/runtime/log.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>

#include "runtime/log_impl.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/log.h"

_Static_assert((int)LOG_LEVEL_ERROR == (int)HILO_LOG_ERROR && (int)LOG_LEVEL_DEBUG == (int)HILO_LOG_DEBUG,
	       "the levels of both layers are the same");

static struct {
	struct spinlock lock;
	hilo_log_fn fn; /* NULL: the default */
	void *arg;
	unsigned half;	    /* where new calls are counted */
	unsigned active[2]; /* calls that have not returned */
} sink;

static pthread_mutex_t sink_setters = PTHREAD_MUTEX_INITIALIZER;

/* Log calls of this thread that are inside of the user's function. */
static _Thread_local unsigned log_depth;

static void log_deliver(int level, const char *line)
{
	hilo_log_fn fn;
	void *arg;
	unsigned half;

	spin_lock(&sink.lock);
	fn = sink.fn;
	arg = sink.arg;
	half = sink.half;
	sink.active[half]++;
	spin_unlock(&sink.lock);

	log_depth++;
	if (fn)
		fn((enum hilo_log_level)level, line, arg);
	else
		hilo__log_stderr(level, line);
	log_depth--;

	spin_lock(&sink.lock);
	sink.active[half]--;
	spin_unlock(&sink.lock);
}

static bool sink_is_used(unsigned half)
{
	bool used;

	spin_lock(&sink.lock);
	used = sink.active[half] != 0;
	spin_unlock(&sink.lock);
	return used;
}

static void sink_replace(hilo_log_fn fn, void *arg, unsigned turn)
{
	spin_lock(&sink.lock);
	sink.fn = fn;
	sink.arg = arg;
	sink.half ^= turn;
	spin_unlock(&sink.lock);
	store_release(&hilo__log_hook, log_deliver); /* P1 */
}

void hilo_log_set(hilo_log_fn fn, void *arg)
{
	unsigned left;

	if (log_depth) {
		sink_replace(fn, arg, 0);
		return;
	}
	pthread_mutex_lock(&sink_setters);
	left = sink.half; /* only changed by holders of the mutex, I2 */
	sink_replace(fn, arg, 1);
	while (sink_is_used(left))
		sched_yield();
	pthread_mutex_unlock(&sink_setters);
}

void hilo__log(enum hilo_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hilo__log_vwrite((int)level, format, args);
	va_end(args);
}
