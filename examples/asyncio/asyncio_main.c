/* SPDX-License-Identifier: MIT */
/*
 * asyncio_main.c - how a program begins: one call starts the workers, runs its main function, and ends them.
 *
 *	asyncio.run(main())   hilo_run(main_task, NULL, NULL)
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int main_task(void *arg)
{
	(void)arg;
	puts("Ejecutando la corrutina principal");
	return 0;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
