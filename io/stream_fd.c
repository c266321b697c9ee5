/* SPDX-License-Identifier: MIT */
/*
 * stream_fd.c - the transport that is a descriptor: a receive and a send are operations of a poller.
 *
 * O_NONBLOCK belongs to the open file, not to the descriptor: who sets it for standard input sets it for the shell as
 * well, and for whatever else reads that terminal. So it is never set. A socket does not need it. A pipe or terminal
 * that blocks is opened once more, through /proc/self/fd, as an open file of our own with its own flags. Where that
 * is not possible (no /proc; a FIFO without a reader) each call waits until the descriptor is ready, and a write is
 * of no more than what a pipe that is ready takes; it can only block if another process has read, or filled, it in
 * between. Regular files, which are always ready, are read and written at once.
 *
 * There is one exception. splice(2) knows no flag to say that it may not wait for a socket. Before it takes from one
 * that was made here, by accept or connect, it is seen that there is something. While it sends to one that is set to
 * O_NONBLOCK: nobody else has it; and a receive that is started on it in that moment is answered -EAGAIN by a ring, and
 * then waits for readiness.
 *
 * SIGPIPE is not raised: a send to a socket says so itself. A write to a pipe is made by a thread of a worker, which
 * has all signals blocked, or by the kernel on its behalf; only a plain thread, which may make the first try itself,
 * has to block it for that moment.
 */
#include <errno.h>
#include <limits.h>

#include "io/descriptor_impl.h"
#include "io/sock_impl.h"
#include "io/splice_impl.h"
#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/sys.h"

static inline struct transport_fd *fd_of(struct transport *transport)
{
	return container_of(transport, struct transport_fd, base);
}

static void fd_received(struct poll_op *op)
{
	struct transport_fd *fd = container_of(op, struct transport_fd, in.op);

	if (HILO__UNLIKELY(fd->in.given_up))
		fd->is_left = true;
	fd->base.up->received(fd->base.owner, op->result, fd->in.more_is_there);
}

static void fd_sent(struct poll_op *op)
{
	struct transport_fd *fd = container_of(op, struct transport_fd, out.op);

	if (HILO__UNLIKELY(fd->out.given_up))
		fd->is_left = true;
	fd->base.up->sent(fd->base.owner, op->result);
}

/* [owner of the operation] Start @io. */
static bool fd_start(struct transport_fd *fd, struct poll_io *io, unsigned flags, ssize_t *ret)
{
	struct hilo_runtime *here = hilo__io_runtime();

	if (HILO__UNLIKELY(fd->is_direct && !hilo__io_is_ring(here ? here : fd->runtime))) {
		*ret = hilo__poll_io_call(io);
		return true;
	}
	/* One of another runtime would have to be told of the descriptor's end as well. */
	if (HILO__LIKELY(here == fd->runtime && here))
		flags |= POLL_KEPT;
	io->op.flags = (uint8_t)flags;
	io->owner = fd->base.owner;
	if (!hilo__io_start(fd->runtime, io))
		return false;
	*ret = io->op.result;
	return true;
}

static bool fd_receive(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret)
{
	struct transport_fd *fd = fd_of(transport);

	poll_io_init(&fd->in, fd->is_socket ? POLL_IO_RECV : POLL_IO_READ, transport->fd, data, size,
		     fd_received);
	return fd_start(fd, &fd->in, later || fd->blocks ? POLL_LATER : 0, ret);
}

static ssize_t fd_receive_now(struct transport *transport, void *data, size_t size)
{
	struct transport_fd *fd = fd_of(transport);

	poll_io_init(&fd->in, fd->is_socket ? POLL_IO_RECV : POLL_IO_READ, transport->fd, data, size,
		     fd_received);
	if (HILO__UNLIKELY(fd->blocks)) {
		struct pollfd poll = {.fd = transport->fd, .events = POLLIN};
		const struct timespec none = {0, 0};

		if (hilo__sys_ppoll(&poll, 1, &none) <= 0)
			return -EAGAIN;
	}
	return hilo__poll_io_call(&fd->in);
}

/*
 * A socket is looked at first. One that blocks would wait, whatever the flags say, if there were nothing; so it must be
 * one from which nobody else takes what was seen. What was seen and does not go, since urgent data lies before it, must
 * not be tried again and again.
 */
