/* SPDX-License-Identifier: MIT */
/*
 * stress_queues.c - the three queues together under real threads, the way workers use them.
 *
 * Each worker owns a deque, a ring and an inbox, and has one of three ways to go on: by lot it makes
 * tasks (into its deque, its ring, or somebody's inbox; now and then more than fit, so that it spills),
 * runs its own and steals by every way there is; or it pushes and pops as fast as it can; or it does
 * little but steal. Each task carries its maker's stamp, which the taker reads without any order of its
 * own, and is to be taken exactly once; when all has been made, everybody works until nothing is left.
 *
 * HILO_TEST_SEED repeats a run's choices (not its schedule), HILO_TEST_SCALE multiplies the work.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/deque.h"
#include "scheduler/inbox.h"
#include "scheduler/ring.h"
#include "scheduler/task.h"
#include "tests/support/test.h"

#define WORKERS_MAX 64
#define MADE_MOST 50000u /* by one worker ... */
#define MADE_ALL 400000u /* ... and by all of them */
#define ROUNDS 10u
#define STEAL_MAX 64

/* A task of the test: what a queue touches is the link, the rest is ours. */
struct item {
	struct hilo_task task;
	uint64_t stamp; /* written by the maker, read by the taker */
	atomic(uint32_t) taken;
};

struct worker {
	struct deque deque;
	struct ring ring;
	struct inbox inbox;
	struct random random;
	struct item *items;
	unsigned index;
	unsigned made;
	enum {
		MIXED,
		PUSHER,
		THIEF
	} way;
	uint64_t took, stolen, spilled;
	pthread_t thread;
};

static struct worker *workers[WORKERS_MAX];
static unsigned worker_count;
static unsigned made_per_worker;
static atomic(uint64_t) taken_in_all;

static uint64_t stamp_of(const struct item *item)
{
	return (uint64_t)(uintptr_t)item * 3 + 1;
}

static void take(struct worker *worker, struct hilo_task *task)
{
	struct item *item = container_of(task, struct item, task);

	TASK_CHECK(item->stamp, ==, stamp_of(item));
	item->stamp = 0;
	TASK_CHECK(xchg_relaxed(&item->taken, 1), ==, 0); /* relaxed: a count, the queue orders the rest */
	worker->took++;
}

static void take_list(struct worker *worker, struct link *link)
{
	while (link != NULL) {
		struct link *next = link->next;

		take(worker, hilo__link_task(link));
		link = next;
	}
}

/* The older half of a queue that is full, into somebody's inbox. */
static void spill(struct worker *worker, bool deque)
{
	struct worker *to = workers[random_below(&worker->random, worker_count)];
	struct link *first, *last;
	int n = deque ? hilo__deque_spill(&worker->deque, &first, &last)
		      : hilo__ring_spill(&worker->ring, &first, &last);

	if (n > 0)
		(void)hilo__inbox_push_chain(&to->inbox, first, last);
	worker->spilled += (uint64_t)n;
}

static struct hilo_task *make(struct worker *worker)
{
	struct item *item = &worker->items[worker->made++];

	item->stamp = stamp_of(item);
	return &item->task;
}

static void push_batch(struct worker *worker, struct hilo_task **batch, int n)
{
	int in = hilo__ring_push_many(&worker->ring, batch, n);

	while (in < n) {
		spill(worker, false);
		in += hilo__ring_push_many(&worker->ring, batch + in, n - in);
	}
}

static void make_some(struct worker *worker)
{
	unsigned where = random_below(&worker->random, 8);
	unsigned n = 1 + random_below(&worker->random, random_below(&worker->random, 50) ? 40 : 2 * RING_CAP);
	struct worker *to = workers[random_below(&worker->random, worker_count)];
	struct hilo_task *batch[2];

	for (; n > 0 && worker->made < made_per_worker; n--) {
		switch (where) {
		case 0:
			(void)hilo__inbox_push(&to->inbox, hilo__task_link(make(worker)));
			break;
		case 1:
			batch[0] = make(worker);
			if (worker->made < made_per_worker)
				batch[1] = make(worker);
			else
				batch[1] = NULL;
			push_batch(worker, batch, batch[1] ? 2 : 1);
			break;
		case 2:
		case 3:
		case 4:
			batch[0] = make(worker);
			while (hilo__ring_push(&worker->ring, batch[0]) == -ENOSPC)
				spill(worker, false);
			break;
		default:
			batch[0] = make(worker);
			while (hilo__deque_push(&worker->deque, batch[0]) == -ENOSPC)
				spill(worker, true);
			break;
		}
	}
}

static bool run_own(struct worker *worker)
{
	struct hilo_task *task = NULL;

	switch (random_below(&worker->random, 3)) {
	case 0:
		task = hilo__ring_pop(&worker->ring);
		break;
	case 1:
		task = hilo__deque_pop_oldest(&worker->deque);
		break;
	}
	if (task == NULL)
		task = hilo__deque_pop(&worker->deque);
	if (task == NULL)
		task = hilo__ring_pop(&worker->ring);
	if (task != NULL)
		take(worker, task);
	return task != NULL;
}

