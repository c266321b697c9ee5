/* SPDX-License-Identifier: MIT */
/*
 * asyncio_future.c - a result that one task sets and another waits for.
 *
 *	loop = asyncio.get_event_loop()   hilo_runtime_current(); a future belongs to no loop
 *	fut = loop.create_future()        hilo_future_new()
 *	asyncio.create_task(...)          hilo_spawn(set_future, future)
 *	fut.set_result("...")             hilo_future_set(future, text, NULL)
 *	result = await fut                hilo_future_await(future, &result, HILO_FOREVER)
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int set_future(void *arg)
{
	static char text[] = "Resultado del Future";
	hilo_future *future = arg;
	int rc = hilo_sleep(HILO_SECOND);

	if (rc < 0)
		return rc;
	return hilo_future_set(future, text, NULL);
}

static int main_task(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_task *setter = hilo_spawn(set_future, future);
	void *result;
	int rc = hilo_future_await(future, &result, HILO_FOREVER);

	(void)arg;
	if (rc == 0)
		puts(result);
	(void)hilo_join(setter, HILO_FOREVER);
	hilo_future_unref(future);
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
