/* SPDX-License-Identifier: MIT */
/* test_timer.c - the timer wheel against a model of it that is a plain array. Time is handed in. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/base/random.h"
#include "scheduler/timer.h"
#include "tests/support/test.h"

#define START (INT64_C(1000) * HILO_SECOND)
#define LOG_SIZE 4096

/* A timer and what the model knows of it. */
struct probe {
	struct timer timer;
	hilo_time when;
	uint64_t order; /* of arming */
	bool armed;
};

static struct timers wheel;
static struct probe *fired[LOG_SIZE];
static unsigned fired_count;
static uint64_t arm_count;

static void probe_fire(struct timer *timer)
{
	struct probe *probe = container_of(timer, struct probe, timer);

	assert_true(fired_count < LOG_SIZE);
	assert_true(load_relaxed(&timer->pending));
	fired[fired_count++] = probe;
}

static void probe_init(struct probe *probe)
{
	memset(probe, 0, sizeof(*probe));
	timer_init(&probe->timer, probe_fire);
}

static void probe_add(struct probe *probe, hilo_time when)
{
	probe->when = when;
	probe->order = arm_count++;
	probe->armed = true;
	hilo__timer_add(&wheel, &probe->timer, when);
}

static unsigned expire(hilo_time now, unsigned max)
{
	fired_count = 0;
	return hilo__timers_expire(&wheel, now, max);
}

static int setup(void **state)
{
	(void)state;
	hilo__timers_init(&wheel, START);
	fired_count = 0;
	return 0;
}

static void test_timers_empty_has_no_deadline(void **state)
{
	(void)state;
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER);
	assert_int_equal(hilo__timers_settle(&wheel), HILO_FOREVER);
	assert_int_equal(expire(START + HILO_MINUTE, 10), 0);
	assert_int_equal(hilo__timers_try_expire(&wheel, START + HILO_MINUTE, 10), 0);
}

static void test_timer_fires_at_its_deadline_and_not_before(void **state)
{
	struct probe probe;

	(void)state;
	probe_init(&probe);
	probe_add(&probe, START + 12345);
	assert_int_equal(hilo__timers_next(&wheel), START + 12345);
	assert_int_equal(expire(START + 12344, 10), 0);
	assert_int_equal(hilo__timers_next(&wheel), START + 12345);
	assert_int_equal(expire(START + 12345, 10), 1);
	assert_ptr_equal(fired[0], &probe);
	assert_false(hilo__timer_del(&wheel, &probe.timer));
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER);
}

static void test_timer_of_the_past_fires_at_once_in_order(void **state)
{
	static const hilo_time back[] = {5, 9, 1, 9, 0, 5, 7, 3, 3, 8};
	struct probe probe[array_size(back)];

	(void)state;
	assert_int_equal(expire(START + 1000, 10), 0);
	for (unsigned i = 0; i < array_size(back); i++) {
		probe_init(&probe[i]);
		probe_add(&probe[i], START - back[i]);
	}
	assert_true(hilo__timers_next(&wheel) == START - 9);
	assert_int_equal(expire(START + 1000, 100), array_size(back));
	for (unsigned i = 1; i < array_size(back); i++) {
		assert_true(fired[i - 1]->when <= fired[i]->when);
		if (fired[i - 1]->when == fired[i]->when)
			assert_true(fired[i - 1]->order < fired[i]->order);
	}
}

static void test_timer_del_answers_whether_it_was_armed(void **state)
{
	struct probe one, two;

	(void)state;
	probe_init(&one);
	probe_init(&two);
	assert_false(hilo__timer_del(&wheel, &one.timer));
	probe_add(&one, START + 10);
	probe_add(&two, START + 10);
	assert_true(hilo__timer_del(&wheel, &one.timer));
	assert_false(hilo__timer_del(&wheel, &one.timer));
	assert_int_equal(expire(START + 10, 10), 1);
	assert_ptr_equal(fired[0], &two);
	assert_false(hilo__timer_del(&wheel, &two.timer));
	probe_add(&one, START - 1);
	assert_true(hilo__timer_del(&wheel, &one.timer));
	assert_int_equal(expire(START + HILO_SECOND, 10), 0);
}

static void test_timer_del_of_the_earliest_is_repaired_by_settle(void **state)
{
	struct probe one, two;

	(void)state;
	probe_init(&one);
	probe_init(&two);
	probe_add(&one, START + HILO_SECOND);
	probe_add(&two, START + HILO_MINUTE);
	assert_true(hilo__timer_del(&wheel, &one.timer));
	assert_true(hilo__timers_next(&wheel) <= START + HILO_MINUTE);
	assert_int_equal(hilo__timers_settle(&wheel), START + HILO_MINUTE);
	assert_int_equal(hilo__timers_next(&wheel), START + HILO_MINUTE);
	assert_true(hilo__timer_del(&wheel, &two.timer));
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER);
}

