/* SPDX-License-Identifier: MIT */
/*
 * stress_queue_mpmc.c - from 1 to 64 that put and from 1 to 64 that get, tasks and plain threads mixed, through
 * queues of each kind: each item comes out once, and of what one has put, each one who gets sees the order.
 *
 * Who gets says "done" for each item. When all is done, which is waited for with hilo_queue_join, the queue is shut
 * down.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SIDE 64
#define ITEMS 10000 /* in all, in one run */

/* An item is a pointer to one of these. */
struct item {
	unsigned putter, number; /* written before it is put, read by who gets it */
	atomic(unsigned) got;
};

static struct {
	hilo_queue *queue;
	bool ordered; /* those of one putter come in order */
	unsigned putters, getters, each;
	struct item *items;
} run;

static int compare_items(const void *a, const void *b, void *arg)
{
	const struct item *x = a, *y = b;

	(void)arg;
	return (x->number % 7 > y->number % 7) - (x->number % 7 < y->number % 7);
}

static int put_main(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct item *mine = &run.items[(size_t)me * run.each];

	for (unsigned i = 0; i < run.each; i++) {
		mine[i].putter = me;
		mine[i].number = i;
		if (i % 16 == 5 && hilo_queue_try_put(run.queue, &mine[i]) == 0)
			continue;
		TASK_CHECK(hilo_queue_put(run.queue, &mine[i], HILO_FOREVER), ==, 0);
	}
	return 0;
}

static int get_main(void *arg)
{
	unsigned next[SIDE] = {0};
	struct item *item;
	void *got;
	int rc;

	(void)arg;
	while ((rc = hilo_queue_get(run.queue, &got, HILO_FOREVER)) == 0) {
		item = got;
		/* relaxed: who gets it has it alone, or this is found */
		TASK_CHECK(add_relaxed(&item->got, 1), ==, 0);
		TASK_CHECK(item->putter, <, run.putters);
		if (run.ordered) {
			TASK_CHECK(item->number, >=, next[item->putter]);
			next[item->putter] = item->number + 1;
		}
		TASK_CHECK(hilo_queue_task_done(run.queue), ==, 0);
	}
	TASK_CHECK(rc, ==, -EPIPE);
	return 0;
}

static void *put_thread(void *arg)
{
	TASK_CHECK(put_main(arg), ==, 0);
	return NULL;
}

static void *get_thread(void *arg)
{
	TASK_CHECK(get_main(arg), ==, 0);
	return NULL;
}

/* Each eighth is a plain thread, the first one of two at least. */
static bool is_thread(unsigned i)
{
	return i % 8 == 1;
}

static void begin_side(unsigned n, hilo_task_fn task_main, void *(*thread_main)(void *), hilo_task **task,
		       pthread_t *thread)
{
	for (unsigned i = 0; i < n; i++)
		if (is_thread(i))
			TASK_CHECK(pthread_create(&thread[i], NULL, thread_main, (void *)(uintptr_t)i), ==,
				   0);
		else
			task[i] = hilo_spawn(task_main, (void *)(uintptr_t)i);
}

static void end_side(unsigned n, hilo_task **task, pthread_t *thread)
{
	for (unsigned i = 0; i < n; i++)
		if (is_thread(i))
			test_join_thread(thread[i]);
		else
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
}

static void through(hilo_queue *queue, bool ordered, unsigned putters, unsigned getters)
{
	hilo_task *put_task[SIDE], *get_task[SIDE];
	pthread_t put_threads[SIDE], get_threads[SIDE];
	size_t all;

	TASK_CHECK(queue, !=, NULL);
	run.queue = queue;
	run.ordered = ordered;
	run.putters = putters;
	run.getters = getters;
	run.each = test_rounds(ITEMS) / putters + 1;
	all = (size_t)run.each * putters;
	run.items = calloc(all, sizeof(*run.items));
	begin_side(getters, get_main, get_thread, get_task, get_threads);
	begin_side(putters, put_main, put_thread, put_task, put_threads);
	end_side(putters, put_task, put_threads);
	TASK_CHECK(hilo_queue_join(queue, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_shutdown(queue, 0), ==, 0);
	end_side(getters, get_task, get_threads);
	for (size_t i = 0; i < all; i++)
		TASK_CHECK(load_relaxed(&run.items[i].got), ==, 1); /* relaxed: all have ended */
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	free(run.items);
}

static int each_kind(void *arg)
{
	unsigned putters = ((unsigned *)arg)[0], getters = ((unsigned *)arg)[1];

	through(hilo_queue_new(1), true, putters, getters);
	through(hilo_queue_new(100), true, putters, getters);
	through(hilo_queue_new_unbounded(), true, putters, getters);
	through(hilo_queue_new_rendezvous(), true, putters, getters);
	through(hilo_queue_new_lifo(20), false, putters, getters);
	through(hilo_queue_new_priority(50, compare_items, NULL), false, putters, getters);
	return 0;
}

static void each_number(unsigned workers)
{
	static const unsigned sides[] = {1, 2, 5, 16, 64};
	unsigned n[2];

	for (size_t p = 0; p < array_size(sides); p++)
		for (size_t g = 0; g < array_size(sides); g++) {
			n[0] = sides[p];
			n[1] = sides[g];
			for (unsigned i = 0; i < test_scale(); i++)
				assert_int_equal(test_run(workers, each_kind, n), 0);
		}
}

static void test_on_one_worker(void **state)
{
	(void)state;
	each_number(1);
}

static void test_on_two_workers(void **state)
{
	(void)state;
	each_number(2);
}

static void test_on_eight_workers(void **state)
{
	(void)state;
	each_number(8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_one_worker),
		cmocka_unit_test(test_on_two_workers),
		cmocka_unit_test(test_on_eight_workers),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
