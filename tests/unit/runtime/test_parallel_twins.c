/* SPDX-License-Identifier: MIT */
/* Each algorithm over forks beside its serial twin: sizes and grains by lot, 1, 2, 8 and 64 workers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/affinity.h>
#include <hilo/runtime/parallel.h>
#include <hilo/runtime/pipeline.h>
#include <hilo/runtime/sort.h>
#include <hilo/sync/each.h>

#include "tests/unit/runtime/forks.h"

#ifdef HILO__TSAN
#define MOST 150 /* each fork that is taken is a fiber there, which may cost a millisecond */
#else
#define MOST 2000
#endif
#define ROUNDS 3

/* Numbers of which the order counts, and what an algorithm makes of them. */
struct data {
	struct random random;
	int64_t length;
	hilo_parallel_opts opts;
	bool yields;
	uint32_t in[MOST];
	uint64_t out[MOST];
	atomic(uint32_t) done[MOST];
	uint32_t next;
};

static atomic(unsigned) runs;

static struct data *data_new(void)
{
	struct data *data = calloc(1, sizeof(*data));

	random_init(&data->random, test_seed(), add_relaxed(&runs, 1));
	return data;
}

/* Another length, another grain, other numbers. */
static void data_draw(struct data *data)
{
	static const int64_t grains[] = {HILO_GRAIN_AUTO, HILO_GRAIN_SAME, 0};

	data->length = (int64_t)random_below(&data->random, random_below(&data->random, 3) ? MOST + 1 : 12);
	data->opts = (hilo_parallel_opts){.size = sizeof(data->opts)};
	data->opts.grain = grains[random_below(&data->random, array_size(grains))];
	if (random_below(&data->random, 2))
		data->opts.grain = 1 + (int64_t)random_below(&data->random, 40);
	data->yields = random_below(&data->random, 2);
	for (int64_t i = 0; i < MOST; i++) {
		data->in[i] = (uint32_t)random_below(&data->random, 1000);
		data->out[i] = 0;
		store_relaxed(&data->done[i], 0);
	}
	data->next = 0;
}

static void maybe_yield(const struct data *data, int64_t i)
{
	if (data->yields && data->in[i] % 8 == 0)
		(void)hilo_yield();
}

static void check_done(const struct data *data, uint32_t times)
{
	for (int64_t i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&data->done[i]), ==, i < data->length ? times : 0);
}

static int do_items(int64_t begin, int64_t end, void *arg)
{
	struct data *data = arg;

	for (int64_t i = begin; i < end; i++) {
		maybe_yield(data, i);
		(void)add_relaxed(&data->done[i], 1);
	}
	return 0;
}

FORK_TEST_WIDE(test_a_loop)
{
	struct data *data = data_new();
	hilo_affinity *affinity = hilo_affinity_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		data_draw(data);
		TASK_CHECK(hilo_parallel_for_with(0, data->length, do_items, data, &data->opts), ==, 0);
		check_done(data, 1);
		TASK_CHECK(hilo_affinity_run(affinity, 0, data->length, do_items, data, &data->opts), ==, 0);
		check_done(data, 2);
	}
	hilo_affinity_free(affinity);
	free(data);
	return 0;
}

/* What a run of items does to a number, modulo a prime: the order counts. */
struct map {
	uint64_t factor, summand;
};

#define PRIME UINT64_C(4294967291)

static void map_then(struct map *map, uint64_t factor, uint64_t summand)
{
	map->factor = map->factor * factor % PRIME;
	map->summand = (map->summand * factor + summand) % PRIME;
}

static int fold_map(int64_t begin, int64_t end, void *value, void *arg)
{
	const struct data *data = arg;

	for (int64_t i = begin; i < end; i++) {
		maybe_yield(data, i);
		map_then(value, data->in[i] + 2, (uint64_t)i);
	}
	return 0;
}

static int combine_maps(void *left, void *right, void *arg)
{
	const struct map *map = right;

	(void)arg;
	map_then(left, map->factor, map->summand);
	return 0;
}

static int finish_map(int64_t begin, int64_t end, void *value, void *arg)
{
	struct data *data = arg;
	struct map *map = value;

	for (int64_t i = begin; i < end; i++) {
		maybe_yield(data, i);
		map_then(map, data->in[i] + 2, (uint64_t)i);
		data->out[i] = map->summand;
	}
	return 0;
}

