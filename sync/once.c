/* SPDX-License-Identifier: MIT */
/*
 * once.c - what is to be done once.
 *
 *	state:  NEW --first caller--> RUNNING --it was done--> DONE
 *	            <--failed, nobody waits--
 *	                              RUNNING --failed--> RUNNING, by the first who waits
 *
 * LIST, beside NEW and RUNNING: somebody has the list of those that wait, and the state.
 *
 * I1  There is at most one runner: the one that made NEW RUNNING, or that the last one has won for it. One that was
 *     won runs its function, cancelled or not: so the right to do that is not lost.
 * I2  Who waits is in the list until it was won, or has taken itself out. A runner does not leave RUNNING for NEW or
 *     DONE before the list is empty: nobody comes for it any more then, and the object may be freed. Whose wait has
 *     ended cannot be won, and is on its way to take itself out: that takes no longer than a lock that is held.
 *
 * P1  DONE is released by the runner, acquired by all who find it: they see what was done.
 * P2  DONE is the last access of the runner to the object, LIST included. Whoever finds it may free the object. All
 *     that wait were won before, under LIST; such a node stays until its contender is told, and links it to the others.
 * P3  LIST is taken with acquire and given back with release, as a lock.
 *
 * Rejected: a spinlock beside the state. It would be given back before DONE is there, and who comes in between would
 * wait for what has happened; or after it, when the object may be gone. And to take those who cannot be won out of the
 * list: they come for it all the same, and look at an object that is gone.
 */
#include <hilo/sync/once.h>

#include <errno.h>

#include "runtime/contend_impl.h"
#include "runtime/runtime_impl.h"
#include "sync/barge_impl.h"
#include "sync/mutex_impl.h"

#define ONCE_NEW 0u
#define ONCE_RUNNING 1u
#define ONCE_DONE 2u
#define ONCE_LIST 4u

struct once {
	atomic(uint32_t) state;
	struct list waiters;	  /* LIST; zero is an empty one */
	struct hilo_task *runner; /* LIST; NULL: a callback */
};

_Static_assert(sizeof(struct once) <= sizeof(hilo_once), "HILO_ONCE_INIT has room for it");

/* One that waits; on its stack. */
struct once_waiter {
	struct contend_node node;
	bool done; /* else it is to run its own function; before it is told */
};

static inline struct once *once_of(const hilo_once *once)
{
	return (struct once *)(uintptr_t)once;
}

void hilo_once_init(hilo_once *once)
{
	*once = (hilo_once)HILO_ONCE_INIT;
}

int hilo_once_is_done(const hilo_once *once)
{
	return MUTANT(193, load_acquire(&once_of(once)->state), load_relaxed(&once_of(once)->state)) ==
	       ONCE_DONE; /* P1 */
}

int hilo_once_destroy(hilo_once *once)
{
	uint32_t state = load_acquire(&once_of(once)->state); /* P1 */

	if (state != ONCE_NEW && state != ONCE_DONE)
		return hilo_fail(-EBUSY, "hilo_once_destroy: somebody runs the function of %p", (void *)once);
	return 0;
}

/* [any] Have the list; the state, which is then RUNNING or NEW. DONE: there is no list any more. */
static uint32_t once_lock(struct once *once)
{
	uint32_t state = load_acquire(&once->state); /* P1 */

	for (unsigned round = 0; state != ONCE_DONE; round++) {
		if (state & ONCE_LIST) {
			spin_pause(round);
			state = load_acquire(&once->state);			   /* P1 */
		} else if (cas_acquire(&once->state, &state, state | ONCE_LIST)) { /* P3 */
			if (!once->waiters.next)
				list_init(&once->waiters);
			return state;
		}
	}
	return state;
}

/* [has the list] The last access, if @state is DONE: P2. */
static inline void once_unlock(struct once *once, uint32_t state)
{
	store_release(&once->state, state); /* P1, P3 */
}

/*
 * [runner, has the list, which it may give back meanwhile] Win, for @won, the first who waits, or @all of them. If it
 * was not the first of several, the list is empty then: I2.
 */
static void once_win(struct once *once, struct list *won, bool all)
{
	struct list *link, *next;
	struct contend_won one;

	for (unsigned round = 0;; round++) {
		list_for_each_safe(link, next, &once->waiters)
		{
			if (!contend_win(list_entry(link, struct contend_node, link), &one))
				continue;
			list_del(link);
			list_add_tail(won, link);
			if (!all)
				return;
		}
		if (MUTANT(373, list_empty(&once->waiters), true)) /* I2 */
			return;
		once_unlock(once, ONCE_RUNNING);
		spin_pause(round);
		(void)once_lock(once);
	}
}

