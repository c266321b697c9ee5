/* SPDX-License-Identifier: MIT */
/*
 * timers.c - many timers of a pseudo-random whole number of ms below 1 s, all started at once.
 *
 * Late is the time of waking minus (the time read just before the call that sleeps + the span).
 */
#include "harness.h"

#include <stdlib.h>

struct sleeper {
	hilo_time span;
	hilo_time start;
	hilo_time late;
	struct share *share; /* of callbacks: who counts them */
};

static struct sleeper *sleepers;

static void sleepers_fill(long n)
{
	uint64_t seed = 1;

	for (long i = 0; i < n; i++)
		sleepers[i].span = (hilo_time)(bench_random(&seed) % 1000) * HILO_MILLISECOND;
}

static int sleeping_task(void *arg)
{
	struct sleeper *s = arg;
	int rc;

	s->start = hilo_now();
	rc = hilo_sleep(s->span);
	s->late = hilo_now() - s->start - s->span;
	return rc;
}

static hilo_task **tasks;

static uint64_t timers_as_tasks(struct bench *b, long n)
{
	(void)b;
	for (long i = 0; i < n; i++)
		tasks[i] = hilo_spawn(sleeping_task, &sleepers[i]);
	for (long i = 0; i < n; i++)
		bench_join(tasks[i], 0);
	return (uint64_t)n;
}

static void timers_run(struct bench *b, bench_body_fn body)
{
	hilo_time *late = bench_alloc((size_t)b->n, sizeof *late);

	sleepers = bench_alloc((size_t)b->n, sizeof *sleepers);
	sleepers_fill(b->n);
	bench_tasks(b, body, b->n / 10, (uint64_t)b->n);
	for (long i = 0; i < b->n; i++)
		late[i] = sleepers[i].late;
	bench_extra(b, "\"cpu_seconds\":%.4f", b->cpu_seconds);
	bench_extra_late(b, "", late, b->n);
	free(late);
	free(sleepers);
}

void bench_timers(struct bench *b)
{
	tasks = bench_alloc((size_t)b->n, sizeof(hilo_task *));
	timers_run(b, timers_as_tasks);
	free(tasks);
}

/* One loop's part of the callbacks. They run one after the other, so their count needs no atomic. */
struct share {
	hilo_future *done;
	long first;
	long end;
	long fired;
};

static void sleeper_fired(void *arg)
{
	struct sleeper *s = arg;
	struct share *share = s->share;

	s->late = hilo_now() - s->start - s->span;
	if (++share->fired == share->end - share->first)
		hilo_future_set(share->done, NULL, NULL);
}

/* On its loop: arm the loop's share of the timers. */
static int share_arm(void *arg)
{
	struct share *share = arg;

	for (long i = share->first; i < share->end; i++) {
		struct sleeper *s = &sleepers[i];
		int rc;

		s->share = share;
		s->start = hilo_now();
		rc = hilo_call_later(s->span, sleeper_fired, s, NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void share_start(struct share *share, unsigned loop)
{
	hilo_task_opts opts = {.size = sizeof opts, .flags = HILO_TASK_PINNED};
	hilo_task *task;
	int rc;

	opts.loop = hilo_runtime_loop(hilo_runtime_current(), loop);
	rc = hilo_spawn_with(share_arm, share, &opts, &task);
	if (rc < 0)
		bench_die("spawn: %s", hilo_strerror(rc));
	hilo_task_detach(task);
}

static uint64_t timers_as_callbacks(struct bench *b, long n)
{
	struct share *shares = bench_alloc(b->workers, sizeof *shares);
	uint64_t fired = 0;

	for (long w = 0; w < b->workers; w++) {
		shares[w].first = n * w / b->workers;
		shares[w].end = n * (w + 1) / b->workers;
		shares[w].done = hilo_future_new();
		share_start(&shares[w], (unsigned)w);
	}
	for (long w = 0; w < b->workers; w++) {
		if (shares[w].end > shares[w].first &&
		    hilo_future_await(shares[w].done, NULL, HILO_FOREVER) < 0)
			bench_die("await: %s", hilo_error_message());
		fired += (uint64_t)shares[w].fired;
		hilo_future_unref(shares[w].done);
	}
	free(shares);
	return fired;
}

void bench_timers_call_later(struct bench *b)
{
	timers_run(b, timers_as_callbacks);
}
