/* SPDX-License-Identifier: MIT */
/*
 * decompress.c - inflate in one line, with reading ahead and writing behind.
 *
 * A deflate stream can only be followed from its beginning, so this uses one core; the input is read
 * and the output is written on others meanwhile. zlib checks length and checksum of each member.
 *
 * What may follow a member, as gzip sees it: another member; zeros up to the end, which are padding
 * and fine; or anything else, which is garbage that is left aside with a warning.
 */
#include "chunks.h"
#include "job.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#define GZIP_ONLY (15 + 16) /* windowBits: 32 KiB, and a gzip header and trailer */
#define CHUNK ((size_t)256 * 1024)
#define MAGIC 2 /* bytes that tell a gzip member */

struct inflater {
	struct job *job;
	struct chunks in;
	struct chunks out;
	z_stream stream;
	unsigned long members; /* that are complete */
	bool inside;	       /* a member has begun, its end has not been seen */
	bool padding;	       /* zeros have been seen after the last member */
	bool ended;
};

/* [suspends] Give the stream something to read. */
static int inflater_refill(struct inflater *inflater)
{
	struct chunk *chunk;
	int ret;

	if (inflater->stream.avail_in > 0)
		return 0;
	ret = chunks_read(&inflater->in, &chunk);
	if (ret < 0)
		return ret;
	inflater->stream.next_in = chunk->data;
	inflater->stream.avail_in = (uInt)chunk->length;
	inflater->ended = chunk->length == 0;
	progress_add(&inflater->job->progress, (size_t)chunk->length, 0);
	return 0;
}

/* [suspends] Write what the stream has made, if that fills a chunk or is the last. */
static int inflater_flush(struct inflater *inflater, bool last)
{
	struct chunk *chunk = chunks_current(&inflater->out);
	z_stream *stream = &inflater->stream;
	int ret = 0;

	if (stream->avail_out == 0 || last) {
		chunk->length = (int)(chunk->size - stream->avail_out);
		progress_add(&inflater->job->progress, 0, (size_t)chunk->length);
		ret = chunks_write(&inflater->out);
		chunk = chunks_current(&inflater->out);
		stream->next_out = chunk->data;
		stream->avail_out = (uInt)chunk->size;
	}
	if (ret == 0 && last)
		ret = chunks_flush(&inflater->out);
	return ret < 0 ? ret : 0;
}

/* Between members: see what comes next, and leave aside what is no member. */
static void inflater_look(struct inflater *inflater)
{
	z_stream *stream = &inflater->stream;

	if (inflater->inside || inflater->members == 0)
		return;
	while (stream->avail_in > 0 && *stream->next_in == 0) {
		inflater->padding = true;
		stream->next_in++;
		stream->avail_in--;
	}
	if (inflater->padding && stream->avail_in > 0) {
		inflater->job->garbage = true;
		inflater->ended = true;
	}
}

/* What zlib says to a step. */
static int inflater_judge(struct inflater *inflater, int ret)
{
	z_stream *stream = &inflater->stream;
	const char *name = inflater->job->input.name;

	switch (ret) {
	case Z_OK:
	case Z_BUF_ERROR: /* nothing to do in this step */
		inflater->inside = true;
		return 0;
	case Z_STREAM_END:
		inflater->inside = false;
		inflater->members++;
		inflateReset(stream);
		return 0;
	case Z_MEM_ERROR:
		return -ENOMEM;
	}
	if (stream->total_in <= MAGIC && inflater->members > 0) {
		inflater->job->garbage = true;
		inflater->inside = false;
		inflater->ended = true;
		return 0;
	}
	if (stream->total_in <= MAGIC)
		return hilo_fail(-EBADMSG, "%s is not in gzip format", name);
	return hilo_fail(-EBADMSG, "%s is damaged: %s", name, stream->msg ? stream->msg : "invalid data");
}

/* [suspends] Inflate what is there, up to the end of the member; again while room was the limit. */
static int inflater_step(struct inflater *inflater)
{
	z_stream *stream = &inflater->stream;
	bool full;
	int ret;

	if (stream->avail_in == 0)
		return 0;
	do {
		ret = inflater_judge(inflater, inflate(stream, Z_NO_FLUSH));
		full = inflater->inside && stream->avail_out == 0;
		if (ret == 0)
			ret = inflater_flush(inflater, false);
	} while (ret == 0 && full);
	return ret;
}

/* [suspends] All members of the input. */
static int inflater_run(struct inflater *inflater)
{
	z_stream *stream = &inflater->stream;
	int ret;

	while (!inflater->ended) {
		ret = inflater_refill(inflater);
		if (ret < 0)
			return ret;
		inflater_look(inflater);
		if (!inflater->ended)
			ret = inflater_step(inflater);
		if (ret < 0)
			return ret;
	}
	if (inflater->members > 0 && inflater->inside && stream->total_in < MAGIC) {
		inflater->job->garbage = true; /* a single byte that looked like the first of a member */
		inflater->inside = false;
	}
	if (inflater->inside || inflater->members == 0)
		return hilo_fail(-EBADMSG, "%s ends too early", inflater->job->input.name);
	return inflater_flush(inflater, true);
}

static int inflater_init(struct inflater *inflater, struct job *job)
{
	int ret, ret_out;

	memset(inflater, 0, sizeof(*inflater));
	inflater->job = job;
	ret = chunks_init(&inflater->in, job, CHUNK);
	ret_out = chunks_init(&inflater->out, job, CHUNK);
	if (ret < 0 || ret_out < 0 || inflateInit2(&inflater->stream, GZIP_ONLY) != Z_OK)
		return -ENOMEM;
	inflater->stream.next_out = chunks_current(&inflater->out)->data;
	inflater->stream.avail_out = (uInt)CHUNK;
	return 0;
}

static void inflater_fini(struct inflater *inflater)
{
	inflateEnd(&inflater->stream);
	chunks_fini(&inflater->in);
	chunks_fini(&inflater->out);
}

int job_decompress(struct job *job)
{
	struct inflater inflater;
	struct failure failure = {0};

	if (failure_note(&failure, inflater_init(&inflater, job)) == 0)
		failure_note(&failure, inflater_run(&inflater));
	inflater_fini(&inflater);
	return failure_return(&failure);
}
