/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_CERTS_H
#define TESTS_SUPPORT_CERTS_H

/*
 * certs.h - certificates for tests of TLS, made when the tests begin: nothing that expires lies in the tree. And
 * contexts that use them.
 */
#include "tests/support/test.h"

#include <hilo/io/tls.h>

/* A certificate and its key, as PEM. */
struct cert {
	char *cert, *key;
};

/* All are signed by `ca`, but for itself and `stranger`, which are signed by themselves. */
struct certs {
	struct cert ca;
	struct cert server;   /* localhost, server.test, *.wild.test, 127.0.0.1, ::1 */
	struct cert other;    /* other.test */
	struct cert expired;  /* the names of server, a day ago */
	struct cert client;   /* CN=client */
	struct cert stranger; /* the names of server */
	char *sealed;	      /* the key of server, under the passphrase "open sesame" */
};

extern struct certs test_certs;

/* [test] Once, first in main; and last. */
void test_certs_begin(void);
void test_certs_end(void);

/* [test] Write @text to a new file, whose name is in @path from then on; the test unlinks it. */
void test_certs_file(const char *text, char path[64]);

/* [any] Contexts of the usual kind: a server with `server`, a client that trusts `ca`. @opts may be NULL. */
hilo_tls_context *test_tls_server(const hilo_tls_context_opts *opts);
hilo_tls_context *test_tls_client(const hilo_tls_context_opts *opts);

/* [task] Make the handshake of two connected streams, each side in a task; 0 or what each has failed with. */
struct tls_side {
	hilo_stream *stream;
	hilo_tls_context *context;
	const char *name;
	hilo_time deadline; /* 0: none */
	bool hangs_up;	    /* if it fails, also before it has begun */
	int rc;
	char message[HILO_ERROR_MESSAGE_SIZE];
	hilo_task *task;
};

void test_tls_begin(struct tls_side *side);
int test_tls_end(struct tls_side *side);
void test_tls_both(struct tls_side *client, struct tls_side *server);

/* [task, one at a time] The usual contexts, and both must succeed. Makes certificates if there are none. */
void test_tls_pair(hilo_stream *client, hilo_stream *server);

#endif /* TESTS_SUPPORT_CERTS_H */
