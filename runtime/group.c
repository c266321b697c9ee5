/* SPDX-License-Identifier: MIT */
/*
 * group.c - tasks that end before their block does.
 *
 * For each of its tasks the group has a child, whose waiter is in the task's list of waiters. Who completes the
 * task calls it (child_called): that one takes the child out, stops the group if the task has failed, and wakes
 * the owner, the task that the block runs in, if it was the last. Children whose tasks have failed stay, with
 * their references, until the block has ended: so nothing is allocated when a task fails.
 *
 * To stop is: no task can be spawned any more, the owner's scope is fired (scheduler/scope.h), all tasks are
 * cancelled. Whoever decides it, once, under the lock, does that without the lock.
 *
 * I1  `live` counts the children that were not called, or are being called, and the spawns under way. The
 *     owner leaves when it is 0; so whoever is counted may use the group, and whoever takes the count down
 *     touches it no more.
 * I2  A child is in `running`, or in `told` when its task was cancelled or is about to be, until it is called;
 *     then in `failed` or gone.
 * P1  The lock orders all of it. To give it back is the last access of whoever was counted last; the owner,
 *     who has taken the lock and found 0, comes after that.
 *
 * Rejected: counting with an atomic and a list without a lock. A failure has to find all that are there, and
 * those that are just being spawned; with a lock that is a look at one word.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/group.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/pool.h"
#include "scheduler/reason.h"
#include "scheduler/scope.h"

/* Tasks that are cancelled between two holds of the lock. */
#define BATCH 16

/* What a hilo_group holds. */
struct group {
	int *code;			   /* of the block, for the macro */
	struct scope scope;		   /* the owner's: fired when the group stops */
	struct spinlock lock;		   /* P1: of what follows */
	uint8_t stopped;		   /* why, by number (reason.h); 0: it has not */
	bool waits;			   /* the owner waits ... */
	uint32_t episode;		   /* ... in this one of its waits */
	int refused;			   /* why a task could not be spawned, the first time; 0: all could */
	bool refused_first;		   /* before any task has failed */
	size_t live;			   /* I1 */
	struct list running, told, failed; /* I2 */
};

_Static_assert(sizeof(struct group) <= sizeof(hilo_group), "the caller's place is large enough");

struct child {
	uint64_t unused; /* the pool's word */
	struct waiter waiter;
	struct list link;
	struct group *group;
	struct hilo_task *task; /* a reference */
};

_Static_assert(sizeof(struct child) <= POOL_OBJECT_SIZE, "one object of the pool");

static struct group *group_of(const hilo_group *place)
{
	return (struct group *)(uintptr_t)place;
}

static void child_free(struct child *child)
{
	struct heap *heap;

	hilo_task_detach(child->task);
	heap = thread_self()->heap;
	if (heap)
		pool_free(heap, POOL_OBJECT, child);
	else
		hilo__pool_free_any(POOL_OBJECT, child);
}

/* [lock] Decide to stop for @reason. True: the caller has to do it, group_tell. */
static bool group_decide(struct group *group, uint8_t reason)
{
	if (MUTANT(142, group->stopped, 0))
		return false;
	group->stopped = reason;
	return true;
}

/* [counted in live, or the owner] Ask the owner, and all tasks that are there, to stop. */
static void group_tell(struct group *group)
{
	struct hilo_task *tasks[BATCH];
	struct list *link;
	unsigned n;

	hilo__scope_fire(&group->scope, group->stopped);
	do {
		spin_lock(&group->lock);
		for (n = 0; n < BATCH && (link = list_pop_first(&group->running)); n++) {
			list_add_tail(&group->told, link);
			tasks[n] = container_of(link, struct child, link)->task;
			MUTANT(144, completion_ref(&tasks[n]->done), (void)0);
		}
		spin_unlock(&group->lock);
		for (unsigned i = 0; i < n; i++) {
			(void)hilo__task_cancel(tasks[i], group->stopped);
			MUTANT(144, hilo_task_unref(tasks[i]), (void)0);
		}
	} while (n == BATCH);
}

/* [counted in live, or the owner] Stop, unless that was decided before. */
static void group_stop(struct group *group, uint8_t reason)
{
	bool decided;

	spin_lock(&group->lock);
	decided = group_decide(group, reason);
	spin_unlock(&group->lock);
	if (decided)
		group_tell(group);
}

