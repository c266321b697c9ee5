/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_LINES_H
#define PARALLEL_LINES_H

#include <hilo/hilo.h>

/* lines.h - a text, its lines, and their order by bytes. */

struct text {
	char *at; /* with TEXT_SPARE bytes behind it that may be read */
	size_t size, room;
};

#define TEXT_SPARE 16

/*
 * A line, where it is in the text and its first bytes as a number, which most comparisons are done by. The last byte of
 * the number is how many bytes of the line are left there, 8 for more.
 */
struct line {
	uint64_t key;
	uint64_t place; /* offset times 2^24, and its length without '\n', or LINE_LONG */
};

struct lines {
	const struct text *text;
	struct line *line;
	int64_t count;
};

/* [any] Have room for @more bytes behind those that are there. 0, -ENOMEM, -EFBIG. */
int text_reserve(struct text *text, size_t more);

/* [task, suspends] Find the lines of @text, each of which ends with '\n'. 0, -ENOMEM, -ECANCELED. */
int lines_find(struct lines *lines, const struct text *text, const hilo_parallel_opts *opts);

/* [task, suspends] Put them in the order of their bytes. 0, -ENOMEM, -ECANCELED. */
int lines_sort(struct lines *lines, const hilo_parallel_opts *opts);

/* [any] A line's bytes, and how many without '\n'. */
const char *line_bytes(const struct lines *lines, const struct line *line);
size_t line_length(const struct lines *lines, const struct line *line);

#endif /* PARALLEL_LINES_H */
