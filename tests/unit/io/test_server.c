/* SPDX-License-Identifier: MIT */
/*
 * test_server.c - servers: one task for each client, limits, trouble, and the end with its counts. Clients are plain
 * sockets or connections of the same program.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hilo/io/connect.h>
#include <hilo/io/path.h>
#include <hilo/io/server.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

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

static hilo_server *started_with(hilo_server_fn handler, void *arg, hilo_server_opts opts)
{
	hilo_server *server = NULL;

	opts.size = sizeof(opts);
	if (!opts.host && !opts.hosts && !opts.path)
		opts.host = "127.0.0.1";
	TASK_CHECK(hilo_start_server(handler, arg, &opts, &server, HILO_FOREVER), ==, 0);
	return server;
}

static hilo_server *started(hilo_server_fn handler, void *arg)
{
	return started_with(handler, arg, (hilo_server_opts){0});
}

static hilo_address address_of(const hilo_server *server)
{
	hilo_address address;

	TASK_CHECK(hilo_server_sockname(server, 0, &address), ==, 0);
	return address;
}

static hilo_stream *connected(const hilo_server *server)
{
	hilo_address address = address_of(server);
	hilo_stream *stream = NULL;

	TASK_CHECK(hilo_open_connection_to(&address, NULL, &stream, HILO_FOREVER), ==, 0);
	return stream;
}

static void says(hilo_stream *stream, const char *line)
{
	char buf[64];

	TASK_CHECK(hilo_stream_write(stream, line, strlen(line), HILO_FOREVER), ==, strlen(line));
	TASK_CHECK(hilo_stream_read_line(stream, buf, sizeof(buf), HILO_FOREVER), ==, strlen(line));
	TASK_CHECK_TEXT(buf, line);
}

/* The other side ends it. */
static void ends(hilo_stream *stream)
{
	char byte;
	ssize_t n = hilo_stream_read(stream, &byte, 1, HILO_FOREVER);

	TASK_CHECK(n == 0 || n == -ECONNRESET, ==, 1);
}

static hilo_server_stats stats_of(const hilo_server *server)
{
	hilo_server_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_server_get_stats(server, &stats), ==, 0);
	return stats;
}

/* All is over, and the listening sockets are closed. */
static void closed(hilo_server *server)
{
	TASK_CHECK(hilo_server_close(server, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_clients(server), ==, 0);
	hilo_server_free(server);
}

TASK_TEST(test_client_is_answered_and_counted)
{
	hilo_server *server = started(echo, NULL);
	hilo_stream *client = connected(server);

	TASK_CHECK(hilo_server_sockets(server), ==, 1);
	TASK_CHECK(hilo_server_is_serving(server), ==, 1);
	says(client, "hello\n");
	TASK_CHECK(hilo_server_clients(server), ==, 1);
	says(client, "again\n");
	TASK_CHECK(hilo_stream_close(client, HILO_FOREVER), ==, 0);
	hilo_stream_free(client);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(stats_of(server).accepted, ==, 1);
	TASK_CHECK(stats_of(server).failed, ==, 0);
	closed(server);
	return 0;
}

#define CROWD 64

static int converses(void *server)
{
	hilo_stream *client = connected(server);
	char line[32];

	for (int i = 0; i < 5; i++) {
		(void)snprintf(line, sizeof(line), "%p %d\n", (void *)client, i);
		says(client, line);
	}
	hilo_stream_free(client);
	return 0;
}

TASK_TEST(test_crowd_is_served_at_once)
{
	hilo_server *server = started(echo, NULL);
	hilo_task *task[CROWD];

	for (int i = 0; i < CROWD; i++)
		task[i] = hilo_spawn(converses, server);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(stats_of(server).accepted, ==, CROWD);
	closed(server);
	return 0;
}

static void test_crowd_is_served_by_eight_workers(void **state)
{
	(void)state;
	assert_int_equal(test_run(8, test_crowd_is_served_at_once_body, NULL), 0);
}

/* What the last failure was told with. */
static struct {
	int code;
	char message[512];
	test_flag told;
} told;

static void tells(const hilo_exception *exception, void *arg)
{
	(void)arg;
	told.code = exception->code;
	(void)snprintf(told.message, sizeof(told.message), "%s", exception->message);
	(void)add_release(&told.told, 1);
}

static int fails(hilo_stream *client, void *arg)
{
	char line[16];

	(void)arg;
	if (hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER) > 0 && *line == 'f')
		return hilo_fail(-EPROTO, "that was no greeting");
	return hilo_stream_write(client, "fine\n", 5, HILO_FOREVER) == 5 ? 0 : -1;
}

