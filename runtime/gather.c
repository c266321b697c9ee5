/* SPDX-License-Identifier: MIT */
/*
 * gather.c - waiting for several tasks at once.
 *
 * Each task that has not ended gets a node in its list of waiters, of the kind that is called. Who completes
 * the task calls it: it counts down, and wakes the one that waits when there is a reason to.
 *
 * P1  The countdown is a call's last access to the nodes, and to what the waiter has on its stack; it
 *     releases. The waiter takes out what was not called, and goes on when the count says that all calls
 *     that it could not prevent are over (acquire). For these it spins: the completer is between taking
 *     a node out of the list and calling it.
 * P2  `first` is set with release before the countdown, and read with acquire.
 *
 * The order of reasons: a cancel that is set at entry is looked for at entry, once. Whatever ends the wait
 * afterwards, the last look is at the tasks themselves, for one may have ended and not have called yet.
 *
 * A node costs more than a short task, so hilo_gather waits for one after the other at first: after 100 us
 * most of what is short has ended, and what has not is worth a node. If no failure is to end the wait
 * it goes on like that, and without memory for nodes, too, but then looks for failures every 10 ms.
 *
 * Rejected: a node for each at once. That doubles the price of 1000 tasks that do nothing.
 */
#include <hilo/runtime/gather.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/reason.h"

/* How long hilo_gather waits for one after the other. */
#define GATHER_SOON (100 * HILO_MICROSECOND)
/* Between two looks for failures without nodes. */
#define GATHER_LOOK (10 * HILO_MILLISECOND)
/* So many nodes lie on the stack. */
#define NODES_AT_HAND 8
/* Looks at a call that is under way before the CPU is offered to who makes it. */
#define SPIN_ROUNDS 100

/* What ends a wait before all tasks have ended. */
enum stop {
	STOP_NEVER,
	STOP_ENDED,	/* any of them */
	STOP_FAILED,	/* a failure */
	STOP_EXCEPTION, /* a failure that is not a cancel */
};

struct several {
	struct wait wait;
	enum stop stop;
	atomic(struct hilo_task *) first; /* P2: the one that has stopped it */
	atomic(size_t) left;		  /* P1: nodes that were not called */
};

struct node {
	struct waiter waiter;
	struct hilo_task *of;
	struct several *several;
};

static bool stops(enum stop stop, int code)
{
	return stop == STOP_ENDED || (stop == STOP_FAILED && code < 0) ||
	       (stop == STOP_EXCEPTION && code < 0 && code != -ECANCELED);
}

/* [who has completed node->of] */
static void node_called(struct waiter *w)
{
	struct node *node = container_of(w, struct node, waiter);
	struct several *several = node->several;
	struct hilo_task *none = NULL, *task = several->wait.task;
	uint32_t episode = several->wait.episode;
	bool stop = stops(several->stop, node->of->done.result);

	if (stop)
		(void)cas_release(&several->first, &none, node->of); /* P2 */
	if (MUTANT(110, sub_acq_rel(&several->left, 1), sub_relaxed(&several->left, 1)) == 1 ||
	    MUTANT(111, stop, false)) /* P1 */
		hilo__task_wake(task, episode);
}

static bool several_happened(struct several *several)
{
	return load_acquire(&several->first) || load_acquire(&several->left) == 0; /* P1, P2 */
}

/* Add a node for each task that has not ended. Returns how many were added. */
static size_t nodes_add(struct several *several, struct node *nodes, hilo_task *const *tasks, size_t n)
{
	size_t added = 0;

	for (size_t i = 0; i < n && !load_acquire(&several->first); i++) { /* P2 */
		struct node *node = &nodes[added];
		struct hilo_task *task = tasks[i], *none = NULL;

		if (task && !completion_is_done(&task->done)) {
			node->waiter.task = NULL;
			node->waiter.call = node_called;
			node->of = task;
			node->several = several;
			(void)add_relaxed(&several->left, 1); /* relaxed: published by the list's lock */
			if (hilo__completion_add(&task->done, &node->waiter)) {
				added++;
				continue;
			}
			(void)sub_relaxed(&several->left, 1); /* relaxed: never published */
		}
		if (task && stops(several->stop, task->done.result))
			(void)cas_release(&several->first, &none, task); /* P2 */
	}
	return added;
}

/* [waiter] The nodes but @removed were called, or are being called. */
static bool calls_are_under_way(struct several *several, size_t removed)
{
	return load_acquire(&several->left) != removed; /* P1 */
}

