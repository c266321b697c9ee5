/* SPDX-License-Identifier: MIT */
/*
 * test_sendfile.c - a file that the kernel sends itself: over sockets that were made here, which block on a ring, and
 * do not over epoll. All of it, counted, in order with what others write, and none of it lost or doubled.
 */
#include <hilo/io/file.h>
#include <hilo/io/pump.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "io/sock_impl.h"
#include "io/stream_impl.h"
#include "runtime/io_impl.h"
#include "tests/unit/io/disk.h"

static int file; /* of FILE_SIZE bytes */

/* Two connected streams of which the first is the library's own, as accept and connect make them. */
static void own_make(enum stream_kind kind, hilo_stream *ret[2])
{
	struct hilo_runtime *runtime = hilo__io_runtime();
	int fd[2];

	sockets_make(kind, fd);
	TASK_CHECK(hilo__sock_set_nonblocking(fd[0], hilo__io_socket_flags(runtime) != 0), ==, 0);
	TASK_CHECK(hilo__stream_from_socket(fd[0], runtime, __builtin_return_address(0), &ret[0]), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[1], NULL, &ret[1]), ==, 0);
}

static int own_test_task(void *arg)
{
	struct stream_test *test = arg;
	hilo_stream *stream[2];
	int rc;

	own_make(test->kind, stream);
	rc = test->body(test->kind, stream[0], stream[1]);
	hilo_stream_free(stream[0]);
	hilo_stream_free(stream[1]);
	return rc;
}

static void own_test_run(int (*body)(enum stream_kind kind, hilo_stream *a, hilo_stream *b))
{
	static const unsigned workers[] = {1, 2, 8};

	for (enum stream_kind kind = KIND_UNIX; kind <= KIND_TCP; kind++)
		for (size_t i = 0; i < array_size(workers); i++) {
			struct stream_test test = {body, kind};
			unsigned fds = test_fds();

			assert_int_equal(test_run(workers[i], own_test_task, &test), 0);
			assert_int_equal(test_fds(), fds);
		}
}

#define OWN_TEST(name)                                                                                       \
	static int name##_body(enum stream_kind kind, hilo_stream *a, hilo_stream *b);                       \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		own_test_run(name##_body);                                                                   \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) enum stream_kind kind,                                \
			       __attribute__((unused)) hilo_stream *a,                                       \
			       __attribute__((unused)) hilo_stream *b)

/* A sendfile in a task of its own. */
struct sending {
	hilo_stream *stream;
	int fd;
	int64_t offset;
	uint64_t limit, count;
	hilo_time deadline;
	hilo_task *task;
};

static int sending_task(void *arg)
{
	struct sending *self = arg;

	return hilo_stream_sendfile(self->stream, self->fd, self->offset, self->limit, &self->count,
				    self->deadline);
}

static void sending_start_up_to(struct sending *self, hilo_stream *stream, uint64_t limit)
{
	*self = (struct sending){
		.stream = stream, .fd = file, .limit = limit, .count = 77, .deadline = HILO_FOREVER};
	self->task = hilo_spawn(sending_task, self);
	TASK_CHECK(self->task, !=, NULL);
}

static void sending_start(struct sending *self, hilo_stream *stream)
{
	sending_start_up_to(self, stream, UINT64_MAX);
}

static int sending_end(struct sending *self)
{
	return hilo_join(self->task, HILO_FOREVER);
}

/* It waits for room: nobody reads, and it does not run in an executor. */
static void sending_waits(const struct sending *self)
{
	TEST_UNTIL(hilo_stream_write_buffered(self->stream) > 0 &&
		   hilo_task_get_state(self->task) == HILO_TASK_SUSPENDED);
}

