/* SPDX-License-Identifier: MIT */
/*
 * test_tls_peer.c - somebody else's TLS at the other end: OpenSSL alone over a plain stream, which does what Hilo never
 * does itself, and bytes that are cut, changed, or come in pieces.
 */
#include "io/tls_openssl_impl.h"
#include "tests/support/certs.h"
#include "tests/unit/io/streams.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

/* A client of OpenSSL's, with memory for a connection, that is brought over a plain stream. */
struct peer {
	hilo_stream *stream;
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
	int rc;
	hilo_task *task;
};

static void peer_init(struct peer *peer, hilo_stream *stream, int version)
{
	peer->stream = stream;
	peer->context = SSL_CTX_new(TLS_method());
	(void)SSL_CTX_set_max_proto_version(peer->context, version);
	peer->ssl = SSL_new(peer->context);
	peer->in = BIO_new(BIO_s_mem());
	peer->out = BIO_new(BIO_s_mem());
	SSL_set_bio(peer->ssl, peer->in, peer->out);
	SSL_set_connect_state(peer->ssl);
}

/* It is a server instead. */
static void peer_serves(struct peer *peer)
{
	BIO *cert = BIO_new_mem_buf(test_certs.server.cert, -1),
	    *key = BIO_new_mem_buf(test_certs.server.key, -1);
	X509 *x509 = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *private = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	TASK_CHECK(SSL_use_certificate(peer->ssl, x509), ==, 1);
	TASK_CHECK(SSL_use_PrivateKey(peer->ssl, private), ==, 1);
	SSL_set_accept_state(peer->ssl);
	X509_free(x509);
	EVP_PKEY_free(private);
	BIO_free(cert);
	BIO_free(key);
}

static void peer_end(struct peer *peer)
{
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->context);
}

/* Send what it has to say. */
static void peer_send(struct peer *peer)
{
	char *bytes;
	long n = BIO_get_mem_data(peer->out, &bytes);

	if (n > 0)
		TASK_CHECK(hilo_stream_write(peer->stream, bytes, (size_t)n, HILO_FOREVER), ==, n);
	(void)BIO_reset(peer->out);
}

/* True: it has got something. */
static bool peer_receive(struct peer *peer)
{
	char buf[4096];
	ssize_t n = hilo_stream_read(peer->stream, buf, sizeof(buf), HILO_FOREVER);

	if (n > 0)
		TASK_CHECK(BIO_write(peer->in, buf, (int)n), ==, n);
	return n > 0;
}

/* Its handshake, or what it has to say of its own: what SSL_get_error says at the end. */
static int peer_shake(struct peer *peer)
{
	int rc, error;

	do {
		ERR_clear_error();
		rc = SSL_do_handshake(peer->ssl);
		error = SSL_get_error(peer->ssl, rc);
		peer_send(peer);
	} while (error == SSL_ERROR_WANT_READ && peer_receive(peer));
	return error;
}

static int peer_read(struct peer *peer, char *buf, int size)
{
	int n;

	do
		n = SSL_read(peer->ssl, buf, size);
	while (n <= 0 && SSL_get_error(peer->ssl, n) == SSL_ERROR_WANT_READ && peer_receive(peer));
	peer_send(peer);
	return n;
}

static void peer_say(struct peer *peer, const char *text)
{
	TASK_CHECK(SSL_write(peer->ssl, text, (int)strlen(text)), ==, strlen(text));
	peer_send(peer);
}

static int peer_task(void *arg)
{
	struct peer *peer = arg;

	peer->rc = peer_shake(peer);
	return 0;
}

/* A connection between @peer, at @a, and us, at @b. */
static void peer_connect(struct peer *peer, hilo_stream *a, hilo_stream *b, int version)
{
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};

	peer_init(peer, a, version);
	peer->task = hilo_spawn(peer_task, peer);
	TASK_CHECK(peer->task, !=, NULL);
	test_tls_begin(&server);
	TASK_CHECK(test_tls_end(&server), ==, 0);
	TASK_CHECK(hilo_join(peer->task, HILO_FOREVER), ==, 0);
	TASK_CHECK(peer->rc, ==, SSL_ERROR_NONE);
	hilo_tls_context_unref(server.context);
}

