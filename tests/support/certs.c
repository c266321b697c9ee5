/* SPDX-License-Identifier: MIT */
/* certs.c - made with OpenSSL's own functions; keys of P-256, which take no time to make. */
#include "tests/support/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY (24L * 60 * 60)
#define SERVER_NAMES "DNS:localhost,DNS:server.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1"

struct certs test_certs;

static X509 *ca;
static EVP_PKEY *ca_key;
static hilo_tls_context *usual_client, *usual_server; /* without sessions: each handshake is a whole one */

/* What was written to @bio, as text of the caller's. */
static char *bio_text(BIO *bio)
{
	char *at, *text;
	long n = BIO_get_mem_data(bio, &at);

	text = calloc(1, (size_t)n + 1); /* it has no end of its own */
	memcpy(text, at, (size_t)n);
	BIO_free(bio);
	return text;
}

static char *key_text(EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	TASK_CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
						 passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
		   ==, 1);
	return bio_text(bio);
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	TASK_CHECK(extension, !=, NULL);
	TASK_CHECK(X509_add_ext(cert, extension, -1), ==, 1);
	X509_EXTENSION_free(extension);
}

/* A certificate of @key for @names, valid from @from for a year, signed by @issuer, or itself. */
static X509 *cert_new(EVP_PKEY *key, const char *common, const char *names, long from, X509 *issuer,
		      EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	TASK_CHECK(X509_set_version(cert, 2), ==, 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), from);
	X509_gmtime_adj(X509_getm_notAfter(cert), from < -300 * DAY ? -DAY : 365 * DAY);
	TASK_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1,
					      0),
		   ==, 1);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
	X509_set_pubkey(cert, key);
	extend(cert, NID_basic_constraints, names ? "CA:FALSE" : "critical,CA:TRUE");
	if (names && *names)
		extend(cert, NID_subject_alt_name, names);
	TASK_CHECK(X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()), >, 0);
	return cert;
}

static char *cert_text(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	TASK_CHECK(PEM_write_bio_X509(bio, cert), ==, 1);
	return bio_text(bio);
}

static void cert_make(struct cert *ret, const char *common, const char *names, long from, bool is_signed)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = cert_new(key, common, names, from, is_signed ? ca : NULL, is_signed ? ca_key : NULL);

	ret->cert = cert_text(cert);
	ret->key = key_text(key, NULL);
	if (ret == &test_certs.server)
		test_certs.sealed = key_text(key, "open sesame");
	X509_free(cert);
	EVP_PKEY_free(key);
}

void test_certs_begin(void)
{
	ca_key = EVP_EC_gen("P-256");
	ca = cert_new(ca_key, "test authority", NULL, -DAY, NULL, NULL);
	test_certs.ca.cert = cert_text(ca);
	test_certs.ca.key = key_text(ca_key, NULL);
	cert_make(&test_certs.server, "server", SERVER_NAMES, -DAY, true);
	cert_make(&test_certs.other, "other", "DNS:other.test", -DAY, true);
	cert_make(&test_certs.expired, "expired", SERVER_NAMES, -366 * DAY, true);
	cert_make(&test_certs.client, "client", "", -DAY, true);
	cert_make(&test_certs.stranger, "stranger", SERVER_NAMES, -DAY, false);
}

static void cert_end(struct cert *cert)
{
	free(cert->cert);
	free(cert->key);
}

void test_certs_end(void)
{
	if (!ca)
		return;
	hilo_tls_context_unref(usual_client);
	hilo_tls_context_unref(usual_server);
	cert_end(&test_certs.ca);
	cert_end(&test_certs.server);
	cert_end(&test_certs.other);
	cert_end(&test_certs.expired);
	cert_end(&test_certs.client);
	cert_end(&test_certs.stranger);
	free(test_certs.sealed);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

void test_certs_file(const char *text, char path[64])
{
	size_t size = strlen(text);
	int fd;

	(void)snprintf(path, 64, "/tmp/hilo-cert.XXXXXX");
	fd = mkstemp(path);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(write(fd, text, size), ==, size);
	TASK_CHECK(close(fd), ==, 0);
}

hilo_tls_context *test_tls_server(const hilo_tls_context_opts *given)
{
	hilo_tls_context_opts opts = given ? *given : (hilo_tls_context_opts){0};
	hilo_tls_context *context = NULL;

	opts.size = sizeof(opts);
	if (!opts.cert_pem) {
		opts.cert_pem = test_certs.server.cert;
		opts.key_pem = test_certs.server.key;
	}
	TASK_CHECK(hilo_tls_server_new(&opts, &context), ==, 0);
	return context;
}

hilo_tls_context *test_tls_client(const hilo_tls_context_opts *given)
{
	hilo_tls_context_opts opts = given ? *given : (hilo_tls_context_opts){0};
	hilo_tls_context *context = NULL;

	opts.size = sizeof(opts);
	if (!(opts.flags & HILO_TLS_INSECURE))
		opts.ca_pem = test_certs.ca.cert;
	TASK_CHECK(hilo_tls_client_new(&opts, &context), ==, 0);
	return context;
}

static int side_task(void *arg)
{
	struct tls_side *side = arg;
	hilo_tls_opts opts = {.size = sizeof(opts), .server_name = side->name};

	side->rc = hilo_stream_start_tls(side->stream, side->context, &opts,
					 side->deadline ? side->deadline : HILO_FOREVER);
	side->message[0] = '\0';
	if (side->rc < 0)
		(void)snprintf(side->message, sizeof(side->message), "%s", hilo_error_message());
	if (side->rc < 0 && side->hangs_up)
		(void)hilo_stream_abort(side->stream);
	return 0;
}

void test_tls_begin(struct tls_side *side)
{
	side->task = hilo_spawn(side_task, side);
	TASK_CHECK(side->task, !=, NULL);
}

int test_tls_end(struct tls_side *side)
{
	TASK_CHECK(hilo_join(side->task, HILO_FOREVER), ==, 0);
	return side->rc;
}

void test_tls_both(struct tls_side *client, struct tls_side *server)
{
	test_tls_begin(client);
	test_tls_begin(server);
	(void)test_tls_end(client);
	(void)test_tls_end(server);
}

void test_tls_pair(hilo_stream *client, hilo_stream *server)
{
	struct tls_side c = {.stream = client, .name = "server.test"}, s = {.stream = server};
	hilo_tls_context_opts whole = {.flags = HILO_TLS_NO_SESSIONS};

	if (!ca)
		test_certs_begin();
	if (!usual_client) {
		usual_client = test_tls_client(&whole);
		usual_server = test_tls_server(NULL);
	}
	c.context = usual_client;
	s.context = usual_server;
	test_tls_both(&c, &s);
	if (c.rc < 0 || s.rc < 0)
		fprintf(stderr, "client: %s; server: %s\n", c.message, s.message);
	TASK_CHECK(c.rc, ==, 0);
	TASK_CHECK(s.rc, ==, 0);
}
