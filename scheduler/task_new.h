/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_TASK_NEW_H
#define HILO_SCHEDULER_TASK_NEW_H

/*
 * task_new.h - making the record of a task. Inline, for whoever spawns without options: what it is made from is known
 * there when the spawn is compiled. P1 is in task.c.
 */
#include "scheduler/base/pool.h"
#include "scheduler/scheduler.h"

/* [thread of @loop; NULL: any] A number for a task, where the loop has none left. */
uint64_t hilo__task_number(struct hilo_loop *loop);

/* [thread with @heap, and of @loop; NULL: of none] A record for @spec, in no queue yet. NULL: out of memory. */
static inline struct hilo_task *task_new(struct heap *heap, struct hilo_loop *loop,
					 struct hilo_runtime *runtime, const struct task_spec *spec)
{
	struct hilo_task *task = pool_alloc(heap, POOL_TASK);

	if (HILO__UNLIKELY(!task))
		return NULL;
	task_state_reset(&task->state);
	store_relaxed(&task->fiber, NULL); /* relaxed: published by the queue, as all of these */
	task->entry = spec->entry;
	task->arg = spec->arg;
	task->done.waiters = NULL;
	store_relaxed(&task->done.word, COMPLETION_DONE); /* relaxed: published by the next line */
	store_release(&task->runtime, runtime);		  /* P1 */
	task->loop = spec->loop;
	task->id = HILO__LIKELY(loop && loop->next_id != loop->last_id) ? loop->next_id++
									: hilo__task_number(loop);
	store_relaxed(&task->name, spec->name); /* relaxed: as above */
	task->destroy = spec->destroy;
	store_relaxed(&task->spawn_site, spec->site); /* relaxed: as above */
	task->error = NULL;
	task->stack_class = (uint8_t)spec->stack_class;
	task->flags = (uint8_t)spec->flags;
	task->shield = 0;
	task->locals = NULL;
	store_relaxed(&task->looked, 0); /* relaxed: published by the queue */
	store_release(&task->done.word, spec->references * COMPLETION_REF); /* P1 */
	return task;
}

#endif /* HILO_SCHEDULER_TASK_NEW_H */
