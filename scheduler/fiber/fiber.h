/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FIBER_FIBER_H
#define HILO_SCHEDULER_FIBER_FIBER_H

/*
 * fiber.h - a stack and the flow of control on it.
 *
 *	slot of a stack                                                    low addresses
 *	| guard | ........ untouched ........ | frames <- | struct fiber | colour |
 *	        stack_low                                  top of the frames      end of the slot
 *
 * The fiber lies at the top of its own stack, in the page of the first frames, so that a suspended
 * one costs a single page and a switch a single entry of the TLB. The colour, 0 to 31 cache lines,
 * follows the number of the slot: without it the tops of all stacks would meet in the same few sets
 * of the cache.
 *
 * A fiber is made once for its slot (stack.h), then restarted for each use. Its fields are changed by
 * whoever runs on it, or by whoever holds it while nobody does.
 */
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"
#include "scheduler/fiber/sanitize.h"
#include "scheduler/fiber/switch.h"

struct forks;
struct hilo_task;
struct scope;

#define FIBER_COLOURS 32

/* What the task on a fiber waits for; kept by the layers above, for reports. */
struct fiber_wait {
	atomic(int) kind;
	atomic(const void *) object;
	atomic(int64_t) deadline;
	atomic(uint64_t) since; /* cycles */
};

struct fiber {
	struct context context;
	void *stack_low;   /* the lowest usable address; NULL for a thread's own stack */
	size_t stack_size; /* from there up to this structure */
	struct hilo_task *task;
	struct fiber *next; /* while unused: link in its cache */
	uint8_t class;	    /* STACK_CLASS_*, 0 for a thread's own stack */
	uint8_t unguarded;  /* 1: nothing stops an overflow, so it is looked for afterwards */
	uint8_t altstack;   /* 1: not run on, but lent to a thread as its signal stack */
	bool silent;	    /* nothing more is told of its task; the layer above's (scheduler/worker.c) */
	struct fiber_wait wait;
	struct scope *scopes; /* those that its task is in; kept by the layer above (scheduler/scope.h) */
	atomic(struct forks *) forks; /* of its task, or NULL; kept by the layer above (scheduler/fork.h) */
	struct fiber *batch_next, *batch_prev; /* while first of a batch in the pool */
	size_t batch_count;
#ifdef HILO__ASAN
	void *asan_fake_stack;
	const void *asan_low; /* bounds as announced; a thread's own stack has some, too */
	size_t asan_size;
#endif
#ifdef HILO__TSAN
	void *tsan_fiber;
#endif
};

/* [any] Make @root stand for the stack of the calling thread, so that it can switch to fibers and back. */
void hilo__fiber_init_root(struct fiber *root);

/* [thread of @root] End it. The thread must be on its own stack. */
void hilo__fiber_fini_root(struct fiber *root);

/* [holder] The part of hilo__fiber_restart that only tools need. */
void hilo__fiber_annotate_restart(struct fiber *fiber);

/* [holder] The part of the making of a fiber that only tools need. */
void hilo__fiber_annotate_new(struct fiber *fiber);

/* [holder] The part of the end of a fiber that only tools need; its memory may go afterwards. */
void hilo__fiber_annotate_free(struct fiber *fiber);

/*
 * [holder] Make the next switch to @fiber, which nobody runs on, call @entry(@fiber) at the top of its
 * stack. Whatever was suspended there is forgotten. @entry never returns and begins with
 * fiber_enter_finish.
 */
static inline void hilo__fiber_restart(struct fiber *fiber, void (*entry)(struct fiber *))
{
#if defined(HILO__ASAN) || defined(HILO__TSAN)
	hilo__fiber_annotate_restart(fiber);
#endif
	/* The cast: a pointer to any structure is passed as a void pointer is, and assembly does the call. */
	context_init(&fiber->context, fiber, (void (*)(void *))(void (*)(void))entry, fiber);
}

/* Tell the tools that @from goes away, for good if @last, and that @to comes. */
static HILO__ALWAYS_INLINE void fiber_leave_start(struct fiber *from, struct fiber *to, int last)
{
#ifdef HILO__ASAN
	if (last)
		from->asan_fake_stack = NULL;
	__sanitizer_start_switch_fiber(last ? NULL : &from->asan_fake_stack, to->asan_low, to->asan_size);
#endif
#ifdef HILO__TSAN
	void *target = to->tsan_fiber;

	/* For whoever restarts or ends the one or the other; acquired nowhere else. */
	fiber_tsan_release(from);
	fiber_tsan_release(to);
	__tsan_switch_to_fiber(target, __tsan_switch_to_fiber_no_sync);
#endif
	(void)from;
	(void)to;
	(void)last;
}

/* [fiber] Tell the tools that the switch to @self is complete: first thing in the entry of a fiber. */
static HILO__ALWAYS_INLINE void fiber_enter_finish(struct fiber *self)
{
#ifdef HILO__ASAN
	__sanitizer_finish_switch_fiber(self->asan_fake_stack, NULL, NULL);
	__asan_handle_no_return(); /* fake frames of a flow that was forgotten may be used again */
#else
	(void)self;
#endif
}

/*
 * [fiber] Suspend @from, which is the running one, and go on in @to, which nobody runs. Returns when
 * somebody switches to @from; the thread may be another one then.
 */
static HILO__ALWAYS_INLINE void fiber_switch(struct fiber *from, struct fiber *to)
{
	fiber_leave_start(from, to, 0);
	context_switch(&from->context, &to->context);
#ifdef HILO__ASAN
	__sanitizer_finish_switch_fiber(from->asan_fake_stack, NULL, NULL);
#endif
}

/*
 * [fiber] As fiber_switch, for a fiber that will be restarted or freed and never resumed. Plain
 * fiber_switch would do; this one gives the tools their memory back at once.
 */
static HILO__ALWAYS_INLINE HILO__NORETURN void fiber_switch_last(struct fiber *from, struct fiber *to)
{
	fiber_leave_start(from, to, 1);
	context_switch(&from->context, &to->context);
	__builtin_unreachable();
}

#endif /* HILO_SCHEDULER_FIBER_FIBER_H */
