/* SPDX-License-Identifier: MIT */
/*
 * test_pump_direct.c - bytes that the kernel moves itself from stream to stream: over sockets that were made here,
 * which block on a ring, and do not over epoll, and over pipes. All of them, counted, in order, whatever ends it.
 *
 *	a -----> from ==pump==> to -----> b
 */
#include <hilo/io/pump.h>

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "io/sock_impl.h"
#include "io/stream_impl.h"
#include "runtime/io_impl.h"
#include "scheduler/base/random.h"
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
#define PUMP_PIECE_LEAST 65536

static hilo_stream *own_stream(int fd)
{
	struct hilo_runtime *runtime = hilo__io_runtime();
	hilo_stream *stream;

	TASK_CHECK(hilo__sock_set_nonblocking(fd, hilo__io_socket_flags(runtime) != 0), ==, 0);
	TASK_CHECK(hilo__stream_from_socket(fd, runtime, __builtin_return_address(0), &stream), ==, 0);
	return stream;
}

static hilo_stream *given_stream(int fd)
{
	hilo_stream *stream;

	TASK_CHECK(hilo_stream_from_fd(fd, NULL, &stream), ==, 0);
	return stream;
}

/* What is written to *@in is read from *@out; the inner one is the library's own. */
static void half_make(enum route_kind kind, bool out_is_inner, hilo_stream **in, hilo_stream **out)
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

static struct route route_new(enum route_kind from, enum route_kind to)
{
	struct route route;

	half_make(from, true, &route.a, &route.from);
	half_make(to, false, &route.to, &route.b);
	return route;
}

static void route_free(struct route *route)
{
	hilo_stream_free(route->a);
	hilo_stream_free(route->from);
	hilo_stream_free(route->to);
	hilo_stream_free(route->b);
}

static int there(hilo_stream *stream)
{
	int n = 0;

	TASK_CHECK(ioctl(hilo_stream_fd(stream), FIONREAD, &n), ==, 0);
	return n;
}

/* Much is on its way, so that more than a piece comes at once. */
static size_t route_stuff(struct route *route, uint64_t from)
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

static int pumping_task(void *arg)
{
	struct pumping *self = arg;

	return hilo_stream_pump(self->from, self->to, self->limit, &self->count, self->deadline);
}

static void pumping_start(struct pumping *self, const struct route *route)
{
	*self = (struct pumping){
		.from = route->from, .to = route->to, .limit = UINT64_MAX, .deadline = HILO_FOREVER};
	self->task = hilo_spawn(pumping_task, self);
	TASK_CHECK(self->task, !=, NULL);
}

static int pumping_end(struct pumping *self)
{
	return hilo_join(self->task, HILO_FOREVER);
}

static void pumping_cancel(struct pumping *self)
{
	int rc;

	TASK_CHECK(hilo_task_cancel(self->task), ==, 0);
	rc = pumping_end(self);
	TASK_CHECK(rc, ==, -ECANCELED);
}

static void pumping_waits(const struct pumping *self)
{
	TEST_UNTIL(hilo_task_get_state(self->task) == HILO_TASK_SUSPENDED);
}

struct route_test {
	int (*body)(enum route_kind kind, struct route *route);
	enum route_kind from, to;
};

static int route_test_task(void *arg)
{
	const struct route_test *test = arg;
	struct route route = route_new(test->from, test->to);
	int rc = test->body(test->from, &route);

	route_free(&route);
	return rc;
}

static void route_test_run(int (*body)(enum route_kind kind, struct route *route))
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
static bool was_spliced(void)
{
	return hilo__sys_calls(SYS_CALL_SPLICE) >= 2;
}

/* From the source on, where it has been left: all up to @size. */
static void rest_expect(const struct route *route, const struct pumping *pumping, size_t size)
{
	TASK_CHECK(pumping->count, <=, size);
	stream_expect(route->from, size - pumping->count, pumping->count);
}

