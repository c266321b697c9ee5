/* SPDX-License-Identifier: MIT */
/*
 * test_socket.c - calls on raw sockets: what they wait for, what is lost when they end early (nothing), what they
 * refuse.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hilo/io/socket.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"

/* Two ends of a connection, in the manner of the runtime. */
struct ends {
	int fd[2];
};

static void ends_open(struct ends *ends, int type)
{
	int flags = SOCK_CLOEXEC | hilo__io_socket_flags(hilo__io_runtime());

	TASK_CHECK(socketpair(AF_UNIX, type | flags, 0, ends->fd), ==, 0);
}

static void ends_close(struct ends *ends)
{
	for (int i = 0; i < 2; i++)
		if (ends->fd[i] >= 0)
			TASK_CHECK(close(ends->fd[i]), ==, 0);
}

static void give(struct ends *ends, const char *text)
{
	TASK_CHECK(send(ends->fd[1], text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

static int receives(void *arg)
{
	struct ends *ends = arg;
	char byte = 0;
	ssize_t n = hilo_recv(ends->fd[0], &byte, 1, HILO_FOREVER);

	return n == 1 ? byte : (int)n;
}

/* A task that waits for a byte by now. */
static hilo_task *receiver(struct ends *ends)
{
	hilo_task *task = hilo_spawn(receives, ends);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_recv_gets_what_is_there_what_comes_and_the_end)
{
	struct ends ends;
	hilo_task *task;
	char buf[8];

	ends_open(&ends, SOCK_STREAM);
	give(&ends, "abc");
	TASK_CHECK(hilo_recv(ends.fd[0], buf, sizeof(buf), HILO_FOREVER), ==, 3);
	TASK_CHECK(memcmp(buf, "abc", 3), ==, 0);
	task = receiver(&ends);
	give(&ends, "x");
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 'x');
	task = receiver(&ends);
	TASK_CHECK(close(ends.fd[1]), ==, 0);
	ends.fd[1] = -1;
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	ends_close(&ends);
	return 0;
}

TASK_TEST(test_cancel_that_is_set_wins_and_takes_nothing)
{
	struct ends ends;
	char byte;

	ends_open(&ends, SOCK_STREAM);
	give(&ends, "a");
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_send(ends.fd[0], &byte, 1, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(recv(ends.fd[1], &byte, 1, MSG_DONTWAIT), ==, -1);
	ends_close(&ends);
	return 0;
}

TASK_TEST(test_deadline_that_has_passed_still_tries_once)
{
	struct ends ends;
	char byte;

	ends_open(&ends, SOCK_STREAM);
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "descriptor");
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, hilo_after(1000)), ==, -ETIMEDOUT);
	give(&ends, "a");
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_NO_WAIT), ==, 1);
	TASK_CHECK(hilo_send_all(ends.fd[0], &byte, 1, NULL, HILO_NO_WAIT), ==, 0);
	ends_close(&ends);
	return 0;
}

TASK_TEST(test_who_is_cancelled_takes_nothing_from_who_comes_next)
{
	struct ends ends;
	hilo_task *task;
	char byte;

	ends_open(&ends, SOCK_STREAM);
	task = receiver(&ends);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	give(&ends, "a");
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_FOREVER), ==, 1);
	ends_close(&ends);
	return 0;
}

/* Either it has the byte, or the byte is there. */
TASK_TEST(test_cancel_and_a_byte_at_once_lose_nothing)
{
	struct ends ends;
	char byte;

	ends_open(&ends, SOCK_STREAM);
	for (unsigned i = 0; i < test_rounds(200); i++) {
		hilo_task *task = hilo_spawn(receives, &ends);
		int rc;

		if (i % 3 == 0)
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		give(&ends, "a");
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		if (rc != 'a') {
			TASK_CHECK(rc, ==, -ECANCELED);
			TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_NO_WAIT), ==, 1);
		}
		TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	}
	ends_close(&ends);
	return 0;
}

#define BULK (1024 * 1024)

struct bulk {
	struct ends ends;
	size_t sent, received;
	int rc;
	test_flag done;
};

