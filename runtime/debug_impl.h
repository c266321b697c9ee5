/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_DEBUG_IMPL_H
#define HILO_RUNTIME_DEBUG_IMPL_H

/*
 * debug_impl.h - what a runtime in debug mode has open, counted by the places where it was opened.
 *
 * An object that is to be ended has a mark; the mark is made where the object is, and undone where that ends.
 * Out of debug mode that is one branch each, on a word that is at hand. The table is in debug.c.
 */
#include "runtime/runtime_impl.h"

enum debug_kind {
	DEBUG_CALL, /* a callback that has not run, or its handle */
	DEBUG_EXECUTOR,
	DEBUG_FILE,
	DEBUG_FOLDER,
	DEBUG_FS_WATCH,
	DEBUG_FUTURE,
	DEBUG_HANDLE, /* of a task that has ended */
	DEBUG_PROCESS,
	DEBUG_SERVER,
	DEBUG_SIGNALS,
	DEBUG_STREAM,
	DEBUG_UDP,
	DEBUG_WATCH,
	DEBUG_QUEUE,
	DEBUG_BROADCAST,
	DEBUG_VALUE, /* that is watched */
	DEBUG_KINDS
};

struct debug_mark {
	uint32_t place;	  /* in the table, from 1; 0: not counted */
	uint32_t runtime; /* hilo_runtime.debug */
};

/* The numbers given so far. */
extern atomic(uint32_t) hilo__debug_numbers;

/* [any] Some runtime of this process is or was in debug mode. */
static inline bool debug_was_used(void)
{
	return load_relaxed(&hilo__debug_numbers) != 0; /* relaxed: a hint for reports */
}

/* [any] The number of a runtime in debug mode, unique in the process, not 0. */
uint32_t hilo__debug_number(void);

void hilo__debug_opened(struct debug_mark *mark, uint32_t runtime, enum debug_kind kind, const void *site);
void hilo__debug_ended(struct debug_mark *mark);

/* [owner of the object] It is opened, for @runtime (NULL: for none), by the call that returns to @site. */
static inline void debug_opened(struct debug_mark *mark, const struct hilo_runtime *runtime,
				enum debug_kind kind, const void *site)
{
	mark->place = 0;
	if (HILO__UNLIKELY(runtime && runtime->debug))
		hilo__debug_opened(mark, runtime->debug, kind, site);
}

/* [any] The same for the runtime that the caller runs in, if it does. */
static inline void debug_opened_here(struct debug_mark *mark, enum debug_kind kind, const void *site)
{
	struct hilo_loop *loop = thread_self()->loop;

	debug_opened(mark, loop ? loop->runtime : NULL, kind, site);
}

/* [owner of the object] It is ended, whether its runtime has ended before or not. */
static inline void debug_ended(struct debug_mark *mark)
{
	if (HILO__UNLIKELY(mark->place))
		hilo__debug_ended(mark);
}

/* [any] Where it is to be told: what runs on @loop has held it for so many cycles. */
void hilo__debug_slow(struct hilo_loop *loop, uint64_t cycles);

/*
 * [closing thread] Out of debug mode nothing. Tell the log of calls that are pending, before those are dropped;
 * and of all the rest, afterwards.
 */
void hilo__debug_tell_calls(struct hilo_runtime *runtime);
void hilo__debug_tell_rest(struct hilo_runtime *runtime);

#endif /* HILO_RUNTIME_DEBUG_IMPL_H */
