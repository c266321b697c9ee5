/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_FILE_IMPL_H
#define HILO_IO_FILE_IMPL_H

/*
 * file_impl.h - operations on files that nobody may be able to stop, and files.
 *
 *	callers -> at once? -> struct file_op -> a ring, or a thread of the executor -> done
 *	file.c, file_read.c, file_write.c, path*.c, directory.c    file_op.c
 *
 * An operation owns all that the kernel may touch: a copy of the path, the bytes. Its caller waits for it, and may
 * leave at any time; whoever has the last reference frees it, with what it has brought and nobody has taken (a
 * descriptor).
 *
 * One that its poller has given up (poll_io.h) keeps its memory for ever, and a write of the file's the buffer that it
 * was to send: the file goes on with a copy.
 *
 * A file has users: callers, who are in a call on it, and operations under way, which may outlive their callers.
 *
 *	word	 31                       1   0
 *		| users, in steps of 2      | C |	C  CLOSED  nobody comes in any more
 *
 * I1  The descriptor is open, and the memory there, until the file is closed and has no users. `alone` is done then,
 *     set by the last of them; its references are the owner's, until hilo_file_close, and that it is not done.
 * I2  Who closes sets CLOSED, then `closing`, which wakes all who wait in a call: each of them ends its own wait; a
 *     plain thread in poll(2) looks at it now and then. Then he waits for `alone`, and has the file for himself. What
 *     he has to leave under way then keeps the file.
 * I3  What is `claimed` belongs to the one who has claimed it: position, buffers, the write that goes on.
 * I4  At most one of `in` and `out` has bytes, in a file with positions. Those of `in` begin at the position, those of
 *     `out` end there.
 * I5  `sending` is the write of the first bytes of `out`, which do not move until it is done. It is the file's: who
 *     has started it may have left. Whoever wants the position next waits for it first.
 * P1  Coming in acquires, leaving releases, and the last one acquires. Likewise for references.
 * P2  completion_set releases, who waits acquires: what an operation has brought is seen.
 * P3  A claim acquires, its end releases.
 *
 * Rejected: to let the kernel read into the caller's memory, and to wait for its end after a deadline. A disk, or a
 * server, that does not answer would keep the caller for ever. The copy is of what was not in memory alone.
 */
#include <hilo/io/file.h>

#include "runtime/debug_impl.h"
#include "runtime/executor_impl.h"
#include "runtime/io_impl.h"

/* The most bytes that an operation moves: so much memory it has. */
#define FILE_PIECE ((size_t)1024 * 1024)
/* ... and that are read at once, before others have their turn. */
#define FILE_AT_ONCE ((size_t)256 * 1024)
#define FILE_BUFFER ((size_t)64 * 1024)
#define FILE_PATH_MAX 4096

enum file_way {
	FILE_AT_ONCE_WAY,
	FILE_RING,
	FILE_EXECUTOR,
	FILE_THREAD,
};

/* Where an operation is. Whoever comes second, its end or who leaves it, knows of the other. */
enum file_at {
	FILE_UNDER_WAY,
	FILE_LEFT,
	FILE_ENDED,
};

struct file_op {
	struct completion done;
	struct poll_io io; /* the call; its result is in io.op.result, whoever made it */
	struct job job;
	int (*call)(struct file_op *op);  /* NULL: what io says. [any thread] */
	void (*drop)(struct file_op *op); /* NULL; else called before it goes, if its result was not taken */
	hilo_file *file;		  /* of which it is a user, while it is under way; or NULL */
	hilo_file *keeps;		  /* freed with it; or NULL */
	hilo_executor *executor;
	enum file_way way;
	bool begun;	     /* else its maker is its only user */
	bool by_thread;	     /* not by a ring, in any case */
	bool polls;	     /* waits for somebody else, not for a disk: a poller makes it, and can end it */
	bool taken;	     /* by its caller */
	atomic(unsigned) at; /* enum file_at */
	_Alignas(16) char data[];
};

struct file_buffer {
	char *data;
	size_t at, end; /* the bytes that are there */
	size_t size;
};

#define FILE_CLOSED 1u
#define FILE_USER 2u

enum file_kind {
	FILE_UNKNOWN,
	FILE_DIRECT, /* has positions, and need not be waited for in poll */
	FILE_WAITS,
};

struct hilo_file {
	atomic(uint32_t) word;
	struct completion alone;   /* I1 */
	struct completion closing; /* I2 */
	int fd;
	bool can_read, can_write, appends;
	bool ours;		  /* we have opened it, so that its flags are ours to change */
	atomic(bool) nonblocking; /* O_NONBLOCK is set */
	atomic(uint8_t) kind;	  /* enum file_kind */
	atomic(bool) not_at_once; /* its file system cannot tell what is in memory */
	atomic(bool) claimed;	  /* I3 */
	int64_t position;
	size_t buffer; /* 0: none */
	struct file_buffer in, out;
	struct file_op *sending; /* I5 */
	struct debug_mark open;
};

