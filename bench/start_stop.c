/* SPDX-License-Identifier: MIT */
/*
 * start_stop.c - what a runtime costs that has nothing to run: started, one empty task, ended.
 *
 * The first one of the process also pays what is kept for the next ones; it is told apart.
 */
#include "harness.h"

static int counting_task(void *arg)
{
	struct bench *b = arg;

	b->check++;
	return 0;
}

static hilo_time cycles_run(struct bench *b, long n)
{
	hilo_time start = hilo_now();

	b->check = 0;
	for (long i = 0; i < n; i++)
		bench_run(b, counting_task);
	return hilo_now() - start;
}

void bench_start_stop(struct bench *b)
{
	hilo_time first = cycles_run(b, 1);

	cycles_run(b, b->n / 10);
	b->took = cycles_run(b, b->n);
	b->ops = (uint64_t)b->n;
	bench_extra(b, "\"first_us\":%.1f", (double)first / 1e3);
}
