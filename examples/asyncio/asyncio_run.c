/* SPDX-License-Identifier: MIT */
/*
 * asyncio_run.c - start, run one function, end: hilo_run.
 *
 *	asyncio.run(main())      hilo_run(main_task, NULL, NULL)
 *	await asyncio.sleep(1)   hilo_sleep(HILO_SECOND)
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int main_task(void *arg)
{
	int rc;

	(void)arg;
	puts("¡Hola desde asyncio.run!");
	rc = hilo_sleep(HILO_SECOND);
	if (rc < 0)
		return rc;
	puts("¡Adiós desde asyncio.run!");
	return 0;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
