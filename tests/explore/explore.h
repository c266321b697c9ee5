/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_EXPLORE_H
#define HILO_TESTS_EXPLORE_EXPLORE_H

/*
 * explore.h - what a model sees of the explorer.
 *
 * A model is a small closed scenario: 2 to 4 threads, each a function that calls the shipped code a
 * few times. The explorer runs all executions of it that need at most `bound` preemptions, under a
 * C11 memory model, and stops at the first that goes wrong. README.md tells how and within which limits.
 *
 * Rules for a model, on which the soundness of the reductions rests:
 *   - a thread's course depends only on what it reads through the macros of atomic.h, on plain_load of
 *     data that is not raced for, and on explore_choose. Variables that threads share outside of the
 *     macros may only be counted up, or written once and read by `finish`.
 *   - when a CAS fails whose expected value the thread's last operation has loaded from the same word,
 *     the thread goes on as if that load had returned what the CAS found. Loops around a CAS do.
 *   - everything lies in static memory, and `setup` puts all of it into the same first state.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"

#ifndef HILO_EXPLORE
#error "models are compiled with -DHILO_EXPLORE"
#endif

#define EXPLORE_THREADS 4

struct explore_model {
	const char *name;
	const char *operations; /* what its threads do, in one line */
	unsigned threads;
	void (*thread[EXPLORE_THREADS])(void);
	void (*setup)(void);  /* before each execution */
	void (*finish)(void); /* after each complete one: nothing lost, doubled or leaked? */
	/*
	 * Called when some threads have parked for good and all others have ended: true if work remains
	 * that one of them should have been woken for. NULL: nobody may be left parked.
	 */
	bool (*work_remains)(void);
	int bound; /* preemptions, if not the default */
	/* It takes more than 5 s. With --short it is explored with one preemption less. */
	bool is_long;
	/*
	 * The model is about the explorer: the search must end with a failure whose message has this in it.
	 * NULL: it must find none.
	 */
	const char *must_fail;
	/* cpu_relax waits for time to pass, not for another thread; the loop around it ends by itself. */
	bool pauses_end;
};

/* An entry of a program's table of models: name, operations, setup, finish, threads. */
#define EXPLORE_MODEL(NAME, OPERATIONS, SETUP, FINISH, ...)                                                  \
	EXPLORE_MODEL_WITH(0, false, NAME, OPERATIONS, SETUP, FINISH, __VA_ARGS__)

/* The same with a bound of its own, for what would take too long at the usual one. */
#define EXPLORE_MODEL_BOUND(BOUND, NAME, OPERATIONS, SETUP, FINISH, ...)                                     \
	EXPLORE_MODEL_WITH(BOUND, false, NAME, OPERATIONS, SETUP, FINISH, __VA_ARGS__)

/* The same for one that is_long; 0 is the usual bound. */
#define EXPLORE_MODEL_LONG(BOUND, NAME, OPERATIONS, SETUP, FINISH, ...)                                      \
	EXPLORE_MODEL_WITH(BOUND, true, NAME, OPERATIONS, SETUP, FINISH, __VA_ARGS__)

#define EXPLORE_MODEL_WITH(BOUND, LONG, NAME, OPERATIONS, SETUP, FINISH, ...)                                \
	{                                                                                                    \
		.name = NAME, .operations = OPERATIONS, .setup = SETUP, .finish = FINISH, .bound = BOUND,    \
		.is_long = LONG,                                                                             \
		.threads = sizeof((void (*[])(void)){__VA_ARGS__}) / sizeof(void (*)(void)),                 \
		.thread = {__VA_ARGS__},                                                                     \
	}

/* Run the models that the command line asks for; returns main's status. */
int explore_main(int argc, char **argv, const struct explore_model *models, size_t count);

/* The index of the model thread that runs. */
unsigned explore_self(void);

/*
 * Sleep until unparked; an unpark that came first is kept, but only one. Neither orders memory: a
 * model must not lean on what a kernel happens to order.
 */
void explore_park(void);
void explore_unpark(unsigned thread);

/*
 * What a futex does. wait: sleep if the newest value of @word is @expected, else return false at once;
 * with @timed it may end by itself at any time, which *ret_timeout tells. wake: how many it woke.
 */
bool explore_futex_wait(const void *word, size_t size, uint64_t expected, bool timed, bool *ret_timeout);
unsigned explore_futex_wake(const void *word, unsigned n);

/* What hilo__clock_now tells; a wait for a futex that ends because its time is up puts it forward. */
extern int64_t explore_clock;

/* Any number below @n, all of them in turn. */
unsigned explore_choose(unsigned n);

/* The memory at @p is given up: later accesses, and earlier ones not ordered before, are faults. */
void explore_retire(const void *p, size_t size);

/* End the execution as a failure. */
void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define EXPLORE_CHECK(x)                                                                                     \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			explore_fail("%s:%d: check failed: %s", __FILE__, __LINE__, #x);                     \
	} while (0)

#endif /* HILO_TESTS_EXPLORE_EXPLORE_H */