TASK_TEST(test_handler_that_fails_is_told_with_its_client_and_the_server_goes_on)
{
	hilo_server *server = started(fails, NULL);
	hilo_stream *client = connected(server);
	char text[16];

	store_relaxed(&told.told, 0);
	hilo_set_exception_handler(tells, NULL);
	TASK_CHECK(hilo_stream_write(client, "fail\n", 5, HILO_FOREVER), ==, 5);
	ends(client);
	TEST_UNTIL(load_acquire(&told.told));
	TASK_CHECK(told.code, ==, -EPROTO);
	TASK_CHECK_CONTAINS(told.message, "that was no greeting");
	TASK_CHECK_CONTAINS(told.message, "client 127.0.0.1:");
	hilo_stream_free(client);
	client = connected(server);
	TASK_CHECK(hilo_stream_write(client, "hi\n", 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_stream_read_line(client, text, sizeof(text), HILO_FOREVER), ==, 5);
	ends(client);
	hilo_stream_free(client);
	TASK_CHECK(stats_of(server).failed, ==, 1);
	closed(server);
	TASK_CHECK(load_acquire(&told.told), ==, 1);
	hilo_set_exception_handler(NULL, NULL);
	return 0;
}

#define LARGE (300 * 1024)

static int writes_much(hilo_stream *client, void *arg)
{
	static char data[LARGE];

	(void)arg;
	return hilo_stream_write(client, data, LARGE, HILO_FOREVER) == LARGE ? 0 : -1;
}

TASK_TEST(test_what_a_handler_has_written_is_sent_before_its_stream_is_closed)
{
	hilo_server *server = started(writes_much, NULL);
	hilo_stream *client = connected(server);
	static char buf[8192];
	size_t size = 0;
	ssize_t n;

	while ((n = hilo_stream_read(client, buf, sizeof(buf), HILO_FOREVER)) > 0)
		size += (size_t)n;
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(size, ==, LARGE);
	hilo_stream_free(client);
	closed(server);
	return 0;
}

TASK_TEST(test_address_in_use_says_so)
{
	hilo_server *server = started(echo, NULL), *second = NULL;
	hilo_address address = address_of(server);
	hilo_server_opts opts = {
		.size = sizeof(opts), .host = "127.0.0.1", .port = hilo_address_port(&address)};
	char text[64];

	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRINUSE);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u: the address is in use", opts.port);
	TASK_CHECK_CONTAINS(hilo_error_message(), text);
	TASK_CHECK(second, ==, NULL);
	opts.flags = HILO_SERVER_REUSE_PORT;
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRINUSE);
	closed(server);
	/* The same address at once, though connections of the server before may linger. */
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, 0);
	closed(server);
	closed(second);
	opts.host = "192.0.2.1";
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EADDRNOTAVAIL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "192.0.2.1:");
	return 0;
}

TASK_TEST(test_address_that_is_none_of_this_machine_does_not_hide_what_is_wrong_with_another)
{
	static const char *const hosts[] = {"192.0.2.1", "127.0.0.1", "203.0.113.1"};
	hilo_server *server = started(echo, NULL), *second = NULL;
	hilo_address address = address_of(server);
	hilo_server_opts opts = {
		.size = sizeof(opts), .hosts = hosts, .n_hosts = 3, .port = hilo_address_port(&address)};
	char text[64];

	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRINUSE);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u: the address is in use", opts.port);
	TASK_CHECK_CONTAINS(hilo_error_message(), text);
	closed(server);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockets(second), ==, 1);
	closed(second);
	opts.n_hosts = 1;
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRNOTAVAIL);
	return 0;
}

TASK_TEST(test_several_hosts_have_the_same_free_port)
{
	static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "127.0.0.1"};
	hilo_server *server = started_with(echo, NULL, (hilo_server_opts){.hosts = hosts, .n_hosts = 3});
	hilo_address first, second;

	TASK_CHECK(hilo_server_sockets(server), ==, 2);
	TASK_CHECK(hilo_server_sockname(server, 0, &first), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 1, &second), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 2, &second), ==, -EINVAL);
	TASK_CHECK(hilo_address_port(&first), ==, hilo_address_port(&second));
	for (int i = 0; i < 2; i++) {
		hilo_stream *client;

		TASK_CHECK(hilo_open_connection(hosts[i], hilo_address_port(&first), NULL, &client,
						HILO_FOREVER),
			   ==, 0);
		says(client, "x\n");
		hilo_stream_free(client);
	}
	closed(server);
	return 0;
}

