/* SPDX-License-Identifier: MIT */
/* sendfile_source.c - bytes and pages of a file that is being sent. See sendfile_impl.h. */
#include "io/sendfile_impl.h"

#include <errno.h>

#include "io/file_impl.h"
#include "io/sock_impl.h"
#include "io/splice_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What goes through the pipe at a time, if so large a one is to be had: the most for who is not root. */
#define SENDFILE_DIRECT ((size_t)1024 * 1024)

static const struct file_held held_none = {-1, {-1, -1}};

static void held_close(struct file_held *held)
{
	const int fds[] = {held->file, held->pipe[0], held->pipe[1]};

	for (size_t i = 0; i < array_size(fds); i++)
		if (fds[i] >= 0)
			(void)hilo__sys_close(fds[i]);
	*held = held_none;
}

/* What an operation has for itself, in its data. */
struct piece {
	struct file_held held;
	int64_t offset;
	size_t size;
	char bytes[];
};

static inline struct piece *piece_of(struct file_op *op)
{
	return (struct piece *)(void *)op->data;
}

static void piece_drop(struct file_op *op)
{
	held_close(&piece_of(op)->held);
}

/* A descriptor of the file that stays if ours is left. 0, or why not. */
static int source_hold(struct file_source *source)
{
	int fd = source->held.file >= 0 ? source->held.file : hilo__sock_copy(source->fd);

	if (fd < 0)
		return fd;
	source->held.file = fd;
	return 0;
}

/* [suspends] Have @op, for which all is held, made. What it has answered; or it is left, with what was held. */
static int source_run(struct file_source *source, struct file_op *op, hilo_time deadline)
{
	int rc;

	piece_of(op)->held = source->held;
	piece_of(op)->offset = source->offset;
	op->drop = piece_drop;
	rc = hilo__file_op_run(op, NULL, deadline);
	if (rc < 0 && hilo__file_op_is_left(op))
		source->held = held_none;
	else
		op->taken = true; /* what was held is still ours */
	return rc;
}

/* [suspends] @size bytes that the kernel does not have in memory: by its ring, or in a thread. */
static ssize_t read_wait(struct file_source *source, size_t size, hilo_time deadline)
{
	struct file_op *op;
	ssize_t n = source_hold(source);

	if (n < 0)
		return n;
	op = hilo__file_op_new(sizeof(struct piece) + size);
	if (!op)
		return -ENOMEM;
	poll_io_init(&op->io, POLL_IO_READ, source->held.file, piece_of(op)->bytes, size, NULL);
	op->io.offset = source->offset;
	/* A ring answers -EAGAIN for one that does not block, and then the loop would make the call. */
	op->by_thread = hilo__sock_is_nonblocking(source->fd) > 0;
	n = source_run(source, op, deadline);
	if (n > 0)
		memcpy(source->data, piece_of(op)->bytes, (size_t)n);
	hilo__file_op_unref(op);
	return n;
}

ssize_t hilo__source_read(struct file_source *source, size_t size, hilo_time deadline)
{
	struct iovec into = {source->data, size};
	ssize_t n;

	if (source->piped) {
		into.iov_len = size < source->piped ? size : source->piped;
		do
			n = hilo__sys_read(source->held.pipe[0], into.iov_base, into.iov_len);
		while (n == -EINTR);
		source->piped -= n > 0 ? (size_t)n : 0;
		return n;
	}
	n = hilo__sys_preadv2(source->fd, &into, 1, source->offset, RWF_NOWAIT);
	if (n == -EAGAIN || n == -EOPNOTSUPP || n == -EINTR)
		return read_wait(source, size, deadline);
	hilo__file_count(FILE_AT_ONCE_WAY);
	return n;
}

/* [a thread that may wait for a disk] From the file into the pipe, which is empty. */
static int fill_call(struct file_op *op)
{
	const struct piece *piece = piece_of(op);
	int64_t offset = piece->offset;
	ssize_t n;

	do
		n = hilo__sys_splice(piece->held.file, &offset, piece->held.pipe[1], piece->size, 0);
	while (n == -EINTR);
	return (int)n;
}

/* A pipe, as large as may be, and the file. */
static int source_pipe(struct file_source *source)
{
	int rc = source_hold(source);

	if (rc < 0 || source->held.pipe[0] >= 0)
		return rc;
	return hilo__splice_open(source->held.pipe, SENDFILE_DIRECT, SENDFILE_PIECE);
}

int hilo__source_fill(struct file_source *source, hilo_time deadline)
{
	struct file_op *op;
	int rc = source_pipe(source);

	if (rc < 0)
		return rc;
	op = hilo__file_op_new(sizeof(struct piece));
	if (!op)
		return -ENOMEM;
	piece_of(op)->size = source_left(source, SENDFILE_DIRECT);
	op->call = fill_call;
	rc = source_run(source, op, deadline);
	hilo__file_op_unref(op);
	if (rc < 0)
		return rc;
	source->piped = (size_t)rc;
	return 0;
}

int hilo__source_open(struct file_source *source, int fd, int64_t offset, uint64_t count)
{
	*source = (struct file_source){.fd = fd, .offset = offset, .count = count, .held = held_none};
	source->data = hilo__malloc(SENDFILE_PIECE);
	return source->data ? 0 : -ENOMEM;
}

void hilo__source_close(struct file_source *source)
{
	hilo__free(source->data);
	held_close(&source->held);
}
