/* SPDX-License-Identifier: MIT */
/* test_stream_room.c - the memory of all streams' buffers, and what its ceiling does. */
#include <hilo/runtime/error.h>

#include "io/stream_impl.h"
#include "tests/unit/io/streams.h"

static hilo_stream_memory memory(void)
{
	hilo_stream_memory now = {.size = sizeof(now)};

	TASK_CHECK(hilo_stream_get_memory(&now), ==, 0);
	return now;
}

/* The ceiling is reached in any case: by this pair, if by nobody else. */
static void ceiling_begin(hilo_stream *pair[2])
{
	TASK_CHECK(hilo_stream_pair(0, NULL, pair), ==, 0);
	hilo_stream_set_memory_max(1);
	TASK_CHECK(memory().max, ==, 1);
}

static void ceiling_end(hilo_stream *pair[2])
{
	hilo_stream_set_memory_max(0);
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
}

/* What @stream has for those who read; nobody does. */
static size_t rx_size(hilo_stream *stream)
{
	size_t size;

	spin_lock(&stream->lock);
	size = stream->rx.buffer.size;
	spin_unlock(&stream->lock);
	return size;
}

/* Read @size bytes one by one, and say how large the buffer has been. */
static size_t read_singly(hilo_stream *stream, size_t size, uint64_t from)
{
	size_t most = 0, now;
	char byte;

	for (size_t i = 0; i < size; i++) {
		TASK_CHECK(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), ==, 1);
		TASK_CHECK(byte, ==, byte_at(from + i));
		now = rx_size(stream);
		most = now > most ? now : most;
	}
	return most;
}

STREAM_TEST(test_memory_is_counted)
{
	uint64_t before = memory().used;
	hilo_stream *pair[2];

	stream_stuff(a, 0);
	TASK_CHECK(memory().used, >, before + 4096);
	stream_expect(b, STUFFING, 0);
	TASK_CHECK(hilo_stream_flush(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_pair(5000, NULL, pair), ==, 0);
	hilo_stream_free(pair[0]);
	hilo_stream_free(pair[1]);
	/* All of it goes with its streams; all_is_given_back looks. */
	TASK_CHECK(memory().used, <=, before + 2 * (STREAM_LIMIT + 4 * STREAM_BUFFER_MIN));
	return 0;
}

STREAM_TEST(test_little_is_read_ahead_at_the_ceiling)
{
	hilo_stream *pair[2];

	stream_stuff(a, 0);
	TASK_CHECK(read_singly(b, 60000, 0), >, STREAM_BUFFER_MIN);
	ceiling_begin(pair);
	stream_expect(b, 100000, 60000); /* what was read ahead before */
	TASK_CHECK(read_singly(b, 60000, 160000), <=, STREAM_BUFFER_MIN);
	ceiling_end(pair);
	stream_expect(b, STUFFING - 220000, 220000);
	return 0;
}

STREAM_TEST(test_what_is_asked_for_is_had_at_the_ceiling)
{
	size_t size = 300000;
	char *out = malloc(size), *in = malloc(size);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};
	hilo_stream *pair[2];

	ceiling_begin(pair);
	bytes_fill(out, size, 3);
	stream_call_start(&writer);
	TASK_CHECK(hilo_stream_read_exactly(b, in, size, HILO_FOREVER), ==, size);
	bytes_check(in, size, 3);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	memset(out, 'l', 60000);
	out[59999] = '\n';
	writer.size = 60000;
	stream_call_start(&writer);
	TASK_CHECK(hilo_stream_read_line(b, in, size, HILO_FOREVER), ==, 60000);
	TASK_CHECK(stream_call_end(&writer), ==, 60000);
	stream_say(a, "abc");
	TASK_CHECK(hilo_stream_read(b, in, 3, HILO_FOREVER), >, 0);
	TASK_CHECK(rx_size(b), <=, STREAM_BUFFER_MIN);
	ceiling_end(pair);
	free(out);
	free(in);
	return 0;
}

static ssize_t call_read_all(struct stream_call *self)
{
	char *all;
	ssize_t n = hilo_stream_read_all(self->stream, self->size, &all, self->deadline);

	if (n >= 0) {
		bytes_check(all, (size_t)n, 0);
		hilo__free(all);
	}
	return n;
}

