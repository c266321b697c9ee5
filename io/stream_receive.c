/* SPDX-License-Identifier: MIT */
/*
 * stream_receive.c - what comes: one receive at most is in flight, into the stream's buffer, and one at most waits for
 * what it brings. The rules are in stream_impl.h.
 *
 * A receive belongs to the stream. Who has started it and stops waiting leaves it to the next one who reads: nothing is
 * put back, nothing has to be waited for, and no byte is lost.
 *
 * Memory: the stream's own bytes, 688, until the kernel has filled what it was offered; then four times as much, up to
 * the limit, or what who reads needs in one piece; that much at once only if it is no more than 64 KiB. After two
 * receives in a row that the stream's own would have done for the larger one goes. While all streams together have
 * reached their ceiling (stream_room.c) it goes as soon as it is empty, no more is read ahead than 4 KiB, and for what
 * is asked for it grows to twice its size, each time it is full.
 *
 * Rejected: to have the one who reads woken by the operation itself. Which thread completes it, and whether it was he
 * who started it, would be his business then.
 */
#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* Receives in a row after which a larger buffer is given back. */
#define RX_SMALL 2

/* Instead of how many bytes there have to be: as few as can be told of, into the memory that there is. */
#define WANT_FEW SIZE_MAX
#define RX_FEW ((size_t)4096)

static inline bool rx_is_inline(const hilo_stream *stream)
{
	return stream->rx.buffer.data == stream->rx_inline;
}

void hilo__stream_rx_fini(hilo_stream *stream)
{
	if (rx_is_inline(stream))
		return;
	hilo__free(stream->rx.buffer.data);
	hilo__stream_room_add(-(int64_t)stream->rx.buffer.size);
}

/* [sole user of the buffer] Let it have @size bytes of memory. */
static int rx_resize(hilo_stream *stream, size_t size)
{
	struct stream_buffer *buffer = &stream->rx.buffer;
	size_t level = buffer_level(buffer);
	char *data = size <= STREAM_RX_INLINE ? stream->rx_inline : hilo__malloc(size);

	if (!data)
		return -ENOMEM;
	memcpy(data, buffer->data + buffer->head, level);
	if (data != stream->rx_inline)
		hilo__stream_room_add((int64_t)size);
	hilo__stream_rx_fini(stream);
	*buffer = (struct stream_buffer){
		.data = data, .size = size <= STREAM_RX_INLINE ? STREAM_RX_INLINE : size, .tail = level};
	return 0;
}

/* [sole user of the buffer] While the ceiling is reached: a little to read ahead, and what there has to be. */
static size_t rx_target_least(const hilo_stream *stream, size_t want)
{
	const struct stream_rx *rx = &stream->rx;
	size_t level = buffer_level(&rx->buffer), size = rx->buffer.size;
	size_t least = rx->filled ? STREAM_BUFFER_MIN : STREAM_RX_INLINE, next = 2 * level;
	size_t line = stream_line(stream), most = line < want ? want : line;

	if (level == 0 && size > least && want <= least)
		return least;
	if (level < size)
		return size;
	/* It is full. Twice as much: how long a line is nobody knows, and what is asked for may never come. */
	next = next < most ? next : most;
	return next < least ? least : next;
}

/* [sole user of the buffer] How large it should be to receive into, if there may have to be @want bytes. */
static size_t rx_target(const hilo_stream *stream, size_t want)
{
	const struct stream_rx *rx = &stream->rx;
	size_t level = buffer_level(&rx->buffer), most = stream_line(stream), next;

	if (stream_room_is_over())
		return rx_target_least(stream, want);
	if (most < STREAM_RX_INLINE)
		most = STREAM_RX_INLINE;
	if (most < want)
		most = want;
	if (level < rx->buffer.size && !rx->filled)
		return level == 0 && rx->small >= RX_SMALL && want <= STREAM_RX_INLINE ? STREAM_RX_INLINE
										       : rx->buffer.size;
	if (rx->buffer.size >= most)
		return rx->buffer.size;
	next = rx->buffer.size < most / 4 ? rx->buffer.size * 4 : most;
	return next < want && want <= STREAM_LIMIT ? want : next;
}

/* [sole user of the buffer] Make room to receive into. 0; -ENOMEM: there is none. */
static int rx_prepare(hilo_stream *stream, size_t want)
{
	struct stream_buffer *buffer = &stream->rx.buffer;
	size_t level = buffer_level(buffer),
	       target = want == WANT_FEW ? buffer->size : rx_target(stream, want);

	if (target != buffer->size && rx_resize(stream, target) == 0)
		return 0;
	if (level == 0) {
		buffer->head = buffer->tail = 0;
	} else if (buffer->head && buffer->size - buffer->tail < buffer->size / 2) {
		memmove(buffer->data, buffer->data + buffer->head, level);
		buffer->head = 0;
		buffer->tail = level;
	}
	return buffer->tail < buffer->size ? 0 : -ENOMEM;
}

