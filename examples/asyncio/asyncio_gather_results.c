/* SPDX-License-Identifier: MIT */
/*
 * asyncio_gather_results.c - several tasks at once, and what each has returned, by position.
 *
 *	await asyncio.gather(task1(), task2())   hilo_gather(tasks, 2, results, HILO_FOREVER)
 *
 * With a place for the results nothing is lost: a failure is one of them. Where one failure is to stop the
 * others, HILO_GROUP is the better way.
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
	return 1;
}

static int task2(void *arg)
{
	int rc = hilo_sleep(2 * HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc;
	puts("Tarea 2 completada");
	return 2;
}

static int main_task(void *arg)
{
	hilo_task *tasks[] = {hilo_spawn(task1, NULL), hilo_spawn(task2, NULL)};
	int results[2];
	int rc = hilo_gather(tasks, 2, results, HILO_FOREVER);

	(void)arg;
	if (rc < 0)
		return rc;
	if (results[0] < 0 || results[1] < 0)
		return results[0] < 0 ? results[0] : results[1];
	puts("Todas las tareas completadas");
	return 0;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