TASK_TEST(test_limit_lets_others_wait_in_the_backlog)
{
	hilo_server *server = started_with(echo, NULL, (hilo_server_opts){.max_clients = 2});
	hilo_stream *client[3];
	hilo_task *task[8];

	for (int i = 0; i < 3; i++)
		client[i] = connected(server);
	says(client[0], "0\n");
	says(client[1], "1\n");
	TASK_CHECK(hilo_stream_write(client[2], "2\n", 2, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_server_clients(server), ==, 2);
	hilo_stream_free(client[0]);
	says(client[1], "1\n");
	TASK_CHECK(hilo_stream_read(client[2], (char[4]){0}, 4, HILO_FOREVER), ==, 2);
	hilo_stream_free(client[1]);
	hilo_stream_free(client[2]);
	for (int i = 0; i < 8; i++)
		task[i] = hilo_spawn(converses, server);
	for (int i = 0; i < 8; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(stats_of(server).most, <=, 2);
	TASK_CHECK(stats_of(server).accepted, ==, 11);
	closed(server);
	return 0;
}

/* A server at two addresses, and clients of one of them. */
struct places {
	hilo_server *server;
	unsigned at;
};

static hilo_stream *connected_at(const hilo_server *server, size_t index)
{
	hilo_stream *stream = NULL;
	hilo_address address;

	TASK_CHECK(hilo_server_sockname(server, index, &address), ==, 0);
	TASK_CHECK(hilo_open_connection_to(&address, NULL, &stream, HILO_FOREVER), ==, 0);
	return stream;
}

static int converses_at(void *arg)
{
	const struct places *places = arg;

	for (int i = 0; i < 3; i++) {
		hilo_stream *client = connected_at(places->server, places->at);

		says(client, "a\n");
		says(client, "b\n");
		hilo_stream_free(client);
	}
	return 0;
}

static hilo_server *started_at_two(size_t max_clients)
{
	static const char *const hosts[] = {"127.0.0.1", "127.0.0.2"};

	return started_with(echo, NULL,
			    (hilo_server_opts){.hosts = hosts, .n_hosts = 2, .max_clients = max_clients});
}

/* Nobody is at the other socket: its acceptors keep no place. */
static void limit_is_of_clients(size_t max_clients)
{
	for (unsigned at = 0; at < 2; at++) {
		hilo_server *server = started_at_two(max_clients);
		hilo_stream *client[4];

		for (size_t i = 0; i < max_clients; i++) {
			client[i] = connected_at(server, at);
			says(client[i], "in\n");
		}
		client[max_clients] = connected_at(server, 1 - at);
		TASK_CHECK(hilo_stream_write(client[max_clients], "later\n", 6, HILO_FOREVER), ==, 6);
		says(client[0], "still in\n");
		TASK_CHECK(hilo_server_clients(server), ==, max_clients);
		hilo_stream_free(client[0]);
		TASK_CHECK(hilo_stream_read_exactly(client[max_clients], (char[8]){0}, 6, HILO_FOREVER), ==,
			   6);
		for (size_t i = 1; i <= max_clients; i++)
			hilo_stream_free(client[i]);
		TASK_CHECK(stats_of(server).most, ==, max_clients);
		closed(server);
	}
}

TASK_TEST(test_limit_counts_clients_whichever_socket_they_come_to)
{
	for (size_t max_clients = 1; max_clients <= 3; max_clients++)
		limit_is_of_clients(max_clients);
	return 0;
}

TASK_TEST(test_limit_serves_crowds_at_two_sockets)
{
	for (size_t max_clients = 1; max_clients <= 2; max_clients++) {
		hilo_server *server = started_at_two(max_clients);
		struct places places[2] = {{server, 0}, {server, 1}};
		hilo_task *task[12];

		for (unsigned i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(converses_at, &places[i % 2]);
		for (unsigned i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(stats_of(server).most, <=, max_clients);
		TASK_CHECK(stats_of(server).accepted, ==, 3 * array_size(task));
		TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_server_start_serving(server), ==, 0);
		TASK_CHECK(converses_at(&places[1]), ==, 0);
		closed(server);
	}
	return 0;
}

/* A server that is full, and those who wait, can be closed. */
TASK_TEST(test_server_that_is_full_ends)
{
	hilo_server *server = started_at_two(1);
	hilo_server_counts counts = {.size = sizeof(counts)};
	hilo_stream *client[3];

	client[0] = connected_at(server, 0);
	says(client[0], "in\n");
	client[1] = connected_at(server, 0);
	client[2] = connected_at(server, 1);
	TASK_CHECK(hilo_server_close(server, &counts, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(counts.cancelled, ==, 1);
	for (unsigned i = 0; i < array_size(client); i++) {
		ends(client[i]);
		hilo_stream_free(client[i]);
	}
	hilo_server_free(server);
	return 0;
}

TASK_TEST(test_pause_lets_clients_wait_and_start_serves_them)
{
	hilo_server *server = started(echo, NULL);
	hilo_stream *before = connected(server), *client;

	says(before, "before\n");
	TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_is_serving(server), ==, 0);
	client = connected(server);
	says(before, "meanwhile\n");
	TASK_CHECK(hilo_server_clients(server), ==, 1);
	TASK_CHECK(hilo_server_start_serving(server), ==, 0);
	TASK_CHECK(hilo_server_start_serving(server), ==, 0);
	says(client, "after\n");
	hilo_stream_free(before);
	hilo_stream_free(client);
	closed(server);
	return 0;
}

TASK_TEST(test_server_that_was_not_started_refuses)
{
	hilo_server *server = started_with(echo, NULL, (hilo_server_opts){.flags = HILO_SERVER_NO_START});
	hilo_address address = address_of(server);
	hilo_stream *client;

	TASK_CHECK(hilo_server_is_serving(server), ==, 0);
	TASK_CHECK(hilo_open_connection_to(&address, NULL, &client, HILO_FOREVER), ==, -ECONNREFUSED);
	TASK_CHECK(hilo_server_start_serving(server), ==, 0);
	client = connected(server);
	says(client, "now\n");
	hilo_stream_free(client);
	TASK_CHECK(hilo_server_stop(server), ==, 0);
	TASK_CHECK(hilo_server_start_serving(server), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, HILO_ECLOSED);
	closed(server);
	server = started_with(echo, NULL, (hilo_server_opts){.flags = HILO_SERVER_NO_START});
	closed(server);
	hilo_server_free(NULL);
	return 0;
}

/* What the end of a server meets: handlers of three tempers. */
struct tempers {
	hilo_event go;
	atomic(unsigned) began;
};

static int ends_by_itself(hilo_stream *client, void *arg)
{
	struct tempers *tempers = arg;

	(void)client;
	(void)add_release(&tempers->began, 1);
	return hilo_event_wait(&tempers->go, HILO_FOREVER);
}

static int ends_when_its_stream_does(hilo_stream *client, void *arg)
{
	struct tempers *tempers = arg;
	char byte;
	ssize_t n;

	(void)add_release(&tempers->began, 1);
	(void)hilo_shield_enter();
	n = hilo_stream_read(client, &byte, 1, HILO_FOREVER);
	(void)hilo_shield_leave();
	TASK_CHECK(n, ==, HILO_ECLOSED);
	return -ECANCELED;
}

static int ends_when_it_likes(hilo_stream *client, void *arg)
{
	int rc;

	(void)hilo_shield_enter();
	rc = ends_by_itself(client, arg);
	(void)hilo_shield_leave();
	return rc;
}

static void tempers_begin(struct tempers *tempers, hilo_server *server, hilo_stream *client[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		client[i] = connected(server);
	TEST_UNTIL(load_acquire(&tempers->began) == n);
}

static void tempers_end(hilo_server *server, hilo_stream *client[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		hilo_stream_free(client[i]);
	hilo_server_free(server);
}

struct closing {
	hilo_server *server;
	hilo_server_counts counts;
	hilo_time deadline;
};

static int closes(void *arg)
{
	struct closing *closing = arg;

	closing->counts.size = sizeof(closing->counts);
	return hilo_server_close(closing->server, &closing->counts, closing->deadline);
}

/* Whether somebody listens there. */
static bool listens(const hilo_address *address)
{
	hilo_stream *stream;
	int rc = hilo_open_connection_to(address, NULL, &stream, HILO_FOREVER);

	if (rc == 0)
		hilo_stream_free(stream);
	return rc != -ECONNREFUSED;
}

TASK_TEST(test_close_waits_for_clients_that_end_by_themselves)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server = started(ends_by_itself, &tempers);
	struct closing closing = {.server = server, .deadline = HILO_FOREVER};
	hilo_address address = address_of(server);
	hilo_stream *client[3];
	hilo_task *task;

	tempers_begin(&tempers, server, client, 3);
	task = hilo_spawn(closes, &closing);
	TEST_UNTIL(!listens(&address));
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(hilo_event_set(&tempers.go), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(closing.counts.drained, >=, 3);
	TASK_CHECK(closing.counts.cancelled + closing.counts.aborted + closing.counts.running, ==, 0);
	tempers_end(server, client, 3);
	return 0;
}

TASK_TEST(test_close_cancels_clients_that_are_left_at_its_deadline)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server =
		started_with(ends_by_itself, &tempers, (hilo_server_opts){.grace = 1000 * HILO_SECOND});
	struct closing closing = {.server = server, .deadline = HILO_NO_WAIT};
	hilo_stream *client[20];

	tempers_begin(&tempers, server, client, 20);
	TASK_CHECK(closes(&closing), ==, 0);
	TASK_CHECK(closing.counts.drained, ==, 0);
	TASK_CHECK(closing.counts.cancelled, ==, 20);
	TASK_CHECK(closing.counts.aborted + closing.counts.running, ==, 0);
	for (int i = 0; i < 20; i++)
		ends(client[i]);
	TASK_CHECK(closes(&closing), ==, 0);
	TASK_CHECK(closing.counts.cancelled, ==, 0);
	tempers_end(server, client, 20);
	return 0;
}

TASK_TEST(test_close_drops_connections_of_clients_that_do_not_listen)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server = started_with(ends_when_its_stream_does, &tempers,
					   (hilo_server_opts){.grace = 300 * HILO_MILLISECOND});
	struct closing closing = {.server = server, .deadline = HILO_NO_WAIT};
	hilo_stream *client[2];

	tempers_begin(&tempers, server, client, 2);
	TASK_CHECK(closes(&closing), ==, 0);
	TASK_CHECK(closing.counts.aborted, ==, 2);
	TASK_CHECK(closing.counts.drained + closing.counts.cancelled + closing.counts.running, ==, 0);
	tempers_end(server, client, 2);
	return 0;
}

TASK_TEST(test_close_tells_of_handlers_that_do_not_return_and_can_be_repeated)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server =
		started_with(ends_when_it_likes, &tempers, (hilo_server_opts){.grace = 5 * HILO_MILLISECOND});
	struct closing closing = {.server = server, .deadline = HILO_NO_WAIT};
	hilo_stream *client[2];

	tempers_begin(&tempers, server, client, 2);
	TASK_CHECK(closes(&closing), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "2 handlers");
	TASK_CHECK(closing.counts.running, ==, 2);
	TASK_CHECK(closing.counts.aborted, ==, 2);
	ends(client[0]);
	TASK_CHECK(hilo_event_set(&tempers.go), ==, 0);
	closing.deadline = HILO_FOREVER;
	TASK_CHECK(closes(&closing), ==, 0);
	TASK_CHECK(closing.counts.running, ==, 0);
	tempers_end(server, client, 2);
	return 0;
}

TASK_TEST(test_close_that_is_cancelled_closes_at_once)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server = started(ends_by_itself, &tempers);
	struct closing closing = {.server = server, .deadline = HILO_FOREVER};
	hilo_stream *client[2];
	hilo_task *task;

	tempers_begin(&tempers, server, client, 2);
	task = hilo_spawn(closes, &closing);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_server_clients(server), ==, 0);
	tempers_end(server, client, 2);
	return 0;
}

static int serves(void *server)
{
	return hilo_server_serve_forever(server, HILO_FOREVER);
}

TASK_TEST(test_serve_forever_that_is_cancelled_closes_the_server)
{
	struct tempers tempers = {.go = HILO_EVENT_INIT};
	hilo_server *server =
		started_with(ends_by_itself, &tempers,
			     (hilo_server_opts){.flags = HILO_SERVER_NO_START, .drain = HILO_MILLISECOND});
	hilo_address address = address_of(server);
	hilo_stream *client[2];
	hilo_task *task = hilo_spawn(serves, server);

	TEST_UNTIL(hilo_server_is_serving(server));
	tempers_begin(&tempers, server, client, 2);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(listens(&address), ==, false);
	TASK_CHECK(hilo_server_clients(server), ==, 0);
	ends(client[0]);
	TASK_CHECK(hilo_server_serve_forever(server, HILO_FOREVER), ==, 0);
	tempers_end(server, client, 2);
	return 0;
}

static int stops_its_server(hilo_stream *client, void *arg)
{
	hilo_server **server = arg;
	char line[8];

	if (hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER) <= 0)
		return 0;
	if (*line == 's')
		return hilo_server_stop(*server);
	TASK_CHECK(hilo_server_close(*server, NULL, HILO_FOREVER), ==, -EDEADLK);
	return 0;
}

