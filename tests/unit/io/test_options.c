/* SPDX-License-Identifier: MIT */
/* Options that become options of sockets, or flags of the kernel: what the kernel says of them. */
#include <hilo/io/connect.h>
#include <hilo/io/datagram.h>
#include <hilo/io/fs_watch.h>
#include <hilo/io/resolve.h>
#include <hilo/io/server.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/io/files.h"
#include "tests/unit/runtime/pollers.h"

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	TASK_CHECK(getsockopt(fd, level, name, &value, &size), ==, 0);
	return value;
}

/* The socket of this process that listens at @port. */
static int listener_at(unsigned port)
{
	for (int fd = 0; fd < 1024; fd++) {
		int listens = 0;
		socklen_t size = sizeof(listens);
		hilo_address address;

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
		    hilo_address_of_socket(fd, &address) == 0 && hilo_address_port(&address) == port)
			return fd;
	}
	return -1;
}

/* Emulators pass on no more than the first bytes of tcp_info. */
#ifdef HILO_TEST_EMULATED
#define IS_EMULATED true
#else
#define IS_EMULATED false
#endif

/* The kernel says of a socket that listens how many may wait where it says of others what was acknowledged. */
static unsigned backlog_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	TASK_CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), ==, 0);
	return info.tcpi_sacked;
}

static int end_at_once(hilo_stream *client, void *arg)
{
	(void)client;
	(void)arg;
	return 0;
}

static hilo_server *started(unsigned flags, int backlog, unsigned *ret_port)
{
	hilo_server_opts opts = {
		.size = sizeof(opts), .host = "127.0.0.1", .flags = flags, .backlog = backlog};
	hilo_server *server = NULL;
	hilo_address address;

	TASK_CHECK(hilo_start_server(end_at_once, NULL, &opts, &server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 0, &address), ==, 0);
	*ret_port = hilo_address_port(&address);
	return server;
}

IO_TEST(test_options_of_servers)
{
	unsigned port, backlog;
	hilo_server *server = started(0, 0, &port);

	TASK_CHECK(option_of(listener_at(port), SOL_SOCKET, SO_REUSEADDR), ==, 1);
	backlog = backlog_of(listener_at(port));
	TASK_CHECK(backlog > 7 || (IS_EMULATED && !backlog), ==, 1);
	hilo_server_free(server);
	server = started(HILO_SERVER_NO_REUSE_ADDRESS, 7, &port);
	TASK_CHECK(option_of(listener_at(port), SOL_SOCKET, SO_REUSEADDR), ==, 0);
	TASK_CHECK(backlog_of(listener_at(port)), ==, backlog ? 7 : 0);
	hilo_server_free(server);
	return 0;
}

IO_TEST(test_small_writes_are_held_back_if_asked_for)
{
	hilo_connect_opts opts = {.size = sizeof(opts)};
	unsigned port;
	hilo_server *server = started(0, 0, &port);
	hilo_stream *stream;

	for (unsigned nagle = 0; nagle < 2; nagle++) {
		opts.flags = nagle ? HILO_CONNECT_NAGLE : 0;
		TASK_CHECK(hilo_open_connection("127.0.0.1", port, &opts, &stream, HILO_FOREVER), ==, 0);
		TASK_CHECK(option_of(hilo_stream_fd(stream), IPPROTO_TCP, TCP_NODELAY) != 0, ==, !nagle);
		hilo_stream_free(stream);
	}
	hilo_server_free(server);
	return 0;
}

/* The kernel doubles what it is given for a buffer: half is for itself. */
IO_TEST(test_options_of_datagrams)
{
	hilo_udp_opts opts = {.size = sizeof(opts), .receive_buffer = 20000, .send_buffer = 30000};
	hilo_udp *udp, *second;
	hilo_address address;

	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, &opts, &udp, HILO_FOREVER), ==, 0);
	TASK_CHECK(option_of(hilo_udp_fd(udp), SOL_SOCKET, SO_RCVBUF), ==, 40000);
	TASK_CHECK(option_of(hilo_udp_fd(udp), SOL_SOCKET, SO_SNDBUF), ==, 60000);
	TASK_CHECK(option_of(hilo_udp_fd(udp), SOL_SOCKET, SO_REUSEADDR), ==, 0);
	hilo_udp_free(udp);
	opts = (hilo_udp_opts){.size = sizeof(opts), .flags = HILO_UDP_REUSE_ADDRESS};
	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, &opts, &udp, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_local(udp, &address), ==, 0);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", hilo_address_port(&address), &opts, &second, HILO_FOREVER), ==,
		   0);
	hilo_udp_free(second);
	opts.flags = 0;
	TASK_CHECK(hilo_udp_bind("127.0.0.1", hilo_address_port(&address), &opts, &second, HILO_FOREVER), ==,
		   -EADDRINUSE);
	hilo_udp_free(udp);
	return 0;
}

