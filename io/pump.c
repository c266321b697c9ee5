/* SPDX-License-Identifier: MIT */
/*
 * pump.c - bytes from one stream to another. Those of a file are sendfile.c's.
 *
 * There are two ways, as there.
 *
 *	piece	What has come is written from where it was received, without a copy in between, and taken once it was:
 *		so a pump that ends early has lost nothing.
 *	direct	Through a pipe, by splice(2), without a copy. What there is no room for on the other side is read out
 *		of the pipe, into the buffer of the one it has come from, as if it had been received: as a piece, which
 *		waits for room. So is all that is in the pipe when the pump ends early, or goes on with pieces. There is
 *		memory for that before anything goes into the pipe.
 *
 * So the order is always: the buffer, the pipe, the socket; and nothing is received while something is in the pipe.
 *
 * A pump goes directly once a whole piece has come at once. It goes back to pieces when little comes at a time, or
 * nothing for a moment: messages are not slower for it, and a connection that is idle has no pipe. While it waits for
 * more the first of it is received, up to a page, and goes as a piece.
 *
 * Whatever the direct way is refused, a wait too, is tried as a piece, whose write knows what may be added without
 * waiting, and says what is wrong.
 *
 * Rejected: to wait with a look at the next byte (MSG_PEEK), which takes nothing. It does not take an urgent byte
 * either, with which a socket stays readable: over epoll it would look again and again, and a ring has a thread wait.
 *
 * Rejected: SPLICE_F_MORE. The end of what has come would wait for more, up to 200 ms; within one call the kernel says
 * that itself.
 */
#include <hilo/io/pump.h>

#include <hilo/runtime/error.h>

#include <errno.h>

#include "io/splice_impl.h"
#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/clock.h"

/* What is written at a time: small enough to be taken whole, large enough that the calls do not count. */
#define PUMP_PIECE ((size_t)64 * 1024)
/* The piece that waits for room: much less than what there is room for then. */
#define PUMP_WAIT_PIECE ((size_t)16 * 1024)
/* Less at a time is not worth a pipe, if it is so often in a row. */
#define PUMP_SMALL ((size_t)16 * 1024)
#define PUMP_PATIENCE 4
/* What a pipe is asked to hold: packets take a page of it each. */
#define PUMP_PIPE ((size_t)256 * 1024)
/* How long a pipe is kept while nothing comes. */
#define PUMP_HOLD (100 * HILO_MILLISECOND)
/* How many bytes are copied before what could not be had, a pipe or memory, is asked for again. */
#define PUMP_RETRY ((uint64_t)16 * 1024 * 1024)

struct pump {
	struct stream_reader reader; /* of the one, whose lock is that of all functions here */
	hilo_stream *to;
	hilo_time deadline;
	uint64_t limit, count;
	uint64_t direct_from; /* the count at which it may go directly */
	int pipe[2];
	size_t piped; /* bytes in it */
	bool said;    /* a write has failed, and left a message */
};

static size_t pump_left(const struct pump *pump, size_t most)
{
	uint64_t left = pump->limit - pump->count;

	return left < most ? (size_t)left : most;
}

static bool pump_goes_directly(const struct pump *pump)
{
	return pump->count < pump->limit && pump->count >= pump->direct_from && !stream_room_is_over();
}

/* [reader, lock, which is let go of and taken again] Write the first @size bytes, or a piece of them, and take them. */
static int pump_piece(struct pump *pump, size_t size)
{
	ssize_t n;

	size = pump_left(pump, size < PUMP_PIECE ? size : PUMP_PIECE);
	spin_unlock(&pump->reader.stream->lock);
	n = hilo_stream_write(pump->to, stream_bytes(&pump->reader), size, pump->deadline);
	spin_lock(&pump->reader.stream->lock);
	pump->said = n < 0;
	if (n < 0)
		return (int)n;
	hilo__stream_take(&pump->reader, size);
	pump->count += size;
	return 0;
}

/* [the same] The deadline has passed. Not without waiting: then all goes on that is there. */
static bool pump_is_late(const struct pump *pump)
{
	return pump->deadline > 0 && pump->deadline != HILO_FOREVER && hilo__clock_now() >= pump->deadline;
}

/*
 * [the same; suspends] Between two pieces: both may be so fast that it never waits. 0, or why it ends; the end of what
 * comes outranks that, and a deadline, which may have passed before it began, leaves a look for it.
 */
static int pump_checkpoint(struct pump *pump)
{
	const struct stream_rx *rx = &pump->reader.stream->rx;
	int rc;

	if (!rx->level && (rx->eof || rx->error))
		return 0;
	spin_unlock(&pump->reader.stream->lock);
	rc = hilo_checkpoint();
	spin_lock(&pump->reader.stream->lock);
	if (rc == -ECANCELED || !pump_is_late(pump))
		return rc == -ECANCELED ? rc : 0;
	if (!rx->level)
		(void)hilo__stream_fill(&pump->reader, 0, 1, HILO_NO_WAIT);
	return rx->level || !(rx->eof || rx->error) ? -ETIMEDOUT : 0;
}

/* [the same] What is in the pipe, as far as there is room. */
static ssize_t pump_send_some(struct pump *pump)
{
	ssize_t n;

	spin_unlock(&pump->reader.stream->lock);
	n = hilo__stream_enter(pump->to, "hilo_stream_pump");
	if (n == 0)
		n = hilo__stream_send_pipe(pump->to, pump->pipe[0], pump->piped, pump->deadline);
	spin_lock(&pump->reader.stream->lock);
	return n;
}

/* [the same] Back into the buffer. */
static void pump_put_back(struct pump *pump, size_t most)
{
	size_t size = pump->piped < most ? pump->piped : most;

	hilo__stream_put_back(&pump->reader, pump->pipe[0], size);
	pump->piped -= size;
}

