/* SPDX-License-Identifier: MIT */
/* test_stream_read.c - what reads answer, and that one which ends early has taken nothing. */
#include <sched.h>

#include "tests/unit/io/streams.h"

STREAM_TEST(test_read_takes_what_is_there)
{
	char buf[64];
	ssize_t n;

	stream_say(a, "hello");
	n = hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER);
	TASK_CHECK(n, ==, 5);
	TASK_CHECK(memcmp(buf, "hello", 5), ==, 0);
	stream_say(b, "world!");
	TASK_CHECK(hilo_stream_read(a, buf, 2, HILO_FOREVER), ==, 2);
	TASK_CHECK(hilo_stream_read_buffered(a), ==, 4);
	TASK_CHECK(hilo_stream_read(a, buf + 2, 62, HILO_NO_WAIT), ==, 4);
	TASK_CHECK(memcmp(buf, "world!", 6), ==, 0);
	return 0;
}

STREAM_TEST(test_read_waits_for_the_first_byte)
{
	char buf[8];
	struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};

	stream_call_start(&reader);
	stream_call_waits(&reader);
	stream_say(a, "x");
	TASK_CHECK(stream_call_end(&reader), ==, 1);
	TASK_CHECK(buf[0], ==, 'x');
	return 0;
}

STREAM_TEST(test_many_round_trips)
{
	char buf[64];

	for (unsigned i = 0; i < 300; i++) {
		char out[64];

		bytes_fill(out, 64, i * 64);
		TASK_CHECK(hilo_stream_write(a, out, 64, HILO_FOREVER), ==, 64);
		TASK_CHECK(hilo_stream_read_exactly(b, buf, 64, HILO_FOREVER), ==, 64);
		bytes_check(buf, 64, i * 64);
		TASK_CHECK(hilo_stream_write(b, buf, 64, HILO_FOREVER), ==, 64);
		TASK_CHECK(hilo_stream_read_exactly(a, buf, 64, HILO_FOREVER), ==, 64);
		bytes_check(buf, 64, i * 64);
	}
	return 0;
}

STREAM_TEST(test_end_is_zero_after_all_bytes)
{
	char buf[64];

	stream_say(a, "last");
	TASK_CHECK(hilo_stream_at_eof(b), ==, 0);
	TASK_CHECK(hilo_stream_close(a, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_stream_at_eof(b), ==, 1);
	return 0;
}

STREAM_TEST(test_passed_deadline_still_tries_once)
{
	char buf[64];
	ssize_t n;

	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, -ETIMEDOUT);
	stream_say(a, "now");
	TASK_CHECK(hilo_stream_flush(a, HILO_FOREVER), ==, 0);
	TEST_UNTIL((n = hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT)) != -ETIMEDOUT);
	TASK_CHECK(n, ==, 3);
	return 0;
}

