/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_SHARE_H
#define HILO_SCHEDULER_SHARE_H

/*
 * share.h - a worker that serves descriptors, and has run for a slice, offers its core: who waits for its answers may
 * need it, and the kernel, which looks at each tick only, would let them wait for up to 4 ms longer. One that does no
 * I/O never does, and keeps the kernel's slices.
 */
#include "scheduler/base/clock.h"
#include "scheduler/base/slice.h"
#include "scheduler/worker.h"

/* How a worker's thread shares its core with others. */
struct share {
	uint64_t since; /* when it has slept, or let others go first */
	enum {
		SHARE_UNKNOWN,
		SHARE_SLICES,
		SHARE_AS_IT_COMES
	} how;
};

/* [owner, between two turns] Others first. True: it may have taken its time. */
bool hilo__share_now(struct share *share);

/* [owner, between two turns] Offer the core if it is time to. True: another turn, for what has come since. */
static inline bool share_offers(struct share *share, struct hilo_loop *loop)
{
	uint64_t slice = SLICE_NS / 1000 * hilo__cycles_per_us();

	if (loop->slept)
		share->since = loop->turn_cycles;
	return HILO__UNLIKELY(loop->turn_cycles - share->since >= slice) &&
	       hilo__poller_armed(&loop->poller) && hilo__share_now(share);
}

#endif /* HILO_SCHEDULER_SHARE_H */
