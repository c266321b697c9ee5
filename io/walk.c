/* SPDX-License-Identifier: MIT */
/*
 * walk.c - all that is below a directory, depth first. The levels that it is in are an array, not frames of a stack.
 *
 * Each step leaves the walk where the next one can go on: what may suspend, or fail for want of memory, comes before
 * anything is changed.
 *
 *	LOOK	an entry was read, and its kind has to be found out
 *	DESCEND	a directory was told, and is to be opened
 *	READ	the innermost directory is to be read on
 *
 * Paths are opened from the root on each time: a descriptor for each level, to go on from, would limit the depth. So
 * the outer levels, when more than 32 are open, are read to their ends and closed.
 */
#include "io/directory_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <fcntl.h>

#include "io/path_impl.h"
#include "io/stat_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"

#define OPEN_MOST 32u

_Static_assert(sizeof(hilo_walk_opts) == SIZED_END(hilo_walk_opts, depth), "it ends with its last member");

enum walk_step {
	WALK_LOOK,
	WALK_DESCEND,
	WALK_READ,
};

struct level {
	hilo_dir *dir;
	size_t length;	/* of its path */
	uint64_t inode; /* in the directory that it is in */
	dev_t device;	/* these two with HILO_WALK_FOLLOW */
	ino_t number;
};

struct hilo_walk {
	atomic(bool) claimed; /* P1: a claim acquires, its end releases */
	hilo_walk_opts opts;
	enum walk_step step;
	struct level *levels;
	unsigned depth, room; /* levels that there are, and that there is room for */
	unsigned drained;     /* so many outer ones hold no descriptor */
	char *path;
	size_t length, path_room;
	size_t name; /* where the last part begins */
	uint64_t inode;
	enum hilo_kind kind;
	struct debug_mark open;
};

/* [claimed] Room for a path of @length bytes and a NUL. */
static int path_room(hilo_walk *walk, size_t length)
{
	size_t room = walk->path_room ? walk->path_room : 256;
	char *path;

	while (room <= length)
		room *= 2;
	if (room == walk->path_room)
		return 0;
	path = hilo__malloc(room);
	if (!path)
		return -ENOMEM;
	if (walk->path)
		memcpy(path, walk->path, walk->length + 1);
	hilo__free(walk->path);
	walk->path = path;
	walk->path_room = room;
	return 0;
}

int hilo_walk_new(const char *root, const hilo_walk_opts *given, hilo_walk **ret)
{
	hilo_walk_opts opts = {.size = sizeof(opts)};
	int rc = ret ? hilo__path_check(root) : -EINVAL;
	hilo_walk *walk;

	if (rc < 0)
		return hilo__file_failed(rc, "hilo_walk_new",
					 !ret	? "ret is NULL"
					 : root ? root
						: "root is NULL");
	rc = given ? SIZED_IN(hilo_walk_opts, &opts, given, depth) : 0;
	if (rc < 0)
		return rc;
	if (opts.flags & ~(HILO_WALK_FOLLOW | HILO_WALK_AFTER))
		return hilo_fail(-EINVAL, "hilo_walk_opts.flags is %#x: unknown flag", opts.flags);
	walk = hilo__calloc(1, sizeof(*walk));
	if (!walk)
		return -ENOMEM;
	atomic_setup(&walk->claimed, false);
	walk->opts = opts;
	rc = path_room(walk, strlen(root));
	if (rc < 0) {
		hilo__free(walk);
		return rc;
	}
	walk->length = strlen(root);
	memcpy(walk->path, root, walk->length + 1);
	debug_opened(&walk->open, hilo__io_runtime(), DEBUG_FOLDER, __builtin_return_address(0));
	*ret = walk;
	return 0;
}

/* It concerns the caller, not what is looked at. */
static bool is_interruption(int rc)
{
	return rc == -ECANCELED || rc == -ETIMEDOUT || rc == -ENOMEM || rc == -EDEADLK ||
	       rc == HILO_ECLOSED || rc == -EAGAIN;
}

/* [claimed] What is at the end of the path now; @error: 0 or what is wrong with it. Returns 1. */
static int walk_tell(hilo_walk *walk, hilo_walk_entry *ret, unsigned depth, bool after, int error)
{
	*ret = (hilo_walk_entry){.path = walk->path,
				 .name = walk->path + walk->name,
				 .inode = walk->inode,
				 .depth = depth,
				 .kind = walk->kind,
				 .after = after,
				 .error = error};
	return 1;
}

