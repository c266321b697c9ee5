/* SPDX-License-Identifier: MIT */
/*
 * All algorithms over forks at the same time, each on data of its own, some of them cancelled at some moment: what has
 * succeeded is right, and whatever comes of it nothing is lost or done twice.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/fork.h"

#ifdef HILO__TSAN
#define LENGTH 300 /* each fork that is taken is a fiber there, which may cost a millisecond */
#define TASKS 4
#else
#define LENGTH 3000
#define TASKS 8
#endif
#define GRAIN 20

struct data {
	uint64_t seed;
	int numbers[LENGTH];
	int64_t sums[LENGTH];
	int given;
	atomic(unsigned) done[LENGTH];
};

/* Now and then whoever works gives way, or sleeps. */
static void maybe_wait(struct data *data, int64_t i)
{
	switch (random_mix(data->seed ^ (uint64_t)i) % 256) {
	case 0:
		(void)hilo_yield();
		break;
	case 1:
		(void)hilo_sleep(20 * HILO_MICROSECOND);
		break;
	}
}

static int number_of(const struct data *data, int64_t i)
{
	return (int)(random_mix(data->seed + (uint64_t)i) % 1000);
}

static int compare_numbers(const void *a, const void *b, void *arg)
{
	int x = *(const int *)a, y = *(const int *)b;

	maybe_wait(arg, x ^ y);
	return (x > y) - (x < y);
}

/* Sorted or not: the numbers are those that they were. */
static int sort_task(void *arg)
{
	struct data *data = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = GRAIN};
	unsigned times[1000] = {0};
	int rc;

	for (int i = 0; i < LENGTH; i++) {
		data->numbers[i] = number_of(data, i);
		times[data->numbers[i]]++;
	}
	rc = (data->seed % 2 ? hilo_stable_sort : hilo_sort)(data->numbers, LENGTH, sizeof(int),
							     compare_numbers, data, &opts);
	for (int i = 0; i < LENGTH; i++) {
		if (rc == 0 && i > 0)
			TASK_CHECK(data->numbers[i - 1], <=, data->numbers[i]);
		TASK_CHECK(times[data->numbers[i]], >, 0);
		times[data->numbers[i]]--;
	}
	return rc;
}

static int fold_sum(int64_t begin, int64_t end, void *value, void *arg)
{
	for (int64_t i = begin; i < end; i++) {
		*(int64_t *)value += number_of(arg, i);
		maybe_wait(arg, i);
	}
	return 0;
}

static int add_sums(void *value, void *right, void *arg)
{
	(void)arg;
	*(int64_t *)value += *(int64_t *)right;
	return 0;
}

static int finish_sums(int64_t begin, int64_t end, void *value, void *arg)
{
	struct data *data = arg;

	for (int64_t i = begin; i < end; i++) {
		*(int64_t *)value += number_of(arg, i);
		data->sums[i] = *(int64_t *)value;
		maybe_wait(arg, i);
	}
	return 0;
}

static int scan_task(void *arg)
{
	const hilo_reduction adding = {sizeof(adding), sizeof(int64_t), fold_sum, add_sums};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = GRAIN};
	struct data *data = arg;
	int64_t sum = 0, total = 0;
	int rc = hilo_parallel_scan(0, LENGTH, &adding, finish_sums, &total, data, &opts);

	for (int64_t i = 0; i < LENGTH && rc == 0; i++) {
		sum += number_of(data, i);
		TASK_CHECK(data->sums[i], ==, sum);
	}
	return rc;
}

static int look(int64_t begin, int64_t end, int64_t *ret, void *arg)
{
	for (int64_t i = begin; i < end; i++) {
		maybe_wait(arg, i);
		*ret = i;
		if (number_of(arg, i) == 7)
			return 1;
	}
	return 0;
}

