/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_STREAM_H
#define HILO_IO_STREAM_H

#include <hilo/io/address.h>
#include <hilo/runtime/types.h>

#include <sys/types.h>
#include <sys/uio.h>

HILO_BEGIN_DECLS

/*
 * stream.h - bytes in order, both ways: over a TCP or Unix socket, a pipe, a terminal, or between two tasks.
 *
 *	char line[4096];
 *	ssize_t n;
 *
 *	while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0)
 *		if ((n = hilo_stream_write(client, line, n, HILO_FOREVER)) < 0)
 *			break;
 *
 * Callers    Tasks of any worker and runtime, callbacks where they need not wait, and plain threads, which block.
 * Reading    By one at a time: a second one who reads while another does is told -EBUSY. A read that ends early, by
 *            its deadline or by a cancel, has taken nothing: all bytes are there for the next one, in order.
 * Writing    By as many as like: what one call writes is not mixed with what others do, and they come in the order of
 *            their calls. A write is done when the stream has the bytes; it sends them in the background. It waits
 *            only while more than the high mark, 64 KiB, is on its way, until that has come down to the low mark,
 *            16 KiB.
 * The end    The other side's end is a read of 0 bytes. A connection that has failed answers reads with its
 *            failure, -ECONNRESET mostly, after the bytes that had come; and writes with -EPIPE or -ECONNRESET.
 *            Signals are never raised. After hilo_stream_close or hilo_stream_abort every call, and every one that
 *            waits, answers HILO_ECLOSED.
 * Memory     1.5 KiB for a stream that waits, its buffers for small requests in it. Larger ones exist while they are
 *            needed; for reading up to the limit, 64 KiB. All of them together have a ceiling, if one is set:
 *            hilo_stream_set_memory_max.
 *
 * All calls answer -EINVAL for a NULL stream, but for hilo_stream_free and those that return a count or a yes.
 */
typedef struct hilo_stream hilo_stream;

/* Bytes. Zero means the default, in the options and when they are set. */
typedef struct hilo_stream_limits {
	size_t size; /* sizeof(hilo_stream_limits) */
	size_t line; /* the longest line, or other piece up to a separator, with it; default 64 KiB */
	size_t high; /* more than that on its way, and writes wait; default 64 KiB */
	size_t low;  /* ... until it is that much, or less; default a quarter of high */
} hilo_stream_limits;

/* Zero means the default in every field but `size`. */
typedef struct hilo_stream_opts {
	size_t size; /* sizeof(hilo_stream_opts) */
	hilo_runtime *
		runtime; /* whose pollers serve plain threads; default the caller's; used until the stream is freed */
	size_t line; /* as in hilo_stream_limits */
	size_t high;
	size_t low;
} hilo_stream_opts;

/*
 * [any] A stream over the descriptor @fd: a socket that is connected, a pipe or FIFO, a terminal, anything that poll
 * can wait for; a regular file too, to read or append. 0, and the stream in *@ret: it consumes @fd, and closes it at
 * its end. On failure @fd is the caller's as before. -EINVAL, with a message: ret is NULL, or options that make no
 * sense; -E2BIG; -EBADF; -EISDIR; -ENOTCONN: a listening socket, or one that is not connected; -EDEADLK: a plain thread
 * names no runtime; -ENOMEM.
 *
 * What other processes may share, as standard input, is left as it is: instead of setting O_NONBLOCK, a pipe or
 * terminal is opened once more. Who wants to keep the number gives a dup of it.
 */
HILO_API HILO_MUST_CHECK int hilo_stream_from_fd(int fd, const hilo_stream_opts *opts, hilo_stream **ret);

/*
 * [any] The most memory that the larger buffers of all streams of the process are to take; 0, the default: there is
 * no such limit; also hilo_opts.stream_memory_max, HILO_STREAM_MEMORY_MAX. From when it is reached until an eighth
 * of it is free again streams go on with less: of what nobody has asked for yet no more than 4 KiB is read ahead;
 * and writes wait until all that was written to the same stream before has been sent, as with marks of 0. Nothing
 * fails, and nobody waits for another stream. So it is no bound for what one call needs: a read gets the memory for
 * the line, or the bytes, that it asks for, as it comes, a write for what it has to take as a whole. Not counted is
 * what TLS has for a connection beside the stream's own buffers: OpenSSL's memory, 17 KiB for what comes, and what
 * is encrypted and not sent yet, mostly one write, of 64 KiB or so.
 */
HILO_API void hilo_stream_set_memory_max(uint64_t bytes);

