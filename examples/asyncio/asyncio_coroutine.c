/* SPDX-License-Identifier: MIT */
/*
 * asyncio_coroutine.c - any function may suspend, and is called like any other.
 *
 *	async def say_hello()   static int say_hello(void)
 *	await say_hello()       say_hello()
 */
#include <hilo/hilo.h>

#include <stdio.h>

static int say_hello(void)
{
	int rc;

	puts("Hola");
	rc = hilo_sleep(HILO_SECOND);
	if (rc < 0)
		return rc;
	puts("Mundo");
	return 0;
}

static int main_task(void *arg)
{
	(void)arg;
	return say_hello();
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
