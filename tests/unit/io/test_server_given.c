/* SPDX-License-Identifier: MIT */
/*
 * test_server_given.c - servers on sockets that somebody else has opened: what was inherited, and what is handed on to
 * the next server without losing a client.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hilo/io/connect.h>
#include <hilo/io/server.h>

#include "io/sock_impl.h"
#include "scheduler/base/mem.h"

/* Says who it is, once for each line. */
static int names_itself(hilo_stream *client, void *name)
{
	char line[64];
	ssize_t n;

	while ((n = hilo_stream_read_line(client, line, sizeof(line), HILO_FOREVER)) > 0)
		if ((n = hilo_stream_write(client, name, strlen(name), HILO_FOREVER)) < 0)
			break;
	return (int)n;
}

static int listening(hilo_address *address)
{
	int fd = hilo__sock_new(AF_INET, SOCK_STREAM, 0);

	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo_address_parse("127.0.0.1:0", address), ==, 0);
	TASK_CHECK(hilo__sock_bind(fd, address), ==, 0);
	TASK_CHECK(hilo__sock_listen(fd, 64), ==, 0);
	TASK_CHECK(hilo_address_of_socket(fd, address), ==, 0);
	return fd;
}

static int start(const int *fds, size_t n, const char *name, hilo_server **ret)
{
	hilo_server_opts opts = {.size = sizeof(opts), .fds = fds, .n_fds = n};

	return hilo_start_server(names_itself, (void *)(uintptr_t)name, &opts, ret, HILO_FOREVER);
}

static hilo_server *started(int fd, const char *name)
{
	hilo_server *server = NULL;

	TASK_CHECK(start(&fd, 1, name, &server), ==, 0);
	return server;
}

static hilo_stream *connected(const hilo_address *address)
{
	hilo_stream *stream = NULL;

	TASK_CHECK(hilo_open_connection_to(address, NULL, &stream, HILO_FOREVER), ==, 0);
	return stream;
}