static void is_heard(struct peer *peer, hilo_stream *b, const char *text)
{
	char buf[64];

	peer_say(peer, text);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, strlen(text), HILO_FOREVER), ==, strlen(text));
	TASK_CHECK(memcmp(buf, text, strlen(text)), ==, 0);
	stream_say(b, text);
	TASK_CHECK(peer_read(peer, buf, sizeof(buf)), ==, strlen(text));
	TASK_CHECK(memcmp(buf, text, strlen(text)), ==, 0);
}

STREAM_TEST(test_keys_are_changed)
{
	struct peer peer;

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	is_heard(&peer, b, "one");
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), ==, 1);
		TASK_CHECK(peer_shake(&peer), ==, SSL_ERROR_NONE);
		is_heard(&peer, b, "two");
	}
	TASK_CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), ==, 1);
	TASK_CHECK(peer_shake(&peer), ==, SSL_ERROR_NONE);
	is_heard(&peer, b, "three");
	peer_end(&peer);
	return 0;
}

STREAM_TEST(test_handshake_is_not_made_again)
{
	struct peer peer;
	struct stream_call reader = {.stream = b, .call = call_read};
	char buf[8];

	reader.buf = buf;
	reader.size = sizeof(buf);
	peer_connect(&peer, a, b, TLS1_2_VERSION);
	is_heard(&peer, b, "one");
	stream_call_start(&reader); /* who reads is who refuses it */
	TASK_CHECK(SSL_renegotiate(peer.ssl), ==, 1);
	TASK_CHECK(peer_shake(&peer), ==, SSL_ERROR_SSL);
	TASK_CHECK(ERR_GET_REASON(ERR_peek_error()), ==, SSL_R_NO_RENEGOTIATION);
	ERR_clear_error();
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(stream_call_end(&reader) < 0, ==, 1);
	peer_end(&peer);
	return 0;
}

STREAM_TEST(test_bytes_that_are_no_record_end_the_connection)
{
	struct peer peer;
	char buf[64];

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	is_heard(&peer, b, "one");
	peer_say(&peer, "last");
	TASK_CHECK(hilo_stream_write(a, "this is not a record", 20, HILO_FOREVER), ==, 20);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 4, HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK(hilo_stream_info(b, "tls_error", buf, sizeof(buf)), >, 0);
	TASK_CHECK_CONTAINS(buf, "wrong version number");
	TASK_CHECK(hilo_stream_write(b, "x", 1, HILO_FOREVER) < 0 || hilo_stream_flush(b, HILO_FOREVER) < 0,
		   ==, 1);
	TASK_CHECK(peer_read(&peer, buf, sizeof(buf)) <= 0, ==, 1);
	peer_end(&peer);
	return 0;
}

STREAM_TEST(test_record_that_was_changed_ends_the_connection)
{
	struct peer peer;
	char *bytes, buf[64];
	long n;

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	TASK_CHECK(SSL_write(peer.ssl, "hello", 5), ==, 5);
	n = BIO_get_mem_data(peer.out, &bytes);
	bytes[n - 1] ^= 1;
	peer_send(&peer);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, -EPROTO);
	TASK_CHECK(hilo_stream_info(b, "tls_error", buf, sizeof(buf)), >, 0);
	/* It is told so. */
	TASK_CHECK(peer_read(&peer, buf, sizeof(buf)) <= 0, ==, 1);
	TASK_CHECK(ERR_GET_REASON(ERR_peek_error()), ==, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
	ERR_clear_error();
	peer_end(&peer);
	return 0;
}

STREAM_TEST(test_record_that_is_cut_is_not_an_end)
{
	struct peer peer;
	char *bytes, buf[64];
	long n;

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	is_heard(&peer, b, "one");
	TASK_CHECK(SSL_write(peer.ssl, "hello", 5), ==, 5);
	n = BIO_get_mem_data(peer.out, &bytes);
	TASK_CHECK(hilo_stream_write(a, bytes, (size_t)n - 1, HILO_FOREVER), ==, n - 1);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, HILO_ETRUNCATED);
	peer_end(&peer);
	return 0;
}

