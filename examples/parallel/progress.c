/* SPDX-License-Identifier: MIT */
/* progress.c - drawing the line: what is done is told by the library, some times a second. */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEAR "\r\033[K"

void progress_begin(struct progress *progress, const char *program, int quiet)
{
	const char *terminal = getenv("TERM");

	*progress = (struct progress){.lock = PTHREAD_MUTEX_INITIALIZER, .program = program, .step = ""};
	progress->on = !quiet && isatty(STDERR_FILENO) && (!terminal || strcmp(terminal, "dumb") != 0);
}

void progress_step(struct progress *progress, const char *step)
{
	progress->step = step;
	progress_tell(0, 0, progress);
}

void progress_tell(int64_t done, int64_t total, void *arg)
{
	struct progress *progress = arg;

	if (!progress->on)
		return;
	(void)pthread_mutex_lock(&progress->lock);
	progress->drawn = 1;
	if (total > 0)
		fprintf(stderr, CLEAR "%s: %s, %.0f %%", progress->program, progress->step,
			100.0 * (double)done / (double)total);
	else if (total < 0)
		fprintf(stderr, CLEAR "%s: %s, %lld", progress->program, progress->step, (long long)done);
	else
		fprintf(stderr, CLEAR "%s: %s", progress->program, progress->step);
	fflush(stderr);
	(void)pthread_mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress)
{
	(void)pthread_mutex_lock(&progress->lock);
	if (progress->drawn)
		fputs(CLEAR, stderr);
	progress->drawn = 0;
	(void)pthread_mutex_unlock(&progress->lock);
}
