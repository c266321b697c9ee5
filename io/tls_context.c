/* SPDX-License-Identifier: MIT */
/* tls_context.c - contexts: options, references, and what OpenSSL says when it fails. */
#include <errno.h>
#include <stdio.h>

#include "io/tls_openssl_impl.h"
#include "runtime/error_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"

#define CLIENT_FLAGS (HILO_TLS_INSECURE | HILO_TLS_ANY_NAME | HILO_TLS_NO_SESSIONS)
#define SERVER_FLAGS (HILO_TLS_ASK_CLIENTS | HILO_TLS_REQUIRE_CLIENTS | HILO_TLS_NO_SESSIONS)
#define DEFAULT_HANDSHAKE HILO_MINUTE
#define DEFAULT_SHUTDOWN (30 * HILO_SECOND)
#define DEFAULT_SESSIONS 256

_Static_assert(sizeof(hilo_tls_context_opts) == SIZED_END(hilo_tls_context_opts, shutdown),
	       "it ends with its last member");

int hilo_tls_available(void)
{
	return 1;
}

void hilo__tls_reason(char *buf, size_t size)
{
	unsigned long error = ERR_peek_error();
	const char *text = error && !ERR_SYSTEM_ERROR(error) ? ERR_reason_error_string(error) : NULL;

	if (error && ERR_SYSTEM_ERROR(error))
		text = hilo_strerror(-ERR_GET_REASON(error));
	if (text || !error)
		(void)snprintf(buf, size, "%s", text ? text : "no reason was given");
	else
		ERR_error_string_n(error, buf, size);
	ERR_clear_error();
}

int hilo__tls_fail(int code, const char *format, ...)
{
	char text[HILO_ERROR_MESSAGE_SIZE], reason[128];
	va_list args;

	hilo__tls_reason(reason, sizeof(reason));
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return hilo_fail(code, "%s: %s", text, reason);
}

static int version_of(int version)
{
	return version == HILO_TLS_1_3 ? TLS1_3_VERSION : version == HILO_TLS_1_2 ? TLS1_2_VERSION : -1;
}

static int check_versions(const hilo_tls_context_opts *opts, const char *call)
{
	if ((opts->min_version && version_of(opts->min_version) < 0) ||
	    (opts->max_version && version_of(opts->max_version) < 0))
		return hilo_fail(-EINVAL, "%s: versions %d to %d: HILO_TLS_1_2 and HILO_TLS_1_3 there are",
				 call, opts->min_version, opts->max_version);
	if (opts->max_version && opts->min_version > opts->max_version)
		return hilo_fail(-EINVAL, "%s: min_version %d is more than max_version %d", call,
				 opts->min_version, opts->max_version);
	return 0;
}

static int check_flags(const hilo_tls_context_opts *opts, bool is_server, const char *call)
{
	unsigned asks = HILO_TLS_ASK_CLIENTS | HILO_TLS_REQUIRE_CLIENTS;

	if (opts->flags & ~(unsigned)(is_server ? SERVER_FLAGS : CLIENT_FLAGS))
		return hilo_fail(-EINVAL, "%s: hilo_tls_context_opts.flags is %#x: one that %s have not",
				 call, opts->flags, is_server ? "servers" : "clients");
	if (!is_server && opts->choose)
		return hilo_fail(-EINVAL, "%s: choose is for servers", call);
	if (is_server && opts->flags & asks && !opts->ca_file && !opts->ca_folder && !opts->ca_pem)
		return hilo_fail(-EINVAL, "%s: clients are asked for certificates: by whom (ca_file ...)?",
				 call);
	return 0;
}

static int check_opts(const hilo_tls_context_opts *opts, bool is_server, const char *call)
{
	bool has_cert = opts->cert_file || opts->cert_pem;
	int rc = check_flags(opts, is_server, call);

	if (rc == 0)
		rc = check_versions(opts, call);
	if (rc < 0)
		return rc;
	if ((opts->cert_file && opts->cert_pem) || (opts->key_file && opts->key_pem))
		return hilo_fail(-EINVAL, "%s: %s as a file and as text", call,
				 opts->cert_pem ? "a certificate" : "a key");
	if (!has_cert && (is_server || opts->key_file || opts->key_pem))
		return hilo_fail(-EINVAL, "%s: there is no certificate (cert_file, cert_pem)", call);
	if (opts->passphrase && opts->ask)
		return hilo_fail(-EINVAL, "%s: a passphrase, and somebody to ask for it", call);
	if (opts->n_alpn && !opts->alpn)
		return hilo_fail(-EINVAL, "%s: alpn is NULL, n_alpn is %zu", call, opts->n_alpn);
	if (opts->handshake < 0 || opts->shutdown < 0)
		return hilo_fail(-EINVAL, "%s: a negative handshake or shutdown", call);
	return 0;
}

