/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_GATHER_H
#define HILO_RUNTIME_GATHER_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/* gather.h - waiting for several tasks at once, and for one within a limit. */

/*
 * [any, suspends] Wait until all @n @tasks have ended, and end their handles. A NULL among them is a task that
 * could not be made: it has failed with -ENOMEM.
 *
 * @results NULL: 0 when all have succeeded; else the code of the first that has failed, as soon as it has,
 * with its message and its task (hilo_error_message, hilo_error_task). The others go on by themselves.
 * Of several that fail within the first 100 us the one with the lowest position counts as the first.
 * @results of @n places: 0 when all have ended, their codes by position; failures are no more than codes.
 *
 * The tasks are the call's. If the wait ends early, -ECANCELED or -ETIMEDOUT, they are cancelled and have
 * really ended when this returns, which no deadline limits; hilo_error_task() is NULL then.
 * -EINVAL when @tasks is NULL and @n is not 0, -EDEADLK from a callback, and when the caller is among
 * them, -ENOMEM when a plain thread waits for the first time: nothing has happened to the tasks then.
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
 * Nothing is cancelled, and all handles stay the caller's. NULLs count as ended, and failed.
 * -ETIMEDOUT or -ECANCELED when the wait ended early; -EINVAL when there is nothing to wait for (@n is 0,
 * @tasks is NULL) and for an unknown @until; -EDEADLK from a callback, and when the caller is among them;
 * -ENOMEM before anything has happened.
 */
HILO_API int hilo_wait(hilo_task *const *tasks, size_t n, enum hilo_wait_until until, hilo_time deadline);

/*
 * [task, suspends] Run @entry(@arg) as a task and wait until it has ended; its code, with its message. At the
 * deadline, and when the caller is cancelled, the task is cancelled; it has really ended when this returns,
 * which no deadline limits. If it ended with -ECANCELED then, that is -ETIMEDOUT for the deadline's
 * sake; what it returns otherwise stands. With a deadline that has passed it is not even begun,
 * unless another worker was fast. -EDEADLK outside of a task, -ENOMEM, HILO_ECLOSED: as hilo_spawn_with.
 */
HILO_API int hilo_wait_for(hilo_task_fn entry, void *arg, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_RUNTIME_GATHER_H */
