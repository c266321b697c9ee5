/* SPDX-License-Identifier: MIT */
/*
 * asyncio_errors.c - a failure is a code, and has a message for whoever waits for it.
 *
 *	raise ValueError("...")       return hilo_fail(-EINVAL, "...")
 *	try: await faulty_task()      rc = hilo_join(hilo_spawn(faulty_task, NULL), HILO_FOREVER)
 *	except ValueError as e: ...   if (rc == -EINVAL) ... hilo_error_message()
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>

static int faulty_task(void *arg)
{
	int rc = hilo_sleep(HILO_SECOND);

	(void)arg;
	if (rc < 0)
		return rc;
	return hilo_fail(-EINVAL, "¡Ocurrió un error!");
}

static int main_task(void *arg)
{
	int rc = hilo_join(hilo_spawn(faulty_task, NULL), HILO_FOREVER);

	(void)arg;
	if (rc == -EINVAL) {
		printf("Excepción capturada: %s\n", hilo_error_message());
		rc = 0;
	}
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
