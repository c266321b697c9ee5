/* SPDX-License-Identifier: MIT */
/* spawn.c - making tasks and waiting for them: from a task, with and without work, and from outside. */
#include "harness.h"

#define BATCH 1000

static struct counter ran;

/* "Empty": it counts itself, as in the same workload of every other system. */
static int empty_task(void *arg)
{
	(void)arg;
	counter_add(&ran, 1);
	return 0;
}

/* Spawn a batch of @entry from the calling task and join it, @rounds times; the sum of the results. */
static uint64_t batches_run(hilo_task_fn entry, void *arg, int expected, long rounds)
{
	hilo_task *task[BATCH];
	uint64_t sum = 0;

	for (long r = 0; r < rounds; r++) {
		for (int i = 0; i < BATCH; i++)
			task[i] = hilo_spawn(entry, arg);
		for (int i = 0; i < BATCH; i++) {
			bench_join(task[i], expected);
			sum += (uint64_t)expected;
		}
	}
	return sum;
}

static uint64_t spawn_join(struct bench *b, long rounds)
{
	(void)b;
	counter_set(&ran, 0);
	batches_run(empty_task, NULL, 0, rounds);
	return counter_get(&ran);
}

void bench_spawn_join(struct bench *b)
{
	bench_tasks(b, spawn_join, b->n / 10, (uint64_t)b->n * BATCH);
}

static uint64_t spawn_gather(struct bench *b, long rounds)
{
	hilo_task *task[BATCH];

	(void)b;
	counter_set(&ran, 0);
	for (long r = 0; r < rounds; r++) {
		for (int i = 0; i < BATCH; i++)
			task[i] = hilo_spawn(empty_task, NULL);
		if (hilo_gather(task, BATCH, NULL, HILO_FOREVER) < 0)
			bench_die("gather: %s", hilo_error_message());
	}
	return counter_get(&ran);
}

void bench_spawn_gather(struct bench *b)
{
	bench_tasks(b, spawn_gather, b->n / 10, (uint64_t)b->n * BATCH);
}

/* Nothing shared: what a task ran shows in the code that its join returns. */
static int one_task(void *arg)
{
	(void)arg;
	return 1;
}

static uint64_t spawn_join_result(struct bench *b, long rounds)
{
	(void)b;
	return batches_run(one_task, NULL, 1, rounds);
}

void bench_spawn_join_result(struct bench *b)
{
	bench_tasks(b, spawn_join_result, b->n / 10, (uint64_t)b->n * BATCH);
}

/*
 * A fixed amount of work, not a fixed time by the clock: a worker that shares its core, or is taken
 * off it, needs longer for it, as real work would.
 */
static void work_do(long steps)
{
	uint64_t x = 1;

	while (steps-- > 0) {
		x = x * UINT64_C(0x9e3779b97f4a7c15) + 1;
		__asm__ volatile("" : "+r"(x));
	}
}

/* How many steps of work_do take 1 us: the best of several, when nothing came between. */
static long work_calibrate(void)
{
	enum {
		STEPS = 100000,
		TRIES = 20
	};
	hilo_time best = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		hilo_time start = hilo_now(), took;

		work_do(STEPS);
		took = hilo_now() - start;
		best = took < best ? took : best;
	}
	return (long)(STEPS * HILO_MICROSECOND / (best > 0 ? best : 1));
}

static int working_task(void *arg)
{
	work_do(*(const long *)arg);
	counter_add(&ran, 1);
	return 0;
}

static long steps_per_us;

static uint64_t spawn_join_1us(struct bench *b, long rounds)
{
	(void)b;
	counter_set(&ran, 0);
	batches_run(working_task, &steps_per_us, 0, rounds);
	return counter_get(&ran);
}

void bench_spawn_join_1us(struct bench *b)
{
	steps_per_us = work_calibrate();
	bench_tasks(b, spawn_join_1us, b->n / 10, (uint64_t)b->n * BATCH);
	bench_extra(b, "\"steps_per_us\":%ld", steps_per_us);
}

struct injected {
	hilo_future *done;
	uint64_t n;
};

static int injected_task(void *arg)
{
	struct injected *injected = arg;

	if (counter_add(&ran, 1) == injected->n)
		return hilo_future_set(injected->done, NULL, NULL);
	return 0;
}

/* In the main thread, which is no worker: one submit for each task, then one wait for all. */
static uint64_t spawn_inject(hilo_runtime *runtime, long n)
{
	struct injected injected = {hilo_future_new(), (uint64_t)n};
	int rc = 0;

	counter_set(&ran, 0);
	for (long i = 0; i < n && rc == 0; i++)
		rc = hilo_submit(runtime, injected_task, &injected, NULL, NULL);
	if (rc == 0)
		rc = hilo_future_await(injected.done, NULL, HILO_FOREVER);
	if (rc < 0)
		bench_die("submit: %s", hilo_strerror(rc));
	hilo_future_unref(injected.done);
	return counter_get(&ran);
}

void bench_spawn_inject(struct bench *b)
{
	hilo_runtime *runtime = bench_runtime_new(b);
	hilo_time start;

	if (b->n >= 10)
		spawn_inject(runtime, b->n / 10);
	start = hilo_now();
	b->check = spawn_inject(runtime, b->n);
	b->took = hilo_now() - start;
	b->ops = (uint64_t)b->n;
	bench_runtime_free(b, runtime);
}
