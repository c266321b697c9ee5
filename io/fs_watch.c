/* SPDX-License-Identifier: MIT */
/* fs_watch.c - making and ending watches, and the paths that they watch. The protocol is in fs_watch_impl.h. */
#include "io/fs_watch_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "io/file_impl.h"
#include "runtime/contend_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define ADD_FLAGS (HILO_FS_RECURSIVE | HILO_FS_NOFOLLOW)

_Static_assert(HILO_FS_WRITTEN == IN_CLOSE_WRITE && HILO_FS_MOVED_TO == IN_MOVED_TO &&
		       HILO_FS_SELF_MOVED == IN_MOVE_SELF && HILO_FS_OVERFLOW == IN_Q_OVERFLOW &&
		       HILO_FS_ENDED == IN_IGNORED && HILO_FS_DIRECTORY == IN_ISDIR &&
		       HILO_FS_UNMOUNTED == IN_UNMOUNT && HILO_FS_ALL == IN_ALL_EVENTS,
	       "the values are inotify's");

int hilo__fs_failed(int rc, const char *call, const char *path)
{
	if (rc == -ENOSPC)
		return hilo_fail(rc, "%s: %s: no more can be watched: fs.inotify.max_user_watches", call,
				 path);
	return hilo__file_failed(rc, call, path);
}

/* [creator] Its descriptors. 0, or a failure: some may be there. */
static int fds_open(hilo_fs_watch *watch)
{
	struct epoll_event event = {.events = EPOLLIN};
	int rc;

	rc = watch->fd = hilo__sys_inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (rc >= 0)
		rc = watch->end_fd = hilo__sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc >= 0)
		rc = watch->epoll_fd = hilo__sys_epoll_create1(EPOLL_CLOEXEC);
	if (rc >= 0)
		rc = hilo__sys_epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event);
	if (rc >= 0)
		rc = hilo__sys_epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->end_fd, &event);
	return rc;
}

static void fs_free(hilo_fs_watch *watch)
{
	if (watch->epoll_fd >= 0)
		(void)hilo__sys_close(watch->epoll_fd);
	if (watch->end_fd >= 0)
		(void)hilo__sys_close(watch->end_fd);
	if (watch->fd >= 0)
		(void)hilo__sys_close(watch->fd);
	while (watch->count)
		hilo__fs_forget(watch, watch->count - 1);
	(void)hilo_walk_close(watch->scan);
	hilo__free(watch->paths);
	hilo__free(watch->path);
	hilo__free(watch);
}

