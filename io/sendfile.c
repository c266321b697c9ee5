/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - a file to a stream.
 *
 * There are two ways, which take turns.
 *
 *	piece	Read into memory, and written like anything else. It waits for room as every write does, so cancel,
 *		deadline, close and the other writers are its business alone.
 *	direct	Through a pipe, by splice(2): the file's pages, without a copy. They are brought into the pipe by an
 *		operation of its own, in a thread, since that waits for a disk; from there into the socket for as long
 *		as there is room, which waits for nothing. What there is no room for is read out of the pipe, as a
 *		piece, which does wait.
 *
 * Either waits for the disk in an operation that has the bytes, the pipe, and a descriptor of the file for itself
 * (file_impl.h): who waits leaves at his deadline, and it goes on without him and without the stream.
 *
 * What goes directly overtakes nothing: who sends it has the turn to write, and waits until all before has been sent.
 * The first piece of a file always goes the first way. That is enough for a small one, and has found by then whatever
 * is wrong with the descriptor.
 *
 * Rejected: sendfile(2). It waits for the disk and sends in one call: who leaves it cannot know how much it is going to
 * send, nor may anybody else write. Rejected: to ask the page cache whether the bytes are there, and spare the thread.
 * mincore(2) tells lies about files of others, cachestat(2) of pages that are still being read; only reading them
 * (RWF_NOWAIT) is sure, and that is the copy. Rejected: to wait for room with a poll. Whoever closes the stream would
 * have to know of it.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/file_impl.h"
#include "io/sock_impl.h"
#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What is written at a time: small enough to be taken whole, large enough that the calls do not count. */
#define SENDFILE_PIECE ((size_t)64 * 1024)
/* The piece that waits for room: much less than what there is room for then. */
#define SENDFILE_WAIT_PIECE ((size_t)16 * 1024)
/* What goes directly at a time, if that much of a pipe is to be had: the most that one may have who is not root. */
#define SENDFILE_DIRECT ((size_t)1024 * 1024)

/* Descriptors of our own, or -1. An operation that is left keeps them. */
struct held {
	int file;
	int pipe[2];
};

static const struct held held_none = {-1, {-1, -1}};

static void held_close(struct held *held)
{
	const int fds[] = {held->file, held->pipe[0], held->pipe[1]};

	for (size_t i = 0; i < array_size(fds); i++)
		if (fds[i] >= 0)
			(void)hilo__sys_close(fds[i]);
	*held = held_none;
}

/* What an operation has for itself, in its data. */
struct piece {
	struct held held;
	int64_t offset;
	size_t size;
	char bytes[];
};

static inline struct piece *piece_of(struct file_op *op)
{
	return (struct piece *)(void *)op->data;
}

static void piece_drop(struct file_op *op)
{
	held_close(&piece_of(op)->held);
}

/* A file on its way. */
struct file_source {
	int fd; /* the caller's */
	int64_t offset;
	uint64_t count, sent;
	struct held held;
	size_t piped; /* bytes in the pipe: those at offset */
	char *data;   /* of SENDFILE_PIECE bytes */
	bool no_direct;
};

static size_t source_left(const struct file_source *source, size_t most)
{
	uint64_t left = source->count - source->sent;

	return left < most ? (size_t)left : most;
}

static void source_advance(struct file_source *source, size_t n)
{
	source->sent += n;
	source->offset += (int64_t)n;
}

/* A descriptor of the file that stays if ours is left. 0, or why not. */
static int source_hold(struct file_source *source)
{
	int fd = source->held.file >= 0 ? source->held.file : hilo__sock_copy(source->fd);

	if (fd < 0)
		return fd;
	source->held.file = fd;
	return 0;
}

/* [suspends] Have @op, for which all is held, made. What it has answered; or it is left, with what was held. */
static int source_run(struct file_source *source, struct file_op *op, hilo_time deadline)
{
	int rc;

	piece_of(op)->held = source->held;
	piece_of(op)->offset = source->offset;
	op->drop = piece_drop;
	rc = hilo__file_op_run(op, NULL, deadline);
	if (rc < 0 && hilo__file_op_is_left(op))
		source->held = held_none;
	else
		op->taken = true; /* what was held is still ours */
	return rc;
}

/* [suspends] @size bytes that the kernel does not have in memory: by its ring, or in a thread. */
static ssize_t read_wait(struct file_source *source, size_t size, hilo_time deadline)
{
	struct file_op *op;
	ssize_t n = source_hold(source);

	if (n < 0)
		return n;
	op = hilo__file_op_new(sizeof(struct piece) + size);
	if (!op)
		return -ENOMEM;
	poll_io_init(&op->io, POLL_IO_READ, source->held.file, piece_of(op)->bytes, size, NULL);
	op->io.offset = source->offset;
	/* A ring answers -EAGAIN for one that does not block, and then the loop would make the call. */
	op->by_thread = hilo__sock_is_nonblocking(source->fd) > 0;
	n = source_run(source, op, deadline);
	if (n > 0)
		memcpy(source->data, piece_of(op)->bytes, (size_t)n);
	hilo__file_op_unref(op);
	return n;
}

