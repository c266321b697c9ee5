/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_ATOMIC_EXPLORE_H
#define HILO_TESTS_EXPLORE_ATOMIC_EXPLORE_H

/*
 * atomic_explore.h - the exploring back end of scheduler/base/atomic.h: the same names, each access a
 * call into the explorer. Included by that header alone, when HILO_EXPLORE is defined.
 *
 * atomic(T) is plain T here. A value lies in its own memory (the newest one, so that a debugger and
 * code outside of an execution read it directly); what a model thread may read besides is the
 * explorer's business.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum explore_order {
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_ACQ_REL,
	EXPLORE_SEQ_CST,
};

enum explore_rmw {
	EXPLORE_XCHG,
	EXPLORE_ADD,
	EXPLORE_SUB,
	EXPLORE_OR,
	EXPLORE_AND,
};

/* Where an access stands in the source, for traces. */
struct explore_site {
	const char *file;
	int line;
	const char *what;
};

uint64_t explore_load(const void *p, size_t size, enum explore_order order, const struct explore_site *site);
void explore_store(void *p, size_t size, uint64_t value, enum explore_order order,
		   const struct explore_site *site);
uint64_t explore_rmw(void *p, size_t size, enum explore_rmw op, uint64_t operand, enum explore_order order,
		     const struct explore_site *site);
bool explore_cas(void *p, size_t size, void *expected, uint64_t value, enum explore_order success,
		 enum explore_order failure, const struct explore_site *site);
void explore_setup(void *p, size_t size, uint64_t value, const struct explore_site *site);
void explore_plain(const void *p, bool write, const struct explore_site *site);
void explore_pause(const struct explore_site *site);

/* The fault that is planted in this run; 0: none. MUTANT() compares with it. */
extern int explore_mutant;

#define EXPLORE_SITE(text)                                                                                   \
	(__extension__({                                                                                     \
		static const struct explore_site explore_site_ = {__FILE__, __LINE__, text};                 \
		&explore_site_;                                                                              \
	}))
#define EXPLORE_LOAD(p, order, text)                                                                         \
	((__typeof__(*(p)))explore_load((const void *)(p), sizeof(*(p)), order, EXPLORE_SITE(text)))
#define EXPLORE_STORE(p, v, order, text)                                                                     \
	explore_store((void *)(p), sizeof(*(p)), (uint64_t)(v), order, EXPLORE_SITE(text))
#define EXPLORE_RMW(p, op, v, order, text)                                                                   \
	((__typeof__(*(p)))explore_rmw((void *)(p), sizeof(*(p)), op, (uint64_t)(v), order,                  \
				       EXPLORE_SITE(text)))
#define EXPLORE_CAS(p, expected, v, success, failure, text)                                                  \
	explore_cas((void *)(p), sizeof(*(p)), expected, (uint64_t)(v), success, failure, EXPLORE_SITE(text))

