/* SPDX-License-Identifier: MIT */
/* Functions side by side: failures at each position, cancels, progress; a reduction whose putting together fails. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/parallel.h>

#include "tests/unit/runtime/forks.h"

#define MOST 9

/* What the functions of a call do, and what they have done. */
struct calls {
	struct one_call {
		struct calls *calls;
		int number;
		bool fails, yields;
		atomic(int) begun, ended;
	} call[MOST];
	hilo_task *cancel; /* whom the one that fails cancels instead */
	int (*fns[MOST])(void *arg);
	void *args[MOST];
};

static int call_it(void *arg)
{
	struct one_call *call = arg;
	int rc = 3; /* any success is 0 */

	(void)add_relaxed(&call->begun, 1);
	if (call->yields)
		(void)hilo_yield();
	if (call->fails && call->calls->cancel)
		TASK_CHECK(hilo_task_cancel(call->calls->cancel), ==, 0);
	else if (call->fails)
		rc = hilo_fail(-EDOM, "function %d", call->number);
	(void)add_relaxed(&call->ended, 1);
	return rc;
}

static void calls_init(struct calls *calls, bool yields)
{
	memset(calls, 0, sizeof(*calls));
	for (int i = 0; i < MOST; i++) {
		calls->call[i].calls = calls;
		calls->call[i].number = i;
		calls->call[i].yields = yields;
		calls->fns[i] = call_it;
		calls->args[i] = &calls->call[i];
	}
}

/* Each was called once at most, and whatever has begun has ended; how many. */
static int check_ended(struct calls *calls, int count)
{
	int all = 0;

	for (int i = 0; i < MOST; i++) {
		int begun = load_relaxed(&calls->call[i].begun);

		TASK_CHECK(load_relaxed(&calls->call[i].ended), ==, begun);
		TASK_CHECK(begun, <=, i < count);
		all += begun;
	}
	return all;
}

FORK_TEST_WIDE(test_a_failure_of_each_function)
{
	char text[20];
	struct calls calls;

	for (int count = 1; count <= MOST; count++) {
		for (int fails = 0; fails < count; fails++) {
			calls_init(&calls, (count + fails) % 2);
			calls.call[fails].fails = true;
			TASK_CHECK(hilo_invoke((size_t)count, calls.fns, calls.args), ==, -EDOM);
			(void)snprintf(text, sizeof(text), "function %d", fails);
			TASK_CHECK_TEXT(hilo_error_message(), text);
			TASK_CHECK(check_ended(&calls, count), >=, 1);
			TASK_CHECK(load_relaxed(&calls.call[fails].begun), ==, 1);
		}
	}
	return 0;
}

/* Of two that fail that counts which comes first, if it has begun; the message is of the same one. */
FORK_TEST_WIDE(test_two_failures_at_each_two_places)
{
	char text[20];
	struct calls calls;

	for (int first = 0; first < MOST; first++) {
		for (int second = first + 1; second < MOST; second++) {
			calls_init(&calls, (first + second) % 2);
			calls.call[first].fails = calls.call[second].fails = true;
			TASK_CHECK(hilo_invoke(MOST, calls.fns, calls.args), ==, -EDOM);
			(void)snprintf(text, sizeof(text), "function %d",
				       load_relaxed(&calls.call[first].begun) ? first : second);
			TASK_CHECK_TEXT(hilo_error_message(), text);
			(void)check_ended(&calls, MOST);
		}
	}
	return 0;
}

/* One of them cancels the caller: what has not begun is left out, or all have ended before it is seen. */
FORK_TEST(test_a_cancel_by_each_function)
{
	struct calls calls;
	int rc;

	for (int cancels = 0; cancels < MOST; cancels++) {
		calls_init(&calls, cancels % 2);
		calls.call[cancels].fails = true;
		calls.cancel = hilo_task_current();
		rc = hilo_invoke(MOST, calls.fns, calls.args);
		while (hilo_task_uncancel() > 0)
			;
		TASK_CHECK(load_relaxed(&calls.call[cancels].begun), ==, 1);
		TASK_CHECK(rc, ==, check_ended(&calls, MOST) == MOST ? 0 : -ECANCELED);
	}
	return 0;
}