static const hilo_reduction maps = {sizeof(maps), sizeof(struct map), fold_map, combine_maps};

FORK_TEST_WIDE(test_a_reduction_and_a_scan)
{
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct map serial = {1, 0}, reduced = {1, 0}, scanned = {1, 0};

		data_draw(data);
		TASK_CHECK(hilo_parallel_reduce_with(0, data->length, &maps, &reduced, data, &data->opts), ==,
			   0);
		TASK_CHECK(
			hilo_parallel_scan(0, data->length, &maps, finish_map, &scanned, data, &data->opts),
			==, 0);
		for (int64_t i = 0; i < data->length; i++) {
			map_then(&serial, data->in[i] + 2, (uint64_t)i);
			TASK_CHECK(data->out[i], ==, serial.summand);
		}
		TASK_CHECK(memcmp(&serial, &reduced, sizeof(serial)), ==, 0);
		TASK_CHECK(memcmp(&serial, &scanned, sizeof(serial)), ==, 0);
	}
	free(data);
	return 0;
}

static int fold_float(int64_t begin, int64_t end, void *value, void *arg)
{
	(void)arg;
	for (int64_t i = begin; i < end; i++)
		*(double *)value += 1.0 / (double)(i + 1);
	return 0;
}

static int combine_float(void *value, void *right, void *arg)
{
	(void)arg;
	*(double *)value += *(double *)right;
	return 0;
}

/* To the last bit, for any number of workers: lengths are the same in each run of this. */
FORK_TEST_WIDE(test_a_reduction_with_the_same_grain_is_the_same)
{
	static const hilo_reduction how = {sizeof(how), sizeof(double), fold_float, combine_float};
	static atomic(uint64_t) expected[5];
	struct random random;

	random_init(&random, test_seed(), 1);
	for (size_t i = 0; i < array_size(expected); i++) {
		int64_t length = 1 + (int64_t)random_below(&random, 50000);
		uint64_t bits, zero = 0;
		double sum = 0;

		TASK_CHECK(hilo_parallel_reduce(0, length, HILO_GRAIN_SAME, &how, &sum, NULL), ==, 0);
		memcpy(&bits, &sum, sizeof(bits));
		if (!cas_relaxed(&expected[i], &zero, bits))
			TASK_CHECK(zero, ==, bits);
	}
	return 0;
}

static int look(int64_t begin, int64_t end, int64_t *ret, void *arg)
{
	const struct data *data = arg;

	for (int64_t i = begin; i < end; i++) {
		maybe_yield(data, i);
		if (data->in[i] == 500) {
			*ret = i;
			return 1;
		}
	}
	return 0;
}

FORK_TEST_WIDE(test_a_search)
{
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		int64_t found = -1, first = 0;

		data_draw(data);
		while (first < data->length && data->in[first] != 500)
			first++;
		TASK_CHECK(hilo_parallel_find(0, data->length, look, data, &data->opts, &found), ==,
			   first < data->length);
		TASK_CHECK(found, ==, first < data->length ? first : -1);
	}
	free(data);
	return 0;
}

/* By their values in tens, so that some are equal. */
static int compare_tens(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a / 10, y = *(const uint32_t *)b / 10;

	(void)arg;
	return (x > y) - (x < y);
}

static void insert_sorted(uint32_t *to, const uint32_t *from, int64_t length)
{
	for (int64_t i = 0; i < length; i++) {
		int64_t place = i;

		for (; place > 0 && to[place - 1] / 10 > from[i] / 10; place--)
			to[place] = to[place - 1];
		to[place] = from[i];
	}
}

FORK_TEST_WIDE(test_sorting)
{
	static uint32_t serial[MOST], sorted[MOST], stable[MOST];
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		data_draw(data);
		insert_sorted(serial, data->in, data->length);
		memcpy(sorted, data->in, sizeof(sorted));
		memcpy(stable, data->in, sizeof(stable));
		TASK_CHECK(hilo_sort(sorted, (size_t)data->length, sizeof(sorted[0]), compare_tens, NULL,
				     &data->opts),
			   ==, 0);
		TASK_CHECK(hilo_stable_sort(stable, (size_t)data->length, sizeof(stable[0]), compare_tens,
					    NULL, &data->opts),
			   ==, 0);
		for (int64_t i = 0; i < data->length; i++) {
			TASK_CHECK(sorted[i] / 10, ==, serial[i] / 10);
			TASK_CHECK(stable[i], ==, serial[i]);
		}
	}
	free(data);
	return 0;
}

