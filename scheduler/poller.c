/* SPDX-License-Identifier: MIT */
/*
 * poller.c - one poller of two kinds. Readiness is epoll's in both. The operations of poll_io.h are given to a ring,
 * if the poller is of that kind, or made when epoll says that they need not wait.
 *
 * The ring is made for the first operation: a runtime that computes has none, and starts without. Until then its
 * thread sleeps in epoll, afterwards in the ring, which watches epoll's descriptor.
 *
 * Where it cannot be made now, descriptors or memory have run out, what can wait for readiness does.
 *
 * The lock under which it is made is held over the system calls that make it: who comes meanwhile needs it as well.
 *
 * P1  of poller_epoll.c holds for both: it is the word `woken` and the eventfd that they share.
 * P2  The ring is published with release, once it works; who finds it acquires.
 * P3  `fallen` is set by the owner, with release, under the ring's lock. Who does not see it yet finds it there.
 */
#include "scheduler/poller_impl.h"

#include <errno.h>

#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"
#include "scheduler/thread.h"

/* [any] The ring, if operations go to it. */
static inline struct poll_ring *poller_ring(const struct poller *poller)
{
	if (HILO__UNLIKELY(load_acquire(&((struct poller *)poller)->fallen))) /* P3 */
		return NULL;
	return load_acquire(&((struct poller *)poller)->ring); /* P2 */
}

/* [any] The ring, which is made if there is none. */
static int poller_need_ring(struct poller *poller, struct poll_ring **ret)
{
	int rc = 0;

	*ret = load_acquire(&poller->ring); /* P2 */
	if (HILO__LIKELY(*ret != NULL))
		return 0;
	spin_lock(&poller->making);
	*ret = load_relaxed(&poller->ring); /* relaxed: under the lock */
	if (!*ret) {
		rc = hilo__ring_make(ret);
		if (rc == 0)
			store_release(&poller->ring, *ret); /* P2 */
	}
	spin_unlock(&poller->making);
	return rc;
}

