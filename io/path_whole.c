/* SPDX-License-Identifier: MIT */
/*
 * path_whole.c - whole files: read, replaced, copied; and names that nobody has.
 *
 * To replace a file takes five calls or more, and must not end in the middle. So it is one operation: a thread makes
 * them all, whoever waits for it or has left.
 */
#include "io/path_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/random.h"
#include "scheduler/base/sys.h"

/* So much is copied before it is looked whether anybody still waits. */
#define COPY_PIECE ((size_t)8 * 1024 * 1024)
#define COPY_BUFFER ((size_t)128 * 1024)
/* Names that are tried before it is said that none is free. */
#define TRIES 100

void hilo__path_letters(char *at, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	static atomic(uint64_t) count;
	uint64_t bits = 0;

	if (hilo__sys_getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		bits = random_mix(hilo__random_seed() + (uint64_t)hilo_now() +
				  add_relaxed(&count, 1)); /* relaxed: a number */
	for (; n; n--, bits >>= 5)
		*at++ = letters[bits & 31];
}

/* [thread] All of @size bytes. */
static int write_whole(int fd, const char *data, size_t size)
{
	ssize_t n;

	for (; size; data += n, size -= (size_t)n) {
		n = hilo__sys_write(fd, data, size);
		if (n == -EINTR)
			n = 0;
		else if (n <= 0)
			return n < 0 ? (int)n : -EIO;
	}
	return 0;
}

/* [thread] A new file beside @path, whose name goes to @ret of FILE_PATH_MAX + 32 bytes. */
static int beside_make(const char *path, unsigned mode, char *ret)
{
	const char *name = strrchr(path, '/');
	int folder = name ? (int)(name + 1 - path) : 0, rc = -EEXIST, length;

	for (int i = 0; i < TRIES && rc == -EEXIST; i++) {
		length = snprintf(ret, FILE_PATH_MAX + 32, "%.*s.hilo-", folder, path);
		hilo__path_letters(ret + length, PATH_LETTERS);
		ret[length + PATH_LETTERS] = '\0';
		PATH_RETRY(rc, hilo__sys_openat(AT_FDCWD, ret,
						O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
	}
	return rc;
}

/*
 * [thread] The directory of @path, to be synced. -EACCES: it may be written, not read, and cannot be. Before anything
 * is written: without a descriptor nothing is to be changed.
 */
static int folder_open(char *path)
{
	char *slash = strrchr(path, '/'), *end = slash ? slash + (slash == path) : NULL,
	     was = end ? *end : '\0';
	int fd;

	if (end)
		*end = '\0';
	PATH_RETRY(fd, hilo__sys_openat(AT_FDCWD, end ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
	if (end)
		*end = was;
	return fd;
}

/* [thread] The name is where a crash does not reach it; where a directory cannot be synced there is nothing to do. */
static int folder_sync(int fd)
{
	int rc;

	PATH_RETRY(rc, hilo__sys_fsync(fd));
	return rc == -EINVAL || rc == -EBADF ? 0 : rc;
}

/* [thread] Replace the file. */
static int save_file(struct file_op *op)
{
	struct path_call *own = path_call_of(op);
	int fd = beside_make(own->path, own->mode, own->ret), rc, closed;

	if (fd < 0)
		return fd;
	rc = write_whole(fd, own->other, own->size);
	if (rc == 0)
		PATH_RETRY(rc, hilo__sys_fsync(fd));
	closed = hilo__sys_close(fd);
	if (rc == 0 && closed < 0 && closed != -EINTR)
		rc = closed;
	if (rc == 0 && hilo__file_op_is_left(op))
		rc = -ECANCELED;
	if (rc == 0)
		PATH_RETRY(rc, hilo__sys_renameat2(AT_FDCWD, own->ret, AT_FDCWD, own->path, 0));
	if (rc < 0)
		(void)hilo__sys_unlinkat(AT_FDCWD, own->ret, 0);
	return rc;
}

static int save_call(struct file_op *op)
{
	int folder = folder_open((char *)(uintptr_t)path_call_of(op)->path), rc;

	if (folder < 0 && folder != -EACCES)
		return folder;
	rc = save_file(op);
	if (folder < 0)
		return rc;
	if (rc == 0)
		rc = folder_sync(folder);
	(void)hilo__sys_close(folder);
	return rc;
}

int hilo_path_save(const char *path, const void *data, size_t size, unsigned mode, hilo_time deadline)
{
	bool wrong = (!data && size) || size > SSIZE_MAX / 2 || mode & ~07777u;
	struct file_op *op = NULL;
	int rc = wrong ? -EINVAL
		       : hilo__path_op(save_call, path, data ? data : "", size, FILE_PATH_MAX + 32, &op);

	if (rc == 0) {
		path_call_of(op)->mode = mode ? mode : 0666;
		rc = hilo__file_op_run(op, NULL, deadline);
	}
	hilo__file_op_unref(op);
	return rc < 0 ? hilo__file_failed(rc, "hilo_path_save", path ? path : "the path is NULL") : 0;
}

ssize_t hilo_path_load(const char *path, size_t limit, char **ret, hilo_time deadline)
{
	hilo_file_opts opts = {.size = sizeof(opts), .buffer = HILO_FILE_UNBUFFERED};
	hilo_file *file;
	ssize_t n;
	int rc;

	if (!path || !ret)
		return hilo_fail(-EINVAL, "hilo_path_load: %s is NULL", path ? "ret" : "path");
	rc = hilo_file_open(path, "r", &opts, &file, deadline);
	if (rc < 0)
		return rc;
	n = hilo_file_read_all(file, limit, ret, deadline);
	(void)hilo_file_close(file, HILO_NO_WAIT); /* it was only read: nothing is lost, nothing waits */
	if (n == -EMSGSIZE)
		return hilo_fail(-EMSGSIZE, "hilo_path_load: %s: more than %zu bytes", path, limit);
	return n;
}

/* [thread] As read and write, where there is no call for both. */
static int copy_by_hand(int from, int to, int64_t *count, const struct file_op *op)
{
	char *buffer = hilo__malloc(COPY_BUFFER);
	ssize_t n = buffer ? 1 : -ENOMEM;

	while (n > 0) {
		PATH_RETRY(n, hilo__sys_read(from, buffer, COPY_BUFFER));
		if (n > 0) {
			int rc = write_whole(to, buffer, (size_t)n);

			*count += rc == 0 ? n : 0;
			n = rc < 0 ? rc : hilo__file_op_is_left(op) ? -ECANCELED : n;
		}
	}
	hilo__free(buffer);
	return (int)n;
}

/* [thread] What the kernel cannot copy by itself: between file systems; a file of /proc, which says it is empty. */
static bool by_hand(ssize_t n, int64_t count)
{
	return count == 0 && (n == 0 || n == -EXDEV || n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP ||
			      n == -EPERM || n == -EIO || n == -EBADF);
}

static int copy_bytes(int from, int to, int64_t *count, const struct file_op *op)
{
	ssize_t n;

	do {
		PATH_RETRY(n, hilo__sys_copy_file_range(from, to, COPY_PIECE));
		*count += n > 0 ? n : 0;
		if (n > 0 && hilo__file_op_is_left(op))
			n = -ECANCELED;
	} while (n > 0);
	return by_hand(n, *count) ? copy_by_hand(from, to, count, op) : (int)n;
}

/* [thread] Open @path without waiting for anybody, as the other end of a FIFO, or a line; a lease is waited for. */
static int copy_openat(const char *path, int flags, mode_t mode)
{
	int fd;

	flags |= O_CLOEXEC | O_NOCTTY;
	PATH_RETRY(fd, hilo__sys_openat(AT_FDCWD, path, flags | O_NONBLOCK, mode));
	if (fd == -EAGAIN)
		PATH_RETRY(fd, hilo__sys_openat(AT_FDCWD, path, flags, mode));
	return fd;
}

/* [thread] Only a regular file has an end, and needs no waiting for. -EINVAL, with @why for the message. */
static int copy_refuse(struct path_call *own, const char *why)
{
	own->why = why;
	return -EINVAL;
}

/* [thread] The file that is to be like @from, which is @found. */
static int copy_open(struct path_call *own, const struct statx *found)
{
	int flags = O_WRONLY | O_CREAT, fd, rc;
	struct statx other;

	flags |= own->flags & HILO_COPY_NO_REPLACE ? O_EXCL : 0;
	fd = copy_openat(own->other, flags, found->stx_mode & 0777u);
	if (fd == -ENXIO) /* a FIFO that nobody reads, a socket */
		return copy_refuse(own, "the file to be overwritten is no regular one");
	if (fd < 0)
		return fd;
	rc = hilo__sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &other);
	if (rc == 0 && !S_ISREG(other.stx_mode))
		rc = copy_refuse(own, "the file to be overwritten is no regular one");
	if (rc == 0 && other.stx_ino == found->stx_ino && other.stx_dev_major == found->stx_dev_major &&
	    other.stx_dev_minor == found->stx_dev_minor)
		rc = copy_refuse(own, "they are the same file");
	if (rc == 0 && other.stx_size)
		PATH_RETRY(rc, hilo__sys_ftruncate(fd, 0));
	if (rc < 0) {
		(void)hilo__sys_close(fd);
		return rc;
	}
	return fd;
}

static int copy_call(struct file_op *op)
{
	struct path_call *own = path_call_of(op);
	struct statx found;
	int from = copy_openat(own->path, O_RDONLY, 0), to, rc, closed;

	if (from < 0)
		return from;
	rc = hilo__sys_statx(from, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found);
	if (rc == 0 && S_ISDIR(found.stx_mode))
		rc = -EISDIR;
	else if (rc == 0 && !S_ISREG(found.stx_mode))
		rc = copy_refuse(own, "no regular file");
	to = rc == 0 ? copy_open(own, &found) : rc;
	if (to >= 0) {
		rc = copy_bytes(from, to, &own->count, op);
		closed = hilo__sys_close(to);
		rc = rc == 0 && closed < 0 && closed != -EINTR ? closed : rc;
	}
	(void)hilo__sys_close(from);
	return to < 0 ? to : rc;
}

int64_t hilo_path_copy(const char *from, const char *to, unsigned flags, hilo_time deadline)
{
	struct file_op *op = NULL;
	int rc = flags & ~HILO_COPY_NO_REPLACE ? -EINVAL : hilo__path_check(to);
	const char *why = NULL;
	int64_t count = 0;

	if (rc == 0)
		rc = hilo__path_op(copy_call, from, to, strlen(to), 0, &op);
	if (rc == 0) {
		path_call_of(op)->flags = flags;
		rc = hilo__file_op_run(op, NULL, deadline);
	}
	if (rc >= 0)
		count = path_call_of(op)->count;
	else if (rc == -EINVAL && op)
		why = path_call_of(op)->why;
	hilo__file_op_unref(op);
	if (why)
		return hilo_fail(rc, "hilo_path_copy: %s to %s: %s", from, to, why);
	return rc < 0 ? hilo__file_failed(rc, "hilo_path_copy", from ? from : "the path is NULL") : count;
}

/* [thread] A new file or directory whose name begins with what is in own->ret, of own->size bytes. */
static int temp_call(struct file_op *op)
{
	struct path_call *own = path_call_of(op);
	char *letters = own->ret + own->size;
	int rc = -EEXIST;

	letters[PATH_LETTERS] = '\0';
	for (int i = 0; i < TRIES && rc == -EEXIST; i++) {
		hilo__path_letters(letters, PATH_LETTERS);
		if (own->flags)
			PATH_RETRY(rc, hilo__sys_openat(AT_FDCWD, own->ret, (int)own->flags, 0600));
		else
			PATH_RETRY(rc, hilo__sys_mkdirat(AT_FDCWD, own->ret, 0700));
	}
	return rc;
}

/* Nobody has taken it: it goes again. */
static void temp_drop(struct file_op *op)
{
	struct path_call *own = path_call_of(op);

	if (op->io.op.result < 0)
		return;
	if (own->flags)
		(void)hilo__sys_close(op->io.op.result);
	(void)hilo__sys_unlinkat(AT_FDCWD, own->ret, own->flags ? 0 : AT_REMOVEDIR);
}

/* [any, suspends] As temp_call; its path to @ret of @size bytes. */
static int temp_make(const char *prefix, int flags, char *ret, size_t size, hilo_time deadline)
{
	const char *folder = prefix ? "" : getenv("TMPDIR");
	char own_prefix[FILE_PATH_MAX];
	struct file_op *op;
	int length, rc;

	if (!folder || (!*folder && !prefix))
		folder = "/tmp";
	length = snprintf(own_prefix, sizeof(own_prefix), "%s%s%s", folder, prefix ? "" : "/",
			  prefix ? prefix : "hilo-");
	if (length + PATH_LETTERS >= FILE_PATH_MAX)
		return -ENAMETOOLONG;
	if (!ret || (size_t)length + PATH_LETTERS >= size)
		return ret ? -EMSGSIZE : -EINVAL;
	rc = hilo__path_op(temp_call, own_prefix, NULL, 0, (size_t)length + PATH_LETTERS + 1, &op);
	if (rc < 0)
		return rc;
	path_call_of(op)->size = (size_t)length;
	path_call_of(op)->flags = (unsigned)flags;
	memcpy(path_call_of(op)->ret, own_prefix, (size_t)length);
	op->drop = temp_drop;
	rc = hilo__file_op_run(op, NULL, deadline);
	if (rc >= 0)
		memcpy(ret, path_call_of(op)->ret, (size_t)length + PATH_LETTERS + 1);
	hilo__file_op_unref(op);
	return rc;
}

int hilo_path_temp_folder(const char *prefix, char *ret, size_t size, hilo_time deadline)
{
	int rc = temp_make(prefix, 0, ret, size, deadline);

	return rc < 0 ? hilo__file_failed(rc, "hilo_path_temp_folder", prefix ? prefix : "a new name") : 0;
}

int hilo_path_temp_file(const char *prefix, char *ret, size_t size, hilo_file **file, hilo_time deadline)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = file ? temp_make(prefix, flags, ret, size, deadline) : -EINVAL, rc;

	if (fd < 0)
		return hilo__file_failed(fd, "hilo_path_temp_file", prefix ? prefix : "a new name");
	rc = hilo__file_new(fd, flags, FILE_BUFFER, true, __builtin_return_address(0), file);
	if (rc < 0) {
		(void)hilo__sys_close(fd);
		(void)hilo__sys_unlinkat(AT_FDCWD, ret, 0); /* made a moment ago: no disk */
	}
	return rc;
}
