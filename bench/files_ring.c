/* SPDX-License-Identifier: MIT */
/* files_ring.c - see files_ring.h. */
#include "files_ring.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 64

int ring_open(struct ring *ring)
{
	struct io_uring_params setup = {.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG};
	unsigned *array;
	char *at;

	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &setup);
	if (ring->fd < 0)
		return -1;
	at = mmap(NULL,
		  setup.cq_off.cqes + setup.cq_entries * sizeof(struct io_uring_cqe) + setup.sq_off.array,
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, setup.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (at == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -1;
	ring->sq_tail = (unsigned *)(void *)(at + setup.sq_off.tail);
	ring->cq_head = (unsigned *)(void *)(at + setup.cq_off.head);
	ring->cq_tail = (unsigned *)(void *)(at + setup.cq_off.tail);
	ring->cqes = (struct io_uring_cqe *)(void *)(at + setup.cq_off.cqes);
	ring->mask = *(unsigned *)(void *)(at + setup.sq_off.ring_mask);
	ring->cq_mask = *(unsigned *)(void *)(at + setup.cq_off.ring_mask);
	ring->entries = setup.sq_entries;
	ring->queued = 0;
	array = (unsigned *)(void *)(at + setup.sq_off.array);
	for (unsigned i = 0; i < setup.sq_entries; i++)
		array[i] = i;
	return 0;
}

static struct io_uring_sqe *ring_next(struct ring *ring)
{
	struct io_uring_sqe *sqe = &ring->sqes[*ring->sq_tail & ring->mask];

	memset(sqe, 0, sizeof *sqe);
	return sqe;
}

void ring_run(struct ring *ring, long n, unsigned depth, void (*fill)(struct io_uring_sqe *sqe, long i),
	      void (*done)(long i, int result))
{
	long begun = 0, ended = 0;

	while (ended < n) {
		for (; begun < n && begun - ended < (long)depth; begun++) {
			struct io_uring_sqe *sqe = ring_next(ring);

			fill(sqe, begun);
			sqe->user_data = (unsigned long long)begun;
			__atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_RELEASE);
			ring->queued++;
		}
		(void)syscall(SYS_io_uring_enter, ring->fd, ring->queued, 1, IORING_ENTER_GETEVENTS, NULL, 0);
		ring->queued = 0;
		while (*ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
			const struct io_uring_cqe *cqe = &ring->cqes[*ring->cq_head & ring->cq_mask];

			done((long)cqe->user_data, cqe->res);
			ended++;
			__atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
		}
	}
}
