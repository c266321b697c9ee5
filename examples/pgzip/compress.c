/* SPDX-License-Identifier: MIT */
/*
 * compress.c - one gzip member, made by a pipeline (hilo/runtime/pipeline.h) of blocks:
 *
 *     read_block    one at a time: the next block of a batch; at its end, another batch is read
 *     pack_block    as many at once as there are workers: deflates it, knowing the 32 KiB before it
 *     write_block   in order: keeps it, and writes a batch when that is complete
 *
 *          batch 0          batch 1          batch 2
 *       +--------------+ +--------------+ +--------------+
 *       |   writing    | |   packing    | |   reading    |     and around again
 *       +--------------+ +--------------+ +--------------+
 *
 * A batch is what is read and written at once, so that there are few trips to the executor; a block
 * is what is compressed at once. Blocks leave the pipeline in their order, and fewer are in it than
 * the ring of batches has, less one batch: so what is read next has its place. Order, back-pressure,
 * the end after a failure or a cancel are the pipeline's business: no queue, no lock, no counter here.
 */
#include "gzip.h"
#include "job.h"
#include "packer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/*
 * Bytes, unless a single block is larger. Who has to wait for a worker which compresses waits for some
 * milliseconds; so enough is read at a time for the workers not to run dry meanwhile.
 */
#define BATCH ((size_t)1024 * 1024)
#define BLOCK_LARGE ((size_t)512 * 1024)
#define BLOCK_SMALL ((size_t)128 * 1024)

struct block {
	struct batch *batch;
	struct packing packing;
	uint32_t crc;
};

struct batch {
	unsigned char *space; /* PACKER_HISTORY bytes, then the data */
	size_t history;	      /* bytes of the batch before that lie just before the data */
	size_t length;
	bool last;
	struct block *blocks;
	struct iovec *pieces; /* the blocks, as they are written */
	unsigned used;	      /* blocks of this turn */
	unsigned given;	      /* of these, to the pipeline */
	unsigned packed;      /* of these, ready to be written */
};

struct compressor {
	struct job *job;
	unsigned workers;
	struct packers packers;
	size_t block;	 /* bytes in a block */
	unsigned blocks; /* in a batch */
	unsigned count;	 /* batches */
	struct batch *batches;
	struct batch *reading; /* NULL: nothing was read yet */
	uint64_t turn;	       /* batches that were begun */
	/* The last stage's; read at the end. */
	uint32_t crc;
	uint64_t length;
};

