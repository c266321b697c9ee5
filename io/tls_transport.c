/* SPDX-License-Identifier: MIT */
/* tls_transport.c - receives and sends over TLS. The rules, I1 to I6, are in tls_openssl_impl.h. */
#include <errno.h>
#include <stdio.h>

#include "io/tls_openssl_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

/* Receives in a row after which the larger buffer is given back. */
#define IN_SMALL 2
/* Receives that are made, at most, to throw away what nobody will read. */
#define DRAIN_MOST 16

static inline struct tls *tls_of(struct transport *transport)
{
	return container_of(transport, struct tls, base);
}

/* [any] Hold the SSL object, for @side. False: somebody else does, and will tell: I1. */
static bool tls_enter(struct tls *tls, enum tls_way side)
{
	bool free;

	spin_lock(&tls->lock);
	free = !tls->held;
	tls->held = true;
	if (free)
		tls->target = tls->sending || buffer_level(&tls->fresh) ? &tls->fresh : &tls->out; /* I3 */
	else
		tls->missed |= (uint8_t)side;
	spin_unlock(&tls->lock);
	return free;
}

/* [may use both] out is empty: what is in fresh is next. Small memory is copied, larger changes hands. */
static void fresh_to_out(struct tls *tls)
{
	hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
	if (tls->fresh.data == tls->fresh_inline) {
		tls->out.tail = buffer_level(&tls->fresh);
		memcpy(tls->out.data, tls->fresh.data + tls->fresh.head, tls->out.tail);
	} else {
		tls->out = tls->fresh;
	}
	tls->fresh = (struct stream_buffer){.data = tls->fresh_inline, .size = TLS_FRESH_INLINE};
}

/* [holder, nobody sends] Say what there is to say, as far as that goes without waiting. */
static void flush_now(struct tls *tls)
{
	ssize_t n = 0;

	while (n >= 0 && (buffer_level(&tls->out) || buffer_level(&tls->fresh))) {
		if (!buffer_level(&tls->out))
			fresh_to_out(tls);
		n = tls->below->ops->send_now(tls->below, tls->out.data + tls->out.head,
					      buffer_level(&tls->out));
		if (n > 0)
			tls->out.head += (size_t)n;
	}
	if (!buffer_level(&tls->out))
		hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
}

/* [holder, nobody sends] What is in fresh is behind what is left in out. 0, -ENOMEM. */
static int fresh_join(struct tls *tls)
{
	size_t n = buffer_level(&tls->fresh);

	if (hilo__tls_reserve(&tls->out, tls->out_inline, n) < 0)
		return -ENOMEM;
	memcpy(tls->out.data + tls->out.tail, tls->fresh.data + tls->fresh.head, n);
	tls->out.tail += n;
	hilo__tls_reset(&tls->fresh, tls->fresh_inline, TLS_FRESH_INLINE);
	tls->target = &tls->out;
	return 0;
}

/* [holder; lock] There is something, and nobody who sends it. */
static bool has_more_to_say(const struct tls *tls)
{
	return !tls->sending && (buffer_level(&tls->out) || buffer_level(&tls->fresh));
}

/* [holder] OpenSSL is in the middle of a message, of which more may come: I7. */
static bool is_amid(const struct tls *tls)
{
	return HILO__UNLIKELY(SSL_in_init(tls->ssl)) && !tls->is_over;
}

/*
 * [holder] Let go of it; @sends: a send is under way from here on. Who has found it held is told: he is in an operation
 * of his own, which keeps all of this.
 */
static void tls_leave(struct tls *tls, bool sends)
{
	const struct transport_up *up;
	void *owner;
	unsigned missed;

	spin_lock(&tls->lock);
	tls->sending |= sends;
	if (HILO__UNLIKELY(has_more_to_say(tls))) {
		spin_unlock(&tls->lock);
		flush_now(tls);
		spin_lock(&tls->lock);
	}
	up = tls->base.up;
	owner = tls->base.owner;
	missed = tls->missed;
	tls->missed = 0;
	if (HILO__UNLIKELY(tls->awaits_read) && !is_amid(tls)) {
		tls->awaits_read = false;
		missed |= TLS_TX;
	}
	tls->held = false;
	spin_unlock(&tls->lock);
	if (HILO__UNLIKELY(missed & TLS_RX))
		up->received(owner, -EAGAIN, true);
	if (HILO__UNLIKELY(missed & TLS_TX))
		up->sent(owner, -EAGAIN);
}

