/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SCHEDULER_POLL_PROBE_H
#define TESTS_UNIT_SCHEDULER_POLL_PROBE_H

/*
 * poll_probe.h - what tests of poll_io.h share: a poller of one of the two kinds, a pair of sockets, and operations
 * that remember how they have completed.
 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"
#include "scheduler/poll_io.h"

static struct poller poller;
static int fd[2]; /* a pair of sockets; [0] is what the poller uses */

static inline void close_end(int i)
{
	if (fd[i] < 0)
		return;
	assert_int_equal(close(fd[i]), 0);
	fd[i] = -1;
}

static inline void make_pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static inline void close_pair(int ends[2])
{
	hilo__poller_forget(&poller, ends[0]);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

static inline int setup(bool is_ring)
{
	int rc = hilo__poller_init(&poller, is_ring);

	fd[0] = fd[1] = -1;
	return rc < 0 ? rc : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd);
}

/* Which of the two: the same tests run on both. */
static inline int setup_epoll(void **state)
{
	(void)state;
	return setup(false);
}

static inline int setup_ring(void **state)
{
	(void)state;
	fd[0] = fd[1] = -1;
	return hilo__poller_ring_works() == 0 ? setup(true) : 0;
}

/* The poller's end, in the test itself. */
static inline void end_poller(void)
{
	hilo__poller_fini(&poller);
	poller.backend = NULL;
}

static inline int teardown(void **state)
{
	(void)state;
	hilo__sys_reset();
	if (!poller.backend)
		return 0;
	hilo__poller_forget(&poller, fd[0]);
	hilo__poller_forget(&poller, fd[1]);
	(void)hilo__poller_abandon(&poller, HILO_FOREVER);
	end_poller();
	return 0;
}

static inline int teardown_pair(void **state)
{
	int rc = teardown(state);

	close_end(0);
	close_end(1);
	return rc;
}

/*
 * A test on the poller that its setup has made, with the pair:
 *
 *	POLL_TEST(test_what_it_shows)
 *	{
 *	}
 */
#define POLL_TEST(name)                                                                                      \
	static void name##_body(void);                                                                       \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		if (!poller.backend)                                                                         \
			TEST_SKIP("no io_uring here");                                                       \
		name##_body();                                                                               \
	}                                                                                                    \
	static void name##_body(void)

/* Both of them, in the table of tests. */
#define BOTH(test)                                                                                           \
	{#test ", epoll", test, setup_epoll, teardown_pair, NULL},                                           \
	{                                                                                                    \
#test ", ring", test, setup_ring, teardown_pair, NULL                                        \
	}

struct probe {
	struct poll_io io;
	int completions;
	int result;
	struct probe *next; /* started when this one has completed */
};

static inline void probe_complete(struct poll_op *op)
{
	struct probe *probe = container_of(container_of(op, struct poll_io, op), struct probe, io);

	probe->completions++;
	probe->result = op->result;
	if (probe->next && hilo__poller_start(&poller, &probe->next->io)) {
		probe->next->completions++;
		probe->next->result = probe->next->io.op.result;
	}
}

static inline void probe_init(struct probe *probe, enum poll_io_kind kind, int of, const void *data,
			      size_t length)
{
	*probe = (struct probe){0};
	poll_io_init(&probe->io, kind, of, (void *)(uintptr_t)data, length, probe_complete);
}

static inline void probe_start(struct probe *probe)
{
	if (hilo__poller_start(&poller, &probe->io)) {
		probe->completions++;
		probe->result = probe->io.op.result;
	}
}

/* What is there now. */
static inline void reap(void)
{
	for (int i = 0; i < 3; i++)
		(void)hilo__poller_reap(&poller, POLL_BATCH, POLL_OWNER);
}

static inline int probe_await(struct probe *probe)
{
	while (!probe->completions)
		(void)hilo__poller_wait(&poller, HILO_FOREVER);
	assert_int_equal(probe->completions, 1);
	return probe->result;
}

/* A buffer of the kernel's that is full. */
static inline size_t fill(int to)
{
	char some[4096] = {0};
	size_t all = 0;
	ssize_t n;

	while ((n = send(to, some, sizeof(some), MSG_DONTWAIT)) > 0)
		all += (size_t)n;
	return all;
}

static inline void drain(int from, size_t size)
{
	char some[4096];

	while (size > 0) {
		ssize_t n = read(from, some, size < sizeof(some) ? size : sizeof(some));

		assert_true(n > 0);
		size -= (size_t)n;
	}
}

static inline int listen_here(struct sockaddr_in *ret)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (poller.is_ring ? 0 : SOCK_NONBLOCK), 0);
	socklen_t size = sizeof(*ret);

	assert_true(listener >= 0);
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(listener, (struct sockaddr *)ret, sizeof(*ret)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)ret, &size), 0);
	return listener;
}

#endif /* TESTS_UNIT_SCHEDULER_POLL_PROBE_H */