/* [runner] It was done: tell all. */
static void once_tell(struct once *once)
{
	struct list won = LIST_INIT(won);

	(void)once_lock(once);
	once_win(once, &won, true);
	MUTANT(194, (void)0, store_release(&once->state, ONCE_DONE)); /* P2 */
	once_unlock(once, ONCE_DONE);
	for (struct list *link = won.next, *next; link != &won; link = next) {
		struct once_waiter *waiter = list_entry(link, struct once_waiter, node.link);
		struct contend_won one = {waiter->node.contender, waiter->node.number};

		next = link->next; /* it goes with being told */
		waiter->done = true;
		contend_tell(&one);
	}
}

/* [runner] It was not done: the first who waits is the next runner. */
static void once_pass_on(struct once *once)
{
	struct list won = LIST_INIT(won);
	struct contend_node *node;
	struct contend_won one;

	(void)once_lock(once);
	once_win(once, &won, false);
	node = contend_pop(&won);
	if (!node) {
		once_unlock(once, ONCE_NEW);
		return;
	}
	once->runner = node->contender->wait.task;
	container_of(node, struct once_waiter, node)->done = false;
	once_unlock(once, ONCE_RUNNING);
	one = (struct contend_won){node->contender, node->number};
	contend_tell(&one);
}

static int once_execute(struct once *once, int (*fn)(void *arg), void *arg)
{
	int rc = fn(arg);

	if (rc < 0) {
		MUTANT(195, once_pass_on(once), (void)once);
		return rc;
	}
	once_tell(once);
	return 0;
}

/* Be the runner: 1; wait until it was done: 0; or why that wait ended. */
static int once_wait(struct once *once, hilo_time deadline)
{
	struct contender contender;
	struct once_waiter waiter;
	int rc = hilo__contend_begin(&contender, WAIT_ONCE, once, deadline);
	uint32_t state;

	if (rc < 0)
		return hilo__error_own(rc);
	state = once_lock(once);
	if (state == ONCE_RUNNING) {
		contend_add(&once->waiters, &waiter.node, &contender, 0);
		once_unlock(once, ONCE_RUNNING);
		rc = hilo__contend_wait(&contender);
		if (rc == 0) {
			rc = !waiter.done;
		} else {
			(void)once_lock(once); /* RUNNING: I2 */
			(void)contend_remove(&waiter.node);
			once_unlock(once, ONCE_RUNNING);
		}
	} else if (state == ONCE_NEW) {
		once->runner = contender.wait.task;
		once_unlock(once, ONCE_RUNNING);
		rc = 1;
	}
	hilo__contend_end(&contender);
	return rc < 0 ? hilo__error_own(rc) : rc;
}

/* As once_wait, but waits for nobody: -EAGAIN. */
static int once_try(struct once *once, struct hilo_task *me)
{
	uint32_t state = once_lock(once);
	bool again;

	if (state == ONCE_DONE)
		return 0;
	if (state == ONCE_NEW) {
		once->runner = me;
		once_unlock(once, ONCE_RUNNING);
		return 1;
	}
	again = me && once->runner == me; /* of a callback nobody knows which one it is */
	once_unlock(once, ONCE_RUNNING);
	return again ? hilo_fail(-EDEADLK, "hilo_once_run: called from the function that it runs") : -EAGAIN;
}

/* Somebody runs it. As once_wait. */
static int once_wait_as(struct once *once, const struct hilo_task *me, hilo_time deadline)
{
	if (barge_is_over(deadline))
		return hilo__error_own(-ETIMEDOUT);
	if (!me)
		return hilo_fail(-EDEADLK,
				 "hilo_once_run: the function is being run, and a callback cannot wait");
	return once_wait(once, deadline);
}

static HILO__NOINLINE int once_run_slow(struct once *once, int (*fn)(void *arg), void *arg,
					hilo_time deadline)
{
	struct hilo_task *me;
	int rc = hilo__locker(&me);

	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		me = NULL;
	else if (task_is_interrupted(me))
		return hilo__error_own(-ECANCELED);
	rc = once_try(once, me);
	if (rc == -EAGAIN)
		rc = once_wait_as(once, me, deadline);
	return rc == 1 ? once_execute(once, fn, arg) : rc;
}

int hilo_once_run(hilo_once *once, int (*fn)(void *arg), void *arg, hilo_time deadline)
{
	if (HILO__LIKELY(hilo_once_is_done(once)))
		return 0;
	return once_run_slow(once_of(once), fn, arg, deadline);
}
