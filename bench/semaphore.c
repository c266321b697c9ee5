/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - 64 tasks on 8 permits, each of which keeps its permit while it yields, and one task that takes and
 * gives back what nobody else wants.
 */
#include "harness.h"

#define TASKS 64
#define PERMITS 8

static hilo_semaphore semaphore;

static struct counter inside, entered, over;

static int visitor(void *arg)
{
	long n = *(long *)arg;

	for (long i = 0; i < n; i++) {
		int rc = hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER);

		if (rc < 0)
			return rc;
		if (counter_add(&inside, 1) > PERMITS)
			counter_add(&over, 1);
		counter_add(&entered, 1);
		rc = hilo_yield();
		counter_add(&inside, (uint64_t)-1);
		if (rc == 0)
			rc = hilo_semaphore_release(&semaphore, 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint64_t semaphore_visits(struct bench *b, long n)
{
	hilo_task *tasks[TASKS];

	(void)b;
	counter_set(&entered, 0);
	if (hilo_semaphore_init(&semaphore, PERMITS, PERMITS) < 0)
		bench_die("init: %s", hilo_error_message());
	for (int i = 0; i < TASKS; i++)
		tasks[i] = hilo_spawn(visitor, &n);
	for (int i = 0; i < TASKS; i++)
		bench_join(tasks[i], 0);
	if (counter_get(&over) || hilo_semaphore_value(&semaphore) != PERMITS)
		bench_die("%llu too many inside, %zu permits", (unsigned long long)counter_get(&over),
			  hilo_semaphore_value(&semaphore));
	return counter_get(&entered);
}

void bench_semaphore(struct bench *b)
{
	bench_tasks(b, semaphore_visits, b->n / 10, (uint64_t)b->n * TASKS);
}

static uint64_t semaphore_alone(struct bench *b, long n)
{
	uint64_t done = 0;

	(void)b;
	if (hilo_semaphore_init(&semaphore, 1, 0) < 0)
		bench_die("init: %s", hilo_error_message());
	for (long i = 0; i < n; i++) {
		done += hilo_semaphore_acquire(&semaphore, 1, HILO_FOREVER) == 0;
		if (hilo_semaphore_release(&semaphore, 1) < 0)
			bench_die("release: %s", hilo_error_message());
	}
	return done;
}

void bench_semaphore_free(struct bench *b)
{
	bench_tasks(b, semaphore_alone, b->n / 10, (uint64_t)b->n);
}