int hilo_fs_watch_new(hilo_fs_watch **ret)
{
	hilo_fs_watch *watch;
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_fs_watch_new: ret is NULL");
	watch = hilo__malloc(sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	memset(watch, 0, offsetof(hilo_fs_watch, buffer));
	watch->fd = watch->end_fd = watch->epoll_fd = -1;
	atomic_setup(&watch->word, 0);
	atomic_setup(&watch->claimed, false);
	completion_init(&watch->alone, 1);
	rc = fds_open(watch);
	if (rc < 0) {
		bool limit = watch->fd < 0 && rc == -EMFILE;

		fs_free(watch);
		return limit ? hilo_fail(rc, "hilo_fs_watch_new: no descriptor is left, or no instance: "
					     "fs.inotify.max_user_instances")
			     : hilo__file_failed(rc, "hilo_fs_watch_new", "its descriptors");
	}
	debug_opened_here(&watch->open, DEBUG_FS_WATCH, __builtin_return_address(0));
	*ret = watch;
	return 0;
}

int hilo__fs_enter(hilo_fs_watch *watch, const char *call)
{
	uint32_t word;

	if (!watch)
		return hilo_fail(-EINVAL, "%s: watch is NULL", call);
	word = load_relaxed(&watch->word); /* relaxed: only an expected value */
	do
		if (word & FS_CLOSED)
			return hilo_fail(HILO_ECLOSED, "%s: the watch is closed", call);
	while (!cas_acquire(&watch->word, &word, word + FS_USER)); /* P1 */
	return 0;
}

int hilo__fs_leave(hilo_fs_watch *watch, int rc)
{
	if (sub_acq_rel(&watch->word, FS_USER) - FS_USER == FS_CLOSED && /* P1 */
	    completion_set(&watch->alone))
		fs_free(watch);
	return rc;
}

void hilo_fs_watch_free(hilo_fs_watch *watch)
{
	const uint64_t one = 1;
	uint32_t word;

	if (!watch)
		return;
	word = load_relaxed(&watch->word); /* relaxed: only an expected value */
	do
		if (word & FS_CLOSED)
			return;
	while (!cas_acquire(&watch->word, &word, (word | FS_CLOSED) + FS_USER)); /* P1 */
	debug_ended(&watch->open);
	(void)hilo__sys_write(watch->end_fd, &one, sizeof(one));
	(void)hilo__fs_leave(watch, 0);	     /* the owner's reference keeps it */
	if (completion_unref(&watch->alone)) /* P1 */
		fs_free(watch);
}

int hilo__fs_add(hilo_fs_watch *watch, const char *path, uint32_t mask, bool inner, hilo_time deadline)
{
	int flags = O_PATH | (mask & HILO_FS_NOFOLLOW || inner ? O_NOFOLLOW : 0), rc;
	int fd = hilo__file_openat(path, flags, 0, deadline);

	if (fd < 0)
		return fd;
	rc = hilo_mutex_lock(&watch->mutex, deadline);
	if (rc == 0) {
		rc = hilo__fs_put(watch, fd, path, mask, inner);
		(void)hilo_mutex_unlock(&watch->mutex);
	}
	(void)hilo__sys_close(fd);
	return rc;
}

/* A directory below could not be watched: that is no concern of the others. */
static bool is_left_out(int rc)
{
	return rc == -EACCES || rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || rc == -ENAMETOOLONG;
}

/* A walk of what is below @path. With a slash at its end a link is the directory that it leads to. */
static int walk_below(const char *path, uint32_t mask, hilo_walk **ret)
{
	size_t length = strlen(path);
	char *directory;
	int rc;

	if (mask & HILO_FS_NOFOLLOW || path[length - 1] == '/')
		return hilo_walk_new(path, NULL, ret);
	directory = hilo__malloc(length + 2);
	if (!directory)
		return -ENOMEM;
	memcpy(directory, path, length);
	memcpy(directory + length, "/", 2);
	rc = hilo_walk_new(directory, NULL, ret);
	hilo__free(directory);
	return rc;
}

/* [user, suspends] All that is below @path. */
static int add_below(hilo_fs_watch *watch, const char *path, uint32_t mask, hilo_time deadline)
{
	hilo_walk_entry entry;
	hilo_walk *walk;
	int rc = walk_below(path, mask, &walk), added;

	if (rc < 0)
		return rc;
	while ((rc = hilo_walk_next(walk, &entry, deadline)) > 0) {
		if (!entry.depth || entry.error || entry.kind != HILO_KIND_DIRECTORY)
			continue;
		added = hilo__fs_add(watch, entry.path, mask, true, deadline);
		if (added < 0 && !is_left_out(added)) {
			rc = added;
			break;
		}
	}
	(void)hilo_walk_close(walk);
	return rc < 0 ? rc : 0;
}

/* [user] What a failed add has left: nothing, if the path was not watched before. */
static void add_undo(hilo_fs_watch *watch, const char *path, bool was_there)
{
	if (was_there)
		return;
	(void)hilo_shield_enter();
	if (hilo_mutex_lock(&watch->mutex, HILO_FOREVER) == 0) { /* nobody holds it for long */
		(void)hilo__fs_remove_below(watch, path, false);
		(void)hilo_mutex_unlock(&watch->mutex);
	}
	(void)hilo_shield_leave();
}

static int fs_add(hilo_fs_watch *watch, const char *path, uint32_t mask, hilo_time deadline)
{
	bool was_there;
	int rc = hilo_mutex_lock(&watch->mutex, deadline);

	if (rc < 0)
		return rc;
	was_there = hilo__fs_find_path(watch, path) < watch->count;
	(void)hilo_mutex_unlock(&watch->mutex);
	rc = hilo__fs_add(watch, path, mask, false, deadline);
	if (rc < 0 || !(mask & HILO_FS_RECURSIVE))
		return rc;
	rc = add_below(watch, path, mask, deadline);
	if (rc < 0)
		add_undo(watch, path, was_there);
	return rc;
}

int hilo_fs_watch_add(hilo_fs_watch *watch, const char *path, uint32_t mask, hilo_time deadline)
{
	int rc = hilo__fs_enter(watch, "hilo_fs_watch_add");

	if (rc < 0)
		return rc;
	if (!path || mask & ~(HILO_FS_ALL | ADD_FLAGS) || !(mask & HILO_FS_ALL))
		rc = hilo_fail(-EINVAL, "hilo_fs_watch_add: %s, mask %#x", path ? path : "path is NULL",
			       mask);
	else {
		rc = fs_add(watch, path, mask, deadline);
		if (rc < 0)
			rc = hilo__fs_failed(rc, "hilo_fs_watch_add", path);
	}
	return hilo__fs_leave(watch, rc);
}

int hilo_fs_watch_remove(hilo_fs_watch *watch, const char *path, hilo_time deadline)
{
	int rc = hilo__fs_enter(watch, "hilo_fs_watch_remove");

	if (rc < 0)
		return rc;
	rc = path ? hilo_mutex_lock(&watch->mutex, deadline) : -EINVAL;
	if (rc == 0) {
		size_t index = hilo__fs_find_path(watch, path);
		bool there = index < watch->count && !watch->paths[index].inner;

		if (there)
			(void)hilo__fs_remove_below(watch, path, false);
		(void)hilo_mutex_unlock(&watch->mutex);
		rc = there ? 0 : -ENOENT;
	}
	if (rc < 0)
		rc = hilo__file_failed(rc, "hilo_fs_watch_remove", path ? path : "path is NULL");
	return hilo__fs_leave(watch, rc);
}
