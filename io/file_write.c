/* SPDX-License-Identifier: MIT */
/*
 * file_write.c - writing at the position, and going elsewhere.
 *
 * What was written lies in `out` until the kernel has taken it. It is given to the kernel from there, by an operation
 * that is the file's (I5): a flush that ends early leaves it under way, and the next one goes on waiting for it. So
 * what was taken is written once, and in order. A failure leaves the bytes where they are: they may fit later.
 */
#include "io/file_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <limits.h>

#include "io/stat_impl.h"
#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

static inline size_t pending(const hilo_file *file)
{
	return file->out.end - file->out.at;
}

/* [claimed] Who closes has the file for himself. */
static inline hilo_file *user_of(hilo_file *file)
{
	return completion_is_done(&file->alone) ? NULL : file;
}

/* [claimed, suspends] Begin to write the first bytes. */
static int send_start(hilo_file *file, hilo_time deadline)
{
	size_t size = pending(file) < FILE_PIECE ? pending(file) : FILE_PIECE;
	int64_t offset = file->appends ? -1 : file->position - (int64_t)pending(file);
	struct file_op *op = hilo__file_op_new(0);
	int rc;

	if (!op)
		return -ENOMEM;
	hilo__file_write_init(file, op, file->out.data + file->out.at, size, offset);
	if (op->polls && !thread_self()->loop) {
		op->io.op.result = (int)hilo__file_wait_thread(file, &op->io, deadline);
		op->begun = true;
		(void)completion_set(&op->done);
		rc = 0;
	} else {
		rc = hilo__file_op_start(op, deadline);
	}
	if (rc < 0)
		hilo__file_op_unref(op);
	else
		file->sending = op;
	return rc;
}

/* [claimed] The kernel may still read what is in the buffer: leave it that one. What there is no memory for is lost. */
static HILO__COLD void out_leave(hilo_file *file)
{
	struct file_buffer *out = &file->out;
	char *data = hilo__malloc(out->size);

	if (data)
		memcpy(data + out->at, out->data + out->at, pending(file));
	else
		out->at = out->end = out->size = 0;
	out->data = data;
}

/* [claimed] The write has ended: account for it. 0, or what it has failed with. */
static int send_ended(hilo_file *file, int n)
{
	if (HILO__UNLIKELY(file->sending->io.given_up))
		out_leave(file);
	hilo__file_op_unref(file->sending);
	file->sending = NULL;
	if (n <= 0)
		return n < 0 ? n : -EIO;
	file->out.at += (size_t)n;
	if (file->out.at == file->out.end)
		file->out.at = file->out.end = 0;
	if (file->appends) {
		int64_t end = hilo__sys_lseek(file->fd, 0, SEEK_CUR);

		file->position = end > 0 ? end + (int64_t)pending(file) : file->position;
	}
	return 0;
}

int hilo__file_flush(hilo_file *file, hilo_time deadline)
{
	int rc = 0;

	while (rc == 0 && (file->sending || pending(file))) {
		if (!file->sending) {
			rc = send_start(file, deadline);
			if (rc < 0)
				break;
		}
		rc = hilo__file_op_wait(file->sending, user_of(file), deadline);
		if (rc < 0)
			break;
		if (HILO__UNLIKELY(hilo__file_op_again(file->sending))) {
			rc = hilo__file_op_start(file->sending, deadline);
			if (rc < 0)
				(void)send_ended(file, rc);
			continue;
		}
		rc = send_ended(file, file->sending->io.op.result);
	}
	if (rc == 0 && file->out.size > file->buffer) { /* that was for a large one */
		hilo__free(file->out.data);
		file->out = (struct file_buffer){NULL, 0, 0, 0};
	}
	return rc;
}

/* [claimed] Room for @size bytes behind those that are there. False: only after a flush; @rc: -ENOMEM. */
static bool out_room(hilo_file *file, size_t size, int *rc)
{
	struct file_buffer *out = &file->out;

	*rc = 0;
	if (out->size - out->end >= size)
		return true;
	if (pending(file) || file->sending)
		return false;
	hilo__free(out->data);
	*out = (struct file_buffer){hilo__malloc(size), 0, 0, size};
	if (!out->data) {
		out->size = 0;
		*rc = -ENOMEM;
	}
	return *rc == 0;
}

static void out_add(hilo_file *file, const char *data, size_t size)
{
	memcpy(file->out.data + file->out.end, data, size);
	file->out.end += size;
	file->position += (int64_t)size;
}

/* [claimed, suspends] A piece that the buffer is not made for. How many of it were taken in *@taken. */
static int write_piece(hilo_file *file, const char *data, size_t size, size_t *taken, hilo_time deadline)
{
	int rc = hilo__file_flush(file, deadline);
	size_t rest;

	*taken = 0;
	if (rc < 0 || !out_room(file, size, &rc))
		return rc;
	out_add(file, data, size);
	*taken = size;
	rc = hilo__file_flush(file, deadline);
	if (rc == 0 || file->sending)
		return rc; /* it is written, or will be */
	rest = pending(file);
	*taken -= rest;
	file->position -= (int64_t)rest;
	file->out.at = file->out.end = 0;
	return rc;
}

