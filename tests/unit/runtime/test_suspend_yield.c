/* SPDX-License-Identifier: MIT */
/*
 * hilo_sleep, hilo_sleep_until, hilo_yield and hilo_checkpoint in the cases of test_suspend.c: these calls
 * wait for nothing but time, or for their turn. Whether a task has left its worker is told by the number
 * of runs that the worker has given to tasks: nobody else changes it while the task stays.
 */
#include "tests/support/test.h"

#include <errno.h>

/* Where a task is, and how many runs its worker has begun. */
struct place {
	hilo_loop *loop;
	uint64_t runs;
};

static struct place place_now(void)
{
	hilo_worker_stats stats = {.size = sizeof(stats)};
	struct place place = {.loop = hilo_loop_current()};

	TASK_CHECK(hilo_runtime_get_stats(hilo_runtime_current(), hilo_loop_index(place.loop), &stats), ==,
		   0);
	place.runs = stats.switches;
	return place;
}

static bool has_left(struct place before)
{
	struct place now = place_now();

	return now.loop != before.loop || now.runs != before.runs;
}

/* A call that needs no more than its argument. */
struct call_kind {
	int (*call)(hilo_time);
	bool sleeps; /* until a time that is given */
	bool leaves; /* each time, if it is not cancelled */
};

static int call_sleep(hilo_time until)
{
	hilo_time span = until == HILO_FOREVER ? HILO_FOREVER : until - hilo_now();

	return hilo_sleep(span);
}

static int call_yield(hilo_time until)
{
	(void)until;
	return hilo_yield();
}

static int call_checkpoint(hilo_time until)
{
	(void)until;
	return hilo_checkpoint();
}

static const struct call_kind kinds[] = {
	{call_sleep, true, true},
	{hilo_sleep_until, true, false}, /* not for a time that has passed */
	{call_yield, false, true},
	{call_checkpoint, false, false},
};

#define FOR_EACH_KIND(kind)                                                                                  \
	for (const struct call_kind *kind = kinds; kind < kinds + array_size(kinds); kind++)

/* A budget is for so many runs at most: worker.c. */
#define BUDGET_MOST 61

TASK_TEST(test_immediate)
{
	static const hilo_time past[] = {INT64_MIN / 2, -1, 0, 1};

	FOR_EACH_KIND(kind)
	{
		for (size_t i = 0; i < array_size(past); i++) {
			struct place before = place_now();

			TASK_CHECK(kind->call(past[i]), ==, 0);
			if (kind->leaves)
				TASK_CHECK(has_left(before), ==, 1);
			else if (kind->sleeps)
				TASK_CHECK(has_left(before), ==, 0);
		}
	}
	return 0;
}

/* Those that sleep: never less. Those that yield: others get the worker meanwhile. */
TASK_TEST(test_waited)
{
	struct place before;
	unsigned checkpoints = 0;

	FOR_EACH_KIND(kind)
	{
		for (int i = 0; i < 5 && kind->sleeps; i++) {
			hilo_time until = hilo_now() + i * 200 * HILO_MICROSECOND;

			TASK_CHECK(kind->call(until), ==, 0);
			TASK_CHECK(hilo_now(), >=, until);
		}
	}
	for (before = place_now(); !has_left(before); checkpoints++)
		TASK_CHECK(hilo_checkpoint(), ==, 0);
	TASK_CHECK(checkpoints, <=, BUDGET_MOST + 1);
	return 0;
}

static int set_flag(void *arg)
{
	store_release((test_flag *)arg, 1);
	return 0;
}

/* On one worker, which nobody can take the other task from. */
static int others_run_main(void *arg)
{
	const struct call_kind *kind = arg;
	test_flag flag;
	hilo_task *other;

	atomic_setup(&flag, 0);
	other = hilo_spawn(set_flag, &flag);
	while (!load_acquire(&flag))
		TASK_CHECK(kind->call(0), ==, 0);
	return hilo_join(other, HILO_FOREVER);
}

