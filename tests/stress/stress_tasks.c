/* SPDX-License-Identifier: MIT */
/*
 * stress_tasks.c - random trees of tasks that spawn, join, detach, yield, sleep, cancel each other,
 * meet in futures and call executors, while plain threads submit and cancel; with 1, 2, 8 and 64
 * workers. Checked: each task that was made ends once and its argument is destroyed once, results
 * arrive where they should, and nothing stays allocated. HILO_TEST_SCALE multiplies the duration.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "scheduler/base/mem.h"

#define ROUND_MS 900
#define THREADS 3
#define CHILDREN 6
#define DEPTH 4

static struct {
	atomic(uint64_t) made, destroyed, entered, cancelled, futures, calls;
	hilo_time end;
	hilo_runtime *runtime;
	unsigned round;
} world;

/* What a task is given: the seed of its choices, and how deep it is. */
struct node {
	uint64_t seed;
	unsigned depth;
};

static void node_destroy(void *arg)
{
	(void)add_release(&world.destroyed, 1);
	free(arg);
}

static int node_main(void *arg);

static hilo_task *node_make(struct random *random, unsigned depth, bool outside, bool detached)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = node_destroy};
	struct node *node = malloc(sizeof(*node));
	hilo_task *task = NULL;
	int rc;

	TASK_CHECK(node, !=, NULL);
	*node = (struct node){random_u64(random), depth};
	if (random_below(random, 8) == 0)
		opts.flags |= HILO_TASK_PINNED;
	if (random_below(random, 8) == 0)
		opts.flags |= HILO_TASK_EAGER;
	if (random_below(random, 8) == 0)
		opts.flags |= random_below(random, 2) ? HILO_TASK_HIGH : HILO_TASK_LOW;
	if (random_below(random, 16) == 0)
		opts.stack = HILO_STACK_16K + (int)random_below(random, 3);
	if (random_below(random, 16) == 0)
		opts.name = "node";
	if (outside)
		rc = hilo_submit(world.runtime, node_main, node, &opts, detached ? NULL : &task);
	else
		rc = hilo_spawn_with(node_main, node, &opts, detached ? NULL : &task);
	if (rc < 0) {
		TASK_CHECK(rc, ==, HILO_ECLOSED);
		free(node);
		return NULL;
	}
	(void)add_release(&world.made, 1);
	return task;
}

static int future_set_main(void *arg)
{
	(void)hilo_yield();
	TASK_CHECK(hilo_future_set(arg, &world, NULL), ==, 0);
	hilo_future_unref(arg);
	return 0;
}

/* A future that another task sets; perhaps we do not wait long enough. */
static void meet_future(struct random *random)
{
	hilo_future *future = hilo_future_new();
	void *got = NULL;
	int rc;

	TASK_CHECK(future, !=, NULL);
	rc = hilo_spawn_with(future_set_main, hilo_future_ref(future), NULL, NULL);
	if (rc < 0) {
		hilo_future_unref(future);
	} else {
		hilo_time deadline =
			random_below(random, 2) ? HILO_FOREVER : hilo_after(random_below(random, 50000));

		rc = hilo_future_await(future, &got, deadline);
		if (rc == 0)
			TASK_CHECK(got, ==, &world);
		else
			TASK_CHECK(rc == -ECANCELED || rc == -ETIMEDOUT, ==, 1);
		(void)add_relaxed(&world.futures, 1);
	}
	hilo_future_unref(future);
}

static int blocking_call(void *arg)
{
	if (arg)
		(void)usleep(100);
	return 21;
}

static void call_executor(struct random *random)
{
	int rc = hilo_run_in_executor(NULL, blocking_call, random_below(random, 4) ? NULL : random,
				      random_below(random, 3) ? HILO_FOREVER
							      : hilo_after(random_below(random, 300000)));

	if (rc == 21)
		(void)add_relaxed(&world.calls, 1);
	else
		TASK_CHECK(rc == -ECANCELED || rc == -ETIMEDOUT, ==, 1);
}

static void wait_a_little(struct random *random)
{
	int rc = 0;

	switch (random_below(random, 6)) {
	case 0:
		rc = hilo_sleep(random_below(random, 200) * HILO_MICROSECOND);
		break;
	case 1:
		meet_future(random);
		break;
	case 2:
		if (random_below(random, 4) == 0)
			call_executor(random);
		break;
	case 3:
		rc = hilo_checkpoint();
		break;
	default:
		rc = hilo_yield();
		break;
	}
	if (rc < 0)
		TASK_CHECK(rc, ==, -ECANCELED);
}

