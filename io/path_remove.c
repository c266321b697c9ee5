/* SPDX-License-Identifier: MIT */
/*
 * path_remove.c - a directory and all that is in it, removed by one thread in one go.
 *
 * Whoever may write there can put a link in the place of a directory while this runs. So each name is looked up in the
 * directory that holds it, which is open, and no link is followed: nothing outside is removed. One directory is open at
 * a time, however deep they lie. The way back is "..", which has to be the directory that we came from; where it is
 * not, somebody has moved what is open, and all ends.
 *
 *	levels	[0] is what the path begins at, the last one is open
 *	names	of the directories that are left to do, those of the last level last, each with its NUL; the name of the
 *		level itself comes before them, the last one of the level above
 *
 * A directory is read to its end before its own directories are entered: those that could not be removed would be read
 * again otherwise.
 *
 * Rejected: a walk with paths (see above); a descriptor for each level, which a deep tree would run out of.
 */
#include <hilo/runtime/error.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>

#include "io/directory_impl.h"
#include "io/path_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define BATCH ((size_t)32 * 1024)
/* How often a directory is entered again that somebody else puts something into. */
#define TRIES 3

struct who {
	uint64_t inode;
	uint32_t device[2];
};

struct level {
	struct who who;
	size_t names;	/* where those begin that are in it */
	unsigned tries; /* for the last of them */
	bool failed;	/* something is left, and that is known */
};

struct remover {
	const struct file_op *op;
	int fd; /* of the last level */
	struct level *levels;
	size_t depth, levels_room;
	char *names;
	size_t used, names_room;
	char *batch;
	int failed; /* the first failure */
};

static inline struct level *last_level(struct remover *r)
{
	return &r->levels[r->depth - 1];
}

/* @array with room for @need items of @size bytes at least, which it has moved to if need be. NULL: as before. */
static void *grown(void *array, size_t *room, size_t need, size_t size)
{
	size_t more = *room ? *room : 16;
	void *memory;

	if (need <= *room)
		return array;
	while (more < need)
		more *= 2;
	memory = hilo__malloc(more * size);
	if (!memory)
		return NULL;
	if (array)
		memcpy(memory, array, *room * size);
	hilo__free(array);
	*room = more;
	return memory;
}

/* What is not there is removed. */
static void note(struct remover *r, int rc)
{
	if (rc >= 0 || rc == -ENOENT)
		return;
	last_level(r)->failed = true;
	r->failed = r->failed ? r->failed : rc;
}

static int name_push(struct remover *r, const char *name)
{
	size_t size = strlen(name) + 1;
	char *names = grown(r->names, &r->names_room, r->used + size, 1);

	if (!names)
		return -ENOMEM;
	r->names = names;
	memcpy(names + r->used, name, size);
	r->used += size;
	return 0;
}

/* The directory of the last level that comes next, or that we come from. */
static char *name_last(struct remover *r)
{
	size_t at = r->used - 1;

	while (at > last_level(r)->names && r->names[at - 1])
		at--;
	return r->names + at;
}

static void name_pop(struct remover *r)
{
	r->used = (size_t)(name_last(r) - r->names);
	last_level(r)->tries = 0;
}

static int entry_remove(struct remover *r, const struct dirent_raw *entry)
{
	int rc = -EISDIR;

	if (entry->kind != DT_DIR)
		PATH_RETRY(rc, hilo__sys_unlinkat(r->fd, entry->name, 0));
	if (rc == -EISDIR || (rc == -EPERM && entry->kind == DT_UNKNOWN)) /* of a directory, says POSIX */
		return name_push(r, entry->name);
	note(r, rc);
	return 0;
}

/* What is open: remove all but directories, and keep their names. */
static int level_read(struct remover *r)
{
	ssize_t n = 1, at;
	int rc = 0;

	while (rc == 0 && n > 0) {
		PATH_RETRY(n, hilo__sys_getdents64(r->fd, r->batch, BATCH));
		note(r, (int)n);
		for (at = 0; rc == 0 && at < n;) {
			const struct dirent_raw *entry = (const void *)(r->batch + at);

			at += entry->length;
			if (!dirent_is_dots(entry))
				rc = hilo__file_op_is_left(r->op) ? -ECANCELED : entry_remove(r, entry);
		}
	}
	return rc;
}

static int who_is(int fd, struct who *ret)
{
	struct statx found;
	int rc = hilo__sys_statx(fd, "", AT_EMPTY_PATH, STATX_INO, &found);

	if (rc == 0)
		*ret = (struct who){found.stx_ino, {found.stx_dev_major, found.stx_dev_minor}};
	return rc;
}

static bool who_is_same(const struct who *a, const struct who *b)
{
	return a->inode == b->inode && a->device[0] == b->device[0] && a->device[1] == b->device[1];
}

