/* SPDX-License-Identifier: MIT */
/*
 * tls_echo.c - an echo over TLS.
 *
 *	tls_echo                                        both in one process, a few lines
 *	tls_echo --port=8443 [--cert=FILE --key=FILE]   the server, until Ctrl-C
 *	tls_echo --connect=HOST --port=8443 [--ca=FILE | --insecure]
 *	                                                the client: standard input there, what comes back here
 *
 * Without --cert the server makes a certificate for localhost when it starts, signed by itself; it can be tried with
 * openssl s_client -connect localhost:8443, or with the client and --insecure.
 */
#include <hilo/hilo.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINE = 4096,
	YEAR = 365 * 24 * 60 * 60
};

struct options {
	unsigned port;
	const char *connect, *cert, *key, *ca;
	int insecure;
};

/* ---- A certificate of one's own --------------------------------------------------------------------- */

/* As text; the caller's. */
struct identity {
	char *cert, *key;
};

/* What was written to @bio, which is consumed, as text; NULL: no memory. */
static char *text_of(BIO *bio)
{
	char *at = NULL;
	long n = BIO_get_mem_data(bio, &at);
	char *text = n > 0 ? calloc(1, (size_t)n + 1) : NULL;

	if (text)
		memcpy(text, at, (size_t)n); /* it has no end of its own */
	BIO_free(bio);
	return text;
}

static int certificate_fill(X509 *cert, EVP_PKEY *key)
{
	static const unsigned char name[] = "localhost";
	X509_NAME *subject = X509_get_subject_name(cert);
	X509_EXTENSION *names;
	X509V3_CTX context;
	int ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name,
				    "DNS:localhost,IP:127.0.0.1,IP:::1");
	ok = names && X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -60) &&
	     X509_gmtime_adj(X509_getm_notAfter(cert), YEAR) &&
	     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) &&
	     X509_set_issuer_name(cert, subject) && X509_set_pubkey(cert, key) &&
	     X509_add_ext(cert, names, -1) && X509_sign(cert, key, EVP_sha256());

	X509_EXTENSION_free(names);
	return ok;
}

/* A certificate for localhost, signed by itself. 0, -ENOMEM. */
static int identity_make(struct identity *identity)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *cert_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
	int ok = key && cert && cert_text && key_text && certificate_fill(cert, key) &&
		 PEM_write_bio_X509(cert_text, cert) &&
		 PEM_write_bio_PKCS8PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);

	identity->cert = text_of(cert_text);
	identity->key = text_of(key_text);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok && identity->cert && identity->key ? 0 : -ENOMEM;
}

static void identity_end(struct identity *identity)
{
	free(identity->cert);
	free(identity->key);
}

/* ---- The server ------------------------------------------------------------------------------------- */

static int echo(hilo_stream *client, void *arg)
{
	char line[LINE];
	ssize_t n;

	(void)arg;
	while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0)
		if ((n = hilo_stream_write(client, line, (size_t)n, HILO_FOREVER)) < 0)
			break;
	return n == HILO_ETRUNCATED || n == -ECONNRESET ? -ECANCELED
							: (int)n; /* clients may go as they like */
}

/* A server with the certificate of the options, or @identity. 0, or why not. */
static int server_start(const struct options *options, const struct identity *identity, hilo_server **ret)
{
	hilo_tls_context_opts tls = {
		.size = sizeof(tls), .cert_file = options->cert, .key_file = options->key};
	hilo_server_opts opts = {.size = sizeof(opts), .port = options->port};
	int rc;

	if (!options->cert) {
		tls.cert_pem = identity->cert;
		tls.key_pem = identity->key;
	}
	if (!options->port)
		opts.host = "127.0.0.1";
	rc = hilo_tls_server_new(&tls, &opts.tls);
	if (rc < 0)
		return rc;
	rc = hilo_start_server(echo, NULL, &opts, ret, HILO_FOREVER);
	hilo_tls_context_unref(opts.tls); /* the server has a reference of its own */
	return rc;
}

static int serve(const struct options *options, const struct identity *identity)
{
	hilo_server *server;
	int rc = server_start(options, identity, &server);

	if (rc < 0)
		return rc;
	printf("listening on port %u\n", options->port);
	(void)fflush(stdout);
	rc = hilo_server_serve_forever(server, HILO_FOREVER);
	hilo_server_free(server);
	return rc == -ECANCELED ? 0 : rc; /* Ctrl-C */
}

/* ---- The client ------------------------------------------------------------------------------------- */

/* Connect to @host; who is trusted is in a file, as text, or nobody is asked. */
static int client_open(const char *host, unsigned port, const char *ca_file, const char *ca_pem, int insecure,
		       hilo_stream **ret)
{
	hilo_tls_context_opts tls = {.size = sizeof(tls),
				     .ca_file = ca_file,
				     .ca_pem = ca_pem,
				     .flags = insecure ? HILO_TLS_INSECURE : 0};
	hilo_connect_opts opts = {.size = sizeof(opts)};
	int rc = hilo_tls_client_new(&tls, &opts.tls);

	if (rc < 0)
		return rc;
	rc = hilo_open_connection(host, port, &opts, ret, hilo_after(10 * HILO_SECOND));
	hilo_tls_context_unref(opts.tls); /* the stream has a reference of its own */
	return rc;
}

