/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SELECT_H
#define HILO_RUNTIME_SELECT_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * select.h - waiting for the first of several different things.
 *
 *	hilo_select_case cases[] = {
 *		HILO_SELECT_FUTURE(stop),
 *		HILO_SELECT_TASK(worker),
 *		HILO_SELECT_TIMER(hilo_after(HILO_SECOND)),
 *	};
 *
 *	switch (hilo_select(cases, 3, HILO_FOREVER)) {
 *	case 0:                                         somebody wants us to stop
 *	...
 */

enum hilo_select_kind {
	HILO_SELECT_KIND_TASK = 1,
	HILO_SELECT_KIND_FUTURE = 2,
	HILO_SELECT_KIND_TIMER = 3
};

/* One thing to wait for, made by the macros below. All is borrowed. */
typedef struct hilo_select_case {
	enum hilo_select_kind kind;
	union {
		hilo_task *task;
		hilo_future *future;
		hilo_time when;
	};
} hilo_select_case;

/* Ready when the task has ended, when the future is complete, when that absolute time has come. */
#define HILO_SELECT_TASK(t) HILO__SELECT_CASE(TASK, task, t)
#define HILO_SELECT_FUTURE(f) HILO__SELECT_CASE(FUTURE, future, f)
#define HILO_SELECT_TIMER(at) HILO__SELECT_CASE(TIMER, when, at)
#define HILO__SELECT_CASE(KIND, member, value)                                                               \
	{                                                                                                    \
		HILO_SELECT_KIND_##KIND,                                                                     \
		{                                                                                            \
			.member = (value)                                                                    \
		}                                                                                            \
	}

/*
 * [any, suspends] Wait until one of @n @cases is ready and return its position; of several that are ready at
 * the moment of looking the lowest one, so that the order of the cases is their priority. Nothing is cancelled
 * and nothing consumed: the code of a task, with its message, is still to be had from hilo_await, the value
 * of a future from hilo_future_await. A NULL could not be made: it is ready, and awaiting it says -ENOMEM.
 * -ETIMEDOUT or -ECANCELED when the wait ended early; -EINVAL when there is nothing to wait for (@n is 0,
 * @cases is NULL) and for an unknown kind; -EDEADLK from a callback, and when the caller is among them;
 * -ENOMEM before anything has happened.
 */
HILO_API int hilo_select(const hilo_select_case *cases, size_t n, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_RUNTIME_SELECT_H */
