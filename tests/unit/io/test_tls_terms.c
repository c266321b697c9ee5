/* SPDX-License-Identifier: MIT */
/* test_tls_terms.c - what two sides agree on: protocols, names, certificates of clients, versions, sessions. */
#include "tests/support/certs.h"
#include "tests/unit/io/streams.h"

/* Two contexts, and what has come of a handshake between them. */
struct terms {
	struct tls_side client, server;
	hilo_stream *stream[2];
};

static void terms_begin(struct terms *self, hilo_tls_context *client, hilo_tls_context *server,
			const char *name)
{
	streams_make(KIND_UNIX, NULL, self->stream);
	self->client = (struct tls_side){.stream = self->stream[0], .context = client, .name = name};
	self->server = (struct tls_side){.stream = self->stream[1], .context = server};
	test_tls_both(&self->client, &self->server);
}

static void terms_end(struct terms *self)
{
	hilo_stream_free(self->stream[0]);
	hilo_stream_free(self->stream[1]);
}

static void info_is(hilo_stream *stream, const char *key, const char *value)
{
	char text[256] = "";

	(void)hilo_stream_info(stream, key, text, sizeof(text));
	TASK_CHECK_TEXT(text, value);
}

static void both_are(struct terms *self, int code)
{
	TASK_CHECK(self->client.rc, ==, code);
	TASK_CHECK(self->server.rc, ==, code);
}

static const char *const h2[] = {"h2"}, *const web[] = {"h2", "http/1.1"}, *const old[] = {"http/1.1", "h2"};

static void speaks(const char *const *ours, size_t n_ours, const char *const *theirs, size_t n_theirs,
		   const char *both, int code)
{
	hilo_tls_context_opts client_opts = {.alpn = ours, .n_alpn = n_ours};
	hilo_tls_context_opts server_opts = {.alpn = theirs, .n_alpn = n_theirs};
	hilo_tls_context *client = test_tls_client(&client_opts), *server = test_tls_server(&server_opts);
	struct terms terms;

	terms_begin(&terms, client, server, "server.test");
	both_are(&terms, code);
	if (code == 0) {
		info_is(terms.stream[0], "alpn", both);
		info_is(terms.stream[1], "alpn", both);
	} else {
		TASK_CHECK_CONTAINS(terms.client.message, "no application protocol");
	}
	terms_end(&terms);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
}

TASK_TEST(test_protocol_is_the_first_of_the_servers_that_the_client_has)
{
	speaks(web, 2, old, 2, "http/1.1", 0);
	speaks(web, 2, h2, 1, "h2", 0);
	speaks(web, 2, NULL, 0, "", 0);
	speaks(NULL, 0, h2, 1, "", 0);
	speaks(old, 1, h2, 1, "", -EPROTO);
	return 0;
}

static int choose(const char *name, hilo_tls_context **ret, void *arg)
{
	if (!name || strcmp(name, "nobody.test") == 0)
		return -1;
	if (strcmp(name, "other.test") == 0)
		*ret = arg;
	return 0;
}

TASK_TEST(test_server_chooses_by_name)
{
	hilo_tls_context_opts other_opts = {
		.cert_pem = test_certs.other.cert, .key_pem = test_certs.other.key, .alpn = h2, .n_alpn = 1};
	hilo_tls_context_opts client_opts = {.alpn = web, .n_alpn = 2};
	hilo_tls_context *other = test_tls_server(&other_opts), *client = test_tls_client(&client_opts);
	hilo_tls_context_opts server_opts = {.choose = choose, .arg = other};
	hilo_tls_context *server = test_tls_server(&server_opts);
	struct terms terms;

	terms_begin(&terms, client, server, "server.test");
	both_are(&terms, 0);
	info_is(terms.stream[0], "peer_subject", "CN=server");
	terms_end(&terms);
	terms_begin(&terms, client, server, "Other.test");
	both_are(&terms, 0);
	info_is(terms.stream[0], "peer_subject", "CN=other");
	info_is(terms.stream[0], "alpn", "h2");
	info_is(terms.stream[1], "server_name", "other.test");
	terms_end(&terms);
	terms_begin(&terms, client, server, "nobody.test");
	both_are(&terms, -EPROTO);
	TASK_CHECK_CONTAINS(terms.client.message, "unrecognized name");
	terms_end(&terms);
	terms_begin(&terms, client, server, "127.0.0.1"); /* which is not asked for */
	both_are(&terms, -EPROTO);
	terms_end(&terms);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
	hilo_tls_context_unref(other);
	return 0;
}

