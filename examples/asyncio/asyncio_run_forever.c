/* SPDX-License-Identifier: MIT */
/*
 * asyncio_run_forever.c - a runtime that runs in the background, and a thread that waits until it is stopped.
 *
 *	loop.create_task(greet())   hilo_submit(runtime, greet, runtime, NULL, NULL)
 *	loop.run_forever()          hilo_runtime_run_forever(runtime)
 *	loop.stop()                 hilo_runtime_stop(runtime)
 *
 * The task stops the runtime itself, as its last act: run_forever returns when it is told to and not before,
 * so that a program that nobody tells would never end.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int greet(void *runtime)
{
	int rc;

	puts("¡Hola desde el bucle de eventos existente!");
	rc = hilo_sleep(HILO_SECOND);
	if (rc == 0)
		puts("¡Adiós desde el bucle de eventos existente!");
	hilo_runtime_stop(runtime);
	return rc;
}

int main(void)
{
	hilo_runtime *runtime;
	int rc = hilo_runtime_new(NULL, &runtime);

	if (rc < 0) {
		fprintf(stderr, "no runtime: %s\n", hilo_strerror(rc));
		return 1;
	}
	rc = hilo_submit(runtime, greet, runtime, NULL, NULL);
	if (rc == 0)
		rc = hilo_runtime_run_forever(runtime);
	(void)hilo_runtime_free(runtime);
	return rc < 0;
}
