/* SPDX-License-Identifier: MIT */
/*
 * channels.c - one item for many tasks, and one task for many queues.
 *
 * broadcast: a task sends an item to 1000 that wait for it, and the next one when all have it: n rounds. select: 8
 * tasks put into a queue each, and one gets from all of them, by lot where several have something: n items.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>

#define RECEIVERS 1000
#define QUEUES 8
#define CAPACITY 16

static hilo_queue *all_have_it;
static struct counter arrived, sum;

static int receive(void *arg)
{
	hilo_receiver *receiver = arg;
	uint64_t mine = 0;
	void *item;
	int rc;

	while ((rc = hilo_broadcast_receive(receiver, &item, HILO_FOREVER)) == 0) {
		mine += (uint64_t)(intptr_t)item;
		if (counter_add(&arrived, 1) % RECEIVERS == 0 &&
		    hilo_queue_put(all_have_it, NULL, HILO_FOREVER) < 0)
			bench_die("hilo_queue_put: %s", hilo_error_message());
	}
	if (rc != -EPIPE)
		bench_die("hilo_broadcast_receive: %s", hilo_error_message());
	counter_add(&sum, mine);
	return hilo_broadcast_unsubscribe(receiver);
}

static uint64_t broadcast(struct bench *b, long n)
{
	hilo_broadcast *channel = hilo_broadcast_new(CAPACITY, NULL);
	hilo_task **task = bench_alloc(RECEIVERS, sizeof(*task));
	void *token;

	(void)b;
	all_have_it = hilo_queue_new(1);
	counter_set(&sum, 0);
	counter_set(&arrived, 0);
	for (int i = 0; i < RECEIVERS; i++)
		task[i] = hilo_spawn(receive, hilo_broadcast_subscribe(channel));
	for (long i = 1; i <= n; i++)
		if (hilo_broadcast_send(channel, (void *)(intptr_t)i) != RECEIVERS ||
		    hilo_queue_get(all_have_it, &token, HILO_FOREVER) < 0)
			bench_die("a round of broadcast: %s", hilo_error_message());
	hilo_broadcast_free(channel);
	for (int i = 0; i < RECEIVERS; i++)
		bench_join(task[i], 0);
	(void)hilo_queue_free(all_have_it);
	free(task);
	return counter_get(&sum);
}

void bench_broadcast(struct bench *b)
{
	bench_tasks(b, broadcast, b->n / 10, RECEIVERS * (uint64_t)b->n);
}

struct part {
	hilo_queue *queue;
	long from, to;
};

static int produce(void *arg)
{
	const struct part *part = arg;

	for (long i = part->from; i < part->to; i++)
		if (hilo_queue_put(part->queue, (void *)(intptr_t)i, HILO_FOREVER) < 0)
			bench_die("hilo_queue_put: %s", hilo_error_message());
	return 0;
}

static uint64_t select_from(long n, int (*select)(hilo_select_case *cases, size_t n, hilo_time deadline))
{
	struct part part[QUEUES];
	hilo_task *producer[QUEUES];
	hilo_select_case cases[QUEUES];
	uint64_t total = 0;
	void *item;

	for (int i = 0; i < QUEUES; i++) {
		part[i] = (struct part){hilo_queue_new(CAPACITY), n * i / QUEUES, n * (i + 1) / QUEUES};
		cases[i] = (hilo_select_case)HILO_SELECT_GET(part[i].queue, &item);
		producer[i] = hilo_spawn(produce, &part[i]);
	}
	for (long i = 0; i < n; i++) {
		int won = select(cases, QUEUES, HILO_FOREVER);

		if (won < 0 || cases[won].code < 0)
			bench_die("hilo_select: %d, %s", won, hilo_error_message());
		total += (uint64_t)(intptr_t)item;
	}
	for (int i = 0; i < QUEUES; i++) {
		bench_join(producer[i], 0);
		(void)hilo_queue_free(part[i].queue);
	}
	return total;
}

static uint64_t selects_fair(struct bench *b, long n)
{
	(void)b;
	return select_from(n, hilo_select_fair);
}

static uint64_t selects_in_order(struct bench *b, long n)
{
	(void)b;
	return select_from(n, hilo_select);
}

void bench_select(struct bench *b)
{
	bench_tasks(b, selects_fair, b->n / 10, (uint64_t)b->n);
}

void bench_select_in_order(struct bench *b)
{
	bench_tasks(b, selects_in_order, b->n / 10, (uint64_t)b->n);
}