STREAM_TEST(test_cancel_at_entry_comes_first)
{
	char buf[64];

	stream_say(a, "there");
	TASK_CHECK(hilo_stream_read(b, buf, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 2, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_stream_write(b, buf, 1, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_stream_drain(b, HILO_FOREVER), ==, -ECANCELED);
	(void)hilo_task_uncancel();
	TASK_CHECK(hilo_stream_read(b, buf, sizeof(buf), HILO_NO_WAIT), ==, 4);
	TASK_CHECK(memcmp(buf, "here", 4), ==, 0);
	return 0;
}

STREAM_TEST(test_cancelled_read_loses_nothing)
{
	char buf[64];

	for (unsigned i = 0; i < 50; i++) {
		struct stream_call reader = {.stream = b, .call = call_read_exactly, .buf = buf, .size = 8};
		char out[8];
		ssize_t n;

		bytes_fill(out, 8, i);
		stream_call_start(&reader);
		if (i & 1)
			stream_call_waits(&reader);
		TASK_CHECK(hilo_stream_write(a, out, 5, HILO_FOREVER), ==, 5);
		if (i & 2)
			(void)hilo_yield();
		TASK_CHECK(hilo_task_cancel(reader.task), ==, 0);
		TASK_CHECK(hilo_stream_write(a, out + 5, 3, HILO_FOREVER), ==, 3);
		n = hilo_join(reader.task, HILO_FOREVER);
		if (n == -ECANCELED || reader.result == -ECANCELED) /* the first: before it had begun */
			TASK_CHECK(hilo_stream_read_exactly(b, buf, 8, HILO_FOREVER), ==, 8);
		else
			TASK_CHECK(reader.result, ==, 8);
		bytes_check(buf, 8, i);
	}
	return 0;
}

STREAM_TEST(test_timed_out_read_loses_nothing)
{
	char buf[64];

	for (unsigned i = 0; i < 20; i++) {
		char out[8];

		bytes_fill(out, 8, i);
		TASK_CHECK(hilo_stream_write(a, out, 5, HILO_FOREVER), ==, 5);
		TASK_CHECK(hilo_stream_read_exactly(b, buf, 8, hilo_after(i * 50 * HILO_MICROSECOND)), ==,
			   -ETIMEDOUT);
		TASK_CHECK(hilo_stream_write(a, out + 5, 3, HILO_FOREVER), ==, 3);
		TASK_CHECK(hilo_stream_read_exactly(b, buf, 8, HILO_FOREVER), ==, 8);
		bytes_check(buf, 8, i);
	}
	return 0;
}

STREAM_TEST(test_second_reader_is_told_busy)
{
	char buf[8], other[8];
	struct stream_call reader = {.stream = b, .call = call_read, .buf = buf, .size = sizeof(buf)};

	stream_call_start(&reader);
	stream_call_waits(&reader);
	TASK_CHECK(hilo_stream_read(b, other, sizeof(other), HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "somebody else reads");
	stream_say(a, "x");
	TASK_CHECK(stream_call_end(&reader), ==, 1);
	stream_say(a, "y");
	TASK_CHECK(hilo_stream_read(b, other, sizeof(other), HILO_FOREVER), ==, 1);
	return 0;
}

STREAM_TEST(test_exactly_is_all_or_nothing)
{
	size_t size = 300000;
	char *out = malloc(size), *in = malloc(size);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};

	bytes_fill(out, size, 7);
	stream_call_start(&writer);
	TASK_CHECK(hilo_stream_read_exactly(b, in, size, HILO_FOREVER), ==, size);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	TASK_CHECK(memcmp(in, out, size), ==, 0);
	stream_say(a, "abc");
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(b, in, 10, HILO_FOREVER), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "3 bytes and the end, of 10");
	TASK_CHECK_SIZES(3, 10);
	TASK_CHECK(hilo_stream_at_eof(b), ==, 0);
	TASK_CHECK(hilo_stream_read(b, in, 10, HILO_FOREVER), ==, 3);
	TASK_CHECK(memcmp(in, "abc", 3), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(b, in, 10, HILO_FOREVER), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "0 bytes and the end");
	TASK_CHECK_SIZES(0, 10);
	free(out);
	free(in);
	return 0;
}

STREAM_TEST(test_lines)
{
	char buf[64];

	stream_say(a, "one\n\nthree\nrest");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(buf, "one\n");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 1);
	TASK_CHECK_TEXT(buf, "\n");
	TASK_CHECK(hilo_stream_read_line(b, buf, 7, HILO_FOREVER), ==, 6);
	TASK_CHECK_TEXT(buf, "three\n");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(buf, "rest");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(buf, "");
	return 0;
}

STREAM_TEST(test_line_arrives_in_pieces)
{
	char buf[8192];
	struct stream_call reader = {.stream = b, .call = call_read_line, .buf = buf, .size = sizeof(buf)};

	stream_call_start(&reader);
	for (unsigned i = 0; i < 5000; i++)
		stream_say(a, "z");
	stream_say(a, "\nnext\n");
	TASK_CHECK(stream_call_end(&reader), ==, 5001);
	TASK_CHECK(strspn(buf, "z"), ==, 5000);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 5);
	return 0;
}

STREAM_TEST(test_too_long_line_keeps_its_bytes)
{
	hilo_stream_limits limits = {.size = sizeof(limits), .line = 2000};
	char buf[4096], *line = malloc(3001);
	uint64_t have, want;

	TASK_CHECK(hilo_stream_set_limits(b, &limits), ==, 0);
	memset(line, 'l', 3000);
	line[2999] = '\n';
	line[3000] = '\0';
	stream_say(a, line);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "the limit of 2000");
	TASK_CHECK(hilo_error_sizes(&have, &want), ==, 0);
	TASK_CHECK(have >= 2000 && have < 3000 && want == 2000, ==, 1); /* as much as has come so far */
	TASK_CHECK(hilo_stream_read_line(b, buf, 100, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "99 bytes that buf has room for");
	limits.line = 3000;
	TASK_CHECK(hilo_stream_set_limits(b, &limits), ==, 0);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 3000);
	TASK_CHECK_TEXT(buf, line);
	limits.line = 10;
	TASK_CHECK(hilo_stream_set_limits(b, &limits), ==, 0);
	stream_say(a, "123456789\n1234567890\n");
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 10);
	TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(10, 10);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 11, HILO_FOREVER), ==, 11);
	free(line);
	return 0;
}

