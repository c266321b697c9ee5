/* SPDX-License-Identifier: MIT */
/* test_path.c - calls with a path, whole files, directories and walks. */
#include "tests/unit/io/files.h"

TASK_TEST(test_paths_are_looked_at_and_changed)
{
	struct folder folder;
	struct stat stat;
	char text[64];

	folder_make(&folder);
	put(in(&folder, "a"), "abc", 3);
	TASK_CHECK(hilo_path_exists(in(&folder, "a"), HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_path_exists(in(&folder, "b"), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_exists(in(&folder, "a/b"), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_stat(in(&folder, "a"), &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(stat.st_size, ==, 3);
	TASK_CHECK(hilo_path_stat(in(&folder, "b"), &stat, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_path_stat: /tmp/hilo_files_");
	TASK_CHECK(hilo_path_chmod(in(&folder, "a"), 0640, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_stat(in(&folder, "a"), &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(stat.st_mode & 07777, ==, 0640);
	TASK_CHECK(hilo_path_access(in(&folder, "a"), R_OK, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_access(in(&folder, "b"), F_OK, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_symlink("a", in(&folder, "l"), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_symlink("a", in(&folder, "l"), HILO_FOREVER), ==, -EEXIST);
	TASK_CHECK(hilo_path_readlink(in(&folder, "l"), text, sizeof(text), HILO_FOREVER), ==, 1);
	TASK_CHECK_TEXT(text, "a");
	TASK_CHECK(hilo_path_readlink(in(&folder, "l"), text, 1, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_path_readlink(in(&folder, "a"), text, sizeof(text), HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_lstat(in(&folder, "l"), &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(S_ISLNK(stat.st_mode), ==, 1);
	TASK_CHECK(hilo_path_link(in(&folder, "a"), in(&folder, "h"), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_stat(in(&folder, "h"), &stat, HILO_FOREVER), ==, 0);
	TASK_CHECK(stat.st_nlink, ==, 2);
	TASK_CHECK(hilo_path_rename(in(&folder, "a"), in(&folder, "h"), HILO_RENAME_NO_REPLACE, HILO_FOREVER),
		   ==, -EEXIST);
	TASK_CHECK(hilo_path_rename(in(&folder, "a"), in(&folder, "b"), 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_rename(in(&folder, "a"), in(&folder, "b"), 0, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_rename(in(&folder, "b"), in(&folder, "c"), 64, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_rename(in(&folder, "b"), NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_unlink(in(&folder, "b"), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_unlink(in(&folder, "b"), HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_unlink(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_stat(in(&folder, "h"), NULL, HILO_FOREVER), ==, -EINVAL);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_directories_are_made_and_removed)
{
	struct folder folder;
	char long_path[5000];
	int here;

	folder_make(&folder);
	TASK_CHECK(hilo_path_mkdir(in(&folder, "d"), 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_mkdir(in(&folder, "d"), 0755, HILO_FOREVER), ==, -EEXIST);
	TASK_CHECK(hilo_path_mkdir(in(&folder, "e/f"), 0755, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_mkdirs(in(&folder, "d/e//f/g/"), 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_mkdirs(in(&folder, "d/e/f/g"), 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_mkdirs("/", 0755, HILO_FOREVER), ==, 0);
	here = open(".", O_PATH | O_CLOEXEC);
	TASK_CHECK(chdir(folder.path), ==, 0);
	TASK_CHECK(hilo_path_mkdirs("q/r", 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(fchdir(here), ==, 0);
	TASK_CHECK(close(here), ==, 0);
	TASK_CHECK(hilo_path_exists(in(&folder, "q/r"), HILO_FOREVER), ==, 1);
	put(in(&folder, "x"), "", 0);
	TASK_CHECK(hilo_path_mkdirs(in(&folder, "x"), 0755, HILO_FOREVER), ==, -ENOTDIR);
	TASK_CHECK(hilo_path_mkdirs(in(&folder, "x/y"), 0755, HILO_FOREVER), ==, -ENOTDIR);
	TASK_CHECK(hilo_path_rmdir(in(&folder, "d"), HILO_FOREVER), ==, -ENOTEMPTY);
	TASK_CHECK(hilo_path_rmdir(in(&folder, "d/e/f/g"), HILO_FOREVER), ==, 0);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	TASK_CHECK(hilo_path_mkdirs(long_path, 0755, HILO_FOREVER), ==, -ENAMETOOLONG);
	TASK_CHECK(hilo_path_unlink(long_path, HILO_FOREVER), ==, -ENAMETOOLONG);
	TASK_CHECK(hilo_path_exists(long_path, HILO_FOREVER), ==, -ENAMETOOLONG);
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	TASK_CHECK(access(folder.path, F_OK), ==, -1);
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	return 0;
}

/* How many names there are in a directory. */
static unsigned names(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

TASK_TEST(test_whole_files)
{
	struct folder folder;
	struct stat stat;
	char *text = NULL;

	folder_make(&folder);
	TASK_CHECK(hilo_path_save(in(&folder, "a"), "uno", 3, 0600, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_load(in(&folder, "a"), 3, &text, HILO_FOREVER), ==, 3);
	TASK_CHECK_TEXT(text, "uno");
	hilo__free(text);
	TASK_CHECK(lstat(in(&folder, "a"), &stat), ==, 0);
	TASK_CHECK(stat.st_mode & 07777, ==, 0600);
	TASK_CHECK(hilo_path_save(in(&folder, "a"), NULL, 0, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_load(in(&folder, "a"), 0, &text, HILO_FOREVER), ==, 0);
	hilo__free(text);
	TASK_CHECK(hilo_path_save(in(&folder, "a"), "abc", 3, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_load(in(&folder, "a"), 2, &text, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "more than 2 bytes");
	TASK_CHECK(hilo_path_load(in(&folder, "b"), 2, &text, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_load("/proc/self/status", 1 << 20, &text, HILO_FOREVER), >, 100);
	hilo__free(text);
	TASK_CHECK(hilo_path_save("/nowhere/a", "abc", 3, 0, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_save(NULL, "abc", 3, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_save(in(&folder, "a"), NULL, 3, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(names(folder.path), ==, 1);
	folder_remove(&folder);
	return 0;
}

/* Whatever fails, the file is as it was, or as it is to be, and nothing is beside it. */
TASK_TEST(test_save_that_fails_leaves_the_file)
{
	static const enum sys_call calls[] = {SYS_CALL_OPENAT, SYS_CALL_WRITE, SYS_CALL_FSYNC,
					      SYS_CALL_RENAMEAT2};
	struct folder folder;
	char text[64];

	folder_make(&folder);
	put(in(&folder, "a"), "old", 3);
	for (size_t i = 0; i < array_size(calls); i++) {
		int rc;

		hilo__sys_fail(calls[i], 1, ENOSPC, false);
		rc = hilo_path_save(in(&folder, "a"), "new", 3, 0, HILO_FOREVER);
		hilo__sys_fail(calls[i], 0, 0, false);
		/* A worker's eventfd may have been what was written to. */
		if (rc == 0)
			TASK_CHECK(calls[i], ==, SYS_CALL_WRITE);
		else
			TASK_CHECK(rc, ==, -ENOSPC);
		TASK_CHECK_TEXT(got(in(&folder, "a"), text), rc ? "old" : "new");
		put(in(&folder, "a"), "old", 3);
		TASK_CHECK(names(folder.path), ==, 1);
	}
	for (long n = 1; n <= 3; n++) { /* no descriptor for the file or its directory */
		int rc;

		hilo__sys_fail(SYS_CALL_OPENAT, n, EMFILE, false);
		rc = hilo_path_save(in(&folder, "a"), "new", 3, 0, HILO_FOREVER);
		hilo__sys_fail(SYS_CALL_OPENAT, 0, 0, false);
		TASK_CHECK(rc, ==, n < 3 ? -EMFILE : 0);
		TASK_CHECK_TEXT(got(in(&folder, "a"), text), rc ? "old" : "new");
		TASK_CHECK(names(folder.path), ==, 1);
	}
	TASK_CHECK(hilo_path_save("/nowhere/a", "new", 3, 0, HILO_FOREVER), ==, -ENOENT);
	folder_remove(&folder);
	return 0;
}

/* Opening it would wait for its other end. */
TASK_TEST(test_copy_waits_for_no_fifo)
{
	struct folder folder;
	char text[64];
	int fd;

	folder_make(&folder);
	put(in(&folder, "a"), "abc", 3);
	TASK_CHECK(mkfifo(in(&folder, "f"), 0600), ==, 0);
	TASK_CHECK(hilo_path_copy(in(&folder, "f"), in(&folder, "b"), 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "no regular file");
	TASK_CHECK(access(in(&folder, "b"), F_OK), ==, -1);
	TASK_CHECK(hilo_path_copy(in(&folder, "a"), in(&folder, "f"), 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "overwritten is no regular one");
	fd = open(in(&folder, "f"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(hilo_path_copy(in(&folder, "a"), in(&folder, "f"), 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(read(fd, text, sizeof(text)), ==, -1); /* nothing was written to it */
	close(fd);
	TASK_CHECK(hilo_path_copy(in(&folder, "a"), in(&folder, "a"), 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "the same file");
	TASK_CHECK_TEXT(got(in(&folder, "a"), text), "abc");
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_files_are_copied)
{
	size_t size = 300000;
	char *out = malloc(size), *back = NULL;
	struct folder folder;
	struct stat stat;

	folder_make(&folder);
	memset(out, 'x', size);
	put(in(&folder, "a"), out, size);
	TASK_CHECK(chmod(in(&folder, "a"), 0640), ==, 0);
	TASK_CHECK(hilo_path_copy(in(&folder, "a"), in(&folder, "b"), 0, HILO_FOREVER), ==, size);
	TASK_CHECK(hilo_path_load(in(&folder, "b"), size, &back, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	hilo__free(back);
	TASK_CHECK(lstat(in(&folder, "b"), &stat), ==, 0);
	TASK_CHECK(stat.st_mode & 0777, ==, 0640);
	put(in(&folder, "c"), "short", 5);
	TASK_CHECK(hilo_path_copy(in(&folder, "c"), in(&folder, "b"), 0, HILO_FOREVER), ==, 5);
	TASK_CHECK(hilo_path_load(in(&folder, "b"), size, &back, HILO_FOREVER), ==, 5);
	hilo__free(back);
	TASK_CHECK(hilo_path_copy(in(&folder, "c"), in(&folder, "b"), HILO_COPY_NO_REPLACE, HILO_FOREVER), ==,
		   -EEXIST);
	TASK_CHECK(hilo_path_copy(in(&folder, "c"), in(&folder, "c"), 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_load(in(&folder, "c"), size, &back, HILO_FOREVER), ==, 5);
	hilo__free(back);
	TASK_CHECK(hilo_path_copy(folder.path, in(&folder, "b"), 0, HILO_FOREVER), ==, -EISDIR);
	TASK_CHECK(hilo_path_copy(in(&folder, "n"), in(&folder, "b"), 0, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_copy(in(&folder, "n"), NULL, 0, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_copy("/proc/self/status", in(&folder, "b"), 0, HILO_FOREVER), >, 100);
	/* A kernel that has no call for that. */
	hilo__sys_fail(SYS_CALL_COPY_FILE_RANGE, 1, ENOSYS, true);
	TASK_CHECK(hilo_path_copy(in(&folder, "a"), in(&folder, "b"), 0, HILO_FOREVER), ==, size);
	hilo__sys_fail(SYS_CALL_COPY_FILE_RANGE, 0, 0, false);
	TASK_CHECK(hilo_path_load(in(&folder, "b"), size, &back, HILO_FOREVER), ==, size);
	TASK_CHECK(memcmp(out, back, size), ==, 0);
	hilo__free(back);
	free(out);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_temporary_names)
{
	struct folder folder;
	char one[128], other[128];
	hilo_file *file;
	struct stat stat;

	folder_make(&folder);
	TASK_CHECK(hilo_path_temp_folder(in(&folder, "t-"), one, sizeof(one), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_temp_folder(in(&folder, "t-"), other, sizeof(other), HILO_FOREVER), ==, 0);
	TASK_CHECK(strcmp(one, other) != 0, ==, 1);
	TASK_CHECK(lstat(one, &stat), ==, 0);
	TASK_CHECK(stat.st_mode, ==, S_IFDIR | 0700);
	TASK_CHECK(hilo_path_temp_file(in(&folder, "f-"), one, sizeof(one), &file, HILO_FOREVER), ==, 0);
	said(file, "abc");
	closed(file);
	TASK_CHECK(lstat(one, &stat), ==, 0);
	TASK_CHECK(stat.st_size, ==, 3);
	TASK_CHECK(hilo_path_temp_file(in(&folder, "f-"), one, 10, &file, HILO_FOREVER), ==, -EMSGSIZE);
	TASK_CHECK(hilo_path_temp_file("/nowhere/f-", one, sizeof(one), &file, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_temp_folder("/nowhere/f-", one, sizeof(one), HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_path_temp_folder(NULL, one, sizeof(one), HILO_FOREVER), ==, 0);
	TASK_CHECK(rmdir(one), ==, 0);
	TASK_CHECK(names(folder.path), ==, 3);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_directory_is_read)
{
	bool seen[2500] = {false};
	struct folder folder;
	hilo_dir_entry entry;
	hilo_dir *dir;
	char name[16];
	int n = 0;

	folder_make(&folder);
	TASK_CHECK(mkdir(in(&folder, "sub"), 0755), ==, 0);
	for (int i = 0; i < 2500; i++) { /* more than a batch */
		(void)snprintf(name, sizeof(name), "%d", i);
		put(in(&folder, name), "", 0);
	}
	TASK_CHECK(hilo_dir_open(in(&folder, "0"), &dir, HILO_FOREVER), ==, -ENOTDIR);
	TASK_CHECK(hilo_dir_open(in(&folder, "none"), &dir, HILO_FOREVER), ==, -ENOENT);
	TASK_CHECK(hilo_dir_open(folder.path, &dir, HILO_FOREVER), ==, 0);
	while (hilo_dir_read(dir, &entry, HILO_FOREVER) == 1) {
		if (entry.kind == HILO_KIND_FILE) {
			TASK_CHECK(seen[atoi(entry.name)], ==, false);
			seen[atoi(entry.name)] = true;
			n++;
		} else {
			TASK_CHECK_TEXT(entry.name, "sub");
			TASK_CHECK(entry.kind, ==, HILO_KIND_DIRECTORY);
		}
	}
	TASK_CHECK(n, ==, 2500);
	TASK_CHECK(hilo_dir_read(dir, &entry, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_dir_read(dir, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_dir_close(dir), ==, 0);
	TASK_CHECK(hilo_dir_close(NULL), ==, 0);
	TASK_CHECK(hilo_dir_read(NULL, &entry, HILO_FOREVER), ==, -EINVAL);
	folder_remove(&folder);
	return 0;
}

/* Nothing is lost to deadlines: as many entries come as there are, however often the call ends early. */
TASK_TEST(test_directory_that_is_read_in_no_time)
{
	struct folder folder;
	hilo_dir_entry entry;
	hilo_dir *dir;
	char name[16];
	int n = 0, rc, round = 0;

	folder_make(&folder);
	for (int i = 0; i < 1500; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		put(in(&folder, name), "", 0);
	}
	TASK_CHECK(hilo_dir_open(folder.path, &dir, HILO_FOREVER), ==, 0);
	while ((rc = hilo_dir_read(dir, &entry,
				   ++round % 3 ? hilo_after(20 * HILO_MICROSECOND) : HILO_FOREVER)) != 0) {
		n += rc == 1;
		if (rc < 0)
			TASK_CHECK(rc, ==, -ETIMEDOUT);
	}
	TASK_CHECK(n, ==, 1500);
	TASK_CHECK(hilo_dir_close(dir), ==, 0);
	folder_remove(&folder);
	return 0;
}

/* Levels deeper than descriptors are held open for, with a file in each. */
static void deep_make(const char *root, unsigned depth)
{
	char path[1024], file[1100];
	size_t length = (size_t)snprintf(path, sizeof(path), "%s", root);

	for (unsigned i = 0; i < depth; i++) {
		length += (size_t)snprintf(path + length, sizeof(path) - length, "/d%u", i);
		TASK_CHECK(mkdir(path, 0755), ==, 0);
		(void)snprintf(file, sizeof(file), "%s/f", path);
		put(file, "", 0);
		(void)snprintf(file, sizeof(file), "%s/g", path);
		put(file, "", 0);
	}
}

TASK_TEST(test_walk_goes_everywhere)
{
	hilo_walk_opts opts = {.size = sizeof(opts), .flags = HILO_WALK_AFTER};
	unsigned files = 0, before = 0, after = 0, deepest = 0, fds = test_fds();
	struct folder folder;
	hilo_walk_entry entry;
	hilo_walk *walk;
	int rc;

	folder_make(&folder);
	deep_make(folder.path, 100);
	TASK_CHECK(hilo_walk_new(folder.path, &opts, &walk), ==, 0);
	while ((rc = hilo_walk_next(walk, &entry, HILO_FOREVER)) == 1) {
		TASK_CHECK(entry.error, ==, 0);
		TASK_CHECK(access(entry.path, F_OK), ==, 0);
		TASK_CHECK(strcmp(entry.path + strlen(entry.path) - strlen(entry.name), entry.name), ==, 0);
		files += entry.kind == HILO_KIND_FILE;
		before += entry.kind == HILO_KIND_DIRECTORY && !entry.after;
		after += entry.kind == HILO_KIND_DIRECTORY && entry.after;
		deepest = entry.depth > deepest ? entry.depth : deepest;
		TASK_CHECK(test_fds() <= fds + 48, ==, 1);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(entry.depth, ==, 0);
	TASK_CHECK(files, ==, 200);
	TASK_CHECK(before, ==, 101);
	TASK_CHECK(after, ==, 101);
	TASK_CHECK(deepest, ==, 101);
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_walk_can_be_led)
{
	hilo_walk_opts opts = {.size = sizeof(opts), .depth = 1};
	struct folder folder;
	hilo_walk_entry entry;
	hilo_walk *walk;
	unsigned n = 0;

	folder_make(&folder);
	deep_make(folder.path, 5);
	TASK_CHECK(hilo_walk_new(folder.path, NULL, &walk), ==, 0);
	while (hilo_walk_next(walk, &entry, HILO_FOREVER) == 1) {
		n++;
		if (entry.depth == 3 && entry.kind == HILO_KIND_DIRECTORY)
			TASK_CHECK(hilo_walk_skip(walk), ==, 0);
		else if (entry.kind != HILO_KIND_DIRECTORY)
			TASK_CHECK(hilo_walk_skip(walk), ==, -EINVAL);
		TASK_CHECK(entry.depth <= 3, ==, 1);
	}
	TASK_CHECK(n, ==, 1 + 3 + 4);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_walk_new(folder.path, &opts, &walk), ==, 0);
	for (n = 0; hilo_walk_next(walk, &entry, HILO_FOREVER) == 1; n++)
		TASK_CHECK(entry.depth <= 1, ==, 1);
	TASK_CHECK(n, ==, 2);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_walk_new(folder.path, NULL, &walk), ==, 0); /* ended early */
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_walk_new(in(&folder, "none"), NULL, &walk), ==, 0);
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 1);
	TASK_CHECK(entry.error, ==, -ENOENT);
	TASK_CHECK(hilo_walk_next(walk, &entry, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_walk_new(NULL, NULL, &walk), ==, -EINVAL);
	opts.flags = 64;
	TASK_CHECK(hilo_walk_new(folder.path, &opts, &walk), ==, -EINVAL);
	TASK_CHECK(hilo_walk_next(NULL, &entry, HILO_FOREVER), ==, -EINVAL);
	folder_remove(&folder);
	return 0;
}

TASK_TEST(test_walk_and_links)
{
	hilo_walk_opts opts = {.size = sizeof(opts), .flags = HILO_WALK_FOLLOW};
	unsigned links = 0, loops = 0, files = 0;
	struct folder folder;
	hilo_walk_entry entry;
	hilo_walk *walk;

	folder_make(&folder);
	deep_make(folder.path, 2);
	TASK_CHECK(symlink("../..", in(&folder, "d0/d1/up")), ==, 0);
	TASK_CHECK(symlink("nothing", in(&folder, "dead")), ==, 0);
	TASK_CHECK(symlink("d0/d1", in(&folder, "side")), ==, 0);
	TASK_CHECK(hilo_walk_new(folder.path, NULL, &walk), ==, 0);
	while (hilo_walk_next(walk, &entry, HILO_FOREVER) == 1) {
		TASK_CHECK(entry.error, ==, 0);
		links += entry.kind == HILO_KIND_LINK;
		files += entry.kind == HILO_KIND_FILE;
	}
	TASK_CHECK(links, ==, 3);
	TASK_CHECK(files, ==, 4);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_walk_new(folder.path, &opts, &walk), ==, 0);
	for (links = files = 0; hilo_walk_next(walk, &entry, HILO_FOREVER) == 1;) {
		loops += entry.error == -ELOOP;
		links += entry.kind == HILO_KIND_LINK;
		files += entry.kind == HILO_KIND_FILE;
	}
	TASK_CHECK(links, ==, 1); /* the one that leads nowhere */
	TASK_CHECK(loops, ==, 2);
	TASK_CHECK(files, ==, 6);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "side"), HILO_FOREVER), ==, 0);
	TASK_CHECK(access(in(&folder, "d0/d1/f"), F_OK), ==, 0);
	folder_remove(&folder);
	return 0;
}

/* However often it ends early, it tells each entry once. */
TASK_TEST(test_walk_in_no_time)
{
	struct folder folder;
	hilo_walk_entry entry;
	hilo_walk *walk;
	unsigned n = 0;
	int rc, round = 0;

	folder_make(&folder);
	deep_make(folder.path, 50);
	TASK_CHECK(hilo_walk_new(folder.path, NULL, &walk), ==, 0);
	while ((rc = hilo_walk_next(walk, &entry,
				    ++round % 3 ? hilo_after(20 * HILO_MICROSECOND) : HILO_FOREVER)) != 0) {
		n += rc == 1;
		if (rc < 0)
			TASK_CHECK(rc, ==, -ETIMEDOUT);
	}
	TASK_CHECK(n, ==, 151);
	TASK_CHECK(hilo_walk_close(walk), ==, 0);
	folder_remove(&folder);
	return 0;
}

/* What happens while a tree is removed: once, after a directory has been read. */
static struct {
	void (*act)(void);
	struct folder *folder;
	unsigned calls;
} meanwhile;

static ssize_t getdents_then(int fd, void *buf, size_t size)
{
	ssize_t n = sys_real_getdents64(fd, buf, size);

	if (n > 0 && ++meanwhile.calls == 2)
		meanwhile.act();
	return n;
}

/* tree/one/two/file, beside it outside/file; @act when tree/one has been read. What it came to. */
static int removed_while(struct folder *folder, void (*act)(void))
{
	int rc;

	TASK_CHECK(hilo_path_mkdirs(in(folder, "tree/one/two"), 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_path_mkdirs(in(folder, "outside"), 0755, HILO_FOREVER), ==, 0);
	put(in(folder, "tree/one/two/file"), "x", 1);
	put(in(folder, "outside/file"), "x", 1);
	meanwhile.act = act;
	meanwhile.folder = folder;
	meanwhile.calls = 0;
	hilo__sys.getdents64 = getdents_then;
	rc = hilo_path_remove_all(in(folder, "tree/"), HILO_FOREVER);
	hilo__sys.getdents64 = sys_real_getdents64;
	TASK_CHECK(access(in(folder, "outside/file"), F_OK), ==, 0);
	return rc;
}

static void put_a_link(void)
{
	struct folder *folder = meanwhile.folder;

	TASK_CHECK(rename(in(folder, "tree/one/two"), in(folder, "away")), ==, 0);
	TASK_CHECK(symlink("../../outside", in(folder, "tree/one/two")), ==, 0);
}

static void put_a_file(void)
{
	struct folder *folder = meanwhile.folder;

	TASK_CHECK(rename(in(folder, "tree/one/two"), in(folder, "away")), ==, 0);
	put(in(folder, "tree/one/two"), "x", 1);
}

/* What is open goes elsewhere: the way back would lead there. */
static void move_it(void)
{
	struct folder *folder = meanwhile.folder;

	TASK_CHECK(rename(in(folder, "tree/one"), in(folder, "outside/one")), ==, 0);
}

static void add_to_it(void)
{
	put(in(meanwhile.folder, "tree/one/late"), "x", 1);
}

TASK_TEST(test_remove_all_while_others_change_it)
{
	struct folder folder;
	unsigned fds;

	folder_make(&folder);
	fds = test_fds();
	TASK_CHECK(removed_while(&folder, put_a_link), ==, 0);
	TASK_CHECK(access(in(&folder, "tree"), F_OK), ==, -1);
	TASK_CHECK(access(in(&folder, "away/file"), F_OK), ==, 0);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "away"), HILO_FOREVER), ==, 0);
	TASK_CHECK(removed_while(&folder, put_a_file), ==, 0);
	TASK_CHECK(access(in(&folder, "tree"), F_OK), ==, -1);
	TASK_CHECK(removed_while(&folder, add_to_it), ==, 0);
	TASK_CHECK(access(in(&folder, "tree"), F_OK), ==, -1);
	TASK_CHECK(removed_while(&folder, move_it), ==, -ESTALE);
	TASK_CHECK_CONTAINS(hilo_error_message(), "/tree");
	TASK_CHECK(access(in(&folder, "tree"), F_OK), ==, 0);
	TASK_CHECK(test_fds() <= fds + 8, ==, 1); /* rings of workers may have come */
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	return 0;
}

static atomic(bool) gone; /* the caller has left */

static ssize_t getdents_until_gone(int fd, void *buf, size_t size)
{
	ssize_t n = sys_real_getdents64(fd, buf, size);
	hilo_file_stats stats = {.size = sizeof(stats)};

	while (!load_acquire(&gone))
		if (hilo_file_get_stats(&stats) == 0 && stats.lingering > 0)
			store_release(&gone, true);
	return n;
}

/* Nobody waits any more: it ends before the next entry. */
static int is_left(void *arg)
{
	hilo_file_stats stats = {.size = sizeof(stats)};
	struct folder folder;

	(void)arg;
	folder_make(&folder);
	put(in(&folder, "a"), "x", 1);
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(access(in(&folder, "a"), F_OK), ==, 0);
	do {
		store_release(&gone, false); /* one that no thread has begun in time is taken back */
		TASK_CHECK(hilo_path_remove_all(folder.path, hilo_after(2 * HILO_MILLISECOND)), ==,
			   -ETIMEDOUT);
		TASK_CHECK(hilo_file_get_stats(&stats), ==, 0);
	} while (stats.lingering == 0 && !load_acquire(&gone));
	do
		TASK_CHECK(hilo_file_get_stats(&stats), ==, 0);
	while (stats.lingering);
	TASK_CHECK(access(in(&folder, "a"), F_OK), ==, 0);
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	TASK_CHECK(access(folder.path, F_OK), ==, -1);
	return 0;
}

static void test_remove_all_that_is_left_stops(void **state)
{
	(void)state;
	hilo__sys.getdents64 = getdents_until_gone; /* as long as there are threads that may be in it */
	test_each(is_left);
	hilo__sys_reset();
}

TASK_TEST(test_remove_all_of_what_cannot_be)
{
	char deep[1200] = "";
	struct folder folder;
	int rc, here;

	folder_make(&folder);
	TASK_CHECK(hilo_path_remove_all(NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_remove_all("/", HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_remove_all("///", HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "."), HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "x/../"), HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(access(folder.path, F_OK), ==, 0);
	put(in(&folder, "a"), "x", 1);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "a/b"), HILO_FOREVER), ==, -ENOTDIR);
	TASK_CHECK(hilo_path_remove_all(in(&folder, "a"), HILO_FOREVER), ==, 0);
	TASK_CHECK(access(in(&folder, "a"), F_OK), ==, -1);
	/* The rest is tried all the same, and the first failure told. */
	put(in(&folder, "a"), "x", 1);
	put(in(&folder, "b"), "x", 1);
	hilo__sys_fail(SYS_CALL_UNLINKAT, 1, EACCES, false);
	rc = hilo_path_remove_all(folder.path, HILO_FOREVER);
	hilo__sys_fail(SYS_CALL_UNLINKAT, 0, 0, false);
	TASK_CHECK(rc, ==, -EACCES);
	TASK_CHECK(names(folder.path), ==, 1);
	for (int i = 0; i < 500; i++)
		strcat(deep, "/d");
	here = open(".", O_PATH | O_CLOEXEC);
	TASK_CHECK(chdir(folder.path), ==, 0);
	TASK_CHECK(hilo_path_mkdirs(deep + 1, 0755, HILO_FOREVER), ==, 0);
	TASK_CHECK(fchdir(here), ==, 0);
	TASK_CHECK(close(here), ==, 0);
	for (long n = 1; n < 40; n += 3) { /* memory is refused */
		hilo__mem_fail_at(n, false);
		rc = hilo_path_remove_all(in(&folder, "d"), HILO_FOREVER);
		hilo__mem_fail_at(0, false);
		if (rc < 0)
			TASK_CHECK(rc, ==, -ENOMEM);
	}
	TASK_CHECK(hilo_path_remove_all(folder.path, HILO_FOREVER), ==, 0);
	TASK_CHECK(access(folder.path, F_OK), ==, -1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_are_looked_at_and_changed),
		cmocka_unit_test(test_directories_are_made_and_removed),
		cmocka_unit_test(test_whole_files),
		cmocka_unit_test(test_save_that_fails_leaves_the_file),
		cmocka_unit_test(test_copy_waits_for_no_fifo),
		cmocka_unit_test(test_files_are_copied),
		cmocka_unit_test(test_temporary_names),
		cmocka_unit_test(test_directory_is_read),
		cmocka_unit_test(test_directory_that_is_read_in_no_time),
		cmocka_unit_test(test_walk_goes_everywhere),
		cmocka_unit_test(test_walk_can_be_led),
		cmocka_unit_test(test_walk_and_links),
		cmocka_unit_test(test_walk_in_no_time),
		cmocka_unit_test(test_remove_all_while_others_change_it),
		cmocka_unit_test(test_remove_all_that_is_left_stops),
		cmocka_unit_test(test_remove_all_of_what_cannot_be),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
