/* SPDX-License-Identifier: MIT */
/*
 * test_connect.c - connections to others: which address wins, what is said when none does, and what is left behind
 * (nothing). Names are those of a resolver in here. An address that does not answer is a socket with a full queue: the
 * kernel drops what comes.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hilo/io/connect.h>
#include <hilo/io/resolve.h>

#include "io/sock_impl.h"
#include "scheduler/base/mem.h"

/* Short names, so that messages have room for all addresses: three of one family, two of the other. */
static const char *const of_both[][2] = {
	{"a", "127.0.0.3+127.0.0.4+127.0.0.5+::ffff:127.0.0.6+::ffff:127.0.0.7"},
	{"b", "::ffff:127.0.0.6+127.0.0.3+127.0.0.4+::ffff:127.0.0.7+127.0.0.5"},
};

/* A name is a list of addresses, with '+' between them, or short for one. */
static int fake_lookup(const hilo_resolve_query *query, hilo_address *ret, size_t max, void *arg)
{
	char copy[256], *rest = copy, *host;
	int n = 0;

	(void)arg;
	(void)snprintf(copy, sizeof(copy), "%s", query->host);
	for (size_t i = 0; i < array_size(of_both); i++)
		if (strcmp(query->host, of_both[i][0]) == 0)
			(void)snprintf(copy, sizeof(copy), "%s", of_both[i][1]);
	while ((host = strsep(&rest, "+")) && n < (int)max)
		TASK_CHECK(hilo_address_ip(host, 0, &ret[n++]), ==, 0);
	return n;
}

static void fake_begin(void)
{
	const hilo_resolver_opts opts = {.size = sizeof(opts), .lookup = fake_lookup};

	TASK_CHECK(hilo_resolver_configure(&opts), ==, 0);
}

static void fake_end(void)
{
	TASK_CHECK(hilo_resolver_configure(NULL), ==, 0);
}

/* A socket that listens at @host and *@port, 0: any, which is told then. */
static int listener(const char *host, unsigned *port, int backlog)
{
	hilo_address address;
	int fd;

	TASK_CHECK(hilo_address_ip(host, *port, &address), ==, 0);
	fd = hilo__sock_new(address.any.sa_family, SOCK_STREAM, SOCK_NONBLOCK);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo__sock_bind(fd, &address), ==, 0);
	TASK_CHECK(hilo__sock_listen(fd, backlog), ==, 0);
	TASK_CHECK(hilo_address_of_socket(fd, &address), ==, 0);
	*port = hilo_address_port(&address);
	return fd;
}