OWN_TEST(test_kernel_sends_the_file)
{
	struct sending sending;

	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	sending_start(&sending, a);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), >, 0);
	TASK_CHECK(lseek(file, 0, SEEK_CUR), ==, FILE_SIZE); /* where writing it has left it */
	TASK_CHECK(hilo_stream_write_eof(a), ==, 0);
	stream_expect_end(b);
	TASK_CHECK(hilo__sock_is_nonblocking(hilo_stream_fd(a)), ==,
		   hilo__io_socket_flags(hilo__io_runtime()) != 0);
	return 0;
}

OWN_TEST(test_offset_and_count_are_kept)
{
	static const struct {
		size_t offset, count, sent;
	} parts[] = {
		{1000, 200000, 200000}, {FILE_SIZE - 300000, 1000000, 300000},
		{FILE_SIZE - 1, 1, 1},	{0, 0, 0},
		{FILE_SIZE, 5, 0},	{FILE_SIZE + 5, 5, 0},
		{65536, 65536, 65536},	{1, 65537, 65537},
	};
	struct sending sending;

	for (size_t i = 0; i < array_size(parts); i++) {
		sending = (struct sending){.stream = a,
					   .fd = file,
					   .offset = (int64_t)parts[i].offset,
					   .limit = parts[i].count,
					   .count = 77,
					   .deadline = HILO_FOREVER};
		sending.task = hilo_spawn(sending_task, &sending);
		stream_expect(b, parts[i].sent, parts[i].offset);
		TASK_CHECK(sending_end(&sending), ==, 0);
		TASK_CHECK(sending.count, ==, parts[i].sent);
	}
	stream_say(a, "!");
	TASK_CHECK(hilo_stream_read(b, (char[2]){0}, 2, HILO_FOREVER), ==, 1); /* and nothing else */
	return 0;
}

OWN_TEST(test_file_stands_between_what_is_written)
{
	char buf[8];
	struct sending sending;

	stream_say(a, "before");
	sending_start(&sending, a);
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 6, HILO_FOREVER), ==, 6);
	TASK_CHECK(memcmp(buf, "before", 6), ==, 0);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	stream_say(a, "after");
	TASK_CHECK(hilo_stream_read_exactly(b, buf, 5, HILO_FOREVER), ==, 5);
	TASK_CHECK(memcmp(buf, "after", 5), ==, 0);
	return 0;
}

/*
 * Calls that move less than there is room for, and one that is interrupted: only that one, because a futex that wakes
 * somebody never is.
 */
OWN_TEST(test_short_calls_lose_nothing)
{
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 300};
	struct sending sending;

	hilo__sys_fail(SYS_CALL_SPLICE, 2, EINTR, false);
	hilo__sys_chaos(&chaos);
	sending_start(&sending, a);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	hilo__sys_chaos(NULL);
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	return 0;
}

/* What has been counted comes, and nothing else of the file. */
static void expect_counted(hilo_stream *a, hilo_stream *b, uint64_t count)
{
	TASK_CHECK(count, <, FILE_SIZE);
	TASK_CHECK(count, >, 0);
	stream_expect(b, count, 0);
	stream_say(a, "!");
	TASK_CHECK(hilo_stream_read(b, (char[2]){0}, 2, HILO_FOREVER), ==, 1);
}

OWN_TEST(test_cancelled_one_tells_how_much)
{
	struct sending sending;

	sending_start(&sending, a);
	sending_waits(&sending);
	TASK_CHECK(hilo_task_cancel(sending.task), ==, 0);
	TASK_CHECK(sending_end(&sending), ==, -ECANCELED);
	expect_counted(a, b, sending.count);
	return 0;
}

OWN_TEST(test_deadline_tells_how_much)
{
	uint64_t count = 77;

	do /* one whose deadline has passed before the first byte was sent has sent none */
		TASK_CHECK(hilo_stream_sendfile(a, file, 0, UINT64_MAX, &count,
						hilo_after(3 * HILO_MILLISECOND)),
			   ==, -ETIMEDOUT);
	while (count == 0);
	expect_counted(a, b, count);
	TASK_CHECK(hilo_stream_sendfile(a, file, 0, UINT64_MAX, &count, HILO_NO_WAIT), ==, -ETIMEDOUT);
#ifdef HILO_TEST_EMULATED /* which knows no RWF_NOWAIT */
	if (count == 0)
		return 0;
#endif
	expect_counted(a, b, count);
	return 0;
}