int hilo__tls_broken(struct tls *tls, const char *why)
{
	char text[sizeof(tls->error)];
	int rc = tls->no_memory || ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ? -ENOMEM
											    : -EPROTO;

	tls->is_broken = true;
	hilo__tls_reason(text, sizeof(text));
	if (why || rc == -ENOMEM)
		(void)snprintf(text, sizeof(text), "%s", why ? why : hilo_strerror(rc));
	spin_lock(&tls->lock);
	if (!*tls->error)
		memcpy(tls->error, text, sizeof(text));
	spin_unlock(&tls->lock);
	return rc;
}

/* ---- Receiving ------------------------------------------------------------------------------------- */

/* [holder, reads] OpenSSL wants more than there is. */
static ssize_t read_starved(struct tls *tls)
{
	if (tls->in_error)
		return tls->in_error;
	return tls->in_end ? HILO_ETRUNCATED : -EAGAIN;
}

/* [holder, reads] SSL_read has failed with @rc: what reads end with, or -EAGAIN. */
static ssize_t read_failed(struct tls *tls, int rc)
{
	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return read_starved(tls);
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return hilo__tls_broken(tls, NULL);
	}
}

/* [holder, reads] Decrypt up to @size bytes. How many; 0: the end; -EAGAIN: more is needed; why not. */
static ssize_t tls_decrypt(struct tls *tls, char *data, size_t size)
{
	size_t have = 0, n;
	ssize_t over;
	int rc;

	if (tls->is_over)
		return tls->over;
	ERR_clear_error();
	while (have < size) {
		rc = SSL_read_ex(tls->ssl, data + have, size - have, &n);
		if (rc != 1)
			break;
		have += n;
	}
	if (have == size)
		return (ssize_t)have;
	over = read_failed(tls, rc);
	if (over == -EAGAIN && buffer_level(tls->target) > TLS_FRESH_MAX) {
		over = hilo__tls_broken(tls, "the other side asks again and again, and does not listen");
	}
	if (over != -EAGAIN) {
		tls->is_over = true;
		tls->over = (int)over;
	}
	return have ? (ssize_t)have : over;
}

/* [receives, nothing is in flight, in is empty] Room to receive into: larger after it was filled. */
static void in_prepare(struct tls *tls)
{
	struct stream_buffer *in = &tls->in;

	in->head = in->tail = 0;
	if (tls->in_filled && in->size < TLS_IN_MAX) {
		char *data = hilo__malloc(TLS_IN_MAX);

		if (!data)
			return; /* it goes in small pieces as well */
		hilo__tls_reset(in, tls->in_inline, TLS_INLINE);
		*in = (struct stream_buffer){.data = data, .size = TLS_IN_MAX};
	} else if (tls->in_small >= IN_SMALL) {
		hilo__tls_reset(in, tls->in_inline, TLS_INLINE);
	}
}

/* [receives] The one below has ended with @n. False: it is to be tried again. */
static bool in_account(struct tls *tls, ssize_t n, bool more)
{
	struct stream_buffer *in = &tls->in;

	if (n > 0) {
		in->tail += (size_t)n;
		tls->in_filled = in->tail == in->size;
		tls->in_later = !tls->in_filled && !more;
		if (n > TLS_INLINE)
			tls->in_small = 0;
		else if (tls->in_small < IN_SMALL)
			tls->in_small++;
	} else if (n == 0) {
		tls->in_end = true;
	} else if (n != -EAGAIN && n != -EINTR && n != -ECANCELED && n != -ENOMEM) {
		tls->in_error = (int)n;
	}
	return n != -ECANCELED && n != -ENOMEM;
}

static void set_receiving(struct tls *tls, bool receiving)
{
	spin_lock(&tls->lock);
	tls->receiving = receiving;
	spin_unlock(&tls->lock);
}

static bool tls_receive(struct transport *transport, void *data, size_t size, bool later, ssize_t *ret)
{
	struct tls *tls = tls_of(transport);

	(void)later; /* that is of what is decrypted */
	for (;;) {
		ssize_t n;

		if (!tls_enter(tls, TLS_RX))
			return false;
		*ret = tls_decrypt(tls, data, size);
		if (*ret == -EAGAIN)
			in_prepare(tls);
		tls_leave(tls, false);
		if (*ret != -EAGAIN)
			return true;
		set_receiving(tls, true);
		if (!tls->below->ops->receive(tls->below, tls->in.data, tls->in.size, tls->in_later, &n))
			return false;
		set_receiving(tls, false);
		if (!in_account(tls, n, false)) {
			*ret = n;
			return true;
		}
	}
}

