/* SPDX-License-Identifier: MIT */
/* Pipelines: each item through each stage once, in order where that is asked for; failures, cancels, figures. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/runtime/pipeline.h>

#include "scheduler/base/mem.h"

#define STAGES 4
#define MOST 400
#define NOWHERE UINT32_MAX

/* An item; @at: the stages that it has been through. */
struct item {
	uint32_t number;
	uint32_t at;
};

/* What a pipeline does, and what it has done. */
struct work {
	uint32_t items;
	hilo_stage stages[STAGES];
	struct stage_arg {
		struct work *work;
		uint32_t stage;
		atomic(uint32_t) inside, most, calls;
		uint32_t next; /* of a stage in order */
	} args[STAGES];
	struct item item[MOST];
	atomic(uint32_t) seen[MOST][STAGES];
	atomic(uint32_t) dropped[MOST];
	atomic(uint32_t) made;
	uint32_t fail_at, fail_stage;	/* NOWHERE: nothing fails */
	uint32_t sleep_at, sleep_stage; /* waits until it is cancelled */
	bool yields;
};

static void enter_stage(struct stage_arg *arg)
{
	uint32_t inside = add_acq_rel(&arg->inside, 1) + 1, most = load_relaxed(&arg->most);

	while (inside > most && !cas_relaxed(&arg->most, &most, inside))
		;
	(void)add_relaxed(&arg->calls, 1);
}

/* What all stages do with item @number. */
static int do_stage(struct stage_arg *arg, uint32_t number)
{
	struct work *work = arg->work;
	const hilo_stage *stage = &work->stages[arg->stage];

	(void)add_relaxed(&work->seen[number][arg->stage], 1);
	if (stage->kind == HILO_STAGE_IN_ORDER)
		TASK_CHECK(number, ==, arg->next++);
	if (work->yields && !(stage->flags & HILO_STAGE_BLOCKING) && (number + arg->stage) % 3 == 0)
		(void)hilo_yield();
	if (number == work->sleep_at && arg->stage == work->sleep_stage)
		return hilo_sleep_until(HILO_FOREVER);
	if (number == work->fail_at && arg->stage == work->fail_stage)
		return hilo_fail(-EBADF, "item %u in stage %u", number, arg->stage);
	return 1;
}

static int first_stage(void **item, void *of)
{
	struct stage_arg *arg = of;
	struct work *work = arg->work;
	uint32_t number;
	int rc;

	TASK_CHECK(*item, ==, NULL);
	enter_stage(arg);
	number = add_relaxed(&work->made, 1);
	if (number >= work->items) {
		(void)sub_relaxed(&work->made, 1);
		(void)sub_acq_rel(&arg->inside, 1);
		return 0;
	}
	rc = do_stage(arg, number);
	if (rc > 0) {
		work->item[number].at = 1;
		*item = &work->item[number];
	}
	(void)sub_acq_rel(&arg->inside, 1);
	return rc;
}

static int later_stage(void **place, void *of)
{
	struct stage_arg *arg = of;
	struct item *item = *place;
	int rc;

	enter_stage(arg);
	TASK_CHECK(item->at, ==, arg->stage);
	item->at++;
	rc = do_stage(arg, item->number);
	(void)sub_acq_rel(&arg->inside, 1);
	return rc;
}

static void drop_item(void *place, void *of)
{
	struct work *work = of;
	struct item *item = place;

	(void)hilo_yield();
	(void)add_relaxed(&work->dropped[item->number], 1);
}

static struct work *work_new(const enum hilo_stage_kind kinds[STAGES], uint32_t items)
{
	struct work *work = calloc(1, sizeof(*work));

	work->items = items;
	work->fail_at = work->sleep_at = NOWHERE;
	for (uint32_t i = 0; i < MOST; i++)
		work->item[i].number = i;
	for (uint32_t i = 0; i < STAGES; i++) {
		work->args[i].work = work;
		work->args[i].stage = i;
		work->stages[i] = (hilo_stage){
			.fn = i ? later_stage : first_stage, .arg = &work->args[i], .kind = kinds[i]};
	}
	return work;
}