ROUTE_TEST(test_kernel_moves_the_bytes)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	size += stream_stuff(route->a, size);
	TASK_CHECK(hilo_stream_write_eof(route->a), ==, 0);
	stream_expect(route->b, size / 2, size / 2);
	TASK_CHECK(pumping_end(&pumping), ==, 0);
	TASK_CHECK(pumping.count, ==, size);
	TASK_CHECK(hilo_stream_at_eof(route->from), ==, 1);
	TASK_CHECK(hilo_stream_write_eof(route->to), ==, 0);
	stream_expect_end(route->b);
	return 0;
}

ROUTE_TEST(test_what_is_in_the_buffer_comes_first)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	stream_expect(route->from, 1000, 0);
	TASK_CHECK(hilo_stream_read_buffered(route->from), >, 0);
	pumping_start(&pumping, route);
	stream_expect(route->b, size - 1000, 1000);
	TASK_CHECK(was_spliced(), ==, 1);
	pumping_cancel(&pumping);
	return 0;
}

ROUTE_TEST(test_limit_is_kept)
{
	static const size_t limits[] = {1, 65535, 65536, 200000, 300001};
	struct pumping pumping;
	uint64_t at = 0, count = 7;
	size_t size = route_stuff(route, 0);

	for (size_t i = 0; i < array_size(limits); i++) {
		struct stream_call reader = {
			.stream = route->b, .call = call_read_exactly, .size = limits[i]};

		reader.buf = malloc(limits[i]);
		stream_call_start(&reader);
		TASK_CHECK(hilo_stream_pump(route->from, route->to, limits[i], &count, HILO_FOREVER), ==, 0);
		TASK_CHECK(count, ==, limits[i]);
		TASK_CHECK(stream_call_end(&reader), ==, limits[i]);
		bytes_check(reader.buf, limits[i], at);
		free(reader.buf);
		at += limits[i];
	}
	pumping_start(&pumping, route);
	stream_expect(route->b, size - at, at);
	pumping_cancel(&pumping);
	return 0;
}

/* Nobody reads on the other side: what the kernel had taken on its way is where it was. */
ROUTE_TEST(test_cancelled_one_has_lost_nothing)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	TEST_UNTIL(hilo__sys_calls(SYS_CALL_SPLICE) > 0); /* there may be no room to go on to */
	pumping_waits(&pumping);
	pumping_cancel(&pumping);
	stream_expect(route->b, pumping.count, 0);
	rest_expect(route, &pumping, size);
	return 0;
}

ROUTE_TEST(test_deadline_has_lost_nothing)
{
	struct pumping pumping = {.from = route->from, .to = route->to};
	size_t size = route_stuff(route, 0);
	int rc = hilo_stream_pump(route->from, route->to, UINT64_MAX, &pumping.count,
				  hilo_after(3 * HILO_MILLISECOND));

	TASK_CHECK(rc, ==, -ETIMEDOUT);
	stream_expect(route->b, pumping.count, 0);
	rest_expect(route, &pumping, size);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return 0;
}

