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
 * Who finds the lock held stays away for so many pauses, some 40 ns each on many CPUs: for a few at first, as it is
 * free soon, and then for twice as many. Who has met somebody at the same lock a moment ago wants it as often as that
 * one does, and one of them at a time is quickest by himself: he stays away for long at once. After so many looks he
 * waits as for any other lock. docs/design/sync.md, queues.
 */
#define BUSY_FIRST 8
#define BUSY_MOST 256
#define BUSY_WHILE_US 200
#define BUSY_LOOKS 10

/* The last meeting of this thread, which does not change here: no task does. The lock is compared only. */
static _Thread_local struct {
	const struct spinlock *lock;
	uint64_t at; /* cycles */
} met;

void hilo__spin_lock_busy(struct spinlock *lock)
{
	uint64_t now = cycles_now();
	bool again = met.lock == lock && now - met.at < BUSY_WHILE_US * hilo__cycles_per_us();
	unsigned pauses = again ? BUSY_MOST : BUSY_FIRST;

	met.lock = lock;
	met.at = now;
	for (unsigned look = 0; look < BUSY_LOOKS; look++) {
		for (unsigned i = 0; i < pauses; i++)
			cpu_relax();
		if (spin_trylock(lock)) /* P1 */
			return;
		if (pauses < BUSY_MOST)
			pauses *= 2;
	}
	spin_lock(lock); /* P1 */
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
