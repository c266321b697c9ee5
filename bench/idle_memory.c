/* SPDX-License-Identifier: MIT */
/*
 * idle_memory.c - what a task costs in memory while it waits, and before it starts.
 *
 * There is no warm-up: memory kept from one would hide memory of the tasks. The array of handles
 * belongs to the program and is touched before the first reading.
 */
#include "harness.h"

#include <stdlib.h>

static struct counter waiting;
static struct counter started;
static hilo_future *event;

static int waiting_task(void *arg)
{
	(void)arg;
	counter_add(&waiting, 1);
	return hilo_future_await(event, NULL, HILO_FOREVER);
}

static void bytes_per_task(struct bench *b, long before, long after)
{
	bench_extra(b, "\"bytes_per_task\":%.1f", (double)(after - before) * 1024 / (double)b->n);
}

static int idle_memory(void *arg)
{
	struct bench *b = arg;
	hilo_task **task = bench_alloc((size_t)b->n, sizeof(hilo_task *));
	long before = bench_status_kib("VmRSS");
	hilo_time start = hilo_now();

	event = hilo_future_new();
	for (long i = 0; i < b->n; i++)
		task[i] = hilo_spawn(waiting_task, NULL);
	while (counter_get(&waiting) < (uint64_t)b->n)
		hilo_yield();
	b->took = hilo_now() - start;
	hilo_sleep(50 * HILO_MILLISECOND); /* the last ones have counted themselves and are about to wait */
	bytes_per_task(b, before, bench_status_kib("VmRSS"));
	start = hilo_now();
	hilo_future_set(event, NULL, NULL);
	for (long i = 0; i < b->n; i++, b->check++)
		bench_join(task[i], 0);
	b->took += hilo_now() - start;
	b->ops = (uint64_t)b->n;
	hilo_future_unref(event);
	free(task);
	return 0;
}

void bench_idle_memory(struct bench *b)
{
	bench_run(b, idle_memory);
}

static int counted_task(void *arg)
{
	(void)arg;
	counter_add(&started, 1);
	return 0;
}

/* With one worker, which is busy with this, no other task can start. */
static int idle_created(void *arg)
{
	struct bench *b = arg;
	hilo_task **task = bench_alloc((size_t)b->n, sizeof(hilo_task *));
	long before = bench_status_kib("VmRSS");
	hilo_time start = hilo_now();

	for (long i = 0; i < b->n; i++)
		task[i] = hilo_spawn(counted_task, NULL);
	b->took = hilo_now() - start;
	bytes_per_task(b, before, bench_status_kib("VmRSS"));
	bench_extra(b, "\"started\":%llu", (unsigned long long)counter_get(&started));
	start = hilo_now();
	for (long i = 0; i < b->n; i++)
		bench_join(task[i], 0);
	b->took += hilo_now() - start;
	b->check = counter_get(&started);
	b->ops = (uint64_t)b->n;
	free(task);
	return 0;
}

void bench_idle_created(struct bench *b)
{
	bench_run(b, idle_created);
}
