/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - a file to a stream.
 *
 * There are two ways, which take turns.
 *
 *	piece	Read into memory, and written like anything else. It waits for room as every write does, so cancel,
 *		deadline, close and the other writers are its business alone.
 *	direct	sendfile(2): the kernel sends the pages that it has, without a copy. It neither waits for room nor
 *		says when there is some, so after it has come to an end a piece goes the first way, which does. It
 *		waits for a disk, so it is a call in an executor, which it keeps for no longer than that.
 *
 * What goes directly overtakes nothing: who sends it has the turn to write, and waits until all before has been sent.
 * The first piece of a file always goes the first way. That is enough for a small one, and has found by then whatever
 * is wrong with the descriptor.
 *
 * Rejected: to ask the page cache whether the bytes are there, and spare the executor. mincore(2) tells lies about
 * files of others, cachestat(2) of pages that are still being read; only reading them (RWF_NOWAIT) is sure, and that is
 * the copy. Rejected: to wait for room with a poll. Whoever closes the stream would have to know of it.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>

#include <errno.h>

#include "io/sock_impl.h"
#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What is written at a time: small enough to be taken whole, large enough that the calls do not count. */
#define SENDFILE_PIECE ((size_t)64 * 1024)
/* The piece that waits for room: much less than what there is room for then. */
#define SENDFILE_WAIT_PIECE ((size_t)16 * 1024)
/* What goes directly at a time: some 100 us of a thread of the executor. */
#define SENDFILE_DIRECT ((size_t)1024 * 1024)

/* A piece of a file, to be read. */
struct file_piece {
	int fd;
	void *data; /* NULL: the kernel keeps it */
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
	int rc;

	if (!runtime)
		return piece_read_blocking(piece);
	n = hilo__sys_preadv2(piece->fd, &into, 1, piece->offset, RWF_NOWAIT);
	if (n >= 0 || (n != -EAGAIN && n != -EOPNOTSUPP && n != -EINTR))
		return (int)n;
	/* A ring answers -EAGAIN for one that does not block, and then the loop would make the call. */
	if (!hilo__io_is_ring(runtime) || hilo__sock_is_nonblocking(piece->fd) > 0)
		return hilo_run_in_executor(NULL, piece_read_blocking, piece, deadline);
	piece_io(piece, &io);
	rc = hilo__io_run(&io, WAIT_FD, object, deadline);
	if (HILO__UNLIKELY(io.given_up))
		piece->data = NULL; /* the kernel may still write into it: it fails, and is not freed */
	else if (HILO__UNLIKELY(rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)) /* no ring could be made */
		rc = hilo_run_in_executor(NULL, piece_read_blocking, piece, deadline);
	return rc;
}

/* A call of the transport's send_file, in an executor. */
struct file_call {
	hilo_stream *stream;
	int file;
	int64_t offset;
	size_t size;
	ssize_t result;
};

static int file_call_run(void *arg)
{
	struct file_call *call = arg;
	struct transport *transport = call->stream->transport; /* stays: the turn is ours */

	call->result = transport->ops->send_file(transport, call->file, call->offset, call->size);
	return 0;
}

/* Whether @n is the failure of a connection, not of the file or of the call as such. */
static bool is_of_connection(ssize_t n)
{
	return n == -EPIPE || n == -ECONNRESET || n == -ECONNABORTED || n == -ENOTCONN || n == -ENETDOWN ||
	       n == -ENETUNREACH || n == -EHOSTDOWN || n == -EHOSTUNREACH;
}

/* [has the turn, lock] The transport may be used: 0, and it is counted; or why not. */
static int file_call_begin(hilo_stream *stream)
{
	if (stream_state(stream) != STREAM_OPEN)
		return HILO_ECLOSED;
	if (stream->tx.error || stream->tx.eof)
		return stream->tx.error ? stream->tx.error : -EPIPE;
	if (!stream->transport->ops->send_file)
		return -EOPNOTSUPP;
	stream->busy++; /* I4 */
	return 0;
}