/* Without waiting all goes on that is there, as long as that much may be added. */
ROUTE_TEST(test_what_is_there_needs_no_wait)
{
	hilo_stream_limits high = {.size = sizeof(high), .high = 2 * STUFFING};
	uint64_t count = 0;
	size_t size = route_stuff(route, 0);

	TASK_CHECK(hilo_stream_set_limits(route->to, &high), ==, 0);
	TASK_CHECK(hilo_stream_pump(route->from, route->to, UINT64_MAX, &count, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
	TASK_CHECK(count, >=, WHOLE_PIECE);
	stream_expect(route->b, count, 0);
	stream_expect(route->from, size - count, count);
	return 0;
}

struct flow {
	struct route *route;
	atomic(bool) enough;
};

static int flow_in(void *arg)
{
	struct flow *flow = arg;
	static const char zeros[100000];

	while (!load_relaxed(&flow->enough))
		TASK_CHECK(hilo_stream_write(flow->route->a, zeros, sizeof(zeros), HILO_FOREVER), ==,
			   sizeof(zeros));
	TASK_CHECK(hilo_stream_write_eof(flow->route->a), ==, 0);
	return 0;
}

static int flow_out(void *arg)
{
	struct flow *flow = arg;
	char *block = malloc(100000);

	while (hilo_stream_read(flow->route->b, block, 100000, HILO_FOREVER) > 0)
		continue;
	free(block);
	return 0;
}

/* Both sides are fast, so that it may never wait. */
ROUTE_TEST(test_ends_while_bytes_flow)
{
	struct flow flow = {.route = route};
	struct pumping pumping = {route->from, route->to, UINT64_MAX, 0, 0, NULL};
	hilo_task *in = hilo_spawn(flow_in, &flow), *out = hilo_spawn(flow_out, &flow);

	pumping.deadline = hilo_after(20 * HILO_MILLISECOND);
	TASK_CHECK(pumping_task(&pumping), ==, -ETIMEDOUT);
	pumping_start(&pumping, route);
	TASK_CHECK(hilo_sleep(20 * HILO_MILLISECOND), ==, 0);
	pumping_cancel(&pumping);
	pumping_start(&pumping, route);
	store_relaxed(&flow.enough, true);
	TASK_CHECK(hilo_join(in, HILO_FOREVER), ==, 0);
	TASK_CHECK(pumping_end(&pumping), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(route->to), ==, 0);
	TASK_CHECK(hilo_join(out, HILO_FOREVER), ==, 0);
	return 0;
}

/* The other side goes: that is told, and the rest can be read. */
ROUTE_TEST(test_peer_that_goes_is_told)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);
	int rc;

	pumping_start(&pumping, route);
	TEST_UNTIL(hilo__sys_calls(SYS_CALL_SPLICE) > 0); /* there may be no room to go on to */
	hilo_stream_free(route->b);
	route->b = NULL;
	size += stream_stuff(route->a, size); /* the first bytes may have fitted, all of them */
	rc = pumping_end(&pumping);
	TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
	rest_expect(route, &pumping, size);
	return 0;
}

ROUTE_TEST(test_source_that_is_reset_is_told)
{
	struct linger none = {.l_onoff = 1};
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	if (kind != ROUTE_TCP)
		return 0;
	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	pumping_waits(&pumping);
	TASK_CHECK(setsockopt(hilo_stream_fd(route->a), SOL_SOCKET, SO_LINGER, &none, sizeof(none)), ==, 0);
	TASK_CHECK(hilo_stream_abort(route->a), ==, 0);
	TASK_CHECK(pumping_end(&pumping), ==, -ECONNRESET);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

/* The streams go at any moment. */
ROUTE_TEST(test_abort_ends_it)
{
	struct pumping pumping;
	unsigned rounds = test_rounds(8);

	for (unsigned i = 0; i < rounds; i++) {
		struct route one = route_new(kind, ROUTE_UNIX);

		(void)route_stuff(&one, 0);
		pumping_start(&pumping, &one);
		for (unsigned pauses = i / 2; pauses > 0; pauses--)
			test_pause();
		if (i % 2) /* who waits for room hears of it when there is some, or will be none */
			TASK_CHECK(hilo_stream_abort(one.from), ==, 0);
		TASK_CHECK(hilo_stream_abort(one.to), ==, 0);
		TASK_CHECK(pumping_end(&pumping), ==, HILO_ECLOSED);
		route_free(&one);
	}
	(void)route;
	return 0;
}

/* Descriptors that are pipes; by name: others come and go meanwhile, and ThreadSanitizer looks after their numbers. */
static unsigned pipes_open(void)
{
	struct stat found;
	unsigned n = 0;
	char name[32];

	for (int fd = 0; fd < 256; fd++) {
		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n += stat(name, &found) == 0 && S_ISFIFO(found.st_mode);
	}
	return n;
}

/* A connection on which nothing comes has no pipe, and goes on as before. */
ROUTE_TEST(test_idle_one_has_no_pipe)
{
	struct pumping pumping;
	unsigned before = pipes_open();
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	TEST_UNTIL(pipes_open() == before);
	for (unsigned i = 0; i < 2; i++) {
		size_t more = stream_stuff(route->a, size);

		stream_expect(route->b, more, size);
		size += more;
	}
	pumping_cancel(&pumping);
	TASK_CHECK(pipes_open(), ==, before);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

/* [task] A message, which starts with byte number @at, all the way. */
static size_t message_pass(const struct route *route, uint64_t at)
{
	char block[1000];

	bytes_fill(block, sizeof(block), at);
	TASK_CHECK(hilo_stream_write(route->a, block, sizeof(block), HILO_FOREVER), ==, sizeof(block));
	stream_expect(route->b, sizeof(block), at);
	return sizeof(block);
}

/* Nor do messages keep the one that there was. */
ROUTE_TEST(test_messages_close_the_pipe)
{
	struct pumping pumping;
	unsigned before = pipes_open();
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	for (unsigned i = 0; i < 8; i++)
		size += message_pass(route, size);
	TASK_CHECK(pipes_open(), ==, before);
	pumping_cancel(&pumping);
	return 0;
}

ROUTE_TEST(test_messages_need_no_pipe)
{
	struct pumping pumping;

	pumping_start(&pumping, route);
	for (uint64_t at = 0; at < 100000;)
		at += message_pass(route, at);
	pumping_cancel(&pumping);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_PIPE2), ==, 0);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
	return 0;
}

