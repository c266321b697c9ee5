/* SPDX-License-Identifier: MIT */
/* holds_locks.c - what test_locks.sh looks at: tasks that suspend while they hold a lock, and tasks that do not. */
#include <hilo/hilo.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <threads.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spinlock;
static mtx_t standard;
static bool ready;

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Twice: the same place is told of once. */
static int sleeps_with_mutex(void *arg)
{
	volatile int times = 2; /* so that it stays one place */

	(void)arg;
	while (times-- > 0) {
		(void)pthread_mutex_lock(&mutex);
		(void)hilo_sleep(HILO_MILLISECOND);
		(void)pthread_mutex_unlock(&mutex);
	}
	return 0;
}

static int yields_with_rwlock(void *arg)
{
	(void)arg;
	(void)pthread_rwlock_rdlock(&rwlock);
	(void)hilo_yield();
	(void)pthread_rwlock_unlock(&rwlock);
	return 0;
}

static int spawns_with_spinlock(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_EAGER};
	hilo_task *task = NULL;
	int rc;

	(void)arg;
	(void)pthread_spin_lock(&spinlock);
	rc = hilo_spawn_with(nothing, NULL, &opts, &task);
	(void)pthread_spin_unlock(&spinlock);
	return rc < 0 ? rc : hilo_join(task, HILO_FOREVER);
}

static int awaits_with_standard_mutex(void *arg)
{
	hilo_task *task = hilo_spawn(nothing, arg);
	int rc;

	if (mtx_trylock(&standard) != thrd_success)
		return -1;
	rc = hilo_join(task, HILO_FOREVER);
	(void)mtx_unlock(&standard);
	return rc;
}

static int signals(void *arg)
{
	(void)arg;
	(void)pthread_mutex_lock(&other);
	ready = true;
	(void)pthread_cond_signal(&cond);
	(void)pthread_mutex_unlock(&other);
	return 0;
}

/* Holds nothing when it suspends: what it had it has given back, in another order and after a wait. */
static int is_careful(void *arg)
{
	hilo_task *task = hilo_spawn(signals, arg);
	struct timespec past = {0, 0};

	(void)pthread_mutex_lock(&other);
	while (!ready)
		(void)pthread_cond_wait(&cond, &other);
	(void)pthread_rwlock_wrlock(&rwlock);
	(void)pthread_mutex_unlock(&other);
	(void)pthread_rwlock_unlock(&rwlock);
	(void)pthread_mutex_lock(&other);
	if (pthread_mutex_trylock(&other) == 0 || pthread_mutex_timedlock(&other, &past) == 0)
		return -1;
	(void)pthread_mutex_unlock(&other);
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_join(task, HILO_FOREVER);
}

static int holds_main(void *arg)
{
	static const struct {
		hilo_task_fn entry;
		const char *name;
	} tasks[] = {
		{sleeps_with_mutex, "sleeper"},	   {yields_with_rwlock, "yielder"},
		{spawns_with_spinlock, "spawner"}, {awaits_with_standard_mutex, "awaiter"},
		{is_careful, "careful"},
	};

	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		hilo_task_opts opts = {
			.size = sizeof(opts), .name = tasks[i].name, .flags = HILO_TASK_PINNED};
		hilo_task *task;
		int rc = hilo_spawn_with(tasks[i].entry, arg, &opts, &task);

		if (rc == 0)
			rc = hilo_join(task, HILO_FOREVER);
		if (rc < 0)
			return 1;
	}
	return 0;
}

int main(void)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};

	(void)pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE);
	(void)mtx_init(&standard, mtx_plain);
	return hilo_run(holds_main, NULL, &opts);
}