/* Take out what was not called, and wait for the calls that are under way. */
static void nodes_remove(struct several *several, struct node *nodes, size_t added)
{
	size_t removed = 0;

	for (size_t i = 0; i < added; i++)
		if (waiter_is_linked(&nodes[i].waiter))
			removed += hilo__completion_remove(&nodes[i].of->done, &nodes[i].waiter);
	for (unsigned round = 0; MUTANT(112, calls_are_under_way(several, removed), false); round++) {
		if (round < SPIN_ROUNDS)
			cpu_relax();
		else
			(void)sched_yield();
	}
}

/* [waiter] A task has failed, or all have ended, as @stop asks; the former is *@ret_first. */
static bool several_look(hilo_task *const *tasks, size_t n, enum stop stop, hilo_task **ret_first)
{
	size_t ended = 0;

	for (size_t i = 0; i < n && !*ret_first; i++) {
		if (tasks[i] && !completion_is_done(&tasks[i]->done))
			continue;
		ended++;
		if (tasks[i] && stops(stop, tasks[i]->done.result))
			*ret_first = tasks[i];
	}
	return *ret_first || ended == n;
}

/*
 * Wait until all of @tasks have ended or one stops the wait, which *@ret_first is then (else left alone).
 * @nodes has @n places. 0; else why the wait ended early.
 */
static int several_wait(hilo_task *const *tasks, size_t n, struct node *nodes, enum stop stop,
			hilo_time deadline, hilo_task **ret_first)
{
	struct several several;
	bool parked = false;
	size_t added;
	int rc = hilo__wait_begin(&several.wait, WAIT_TASKS, tasks, deadline);

	if (rc < 0)
		return rc;
	several.stop = stop;
	atomic_setup(&several.first, NULL);
	atomic_setup(&several.left, 0);
	added = nodes_add(&several, nodes, tasks, n);
	for (; !several_happened(&several) && rc == 0; parked = true)
		rc = hilo__wait_park(&several.wait);
	nodes_remove(&several, nodes, added);
	hilo__wait_end(&several.wait);
	*ret_first = load_acquire(&several.first); /* P2 */
	if (!parked && deadline > 0 && !several.wait.thread)
		hilo__wait_was_free(thread_self());
	return rc;
}

/* The same with nodes from the stack, or the heap. -ENOMEM: no wait has begun. */
static int several_wait_alloc(hilo_task *const *tasks, size_t n, enum stop stop, hilo_time deadline,
			      hilo_task **ret_first)
{
	struct node at_hand[NODES_AT_HAND], *nodes = at_hand;
	int rc;

	if (n > NODES_AT_HAND)
		nodes = n <= SIZE_MAX / sizeof(*nodes) ? hilo__malloc(n * sizeof(*nodes)) : NULL;
	if (!nodes)
		return -ENOMEM;
	rc = several_wait(tasks, n, nodes, stop, deadline, ret_first);
	if (nodes != at_hand)
		hilo__free(nodes);
	return rc;
}

/* [caller] @rc is the call's own. */
static int own(int rc)
{
	hilo__error_own(rc);
	return rc;
}

/* What the caller has done wrong: -EINVAL, -EDEADLK; else 0. */
static int several_check(const char *call, hilo_task *const *tasks, size_t n)
{
	struct thread *self = thread_self();

	if (!tasks && n)
		return hilo_fail(-EINVAL, "%s: tasks is NULL", call);
	if (self->closing || (self->loop && !self->task))
		return hilo_fail(-EDEADLK, "%s: a callback may not wait", call);
	for (size_t i = 0; i < n; i++)
		if (tasks[i] && tasks[i] == self->task)
			return hilo_fail(-EDEADLK, "%s: task %s waits for itself", call,
					 hilo_task_name(tasks[i]));
	return 0;
}

