/* SPDX-License-Identifier: MIT */
/*
 * test_tls_server.c - servers and connections over TLS: each client's handshake is its own affair, and one that fails
 * is counted.
 */
#include "tests/support/certs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hilo/io/connect.h>
#include <hilo/io/server.h>

#include "scheduler/base/mem.h"

static int echo(hilo_stream *client, void *arg)
{
	char line[256];
	ssize_t n;

	(void)arg;
	while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0)
		if ((n = hilo_stream_write(client, line, (size_t)n, HILO_FOREVER)) < 0)
			break;
	return (int)n;
}

struct place {
	hilo_server *server;
	hilo_tls_context *theirs, *ours;
	hilo_address address;
};

static void place_open_with(struct place *place, hilo_server_fn handler, hilo_server_opts opts)
{
	place->theirs = test_tls_server(NULL);
	place->ours = test_tls_client(NULL);
	opts.size = sizeof(opts);
	opts.host = "127.0.0.1";
	opts.tls = place->theirs;
	TASK_CHECK(hilo_start_server(handler, NULL, &opts, &place->server, HILO_FOREVER), ==, 0);
	hilo_tls_context_unref(place->theirs); /* the server has its own reference */
	TASK_CHECK(hilo_server_sockname(place->server, 0, &place->address), ==, 0);
}

static void place_open(struct place *place)
{
	place_open_with(place, echo, (hilo_server_opts){0});
}

static void place_close(struct place *place)
{
	TASK_CHECK(hilo_server_close(place->server, NULL, HILO_FOREVER), ==, 0);
	hilo_server_free(place->server);
	hilo_tls_context_unref(place->ours);
}

static hilo_server_stats stats_of(const struct place *place)
{
	hilo_server_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_server_get_stats(place->server, &stats), ==, 0);
	return stats;
}

static int connect_to(const struct place *place, hilo_tls_context *tls, hilo_runtime *runtime,
		      hilo_stream **ret)
{
	hilo_stream_opts stream = {.size = sizeof(stream), .runtime = runtime};
	hilo_connect_opts opts = {.size = sizeof(opts), .tls = tls, .stream = runtime ? &stream : NULL};

	return hilo_open_connection_to(&place->address, &opts, ret, HILO_FOREVER);
}

static hilo_stream *connected(const struct place *place)
{
	hilo_stream *stream = NULL;

	TASK_CHECK(connect_to(place, place->ours, NULL, &stream), ==, 0);
	return stream;
}

static void says(hilo_stream *stream, const char *line)
{
	char buf[64];

	TASK_CHECK(hilo_stream_write(stream, line, strlen(line), HILO_FOREVER), ==, strlen(line));
	TASK_CHECK(hilo_stream_read_line(stream, buf, sizeof(buf), HILO_FOREVER), ==, strlen(line));
	TASK_CHECK_TEXT(buf, line);
}

static void close_and_free(hilo_stream *stream)
{
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
}

TASK_TEST(test_clients_are_served_over_tls)
{
	hilo_stream *stream[8], *named = NULL;
	hilo_connect_opts opts = {.size = sizeof(opts)};
	struct place place;
	char text[64];

	place_open(&place);
	for (int i = 0; i < 8; i++)
		stream[i] = connected(&place);
	for (int i = 0; i < 8; i++) {
		says(stream[i], "hello\n");
		TASK_CHECK(hilo_stream_info(stream[i], "transport", text, sizeof(text)), ==, 3);
		TASK_CHECK_TEXT(text, "tls");
	}
	for (int i = 0; i < 8; i++)
		close_and_free(stream[i]);
	opts.tls = place.ours;
	TASK_CHECK(hilo_open_connection("localhost", hilo_address_port(&place.address), &opts, &named,
					HILO_FOREVER),
		   ==, 0);
	TASK_CHECK(hilo_stream_info(named, "server_name", text, sizeof(text)), ==, 9);
	says(named, "by name\n");
	close_and_free(named);
	TEST_UNTIL(hilo_server_clients(place.server) == 0);
	TASK_CHECK(stats_of(&place).accepted, ==, 9);
	TASK_CHECK(stats_of(&place).failed, ==, 0);
	TASK_CHECK(stats_of(&place).refused, ==, 0);
	place_close(&place);
	return 0;
}