/* [has the turn, all was sent, counted in refs, no lock] */
static ssize_t file_call_make(struct file_call *call, hilo_time deadline)
{
	hilo_stream *stream = call->stream;
	struct list won = LIST_INIT(won);
	int rc;

	spin_lock(&stream->lock);
	rc = file_call_begin(stream);
	spin_unlock(&stream->lock);
	if (rc < 0)
		return rc;
	if (hilo__io_runtime())
		rc = hilo_run_in_executor(NULL, file_call_run, call, deadline);
	else
		rc = file_call_run(call);
	spin_lock(&stream->lock);
	stream->busy--;
	if (rc == 0 && is_of_connection(call->result) && !stream->tx.error) {
		hilo__stream_tx_fail(stream, (int)call->result);
		hilo__stream_serve(stream, &won);
	}
	hilo__stream_unlock(stream, &won);
	if (rc == 0)
		return call->result == -EINTR ? -EAGAIN : call->result;
	return rc == -ECANCELED || rc == -ETIMEDOUT ? rc : -EOPNOTSUPP; /* no executor, or no place in it */
}

ssize_t hilo__stream_send_file(hilo_stream *stream, int file, int64_t offset, size_t size, hilo_time deadline)
{
	struct file_call call = {stream, file, offset, size, 0};
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
	n = hilo__stream_wait(stream, STREAM_WAIT_EMPTY, deadline);
	if (n == 0)
		n = file_call_make(&call, deadline);
	hilo__stream_turn_end(stream);
	return n;
}

/* A file on its way. */
struct file_source {
	struct file_piece piece;
	uint64_t count, sent;
	bool no_direct;
};

static void source_advance(struct file_source *source, ssize_t n)
{
	source->sent += (uint64_t)n;
	source->piece.offset += n;
}

/* A piece of up to @size bytes: 1; 0: the end; or why not. */
static int send_piece(hilo_stream *stream, struct file_source *source, size_t size, hilo_time deadline)
{
	uint64_t left = source->count - source->sent;
	ssize_t n;

	source->piece.size = left < size ? (size_t)left : size;
	n = piece_read(&source->piece, stream, deadline);
	if (n <= 0)
		return n < 0 ? hilo__error_own((int)n) : 0;
	n = hilo_stream_write(stream, source->piece.data, (size_t)n, deadline);
	if (n < 0)
		return (int)n;
	source_advance(source, n);
	return 1;
}

/* What there is room for: 0, or why not. At the end of the file, and where this way is closed, that is nothing. */
static int send_directly(hilo_stream *stream, struct file_source *source, hilo_time deadline)
{
	ssize_t n = 0, asked = 0;

	while (n == asked && source->sent < source->count && !source->no_direct) {
		uint64_t left = source->count - source->sent;

		asked = (ssize_t)(left < SENDFILE_DIRECT ? left : SENDFILE_DIRECT);
		n = hilo__stream_send_file(stream, source->piece.fd, source->piece.offset, (size_t)asked,
					   deadline);
		if (n == -ECANCELED || n == -ETIMEDOUT || n == HILO_ECLOSED || is_of_connection(n))
			return hilo__error_own((int)n);
		if (n > 0)
			source_advance(source, n);
		else
			source->no_direct =
				n < 0 && n != -EAGAIN; /* if the file is wrong the next piece says so */
	}
	return 0;
}

static int send_source(hilo_stream *stream, struct file_source *source, hilo_time deadline)
{
	size_t size = SENDFILE_PIECE;
	int rc = 1;

	while (source->sent < source->count && (rc = send_piece(stream, source, size, deadline)) > 0) {
		uint64_t before = source->sent;

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
	struct file_source source = {.piece = {.fd = fd, .offset = offset}, .count = count};
	int rc = hilo__stream_enter(stream, "hilo_stream_sendfile");

	if (rc < 0)
		return rc;
	if (offset < 0)
		return hilo_fail(-EINVAL, "hilo_stream_sendfile: offset is %lld", (long long)offset);
	source.piece.data = hilo__malloc(SENDFILE_PIECE);
	if (!source.piece.data)
		return -ENOMEM;
	rc = send_source(stream, &source, deadline);
	hilo__free(source.piece.data);
	if (ret)
		*ret = source.sent;
	return rc;
}
