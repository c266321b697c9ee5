/* SPDX-License-Identifier: MIT */
/* reason.c - the table of the texts in reason.h. */
#include "scheduler/reason.h"

#include <stddef.h>

#include "scheduler/base/atomic.h"

static atomic(const char *) reasons[REASONS_MAX] = {
	[REASON_TIMEOUT] = "its time is over",
	[REASON_SIBLING] = "another task of its group has failed",
	[REASON_GROUP] = "its group was cancelled",
	[REASON_WAITER] = "whoever waited for it has stopped",
	[REASON_PARENT] = "the block of its group has failed",
	[REASON_SHUTDOWN] = "the runtime ends",
	[REASON_INTERRUPT] = "interrupted",
	[REASON_OTHER] = "for one of too many reasons",
};

uint8_t hilo__reason_number(const char *text)
{
	if (!text)
		return REASON_NONE;
	for (unsigned i = REASON_FIRST_FREE; i < REASONS_MAX; i++) {
		const char *there = load_acquire(&reasons[i]); /* P1 */

		if (!there && cas_acq_rel(&reasons[i], &there, text)) /* P1 */
			return (uint8_t)i;
		if (there == text)
			return (uint8_t)i;
	}
	return REASON_OTHER;
}

const char *hilo__reason_text(uint8_t number)
{
	return load_acquire(&reasons[number]); /* P1 */
}
