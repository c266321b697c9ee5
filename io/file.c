/* SPDX-License-Identifier: MIT */
/* file.c - calls on files that name their own place, and those on the file as a whole. See file_impl.h. */
#include "io/file_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <limits.h>
#include <sys/sysmacros.h>

#include "io/descriptor_impl.h"
#include "io/sock_impl.h"
#include "io/stat_impl.h"
#include "runtime/contend_impl.h"
#include "scheduler/base/sys.h"

/* The most pieces that the system takes. */
#define PIECES_MAX 1024
/* A plain thread that waits for a descriptor looks so often whether the file is being closed. */
#define CLOSING_LOOK (100 * HILO_MILLISECOND)

enum file_kind hilo__file_kind(hilo_file *file)
{
	enum file_kind kind = load_relaxed(&file->kind); /* relaxed: whoever finds it out finds the same */

	if (kind == FILE_UNKNOWN) {
		kind = hilo__sys_lseek(file->fd, 0, SEEK_CUR) == -ESPIPE ? FILE_WAITS : FILE_DIRECT;
		store_relaxed(&file->kind, kind); /* relaxed: as above */
	}
	return kind;
}

/*
 * [caller] @op may have to wait for the disk, and no ring may have it while the open file says O_NONBLOCK. Who shares
 * that with others leaves it as it is.
 */
static void op_direct(hilo_file *file, struct file_op *op)
{
	/* A ring would give it to a thread of its own, of which it has fewer: files.md has the figures. */
	if (op->io.op.kind != POLL_IO_READ)
		op->by_thread = true;
	if (HILO__LIKELY(!load_relaxed(&file->nonblocking))) /* relaxed: the kernel orders it */
		return;
	if (file->ours && hilo__sock_set_nonblocking(file->fd, false) >= 0)
		store_relaxed(&file->nonblocking, false); /* relaxed: as above */
	else
		op->by_thread = true;
}

/* [caller] @op reads or writes what has no positions. */
static void op_waits(hilo_file *file, struct file_op *op)
{
	bool blocks = !load_relaxed(&file->nonblocking); /* relaxed: it does not change for these */

	op->polls = true;
	op->io.offset = -1;
	if (!blocks || (thread_self()->loop && hilo__io_is_ring(hilo__io_runtime())))
		return;
	/* What blocks is waited for before, and takes so much then. */
	op->io.op.flags |= POLL_LATER;
	if (op->io.op.kind == POLL_IO_WRITE && op->io.length > PIPE_BUF)
		op->io.length = PIPE_BUF;
}

static void op_init(hilo_file *file, struct file_op *op, enum poll_io_kind kind, void *data, size_t size,
		    int64_t offset)
{
	poll_io_init(&op->io, kind, file->fd, data, size, NULL);
	op->io.offset = offset;
	op->file = completion_is_done(&file->alone) ? NULL : file; /* else its owner has it for himself */
	if (hilo__file_kind(file) == FILE_WAITS)
		op_waits(file, op);
	else
		op_direct(file, op);
}

void hilo__file_write_init(hilo_file *file, struct file_op *op, void *data, size_t size, int64_t offset)
{
	op_init(file, op, POLL_IO_WRITE, data, size, offset);
}

/* [caller, plain thread] Wait until @event, the deadline, or the close, which nothing else would tell it of. */
static int thread_wait(const hilo_file *file, unsigned event, hilo_time deadline)
{
	bool alone = completion_is_done(&file->alone); /* it is who closes */
	hilo_time until;
	int rc;

	do {
		if (!alone && completion_is_done(&file->closing)) /* P2 */
			return HILO_ECLOSED;
		until = alone ? deadline : hilo_after(CLOSING_LOOK);
		until = until < deadline ? until : deadline;
		rc = hilo_fd_wait(file->fd, event, until);
	} while (rc == -ETIMEDOUT && until != deadline);
	return rc == -EPERM ? 0 : rc; /* epoll knows nothing of it; poll does */
}

ssize_t hilo__file_wait_thread(hilo_file *file, struct poll_io *io, hilo_time deadline)
{
	bool write = io->op.kind == POLL_IO_WRITE;
	struct descriptor_quiet quiet;
	int rc;

	io->offset = -1;
	do {
		rc = thread_wait(file, hilo__poll_io_event(io), deadline);
		if (rc < 0)
			break;
		if (write)
			hilo__descriptor_quiet(&quiet);
		rc = hilo__poll_io_call(io);
		if (write)
			hilo__descriptor_quiet_end(&quiet);
	} while (rc == -EAGAIN);
	return rc;
}

