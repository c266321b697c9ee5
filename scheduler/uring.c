/* SPDX-License-Identifier: MIT */
/*
 * uring.c - setting up a ring, and entering it.
 *
 * Flags: COOP_TASKRUN, so that the kernel does not interrupt a thread for each completion, and TASKRUN_FLAG, so that
 * we see when it has some for us. DEFER_TASKRUN would be a few per cent faster, and is refused: the completions of a
 * thread that sits in a system call of its own would not show up until it returns, and others could not fetch them.
 * NO_SQARRAY where there is one (Linux 6.6): one indirection less.
 */
#include "scheduler/uring.h"

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define SETUP_CQSIZE (1u << 3)
#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_COOP_TASKRUN (1u << 8)
#define SETUP_TASKRUN_FLAG (1u << 9)
#define SETUP_NO_SQARRAY (1u << 16)
#define SETUP_WANTED (SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG)

#define FEATURE_SINGLE_MMAP (1u << 0)
#define FEATURE_NODROP (1u << 1)
#define FEATURE_SUBMIT_STABLE (1u << 2)
#define FEATURE_FAST_POLL (1u << 5)
#define FEATURE_EXT_ARG (1u << 8)
#define FEATURES_NEEDED                                                                                      \
	(FEATURE_SINGLE_MMAP | FEATURE_NODROP | FEATURE_SUBMIT_STABLE | FEATURE_FAST_POLL | FEATURE_EXT_ARG)

#define SQ_OVERFLOW 2u
#define SQ_TASKRUN 4u
#define ENTER_GETEVENTS 1u
#define ENTER_EXT_ARG 8u
#define REGISTER_PROBE 8u
#define PROBE_SUPPORTED 1u
#define MMAP_RINGS 0
#define MMAP_SQES 0x10000000
/* Completions that fit without the kernel keeping them elsewhere: as many as submissions, times this. */
#define CQ_FACTOR 4

struct setup_sq {
	uint32_t head, tail, mask, entries, flags, dropped, array, pad;
	uint64_t address;
};

struct setup_cq {
	uint32_t head, tail, mask, entries, overflow, cqes, flags, pad;
	uint64_t address;
};

struct setup {
	uint32_t sq_entries, cq_entries, flags, cpu, idle, features, wq_fd, pad[3];
	struct setup_sq sq;
	struct setup_cq cq;
};

struct enter_arg {
	uint64_t mask;
	uint32_t mask_size, least_us;
	uint64_t timeout;
};

struct probe {
	uint8_t last, count;
	uint16_t pad;
	uint32_t more[3];
	struct {
		uint8_t code, pad;
		uint16_t flags;
		uint32_t more;
	} known[64];
};

static int uring_setup(struct setup *setup, unsigned entries)
{
	int rc;

	*setup = (struct setup){.flags = SETUP_WANTED | SETUP_NO_SQARRAY, .cq_entries = entries * CQ_FACTOR};
	rc = hilo__sys_io_uring_setup(entries, setup);
	if (rc != -EINVAL)
		return rc;
	*setup = (struct setup){.flags = SETUP_WANTED, .cq_entries = entries * CQ_FACTOR};
	rc = hilo__sys_io_uring_setup(entries, setup);
	return rc == -EINVAL ? -EOPNOTSUPP : rc;
}

static int uring_map(struct uring *ring, const struct setup *setup)
{
	size_t sq = setup->sq.array +
		    (setup->flags & SETUP_NO_SQARRAY ? 0 : setup->sq_entries * sizeof(uint32_t));
	size_t cq = setup->cq.cqes + setup->cq_entries * sizeof(struct uring_cqe);
	void *sqes = NULL;
	int rc;

	ring->rings_size = sq > cq ? sq : cq;
	ring->sqes_size = setup->sq_entries * sizeof(struct uring_sqe);
	rc = hilo__sys_mmap_file(ring->fd, ring->rings_size, MMAP_RINGS, &ring->rings);
	if (rc < 0)
		return rc;
	rc = hilo__sys_mmap_file(ring->fd, ring->sqes_size, MMAP_SQES, &sqes);
	if (rc < 0) {
		(void)hilo__sys_munmap(ring->rings, ring->rings_size);
		return rc;
	}
	/* Not for a child: both would take from, and add to, the same queues. */
	(void)hilo__sys_madvise(ring->rings, ring->rings_size, MADV_DONTFORK);
	(void)hilo__sys_madvise(sqes, ring->sqes_size, MADV_DONTFORK);
	ring->sqes = sqes;
	return 0;
}

static inline void *ring_at(const struct uring *ring, uint32_t offset)
{
	return (char *)ring->rings + offset;
}

