/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_ATOMIC_H
#define HILO_SCHEDULER_BASE_ATOMIC_H

/*
 * atomic.h - every access to memory that threads share goes through here, with its order in its name.
 *
 * Back ends, chosen at compile time:
 *   C11       what ships.
 *   explorer  -DHILO_EXPLORE: each access is a scheduling point of the model explorer in
 *             tests/explore/, which runs the shipped source files under a C11 memory model.
 *   TSan      the C11 one: ThreadSanitizer understands it, because no fence is used.
 *
 * No fence is offered: ThreadSanitizer does not model them. What would need one uses a seq_cst
 * read-modify-write on the word in question.
 */
#include <stdbool.h>
#include <stdint.h>

#ifdef HILO_EXPLORE
#include "tests/explore/atomic_explore.h"
#else

#include <stdatomic.h>

#define atomic(T) _Atomic(T)

#define atomic_setup(p, v) atomic_init(p, v)

#define load_relaxed(p) atomic_load_explicit(p, memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit(p, memory_order_acquire)
#define load_seq_cst(p) atomic_load_explicit(p, memory_order_seq_cst)

#define store_relaxed(p, v) atomic_store_explicit(p, v, memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit(p, v, memory_order_release)
#define store_seq_cst(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)

#define xchg_relaxed(p, v) atomic_exchange_explicit(p, v, memory_order_relaxed)
#define xchg_acquire(p, v) atomic_exchange_explicit(p, v, memory_order_acquire)
#define xchg_release(p, v) atomic_exchange_explicit(p, v, memory_order_release)
#define xchg_acq_rel(p, v) atomic_exchange_explicit(p, v, memory_order_acq_rel)
#define xchg_seq_cst(p, v) atomic_exchange_explicit(p, v, memory_order_seq_cst)

/* Strong compare-and-swap: true if *p was *expected and is now v; else *expected is what it was. */
#define cas_relaxed(p, expected, v)                                                                          \
	atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_relaxed, memory_order_relaxed)
#define cas_acquire(p, expected, v)                                                                          \
	atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_acquire, memory_order_acquire)
#define cas_release(p, expected, v)                                                                          \
	atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_release, memory_order_relaxed)
#define cas_acq_rel(p, expected, v)                                                                          \
	atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_acq_rel, memory_order_acquire)
#define cas_seq_cst(p, expected, v)                                                                          \
	atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_seq_cst, memory_order_seq_cst)

#define add_relaxed(p, v) atomic_fetch_add_explicit(p, v, memory_order_relaxed)
#define add_acquire(p, v) atomic_fetch_add_explicit(p, v, memory_order_acquire)
#define add_release(p, v) atomic_fetch_add_explicit(p, v, memory_order_release)
#define add_acq_rel(p, v) atomic_fetch_add_explicit(p, v, memory_order_acq_rel)
#define add_seq_cst(p, v) atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define sub_relaxed(p, v) atomic_fetch_sub_explicit(p, v, memory_order_relaxed)
#define sub_release(p, v) atomic_fetch_sub_explicit(p, v, memory_order_release)
#define sub_acq_rel(p, v) atomic_fetch_sub_explicit(p, v, memory_order_acq_rel)
#define sub_seq_cst(p, v) atomic_fetch_sub_explicit(p, v, memory_order_seq_cst)
#define or_relaxed(p, v) atomic_fetch_or_explicit(p, v, memory_order_relaxed)
#define or_acquire(p, v) atomic_fetch_or_explicit(p, v, memory_order_acquire)
#define or_release(p, v) atomic_fetch_or_explicit(p, v, memory_order_release)
#define or_acq_rel(p, v) atomic_fetch_or_explicit(p, v, memory_order_acq_rel)
#define or_seq_cst(p, v) atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define and_relaxed(p, v) atomic_fetch_and_explicit(p, v, memory_order_relaxed)
#define and_release(p, v) atomic_fetch_and_explicit(p, v, memory_order_release)
#define and_acq_rel(p, v) atomic_fetch_and_explicit(p, v, memory_order_acq_rel)
#define and_seq_cst(p, v) atomic_fetch_and_explicit(p, v, memory_order_seq_cst)

/* In a loop that waits for another thread: lets the sibling hardware thread run. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Payload reads and writes that the explorer checks for races; plain accesses here. */
#define plain_load(p) (*(p))
#define plain_store(p, v) ((void)(*(p) = (v)))

#endif /* HILO_EXPLORE */

/*
 * A planted fault, for the explorer's own test: MUTANT(n, correct, broken) is `correct` in every
 * build but the one that plants fault n. The list of all faults is tests/explore/mutants.txt.
 */
#ifdef HILO_MUTANT
#define MUTANT(n, correct, broken) (HILO_MUTANT == (n) ? (broken) : (correct))
#else
#define MUTANT(n, correct, broken) (correct)
#endif

#endif /* HILO_SCHEDULER_BASE_ATOMIC_H */
