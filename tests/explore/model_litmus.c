/* SPDX-License-Identifier: MIT */
/*
 * model_litmus.c - the explorer's own test: small programs whose outcomes are known.
 *
 * For each there is one outcome of interest, a predicate over what the threads have read. ALLOWED: C11 and
 * the explorer's model have it, so the search must find it. FORBIDDEN: C11 has it not, so no execution may
 * end so. BEYOND: C11 has it, the explorer's model has not; README.md says so, and this keeps it true.
 */
#include "tests/explore/explore.h"

#include "scheduler/base/compiler.h"

#define OUTCOME "the outcome"

static atomic(uint32_t) x, y, z;
static atomic(uint32_t) lock;
static unsigned r0, r1, r2, r3;
static unsigned data;

static void setup(void)
{
	x = y = z = lock = 0;
	r0 = r1 = r2 = r3 = 99;
	data = 0;
}

/* One thread, as a function. */
#define T(NAME, ...)                                                                                         \
	static void NAME(void)                                                                               \
	{                                                                                                    \
		__VA_ARGS__;                                                                                 \
	}
/* The outcome of interest. */
#define WHEN(NAME, CONDITION)                                                                                \
	static void NAME(void)                                                                               \
	{                                                                                                    \
		if (CONDITION)                                                                               \
			explore_fail("%s: %s", OUTCOME, #CONDITION);                                         \
	}

/* Store buffering. */
T(sb0_rlx, store_relaxed(&x, 1); r0 = load_relaxed(&y))
T(sb1_rlx, store_relaxed(&y, 1); r1 = load_relaxed(&x))
T(sb0_acq, store_release(&x, 1); r0 = load_acquire(&y))
T(sb1_acq, store_release(&y, 1); r1 = load_acquire(&x))
T(sb0_sc, store_seq_cst(&x, 1); r0 = load_seq_cst(&y))
T(sb1_sc, store_seq_cst(&y, 1); r1 = load_seq_cst(&x))
T(sb1_half, store_seq_cst(&y, 1); r1 = load_acquire(&x))
T(sb0_rmw, (void)xchg_seq_cst(&x, 1); r0 = load_seq_cst(&y))
T(sb1_rmw, (void)xchg_seq_cst(&y, 1); r1 = load_seq_cst(&x))
WHEN(both_missed, r0 == 0 && r1 == 0)

/* Message passing. */
T(mp0_rlx, store_relaxed(&x, 1); store_relaxed(&y, 1))
T(mp0_rel, store_relaxed(&x, 1); store_release(&y, 1))
T(mp0_sc, store_seq_cst(&x, 1); store_relaxed(&y, 1))
T(mp1_rlx, r0 = load_relaxed(&y); r1 = load_relaxed(&x))
T(mp1_acq, r0 = load_acquire(&y); r1 = load_relaxed(&x))
T(mp1_sc, r0 = load_relaxed(&y); r1 = load_seq_cst(&x))
WHEN(flag_without_data, r0 == 1 && r1 == 0)

/* A release sequence: read-modify-writes continue it, of any thread and order; plain stores do not. */
T(rs0, store_relaxed(&x, 1); store_release(&y, 1))
T(rs0_again, store_relaxed(&x, 1); store_release(&y, 1); store_relaxed(&y, 2))
T(rs1, (void)add_relaxed(&y, 10))
T(rs1_store, if (load_relaxed(&y) == 1) store_relaxed(&y, 11))
T(rs2, r0 = load_acquire(&y); r1 = load_relaxed(&x))
WHEN(sequence_broken, r0 == 11 && r1 == 0)
WHEN(second_without_data, r0 == 2 && r1 == 0)

/* Independent reads of independent writes. */
T(iriw0, store_release(&x, 1))
T(iriw1, store_release(&y, 1))
T(iriw2_acq, r0 = load_acquire(&x); r1 = load_acquire(&y))
T(iriw3_acq, r2 = load_acquire(&y); r3 = load_acquire(&x))
T(iriw0_sc, store_seq_cst(&x, 1))
T(iriw1_sc, store_seq_cst(&y, 1))
T(iriw2_sc, r0 = load_seq_cst(&x); r1 = load_seq_cst(&y))
T(iriw3_sc, r2 = load_seq_cst(&y); r3 = load_seq_cst(&x))
WHEN(readers_disagree, r0 == 1 && r1 == 0 && r2 == 1 && r3 == 0)

/* Write to read causality. */
T(wrc0, store_relaxed(&x, 1))
T(wrc1_rlx, r0 = load_relaxed(&x); store_relaxed(&y, 1))
T(wrc1_rel, r0 = load_relaxed(&x); store_release(&y, 1))
T(wrc1_acq, r0 = load_acquire(&x); store_release(&y, 1))
T(wrc0_rel, store_release(&x, 1))
T(wrc2, r1 = load_acquire(&y); r2 = load_relaxed(&x))
WHEN(cause_unseen, r0 == 1 && r1 == 1 && r2 == 0)

/* Coherence: one location's values come in one order, for each thread. */
T(co0, store_relaxed(&x, 1); store_relaxed(&x, 2))
T(co1, r0 = load_relaxed(&x); r1 = load_relaxed(&x))
T(co_own, store_relaxed(&x, 1); r0 = load_relaxed(&x))
T(co_rmw, (void)add_relaxed(&x, 1); r1 = load_relaxed(&x))
WHEN(went_back, r0 == 2 && r1 == 1)
WHEN(own_unseen, r0 == 0 || r1 == 0)
T(inc0, r0 = add_relaxed(&x, 1))
T(inc1, r1 = add_relaxed(&x, 1))
T(inc0_apart, r0 = load_seq_cst(&x); store_seq_cst(&x, r0 + 1))
T(inc1_apart, r1 = load_seq_cst(&x); store_seq_cst(&x, r1 + 1))
WHEN(count_lost, r0 == r1)

/* Load buffering, two plain stores each to two words, and what C11 lets a seq_cst load do. */
T(lb0, r0 = load_relaxed(&y); store_relaxed(&x, 1))
T(lb1, r1 = load_relaxed(&x); store_relaxed(&y, 1))
WHEN(out_of_nothing, r0 == 1 && r1 == 1)
T(ww0, store_relaxed(&x, 1); store_relaxed(&y, 2))
T(ww1, store_relaxed(&y, 1); store_relaxed(&x, 2))
WHEN(both_first, x == 1 && y == 1)

/* A compare-and-swap that fails is a load of its own order, and may fail on an old value. */
static void cas_reader(bool acquires)
{
	uint32_t expected = 7;

	if (acquires ? cas_acquire(&y, &expected, 8) : cas_release(&y, &expected, 8))
		return;
	r0 = expected;
	r1 = load_relaxed(&x);
}
T(cas_fails_rel, cas_reader(false))
T(cas_fails_acq, cas_reader(true))
T(cas_after_one, uint32_t e = 9; r0 = load_relaxed(&x); (void)cas_relaxed(&y, &e, 1); r1 = e)
T(both_words, store_relaxed(&y, 1); store_relaxed(&x, 1))
T(cas_one0, uint32_t e = 0; r0 = cas_relaxed(&x, &e, 1))
T(cas_one1, uint32_t e = 0; r1 = cas_relaxed(&x, &e, 1))
WHEN(two_winners, r0 + r1 != 1)

/* A lock that is a loop around a CAS: two threads count without one being lost. */
static void lock_count(bool acquires, bool releases)
{
	uint32_t word = load_relaxed(&lock);

	for (;;) {
		if (word == 1) {
			cpu_relax();
			word = load_relaxed(&lock);
		} else if (acquires ? cas_acquire(&lock, &word, 1) : cas_relaxed(&lock, &word, 1)) {
			break;
		}
	}
	plain_store(&data, plain_load(&data) + 1);
	releases ? store_release(&lock, 0) : store_relaxed(&lock, 0);
}
T(lock_right, lock_count(true, true))
T(lock_unordered, lock_count(true, false))
T(lock_unacquired, lock_count(false, true))
WHEN(lock_failed, data != 2)

/* Plain data. */
T(race_write, plain_store(&data, 1))
T(race_read, r0 = plain_load(&data))
T(race_publish, plain_store(&data, 1); store_release(&x, 1))
T(race_publish_rlx, plain_store(&data, 1); store_relaxed(&x, 1))
T(race_consume, if (load_acquire(&x)) r0 = plain_load(&data))
T(race_late, store_release(&x, 1); plain_store(&data, 1))
T(retire_now, explore_retire(&data, sizeof(data)))
T(retire_after, if (load_acquire(&x)) explore_retire(&data, sizeof(data)))
T(use_atomic, store_relaxed(&y, 1); store_release(&x, 1))
T(retire_atomic, if (load_relaxed(&x)) explore_retire(&y, sizeof(y)))
WHEN(no_outcome, false)

/* Sleeping and spinning. */
T(sleeper_checks, if (!load_seq_cst(&x)) explore_park())
T(waker, store_seq_cst(&x, 1); explore_unpark(0))
T(sleeper_announces, store_seq_cst(&y, 1); if (!load_seq_cst(&x)) explore_park())
T(sleeper_announces_acq, store_release(&y, 1); if (!load_acquire(&x)) explore_park())
T(waker_if_asleep, store_seq_cst(&x, 1); if (load_seq_cst(&y)) explore_unpark(0))
T(spinner, while (!load_relaxed(&x)) cpu_relax())
T(nobody, )
T(store_x, store_relaxed(&x, 1))
T(spins_y_sets_x, while (!load_relaxed(&y)) cpu_relax(); store_relaxed(&x, 1))
T(spins_x_sets_y, while (!load_relaxed(&x)) cpu_relax(); store_relaxed(&y, 1))
T(futex_sleeper, bool late; while (!load_acquire(&x))(void) explore_futex_wait(&x, 4, 0, false, &late))
T(futex_waker, store_release(&x, 1); (void)explore_futex_wake(&x, 1))
T(futex_waker_first, (void)explore_futex_wake(&x, 1); store_release(&x, 1))
T(futex_waker_two, store_release(&x, 1); (void)explore_futex_wake(&x, 2))

#define FORBIDDEN(NAME, OPERATIONS, WHEN_, ...) EXPLORE_MODEL(NAME, OPERATIONS, setup, WHEN_, __VA_ARGS__)
#define MUST_FAIL(NAME, OPERATIONS, MESSAGE, FINISH, ...)                                                    \
	{                                                                                                    \
		.name = NAME, .operations = OPERATIONS, .setup = setup, .finish = FINISH,                    \
		.threads = sizeof((void (*[])(void)){__VA_ARGS__}) / sizeof(void (*)(void)),                 \
		.thread = {__VA_ARGS__}, .must_fail = MESSAGE,                                               \
	}
#define ALLOWED(NAME, OPERATIONS, WHEN_, ...) MUST_FAIL(NAME, OPERATIONS, OUTCOME, WHEN_, __VA_ARGS__)
#define BEYOND FORBIDDEN

static const struct explore_model models[] = {
	ALLOWED("sb_relaxed", "x = 1, read y; y = 1, read x: both 0", both_missed, sb0_rlx, sb1_rlx),
	ALLOWED("sb_acquire", "the same, release and acquire", both_missed, sb0_acq, sb1_acq),
	ALLOWED("sb_half", "the same, one load acquires, all else seq_cst", both_missed, sb0_sc, sb1_half),
	FORBIDDEN("sb_seq_cst", "the same, seq_cst", both_missed, sb0_sc, sb1_sc),
	FORBIDDEN("sb_rmw", "the same, exchanges instead of stores", both_missed, sb0_rmw, sb1_rmw),

	ALLOWED("mp_relaxed", "x = 1, y = 1; read y, x: 1, 0", flag_without_data, mp0_rlx, mp1_rlx),
	ALLOWED("mp_release_only", "the same, y is released", flag_without_data, mp0_rel, mp1_rlx),
	ALLOWED("mp_acquire_only", "the same, y is acquired", flag_without_data, mp0_rlx, mp1_acq),
	FORBIDDEN("mp", "the same, both", flag_without_data, mp0_rel, mp1_acq),

	FORBIDDEN("rs_rmw", "T0 releases y, T1 adds to it, T2 acquires the sum", sequence_broken, rs0, rs1,
		  rs2),
	ALLOWED("rs_store", "T0 releases y, T1 stores to it, T2 acquires that", sequence_broken, rs0,
		rs1_store, rs2),
	ALLOWED("rs_own_store", "T0 releases y, then stores to it, T1 acquires that", second_without_data,
		rs0_again, rs2),

	ALLOWED("iriw_acquire", "T0: x = 1; T1: y = 1; T2, T3 read both and disagree", readers_disagree,
		iriw0, iriw1, iriw2_acq, iriw3_acq),
	FORBIDDEN("iriw_seq_cst", "the same, seq_cst", readers_disagree, iriw0_sc, iriw1_sc, iriw2_sc,
		  iriw3_sc),
	ALLOWED("wrc_relaxed", "T0: x = 1; T1 reads it, stores y; T2 acquires y, reads x: 0", cause_unseen,
		wrc0, wrc1_rlx, wrc2),
	FORBIDDEN("wrc_coherence", "the same, T1 releases y: its own read of x came before", cause_unseen,
		  wrc0, wrc1_rel, wrc2),
	FORBIDDEN("wrc", "the same, T0 and T1 release, T1 acquires", cause_unseen, wrc0_rel, wrc1_acq, wrc2),

	FORBIDDEN("co_read_read", "x = 1, x = 2; read x twice: 2, 1", went_back, co0, co1),
	FORBIDDEN("co_own", "x = 1, read x; x + 1, read x: 0", own_unseen, co_own, co_rmw),
	FORBIDDEN("co_rmw", "x + 1; x + 1: one is lost", count_lost, inc0, inc1),

	ALLOWED("co_increment", "the same, load and store apart: takes a preemption", count_lost, inc0_apart,
		inc1_apart),
	FORBIDDEN("cas_one_winner", "two CAS from 0", two_winners, cas_one0, cas_one1),
	ALLOWED("cas_fails_relaxed", "x = 1, release y; CAS on y fails without acquire, read x: 0",
		flag_without_data, mp0_rel, cas_fails_rel),
	FORBIDDEN("cas_fails_acquire", "the same, the failure acquires", flag_without_data, mp0_rel,
		  cas_fails_acq),
	ALLOWED("cas_fails_on_old", "y = 1, x = 1; read x: 1, CAS on y fails on 0", flag_without_data,
		both_words, cas_after_one),

	FORBIDDEN("lock", "2 x (lock, count, unlock)", lock_failed, lock_right, lock_right),
	MUST_FAIL("lock_unordered", "the same, unlock does not release", "data race", NULL, lock_unordered,
		  lock_unordered),
	MUST_FAIL("lock_unacquired", "the same, lock does not acquire", "data race", NULL, lock_unacquired,
		  lock_unacquired),

	MUST_FAIL("race", "write; read", "data race", NULL, race_write, race_read),
	MUST_FAIL("race_relaxed", "write, x = 1; acquire x, read", "data race", NULL, race_publish_rlx,
		  race_consume),
	MUST_FAIL("race_late", "release x, write; acquire x, read", "data race", NULL, race_late,
		  race_consume),
	FORBIDDEN("race_none", "write, release x; acquire x, read", no_outcome, race_publish, race_consume),
	MUST_FAIL("retire_early", "write; give the memory up", "free", NULL, race_write, retire_now),
	MUST_FAIL("retire_early_atomic", "y = 1, release x; see x, give y up", "freed while", NULL,
		  use_atomic, retire_atomic),
	FORBIDDEN("retire", "write, release x; acquire x, give the memory up", no_outcome, race_publish,
		  retire_after),

	FORBIDDEN("park", "if x is 0, park; x = 1, unpark", no_outcome, sleeper_checks, waker),
	FORBIDDEN("park_announced", "y = 1, if x is 0, park; x = 1, if y is 1, unpark", no_outcome,
		  sleeper_announces, waker_if_asleep),
	MUST_FAIL("lost_wakeup", "the same, T0 with release and acquire", "deadlock", NULL,
		  sleeper_announces_acq, waker_if_asleep),
	MUST_FAIL("park_for_ever", "park", "deadlock", NULL, sleeper_checks, nobody),
	FORBIDDEN("spin", "spin until x is 1; x = 1", no_outcome, spinner, store_x),
	MUST_FAIL("spin_for_ever", "spin until x is 1", "deadlock", NULL, spinner, nobody),
	MUST_FAIL("spin_both", "spin for y, x = 1; spin for x, y = 1", "deadlock", NULL, spins_y_sets_x,
		  spins_x_sets_y),
	FORBIDDEN("futex", "sleep while x is 0; x = 1, wake", no_outcome, futex_sleeper, futex_waker),
	MUST_FAIL("futex_early_wake", "sleep while x is 0; wake, x = 1", "deadlock", NULL, futex_sleeper,
		  futex_waker_first),
	FORBIDDEN("futex_two", "2 x (sleep while x is 0); x = 1, wake 2", no_outcome, futex_sleeper,
		  futex_sleeper, futex_waker_two),
	MUST_FAIL("futex_one_of_two", "2 x (sleep while x is 0); x = 1, wake 1", "deadlock", NULL,
		  futex_sleeper, futex_sleeper, futex_waker),

	BEYOND("beyond_lb", "read y, x = 1; read x, y = 1: both 1", out_of_nothing, lb0, lb1),
	BEYOND("beyond_2_2w", "x = 1, y = 2; y = 1, x = 2: both end as 1", both_first, ww0, ww1),
	BEYOND("beyond_mp_seq_cst", "x = 1 seq_cst, y = 1; read y, then x seq_cst: 1, 0", flag_without_data,
	       mp0_sc, mp1_sc),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
