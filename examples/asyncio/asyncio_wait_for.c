/* SPDX-License-Identifier: MIT */
/*
 * asyncio_wait_for.c - a limit in time.
 *
 *	await asyncio.wait_for(long_task(), timeout=3)   hilo_wait_for(long_task, NULL, hilo_after(3 * HILO_SECOND))
 *	except asyncio.TimeoutError: ...                 if (rc == -ETIMEDOUT) ...
 *
 * The task has really ended when hilo_wait_for returns. HILO_TIMEOUT is the same for a block.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>

static int long_task(void *arg)
{
	int rc = hilo_sleep(5 * HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc; /* cancelled */
	puts("Tarea larga completada");
	return 0;
}

static int main_task(void *arg)
{
	int rc = hilo_wait_for(long_task, NULL, hilo_after(3 * HILO_SECOND));

	(void)arg;
	if (rc == -ETIMEDOUT) {
		puts("La tarea excedió el límite de tiempo y fue cancelada");
		rc = 0;
	}
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
