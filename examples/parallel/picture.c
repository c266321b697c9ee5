/* SPDX-License-Identifier: MIT */
/* picture.c - writing pictures. A PNG has its points in one chunk, compressed as a whole. */
#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PICTURE_ZLIB
#include <zlib.h>
#endif

static size_t row_size(const struct picture *picture)
{
	return (size_t)picture->width * 3 + 1;
}

int picture_new(struct picture *picture)
{
	picture->rows = calloc((size_t)picture->height, row_size(picture));
	return picture->rows ? 0 : -ENOMEM;
}

int picture_is_png(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, ".png") == 0;
}

int picture_has_png(void)
{
#ifdef PICTURE_ZLIB
	return 1;
#else
	return 0;
#endif
}

static void write_ppm(const struct picture *picture, FILE *file)
{
	fprintf(file, "P6\n%ld %ld\n255\n", picture->width, picture->height);
	for (long row = 0; row < picture->height; row++)
		fwrite(picture_point(picture, 0, row), 1, row_size(picture) - 1, file);
}

#ifdef PICTURE_ZLIB

static void put_number(unsigned char *to, unsigned long number)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(number >> (24 - 8 * i));
}

static void write_chunk(FILE *file, const char *type, const unsigned char *data, size_t size)
{
	unsigned char head[8], tail[4];
	unsigned long sum;

	put_number(head, size);
	memcpy(head + 4, type, 4);
	sum = crc32_z(crc32(0, head + 4, 4), data, size);
	put_number(tail, sum);
	fwrite(head, 1, sizeof(head), file);
	fwrite(data, 1, size, file);
	fwrite(tail, 1, sizeof(tail), file);
}

static int write_png(const struct picture *picture, FILE *file)
{
	static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	size_t size = (size_t)picture->height * row_size(picture);
	unsigned char head[13] = {[8] = 8, [9] = 2}; /* eight bits each of red, green and blue */
	uLongf packed = compressBound(size);
	unsigned char *data = malloc(packed);

	if (!data)
		return -ENOMEM;
	if (compress2(data, &packed, picture->rows, size, 6) != Z_OK || packed > INT32_MAX) {
		free(data);
		return -EFBIG;
	}
	put_number(head, (unsigned long)picture->width);
	put_number(head + 4, (unsigned long)picture->height);
	fwrite(signature, 1, sizeof(signature), file);
	write_chunk(file, "IHDR", head, sizeof(head));
	write_chunk(file, "IDAT", data, packed);
	write_chunk(file, "IEND", head, 0);
	free(data);
	return 0;
}

#else

static int write_png(const struct picture *picture, FILE *file)
{
	(void)picture;
	(void)file;
	return -ENOTSUP;
}

#endif

int picture_write(const struct picture *picture, const char *name)
{
	int to_stdout = strcmp(name, "-") == 0, rc = 0;
	FILE *file = to_stdout ? stdout : fopen(name, "we");

	if (!file)
		return -errno;
	errno = 0;
	if (picture_is_png(name))
		rc = write_png(picture, file);
	else
		write_ppm(picture, file);
	if (rc == 0 && (fflush(file) != 0 || ferror(file)))
		rc = errno ? -errno : -EIO;
	if (!to_stdout && fclose(file) != 0 && rc == 0)
		rc = -errno;
	return rc;
}