/* TLS 1.2 too has an end in each direction, as far as we are concerned. */
STREAM_TEST(test_end_is_said_and_heard)
{
	struct peer peer;
	char buf[64];

	peer_connect(&peer, a, b, TLS1_2_VERSION);
	is_heard(&peer, b, "one");
	TASK_CHECK(hilo_stream_write_eof(b), ==, 0);
	TASK_CHECK(peer_read(&peer, buf, sizeof(buf)), ==, 0);
	TASK_CHECK(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN, !=, 0);
	peer_say(&peer, "late");
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	(void)SSL_shutdown(peer.ssl);
	peer_send(&peer);
	stream_expect_end(b);
	peer_end(&peer);
	return 0;
}

/* Who asks for new keys again and again, and reads no answers, costs nothing: one answer is due. */
STREAM_TEST(test_one_answer_is_due_however_often_it_is_asked_for)
{
	struct peer peer;

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	for (int i = 0; i < 300; i++) {
		TASK_CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), ==, 1);
		TASK_CHECK(SSL_do_handshake(peer.ssl), ==, 1);
	}
	is_heard(&peer, b, "patience");
	peer_end(&peer);
	return 0;
}

/* Who asks by TLS 1.2 to begin again is told no; who goes on asking, and does not listen, is left. */
STREAM_TEST(test_questions_without_end_are_not_answered)
{
	struct tls_side client = {.stream = b, .context = test_tls_client(NULL), .name = "server.test"};
	hilo_time limit = hilo_after(HILO_MINUTE);
	struct peer peer;
	char buf[8];
	ssize_t n = -ETIMEDOUT;

	peer_init(&peer, a, TLS1_2_VERSION);
	peer_serves(&peer);
	peer.task = hilo_spawn(peer_task, &peer);
	test_tls_begin(&client);
	TASK_CHECK(test_tls_end(&client), ==, 0);
	TASK_CHECK(hilo_join(peer.task, HILO_FOREVER), ==, 0);
	TASK_CHECK(peer.rc, ==, SSL_ERROR_NONE);
	hilo_tls_context_unref(client.context);
	(void)stream_stuff(b, 0); /* so that nothing more can be sent */
	while (n == -ETIMEDOUT && hilo_now() < limit) {
		for (int i = 0; i < 100; i++) {
			TASK_CHECK(SSL_renegotiate(peer.ssl), ==, 1);
			TASK_CHECK(SSL_do_handshake(peer.ssl), ==, 1);
		}
		peer_send(&peer);
		n = hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT);
	}
	TASK_CHECK(n, ==, -EPROTO);
	peer_end(&peer);
	return 0;
}

/* Bring what comes from one stream to another, in pieces of any size. */
struct relay {
	hilo_stream *from, *to;
	uint64_t seed;
};

static int relay_task(void *arg)
{
	struct relay *relay = arg;
	struct random random;
	char buf[3000];
	ssize_t n = 1;

	random_init(&random, relay->seed, 0);
	while (n > 0) {
		n = hilo_stream_read(relay->from, buf,
				     1 + random_below(&random, random_below(&random, 2) ? 20 : 3000),
				     HILO_FOREVER);
		if (n > 0)
			n = hilo_stream_write(relay->to, buf, (size_t)n, HILO_FOREVER);
		if (n > 0)
			n = hilo_stream_flush(relay->to, HILO_FOREVER) == 0;
	}
	(void)hilo_stream_write_eof(relay->to);
	return 0;
}

/* A server of ours, which does not take the first key of the client and asks for another one. */
struct retry {
	hilo_tls_context *context;
	atomic(int) chosen;
};

static int choose(const char *name, hilo_tls_context **ret, void *arg)
{
	struct retry *retry = arg;

	(void)name, (void)ret;
	(void)add_relaxed(&retry->chosen, 1);
	return 0;
}

