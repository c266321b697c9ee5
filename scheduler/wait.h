/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_WAIT_H
#define HILO_SCHEDULER_WAIT_H

/*
 * wait.h - the one suspension primitive. Every call that suspends is written with it:
 *
 *	rc = hilo__wait_begin(&wait, WAIT_TASK, object, deadline);
 *	if (rc < 0)
 *		return rc;                              (a cancel was set, or this may not suspend)
 *	register (wait.task, wait.episode) with what shall wake it;
 *	while (!happened() && rc == 0)
 *		rc = hilo__wait_park(&wait);            (0: look again; else the wait is over)
 *	take the registration back; if it has happened after all, rc = 0;
 *	hilo__wait_end(&wait);
 *
 * So the order of reasons is the same everywhere: a cancel that is set at entry wins; afterwards a
 * result outranks a cancel, because the last look is at the object; a cancel outranks the deadline,
 * because park looks for it first; a deadline already passed still tries once.
 *
 * The wait lies on the waiter's stack. Wake-ups name (task, episode) and may come late or in vain.
 */
#include <hilo/runtime/types.h>

#include "scheduler/scheduler.h"
#include "scheduler/timer.h"

struct hilo_task;

/* What a task waits for, for dumps. */
enum wait_kind {
	WAIT_NOTHING = 0,
	WAIT_SLEEP,
	WAIT_TASK,
	WAIT_FUTURE,
	WAIT_EXECUTOR,
	WAIT_EXECUTOR_ROOM,
	WAIT_FD,
	WAIT_OTHER,
	WAIT_TASKS, /* the object is where their handles are */
	WAIT_GROUP,
	WAIT_RUNTIME, /* the end of another one */
	WAIT_SELECT,  /* where the cases are */
	WAIT_MUTEX,
	WAIT_RWLOCK_READ,
	WAIT_RWLOCK_WRITE,
	WAIT_CONDITION,
	WAIT_EVENT,
	WAIT_SEMAPHORE,
	WAIT_BARRIER,
	WAIT_ONCE,
	WAIT_COUNT, /* a wait group or a latch */
	WAIT_QUEUE_PUT,
	WAIT_QUEUE_GET,
	WAIT_QUEUE_JOIN,
	WAIT_BROADCAST,
	WAIT_WATCH,
	WAIT_STREAM_READ,
	WAIT_STREAM_WRITE,
	WAIT_FILE,
	WAIT_FILE_EVENT,
	WAIT_FORK,
};

struct wait {
	struct hilo_task *task;
	uint32_t episode;
	bool thread;	       /* a plain thread waits, on its futex */
	bool armed;	       /* the timer was added, to ... */
	struct timers *timers; /* ... this wheel */
	hilo_time deadline;
	struct timer timer;
};

/* What a parked task waits for, and for how long it has done so. */
struct wait_seen {
	int kind; /* enum wait_kind */
	const void *object;
	hilo_time age; /* too long by up to what its worker did in one go before: some 50 us, mostly */
};

/* [any, holds a reference on @task] False: it is not parked, or has changed meanwhile. */
bool hilo__wait_look(struct hilo_task *task, struct wait_seen *ret);

/*
 * [any, holds a reference on @task] Return addresses of a parked task, the innermost first. How many are
 * in @frames then, @max at most; -EAGAIN: it is not parked; -EOPNOTSUPP. Never suspends.
 */
int hilo__wait_frames(struct hilo_task *task, void **frames, size_t max);

/* [any] The same of the caller, from @from on, one of its return addresses. */
int hilo__wait_frames_here(const void *from, void **frames, size_t max);

/* [any] Begin. 0; -ECANCELED; -EDEADLK in a callback; -ENOMEM (a plain thread's first wait). */
int hilo__wait_begin(struct wait *wait, enum wait_kind kind, const void *object, hilo_time deadline);

/* [task on @self that no cancel interrupts] What hilo__wait_begin does then. */
static HILO__ALWAYS_INLINE void wait_begin_task(struct wait *wait, const struct thread *self,
						enum wait_kind kind, const void *object, hilo_time deadline)
{
	struct fiber_wait *what = &self->fiber->wait;

	wait->task = self->task;
	/* relaxed: whoever bumps it besides us has woken us */
	wait->episode = task_state_episode(load_relaxed(&self->task->state));
	wait->thread = false;
	wait->armed = false;
	wait->deadline = deadline;
	MUTANT(75, store_release(&what->kind, (int)kind), store_relaxed(&what->kind, (int)kind)); /* P2 */
	MUTANT(76, store_release(&what->object, object), store_relaxed(&what->object, object));	  /* P2 */
	/* relaxed: numbers; a report may find those of the wait before or after */
	store_relaxed(&what->deadline, deadline);
	store_relaxed(&what->since, self->loop->turn_cycles); /* relaxed: as above */
}

/* [any] hilo__wait_begin, inline where a task calls that no cancel is set for. */
static inline int wait_begin(struct wait *wait, enum wait_kind kind, const void *object, hilo_time deadline)
{
	const struct thread *self = thread_self();

	/* relaxed: a cancel that comes later ends the wait */
	if (HILO__UNLIKELY(!self->loop || !self->task || load_relaxed(&self->task->state) & TASK_CANCEL_MASK))
		return hilo__wait_begin(wait, kind, object, deadline);
	wait_begin_task(wait, self, kind, object, deadline);
	return 0;
}

/* [any, suspends] Wait for a wake-up. 0: look again; -ECANCELED; -ETIMEDOUT. */
int hilo__wait_park(struct wait *wait);

/* End; after it no wake-up for this wait has any effect. Never suspends. */
void hilo__wait_end(struct wait *wait);

/* The same, inline where a task has waited without a timer. */
static inline void wait_end(struct wait *wait)
{
	if (HILO__UNLIKELY(wait->armed || wait->thread)) {
		hilo__wait_end(wait);
		return;
	}
	(void)task_state_end_wait(&wait->task->state, wait->episode);
	store_relaxed(&thread_self()->fiber->wait.kind, WAIT_NOTHING); /* relaxed: it says nothing */
}

#endif /* HILO_SCHEDULER_WAIT_H */
