/* SPDX-License-Identifier: MIT */
/*
 * stress_connections.c - a server and very many clients, which are another process: 10,000 at the same time, 50,000 one
 * after the other, more than there are descriptors, such that speak slowly and such that do not listen. Each is
 * answered, none is lost, and what they have taken is given back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <hilo/io/server.h>

#include "tests/support/crowd.h"
#include "tests/support/test.h"

#define TOGETHER 10000
#define STORM 50000
#define STORM_AT_ONCE 500
#define FEW_DESCRIPTORS 40
#define PAUSES "accepting pauses"
#define SLOW 500
#define DEAF 200
#define FLOOD (64 * 1024)
/* What this process has open beside the connections. */
#define SPARE 100

static int answer(hilo_stream *client, void *arg)
{
	uint64_t question;
	ssize_t n;

	(void)arg;
	while ((n = hilo_stream_read_exactly(client, &question, CROWD_QUESTION, HILO_FOREVER)) > 0) {
		question = crowd_answer(question);
		n = hilo_stream_write(client, &question, CROWD_QUESTION, HILO_FOREVER);
		if (n < 0)
			break;
	}
	return 0; /* clients may go as they like */
}

/* Talks to who does not listen. */
static int flood(hilo_stream *client, void *arg)
{
	char *bytes = arg;
	ssize_t n;

	do {
		n = hilo_stream_write(client, bytes, FLOOD, HILO_FOREVER);
		TASK_CHECK(hilo_stream_write_buffered(client), <=, 2 * FLOOD);
	} while (n > 0);
	return (int)n;
}

static hilo_server *started(hilo_server_fn handler, void *arg, unsigned *port)
{
	hilo_server_opts opts = {.size = sizeof(opts), .host = "127.0.0.1"};
	hilo_address address;
	hilo_server *server;

	TASK_CHECK(hilo_start_server(handler, arg, &opts, &server, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_server_sockname(server, 0, &address), ==, 0);
	*port = hilo_address_port(&address);
	return server;
}

static hilo_server_stats stats_of(const hilo_server *server)
{
	hilo_server_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_server_get_stats(server, &stats), ==, 0);
	return stats;
}

static void closed(hilo_server *server)
{
	TASK_CHECK(hilo_server_close(server, NULL, HILO_FOREVER), ==, 0);
	hilo_server_free(server);
}

/* Run @body with one and with two workers: descriptors are as before each time. */
static void each(hilo_task_fn body)
{
	for (unsigned workers = 1; workers <= 2; workers++) {
		unsigned fds = test_fds();

		assert_int_equal(test_run(workers, body, NULL), 0);
		assert_int_equal(test_fds(), fds);
	}
}

static int together(void *arg)
{
	unsigned count = test_fewer(TOGETHER), port;
	hilo_server *server = started(answer, NULL, &port);
	struct crowd crowd;

	(void)arg;
	crowd_start(&crowd, CROWD_TOGETHER, count, 0);
	crowd_go(&crowd, port);
	crowd_wait(&crowd);
	TASK_CHECK(hilo_server_clients(server), ==, count);
	crowd_end(&crowd);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(stats_of(server).accepted, ==, count);
	TASK_CHECK(stats_of(server).most, ==, count);
	TASK_CHECK(stats_of(server).turned_away, ==, 0);
	closed(server);
	return 0;
}

static void test_ten_thousand_at_the_same_time(void **state)
{
	(void)state;
	if (crowd_raise_limit() < test_fewer(TOGETHER) + SPARE)
		TEST_SKIP("the hard limit of descriptors (ulimit -Hn) is too low for 10,000 connections");
	each(together);
}

static int storm(void *arg)
{
	unsigned count = test_rounds(STORM), port;
	hilo_server *server = started(answer, NULL, &port);
	struct crowd crowd;

	(void)arg;
	crowd_start(&crowd, CROWD_STORM, count, STORM_AT_ONCE);
	crowd_go(&crowd, port);
	crowd_wait(&crowd);
	crowd_end(&crowd);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(stats_of(server).accepted, ==, count);
	TASK_CHECK(stats_of(server).turned_away, ==, 0);
	TASK_CHECK(stats_of(server).failed, ==, 0);
	closed(server);
	return 0;
}