static void retry_begin(struct retry *retry, struct peer *peer, struct tls_side *server)
{
	hilo_tls_context_opts opts = {.choose = choose, .arg = retry};
	SSL_CTX *ssl;

	server->context = retry->context = test_tls_server(&opts);
	ssl = context_of(retry->context)->ssl;
	TASK_CHECK(SSL_CTX_set1_groups_list(ssl, "X25519"), ==, 1);
	TASK_CHECK(SSL_set1_groups_list(peer->ssl, "P-521:X25519"), ==, 1);
	TASK_CHECK(SSL_set_tlsext_host_name(peer->ssl, "server.test"), ==, 1);
	test_tls_begin(server);
	TASK_CHECK(SSL_do_handshake(peer->ssl), ==, -1);
	peer_send(peer);
}

STREAM_TEST(test_second_hello_is_no_new_question)
{
	struct tls_side server = {.stream = b};
	struct retry retry = {0};
	struct peer peer;
	char name[64];

	peer_init(&peer, a, TLS1_3_VERSION);
	retry_begin(&retry, &peer, &server);
	TASK_CHECK(peer_shake(&peer), ==, SSL_ERROR_NONE);
	TASK_CHECK(test_tls_end(&server), ==, 0);
	TASK_CHECK(load_relaxed(&retry.chosen), ==, 1);
	TASK_CHECK(hilo_stream_info(b, "server_name", name, sizeof(name)), ==, strlen("server.test"));
	TASK_CHECK_TEXT(name, "server.test");
	is_heard(&peer, b, "one");
	hilo_tls_context_unref(retry.context);
	peer_end(&peer);
	return 0;
}

STREAM_TEST(test_second_hello_may_not_ask_for_another_name)
{
	struct tls_side server = {.stream = b, .hangs_up = true};
	struct retry retry = {0};
	struct peer peer;

	peer_init(&peer, a, TLS1_3_VERSION);
	retry_begin(&retry, &peer, &server);
	TASK_CHECK(SSL_set_tlsext_host_name(peer.ssl, "secret.test"), ==, 1);
	TASK_CHECK(peer_shake(&peer), ==, SSL_ERROR_SSL);
	TASK_CHECK(ERR_GET_REASON(ERR_peek_error()), ==, SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER);
	ERR_clear_error();
	TASK_CHECK(test_tls_end(&server), ==, -EPROTO);
	TASK_CHECK(load_relaxed(&retry.chosen), ==, 1);
	hilo_tls_context_unref(retry.context);
	peer_end(&peer);
	return 0;
}

/* Tickets that do not fit in one record of the size that is set. */
static int large_ticket(SSL *ssl, void *arg)
{
	static const char data[1000];

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, sizeof(data));
}

/* A connection with us, at @b, as the client; the server has sent a part of a ticket, of which @rest is to come. */
static void half_a_ticket(struct peer *peer, hilo_stream *a, hilo_stream *b, char *rest, size_t *rest_size)
{
	struct tls_side client = {.stream = b, .context = test_tls_client(NULL), .name = "server.test"};
	size_t first;
	char *bytes;
	long n;

	peer_init(peer, a, TLS1_3_VERSION);
	peer_serves(peer);
	TASK_CHECK(SSL_set_num_tickets(peer->ssl, 0), ==, 1);
	(void)SSL_CTX_set_session_ticket_cb(peer->context, large_ticket, NULL, NULL);
	peer->task = hilo_spawn(peer_task, peer);
	test_tls_begin(&client);
	TASK_CHECK(test_tls_end(&client), ==, 0);
	TASK_CHECK(hilo_join(peer->task, HILO_FOREVER), ==, 0);
	TASK_CHECK(peer->rc, ==, SSL_ERROR_NONE);
	hilo_tls_context_unref(client.context);
	is_heard(peer, b, "one");
	TASK_CHECK(SSL_write(peer->ssl, "x", 1), ==, 1);
	TASK_CHECK(SSL_set_max_send_fragment(peer->ssl, 512), ==, 1);
	TASK_CHECK(SSL_new_session_ticket(peer->ssl), ==, 1);
	TASK_CHECK(SSL_do_handshake(peer->ssl), ==, 1);
	/* The records of "x", and the first one of the ticket, together. */
	n = BIO_get_mem_data(peer->out, &bytes);
	first = 5 + ((size_t)(unsigned char)bytes[3] << 8 | (unsigned char)bytes[4]);
	first += 5 + ((size_t)(unsigned char)bytes[first + 3] << 8 | (unsigned char)bytes[first + 4]);
	TASK_CHECK((size_t)n - first, >, 0);
	TASK_CHECK((size_t)n - first, <=, 2048);
	*rest_size = (size_t)n - first;
	memcpy(rest, bytes + first, *rest_size);
	TASK_CHECK(hilo_stream_write(a, bytes, first, HILO_FOREVER), ==, first);
	(void)BIO_reset(peer->out);
}

