/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_POLL_TABLE_H
#define HILO_SCHEDULER_POLL_TABLE_H

/*
 * poll_table.h - from the number of a descriptor to what a poller knows of it.
 *
 *	array -> chunk of 64 -> poll_fd
 *
 * The array reaches as far as the highest number that was ever used, and only chunks that were used
 * exist: a loop that serves a part of a program's descriptors pays for about that part. Finding takes
 * no lock and two loads. Nothing is given back before the end: numbers of descriptors are reused.
 *
 * P1  Arrays and chunks are stored with release, once filled in; poll_table_find acquires.
 */
#include "scheduler/base/atomic.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"

#define POLL_CHUNK 64

/* One descriptor; all of it is under its lock. The back end's, which says what the fields mean. */
struct poll_fd {
	struct spinlock lock;
	uint8_t armed;	   /* what the kernel will report */
	uint8_t unwanted;  /* how often in a row nobody wanted it */
	bool lasting;	   /* it will report it again and again */
	bool known;	   /* it was told of the descriptor, and may have forgotten it since */
	uint32_t sequence; /* of the last registration */
	struct list ops;   /* what waits */
};

struct poll_chunk {
	struct poll_fd fd[POLL_CHUNK];
};

/* A longer array replaces a shorter one, which others may still be reading: it is kept. */
struct poll_array {
	struct poll_array *older;
	size_t size;
	atomic(struct poll_chunk *) chunk[];
};

/* Zero is an empty table. */
struct poll_table {
	struct spinlock growing; /* for storing to all that follows */
	atomic(struct poll_array *) array;
};

/* [any] What is known of @fd, not negative; or NULL. */
static inline struct poll_fd *poll_table_find(struct poll_table *table, int fd)
{
	struct poll_array *array = load_acquire(&table->array); /* P1 */
	size_t index = (unsigned)fd / POLL_CHUNK;
	struct poll_chunk *chunk;

	if (!array || index >= array->size)
		return NULL;
	chunk = load_acquire(&array->chunk[index]); /* P1 */
	return chunk ? &chunk->fd[(unsigned)fd % POLL_CHUNK] : NULL;
}

/* [any] The same, making what is missing. -ENOMEM: the table is as it was. */
int hilo__poll_table_make(struct poll_table *table, int fd, struct poll_fd **ret);

/* [creator] Free what the table holds. */
void hilo__poll_table_fini(struct poll_table *table);

#endif /* HILO_SCHEDULER_POLL_TABLE_H */