/* Limits that a thread sets while a task reads and writes. */
struct setter {
	hilo_stream *stream;
	test_flag set, used; /* rounds */
};

#define SETTINGS 20

/* relaxed: neither sees more of the other one than that, so ThreadSanitizer sees what the stream orders and no more. */
static void *sets_limits(void *arg)
{
	hilo_stream_limits limits = {.size = sizeof(limits)};
	struct setter *setter = arg;

	for (unsigned i = 1; i <= SETTINGS; i++) {
		limits.line = 1000 + i;
		limits.high = 2000 + i;
		TASK_CHECK(hilo_stream_set_limits(setter->stream, &limits), ==, 0);
		store_relaxed(&setter->set, i);		/* relaxed: as above */
		while (load_relaxed(&setter->used) < i) /* relaxed: as above */
			(void)sched_yield();
	}
	return NULL;
}

STREAM_TEST(test_limits_may_be_set_while_others_read_and_write)
{
	struct setter setter = {.stream = b};
	hilo_stream_limits limits = {.size = sizeof(limits)};
	pthread_t thread;
	char buf[64];

	TASK_CHECK(pthread_create(&thread, NULL, sets_limits, &setter), ==, 0);
	for (unsigned i = 1; i <= SETTINGS; i++) {
		stream_say(a, "line\n");
		TEST_UNTIL(load_relaxed(&setter.set) == i); /* relaxed: as above */
		TASK_CHECK(hilo_stream_read_line(b, buf, sizeof(buf), HILO_FOREVER), ==, 5);
		stream_say(b, "back\n");
		TASK_CHECK(hilo_stream_get_limits(b, &limits), ==, 0);
		TASK_CHECK(limits.line == 1000 + i && limits.high == 2000 + i && limits.low == (2000 + i) / 4,
			   ==, 1);
		store_relaxed(&setter.used, i); /* relaxed: as above */
		TASK_CHECK(hilo_stream_read_line(a, buf, sizeof(buf), HILO_FOREVER), ==, 5);
	}
	test_join_thread(thread);
	return 0;
}

