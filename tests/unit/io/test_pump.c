/* SPDX-License-Identifier: MIT */
/* test_pump.c - bytes from stream to stream and from file to stream: all of them, counted, none lost. */
#include <hilo/io/pump.h>

#include "scheduler/base/sys.h"
#include "tests/unit/io/streams.h"

struct pumper {
	hilo_stream *from, *to;
	uint64_t count;
	int rc;
	hilo_task *task;
};

static int pumper_task(void *arg)
{
	struct pumper *self = arg;

	self->rc = hilo_stream_pump(self->from, self->to, UINT64_MAX, &self->count, HILO_FOREVER);
	(void)hilo_stream_write_eof(self->to);
	return 0;
}

/* client <-> a, b <-> c, and the pumps between a's other end and c's. */
STREAM_TEST(test_proxy_copies_to_the_end)
{
	hilo_stream *other[2];
	struct pumper pumper;
	hilo_task *task;
	size_t size = 700000;
	char *out = malloc(size);
	struct stream_call writer = {.stream = a, .call = call_write, .buf = out, .size = size};

	streams_make(kind, NULL, other);
	pumper = (struct pumper){.from = b, .to = other[0]};
	task = hilo_spawn(pumper_task, &pumper);
	bytes_fill(out, size, 0);
	stream_call_start(&writer);
	stream_expect(other[1], size, 0);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	stream_expect_end(other[1]);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(pumper.rc, ==, 0);
	TASK_CHECK(pumper.count, ==, size);
	hilo_stream_free(other[0]);
	hilo_stream_free(other[1]);
	free(out);
	return 0;
}

STREAM_TEST(test_limited_pump_leaves_the_rest)
{
	hilo_stream *other[2];
	uint64_t count = 7;
	char buf[8];

	streams_make(kind, NULL, other);
	stream_say(a, "abcdefgh");
	TASK_CHECK(hilo_stream_pump(b, other[0], 0, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, 0);
	TASK_CHECK(hilo_stream_pump(b, other[0], 5, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, 5);
	TASK_CHECK(hilo_stream_read_exactly(other[1], buf, 5, HILO_FOREVER), ==, 5);
	TASK_CHECK(memcmp(buf, "abcde", 5), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 3, HILO_FOREVER), ==, 3);
	TASK_CHECK(memcmp(buf, "fgh", 3), ==, 0);
	TASK_CHECK(hilo_stream_pump(b, b, 5, &count, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_pump(b, NULL, 5, &count, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_pump(NULL, b, 5, &count, HILO_FOREVER), ==, -EINVAL);
	hilo_stream_free(other[0]);
	hilo_stream_free(other[1]);
	return 0;
}

/* What it could not write is still where it was. */
STREAM_TEST(test_pump_that_ends_early_loses_nothing)
{
	hilo_stream *other[2];
	size_t total;
	uint64_t count = 0;
	int rc;

	streams_make(kind, NULL, other);
	total = stream_stuff(a, 0);
	rc = hilo_stream_pump(b, other[0], UINT64_MAX, &count, hilo_after(3 * HILO_MILLISECOND));
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(count, <, total);
	stream_expect(other[1], count, 0);
	stream_expect(b, total - count, count);
	hilo_stream_free(other[0]);
	hilo_stream_free(other[1]);
	return 0;
}

#ifdef STREAMS_OVER_TLS
static int pump_task(void *arg)
{
	struct pumper *self = arg;

	return hilo_stream_pump(self->from, self->to, UINT64_MAX, &self->count, HILO_FOREVER);
}

/* One side is encrypted, the other a socket that the kernel could move bytes to, or from: they are copied. */
STREAM_TEST(test_one_side_is_plain)
{
	hilo_stream *plain[2], *secret[2] = {a, b}, **from = secret, **to = plain;
	struct pumper pumper;
	size_t size;
	int fd[2];

	for (unsigned i = 0; i < 2; i++) {
		TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), ==, 0);
		for (unsigned j = 0; j < 2; j++)
			TASK_CHECK(hilo_stream_from_fd(fd[j], NULL, &plain[j]), ==, 0);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		size = stream_stuff(from[0], 0);
		pumper = (struct pumper){.from = from[1], .to = to[0]};
		pumper.task = hilo_spawn(pump_task, &pumper);
		stream_expect(to[1], size, 0);
		TASK_CHECK(hilo_task_cancel(pumper.task), ==, 0);
		TASK_CHECK(hilo_join(pumper.task, HILO_FOREVER), ==, -ECANCELED);
		TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
		hilo_stream_free(plain[0]);
		hilo_stream_free(plain[1]);
		from = plain;
		to = secret;
	}
	return 0;
}
#endif

STREAM_TEST(test_file_is_sent)
{
	char path[] = "/tmp/hilo_pump_XXXXXX";
	int fd = mkstemp(path);
	size_t size = 300000;
	char *out = malloc(size);
	uint64_t count = 0;
	struct stream_call all = {.stream = b, .call = call_read_exactly, .buf = out, .size = size - 1000};

	TASK_CHECK(unlink(path), ==, 0);
	bytes_fill(out, size, 0);
	TASK_CHECK(write(fd, out, size), ==, size);
	memset(out, 0, size);
	stream_call_start(&all);
	TASK_CHECK(hilo_stream_sendfile(a, fd, 1000, UINT64_MAX, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, size - 1000);
	TASK_CHECK(stream_call_end(&all), ==, size - 1000);
	bytes_check(out, size - 1000, 1000);
	TASK_CHECK(hilo_stream_sendfile(a, fd, 10, 20, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, 20);
	stream_expect(b, 20, 10);
	TASK_CHECK(hilo_stream_sendfile(a, fd, -1, 20, &count, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_stream_sendfile(a, -1, 0, 20, &count, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(count, ==, 0);
	close(fd);
	free(out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proxy_copies_to_the_end),
		cmocka_unit_test(test_limited_pump_leaves_the_rest),
		cmocka_unit_test(test_pump_that_ends_early_loses_nothing),
#ifdef STREAMS_OVER_TLS
		cmocka_unit_test(test_one_side_is_plain),
#endif
		cmocka_unit_test(test_file_is_sent),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
