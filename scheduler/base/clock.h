/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_CLOCK_H
#define HILO_SCHEDULER_BASE_CLOCK_H

/*
 * clock.h - the monotonic clock, and the cycle counter for what must cost a few ns.
 *
 * hilo__clock_now is what deadlines are compared with. The cycle counter is for short spans on one
 * CPU (spinning, budgets, trace records): no promise is made about how well CPUs agree.
 *
 * In HILO_TESTING builds both can be replaced by one source of virtual time.
 */
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Nanoseconds of one cycle of the machine's counter, times 2^32; 0: not known yet. */
extern atomic(uint64_t) hilo__cycle_scale;

/* [any] CLOCK_MONOTONIC in nanoseconds. About 20 ns. */
int64_t hilo__clock_now(void);

/* [any] Cycles of cycles_now in a microsecond, at least 1. The first call may take up to 0.3 ms. */
uint64_t hilo__cycles_per_us(void);

/* [any] The span of @cycles in nanoseconds. */
int64_t hilo__cycles_to_ns(uint64_t cycles);

/* [any] The counter of the machine, whatever the source of time. */
static inline uint64_t hilo__cycles_raw(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t count;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
	return count;
#else
	return (uint64_t)hilo__clock_now();
#endif
}

#ifdef HILO_TESTING

/* Virtual time: nanoseconds, never going back. Called on any thread. */
typedef int64_t (*hilo__clock_fn)(void *ctx);

/*
 * [any] Take the time from @fn(@ctx), and the cycles too, 1000 of them to the microsecond. NULL: the
 * machine's own again. To be called while no other thread reads the clock.
 */
void hilo__clock_set_source(hilo__clock_fn fn, void *ctx);

uint64_t cycles_now(void);

#else

/* [any] The cycle counter. Does not serialise: the CPU may read it early or late by some cycles. */
static inline uint64_t cycles_now(void)
{
	return hilo__cycles_raw();
}

#endif /* HILO_TESTING */

#endif /* HILO_SCHEDULER_BASE_CLOCK_H */
