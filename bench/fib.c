/* SPDX-License-Identifier: MIT */
/* fib.c - recursive fork-join down to the leaves: fork fib(n-1) as a task, call fib(n-2), join. */
#include "harness.h"

struct fork {
	long n;
	uint64_t result;
};

static int fork_task(void *arg);

static uint64_t fib(long n)
{
	struct fork fork = {.n = n - 1};
	hilo_task *task;
	uint64_t called;

	if (n < 2)
		return (uint64_t)n;
	task = hilo_spawn(fork_task, &fork);
	called = fib(n - 2);
	bench_join(task, 0);
	return fork.result + called;
}

static int fork_task(void *arg)
{
	struct fork *fork = arg;

	fork->result = fib(fork->n);
	return 0;
}

static uint64_t fib_run(struct bench *b, long n)
{
	(void)b;
	return fib(n);
}

/* fib(n) by adding up. */
uint64_t bench_fib_value(long n)
{
	uint64_t a = 0, b = 1, next;

	for (; n > 0; n--) {
		next = a + b;
		a = b;
		b = next;
	}
	return a;
}

void bench_fib_tasks(struct bench *b)
{
	if (b->n > 60)
		bench_die("fib_tasks: at most 60");
	bench_tasks(b, fib_run, b->n - 6, 2 * bench_fib_value(b->n + 1) - 1);
	bench_extra(b, "\"as\":\"tasks\"");
}
