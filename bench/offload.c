/* SPDX-License-Identifier: MIT */
/*
 * offload.c - 64 tasks, each awaits one no-op call after the other in the default executor.
 *
 * Every call notes whose thread runs it: "threads" in the line is the number of different ones, and
 * a call that ran on the thread of the task that made it is a failure.
 */
#include "harness.h"

#define TASKS 64

static struct counter ran;
static struct counter threads;
static struct counter stayed;
static unsigned round_number; /* of the workload in this process: the warm-up's threads count anew */

static _Thread_local unsigned thread_round; /* the last round that counted this thread */

/* What tells the calling thread from others. Never inlined: a task may have changed threads. */
static __attribute__((noinline)) const void *thread_mark(void)
{
	const void *mark = &thread_round;

	__asm__ volatile("" : "+r"(mark));
	return mark;
}

static int no_op(void *caller_mark)
{
	counter_add(&ran, 1);
	if (thread_mark() == caller_mark)
		counter_add(&stayed, 1);
	if (thread_round != round_number) {
		thread_round = round_number;
		counter_add(&threads, 1);
	}
	return 0;
}

static int calling_task(void *arg)
{
	long calls = *(const long *)arg;
	int rc = 0;

	while (calls-- > 0 && rc == 0)
		rc = hilo_run_in_executor(NULL, no_op, (void *)thread_mark(), HILO_FOREVER);
	return rc;
}

static uint64_t offload(struct bench *b, long n)
{
	hilo_task *task[TASKS];
	long calls = n / TASKS;

	(void)b;
	round_number++;
	counter_set(&ran, 0);
	counter_set(&threads, 0);
	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(calling_task, &calls);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return counter_get(&ran);
}

void bench_offload(struct bench *b)
{
	bench_tasks(b, offload, b->n / 10, (uint64_t)(b->n - b->n % TASKS));
	if (counter_get(&stayed))
		bench_die("%llu calls ran on their caller's thread",
			  (unsigned long long)counter_get(&stayed));
	bench_extra(b, "\"threads\":%llu", (unsigned long long)counter_get(&threads));
}
