/* SPDX-License-Identifier: MIT */
/*
 * Loops whose threads are held again and again, while callbacks, pinned tasks, timers and wake-ups
 * arrive from all sides. Whoever serves them: callbacks of a loop run one at a time and, of each producer,
 * in order (plain counters, so that ThreadSanitizer sees two at a time); nothing is lost or doubled.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/random.h"

#define LOOPS 64
#define PRODUCERS 3 /* plain threads */
#define PINNED 64   /* tasks on all loops, at least one on each */
#define HOGS 12
#define HOLDS 16     /* of each hog */
#define HOLD_US 7000 /* more than a spare worker waits */

struct message {
	struct side *side;
	unsigned producer;
	unsigned number;
};

/* What the callbacks of one loop see. Not atomic: they run one after the other. */
struct side {
	hilo_loop *loop;
	unsigned seen[PRODUCERS];
	unsigned wrong;
	unsigned long calls;
	unsigned long ticks, ticks_wanted;
	hilo_future *quiet; /* no tick is armed any more */
};

static hilo_runtime *runtime;
static struct side sides[LOOPS];
static unsigned loops;
static hilo_time breath;  /* between two steps of what is on a loop: more loops have less each */
static unsigned messages; /* of each producer to each loop */
static atomic(unsigned) hogs_left;

static void callback(void *arg)
{
	struct message *m = arg;
	struct side *side = m->side;

	if (hilo_loop_current() != side->loop || side->seen[m->producer] != m->number)
		side->wrong++;
	side->seen[m->producer] = m->number + 1;
	side->calls++;
	free(m);
}

static void pause_us(uint64_t us)
{
	struct timespec span = {0, (long)us * 1000};

	(void)nanosleep(&span, NULL);
}

static void *producer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct random random;

	random_init(&random, test_seed(), me);
	for (unsigned n = 0; n < messages; n++) {
		for (unsigned i = 0; i < loops; i++) {
			struct message *m = malloc(sizeof(*m));

			if (!m)
				abort();
			*m = (struct message){&sides[i], me, n};
			if (hilo_call_soon_threadsafe(sides[i].loop, callback, m, NULL) < 0)
				abort();
		}
		if (random_below(&random, 8) == 0)
			pause_us(random_below(&random, 400));
	}
	return NULL;
}

/* Holds whatever thread it is on: asleep in the kernel or burning. */
static int hog(void *arg)
{
	struct random random;

	random_init(&random, test_seed(), 100 + (uintptr_t)arg);
	for (unsigned i = 0; i < HOLDS * test_scale(); i++) {
		hilo_time until;
		int rc;

		if (random_below(&random, 2)) {
			pause_us(random_below(&random, HOLD_US));
		} else {
			until = hilo_after((hilo_time)random_below(&random, HOLD_US) * HILO_MICROSECOND);
			while (hilo_now() < until)
				cpu_relax();
		}
		rc = random_below(&random, 2) ? hilo_yield() : hilo_sleep(random_below(&random, 1000000));
		if (rc < 0)
			return rc;
	}
	(void)sub_release(&hogs_left, 1);
	return 0;
}

static void tick(void *arg)
{
	struct side *side = arg;

	if (hilo_loop_current() != side->loop)
		side->wrong++;
	side->ticks++;
	/* Armed by whichever thread runs this, for the loop. */
	if (load_acquire(&hogs_left) > 0) {
		side->ticks_wanted++;
		TASK_CHECK(hilo_call_later(breath, tick, side, NULL), ==, 0);
	} else {
		TASK_CHECK(hilo_future_set(side->quiet, NULL, NULL), ==, 0);
	}
}

/* On its loop, whatever the thread. The first of each also arms the loop's ticks. */
static int pinned(void *arg)
{
	struct side *side = arg;

	while (load_acquire(&hogs_left) > 0) {
		TASK_CHECK(hilo_loop_current(), ==, side->loop);
		TASK_CHECK(hilo_sleep(breath), ==, 0);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	return 0;
}

static int pinned_first(void *arg)
{
	struct side *side = arg;

	side->ticks_wanted = 1;
	TASK_CHECK(hilo_call_soon(tick, side, NULL), ==, 0);
	return pinned(arg);
}

static void side_is_right(const struct side *side)
{
	assert_int_equal(side->wrong, 0);
	assert_int_equal(side->calls, (unsigned long)messages * PRODUCERS);
	assert_int_equal(side->ticks, side->ticks_wanted);
	for (unsigned p = 0; p < PRODUCERS; p++)
		assert_int_equal(side->seen[p], messages);
}

/* The last callback of a loop: everything before it has run. */
static void last(void *arg)
{
	(void)hilo_future_set(arg, NULL, NULL);
}

/* What is pinned to each loop. Returns how many tasks there are. */
static unsigned sides_begin(hilo_task **tasks)
{
	hilo_task_opts pin = {.size = sizeof(pin), .flags = HILO_TASK_PINNED};
	unsigned count = 0;

	for (unsigned i = 0; i < loops; i++) {
		sides[i] = (struct side){.loop = hilo_runtime_loop(runtime, i), .quiet = hilo_future_new()};
		assert_non_null(sides[i].quiet);
		pin.loop = sides[i].loop;
		for (unsigned k = 0; k < PINNED / loops; k++)
			assert_int_equal(hilo_submit(runtime, k ? pinned : pinned_first, &sides[i], &pin,
						     &tasks[count++]),
					 0);
	}
	return count;
}

static void sides_end(void)
{
	for (unsigned i = 0; i < loops; i++) {
		hilo_future *done = hilo_future_new();

		assert_non_null(done);
		assert_int_equal(hilo_future_await(sides[i].quiet, NULL, HILO_FOREVER), 0);
		hilo_future_unref(sides[i].quiet);
		assert_int_equal(hilo_call_soon_threadsafe(sides[i].loop, last, done, NULL), 0);
		assert_int_equal(hilo_future_await(done, NULL, HILO_FOREVER), 0);
		hilo_future_unref(done);
	}
}

static void run(unsigned workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers};
	hilo_task *tasks[PINNED], *hogs[HOGS];
	pthread_t threads[PRODUCERS];
	unsigned count;

	loops = workers;
	messages = (loops > 8 ? 50 : 300) * test_scale();
	breath = (loops > 8 ? 4000 : 400) * HILO_MICROSECOND;
	store_relaxed(&hogs_left, HOGS); /* relaxed: no thread yet */
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	count = sides_begin(tasks);
	for (uintptr_t i = 0; i < HOGS; i++)
		assert_int_equal(hilo_submit(runtime, hog, (void *)i, NULL, &hogs[i]), 0);
	for (uintptr_t p = 0; p < PRODUCERS; p++)
		assert_int_equal(pthread_create(&threads[p], NULL, producer, (void *)p), 0);
	for (unsigned p = 0; p < PRODUCERS; p++)
		assert_int_equal(pthread_join(threads[p], NULL), 0);
	for (unsigned i = 0; i < HOGS; i++)
		assert_int_equal(hilo_join(hogs[i], HILO_FOREVER), 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(hilo_join(tasks[i], HILO_FOREVER), 0);
	sides_end();
	assert_int_equal(hilo_runtime_free(runtime), 0);
	for (unsigned i = 0; i < loops; i++)
		side_is_right(&sides[i]);
}

static void test_held_loops_are_served_in_order(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		run(workers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held_loops_are_served_in_order),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
