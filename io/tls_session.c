/* SPDX-License-Identifier: MIT */
/*
 * tls_session.c - one connection as OpenSSL sees it: names, certificates, protocols, sessions.
 *
 * A server finds out for whom a client asks before anything else of its hello is looked at: so the context that is
 * chosen decides on versions and sessions too, and a session that was begun with one context, which may ask for no
 * certificate, is not gone on with in another.
 *
 * A client that is asked for another key says hello twice. The first one has decided; the second may not ask for
 * somebody else.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "io/tls_openssl_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"

#define NAME_MAX_SIZE 256

/* The name that is asked for, of @size bytes at @at, in lower case into @name; false: it is none. */
static bool hello_read_name(const unsigned char *at, size_t size, char name[NAME_MAX_SIZE])
{
	size_t n;

	/* A list of @size - 2 bytes, its first entry: type 0, length, name. */
	if (size < 5 || at[2] != 0)
		return false;
	n = (size_t)at[3] << 8 | at[4];
	if (n == 0 || n >= NAME_MAX_SIZE || n > size - 5 || memchr(at + 5, '\0', n))
		return false;
	for (size_t i = 0; i < n; i++)
		name[i] = (char)tolower(at[5 + i]);
	name[n] = '\0';
	return true;
}

/* Serve this connection with @context. */
static int serve_with(struct tls *tls, struct tls_context *context)
{
	SSL *ssl = tls->ssl;

	if (!SSL_set_SSL_CTX(ssl, context->ssl) ||
	    !SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(context->ssl)) ||
	    !SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(context->ssl)) ||
	    (context->ciphersuites && !SSL_set_ciphersuites(ssl, context->ciphersuites)))
		return -ENOMEM;
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context->ssl), NULL);
	(void)SSL_clear_options(ssl, SSL_OP_NO_TICKET);
	(void)SSL_set_options(ssl, SSL_CTX_get_options(context->ssl));
	(void)SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(context->ssl));
	(void)hilo_tls_context_ref(&context->base);
	tls->chosen = context;
	return 0;
}

/* A second hello, which asks for @name. */
static int hello_again(const struct tls *tls, const char *name, int *alert)
{
	if (strcmp(name, tls->server_name ? tls->server_name : "") == 0)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_ILLEGAL_PARAMETER;
	return SSL_CLIENT_HELLO_ERROR;
}

