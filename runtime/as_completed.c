/* SPDX-License-Identifier: MIT */
/*
 * as_completed.c - tasks one after the other, in the order in which they end.
 *
 * Each task that has not ended gets a node in its list of waiters, as in several.c, for as long as the set
 * lives or until it is called. A call puts its node at the end of a list, and wakes one of those that wait for
 * the next one; the list, and who waits, are under a spinlock.
 *
 * I1  While there is something to take, nobody waits who was not woken: a call wakes one, and whoever leaves,
 *     with a task or without, wakes another one if there is more, or if there will be nothing any more.
 *
 * Who stops waiting early looks at the tasks themselves for the last time: one may have ended and not have
 * called yet. Such a call is waited for, so that what somebody has seen to have ended is yielded.
 *
 * Rejected: the exact order of ends that are a moment apart. Between the end of a task and its call another
 * one may see the end, end itself, and call. The list is in the order of the calls; to have it otherwise, each
 * end would have to be stamped, and the taker to look at all tasks each time.
 */
#include <hilo/runtime/gather.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "runtime/several_impl.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"

struct hilo_as_completed {
	struct several several;
	struct spinlock lock; /* of all but what is constant, `nodes` and `n` */
	size_t left;	      /* places that were not yielded */
	size_t nulls;	      /* of these, tasks that could not be made */
	struct waiter *ended; /* nodes that were called and not yielded, oldest first */
	struct waiter **end;
	struct list takers;
	size_t n;
	struct several_node nodes[];
};

/* Who waits for the next one. */
struct taker {
	struct list link; /* in `takers` */
	struct wait wait;
	bool parked;
};

/* What is woken after the lock was given back. */
struct handle {
	struct hilo_task *task; /* NULL: nobody */
	uint32_t episode;
};

/* [lock] The first of the takers, who is to look. */
static struct handle takers_pop(struct hilo_as_completed *set)
{
	struct list *first = list_pop_first(&set->takers);
	struct taker *taker = first ? list_entry(first, struct taker, link) : NULL;

	return taker ? (struct handle){taker->wait.task, taker->wait.episode} : (struct handle){NULL, 0};
}

static void handle_wake(struct handle handle)
{
	if (handle.task)
		hilo__task_wake(handle.task, handle.episode);
}

/* [lock] Its chain is the completer's no more: a call is the last that he does with it. */
static void ended_append(struct hilo_as_completed *set, struct several_node *node)
{
	node->waiter.next = NULL;
	*set->end = &node->waiter;
	set->end = &node->waiter.next;
}

/* [who has completed node->of] */
static void node_called(struct waiter *w)
{
	struct several_node *node = container_of(w, struct several_node, waiter);
	struct hilo_as_completed *set = container_of(node->several, struct hilo_as_completed, several);
	struct handle handle;

	spin_lock(&set->lock);
	ended_append(set, node);
	handle = takers_pop(set);
	spin_unlock(&set->lock);
	(void)several_count(&set->several); /* P1 of several_impl.h */
	handle_wake(handle);
}

int hilo_as_completed_new(hilo_task *const *tasks, size_t n, hilo_as_completed **ret)
{
	struct hilo_as_completed *set;
	int rc = hilo__several_check_tasks("hilo_as_completed_new", tasks, n);

	if (rc < 0)
		return rc;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_as_completed_new: ret is NULL");
	set = n <= (SIZE_MAX - sizeof(*set)) / sizeof(set->nodes[0])
		      ? hilo__malloc(sizeof(*set) + n * sizeof(set->nodes[0]))
		      : NULL;
	if (!set)
		return -ENOMEM;
	several_init(&set->several);
	spin_init(&set->lock);
	set->left = n;
	set->nulls = 0;
	set->ended = NULL;
	set->end = &set->ended;
	list_init(&set->takers);
	set->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct several_node *node = &set->nodes[set->n];

		if (!tasks[i]) {
			set->nulls++;
			continue;
		}
		set->n++;
		if (hilo__several_add(&set->several, node, &tasks[i]->done, node_called))
			continue;
		spin_lock(&set->lock); /* calls may come already */
		ended_append(set, node);
		spin_unlock(&set->lock);
	}
	*ret = set;
	return 0;
}

