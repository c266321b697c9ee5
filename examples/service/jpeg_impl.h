/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_JPEG_IMPL_H
#define SERVICE_JPEG_IMPL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

/*
 * jpeg_impl.h - a picture on its way through libjpeg: decoded, made smaller, encoded, in small pieces (jpeg.c).
 * The job around it, with its place and its priority, is thumbnail.c.
 *
 * libjpeg leaves by longjmp when something is wrong. That must not cross a suspension, since the task may have
 * changed its thread by then; so each step is a call that does not suspend, with a setjmp of its own.
 */

enum picture_phase {
	PICTURE_READING, /* a progressive one: all of it is read before the first line comes */
	PICTURE_LINES,
	PICTURE_DONE
};

struct picture {
	struct jpeg_decompress_struct in;
	struct jpeg_compress_struct out;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	jmp_buf failed;
	char message[JMSG_LENGTH_MAX];
	bool no_memory, too_large;
	struct jpeg_source_mgr from;
	size_t hidden; /* of the input, behind what libjpeg sees of it */
	enum picture_phase phase;
	/* What is made smaller: each line to `line`, several lines to one in `sum`. */
	unsigned width, height;
	unsigned next; /* line of the output that `sum` is for */
	JSAMPLE *read; /* a line as it was decoded */
	JSAMPLE *ready;
	float *line, *sum;
	/* What was made; the picture's until it is taken. */
	unsigned char *data;
	size_t size, room;
};

/* [any] Begin with the JPEG in @data, which is borrowed: its head is read. 0, -EBADMSG with a message, -ENOMEM. */
int picture_open(struct picture *picture, const void *data, size_t size);

/* [any] Whatever has happened to it, also in picture_open. */
void picture_close(struct picture *picture);

/* [any] Begin to make one that is @width wide at most. Codes as above; -EFBIG: it takes too much memory. */
int picture_begin(struct picture *picture, unsigned width);

/*
 * [any] A step more, of a tenth of a millisecond or so. 1: there are more; 0: it is done, in `data` and `size`.
 * Codes as above.
 */
int picture_step(struct picture *picture);

#endif /* SERVICE_JPEG_IMPL_H */
