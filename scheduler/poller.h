/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_POLLER_H
#define HILO_SCHEDULER_POLLER_H

/*
 * poller.h - operations that the kernel completes. An operation is submitted, perhaps cancelled, and
 * completed by whoever reaps: any thread does any of it. What is behind is the back end's business.
 *
 * The operation may lie on the stack of the one who waits for it. The contract that makes this safe
 * is that of timer.h:
 *
 *	complete(op) is called with a lock held. It may read the operation and wake somebody; it must
 *	not suspend, and of this poller it may call nothing but wake. When it has returned, the poller stores
 *	"not pending" as the last thing it does to the operation.
 *	The waiter calls hilo__poller_cancel on every way out, even if it was complete that woke it.
 *	Whatever cancel answers, afterwards nobody touches the operation: it can go out of scope.
 *
 * Descriptors belong to the caller, who may close them when no operation waits for them. If one is
 * closed all the same, its operations end by cancel, by the deadline, or with -EBADF once the
 * number is in use again; they never see an event of the file that has the number next.
 */
#include <hilo/runtime/types.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"

/* The same values as HILO_READABLE and HILO_WRITABLE. */
#define POLL_READABLE 1u
#define POLL_WRITABLE 2u
#define POLL_EVENTS (POLL_READABLE | POLL_WRITABLE)

/* What an operation waits for, and how often it completes. */
enum poll_kind {
	/* One of `events`. Completes once, with those that are there; all of them if the file is broken. */
	POLL_OP_WAIT = 0,
	/*
	 * The same, again and again: after each completion the operation stays submitted, but silent
	 * until hilo__poller_resume. Ends with cancel, or with a result below zero.
	 */
	POLL_OP_WATCH = 1,
};

/*
 * In `flags`. The caller promises to call hilo__poller_forget before it closes the descriptor, and
 * tries again should the file turn out not to be ready. Most waits then cost no system call.
 */
#define POLL_KEPT 1u

/* The most events that one reap or wait takes from the kernel. */
#define POLL_BATCH 64

/* One operation. Zero, but for the fields of the caller, is one that is not submitted. */
struct poll_op {
	struct list link; /* the poller's */
	void (*complete)(struct poll_op *op);
	int fd;
	int result; /* when it completes: the events, > 0, or a negative errno */
	uint8_t kind;
	uint8_t events;
	uint8_t flags;
	uint8_t silent; /* the poller's */
	atomic(uint32_t) pending;
};

/* What it has done, for statistics. */
struct poller_counts {
	atomic(uint64_t) operations; /* of poll_io.h, given to a ring */
	atomic(uint64_t) polls;	     /* times that the kernel was told what to watch a descriptor for */
	atomic(uint64_t) given_up;   /* operations that the kernel did not end */
	atomic(uint64_t) calls;	     /* to hand over, fetch and sleep: io_uring_enter, epoll_wait */
};

/* The poller of one loop, to be embedded. */
struct poller {
	atomic(uint32_t) armed; /* operations submitted and neither completed nor cancelled */
	atomic(uint32_t) woken; /* a wake-up is on its way, or was not yet seen */
	int wake_fd;
	bool is_ring;	      /* operations of poll_io.h go to a ring, which is made for the first of them */
	atomic(bool) closing; /* nothing is started any more */
	atomic(bool) fallen;  /* the kernel refuses the ring: all is as if it were none */
	struct spinlock making; /* the ring */
	atomic(struct poll_ring *) ring;
	struct poll_backend *backend;
	struct poller_counts counts;
};

/* [waiter] Prepare @op, which is not submitted. */
static inline void poll_op_init(struct poll_op *op, enum poll_kind kind, int fd, unsigned events,
				void (*complete)(struct poll_op *op))
{
	list_init(&op->link);
	op->complete = complete;
	op->fd = fd;
	op->result = 0;
	op->kind = (uint8_t)kind;
	op->events = (uint8_t)events;
	op->flags = 0;
	op->silent = 0;
	atomic_setup(&op->pending, 0);
}