static void steal(struct worker *worker)
{
	struct worker *victim = workers[random_below(&worker->random, worker_count)];
	struct hilo_task *task, *taken[STEAL_MAX];
	int n = 0;

	if (victim == worker)
		return;
	switch (random_below(&worker->random, 4)) {
	case 0:
		n = hilo__deque_steal_many(&victim->deque, taken,
					   1 + (int)random_below(&worker->random, STEAL_MAX));
		break;
	case 1:
		n = hilo__ring_steal_many(&victim->ring, taken,
					  1 + (int)random_below(&worker->random, STEAL_MAX));
		break;
	case 2:
		if (hilo__ring_steal(&victim->ring, &worker->ring, &task) > 0)
			take(worker, task);
		break;
	case 3:
		take_list(worker, hilo__inbox_take_all(&victim->inbox));
		break;
	}
	for (int i = 0; i < n; i++)
		take(worker, taken[i]);
	worker->stolen += n > 0 ? (uint64_t)n : 0;
}

/* The owner of a busy deque: one in, one out, sometimes more. */
static void push_and_pop(struct worker *worker)
{
	unsigned n = 1 + random_below(&worker->random, 3);
	struct hilo_task *task;

	for (unsigned i = 0; i < n && worker->made < made_per_worker; i++) {
		task = make(worker);
		while (hilo__deque_push(&worker->deque, task) == -ENOSPC)
			spill(worker, true);
	}
	for (unsigned i = 0; i < n; i++) {
		task = hilo__deque_pop(&worker->deque);
		if (task != NULL)
			take(worker, task);
	}
}

static void worker_step(struct worker *worker)
{
	if (worker->way == PUSHER && worker->made < made_per_worker) {
		push_and_pop(worker);
		return;
	}
	if (worker->way == THIEF)
		for (unsigned i = 0; i < 20; i++)
			steal(worker);
	make_some(worker);
	for (unsigned i = random_below(&worker->random, 50); i > 0; i--)
		if (!run_own(worker))
			break;
	if (random_below(&worker->random, 4) == 0)
		take_list(worker, hilo__inbox_take_fifo(&worker->inbox));
	steal(worker);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	uint64_t before = 0, all = 0;

	do {
		worker_step(worker);
		if (worker->took == before) {
			sched_yield();
		} else {
			all = add_relaxed(&taken_in_all, worker->took - before); /* relaxed: only a count */
			before = worker->took;
		}
		all = load_relaxed(&taken_in_all); /* relaxed: as above */
	} while (all < (uint64_t)worker_count * made_per_worker);
	return NULL;
}

static struct worker *worker_new(unsigned index, unsigned round)
{
	struct worker *worker = aligned_alloc(128, sizeof(*worker));

	TASK_CHECK(worker != NULL, ==, 1);
	memset(worker, 0, sizeof(*worker));
	hilo__deque_init(&worker->deque);
	hilo__ring_init(&worker->ring);
	hilo__inbox_init(&worker->inbox);
	random_init(&worker->random, test_seed() + round, index);
	worker->index = index;
	worker->way = index % 3;
	worker->items = calloc(made_per_worker, sizeof(*worker->items));
	TASK_CHECK(worker->items != NULL, ==, 1);
	return worker;
}

static void round_run(unsigned count, unsigned round)
{
	uint64_t took = 0, stolen = 0, spilled = 0;

	worker_count = count;
	made_per_worker = MADE_ALL / count < MADE_MOST ? MADE_ALL / count : MADE_MOST;
	store_relaxed(&taken_in_all, 0); /* relaxed: published by pthread_create */
	for (unsigned i = 0; i < count; i++)
		workers[i] = worker_new(i, round);
	for (unsigned i = 0; i < count; i++)
		TASK_CHECK(pthread_create(&workers[i]->thread, NULL, worker_main, workers[i]), ==, 0);
	for (unsigned i = 0; i < count; i++) {
		TASK_CHECK(pthread_join(workers[i]->thread, NULL), ==, 0);
		took += workers[i]->took;
		stolen += workers[i]->stolen;
		spilled += workers[i]->spilled;
	}
	TASK_CHECK(took, ==, (uint64_t)count * made_per_worker);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned n = 0; n < made_per_worker; n++)
			TASK_CHECK(load_relaxed(&workers[i]->items[n].taken), ==, 1); /* relaxed: joined */
		free(workers[i]->items);
		free(workers[i]);
	}
	printf("%u workers: %llu tasks, %llu stolen in batches, %llu spilled\n", count,
	       (unsigned long long)took, (unsigned long long)stolen, (unsigned long long)spilled);
}

int main(void)
{
	static const unsigned counts[] = {1, 2, 3, 8, 64};

	test_begin();
	for (unsigned round = 0; round < test_rounds(ROUNDS); round++)
		for (size_t i = 0; i < array_size(counts); i++)
			round_run(counts[i], round);
	return 0;
}
