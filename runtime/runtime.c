/* SPDX-License-Identifier: MIT */
/* runtime.c - a runtime as an object: starting it, ending it, what it tells of itself. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/config_impl.h"
#include "runtime/debug_impl.h"
#include "runtime/exception_impl.h"
#include "runtime/fd_impl.h"
#include "runtime/run_impl.h"
#include "runtime/signal_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/forked.h"

/* What the kernel is told to end at the end of a runtime gets that long at least. */
#define KERNEL_GRACE HILO_SECOND

static void overflow_describe(struct fiber *fiber, char *buf, size_t size)
{
	struct hilo_task *task = fiber->task;
	const char *name =
		task ? load_relaxed(&task->name) : NULL; /* relaxed: a report from a signal handler */

	if (!task)
		(void)snprintf(buf, size, "no task");
	else
		(void)snprintf(buf, size, "task %s%s(#%llu), entry %p", name ? name : "", name ? " " : "",
			       (unsigned long long)task->id, (void *)(uintptr_t)task->entry);
}

/* In a signal handler, on any thread. */
static struct fiber *overflow_running(void)
{
	return thread_self()->fiber; /* NULL in a plain thread, the root in a callback */
}

/* Once: the workers of another runtime may be reading them. */
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void hooks_set(void)
{
	hilo__on_lost_failure = hilo__exception_task;
	hilo__on_slow = hilo__debug_slow;
	hilo__overflow_describe = overflow_describe;
	hilo__overflow_running = overflow_running;
	hilo__locks_find();
}

static int runtime_start(hilo_runtime *runtime, const hilo_opts *opts)
{
	bool print;
	int rc = hilo__config_read(runtime, opts, &print);

	if (rc == 0)
		rc = hilo__scheduler_start(runtime);
	if (rc == 0 && print)
		hilo__config_log(runtime);
	return rc;
}

int hilo__runtime_new(const hilo_opts *opts, bool spare_later, hilo_runtime **ret)
{
	struct thread *self = thread_self();
	hilo_runtime *runtime;
	int rc;

	if (HILO__UNLIKELY(load_relaxed(&hilo__forked))) /* relaxed: set before there was another thread */
		return hilo_fail(-EPERM,
				 "this process was forked while a runtime ran: it can only call exec");
	/* So that this thread needs no memory any more to wait, for a task or for the end. */
	if (!self->loop && !hilo__thread_record(self))
		return -ENOMEM;
	runtime = hilo__aligned_alloc(_Alignof(hilo_runtime), sizeof(*runtime));
	if (!runtime)
		return -ENOMEM;
	memset(runtime, 0, sizeof(*runtime));
	hilo__error_init();
	(void)pthread_once(&hooks_once, hooks_set);
	runtime->spare_later = spare_later;
	rc = runtime_start(runtime, opts);
	if (rc < 0)
		hilo__free(runtime);
	else
		*ret = runtime;
	return rc;
}

int hilo_runtime_new(const hilo_opts *opts, hilo_runtime **ret)
{
	return hilo__runtime_new(opts, false, ret);
}

/*
 * [closing thread] The workers leave, callbacks end, nothing is left but the object. @deadline is for what only the
 * kernel can end; it gets a moment in any case.
 */
static void runtime_close_rest(hilo_runtime *runtime, hilo_time deadline)
{
	hilo_time least = hilo_after(KERNEL_GRACE);

	deadline = deadline < least ? least : deadline;
	hilo__scheduler_stop(runtime, deadline);
	hilo__runtime_end_signals(runtime);
	hilo__debug_tell_calls(runtime);
	hilo__scheduler_end(runtime, deadline);
	hilo__runtime_free_executors(runtime);
	hilo__runtime_free_readers(runtime);
	hilo__runtime_free_signals(runtime);
	hilo__debug_tell_rest(runtime);
	store_release(&runtime->phase, PHASE_CLOSED); /* pairs with runtime_is_closed */
}

