/* SPDX-License-Identifier: MIT */
/* Loops over ranges, reductions and calls side by side, against what a loop gives. */
#include "tests/support/test.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/parallel.h>

#include "scheduler/base/mem.h"
#include "tests/unit/runtime/forks.h"

#define MOST 3000
#ifdef HILO__TSAN
#define LONG 1000 /* each fork that is taken is a fiber there, of which there may be some thousands */
#else
#define LONG 100000
#endif

/* How often each item was done; the longest piece; where to fail. */
struct items {
	atomic(uint32_t) done[MOST];
	atomic(int64_t) longest;
	int64_t begin;
	int64_t failing;
	bool yields;
};

static int do_items(int64_t begin, int64_t end, void *arg)
{
	struct items *items = arg;
	int64_t longest = load_relaxed(&items->longest);

	TASK_CHECK(begin, <, end);
	while (end - begin > longest && !cas_relaxed(&items->longest, &longest, end - begin))
		;
	for (int64_t i = begin; i < end; i++) {
		(void)add_relaxed(&items->done[i - items->begin], 1);
		if (items->yields && i % 7 == 0)
			(void)hilo_yield();
		if (i == items->failing)
			return hilo_fail(-EBADF, "item %d", (int)i);
	}
	return 5; /* any success is 0 */
}

static void check_items(const struct items *items, int64_t length)
{
	for (int64_t i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&items->done[i]), ==, i < length);
}

static int64_t any_length(struct random *random)
{
	return random_below(random, 4) ? (int64_t)random_below(random, 40)
				       : (int64_t)random_below(random, MOST);
}

FORK_TEST(test_a_loop_does_each_item_once)
{
	static const int64_t grains[] = {HILO_GRAIN_AUTO, HILO_GRAIN_SAME, 1, 3, 64, MOST, INT64_MAX};
	struct random random;

	random_init(&random, test_seed(), 1);
	for (size_t i = 0; i < array_size(grains); i++) {
		for (unsigned round = 0; round < test_rounds(4); round++) {
			struct items *items = calloc(1, sizeof(*items));
			int64_t length = any_length(&random);

			items->begin = (int64_t)random_below(&random, 1000) - 500;
			items->failing = INT64_MAX;
			items->yields = round % 2;
			TASK_CHECK(hilo_parallel_for(items->begin, items->begin + length, grains[i], do_items,
						     items),
				   ==, 0);
			check_items(items, length);
			if (grains[i] > 0)
				TASK_CHECK(load_relaxed(&items->longest), <=, grains[i]);
			free(items);
		}
	}
	return 0;
}

static int count_pieces(int64_t begin, int64_t end, void *arg)
{
	(void)begin;
	(void)end;
	(void)add_relaxed((atomic(int) *)arg, 1);
	return 0;
}

TASK_TEST(test_ranges_as_long_as_can_be)
{
	atomic(int) pieces;

	atomic_setup(&pieces, 0);
	TASK_CHECK(hilo_parallel_for(INT64_MIN, INT64_MAX, HILO_GRAIN_SAME, count_pieces, &pieces), ==, 0);
	TASK_CHECK(load_relaxed(&pieces), >=, 256);
	TASK_CHECK(load_relaxed(&pieces), <=, 1024);
	TASK_CHECK(hilo_parallel_for(INT64_MIN, INT64_MIN, 1, count_pieces, &pieces), ==, 0);
	TASK_CHECK(hilo_parallel_for(5, 4, 1, count_pieces, &pieces), ==, 0);
	TASK_CHECK(load_relaxed(&pieces), <=, 1024);
	return 0;
}

FORK_TEST(test_a_failure_at_each_item_is_told)
{
	enum {
		LENGTH = 37
	};
	struct items *items = malloc(sizeof(*items));

	for (int64_t failing = 0; failing < LENGTH; failing++) {
		char text[16];

		memset(items, 0, sizeof(*items));
		items->failing = failing;
		items->yields = failing % 2;
		TASK_CHECK(hilo_parallel_for(0, LENGTH, 2, do_items, items), ==, -EBADF);
		(void)snprintf(text, sizeof(text), "item %d", (int)failing);
		TASK_CHECK_TEXT(hilo_error_message(), text);
		TASK_CHECK(load_relaxed(&items->done[failing]), ==, 1);
	}
	free(items);
	return 0;
}

