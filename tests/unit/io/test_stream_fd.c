/* SPDX-License-Identifier: MIT */
/*
 * test_stream_fd.c - what a stream may be made from: sockets, pipes, terminals, files; what others share is left as it
 * is, and no signal is raised.
 */
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "scheduler/base/sys.h"
#include "tests/unit/io/streams.h"

/* Two streams over a pipe: [0] is read, [1] is written. */
static void pipe_make(hilo_stream *ret[2], int flags)
{
	int fd[2];

	TASK_CHECK(pipe2(fd, O_CLOEXEC | flags), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &ret[0]), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[1], NULL, &ret[1]), ==, 0);
}

static void both_free(hilo_stream *stream[2])
{
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
}

static int pipe_is_read(int flags)
{
	hilo_stream *stream[2];
	size_t size = 500000;
	char *out = malloc(size);
	struct stream_call writer = {.call = call_write, .buf = out, .size = size};

	pipe_make(stream, flags);
	writer.stream = stream[1];
	bytes_fill(out, size, 0);
	stream_call_start(&writer);
	stream_expect(stream[0], size, 0);
	TASK_CHECK(stream_call_end(&writer), ==, size);
	TASK_CHECK(hilo_stream_can_write_eof(stream[1]), ==, 1);
	TASK_CHECK(hilo_stream_can_write_eof(stream[0]), ==, 0);
	TASK_CHECK(hilo_stream_write_eof(stream[1]), ==, 0);
	stream_expect_end(stream[0]);
	both_free(stream);
	free(out);
	return 0;
}

TASK_TEST(test_pipe_that_blocks)
{
	return pipe_is_read(0);
}

TASK_TEST(test_pipe_that_does_not_block)
{
	return pipe_is_read(O_NONBLOCK);
}

