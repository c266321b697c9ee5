/* SPDX-License-Identifier: MIT */
/*
 * executor_stuck.c - threads of a pool that wait for the pool itself.
 *
 * A call may wait for another call of its own executor: for one that it has made, for a future, for a map, for
 * room in the queue. As long as there is a thread that comes for it, or may be started, that is nothing but a
 * wait. If all threads wait so, and there may be no more of them, none of these waits will ever end.
 *
 * So a thread of a pool that begins such a wait says so, in a record on its stack, and looks whether it is the
 * last one. If there may be more threads one is started, and if none can be had what is queued is refused.
 * It is exact, because it counts the threads whose wait is not over, whatever they have begun:
 *
 *	one whose call runs already counts: the thread that runs it is among those who wait, or it is not, and
 *	then they are not all
 *	one whose wait has been fulfilled does not, though it has not got up yet: it will, and look when it waits
 *	the next time
 *
 * Somebody has to give up. That is the one who comes last, with -EDEADLK; if his wait cannot end, because a
 * call that uses his arguments runs, it is another one, who is told. He is told by a request to cancel, which
 * nobody else makes of a plain thread; it is taken back where the wait ends.
 *
 * A wait with a deadline ends by itself, so it does not count; but who would be the last is refused at once
 * all the same: nobody would come before his deadline.
 *
 * I1  A record is in the list, and its thread tells or is told, under the executor's lock. The thread that
 *     has the record is one of the pool, so the pool is there.
 *
 * Rejected: to run the call that is waited for on the thread that waits for it. It would find the locks of its
 * caller held, and the depth of calls be that of their nesting.
 * Not found: waits that go through a task, as of a call for a task that waits for a call.
 */
#include <hilo/runtime/error.h>

#include <errno.h>

#include "runtime/executor_impl.h"
#include "runtime/log_impl.h"
#include "scheduler/reason.h"

bool hilo__stuck_all(struct hilo_executor *ex, unsigned n)
{
	struct list *at;

	if (ex->stuck_count != n)
		return false;
	list_for_each (at, &ex->stuck) {
		struct stuck *stuck = container_of(at, struct stuck, link);

		if (stuck->told || stuck->happened(stuck->object))
			return false;
	}
	return true;
}

/* [lock ex] Who is to give up when @last waits, too. NULL: nobody has to, or nobody can. */
static struct stuck *stuck_victim(struct hilo_executor *ex, struct stuck *last)
{
	struct list *at;

	if (ex->threads < ex->max_threads || last->happened(last->object) ||
	    !hilo__stuck_all(ex, ex->threads - 1))
		return NULL;
	if (last->leaves)
		return last;
	list_for_each (at, &ex->stuck) {
		struct stuck *stuck = container_of(at, struct stuck, link);

		if (stuck->leaves)
			return stuck;
	}
	return NULL;
}

/* [thread of @ex] */
static HILO__COLD int stuck_join(struct hilo_executor *ex, struct stuck *stuck, bool for_ever)
{
	struct errands errands = {.thread = NULL};
	struct hilo_task *told = NULL;
	struct stuck *victim;

	spin_lock(&ex->lock);
	victim = stuck_victim(ex, stuck);
	if (victim && victim != stuck) {
		victim->told = true;
		if (task_state_cancel(&victim->record->state, REASON_NONE))
			told = victim->record; /* it sleeps until we have woken it */
	}
	if (victim != stuck && for_ever) {
		stuck->executor = ex;
		list_add_tail(&ex->stuck, &stuck->link);
		if (++ex->stuck_count == ex->threads)
			hilo__pool_summon(ex, &errands); /* a thread could not be had before: I2 */
	}
	spin_unlock(&ex->lock);
	if (told)
		hilo__task_ready(told);
	hilo__pool_run_errands(ex, &errands);
	return victim == stuck ? -EDEADLK : 0;
}

int hilo__stuck_begin(struct stuck *stuck, struct hilo_executor *ex, hilo_time deadline)
{
	struct thread *self = thread_self();

	stuck->executor = NULL;
	stuck->told = false;
	if (HILO__LIKELY(self->pool != ex) || deadline <= 0)
		return 0;
	list_init(&stuck->link);
	stuck->record = hilo__thread_record(self);
	if (!stuck->record)
		return 0; /* the wait will say so */
	return stuck_join(ex, stuck, deadline == HILO_FOREVER);
}

int hilo__stuck_end(struct stuck *stuck, int rc)
{
	struct hilo_executor *ex = stuck->executor;

	if (HILO__LIKELY(!ex))
		return rc;
	spin_lock(&ex->lock);
	list_del(&stuck->link);
	ex->stuck_count--;
	spin_unlock(&ex->lock);
	if (!stuck->told) /* plain: under the lock nobody finds us any more */
		return rc;
	(void)task_state_uncancel(&stuck->record->state);
	return rc == -ECANCELED ? -EDEADLK : rc;
}

HILO__COLD struct error *hilo__stuck_say(struct hilo_executor *ex)
{
	struct error *before = hilo__error_swap(NULL), *error;
	bool first;

	(void)hilo_fail(-EDEADLK,
			"executor %s: all its %u threads wait for calls in it, and there may be no more",
			ex->name, ex->max_threads);
	error = hilo__error_swap(before);
	spin_lock(&ex->lock);
	first = !ex->stuck_said;
	ex->stuck_said = true;
	spin_unlock(&ex->lock);
	if (first && error)
		hilo__log(HILO_LOG_WARNING, "%s", hilo__error_text(error));
	return error;
}
