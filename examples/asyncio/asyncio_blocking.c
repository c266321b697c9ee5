/* SPDX-License-Identifier: MIT */
/*
 * asyncio_blocking.c - what not to do: a call that blocks the thread it runs on.
 *
 *	time.sleep(2)   sleep(2)
 *
 * A worker stands still meanwhile. Its other tasks go on all the same, since other workers, and at need a
 * spare one, stand in for it; but it is a core's worth of work that is not done. See asyncio_non_blocking.c; what
 * has to block belongs into hilo_run_in_executor.
 */
#include <hilo/hilo.h>

#include <stdio.h>
#include <unistd.h>

static int blocking_task(void)
{
	puts("Iniciando tarea bloqueante");
	sleep(2);
	puts("Tarea bloqueante completada");
	return 0;
}

static int main_task(void *arg)
{
	(void)arg;
	return blocking_task();
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
