/* SPDX-License-Identifier: MIT */
/*
 * gzip.c - header and trailer of a gzip member.
 */
#include "gzip.h"

#include <string.h>
#include <zlib.h>

#define FLAG_NAME 8
#define EXTRA_SMALLEST 2
#define EXTRA_FASTEST 4
#define SYSTEM_UNIX 3

static void put_le32(unsigned char *to, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

size_t gzip_header(unsigned char header[GZIP_HEADER_MAX], int level, const char *path,
		   const struct stat *stat)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *name = slash ? slash + 1 : path;
	size_t length = name ? strlen(name) + 1 : 0;

	if (length > GZIP_HEADER_MAX - 10)
		length = 0;
	memset(header, 0, 10);
	header[0] = 0x1f;
	header[1] = 0x8b;
	header[2] = Z_DEFLATED;
	header[3] = length ? FLAG_NAME : 0;
	if (length && stat->st_mtime > 0 && stat->st_mtime <= (time_t)UINT32_MAX)
		put_le32(header + 4, (uint32_t)stat->st_mtime);
	header[8] = level == 9 ? EXTRA_SMALLEST : level == 1 ? EXTRA_FASTEST : 0;
	header[9] = SYSTEM_UNIX;
	if (length)
		memcpy(header + 10, name, length);
	return 10 + length;
}

void gzip_trailer(unsigned char trailer[GZIP_TRAILER], uint32_t crc, uint64_t length)
{
	put_le32(trailer, crc);
	put_le32(trailer + 4, (uint32_t)length); /* modulo 2^32, as the format says */
}
