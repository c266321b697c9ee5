/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

/*
 * test.h - what tests of tasks share.
 *
 * cmocka's assertions jump out of the function: they are for the test's own thread and stack. Code
 * that runs in a task, a callback or another thread uses TASK_CHECK, which prints both values and
 * aborts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>

#include <hilo/hilo.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"
#include "scheduler/base/proc.h"
#include "scheduler/base/random.h"
#include "scheduler/standin.h"

/* [any] End the program unless @a @op @b, two whole numbers or pointers. */
#define TASK_CHECK(a, op, b)                                                                                 \
	do {                                                                                                 \
		long long test_a_ = (long long)(a), test_b_ = (long long)(b);                                \
                                                                                                             \
		if (!(test_a_ op test_b_))                                                                   \
			test_die(__FILE__, __LINE__, #a " " #op " " #b, test_a_, test_b_);                   \
	} while (0)

/* [any] End the program unless the texts are the same, or unless @a contains @b. */
#define TASK_CHECK_TEXT(a, b) test_check_text(__FILE__, __LINE__, a, b, false)
#define TASK_CHECK_CONTAINS(a, b) test_check_text(__FILE__, __LINE__, a, b, true)

/* [any] End the program unless the caller's last failure says that there were @have bytes, of @want. */
#define TASK_CHECK_SIZES(have, want) test_check_sizes(__FILE__, __LINE__, have, want)

HILO__NORETURN void test_die(const char *file, int line, const char *what, long long a, long long b);
void test_check_sizes(const char *file, int line, uint64_t have, uint64_t want);
void test_check_text(const char *file, int line, const char *a, const char *b, bool contains);

/* [any] This runs under valgrind, which looks for leaks in children, too, and does not know all calls. */
bool test_on_valgrind(void);

/* [test] Once, first in main: the seed is printed, and a program that hangs is ended. */
void test_begin(void);

/* [test] End this test as skipped, for a reason that tests/run shows. */
#define TEST_SKIP(reason)                                                                                    \
	do {                                                                                                 \
		print_message("SKIP: %s\n", reason);                                                         \
		skip();                                                                                      \
	} while (0)

/* [any] HILO_TEST_SEED, or one that was drawn. */
uint64_t test_seed(void);

/* [any] HILO_TEST_SCALE, or 1; sanitizers and emulators get less work than @n asks for, at least 1. */
unsigned test_scale(void);
unsigned test_rounds(unsigned n);

/* [any] @n, or fewer with sanitizers and emulators: of what is there at the same time, whatever the scale. */
unsigned test_fewer(unsigned n);

/* [test] Run @body(@arg) in a new runtime with @workers, and return what it returned. */
int test_run(unsigned workers, hilo_task_fn body, void *arg);

/* [test] The same in the order that a program has, not by lot: whichever seed was asked for. */
int test_run_natural(unsigned workers, hilo_task_fn body, void *arg);

/* [test] As test_run with 1, 2 and 4 workers; each must return 0. */
void test_each(hilo_task_fn body);

/*
 * A test whose body is a task, run with several numbers of workers:
 *
 *	TASK_TEST(test_what_it_shows)
 *	{
 *		TASK_CHECK(...);
 *		return 0;
 *	}
 */
#define TASK_TEST(name)                                                                                      \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		test_each(name##_body);                                                                      \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/*
 * The same for what happens on one loop, in which order: a worker that the machine holds up for long has
 * to wait all the same, nobody stands in for it.
 */
#define LOOP_TEST(name)                                                                                      \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		hilo__nobody_stands_in = true;                                                               \
		test_each(name##_body);                                                                      \
		hilo__nobody_stands_in = false;                                                              \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* [task, plain thread] Let others run until @x is true. */
#define TEST_UNTIL(x)                                                                                        \
	do {                                                                                                 \
		while (!(x))                                                                                 \
			test_pause();                                                                        \
	} while (0)

/* [any] Give others a moment, whether we are cancelled or not. */
void test_pause(void);

/* [any] The errno of the thread that runs us now: not inlined, so that its address is asked for again. */
int test_errno_get(void);
void test_errno_set(int value);

/* Two looks at a thread, some time apart: it was asleep in the kernel at both, and all the time between. */
bool test_thread_blocks(const struct proc_thread *thread);

/* [any] Join a thread without keeping the worker, if this is a task. */
void test_join_thread(pthread_t thread);

/* [any] Threads of this process, and its open descriptors. */
unsigned test_threads(void);
unsigned test_fds(void);

/* [any] Wait until at most @most threads are left: the kernel counts a joined thread a little longer. */
void test_threads_settle(unsigned most);

/* [test] Catch what the library logs, until test_log_end. */
void test_log_begin(void);
void test_log_end(void);

/* [any] Caught lines that contain @part; and the last one, in @buf. */
unsigned test_log_count(const char *part);
void test_log_last(char *buf, size_t size);

/* A bare wait: set once, looked at by anybody. */
typedef atomic(unsigned) test_flag;

/* Entries of tasks that many tests need. */
int test_entry_return(void *arg);	 /* returns (intptr_t)arg */
int test_entry_sleep_forever(void *arg); /* until cancelled */
int test_entry_wait(void *arg);		 /* awaits the future @arg; returns what that returned */

#endif /* TESTS_SUPPORT_TEST_H */
