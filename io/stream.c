/* SPDX-License-Identifier: MIT */
/*
 * stream.c - the stream itself: how it is made, closed and freed, and what it is asked. What is under which lock is in
 * stream_impl.h.
 *
 * A stream goes from OPEN over CLOSING, in which what was written is still sent, to DROPPED, and when nobody uses the
 * transport any more to CLOSED. Nobody who waits is left behind by any of these steps: each of them wins all whom it
 * concerns, under the same hold of the lock.
 */
#include "io/stream_impl.h"

#include <errno.h>

#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

_Static_assert(sizeof(hilo_stream_opts) == SIZED_END(hilo_stream_opts, low), "no padding at the end");
_Static_assert(sizeof(hilo_stream_limits) == SIZED_END(hilo_stream_limits, low), "no padding at the end");

static const struct transport_up stream_up = {hilo__stream_received, hilo__stream_sent};

static int limits_check(const char *call, size_t *line, size_t *high, size_t *low)
{
	*line = *line ? *line : STREAM_LIMIT;
	*high = *high ? *high : STREAM_LIMIT;
	*low = *low ? *low : *high / 4;
	if (*low > *high)
		return hilo_fail(-EINVAL, "%s: low is %zu, more than high, %zu", call, *low, *high);
	return 0;
}

int hilo__stream_new(const char *call, const hilo_stream_opts *opts, const void *site, hilo_stream **ret)
{
	hilo_stream_opts own = {.size = sizeof(own)};
	hilo_stream *stream;
	int rc = opts ? SIZED_IN(hilo_stream_opts, &own, opts, low) : 0;

	if (rc == 0)
		rc = limits_check(call, &own.line, &own.high, &own.low);
	if (rc < 0)
		return rc;
	stream = hilo__malloc(sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	memset(stream, 0, offsetof(hilo_stream, rx_inline));
	stream->refs = 1;
	atomic_setup(&stream->line, own.line);
	stream->high = own.high;
	stream->low = own.low;
	stream->descriptor.runtime = own.runtime ? own.runtime : hilo__io_runtime();
	list_init(&stream->rx.waiter);
	list_init(&stream->tx.writers);
	list_init(&stream->tx.waiters);
	stream->rx.buffer.data = stream->rx_inline;
	stream->rx.buffer.size = STREAM_RX_INLINE;
	stream->tx.out.data = stream->tx_inline;
	stream->tx.out.size = STREAM_TX_INLINE;
	debug_opened(&stream->open, stream->descriptor.runtime, DEBUG_STREAM, site);
	*ret = stream;
	return 0;
}

void hilo__stream_undo(hilo_stream *stream)
{
	debug_ended(&stream->open);
	hilo__free(stream);
}

void hilo__stream_attach(hilo_stream *stream, struct transport *transport)
{
	transport->up = &stream_up;
	transport->owner = stream;
	stream->transport = transport;
}

int hilo__stream_enter(const hilo_stream *stream, const char *call)
{
	if (HILO__UNLIKELY(!stream))
		return hilo_fail(-EINVAL, "%s: stream is NULL", call);
	return HILO__UNLIKELY(contend_is_interrupted(thread_self())) ? hilo__error_own(-ECANCELED) : 0;
}

/* [the last one] Memory that the kernel may still use is left to it. */
static void stream_destroy(hilo_stream *stream)
{
	if (HILO__UNLIKELY(stream->descriptor.is_left)) {
		hilo__mem_leave(stream);
		return;
	}
	hilo__stream_rx_fini(stream);
	hilo__stream_tx_fini(stream);
	if (stream->transport->ops->free)
		stream->transport->ops->free(stream->transport);
	hilo__free(stream);
}

/* [who has taken busy to 0, no lock] Nobody uses the transport any more. */
static void stream_end(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);
	bool last;

	stream->transport->ops->close(stream->transport);
	spin_lock(&stream->lock);
	store_relaxed(&stream->state, STREAM_CLOSED); /* relaxed: under the lock, else a hint */
	hilo__stream_serve(stream, &won);
	last = --stream->refs == 0;
	spin_unlock(&stream->lock);
	won_tell(&won);
	if (last)
		stream_destroy(stream);
}

