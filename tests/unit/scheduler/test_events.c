/* SPDX-License-Identifier: MIT */
/*
 * The event points, in a build with HILO_TRACE: each task is spawned, runs, parks, is woken, completes,
 * and the records say so in that order, as one worker of the simulation has written them. Several
 * workers write to several rings, and only clocks could say what came first; there it is counted.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/trace.h"
#include "scheduler/wait.h"
#include "tests/support/simulate.h"

#define CHILDREN 20
#define SEEDS 10
#define TASKS 1024

/* What is known of one task, from the records read so far. */
struct seen {
	long id;
	char last[16]; /* event */
	unsigned spawns, runs, parks, wakes, completes;
	long waits; /* of the last park */
	long waker; /* of the last wake */
	long result;
};

static struct seen seen[TASKS];
static unsigned count;

static struct seen *seen_find(long id)
{
	for (unsigned i = 0; i < count; i++)
		if (seen[i].id == id)
			return &seen[i];
	assert_true(count < TASKS);
	seen[count].id = id;
	return &seen[count++];
}

/* May @event follow on @last? */
static bool is_legal(const char *last, const char *event)
{
	static const char *const after[][2] = {
		{"", "spawn"},	 {"spawn", "run"},    {"run", "park"}, {"park", "wake"},
		{"wake", "run"}, {"run", "complete"}, {"run", "run"}, /* it has yielded in between */
	};

	for (unsigned i = 0; i < array_size(after); i++)
		if (strcmp(last, after[i][0]) == 0 && strcmp(event, after[i][1]) == 0)
			return true;
	return false;
}

static void seen_add(struct seen *task, const char *event, long b)
{
	if (strcmp(event, "spawn") == 0) {
		task->spawns++;
	} else if (strcmp(event, "run") == 0) {
		task->runs++;
	} else if (strcmp(event, "park") == 0) {
		task->parks++;
		task->waits = b;
	} else if (strcmp(event, "wake") == 0) {
		task->wakes++;
		task->waker = b;
	} else {
		assert_string_equal(event, "complete");
		task->completes++;
		task->result = b;
	}
}

/* Read the dump of @fd; with @order each event of a task must be one that may follow on its last. */
static void dump_read(FILE *file, bool order)
{
	char worker[16], event[16];
	unsigned long cycles;
	long a, b;

	memset(seen, 0, sizeof(seen));
	count = 0;
	rewind(file);
	while (fscanf(file, "%lu %15s %15s %ld %ld\n", &cycles, worker, event, &a, &b) == 5) {
		struct seen *task;

		if (strcmp(event, "poll") == 0 || strcmp(event, "sleep") == 0 || strcmp(event, "steal") == 0)
			continue;
		task = seen_find(a);
		if (order && !is_legal(task->last, event))
			fail_msg("task %ld: %s after \"%s\"", a, event, task->last);
		(void)snprintf(task->last, sizeof(task->last), "%s", event);
		seen_add(task, event, b);
	}
	assert_true(feof(file));
}

/* Not by yielding: each time is a record, and a ring has 8192. */
static void until_suspended(const hilo_task *task)
{
	while (hilo_task_get_state(task) != HILO_TASK_SUSPENDED)
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
}

static int child(void *future)
{
	int rc = hilo_yield();

	return rc < 0 ? rc : hilo_future_await(future, NULL, HILO_FOREVER);
}

static int failing(void *arg)
{
	(void)arg;
	return hilo_sleep(HILO_MILLISECOND) < 0 ? -EIO : -EDOM;
}

struct family {
	uint64_t parent, children[CHILDREN], failing;
};

