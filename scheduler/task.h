/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_TASK_H
#define HILO_SCHEDULER_TASK_H

/*
 * task.h - the record of a task: 128 bytes, two cache lines.
 *
 * The first line is what spawn, run, wake and complete touch; the second is written at spawn and
 * read when something is out of the ordinary. The stack is attached at the first run; what else a
 * task needs while it waits lies in the page at the top of that stack (struct fiber).
 *
 * Plain threads that wait have such a record too: a wake-up need not know whom it wakes.
 *
 * Who frees it: see completion.h; the handles are the references, the run is the implicit one.
 */
#include <hilo/runtime/types.h>

#include "scheduler/base/compiler.h"
#include "scheduler/completion.h"
#include "scheduler/inbox.h"
#include "scheduler/task_state.h"

struct binding;
struct error;
struct fiber;

struct hilo_task {
	task_state state;	      /* first: the pool keeps these 8 bytes while the record is free */
	struct link link;	      /* in an inbox or a chain; the free list's link while free */
	atomic(struct fiber *) fiber; /* from first run to end; written by whoever runs it */
	uint8_t stack_class;
	uint8_t flags;		/* TASK_* below; only the creator and the task itself write */
	atomic(uint8_t) looked; /* somebody has read the result */
	uint8_t shield;		/* depth of shielded sections */
	union {
		atomic(uint32_t) futex; /* of a plain thread: bumped by each wake */
		atomic(uint32_t) depth; /* of a task: how far below its fiber it has left that; a hint */
	};
	hilo_task_fn entry;		       /* NULL: the record of a plain thread */
	struct completion done;		       /* result and joiners */
	atomic(struct hilo_runtime *) runtime; /* its own; a plain thread's record: NULL */

	void *arg;
	struct hilo_loop *loop; /* pinned to it, or the one it ran on last */
	uint64_t id;
	atomic(const char *) name; /* hilo__name_new; NULL: not asked for yet, "task-<id>" */
	void (*destroy)(void *arg);
	atomic(const void *) spawn_site; /* return address of the call that made it; of a dead record, too */
	struct error *error;		 /* owned; what hilo_fail attached */
	struct binding *locals;		 /* locals.h; owned */
};

#define TASK_PINNED 1u
#define TASK_THREAD 2u /* a plain thread's record */
#define TASK_MAIN 4u   /* the runtime's first task: its result is always looked at */
#define TASK_EAGER 8u  /* starts inside the spawn, if that is made by a task */
#define TASK_HIGH 16u  /* its priority; neither: an ordinary one */
#define TASK_LOW 32u
#define TASK_ENDS 64u  /* its runtime ends with it */
#define TASK_TOLD 128u /* the hooks of its runtime are told of it */
/* Not for slot, deque and ring. */
#define TASK_SPECIAL (TASK_PINNED | TASK_THREAD | TASK_HIGH | TASK_LOW)

_Static_assert(sizeof(struct hilo_task) <= 128, "a record is two cache lines");
_Static_assert(offsetof(struct hilo_task, link) == TASK_LINK_OFFSET, "queues find the link there");

static inline bool task_is_cancelled(struct hilo_task *task)
{
	return load_relaxed(&task->state) & TASK_CANCEL_MASK; /* relaxed: whoever is late is seen next time */
}

/* The frames of a task that waits: in cache lines, as a read of a stream needs them. */
#define WAIT_LINES 10

/*
 * [any] It runs soon, and goes back through the frames of its wait: have their lines on their way. It may be gone:
 * records are never unmapped, so looking at its first line is harmless.
 */
static inline void task_prefetch(const struct hilo_task *task)
{
#if !defined(HILO__ASAN) && !defined(HILO__TSAN)
	/* relaxed: hints */
	const char *fiber = (const char *)load_relaxed(&((struct hilo_task *)task)->fiber);
	const char *frames = fiber - load_relaxed(&((struct hilo_task *)task)->depth);

	if (!fiber)
		return; /* it has not begun */
	__builtin_prefetch(fiber);
	for (int i = 0; i < WAIT_LINES; i++)
		__builtin_prefetch(frames + 64 * i);
#else
	(void)task;
#endif
}

/* [task, with a request set] Whether one counts where it stands: scope.h. */
bool hilo__task_must_stop(struct hilo_task *task);

/* [task] True if it must stop now: a request is set and no shield keeps it off. */
static inline bool task_is_interrupted(struct hilo_task *task)
{
	return HILO__UNLIKELY(task_is_cancelled(task)) && hilo__task_must_stop(task);
}

#endif /* HILO_SCHEDULER_TASK_H */
