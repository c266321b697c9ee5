/* SPDX-License-Identifier: MIT */
/* test_file.c - opening, reading and writing files, here and there in them, and how they are closed. */
#include "tests/unit/io/files.h"

#include <pthread.h>

TASK_TEST(test_what_is_written_is_read)
{
	struct folder folder;
	char text[64];
	hilo_file *file;
	struct stat stat;

	folder_make(&folder);
	file = opened(in(&folder, "a"), "w");
	said(file, "hola ");
	said(file, "mundo\n");
	TASK_CHECK(hilo_file_tell(file), ==, 11);
	closed(file);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "hola mundo\n");
	file = opened(in(&folder, "a"), "rb");
	TASK_CHECK(hilo_file_read(file, text, sizeof(text), HILO_FOREVER), ==, 11);
	TASK_CHECK(hilo_file_read(file, text, sizeof(text), HILO_FOREVER), ==, 0);
	TASK_CHECK(memcmp(text, "hola mundo\n", 11), ==, 0);
	TASK_CHECK(hilo_file_stat(file, &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(stat.st_size, ==, 11);
	TASK_CHECK(S_ISREG(stat.st_mode), ==, 1);
	TASK_CHECK(fcntl(hilo_file_fd(file), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	closed(file);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_modes_are_those_of_fopen)
{
	struct folder folder;
	char text[64];
	hilo_file *file;

	folder_make(&folder);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "r", NULL, &file, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "/a: ");
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "r+", NULL, &file, HILO_FOREVER), ==, -ENOENT);
	file = opened(in(&folder, "a"), "x");
	said(file, "123456");
	TASK_CHECK(hilo_file_read(file, text, 1, HILO_FOREVER), ==, -EBADF);
	TASK_CHECK(hilo_file_pread(file, text, 1, 0, HILO_FOREVER), ==, -EBADF);
	closed(file);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "x", NULL, &file, HILO_FOREVER), ==, -EEXIST);
	file = opened(in(&folder, "a"), "r+");
	said(file, "ab");
	TASK_CHECK(hilo_file_read(file, text, 2, HILO_FOREVER), ==, 2);
	TASK_CHECK(memcmp(text, "34", 2), ==, 0);
	said(file, "cd");
	closed(file);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "ab34cd");
	file = opened(in(&folder, "a"), "a+");
	TASK_CHECK(hilo_file_tell(file), ==, 6);
	said(file, "end");
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_read_exactly(file, text, 9, HILO_FOREVER), ==, 9);
	TASK_CHECK(memcmp(text, "ab34cdend", 9), ==, 0);
	TASK_CHECK(hilo_file_seek(file, 2, SEEK_SET, HILO_FOREVER), ==, 2);
	said(file, ".");
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_tell(file), ==, 10);
	closed(file);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "ab34cdend.");
	closed(opened(in(&folder, "a"), "w+b"));
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "");
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "", NULL, &file, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "rw", NULL, &file, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open(in(&folder, "a"), "r++", NULL, &file, HILO_FOREVER), ==, -EINVAL);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_misuse_is_answered)
{
	hilo_file_opts opts = {.size = sizeof(opts), .flags = 64};
	struct iovec wrong = {NULL, 3};
	struct folder folder;
	hilo_file *file;
	char text[4], *all;
	const char *line;

	folder_make(&folder);
	TASK_CHECK(hilo_file_open(NULL, "r", NULL, &file, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open("a", NULL, NULL, &file, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open("a", "r", NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open("a", "r", &opts, &file, HILO_FOREVER), ==, -EINVAL);
	opts.flags = 0;
	opts.mode = 0100000;
	TASK_CHECK(hilo_file_open("a", "r", &opts, &file, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_open(folder.path, "w", NULL, &file, HILO_FOREVER), ==, -EISDIR);
	file = opened(folder.path, "r");
	TASK_CHECK(hilo_file_read(file, text, 4, HILO_FOREVER), ==, -EISDIR);
	closed(file);
	TASK_CHECK(hilo_file_from_fd(-1, NULL, &file), ==, -EBADF);
	TASK_CHECK(hilo_file_from_fd(0, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_file_read(NULL, text, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_close(NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_fd(NULL), ==, -EINVAL);
	put(in(&folder, "a"), "x", 1);
	file = opened(in(&folder, "a"), "r+");
	TASK_CHECK(hilo_file_read(file, NULL, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_read_line(file, text, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_read_until(file, "", 0, text, 4, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_read_all(file, 4, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_next_line(file, &line, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_pread(file, text, 4, -1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_preadv(file, &wrong, 1, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_writev(file, &wrong, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_writev(file, NULL, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_seek(file, -1, SEEK_SET, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_seek(file, 0, 77, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_truncate(file, -1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_stat(file, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_file_read_all(file, 4, &all, HILO_FOREVER), ==, 1);
	TASK_CHECK_TEXT(all, "x");
	hilo__free(all);
	closed(file);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_many_read_and_write_their_own_places)
{
	struct folder folder;
	hilo_file *file;
	char a[8] = "aaaa", b[8] = "bbbb", text[16] = "";
	struct iovec out[2] = {{a, 4}, {b, 4}}, back[2] = {{text + 4, 4}, {text, 4}};

	folder_make(&folder);
	file = opened(in(&folder, "a"), "w+");
	TASK_CHECK(hilo_file_pwritev(file, out, 2, 8, HILO_FOREVER), ==, 8);
	TASK_CHECK(hilo_file_pwrite(file, "12345678", 8, 0, HILO_FOREVER), ==, 8);
	TASK_CHECK(hilo_file_pread(file, text, 16, 4, HILO_FOREVER), ==, 12);
	TASK_CHECK(memcmp(text, "5678aaaabbbb", 12), ==, 0);
	TASK_CHECK(hilo_file_preadv(file, back, 2, 8, HILO_FOREVER), ==, 8);
	TASK_CHECK(memcmp(text, "bbbbaaaa", 8), ==, 0);
	TASK_CHECK(hilo_file_pread(file, text, 16, 16, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_tell(file), ==, 0);
	TASK_CHECK(hilo_file_truncate(file, 3, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_pread(file, text, 16, 0, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_file_sync(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_datasync(file, HILO_FOREVER), ==, 0);
	closed(file);
	folder_remove(&folder);
	return 0;
}

/* Numbers that do not fit into 32 bits, in a file that has only holes before. */
TASK_TEST(test_offsets_beyond_four_gigabytes)
{
	const int64_t far = INT64_C(5) << 32;
	struct folder folder;
	struct stat stat;
	hilo_file *file;
	char text[8];

	folder_make(&folder);
	file = opened(in(&folder, "a"), "w+");
	TASK_CHECK(hilo_file_seek(file, far, SEEK_SET, HILO_FOREVER), ==, far);
	said(file, "here");
	TASK_CHECK(hilo_file_seek(file, -2, SEEK_CUR, HILO_FOREVER), ==, far + 2);
	TASK_CHECK(hilo_file_read(file, text, 8, HILO_FOREVER), ==, 2);
	TASK_CHECK(memcmp(text, "re", 2), ==, 0);
	TASK_CHECK(hilo_file_pwrite(file, "there", 5, far + 4, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_file_pread(file, text, 8, far + 4, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_END, HILO_FOREVER), ==, far + 9);
	TASK_CHECK(hilo_file_stat(file, &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(stat.st_size, ==, far + 9);
	TASK_CHECK(hilo_file_truncate(file, far + 1, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_END, HILO_FOREVER), ==, far + 1);
	closed(file);
	folder_remove(&folder);
	return 0;
}

/* More than an operation moves, and than a system call does at once. */
TASK_TEST(test_much_is_moved_in_pieces)
{
	size_t size = 5 * 1024 * 1024 + 777;
	char *out = malloc(size), *back = malloc(size);
	struct folder folder;
	hilo_file *file;

	folder_make(&folder);
	for (size_t i = 0; i < size; i++)
		out[i] = (char)(i * 7 + i / 251);
	file = opened(in(&folder, "a"), "w+");
	TASK_CHECK(hilo_file_write(file, out, size, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_pread(file, back, size, 0, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	memset(back, 0, size);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_read_exactly(file, back, size, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	TASK_CHECK(hilo_file_pwrite(file, out, size, 1000, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_file_pread(file, back, size, 1000, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	/* And what is not in memory. */
	TASK_CHECK(hilo_file_sync(file, HILO_FOREVER), ==, 0);
	TASK_CHECK(posix_fadvise(hilo_file_fd(file), 0, 0, POSIX_FADV_DONTNEED), ==, 0);
	memset(back, 0, size);
	TASK_CHECK(hilo_file_pread(file, back, size, 1000, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	closed(file);
	free(out);
	free(back);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_no_room_is_told_and_loses_nothing)
{
	hilo_file *file = opened("/dev/full", "w");

	said(file, "it is in the buffer");
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK(hilo_file_flush(file, HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK(hilo_file_pwrite(file, "x", 1, 0, HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK(hilo_file_close(file, HILO_FOREVER), ==, -ENOSPC);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_file_close");
	return 0;
}

TASK_TEST(test_descriptor_is_adopted)
{
	struct folder folder;
	hilo_file *file;
	char text[64];
	int fd, pipe_fd[2];

	folder_make(&folder);
	put(in(&folder, "a"), "0123456789", 10);
	fd = open(in(&folder, "a"), O_RDWR);
	TASK_CHECK(lseek(fd, 4, SEEK_SET), ==, 4);
	TASK_CHECK(hilo_file_from_fd(fd, NULL, &file), ==, 0);
	TASK_CHECK(hilo_file_fd(file), ==, fd);
	TASK_CHECK(hilo_file_read(file, text, 2, HILO_FOREVER), ==, 2);
	TASK_CHECK(memcmp(text, "45", 2), ==, 0);
	said(file, "xx");
	closed(file);
	TASK_CHECK(is_open(in(&folder, "a")), ==, false);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "012345xx89");
	TASK_CHECK(pipe(pipe_fd), ==, 0);
	TASK_CHECK(hilo_file_from_fd(pipe_fd[0], NULL, &file), ==, 0);
	TASK_CHECK(write(pipe_fd[1], "abc\nd", 5), ==, 5);
	TASK_CHECK(hilo_file_read_line(file, text, sizeof(text), HILO_FOREVER), ==, 4);
	TASK_CHECK(hilo_file_tell(file), ==, -ESPIPE);
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER), ==, -ESPIPE);
	TASK_CHECK(hilo_file_pread(file, text, 1, 0, HILO_FOREVER), ==, -ESPIPE);
	TASK_CHECK(close(pipe_fd[1]), ==, 0);
	TASK_CHECK(hilo_file_read_line(file, text, sizeof(text), HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_file_read_line(file, text, sizeof(text), HILO_FOREVER), ==, 0);
	closed(file);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_block_closes_before_it_goes_on)
{
	struct folder folder;
	char text[64];
	int rc = 1;

	folder_make(&folder);
	HILO_WITH_FILE (file, in(&folder, "a"), "w", &rc)
		rc = (int)hilo_file_write(file, "hola", 4, HILO_FOREVER);
	TASK_CHECK(rc, ==, 4);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "hola");
	HILO_WITH_FILE (file, in(&folder, "a"), "w", &rc) {
		rc = (int)hilo_file_write(file, "adios", 5, HILO_FOREVER);
		if (rc > 0)
			break;
		rc = -EIO;
	}
	TASK_CHECK(rc, ==, 5);
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "adios");
	HILO_WITH_FILE (file, in(&folder, "b"), "r", &rc)
		TASK_CHECK(file == NULL, ==, 2);
	TASK_CHECK(rc, ==, -ENOENT);
	HILO_WITH_FILE (file, "/dev/full", "w", &rc)
		rc = (int)hilo_file_write(file, "hola", 4, HILO_FOREVER);
	TASK_CHECK(rc, ==, -ENOSPC);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_temporary_file_has_no_name)
{
	struct folder folder;
	hilo_file *file;
	char text[8];

	folder_make(&folder);
	TASK_CHECK(hilo_file_temp(folder.path, NULL, &file, HILO_FOREVER), ==, 0);
	said(file, "abc");
	TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_file_read(file, text, 8, HILO_FOREVER), ==, 3);
	TASK_CHECK(rmdir(folder.path), ==, 0); /* nothing is in it */
	closed(file);
	TASK_CHECK(hilo_file_temp("/nowhere", NULL, &file, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_file_temp(NULL, NULL, &file, HILO_FOREVER), ==, 0);
	closed(file);
	return 0;
}

/* The last one to close is told, and descriptors do not run out. */
TASK_TEST(test_out_of_descriptors)
{
	struct folder folder;
	unsigned fds = test_fds();
	hilo_file *file = NULL;

	folder_make(&folder);
	hilo__sys_fail(SYS_CALL_OPENAT2, 1, EMFILE, false);
	TASK_CHECK(hilo_file_open("/dev/null", "r", NULL, &file, HILO_FOREVER), ==, -EMFILE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "/dev/null");
	hilo__sys_fail(SYS_CALL_OPENAT2, 0, 0, false);
	closed(opened("/dev/null", "r"));
	/* A kernel without that call. */
	hilo__sys_fail(SYS_CALL_OPENAT2, 1, ENOSYS, true);
	closed(opened("/dev/null", "r"));
	hilo__sys_fail(SYS_CALL_OPENAT2, 0, 0, false);
	TASK_CHECK(test_fds() <= fds + 8, ==, 1); /* rings of workers may have come */
	folder_remove(&folder);
	return 0;
}

/* A plain thread makes its calls itself, or, with a deadline, has them made. */
static void *plain_thread(void *arg)
{
	struct folder *folder = arg;
	hilo_file *file = NULL;
	char line[16];

	for (int i = 0; i < 2; i++) {
		hilo_time until = i ? hilo_after(HILO_MINUTE) : HILO_FOREVER;

		TASK_CHECK(hilo_file_open(in(folder, "p"), "w+", NULL, &file, until), ==, 0);
		TASK_CHECK(hilo_file_write(file, "a\nb\n", 4, until), ==, 4);
		TASK_CHECK(hilo_file_sync(file, until), ==, 0);
		TASK_CHECK(hilo_file_seek(file, 0, SEEK_SET, until), ==, 0);
		TASK_CHECK(hilo_file_read_line(file, line, sizeof(line), until), ==, 2);
		TASK_CHECK(hilo_file_read_line(file, line, sizeof(line), until), ==, 2);
		TASK_CHECK(hilo_file_read_line(file, line, sizeof(line), until), ==, 0);
		TASK_CHECK(hilo_file_pwrite(file, "c", 1, 0, until), ==, 1);
		TASK_CHECK(hilo_file_close(file, until), ==, 0);
		TASK_CHECK(hilo_path_exists(in(folder, "p"), until), ==, 1);
	}
	return NULL;
}

static void test_plain_threads(void **state)
{
	struct folder folder;

	(void)state;
	folder_make(&folder);
	plain_thread(&folder);
	folder_remove(&folder);
}

TASK_TEST(test_plain_threads_beside_tasks)
{
	struct folder folder;
	pthread_t thread;

	folder_make(&folder);
	TASK_CHECK(pthread_create(&thread, NULL, plain_thread, &folder), ==, 0);
	test_join_thread(thread);
	folder_remove(&folder);
	return 0;
}

static int call_in_executor(void *arg)
{
	(void)plain_thread(arg);
	return 0;
}

TASK_TEST(test_calls_in_the_executor)
{
	struct folder folder;

	folder_make(&folder);
	TASK_CHECK(hilo_to_thread(call_in_executor, &folder, HILO_FOREVER), ==, 0);
	folder_remove(&folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_modes_are_those_of_fopen),
		cmocka_unit_test(test_misuse_is_answered),
		cmocka_unit_test(test_many_read_and_write_their_own_places),
		cmocka_unit_test(test_offsets_beyond_four_gigabytes),
		cmocka_unit_test(test_much_is_moved_in_pieces),
		cmocka_unit_test(test_no_room_is_told_and_loses_nothing),
		cmocka_unit_test(test_descriptor_is_adopted),
		cmocka_unit_test(test_block_closes_before_it_goes_on),
		cmocka_unit_test(test_temporary_file_has_no_name),
		cmocka_unit_test(test_out_of_descriptors),
		cmocka_unit_test(test_plain_threads),
		cmocka_unit_test(test_plain_threads_beside_tasks),
		cmocka_unit_test(test_calls_in_the_executor),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
