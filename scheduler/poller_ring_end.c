/* SPDX-License-Identifier: MIT */
/* poller_ring_end.c - whether there are rings; how one is made, and how it ends. The pairs are in poller_ring.c. */
#include "scheduler/poller_ring_impl.h"

#include <errno.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define RING_ENTRIES 256

int hilo__ring_make(struct poll_ring **ret)
{
	struct poll_ring *ring = hilo__calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	rc = hilo__uring_init(&ring->uring, RING_ENTRIES);
	if (rc < 0) {
		hilo__free(ring);
		return rc;
	}
	list_init(&ring->queue);
	list_init(&ring->cancels);
	atomic_setup(&ring->queued, true);
	*ret = ring;
	return 0;
}

void hilo__ring_fini(struct poller *poller)
{
	struct poll_ring *ring = ring_of(poller);

	store_relaxed(&poller->ring, NULL); /* relaxed: nobody else is left */
	hilo__uring_fini(&ring->uring);
	hilo__free(ring);
}

/* [closing thread] The kernel shall end whatever it has. */
static void ring_end_all(struct poll_ring *ring)
{
	struct uring_sqe *sqe;

	spin_lock(&ring->lock);
	sqe = uring_next(&ring->uring);
	if (sqe) {
		sqe->code = URING_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->call_flags = URING_CANCEL_ALL | URING_CANCEL_ANY;
		sqe->user_data = USER_NOTHING;
		uring_push(&ring->uring);
	}
	spin_unlock(&ring->lock);
}

/* [closing thread] Operations that were not given to the kernel. */
static void ring_end_queued(struct poller *poller, struct poll_ring *ring)
{
	struct list *first;

	while ((first = list_pop_first(&ring->queue))) {
		struct poll_io *io =
			container_of(list_entry(first, struct poll_op, link), struct poll_io, op);

		store_relaxed(&io->state, POLL_IO_IDLE); /* relaxed: nobody else is left */
		hilo__poller_complete_io(poller, io, -ECANCELED);
	}
}

void hilo__ring_abandon(struct poller *poller)
{
	struct poll_ring *ring = ring_of(poller);

	ring_end_queued(poller, ring);
	while (load_relaxed(&poller->armed)) { /* relaxed: nobody else is left */
		ring_end_all(ring);
		(void)ring_enter(poller, ring, HILO_MILLISECOND);
		while (hilo__ring_consume(poller, ring, POLL_BATCH, POLL_OWNER) > 0)
			;
	}
}

/* Whether rings work here: 1, or why not. 0: not asked yet. Two threads that ask at once find the same. */
static atomic(int) ring_works;

static int ring_try(void)
{
	struct uring uring;
	int rc = hilo__uring_init(&uring, 4);

	if (rc < 0)
		return rc;
	rc = hilo__uring_probe(&uring);
	hilo__uring_fini(&uring);
	if (rc == 0)
		rc = hilo__sys_membarrier(MEMBARRIER_REGISTER);
	return rc;
}

int hilo__poller_ring_works(void)
{
	int works = load_relaxed(&ring_works); /* relaxed: says it all itself */

	if (!works) {
		works = ring_try();
		works = works < 0 ? works : 1;
		/* Out of descriptors, of memory: that may be better next time. */
		if (works != -EMFILE && works != -ENFILE && works != -ENOMEM)
			store_relaxed(&ring_works, works); /* relaxed: as above */
	}
	return works < 0 ? works : 0;
}