TASK_TEST(test_silent_client_keeps_nobody_else)
{
	hilo_tls_opts tls = {.size = sizeof(tls), .handshake = HILO_MILLISECOND};
	hilo_stream *silent = NULL, *stream;
	struct place place;
	char byte;

	place_open(&place);
	TASK_CHECK(connect_to(&place, NULL, NULL, &silent), ==, 0);
	stream = connected(&place);
	says(stream, "hello\n");
	TEST_UNTIL(hilo_server_clients(place.server) == 2);
	close_and_free(stream);
	TASK_CHECK(hilo_stream_close(silent, HILO_FOREVER), ==, 0);
	hilo_stream_free(silent);
	TEST_UNTIL(stats_of(&place).refused == 1);
	place_close(&place);

	place_open_with(&place, echo, (hilo_server_opts){.tls_opts = &tls}); /* and is sent away in the end */
	TASK_CHECK(connect_to(&place, NULL, NULL, &silent), ==, 0);
	TASK_CHECK(hilo_stream_read(silent, &byte, 1, HILO_FOREVER) <= 0, ==, 1);
	hilo_stream_free(silent);
	TEST_UNTIL(stats_of(&place).refused == 1);
	place_close(&place);
	return 0;
}

TASK_TEST(test_client_that_speaks_no_tls_is_counted)
{
	hilo_stream *stream = NULL;
	struct place place;
	char buf[64];

	place_open(&place);
	TASK_CHECK(connect_to(&place, NULL, NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_write(stream, "GET / HTTP/1.0\r\n\r\n", 18, HILO_FOREVER), ==, 18);
	while (hilo_stream_read(stream, buf, sizeof(buf), HILO_FOREVER) > 0)
		;
	hilo_stream_free(stream);
	TEST_UNTIL(stats_of(&place).refused == 1);
	stream = connected(&place);
	says(stream, "still there\n");
	close_and_free(stream);
	TASK_CHECK(stats_of(&place).failed, ==, 0);
	place_close(&place);
	return 0;
}

/* A client in its handshake is a client: it is cancelled with the others. */
TASK_TEST(test_close_ends_handshakes)
{
	hilo_server_counts counts = {.size = sizeof(counts)};
	hilo_stream *silent = NULL;
	struct place place;

	place_open(&place);
	TASK_CHECK(connect_to(&place, NULL, NULL, &silent), ==, 0);
	TEST_UNTIL(hilo_server_clients(place.server) == 1);
	TASK_CHECK(hilo_server_close(place.server, &counts, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(counts.cancelled, ==, 1);
	hilo_stream_free(silent);
	place_close(&place);
	return 0;
}

TASK_TEST(test_connection_that_is_not_accepted_is_closed)
{
	hilo_connect_opts opts = {.size = sizeof(opts)};
	hilo_tls_opts tls = {.size = sizeof(tls), .server_name = "somebody.else"};
	hilo_tls_context *nobody = NULL;
	hilo_stream *stream = NULL;
	struct place place;

	place_open(&place);
	opts.tls = place.ours;
	opts.tls_opts = &tls;
	TASK_CHECK(hilo_open_connection_to(&place.address, &opts, &stream, HILO_FOREVER), ==, -EKEYREJECTED);
	TASK_CHECK_CONTAINS(hilo_error_message(),
			    "hilo_open_connection_to: the certificate of somebody.else");
	TASK_CHECK(hilo_tls_client_new(NULL, &nobody), ==, 0); /* trusts the system's alone */
	TASK_CHECK(connect_to(&place, nobody, NULL, &stream), ==, -EKEYREJECTED);
	TASK_CHECK(stream, ==, NULL);
	hilo_tls_context_unref(nobody);
	TEST_UNTIL(stats_of(&place).refused == 2);
	place_close(&place);
	return 0;
}

TASK_TEST(test_contexts_of_the_wrong_kind_are_refused)
{
	hilo_tls_context *theirs = test_tls_server(NULL), *ours = test_tls_client(NULL);
	hilo_connect_opts connect = {.size = sizeof(connect), .tls = theirs};
	hilo_server_opts serve = {.size = sizeof(serve), .host = "127.0.0.1", .tls = ours};
	hilo_server *server;
	hilo_stream *stream;

	TASK_CHECK(hilo_open_connection("127.0.0.1", 1, &connect, &stream, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_start_server(echo, NULL, &serve, &server, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "a context of clients");
	hilo_tls_context_unref(theirs);
	hilo_tls_context_unref(ours);
	return 0;
}

struct thread_client {
	const struct place *place;
	hilo_runtime *runtime;
};

static void *thread_client(void *arg)
{
	struct thread_client *self = arg;
	hilo_stream *stream = NULL;

	TASK_CHECK(connect_to(self->place, self->place->ours, self->runtime, &stream), ==, 0);
	says(stream, "from a thread\n");
	close_and_free(stream);
	return NULL;
}

TASK_TEST(test_plain_thread_is_a_client)
{
	struct place place;
	struct thread_client client = {&place, hilo_runtime_current()};
	pthread_t thread;

	place_open(&place);
	TASK_CHECK(pthread_create(&thread, NULL, thread_client, &client), ==, 0);
	test_join_thread(thread);
	place_close(&place);
	return 0;
}

#define CROWD 40

static int converses(void *arg)
{
	const struct place *place = arg;

	for (int i = 0; i < 3; i++) {
		hilo_stream *stream = connected(place);

		for (int j = 0; j < 3; j++)
			says(stream, "one of many\n");
		close_and_free(stream);
	}
	return 0;
}

/* Sessions are taken and put back by all of them at once. */
TASK_TEST(test_crowd_is_served)
{
	hilo_task *task[CROWD];
	struct place place;

	place_open(&place);
	for (int i = 0; i < CROWD; i++)
		task[i] = hilo_spawn(converses, &place);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	place_close(&place);
	return 0;
}

/* Each request for memory of our own fails once: the handshake, or the transport's making. */
static int memory_fails(void *arg)
{
	hilo_stream *pair[2];
	int good = 0;

	(void)arg;
	for (long nth = 1; nth < 40; nth++) {
		struct tls_side client = {
			.context = test_tls_client(NULL), .name = "server.test", .hangs_up = true};
		struct tls_side server = {.context = test_tls_server(NULL), .hangs_up = true};

		TASK_CHECK(hilo_stream_pair(0, NULL, pair), ==, 0);
		client.stream = pair[0];
		server.stream = pair[1];
		client.task = server.task = NULL;
		test_tls_begin(&client);
		test_tls_begin(&server);
		hilo__mem_fail_at(nth, false);
		(void)test_tls_end(&client);
		(void)test_tls_end(&server);
		hilo__mem_fail_at(0, false);
		if (client.rc == 0 && server.rc == 0)
			good++;
		else
			TASK_CHECK(client.rc == -ENOMEM || server.rc == -ENOMEM, ==, 1);
		hilo_stream_free(pair[0]);
		hilo_stream_free(pair[1]);
		hilo_tls_context_unref(client.context);
		hilo_tls_context_unref(server.context);
	}
	TASK_CHECK(good, >, 0);
	TASK_CHECK(good, <, 39);
	return 0;
}

static void test_no_memory_for_a_handshake_is_told(void **state)
{
	long live = hilo__mem_live();

	(void)state;
	assert_int_equal(test_run(1, memory_fails, NULL), 0);
	assert_true(hilo__mem_live() <= live + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_are_served_over_tls),
		cmocka_unit_test(test_silent_client_keeps_nobody_else),
		cmocka_unit_test(test_client_that_speaks_no_tls_is_counted),
		cmocka_unit_test(test_close_ends_handshakes),
		cmocka_unit_test(test_connection_that_is_not_accepted_is_closed),
		cmocka_unit_test(test_contexts_of_the_wrong_kind_are_refused),
		cmocka_unit_test(test_plain_thread_is_a_client),
		cmocka_unit_test(test_crowd_is_served),
		cmocka_unit_test(test_no_memory_for_a_handshake_is_told),
	};
	int rc;

	test_begin();
	test_certs_begin();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_certs_end();
	return rc;
}
