/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_WAITING_H
#define HILO_TESTS_EXPLORE_WAITING_H

/*
 * waiting.h - model threads as tasks that wait, for models that link the shipped wait.c.
 *
 * Model thread n is task n, alone on a worker of its own. Leaving its stack and coming back is what
 * the worker does: commit the wait, sleep until queued, take itself from the queue. The queue is one
 * word, released by whoever made the task ready, and says that this happened once for each park.
 */
#include <string.h>

#include "runtime/debug_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/scheduler.h"
#include "scheduler/standin.h"
#include "scheduler/wait.h"
#include "tests/explore/explore.h"

static _Alignas(128) struct hilo_task records[EXPLORE_THREADS]; /* as a pool has them */
static struct fiber fibers[EXPLORE_THREADS];
static struct thread threads[EXPLORE_THREADS];
static struct hilo_loop loops[EXPLORE_THREADS];
static atomic(uint32_t) queued[EXPLORE_THREADS];

/* @plain: threads of that mask are plain threads, not tasks. */
static inline void waiting_reset(unsigned count, unsigned plain)
{
	for (unsigned i = 0; i < count; i++) {
		memset(&records[i], 0, sizeof(records[i]));
		memset(&threads[i], 0, sizeof(threads[i]));
		records[i].state = (uint64_t)5 << TASK_EPISODE_SHIFT;
		queued[i] = 0;
		threads[i].fiber = &fibers[i];
		if (plain & 1u << i) {
			records[i].flags = TASK_THREAD;
			continue;
		}
		threads[i].loop = &loops[i];
		loops[i].host = &loops[i];
		records[i].loop = &loops[i];
		threads[i].task = &records[i];
	}
	explore_clock = 0;
}

/* At the end: nobody is queued or parked. */
static inline void waiting_check(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		EXPLORE_CHECK(queued[i] == 0);
		EXPLORE_CHECK(!(records[i].state & TASK_PARKED));
	}
}

struct thread *thread_self(void)
{
	return &threads[explore_self()];
}

struct hilo_task *hilo__thread_record(struct thread *self)
{
	return &records[self - threads];
}

__attribute__((weak)) void hilo__leave(struct thread *self, enum leave leave)
{
	unsigned me = explore_self();

	EXPLORE_CHECK(leave == LEAVE_PARK && self->task == &records[me]);
	if (!task_state_commit(&records[me].state))
		return;
	explore_park();
	EXPLORE_CHECK(xchg_acquire(&queued[me], 0) == 1); /* as a run queue's pop */
}

__attribute__((weak)) void hilo__leave_late(struct thread *self)
{
	(void)self;
}

/* Each loop arms on its own wheel. */
__attribute__((weak)) void hilo__standin_armed(struct hilo_loop *loop, struct hilo_loop *armed)
{
	(void)loop;
	(void)armed;
}

/* [whoever cleared P] */
static inline void waiting_ready(struct hilo_task *task)
{
	unsigned index = (unsigned)(task - records);

	if (task->flags & TASK_THREAD) { /* as task.c */
		(void)add_release(&task->futex, 1);
		(void)hilo__futex_wake(&task->futex, 1);
		return;
	}
	EXPLORE_CHECK(xchg_release(&queued[index], 1) == 0); /* as a run queue's push */
	explore_unpark(index);
}

__attribute__((weak)) void hilo__task_woken(struct hilo_task *task)
{
	waiting_ready(task);
}

/* Nothing is in debug mode. */
__attribute__((weak)) void hilo__debug_opened(struct debug_mark *mark, uint32_t runtime, enum debug_kind kind,
					      const void *site)
{
	(void)mark, (void)kind, (void)site;
	explore_fail("a mark for runtime %u", runtime);
}

__attribute__((weak)) void hilo__debug_ended(struct debug_mark *mark)
{
	explore_fail("the mark %u", mark->place);
}

#endif /* HILO_TESTS_EXPLORE_WAITING_H */
