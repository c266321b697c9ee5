/* SPDX-License-Identifier: MIT */
/*
 * stream_send.c - what goes: one send at most is in flight, of what lies in the stream's buffers, and any number wait
 * to write, or until less is on its way. The rules are in stream_impl.h.
 *
 *	write --copies--> next --once out is empty--> out --send--> transport
 *	      `--if nothing is in next, and there is room-->'
 *
 * What is in flight must not move, so there are two buffers: out is sent, next is filled, and they change places. A
 * small write goes to out directly, behind what is there, or into next if there is room, under the lock. For all else
 * one has the turn, and the others wait for it, in order.
 *
 * The ceiling of the memory of all streams (stream_room.c): while it is reached the marks are 0. So who writes has to
 * wait for what went before to be sent, as he may have to in any case, and for nothing else.
 *
 * Hysteresis: above the high mark nobody writes until the low one is reached. What is written then is handed to the
 * first who waits as the turn, so that nobody overtakes, and one who was cancelled before has taken nothing.
 */
#include <errno.h>

#include "io/stream_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* What was in flight, or waits, has been dropped: the send, or who fills next, forgets the rest. */
void hilo__stream_tx_drop(hilo_stream *stream)
{
	struct stream_tx *tx = &stream->tx;

	tx->level = 0;
	tx->full = false;
	if (!tx->op)
		tx->out.head = tx->out.tail = 0;
	if (!tx->filling)
		tx->next.head = tx->next.tail = 0;
}

/*
 * A reset is told once, to whoever asks first: then it is a failure of both directions. The peer has not ended his, or
 * it would be -EPIPE; so the end that a receive has found, or will find, was none.
 */
void hilo__stream_tx_fail(hilo_stream *stream, int error)
{
	stream->tx.error = error;
	hilo__stream_tx_drop(stream);
	if (error == -ECONNRESET && stream->rx.eof) {
		stream->rx.eof = false;
		stream->rx.error = error;
	}
}

void hilo__stream_tx_free(const hilo_stream *stream, const struct stream_buffer *buffer)
{
	if (!buffer->data || buffer->data == stream->tx_inline)
		return;
	hilo__free(buffer->data);
	hilo__stream_room_add(-(int64_t)buffer->size);
}

void hilo__stream_tx_fini(hilo_stream *stream)
{
	hilo__stream_tx_free(stream, &stream->tx.out);
	hilo__stream_tx_free(stream, &stream->tx.next);
}

/* [lock] 1: not yet; else what to answer to who waits for @what. */
static int wait_is_over(const hilo_stream *stream, enum stream_wait what)
{
	const struct stream_tx *tx = &stream->tx;
	enum stream_state state = stream_state(stream);

	if (what == STREAM_WAIT_END)
		return state == STREAM_CLOSED ? 0 : 1;
	if (what == STREAM_WAIT_SHUT && (!stream->transport->ops->end || tx->ended))
		return 0; /* also if it was dropped then, by another one who closes */
	if (what == STREAM_WAIT_SENT || what == STREAM_WAIT_SHUT ? state >= STREAM_DROPPED
								 : state != STREAM_OPEN)
		return HILO_ECLOSED;
	if (tx->error)
		return tx->error;
	if (what == STREAM_WAIT_SHUT)
		return 1;
	if (what == STREAM_WAIT_TURN)
		return tx->eof ? -EPIPE : tx->turn || tx->full;
	return what == STREAM_WAIT_LOW ? tx->full : tx->level != 0;
}

/* [lock] Win @waiter, who is out of his list, to be told @code. */
static bool waiter_win(struct stream_waiter *waiter, int code, struct list *won)
{
	if (!won_add(won, &waiter->node))
		return false;
	waiter->code = code;
	return true;
}

/* [lock] The first of those who wait for the turn has it, or all are told that there is none any more. */
static void serve_writers(hilo_stream *stream, struct list *won)
{
	struct contend_node *node;
	int code;

	while ((code = wait_is_over(stream, STREAM_WAIT_TURN)) <= 0 &&
	       (node = contend_pop(&stream->tx.writers)))
		if (waiter_win(container_of(node, struct stream_waiter, node), code, won) && code == 0)
			stream->tx.turn = true;
}

void hilo__stream_serve(hilo_stream *stream, struct list *won)
{
	struct stream_tx *tx = &stream->tx;
	struct list *at, *after;

	if (tx->full && tx->level <= (stream_room_is_over() ? 0 : stream->low))
		tx->full = false;
	if (!list_empty(&tx->waiters))
		list_for_each_safe(at, after, &tx->waiters)
		{
			struct stream_waiter *waiter = list_entry(at, struct stream_waiter, node.link);
			int code = wait_is_over(stream, waiter->what);

			if (code > 0)
				continue;
			(void)contend_remove(&waiter->node);
			(void)waiter_win(waiter, code, won);
		}
	if (!list_empty(&tx->writers))
		serve_writers(stream, won);
}

