/* SPDX-License-Identifier: MIT */
/*
 * sys.c - the table of system calls of test builds, and the faults that tests ask for.
 *
 * All atomics are relaxed: each counter is exact by itself; a test asks for faults before it starts
 * its threads and reads the counters after it joined them.
 */
#include "scheduler/base/sys.h"

#ifdef HILO_TESTING

#include "scheduler/base/atomic.h"
#include "scheduler/base/random.h"

#define SYS_ENTRY(NAME, name, error, result, params, args) .name = sys_real_##name,
static const struct sys_table sys_real = {HILO__SYS_CALLS(SYS_ENTRY)};
struct sys_table hilo__sys = {HILO__SYS_CALLS(SYS_ENTRY)};

#define SYS_NAME(NAME, name, error, result, params, args) #name,
static const char *const sys_names[] = {HILO__SYS_CALLS(SYS_NAME) "any"};

#define SYS_ERROR(NAME, name, error, result, params, args) error,
static const int sys_errors[] = {HILO__SYS_CALLS(SYS_ERROR)};

/* What a test asked for of one call, or of all. */
struct sys_fault {
	atomic(long) calls;
	atomic(long) nth;
	atomic(int) error;
	atomic(bool) persistent;
};

static struct sys_fault sys_faults[SYS_CALLS + 1];

static struct {
	atomic(uint64_t) decisions;
	atomic(uint64_t) seed;
	atomic(unsigned) interrupt, shorten, delay, delay_us;
} chaos;

const char *hilo__sys_name(enum sys_call call)
{
	return sys_names[call];
}

void hilo__sys_fail(enum sys_call call, long nth, int error, bool persistent)
{
	struct sys_fault *fault = &sys_faults[call];

	store_relaxed(&fault->nth, 0);
	store_relaxed(&fault->calls, 0);
	store_relaxed(&fault->error, error < 0 ? -error : error);
	store_relaxed(&fault->persistent, persistent);
	store_relaxed(&fault->nth, nth);
}

long hilo__sys_calls(enum sys_call call)
{
	return load_relaxed(&sys_faults[call].calls);
}

void hilo__sys_chaos(const struct sys_chaos *wanted)
{
	static const struct sys_chaos none;

	if (!wanted)
		wanted = &none;
	store_relaxed(&chaos.decisions, 0);
	store_relaxed(&chaos.seed, wanted->seed);
	store_relaxed(&chaos.interrupt, wanted->interrupt);
	store_relaxed(&chaos.shorten, wanted->shorten);
	store_relaxed(&chaos.delay_us, wanted->delay_us);
	store_relaxed(&chaos.delay, wanted->delay);
}

void hilo__sys_reset(void)
{
	for (int call = 0; call <= SYS_CALLS; call++)
		hilo__sys_fail((enum sys_call)call, 0, 0, false);
	hilo__sys_chaos(NULL);
	hilo__sys = sys_real;
}

/* The next random number of the trouble; only drawn for what was asked for. */
static uint64_t chaos_draw(void)
{
	return random_mix(load_relaxed(&chaos.seed) + random_mix(add_relaxed(&chaos.decisions, 1) + 1));
}

/* True in @parts of a thousand cases. */
static bool chaos_strikes(unsigned parts)
{
	return parts && chaos_draw() % 1000 < parts;
}

/* Count a call; the error it shall end with, or 0. */
static int fault_check(struct sys_fault *fault, enum sys_call call)
{
	long calls = add_relaxed(&fault->calls, 1) + 1;
	long nth = load_relaxed(&fault->nth);
	int error;

	if (!nth || (calls != nth && !(calls > nth && load_relaxed(&fault->persistent))))
		return 0;
	error = load_relaxed(&fault->error);
	return error ? error : sys_errors[call];
}

static void chaos_delay(void)
{
	unsigned us = load_relaxed(&chaos.delay_us);
	struct timespec span = {0, 0};

	if (!us || !chaos_strikes(load_relaxed(&chaos.delay)))
		return;
	us = (unsigned)(chaos_draw() % us) + 1;
	span.tv_sec = us / 1000000;
	span.tv_nsec = (long)(us % 1000000) * 1000;
	nanosleep(&span, NULL);
}

int hilo__sys_enter(enum sys_call call)
{
	int error = fault_check(&sys_faults[call], call);
	int any = fault_check(&sys_faults[SYS_CALL_ANY], call);

	chaos_delay();
	if (error || any)
		return error ? -error : -any;
	if (sys_errors[call] == EINTR && chaos_strikes(load_relaxed(&chaos.interrupt)))
		return -EINTR;
	return 0;
}

size_t hilo__sys_shorten(enum sys_call call, size_t size)
{
	(void)call;
	/* The counters of eventfd and timerfd are moved whole or not at all. */
	if (size <= sizeof(uint64_t) || !chaos_strikes(load_relaxed(&chaos.shorten)))
		return size;
	return (size_t)(chaos_draw() % (size - 1)) + 1;
}

#endif /* HILO_TESTING */
