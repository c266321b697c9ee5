/* SPDX-License-Identifier: MIT */
/*
 * done.c - a round trip of done callbacks: two sides, on the first two loops if there are so many, take
 * turns. Each call completes the future that the other side waits to be called for, having asked to be
 * called for a new one itself.
 */
#include "harness.h"

struct side {
	_Alignas(64) hilo_done_node node;
	hilo_future *next; /* completed by the other side, which ends this reference */
	struct side *other;
};

static struct {
	struct side side[2];
	hilo_future *ended;
	long hop; /* made so far; it goes with the turn */
	long hops;
} trip;

static void side_called(void *arg);

static void side_ask(struct side *side)
{
	side->next = hilo_future_new();
	if (hilo_future_on_done(side->next, &side->node, side_called, side) < 0)
		bench_die("on_done: %s", hilo_error_message());
}

static void side_pass_on(struct side *side)
{
	hilo_future *next = side->other->next;

	if (hilo_future_set(next, NULL, NULL) < 0)
		bench_die("set: %s", hilo_error_message());
	hilo_future_unref(next);
}

static void side_called(void *arg)
{
	struct side *side = arg;
	long hop = ++trip.hop;

	if (hop + 1 < trip.hops)
		side_ask(side);
	if (hop < trip.hops)
		side_pass_on(side);
	else
		hilo_future_set(trip.ended, NULL, NULL);
}

/* A task, pinned to the side's loop. */
static int side_begin(void *arg)
{
	side_ask(arg);
	return 0;
}

static uint64_t done_roundtrip(struct bench *b, long n)
{
	hilo_task_opts opts = {.size = sizeof opts, .flags = HILO_TASK_PINNED};
	hilo_task *task;

	trip.ended = hilo_future_new();
	trip.hop = 0;
	trip.hops = 2 * n;
	for (unsigned i = 0; i < 2; i++) {
		trip.side[i].other = &trip.side[1 - i];
		opts.loop = hilo_runtime_loop(hilo_runtime_current(), i % b->workers);
		if (hilo_spawn_with(side_begin, &trip.side[i], &opts, &task) < 0)
			bench_die("spawn: %s", hilo_error_message());
		bench_join(task, 0);
	}
	side_pass_on(&trip.side[0]);
	if (hilo_future_await(trip.ended, NULL, HILO_FOREVER) < 0)
		bench_die("await: %s", hilo_error_message());
	hilo_future_unref(trip.ended);
	return (uint64_t)trip.hop;
}

void bench_done_roundtrip(struct bench *b)
{
	bench_tasks(b, done_roundtrip, b->n / 10, 2 * (uint64_t)b->n);
}
