/* SPDX-License-Identifier: MIT */
/*
 * test_tls.c - streams over TLS: handshakes and what may be wrong with them, what is known afterwards, the end and its
 * lack, cancels. What streams do over TLS is also tested by their own tests, which are run over it (io_stream_read_tls
 * and so on); contexts are in test_tls_context.c.
 */
#include "tests/support/certs.h"
#include "tests/unit/io/streams.h"

static void info_is(hilo_stream *stream, const char *key, const char *value)
{
	char text[256];
	int n = hilo_stream_info(stream, key, text, sizeof(text));

	TASK_CHECK(n, ==, (int)strlen(value));
	TASK_CHECK_TEXT(text, value);
}

static void info_begins(hilo_stream *stream, const char *key, const char *value)
{
	char text[4096];

	TASK_CHECK(hilo_stream_info(stream, key, text, sizeof(text)), >, 0);
	TASK_CHECK(strncmp(text, value, strlen(value)), ==, 0);
}

static void bytes_go_both_ways(hilo_stream *a, hilo_stream *b, size_t size)
{
	char *out = malloc(size);
	struct stream_call writer[2] = {{.stream = a, .call = call_write, .buf = out, .size = size},
					{.stream = b, .call = call_write, .buf = out, .size = size}};

	bytes_fill(out, size, 0);
	stream_call_start(&writer[0]);
	stream_call_start(&writer[1]);
	stream_expect(b, size, 0);
	stream_expect(a, size, 0);
	TASK_CHECK(stream_call_end(&writer[0]), ==, size);
	TASK_CHECK(stream_call_end(&writer[1]), ==, size);
	free(out);
}

STREAM_TEST(test_bytes_go_both_ways_encrypted)
{
	char buf[8];

	test_tls_pair(a, b);
	info_is(a, "transport", "tls");
	info_is(b, "tls_version", "TLSv1.3");
	info_is(a, "session_reused", "0");
	info_is(a, "server_name", "server.test");
	info_is(b, "server_name", "server.test");
	info_is(a, "peer_subject", "CN=server");
	info_is(a, "peer_issuer", "CN=test authority");
	info_begins(a, "peer_certificate", "-----BEGIN CERTIFICATE-----\n");
	info_begins(a, "cipher", "TLS_");
	TASK_CHECK(hilo_stream_info(b, "peer_subject", NULL, 0), ==, -ENOENT);
	TASK_CHECK(hilo_stream_info(b, "alpn", NULL, 0), ==, -ENOENT);
	TASK_CHECK(hilo_stream_info(b, "tls_error", NULL, 0), ==, -ENOENT);
	bytes_go_both_ways(a, b, 1);
	bytes_go_both_ways(a, b, 300000);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	stream_expect_end(b);
	stream_say(b, "still");
	stream_expect_end(b);
	TASK_CHECK(hilo_stream_close(b, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read(a, buf, sizeof(buf), HILO_FOREVER), ==, 5);
	stream_expect_end(a);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	return 0;
}

/* What was said before is plain, and what others write meanwhile waits, and is encrypted. */
STREAM_TEST(test_plain_stream_goes_on_encrypted)
{
	char buf[16], after[] = "after\n";
	struct tls_side client = {.stream = a, .context = test_tls_client(NULL), .name = "localhost"};
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};
	struct stream_call writer = {.stream = a, .call = call_write, .buf = after, .size = 6};

	stream_say(a, "STARTTLS\n");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 9);
	stream_say(b, "OK\n");
	TASK_CHECK(hilo_stream_read_line(a, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	test_tls_begin(&client);
	TEST_UNTIL(hilo_task_get_state(client.task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_stream_read(a, buf, 1, HILO_FOREVER), ==, -EBUSY);
	stream_call_start(&writer);
	stream_call_waits(&writer);
	test_tls_begin(&server);
	TASK_CHECK(test_tls_end(&client), ==, 0);
	TASK_CHECK(test_tls_end(&server), ==, 0);
	TASK_CHECK(stream_call_end(&writer), ==, 6);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 6);
	TASK_CHECK_TEXT(buf, "after\n");
	bytes_go_both_ways(a, b, 5000);
	hilo_tls_context_unref(client.context);
	hilo_tls_context_unref(server.context);
	return 0;
}

/* As through a proxy that is itself reached over TLS. */
STREAM_TEST(test_tls_goes_over_tls)
{
	test_tls_pair(a, b);
	bytes_go_both_ways(a, b, 1000);
	test_tls_pair(a, b);
	bytes_go_both_ways(a, b, 100000);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	stream_expect_end(b);
	return 0;
}

static atomic(int) start_in_callback;

static void starts(void *arg)
{
	hilo_stream *stream = arg;
	hilo_tls_context *context = test_tls_server(NULL);

	store_relaxed(&start_in_callback, hilo_stream_start_tls(stream, context, NULL, HILO_FOREVER));
	hilo_tls_context_unref(context);
}

STREAM_TEST(test_handshake_is_not_begun_where_it_cannot_wait)
{
	int fd[2];
	hilo_stream *reads = NULL;
	hilo_tls_context *context = test_tls_server(NULL);

	store_relaxed(&start_in_callback, 0);
	TASK_CHECK(hilo_call_soon(starts, a, NULL), ==, 0);
	TEST_UNTIL(load_relaxed(&start_in_callback) != 0);
	TASK_CHECK(load_relaxed(&start_in_callback), ==, -EDEADLK);
	stream_say(a, "x"); /* nothing has changed */
	TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &reads), ==, 0);
	TASK_CHECK(hilo_stream_start_tls(reads, context, NULL, HILO_FOREVER), ==, -EBADF);
	hilo_stream_free(reads);
	(void)close(fd[1]);
	hilo_tls_context_unref(context);
	return 0;
}

