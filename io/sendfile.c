/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - a file to a stream.
 *
 * There are two ways, which take turns.
 *
 *	piece	Read into memory, and written like anything else. It waits for room as every write does, so cancel,
 *		deadline, close and the other writers are its business alone.
 *	direct	Through a pipe, by splice(2): the file's pages, without a copy, for as long as there is room, which
 *		waits for nothing. What there is no room for is read out of the pipe, as a piece, which does wait.
 *
 * Who waits for the disk meanwhile leaves at his deadline, and the operation goes on without him and without the stream
 * (sendfile_impl.h).
 *
 * What goes directly overtakes nothing: who sends it has the turn to write, and waits until all before has been sent.
 * The first piece of a file always goes the first way. That is enough for a small one, and has found by then whatever
 * is wrong with the descriptor.
 *
 * Rejected: to wait for room with a poll. Whoever closes the stream would have to know of it.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/sendfile_impl.h"
#include "io/splice_impl.h"
#include "io/stream_impl.h"
#include "runtime/error_impl.h"

/* The piece that waits for room: much less than what there is room for then. */
#define SENDFILE_WAIT_PIECE ((size_t)16 * 1024)

/* A piece of up to @size bytes: 1; 0: the end; or why not. */
static int send_piece(hilo_stream *stream, struct file_source *source, size_t size, hilo_time deadline)
{
	ssize_t n = hilo__source_read(source, source_left(source, size), deadline);

	if (n <= 0)
		return n < 0 ? hilo__error_own((int)n) : 0;
	n = hilo_stream_write(stream, source->data, (size_t)n, deadline);
	if (n < 0)
		return (int)n;
	source_advance(source, (size_t)n);
	return 1;
}

/* [lock] The transport may be used: 0, and it is counted; or why not. */
static int transport_begin(hilo_stream *stream)
{
	if (stream_state(stream) != STREAM_OPEN)
		return HILO_ECLOSED;
	if (stream->tx.error || stream->tx.eof)
		return stream->tx.error ? stream->tx.error : -EPIPE;
	if (!stream->transport->ops->send_pipe)
		return -EOPNOTSUPP;
	stream->busy++; /* I4 */
	return 0;
}

/* [counted in refs, has the turn, no lock; sends nothing, or all was sent] */
static ssize_t transport_send(hilo_stream *stream, int pipe, size_t size)
{
	struct list won = LIST_INIT(won);
	ssize_t n;

	spin_lock(&stream->lock);
	n = transport_begin(stream);
	spin_unlock(&stream->lock);
	if (n < 0)
		return n;
	n = stream->transport->ops->send_pipe(stream->transport, pipe, size); /* stays: busy, and the turn */
	spin_lock(&stream->lock);
	stream->busy--;
	if (n < 0 && n != -EAGAIN && n != -EINTR && !splice_is_refused(n) && !stream->tx.error) {
		hilo__stream_tx_fail(stream, (int)n);
		hilo__stream_serve(stream, &won);
	}
	hilo__stream_unlock(stream, &won);
	return n == -EINTR ? -EAGAIN : n;
}

ssize_t hilo__stream_send_pipe(hilo_stream *stream, int pipe, size_t size, hilo_time deadline)
{
	ssize_t n;

	spin_lock(&stream->lock);
	stream->refs++;
	spin_unlock(&stream->lock);
	n = hilo__stream_wait(stream, STREAM_WAIT_TURN, deadline);
	if (n < 0) {
		spin_lock(&stream->lock);
		stream->refs--;
		hilo__stream_unlock(stream, NULL);
		return n;
	}
	if (size)
		n = hilo__stream_wait(stream, STREAM_WAIT_EMPTY, deadline);
	if (n == 0)
		n = transport_send(stream, pipe, size);
	hilo__stream_turn_end(stream);
	return n;
}

static bool ends_all(ssize_t n)
{
	return n == -ECANCELED || n == -ETIMEDOUT || n == HILO_ECLOSED || is_of_connection(n);
}

/*
 * Whether the transport takes pipes; asked before one is made. 0, or why not. It is asked by one who has the turn:
 * nobody puts another one in its place, or ends it, meanwhile.
 */
static int ask_for_pipes(hilo_stream *stream, struct file_source *source, hilo_time deadline)
{
	ssize_t n;

	if (source->sent == source->count || source->held.pipe[0] >= 0 || source->no_direct)
		return 0;
	n = hilo__stream_send_pipe(stream, -1, 0, deadline);
	source->no_direct = n < 0;
	return ends_all(n) ? hilo__error_own((int)n) : 0;
}

/* What there is room for: 0, or why not. At the end of the file, and where this way is closed, that is nothing. */
static int send_directly(hilo_stream *stream, struct file_source *source, hilo_time deadline)
{
	ssize_t n;

	while (source->sent < source->count && !source->no_direct) {
		n = source->piped ? 0 : hilo__source_fill(source, deadline);
		if (n == 0 && !source->piped)
			return 0; /* the end */
		if (n == 0)
			n = hilo__stream_send_pipe(stream, source->held.pipe[0], source->piped, deadline);
		if (ends_all(n))
			return hilo__error_own((int)n);
		if (n <= 0) { /* if the file is wrong the next piece says so */
			source->no_direct = n != -EAGAIN;
			return 0;
		}
		source_advance_pipe(source, (size_t)n);
		if (source->piped)
			return 0; /* no more room */
	}
	return 0;
}

static int send_source(hilo_stream *stream, struct file_source *source, hilo_time deadline)
{
	size_t size = SENDFILE_PIECE;
	int rc = 1;

	while (source->sent < source->count && (rc = send_piece(stream, source, size, deadline)) > 0) {
		uint64_t before = source->sent;

		rc = ask_for_pipes(stream, source, deadline);
		if (rc == 0)
			rc = send_directly(stream, source, deadline);
		if (rc < 0)
			break;
		size = source->sent - before > SENDFILE_PIECE ? SENDFILE_WAIT_PIECE : SENDFILE_PIECE;
	}
	return rc < 0 ? rc : 0;
}

int hilo_stream_sendfile(hilo_stream *stream, int fd, int64_t offset, uint64_t count, uint64_t *ret,
			 hilo_time deadline)
{
	struct file_source source;
	int rc = hilo__stream_enter(stream, "hilo_stream_sendfile");

	if (rc < 0)
		return rc;
	if (offset < 0)
		return hilo_fail(-EINVAL, "hilo_stream_sendfile: offset is %lld", (long long)offset);
	rc = hilo__source_open(&source, fd, offset, count);
	if (rc < 0)
		return rc;
	rc = send_source(stream, &source, deadline);
	hilo__source_close(&source);
	if (ret)
		*ret = source.sent;
	return rc;
}