/* From one run of bytes into pieces, or the other way round. */
static void pieces_copy(const struct iovec *pieces, int n, char *bytes, size_t size, bool out)
{
	for (int i = 0; i < n && size; i++) {
		size_t part = pieces[i].iov_len < size ? pieces[i].iov_len : size;

		if (out)
			memcpy(pieces[i].iov_base, bytes, part);
		else
			memcpy(bytes, pieces[i].iov_base, part);
		bytes += part;
		size -= part;
	}
}

/* [caller, suspends] Read by an operation, into its own memory. */
static ssize_t read_wait(hilo_file *file, const struct iovec *pieces, int n, size_t size, int64_t offset,
			 hilo_time deadline)
{
	struct file_op *op;
	ssize_t rc;

	size = size < FILE_PIECE ? size : FILE_PIECE;
	op = hilo__file_op_new(size);
	if (!op)
		return -ENOMEM;
	op_init(file, op, POLL_IO_READ, op->data, size, offset);
	if (op->polls && !thread_self()->loop)
		rc = hilo__file_wait_thread(file, &op->io, deadline);
	else
		rc = hilo__file_op_run(op, op->file, deadline);
	if (rc > 0)
		pieces_copy(pieces, n, op->data, (size_t)rc, true);
	hilo__file_op_unref(op);
	return rc;
}

/* [caller] What the kernel has in memory. -EAGAIN: it has not, or does not tell. */
static ssize_t read_at_once(hilo_file *file, const struct iovec *pieces, int n, int64_t offset)
{
	ssize_t rc = hilo__sys_preadv2(file->fd, pieces, n, offset, RWF_NOWAIT);

	switch (rc) {
	case -ESPIPE:
		store_relaxed(&file->kind, FILE_WAITS); /* relaxed: whoever finds it out finds the same */
		return -EAGAIN;
	case -EOPNOTSUPP:
		store_relaxed(&file->not_at_once, true); /* relaxed: a hint */
		return -EAGAIN;
	case -EINTR:
		return -EAGAIN;
	default:
		return rc;
	}
}

ssize_t hilo__file_read_at(hilo_file *file, const struct iovec *pieces, int n, size_t size, int64_t offset,
			   hilo_time deadline)
{
	struct thread *self = thread_self();
	ssize_t rc = -EAGAIN;

	if (contend_is_interrupted(self))
		return -ECANCELED;
	if (!self->loop && deadline == HILO_FOREVER && hilo__file_kind(file) == FILE_DIRECT) {
		do
			rc = hilo__sys_preadv2(file->fd, pieces, n, offset, 0);
		while (rc == -EINTR);
		hilo__file_count(FILE_THREAD);
		return rc;
	}
	/* relaxed: hints */
	if (!load_relaxed(&file->not_at_once) && load_relaxed(&file->kind) != FILE_WAITS)
		rc = read_at_once(file, pieces, n, offset);
	if (rc == -EAGAIN)
		return read_wait(file, pieces, n, size, offset, deadline);
	hilo__file_count(FILE_AT_ONCE_WAY);
	if (deadline > 0)
		contend_was_free(self);
	return rc;
}

static ssize_t write_at(hilo_file *file, const struct iovec *pieces, int n, size_t size, int64_t offset,
			hilo_time deadline)
{
	struct file_op *op;
	ssize_t rc;

	size = size < FILE_PIECE ? size : FILE_PIECE;
	op = hilo__file_op_new(size);
	if (!op)
		return -ENOMEM;
	pieces_copy(pieces, n, op->data, size, false);
	op_init(file, op, POLL_IO_WRITE, op->data, size, offset);
	rc = hilo__file_op_run(op, file, deadline);
	hilo__file_op_unref(op);
	return rc;
}

/* The pieces from byte @done on, up to @most bytes: into @ret, of room for @room. How many pieces; *@size bytes. */
static int pieces_from(const struct iovec *pieces, int n, size_t done, size_t most, struct iovec *ret,
		       int room, size_t *size)
{
	int count = 0;

	*size = 0;
	for (int i = 0; i < n && count < room && *size < most; i++) {
		size_t part = pieces[i].iov_len;

		if (done >= part) {
			done -= part;
			continue;
		}
		part -= done;
		part = part < most - *size ? part : most - *size;
		ret[count].iov_base = (char *)pieces[i].iov_base + done;
		ret[count++].iov_len = part;
		*size += part;
		done = 0;
	}
	return count;
}