/* As it is on the wire: a byte that tells the length before each name. */
static int read_alpn(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call)
{
	size_t size = 0;

	for (size_t i = 0; i < opts->n_alpn; i++) {
		size_t n = opts->alpn[i] ? strlen(opts->alpn[i]) : 0;

		if (!n || n > 255)
			return hilo_fail(-EINVAL, "%s: alpn[%zu] has %zu bytes, not 1 to 255", call, i, n);
		size += n + 1;
	}
	if (size > 65535)
		return hilo_fail(-EINVAL, "%s: the names of alpn have %zu bytes, more than 65535", call,
				 size);
	context->alpn = size ? hilo__malloc(size) : NULL;
	if (size && !context->alpn)
		return hilo__error_own(-ENOMEM);
	for (size_t i = 0; i < opts->n_alpn; i++) {
		size_t n = strlen(opts->alpn[i]);

		context->alpn[context->alpn_size] = (unsigned char)n;
		memcpy(context->alpn + context->alpn_size + 1, opts->alpn[i], n);
		context->alpn_size += n + 1;
	}
	return 0;
}

static int read_ciphers(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call)
{
	if (opts->ciphers && !SSL_CTX_set_cipher_list(context->ssl, opts->ciphers))
		return hilo__tls_fail(-EINVAL, "%s: ciphers %s", call, opts->ciphers);
	if (!opts->ciphersuites)
		return 0;
	if (!SSL_CTX_set_ciphersuites(context->ssl, opts->ciphersuites))
		return hilo__tls_fail(-EINVAL, "%s: ciphersuites %s", call, opts->ciphersuites);
	context->ciphersuites = hilo__strdup(opts->ciphersuites);
	return context->ciphersuites ? 0 : hilo__error_own(-ENOMEM);
}

static void context_free(struct tls_context *context)
{
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->method);
	hilo__tls_sessions_free(context->sessions);
	hilo__free(context->alpn);
	hilo__free(context->ciphersuites);
	hilo__free(context);
}

/* Fill in @context, which is zero but for its base. */
static int context_make(struct tls_context *context, const hilo_tls_context_opts *opts, const char *call)
{
	bool is_server = context->base.is_server;
	int min = opts->min_version ? version_of(opts->min_version) : TLS1_2_VERSION;
	int max = opts->max_version ? version_of(opts->max_version) : 0, rc;

	ERR_clear_error();
	context->flags = opts->flags;
	context->handshake = opts->handshake ? opts->handshake : DEFAULT_HANDSHAKE;
	context->shutdown = opts->shutdown ? opts->shutdown : DEFAULT_SHUTDOWN;
	context->choose = opts->choose;
	context->arg = opts->arg;
	context->method = hilo__tls_method_new();
	context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	if (!is_server && !(opts->flags & HILO_TLS_NO_SESSIONS))
		context->sessions =
			hilo__tls_sessions_new(opts->sessions ? opts->sessions : DEFAULT_SESSIONS);
	if (!context->method || !context->ssl ||
	    (!is_server && !(opts->flags & HILO_TLS_NO_SESSIONS) && !context->sessions))
		return hilo__error_own(-ENOMEM);
	if (!SSL_CTX_set_min_proto_version(context->ssl, min) ||
	    !SSL_CTX_set_max_proto_version(context->ssl, max))
		return hilo__tls_fail(-EINVAL, "%s: the versions are not to be had", call);
	rc = read_alpn(context, opts, call);
	if (rc == 0)
		rc = read_ciphers(context, opts, call);
	if (rc == 0)
		rc = hilo__tls_load(context, opts, call);
	if (rc == 0 && hilo__tls_prepare(context) < 0)
		rc = hilo__error_own(-ENOMEM);
	context->passphrase = NULL;
	context->ask = NULL;
	return rc;
}

static int context_new(const char *call, const hilo_tls_context_opts *given, bool is_server,
		       hilo_tls_context **ret)
{
	hilo_tls_context_opts opts = {.size = sizeof(opts)};
	struct tls_context *context;
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "%s: ret is NULL", call);
	rc = given ? SIZED_IN(hilo_tls_context_opts, &opts, given, shutdown) : 0;
	if (rc == 0)
		rc = check_opts(&opts, is_server, call);
	if (rc < 0)
		return rc;
	context = hilo__calloc(1, sizeof(*context));
	if (!context)
		return hilo__error_own(-ENOMEM);
	context->base.ops = &hilo__tls_ops;
	context->base.is_server = is_server;
	context->refs = 1;
	spin_init(&context->lock);
	rc = context_make(context, &opts, call);
	if (rc < 0)
		context_free(context);
	else
		*ret = &context->base;
	return rc;
}

int hilo_tls_client_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret)
{
	return context_new("hilo_tls_client_new", opts, false, ret);
}

int hilo_tls_server_new(const hilo_tls_context_opts *opts, hilo_tls_context **ret)
{
	return context_new("hilo_tls_server_new", opts, true, ret);
}

static void context_ref(hilo_tls_context *public)
{
	struct tls_context *context = context_of(public);

	spin_lock(&context->lock);
	context->refs++;
	spin_unlock(&context->lock);
}

static void context_unref(hilo_tls_context *public)
{
	struct tls_context *context = context_of(public);
	bool last;

	spin_lock(&context->lock);
	last = --context->refs == 0;
	spin_unlock(&context->lock);
	if (last)
		context_free(context);
}

const struct tls_ops hilo__tls_ops = {
	.start = hilo__tls_start,
	.ref = context_ref,
	.unref = context_unref,
};

hilo_tls_context *hilo_tls_context_ref(hilo_tls_context *context)
{
	if (context)
		context_ref(context);
	return context;
}

void hilo_tls_context_unref(hilo_tls_context *context)
{
	if (context)
		context_unref(context);
}
