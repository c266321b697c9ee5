/* SPDX-License-Identifier: MIT */
/*
 * test_datagram_batch.c - datagrams of one size that go as segments of one: as many, in the same order, and what does
 * not go so goes as it would have without.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hilo/io/datagram.h>

#include "io/sock_impl.h"
#include "scheduler/base/sys.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define MANY 64u
#define SIZE ((size_t)1200)

static const char *const hosts[] = {"127.0.0.1", "::1"};

/* Both ends on @host; false: the machine has no such addresses. */
static bool ends_open(const char *host, hilo_udp **server, hilo_udp **client, hilo_address *there)
{
	hilo_udp_opts opts = {.size = sizeof(opts), .receive_buffer = 1 << 20};
	int rc = hilo_udp_bind(host, 0, &opts, server, HILO_FOREVER);

	if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
		return false; /* told by test_connect, which is skipped then */
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_udp_local(*server, there), ==, 0);
	TASK_CHECK(hilo_udp_connect(host, hilo_address_port(there), NULL, client, HILO_FOREVER), ==, 0);
	return true;
}

/* The kernel knows of segments. */
static bool has_segments(const hilo_udp *udp)
{
	int value;

	return hilo__sock_get(hilo_udp_fd(udp), SOL_UDP, UDP_SEGMENT, &value) == 0;
}

/* Calls of sendmsg in which @n were sent. */
static long calls_that_send(hilo_udp *client, const hilo_udp_message *messages, unsigned n)
{
	hilo__sys_fail(SYS_CALL_SENDMSG, 0, 0, false);
	TASK_CHECK(hilo_udp_send_batch(client, messages, n, HILO_FOREVER), ==, n);
	return (long)hilo__sys_calls(SYS_CALL_SENDMSG);
}

static char byte_of(unsigned i, size_t at)
{
	return (char)(i * 31 + at * 7 + at / 251);
}

/* @n of @size bytes, to @to, or NULL. */
static hilo_udp_message *batch_new(unsigned n, size_t size, const hilo_address *to)
{
	hilo_udp_message *messages = calloc(n, sizeof(*messages));

	for (unsigned i = 0; i < n; i++) {
		char *data = malloc(size + 1);

		for (size_t at = 0; at < size; at++)
			data[at] = byte_of(i, at);
		messages[i].data = data;
		messages[i].size = size;
		if (to)
			messages[i].address = *to;
	}
	return messages;
}

static void batch_free(hilo_udp_message *messages, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(messages[i].data);
	free(messages);
}

/* They come, each by itself, in order. */
static void expect(hilo_udp *server, const hilo_udp_message *messages, unsigned n)
{
	static char buf[65536];

	for (unsigned i = 0; i < n; i++) {
		TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), NULL, HILO_FOREVER), ==,
			   messages[i].size);
		TASK_CHECK(memcmp(buf, messages[i].data, messages[i].size), ==, 0);
	}
}

