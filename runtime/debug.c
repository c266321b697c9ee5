/* SPDX-License-Identifier: MIT */
/*
 * debug.c - what is still open when a runtime in debug mode ends, and what has held its loop for long.
 *
 * Objects are counted, not listed: a row of the table stands for all of one kind that were opened in one place
 * of the program, for one runtime. So a mark in an object is eight bytes, nothing is allocated, and a thousand
 * that were forgotten in one place are one line. An object may be ended at any time later, also when its runtime
 * is gone and its row belongs to another one: the numbers of runtimes are unique.
 *
 * Handles of tasks are not counted while tasks come and go, which would be paid by each spawn; at the end they
 * are found in the slabs: records that are done, of our runtime, and referenced. Others may end such a handle
 * meanwhile, so that a record may be another task's when we read where it was spawned. Each word is read by
 * itself, and a wrong place in a report is the worst that comes of it. A reference must not be taken: the sole
 * owner of a task that is done frees it without a look at others (P1 of scheduler/task.c). A handle that a
 * runtime has left which had the same address is found again: it is still open.
 *
 * I1  A row of the table is as many marks as it counts; it is free again when they are undone, or when its
 *     runtime has told of it. So a mark whose runtime is that of its row is one of those.
 * The table is protected by a spinlock, which is only ever taken in debug mode.
 */
#include <hilo/runtime/log.h>

#include "runtime/debug_impl.h"
#include "runtime/log_impl.h"
#include "runtime/site_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/pool.h"

#define DEBUG_ROWS 256

struct row {
	uint32_t runtime; /* 0: free */
	enum debug_kind kind;
	const void *site;
	unsigned long count;
};

static struct {
	struct spinlock lock;
	struct row row[DEBUG_ROWS];
	unsigned long missed; /* opened where the table had no room any more */
} table;

atomic(uint32_t) hilo__debug_numbers;

uint32_t hilo__debug_number(void)
{
	return add_relaxed(&hilo__debug_numbers, 1) + 1; /* relaxed: a number, orders nothing */
}

/* [lock] The row for that, or a free one made into it; NULL: there is no room. */
static struct row *table_find(uint32_t runtime, enum debug_kind kind, const void *site)
{
	struct row *row = NULL;

	for (unsigned i = 0; i < DEBUG_ROWS; i++) {
		struct row *at = &table.row[i];

		if (at->runtime == runtime && at->kind == kind && at->site == site)
			return at;
		if (!at->runtime && !row)
			row = at;
	}
	if (row)
		*row = (struct row){.runtime = runtime, .kind = kind, .site = site};
	return row;
}

void hilo__debug_opened(struct debug_mark *mark, uint32_t runtime, enum debug_kind kind, const void *site)
{
	struct row *row;

	spin_lock(&table.lock);
	row = table_find(runtime, kind, site);
	if (row) {
		row->count++;
		mark->place = (uint32_t)(row - table.row) + 1;
		mark->runtime = runtime;
	} else {
		table.missed++;
	}
	spin_unlock(&table.lock);
}

void hilo__debug_ended(struct debug_mark *mark)
{
	struct row *row = &table.row[mark->place - 1];

	spin_lock(&table.lock);
	if (row->runtime == mark->runtime && --row->count == 0)
		row->runtime = 0;
	spin_unlock(&table.lock);
	mark->place = 0;
}

/* The next row from *@i on of that runtime, of calls or of the rest; it is free then. False: no more. */
static bool table_take(uint32_t runtime, bool calls, unsigned *i, struct row *ret)
{
	bool found = false;

	spin_lock(&table.lock);
	for (; *i < DEBUG_ROWS && !found; ++*i) {
		struct row *row = &table.row[*i];

		found = row->runtime == runtime && (row->kind == DEBUG_CALL) == calls;
		if (found) {
			*ret = *row;
			row->runtime = 0;
		}
	}
	spin_unlock(&table.lock);
	return found;
}

