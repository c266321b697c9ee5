/* SPDX-License-Identifier: MIT */
/*
 * tls_start.c - handshakes. Whoever asks for one makes it himself, in his own task, with the stream's reads and writes:
 * so it is as parallel as tasks are, ends as they do, and has their stack. Only when it is complete the stream is given
 * its new transport.
 */
#include <errno.h>
#include <stdio.h>

#include "io/tls_openssl_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"

/* What the other side is told when a handshake fails may take this long. */
#define ALERT_LIMIT HILO_SECOND

_Static_assert(sizeof(hilo_tls_opts) == SIZED_END(hilo_tls_opts, shutdown), "it ends with its last member");

struct handshake {
	const char *call;
	struct tls *tls;
	struct stream_reader reader;
	hilo_time limit;    /* of its own, for the message */
	hilo_time deadline; /* the earlier one */
	bool is_own;	    /* that is the limit's */
};

/* [has seized the stream] Send what OpenSSL has to say. */
static int handshake_send(struct handshake *self, hilo_time deadline)
{
	struct tls *tls = self->tls;
	size_t n = buffer_level(&tls->out);
	int rc = n ? hilo__stream_add(self->reader.stream, tls->out.data + tls->out.head, n, deadline) : 0;

	hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
	return rc;
}

/* [the same] Wait for more, and take as much as there is room for. 0; HILO_EINCOMPLETE: it has hung up. */
static int handshake_receive(struct handshake *self)
{
	struct tls *tls = self->tls;
	hilo_stream *stream = self->reader.stream;
	ssize_t n;

	spin_lock(&stream->lock);
	n = hilo__stream_fill(&self->reader, 0, 1, self->deadline);
	if (n > TLS_INLINE)
		n = TLS_INLINE;
	if (n > 0) {
		memcpy(tls->in_inline, stream_bytes(&self->reader), (size_t)n);
		hilo__stream_take(&self->reader, (size_t)n);
		tls->in.head = 0;
		tls->in.tail = (size_t)n;
	}
	spin_unlock(&stream->lock);
	return n > 0 ? 0 : n == 0 ? HILO_EINCOMPLETE : (int)n;
}

/* Why OpenSSL does not go on. */
static HILO__COLD int handshake_refused(struct handshake *self)
{
	struct tls *tls = self->tls;
	bool is_server = tls->context->base.is_server;
	long verified = SSL_get_verify_result(tls->ssl);
	const char *who = is_server ? "the client" : tls->server_name ? tls->server_name : "the server";
	bool has_none = ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
	int rc = hilo__tls_broken(tls, NULL);

	if (rc == -ENOMEM)
		return hilo__error_own(rc);
	if (has_none)
		return hilo_fail(-EKEYREJECTED, "%s: the client has no certificate", self->call);
	if (verified != X509_V_OK && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE)
		return hilo_fail(-EKEYREJECTED, "%s: the certificate of %s is not accepted: %s", self->call,
				 who, X509_verify_cert_error_string(verified));
	return hilo_fail(rc, "%s: the handshake with %s has failed: %s", self->call, who, tls->error);
}

/* It has ended with @rc before it was complete. */
static HILO__COLD int handshake_ended(struct handshake *self, int rc)
{
	if (rc == HILO_EINCOMPLETE || rc == -EPIPE)
		return hilo_fail(-ECONNRESET, "%s: the other side has hung up during the handshake",
				 self->call);
	if (rc == -ETIMEDOUT && self->is_own)
		return hilo_fail(rc, "%s: the handshake takes longer than %.3f s", self->call,
				 (double)self->limit / (double)HILO_SECOND);
	if (rc == -ETIMEDOUT || rc == -ECONNRESET)
		return hilo_fail(rc, "%s: %s, during the handshake", self->call, hilo_strerror(rc));
	return hilo__error_own(rc);
}

