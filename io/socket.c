/* SPDX-License-Identifier: MIT */
/*
 * socket.c - calls on sockets, each as one operation of the poller: who waits, until when, and who is told what is
 * decided in hilo__io_run, here as everywhere.
 */
#include <hilo/io/socket.h>

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "io/sock_impl.h"
#include "io/socket_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"
#include "runtime/io_impl.h"

/* The most pieces that the system takes. */
#define PIECES_MAX 1024
/* The most bytes that it moves at a time; more need not fit the length of an operation. */
#define SIZE_MOST ((size_t)0x7ffff000)
/* ... and pieces that are copied at a time, when a part of them was sent. */
#define PIECES_COPIED 16

/* The call was made, and answered @rc. Others get their turn now and then, if it never has to wait. */
static inline int socket_made(int fd, int rc, hilo_time deadline)
{
	if (HILO__UNLIKELY(rc < 0))
		return hilo__error_own_fd(rc, fd);
	if (deadline > 0)
		contend_was_free(thread_self());
	return rc;
}

int hilo__socket_run(struct poll_io *io, hilo_time deadline)
{
	int fd = io->op.fd;

	return socket_made(fd, hilo__io_run(io, WAIT_FD, (void *)(intptr_t)fd, deadline), deadline);
}

static HILO__COLD int socket_wrong(const char *call, int fd, const char *what)
{
	return fd < 0 ? hilo_fail(-EBADF, "%s: descriptor %d", call, fd)
		      : hilo_fail(-EINVAL, "%s: %s", call, what);
}

ssize_t hilo_recv(int fd, void *buf, size_t size, hilo_time deadline)
{
	struct poll_io io;

	if (fd < 0 || (!buf && size))
		return socket_wrong("hilo_recv", fd, "buf is NULL");
	poll_io_init(&io, POLL_IO_RECV, fd, buf, size < SIZE_MOST ? size : SIZE_MOST, NULL);
	return hilo__socket_run(&io, deadline);
}

ssize_t hilo_send(int fd, const void *data, size_t size, hilo_time deadline)
{
	struct poll_io io;

	if (fd < 0 || (!data && size))
		return socket_wrong("hilo_send", fd, "data is NULL");
	poll_io_init(&io, POLL_IO_SEND, fd, (void *)(uintptr_t)data, size < SIZE_MOST ? size : SIZE_MOST,
		     NULL);
	return hilo__socket_run(&io, deadline);
}

ssize_t hilo_recvmsg(int fd, struct msghdr *message, int flags, hilo_time deadline)
{
	struct poll_io io;

	if (fd < 0 || !message)
		return socket_wrong("hilo_recvmsg", fd, "message is NULL");
	poll_io_init(&io, POLL_IO_RECVMSG, fd, message, 0, NULL);
	io.flags = (unsigned)flags;
	return hilo__socket_run(&io, deadline);
}

ssize_t hilo_sendmsg(int fd, const struct msghdr *message, int flags, hilo_time deadline)
{
	struct poll_io io;

	if (fd < 0 || !message)
		return socket_wrong("hilo_sendmsg", fd, "message is NULL");
	poll_io_init(&io, POLL_IO_SENDMSG, fd, (void *)(uintptr_t)message, 0, NULL);
	io.flags = (unsigned)flags;
	return hilo__socket_run(&io, deadline);
}

ssize_t hilo_recvv(int fd, const struct iovec *pieces, int n, hilo_time deadline)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)n};

	if (fd < 0 || n < 0 || n > PIECES_MAX || (!pieces && n))
		return socket_wrong("hilo_recvv", fd, pieces ? "0 to 1024 pieces" : "pieces is NULL");
	return hilo_recvmsg(fd, &message, 0, deadline);
}

void hilo__message_init(struct msghdr *message, struct iovec *piece, const void *data, size_t size,
			struct sockaddr_storage *name, socklen_t length)
{
	piece->iov_base = (void *)(uintptr_t)data;
	piece->iov_len = size;
	memset(message, 0, sizeof(*message));
	message->msg_iov = piece;
	message->msg_iovlen = 1;
	message->msg_name = length ? name : NULL;
	message->msg_namelen = length;
}

void hilo__message_from(const struct msghdr *message, hilo_address *ret)
{
	if (!ret)
		return;
	if (!message->msg_namelen || hilo_address_from(message->msg_name, message->msg_namelen, ret) < 0)
		memset(ret, 0, sizeof(*ret));
}

ssize_t hilo_recvfrom(int fd, void *buf, size_t size, hilo_address *from, hilo_time deadline)
{
	struct sockaddr_storage name;
	struct msghdr message;
	struct iovec piece;
	ssize_t n;

	if (fd < 0 || (!buf && size))
		return socket_wrong("hilo_recvfrom", fd, "buf is NULL");
	hilo__message_init(&message, &piece, buf, size, &name, from ? sizeof(name) : 0);
	n = hilo_recvmsg(fd, &message, 0, deadline);
	if (n >= 0)
		hilo__message_from(&message, from);
	return n;
}