static void expect_no_more(hilo_udp *server)
{
	char byte;

	TASK_CHECK(hilo_udp_receive(server, &byte, 1, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
}

TASK_TEST(test_datagrams_of_one_size_go_together)
{
	for (size_t i = 0; i < array_size(hosts); i++) {
		hilo_udp *server, *client, *other = NULL;
		hilo_udp_message *messages, *addressed;
		hilo_address there;
		long calls;

		if (!ends_open(hosts[i], &server, &client, &there))
			continue;
		TASK_CHECK(hilo_udp_bind(hosts[i], 0, NULL, &other, HILO_FOREVER), ==, 0);
		messages = batch_new(MANY, SIZE, NULL);
		addressed = batch_new(MANY, SIZE, &there);
		messages[MANY - 1].size = 1; /* the last one may be smaller */
		calls = calls_that_send(client, messages, MANY);
		expect(server, messages, MANY);
		TASK_CHECK(calls, ==, has_segments(client) ? 2 : 0); /* 54 fit one */
		calls = calls_that_send(other, addressed, MANY);
		expect(server, addressed, MANY);
		TASK_CHECK(calls, ==, has_segments(other) ? 2 : 0);
		calls = calls_that_send(client, messages, 3);
		expect(server, messages, 3);
		TASK_CHECK(calls, ==, 0);
		expect_no_more(server);
		batch_free(messages, MANY);
		batch_free(addressed, MANY);
		hilo_udp_free(client);
		hilo_udp_free(other);
		hilo_udp_free(server);
	}
	return 0;
}

/* Sizes and addresses in any order: both servers get theirs, in order. */
TASK_TEST(test_mixed_ones_keep_their_order)
{
	static const size_t sizes[] = {0, 1, 8, 8, 8, 8, 9, 700};
	uint64_t seed = test_seed();

	for (unsigned round = 0; round < test_rounds(40); round++) {
		hilo_udp *server[2], *client[2];
		hilo_address there[2];
		hilo_udp_message *messages = batch_new(MANY, 700, NULL), *of[2];
		unsigned n[2] = {0, 0}, to = 0;

		for (unsigned i = 0; i < 2; i++) {
			TASK_CHECK(ends_open(hosts[0], &server[i], &client[i], &there[i]), ==, true);
			of[i] = calloc(MANY, sizeof(*of[i]));
		}
		hilo_udp_free(client[0]);
		TASK_CHECK(hilo_udp_bind(hosts[0], 0, NULL, &client[0], HILO_FOREVER), ==, 0);
		for (unsigned i = 0; i < MANY; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			to = (seed >> 40) % 10 ? to : !to;
			messages[i].size =
				(seed >> 50) % 3 ? sizes[2] : sizes[(seed >> 33) % array_size(sizes)];
			messages[i].address = there[to];
			of[to][n[to]++] = messages[i];
		}
		TASK_CHECK(hilo_udp_send_batch(client[0], messages, MANY, HILO_FOREVER), ==, MANY);
		for (unsigned i = 0; i < 2; i++) {
			expect(server[i], of[i], n[i]);
			expect_no_more(server[i]);
			hilo_udp_free(server[i]);
			hilo_udp_free(client[i]);
			free(of[i]);
		}
		batch_free(messages, MANY);
	}
	return 0;
}

/* A device that cannot, or a size: they go one by one, and none is lost or doubled. */
TASK_TEST(test_refusal_is_remembered)
{
	static const struct {
		int error;
		bool of_size;
	} refusals[] = {
		{EIO, false}, {ENOPROTOOPT, false}, {EOPNOTSUPP, false}, {EINVAL, true}, {EMSGSIZE, true}};
	hilo_udp_message *messages = batch_new(MANY, SIZE, NULL), *small = batch_new(MANY, SIZE - 1, NULL);

	for (size_t i = 0; i < array_size(refusals) * array_size(hosts); i++) {
		hilo_udp *server, *client;
		hilo_address there;
		long calls;

		if (!ends_open(hosts[i % 2], &server, &client, &there))
			continue;
		if (!has_segments(client)) {
			hilo_udp_free(client);
			hilo_udp_free(server);
			continue;
		}
		hilo__sys_fail(SYS_CALL_SENDMSG, 1, refusals[i / 2].error, false);
		TASK_CHECK(hilo_udp_send_batch(client, messages, MANY, HILO_FOREVER), ==, MANY);
		calls = (long)hilo__sys_calls(SYS_CALL_SENDMSG);
		TASK_CHECK(calls, ==, 1);
		expect(server, messages, MANY);
		calls = calls_that_send(client, messages, MANY);
		TASK_CHECK(calls, ==, 0);
		expect(server, messages, MANY);
		calls = calls_that_send(client, small, MANY);
		TASK_CHECK(calls > 0, ==, refusals[i / 2].of_size);
		expect(server, small, MANY);
		expect_no_more(server);
		hilo_udp_free(client);
		hilo_udp_free(server);
	}
	batch_free(messages, MANY);
	batch_free(small, MANY);
	return 0;
}

/* There was not so much room, or memory: the next ones may go together again. Other failures are the call's. */
TASK_TEST(test_failures_of_the_moment_and_of_the_socket)
{
	static const int moments[] = {EAGAIN, ENOBUFS, ENOMEM, EINTR},
			 others[] = {ECONNREFUSED, EPERM, ENETUNREACH};
	hilo_udp_message *messages = batch_new(MANY, SIZE, NULL);
	hilo_udp *server, *client;
	hilo_address there;

	TASK_CHECK(ends_open(hosts[0], &server, &client, &there), ==, true);
	for (size_t i = 0; has_segments(client) && i < array_size(moments); i++) {
		long calls;

		hilo__sys_fail(SYS_CALL_SENDMSG, 1, moments[i], false);
		TASK_CHECK(hilo_udp_send_batch(client, messages, MANY, HILO_FOREVER), ==, MANY);
		calls = (long)hilo__sys_calls(SYS_CALL_SENDMSG);
		TASK_CHECK(calls, ==, 2); /* 16 one by one, and the others */
		expect(server, messages, MANY);
	}
	for (size_t i = 0; has_segments(client) && i < array_size(others); i++) {
		hilo__sys_fail(SYS_CALL_SENDMSG, 1, others[i], false);
		TASK_CHECK(hilo_udp_send_batch(client, messages, MANY, HILO_FOREVER), ==, -others[i]);
		expect_no_more(server);
		hilo__sys_fail(SYS_CALL_SENDMSG, 2, others[i], false);
		TASK_CHECK(hilo_udp_send_batch(client, messages, MANY, HILO_FOREVER), ==, 54);
		expect(server, messages, 54);
	}
	hilo__sys_fail(SYS_CALL_SENDMSG, 0, 0, false);
	expect_no_more(server);
	batch_free(messages, MANY);
	hilo_udp_free(client);
	hilo_udp_free(server);
	return 0;
}

/* Larger than the link takes whole: the kernel makes fragments of each, but not of segments. */
TASK_TEST(test_datagrams_that_are_fragments_arrive)
{
	hilo_udp_message *messages = batch_new(8, 2000, NULL), *small = batch_new(8, 1000, NULL);
	hilo_udp *server, *client;
	hilo_address there;
	long calls;

	if (ends_open(hosts[1], &server, &client, &there)) {
		TASK_CHECK(hilo__sock_set(hilo_udp_fd(client), IPPROTO_IPV6, IPV6_MTU, 1280), ==, 0);
		TASK_CHECK(hilo_udp_send_batch(client, messages, 8, HILO_FOREVER), ==, 8);
		expect(server, messages, 8);
		calls = calls_that_send(client, messages, 8);
		expect(server, messages, 8);
		TASK_CHECK(calls, ==, 0);
		calls = calls_that_send(client, small, 8);
		expect(server, small, 8);
		TASK_CHECK(calls, ==, has_segments(client));
		expect_no_more(server);
		hilo_udp_free(client);
		hilo_udp_free(server);
	}
	batch_free(messages, 8);
	batch_free(small, 8);
	return 0;
}

/* Who has set a size of segments himself keeps it. */
TASK_TEST(test_size_of_the_callers_is_kept)
{
	hilo_udp_message *messages = batch_new(8, 100, NULL);
	hilo_udp *server, *client;
	hilo_address there;
	char buf[100];

	TASK_CHECK(ends_open(hosts[0], &server, &client, &there), ==, true);
	if (has_segments(client)) {
		TASK_CHECK(hilo__sock_set(hilo_udp_fd(client), SOL_UDP, UDP_SEGMENT, 50), ==, 0);
		TASK_CHECK(hilo_udp_send_batch(client, messages, 8, HILO_FOREVER), ==, 8);
		for (unsigned i = 0; i < 16; i++)
			TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), NULL, HILO_FOREVER), ==, 50);
		expect_no_more(server);
	}
	hilo_udp_free(client);
	hilo_udp_free(server);
	batch_free(messages, 8);
	return 0;
}