static ssize_t fd_receive_pipe(struct transport *transport, int pipe, size_t size)
{
	const struct transport_fd *fd = fd_of(transport);
	ssize_t n = 1;
	char next;

	if (!fd->can_splice_in ||
	    (fd->is_socket && !fd->is_own && hilo__sock_is_nonblocking(fd->base.fd) <= 0))
		return -EOPNOTSUPP;
	if (fd->is_socket)
		n = hilo__sys_recv(transport->fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n;
	n = hilo__sys_splice(transport->fd, NULL, pipe, size, SPLICE_F_NONBLOCK);
	if (n == -ENOMEM || n == -ENOBUFS)
		return -ENOMEM;
	return splice_is_refused(n) || (fd->is_socket && (n == 0 || n == -EAGAIN)) ? -EOPNOTSUPP : n;
}

static bool fd_send(struct transport *transport, const void *data, size_t size, ssize_t *ret)
{
	struct transport_fd *fd = fd_of(transport);
	struct descriptor_quiet quiet;
	bool done, plain;

	if (HILO__UNLIKELY(fd->blocks && size > PIPE_BUF))
		size = PIPE_BUF;
	poll_io_init(&fd->out, fd->is_socket ? POLL_IO_SEND : POLL_IO_WRITE, transport->fd,
		     (void *)(uintptr_t)data, size, fd_sent);
	if (HILO__LIKELY(fd->is_socket))
		return fd_start(fd, &fd->out, 0, ret);
	plain = !hilo__io_runtime();
	if (plain)
		hilo__descriptor_quiet(&quiet);
	done = fd_start(fd, &fd->out, fd->blocks ? POLL_LATER : 0, ret);
	if (plain)
		hilo__descriptor_quiet_end(&quiet);
	return done;
}

static ssize_t fd_send_pipe(struct transport *transport, int pipe, size_t size)
{
	const struct transport_fd *fd = fd_of(transport);
	int quick = hilo__sock_is_nonblocking(transport->fd);
	ssize_t n;

	if (fd->is_direct || quick < 0 || (!quick && !fd->is_own))
		return -EOPNOTSUPP;
	if (!size)
		return 0;
	if (!quick && hilo__sock_set_nonblocking(transport->fd, true) < 0)
		return -EOPNOTSUPP;
	n = hilo__descriptor_send_pipe(transport->fd, pipe, size);
	if (!quick)
		(void)hilo__sock_set_nonblocking(transport->fd, false);
	return n;
}

static ssize_t fd_send_now(struct transport *transport, const void *data, size_t size)
{
	struct transport_fd *fd = fd_of(transport);
	struct poll_io io;

	if (!fd->is_socket)
		return -EAGAIN; /* what stands on others sends it later */
	poll_io_init(&io, POLL_IO_SEND, transport->fd, (void *)(uintptr_t)data, size, NULL);
	return hilo__poll_io_call(&io);
}

static void fd_stop(struct transport *transport, bool receive, bool send)
{
	struct transport_fd *fd = fd_of(transport);

	if (receive)
		hilo__io_stop(&fd->in);
	if (send)
		hilo__io_stop(&fd->out);
}

static void fd_close_both(struct transport_fd *fd)
{
	if (fd->base.fd >= 0)
		(void)hilo__sys_close(fd->base.fd);
	if (fd->adopted >= 0)
		(void)hilo__sys_close(fd->adopted);
	fd->base.fd = fd->adopted = -1;
}

/* [closing thread] Its pollers are about to go: nothing of ours is left with them. */
static void fd_cut(struct tie *tie)
{
	struct transport_fd *fd = container_of(tie, struct transport_fd, tie);

	fd->runtime = NULL;
	fd->loop = NULL;
}

/* [creator] A stream may be freed after its runtime has ended, so that it has to hear of that. */
static void fd_tie(struct transport_fd *fd)
{
	struct hilo_loop *here = thread_self()->loop;

	fd->loop = here && here->runtime == fd->runtime ? here : fd->runtime->loops[0];
	fd->tie.cut = fd_cut;
	hilo__loop_tie(fd->loop, &fd->tie);
}

static void fd_close(struct transport *transport)
{
	struct transport_fd *fd = fd_of(transport);

	if (fd->loop)
		hilo__loop_untie(fd->loop, &fd->tie);
	if (fd->runtime && transport->fd >= 0)
		hilo__io_forget(fd->runtime, transport->fd);
	fd->loop = NULL;
	fd_close_both(fd);
}

/* A pipe that is only written ends with its descriptor. */
static int fd_shut(struct transport *transport)
{
	if (fd_of(transport)->is_socket)
		return hilo__descriptor_shut(transport->fd, false);
	fd_close(transport);
	return 0;
}

static const struct transport_ops fd_ops = {
	.name = "descriptor",
	.receive = fd_receive,
	.receive_now = fd_receive_now,
	.receive_pipe = fd_receive_pipe,
	.send = fd_send,
	.send_pipe = fd_send_pipe,
	.send_now = fd_send_now,
	.stop = fd_stop,
	.shut = fd_shut,
	.close = fd_close,
};

/* [creator] The transport of descriptor @fd, which is what @descriptor says. 0 or why not. */
static int fd_init(struct transport_fd *transport, int fd, const struct descriptor *descriptor)
{
	bool can_open = descriptor->kind == DESCRIPTOR_PIPE || descriptor->kind == DESCRIPTOR_TERMINAL;
	int again;

	transport->base.ops = &fd_ops;
	transport->base.fd = fd;
	transport->base.can_read = descriptor->can_read;
	transport->base.can_write = descriptor->can_write;
	transport->is_socket = descriptor->kind == DESCRIPTOR_SOCKET;
	transport->is_direct = descriptor->kind == DESCRIPTOR_DIRECT;
	transport->base.can_shut = transport->is_socket || (!descriptor->can_read && descriptor->can_write);
	transport->adopted = -1;
	if (!descriptor->blocks || transport->is_socket || transport->is_direct)
		return 0;
	again = can_open ? hilo__descriptor_reopen(fd, descriptor) : -ENXIO;
	if (again == -EMFILE || again == -ENFILE || again == -ENOMEM)
		return again;
	transport->blocks = again < 0;
	if (again >= 0) {
		transport->base.fd = again;
		transport->adopted = fd;
	}
	return 0;
}

static int fd_check(int fd, struct descriptor *ret)
{
	int rc = hilo__descriptor_look(fd, ret);

	if (rc == 0 && ret->kind == DESCRIPTOR_SOCKET) {
		rc = hilo__descriptor_connected(fd);
		if (rc == 0)
			rc = -ENOTCONN;
	}
	return rc < 0 ? hilo_fail(rc, "hilo_stream_from_fd: descriptor %d: %s", fd, hilo_strerror(rc)) : 0;
}

/* Not packets: their ends would be lost. */
static bool can_splice_in(int fd, const struct descriptor *descriptor)
{
	int type = 0;

	if (descriptor->kind != DESCRIPTOR_SOCKET)
		return descriptor->kind == DESCRIPTOR_PIPE;
	return hilo__sock_get(fd, SOL_SOCKET, SO_TYPE, &type) == 0 && type == SOCK_STREAM;
}

int hilo_stream_from_fd(int fd, const hilo_stream_opts *opts, hilo_stream **ret)
{
	struct descriptor descriptor;
	hilo_stream *stream;
	int rc = ret ? fd_check(fd, &descriptor) : hilo_fail(-EINVAL, "hilo_stream_from_fd: ret is NULL");

	if (rc < 0)
		return rc;
	rc = hilo__stream_new("hilo_stream_from_fd", opts, __builtin_return_address(0), &stream);
	if (rc < 0)
		return rc;
	if (!stream->descriptor.runtime)
		rc = hilo_fail(-EDEADLK, "hilo_stream_from_fd: there is no runtime here, and opts name none");
	else
		rc = fd_init(&stream->descriptor, fd, &descriptor);
	if (rc < 0) {
		hilo__stream_undo(stream);
		return rc;
	}
	stream->descriptor.can_splice_in = can_splice_in(fd, &descriptor);
	fd_tie(&stream->descriptor);
	hilo__stream_attach(stream, &stream->descriptor.base);
	*ret = stream;
	return 0;
}

int hilo__stream_from_socket(int fd, struct hilo_runtime *runtime, const void *site, hilo_stream **ret)
{
	static const struct descriptor connected = {
		.kind = DESCRIPTOR_SOCKET, .can_read = true, .can_write = true};
	hilo_stream_opts opts = {.size = sizeof(opts), .runtime = runtime};
	int rc = hilo__stream_new("a connection", &opts, site, ret);

	if (rc < 0)
		return rc;
	(void)fd_init(&(*ret)->descriptor, fd, &connected);
	(*ret)->descriptor.is_own = (*ret)->descriptor.can_splice_in = true;
	fd_tie(&(*ret)->descriptor);
	hilo__stream_attach(*ret, &(*ret)->descriptor.base);
	return 0;
}
