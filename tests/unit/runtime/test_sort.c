/* SPDX-License-Identifier: MIT */
/* Sorting on all cores, against what qsort gives. */
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/sort.h>

#include "scheduler/base/mem.h"
#include "tests/unit/runtime/forks.h"

#ifdef HILO__TSAN
#define MOST 1500 /* each fork that is taken is a fiber there, of which there may be some thousands */
#else
#define MOST 6000
#endif

/* What most tests sort: the order is that of the keys, the place is where an item was. */
struct item {
	int key;
	int place;
};

#define HILO_SORT_NAME sort_items
#define HILO_SORT_TYPE struct item
#define HILO_SORT_LESS(a, b, arg) ((a)->key < (b)->key)
#include <hilo/runtime/sort_typed.h>

/* One that is moved as seldom as can be. */
struct large {
	char before[40];
	struct item item;
	char after[41];
};

#define HILO_SORT_NAME sort_large
#define HILO_SORT_TYPE struct large
#define HILO_SORT_LESS(a, b, arg) ((a)->item.key < (b)->item.key)
#include <hilo/runtime/sort_typed.h>

#define HILO_SORT_NAME sort_doubles
#define HILO_SORT_TYPE double
#define HILO_SORT_LESS(a, b, arg) (*(a) < *(b))
#include <hilo/runtime/sort_typed.h>

static int compare_items(const void *a, const void *b, void *arg)
{
	const struct item *x = a, *y = b;

	if (arg)
		(void)add_relaxed((atomic(long) *)arg, 1);
	return x->key < y->key ? -1 : x->key > y->key;
}

static int compare_both(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int rc = compare_items(a, b, NULL);

	return rc ? rc : x->place < y->place ? -1 : x->place > y->place;
}

/* Inputs that quicksorts fear. */
enum pattern {
	RANDOM,
	FEW,
	EQUAL,
	RISING,
	FALLING,
	NEARLY,
	ORGAN_PIPE,
	SAW,
	FRONT,
	PATTERNS
};

static int key_of(enum pattern pattern, int i, int count, struct random *random)
{
	switch (pattern) {
	case FEW:
		return (int)random_below(random, 7);
	case EQUAL:
		return 5;
	case RISING:
		return i / 3;
	case FALLING:
		return -i;
	case NEARLY:
		return random_below(random, 50) ? i : (int)random_below(random, (uint32_t)count);
	case ORGAN_PIPE:
		return i < count / 2 ? i : count - i;
	case SAW:
		return i % 61;
	case FRONT:
		return i < count - 20 ? i : (int)random_below(random, (uint32_t)count);
	default:
		return (int)random_below(random, 1u << 31) - (1 << 30);
	}
}

static void fill(struct item *items, int count, enum pattern pattern, struct random *random)
{
	for (int i = 0; i < count; i++)
		items[i] = (struct item){key_of(pattern, i, count, random), i};
}

/* In order; and, once sorted by place as well, the same as @expected, which is. */
static void check_sorted(struct item *items, const struct item *expected, int count, bool stable)
{
	for (int i = 1; i < count; i++)
		TASK_CHECK(items[i - 1].key, <=, items[i].key);
	if (!stable)
		qsort(items, (size_t)count, sizeof(*items), compare_both);
	for (int i = 0; i < count; i++) {
		TASK_CHECK(items[i].key, ==, expected[i].key);
		TASK_CHECK(items[i].place, ==, expected[i].place);
	}
}

struct arrays {
	struct item given[MOST], expected[MOST], items[MOST];
	struct large large[MOST];
};

static int any_count(struct random *random)
{
	switch (random_below(random, 4)) {
	case 0:
		return (int)random_below(random, 8);
	case 1:
		return (int)random_below(random, 200);
	default:
		return (int)random_below(random, MOST);
	}
}

static void check_typed(struct arrays *a, int count, const hilo_parallel_opts *opts)
{
	size_t n = (size_t)count;

	memcpy(a->items, a->given, sizeof(a->items));
	TASK_CHECK(sort_items(a->items, n, NULL, opts), ==, 0);
	check_sorted(a->items, a->expected, count, false);
	memcpy(a->items, a->given, sizeof(a->items));
	TASK_CHECK(sort_items_stable(a->items, n, NULL, opts), ==, 0);
	check_sorted(a->items, a->expected, count, true);
}

