/* SPDX-License-Identifier: MIT */
/*
 * hogs.c - how long tasks that keep their threads delay what waits on the same loops: a timer, a task
 * that a plain thread wakes, and a callback that it asks for.
 *
 * A hog burns its CPU, or blocks in the kernel, for 50 ms at a time and yields between. There are as many
 * as workers, or one less, so that a worker is idle. The tasks that are delayed are pinned to the loop of
 * a hog: others would not stay there, and be delayed once. The three kinds are measured one after the
 * other, so that none of them keeps awake who serves the next, at intervals of 1 to 4 ms by lot.
 */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define HOLD (50 * HILO_MILLISECOND)

static struct counter stop;
static uint64_t seed;

/* Of each sample: when it was due, and how late it was. */
static hilo_time *due;
static hilo_time *late[3];

static int burning_hog(void *arg)
{
	(void)arg;
	while (!counter_get(&stop)) {
		bench_spin(HOLD);
		hilo_yield();
	}
	return 0;
}

static int blocking_hog(void *arg)
{
	const struct timespec hold = {0, HOLD};

	(void)arg;
	while (!counter_get(&stop)) {
		(void)nanosleep(&hold, NULL);
		hilo_yield();
	}
	return 0;
}

static hilo_time interval(void)
{
	return HILO_MILLISECOND + (hilo_time)(bench_random(&seed) % (3 * HILO_MILLISECOND));
}

static void thread_pause(void)
{
	const struct timespec span = {0, interval()};

	(void)nanosleep(&span, NULL);
}

static hilo_task *spawn_pinned(hilo_task_fn entry, void *arg, unsigned loop)
{
	hilo_task_opts opts = {.size = sizeof opts, .flags = HILO_TASK_PINNED};
	hilo_task *task;
	int rc;

	opts.loop = hilo_runtime_loop(hilo_runtime_current(), loop);
	rc = hilo_spawn_with(entry, arg, &opts, &task);
	if (rc < 0)
		bench_die("spawn: %s", hilo_strerror(rc));
	return task;
}

static int timers_measure(void *arg)
{
	long n = *(const long *)arg;

	for (long i = 0; i < n; i++) {
		hilo_time when = hilo_now() + interval();
		int rc = hilo_sleep_until(when);

		if (rc < 0)
			return rc;
		late[0][i] = hilo_now() - when;
	}
	return 0;
}

/* A plain thread, from outside. For each sample a future that it sets, or a callback it asks for, ... */
struct outside {
	long n;
	hilo_future **future;
	hilo_future **taken; /* ... and one that it waits for before it goes on */
	hilo_runtime *runtime;
	unsigned hogs;
	long calls;
};

static void outside_await(struct outside *outside, long i)
{
	if (hilo_future_await(outside->taken[i], NULL, HILO_FOREVER) < 0)
		bench_die("await: %s", hilo_error_message());
}

static void *outside_wakes(void *arg)
{
	struct outside *outside = arg;

	for (long i = 0; i < outside->n; i++) {
		thread_pause();
		due[i] = hilo_now();
		hilo_future_set(outside->future[i], NULL, NULL);
		outside_await(outside, i);
	}
	return NULL;
}

static int wakes_measure(void *arg)
{
	struct outside *outside = arg;

	for (long i = 0; i < outside->n; i++) {
		int rc = hilo_future_await(outside->future[i], NULL, HILO_FOREVER);

		if (rc < 0)
			return rc;
		late[1][i] = hilo_now() - due[i];
		hilo_future_set(outside->taken[i], NULL, NULL);
	}
	return 0;
}

/* Callbacks come one at a time: the next one is asked for when this one has been. */
static void called(void *arg)
{
	struct outside *outside = arg;
	long i = outside->calls++;

	late[2][i] = hilo_now() - due[i];
	hilo_future_set(outside->taken[i], NULL, NULL);
}

static void *outside_calls(void *arg)
{
	struct outside *outside = arg;

	for (long i = 0; i < outside->n; i++) {
		hilo_loop *loop = hilo_runtime_loop(outside->runtime, (unsigned)i % outside->hogs);

		thread_pause();
		due[i] = hilo_now();
		if (hilo_call_soon_threadsafe(loop, called, outside, NULL) < 0)
			bench_die("call_soon: %s", hilo_error_message());
		outside_await(outside, i);
	}
	return NULL;
}

static int join_thread(void *thread)
{
	return -pthread_join(*(pthread_t *)thread, NULL);
}

static hilo_task_fn hog;
static unsigned hogs;

/* With @main on a plain thread, and perhaps a task on the loop of a hog. */
static void outside_measure(void *(*main)(void *), hilo_task_fn entry, long n)
{
	struct outside outside = {.n = n, .runtime = hilo_runtime_current(), .hogs = hogs};
	pthread_t thread;

	outside.future = bench_alloc((size_t)n, sizeof(hilo_future *));
	outside.taken = bench_alloc((size_t)n, sizeof(hilo_future *));
	for (long i = 0; i < n; i++) {
		outside.future[i] = hilo_future_new();
		outside.taken[i] = hilo_future_new();
	}
	if (pthread_create(&thread, NULL, main, &outside))
		bench_die("no thread");
	if (entry)
		bench_join(spawn_pinned(entry, &outside, 0), 0);
	if (hilo_run_in_executor(NULL, join_thread, &thread, HILO_FOREVER) < 0)
		bench_die("executor: %s", hilo_error_message());
	for (long i = 0; i < n; i++) {
		hilo_future_unref(outside.future[i]);
		hilo_future_unref(outside.taken[i]);
	}
	free(outside.future);
	free(outside.taken);
}

static uint64_t hogs_measure(struct bench *b, long n)
{
	hilo_task **task = bench_alloc(hogs, sizeof(hilo_task *));

	(void)b;
	seed = 1;
	counter_set(&stop, 0);
	for (unsigned i = 0; i < hogs; i++)
		task[i] = spawn_pinned(hog, NULL, i);
	bench_join(spawn_pinned(timers_measure, &n, 0), 0);
	outside_measure(outside_wakes, wakes_measure, n);
	outside_measure(outside_calls, NULL, n);
	counter_set(&stop, 1);
	for (unsigned i = 0; i < hogs; i++)
		bench_join(task[i], 0);
	free(task);
	return (uint64_t)n * 3;
}

static void hogs_run(struct bench *b, hilo_task_fn entry, unsigned less)
{
	static const char *const names[] = {"timer_", "task_", "call_"};

	if (b->workers <= less)
		bench_die("%s needs two workers", b->workload);
	hog = entry;
	hogs = b->workers - less;
	due = bench_alloc((size_t)b->n, sizeof *due);
	for (int i = 0; i < 3; i++)
		late[i] = bench_alloc((size_t)b->n, sizeof *late[i]);
	bench_tasks(b, hogs_measure, b->n / 20, (uint64_t)b->n * 3);
	for (int i = 0; i < 3; i++) {
		bench_extra_late(b, names[i], late[i], b->n);
		free(late[i]);
	}
	free(due);
}

void bench_hogs_burn(struct bench *b)
{
	hogs_run(b, burning_hog, 0);
}

void bench_hogs_block(struct bench *b)
{
	hogs_run(b, blocking_hog, 0);
}

void bench_hogs_burn_less(struct bench *b)
{
	hogs_run(b, burning_hog, 1);
}

void bench_hogs_block_less(struct bench *b)
{
	hogs_run(b, blocking_hog, 1);
}
