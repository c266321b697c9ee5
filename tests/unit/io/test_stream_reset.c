/* SPDX-License-Identifier: MIT */
/*
 * test_stream_reset.c - a connection that is reset, whatever its stream is just doing: who waits is told so, what had
 * come before can be read, what comes later is told as well, closing ends, and no signal is raised.
 */
#include <hilo/io/frame.h>
#include <hilo/io/pump.h>

#include <signal.h>

#include "tests/unit/io/streams.h"

/* Bytes that the peer has sent before, and its end by a reset. */
#define BEFORE "abc"

struct reset {
	hilo_stream *stream;
	int peer;
};

static struct reset reset_new(void)
{
	struct reset reset;
	int fd[2];

	sockets_make(KIND_TCP, fd);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &reset.stream), ==, 0);
	reset.peer = fd[1];
	return reset;
}

static void reset_now(struct reset *reset)
{
	struct linger now = {.l_onoff = 1};

	TASK_CHECK(setsockopt(reset->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), ==, 0);
	TASK_CHECK(close(reset->peer), ==, 0);
}

static bool is_reset(ssize_t rc)
{
	return rc == -ECONNRESET || rc == -EPIPE;
}

/* Nothing can be read or written any more, but for @left, and the stream can be closed. */
static void reset_is_over(struct reset *reset, const char *left)
{
	char buf[16];
	size_t size = strlen(left);
	ssize_t n;

	if (size) {
		TASK_CHECK(hilo_stream_read_exactly(reset->stream, buf, size, HILO_FOREVER), ==, size);
		TASK_CHECK(memcmp(buf, left, size), ==, 0);
	}
	for (unsigned i = 0; i < 2; i++)
		TASK_CHECK(is_reset(hilo_stream_read(reset->stream, buf, sizeof(buf), HILO_FOREVER)), ==, 1);
	while ((n = hilo_stream_write(reset->stream, "x", 1, HILO_FOREVER)) > 0)
		(void)hilo_stream_flush(reset->stream, HILO_FOREVER);
	TASK_CHECK(is_reset(n), ==, 1);
	n = hilo_stream_close(reset->stream, HILO_FOREVER);
	TASK_CHECK(n == 0 || is_reset(n), ==, 1);
	TASK_CHECK(hilo_stream_read(reset->stream, buf, sizeof(buf), HILO_FOREVER), ==, HILO_ECLOSED);
	hilo_stream_free(reset->stream);
}

static ssize_t call_read_until(struct stream_call *self)
{
	return hilo_stream_read_until(self->stream, "##", 2, self->buf, self->size, self->deadline);
}

static ssize_t call_read_frame(struct stream_call *self)
{
	return hilo_stream_read_frame(self->stream, HILO_FRAME_BE64, self->buf, self->size, self->deadline);
}

static ssize_t call_read_all(struct stream_call *self)
{
	char *all;

	return hilo_stream_read_all(self->stream, self->size, &all, self->deadline);
}

/* Who waits for more than has come is told, and what has come stays. */
TASK_TEST(test_readers_of_all_kinds_are_told)
{
	static ssize_t (*const calls[])(struct stream_call *) = {
		call_read_exactly, call_read_line, call_read_until, call_read_frame, call_read_all};
	char buf[100];

	for (size_t i = 0; i < array_size(calls); i++) {
		struct reset reset = reset_new();
		struct stream_call reader = {
			.stream = reset.stream, .call = calls[i], .buf = buf, .size = sizeof(buf)};

		TASK_CHECK(write(reset.peer, BEFORE, strlen(BEFORE)), ==, strlen(BEFORE));
		stream_call_start(&reader);
		TEST_UNTIL(hilo_stream_read_buffered(reset.stream) == strlen(BEFORE));
		stream_call_waits(&reader);
		reset_now(&reset);
		TASK_CHECK(stream_call_end(&reader), ==, -ECONNRESET);
		reset_is_over(&reset, BEFORE);
	}
	return 0;
}

TASK_TEST(test_reader_of_nothing_is_told)
{
	struct reset reset = reset_new();
	char buf[8];
	struct stream_call reader = {
		.stream = reset.stream, .call = call_read, .buf = buf, .size = sizeof(buf)};

	stream_call_start(&reader);
	stream_call_waits(&reader);
	reset_now(&reset);
	TASK_CHECK(stream_call_end(&reader), ==, -ECONNRESET);
	reset_is_over(&reset, "");
	return 0;
}

