/* SPDX-License-Identifier: MIT */
/*
 * progress.c - one line on a terminal, drawn anew a few times a second:
 *
 *      42 % [===============>                     ] 96.1 MB/s, 0:12 left, 36.2 %
 *
 * The line is never longer than the terminal is wide: first the bar gets shorter, then it goes, then
 * what follows it. A task draws it; writing to the terminal may block, so that goes through the
 * executor. The task sleeps in between and is cancelled at the end.
 */
#include "progress.h"
#include "blocking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PERIOD (200 * HILO_MILLISECOND)
#define CLEAR "\r\033[K"
#define WIDTH_MAX 512
#define BAR_MIN 10  /* columns; a shorter bar says nothing */
#define SMOOTH 0.15 /* weight of the newest rate: about the last second and a half count */

bool progress_is_possible(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDERR_FILENO) && (!terminal || strcmp(terminal, "dumb") != 0);
}

/* The process in the foreground owns the terminal; one in the background does not draw on it. */
static bool progress_is_foreground(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	return group < 0 || group == getpgrp();
}

static int progress_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

const char *progress_size(char text[PROGRESS_SIZE_TEXT], double bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	unsigned unit = 0;

	while (bytes >= 999.95 && unit < sizeof(units) / sizeof(*units) - 1) {
		bytes /= 1000;
		unit++;
	}
	snprintf(text, PROGRESS_SIZE_TEXT, "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
	return text;
}

/* Bytes a second: of the whole time at first, then more and more of the time just gone. */
static double progress_rate(struct progress *progress, uint64_t in)
{
	hilo_time now = hilo_now();
	double span = (double)(now - progress->seen) / HILO_SECOND;
	double rate = span > 0 ? (double)(in - progress->seen_in) / span : 0;

	progress->rate = progress->rate > 0 ? progress->rate + SMOOTH * (rate - progress->rate) : rate;
	progress->seen = now;
	progress->seen_in = in;
	return progress->rate;
}

/* "96.1 MB/s, 0:12 left, 36.2 %", without what is not known. */
static void tail_format(char *text, size_t size, double rate, double left, double ratio)
{
	char speed[PROGRESS_SIZE_TEXT], time[32] = "", share[32] = "";
	long seconds = rate > 0 && left / rate < 360000 ? (long)(left / rate + 0.999) : 0;

	if (left > 0 && seconds >= 3600)
		snprintf(time, sizeof(time), ", %ld:%02ld:%02ld left", seconds / 3600, seconds / 60 % 60,
			 seconds % 60);
	else if (left > 0 && seconds > 0)
		snprintf(time, sizeof(time), ", %ld:%02ld left", seconds / 60, seconds % 60);
	if (ratio > 0)
		snprintf(share, sizeof(share), ", %.1f %%", ratio);
	snprintf(text, size, "%s/s%s%s", progress_size(speed, rate), time, share);
}

/* "[=====>    ] " of @width columns in all, or "" if that is too little to be of use. */
static void bar_format(char *text, int width, double part)
{
	int inside = width - 3, filled, i;

	text[0] = '\0';
	if (inside < BAR_MIN)
		return;
	filled = (int)(part * inside);
	text[0] = '[';
	for (i = 0; i < inside; i++)
		text[1 + i] = i < filled ? '=' : i == filled ? '>' : ' ';
	memcpy(text + 1 + inside, "] ", 3);
}

/* The whole line, at most @columns wide. */
static void line_format(struct progress *progress, char *line, size_t size, int columns)
{
	uint64_t in = atomic_load_explicit(&progress->in, memory_order_relaxed); /* for the eye alone */
	uint64_t out = atomic_load_explicit(&progress->out, memory_order_relaxed);
	double total = (double)progress->total;
	double part = total > (double)in ? (double)in / total : 1;
	char head[PROGRESS_SIZE_TEXT + 2], bar[WIDTH_MAX] = "", tail[128], done[PROGRESS_SIZE_TEXT];
	int length;

	tail_format(tail, sizeof(tail), progress_rate(progress, in), total - (double)in,
		    in ? 100.0 * (double)out / (double)in : 0);
	if (progress->total > 0)
		snprintf(head, sizeof(head), "%3d %% ", (int)(100 * part));
	else
		snprintf(head, sizeof(head), "%s, ", progress_size(done, (double)in));
	if (progress->total > 0)
		bar_format(bar, columns - (int)strlen(head) - (int)strlen(tail), part);
	length = snprintf(line, size, "%s%s%s", head, bar, tail);
	if (length > columns)
		line[columns] = '\0';
}

/* [suspends] */
static void progress_draw(struct progress *progress)
{
	char line[WIDTH_MAX + 256] = CLEAR;
	size_t clear = strlen(CLEAR);

	if (!progress_is_foreground())
		return;
	/* The last column stays free: some terminals wrap as soon as it is written. */
	line_format(progress, line + clear, sizeof(line) - clear, progress_columns() - 1);
	progress->drawn = true;
	blocking_write(STDERR_FILENO, &(struct iovec){line, strlen(line)}, 1);
}

/* [task] */
static int progress_task(void *arg)
{
	while (hilo_sleep(PERIOD) == 0)
		progress_draw(arg);
	return 0;
}

void progress_start(struct progress *progress, uint64_t total, bool draw)
{
	memset(progress, 0, sizeof(*progress));
	progress->total = total;
	progress->start = hilo_now();
	progress->seen = progress->start;
	if (draw)
		progress->task = hilo_spawn(progress_task, progress); /* without memory for it: no line */
}

void progress_add(struct progress *progress, size_t in, size_t out)
{
	atomic_fetch_add_explicit(&progress->in, in, memory_order_relaxed);
	atomic_fetch_add_explicit(&progress->out, out, memory_order_relaxed);
}

void progress_stop(struct progress *progress)
{
	char clear[] = CLEAR;

	if (!progress->task)
		return;
	hilo_shield_enter(); /* the line is cleared also when the job was cancelled */
	hilo_task_cancel(progress->task);
	hilo_join(progress->task, HILO_FOREVER);
	progress->task = NULL;
	if (progress->drawn)
		blocking_write(STDERR_FILENO, &(struct iovec){clear, strlen(clear)}, 1);
	hilo_shield_leave();
}
