/* SPDX-License-Identifier: MIT */
/* mixed_latency.c - how late a task wakes beside tasks that compute all the time, in slices of 100 us. */
#include "harness.h"

#include <stdlib.h>

static struct counter stop;
static hilo_time *late;

static int computing_task(void *arg)
{
	(void)arg;
	while (!counter_get(&stop)) {
		bench_spin(100 * HILO_MICROSECOND);
		hilo_yield();
	}
	return 0;
}

static int ticking_task(void *arg)
{
	long n = *(const long *)arg;

	for (long i = 0; i < n; i++) {
		hilo_time start = hilo_now();
		int rc = hilo_sleep(HILO_MILLISECOND);

		late[i] = hilo_now() - start - HILO_MILLISECOND;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint64_t mixed_latency(struct bench *b, long n)
{
	unsigned count = 2 * b->workers;
	hilo_task **task = bench_alloc(count, sizeof(hilo_task *));
	hilo_task *ticking;

	counter_set(&stop, 0);
	for (unsigned i = 0; i < count; i++)
		task[i] = hilo_spawn(computing_task, NULL);
	ticking = hilo_spawn(ticking_task, &n);
	bench_join(ticking, 0);
	counter_set(&stop, 1);
	for (unsigned i = 0; i < count; i++)
		bench_join(task[i], 0);
	free(task);
	return (uint64_t)n;
}

void bench_mixed_latency(struct bench *b)
{
	late = bench_alloc((size_t)b->n, sizeof *late);
	bench_tasks(b, mixed_latency, b->n / 10, (uint64_t)b->n);
	bench_extra_late(b, "", late, b->n);
	free(late);
}
