/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_FRAME_H
#define HILO_IO_FRAME_H

#include <hilo/io/stream.h>

HILO_BEGIN_DECLS

/*
 * frame.h - messages over a stream: each after its length, or up to a separator.
 *
 *	rc = hilo_stream_write_frame(stream, HILO_FRAME_BE32, data, size, HILO_FOREVER);
 *	...
 *	while ((n = hilo_stream_read_frame(stream, HILO_FRAME_BE32, buf, sizeof(buf), HILO_FOREVER)) >= 0)
 *		handle(buf, n);
 *	return n == -EPIPE ? 0 : (int)n;                        there are no more
 *
 * A message is read, or written, as a whole or not at all; see stream.h for what that means for large ones.
 */

/* Bytes of the length, which does not count itself, and the order they are in: big endian, or little endian. */
enum hilo_frame {
	HILO_FRAME_U8 = 0x01,
	HILO_FRAME_BE16 = 0x02,
	HILO_FRAME_BE32 = 0x04,
	HILO_FRAME_BE64 = 0x08,
	HILO_FRAME_LE16 = 0x12,
	HILO_FRAME_LE32 = 0x14,
	HILO_FRAME_LE64 = 0x18
};

/*
 * [any, suspends] Read a message of up to @size bytes into @buf. Its length, which may be 0; -EPIPE: the stream has
 * ended, and there are no more; HILO_EINCOMPLETE: it has ended within a message; -EMSGSIZE, with a message that says
 * how long it is: it is longer, and can still be read; -EINVAL: no such @kind. Else as hilo_stream_read.
 */
HILO_API ssize_t hilo_stream_read_frame(hilo_stream *stream, enum hilo_frame kind, void *buf, size_t size,
					hilo_time deadline);

/*
 * [any, suspends] Write a message of @size bytes, with its length before it. @size; -EMSGSIZE: that does not fit into
 * the bytes of the length; -EINVAL. Else as hilo_stream_write.
 */
HILO_API ssize_t hilo_stream_write_frame(hilo_stream *stream, enum hilo_frame kind, const void *data,
					 size_t size, hilo_time deadline);

/*
 * [any, suspends] Read a message up to @separator, of @length bytes, which is read and left out, into @buf, and a NUL
 * after it. Its length, which may be 0; -EPIPE: the stream has ended, and there are no more. The last one may lack the
 * separator. -EMSGSIZE: with the separator it is longer than @size - 1 bytes, or than the stream's limit, and can
 * still be read. Else as hilo_stream_read_until.
 */
HILO_API ssize_t hilo_stream_read_record(hilo_stream *stream, const void *separator, size_t length, char *buf,
					 size_t size, hilo_time deadline);

/* [any, suspends] Write @size bytes and @separator, of @length bytes, as one. @size; else as hilo_stream_write. */
HILO_API ssize_t hilo_stream_write_record(hilo_stream *stream, const void *separator, size_t length,
					  const void *data, size_t size, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_FRAME_H */
