/* SPDX-License-Identifier: MIT */
/*
 * fuzz_stream.c - reads of all kinds from a stream in memory, against a model: one row of bytes.
 *
 * The input is a program: its first bytes say how much the stream holds and how long a line may be, then each says
 * what is done next, write some of the input, end the direction, or read in one of the ways. Nobody waits, so there is
 * neither a task nor a runtime. However the bytes were cut up on their way, a read takes what the model says, or
 * nothing.
 */
#include <hilo/hilo.h>

#include <errno.h>

#include "fuzz.h"

/* Below the high mark, so that every write is taken. */
#define HELD_MAX (48 * 1024)

struct model {
	char held[HELD_MAX]; /* written, not read */
	size_t size, line;
	int ended;
	hilo_stream *stream[2];
	char buf[HELD_MAX + 16];
};

static void held_take(struct model *model, const char *got, size_t size)
{
	FUZZ_CHECK(size <= model->size);
	FUZZ_CHECK(memcmp(got, model->held, size) == 0);
	model->size -= size;
	memmove(model->held, model->held + size, model->size);
}

static void held_add(struct model *model, const void *data, size_t size)
{
	if (size)
		memcpy(model->held + model->size, data, size);
	model->size += size;
}

/* What a read says that has to wait for more, with @have of what it wants. */
static ssize_t not_yet(const struct model *model, ssize_t at_the_end)
{
	return model->ended ? at_the_end : -ETIMEDOUT;
}

static void do_write(struct model *model, const char *data, size_t size)
{
	ssize_t n;

	if (size > HELD_MAX - model->size)
		size = HELD_MAX - model->size;
	n = hilo_stream_write(model->stream[0], data, size, HILO_NO_WAIT);
	if (model->ended && size) {
		FUZZ_CHECK(n == -EPIPE);
		return;
	}
	FUZZ_CHECK(n == (ssize_t)size);
	held_add(model, data, size);
}

static void do_write_many(struct model *model, size_t size, char byte)
{
	static char many[255 * 128];

	memset(many, byte, size);
	do_write(model, many, size);
}

static void do_read(struct model *model, size_t size)
{
	ssize_t n = hilo_stream_read(model->stream[1], model->buf, size, HILO_NO_WAIT);

	if (!size || !model->size) {
		FUZZ_CHECK(n == (size ? not_yet(model, 0) : 0));
		return;
	}
	FUZZ_CHECK(n > 0 && (size_t)n <= size);
	held_take(model, model->buf, (size_t)n);
}

static void do_exactly(struct model *model, size_t size)
{
	ssize_t n = hilo_stream_read_exactly(model->stream[1], model->buf, size, HILO_NO_WAIT);

	if (model->size < size) {
		FUZZ_CHECK(n == not_yet(model, HILO_EINCOMPLETE));
		return;
	}
	FUZZ_CHECK(n == (ssize_t)size);
	held_take(model, model->buf, size);
}

/* How long the next piece is, with its separator, or what is said instead. */
static ssize_t piece_expected(const struct model *model, const char *separator, size_t length, size_t size)
{
	size_t most = model->line < size - 1 ? model->line : size - 1;
	const char *found = memmem(model->held, model->size, separator, length);
	size_t piece = found ? (size_t)(found - model->held) + length : model->size;

	if (piece > most)
		return -EMSGSIZE;
	return found ? (ssize_t)piece : not_yet(model, (ssize_t)piece);
}

static void piece_check(struct model *model, ssize_t n, ssize_t expected)
{
	FUZZ_CHECK(n == expected);
	if (n < 0)
		return;
	FUZZ_CHECK(model->buf[n] == '\0');
	held_take(model, model->buf, (size_t)n);
}

static void do_line(struct model *model, size_t size)
{
	ssize_t expected = piece_expected(model, "\n", 1, size);

	piece_check(model, hilo_stream_read_line(model->stream[1], model->buf, size, HILO_NO_WAIT), expected);
}

static void do_until(struct model *model, const char *separator, size_t length, size_t size)
{
	ssize_t expected = piece_expected(model, separator, length, size);

	piece_check(
		model,
		hilo_stream_read_until(model->stream[1], separator, length, model->buf, size, HILO_NO_WAIT),
		expected);
}

/* Where the first of two separators ends, byte by byte. */
static ssize_t any_expected(const struct model *model, const hilo_separator any[2], size_t size, int *which)
{
	size_t most = model->line < size - 1 ? model->line : size - 1, piece = 0;

	for (*which = -1; *which < 0 && piece < model->size;) {
		piece++;
		for (int i = 1; i >= 0; i--)
			if (piece >= any[i].length &&
			    memcmp(model->held + piece - any[i].length, any[i].bytes, any[i].length) == 0)
				*which = i;
	}
	if (piece > most)
		return -EMSGSIZE;
	return *which >= 0 ? (ssize_t)piece : not_yet(model, (ssize_t)piece);
}

/* The separator is two: its first bytes, and the others. */
static void do_until_any(struct model *model, const char *separator, size_t length, size_t size)
{
	size_t first = length > 1 ? length / 2 : 1;
	const hilo_separator any[2] = {{separator, first},
				       {separator + length - (length > first ? length - first : 1),
					length > first ? length - first : 1}};
	int which, found = -2;
	ssize_t expected = any_expected(model, any, size, &which);
	ssize_t n =
		hilo_stream_read_until_any(model->stream[1], any, 2, &found, model->buf, size, HILO_NO_WAIT);

	piece_check(model, n, expected);
	FUZZ_CHECK(found == (n >= 0 ? which : -2));
}

