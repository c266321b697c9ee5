/* SPDX-License-Identifier: MIT */
/* test_stream_close.c - the end of a stream: who waits is told, what was written is sent, nothing is left open. */
#include "tests/unit/io/streams.h"

STREAM_TEST(test_close_sends_what_was_written)
{
	size_t total = stream_stuff(a, 0);
	struct stream_call closer = {.stream = a, .call = call_close};

	stream_call_start(&closer);
	stream_expect(b, total, 0);
	stream_expect_end(b);
	TASK_CHECK(stream_call_end(&closer), ==, 0);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	return 0;
}

STREAM_TEST(test_close_is_bounded)
{
	size_t total = stream_stuff(a, 0);
	char byte;
	ssize_t n;

	TASK_CHECK(hilo_stream_close(a, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_is_closing(a), ==, 1);
	TASK_CHECK(hilo_stream_wait_closed(a, HILO_FOREVER), ==, 0);
	while ((n = hilo_stream_read(b, &byte, 1, HILO_FOREVER)) > 0)
		total--;
	TASK_CHECK(n == 0 || n == -ECONNRESET || n == HILO_ETRUNCATED, ==, 1);
	TASK_CHECK(total, >, 0);
	return 0;
}

STREAM_TEST(test_cancelled_close_closes)
{
	struct stream_call closer = {.stream = a, .call = call_close};

	(void)stream_stuff(a, 0);
	stream_call_start(&closer);
	stream_call_waits(&closer);
	TASK_CHECK(hilo_task_cancel(closer.task), ==, 0);
	TASK_CHECK(stream_call_end(&closer), ==, -ECANCELED);
	TASK_CHECK(hilo_stream_wait_closed(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_stream_close(b, HILO_FOREVER) <= 0, ==, 1);
	(void)hilo_task_uncancel();
	TASK_CHECK(hilo_stream_is_closing(b), ==, 1);
	return 0;
}

STREAM_TEST(test_everything_answers_closed)
{
	char buf[16], *all;

	stream_say(b, "unread");
	TASK_CHECK(hilo_stream_read(a, buf, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_is_closing(a), ==, 0);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_is_closing(a), ==, 1);
	TASK_CHECK(hilo_stream_read(a, buf, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_read_exactly(a, buf, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_read_line(a, buf, 16, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_read_all(a, 16, &all, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_write(a, buf, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_write_some(a, buf, 1, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_drain(a, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_flush(a, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_write_eof(a), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	return 0;
}

/* However it is closed: @how of 0 close, 1 abort, 2 free. */
static int waiting_are_told(hilo_stream *a, hilo_stream *b, unsigned how)
{
	char buf[64] = "";
	struct stream_call call[5] = {
		{.stream = a, .call = call_read},  {.stream = a, .call = call_write},
		{.stream = a, .call = call_write}, {.stream = a, .call = call_drain},
		{.stream = a, .call = call_flush},
	};

	(void)b;
	(void)stream_stuff(a, 0);
	for (unsigned i = 0; i < 5; i++) {
		call[i].buf = buf;
		call[i].size = sizeof(buf);
		stream_call_start(&call[i]);
		stream_call_waits(&call[i]);
	}
	if (how == 0)
		TASK_CHECK(hilo_stream_close(a, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	else if (how == 1)
		TASK_CHECK(hilo_stream_abort(a), ==, 0);
	else
		hilo_stream_free(a);
	for (unsigned i = 0; i < 5; i++)
		TASK_CHECK(stream_call_end(&call[i]), ==, HILO_ECLOSED);
	return 0;
}

STREAM_TEST(test_close_tells_who_waits)
{
	return waiting_are_told(a, b, 0);
}

STREAM_TEST(test_abort_tells_who_waits)
{
	return waiting_are_told(a, b, 1);
}

STREAM_TEST(test_free_tells_who_waits)
{
	hilo_stream *stream[2];

	streams_make(kind, NULL, stream);
	(void)waiting_are_told(stream[0], stream[1], 2);
	hilo_stream_free(stream[1]);
	return 0;
}

/* Whatever comes first, a read of a stream that is closed meanwhile ends, with its bytes or with the end. */
STREAM_TEST(test_close_races_with_read)
{
	for (unsigned i = 0; i < test_rounds(100); i++) {
		hilo_stream *stream[2];
		char buf[8];
		struct stream_call reader = {.call = call_read, .buf = buf, .size = sizeof(buf)};
		ssize_t n;

		streams_make(kind, NULL, stream);
		reader.stream = stream[0];
		stream_call_start(&reader);
		if (i & 1)
			TEST_UNTIL(load_relaxed(&reader.begun));
		if (i & 2)
			stream_say(stream[1], "x");
		if (i & 4)
			TASK_CHECK(hilo_stream_close(stream[0], HILO_FOREVER), ==, 0);
		else
			TASK_CHECK(hilo_stream_abort(stream[0]), ==, 0);
		n = stream_call_end(&reader);
		TASK_CHECK(n == HILO_ECLOSED || (n == 1 && (i & 2)), ==, 1);
		hilo_stream_free(stream[0]);
		hilo_stream_free(stream[1]);
	}
	return 0;
}

STREAM_TEST(test_read_that_was_left_behind_does_not_keep_it_open)
{
	char buf[8];

	TASK_CHECK(hilo_stream_read(a, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	stream_expect_end(b);
	return 0;
}

STREAM_TEST(test_several_close_and_wait)
{
	size_t total = stream_stuff(a, 0);
	struct stream_call closer[3];

	for (unsigned i = 0; i < 3; i++) {
		closer[i] = (struct stream_call){.stream = a, .call = call_close};
		stream_call_start(&closer[i]);
		stream_call_waits(&closer[i]);
	}
	TASK_CHECK(hilo_stream_wait_closed(a, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	stream_expect(b, total, 0);
	for (unsigned i = 0; i < 3; i++)
		TASK_CHECK(stream_call_end(&closer[i]), ==, 0);
	TASK_CHECK(hilo_stream_wait_closed(a, HILO_FOREVER), ==, 0);
	return 0;
}

STREAM_TEST(test_abort_during_close_is_told)
{
	struct stream_call closer = {.stream = a, .call = call_close};

	(void)stream_stuff(a, 0);
	stream_call_start(&closer);
	stream_call_waits(&closer);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(stream_call_end(&closer), ==, HILO_ECLOSED);
	return 0;
}

STREAM_TEST(test_nothing_is_refused_for_null)
{
	hilo_stream_free(NULL);
	TASK_CHECK(hilo_stream_close(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_abort(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_stream_wait_closed(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_is_closing(NULL), ==, 1);
	TASK_CHECK(hilo_stream_at_eof(NULL), ==, 1);
	TASK_CHECK(hilo_stream_write_eof(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_buffered(NULL), ==, 0);
	return 0;
}

/* Streams, and receives in flight, are left when the runtime ends; who is debugged is told of them. */
static int left_open(void *arg)
{
	hilo_stream **stream = arg;
	char buf[8];

	streams_make(KIND_UNIX, NULL, stream);
	TASK_CHECK(hilo_stream_read(stream[0], buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	(void)stream_stuff(stream[1], 0);
	return 0;
}

static void test_streams_left_open_are_told(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = HILO_DEBUG_MODE};
	hilo_stream *stream[2];
	unsigned fds = test_fds();

	(void)state;
	test_log_begin();
	assert_int_equal(hilo_run(left_open, stream, &opts), 0);
	assert_int_equal(test_log_count("streams that were not freed, made at"), 2);
	test_log_end();
	assert_int_equal(test_fds(), fds + 2);
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
	assert_int_equal(test_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_sends_what_was_written),
		cmocka_unit_test(test_close_is_bounded),
		cmocka_unit_test(test_cancelled_close_closes),
		cmocka_unit_test(test_everything_answers_closed),
		cmocka_unit_test(test_close_tells_who_waits),
		cmocka_unit_test(test_abort_tells_who_waits),
		cmocka_unit_test(test_free_tells_who_waits),
		cmocka_unit_test(test_close_races_with_read),
		cmocka_unit_test(test_read_that_was_left_behind_does_not_keep_it_open),
		cmocka_unit_test(test_several_close_and_wait),
		cmocka_unit_test(test_abort_during_close_is_told),
		cmocka_unit_test(test_nothing_is_refused_for_null),
		cmocka_unit_test(test_streams_left_open_are_told),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
