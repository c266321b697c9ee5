/* SPDX-License-Identifier: MIT */
/*
 * asyncio_gather.c - several tasks at once, on all cores.
 *
 *	await asyncio.gather(task1(), task2())   hilo_gather(tasks, 2, NULL, HILO_FOREVER)
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int task1(void *arg)
{
	int rc = hilo_sleep(1 * HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc;
	puts("Tarea 1 completada");
	return 0;
}

static int task2(void *arg)
{
	int rc = hilo_sleep(2 * HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc;
	puts("Tarea 2 completada");
	return 0;
}

static int main_task(void *arg)
{
	hilo_task *tasks[] = {hilo_spawn(task1, NULL), hilo_spawn(task2, NULL)};
	int rc = hilo_gather(tasks, 2, NULL, HILO_FOREVER);

	(void)arg;
	if (rc < 0)
		return rc;
	puts("Todas las tareas completadas");
	return 0;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