static void test_storm_of_fifty_thousand_loses_none(void **state)
{
	(void)state;
	if (crowd_raise_limit() < STORM_AT_ONCE * 2 + SPARE)
		TEST_SKIP("the hard limit of descriptors (ulimit -Hn) is too low for 500 connections");
	each(storm);
}

/*
 * So many descriptors more than there are now, and what is over is turned away, and comes again. That is told, once a
 * second at most.
 */
static int exhausted(void *arg)
{
	unsigned count = test_rounds(4000), port, told = test_log_count(PAUSES);
	hilo_time start = hilo_now();
	hilo_server *server;
	struct rlimit before, few;
	struct crowd crowd;

	(void)arg;
	crowd_start(&crowd, CROWD_STORM, count, STORM_AT_ONCE);
	server = started(answer, NULL, &port);
	TASK_CHECK(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	few = before;
	few.rlim_cur = test_fds() + FEW_DESCRIPTORS;
	TASK_CHECK(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
	crowd_go(&crowd, port);
	crowd_wait(&crowd);
	TASK_CHECK(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	crowd_end(&crowd);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(stats_of(server).accepted, >=, count);
	TASK_CHECK(test_log_count(PAUSES) - told, <=, 1 + (hilo_now() - start) / HILO_SECOND);
	closed(server);
	return 0;
}

static void test_more_clients_than_descriptors_are_served_in_the_end(void **state)
{
	(void)state;
	test_log_begin();
	each(exhausted);
	test_log_end();
}

static int slow(void *arg)
{
	unsigned count = test_fewer(SLOW), port;
	hilo_server *server = started(answer, NULL, &port);
	struct crowd crowd;

	(void)arg;
	crowd_start(&crowd, CROWD_SLOW, count, 0);
	crowd_go(&crowd, port);
	crowd_wait(&crowd);
	crowd_end(&crowd);
	TEST_UNTIL(hilo_server_clients(server) == 0);
	TASK_CHECK(stats_of(server).accepted, ==, count);
	closed(server);
	return 0;
}

static void test_clients_that_speak_a_byte_at_a_time(void **state)
{
	(void)state;
	each(slow);
}

/* Who does not listen keeps no more than its marks allow, holds up nobody else, and is told of at the end. */
static int deaf(void *arg)
{
	unsigned count = test_fewer(DEAF), others = test_rounds(2000), port[2];
	char *bytes = calloc(1, FLOOD);
	hilo_server *flooding = started(flood, bytes, &port[0]), *answering = started(answer, NULL, &port[1]);
	hilo_server_counts counts = {.size = sizeof(counts)};
	struct crowd crowd[2];

	(void)arg;
	crowd_start(&crowd[0], CROWD_DEAF, count, 0);
	crowd_start(&crowd[1], CROWD_STORM, others, 50);
	crowd_go(&crowd[0], port[0]);
	crowd_wait(&crowd[0]);
	TEST_UNTIL(hilo_server_clients(flooding) == count);
	crowd_go(&crowd[1], port[1]);
	crowd_wait(&crowd[1]);
	crowd_end(&crowd[1]);
	TASK_CHECK(hilo_server_clients(flooding), ==, count);
	TASK_CHECK(hilo_server_close(flooding, &counts, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(counts.drained, ==, 0);
	TASK_CHECK(counts.cancelled + counts.aborted, ==, count);
	TASK_CHECK(counts.running, ==, 0);
	hilo_server_free(flooding);
	crowd_end(&crowd[0]);
	TEST_UNTIL(hilo_server_clients(answering) == 0);
	closed(answering);
	free(bytes);
	return 0;
}

static void test_clients_that_do_not_listen(void **state)
{
	(void)state;
	each(deaf);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_thousand_at_the_same_time),
		cmocka_unit_test(test_storm_of_fifty_thousand_loses_none),
		cmocka_unit_test(test_more_clients_than_descriptors_are_served_in_the_end),
		cmocka_unit_test(test_clients_that_speak_a_byte_at_a_time),
		cmocka_unit_test(test_clients_that_do_not_listen),
	};

	crowd_main(argc, argv);
#ifdef HILO_TEST_EMULATED
	printf("SKIP: emulators execute no program of their own kind\n");
	return 77;
#endif
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