static int fail_with_item(int64_t begin, int64_t end, void *arg)
{
	(void)arg;
	(void)end;
	(void)hilo_yield();
	return hilo_fail(-EBADF, "piece %d", (int)begin);
}

/* Whatever the order: code and message are of the same piece. */
FORK_TEST(test_many_failures)
{
	for (unsigned i = 0; i < test_rounds(20); i++) {
		TASK_CHECK(hilo_parallel_for(0, 64, 1, fail_with_item, NULL), ==, -EBADF);
		TASK_CHECK_CONTAINS(hilo_error_message(), "piece ");
	}
	return 0;
}

/* The last piece, if there is one, waits for the request: it may come when all others are done. */
static int cancel_at_ten(int64_t begin, int64_t end, void *arg)
{
	(void)end;
	if (begin == 10)
		TASK_CHECK(hilo_task_cancel(arg), ==, 0);
	return begin == LONG - 1 ? hilo_sleep(HILO_FOREVER) : 0;
}

FORK_TEST(test_a_cancelled_loop_stops)
{
	TASK_CHECK(hilo_parallel_for(0, LONG, 1, cancel_at_ten, hilo_task_current()), ==, -ECANCELED);
	TASK_CHECK(hilo_parallel_for(0, 100, 1, cancel_at_ten, hilo_task_current()), ==, -ECANCELED);
	while (hilo_task_uncancel() > 0)
		;
	TASK_CHECK(hilo_parallel_for(0, 10, 1, cancel_at_ten, NULL), ==, 0);
	return 0;
}