/* Bytes of @pieces. -EINVAL. */
static ssize_t pieces_size(const struct iovec *pieces, int n)
{
	size_t all = 0;

	if (n < 0 || n > PIECES_MAX || (!pieces && n))
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (pieces[i].iov_len > SSIZE_MAX - all || (!pieces[i].iov_base && pieces[i].iov_len))
			return -EINVAL;
		all += pieces[i].iov_len;
	}
	return (ssize_t)all;
}

/* Pieces that are looked at at a time. */
#define PIECES_AT_ONCE 16

struct transfer {
	const char *call;
	const struct iovec *pieces;
	int n;
	int64_t offset;
	bool write;
};

/* [caller, suspends] Piece by piece. */
static ssize_t transfer_run(hilo_file *file, const struct transfer *t, size_t all, hilo_time deadline)
{
	struct iovec part[PIECES_AT_ONCE];
	size_t done = 0, size, most = t->write ? FILE_PIECE : FILE_AT_ONCE;
	ssize_t rc = 0;

	do {
		int n = pieces_from(t->pieces, t->n, done, most, part, PIECES_AT_ONCE, &size);
		int64_t offset = t->offset + (int64_t)done;

		rc = t->write ? write_at(file, part, n, size, offset, deadline)
			      : hilo__file_read_at(file, part, n, size, offset, deadline);
		done += rc > 0 ? (size_t)rc : 0;
	} while (rc > 0 && done < all);
	return done ? (ssize_t)done : rc;
}

static ssize_t transfer(hilo_file *file, const struct transfer *t, hilo_time deadline)
{
	ssize_t size = pieces_size(t->pieces, t->n), rc = hilo__file_enter(file, t->call);

	if (rc < 0)
		return rc;
	if (size < 0 || t->offset < 0 || t->offset > INT64_MAX - size)
		rc = hilo_fail(-EINVAL, "%s: offset is %lld, %d pieces", t->call, (long long)t->offset, t->n);
	else if (!(t->write ? file->can_write : file->can_read))
		rc = hilo_fail(-EBADF, "%s: the file is not open to %s", t->call,
			       t->write ? "write" : "read");
	else if (hilo__file_kind(file) == FILE_WAITS)
		rc = hilo_fail(-ESPIPE, "%s: it has no positions", t->call);
	else if (size == 0)
		rc = 0;
	else {
		rc = transfer_run(file, t, (size_t)size, deadline);
		if (rc < 0)
			rc = hilo__file_failed((int)rc, t->call, "a file");
	}
	return hilo__file_leave(file, rc);
}

ssize_t hilo_file_preadv(hilo_file *file, const struct iovec *pieces, int n, int64_t offset,
			 hilo_time deadline)
{
	struct transfer t = {"hilo_file_preadv", pieces, n, offset, false};

	return transfer(file, &t, deadline);
}

ssize_t hilo_file_pread(hilo_file *file, void *buf, size_t size, int64_t offset, hilo_time deadline)
{
	struct iovec piece = {buf, size};
	struct transfer t = {"hilo_file_pread", &piece, 1, offset, false};

	return transfer(file, &t, deadline);
}

ssize_t hilo_file_pwritev(hilo_file *file, const struct iovec *pieces, int n, int64_t offset,
			  hilo_time deadline)
{
	struct transfer t = {"hilo_file_pwritev", pieces, n, offset, true};

	return transfer(file, &t, deadline);
}

ssize_t hilo_file_pwrite(hilo_file *file, const void *data, size_t size, int64_t offset, hilo_time deadline)
{
	struct iovec piece = {(void *)(uintptr_t)data, size};
	struct transfer t = {"hilo_file_pwrite", &piece, 1, offset, true};

	return transfer(file, &t, deadline);
}

static int truncate_call(struct file_op *op)
{
	int rc;

	do
		rc = hilo__sys_ftruncate(op->io.op.fd, op->io.offset);
	while (rc == -EINTR);
	return rc;
}

