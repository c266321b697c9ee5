/* SPDX-License-Identifier: MIT */
/* poll_io.c - an operation of poll_io.h made as the system call that it stands for, without waiting. */
#include "scheduler/poll_io.h"

#include <errno.h>
#include <limits.h>

#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"

const char *hilo__poll_io_name(const struct poll_io *io)
{
	static const char *const names[POLL_IO_KINDS] = {
		[POLL_IO_RECV] = "recv",	 [POLL_IO_SEND] = "send",
		[POLL_IO_RECVMSG] = "recvmsg",	 [POLL_IO_SENDMSG] = "sendmsg",
		[POLL_IO_ACCEPT] = "accept",	 [POLL_IO_CONNECT] = "connect",
		[POLL_IO_READ] = "read",	 [POLL_IO_WRITE] = "write",
		[POLL_IO_READV] = "readv",	 [POLL_IO_WRITEV] = "writev",
		[POLL_IO_FSYNC] = "fsync",	 [POLL_IO_OPENAT] = "openat",
		[POLL_IO_STATX] = "statx",	 [POLL_IO_UNLINKAT] = "unlinkat",
		[POLL_IO_RENAMEAT] = "renameat", [POLL_IO_MKDIRAT] = "mkdirat",
	};
	const char *name = io->op.kind < POLL_IO_KINDS ? names[io->op.kind] : NULL;

	return name ? name : "call";
}

unsigned hilo__poll_io_event(const struct poll_io *io)
{
	switch ((enum poll_io_kind)io->op.kind) {
	case POLL_IO_SEND:
	case POLL_IO_SENDMSG:
	case POLL_IO_CONNECT:
	case POLL_IO_WRITE:
	case POLL_IO_WRITEV:
		return POLL_WRITABLE;
	default:
		return POLL_READABLE;
	}
}

/* Begin to connect, or find out how that has ended. */
static int io_connect(struct poll_io *io)
{
	socklen_t size = sizeof(int);
	int error = 0;
	int rc;

	if (!io->begun) {
		rc = hilo__sys_connect(io->op.fd, io->data, (socklen_t)io->length);
		/* After a signal the connection goes on being made, as if it did not block. */
		if (rc != -EINPROGRESS && rc != -EINTR)
			return rc;
		io->begun = true;
		return -EAGAIN;
	}
	rc = hilo__sys_getsockopt(io->op.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return rc < 0 ? rc : -error;
}

static ssize_t io_once_file(struct poll_io *io)
{
	int flags = (int)io->flags;

	switch ((enum poll_io_kind)io->op.kind) {
	case POLL_IO_FSYNC:
		return flags ? hilo__sys_fdatasync(io->op.fd) : hilo__sys_fsync(io->op.fd);
	case POLL_IO_OPENAT:
		return hilo__sys_openat(io->op.fd, io->data, flags, (mode_t)io->length);
	case POLL_IO_STATX:
		return hilo__sys_statx(io->op.fd, io->data, flags, (unsigned)io->length, io->more);
	case POLL_IO_UNLINKAT:
		return hilo__sys_unlinkat(io->op.fd, io->data, flags);
	case POLL_IO_RENAMEAT:
		return hilo__sys_renameat2(io->op.fd, io->data, (int)io->offset, io->more, io->flags);
	case POLL_IO_MKDIRAT:
		return hilo__sys_mkdirat(io->op.fd, io->data, (mode_t)io->length);
	default:
		HILO__PANIC("there is no operation %d", io->op.kind);
	}
}

static ssize_t io_once(struct poll_io *io)
{
	struct iovec one = {io->data, io->length};
	int flags = (int)io->flags;

	switch ((enum poll_io_kind)io->op.kind) {
	case POLL_IO_RECV:
		return hilo__sys_recv(io->op.fd, io->data, io->length, flags | MSG_DONTWAIT);
	case POLL_IO_SEND:
		return hilo__sys_send(io->op.fd, io->data, io->length, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	case POLL_IO_RECVMSG:
		return hilo__sys_recvmsg(io->op.fd, io->data, flags | MSG_DONTWAIT);
	case POLL_IO_SENDMSG:
		return hilo__sys_sendmsg(io->op.fd, io->data, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	case POLL_IO_ACCEPT:
		return hilo__sys_accept4(io->op.fd, io->data, io->more, flags);
	case POLL_IO_CONNECT:
		return io_connect(io);
	case POLL_IO_READ:
		if (io->offset < 0)
			return hilo__sys_read(io->op.fd, io->data, io->length);
		return hilo__sys_preadv2(io->op.fd, &one, 1, io->offset, 0);
	case POLL_IO_WRITE:
		if (io->offset < 0)
			return hilo__sys_write(io->op.fd, io->data, io->length);
		return hilo__sys_pwritev2(io->op.fd, &one, 1, io->offset, 0);
	case POLL_IO_READV:
		return hilo__sys_preadv2(io->op.fd, io->data, (int)io->length, io->offset, 0);
	case POLL_IO_WRITEV:
		return hilo__sys_pwritev2(io->op.fd, io->data, (int)io->length, io->offset, 0);
	default:
		return io_once_file(io);
	}
}

int hilo__poll_io_call(struct poll_io *io)
{
	ssize_t n;

	do
		n = io_once(io);
	while (n == -EINTR);
	return n > INT_MAX ? INT_MAX : (int)n;
}