static void test_timer_move_rearms(void **state)
{
	struct probe probe;

	(void)state;
	probe_init(&probe);
	assert_false(hilo__timer_move(&wheel, &probe.timer, START + 100));
	assert_true(hilo__timer_move(&wheel, &probe.timer, START + HILO_SECOND));
	assert_int_equal(hilo__timers_next(&wheel), START + HILO_SECOND);
	assert_int_equal(expire(START + 100, 10), 0);
	assert_true(hilo__timer_move(&wheel, &probe.timer, START + 200));
	assert_int_equal(expire(START + 200, 10), 1);
	assert_false(hilo__timer_move(&wheel, &probe.timer, START + 300));
	assert_int_equal(expire(START + 300, 10), 1);
}

static void test_timer_levels_meet_without_a_gap(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 63; shift++) {
		for (int offset = -2; offset <= 2; offset++) {
			hilo_time now = START + (hilo_time)shift * 977;
			hilo_time when = (hilo_time)((uint64_t)now + (UINT64_C(1) << shift)) + offset;
			struct probe probe;

			if (when <= now)
				continue;
			hilo__timers_init(&wheel, now);
			probe_init(&probe);
			probe_add(&probe, when);
			assert_int_equal(hilo__timers_next(&wheel), when);
			assert_int_equal(expire(when - 1, 10), 0);
			assert_int_equal(hilo__timers_next(&wheel), when);
			assert_int_equal(expire(when, 10), 1);
		}
	}
}

static void test_timer_of_the_far_future_stays(void **state)
{
	struct probe forever, last;

	(void)state;
	probe_init(&forever);
	probe_init(&last);
	probe_add(&forever, HILO_FOREVER);
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER);
	probe_add(&last, HILO_FOREVER - 1);
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER - 1);
	for (unsigned shift = 41; shift < 63; shift++)
		assert_int_equal(expire(INT64_C(1) << shift, 10), 0);
	assert_int_equal(expire(HILO_FOREVER - 2, 10), 0);
	assert_int_equal(expire(HILO_FOREVER - 1, 10), 1);
	assert_ptr_equal(fired[0], &last);
	assert_true(hilo__timer_del(&wheel, &forever.timer));
}

static void test_timers_of_one_deadline_fire_as_armed(void **state)
{
	const hilo_time when = START + 3 * HILO_SECOND;
	static struct probe probe[300];

	(void)state;
	/* Armed at ever shorter distance, hence on ever lower levels; others around to make them move. */
	for (unsigned i = 0; i < array_size(probe); i++) {
		probe_init(&probe[i]);
		probe_add(&probe[i], i % 3 ? when : when + 1 + i % 7 * 100000);
		if (i % 10 == 9)
			assert_int_equal(expire(when - (when - START) / (2 + i * i), 10), 0);
	}
	assert_int_equal(expire(when, 1000), 200);
	for (unsigned i = 1; i < fired_count; i++)
		assert_true(fired[i - 1]->order < fired[i]->order);
	assert_int_equal(expire(when + HILO_SECOND, 1000), 100);
}

static void test_timers_expire_fires_at_most_max(void **state)
{
	static struct probe probe[100];

	(void)state;
	for (unsigned i = 0; i < array_size(probe); i++) {
		probe_init(&probe[i]);
		probe_add(&probe[i], START + 1000 + (i * 37) % 100);
	}
	assert_int_equal(expire(START + 5000, 0), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(expire(START + 5000, 25), 25);
		assert_int_equal(fired[0]->when, START + 1000 + i * 25);
		assert_true(hilo__timers_next(&wheel) <= START + 1000 + (i + 1) * 25 || i == 3);
	}
	assert_int_equal(expire(START + 5000, 25), 0);
	assert_int_equal(hilo__timers_next(&wheel), HILO_FOREVER);
}

static void test_timers_try_expire_leaves_a_locked_wheel_alone(void **state)
{
	struct probe probe;

	(void)state;
	probe_init(&probe);
	probe_add(&probe, START + 1);
	spin_lock(&wheel.lock);
	assert_int_equal(hilo__timers_try_expire(&wheel, START + 1, 10), 0);
	spin_unlock(&wheel.lock);
	assert_int_equal(hilo__timers_try_expire(&wheel, START, 10), 0);
	assert_int_equal(hilo__timers_try_expire(&wheel, START + 1, 10), 1);
}

