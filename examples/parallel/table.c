/* SPDX-License-Identifier: MIT */
/* table.c - open addressing, at most two thirds full; the words themselves lie one after the other. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t table_hash(const char *word, size_t length)
{
	uint64_t hash = length;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)word[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static struct word *table_find(const struct table *table, const char *word, size_t length, uint64_t hash)
{
	size_t at = hash & (table->places - 1);

	while (table->word[at].count && (table->word[at].hash != hash || table->word[at].length != length ||
					 memcmp(table->text + table->word[at].at, word, length) != 0))
		at = (at + 1) & (table->places - 1);
	return &table->word[at];
}

static int table_grow(struct table *table)
{
	struct table larger = *table;

	larger.places = table->places ? 2 * table->places : 256;
	larger.word = calloc(larger.places, sizeof(*larger.word));
	if (!larger.word)
		return -ENOMEM;
	for (size_t i = 0; i < table->places; i++) {
		const struct word *word = &table->word[i];

		if (word->count)
			*table_find(&larger, table->text + word->at, word->length, word->hash) = *word;
	}
	free(table->word);
	*table = larger;
	return 0;
}

static int table_reserve(struct table *table, size_t more)
{
	size_t room = table->room ? table->room : 4096;
	char *text;

	if (table->room - table->size >= more)
		return 0;
	while (room - table->size < more)
		room *= 2;
	text = realloc(table->text, room);
	if (!text)
		return -ENOMEM;
	table->text = text;
	table->room = room;
	return 0;
}

int table_add(struct table *table, const char *word, size_t length, uint64_t hash, uint64_t times)
{
	struct word *place;
	int rc = 3 * (table->words + 1) > 2 * table->places ? table_grow(table) : 0;

	if (rc < 0)
		return rc;
	place = table_find(table, word, length, hash);
	if (!place->count) {
		rc = table_reserve(table, length);
		if (rc < 0)
			return rc;
		memcpy(table->text + table->size, word, length);
		*place = (struct word){hash, 0, table->size, length};
		table->size += length;
		table->words++;
	}
	place->count += times;
	return 0;
}

void table_free(struct table *table)
{
	free(table->word);
	free(table->text);
	*table = (struct table){0};
}
