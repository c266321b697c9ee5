/* SPDX-License-Identifier: MIT */
/* fs_watch_paths.c - what is watched: a table, and what the kernel has of it. See fs_watch_impl.h. */
#include "io/fs_watch_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

size_t hilo__fs_find(const hilo_fs_watch *watch, int number)
{
	size_t low = 0, high = watch->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (watch->paths[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t hilo__fs_find_path(const hilo_fs_watch *watch, const char *path)
{
	size_t i = 0;

	while (i < watch->count && strcmp(watch->paths[i].path, path) != 0)
		i++;
	return i;
}

static int paths_room(hilo_fs_watch *watch)
{
	size_t room = watch->room ? 2 * watch->room : 8;
	struct fs_path *paths;

	if (watch->count < watch->room)
		return 0;
	paths = hilo__malloc(room * sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	if (watch->count)
		memcpy(paths, watch->paths, watch->count * sizeof(*paths));
	hilo__free(watch->paths);
	watch->paths = paths;
	watch->room = room;
	return 0;
}

/* What is asked of the kernel. */
static uint32_t kernel_mask(uint32_t mask)
{
	uint32_t ask = mask & HILO_FS_ALL;

	if (mask & HILO_FS_RECURSIVE)
		ask |= IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO;
	return ask;
}

int hilo__fs_put(hilo_fs_watch *watch, int fd, const char *path, uint32_t mask, bool inner)
{
	char name[32], *copy;
	size_t index;
	int rc = paths_room(watch);

	if (rc < 0)
		return rc;
	copy = hilo__strdup(path);
	if (!copy)
		return -ENOMEM;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	/* What is below a recursive path adds to what was asked for that directory itself. */
	rc = hilo__sys_inotify_add_watch(watch->fd, name, kernel_mask(mask) | (inner ? IN_MASK_ADD : 0));
	if (rc < 0) {
		hilo__free(copy);
		return rc;
	}
	index = hilo__fs_find(watch, rc);
	if (index < watch->count && watch->paths[index].number == rc) {
		struct fs_path *before = &watch->paths[index];

		if (inner && !before->inner) {
			before->mask |= mask;
			hilo__free(copy);
			return 0;
		}
		if (inner)
			mask |= before->mask;
		hilo__free(before->path);
	} else {
		memmove(watch->paths + index + 1, watch->paths + index,
			(watch->count - index) * sizeof(*watch->paths));
		watch->count++;
	}
	watch->paths[index] = (struct fs_path){rc, mask, inner, copy};
	return 0;
}

void hilo__fs_forget(hilo_fs_watch *watch, size_t index)
{
	hilo__free(watch->paths[index].path);
	watch->count--;
	memmove(watch->paths + index, watch->paths + index + 1,
		(watch->count - index) * sizeof(*watch->paths));
}

static bool is_below(const char *path, const char *root, size_t length)
{
	return strncmp(path, root, length) == 0 &&
	       (!path[length] || path[length] == '/' || (length && root[length - 1] == '/'));
}

size_t hilo__fs_remove_below(hilo_fs_watch *watch, const char *path, bool inner)
{
	size_t length = strlen(path), removed = 0;

	for (size_t i = watch->count; i-- > 0;) {
		const struct fs_path *at = &watch->paths[i];
		bool itself = strcmp(at->path, path) == 0;

		if (!is_below(at->path, path, length) || (!at->inner && (inner || !itself)))
			continue;
		(void)hilo__sys_inotify_rm_watch(watch->fd, at->number);
		hilo__fs_forget(watch, i);
		removed++;
	}
	return removed;
}
