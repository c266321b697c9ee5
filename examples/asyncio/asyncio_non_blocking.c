/* SPDX-License-Identifier: MIT */
/*
 * asyncio_non_blocking.c - what to do instead: suspend, and the worker runs something else.
 *
 *	await asyncio.sleep(2)   hilo_sleep(2 * HILO_SECOND)
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int non_blocking_task(void)
{
	int rc;

	puts("Iniciando tarea no bloqueante");
	rc = hilo_sleep(2 * HILO_SECOND);
	if (rc < 0)
		return rc;
	puts("Tarea no bloqueante completada");
	return 0;
}

static int main_task(void *arg)
{
	(void)arg;
	return non_blocking_task();
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
