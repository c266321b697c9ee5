/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_PROGRESS_H
#define PARALLEL_PROGRESS_H

#include <pthread.h>
#include <stdint.h>

/* progress.h - how far a program is, as one line on a terminal; nothing if standard error is none. */

struct progress {
	pthread_mutex_t lock; /* of the line and of `drawn` */
	const char *program;
	const char *step; /* what is done at the moment */
	int on;
	int drawn;
};

/* [any] Begin; nothing will be drawn if @quiet, or if there is no terminal. */
void progress_begin(struct progress *progress, const char *program, int quiet);

/* [whoever runs the steps] From here on @step is done. */
void progress_step(struct progress *progress, const char *step);

/* [one at a time] A hilo_progress_fn, with a struct progress as its argument. */
void progress_tell(int64_t done, int64_t total, void *arg);

/* [any] The line is taken away. */
void progress_end(struct progress *progress);

#endif /* PARALLEL_PROGRESS_H */
