/* SPDX-License-Identifier: MIT */
/*
 * log.c - formatting a line, and the default place where lines go.
 */
#include "scheduler/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/base/compiler.h"

#define LOG_LEVEL_OFF (-1)
#define LOG_LEVEL_UNKNOWN (-2)

atomic(hilo__log_fn) hilo__log_hook = hilo__log_stderr;

/* The highest level that goes to standard error. Relaxed: the number is all there is to see. */
static atomic(int) log_limit = LOG_LEVEL_UNKNOWN;

static const char *const log_level_names[] = {"error", "warning", "info", "debug"};

static int log_limit_from_environment(void)
{
	const char *text = getenv("HILO_LOG");

	if (!text)
		return LOG_LEVEL_WARNING;
	if (strcmp(text, "off") == 0)
		return LOG_LEVEL_OFF;
	for (int level = 0; level < (int)array_size(log_level_names); level++)
		if (strcmp(text, log_level_names[level]) == 0)
			return level;
	return LOG_LEVEL_WARNING;
}

void hilo__log_print(int level, const char *line)
{
	const char *name =
		level >= 0 && level < (int)array_size(log_level_names) ? log_level_names[level] : "?";
	char text[LOG_LINE_SIZE + 32];
	size_t size, done;
	ssize_t n;

	snprintf(text, sizeof(text) - 1, "hilo: %s: %s", name, line);
	size = strlen(text);
	text[size++] = '\n';
	/* One call for one line, so that lines of several threads do not mix; more only if it was cut. */
	for (done = 0; done < size; done += (size_t)n) {
		n = write(STDERR_FILENO, text + done, size - done);
		if (n <= 0)
			return;
	}
}

void hilo__log_stderr(int level, const char *line)
{
	int limit = load_relaxed(&log_limit);

	if (limit == LOG_LEVEL_UNKNOWN) {
		limit = log_limit_from_environment();
		store_relaxed(&log_limit, limit);
	}
	if (level <= limit)
		hilo__log_print(level, line);
}

/* One line stays one line, and a name in it cannot talk to the terminal. */
static void log_clean(char *line)
{
	for (; *line; line++)
		if (((unsigned char)*line < ' ' && *line != '\t') || *line == 0x7f)
			*line = '?';
}

void hilo__log_vwrite(int level, const char *format, va_list args)
{
	static const char cut[] = "...";
	hilo__log_fn hook = load_acquire(&hilo__log_hook); /* P1 */
	char line[LOG_LINE_SIZE];
	int n = vsnprintf(line, sizeof(line), format, args);

	if (n < 0)
		return;
	if (n >= (int)sizeof(line))
		memcpy(line + sizeof(line) - sizeof(cut), cut, sizeof(cut));
	log_clean(line);
	hook(level, line);
}

void hilo__log_write(int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hilo__log_vwrite(level, format, args);
	va_end(args);
}
