/* SPDX-License-Identifier: MIT */
/*
 * graceful.c - a service that ends well: SIGTERM stops it taking work, what it has begun is finished, and SIGHUP is
 * something else. Here the program sends both signals to itself; a service manager would.
 */
#include <hilo/hilo.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	PIECES = 1000000
};

struct service {
	hilo_event halfway; /* of the piece that SIGTERM comes in */
	hilo_event stop;    /* take no more work */
};

static int work(void *arg)
{
	struct service *service = arg;

	for (int piece = 1; piece <= PIECES && !hilo_event_is_set(&service->stop); piece++) {
		printf("piece %d: begun\n", piece);
		if (piece == 2) {
			hilo_event_set(&service->halfway);
			(void)hilo_event_wait(&service->stop, HILO_FOREVER); /* it takes long, today */
		}
		printf("piece %d: done\n", piece);
	}
	return 0;
}

/* Wait for signals until one of them says that it is enough. */
static int obey(struct service *service, hilo_signals *signals)
{
	int signo;

	while ((signo = hilo_signals_next(signals, NULL, HILO_FOREVER)) == SIGHUP) {
		puts("SIGHUP: the configuration is read again");
		(void)kill(getpid(), SIGTERM);
	}
	if (signo < 0)
		return signo;
	puts("SIGTERM: no more work is taken");
	return hilo_event_set(&service->stop);
}

static int main_task(void *arg)
{
	struct service service = {.halfway = HILO_EVENT_INIT, .stop = HILO_EVENT_INIT};
	hilo_signals *signals;
	int rc = hilo_signals_open((const int[]){SIGTERM, SIGHUP, 0}, &signals);

	(void)arg;
	if (rc < 0)
		return rc;
	HILO_GROUP (group, &rc) {
		hilo_group_spawn(group, work, &service);
		rc = hilo_event_wait(&service.halfway, HILO_FOREVER);
		(void)kill(getpid(), SIGHUP);
		if (rc == 0)
			rc = obey(&service, signals);
	}
	hilo_signals_free(signals);
	puts(rc == 0 ? "all work that was begun is done" : hilo_error_message());
	return rc;
}

HILO_MAIN(main_task);
