/* SPDX-License-Identifier: MIT */
/* A runtime gives the memory of stacks back that a burst of tasks has used. */
#include "tests/support/test.h"

#include <stdio.h>
#include <unistd.h>

#include "scheduler/base/sys.h"
#include "scheduler/fiber/stack.h"

#ifdef HILO__TSAN
#define BURST 2000 /* a fiber costs a millisecond there, and the ThreadSanitizer of GCC 12 ends at 8128 */
#else
#define BURST 10000
#endif
#define PERIOD (20 * HILO_MILLISECOND)
/* What caches of workers and the pools may keep. */
#define KEPT 1000

static hilo_future *gate;
static atomic(unsigned) waiting;

static int burst_task(void *arg)
{
	(void)arg;
	(void)add_release(&waiting, 1);
	return hilo_future_await(gate, NULL, HILO_FOREVER);
}

static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size = 0, pages = 0;

	TASK_CHECK(file, !=, NULL);
	TASK_CHECK(fscanf(file, "%lu %lu", &size, &pages), ==, 2);
	(void)fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t warm(void)
{
	struct stack_stats stats;

	hilo__stack_get_stats(0, &stats);
	return stats.warm;
}

/* Returns what was resident while all tasks were suspended. */
static size_t peak;

static int burst(void *arg)
{
	static hilo_task *task[BURST];

	(void)arg;
	gate = hilo_future_new();
	atomic_setup(&waiting, 0);
	for (int i = 0; i < BURST; i++) {
		task[i] = hilo_spawn(burst_task, NULL);
		TASK_CHECK(task[i], !=, NULL);
	}
	TEST_UNTIL(load_acquire(&waiting) == BURST);
	peak = resident();
	TASK_CHECK(hilo_future_set(gate, NULL, NULL), ==, 0);
	for (int i = 0; i < BURST; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	hilo_future_unref(gate);
	return 0;
}

static hilo_runtime *runtime_make(unsigned workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers};
	hilo_runtime *runtime = NULL;

	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	return runtime;
}

static void burst_run(hilo_runtime *runtime)
{
	hilo_task *task;

	assert_int_equal(hilo_submit(runtime, burst, NULL, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
}

static void test_an_idle_runtime_gives_the_stacks_of_a_burst_back(void **state)
{
	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP("under Valgrind stacks keep their pages");
	hilo__stack_test.trim_period = PERIOD;
	for (unsigned workers = 1; workers <= 2; workers++) {
		hilo_runtime *runtime = runtime_make(workers);

		burst_run(runtime);
		TEST_UNTIL(warm() < KEPT);
#if !defined(HILO__ASAN) && !defined(HILO__TSAN)
		assert_in_range(resident(), 0, peak - (BURST - KEPT) * 4096UL * 9 / 10);
#endif
		burst_run(runtime); /* emptied stacks work again */
		assert_int_equal(hilo_runtime_free(runtime), 0);
	}
	hilo__stack_test.trim_period = 0;
}

/* Once nothing is left to give, an idle runtime sleeps for good: its workers look no more. */
static void test_an_idle_runtime_stops_looking(void **state)
{
	hilo_runtime *runtime;

	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP("under Valgrind stacks keep their pages");
	hilo__stack_test.trim_period = PERIOD;
	runtime = runtime_make(1);
	burst_run(runtime);
	TEST_UNTIL(hilo__stack_trim_due() == HILO_FOREVER);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	hilo__stack_test.trim_period = 0;
}

/* Not before they were left alone for a period. */
static void test_stacks_are_trimmed_after_a_period_step_by_step(void **state)
{
	struct stack_cache cache = {0};
	static struct fiber *fiber[BURST];
	int64_t now = hilo_now();
	size_t before;
	unsigned steps = 0;

	(void)state;
	if (stack_annotate_pinned())
		TEST_SKIP("under Valgrind stacks keep their pages");
	hilo__stack_test.trim_period = PERIOD;
	(void)hilo__stack_release();
	(void)hilo__stack_trim_some(now); /* a period begins */
	for (int i = 0; i < BURST; i++)
		fiber[i] = hilo__fiber_get(&cache, STACK_CLASS_16K);
	for (int i = 0; i < BURST; i++)
		hilo__fiber_put(&cache, fiber[i]);
	hilo__stack_cache_drain(&cache);
	before = warm();
	assert_in_range(before, BURST, SIZE_MAX);
	assert_false(hilo__stack_trim_some(now + PERIOD - 1));
	assert_int_equal(hilo__stack_trim_due(), now + PERIOD);
	now += PERIOD;
	assert_false(hilo__stack_trim_some(now)); /* they were in use in this period */
	assert_int_equal(warm(), before);
	now += PERIOD;
	while (hilo__stack_trim_some(now)) {
		steps++;
		assert_in_range(before - warm(), 1, 256);
		before = warm();
	}
	assert_in_range(steps, BURST / 256, BURST / 32);
	assert_int_equal(warm(), 0);
	assert_int_equal(hilo__stack_trim_due(), HILO_FOREVER);
	assert_false(hilo__stack_trim_some(now));
	hilo__stack_test.trim_period = 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stacks_are_trimmed_after_a_period_step_by_step),
		cmocka_unit_test(test_an_idle_runtime_gives_the_stacks_of_a_burst_back),
		cmocka_unit_test(test_an_idle_runtime_stops_looking),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
