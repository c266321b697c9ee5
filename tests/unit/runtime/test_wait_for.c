/* SPDX-License-Identifier: MIT */
/*
 * A task within a limit, whose caller is cancelled: its result, the end of the time and the request come at moments
 * that are drawn by lot. Moments are few, so that two or three are often the same one, and virtual, so that they
 * really are.
 */
#include "tests/support/simulate.h"

#include <errno.h>
#include <limits.h>

#define MOMENTS 4
#define NEVER INT_MIN

static struct {
	hilo_time work, limit, cancel;
	int code;   /* of the task, if its work is done, or if it takes no notice of a cancel */
	bool keeps; /* it takes none */
	int ended;  /* what the task has returned; NEVER: it has not begun */
	bool asked; /* the caller was asked to stop */
	hilo_task *caller;
} race;

static int task_main(void *arg)
{
	int rc = hilo_sleep_until(race.work);

	(void)arg;
	race.ended = rc == 0 || race.keeps ? race.code : rc;
	return race.ended;
}

/* What it may come to, by what has happened. */
static void check_code(int rc)
{
	if (race.ended == race.code) {
		TASK_CHECK(rc, ==, race.code); /* a result is never lost */
		return;
	}
	TASK_CHECK(race.ended == NEVER || race.ended == -ECANCELED, ==, 1);
	if (rc == -ETIMEDOUT)
		TASK_CHECK(hilo_now(), >=, race.limit);
	else
		TASK_CHECK(rc == -ECANCELED && race.asked, ==, 1);
}

static int caller_main(void *arg)
{
	int rc = hilo_wait_for(task_main, NULL, race.limit);
	bool asked = race.asked;

	(void)arg;
	check_code(rc);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, asked);
	TASK_CHECK(hilo_yield(), ==, asked ? -ECANCELED : 0); /* nor is a request */
	return 0;
}

static int canceller_main(void *arg)
{
	(void)arg;
	TASK_CHECK(hilo_sleep_until(race.cancel), ==, 0);
	race.asked = hilo_task_cancel(race.caller) == 0;
	return 0;
}

static int race_main(void *arg)
{
	hilo_time base = hilo_after(HILO_MILLISECOND);
	struct random random;
	hilo_task *canceller;

	random_init(&random, *(uint64_t *)arg, 0);
	race.work = base + random_below(&random, MOMENTS) * HILO_MICROSECOND;
	race.limit = base + random_below(&random, MOMENTS) * HILO_MICROSECOND;
	race.cancel = base + random_below(&random, MOMENTS) * HILO_MICROSECOND;
	race.code = random_below(&random, 2) ? 7 : -EPROTO;
	race.keeps = random_below(&random, 4) == 0;
	race.ended = NEVER;
	race.asked = false;
	race.caller = hilo_spawn(caller_main, NULL);
	canceller = hilo_spawn(canceller_main, NULL);
	(void)hilo_await(race.caller, HILO_FOREVER);
	TASK_CHECK(hilo_join(canceller, HILO_FOREVER), ==, 0);
	hilo_task_unref(race.caller);
	return 0;
}

static void test_wait_for_loses_neither_a_result_nor_a_request(void **state)
{
	uint64_t seed = test_seed();

	(void)state;
	for (unsigned i = 0; i < test_rounds(1000); i++, seed++)
		assert_int_equal(test_simulate(seed, race_main, &seed), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_for_loses_neither_a_result_nor_a_request),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