int hilo__runtime_end(hilo_runtime *runtime, hilo_time deadline)
{
	int rc;

	if (runtime->debug && load_relaxed(&runtime->phase) == PHASE_OPEN) /* relaxed: we alone close it */
		hilo__report_tasks(runtime, "is left over, and is cancelled");
	rc = hilo__scheduler_close(runtime, deadline);
	if (rc == 0)
		rc = hilo__runtime_close_executors(runtime, deadline);
	if (rc == 0) {
		runtime_close_rest(runtime, deadline);
	} else if (rc == -ETIMEDOUT) {
		hilo__report_tasks(runtime, "did not end at shutdown");
		hilo__runtime_report_executors(runtime);
	}
	TRACE_SAVE();
	return rc;
}

/* [any] Nobody can be in it any more; what has happened in it is visible. */
static bool runtime_is_closed(const hilo_runtime *runtime)
{
	return load_acquire(&((hilo_runtime *)(uintptr_t)runtime)->phase) ==
	       PHASE_CLOSED; /* pairs with runtime_close_rest */
}

int hilo_runtime_close(hilo_runtime *runtime, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc;

	if (!runtime || runtime_is_closed(runtime))
		return 0;
	if (thread_is_inside(self, runtime) || hilo__runtime_has_executor(runtime, self->pool))
		return hilo_fail(-EDEADLK, "a runtime is not ended from inside");
	if (!hilo__run_end_begin(runtime))
		return runtime_is_closed(runtime)
			       ? 0
			       : hilo_fail(-EBUSY, "somebody runs the runtime, or ends it");
	rc = hilo__runtime_end(runtime, deadline);
	if (rc < 0)
		hilo__run_end_failed(runtime);
	return rc;
}

void hilo__runtime_delete(hilo_runtime *runtime)
{
	hilo__scheduler_free(runtime);
	hilo__free(runtime);
}

int hilo_runtime_free(hilo_runtime *runtime)
{
	int rc;

	if (!runtime)
		return 0;
	rc = hilo_runtime_close(runtime, hilo_after(runtime->shutdown));
	if (rc == 0)
		hilo__runtime_delete(runtime);
	return rc;
}

int hilo_runtime_is_closed(const hilo_runtime *runtime)
{
	return runtime && runtime_is_closed(runtime);
}

int hilo_runtime_get_debug(const hilo_runtime *runtime)
{
	return runtime && runtime->debug;
}

hilo_runtime *hilo_runtime_current(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->loop->runtime : NULL;
}

int hilo_task_foreach(hilo_runtime *runtime, void (*fn)(hilo_task *task, void *arg), void *arg)
{
	if (!runtime || !fn)
		return hilo_fail(-EINVAL, "hilo_task_foreach: %s is NULL", runtime ? "fn" : "runtime");
	hilo__scheduler_foreach(runtime, fn, arg);
	return 0;
}

int hilo_runtime_get_stats(const hilo_runtime *runtime, unsigned index, hilo_worker_stats *stats)
{
	hilo_worker_stats now = {.size = sizeof(now)};
	struct poller_counts *counts;
	struct loop_stats *from;

	if (!runtime || !stats || index >= runtime_loops(runtime))
		return -EINVAL;
	from = &runtime->loops[index]->stats;
	now.switches = load_relaxed(&runtime->loops[index]->tick); /* relaxed, all of them: statistics */
	now.spawned = load_relaxed(&from->spawned);
	now.completed = load_relaxed(&from->completed);
	now.steals = load_relaxed(&from->steals);
	now.stolen = load_relaxed(&from->stolen);
	now.wakes = load_relaxed(&from->wakes);
	now.sleeps = load_relaxed(&from->sleeps);
	now.polls = load_relaxed(&from->polls);
	now.timers = load_relaxed(&from->timers);
	counts = &runtime->loops[index]->poller.counts;
	now.operations = load_relaxed(&counts->operations); /* relaxed, all of them: as above */
	now.watches = load_relaxed(&counts->polls);
	now.given_up = load_relaxed(&counts->given_up);
	now.poll_calls = load_relaxed(&counts->calls);
	return SIZED_OUT(hilo_worker_stats, stats, &now, timers);
}
