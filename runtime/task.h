/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_TASK_H
#define HILO_RUNTIME_TASK_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * task.h - tasks: ordinary C functions that may suspend and are run in parallel by the workers.
 *
 * A task is a stackful coroutine. It may be stolen by another worker while it is runnable, and go
 * on there after any suspension; so a thread-local address, `errno` included, must not be kept
 * across a call that can suspend.
 *
 * Handles. hilo_spawn returns a handle, owned by the caller, ended by exactly one of hilo_join (when
 * it returns with the task done), hilo_task_detach or hilo_task_unref. More handles on the same task
 * are made with hilo_task_ref. The runtime itself keeps every task alive until it has ended.
 * A failed task whose last handle goes without anybody having read its result is reported once.
 *
 * Cancellation is a request that the task sees as -ECANCELED from its next suspending call, or at
 * once from the one that it is in. It stays set, so every later suspending call says so too, until
 * hilo_task_uncancel. Reasons are ranked: a cancel that is set at entry wins before the operation is
 * tried; once tried, a result outranks a cancel, a cancel outranks the deadline; a deadline already
 * passed still tries once.
 */

/* How large a stack a task gets. */
enum hilo_stack_class {
	HILO_STACK_DEFAULT = 0, /* HILO_STACK_64K, or what the runtime's options say */
	HILO_STACK_16K = 1,
	HILO_STACK_64K = 2,
	HILO_STACK_256K = 3,
	HILO_STACK_1M = 4,
	HILO_STACK_8M = 5 /* for foreign code that expects a thread's stack */
};

enum hilo_task_state {
	HILO_TASK_CREATED = 0,	/* spawned, not yet started: it has no stack */
	HILO_TASK_RUNNABLE = 1, /* running now, or ready and waiting for a worker */
	HILO_TASK_SUSPENDED = 2,
	HILO_TASK_DONE = 3
};

/* Zero means the default in every field. */
typedef struct hilo_task_opts {
	size_t size;	  /* sizeof(hilo_task_opts) */
	const char *name; /* copied; default "task-N" */
	enum hilo_stack_class stack;
	unsigned flags;		    /* HILO_TASK_* below */
	hilo_loop *loop;	    /* with HILO_TASK_PINNED: on which loop; NULL: the caller's */
	void (*destroy)(void *arg); /* called with the argument once the task has ended or could not start */
} hilo_task_opts;

/*
 * What is told of every task of a runtime, for those who measure and trace. None of these functions may suspend or
 * wait, not even with HILO_NO_WAIT, and all had better be quick. NULL: not told.
 *
 * Of a task that runs: resumed, suspended, resumed, ... ended. From one that resumes to the next suspended or ended
 * it has its thread to itself, and no other task is told of there. One that is cancelled before it has begun is
 * resumed and ends; one that gets no stack ends only. After `ended` nothing is told of it, though the values that
 * it has set (local.h) may yet suspend it when they are dropped.
 */
typedef struct hilo_task_hooks {
	size_t size; /* sizeof(hilo_task_hooks) */
	/* [whoever spawns] @task was made and cannot run yet; borrowed. */
	void (*spawned)(hilo_task *task, void *arg);
	/* [task, or its worker] @task ends with @result, and nobody who waits for it knows that yet; borrowed. */
	void (*ended)(hilo_task *task, int result, void *arg);
	void *arg;
	/* [@task] It runs from here on, for the first time or again, on this thread; borrowed. */
	void (*resumed)(hilo_task *task, void *arg);
	/* [@task] It waits or yields, and is about to leave this thread; borrowed. */
	void (*suspended)(hilo_task *task, void *arg);
} hilo_task_hooks;

#define HILO_TASK_PINNED 1u /* bound to a loop: another thread runs it only while that loop's is held */
#define HILO_TASK_EAGER 2u  /* begins inside the spawn, see hilo_spawn_with */
#define HILO_TASK_HIGH 4u   /* goes before others that are ready, see hilo_spawn_with */
#define HILO_TASK_LOW 8u    /* after them */

/*
 * [any task, callback] Make a task that calls @entry(@arg), and return its handle. It may start at
 * once on another worker, never inside this call. @arg is kept until the task has ended.
 * NULL when out of memory, outside of a runtime, when that is shutting down, and for @entry NULL; hilo_spawn_with
 * tells which. Every function that waits for a task answers -ENOMEM for NULL, so the result need not be checked
 * before hilo_join.
 */
HILO_API hilo_task *hilo_spawn(hilo_task_fn entry, void *arg);

