/* SPDX-License-Identifier: MIT */
/* tls_info.c - what is known of a connection once its handshake is complete. It does not change, but for the error. */
#include <errno.h>
#include <stdio.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "io/tls_openssl_impl.h"

/* Consumes @bio: what was written to it, or why that was not possible. */
static int info_written(BIO *bio, bool ok, char *buf, size_t size)
{
	char *text = NULL;
	long n = ok ? BIO_get_mem_data(bio, &text) : -1;
	int rc = n < 0 ? -ENOMEM : snprintf(buf, size, "%.*s", (int)n, text);

	BIO_free(bio);
	return rc;
}

static int info_peer(const struct tls *tls, const char *key, char *buf, size_t size)
{
	BIO *bio;
	bool ok;

	if (!tls->peer)
		return -ENOENT;
	bio = BIO_new(BIO_s_mem());
	if (!bio)
		return -ENOMEM;
	if (strcmp(key, "peer_certificate") == 0)
		ok = PEM_write_bio_X509(bio, tls->peer) == 1;
	else
		ok = X509_NAME_print_ex(bio,
					strcmp(key, "peer_subject") == 0 ? X509_get_subject_name(tls->peer)
									 : X509_get_issuer_name(tls->peer),
					0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0;
	return info_written(bio, ok, buf, size);
}

static int info_error(struct tls *tls, char *buf, size_t size)
{
	int n;

	spin_lock(&tls->lock);
	n = *tls->error ? snprintf(buf, size, "%s", tls->error) : -ENOENT;
	spin_unlock(&tls->lock);
	return n;
}

int hilo__tls_info(struct transport *transport, const char *key, char *buf, size_t size)
{
	struct tls *tls = container_of(transport, struct tls, base);

	if (strcmp(key, "tls_version") == 0)
		return snprintf(buf, size, "%s", tls->version);
	if (strcmp(key, "cipher") == 0)
		return snprintf(buf, size, "%s", tls->cipher);
	if (strcmp(key, "alpn") == 0 && *tls->alpn)
		return snprintf(buf, size, "%s", (const char *)tls->alpn);
	if (strcmp(key, "server_name") == 0 && tls->server_name)
		return snprintf(buf, size, "%s", tls->server_name);
	if (strcmp(key, "session_reused") == 0)
		return snprintf(buf, size, "%d", tls->reused);
	if (strcmp(key, "peer_subject") == 0 || strcmp(key, "peer_issuer") == 0 ||
	    strcmp(key, "peer_certificate") == 0)
		return info_peer(tls, key, buf, size);
	if (strcmp(key, "tls_error") == 0)
		return info_error(tls, buf, size);
	return -ENOENT;
}