static int find_task(void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = GRAIN};
	int64_t first = LENGTH, expected = 0;
	int rc = hilo_parallel_find(0, LENGTH, look, arg, &opts, &first);

	while (expected < LENGTH && number_of(arg, expected) != 7)
		expected++;
	if (rc >= 0)
		TASK_CHECK(first, ==, expected);
	return rc < 0 ? rc : 0;
}

static int next_number(void *item, void *arg)
{
	struct data *data = arg;

	maybe_wait(data, data->given);
	*(int *)item = data->given;
	return data->given < LENGTH ? (data->given++, 1) : 0;
}

static int do_number(void *item, void *arg)
{
	struct data *data = arg;

	maybe_wait(data, *(int *)item);
	(void)add_relaxed(&data->done[*(int *)item], 1);
	return 0;
}

static int each_task(void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 3};
	struct data *data = arg;
	int rc;

	memset(data->done, 0, sizeof(data->done));
	data->given = 0;
	rc = hilo_parallel_each(sizeof(int), next_number, do_number, (unsigned)(data->seed % 20), data,
				&opts);
	for (int i = 0; i < LENGTH; i++)
		TASK_CHECK(load_relaxed(&data->done[i]), ==, i < data->given);
	TASK_CHECK(rc < 0 || data->given == LENGTH, ==, true);
	return rc;
}

static int do_range(int64_t begin, int64_t end, void *arg)
{
	struct data *data = arg;

	for (int64_t i = begin; i < end; i++) {
		maybe_wait(data, i);
		(void)add_relaxed(&data->done[i], 1);
	}
	return 0;
}

static int affinity_task(void *arg)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = GRAIN};
	hilo_affinity *affinity = hilo_affinity_new();
	struct data *data = arg;
	unsigned rounds = 0;
	int rc = 0;

	memset(data->done, 0, sizeof(data->done));
	while (rc == 0 && rounds < 3) {
		rc = hilo_affinity_run(affinity, 0, LENGTH, do_range, data, &opts);
		rounds += rc == 0;
	}
	for (int i = 0; i < LENGTH; i++) {
		TASK_CHECK(load_relaxed(&data->done[i]), >=, rounds);
		TASK_CHECK(load_relaxed(&data->done[i]), <=, rounds + (rc < 0));
	}
	hilo_affinity_free(affinity);
	return rc;
}

static const hilo_task_fn kinds[] = {sort_task, scan_task, find_task, each_task, affinity_task};

static int all_main(void *arg)
{
	struct data *data = calloc(TASKS, sizeof(*data));
	hilo_task *tasks[TASKS];
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (unsigned round = 0; round < test_rounds(20); round++) {
		for (unsigned i = 0; i < TASKS; i++) {
			data[i].seed = random_u64(&random);
			tasks[i] = hilo_spawn(kinds[random_below(&random, array_size(kinds))], &data[i]);
		}
		for (unsigned i = 0; i < TASKS; i++) {
			bool cancelled = random_below(&random, 3) == 0;
			int rc;

			if (cancelled) {
				(void)hilo_sleep((hilo_time)random_below(&random, 300) * HILO_MICROSECOND);
				(void)hilo_task_cancel(tasks[i]);
			}
			rc = hilo_join(tasks[i], HILO_FOREVER);
			TASK_CHECK(rc == 0 || (cancelled && rc == -ECANCELED), ==, true);
		}
	}
	free(data);
	return 0;
}

static void test_all_at_the_same_time(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		assert_int_equal(test_run(workers, all_main, NULL), 0);
		assert_int_equal(test_run_natural(workers, all_main, NULL), 0);
	}
}

static void test_all_with_stealing_forced(void **state)
{
	(void)state;
	for (int forced = FORKS_BY_LOT; forced <= FORKS_EACH; forced++) {
		hilo__forks_forced = (enum forks_forced)forced;
		for (unsigned workers = 1; workers <= 8; workers *= 2)
			assert_int_equal(test_run(workers, all_main, NULL), 0);
	}
	hilo__forks_forced = FORKS_AS_EVER;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_the_same_time),
		cmocka_unit_test(test_all_with_stealing_forced),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