/* [lock] A receive has ended with @n. */
static void rx_account(hilo_stream *stream, ssize_t n, bool more)
{
	struct stream_rx *rx = &stream->rx;

	rx->op = false;
	stream->busy--;
	stream->refs--;
	if (HILO__LIKELY(n > 0)) {
		rx->buffer.tail += (size_t)n;
		rx->level += (size_t)n;
		rx->filled = rx->buffer.tail == rx->buffer.size;
		rx->later = (size_t)n != rx->asked && !more;
		if (n > STREAM_RX_INLINE)
			rx->small = 0;
		else if (rx->small < RX_SMALL)
			rx->small++;
	} else if (n == 0 && stream->tx.error == -ECONNRESET) {
		rx->error = -ECONNRESET; /* see hilo__stream_tx_fail */
	} else if (n == 0) {
		rx->eof = true;
	} else if (n != -EAGAIN && n != -EINTR && n != -ECANCELED) {
		rx->error = (int)n;
	} else {
		return; /* nothing came: who waits starts it again */
	}
	store_relaxed(&stream->ready, 1); /* relaxed: a hint */
}

/* [lock] Win who waits, if somebody does. */
static void rx_win(hilo_stream *stream, struct list *won)
{
	struct contend_node *node = contend_pop(&stream->rx.waiter);

	if (node)
		(void)won_add(won, node);
}

void hilo__stream_rx_drop(hilo_stream *stream, struct list *won)
{
	rx_win(stream, won);
}

void hilo__stream_received(void *owner, ssize_t n, bool more)
{
	hilo_stream *stream = owner;
	struct list won = LIST_INIT(won);

	spin_lock(&stream->lock);
	rx_account(stream, n, more);
	MUTANT(400, rx_win(stream, &won), (void)0);
	stream_unlock(stream, &won);
}

void hilo__stream_read_no_more(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);

	spin_lock(&stream->lock);
	if (!stream->rx.error && !stream->rx.eof) {
		stream->rx.error = HILO_ECLOSED;
		store_relaxed(&stream->ready, 1); /* relaxed: a hint */
		rx_win(stream, &won);
	}
	stream_unlock(stream, &won);
}

/* [lock] Nothing else is in flight: count one more receive. */
static void rx_begin(hilo_stream *stream)
{
	stream->rx.op = true;
	stream->busy++;
	stream->refs++;
}

static inline size_t rx_room(const struct stream_buffer *buffer, size_t want)
{
	size_t size = buffer->size - buffer->tail;

	return HILO__UNLIKELY(want == WANT_FEW) && size > RX_FEW ? RX_FEW : size;
}

/* [reader, has begun, no lock] Start it. True: it has ended already, with *@ret. */
static bool rx_start(hilo_stream *stream, size_t want, ssize_t *ret)
{
	struct stream_buffer *buffer = &stream->rx.buffer;
	int rc = rx_prepare(stream, want);

	if (HILO__UNLIKELY(rc < 0)) {
		*ret = rc;
		return true;
	}
	stream->rx.asked = rx_room(buffer, want);
	return stream->transport->ops->receive(stream->transport, buffer->data + buffer->tail,
					       stream->rx.asked, stream->rx.later, ret);
}

/* [reader, has begun, no lock] The same without waiting. */
static ssize_t rx_start_now(hilo_stream *stream, size_t want)
{
	struct stream_buffer *buffer = &stream->rx.buffer;
	int rc = rx_prepare(stream, want);

	if (rc < 0)
		return rc;
	stream->rx.asked = rx_room(buffer, want);
	return stream->transport->ops->receive_now(stream->transport, buffer->data + buffer->tail,
						   stream->rx.asked);
}

/*
 * [lock] What ended at once is accounted for. Out of memory, or that nothing can be started any more since the runtime
 * has ended, is a failure of the call, not of the stream.
 */
static int rx_ended(hilo_stream *stream, ssize_t n)
{
	int rc = n == -ENOMEM || n == -ECANCELED ? (int)n : 0;

	rx_account(stream, rc < 0 ? -EAGAIN : n, false);
	return rc;
}

/* [reader, lock] Nothing is there, and nobody may wait. 0: look again; else @reason, or -ENOMEM. */
static int rx_try(hilo_stream *stream, size_t want, int reason)
{
	ssize_t n;
	int rc;

	if (stream->rx.op)
		return reason;
	rx_begin(stream);
	spin_unlock(&stream->lock);
	n = rx_start_now(stream, want);
	spin_lock(&stream->lock);
	rc = rx_ended(stream, n);
	return rc < 0 ? rc : n == -EAGAIN ? reason : 0;
}