/* @fd is the last level from here on; the one above is closed. On failure all is as before. */
static int level_push(struct remover *r, int fd)
{
	struct level *levels = grown(r->levels, &r->levels_room, r->depth + 1, sizeof(*levels));
	struct level level = {.names = r->used};
	int rc = 0;

	if (!levels)
		return -ENOMEM;
	r->levels = levels;
	if (fd != AT_FDCWD)
		rc = who_is(fd, &level.who);
	if (rc < 0)
		return rc;
	levels[r->depth] = level;
	if (r->depth > 1)
		(void)hilo__sys_close(r->fd);
	r->depth++;
	r->fd = fd;
	return 0;
}

/* The next directory of the last level could not be opened: @rc. It may be none, or empty. */
static void not_entered(struct remover *r, int rc)
{
	int flags = rc == -ENOTDIR || rc == -ELOOP ? 0 : AT_REMOVEDIR, removed;

	if (rc != -ENOENT) {
		PATH_RETRY(removed, hilo__sys_unlinkat(r->fd, name_last(r), flags));
		if (removed == 0 || removed == -ENOENT || !flags)
			rc = removed;
	}
	note(r, rc);
	name_pop(r);
}

static int level_enter(struct remover *r)
{
	int fd, rc;

	PATH_RETRY(fd, hilo__sys_openat(r->fd, name_last(r), FOLDER_FLAGS, 0));
	if (fd < 0) {
		not_entered(r, fd);
		return 0;
	}
	rc = level_push(r, fd);
	if (rc < 0) {
		(void)hilo__sys_close(fd);
		return rc;
	}
	return level_read(r);
}

/* The directory above what is open. -ESTALE: it is not where we came from. */
static int above(struct remover *r)
{
	struct who who;
	int fd, rc;

	if (r->depth == 2)
		return AT_FDCWD;
	PATH_RETRY(fd, hilo__sys_openat(r->fd, "..", FOLDER_FLAGS, 0));
	if (fd < 0)
		return fd;
	rc = who_is(fd, &who);
	if (rc == 0 && !who_is_same(&who, &r->levels[r->depth - 2].who))
		rc = -ESTALE;
	if (rc < 0)
		(void)hilo__sys_close(fd);
	return rc < 0 ? rc : fd;
}

/* The last level is done: back to the one above, and remove it there. */
static int level_leave(struct remover *r)
{
	bool failed = last_level(r)->failed;
	int fd = above(r), rc = 0;

	if (fd < 0 && fd != AT_FDCWD)
		return fd;
	(void)hilo__sys_close(r->fd);
	r->fd = fd;
	r->depth--;
	if (failed) {
		last_level(r)->failed = true;
	} else {
		PATH_RETRY(rc, hilo__sys_unlinkat(fd, name_last(r), AT_REMOVEDIR));
		if ((rc == -ENOTEMPTY || rc == -EEXIST) && ++last_level(r)->tries < TRIES)
			return 0; /* once more */
		note(r, rc);
	}
	name_pop(r);
	return 0;
}

/* All of it. 0, or what has ended it. */
static int remove_tree(struct remover *r)
{
	int rc = 0;

	while (rc == 0 && (r->depth > 1 || r->used)) {
		if (hilo__file_op_is_left(r->op))
			rc = -ECANCELED;
		else
			rc = r->used > last_level(r)->names ? level_enter(r) : level_leave(r);
	}
	return rc;
}

/* [thread] */
static int remove_call(struct file_op *op)
{
	struct remover r = {.op = op, .fd = AT_FDCWD, .batch = hilo__malloc(BATCH)};
	int rc = r.batch ? level_push(&r, AT_FDCWD) : -ENOMEM;

	if (rc == 0)
		rc = name_push(&r, path_call_of(op)->path);
	if (rc == 0)
		rc = remove_tree(&r);
	if (r.depth > 1)
		(void)hilo__sys_close(r.fd);
	hilo__free(r.batch);
	hilo__free(r.names);
	hilo__free(r.levels);
	return rc < 0 ? rc : r.failed;
}

/* Cut slashes at the end, which would have a link followed. -EINVAL: "/", ".", "..": what is in it would go, it not. */
static int path_cut(char *path)
{
	size_t length = strlen(path);
	const char *name;

	while (length && path[length - 1] == '/')
		path[--length] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 ? 0 : -EINVAL;
}

int hilo_path_remove_all(const char *path, hilo_time deadline)
{
	struct file_op *op = NULL;
	int rc = hilo__path_op(remove_call, path, NULL, 0, 0, &op);

	if (rc == 0)
		rc = path_cut((char *)(uintptr_t)path_call_of(op)->path);
	if (rc == 0)
		rc = hilo__file_op_run(op, NULL, deadline);
	hilo__file_op_unref(op);
	return rc < 0 ? hilo__file_failed(rc, "hilo_path_remove_all", path ? path : "the path is NULL") : 0;
}
