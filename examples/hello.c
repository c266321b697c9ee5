/* SPDX-License-Identifier: MIT */
/*
 * hello.c - two tasks that sleep in parallel, and one that waits for both.
 */
#include <hilo/hilo.h>

#include <stdio.h>

/* A task is a C function: 0 or more on success, a negative errno on failure. */
struct say {
	hilo_time delay;
	const char *what;
};

static int say_after(void *arg)
{
	const struct say *say = arg;
	int rc = hilo_sleep(say->delay);

	if (rc < 0)
		return rc; /* cancelled */
	puts(say->what);
	return 0;
}

static int main_task(void *arg)
{
	hilo_time start = hilo_now();
	hilo_task *first = hilo_spawn(say_after, &(struct say){100 * HILO_MILLISECOND, "first task done"});
	hilo_task *second = hilo_spawn(say_after, &(struct say){200 * HILO_MILLISECOND, "second task done"});
	int rc, rc2;

	(void)arg;
	puts("tasks spawned");
	rc = hilo_join(first, HILO_FOREVER); /* waits, returns the task's code, ends the handle */
	rc2 = hilo_join(second, HILO_FOREVER);
	printf("all done after %d ms\n", (int)((hilo_now() - start) / HILO_MILLISECOND));
	return rc < 0 ? rc : rc2;
}

int main(void)
{
	int rc = hilo_run(main_task, NULL, NULL); /* one worker per core, defaults for the rest */

	if (rc < 0)
		fprintf(stderr, "hello: %s\n", hilo_strerror(rc));
	return rc < 0;
}
