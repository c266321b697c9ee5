/* SPDX-License-Identifier: MIT */
/*
 * compress.c - one gzip member, made by many tasks.
 *
 *     reader           reads batch i, spawns its tasks, goes on with batch i + 1
 *     compress tasks   one for each block of a batch: deflates it, knowing the 32 KiB before it; as
 *                      many at once as there are workers, in the order of the blocks
 *     write task       one for each batch: awaits the batch's compress tasks and the write task of
 *                      batch i - 1, then writes
 *
 *          batch 0          batch 1          batch 2
 *       +--------------+ +--------------+ +--------------+
 *       |   writing    | | compressing  | |   reading    |     and around again
 *       +--------------+ +--------------+ +--------------+
 *
 * A batch is what is read and written at once, so that there are few trips to the executor; a block
 * is what is compressed at once. The ring of batches bounds memory and holds the reader back: it
 * waits for a batch to be written before it reads the next one into it. A compress task waits for the
 * one that is as many blocks ahead as there are workers. So -p says how many blocks are compressed at
 * a time, and reader and write tasks, which have little to do but often, meet short queues. Order and
 * back-pressure come from waiting for tasks alone: no queue, no lock, no counter.
 *
 * Ownership  The reader owns every batch and every handle. A task borrows those it waits for: within its
 *            batch as they are, from elsewhere by a reference that its batch keeps.
 * Failure    A write task that fails keeps the message and cancels the reader, which may be waiting for
 *            input for long; later write tasks fail with it. The reader then cancels and awaits all
 *            that is left: when job_compress returns, nothing runs any more.
 */
#include "gzip.h"
#include "job.h"
#include "packer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/*
 * Bytes, unless a single block is larger. A task that has to wait for a worker which compresses waits
 * for some milliseconds; so the reader takes enough at a time for the workers not to run dry meanwhile.
 */
#define BATCH ((size_t)1024 * 1024)
#define BLOCK_LARGE ((size_t)512 * 1024)
#define BLOCK_SMALL ((size_t)128 * 1024)

struct block {
	struct batch *batch;
	struct packing packing;
	uint32_t crc;
	hilo_task *compressing; /* NULL: no such block now */
	hilo_task *ahead;	/* the compress task to wait for before this one begins */
};

struct batch {
	struct pipeline *pipeline;
	unsigned char *space; /* PACKER_HISTORY bytes, then the data */
	size_t history;	      /* bytes of the batch before that lie just before the data */
	size_t length;
	bool last;
	struct block *blocks;
	struct iovec *pieces; /* the blocks, as they are written */
	unsigned used;	      /* blocks of this turn */
	hilo_task *writing;   /* NULL: nothing is under way */
	hilo_task *before;    /* the write task of the batch before */
};

struct pipeline {
	struct job *job;
	hilo_task *reader; /* borrowed: it owns the pipeline */
	unsigned workers;
	struct packers packers;
	size_t block;	 /* bytes in a block */
	unsigned blocks; /* in a batch */
	unsigned count;	 /* batches */
	struct batch *batches;
	uint64_t turn; /* batches that were begun */
	/* The write tasks use these, one after the other; the reader, when they have ended. */
	struct failure failure;
	uint32_t crc;
	uint64_t length;
};

/* [task] One block, on whatever worker has time. */
static int compress_block(void *arg)
{
	struct block *block = arg;
	struct pipeline *pipeline = block->batch->pipeline;
	struct packer *packer;
	int ret = block->ahead ? hilo_await(block->ahead, HILO_FOREVER) : 0;

	if (ret < 0)
		return ret;
	packer = packers_take(&pipeline->packers);
	if (!packer)
		return -ENOMEM;
	block->crc = (uint32_t)crc32(0, block->packing.data, (uInt)block->packing.length);
	ret = packer_run(packer, &block->packing);
	packers_give(&pipeline->packers, packer);
	atomic_fetch_add_explicit(&pipeline->job->blocks[hilo_loop_index(hilo_loop_current())], 1,
				  memory_order_relaxed); /* counts, orders nothing */
	return ret;
}