void hilo__stream_unlock(hilo_stream *stream, struct list *won)
{
	bool end =
		stream_state(stream) == STREAM_DROPPED && MUTANT(404, !stream->busy, true) && !stream->ending;
	bool last;

	if (HILO__UNLIKELY(end)) {
		stream->ending = true;
		stream->refs++;
	}
	last = stream->refs == 0;
	spin_unlock(&stream->lock);
	if (won && HILO__UNLIKELY(!list_empty(won)))
		won_tell(won);
	if (HILO__UNLIKELY(end))
		stream_end(stream);
	else if (HILO__UNLIKELY(last))
		stream_destroy(stream);
}

void hilo__stream_stop(hilo_stream *stream, struct list *won, bool receive, bool send)
{
	if (!receive && !send)
		return;
	stream->busy++;
	spin_unlock(&stream->lock);
	won_tell(won);
	stream->transport->ops->stop(stream->transport, receive, send);
	spin_lock(&stream->lock);
	stream->busy--;
}

void hilo__stream_drop(hilo_stream *stream, struct list *won)
{
	if (stream_state(stream) >= STREAM_DROPPED)
		return;
	store_relaxed(&stream->state, STREAM_DROPPED); /* relaxed: under the lock, else a hint */
	store_relaxed(&stream->ready, 1);	       /* relaxed: a hint */
	hilo__stream_rx_drop(stream, won);
	hilo__stream_tx_drop(stream);
	hilo__stream_serve(stream, won);
	hilo__stream_stop(stream, won, stream->rx.op && MUTANT(402, !stream->rx.reading, true),
			  stream->tx.op && MUTANT(403, !stream->tx.starting, true)); /* I4 */
}

/* [lock] Nobody reads or writes from now on. */
static void stream_shut(hilo_stream *stream, struct list *won)
{
	if (stream_state(stream) != STREAM_OPEN)
		return;
	store_relaxed(&stream->state, STREAM_CLOSING); /* relaxed: under the lock, else a hint */
	store_relaxed(&stream->ready, 1);	       /* relaxed: a hint */
	hilo__stream_rx_drop(stream, won);
	hilo__stream_serve(stream, won);
}

/* [any, suspends] The stream is shut: send what there is. */
static int stream_close_wait(hilo_stream *stream, hilo_time deadline)
{
	struct list won = LIST_INIT(won);
	int rc = hilo__stream_wait(stream, STREAM_WAIT_SENT, deadline);
	const struct transport *transport;
	hilo_time limit = -1;

	spin_lock(&stream->lock); /* it may be given another transport just now */
	transport = stream->transport;
	if (transport->ops->end)
		limit = transport->ops->end_limit(transport);
	spin_unlock(&stream->lock);
	if (rc == 0 && limit >= 0) {
		hilo_time now = hilo__clock_now();

		rc = hilo__stream_wait(stream, STREAM_WAIT_SHUT,
				       limit < deadline - now ? now + limit : deadline);
	}
	spin_lock(&stream->lock);
	hilo__stream_drop(stream, &won);
	hilo__stream_unlock(stream, &won);
	if (rc == 0) /* all is sent: whether the rest takes longer than we may wait does not matter */
		(void)hilo__stream_wait(stream, STREAM_WAIT_END, deadline);
	return rc;
}

