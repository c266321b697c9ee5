/* SPDX-License-Identifier: MIT */
/*
 * asyncio_queue.c - a producer and a consumer, which work at their own speed, and a queue between them.
 *
 *	queue = asyncio.Queue()        hilo_queue_new_unbounded(): without a limit, because one asks for it
 *	await queue.put(item)          hilo_queue_put(queue, item, HILO_FOREVER)
 *	item = await queue.get()       hilo_queue_get(queue, &item, HILO_FOREVER)
 *	await queue.put(None)          NULL is an item like others, and says here that there are no more.
 *	                               hilo_queue_shutdown(queue, 0) says so to any number of consumers.
 */
#include <hilo/hilo.h>

#include <stdio.h>

enum {
	ITEMS = 5
};

static char names[ITEMS][16];

static int producer(void *arg)
{
	hilo_queue *queue = arg;
	int rc;

	for (int i = 0; i < ITEMS; i++) {
		snprintf(names[i], sizeof(names[i]), "item_%d", i);
		rc = hilo_queue_put(queue, names[i], HILO_FOREVER);
		if (rc < 0)
			return rc;
		printf("Productor añadió: %s\n", names[i]);
		rc = hilo_sleep(1 * HILO_SECOND);
		if (rc < 0)
			return rc;
	}
	return hilo_queue_put(queue, NULL, HILO_FOREVER);
}

static int consumer(void *arg)
{
	hilo_queue *queue = arg;
	void *item;
	int rc;

	while ((rc = hilo_queue_get(queue, &item, HILO_FOREVER)) == 0 && item) {
		printf("Consumidor procesó: %s\n", (char *)item);
		rc = hilo_sleep(2 * HILO_SECOND);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		puts("El consumidor ha terminado de trabajar");
	return rc;
}

static int main_task(void *arg)
{
	hilo_queue *queue = hilo_queue_new_unbounded();
	hilo_task *tasks[] = {hilo_spawn(producer, queue), hilo_spawn(consumer, queue)};
	int rc = hilo_gather(tasks, 2, NULL, HILO_FOREVER);

	(void)arg;
	hilo_queue_free(queue);
	return rc;
}

int main(void)
{
	return hilo_run(main_task, NULL, NULL) < 0;
}