/* [suspends] Wait for all blocks of a batch; the first failure counts. */
static int batch_await(struct batch *batch)
{
	unsigned i;
	int ret = 0, one;

	for (i = 0; i < batch->used; i++) {
		one = hilo_await(batch->blocks[i].compressing, HILO_FOREVER);
		if (ret >= 0)
			ret = one;
	}
	return ret;
}

/* [suspends] Write the blocks of a batch, and add them to the sums for the trailer. */
static int batch_write(struct batch *batch)
{
	struct pipeline *pipeline = batch->pipeline;
	size_t packed = 0;
	unsigned i;

	for (i = 0; i < batch->used; i++) {
		struct block *block = &batch->blocks[i];

		batch->pieces[i] = (struct iovec){block->packing.packed, block->packing.packed_length};
		packed += block->packing.packed_length;
		pipeline->crc =
			(uint32_t)crc32_combine(pipeline->crc, block->crc, (z_off_t)block->packing.length);
	}
	pipeline->length += batch->length;
	progress_add(&pipeline->job->progress, batch->length, packed);
	return output_write(&pipeline->job->output, batch->pieces, batch->used);
}

/* [task] A write task failed: the reader is not to wait for more input. */
static int pipeline_fail(struct pipeline *pipeline, int code)
{
	if (code == -ECANCELED) /* it was the reader that said so */
		return code;
	failure_note(&pipeline->failure, code);
	hilo_task_cancel(pipeline->reader);
	return code;
}

/* [task] Write a batch after the one before it. */
static int write_batch(void *arg)
{
	struct batch *batch = arg;
	int ret = batch->before ? hilo_await(batch->before, HILO_FOREVER) : 0;

	if (ret < 0)
		return ret; /* which that task has seen to */
	ret = batch_await(batch);
	if (ret >= 0)
		ret = batch_write(batch);
	return ret < 0 ? pipeline_fail(batch->pipeline, ret) : 0;
}

static bool task_has_ended(const hilo_task *task)
{
	return !task || hilo_task_is_done(task);
}

/*
 * End the handles of a batch, once all its tasks have ended: all of them together, as the write task
 * uses the others up to its own end.
 */
static void batch_release(struct batch *batch)
{
	unsigned i;

	for (i = 0; i < batch->used; i++)
		if (!task_has_ended(batch->blocks[i].compressing))
			return;
	if (!task_has_ended(batch->writing))
		return;
	for (i = 0; i < batch->used; i++) {
		hilo_task_unref(batch->blocks[i].compressing);
		hilo_task_unref(batch->blocks[i].ahead);
		batch->blocks[i].compressing = NULL;
		batch->blocks[i].ahead = NULL;
	}
	hilo_task_unref(batch->writing);
	hilo_task_unref(batch->before);
	batch->used = 0;
	batch->writing = NULL;
	batch->before = NULL;
}

/* [suspends] Wait until a batch is written, so that it can be used again. */
static int batch_finish(struct batch *batch)
{
	int written = batch->writing ? hilo_await(batch->writing, HILO_FOREVER) : 0;
	int compressed = batch_await(batch);

	batch_release(batch);
	return compressed < 0 ? compressed : written;
}

/* Cut what was read into blocks. The last batch of all has at least one, to end the stream with. */
static void batch_cut(struct batch *batch)
{
	struct pipeline *pipeline = batch->pipeline;
	uint64_t number = (pipeline->turn - 1) * pipeline->blocks;
	size_t size = pipeline->block, at = 0;
	struct packing *packing;

	batch->used = 0;
	do {
		packing = &batch->blocks[batch->used++].packing;
		packing->number = number++;
		packing->data = batch->space + PACKER_HISTORY + at;
		packing->length = batch->length - at < size ? batch->length - at : size;
		packing->history =
			batch->history + at < PACKER_HISTORY ? batch->history + at : PACKER_HISTORY;
		at += packing->length;
		packing->last = batch->last && at == batch->length;
	} while (at < batch->length);
}