static void do_record(struct model *model, const char *separator, size_t length, size_t size)
{
	ssize_t expected = piece_expected(model, separator, length, size), n;
	size_t ends = 0;

	if (expected >= (ssize_t)length && memcmp(model->held + expected - length, separator, length) == 0)
		ends = length;
	n = hilo_stream_read_record(model->stream[1], separator, length, model->buf, size, HILO_NO_WAIT);
	if (expected <= 0) {
		FUZZ_CHECK(n == (expected ? expected : -EPIPE));
		return;
	}
	FUZZ_CHECK(n == expected - (ssize_t)ends && model->buf[n] == '\0');
	held_take(model, model->buf, (size_t)n);
	held_take(model, separator, ends);
}

static void do_all(struct model *model, size_t limit)
{
	char *all = NULL;
	ssize_t n = hilo_stream_read_all(model->stream[1], limit, &all, HILO_NO_WAIT);

	if (model->size > limit || !model->ended) {
		FUZZ_CHECK(n == (model->size > limit ? -EMSGSIZE : -ETIMEDOUT));
		return;
	}
	FUZZ_CHECK(n == (ssize_t)model->size && all[n] == '\0');
	held_take(model, all, (size_t)n);
	free(all);
}

static const enum hilo_frame kinds[] = {HILO_FRAME_U8,	 HILO_FRAME_BE16, HILO_FRAME_BE32, HILO_FRAME_BE64,
					HILO_FRAME_LE16, HILO_FRAME_LE32, HILO_FRAME_LE64};

static ssize_t frame_expected(const struct model *model, enum hilo_frame kind, size_t size)
{
	size_t header = (size_t)kind & 0xf;
	uint64_t length = 0;

	if (model->size < header)
		return not_yet(model, model->size ? HILO_EINCOMPLETE : -EPIPE);
	for (size_t i = 0; i < header; i++)
		length = length << 8 | (uint8_t)model->held[kind & 0x10 ? header - 1 - i : i];
	if (length > size)
		return -EMSGSIZE;
	return model->size - header < length ? not_yet(model, HILO_EINCOMPLETE) : (ssize_t)length;
}

static void do_frame(struct model *model, enum hilo_frame kind, size_t size)
{
	ssize_t expected = frame_expected(model, kind, size);
	size_t header = (size_t)kind & 0xf;

	FUZZ_CHECK(hilo_stream_read_frame(model->stream[1], kind, model->buf, size, HILO_NO_WAIT) ==
		   expected);
	if (expected < 0)
		return;
	held_take(model, model->held, header);
	held_take(model, model->buf, (size_t)expected);
}

static void do_write_frame(struct model *model, enum hilo_frame kind, const char *data, size_t size)
{
	size_t header = (size_t)kind & 0xf;
	char text[8];
	ssize_t n;

	if (size + header > HELD_MAX - model->size)
		return;
	n = hilo_stream_write_frame(model->stream[0], kind, data, size, HILO_NO_WAIT);
	FUZZ_CHECK(n == (model->ended ? -EPIPE : (ssize_t)size));
	if (model->ended)
		return;
	for (size_t i = 0; i < header; i++)
		text[kind & 0x10 ? i : header - 1 - i] = (char)((uint64_t)size >> 8 * i);
	held_add(model, text, header);
	held_add(model, data, size);
}

/* One step of the program. */
static void step(struct model *model, struct fuzz_input *input)
{
	uint8_t what = fuzz_byte(input), how = fuzz_byte(input);
	size_t large = (size_t)how * 128, length;
	const char *data;

	switch (what % 12) {
	case 0:
		length = fuzz_bytes(input, how, &data);
		do_write(model, data, length);
		break;
	case 1:
		do_write_many(model, large, (char)fuzz_byte(input));
		break;
	case 2:
		length = fuzz_bytes(input, how, &data);
		do_write_frame(model, kinds[what / 12 % 7], data, length);
		break;
	case 3:
		do_read(model, how);
		break;
	case 4:
		do_read(model, large);
		break;
	case 5:
		do_exactly(model, what & 0x10 ? large : how);
		break;
	case 6:
		do_line(model, 1 + (what & 0x10 ? large : how));
		break;
	case 7:
	case 8:
		length = fuzz_bytes(input, 1 + what / 12 % 4, &data);
		if (length && what % 12 == 7)
			do_until(model, data, length, 1 + large);
		else if (length && how % 3 == 0)
			do_until_any(model, data, length, 1 + how);
		else if (length)
			do_record(model, data, length, 1 + how);
		break;
	case 9:
		do_frame(model, kinds[what / 12 % 7], large);
		break;
	case 10:
		do_all(model, large);
		break;
	default:
		if (how < 8) {
			FUZZ_CHECK(hilo_stream_write_eof(model->stream[0]) == 0);
			model->ended = 1;
		}
	}
	FUZZ_CHECK(hilo_stream_read_buffered(model->stream[1]) <= model->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model; /* large */
	struct fuzz_input input = {data, size};
	hilo_stream_opts opts = {.size = sizeof(opts)};
	size_t capacity = 1 + (size_t)fuzz_byte(&input) * fuzz_byte(&input);

	model.size = 0;
	model.ended = 0;
	model.line = opts.line = 1 + (size_t)fuzz_byte(&input) * 32;
	FUZZ_CHECK(hilo_stream_pair(capacity, &opts, model.stream) == 0);
	while (input.left)
		step(&model, &input);
	if (!model.ended)
		FUZZ_CHECK(hilo_stream_write_eof(model.stream[0]) == 0);
	model.ended = 1;
	do_all(&model, HELD_MAX); /* what is left is all there */
	FUZZ_CHECK(hilo_stream_at_eof(model.stream[1]) == 1);
	hilo_stream_free(model.stream[0]);
	hilo_stream_free(model.stream[1]);
	return 0;
}
