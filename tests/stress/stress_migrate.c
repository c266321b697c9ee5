/* SPDX-License-Identifier: MIT */
/*
 * stress_migrate.c - a task changes threads between two uses of malloc and of errno in one function.
 *
 * The C library says that the address of errno never changes within a function, compilers keep
 * addresses of thread-local variables in registers, and an allocator that is inlined may keep its
 * cache. So this file is compiled at -O3, and each thread of the runtime marks its own errno while a
 * task that has left it runs elsewhere. What the library promises: its own state is never mixed up,
 * memory from the first half can be freed in the second, and errno is right again after a call that
 * is not inlined. HILO_TEST_SCALE multiplies the number of rounds.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS 64
#define ROUNDS 400
#define BLOCKS 8

static atomic(uint64_t) migrations;

/* The errno of the thread that runs us now: not inlined, so its address is asked for again. */
static HILO__NOINLINE int errno_get(void)
{
	__asm__ volatile("" ::: "memory");
	return errno;
}

static HILO__NOINLINE void errno_set(int value)
{
	__asm__ volatile("" ::: "memory");
	errno = value;
}

/* Two uses with a suspension between, all inlined into one function. */
static inline __attribute__((always_inline)) void migrate_once(struct random *random, unsigned round)
{
	char *block[BLOCKS];
	hilo_time until;
	hilo_loop *before = hilo_loop_current();

	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t size = 16u << random_below(random, 8);

		block[i] = malloc(size);
		TASK_CHECK(block[i], !=, NULL);
		memset(block[i], (int)(round + i), size);
	}
	/* Work enough for others to find it worth stealing. */
	until = hilo_now() + random_below(random, 20) * HILO_MICROSECOND;
	while (hilo_now() < until)
		;
	errno_set((int)round + 1);
	TASK_CHECK(errno_get(), ==, round + 1);
	if (random_below(random, 4))
		TASK_CHECK(hilo_yield(), ==, 0);
	else
		TASK_CHECK(hilo_sleep(random_below(random, 30) * HILO_MICROSECOND), ==, 0);
	if (hilo_loop_current() != before)
		(void)add_relaxed(&migrations, 1);
	/* A call of the C library that fails on this thread sets this thread's errno. */
	TASK_CHECK(close(-1), ==, -1);
	TASK_CHECK(errno_get(), ==, EBADF);
	for (unsigned i = 0; i < BLOCKS; i++) {
		char *again = realloc(block[i], 64);

		TASK_CHECK(again, !=, NULL);
		TASK_CHECK(again[15], ==, (char)(round + i));
		free(again);
	}
	errno_set(0);
}

static int migrate_main(void *arg)
{
	unsigned rounds = test_rounds(ROUNDS);
	struct random random;

	random_init(&random, test_seed(), (uintptr_t)arg);
	for (unsigned round = 0; round < rounds; round++)
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
	static const unsigned workers[] = {1, 2, 4, 8};

	test_begin();
	for (size_t i = 0; i < array_size(workers); i++) {
		store_release(&migrations, 0);
		TASK_CHECK(test_run(workers[i], all_main, NULL), ==, 0);
		printf("%u workers: %llu migrations\n", workers[i],
		       (unsigned long long)load_acquire(&migrations));
	}
	return 0;
}
