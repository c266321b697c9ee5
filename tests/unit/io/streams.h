/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_STREAMS_H
#define TESTS_UNIT_IO_STREAMS_H

/*
 * streams.h - tests that hold for streams whatever is below them: each is run over TCP, Unix sockets and memory, with
 * 1, 2 and 8 workers. Compiled with STREAMS_OVER_TLS they are all encrypted.
 *
 *	STREAM_TEST(test_what_it_shows)
 *	{
 *		TASK_CHECK(hilo_stream_write(a, ...), ==, ...);      a and b are connected
 *		return 0;                                            and freed for it
 *	}
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hilo/io/stream.h>

#include "scheduler/base/mem.h"
#include "tests/support/test.h"

#ifdef STREAMS_OVER_TLS
#include "tests/support/certs.h"
#endif

enum stream_kind {
	KIND_UNIX,
	KIND_TCP,
	KIND_MEMORY,
	KINDS
};

/*
 * A socket whose segments are small beside what waits to be sent. The loopback's own are as large as all of it: one is
 * on its way at a time, and often the next waits until a timer of the peer has it acknowledged, 40 milliseconds later.
 */
static inline int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), segment = 8 * 1024;

	TASK_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)), ==, 0);
	return fd;
}

/*
 * Two connected sockets of that kind, for which the kernel holds less than STUFFING each way. With a smaller buffer TCP
 * drops what comes in small pieces, and sends it again a second later, or ten.
 */
static inline void sockets_make(enum stream_kind kind, int fd[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int listener, send = 32 * 1024, receive = 128 * 1024;

	if (kind == KIND_UNIX) {
		TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
		return;
	}
	listener = tcp_socket();
	TASK_CHECK(bind(listener, (struct sockaddr *)&name, size), ==, 0);
	TASK_CHECK(listen(listener, 1), ==, 0);
	TASK_CHECK(getsockname(listener, (struct sockaddr *)&name, &size), ==, 0);
	fd[0] = tcp_socket();
	TASK_CHECK(connect(fd[0], (struct sockaddr *)&name, size), ==, 0);
	fd[1] = accept(listener, NULL, NULL);
	TASK_CHECK(fd[1], >=, 0);
	close(listener);
	for (unsigned i = 0; i < 2; i++) {
		TASK_CHECK(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &send, sizeof(send)), ==, 0);
		TASK_CHECK(setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive)), ==, 0);
	}
}

/* Two connected streams, as @opts, or NULL, says. */
static inline void streams_make(enum stream_kind kind, const hilo_stream_opts *opts, hilo_stream *ret[2])
{
	int fd[2];

	if (kind == KIND_MEMORY) {
		TASK_CHECK(hilo_stream_pair(0, opts, ret), ==, 0);
	} else {
		sockets_make(kind, fd);
		TASK_CHECK(hilo_stream_from_fd(fd[0], opts, &ret[0]), ==, 0);
		TASK_CHECK(hilo_stream_from_fd(fd[1], opts, &ret[1]), ==, 0);
	}
#ifdef STREAMS_OVER_TLS
	test_tls_pair(ret[0], ret[1]);
#endif
}

struct stream_test {
	int (*body)(enum stream_kind kind, hilo_stream *a, hilo_stream *b);
	enum stream_kind kind;
};

static inline int stream_test_task(void *arg)
{
	struct stream_test *test = arg;
	hilo_stream *stream[2];
	int rc;

	streams_make(test->kind, NULL, stream);
	rc = test->body(test->kind, stream[0], stream[1]);
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
	return rc;
}

/* The descriptors that are open, and the memory, are as before when the runtime has ended. */
static inline void stream_test_run(int (*body)(enum stream_kind kind, hilo_stream *a, hilo_stream *b))
{
	static const unsigned workers[] = {1, 2, 8};

	for (enum stream_kind kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < array_size(workers); i++) {
			struct stream_test test = {body, kind};
			unsigned fds = test_fds();

			assert_int_equal(test_run(workers[i], stream_test_task, &test), 0);
			assert_int_equal(test_fds(), fds);
		}
}

#define STREAM_TEST(name)                                                                                    \
	static int name##_body(enum stream_kind kind, hilo_stream *a, hilo_stream *b);                       \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		stream_test_run(name##_body);                                                                \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) enum stream_kind kind,                                \
			       __attribute__((unused)) hilo_stream *a,                                       \
			       __attribute__((unused)) hilo_stream *b)

