/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - ending tasks that sleep: one task cancels them all, one after the other, and joins them.
 *
 * Spawning them is not timed, nor is the time until the last one sleeps.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>

static int sleeping_task(void *arg)
{
	(void)arg;
	return hilo_sleep(60 * HILO_MINUTE);
}

/* The time from the first cancel to the end of the last task; adds up those that were cancelled. */
static hilo_time sleepers_cancel(struct bench *b, long n)
{
	hilo_task **task = bench_alloc((size_t)n, sizeof(hilo_task *));
	hilo_time start, took;

	for (long i = 0; i < n; i++)
		task[i] = hilo_spawn(sleeping_task, NULL);
	for (long i = 0; i < n; i++)
		while (hilo_task_get_state(task[i]) != HILO_TASK_SUSPENDED)
			hilo_yield();
	start = hilo_now();
	for (long i = 0; i < n; i++)
		hilo_task_cancel(task[i]);
	for (long i = 0; i < n; i++, b->check++)
		bench_join(task[i], -ECANCELED);
	took = hilo_now() - start;
	free(task);
	return took;
}

static int cancel_sleepers(void *arg)
{
	struct bench *b = arg;

	sleepers_cancel(b, b->n / 10);
	b->check = 0;
	b->took = sleepers_cancel(b, b->n);
	b->ops = (uint64_t)b->n;
	return 0;
}

void bench_cancel_sleepers(struct bench *b)
{
	bench_run(b, cancel_sleepers);
}