/* The client that waits at @fd; and who it is. */
static int accepted(int fd, hilo_address *from)
{
	hilo_address other;
	int client;

	TEST_UNTIL((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	TASK_CHECK(hilo_address_of_peer(client, from ? from : &other), ==, 0);
	return client;
}

static void is_host(const hilo_address *address, const char *host)
{
	char text[HILO_ADDRESS_SIZE];

	(void)hilo_address_host(address, text, sizeof(text));
	TASK_CHECK_TEXT(text, host);
}

#define HOLE_MOST 16

/* An address that does not answer. */
struct hole {
	int listener, n, client[HOLE_MOST];
};

static void hole_open(struct hole *hole, const char *host, unsigned *port)
{
	struct timespec moment = {0, 20000000};
	int done = 1;

	hole->listener = listener(host, port, 0);
	hole->n = 0;
	while (done && hole->n < HOLE_MOST) {
		hilo_address address;
		int fd = hilo__sock_new(AF_INET, SOCK_STREAM, SOCK_NONBLOCK), rc;
		struct pollfd poll = {.fd = fd, .events = POLLOUT};

		TASK_CHECK(hilo_address_ip(host, *port, &address), ==, 0);
		rc = hilo__sock_connect(fd, &address);
		hole->client[hole->n++] = fd;
		done = rc == 0 || ppoll(&poll, 1, &moment, NULL) == 1;
	}
	TASK_CHECK(done, ==, 0);
}

static void hole_close(struct hole *hole)
{
	while (hole->n > 0)
		TASK_CHECK(close(hole->client[--hole->n]), ==, 0);
	TASK_CHECK(close(hole->listener), ==, 0);
}

TASK_TEST(test_connection_is_a_stream_that_sends_at_once)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .flags = HILO_CONNECT_KEEP_ALIVE};
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	hilo_stream *stream;
	char buf[8];

	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, 0);
	client = accepted(fd, NULL);
	TASK_CHECK(hilo_stream_write(stream, "hello", 5, HILO_FOREVER), ==, 5);
	TEST_UNTIL(recv(client, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK) == 5);
	TASK_CHECK(send(client, "hi\n", 3, 0), ==, 3);
	TASK_CHECK(hilo_stream_read_line(stream, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
	TASK_CHECK(close(client) | close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_refused_tells_the_address)
{
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8);
	hilo_stream *stream = NULL;
	char text[128];

	TASK_CHECK(close(fd), ==, 0);
	TASK_CHECK(hilo_open_connection("127.0.0.1", port, NULL, &stream, HILO_FOREVER), ==, -ECONNREFUSED);
	(void)snprintf(text, sizeof(text), "hilo_open_connection: 127.0.0.1:%u: Connection refused", port);
	TASK_CHECK_TEXT(hilo_error_message(), text);
	TASK_CHECK(stream, ==, NULL);
	return 0;
}

TASK_TEST(test_all_that_have_failed_are_told_in_the_order_in_which_they_were_tried)
{
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8);
	hilo_stream *stream;
	char text[256];

	TASK_CHECK(close(fd), ==, 0);
	fake_begin();
	TASK_CHECK(hilo_open_connection("127.0.0.3+127.0.0.4", port, NULL, &stream, HILO_FOREVER), ==,
		   -ECONNREFUSED);
	(void)snprintf(text, sizeof(text),
		       "hilo_open_connection: 127.0.0.3+127.0.0.4:%u: 127.0.0.3:%u: Connection refused; "
		       "127.0.0.4:%u: Connection refused",
		       port, port, port);
	TASK_CHECK_TEXT(hilo_error_message(), text);
	/* The families take turns. */
	TASK_CHECK(hilo_open_connection("::1+::1+127.0.0.3", port, NULL, &stream, HILO_FOREVER), <, 0);
	TASK_CHECK(strstr(hilo_error_message(), "; 127.0.0.3:") < strstr(hilo_error_message(), "; [::1]:"),
		   ==, 1);
	TASK_CHECK_CONTAINS(hilo_error_message(), "; [::1]:");
	fake_end();
	return 0;
}

TASK_TEST(test_address_that_does_not_answer_is_passed_after_the_delay)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .delay = HILO_MILLISECOND};
	unsigned port = 0, before = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	struct hole hole;
	hilo_stream *stream;
	hilo_address from;

	fake_begin();
	hole_open(&hole, "127.0.0.2", &port);
	for (int i = 0; i < 40; i++) {
		TASK_CHECK(hilo_open_connection("127.0.0.2+127.0.0.1", port, &opts, &stream, HILO_FOREVER),
			   ==, 0);
		client = accepted(fd, &from);
		is_host(&from, "127.0.0.1");
		hilo_stream_free(stream);
		TASK_CHECK(close(client), ==, 0);
		if (i == 0)
			before = test_fds();
	}
	/* The attempts that have lost are closed; there may be rings of further workers. */
	TASK_CHECK(test_fds(), <=, before + 20);
	hole_close(&hole);
	TASK_CHECK(close(fd), ==, 0);
	fake_end();
	return 0;
}

TASK_TEST(test_failure_begins_the_next_attempt_at_once)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .delay = 1000 * HILO_SECOND};
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	hilo_stream *stream;

	fake_begin();
	TASK_CHECK(hilo_open_connection("127.0.0.3+127.0.0.4+127.0.0.1", port, &opts, &stream, HILO_FOREVER),
		   ==, 0);
	client = accepted(fd, NULL);
	hilo_stream_free(stream);
	TASK_CHECK(close(client) | close(fd), ==, 0);
	fake_end();
	return 0;
}

TASK_TEST(test_without_a_delay_nobody_is_passed_and_the_deadline_tells_who_was_tried)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .delay = -1};
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8);
	struct hole hole;
	hilo_stream *stream;

	fake_begin();
	hole_open(&hole, "127.0.0.2", &port);
	TASK_CHECK(hilo_resolve("127.0.0.2+127.0.0.1", NULL, NULL, NULL, 0, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_open_connection("127.0.0.2+127.0.0.1", port, &opts, &stream,
					hilo_after(2 * HILO_MILLISECOND)),
		   ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "timed out after");
	TASK_CHECK_CONTAINS(hilo_error_message(), "127.0.0.2:");
	TASK_CHECK_CONTAINS(hilo_error_message(), "no answer");
	TASK_CHECK(strstr(hilo_error_message(), " 127.0.0.1:"), ==, NULL);
	TASK_CHECK(accept4(fd, NULL, NULL, SOCK_CLOEXEC), ==, -1);
	hole_close(&hole);
	TASK_CHECK(close(fd), ==, 0);
	fake_end();
	return 0;
}

