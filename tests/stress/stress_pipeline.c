/* SPDX-License-Identifier: MIT */
/*
 * Pipelines by lot, several at the same time: sizes, kinds, limits, stages that yield, sleep, block, lock and fail,
 * callers that are cancelled. Each item is taken or dropped, once; order and limits hold; the failure is that of the
 * first item that fails.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>

#include <hilo/runtime/pipeline.h>

#define STAGES_MOST 6
#ifdef HILO__TSAN
#define ITEMS 60 /* each runner is a fiber there */
#define AT_ONCE 3
#else
#define ITEMS 400
#define AT_ONCE 6
#endif

struct plan;

struct stage_plan {
	struct plan *plan;
	unsigned stage;
	atomic(int) inside;
	uint32_t next;
};

struct plan {
	uint64_t seed;
	unsigned stages, in_flight;
	uint32_t items, made, fails;
	unsigned fails_in;
	hilo_stage stage[STAGES_MOST];
	struct stage_plan args[STAGES_MOST];
	atomic(uint32_t) ended[ITEMS]; /* taken: 1; dropped: 16 */
	hilo_mutex *mutex;
};

static unsigned lot(const struct plan *plan, uint64_t n, unsigned of)
{
	return (unsigned)(random_mix(plan->seed ^ n * UINT64_C(0x9e3779b97f4a7c15)) % of);
}

static int do_something(struct plan *plan, unsigned stage, uint32_t number)
{
	int rc = 0;

	if (plan->stage[stage].flags & HILO_STAGE_BLOCKING)
		return 0;
	switch (lot(plan, number * 16u + stage, 40)) {
	case 0:
	case 1:
		rc = hilo_yield();
		break;
	case 2:
		rc = hilo_sleep(20 * HILO_MICROSECOND);
		break;
	case 3:
		rc = hilo_mutex_lock(plan->mutex, HILO_FOREVER);
		if (rc == 0) {
			(void)hilo_yield();
			TASK_CHECK(hilo_mutex_unlock(plan->mutex), ==, 0);
		}
		break;
	}
	return rc;
}

static int do_stage(struct stage_plan *at, uint32_t number)
{
	struct plan *plan = at->plan;
	const hilo_stage *stage = &plan->stage[at->stage];
	int inside = add_acq_rel(&at->inside, 1) + 1, rc;

	if (stage->kind != HILO_STAGE_PARALLEL)
		TASK_CHECK(inside, ==, 1);
	else if (stage->most)
		TASK_CHECK(inside, <=, stage->most);
	if (stage->kind == HILO_STAGE_IN_ORDER)
		TASK_CHECK(number, ==, at->next++);
	rc = do_something(plan, at->stage, number);
	(void)sub_acq_rel(&at->inside, 1);
	if (rc == 0 && number == plan->fails && at->stage == plan->fails_in)
		return hilo_fail(-EBADF, "planned");
	/* There is one more failure behind, which must not be told, whichever comes first. */
	if (rc == 0 && number == plan->fails + 3 && at->stage == 1)
		return hilo_fail(-EIO, "behind");
	return rc;
}

static int make(void **item, void *arg)
{
	struct stage_plan *at = arg;
	struct plan *plan = at->plan;
	int rc;

	if (plan->made == plan->items)
		return 0;
	rc = do_stage(at, plan->made);
	if (rc < 0)
		return rc;
	*item = (void *)(uintptr_t)++plan->made;
	return 1;
}

static int pass(void **item, void *arg)
{
	struct stage_plan *at = arg;
	uint32_t number = (uint32_t)(uintptr_t)*item - 1;
	int rc = do_stage(at, number);

	if (rc == 0 && at->stage == at->plan->stages - 1)
		(void)add_relaxed(&at->plan->ended[number], 1);
	return rc;
}

static void drop(void *item, void *arg)
{
	struct plan *plan = arg;

	(void)add_relaxed(&plan->ended[(uintptr_t)item - 1], 16);
}