/* What one asks for may never come, and a peer may say how much there will be: it is had as it comes. */
STREAM_TEST(test_what_may_come_is_not_had_at_the_ceiling)
{
	static ssize_t (*const calls[])(struct stream_call *) = {call_read_exactly, call_read_all};
	char buf[5000];
	hilo_stream *pair[2];

	ceiling_begin(pair);
	for (size_t i = 0; i < array_size(calls); i++) {
		struct stream_call reader = {.stream = b,
					     .call = calls[i],
					     .size = (size_t)1 << 30,
					     .buf = buf, /* of which no byte is used */
					     .deadline = HILO_FOREVER};

		stream_call_start(&reader);
		bytes_fill(buf, sizeof(buf), 0);
		TASK_CHECK(hilo_stream_write(a, buf, sizeof(buf), HILO_FOREVER), ==, sizeof(buf));
		TEST_UNTIL(hilo_stream_read_buffered(b) == sizeof(buf));
		stream_call_waits(&reader);
		TASK_CHECK(rx_size(b), <=, 4 * STREAM_BUFFER_MIN);
		if (calls[i] == call_read_all) {
			TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
			TASK_CHECK(stream_call_end(&reader), ==, sizeof(buf));
		} else {
			TASK_CHECK(hilo_task_cancel(reader.task), ==, 0);
			TASK_CHECK(stream_call_end(&reader), ==, -ECANCELED);
			stream_expect(b, sizeof(buf), 0);
		}
	}
	ceiling_end(pair);
	return 0;
}

/* Nobody reads: what is on its way is no more than the last write. */
STREAM_TEST(test_writes_wait_at_the_ceiling)
{
	char block[1000];
	size_t taken = 0;
	ssize_t n;
	int rc = 0;
	hilo_stream *pair[2];

	ceiling_begin(pair);
	bytes_fill(block, sizeof(block), 0);
	do {
		n = hilo_stream_write(a, block, sizeof(block), hilo_after(HILO_MILLISECOND));
		TASK_CHECK(n == sizeof(block) || n == -ETIMEDOUT, ==, 1);
		taken += n > 0 ? (size_t)n : 0;
		TASK_CHECK(hilo_stream_write_buffered(a), <=, sizeof(block));
	} while (n > 0 ||
		 (rc = hilo_stream_drain(a, HILO_NO_WAIT)) == 0); /* the kernel may be slow to make room */
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	while (taken) {
		TASK_CHECK(hilo_stream_read_exactly(b, block, sizeof(block), HILO_FOREVER), ==,
			   sizeof(block));
		bytes_check(block, sizeof(block), 0);
		taken -= sizeof(block);
	}
	TASK_CHECK(hilo_stream_drain(a, HILO_FOREVER), ==, 0);
	ceiling_end(pair);
	return 0;
}

/* It is lifted, and comes again, while somebody writes. */
STREAM_TEST(test_ceiling_that_comes_and_goes)
{
	size_t size = 2000000;
	char *out = malloc(size);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};
	hilo_stream *pair[2];

	ceiling_begin(pair);
	bytes_fill(out, size, 0);
	stream_call_start(&writer);
	for (size_t at = 0; at < size; at += 50000) {
		hilo_stream_set_memory_max(at / 50000 % 2);
		stream_expect(b, 50000, at);
	}
	TASK_CHECK(stream_call_end(&writer), ==, size);
	ceiling_end(pair);
	free(out);
	return 0;
}

#define PAIRS 24
#define PER_PAIR 150000

/* Says what it hears, in pieces of many sizes. */
static int echo_task(void *arg)
{
	char buf[9000];
	ssize_t n;

	while ((n = hilo_stream_read(arg, buf, sizeof(buf), HILO_FOREVER)) > 0)
		TASK_CHECK(hilo_stream_write(arg, buf, (size_t)n, HILO_FOREVER), ==, n);
	return (int)n;
}

static int say_task(void *arg)
{
	char buf[7000];

	for (size_t at = 0, n; at < PER_PAIR; at += n) {
		n = 1 + at % sizeof(buf);
		n = n < PER_PAIR - at ? n : PER_PAIR - at;
		bytes_fill(buf, n, at);
		TASK_CHECK(hilo_stream_write(arg, buf, n, HILO_FOREVER), ==, n);
	}
	TASK_CHECK(hilo_stream_write_eof(arg), ==, 0);
	return 0;
}