typedef struct hilo_stream_memory {
	size_t size;	  /* sizeof(hilo_stream_memory) */
	uint64_t used;	  /* bytes of those buffers, and of hilo_stream_pair */
	uint64_t max;	  /* the ceiling; 0: none */
	uint64_t reached; /* how often it was */
} hilo_stream_memory;

/* [any] 0; -EINVAL, with a message: @ret is NULL, or its `size` is none of any version. */
HILO_API int hilo_stream_get_memory(hilo_stream_memory *ret);

/*
 * [any] Two streams, connected to each other in memory: what is written to one is read from the other. @capacity
 * bytes each way, 0 for 64 KiB, hold what was written and not read, as the kernel does for a socket. @opts, which may
 * be NULL, is for both. 0, -EINVAL, -E2BIG, -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_stream_pair(size_t capacity, const hilo_stream_opts *opts,
					      hilo_stream *ret[2]);

/*
 * [any] Consumes @stream; aborts it if it is open. Who waits in it is told HILO_ECLOSED, and its memory goes when the
 * last of them has left; nobody may begin to use it. NULL: no-op.
 */
HILO_API void hilo_stream_free(hilo_stream *stream);

/*
 * [any, suspends] Read what is there, 1 to @size bytes, waiting for the first. How many; 0: the end, or @size is 0;
 * -EBUSY: somebody else reads, with a message; HILO_ECLOSED; -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to wait,
 * in a callback; -ENOMEM; -ECONNRESET and other failures of the connection; -EBADF: it cannot be read.
 */
HILO_API ssize_t hilo_stream_read(hilo_stream *stream, void *buf, size_t size, hilo_time deadline);

/*
 * [any, suspends] Read @size bytes. @size; HILO_EINCOMPLETE: the end came before, with a message that says how many
 * there are, as does hilo_error_sizes; as after any other failure they can still be read. Else as hilo_stream_read.
 */
HILO_API ssize_t hilo_stream_read_exactly(hilo_stream *stream, void *buf, size_t size, hilo_time deadline);

/*
 * [any, suspends] Read a line, with its '\n', into @buf, and a NUL after it. Its length without the NUL: more than 0; 0
 * at the end. At the end of the stream the last line may lack its '\n'. -EMSGSIZE, with a message, and all of it
 * can still be read: the line does not fit into @size - 1 bytes, or is longer than the limit. hilo_error_sizes says of
 * how many bytes it is known that the line is longer than that, and the limit. Else as hilo_stream_read.
 */
HILO_API ssize_t hilo_stream_read_line(hilo_stream *stream, char *buf, size_t size, hilo_time deadline);

/* [any, suspends] The same up to and with @separator, of @length bytes, 1 or more. -EINVAL: it has none. */
HILO_API ssize_t hilo_stream_read_until(hilo_stream *stream, const void *separator, size_t length, char *buf,
					size_t size, hilo_time deadline);

/* What a piece may end with: @length bytes, 1 or more. */
typedef struct hilo_separator {
	const void *bytes;
	size_t length;
} hilo_separator;

/*
 * [any, suspends] The same up to whichever of @n @separators, 1 or more, ends first; of several that
 * end there the one with the lowest number, which is in *@which (or NULL) then. -1: the stream has ended before.
 */
HILO_API ssize_t hilo_stream_read_until_any(hilo_stream *stream, const hilo_separator *separators, int n,
					    int *which, char *buf, size_t size, hilo_time deadline);

/*
 * [any, suspends] Read to the end, @limit bytes at most, into memory that is in *@ret then, with a NUL behind it; the
 * caller ends it with free(). How many; -EMSGSIZE: there are more, and all can still be read. Else as hilo_stream_read.
 */
HILO_API ssize_t hilo_stream_read_all(hilo_stream *stream, size_t limit, char **ret, hilo_time deadline);

/*
 * [any, suspends] Write @size bytes: the stream has them when this returns @size. It waits while others write, or while
 * more is on its way than the high mark allows. A write of up to the high mark, or 64 KiB, is taken whole or not at
 * all. Of a larger one a part may have been taken when it ends early; the message says how much, and hilo_error_sizes.
 *
 * -EPIPE, -ECONNRESET and other failures of the connection, also of what was written before; -EPIPE after
 * hilo_stream_write_eof; HILO_ECLOSED; -ETIMEDOUT, -ECANCELED; -EDEADLK: it would have to wait, in a callback; -ENOMEM;
 * -EBADF: it cannot be written.
 */
HILO_API ssize_t hilo_stream_write(hilo_stream *stream, const void *data, size_t size, hilo_time deadline);

/* [any, suspends] The same for the @n pieces of @pieces, as one write. How many bytes; -EINVAL: more than SSIZE_MAX. */
HILO_API ssize_t hilo_stream_writev(hilo_stream *stream, const struct iovec *pieces, int n,
				    hilo_time deadline);