/*
 * [any] Whether this kernel has rings that serve, and lets us have them: 0; -ENOSYS, -EPERM (a filter of system
 * calls, or io_uring_disabled), -EOPNOTSUPP (too old). Asks once.
 */
int hilo__poller_ring_works(void);

/* [creator] @is_ring: it works. -EMFILE, -ENFILE, -ENOMEM: nothing was made. */
int hilo__poller_init(struct poller *poller, bool is_ring);

/* [creator] Nobody else uses it any more: what is started from here on completes at once, with -ECANCELED. */
void hilo__poller_close(struct poller *poller);

/*
 * [creator] It is closed: cancel what is still submitted, and wait for what the kernel still does, up to @deadline;
 * what it has not ended by then is given up (poll_io.h), and named in the log. True: there was something.
 */
bool hilo__poller_abandon(struct poller *poller, hilo_time deadline);

/*
 * [child of fork, alone] What is behind it is the parent's: let go of that, without touching it. Nothing is started
 * here any more, nor submitted: -EBADF.
 */
void hilo__poller_sever(struct poller *poller);

/* [creator] No operation may be submitted, nobody may sleep in it. */
void hilo__poller_fini(struct poller *poller);

/*
 * [any] Submit @op, which must not be submitted. 0: it will complete, perhaps it has already. Less:
 * it was not submitted and will not complete. -EBADF; -EPERM: a regular file; -EINVAL: no events;
 * -ENOMEM; -ENOSPC: the user's limit of watched files; -ELOOP.
 */
int hilo__poller_submit(struct poller *poller, struct poll_op *op);

/*
 * [any] True: it will not complete any more. False: complete has been called, for the last time, and
 * has returned, or it was never submitted. See above. Takes no lock if it has completed.
 */
bool hilo__poller_cancel(struct poller *poller, struct poll_op *op);

/*
 * [any] The completion of the POLL_OP_WATCH @op was dealt with: look again. Cannot fail; if the
 * descriptor has gone bad meanwhile, @op completes for the last time, perhaps within this call.
 * Nothing if it was cancelled.
 */
void hilo__poller_resume(struct poller *poller, struct poll_op *op);

/*
 * [any] @fd is about to be closed: whatever still waits for it completes with -EBADF, and nothing is
 * remembered about the number. Needed only for POLL_KEPT.
 */
void hilo__poller_forget(struct poller *poller, int fd);

/* Who reaps. */
enum poll_reaper {
	POLL_OWNER, /* the thread that sleeps in this poller, or no other one does */
	POLL_GUEST, /* another one */
};

/*
 * [any] Complete what is ready, without waiting: of @max descriptors, POLL_BATCH at most. Returns how many
 * operations that were; -EBUSY if another thread is at it. No system call if nothing is submitted. What was started
 * before gets to the kernel; of an owner's, a receive that has to wait may do so a turn later.
 */
int hilo__poller_reap(struct poller *poller, unsigned max, enum poll_reaper reaper);

/* [any] Whether reap would find something at once, as far as one can see without a system call. */
bool hilo__poller_has_news(const struct poller *poller);

/*
 * [owner] As reap, but sleeps until something completes, a wake-up, or @deadline (HILO_FOREVER: none;
 * passed: does not sleep). Returns how many completed; may return 0 early, after a signal for
 * instance. The causes of the wake-ups that ended it are visible after it.
 * The lateness of the deadline depends on the thread's timer slack, which is the caller's business.
 */
int hilo__poller_wait(struct poller *poller, hilo_time deadline);

/*
 * [any, async-signal-safe] End the owner's present wait, or its next one at once. A second one before
 * the owner has returned from wait costs no system call. Leaves errno as it was.
 */
void hilo__poller_wake(struct poller *poller);

/* [any] How many operations are submitted, at some moment during the call. */
static inline unsigned hilo__poller_armed(const struct poller *poller)
{
	return load_relaxed(&((struct poller *)poller)->armed); /* relaxed: a hint; the owner sees its own */
}

#endif /* HILO_SCHEDULER_POLLER_H */
