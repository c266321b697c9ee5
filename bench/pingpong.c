/* SPDX-License-Identifier: MIT */
/* pingpong.c - tasks that wait for each other through queues of capacity 1: two, and a ring of a thousand. */
#include "harness.h"

#define RING_TASKS 1000

static void put(hilo_queue *queue, intptr_t item)
{
	if (hilo_queue_put(queue, (void *)item, HILO_FOREVER) < 0)
		bench_die("hilo_queue_put: %s", hilo_error_message());
}

static intptr_t get(hilo_queue *queue)
{
	void *item;

	if (hilo_queue_get(queue, &item, HILO_FOREVER) < 0)
		bench_die("hilo_queue_get: %s", hilo_error_message());
	return (intptr_t)item;
}

static hilo_queue *queue_of_one(void)
{
	hilo_queue *queue = hilo_queue_new(1);

	if (!queue)
		bench_die("no memory for a queue");
	return queue;
}

/* ---- pingpong: n round trips between two tasks ---- */

struct table {
	hilo_queue *ping, *pong;
	long n;
};

/* Sends back what comes, until that is 0. */
static int answer(void *arg)
{
	const struct table *table = arg;
	intptr_t ball;

	do {
		ball = get(table->ping);
		put(table->pong, ball);
	} while (ball);
	return 0;
}

static int serve(void *arg)
{
	struct table *table = arg;

	for (long i = table->n; i-- > 0;) {
		put(table->ping, i);
		if (get(table->pong) != i)
			bench_die("another ball came back");
	}
	return 0;
}

static uint64_t pingpong(struct bench *b, long n)
{
	struct table table = {queue_of_one(), queue_of_one(), n};
	hilo_task *one = hilo_spawn(serve, &table), *other = hilo_spawn(answer, &table);

	(void)b;
	bench_join(one, 0);
	bench_join(other, 0);
	(void)hilo_queue_free(table.ping);
	(void)hilo_queue_free(table.pong);
	return (uint64_t)n;
}

void bench_pingpong(struct bench *b)
{
	bench_tasks(b, pingpong, b->n / 10, (uint64_t)b->n);
}

/* ---- ring: one token makes n hops ---- */

struct node {
	hilo_queue *from, *to;
	struct counter *hops;
};

/* The token is the number of hops that are left. Who finds none sends the next one home, and so on. */
static int pass_on(void *arg)
{
	const struct node *node = arg;
	uint64_t hops = 0;
	intptr_t token;

	while ((token = get(node->from)) > 0) {
		hops++;
		put(node->to, token - 1);
	}
	if (token > -RING_TASKS + 1)
		put(node->to, token - 1);
	counter_add(node->hops, hops);
	return 0;
}

static uint64_t ring(struct bench *b, long n)
{
	static hilo_queue *queue[RING_TASKS];
	static struct node node[RING_TASKS];
	static struct counter hops;
	hilo_task *task[RING_TASKS];

	(void)b;
	counter_set(&hops, 0);
	for (int i = 0; i < RING_TASKS; i++)
		queue[i] = queue_of_one();
	for (int i = 0; i < RING_TASKS; i++) {
		node[i] = (struct node){queue[i], queue[(i + 1) % RING_TASKS], &hops};
		task[i] = hilo_spawn(pass_on, &node[i]);
	}
	put(queue[0], n);
	for (int i = 0; i < RING_TASKS; i++)
		bench_join(task[i], 0);
	for (int i = 0; i < RING_TASKS; i++)
		(void)hilo_queue_free(queue[i]);
	return counter_get(&hops);
}

void bench_ring(struct bench *b)
{
	bench_tasks(b, ring, b->n / 10, (uint64_t)b->n);
}
