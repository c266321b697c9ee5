/* SPDX-License-Identifier: MIT */
/*
 * file_open.c - how files come, and how they go. See file_impl.h.
 *
 * Everything is opened with O_NONBLOCK, so that to open a FIFO, or a line with a modem, waits for nobody. A file on
 * a disk must not keep it: a ring would answer -EAGAIN where it has to wait for the disk. It is taken off before the
 * first operation that may have to.
 */
#include "io/file_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>

#include "io/descriptor_impl.h"
#include "runtime/contend_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

_Static_assert(sizeof(hilo_file_opts) == SIZED_END(hilo_file_opts, flags), "it ends with its last member");

static void open_drop(struct file_op *op)
{
	if (op->io.op.result >= 0)
		(void)hilo__sys_close(op->io.op.result);
}

struct file_op *hilo__file_op_open(const char *path, int flags, unsigned mode)
{
	size_t size = strlen(path) + 1;
	struct file_op *op = hilo__file_op_new(size);

	if (!op)
		return NULL;
	memcpy(op->data, path, size);
	poll_io_init(&op->io, POLL_IO_OPENAT, AT_FDCWD, op->data, mode, NULL);
	op->io.flags = (unsigned)(flags | O_CLOEXEC);
	op->io.op.result = -1;
	op->drop = open_drop;
	return op;
}

/* [any] What needs no disk: the names are known. -EAGAIN: they are not, or that cannot be told. */
static int open_at_once(const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_CACHED};
	int rc;

	if (flags & (O_CREAT | O_TRUNC))
		return -EAGAIN;
	rc = hilo__sys_openat2(AT_FDCWD, path, &how, sizeof(how));
	if (rc == -ENOSYS || rc == -EINVAL || rc == -EPERM || rc == -E2BIG || rc == -EINTR)
		return -EAGAIN;
	return rc;
}

static int open_wait(const char *path, int flags, unsigned mode, hilo_time deadline)
{
	struct file_op *op = hilo__file_op_open(path, flags, mode);
	int rc;

	if (!op)
		return -ENOMEM;
	rc = hilo__file_op_run(op, NULL, deadline);
	hilo__file_op_unref(op);
	return rc;
}

int hilo__file_openat(const char *path, int flags, unsigned mode, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc = -EAGAIN;

	if (contend_is_interrupted(self))
		return -ECANCELED;
	if (strlen(path) >= FILE_PATH_MAX)
		return -ENAMETOOLONG;
	if (self->loop)
		rc = open_at_once(path, flags);
	if (rc != -EAGAIN) {
		hilo__file_count(FILE_AT_ONCE_WAY);
		if (deadline > 0)
			contend_was_free(self);
		return rc;
	}
	rc = open_wait(path, flags, mode, deadline);
	/* It does not block, so that who has a lease on it was not waited for. */
	if (rc == -EAGAIN && flags & O_NONBLOCK)
		rc = open_wait(path, flags & ~O_NONBLOCK, mode, deadline);
	return rc;
}

