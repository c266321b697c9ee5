/* SPDX-License-Identifier: MIT */
/* mpmc.c - one queue between several tasks that put and several that get. */
#include "harness.h"

#include <errno.h>

#define PRODUCERS 4
#define CONSUMERS 4
#define CAPACITY 1024

static hilo_queue *queue;
static struct counter sum;

struct part {
	long from, to;
};

/* Each item is a number, as a pointer. */
static int produce(void *arg)
{
	const struct part *part = arg;

	for (long i = part->from; i < part->to; i++)
		if (hilo_queue_put(queue, (void *)(intptr_t)i, HILO_FOREVER) < 0)
			bench_die("hilo_queue_put: %s", hilo_error_message());
	return 0;
}

static int consume(void *arg)
{
	uint64_t mine = 0;
	void *item;
	int rc;

	(void)arg;
	while ((rc = hilo_queue_get(queue, &item, HILO_FOREVER)) == 0)
		mine += (uint64_t)(intptr_t)item;
	if (rc != -EPIPE)
		bench_die("hilo_queue_get: %s", hilo_error_message());
	counter_add(&sum, mine);
	return 0;
}

static uint64_t through_queue(hilo_queue *through, long n)
{
	hilo_task *producer[PRODUCERS], *consumer[CONSUMERS];
	struct part part[PRODUCERS];

	if (!through)
		bench_die("no memory for a queue");
	queue = through;
	counter_set(&sum, 0);
	for (int i = 0; i < PRODUCERS; i++) {
		part[i] = (struct part){n * i / PRODUCERS, n * (i + 1) / PRODUCERS};
		producer[i] = hilo_spawn(produce, &part[i]);
	}
	for (int i = 0; i < CONSUMERS; i++)
		consumer[i] = hilo_spawn(consume, NULL);
	for (int i = 0; i < PRODUCERS; i++)
		bench_join(producer[i], 0);
	(void)hilo_queue_shutdown(queue, 0); /* those that get drain it */
	for (int i = 0; i < CONSUMERS; i++)
		bench_join(consumer[i], 0);
	(void)hilo_queue_free(queue);
	return counter_get(&sum);
}

static uint64_t bounded(struct bench *b, long n)
{
	(void)b;
	return through_queue(hilo_queue_new(CAPACITY), n);
}

static uint64_t unbounded(struct bench *b, long n)
{
	(void)b;
	return through_queue(hilo_queue_new_unbounded(), n);
}

void bench_mpmc(struct bench *b)
{
	bench_tasks(b, bounded, b->n / 10, (uint64_t)b->n);
}

void bench_mpmc_unbounded(struct bench *b)
{
	bench_tasks(b, unbounded, b->n / 10, (uint64_t)b->n);
}