/* A cancel at any moment: what was counted is what comes. */
OWN_TEST(test_cancel_that_races_is_counted)
{
	struct sending sending;
	int rc;

	for (unsigned i = 0; i < 30; i++) {
		sending_start_up_to(&sending, a, 65536 * 4);
		for (unsigned pauses = i % 10; pauses > 0; pauses--)
			test_pause();
		(void)hilo_task_cancel(sending.task);
		rc = sending_end(&sending);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
		if (sending.count == 77)
			sending.count = 0; /* it has not begun */
		stream_expect(b, sending.count, 0);
	}
	stream_say(a, "!");
	TASK_CHECK(hilo_stream_read(b, (char[2]){0}, 2, HILO_FOREVER), ==, 1);
	return 0;
}

OWN_TEST(test_abort_ends_it)
{
	struct sending sending;

	sending_start(&sending, a);
	sending_waits(&sending);
	TASK_CHECK(hilo_stream_abort(a), ==, 0);
	TASK_CHECK(sending_end(&sending), ==, HILO_ECLOSED);
	return 0;
}

/* The stream goes at any moment, also while the kernel sends. */
OWN_TEST(test_abort_that_races_ends_it)
{
	hilo_stream *pair[2];
	struct sending sending;
	int rc;

	for (unsigned i = 0; i < 20; i++) {
		own_make(kind, pair);
		sending_start(&sending, pair[0]);
		for (unsigned pauses = i; pauses > 0; pauses--)
			test_pause();
		TASK_CHECK(hilo_stream_abort(pair[0]), ==, 0);
		rc = sending_end(&sending);
		TASK_CHECK(rc, ==, HILO_ECLOSED);
		hilo_stream_free(pair[0]);
		hilo_stream_free(pair[1]);
	}
	return 0;
}

/* The peer goes, and no signal is raised. */
OWN_TEST(test_peer_that_goes_is_told)
{
	hilo_stream *pair[2];
	struct sending sending;
	int rc;

	for (unsigned i = 0; i < 20; i++) {
		own_make(kind, pair);
		sending_start(&sending, pair[0]);
		for (unsigned pauses = i; pauses > 0; pauses--)
			test_pause();
		hilo_stream_free(pair[1]);
		rc = sending_end(&sending);
		TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
		rc = hilo_stream_sendfile(pair[0], file, 0, UINT64_MAX, NULL, HILO_FOREVER);
		TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
		hilo_stream_free(pair[0]);
	}
	return 0;
}

/* A file system, or a kernel, that cannot: then it is read and written. */
OWN_TEST(test_other_way_is_taken)
{
	static const int errors[] = {EINVAL, ENOSYS, EIO, ENOMEM, EOVERFLOW};
	struct sending sending;

	for (size_t i = 0; i < array_size(errors); i++) {
		hilo__sys_fail(SYS_CALL_SPLICE, 1 + (long)i % 2, errors[i], true);
		sending_start(&sending, a);
		stream_expect(b, FILE_SIZE, 0);
		TASK_CHECK(sending_end(&sending), ==, 0);
		TASK_CHECK(sending.count, ==, FILE_SIZE);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	}
	return 0;
}

/* What is read from the stream meanwhile is not disturbed, though the socket is another one for moments. */
OWN_TEST(test_both_directions_at_once)
{
	struct sending sending;
	struct stream_call writer = {.stream = b, .call = call_write, .size = 300000};
	struct stream_call reader = {.stream = a, .call = call_read_exactly, .size = 300000};

	writer.buf = malloc(writer.size);
	reader.buf = malloc(reader.size);
	bytes_fill(writer.buf, writer.size, 5);
	sending_start(&sending, a);
	stream_call_start(&reader);
	stream_call_start(&writer);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(stream_call_end(&writer), ==, writer.size);
	TASK_CHECK(stream_call_end(&reader), ==, reader.size);
	bytes_check(reader.buf, reader.size, 5);
	free(writer.buf);
	free(reader.buf);
	return 0;
}

