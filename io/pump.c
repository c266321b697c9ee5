/* SPDX-License-Identifier: MIT */
/*
 * pump.c - bytes from one stream to another. Those of a file are sendfile.c's.
 *
 * What is pumped is written from where it was received, without a copy in between, and taken once it was: so a pump
 * that ends early has lost nothing.
 *
 * Not there: splice, the system call, which would save about half of the CPU for much at once (streams.md). Between
 * sockets it needs a pipe, two descriptors for each direction, and what is in the pipe when a pump ends early belongs
 * to nobody: it would have to be put back, before what has come.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"

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
