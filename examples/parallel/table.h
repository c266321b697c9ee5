/* SPDX-License-Identifier: MIT */
#ifndef PARALLEL_TABLE_H
#define PARALLEL_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* table.h - words and how often each was met. */

struct word {
	uint64_t hash;
	uint64_t count; /* 0: there is none in this place */
	size_t at;	/* where it is in the text of the table */
	size_t length;
};

struct table {
	struct word *word; /* a power of two of places */
	size_t places, words;
	char *text;
	size_t size, room;
};

/* [any] Count @word @times more. 0, -ENOMEM. A table of zeros is an empty one. */
int table_add(struct table *table, const char *word, size_t length, uint64_t hash, uint64_t times);

/* [any] The hash of a word. */
uint64_t table_hash(const char *word, size_t length);

/* [any] Drop what it has. */
void table_free(struct table *table);

#endif /* PARALLEL_TABLE_H */
