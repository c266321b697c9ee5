/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_FS_WATCH_H
#define HILO_IO_FS_WATCH_H

#include <hilo/runtime/types.h>

HILO_BEGIN_DECLS

/*
 * fs_watch.h - what happens to files and directories, as inotify(7) tells it.
 *
 *	rc = hilo_fs_watch_new(&watch);
 *	rc = hilo_fs_watch_add(watch, "inbox", HILO_FS_WRITTEN | HILO_FS_MOVED_TO, HILO_FOREVER);
 *	while ((rc = hilo_fs_watch_next(watch, &event, HILO_FOREVER)) > 0)
 *		if (event.mask & HILO_FS_OVERFLOW)
 *			look_at_all();
 *		else
 *			take(event.path, event.name);
 *
 * Events are taken by one caller at a time, a second one is told -EBUSY; paths are added and removed by any meanwhile.
 * Tasks, callbacks that need not wait, and plain threads may call.
 *
 * Recursion  With HILO_FS_RECURSIVE all directories below are watched, too, and those that appear later, as soon as
 * the
 *            event that tells of them is taken. What is in them by then is told with events of its own,
 *            HILO_FS_CREATED: nothing is missed, though what is made just then may be told twice. A directory that
 *            is moved out is watched no more.
 * Overflow   The kernel keeps some 16384 events. If nobody takes them it drops what comes, and tells so. Who watches
 *            recursively adds the same path again then, which finds directories that were missed.
 */
typedef struct hilo_fs_watch hilo_fs_watch;

/* What to watch for, and what has happened. The values are inotify's. */
#define HILO_FS_ACCESSED 0x1u	    /* was read */
#define HILO_FS_MODIFIED 0x2u	    /* was written, or truncated */
#define HILO_FS_ATTRIBUTES 0x4u	    /* permissions, times, owner, the number of links */
#define HILO_FS_WRITTEN 0x8u	    /* was closed by one who could write */
#define HILO_FS_CLOSED 0x10u	    /* was closed by one who could not */
#define HILO_FS_OPENED 0x20u	    /* was opened */
#define HILO_FS_MOVED_FROM 0x40u    /* has got another name; the cookie is that of ... */
#define HILO_FS_MOVED_TO 0x80u	    /* ... this */
#define HILO_FS_CREATED 0x100u	    /* was made in the directory */
#define HILO_FS_DELETED 0x200u	    /* was removed from the directory */
#define HILO_FS_SELF_DELETED 0x400u /* what is watched itself was removed */
#define HILO_FS_SELF_MOVED 0x800u   /* ... or has got another name */
#define HILO_FS_CHANGES 0xfceu	    /* all that change something */
#define HILO_FS_ALL 0xfffu

/* Only in events, asked for or not. */
#define HILO_FS_UNMOUNTED 0x2000u     /* the file system is gone */
#define HILO_FS_OVERFLOW 0x4000u      /* events were dropped; it has no path */
#define HILO_FS_ENDED 0x8000u	      /* this path is watched no more */
#define HILO_FS_DIRECTORY 0x40000000u /* it is about a directory */

/* Only for hilo_fs_watch_add. */
#define HILO_FS_RECURSIVE 0x10000u
#define HILO_FS_NOFOLLOW 0x2000000u /* a symbolic link itself */

typedef struct hilo_fs_event {
	uint32_t mask;
	uint32_t cookie; /* not 0: what connects the two events of a move */
	const char *
		path; /* what is watched, as it was added, or below that; until the next call to take events */
	char name[256]; /* what it is about in that directory; "": that itself */
} hilo_fs_event;

/*
 * [any] Something to watch with, in *@ret. 0; with a message: -EMFILE, -ENFILE: no descriptor, or the limit of those
 * is reached that inotify gives a user (fs.inotify.max_user_instances); -ENOMEM; -EINVAL.
 */
HILO_API HILO_MUST_CHECK int hilo_fs_watch_new(hilo_fs_watch **ret);

/*
 * [any] Consumes @watch. Who waits for an event is told HILO_ECLOSED; its memory goes when the last caller has left.
 * NULL: no-op.
 */
HILO_API void hilo_fs_watch_free(hilo_fs_watch *watch);

/*
 * [any, suspends] Watch @path for what is in @mask: HILO_FS_*. Once more: for that instead. 0; with a message:
 * -ENOENT, -EACCES and so on; -ENOSPC: the limit of what a user can watch is reached (fs.inotify.max_user_watches);
 * -EINVAL; -ENOMEM; -ETIMEDOUT, -ECANCELED, -EDEADLK; HILO_ECLOSED. On failure nothing more is watched than before.
 * Below a recursive path what cannot be read is left out. A directory is watched once, under whatever names, and for
 * all that was asked for it: to remove it, or a recursive path above it, ends that.
 */
HILO_API int hilo_fs_watch_add(hilo_fs_watch *watch, const char *path, uint32_t mask, hilo_time deadline);

/*
 * [any, suspends] Watch @path, as it was added, no more, nor what is below it. 0; -ENOENT: it is not watched;
 * -ETIMEDOUT, -ECANCELED, -EDEADLK; -EINVAL; HILO_ECLOSED. Events that have happened may still come.
 */
HILO_API int hilo_fs_watch_remove(hilo_fs_watch *watch, const char *path, hilo_time deadline);

/*
 * [any, suspends] Take the next event, in *@ret. 1; with a message: -EBUSY: somebody else takes them; HILO_ECLOSED;
 * -EINVAL; -ETIMEDOUT, -ECANCELED: none was taken; -EDEADLK: it would have to wait, in a callback; -ENOMEM; -ENOSPC:
 * a new directory below a recursive path cannot be watched, as above: the next call goes on with what comes after it.
 */
HILO_API int hilo_fs_watch_next(hilo_fs_watch *watch, hilo_fs_event *ret, hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_FS_WATCH_H */