/* Cut what was read into blocks. The last batch of all has at least one, to end the stream with. */
static void batch_cut(struct compressor *compressor, struct batch *batch)
{
	uint64_t number = (compressor->turn - 1) * compressor->blocks;
	size_t size = compressor->block, at = 0;
	struct packing *packing;

	batch->used = batch->given = batch->packed = 0;
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
static int batch_fill(struct compressor *compressor)
{
	struct batch *previous = compressor->reading;
	struct batch *batch = &compressor->batches[compressor->turn++ % compressor->count];
	size_t size = compressor->blocks * compressor->block;
	const unsigned char *end;
	int length;

	if (previous) {
		end = previous->space + PACKER_HISTORY + previous->length;
		batch->history = previous->history + previous->length;
		if (batch->history > PACKER_HISTORY)
			batch->history = PACKER_HISTORY;
		memcpy(batch->space + PACKER_HISTORY - batch->history, end - batch->history, batch->history);
	}
	length = input_read(&compressor->job->input, batch->space + PACKER_HISTORY, size);
	if (length < 0)
		return length;
	batch->length = (size_t)length;
	batch->last = batch->length < size;
	batch_cut(compressor, batch);
	compressor->reading = batch;
	return 0;
}

/* [stage, suspends] */
static int read_block(void **item, void *arg)
{
	struct compressor *compressor = arg;
	struct batch *batch = compressor->reading;
	int ret;

	if (!batch || batch->given == batch->used) {
		if (batch && batch->last)
			return 0;
		ret = batch_fill(compressor);
		if (ret < 0)
			return ret;
		batch = compressor->reading;
	}
	*item = &batch->blocks[batch->given++];
	return 1;
}

/* [stage, suspends] On whatever worker has time. */
static int pack_block(void **item, void *arg)
{
	struct compressor *compressor = arg;
	struct block *block = *item;
	struct packer *packer = packers_take(&compressor->packers);
	int ret;

	if (!packer)
		return -ENOMEM;
	block->crc = (uint32_t)crc32(0, block->packing.data, (uInt)block->packing.length);
	ret = packer_run(packer, &block->packing);
	packers_give(&compressor->packers, packer);
	atomic_fetch_add_explicit(&compressor->job->blocks[hilo_loop_index(hilo_loop_current())], 1,
				  memory_order_relaxed); /* counts, orders nothing */
	return ret;
}

/* [stage, suspends] Add a block to the sums for the trailer; with the last one of its batch all are written. */
static int write_block(void **item, void *arg)
{
	struct compressor *compressor = arg;
	struct block *block = *item;
	struct packing *packing = &block->packing;
	struct batch *batch = block->batch;
	struct progress *progress = &compressor->job->progress;

	batch->pieces[batch->packed++] = (struct iovec){packing->packed, packing->packed_length};
	compressor->crc = (uint32_t)crc32_combine(compressor->crc, block->crc, (z_off_t)packing->length);
	compressor->length += packing->length;
	progress_add(progress, packing->length, packing->packed_length);
	if (batch->packed < batch->used)
		return 0;
	return output_write(&compressor->job->output, batch->pieces, batch->packed);
}

/* [suspends] All blocks from the first to the last. */
static int compressor_run(struct compressor *compressor)
{
	bool several = compressor->workers > 1;
	const hilo_stage stages[] = {
		{.fn = read_block, .arg = compressor},
		{.fn = pack_block,
		 .arg = compressor,
		 .kind = several ? HILO_STAGE_PARALLEL : HILO_STAGE_IN_ORDER, /* a single packer goes on */
		 .most = several ? compressor->workers : 0},
		{.fn = write_block, .arg = compressor},
	};
	hilo_pipeline_opts opts = {.size = sizeof(opts)};

	opts.in_flight = (compressor->count - 1) * compressor->blocks;
	return hilo_pipeline_run(stages, 3, &opts, HILO_FOREVER);
}

static int batch_init(struct batch *batch, const struct compressor *compressor)
{
	size_t size = compressor->block, bound = packer_bound(size);
	unsigned char *packed = malloc(compressor->blocks * bound);
	unsigned i;

	batch->space = malloc(PACKER_HISTORY + compressor->blocks * size);
	batch->blocks = calloc(compressor->blocks, sizeof(*batch->blocks));
	batch->pieces = calloc(compressor->blocks, sizeof(*batch->pieces));
	if (!packed || !batch->space || !batch->blocks || !batch->pieces) {
		free(packed);
		return -ENOMEM;
	}
	for (i = 0; i < compressor->blocks; i++) {
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

static int compressor_init(struct compressor *compressor, struct job *job)
{
	unsigned i;

	/* A batch to read, one to write, one to even out the pace; in between, two blocks for each worker. */
	memset(compressor, 0, sizeof(*compressor));
	compressor->job = job;
	compressor->workers = hilo_runtime_workers(hilo_runtime_current());
	compressor->block = block_size(job, compressor->workers);
	compressor->blocks = compressor->block < BATCH ? (unsigned)(BATCH / compressor->block) : 1;
	compressor->count = (2 * compressor->workers + compressor->blocks - 1) / compressor->blocks + 3;
	compressor->batches = calloc(compressor->count, sizeof(*compressor->batches));
	if (!compressor->batches ||
	    packers_init(&compressor->packers, job->options->level, compressor->workers) < 0)
		return -ENOMEM;
	for (i = 0; i < compressor->count; i++)
		if (batch_init(&compressor->batches[i], compressor) < 0)
			return -ENOMEM;
	return 0;
}

static void compressor_fini(struct compressor *compressor)
{
	unsigned i;

	for (i = 0; compressor->batches && i < compressor->count; i++)
		batch_fini(&compressor->batches[i]);
	free(compressor->batches);
	packers_fini(&compressor->packers);
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
	struct compressor compressor;
	int ret = compressor_init(&compressor, job);

	if (ret >= 0)
		ret = header_write(job);
	if (ret >= 0)
		ret = compressor_run(&compressor);
	if (ret >= 0)
		ret = trailer_write(job, compressor.crc, compressor.length);
	compressor_fini(&compressor);
	return ret;
}