int hilo__file_opts(const hilo_file_opts *given, hilo_file_opts *opts)
{
	int rc;

	*opts = (hilo_file_opts){.size = sizeof(*opts)};
	rc = given ? SIZED_IN(hilo_file_opts, opts, given, flags) : 0;
	if (rc < 0)
		return rc;
	if (opts->flags & ~HILO_FILE_NOFOLLOW)
		return hilo_fail(-EINVAL, "hilo_file_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->mode & ~07777u)
		return hilo_fail(-EINVAL, "hilo_file_opts.mode is %#o: no permissions", opts->mode);
	if (opts->buffer != HILO_FILE_UNBUFFERED && opts->buffer > SSIZE_MAX / 4)
		return hilo_fail(-EINVAL, "hilo_file_opts.buffer is %zu", opts->buffer);
	opts->mode = opts->mode ? opts->mode : 0666;
	opts->buffer = opts->buffer ? opts->buffer : FILE_BUFFER;
	if (opts->buffer == HILO_FILE_UNBUFFERED)
		opts->buffer = 0;
	return 0;
}

int hilo__file_new(int fd, int flags, size_t buffer, bool ours, const void *site, hilo_file **ret)
{
	hilo_file *file = hilo__calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	atomic_setup(&file->word, 0);
	completion_init(&file->alone, 1);
	completion_init(&file->closing, 1);
	file->fd = fd;
	file->can_read = (flags & O_ACCMODE) != O_WRONLY;
	file->can_write = (flags & O_ACCMODE) != O_RDONLY;
	file->appends = flags & O_APPEND;
	file->ours = ours;
	atomic_setup(&file->nonblocking, (flags & O_NONBLOCK) != 0);
	atomic_setup(&file->kind, FILE_UNKNOWN);
	atomic_setup(&file->not_at_once, false);
	atomic_setup(&file->claimed, false);
	file->buffer = buffer;
	debug_opened(&file->open, hilo__io_runtime(), DEBUG_FILE, site);
	*ret = file;
	return 0;
}

/* "r+b" as flags of open. -EINVAL. */
static int mode_flags(const char *mode)
{
	int flags;

	switch (*mode) {
	case 'r':
		flags = O_RDONLY;
		break;
	case 'w':
		flags = O_WRONLY | O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags = O_WRONLY | O_CREAT | O_APPEND;
		break;
	case 'x':
		flags = O_WRONLY | O_CREAT | O_EXCL;
		break;
	default:
		return -EINVAL;
	}
	for (mode++; *mode; mode++) {
		if (*mode == '+' && (flags & O_ACCMODE) != O_RDWR)
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (*mode != 'b')
			return -EINVAL;
	}
	return flags | O_NONBLOCK | O_NOCTTY;
}

/* The file of what was opened, or not: @fd. */
static int open_made(const char *call, const char *path, int fd, int flags, const hilo_file_opts *opts,
		     const void *site, hilo_file **ret)
{
	int rc;

	if (fd < 0)
		return hilo__file_failed(fd, call, path);
	rc = hilo__file_new(fd, flags, opts->buffer, true, site, ret);
	if (rc < 0)
		(void)hilo__sys_close(fd);
	return rc;
}

int hilo_file_open(const char *path, const char *mode, const hilo_file_opts *given, hilo_file **ret,
		   hilo_time deadline)
{
	hilo_file_opts opts;
	int flags, rc;

	if (!path || !mode || !ret)
		return hilo_fail(-EINVAL, "hilo_file_open: %s is NULL",
				 !path	 ? "path"
				 : !mode ? "mode"
					 : "ret");
	rc = hilo__file_opts(given, &opts);
	if (rc < 0)
		return rc;
	flags = mode_flags(mode);
	if (flags < 0)
		return hilo_fail(-EINVAL, "hilo_file_open: %s: there is no mode \"%s\"", path, mode);
	if (opts.flags & HILO_FILE_NOFOLLOW)
		flags |= O_NOFOLLOW;
	rc = hilo__file_openat(path, flags, opts.mode, deadline);
	rc = open_made("hilo_file_open", path, rc, flags, &opts, __builtin_return_address(0), ret);
	if (rc == 0 && flags & O_APPEND) {
		int64_t end = hilo__sys_lseek((*ret)->fd, 0, SEEK_END);

		(*ret)->position = end > 0 ? end : 0;
	}
	return rc;
}

int hilo_file_temp(const char *folder, const hilo_file_opts *given, hilo_file **ret, hilo_time deadline)
{
	const int flags = O_RDWR | O_TMPFILE | O_EXCL;
	hilo_file_opts opts;
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_file_temp: ret is NULL");
	rc = hilo__file_opts(given, &opts);
	if (rc < 0)
		return rc;
	if (!given || !given->mode)
		opts.mode = 0600;
	if (!folder)
		folder = getenv("TMPDIR");
	if (!folder || !*folder)
		folder = "/tmp";
	rc = strlen(folder) < FILE_PATH_MAX ? open_wait(folder, flags, opts.mode, deadline) : -ENAMETOOLONG;
	return open_made("hilo_file_temp", folder, rc, flags, &opts, __builtin_return_address(0), ret);
}

int hilo_file_from_fd(int fd, const hilo_file_opts *given, hilo_file **ret)
{
	hilo_file_opts opts;
	int64_t position;
	int flags, rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_file_from_fd: ret is NULL");
	rc = hilo__file_opts(given, &opts);
	if (rc < 0)
		return rc;
	flags = hilo__descriptor_flags(fd);
	if (flags < 0 || flags & O_PATH)
		return hilo_fail(-EBADF, "hilo_file_from_fd: descriptor %d", fd);
	rc = hilo__file_new(fd, flags, opts.buffer, false, __builtin_return_address(0), ret);
	if (rc < 0)
		return rc;
	position = hilo__sys_lseek(fd, 0, SEEK_CUR);
	(*ret)->position = position > 0 ? position : 0;
	return 0;
}

int hilo__file_enter(hilo_file *file, const char *call)
{
	uint32_t word;

	if (HILO__UNLIKELY(!file))
		return hilo_fail(-EINVAL, "%s: file is NULL", call);
	word = load_relaxed(&file->word); /* relaxed: only an expected value */
	do
		if (word & FILE_CLOSED)
			return hilo_fail(HILO_ECLOSED, "%s: the file is closed", call);
	while (!cas_acquire(&file->word, &word, word + FILE_USER)); /* P1 */
	return 0;
}

int64_t hilo__file_leave(hilo_file *file, int64_t rc)
{
	if (sub_acq_rel(&file->word, FILE_USER) - FILE_USER == FILE_CLOSED && /* P1 */
	    completion_set(&file->alone))				      /* I1, P2 */
		hilo__file_free(file);
	return rc;
}

int hilo__file_claim(hilo_file *file, const char *call)
{
	bool no = false;
	int rc = hilo__file_enter(file, call);

	if (rc < 0)
		return rc;
	if (HILO__LIKELY(cas_acquire(&file->claimed, &no, true))) /* P3 */
		return 0;
	return (int)hilo__file_leave(
		file, hilo_fail(-EBUSY, "%s: somebody else is at the position of this file", call));
}

int64_t hilo__file_release(hilo_file *file, int64_t rc)
{
	store_release(&file->claimed, false); /* P3 */
	return hilo__file_leave(file, rc);
}

void hilo__file_free(hilo_file *file)
{
	if (file->fd >= 0)
		(void)hilo__sys_close(file->fd);
	if (!file->sending || !file->sending->io.given_up)
		hilo__free(file->out.data);
	hilo__file_op_unref(file->sending);
	hilo__free(file->in.data);
	hilo__free(file);
}

static int close_call(struct file_op *op)
{
	int fd = op->io.op.fd;

	op->io.op.fd = -1;
	return hilo__sys_close(fd);
}

static void close_drop(struct file_op *op)
{
	/* It was refused, or taken out of the queue, before it was made. */
	if (op->io.op.fd >= 0)
		(void)hilo__sys_close(op->io.op.fd);
}

/*
 * [owner, alone] Close the descriptor. What was written may have to be sent now, to a server, or room to be found
 * for it, so that it can take its time, and fail; by a thread, then.
 */
static int close_descriptor(hilo_file *file, hilo_time deadline)
{
	struct file_op *op = file->can_write && thread_self()->loop ? hilo__file_op_new(0) : NULL;
	int fd = file->fd, rc;

	file->fd = -1;
	if (!op)
		return hilo__sys_close(fd);
	poll_io_init(&op->io, POLL_IO_FSYNC, fd, NULL, 0, NULL);
	op->call = close_call;
	op->drop = close_drop;
	rc = hilo__file_op_start(op, deadline);
	if (rc < 0) {
		hilo__file_op_unref(op);
		return hilo__sys_close(fd);
	}
	rc = hilo__file_op_wait(op, NULL, deadline);
	if (rc == 0) {
		op->taken = true;
		rc = op->io.op.result;
		if (op->io.op.fd >= 0)
			rc = hilo__sys_close(fd); /* refused: the runtime ends, or there is no thread */
	}
	hilo__file_op_unref(op);
	return rc == -EINTR ? 0 : rc; /* it is closed: close(2) */
}

/* [owner, alone] What there is to be done before, and the end of it. */
static int close_alone(hilo_file *file, hilo_time deadline)
{
	int rc = hilo__file_flush(file, deadline), closed = 0;
	struct file_op *op = file->sending;

	if (op && !completion_is_done(&op->done)) { /* P2 */
		file->sending = NULL;
		op->keeps = file; /* who has the last reference on it frees both */
		hilo__file_op_unref(op);
		return rc;
	}
	closed = close_descriptor(file, deadline);
	hilo__file_free(file);
	return rc < 0 ? rc : closed;
}

int hilo_file_close(hilo_file *file, hilo_time deadline)
{
	uint32_t word;
	int rc;

	if (!file)
		return 0;
	word = load_relaxed(&file->word); /* relaxed: only an expected value */
	do
		if (word & FILE_CLOSED)
			return hilo_fail(HILO_ECLOSED, "hilo_file_close: the file is closed");
	while (!cas_acquire(&file->word, &word, (word | FILE_CLOSED) + FILE_USER)); /* P1 */
	debug_ended(&file->open);
	(void)completion_set(&file->closing); /* I2, P2; its reference stays */
	(void)hilo__file_leave(file, 0);
	rc = completion_is_done(&file->alone)
		     ? 0
		     : hilo__await_completion(&file->alone, WAIT_FILE, file, deadline);
	if (rc == 0)
		rc = close_alone(file, deadline);
	else if (completion_unref(&file->alone)) /* P1 */
		hilo__file_free(file);
	return rc < 0 ? hilo__file_failed(rc, "hilo_file_close", "what was written") : 0;
}

static int block_enter(void *self)
{
	hilo_file_block *block = self;

	return hilo_file_open(block->path, block->mode, block->opts, &block->file, HILO_FOREVER);
}

static int block_exit(void *self, int code)
{
	hilo_file_block *block = self;
	int rc = hilo_file_close(block->file, HILO_FOREVER);

	block->file = NULL;
	return code < 0 ? code : rc < 0 ? rc : code;
}

const hilo_manager hilo_file_manager = {block_enter, block_exit};