int hilo_stream_close(hilo_stream *stream, hilo_time deadline)
{
	struct list won = LIST_INIT(won);
	bool over;
	int rc;

	if (!stream)
		return hilo_fail(-EINVAL, "hilo_stream_close: stream is NULL");
	spin_lock(&stream->lock);
	stream->refs++;
	over = stream_state(stream) >= STREAM_DROPPED;
	stream_shut(stream, &won);
	spin_unlock(&stream->lock);
	won_tell(&won);
	rc = over ? hilo__stream_wait(stream, STREAM_WAIT_END, deadline)
		  : stream_close_wait(stream, deadline);
	spin_lock(&stream->lock);
	stream->refs--;
	hilo__stream_unlock(stream, NULL);
	return rc < 0 ? hilo__error_own(rc) : 0;
}

int hilo_stream_wait_closed(hilo_stream *stream, hilo_time deadline)
{
	int rc = hilo__stream_enter(stream, "hilo_stream_wait_closed");

	if (rc == 0)
		rc = hilo__stream_wait(stream, STREAM_WAIT_END, deadline);
	return rc < 0 && stream ? hilo__error_own(rc) : rc;
}

int hilo_stream_abort(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);

	if (!stream)
		return hilo_fail(-EINVAL, "hilo_stream_abort: stream is NULL");
	spin_lock(&stream->lock);
	stream->refs++;
	hilo__stream_drop(stream, &won);
	stream->refs--;
	hilo__stream_unlock(stream, &won);
	return 0;
}

void hilo_stream_free(hilo_stream *stream)
{
	struct list won = LIST_INIT(won);

	if (!stream)
		return;
	debug_ended(&stream->open);
	spin_lock(&stream->lock);
	hilo__stream_drop(stream, &won);
	stream->refs--;
	hilo__stream_unlock(stream, &won);
}

int hilo_stream_is_closing(const hilo_stream *stream)
{
	return !stream || stream_state(stream) != STREAM_OPEN;
}

int hilo_stream_at_eof(const hilo_stream *public)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	int rc;

	if (!stream)
		return 1;
	spin_lock(&stream->lock);
	rc = stream->rx.eof && !stream->rx.level;
	spin_unlock(&stream->lock);
	return rc;
}

size_t hilo_stream_read_buffered(const hilo_stream *public)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	size_t level;

	if (!stream)
		return 0;
	spin_lock(&stream->lock);
	level = stream->rx.level;
	spin_unlock(&stream->lock);
	return level;
}

size_t hilo_stream_write_buffered(const hilo_stream *public)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	size_t level;

	if (!stream)
		return 0;
	spin_lock(&stream->lock);
	level = stream->tx.level;
	spin_unlock(&stream->lock);
	return level;
}

int hilo_stream_get_limits(const hilo_stream *public, hilo_stream_limits *ret)
{
	hilo_stream *stream = (hilo_stream *)(uintptr_t) public;
	hilo_stream_limits own = {.size = sizeof(own)};

	if (!stream || !ret)
		return hilo_fail(-EINVAL, "hilo_stream_get_limits: %s is NULL", stream ? "ret" : "stream");
	spin_lock(&stream->lock);
	own.line = stream_line(stream);
	own.high = stream->high;
	own.low = stream->low;
	spin_unlock(&stream->lock);
	return SIZED_OUT(hilo_stream_limits, ret, &own, low);
}

int hilo_stream_set_limits(hilo_stream *stream, const hilo_stream_limits *limits)
{
	struct list won = LIST_INIT(won);
	hilo_stream_limits own;
	int rc;

	if (!stream || !limits)
		return hilo_fail(-EINVAL, "hilo_stream_set_limits: %s is NULL", stream ? "limits" : "stream");
	rc = SIZED_IN(hilo_stream_limits, &own, limits, low);
	if (rc == 0)
		rc = limits_check("hilo_stream_set_limits", &own.line, &own.high, &own.low);
	if (rc < 0)
		return rc;
	spin_lock(&stream->lock);
	store_relaxed(&stream->line, own.line); /* relaxed: see stream_line */
	stream->high = own.high;
	stream->low = own.low;
	stream->tx.full = stream->tx.level > own.high;
	hilo__stream_serve(stream, &won);
	hilo__stream_unlock(stream, &won);
	return 0;
}