/* [has seized the stream; suspends] Tell the other side that it is refused, if that can be sent soon. */
static HILO__COLD void handshake_alert(struct handshake *self)
{
	hilo_time limit = hilo_after(ALERT_LIMIT);

	if (handshake_send(self, self->deadline) == 0)
		(void)hilo__stream_wait(self->reader.stream, STREAM_WAIT_EMPTY,
					limit < self->deadline ? limit : self->deadline);
}

/* [has seized the stream; suspends] 0, or why not, with a message. */
static int handshake_make(struct handshake *self)
{
	SSL *ssl = self->tls->ssl;

	for (;;) {
		int done, error, rc;

		ERR_clear_error();
		done = SSL_do_handshake(ssl);
		error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, done);
		if (done != 1 && error != SSL_ERROR_WANT_READ) {
			rc = handshake_refused(self);
			handshake_alert(self);
			return rc;
		}
		rc = handshake_send(self, self->deadline);
		if (rc == 0 && done == 1)
			return 0;
		if (rc == 0)
			rc = handshake_receive(self);
		if (rc < 0)
			return handshake_ended(self, rc);
	}
}

/* [has seized the stream; suspends] 0: the stream is encrypted, and has the struct tls. */
static int start_seized(struct handshake *self)
{
	int rc = handshake_make(self);

	if (rc < 0)
		return rc;
	hilo__tls_look(self->tls);
	rc = hilo__stream_exchange(&self->reader, hilo__tls_wrap, self->tls, self->deadline);
	return rc < 0 ? handshake_ended(self, rc) : 0;
}

static int opts_read(hilo_tls_opts *opts, const hilo_tls_opts *given, struct tls_context *context,
		     const char *call)
{
	int rc;

	opts->size = sizeof(*opts);
	rc = given ? SIZED_IN(hilo_tls_opts, opts, given, shutdown) : 0;
	if (rc < 0)
		return rc;
	if (opts->handshake < 0 || opts->shutdown < 0)
		return hilo_fail(-EINVAL, "%s: a negative handshake or shutdown", call);
	opts->handshake = opts->handshake ? opts->handshake : context->handshake;
	opts->shutdown = opts->shutdown ? opts->shutdown : context->shutdown;
	return 0;
}

/* The failure that was told stays the last one, whatever the end of the stream says. */
static void start_failed(hilo_stream *stream, struct tls *tls)
{
	(void)hilo_stream_abort(stream);
	hilo__tls_free(tls);
}

int hilo__tls_start(hilo_stream *stream, hilo_tls_context *public, const hilo_tls_opts *given,
		    const char *call, hilo_time deadline)
{
	struct handshake self = {.call = call};
	hilo_tls_opts opts = {0};
	int rc = opts_read(&opts, given, context_of(public), call);

	if (rc == 0)
		rc = hilo__tls_new(context_of(public), opts.server_name, call, &self.tls);
	if (rc < 0)
		return rc;
	self.tls->shutdown = opts.shutdown;
	self.limit = opts.handshake;
	self.deadline = hilo_after(opts.handshake);
	self.is_own = self.deadline < deadline;
	if (!self.is_own)
		self.deadline = deadline;
	rc = hilo__stream_seize(&self.reader, stream, call, deadline);
	if (rc < 0) {
		hilo__tls_free(self.tls);
		return rc;
	}
	rc = start_seized(&self);
	if (rc < 0)
		start_failed(stream, self.tls);
	hilo__stream_let_go(&self.reader);
	return rc;
}

int hilo_stream_start_tls(hilo_stream *stream, hilo_tls_context *context, const hilo_tls_opts *opts,
			  hilo_time deadline)
{
	static const char call[] = "hilo_stream_start_tls";
	int rc = hilo__stream_enter(stream, call);

	if (rc < 0)
		return rc;
	if (!context)
		return hilo_fail(-EINVAL, "%s: context is NULL", call);
	return hilo__tls_start(stream, context, opts, call, deadline);
}
