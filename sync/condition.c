/* SPDX-License-Identifier: MIT */
/*
 * condition.c - waiting until what a mutex protects has changed.
 *
 * Who waits is a contender (runtime/contend_impl.h): to notify is to win one. So a notification goes to one who
 * has not left, or to nobody, whatever is cancelled at the same time.
 *
 * P1  Who waits is in the list before it gives the mutex up. So whoever changes what the mutex protects, having
 *     locked it later, finds it there when it notifies, with the mutex or without.
 * P2  All that a notification is for are won under one hold of the lock, and told after that was given back; from
 *     then on the condition is not touched. A node that was won for is left alone by its contender until that is
 *     told; so they are linked through their nodes meanwhile, however many they are.
 *
 * I1  `waiting` counts those who are in the list, or were taken out and not won, and are still to come for the lock.
 *     While it is not 0 the condition does not end. Who has won one counts it down: it does not come any more.
 *
 * Rejected: to put those who are notified into the mutex's list, which spares them a run that ends in waiting
 * for the mutex. It would be two objects under one wait, for the sake of who notifies many at once; most
 * notify one, after unlocking.
 */
#include <hilo/sync/condition.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/runtime_impl.h"
#include "sync/barge_impl.h"
#include "sync/mutex_impl.h"

struct condition {
	struct list waiters;	 /* under the lock, as the rest; zero is an empty one */
	const hilo_mutex *mutex; /* of those that wait */
	size_t waiting;		 /* I1 */
	struct spinlock lock;
};

_Static_assert(sizeof(struct condition) <= sizeof(hilo_condition), "HILO_CONDITION_INIT has room for it");

static inline struct condition *condition_of(hilo_condition *condition)
{
	return (struct condition *)condition;
}

/* [any] */
static void condition_lock(struct condition *condition)
{
	spin_lock(&condition->lock);
	if (!condition->waiters.next)
		list_init(&condition->waiters);
}

void hilo_condition_init(hilo_condition *condition)
{
	*condition = (hilo_condition)HILO_CONDITION_INIT;
}

int hilo_condition_destroy(hilo_condition *public)
{
	struct condition *condition = condition_of(public);
	bool waited;

	condition_lock(condition);
	waited = MUTANT(372, condition->waiting > 0, !list_empty(&condition->waiters)); /* I1 */
	spin_unlock(&condition->lock);
	return waited ? hilo_fail(-EBUSY, "hilo_condition_destroy: somebody waits for the condition %p",
				  (void *)public)
		      : 0;
}

static int refuse(const char *call)
{
	struct hilo_task *me;
	int rc = hilo__locker(&me);

	if (rc == -EDEADLK)
		return hilo_fail(rc, "%s: a callback cannot wait", call);
	return rc < 0 ? rc : hilo_fail(-EPERM, "%s: the caller does not have the mutex", call);
}

/* The caller has @mutex: 0; else why it may not call this. */
static int check_mutex(const hilo_mutex *mutex, const char *call)
{
	return hilo__mutex_is_mine(mutex) ? hilo__mutex_check_fork(mutex, call) : refuse(call);
}

/* Be the last that waits, and give the mutex up. 0; -EINVAL: the others have another one. */
static int waiter_add(struct condition *condition, hilo_mutex *mutex, struct contend_node *node,
		      struct contender *contender)
{
	MUTANT(190, (void)0, (void)hilo_mutex_unlock(mutex));
	condition_lock(condition);
	if (!list_empty(&condition->waiters) && condition->mutex != mutex) {
		spin_unlock(&condition->lock);
		return hilo_fail(-EINVAL, "hilo_condition_wait: others wait with the mutex %p, not %p",
				 (const void *)condition->mutex, (void *)mutex);
	}
	condition->mutex = mutex;
	contend_add(&condition->waiters, node, contender, 0);
	condition->waiting++;
	spin_unlock(&condition->lock);
	MUTANT(190, (void)hilo_mutex_unlock(mutex), (void)0); /* P1 */
	return 0;
}

/* Whatever it takes. */
static void mutex_again(hilo_mutex *mutex, const void *site)
{
	int shielded = hilo_shield_enter();
	int rc = hilo__mutex_lock_at(mutex, site);

	HILO__ASSERT(rc == 0);
	if (shielded == 0)
		(void)hilo_shield_leave();
}

/* Without the mutex, until notified. */
static int wait_without(struct condition *condition, struct contend_node *node, struct contender *contender)
{
	int rc = hilo__contend_wait(contender);

	if (rc < 0) {
		spin_lock(&condition->lock);
		(void)contend_remove(node);
		condition->waiting--;
		spin_unlock(&condition->lock);
	}
	return rc;
}

static int condition_wait(struct condition *condition, hilo_mutex *mutex, hilo_time deadline,
			  const void *site)
{
	struct contender contender;
	struct contend_node node;
	int rc = hilo__contend_begin(&contender, WAIT_CONDITION, condition, deadline);

	if (rc < 0)
		return hilo__error_own(rc);
	if (barge_is_over(deadline)) {
		hilo__contend_end(&contender);
		(void)hilo_mutex_unlock(mutex);
		mutex_again(mutex, site);
		return hilo__error_own(-ETIMEDOUT);
	}
	rc = waiter_add(condition, mutex, &node, &contender);
	if (rc < 0) {
		hilo__contend_end(&contender);
		return rc;
	}
	rc = wait_without(condition, &node, &contender);
	hilo__contend_end(&contender);
	mutex_again(mutex, site);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_condition_wait(hilo_condition *condition, hilo_mutex *mutex, hilo_time deadline)
{
	int rc = check_mutex(mutex, "hilo_condition_wait");

	return rc < 0 ? rc
		      : condition_wait(condition_of(condition), mutex, deadline, __builtin_return_address(0));
}

int hilo_condition_wait_for(hilo_condition *condition, hilo_mutex *mutex, int (*predicate)(void *arg),
			    void *arg, hilo_time deadline)
{
	const void *site = __builtin_return_address(0);
	int ended = 0, rc = check_mutex(mutex, "hilo_condition_wait_for");

	if (rc < 0)
		return rc;
	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	for (;;) {
		rc = predicate(arg);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		if (ended < 0)
			return ended;
		ended = condition_wait(condition_of(condition), mutex, deadline, site);
	}
}

/* [lock] Win up to @n of those that wait. They are in @list then; returns how many. */
static size_t waiters_win(struct condition *condition, size_t n, struct list *list)
{
	struct contend_node *node;
	struct contend_won won;
	size_t count = 0;

	while (count < n && (node = contend_pop(&condition->waiters))) {
		if (contend_win(node, &won)) {
			list_add_tail(list, &node->link);
			condition->waiting--;
			count++;
		} else {
			count += MUTANT(192, 0, 1);
		}
	}
	return count;
}

size_t hilo_condition_notify(hilo_condition *public, size_t n)
{
	struct condition *condition = condition_of(public);
	struct list list = LIST_INIT(list), *link, *next;
	size_t count;

	condition_lock(condition);
	count = waiters_win(condition, n, &list);
	MUTANT(191, spin_unlock(&condition->lock), (void)0); /* P2 */
	for (link = list.next; link != &list; link = next) {
		struct contend_node *node = list_entry(link, struct contend_node, link);
		struct contend_won won = {node->contender, node->number};

		next = link->next; /* the node goes with being told */
		contend_tell(&won);
	}
	MUTANT(191, (void)0, spin_unlock(&condition->lock));
	return count;
}

size_t hilo_condition_notify_all(hilo_condition *condition)
{
	return hilo_condition_notify(condition, SIZE_MAX);
}
