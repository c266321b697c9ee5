/* SPDX-License-Identifier: MIT */
/* The first item of a range that is what is looked for, against what a loop finds. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <hilo/runtime/parallel.h>

#include "tests/unit/runtime/forks.h"

#define MOST 3000

/* What an item is. */
enum kind {
	NOTHING,
	WANTED,
	BROKEN
};

struct items {
	char kind[MOST];
	int64_t begin;
	bool yields;
	hilo_task *cancels; /* who is cancelled at broken items instead */
	atomic(int64_t) looked_at;
};

static int look(int64_t begin, int64_t end, int64_t *ret, void *arg)
{
	struct items *items = arg;

	for (int64_t i = begin; i < end; i++) {
		(void)add_relaxed(&items->looked_at, 1);
		if (items->yields && i % 5 == 0)
			(void)hilo_yield();
		switch (items->kind[i - items->begin]) {
		case WANTED:
			*ret = i;
			return 1;
		case BROKEN:
			if (!items->cancels)
				return hilo_fail(-EBADF, "item %d", (int)(i - items->begin));
			TASK_CHECK(hilo_task_cancel(items->cancels), ==, 0);
			break;
		}
	}
	return 0;
}

/* What a loop would answer. */
static int look_serially(const struct items *items, int64_t length, int64_t *ret)
{
	for (int64_t i = 0; i < length; i++) {
		if (items->kind[i] == NOTHING)
			continue;
		*ret = i + items->begin;
		return items->kind[i] == WANTED ? 1 : -EBADF;
	}
	return 0;
}

static void check_find(struct items *items, int64_t length, int64_t grain)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grain};
	int64_t first = -7777, expected = 0;
	int rc = look_serially(items, length, &expected);
	char text[32];

	TASK_CHECK(hilo_parallel_find(items->begin, items->begin + length, look, items, &opts, &first), ==,
		   rc);
	TASK_CHECK(first, ==, rc == 1 ? expected : -7777);
	(void)snprintf(text, sizeof(text), "item %d", (int)(expected - items->begin));
	if (rc < 0)
		TASK_CHECK_TEXT(hilo_error_message(), text);
}

static int find_everything(void *arg)
{
	static const int64_t grains[] = {HILO_GRAIN_AUTO, HILO_GRAIN_SAME, 1, 3, 64, MOST, INT64_MAX};
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (unsigned round = 0; round < test_rounds(12) * array_size(grains); round++) {
		struct items *items = calloc(1, sizeof(*items));
		uint32_t length = random_below(&random, random_below(&random, 3) ? 60 : MOST);

		items->begin = (int64_t)random_below(&random, 1000) - 500;
		items->yields = round % 3 == 0;
		for (uint32_t n = random_below(&random, 8); n > 0; n--)
			items->kind[random_below(&random, length + 1)] = (char)(1 + random_below(&random, 2));
		check_find(items, length, grains[round % array_size(grains)]);
		free(items);
	}
	return 0;
}

static void test_the_first_one_is_found(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], find_everything, NULL), 0);
}

FORK_TEST(test_the_first_one_is_found_with_each_fork_taken)
{
	return find_everything(NULL);
}

/* At each place, an item that is looked for and one that fails, in both orders. */
FORK_TEST(test_what_comes_first_counts)
{
	enum {
		LENGTH = 13
	};
	struct items *items = calloc(1, sizeof(*items));

	for (int wanted = 0; wanted < LENGTH; wanted++) {
		for (int broken = 0; broken < LENGTH; broken++) {
			items->kind[broken] = BROKEN;
			items->kind[wanted] = WANTED;
			items->yields = broken % 2;
			check_find(items, LENGTH, 2);
			items->kind[broken] = items->kind[wanted] = NOTHING;
		}
	}
	free(items);
	return 0;
}

