/* SPDX-License-Identifier: MIT */
/* datagram_wait.c - waiting for a UDP socket that may be closed meanwhile. The protocol is in datagram_impl.h. */
#include "io/datagram_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/error_impl.h"
#include "runtime/io_impl.h"

/* Tasks that are woken between two holds of the lock. */
#define BATCH 16

/* A task that waits for its operation. */
struct udp_waiter {
	struct list link; /* I1 */
	struct wait wait;
	atomic(uint32_t) happened; /* P2 */
};

static void waiter_complete(struct poll_op *op)
{
	struct udp_waiter *waiter = container_of(op, struct poll_io, op)->owner;
	struct hilo_task *task = waiter->wait.task;
	uint32_t episode = waiter->wait.episode;

	MUTANT(424, store_release(&waiter->happened, 1),
	       store_relaxed(&waiter->happened, 1)); /* P2; from here on it may be gone */
	hilo__task_wake(task, episode);
}

static bool udp_is_closed(hilo_udp *udp)
{
	return load_relaxed(&udp->word) & UDP_CLOSED; /* relaxed: the lock, or the next look, orders it */
}

/* [waiter] Wait until the operation has completed, the socket is closed, or the wait is over: why, less than 0. */
static int waiter_wait(hilo_udp *udp, struct udp_waiter *waiter)
{
	int rc = 0;

	spin_lock(&udp->lock);
	list_init(&waiter->link);
	list_add_tail(&udp->waiters, &waiter->link);
	spin_unlock(&udp->lock);
	while (!load_acquire(&waiter->happened) && rc == 0) /* P2 */
		rc = udp_is_closed(udp) ? HILO_ECLOSED : hilo__wait_park(&waiter->wait);
	spin_lock(&udp->lock);
	list_del(&waiter->link);
	spin_unlock(&udp->lock);
	return rc;
}

/* [waiter] The wait is over for @rc: the operation ends, too, and what it has done counts. */
static int waiter_stop(struct udp_waiter *waiter, struct poll_io *io, int rc)
{
	if (rc == -ETIMEDOUT)
		hilo__poller_flush(io->poller); /* tried once */
	(void)hilo_shield_enter();
	hilo__io_stop(io);
	waiter->wait.deadline = HILO_FOREVER;
	while (!load_acquire(&waiter->happened)) /* P2 */
		(void)hilo__wait_park(&waiter->wait);
	(void)hilo_shield_leave();
	return io->op.result == -ECANCELED ? rc : io->op.result;
}

static int run_task(hilo_udp *udp, struct poll_io *io, hilo_time deadline)
{
	struct udp_waiter waiter;
	int rc = hilo__wait_begin(&waiter.wait, WAIT_FD, (void *)(intptr_t)udp->fd, deadline);

	if (rc < 0)
		return rc;
	atomic_setup(&waiter.happened, 0);
	io->owner = &waiter;
	io->op.complete = waiter_complete;
	if (!hilo__io_start(NULL, io)) {
		rc = waiter_wait(udp, &waiter);
		if (!load_acquire(&waiter.happened)) /* P2 */
			io->op.result = waiter_stop(&waiter, io, rc);
	}
	hilo__wait_end(&waiter.wait);
	return io->op.result;
}

/* A plain thread makes the call itself, and waits in the kernel. */
static int run_thread(hilo_udp *udp, struct poll_io *io, hilo_time deadline)
{
	int rc;

	do {
		rc = hilo__poll_io_call(io);
		if (rc != -EAGAIN)
			return rc;
		rc = hilo_fd_wait(udp->fd, hilo__poll_io_event(io), deadline);
	} while (rc > 0 && !udp_is_closed(udp));
	return rc < 0 ? rc : HILO_ECLOSED;
}

int hilo__udp_run(hilo_udp *udp, struct poll_io *io, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc;

	if (HILO__UNLIKELY(self->loop && !self->task))
		return hilo__socket_run(io, deadline); /* a callback, which does not wait */
	rc = self->loop ? run_task(udp, io, deadline) : run_thread(udp, io, deadline);
	if (HILO__UNLIKELY(rc < 0))
		return hilo__error_own_fd(rc, udp->fd);
	if (deadline > 0)
		contend_was_free(thread_self());
	return rc;
}

void hilo__udp_rouse(hilo_udp *udp)
{
	struct {
		struct hilo_task *task;
		uint32_t episode;
	} woken[BATCH];
	struct list *first;
	unsigned n;

	do {
		spin_lock(&udp->lock);
		for (n = 0; n < BATCH && (first = list_pop_first(&udp->waiters)); n++) {
			struct udp_waiter *waiter = list_entry(first, struct udp_waiter, link);

			woken[n].task = waiter->wait.task;
			woken[n].episode = waiter->wait.episode;
		}
		spin_unlock(&udp->lock);
		for (unsigned i = 0; i < n; i++)
			MUTANT(422, hilo__task_wake(woken[i].task, woken[i].episode), (void)0);
	} while (n == BATCH);
	(void)hilo__sock_shutdown(udp->fd,
				  SHUT_RDWR); /* says -ENOTCONN, and wakes plain threads all the same */
}
