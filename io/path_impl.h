/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_PATH_IMPL_H
#define HILO_IO_PATH_IMPL_H

/* path_impl.h - operations on paths, made by a thread in one go. */
#include <hilo/io/path.h>

#include "io/file_impl.h"

/* What such an operation has of its own: first in file_op.data, the texts behind it. */
struct path_call {
	const char *path;
	const char *other; /* another path, what a link says, or bytes */
	size_t size;	   /* of those */
	unsigned mode, flags;
	int64_t count;	 /* what it has done */
	const char *why; /* of -EINVAL, if it is done; or NULL */
	char *ret;	 /* where a text that it finds goes */
	size_t room;
};

static inline struct path_call *path_call_of(struct file_op *op)
{
	return (struct path_call *)(void *)op->data;
}

/* [any] 0; -EINVAL, -ENAMETOOLONG: @path is none. */
int hilo__path_check(const char *path);

/*
 * [any] An operation that calls @call, with copies of @path and of @size bytes at @other (NULL: none), a NUL behind
 * them, and @room bytes for what it finds. 0, -ENOMEM, -EINVAL, -ENAMETOOLONG.
 */
int hilo__path_op(int (*call)(struct file_op *op), const char *path, const char *other, size_t size,
		  size_t room, struct file_op **ret);

/* [thread] The same call again, as long as a signal has come in between. */
#define PATH_RETRY(rc, call)                                                                                 \
	do                                                                                                   \
		(rc) = (call);                                                                               \
	while ((rc) == -EINTR)

/* [any] Fill in the @n bytes at @at with letters that nobody can guess, or has had before. */
void hilo__path_letters(char *at, size_t n);
#define PATH_LETTERS 10

#endif /* HILO_IO_PATH_IMPL_H */
