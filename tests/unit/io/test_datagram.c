/* SPDX-License-Identifier: MIT */
/*
 * test_datagram.c - UDP sockets: one datagram, many at once, who shares a socket, and what becomes of who waits at
 * its end.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hilo/io/datagram.h>

static hilo_udp *bound(void)
{
	hilo_udp *udp = NULL;

	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, NULL, &udp, HILO_FOREVER), ==, 0);
	return udp;
}

static unsigned port_of(const hilo_udp *udp)
{
	hilo_address address;

	TASK_CHECK(hilo_udp_local(udp, &address), ==, 0);
	return hilo_address_port(&address);
}

static hilo_udp *connected(const hilo_udp *to)
{
	hilo_udp *udp = NULL;

	TASK_CHECK(hilo_udp_connect("127.0.0.1", port_of(to), NULL, &udp, HILO_FOREVER), ==, 0);
	return udp;
}

TASK_TEST(test_datagrams_go_and_come_back_with_addresses)
{
	hilo_udp *server = bound(), *client = connected(server);
	hilo_address from, name;
	char buf[16];

	TASK_CHECK(hilo_udp_send(client, "hello", 5, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), &from, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_udp_local(client, &name), ==, 0);
	TASK_CHECK(hilo_address_equal(&from, &name), ==, 1);
	TASK_CHECK(hilo_udp_send_to(server, "hi", 2, &from, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_udp_receive(client, buf, sizeof(buf), NULL, HILO_FOREVER), ==, 2);
	TASK_CHECK(memcmp(buf, "hi", 2), ==, 0);
	TASK_CHECK(hilo_udp_peer(client, &name), ==, 0);
	TASK_CHECK(hilo_address_port(&name), ==, port_of(server));
	TASK_CHECK(hilo_udp_peer(server, &name), ==, -ENOTCONN);
	TASK_CHECK(hilo_udp_send(client, "", 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), &from, HILO_FOREVER), ==, 0);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

TASK_TEST(test_datagram_that_is_cut_tells_its_length)
{
	hilo_udp *server = bound(), *client = connected(server);
	char buf[4];

	TASK_CHECK(hilo_udp_send(client, "longer", 6, HILO_FOREVER), ==, 6);
	TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), NULL, HILO_FOREVER), ==, 6);
	TASK_CHECK(memcmp(buf, "long", 4), ==, 0);
	TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

#define MANY 40

TASK_TEST(test_batches_take_what_is_there_in_order)
{
	hilo_udp *server = bound(), *client = connected(server);
	hilo_udp_message out[MANY], in[MANY + 8];
	char sent[MANY][8], got[MANY + 8][8];
	hilo_address name;

	memset(out, 0, sizeof(out));
	for (unsigned i = 0; i < MANY; i++) {
		out[i].data = sent[i];
		out[i].size = (size_t)snprintf(sent[i], sizeof(sent[i]), "n%u", i);
	}
	for (unsigned i = 0; i < array_size(in); i++)
		in[i] = (hilo_udp_message){.data = got[i], .size = sizeof(got[i])};
	TASK_CHECK(hilo_udp_send_batch(client, out, MANY, HILO_FOREVER), ==, MANY);
	TASK_CHECK(hilo_udp_receive_batch(server, in, 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_udp_receive_batch(server, in + 3, array_size(in) - 3, HILO_FOREVER), ==, MANY - 3);
	TASK_CHECK(hilo_udp_local(client, &name), ==, 0);
	for (unsigned i = 0; i < MANY; i++) {
		TASK_CHECK(in[i].length, ==, out[i].size);
		TASK_CHECK(memcmp(got[i], sent[i], out[i].size), ==, 0);
		TASK_CHECK(hilo_address_equal(&in[i].address, &name), ==, 1);
	}
	TASK_CHECK(hilo_udp_receive_batch(server, in, 8, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_udp_receive_batch(server, in, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_send_batch(client, out, 0, HILO_FOREVER), ==, 0);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

TASK_TEST(test_batch_that_fails_in_the_middle_tells_how_many_were_sent)
{
	hilo_udp *server = bound(), *client = bound();
	static char large[70000];
	hilo_udp_message out[3] = {{.data = large, .size = 1},
				   {.data = large, .size = 1},
				   {.data = large, .size = sizeof(large)}};

	for (unsigned i = 0; i < 3; i++)
		TASK_CHECK(hilo_udp_local(server, &out[i].address), ==, 0);
	TASK_CHECK(hilo_udp_send_batch(client, out, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_udp_send_batch(client, out + 2, 1, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_udp_send_batch(client, out, 3, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

static int receives(void *arg)
{
	char byte;

	return (int)hilo_udp_receive(arg, &byte, 1, NULL, HILO_FOREVER);
}

static hilo_task *receiver(hilo_udp *udp)
{
	hilo_task *task = hilo_spawn(receives, udp);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

TASK_TEST(test_several_receive_from_one_socket_and_each_datagram_has_one)
{
	hilo_udp *server = bound(), *client = connected(server);
	hilo_task *task[4];

	for (unsigned i = 0; i < array_size(task); i++)
		task[i] = receiver(server);
	TASK_CHECK(hilo_task_cancel(task[1]), ==, 0);
	TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, -ECANCELED);
	for (unsigned i = 0; i < array_size(task) - 1; i++)
		TASK_CHECK(hilo_udp_send(client, "x", 1, HILO_FOREVER), ==, 1);
	for (unsigned i = 0; i < array_size(task); i++)
		if (i != 1)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

TASK_TEST(test_close_ends_all_who_wait_and_all_who_come)
{
	hilo_udp *server = bound(), *client = connected(server);
	int fd = hilo_udp_fd(server);
	struct stat before, after;
	hilo_task *task[4];
	char byte;

	TASK_CHECK(fstat(fd, &before), ==, 0);
	for (unsigned i = 0; i < array_size(task); i++)
		task[i] = receiver(i % 2 ? client : server);
	TASK_CHECK(hilo_udp_close(server), ==, 0);
	TASK_CHECK(hilo_udp_close(server), ==, 0);
	TASK_CHECK(hilo_udp_close(client), ==, 0);
	for (unsigned i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, HILO_ECLOSED);
	/* Closed, though the number may be another's by now. */
	TASK_CHECK(fstat(fd, &after) < 0 || after.st_ino != before.st_ino, ==, 1);
	TASK_CHECK(hilo_udp_receive(server, &byte, 1, NULL, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_udp_send(client, &byte, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_udp_local(server, &(hilo_address){0}), ==, HILO_ECLOSED);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

/* Whatever comes first, nobody is left waiting, and the memory is not used again. */
TASK_TEST(test_free_races_with_who_begins_to_wait)
{
	for (unsigned i = 0; i < test_rounds(100); i++) {
		hilo_udp *udp = bound();
		hilo_task *task[3];

		for (unsigned j = 0; j < array_size(task); j++)
			task[j] = hilo_spawn(receives, udp);
		if (i % 2)
			TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_udp_close(udp), ==, 0);
		for (unsigned j = 0; j < array_size(task); j++)
			TASK_CHECK(hilo_join(task[j], HILO_FOREVER), ==, HILO_ECLOSED);
		hilo_udp_free(udp);
	}
	return 0;
}

TASK_TEST(test_ports_are_shared_only_if_both_ask_for_it)
{
	hilo_udp_opts opts = {.size = sizeof(opts), .flags = HILO_UDP_REUSE_PORT | HILO_UDP_BROADCAST};
	hilo_udp *first, *second = NULL, *third = bound();

	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, &opts, &first, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", port_of(first), &opts, &second, HILO_FOREVER), ==, 0);
	TASK_CHECK(port_of(second), ==, port_of(first));
	hilo_udp_free(second);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", port_of(third), NULL, &second, HILO_FOREVER), ==, -EADDRINUSE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "127.0.0.1:");
	hilo_udp_free(first);
	hilo_udp_free(third);
	return 0;
}

TASK_TEST(test_broadcast_has_to_be_allowed)
{
	hilo_udp_opts opts = {.size = sizeof(opts), .flags = HILO_UDP_BROADCAST};
	hilo_udp *plain = bound(), *allowed = NULL;
	hilo_address all;

	TASK_CHECK(hilo_address_parse("127.255.255.255:9", &all), ==, 0);
	TASK_CHECK(hilo_udp_send_to(plain, "x", 1, &all, HILO_FOREVER), ==, -EACCES);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, &opts, &allowed, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_send_to(allowed, "x", 1, &all, HILO_FOREVER), ==, 1);
	hilo_udp_free(plain);
	hilo_udp_free(allowed);
	return 0;
}

