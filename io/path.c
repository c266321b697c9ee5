/* SPDX-License-Identifier: MIT */
/* path.c - the system's calls that take a path, each as one operation. */
#include "io/path_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "io/stat_impl.h"
#include "scheduler/base/sys.h"

int hilo__path_check(const char *path)
{
	if (!path)
		return -EINVAL;
	return strlen(path) < FILE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* What was to be done with @path has failed with @rc, if it has. */
static int path_done(int rc, const char *call, const char *path)
{
	return rc < 0 ? hilo__file_failed(rc, call, path ? path : "the path is NULL") : rc;
}

int hilo__path_op(int (*call)(struct file_op *op), const char *path, const char *other, size_t size,
		  size_t room, struct file_op **ret)
{
	int rc = hilo__path_check(path);
	struct path_call *own;
	struct file_op *op;
	size_t length;

	if (rc < 0)
		return rc;
	length = strlen(path) + 1;
	op = hilo__file_op_new(sizeof(*own) + length + size + 1 + room);
	if (!op)
		return -ENOMEM;
	own = path_call_of(op);
	memset(own, 0, sizeof(*own));
	own->path = memcpy(op->data + sizeof(*own), path, length);
	own->ret = op->data + sizeof(*own) + length + size + 1;
	own->room = room;
	own->size = size;
	if (other) {
		own->other = memcpy(op->data + sizeof(*own) + length, other, size);
		own->ret[-1] = '\0';
	}
	poll_io_init(&op->io, POLL_IO_STATX, AT_FDCWD, NULL, 0, NULL);
	op->io.op.result = -1;
	op->call = call;
	*ret = op;
	return 0;
}

/* [any, suspends] The call of @kind that takes a path, and maybe another one. */
static int path_io(enum poll_io_kind kind, const char *path, const char *other, size_t mode, unsigned flags,
		   hilo_time deadline)
{
	int rc = other ? hilo__path_check(other) : 0;
	struct file_op *op;
	struct path_call *own;

	if (rc == 0)
		rc = hilo__path_op(NULL, path, other, other ? strlen(other) : 0, 0, &op);
	if (rc < 0)
		return rc;
	own = path_call_of(op);
	poll_io_init(&op->io, kind, AT_FDCWD, (void *)(uintptr_t)own->path, mode, NULL);
	op->io.flags = flags;
	op->io.offset = AT_FDCWD; /* of the other one */
	op->io.more = (void *)(uintptr_t)own->other;
	rc = hilo__file_op_run(op, NULL, deadline);
	hilo__file_op_unref(op);
	return rc;
}

/* [any, suspends] A call that a thread makes. */
static int path_call(int (*call)(struct file_op *op), const char *path, const char *other, unsigned mode,
		     hilo_time deadline)
{
	int rc = other ? hilo__path_check(other) : 0;
	struct file_op *op;

	if (rc == 0)
		rc = hilo__path_op(call, path, other, other ? strlen(other) : 0, 0, &op);
	if (rc < 0)
		return rc;
	path_call_of(op)->mode = mode;
	rc = hilo__file_op_run(op, NULL, deadline);
	hilo__file_op_unref(op);
	return rc;
}

static int path_stat(const char *path, int flags, struct stat *ret, hilo_time deadline)
{
	int rc = hilo__path_check(path);

	if (rc == 0 && !ret)
		rc = -EINVAL;
	return rc < 0 ? rc : hilo__stat(AT_FDCWD, path, flags, NULL, ret, deadline);
}

int hilo_path_stat(const char *path, struct stat *ret, hilo_time deadline)
{
	return path_done(path_stat(path, 0, ret, deadline), "hilo_path_stat", path);
}

int hilo_path_lstat(const char *path, struct stat *ret, hilo_time deadline)
{
	return path_done(path_stat(path, AT_SYMLINK_NOFOLLOW, ret, deadline), "hilo_path_lstat", path);
}

int hilo_path_exists(const char *path, hilo_time deadline)
{
	struct stat stat;
	int rc = path_stat(path, AT_SYMLINK_NOFOLLOW, &stat, deadline);

	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	return rc < 0 ? path_done(rc, "hilo_path_exists", path) : 1;
}

static int access_call(struct file_op *op)
{
	const struct path_call *own = path_call_of(op);

	return hilo__sys_faccessat(AT_FDCWD, own->path, (int)own->mode);
}

int hilo_path_access(const char *path, int mode, hilo_time deadline)
{
	return path_done(path_call(access_call, path, NULL, (unsigned)mode, deadline), "hilo_path_access",
			 path);
}

int hilo_path_rename(const char *from, const char *to, unsigned flags, hilo_time deadline)
{
	int rc = flags & ~HILO_RENAME_NO_REPLACE || !to ? -EINVAL
							: path_io(POLL_IO_RENAMEAT, from, to, 0, flags,
								  deadline); /* RENAME_NOREPLACE is 1 */

	return path_done(rc, "hilo_path_rename", from);
}

int hilo_path_unlink(const char *path, hilo_time deadline)
{
	return path_done(path_io(POLL_IO_UNLINKAT, path, NULL, 0, 0, deadline), "hilo_path_unlink", path);
}

int hilo_path_rmdir(const char *path, hilo_time deadline)
{
	return path_done(path_io(POLL_IO_UNLINKAT, path, NULL, 0, AT_REMOVEDIR, deadline), "hilo_path_rmdir",
			 path);
}

int hilo_path_mkdir(const char *path, unsigned mode, hilo_time deadline)
{
	return path_done(path_io(POLL_IO_MKDIRAT, path, NULL, mode, 0, deadline), "hilo_path_mkdir", path);
}

static int link_call(struct file_op *op)
{
	const struct path_call *own = path_call_of(op);

	return hilo__sys_linkat(AT_FDCWD, own->other, AT_FDCWD, own->path);
}

int hilo_path_link(const char *from, const char *path, hilo_time deadline)
{
	int rc = from ? path_call(link_call, path, from, 0, deadline) : -EINVAL;

	return path_done(rc, "hilo_path_link", path);
}

static int symlink_call(struct file_op *op)
{
	const struct path_call *own = path_call_of(op);

	return hilo__sys_symlinkat(own->other, AT_FDCWD, own->path);
}

int hilo_path_symlink(const char *target, const char *path, hilo_time deadline)
{
	int rc = target ? path_call(symlink_call, path, target, 0, deadline) : -EINVAL;

	return path_done(rc, "hilo_path_symlink", path);
}

static int chmod_call(struct file_op *op)
{
	const struct path_call *own = path_call_of(op);

	return hilo__sys_fchmodat(AT_FDCWD, own->path, own->mode);
}

int hilo_path_chmod(const char *path, unsigned mode, hilo_time deadline)
{
	return path_done(path_call(chmod_call, path, NULL, mode, deadline), "hilo_path_chmod", path);
}

static int readlink_call(struct file_op *op)
{
	struct path_call *own = path_call_of(op);

	return (int)hilo__sys_readlinkat(AT_FDCWD, own->path, own->ret, own->room);
}

ssize_t hilo_path_readlink(const char *path, char *buf, size_t size, hilo_time deadline)
{
	struct file_op *op = NULL;
	int rc = buf && size ? hilo__path_op(readlink_call, path, NULL, 0, FILE_PATH_MAX, &op) : -EINVAL;

	if (rc == 0)
		rc = hilo__file_op_run(op, NULL, deadline);
	if (rc >= 0 && (size_t)rc >= size)
		rc = -EMSGSIZE;
	if (rc >= 0) {
		memcpy(buf, path_call_of(op)->ret, (size_t)rc);
		buf[rc] = '\0';
	}
	hilo__file_op_unref(op);
	return path_done(rc, "hilo_path_readlink", path);
}

/* [thread] Make what is named up to @end; what is there counts if it is a directory. */
static int mkdirs_one(char *path, char *end, unsigned mode)
{
	char after = *end;
	struct statx found;
	int rc;

	*end = '\0';
	PATH_RETRY(rc, hilo__sys_mkdirat(AT_FDCWD, path, mode));
	if (rc == -EEXIST) {
		rc = hilo__sys_statx(AT_FDCWD, path, 0, STATX_TYPE, &found);
		if (rc == 0)
			rc = S_ISDIR(found.stx_mode) ? 0 : -ENOTDIR;
	}
	*end = after;
	return rc;
}

/* [thread] From the last part backwards to the first that is there, or can be made, and forwards again. */
static int mkdirs_call(struct file_op *op)
{
	const struct path_call *own = path_call_of(op);
	char *path = (char *)(uintptr_t)own->path, *end = path + strlen(path), *at;
	int rc;

	while (end > path + 1 && end[-1] == '/')
		*--end = '\0';
	rc = mkdirs_one(path, end, own->mode);
	for (at = end; rc == -ENOENT;) {
		while (at > path && at[-1] != '/')
			at--;
		while (at > path + 1 && at[-1] == '/')
			at--;
		if (at == path || (at == path + 1 && *path == '/'))
			return rc;
		rc = mkdirs_one(path, at, own->mode);
	}
	while (rc == 0 && at < end) {
		while (*at == '/')
			at++;
		while (*at && *at != '/')
			at++;
		rc = mkdirs_one(path, at, own->mode);
	}
	return rc;
}

int hilo_path_mkdirs(const char *path, unsigned mode, hilo_time deadline)
{
	return path_done(path_call(mkdirs_call, path, NULL, mode, deadline), "hilo_path_mkdirs", path);
}