/* A call in a task of its own. */
struct stream_call {
	hilo_stream *stream;
	ssize_t (*call)(struct stream_call *self);
	char *buf;
	size_t size;
	hilo_time deadline;
	ssize_t result;
	atomic(bool) begun;
	hilo_task *task;
};

static inline int stream_call_task(void *arg)
{
	struct stream_call *self = arg;

	store_relaxed(&self->begun, true);
	self->result = self->call(self);
	return 0;
}

static inline void stream_call_start(struct stream_call *self)
{
	if (!self->deadline)
		self->deadline = HILO_FOREVER;
	self->task = hilo_spawn(stream_call_task, self);
	TASK_CHECK(self->task, !=, NULL);
}

/* [task] It waits in the stream. */
static inline void stream_call_waits(struct stream_call *self)
{
	TEST_UNTIL(hilo_task_get_state(self->task) == HILO_TASK_SUSPENDED);
}

static inline ssize_t stream_call_end(struct stream_call *self)
{
	TASK_CHECK(hilo_join(self->task, HILO_FOREVER), ==, 0);
	return self->result;
}

static inline ssize_t call_read(struct stream_call *self)
{
	return hilo_stream_read(self->stream, self->buf, self->size, self->deadline);
}

static inline ssize_t call_read_exactly(struct stream_call *self)
{
	return hilo_stream_read_exactly(self->stream, self->buf, self->size, self->deadline);
}

static inline ssize_t call_read_line(struct stream_call *self)
{
	return hilo_stream_read_line(self->stream, self->buf, self->size, self->deadline);
}

static inline ssize_t call_write(struct stream_call *self)
{
	return hilo_stream_write(self->stream, self->buf, self->size, self->deadline);
}

static inline ssize_t call_drain(struct stream_call *self)
{
	return hilo_stream_drain(self->stream, self->deadline);
}

static inline ssize_t call_flush(struct stream_call *self)
{
	return hilo_stream_flush(self->stream, self->deadline);
}

static inline ssize_t call_close(struct stream_call *self)
{
	return hilo_stream_close(self->stream, self->deadline);
}

/* Bytes that tell where they belong: the @n-th of all. */
static inline char byte_at(uint64_t n)
{
	return (char)(random_mix(n) & 0xff);
}

static inline void bytes_fill(char *buf, size_t size, uint64_t from)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = byte_at(from + i);
}

static inline void bytes_check(const char *buf, size_t size, uint64_t from)
{
	for (size_t i = 0; i < size; i++)
		TASK_CHECK(buf[i], ==, byte_at(from + i));
}

/* More than the kernel takes while nobody reads, and the high mark. */
#define STUFFING ((size_t)768 * 1024)

/* Write so much that what is on its way stays above the high mark until somebody reads; returns how many bytes. */
static inline size_t stream_stuff(hilo_stream *stream, uint64_t from)
{
	hilo_stream_limits before = {.size = sizeof(before)},
			   high = {.size = sizeof(high), .high = 2 * STUFFING};
	char block[8192];

	TASK_CHECK(hilo_stream_get_limits(stream, &before), ==, 0);
	TASK_CHECK(hilo_stream_set_limits(stream, &high), ==, 0);
	for (size_t total = 0; total < STUFFING; total += sizeof(block)) {
		bytes_fill(block, sizeof(block), from + total);
		TASK_CHECK(hilo_stream_write(stream, block, sizeof(block), HILO_NO_WAIT), ==, sizeof(block));
	}
	TASK_CHECK(hilo_stream_set_limits(stream, &before), ==, 0);
	return STUFFING;
}

/* Read and check @size bytes. */
static inline void stream_expect(hilo_stream *stream, size_t size, uint64_t from)
{
	char block[8192];

	while (size) {
		ssize_t n = hilo_stream_read(stream, block, size < sizeof(block) ? size : sizeof(block),
					     HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		bytes_check(block, (size_t)n, from);
		from += (uint64_t)n;
		size -= (size_t)n;
	}
}

static inline void stream_expect_end(hilo_stream *stream)
{
	char byte;

	TASK_CHECK(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_at_eof(stream), ==, 1);
}

static inline void stream_say(hilo_stream *stream, const char *text)
{
	TASK_CHECK(hilo_stream_write(stream, text, strlen(text), HILO_FOREVER), ==, strlen(text));
}

#endif /* TESTS_UNIT_IO_STREAMS_H */
