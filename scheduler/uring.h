/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_URING_H
#define HILO_SCHEDULER_URING_H

/*
 * uring.h - io_uring: two queues in memory that is shared with the kernel, and three system calls. The constants are
 * those of the kernel's interface, written down here because distributions' headers lag behind kernels.
 *
 * Reference: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 *
 * P1  The kernel stores the submission queue's head, and the completion queue's tail, with release; we acquire. We
 *     store the submission queue's tail, and the completion queue's head, with release; the kernel acquires.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/base/atomic.h"

enum uring_code {
	URING_NOP = 0,
	URING_READV = 1,
	URING_WRITEV = 2,
	URING_FSYNC = 3,
	URING_POLL_ADD = 6,
	URING_SENDMSG = 9,
	URING_RECVMSG = 10,
	URING_TIMEOUT = 11,
	URING_ACCEPT = 13,
	URING_ASYNC_CANCEL = 14,
	URING_CONNECT = 16,
	URING_OPENAT = 18,
	URING_STATX = 21,
	URING_READ = 22,
	URING_WRITE = 23,
	URING_SEND = 26,
	URING_RECV = 27,
	URING_RENAMEAT = 35,
	URING_UNLINKAT = 36,
	URING_MKDIRAT = 37,
};

#define URING_POLL_MULTI 1u	   /* POLL_ADD, in len */
#define URING_CANCEL_ALL 1u	   /* ASYNC_CANCEL, in flags */
#define URING_CANCEL_ANY 4u	   /* likewise: all there are */
#define URING_FSYNC_DATA 1u	   /* FSYNC, in flags */
#define URING_RECV_POLL_FIRST 1u   /* RECV, SEND, in ioprio */
#define URING_CQE_MORE 2u	   /* the operation goes on */
#define URING_CQE_SOCK_NONEMPTY 4u /* after RECV */

/* A submission. */
struct uring_sqe {
	uint8_t code;
	uint8_t flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off;
	uint64_t addr;
	uint32_t len;
	uint32_t call_flags;
	uint64_t user_data;
	uint16_t buf_index;
	uint16_t personality;
	int32_t splice_fd;
	uint64_t addr3;
	uint64_t pad;
};

/* What TIMEOUT points to. */
struct uring_span {
	int64_t seconds, ns;
};

/* A completion. */
struct uring_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

struct uring {
	int fd;
	unsigned sq_entries, cq_mask;
	struct uring_sqe *sqes;
	const struct uring_cqe *cqes;
	atomic(uint32_t) * sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
	unsigned sq_mask;
	void *rings;
	size_t rings_size, sqes_size;
	bool is_lost; /* the descriptor is not ours any more */
};

/* [creator] -ENOSYS, -EPERM, -EMFILE, -ENFILE, -ENOMEM; -EOPNOTSUPP: not all that is needed is there. */
int hilo__uring_init(struct uring *ring, unsigned entries);
void hilo__uring_fini(struct uring *ring);

/*
 * [one at a time] The kernel is to end the ring, while others may still look at it: empty memory takes the place of
 * what was shared, and if @is_ours another descriptor, @stand_in, that of the ring. What was under way is ended by
 * and by, and nobody hears of it. 0, -ENOMEM: it goes on.
 */
int hilo__uring_sever(struct uring *ring, bool is_ours, int stand_in);

/* [any] Whether the kernel knows all that is used here; @ring works. 0, -EOPNOTSUPP. */
int hilo__uring_probe(const struct uring *ring);

/* [who fills it] The next submission, zeroed, or NULL: the queue is full. Counts when hilo__uring_push is called. */
static inline struct uring_sqe *uring_next(const struct uring *ring)
{
	uint32_t tail = load_relaxed(ring->sq_tail); /* relaxed: only the caller stores to it */

	if (tail - load_acquire(ring->sq_head) >= ring->sq_entries) /* P1 */
		return NULL;
	ring->sqes[tail & ring->sq_mask] = (struct uring_sqe){0};
	return &ring->sqes[tail & ring->sq_mask];
}

/* [who fills it] What uring_next gave is filled in. */
static inline void uring_push(const struct uring *ring)
{
	store_release(ring->sq_tail, load_relaxed(ring->sq_tail) + 1); /* P1; relaxed: as above */
}

/* [any] How many submissions the kernel has not taken. */
static inline unsigned uring_unsubmitted(const struct uring *ring)
{
	uint32_t head =
		load_acquire(ring->sq_head); /* P1; before the tail, so that the difference is not negative */

	return load_acquire(ring->sq_tail) - head; /* pairs with uring_push, of whoever has filled them in */
}

/* [who reaps] How many completions there are. */
static inline unsigned uring_completions(const struct uring *ring)
{
	uint32_t head = load_relaxed(ring->cq_head); /* relaxed: stored by who reaps; else a hint */

	return load_acquire(ring->cq_tail) - head; /* P1 */
}

/* [who reaps] Take up to @max completions; how many. */
unsigned hilo__uring_take(const struct uring *ring, struct uring_cqe *cqes, unsigned max);

/* [any] True: the kernel has completions that it will post when it is entered. */
bool hilo__uring_wants_enter(const struct uring *ring);

/*
 * [any] Give the kernel what it has not taken, and have it post completions. Sleeps until there is one if @span is
 * not 0: for @span ns, or, below 0, without a limit. A negative errno if nothing was taken, -ETIME after @span.
 */
int hilo__uring_enter(const struct uring *ring, int64_t span);

#endif /* HILO_SCHEDULER_URING_H */
