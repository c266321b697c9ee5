/* SPDX-License-Identifier: MIT */
/*
 * poller_ready.c - operations of poll_io.h over readiness: tried, and if they have to wait made again when epoll says
 * that they need not.
 *
 * An operation that waits is on the list of its descriptor (poller_epoll.c), like any that waits for readiness.
 * What takes it off does so under the descriptor's lock, and puts it among those that are due; whoever has let
 * that lock go makes their calls. So no call is made under a lock, and no completion called. Who has the events of one
 * epoll call keeps what is due by those to himself (hilo__ready_make), which needs no lock; everything else goes to a
 * list for all (hilo__ready_settle). He looks at that as well, when his are made.
 *
 * Rejected: to have the waiting task make the call. An operation need not have one: a stream's is its own, and brings
 * bytes though nobody waits for them any more; and there would be two kinds of users, one for each kind of poller.
 *
 * P1  Who has added one that is due looks whether somebody makes the calls, and leaves it to him. Who has made them
 *     says so, and looks once more whether there is one: all four are seq_cst, so one of them sees the other.
 *
 * Who has taken an operation off its list owns it until it has completed or waits again. hilo__ready_stop, which may
 * come at any time, sets `stopping` before it looks at the list under the lock; who puts an operation there looks at
 * `stopping` under that lock: one of them sees the other (I4 of poller_epoll.c).
 */
#include "scheduler/poller_impl.h"

#include <errno.h>
#include <limits.h>

#include "scheduler/base/sys.h"

void hilo__ready_due(struct poller *poller, struct poll_io *io)
{
	struct poll_backend *backend = poller->backend;

	store_relaxed(&io->state, POLL_IO_DUE); /* relaxed: under the lock of its descriptor */
	spin_lock(&backend->due_lock);
	list_add_tail(&backend->due, &io->op.link);
	(void)add_seq_cst(&backend->dues, 1); /* P1 */
	spin_unlock(&backend->due_lock);
}

static struct poll_io *ready_take(struct poll_backend *backend)
{
	struct list *first;

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

/* [owner of @io] It is ready, or has failed. */
static void ready_make(struct poller *poller, struct poll_io *io)
{
	int rc = io->op.result;

	if (rc > 0)
		rc = hilo__poll_io_call(io);
	if ((rc != -EAGAIN || io->op.kind == POLL_IO_CONNECT) || ready_wait(poller, io, &rc))
		hilo__poller_complete_io(poller, io, rc);
}

void hilo__ready_make(struct poller *poller, struct list *due)
{
	struct list *first;

	while ((first = list_pop_first(due))) {
		struct poll_io *io =
			container_of(list_entry(first, struct poll_op, link), struct poll_io, op);

		if ((first = list_first(due)))
			poll_io_prefetch_waiter(
				container_of(list_entry(first, struct poll_op, link), struct poll_io, op));
		ready_make(poller, io);
	}
}

/*
 * Those of the list for all. One thread at a time, and not within itself: a completion that starts the next operation
 * does not pile up on the stack of a task. P1
 */
void hilo__ready_settle(struct poller *poller)
{
	struct poll_backend *backend = poller->backend;
	struct poll_io *io;

	while (HILO__UNLIKELY(load_seq_cst(&backend->dues))) { /* P1 */
		if (xchg_seq_cst(&backend->settling, true))    /* P1 */
			return;
		while ((io = ready_take(backend)))
			ready_make(poller, io);
		(void)xchg_seq_cst(&backend->settling, false); /* P1 */
	}
}

/*
 * A ring has fallen, or could not be made: what was left blocking for it. Sockets to accept from, or to connect, are
 * set not to block; a pipe or terminal is somebody else's, too, so it is waited for first, and then takes, or gives,
 * what is ready. True: it has to be waited for.
 */
static HILO__COLD bool io_unblock(struct poll_io *io)
{
	bool is_file = io->op.kind >= POLL_IO_READ && io->op.kind <= POLL_IO_WRITEV;
	int flags;

	if (io->op.kind != POLL_IO_ACCEPT && io->op.kind != POLL_IO_CONNECT && !is_file)
		return false;
	flags = hilo__sys_fcntl(io->op.fd, F_GETFL, 0);
	if (flags < 0 || flags & O_NONBLOCK)
		return false;
	if (is_file && io->op.kind == POLL_IO_WRITE && io->length > PIPE_BUF)
		io->length = PIPE_BUF; /* more could block */
	if (!is_file)
		(void)hilo__sys_fcntl(io->op.fd, F_SETFL, flags | O_NONBLOCK);
	return is_file;
}

/*
 * [owner of @io] How the connection stands that was begun on a ring: as connect(2) says, which begins it if that has
 * had no effect. -EAGAIN: it is on its way, and is over when the socket can be written to.
 */
static HILO__COLD int io_connect_again(const struct poll_io *io)
{
	int rc = hilo__sys_connect(io->op.fd, io->data, (socklen_t)io->length);

	if (rc == -EISCONN)
		return 0;
	return rc == -EINPROGRESS || rc == -EALREADY || rc == -EINTR ? -EAGAIN : rc;
}

bool hilo__ready_start(struct poller *poller, struct poll_io *io, bool later)
{
	int rc = -EAGAIN;

	if (HILO__UNLIKELY(poller->is_ring))
		later |= io_unblock(io);
	if (HILO__UNLIKELY(io->op.kind == POLL_IO_CONNECT && io->begun)) /* on a ring that has fallen since */
		rc = io_connect_again(io);
	else if (!later || io->op.kind == POLL_IO_CONNECT)
		rc = hilo__poll_io_call(io);
	if (rc == -EAGAIN && (io->op.kind != POLL_IO_CONNECT || io->begun)) {
		(void)add_relaxed(&poller->armed, 1); /* relaxed: a count */
		if (!ready_wait(poller, io, &rc)) {
			hilo__ready_settle(poller); /* what was found out about its descriptor */
			return false;
		}
		(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
		hilo__ready_settle(poller);
		if (rc == -EPERM) /* a regular file: nothing to wait for */
			rc = hilo__poll_io_call(io);
	}
	io->op.result = rc;
	return true;
}

bool hilo__ready_again(struct poller *poller, struct poll_io *io, int *ret)
{
	bool ended;

	if (HILO__UNLIKELY(load_acquire(&poller->fallen))) { /* P3 of poller.c */
		(void)io_unblock(io);
		if (io->op.kind == POLL_IO_CONNECT) {
			*ret = io_connect_again(io);
			if (*ret != -EAGAIN)
				return false;
		}
	}
	ended = ready_wait(poller, io, ret);
	hilo__ready_settle(poller);
	if (*ret == -EPERM) /* a regular file: nothing to wait for, and the kernel did not want to */
		*ret = hilo__poll_io_call(io);
	return !ended;
}

void hilo__ready_stop(struct poll_io *io)
{
	struct poller *poller = io->poller;

	if (hilo__epoll_take_back(poller, io))
		hilo__poller_complete_io(poller, io, -ECANCELED);
}