/* file_op.c */

/* [any] An operation with @extra bytes of its own, all zero, its io and call to be filled in. NULL: no memory. */
struct file_op *hilo__file_op_new(size_t extra);

/* [holder of a reference; its maker, if it was not begun] One less. NULL: no-op. */
void hilo__file_op_unref(struct file_op *op);

/*
 * [its maker] Begin; what it needs of @op->file is referenced until it has ended. 0: it is under way, or done.
 * -ETIMEDOUT: the deadline has passed, nothing was begun; -ECANCELED; -EDEADLK in a callback; HILO_ECLOSED; -ENOMEM;
 * -EAGAIN: no thread. May suspend, for room in the executor.
 */
int hilo__file_op_start(struct file_op *op, hilo_time deadline);

/*
 * [who has started it, suspends] Wait until it is done. 0; why not: -ETIMEDOUT, -ECANCELED, HILO_ECLOSED (@file, which
 * may be NULL, is being closed), -ENOMEM, -EDEADLK.
 */
int hilo__file_op_wait(struct file_op *op, hilo_file *file, hilo_time deadline);

/*
 * [its only user, suspends] Start and wait; started anew by a thread if the kernel has ended it unasked. What it has
 * answered; or why there is no answer: it is being stopped, or abandoned, then. @file as above.
 */
int hilo__file_op_run(struct file_op *op, hilo_file *file, hilo_time deadline);

/* [its only user] @op, which is done, ended unasked before it was begun: it may be started again, by a thread. */
bool hilo__file_op_again(struct file_op *op);

/* [any] One more was made by the caller at once. */
void hilo__file_count(enum file_way way);

/* [any] @rc, below 0, with a message that names @call and @what. */
int hilo__file_failed(int rc, const char *call, const char *what);

/* file_open.c */

/* [any, suspends] As openat, with O_CLOEXEC, for @path as it is now. A descriptor; as hilo__file_op_run. */
int hilo__file_openat(const char *path, int flags, unsigned mode, hilo_time deadline);

/* [any] A file of @fd, which it consumes on success; @flags as open. */
int hilo__file_new(int fd, int flags, size_t buffer, bool ours, const void *site, hilo_file **ret);

/* [any] Options as they are given, and as they are. */
int hilo__file_opts(const hilo_file_opts *given, hilo_file_opts *ret);

/* [any] An operation that opens @path. NULL: no memory. Its descriptor is closed if nobody takes it. */
struct file_op *hilo__file_op_open(const char *path, int flags, unsigned mode);

/* [last user, owner] Close the descriptor, and free. */
void hilo__file_free(hilo_file *file);

/* [who has started it] @op goes on without him. */
bool hilo__file_op_is_left(const struct file_op *op);

/* [any] Come in. 0; HILO_ECLOSED, -EINVAL with a message in the name of @call. */
int hilo__file_enter(hilo_file *file, const char *call);

/* [caller] Leave, with @rc, which is returned. */
int64_t hilo__file_leave(hilo_file *file, int64_t rc);

/* [any] Come in, and claim the position. 0; -EBUSY, and as above. */
int hilo__file_claim(hilo_file *file, const char *call);

/* [who has claimed it] The same as leaving. */
int64_t hilo__file_release(hilo_file *file, int64_t rc);

/* file.c */

/* [caller] What it is, found out if need be. */
enum file_kind hilo__file_kind(hilo_file *file);

/*
 * [caller, suspends] Read from @offset into the @n @pieces, of @size bytes: at least 1 but at the end. @offset does
 * not count for what has none. How many; a negative errno without a message.
 */
ssize_t hilo__file_read_at(hilo_file *file, const struct iovec *pieces, int n, size_t size, int64_t offset,
			   hilo_time deadline);

/* [caller] An operation that writes @size bytes of @data at @offset. */
void hilo__file_write_init(hilo_file *file, struct file_op *op, void *data, size_t size, int64_t offset);

/*
 * [caller, plain thread, which blocks] Make the call of @io on what has no positions when it need not wait. What it
 * has answered, without a SIGPIPE; -ETIMEDOUT; HILO_ECLOSED.
 */
ssize_t hilo__file_wait_thread(hilo_file *file, struct poll_io *io, hilo_time deadline);

/* file_write.c */

/* [who has claimed it, suspends] Write what is in the buffer. 0; a negative errno. */
int hilo__file_flush(hilo_file *file, hilo_time deadline);

#endif /* HILO_IO_FILE_IMPL_H */