/* An owner that does nothing but sleep until the wheel says so wakes seldom, and never late. */
static void test_timers_sleeper_wakes_seldom(void **state)
{
	static struct probe probe[1000];
	hilo_time now = START;
	unsigned wakes = 0, total = 0;

	(void)state;
	for (unsigned i = 0; i < array_size(probe); i++) {
		probe_init(&probe[i]);
		probe_add(&probe[i], START + HILO_MINUTE + i);
	}
	while (hilo__timers_settle(&wheel) != HILO_FOREVER) {
		assert_true(hilo__timers_next(&wheel) >= now);
		now = hilo__timers_next(&wheel);
		wakes++;
		total += expire(now, 10000);
		for (unsigned i = 0; i < fired_count; i++)
			assert_int_equal(fired[i]->when, now);
	}
	assert_int_equal(total, array_size(probe));
	assert_true(wakes <= array_size(probe) + TIMER_LEVELS);
}

static atomic(bool) meddle, meddling;

static void *meddler_main(void *arg)
{
	while (load_relaxed(&meddle)) {
		spin_lock(&wheel.lock);
		store_release(&meddling, true); /* pairs with spill_halfway */
		for (int i = 0; i < 20; i++)
			cpu_relax();
		spin_unlock(&wheel.lock);
		sched_yield();
	}
	return arg;
}

static bool spill_is_empty(void)
{
	for (unsigned i = 0; i < TIMER_LANES; i++)
		if (!list_empty(&wheel.spill[i]))
			return false;
	return true;
}

/* A crowd in one slot, of which try_expire could deal out only a part because the lock was taken. */
static bool spill_halfway(struct probe *crowd, unsigned n, hilo_time when)
{
	struct probe bait; /* makes the wheel look */
	pthread_t thread;

	probe_init(&bait);
	probe_add(&bait, START + 1);
	for (unsigned i = 0; i < n; i++) {
		probe_init(&crowd[i]);
		probe_add(&crowd[i], when);
	}
	store_relaxed(&meddling, false);
	store_relaxed(&meddle, true);
	assert_int_equal(pthread_create(&thread, NULL, meddler_main, NULL), 0);
	while (!load_acquire(&meddling)) /* pairs with meddler_main */
		sched_yield();
	fired_count = 0;
	for (int i = 0; i < 100 && hilo__timers_next(&wheel) < when && spill_is_empty(); i++)
		if (!hilo__timers_try_expire(&wheel, when - 2, UINT32_MAX))
			sched_yield();
	store_relaxed(&meddle, false);
	pthread_join(thread, NULL);
	return !spill_is_empty();
}

static void test_timer_armed_while_its_slot_is_dealt_out_fires_after_the_elder(void **state)
{
	const hilo_time when = START + HILO_SECOND;
	static struct probe crowd[2000];
	struct probe late, soon;
	bool halfway = false;

	(void)state;
	for (unsigned i = 0; i < 200 && !halfway; i++) {
		hilo__timers_init(&wheel, START);
		halfway = spill_halfway(crowd, array_size(crowd), when);
	}
	if (!halfway)
		TEST_SKIP("every try dealt the slot out at once");
	probe_init(&late);
	probe_init(&soon);
	probe_add(&late, when);
	probe_add(&soon, when - 1);
	assert_int_equal(expire(when, UINT32_MAX), array_size(crowd) + 2);
	assert_ptr_equal(fired[0], &soon);
	for (unsigned i = 0; i < array_size(crowd); i++)
		assert_ptr_equal(fired[i + 1], &crowd[i]);
	assert_ptr_equal(fired[array_size(crowd) + 1], &late);
}

/* The model: the earliest deadline, and which armed timer fires next. */
static struct probe *model_first(struct probe *probe, unsigned n)
{
	struct probe *first = NULL;

	for (unsigned i = 0; i < n; i++)
		if (probe[i].armed && (!first || probe[i].when < first->when ||
				       (probe[i].when == first->when && probe[i].order < first->order)))
			first = &probe[i];
	return first;
}

static void model_expire(struct probe *probe, unsigned n, hilo_time now, unsigned max)
{
	unsigned count = expire(now, max);

	assert_int_equal(count, fired_count);
	for (unsigned i = 0; i < fired_count; i++) {
		struct probe *first = model_first(probe, n);

		assert_ptr_equal(fired[i], first);
		assert_true(first->when <= now);
		assert_false(hilo__timer_del(&wheel, &first->timer));
		first->armed = false;
	}
	if (count < max && model_first(probe, n))
		assert_true(model_first(probe, n)->when > now);
}