static ssize_t tls_receive_now(struct transport *transport, void *data, size_t size)
{
	struct tls *tls = tls_of(transport);

	for (;;) {
		ssize_t n;

		/* Who holds it is about to let go of it, and nobody need be told: it is tried again. */
		for (unsigned round = 0; !tls_enter(tls, (enum tls_way)0); round++)
			spin_pause(round);
		n = tls_decrypt(tls, data, size);
		if (n == -EAGAIN)
			in_prepare(tls);
		tls_leave(tls, false);
		if (n != -EAGAIN)
			return n;
		n = tls->below->ops->receive_now(tls->below, tls->in.data, tls->in.size);
		if (n == -EAGAIN || !in_account(tls, n, false))
			return n;
	}
}

/* The receive below has completed: who reads is to decrypt it, or the next one who does. */
static void tls_received(void *owner, ssize_t n, bool more)
{
	struct tls *tls = owner;

	(void)in_account(tls, n, more);
	set_receiving(tls, false);
	tls->base.up->received(tls->base.owner, n == -ECANCELED ? n : -EAGAIN, more);
}

/* ---- Sending --------------------------------------------------------------------------------------- */

/* [holder, sends] Let go of it without having sent; who reads on tells: I7. Always false. */
static bool leave_word(struct tls *tls)
{
	spin_lock(&tls->lock);
	tls->awaits_read = true;
	spin_unlock(&tls->lock);
	tls_leave(tls, false);
	return false;
}

/* [holder, sends] Encrypt some of @size bytes. 0; -ENOMEM, -EPIPE, -EPROTO. */
static int tls_encrypt(struct tls *tls, const void *data, size_t size)
{
	size_t n = size < TLS_CHUNK ? size : TLS_CHUNK;

	if (tls->is_broken || tls->said_end || HILO__UNLIKELY(SSL_in_init(tls->ssl)))
		return -EPIPE;
	if (HILO__UNLIKELY(tls->target != &tls->out) && fresh_join(tls) < 0)
		return -ENOMEM;
	if (hilo__tls_reserve(&tls->out, tls->out_inline, n + (n / TLS_RECORD + 1) * TLS_OVERHEAD) < 0) {
		size_t room = tls->out.size - tls->out.tail;

		if (room <= TLS_OVERHEAD)
			return -ENOMEM;
		n = n < room - TLS_OVERHEAD ? n : room - TLS_OVERHEAD;
	}
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, data, n, &tls->taken) != 1) {
		tls->taken = 0;
		return hilo__tls_broken(tls, NULL);
	}
	return 0;
}

/* [sends] One more of out, below. True: it has completed, with *@n. Else who completes it goes on: I5. */
static bool out_send(struct tls *tls, ssize_t *n)
{
	bool done, stop;

	spin_lock(&tls->lock);
	stop = tls->stop_send;
	tls->flying = tls->starting = true;
	spin_unlock(&tls->lock);
	if (stop)
		*n = -ECANCELED;
	done = stop ||
	       tls->below->ops->send(tls->below, tls->out.data + tls->out.head, buffer_level(&tls->out), n);
	spin_lock(&tls->lock);
	if (!done && HILO__UNLIKELY(tls->stop_send && !tls->landed)) {
		spin_unlock(&tls->lock);
		tls->below->ops->stop(tls->below, false, true);
		spin_lock(&tls->lock);
	}
	tls->starting = false;
	if (!done && tls->landed) {
		done = true;
		*n = tls->landing;
	}
	tls->landed = false;
	tls->flying = !done;
	spin_unlock(&tls->lock);
	return done;
}

/* [sends, out is empty] What was said meanwhile is next; else it is over, and *@ret is what was taken. */
static bool out_is_over(struct tls *tls, ssize_t *ret)
{
	bool more;

	hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
	spin_lock(&tls->lock);
	more = !tls->held && buffer_level(&tls->fresh);
	if (more) {
		fresh_to_out(tls);
	} else {
		*ret = (ssize_t)tls->taken;
		tls->taken = 0;
		tls->sending = false; /* who holds it says the rest when he lets go */
	}
	spin_unlock(&tls->lock);
	return !more;
}

/* [sends] The one below has ended with @n: go on. True: all is sent, or it has failed, with *@ret. */
static bool out_go_on(struct tls *tls, ssize_t n, ssize_t *ret)
{
	for (;;) {
		if (n >= 0) {
			tls->out.head += (size_t)n;
		} else if (n != -EAGAIN && n != -EINTR) {
			*ret = n;
			if (n != -ECANCELED) /* I4: else it may be gone on with */
				hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
			spin_lock(&tls->lock);
			tls->sending = false;
			spin_unlock(&tls->lock);
			return true;
		}
		if (!buffer_level(&tls->out) && out_is_over(tls, ret))
			return true;
		if (!out_send(tls, &n))
			return false;
	}
}

