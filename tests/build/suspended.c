/* SPDX-License-Identifier: MIT */
/*
 * suspended.c - what test_gdb.sh looks at: a task that sleeps in functions with names of their own,
 * while another one stands in at_rest(). Only <hilo/...>, as a user has it.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))

static volatile int depth; /* each caller has something left to do, so that no call becomes a jump */
static bool leaves_core;
static hilo_task *sleeper;

NOINLINE int innermost_of_user(void);
NOINLINE int middle_of_user(int number);
NOINLINE void at_rest(void);

NOINLINE int innermost_of_user(void)
{
	int rc = hilo_sleep_until(HILO_FOREVER);

	depth++;
	return rc;
}

NOINLINE int middle_of_user(int number)
{
	volatile int on_the_stack = number;
	int rc = innermost_of_user();

	depth += on_the_stack;
	return rc;
}

static int entry_of_user(void *arg)
{
	int rc = middle_of_user(4711);

	(void)arg;
	depth++;
	return rc;
}

/* The debugger stops here, or a core file is left. */
NOINLINE void at_rest(void)
{
	depth++;
	if (leaves_core)
		abort();
}

static int suspended_main(void *arg)
{
	sleeper = hilo_spawn(entry_of_user, arg);
	if (!sleeper)
		return -1;
	while (hilo_task_get_state(sleeper) != HILO_TASK_SUSPENDED)
		(void)hilo_yield();
	at_rest();
	(void)hilo_task_cancel(sleeper);
	return hilo_join(sleeper, HILO_FOREVER) == -ECANCELED ? 0 : 1;
}

/* With any argument it aborts where it would be stopped. */
int main(int argc, char **argv)
{
	(void)argv;
	leaves_core = argc > 1;
	return hilo_run(suspended_main, NULL, NULL);
}
