/* SPDX-License-Identifier: MIT */
/*
 * asyncio_async_with.c - something that is entered and left, whatever happens in between.
 *
 *	class AsyncContextManager        static const hilo_manager context_manager
 *	async def __aenter__(self)       context_enter
 *	async def __aexit__(self, ...)   context_exit, which gets the code of the block
 *	async with ... as manager:       HILO_WITH(&context_manager, &manager, &rc) { ... }
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <stdio.h>

struct context {
	int entered;
};

static int context_enter(void *self)
{
	struct context *manager = self;
	int rc;

	puts("Contexto asíncrono: Entrada");
	rc = hilo_sleep(HILO_SECOND);
	manager->entered = rc == 0;
	return rc;
}

static int context_exit(void *self, int code)
{
	struct context *manager = self;
	int rc = hilo_sleep(HILO_SECOND);

	manager->entered = 0;
	puts("Contexto asíncrono: Salida");
	return code < 0 ? code : rc;
}

static const hilo_manager context_manager = {context_enter, context_exit};

static int do_something(struct context *manager)
{
	if (!manager->entered)
		return -EINVAL;
	puts("Contexto asíncrono: Realizando acción");
	return hilo_sleep(HILO_SECOND);
}

static int main_task(void *arg)
{
	struct context manager = {0};
	int rc;

	(void)arg;
	HILO_WITH (&context_manager, &manager, &rc)
		rc = do_something(&manager);
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
