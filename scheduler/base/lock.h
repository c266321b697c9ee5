/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_LOCK_H
#define HILO_SCHEDULER_BASE_LOCK_H

/*
 * lock.h - a spinlock of one byte for sections of a few instructions, and the futex calls.
 *
 * P1  spin_unlock's store releases; the exchange that takes the lock acquires: who holds the lock
 *     sees all that was done under it before.
 *
 * A spinlock is never held over a suspension; over a system call only where the file says so, and where
 * what is called under it wakes somebody who sleeps in the kernel. In HILO_TESTING builds the number that
 * the calling thread holds is counted, so that a switch can assert that it is zero.
 * Progress: not fair. Who waits looks again and again, hilo__spin_lock_busy after pauses of up to 10 us for
 * 100 us at most; after some rounds it offers its CPU to whoever is runnable, as the holder may be.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

/* Zero is an unlocked lock. */
struct spinlock {
	atomic(uint8_t) held;
};

#define SPINLOCK_INIT                                                                                        \
	{                                                                                                    \
		0                                                                                            \
	}

/*
 * Rounds of cpu_relax before the CPU is offered to others: some microseconds, more than any section
 * lasts, so that who gets there knows that the other thread does not run.
 */
#define SPIN_ROUNDS 100

/* [any] Once in a loop that waits for another thread, which is about to do what it waits for. */
static inline void spin_pause(unsigned round)
{
	if (round < SPIN_ROUNDS)
		cpu_relax();
	else
		(void)sched_yield();
}

/* [any] Wait until @lock looks free. */
HILO__SHARED void hilo__spin_wait(struct spinlock *lock);

#ifdef HILO_TESTING
/* [any] The number of spinlocks that the calling thread holds. */
unsigned hilo__spin_held(void);
void hilo__spin_count(int change);
#else
static inline void hilo__spin_count(int change)
{
	(void)change;
}
#endif

/* [any] Make @lock an unlocked lock. */
static inline void spin_init(struct spinlock *lock)
{
	atomic_setup(&lock->held, 0);
}

/* [any] Take @lock, spinning for as long as another holds it. */
static inline void spin_lock(struct spinlock *lock)
{
	while (HILO__UNLIKELY(
		MUTANT(86, xchg_acquire(&lock->held, 1), xchg_relaxed(&lock->held, 1)))) /* P1 */
		hilo__spin_wait(lock);
	hilo__spin_count(1);
}

#ifdef HILO_EXPLORE
#define hilo__spin_lock_busy spin_lock
#else
/*
 * [any, has just found it held] Take @lock, which threads take again and again with little in between. Who finds it
 * held stays away from its line for a while, so that the holder goes on with all it needs in its cache.
 */
void hilo__spin_lock_busy(struct spinlock *lock);
#endif

/* [any] Take @lock if it is free, which it mostly is. */
static inline bool spin_lock_once(struct spinlock *lock)
{
	if (HILO__UNLIKELY(xchg_acquire(&lock->held, 1))) /* P1 */
		return false;
	hilo__spin_count(1);
	return true;
}

/* [any] Take @lock if it is free. */
static inline bool spin_trylock(struct spinlock *lock)
{
	/* relaxed: only spares the exchange, which decides */
	if (load_relaxed(&lock->held) || xchg_acquire(&lock->held, 1)) /* P1 */
		return false;
	hilo__spin_count(1);
	return true;
}

/* [holder] Let @lock go. */
static inline void spin_unlock(struct spinlock *lock)
{
	hilo__spin_count(-1);
	MUTANT(87, store_release(&lock->held, 0), store_relaxed(&lock->held, 0)); /* P1 */
}

/*
 * [any] Sleep while *@word is @expected, until woken or until @deadline (absolute, monotonic;
 * INT64_MAX: none). 0: woken, perhaps for no reason. -EAGAIN: *@word was another value. -ETIMEDOUT.
 * -EINTR: a signal. Says nothing about the order of memory: read *@word again with an order.
 */
int hilo__futex_wait(atomic(uint32_t) * word, uint32_t expected, int64_t deadline);

/* [any] Wake up to @n threads that sleep on @word; returns how many. @word need not exist any more. */
int hilo__futex_wake(atomic(uint32_t) * word, int n);

#endif /* HILO_SCHEDULER_BASE_LOCK_H */
