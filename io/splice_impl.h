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

/*
 * Whether @n says no more than that these bytes do not go this way: what is wrong, if anything is, a copy tells. All
 * other failures are those of a connection, which the kernel tells once.
 */
static inline bool splice_is_refused(ssize_t n)
{
	return n == -EINVAL || n == -EOPNOTSUPP || n == -ENOSYS || n == -EPERM || n == -ENOMEM ||
	       n == -ENOBUFS || n == -EIO;
}

#endif /* HILO_IO_SPLICE_IMPL_H */