/* The wait for more is left to who reads next, who gets what comes. */
ROUTE_TEST(test_who_reads_next_gets_what_comes)
{
	struct stream_call reader = {.stream = route->from, .call = call_read_exactly, .size = 100};
	struct pumping pumping;
	size_t size = route_stuff(route, 0);
	char buf[100], block[100];

	for (unsigned i = 0; i < 2; i++) {
		pumping_start(&pumping, route);
		stream_expect(route->b, i ? 3 * sizeof(block) : size, i ? size : 0);
		pumping_waits(&pumping);
		pumping_cancel(&pumping);
		size += i ? 3 * sizeof(block) : 0;
		reader.buf = buf;
		stream_call_start(&reader);
		stream_call_waits(&reader);
		for (unsigned j = 0; j < 4; j++) {
			bytes_fill(block, sizeof(block), size + j * sizeof(block));
			TASK_CHECK(hilo_stream_write(route->a, block, sizeof(block), HILO_FOREVER), ==,
				   sizeof(block));
		}
		TASK_CHECK(stream_call_end(&reader), ==, sizeof(buf));
		bytes_check(buf, sizeof(buf), size);
		size += sizeof(buf);
	}
	stream_expect(route->from, 3 * sizeof(block), size);
	return 0;
}

static void pumping_all(struct route *route)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	pumping_cancel(&pumping);
	TASK_CHECK(pumping.count, ==, size);
}

/* No descriptor is left, or the pipe would be a small one. That is not tried again with each piece. */
ROUTE_TEST(test_without_a_pipe)
{
	hilo__sys_fail(SYS_CALL_PIPE2, 1, EMFILE, true);
	pumping_all(route);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_PIPE2), ==, 1);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
	hilo__sys_fail(SYS_CALL_PIPE2, 0, 0, false);
	if (kind == ROUTE_PIPE)
		return 0;
	hilo__sys_fail(SYS_CALL_FCNTL, 1, EPERM, true);
	pumping_all(route);
	hilo__sys_fail(SYS_CALL_FCNTL, 0, 0, false);
	return 0;
}

/* Kernels that cannot, or not any more: the rest is copied. */
ROUTE_TEST(test_other_way_is_taken)
{
	static const int errors[] = {EINVAL, EIO, ENOMEM};

	for (size_t i = 0; i < array_size(errors); i++) {
		hilo__sys_fail(SYS_CALL_SPLICE, 1 + (long)i, errors[i], true);
		pumping_all(route);
		TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), >, (long)i);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	}
	return 0;
}