static bool tls_send(struct transport *transport, const void *data, size_t size, ssize_t *ret)
{
	struct tls *tls = tls_of(transport);
	int rc = 0;

	if (!tls_enter(tls, TLS_TX))
		return false;
	if (!tls->taken && !tls->is_broken && is_amid(tls))
		return leave_word(tls);
	if (!tls->taken)
		rc = tls_encrypt(tls, data, size);
	tls_leave(tls, rc == 0);
	if (rc < 0) {
		*ret = rc;
		return true;
	}
	return out_go_on(tls, 0, ret);
}

/* The end, instead of a send: close_notify. Below the connection goes on, for what may still come. */
static bool tls_end(struct transport *transport, ssize_t *ret)
{
	struct tls *tls = tls_of(transport);

	if (!tls_enter(tls, TLS_TX))
		return false;
	if (!tls->said_end && !tls->is_broken && is_amid(tls))
		return leave_word(tls);
	if (!tls->said_end && !tls->is_broken) {
		ERR_clear_error();
		(void)SSL_shutdown(tls->ssl);
		tls->said_end = true;
	}
	tls_leave(tls, true);
	return out_go_on(tls, 0, ret);
}

/* For another one above: what that has to say besides goes with its next send. */
static ssize_t tls_send_now(struct transport *transport, const void *data, size_t size)
{
	(void)transport, (void)data, (void)size;
	return -EAGAIN;
}

static hilo_time tls_end_limit(const struct transport *transport)
{
	return container_of((struct transport *)(uintptr_t)transport, struct tls, base)->shutdown;
}

static void tls_sent(void *owner, ssize_t n)
{
	struct tls *tls = owner;
	bool landed;
	ssize_t ret;

	spin_lock(&tls->lock);
	landed = tls->starting;
	if (landed) {
		tls->landed = true;
		tls->landing = n;
	} else {
		tls->flying = false;
	}
	spin_unlock(&tls->lock);
	if (!landed && out_go_on(tls, n, &ret))
		tls->base.up->sent(tls->base.owner, ret);
}

/* ---- The end --------------------------------------------------------------------------------------- */

static void tls_stop(struct transport *transport, bool receive, bool send)
{
	struct tls *tls = tls_of(transport);
	bool waits;

	spin_lock(&tls->lock);
	receive = receive && tls->receiving;
	tls->stop_send |= send;
	waits = send && tls->awaits_read;
	if (waits)
		tls->awaits_read = false;
	send = send && tls->flying && !tls->starting; /* I5 */
	spin_unlock(&tls->lock);
	if (receive || send)
		tls->below->ops->stop(tls->below, receive, send);
	if (HILO__UNLIKELY(waits))
		tls->base.up->sent(tls->base.owner, -ECANCELED); /* nothing is below: I7 */
}

/*
 * What has come and is not read would make the kernel reset the connection, and the other side may lose what we have
 * sent last: the tickets that a server sends are such bytes.
 */
static void tls_close(struct transport *transport)
{
	struct tls *tls = tls_of(transport);
	int left = tls->said_end ? DRAIN_MOST : 0;

	while (left-- > 0 && tls->below->ops->receive_now(tls->below, tls->in.data, tls->in.size) > 0)
		;
	tls->below->ops->close(tls->below);
}

static void tls_free(struct transport *transport)
{
	struct tls *tls = tls_of(transport);

	if (tls->below->ops->free)
		tls->below->ops->free(tls->below);
	hilo__tls_free(tls);
}

static const struct transport_ops tls_transport_ops = {
	.name = "tls",
	.receive = tls_receive,
	.receive_now = tls_receive_now,
	.send = tls_send,
	.send_now = tls_send_now,
	.stop = tls_stop,
	.end = tls_end,
	.end_limit = tls_end_limit,
	.close = tls_close,
	.free = tls_free,
	.info = hilo__tls_info,
};

static const struct transport_up tls_up = {tls_received, tls_sent};

struct transport *hilo__tls_wrap(struct transport *below, const char *bytes, size_t n, void *arg)
{
	struct tls *tls = arg;

	if (hilo__tls_reserve(&tls->in, tls->in_inline, n) < 0)
		return NULL;
	memcpy(tls->in.data + tls->in.tail, bytes, n);
	tls->in.tail += n;
	tls->below = below;
	tls->base.ops = &tls_transport_ops;
	tls->base.fd = below->fd;
	tls->base.can_read = tls->base.can_write = tls->base.can_shut = true;
	below->up = &tls_up;
	below->owner = tls;
	return &tls->base;
}