/* The direct way is refused: for good, for a while, or for once. */
static void pump_refused(struct pump *pump, ssize_t why)
{
	if (why == -EOPNOTSUPP)
		pump->direct_from = UINT64_MAX;
	else if (why != -EAGAIN && why != -ETIMEDOUT && why != -EDEADLK)
		pump->direct_from = pump->count + PUMP_RETRY;
}

/* [the same] What is in the pipe: all of it, unless the direct way is refused. 0, or why not. */
static int pump_send(struct pump *pump)
{
	int rc = 0;

	while (pump->piped && pump->count >= pump->direct_from && rc == 0) {
		ssize_t n = pump_send_some(pump);

		if (n > 0) {
			pump->count += (uint64_t)n;
			pump->piped -= (size_t)n;
		} else if (n == -ECANCELED) {
			rc = (int)n;
		} else {
			pump_refused(pump, n);
			pump_put_back(pump, PUMP_WAIT_PIECE);
			rc = pump_piece(pump, pump->reader.stream->rx.level);
		}
	}
	return rc;
}

/* [the same; suspends] Nothing is there. 0: look again; 1: nothing has come for a while; or why not. */
static int pump_await(struct pump *pump)
{
	hilo_time until = hilo__clock_now() + PUMP_HOLD;
	int rc = hilo__stream_await(&pump->reader, until < pump->deadline ? until : pump->deadline);

	if (rc == -ETIMEDOUT && until < pump->deadline)
		return 1;
	return rc < 0 ? rc : 0;
}

/* [the same] Through the pipe, for as long as much comes at a time. 0: now by pieces; or why not. */
static int pump_through(struct pump *pump)
{
	const struct stream_rx *rx = &pump->reader.stream->rx;
	unsigned small = 0;
	int rc = 0;

	while (pump_goes_directly(pump) && small < PUMP_PATIENCE && rc == 0 &&
	       (rc = pump_checkpoint(pump)) == 0) {
		size_t in_buffer = rx->level; /* the first of what has come */
		ssize_t n = in_buffer ? (ssize_t)in_buffer
				      : hilo__stream_receive_pipe(&pump->reader, pump->pipe[1],
								  pump_left(pump, PUMP_PIECE));

		if (n > 0)
			small = (size_t)n < PUMP_SMALL ? small + 1 : 0;
		if (in_buffer) {
			rc = pump_piece(pump, in_buffer);
		} else if (n > 0) {
			pump->piped = (size_t)n;
			rc = pump_send(pump);
		} else if (n == -EAGAIN) {
			rc = pump_await(pump);
		} else if (n != -EINTR) {
			if (n < 0)
				pump_refused(pump, n);
			break;
		}
	}
	return rc < 0 ? rc : 0;
}

/* [the same] A pipe, if both can; @to is asked as one who has the turn, as in sendfile.c. 0, or why not. */
static ssize_t pump_open(struct pump *pump)
{
	ssize_t n;

	if (!pump->reader.stream->transport->ops->receive_pipe)
		return -EOPNOTSUPP;
	spin_unlock(&pump->reader.stream->lock);
	n = hilo__stream_send_pipe(pump->to, -1, 0, pump->deadline);
	if (n == 0)
		n = hilo__splice_open(pump->pipe, PUMP_PIPE, PUMP_PIECE);
	spin_lock(&pump->reader.stream->lock);
	return n;
}

/* [the same] With a pipe, if one is to be had. As pump_through; nothing is left in the pipe. */
static int pump_directly(struct pump *pump)
{
	ssize_t n = pump_open(pump);
	int rc;

	if (n < 0) {
		pump_refused(pump, n);
		return n == -ECANCELED ? (int)n : 0;
	}
	rc = pump_through(pump);
	if (pump->piped)
		pump_put_back(pump, pump->piped);
	spin_unlock(&pump->reader.stream->lock);
	hilo__splice_close(pump->pipe);
	spin_lock(&pump->reader.stream->lock);
	return rc;
}

/* [reader; returns with the lock, if there is a limit] 0, or what the write, or *@n, what the read, has failed with. */
static int pump_run(struct pump *pump, ssize_t *n)
{
	int rc = 0;

	while (rc == 0 && pump->count < pump->limit &&
	       (*n = hilo__stream_fill(&pump->reader, 0, 1, pump->deadline)) > 0) {
		rc = pump_piece(pump, (size_t)*n);
		if (rc == 0 && (size_t)*n >= PUMP_PIECE && pump_goes_directly(pump))
			rc = pump_directly(pump);
		if (rc == 0 && pump->count < pump->limit)
			rc = pump_checkpoint(pump);
	}
	return rc;
}

int hilo_stream_pump(hilo_stream *from, hilo_stream *to, uint64_t limit, uint64_t *ret, hilo_time deadline)
{
	struct pump pump = {.to = to, .deadline = deadline, .limit = limit, .pipe = {-1, -1}};
	ssize_t n = 1;
	int rc = hilo__stream_enter(from, "hilo_stream_pump");

	if (rc < 0)
		return rc;
	if (!to || from == to)
		return hilo_fail(-EINVAL, "hilo_stream_pump: %s",
				 to ? "from and to are the same" : "to is NULL");
	stream_reader_init(&pump.reader, from, "hilo_stream_pump");
	rc = pump_run(&pump, &n);
	if (pump.reader.claimed || limit)
		hilo__stream_read_end(&pump.reader, 0);
	if (ret)
		*ret = pump.count;
	if (rc < 0)
		return pump.said ? rc : hilo__error_own(rc);
	return n < 0 ? (int)hilo__stream_read_failed(&pump.reader, n) : 0;
}
