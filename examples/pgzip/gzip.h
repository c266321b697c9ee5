/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_GZIP_H
#define PGZIP_GZIP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* gzip.h - what stands before and behind the deflated data of a gzip member (RFC 1952). */

#define GZIP_HEADER_MAX (10 + 256) /* with a name of 255 bytes */
#define GZIP_TRAILER 8

/*
 * Write a header into @header and return its length. @path is the file that is compressed, NULL for
 * none; the header then names no file and no time, so that equal data give equal output.
 */
size_t gzip_header(unsigned char header[GZIP_HEADER_MAX], int level, const char *path,
		   const struct stat *stat);

/* Write the trailer: the checksum of the data, and how many they are. */
void gzip_trailer(unsigned char trailer[GZIP_TRAILER], uint32_t crc, uint64_t length);

#endif /* PGZIP_GZIP_H */
