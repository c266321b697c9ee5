/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_PACKER_H
#define PGZIP_PACKER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * packer.h - deflate streams, kept for the next block: one stays warm in the cache of each worker.
 */

#define PACKER_HISTORY 32768u /* how far back deflate can refer */

struct packer;

/* Packers at rest. A task takes one, uses it alone, and gives it back. */
struct packers {
	int level;
	unsigned count;
	_Atomic(struct packer *) *rest; /* @count places, some of them NULL */
};

/* One block, deflated so that it can stand behind the block before it. */
struct packing {
	uint64_t number;	   /* of the block, from 0 */
	const unsigned char *data; /* with @history bytes of earlier data just before it */
	size_t length;
	size_t history;
	unsigned char *packed; /* room for packer_bound() bytes */
	size_t packed_size;
	size_t packed_length;
	int last; /* ends the stream */
};

/* @count places for packers at rest, best one for each worker. -ENOMEM. */
int packers_init(struct packers *packers, int level, unsigned count);
void packers_fini(struct packers *packers);

/* The most bytes that a block of @length becomes. */
size_t packer_bound(size_t length);

/* A packer for the calling task alone; NULL when out of memory. */
struct packer *packers_take(struct packers *packers);
void packers_give(struct packers *packers, struct packer *packer);

/* Deflate one block. May let other tasks run. 0, -ECANCELED, or a failure with its message. */
int packer_run(struct packer *packer, struct packing *packing);

#endif /* PGZIP_PACKER_H */