/* Whether a wait may begin: 0; -ECANCELED: a cancel is set; -ENOMEM: a plain thread's first wait. */
static int several_enter(hilo_task *const *tasks)
{
	struct wait wait;
	int rc = hilo__wait_begin(&wait, WAIT_TASKS, tasks, HILO_FOREVER);

	if (rc == 0)
		hilo__wait_end(&wait);
	return rc;
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
	static const enum stop stop[] = {
		[HILO_ALL_COMPLETED] = STOP_NEVER,
		[HILO_FIRST_COMPLETED] = STOP_ENDED,
		[HILO_FIRST_EXCEPTION] = STOP_EXCEPTION,
	};
	hilo_task *first = NULL;
	int rc, done = 0;

	if (!n || n > INT_MAX)
		return hilo_fail(-EINVAL, "hilo_wait: %zu tasks", n);
	if ((unsigned)until >= array_size(stop))
		return hilo_fail(-EINVAL, "hilo_wait: until is %d", (int)until);
	rc = several_check("hilo_wait", tasks, n);
	if (rc < 0)
		return rc;
	rc = several_enter(tasks);
	if (rc < 0)
		return own(rc);
	/* One that could not be made has ended, and failed, before any other. */
	if (until == HILO_ALL_COMPLETED || !has_null(tasks, n))
		rc = several_wait_alloc(tasks, n, stop[until], deadline, &first);
	if (rc < 0 && (rc == -ENOMEM || !MUTANT(113, several_look(tasks, n, stop[until], &first), false)))
		return own(rc);
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
static int gather_in_order(hilo_task *const *tasks, size_t n, size_t *at, enum stop stop, hilo_time deadline,
			   hilo_task **ret_first)
{
	for (; *at < n && !*ret_first; (*at)++) {
		hilo_task *task = tasks[*at];
		int rc = task ? gather_one(task, deadline) : 0;

		if (rc < 0)
			return rc;
		if (task && stops(stop, task->done.result))
			*ret_first = task;
	}
	return 0;
}

/* The same, but looks at all of them at times. */
static int gather_in_slices(hilo_task *const *tasks, size_t n, size_t *at, enum stop stop, hilo_time deadline,
			    hilo_task **ret_first)
{
	hilo_time slice;
	int rc;

	do {
		slice = hilo_after(GATHER_LOOK);
		rc = gather_in_order(tasks, n, at, stop, slice < deadline ? slice : deadline, ret_first);
	} while (rc == -ETIMEDOUT && slice < deadline && !several_look(tasks, n, stop, ret_first));
	return *ret_first ? 0 : rc;
}

/* Wait for all, or for a failure if @stop says so, which is *@ret_first then. 0; else why that ended early. */
static int gather_wait(hilo_task *const *tasks, size_t n, enum stop stop, hilo_time deadline,
		       hilo_task **ret_first)
{
	hilo_time soon = hilo_after(GATHER_SOON);
	size_t at = 0;
	int rc;

	if (stop == STOP_NEVER || deadline <= soon) {
		rc = gather_in_order(tasks, n, &at, stop, deadline, ret_first);
	} else {
		rc = gather_in_order(tasks, n, &at, stop, soon, ret_first);
		if (rc == -ETIMEDOUT)
			rc = several_wait_alloc(tasks + at, n - at, stop, deadline, ret_first);
		if (rc == -ENOMEM)
			rc = gather_in_slices(tasks, n, &at, stop, deadline, ret_first);
	}
	return rc < 0 && several_look(tasks, n, stop, ret_first) ? 0 : rc;
}

/* End the handles. Of @first, which has failed, the code, and its message becomes the caller's. */
static int gather_end(hilo_task *const *tasks, size_t n, int *results, hilo_task *first)
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
		if (tasks[i] == first) {
			code = first->done.result;
			hilo__task_looked(first);
			first = NULL; /* it may be there twice, and is gone with its last handle */
		}
		hilo_task_unref(tasks[i]);
	}
	return code;
}

int hilo_gather(hilo_task *const *tasks, size_t n, int *results, hilo_time deadline)
{
	hilo_task *first = NULL;
	int rc = several_check("hilo_gather", tasks, n), code;

	if (rc < 0)
		return rc;
	rc = several_enter(tasks);
	if (rc == 0 && !results && has_null(tasks, n))
		rc = -ENOMEM;
	if (rc == -ENOMEM) {
		(void)gather_end(tasks, n, NULL, NULL);
		return own(rc);
	}
	if (rc == 0)
		rc = gather_wait(tasks, n, results ? STOP_NEVER : STOP_FAILED, deadline, &first);
	if (rc < 0)
		gather_cancel(tasks, n);
	code = gather_end(tasks, n, results, first);
	return rc < 0 ? own(rc) : code;
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
	rc = several_enter(NULL);
	if (rc == 0)
		rc = hilo__spawn(&spec, NULL, &task);
	if (rc < 0)
		return own(rc);
	rc = hilo__await_completion(&task->done, WAIT_TASK, task, deadline);
	if (rc < 0)
		gather_cancel(&task, 1);
	code = task->done.result;
	if (rc < 0 && code == -ECANCELED)
		code = own(rc);
	else
		hilo__task_looked(task);
	hilo_task_detach(task);
	return code;
}