TASK_TEST(test_handler_may_stop_its_server_and_not_wait_for_it)
{
	for (const char *line = "s\nc\n"; *line; line += 2) {
		hilo_server *server = started(stops_its_server, &server);
		hilo_task *task = hilo_spawn(serves, server);
		hilo_stream *client = connected(server);

		TASK_CHECK(hilo_stream_write(client, line, 2, HILO_FOREVER), ==, 2);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
		ends(client);
		hilo_stream_free(client);
		closed(server);
	}
	return 0;
}

TASK_TEST(test_block_closes_its_server)
{
	hilo_server *server = started_with(echo, NULL, (hilo_server_opts){.flags = HILO_SERVER_NO_START});
	hilo_address address = address_of(server);
	hilo_stream *client;
	int rc;

	HILO_WITH_SERVER(server, &rc)
	{
		client = connected(server);
		says(client, "in\n");
		hilo_stream_free(client);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_open_connection_to(&address, NULL, &client, HILO_FOREVER), ==, -ECONNREFUSED);
	hilo_server_free(server);
	return 0;
}

TASK_TEST(test_unix_socket_has_a_file_as_long_as_it_listens)
{
	char folder[] = "/tmp/hilo-test-server-XXXXXX", path[64];
	hilo_server_opts opts = {.size = sizeof(opts), .path = path};
	hilo_server *server, *second = NULL;
	struct stat file;
	hilo_stream *client;
	int fd;

	TASK_CHECK(mkdtemp(folder) != NULL, ==, 1);
	(void)snprintf(path, sizeof(path), "%s/socket", folder);
	server = started_with(echo, NULL, opts);
	client = connected(server);
	says(client, "unix\n");
	hilo_stream_free(client);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRINUSE);
	TASK_CHECK_CONTAINS(hilo_error_message(), path);
	closed(server);
	TASK_CHECK(stat(path, &file), ==, -1);
	/* One that was left behind is replaced, one that is no socket is not. */
	opts.flags = HILO_SERVER_KEEP_PATH;
	closed(started_with(echo, NULL, opts));
	TASK_CHECK(stat(path, &file), ==, 0);
	opts.flags = 0;
	server = started_with(echo, NULL, opts);
	/* Another file has taken its place: that one stays. */
	TASK_CHECK(unlink(path), ==, 0);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(close(fd), ==, 0);
	closed(server);
	TASK_CHECK(stat(path, &file), ==, 0);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -EADDRINUSE);
	TASK_CHECK(unlink(path), ==, 0);
	TASK_CHECK(rmdir(folder), ==, 0);
	(void)snprintf(path, sizeof(path), "@hilo-test-server-%d", (int)getpid());
	server = started_with(echo, NULL, opts);
	client = connected(server);
	says(client, "abstract\n");
	hilo_stream_free(client);
	closed(server);
	return 0;
}

