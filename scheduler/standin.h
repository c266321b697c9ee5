/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_STANDIN_H
#define HILO_SCHEDULER_STANDIN_H

/*
 * standin.h - a worker that stands in for one whose thread is held by a task.
 *
 * A loop never changes its thread; everything in it can be served by another one instead, piece by
 * piece, each under its own protocol: slot, deque, ring, inboxes, starved and pinned tasks, timers,
 * poller, callbacks. What comes of it runs on the thread that stands in, as a guest: a pinned task or a
 * callback still belongs to the loop it was asked on (thread_home). The held thread knows nothing of this
 * and pays nothing for it; when it comes back it finds less to do.
 *
 * Rejected: taking the loop away as a whole. The thread that has lost it may be in the middle of a call
 * into the runtime, so that each of these calls would have to announce itself, against a barrier on
 * all CPUs (membarrier) on the side of who takes over; and the loser would have to be told.
 */
#include "scheduler/worker.h"

/* A normal idle worker stands in after that long without a run. */
#define HELD_US 500
/* At most so many timers or descriptors are served in one go. */
#define STANDIN_BATCH 64

/* [searcher] Note whether @victim has made a step since we looked last. */
void hilo__sighting_update(struct sighting *seen, struct hilo_loop *victim, uint64_t now);

/*
 * [searcher, own queues empty] Take over what waits in @victim besides ring and deque. Returns a task to
 * run, or fills our own queues; loop->held is set if there are callbacks to run.
 */
struct hilo_task *hilo__stand_in(struct hilo_loop *loop, struct hilo_loop *victim);

#ifdef HILO_TESTING
/* Nobody stands in, for tests of the order on one loop. To be changed while no runtime runs. */
extern bool hilo__nobody_stands_in;
#endif

/* [searcher] Take half of what @victim has queued; one to run is returned, the rest is ours. */
struct hilo_task *hilo__steal_half(struct hilo_loop *loop, struct hilo_loop *victim);

/* [owner] Something lies in our own queues, whatever it is. */
bool hilo__loop_has_news(struct hilo_loop *loop);

#endif /* HILO_SCHEDULER_STANDIN_H */
