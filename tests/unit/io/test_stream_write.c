/* SPDX-License-Identifier: MIT */
/* test_stream_write.c - writes: marks, frames, drains, the end, and what a write that ends early has done. */
#include "tests/unit/io/streams.h"

STREAM_TEST(test_write_waits_above_the_high_mark)
{
	size_t total = stream_stuff(a, 0);
	char buf[64];
	struct stream_call writer = {.stream = a, .call = call_write, .buf = buf, .size = sizeof(buf)};

	TASK_CHECK(hilo_stream_write_buffered(a), >, 65536);
	TASK_CHECK(hilo_stream_write(a, buf, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	bytes_fill(buf, sizeof(buf), total);
	stream_call_start(&writer);
	stream_call_waits(&writer);
	stream_expect(b, total + sizeof(buf), 0);
	TASK_CHECK(stream_call_end(&writer), ==, sizeof(buf));
	TASK_CHECK(hilo_stream_flush(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_write_buffered(a), ==, 0);
	return 0;
}

STREAM_TEST(test_no_more_than_one_write_above_the_high_mark)
{
	char buf[8192] = "";
	ssize_t n;

	while ((n = hilo_stream_write(a, buf, sizeof(buf), HILO_NO_WAIT)) > 0)
		;
	TASK_CHECK(n, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_write_buffered(a), <=, 65536 + 8192);
	return 0;
}

STREAM_TEST(test_drain_waits_for_the_low_mark)
{
	char buf[4096];
	hilo_stream_limits limits = {.size = sizeof(limits), .high = 10000, .low = 2000};
	struct stream_call drain[3];
	size_t total;

	TASK_CHECK(hilo_stream_drain(a, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_stream_set_limits(a, &limits), ==, 0);
	total = stream_stuff(a, 0);
	TASK_CHECK(hilo_stream_write_buffered(a), >, 10000);
	TASK_CHECK(hilo_stream_drain(a, HILO_NO_WAIT), ==, -ETIMEDOUT);
	for (unsigned i = 0; i < 3; i++) {
		drain[i] = (struct stream_call){
			.stream = a, .call = i == 2 ? call_flush : call_drain, .buf = buf};
		stream_call_start(&drain[i]);
		stream_call_waits(&drain[i]);
	}
	TASK_CHECK(hilo_task_cancel(drain[1].task), ==, 0);
	TASK_CHECK(stream_call_end(&drain[1]), ==, -ECANCELED);
	stream_expect(b, total, 0);
	TASK_CHECK(stream_call_end(&drain[0]), ==, 0);
	TASK_CHECK(stream_call_end(&drain[2]), ==, 0);
	TASK_CHECK(hilo_stream_write_buffered(a), ==, 0);
	return 0;
}

STREAM_TEST(test_cancelled_write_has_written_nothing)
{
	size_t total = stream_stuff(a, 0);
	char buf[64] = "never";
	struct stream_call writer[2];

	for (unsigned i = 0; i < 2; i++) {
		writer[i] = (struct stream_call){
			.stream = a, .call = call_write, .buf = buf, .size = sizeof(buf)};
		if (i)
			writer[i].deadline = hilo_after(HILO_MILLISECOND);
		stream_call_start(&writer[i]);
	}
	stream_call_waits(&writer[0]);
	TASK_CHECK(hilo_task_cancel(writer[0].task), ==, 0);
	TASK_CHECK(stream_call_end(&writer[0]), ==, -ECANCELED);
	TASK_CHECK(stream_call_end(&writer[1]), ==, -ETIMEDOUT);
	stream_expect(b, total, 0);
	bytes_fill(buf, sizeof(buf), total);
	TASK_CHECK(hilo_stream_write(a, buf, sizeof(buf), HILO_FOREVER), ==, sizeof(buf));
	stream_expect(b, sizeof(buf), total);
	return 0;
}

STREAM_TEST(test_large_write_that_ends_early_says_how_much_was_taken)
{
	size_t size = 8 * 1024 * 1024, taken = 0, of = 0;
	char *out = malloc(size);

	bytes_fill(out, size, 0);
	TASK_CHECK(hilo_stream_write(a, out, size, hilo_after(20 * HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "bytes were taken");
	TASK_CHECK(sscanf(strstr(hilo_error_message(), "; "), "; %zu of %zu bytes", &taken, &of), ==, 2);
	TASK_CHECK(of, ==, size);
	TASK_CHECK_SIZES(taken, size);
	TASK_CHECK(taken, >, 0);
	TASK_CHECK(taken, <, size);
	stream_expect(b, taken, 0);
	TASK_CHECK(hilo_stream_write(a, out + taken, 100, HILO_FOREVER), ==, 100);
	stream_expect(b, 100, taken);
	free(out);
	return 0;
}

STREAM_TEST(test_some_of_a_write_is_counted)
{
	size_t size = 8 * 1024 * 1024, done = 0;
	char *out = malloc(size);
	ssize_t n;

	bytes_fill(out, size, 0);
	while ((n = hilo_stream_write_some(a, out + done, size - done, hilo_after(HILO_MILLISECOND))) > 0)
		done += (size_t)n;
	TASK_CHECK(n, ==, -ETIMEDOUT);
	TASK_CHECK(done, >, 0);
	TASK_CHECK(done, <, size);
	stream_expect(b, done, 0);
	free(out);
	return 0;
}

STREAM_TEST(test_large_write_arrives_whole)
{
	size_t size = 3 * 1024 * 1024;
	char *out = malloc(size);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};

	bytes_fill(out, size, 5);
	stream_call_start(&writer);
	stream_expect(b, size, 5);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	free(out);
	return 0;
}

STREAM_TEST(test_pieces_are_one_write)
{
	char buf[32];
	char text[] = "one two three";
	struct iovec pieces[] = {{text, 3}, {text, 0}, {text + 3, 4}, {NULL, 0}, {text + 7, 6}};

	TASK_CHECK(hilo_stream_writev(a, pieces, 5, HILO_FOREVER), ==, 13);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 13, HILO_FOREVER), ==, 13);
	TASK_CHECK(memcmp(buf, "one two three", 13), ==, 0);
	TASK_CHECK(hilo_stream_writev(a, pieces, 0, HILO_FOREVER), ==, 0);
	pieces[1] = (struct iovec){NULL, 1};
	TASK_CHECK(hilo_stream_writev(a, pieces, 5, HILO_FOREVER), ==, -EINVAL);
	pieces[1] = (struct iovec){text, SIZE_MAX / 2};
	TASK_CHECK(hilo_stream_writev(a, pieces, 5, HILO_FOREVER), ==, -EINVAL);
	return 0;
}

#define FRAMES 40
#define WRITERS 6

struct framer {
	hilo_stream *stream;
	unsigned number;
};

/* A frame: who, its length in four bytes, and so many bytes of who. */
static int framer_task(void *arg)
{
	struct framer *self = arg;
	char frame[40000];

	for (unsigned i = 0; i < FRAMES; i++) {
		uint32_t size = 1 + (uint32_t)(random_mix(self->number * 1000 + i) %
					       (i % 8 ? 3000 : sizeof(frame) - 5));

		frame[0] = (char)self->number;
		memcpy(frame + 1, &size, 4);
		memset(frame + 5, (char)self->number, size);
		TASK_CHECK(hilo_stream_write(self->stream, frame, 5 + size, HILO_FOREVER), ==, 5 + size);
		if (i % 4 == 0)
			TASK_CHECK(hilo_stream_drain(self->stream, HILO_FOREVER), ==, 0);
	}
	return 0;
}

STREAM_TEST(test_writes_of_several_are_not_mixed)
{
	struct framer framer[WRITERS];
	hilo_task *task[WRITERS];
	char *frame = malloc(40000);

	for (unsigned i = 0; i < WRITERS; i++) {
		framer[i] = (struct framer){a, i};
		task[i] = hilo_spawn(framer_task, &framer[i]);
	}
	for (unsigned i = 0; i < WRITERS * FRAMES; i++) {
		char head[5];
		uint32_t size;

		TASK_CHECK(hilo_stream_read_exactly(b, head, 5, HILO_FOREVER), ==, 5);
		memcpy(&size, head + 1, 4);
		TASK_CHECK(size, <=, 40000);
		TASK_CHECK(hilo_stream_read_exactly(b, frame, size, HILO_FOREVER), ==, size);
		for (uint32_t k = 0; k < size; k++)
			TASK_CHECK(frame[k], ==, head[0]);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	free(frame);
	return 0;
}

STREAM_TEST(test_write_eof_ends_one_direction)
{
	char buf[16];

	TASK_CHECK(hilo_stream_can_write_eof(a), ==, 1);
	stream_say(a, "bye");
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_write(a, "x", 1, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	stream_expect_end(b);
	stream_say(b, "and you");
	TASK_CHECK(hilo_stream_read_exactly(a, buf, 7, HILO_FOREVER), ==, 7);
	return 0;
}

STREAM_TEST(test_write_eof_comes_after_what_is_on_its_way)
{
	size_t total = stream_stuff(a, 0);

	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	stream_expect(b, total, 0);
	stream_expect_end(b);
	return 0;
}

/* The peer has closed: the first write may get through, then it is told. */
STREAM_TEST(test_writer_is_told_that_the_peer_has_gone)
{
	char block[1024] = "";
	ssize_t n;

	TASK_CHECK(hilo_stream_close(b, HILO_FOREVER), ==, 0);
	while ((n = hilo_stream_write(a, block, sizeof(block), HILO_FOREVER)) > 0)
		(void)hilo_stream_flush(a, HILO_FOREVER);
	TASK_CHECK(n == -EPIPE || n == -ECONNRESET, ==, 1);
	n = hilo_stream_drain(a, HILO_FOREVER);
	TASK_CHECK(n == -EPIPE || n == -ECONNRESET, ==, 1);
	return 0;
}

STREAM_TEST(test_waiting_writers_are_told_that_the_peer_has_gone)
{
	char buf[64] = "";
	struct stream_call call[4];

	(void)stream_stuff(a, 0);
	for (unsigned i = 0; i < 4; i++) {
		call[i] = (struct stream_call){.stream = a,
					       .call = i == 0	? call_drain
						       : i == 1 ? call_flush
								: call_write,
					       .buf = buf,
					       .size = sizeof(buf)};
		stream_call_start(&call[i]);
		stream_call_waits(&call[i]);
	}
	hilo_stream_abort(b);
	for (unsigned i = 0; i < 4; i++) {
		ssize_t n = stream_call_end(&call[i]);

		TASK_CHECK(n == -EPIPE || n == -ECONNRESET, ==, 1);
	}
	return 0;
}

STREAM_TEST(test_limits_are_checked)
{
	hilo_stream_limits limits = {.size = sizeof(limits), .high = 10, .low = 11},
			   other = {.size = sizeof(other)};

	TASK_CHECK(hilo_stream_set_limits(a, &limits), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "low is 11, more than high, 10");
	TASK_CHECK(hilo_stream_get_limits(a, &other), ==, 0);
	TASK_CHECK(other.line, ==, 65536);
	TASK_CHECK(other.high, ==, 65536);
	TASK_CHECK(other.low, ==, 16384);
	limits.high = 100;
	TASK_CHECK(hilo_stream_set_limits(a, &limits), ==, 0);
	TASK_CHECK(hilo_stream_get_limits(a, &other), ==, 0);
	TASK_CHECK(other.high, ==, 100);
	TASK_CHECK(other.low, ==, 11);
	limits.size = 3;
	TASK_CHECK(hilo_stream_set_limits(a, &limits), ==, -EINVAL);
	TASK_CHECK(hilo_stream_set_limits(NULL, &other), ==, -EINVAL);
	TASK_CHECK(hilo_stream_get_limits(a, NULL), ==, -EINVAL);
	return 0;
}

/* What is raised for it lets a writer go on. */
STREAM_TEST(test_raised_mark_lets_writers_go_on)
{
	char buf[64] = "";
	hilo_stream_limits limits = {.size = sizeof(limits), .high = 1024 * 1024};
	struct stream_call writer = {.stream = a, .call = call_write, .buf = buf, .size = sizeof(buf)};

	(void)stream_stuff(a, 0);
	stream_call_start(&writer);
	stream_call_waits(&writer);
	TASK_CHECK(hilo_stream_set_limits(a, &limits), ==, 0);
	TASK_CHECK(stream_call_end(&writer), ==, sizeof(buf));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_waits_above_the_high_mark),
		cmocka_unit_test(test_no_more_than_one_write_above_the_high_mark),
		cmocka_unit_test(test_drain_waits_for_the_low_mark),
		cmocka_unit_test(test_cancelled_write_has_written_nothing),
		cmocka_unit_test(test_large_write_that_ends_early_says_how_much_was_taken),
		cmocka_unit_test(test_some_of_a_write_is_counted),
		cmocka_unit_test(test_large_write_arrives_whole),
		cmocka_unit_test(test_pieces_are_one_write),
		cmocka_unit_test(test_writes_of_several_are_not_mixed),
		cmocka_unit_test(test_write_eof_ends_one_direction),
		cmocka_unit_test(test_write_eof_comes_after_what_is_on_its_way),
		cmocka_unit_test(test_writer_is_told_that_the_peer_has_gone),
		cmocka_unit_test(test_waiting_writers_are_told_that_the_peer_has_gone),
		cmocka_unit_test(test_limits_are_checked),
		cmocka_unit_test(test_raised_mark_lets_writers_go_on),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