struct giving {
	hilo_udp *udp;
	hilo_udp_message *messages;
};

static int gives(void *arg)
{
	struct giving *self = arg;

	return hilo_udp_send_batch(self->udp, self->messages, MANY, HILO_FOREVER);
}

/* Another kind of socket, which has no segments, and no room for all. */
TASK_TEST(test_unix_sockets_wait_for_room)
{
	struct giving giving = {.messages = batch_new(MANY, SIZE, NULL)};
	hilo_udp *server = NULL;
	hilo_task *task;
	int pair[2];

	TASK_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
	TASK_CHECK(hilo__sock_set(pair[1], SOL_SOCKET, SO_SNDBUF, 8192), ==, 0);
	TASK_CHECK(hilo_udp_from_fd(pair[0], &server), ==, 0);
	TASK_CHECK(hilo_udp_from_fd(pair[1], &giving.udp), ==, 0);
	task = hilo_spawn(gives, &giving);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	expect(server, giving.messages, MANY);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, MANY);
	expect_no_more(server);
	hilo_udp_free(server);
	hilo_udp_free(giving.udp);
	batch_free(giving.messages, MANY);
	return 0;
}

/* Several at once on one socket, of which none knows yet what can be: each datagram comes once. */
TASK_TEST(test_several_send_batches_at_once)
{
	struct giving giving = {.messages = batch_new(MANY, 100, NULL)};
	hilo_task *task[4];
	hilo_udp *server;
	hilo_address there;
	char buf[100];

	TASK_CHECK(ends_open(hosts[0], &server, &giving.udp, &there), ==, true);
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(gives, &giving);
	for (unsigned i = 0; i < array_size(task) * MANY; i++)
		TASK_CHECK(hilo_udp_receive(server, buf, sizeof(buf), NULL, HILO_FOREVER), ==, 100);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, MANY);
	expect_no_more(server);
	hilo_udp_free(server);
	hilo_udp_free(giving.udp);
	batch_free(giving.messages, MANY);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams_of_one_size_go_together),
		cmocka_unit_test(test_mixed_ones_keep_their_order),
		cmocka_unit_test(test_refusal_is_remembered),
		cmocka_unit_test(test_failures_of_the_moment_and_of_the_socket),
		cmocka_unit_test(test_datagrams_that_are_fragments_arrive),
		cmocka_unit_test(test_size_of_the_callers_is_kept),
		cmocka_unit_test(test_unix_sockets_wait_for_room),
		cmocka_unit_test(test_several_send_batches_at_once),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
