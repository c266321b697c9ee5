/* SPDX-License-Identifier: MIT */
/* test_frame.c - messages by length and by separator, in all orders and sizes, whole or not at all. */
#include <hilo/io/frame.h>

#include "tests/unit/io/streams.h"

static const struct {
	enum hilo_frame kind;
	const char *bytes; /* of a length of 3 */
	size_t n;
} kinds[] = {
	{HILO_FRAME_U8, "\3", 1},
	{HILO_FRAME_BE16, "\0\3", 2},
	{HILO_FRAME_BE32, "\0\0\0\3", 4},
	{HILO_FRAME_BE64, "\0\0\0\0\0\0\0\3", 8},
	{HILO_FRAME_LE16, "\3\0", 2},
	{HILO_FRAME_LE32, "\3\0\0\0", 4},
	{HILO_FRAME_LE64, "\3\0\0\0\0\0\0\0", 8},
};

STREAM_TEST(test_each_kind_is_what_it_says)
{
	for (size_t i = 0; i < array_size(kinds); i++) {
		char buf[16];

		TASK_CHECK(hilo_stream_write_frame(a, kinds[i].kind, "abc", 3, HILO_FOREVER), ==, 3);
		TASK_CHECK(hilo_stream_read_exactly(b, buf, kinds[i].n + 3, HILO_FOREVER), ==,
			   kinds[i].n + 3);
		TASK_CHECK(memcmp(buf, kinds[i].bytes, kinds[i].n), ==, 0);
		TASK_CHECK(memcmp(buf + kinds[i].n, "abc", 3), ==, 0);
		TASK_CHECK(hilo_stream_write(a, buf, kinds[i].n + 3, HILO_FOREVER), ==, kinds[i].n + 3);
		TASK_CHECK(hilo_stream_read_frame(b, kinds[i].kind, buf, 3, HILO_FOREVER), ==, 3);
		TASK_CHECK(memcmp(buf, "abc", 3), ==, 0);
		TASK_CHECK(hilo_stream_write_frame(a, kinds[i].kind, NULL, 0, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_stream_read_frame(b, kinds[i].kind, NULL, 0, HILO_FOREVER), ==, 0);
	}
	return 0;
}

STREAM_TEST(test_frame_that_does_not_fit_can_still_be_read)
{
	char out[300], in[300];

	bytes_fill(out, sizeof(out), 0);
	TASK_CHECK(hilo_stream_write_frame(a, HILO_FRAME_U8, out, 256, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_stream_write_frame(a, HILO_FRAME_U8, out, 255, HILO_FOREVER), ==, 255);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, in, 254, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "a message of 255 bytes, there is room for 254");
	TASK_CHECK_SIZES(255, 254);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, in, 255, HILO_FOREVER), ==, 255);
	bytes_check(in, 255, 0);
	TASK_CHECK(hilo_stream_write(a, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, HILO_FOREVER), ==, 8);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_BE64, in, sizeof(in), HILO_FOREVER), ==, -EMSGSIZE);
	return 0;
}

STREAM_TEST(test_end_between_and_within_frames)
{
	char buf[16];

	stream_say(a, "\3abc\3de");
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, buf, 16, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, buf, 16, HILO_FOREVER), ==, HILO_EINCOMPLETE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "3 bytes and the end, of 4");
	TASK_CHECK_SIZES(3, 4);
	TASK_CHECK(hilo_stream_read(b, buf, 16, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, buf, 16, HILO_FOREVER), ==, -EPIPE);
	return 0;
}

STREAM_TEST(test_frame_whose_read_ends_early_is_read_later)
{
	char out[3000], in[3000];

	bytes_fill(out, sizeof(out), 9);
	TASK_CHECK(hilo_stream_write(a, "\x0b", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_BE16, in, 3000, hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_stream_write(a, "\xb8", 1, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_stream_write(a, out, 2000, HILO_FOREVER), ==, 2000);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_BE16, in, 3000, hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_stream_write(a, out + 2000, 1000, HILO_FOREVER), ==, 1000);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_BE16, in, 3000, HILO_FOREVER), ==, 3000);
	bytes_check(in, 3000, 9);
	return 0;
}

STREAM_TEST(test_records)
{
	char buf[16];

	TASK_CHECK(hilo_stream_write_record(a, "\r\n", 2, "one", 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_stream_write_record(a, "\r\n", 2, NULL, 0, HILO_FOREVER), ==, 0);
	stream_say(a, "123456789012345\r\nrest");
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, 3);
	TASK_CHECK_TEXT(buf, "one");
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(buf, "");
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 15, HILO_FOREVER), ==, 15);
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(buf, "rest");
	TASK_CHECK(hilo_stream_read_record(b, "\r\n", 2, buf, sizeof(buf), HILO_FOREVER), ==, -EPIPE);
	return 0;
}

STREAM_TEST(test_nonsense_is_refused)
{
	char buf[4];

	TASK_CHECK(hilo_stream_read_frame(b, (enum hilo_frame)3, buf, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_frame(b, HILO_FRAME_U8, NULL, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_read_frame(NULL, HILO_FRAME_U8, buf, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_write_frame(a, (enum hilo_frame)0, buf, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_write_record(a, NULL, 0, buf, 4, HILO_FOREVER), ==, -EINVAL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_is_what_it_says),
		cmocka_unit_test(test_frame_that_does_not_fit_can_still_be_read),
		cmocka_unit_test(test_end_between_and_within_frames),
		cmocka_unit_test(test_frame_whose_read_ends_early_is_read_later),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_nonsense_is_refused),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