/* [suspends] Read the next batch, behind the end of the one before, for matches across. */
static int batch_fill(struct batch *batch, const struct batch *previous)
{
	struct pipeline *pipeline = batch->pipeline;
	size_t size = pipeline->blocks * pipeline->block;
	const unsigned char *end;
	int length;

	if (previous) {
		end = previous->space + PACKER_HISTORY + previous->length;
		batch->history = previous->history + previous->length;
		if (batch->history > PACKER_HISTORY)
			batch->history = PACKER_HISTORY;
		memcpy(batch->space + PACKER_HISTORY - batch->history, end - batch->history, batch->history);
	}
	length = input_read(&pipeline->job->input, batch->space + PACKER_HISTORY, size);
	if (length < 0)
		return length;
	batch->length = (size_t)length;
	batch->last = batch->length < size;
	batch_cut(batch);
	return 0;
}

/* The compress task of block @number. */
static hilo_task *pipeline_compressing(struct pipeline *pipeline, uint64_t number)
{
	struct batch *batch = &pipeline->batches[number / pipeline->blocks % pipeline->count];

	return batch->blocks[number % pipeline->blocks].compressing;
}

/* A block whose task cannot be had is found by the write task: it waits for NULL and gets -ENOMEM. */
static int batch_start(struct batch *batch, const struct batch *previous)
{
	struct pipeline *pipeline = batch->pipeline;
	struct block *block;
	uint64_t number;
	unsigned i;

	for (i = 0; i < batch->used; i++) {
		block = &batch->blocks[i];
		number = block->packing.number;
		if (number >= pipeline->workers)
			block->ahead =
				hilo_task_ref(pipeline_compressing(pipeline, number - pipeline->workers));
		block->compressing = hilo_spawn(compress_block, block);
	}
	batch->before = previous ? hilo_task_ref(previous->writing) : NULL;
	batch->writing = hilo_spawn(write_batch, batch);
	return batch->writing ? 0 : -ENOMEM;
}

/* [suspends] The reader: all batches up to the last. */
static int pipeline_feed(struct pipeline *pipeline)
{
	struct batch *batch = NULL, *previous;
	int ret;

	do {
		previous = batch;
		batch = &pipeline->batches[pipeline->turn++ % pipeline->count];
		ret = batch_finish(batch);
		if (ret >= 0)
			ret = batch_fill(batch, previous);
		if (ret >= 0)
			ret = batch_start(batch, previous);
	} while (ret >= 0 && !batch->last);
	return ret;
}

/* [suspends] Wait for what is under way, oldest first. */
static int pipeline_drain(struct pipeline *pipeline)
{
	unsigned i;
	int ret = 0;

	for (i = 0; i < pipeline->count && ret >= 0; i++)
		ret = batch_finish(&pipeline->batches[(pipeline->turn + i) % pipeline->count]);
	return ret;
}

/* [suspends] Stop what is under way, also when the reader itself is to stop. */
static void pipeline_abort(struct pipeline *pipeline)
{
	struct batch *batch;
	unsigned i, j;

	hilo_shield_enter();
	for (i = 0; i < pipeline->count; i++) {
		batch = &pipeline->batches[i];
		for (j = 0; j < batch->used; j++)
			hilo_task_cancel(batch->blocks[j].compressing);
		hilo_task_cancel(batch->writing);
	}
	for (i = 0; i < pipeline->count; i++)
		batch_finish(&pipeline->batches[i]);
	hilo_shield_leave();
}

/* [suspends] All batches from the first to the last. */
static int pipeline_run(struct pipeline *pipeline)
{
	struct failure failure = {0};

	if (failure_note(&failure, pipeline_feed(pipeline)) >= 0)
		failure_note(&failure, pipeline_drain(pipeline));
	if (failure.code < 0)
		pipeline_abort(pipeline);
	if (pipeline->failure.code < 0) {
		hilo_task_uncancel(); /* the request of pipeline_fail */
		return failure_return(&pipeline->failure);
	}
	return failure_return(&failure);
}