void hilo__poller_complete_io(struct poller *poller, struct poll_io *io, int result)
{
	io->op.result = result;
	(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
	io->op.complete(&io->op);
}

/* [owner of @io] Give it to the ring. 0: it will complete; or why not. */
static int poller_ring_start(struct poller *poller, struct poll_io *io)
{
	struct poll_ring *ring;
	int rc = poller_need_ring(poller, &ring);

	if (HILO__UNLIKELY(rc < 0))
		return rc;
	(void)add_relaxed(&poller->armed, 1); /* relaxed: a count */
	rc = hilo__ring_start(poller, io);
	if (HILO__UNLIKELY(rc < 0))
		(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
	return rc;
}

/*
 * There is no descriptor for a ring, or no memory. That is no failure of an operation which readiness serves as well:
 * its connection is open, and works.
 */
static bool io_may_wait(const struct poll_io *io)
{
	return io->op.kind < POLL_IO_FSYNC && io->offset < 0;
}

bool hilo__poller_start(struct poller *poller, struct poll_io *io)
{
	int rc;

	io->poller = poller;
	io->task = thread_self()->task;
	io->begun = false;
	io->more_is_there = false;
	io->given_up = false;
	list_init(&io->op.link);
	store_relaxed(&io->stopping, false);		      /* relaxed: the caller's own yet */
	if (HILO__UNLIKELY(load_relaxed(&poller->closing))) { /* relaxed: set by who is alone */
		io->op.result = -ECANCELED;
		return true;
	}
	if (!poller->is_ring || HILO__UNLIKELY(load_relaxed(&poller->fallen))) /* relaxed: P3 */
		return hilo__ready_start(poller, io, io->op.flags & POLL_LATER);
	rc = poller_ring_start(poller, io);
	if (HILO__LIKELY(rc == 0))
		return false;
	if (rc == RING_HAS_FALLEN || (rc != -ECANCELED && io_may_wait(io)))
		return hilo__ready_start(poller, io, io->op.flags & POLL_LATER);
	io->op.result = rc;
	return true;
}

void hilo__poller_stop(struct poll_io *io)
{
	store_relaxed(&io->stopping, true); /* relaxed: I4 of poller_epoll.c, I2 of poller_ring.c */
	if (!hilo__ring_stop(io))
		hilo__ready_stop(io);
}

int hilo__poller_reap(struct poller *poller, unsigned max, enum poll_reaper reaper)
{
	/* relaxed: a hint; an operation that is submitted just now is not ours to wait for */
	if (!max || !load_relaxed(&poller->armed))
		return 0;
	if (poller_ring(poller))
		return hilo__ring_reap(poller, max, reaper);
	return hilo__epoll_reap(poller, max);
}

void hilo__poller_flush(struct poller *poller)
{
	if (poller_ring(poller))
		hilo__ring_flush(poller, POLL_GUEST);
}

bool hilo__poller_has_news(const struct poller *poller)
{
	struct poll_ring *ring = poller_ring(poller);

	return ring && hilo__ring_has_news(ring);
}

int hilo__poller_wait(struct poller *poller, hilo_time deadline)
{
	return poller_ring(poller) ? hilo__ring_wait(poller, deadline) : hilo__epoll_wait(poller, deadline);
}

void hilo__poller_signal(struct poller *poller)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Cannot fail; a fault that a test plants is survived, for a wake-up that is lost is a hang. */
	do
		n = hilo__sys_write(poller->wake_fd, &one, sizeof(one));
	while (n != sizeof(one) && n != -EAGAIN);
}

void hilo__poller_wake(struct poller *poller)
{
	if (!xchg_acq_rel(&poller->woken, 1)) /* P1 */
		hilo__poller_signal(poller);
}

int hilo__poller_init(struct poller *poller, bool is_ring)
{
	int rc;

	atomic_setup(&poller->armed, 0);
	atomic_setup(&poller->woken, 0);
	atomic_setup(&poller->closing, false);
	atomic_setup(&poller->fallen, false);
	atomic_setup(&poller->ring, NULL);
	spin_init(&poller->making);
	atomic_setup(&poller->counts.operations, 0);
	atomic_setup(&poller->counts.polls, 0);
	atomic_setup(&poller->counts.given_up, 0);
	atomic_setup(&poller->counts.calls, 0);
	poller->is_ring = is_ring;
	poller->backend = NULL;
	poller->wake_fd = hilo__sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poller->wake_fd < 0)
		return poller->wake_fd;
	rc = hilo__epoll_init(poller);
	if (rc < 0)
		(void)hilo__sys_close(poller->wake_fd);
	return rc;
}

void hilo__poller_close(struct poller *poller)
{
	store_relaxed(&poller->closing, true); /* relaxed: nobody else is left */
}

bool hilo__poller_abandon(struct poller *poller, hilo_time deadline)
{
	hilo__poller_close(poller);
	if (!load_relaxed(&poller->armed)) /* relaxed: as above */
		return false;
	hilo__epoll_abandon(poller);
	if (poller_ring(poller))
		hilo__ring_abandon(poller, deadline);
	return true;
}

void hilo__poller_sever(struct poller *poller)
{
	struct poll_ring *ring = load_relaxed(&poller->ring); /* relaxed, here and below: alone */

	hilo__poller_close(poller);
	store_relaxed(&poller->woken, 1); /* so that nobody writes to the eventfd */
	store_relaxed(&poller->ring, NULL);
	if (ring)
		hilo__ring_sever(ring);
	hilo__epoll_sever(poller);
	(void)hilo__sys_close(poller->wake_fd);
	poller->wake_fd = -1;
}

void hilo__poller_fini(struct poller *poller)
{
	HILO__ASSERT(!load_relaxed(&poller->armed)); /* relaxed: nobody else is left */
	if (load_relaxed(&poller->ring))	     /* relaxed: nobody else is left */
		hilo__ring_fini(poller);
	hilo__epoll_fini(poller);
	(void)hilo__sys_close(poller->wake_fd);
}
