/* SPDX-License-Identifier: MIT */
/*
 * poller_ring_cancel.c - how the kernel is told to end an operation; states and pairs are in poller_ring.c.
 *
 * That may be in vain: to an operation that waits in a thread of the kernel's a signal is sent, which may come before
 * it waits. The answer -EALREADY says that it was sent, and not that it has helped. So while something was told to end
 * and has not, all of that is told once more, after some milliseconds, and again after twice as long each time, since
 * a signal does not end everything (a disk). A timer of the ring's says when: nobody has to look at the clock, and a
 * sleeping owner wakes. One that the kernel has no memory for has ended at once.
 *
 * Rejected: to remember which cancel has failed. Its completion would have to name the operation, which may be over,
 * and something else at its address, by then; and to tell the kernel once more of those that it ends anyway does no
 * harm.
 */
#include "scheduler/poller_ring_impl.h"

#include <errno.h>

/* [lock] The timer, if it is wanted and there is room. */
static void ring_set_again(struct poll_ring *ring)
{
	struct uring_sqe *sqe = ring->again_wanted ? uring_next(&ring->uring) : NULL;

	if (!sqe)
		return;
	sqe->code = URING_TIMEOUT;
	sqe->fd = -1;
	sqe->addr = (uintptr_t)&ring->again;
	sqe->len = 1;
	sqe->user_data = USER_AGAIN;
	uring_push(&ring->uring);
	ring->again_runs = true;
	ring->again_wanted = false;
}

void hilo__ring_tell_cancels(struct poll_ring *ring)
{
	struct uring_sqe *sqe;
	struct poll_io *io;

	while ((io = ring_next(ring, &ring->cancels, &sqe))) {
		sqe->code = URING_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->addr = (uintptr_t)io;
		sqe->user_data = USER_CANCEL;
		uring_push(&ring->uring);
		list_add_tail(&ring->told, &io->op.link);
	}
	ring_set_again(ring);
}

void hilo__ring_not_cancelled(struct poll_ring *ring)
{
	spin_lock(&ring->lock);
	if (list_first(&ring->told) && !ring->again_runs) {
		ring->again_wanted = true;
		store_relaxed(&ring->queued, true); /* relaxed: P2 */
	}
	spin_unlock(&ring->lock);
}

void hilo__ring_cancel_again(struct poll_ring *ring)
{
	spin_lock(&ring->lock);
	ring->again_runs = false;
	if (!list_first(&ring->told)) {
		ring->again.ns = AGAIN_NS;
	} else {
		ring->again.ns *= ring->again.ns < AGAIN_MOST_NS ? 2 : 1;
		list_splice(&ring->cancels, &ring->told);
		store_relaxed(&ring->queued, true); /* relaxed: P2 */
	}
	spin_unlock(&ring->lock);
}

bool hilo__ring_stop(struct poll_io *io)
{
	struct poll_ring *ring = ring_of(io->poller);
	uint8_t running = POLL_IO_RUNNING;
	bool queued;

	if (!ring)
		return false;
	spin_lock(&ring->lock);
	if (HILO__UNLIKELY(load_relaxed(&io->poller->fallen))) { /* relaxed: under the lock */
		spin_unlock(&ring->lock);
		return false; /* who has made it fall deals with it, or has */
	}
	queued = load_relaxed(&io->state) == POLL_IO_QUEUED; /* relaxed: under the lock */
	if (queued) {
		list_del(&io->op.link);
		store_relaxed(&io->state, POLL_IO_IDLE);		  /* relaxed: nobody else has it */
	} else if (cas_acq_rel(&io->state, &running, POLL_IO_STOPPING)) { /* P1 */
		list_add_tail(&ring->cancels, &io->op.link);
		store_relaxed(&ring->queued, true); /* relaxed: P2 */
	}
	spin_unlock(&ring->lock);
	if (queued)
		hilo__poller_complete_io(io->poller, io, -ECANCELED);
	return queued;
}