/* It has become shorter since somebody has looked how long it is. */
OWN_TEST(test_file_that_is_cut_ends_there)
{
	size_t size = 1000000;
	int fd = file_new(size);
	struct sending sending;

	sending_start(&sending, a);
	sending_waits(&sending);
	stream_expect(b, 65536, 0); /* that has been on its way */
	hilo_task_cancel(sending.task);
	(void)sending_end(&sending);
	stream_expect(b, sending.count - 65536, 65536);
	TASK_CHECK(ftruncate(fd, 200000), ==, 0);
	sending = (struct sending){.stream = a, .fd = fd, .limit = size, .deadline = HILO_FOREVER};
	sending.task = hilo_spawn(sending_task, &sending);
	stream_expect(b, 200000, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, 200000);
	close(fd);
	return 0;
}

/* A pipe, and a socket of the caller's that does not block, are sent to directly as well; one that blocks is not. */
TASK_TEST(test_descriptors_of_the_caller)
{
	static const bool quick[] = {true, false};
	struct sending sending;
	hilo_stream *stream[2];
	int fd[2];

	for (size_t i = 0; i < array_size(quick); i++) {
		sockets_make(KIND_UNIX, fd);
		TASK_CHECK(hilo__sock_set_nonblocking(fd[0], quick[i]), ==, 0);
		TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &stream[0]), ==, 0);
		TASK_CHECK(hilo_stream_from_fd(fd[1], NULL, &stream[1]), ==, 0);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
		sending_start(&sending, stream[0]);
		stream_expect(stream[1], FILE_SIZE, 0);
		TASK_CHECK(sending_end(&sending), ==, 0);
		TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE) > 0, ==, quick[i]);
		TASK_CHECK(hilo__sock_is_nonblocking(fd[0]), ==, quick[i]);
		hilo_stream_free(stream[0]);
		hilo_stream_free(stream[1]);
	}
	TASK_CHECK(pipe2(fd, O_CLOEXEC), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[1], NULL, &stream[0]), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(fd[0], NULL, &stream[1]), ==, 0);
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	sending_start(&sending, stream[0]);
	stream_expect(stream[1], FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), >, 0);
	sending_start(&sending, stream[0]);
	hilo_stream_free(stream[1]);
	TASK_CHECK(sending_end(&sending), ==, -EPIPE);
	hilo_stream_free(stream[0]);
	return 0;
}

static void *thread_main(void *arg)
{
	struct sending *self = arg;
	sigset_t pending;

	TASK_CHECK(hilo_stream_sendfile(self->stream, file, 0, UINT64_MAX, &self->count, HILO_FOREVER), ==,
		   0);
	TASK_CHECK(sigpending(&pending), ==, 0);
	TASK_CHECK(sigismember(&pending, SIGPIPE), ==, 0);
	return NULL;
}

/* A plain thread makes the calls itself. */
OWN_TEST(test_plain_thread_sends)
{
	struct sending sending = {.stream = a};
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, thread_main, &sending), ==, 0);
	stream_expect(b, FILE_SIZE, 0);
	test_join_thread(thread);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	return 0;
}

/* What was held for those that were left is given back, and they send nothing. */
static void disk_end(hilo_stream *a, hilo_stream *b, const struct stat *of, unsigned copies)
{
	TASK_CHECK(copies_of(of), >, copies);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(figures().lingering == 0);
	TEST_UNTIL(copies_of(of) == copies);
	stream_say(a, "!");
	TASK_CHECK(hilo_stream_read(b, (char[2]){0}, 2, HILO_FOREVER), ==, 1);
}

