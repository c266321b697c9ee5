/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_LOG_H
#define HILO_SCHEDULER_BASE_LOG_H

/*
 * log.h - how the private layers log. The lines go through one hook; runtime/log.c points it at what
 * the user gave hilo_log_set, before that it writes to standard error.
 *
 * P1  Whoever changes the hook releases what the new function needs; the call acquires.
 */
#include <stdarg.h>

#include "scheduler/base/atomic.h"

/* The numbers are those of enum hilo_log_level. */
enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Bytes of the longest line, with its final NUL; a longer one is cut and ends in "...". */
#define LOG_LINE_SIZE 512

/* Receives one line, without its newline, on any thread. */
typedef void (*hilo__log_fn)(int level, const char *line);

/* [any] Where lines go, never NULL. P1 */
extern atomic(hilo__log_fn) hilo__log_hook;

/* [any] What the hook is at the start: to standard error, if HILO_LOG asks for lines of @level. */
void hilo__log_stderr(int level, const char *line);

/* [any] To standard error in any case. */
void hilo__log_print(int level, const char *line);

/* [any] Format one line and give it to the hook. Not with a lock held. Never allocates. */
void hilo__log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hilo__log_vwrite(int level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

#endif /* HILO_SCHEDULER_BASE_LOG_H */
