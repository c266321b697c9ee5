/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_DIRECTORY_IMPL_H
#define HILO_IO_DIRECTORY_IMPL_H

/*
 * directory_impl.h - a directory that is read.
 *
 * I1  `claimed` is who is in a call; all the rest is his. P1: a claim acquires, its end releases.
 * I2  `reading` is an operation that has moved, or will move, the descriptor's place. Who has started it may have
 *     left: the next one takes what it has brought, so no entry is lost.
 */
#include <hilo/io/directory.h>

#include "io/file_impl.h"

/* Entries as the kernel has told them. */
struct dir_batch {
	struct dir_batch *next;
	size_t at, end;
	_Alignas(8) char data[];
};

struct hilo_dir {
	int fd; /* -1: closed, all that is left is in the batches */
	atomic(bool) claimed;
	bool at_end;
	struct dir_batch *first, **last;
	struct file_op *reading; /* I2 */
	struct debug_mark open;
};

/*
 * [any, suspends] As hilo_dir_open, with more flags for open, without a message; @site: where, or NULL: not told of.
 */
int hilo__dir_open(const char *path, int flags, const void *site, hilo_dir **ret, hilo_time deadline);

/* [its only user, suspends] As hilo_dir_read, without a message. */
int hilo__dir_read(hilo_dir *dir, hilo_dir_entry *ret, hilo_time deadline);

/*
 * [its only user, suspends] Read all that is left, and close the descriptor. 0, or a failure; it can be tried again.
 */
int hilo__dir_drain(hilo_dir *dir, hilo_time deadline);

/* [its only user] Consumes @dir. */
void hilo__dir_free(hilo_dir *dir);

/* [any] What a mode of stat(2) says. */
enum hilo_kind hilo__kind_of_mode(unsigned mode);

/* As the kernel has it. */
struct dirent_raw {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t kind;
	char name[];
};

/* "." or "..". */
static inline bool dirent_is_dots(const struct dirent_raw *entry)
{
	const char *name = entry->name;

	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

#endif /* HILO_IO_DIRECTORY_IMPL_H */