static void uring_find(struct uring *ring, const struct setup *setup)
{
	ring->sq_entries = setup->sq_entries;
	ring->sq_mask = *(uint32_t *)ring_at(ring, setup->sq.mask);
	ring->cq_mask = *(uint32_t *)ring_at(ring, setup->cq.mask);
	ring->sq_head = ring_at(ring, setup->sq.head);
	ring->sq_tail = ring_at(ring, setup->sq.tail);
	ring->sq_flags = ring_at(ring, setup->sq.flags);
	ring->cq_head = ring_at(ring, setup->cq.head);
	ring->cq_tail = ring_at(ring, setup->cq.tail);
	ring->cqes = ring_at(ring, setup->cq.cqes);
	if (!(setup->flags & SETUP_NO_SQARRAY)) {
		uint32_t *array = ring_at(ring, setup->sq.array);

		for (uint32_t i = 0; i < setup->sq_entries; i++)
			array[i] = i;
	}
}

int hilo__uring_init(struct uring *ring, unsigned entries)
{
	struct setup setup;
	int rc = uring_setup(&setup, entries);

	if (rc < 0)
		return rc;
	*ring = (struct uring){.fd = rc};
	rc = (setup.features & FEATURES_NEEDED) == FEATURES_NEEDED ? uring_map(ring, &setup) : -EOPNOTSUPP;
	if (rc < 0) {
		(void)hilo__sys_close(ring->fd);
		return rc;
	}
	uring_find(ring, &setup);
	return 0;
}

void hilo__uring_fini(struct uring *ring)
{
	(void)hilo__sys_munmap(ring->sqes, ring->sqes_size);
	(void)hilo__sys_munmap(ring->rings, ring->rings_size);
	if (!ring->is_lost)
		(void)hilo__sys_close(ring->fd);
}

int hilo__uring_sever(struct uring *ring, bool is_ours, int stand_in)
{
	void *at;
	int rc = hilo__sys_mmap(ring->rings, ring->rings_size, PROT_READ | PROT_WRITE, MAP_FIXED, &at);

	if (rc == 0)
		rc = hilo__sys_mmap(ring->sqes, ring->sqes_size, PROT_READ | PROT_WRITE, MAP_FIXED, &at);
	ring->is_lost = !is_ours;
	if (is_ours)
		(void)hilo__sys_dup3(stand_in, ring->fd, O_CLOEXEC);
	return rc;
}

int hilo__uring_probe(const struct uring *ring)
{
	static const uint8_t needed[] = {
		URING_READV,   URING_WRITEV,   URING_FSYNC,    URING_POLL_ADD,	   URING_SENDMSG,
		URING_RECVMSG, URING_TIMEOUT,  URING_ACCEPT,   URING_ASYNC_CANCEL, URING_CONNECT,
		URING_OPENAT,  URING_STATX,    URING_READ,     URING_WRITE,	   URING_SEND,
		URING_RECV,    URING_RENAMEAT, URING_UNLINKAT, URING_MKDIRAT,
	};
	struct probe *probe = hilo__calloc(1, sizeof(*probe));
	int rc;

	if (!probe)
		return -ENOMEM;
	rc = hilo__sys_io_uring_register(ring->fd, REGISTER_PROBE, probe, array_size(probe->known));
	for (size_t i = 0; rc >= 0 && i < sizeof(needed); i++)
		if (needed[i] > probe->last || !(probe->known[needed[i]].flags & PROBE_SUPPORTED))
			rc = -EOPNOTSUPP;
	hilo__free(probe);
	return rc < 0 ? rc : 0;
}

unsigned hilo__uring_take(const struct uring *ring, struct uring_cqe *cqes, unsigned max)
{
	uint32_t head = load_relaxed(ring->cq_head); /* relaxed: only who reaps stores to it */
	unsigned n = uring_completions(ring);

	n = n < max ? n : max;
	for (unsigned i = 0; i < n; i++)
		cqes[i] = ring->cqes[(head + i) & ring->cq_mask];
	if (n)
		store_release(ring->cq_head, head + n); /* P1 */
	return n;
}

bool hilo__uring_wants_enter(const struct uring *ring)
{
	return load_relaxed(ring->sq_flags) & (SQ_TASKRUN | SQ_OVERFLOW); /* relaxed: a hint */
}

int hilo__uring_enter(const struct uring *ring, int64_t span)
{
	struct uring_span timeout = {span / 1000000000, span % 1000000000};
	struct enter_arg arg = {.timeout = span > 0 ? (uintptr_t)&timeout : 0};

	return hilo__sys_io_uring_enter(ring->fd, uring_unsubmitted(ring), span != 0,
					ENTER_GETEVENTS | ENTER_EXT_ARG, &arg, sizeof(arg));
}
