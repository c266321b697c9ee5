/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SENDFILE_IMPL_H
#define HILO_IO_SENDFILE_IMPL_H

/*
 * sendfile_impl.h - a file that is being sent: to a stream (sendfile.c), to a socket (socket_sendfile.c).
 *
 * There are two ways to have its bytes.
 *
 *	a piece	Read into memory; what is in the pipe comes first.
 *	a fill	Through a pipe, by splice(2): the file's pages, without a copy. They are brought into the pipe by an
 *		operation of its own, in a thread, since that waits for a disk. Out of it is whoever sends to see.
 *
 * Either waits for the disk in an operation that has the bytes, the pipe, and a descriptor of the file for itself
 * (file_impl.h): who waits leaves at his deadline, and it goes on without him.
 *
 * Rejected: sendfile(2). It waits for the disk and sends in one call: who leaves it cannot know how much it is going to
 * send, nor may anybody else write. Rejected: to ask the page cache whether the bytes are there, and spare the thread.
 * mincore(2) tells lies about files of others, cachestat(2) of pages that are still being read; only reading them
 * (RWF_NOWAIT) is sure, and that is the copy.
 */
#include <hilo/runtime/types.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

/* What is read at a time: small enough to be taken whole, large enough that the calls do not count. */
#define SENDFILE_PIECE ((size_t)64 * 1024)

/* Descriptors of our own, or -1. An operation that is left keeps them. */
struct file_held {
	int file;
	int pipe[2];
};

/* A file on its way. */
struct file_source {
	int fd; /* the caller's */
	int64_t offset;
	uint64_t count, sent;
	struct file_held held;
	size_t piped; /* bytes in the pipe: those at offset */
	char *data;   /* of SENDFILE_PIECE bytes */
	bool no_direct;
};

/* [any] Begin with @count bytes of @fd, from @offset on. 0; -ENOMEM. */
int hilo__source_open(struct file_source *source, int fd, int64_t offset, uint64_t count);

/* [who has opened it] Give back what it holds. */
void hilo__source_close(struct file_source *source);

/*
 * [any, suspends] Up to @size bytes, SENDFILE_PIECE at most, into data: of the pipe; else of the file, from its cache
 * if they are there. How many; 0: the end; or why not, without a message.
 */
ssize_t hilo__source_read(struct file_source *source, size_t size, hilo_time deadline);

/* [any, suspends] The next pages into the pipe, which is empty. 0, also at the end; or why not, without a message. */
int hilo__source_fill(struct file_source *source, hilo_time deadline);

/* What is left to be sent, @most at most. */
static inline size_t source_left(const struct file_source *source, size_t most)
{
	uint64_t left = source->count - source->sent;

	return left < most ? (size_t)left : most;
}

/* @n bytes of data were sent. */
static inline void source_advance(struct file_source *source, size_t n)
{
	source->sent += n;
	source->offset += (int64_t)n;
}

/* @n bytes of the pipe were sent. */
static inline void source_advance_pipe(struct file_source *source, size_t n)
{
	source_advance(source, n);
	source->piped -= n;
}

/* Whether @n is the failure of a connection, not of the file or of the call as such. */
static inline bool is_of_connection(ssize_t n)
{
	return n == -EPIPE || n == -ECONNRESET || n == -ECONNABORTED || n == -ENOTCONN || n == -ENETDOWN ||
	       n == -ENETUNREACH || n == -EHOSTDOWN || n == -EHOSTUNREACH;
}

#endif /* HILO_IO_SENDFILE_IMPL_H */