/* [lock] The poller of a runtime that has ended gave the send back: who waits is to start it again. */
static void serve_stalled(hilo_stream *stream, struct list *won)
{
	struct contend_node *node;

	while ((node = contend_pop(&stream->tx.waiters)) || (node = contend_pop(&stream->tx.writers)))
		(void)waiter_win(container_of(node, struct stream_waiter, node), -EAGAIN, won);
}

/* [lock] The transport's own end has completed with @n: it was sent, unless it has to be tried again. */
static ssize_t tx_end_account(struct stream_tx *tx, ssize_t n)
{
	tx->ending = false;
	tx->shut = tx->ended = n != -EAGAIN && n != -EINTR && n != -ECANCELED;
	return n < 0 && tx->ended ? 0 : n; /* who has gone needs not be told */
}

/* [lock] A send has ended with @n. */
static void tx_account(hilo_stream *stream, ssize_t n, struct list *won)
{
	struct stream_tx *tx = &stream->tx;

	tx->op = false;
	stream->busy--;
	stream->refs--;
	if (HILO__UNLIKELY(tx->ending))
		n = tx_end_account(tx, n);
	if (HILO__UNLIKELY(stream_state(stream) >= STREAM_DROPPED)) {
		hilo__stream_tx_drop(stream);
	} else if (HILO__LIKELY(n >= 0)) {
		tx->out.head += (size_t)n;
		tx->level -= (size_t)n;
	} else if (n == -ECANCELED) {
		serve_stalled(stream, won);
	} else if (n != -EAGAIN && n != -EINTR) {
		hilo__stream_tx_fail(stream, (int)n);
	}
}

/* [lock, nothing in flight, all empty] Larger memory than a stream keeps goes to @garbage. */
static void tx_shrink(hilo_stream *stream, struct stream_buffer garbage[2])
{
	struct stream_tx *tx = &stream->tx;
	size_t kept = stream_room_is_over() ? STREAM_TX_INLINE : STREAM_BUFFER_MIN;

	if (HILO__LIKELY(tx->out.size <= kept && tx->next.size <= kept))
		return;
	garbage[0] = tx->out;
	garbage[1] = tx->next;
	tx->out = (struct stream_buffer){.data = stream->tx_inline, .size = STREAM_TX_INLINE};
	tx->next = (struct stream_buffer){0};
}

/* [lock, nothing in flight] True: what to send now is in out. */
static bool tx_turn_over(hilo_stream *stream, struct stream_buffer garbage[2])
{
	struct stream_tx *tx = &stream->tx;
	struct stream_buffer empty;

	if (buffer_level(&tx->out))
		return true;
	tx->out.head = tx->out.tail = 0;
	if (tx->filling)
		return false;
	if (!buffer_level(&tx->next)) {
		tx_shrink(stream, garbage);
		return false;
	}
	empty = tx->out;
	tx->out = tx->next;
	tx->next = empty;
	return true;
}

/* [lock, which is let go of and taken again] Send what is in out, or the end. False: not from here, now. */
static bool tx_send(hilo_stream *stream, struct list *won)
{
	struct stream_tx *tx = &stream->tx;
	const char *data = tx->out.data + tx->out.head;
	size_t size = buffer_level(&tx->out); /* more may be added behind it */
	ssize_t n;
	bool done;

	tx->op = tx->starting = true;
	stream->busy++;
	stream->refs++;
	spin_unlock(&stream->lock);
	if (HILO__UNLIKELY(!list_empty(won)))
		won_tell(won);
	done = HILO__UNLIKELY(tx->ending) ? stream->transport->ops->end(stream->transport, &n)
					  : stream->transport->ops->send(stream->transport, data, size, &n);
	spin_lock(&stream->lock);
	tx->starting = false;
	if (done)
		tx_account(stream, n, won);
	else if (MUTANT(406, HILO__UNLIKELY(tx->op && stream_state(stream) >= STREAM_DROPPED),
			false)) /* I4 */
		hilo__stream_stop(stream, won, false, true);
	return !done || n != -ECANCELED;
}

/* [lock] All is sent, nothing more comes, and the transport is to be told. */
static bool tx_is_over(const hilo_stream *stream)
{
	const struct stream_tx *tx = &stream->tx;
	bool is_sent = stream->transport->ops->end != NULL;

	return !tx->shut && (tx->eof || (is_sent && stream_state(stream) == STREAM_CLOSING)) && !tx->level &&
	       !tx->turn && !tx->error && stream_state(stream) < STREAM_DROPPED &&
	       !(is_sent && (tx->op || tx->starting)); /* I3 */
}

/*
 * [lock, which is let go of and taken again; it is over] Tell the transport that no more will come. True: it may have
 * to be told again.
 */
static bool tx_shut(hilo_stream *stream, struct list *won)
{
	stream->tx.shut = true;
	if (stream->transport->ops->end) {
		stream->tx.ending = true;
		return tx_send(stream, won);
	}
	stream->busy++;
	spin_unlock(&stream->lock);
	won_tell(won);
	(void)stream->transport->ops->shut(stream->transport); /* who has gone needs not be told */
	spin_lock(&stream->lock);
	stream->busy--;
	return false;
}