static void test_others_run_meanwhile(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
	{
		if (kind->leaves || !kind->sleeps)
			assert_int_equal(test_run(1, others_run_main, (void *)(uintptr_t)kind), 0);
	}
}

/* A cancel that is set at entry wins: the call does not leave its worker, and says so again and again. */
static int cancelled_main(void *arg)
{
	const struct call_kind *kind = arg;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	for (int i = 0; i < 2 * BUDGET_MOST; i++) {
		struct place before = place_now();

		TASK_CHECK(kind->call(i & 1 ? 0 : HILO_FOREVER), ==, -ECANCELED);
		TASK_CHECK(has_left(before), ==, 0);
	}
	/* A shield hides it, uncancel takes it back. */
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(kind->call(0), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	TASK_CHECK(kind->call(0), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(kind->call(0), ==, 0);
	return 1;
}

TASK_TEST(test_cancel_at_entry)
{
	FOR_EACH_KIND(kind)
	{
		hilo_task *task = hilo_spawn(cancelled_main, (void *)(uintptr_t)kind);

		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	}
	return 0;
}

struct sleeper {
	const struct call_kind *kind;
	hilo_time until;
	test_flag started;
	int result;
};

static int sleeper_main(void *arg)
{
	struct sleeper *sleeper = arg;

	store_release(&sleeper->started, 1);
	sleeper->result = sleeper->kind->call(sleeper->until);
	if (sleeper->result == 0)
		TASK_CHECK(hilo_now(), >=, sleeper->until);
	return 1;
}

TASK_TEST(test_cancel)
{
	FOR_EACH_KIND(kind)
	{
		struct sleeper sleeper = {.kind = kind, .until = HILO_FOREVER};
		hilo_task *task;

		if (!kind->sleeps)
			continue;
		task = hilo_spawn(sleeper_main, &sleeper);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		TASK_CHECK(sleeper.result, ==, -ECANCELED);
	}
	return 0;
}

TASK_TEST(test_a_cancel_races_the_end_of_a_sleep)
{
	struct random random;

	random_init(&random, test_seed(), 0);
	for (unsigned round = 0; round < test_rounds(200); round++) {
		struct sleeper sleeper = {.kind = &kinds[round & 1]};
		hilo_time early = (hilo_time)random_below(&random, 20) * HILO_MICROSECOND;
		hilo_task *task;
		int rc;

		sleeper.until = hilo_after((hilo_time)random_below(&random, 300) * HILO_MICROSECOND);
		task = hilo_spawn(sleeper_main, &sleeper);
		TEST_UNTIL(load_acquire(&sleeper.started));
		TEST_UNTIL(hilo_now() >= sleeper.until - early);
		rc = hilo_task_cancel(task);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		if (rc == -EALREADY)
			TASK_CHECK(sleeper.result, ==, 0);
		else
			TASK_CHECK(rc == 0 && (sleeper.result == 0 || sleeper.result == -ECANCELED), ==, 1);
	}
	return 0;
}

/* Until it is told: a cancel that comes while it has left its worker is seen by the next call. */
static int until_cancelled_main(void *arg)
{
	struct sleeper *sleeper = arg;

	store_release(&sleeper->started, 1);
	do
		sleeper->result = sleeper->kind->call(0);
	while (sleeper->result == 0);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 1);
	return 1;
}

TASK_TEST(test_a_cancel_races_a_yield)
{
	for (unsigned round = 0; round < test_rounds(200); round++) {
		struct sleeper sleeper = {.kind = &kinds[2 + (round & 1)]};
		hilo_task *task = hilo_spawn(until_cancelled_main, &sleeper);

		TEST_UNTIL(load_acquire(&sleeper.started));
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
		TASK_CHECK(sleeper.result, ==, -ECANCELED);
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_immediate),
		cmocka_unit_test(test_waited),
		cmocka_unit_test(test_others_run_meanwhile),
		cmocka_unit_test(test_cancel_at_entry),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_a_cancel_races_the_end_of_a_sleep),
		cmocka_unit_test(test_a_cancel_races_a_yield),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
