/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_BLOCKING_H
#define PGZIP_BLOCKING_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * blocking.h - read and write as tasks see them: the task suspends, a thread of the executor blocks.
 */

/*
 * [suspends] Read from @fd until @size bytes are there or the input ends; returns how many came, so
 * that less than @size means the end. A negative errno; -ECANCELED, also in the middle of waiting
 * for a pipe or a terminal.
 */
int blocking_read(int fd, void *data, size_t size);

/* [suspends] Write all of @count pieces, which are used up. 0 or a negative errno. */
int blocking_write(int fd, struct iovec *pieces, unsigned count);

#endif /* PGZIP_BLOCKING_H */