/* Without thieves, and nobody who gives way: what lies behind a failure is left out. */
static int fails_in_order(void *arg)
{
	struct calls calls;

	(void)arg;
	for (int fails = 0; fails < MOST; fails++) {
		calls_init(&calls, false);
		calls.call[fails].fails = true;
		TASK_CHECK(hilo_invoke(MOST, calls.fns, calls.args), ==, -EDOM);
		TASK_CHECK(check_ended(&calls, MOST), ==, fails + 1);
	}
	return 0;
}

static void test_what_lies_behind_a_failure_is_left_out(void **state)
{
	(void)state;
	assert_int_equal(test_run_natural(1, fails_in_order, NULL), 0);
}

/* What was told of progress: ever more, of so many. */
struct told {
	int64_t last, total;
	unsigned times;
};

static void tell(int64_t done, int64_t total, void *arg)
{
	struct told *told = arg;

	TASK_CHECK(done, >=, told->last);
	TASK_CHECK(done, <=, total);
	told->last = done;
	told->total = total;
	told->times++;
}

FORK_TEST_WIDE(test_progress_counts_functions)
{
	struct calls calls;

	for (int count = 0; count <= MOST; count++) {
		struct told told = {0};
		hilo_parallel_opts opts = {
			.size = sizeof(opts), .progress = tell, .progress_arg = &told, .progress_period = 1};

		calls_init(&calls, count % 2);
		TASK_CHECK(hilo_invoke_with((size_t)count, calls.fns, calls.args, &opts), ==, 0);
		TASK_CHECK(check_ended(&calls, count), ==, count);
		TASK_CHECK(told.last, ==, count);
		TASK_CHECK(told.total, ==, count);
		TASK_CHECK(told.times, <=, count + 1);
	}
	return 0;
}

/* Each one alone, unless a grain says otherwise; at the end nobody is told of a failure. */
static int tells_in_order(void *arg)
{
	struct calls calls;
	struct told told = {0};
	hilo_parallel_opts opts = {
		.size = sizeof(opts), .progress = tell, .progress_arg = &told, .progress_period = 1};

	(void)arg;
	calls_init(&calls, false);
	TASK_CHECK(hilo_invoke_with(MOST, calls.fns, calls.args, &opts), ==, 0);
	TASK_CHECK(told.times, ==, MOST + 1);
	told = (struct told){0};
	opts.grain = MOST;
	TASK_CHECK(hilo_invoke_with(MOST, calls.fns, calls.args, &opts), ==, 0);
	TASK_CHECK(told.times, ==, 2);
	told = (struct told){0};
	opts.grain = HILO_GRAIN_AUTO;
	calls.call[4].fails = true;
	TASK_CHECK(hilo_invoke_with(MOST, calls.fns, calls.args, &opts), ==, -EDOM);
	TASK_CHECK(told.last, ==, 4);
	return 0;
}

static void test_when_progress_is_told(void **state)
{
	(void)state;
	assert_int_equal(test_run_natural(1, tells_in_order, NULL), 0);
}

