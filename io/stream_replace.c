/* SPDX-License-Identifier: MIT */
/*
 * stream_replace.c - another transport for a live stream: one that stands on the old one, as TLS does.
 *
 * Whoever replaces it reads and writes meanwhile, so that nobody else does; all that was written before was sent, and
 * a receive that somebody has left behind is ended. So nothing is in flight when the transports change places, and
 * what has come too early, the peer's first bytes of the new protocol, is handed over.
 */
#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"

/* [reader, lock held] End the receive in flight, if there is one. Returns with the lock. */
static int replace_quiet(struct stream_reader *reader, hilo_time deadline)
{
	hilo_stream *stream = reader->stream;
	struct list won = LIST_INIT(won);
	int rc = 0;

	if (stream->rx.op)
		hilo__stream_stop(stream, &won, true, false);
	while (rc == 0 && stream->rx.op)
		rc = hilo__stream_idle(reader, deadline);
	return rc < 0 ? rc : stream_closed(stream);
}

/* [reader, has the turn, lock held; nothing is in flight] It is let go of and taken again. */
static int replace_now(struct stream_reader *reader, hilo__stream_wrap_fn wrap, void *arg)
{
	hilo_stream *stream = reader->stream;
	struct transport *below = stream->transport, *above;
	const struct transport_up *up = below->up;
	size_t level = stream->rx.level;

	stream->busy++;
	spin_unlock(&stream->lock);
	above = wrap(below, stream_bytes(reader), level, arg);
	spin_lock(&stream->lock);
	stream->busy--;
	if (!above) {
		below->up = up;
		below->owner = stream;
		return -ENOMEM;
	}
	hilo__stream_take(reader, level);
	hilo__stream_attach(stream, above);
	return 0;
}

/* [has the turn, no lock] Be the one who reads as well, when all was sent. */
static int seize_reading(struct stream_reader *reader, hilo_time deadline)
{
	int rc = hilo__stream_wait(reader->stream, STREAM_WAIT_EMPTY, deadline);

	if (rc < 0)
		return hilo__error_own(rc);
	rc = hilo__stream_claim(reader);
	if (rc == 0) {
		spin_unlock(&reader->stream->lock);
		return 0;
	}
	hilo__stream_read_end(reader, 0);
	return (int)hilo__stream_read_failed(reader, rc);
}

int hilo__stream_seize(struct stream_reader *reader, hilo_stream *stream, const char *call,
		       hilo_time deadline)
{
	const struct thread *self = thread_self();
	bool can_write;
	int rc;

	if (self->loop ? !self->task : self->closing != NULL)
		return hilo_fail(-EDEADLK, "%s: a callback cannot wait", call);
	stream_reader_init(reader, stream, call);
	spin_lock(&stream->lock);
	can_write = stream->transport->can_write;
	stream->refs += can_write;
	spin_unlock(&stream->lock);
	if (!can_write)
		return hilo_fail(-EBADF, "%s: it can only be read", call);
	rc = hilo__stream_wait(stream, STREAM_WAIT_TURN, deadline);
	if (rc == 0) {
		rc = seize_reading(reader, deadline);
		if (rc < 0)
			hilo__stream_turn_end(stream);
		return rc;
	}
	spin_lock(&stream->lock);
	stream->refs--;
	hilo__stream_unlock(stream, NULL);
	return hilo__error_own(rc);
}

int hilo__stream_exchange(struct stream_reader *reader, hilo__stream_wrap_fn wrap, void *arg,
			  hilo_time deadline)
{
	hilo_stream *stream = reader->stream;
	int rc = hilo__stream_wait(stream, STREAM_WAIT_EMPTY, deadline);

	if (rc == 0) {
		spin_lock(&stream->lock);
		rc = replace_quiet(reader, deadline);
		if (rc == 0)
			rc = replace_now(reader, wrap, arg);
		spin_unlock(&stream->lock);
	}
	return rc < 0 ? hilo__error_own(rc) : 0;
}

void hilo__stream_let_go(struct stream_reader *reader)
{
	hilo_stream *stream = reader->stream;

	spin_lock(&stream->lock);
	hilo__stream_read_end(reader, 0);
	hilo__stream_turn_end(stream);
}

int hilo__stream_replace(hilo_stream *stream, hilo__stream_wrap_fn wrap, void *arg, hilo_time deadline)
{
	struct stream_reader reader;
	int rc = hilo__stream_seize(&reader, stream, "start_tls", deadline);

	if (rc < 0)
		return rc;
	rc = hilo__stream_exchange(&reader, wrap, arg, deadline);
	hilo__stream_let_go(&reader);
	return rc;
}