static int connects_into_hole(void *arg)
{
	hilo_stream *stream;

	return hilo_open_connection("127.0.0.2", *(unsigned *)arg, NULL, &stream, HILO_FOREVER);
}

TASK_TEST(test_cancel_ends_the_attempts_and_leaves_nothing)
{
	unsigned port = 0;
	struct hole hole;
	hilo_stream *stream;

	hole_open(&hole, "127.0.0.2", &port);
	for (int i = 0; i < 4; i++) {
		hilo_task *task = hilo_spawn(connects_into_hole, &port);

		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	}
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_open_connection("127.0.0.2", port, NULL, &stream, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	hole_close(&hole);
	return 0;
}

TASK_TEST(test_connection_comes_from_where_it_was_asked_to)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .local_host = "127.0.0.5"};
	unsigned port = 0, spare = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	hilo_stream *stream;
	hilo_address from;

	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, 0);
	client = accepted(fd, &from);
	is_host(&from, "127.0.0.5");
	hilo_stream_free(stream);
	TASK_CHECK(close(client), ==, 0);
	TASK_CHECK(close(listener("127.0.0.1", &spare, 8)), ==, 0);
	opts = (hilo_connect_opts){.size = sizeof(opts), .local_port = spare};
	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, 0);
	client = accepted(fd, &from);
	TASK_CHECK(hilo_address_port(&from), ==, spare);
	hilo_stream_free(stream);
	TASK_CHECK(close(client) | close(fd), ==, 0);
	opts.local_host = "192.0.2.1";
	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, -EADDRNOTAVAIL);
	return 0;
}

static int unix_listener(const char *path, int backlog)
{
	hilo_address address;
	int fd = hilo__sock_new(AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK);

	TASK_CHECK(hilo_address_unix(path, &address), ==, 0);
	TASK_CHECK(hilo__sock_bind(fd, &address), ==, 0);
	TASK_CHECK(hilo__sock_listen(fd, backlog), ==, 0);
	return fd;
}

