/* SPDX-License-Identifier: MIT */
/*
 * clock.c - reading the clock, and how fast the cycle counter runs.
 *
 * P1  hilo__clock_set_source stores the function last, releasing its context; readers acquire.
 */
#include "scheduler/base/clock.h"

#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define CALIBRATE_NS 200000 /* of spinning; reading both clocks is off by 20 ns or so: 0.01 % */
#define CALIBRATE_TRIES 5

__extension__ typedef unsigned __int128 wide;

atomic(uint64_t) hilo__cycle_scale;

static int64_t clock_read(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#if defined(__x86_64__)

/* The cycle and the nanosecond of one moment: of some tries the one that took the fewest cycles. */
static void clock_read_both(uint64_t *ret_cycles, int64_t *ret_ns)
{
	uint64_t least = UINT64_MAX;
	uint64_t before, after;
	int64_t ns;

	*ret_cycles = 0;
	*ret_ns = 0;
	for (int i = 0; i < CALIBRATE_TRIES; i++) {
		before = hilo__cycles_raw();
		ns = clock_read();
		after = hilo__cycles_raw();
		if (after - before < least) {
			least = after - before;
			*ret_cycles = before + least / 2;
			*ret_ns = ns;
		}
	}
}

static uint64_t clock_calibrate(void)
{
	uint64_t cycles_before, cycles_after;
	int64_t before, after;

	clock_read_both(&cycles_before, &before);
	while (clock_read() - before < CALIBRATE_NS)
		cpu_relax();
	clock_read_both(&cycles_after, &after);
	if (cycles_after <= cycles_before) /* a counter that stands still or jumps */
		return UINT64_C(1) << 32;
	return (uint64_t)(((wide)(uint64_t)(after - before) << 32) / (cycles_after - cycles_before));
}

#elif defined(__aarch64__)

static uint64_t clock_calibrate(void)
{
	uint64_t frequency;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
	if (!frequency)
		return UINT64_C(1) << 32;
	return (uint64_t)(((wide)1000000000 << 32) / frequency);
}

#else

/* The counter is the clock itself. */
static uint64_t clock_calibrate(void)
{
	return UINT64_C(1) << 32;
}

#endif

/* Several threads may calibrate at once: their results differ by less than what either is off. */
static uint64_t clock_scale(void)
{
	uint64_t scale = load_relaxed(&hilo__cycle_scale); /* relaxed: the number is all there is to see */

	if (HILO__UNLIKELY(!scale)) {
		scale = clock_calibrate();
		if (!scale)
			scale = 1;
		store_relaxed(&hilo__cycle_scale, scale); /* relaxed: as above */
	}
	return scale;
}

static uint64_t machine_cycles_per_us(void)
{
	uint64_t scale = clock_scale();
	uint64_t cycles = ((NS_PER_US << 32) + scale / 2) / scale;

	return cycles ? cycles : 1;
}

static int64_t machine_cycles_to_ns(uint64_t cycles)
{
	return (int64_t)(uint64_t)(((wide)cycles * clock_scale()) >> 32);
}

#ifdef HILO_TESTING

static atomic(hilo__clock_fn) clock_source;
static void *clock_source_ctx; /* published by P1 */

void hilo__clock_set_source(hilo__clock_fn fn, void *ctx)
{
	store_release(&clock_source, (hilo__clock_fn)NULL); /* P1 */
	clock_source_ctx = ctx;
	store_release(&clock_source, fn); /* P1 */
}

int64_t hilo__clock_now(void)
{
	hilo__clock_fn source = load_acquire(&clock_source); /* P1 */

	return source ? source(clock_source_ctx) : clock_read();
}

uint64_t cycles_now(void)
{
	hilo__clock_fn source = load_acquire(&clock_source); /* P1 */

	return source ? (uint64_t)source(clock_source_ctx) : hilo__cycles_raw();
}

uint64_t hilo__cycles_per_us(void)
{
	return load_acquire(&clock_source) ? NS_PER_US : machine_cycles_per_us(); /* P1 */
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return load_acquire(&clock_source) ? (int64_t)cycles : machine_cycles_to_ns(cycles); /* P1 */
}

#else

int64_t hilo__clock_now(void)
{
	return clock_read();
}

uint64_t hilo__cycles_per_us(void)
{
	return machine_cycles_per_us();
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return machine_cycles_to_ns(cycles);
}

#endif /* HILO_TESTING */