static int parent(void *arg)
{
	struct family *family = arg;
	hilo_future *future = hilo_future_new();
	hilo_task *tasks[CHILDREN], *last = hilo_spawn(failing, NULL);

	family->parent = hilo_task_id(hilo_task_current());
	family->failing = hilo_task_id(last);
	for (int i = 0; i < CHILDREN; i++) {
		tasks[i] = hilo_spawn(child, future);
		family->children[i] = hilo_task_id(tasks[i]);
	}
	until_suspended(tasks[0]);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	for (int i = 0; i < CHILDREN; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	TASK_CHECK(hilo_join(last, HILO_FOREVER), ==, -EDOM);
	return 0;
}

/* What must have been recorded, in whatever order. */
static void family_check(const struct family *family)
{
	struct seen *task;

	for (int i = 0; i < CHILDREN; i++) {
		task = seen_find((long)family->children[i]);
		assert_int_equal(task->spawns, 1);
		assert_int_equal(task->parks, task->wakes);
		assert_true(task->runs >= 1 + 1 + task->parks); /* the yield */
		assert_int_equal(task->completes, 1);
		assert_int_equal(task->result, 0);
	}
	task = seen_find((long)family->children[0]);
	assert_int_equal(task->parks, 1); /* the parent has seen it suspended */
	assert_int_equal(task->waits, WAIT_FUTURE);
	assert_int_equal(task->waker, family->parent);
	task = seen_find((long)family->failing);
	assert_int_equal(task->parks, 1);
	assert_int_equal(task->waits, WAIT_SLEEP);
	assert_int_equal(task->waker, 0); /* a timer */
	assert_int_equal(task->result, -EDOM);
}

/* What the runtimes to come write at their end. */
static FILE *trace_begin(void)
{
	char path[] = "/tmp/hilo-events-XXXXXX";
	int fd = mkstemp(path);
	FILE *file;

	assert_true(fd >= 0);
	(void)setenv("HILO_TRACE", path, 1);
	file = fdopen(fd, "r");
	assert_non_null(file);
	return file;
}

static void trace_end(FILE *file)
{
	(void)unlink(getenv("HILO_TRACE"));
	(void)unsetenv("HILO_TRACE");
	(void)fclose(file);
}

static void test_events_of_a_task_are_in_order(void **state)
{
	struct family family;
	FILE *file = trace_begin();

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		assert_int_equal(test_simulate(test_seed() + seed, parent, &family), 0);
		dump_read(file, true);
		family_check(&family);
		/* By this thread, which is no worker. */
		assert_int_equal(seen_find((long)family.parent)->spawns, 1);
	}
	trace_end(file);
}

static void test_no_event_is_lost_among_workers(void **state)
{
	struct family family;
	FILE *file = trace_begin();

	(void)state;
	assert_int_equal(test_run(4, parent, &family), 0);
	dump_read(file, false);
	family_check(&family);
	trace_end(file);
}

/* It is cancelled when it looks at the clock next: after its last look at its state, before it leaves. */
static atomic(hilo_task *) victim;

static int64_t clock_that_cancels(void *ctx)
{
	hilo_task *task = load_relaxed(&victim); /* relaxed: its own store, if it is the one */
	struct timespec now;

	(void)ctx;
	if (task && hilo_task_current() == task) {
		store_relaxed(&victim, NULL); /* relaxed: as above */
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * HILO_SECOND + now.tv_nsec;
}

static int notified(void *future)
{
	hilo_time when = hilo_after(HILO_MINUTE);

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	store_relaxed(&victim, hilo_task_current()); /* relaxed: for ourselves */
	TASK_CHECK(hilo_future_await(future, NULL, when), ==, 0);
	return hilo_shield_leave();
}

static int notified_main(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = hilo_spawn(notified, future);

	*(uint64_t *)arg = hilo_task_id(task);
	until_suspended(task);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void test_a_wake_that_comes_before_the_park_is_recorded(void **state)
{
	FILE *file = trace_begin();
	struct seen *task;
	uint64_t id = 0;

	(void)state;
	hilo__clock_set_source(clock_that_cancels, NULL);
	assert_int_equal(test_run(1, notified_main, &id), 0);
	hilo__clock_set_source(NULL, NULL);
	dump_read(file, false);
	task = seen_find((long)id);
	assert_int_equal(task->parks, 2); /* the first one in vain */
	assert_int_equal(task->wakes, 2);
	assert_true(task->runs >= 3);
	trace_end(file);
}

static void test_a_dump_that_cannot_be_written_is_told(void **state)
{
	(void)state;
	test_log_begin();
	(void)setenv("HILO_TRACE", "/nowhere/at/all", 1);
	assert_int_equal(test_run(1, test_entry_return, NULL), 0);
	(void)unsetenv("HILO_TRACE");
	assert_int_equal(test_log_count("HILO_TRACE=/nowhere/at/all: ENOENT"), 1);
	test_log_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_of_a_task_are_in_order),
		cmocka_unit_test(test_no_event_is_lost_among_workers),
		cmocka_unit_test(test_a_wake_that_comes_before_the_park_is_recorded),
		cmocka_unit_test(test_a_dump_that_cannot_be_written_is_told),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
