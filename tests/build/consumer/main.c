/* SPDX-License-Identifier: MIT */
/*
 * main.c - spawns a few tasks with the installed library, and compares its version with its headers'.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int square(void *arg)
{
	int *n = (int *)arg;
	int rc = hilo_yield();

	return rc < 0 ? rc : *n * *n;
}

static int main_task(void *arg)
{
	int n[] = {1, 2, 3, 4};
	hilo_task *task[4];
	int sum = 0;

	(void)arg;
	for (int i = 0; i < 4; i++)
		task[i] = hilo_spawn(square, &n[i]);
	for (int i = 0; i < 4; i++)
		sum += hilo_join(task[i], HILO_FOREVER);
	return sum;
}

int main(void)
{
	int sum = hilo_run(main_task, NULL, NULL);

	printf("hilo %s: %d\n", hilo_version_string(), sum);
	return sum == 30 && hilo_version() == HILO_VERSION ? 0 : 1;
}