/* Functions that double the number that they are given. */
static int double_it(void *arg)
{
	uint64_t *number = arg;

	if (*number % 4 == 0)
		(void)hilo_yield();
	*number *= 2;
	return 0;
}

static int add_one(void *arg)
{
	*(uint64_t *)arg += 1;
	return 0;
}

FORK_TEST_WIDE(test_functions)
{
	static int (*fns[MOST])(void *);
	static void *args[MOST];
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		data_draw(data);
		for (int64_t i = 0; i < data->length; i++) {
			data->out[i] = data->in[i];
			args[i] = &data->out[i];
			fns[i] = data->in[i] % 3 ? double_it : add_one;
		}
		if (round % 2)
			TASK_CHECK(hilo_invoke((size_t)data->length, fns, args), ==, 0);
		else
			TASK_CHECK(hilo_invoke_with((size_t)data->length, fns, args, &data->opts), ==, 0);
		for (int64_t i = 0; i < data->length; i++)
			TASK_CHECK(data->out[i], ==,
				   data->in[i] % 3 ? 2 * (uint64_t)data->in[i] : data->in[i] + 1ull);
	}
	free(data);
	return 0;
}

static int next_item(void *item, void *arg)
{
	struct data *data = arg;

	if (data->next == (uint32_t)data->length)
		return 0;
	*(uint32_t *)item = data->next++;
	return 1;
}

static int do_item(void *item, void *arg)
{
	struct data *data = arg;

	maybe_yield(data, *(uint32_t *)item);
	(void)add_relaxed(&data->done[*(uint32_t *)item], 1);
	return 0;
}

FORK_TEST_WIDE(test_items_one_after_the_other)
{
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned most = (unsigned)random_below(&data->random, 9);

		data_draw(data);
		TASK_CHECK(hilo_parallel_each(sizeof(uint32_t), next_item, do_item, most, data, &data->opts),
			   ==, 0);
		check_done(data, 1);
	}
	free(data);
	return 0;
}

/* Stages that make numbers of 1 and up, square them side by side, and add each to the list of results, in order. */
static int make_number(void **item, void *arg)
{
	struct data *data = arg;

	if (data->next == (uint32_t)data->length)
		return 0;
	*item = (void *)(uintptr_t)++data->next;
	return 1;
}

static int square_number(void **item, void *arg)
{
	uintptr_t number = (uintptr_t)*item;

	maybe_yield(arg, (int64_t)number - 1);
	*item = (void *)(number * number);
	return 0;
}

struct results {
	const struct data *data;
	int64_t length;
};

static int take_number(void **item, void *arg)
{
	struct results *results = arg;
	uintptr_t number = (uintptr_t)++results->length;

	maybe_yield(results->data, (int64_t)number - 1);
	TASK_CHECK((uintptr_t)*item, ==, number * number);
	return 0;
}

FORK_TEST_WIDE(test_a_pipeline)
{
	struct data *data = data_new();

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct results results = {.data = data};
		hilo_stage stages[] = {
			{.fn = make_number, .arg = data},
			{.fn = square_number, .arg = data, .kind = HILO_STAGE_PARALLEL},
			{.fn = take_number, .arg = &results},
		};
		hilo_pipeline_opts opts = {.size = sizeof(opts),
					   .in_flight = (unsigned)random_below(&data->random, 100)};

		data_draw(data);
		stages[1].most = (unsigned)random_below(&data->random, 5);
		TASK_CHECK(hilo_pipeline_run(stages, array_size(stages), &opts, HILO_FOREVER), ==, 0);
		TASK_CHECK(results.length, ==, data->length);
	}
	free(data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_loop),
		cmocka_unit_test(test_a_reduction_and_a_scan),
		cmocka_unit_test(test_a_reduction_with_the_same_grain_is_the_same),
		cmocka_unit_test(test_a_search),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_functions),
		cmocka_unit_test(test_items_one_after_the_other),
		cmocka_unit_test(test_a_pipeline),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
