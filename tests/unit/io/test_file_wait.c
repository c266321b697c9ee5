/* SPDX-License-Identifier: MIT */
/*
 * test_file_wait.c - files that take their time: a disk that does not answer, a FIFO that nobody writes to. Who waits
 * leaves at his deadline, when he is cancelled, or when the file is closed; what goes on touches nothing of his.
 */
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>

#include "tests/unit/io/files.h"

static const hilo_time soon = 2 * HILO_MILLISECOND;

/* What the disk does: answers, or not before it is told to. */
static struct {
	atomic(unsigned) held; /* calls that wait for it */
	atomic(bool) answers;
} disk;

static void disk_wait(void)
{
	(void)add_seq_cst(&disk.held, 1);
	while (!load_seq_cst(&disk.answers))
		test_pause();
}

static ssize_t disk_preadv2(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	if (flags & RWF_NOWAIT)
		return -EAGAIN;
	disk_wait();
	return sys_real_preadv2(fd, vector, n, offset, flags);
}

static ssize_t disk_pwritev2(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	disk_wait();
	return sys_real_pwritev2(fd, vector, n, offset, flags);
}

static int disk_openat(int folder, const char *path, int flags, mode_t mode)
{
	disk_wait();
	return sys_real_openat(folder, path, flags, mode);
}

static int disk_fsync(int fd)
{
	disk_wait();
	return sys_real_fsync(fd);
}

/* Run @body with that disk: over epoll, because what a ring is given is no call of the table. */
static void disk_run(hilo_task_fn body)
{
	const char *poller = getenv("HILO_POLLER");
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = HILO_POLLER_EPOLL};
	long live = hilo__mem_live();
	int rc;

	if (poller && strcmp(poller, "epoll") != 0)
		TEST_SKIP("a ring has its own disk");
	store_seq_cst(&disk.held, 0);
	store_seq_cst(&disk.answers, false);
	hilo__sys.preadv2 = disk_preadv2;
	hilo__sys.pwritev2 = disk_pwritev2;
	hilo__sys.openat = disk_openat;
	hilo__sys.fsync = disk_fsync;
	rc = hilo_run(body, NULL, &opts);
	hilo__sys_reset();
	assert_int_equal(rc, 0);
	assert_int_equal(hilo__mem_live(), live);
}

/* A test with that disk. */
#define DISK_TEST(name)                                                                                      \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		disk_run(name##_body);                                                                       \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* Whether the kernel, or who emulates it, opens what it has in memory without waiting. */
static bool names_are_cached(const char *path)
{
	const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = 0x20}; /* RESOLVE_CACHED */
	int fd = hilo__sys_openat2(AT_FDCWD, path, &how, sizeof(how));

	if (fd >= 0)
		TASK_CHECK(close(fd), ==, 0);
	return fd >= 0;
}

static hilo_file_stats figures(void)
{
	hilo_file_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_file_get_stats(&stats), ==, 0);
	return stats;
}

/* A file that is not opened by the disk. */
static hilo_file *adopted(const char *path, int flags)
{
	hilo_file *file = NULL;
	int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0644);

	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo_file_from_fd(fd, NULL, &file), ==, 0);
	return file;
}

/* @call, which the disk holds, until it is left: one that no thread has begun by its deadline is taken back instead. */
#define UNTIL_LEFT(call)                                                                                     \
	for (uint64_t left = figures().abandoned; figures().abandoned == left;)                              \
	TASK_CHECK(call, ==, -ETIMEDOUT)