/* [counted in live] Not any more. The group may be gone afterwards. */
static void group_uncount(struct group *group, struct child *child)
{
	struct hilo_task *owner = group->scope.task;
	uint32_t episode;
	bool wake;

	spin_lock(&group->lock);
	if (child)
		list_del(&child->link);
	wake = --group->live == 0 && group->waits;
	episode = group->episode;
	spin_unlock(&group->lock); /* P1: our last access */
	if (wake)
		hilo__task_wake(owner, MUTANT(143, episode, group->episode));
}

/* [who has completed child->task] */
static void child_called(struct waiter *waiter)
{
	struct child *child = container_of(waiter, struct child, waiter);
	struct group *group = child->group;
	int code = child->task->done.result;
	bool decided;

	if (HILO__LIKELY(code >= 0 || code == -ECANCELED)) {
		group_uncount(group, child);
		child_free(child);
		return;
	}
	spin_lock(&group->lock);
	list_del(&child->link);
	list_add_tail(&group->failed, &child->link);
	decided = group_decide(group, REASON_SIBLING);
	spin_unlock(&group->lock);
	if (decided)
		group_tell(group);
	group_uncount(group, NULL);
}

int hilo_group_enter(hilo_group *place)
{
	struct group *group = group_of(place);
	struct thread *self = thread_self();

	if (!place)
		return hilo_fail(-EINVAL, "hilo_group_enter: group is NULL");
	if (!self->loop || !self->task)
		return hilo_fail(-EDEADLK, "hilo_group_enter: only a task can");
	spin_init(&group->lock);
	group->stopped = REASON_NONE;
	group->waits = false;
	group->episode = 0;
	group->refused = 0;
	group->refused_first = false;
	group->live = 0;
	list_init(&group->running);
	list_init(&group->told);
	list_init(&group->failed);
	hilo__scope_enter(&group->scope, false);
	return 0;
}

/* [spawner] Count the task that is about to be spawned. False: the group stops. */
static bool group_count(struct group *group)
{
	bool open;

	spin_lock(&group->lock);
	open = !group->stopped;
	group->live += MUTANT(145, open, false);
	spin_unlock(&group->lock);
	return open;
}

/* [spawner, counted] The task could not be spawned, for @code: it has failed. */
static void group_refuse(struct group *group, int code)
{
	bool decided;

	spin_lock(&group->lock);
	if (!group->refused) {
		group->refused = code;
		group->refused_first = list_empty(&group->failed);
	}
	decided = group_decide(group, REASON_SIBLING);
	spin_unlock(&group->lock);
	if (decided)
		group_tell(group);
	group_uncount(group, NULL);
}

/* [spawner, counted] child->task is there, and may have ended: from here on it is counted for itself. */
static void group_add(struct group *group, struct child *child)
{
	uint8_t stopped;

	spin_lock(&group->lock);
	stopped = MUTANT(146, group->stopped, 0);
	list_add_tail(stopped ? &group->told : &group->running, &child->link);
	spin_unlock(&group->lock);
	if (stopped)
		(void)hilo__task_cancel(child->task, stopped);
	if (!hilo__completion_add(&child->task->done, &child->waiter))
		child_called(&child->waiter);
}

static int group_spawn(struct group *group, struct task_spec *spec, const hilo_task_opts *opts,
		       hilo_task **ret)
{
	struct hilo_loop *loop = thread_self()->loop;
	struct child *child;
	int rc;

	if (!loop || loop->runtime != load_relaxed(&group->scope.task->runtime)) /* relaxed: constant */
		return hilo_fail(-EDEADLK, "hilo_group_spawn: not inside of the group's runtime");
	if (!group_count(group))
		return HILO_ECLOSED;
	child = pool_alloc(loop->heap, POOL_OBJECT);
	if (!child) {
		group_refuse(group, -ENOMEM);
		return -ENOMEM;
	}
	rc = hilo__spawn(spec, opts, &child->task);
	if (rc < 0) {
		pool_free(loop->heap, POOL_OBJECT, child);
		group_refuse(group, rc);
		return rc;
	}
	child->group = group;
	child->waiter.task = NULL;
	child->waiter.call = child_called;
	child->waiter.episode = 0;
	list_init(&child->link);
	if (ret)
		*ret = hilo_task_ref(child->task);
	group_add(group, child);
	return 0;
}

