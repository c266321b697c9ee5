/* SPDX-License-Identifier: MIT */
/*
 * model_timer.c - the shipped timer wheel: a waiter's timer against those who fire it.
 *
 * The timer lies with its waiter, who gives it up when del has returned. Checked: nobody touches it
 * after that; it fires as often as del says, once per arming at most, never before its deadline.
 */
#include <string.h>

#include "scheduler/base/compiler.h"
#include "scheduler/timer.h"
#include "tests/explore/explore.h"

static struct timers wheel;
static struct timer timer[2];
static atomic(uint32_t) fired[2];
static hilo_time when[2]; /* each armed for this when it fires */

static void timer_fired(struct timer *which)
{
	unsigned i = (unsigned)(which - timer);

	EXPLORE_CHECK(plain_load(&which->when) == plain_load(&when[i]));
	(void)add_relaxed(&fired[i], 1); /* relaxed: a count */
}

static void setup(void)
{
	hilo__timers_init(&wheel, 0);
	for (int i = 0; i < 2; i++) {
		memset(&timer[i], 0, sizeof(timer[i]));
		timer_init(&timer[i], timer_fired);
		fired[i] = 0;
		when[i] = 10 + i;
	}
}

static void setup_armed(void)
{
	setup();
	hilo__timer_add(&wheel, &timer[0], when[0]);
	hilo__timer_add(&wheel, &timer[1], when[1]);
}

static void finish(void)
{
	EXPLORE_CHECK(hilo__timers_settle(&wheel) == HILO_FOREVER);
}

/* After del the timer is the waiter's alone, with all of its memory. */
static void disarm(unsigned i)
{
	bool was_armed = hilo__timer_del(&wheel, &timer[i]);

	EXPLORE_CHECK(load_relaxed(&fired[i]) == !was_armed); /* relaxed: ordered by the timer itself */
	explore_retire(&timer[i], sizeof(timer[i]));
}

static void arms_and_disarms(void)
{
	hilo__timer_add(&wheel, &timer[0], when[0]);
	disarm(0);
}

static void disarms_first(void)
{
	disarm(0);
}

static void disarms_second(void)
{
	disarm(1);
}

/* Moved to a later time, or armed anew if it has fired. */
static void moves_and_disarms(void)
{
	unsigned before = !hilo__timer_move(&wheel, &timer[0], 20);
	bool was_armed;

	was_armed = hilo__timer_del(&wheel, &timer[0]);
	EXPLORE_CHECK(was_armed && load_relaxed(&fired[0]) == before); /* relaxed: as in disarm */
	explore_retire(&timer[0], sizeof(timer[0]));
}

static void expirer(void)
{
	(void)hilo__timers_expire(&wheel, 15, 8);
}

static void expirer_twice(void)
{
	(void)hilo__timers_expire(&wheel, 10, 1);
	(void)hilo__timers_expire(&wheel, 15, 8);
}

static void thief(void)
{
	(void)hilo__timers_try_expire(&wheel, 15, 8);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("timer_arm_disarm", "T0 arms a timer, disarms it; T1 expires; T2 tries to", setup,
		      finish, arms_and_disarms, expirer, thief),
	EXPLORE_MODEL("timer_two", "2 timers; T0, T1 disarm one each; T2 expires one, then the rest",
		      setup_armed, finish, disarms_first, disarms_second, expirer_twice),
	EXPLORE_MODEL_LONG(0, "timer_two_expirers",
			   "2 timers; T0, T1 disarm one each; T2 expires; T3 tries to", setup_armed, finish,
			   disarms_first, disarms_second, expirer, thief),
	EXPLORE_MODEL("timer_move", "2 timers; T0 moves one, disarms it; T1 disarms the other; T2 expires",
		      setup_armed, finish, moves_and_disarms, disarms_second, expirer_twice),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