/* A test with that disk. What its calls are given to a thread for hangs with either poller. */
#define DISK_TEST(name)                                                                                      \
	static int name##_body(enum stream_kind kind, hilo_stream *a, hilo_stream *b);                       \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		store_seq_cst(&disk.hangs, true);                                                            \
		own_test_run(name##_body);                                                                   \
		store_seq_cst(&disk.hangs, false);                                                           \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) enum stream_kind kind, hilo_stream *a, hilo_stream *b)

/* The first piece is in memory, the next are not. Who sends is cancelled; the stream is as before. */
DISK_TEST(test_cancel_leaves_a_disk_that_hangs)
{
	uint64_t before = figures().abandoned;
	struct stat stat = stat_of(file);
	struct sending sending;

	disk_begin(false);
	sending_start(&sending, a);
	stream_expect(b, 65536, 0);
	TEST_UNTIL(load_seq_cst(&disk.held) == 1);
	TASK_CHECK(hilo_task_cancel(sending.task), ==, 0);
	TASK_CHECK(sending_end(&sending), ==, -ECANCELED);
	TASK_CHECK(sending.count, ==, 65536);
	TASK_CHECK(figures().abandoned - before, ==, 1);
	TASK_CHECK(figures().lingering, ==, 1);
	disk_end(a, b, &stat, 1);
	return 0;
}

/* The same with a deadline, and a file that its owner closes while the disk still has it. */
DISK_TEST(test_deadline_leaves_a_disk_that_hangs)
{
	uint64_t before = figures().abandoned, count = 77;
	int fd = file_new(300000);
	struct stat stat = stat_of(fd);

	disk_begin(false);
	do { /* one that no thread has begun by its deadline is taken back */
		TASK_CHECK(
			hilo_stream_sendfile(a, fd, 0, UINT64_MAX, &count, hilo_after(3 * HILO_MILLISECOND)),
			==, -ETIMEDOUT);
		stream_expect(b, count, 0);
	} while (figures().abandoned == before);
	TASK_CHECK(count, ==, 65536);
	close(fd);
	disk_end(a, b, &stat, 0);
	return 0;
}

/* The first piece is not in memory. One that does not block is read by a thread, on a ring as well. */
DISK_TEST(test_reads_that_hang_are_left)
{
	static const int flags[] = {0, O_NONBLOCK};
	bool ring = hilo__io_is_ring(hilo__io_runtime());
	struct stat stat;

	disk_begin(true);
	for (size_t i = 0; i < array_size(flags); i++) {
		uint64_t before = figures().abandoned, count = 77;
		int fd = file_new(300000);

		stat = stat_of(fd);
		TASK_CHECK(fcntl(fd, F_SETFL, flags[i]), ==, 0);
		if (ring && !flags[i]) { /* it has its own disk, which answers */
			TASK_CHECK(hilo_stream_sendfile(a, fd, 0, 10000, &count, HILO_FOREVER), ==, 0);
			stream_expect(b, 10000, 0);
			close(fd);
			continue;
		}
		do
			TASK_CHECK(hilo_stream_sendfile(a, fd, 0, UINT64_MAX, &count,
							hilo_after(3 * HILO_MILLISECOND)),
				   ==, -ETIMEDOUT);
		while (figures().abandoned == before);
		TASK_CHECK(count, ==, 0);
		close(fd);
	}
	disk_end(a, b, &stat, 0);
	return 0;
}

static void *hanging_main(void *arg)
{
	struct sending *self = arg;
	uint64_t before = figures().abandoned;

	do
		TASK_CHECK(hilo_stream_sendfile(self->stream, file, 0, UINT64_MAX, &self->count,
						hilo_after(3 * HILO_MILLISECOND)),
			   ==, -ETIMEDOUT);
	while (figures().abandoned == before);
	return NULL;
}

