/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_POLLER_IMPL_H
#define HILO_SCHEDULER_POLLER_IMPL_H

/*
 * poller_impl.h - what the parts of a poller have for each other.
 *
 *	poller.c	 which of the two it is, and what is common to them
 *	poller_epoll.c	 waiting for readiness, in an epoll instance, which every poller has
 *	poller_ready.c	 operations of poll_io.h over readiness
 *	poller_ring.c	 operations of poll_io.h on a ring; the ring watches the epoll instance
 *	poller_ring_cancel.c  how the kernel is told to end an operation
 *	poller_ring_end.c  how a ring is made, and ends
 *	uring.c		 the ring itself: memory that is shared with the kernel
 */
#include "scheduler/poll_io.h"
#include "scheduler/poll_table.h"
#include "scheduler/poller.h"
#include "scheduler/task.h"

struct poll_backend {
	int epoll_fd;
	int timer_fd;  /* where epoll_pwait2 is missing; else -1 */
	bool timer_on; /* [owner] the timer may be set, or expired */
	atomic(bool) reaping;
	struct spinlock due_lock;
	struct list due;       /* operations of poll_io.h whose call is to be made, or which have failed */
	atomic(unsigned) dues; /* how many those are */
	atomic(bool) settling; /* somebody makes their calls */
	struct poll_table table;
};

/* Lines of an operation's owner that are looked at when it completes. */
#define OWNER_LINES 4

/* [owner of @io] It completes soon: have what is looked at then on its way, of its owner and of who has started it. */
static inline void poll_io_prefetch(const struct poll_io *io)
{
#if !defined(HILO__ASAN) && !defined(HILO__TSAN)
	for (int line = 0; line < OWNER_LINES; line++)
		__builtin_prefetch((const char *)io->owner + 64 * line);
	__builtin_prefetch(io->task);
	__builtin_prefetch((const char *)io->task + 64);
#else
	(void)io;
#endif
}

/* [owner of @io, after that] And then the frames of the one who waits; who sends mostly does not. */
static inline void poll_io_prefetch_waiter(const struct poll_io *io)
{
	if (io->task && io->op.kind != POLL_IO_SEND)
		task_prefetch(io->task);
}

/* poller_epoll.c; the same as those of poller.h for this part alone. */
int hilo__epoll_init(struct poller *poller);
void hilo__epoll_fini(struct poller *poller);
void hilo__epoll_abandon(struct poller *poller);
void hilo__epoll_sever(struct poller *poller);
int hilo__epoll_reap(struct poller *poller, unsigned max);
int hilo__epoll_wait(struct poller *poller, hilo_time deadline);

/* [owner] Wake-ups come through the ring from now on. */
void hilo__epoll_leave_wake(struct poller *poller);

/* [owner] They come through epoll again. */
void hilo__epoll_take_wake(struct poller *poller);

/* [any] Have @io wait for its descriptor, or fail: op.result; false if it was told to end meanwhile. */
int hilo__epoll_await(struct poller *poller, struct poll_io *io);

/* [any] Take @io back. False: it does not wait. */
bool hilo__epoll_take_back(struct poller *poller, struct poll_io *io);

/* poller_ready.c. [any] As those of poll_io.h. @later: it is known to have to wait. */
bool hilo__ready_start(struct poller *poller, struct poll_io *io, bool later);
void hilo__ready_stop(struct poll_io *io);

/* [owner of @io, which is under way] Have it wait for readiness, and be made then. False: *@ret is how it has ended. */
bool hilo__ready_again(struct poller *poller, struct poll_io *io, int *ret);

/* [lock of its poll_fd] @io is ready, or has failed: op.result. Its call is made by hilo__ready_settle. */
void hilo__ready_due(struct poller *poller, struct poll_io *io);

/*
 * [any, no lock] Make the calls of @due, which is the caller's. Others of their descriptors may be due then, where the
 * kernel will not report those any more: hilo__ready_settle.
 */
void hilo__ready_make(struct poller *poller, struct list *due);

/* [any, no lock] Make the calls that are due. */
void hilo__ready_settle(struct poller *poller);

/* poller.c. [any, async-signal-safe] Write to the eventfd. */
void hilo__poller_signal(struct poller *poller);

/* [any, no lock] @io, which is nobody's now, completes with @result. */
void hilo__poller_complete_io(struct poller *poller, struct poll_io *io, int result);

/* poller_ring.c, poller_ring_end.c; the same as those of poller.h and poll_io.h. */
int hilo__ring_make(struct poll_ring **ret);
void hilo__ring_fini(struct poller *poller);
void hilo__ring_sever(struct poll_ring *ring);
void hilo__ring_abandon(struct poller *poller, hilo_time deadline);
/* @io is counted as armed. 0; -ECANCELED: it was told to end already; -ENOMEM; or RING_HAS_FALLEN. */
#define RING_HAS_FALLEN 1
int hilo__ring_start(struct poller *poller, struct poll_io *io);
/* True: it has completed. */
bool hilo__ring_stop(struct poll_io *io);
void hilo__ring_flush(struct poller *poller, enum poll_reaper reaper);
int hilo__ring_reap(struct poller *poller, unsigned max, enum poll_reaper reaper);
int hilo__ring_wait(struct poller *poller, hilo_time deadline);
bool hilo__ring_has_news(const struct poll_ring *ring);

#endif /* HILO_SCHEDULER_POLLER_IMPL_H */
