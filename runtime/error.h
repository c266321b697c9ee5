/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_ERROR_H
#define HILO_RUNTIME_ERROR_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * error.h - codes, their names, and the message that travels with a failure.
 *
 * Codes that mean the same wherever they are not said to mean something else:
 *   -ECANCELED  the caller was asked to stop; or what it awaited was cancelled
 *   -ETIMEDOUT  the deadline passed
 *   -EAGAIN     not yet, or not now: what is asked for is not there without waiting, or no thread can be had
 *   -EDEADLK    not from here: a callback would suspend, there is no task or runtime, or the caller would wait
 *               for itself
 *   -ENOMEM     out of memory; also for a NULL task or future: it could not be made
 *   -EINVAL     an argument is wrong; hilo_error_message mostly says which
 *
 * Codes below -5000 are Hilo's own, for what errno has no word for.
 */
#define HILO_EINVALSTATE (-5001) /* too late: it was set, taken or put back before, or its time was over */
#define HILO_ECLOSED (-5002)	 /* the runtime, loop, executor, group or stream is shutting down or closed */
#define HILO_EOVERFLOW (-5003)	 /* a bounded queue is full and its policy says to fail */
#define HILO_EINCOMPLETE (-5004) /* the stream has ended before there was all that was asked for */
#define HILO_ENONAME (-5005)	 /* there is no host, or service, of that name */
#define HILO_ETRUNCATED (-5006)	 /* TLS: the connection has ended, but not what was sent: it may be cut off */

/* Bytes of the longest message kept, with its final NUL; a longer one is cut and ends in "...". */
#define HILO_ERROR_MESSAGE_SIZE 240

/* [any] A sentence in English for @code (negative, or its positive twin). Never NULL. */
HILO_API const char *hilo_strerror(int code);

/* [any] The symbol, "EINVAL" or "HILO_ECLOSED"; "E?" for a code without one. Never NULL. */
HILO_API const char *hilo_errname(int code);

/*
 * [any] Attach a message to a failure and return @code, so that a task can say
 *
 *     return hilo_fail(-EINVAL, "header %s: no such field", name);
 *
 * The message belongs to the calling task (or thread) until the next hilo_fail there. When the
 * task ends with that same @code, whoever awaits it reads the message with hilo_error_message().
 * If there is no memory for the message, the code is returned all the same, without it.
 */
HILO_API int hilo_fail(int code, const char *format, ...) HILO_PRINTF(2, 3);

/*
 * [any] The message of the last failure that the calling task (or thread) made with hilo_fail, or received from
 * a call that waits or that reads a future: await, join, gather, wait_for, the end of a group,
 * hilo_future_result and _take, hilo_run and its like, calls in an executor, hilo_fd_wait; hilo_strerror of the code
 * where it had none, and then, if that is -ETIMEDOUT, also what was waited for in vain: a task by its name, a
 * descriptor by its number. So does the end of HILO_TIMEOUT. "" before the first failure. Valid until the next
 * such call.
 */
HILO_API const char *hilo_error_message(void);

/* [any] The code of that failure, 0 before the first. */
HILO_API int hilo_error_code(void);

/*
 * [any] How far that failure came, where it is about a number of bytes and the call that failed says so: 0,
 * *@ret_have is how many there were, and *@ret_want how many there should have been, or may be; either may be NULL.
 * -ENODATA: it says nothing of the kind, and nothing was changed. The figures go where the message goes, through tasks
 * and futures.
 */
HILO_API int hilo_error_sizes(uint64_t *ret_have, uint64_t *ret_want);

/*
 * [any] The name of the task that failed, or NULL when the failure is a future's that no task has caused, or
 * the caller's own: an await that ended early by its deadline or by a cancel, or a hilo_fail not yet returned.
 * This tells the -ETIMEDOUT of an await from the -ETIMEDOUT that the awaited task returned.
 */
HILO_API const char *hilo_error_task(void);

/*
 * [any] Causes: hilo_fail keeps the failure received just before it, from a task or a future, as its cause. Returns the
 * message of the @depth-th cause (1 is the nearest), or NULL when there is none. At most 8 are kept.
 */
HILO_API const char *hilo_error_cause(unsigned depth, int *ret_code, const char **ret_task);

/*
 * [any] Others: what has failed besides, where several tasks may (HILO_GROUP). Returns the message of the
 * @index-th of them (1 is the first), or NULL when there are no more; code and task as above.
 */
HILO_API const char *hilo_error_other(unsigned index, int *ret_code, const char **ret_task);

HILO_END_DECLS

#endif /* HILO_RUNTIME_ERROR_H */
