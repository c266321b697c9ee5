/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_WORKER_H
#define HILO_SCHEDULER_WORKER_H

/* worker.h - the thread that drives a loop: what it runs next, when it steals, how it goes idle. */
#include "scheduler/scheduler.h"

/* A turn lasts this long at most when tasks are short; one task at least. */
#define TURN_US 50
/* And has so many runs at most. */
#define TURN_TASKS 61

/* A worker's thread. @arg is its loop. */
void *hilo__worker_main(void *arg);

/* What a fiber begins with: where nobody is told when its task runs, and where somebody is. */
void hilo__fiber_main(struct fiber *fiber);
void hilo__fiber_main_told(struct fiber *fiber);

/* [any] Somebody is told when tasks of @loop are resumed or suspend. Constant, as the next one. */
static inline bool hilo__loop_tells(const struct hilo_loop *loop)
{
	return loop->runtime->hooks.resumed || loop->runtime->hooks.suspended;
}

/* [any] So is somebody, or looks at suspensions. */
static inline bool hilo__loop_is_watched(const struct hilo_loop *loop)
{
	return hilo__on_suspend || hilo__loop_tells(loop);
}

/* [owner] One turn of the loop, on the worker's own stack. */
void hilo__worker_turn(struct thread *self, struct hilo_loop *loop);

/* [owner, nothing to run here] Search the others, then sleep. Something to run, or NULL: look again. */
struct hilo_task *hilo__worker_search(struct hilo_loop *loop);

/* [owner that has slept] Before it runs something again. */
void hilo__worker_awake(struct hilo_loop *loop);

/* [owner] The task has run, or was cancelled before it could: everything that waits for it goes on. */
void hilo__task_finish(struct hilo_task *task, int result);

/* [owner] A task that could not go on, or gives way: to the back of the ring, or of its own queue. */
static inline void worker_requeue(struct hilo_loop *loop, struct hilo_task *task)
{
	if (HILO__UNLIKELY(task->flags & TASK_SPECIAL))
		hilo__task_ready(task);
	else
		loop_push_ring(loop, task);
}

/* [owner, own backlog empty] Tasks of a list, oldest first, into our ring; what has no room is the backlog then. */
void hilo__worker_take_list(struct hilo_loop *loop, struct link *first);

/* [owner] Everything that came in from other threads goes into the loop's own queues. */
void hilo__worker_drain(struct hilo_loop *loop);

/* [owner, own deque empty] Fresh tasks that once had no room, back into the deque. */
void hilo__worker_take_fresh(struct hilo_loop *loop);

/* [any] No task is queued that is bound to @loop or has a priority: a hint. */
static inline bool hilo__loop_is_ordinary(struct hilo_loop *loop)
{
	return queue_is_empty(&loop->pinned) && queue_is_empty(&loop->high) && queue_is_empty(&loop->low);
}

/* [any] How many tasks are queued that thieves may take, more or less: a hint. */
static inline uint64_t hilo__loop_queued(struct hilo_loop *loop)
{
	return (uint64_t)(hilo__ring_size(&loop->ring) + hilo__deque_size(&loop->deque)) +
	       queue_gathered(&loop->high) + queue_gathered(&loop->low);
}

/* [owner] Nothing queued here, as far as the owner can see without an exchange. */
bool hilo__worker_is_empty(struct hilo_loop *loop);

#endif /* HILO_SCHEDULER_WORKER_H */