/* [claimed] Back to the path of the innermost level, which is gone into no more. */
static void path_back(hilo_walk *walk, const struct level *level)
{
	walk->length = level->length;
	walk->path[walk->length] = '\0';
	walk->name = walk->length;
	if (walk->depth > 1)
		while (walk->name && walk->path[walk->name - 1] != '/')
			walk->name--;
	else
		walk->name = 0;
	walk->kind = HILO_KIND_DIRECTORY;
	walk->inode = level->inode;
}

/* [claimed, suspends] LOOK: what the entry is. */
static int walk_look(hilo_walk *walk, hilo_walk_entry *ret, hilo_time deadline)
{
	bool follow = walk->opts.flags & HILO_WALK_FOLLOW, deeper;
	bool asks = walk->kind == HILO_KIND_UNKNOWN || (walk->kind == HILO_KIND_LINK && follow);
	struct stat stat;
	int rc = 0;

	if (asks) {
		rc = hilo__path_check(walk->path);
		if (rc == 0)
			rc = hilo__stat(AT_FDCWD, walk->path, follow ? 0 : AT_SYMLINK_NOFOLLOW, NULL, &stat,
					deadline);
		if (rc == -ENOENT && follow)
			rc = hilo__stat(AT_FDCWD, walk->path, AT_SYMLINK_NOFOLLOW, NULL, &stat, deadline);
		if (is_interruption(rc))
			return rc;
		if (rc == 0)
			walk->kind = hilo__kind_of_mode(stat.st_mode);
	}
	deeper = !walk->opts.depth || walk->depth < walk->opts.depth;
	walk->step = rc == 0 && walk->kind == HILO_KIND_DIRECTORY && deeper ? WALK_DESCEND : WALK_READ;
	return walk_tell(walk, ret, walk->depth, false, rc);
}

/* [claimed, suspends] Room for one level more, in memory and in descriptors. */
static int levels_room(hilo_walk *walk, hilo_time deadline)
{
	unsigned room = walk->room ? 2 * walk->room : 16;
	struct level *levels;
	int rc;

	if (walk->depth - walk->drained >= OPEN_MOST) {
		rc = hilo__dir_drain(walk->levels[walk->drained].dir, deadline);
		if (is_interruption(rc))
			return rc;
		/* One that cannot be read is found to be so when it is its turn. */
		walk->drained += rc == 0;
	}
	if (walk->depth < walk->room)
		return 0;
	levels = hilo__malloc(room * sizeof(*levels));
	if (!levels)
		return -ENOMEM;
	if (walk->depth)
		memcpy(levels, walk->levels, walk->depth * sizeof(*levels));
	hilo__free(walk->levels);
	walk->levels = levels;
	walk->room = room;
	return 0;
}

/* [claimed, suspends] Whether we are in it already. -ELOOP. */
static int level_identify(hilo_walk *walk, struct level *level, hilo_time deadline)
{
	struct stat stat;
	int rc = hilo__stat(level->dir->fd, "", AT_EMPTY_PATH, NULL, &stat, deadline);

	if (rc < 0)
		return rc;
	level->device = stat.st_dev;
	level->number = stat.st_ino;
	for (unsigned i = 0; i < walk->depth; i++)
		if (walk->levels[i].device == level->device && walk->levels[i].number == level->number)
			return -ELOOP;
	return 0;
}

/* [claimed, suspends] DESCEND: go into the directory that was told. */
static int level_push(hilo_walk *walk, hilo_time deadline)
{
	bool follow = walk->opts.flags & HILO_WALK_FOLLOW;
	struct level level = {.length = walk->length, .inode = walk->inode};
	int rc = levels_room(walk, deadline);

	if (rc == 0)
		rc = hilo__dir_open(walk->path, follow ? 0 : O_NOFOLLOW, NULL, &level.dir, deadline);
	if (rc < 0)
		return rc;
	if (follow)
		rc = level_identify(walk, &level, deadline);
	if (rc < 0) {
		hilo__dir_free(level.dir);
		return rc;
	}
	walk->levels[walk->depth++] = level;
	return 0;
}