void hilo__stream_push(hilo_stream *stream, struct list *won)
{
	struct stream_tx *tx = &stream->tx;
	struct stream_buffer garbage[2] = {{0}, {0}};

	while (!tx->op && MUTANT(405, !tx->starting, true) && stream_state(stream) < STREAM_DROPPED &&
	       tx_turn_over(stream, garbage) && tx_send(stream, won))
		;
	while (HILO__UNLIKELY((tx->eof || stream_state(stream) == STREAM_CLOSING) && tx_is_over(stream)) &&
	       tx_shut(stream, won))
		; /* it was to begin again while it was started: I3 */
	if (HILO__UNLIKELY(tx->full || !list_empty(&tx->waiters) || !list_empty(&tx->writers)))
		hilo__stream_serve(stream, won);
	if (HILO__UNLIKELY(garbage[0].data || garbage[1].data)) {
		spin_unlock(&stream->lock);
		won_tell(won);
		hilo__stream_tx_free(stream, &garbage[0]);
		hilo__stream_tx_free(stream, &garbage[1]);
		spin_lock(&stream->lock);
	}
}

void hilo__stream_sent(void *owner, ssize_t n)
{
	hilo_stream *stream = owner;
	struct list won = LIST_INIT(won);

	spin_lock(&stream->lock);
	tx_account(stream, n, &won);
	stream->refs++;
	if (HILO__LIKELY(n != -ECANCELED))
		MUTANT(408, hilo__stream_push(stream, &won), (void)0);
	stream->refs--;
	stream_unlock(stream, &won);
}

/* [lock] As wait_is_over; nobody overtakes those who wait for the turn, and who may take it has it. */
static int wait_look(hilo_stream *stream, enum stream_wait what)
{
	int rc = wait_is_over(stream, what);

	if (what != STREAM_WAIT_TURN || rc != 0)
		return rc;
	if (!list_empty(&stream->tx.writers))
		return 1;
	stream->tx.turn = true;
	return 0;
}

void hilo__stream_hold(hilo_stream *stream)
{
	spin_lock(&stream->lock);
	stream->tx.full = stream->tx.full || stream->tx.level > stream->low;
	spin_unlock(&stream->lock);
}

int hilo__stream_try_turn(hilo_stream *stream)
{
	int rc;

	spin_lock(&stream->lock);
	rc = wait_look(stream, STREAM_WAIT_TURN);
	if (rc == 0)
		stream->refs++;
	spin_unlock(&stream->lock);
	return rc > 0 ? -EAGAIN : rc;
}

/* [lock, counted in refs; it is given back] Look again, and be in a list if it is 1. */
static int wait_enter(hilo_stream *stream, struct stream_waiter *waiter)
{
	struct list *list = waiter->what == STREAM_WAIT_TURN ? &stream->tx.writers : &stream->tx.waiters;
	struct list won = LIST_INIT(won);
	int rc;

	if (HILO__UNLIKELY((stream->tx.level || waiter->what == STREAM_WAIT_SHUT) && !stream->tx.op &&
			   !stream->tx.starting))
		hilo__stream_push(stream, &won); /* what a runtime that has ended has left */
	rc = wait_look(stream, waiter->what);
	if (rc > 0)
		contend_add(list, &waiter->node, &waiter->contender, 0);
	hilo__stream_unlock(stream, &won);
	return rc;
}

/* [no lock, counted in refs] One wait. -EAGAIN: once more. */
static int wait_once(hilo_stream *stream, enum stream_wait what, hilo_time deadline)
{
	struct stream_waiter waiter = {.what = what};
	int rc = hilo__contend_begin(&waiter.contender, WAIT_STREAM_WRITE, stream, deadline);

	if (rc < 0)
		return rc;
	spin_lock(&stream->lock);
	rc = wait_enter(stream, &waiter);
	if (rc > 0) {
		rc = hilo__contend_wait(&waiter.contender);
		if (rc >= 0) {
			rc = waiter.code;
		} else {
			spin_lock(&stream->lock);
			(void)contend_remove(&waiter.node);
			spin_unlock(&stream->lock);
		}
	}
	hilo__contend_end(&waiter.contender);
	return rc;
}

int hilo__stream_wait(hilo_stream *stream, enum stream_wait what, hilo_time deadline)
{
	int rc;

	spin_lock(&stream->lock);
	rc = wait_look(stream, what);
	if (rc > 0)
		stream->refs++;
	spin_unlock(&stream->lock);
	if (rc <= 0)
		return rc;
	do
		rc = wait_once(stream, what, deadline);
	while (rc == -EAGAIN);
	spin_lock(&stream->lock);
	stream->refs--;
	hilo__stream_unlock(stream, NULL);
	return rc;
}
