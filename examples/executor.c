/* SPDX-License-Identifier: MIT */
/*
 * executor.c - blocking calls run off the workers while tasks go on.
 *
 * Four calls block a thread for 200 ms each. They run side by side on pool threads, and a task that
 * ticks every 10 ms meanwhile is not held up by them.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>

enum {
	CALLS = 4
};

/* Runs on a pool thread and may block as it likes. */
static int block(void *arg)
{
	struct timespec span = {.tv_nsec = 200 * 1000 * 1000};

	*(int *)arg = nanosleep(&span, NULL) == 0;
	return 0;
}

static int call(void *arg)
{
	return hilo_run_in_executor(NULL, block, arg, HILO_FOREVER);
}

/* Ticks until it is cancelled, and returns how often it did. */
static int tick(void *arg)
{
	int ticks = 0;

	(void)arg;
	while (hilo_sleep(10 * HILO_MILLISECOND) == 0)
		ticks++;
	return ticks;
}

static int main_task(void *arg)
{
	hilo_time start = hilo_now();
	hilo_task *ticker = hilo_spawn(tick, NULL);
	hilo_task *calls[CALLS];
	int slept[CALLS] = {0};
	int done = 0, failed = 0, ticks, rc;

	(void)arg;
	for (int i = 0; i < CALLS; i++)
		calls[i] = hilo_spawn(call, &slept[i]);
	for (int i = 0; i < CALLS; i++) {
		rc = hilo_join(calls[i], HILO_FOREVER); /* all of them: they write to slept */
		if (rc < 0)
			failed = rc;
		done += slept[i];
	}
	hilo_task_cancel(ticker);
	ticks = hilo_join(ticker, HILO_FOREVER);
	printf("%d blocking calls of 200 ms took %d ms, and the ticker ticked %d times\n", done,
	       (int)((hilo_now() - start) / HILO_MILLISECOND), ticks);
	if (failed < 0)
		return failed;
	return done == CALLS && ticks > 0 ? 0 : -EIO;
}

int main(void)
{
	int rc = hilo_run(main_task, NULL, NULL);

	if (rc < 0)
		fprintf(stderr, "executor: %s\n", hilo_strerror(rc));
	return rc < 0;
}
