/* SPDX-License-Identifier: MIT */
/*
 * asyncio_create_task.c - two tasks that run at the same time, and are waited for one after the other.
 *
 *	asyncio.create_task(say_after(1, "..."))   hilo_spawn(say_after, &(struct say){1, "..."})
 *	await task1                                hilo_join(task1, HILO_FOREVER)
 */
#include <hilo/hilo.h>

#include <stdio.h>

struct say {
	int delay; /* seconds */
	const char *message;
};

static int say_after(void *arg)
{
	const struct say *say = arg;
	int rc = hilo_sleep(say->delay * HILO_SECOND);

	if (rc < 0)
		return rc;
	puts(say->message);
	return 0;
}

static int main_task(void *arg)
{
	hilo_task *task1 = hilo_spawn(say_after, &(struct say){1, "Tarea 1 completada"});
	hilo_task *task2 = hilo_spawn(say_after, &(struct say){2, "Tarea 2 completada"});
	int rc1, rc2;

	(void)arg;
	puts("Tareas creadas");
	rc1 = hilo_join(task1, HILO_FOREVER);
	rc2 = hilo_join(task2, HILO_FOREVER);
	if (rc1 < 0 || rc2 < 0)
		return rc1 < 0 ? rc1 : rc2;
	puts("Todas las tareas completadas");
	return 0;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
