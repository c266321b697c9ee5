/* SPDX-License-Identifier: MIT */
/*
 * fs_watch_next.c - taking events, and keeping up with directories that come and go. The protocol is in
 * fs_watch_impl.h.
 *
 * A new directory below a recursive path is first watched, and then read: what is made in it meanwhile is found in
 * one of the two ways. It is a walk, whose entries are told as events, one with each call.
 */
#include "io/fs_watch_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <stdio.h>

#include "runtime/contend_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* [claimed, suspends] Have an event in the buffer. 0; a negative errno. */
static int events_have(hilo_fs_watch *watch, hilo_time deadline)
{
	ssize_t n;
	int rc = 0;

	if (watch->at < watch->end)
		return 0;
	for (;;) {
		if (load_relaxed(&watch->word) &
		    FS_CLOSED) /* relaxed: the eventfd, or the next look, orders it */
			return HILO_ECLOSED;
		n = hilo__sys_read(watch->fd, watch->buffer, sizeof(watch->buffer));
		if (n == -EINTR)
			continue;
		if (n != -EAGAIN)
			break;
		rc = hilo_fd_wait(watch->epoll_fd, HILO_READABLE, deadline);
		if (rc < 0)
			return rc;
	}
	watch->at = 0;
	watch->end = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : n < 0 ? (int)n : -EIO;
}

/* [claimed] Have the first @length bytes of @path as the path of the event. 0, -ENOMEM. */
static int event_path(hilo_fs_watch *watch, const char *path, size_t length)
{
	char *copy = hilo__malloc(length + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, path, length);
	copy[length] = '\0';
	hilo__free(watch->path);
	watch->path = copy;
	return 0;
}

/* [claimed] The path of what is in a directory; hilo__free ends it. NULL: no memory. */
static char *path_join(const char *path, const char *name)
{
	size_t length = strlen(path), size = length + strlen(name) + 2;
	bool slash = length && path[length - 1] != '/';
	char *joined = hilo__malloc(size);

	if (joined)
		(void)snprintf(joined, size, "%s%s%s", path, slash ? "/" : "", name);
	return joined;
}

/* [claimed, mutex] A directory has come into @of, or gone from it, as @raw says. 0, -ENOMEM. */
static int keep_up(hilo_fs_watch *watch, const struct fs_path *of, const struct inotify_event *raw)
{
	char *path = path_join(of->path, raw->name);
	uint32_t mask = of->mask;
	int rc = 0;

	if (!path)
		return -ENOMEM;
	if (raw->mask & IN_MOVED_FROM)
		(void)hilo__fs_remove_below(watch, path, true); /* @of is not among them */
	else
		rc = hilo_walk_new(path, NULL, &watch->scan);
	watch->scan_mask = mask;
	hilo__free(path);
	return rc;
}

/* What was watched for, and what comes unasked. */
static uint32_t told_mask(const struct fs_path *of, uint32_t mask)
{
	return mask & ((of->mask & HILO_FS_ALL) | HILO_FS_UNMOUNTED | HILO_FS_ENDED);
}

/* [claimed, mutex] Take @raw, an event of the path at @index. 1: *@ret; 0: nobody asked for it; -ENOMEM: not taken. */
static int event_take(hilo_fs_watch *watch, size_t index, const struct inotify_event *raw, hilo_fs_event *ret)
{
	const struct fs_path *of = &watch->paths[index];
	uint32_t told = told_mask(of, raw->mask);
	bool moves = raw->mask & IN_ISDIR && raw->mask & (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO);
	int rc = event_path(watch, of->path, strlen(of->path));

	if (rc == 0 && moves && of->mask & HILO_FS_RECURSIVE) {
		rc = keep_up(watch, of, raw);
		if (rc < 0)
			return rc;
		index = hilo__fs_find(watch, raw->wd); /* others may have gone */
		of = &watch->paths[index];
	}
	if (rc < 0)
		return rc;
	if (raw->mask & IN_IGNORED) {
		told = of->inner ? 0 : told;
		hilo__fs_forget(watch, index);
	}
	if (!told)
		return 0;
	ret->mask = told | (raw->mask & IN_ISDIR);
	ret->cookie = raw->cookie;
	ret->path = watch->path;
	(void)snprintf(ret->name, sizeof(ret->name), "%s", raw->len ? raw->name : "");
	return 1;
}

