/* SPDX-License-Identifier: MIT */
/*
 * reader.c - readers and writers: at most one callback for each descriptor of a runtime, and direction.
 *
 * A reader is a watch (fd.c) that is found by the number of its descriptor. The table belongs to the runtime,
 * because a task that adds one may go on on another loop before it removes it. It is made at first use, and
 * grows by pages, as far as there are descriptors: their numbers are small and dense. Memory is asked for
 * outside of the lock.
 *
 * P1  The table is published with release, once, and read with acquire. What is in it is under its lock.
 *
 * Rejected: to exchange the callback of a watch that is there. Its descriptor may have been closed since, and
 * another file have the number now: the watch is as dead as that file was, and its loop is another one's.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>

#include "runtime/fd_impl.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"

#define PAGE_FDS 256
#define DIRECTORY_MIN 4

enum direction {
	READER,
	WRITER,
	DIRECTIONS
};

/* 4 KiB. */
struct reader_page {
	struct hilo_fd_watcher *watch[PAGE_FDS][DIRECTIONS];
};

struct readers {
	struct spinlock lock; /* of what follows */
	size_t size;
	struct reader_page **page; /* so many places, NULL where none was needed yet */
};

/* [any] The table of @runtime, made now if need be. NULL: no memory. */
static struct readers *readers_of(struct hilo_runtime *runtime)
{
	struct readers *readers = load_acquire(&runtime->readers), *none = NULL; /* P1 */

	if (readers)
		return readers;
	readers = hilo__calloc(1, sizeof(*readers));
	if (!readers)
		return NULL;
	spin_init(&readers->lock);
	if (cas_acq_rel(&runtime->readers, &none, readers)) /* P1 */
		return readers;
	hilo__free(readers);
	return none;
}

/* [lock] Where the watch of @fd is; NULL: that page was never made. */
static struct hilo_fd_watcher **readers_find(struct readers *readers, int fd, enum direction direction)
{
	size_t index = (size_t)fd / PAGE_FDS;

	if (index >= readers->size || !readers->page[index])
		return NULL;
	return &readers->page[index]->watch[fd % PAGE_FDS][direction];
}

/* [any] Put @watch, or NULL, in the place of @fd, if there is one. Returns what was there. */
static struct hilo_fd_watcher *readers_exchange(struct readers *readers, int fd, enum direction direction,
						struct hilo_fd_watcher *watch)
{
	struct hilo_fd_watcher **place, *before = NULL;

	spin_lock(&readers->lock);
	place = readers_find(readers, fd, direction);
	if (place) {
		before = *place;
		*place = watch;
	}
	spin_unlock(&readers->lock);
	return before;
}

/* [lock] Let *@directory, of @size places, take the place of the one that is there, which it is then. */
static void readers_replace(struct readers *readers, struct reader_page ***directory, size_t size)
{
	struct reader_page **before = readers->page;

	if (size <= readers->size)
		return;
	if (before)
		memcpy(*directory, before, readers->size * sizeof(struct reader_page *));
	readers->page = *directory;
	readers->size = size;
	*directory = before;
}

/* [any] Make sure that there is a place for @fd. */
static int readers_reach(struct readers *readers, int fd)
{
	size_t index = (size_t)fd / PAGE_FDS, size = DIRECTORY_MIN;
	struct reader_page **directory, *page;
	bool there;

	spin_lock(&readers->lock);
	there = readers_find(readers, fd, READER) != NULL;
	spin_unlock(&readers->lock);
	if (there)
		return 0;
	while (size <= index)
		size *= 2;
	directory = hilo__calloc(size, sizeof(struct reader_page *));
	page = hilo__calloc(1, sizeof(*page));
	if (!directory || !page) {
		hilo__free(directory);
		hilo__free(page);
		return -ENOMEM;
	}
	spin_lock(&readers->lock);
	readers_replace(readers, &directory, size);
	if (!readers->page[index]) {
		readers->page[index] = page;
		page = NULL;
	}
	spin_unlock(&readers->lock);
	hilo__free(directory); /* another thread may have been faster */
	hilo__free(page);
	return 0;
}

static int reader_add(enum direction direction, const struct watch_spec *spec)
{
	struct hilo_loop *loop = thread_home(thread_self());
	struct hilo_fd_watcher *watch;
	struct readers *readers = NULL;
	int rc = 0;

	/* The place first: once there is a watch it is too late to fail. */
	if (loop && spec->fd >= 0 && spec->callback) {
		readers = readers_of(loop->runtime);
		rc = readers ? readers_reach(readers, spec->fd) : -ENOMEM;
	}
	if (rc == 0)
		rc = hilo__fd_watch(spec, &watch);
	if (rc < 0)
		return rc;
	hilo_fd_unwatch(readers_exchange(readers, spec->fd, direction, watch));
	hilo__watch_ready(watch); /* only now: the callback finds it in the table, to remove it */
	return 0;
}

static int reader_remove(const char *call, enum direction direction, int fd)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = thread_home(self);
	struct hilo_runtime *runtime = loop ? loop->runtime : self->closing;
	struct readers *readers;
	struct hilo_fd_watcher *watch;

	if (fd < 0)
		return hilo_fail(-EBADF, "%s: descriptor %d", call, fd);
	if (!runtime)
		return -EDEADLK;
	readers = load_acquire(&runtime->readers); /* P1 */
	watch = readers ? readers_exchange(readers, fd, direction, NULL) : NULL;
	hilo_fd_unwatch(watch);
	return watch != NULL;
}

int hilo_add_reader(int fd, hilo_callback_fn fn, void *arg)
{
	struct watch_spec spec = {.call = "hilo_add_reader",
				  .fd = fd,
				  .events = HILO_READABLE,
				  .callback = fn,
				  .later = true,
				  .arg = arg,
				  .site = __builtin_return_address(0)};

	return reader_add(READER, &spec);
}

int hilo_remove_reader(int fd)
{
	return reader_remove("hilo_remove_reader", READER, fd);
}

int hilo_add_writer(int fd, hilo_callback_fn fn, void *arg)
{
	struct watch_spec spec = {.call = "hilo_add_writer",
				  .fd = fd,
				  .events = HILO_WRITABLE,
				  .callback = fn,
				  .later = true,
				  .arg = arg,
				  .site = __builtin_return_address(0)};

	return reader_add(WRITER, &spec);
}

int hilo_remove_writer(int fd)
{
	return reader_remove("hilo_remove_writer", WRITER, fd);
}

void hilo__runtime_free_readers(struct hilo_runtime *runtime)
{
	struct readers *readers = load_acquire(&runtime->readers); /* P1 */

	for (size_t i = 0; readers && i < readers->size; i++) {
		struct reader_page *page = readers->page[i];

		for (int fd = 0; page && fd < PAGE_FDS; fd++)
			for (int direction = READER; direction < DIRECTIONS; direction++)
				hilo_fd_unwatch(page->watch[fd][direction]);
		hilo__free(page);
	}
	if (readers)
		hilo__free(readers->page);
	hilo__free(readers);
}