static unsigned char bulk_byte(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static int bulk_sends(void *arg)
{
	struct bulk *bulk = arg;
	unsigned char *data = malloc(BULK);

	for (size_t i = 0; i < BULK; i++)
		data[i] = bulk_byte(i);
	bulk->rc = hilo_send_all(bulk->ends.fd[1], data, BULK, &bulk->sent, HILO_FOREVER);
	free(data);
	(void)shutdown(bulk->ends.fd[1], SHUT_WR);
	return bulk->rc;
}

static int bulk_receives(void *arg)
{
	struct bulk *bulk = arg;
	unsigned char buf[5000];
	ssize_t n;

	while ((n = hilo_recv(bulk->ends.fd[0], buf, sizeof(buf), HILO_FOREVER)) > 0)
		for (ssize_t i = 0; i < n; i++, bulk->received++)
			TASK_CHECK(buf[i], ==, bulk_byte(bulk->received));
	return (int)n;
}

TASK_TEST(test_send_all_sends_more_than_the_kernel_takes_at_once)
{
	struct bulk bulk = {.sent = 1};
	hilo_task *sender, *reader;

	ends_open(&bulk.ends, SOCK_STREAM);
	sender = hilo_spawn(bulk_sends, &bulk);
	TEST_UNTIL(hilo_task_get_state(sender) == HILO_TASK_SUSPENDED);
	reader = hilo_spawn(bulk_receives, &bulk);
	TASK_CHECK(hilo_join(sender, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(reader, HILO_FOREVER), ==, 0);
	TASK_CHECK(bulk.sent, ==, BULK);
	TASK_CHECK(bulk.received, ==, BULK);
	ends_close(&bulk.ends);
	return 0;
}

TASK_TEST(test_send_all_that_is_cancelled_tells_exactly_what_was_sent)
{
	struct bulk bulk = {.sent = 0};
	hilo_task *sender;

	ends_open(&bulk.ends, SOCK_STREAM);
	sender = hilo_spawn(bulk_sends, &bulk);
	/* Some of it has arrived: it may be suspended before the kernel has been told. */
	TASK_CHECK(hilo_fd_wait(bulk.ends.fd[0], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	TEST_UNTIL(hilo_task_get_state(sender) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_task_cancel(sender), ==, 0);
	TASK_CHECK(hilo_join(sender, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(bulk_receives(&bulk), ==, 0);
	TASK_CHECK(bulk.received, ==, bulk.sent);
	TASK_CHECK(bulk.sent, >, 0);
	TASK_CHECK(bulk.sent, <, BULK);
	ends_close(&bulk.ends);
	return 0;
}

static int pieces_send(void *arg)
{
	struct bulk *bulk = arg;
	unsigned char *data = malloc(BULK);
	struct iovec piece[40];
	size_t at = 0;

	for (size_t i = 0; i < BULK; i++)
		data[i] = bulk_byte(i);
	for (size_t i = 0; i < array_size(piece); i++) {
		piece[i].iov_base = data + at;
		piece[i].iov_len = i == 3 ? 0 : i + 1 == array_size(piece) ? BULK - at : 20011;
		at += piece[i].iov_len;
	}
	bulk->rc = hilo_send_allv(bulk->ends.fd[1], piece, (int)array_size(piece), &bulk->sent, HILO_FOREVER);
	free(data);
	(void)shutdown(bulk->ends.fd[1], SHUT_WR);
	return bulk->rc;
}

TASK_TEST(test_send_allv_goes_on_in_the_middle_of_its_pieces)
{
	struct bulk bulk = {.sent = 0};
	hilo_task *sender;

	ends_open(&bulk.ends, SOCK_STREAM);
	sender = hilo_spawn(pieces_send, &bulk);
	TASK_CHECK(bulk_receives(&bulk), ==, 0);
	TASK_CHECK(hilo_join(sender, HILO_FOREVER), ==, 0);
	TASK_CHECK(bulk.sent, ==, BULK);
	TASK_CHECK(bulk.received, ==, BULK);
	ends_close(&bulk.ends);
	return 0;
}

TASK_TEST(test_recvv_fills_its_pieces_one_after_the_other)
{
	char first[2], second[8];
	struct iovec pieces[] = {{first, sizeof(first)}, {second, sizeof(second)}};
	struct ends ends;

	ends_open(&ends, SOCK_STREAM);
	give(&ends, "abcde");
	TASK_CHECK(hilo_recvv(ends.fd[0], pieces, 2, HILO_FOREVER), ==, 5);
	TASK_CHECK(memcmp(first, "ab", 2) | memcmp(second, "cde", 3), ==, 0);
	TASK_CHECK(hilo_recvv(ends.fd[0], pieces, 1025, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_send_allv(ends.fd[0], NULL, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	ends_close(&ends);
	return 0;
}

/* A descriptor goes along. */
TASK_TEST(test_messages_carry_what_is_beside_the_bytes)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = 'm';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct ends ends;
	int got;

	ends_open(&ends, SOCK_STREAM);
	memset(&control, 0, sizeof(control));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &ends.fd[1], sizeof(int));
	TASK_CHECK(hilo_sendmsg(ends.fd[1], &message, 0, HILO_FOREVER), ==, 1);
	memset(&control, 0, sizeof(control));
	TASK_CHECK(hilo_recvmsg(ends.fd[0], &message, MSG_CMSG_CLOEXEC, HILO_FOREVER), ==, 1);
	memcpy(&got, CMSG_DATA(&control.header), sizeof(int));
	TASK_CHECK(got, >, 2);
	TASK_CHECK(send(got, "z", 1, 0), ==, 1);
	TASK_CHECK(hilo_recv(ends.fd[0], &byte, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(byte, ==, 'z');
	TASK_CHECK(close(got), ==, 0);
	ends_close(&ends);
	return 0;
}

static int socket_at(const char *text, int type, hilo_address *ret)
{
	hilo_address address;
	int fd;

	TASK_CHECK(hilo_address_parse(text, &address), ==, 0);
	fd = hilo__sock_new(address.any.sa_family, type, hilo__io_socket_flags(hilo__io_runtime()));
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo__sock_bind(fd, &address), ==, 0);
	if (type == SOCK_STREAM)
		TASK_CHECK(hilo__sock_listen(fd, 8), ==, 0);
	TASK_CHECK(hilo_address_of_socket(fd, ret), ==, 0);
	return fd;
}

TASK_TEST(test_datagrams_tell_who_has_sent_them)
{
	hilo_address here, there, from;
	int fd = socket_at("127.0.0.1:0", SOCK_DGRAM, &here);
	int other = socket_at("127.0.0.1:0", SOCK_DGRAM, &there);
	char buf[4];

	TASK_CHECK(hilo_sendto(other, "abc", 3, &here, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_recvfrom(fd, buf, sizeof(buf), &from, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_address_equal(&from, &there), ==, 1);
	TASK_CHECK(hilo_recvfrom(fd, buf, sizeof(buf), NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_connect_fd(other, &here, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_sendto(other, "", 0, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_recvfrom(fd, buf, sizeof(buf), &from, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_address_equal(&from, &there), ==, 1);
	TASK_CHECK(close(fd) | close(other), ==, 0);
	return 0;
}

static int accepts(void *arg)
{
	return hilo_accept((int)(intptr_t)arg, NULL, HILO_FOREVER);
}

TASK_TEST(test_connect_and_accept_meet_and_tell_addresses)
{
	static const char *const places[] = {"127.0.0.1:0", "unix:@hilo-test-socket"};

	for (size_t i = 0; i < array_size(places); i++) {
		hilo_address there, from, name;
		int listener = socket_at(places[i], SOCK_STREAM, &there), client, server;
		hilo_task *task;

		client = hilo__sock_new(there.any.sa_family, SOCK_STREAM,
					hilo__io_socket_flags(hilo__io_runtime()));
		TASK_CHECK(hilo_connect_fd(client, &there, HILO_FOREVER), ==, 0);
		server = hilo_accept(listener, &from, HILO_FOREVER);
		TASK_CHECK(server, >=, 0);
		TASK_CHECK(fcntl(server, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
		TASK_CHECK(hilo_address_of_socket(client, &name), ==, 0);
		if (there.any.sa_family != AF_UNIX)
			TASK_CHECK(hilo_address_equal(&name, &from), ==, 1);
		TASK_CHECK(close(client) | close(server), ==, 0);
		task = hilo_spawn(accepts, (void *)(intptr_t)listener);
		TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		client = hilo__sock_new(there.any.sa_family, SOCK_STREAM,
					hilo__io_socket_flags(hilo__io_runtime()));
		TASK_CHECK(hilo_connect_fd(client, &there, HILO_FOREVER), ==, 0);
		server = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(server, >=, 0);
		TASK_CHECK(close(client) | close(server) | close(listener), ==, 0);
	}
	return 0;
}

TASK_TEST(test_accept_that_is_cancelled_leaves_the_client_to_the_next)
{
	hilo_address there;
	int listener = socket_at("127.0.0.1:0", SOCK_STREAM, &there), client, server;
	hilo_task *task = hilo_spawn(accepts, (void *)(intptr_t)listener);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_accept(listener, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	client = hilo__sock_new(AF_INET, SOCK_STREAM, hilo__io_socket_flags(hilo__io_runtime()));
	TASK_CHECK(hilo_connect_fd(client, &there, HILO_FOREVER), ==, 0);
	server = hilo_accept(listener, NULL, HILO_FOREVER);
	TASK_CHECK(server, >=, 0);
	TASK_CHECK(close(client) | close(server) | close(listener), ==, 0);
	return 0;
}

TASK_TEST(test_connect_that_is_refused_or_takes_too_long_says_so)
{
	hilo_address there;
	int listener = socket_at("127.0.0.1:0", SOCK_STREAM, &there), client[8], n = 0, rc = 0;

	/* The kernel drops what does not fit into the queue, and the client tries again and again. */
	TASK_CHECK(hilo__sock_listen(listener, 0), ==, 0);
	while (rc == 0 && n < (int)array_size(client)) {
		client[n] = hilo__sock_new(AF_INET, SOCK_STREAM, hilo__io_socket_flags(hilo__io_runtime()));
		rc = hilo_connect_fd(client[n++], &there, hilo_after(20 * HILO_MILLISECOND));
	}
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	while (n > 0)
		TASK_CHECK(close(client[--n]), ==, 0);
	TASK_CHECK(close(listener), ==, 0);
	client[0] = hilo__sock_new(AF_INET, SOCK_STREAM, hilo__io_socket_flags(hilo__io_runtime()));
	TASK_CHECK(hilo_connect_fd(client[0], &there, HILO_FOREVER), ==, -ECONNREFUSED);
	TASK_CHECK(close(client[0]), ==, 0);
	return 0;
}

TASK_TEST(test_connection_that_is_gone_is_told_without_a_signal)
{
	struct ends ends;
	char byte = 0;

	ends_open(&ends, SOCK_STREAM);
	give(&ends, "unread");
	TASK_CHECK(send(ends.fd[0], "unread", 6, MSG_NOSIGNAL), ==, 6);
	TASK_CHECK(close(ends.fd[1]), ==, 0);
	ends.fd[1] = -1;
	TASK_CHECK(hilo_send(ends.fd[0], &byte, 1, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_send_all(ends.fd[0], &byte, 1, NULL, HILO_FOREVER), ==, -EPIPE);
	ends_close(&ends);
	return 0;
}

TASK_TEST(test_mistakes_are_told)
{
	hilo_address there;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd, pair[2];
	char byte = 0;

	/* A number that nobody gets meanwhile. */
	fd = fcntl(null, F_DUPFD_CLOEXEC, 500);
	TASK_CHECK(close(null), ==, 0);
	TASK_CHECK(hilo_recv(-1, &byte, 1, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_recv(fd, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_recv(fd, &byte, 1, HILO_FOREVER), ==, -ENOTSOCK);
	TASK_CHECK(hilo_send(fd, &byte, 1, HILO_FOREVER), ==, -ENOTSOCK);
	TASK_CHECK(close(fd), ==, 0);
	TASK_CHECK(hilo_recv(fd, &byte, 1, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_accept(-1, NULL, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_connect_fd(0, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_sendto(0, "", 0, &(hilo_address){0}, HILO_FOREVER), ==, -EINVAL);
	if (!hilo__io_is_ring(hilo__io_runtime())) {
		fd = socket_at("127.0.0.1:0", SOCK_STREAM, &there);
		TASK_CHECK(hilo__sock_set_nonblocking(fd, false), ==, 0);
		TASK_CHECK(hilo_accept(fd, NULL, HILO_FOREVER), ==, -EINVAL);
		TASK_CHECK_CONTAINS(hilo_error_message(), "blocks");
		TASK_CHECK(close(fd), ==, 0);
	}
	/* A socket that blocks, or does not, is one as the other. */
	for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
		TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, pair), ==, 0);
		TASK_CHECK(hilo_recv(pair[0], &byte, 1, hilo_after(1000)), ==, -ETIMEDOUT);
		TASK_CHECK(close(pair[0]) | close(pair[1]), ==, 0);
	}
	return 0;
}

static void callback_receives(void *arg)
{
	struct bulk *bulk = arg;
	char byte;

	bulk->rc = (int)hilo_recv(bulk->ends.fd[0], &byte, 1, HILO_FOREVER);
	bulk->received = (size_t)(hilo_recv(bulk->ends.fd[0], &byte, 1, HILO_FOREVER) == -EDEADLK);
	TASK_CHECK(hilo_send(bulk->ends.fd[0], &byte, 1, HILO_FOREVER), ==, 1);
	store_release(&bulk->done, 1);
}

TASK_TEST(test_callback_gets_what_is_there_and_may_not_wait)
{
	struct bulk bulk = {.rc = 0};
	char byte;

	ends_open(&bulk.ends, SOCK_STREAM);
	give(&bulk.ends, "a");
	TASK_CHECK(hilo_call_soon(callback_receives, &bulk, NULL), ==, 0);
	TASK_CHECK(hilo_recv(bulk.ends.fd[1], &byte, 1, HILO_FOREVER), ==, 1);
	TEST_UNTIL(load_acquire(&bulk.done));
	TASK_CHECK(bulk.rc, ==, 1);
	TASK_CHECK(bulk.received, ==, 1);
	ends_close(&bulk.ends);
	return 0;
}

static void *thread_receives(void *arg)
{
	return (void *)(intptr_t)receives(arg);
}

static void test_plain_thread_blocks_and_has_a_deadline(void **state)
{
	struct ends ends;
	pthread_t thread;
	void *result;
	char byte;

	(void)state;
	for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, ends.fd), 0);
		assert_int_equal(pthread_create(&thread, NULL, thread_receives, &ends), 0);
		assert_int_equal(hilo_send_all(ends.fd[1], "y", 1, NULL, HILO_FOREVER), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_int_equal((intptr_t)result, 'y');
		assert_int_equal(hilo_recv(ends.fd[0], &byte, 1, hilo_after(1000)), -ETIMEDOUT);
		ends_close(&ends);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recv_gets_what_is_there_what_comes_and_the_end),
		cmocka_unit_test(test_cancel_that_is_set_wins_and_takes_nothing),
		cmocka_unit_test(test_deadline_that_has_passed_still_tries_once),
		cmocka_unit_test(test_who_is_cancelled_takes_nothing_from_who_comes_next),
		cmocka_unit_test(test_cancel_and_a_byte_at_once_lose_nothing),
		cmocka_unit_test(test_send_all_sends_more_than_the_kernel_takes_at_once),
		cmocka_unit_test(test_send_all_that_is_cancelled_tells_exactly_what_was_sent),
		cmocka_unit_test(test_send_allv_goes_on_in_the_middle_of_its_pieces),
		cmocka_unit_test(test_recvv_fills_its_pieces_one_after_the_other),
		cmocka_unit_test(test_messages_carry_what_is_beside_the_bytes),
		cmocka_unit_test(test_datagrams_tell_who_has_sent_them),
		cmocka_unit_test(test_connect_and_accept_meet_and_tell_addresses),
		cmocka_unit_test(test_accept_that_is_cancelled_leaves_the_client_to_the_next),
		cmocka_unit_test(test_connect_that_is_refused_or_takes_too_long_says_so),
		cmocka_unit_test(test_connection_that_is_gone_is_told_without_a_signal),
		cmocka_unit_test(test_mistakes_are_told),
		cmocka_unit_test(test_callback_gets_what_is_there_and_may_not_wait),
		cmocka_unit_test(test_plain_thread_blocks_and_has_a_deadline),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
