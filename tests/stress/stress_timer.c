/* SPDX-License-Identifier: MIT */
/*
 * stress_timer.c - four threads arm, move and disarm timers that lie on their stacks, two more expire,
 * one of them as a thief. Checked: each timer fires as often as del and move say, never before its
 * deadline, equal deadlines of one thread in the order of arming, and that nobody touches a node after
 * del has returned. HILO_TEST_SCALE multiplies the number of rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/random.h"
#include "scheduler/timer.h"
#include "tests/support/test.h"

#define ARMERS 4
#define BATCH 64
#define ROUNDS 200

#define CHECK(x)                                                                                             \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			HILO__PANIC("check failed: %s", #x);                                                 \
	} while (0)

struct probe {
	struct timer timer;
	uint64_t order;
	unsigned thread;
	atomic(unsigned) fired;
};

/* What fired last of each thread; under the wheel's lock. */
static struct {
	hilo_time when;
	uint64_t order;
} last[ARMERS];

static struct timers wheel;
static atomic(bool) stop;
static atomic(unsigned long) total_fired, total_deleted;
static uint64_t seed;
static unsigned rounds = ROUNDS;

static void probe_fire(struct timer *timer)
{
	struct probe *probe = container_of(timer, struct probe, timer);
	unsigned thread = probe->thread;

	CHECK(timer->when <= hilo__clock_now());
	if (last[thread].when == timer->when)
		CHECK(last[thread].order < probe->order);
	last[thread].when = timer->when;
	last[thread].order = probe->order;
	(void)add_relaxed(&probe->fired, 1);
}

/* Arm it again, at once and for later. Returns how often it has fired before it was armed last. */
static unsigned probe_rearm(struct probe *probe, struct random *random, uint64_t *order)
{
	unsigned fires = !hilo__timer_del(&wheel, &probe->timer);

	CHECK(load_relaxed(&probe->fired) == fires);
	probe->order = ++*order;
	hilo__timer_add(&wheel, &probe->timer, hilo__clock_now() + random_below(random, 2) * 1000);
	if (random_below(random, 2))
		sched_yield();
	fires += !hilo__timer_move(&wheel, &probe->timer, hilo__clock_now() + 5000);
	return fires;
}

/* One waiter after another takes its timer back, and its stack is used for something else. */
static void armer_settle(struct probe *probe, struct random *random, uint64_t *order)
{
	unsigned patience = random_below(random, 4) * 20;
	unsigned long fired = 0, deleted = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		struct probe *one = &probe[i];
		unsigned fires = random_below(random, 8) ? 0 : probe_rearm(one, random, order);

		for (; patience && load_acquire(&one->timer.pending); patience--)
			sched_yield();
		if (hilo__timer_del(&wheel, &one->timer))
			deleted++;
		else
			fires++;
		CHECK(load_relaxed(&one->fired) == fires);
		fired += fires;
		memset(one, 0xa5, sizeof(*one));
	}
	(void)add_relaxed(&total_fired, fired);
	(void)add_relaxed(&total_deleted, deleted);
}

static void *armer_main(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;
	struct random random;
	uint64_t order = 0;

	random_init(&random, seed, thread);
	for (unsigned round = 0; round < rounds; round++) {
		struct probe probe[BATCH];
		hilo_time now = hilo__clock_now();

		for (unsigned i = 0; i < BATCH; i++) {
			memset(&probe[i], 0, sizeof(probe[i]));
			timer_init(&probe[i].timer, probe_fire);
			probe[i].thread = thread;
			probe[i].order = ++order;
			/* Few different deadlines: many ties. Some in the past, some far away. */
			hilo__timer_add(&wheel, &probe[i].timer,
					now + ((hilo_time)random_below(&random, 5) - 1) * 5000 +
						(random_below(&random, 50) ? 0 : HILO_MINUTE));
		}
		armer_settle(probe, &random, &order);
	}
	return NULL;
}

static void *expirer_main(void *arg)
{
	bool thief = arg != NULL;

	while (!load_acquire(&stop)) { /* pairs with main */
		if (thief)
			(void)hilo__timers_try_expire(&wheel, hilo__clock_now(), 7);
		else if (hilo__timers_settle(&wheel) <= hilo__clock_now())
			(void)hilo__timers_expire(&wheel, hilo__clock_now(), 1000);
		sched_yield();
	}
	return NULL;
}

int main(void)
{
	pthread_t armer[ARMERS], expirer[2];

	test_begin();
	rounds *= test_scale();
	seed = test_seed();
	hilo__timers_init(&wheel, hilo__clock_now());
	for (unsigned i = 0; i < 2; i++)
		CHECK(pthread_create(&expirer[i], NULL, expirer_main, i ? &wheel : NULL) == 0);
	for (unsigned i = 0; i < ARMERS; i++)
		CHECK(pthread_create(&armer[i], NULL, armer_main, (void *)(uintptr_t)i) == 0);
	for (unsigned i = 0; i < ARMERS; i++)
		pthread_join(armer[i], NULL);
	store_release(&stop, true); /* pairs with expirer_main */
	for (unsigned i = 0; i < 2; i++)
		pthread_join(expirer[i], NULL);
	CHECK(hilo__timers_settle(&wheel) == HILO_FOREVER);
	printf("fired %lu, disarmed %lu\n", load_relaxed(&total_fired), load_relaxed(&total_deleted));
	return 0;
}