/* [claimed, suspends] Take the first event of the buffer. 1, 0 and failures as above. */
static int buffer_take(hilo_fs_watch *watch, hilo_fs_event *ret, hilo_time deadline)
{
	const struct inotify_event *raw = (const void *)(watch->buffer + watch->at);
	size_t index;
	int rc;

	if (raw->mask & IN_Q_OVERFLOW) {
		*ret = (hilo_fs_event){.mask = HILO_FS_OVERFLOW, .path = ""};
		rc = 1;
	} else {
		rc = hilo_mutex_lock(&watch->mutex, deadline);
		if (rc < 0)
			return rc;
		index = hilo__fs_find(watch, raw->wd);
		if (index < watch->count && watch->paths[index].number == raw->wd)
			rc = event_take(watch, index, raw, ret);
		(void)hilo_mutex_unlock(&watch->mutex);
	}
	if (rc >= 0)
		watch->at += sizeof(*raw) + raw->len;
	return rc;
}

/* [claimed] The scan is over. */
static void scan_end(hilo_fs_watch *watch)
{
	(void)hilo_walk_close(watch->scan);
	watch->scan = NULL;
}

/* [claimed] What the scan has found is told as if it had just been made. 1; 0: nobody asked for that; -ENOMEM. */
static int scan_tell(hilo_fs_watch *watch, const hilo_walk_entry *entry, hilo_fs_event *ret)
{
	size_t length = (size_t)(entry->name - entry->path);
	int rc;

	if (!entry->depth || !(watch->scan_mask & HILO_FS_CREATED))
		return 0;
	while (length > 1 && entry->path[length - 1] == '/')
		length--;
	rc = event_path(watch, entry->path, length);
	if (rc < 0)
		return rc;
	ret->mask = HILO_FS_CREATED | (entry->kind == HILO_KIND_DIRECTORY ? HILO_FS_DIRECTORY : 0);
	ret->cookie = 0;
	ret->path = watch->path;
	(void)snprintf(ret->name, sizeof(ret->name), "%s", entry->name);
	return 1;
}

/*
 * [claimed, suspends] Deal with what the scan has told. 1, 0; a failure: it is still to be dealt with, but for
 * -ENOSPC.
 */
static int scan_take(hilo_fs_watch *watch, hilo_fs_event *ret, hilo_time deadline)
{
	const hilo_walk_entry *entry = &watch->scan_entry;
	int rc = 0;

	if (entry->error)
		return 0; /* gone again, or not to be read */
	if (entry->kind == HILO_KIND_DIRECTORY)
		rc = hilo__fs_add(watch, entry->path, watch->scan_mask, true, deadline);
	if (rc == -ENOSPC)
		(void)hilo_walk_skip(watch->scan);
	if (rc == -ENOSPC || rc == -ENOMEM || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EDEADLK ||
	    rc == HILO_ECLOSED)
		return rc;
	return scan_tell(watch, entry, ret);
}

/* [claimed, suspends] One step of the scan. 1, 0, a failure. */
static int scan_next(hilo_fs_watch *watch, hilo_fs_event *ret, hilo_time deadline)
{
	int rc;

	if (!watch->scan_has) {
		rc = hilo_walk_next(watch->scan, &watch->scan_entry, deadline);
		if (rc == 0)
			scan_end(watch);
		if (rc <= 0)
			return rc;
		watch->scan_has = true;
	}
	rc = scan_take(watch, ret, deadline);
	watch->scan_has = rc < 0 && rc != -ENOSPC;
	return rc;
}

int hilo_fs_watch_next(hilo_fs_watch *watch, hilo_fs_event *ret, hilo_time deadline)
{
	int rc = hilo__fs_enter(watch, "hilo_fs_watch_next");
	bool no = false;

	if (rc < 0)
		return rc;
	if (!ret || !cas_acquire(&watch->claimed, &no, true)) /* P1 */
		return hilo__fs_leave(watch, hilo_fail(ret ? -EBUSY : -EINVAL, "hilo_fs_watch_next: %s",
						       ret ? "somebody else takes events" : "ret is NULL"));
	do {
		rc = contend_is_interrupted(thread_self()) ? -ECANCELED : 0;
		if (rc == 0 && watch->scan) {
			rc = scan_next(watch, ret, deadline);
			continue;
		}
		if (rc == 0)
			rc = events_have(watch, deadline);
		if (rc == 0)
			rc = buffer_take(watch, ret, deadline);
	} while (rc == 0);
	if (rc < 0)
		rc = hilo__fs_failed(rc, "hilo_fs_watch_next", "a new directory");
	else if (deadline > 0)
		contend_was_free(thread_self());
	store_release(&watch->claimed, false); /* P1 */
	return hilo__fs_leave(watch, rc);
}