STREAM_TEST(test_until_a_separator_of_several_bytes)
{
	char buf[64];
	const char *text = "GET /\r\nHost: x\r\r\n\r\nbody";

	for (size_t i = 0; text[i]; i++)
		TASK_CHECK(hilo_stream_write(a, text + i, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_read_until(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, 7);
	TASK_CHECK_TEXT(buf, "GET /\r\n");
	TASK_CHECK(hilo_stream_read_until(b, "\r\n\r\n", 4, buf, sizeof(buf), HILO_FOREVER), ==, 12);
	TASK_CHECK_TEXT(buf, "Host: x\r\r\n\r\n");
	TASK_CHECK(hilo_stream_read_until(b, "", 0, buf, sizeof(buf), HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_until(b, "\r\n", 2, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 4, HILO_FOREVER), ==, 4);
	return 0;
}

/* The first byte of the separator is the last that has come when somebody looks. */
STREAM_TEST(test_separator_is_found_across_receives)
{
	char buf[64];
	struct stream_call reader = {.stream = b, .call = call_read_line, .buf = buf, .size = sizeof(buf)};
	ssize_t n;

	(void)reader;
	stream_say(a, "ab-");
	TASK_CHECK(hilo_stream_read_until(b, "--", 2, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	stream_say(a, "-c");
	n = hilo_stream_read_until(b, "--", 2, buf, sizeof(buf), HILO_FOREVER);
	TASK_CHECK(n, ==, 4);
	TASK_CHECK_TEXT(buf, "ab--");
	return 0;
}

STREAM_TEST(test_until_whichever_separator_ends_first)
{
	const hilo_separator any[] = {{"\r\n", 2}, {"\n", 1}, {"END", 3}, {"a\r\nb", 4}};
	const char *text = "one\r\ntwo\nthreeENDa\r\nb";
	char buf[64];
	int which = 7;

	for (size_t i = 0; text[i]; i++)
		TASK_CHECK(hilo_stream_write(a, text + i, 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==, 5);
	TASK_CHECK_TEXT(buf, "one\r\n");
	TASK_CHECK(which, ==, 0); /* both end there */
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	TASK_CHECK(which, ==, 1);
	/* What does not fit stays, as with a limit, a deadline and a cancel. */
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, 5, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(which, ==, 1);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==, 8);
	TASK_CHECK_TEXT(buf, "threeEND");
	TASK_CHECK(which, ==, 2);
	TASK_CHECK(hilo_stream_read_until_any(b, any + 3, 1, &which, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	stream_say(a, "rest\r");
	TASK_CHECK(
		hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)),
		==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==,
		   -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 0, &which, buf, sizeof(buf), HILO_FOREVER), ==,
		   -EINVAL);
	TASK_CHECK(hilo_stream_read_until_any(b, NULL, 1, &which, buf, sizeof(buf), HILO_FOREVER), ==,
		   -EINVAL);
	TASK_CHECK(hilo_stream_read_until_any(b, &(hilo_separator){"", 0}, 1, NULL, buf, 9, HILO_FOREVER), ==,
		   -EINVAL);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==, 5);
	TASK_CHECK_TEXT(buf, "rest\r");
	TASK_CHECK(which, ==, -1);
	TASK_CHECK(hilo_stream_read_until_any(b, any, 4, &which, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	return 0;
}

/* Its separator was found: what is told are the bytes before that. */
STREAM_TEST(test_until_any_that_is_too_long_tells_the_bytes_before_the_separator)
{
	const hilo_separator any[] = {{"<end>", 5}, {"\n", 1}, {"--", 2}};
	static const struct {
		const char *text;
		uint64_t before;
		int which;
	} found[] = {
		{"0123456789<end>", 10, 0}, {"0123456\n", 7, 1}, {"01234567--", 8, 2}, {"0123<end>", 4, 0}};
	char buf[64];
	int which;

	for (size_t i = 0; i < array_size(found); i++) {
		ssize_t length = (ssize_t)strlen(found[i].text);

		stream_say(a, found[i].text);
		stream_say(a, "\n"); /* of the next piece */
		/* There is room for one byte less. */
		which = -7;
		TASK_CHECK(hilo_stream_read_until_any(b, any, 3, &which, buf, (size_t)length, HILO_FOREVER),
			   ==, -EMSGSIZE);
		TASK_CHECK_SIZES(found[i].before, (uint64_t)length - 1);
		TASK_CHECK(which, ==, -7);
		/* What it says is what can be read to be before the separator. */
		TASK_CHECK(hilo_stream_read_exactly(b, buf, found[i].before, HILO_FOREVER), ==,
			   (ssize_t)found[i].before);
		TASK_CHECK(memcmp(buf, found[i].text, found[i].before), ==, 0);
		TASK_CHECK(hilo_stream_read_until_any(b, any, 3, &which, buf, sizeof(buf), HILO_FOREVER), ==,
			   length - (ssize_t)found[i].before);
		TASK_CHECK(which, ==, found[i].which);
		TASK_CHECK(hilo_stream_read_until_any(b, any, 3, &which, buf, sizeof(buf), HILO_FOREVER), ==,
			   1);
	}
	return 0;
}

/* In what is told none begins. */
STREAM_TEST(test_until_any_without_a_separator_tells_the_bytes_that_are_of_none)
{
	const hilo_separator any[] = {{"<end>", 5}, {"\n", 1}};
	char buf[64];

	stream_say(a, "0123456789<en");
	TASK_CHECK(hilo_stream_read_until_any(b, any, 2, NULL, buf, 11, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(9, 10); /* the longest one may begin with the last four, as far as its length says */
	TASK_CHECK(hilo_stream_read_until_any(b, any + 1, 1, NULL, buf, 11, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_SIZES(13, 10);
	stream_say(a, "d>");
	TASK_CHECK(hilo_stream_read_until_any(b, any, 2, NULL, buf, sizeof(buf), HILO_FOREVER), ==, 15);
	return 0;
}

static ssize_t call_read_until_any(struct stream_call *self)
{
	const hilo_separator any[] = {{"--", 2}, {";", 1}};

	return hilo_stream_read_until_any(self->stream, any, 2, NULL, self->buf, self->size, self->deadline);
}

STREAM_TEST(test_until_any_that_is_cancelled_while_it_waits_takes_nothing)
{
	char buf[64];
	struct stream_call reader = {
		.stream = b, .call = call_read_until_any, .buf = buf, .size = sizeof(buf)};

	stream_say(a, "ab-");
	stream_call_start(&reader);
	stream_call_waits(&reader);
	TASK_CHECK(hilo_task_cancel(reader.task), ==, 0);
	TASK_CHECK(stream_call_end(&reader), ==, -ECANCELED);
	stream_call_start(&reader);
	stream_say(a, "-c;");
	TASK_CHECK(stream_call_end(&reader), ==, 4);
	TASK_CHECK_TEXT(buf, "ab--");
	TASK_CHECK(call_read_until_any(&reader), ==, 2);
	TASK_CHECK_TEXT(buf, "c;");
	return 0;
}

/* The end that a search byte by byte finds; *@which: the separator. */
static size_t any_end(const char *data, size_t size, const hilo_separator *any, int n, int *which)
{
	for (size_t end = 1; end <= size; end++)
		for (*which = 0; *which < n; ++*which)
			if (end >= any[*which].length && memcmp(data + end - any[*which].length,
								any[*which].bytes, any[*which].length) == 0)
				return end;
	*which = -1;
	return size;
}

#define TWIN 3000

/* Few letters, so that separators overlap; they come in pieces of any size. */
STREAM_TEST(test_until_any_finds_what_a_serial_search_finds)
{
	static const char *const words[] = {"a", "ab", "bb", "aab", "cabca", "cc", "bca"};
	hilo_separator any[array_size(words)];
	char out[TWIN], buf[TWIN + 1];
	size_t written = 0, taken = 0;
	uint64_t seed = test_seed() + (uint64_t)kind;
	int n = 0;

	for (size_t i = 1; i < array_size(words); i++)
		if (random_mix(seed++) % 2)
			any[n++] = (hilo_separator){words[i], strlen(words[i])};
	any[n++] = (hilo_separator){words[4], strlen(words[4])};
	for (size_t i = 0; i < TWIN; i++)
		out[i] = (char)('a' + random_mix(seed++) % 3);
	while (taken < TWIN) {
		size_t more = random_mix(seed++) % 40, end;
		int which, found = -2;
		ssize_t got;

		more = more < TWIN - written ? more : TWIN - written;
		TASK_CHECK(hilo_stream_write(a, out + written, more, HILO_FOREVER), ==, more);
		written += more;
		if (written == TWIN)
			TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
		end = any_end(out + taken, written - taken, any, n, &which);
		if (which < 0 && written < TWIN) {
			got = hilo_stream_read_until_any(b, any, n, &found, buf, sizeof(buf), HILO_NO_WAIT);
			TASK_CHECK(got, ==, -ETIMEDOUT);
			continue;
		}
		got = hilo_stream_read_until_any(b, any, n, &found, buf, sizeof(buf), HILO_FOREVER);
		TASK_CHECK(got, ==, end);
		TASK_CHECK(found, ==, which);
		TASK_CHECK(memcmp(buf, out + taken, end), ==, 0);
		taken += end;
	}
	return 0;
}

STREAM_TEST(test_all_until_the_end)
{
	size_t size = 200000;
	char *out = malloc(size), *all = NULL;
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};

	bytes_fill(out, size, 1);
	stream_call_start(&writer);
	TASK_CHECK(hilo_stream_read_all(b, 1000, &all, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(all, ==, NULL);
	TASK_CHECK(hilo_stream_read_all(b, size, &all, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	TASK_CHECK(hilo_stream_close(a, HILO_NO_WAIT) <= 0, ==, 1);
	free(out);
	return 0;
}

STREAM_TEST(test_all_is_what_was_written)
{
	size_t size = 200000;
	char *out = malloc(size), *all = NULL;
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};

	bytes_fill(out, size, 1);
	stream_call_start(&writer);
	TASK_CHECK(hilo_stream_read_exactly(b, out, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read_all(b, size - 1, &all, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_all(b, size, &all, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(all, out, size), ==, 0);
	TASK_CHECK(all[size], ==, 0);
	hilo__free(all);
	TASK_CHECK(hilo_stream_read_all(b, size, &all, HILO_FOREVER), ==, 0);
	hilo__free(all);
	free(out);
	return 0;
}

STREAM_TEST(test_nonsense_is_refused)
{
	char buf[4];

	TASK_CHECK(hilo_stream_read(NULL, buf, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read(b, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read(b, buf, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read_line(b, buf, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_all(b, 10, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_all(b, SIZE_MAX, NULL, HILO_FOREVER), ==, -EINVAL);
	return 0;
}

static void callback_reads(void *arg)
{
	struct stream_call *self = arg;

	self->result = call_read(self);
	store_release(&self->begun, true);
}

STREAM_TEST(test_callback_reads_what_is_there_and_does_not_wait)
{
	char buf[8];
	struct stream_call self = {.stream = b, .buf = buf, .size = 3, .deadline = HILO_FOREVER};

	TASK_CHECK(hilo_call_soon(callback_reads, &self, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&self.begun));
	TASK_CHECK(self.result, ==, -EDEADLK);
	stream_say(a, "hello");
	TASK_CHECK(hilo_stream_read(b, buf, 1, HILO_FOREVER), ==, 1);
	store_relaxed(&self.begun, false);
	TASK_CHECK(hilo_call_soon(callback_reads, &self, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&self.begun));
	TASK_CHECK(self.result, ==, 3);
	return 0;
}

static void *thread_echoes(void *arg)
{
	hilo_stream *stream = arg;
	char buf[64];
	ssize_t n;

	while ((n = hilo_stream_read(stream, buf, sizeof(buf), HILO_FOREVER)) > 0)
		TASK_CHECK(hilo_stream_write(stream, buf, (size_t)n, HILO_FOREVER), ==, n);
	TASK_CHECK(n, ==, 0);
	TASK_CHECK(hilo_stream_read(stream, buf, sizeof(buf), HILO_NO_WAIT), ==, 0);
	return NULL;
}

STREAM_TEST(test_plain_thread_echoes)
{
	pthread_t thread;
	char buf[64];

	TASK_CHECK(pthread_create(&thread, NULL, thread_echoes, b), ==, 0);
	for (unsigned i = 0; i < 100; i++) {
		char out[64];

		bytes_fill(out, 64, i);
		TASK_CHECK(hilo_stream_write(a, out, 64, HILO_FOREVER), ==, 64);
		TASK_CHECK(hilo_stream_read_exactly(a, buf, 64, HILO_FOREVER), ==, 64);
		bytes_check(buf, 64, i);
	}
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	test_join_thread(thread);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_takes_what_is_there),
		cmocka_unit_test(test_read_waits_for_the_first_byte),
		cmocka_unit_test(test_many_round_trips),
		cmocka_unit_test(test_end_is_zero_after_all_bytes),
		cmocka_unit_test(test_passed_deadline_still_tries_once),
		cmocka_unit_test(test_cancel_at_entry_comes_first),
		cmocka_unit_test(test_cancelled_read_loses_nothing),
		cmocka_unit_test(test_timed_out_read_loses_nothing),
		cmocka_unit_test(test_second_reader_is_told_busy),
		cmocka_unit_test(test_exactly_is_all_or_nothing),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_line_arrives_in_pieces),
		cmocka_unit_test(test_too_long_line_keeps_its_bytes),
		cmocka_unit_test(test_limits_may_be_set_while_others_read_and_write),
		cmocka_unit_test(test_until_a_separator_of_several_bytes),
		cmocka_unit_test(test_separator_is_found_across_receives),
		cmocka_unit_test(test_until_whichever_separator_ends_first),
		cmocka_unit_test(test_until_any_that_is_too_long_tells_the_bytes_before_the_separator),
		cmocka_unit_test(test_until_any_without_a_separator_tells_the_bytes_that_are_of_none),
		cmocka_unit_test(test_until_any_that_is_cancelled_while_it_waits_takes_nothing),
		cmocka_unit_test(test_until_any_finds_what_a_serial_search_finds),
		cmocka_unit_test(test_all_until_the_end),
		cmocka_unit_test(test_all_is_what_was_written),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_callback_reads_what_is_there_and_does_not_wait),
		cmocka_unit_test(test_plain_thread_echoes),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