/* Wait for a child, with a deadline or without, shielded once we were cancelled. */
static void child_join(struct random *random, hilo_task *child)
{
	hilo_time deadline =
		random_below(random, 4) ? HILO_FOREVER : hilo_after(random_below(random, 100000));
	int rc = hilo_join(child, deadline);

	if (rc == 1 || hilo_error_task())
		return;
	if (rc == -ECANCELED || rc == -ETIMEDOUT) {
		if (random_below(random, 4) == 0) {
			hilo_task_detach(child);
			return;
		}
		(void)hilo_task_cancel(child);
		TASK_CHECK(hilo_shield_enter(), ==, 0);
		rc = hilo_join(child, HILO_FOREVER);
		TASK_CHECK(hilo_shield_leave(), ==, 0);
	}
	TASK_CHECK(rc == 1 || rc == -ECANCELED, ==, 1);
}

static int node_main(void *arg)
{
	struct node node = *(struct node *)arg;
	hilo_task *child[CHILDREN];
	struct random random;
	unsigned count, steps;

	random_init(&random, node.seed, node.depth);
	(void)add_relaxed(&world.entered, 1);
	count = node.depth ? random_below(&random, CHILDREN + 1) : 0;
	for (unsigned i = 0; i < count; i++) {
		child[i] = node_make(&random, node.depth - 1, random_below(&random, 8) == 0,
				     random_below(&random, 8) == 0);
		if (child[i] && random_below(&random, 12) == 0)
			(void)hilo_task_cancel(child[i]);
	}
	steps = random_below(&random, 4);
	for (unsigned i = 0; i < steps; i++)
		wait_a_little(&random);
	for (unsigned i = 0; i < count; i++)
		if (child[i])
			child_join(&random, child[i]);
	return 1;
}

/* Trees one after the other, until the time is over. */
static int grower_main(void *arg)
{
	struct random random;

	random_init(&random, test_seed() + world.round, (uintptr_t)arg);
	while (hilo_now() < world.end) {
		hilo_task *task = node_make(&random, 1 + random_below(&random, DEPTH), false, false);
		int rc;

		if (random_below(&random, 3) == 0)
			(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == 1 || rc == -ECANCELED, ==, 1);
		(void)add_relaxed(&world.cancelled, rc == -ECANCELED);
	}
	return 0;
}

/* A plain thread that submits, cancels, waits or forgets. */
static void *outsider_main(void *arg)
{
	struct random random;

	random_init(&random, test_seed() + world.round, 100 + (uintptr_t)arg);
	while (hilo_now() < world.end) {
		hilo_task *task = node_make(&random, random_below(&random, DEPTH), true, false);
		int rc;

		if (random_below(&random, 2))
			(void)hilo_sleep(random_below(&random, 300) * HILO_MICROSECOND);
		if (random_below(&random, 2))
			(void)hilo_task_cancel(task);
		if (random_below(&random, 4) == 0) {
			hilo_task_detach(task);
			continue;
		}
		rc = hilo_await(task, hilo_after(random_below(&random, 1000000)));
		TASK_CHECK(rc == 1 || rc == -ECANCELED || rc == -ETIMEDOUT, ==, 1);
		if (random_below(&random, 2))
			rc = hilo_join(task, HILO_FOREVER);
		else
			hilo_task_unref(task);
	}
	return NULL;
}

static void world_run(unsigned workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers};
	hilo_task *grower[8];
	pthread_t thread[THREADS];
	long live = hilo__mem_live();

	world.round++;
	store_release(&world.made, 0);
	store_release(&world.destroyed, 0);
	store_release(&world.entered, 0);
	TASK_CHECK(hilo_runtime_new(&opts, &world.runtime), ==, 0);
	world.end = hilo_after((hilo_time)test_scale() * ROUND_MS * HILO_MILLISECOND);
	for (uintptr_t i = 0; i < array_size(grower); i++)
		TASK_CHECK(hilo_submit(world.runtime, grower_main, (void *)i, NULL, &grower[i]), ==, 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, outsider_main, (void *)i), ==, 0);
	for (size_t i = 0; i < array_size(grower); i++)
		TASK_CHECK(hilo_join(grower[i], HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < THREADS; i++)
		TASK_CHECK(pthread_join(thread[i], NULL), ==, 0);
	TASK_CHECK(hilo_runtime_free(world.runtime), ==, 0);
	TASK_CHECK(load_acquire(&world.made), ==, load_acquire(&world.destroyed));
	TASK_CHECK(load_acquire(&world.entered), <=, load_acquire(&world.made));
	printf("%2u workers: %llu tasks, %llu entered, %llu futures, %llu calls\n", workers,
	       (unsigned long long)load_acquire(&world.made),
	       (unsigned long long)load_acquire(&world.entered),
	       (unsigned long long)load_acquire(&world.futures),
	       (unsigned long long)load_acquire(&world.calls));
	if (world.round > 1) /* the first one leaves this thread's own record and messages */
		TASK_CHECK(hilo__mem_live(), <=, live + 8);
}

int main(void)
{
	static const unsigned workers[] = {2, 1, 8, 64, 2};

	test_begin();
	for (size_t i = 0; i < array_size(workers); i++)
		world_run(workers[i]);
	return 0;
}
