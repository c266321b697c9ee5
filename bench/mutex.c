/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - tasks that share a counter under a lock.
 *
 * How long a lock had to be waited for at most is taken in a run of its own: two looks at the clock cost more than
 * a lock.
 */
#include "harness.h"

#include <pthread.h>

#define TASKS 8

static hilo_mutex mutex;
static unsigned flags;
static uint64_t value;	       /* under the mutex */
static hilo_time longest_wait; /* as well */
static int looks;

static void lock_and_look(void)
{
	hilo_time start = hilo_now(), waited;

	(void)!hilo_mutex_lock(&mutex, HILO_FOREVER);
	waited = hilo_now() - start;
	if (waited > longest_wait)
		longest_wait = waited;
}

static int adding_task(void *arg)
{
	long n = *(const long *)arg;

	for (long i = 0; i < n; i++) {
		if (looks)
			lock_and_look();
		else if (hilo_mutex_lock(&mutex, HILO_FOREVER) < 0)
			return -1;
		value++;
		if (hilo_mutex_unlock(&mutex) < 0)
			return -1;
	}
	return 0;
}

static uint64_t shared_counter(struct bench *b, long n)
{
	long each = n / TASKS;
	hilo_task *task[TASKS];

	(void)b;
	if (hilo_mutex_init(&mutex, flags) < 0)
		bench_die("mutex: no such flags");
	value = 0;
	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(adding_task, &each);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return value;
}

static void mutex_measure(struct bench *b)
{
	struct bench look;

	b->n -= b->n % TASKS;
	bench_tasks(b, shared_counter, b->n / 10, (uint64_t)b->n);
	look = *b;
	looks = 1;
	bench_tasks(&look, shared_counter, 0, (uint64_t)b->n);
	bench_extra(b, "\"longest_wait_us\":%.1f", (double)longest_wait / (double)HILO_MICROSECOND);
}

void bench_mutex(struct bench *b)
{
	mutex_measure(b);
}

void bench_mutex_fair(struct bench *b)
{
	flags = HILO_MUTEX_FAIR;
	mutex_measure(b);
}

/* Nobody else wants it; and the same with the lock of the C library, in the same task. */
static uint64_t alone(struct bench *b, long n)
{
	(void)b;
	value = 0;
	for (long i = 0; i < n; i++) {
		if (hilo_mutex_lock(&mutex, HILO_FOREVER) < 0)
			bench_die("lock_unlock: not locked");
		value++;
		if (hilo_mutex_unlock(&mutex) < 0)
			bench_die("lock_unlock: not unlocked");
	}
	return value;
}

static uint64_t alone_pthread(struct bench *b, long n)
{
	static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;

	(void)b;
	value = 0;
	for (long i = 0; i < n; i++) {
		if (pthread_mutex_lock(&other))
			bench_die("lock_unlock: not locked");
		value++;
		if (pthread_mutex_unlock(&other))
			bench_die("lock_unlock: not unlocked");
	}
	return value;
}

void bench_lock_unlock(struct bench *b)
{
	struct bench other = *b;

	bench_tasks(b, alone, b->n / 10, (uint64_t)b->n);
	bench_tasks(&other, alone_pthread, b->n / 10, (uint64_t)b->n);
	bench_extra(b, "\"pthread_ns_per_op\":%.3f", (double)other.took / (double)b->n);
}

/* A table that is read 19 times of 20, and written else. */
static hilo_rwlock rwlock = HILO_RWLOCK_INIT;

static int reading_task(void *arg)
{
	long n = *(const long *)arg;
	uint64_t seen = 0;

	for (long i = 0; i < n; i++) {
		if (i % 20 == 19) {
			if (hilo_rwlock_write(&rwlock, HILO_FOREVER) < 0)
				return -1;
			value++;
		} else {
			if (hilo_rwlock_read(&rwlock, HILO_FOREVER) < 0 || value < seen)
				return -1;
			seen = value;
		}
		if (hilo_rwlock_unlock(&rwlock) < 0)
			return -1;
	}
	return 0;
}

static uint64_t shared_table(struct bench *b, long n)
{
	long each = n / TASKS;
	hilo_task *task[TASKS];

	(void)b;
	value = 0;
	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(reading_task, &each);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return value * 20;
}

void bench_rwlock(struct bench *b)
{
	b->n -= b->n % (20 * TASKS);
	bench_tasks(b, shared_table, b->n / 10 - b->n / 10 % (20 * TASKS), (uint64_t)b->n);
}