ssize_t hilo_sendto(int fd, const void *data, size_t size, const hilo_address *to, hilo_time deadline)
{
	struct msghdr message;
	struct iovec piece;

	if (fd < 0 || (!data && size) || (to && !to->length))
		return socket_wrong("hilo_sendto", fd, data || !size ? "to is no address" : "data is NULL");
	hilo__message_init(&message, &piece, data, size, NULL, 0);
	if (to) {
		message.msg_name = (void *)(uintptr_t)&to->any;
		message.msg_namelen = to->length;
	}
	return hilo_sendmsg(fd, &message, 0, deadline);
}

int hilo_send_all(int fd, const void *data, size_t size, size_t *sent, hilo_time deadline)
{
	size_t done = 0;
	ssize_t n = 0;

	if (sent)
		*sent = 0;
	if (fd < 0 || (!data && size))
		return socket_wrong("hilo_send_all", fd, "data is NULL");
	do {
		n = hilo_send(fd, (const char *)data + done, size - done, deadline);
		done += n > 0 ? (size_t)n : 0;
	} while (n >= 0 && done < size);
	if (sent)
		*sent = done;
	return n < 0 ? (int)n : 0;
}

/* What is left of @pieces when @done bytes were sent: a copy of the first few. How many. */
static int pieces_left(const struct iovec *pieces, int n, size_t done, struct iovec *copy)
{
	int left = 0;

	for (int i = 0; i < n && left < PIECES_COPIED; i++) {
		size_t skip = done < pieces[i].iov_len ? done : pieces[i].iov_len;

		done -= skip;
		if (skip == pieces[i].iov_len)
			continue;
		copy[left].iov_base = (char *)pieces[i].iov_base + skip;
		copy[left++].iov_len = pieces[i].iov_len - skip;
	}
	return left;
}

int hilo_send_allv(int fd, const struct iovec *pieces, int n, size_t *sent, hilo_time deadline)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)n};
	struct iovec copy[PIECES_COPIED];
	size_t size = 0, done = 0;
	ssize_t now;

	if (sent)
		*sent = 0;
	if (fd < 0 || n < 0 || n > PIECES_MAX || (!pieces && n))
		return socket_wrong("hilo_send_allv", fd, pieces ? "0 to 1024 pieces" : "pieces is NULL");
	for (int i = 0; i < n; i++)
		size += pieces[i].iov_len;
	do {
		now = hilo_sendmsg(fd, &message, 0, deadline);
		done += now > 0 ? (size_t)now : 0;
		message.msg_iov = copy;
		message.msg_iovlen = (size_t)pieces_left(pieces, n, done, copy);
	} while (now >= 0 && done < size);
	if (sent)
		*sent = done;
	return now < 0 ? (int)now : 0;
}

/* [any] Where the call itself would wait, the descriptor must not block. */
static int socket_check_blocking(const char *call, int fd)
{
	int rc;

	if (hilo__io_is_ring(hilo__io_runtime()))
		return 0;
	rc = hilo__sock_is_nonblocking(fd);
	if (rc > 0)
		return 0;
	return rc < 0 ? hilo__error_own(rc) : hilo_fail(-EINVAL, "%s: socket %d blocks", call, fd);
}

int hilo_connect_fd(int fd, const hilo_address *to, hilo_time deadline)
{
	struct poll_io io;
	int rc;

	if (fd < 0 || !to || !to->length)
		return socket_wrong("hilo_connect_fd", fd, "to is no address");
	rc = socket_check_blocking("hilo_connect_fd", fd);
	if (rc < 0)
		return rc;
	poll_io_init(&io, POLL_IO_CONNECT, fd, (void *)(uintptr_t)&to->any, to->length, NULL);
	return hilo__socket_run(&io, deadline);
}

int hilo__socket_accept(int fd, hilo_address *from, hilo_time deadline)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	struct poll_io io;
	int client;

	poll_io_init(&io, POLL_IO_ACCEPT, fd, from ? &name : NULL, 0, NULL);
	io.more = from ? &length : NULL;
	io.flags = SOCK_CLOEXEC | (unsigned)hilo__io_socket_flags(hilo__io_runtime());
	client = hilo__io_run(&io, WAIT_FD, (void *)(intptr_t)fd, deadline);
	if (client >= 0 && from && hilo_address_from((struct sockaddr *)&name, length, from) < 0)
		memset(from, 0, sizeof(*from));
	return client;
}

int hilo_accept(int fd, hilo_address *from, hilo_time deadline)
{
	int rc;

	if (fd < 0)
		return socket_wrong("hilo_accept", fd, "");
	rc = socket_check_blocking("hilo_accept", fd);
	return rc < 0 ? rc : socket_made(fd, hilo__socket_accept(fd, from, deadline), deadline);
}