/* A pipe that could not be had is asked for again after a while. */
ROUTE_TEST(test_pipe_is_asked_for_again)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	if (kind != ROUTE_UNIX)
		return 0;
	hilo__sys_fail(SYS_CALL_PIPE2, 1, EMFILE, false);
	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
	for (unsigned i = 0; !was_spliced(); i++) {
		size_t more = stream_stuff(route->a, size);

		TASK_CHECK(i, <, 1000);
		stream_expect(route->b, more, size);
		size += more;
	}
	TASK_CHECK(hilo__sys_calls(SYS_CALL_PIPE2), ==, 2);
	pumping_cancel(&pumping);
	return 0;
}

/* The kernel tells the failure of a connection once, so it must not be taken for one that the next read tells. */
ROUTE_TEST(test_failure_that_splice_tells_is_told)
{
	static const int errors[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH};
	struct pumping pumping;

	for (size_t i = 0; kind == ROUTE_TCP && i < array_size(errors); i++) {
		struct route one = route_new(kind, ROUTE_UNIX);

		hilo__sys_fail(SYS_CALL_SPLICE, 1, errors[i], false);
		(void)route_stuff(&one, 0);
		pumping_start(&pumping, &one);
		stream_expect(one.b, PUMP_PIECE_LEAST, 0);
		TASK_CHECK(pumping_end(&pumping), ==, -errors[i]);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		route_free(&one);
	}
	(void)route;
	return 0;
}

/* Calls that move less than there is room for, and some that are interrupted. */
ROUTE_TEST(test_short_calls_lose_nothing)
{
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 300};

	for (long nth = 1; nth <= 3; nth += 2) {
		hilo__sys_fail(SYS_CALL_SPLICE, nth, EINTR, false);
		hilo__sys_chaos(&chaos);
		pumping_all(route);
		hilo__sys_chaos(NULL);
	}
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	return 0;
}

/* At the ceiling of the memory of streams there is none to put bytes back. */
ROUTE_TEST(test_ceiling_is_kept)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	hilo_stream_set_memory_max(1);
	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	pumping_cancel(&pumping);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
	hilo_stream_set_memory_max(0);
	return 0;
}

struct talker {
	hilo_stream *to;
	atomic(bool) enough;
	size_t said;
};

#define RECORD ((size_t)100)

static int talker_task(void *arg)
{
	struct talker *self = arg;
	char record[RECORD];

	memset(record, 1, sizeof(record));
	while (!load_relaxed(&self->enough)) {
		TASK_CHECK(hilo_stream_write(self->to, record, sizeof(record), HILO_FOREVER), ==, RECORD);
		self->said++;
		hilo_yield();
	}
	return 0;
}