/* Who writes waits for the other half, and loses nothing; that it comes in one piece with "x" is not sure. */
STREAM_TEST(test_writes_wait_for_a_message_that_has_come_in_part)
{
	struct peer peer;
	char rest[2048], buf[64];
	size_t rest_size;

	half_a_ticket(&peer, a, b, rest, &rest_size);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 1);
	stream_say(b, "late");
	TASK_CHECK(hilo_stream_write_eof(b), ==, 0);
	TASK_CHECK(hilo_stream_write(a, rest, rest_size, HILO_FOREVER), ==, rest_size);
	peer_say(&peer, "y");
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_flush(b, HILO_FOREVER), ==, 0);
	TASK_CHECK(peer_read(&peer, buf, sizeof(buf)), ==, 4);
	TASK_CHECK(memcmp(buf, "late", 4), ==, 0);
	TASK_CHECK(peer_read(&peer, buf, sizeof(buf)), ==, 0);
	TASK_CHECK(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN, !=, 0);
	peer_end(&peer);
	return 0;
}

/* The end of the connection, on either side, ends that wait. */
STREAM_TEST(test_end_amid_a_message_lets_go_of_who_writes)
{
	struct peer peer;
	char rest[2048], buf[64];
	size_t rest_size;

	half_a_ticket(&peer, a, b, rest, &rest_size);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 1);
	stream_say(b, "late");
	if (kind == KIND_TCP) {
		TASK_CHECK(hilo_stream_abort(b), ==, 0);
		TASK_CHECK(hilo_stream_close(b, HILO_FOREVER), ==, 0);
	} else {
		TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
		TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, HILO_ETRUNCATED);
		(void)hilo_stream_flush(b, HILO_FOREVER);
	}
	peer_end(&peer);
	return 0;
}

/* Who reads gets what is before it, and waits for the other half: ended early, he has lost nothing. */
STREAM_TEST(test_reads_wait_for_a_message_that_has_come_in_part)
{
	struct peer peer;
	char rest[2048], buf[64];
	struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};
	size_t rest_size;

	half_a_ticket(&peer, a, b, rest, &rest_size);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	for (size_t done = 0; done < rest_size;
	     done++) { /* a byte at a time, amid a wait that is cancelled */
		if (done % 8 == 0) {
			stream_call_start(&reader);
			stream_call_waits(&reader);
		}
		TASK_CHECK(hilo_stream_write(a, rest + done, 1, HILO_FOREVER), ==, 1);
		if (done % 8 == 7 || done == rest_size - 1) {
			TASK_CHECK(hilo_task_cancel(reader.task), ==, 0);
			TASK_CHECK(stream_call_end(&reader), ==, -ECANCELED);
		}
	}
	is_heard(&peer, b, "two");
	peer_end(&peer);
	return 0;
}