/* A plain thread that has a deadline has a thread wait for the disk. */
DISK_TEST(test_plain_thread_leaves_a_disk_that_hangs)
{
	struct stat stat = stat_of(file);
	struct sending sending = {.stream = a, .count = 77};
	pthread_t thread;

	disk_begin(true);
	TASK_CHECK(pthread_create(&thread, NULL, hanging_main, &sending), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(sending.count, ==, 0);
	disk_end(a, b, &stat, 1);
	return 0;
}

/* It is slow, and answers in the end: nothing is lost. */
DISK_TEST(test_file_that_is_not_in_memory)
{
	struct sending sending;

	disk_begin(true);
	store_seq_cst(&disk.answers, true);
	sending_start(&sending, a);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	return 0;
}

/* Without a pipe, or a descriptor for it, it is read and written. */
OWN_TEST(test_without_a_pipe)
{
	struct sending sending;

	hilo__sys_fail(SYS_CALL_PIPE2, 1, EMFILE, true);
	sending_start_up_to(&sending, a, 300000);
	stream_expect(b, 300000, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	hilo__sys_fail(SYS_CALL_PIPE2, 0, 0, false);
	hilo__sys_fail(SYS_CALL_FCNTL, 1, EPERM, true); /* it is a small one */
	sending_start_up_to(&sending, a, 300000);
	stream_expect(b, 300000, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	hilo__sys_fail(SYS_CALL_FCNTL, 0, 0, false);
	return 0;
}

static atomic(bool) pipes_are_small;

static int small_pipes_fcntl(int fd, int command, long value)
{
	if (command == F_SETPIPE_SZ && load_seq_cst(&pipes_are_small))
		return -EPERM;
	return command == F_GETPIPE_SZ && load_seq_cst(&pipes_are_small) ? 8192
									 : sys_real_fcntl(fd, command, value);
}

static int small_pipes_body(enum stream_kind kind, hilo_stream *a, hilo_stream *b)
{
	struct sending sending;

	(void)kind;
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	sending_start(&sending, a);
	stream_expect(b, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE), ==, 0);
	return 0;
}

/* Somebody has so many that the next ones are of two pages: then it is read and written. */
static void test_small_pipes_are_not_used(void **state)
{
	(void)state;
	store_seq_cst(&pipes_are_small, true);
	own_test_run(small_pipes_body);
	store_seq_cst(&pipes_are_small, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_sends_the_file),
		cmocka_unit_test(test_offset_and_count_are_kept),
		cmocka_unit_test(test_file_stands_between_what_is_written),
		cmocka_unit_test(test_short_calls_lose_nothing),
		cmocka_unit_test(test_cancelled_one_tells_how_much),
		cmocka_unit_test(test_deadline_tells_how_much),
		cmocka_unit_test(test_cancel_that_races_is_counted),
		cmocka_unit_test(test_abort_ends_it),
		cmocka_unit_test(test_abort_that_races_ends_it),
		cmocka_unit_test(test_peer_that_goes_is_told),
		cmocka_unit_test(test_other_way_is_taken),
		cmocka_unit_test(test_both_directions_at_once),
		cmocka_unit_test(test_file_that_is_cut_ends_there),
		cmocka_unit_test(test_descriptors_of_the_caller),
		cmocka_unit_test(test_plain_thread_sends),
		cmocka_unit_test(test_cancel_leaves_a_disk_that_hangs),
		cmocka_unit_test(test_deadline_leaves_a_disk_that_hangs),
		cmocka_unit_test(test_reads_that_hang_are_left),
		cmocka_unit_test(test_plain_thread_leaves_a_disk_that_hangs),
		cmocka_unit_test(test_file_that_is_not_in_memory),
		cmocka_unit_test(test_without_a_pipe),
		cmocka_unit_test(test_small_pipes_are_not_used),
	};
	int rc;

	test_begin();
	/* For good: threads of the pool live on, and look at them. */
	hilo__sys.preadv2 = disk_preadv2;
	hilo__sys.splice = disk_splice;
	hilo__sys.fcntl = small_pipes_fcntl;
	file = file_new(FILE_SIZE);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	close(file);
	return rc;
}
