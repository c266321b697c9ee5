/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_FS_WATCH_IMPL_H
#define HILO_IO_FS_WATCH_IMPL_H

/*
 * fs_watch_impl.h - an inotify instance, who uses it, and the paths that it watches.
 *
 *	word	| users, in steps of 2 | C |	C  CLOSED  nobody comes in any more
 *
 * I1  The descriptors are open, and the memory there, until it is closed and has no users; who sets `alone`, or
 *     drops the owner's reference after that, frees it.
 * I2  `paths` is under `mutex`, which is held over the call that makes a watch and the entry for it: who takes
 *     events, and looks one up, sees both or none. Sorted by the kernel's numbers, which grow.
 * I3  `claimed` is who takes events: the buffer, and the scan of a new directory, are his.
 * P1  Coming in acquires, leaving releases, and the last one acquires. A claim acquires, its end releases.
 *
 * A path is opened first, which may have to wait for a disk, and can be left. What the kernel is asked to watch is the
 * descriptor, by its name in /proc: that never waits, so nothing is under way when somebody leaves.
 *
 * Who waits, waits for `epoll_fd`, which is ready when the instance is, or the eventfd that is written to at the
 * end: a descriptor that is closed wakes nobody.
 */
#include <hilo/io/directory.h>
#include <hilo/io/fs_watch.h>
#include <hilo/sync/mutex.h>

#include "runtime/debug_impl.h"

#define FS_CLOSED 1u
#define FS_USER 2u
/* Some hundred events. */
#define FS_BUFFER 16384

struct fs_path {
	int number;
	uint32_t mask; /* as it was asked for, with HILO_FS_RECURSIVE */
	bool inner;    /* below one that was added */
	char *path;
};

struct hilo_fs_watch {
	atomic(uint32_t) word;
	struct completion alone; /* I1 */
	int fd, end_fd, epoll_fd;
	hilo_mutex mutex;
	struct fs_path *paths; /* I2 */
	size_t count, room;
	atomic(bool) claimed; /* I3 */
	hilo_walk *scan;
	hilo_walk_entry scan_entry; /* that it has told, if scan_has, and that was not dealt with */
	bool scan_has;
	uint32_t scan_mask;
	char *path; /* of the event that was taken last */
	size_t at, end;
	struct debug_mark open;
	_Alignas(8) char buffer[FS_BUFFER];
};

/* fs_watch_paths.c: all with `mutex` held. */

/* Where number @number is, or would be. */
size_t hilo__fs_find(const hilo_fs_watch *watch, int number);

/* The one that has @path; count: there is none. */
size_t hilo__fs_find_path(const hilo_fs_watch *watch, const char *path);

/*
 * Watch what @fd is, as @path, with @mask; @inner: below one that was added. 0, -ENOSPC, -ENOMEM, ...
 */
int hilo__fs_put(hilo_fs_watch *watch, int fd, const char *path, uint32_t mask, bool inner);

/* Forget the one at @index. */
void hilo__fs_forget(hilo_fs_watch *watch, size_t index);

/* Watch no more what is at @path, or below it: inner ones only, if @inner. How many it were. */
size_t hilo__fs_remove_below(hilo_fs_watch *watch, const char *path, bool inner);

/* fs_watch.c */

/* [user, suspends] Watch @path itself. 0; a negative errno. */
int hilo__fs_add(hilo_fs_watch *watch, const char *path, uint32_t mask, bool inner, hilo_time deadline);

/* [any] Come in; leave with @rc, which is returned. */
int hilo__fs_enter(hilo_fs_watch *watch, const char *call);
int hilo__fs_leave(hilo_fs_watch *watch, int rc);

/* [any] @rc with a message. */
int hilo__fs_failed(int rc, const char *call, const char *path);

#endif /* HILO_IO_FS_WATCH_IMPL_H */
