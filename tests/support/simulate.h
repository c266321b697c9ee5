/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SIMULATE_H
#define TESTS_SUPPORT_SIMULATE_H

/*
 * simulate.h - a program of tasks in a deterministic simulation: one thread, virtual time, and a
 * seeded choice wherever the scheduler may choose. The same seed gives the same run, to the nanosecond.
 *
 *	thread      one, which drives the only worker; there is no spare one, and no thread can be started,
 *	            so hilo_run_in_executor answers -EAGAIN
 *	time        stands still while tasks run (each look at the clock adds 1 ns, so that who waits for it
 *	            in a loop gets on), and jumps to the next deadline where the worker would sleep
 *	choices     the lots of scheduler/loop.h, drawn from the seed
 *	dead end    nothing is ready and no deadline is armed: a dump, and abort
 *
 * Built from seams that the library has: the source of time of base/clock.h, the table of system
 * calls of base/sys.h, the lots, and a runtime without threads. Files and sockets are not simulated;
 * nor is the order in which tasks that are left when @main returns are cancelled.
 */
#include "tests/support/test.h"

/* Where virtual time begins. */
#define SIMULATE_BEGIN (1000 * HILO_SECOND)

/* [test] Run @main(@arg) with @seed in a simulation, and return what it returned. One at a time. */
int test_simulate(uint64_t seed, hilo_task_fn main, void *arg);

/* [test] The same without choices: the scheduler decides as it does in a program. */
int test_simulate_natural(hilo_task_fn main, void *arg);

/* [any, while one runs] How often the worker went to sleep, that is how often time has jumped. */
uint64_t test_simulate_jumps(void);

#endif /* TESTS_SUPPORT_SIMULATE_H */