/* All that wait for a peer that does not read are told when it goes. */
TASK_TEST(test_writers_of_all_kinds_are_told)
{
	struct reset reset = reset_new();
	struct stream_call calls[] = {
		{.stream = reset.stream, .call = call_write, .buf = (char[]){"x"}, .size = 1},
		{.stream = reset.stream, .call = call_write, .buf = (char[]){"y"}, .size = 1},
		{.stream = reset.stream, .call = call_drain},
		{.stream = reset.stream, .call = call_flush},
	};

	(void)stream_stuff(reset.stream, 0);
	for (size_t i = 0; i < array_size(calls); i++) {
		stream_call_start(&calls[i]);
		stream_call_waits(&calls[i]);
	}
	reset_now(&reset);
	for (size_t i = 0; i < array_size(calls); i++)
		TASK_CHECK(is_reset(stream_call_end(&calls[i])), ==, 1);
	TASK_CHECK(hilo_stream_write_buffered(reset.stream), ==, 0);
	reset_is_over(&reset, "");
	return 0;
}

TASK_TEST(test_one_who_closes_is_told)
{
	struct reset reset = reset_new();
	struct stream_call closer = {.stream = reset.stream, .call = call_close};

	(void)stream_stuff(reset.stream, 0);
	stream_call_start(&closer);
	stream_call_waits(&closer);
	reset_now(&reset);
	TASK_CHECK(is_reset(stream_call_end(&closer)), ==, 1);
	hilo_stream_free(reset.stream);
	return 0;
}

TASK_TEST(test_one_who_has_ended_his_direction_is_told)
{
	struct reset reset = reset_new();
	char buf[8];
	struct stream_call reader = {
		.stream = reset.stream, .call = call_read, .buf = buf, .size = sizeof(buf)};

	TASK_CHECK(hilo_stream_write_eof(reset.stream), ==, 0);
	stream_call_start(&reader);
	stream_call_waits(&reader);
	reset_now(&reset);
	TASK_CHECK(is_reset(stream_call_end(&reader)), ==, 1);
	TASK_CHECK(hilo_stream_write(reset.stream, "x", 1, HILO_FOREVER), ==, -EPIPE);
	hilo_stream_free(reset.stream);
	return 0;
}

struct pumping {
	hilo_stream *from, *to;
	uint64_t count;
};

static int pumping_task(void *arg)
{
	struct pumping *self = arg;

	return hilo_stream_pump(self->from, self->to, UINT64_MAX, &self->count, HILO_FOREVER);
}

/* From one that is reset, and to one: told, counted, and what was not passed on can be read. */
TASK_TEST(test_pumps_are_told)
{
	struct reset from = reset_new(), to = reset_new();
	struct pumping pumping = {.from = from.stream, .to = to.stream};
	hilo_task *task = hilo_spawn(pumping_task, &pumping);
	char buf[8];

	TASK_CHECK(write(from.peer, BEFORE, 3), ==, 3);
	TEST_UNTIL(recv(to.peer, buf, 3, MSG_DONTWAIT | MSG_PEEK) == 3);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	reset_now(&from);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECONNRESET);
	TASK_CHECK(pumping.count, ==, 3);
	reset_is_over(&from, "");

	from = reset_new();
	(void)stream_stuff(to.stream, 0);
	pumping = (struct pumping){.from = from.stream, .to = to.stream};
	task = hilo_spawn(pumping_task, &pumping);
	TASK_CHECK(write(from.peer, BEFORE, 3), ==, 3);
	TEST_UNTIL(hilo_stream_read_buffered(from.stream) == 3 &&
		   hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	reset_now(&to);
	TASK_CHECK(is_reset(hilo_join(task, HILO_FOREVER)), ==, 1);
	TASK_CHECK(pumping.count, ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(from.stream, buf, 3, HILO_FOREVER), ==, 3);
	reset_now(&from);
	reset_is_over(&from, "");
	reset_is_over(&to, "");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_of_all_kinds_are_told),
		cmocka_unit_test(test_reader_of_nothing_is_told),
		cmocka_unit_test(test_writers_of_all_kinds_are_told),
		cmocka_unit_test(test_one_who_closes_is_told),
		cmocka_unit_test(test_one_who_has_ended_his_direction_is_told),
		cmocka_unit_test(test_pumps_are_told),
	};

	test_begin();
	TASK_CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR, ==, 1); /* it would end the program */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
