/* SPDX-License-Identifier: MIT */
/*
 * asyncio_event.c - two that wait until something has happened.
 *
 *	event = asyncio.Event()   hilo_event event = HILO_EVENT_INIT
 *	await event.wait()        hilo_event_wait(&event, HILO_FOREVER)
 *	event.set()               hilo_event_set(&event)
 *
 * Tasks that are pinned to one loop take turns as those of asyncio do. Without that they run on all cores.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static hilo_event event = HILO_EVENT_INIT;

static int waiter(void *name)
{
	int rc;

	printf("Esperador %s está esperando el evento...\n", (char *)name);
	rc = hilo_event_wait(&event, HILO_FOREVER);
	if (rc == 0)
		printf("Esperador %s ha recibido el evento!\n", (char *)name);
	return rc;
}

static int setter(void *arg)
{
	int rc = hilo_sleep(2 * HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc;
	puts("Estableciendo el evento.");
	return hilo_event_set(&event);
}

static int main_task(void *arg)
{
	static char names[2][2] = {"A", "B"};
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	hilo_task *tasks[3] = {NULL};
	int rc = hilo_spawn_with(waiter, names[0], &pinned, &tasks[0]);

	(void)arg;
	if (rc == 0)
		rc = hilo_spawn_with(waiter, names[1], &pinned, &tasks[1]);
	if (rc == 0)
		rc = hilo_spawn_with(setter, NULL, &pinned, &tasks[2]);
	return hilo_gather(tasks, 3, NULL, HILO_FOREVER);
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
