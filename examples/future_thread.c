/* SPDX-License-Identifier: MIT */
/*
 * future_thread.c - a plain thread sets a future that a task awaits.
 *
 * The thread is not one of Hilo's: any code that can reach the future can complete it.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* The thread's own reference on the future comes as its argument. */
static void *work(void *arg)
{
	static int answer = 42;
	struct timespec span = {.tv_nsec = 50 * 1000 * 1000};
	hilo_future *future = arg;

	nanosleep(&span, NULL);
	hilo_future_set(future, &answer, NULL);
	hilo_future_unref(future);
	return NULL;
}

static int main_task(void *arg)
{
	hilo_future *future = hilo_future_new();
	pthread_t thread;
	void *value;
	int rc;

	(void)arg;
	if (!future)
		return -ENOMEM;
	rc = pthread_create(&thread, NULL, work, hilo_future_ref(future));
	if (rc != 0) {
		hilo_future_unref(future); /* the thread's */
		hilo_future_unref(future);
		return -rc;
	}

	rc = hilo_future_await(future, &value, HILO_NO_WAIT); /* a deadline that has passed tries once */
	printf("at once: %s\n", hilo_strerror(rc));
	rc = hilo_future_await(future, &value, hilo_after(10 * HILO_SECOND));
	if (rc == 0)
		printf("later: the thread says %d\n", *(int *)value);

	pthread_join(thread, NULL); /* it has set the future, so this is short */
	hilo_future_unref(future);
	return rc;
}

/* The main function: it runs that task, and exits with 1 and a message if it fails. */
HILO_MAIN(main_task);
