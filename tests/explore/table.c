/* SPDX-License-Identifier: MIT */
/* table.c - a set of states, each with a number: open addressing, bounded, forgetful when it is full. */
#include "tests/explore/explore_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST ((size_t)1 << 16)
#define TABLE_LAST ((size_t)1 << 22)

struct known *table_find(const struct table *table, uint64_t state)
{
	size_t i = (size_t)state & (table->size - 1);

	while (table->slots[i].state != 0 && table->slots[i].state != state)
		i = (i + 1) & (table->size - 1);
	return &table->slots[i];
}

static void table_resize(struct table *table, size_t size)
{
	struct table old = *table;

	table->slots = calloc(size, sizeof(*table->slots));
	if (table->slots == NULL) {
		fprintf(stderr, "the explorer is out of memory\n");
		exit(1);
	}
	table->size = size;
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].state != 0)
			*table_find(table, old.slots[i].state) = old.slots[i];
	free(old.slots);
}

void table_clear(struct table *table)
{
	free(table->slots);
	memset(table, 0, sizeof(*table));
	table_resize(table, TABLE_FIRST);
}

/* A full table only means that some states are searched again. */
void table_add(struct table *table, uint64_t state, uint64_t executions)
{
	struct known *known;

	if (table->used * 4 > table->size * 3) {
		if (table->size == TABLE_LAST)
			return;
		table_resize(table, table->size * 2);
	}
	known = table_find(table, state);
	if (known->state == 0)
		table->used++;
	known->state = state;
	known->executions = executions;
}

bool table_is_full(const struct table *table)
{
	return table->size == TABLE_LAST && table->used * 4 > table->size * 3;
}
