/* SPDX-License-Identifier: MIT */
/* Tasks run on all workers at the same time, and cost next to nothing beside threads. */
#include "tests/support/test.h"

#include <sched.h>

#if defined(HILO__ASAN) || defined(HILO__TSAN)
#define SANITIZED 1 /* each switch tells the sanitizer, which takes its time */
#else
#define SANITIZED 0
#endif

/* ---- at the same time ---- */

static atomic(unsigned) there;

/* [task] Compute, never suspending, until @arg of them are here. */
static int meet(void *arg)
{
	unsigned all = (unsigned)(uintptr_t)arg;

	(void)add_release(&there, 1);
	while (load_acquire(&there) < all)
		(void)sched_yield(); /* the thread only; for machines with fewer processors than workers */
	return 0;
}

static int meet_main(void *arg)
{
	unsigned all = (unsigned)(uintptr_t)arg;
	hilo_task *task[8];

	for (int round = 0; round < 5; round++) {
		atomic_setup(&there, 0);
		for (unsigned i = 0; i < all; i++)
			task[i] = hilo_spawn(meet, arg);
		TASK_CHECK(hilo_gather(task, all, NULL, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* Nobody stands in for a worker that is held: all of them have to come to the end of it by themselves. */
static void test_as_many_tasks_as_workers_compute_at_the_same_time(void **state)
{
	static const unsigned workers[] = {1, 2, 8};

	(void)state;
	hilo__nobody_stands_in = true;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], meet_main, (void *)(uintptr_t)workers[i]), 0);
	hilo__nobody_stands_in = false;
}

static int computes_beside_its_child(void *arg)
{
	hilo_task *child;

	(void)arg;
	atomic_setup(&there, 0);
	child = hilo_spawn(meet, (void *)(uintptr_t)1);
	while (!load_acquire(&there))
		(void)sched_yield();
	return hilo_join(child, HILO_FOREVER);
}

/* A task does not wait for the one that has spawned it, as long as there is another worker. */
static void test_another_worker_takes_what_was_spawned(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	for (unsigned round = 0; round < test_rounds(20); round++)
		assert_int_equal(test_run(2, computes_beside_its_child, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* ---- what they cost ---- */

#define TASKS 200
#define THREADS 10
#define ROUNDS 100

static void *thread_main(void *arg)
{
	return arg;
}

static hilo_time tasks_round(void)
{
	hilo_time start = hilo_now();
	hilo_task *task[TASKS];

	for (unsigned i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(test_entry_return, NULL);
	for (unsigned i = 0; i < TASKS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return (hilo_now() - start) / TASKS;
}

static hilo_time threads_round(void)
{
	hilo_time start = hilo_now();
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, thread_main, NULL), ==, 0);
	for (unsigned i = 0; i < THREADS; i++)
		TASK_CHECK(pthread_join(thread[i], NULL), ==, 0);
	return (hilo_now() - start) / THREADS;
}

/* The best of many rounds each, in turn: whoever is held up was not in its best one. */
static int cost_main(void *arg)
{
	hilo_time task = HILO_FOREVER, thread = HILO_FOREVER;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		hilo_time tasks = tasks_round(), threads = threads_round();

		task = tasks < task ? tasks : task;
		thread = threads < thread ? threads : thread;
	}
	print_message("to make one and to wait for it: task %lld ns, thread %lld ns\n", (long long)task,
		      (long long)thread);
	TASK_CHECK(task * 5, <, thread);
	return 0;
}

static void test_a_task_costs_less_than_a_fifth_of_a_thread(void **state)
{
	(void)state;
	if (SANITIZED || test_rounds(100) < 100)
		TEST_SKIP("sanitizers and emulators have costs of their own");
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run_natural(workers, cost_main, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_many_tasks_as_workers_compute_at_the_same_time),
		cmocka_unit_test(test_another_worker_takes_what_was_spawned),
		cmocka_unit_test(test_a_task_costs_less_than_a_fifth_of_a_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
