/* SPDX-License-Identifier: MIT */
/*
 * test_socket_sendfile.c - a file to a socket that is a descriptor: one that blocks, and one that does not. All of it,
 * counted, and none of it lost or doubled, whatever ends the call.
 */
#include <hilo/io/socket.h>

#include <pthread.h>
#include <signal.h>

#include "io/sock_impl.h"
#include "runtime/io_impl.h"
#include "tests/unit/io/disk.h"

static int file; /* of FILE_SIZE bytes, these */
static char bytes[FILE_SIZE];

/* Two connected sockets; whether the first one blocks. */
struct ends {
	int fd[2];
	bool blocks;
};

struct ends_test {
	int (*body)(struct ends *ends);
	enum stream_kind kind;
	bool blocks;
};

static void ends_make(struct ends *ends, enum stream_kind kind, bool blocks)
{
	sockets_make(kind, ends->fd);
	ends->blocks = blocks;
	TASK_CHECK(hilo__sock_set_nonblocking(ends->fd[0], !blocks), ==, 0);
	TASK_CHECK(hilo__sock_set_nonblocking(ends->fd[1], hilo__io_socket_flags(hilo__io_runtime()) != 0),
		   ==, 0);
}

static void ends_close(struct ends *ends)
{
	TASK_CHECK(hilo__sock_is_nonblocking(ends->fd[0]), ==, !ends->blocks);
	TASK_CHECK(close(ends->fd[0]), ==, 0);
	if (ends->fd[1] >= 0)
		TASK_CHECK(close(ends->fd[1]), ==, 0);
}

static int ends_test_task(void *arg)
{
	struct ends_test *test = arg;
	struct ends ends;
	int rc;

	ends_make(&ends, test->kind, test->blocks);
	rc = test->body(&ends);
	ends_close(&ends);
	return rc;
}

static void ends_test_run(int (*body)(struct ends *ends))
{
	static const unsigned workers[] = {1, 2, 8};

	for (unsigned way = 0; way < 4; way++)
		for (size_t i = 0; i < array_size(workers); i++) {
			struct ends_test test = {body, way & 1 ? KIND_TCP : KIND_UNIX, way & 2};
			unsigned fds = test_fds();

			assert_int_equal(test_run(workers[i], ends_test_task, &test), 0);
			assert_int_equal(test_fds(), fds);
		}
}

#define ENDS_TEST(name)                                                                                      \
	static int name##_body(struct ends *ends);                                                           \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		ends_test_run(name##_body);                                                                  \
	}                                                                                                    \
	static int name##_body(struct ends *ends)

/* The next @size bytes are those of a file from @offset on. */
static void expect(const struct ends *ends, size_t size, size_t offset)
{
	char buf[8192];

	while (size) {
		ssize_t n =
			hilo_recv(ends->fd[1], buf, size < sizeof(buf) ? size : sizeof(buf), HILO_FOREVER);

		TASK_CHECK(n, >, 0);
		TASK_CHECK(offset + (size_t)n, <=, FILE_SIZE);
		if (memcmp(buf, bytes + offset, (size_t)n) != 0)
			bytes_check(buf, (size_t)n, offset); /* which */
		offset += (size_t)n;
		size -= (size_t)n;
	}
}