/*
 * [any, suspends] Write as many of @size bytes as can be taken at once, waiting until it is 1 at least. How many; 0
 * only if @size is. For who has to know what was taken of a large write that ended early. Codes as hilo_stream_write.
 */
HILO_API ssize_t hilo_stream_write_some(hilo_stream *stream, const void *data, size_t size,
					hilo_time deadline);

/*
 * [any, suspends] Wait, if more is on its way than the high mark, until it is not more than the low mark. Any number
 * may wait. 0; codes as hilo_stream_write.
 */
HILO_API int hilo_stream_drain(hilo_stream *stream, hilo_time deadline);

/* [any, suspends] Wait until all that was written before was given to the kernel, or to the other side. As drain. */
HILO_API int hilo_stream_flush(hilo_stream *stream, hilo_time deadline);

/*
 * [any] Write no more: the other side reads the end once it has read all that was written. Never suspends. 0, also the
 * second time; -EOPNOTSUPP: the other direction would end as well (a terminal); HILO_ECLOSED.
 */
HILO_API int hilo_stream_write_eof(hilo_stream *stream);

/* [any] 1: hilo_stream_write_eof is possible; 0. */
HILO_API int hilo_stream_can_write_eof(const hilo_stream *stream);

/*
 * [any, suspends] Close: nothing can be read or written from now on; wait until what was written is sent, and close the
 * descriptor. However it ends the stream is closed: what could not be sent until @deadline, or a cancel, is dropped.
 * 0, also the second time; -ETIMEDOUT, -ECANCELED, -EDEADLK (in a callback): something was dropped; -EPIPE, -ECONNRESET
 * and so on: it could not be sent.
 */
HILO_API int hilo_stream_close(hilo_stream *stream, hilo_time deadline);

/* [any, suspends] Wait until the stream is closed, by whomever. 0, -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM. */
HILO_API int hilo_stream_wait_closed(hilo_stream *stream, hilo_time deadline);

/* [any] Close, and drop what was not sent. Never suspends; the descriptor may be closed a moment later. 0. */
HILO_API int hilo_stream_abort(hilo_stream *stream);

/* [any] 1: closing or closed; 0. NULL: 1. */
HILO_API int hilo_stream_is_closing(const hilo_stream *stream);

/* [any] 1: the end was seen, and all before it was read; 0. NULL: 1. */
HILO_API int hilo_stream_at_eof(const hilo_stream *stream);

/* [any] Bytes that were received and not read; and that were written and not sent. At some moment; NULL: 0. */
HILO_API size_t hilo_stream_read_buffered(const hilo_stream *stream);
HILO_API size_t hilo_stream_write_buffered(const hilo_stream *stream);

/* [any] Its limits, all of one moment. 0, -EINVAL. */
HILO_API int hilo_stream_get_limits(const hilo_stream *stream, hilo_stream_limits *ret);

/*
 * [any, also while others read and write; never suspends] Set them. A read of a line or piece that has begun ends by
 * the limit that it began with, the next one by the new one. The marks hold at once: who waits to write goes on if no
 * more than the new high one is on its way. 0; -EINVAL, with a message: low is more than high; -E2BIG: nothing has
 * changed.
 */
HILO_API int hilo_stream_set_limits(hilo_stream *stream, const hilo_stream_limits *limits);

/*
 * [any] The address of the other end, and of this one, in *@ret. 0; -ENOTSOCK: it is no socket; -ENOTCONN: the
 * connection is over; HILO_ECLOSED; -EINVAL.
 */
HILO_API int hilo_stream_peer(const hilo_stream *stream, hilo_address *ret);
HILO_API int hilo_stream_address(const hilo_stream *stream, hilo_address *ret);

/*
 * [any] The stream's descriptor, to set options of a socket, say: not to be read, written or closed. It is closed
 * with the stream. -ENOENT: it has none; HILO_ECLOSED; -EINVAL.
 */
HILO_API int hilo_stream_fd(const hilo_stream *stream);

/*
 * [any] What is known of the stream under the name @key, as text in @buf of @size bytes: its length, as snprintf.
 * Names: "peername" and "sockname", as hilo_address_format has them; "transport": "descriptor", "pair", "tls"; "fd";
 * and what the transport adds (tls.h). -ENOENT: that is not known of this stream; HILO_ECLOSED; -EINVAL.
 */
HILO_API int hilo_stream_info(const hilo_stream *stream, const char *key, char *buf, size_t size);

HILO_END_DECLS

#endif /* HILO_IO_STREAM_H */
