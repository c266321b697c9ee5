/* SPDX-License-Identifier: MIT */
/* pipeline.c - small items through three stages: as a pipeline, and by tasks with queues between them. */
#include "harness.h"

#include <stddef.h>

#define IN_FLIGHT 64
/* What the stage in the middle does: some 100 ns. */
#define ROUNDS 50

struct work {
	long n;
	uint64_t made, sum;
};

static uint64_t compute(uint64_t item)
{
	for (int i = 0; i < ROUNDS; i++)
		item = item * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return item | 1; /* not NULL */
}

static int make(void **item, void *arg)
{
	struct work *work = arg;

	if (work->made == (uint64_t)work->n)
		return 0;
	*item = (void *)(uintptr_t)++work->made;
	return 1;
}

static int change(void **item, void *arg)
{
	(void)arg;
	*item = (void *)(uintptr_t)compute((uintptr_t)*item);
	return 0;
}

static int take(void **item, void *arg)
{
	struct work *work = arg;

	work->sum = work->sum * 31 + (uintptr_t)*item;
	return 0;
}

static uint64_t pipeline_run(struct bench *b, long n)
{
	struct work work = {.n = n};
	const hilo_stage stages[] = {
		{.fn = make, .arg = &work},
		{.fn = change, .kind = HILO_STAGE_PARALLEL},
		{.fn = take, .arg = &work},
	};
	hilo_pipeline_opts opts = {.size = sizeof(opts), .in_flight = IN_FLIGHT};

	(void)b;
	if (hilo_pipeline_run(stages, 3, &opts, HILO_FOREVER) < 0)
		bench_die("hilo_pipeline_run: %s", hilo_error_message());
	return work.sum;
}

void bench_pipeline(struct bench *b)
{
	bench_tasks(b, pipeline_run, b->n / 20, (uint64_t)b->n);
}

/* The same with a task for the first stage, one for the last, and one for each worker in between: in no order. */
struct line {
	struct work work;
	hilo_queue *first, *second;
};

static int line_make(void *arg)
{
	struct line *line = arg;
	void *item = NULL;

	while (make(&item, &line->work) > 0)
		if (hilo_queue_put(line->first, item, HILO_FOREVER) < 0)
			return -1;
	return hilo_queue_shutdown(line->first, 0);
}

static int line_change(void *arg)
{
	struct line *line = arg;
	void *item;

	while (hilo_queue_get(line->first, &item, HILO_FOREVER) == 0)
		if (change(&item, NULL) < 0 || hilo_queue_put(line->second, item, HILO_FOREVER) < 0)
			return -1;
	return 0;
}

static int line_take(void *arg)
{
	struct line *line = arg;
	void *item;

	for (long i = 0; i < line->work.n; i++) {
		if (hilo_queue_get(line->second, &item, HILO_FOREVER) < 0)
			return -1;
		line->work.sum += (uintptr_t)item;
	}
	return 0;
}

static uint64_t line_run(struct bench *b, long n)
{
	struct line line = {.work.n = n};
	hilo_task *task[2 + 64];
	unsigned tasks = 0, workers = b->workers < 64 ? b->workers : 64;

	line.first = hilo_queue_new(IN_FLIGHT / 2);
	line.second = hilo_queue_new(IN_FLIGHT / 2);
	task[tasks++] = hilo_spawn(line_make, &line);
	for (unsigned i = 0; i < workers; i++)
		task[tasks++] = hilo_spawn(line_change, &line);
	task[tasks++] = hilo_spawn(line_take, &line);
	for (unsigned i = 0; i < tasks; i++)
		bench_join(task[i], 0);
	if (hilo_queue_free(line.first) < 0 || hilo_queue_free(line.second) < 0)
		bench_die("hilo_queue_free: %s", hilo_error_message());
	return line.work.sum;
}

void bench_pipeline_queues(struct bench *b)
{
	bench_tasks(b, line_run, b->n / 20, (uint64_t)b->n);
}
