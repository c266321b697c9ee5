/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_LOG_H
#define HILO_RUNTIME_LOG_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/* How much a line of the log matters. */
enum hilo_log_level {
	HILO_LOG_ERROR = 0,   /* a failure nobody looked at, a program about to abort */
	HILO_LOG_WARNING = 1, /* a handle leaked, a thread that could not be had, a stack without guard */
	HILO_LOG_INFO = 2,    /* for programs: the library has none */
	HILO_LOG_DEBUG = 3
};

/*
 * Receives one line, without its newline. Called on any thread, never with an internal lock held;
 * must not suspend and must not call into the runtime that logs.
 */
typedef void (*hilo_log_fn)(enum hilo_log_level level, const char *line, void *arg);

/*
 * [any] Replace where log lines go, for the whole process; NULL restores the default, which writes
 * warnings and errors to standard error. Environment: HILO_LOG=error|warning|info|debug|off sets
 * what the default prints. @arg is kept until the next call has returned.
 */
HILO_API void hilo_log_set(hilo_log_fn fn, void *arg);

HILO_END_DECLS

#endif /* HILO_RUNTIME_LOG_H */
