/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SPLICE_IMPL_H
#define HILO_IO_SPLICE_IMPL_H

/* splice_impl.h - the pipe that bytes go through from one descriptor to another, without a copy, by splice(2). */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * [any] A pipe that holds @size bytes, if that much is to be had, and @least in any case. Who is not root and has many
 * pipes gets small ones, of two pages: these are no gain. 0; -EMFILE, -ENFILE; -ENOBUFS: it would be a small one; and
 * then both of @ret are -1.
 */
int hilo__splice_open(int ret[2], size_t size, size_t least);

/* [who has opened it] Close both, unless they are -1, which they are then. */
void hilo__splice_close(int pipe[2]);

/* Whether @n is the failure of a connection, not of a file or of the call as such. */
static inline bool is_of_connection(ssize_t n)
{
	return n == -EPIPE || n == -ECONNRESET || n == -ECONNABORTED || n == -ENOTCONN || n == -ENETDOWN ||
	       n == -ENETUNREACH || n == -EHOSTDOWN || n == -EHOSTUNREACH;
}

#endif /* HILO_IO_SPLICE_IMPL_H */