TASK_TEST(test_connected_socket_may_choose_where_it_is)
{
	hilo_udp *server = bound(), *spare = bound(), *client = NULL;
	hilo_udp_opts opts = {.size = sizeof(opts), .local_host = "127.0.0.1", .local_port = port_of(spare)};

	hilo_udp_free(spare);
	TASK_CHECK(hilo_udp_connect("127.0.0.1", port_of(server), &opts, &client, HILO_FOREVER), ==, 0);
	TASK_CHECK(port_of(client), ==, opts.local_port);
	hilo_udp_free(client);
	opts.local_host = NULL;
	TASK_CHECK(hilo_udp_connect("127.0.0.1", port_of(server), &opts, &client, HILO_FOREVER), ==, 0);
	TASK_CHECK(port_of(client), ==, opts.local_port);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

TASK_TEST(test_mistakes_are_told_and_leave_nothing)
{
	hilo_udp_opts opts = {.size = sizeof(opts), .flags = 1024};
	unsigned before;
	int pair[2];
	hilo_udp_message message = {.size = 1};
	hilo_udp *udp = NULL;
	char byte;

	before = test_fds();
	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, &opts, &udp, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", 65536, NULL, &udp, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_bind("127.0.0.1", 0, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	for (unsigned i = 0; i < 40; i++)
		TASK_CHECK(hilo_udp_bind("192.0.2.1", 0, NULL, &udp, HILO_FOREVER), ==, -EADDRNOTAVAIL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "192.0.2.1:0");
	TASK_CHECK(udp, ==, NULL);
	TASK_CHECK(hilo_udp_receive(NULL, &byte, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send(NULL, &byte, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_to(NULL, &byte, 1, &(hilo_address){0}, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive_batch(NULL, NULL, 3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive_batch(NULL, &message, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive_batch(NULL, &message, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_batch(NULL, NULL, 3, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_local(NULL, &(hilo_address){0}), ==, -EINVAL);
	TASK_CHECK(hilo_udp_peer(NULL, &(hilo_address){0}), ==, -EINVAL);
	TASK_CHECK(hilo_udp_fd(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_udp_from_fd(0, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_udp_close(NULL), ==, -EINVAL);
	hilo_udp_free(NULL);
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	TASK_CHECK(hilo_udp_from_fd(pair[0], &udp), ==, -EPROTOTYPE);
	TASK_CHECK(close(pair[0]) | close(pair[1]), ==, 0);
	TASK_CHECK(hilo_udp_from_fd(12345, &udp), ==, -EBADF);
	TASK_CHECK(test_fds(), <=, before + 20); /* the runtime has some of its own to open */
	return 0;
}

TASK_TEST(test_null_is_told_and_nothing_is_moved)
{
	hilo_udp *server = bound(), *client = connected(server);
	char byte = 'b';
	hilo_udp_message messages[2] = {{.data = &byte, .size = 1}, {.size = 1}};
	hilo_address name;

	TASK_CHECK(hilo_udp_local(server, &name), ==, 0);
	TASK_CHECK(hilo_udp_send(client, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_to(client, NULL, 1, &name, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_to(client, &byte, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_batch(client, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_send_batch(client, messages, 2, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "message 1 is NULL");
	TASK_CHECK(hilo_udp_receive(server, &byte, 1, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_udp_send(client, NULL, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_receive(server, NULL, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive_batch(server, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive_batch(server, messages, 2, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_udp_local(server, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_udp_peer(client, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_udp_receive(server, NULL, 0, NULL, HILO_FOREVER), ==, 0);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

/* Received before, or not at all: an empty datagram is not taken for the end. */
TASK_TEST(test_empty_datagram_that_races_with_close_is_no_failure_if_it_was_received)
{
	for (unsigned i = 0; i < test_rounds(100); i++) {
		hilo_udp *server = bound(), *client = connected(server);
		hilo_task *task = receiver(server);
		int rc;

		TASK_CHECK(hilo_udp_send(client, NULL, 0, HILO_FOREVER), ==, 0);
		if (i % 2)
			TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_udp_close(server), ==, 0);
		rc = hilo_join(task, HILO_FOREVER);
		TASK_CHECK(rc == 0 || rc == HILO_ECLOSED, ==, 1);
		hilo_udp_free(server);
		hilo_udp_free(client);
	}
	return 0;
}

TASK_TEST(test_ipv6_works_where_there_is_any)
{
	hilo_udp *server = NULL, *client = NULL;
	hilo_address name;
	char byte;
	int rc = hilo_udp_bind("::1", 0, NULL, &server, HILO_FOREVER);

	if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
		return 0; /* told by test_connect, which is skipped then */
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_udp_local(server, &name), ==, 0);
	TASK_CHECK(hilo_udp_connect("::1", hilo_address_port(&name), NULL, &client, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_udp_send(client, "6", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_udp_receive(server, &byte, 1, &name, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_address_family(&name), ==, AF_INET6);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

static void *thread_answers(void *arg)
{
	hilo_address from;
	char byte;

	TASK_CHECK(hilo_udp_receive(arg, &byte, 1, &from, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_udp_send_to(arg, &byte, 1, &from, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_udp_receive(arg, &byte, 1, &from, HILO_FOREVER), ==, HILO_ECLOSED);
	return NULL;
}

TASK_TEST(test_plain_threads_share_a_socket_with_tasks)
{
	hilo_udp *server = bound(), *client = connected(server);
	pthread_t thread;
	char byte = 0;

	TASK_CHECK(pthread_create(&thread, NULL, thread_answers, server), ==, 0);
	TASK_CHECK(hilo_udp_send(client, "t", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_udp_receive(client, &byte, 1, NULL, HILO_FOREVER), ==, 1);
	TASK_CHECK(byte, ==, 't');
	TASK_CHECK(hilo_udp_close(server), ==, 0);
	test_join_thread(thread);
	hilo_udp_free(server);
	hilo_udp_free(client);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams_go_and_come_back_with_addresses),
		cmocka_unit_test(test_datagram_that_is_cut_tells_its_length),
		cmocka_unit_test(test_batches_take_what_is_there_in_order),
		cmocka_unit_test(test_batch_that_fails_in_the_middle_tells_how_many_were_sent),
		cmocka_unit_test(test_several_receive_from_one_socket_and_each_datagram_has_one),
		cmocka_unit_test(test_close_ends_all_who_wait_and_all_who_come),
		cmocka_unit_test(test_free_races_with_who_begins_to_wait),
		cmocka_unit_test(test_ports_are_shared_only_if_both_ask_for_it),
		cmocka_unit_test(test_broadcast_has_to_be_allowed),
		cmocka_unit_test(test_connected_socket_may_choose_where_it_is),
		cmocka_unit_test(test_mistakes_are_told_and_leave_nothing),
		cmocka_unit_test(test_null_is_told_and_nothing_is_moved),
		cmocka_unit_test(test_empty_datagram_that_races_with_close_is_no_failure_if_it_was_received),
		cmocka_unit_test(test_ipv6_works_where_there_is_any),
		cmocka_unit_test(test_plain_threads_share_a_socket_with_tasks),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
