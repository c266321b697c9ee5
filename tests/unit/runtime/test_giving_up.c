/* SPDX-License-Identifier: MIT */
/*
 * test_giving_up.c - the end of a runtime when the kernel does not end something: it comes all the same, tells what it
 * was, and leaves its memory alone.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hilo/io/file.h>
#include <hilo/io/stream.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/poller.h"

/* A kernel that takes submissions, and is not heard of again; its other completions come. */
static atomic(bool) deaf;

static int enter_deaf(int fd, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size)
{
	if (load_acquire(&deaf))
		submit = 0;
	return sys_real_io_uring_enter(fd, submit, wait, flags, arg, size);
}

/* Its task may still be put away: then the call can be repeated. */
static int close_runtime(hilo_runtime *runtime, hilo_time deadline)
{
	int rc;

	do
		rc = hilo_runtime_close(runtime, deadline);
	while (rc == -ETIMEDOUT);
	return rc;
}

struct hung {
	int fd[2];
	hilo_stream *stream;
};

/* A receive that the kernel has taken stays with the stream when its reader gives up waiting. */
static int hung_read(void *arg)
{
	struct hung *hung = arg;
	char buf[8] = "";

	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hung->fd), ==, 0);
	TASK_CHECK(hilo_stream_from_fd(hung->fd[0], NULL, &hung->stream), ==, 0);
	TASK_CHECK(write(hung->fd[1], "hola", 4), ==, 4);
	TASK_CHECK(hilo_stream_read(hung->stream, buf, sizeof(buf), HILO_FOREVER), ==, 4);
	/* The loop has slept on its ring, and can be woken there. */
	TASK_CHECK(hilo_sleep(5 * HILO_MILLISECOND), ==, 0);
	store_release(&deaf, true);
	TASK_CHECK(hilo_stream_read(hung->stream, buf, sizeof(buf), hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	return 0;
}

static void test_an_operation_that_hangs_does_not_keep_a_runtime_from_ending(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_POLLER_URING};
	hilo_worker_stats stats = {.size = sizeof(stats)};
	hilo_runtime *runtime;
	static struct hung hung; /* the stream stays, and is no leak */
	char buf[8];

	(void)state;
	if (hilo__poller_ring_works() < 0)
		TEST_SKIP("no io_uring here");
	hilo__sys.io_uring_enter = enter_deaf;
	test_log_begin();
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, hung_read, &hung), 0);
	assert_int_equal(close_runtime(runtime, HILO_NO_WAIT), 0);
	assert_int_equal(test_log_count("did not end at shutdown (recv, descriptor"), 1);
	assert_int_equal(hilo_runtime_get_stats(runtime, 0, &stats), 0);
	assert_int_equal(stats.given_up, 1);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	test_log_end();
	/* It is an error of the stream, and stays one: its buffer is not used again. */
	assert_int_equal(write(hung.fd[1], "hola", 4), 4);
	assert_int_equal(hilo_stream_read(hung.stream, buf, sizeof(buf), HILO_FOREVER), -EIO);
	hilo_stream_free(hung.stream);
	store_release(&deaf, false);
	hilo__sys_reset();
	assert_int_equal(close(hung.fd[1]), 0);
}

/* What is in memory is not told of. */
static ssize_t preadv2_absent(int fd, const struct iovec *pieces, int n, int64_t offset, int flags)
{
	return flags & RWF_NOWAIT ? -EAGAIN : sys_real_preadv2(fd, pieces, n, offset, flags);
}

struct hung_files {
	char path[64];
	int fd[2];
	hilo_file *file, *pipe;
	bool hangs;
};

static hilo_time hung_deadline(const struct hung_files *hung)
{
	return hung->hangs ? hilo_after(HILO_MILLISECOND) : HILO_FOREVER;
}

