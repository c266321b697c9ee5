/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_GATHER_H
#define HILO_RUNTIME_GATHER_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/* gather.h - waiting for several tasks at once, or one after the other; and for one within a limit. */

/*
 * [any, suspends] Wait until all @n @tasks have ended. The handles are the call's, one for each place, and
 * are ended when it returns. A NULL among them is a task that could not be made: it has failed with -ENOMEM.
 *
 * @results NULL: 0 when all have succeeded; else the code of the first that has failed, as soon as it has,
 * with its message and its task (hilo_error_message, hilo_error_task). The others go on by themselves: what
 * they use has to outlive them, and their failures are reported. Of several that fail within the first 100 us
 * the one with the lowest position counts as the first. Without memory a failure may be seen 10 ms late.
 * @results of @n places: 0 when all have ended, their codes by position; failures are no more than codes.
 *
 * When the wait ends early, -ECANCELED or -ETIMEDOUT, the tasks are cancelled and have really ended when this
 * returns, which no deadline limits; what they return in spite of that is in @results.
 * hilo_error_task() tells a failure of the call's own, NULL, from a task's.
 * -ENOMEM for a NULL, and when a plain thread waits for the first time: the tasks go on by themselves.
 * -EINVAL (@tasks is NULL) and -EDEADLK (from a callback; the caller is among them): nothing has happened,
 * and the handles are still the caller's.
 */
HILO_API int hilo_gather(hilo_task *const *tasks, size_t n, int *results, hilo_time deadline);

/* What hilo_wait waits for. */
enum hilo_wait_until {
	HILO_ALL_COMPLETED = 0,
	HILO_FIRST_COMPLETED = 1,
	HILO_FIRST_EXCEPTION = 2 /* one has failed, and not been cancelled; or all have ended */
};

/*
 * [any, suspends] Wait for some of @n @tasks, and return how many have ended; hilo_task_is_done tells which.
 * Nothing is cancelled, and all handles stay the caller's. A NULL has ended, and failed: take it out before
 * waiting for the next one.
 * -ETIMEDOUT or -ECANCELED when the wait ended early; -EINVAL when there is nothing to wait for (@n is 0,
 * @tasks is NULL) and for an unknown @until; -EDEADLK from a callback, and when the caller is among them;
 * -ENOMEM before anything has happened.
 */
HILO_API int hilo_wait(hilo_task *const *tasks, size_t n, enum hilo_wait_until until, hilo_time deadline);

/* Tasks that are to be had in the order in which they end. */
typedef struct hilo_as_completed hilo_as_completed;

/*
 * [any] Make a set of @n @tasks in *@ret, to be ended with hilo_as_completed_free. All handles stay the
 * caller's; each must stay owned by somebody until its task was yielded, or the set was freed. A NULL among
 * them has ended, and comes first. -EINVAL (@tasks or @ret is NULL), -EDEADLK (the caller is among them),
 * -ENOMEM. It is the only call for a set that asks for memory.
 */
HILO_API HILO_MUST_CHECK int hilo_as_completed_new(hilo_task *const *tasks, size_t n,
						   hilo_as_completed **ret);

/*
 * [any, suspends] Wait for the next of them that ends: 1, and *@ret; 0 when all were yielded. They come in the
 * order in which they end; two that end at the same moment, on two workers, in either order, even if one has
 * awaited the other. To be yielded is not to be looked at: hilo_join it, or hilo_task_unref.
 * Any number may call it at the same time: each task is yielded once.
 * -ETIMEDOUT or -ECANCELED when the wait ended early, and nothing is lost; -EDEADLK from a callback; -EINVAL
 * (@ret is NULL); -ENOMEM, before anything has happened, for NULL and for a plain thread's first wait.
 */
HILO_API int hilo_as_completed_next(hilo_as_completed *set, hilo_task **ret, hilo_time deadline);

/* [any] End it, when nobody waits in it any more. Nothing is cancelled. NULL: no-op. */
HILO_API void hilo_as_completed_free(hilo_as_completed *set);

/*
 * [task, suspends] Run @entry(@arg) as a task and wait until it has ended; its code, with its message. At the
 * deadline, and when the caller is cancelled, the task is cancelled; it has really ended when this returns,
 * which no deadline limits. If it ended with -ECANCELED then, that is -ETIMEDOUT for the deadline's
 * sake; what it returns otherwise stands. A caller that is cancelled after the deadline gets -ETIMEDOUT, and
 * finds the request set. With a deadline that has passed the task is not begun, unless another worker was fast.
 * -ECANCELED without a task when a cancel is set already. -EINVAL (@entry is NULL), -EDEADLK outside of a
 * task, -ENOMEM, HILO_ECLOSED as hilo_spawn_with; hilo_error_task() is NULL for all that is not the task's.
 */
HILO_API int hilo_wait_for(hilo_task_fn entry, void *arg, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_RUNTIME_GATHER_H */
