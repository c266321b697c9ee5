/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_PANIC_H
#define HILO_SCHEDULER_BASE_PANIC_H

/* panic.h - a broken invariant ends the program, in every build, with its place and a sentence. */
#include "scheduler/base/compiler.h"

/* [any] Write "hilo: panic: file:line: message" to standard error and abort. Not for signal handlers. */
HILO__COLD HILO__NORETURN void hilo__panic(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define HILO__PANIC(...) hilo__panic(__FILE__, __LINE__, __VA_ARGS__)

/* Kept in release builds: what it guards is the scheduler's own state. */
#define HILO__ASSERT(x)                                                                                      \
	do {                                                                                                 \
		if (HILO__UNLIKELY(!(x)))                                                                    \
			HILO__PANIC("assertion failed: %s", #x);                                             \
	} while (0)

#endif /* HILO_SCHEDULER_BASE_PANIC_H */