static void table_tell(uint32_t runtime, bool calls)
{
	static const char *const words[DEBUG_KINDS] = {
		[DEBUG_CALL] =
			"callbacks that have not run, or handles of theirs that were not ended, asked for",
		[DEBUG_EXECUTOR] = "executors that were not closed, made",
		[DEBUG_FILE] = "files that were not closed, opened",
		[DEBUG_FOLDER] = "directories or walks that were not closed, opened",
		[DEBUG_FS_WATCH] = "file system watches that were not freed, made",
		[DEBUG_FUTURE] = "futures that were not released, made",
		[DEBUG_HANDLE] = "handles of ended tasks, neither joined nor detached, spawned",
		[DEBUG_PROCESS] = "processes that were not freed, started",
		[DEBUG_SERVER] = "servers that were not freed, started",
		[DEBUG_SIGNALS] = "subscriptions to signals that were not freed, opened",
		[DEBUG_STREAM] = "streams that were not freed, made",
		[DEBUG_UDP] = "UDP sockets that were not closed, made",
		[DEBUG_WATCH] = "watches that were not ended, asked for",
		[DEBUG_QUEUE] = "queues that were not freed, made",
		[DEBUG_BROADCAST] = "broadcast channels that were not freed, made",
		[DEBUG_VALUE] = "watched values that were not freed, made",
	};
	struct row row;

	for (unsigned i = 0; table_take(runtime, calls, &i, &row);) {
		char site[SITE_SIZE];

		hilo__site_describe(row.site, site, sizeof(site));
		hilo__log(HILO_LOG_WARNING, "debug: still open: %lu %s at %s", row.count, words[row.kind],
			  site);
	}
}

/* What the table had no room for, in any runtime. */
static void missed_tell(void)
{
	unsigned long missed;

	spin_lock(&table.lock);
	missed = table.missed;
	table.missed = 0;
	spin_unlock(&table.lock);
	if (missed)
		hilo__log(HILO_LOG_WARNING, "debug: %lu more were opened in too many places to be counted",
			  missed);
}

static bool slab_count_handles(struct pool_slab *slab, void *ctx)
{
	struct hilo_runtime *runtime = ctx;
	struct debug_mark mark;
	size_t count, stride;
	void *first;

	hilo__slab_objects(slab, &first, &count, &stride);
	for (size_t i = 0; i < count; i++) {
		struct hilo_task *task = (void *)((char *)first + i * stride);
		uint32_t word;

		if (load_acquire(&task->runtime) != runtime) /* P1 of task.c */
			continue;
		word = load_acquire(&task->done.word); /* P1 of task.c */
		if (word & COMPLETION_DONE && word >= COMPLETION_REF)
			hilo__debug_opened(&mark, runtime->debug, DEBUG_HANDLE,
					   load_relaxed(&task->spawn_site)); /* relaxed: see above */
	}
	return true;
}

void hilo__debug_tell_calls(struct hilo_runtime *runtime)
{
	if (runtime->debug)
		table_tell(runtime->debug, true);
}

void hilo__debug_tell_rest(struct hilo_runtime *runtime)
{
	if (!runtime->debug)
		return;
	hilo__pool_foreach_slab(POOL_TASK, slab_count_handles, runtime);
	table_tell(runtime->debug, false);
	missed_tell();
}

void hilo__debug_slow(struct hilo_loop *loop, uint64_t cycles)
{
	/* relaxed: it may have been another one's by now, but is a record of a task for ever */
	struct hilo_task *task = load_relaxed(&loop->current);
	char label[TASK_LABEL_SIZE], entry[SITE_SIZE], site[SITE_SIZE];
	double seconds = (double)hilo__cycles_to_ns(cycles) / (double)HILO_SECOND;

	if (!task) {
		hilo__log(HILO_LOG_WARNING, "slow: a callback has held loop %u for %.3f s", loop->index,
			  seconds);
		return;
	}
	if (!hilo__task_try_ref(task, loop->runtime))
		return; /* it has just ended */
	hilo__site_describe(load_relaxed(&task->spawn_site), site,
			    sizeof(site)); /* relaxed: its word published it */
	hilo__site_describe((const char *)(uintptr_t)task->entry + 1, entry,
			    sizeof(entry)); /* itself, no call */
	hilo__log(HILO_LOG_WARNING, "slow: task %s has held loop %u for %.3f s (runs %s, spawned at %s)",
		  hilo__task_label(task, label), loop->index, seconds, entry, site);
	if (completion_unref(&task->done))
		hilo__task_free(task);
}