TASK_TEST(test_misuse)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = -2};
	struct calls calls;

	calls_init(&calls, false);
	TASK_CHECK(hilo_invoke_with(1, calls.fns, calls.args, &opts), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_invoke_with: the grain is -2");
	opts = (hilo_parallel_opts){.size = sizeof(opts), .progress_period = -1};
	TASK_CHECK(hilo_invoke_with(1, calls.fns, calls.args, &opts), ==, -EINVAL);
	opts = (hilo_parallel_opts){.size = 1};
	TASK_CHECK(hilo_invoke_with(1, calls.fns, calls.args, &opts), ==, -EINVAL);
	TASK_CHECK(hilo_invoke_with(1, NULL, NULL, NULL), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_invoke_with: fns is NULL");
	TASK_CHECK(check_ended(&calls, 0), ==, 0);
	TASK_CHECK(hilo_invoke_with(0, NULL, NULL, NULL), ==, 0);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	struct calls calls;

	(void)state;
	calls_init(&calls, false);
	assert_int_equal(hilo_invoke_with(1, calls.fns, calls.args, NULL), -EDEADLK);
	assert_int_equal(check_ended(&calls, 0), 0);
}

/* Reductions and scans that fail where partial results are put together. */
#define ITEMS 23

struct run {
	int64_t begin, end;
};

struct joining {
	int64_t fails; /* the item that the right one begins with */
	bool yields;
	atomic(int) folding, combining;
	atomic(int) failed, after;
};

static int fold_run(int64_t begin, int64_t end, void *value, void *arg)
{
	struct joining *joining = arg;
	struct run *run = value;

	(void)add_acq_rel(&joining->folding, 1);
	if (joining->yields)
		(void)hilo_yield();
	if (run->begin == run->end)
		run->begin = begin;
	else
		TASK_CHECK(run->end, ==, begin);
	run->end = end;
	(void)sub_acq_rel(&joining->folding, 1);
	return 0;
}

static int combine_run(void *left, void *right, void *arg)
{
	struct joining *joining = arg;
	struct run *run = left, *more = right;
	int rc = 0;

	(void)add_acq_rel(&joining->combining, 1);
	if (joining->yields)
		(void)hilo_yield();
	if (run->begin != run->end)
		TASK_CHECK(run->end, ==, more->begin);
	else
		run->begin = more->begin;
	run->end = more->end;
	if (more->begin == joining->fails) {
		store_relaxed(&joining->failed, 1);
		rc = hilo_fail(-ERANGE, "before item %d", (int)more->begin);
	}
	(void)sub_acq_rel(&joining->combining, 1);
	return rc;
}

static const hilo_reduction joining_runs = {sizeof(joining_runs), sizeof(struct run), fold_run, combine_run};

/* Each item but the first begins the right one of exactly one pair, if pieces are of one. */
FORK_TEST_WIDE(test_a_failure_of_putting_together_at_each_place)
{
	char text[24];

	for (int64_t fails = 0; fails <= ITEMS; fails++) {
		struct joining joining = {.fails = fails, .yields = fails % 2};
		struct run run = {0};
		bool fits = fails > 0 && fails < ITEMS;
		int rc = hilo_parallel_reduce(0, ITEMS, 1, &joining_runs, &run, &joining);

		TASK_CHECK(rc, ==, fits ? -ERANGE : 0);
		TASK_CHECK(load_relaxed(&joining.failed), ==, fits);
		TASK_CHECK(load_acquire(&joining.folding) + load_acquire(&joining.combining), ==, 0);
		if (fits) {
			(void)snprintf(text, sizeof(text), "before item %d", (int)fails);
			TASK_CHECK_TEXT(hilo_error_message(), text);
		} else {
			TASK_CHECK(run.begin, ==, 0);
			TASK_CHECK(run.end, ==, ITEMS);
		}
	}
	return 0;
}

static int finish_run(int64_t begin, int64_t end, void *value, void *arg)
{
	struct joining *joining = arg;
	struct run *run = value;

	(void)add_relaxed(&joining->after, 1);
	if (begin > 0)
		TASK_CHECK(run->end, ==, begin);
	run->end = end;
	return 0;
}

FORK_TEST_WIDE(test_a_scan_whose_putting_together_fails_at_each_place)
{
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1};

	for (int64_t fails = 1; fails < ITEMS - 1; fails++) {
		struct joining joining = {.fails = fails, .yields = fails % 2};
		struct run run = {0};
		int rc = hilo_parallel_scan(0, ITEMS, &joining_runs, finish_run, &run, &joining, &opts);

		TASK_CHECK(rc, ==, load_relaxed(&joining.failed) ? -ERANGE : 0);
		TASK_CHECK(load_acquire(&joining.folding) + load_acquire(&joining.combining), ==, 0);
		TASK_CHECK(load_relaxed(&joining.failed), ==, 1);
		TASK_CHECK(load_relaxed(&joining.after), ==, 0);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failure_of_each_function),
		cmocka_unit_test(test_two_failures_at_each_two_places),
		cmocka_unit_test(test_a_cancel_by_each_function),
		cmocka_unit_test(test_what_lies_behind_a_failure_is_left_out),
		cmocka_unit_test(test_progress_counts_functions),
		cmocka_unit_test(test_when_progress_is_told),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_from_a_plain_thread),
		cmocka_unit_test(test_a_failure_of_putting_together_at_each_place),
		cmocka_unit_test(test_a_scan_whose_putting_together_fails_at_each_place),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
