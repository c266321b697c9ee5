/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_PROGRESS_H
#define PGZIP_PROGRESS_H

#include <hilo/hilo.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* progress.h - how far one file is, and a line that says so on a terminal. */
struct progress {
	atomic_ullong in; /* bytes of the input that are done */
	atomic_ullong out;
	uint64_t total; /* bytes of the input, 0 when not known */
	hilo_time start;
	hilo_task *task; /* draws; NULL: nobody does */
	hilo_time seen;	 /* rate: when it was last taken, with how much, smoothed */
	uint64_t seen_in;
	double rate; /* bytes a second */
	bool drawn;
};

/* Where the line could be drawn: standard error is a terminal that knows how to clear a line. */
bool progress_is_possible(void);

/* Begin to count for an input of @total bytes (0: not known), and to draw if @draw. */
void progress_start(struct progress *progress, uint64_t total, bool draw);

/* [any] So much more is done. */
void progress_add(struct progress *progress, size_t in, size_t out);

/* [suspends] Stop drawing and clear the line. */
void progress_stop(struct progress *progress);

/* Write "123.4 MB" into @text, and return it. */
#define PROGRESS_SIZE_TEXT 32
const char *progress_size(char text[PROGRESS_SIZE_TEXT], double bytes);

#endif /* PGZIP_PROGRESS_H */
