/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_ROUTES_H
#define TESTS_UNIT_IO_ROUTES_H

/*
 * routes.h - tests of bytes that the kernel moves itself from stream to stream: over sockets that were made here, which
 * block on a ring, and do not over epoll, and over pipes; each is run with 1, 2 and 8 workers.
 *
 *	a -----> from ==pump==> to -----> b
 *
 *	ROUTE_TEST(test_what_it_shows)
 *	{
 *		size_t size = route_stuff(route, 0);                 much is on its way; route is freed for it
 */
#include <hilo/io/pump.h>

#include <sys/ioctl.h>

#include "io/sock_impl.h"
#include "io/stream_impl.h"
#include "runtime/io_impl.h"
#include "scheduler/base/sys.h"
#include "tests/unit/io/streams.h"

enum route_kind {
	ROUTE_UNIX = KIND_UNIX,
	ROUTE_TCP = KIND_TCP,
	ROUTE_PIPE,
	ROUTE_KINDS
};

struct route {
	hilo_stream *a, *from, *to, *b;
};

/* Before a whole piece comes at once the buffer has to grow. */
#define WHOLE_PIECE 125000

static inline hilo_stream *own_stream(int fd)
{
	struct hilo_runtime *runtime = hilo__io_runtime();
	hilo_stream *stream;

	TASK_CHECK(hilo__sock_set_nonblocking(fd, hilo__io_socket_flags(runtime) != 0), ==, 0);
	TASK_CHECK(hilo__stream_from_socket(fd, runtime, __builtin_return_address(0), &stream), ==, 0);
	return stream;
}

static inline hilo_stream *given_stream(int fd)
{
	hilo_stream *stream;

	TASK_CHECK(hilo_stream_from_fd(fd, NULL, &stream), ==, 0);
	return stream;
}

/* What is written to *@in is read from *@out; the inner one is the library's own. */
static inline void half_make(enum route_kind kind, bool out_is_inner, hilo_stream **in, hilo_stream **out)
{
	int fd[2];

	if (kind == ROUTE_PIPE) {
		TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
		if (out_is_inner) /* more than a piece is there at once */
			(void)fcntl(fd[0], F_SETPIPE_SZ, 512 * 1024);
		*in = given_stream(fd[1]);
		*out = given_stream(fd[0]);
		return;
	}
	sockets_make((enum stream_kind)kind, fd);
	*in = out_is_inner ? given_stream(fd[0]) : own_stream(fd[0]);
	*out = out_is_inner ? own_stream(fd[1]) : given_stream(fd[1]);
}

static inline struct route route_new(enum route_kind from, enum route_kind to)
{
	struct route route;

	half_make(from, true, &route.a, &route.from);
	half_make(to, false, &route.to, &route.b);
	return route;
}

static inline void route_free(struct route *route)
{
	hilo_stream_free(route->a);
	hilo_stream_free(route->from);
	hilo_stream_free(route->to);
	hilo_stream_free(route->b);
}

static inline int there(hilo_stream *stream)
{
	int n = 0;

	TASK_CHECK(ioctl(hilo_stream_fd(stream), FIONREAD, &n), ==, 0);
	return n;
}

/* Much is on its way, so that more than a piece comes at once. */
static inline size_t route_stuff(struct route *route, uint64_t from)
{
	size_t size = stream_stuff(route->a, from);

	TEST_UNTIL(there(route->from) >= WHOLE_PIECE);
	return size;
}

struct pumping {
	hilo_stream *from, *to;
	uint64_t limit, count;
	hilo_time deadline;
	hilo_task *task;
};

static inline int pumping_task(void *arg)
{
	struct pumping *self = arg;

	return hilo_stream_pump(self->from, self->to, self->limit, &self->count, self->deadline);
}

static inline void pumping_start(struct pumping *self, const struct route *route)
{
	*self = (struct pumping){
		.from = route->from, .to = route->to, .limit = UINT64_MAX, .deadline = HILO_FOREVER};
	self->task = hilo_spawn(pumping_task, self);
	TASK_CHECK(self->task, !=, NULL);
}

static inline int pumping_end(struct pumping *self)
{
	return hilo_join(self->task, HILO_FOREVER);
}

static inline void pumping_cancel(struct pumping *self)
{
	int rc;

	TASK_CHECK(hilo_task_cancel(self->task), ==, 0);
	rc = pumping_end(self);
	TASK_CHECK(rc, ==, -ECANCELED);
}

static inline void pumping_waits(const struct pumping *self)
{
	TEST_UNTIL(hilo_task_get_state(self->task) == HILO_TASK_SUSPENDED);
}

struct route_test {
	int (*body)(enum route_kind kind, struct route *route);
	enum route_kind from, to;
};

static inline int route_test_task(void *arg)
{
	const struct route_test *test = arg;
	struct route route = route_new(test->from, test->to);
	int rc = test->body(test->from, &route);

	route_free(&route);
	return rc;
}

static inline void route_test_run(int (*body)(enum route_kind kind, struct route *route))
{
	static const unsigned workers[] = {1, 2, 8};
	static const enum route_kind kinds[][2] = {{ROUTE_UNIX, ROUTE_TCP},
						   {ROUTE_TCP, ROUTE_TCP},
						   {ROUTE_TCP, ROUTE_PIPE},
						   {ROUTE_PIPE, ROUTE_UNIX}};

	for (size_t i = 0; i < array_size(kinds); i++) {
		struct route_test test = {body, kinds[i][0], kinds[i][1]};
		unsigned fds = test_fds();

		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		hilo__sys_fail(SYS_CALL_PIPE2, 0, 0, false);
		assert_int_equal(test_run(workers[i % array_size(workers)], route_test_task, &test), 0);
		assert_int_equal(test_fds(), fds);
	}
}

#define ROUTE_TEST(name)                                                                                     \
	static int name##_body(enum route_kind kind, struct route *route);                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		route_test_run(name##_body);                                                                 \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) enum route_kind kind, struct route *route)

/* In and out. */
static inline bool was_spliced(void)
{
	return hilo__sys_calls(SYS_CALL_SPLICE) >= 2;
}

#endif /* TESTS_UNIT_IO_ROUTES_H */