#define STORM 300

static int storms(void *server)
{
	for (unsigned i = 0; i < test_rounds(STORM) / 4 + 1; i++) {
		hilo_stream *client = connected(server);

		says(client, "storm\n");
		hilo_stream_free(client);
	}
	return 0;
}

TASK_TEST(test_storm_of_clients_loses_none_and_leaks_nothing)
{
	hilo_server *server = started(echo, NULL);
	unsigned expected = 4 * (test_rounds(STORM) / 4 + 1), before = 0;
	hilo_task *task[4];

	for (int round = 0; round < 2; round++) {
		before = test_fds();
		for (int i = 0; i < 4; i++)
			task[i] = hilo_spawn(storms, server);
		for (int i = 0; i < 4; i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TEST_UNTIL(hilo_server_clients(server) == 0);
	}
	TASK_CHECK(stats_of(server).accepted, ==, 2 * expected);
	TASK_CHECK(test_fds(), <=, before + 20); /* rings that were made meanwhile */
	closed(server);
	return 0;
}

struct clients {
	hilo_address address;
	atomic(unsigned) connected;
	test_flag stop;
};

static int keeps_coming(void *arg)
{
	struct clients *clients = arg;
	hilo_stream *stream;

	while (!load_acquire(&clients->stop)) {
		if (hilo_open_connection_to(&clients->address, NULL, &stream, HILO_FOREVER) < 0)
			break;
		(void)add_release(&clients->connected, 1);
		(void)hilo_stream_write(stream, "x\n", 2, HILO_FOREVER);
		(void)hilo_stream_read(stream, (char[4]){0}, 4, HILO_FOREVER);
		hilo_stream_free(stream);
	}
	return 0;
}

TASK_TEST(test_close_while_clients_keep_coming_ends)
{
	for (unsigned round = 0; round < test_rounds(6); round++) {
		hilo_server *server = started(echo, NULL);
		struct clients clients = {.address = address_of(server)};
		hilo_task *task[4];

		for (int i = 0; i < 4; i++)
			task[i] = hilo_spawn(keeps_coming, &clients);
		TEST_UNTIL(load_acquire(&clients.connected) > 8);
		TASK_CHECK(hilo_server_close(server, NULL, hilo_after(HILO_MILLISECOND)), ==, 0);
		store_release(&clients.stop, 1);
		for (int i = 0; i < 4; i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		hilo_server_free(server);
	}
	return 0;
}

TASK_TEST(test_clients_that_are_gone_before_they_are_accepted_do_no_harm)
{
	hilo_server *server = started(echo, NULL);
	const struct linger at_once = {1, 0};
	hilo_address address = address_of(server);
	hilo_stream *client;

	TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, 0);
	hilo_set_exception_handler(tells, NULL); /* that they were reset is a failure of their handlers */
	for (int i = 0; i < 8; i++) {
		int fd = hilo__sock_new(AF_INET, SOCK_STREAM, 0);

		TASK_CHECK(hilo__sock_connect(fd, &address), ==, 0);
		if (i % 2)
			TASK_CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), ==, 0);
		TASK_CHECK(close(fd), ==, 0);
	}
	TASK_CHECK(hilo_server_start_serving(server), ==, 0);
	client = connected(server);
	says(client, "me\n");
	hilo_stream_free(client);
	closed(server);
	hilo_set_exception_handler(NULL, NULL);
	return 0;
}

