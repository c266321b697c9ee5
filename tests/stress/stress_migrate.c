/* SPDX-License-Identifier: MIT */
/*
 * stress_migrate.c - a task changes threads between two uses of malloc and of errno in one function.
 *
 * The C library says that the address of errno never changes within a function, compilers keep
 * addresses of thread-local variables in registers, and an allocator that is inlined may keep its
 * cache. So this file is compiled at -O3, and each thread of the runtime marks its own errno while a
 * task that has left it runs elsewhere. What the library promises: its own state is never mixed up,
 * memory from the first half can be freed in the second, and errno is right again after a call that
 * is not inlined. Workers that have all they need steal nothing, so a task moves by being woken: who
 * wakes it has it run next on his own loop. All go on until they have really changed threads so often, if
 * there is more than one. HILO_TEST_SCALE multiplies the number of rounds.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS 64
#define ROUNDS 250
#define BLOCKS 8
#define ENOUGH 1000 /* migrations */

static atomic(uint64_t) migrations;
static uint64_t wanted;

static HILO__NOINLINE pthread_t thread_get(void)
{
	__asm__ volatile("" ::: "memory");
	return pthread_self();
}

static int set_future(void *future)
{
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	hilo_future_unref(future);
	return 0;
}

/* Wait to be woken by a task that is bound to some loop. */
static HILO__NOINLINE void move(struct random *random)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_future *future = hilo_future_new();

	TASK_CHECK(future, !=, NULL);
	opts.loop = hilo_runtime_loop(runtime, random_below(random, hilo_runtime_workers(runtime)));
	TASK_CHECK(hilo_spawn_with(set_future, hilo_future_ref(future), &opts, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
}

/* Two uses with a suspension between, all inlined into one function. */
static inline __attribute__((always_inline)) void migrate_once(struct random *random, unsigned round)
{
	char *block[BLOCKS];
	hilo_time until;
	pthread_t before = thread_get();

	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t size = 16u << random_below(random, 8);

		block[i] = malloc(size);
		TASK_CHECK(block[i], !=, NULL);
		memset(block[i], (int)(round + i), size);
	}
	/* Some work, so that others may find it worth stealing. */
	until = hilo_now() + random_below(random, 20) * HILO_MICROSECOND;
	while (hilo_now() < until)
		;
	test_errno_set((int)round + 1);
	TASK_CHECK(test_errno_get(), ==, round + 1);
	switch (random_below(random, 4)) {
	case 0:
		TASK_CHECK(hilo_yield(), ==, 0);
		break;
	case 1:
		TASK_CHECK(hilo_sleep(random_below(random, 30) * HILO_MICROSECOND), ==, 0);
		break;
	default:
		move(random);
		break;
	}
	if (!pthread_equal(thread_get(), before))
		(void)add_relaxed(&migrations, 1);
	/* A call of the C library that fails on this thread sets this thread's errno. */
	TASK_CHECK(close(-1), ==, -1);
	TASK_CHECK(test_errno_get(), ==, EBADF);
	for (unsigned i = 0; i < BLOCKS; i++) {
		char *again = realloc(block[i], 64);

		TASK_CHECK(again, !=, NULL);
		TASK_CHECK(again[15], ==, (char)(round + i));
		free(again);
	}
	test_errno_set(0);
}

static int migrate_main(void *arg)
{
	unsigned rounds = test_rounds(ROUNDS);
	struct random random;

	random_init(&random, test_seed(), (uintptr_t)arg);
	/* relaxed: a count; that there is an end at all is for the watchdog */
	for (unsigned round = 0; round < rounds || load_relaxed(&migrations) < wanted; round++)
		migrate_once(&random, round);
	return 0;
}

static int all_main(void *arg)
{
	hilo_task *task[TASKS];

	(void)arg;
	for (uintptr_t i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(migrate_main, (void *)i);
	for (int i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

int main(void)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	test_begin();
	for (size_t i = 0; i < array_size(workers); i++) {
		store_release(&migrations, 0);
		wanted = workers[i] > 1 ? ENOUGH : 0;
		TASK_CHECK(test_run(workers[i], all_main, NULL), ==, 0);
		TASK_CHECK(load_acquire(&migrations), >=, wanted);
		printf("%u workers: %llu migrations\n", workers[i],
		       (unsigned long long)load_acquire(&migrations));
	}
	return 0;
}