#define atomic(T) __typeof__(T)
#define atomic_setup(p, v)                                                                                   \
	explore_setup((void *)(p), sizeof(*(p)), (uint64_t)(v), EXPLORE_SITE("atomic_setup(" #p ")"))

#define load_relaxed(p) EXPLORE_LOAD(p, EXPLORE_RELAXED, "load_relaxed(" #p ")")
#define load_acquire(p) EXPLORE_LOAD(p, EXPLORE_ACQUIRE, "load_acquire(" #p ")")
#define load_seq_cst(p) EXPLORE_LOAD(p, EXPLORE_SEQ_CST, "load_seq_cst(" #p ")")

#define store_relaxed(p, v) EXPLORE_STORE(p, v, EXPLORE_RELAXED, "store_relaxed(" #p ", " #v ")")
#define store_release(p, v) EXPLORE_STORE(p, v, EXPLORE_RELEASE, "store_release(" #p ", " #v ")")
#define store_seq_cst(p, v) EXPLORE_STORE(p, v, EXPLORE_SEQ_CST, "store_seq_cst(" #p ", " #v ")")

#define xchg_relaxed(p, v) EXPLORE_RMW(p, EXPLORE_XCHG, v, EXPLORE_RELAXED, "xchg_relaxed(" #p ", " #v ")")
#define xchg_acquire(p, v) EXPLORE_RMW(p, EXPLORE_XCHG, v, EXPLORE_ACQUIRE, "xchg_acquire(" #p ", " #v ")")
#define xchg_release(p, v) EXPLORE_RMW(p, EXPLORE_XCHG, v, EXPLORE_RELEASE, "xchg_release(" #p ", " #v ")")
#define xchg_acq_rel(p, v) EXPLORE_RMW(p, EXPLORE_XCHG, v, EXPLORE_ACQ_REL, "xchg_acq_rel(" #p ", " #v ")")
#define xchg_seq_cst(p, v) EXPLORE_RMW(p, EXPLORE_XCHG, v, EXPLORE_SEQ_CST, "xchg_seq_cst(" #p ", " #v ")")

#define cas_relaxed(p, expected, v)                                                                          \
	EXPLORE_CAS(p, expected, v, EXPLORE_RELAXED, EXPLORE_RELAXED, "cas_relaxed(" #p ", " #v ")")
#define cas_acquire(p, expected, v)                                                                          \
	EXPLORE_CAS(p, expected, v, EXPLORE_ACQUIRE, EXPLORE_ACQUIRE, "cas_acquire(" #p ", " #v ")")
#define cas_release(p, expected, v)                                                                          \
	EXPLORE_CAS(p, expected, v, EXPLORE_RELEASE, EXPLORE_RELAXED, "cas_release(" #p ", " #v ")")
#define cas_acq_rel(p, expected, v)                                                                          \
	EXPLORE_CAS(p, expected, v, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE, "cas_acq_rel(" #p ", " #v ")")
#define cas_seq_cst(p, expected, v)                                                                          \
	EXPLORE_CAS(p, expected, v, EXPLORE_SEQ_CST, EXPLORE_SEQ_CST, "cas_seq_cst(" #p ", " #v ")")

#define add_relaxed(p, v) EXPLORE_RMW(p, EXPLORE_ADD, v, EXPLORE_RELAXED, "add_relaxed(" #p ", " #v ")")
#define add_acquire(p, v) EXPLORE_RMW(p, EXPLORE_ADD, v, EXPLORE_ACQUIRE, "add_acquire(" #p ", " #v ")")
#define add_release(p, v) EXPLORE_RMW(p, EXPLORE_ADD, v, EXPLORE_RELEASE, "add_release(" #p ", " #v ")")
#define add_acq_rel(p, v) EXPLORE_RMW(p, EXPLORE_ADD, v, EXPLORE_ACQ_REL, "add_acq_rel(" #p ", " #v ")")
#define add_seq_cst(p, v) EXPLORE_RMW(p, EXPLORE_ADD, v, EXPLORE_SEQ_CST, "add_seq_cst(" #p ", " #v ")")
#define sub_relaxed(p, v) EXPLORE_RMW(p, EXPLORE_SUB, v, EXPLORE_RELAXED, "sub_relaxed(" #p ", " #v ")")
#define sub_release(p, v) EXPLORE_RMW(p, EXPLORE_SUB, v, EXPLORE_RELEASE, "sub_release(" #p ", " #v ")")
#define sub_acq_rel(p, v) EXPLORE_RMW(p, EXPLORE_SUB, v, EXPLORE_ACQ_REL, "sub_acq_rel(" #p ", " #v ")")
#define sub_seq_cst(p, v) EXPLORE_RMW(p, EXPLORE_SUB, v, EXPLORE_SEQ_CST, "sub_seq_cst(" #p ", " #v ")")
#define or_relaxed(p, v) EXPLORE_RMW(p, EXPLORE_OR, v, EXPLORE_RELAXED, "or_relaxed(" #p ", " #v ")")
#define or_acquire(p, v) EXPLORE_RMW(p, EXPLORE_OR, v, EXPLORE_ACQUIRE, "or_acquire(" #p ", " #v ")")
#define or_release(p, v) EXPLORE_RMW(p, EXPLORE_OR, v, EXPLORE_RELEASE, "or_release(" #p ", " #v ")")
#define or_acq_rel(p, v) EXPLORE_RMW(p, EXPLORE_OR, v, EXPLORE_ACQ_REL, "or_acq_rel(" #p ", " #v ")")
#define or_seq_cst(p, v) EXPLORE_RMW(p, EXPLORE_OR, v, EXPLORE_SEQ_CST, "or_seq_cst(" #p ", " #v ")")
#define and_relaxed(p, v) EXPLORE_RMW(p, EXPLORE_AND, v, EXPLORE_RELAXED, "and_relaxed(" #p ", " #v ")")
#define and_release(p, v) EXPLORE_RMW(p, EXPLORE_AND, v, EXPLORE_RELEASE, "and_release(" #p ", " #v ")")
#define and_acq_rel(p, v) EXPLORE_RMW(p, EXPLORE_AND, v, EXPLORE_ACQ_REL, "and_acq_rel(" #p ", " #v ")")
#define and_seq_cst(p, v) EXPLORE_RMW(p, EXPLORE_AND, v, EXPLORE_SEQ_CST, "and_seq_cst(" #p ", " #v ")")

/* The thread goes on when one of the words it has read since its last pause has a newer value. */
#define cpu_relax() explore_pause(EXPLORE_SITE("cpu_relax()"))

#define plain_load(p) (*(explore_plain((const void *)(p), false, EXPLORE_SITE("plain_load(" #p ")")), (p)))
#define plain_store(p, v)                                                                                    \
	(explore_plain((const void *)(p), true, EXPLORE_SITE("plain_store(" #p ")")), (void)(*(p) = (v)))

#endif /* HILO_TESTS_EXPLORE_ATOMIC_EXPLORE_H */
