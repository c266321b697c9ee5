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
 * One loop stands in for a held one, until that makes a turn. While it has work of its own it looks at it
 * each millisecond; asleep it wakes for the first of its timers, and each tick (1 ms, a spare one 5 ms).
 * A spare one takes that over only if the stand-in is held too: so no more of them are at work for the
 * held loops than there are such loops, however much waits there. An idle worker is always preferred
 * to whoever has it. All of it is a preference: each piece has its protocol, for any number of
 * those who take.
 *
 * Timers stay where they are armed, and a spare worker is there for a moment only: tasks that wait on it
 * arm them on the wheel of the loop that it stood in for last, its host, and tell the one who looks
 * after that. (A call_later belongs to its loop, be that a spare one's.)
 *
 * Rejected: taking the loop away as a whole. The thread that has lost it may be in the middle of a call
 * into the runtime, so that each of these calls would have to announce itself, against a barrier on
 * all CPUs (membarrier) on the side of who takes over; and the loser would have to be told.
 */
#include "scheduler/worker.h"

/* A normal idle worker stands in after that long without a turn. */
#define HELD_US 500
/* At most so many timers or descriptors are served in one go. */
#define STANDIN_BATCH 64

/* [worker] Note whether @victim has made a step since we looked last. */
void hilo__sighting_update(struct sighting *seen, struct hilo_loop *victim, uint64_t now);

/*
 * [worker] Stand in for @victim, as just seen at @now, and take over what waits in it besides ring and deque.
 * It goes into our own queues; loop->held is set if there are callbacks to run.
 */
void hilo__stand_in(struct hilo_loop *loop, struct hilo_loop *victim, uint64_t now);

/* [worker] There is something to take from @victim, whatever it is. A hint. */
bool hilo__standin_finds(struct hilo_loop *victim);

/* [worker, on its own stack] Run the callbacks of loop->held. */
void hilo__standin_run_calls(struct hilo_loop *loop);

/* [worker that stands in for others, each turn] Now and then serve them, those that are still held. */
void hilo__standin_serve(struct hilo_loop *loop);

/*
 * [any] A timer was armed on the wheel of @armed, from the thread of @loop (NULL: of none): whoever serves it must not
 * sleep over it. The order is that of hilo__timer_add, with the stand-in in the owner's place.
 */
void hilo__standin_armed(struct hilo_loop *loop, struct hilo_loop *armed);

/* [worker that stands in for others, about to sleep] When the first of their timers is due. */
hilo_time hilo__standin_next(struct hilo_loop *loop);

#ifdef HILO_TESTING
/* Nobody stands in, for tests of the order on one loop. To be changed while no runtime runs. */
extern bool hilo__nobody_stands_in;
#endif

/* [searcher] Take half of what @victim has queued; one to run is returned, the rest is ours. */
struct hilo_task *hilo__steal_half(struct hilo_loop *loop, struct hilo_loop *victim);

/* [who has the lock of its queue] The task of @link may run anywhere. */
bool hilo__link_is_unbound(struct link *link);

/* [owner] Something lies in our own queues, whatever it is. */
bool hilo__loop_has_news(struct hilo_loop *loop);

#endif /* HILO_SCHEDULER_STANDIN_H */
