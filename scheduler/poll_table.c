/* SPDX-License-Identifier: MIT */
/*
 * poll_table.c - growing the table of descriptors; see poll_table.h. Memory is asked for before the
 * lock is taken, and given back if another thread was faster.
 */
#include "scheduler/poll_table.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define POLL_ARRAY_MIN 16

/* [lock] Let @array, which is longer, take the place of the present one. False: it is not longer. */
static bool poll_table_replace(struct poll_table *table, struct poll_array *array)
{
	struct poll_array *old = load_relaxed(&table->array); /* relaxed: stored under this lock */

	if (old && old->size >= array->size)
		return false;
	for (size_t i = 0; old && i < old->size; i++) {
		struct poll_chunk *chunk = load_relaxed(&old->chunk[i]); /* relaxed: stored under this lock */

		atomic_setup(&array->chunk[i], chunk);
	}
	array->older = old;
	store_release(&table->array, array); /* P1 */
	return true;
}

/* [any] Make the array reach @index. */
static int poll_table_reach(struct poll_table *table, size_t index)
{
	struct poll_array *array = load_acquire(&table->array); /* P1 */
	size_t size = POLL_ARRAY_MIN;
	bool used;

	if (array && index < array->size)
		return 0;
	while (size <= index)
		size *= 2;
	array = hilo__malloc(sizeof(*array) + size * sizeof(array->chunk[0]));
	if (!array)
		return -ENOMEM;
	array->size = size;
	for (size_t i = 0; i < size; i++)
		atomic_setup(&array->chunk[i], NULL);
	spin_lock(&table->growing);
	used = poll_table_replace(table, array);
	spin_unlock(&table->growing);
	if (!used)
		hilo__free(array);
	return 0;
}

/* [any] Make sure that there is a chunk at @index, which the array reaches. */
static int poll_table_fill(struct poll_table *table, size_t index)
{
	struct poll_chunk *chunk = hilo__calloc(1, sizeof(*chunk));
	struct poll_array *array;
	bool used;

	if (!chunk)
		return -ENOMEM;
	for (unsigned i = 0; i < POLL_CHUNK; i++) {
		spin_init(&chunk->fd[i].lock);
		list_init(&chunk->fd[i].ops);
	}
	spin_lock(&table->growing);
	array = load_relaxed(&table->array);	    /* relaxed: stored under this lock */
	used = !load_relaxed(&array->chunk[index]); /* relaxed: likewise */
	if (used)
		store_release(&array->chunk[index], chunk); /* P1 */
	spin_unlock(&table->growing);
	if (!used)
		hilo__free(chunk);
	return 0;
}

int hilo__poll_table_make(struct poll_table *table, int fd, struct poll_fd **ret)
{
	size_t index = (unsigned)fd / POLL_CHUNK;
	int rc = poll_table_reach(table, index);

	if (rc < 0)
		return rc;
	if (!poll_table_find(table, fd)) {
		rc = poll_table_fill(table, index);
		if (rc < 0)
			return rc;
	}
	*ret = poll_table_find(table, fd);
	return 0;
}

void hilo__poll_table_fini(struct poll_table *table)
{
	struct poll_array *array = load_relaxed(&table->array); /* relaxed: nobody else is left */

	for (size_t i = 0; array && i < array->size; i++)
		hilo__free(load_relaxed(&array->chunk[i])); /* relaxed: likewise */
	while (array) {
		struct poll_array *older = array->older;

		hilo__free(array);
		array = older;
	}
	store_relaxed(&table->array, NULL); /* relaxed: likewise */
}