/* Many streams that have far too little: each of them comes to its end. */
TASK_TEST(test_nobody_stops_at_the_ceiling)
{
	hilo_stream *stream[PAIRS][2], *pair[2];
	hilo_task *say[PAIRS], *echo[PAIRS];

	ceiling_begin(pair);
	for (size_t i = 0; i < PAIRS; i++) {
		streams_make((enum stream_kind)(i % KINDS), NULL, stream[i]);
		echo[i] = hilo_spawn(echo_task, stream[i][1]);
		say[i] = hilo_spawn(say_task, stream[i][0]);
	}
	for (size_t i = 0; i < PAIRS; i++) {
		stream_expect(stream[i][0], PER_PAIR, 0);
		TASK_CHECK(hilo_join(say[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(echo[i], HILO_FOREVER), ==, 0);
		hilo_stream_free(stream[i][0]);
		hilo_stream_free(stream[i][1]);
	}
	ceiling_end(pair);
	return 0;
}

/* It is reached, and not so again before an eighth of it is free. */
static void test_ceiling_is_left_with_something_free(void **state)
{
	uint64_t before = memory().reached;

	(void)state;
	hilo_stream_set_memory_max(80000);
	for (unsigned i = 0; i < 3; i++) {
		hilo__stream_room_add(80000);
		assert_true(stream_room_is_over());
		for (unsigned k = 0; k < 5; k++) {
			hilo__stream_room_add(-10000); /* no more than an eighth is free */
			assert_int_equal(stream_room_is_over(), true);
			hilo__stream_room_add(10000);
		}
		hilo__stream_room_add(-10001);
		assert_false(stream_room_is_over());
		hilo__stream_room_add(10000);
		assert_false(stream_room_is_over());
		hilo__stream_room_add(-79999);
		assert_int_equal(memory().reached, before + i + 1);
	}
	hilo_stream_set_memory_max(0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Whoever sets it: the flag is as the ceiling says. */
static void test_flag_follows_a_ceiling_that_a_runtime_sets(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .stream_memory_max = 1000};

	(void)state;
	hilo__stream_room_add(5000);
	assert_int_equal(hilo_run(nothing, NULL, &opts), 0);
	assert_true(stream_room_is_over());
	setenv("HILO_STREAM_MEMORY_MAX", "0", 1);
	assert_int_equal(hilo_run(nothing, NULL, NULL), 0);
	assert_false(stream_room_is_over());
	unsetenv("HILO_STREAM_MEMORY_MAX");
	hilo__stream_room_add(-5000);
}

static int max_is(void *arg)
{
	TASK_CHECK(memory().max, ==, *(uint64_t *)arg);
	return 0;
}

static void test_ceiling_is_an_option(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .stream_memory_max = 12345};
	uint64_t max = 12345;

	(void)state;
	assert_int_equal(hilo_run(max_is, &max, &opts), 0);
	setenv("HILO_STREAM_MEMORY_MAX", "6000000000", 1);
	max = 6000000000;
	assert_int_equal(hilo_run(max_is, &max, &opts), 0);
	setenv("HILO_STREAM_MEMORY_MAX", "much", 1);
	assert_int_equal(hilo_run(max_is, &max, NULL), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "a number of bytes is needed"));
	setenv("HILO_STREAM_MEMORY_MAX", "-5", 1);
	assert_int_equal(hilo_run(max_is, &max, NULL), -EINVAL);
	setenv("HILO_STREAM_MEMORY_MAX", "0", 1);
	max = 0;
	assert_int_equal(hilo_run(max_is, &max, &opts), 0);
	unsetenv("HILO_STREAM_MEMORY_MAX");
	assert_int_equal(hilo_stream_get_memory(NULL), -EINVAL);
	assert_int_equal(hilo_stream_get_memory(&(hilo_stream_memory){.size = 8}), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "hilo_stream_get_memory: ret->size is 8"));
	assert_int_equal(hilo_stream_get_memory(&(hilo_stream_memory){.size = SIZE_MAX}), -EINVAL);
	hilo_stream_set_memory_max(0);
}

static void test_all_is_given_back(void **state)
{
	uint64_t before = memory().reached;

	(void)state;
	assert_int_equal(memory().used, 0);
	assert_true(before > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_counted),
		cmocka_unit_test(test_little_is_read_ahead_at_the_ceiling),
		cmocka_unit_test(test_what_is_asked_for_is_had_at_the_ceiling),
		cmocka_unit_test(test_what_may_come_is_not_had_at_the_ceiling),
		cmocka_unit_test(test_writes_wait_at_the_ceiling),
		cmocka_unit_test(test_ceiling_that_comes_and_goes),
		cmocka_unit_test(test_nobody_stops_at_the_ceiling),
		cmocka_unit_test(test_ceiling_is_left_with_something_free),
		cmocka_unit_test(test_flag_follows_a_ceiling_that_a_runtime_sets),
		cmocka_unit_test(test_ceiling_is_an_option),
		cmocka_unit_test(test_all_is_given_back),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