/* The first piece is looked at before the others are begun. */
TASK_TEST(test_what_lies_behind_is_left_out)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 10};
	struct items *items = calloc(1, sizeof(*items));
	int64_t first;

	items->kind[3] = WANTED;
	TASK_CHECK(hilo_parallel_find(0, MOST, look, items, &opts, &first), ==, 1);
	TASK_CHECK(first, ==, 3);
	TASK_CHECK(load_relaxed(&items->looked_at), ==, 4);
	free(items);
	return 0;
}

/* With one worker it is a loop: nothing behind the item is looked at. */
static int find_alone(void *arg)
{
	struct items *items = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 10};
	int64_t first;

	items->kind[1234] = WANTED;
	TASK_CHECK(hilo_parallel_find(0, MOST, look, items, &opts, &first), ==, 1);
	TASK_CHECK(load_relaxed(&items->looked_at), <=, 1250);
	return 0;
}

static void test_a_search_ends_early(void **state)
{
	struct items *items = calloc(1, sizeof(*items));

	(void)state;
	hilo__nobody_stands_in = true; /* and takes forks meanwhile */
	assert_int_equal(test_run(1, find_alone, items), 0);
	hilo__nobody_stands_in = false;
	free(items);
}

/* Unless all others were looked at by then; and nothing begins once it is cancelled. */
FORK_TEST(test_a_cancelled_search_stops)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 2};
	struct items *items = calloc(1, sizeof(*items));
	int64_t first = -7777;
	int rc;

	items->cancels = hilo_task_current();
	items->kind[11] = BROKEN;
	items->kind[MOST - 1] = WANTED;
	rc = hilo_parallel_find(0, MOST, look, items, &opts, &first);
	TASK_CHECK(rc == 1 || rc == -ECANCELED, ==, true);
	TASK_CHECK(first, ==, rc == 1 ? MOST - 1 : -7777);
	first = -7777;
	items->kind[0] = WANTED;
	TASK_CHECK(hilo_parallel_find(0, MOST, look, items, &opts, &first), ==, -ECANCELED);
	TASK_CHECK(first, ==, -7777);
	while (hilo_task_uncancel() > 0)
		;
	free(items);
	return 0;
}

static int find_outside(int64_t begin, int64_t end, int64_t *ret, void *arg)
{
	(void)begin;
	(void)arg;
	*ret = end;
	return 1;
}

static int find_at(int64_t begin, int64_t end, int64_t *ret, void *arg)
{
	int64_t at = *(int64_t *)arg;

	*ret = at;
	return at >= begin && at < end;
}

TASK_TEST(test_misuse_and_ranges_as_long_as_can_be)
{
	hilo_parallel_opts same = {.size = sizeof(same), .grain = HILO_GRAIN_SAME}, bad = {.size = 1};
	int64_t first = 5, ends[] = {INT64_MIN, 0, INT64_MAX - 1};

	TASK_CHECK(hilo_parallel_find(0, 1, NULL, NULL, NULL, &first), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_find(0, 1, look, NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_find(0, 1, look, NULL, &bad, &first), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_find(0, 9, find_outside, NULL, NULL, &first), ==, -ERANGE);
	TASK_CHECK(hilo_parallel_find(9, 0, look, NULL, NULL, &first), ==, 0);
	TASK_CHECK(first, ==, 5);
	for (size_t i = 0; i < array_size(ends); i++) {
		TASK_CHECK(hilo_parallel_find(INT64_MIN, INT64_MAX, find_at, &ends[i], &same, &first), ==, 1);
		TASK_CHECK(first, ==, ends[i]);
	}
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	int64_t first;

	(void)state;
	assert_int_equal(hilo_parallel_find(0, 9, find_outside, NULL, NULL, &first), -EDEADLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_one_is_found),
		cmocka_unit_test(test_the_first_one_is_found_with_each_fork_taken),
		cmocka_unit_test(test_what_comes_first_counts),
		cmocka_unit_test(test_what_lies_behind_is_left_out),
		cmocka_unit_test(test_a_search_ends_early),
		cmocka_unit_test(test_a_cancelled_search_stops),
		cmocka_unit_test(test_misuse_and_ranges_as_long_as_can_be),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
