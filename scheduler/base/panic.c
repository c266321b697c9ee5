/* SPDX-License-Identifier: MIT */
/*
 * panic.c - the last words of a program whose scheduler is broken.
 *
 * The text is put together in static memory: the stack may be what is broken, and who reads a core
 * file finds it there. Only the first thread that panics writes.
 */
#include "scheduler/base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "scheduler/base/atomic.h"

static char panic_text[1024];
static atomic(int) panic_begun;

/* Append to the text at @at, as vprintf does; returns where the text ends then. */
static size_t panic_append(size_t at, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static size_t panic_append(size_t at, const char *format, va_list args)
{
	int n = vsnprintf(panic_text + at, sizeof(panic_text) - at, format, args);

	if (n < 0)
		return at;
	return at + (size_t)n < sizeof(panic_text) ? at + (size_t)n : sizeof(panic_text) - 1;
}

static size_t panic_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
static size_t panic_begin(const char *format, ...)
{
	va_list args;
	size_t end;

	va_start(args, format);
	end = panic_append(0, format, args);
	va_end(args);
	return end;
}

void hilo__panic(const char *file, int line, const char *format, ...)
{
	va_list args;
	size_t end;
	ssize_t n;

	/* relaxed: nothing is handed over, it only picks one thread */
	if (xchg_relaxed(&panic_begun, 1))
		abort();
	end = panic_begin("hilo: panic: %s:%d: ", file, line);
	va_start(args, format);
	end = panic_append(end, format, args);
	va_end(args);
	if (end > sizeof(panic_text) - 2)
		end = sizeof(panic_text) - 2;
	panic_text[end++] = '\n';
	panic_text[end] = '\0';
	for (size_t done = 0; done < end; done += (size_t)n) {
		n = write(STDERR_FILENO, panic_text + done, end - done);
		if (n <= 0)
			break;
	}
	abort();
}
