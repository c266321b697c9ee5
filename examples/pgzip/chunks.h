/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_CHUNKS_H
#define PGZIP_CHUNKS_H

#include "job.h"

#include <hilo/hilo.h>

#include <stddef.h>

/*
 * chunks.h - read-ahead and write-behind, for work that goes through a file in one line.
 *
 * Two chunks each: while the owner works with one, a task reads or writes the other. One owner task.
 */
struct chunk {
	unsigned char *data;
	size_t size;
	int length; /* what is in it; of a failed read, the error */
	struct job *job;
};

struct chunks {
	struct chunk chunk[2];
	unsigned turn;	    /* the owner's chunk */
	hilo_task *running; /* reads or writes the other one; NULL: nobody does */
};

/* 0 or -ENOMEM; to be ended by chunks_fini also then. */
int chunks_init(struct chunks *chunks, struct job *job, size_t size);

/* [suspends] Stop what is under way, and free. */
void chunks_fini(struct chunks *chunks);

/*
 * [suspends] The next chunk of the input in *@ret: the owner's until the next call, and of length 0
 * at the end. Meanwhile the one after it is read. A failure carries its message.
 */
int chunks_read(struct chunks *chunks, struct chunk **ret);

/* The chunk to be filled. */
struct chunk *chunks_current(struct chunks *chunks);

/*
 * [suspends] Write the current chunk behind the owner's back, and make the other one current, once
 * that has been written. A failure carries its message: also one of the chunk before.
 */
int chunks_write(struct chunks *chunks);

/* [suspends] Wait until all that was given to chunks_write is written. */
int chunks_flush(struct chunks *chunks);

#endif /* PGZIP_CHUNKS_H */
