/* SPDX-License-Identifier: MIT */
/*
 * model_mutex.c - the shipped mutex.c: tasks that count under it.
 *
 * Checked: one at a time has it, and sees what the one before has done; nobody waits for ever, whoever is cancelled
 * or late meanwhile; who has had it last may give its memory up. Whether a waiter counts as passed over for
 * long is chosen at each look, or fixed: never, or always.
 */
#include <hilo/sync/mutex.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "tests/explore/orders.h"
#include "tests/explore/waiting.h"

#define DEADLINE ((hilo_time)1000)

static hilo_mutex mutex, other;
static struct hilo_runtime runtime;
static int count;	/* under the mutex */
static int other_count; /* under the other one */
static atomic(uint32_t) counted;
static enum {
	NEVER,
	ALWAYS,
	CHOSEN
} starves;

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo__error_own(int code)
{
	return code;
}

int hilo_fail(int code, const char *format, ...)
{
	explore_fail("hilo_fail(%d, \"%s\")", code, format);
}

const char *hilo__task_label(const hilo_task *task, char buf[TASK_LABEL_SIZE])
{
	(void)task;
	return buf;
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

/* Time does not pass, or jumps, and no time is long. */
uint64_t cycles_now(void)
{
	return starves == CHOSEN ? (uint64_t)explore_choose(2) << 20 : 0;
}

uint64_t hilo__cycles_per_us(void)
{
	return starves != ALWAYS;
}

static void setup_of(unsigned plain, unsigned flags, int when)
{
	waiting_reset(4, plain);
	memset(&mutex, 0, sizeof(mutex));
	memset(&other, 0, sizeof(other));
	EXPLORE_CHECK(hilo_mutex_init(&mutex, flags) == 0);
	runtime.workers = 2;
	runtime.spin = false;
	for (int i = 0; i < 4; i++) {
		loops[i].runtime = &runtime;
		threads[i].mutex_guess = 0;
		hilo__timers_init(&loops[i].timers, 0);
	}
	count = 0;
	other_count = 0;
	counted = 0;
	starves = when;
}

static void setup_as(unsigned flags, int when)
{
	setup_of(0, flags, when);
}

/* Plain threads, whose records are there. */
static void setup_plain(void)
{
	setup_of(3, 0, NEVER);
	for (int i = 0; i < 2; i++)
		threads[i].task = &records[i];
}

static void setup_plain_fair(void)
{
	setup_plain();
	EXPLORE_CHECK(hilo_mutex_init(&mutex, HILO_MUTEX_FAIR) == 0);
}

static void setup(void)
{
	setup_as(0, NEVER);
}

static void setup_fair(void)
{
	setup_as(HILO_MUTEX_FAIR, NEVER);
}

static void setup_starved(void)
{
	setup_as(0, ALWAYS);
}

static void setup_chosen(void)
{
	setup_as(0, CHOSEN);
}

/* T0 has it. */
static void held(unsigned flags, int when)
{
	setup_as(flags, when);
	*(atomic(uintptr_t) *)(void *)&mutex = (uintptr_t)&records[0];
}

static void setup_held(void)
{
	held(0, NEVER);
}

static void setup_held_fair(void)
{
	held(HILO_MUTEX_FAIR, NEVER);
}

static void finish(void)
{
	waiting_check(4);
	EXPLORE_CHECK(hilo_mutex_destroy(&mutex) == 0);
	EXPLORE_CHECK(count == (int)counted);
}

/* The memory of the mutex is gone. */
static void finish_gone(void)
{
	waiting_check(4);
	EXPLORE_CHECK(count == (int)counted);
}

static void leave(void)
{
	plain_store(&count, plain_load(&count) + 1);
	(void)add_relaxed(&counted, 1); /* relaxed: for the end */
	EXPLORE_CHECK(hilo_mutex_unlock(&mutex) == 0);
}

static void once(void)
{
	EXPLORE_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER) == 0);
	leave();
}

static void twice(void)
{
	once();
	once();
}

static void tries(void)
{
	if (hilo_mutex_try_lock(&mutex) == 0)
		leave();
}

static void once_if_not_cancelled(void)
{
	int rc = hilo_mutex_lock(&mutex, HILO_FOREVER);

	EXPLORE_CHECK(rc == 0 || rc == -ECANCELED);
	if (rc == 0)
		leave();
}

static void once_in_time(void)
{
	int rc = hilo_mutex_lock(&mutex, DEADLINE);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	if (rc == 0)
		leave();
}

/* The last one: T0 has it before. */
static void once_and_free(void)
{
	once();
	explore_retire(&mutex, sizeof(mutex));
}

/* It learns that it was given the mutex before it is woken for that. */
static void once_and_free_if_not_cancelled(void)
{
	if (hilo_mutex_lock(&mutex, HILO_FOREVER) < 0)
		return;
	leave();
	explore_retire(&mutex, sizeof(mutex));
}