static int hello_no_memory(struct tls *tls, int *alert)
{
	tls->no_memory = true;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

/* As SSL_client_hello_cb_fn. For a second hello @arg may be the context that was chosen. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_context *context = arg;
	struct tls *tls = SSL_get_app_data(ssl);
	hilo_tls_context *chosen = NULL;
	char name[NAME_MAX_SIZE] = "";
	const unsigned char *at;
	size_t size;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at, &size) &&
	    !hello_read_name(at, size, name)) {
		*alert = SSL_AD_DECODE_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	if (tls->said_hello)
		return hello_again(tls, name, alert);
	tls->said_hello = true;
	if (*name && !(tls->server_name = hilo__strdup(name)))
		return hello_no_memory(tls, alert);
	if (!context->choose)
		return SSL_CLIENT_HELLO_SUCCESS;
	if (context->choose(tls->server_name, &chosen, context->arg) < 0 || (chosen && !chosen->is_server)) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_CLIENT_HELLO_ERROR;
	}
	if (chosen && chosen != &context->base && serve_with(tls, context_of(chosen)) < 0)
		return hello_no_memory(tls, alert);
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* As SSL_CTX_alpn_select_cb_func: the first of ours that the client has. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
		   unsigned in_size, void *arg)
{
	struct tls_context *context = arg;
	int rc = SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_size, context->alpn,
				       (unsigned)context->alpn_size, in, in_size);

	(void)ssl;
	return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A server has given us a session: 1, its reference is ours. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);

	if (!tls->context->sessions || !tls->server_name)
		return 0;
	hilo__tls_sessions_put(tls->context->sessions, tls->server_name, session);
	return 1;
}

static int prepare_server(struct tls_context *context)
{
	unsigned char id[16];
	int mode = SSL_VERIFY_NONE;

	/* Sessions are in tickets; they are good for this context alone. */
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	if (RAND_bytes(id, sizeof(id)) != 1 || !SSL_CTX_set_session_id_context(context->ssl, id, sizeof(id)))
		return -ENOMEM;
	if (context->flags & HILO_TLS_NO_SESSIONS) {
		(void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
		(void)SSL_CTX_set_num_tickets(context->ssl, 0);
	}
	if (context->flags & (HILO_TLS_ASK_CLIENTS | HILO_TLS_REQUIRE_CLIENTS))
		mode = SSL_VERIFY_PEER;
	if (context->flags & HILO_TLS_REQUIRE_CLIENTS)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(context->ssl, mode, NULL);
	SSL_CTX_set_client_hello_cb(context->ssl, on_hello, context);
	if (context->alpn)
		SSL_CTX_set_alpn_select_cb(context->ssl, on_alpn, context);
	return 0;
}

static int prepare_client(struct tls_context *context)
{
	bool secure = !(context->flags & HILO_TLS_INSECURE);

	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context->ssl, on_session);
	SSL_CTX_set_verify(context->ssl, secure ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (context->alpn &&
	    SSL_CTX_set_alpn_protos(context->ssl, context->alpn, (unsigned)context->alpn_size) != 0)
		return -ENOMEM;
	return 0;
}

int hilo__tls_prepare(struct tls_context *context)
{
	(void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
							SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_mode(context->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
						     SSL_MODE_AUTO_RETRY);
	return context->base.is_server ? prepare_server(context) : prepare_client(context);
}

/* @name without the zone of an address, the brackets, the dot at its end: true, and it is an address. */
static bool name_read(const char *given, char name[NAME_MAX_SIZE])
{
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t n = strlen(given);

	if (n >= 2 && given[0] == '[' && given[n - 1] == ']') {
		memcpy(name, given + 1, n - 2);
		name[n - 2] = '\0';
	} else {
		memcpy(name, given, n + 1);
	}
	if (strchr(name, ':'))
		name[strcspn(name, "%")] = '\0';
	if (inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1)
		return true;
	n = strlen(name);
	if (n > 1 && name[n - 1] == '.')
		name[n - 1] = '\0';
	for (char *at = name; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return false;
}

/* Whom the client expects, and a session of before. */
static int client_expect(struct tls *tls, const char *given, const char *call)
{
	struct tls_context *context = tls->context;
	bool checked = !(context->flags & (HILO_TLS_INSECURE | HILO_TLS_ANY_NAME)), is_address;
	char name[NAME_MAX_SIZE];
	SSL_SESSION *session;

	if (!given || !*given)
		return !checked
			       ? 0
			       : hilo_fail(-EINVAL, "%s: whose certificate is it to be? (server_name)", call);
	if (strlen(given) >= NAME_MAX_SIZE)
		return hilo_fail(-EINVAL, "%s: server_name has %zu bytes", call, strlen(given));
	is_address = name_read(given, name);
	tls->server_name = hilo__strdup(name);
	if (!tls->server_name)
		return hilo__error_own(-ENOMEM);
	if (is_address ? checked && !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), name)
		       : !SSL_set_tlsext_host_name(tls->ssl, name) ||
				 (checked && !SSL_set1_host(tls->ssl, name)))
		return hilo__tls_fail(-EINVAL, "%s: server_name %s", call, given);
	SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	session = context->sessions ? hilo__tls_sessions_take(context->sessions, name) : NULL;
	if (session) {
		(void)SSL_set_session(tls->ssl, session); /* else it is a whole handshake */
		SSL_SESSION_free(session);
	}
	return 0;
}

/* Without the name. */
static int tls_make(struct tls *tls)
{
	BIO *bio;

	tls->in = (struct stream_buffer){.data = tls->in_inline, .size = TLS_INLINE};
	tls->out = (struct stream_buffer){.data = tls->out_inline, .size = TLS_INLINE};
	tls->fresh = (struct stream_buffer){.data = tls->fresh_inline, .size = TLS_FRESH_INLINE};
	tls->target = &tls->out;
	spin_init(&tls->lock);
	tls->ssl = SSL_new(tls->context->ssl);
	bio = tls->ssl ? hilo__tls_bio_new(tls) : NULL;
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(tls->ssl, bio, bio);
	if (!SSL_set_app_data(tls->ssl, tls))
		return -ENOMEM;
	if (tls->context->base.is_server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return 0;
}

int hilo__tls_new(struct tls_context *context, const char *server_name, const char *call, struct tls **ret)
{
	struct tls *tls = hilo__calloc(1, sizeof(*tls));
	int rc;

	if (!tls)
		return hilo__error_own(-ENOMEM);
	ERR_clear_error();
	tls->context = context_of(hilo_tls_context_ref(&context->base));
	rc = tls_make(tls) < 0 ? hilo__error_own(-ENOMEM) : 0;
	if (rc == 0 && !context->base.is_server)
		rc = client_expect(tls, server_name, call);
	if (rc < 0)
		hilo__tls_free(tls);
	else
		*ret = tls;
	return rc;
}

void hilo__tls_free(struct tls *tls)
{
	if (tls->ssl) {
		/* Its session stays good, however the connection has ended. */
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(tls->ssl);
	}
	X509_free(tls->peer);
	if (tls->chosen)
		hilo_tls_context_unref(&tls->chosen->base);
	hilo_tls_context_unref(&tls->context->base);
	hilo__tls_reset(&tls->in, tls->in_inline, TLS_INLINE);
	hilo__tls_reset(&tls->out, tls->out_inline, TLS_INLINE);
	hilo__tls_reset(&tls->fresh, tls->fresh_inline, TLS_FRESH_INLINE);
	hilo__free(tls->server_name);
	hilo__free(tls);
}

void hilo__tls_look(struct tls *tls)
{
	const unsigned char *alpn;
	unsigned size;

	tls->version = SSL_get_version(tls->ssl);
	tls->cipher = SSL_get_cipher_name(tls->ssl);
	tls->reused = SSL_session_reused(tls->ssl) == 1;
	tls->peer = SSL_get1_peer_certificate(tls->ssl);
	SSL_get0_alpn_selected(tls->ssl, &alpn, &size);
	if (size)
		memcpy(tls->alpn, alpn, size < sizeof(tls->alpn) ? size : sizeof(tls->alpn) - 1);
}
