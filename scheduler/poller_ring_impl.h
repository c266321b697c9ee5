/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_POLLER_RING_IMPL_H
#define HILO_SCHEDULER_POLLER_RING_IMPL_H

/* poller_ring_impl.h - what the poller_ring*.c share; the protocol is at the head of poller_ring.c. */
#include "scheduler/poller_impl.h"
#include "scheduler/uring.h"

/* What a completion carries that is no operation's. */
#define USER_NOTHING 0
#define USER_WAKE 1
#define USER_EPOLL 2
#define USER_CANCEL 3
#define USER_AGAIN 4
#define USER_LAST USER_AGAIN

/* After so long the kernel is told once more to end what it has not, and then after twice as long, up to this. */
#define AGAIN_NS (5 * HILO_MILLISECOND)
#define AGAIN_MOST_NS (160 * HILO_MILLISECOND)

/* membarrier(2): makes all running threads of the process pass through the kernel, and is registered for before. */
#define MEMBARRIER_KICK (1 << 3)
#define MEMBARRIER_REGISTER (1 << 4)

/*
 * The operations that the kernel has. A place is filled under the lock, and emptied by who takes its completion; none
 * moves before the end. There are half as many again as are armed, so that a free one is found soon.
 */
#define PLACES 254
struct ring_places {
	struct ring_places *next;
	atomic(struct poll_io *) io[PLACES];
};

struct poll_ring {
	struct uring uring;
	struct spinlock lock;
	struct list queue;   /* operations to be started */
	struct list later;   /* receives that would have to wait */
	unsigned later_new;  /* how many of them came since the submission queue was filled last ... */
	unsigned later_aged; /* ... and before that; those that were stopped count as well */
	struct list cancels; /* operations to be ended */
	struct list told;    /* those that the kernel was told to end */
	bool watches_wake;   /* under the lock: the kernel was told to, by the owner, and has not ended it */
	bool watch_ended;    /* it has, and was not told anew */
	bool watches_epoll;
	bool again_wanted; /* under the lock, never both: a timer is to be set to tell the kernel once more ... */
	bool again_runs;	 /* ... it was set, and has not ended */
	struct uring_span again; /* for so long; only while it does not run */
	struct ring_places *places;
	struct ring_places *hand; /* where a free one is looked for next ... */
	unsigned next;		  /* ... from this one on */
	atomic(unsigned) room;	  /* how many places there are */
	atomic(bool) queued;	  /* there may be something for the kernel */
	atomic(bool) reaping;
	atomic(unsigned) finishing; /* threads that have taken completions, and not told of them yet */
	bool wake_seen;		    /* [owner] a wake-up's completion was found, and it has not slept since */
	bool adopted;		    /* [owner] wake-ups have been taken from epoll */
};

/* [any] hilo__uring_enter, counted. */
static inline int ring_enter(struct poller *poller, struct poll_ring *ring, int64_t span)
{
	(void)add_relaxed(&poller->counts.calls, 1); /* relaxed: statistics */
	return hilo__uring_enter(&ring->uring, span);
}

static inline struct poll_ring *ring_of(struct poller *poller)
{
	return load_acquire(&poller->ring); /* P2 of poller.c */
}

/* [lock] The oldest operation of @list, and a submission for it; NULL: none, or no room. */
static inline struct poll_io *ring_next(struct poll_ring *ring, struct list *list, struct uring_sqe **ret)
{
	struct list *first = list_first(list);

	*ret = first ? uring_next(&ring->uring) : NULL;
	if (!*ret)
		return NULL;
	list_del(first);
	return container_of(list_entry(first, struct poll_op, link), struct poll_io, op);
}

/* [lock] Something that was told to end has ended: the next that does not is told again soon, if there is no other. */
static inline void ring_has_ended(struct poll_ring *ring)
{
	if (!ring->again_runs && list_empty(&ring->told) && list_empty(&ring->cancels))
		ring->again.ns = AGAIN_NS;
}

/* [lock] Tell the kernel, as far as there is room, what it is to end; and when that is to be repeated, if it is. */
void hilo__ring_tell_cancels(struct poll_ring *ring);

/* [reaper] A cancel has not ended what it was for, which may be over nevertheless. */
void hilo__ring_not_cancelled(struct poll_ring *ring);

/* [reaper] The timer has ended: what was told to end and has not is told once more. */
void hilo__ring_cancel_again(struct poll_ring *ring);

/* [any] Whether the kernel will answer so whenever it is asked. */
bool hilo__ring_error_lasts(int error);

/*
 * [owner, not in a completion] The kernel refuses the ring, with @error: from now on all goes over readiness, what is
 * queued as well. What the kernel had been given ends with @error, whether it has had effect or not.
 */
void hilo__ring_fall(struct poller *poller, int error);

/* [reaper] Completions that were taken. How many operations they complete. */
int hilo__ring_finish_all(struct poller *poller, struct poll_ring *ring, const struct uring_cqe *cqes,
			  unsigned n, enum poll_reaper reaper);

/* [any] Make room for one more, which is counted as armed. 0, -ENOMEM. */
int hilo__ring_make_room(struct poller *poller, struct poll_ring *ring);

/* [any] Complete what the kernel has, @max at most; -EBUSY: somebody else is at it. */
int hilo__ring_consume(struct poller *poller, struct poll_ring *ring, unsigned max, enum poll_reaper reaper);

#endif /* HILO_SCHEDULER_POLLER_RING_IMPL_H */
