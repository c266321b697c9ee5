/* SPDX-License-Identifier: MIT */
/*
 * asyncio_run_until_complete.c - a runtime that is started, used and closed by hand.
 *
 *	loop = asyncio.get_event_loop()   hilo_runtime_new(NULL, &runtime)
 *	loop.run_until_complete(main())   hilo_runtime_run_until_complete(runtime, main_task, NULL)
 *	loop.close()                      hilo_runtime_close(runtime, HILO_FOREVER)
 *
 * There is no runtime that is made behind one's back: it is asked for, and may fail. Closing ends all that it
 * has started; hilo_runtime_free gives back the memory.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int main_task(void *arg)
{
	int rc;

	(void)arg;
	puts("¡Hola desde el bucle de eventos manual!");
	rc = hilo_sleep(HILO_SECOND);
	if (rc < 0)
		return rc;
	puts("¡Adiós desde el bucle de eventos manual!");
	return 0;
}

int main(void)
{
	hilo_runtime *runtime;
	int rc = hilo_runtime_new(NULL, &runtime);

	if (rc < 0) {
		fprintf(stderr, "no runtime: %s\n", hilo_strerror(rc));
		return 1;
	}
	rc = hilo_runtime_run_until_complete(runtime, main_task, NULL);
	(void)hilo_runtime_close(runtime, HILO_FOREVER);
	(void)hilo_runtime_free(runtime);
	return rc < 0;
}
