/* SPDX-License-Identifier: MIT */
/*
 * tls.c - handshakes, and bytes that are encrypted, over connections in memory, so that the kernel takes no part; and a
 * server for load from outside. The certificate is signed by itself, with a key of P-256, as the clients know.
 */
#include "harness.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

#define PAIRS 8 /* handshakes at a time */
#define BLOCK ((size_t)64 * 1024)
#define MIB ((size_t)1024 * 1024)

static char *bio_text(BIO *bio)
{
	char *at = NULL;
	long n = BIO_get_mem_data(bio, &at);
	char *text = bench_alloc(1, (size_t)n + 1); /* it has no end of its own */

	memcpy(text, at, (size_t)n);
	BIO_free(bio);
	return text;
}

/* A certificate for "localhost" and its key, as text. */
static void certificate(char **cert_text, char **key_text)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	BIO *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());

	(void)X509_set_version(cert, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(cert), 24 * 60 * 60);
	(void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
					 0);
	(void)X509_set_issuer_name(cert, name);
	(void)X509_set_pubkey(cert, key);
	if (!X509_sign(cert, key, EVP_sha256()) || !PEM_write_bio_X509(out, cert) ||
	    !PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL))
		bench_die("no certificate could be made");
	*cert_text = bio_text(out);
	*key_text = bio_text(key_out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Contexts of both sides; @sessions: the client goes on with those it knows. */
struct sides {
	hilo_tls_context *client, *server;
};

static void sides_make(struct sides *sides, int sessions)
{
	hilo_tls_context_opts server = {.size = sizeof(server)}, client = {.size = sizeof(client)};
	char *cert, *key;

	certificate(&cert, &key);
	server.cert_pem = cert;
	server.key_pem = key;
	client.ca_pem = cert;
	client.flags = sessions ? 0 : HILO_TLS_NO_SESSIONS;
	if (hilo_tls_server_new(&server, &sides->server) < 0 ||
	    hilo_tls_client_new(&client, &sides->client) < 0)
		bench_die("%s", hilo_error_message());
	free(cert);
	free(key);
}

static void sides_end(struct sides *sides)
{
	hilo_tls_context_unref(sides->client);
	hilo_tls_context_unref(sides->server);
}

/* One side of a handshake, made in a task. */
struct side {
	hilo_stream *stream;
	hilo_tls_context *context;
};

static int shake(void *arg)
{
	struct side *side = arg;
	hilo_tls_opts opts = {.size = sizeof(opts), .server_name = "localhost"};
	int rc = hilo_stream_start_tls(side->stream, side->context, &opts, HILO_FOREVER);

	if (rc < 0)
		bench_die("%s", hilo_error_message());
	return rc;
}

/* Two connected streams, encrypted. */
static void connect_both(const struct sides *sides, hilo_stream *pair[2])
{
	struct side server = {NULL, sides->server}, client = {NULL, sides->client};
	hilo_task *task;

	if (hilo_stream_pair(0, NULL, pair) < 0)
		bench_die("%s", hilo_error_message());
	server.stream = pair[0];
	client.stream = pair[1];
	task = hilo_spawn(shake, &server);
	(void)shake(&client);
	bench_join(task, 0);
}

struct job {
	struct sides sides;
	long n;
	uint64_t resumed; /* counted with relaxed additions */
};

static int handshakes(void *arg)
{
	struct job *job = arg;

	for (long i = 0; i < job->n; i++) {
		hilo_stream *pair[2];
		char reused[2] = "", byte = 'x';

		connect_both(&job->sides, pair);
		(void)hilo_stream_info(pair[1], "session_reused", reused, sizeof(reused));
		__atomic_add_fetch(&job->resumed, *reused == '1', __ATOMIC_RELAXED);
		/* Behind the tickets. */
		(void)hilo_stream_write(pair[0], &byte, 1, HILO_FOREVER);
		(void)hilo_stream_read(pair[1], &byte, 1, HILO_FOREVER);
		hilo_stream_free(pair[0]);
		hilo_stream_free(pair[1]);
	}
	return 0;
}

static uint64_t handshakes_run(int sessions, long n)
{
	struct job job = {.n = n / PAIRS + 1};
	hilo_task *task[PAIRS];

	sides_make(&job.sides, sessions);
	for (int i = 0; i < PAIRS; i++)
		task[i] = hilo_spawn(handshakes, &job);
	for (int i = 0; i < PAIRS; i++)
		bench_join(task[i], 0);
	sides_end(&job.sides);
	return job.resumed;
}

static uint64_t whole(struct bench *b, long n)
{
	(void)b;
	return handshakes_run(0, n);
}

static uint64_t resumed(struct bench *b, long n)
{
	(void)b;
	return handshakes_run(1, n) > 0;
}

void bench_tls_handshakes(struct bench *b)
{
	bench_tasks(b, whole, b->n / 10, (uint64_t)(b->n / PAIRS + 1) * PAIRS);
}

void bench_tls_resumed(struct bench *b)
{
	bench_tasks(b, resumed, b->n / 10, (uint64_t)(b->n / PAIRS + 1) * PAIRS);
}

struct writer {
	hilo_stream *stream;
	long n; /* MiB */
};

static int write_all(void *arg)
{
	struct writer *writer = arg;
	char *block = bench_alloc(1, BLOCK);
	size_t left = (size_t)writer->n * MIB;
	ssize_t n = 0;

	memset(block, 'x', BLOCK);
	for (; left && n >= 0; left -= BLOCK)
		n = hilo_stream_write(writer->stream, block, BLOCK, HILO_FOREVER);
	free(block);
	return n < 0 ? (int)n : hilo_stream_write_eof(writer->stream);
}

/* Bytes that have come, in MiB. */
static uint64_t bytes(struct bench *b, long n)
{
	char *block = bench_alloc(1, BLOCK);
	struct writer writer = {.n = n};
	struct sides sides;
	hilo_stream *pair[2];
	hilo_task *task;
	uint64_t total = 0;
	ssize_t got;

	(void)b;
	sides_make(&sides, 0);
	connect_both(&sides, pair);
	writer.stream = pair[0];
	task = hilo_spawn(write_all, &writer);
	while ((got = hilo_stream_read(pair[1], block, BLOCK, HILO_FOREVER)) > 0)
		total += (uint64_t)got;
	bench_join(task, 0);
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
	sides_end(&sides);
	free(block);
	return total / MIB;
}

void bench_tls_bytes(struct bench *b)
{
	bench_tasks(b, bytes, b->n / 10 + 1, (uint64_t)b->n);
}

void bench_https(struct bench *b)
{
	struct sides sides;

	sides_make(&sides, 0);
	b->tls = sides.server;
	bench_serve(b);
}