static int holds_its_worker(void *flag)
{
	while (!load_acquire((test_flag *)flag))
		cpu_relax();
	return 0;
}

/* Somebody fetches what has come for the worker that is held. */
TASK_TEST(test_clients_are_served_while_a_worker_is_held)
{
	hilo_server *server = started(echo, NULL);
	test_flag release = 0;
	hilo_task *hog = hilo_spawn(holds_its_worker, &release), *task;

	task = hilo_spawn(storms, server);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	store_release(&release, 1);
	TASK_CHECK(hilo_join(hog, HILO_FOREVER), ==, 0);
	closed(server);
	return 0;
}

TASK_TEST(test_mistakes_are_told)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1", .path = "x"};
	hilo_server_counts counts = {.size = 1};
	hilo_server *server = NULL;

	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts), .port = 65536};
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts), .flags = 4096};
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts), .grace = -1};
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts), .n_hosts = 2};
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts)};
	TASK_CHECK(hilo_start_server(NULL, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(server, ==, NULL);
	TASK_CHECK(hilo_server_stop(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_server_close(NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_server_serve_forever(NULL, HILO_FOREVER), ==, -EINVAL);
	server = started(echo, NULL);
	TASK_CHECK(hilo_server_close(server, &counts, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_server_is_serving(server), ==, 1);
	closed(server);
	return 0;
}

TASK_TEST(test_cancel_that_is_set_wins_and_nothing_is_started_or_paused)
{
	hilo_server_opts opts = {.size = sizeof(opts), .path = "@hilo-test-cancelled"};
	hilo_server *server = started(echo, NULL), *second = NULL;
	hilo_stream *client;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &second, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_server_stop_serving(server, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(second, ==, NULL);
	client = connected(server);
	says(client, "still\n");
	hilo_stream_free(client);
	closed(server);
	return 0;
}

static int no_memory_body(void *arg)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	hilo_server *server = NULL;
	long n = 1;
	int rc;

	(void)arg;
	(void)hilo_fail(-ENOMEM, "there is a place for a message");
	do {
		hilo__mem_fail_at(n++, true);
		rc = hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM || rc == -EAGAIN, ==, 1);
	} while (rc < 0);
	TASK_CHECK(n, >, 2);
	closed(server);
	return 0;
}

static void test_no_memory_is_told_and_leaves_nothing(void **state)
{
	unsigned before = test_fds();

	(void)state;
	assert_int_equal(test_run(1, no_memory_body, NULL), 0);
	assert_int_equal(test_fds(), before);
}

static hilo_server *left;

static int leaves_its_server(void *arg)
{
	hilo_stream *client;

	(void)arg;
	left = started(echo, NULL);
	client = connected(left);
	says(client, "left\n");
	hilo_stream_free(client);
	return 0;
}

static void test_server_that_is_left_open_is_told_and_can_be_freed_later(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = HILO_DEBUG_MODE};
	unsigned before = test_fds();

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(leaves_its_server, NULL, &opts), 0);
	assert_int_equal(test_log_count("servers that were not freed"), 1);
	test_log_end();
	hilo_server_free(left);
	assert_int_equal(test_fds(), before);
}

/* The child: a server with few descriptors, which ends when a client says so. */
static int poor_handler(hilo_stream *client, void *arg)
{
	hilo_server **server = arg;
	char line[64];
	ssize_t n;

	while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0) {
		if (strcmp(line, "quit\n") == 0)
			return hilo_server_stop(*server);
		if (hilo_stream_write(client, line, (size_t)n, HILO_FOREVER) < 0)
			break;
	}
	return 0;
}