/* [claimed, suspends] How many were taken in *@taken. 0, or why not all. */
static int write_all(hilo_file *file, const char *data, size_t size, size_t *taken, hilo_time deadline)
{
	size_t done = 0, part;
	int rc = 0;

	while (rc == 0 && done < size) {
		size_t left = size - done, capacity = file->buffer;

		if (left < capacity && out_room(file, pending(file) ? left : capacity, &rc)) {
			out_add(file, data + done, left);
			done = size;
		} else if (rc == 0 && left < capacity) {
			rc = hilo__file_flush(file, deadline);
		} else if (rc == 0) {
			rc = write_piece(file, data + done, left < FILE_PIECE ? left : FILE_PIECE, &part,
					 deadline);
			done += part;
		}
	}
	*taken = done;
	return rc;
}

/* [any] Come in to write. 0, or why not, with a message. */
static int write_begin(const char *call, hilo_file *file)
{
	int rc = hilo__file_claim(file, call);

	if (rc < 0)
		return rc;
	if (!file->can_write)
		return (int)hilo__file_release(file,
					       hilo_fail(-EBADF, "%s: the file is not open to write", call));
	if (hilo__file_kind(file) == FILE_DIRECT)
		file->in.at = file->in.end = 0; /* I4 */
	return 0;
}

ssize_t hilo_file_writev(hilo_file *file, const struct iovec *pieces, int n, hilo_time deadline)
{
	size_t all = 0, taken = 0, part;
	int rc = write_begin("hilo_file_writev", file);

	if (rc < 0)
		return rc;
	for (int i = 0; pieces && i < n; i++) {
		bool wrong =
			(!pieces[i].iov_base && pieces[i].iov_len) || pieces[i].iov_len > SSIZE_MAX - all;

		all = wrong ? SIZE_MAX : all + pieces[i].iov_len;
		if (wrong)
			break;
	}
	if (n < 0 || (!pieces && n) || all == SIZE_MAX)
		return hilo__file_release(file, hilo_fail(-EINVAL, "hilo_file_writev: %d pieces at %p", n,
							  (const void *)pieces));
	for (int i = 0; i < n && rc == 0; i++) {
		rc = write_all(file, pieces[i].iov_base, pieces[i].iov_len, &part, deadline);
		taken += part;
	}
	if (rc < 0) {
		(void)hilo_fail(rc, "hilo_file_write: %zu of %zu bytes were taken: %s", taken, all,
				hilo_strerror(rc));
		(void)hilo__error_sizes(rc, taken, all);
	}
	return hilo__file_release(file, rc < 0 ? rc : (ssize_t)taken);
}

ssize_t hilo_file_write(hilo_file *file, const void *data, size_t size, hilo_time deadline)
{
	struct iovec piece = {(void *)(uintptr_t)data, size};

	return hilo_file_writev(file, &piece, 1, deadline);
}

int hilo_file_flush(hilo_file *file, hilo_time deadline)
{
	int rc = hilo__file_claim(file, "hilo_file_flush");

	if (rc < 0)
		return rc;
	rc = hilo__file_flush(file, deadline);
	if (rc < 0)
		rc = hilo__file_failed(rc, "hilo_file_flush", "what was written");
	return (int)hilo__file_release(file, rc);
}

/* [claimed, suspends] The end of the file. */
static int64_t end_of(hilo_file *file, hilo_time deadline)
{
	struct stat stat;
	int rc = hilo__stat(file->fd, "", AT_EMPTY_PATH, file, &stat, deadline);

	if (rc < 0)
		return rc;
	return S_ISREG(stat.st_mode) ? stat.st_size : hilo__sys_lseek(file->fd, 0, SEEK_END);
}

/* [claimed] Be at @position, with what the buffer has of it. */
static void position_set(hilo_file *file, int64_t position)
{
	int64_t first = file->position - (int64_t)file->in.at;

	if (position >= first && position <= first + (int64_t)file->in.end)
		file->in.at = (size_t)(position - first);
	else
		file->in.at = file->in.end = 0;
	file->position = position;
}

static int64_t file_seek(hilo_file *file, int64_t offset, int whence, hilo_time deadline)
{
	int64_t from = 0;

	if (hilo__file_kind(file) == FILE_WAITS)
		return -ESPIPE;
	if (whence == SEEK_CUR)
		from = file->position;
	else if (whence == SEEK_END)
		from = end_of(file, deadline);
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (from < 0)
		return from;
	if (offset > 0 ? offset > INT64_MAX - from : from + offset < 0)
		return -EINVAL;
	position_set(file, from + offset);
	return file->position;
}

int64_t hilo_file_seek(hilo_file *file, int64_t offset, int whence, hilo_time deadline)
{
	int64_t rc = hilo__file_claim(file, "hilo_file_seek");

	if (rc < 0)
		return rc;
	rc = hilo__file_flush(file, deadline);
	if (rc == 0)
		rc = file_seek(file, offset, whence, deadline);
	if (rc < 0)
		rc = hilo__file_failed((int)rc, "hilo_file_seek", "a file");
	return hilo__file_release(file, rc);
}

int64_t hilo_file_tell(hilo_file *file)
{
	int64_t rc = hilo__file_claim(file, "hilo_file_tell");

	if (rc < 0)
		return rc;
	rc = hilo__file_kind(file) == FILE_WAITS ? hilo_fail(-ESPIPE, "hilo_file_tell: it has no positions")
						 : file->position;
	return hilo__file_release(file, rc);
}