/* [reader, contender, whose wait ends; lock] Wait for the receive in flight, or start one. 0: look again. */
static int rx_wait(hilo_stream *stream, struct contender *contender, size_t want)
{
	struct contend_node node;
	bool start = !stream->rx.op;
	ssize_t n;
	int rc = 0;

	if (start)
		rx_begin(stream);
	contend_add(&stream->rx.waiter, &node, contender, 0);
	spin_unlock(&stream->lock);
	if (start && rx_start(stream, want, &n)) {
		spin_lock(&stream->lock);
		rc = rx_ended(stream, n);
		/* Not by whether it is in a list: who has won us, and is about to say so, has it in his. */
		if (MUTANT(409, contend_is_open(contender), true)) {
			(void)contend_remove(&node);
			hilo__contend_end(contender);
			return rc;
		}
		spin_unlock(&stream->lock);
		(void)hilo__contend_wait(contender);
	} else {
		rc = hilo__contend_wait(contender);
	}
	hilo__contend_end(contender);
	spin_lock(&stream->lock);
	if (rc < 0)
		(void)contend_remove(&node);
	return rc < 0 ? rc : 0;
}

/* [reader, lock] More than @have, or why not: *@over. */
static bool rx_is_over(hilo_stream *stream, size_t have, ssize_t *over)
{
	size_t level = stream->rx.level;

	if (HILO__UNLIKELY(stream_state(stream) != STREAM_OPEN))
		*over = HILO_ECLOSED;
	else if (level > have)
		*over = (ssize_t)level;
	else if (stream->rx.error)
		*over = stream->rx.error;
	else if (stream->rx.eof)
		*over = (ssize_t)level;
	else
		return false;
	return true;
}

/* [lock] */
static int reader_claim(struct stream_reader *reader)
{
	hilo_stream *stream = reader->stream;

	if (HILO__UNLIKELY(stream_state(stream) != STREAM_OPEN))
		return HILO_ECLOSED;
	if (HILO__UNLIKELY(!stream->transport->can_read))
		return -EBADF;
	if (HILO__UNLIKELY(stream->rx.reading))
		return -EBUSY;
	stream->rx.reading = true;
	stream->refs++;
	reader->claimed = true;
	return 0;
}

int hilo__stream_claim(struct stream_reader *reader)
{
	spin_lock(&reader->stream->lock);
	return reader_claim(reader);
}

int hilo__stream_idle(struct stream_reader *reader, hilo_time deadline)
{
	hilo_stream *stream = reader->stream;
	struct contender contender;
	int rc;

	spin_unlock(&stream->lock);
	rc = hilo__contend_begin(&contender, WAIT_STREAM_READ, stream, deadline);
	spin_lock(&stream->lock);
	if (rc < 0)
		return rc;
	if (stream->rx.op)
		return rx_wait(stream, &contender, 0);
	hilo__contend_end(&contender);
	return 0;
}

static bool deadline_has_passed(hilo_time deadline)
{
	return deadline != HILO_FOREVER && (deadline <= 0 || hilo__clock_now() >= deadline);
}

/* [reader; takes the lock] One round: 1: look again, with the lock; else the end. */
static int fill_slowly(struct stream_reader *reader, size_t have, size_t want, hilo_time deadline,
		       ssize_t *over)
{
	hilo_stream *stream = reader->stream;
	struct contender contender;
	int begun = hilo__contend_begin(&contender, WAIT_STREAM_READ, stream, deadline), rc = begun;

	spin_lock(&stream->lock);
	if (reader->claimed || (rc = reader_claim(reader)) == 0) {
		if (rx_is_over(stream, have, over))
			rc = 1;
		else if (begun == 0 && !deadline_has_passed(deadline))
			return rx_wait(stream, &contender, want);
		else if (begun != -ECANCELED)
			rc = rx_try(stream, want, begun < 0 ? begun : -ETIMEDOUT);
		else
			rc = begun;
	}
	if (begun == 0)
		hilo__contend_end(&contender);
	return rc;
}

ssize_t hilo__stream_fill(struct stream_reader *reader, size_t have, size_t want, hilo_time deadline)
{
	hilo_stream *stream = reader->stream;
	ssize_t over = 0;
	int rc;

	/* relaxed: a hint */
	if (HILO__LIKELY(load_relaxed(&stream->ready) != 0) || reader->claimed) {
		if (!reader->claimed) {
			spin_lock(&stream->lock);
			rc = reader_claim(reader);
			if (HILO__UNLIKELY(rc < 0))
				return rc;
		}
		if (rx_is_over(stream, have, &over))
			return over;
		spin_unlock(&stream->lock);
	}
	for (;;) {
		rc = fill_slowly(reader, have, want, deadline, &over);
		/* The last look is at what there is: a result outranks all else. */
		if (rc > 0 || (reader->claimed && rx_is_over(stream, have, &over)))
			return over;
		if (rc < 0)
			return rc;
		spin_unlock(&stream->lock);
	}
}