int hilo_file_truncate(hilo_file *file, int64_t size, hilo_time deadline)
{
	int rc = hilo__file_claim(file, "hilo_file_truncate");
	struct file_op *op = NULL;

	if (rc < 0)
		return rc;
	rc = size < 0 ? -EINVAL : !file->can_write ? -EBADF : hilo__file_flush(file, deadline);
	if (rc == 0) {
		file->in.at = file->in.end = 0;
		op = hilo__file_op_new(0);
		rc = op ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		op_init(file, op, POLL_IO_FSYNC, NULL, 0, size);
		op->polls = false;
		op->call = truncate_call;
		op->io.offset = size;
		rc = hilo__file_op_run(op, file, deadline);
	}
	hilo__file_op_unref(op);
	if (rc < 0)
		rc = hilo__file_failed(rc, "hilo_file_truncate", "a file");
	return (int)hilo__file_release(file, rc);
}

/* [caller, suspends] Write what is in the buffer, unless somebody else is at the position. */
static int sync_flush(hilo_file *file, hilo_time deadline)
{
	bool no = false;
	int rc;

	if (!cas_acquire(&file->claimed, &no, true)) /* P3 */
		return 0;
	rc = hilo__file_flush(file, deadline);
	store_release(&file->claimed, false); /* P3 */
	return rc;
}

static int file_sync(hilo_file *file, const char *call, bool data, hilo_time deadline)
{
	int rc = hilo__file_enter(file, call);
	struct file_op *op = NULL;

	if (rc < 0)
		return rc;
	rc = sync_flush(file, deadline);
	if (rc == 0) {
		op = hilo__file_op_new(0);
		rc = op ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		op_init(file, op, POLL_IO_FSYNC, NULL, 0, 0);
		op->polls = false;
		op->io.flags = data;
		rc = hilo__file_op_run(op, file, deadline);
	}
	hilo__file_op_unref(op);
	if (rc < 0)
		rc = hilo__file_failed(rc, call, "a file");
	return (int)hilo__file_leave(file, rc);
}

int hilo_file_sync(hilo_file *file, hilo_time deadline)
{
	return file_sync(file, "hilo_file_sync", false, deadline);
}

int hilo_file_datasync(hilo_file *file, hilo_time deadline)
{
	return file_sync(file, "hilo_file_datasync", true, deadline);
}

void hilo__stat_from(const struct statx *from, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->st_dev = makedev(from->stx_dev_major, from->stx_dev_minor);
	ret->st_rdev = makedev(from->stx_rdev_major, from->stx_rdev_minor);
	ret->st_ino = from->stx_ino;
	ret->st_mode = from->stx_mode;
	ret->st_nlink = from->stx_nlink;
	ret->st_uid = from->stx_uid;
	ret->st_gid = from->stx_gid;
	ret->st_size = (off_t)from->stx_size;
	ret->st_blksize = (blksize_t)from->stx_blksize;
	ret->st_blocks = (blkcnt_t)from->stx_blocks;
	ret->st_atim = (struct timespec){from->stx_atime.tv_sec, from->stx_atime.tv_nsec};
	ret->st_mtim = (struct timespec){from->stx_mtime.tv_sec, from->stx_mtime.tv_nsec};
	ret->st_ctim = (struct timespec){from->stx_ctime.tv_sec, from->stx_ctime.tv_nsec};
}

int hilo__stat(int folder, const char *path, int flags, hilo_file *file, struct stat *ret, hilo_time deadline)
{
	size_t size = strlen(path) + 1;
	struct file_op *op = hilo__file_op_new(sizeof(struct statx) + size);
	struct statx *found;
	int rc;

	if (!op)
		return -ENOMEM;
	found = (void *)op->data;
	memcpy(op->data + sizeof(*found), path, size);
	poll_io_init(&op->io, POLL_IO_STATX, folder, op->data + sizeof(*found), STATX_BASIC_STATS, NULL);
	op->io.flags = (unsigned)flags;
	op->io.more = found;
	op->file = file;
	rc = hilo__file_op_run(op, file, deadline);
	if (rc >= 0)
		hilo__stat_from(found, ret);
	hilo__file_op_unref(op);
	return rc;
}

int hilo_file_stat(hilo_file *file, struct stat *ret, hilo_time deadline)
{
	int rc = hilo__file_enter(file, "hilo_file_stat");

	if (rc < 0)
		return rc;
	rc = ret ? hilo__stat(file->fd, "", AT_EMPTY_PATH, file, ret, deadline) : -EINVAL;
	if (rc < 0)
		rc = hilo__file_failed(rc, "hilo_file_stat", ret ? "a file" : "ret is NULL");
	return (int)hilo__file_leave(file, rc);
}

int hilo_file_fd(const hilo_file *file)
{
	return file ? file->fd : -EINVAL;
}