static int work_run(struct work *work, unsigned in_flight, hilo_time deadline)
{
	hilo_pipeline_opts opts = {
		.size = sizeof(opts), .in_flight = in_flight, .drop = drop_item, .arg = work};

	return hilo_pipeline_run(work->stages, STAGES, &opts, deadline);
}

/* Each item was through all stages, or was dropped, once; and nobody was where only one may be beside another. */
static void work_check(struct work *work, uint32_t through)
{
	uint32_t made = load_relaxed(&work->made);

	for (uint32_t i = 0; i < MOST; i++) {
		bool exists = i < made && work->item[i].at > 0;
		bool ended = load_relaxed(&work->seen[i][STAGES - 1]) && i != work->fail_at;

		for (unsigned s = 0; s < STAGES; s++)
			TASK_CHECK(load_relaxed(&work->seen[i][s]), <=, 1);
		if (ended && i == work->sleep_at && work->sleep_stage == STAGES - 1)
			ended = false;
		TASK_CHECK(load_relaxed(&work->dropped[i]), ==, exists && !ended);
		if (i < through)
			TASK_CHECK(ended, ==, true);
	}
	for (unsigned s = 0; s < STAGES; s++)
		if (work->stages[s].kind != HILO_STAGE_PARALLEL)
			TASK_CHECK(load_relaxed(&work->args[s].most), <=, 1);
		else if (work->stages[s].most)
			TASK_CHECK(load_relaxed(&work->args[s].most), <=, work->stages[s].most);
}