DISK_TEST(test_read_that_hangs_is_left)
{
	uint64_t before = figures().abandoned;
	struct folder folder;
	hilo_file *file;
	char buf[64];

	folder_make(&folder);
	put(in(&folder, "a"), "0123456789", 10);
	file = adopted(in(&folder, "a"), O_RDWR);
	memset(buf, 'x', sizeof(buf));
	UNTIL_LEFT(hilo_file_pread(file, buf, 10, 0, hilo_after(soon)));
	UNTIL_LEFT(hilo_file_read(file, buf, 10, hilo_after(soon)));
	TASK_CHECK(hilo_file_tell(file), ==, 0);
	TEST_UNTIL(load_seq_cst(&disk.held) == 2);
	TASK_CHECK(figures().abandoned - before, ==, 2);
	TASK_CHECK(figures().lingering, ==, 2);
	/* The descriptor stays, while they have it. */
	TASK_CHECK(hilo_file_close(file, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(is_open(in(&folder, "a")), ==, true);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(!is_open(in(&folder, "a")));
	TEST_UNTIL(figures().lingering == 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		TASK_CHECK(buf[i], ==, 'x');
	folder_remove(&folder);
	return 0;
}

struct reader {
	hilo_file *file;
	char buf[16];
};

static int reader_task(void *arg)
{
	struct reader *reader = arg;

	return (int)hilo_file_read(reader->file, reader->buf, 10, HILO_FOREVER);
}

static void until_suspended(hilo_task *task)
{
	while (hilo_task_get_state(task) != HILO_TASK_SUSPENDED)
		test_pause();
}

DISK_TEST(test_cancelled_read_has_taken_nothing)
{
	struct reader reader;
	struct folder folder;
	hilo_task *task;

	folder_make(&folder);
	put(in(&folder, "a"), "0123456789", 10);
	reader.file = adopted(in(&folder, "a"), O_RDONLY);
	task = hilo_spawn(reader_task, &reader);
	TEST_UNTIL(load_seq_cst(&disk.held) == 1);
	until_suspended(task);
	TASK_CHECK(hilo_file_read(reader.file, reader.buf, 1, HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK(hilo_file_tell(reader.file), ==, -EBUSY);
	TASK_CHECK(hilo_task_cancel(task), >=, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	store_seq_cst(&disk.answers, true);
	TASK_CHECK(reader_task(&reader), ==, 10);
	TASK_CHECK(memcmp(reader.buf, "0123456789", 10), ==, 0);
	closed(reader.file);
	folder_remove(&folder);
	return 0;
}

DISK_TEST(test_open_that_hangs_leaves_no_descriptor)
{
	struct folder folder;
	hilo_file *file = NULL;

	folder_make(&folder);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "w", NULL, &file, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(file == NULL, ==, 1);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(figures().lingering == 0);
	TEST_UNTIL(!is_open(in(&folder, "a")));
	folder_remove(&folder);
	return 0;
}

/* What @file has to write is begun, and held: a flush whose deadline passes before that begins nothing. */
static void until_flushing(hilo_file *file)
{
	while (load_seq_cst(&disk.held) == 0)
		TASK_CHECK(hilo_file_flush(file, hilo_after(soon)), ==, -ETIMEDOUT);
}

/* What was taken is written once, and in order, however often somebody leaves. */
DISK_TEST(test_write_that_hangs_goes_on)
{
	struct folder folder;
	hilo_file *file;
	char text[64];

	folder_make(&folder);
	file = adopted(in(&folder, "a"), O_RDWR);
	said(file, "uno ");
	until_flushing(file);
	said(file, "dos ");
	TASK_CHECK(hilo_file_flush(file, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_file_read(file, text, 10, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_file_sync(file, hilo_after(soon)), ==, -ETIMEDOUT);
	said(file, "tres");
	TASK_CHECK(load_seq_cst(&disk.held), ==, 1);
	store_seq_cst(&disk.answers, true);
	closed(file);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "uno dos tres");
	folder_remove(&folder);
	return 0;
}

DISK_TEST(test_close_leaves_what_hangs)
{
	struct folder folder;
	hilo_file *file;
	char text[64];

	folder_make(&folder);
	file = adopted(in(&folder, "a"), O_RDWR);
	said(file, "hola");
	until_flushing(file);
	TASK_CHECK(hilo_file_close(file, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(is_open(in(&folder, "a")), ==, true);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(!is_open(in(&folder, "a")));
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "hola");
	folder_remove(&folder);
	return 0;
}

/* A file that is closed while somebody waits for the disk in it. */
DISK_TEST(test_close_rouses_who_waits_for_the_disk)
{
	struct reader reader;
	struct folder folder;
	hilo_task *task;

	folder_make(&folder);
	put(in(&folder, "a"), "0123456789", 10);
	reader.file = adopted(in(&folder, "a"), O_RDONLY);
	task = hilo_spawn(reader_task, &reader);
	TEST_UNTIL(load_seq_cst(&disk.held) == 1);
	until_suspended(task);
	TASK_CHECK(hilo_file_close(reader.file, hilo_after(soon)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_ECLOSED);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(figures().lingering == 0);
	folder_remove(&folder);
	return 0;
}

DISK_TEST(test_save_that_is_left_is_done_or_not)
{
	struct folder folder;
	char text[64];
	int rc;

	folder_make(&folder);
	put(in(&folder, "a"), "old", 3);
	rc = hilo_path_save(in(&folder, "a"), "new", 3, 0, hilo_after(soon));
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	store_seq_cst(&disk.answers, true);
	TEST_UNTIL(figures().lingering == 0);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "old");
	TASK_CHECK(hilo_path_save(in(&folder, "a"), "new", 3, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "new");
	folder_remove(&folder);
	return 0;
}

/* The six ways in which a wait ends, with a FIFO, on whatever poller there is. */
TASK_TEST(test_reads_of_a_fifo_end_in_six_ways)
{
	struct reader reader;
	struct folder folder;
	hilo_task *task;
	int fd, rc;

	folder_make(&folder);
	TASK_CHECK(mkfifo(in(&folder, "f"), 0600), ==, 0);
	reader.file = opened(in(&folder, "f"), "r+");
	fd = hilo_file_fd(reader.file);
	TASK_CHECK(write(fd, "0123456789", 10), ==, 10); /* at once */
	TASK_CHECK(reader_task(&reader), ==, 10);
	TASK_CHECK(hilo_file_read(reader.file, reader.buf, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_file_read(reader.file, reader.buf, 1, hilo_after(soon)), ==, -ETIMEDOUT);
	task = hilo_spawn(reader_task, &reader); /* after waiting */
	until_suspended(task);
	TASK_CHECK(write(fd, "abc", 3), ==, 3);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 3);
	task = hilo_spawn(reader_task, &reader); /* cancel */
	until_suspended(task);
	TASK_CHECK(hilo_task_cancel(task), >=, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	for (unsigned i = 0; i < test_rounds(100);
	     i++) { /* a cancel that races with bytes: they are not lost */
		char byte = (char)i, back = 0;

		task = hilo_spawn(reader_task, &reader);
		if (i & 1)
			until_suspended(task);
		TASK_CHECK(write(fd, &byte, 1), ==, 1);
		(void)hilo_task_cancel(task); /* it may have ended */
		rc = hilo_join(task, HILO_FOREVER);
		if (rc == 1)
			back = reader.buf[0];
		else
			TASK_CHECK(hilo_file_read(reader.file, &back, 1, HILO_FOREVER), ==, 1);
		TASK_CHECK(back, ==, byte);
	}
	task = hilo_spawn(reader_task, &reader); /* close */
	until_suspended(task);
	closed(reader.file);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_ECLOSED);
	folder_remove(&folder);
	return 0;
}

struct plain {
	hilo_file *file;
	const char *data; /* to write; NULL: read */
	size_t size;
	ssize_t result;
};

static void *plain_thread(void *arg)
{
	struct plain *plain = arg;
	char buf[16];

	do /* who asks whether we are in the file is in it for a moment himself */
		plain->result = plain->data
					? hilo_file_write(plain->file, plain->data, plain->size, HILO_FOREVER)
					: hilo_file_read(plain->file, buf, sizeof(buf), HILO_FOREVER);
	while (plain->result == -EBUSY);
	return NULL;
}

/* Both ends of a pipe, of which the one that is not asked for stays open: a plain thread waits, and is closed. */
static void plain_is_closed(bool write)
{
	const hilo_file_opts opts = {.size = sizeof(opts), .buffer = HILO_FILE_UNBUFFERED};
	struct plain plain = {.size = 300000};
	char *data = calloc(1, plain.size);
	pthread_t thread;
	int fd[2];

	plain.data = write ? data : NULL;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(hilo_file_from_fd(fd[write], &opts, &plain.file), 0);
	assert_int_equal(pthread_create(&thread, NULL, plain_thread, &plain), 0);
	TEST_UNTIL(hilo_file_tell(plain.file) == -EBUSY);
	assert_int_equal(hilo_file_close(plain.file, HILO_FOREVER), 0);
	test_join_thread(thread);
	assert_int_equal(plain.result, HILO_ECLOSED);
	close(fd[!write]);
	free(data);
}

static void test_close_rouses_a_plain_thread(void **state)
{
	(void)state;
	plain_is_closed(false);
	plain_is_closed(true);
}

/* The default of SIGPIPE would end this program. */
static void test_plain_thread_that_writes_to_no_reader(void **state)
{
	struct plain plain = {.data = "abc", .size = 3};
	const hilo_file_opts opts = {.size = sizeof(opts), .buffer = HILO_FILE_UNBUFFERED};
	sigset_t pending;
	int fd[2];

	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(hilo_file_from_fd(fd[1], &opts, &plain.file), 0);
	close(fd[0]);
	(void)plain_thread(&plain);
	assert_int_equal(plain.result, -EPIPE);
	(void)sigpending(&pending);
	assert_int_equal(sigismember(&pending, SIGPIPE), 0);
	assert_int_equal(hilo_file_close(plain.file, HILO_FOREVER), 0);
}

/* More than a pipe holds: what is taken arrives. */
TASK_TEST(test_pipe_that_is_full)
{
	size_t size = 300000, have = 0;
	char *out = malloc(size), *back = malloc(size);
	hilo_file *to = NULL, *from = NULL;
	ssize_t n;
	int fd[2];

	for (size_t i = 0; i < size; i++)
		out[i] = (char)(i / 7);
	TASK_CHECK(pipe(fd), ==, 0);
	TASK_CHECK(hilo_file_from_fd(fd[0], NULL, &from), ==, 0);
	TASK_CHECK(hilo_file_from_fd(fd[1], NULL, &to), ==, 0);
	n = hilo_file_write(to, out, size, hilo_after(soon));
	TASK_CHECK(n, ==, -ETIMEDOUT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "of 300000 bytes were taken");
	while (hilo_file_flush(to, HILO_NO_WAIT) < 0) {
		/* Not for ever: what is there has been read before, and nobody else flushes. */
		n = hilo_file_read(from, back + have, size - have, hilo_after(soon));
		if (n == -ETIMEDOUT)
			continue;
		TASK_CHECK(n, >, 0);
		have += (size_t)n;
	}
	closed(to);
	while ((n = hilo_file_read(from, back + have, size - have, HILO_FOREVER)) > 0)
		have += (size_t)n;
	TASK_CHECK(have, ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	closed(from);
	free(out);
	free(back);
	return 0;
}

TASK_TEST(test_deadline_that_has_passed)
{
	struct folder folder;
	char text[64];
	hilo_file *file = NULL;
	ssize_t rc;

	folder_make(&folder);
	put(in(&folder, "a"), "0123456789", 10);
	if (names_are_cached(in(&folder, "a")))
		TASK_CHECK(hilo_file_open(in(&folder, "a"), "r", NULL, &file, HILO_NO_WAIT), ==, 0);
	else
		file = opened(in(&folder, "a"), "r");
	rc = hilo_file_read(file, text, 10, HILO_NO_WAIT);
#ifdef HILO_TEST_EMULATED /* which knows no RWF_NOWAIT */
	rc = rc == -ETIMEDOUT ? 10 : rc;
#endif
	TASK_CHECK(rc, ==, 10);
	closed(file);
	TASK_CHECK(hilo_path_unlink(in(&folder, "a"), HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(access(in(&folder, "a"), F_OK), ==, 0); /* not begun */
	TASK_CHECK(hilo_file_open(in(&folder, "b"), "w", NULL, &file, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(access(in(&folder, "b"), F_OK), ==, -1);
	folder_remove(&folder);
	return 0;
}

static int cancelled_task(void *arg)
{
	struct folder *folder = arg;
	hilo_file *file = NULL;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), >=, 0);
	TASK_CHECK(hilo_file_open(in(folder, "a"), "r", NULL, &file, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_path_unlink(in(folder, "a"), HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_path_save(in(folder, "a"), "x", 1, 0, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

TASK_TEST(test_cancel_that_is_set_comes_first)
{
	struct folder folder;
	char text[64];

	folder_make(&folder);
	put(in(&folder, "a"), "abc", 3);
	(void)hilo_join(hilo_spawn(cancelled_task, &folder), HILO_FOREVER);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "abc");
	folder_remove(&folder);
	return 0;
}

struct callback {
	const char *path;
	hilo_file *file;
	test_flag done;
};

static void callback_run(void *arg)
{
	struct callback *callback = arg;
	hilo_file *file = NULL;
	char text[16];
	ssize_t rc = hilo_file_pread(callback->file, text, 4, 0, HILO_FOREVER); /* it is in memory */

#ifdef HILO_TEST_EMULATED /* which knows no RWF_NOWAIT */
	rc = rc == -EDEADLK ? 4 : rc;
#endif
	TASK_CHECK(rc, ==, 4);
	TASK_CHECK(hilo_file_open(callback->path, "r", NULL, &file, HILO_FOREVER), ==,
		   names_are_cached(callback->path) ? 0 : -EDEADLK);
	TASK_CHECK(hilo_file_close(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_sync(callback->file, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_path_unlink(callback->path, HILO_FOREVER), ==, -EDEADLK);
	store_seq_cst(&callback->done, 1);
}

TASK_TEST(test_callbacks_do_not_wait)
{
	struct callback callback;
	struct folder folder;
	char text[16];

	folder_make(&folder);
	put(in(&folder, "a"), "hola", 4);
	callback.path = in(&folder, "a");
	callback.file = opened(callback.path, "r+");
	TASK_CHECK(hilo_file_pread(callback.file, text, 4, 0, HILO_FOREVER), ==, 4);
	atomic_setup(&callback.done, 0);
	TASK_CHECK(hilo_call_soon(callback_run, &callback, NULL), ==, 0);
	TEST_UNTIL(load_seq_cst(&callback.done));
	closed(callback.file);
	folder_remove(&folder);
	return 0;
}

/* Each request for memory in turn is refused: the call that asks says so, and nothing is lost. */
static int worst(int64_t a, int64_t b)
{
	return (int)(a < 0 ? a : b < 0 ? b : 0);
}

static int ask(struct folder *folder)
{
	hilo_walk_entry entry;
	hilo_dir_entry dir_entry;
	hilo_file *file = NULL;
	hilo_walk *walk = NULL;
	hilo_dir *dir = NULL;
	char text[64], *all = NULL;
	int64_t rc = hilo_file_open(in(folder, "a"), "w+", NULL, &file, HILO_FOREVER), n;

	if (rc < 0)
		return (int)rc;
	rc = worst(rc, hilo_file_write(file, "uno\ndos\n", 8, HILO_FOREVER));
	rc = worst(rc, hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER));
	rc = worst(rc, hilo_file_read_line(file, text, sizeof(text), HILO_FOREVER));
	rc = worst(rc, hilo_file_read_all(file, 100, &all, HILO_FOREVER));
	hilo__free(all);
	rc = worst(rc, hilo_file_pwrite(file, "x", 1, 9, HILO_FOREVER));
	rc = worst(rc, hilo_file_close(file, HILO_FOREVER));
	rc = worst(rc, hilo_path_save(in(folder, "b"), "x", 1, 0, HILO_FOREVER));
	rc = worst(rc, hilo_path_mkdirs(in(folder, "c/d"), 0755, HILO_FOREVER));
	n = hilo_dir_open(folder->path, &dir, HILO_FOREVER);
	rc = worst(rc, n);
	while (n >= 0 && (n = hilo_dir_read(dir, &dir_entry, HILO_FOREVER)) > 0)
		;
	rc = worst(rc, n);
	(void)hilo_dir_close(dir);
	n = hilo_walk_new(folder->path, NULL, &walk);
	rc = worst(rc, n);
	while (n >= 0 && (n = hilo_walk_next(walk, &entry, HILO_FOREVER)) > 0)
		n = entry.error < 0 ? entry.error : n;
	rc = worst(rc, n);
	(void)hilo_walk_close(walk);
	return (int)rc;
}

static int oom_body(void *arg)
{
	struct folder folder;
	long calls, n;
	int rc;

	(void)arg;
	folder_make(&folder);
	TASK_CHECK(ask(&folder), ==, 0);
	for (n = 1;; n++) {
		hilo__mem_fail_at(n, false);
		rc = ask(&folder);
		calls = hilo__mem_calls();
		hilo__mem_fail_at(0, false);
		if (calls < n)
			break; /* there are no more */
		/* A message that could not be kept is no failure. */
		if (rc < 0)
			TASK_CHECK(rc, ==, -ENOMEM);
		TEST_UNTIL(figures().lingering == 0);
		TASK_CHECK(ask(&folder), ==, 0);
	}
	TASK_CHECK(n, >, 20);
	folder_remove(&folder);
	return 0;
}

static void test_out_of_memory(void **state)
{
	long live = hilo__mem_live();

	(void)state;
	assert_int_equal(test_run(1, oom_body, NULL), 0);
	assert_int_equal(hilo__mem_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_that_hangs_is_left),
		cmocka_unit_test(test_cancelled_read_has_taken_nothing),
		cmocka_unit_test(test_open_that_hangs_leaves_no_descriptor),
		cmocka_unit_test(test_write_that_hangs_goes_on),
		cmocka_unit_test(test_close_leaves_what_hangs),
		cmocka_unit_test(test_close_rouses_who_waits_for_the_disk),
		cmocka_unit_test(test_save_that_is_left_is_done_or_not),
		cmocka_unit_test(test_reads_of_a_fifo_end_in_six_ways),
		cmocka_unit_test(test_close_rouses_a_plain_thread),
		cmocka_unit_test(test_plain_thread_that_writes_to_no_reader),
		cmocka_unit_test(test_pipe_that_is_full),
		cmocka_unit_test(test_deadline_that_has_passed),
		cmocka_unit_test(test_cancel_that_is_set_comes_first),
		cmocka_unit_test(test_callbacks_do_not_wait),
		cmocka_unit_test(test_out_of_memory),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