static void model_check_next(struct probe *probe, unsigned n, bool settle)
{
	struct probe *first = model_first(probe, n);
	hilo_time earliest = first ? first->when : HILO_FOREVER;

	assert_true(hilo__timers_next(&wheel) <= earliest);
	if (!settle)
		return;
	/* Too few to be taken for a crowd: exact. */
	if (n <= TIMER_LOOK)
		assert_int_equal(hilo__timers_settle(&wheel), earliest);
	else
		assert_true(hilo__timers_settle(&wheel) <= earliest);
}

/* A distance: mostly near, sometimes anywhere, seldom behind. */
static hilo_time model_distance(struct random *random)
{
	unsigned bits = random_below(random, random_below(random, 16) ? 36 : 62);
	hilo_time distance = (hilo_time)(random_u64(random) & ((UINT64_C(1) << bits) - 1));

	if (random_below(random, 4) == 0)
		distance &= ~INT64_C(0xfff);
	return random_below(random, 8) == 0 ? -(distance % 100000) : distance;
}

static void model_run(unsigned n, unsigned steps, uint64_t seed)
{
	struct probe *probe = calloc(n, sizeof(*probe));
	hilo_time now = START;
	struct random random;

	random_init(&random, seed, n);
	hilo__timers_init(&wheel, now);
	for (unsigned i = 0; i < n; i++)
		probe_init(&probe[i]);
	for (unsigned step = 0; step < steps; step++) {
		struct probe *one = &probe[random_below(&random, n)];
		unsigned what = random_below(&random, 16);

		if (what < 2) {
			hilo_time ahead = model_distance(&random);

			if (now < HILO_FOREVER / 2)
				now += ahead < 0 ? 0 : ahead;
			/* A thread with an older look at the clock. */
			model_expire(probe, n, what ? now : now - random_below(&random, 1000),
				     random_below(&random, 4) ? UINT32_MAX : random_below(&random, 8));
		} else if (what < 5) {
			assert_int_equal(hilo__timer_del(&wheel, &one->timer), one->armed);
			one->armed = false;
		} else if (what < 7) {
			bool armed = one->armed;

			one->when = now + model_distance(&random);
			one->order = arm_count++;
			one->armed = true;
			assert_int_equal(hilo__timer_move(&wheel, &one->timer, one->when), armed);
		} else if (!one->armed) {
			probe_add(one, now + model_distance(&random));
		}
		model_check_next(probe, n, random_below(&random, 3) == 0);
	}
	while (model_first(probe, n))
		model_expire(probe, n, model_first(probe, n)->when, UINT32_MAX);
	free(probe);
}

static void test_timers_do_what_the_model_does(void **state)
{
	uint64_t seed = test_seed();

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		model_run(1, 500, seed + round);
		model_run(TIMER_LOOK, 2000, seed + round);
		model_run(7, 2000, seed + round);
		model_run(TIMER_BATCH, 4000, seed + round);
		model_run(300, 4000, seed + round);
	}
	model_run(2000, 6000, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_timers_empty_has_no_deadline, setup),
		cmocka_unit_test_setup(test_timer_fires_at_its_deadline_and_not_before, setup),
		cmocka_unit_test_setup(test_timer_of_the_past_fires_at_once_in_order, setup),
		cmocka_unit_test_setup(test_timer_del_answers_whether_it_was_armed, setup),
		cmocka_unit_test_setup(test_timer_del_of_the_earliest_is_repaired_by_settle, setup),
		cmocka_unit_test_setup(test_timer_move_rearms, setup),
		cmocka_unit_test_setup(test_timer_levels_meet_without_a_gap, setup),
		cmocka_unit_test_setup(test_timer_of_the_far_future_stays, setup),
		cmocka_unit_test_setup(test_timers_of_one_deadline_fire_as_armed, setup),
		cmocka_unit_test_setup(test_timers_expire_fires_at_most_max, setup),
		cmocka_unit_test_setup(test_timers_try_expire_leaves_a_locked_wheel_alone, setup),
		cmocka_unit_test_setup(test_timers_sleeper_wakes_seldom, setup),
		cmocka_unit_test_setup(test_timer_armed_while_its_slot_is_dealt_out_fires_after_the_elder,
				       setup),
		cmocka_unit_test_setup(test_timers_do_what_the_model_does, setup),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
