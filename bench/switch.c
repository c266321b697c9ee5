/* SPDX-License-Identifier: MIT */
/*
 * switch.c - two tasks on one worker that do nothing but yield: each yield runs the other one.
 *
 * So this is a switch as programs get it, queue and bookkeeping included, not the bare exchange of
 * stacks inside it.
 */
#include "harness.h"

static int turn_taker(void *arg)
{
	long n = *(const long *)arg;

	for (long i = 0; i < n; i++)
		hilo_yield();
	return 1;
}

static uint64_t switches(struct bench *b, long n)
{
	hilo_task *one = hilo_spawn(turn_taker, &n), *other = hilo_spawn(turn_taker, &n);

	(void)b;
	bench_join(one, 1);
	bench_join(other, 1);
	return 2 * (uint64_t)n;
}

void bench_switch(struct bench *b)
{
	bench_tasks(b, switches, b->n / 10, 2 * (uint64_t)b->n);
}