/*
 * [any task, callback] As hilo_spawn with options; @opts is borrowed and may be NULL.
 *
 * HILO_TASK_EAGER, from a task: the new one runs at once, on this worker; the caller goes on when it first
 * suspends or ends. So this spawn suspends, though it has no deadline; cancelled callers may do it, too. The
 * caller is ready meanwhile, and next on its worker; if the new task runs for long another worker takes it
 * over, and it goes on beside it. Otherwise a task that never suspended is done when this returns. A caller
 * that is pinned, or has started others so while it was started so itself, goes on in its turn. From a
 * callback, with hilo_submit, for another loop and where there is no stack at the moment, it begins as any other.
 *
 * HILO_TASK_HIGH, HILO_TASK_LOW: whenever a worker chooses a task of its loop, high ones that are ready
 * come first, low ones last; those of the same priority in the order in which they became ready. None
 * starves: while others are ready, too, a high one is chosen seven times in a row at most, and a low one at
 * least once in 64 turns of the loop (of 50 us each, or one task that takes longer). What another thread
 * makes ready is seen with the next turn. The priority lasts for the task's life; nobody is interrupted.
 *
 * 0, -EINVAL (a field out of its range, HILO_TASK_HIGH with HILO_TASK_LOW, HILO_TASK_PINNED on a foreign
 * runtime's loop), -E2BIG, -ENOMEM,
 * -EDEADLK outside of a runtime, HILO_ECLOSED when the runtime is shutting down.
 * With @ret NULL the task is detached from birth. On failure @arg was not taken.
 */
HILO_API HILO_MUST_CHECK int hilo_spawn_with(hilo_task_fn entry, void *arg, const hilo_task_opts *opts,
					     hilo_task **ret);

/*
 * [any] Make a task from outside: as hilo_spawn_with, on @runtime. A plain thread waits for it with hilo_join.
 * -ENOMEM also for @runtime NULL; HILO_ECLOSED when it is shutting down.
 */
HILO_API HILO_MUST_CHECK int hilo_submit(hilo_runtime *runtime, hilo_task_fn entry, void *arg,
					 const hilo_task_opts *opts, hilo_task **ret);

/*
 * [any, suspends] Wait until @task has ended and return what its entry returned. Suspends a task, blocks a
 * plain thread. Any number may await one task; a handle must stay owned by somebody meanwhile.
 * -ETIMEDOUT or -ECANCELED when the wait itself ended early: hilo_error_task() is then NULL.
 * -ENOMEM for NULL, -EDEADLK when @task is the caller itself or the caller is a callback.
 */
HILO_API int hilo_await(hilo_task *task, hilo_time deadline);

/* [any, suspends] As hilo_await, and end the handle if the task is done. On an early end the handle stays. */
HILO_API int hilo_join(hilo_task *task, hilo_time deadline);

/*
 * [any] 0 and the task's code in *@ret; -EAGAIN while it has not ended; -ENOMEM for NULL. Never suspends. Counts as
 * having looked at a failure, but does not bring its message: that is hilo_await's.
 */
HILO_API HILO_MUST_CHECK int hilo_task_result(const hilo_task *task, int *ret);

/* [any] End the handle; the task runs on by itself, and its failure is told to the exception handler. NULL: no-op. */
HILO_API void hilo_task_detach(hilo_task *task);

/* [any] Another handle on the same task, to be ended like the first. Returns @task. NULL: NULL. */
HILO_API hilo_task *hilo_task_ref(hilo_task *task);

/* [any] End a handle whose task is done or is held by another; the same as hilo_task_detach. */
HILO_API void hilo_task_unref(hilo_task *task);

/*
 * [any] Ask @task to stop. Returns at once: 0, -EALREADY when it has ended, -ENOMEM for NULL.
 * A task that has not started completes with -ECANCELED and its entry is never called. Requests are
 * counted (up to 255); each hilo_task_uncancel takes one back.
 */
HILO_API int hilo_task_cancel(hilo_task *task);

/*
 * [any] As hilo_task_cancel, and say why. @reason is kept for good: a literal. The reason of the first request
 * stays until all are taken back; 247 different ones may be used in a process, what comes later is told
 * as one of too many. The message of the -ECANCELED that the task, and whoever awaits it, gets ends with it.
 */
HILO_API int hilo_task_cancel_with(hilo_task *task, const char *reason);

/* [any] Why @task was asked to stop; NULL: it was not, or nobody has said. Valid for ever. */
HILO_API const char *hilo_task_cancel_reason(const hilo_task *task);

/* [task] Take back one request made on the calling task; returns how many remain. -EDEADLK outside. */
HILO_API int hilo_task_uncancel(void);

/* [any] How many requests to cancel are set on @task. */
HILO_API unsigned hilo_task_cancelling(const hilo_task *task);

/*
 * [task] Begin and end a section in which cancel requests wait: suspending calls inside do not see
 * them. Sections nest. For cleanup that must await. -EDEADLK outside of a task.
 */