int hilo__stream_await(struct stream_reader *reader, hilo_time deadline)
{
	ssize_t over;

	spin_unlock(&reader->stream->lock);
	return fill_slowly(reader, 0, WANT_FEW, deadline, &over);
}

/* [sole user of the buffer, which is empty] Have room for @size bytes. */
static int rx_reserve(hilo_stream *stream, size_t size)
{
	struct stream_buffer *buffer = &stream->rx.buffer;

	if (buffer->size < size)
		return rx_resize(stream, size);
	buffer->head = buffer->tail = 0;
	return 0;
}

ssize_t hilo__stream_receive_pipe(struct stream_reader *reader, int pipe, size_t size)
{
	hilo_stream *stream = reader->stream;
	ssize_t n;

	if (!stream->transport->ops->receive_pipe)
		return -EOPNOTSUPP;
	if (rx_is_over(stream, 0, &n))
		return 0;
	if (MUTANT(530, stream->rx.op, false)) /* left by who has waited before */
		return -EAGAIN;
	rx_begin(stream);
	spin_unlock(&stream->lock);
	n = rx_reserve(stream, size);
	if (n == 0)
		n = stream->transport->ops->receive_pipe(stream->transport, pipe, size);
	spin_lock(&stream->lock);
	stream->rx.later = n == -EAGAIN;
	if (n > 0 || n == -EOPNOTSUPP || n == -ENOMEM || n == -EAGAIN || n == -EINTR) {
		rx_account(stream, -EAGAIN, false); /* not to the buffer */
	} else {
		rx_account(stream, n, false);
		n = 0;
	}
	if (MUTANT(531, HILO__UNLIKELY(stream_state(stream) != STREAM_OPEN), false)) { /* I4 */
		hilo__stream_unlock(stream, NULL);
		spin_lock(&stream->lock);
	}
	return n;
}

void hilo__stream_put_back(struct stream_reader *reader, int pipe, size_t size)
{
	hilo_stream *stream = reader->stream;
	struct stream_buffer *buffer = &stream->rx.buffer;
	size_t done = 0;
	ssize_t n = 1;

	spin_unlock(&stream->lock); /* I1: nothing is in flight */
	while (done < size && (n > 0 || n == -EINTR)) {
		n = hilo__sys_read(pipe, buffer->data + buffer->tail + done, size - done);
		done += n > 0 ? (size_t)n : 0;
	}
	spin_lock(&stream->lock);
	buffer->tail += done;
	stream->rx.level += done;
	if (HILO__UNLIKELY(done < size)) /* what is missing is not to be passed over */
		stream->rx.error = n < 0 ? (int)n : -EIO;
	store_relaxed(&stream->ready, 1); /* relaxed: a hint */
}

void hilo__stream_take(struct stream_reader *reader, size_t taken)
{
	hilo_stream *stream = reader->stream;
	struct stream_rx *rx = &stream->rx;

	rx->buffer.head += taken;
	rx->level -= taken;
	if (rx->level)
		return;
	if (!rx->op)
		rx->buffer.head = rx->buffer.tail = 0;
	if (!rx->eof && !rx->error && stream_state(stream) == STREAM_OPEN)
		store_relaxed(&stream->ready, 0); /* relaxed: a hint */
}

void hilo__stream_read_end(struct stream_reader *reader, size_t taken)
{
	hilo_stream *stream = reader->stream;
	struct stream_rx *rx = &stream->rx;
	struct list won = LIST_INIT(won);

	if (reader->claimed) {
		hilo__stream_take(reader, taken);
		rx->reading = false;
		if (MUTANT(401, HILO__UNLIKELY(stream_state(stream) >= STREAM_DROPPED && rx->op),
			   false)) /* I4 */
			hilo__stream_stop(stream, &won, true, false);
		stream->refs--;
	}
	stream_unlock(stream, &won);
}

void hilo__stream_copy(struct stream_reader *reader, void *to, size_t size)
{
	hilo_stream *stream = reader->stream;

	if (HILO__UNLIKELY(!size))
		return;
	if (HILO__LIKELY(size <= STREAM_LOCKED_COPY)) {
		memcpy(to, stream_bytes(reader), size);
		return;
	}
	spin_unlock(&stream->lock);
	memcpy(to, stream_bytes(reader), size);
	spin_lock(&stream->lock);
}
