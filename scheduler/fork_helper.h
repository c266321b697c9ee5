/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FORK_HELPER_H
#define HILO_SCHEDULER_FORK_HELPER_H

/* fork_helper.h - what those have in common who make tasks for forks: fork_steal.c and fork_help.c. */
#include "scheduler/fork.h"
#include "scheduler/scheduler.h"

/* What a thief has to know before it takes something: the stack, the priority, the kind of region. */
static inline unsigned fork_kind(unsigned stack_class, unsigned task_flags, unsigned flags)
{
	return stack_class | (task_flags & (TASK_HIGH | TASK_LOW)) << 8 | flags << 16;
}

#define KIND_CLASS(kind) ((kind)&0xff)
#define KIND_TASK_FLAGS(kind) ((kind) >> 8 & 0xff)
#define KIND_FLAGS(kind) ((kind) >> 16)

/* [holder of @fiber] A region of @runtime begins there, in the block @forks, with the values @locals. */
void hilo__fork_attach(struct forks *forks, struct fiber *fiber, struct hilo_runtime *runtime, unsigned kind,
		       struct binding *locals);

/* [owner] All that is private is public from here on. */
void hilo__fork_publish_all(struct forks *forks);

/* [worker] The record of a task for a fork of @kind. NULL: no memory. */
struct hilo_task *hilo__fork_new_task(struct hilo_loop *loop, hilo_task_fn entry, unsigned kind,
				      unsigned references);

/* [task made for it, in the region that was begun for that] Run @fork, whose result is in it then; end the region. */
void hilo__fork_execute(struct hilo_fork *fork);

/* [@task, cancelled before it began; its destructor] Do what its entry would have done: @run(@arg). */
void hilo__fork_not_begun(struct hilo_task *task, void (*run)(void *arg), void *arg);

#endif /* HILO_SCHEDULER_FORK_HELPER_H */