TASK_TEST(test_misuse)
{
	hilo_reduction how = {.size = sizeof(how)};
	long sum = 0;

	TASK_CHECK(hilo_parallel_for(0, 1, 1, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_for(0, 1, -2, count_pieces, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_reduce(0, 1, 1, NULL, &sum, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_reduce(0, 1, 1, &how, &sum, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_invoke(1, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_invoke(1, (int (*const[])(void *)){NULL}, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_invoke(0, NULL, NULL), ==, 0);
	return 0;
}

/* A text of which the order shows: what is put together are the letters of the items. */
struct text {
	size_t length;
	char letters[MOST];
};

static int fold_text(int64_t begin, int64_t end, void *value, void *arg)
{
	struct text *text = value;
	const int64_t *failing = arg;

	for (int64_t i = begin; i < end; i++) {
		if (i == *failing)
			return hilo_fail(-ENOSPC, "at %d", (int)i);
		text->letters[text->length++] = (char)('a' + i % 26);
	}
	return 0;
}

static int combine_text(void *value, void *right, void *arg)
{
	struct text *text = value;
	const struct text *more = right;

	(void)arg;
	memcpy(text->letters + text->length, more->letters, more->length);
	text->length += more->length;
	return 0;
}

/* An operation that is not commutative gives what a loop gives, for large values too. */
FORK_TEST(test_a_reduction_keeps_the_order)
{
	const hilo_reduction how = {sizeof(how), sizeof(struct text), fold_text, combine_text};
	struct text *text = malloc(sizeof(*text));
	int64_t never = -1;

	for (int64_t length = 0; length < MOST; length = 2 * length + 1) {
		text->length = 0;
		TASK_CHECK(hilo_parallel_reduce(0, length, 1 + length / 50, &how, text, &never), ==, 0);
		TASK_CHECK(text->length, ==, length);
		for (int64_t i = 0; i < length; i++)
			TASK_CHECK(text->letters[i], ==, 'a' + i % 26);
	}
	for (int64_t failing = 0; failing < 20; failing++) {
		text->length = 0;
		TASK_CHECK(hilo_parallel_reduce(0, 20, 1, &how, text, &failing), ==, -ENOSPC);
	}
	free(text);
	return 0;
}

struct wide {
	_Alignas(max_align_t) int64_t sum;
};

static int fold_wide(int64_t begin, int64_t end, void *value, void *arg)
{
	struct wide *wide = value;

	(void)arg;
	if ((uintptr_t)wide % _Alignof(max_align_t))
		return -EFAULT;
	for (int64_t i = begin; i < end; i++)
		wide->sum += i;
	return 0;
}

static int combine_wide(void *left, void *right, void *arg)
{
	(void)arg;
	((struct wide *)left)->sum += ((struct wide *)right)->sum;
	return 0;
}

FORK_TEST(test_the_values_of_a_reduction_are_aligned)
{
	const hilo_reduction how = {sizeof(how), sizeof(struct wide), fold_wide, combine_wide};
	struct wide wide = {0};

	TASK_CHECK(hilo_parallel_reduce(0, 100, 1, &how, &wide, NULL), ==, 0);
	TASK_CHECK(wide.sum, ==, 4950);
	return 0;
}

TASK_TEST(test_a_reduction_without_memory)
{
	const hilo_reduction how = {sizeof(how), sizeof(struct text), fold_text, combine_text};
	struct text *text = malloc(sizeof(*text));
	int64_t never = -1;

	for (long n = 1; n < 12; n++) {
		int rc;

		text->length = 0;
		hilo__mem_fail_at(n, true);
		rc = hilo_parallel_reduce(0, 20, 1, &how, text, &never);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc, ==, -ENOMEM);
	}
	free(text);
	return 0;
}

static int fold_float(int64_t begin, int64_t end, void *value, void *arg)
{
	float *sum = value;

	(void)arg;
	for (int64_t i = begin; i < end; i++)
		*sum += 1.0f / (float)(i + 1);
	return 0;
}

static int combine_float(void *value, void *right, void *arg)
{
	(void)arg;
	*(float *)value += *(float *)right;
	return 0;
}

static atomic(uint32_t) float_sum;

/* To the last bit, with any number of workers. */
FORK_TEST(test_a_reduction_with_the_same_grain_is_the_same)
{
	const hilo_reduction how = {sizeof(how), sizeof(float), fold_float, combine_float};
	uint32_t bits, zero = 0;
	float sum = 0;

	TASK_CHECK(hilo_parallel_reduce(0, 10000, HILO_GRAIN_SAME, &how, &sum, NULL), ==, 0);
	memcpy(&bits, &sum, sizeof(bits));
	if (!cas_relaxed(&float_sum, &zero, bits))
		TASK_CHECK(zero, ==, bits);
	TASK_CHECK(sum > 9.7f && sum < 9.8f, ==, 1);
	return 0;
}

static int set_it(void *arg)
{
	return hilo_future_set(arg, NULL, NULL);
}

static int await_it(void *arg)
{
	return hilo_future_await(arg, NULL, HILO_FOREVER);
}

static int no_argument(void *arg)
{
	TASK_CHECK(arg, ==, NULL);
	return 0;
}

static int fail_it(void *arg)
{
	(void)arg;
	return hilo_fail(-EDOM, "it failed");
}

FORK_TEST(test_functions_side_by_side)
{
	hilo_future *future = hilo_future_new();
	int (*const fns[])(void *) = {await_it, await_it, await_it, set_it};
	void *const args[] = {future, future, future, future};

	TASK_CHECK(hilo_invoke(3, (int (*const[])(void *)){no_argument, no_argument, no_argument}, NULL), ==,
		   0);
	TASK_CHECK(hilo_invoke(3, (int (*const[])(void *)){no_argument, fail_it, no_argument}, NULL), ==,
		   -EDOM);
	TASK_CHECK_TEXT(hilo_error_message(), "it failed");
	TASK_CHECK(hilo_invoke(4, fns, args), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static int loop_in_executor(void *arg)
{
	return hilo_parallel_for(0, 100, 1, count_pieces, arg);
}

TASK_TEST(test_from_an_executor)
{
	atomic(int) pieces;

	atomic_setup(&pieces, 0);
	TASK_CHECK(hilo_run_in_executor(NULL, loop_in_executor, &pieces, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_relaxed(&pieces), ==, 100);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	(void)state;
	assert_int_equal(hilo_parallel_for(0, 100, 1, count_pieces, NULL), -EDEADLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_loop_does_each_item_once),
		cmocka_unit_test(test_ranges_as_long_as_can_be),
		cmocka_unit_test(test_a_failure_at_each_item_is_told),
		cmocka_unit_test(test_many_failures),
		cmocka_unit_test(test_a_cancelled_loop_stops),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_a_reduction_keeps_the_order),
		cmocka_unit_test(test_the_values_of_a_reduction_are_aligned),
		cmocka_unit_test(test_a_reduction_without_memory),
		cmocka_unit_test(test_a_reduction_with_the_same_grain_is_the_same),
		cmocka_unit_test(test_functions_side_by_side),
		cmocka_unit_test(test_from_an_executor),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