TASK_TEST(test_unix_sockets_are_found_by_path_and_by_abstract_name)
{
	char path[] = "/tmp/hilo-test-connect-XXXXXX", name[64];
	hilo_stream *stream;
	int fd;

	TASK_CHECK(mkdtemp(path) != NULL, ==, 1);
	(void)snprintf(name, sizeof(name), "%s/socket", path);
	TASK_CHECK(hilo_open_unix_connection(name, NULL, &stream, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK_CONTAINS(hilo_error_message(), name);
	for (int i = 0; i < 2; i++) {
		fd = unix_listener(name, 8);
		TASK_CHECK(hilo_open_unix_connection(name, NULL, &stream, HILO_FOREVER), ==, 0);
		TASK_CHECK(close(accepted(fd, NULL)), ==, 0);
		hilo_stream_free(stream);
		TASK_CHECK(close(fd), ==, 0);
		if (*name != '@')
			TASK_CHECK(unlink(name), ==, 0);
		(void)snprintf(name, sizeof(name), "@hilo-test-connect-%d", (int)getpid());
	}
	TASK_CHECK(rmdir(path), ==, 0);
	return 0;
}

static int connects_by_name(void *name)
{
	hilo_stream *stream;
	int rc = hilo_open_unix_connection(name, NULL, &stream, HILO_FOREVER);

	if (rc == 0)
		hilo_stream_free(stream);
	return rc;
}

TASK_TEST(test_full_queue_of_a_unix_socket_is_waited_for_up_to_the_deadline)
{
	char name[64];
	hilo_address address;
	hilo_stream *stream;
	int fd, client[8], n = 0, rc = 0;
	hilo_task *task;

	(void)snprintf(name, sizeof(name), "@hilo-test-full-%d", (int)getpid());
	TASK_CHECK(hilo_address_unix(name, &address), ==, 0);
	fd = unix_listener(name, 0);
	while (rc == 0) {
		client[n] = hilo__sock_new(AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK);
		rc = hilo__sock_connect(client[n++], &address);
	}
	TASK_CHECK(rc, ==, -EAGAIN);
	TASK_CHECK(hilo_open_unix_connection(name, NULL, &stream, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_open_unix_connection(name, NULL, &stream, hilo_after(5 * HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), name);
	task = hilo_spawn(connects_by_name, name);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	task = hilo_spawn(connects_by_name, name);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(close(accepted(fd, NULL)), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	while (n > 0)
		TASK_CHECK(close(client[--n]), ==, 0);
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_deadline_that_has_passed_still_tries_once)
{
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8);
	hilo_stream *stream;

	TASK_CHECK(hilo_open_connection("127.0.0.1", port, NULL, &stream, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(close(accepted(fd, NULL)), ==, 0);
	hilo_stream_free(stream);
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

TASK_TEST(test_mistakes_and_no_memory_are_told_and_leave_nothing)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .flags = 1024};
	hilo_address none = {0};
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8);
	hilo_stream *stream;
	long live;

	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, -EINVAL);
	opts = (hilo_connect_opts){.size = sizeof(opts), .local_port = 65536};
	TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_open_connection("127.0.0.1", 65536, NULL, &stream, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_open_connection("127.0.0.1", port, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_open_connection_to(&none, NULL, &stream, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_open_unix_connection("", NULL, &stream, HILO_FOREVER), ==, -EINVAL);
	(void)hilo_fail(-EINVAL, "there is a place for a message");
	live = hilo__mem_live();
	for (unsigned i = 0; i < 40; i++) {
		hilo__mem_fail_at(1, true);
		TASK_CHECK(hilo_open_connection("127.0.0.1", port, NULL, &stream, HILO_FOREVER), ==, -ENOMEM);
		hilo__mem_fail_at(0, false);
	}
	TASK_CHECK(hilo__mem_live(), <=, live + 20); /* the runtime has things of its own to do */
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

static int ipv6_body(void *arg)
{
	unsigned port = 0;
	int fd = listener("::1", &port, 8), client;
	hilo_stream *stream;
	hilo_address from;

	(void)arg;
	TASK_CHECK(hilo_open_connection("::1", port, NULL, &stream, HILO_FOREVER), ==, 0);
	client = accepted(fd, &from);
	is_host(&from, "::1");
	hilo_stream_free(stream);
	TASK_CHECK(close(client) | close(fd), ==, 0);
	return 0;
}

static void test_ipv6_works(void **state)
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
	assert_int_equal(test_run(2, ipv6_body, NULL), 0);
}

TASK_TEST(test_both_families_are_tried)
{
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	hilo_stream *stream;
	hilo_address from;

	fake_begin();
	TASK_CHECK(hilo_open_connection("::1+127.0.0.1", port, NULL, &stream, HILO_FOREVER), ==, 0);
	client = accepted(fd, &from);
	is_host(&from, "127.0.0.1");
	hilo_stream_free(stream);
	TASK_CHECK(close(client) | close(fd), ==, 0);
	fake_end();
	return 0;
}

/* All addresses of @name refuse, one after the other: those of IPv4 with the last digits 3 to 5, of IPv6 6 and 7. */
static void order_is(const char *name, unsigned port, const hilo_connect_opts *opts, const char *order)
{
	char text[HILO_ERROR_MESSAGE_SIZE];
	hilo_stream *stream;
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "hilo_open_connection: %s:%u", name, port);
	for (size_t i = 0; order[i] && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      order[i] < '6' ? "%s 127.0.0.%c:%u: Connection refused"
						     : "%s [::ffff:127.0.0.%c]:%u: Connection refused",
				      i ? ";" : ":", order[i], port);
	TASK_CHECK(hilo_open_connection(name, port, opts, &stream, HILO_FOREVER), ==, -ECONNREFUSED);
	TASK_CHECK_TEXT(hilo_error_message(), text);
}

static int order_body(void *arg)
{
	hilo_connect_opts opts = {.size = sizeof(opts)};
	unsigned port = 0;

	(void)arg;
	TASK_CHECK(close(listener("127.0.0.1", &port, 8)), ==, 0);
	fake_begin();
	order_is("a", port, NULL, "36475");
	order_is("a", port, &opts, "36475");
	opts.interleave = 1;
	order_is("a", port, &opts, "36475");
	order_is("b", port, &opts, "63745");
	opts.interleave = 2;
	order_is("a", port, &opts, "34657");
	order_is("b", port, &opts, "67345");
	opts.interleave = 3;
	order_is("a", port, &opts, "34567");
	opts.interleave = 4; /* more than there are, as any other number */
	order_is("a", port, &opts, "34567");
	order_is("b", port, &opts, "67345");
	opts.interleave = UINT_MAX;
	order_is("a", port, &opts, "34567");
	opts.interleave = 2;
	opts.delay = -1; /* as in the answer */
	order_is("a", port, &opts, "34567");
	order_is("b", port, &opts, "63475");
	fake_end();
	return 0;
}

static void test_so_many_of_the_first_family_come_before_the_families_take_turns(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (fd < 0)
		TEST_SKIP("this machine has no IPv6");
	assert_int_equal(close(fd), 0);
	assert_int_equal(test_run(2, order_body, NULL), 0);
}

/* Who comes first wins, and that is told apart from who comes before him in the answer. */
TASK_TEST(test_the_first_of_the_order_that_answers_wins)
{
	hilo_connect_opts opts = {.size = sizeof(opts), .interleave = 2, .delay = 1000 * HILO_SECOND};
	unsigned port = 0;
	/* The port of the one that all connections here come from is free at the other one as well. */
	int last = listener("127.0.0.1", &port, 8), first = listener("127.0.0.2", &port, 8), client;
	hilo_stream *stream;
	hilo_address from;

	fake_begin();
	TASK_CHECK(hilo_open_connection("127.0.0.3+::ffff:127.0.0.1+127.0.0.2", port, &opts, &stream,
					HILO_FOREVER),
		   ==, 0);
	client = accepted(first, &from);
	hilo_stream_free(stream);
	TASK_CHECK(close(client), ==, 0);
	TASK_CHECK(accept4(last, NULL, NULL, SOCK_CLOEXEC), ==, -1);
	TASK_CHECK(close(first) | close(last), ==, 0);
	fake_end();
	return 0;
}

static void test_plain_thread_names_a_runtime(void **state)
{
	hilo_opts runtime_opts = {.size = sizeof(runtime_opts), .workers = 2};
	hilo_stream_opts stream_opts = {.size = sizeof(stream_opts)};
	hilo_connect_opts opts = {.size = sizeof(opts), .stream = &stream_opts};
	unsigned port = 0;
	int fd = listener("127.0.0.1", &port, 8), client;
	hilo_runtime *runtime;
	hilo_stream *stream;
	char byte;

	(void)state;
	assert_int_equal(hilo_runtime_new(&runtime_opts, &runtime), 0);
	assert_int_equal(hilo_open_connection("127.0.0.1", port, NULL, &stream, HILO_FOREVER), -EDEADLK);
	stream_opts.runtime = runtime;
	assert_int_equal(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), 0);
	client = accepted(fd, NULL);
	assert_int_equal(send(client, "p", 1, 0), 1);
	assert_int_equal(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), 1);
	assert_int_equal(hilo_stream_close(stream, HILO_FOREVER), 0);
	hilo_stream_free(stream);
	assert_int_equal(close(client) | close(fd), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_is_a_stream_that_sends_at_once),
		cmocka_unit_test(test_refused_tells_the_address),
		cmocka_unit_test(test_all_that_have_failed_are_told_in_the_order_in_which_they_were_tried),
		cmocka_unit_test(test_address_that_does_not_answer_is_passed_after_the_delay),
		cmocka_unit_test(test_failure_begins_the_next_attempt_at_once),
		cmocka_unit_test(test_without_a_delay_nobody_is_passed_and_the_deadline_tells_who_was_tried),
		cmocka_unit_test(test_cancel_ends_the_attempts_and_leaves_nothing),
		cmocka_unit_test(test_connection_comes_from_where_it_was_asked_to),
		cmocka_unit_test(test_unix_sockets_are_found_by_path_and_by_abstract_name),
		cmocka_unit_test(test_full_queue_of_a_unix_socket_is_waited_for_up_to_the_deadline),
		cmocka_unit_test(test_deadline_that_has_passed_still_tries_once),
		cmocka_unit_test(test_mistakes_and_no_memory_are_told_and_leave_nothing),
		cmocka_unit_test(test_ipv6_works),
		cmocka_unit_test(test_both_families_are_tried),
		cmocka_unit_test(test_so_many_of_the_first_family_come_before_the_families_take_turns),
		cmocka_unit_test(test_the_first_of_the_order_that_answers_wins),
		cmocka_unit_test(test_plain_thread_names_a_runtime),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
