/* SPDX-License-Identifier: MIT */
/*
 * wait.c - parking the current task, or the current plain thread, until woken, deadline or cancel.
 *
 * P1  A plain thread reads its futex word (acquire) before it commits; a wake bumps it (release)
 *     after it has cleared the state's P bit. So either the commit sees the notification, or the
 *     futex call sees a changed word, or the thread sleeps and is woken.
 */
#include "scheduler/wait.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/scheduler.h"

/* [any, the wheel's lock held] The deadline has come: wake the waiter, who looks at the clock. */
static void wait_expired(struct timer *timer)
{
	struct wait *wait = container_of(timer, struct wait, timer);

	hilo__task_wake(wait->task, wait->episode);
}

int hilo__wait_begin(struct wait *wait, enum wait_kind kind, const void *object, hilo_time deadline)
{
	struct thread *self = thread_self();
	struct hilo_task *task = self->task;

	wait->thread = !self->loop;
	if (HILO__UNLIKELY(wait->thread)) {
		if (self->closing)
			return -EDEADLK; /* a callback at the end of a runtime */
		task = hilo__thread_record(self);
		if (!task)
			return -ENOMEM;
	} else if (HILO__UNLIKELY(!task)) {
		return -EDEADLK;
	}
	if (task_is_interrupted(task))
		return -ECANCELED;
	wait->task = task;
	wait->episode = task_state_episode(load_relaxed(&task->state)); /* relaxed: only we bump it */
	wait->armed = false;
	wait->deadline = deadline;
	if (HILO__LIKELY(!wait->thread)) {
		/* relaxed: reports read them one by one */
		store_relaxed(&self->fiber->wait.kind, (int)kind);
		store_relaxed(&self->fiber->wait.object, object);
		store_relaxed(&self->fiber->wait.deadline, deadline);
	}
	return 0;
}

/* Sleep in the kernel. Spurious returns are fine: the caller looks again. */
static void thread_park(struct wait *wait)
{
	struct hilo_task *record = wait->task;
	uint32_t seen = load_acquire(&record->futex); /* P1 */

	if (!MUTANT(70, task_state_commit(&record->state), (task_state_commit(&record->state), true)))
		return;
	while (load_acquire(&record->futex) == seen) /* P1 */
		if (hilo__futex_wait(&record->futex, MUTANT(71, seen, load_relaxed(&record->futex)),
				     wait->deadline) == -ETIMEDOUT)
			break;
	/*
	 * After a timeout we take P back, as a wake of our own. If somebody else has cleared it, his bump is
	 * on its way, and we wait for it: our record may be a task's by the time that he comes.
	 */
	if (MUTANT(72, !(and_acq_rel(&record->state, ~TASK_PARKED) & TASK_PARKED), false))
		while (load_acquire(&record->futex) == seen) /* P1 */
			(void)hilo__futex_wait(&record->futex, seen, HILO_FOREVER);
}

static void wait_arm(struct wait *wait, struct hilo_loop *loop)
{
	wait->timers = &loop->timers;
	timer_init(&wait->timer, wait_expired);
	wait->armed = true;
	hilo__timer_add(wait->timers, &wait->timer, wait->deadline);
}

int hilo__wait_park(struct wait *wait)
{
	struct thread *self = thread_self();
	bool notified;

	if (task_is_interrupted(wait->task))
		return -ECANCELED;
	notified = task_state_consume(&wait->task->state);
	if (wait->deadline != HILO_FOREVER && (wait->deadline <= 0 || hilo__clock_now() >= wait->deadline))
		return -ETIMEDOUT;
	if (notified)
		return 0;
	if (HILO__UNLIKELY(wait->thread)) {
		thread_park(wait);
		return 0;
	}
	if (wait->deadline != HILO_FOREVER && !wait->armed)
		wait_arm(wait, self->loop);
	hilo__leave(self, LEAVE_PARK);
	return 0;
}

void hilo__wait_end(struct wait *wait)
{
	if (MUTANT(74, wait->armed, false))
		(void)hilo__timer_del(wait->timers, &wait->timer);
	task_state_end_wait(&wait->task->state);
	if (!wait->thread)
		store_relaxed(&thread_self()->fiber->wait.kind, WAIT_NOTHING); /* relaxed: as above */
}
