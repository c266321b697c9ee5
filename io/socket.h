/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SOCKET_H
#define HILO_IO_SOCKET_H

#include <hilo/io/address.h>
#include <hilo/runtime/types.h>

#include <sys/types.h>
#include <sys/uio.h>

HILO_BEGIN_DECLS

/*
 * socket.h - the calls on sockets that are descriptors, for who wants no stream: those of the system, which wait.
 *
 * Callers    A task suspends, a plain thread blocks; a callback gets what need not wait, else -EDEADLK. Any number
 *            may use the same socket at the same time, as far as its protocol makes sense of that.
 * Sockets    are the caller's, who has made them in any way and keeps them open meanwhile. It does not matter whether
 *            they are non-blocking, but for hilo_accept and hilo_connect_fd, see there.
 * Nothing    is lost when a call ends early: what has had effect is the result, though a cancel or the deadline came
 *            first; else nothing was received, and nothing sent.
 * Signals    are never raised: -EPIPE.
 *
 * Codes that all have: -ECANCELED, -ETIMEDOUT, -EDEADLK; -EBADF, -ENOTSOCK, -EINVAL, -ENOMEM, and what the system
 * says of the connection: -ECONNRESET, -EPIPE, -ECONNREFUSED (of a datagram that was sent before), -ENOTCONN ...
 * -EMFILE, -ENFILE: there is no descriptor for the poller of the loop, which is made for its first operation.
 */

/* [any, suspends] Receive 1 to @size bytes, or one datagram, cut to @size. How many; 0: the end, of a connection. */
HILO_API ssize_t hilo_recv(int fd, void *buf, size_t size, hilo_time deadline);

/* [any, suspends] The same into @n pieces, one after the other. */
HILO_API ssize_t hilo_recvv(int fd, const struct iovec *pieces, int n, hilo_time deadline);

/* [any, suspends] As recvmsg, with what comes beside the bytes; @flags are those of recvmsg. */
HILO_API ssize_t hilo_recvmsg(int fd, struct msghdr *message, int flags, hilo_time deadline);

/* [any, suspends] As hilo_recv; *@from (or NULL) is who has sent it, if the protocol says so. */
HILO_API ssize_t hilo_recvfrom(int fd, void *buf, size_t size, hilo_address *from, hilo_time deadline);

/* [any, suspends] Send some of @size bytes, 1 at least, or one datagram. How many. */
HILO_API ssize_t hilo_send(int fd, const void *data, size_t size, hilo_time deadline);

/*
 * [any, suspends] Send all of @size bytes. 0; on failure a part of them may have been sent. How many were is in
 * *@sent (or NULL) in any case. What others send on the same connection meanwhile may come in between.
 */
HILO_API int hilo_send_all(int fd, const void *data, size_t size, size_t *sent, hilo_time deadline);

/* [any, suspends] The same of @n pieces, 1024 at most. */
HILO_API int hilo_send_allv(int fd, const struct iovec *pieces, int n, size_t *sent, hilo_time deadline);

/*
 * [any, suspends] Send what is in the regular file @file from @offset on: to its end, or @count bytes. 0; how many were
 * sent is in *@sent (or NULL) in any case. The file's own position does not change. Neither a worker nor its loop waits
 * for a disk: the operation that does is abandoned at the deadline, or by a cancel, and counted (hilo_file_get_stats);
 * it has a descriptor of its own, so @file may be closed then. To a socket that does not block what is not small goes
 * from the file's pages without a copy: who changes the file before the other side has read it may see it read the
 * change. Else it is copied, as that of a file, or of a kernel, that knows no other way. -EINVAL: @offset is below 0;
 * -EPROTOTYPE: not a SOCK_STREAM; -EBADF, -EISDIR, -ESPIPE, -EIO and so on: the file cannot be read; -EMFILE, -ENFILE:
 * no descriptor for what is not in memory.
 */
HILO_API int hilo_sendfile(int fd, int file, int64_t offset, uint64_t count, uint64_t *sent,
			   hilo_time deadline);

/* [any, suspends] As sendmsg, with what goes beside the bytes; @flags are those of sendmsg. How many bytes. */
HILO_API ssize_t hilo_sendmsg(int fd, const struct msghdr *message, int flags, hilo_time deadline);

/* [any, suspends] Send one datagram to @to, or where the socket is connected to (NULL). How many bytes. */
HILO_API ssize_t hilo_sendto(int fd, const void *data, size_t size, const hilo_address *to,
			     hilo_time deadline);

/*
 * [any, suspends] Connect @fd to @to. 0. After a failure the socket is of no use but to be closed. A socket that
 * blocks (without O_NONBLOCK) blocks its thread where there is no io_uring: -EINVAL there, with a message. -EAGAIN: a
 * Unix socket that has too many clients waiting already; it can be tried again with the same socket.
 */
HILO_API int hilo_connect_fd(int fd, const hilo_address *to, hilo_time deadline);

/*
 * [any, suspends] Accept a connection on the listening socket @fd: a new socket, closed on exec, and non-blocking
 * where the runtime's own are. *@from (or NULL) is who has connected. -EINVAL for one that blocks, as
 * hilo_connect_fd.
 */
HILO_API int hilo_accept(int fd, hilo_address *from, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_SOCKET_H */
