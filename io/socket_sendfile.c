/* SPDX-License-Identifier: MIT */
/*
 * socket_sendfile.c - a file to a socket that is a descriptor.
 *
 * As to a stream (sendfile.c), but nobody else has to know who sends: what goes directly may wait for room by itself.
 * The first piece of a file is read and sent, which has found by then whatever is wrong with the descriptors; the rest
 * goes through a pipe if the socket does not block. What can not is read and sent, too, out of the pipe first.
 *
 * Rejected: O_NONBLOCK for the moment of the call where the socket blocks. It is the caller's, perhaps another
 * process's as well, who may read from it just then.
 */
#include <hilo/io/socket.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include "io/descriptor_impl.h"
#include "io/sendfile_impl.h"
#include "io/sock_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/error_impl.h"

static inline bool is_over(int rc)
{
	return rc == -ECANCELED || rc == -ETIMEDOUT;
}

/* The file, or the disk, has said @rc. */
static HILO__COLD int file_wrong(int file, int rc)
{
	return is_over(rc) || rc == -EDEADLK
		       ? hilo__error_own_wait(rc, WAIT_FILE, NULL)
		       : hilo_fail(rc, "hilo_sendfile: file %d: %s", file, hilo_strerror(rc));
}

/* A piece: 1; 0: the end; or why not. */
static int send_piece(int fd, struct file_source *source, hilo_time deadline)
{
	ssize_t n = hilo__source_read(source, source_left(source, SENDFILE_PIECE), deadline);
	size_t sent;
	int rc;

	if (n <= 0)
		return n < 0 ? file_wrong(source->fd, (int)n) : 0;
	rc = hilo_send_all(fd, source->data, (size_t)n, &sent, deadline);
	source_advance(source, sent);
	return rc < 0 ? rc : 1;
}

/* All that is in the pipe. 0, or why not, perhaps in the middle. */
static int send_pipe(int fd, struct file_source *source, hilo_time deadline)
{
	ssize_t n = 1;

	while (source->piped && n > 0) {
		n = hilo__descriptor_send_pipe(fd, source->held.pipe[0], source->piped);
		if (n > 0)
			source_advance_pipe(source, (size_t)n);
		else if (n == -EAGAIN || n == -EINTR)
			n = hilo_fd_wait(fd, HILO_WRITABLE, deadline);
	}
	return source->piped ? (int)n : 0;
}

/* As much as can go directly: 1, and the rest is for pieces; or why not. */
static int send_directly(int fd, struct file_source *source, hilo_time deadline)
{
	while (source->sent < source->count && !source->no_direct) {
		int rc =
			hilo__sock_is_nonblocking(fd) > 0 ? hilo__source_fill(source, deadline) : -EOPNOTSUPP;

		if (is_over(rc))
			return file_wrong(source->fd, rc);
		if (rc == 0 && !source->piped)
			break; /* the end, as the next piece finds */
		if (rc == 0) {
			rc = send_pipe(fd, source, deadline);
			if (is_over(rc) || is_of_connection(rc))
				return hilo__error_own_fd(rc, fd);
		}
		source->no_direct = rc < 0 || source->piped;
	}
	return 1;
}

static int send_source(int fd, struct file_source *source, hilo_time deadline)
{
	int rc = 1;

	while (source->sent < source->count && rc > 0) {
		rc = send_piece(fd, source, deadline);
		if (rc > 0)
			rc = send_directly(fd, source, deadline);
	}
	return rc < 0 ? rc : 0;
}

/* [any] Whether there is anything to be sent, and to whom. */
static int sendfile_check(int fd, int file, int64_t offset)
{
	int type, rc;

	if (fd < 0 || file < 0)
		return hilo_fail(-EBADF, "hilo_sendfile: descriptor %d", fd < 0 ? fd : file);
	if (offset < 0)
		return hilo_fail(-EINVAL, "hilo_sendfile: offset is %lld", (long long)offset);
	rc = hilo__sock_get(fd, SOL_SOCKET, SO_TYPE, &type);
	if (rc < 0)
		return hilo_fail(rc, "hilo_sendfile: descriptor %d: %s", fd, hilo_strerror(rc));
	if (type != SOCK_STREAM)
		return hilo_fail(-EPROTOTYPE, "hilo_sendfile: socket %d is not for streams", fd);
	return contend_is_interrupted(thread_self()) ? hilo__error_own(-ECANCELED) : 0;
}

int hilo_sendfile(int fd, int file, int64_t offset, uint64_t count, uint64_t *sent, hilo_time deadline)
{
	struct file_source source;
	int rc;

	if (sent)
		*sent = 0;
	rc = sendfile_check(fd, file, offset);
	if (rc == 0)
		rc = hilo__source_open(&source, file, offset, count);
	if (rc < 0)
		return rc;
	source.no_direct = deadline <= 0; /* nobody waits for a thread */
	rc = send_source(fd, &source, deadline);
	hilo__source_close(&source);
	if (sent)
		*sent = source.sent;
	return rc;
}