/* ... and then there is nothing. */
static void expect_only(const struct ends *ends, size_t size, size_t offset)
{
	char buf[2];

	expect(ends, size, offset);
	TASK_CHECK(hilo_send_all(ends->fd[0], "!", 1, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_recv(ends->fd[1], buf, sizeof(buf), HILO_FOREVER), ==, 1);
	TASK_CHECK(buf[0], ==, '!');
}

/* A sendfile in a task of its own. */
struct sending {
	int fd, file;
	int64_t offset;
	uint64_t limit, count;
	hilo_time deadline;
	hilo_task *task;
};

static int sending_task(void *arg)
{
	struct sending *self = arg;

	return hilo_sendfile(self->fd, self->file, self->offset, self->limit, &self->count, self->deadline);
}

static void sending_start(struct sending *self, const struct ends *ends, uint64_t limit)
{
	*self = (struct sending){
		.fd = ends->fd[0], .file = file, .limit = limit, .count = 77, .deadline = HILO_FOREVER};
	self->task = hilo_spawn(sending_task, self);
	TASK_CHECK(self->task, !=, NULL);
}

static int sending_end(struct sending *self)
{
	return hilo_join(self->task, HILO_FOREVER);
}

/* Splices out of a pipe for which there was no room. */
static atomic(unsigned) no_room;

static ssize_t splice_that_tells(int in, int64_t *offset, int out, size_t size, unsigned flags)
{
	ssize_t n = disk_splice(in, offset, out, size, flags);

	if (!offset && n == -EAGAIN)
		(void)add_seq_cst(&no_room, 1);
	return n;
}

/* It waits for room: nobody reads, and what can be read of the file is in memory. */
static void sending_waits(const struct sending *self, const struct ends *ends)
{
	TASK_CHECK(hilo_fd_wait(ends->fd[1], HILO_READABLE, HILO_FOREVER), ==, HILO_READABLE);
	TEST_UNTIL((ends->blocks || load_seq_cst(&no_room)) &&
		   hilo_task_get_state(self->task) == HILO_TASK_SUSPENDED);
}

/* A test with a disk that hangs. */
#define DISK_TEST(name)                                                                                      \
	static int name##_body(struct ends *ends);                                                           \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		store_seq_cst(&disk.hangs, true);                                                            \
		ends_test_run(name##_body);                                                                  \
		store_seq_cst(&disk.hangs, false);                                                           \
	}                                                                                                    \
	static int name##_body(struct ends *ends)

ENDS_TEST(test_file_is_sent_directly_if_the_socket_does_not_block)
{
	struct sending sending;

	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	sending_start(&sending, ends, UINT64_MAX);
	expect(ends, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	TASK_CHECK(hilo__sys_calls(SYS_CALL_SPLICE) > 0, ==, !ends->blocks);
	TASK_CHECK(lseek(file, 0, SEEK_CUR), ==, FILE_SIZE); /* where writing it has left it */
	expect_only(ends, 0, 0);
	return 0;
}

ENDS_TEST(test_offset_and_count_are_kept)
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
		sending = (struct sending){.fd = ends->fd[0],
					   .file = file,
					   .offset = (int64_t)parts[i].offset,
					   .limit = parts[i].count,
					   .count = 77,
					   .deadline = HILO_FOREVER};
		sending.task = hilo_spawn(sending_task, &sending);
		expect(ends, parts[i].sent, parts[i].offset);
		TASK_CHECK(sending_end(&sending), ==, 0);
		TASK_CHECK(sending.count, ==, parts[i].sent);
	}
	expect_only(ends, 0, 0);
	return 0;
}