/* [claimed] The innermost directory is done with. */
static void level_pop(hilo_walk *walk)
{
	hilo__dir_free(walk->levels[--walk->depth].dir);
	if (walk->drained > walk->depth)
		walk->drained = walk->depth;
}

/* [claimed] The entry @name of the innermost directory is what comes next. */
static int entry_take(hilo_walk *walk, const struct level *level, const hilo_dir_entry *entry)
{
	size_t length = strlen(entry->name), from = level->length;
	bool slash = from && walk->path[from - 1] != '/';

	memcpy(walk->path + from, "/", slash);
	walk->name = from + slash;
	memcpy(walk->path + walk->name, entry->name, length + 1);
	walk->length = walk->name + length;
	walk->inode = entry->inode;
	walk->kind = entry->kind;
	walk->step = WALK_LOOK;
	return 0;
}

/* [claimed, suspends] READ: one entry more; 1: @ret tells of the directory itself, 0: there is one to look at. */
static int walk_read(hilo_walk *walk, hilo_walk_entry *ret, hilo_time deadline)
{
	struct level *level = &walk->levels[walk->depth - 1];
	hilo_dir_entry entry;
	int rc =
		path_room(walk, level->length + 1 + FILE_PATH_MAX); /* some file systems go beyond NAME_MAX */

	if (rc == 0)
		rc = hilo__dir_read(level->dir, &entry, deadline);
	if (rc > 0)
		return entry_take(walk, level, &entry);
	if (is_interruption(rc))
		return rc;
	path_back(walk, level);
	level_pop(walk);
	if (rc < 0 || walk->opts.flags & HILO_WALK_AFTER)
		return walk_tell(walk, ret, walk->depth, walk->opts.flags & HILO_WALK_AFTER, rc);
	return 0;
}

/* [claimed, suspends] */
static int walk_next(hilo_walk *walk, hilo_walk_entry *ret, hilo_time deadline)
{
	int rc = 0;

	for (;;) {
		if (walk->step == WALK_LOOK)
			return walk_look(walk, ret, deadline);
		if (walk->step == WALK_DESCEND) {
			rc = level_push(walk, deadline);
			if (is_interruption(rc))
				return rc;
			walk->step = WALK_READ;
			if (rc < 0)
				return walk_tell(walk, ret, walk->depth, walk->opts.flags & HILO_WALK_AFTER,
						 rc);
		}
		if (!walk->depth)
			return 0;
		rc = walk_read(walk, ret, deadline);
		if (rc)
			return rc;
	}
}

/* [any] Claim @walk. */
static int walk_enter(hilo_walk *walk, const char *call)
{
	bool no = false;

	if (!walk)
		return hilo_fail(-EINVAL, "%s: walk is NULL", call);
	if (!cas_acquire(&walk->claimed, &no, true)) /* P1 */
		return hilo_fail(-EBUSY, "%s: somebody else is in a call on it", call);
	return 0;
}

int hilo_walk_next(hilo_walk *walk, hilo_walk_entry *ret, hilo_time deadline)
{
	int rc = walk_enter(walk, "hilo_walk_next");

	if (rc < 0)
		return rc;
	rc = ret ? walk_next(walk, ret, deadline) : -EINVAL;
	if (rc < 0)
		rc = hilo__file_failed(rc, "hilo_walk_next", ret ? walk->path : "ret is NULL");
	store_release(&walk->claimed, false); /* P1 */
	return rc;
}

int hilo_walk_skip(hilo_walk *walk)
{
	int rc = walk_enter(walk, "hilo_walk_skip");

	if (rc < 0)
		return rc;
	if (walk->step == WALK_DESCEND)
		walk->step = WALK_READ;
	else
		rc = hilo_fail(-EINVAL, "hilo_walk_skip: no directory was told last");
	store_release(&walk->claimed, false); /* P1 */
	return rc;
}

int hilo_walk_close(hilo_walk *walk)
{
	int rc = walk ? walk_enter(walk, "hilo_walk_close") : 0;

	if (!walk || rc < 0)
		return rc;
	while (walk->depth)
		level_pop(walk);
	debug_ended(&walk->open);
	hilo__free(walk->levels);
	hilo__free(walk->path);
	hilo__free(walk);
	return 0;
}
