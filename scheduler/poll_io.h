/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_POLL_IO_H
#define HILO_SCHEDULER_POLL_IO_H

/*
 * poll_io.h - system calls that a poller makes for somebody, and completes with what they answered. On a ring the
 * kernel makes them; over epoll the poller does, as soon as the descriptor is ready.
 *
 * An operation is started, and completes exactly once: either hilo__poller_start says so itself, or `complete` is
 * called. Until then it, and whatever it points to, belongs to the poller, also after hilo__poller_stop, which only
 * asks for the end: the kernel may be writing into the buffer.
 *
 *	complete(op)	on any thread that reaps, or stops; no lock is held. It may start operations, this one too,
 *			and wake somebody; it may not suspend. The operation is the caller's again when it is called.
 *
 * What is not a socket is read and written without blocking a loop if it is non-blocking (O_NONBLOCK) or regular;
 * sockets need nothing, only one to accept from, or to connect, has to be non-blocking where there is no ring. The
 * descriptor stays open until the operation has completed; who closes it calls hilo__poller_forget before.
 *
 * What the kernel does not end in time at the end of a poller is given up: it completes with -EIO, and `given_up` set.
 * The kernel may still use what `data` and `more` point to, whenever: that is never to be freed, nor used for anything
 * else. The operation itself is the caller's again.
 *
 * Regular files, and calls with a path (from POLL_IO_FSYNC on), can only be given to a ring. Elsewhere they are calls
 * for an executor, which makes them with hilo__poll_io_call.
 */
#include <sys/socket.h>

#include "scheduler/poller.h"

/* Which call, after those of enum poll_kind; what it takes is in `fd`, and in the fields that are named here. */
enum poll_io_kind {
	POLL_IO_RECV = 16, /* data, length, flags */
	POLL_IO_SEND,	   /* data, length, flags; never raises SIGPIPE */
	POLL_IO_RECVMSG,   /* data: a struct msghdr; flags */
	POLL_IO_SENDMSG,   /* likewise; never raises SIGPIPE */
	POLL_IO_ACCEPT, /* data: where the address goes, more: its socklen_t, or both NULL; flags as accept4 */
	POLL_IO_CONNECT,  /* data: the address, length: its size */
	POLL_IO_READ,	  /* data, length, offset (-1: where the descriptor is) */
	POLL_IO_WRITE,	  /* likewise */
	POLL_IO_READV,	  /* data: struct iovec, length: how many, offset */
	POLL_IO_WRITEV,	  /* likewise */
	POLL_IO_FSYNC,	  /* flags: 1 for fdatasync */
	POLL_IO_OPENAT,	  /* fd: the folder, data: the path, flags, length: the mode */
	POLL_IO_STATX,	  /* fd: the folder, data: the path, flags, length: the mask, more: struct statx */
	POLL_IO_UNLINKAT, /* fd: the folder, data: the path, flags */
	POLL_IO_RENAMEAT, /* fd: the folder, data: the path, offset: the other folder, more: its path, flags */
	POLL_IO_MKDIRAT,  /* fd: the folder, data: the path, length: the mode */
	POLL_IO_KINDS
};

/* In op.flags, beside POLL_KEPT: not to be tried at once, it has to wait; a hint, which the poller may clear. */
#define POLL_LATER 2u

/* What a poller does with it. */
enum poll_io_state {
	POLL_IO_IDLE = 0,
	POLL_IO_QUEUED,	  /* will be given to the kernel */
	POLL_IO_RUNNING,  /* the kernel has it */
	POLL_IO_STOPPING, /* ... and will be told, or was told, to end it */
	POLL_IO_LAST,	  /* was ended, and will be tried once more */
	POLL_IO_WAITING,  /* over epoll: for its descriptor */
	POLL_IO_DUE,	  /* over epoll: somebody makes the call */
};

/* One operation; zero, but for the caller's fields, is one that was not started. */
struct poll_io {
	struct poll_op op; /* kind, fd, result: what the call answered or a negative errno; complete */
	struct poller *poller;
	void *data;
	void *more;
	size_t length;
	int64_t offset;
	void *owner;			  /* the caller's: what `complete` will look at first, or NULL */
	struct hilo_task *task;		  /* the poller's: who has started it; a hint, it may be gone */
	atomic(struct poll_io *) * place; /* the poller's: among what the kernel has */
	unsigned flags;
	atomic(uint8_t) state;	/* the poller's: enum poll_io_state */
	atomic(bool) stopping;	/* the poller's: it was told to end */
	bool begun : 1;		/* the poller's: the connection is on its way */
	bool more_is_there : 1; /* after a receive: the kernel says that the next one need not wait */
	bool given_up : 1;	/* when it completes: see above */
};

/* [owner] Prepare @io; fields that are not given are the caller's to set. */
static inline void poll_io_init(struct poll_io *io, enum poll_io_kind kind, int fd, void *data, size_t length,
				void (*complete)(struct poll_op *op))
{
	poll_op_init(&io->op, (enum poll_kind)kind, fd, 0, complete);
	io->poller = NULL;
	io->data = data;
	io->more = NULL;
	io->owner = NULL;
	io->task = NULL;
	io->length = length;
	io->offset = -1;
	io->flags = 0;
	atomic_setup(&io->state, POLL_IO_IDLE);
	atomic_setup(&io->stopping, false);
	io->begun = false;
	io->more_is_there = false;
	io->given_up = false;
	io->place = NULL;
}

/*
 * [any] Start @io on @poller. True: it has completed, with op.result, and complete is not called. False: complete will
 * be called, or has been. A thread that does not run @poller's loop calls hilo__poller_wake after it.
 * Two operations of one descriptor and one kind that are under way at the same time may change places.
 */
bool hilo__poller_start(struct poller *poller, struct poll_io *io);

/*
 * [any] Ask that @io, which was started and may have completed, ends soon: with -ECANCELED, unless it had effect
 * before. One that accepts, and may have been woken for a connection, takes that. Calls complete itself, before it
 * returns, if the kernel knows nothing of it. The caller sees to it that @io exists, and is not started for something
 * else, during the call.
 */
void hilo__poller_stop(struct poll_io *io);

/* [any] Give what was started to the kernel now, not at the next turn of the loop. */
void hilo__poller_flush(struct poller *poller);

/*
 * [any] Make the call of @io in the calling thread; -EAGAIN: it would have to wait. See above for descriptors that
 * block.
 */
int hilo__poll_io_call(struct poll_io *io);

/* [any] Its call, in a word: "recv", "openat". */
const char *hilo__poll_io_name(const struct poll_io *io);

/* [any] The event that @io waits for when it has to: POLL_READABLE or POLL_WRITABLE. */
unsigned hilo__poll_io_event(const struct poll_io *io);

#endif /* HILO_SCHEDULER_POLL_IO_H */
