/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_CALLS_H
#define TESTS_SUPPORT_CALLS_H

/*
 * calls.h - the calls that suspend and have something to wait for, each with what it takes to let it
 * succeed, to end its object, and to see that nothing was lost. Tasks make them in test_suspend.c, plain
 * threads in test_suspend_thread.c.
 */
#include "tests/support/test.h"

/* What one call needs; made anew for each case. */
struct scene {
	hilo_executor *executor;
	hilo_future *future;
	hilo_runtime *runtime;
	hilo_task *other;
	hilo_task *blocker;
	test_flag release, blocked;
	atomic(unsigned) calls;
	int fds[2];
	union {
		hilo_event event;
		hilo_semaphore semaphore;
		hilo_barrier barrier;
		hilo_wait_group group;
		hilo_latch latch;
	} sync;
};

#define KIND_NO_DEADLINE 1u
#define KIND_ONCE 2u	  /* when it ends early, so does its object */
#define KIND_TASK_ONLY 4u /* not for plain threads */

/* A kind of call. All but `call` is for the task that runs the test. */
struct call_kind {
	const char *name;
	void (*make)(struct scene *);
	int (*call)(struct scene *, hilo_time deadline);
	void (*fire)(struct scene *);  /* let it succeed */
	void (*close)(struct scene *); /* end its object; NULL: nothing to close */
	void (*check)(struct scene *, int result);
	void (*end)(struct scene *);
	int success, closed;
	unsigned flags; /* KIND_* */
};

extern const struct call_kind test_call_kinds[];
extern const size_t test_call_kinds_count;

#define FOR_EACH_KIND(kind)                                                                                  \
	for (const struct call_kind *kind = test_call_kinds; kind < test_call_kinds + test_call_kinds_count; \
	     kind++)

/* [task] Make what @kind needs; look at what it left, and end it. */
void scene_begin(const struct call_kind *kind, struct scene *scene);
void scene_finish(const struct call_kind *kind, struct scene *scene, int result);

#endif /* TESTS_SUPPORT_CALLS_H */