/* Calls that move less than there is room for, and one that is interrupted. */
ENDS_TEST(test_short_calls_lose_nothing)
{
	struct sys_chaos chaos = {.seed = test_seed(), .shorten = 300};
	struct sending sending;

	hilo__sys_fail(SYS_CALL_SPLICE, 2, EINTR, false);
	hilo__sys_chaos(&chaos);
	sending_start(&sending, ends, UINT64_MAX);
	expect(ends, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	hilo__sys_chaos(NULL);
	hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	return 0;
}

ENDS_TEST(test_cancel_that_is_set_wins_and_sends_nothing)
{
	static const uint64_t counts[] = {0, 10, UINT64_MAX};
	uint64_t count = 77;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	for (size_t i = 0; i < array_size(counts); i++) {
		TASK_CHECK(hilo_sendfile(ends->fd[0], file, 0, counts[i], &count, HILO_FOREVER), ==,
			   -ECANCELED);
		TASK_CHECK(count, ==, 0);
		TASK_CHECK(hilo_sendfile(ends->fd[0], file, 0, counts[i], &count, HILO_NO_WAIT), ==,
			   -ECANCELED);
	}
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	expect_only(ends, 0, 0);
	return 0;
}

ENDS_TEST(test_cancel_tells_how_much)
{
	struct sending sending;

	store_seq_cst(&no_room, 0);
	sending_start(&sending, ends, UINT64_MAX);
	sending_waits(&sending, ends);
	TASK_CHECK(hilo_task_cancel(sending.task), ==, 0);
	TASK_CHECK(sending_end(&sending), ==, -ECANCELED);
	TASK_CHECK(sending.count, >, 0);
	TASK_CHECK(sending.count, <, FILE_SIZE);
	expect_only(ends, sending.count, 0);
	return 0;
}

ENDS_TEST(test_cancel_that_comes_after_it_changes_nothing)
{
	uint64_t count = 77;

	TASK_CHECK(hilo_sendfile(ends->fd[0], file, 5, 1000, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(count, ==, 1000);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	expect_only(ends, 1000, 5);
	return 0;
}

/* A cancel at any moment: what was counted is what comes. */
ENDS_TEST(test_cancel_that_races_is_counted)
{
	struct sending sending;
	int rc;

	for (unsigned i = 0; i < 30; i++) {
		sending_start(&sending, ends, 65536 * 4);
		for (unsigned pauses = i % 10; pauses > 0; pauses--)
			test_pause();
		(void)hilo_task_cancel(sending.task);
		rc = sending_end(&sending);
		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1);
		if (sending.count == 77)
			sending.count = 0; /* it has not begun */
		expect(ends, sending.count, 0);
	}
	expect_only(ends, 0, 0);
	return 0;
}

/* What there is room for is sent; a small one is all. */
ENDS_TEST(test_deadline_that_has_passed_still_tries)
{
	uint64_t count = 77;
	int rc = hilo_sendfile(ends->fd[0], file, 0, 1000, &count, HILO_NO_WAIT);

#ifdef HILO_TEST_EMULATED /* which knows no RWF_NOWAIT */
	if (rc == -ETIMEDOUT && count == 0)
		return 0;
#endif
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(count, ==, 1000);
	expect(ends, 1000, 0);
	TASK_CHECK(hilo_sendfile(ends->fd[0], file, 3, 1000, &count, 1), ==, 0);
	expect(ends, 1000, 3);
	TASK_CHECK(hilo_sendfile(ends->fd[0], file, 0, UINT64_MAX, &count, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "descriptor");
	TASK_CHECK(count, >, 0);
	TASK_CHECK(count, <, FILE_SIZE);
	expect_only(ends, count, 0);
	return 0;
}

ENDS_TEST(test_deadline_tells_how_much)
{
	uint64_t count = 77;

	store_seq_cst(&no_room, 0);
	do { /* the disk may be slow, and the machine */
		TASK_CHECK(hilo_sendfile(ends->fd[0], file, 0, UINT64_MAX, &count,
					 hilo_after(3 * HILO_MILLISECOND)),
			   ==, -ETIMEDOUT);
		TASK_CHECK(count, <, FILE_SIZE);
		expect_only(ends, count, 0);
	} while (count == 0 || (!ends->blocks && !load_seq_cst(&no_room)));
	return 0;
}

ENDS_TEST(test_deadline_that_is_kept_changes_nothing)
{
	struct sending sending;

	sending_start(&sending, ends, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	sending = (struct sending){.fd = ends->fd[0],
				   .file = file,
				   .limit = UINT64_MAX,
				   .deadline = hilo_after(600 * HILO_SECOND)};
	sending.task = hilo_spawn(sending_task, &sending);
	expect(ends, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	expect_only(ends, 0, 0);
	return 0;
}

/* The peer goes at any moment, and no signal is raised. */
ENDS_TEST(test_peer_that_goes_is_told)
{
	struct ends other;
	struct sending sending;
	uint64_t count = 77;
	int rc;

	for (unsigned i = 0; i < 20; i++) {
		ends_make(&other, i & 1 ? KIND_TCP : KIND_UNIX, ends->blocks);
		sending_start(&sending, &other, UINT64_MAX);
		for (unsigned pauses = i; pauses > 0; pauses--)
			test_pause();
		TASK_CHECK(close(other.fd[1]), ==, 0);
		other.fd[1] = -1;
		rc = sending_end(&sending);
		TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
		TASK_CHECK(sending.count, <, FILE_SIZE);
		rc = hilo_sendfile(other.fd[0], file, 0, UINT64_MAX, &count, HILO_FOREVER);
		TASK_CHECK(rc == -EPIPE || rc == -ECONNRESET, ==, 1);
		TASK_CHECK(count, ==, 0);
		ends_close(&other);
	}
	return 0;
}

/* A file system, or a kernel, that cannot: then it is read and sent, what is in the pipe first. */
ENDS_TEST(test_other_way_is_taken)
{
	static const int errors[] = {EINVAL, ENOSYS, EIO, ENOMEM, EOVERFLOW};
	struct sending sending;

	for (size_t i = 0; i < array_size(errors); i++) {
		hilo__sys_fail(SYS_CALL_SPLICE, 1 + (long)i % 3, errors[i], true);
		sending_start(&sending, ends, UINT64_MAX);
		expect(ends, FILE_SIZE, 0);
		TASK_CHECK(sending_end(&sending), ==, 0);
		TASK_CHECK(sending.count, ==, FILE_SIZE);
		hilo__sys_fail(SYS_CALL_SPLICE, 0, 0, false);
	}
	return 0;
}

/* Without a pipe it is read and sent. */
ENDS_TEST(test_without_a_pipe)
{
	struct sending sending;

	hilo__sys_fail(SYS_CALL_PIPE2, 1, EMFILE, true);
	sending_start(&sending, ends, 300000);
	expect(ends, 300000, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	hilo__sys_fail(SYS_CALL_PIPE2, 0, 0, false);
	return 0;
}

/* What the kernel makes up when it is read, and has no pages of. */
ENDS_TEST(test_file_without_pages)
{
	char made[4096], got[4096];
	uint64_t count = 77;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC), name = open("/proc/version", O_RDONLY);
	ssize_t n = pread(name, made, sizeof(made), 0);

	TASK_CHECK(hilo_sendfile(ends->fd[0], name, 0, UINT64_MAX, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, ==, n);
	for (ssize_t at = 0, more; at < n; at += more) {
		more = hilo_recv(ends->fd[1], got + at, (size_t)(n - at), HILO_FOREVER);
		TASK_CHECK(more, >, 0);
	}
	TASK_CHECK(memcmp(made, got, (size_t)n), ==, 0);
	TASK_CHECK(hilo_sendfile(ends->fd[0], fd, 0, UINT64_MAX, &count, HILO_FOREVER), ==, 0);
	TASK_CHECK(count, >, 0);
	TASK_CHECK(close(fd) | close(name), ==, 0);
	return 0;
}

/* It has become shorter since somebody has looked how long it is. */
ENDS_TEST(test_file_that_is_cut_ends_there)
{
	int fd = file_new(400000);
	struct sending sending = {.fd = ends->fd[0], .file = fd, .limit = 400000, .deadline = HILO_FOREVER};

	TASK_CHECK(ftruncate(fd, 200000), ==, 0);
	sending.task = hilo_spawn(sending_task, &sending);
	expect(ends, 200000, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, 200000);
	TASK_CHECK(close(fd), ==, 0);
	return 0;
}

ENDS_TEST(test_mistakes_are_told)
{
	int fd = fcntl(file, F_DUPFD_CLOEXEC, 500), folder = open("/tmp", O_RDONLY | O_CLOEXEC), pair[2];
	uint64_t count = 77;

	TASK_CHECK(hilo_sendfile(-1, file, 0, 1, &count, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(count, ==, 0);
	TASK_CHECK(hilo_sendfile(ends->fd[0], -1, 0, 1, NULL, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_sendfile(ends->fd[0], file, -1, 1, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "offset is -1");
	TASK_CHECK(hilo_sendfile(fd, file, 0, 1, NULL, HILO_FOREVER), ==, -ENOTSOCK);
	TASK_CHECK(close(fd), ==, 0);
	TASK_CHECK(hilo_sendfile(fd, file, 0, 1, NULL, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_sendfile(ends->fd[0], fd, 0, 1, NULL, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK_CONTAINS(hilo_error_message(), "file 50");
	TASK_CHECK(hilo_sendfile(ends->fd[0], folder, 0, 1, NULL, HILO_FOREVER), ==, -EISDIR);
	TASK_CHECK(hilo_sendfile(ends->fd[0], ends->fd[1], 0, 1, NULL, HILO_FOREVER), ==, -ESPIPE);
	TASK_CHECK(close(folder), ==, 0);
	TASK_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	TASK_CHECK(hilo_sendfile(pair[0], file, 0, 1, NULL, HILO_FOREVER), ==, -EPROTOTYPE);
	TASK_CHECK(close(pair[0]) | close(pair[1]), ==, 0);
	expect_only(ends, 0, 0);
	return 0;
}

struct callback {
	const struct ends *ends;
	uint64_t count[2];
	int rc[2];
	test_flag done;
};

static void callback_sends(void *arg)
{
	struct callback *self = arg;

	self->rc[0] = hilo_sendfile(self->ends->fd[0], file, 0, 1000, &self->count[0], HILO_FOREVER);
	self->rc[1] = hilo_sendfile(self->ends->fd[0], file, 0, UINT64_MAX, &self->count[1], HILO_FOREVER);
	store_release(&self->done, 1);
}

ENDS_TEST(test_callback_sends_what_need_not_wait)
{
	struct callback callback = {.ends = ends};

	TASK_CHECK(hilo_call_soon(callback_sends, &callback, NULL), ==, 0);
	while (!load_acquire(&callback.done))
		TASK_CHECK(hilo_yield(), ==, 0);
#ifdef HILO_TEST_EMULATED /* which knows no RWF_NOWAIT */
	if (callback.rc[0] == -EDEADLK)
		return 0;
#endif
	TASK_CHECK(callback.rc[0], ==, 0);
	TASK_CHECK(callback.rc[1], ==, -EDEADLK);
	expect(ends, 1000, 0);
	expect_only(ends, callback.count[1], 0);
	return 0;
}

static void *thread_main(void *arg)
{
	struct sending *self = arg;
	sigset_t pending;

	TASK_CHECK(hilo_sendfile(self->fd, file, 0, self->limit, &self->count, self->deadline), ==, 0);
	TASK_CHECK(sigpending(&pending), ==, 0);
	TASK_CHECK(sigismember(&pending, SIGPIPE), ==, 0);
	return NULL;
}

/* A plain thread makes the calls itself; with a deadline a thread waits for the disk. */
ENDS_TEST(test_plain_thread_sends)
{
	const hilo_time deadlines[] = {HILO_FOREVER, hilo_after(600 * HILO_SECOND)};
	struct sending sending = {.fd = ends->fd[0], .limit = UINT64_MAX};
	pthread_t thread;

	for (size_t i = 0; i < array_size(deadlines); i++) {
		sending.deadline = deadlines[i];
		TASK_CHECK(pthread_create(&thread, NULL, thread_main, &sending), ==, 0);
		expect(ends, FILE_SIZE, 0);
		test_join_thread(thread);
		TASK_CHECK(sending.count, ==, FILE_SIZE);
	}
	return 0;
}

/* What was held for those that were left is given back, and they send nothing. */
static void disk_end(const struct ends *ends, const struct stat *of, unsigned copies)
{
	TASK_CHECK(copies_of(of), >, copies);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(figures().lingering == 0);
	TEST_UNTIL(copies_of(of) == copies);
	expect_only(ends, 0, 0);
}

/* The first piece is in memory, the next are not: they are to be brought into the pipe. */
DISK_TEST(test_cancel_leaves_a_disk_that_hangs)
{
	uint64_t before = figures().abandoned;
	struct stat stat = stat_of(file);
	struct sending sending;

	if (ends->blocks)
		return 0; /* nothing is brought there */
	disk_begin(false);
	sending_start(&sending, ends, UINT64_MAX);
	expect(ends, 65536, 0);
	TEST_UNTIL(load_seq_cst(&disk.held) == 1);
	TASK_CHECK(hilo_task_cancel(sending.task), ==, 0);
	TASK_CHECK(sending_end(&sending), ==, -ECANCELED);
	TASK_CHECK(sending.count, ==, 65536);
	TASK_CHECK(figures().abandoned - before, ==, 1);
	TASK_CHECK(figures().lingering, ==, 1);
	disk_end(ends, &stat, 1);
	return 0;
}

/* Nothing is in memory. The file does not block, so that a thread reads it on a ring as well; its owner closes it. */
DISK_TEST(test_deadline_leaves_a_disk_that_hangs)
{
	uint64_t before = figures().abandoned, count = 77;
	int fd = file_new(300000);
	struct stat stat = stat_of(fd);

	TASK_CHECK(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
	disk_begin(true);
	do /* one that no thread has begun by its deadline is taken back */
		TASK_CHECK(hilo_sendfile(ends->fd[0], fd, 0, UINT64_MAX, &count,
					 hilo_after(3 * HILO_MILLISECOND)),
			   ==, -ETIMEDOUT);
	while (figures().abandoned == before);
	TASK_CHECK(count, ==, 0);
	TASK_CHECK_CONTAINS(hilo_error_message(), "file");
	TASK_CHECK(close(fd), ==, 0);
	disk_end(ends, &stat, 0);
	return 0;
}

/* It is slow, and answers in the end: nothing is lost. */
DISK_TEST(test_file_that_is_not_in_memory)
{
	struct sending sending;

	disk_begin(true);
	store_seq_cst(&disk.answers, true);
	sending_start(&sending, ends, UINT64_MAX);
	expect(ends, FILE_SIZE, 0);
	TASK_CHECK(sending_end(&sending), ==, 0);
	TASK_CHECK(sending.count, ==, FILE_SIZE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_is_sent_directly_if_the_socket_does_not_block),
		cmocka_unit_test(test_offset_and_count_are_kept),
		cmocka_unit_test(test_short_calls_lose_nothing),
		cmocka_unit_test(test_cancel_that_is_set_wins_and_sends_nothing),
		cmocka_unit_test(test_cancel_tells_how_much),
		cmocka_unit_test(test_cancel_that_comes_after_it_changes_nothing),
		cmocka_unit_test(test_cancel_that_races_is_counted),
		cmocka_unit_test(test_deadline_that_has_passed_still_tries),
		cmocka_unit_test(test_deadline_tells_how_much),
		cmocka_unit_test(test_deadline_that_is_kept_changes_nothing),
		cmocka_unit_test(test_peer_that_goes_is_told),
		cmocka_unit_test(test_other_way_is_taken),
		cmocka_unit_test(test_without_a_pipe),
		cmocka_unit_test(test_file_without_pages),
		cmocka_unit_test(test_file_that_is_cut_ends_there),
		cmocka_unit_test(test_mistakes_are_told),
		cmocka_unit_test(test_callback_sends_what_need_not_wait),
		cmocka_unit_test(test_plain_thread_sends),
		cmocka_unit_test(test_cancel_leaves_a_disk_that_hangs),
		cmocka_unit_test(test_deadline_leaves_a_disk_that_hangs),
		cmocka_unit_test(test_file_that_is_not_in_memory),
	};
	int rc;

	test_begin();
	/* For good: threads of the pool live on, and look at them. */
	hilo__sys.preadv2 = disk_preadv2;
	hilo__sys.splice = splice_that_tells;
	bytes_fill(bytes, FILE_SIZE, 0);
	file = file_new(FILE_SIZE);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	TASK_CHECK(close(file), ==, 0);
	return rc;
}
