/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_POOL_H
#define TESTS_SUPPORT_POOL_H

/* pool.h - what tests of executors share: calls that block until they are let go, and pools for them. */
#include "tests/support/test.h"

/* A function that blocks its thread until it is let go. */
struct gate {
	test_flag open;
	atomic(unsigned) inside, calls;
};

void gate_init(struct gate *gate);
int gate_pass(void *gate); /* returns 1 */
void gate_open(struct gate *gate);

/* A call, and a task that makes it and returns its result. */
struct pass {
	hilo_executor *executor;
	hilo_blocking_fn fn;
	void *arg;
	hilo_time deadline;
};

int pass_main(void *pass);

/* [any] A pool named "gatekeeper"; 0 for the defaults. */
hilo_executor *pool_make(unsigned threads, unsigned queued, enum hilo_overflow overflow);

/* [any] End it; what is queued is run before. */
void pool_end(hilo_executor *executor);

/* [any] Its figures. */
hilo_executor_stats pool_stats(hilo_executor *executor);

/* [plain thread, task] A pool of one thread, which is in @gate: what comes next is queued. */
struct busy_pool {
	hilo_executor *executor;
	struct gate gate;
	struct pass pass;
	hilo_task *task;
};

/* [task] */
void busy_pool_begin(struct busy_pool *pool, unsigned queued, enum hilo_overflow overflow);

/* [task] Let the thread go, if it is still held, and wait for all that is queued. */
void busy_pool_end(struct busy_pool *pool);

#endif /* TESTS_SUPPORT_POOL_H */
