/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_PUMP_H
#define HILO_IO_PUMP_H

#include <hilo/io/stream.h>

HILO_BEGIN_DECLS

/*
 * pump.h - bytes from one stream to another, and from a file to a stream.
 *
 *	rc = hilo_stream_pump(client, server, UINT64_MAX, NULL, HILO_FOREVER);       one direction of a proxy
 *	hilo_stream_write_eof(server);
 */

/*
 * [any, suspends] Copy from @from to @to: to the end of @from, or @limit bytes. 0, and how many it were in *@ret,
 * which may be NULL. On failure of either, by the deadline or by a cancel *@ret is set as well, and no byte is lost:
 * those that were read were written, the others can still be read. Nobody else may read from @from meanwhile: -EBUSY.
 * Does not end or close either; does not wait until all was sent. From a socket or pipe to another one much goes
 * without a copy, through a pipe, which takes two descriptors while it lasts; if there are none, it is copied, as it
 * is where a given socket waits by itself, without O_NONBLOCK. Others may write in between. Codes as hilo_stream_read
 * and hilo_stream_write; -EINVAL: they are the same stream.
 */
HILO_API int hilo_stream_pump(hilo_stream *from, hilo_stream *to, uint64_t limit, uint64_t *ret,
			      hilo_time deadline);

/*
 * [any, suspends] Write what is in the regular file @fd from @offset on: to its end, or @count bytes. 0, and how many
 * it were in *@ret, which may be NULL, and is set on failure as well. The file's own position does not change.
 * Neither a worker nor its loop waits for a disk. An operation that waits for one is abandoned at the deadline, or by
 * a cancel, and counted (hilo_file_get_stats): it has a descriptor of its own, so @fd may be closed then. What is not
 * small goes from the file's pages to a socket or pipe without a copy, through a pipe: who changes the file before the
 * other side has read it may see it read the change. Others may write in between. -EINVAL: @offset is below 0; -EBADF,
 * -EISDIR, -ESPIPE, -EIO and so on: the file cannot be read; -EMFILE, -ENFILE: no descriptor for what is not in memory.
 * Else as hilo_stream_write.
 */
HILO_API int hilo_stream_sendfile(hilo_stream *stream, int fd, int64_t offset, uint64_t count, uint64_t *ret,
				  hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_PUMP_H */
