/* SPDX-License-Identifier: MIT */
/*
 * packer.c - one block through zlib, and the pool of deflate streams.
 *
 * Packers at rest lie in as many places as there are workers, and a task looks first in the place of
 * its own worker, where it finds the packer that this core used last. That is a habit, not a right:
 * a place may be empty, because a task can be moved to another worker at hilo_checkpoint with its
 * packer in hand, and then the next place is tried, and in the end a new packer is made. So a packer
 * is taken and given back by atomic exchange, and never found through the worker again.
 */
#include "packer.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#define RAW_DEFLATE (-15)	  /* windowBits: 32 KiB, without header and trailer */
#define MEMORY_LEVEL 8		  /* zlib's default, and gzip's */
#define PIECE ((size_t)64 * 1024) /* deflated without a look at other tasks: some 2 ms of work */
#define NOWHERE UINT64_MAX	  /* a packer that has to begin anew */
#define FLUSH_ROOM 64		  /* bytes that a flush may add to compressBound */

struct packer {
	z_stream stream;
	bool alone;    /* the only one, so that it makes all blocks, in their order */
	uint64_t next; /* the number of the block that goes on where the stream stands */
};

static struct packer *packer_new(int level, bool alone)
{
	struct packer *packer = calloc(1, sizeof(*packer));

	if (!packer)
		return NULL;
	packer->alone = alone;
	packer->next = NOWHERE;
	if (deflateInit2(&packer->stream, level, Z_DEFLATED, RAW_DEFLATE, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
	    Z_OK) {
		free(packer);
		return NULL;
	}
	return packer;
}

static void packer_free(struct packer *packer)
{
	if (!packer)
		return;
	deflateEnd(&packer->stream);
	free(packer);
}

int packers_init(struct packers *packers, int level, unsigned count)
{
	packers->level = level;
	packers->count = count;
	packers->rest = calloc(count, sizeof(*packers->rest));
	return packers->rest ? 0 : -ENOMEM;
}

void packers_fini(struct packers *packers)
{
	unsigned i;

	for (i = 0; packers->rest && i < packers->count; i++)
		packer_free(atomic_load_explicit(&packers->rest[i], memory_order_acquire));
	free(packers->rest);
	packers->rest = NULL;
}

static _Atomic(struct packer *) *packers_place(struct packers *packers, unsigned i)
{
	return &packers->rest[(hilo_loop_index(hilo_loop_current()) + i) % packers->count];
}

struct packer *packers_take(struct packers *packers)
{
	struct packer *packer;
	unsigned i;

	for (i = 0; i < packers->count; i++) {
		packer = atomic_exchange_explicit(packers_place(packers, i), NULL, memory_order_acq_rel);
		if (packer)
			return packer;
	}
	return packer_new(packers->level, packers->count == 1);
}

void packers_give(struct packers *packers, struct packer *packer)
{
	struct packer *none;
	unsigned i;

	for (i = 0; i < packers->count; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong_explicit(packers_place(packers, i), &none, packer,
							    memory_order_acq_rel, memory_order_relaxed))
			return;
	}
	packer_free(packer);
}

size_t packer_bound(size_t length)
{
	return compressBound((uLong)length) + FLUSH_ROOM;
}

/*
 * Bring the stream to where the block begins: anew, with the history learnt, so that matches reach into
 * it. Where there is one packer only it stands there already, and that time is saved. Among several, one
 * that happens to have made the block before does not go on either: a stream remembers a little more than
 * it can learn (at levels 1 to 3), and the output would depend on who was faster.
 */
static int packer_seek(struct packer *packer, const struct packing *packing)
{
	z_stream *stream = &packer->stream;
	int ret;

	if (packer->next == packing->number)
		return Z_OK;
	ret = deflateReset(stream);
	if (ret == Z_OK && packing->history > 0)
		ret = deflateSetDictionary(stream, packing->data - packing->history, (uInt)packing->history);
	return ret;
}

int packer_run(struct packer *packer, struct packing *packing)
{
	z_stream *stream = &packer->stream;
	int ret = packer_seek(packer, packing);
	size_t done = 0, piece;
	int flush;

	packer->next = NOWHERE; /* until the block is complete */
	stream->next_in = (Bytef *)packing->data;
	stream->next_out = packing->packed;
	stream->avail_out = (uInt)packing->packed_size;
	do {
		if (done > 0 && hilo_checkpoint() < 0)
			return -ECANCELED;
		piece = packing->length - done < PIECE ? packing->length - done : PIECE;
		done += piece;
		flush = done < packing->length ? Z_NO_FLUSH : packing->last ? Z_FINISH : Z_SYNC_FLUSH;
		stream->avail_in = (uInt)piece;
		if (ret == Z_OK)
			ret = deflate(stream, flush);
	} while (ret == Z_OK && done < packing->length);
	if (ret != (packing->last ? Z_STREAM_END : Z_OK) || stream->avail_out == 0)
		return hilo_fail(-EIO, "deflate failed with %d: %s", ret,
				 stream->msg ? stream->msg : "no room");
	packing->packed_length = packing->packed_size - stream->avail_out;
	if (packer->alone)
		packer->next = packing->number + 1;
	return 0;
}
