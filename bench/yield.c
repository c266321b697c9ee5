/* SPDX-License-Identifier: MIT */
/* yield.c - many tasks that take turns. */
#include "harness.h"

#define TASKS 1000

static struct counter done;

static int yielding_task(void *arg)
{
	long n = *(const long *)arg;

	for (long i = 0; i < n; i++)
		hilo_yield();
	counter_add(&done, (uint64_t)n);
	return 0;
}

static uint64_t yield(struct bench *b, long n)
{
	hilo_task *task[TASKS];

	(void)b;
	counter_set(&done, 0);
	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(yielding_task, &n);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return counter_get(&done);
}

void bench_yield(struct bench *b)
{
	bench_tasks(b, yield, b->n / 10, (uint64_t)b->n * TASKS);
}