static void check_large(struct arrays *a, int count, const hilo_parallel_opts *opts, bool stable)
{
	for (int i = 0; i < count; i++)
		a->large[i].item = a->given[i];
	TASK_CHECK(stable ? sort_large_stable(a->large, (size_t)count, NULL, opts)
			  : sort_large(a->large, (size_t)count, NULL, opts),
		   ==, 0);
	for (int i = 0; i < count; i++)
		a->items[i] = a->large[i].item;
	check_sorted(a->items, a->expected, count, stable);
}

static void check_untyped(struct arrays *a, int count, const hilo_parallel_opts *opts)
{
	size_t n = (size_t)count;

	memcpy(a->items, a->given, sizeof(a->items));
	TASK_CHECK(hilo_sort(a->items, n, sizeof(*a->items), compare_items, NULL, opts), ==, 0);
	check_sorted(a->items, a->expected, count, false);
	memcpy(a->items, a->given, sizeof(a->items));
	TASK_CHECK(hilo_stable_sort(a->items, n, sizeof(*a->items), compare_items, NULL, opts), ==, 0);
	check_sorted(a->items, a->expected, count, true);
}

static int sort_everything(void *arg)
{
	struct arrays *a = malloc(sizeof(*a));
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (unsigned round = 0; round < PATTERNS * test_rounds(8); round++) {
		int count = any_count(&random);
		hilo_parallel_opts opts = {
			.size = sizeof(opts),
			.grain = (int64_t[]){0, HILO_GRAIN_SAME, 20, 100, MOST}[random_below(&random, 5)]};

		fill(a->given, count, (enum pattern)(round % PATTERNS), &random);
		memcpy(a->expected, a->given, sizeof(a->given));
		qsort(a->expected, (size_t)count, sizeof(*a->expected), compare_both);
		check_typed(a, count, &opts);
		check_large(a, count, &opts, round & 1);
		check_untyped(a, count, &opts);
	}
	free(a);
	return 0;
}

static void test_all_is_sorted(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], sort_everything, NULL), 0);
}

static void test_all_is_sorted_with_each_fork_taken(void **state)
{
	(void)state;
	hilo__forks_forced = FORKS_EACH;
	for (unsigned workers = 1; workers <= 4; workers *= 2)
		assert_int_equal(test_run(workers, sort_everything, NULL), 0);
	hilo__forks_forced = FORKS_AS_EVER;
}

/* Items of a size that no type has: a key of one byte, and the number of the item in the others. */
static int compare_first(const void *a, const void *b, void *arg)
{
	(void)arg;
	return *(const signed char *)a - *(const signed char *)b;
}

static void check_size(size_t size, size_t count, size_t offset, struct random *random)
{
	unsigned char *bytes = malloc(size * count + offset), *at = bytes + offset;
	uint32_t number, before = 0;

	for (size_t i = 0; i < count; i++) {
		number = (uint32_t)i;
		for (size_t k = 0; k < size; k++)
			at[i * size + k] = (unsigned char)k;
		at[i * size] = (unsigned char)random_below(random, 5);
		if (size >= 5)
			memcpy(at + i * size + size - 4, &number, 4);
	}
	TASK_CHECK(hilo_stable_sort(at, count, size, compare_first, NULL, NULL), ==, 0);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			TASK_CHECK(at[(i - 1) * size], <=, at[i * size]);
		for (size_t k = 1; k + 4 < size; k++)
			TASK_CHECK(at[i * size + k], ==, (unsigned char)k);
		if (size < 5)
			continue;
		memcpy(&number, at + i * size + size - 4, 4);
		if (i > 0 && at[(i - 1) * size] == at[i * size])
			TASK_CHECK(before, <, number);
		before = number;
	}
	free(bytes);
}

TASK_TEST(test_items_of_any_size_anywhere)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 100, 1000};
	struct random random;

	random_init(&random, test_seed(), 2);
	for (size_t i = 0; i < array_size(sizes); i++)
		for (size_t offset = 0; offset < 2; offset++)
			check_size(sizes[i], 1 + random_below(&random, 3000), offset, &random);
	return 0;
}

/* Each item once, whatever the order. */
static void check_all_there(struct item *items, int count)
{
	bool *seen = calloc((size_t)count, sizeof(*seen));

	for (int i = 0; i < count; i++) {
		TASK_CHECK(items[i].place, >=, 0);
		TASK_CHECK(items[i].place, <, count);
		TASK_CHECK(seen[items[i].place], ==, false);
		seen[items[i].place] = true;
	}
	free(seen);
}

