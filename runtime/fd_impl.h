/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_FD_IMPL_H
#define HILO_RUNTIME_FD_IMPL_H

/* fd_impl.h - watches that somebody else keeps. */
#include <stdbool.h>

#include <hilo/runtime/loop.h>

struct hilo_runtime;

/* What is to be watched. */
struct watch_spec {
	const char *call; /* in whose name */
	int fd;
	unsigned events;
	hilo_fd_fn fn;		   /* either this ... */
	hilo_callback_fn callback; /* ... or this is called */
	void *arg;
	const void *site; /* where it was asked for */
	bool later;	  /* nothing is called before hilo__watch_ready */
};

/* [task, callback] As hilo_fd_watch. */
int hilo__fd_watch(const struct watch_spec *spec, hilo_fd_watcher **ret);

/* [who has made it] From here on @watch may be called. */
void hilo__watch_ready(hilo_fd_watcher *watch);

/* [closing thread] End the readers and writers of @runtime, once no callback is left that could ask for them. */
void hilo__runtime_free_readers(struct hilo_runtime *runtime);

#endif /* HILO_RUNTIME_FD_IMPL_H */
