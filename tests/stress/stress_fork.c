/* SPDX-License-Identifier: MIT */
/*
 * Many regions at the same time, whose forks yield, sleep, lock, begin regions of their own and are cancelled, while
 * every worker steals what it can get. What each computes is known.
 */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/fork.h"

#ifdef HILO__TSAN
#define REGIONS 3 /* each fork that is taken is a fiber there, which may cost a millisecond */
#define DEPTH 4
#define LEAVES 81
#else
#define REGIONS 8
#define DEPTH 6
#define LEAVES 729
#endif

/* What the forks of a region do besides adding up, by lot; in one argument. */
struct plan {
	hilo_mutex *mutex;
	uint64_t seed;
};

static unsigned lot(const struct plan *plan, unsigned n, unsigned of)
{
	return (unsigned)(random_mix(plan->seed ^ (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15)) % of);
}

HILO_FORKABLE(long, leaf, const struct plan *, plan, unsigned, n)
{
	switch (lot(plan, n, 32)) {
	case 0:
		(void)hilo_yield();
		break;
	case 1:
		(void)hilo_sleep(20 * HILO_MICROSECOND);
		break;
	case 2:
		TASK_CHECK(hilo_mutex_lock(plan->mutex, HILO_FOREVER), ==, 0);
		(void)hilo_yield();
		TASK_CHECK(hilo_mutex_unlock(plan->mutex), ==, 0);
		break;
	}
	return 1;
}

/* A tree of which each node is known by its number; gives how many leaves there are. */
HILO_FORKABLE(long, tree, const struct plan *, plan, unsigned, n, int, depth)
{
	long sum = 0, inner = 0;
	unsigned kind = lot(plan, n, 16);

	if (depth == 0)
		return HILO_CALL(leaf, plan, n);
	HILO_FORK(tree, plan, 3 * n + 1, depth - 1);
	HILO_FORK(tree, plan, 3 * n + 2, depth - 1);
	if (kind == 0) {
		TASK_CHECK(HILO_REGION(tree, &inner, plan, 3 * n + 3, depth - 1), ==, 0);
		sum = inner;
	} else {
		sum = HILO_CALL(tree, plan, 3 * n + 3, depth - 1);
	}
	if (kind == 1)
		(void)hilo_yield();
	sum += HILO_JOIN(tree);
	return HILO_JOIN(tree) + sum;
}

static int region_task(void *arg)
{
	long sum = 0;

	TASK_CHECK(HILO_REGION(tree, &sum, arg, 0, DEPTH), ==, 0);
	TASK_CHECK(sum, ==, LEAVES);
	return 0;
}

static int regions_main(void *arg)
{
	hilo_mutex mutex = HILO_MUTEX_INIT;
	uint64_t seed = test_seed();
	struct plan plan[REGIONS];
	hilo_task *tasks[REGIONS];

	(void)arg;
	for (unsigned round = 0; round < test_rounds(30); round++) {
		for (unsigned i = 0; i < REGIONS; i++) {
			plan[i] = (struct plan){&mutex, seed + round * REGIONS + i};
			tasks[i] = hilo_spawn(region_task, &plan[i]);
		}
		for (unsigned i = 0; i < REGIONS; i++)
			TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	}
	return hilo_mutex_destroy(&mutex);
}

static void test_regions_side_by_side(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		assert_int_equal(test_run(workers, regions_main, NULL), 0);
		assert_int_equal(test_run_natural(workers, regions_main, NULL), 0);
	}
}

static void test_regions_with_stealing_forced(void **state)
{
	(void)state;
	for (int forced = FORKS_BY_LOT; forced <= FORKS_EACH; forced++) {
		hilo__forks_forced = (enum forks_forced)forced;
		for (unsigned workers = 1; workers <= 8; workers *= 2)
			assert_int_equal(test_run(workers, regions_main, NULL), 0);
	}
	hilo__forks_forced = FORKS_AS_EVER;
}

/* Cancelled at some moment: what was left out is told, and nothing else is wrong. */
HILO_FORKABLE(int, count, const struct plan *, plan, unsigned, n, int, depth)
{
	int rc, rc2;

	if (depth == 0)
		return lot(plan, n, 8) == 0 ? hilo_sleep(5 * HILO_MICROSECOND) : hilo_checkpoint();
	HILO_FORK(count, plan, 2 * n + 1, depth - 1);
	rc = HILO_CALL(count, plan, 2 * n + 2, depth - 1);
	rc2 = HILO_JOIN(count);
	return rc < 0 ? rc : rc2;
}

static int cancelled_task(void *arg)
{
	hilo_region_opts opts = {.size = sizeof(opts)};
	const struct plan *plan = arg;
	int code = 0, rc;

	if (plan->seed & 1)
		opts.flags = HILO_REGION_CANCELLABLE;
	rc = HILO_REGION_WITH(&opts, count, &code, plan, 0, DEPTH + 3);
	TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
	TASK_CHECK(code == 0 || code == -ECANCELED, ==, 1);
	TASK_CHECK(rc < 0 && code == 0, ==, 0);
	return code;
}

static int cancels_main(void *arg)
{
	struct random random;
	hilo_mutex mutex = HILO_MUTEX_INIT;

	(void)arg;
	random_init(&random, test_seed(), 0);
	for (unsigned round = 0; round < test_rounds(300); round++) {
		struct plan plan = {&mutex, round};
		hilo_task *task = hilo_spawn(cancelled_task, &plan);
		int rc;

		(void)hilo_sleep((hilo_time)random_below(&random, 200) * HILO_MICROSECOND);
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
	}
	return hilo_mutex_destroy(&mutex);
}

static void test_regions_that_are_cancelled(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		assert_int_equal(test_run(workers, cancels_main, NULL), 0);
		assert_int_equal(test_run_natural(workers, cancels_main, NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions_side_by_side),
		cmocka_unit_test(test_regions_with_stealing_forced),
		cmocka_unit_test(test_regions_that_are_cancelled),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