static int batch_init(struct batch *batch, struct pipeline *pipeline)
{
	size_t size = pipeline->block, bound = packer_bound(size);
	unsigned char *packed = malloc(pipeline->blocks * bound);
	unsigned i;

	batch->pipeline = pipeline;
	batch->space = malloc(PACKER_HISTORY + pipeline->blocks * size);
	batch->blocks = calloc(pipeline->blocks, sizeof(*batch->blocks));
	batch->pieces = calloc(pipeline->blocks, sizeof(*batch->pieces));
	if (!packed || !batch->space || !batch->blocks || !batch->pieces) {
		free(packed);
		return -ENOMEM;
	}
	for (i = 0; i < pipeline->blocks; i++) {
		batch->blocks[i].batch = batch;
		batch->blocks[i].packing.packed = packed + i * bound;
		batch->blocks[i].packing.packed_size = bound;
	}
	return 0;
}

static void batch_fini(struct batch *batch)
{
	if (batch->blocks)
		free(batch->blocks[0].packing.packed);
	free(batch->blocks);
	free(batch->pieces);
	free(batch->space);
}

/*
 * The size of a block, where the command line names none. Large blocks cost less, since each begins
 * with learning the history: 2 % of the time at 128 KiB, half a percent at 512. Small ones give every
 * worker something to do in a small file.
 */
static size_t block_size(const struct job *job, unsigned workers)
{
	const struct stat *in = &job->input.stat;
	size_t size = BLOCK_LARGE;

	if (job->options->block > 0)
		return job->options->block;
	while (S_ISREG(in->st_mode) && size > BLOCK_SMALL &&
	       (uint64_t)in->st_size < 4 * (uint64_t)workers * size)
		size /= 2;
	return size;
}

static int pipeline_init(struct pipeline *pipeline, struct job *job)
{
	unsigned i;

	/* A batch to read, one to write, one to even out the pace; in between, two blocks for each worker. */
	memset(pipeline, 0, sizeof(*pipeline));
	pipeline->job = job;
	pipeline->reader = hilo_task_current();
	pipeline->workers = hilo_runtime_workers(hilo_runtime_current());
	pipeline->block = block_size(job, pipeline->workers);
	pipeline->blocks = pipeline->block < BATCH ? (unsigned)(BATCH / pipeline->block) : 1;
	pipeline->count = (2 * pipeline->workers + pipeline->blocks - 1) / pipeline->blocks + 3;
	pipeline->batches = calloc(pipeline->count, sizeof(*pipeline->batches));
	if (!pipeline->batches ||
	    packers_init(&pipeline->packers, job->options->level, pipeline->workers) < 0)
		return -ENOMEM;
	for (i = 0; i < pipeline->count; i++)
		if (batch_init(&pipeline->batches[i], pipeline) < 0)
			return -ENOMEM;
	return 0;
}

static void pipeline_fini(struct pipeline *pipeline)
{
	unsigned i;

	for (i = 0; pipeline->batches && i < pipeline->count; i++)
		batch_fini(&pipeline->batches[i]);
	free(pipeline->batches);
	packers_fini(&pipeline->packers);
}

static int header_write(struct job *job)
{
	unsigned char header[GZIP_HEADER_MAX];
	size_t length = gzip_header(header, job->options->level, job->input.path, &job->input.stat);

	progress_add(&job->progress, 0, length);
	return output_write(&job->output, &(struct iovec){header, length}, 1);
}

static int trailer_write(struct job *job, uint32_t crc, uint64_t length)
{
	unsigned char trailer[GZIP_TRAILER];

	gzip_trailer(trailer, crc, length);
	progress_add(&job->progress, 0, sizeof(trailer));
	return output_write(&job->output, &(struct iovec){trailer, sizeof(trailer)}, 1);
}

int job_compress(struct job *job)
{
	struct pipeline pipeline;
	int ret = pipeline_init(&pipeline, job);

	if (ret >= 0)
		ret = header_write(job);
	if (ret >= 0)
		ret = pipeline_run(&pipeline);
	if (ret >= 0)
		ret = trailer_write(job, pipeline.crc, pipeline.length);
	pipeline_fini(&pipeline);
	return ret;
}