static void describe(hilo_stream *stream)
{
	char version[16] = "", cipher[64] = "", who[256] = "nobody";

	(void)hilo_stream_info(stream, "tls_version", version, sizeof(version));
	(void)hilo_stream_info(stream, "cipher", cipher, sizeof(cipher));
	(void)hilo_stream_info(stream, "peer_subject", who, sizeof(who));
	fprintf(stderr, "%s, %s, with %s\n", version, cipher, who);
}

/* The end of what is sent, and all that comes until the other side ends. */
struct copy {
	hilo_stream *from, *to;
};

static int copy(void *arg)
{
	struct copy *self = arg;
	int rc = hilo_stream_pump(self->from, self->to, UINT64_MAX, NULL, HILO_FOREVER);

	if (rc == 0 && hilo_stream_can_write_eof(self->to))
		rc = hilo_stream_write_eof(self->to);
	return rc;
}

static int converse(hilo_stream *stream)
{
	hilo_stream *in = NULL, *out = NULL;
	int rc = hilo_stream_from_fd(0, NULL, &in), code = 0;

	if (rc == 0)
		rc = hilo_stream_from_fd(1, NULL, &out);
	if (rc == 0)
		HILO_GROUP (group, &code) {
			hilo_group_spawn(group, copy, &(struct copy){in, stream});
			hilo_group_spawn(group, copy, &(struct copy){stream, out});
		}
	if (out)
		(void)hilo_stream_close(out, HILO_FOREVER);
	hilo_stream_free(in);
	hilo_stream_free(out);
	return rc < 0 ? rc : code;
}

static int client(const struct options *options)
{
	hilo_stream *stream;
	int rc = client_open(options->connect, options->port, options->ca, NULL, options->insecure, &stream);

	if (rc < 0)
		return rc;
	describe(stream);
	rc = converse(stream);
	(void)hilo_stream_close(stream, HILO_FOREVER);
	hilo_stream_free(stream);
	return rc;
}

/* ---- Both at once ----------------------------------------------------------------------------------- */

static int say(hilo_stream *stream, const char *line)
{
	char answer[LINE];
	ssize_t n = hilo_stream_write(stream, line, strlen(line), HILO_FOREVER);

	if (n >= 0)
		n = hilo_stream_read_line(stream, answer, sizeof(answer), HILO_FOREVER);
	if (n > 0)
		printf("%s", answer);
	return n < 0 ? (int)n : n > 0 && strcmp(line, answer) == 0 ? 0 : -EIO;
}

static int both(const struct options *options, const struct identity *identity)
{
	hilo_address address;
	hilo_server *server;
	hilo_stream *stream;
	int rc = server_start(options, identity, &server);

	if (rc < 0)
		return rc;
	rc = hilo_server_sockname(server, 0, &address);
	if (rc == 0)
		rc = client_open("localhost", hilo_address_port(&address), NULL, identity->cert, 0, &stream);
	if (rc == 0) {
		describe(stream);
		rc = say(stream, "first line\n");
		if (rc == 0)
			rc = say(stream, "second line\n");
		(void)hilo_stream_close(stream, HILO_FOREVER);
		hilo_stream_free(stream);
	}
	(void)hilo_server_close(server, NULL, hilo_after(HILO_SECOND));
	hilo_server_free(server);
	return rc;
}

static int main_task(void *arg)
{
	const struct options *options = arg;
	struct identity identity = {NULL, NULL};
	int rc = options->connect || options->cert ? 0 : identity_make(&identity);

	if (rc == 0)
		rc = options->connect ? client(options)
		     : !options->port ? both(options, &identity)
				      : serve(options, &identity);
	identity_end(&identity);
	if (rc < 0)
		fprintf(stderr, "tls_echo: %s\n", hilo_error_message());
	return rc;
}

/* The value of @arg if it is @name with one, else NULL. */
static const char *value_of(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 ? arg + n : NULL;
}

static int options_read(struct options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value;

		if ((value = value_of(argv[i], "--port=")))
			options->port = (unsigned)strtoul(value, NULL, 10);
		else if ((value = value_of(argv[i], "--connect=")))
			options->connect = value;
		else if ((value = value_of(argv[i], "--cert=")))
			options->cert = value;
		else if ((value = value_of(argv[i], "--key=")))
			options->key = value;
		else if ((value = value_of(argv[i], "--ca=")))
			options->ca = value;
		else if (strcmp(argv[i], "--insecure") == 0)
			options->insecure = 1;
		else
			return -EINVAL;
	}
	return options->port || !(options->connect || options->cert) ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options options = {0};

	if (options_read(&options, argc, argv) < 0) {
		fprintf(stderr, "usage: tls_echo [--port=N [--cert=FILE [--key=FILE]]]\n"
				"       tls_echo --connect=HOST --port=N [--ca=FILE | --insecure]\n");
		return 2;
	}
	return hilo_run(main_task, &options, NULL) < 0;
}