static void cancels_T1(void)
{
	if (task_state_cancel(&records[1].state, 1))
		waiting_ready(&records[1]);
}

static void timer_of_T1(void)
{
	store_release(&explore_clock, DEADLINE); /* as the clock: who is woken sees that it has gone on */
	(void)hilo__timers_expire(&loops[1].timers, DEADLINE, 8);
}

/* Nobody has been in the list. */
static void leave_to_nobody(void)
{
	EXPLORE_CHECK(!(load_relaxed((atomic(uintptr_t) *)(void *)&mutex) & 7)); /* relaxed: at some moment */
	leave();
}

static void once_without_waiting(void)
{
	int rc = hilo_mutex_lock(&mutex, HILO_NO_WAIT);

	EXPLORE_CHECK(rc == 0 || rc == -ETIMEDOUT);
	if (rc == 0)
		leave();
}

/* Two mutexes, one guess: what the other one was is mostly wrong. */
static void other_once(void)
{
	EXPLORE_CHECK(hilo_mutex_lock(&other, HILO_FOREVER) == 0);
	plain_store(&other_count, plain_load(&other_count) + 1);
	EXPLORE_CHECK(hilo_mutex_unlock(&other) == 0);
}

static void once_and_other(void)
{
	once();
	other_once();
}

static void other_inside(void)
{
	EXPLORE_CHECK(hilo_mutex_lock(&mutex, HILO_FOREVER) == 0);
	other_once();
	leave();
}

static void finish_both(void)
{
	finish();
	EXPLORE_CHECK(hilo_mutex_destroy(&other) == 0);
	EXPLORE_CHECK(other_count == 2);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("mutex_two", "T0, T1: 2 x (lock, unlock)", setup, finish, twice, twice),
	EXPLORE_MODEL_LONG(0, "mutex_two_fair", "the same, fair", setup_fair, finish, twice, twice),
	EXPLORE_MODEL_LONG(2, "mutex_two_chosen", "the same; a waiter may starve", setup_chosen, finish,
			   twice, twice),
	EXPLORE_MODEL_BOUND(2, "mutex_three", "T0, T1, T2: lock, unlock", setup, finish, once, once, once),
	EXPLORE_MODEL_LONG(2, "mutex_three_fair", "the same, fair", setup_fair, finish, once, once, once),
	EXPLORE_MODEL_LONG(2, "mutex_three_starved", "the same; waiters starve", setup_starved, finish, once,
			   once, once),
	EXPLORE_MODEL_BOUND(2, "mutex_try", "T0: 2 x (lock, unlock); T1: lock, unlock; T2: try_lock, unlock",
			    setup, finish, twice, once, tries),
	EXPLORE_MODEL("mutex_no_wait", "T0 has it: unlock; T1: lock without waiting, unlock", setup_held,
		      finish, leave_to_nobody, once_without_waiting),
	EXPLORE_MODEL_BOUND(2, "mutex_plain", "T0, T1, plain threads: 2 x (lock, unlock)", setup_plain,
			    finish, twice, twice),
	EXPLORE_MODEL_BOUND(2, "mutex_plain_fair", "the same, fair", setup_plain_fair, finish, twice, twice),
	EXPLORE_MODEL_BOUND(2, "mutex_both",
			    "T0: lock, unlock one, then another; T1: the other within the one", setup,
			    finish_both, once_and_other, other_inside),
	EXPLORE_MODEL_BOUND(2, "mutex_free", "T0 has it: unlock; T1: lock, unlock, free", setup_held,
			    finish_gone, leave, once_and_free),
	EXPLORE_MODEL_BOUND(2, "mutex_free_fair", "the same, fair", setup_held_fair, finish_gone, leave,
			    once_and_free),
	EXPLORE_MODEL("mutex_free_cancel", "T0 has it, fair: unlock; T1: lock, unlock, free; T2 cancels T1",
		      setup_held_fair, finish_gone, leave, once_and_free_if_not_cancelled, cancels_T1),
	EXPLORE_MODEL_LONG(1, "mutex_cancel",
			   "T0 has it: unlock; T1: lock, unlock, T3 cancels it; T2: lock, unlock", setup_held,
			   finish, leave, once_if_not_cancelled, once, cancels_T1),
	EXPLORE_MODEL_LONG(1, "mutex_cancel_fair", "the same, fair", setup_held_fair, finish, leave,
			   once_if_not_cancelled, once, cancels_T1),
	EXPLORE_MODEL_LONG(1, "mutex_timeout",
			   "T0 has it: unlock; T1: lock with a deadline, unlock; T2: lock, unlock; T3: timer",
			   setup_held, finish, leave, once_in_time, once, timer_of_T1),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