/* [suspends] Up to @size bytes into data: what is in the pipe; else of the file, from its cache if they are there. */
static ssize_t source_read(struct file_source *source, size_t size, hilo_time deadline)
{
	struct iovec into = {source->data, size};
	ssize_t n;

	if (source->piped) {
		into.iov_len = size < source->piped ? size : source->piped;
		do
			n = hilo__sys_read(source->held.pipe[0], into.iov_base, into.iov_len);
		while (n == -EINTR);
		source->piped -= n > 0 ? (size_t)n : 0;
		return n;
	}
	n = hilo__sys_preadv2(source->fd, &into, 1, source->offset, RWF_NOWAIT);
	if (n == -EAGAIN || n == -EOPNOTSUPP || n == -EINTR)
		return read_wait(source, size, deadline);
	hilo__file_count(FILE_AT_ONCE_WAY);
	return n;
}

/* A piece of up to @size bytes: 1; 0: the end; or why not. */
static int send_piece(hilo_stream *stream, struct file_source *source, size_t size, hilo_time deadline)
{
	ssize_t n = source_read(source, source_left(source, size), deadline);

	if (n <= 0)
		return n < 0 ? hilo__error_own((int)n) : 0;
	n = hilo_stream_write(stream, source->data, (size_t)n, deadline);
	if (n < 0)
		return (int)n;
	source_advance(source, (size_t)n);
	return 1;
}

/* [a thread that may wait for a disk] From the file into the pipe, which is empty. */
static int fill_call(struct file_op *op)
{
	const struct piece *piece = piece_of(op);
	int64_t offset = piece->offset;
	ssize_t n;

	do
		n = hilo__sys_splice(piece->held.file, &offset, piece->held.pipe[1], piece->size, 0);
	while (n == -EINTR);
	return (int)n;
}

/*
 * A pipe, as large as may be, and the file. Who is not root and has many pipes gets small ones, of two pages: these
 * are no gain, and not kept.
 */
static int source_pipe(struct file_source *source)
{
	int rc = source_hold(source);

	if (rc < 0 || source->held.pipe[0] >= 0)
		return rc;
	rc = hilo__sys_pipe2(source->held.pipe, O_CLOEXEC);
	if (rc < 0) {
		source->held.pipe[0] = source->held.pipe[1] = -1;
		return rc;
	}
	if (hilo__sys_fcntl(source->held.pipe[1], F_SETPIPE_SZ, SENDFILE_DIRECT) >= 0 ||
	    hilo__sys_fcntl(source->held.pipe[1], F_GETPIPE_SZ, 0) >= (int)SENDFILE_PIECE)
		return 0;
	(void)hilo__sys_close(source->held.pipe[0]);
	(void)hilo__sys_close(source->held.pipe[1]);
	source->held.pipe[0] = source->held.pipe[1] = -1;
	return -ENOBUFS;
}

/* [suspends] The file's next pages into the pipe. 0, also at its end; or why not. */
static int source_fill(struct file_source *source, hilo_time deadline)
{
	struct file_op *op;
	int rc = source_pipe(source);

	if (rc < 0)
		return rc;
	op = hilo__file_op_new(sizeof(struct piece));
	if (!op)
		return -ENOMEM;
	piece_of(op)->size = source_left(source, SENDFILE_DIRECT);
	op->call = fill_call;
	rc = source_run(source, op, deadline);
	hilo__file_op_unref(op);
	if (rc < 0)
		return rc;
	source->piped = (size_t)rc;
	return 0;
}

/* Whether @n is the failure of a connection, not of the file or of the call as such. */
static bool is_of_connection(ssize_t n)
{
	return n == -EPIPE || n == -ECONNRESET || n == -ECONNABORTED || n == -ENOTCONN || n == -ENETDOWN ||
	       n == -ENETUNREACH || n == -EHOSTDOWN || n == -EHOSTUNREACH;
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
	if (is_of_connection(n) && !stream->tx.error) {
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
		n = source->piped ? 0 : source_fill(source, deadline);
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
		source_advance(source, (size_t)n);
		source->piped -= (size_t)n;
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
	struct file_source source = {.fd = fd, .offset = offset, .count = count, .held = held_none};
	int rc = hilo__stream_enter(stream, "hilo_stream_sendfile");

	if (rc < 0)
		return rc;
	if (offset < 0)
		return hilo_fail(-EINVAL, "hilo_stream_sendfile: offset is %lld", (long long)offset);
	source.data = hilo__malloc(SENDFILE_PIECE);
	if (!source.data)
		return -ENOMEM;
	rc = send_source(stream, &source, deadline);
	hilo__free(source.data);
	held_close(&source.held);
	if (ret)
		*ret = source.sent;
	return rc;
}
