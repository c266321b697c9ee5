/* SPDX-License-Identifier: MIT */
/*
 * asyncio_done_callback.c - a function that is called when a future is complete.
 *
 *	loop = asyncio.get_running_loop()   hilo_loop_current(), where the callback will run
 *	fut.add_done_callback(callback)     hilo_future_on_done(future, &node, callback, hilo_future_ref(future))
 *	fut.result()                        hilo_future_result(future, &result)
 *
 * The node is memory for the registration; so nothing has to be allocated.
 */
#include <hilo/hilo.h>

#include <stdio.h>

static void callback(void *arg)
{
	hilo_future *future = arg;
	void *result;

	if (hilo_future_result(future, &result) == 0)
		printf("Callback: %s\n", (const char *)result);
	hilo_future_unref(future);
}

static int set_future(void *arg)
{
	static char text[] = "Resultado del Future con Callback";
	hilo_future *future = arg;
	int rc = hilo_sleep(HILO_SECOND);

	if (rc < 0)
		return rc;
	return hilo_future_set(future, text, NULL);
}

static int main_task(void *arg)
{
	static hilo_done_node node; /* outlives this function: the callback may come after it */
	hilo_future *future = hilo_future_new();
	hilo_task *setter;
	int rc;

	(void)arg;
	rc = hilo_future_on_done(future, &node, callback, hilo_future_ref(future));
	setter = hilo_spawn(set_future, future);
	if (rc == 0)
		rc = hilo_future_await(future, NULL, HILO_FOREVER);
	(void)hilo_join(setter, HILO_FOREVER);
	hilo_future_unref(future);
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
