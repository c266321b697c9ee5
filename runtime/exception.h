/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_EXCEPTION_H
#define HILO_RUNTIME_EXCEPTION_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * exception.h - failures that nobody looked at, and that nobody can look at any more: of a task whose last
 * handle has gone, of a future whose last reference has. Each is told once, to one handler for the whole
 * process; unless it is replaced that writes a line to the log.
 *
 * To be cancelled is no such failure.
 */

/* Whose failure it is. */
enum hilo_exception_kind {
	HILO_EXCEPTION_OTHER = 0, /* what a program tells by itself, with hilo_call_exception_handler */
	HILO_EXCEPTION_TASK = 1,
	HILO_EXCEPTION_FUTURE = 2, /* also of a call that was submitted without asking for its future */
	HILO_EXCEPTION_CALL = 3	   /* a call in an executor */
};

/* What does not apply is zero. */
typedef struct hilo_exception {
	size_t size; /* sizeof(hilo_exception) */
	enum hilo_exception_kind kind;
	int code;	       /* < 0 */
	const char *message;   /* what hilo_fail attached, or hilo_strerror(code) */
	const char *task;      /* the name of the task that failed */
	uint64_t task_id;      /* its number */
	hilo_task_fn entry;    /* its entry */
	const void *site;      /* return address: where the task was spawned, where the future was set */
	hilo_runtime *runtime; /* the task's own; of a future, that of the caller who let it go */
} hilo_exception;

/*
 * Receives one, borrowed with all that it points to. Called by whoever drops the last handle or reference, on any
 * thread, never with an internal lock held. It is a callback: it must not suspend, and in a task or callback a
 * call that would answers -EDEADLK.
 */
typedef void (*hilo_exception_fn)(const hilo_exception *exception, void *arg);

/*
 * [any] Replace the handler, for the whole process; NULL restores the default. @arg is kept until the next
 * call has returned.
 */
HILO_API void hilo_set_exception_handler(hilo_exception_fn fn, void *arg);

/* [any] What the default does: one line in the log, at level ERROR, which tells the site as text. */
HILO_API void hilo_default_exception_handler(const hilo_exception *exception);

/* [any] Call the handler that is set now. 0, -EINVAL (NULL, or its size is too small), -E2BIG. */
HILO_API int hilo_call_exception_handler(const hilo_exception *exception);

HILO_END_DECLS

#endif /* HILO_RUNTIME_EXCEPTION_H */