/* Of each two items some order, now this and now that. */
static int compare_by_lot(const void *a, const void *b, void *arg)
{
	(void)a;
	(void)b;
	return (int)(random_mix(add_relaxed((atomic(uint64_t) *)arg, 1)) % 3) - 1;
}

FORK_TEST(test_an_order_that_contradicts_itself_loses_nothing)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 64};
	struct item *items = malloc(MOST * sizeof(*items));
	atomic(uint64_t) lot;
	struct random random;

	atomic_setup(&lot, test_seed());
	random_init(&random, test_seed(), 3);
	for (unsigned round = 0; round < test_rounds(20); round++) {
		int count = any_count(&random);

		fill(items, count, RANDOM, &random);
		TASK_CHECK(hilo_sort(items, (size_t)count, sizeof(*items), compare_by_lot, &lot, &opts), ==,
			   0);
		check_all_there(items, count);
		TASK_CHECK(
			hilo_stable_sort(items, (size_t)count, sizeof(*items), compare_by_lot, &lot, &opts),
			==, 0);
		check_all_there(items, count);
	}
	free(items);
	return 0;
}

TASK_TEST(test_what_is_no_number_is_kept)
{
	enum {
		COUNT = 3000
	};
	double *numbers = malloc(COUNT * sizeof(*numbers)), sum = 0;
	unsigned nans = 0;

	for (int i = 0; i < COUNT; i++)
		numbers[i] = i % 5 ? (double)((i * 7919) % 1000) : (double)NAN;
	TASK_CHECK(sort_doubles(numbers, COUNT, NULL, NULL), ==, 0);
	TASK_CHECK(sort_doubles_stable(numbers, COUNT, NULL, NULL), ==, 0);
	for (int i = 0; i < COUNT; i++) {
		nans += isnan(numbers[i]) ? 1 : 0;
		sum += isnan(numbers[i]) ? 0 : numbers[i];
	}
	for (int i = 0; i < COUNT; i++)
		sum -= i % 5 ? (double)((i * 7919) % 1000) : 0;
	TASK_CHECK(nans, ==, COUNT / 5);
	TASK_CHECK(sum == 0, ==, true);
	free(numbers);
	return 0;
}

/* McIlroy's adversary: decides which item is larger only when it is asked, so that each pivot is a bad one. */
struct adversary {
	int *values;
	int solid, gas, candidate;
};

static int compare_adversary(const void *a, const void *b, void *arg)
{
	struct adversary *adversary = arg;
	int x = (int)*(const uint64_t *)a, y = (int)*(const uint64_t *)b;

	adversary->gas--;
	if (adversary->values[x] == INT32_MAX && adversary->values[y] == INT32_MAX)
		adversary->values[x == adversary->candidate ? x : y] = adversary->solid++;
	if (adversary->values[x] == INT32_MAX)
		adversary->candidate = x;
	else if (adversary->values[y] == INT32_MAX)
		adversary->candidate = y;
	return adversary->values[x] < adversary->values[y] ? -1 : adversary->values[x] > adversary->values[y];
}

static int against_an_adversary(void *arg)
{
	enum {
		COUNT = 20000
	};
	struct adversary adversary = {.values = malloc(COUNT * sizeof(int)), .gas = COUNT * 80};
	uint64_t *items = malloc(COUNT * sizeof(*items));

	(void)arg;
	for (int i = 0; i < COUNT; i++) {
		items[i] = (uint64_t)i;
		adversary.values[i] = INT32_MAX;
	}
	TASK_CHECK(hilo_sort(items, COUNT, sizeof(*items), compare_adversary, &adversary, NULL), ==, 0);
	TASK_CHECK(adversary.gas, >, 0); /* some n log n comparisons were enough */
	for (int i = 1; i < COUNT; i++)
		TASK_CHECK(adversary.values[items[i - 1]], <=, adversary.values[items[i]]);
	free(adversary.values);
	free(items);
	return 0;
}

static void test_no_input_takes_more_than_n_log_n_comparisons(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, against_an_adversary, NULL), 0);
}