/* A handshake that one side does not accept: both sides' codes and messages, and the streams are closed. */
static void is_refused(hilo_stream *a, hilo_stream *b, const struct cert *cert, const char *name, int code,
		       const char *message)
{
	hilo_tls_context_opts opts = {.cert_pem = cert->cert, .key_pem = cert->key};
	struct tls_side client = {.stream = a, .context = test_tls_client(NULL), .name = name};
	struct tls_side server = {.stream = b, .context = test_tls_server(&opts)};
	char byte;

	test_tls_both(&client, &server);
	TASK_CHECK(client.rc, ==, code);
	TASK_CHECK_CONTAINS(client.message, message);
	TASK_CHECK(hilo_stream_read(a, &byte, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_write(a, &byte, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(server.rc, ==, -EPROTO);
	TASK_CHECK_CONTAINS(server.message, "alert");
	hilo_tls_context_unref(client.context);
	hilo_tls_context_unref(server.context);
}

STREAM_TEST(test_expired_certificate_is_refused)
{
	is_refused(a, b, &test_certs.expired, "server.test", -EKEYREJECTED,
		   "the certificate of server.test is not accepted: certificate has expired");
	return 0;
}

STREAM_TEST(test_certificate_of_another_name_is_refused)
{
	is_refused(a, b, &test_certs.server, "server.example", -EKEYREJECTED, "hostname mismatch");
	return 0;
}

STREAM_TEST(test_certificate_of_another_address_is_refused)
{
	is_refused(a, b, &test_certs.server, "127.0.0.2", -EKEYREJECTED, "IP address mismatch");
	return 0;
}

STREAM_TEST(test_certificate_of_a_stranger_is_refused)
{
	is_refused(a, b, &test_certs.stranger, "server.test", -EKEYREJECTED, "self-signed certificate");
	return 0;
}

static void is_accepted(hilo_stream *a, hilo_stream *b, unsigned flags, const struct cert *cert,
			const char *name)
{
	hilo_tls_context_opts theirs = {.cert_pem = cert->cert, .key_pem = cert->key};
	hilo_tls_context_opts ours = {.flags = flags};
	struct tls_side client = {.stream = a, .context = test_tls_client(&ours), .name = name};
	struct tls_side server = {.stream = b, .context = test_tls_server(&theirs)};

	test_tls_both(&client, &server);
	TASK_CHECK(client.rc, ==, 0);
	TASK_CHECK(server.rc, ==, 0);
	bytes_go_both_ways(a, b, 100);
	hilo_tls_context_unref(client.context);
	hilo_tls_context_unref(server.context);
}

STREAM_TEST(test_address_is_verified)
{
	is_accepted(a, b, 0, &test_certs.server, "127.0.0.1");
	TASK_CHECK(hilo_stream_info(b, "server_name", NULL, 0), ==, -ENOENT);
	return 0;
}

STREAM_TEST(test_address_in_brackets_is_verified)
{
	is_accepted(a, b, 0, &test_certs.server, "[::1]");
	return 0;
}

STREAM_TEST(test_name_with_a_wildcard_is_accepted_whatever_its_case)
{
	is_accepted(a, b, 0, &test_certs.server, "One.Wild.Test.");
	info_is(b, "server_name", "one.wild.test");
	return 0;
}

STREAM_TEST(test_insecure_client_accepts_anybody)
{
	is_accepted(a, b, HILO_TLS_INSECURE, &test_certs.stranger, NULL);
	return 0;
}

STREAM_TEST(test_client_that_minds_no_name_still_minds_who_has_signed)
{
	is_accepted(a, b, HILO_TLS_ANY_NAME, &test_certs.server, "server.example");
	return 0;
}

STREAM_TEST(test_client_needs_a_name)
{
	hilo_tls_context *context = test_tls_client(NULL);

	TASK_CHECK(hilo_stream_start_tls(a, context, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "server_name");
	TASK_CHECK(hilo_stream_start_tls(a, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_start_tls(NULL, context, NULL, HILO_FOREVER), ==, -EINVAL);
	hilo_tls_context_unref(context);
	stream_say(a, "x"); /* nothing has changed */
	return 0;
}

STREAM_TEST(test_somebody_who_does_not_speak_tls_is_turned_away)
{
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};

	test_tls_begin(&server);
	stream_say(a, "GET / HTTP/1.0\r\n\r\n");
	TASK_CHECK(test_tls_end(&server), ==, -EPROTO);
	TASK_CHECK_CONTAINS(server.message, "http request");
	hilo_tls_context_unref(server.context);
	return 0;
}

STREAM_TEST(test_handshake_ends_at_its_deadline)
{
	hilo_tls_context_opts opts = {.handshake = HILO_MILLISECOND};
	struct tls_side server = {
		.stream = b, .context = test_tls_server(NULL), .deadline = hilo_after(HILO_MILLISECOND)};
	struct tls_side client = {.stream = a, .context = test_tls_client(&opts), .name = "server.test"};

	test_tls_begin(&server);
	TASK_CHECK(test_tls_end(&server), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_is_closing(b), ==, 1);
	hilo_tls_context_unref(server.context);
	test_tls_begin(&client);
	TASK_CHECK(test_tls_end(&client) < 0, ==, 1); /* hung up */
	hilo_tls_context_unref(client.context);
	return 0;
}

STREAM_TEST(test_handshake_has_a_limit_of_its_own)
{
	hilo_tls_context_opts opts = {.handshake = HILO_MILLISECOND};
	struct tls_side server = {.stream = b, .context = test_tls_server(&opts)};

	test_tls_begin(&server);
	TASK_CHECK(test_tls_end(&server), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(server.message, "longer than 0.001 s");
	hilo_tls_context_unref(server.context);
	return 0;
}

STREAM_TEST(test_handshake_can_be_cancelled)
{
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};
	char byte;

	test_tls_begin(&server);
	TEST_UNTIL(hilo_task_get_state(server.task) == HILO_TASK_SUSPENDED);
	hilo_task_cancel(server.task);
	TASK_CHECK(hilo_join(server.task, HILO_FOREVER), ==, 0);
	TASK_CHECK(server.rc, ==, -ECANCELED);
	TASK_CHECK(hilo_stream_read(b, &byte, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	hilo_tls_context_unref(server.context);
	return 0;
}

/* Whichever comes first: it is complete, and the stream can be used, or it is cancelled, and the stream has ended. */
STREAM_TEST(test_cancel_races_with_a_handshake)
{
	hilo_tls_context *ours = test_tls_client(NULL), *theirs = test_tls_server(NULL);

	for (unsigned i = 0; i < test_rounds(30); i++) {
		struct tls_side client = {.context = ours, .name = "server.test"};
		struct tls_side server = {.context = theirs, .hangs_up = true};
		hilo_stream *stream[2];

		TASK_CHECK(hilo_stream_pair(0, NULL, stream), ==, 0);
		client.stream = stream[0];
		server.stream = stream[1];
		test_tls_begin(&client);
		test_tls_begin(&server);
		for (unsigned j = 0; j < i; j++)
			test_pause();
		hilo_task_cancel(client.task);
		TASK_CHECK(hilo_join(client.task, HILO_FOREVER) <= 0, ==, 1); /* it may not have begun */
		if (client.rc == 0 && !hilo_stream_is_closing(stream[0])) {
			(void)hilo_stream_abort(stream[0]);
			(void)test_tls_end(&server);
		} else {
			TASK_CHECK(client.rc, ==, -ECANCELED);
			TASK_CHECK(hilo_stream_abort(stream[0]), ==, 0);
			(void)test_tls_end(&server); /* it may have been complete on that side */
		}
		hilo_stream_free(stream[0]);
		hilo_stream_free(stream[1]);
	}
	hilo_tls_context_unref(ours);
	hilo_tls_context_unref(theirs);
	return 0;
}

STREAM_TEST(test_handshake_ends_when_the_stream_is_aborted)
{
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};

	test_tls_begin(&server);
	TEST_UNTIL(hilo_task_get_state(server.task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_stream_abort(b), ==, 0);
	TASK_CHECK(test_tls_end(&server), ==, HILO_ECLOSED);
	hilo_tls_context_unref(server.context);
	return 0;
}

STREAM_TEST(test_handshake_ends_when_the_other_side_hangs_up)
{
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};

	test_tls_begin(&server);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(test_tls_end(&server), ==, -ECONNRESET);
	TASK_CHECK_CONTAINS(server.message, "hung up");
	hilo_tls_context_unref(server.context);
	return 0;
}

/* Cancels before anything has begun change nothing. */
STREAM_TEST(test_handshake_of_a_stream_that_is_read_has_not_begun)
{
	char buf[8];
	struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};
	struct tls_side server = {.stream = b, .context = test_tls_server(NULL)};

	stream_call_start(&reader);
	stream_call_waits(&reader);
	test_tls_begin(&server);
	TASK_CHECK(test_tls_end(&server), ==, -EBUSY);
	stream_say(a, "x");
	TASK_CHECK(stream_call_end(&reader), ==, 1);
	test_tls_begin(&server);
	TEST_UNTIL(hilo_task_get_state(server.task) == HILO_TASK_SUSPENDED);
	hilo_tls_context_unref(server.context);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(test_tls_end(&server) < 0, ==, 1);
	return 0;
}

STREAM_TEST(test_connection_that_is_cut_is_not_an_end)
{
	char buf[8];

	test_tls_pair(a, b);
	stream_say(a, "all?");
	TASK_CHECK(hilo_stream_flush(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	/* The server's tickets: what is not read would reset the connection. */
	TASK_CHECK(hilo_stream_read(a, buf, sizeof(buf), HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, HILO_ETRUNCATED);
	TASK_CHECK(hilo_stream_at_eof(b), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, HILO_ETRUNCATED);
	return 0;
}

STREAM_TEST(test_close_says_the_end)
{
	char buf[8];

	test_tls_pair(a, b);
	stream_say(a, "all");
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 3, HILO_FOREVER), ==, 3);
	stream_expect_end(b);
	return 0;
}

STREAM_TEST(test_read_that_ends_early_has_taken_nothing)
{
	char buf[8];
	struct stream_call reader = {.stream = b, .call = call_read_exactly, .buf = buf, .size = 6};

	test_tls_pair(a, b);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, -ETIMEDOUT);
	stream_say(a, "abc");
	stream_call_start(&reader);
	stream_call_waits(&reader);
	hilo_task_cancel(reader.task);
	TASK_CHECK(stream_call_end(&reader), ==, -ECANCELED);
	stream_say(a, "def");
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 6, HILO_FOREVER), ==, 6);
	TASK_CHECK(memcmp(buf, "abcdef", 6), ==, 0);
	return 0;
}

STREAM_TEST(test_stream_that_is_closed_ends_who_waits)
{
	char buf[8];
	struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};

	test_tls_pair(a, b);
	stream_call_start(&reader);
	stream_call_waits(&reader);
	TASK_CHECK(hilo_stream_close(b, HILO_FOREVER), ==, 0);
	TASK_CHECK(stream_call_end(&reader), ==, HILO_ECLOSED);
	stream_expect_end(a);
	return 0;
}

/* Nobody reads: what is written does not go away, nor does the end. */
STREAM_TEST(test_close_of_a_stuffed_stream_ends_at_its_deadline)
{
	test_tls_pair(a, b);
	(void)stream_stuff(a, 0);
	TASK_CHECK(hilo_stream_close(a, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	return 0;
}

STREAM_TEST(test_write_that_waits_can_be_cancelled)
{
	size_t stuffed;
	char byte = byte_at(STUFFING);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = &byte, .size = 1};

	test_tls_pair(a, b);
	stuffed = stream_stuff(a, 0);
	stream_call_start(&writer);
	stream_call_waits(&writer);
	hilo_task_cancel(writer.task);
	TASK_CHECK(stream_call_end(&writer), ==, -ECANCELED);
	stream_expect(b, stuffed, 0);
	stream_call_start(&writer);
	TASK_CHECK(stream_call_end(&writer), ==, 1);
	stream_expect(b, 1, stuffed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_go_both_ways_encrypted),
		cmocka_unit_test(test_plain_stream_goes_on_encrypted),
		cmocka_unit_test(test_tls_goes_over_tls),
		cmocka_unit_test(test_handshake_is_not_begun_where_it_cannot_wait),
		cmocka_unit_test(test_expired_certificate_is_refused),
		cmocka_unit_test(test_certificate_of_another_name_is_refused),
		cmocka_unit_test(test_certificate_of_another_address_is_refused),
		cmocka_unit_test(test_certificate_of_a_stranger_is_refused),
		cmocka_unit_test(test_address_is_verified),
		cmocka_unit_test(test_address_in_brackets_is_verified),
		cmocka_unit_test(test_name_with_a_wildcard_is_accepted_whatever_its_case),
		cmocka_unit_test(test_insecure_client_accepts_anybody),
		cmocka_unit_test(test_client_that_minds_no_name_still_minds_who_has_signed),
		cmocka_unit_test(test_client_needs_a_name),
		cmocka_unit_test(test_somebody_who_does_not_speak_tls_is_turned_away),
		cmocka_unit_test(test_handshake_ends_at_its_deadline),
		cmocka_unit_test(test_handshake_has_a_limit_of_its_own),
		cmocka_unit_test(test_handshake_can_be_cancelled),
		cmocka_unit_test(test_cancel_races_with_a_handshake),
		cmocka_unit_test(test_handshake_ends_when_the_stream_is_aborted),
		cmocka_unit_test(test_handshake_ends_when_the_other_side_hangs_up),
		cmocka_unit_test(test_handshake_of_a_stream_that_is_read_has_not_begun),
		cmocka_unit_test(test_connection_that_is_cut_is_not_an_end),
		cmocka_unit_test(test_close_says_the_end),
		cmocka_unit_test(test_read_that_ends_early_has_taken_nothing),
		cmocka_unit_test(test_stream_that_is_closed_ends_who_waits),
		cmocka_unit_test(test_close_of_a_stuffed_stream_ends_at_its_deadline),
		cmocka_unit_test(test_write_that_waits_can_be_cancelled),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
