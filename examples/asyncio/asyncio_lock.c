/* SPDX-License-Identifier: MIT */
/*
 * asyncio_lock.c - two workers, of whom one is inside at a time.
 *
 *	lock = asyncio.Lock()    hilo_mutex lock = HILO_MUTEX_INIT
 *	async with lock: ...     HILO_WITH_MUTEX (&lock, &rc) { ... }
 *
 * Tasks that are pinned to one loop take turns as those of asyncio do. Without that they run on all cores, and
 * one at a time all the same.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static hilo_mutex lock = HILO_MUTEX_INIT;

static int worker(void *name)
{
	int rc;

	printf("Trabajador %s está intentando adquirir el lock...\n", (char *)name);
	HILO_WITH_MUTEX(&lock, &rc)
	{
		printf("Trabajador %s ha adquirido el lock.\n", (char *)name);
		rc = hilo_sleep(2 * HILO_SECOND);
	}
	if (rc == 0)
		printf("Trabajador %s ha liberado el lock.\n", (char *)name);
	return rc;
}

static int main_task(void *arg)
{
	static char names[2][2] = {"A", "B"};
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	hilo_task *tasks[2] = {NULL};

	(void)arg;
	for (int i = 0; i < 2; i++)
		if (hilo_spawn_with(worker, names[i], &pinned, &tasks[i]) < 0)
			break;
	return hilo_gather(tasks, 2, NULL, HILO_FOREVER);
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
