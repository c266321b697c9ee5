/* SPDX-License-Identifier: MIT */
/*
 * wait.c - parking the current task, or the current plain thread, until woken, deadline or cancel.
 *
 * P1  A plain thread reads its futex word (acquire) before it commits; who has cleared the state's P
 *     bit, by a wake or by winning the wait, bumps it afterwards (release). So either the commit sees
 *     the notification, or the futex call sees a changed word, or the thread sleeps and is woken.
 * P2  A wait is ended in the state word, by the task or by who wins it; later the task begins another
 *     one, which releases kind and object. A report reads the state (acquire, pairs with the commit),
 *     then these (acquire), then the state again: what belongs to a later wait comes with the later
 *     episode.
 *
 * Since when a task waits is told by a time that its loop has at hand: the begin of the turn, or, where
 * leaving the task ends the turn, the clock. Rejected: the clock at each wait, 8 to 20 ns.
 */
#include "scheduler/wait.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/fiber/unwind.h"
#include "scheduler/scheduler.h"
#include "scheduler/standin.h"

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
	if (HILO__LIKELY(!wait->thread)) {
		wait_begin_task(wait, self, kind, object, deadline);
		return 0;
	}
	wait->task = task;
	/* relaxed: whoever bumps it besides us has woken us */
	wait->episode = task_state_episode(load_relaxed(&task->state));
	wait->armed = false;
	wait->deadline = deadline;
	return 0;
}

/* Sleep in the kernel. Spurious returns are fine: the caller looks again. */
static void thread_park(struct wait *wait)
{
	struct hilo_task *record = wait->task;
	uint32_t seen;

	if (HILO__UNLIKELY(thread_self()->on_park != NULL))
		thread_self()->on_park();
	seen = load_acquire(&record->futex); /* P1 */
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
	wait->timers = &loop->host->timers;
	timer_init(&wait->timer, wait_expired);
	wait->armed = true;
	hilo__timer_add(wait->timers, &wait->timer, wait->deadline);
	if (HILO__UNLIKELY(loop->host != loop))
		hilo__standin_armed(loop, loop->host);
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
	task_state_end_wait(&wait->task->state, wait->episode);
	if (!wait->thread)
		store_relaxed(&thread_self()->fiber->wait.kind, WAIT_NOTHING); /* relaxed: it says nothing */
}

bool hilo__wait_look(struct hilo_task *task, struct wait_seen *ret)
{
	uint64_t state = MUTANT(78, load_acquire(&task->state), load_relaxed(&task->state)); /* P2 */
	uint64_t after;
	struct fiber *fiber = load_relaxed(&task->fiber); /* relaxed: it has one while it is parked */
	int64_t cycles;

	if (!(state & TASK_PARKED) || !fiber)
		return false;
	ret->kind = load_acquire(&fiber->wait.kind);	 /* P2 */
	ret->object = load_acquire(&fiber->wait.object); /* P2 */
	/* relaxed: a number */
	cycles = (int64_t)(cycles_now() - load_relaxed(&fiber->wait.since));
	ret->age = cycles > 0 ? hilo__cycles_to_ns((uint64_t)cycles) : 0; /* CPUs may differ by a little */
	after = load_relaxed(&task->state); /* relaxed: ordered by the loads before, P2 */
	/* The end of the wait may be seen before what ended it. */
	return ret->kind != WAIT_NOTHING && after & TASK_PARKED &&
	       MUTANT(77, task_state_episode(after) == task_state_episode(state), true);
}

/* While the task is held nobody runs it: what wakes it meanwhile leaves a notification, and it to us. */
int hilo__wait_frames(struct hilo_task *task, void **frames, size_t max)
{
	int n;

	if (!task_state_hold(&task->state))
		return -EAGAIN;
	n = hilo__unwind_fiber(load_relaxed(&task->fiber), frames, max); /* relaxed: the hold has acquired */
	if (!task_state_commit(&task->state)) {
		TRACE_HERE(thread_self(), TRACE_WAKE, task->id, 0);
		hilo__task_ready(task);
	}
	return n;
}

int hilo__wait_frames_here(const void *from, void **frames, size_t max)
{
	return hilo__unwind_here(from, frames, max);
}