/* New keys and "y", cut in two at each byte of their records, and as many ways to wait for the second half. */
STREAM_TEST(test_reads_wait_for_records_that_have_come_in_part)
{
	char bytes[256], buf[64];
	size_t cut = 1, size;
	struct peer peer;

	peer_connect(&peer, a, b, TLS1_3_VERSION);
	is_heard(&peer, b, "one");
	do {
		struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};

		TASK_CHECK(SSL_key_update(peer.ssl,
					  cut % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED),
			   ==, 1);
		TASK_CHECK(SSL_do_handshake(peer.ssl), ==, 1);
		TASK_CHECK(SSL_write(peer.ssl, "y", 1), ==, 1);
		size = (size_t)BIO_read(peer.out, bytes, sizeof(bytes));
		TASK_CHECK(size, <, sizeof(bytes));
		TASK_CHECK(hilo_stream_write(a, bytes, cut, HILO_FOREVER), ==, cut);
		reader.deadline = cut % 3 == 1 ? hilo_after(100 * HILO_MICROSECOND) : HILO_FOREVER;
		stream_call_start(&reader);
		if (cut % 3 == 2) {
			stream_call_waits(&reader);
			TASK_CHECK(hilo_task_cancel(reader.task), ==, 0);
		}
		if (cut % 3) {
			TASK_CHECK(stream_call_end(&reader), ==, cut % 3 == 1 ? -ETIMEDOUT : -ECANCELED);
			reader.deadline = HILO_FOREVER;
			stream_call_start(&reader);
		}
		TASK_CHECK(hilo_stream_write(a, bytes + cut, size - cut, HILO_FOREVER), ==, size - cut);
		TASK_CHECK(stream_call_end(&reader), ==, 1);
		TASK_CHECK(buf[0], ==, 'y');
	} while (++cut < size);
	is_heard(&peer, b, "two");
	peer_end(&peer);
	return 0;
}

/* @a and @b are the middle. */
STREAM_TEST(test_pieces_of_any_size_are_put_together)
{
	size_t size = 40000;
	char *out = malloc(size);
	hilo_stream *left[2], *right[2];
	struct relay there, back;
	hilo_task *task[2];
	struct stream_call writer[2];

	streams_make(kind, NULL, left);
	streams_make(kind, NULL, right);
	there = (struct relay){left[1], right[0], test_seed()};
	back = (struct relay){right[0], left[1], test_seed() + 1};
	task[0] = hilo_spawn(relay_task, &there);
	task[1] = hilo_spawn(relay_task, &back);
	test_tls_pair(left[0], right[1]);
	bytes_fill(out, size, 0);
	for (int i = 0; i < 2; i++) {
		writer[i] = (struct stream_call){
			.stream = i ? left[0] : right[1], .call = call_write, .buf = out, .size = size};
		stream_call_start(&writer[i]);
	}
	stream_expect(left[0], size, 0);
	stream_expect(right[1], size, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(stream_call_end(&writer[i]), ==, size);
	TASK_CHECK(hilo_stream_close(left[0], HILO_FOREVER), ==, 0);
	stream_expect_end(right[1]);
	TASK_CHECK(hilo_stream_close(right[1], HILO_FOREVER), ==, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < 2; i++) {
		hilo_stream_free(left[i]);
		hilo_stream_free(right[i]);
	}
	free(out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_changed),
		cmocka_unit_test(test_handshake_is_not_made_again),
		cmocka_unit_test(test_bytes_that_are_no_record_end_the_connection),
		cmocka_unit_test(test_record_that_was_changed_ends_the_connection),
		cmocka_unit_test(test_record_that_is_cut_is_not_an_end),
		cmocka_unit_test(test_end_is_said_and_heard),
		cmocka_unit_test(test_one_answer_is_due_however_often_it_is_asked_for),
		cmocka_unit_test(test_questions_without_end_are_not_answered),
		cmocka_unit_test(test_second_hello_is_no_new_question),
		cmocka_unit_test(test_second_hello_may_not_ask_for_another_name),
		cmocka_unit_test(test_writes_wait_for_a_message_that_has_come_in_part),
		cmocka_unit_test(test_end_amid_a_message_lets_go_of_who_writes),
		cmocka_unit_test(test_reads_wait_for_a_message_that_has_come_in_part),
		cmocka_unit_test(test_reads_wait_for_records_that_have_come_in_part),
		cmocka_unit_test(test_pieces_of_any_size_are_put_together),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