/* What the server makes of a client with @cert, and what the client is told when it reads. */
static void client_shows(const struct cert *cert, unsigned flags, int code, const char *part)
{
	hilo_tls_context_opts client_opts = {.cert_pem = cert ? cert->cert : NULL,
					     .key_pem = cert ? cert->key : NULL};
	hilo_tls_context_opts server_opts = {.flags = flags, .ca_pem = test_certs.ca.cert};
	hilo_tls_context *client = test_tls_client(&client_opts), *server = test_tls_server(&server_opts);
	struct terms terms;
	char text[160], byte;

	terms_begin(&terms, client, server, "server.test");
	TASK_CHECK(terms.client.rc, ==, 0); /* TLS 1.3: it hears of it later */
	TASK_CHECK(terms.server.rc, ==, code);
	if (code == 0) {
		info_is(terms.stream[1], "peer_subject", part);
		stream_say(terms.stream[1], "hello");
		TASK_CHECK(hilo_stream_read(terms.stream[0], &byte, 1, HILO_FOREVER), ==, 1);
	} else {
		TASK_CHECK_CONTAINS(terms.server.message, part);
		TASK_CHECK(hilo_stream_read(terms.stream[0], &byte, 1, HILO_FOREVER), ==, -EPROTO);
		TASK_CHECK(hilo_stream_info(terms.stream[0], "tls_error", text, sizeof(text)), >, 0);
		TASK_CHECK_CONTAINS(text, "alert");
	}
	terms_end(&terms);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
}

TASK_TEST(test_clients_are_asked_for_certificates)
{
	client_shows(NULL, 0, 0, "");
	client_shows(&test_certs.client, 0, 0, "");
	client_shows(NULL, HILO_TLS_ASK_CLIENTS, 0, "");
	client_shows(&test_certs.client, HILO_TLS_ASK_CLIENTS, 0, "CN=client");
	client_shows(&test_certs.stranger, HILO_TLS_ASK_CLIENTS, -EKEYREJECTED, "self-signed certificate");
	client_shows(NULL, HILO_TLS_REQUIRE_CLIENTS, -EKEYREJECTED, "the client has no certificate");
	client_shows(&test_certs.client, HILO_TLS_REQUIRE_CLIENTS, 0, "CN=client");
	client_shows(&test_certs.expired, HILO_TLS_REQUIRE_CLIENTS, -EKEYREJECTED, "certificate has expired");
	return 0;
}

/* Records of every kind are as long as they were thought to be. */
TASK_TEST(test_large_writes_with_each_cipher)
{
	static const char *const ciphers[] = {"ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384",
					      "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"};
	hilo_tls_context *server = test_tls_server(NULL);
	size_t size = 200000;
	char *out = malloc(size);

	bytes_fill(out, size, 0);
	for (size_t i = 0; i < array_size(ciphers); i++) {
		hilo_tls_context_opts opts = {.max_version = HILO_TLS_1_2, .ciphers = ciphers[i]};
		hilo_tls_context *client = test_tls_client(&opts);
		struct stream_call writer = {.call = call_write, .buf = out, .size = size};
		struct terms terms;

		terms_begin(&terms, client, server, "server.test");
		both_are(&terms, 0);
		info_is(terms.stream[0], "cipher", ciphers[i]);
		writer.stream = terms.stream[i & 1];
		stream_call_start(&writer);
		stream_expect(terms.stream[!(i & 1)], size, 0);
		TASK_CHECK(stream_call_end(&writer), ==, size);
		terms_end(&terms);
		hilo_tls_context_unref(client);
	}
	hilo_tls_context_unref(server);
	free(out);
	return 0;
}