HILO_API int hilo_shield_enter(void);
HILO_API int hilo_shield_leave(void);

/*
 * [any, suspends] Let others run: the task goes to the back of its worker's queue; a plain thread calls
 * sched_yield. 0, or -ECANCELED (without yielding). -EDEADLK from a callback.
 */
HILO_API int hilo_yield(void);

/*
 * [any, suspends] -ECANCELED if a cancel is set; yields if the task has used up its budget; else 0, as in a plain
 * thread. -EDEADLK from a callback.
 */
HILO_API int hilo_checkpoint(void);

/*
 * [any, suspends] Sleep for @span nanoseconds, never less; 0 or less is one hilo_yield. Blocks a
 * plain thread. 0, -ECANCELED, -EDEADLK from a callback.
 */
HILO_API int hilo_sleep(hilo_time span);

/* [any, suspends] As hilo_sleep, until @when, never waking before it; HILO_FOREVER: until it is cancelled. */
HILO_API int hilo_sleep_until(hilo_time when);

/* [any] The calling task, borrowed; NULL in a plain thread and in a callback. */
HILO_API hilo_task *hilo_task_current(void);

/* [any] The name; valid as long as the handle, though the task may be given another. Copies nothing. */
HILO_API const char *hilo_task_name(const hilo_task *task);

/*
 * [any] Give @task another name, which is copied; NULL or "" is "task-N" again. 0, or -ENOMEM, also for NULL.
 * Earlier names stay in memory as long as the task: it is not for text that changes all the time.
 */
HILO_API int hilo_task_set_name(hilo_task *task, const char *name);

/* [any] The function that it runs. For a NULL task: NULL, in the two below as well; its id is 0. */
HILO_API hilo_task_fn hilo_task_entry(const hilo_task *task);

/* [any] The runtime that it belongs to, which a handle does not keep: use it while that is not freed. */
HILO_API hilo_runtime *hilo_task_runtime(const hilo_task *task);

/* [any] The loop that it is bound to; NULL: to none, so that where it runs changes at any time. */
HILO_API hilo_loop *hilo_task_loop(const hilo_task *task);

/* [any] The number of the task, unique in its process. */
HILO_API uint64_t hilo_task_id(const hilo_task *task);

/*
 * [any] Call @fn(task, @arg) for every task of @runtime that has not ended; those that begin or end meanwhile
 * may be missing. The task is borrowed for the call, hilo_task_ref makes a handle of it. @fn runs in the
 * caller's context and may do what he may. 0, -EINVAL for NULL.
 */
HILO_API int hilo_task_foreach(hilo_runtime *runtime, void (*fn)(hilo_task *task, void *arg), void *arg);

/* [any] What the task is doing, at some moment during the call. */
HILO_API enum hilo_task_state hilo_task_get_state(const hilo_task *task);

/*
 * [any] Where a suspended task is, or the calling one: return addresses, the innermost first, into @frames.
 * Returns how many there are, @max at most. Before the user's functions come those of this library in
 * which it waits. The task is not run for that, and a wake-up that comes meanwhile takes effect afterwards.
 * Never suspends.
 * -EAGAIN when the task is not suspended: it runs on another worker, is ready, has not begun or has ended,
 * or somebody else is just looking; -EOPNOTSUPP where stacks cannot be walked; -ENOMEM for NULL.
 */
HILO_API HILO_MUST_CHECK int hilo_task_get_stack(hilo_task *task, void **frames, size_t max);

/*
 * [any] The same as text to @fd: a line with number and name of the task, and one for each of its first 100
 * frames, with what the dynamic linker knows of it. 0, what hilo_task_get_stack or write(2) answers, or -EINVAL.
 */
HILO_API int hilo_task_print_stack(hilo_task *task, int fd);

/* [any] True once the task has ended and its result can be read; of NULL, too: it could not be made. */
HILO_API int hilo_task_is_done(const hilo_task *task);

/*
 * [any task, callback] Call @fn(@arg) once @task has ended: on the calling loop, in the order of registration,
 * as hilo_future_on_done says in full. Holds a handle of its own until then; who looks at @task in @fn needs
 * another one. To be called back is not to have looked at a failure.
 * -ENOMEM for NULL, -EINVAL, -EDEADLK outside of a loop.
 */
HILO_API HILO_MUST_CHECK int hilo_task_on_done(hilo_task *task, hilo_done_node *node, hilo_callback_fn fn,
					       void *arg);

/* [loop that asked, which needs a handle of its own] As hilo_future_remove_on_done. */
HILO_API int hilo_task_remove_on_done(hilo_task *task, hilo_done_node *node);

HILO_END_DECLS

#endif /* HILO_RUNTIME_TASK_H */