/* The next one: 1; 0: all were yielded; -EAGAIN: @taker will be woken to look again. */
static int set_take(struct hilo_as_completed *set, struct taker *taker, hilo_task **ret)
{
	struct waiter *ended;
	int rc = 1;

	spin_lock(&set->lock);
	ended = set->ended;
	if (set->nulls) {
		set->nulls--;
		*ret = NULL;
	} else if (ended) {
		set->ended = ended->next;
		if (!set->ended)
			set->end = &set->ended;
		*ret = container_of(container_of(ended, struct several_node, waiter)->of, hilo_task, done);
	} else {
		rc = set->left ? -EAGAIN : 0;
	}
	if (rc > 0)
		set->left--;
	else if (rc < 0 && !list_is_linked(&taker->link))
		list_add_tail(&set->takers, &taker->link);
	spin_unlock(&set->lock);
	return rc;
}

/* I1 */
static void set_leave(struct hilo_as_completed *set, struct taker *taker)
{
	struct handle handle = {NULL, 0};

	spin_lock(&set->lock);
	list_del(&taker->link);
	if (MUTANT(121, set->ended || !set->left, false))
		handle = takers_pop(set);
	spin_unlock(&set->lock);
	handle_wake(handle);
}

/* A task has ended that is not in the list of those that have: it comes. */
static bool call_is_under_way(struct hilo_as_completed *set)
{
	size_t linked = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct several_node *node = &set->nodes[i];
		bool done;

		if (!waiter_is_linked(&node->waiter))
			continue;
		done = completion_is_done(node->of);
		if (done && waiter_is_linked(&node->waiter))
			return true; /* of more waiters than its completer takes at a time */
		linked += !done;
	}
	return load_acquire(&set->several.left) != linked; /* P1 of several_impl.h */
}

static int next_wait(struct hilo_as_completed *set, struct taker *taker, hilo_task **ret)
{
	int rc = 0;

	for (unsigned round = 0;; round++) {
		/* Before we look: what has called since is there then. */
		bool comes = rc < 0 && MUTANT(122, call_is_under_way(set), false);
		int took = set_take(set, taker, ret);

		if (took != -EAGAIN)
			return took;
		if (rc == 0) {
			rc = hilo__wait_park(&taker->wait);
			taker->parked = true;
		} else if (comes) {
			spin_pause(round);
		} else {
			return rc;
		}
	}
}

int hilo_as_completed_next(hilo_as_completed *set, hilo_task **ret, hilo_time deadline)
{
	struct taker taker;
	int rc;

	if (!set)
		return -ENOMEM;
	if (!ret)
		return hilo_fail(-EINVAL, "hilo_as_completed_next: ret is NULL");
	rc = hilo__several_check_caller("hilo_as_completed_next");
	if (rc < 0)
		return rc;
	rc = hilo__wait_begin(&taker.wait, WAIT_TASKS, set, deadline);
	if (rc < 0)
		return hilo__error_own(rc);
	list_init(&taker.link);
	taker.parked = false;
	rc = next_wait(set, &taker, ret);
	set_leave(set, &taker);
	hilo__wait_end(&taker.wait);
	if (!taker.parked && deadline > 0 && !taker.wait.thread)
		hilo__wait_was_free(thread_self());
	return rc < 0 ? hilo__error_own_wait(rc, WAIT_TASKS, NULL) : rc;
}

void hilo_as_completed_free(hilo_as_completed *set)
{
	if (!set)
		return;
	hilo__several_remove(&set->several, set->nodes, set->n);
	hilo__free(set);
}