TASK_TEST(test_what_is_in_order_takes_one_comparison_each)
{
	enum {
		COUNT = 5000
	};
	struct item *items = malloc(COUNT * sizeof(*items));
	atomic(long) compared;
	struct random random;

	random_init(&random, test_seed(), 4);
	for (int falling = 0; falling < 2; falling++) {
		for (int stable = 0; stable < 2; stable++) {
			atomic_setup(&compared, 0);
			fill(items, COUNT, falling ? FALLING : RISING, &random);
			TASK_CHECK((stable ? hilo_stable_sort : hilo_sort)(items, COUNT, sizeof(*items),
									   compare_items, &compared, NULL),
				   ==, 0);
			TASK_CHECK(load_relaxed(&compared), <=, COUNT + 1);
			TASK_CHECK(items[1].key, >=, items[0].key);
		}
	}
	free(items);
	return 0;
}

/* ---- stopping ---- */

struct stopper {
	atomic(long) left; /* comparisons until the task is cancelled */
	hilo_task *task;
	bool yields;
};

static int compare_and_stop(const void *a, const void *b, void *arg)
{
	struct stopper *stopper = arg;
	long left = sub_relaxed(&stopper->left, 1);

	if (left == 1)
		TASK_CHECK(hilo_task_cancel(stopper->task), ==, 0);
	if (stopper->yields && left % 16 == 0)
		(void)hilo_yield();
	return compare_items(a, b, NULL);
}

static void cancel_one(struct item *items, int count, long after, bool stable, bool yields)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 32};
	struct stopper stopper = {.task = hilo_task_current(), .yields = yields};
	int rc;

	atomic_setup(&stopper.left, after);
	rc = (stable ? hilo_stable_sort : hilo_sort)(items, (size_t)count, sizeof(*items), compare_and_stop,
						     &stopper, &opts);
	TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, true);
	if (rc == 0)
		for (int i = 1; i < count; i++)
			TASK_CHECK(items[i - 1].key, <=, items[i].key);
	check_all_there(items, count);
	while (hilo_task_uncancel() > 0)
		;
}

FORK_TEST(test_a_sort_that_is_cancelled_anywhere_loses_nothing)
{
	enum {
		COUNT = 1000
	};
	struct item *items = malloc(COUNT * sizeof(*items));
	struct random random;

	random_init(&random, test_seed(), 5);
	for (unsigned round = 0; round < test_rounds(60); round++) {
		fill(items, COUNT, RANDOM, &random);
		cancel_one(items, COUNT, 1 + random_below(&random, 12000), round % 2, round % 4 >= 2);
	}
	free(items);
	return 0;
}

TASK_TEST(test_a_sort_of_who_is_cancelled_does_not_begin)
{
	struct item items[200];
	atomic(long) compared;
	struct random random;

	random_init(&random, test_seed(), 6);
	fill(items, 200, RANDOM, &random);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(sort_items(items, 200, NULL, NULL), ==, -ECANCELED);
	TASK_CHECK(sort_items_stable(items, 200, NULL, NULL), ==, -ECANCELED);
	for (int i = 0; i < 200; i++)
		TASK_CHECK(items[i].place, ==, i);
	atomic_setup(&compared, 0);
	fill(items, 200, FALLING, &random);
	TASK_CHECK(hilo_sort(items, 200, sizeof(*items), compare_items, &compared, NULL), ==, -ECANCELED);
	TASK_CHECK(hilo_stable_sort(items, 200, sizeof(*items), compare_items, &compared, NULL), ==,
		   -ECANCELED);
	TASK_CHECK(load_relaxed(&compared), ==, 0);
	for (int i = 0; i < 200; i++)
		TASK_CHECK(items[i].place, ==, i);
	while (hilo_task_uncancel() > 0)
		;
	return 0;
}

FORK_TEST(test_without_memory_nothing_is_lost)
{
	enum {
		COUNT = 800
	};
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 32};
	struct item *items = malloc(COUNT * sizeof(*items));
	struct random random;

	random_init(&random, test_seed(), 7);
	for (long n = 1; n < 12; n++) {
		for (int kind = 0; kind < 4; kind++) {
			int rc;

			fill(items, COUNT, RANDOM, &random);
			hilo__mem_fail_at(n, true);
			if (kind < 2)
				rc = (kind ? sort_items_stable : sort_items)(items, COUNT, NULL, &opts);
			else
				rc = (kind == 2 ? hilo_sort : hilo_stable_sort)(items, COUNT, sizeof(*items),
										compare_items, NULL, &opts);
			hilo__mem_fail_at(0, false);
			TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
			check_all_there(items, COUNT);
			for (int i = 1; rc == 0 && i < COUNT; i++)
				TASK_CHECK(items[i - 1].key, <=, items[i].key);
		}
	}
	free(items);
	return 0;
}

