/* SPDX-License-Identifier: MIT */
#include "tests/support/pool.h"

#include <limits.h>

#include "scheduler/base/lock.h"

void gate_init(struct gate *gate)
{
	atomic_setup(&gate->open, 0);
	atomic_setup(&gate->inside, 0);
	atomic_setup(&gate->calls, 0);
}

int gate_pass(void *arg)
{
	struct gate *gate = arg;

	(void)add_release(&gate->calls, 1);
	(void)add_release(&gate->inside, 1);
	while (!load_acquire(&gate->open)) /* pairs with gate_open */
		(void)hilo__futex_wait(&gate->open, 0, INT64_MAX);
	(void)sub_release(&gate->inside, 1);
	return 1;
}

void gate_open(struct gate *gate)
{
	store_release(&gate->open, 1); /* pairs with gate_pass */
	(void)hilo__futex_wake(&gate->open, INT_MAX);
}

int pass_main(void *arg)
{
	struct pass *pass = arg;

	return hilo_run_in_executor(pass->executor, pass->fn, pass->arg, pass->deadline);
}

hilo_executor *pool_make(unsigned threads, unsigned queued, enum hilo_overflow overflow)
{
	hilo_executor_opts opts = {.size = sizeof(opts),
				   .name = "gatekeeper",
				   .max_threads = threads,
				   .max_queued = queued,
				   .overflow = overflow};
	hilo_executor *executor;

	TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
	return executor;
}

void pool_end(hilo_executor *executor)
{
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
}

hilo_executor_stats pool_stats(hilo_executor *executor)
{
	hilo_executor_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_executor_get_stats(executor, &stats), ==, 0);
	return stats;
}

void busy_pool_begin(struct busy_pool *pool, unsigned queued, enum hilo_overflow overflow)
{
	gate_init(&pool->gate);
	pool->executor = pool_make(1, queued, overflow);
	pool->pass = (struct pass){pool->executor, gate_pass, &pool->gate, HILO_FOREVER};
	pool->task = hilo_spawn(pass_main, &pool->pass);
	TEST_UNTIL(load_acquire(&pool->gate.inside));
}

void busy_pool_end(struct busy_pool *pool)
{
	gate_open(&pool->gate);
	TASK_CHECK(hilo_join(pool->task, HILO_FOREVER), ==, 1);
	pool_end(pool->executor);
}