static void answers(hilo_stream *stream, const char *name)
{
	char line[64];

	TASK_CHECK(hilo_stream_write(stream, "who\n", 4, HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_stream_read_line(stream, line, sizeof(line), HILO_FOREVER), ==, strlen(name));
	TASK_CHECK_TEXT(line, name);
}

static void closed(hilo_server *server)
{
	TASK_CHECK(hilo_server_close(server, NULL, HILO_FOREVER), ==, 0);
	hilo_server_free(server);
}

TASK_TEST(test_client_that_came_before_the_server_is_served)
{
	hilo_address address, name;
	int fd = listening(&address);
	hilo_stream *client = connected(&address);
	hilo_server *server = started(fd, "first\n");

	TASK_CHECK(hilo_server_sockets(server), ==, 1);
	TASK_CHECK(hilo_server_sockname(server, 0, &name), ==, 0);
	TASK_CHECK(hilo_address_equal(&name, &address), ==, 1);
	TASK_CHECK(close(fd), ==, 0); /* the server has its own */
	answers(client, "first\n");
	hilo_stream_free(client);
	client = connected(&address);
	answers(client, "first\n");
	hilo_stream_free(client);
	closed(server);
	return 0;
}

TASK_TEST(test_next_server_takes_over_and_no_client_is_refused)
{
	hilo_address address;
	int fd = listening(&address);
	hilo_server *old = started(fd, "old\n"), *new;
	hilo_stream *first = connected(&address), *second;

	answers(first, "old\n");
	TASK_CHECK(hilo_server_stop_serving(old, HILO_FOREVER), ==, 0);
	second = connected(&address); /* nobody accepts at the moment */
	answers(first, "old\n");
	hilo_stream_free(first);
	closed(old);
	new = started(fd, "new\n");
	answers(second, "new\n");
	hilo_stream_free(second);
	first = connected(&address);
	answers(first, "new\n");
	hilo_stream_free(first);
	closed(new);
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_socket_that_is_only_bound_listens)
{
	hilo_address address;
	int fd[2];
	hilo_server *server = NULL;
	hilo_stream *client;

	for (int i = 0; i < 2; i++) {
		fd[i] = hilo__sock_new(AF_INET, SOCK_STREAM, 0);
		TASK_CHECK(hilo_address_parse("127.0.0.1:0", &address), ==, 0);
		TASK_CHECK(hilo__sock_bind(fd[i], &address), ==, 0);
	}
	TASK_CHECK(start(fd, 2, "both\n", &server), ==, 0);
	TASK_CHECK(hilo_server_sockets(server), ==, 2);
	for (size_t i = 0; i < 2; i++) {
		TASK_CHECK(hilo_server_sockname(server, i, &address), ==, 0);
		client = connected(&address);
		answers(client, "both\n");
		hilo_stream_free(client);
		TASK_CHECK(close(fd[i]), ==, 0);
	}
	closed(server);
	return 0;
}

static void refused(int fd, int rc, const char *why)
{
	hilo_server *server = NULL;

	TASK_CHECK(start(&fd, 1, "never\n", &server), ==, rc);
	TASK_CHECK_CONTAINS(hilo_error_message(), why);
	TASK_CHECK(server, ==, NULL);
}

TASK_TEST(test_what_cannot_listen_is_refused_and_left_open)
{
	hilo_address address;
	int fd = listening(&address), pair[2], datagrams = hilo__sock_new(AF_INET, SOCK_DGRAM, 0);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), both[2] = {fd, datagrams};
	hilo_server_opts opts = {.size = sizeof(opts), .fds = &fd, .n_fds = 1, .host = "127.0.0.1"};
	hilo_server *server = NULL;

	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	refused(-1, -EBADF, "descriptor -1");
	refused(file, -ENOTSOCK, "on non-socket");
	refused(datagrams, -EPROTOTYPE, "not a socket of streams");
	refused(pair[0], -EPROTOTYPE, "the socket is connected");
	TASK_CHECK(start(both, 2, "never\n", &server), ==, -EPROTOTYPE);
	TASK_CHECK(hilo__sock_is_nonblocking(fd), ==, 0); /* as it was */
	TASK_CHECK(start(&fd, 0, "never\n", &server), ==, -EINVAL);
	TASK_CHECK(start(NULL, 1, "never\n", &server), ==, -EINVAL);
	TASK_CHECK(start(&fd, 33, "never\n", &server), ==, -EINVAL);
	TASK_CHECK(hilo_start_server(names_itself, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_server_opts){.size = sizeof(opts), .fds = &fd, .n_fds = 1, .port = 1};
	TASK_CHECK(hilo_start_server(names_itself, NULL, &opts, &server, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(server, ==, NULL);
	server = started(fd, "still\n"); /* it can be used all the same */
	closed(server);
	TASK_CHECK(close(fd) | close(file) | close(datagrams) | close(pair[0]) | close(pair[1]), ==, 0);
	return 0;
}

TASK_TEST(test_clients_have_the_options_of_the_flags)
{
	const unsigned flags[] = {HILO_SERVER_NAGLE, 0, HILO_SERVER_KEEP_ALIVE};
	hilo_address address;
	int fd = listening(&address), value;
	hilo_server_opts opts = {.size = sizeof(opts), .fds = &fd, .n_fds = 1};
	hilo_server *server;

	for (unsigned i = 0; i < 3; i++) {
		opts.flags = flags[i];
		TASK_CHECK(hilo_start_server(names_itself, NULL, &opts, &server, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo__sock_get(fd, IPPROTO_TCP, TCP_NODELAY, &value), ==, 0);
		TASK_CHECK(value != 0, ==, i > 0);
		TASK_CHECK(hilo__sock_get(fd, SOL_SOCKET, SO_KEEPALIVE, &value), ==, 0);
		TASK_CHECK(value != 0, ==, i == 2);
		closed(server);
	}
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_unix_socket_needs_no_options)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};
	int fd = hilo__sock_new(AF_UNIX, SOCK_STREAM, 0);

	TASK_CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)), ==,
		   0); /* a name of the system's */
	closed(started(fd, "local\n"));
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_no_memory_is_told_and_the_socket_stays)
{
	hilo_address address;
	int fd = listening(&address), rc;
	hilo_server *server = NULL;
	long n = 1;

	(void)hilo_fail(-ENOMEM, "there is a place for a message");
	do {
		hilo__mem_fail_at(n++, true);
		rc = start(&fd, 1, "late\n", &server);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM || rc == -EAGAIN, ==, 1);
	} while (rc < 0);
	closed(server);
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_that_came_before_the_server_is_served),
		cmocka_unit_test(test_next_server_takes_over_and_no_client_is_refused),
		cmocka_unit_test(test_socket_that_is_only_bound_listens),
		cmocka_unit_test(test_what_cannot_listen_is_refused_and_left_open),
		cmocka_unit_test(test_clients_have_the_options_of_the_flags),
		cmocka_unit_test(test_unix_socket_needs_no_options),
		cmocka_unit_test(test_no_memory_is_told_and_the_socket_stays),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