/* ---- progress ---- */

struct told {
	atomic(unsigned) inside;
	int64_t last, total;
	unsigned calls;
};

static void tell(int64_t done, int64_t total, void *arg)
{
	struct told *told = arg;

	TASK_CHECK(add_relaxed(&told->inside, 1), ==, 0);
	TASK_CHECK(total, ==, told->total);
	TASK_CHECK(done, >=, told->last);
	TASK_CHECK(done, <=, total);
	told->last = done;
	told->calls++;
	(void)sub_relaxed(&told->inside, 1);
}

FORK_TEST(test_progress_goes_up_to_the_whole)
{
	enum {
		COUNT = 1500
	};
	struct item *items = malloc(COUNT * sizeof(*items));
	struct random random;

	random_init(&random, test_seed(), 8);
	for (unsigned round = 0; round < test_rounds(12); round++) {
		struct told told = {.total = COUNT};
		hilo_parallel_opts opts = {sizeof(opts), 50, tell, &told, 1};

		atomic_setup(&told.inside, 0);
		fill(items, COUNT, round % 3 ? RANDOM : FEW, &random);
		TASK_CHECK((round % 2 ? sort_items_stable : sort_items)(items, COUNT, NULL, &opts), ==, 0);
		TASK_CHECK(told.last, ==, COUNT);
		TASK_CHECK(told.calls, >, 1);
	}
	free(items);
	return 0;
}

/* ---- misuse ---- */

TASK_TEST(test_misuse)
{
	hilo_parallel_opts bad_grain = {.size = sizeof(bad_grain), .grain = -2};
	hilo_parallel_opts bad_period = {.size = sizeof(bad_period), .progress_period = -1};
	hilo_parallel_opts bad_size = {.size = 1};
	int two[2] = {2, 1};

	TASK_CHECK(hilo_sort(two, 2, sizeof(int), NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_sort(two, 2, 0, compare_first, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_sort(NULL, 2, 4, compare_first, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_sort(NULL, 0, 4, compare_first, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_stable_sort(NULL, 0, 3, compare_first, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_sort(two, SIZE_MAX / 2, 4, compare_first, NULL, NULL), ==, -EOVERFLOW);
	TASK_CHECK(hilo_sort(two, 2, 4, compare_first, NULL, &bad_grain), ==, -EINVAL);
	TASK_CHECK(hilo_sort(two, 2, 4, compare_first, NULL, &bad_period), ==, -EINVAL);
	TASK_CHECK(hilo_sort(two, 2, 4, compare_first, NULL, &bad_size), ==, -EINVAL);
	TASK_CHECK(sort_items_stable(NULL, 2, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(two[0], ==, 2);
	return 0;
}

static int sort_in_executor(void *arg)
{
	return sort_items(arg, 200, NULL, NULL);
}

TASK_TEST(test_from_an_executor)
{
	struct item items[200];
	struct random random;

	random_init(&random, test_seed(), 9);
	fill(items, 200, RANDOM, &random);
	TASK_CHECK(hilo_run_in_executor(NULL, sort_in_executor, items, HILO_FOREVER), ==, 0);
	for (int i = 1; i < 200; i++)
		TASK_CHECK(items[i - 1].key, <=, items[i].key);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	struct item items[2] = {{2, 0}, {1, 1}};

	(void)state;
	assert_int_equal(sort_items(items, 2, NULL, NULL), -EDEADLK);
	assert_int_equal(sort_items_stable(items, 2, NULL, NULL), -EDEADLK);
	assert_int_equal(items[0].key, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_sorted),
		cmocka_unit_test(test_all_is_sorted_with_each_fork_taken),
		cmocka_unit_test(test_items_of_any_size_anywhere),
		cmocka_unit_test(test_an_order_that_contradicts_itself_loses_nothing),
		cmocka_unit_test(test_what_is_no_number_is_kept),
		cmocka_unit_test(test_no_input_takes_more_than_n_log_n_comparisons),
		cmocka_unit_test(test_what_is_in_order_takes_one_comparison_each),
		cmocka_unit_test(test_a_sort_that_is_cancelled_anywhere_loses_nothing),
		cmocka_unit_test(test_a_sort_of_who_is_cancelled_does_not_begin),
		cmocka_unit_test(test_without_memory_nothing_is_lost),
		cmocka_unit_test(test_progress_goes_up_to_the_whole),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_from_an_executor),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
