/* SPDX-License-Identifier: MIT */
/*
 * poller_ready.c - operations of poll_io.h over readiness: tried, and if they have to wait made again when epoll says
 * that they need not.
 *
 * An operation that waits is on the list of its descriptor (poller_epoll.c), like any that waits for readiness.
 * What takes it off does so under the descriptor's lock, and puts it among those that are due; whoever has let
 * that lock go makes their calls. So no call is made under a lock, and no completion called.
 *
 * Rejected: to have the waiting task make the call. An operation need not have one: a stream's is its own, and brings
 * bytes though nobody waits for them any more; and there would be two kinds of users, one for each kind of poller.
 *
 * Who has taken an operation off its list owns it until it has completed or waits again. hilo__ready_stop, which may
 * come at any time, sets `stopping` before it looks at the list under the lock; who puts an operation there looks at
 * `stopping` under that lock: one of them sees the other (I4 of poller_epoll.c).
 */
#include "scheduler/poller_impl.h"

#include <errno.h>

void hilo__ready_due(struct poller *poller, struct poll_io *io)
{
	struct poll_backend *backend = poller->backend;

	store_relaxed(&io->state, POLL_IO_DUE); /* relaxed: under the lock of its descriptor */
	spin_lock(&backend->due_lock);
	list_add_tail(&backend->due, &io->op.link);
	(void)add_relaxed(&backend->dues, 1); /* relaxed: a hint; this thread will look */
	spin_unlock(&backend->due_lock);
}

static struct poll_io *ready_take(struct poll_backend *backend)
{
	struct list *first;

	/* relaxed: who has added one comes here after it */
	if (HILO__LIKELY(!load_relaxed(&backend->dues)))
		return NULL;
	spin_lock(&backend->due_lock);
	first = list_pop_first(&backend->due);
	if (first)
		(void)sub_relaxed(&backend->dues, 1); /* relaxed: under the lock */
	spin_unlock(&backend->due_lock);
	return first ? container_of(list_entry(first, struct poll_op, link), struct poll_io, op) : NULL;
}

/* [owner of @io] Wait, unless that is impossible. True: @ret is how it has ended. */
static bool ready_wait(struct poller *poller, struct poll_io *io, int *ret)
{
	io->op.events = (uint8_t)hilo__poll_io_event(io);
	*ret = hilo__epoll_await(poller, io);
	return *ret < 0;
}

int hilo__ready_settle(struct poller *poller)
{
	struct poll_io *io;
	int completed = 0;

	while ((io = ready_take(poller->backend))) {
		int rc = io->op.result;

		if (rc > 0)
			rc = hilo__poll_io_call(io);
		if ((rc != -EAGAIN || io->op.kind == POLL_IO_CONNECT) || ready_wait(poller, io, &rc)) {
			hilo__poller_complete_io(poller, io, rc);
			completed++;
		}
	}
	return completed;
}

bool hilo__ready_start(struct poller *poller, struct poll_io *io, bool later)
{
	int rc = -EAGAIN;

	if (!later)
		rc = hilo__poll_io_call(io);
	if (rc == -EAGAIN && (io->op.kind != POLL_IO_CONNECT || io->begun)) {
		(void)add_relaxed(&poller->armed, 1); /* relaxed: a count */
		if (!ready_wait(poller, io, &rc)) {
			(void)hilo__ready_settle(poller); /* what was found out about its descriptor */
			return false;
		}
		(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
		(void)hilo__ready_settle(poller);
	}
	io->op.result = rc;
	return true;
}

bool hilo__ready_again(struct poller *poller, struct poll_io *io, int *ret)
{
	bool ended = ready_wait(poller, io, ret);

	(void)hilo__ready_settle(poller);
	return !ended;
}

void hilo__ready_stop(struct poll_io *io)
{
	struct poller *poller = io->poller;

	if (hilo__epoll_take_back(poller, io))
		hilo__poller_complete_io(poller, io, -ECANCELED);
}
