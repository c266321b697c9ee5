/* SPDX-License-Identifier: MIT */
/*
 * asyncio_semaphore.c - four workers, of whom two are inside at a time.
 *
 *	semaphore = asyncio.Semaphore(2)   hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2)
 *	async with semaphore: ...          HILO_WITH_SEMAPHORE (semaphore, &rc) { ... }
 *
 * Tasks that are pinned to one loop take turns as those of asyncio do. Without that they run on all cores, and
 * two at a time all the same.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2);

static int worker(void *name)
{
	int rc;

	HILO_WITH_SEMAPHORE(&semaphore, &rc)
	{
		printf("Trabajador %s ha obtenido acceso.\n", (char *)name);
		rc = hilo_sleep(2 * HILO_SECOND);
	}
	if (rc == 0)
		printf("Trabajador %s ha liberado acceso.\n", (char *)name);
	return rc;
}

static int main_task(void *arg)
{
	static char names[4][2] = {"A", "B", "C", "D"};
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	hilo_task *tasks[4] = {NULL};

	(void)arg;
	for (int i = 0; i < 4; i++)
		if (hilo_spawn_with(worker, names[i], &pinned, &tasks[i]) < 0)
			break;
	return hilo_gather(tasks, 4, NULL, HILO_FOREVER);
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
