/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_REASON_H
#define HILO_SCHEDULER_REASON_H

/*
 * reason.h - why a task was asked to stop: a text that travels with the request, as a number of eight bits in
 * the state word of the task.
 *
 * The texts are not copied, for a cancel must not ask for memory; they live as long as the process, and are
 * numbered when they are first used. The table only grows.
 *
 * P1  A text is put into its place by CAS (release); whoever finds it there acquires.
 */
#include <stdint.h>

enum reason {
	REASON_NONE = 0,
	REASON_TIMEOUT,
	REASON_SIBLING,
	REASON_GROUP,
	REASON_WAITER,
	REASON_PARENT,
	REASON_SHUTDOWN,
	REASON_INTERRUPT,
	REASON_OTHER, /* there were too many different ones */
	REASON_FIRST_FREE,
};

#define REASONS_MAX 256

/* [any, async-signal-safe] The number of @text, which is never freed. REASON_OTHER: the table is full. */
uint8_t hilo__reason_number(const char *text);

/* [any] The text of a number from the function above, or of the enumeration; NULL: none. */
const char *hilo__reason_text(uint8_t number);

#endif /* HILO_SCHEDULER_REASON_H */
