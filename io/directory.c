/* SPDX-License-Identifier: MIT */
/* directory.c - a directory, read in batches. See directory_impl.h. */
#include "io/directory_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What the kernel tells at a time: some 1000 entries. */
#define BATCH_SIZE ((size_t)32 * 1024)

enum hilo_kind hilo__kind_of_mode(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return HILO_KIND_FILE;
	case S_IFDIR:
		return HILO_KIND_DIRECTORY;
	case S_IFLNK:
		return HILO_KIND_LINK;
	case S_IFIFO:
		return HILO_KIND_FIFO;
	case S_IFSOCK:
		return HILO_KIND_SOCKET;
	case S_IFBLK:
		return HILO_KIND_BLOCK;
	case S_IFCHR:
		return HILO_KIND_CHARACTER;
	default:
		return HILO_KIND_UNKNOWN;
	}
}

int hilo__dir_open(const char *path, int flags, const void *site, hilo_dir **ret, hilo_time deadline)
{
	hilo_dir *dir = hilo__calloc(1, sizeof(*dir));
	int rc;

	if (!dir)
		return -ENOMEM;
	rc = hilo__file_openat(path, O_RDONLY | O_DIRECTORY | flags, 0, deadline);
	if (rc < 0) {
		hilo__free(dir);
		return rc;
	}
	dir->fd = rc;
	atomic_setup(&dir->claimed, false);
	dir->last = &dir->first;
	if (site)
		debug_opened(&dir->open, hilo__io_runtime(), DEBUG_FOLDER, site);
	*ret = dir;
	return 0;
}

int hilo_dir_open(const char *path, hilo_dir **ret, hilo_time deadline)
{
	int rc = path && ret ? hilo__dir_open(path, 0, __builtin_return_address(0), ret, deadline) : -EINVAL;

	return rc < 0 ? hilo__file_failed(rc, "hilo_dir_open", path ? path : "the path is NULL") : 0;
}

static int read_call(struct file_op *op)
{
	ssize_t n;

	do
		n = hilo__sys_getdents64(op->io.op.fd, op->data, BATCH_SIZE);
	while (n == -EINTR);
	return (int)n;
}

/* [claimed, suspends] One batch more. 1; 0: the end. */
static int batch_more(hilo_dir *dir, hilo_time deadline)
{
	struct file_op *op = dir->reading;
	struct dir_batch *batch;
	int n, rc;

	if (!op) {
		op = hilo__file_op_new(BATCH_SIZE);
		if (!op)
			return -ENOMEM;
		poll_io_init(&op->io, POLL_IO_READ, dir->fd, NULL, 0, NULL);
		op->call = read_call;
		rc = hilo__file_op_start(op, deadline);
		if (rc < 0) {
			hilo__file_op_unref(op);
			return rc;
		}
		dir->reading = op;
	}
	rc = hilo__file_op_wait(op, NULL, deadline);
	if (rc < 0)
		return rc;
	n = op->io.op.result;
	if (n > 0) {
		batch = hilo__malloc(sizeof(*batch) + (size_t)n);
		if (!batch)
			return -ENOMEM; /* the operation still has it */
		*batch = (struct dir_batch){.end = (size_t)n};
		memcpy(batch->data, op->data, (size_t)n);
		*dir->last = batch;
		dir->last = &batch->next;
	}
	dir->reading = NULL;
	hilo__file_op_unref(op);
	dir->at_end = n == 0;
	return n > 0 ? 1 : n;
}

/* [claimed] The next entry that is there. False: there is none in the batches. */
static bool entry_next(hilo_dir *dir, hilo_dir_entry *ret)
{
	struct dir_batch *batch;

	while ((batch = dir->first)) {
		const struct dirent_raw *raw = (const void *)(batch->data + batch->at);

		if (batch->at >= batch->end) {
			dir->first = batch->next;
			if (!dir->first)
				dir->last = &dir->first;
			hilo__free(batch);
			continue;
		}
		batch->at += raw->length;
		if (dirent_is_dots(raw))
			continue;
		ret->name = raw->name;
		ret->inode = raw->inode;
		ret->kind = hilo__kind_of_mode((unsigned)raw->kind << 12); /* DTTOIF */
		return true;
	}
	return false;
}

int hilo__dir_read(hilo_dir *dir, hilo_dir_entry *ret, hilo_time deadline)
{
	int rc = 1;

	while (!entry_next(dir, ret)) {
		rc = dir->at_end || dir->fd < 0 ? 0 : batch_more(dir, deadline);
		if (rc <= 0)
			return rc;
	}
	return 1;
}

int hilo__dir_drain(hilo_dir *dir, hilo_time deadline)
{
	int rc = 1;

	while (rc > 0 && dir->fd >= 0 && !dir->at_end)
		rc = batch_more(dir, deadline);
	if (rc < 0)
		return rc;
	if (dir->fd >= 0)
		(void)hilo__sys_close(dir->fd);
	dir->fd = -1;
	return 0;
}

/* [claimed] */
static int read_checked(hilo_dir *dir, hilo_dir_entry *ret, hilo_time deadline)
{
	int rc = ret ? hilo__dir_read(dir, ret, deadline) : -EINVAL;

	return rc < 0 ? hilo__file_failed(rc, "hilo_dir_read", ret ? "a directory" : "ret is NULL") : rc;
}

int hilo_dir_read(hilo_dir *dir, hilo_dir_entry *ret, hilo_time deadline)
{
	bool no = false;
	int rc;

	if (!dir)
		return hilo_fail(-EINVAL, "hilo_dir_read: dir is NULL");
	if (!cas_acquire(&dir->claimed, &no, true)) /* P1 */
		return hilo_fail(-EBUSY, "hilo_dir_read: somebody else reads it");
	rc = read_checked(dir, ret, deadline);
	store_release(&dir->claimed, false); /* P1 */
	return rc;
}

static void reading_drop(struct file_op *op)
{
	(void)hilo__sys_close(op->io.op.fd);
}

void hilo__dir_free(hilo_dir *dir)
{
	struct dir_batch *batch;

	while ((batch = dir->first)) {
		dir->first = batch->next;
		hilo__free(batch);
	}
	debug_ended(&dir->open);
	if (dir->reading) {
		dir->reading->drop = reading_drop; /* it goes with the last reference, when nobody reads it */
		hilo__file_op_unref(dir->reading);
	} else if (dir->fd >= 0) {
		(void)hilo__sys_close(dir->fd);
	}
	hilo__free(dir);
}

int hilo_dir_close(hilo_dir *dir)
{
	bool no = false;

	if (!dir)
		return 0;
	if (!cas_acquire(&dir->claimed, &no, true)) /* P1 */
		return hilo_fail(-EBUSY, "hilo_dir_close: somebody reads it");
	hilo__dir_free(dir);
	return 0;
}
