/* SPDX-License-Identifier: MIT */
/*
 * gather.c - waiting for several tasks at once: which of them, for how long, and whose they are afterwards.
 *
 * The wait itself is in several.c. A node there costs more than a short task, so hilo_gather waits for one
 * after the other at first: after 100 us most of what is short has ended, and what has not is worth a node.
 * If no failure is to end the wait it goes on like that, and without memory for nodes, too, but then looks
 * for failures every 10 ms.
 *
 * Rejected: a node for each at once. That doubles the price of 1000 tasks that do nothing.
 */
#include <hilo/runtime/gather.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <limits.h>

#include "runtime/runtime_impl.h"
#include "runtime/several_impl.h"
#include "scheduler/reason.h"

/* How long hilo_gather waits for one after the other. */
#define GATHER_SOON (100 * HILO_MICROSECOND)
/* Between two looks for failures without nodes. */
#define GATHER_LOOK (10 * HILO_MILLISECOND)

static struct completion *task_at(const void *array, size_t i)
{
	hilo_task *task = ((hilo_task *const *)array)[i];

	return task ? &task->done : NULL;
}

static struct several_of several_tasks(hilo_task *const *tasks, size_t n)
{
	return (struct several_of){task_at, tasks, n, WAIT_TASKS};
}

/* What the caller has done wrong: -EINVAL, -EDEADLK; else 0. */
static int several_check(const char *call, hilo_task *const *tasks, size_t n)
{
	int rc = hilo__several_check_caller(call);

	return rc < 0 ? rc : hilo__several_check_tasks(call, tasks, n);
}

static bool has_null(hilo_task *const *tasks, size_t n)
{
	while (n > 0)
		if (!tasks[--n])
			return true;
	return false;
}

int hilo_wait(hilo_task *const *tasks, size_t n, enum hilo_wait_until until, hilo_time deadline)
{
	static const enum several_stop stop[] = {
		[HILO_ALL_COMPLETED] = STOP_NEVER,
		[HILO_FIRST_COMPLETED] = STOP_ENDED,
		[HILO_FIRST_EXCEPTION] = STOP_EXCEPTION,
	};
	const struct several_of all = several_tasks(tasks, n);
	struct completion *first = NULL;
	int rc, done = 0;

	if (!n || n > INT_MAX)
		return hilo_fail(-EINVAL, "hilo_wait: %zu tasks", n);
	if ((unsigned)until >= array_size(stop))
		return hilo_fail(-EINVAL, "hilo_wait: until is %d", (int)until);
	rc = several_check("hilo_wait", tasks, n);
	if (rc < 0)
		return rc;
	rc = hilo__several_enter(tasks);
	if (rc < 0)
		return hilo__error_own(rc);
	/* One that could not be made has ended, and failed, before any other. */
	if (until == HILO_ALL_COMPLETED || !has_null(tasks, n))
		rc = hilo__several_wait(&all, stop[until], deadline, &first);
	if (rc < 0 && (rc == -ENOMEM || !MUTANT(113, hilo__several_look(&all, stop[until], &first), false)))
		return hilo__error_own_wait(rc, WAIT_TASKS, NULL);
	for (size_t i = 0; i < n; i++)
		done += !tasks[i] || completion_is_done(&tasks[i]->done);
	return done;
}

/* [caller, cancelled or not] Have the tasks end. */
static void gather_cancel(hilo_task *const *tasks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tasks[i])
			(void)hilo__task_cancel(tasks[i], REASON_WAITER);
	(void)hilo_shield_enter();
	for (size_t i = 0; i < n; i++)
		if (tasks[i])
			(void)hilo__await_completion(&tasks[i]->done, WAIT_TASK, tasks[i], HILO_FOREVER);
	(void)hilo_shield_leave();
}

/* One after the other: this one. That a cancel is set is no concern of what has ended. */
static inline int gather_one(hilo_task *task, hilo_time deadline)
{
	struct thread *self = thread_self();

	if (!completion_is_done(&task->done))
		return hilo__await_completion(&task->done, WAIT_TASK, task, deadline);
	if (deadline > 0 && self->loop)
		hilo__wait_was_free(self);
	return 0;
}

/* Wait for one after the other from *@at on, which is moved on, or until one stops it: *@ret_first. */
static int gather_in_order(hilo_task *const *tasks, size_t n, size_t *at, enum several_stop stop,
			   hilo_time deadline, struct completion **ret_first)
{
	for (; *at < n && !*ret_first; (*at)++) {
		hilo_task *task = tasks[*at];
		int rc = task ? gather_one(task, deadline) : 0;

		if (rc < 0)
			return rc;
		if (task && several_stops(stop, task->done.result))
			*ret_first = &task->done;
	}
	return 0;
}

