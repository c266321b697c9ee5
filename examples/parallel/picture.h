/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_PICTURE_H
#define PARALLEL_PICTURE_H

#include <stddef.h>
#include <stdint.h>

/* picture.h - points in red, green and blue, written as PPM, or as PNG where zlib is there. */

struct picture {
	long width, height;
	unsigned char *rows; /* each begins with a byte 0, as those of PNG without a filter */
};

/* [any] Memory for width and height, which are set. 0, -ENOMEM. */
int picture_new(struct picture *picture);

/* [any] The three bytes of a point. */
static inline unsigned char *picture_point(const struct picture *picture, long column, int64_t row)
{
	return picture->rows + (size_t)row * ((size_t)picture->width * 3 + 1) + 1 + (size_t)column * 3;
}

/* [any] The name asks for PNG; PNG can be written. */
int picture_is_png(const char *name);
int picture_has_png(void);

/* [a thread that may block] Write it to the file @name, or standard output for "-". 0, or a negative errno. */
int picture_write(const struct picture *picture, const char *name);

#endif /* PARALLEL_PICTURE_H */