IO_TEST(test_datagrams_for_one_family_only)
{
	hilo_udp_opts opts = {.size = sizeof(opts)};
	hilo_udp *udp;

	if (hilo_udp_bind("::", 0, &opts, &udp, HILO_FOREVER) < 0)
		return 0; /* a machine without IPv6 */
	TASK_CHECK(option_of(hilo_udp_fd(udp), IPPROTO_IPV6, IPV6_V6ONLY), ==, 0);
	hilo_udp_free(udp);
	opts.flags = HILO_UDP_IPV6_ONLY;
	TASK_CHECK(hilo_udp_bind("::", 0, &opts, &udp, HILO_FOREVER), ==, 0);
	TASK_CHECK(option_of(hilo_udp_fd(udp), IPPROTO_IPV6, IPV6_V6ONLY), ==, 1);
	hilo_udp_free(udp);
	return 0;
}

/* A link that leads nowhere can be watched, and not followed. */
IO_TEST(test_links_are_not_followed)
{
	hilo_file_opts opts = {.size = sizeof(opts), .flags = HILO_FILE_NOFOLLOW};
	struct folder folder;
	hilo_fs_watch *watch;
	hilo_file *file;

	folder_make(&folder);
	put(in(&folder, "a"), "text", 4);
	TASK_CHECK(symlink("a", in(&folder, "link")), ==, 0);
	TASK_CHECK(symlink("nowhere", in(&folder, "dangling")), ==, 0);
	TASK_CHECK(hilo_file_open(in(&folder, "link"), "r", &opts, &file, HILO_FOREVER), ==, -ELOOP);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "r", &opts, &file, HILO_FOREVER), ==, 0);
	closed(file);
	closed(opened(in(&folder, "link"), "r"));
	TASK_CHECK(hilo_fs_watch_new(&watch), ==, 0);
	TASK_CHECK(hilo_fs_watch_add(watch, in(&folder, "dangling"), HILO_FS_CHANGES, HILO_FOREVER), ==,
		   -ENOENT);
	TASK_CHECK(hilo_fs_watch_add(watch, in(&folder, "dangling"), HILO_FS_CHANGES | HILO_FS_NOFOLLOW,
				     HILO_FOREVER),
		   ==, 0);
	hilo_fs_watch_free(watch);
	folder_remove(&folder);
	return 0;
}

/* Port 514 is the shell over TCP and syslog over UDP, where a table of services says so. */
static void test_the_service_of_datagrams(void **state)
{
	const struct servent *tcp = getservbyport(htons(514), "tcp"), *udp;
	char names[2][64], service[64];
	hilo_address address;

	(void)state;
	if (tcp)
		(void)snprintf(names[0], sizeof(names[0]), "%s", tcp->s_name);
	udp = getservbyport(htons(514), "udp");
	if (!tcp || !udp || strcmp(names[0], udp->s_name) == 0)
		TEST_SKIP("no table of services");
	(void)snprintf(names[1], sizeof(names[1]), "%s", udp->s_name);
	assert_int_equal(hilo_address_ip("127.0.0.1", 514, &address), 0);
	for (unsigned datagram = 0; datagram < 2; datagram++) {
		assert_int_equal(hilo_resolve_name(&address, datagram ? HILO_RESOLVE_NAME_DATAGRAM : 0, NULL,
						   0, service, sizeof(service), HILO_FOREVER),
				 0);
		assert_string_equal(service, names[datagram]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOTH(test_options_of_servers),	   BOTH(test_small_writes_are_held_back_if_asked_for),
		BOTH(test_options_of_datagrams),   BOTH(test_datagrams_for_one_family_only),
		BOTH(test_links_are_not_followed), cmocka_unit_test(test_the_service_of_datagrams),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