/* The same, but looks at all of them at times. */
static int gather_in_slices(hilo_task *const *tasks, size_t n, size_t *at, enum several_stop stop,
			    hilo_time deadline, struct completion **ret_first)
{
	const struct several_of all = several_tasks(tasks, n);
	hilo_time slice;
	int rc;

	do {
		slice = hilo_after(GATHER_LOOK);
		rc = gather_in_order(tasks, n, at, stop, slice < deadline ? slice : deadline, ret_first);
	} while (rc == -ETIMEDOUT && slice < deadline && !hilo__several_look(&all, stop, ret_first));
	return *ret_first ? 0 : rc;
}

/* Wait for all, or for a failure if @stop says so, which is *@ret_first then. 0; else why that ended early. */
static int gather_wait(hilo_task *const *tasks, size_t n, enum several_stop stop, hilo_time deadline,
		       struct completion **ret_first)
{
	const struct several_of all = several_tasks(tasks, n);
	hilo_time soon = hilo_after(GATHER_SOON);
	size_t at = 0;
	int rc;

	if (stop == STOP_NEVER || deadline <= soon) {
		rc = gather_in_order(tasks, n, &at, stop, deadline, ret_first);
	} else {
		rc = gather_in_order(tasks, n, &at, stop, soon, ret_first);
		if (rc == -ETIMEDOUT) {
			const struct several_of rest = several_tasks(tasks + at, n - at);

			rc = hilo__several_wait(&rest, stop, deadline, ret_first);
		}
		if (rc == -ENOMEM)
			rc = gather_in_slices(tasks, n, &at, stop, deadline, ret_first);
	}
	return rc < 0 && hilo__several_look(&all, stop, ret_first) ? 0 : rc;
}

/* End the handles. Of @first, which has failed, the code, and its message becomes the caller's. */
static int gather_end(hilo_task *const *tasks, size_t n, int *results, struct completion *first)
{
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		if (results)
			results[i] = -ENOMEM;
		if (!tasks[i])
			continue;
		if (results) {
			results[i] = tasks[i]->done.result;
			store_relaxed(&tasks[i]->looked, 1); /* relaxed: as in hilo__task_looked */
		}
		if (&tasks[i]->done == first) {
			code = first->result;
			hilo__task_looked(tasks[i]);
			first = NULL; /* it may be there twice, and is gone with its last handle */
		}
		hilo_task_unref(tasks[i]);
	}
	return code;
}

int hilo_gather(hilo_task *const *tasks, size_t n, int *results, hilo_time deadline)
{
	struct completion *first = NULL;
	int rc = several_check("hilo_gather", tasks, n), code;

	if (rc < 0)
		return rc;
	rc = hilo__several_enter(tasks);
	if (rc == 0 && !results && has_null(tasks, n))
		rc = -ENOMEM;
	if (rc == -ENOMEM) {
		(void)gather_end(tasks, n, NULL, NULL);
		return hilo__error_own(rc);
	}
	if (rc == 0)
		rc = gather_wait(tasks, n, results ? STOP_NEVER : STOP_FAILED, deadline, &first);
	if (rc < 0)
		gather_cancel(tasks, n);
	code = gather_end(tasks, n, results, first);
	return rc < 0 ? hilo__error_own_wait(rc, WAIT_TASKS, NULL) : code;
}

int hilo_wait_for(hilo_task_fn entry, void *arg, hilo_time deadline)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = __builtin_return_address(0)};
	hilo_task *task;
	int rc, code;

	if (!entry)
		return hilo_fail(-EINVAL, "hilo_wait_for: entry is NULL");
	if (!hilo_task_current())
		return hilo_fail(-EDEADLK, "hilo_wait_for: only a task can wait for one");
	rc = hilo__several_enter(NULL);
	if (rc == 0)
		rc = hilo__spawn(&spec, NULL, &task);
	if (rc < 0)
		return hilo__error_own(rc);
	rc = hilo__await_completion(&task->done, WAIT_TASK, task, deadline);
	if (rc < 0)
		gather_cancel(&task, 1);
	code = task->done.result;
	if (rc < 0 && code == -ECANCELED)
		code = hilo__error_own_wait(rc, WAIT_TASK, task);
	else
		hilo__task_looked(task);
	hilo_task_detach(task);
	return code;
}