/* A read, whose memory is the operation's, and a write of what is buffered, whose memory is the file's. */
static int hung_files_main(void *arg)
{
	struct hung_files *hung = arg;
	char buf[8];

	TASK_CHECK(hilo_file_open(hung->path, "r", NULL, &hung->file, HILO_FOREVER), ==, 0);
	TASK_CHECK(pipe(hung->fd), ==, 0);
	TASK_CHECK(hilo_file_from_fd(hung->fd[1], NULL, &hung->pipe), ==, 0);
	TASK_CHECK(hilo_file_write(hung->pipe, "hola", 4, HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_sleep(5 * HILO_MILLISECOND), ==, 0);
	store_release(&deaf, hung->hangs);
	TASK_CHECK(hilo_file_pread(hung->file, buf, sizeof(buf), 0, hung_deadline(hung)), ==,
		   hung->hangs ? -ETIMEDOUT : 5);
	TASK_CHECK(hilo_file_flush(hung->pipe, hung_deadline(hung)), ==, hung->hangs ? -ETIMEDOUT : 0);
	return 0;
}

/* Blocks that are there after it and were not before. */
static long run_hung_files(bool hangs)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .flags = HILO_POLLER_URING};
	struct hung_files hung = {.path = "/tmp/hilo_hung_XXXXXX", .hangs = hangs};
	long before = hilo__mem_live();
	int fd = mkstemp(hung.path);
	hilo_runtime *runtime;
	char buf[8];

	assert_int_equal(write(fd, "adios", 5), 5);
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, hung_files_main, &hung), 0);
	assert_int_equal(close_runtime(runtime, hangs ? HILO_NO_WAIT : HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	/* The file has what was buffered, and goes on with it. */
	assert_int_equal(hilo_file_flush(hung.pipe, HILO_FOREVER), hangs ? -EIO : 0);
	assert_int_equal(hilo_file_close(hung.pipe, HILO_FOREVER), 0);
	assert_int_equal(read(hung.fd[0], buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "hola", 4);
	assert_int_equal(hilo_file_close(hung.file, HILO_FOREVER), 0);
	store_release(&deaf, false);
	assert_int_equal(close(hung.fd[0]), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(hung.path), 0);
	return hilo__mem_live() - before;
}

static void test_what_a_file_has_given_to_a_kernel_that_hangs_is_left_to_it(void **state)
{
	long usual;

	(void)state;
	if (hilo__poller_ring_works() < 0)
		TEST_SKIP("no io_uring here");
	hilo__sys.io_uring_enter = enter_deaf;
	hilo__sys.preadv2 = preadv2_absent;
	test_log_begin();
	(void)run_hung_files(false); /* what is made once */
	usual = run_hung_files(false);
	/* Two operations, and the buffer. */
	assert_int_equal(run_hung_files(true) - usual, 3);
	assert_int_equal(test_log_count("did not end at shutdown (read, descriptor"), 1);
	assert_int_equal(test_log_count("did not end at shutdown (write, descriptor"), 1);
	test_log_end();
	hilo__sys_reset();
}

/* A thread that has left its loop, and cannot end: here in a destructor, elsewhere in the kernel. */
static pthread_key_t key;
static atomic(uint32_t) let_go;

static void destructor(void *arg)
{
	(void)arg;
	while (!load_acquire(&let_go)) /* pairs with the test */
		test_pause();
	store_release(&let_go, 2); /* pairs with the test */
}

static int hold_thread(void *arg)
{
	(void)arg;
	TASK_CHECK(pthread_setspecific(key, &key), ==, 0);
	return 0;
}

static void test_a_thread_that_cannot_end_is_left_behind(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_runtime *runtime;

	(void)state;
	assert_int_equal(pthread_key_create(&key, destructor), 0);
	test_log_begin();
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, hold_thread, NULL), 0);
	assert_int_equal(close_runtime(runtime, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(test_log_count("did not end at shutdown, the kernel keeps it: left behind"), 1);
	test_log_end();
	store_release(&let_go, 1);		/* pairs with destructor */
	TEST_UNTIL(load_acquire(&let_go) == 2); /* pairs with destructor */
	assert_int_equal(pthread_key_delete(key), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_operation_that_hangs_does_not_keep_a_runtime_from_ending),
		cmocka_unit_test(test_what_a_file_has_given_to_a_kernel_that_hangs_is_left_to_it),
		cmocka_unit_test(test_a_thread_that_cannot_end_is_left_behind),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
