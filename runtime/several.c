/* SPDX-License-Identifier: MIT */
/*
 * several.c - waiting for several completions at once: the nodes, and the wait for the first or for all.
 *
 * P1 is in several_impl.h.
 * P2  `first` is set with release before the countdown, and read with acquire.
 *
 * The order of reasons: a cancel that is set at entry is looked for at entry, once. Whatever ends the wait
 * afterwards, the last look is at the things themselves, for one may be done and not have called yet: that
 * look is the caller's, who knows what it is for.
 */
#include "runtime/several_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"

/* So many nodes lie on the stack. */
#define NODES_AT_HAND 8

bool hilo__several_add(struct several *several, struct several_node *node, struct completion *of,
		       void (*call)(struct waiter *))
{
	node->waiter.task = NULL;
	node->waiter.call = call;
	atomic_setup(&node->waiter.linked, false);
	node->of = of;
	node->several = several;
	if (completion_is_done(of))
		return false;
	(void)add_relaxed(&several->left, 1); /* relaxed: published by the list's lock */
	if (hilo__completion_add(of, &node->waiter))
		return true;
	(void)sub_relaxed(&several->left, 1); /* relaxed: never published */
	return false;
}

/* [waiter] The nodes but @removed were called, or are being called. */
static bool calls_are_under_way(struct several *several, size_t removed)
{
	return load_acquire(&several->left) != removed; /* P1 */
}

void hilo__several_remove(struct several *several, struct several_node *nodes, size_t n)
{
	size_t removed = 0;

	for (size_t i = 0; i < n; i++)
		removed += several_take_out(&nodes[i]);
	hilo__several_settle(several, removed);
}

void hilo__several_settle(struct several *several, size_t removed)
{
	for (unsigned round = 0; MUTANT(112, calls_are_under_way(several, removed), false); round++)
		spin_pause(round);
}

/* One wait. */
struct several_wait {
	struct several several;
	struct wait wait;
	enum several_stop stop;
	atomic(struct completion *) first; /* P2: the one that has stopped it */
};

/* [who has completed node->of] */
static void node_called(struct waiter *w)
{
	struct several_node *node = container_of(w, struct several_node, waiter);
	struct several_wait *several = container_of(node->several, struct several_wait, several);
	struct completion *none = NULL;
	struct hilo_task *task = several->wait.task;
	uint32_t episode = several->wait.episode;
	bool stop = several_stops(several->stop, node->of->result);

	if (stop)
		(void)cas_release(&several->first, &none, node->of); /* P2 */
	if (several_count(&several->several) || MUTANT(111, stop, false))
		hilo__task_wake(task, episode);
}

static bool wait_is_over(struct several_wait *several)
{
	return load_acquire(&several->first) ||						   /* P2 */
	       (several->stop != STOP_ENDED && load_acquire(&several->several.left) == 0); /* P1 */
}

/* [waiter] Add a node for each that is not done. Returns how many were added. */
static size_t nodes_add(struct several_wait *several, struct several_node *nodes, const struct several_of *of)
{
	size_t added = 0;

	for (size_t i = 0; i < of->n && !load_acquire(&several->first); i++) { /* P2 */
		struct completion *done = of->at(of->array, i), *none = NULL;

		if (!done)
			continue;
		if (hilo__several_add(&several->several, &nodes[added], done, node_called))
			added++;
		else if (several_stops(several->stop, done->result))
			(void)cas_release(&several->first, &none, done); /* P2 */
	}
	return added;
}

bool hilo__several_look(const struct several_of *of, enum several_stop stop, struct completion **ret_first)
{
	size_t ended = 0;

	for (size_t i = 0; i < of->n && !*ret_first; i++) {
		struct completion *done = of->at(of->array, i);

		if (done && !completion_is_done(done))
			continue;
		ended++;
		if (done && several_stops(stop, done->result))
			*ret_first = done;
	}
	return *ret_first || ended == of->n;
}

/* As hilo__several_wait. @nodes has a place for each. */
static int wait_with(const struct several_of *of, struct several_node *nodes, enum several_stop stop,
		     hilo_time deadline, struct completion **ret_first)
{
	struct several_wait several;
	bool parked = false;
	size_t added;
	int rc = hilo__wait_begin(&several.wait, of->kind, of->array, deadline);

	if (rc < 0)
		return rc;
	several_init(&several.several);
	several.stop = stop;
	atomic_setup(&several.first, NULL);
	added = nodes_add(&several, nodes, of);
	for (; !wait_is_over(&several) && rc == 0; parked = true)
		rc = hilo__wait_park(&several.wait);
	hilo__several_remove(&several.several, nodes, added);
	hilo__wait_end(&several.wait);
	*ret_first = load_acquire(&several.first); /* P2 */
	if (!parked && deadline > 0 && !several.wait.thread)
		hilo__wait_was_free(thread_self());
	return rc;
}

int hilo__several_wait(const struct several_of *of, enum several_stop stop, hilo_time deadline,
		       struct completion **ret_first)
{
	struct several_node at_hand[NODES_AT_HAND], *nodes = at_hand;
	int rc;

	if (of->n > NODES_AT_HAND)
		nodes = of->n <= SIZE_MAX / sizeof(*nodes) ? hilo__malloc(of->n * sizeof(*nodes)) : NULL;
	if (!nodes)
		return -ENOMEM;
	rc = wait_with(of, nodes, stop, deadline, ret_first);
	if (nodes != at_hand)
		hilo__free(nodes);
	return rc;
}

int hilo__several_enter(const void *object)
{
	struct wait wait;
	int rc = hilo__wait_begin(&wait, WAIT_TASKS, object, HILO_FOREVER);

	if (rc == 0)
		hilo__wait_end(&wait);
	return rc;
}

int hilo__several_check_caller(const char *call)
{
	struct thread *self = thread_self();

	if (self->closing || (self->loop && !self->task))
		return hilo_fail(-EDEADLK, "%s: a callback may not wait", call);
	return 0;
}

int hilo__several_check_task(const char *call, const hilo_task *task)
{
	if (task && task == thread_self()->task)
		return hilo_fail(-EDEADLK, "%s: task %s waits for itself", call, hilo_task_name(task));
	return 0;
}

int hilo__several_check_tasks(const char *call, hilo_task *const *tasks, size_t n)
{
	int rc = 0;

	if (!tasks && n)
		return hilo_fail(-EINVAL, "%s: tasks is NULL", call);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = hilo__several_check_task(call, tasks[i]);
	return rc;
}