static void plan_make(struct plan *plan)
{
	plan->stages = 2 + lot(plan, 1, STAGES_MOST - 1);
	plan->in_flight = 1 + lot(plan, 2, lot(plan, 9, 4) ? 20 : 2 * ITEMS);
	plan->items = lot(plan, 8, lot(plan, 9, 4) ? ITEMS + 1 : 4);
	plan->fails = lot(plan, 3, 3) ? UINT32_MAX - 3 : lot(plan, 4, plan->items + 1);
	plan->fails_in = lot(plan, 5, plan->stages);
	for (unsigned i = 0; i < plan->stages; i++) {
		hilo_stage *stage = &plan->stage[i];

		plan->args[i].plan = plan;
		plan->args[i].stage = i;
		*stage = (hilo_stage){.fn = i ? pass : make, .arg = &plan->args[i]};
		stage->kind = (enum hilo_stage_kind)lot(plan, 10 + i, i ? 3 : 2);
		if (stage->kind == HILO_STAGE_PARALLEL)
			stage->most = lot(plan, 20 + i, 4);
		if (lot(plan, 30 + i, 12) == 0)
			stage->flags = HILO_STAGE_BLOCKING;
	}
}

static int run_plan(void *arg)
{
	struct plan *plan = arg;
	hilo_pipeline_opts opts = {
		.size = sizeof(opts), .in_flight = plan->in_flight, .drop = drop, .arg = plan};

	return hilo_pipeline_run(plan->stage, plan->stages, &opts, HILO_FOREVER);
}

/* Who is cancelled stops all items: a failure that was known by then counts, whatever might have come before it. */
static void plan_check(struct plan *plan, int rc, bool cancelled)
{
	uint32_t through = rc == 0 ? plan->items : cancelled ? 0 : plan->fails;

	if (cancelled)
		TASK_CHECK(rc == 0 || rc == -ECANCELED ||
				   (plan->fails < plan->items && (rc == -EBADF || rc == -EIO)),
			   ==, true);
	else
		TASK_CHECK(rc, ==, plan->fails < plan->items ? -EBADF : 0);
	for (uint32_t i = 0; i < plan->made; i++) {
		uint32_t ended = load_relaxed(&plan->ended[i]);

		TASK_CHECK(ended == 1 || (ended == 16 && i >= through), ==, true);
	}
	for (uint32_t i = plan->made; i < ITEMS; i++)
		TASK_CHECK(load_relaxed(&plan->ended[i]), ==, 0);
}

static int pipeline_main(void *arg)
{
	uint64_t round = (uintptr_t)arg;
	struct plan *plan[AT_ONCE];
	hilo_task *task[AT_ONCE];
	hilo_mutex mutex = HILO_MUTEX_INIT;
	bool cancelled[AT_ONCE];

	for (unsigned i = 0; i < AT_ONCE; i++) {
		plan[i] = calloc(1, sizeof(*plan[i]));
		plan[i]->seed = random_mix(test_seed() ^ (round * AT_ONCE + i));
		plan[i]->mutex = &mutex;
		plan_make(plan[i]);
		task[i] = hilo_spawn(run_plan, plan[i]);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		cancelled[i] = lot(plan[i], 6, 4) == 0;
		for (unsigned n = lot(plan[i], 7, 200); cancelled[i] && n > 0; n--)
			(void)hilo_yield();
		if (cancelled[i])
			(void)hilo_task_cancel(task[i]);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		plan_check(plan[i], hilo_join(task[i], HILO_FOREVER), cancelled[i]);
		free(plan[i]);
	}
	TASK_CHECK(hilo_mutex_destroy(&mutex), ==, 0);
	return 0;
}

static void test_pipelines_by_lot(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (unsigned round = 0; round < 10 * test_scale(); round++)
		for (size_t i = 0; i < array_size(workers); i++)
			assert_int_equal(
				test_run(workers[i], pipeline_main, (void *)(uintptr_t)(round * 4 + i)), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_pipelines_by_lot)};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
