/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FILES_RING_H
#define BENCH_FILES_RING_H

/* files_ring.h - a bare ring of io_uring, for what operations on files cost there without anything around it. */
#include <linux/io_uring.h>

struct ring {
	int fd;
	unsigned mask, entries, cq_mask, queued;
	unsigned *sq_tail, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* 0, or -1: there are none here. */
int ring_open(struct ring *ring);

/*
 * Have @n operations made, @depth of them at a time; @fill prepares the @i-th, @done gets what it has answered.
 */
void ring_run(struct ring *ring, long n, unsigned depth, void (*fill)(struct io_uring_sqe *sqe, long i),
	      void (*done)(long i, int result));

#endif /* BENCH_FILES_RING_H */
