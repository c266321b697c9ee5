/* SPDX-License-Identifier: MIT */
/*
 * lock.c - waiting for a spinlock, and the two futex calls. The ordering is argued in lock.h.
 */
#include "scheduler/base/lock.h"

#include <linux/futex.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"

void hilo__spin_wait(struct spinlock *lock)
{
	/* relaxed: only a hint, the exchange that follows acquires */
	for (unsigned round = 0; load_relaxed(&lock->held); round++)
		spin_pause(round);
}

/*
 * Who finds the lock held stays away for so many pauses, some 40 ns each on x86: a few for the first time in a while,
 * as it is free soon. Who has found it held before wants it as often as the holder does, and one of them at a time is
 * quickest by himself. After so many looks the CPU is offered to others. docs/design/sync.md, queues.
 */
#define BUSY_FIRST 8
#define BUSY_AGAIN 256
#define BUSY_WHILE_US 200
#define BUSY_LOOKS 10

/* When this thread has last found a lock held, in cycles. */
static _Thread_local uint64_t busy_last __attribute__((tls_model("initial-exec")));

void hilo__spin_lock_busy(struct spinlock *lock)
{
	bool again = cycles_now() - busy_last < BUSY_WHILE_US * hilo__cycles_per_us();
	unsigned pauses = again ? BUSY_AGAIN : BUSY_FIRST, looks = 0;

	do {
		for (unsigned i = 0; i < pauses; i++)
			cpu_relax();
		pauses = BUSY_AGAIN;
		if (++looks > BUSY_LOOKS)
			(void)sched_yield();
	} while (!spin_trylock(lock)); /* P1 */
	busy_last = cycles_now();
}

#ifdef HILO_TESTING

static _Thread_local int spins_held;

HILO__NOINLINE void hilo__spin_count(int change)
{
	spins_held += change;
}

HILO__NOINLINE unsigned hilo__spin_held(void)
{
	return (unsigned)spins_held;
}

#endif

int hilo__futex_wait(atomic(uint32_t) * word, uint32_t expected, int64_t deadline)
{
	struct timespec until;

	if (deadline == INT64_MAX)
		return hilo__sys_futex(word, FUTEX_WAIT_BITSET_PRIVATE, expected, NULL,
				       FUTEX_BITSET_MATCH_ANY);
	if (deadline < 0)
		deadline = 0;
	until.tv_sec = deadline / 1000000000;
	until.tv_nsec = deadline % 1000000000;
	/* This operation takes an absolute time, on the monotonic clock. */
	return hilo__sys_futex(word, FUTEX_WAIT_BITSET_PRIVATE, expected, &until, FUTEX_BITSET_MATCH_ANY);
}

int hilo__futex_wake(atomic(uint32_t) * word, int n)
{
	return hilo__sys_futex(word, FUTEX_WAKE_PRIVATE, (uint32_t)n, NULL, 0);
}