/* What others write to the same stream is not torn. */
ROUTE_TEST(test_others_write_whole_records)
{
	struct talker talker = {.to = route->to};
	struct pumping pumping;
	hilo_stream_limits high = {.size = sizeof(high), .high = 2 * STUFFING};
	size_t size = STUFFING, zeros = 0, ones = 0;
	char *out = calloc(1, size), block[8192];
	hilo_task *task;

	TASK_CHECK(hilo_stream_set_limits(route->a, &high), ==, 0);
	TASK_CHECK(hilo_stream_write(route->a, out, size, HILO_FOREVER), ==, size);
	TEST_UNTIL(there(route->from) >= WHOLE_PIECE);
	task = hilo_spawn(talker_task, &talker);
	pumping_start(&pumping, route);
	while (zeros < size) {
		ssize_t n = hilo_stream_read(route->b, block, sizeof(block), HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		for (ssize_t i = 0; i < n; i++) {
			if (!block[i])
				TASK_CHECK(ones % RECORD, ==, 0);
			ones += block[i] != 0;
			zeros += block[i] == 0;
		}
	}
	store_relaxed(&talker.enough, true);
	while (hilo_task_get_state(task) != HILO_TASK_DONE) {
		(void)hilo_stream_read(route->b, block, sizeof(block), HILO_NO_WAIT);
		test_pause();
	}
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	pumping_cancel(&pumping);
	TASK_CHECK(pumping.count, ==, size);
	free(out);
	return 0;
}

/* A byte beside the stream, which is none of it, in the middle. */
ROUTE_TEST(test_urgent_byte_is_not_of_the_stream)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	if (kind != ROUTE_TCP)
		return 0;
	pumping_start(&pumping, route);
	stream_expect(route->b, size / 2, 0);
	TASK_CHECK(hilo_stream_flush(route->a, hilo_after(HILO_MILLISECOND)) <= 0, ==, 1);
	stream_expect(route->b, size / 2, size / 2);
	TASK_CHECK(hilo_stream_flush(route->a, HILO_FOREVER), ==, 0);
	TASK_CHECK(send(hilo_stream_fd(route->a), "!", 1, MSG_OOB), ==, 1);
	size += stream_stuff(route->a, size);
	stream_expect(route->b, size / 2, size / 2);
	pumping_cancel(&pumping);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

static void *thread_main(void *arg)
{
	struct pumping *self = arg;
	sigset_t pending;

	TASK_CHECK(hilo_stream_pump(self->from, self->to, UINT64_MAX, &self->count, HILO_FOREVER), ==, 0);
	TASK_CHECK(sigpending(&pending), ==, 0);
	TASK_CHECK(sigismember(&pending, SIGPIPE), ==, 0);
	return NULL;
}

/* A plain thread makes the calls itself. */
ROUTE_TEST(test_plain_thread_pumps)
{
	struct pumping pumping = {.from = route->from, .to = route->to};
	size_t size = route_stuff(route, 0);
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, thread_main, &pumping), ==, 0);
	stream_expect(route->b, size, 0);
	TASK_CHECK(hilo_stream_write_eof(route->a), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

static int both_task(void *arg)
{
	struct pumping *self = arg;
	int rc = pumping_task(self);

	TASK_CHECK(hilo_stream_write_eof(self->to), ==, 0);
	return rc;
}

static int say_task(void *arg)
{
	hilo_stream *stream = arg;
	size_t size = 2 * STUFFING;
	char *out = malloc(size);

	bytes_fill(out, size, 3);
	TASK_CHECK(hilo_stream_write(stream, out, size, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_stream_write_eof(stream), ==, 0);
	free(out);
	return 0;
}

static int hear_task(void *arg)
{
	hilo_stream *stream = arg;

	stream_expect(stream, 2 * STUFFING, 3);
	stream_expect_end(stream);
	return 0;
}

/*
 * Both directions of a proxy; one ends before the other. Both are read at the same time: TCP drops all that comes from
 * one whose bytes it has no memory for, also that he has read.
 */
TASK_TEST(test_both_directions)
{
	struct route route = route_new(ROUTE_TCP, ROUTE_TCP);
	struct pumping up = {route.from, route.to, UINT64_MAX, 0, HILO_FOREVER, NULL};
	struct pumping down = {route.to, route.from, UINT64_MAX, 0, HILO_FOREVER, NULL};
	hilo_task *saying, *hearing;
	size_t size = route_stuff(&route, 0);

	saying = hilo_spawn(say_task, route.b);
	hearing = hilo_spawn(hear_task, route.a);
	up.task = hilo_spawn(both_task, &up);
	down.task = hilo_spawn(both_task, &down);
	stream_expect(route.b, size, 0);
	TASK_CHECK(hilo_join(saying, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hearing, HILO_FOREVER), ==, 0);
	TASK_CHECK(pumping_end(&down), ==, 0);
	size += stream_stuff(route.a, size);
	stream_expect(route.b, size / 2, size / 2);
	TASK_CHECK(hilo_stream_write_eof(route.a), ==, 0);
	stream_expect_end(route.b);
	TASK_CHECK(pumping_end(&up), ==, 0);
	TASK_CHECK(up.count, ==, size);
	TASK_CHECK(down.count, ==, 2 * STUFFING);
	route_free(&route);
	return 0;
}

/* Streams that have no descriptor, or one that blocks and may be somebody else's too. */
TASK_TEST(test_others_are_copied)
{
	struct route route;
	hilo_stream *pair[2];
	int fd[2];

	for (unsigned i = 0; i < 4; i++) {
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		half_make(ROUTE_UNIX, true, &route.a, &route.from);
		half_make(ROUTE_UNIX, false, &route.to, &route.b);
		if (i < 2) {
			TASK_CHECK(hilo_stream_pair(512 * 1024, NULL, pair), ==, 0);
		} else {
			sockets_make(KIND_UNIX, fd);
			pair[0] = given_stream(fd[0]);
			pair[1] = given_stream(fd[1]);
		}
		hilo_stream_free(i % 2 ? route.a : route.to);
		hilo_stream_free(i % 2 ? route.from : route.b);
		*(i % 2 ? &route.a : &route.to) = pair[0];
		*(i % 2 ? &route.from : &route.b) = pair[1];
		if (i % 2) { /* some of it is in the buffer */
			struct pumping pumping;
			size_t size = stream_stuff(route.a, 0);

			stream_expect(route.from, 1000, 0);
			pumping_start(&pumping, &route);
			stream_expect(route.b, size - 1000, 1000);
			pumping_cancel(&pumping);
		} else {
			pumping_all(&route);
		}
		TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
		route_free(&route);
	}
	return 0;
}

/* One who says numbered bytes, one who hears them, at their own pace. */
struct model {
	struct route *route;
	size_t total;
	uint64_t seed;
	size_t heard;
};

static size_t pick(uint64_t *seed, size_t n)
{
	return (size_t)(random_mix((*seed)++) % n);
}

static int model_say(void *arg)
{
	struct model *model = arg;
	uint64_t seed = model->seed + (UINT64_C(1) << 32);
	char *block = malloc(200000);

	for (size_t at = 0; at < model->total;) {
		size_t size = 1 + pick(&seed, pick(&seed, 3) ? 200000 : 300);

		size = size < model->total - at ? size : model->total - at;
		bytes_fill(block, size, at);
		TASK_CHECK(hilo_stream_write(model->route->a, block, size, HILO_FOREVER), ==, size);
		at += size;
		if (!pick(&seed, 4))
			test_pause();
	}
	TASK_CHECK(hilo_stream_write_eof(model->route->a), ==, 0);
	free(block);
	return 0;
}

static int model_hear(void *arg)
{
	struct model *model = arg;
	uint64_t seed = model->seed + (UINT64_C(2) << 32);
	char *block = malloc(100000);
	ssize_t n;

	while ((n = hilo_stream_read(model->route->b, block, 1 + pick(&seed, 100000), HILO_FOREVER)) > 0) {
		bytes_check(block, (size_t)n, model->heard);
		model->heard += (size_t)n;
		if (!pick(&seed, 4))
			test_pause();
	}
	TASK_CHECK(n, ==, 0);
	free(block);
	return 0;
}

/* One pump that ends at some moment: by a cancel, a deadline, a limit, or the end of all. */
static int model_pump(struct model *model, uint64_t *seed, uint64_t *passed)
{
	struct pumping pumping = {model->route->from, model->route->to, UINT64_MAX, 0, HILO_FOREVER, NULL};
	size_t how = pick(seed, 4), pauses = pick(seed, 12);
	int rc;

	if (how == 0)
		pumping.deadline = hilo_after((hilo_time)pick(seed, 2000000));
	else if (how == 1)
		pumping.limit = pick(seed, 300000);
	pumping.task = hilo_spawn(pumping_task, &pumping);
	if (how > 1) {
		while (pauses-- > 0)
			test_pause();
		(void)hilo_task_cancel(pumping.task);
	}
	rc = pumping_end(&pumping);
	TASK_CHECK(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT, ==, 1);
	TASK_CHECK(pumping.count <= pumping.limit, ==, 1);
	*passed += pumping.count;
	return rc == 0 && hilo_stream_at_eof(model->route->from);
}

/* Between two pumps somebody reads, and writes, what he finds. */
static void model_pass_some(struct model *model, uint64_t *seed, uint64_t *passed)
{
	char block[5000];
	ssize_t n =
		hilo_stream_read(model->route->from, block, 1 + pick(seed, sizeof(block) - 1), HILO_NO_WAIT);

	if (n <= 0)
		return;
	bytes_check(block, (size_t)n, *passed);
	TASK_CHECK(hilo_stream_write(model->route->to, block, (size_t)n, HILO_FOREVER), ==, n);
	*passed += (uint64_t)n;
}

static void model_run(struct model *model)
{
	hilo_task *say = hilo_spawn(model_say, model), *hear = hilo_spawn(model_hear, model);
	uint64_t seed = model->seed, passed = 0;

	while (!model_pump(model, &seed, &passed))
		if (!pick(&seed, 3))
			model_pass_some(model, &seed, &passed);
	TASK_CHECK(passed, ==, model->total);
	TASK_CHECK(hilo_stream_write_eof(model->route->to), ==, 0);
	TASK_CHECK(hilo_join(say, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(hear, HILO_FOREVER), ==, 0);
	TASK_CHECK(model->heard, ==, model->total);
}

ROUTE_TEST(test_pumps_that_end_anywhere)
{
	struct model model = {.route = route, .seed = test_seed() + (uint64_t)kind * 1000};

	model.total = 400000 * (size_t)test_rounds(8);
	model_run(&model);
	return 0;
}

ROUTE_TEST(test_pumps_that_end_anywhere_with_short_calls)
{
	struct model model = {.route = route, .seed = test_seed() + 77 + (uint64_t)kind * 1000};
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 100};

	hilo__sys_chaos(&chaos);
	model.total = 250000 * (size_t)test_rounds(8);
	model_run(&model);
	hilo__sys_chaos(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_moves_the_bytes),
		cmocka_unit_test(test_what_is_in_the_buffer_comes_first),
		cmocka_unit_test(test_limit_is_kept),
		cmocka_unit_test(test_cancelled_one_has_lost_nothing),
		cmocka_unit_test(test_deadline_has_lost_nothing),
		cmocka_unit_test(test_what_is_there_needs_no_wait),
		cmocka_unit_test(test_ends_while_bytes_flow),
		cmocka_unit_test(test_peer_that_goes_is_told),
		cmocka_unit_test(test_source_that_is_reset_is_told),
		cmocka_unit_test(test_abort_ends_it),
		cmocka_unit_test(test_idle_one_has_no_pipe),
		cmocka_unit_test(test_messages_need_no_pipe),
		cmocka_unit_test(test_messages_close_the_pipe),
		cmocka_unit_test(test_who_reads_next_gets_what_comes),
		cmocka_unit_test(test_without_a_pipe),
		cmocka_unit_test(test_pipe_is_asked_for_again),
		cmocka_unit_test(test_failure_that_splice_tells_is_told),
		cmocka_unit_test(test_other_way_is_taken),
		cmocka_unit_test(test_short_calls_lose_nothing),
		cmocka_unit_test(test_ceiling_is_kept),
		cmocka_unit_test(test_others_write_whole_records),
		cmocka_unit_test(test_urgent_byte_is_not_of_the_stream),
		cmocka_unit_test(test_plain_thread_pumps),
		cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_others_are_copied),
		cmocka_unit_test(test_pumps_that_end_anywhere),
		cmocka_unit_test(test_pumps_that_end_anywhere_with_short_calls),
	};

	test_begin();
	TASK_CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR, ==, 1); /* it would end the program */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
