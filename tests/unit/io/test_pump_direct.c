/* SPDX-License-Identifier: MIT */
/* test_pump_direct.c - which bytes go without a copy, and which do not: all of them, in order, either way. */
#include <sys/stat.h>

#include "tests/unit/io/routes.h"

#define PUMP_PIECE_LEAST 65536

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

/* Only the other side refuses, each time: that is not asked for with each piece either. */
ROUTE_TEST(test_lasting_refusal_ends_it)
{
	hilo__sys_fail(SYS_CALL_SPLICE, 2, EINVAL, true);
	pumping_all(route);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), <=, 2);
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
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
	stream_expect(route->b, size / 2, size / 2);
	TASK_CHECK(hilo_stream_flush(route->a, HILO_FOREVER), ==, 0);
	TASK_CHECK(send(hilo_stream_fd(route->a), "!", 1, MSG_OOB), ==, 1);
	size += stream_stuff(route->a, size);
	stream_expect(route->b, size / 2, size / 2);
	pumping_cancel(&pumping);
	TASK_CHECK(pumping.count, ==, size);
	return 0;
}

/* Alone it makes the socket readable, for good: nobody must look at it again and again. */
ROUTE_TEST(test_urgent_byte_alone_keeps_nobody_busy)
{
	struct pumping pumping;
	size_t size = route_stuff(route, 0);

	if (kind == ROUTE_PIPE)
		return 0;
	pumping_start(&pumping, route);
	stream_expect(route->b, size, 0);
	TASK_CHECK(was_spliced(), ==, 1);
	if (send(hilo_stream_fd(route->a), "!", 1, MSG_OOB) ==
	    1) { /* kernels may not have it for Unix sockets */
		hilo__sys_fail(SYS_CALL_RECV, 0, 0, false);
		TASK_CHECK(hilo_sleep(20 * HILO_MILLISECOND), ==, 0);
		TASK_CHECK(hilo__sys_calls(SYS_CALL_RECV), <, 100);
	}
	size += stream_stuff(route->a, size);
	stream_expect(route->b, size / 2, size / 2);
	pumping_cancel(&pumping);
	TASK_CHECK(pumping.count, ==, size);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_moves_the_bytes),
		cmocka_unit_test(test_what_is_in_the_buffer_comes_first),
		cmocka_unit_test(test_limit_is_kept),
		cmocka_unit_test(test_idle_one_has_no_pipe),
		cmocka_unit_test(test_messages_close_the_pipe),
		cmocka_unit_test(test_messages_need_no_pipe),
		cmocka_unit_test(test_without_a_pipe),
		cmocka_unit_test(test_pipe_is_asked_for_again),
		cmocka_unit_test(test_other_way_is_taken),
		cmocka_unit_test(test_lasting_refusal_ends_it),
		cmocka_unit_test(test_failure_that_splice_tells_is_told),
		cmocka_unit_test(test_short_calls_lose_nothing),
		cmocka_unit_test(test_ceiling_is_kept),
		cmocka_unit_test(test_others_write_whole_records),
		cmocka_unit_test(test_urgent_byte_is_not_of_the_stream),
		cmocka_unit_test(test_urgent_byte_alone_keeps_nobody_busy),
		cmocka_unit_test(test_others_are_copied),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