static int poor_body(void *arg)
{
	hilo_server *server = started(poor_handler, &server);
	hilo_address address = address_of(server);
	unsigned port = hilo_address_port(&address);
	struct rlimit limit;
	hilo_server_stats stats;
	hilo_stream *self;

	/* One connection before, so that all rings and the like are there that one client needs. */
	self = connected(server);
	says(self, "warm\n");
	hilo_stream_free(self);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	limit.rlim_cur = test_fds() + 8;
	TASK_CHECK(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	TASK_CHECK(write(*(int *)arg, &port, sizeof(port)), ==, sizeof(port));
	TASK_CHECK(hilo_server_serve_forever(server, HILO_FOREVER), ==, 0);
	stats = stats_of(server);
	TASK_CHECK(stats.pauses, >, 0);
	TASK_CHECK(stats.turned_away, >, 0);
	closed(server);
	return 0;
}

static atomic(bool) no_watches;

/* The user's limit of watched descriptors is reached, for those who listen. */
static int no_watches_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int listens = 0;
	socklen_t size = sizeof(listens);

	if (load_relaxed(&no_watches) && op != EPOLL_CTL_DEL &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
		return -ENOSPC;
	return sys_real_epoll_ctl(epfd, op, fd, event);
}

static int no_watches_body(void *arg)
{
	static const unsigned most[] = {0, 5};

	(void)arg;
	for (size_t i = 0; i < array_size(most); i++) {
		hilo_server *server;
		hilo_stream *client;

		store_relaxed(&no_watches, true);
		server = started_with(echo, NULL, (hilo_server_opts){.max_clients = most[i]});
		if (!hilo__io_is_ring(hilo__io_runtime()))
			TEST_UNTIL(stats_of(server).pauses > 1);
		store_relaxed(&no_watches, false);
		client = connected(server);
		says(client, "hello\n");
		hilo_stream_free(client);
		closed(server);
	}
	return 0;
}

static void test_no_watch_is_waited_for(void **state)
{
	(void)state;
	hilo__sys.epoll_ctl = no_watches_epoll_ctl;
	assert_int_equal(test_run(2, no_watches_body, NULL), 0);
	hilo__sys_reset();
}

#define POOR_CLIENTS 40

/*
 * A client that gives up after some seconds: if the descriptor that is kept was needed for something else, a ring for
 * another worker, those in the backlog wait until some client has gone.
 */
static int poor_connect(unsigned port)
{
	const struct timeval patience = {.tv_sec = 5};
	hilo_address address;
	int fd = hilo__sock_new(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(hilo_address_ip("127.0.0.1", port, &address), 0);
	assert_int_equal(hilo__sock_connect(fd, &address), 0);
	return fd;
}

/* 1: it was served; 0: turned away. */
static int poor_asks(int fd)
{
	char line[8];

	if (send(fd, "ask\n", 4, MSG_NOSIGNAL) != 4)
		return 0;
	return recv(fd, line, sizeof(line), 0) == 4;
}

static void test_no_descriptor_turns_clients_away_and_others_are_served_later(void **state)
{
	int channel[2], client[POOR_CLIENTS], status, served = 0;
	unsigned port;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
	(void)fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(test_run(2, poor_body, &channel[1]) == 0 ? 0 : 1);
	assert_int_equal(read(channel[0], &port, sizeof(port)), sizeof(port));
	for (int i = 0; i < POOR_CLIENTS; i++)
		client[i] = poor_connect(port);
	for (int i = 0; i < POOR_CLIENTS; i++)
		served += poor_asks(client[i]);
	assert_true(served > 0 && served < POOR_CLIENTS);
	for (int i = 0; i < POOR_CLIENTS; i++)
		assert_int_equal(close(client[i]), 0);
	/* As soon as the server has seen that they are gone somebody is served again. */
	do
		client[0] = poor_connect(port);
	while (!poor_asks(client[0]) && close(client[0]) == 0);
	assert_int_equal(send(client[0], "quit\n", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(close(client[0]) | close(channel[0]) | close(channel[1]), 0);
}

static int everywhere_body(void *arg)
{
	hilo_server_opts opts = {.size = sizeof(opts)};
	hilo_server *server = NULL;
	hilo_address address;
	hilo_stream *client;

	(void)arg;
	TASK_CHECK(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), ==, 0);
	address = address_of(server);
	TASK_CHECK(hilo_server_sockets(server), ==, 2);
	for (int i = 0; i < 2; i++) {
		TASK_CHECK(hilo_open_connection(i ? "::1" : "127.0.0.1", hilo_address_port(&address), NULL,
						&client, HILO_FOREVER),
			   ==, 0);
		says(client, "both\n");
		hilo_stream_free(client);
	}
	closed(server);
	return 0;
}

static void test_ipv6_has_a_socket_of_its_own(void **state)
{
	hilo_address address;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	(void)state;
	assert_int_equal(hilo_address_ip("::1", 0, &address), 0);
	rc = fd < 0 ? -1 : bind(fd, &address.any, address.length);
	if (fd >= 0)
		(void)close(fd);
	if (rc < 0)
		TEST_SKIP("this machine has no IPv6");
	assert_int_equal(test_run(2, everywhere_body, NULL), 0);
}

static void test_plain_thread_and_callback_cannot_start_one(void **state)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	hilo_server *server;

	(void)state;
	assert_int_equal(hilo_start_server(echo, NULL, &opts, &server, HILO_FOREVER), -EDEADLK);
}

/* No ring can be made once descriptors have run out: what is open goes on. */
TASK_TEST(test_no_descriptor_for_a_ring)
{
	hilo_server *server;
	hilo_stream *client;
	struct stat status;

	hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 1, EMFILE, true);
	server = started(echo, NULL);
	client = connected(server);
	for (int i = 0; i < 3; i++)
		says(client, "hello\n");
	TASK_CHECK(hilo_path_stat("/", &status, HILO_FOREVER), ==, 0);
	hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 0, 0, false);
	says(client, "again\n");
	TASK_CHECK(hilo_stream_close(client, HILO_FOREVER), ==, 0);
	hilo_stream_free(client);
	closed(server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptor_turns_clients_away_and_others_are_served_later),
		cmocka_unit_test(test_client_is_answered_and_counted),
		cmocka_unit_test(test_crowd_is_served_at_once),
		cmocka_unit_test(test_crowd_is_served_by_eight_workers),
		cmocka_unit_test(test_handler_that_fails_is_told_with_its_client_and_the_server_goes_on),
		cmocka_unit_test(test_what_a_handler_has_written_is_sent_before_its_stream_is_closed),
		cmocka_unit_test(test_address_in_use_says_so),
		cmocka_unit_test(
			test_address_that_is_none_of_this_machine_does_not_hide_what_is_wrong_with_another),
		cmocka_unit_test(test_several_hosts_have_the_same_free_port),
		cmocka_unit_test(test_limit_lets_others_wait_in_the_backlog),
		cmocka_unit_test(test_limit_counts_clients_whichever_socket_they_come_to),
		cmocka_unit_test(test_limit_serves_crowds_at_two_sockets),
		cmocka_unit_test(test_server_that_is_full_ends),
		cmocka_unit_test(test_pause_lets_clients_wait_and_start_serves_them),
		cmocka_unit_test(test_server_that_was_not_started_refuses),
		cmocka_unit_test(test_close_waits_for_clients_that_end_by_themselves),
		cmocka_unit_test(test_close_cancels_clients_that_are_left_at_its_deadline),
		cmocka_unit_test(test_close_drops_connections_of_clients_that_do_not_listen),
		cmocka_unit_test(test_close_tells_of_handlers_that_do_not_return_and_can_be_repeated),
		cmocka_unit_test(test_close_that_is_cancelled_closes_at_once),
		cmocka_unit_test(test_serve_forever_that_is_cancelled_closes_the_server),
		cmocka_unit_test(test_handler_may_stop_its_server_and_not_wait_for_it),
		cmocka_unit_test(test_block_closes_its_server),
		cmocka_unit_test(test_unix_socket_has_a_file_as_long_as_it_listens),
		cmocka_unit_test(test_storm_of_clients_loses_none_and_leaks_nothing),
		cmocka_unit_test(test_close_while_clients_keep_coming_ends),
		cmocka_unit_test(test_clients_that_are_gone_before_they_are_accepted_do_no_harm),
		cmocka_unit_test(test_clients_are_served_while_a_worker_is_held),
		cmocka_unit_test(test_mistakes_are_told),
		cmocka_unit_test(test_cancel_that_is_set_wins_and_nothing_is_started_or_paused),
		cmocka_unit_test(test_no_memory_is_told_and_leaves_nothing),
		cmocka_unit_test(test_server_that_is_left_open_is_told_and_can_be_freed_later),
		cmocka_unit_test(test_no_descriptor_for_a_ring),
		cmocka_unit_test(test_no_watch_is_waited_for),
		cmocka_unit_test(test_ipv6_has_a_socket_of_its_own),
		cmocka_unit_test(test_plain_thread_and_callback_cannot_start_one),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