TASK_TEST(test_versions_and_ciphers)
{
	hilo_tls_context_opts new = {.min_version = HILO_TLS_1_3}, last = {.max_version = HILO_TLS_1_2};
	hilo_tls_context_opts one_cipher = {.max_version = HILO_TLS_1_2,
					    .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"};
	hilo_tls_context *server = test_tls_server(NULL), *new_server = test_tls_server(&new);
	hilo_tls_context *client = test_tls_client(&last), *narrow = test_tls_client(&one_cipher);
	struct terms terms;

	terms_begin(&terms, client, server, "server.test");
	both_are(&terms, 0);
	info_is(terms.stream[0], "tls_version", "TLSv1.2");
	terms_end(&terms);
	terms_begin(&terms, narrow, server, "server.test");
	both_are(&terms, 0);
	info_is(terms.stream[1], "cipher", "ECDHE-ECDSA-AES128-GCM-SHA256");
	terms_end(&terms);
	terms_begin(&terms, client, new_server, "server.test");
	both_are(&terms, -EPROTO);
	TASK_CHECK_CONTAINS(terms.client.message, "protocol version");
	TASK_CHECK_CONTAINS(terms.server.message, "unsupported protocol");
	terms_end(&terms);
	hilo_tls_context_unref(server);
	hilo_tls_context_unref(new_server);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(narrow);
	return 0;
}

/* Connect; a byte from the server, behind its tickets; tell whether a session was gone on with. */
static bool is_resumed(hilo_tls_context *client, hilo_tls_context *server, const char *name)
{
	struct terms terms;
	char byte, reused[2];

	terms_begin(&terms, client, server, name);
	both_are(&terms, 0);
	stream_say(terms.stream[1], "x");
	TASK_CHECK(hilo_stream_read(terms.stream[0], &byte, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_info(terms.stream[0], "session_reused", reused, sizeof(reused)), ==, 1);
	info_is(terms.stream[1], "session_reused", reused);
	info_is(terms.stream[0], "peer_subject", strcmp(name, "other.test") == 0 ? "CN=other" : "CN=server");
	terms_end(&terms);
	return *reused == '1';
}

static void sessions_are_kept(int version)
{
	hilo_tls_context_opts opts = {.max_version = version}, none = {.flags = HILO_TLS_NO_SESSIONS};
	hilo_tls_context *client = test_tls_client(&opts), *server = test_tls_server(NULL);
	hilo_tls_context *forgetful = test_tls_client(&none), *strict = test_tls_server(&none);

	TASK_CHECK(is_resumed(client, server, "server.test"), ==, false);
	TASK_CHECK(is_resumed(client, server, "server.test"), ==, true);
	TASK_CHECK(is_resumed(client, server, "SERVER.test"), ==, true);
	TASK_CHECK(is_resumed(client, server, "localhost"), ==, false); /* another name */
	TASK_CHECK(is_resumed(client, strict, "server.test"), ==, false);
	TASK_CHECK(is_resumed(client, strict, "server.test"), ==, false);
	TASK_CHECK(is_resumed(forgetful, server, "server.test"), ==, false);
	TASK_CHECK(is_resumed(forgetful, server, "server.test"), ==, false);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
	hilo_tls_context_unref(forgetful);
	hilo_tls_context_unref(strict);
}

TASK_TEST(test_sessions_are_gone_on_with)
{
	sessions_are_kept(HILO_TLS_1_3);
	sessions_are_kept(HILO_TLS_1_2);
	return 0;
}

TASK_TEST(test_oldest_session_is_forgotten)
{
	hilo_tls_context_opts opts = {.max_version = HILO_TLS_1_2, .sessions = 1};
	hilo_tls_context *client = test_tls_client(&opts), *server = test_tls_server(NULL);

	TASK_CHECK(is_resumed(client, server, "server.test"), ==, false);
	TASK_CHECK(is_resumed(client, server, "localhost"), ==, false);
	TASK_CHECK(is_resumed(client, server, "localhost"), ==, true);
	TASK_CHECK(is_resumed(client, server, "server.test"), ==, false);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
	return 0;
}

static hilo_tls_context *locked;

static int choose_by_turns(const char *name, hilo_tls_context **ret, void *arg)
{
	(void)name;
	if (*(int *)arg)
		*ret = locked;
	return 0;
}

/* A session begun where nobody is asked for a certificate does not open where everybody is. */
TASK_TEST(test_session_is_good_for_its_own_context_alone)
{
	int turn = 0;
	hilo_tls_context_opts locked_opts = {.flags = HILO_TLS_REQUIRE_CLIENTS, .ca_pem = test_certs.ca.cert};
	hilo_tls_context_opts server_opts = {.choose = choose_by_turns, .arg = &turn};
	hilo_tls_context *client = test_tls_client(NULL), *server = test_tls_server(&server_opts);
	struct terms terms;

	locked = test_tls_server(&locked_opts);
	TASK_CHECK(is_resumed(client, server, "server.test"), ==, false);
	TASK_CHECK(is_resumed(client, server, "server.test"), ==, true);
	turn = 1;
	terms_begin(&terms, client, server, "server.test");
	TASK_CHECK(terms.server.rc, ==, -EKEYREJECTED);
	TASK_CHECK_CONTAINS(terms.server.message, "no certificate");
	terms_end(&terms);
	hilo_tls_context_unref(client);
	hilo_tls_context_unref(server);
	hilo_tls_context_unref(locked);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocol_is_the_first_of_the_servers_that_the_client_has),
		cmocka_unit_test(test_server_chooses_by_name),
		cmocka_unit_test(test_clients_are_asked_for_certificates),
		cmocka_unit_test(test_large_writes_with_each_cipher),
		cmocka_unit_test(test_versions_and_ciphers),
		cmocka_unit_test(test_sessions_are_gone_on_with),
		cmocka_unit_test(test_oldest_session_is_forgotten),
		cmocka_unit_test(test_session_is_good_for_its_own_context_alone),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
