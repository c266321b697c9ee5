/* SPDX-License-Identifier: MIT */
/*
 * chunks.c - a task at a time that reads ahead or writes behind.
 */
#include "chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int chunks_init(struct chunks *chunks, struct job *job, size_t size)
{
	int i;

	memset(chunks, 0, sizeof(*chunks));
	for (i = 0; i < 2; i++) {
		chunks->chunk[i].job = job;
		chunks->chunk[i].size = size;
		chunks->chunk[i].data = malloc(size);
		if (!chunks->chunk[i].data)
			return -ENOMEM;
	}
	return 0;
}

/* [suspends] Wait for the task that runs. Its handle stays when the wait is cancelled. */
static int chunks_await(struct chunks *chunks)
{
	int ret;

	if (!chunks->running)
		return 0;
	ret = hilo_await(chunks->running, HILO_FOREVER);
	if (hilo_task_is_done(chunks->running)) {
		hilo_task_unref(chunks->running);
		chunks->running = NULL;
	}
	return ret;
}

void chunks_fini(struct chunks *chunks)
{
	hilo_shield_enter();
	if (chunks->running)
		hilo_task_cancel(chunks->running);
	chunks_await(chunks);
	hilo_shield_leave();
	free(chunks->chunk[0].data);
	free(chunks->chunk[1].data);
}

/*
 * [suspends] Let a task do @entry with @chunk. The yield lets it begin now: with a single worker it
 * would otherwise begin only when the owner waits for it, and nothing would overlap.
 */
static int chunks_run(struct chunks *chunks, hilo_task_fn entry, struct chunk *chunk)
{
	chunks->running = hilo_spawn(entry, chunk);
	if (!chunks->running)
		return -ENOMEM;
	return hilo_yield();
}

/* [task] */
static int chunk_read(void *arg)
{
	struct chunk *chunk = arg;

	chunk->length = input_read(&chunk->job->input, chunk->data, chunk->size);
	return chunk->length;
}

/* [task] */
static int chunk_write(void *arg)
{
	struct chunk *chunk = arg;

	return output_write(&chunk->job->output, &(struct iovec){chunk->data, (size_t)chunk->length}, 1);
}

int chunks_read(struct chunks *chunks, struct chunk **ret)
{
	struct chunk *next = &chunks->chunk[chunks->turn ^ 1];
	int code;

	if (!chunks->running) { /* the first one */
		code = chunks_run(chunks, chunk_read, next);
		if (code < 0)
			return code;
	}
	code = chunks_await(chunks);
	if (code < 0)
		return code;
	chunks->turn ^= 1;
	*ret = next;
	return next->length == 0 ? 0 : chunks_run(chunks, chunk_read, &chunks->chunk[chunks->turn ^ 1]);
}

struct chunk *chunks_current(struct chunks *chunks)
{
	return &chunks->chunk[chunks->turn];
}

int chunks_write(struct chunks *chunks)
{
	int ret = chunks_await(chunks);

	if (ret < 0)
		return ret;
	ret = chunks_run(chunks, chunk_write, chunks_current(chunks));
	chunks->turn ^= 1;
	chunks_current(chunks)->length = 0;
	return ret;
}

int chunks_flush(struct chunks *chunks)
{
	return chunks_await(chunks);
}
