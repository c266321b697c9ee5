/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_DIRECTORY_H
#define HILO_IO_DIRECTORY_H

#include <hilo/io/path.h>

HILO_BEGIN_DECLS

/*
 * directory.h - what is in a directory, and in all that are in it.
 *
 *	rc = hilo_walk_new("/srv", NULL, &walk);
 *	while ((rc = hilo_walk_next(walk, &entry, HILO_FOREVER)) > 0)
 *		if (entry.error < 0)
 *			fprintf(stderr, "%s: %s\n", entry.path, hilo_strerror(entry.error));
 *		else if (entry.kind == HILO_KIND_FILE)
 *			...
 *	hilo_walk_close(walk);
 *
 * Both are read some hundred entries at a time. Each object is for one caller at a time; another one is told -EBUSY. A
 * call that ends early has taken nothing. The order is that of the file system.
 */
typedef struct hilo_dir hilo_dir;
typedef struct hilo_walk hilo_walk;

enum hilo_kind {
	HILO_KIND_UNKNOWN = 0, /* the file system does not say without a look at the file */
	HILO_KIND_FILE = 1,
	HILO_KIND_DIRECTORY = 2,
	HILO_KIND_LINK = 3, /* a symbolic one */
	HILO_KIND_FIFO = 4,
	HILO_KIND_SOCKET = 5,
	HILO_KIND_BLOCK = 6,
	HILO_KIND_CHARACTER = 7
};

typedef struct hilo_dir_entry {
	const char *name; /* without its directory; until the next call on the object */
	uint64_t inode;
	enum hilo_kind kind;
} hilo_dir_entry;

/* [any, suspends] Open the directory @path. 0; -ENOTDIR, and as hilo_file_open. */
HILO_API HILO_MUST_CHECK int hilo_dir_open(const char *path, hilo_dir **ret, hilo_time deadline);

/*
 * [any, suspends] The next entry, in *@ret; "." and ".." are left out. 1; 0: there are no more. With a message:
 * -EBUSY; -EINVAL; -EIO and so on; -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM, HILO_ECLOSED (the runtime ends).
 */
HILO_API int hilo_dir_read(hilo_dir *dir, hilo_dir_entry *ret, hilo_time deadline);

/* [any] Consumes @dir. 0, also for NULL; -EBUSY, with a message: somebody reads it, and it stays open. */
HILO_API int hilo_dir_close(hilo_dir *dir);

/* Go where symbolic links lead; one that leads to where one has come from is told with -ELOOP. */
#define HILO_WALK_FOLLOW 1u
/* Tell directories once more after all that is in them. */
#define HILO_WALK_AFTER 2u

typedef struct hilo_walk_opts {
	size_t size;	/* sizeof(hilo_walk_opts) */
	unsigned flags; /* HILO_WALK_* */
	unsigned depth; /* no deeper than so many levels below the root; 0: no limit */
} hilo_walk_opts;

/* Texts are until the next call on the walk. */
typedef struct hilo_walk_entry {
	const char *path; /* the root's, and on from there */
	const char *name; /* its last part; the root's path, for the root */
	uint64_t inode;	  /* 0 for the root */
	unsigned depth;	  /* 0 for the root */
	enum hilo_kind kind;
	int after; /* a directory, the second time */
	int error; /* 0; or why it could not be looked at, or, if it was told before, be opened or read to its end */
} hilo_walk_entry;

/*
 * [any] A walk from @root on, which it copies: the root first, each directory before what is in it. Nothing is opened
 * yet. 0; with a message: -EINVAL, -E2BIG; -ENAMETOOLONG; -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_walk_new(const char *root, const hilo_walk_opts *opts, hilo_walk **ret);

/*
 * [any, suspends] The next entry, in *@ret. 1; 0: that was all. A failure that is an entry's own is in its `error`,
 * and the walk goes on. -ETIMEDOUT, -ECANCELED, -EDEADLK, -ENOMEM, HILO_ECLOSED (the runtime ends), -EBUSY, -EINVAL:
 * the next call goes on where this one has ended. A directory that appears or goes meanwhile may be told or not. At
 * most 32 are open at a time.
 */
HILO_API int hilo_walk_next(hilo_walk *walk, hilo_walk_entry *ret, hilo_time deadline);

/* [any] Do not go into the directory that was told last. 0; -EINVAL: it was none; -EBUSY. */
HILO_API int hilo_walk_skip(hilo_walk *walk);

/* [any] Consumes @walk, wherever it is. 0, also for NULL; -EBUSY, with a message: somebody is in a call on it. */
HILO_API int hilo_walk_close(hilo_walk *walk);

HILO_END_DECLS

#endif /* HILO_IO_DIRECTORY_H */
