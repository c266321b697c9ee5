/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SELECT_H
#define HILO_RUNTIME_SELECT_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * select.h - waiting for the first of several different things, and doing that one.
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
 *
 * Cases of two sorts may be mixed. Of tasks, futures and timers it is only told that they are ready: nothing is
 * consumed. A case of an object of sync/, which is made by a macro of that object's header (HILO_SELECT_GET of a
 * queue, HILO_SELECT_EVENT, HILO_SELECT_ACQUIRE), is an operation: it is done if it wins, and leaves no trace if it
 * does not. No item is taken, none is put, no place in a line is kept.
 */

enum hilo_select_kind {
	HILO_SELECT_KIND_OFF = 0, /* never wins */
	HILO_SELECT_KIND_TASK = 1,
	HILO_SELECT_KIND_FUTURE = 2,
	HILO_SELECT_KIND_TIMER = 3,
	HILO_SELECT_KIND_OBJECT = 4
};

/* What a kind of object can do in a select. Made by the library. */
typedef struct hilo_select_ops hilo_select_ops;

/*
 * An object of that kind, and what the operation takes, or where it puts what it gets. They have a name for each type,
 * so that a compiler tells one that is of another.
 */
typedef struct hilo_select_object {
	const hilo_select_ops *ops;
	union {
		void *object;
		struct hilo_queue *queue;
		struct hilo_event *event;
		struct hilo_semaphore *semaphore;
		struct hilo_receiver *receiver;
		struct hilo_watcher *watcher;
	};
	union {
		void *item;
		void **ret;
	};
} hilo_select_object;

/*
 * One thing to wait for, made by a macro. All is borrowed until hilo_select returns, and may be used again then.
 *
 * code  of the case that has won, set by hilo_select: what the operation itself would have returned, 0 or a
 *       failure, as -EPIPE for a queue that was shut down; 0 for tasks, futures and timers. Nobody else touches
 *       the code of the others.
 * off   yours: not 0 passes the case over, as if it were not there. It never wins.
 */
typedef struct hilo_select_case {
	enum hilo_select_kind kind;
	union {
		hilo_task *task;
		hilo_future *future;
		hilo_time when;
		hilo_select_object of;
	};
	int code;
	int off;
} hilo_select_case;

/* Ready when the task has ended, when the future is complete, when that absolute time has come. */
#define HILO_SELECT_TASK(t) HILO__SELECT_CASE(TASK, task, t)
#define HILO_SELECT_FUTURE(f) HILO__SELECT_CASE(FUTURE, future, f)
#define HILO_SELECT_TIMER(at) HILO__SELECT_CASE(TIMER, when, at)
/* Never ready; a case that is all zero is the same. */
#define HILO_SELECT_OFF HILO__SELECT_CASE(OFF, when, 0)
#define HILO__SELECT_CASE(KIND, member, value)                                                               \
	{                                                                                                    \
		HILO_SELECT_KIND_##KIND, {.member = (value)}, 0, 0                                           \
	}
/* For the headers of the objects: @type and @slot are names of hilo_select_object. */
#define HILO__SELECT_OBJECT(ops, type, object, slot, value)                                                  \
	{                                                                                                    \
		HILO_SELECT_KIND_OBJECT, {.of = {ops, {.type = (object)}, {.slot = (value)}}}, 0, 0          \
	}

/*
 * [any, suspends] Wait until one of @n @cases is ready, or can be done, do it, and return its position; its `code`
 * tells how that went. Of several at the moment of looking it is the lowest one, so that the order of the
 * cases is their priority; if none is, the first that becomes so. Of tasks and futures nothing is consumed: the code of
 * a task, with its message, is still to be had from hilo_await, the value of a future from hilo_future_await. A
 * NULL could not be made: it is ready, with -ENOMEM for its code, which awaiting it says as well.
 *
 * -ETIMEDOUT or -ECANCELED when the wait ended early, and nothing was done; -EINVAL when there is nothing to wait
 * for (@n is 0, @cases is NULL) and for an unknown kind; -EDEADLK when it would have to wait, in a callback, and when
 * the caller is among them; -ENOMEM before anything has happened (more than 8 cases take memory, and a plain
 * thread's first wait). If all cases are off it waits for the deadline.
 *
 * Each case is tried by itself, in order; then, before it waits, all objects are looked at once more in one step, as if
 * by one lock: two that select the two ends of the same thing (a queue without room of its own) find each other. That
 * holds up whoever uses one of the objects for about 10 ns for each case.
 */
HILO_API int hilo_select(hilo_select_case *cases, size_t n, hilo_time deadline);

/* [any, suspends] The same, but of several at the moment of looking one by lot, each as likely as any other. */
HILO_API int hilo_select_fair(hilo_select_case *cases, size_t n, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_RUNTIME_SELECT_H */