int hilo_group_spawn(hilo_group *group, hilo_task_fn entry, void *arg)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = __builtin_return_address(0)};

	if (!group || !entry)
		return hilo_fail(-EINVAL, "hilo_group_spawn: %s is NULL", group ? "entry" : "group");
	return group_spawn(group_of(group), &spec, NULL, NULL);
}

int hilo_group_spawn_with(hilo_group *group, hilo_task_fn entry, void *arg, const hilo_task_opts *opts,
			  hilo_task **ret)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = __builtin_return_address(0)};

	if (!group || !entry)
		return hilo_fail(-EINVAL, "hilo_group_spawn_with: %s is NULL", group ? "entry" : "group");
	return group_spawn(group_of(group), &spec, opts, ret);
}

int hilo_group_cancel(hilo_group *group)
{
	if (!group)
		return hilo_fail(-EINVAL, "hilo_group_cancel: group is NULL");
	group_stop(group_of(group), REASON_GROUP);
	return 0;
}

size_t hilo_group_size(const hilo_group *place)
{
	struct group *group = group_of(place);
	size_t live;

	if (!place)
		return 0;
	spin_lock(&group->lock);
	live = group->live;
	spin_unlock(&group->lock);
	return live;
}

/* [owner] Whether nobody is counted any more; if not, whoever is the last wakes the wait @episode. */
static bool group_is_empty(struct group *group, uint32_t episode)
{
	bool empty;

	spin_lock(&group->lock);
	empty = MUTANT(141, group->live == 0, list_empty(&group->running) && list_empty(&group->told));
	group->waits = !empty;
	group->episode = MUTANT(147, episode, 0);
	spin_unlock(&group->lock);
	return empty;
}

/* [owner, suspends] Wait for all. 0, or -ECANCELED. */
static int group_wait(struct group *group)
{
	struct wait wait;
	int rc;

	if (group_is_empty(group, 0))
		return 0;
	rc = hilo__wait_begin(&wait, WAIT_GROUP, group, HILO_FOREVER);
	if (rc < 0)
		return rc;
	while (!group_is_empty(group, wait.episode) && rc == 0)
		rc = hilo__wait_park(&wait);
	if (rc < 0 && group_is_empty(group, wait.episode))
		rc = 0;
	hilo__wait_end(&wait);
	return rc;
}

/* [owner, all have ended] The code of the block, with the failures of its tasks, which the caller has then. */
static int group_collect(struct group *group, int code)
{
	bool told = code < 0 && code != -ECANCELED;
	struct error_list others;
	struct list *link;

	hilo__error_list_init(&others);
	if (told)
		hilo__error_keep(code);
	if (group->refused && !told && (group->refused_first || list_empty(&group->failed))) {
		code = hilo__error_own(group->refused);
		told = true;
	} else if (group->refused) {
		hilo__error_list_add(&others, NULL, group->refused);
	}
	while ((link = list_pop_first(&group->failed))) {
		struct child *child = container_of(link, struct child, link);

		if (told) {
			store_relaxed(&child->task->looked, 1); /* relaxed: as in hilo__task_looked */
			hilo__error_list_add(&others, child->task, child->task->done.result);
		} else {
			code = child->task->done.result;
			hilo__task_looked(child->task);
			told = true;
		}
		child_free(child);
	}
	hilo__error_list_attach(&others);
	return code;
}

int hilo_group_leave(hilo_group *place, int code)
{
	struct group *group = group_of(place);
	struct hilo_task *owner;
	bool asked, outside;
	int rc;

	if (!place)
		return hilo_fail(-EINVAL, "hilo_group_leave: group is NULL");
	owner = group->scope.task;
	asked = scope_has_fired(&group->scope); /* before to leave becomes a reason to stop, too */
	if (code < 0)
		group_stop(group, REASON_PARENT);
	rc = group_wait(group);
	if (rc < 0) {
		group_stop(group, REASON_PARENT);
		owner->shield++;
		(void)group_wait(group);
		owner->shield--;
	}
	hilo__scope_leave(&group->scope);
	outside = task_is_interrupted(owner);
	if (code == -ECANCELED && asked && !outside)
		code = 0;
	else if (code >= 0 && rc < 0 && outside)
		code = -ECANCELED;
	return group_collect(group, code);
}