TASK_TEST(test_directions_of_a_pipe)
{
	hilo_stream *stream[2];
	char buf[4];

	pipe_make(stream, 0);
	TASK_CHECK(hilo_stream_write(stream[0], "x", 1, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK_CONTAINS(hilo_error_message(), "can only be read");
	TASK_CHECK(hilo_stream_read(stream[1], buf, 1, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK_CONTAINS(hilo_error_message(), "can only be written");
	TASK_CHECK(hilo_stream_write_eof(stream[0]), ==, -EOPNOTSUPP);
	TASK_CHECK(hilo_stream_close(stream[1], HILO_FOREVER), ==, 0);
	stream_expect_end(stream[0]);
	both_free(stream);
	return 0;
}

/* The pipe's own reader, in the shell say, sees no change: its file is not made non-blocking. */
TASK_TEST(test_flags_of_a_shared_file_are_left_alone)
{
	int fd[2];
	hilo_stream *stream;
	char byte;

	TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(dup(fd[0]), NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_read(stream, &byte, 1, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(fcntl(fd[0], F_GETFL) & O_NONBLOCK, ==, 0);
	TASK_CHECK(write(fd[1], "x", 1), ==, 1);
	TASK_CHECK(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), ==, 1);
	hilo_stream_free(stream);
	TASK_CHECK(fcntl(fd[0], F_GETFL) & O_NONBLOCK, ==, 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

/* Without /proc a file that blocks is waited for before each call. */
static int pipe_without_proc(void *arg)
{
	int rc;

	(void)arg;
	hilo__sys_fail(SYS_CALL_OPEN, 1, ENOENT, true);
	rc = pipe_is_read(0);
	hilo__sys_fail(SYS_CALL_OPEN, 0, 0, false);
	return rc;
}

static void test_pipe_that_cannot_be_opened_again(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, pipe_without_proc, NULL), 0);
	assert_int_equal(test_run(4, pipe_without_proc, NULL), 0);
}

static int terminal_is_a_stream(void *arg)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd;
	hilo_stream *stream;
	char buf[64];

	(void)arg;
	TASK_CHECK(master, >=, 0);
	TASK_CHECK(grantpt(master), ==, 0);
	TASK_CHECK(unlockpt(master), ==, 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo_stream_from_fd(fd, NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_can_write_eof(stream), ==, 0);
	TASK_CHECK(hilo_stream_read_line(stream, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(write(master, "typed\n", 6), ==, 6);
	TASK_CHECK(hilo_stream_read_line(stream, buf, sizeof(buf), HILO_FOREVER), ==, 6);
	TASK_CHECK_TEXT(buf, "typed\n");
	TASK_CHECK(hilo_stream_write(stream, "shown", 5, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
	TASK_CHECK(read(master, buf, sizeof(buf)), >, 0);
	close(master);
	return 0;
}

static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)state;
	if (master < 0)
		TEST_SKIP("there are no pseudo terminals here");
	close(master);
	test_each(terminal_is_a_stream);
}

TASK_TEST(test_regular_file)
{
	char path[] = "/tmp/hilo_stream_XXXXXX", line[64];
	int fd = mkstemp(path);
	hilo_stream *stream;

	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(write(fd, "first\nsecond", 12), ==, 12);
	TASK_CHECK(lseek(fd, 0, SEEK_SET), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd, NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_read_line(stream, line, sizeof(line), HILO_FOREVER), ==, 6);
	TASK_CHECK(hilo_stream_read_line(stream, line, sizeof(line), HILO_FOREVER), ==, 6);
	TASK_CHECK_TEXT(line, "second");
	stream_expect_end(stream);
	hilo_stream_free(stream);
	TASK_CHECK(hilo_stream_from_fd(open(path, O_WRONLY | O_APPEND | O_CLOEXEC), NULL, &stream), ==, 0);
	stream_say(stream, " more");
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	TASK_CHECK(read(fd, line, sizeof(line)), ==, 17);
	TASK_CHECK(memcmp(line, "first\nsecond more", 17), ==, 0);
	close(fd);
	(void)unlink(path);
	return 0;
}

TASK_TEST(test_device)
{
	hilo_stream *stream;
	char byte;

	TASK_CHECK(hilo_stream_from_fd(open("/dev/null", O_RDWR | O_CLOEXEC), NULL, &stream), ==, 0);
	stream_say(stream, "gone");
	TASK_CHECK(hilo_stream_read(stream, &byte, 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
	return 0;
}

TASK_TEST(test_event_descriptor)
{
	hilo_stream *stream;
	uint64_t count = 5, seen = 0;
	int fd = eventfd(0, EFD_CLOEXEC);

	TASK_CHECK(hilo_stream_from_fd(dup(fd), NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_read_exactly(stream, &seen, 8, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(write(fd, &count, 8), ==, 8);
	TASK_CHECK(hilo_stream_read_exactly(stream, &seen, 8, HILO_FOREVER), ==, 8);
	TASK_CHECK(seen, ==, 5);
	hilo_stream_free(stream);
	close(fd);
	return 0;
}

TASK_TEST(test_descriptors_that_are_refused_stay_the_callers)
{
	hilo_stream_opts opts = {.size = sizeof(opts), .high = 1, .low = 2};
	hilo_stream *stream = NULL;
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd[2];
	int alone = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	TASK_CHECK(hilo_stream_from_fd(-1, NULL, &stream), ==, -EBADF);
	TASK_CHECK_CONTAINS(hilo_error_message(), "descriptor -1");
	TASK_CHECK(hilo_stream_from_fd(folder, NULL, &stream), ==, -EISDIR);
	TASK_CHECK(hilo_stream_from_fd(alone, NULL, &stream), ==, -ENOTCONN);
	TASK_CHECK(listen(alone, 1), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(alone, NULL, &stream), ==, -ENOTCONN);
	TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[0], &opts, &stream), ==, -EINVAL);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, NULL), ==, -EINVAL);
	TASK_CHECK(stream, ==, NULL);
	TASK_CHECK(close(folder), ==, 0);
	TASK_CHECK(close(alone), ==, 0);
	TASK_CHECK(close(fd[0]), ==, 0);
	TASK_CHECK(close(fd[1]), ==, 0);
	return 0;
}

static void test_plain_thread_names_a_runtime(void **state)
{
	hilo_opts workers = {.size = sizeof(workers), .workers = 2};
	hilo_stream_opts opts = {.size = sizeof(opts)};
	hilo_stream *stream[2];
	char buf[64];
	int fd[2];

	(void)state;
	sockets_make(KIND_UNIX, fd);
	assert_int_equal(hilo_stream_from_fd(fd[0], NULL, &stream[0]), -EDEADLK);
	assert_int_equal(hilo_runtime_new(&workers, &opts.runtime), 0);
	assert_int_equal(hilo_stream_from_fd(fd[0], &opts, &stream[0]), 0);
	assert_int_equal(hilo_stream_from_fd(fd[1], &opts, &stream[1]), 0);
	assert_int_equal(hilo_stream_read(stream[1], buf, 64, hilo_after(HILO_MILLISECOND)), -ETIMEDOUT);
	assert_int_equal(hilo_stream_write(stream[0], "to you", 6, HILO_FOREVER), 6);
	assert_int_equal(hilo_stream_read_exactly(stream[1], buf, 6, HILO_FOREVER), 6);
	assert_int_equal(hilo_stream_close(stream[0], HILO_FOREVER), 0);
	assert_int_equal(hilo_stream_read(stream[1], buf, 64, HILO_FOREVER), 0);
	both_free(stream);
	assert_int_equal(hilo_runtime_free(opts.runtime), 0);
}

/* The reader of the pipe has gone. The default of SIGPIPE would end this program. */
static void writes_to_nobody(hilo_stream *stream)
{
	char block[1024] = "";
	ssize_t n;

	while ((n = hilo_stream_write(stream, block, sizeof(block), HILO_FOREVER)) > 0)
		(void)hilo_stream_flush(stream, HILO_FOREVER);
	TASK_CHECK(n, ==, -EPIPE);
}

static void *thread_writes_to_nobody(void *arg)
{
	sigset_t pending;

	writes_to_nobody(arg);
	TASK_CHECK(sigpending(&pending), ==, 0);
	TASK_CHECK(sigismember(&pending, SIGPIPE), ==, 0);
	return NULL;
}

TASK_TEST(test_pipe_without_a_reader_raises_no_signal)
{
	for (unsigned i = 0; i < 3; i++) {
		hilo_stream *stream[2];
		pthread_t thread;

		pipe_make(stream, i == 2 ? O_NONBLOCK : 0);
		TASK_CHECK(hilo_stream_close(stream[0], HILO_FOREVER), ==, 0);
		if (i) {
			TASK_CHECK(pthread_create(&thread, NULL, thread_writes_to_nobody, stream[1]), ==, 0);
			test_join_thread(thread);
		} else {
			writes_to_nobody(stream[1]);
		}
		both_free(stream);
	}
	return 0;
}

/* A reset is told to who reads, after what had come; who writes is told as well. */
TASK_TEST(test_reset_is_told)
{
	struct linger now = {.l_onoff = 1};
	hilo_stream *stream;
	char buf[16];
	int fd[2];
	ssize_t n;

	sockets_make(KIND_TCP, fd);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &stream), ==, 0);
	TASK_CHECK(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), ==, 0);
	TASK_CHECK(close(fd[1]), ==, 0);
	TASK_CHECK(hilo_stream_read(stream, buf, sizeof(buf), HILO_FOREVER), ==, -ECONNRESET);
	TASK_CHECK(hilo_stream_read(stream, buf, sizeof(buf), HILO_FOREVER), ==, -ECONNRESET);
	while ((n = hilo_stream_write(stream, "x", 1, HILO_FOREVER)) > 0)
		(void)hilo_stream_flush(stream, HILO_FOREVER);
	TASK_CHECK(n == -EPIPE || n == -ECONNRESET, ==, 1);
	hilo_stream_free(stream);
	return 0;
}

/* Another process reads what it wants, when it wants. */
TASK_TEST(test_child_process_that_reads_slowly)
{
	int fd[2];
	hilo_stream *stream;
	size_t size = 300000;
	char *out = malloc(size);
	pid_t child;
	int status;

	bytes_fill(out, size, 0);
	sockets_make(KIND_UNIX, fd);
	child = fork();
	if (child == 0) {
		char block[1000];
		uint64_t at = 0;
		ssize_t n;

		close(fd[0]);
		free(out);
		while ((n = read(fd[1], block, sizeof(block))) > 0)
			for (ssize_t i = 0; i < n; i++)
				if (block[i] != byte_at(at++))
					_exit(1);
		_exit(at == size ? 0 : 2);
	}
	TASK_CHECK(child, >, 0);
	close(fd[1]);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &stream), ==, 0);
	TASK_CHECK(hilo_stream_write(stream, out, size, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_stream_close(stream, HILO_FOREVER), ==, 0);
	hilo_stream_free(stream);
	TASK_CHECK(waitpid(child, &status, 0), ==, child);
	TASK_CHECK(status, ==, 0);
	free(out);
	return 0;
}

TASK_TEST(test_addresses_and_what_else_is_known)
{
	hilo_stream *stream[2], *pair[2];
	hilo_address here, there;
	char text[HILO_ADDRESS_SIZE], buf[HILO_ADDRESS_SIZE];

	streams_make(KIND_TCP, NULL, stream);
	TASK_CHECK(hilo_stream_address(stream[0], &here), ==, 0);
	TASK_CHECK(hilo_stream_peer(stream[1], &there), ==, 0);
	TASK_CHECK(hilo_address_equal(&here, &there), ==, 1);
	(void)hilo_address_format(&here, text, sizeof(text));
	TASK_CHECK(hilo_stream_info(stream[0], "sockname", buf, sizeof(buf)), ==, strlen(text));
	TASK_CHECK_TEXT(buf, text);
	TASK_CHECK(hilo_stream_info(stream[1], "peername", buf, sizeof(buf)), ==, strlen(text));
	TASK_CHECK_TEXT(buf, text);
	TASK_CHECK(hilo_stream_info(stream[1], "transport", buf, sizeof(buf)), >, 0);
	TASK_CHECK_TEXT(buf, "descriptor");
	TASK_CHECK(hilo_stream_info(stream[1], "fd", buf, sizeof(buf)), >, 0);
	TASK_CHECK(atoi(buf), ==, hilo_stream_fd(stream[1]));
	TASK_CHECK(hilo_stream_info(stream[1], "cipher", buf, sizeof(buf)), ==, -ENOENT);
	TASK_CHECK(hilo_stream_info(stream[1], NULL, buf, sizeof(buf)), ==, -EINVAL);
	TASK_CHECK(hilo_stream_close(stream[1], HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_stream_info(stream[1], "fd", buf, sizeof(buf)), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_peer(stream[1], &there), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_fd(stream[1]), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_stream_pair(0, NULL, pair), ==, 0);
	TASK_CHECK(hilo_stream_peer(pair[0], &there), ==, -ENOTSOCK);
	TASK_CHECK(hilo_stream_fd(pair[0]), ==, -ENOENT);
	TASK_CHECK(hilo_stream_info(pair[0], "peername", buf, sizeof(buf)), ==, -ENOENT);
	TASK_CHECK(hilo_stream_info(pair[0], "transport", buf, sizeof(buf)), ==, 4);
	both_free(stream);
	both_free(pair);
	return 0;
}

/* Steady state: each stream has the buffers that it keeps, two for writing, and asks for no more. */
static int asks_for_no_memory(void *arg)
{
	hilo_stream *stream[2];
	char buf[1000] = "";
	long before = 0;

	(void)arg;
	streams_make(KIND_UNIX, NULL, stream);
	for (unsigned i = 0; i < 1000; i++) {
		size_t size = i % 3 ? 64 : 680;

		if (i == 50)
			before = hilo__mem_calls();
		TASK_CHECK(hilo_stream_write(stream[0], buf, size, HILO_FOREVER), ==, size);
		TASK_CHECK(hilo_stream_read_exactly(stream[1], buf, size, HILO_FOREVER), ==, size);
		TASK_CHECK(hilo_stream_write(stream[1], buf, size, HILO_FOREVER), ==, size);
		TASK_CHECK(hilo_stream_read_exactly(stream[0], buf, size, HILO_FOREVER), ==, size);
	}
	TASK_CHECK(hilo__mem_calls() - before, <=, 4);
	both_free(stream);
	return 0;
}

static void test_small_round_trips_ask_for_no_memory(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, asks_for_no_memory, NULL), 0);
}

/* Each request for memory fails once: the call says so, and nothing is lost. */
static int memory_fails(void *arg)
{
	hilo_stream *stream[2] = {NULL, NULL};
	size_t size = 100000;
	char *out = malloc(size), *in = malloc(size);

	(void)arg;
	bytes_fill(out, size, 0);
	for (long nth = 1; nth < 30; nth++) {
		ssize_t n;
		int rc;

		hilo__mem_fail_at(nth, false);
		rc = hilo_stream_pair(0, NULL, stream);
		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, 1);
		if (rc < 0)
			continue;
		for (size_t done = 0; done < size; done += 20000) {
			while ((n = hilo_stream_write(stream[0], out + done, 20000, HILO_FOREVER)) == -ENOMEM)
				;
			TASK_CHECK(n, ==, 20000);
			while ((n = hilo_stream_read_exactly(stream[1], in + done, 20000, HILO_FOREVER)) ==
			       -ENOMEM)
				;
			TASK_CHECK(n, ==, 20000);
		}
		TASK_CHECK(memcmp(in, out, size), ==, 0);
		hilo__mem_fail_at(1, true);
		both_free(stream);
		hilo__mem_fail_at(0, false);
	}
	free(out);
	free(in);
	return 0;
}

static void test_out_of_memory_is_told_and_loses_nothing(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, memory_fails, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe_that_blocks),
		cmocka_unit_test(test_pipe_that_does_not_block),
		cmocka_unit_test(test_directions_of_a_pipe),
		cmocka_unit_test(test_flags_of_a_shared_file_are_left_alone),
		cmocka_unit_test(test_pipe_that_cannot_be_opened_again),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_regular_file),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_event_descriptor),
		cmocka_unit_test(test_descriptors_that_are_refused_stay_the_callers),
		cmocka_unit_test(test_plain_thread_names_a_runtime),
		cmocka_unit_test(test_pipe_without_a_reader_raises_no_signal),
		cmocka_unit_test(test_reset_is_told),
		cmocka_unit_test(test_child_process_that_reads_slowly),
		cmocka_unit_test(test_addresses_and_what_else_is_known),
		cmocka_unit_test(test_small_round_trips_ask_for_no_memory),
		cmocka_unit_test(test_out_of_memory_is_told_and_loses_nothing),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