/* All combinations of kinds. A first stage in parallel has no order of its own. */
#define FOR_EACH_KINDS(kinds)                                                                                \
	for (unsigned kinds##_n = 0; kinds##_n < 81; kinds##_n++)                                            \
		for (enum hilo_stage_kind kinds[STAGES] = {(enum hilo_stage_kind)(kinds##_n % 3),            \
							   (enum hilo_stage_kind)(kinds##_n / 3 % 3),        \
							   (enum hilo_stage_kind)(kinds##_n / 9 % 3),        \
							   (enum hilo_stage_kind)(kinds##_n / 27)},          \
					  *kinds##_once = kinds;                                             \
		     kinds##_once; kinds##_once = NULL)

/* The order that the first stage gives is that of its calls' returns: nothing that a test could compare with. */
static bool has_no_order(const enum hilo_stage_kind kinds[STAGES])
{
	return kinds[0] == HILO_STAGE_PARALLEL &&
	       (kinds[1] == HILO_STAGE_IN_ORDER || kinds[2] == HILO_STAGE_IN_ORDER ||
		kinds[3] == HILO_STAGE_IN_ORDER);
}

TASK_TEST(test_each_item_goes_through_each_stage_once)
{
	static const unsigned in_flight[] = {1, 2, 7, 0};

	FOR_EACH_KINDS(kinds)
	{
		for (size_t i = 0; i < array_size(in_flight) && !has_no_order(kinds); i++) {
			uint32_t items = (uint32_t)test_fewer(30);
			struct work *work = work_new(kinds, items);

			work->yields = i % 2;
			TASK_CHECK(work_run(work, in_flight[i], HILO_FOREVER), ==, 0);
			work_check(work, items);
			free(work);
		}
	}
	return 0;
}

static void test_with_8_workers(void **state)
{
	(void)state;
	assert_int_equal(test_run(8, test_each_item_goes_through_each_stage_once_body, NULL), 0);
	assert_int_equal(test_run_natural(8, test_each_item_goes_through_each_stage_once_body, NULL), 0);
}

/* Any sizes, kinds and failure; what the first stage gives in parallel has no order in which something fails. */
static int run_by_lot(void *arg)
{
	uint64_t *seed = arg;
	enum hilo_stage_kind kinds[STAGES];
	struct work *work;
	uint32_t items = (uint32_t)(random_mix(++*seed) % (test_fewer(MOST) + 1));
	unsigned in_flight = (unsigned)(random_mix(++*seed) % 2 ? random_mix(++*seed) % 200 : 0);
	bool fails;

	do {
		for (unsigned s = 0; s < STAGES; s++)
			kinds[s] = (enum hilo_stage_kind)(random_mix(++*seed) % 3);
	} while (has_no_order(kinds));
	work = work_new(kinds, random_mix(++*seed) % 4 ? items : items % 4);
	work->yields = random_mix(++*seed) % 2;
	for (unsigned s = 0; s < STAGES; s++)
		if (kinds[s] == HILO_STAGE_PARALLEL)
			work->stages[s].most = (unsigned)(random_mix(++*seed) % 5);
	if (random_mix(++*seed) % 3 == 0)
		work->fail_at = (uint32_t)(random_mix(++*seed) % MOST);
	work->fail_stage = (uint32_t)(random_mix(++*seed) % STAGES);
	fails = work->fail_at < work->items;
	TASK_CHECK(work_run(work, in_flight, HILO_FOREVER), ==, fails ? -EBADF : 0);
	work_check(work, !fails ? work->items : kinds[0] == HILO_STAGE_PARALLEL ? 0 : work->fail_at);
	free(work);
	return 0;
}

static void test_any_sizes_with_any_workers(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};
	uint64_t seed = test_seed();

	(void)state;
	for (unsigned round = 0; round < test_rounds(20); round++)
		for (size_t i = 0; i < array_size(workers); i++) {
			assert_int_equal(test_run(workers[i], run_by_lot, &seed), 0);
			assert_int_equal(test_run_natural(workers[i], run_by_lot, &seed), 0);
		}
}

static const enum hilo_stage_kind usual[STAGES] = {HILO_STAGE_IN_ORDER, HILO_STAGE_PARALLEL,
						   HILO_STAGE_IN_ORDER, HILO_STAGE_SERIAL};

TASK_TEST(test_no_items_at_all)
{
	struct work *work = work_new(usual, 0);

	TASK_CHECK(work_run(work, 3, HILO_FOREVER), ==, 0);
	work_check(work, 0);
	TASK_CHECK(load_relaxed(&work->args[0].calls), ==, 1);
	free(work);
	return 0;
}

/* The failure is that of the loop: what comes before goes to the end, and no item is left. */
TASK_TEST(test_a_failure_of_each_item_in_each_stage)
{
	char text[40];

	for (unsigned n = 0; n < 3; n++) {
		const enum hilo_stage_kind kinds[STAGES] = {HILO_STAGE_IN_ORDER, HILO_STAGE_PARALLEL,
							    (enum hilo_stage_kind)n, HILO_STAGE_IN_ORDER};

		for (uint32_t at = 0; at < 9; at++) {
			for (uint32_t stage = 0; stage < STAGES; stage++) {
				struct work *work = work_new(kinds, 20);

				work->fail_at = at;
				work->fail_stage = stage;
				work->yields = at % 2;
				TASK_CHECK(work_run(work, 5, HILO_FOREVER), ==, -EBADF);
				(void)snprintf(text, sizeof(text), "item %u in stage %u", at, stage);
				TASK_CHECK_TEXT(hilo_error_message(), text);
				work_check(work, at);
				free(work);
			}
		}
	}
	return 0;
}

/* Whoever waits behind the one that fails is stopped, be it the first stage, which would wait for ever. */
TASK_TEST(test_a_failure_cancels_what_comes_behind)
{
	for (uint32_t stage = 0; stage < STAGES - 1; stage++) {
		struct work *work = work_new(usual, 20);

		work->fail_at = 3;
		work->fail_stage = STAGES - 1;
		work->sleep_at = 4;
		work->sleep_stage = stage;
		TASK_CHECK(work_run(work, 8, HILO_FOREVER), ==, -EBADF);
		TASK_CHECK_TEXT(hilo_error_message(), "item 3 in stage 3");
		work_check(work, 3);
		free(work);
	}
	return 0;
}

/* An item before the failed one is not disturbed; what it comes to counts. */
static int waits_then_fails(void **item, void *arg)
{
	hilo_future **futures = arg;
	intptr_t number = (intptr_t)*item;

	if (number == 2) {
		TASK_CHECK(hilo_future_set(futures[0], NULL, NULL), ==, 0);
		return hilo_fail(-EBADF, "the second");
	}
	TASK_CHECK(hilo_future_await(futures[0], NULL, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	return hilo_fail(-EIO, "the first");
}

static int count_to_three(void **item, void *arg)
{
	intptr_t *count = arg;

	if (*count == 3)
		return 0;
	*item = (void *)++*count;
	return 1;
}

static int take_item(void **item, void *arg)
{
	(void)item;
	(void)arg;
	return 0;
}

TASK_TEST(test_the_first_item_that_fails_counts)
{
	hilo_future *future = hilo_future_new();
	intptr_t count = 0;
	const hilo_stage stages[] = {
		{.fn = count_to_three, .arg = &count},
		{.fn = waits_then_fails, .arg = &future, .kind = HILO_STAGE_PARALLEL},
		{.fn = take_item},
	};
	hilo_pipeline_opts opts = {.size = sizeof(opts), .in_flight = 2};

	TASK_CHECK(hilo_pipeline_run(stages, 3, &opts, HILO_FOREVER), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "the first");
	hilo_future_unref(future);
	return 0;
}

/* ---- to be stopped ---- */

struct stopped {
	struct work *work;
	unsigned in_flight;
	hilo_time deadline;
};

static int run_stopped(void *arg)
{
	struct stopped *stopped = arg;

	return work_run(stopped->work, stopped->in_flight, stopped->deadline);
}

/* Wherever an item waits, with others before and behind it. */
TASK_TEST(test_a_cancel_while_each_stage_waits)
{
	for (uint32_t at = 0; at < 6; at++) {
		for (uint32_t stage = 0; stage < STAGES; stage++) {
			struct work *work = work_new(usual, 20);
			struct stopped stopped = {work, 4, HILO_FOREVER};
			hilo_task *task;

			work->sleep_at = at;
			work->sleep_stage = stage;
			task = hilo_spawn(run_stopped, &stopped);
			TEST_UNTIL(load_acquire(&work->seen[at][stage]));
			for (uint32_t i = 0; i < at; i++)
				(void)hilo_yield();
			TASK_CHECK(hilo_task_cancel(task), ==, 0);
			TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
			work_check(work, 0);
			free(work);
		}
	}
	return 0;
}

/* At any moment: it has run to the end, or is cancelled with each item in its place. */
TASK_TEST(test_a_cancel_at_any_moment)
{
	for (unsigned round = 0; round < test_rounds(100); round++) {
		struct work *work = work_new(usual, 30);
		struct stopped stopped = {work, 1 + round % 9, HILO_FOREVER};
		hilo_task *task;
		int rc;

		work->yields = true;
		task = hilo_spawn(run_stopped, &stopped);
		for (unsigned i = 0; i < round; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, true);
		work_check(work, rc == 0 ? 30 : 0);
		free(work);
	}
	return 0;
}

TASK_TEST(test_a_deadline_ends_it)
{
	struct work *work = work_new(usual, 20);

	work->sleep_at = 5;
	work->sleep_stage = 1;
	TASK_CHECK(work_run(work, 3, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	work_check(work, 0);
	free(work);
	return 0;
}

TASK_TEST(test_who_is_cancelled_already_begins_nothing)
{
	struct work *work = work_new(usual, 20);

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(work_run(work, 3, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(load_relaxed(&work->args[0].calls), ==, 0);
	free(work);
	return 0;
}

/* ---- kinds of stages ---- */

TASK_TEST(test_blocking_stages)
{
	for (unsigned which = 1; which < 1u << STAGES; which++) {
		struct work *work = work_new(usual, 12);

		for (unsigned s = 0; s < STAGES; s++)
			if (which & 1u << s)
				work->stages[s].flags = HILO_STAGE_BLOCKING;
		work->fail_at = which % 3 ? NOWHERE : 7;
		work->fail_stage = which % STAGES;
		TASK_CHECK(work_run(work, 4, HILO_FOREVER), ==, which % 3 ? 0 : -EBADF);
		work_check(work, which % 3 ? 12 : 7);
		free(work);
	}
	return 0;
}

/* All items are inside at once: each waits for all others. */
struct meeting {
	hilo_barrier barrier;
	intptr_t count;
};

static int meet_others(void **item, void *arg)
{
	(void)item;
	return hilo_barrier_wait(arg, HILO_FOREVER) < 0 ? -EIO : 0;
}

TASK_TEST(test_as_many_items_are_in_flight_as_asked_for)
{
	struct meeting meeting = {.count = 0};
	const hilo_stage stages[] = {
		{.fn = count_to_three, .arg = &meeting.count},
		{.fn = meet_others, .arg = &meeting.barrier, .kind = HILO_STAGE_PARALLEL},
		{.fn = take_item, .kind = HILO_STAGE_PARALLEL},
	};
	hilo_pipeline_opts opts = {.size = sizeof(opts), .in_flight = 3};

	TASK_CHECK(hilo_barrier_init(&meeting.barrier, 3, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_pipeline_run(stages, 3, &opts, HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_a_parallel_stage_with_a_limit)
{
	static const enum hilo_stage_kind kinds[STAGES] = {HILO_STAGE_SERIAL, HILO_STAGE_PARALLEL,
							   HILO_STAGE_PARALLEL, HILO_STAGE_PARALLEL};

	for (unsigned most = 1; most < 5; most++) {
		struct work *work = work_new(kinds, 60);

		work->yields = true;
		work->stages[1].most = most;
		work->stages[2].most = 5 - most;
		TASK_CHECK(work_run(work, 10, HILO_FOREVER), ==, 0);
		work_check(work, 60);
		free(work);
	}
	return 0;
}

TASK_TEST(test_a_parallel_first_stage_fails_or_is_stopped)
{
	static const enum hilo_stage_kind kinds[STAGES] = {HILO_STAGE_PARALLEL, HILO_STAGE_SERIAL,
							   HILO_STAGE_PARALLEL, HILO_STAGE_SERIAL};

	for (uint32_t at = 0; at < 12; at++) {
		struct work *work = work_new(kinds, 40);

		work->yields = true;
		work->stages[0].most = at % 4;
		work->fail_at = at;
		work->fail_stage = at % STAGES;
		work->sleep_at = at + 1; /* it may be the first to be made, and nobody fails */
		work->sleep_stage = 0;
		TASK_CHECK(work_run(work, 1 + at, at % 3 ? hilo_after(20 * HILO_MILLISECOND) : HILO_NO_WAIT),
			   <, 0);
		work_check(work, 0);
		free(work);
	}
	return 0;
}

/* What the first stage leaves behind when it ends or fails is no item. */
static int leaves_something(void **item, void *arg)
{
	*item = arg;
	return *(int *)arg;
}

static void drop_nothing(void *item, void *arg)
{
	(void)arg;
	TASK_CHECK(item, ==, NULL);
}

TASK_TEST(test_the_first_stage_leaves_no_item_at_the_end)
{
	for (unsigned n = 0; n < 4; n++) {
		int code = n % 2 ? 0 : -EBADF;
		const hilo_stage stages[] = {
			{.fn = leaves_something,
			 .arg = &code,
			 .kind = n / 2 ? HILO_STAGE_PARALLEL : HILO_STAGE_SERIAL},
			{.fn = take_item},
		};
		hilo_pipeline_opts opts = {.size = sizeof(opts), .drop = drop_nothing};

		TASK_CHECK(hilo_pipeline_run(stages, 2, &opts, HILO_FOREVER), ==, code);
	}
	return 0;
}

/* Odd items are taken by the second stage: those behind do not see them, and order does not wait for them. */
static int take_odd(void **item, void *arg)
{
	(void)arg;
	if ((intptr_t)*item % 2)
		*item = NULL;
	return 0;
}

static int count_even(void **item, void *arg)
{
	intptr_t *count = arg;

	TASK_CHECK(*item, ==, *count + 2);
	*count = (intptr_t)*item;
	return 0;
}

/* Each fifth is larger by 100, and before each seventh comes none. */
static int count_to_fifty(void **item, void *arg)
{
	intptr_t *made = arg;

	if (made[0] == 50)
		return 0;
	if (made[0] % 7 == 6 && made[1]++ % 2 == 0)
		return 1;
	made[0]++;
	*item = (void *)(made[0] % 5 ? made[0] : made[0] + 100);
	return 1;
}

static int take_large(void **item, void *arg)
{
	(void)arg;
	if ((intptr_t)*item > 100)
		*item = (void *)((intptr_t)*item - 100);
	return 0;
}

TASK_TEST(test_items_that_are_taken_or_replaced_on_the_way)
{
	intptr_t made[2] = {0, 0}, even = 0;
	const hilo_stage stages[] = {
		{.fn = count_to_fifty, .arg = made},
		{.fn = take_large, .kind = HILO_STAGE_PARALLEL},
		{.fn = take_odd, .kind = HILO_STAGE_PARALLEL},
		{.fn = count_even, .arg = &even, .kind = HILO_STAGE_IN_ORDER},
	};

	TASK_CHECK(hilo_pipeline_run(stages, 4, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(even, ==, 50);
	return 0;
}

/* ---- figures ---- */

struct told {
	uint64_t last;
	unsigned calls;
	hilo_task *caller;
};

static void tell_progress(uint64_t items, void *arg)
{
	struct told *told = arg;

	TASK_CHECK(items, >=, told->last);
	TASK_CHECK(hilo_task_current(), ==, told->caller);
	told->last = items;
	told->calls++;
}

TASK_TEST(test_figures_and_progress)
{
	struct told told = {.caller = hilo_task_current()};
	struct work *work = work_new(usual, 50);
	hilo_stage_stats stats[STAGES];
	hilo_pipeline_opts opts = {
		.size = sizeof(opts), .in_flight = 6, .progress = tell_progress, .every = 1, .arg = &told};

	work->yields = true;
	for (unsigned s = 0; s < STAGES; s++) {
		stats[s] = (hilo_stage_stats){.size = sizeof(stats[s]), .items = 77};
		work->stages[s].stats = &stats[s];
	}
	TASK_CHECK(hilo_pipeline_run(work->stages, STAGES, &opts, HILO_FOREVER), ==, 0);
	for (unsigned s = 0; s < STAGES; s++) {
		TASK_CHECK(stats[s].items, ==, 50);
		TASK_CHECK(stats[s].busy, >, 0);
		TASK_CHECK(stats[s].most_queued, <, 6);
		TASK_CHECK(stats[s].waits >= stats[s].most_queued, ==, true);
		TASK_CHECK(stats[s].waited, >=, 0);
	}
	TASK_CHECK(stats[1].waits + (uint64_t)stats[1].waited, ==, 0);
	TASK_CHECK(told.last, ==, 50);
	TASK_CHECK(told.calls, >=, 1);
	free(work);
	return 0;
}

/* ---- misuse, and memory ---- */

TASK_TEST(test_misuse)
{
	intptr_t count = 0;
	hilo_stage_stats stats = {.size = 8};
	hilo_stage good = {.fn = count_to_three, .arg = &count}, bad[2];
	hilo_pipeline_opts opts = {.size = sizeof(opts), .in_flight = 65537};

	bad[0] = bad[1] = good;
	TASK_CHECK(hilo_pipeline_run(NULL, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_pipeline_run(bad, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_pipeline_run(bad, 65, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_pipeline_run(bad, 2, &opts, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_pipeline_opts){.size = sizeof(opts), .stack = 9};
	TASK_CHECK(hilo_pipeline_run(bad, 2, &opts, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_pipeline_opts){.size = sizeof(opts), .every = -1};
	TASK_CHECK(hilo_pipeline_run(bad, 2, &opts, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_pipeline_opts){.size = 8};
	TASK_CHECK(hilo_pipeline_run(bad, 2, &opts, HILO_FOREVER), ==, -EINVAL);
	bad[1].fn = NULL;
	TASK_CHECK(hilo_pipeline_run(bad, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_pipeline_run: stage 1 has no function");
	bad[1] = good;
	bad[1].kind = (enum hilo_stage_kind)3;
	TASK_CHECK(hilo_pipeline_run(bad, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	bad[1] = good;
	bad[1].flags = 2;
	TASK_CHECK(hilo_pipeline_run(bad, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	bad[1] = good;
	bad[1].most = 1;
	TASK_CHECK(hilo_pipeline_run(bad, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	bad[1] = good;
	bad[1].stats = &stats;
	TASK_CHECK(hilo_pipeline_run(bad, 2, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(count, ==, 0);
	return 0;
}

static void test_outside_of_a_task(void **state)
{
	hilo_stage stages[2] = {{.fn = take_item}, {.fn = take_item}};

	(void)state;
	assert_int_equal(hilo_pipeline_run(stages, 2, NULL, HILO_FOREVER), -EDEADLK);
}

/* Each request for memory in turn is refused, and all from there on: it does not begin, or loses nothing. */
TASK_TEST(test_out_of_memory)
{
	long calls = 1;

	for (int lasting = 0; lasting < 2; lasting++) {
		for (long n = 1; n <= calls; n++) {
			struct work *work = work_new(usual, 20);
			int rc;

			work->yields = true;
			hilo__mem_fail_at(n, lasting);
			rc = work_run(work, 4, HILO_FOREVER);
			calls = hilo__mem_calls();
			hilo__mem_fail_at(0, false);
			TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
			work_check(work, rc == 0 ? 20 : 0);
			free(work);
		}
	}
	return 0;
}

/* Pipelines in stages of pipelines. */
static int run_inner(void **item, void *arg)
{
	intptr_t count = 0;
	const hilo_stage stages[] = {{.fn = count_to_three, .arg = &count}, {.fn = take_item}};

	(void)item;
	(void)arg;
	return hilo_pipeline_run(stages, 2, NULL, HILO_FOREVER);
}

TASK_TEST(test_pipelines_in_stages)
{
	intptr_t count = 0;
	const hilo_stage stages[] = {{.fn = count_to_three, .arg = &count},
				     {.fn = run_inner, .kind = HILO_STAGE_PARALLEL},
				     {.fn = take_item}};
	hilo_pipeline_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_256K};

	TASK_CHECK(hilo_pipeline_run(stages, 3, &opts, HILO_FOREVER), ==, 0);
	return 0;
}

/* The runtime ends while it runs: all its tasks are cancelled, some of them before they have begun. */
static int leave_behind(void *arg)
{
	struct stopped *stopped = arg;

	(void)hilo_spawn(run_stopped, stopped);
	for (unsigned i = 0; i < stopped->in_flight * 3; i++)
		(void)hilo_yield();
	return 0;
}

static void test_a_runtime_ends_under_it(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(40); round++) {
		struct work *work = work_new(usual, 300);
		struct stopped stopped = {work, 1 + round % 8, HILO_FOREVER};

		work->yields = true;
		assert_int_equal(test_run(1 + round % 4, leave_behind, &stopped), 0);
		work_check(work, 0);
		free(work);
	}
}

/* Taken by the last stage, and not written: that is not the end of a pipeline that has done its work. */
static int makes_three(void **item, void *arg)
{
	unsigned *made = arg;

	*item = made;
	return (*made)++ < 3;
}

static int takes_and_waits(void **item, void *arg)
{
	(void)arg;
	*item = NULL;
	return hilo_sleep_until(HILO_FOREVER);
}

TASK_TEST(test_an_item_that_was_taken_and_given_up_is_told)
{
	unsigned made = 0;
	hilo_stage_stats stats = {.size = sizeof(stats)};
	const hilo_stage stages[] = {{.fn = makes_three, .arg = &made, .stats = &stats},
				     {.fn = takes_and_waits}};

	TASK_CHECK(hilo_pipeline_run(stages, 2, NULL, hilo_after(2 * HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(stats.items <= 3, ==, 1);
	return 0;
}

/* One call has said that there are no more, another one still waits for its item. */
static int ends_or_waits(void **item, void *arg)
{
	atomic(unsigned) *calls = arg;

	*item = arg;
	return add_relaxed(calls, 1) ? 0 : hilo_sleep_until(HILO_FOREVER);
}

static int takes(void **item, void *arg)
{
	(void)item;
	(void)arg;
	return 0;
}

TASK_TEST(test_an_item_that_was_never_made_is_told)
{
	atomic(unsigned) calls;
	const hilo_stage stages[] = {{.fn = ends_or_waits, .arg = &calls, .kind = HILO_STAGE_PARALLEL},
				     {.fn = takes}};

	atomic_setup(&calls, 0);
	TASK_CHECK(hilo_pipeline_run(stages, 2, NULL, hilo_after(2 * HILO_MILLISECOND)), ==, -ETIMEDOUT);
	return 0;
}

/* A message of an item before, which its stage has dealt with, is not that of the one that fails. */
static int fails_twice(void **item, void *arg)
{
	unsigned *made = *item;

	(void)arg;
	if (*made == 1)
		return hilo_fail(-ENOENT, "that of the first one") < 0 ? 0 : -EIO;
	return -ENOENT;
}

TASK_TEST(test_a_message_stays_with_its_item)
{
	unsigned made = 0;
	hilo_pipeline_opts opts = {.size = sizeof(opts), .in_flight = 1};
	const hilo_stage stages[] = {{.fn = makes_three, .arg = &made}, {.fn = fails_twice}};

	TASK_CHECK(hilo_pipeline_run(stages, 2, &opts, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(strstr(hilo_error_message(), "first one") == NULL, ==, 1);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_item_goes_through_each_stage_once),
		cmocka_unit_test(test_with_8_workers),
		cmocka_unit_test(test_any_sizes_with_any_workers),
		cmocka_unit_test(test_no_items_at_all),
		cmocka_unit_test(test_a_failure_of_each_item_in_each_stage),
		cmocka_unit_test(test_a_failure_cancels_what_comes_behind),
		cmocka_unit_test(test_the_first_item_that_fails_counts),
		cmocka_unit_test(test_a_cancel_while_each_stage_waits),
		cmocka_unit_test(test_a_cancel_at_any_moment),
		cmocka_unit_test(test_a_deadline_ends_it),
		cmocka_unit_test(test_who_is_cancelled_already_begins_nothing),
		cmocka_unit_test(test_blocking_stages),
		cmocka_unit_test(test_as_many_items_are_in_flight_as_asked_for),
		cmocka_unit_test(test_a_parallel_stage_with_a_limit),
		cmocka_unit_test(test_a_parallel_first_stage_fails_or_is_stopped),
		cmocka_unit_test(test_the_first_stage_leaves_no_item_at_the_end),
		cmocka_unit_test(test_items_that_are_taken_or_replaced_on_the_way),
		cmocka_unit_test(test_figures_and_progress),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_outside_of_a_task),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_pipelines_in_stages),
		cmocka_unit_test(test_a_runtime_ends_under_it),
		cmocka_unit_test(test_an_item_that_was_taken_and_given_up_is_told),
		cmocka_unit_test(test_an_item_that_was_never_made_is_told),
		cmocka_unit_test(test_a_message_stays_with_its_item),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
