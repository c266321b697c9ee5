/* SPDX-License-Identifier: MIT */
/*
 * pump.c - bytes from one stream to another, and from a file to a stream.
 *
 * What is pumped is written from where it was received, without a copy in between, and taken once it was: so a pump
 * that ends early has lost nothing.
 *
 * Rejected, so far: splice and sendfile, the system calls. They wait for the socket in the calling thread, unless it is
 * non-blocking, which on a ring it is not, and they would have to overtake what lies in the stream's buffer.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>

#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What is written at a time: small enough to be taken whole, large enough that the calls do not count. */
#define PUMP_PIECE ((size_t)64 * 1024)

/* [reader, lock, which is let go of and taken again] Write the first @size bytes to @to, and take them. */
static int pump_piece(struct stream_reader *reader, hilo_stream *to, size_t size, hilo_time deadline)
{
	ssize_t n;

	spin_unlock(&reader->stream->lock);
	n = hilo_stream_write(to, stream_bytes(reader), size, deadline);
	spin_lock(&reader->stream->lock);
	if (n < 0)
		return (int)n;
	hilo__stream_take(reader, size);
	return 0;
}

int hilo_stream_pump(hilo_stream *from, hilo_stream *to, uint64_t limit, uint64_t *ret, hilo_time deadline)
{
	struct stream_reader reader;
	uint64_t count = 0;
	ssize_t n = 1;
	int rc = hilo__stream_enter(from, "hilo_stream_pump"), wrote = 0;

	if (rc < 0)
		return rc;
	if (!to || from == to)
		return hilo_fail(-EINVAL, "hilo_stream_pump: %s",
				 to ? "from and to are the same" : "to is NULL");
	stream_reader_init(&reader, from, "hilo_stream_pump");
	while (count < limit && (n = hilo__stream_fill(&reader, 0, 1, deadline)) > 0) {
		size_t size = (size_t)n < PUMP_PIECE ? (size_t)n : PUMP_PIECE;

		if (size > limit - count)
			size = (size_t)(limit - count);
		wrote = pump_piece(&reader, to, size, deadline);
		if (wrote < 0)
			break;
		count += size;
	}
	if (reader.claimed || limit)
		hilo__stream_read_end(&reader, 0);
	if (ret)
		*ret = count;
	if (wrote < 0)
		return wrote;
	return n < 0 ? (int)hilo__stream_read_failed(&reader, n) : 0;
}

/* A piece of a file, to be read. */
struct file_piece {
	int fd;
	void *data;
	size_t size;
	int64_t offset;
};

static void piece_io(const struct file_piece *piece, struct poll_io *io)
{
	poll_io_init(io, POLL_IO_READ, piece->fd, piece->data, piece->size, NULL);
	io->offset = piece->offset;
}

static int piece_read_blocking(void *arg)
{
	struct poll_io io;

	piece_io(arg, &io);
	return hilo__poll_io_call(&io);
}

/* [any, suspends] From the page cache at once; else by the kernel's ring, or in an executor. */
static int piece_read(struct file_piece *piece, const void *object, hilo_time deadline)
{
	struct hilo_runtime *runtime = hilo__io_runtime();
	struct iovec into = {piece->data, piece->size};
	struct poll_io io;
	ssize_t n;

	if (!runtime)
		return piece_read_blocking(piece);
	n = hilo__sys_preadv2(piece->fd, &into, 1, piece->offset, RWF_NOWAIT);
	if (n >= 0 || (n != -EAGAIN && n != -EOPNOTSUPP && n != -EINTR))
		return (int)n;
	if (!hilo__io_is_ring(runtime))
		return hilo_run_in_executor(NULL, piece_read_blocking, piece, deadline);
	piece_io(piece, &io);
	return hilo__io_run(&io, WAIT_FD, object, deadline);
}

static int sendfile_pieces(hilo_stream *stream, struct file_piece *piece, uint64_t count, uint64_t *sent,
			   hilo_time deadline)
{
	while (*sent < count) {
		ssize_t n;

		piece->size = count - *sent < PUMP_PIECE ? (size_t)(count - *sent) : PUMP_PIECE;
		n = piece_read(piece, stream, deadline);
		if (n <= 0)
			return n < 0 ? hilo__error_own((int)n) : 0;
		n = hilo_stream_write(stream, piece->data, (size_t)n, deadline);
		if (n < 0)
			return (int)n;
		*sent += (uint64_t)n;
		piece->offset += n;
	}
	return 0;
}

int hilo_stream_sendfile(hilo_stream *stream, int fd, int64_t offset, uint64_t count, uint64_t *ret,
			 hilo_time deadline)
{
	struct file_piece piece = {.fd = fd, .offset = offset};
	uint64_t sent = 0;
	int rc = hilo__stream_enter(stream, "hilo_stream_sendfile");

	if (rc < 0)
		return rc;
	if (offset < 0)
		return hilo_fail(-EINVAL, "hilo_stream_sendfile: offset is %lld", (long long)offset);
	piece.data = hilo__malloc(PUMP_PIECE);
	if (!piece.data)
		return -ENOMEM;
	rc = sendfile_pieces(stream, &piece, count, &sent, deadline);
	hilo__free(piece.data);
	if (ret)
		*ret = sent;
	return rc;
}
