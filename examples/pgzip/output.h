/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_OUTPUT_H
#define PGZIP_OUTPUT_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>

/*
 * output.h - what is written, under a temporary name until it is complete.
 *
 * A file appears under its own name only once, whole: output_commit renames it. Until then it is
 * ".pgzip-XXXXXX" in the same directory, and output_discard removes it.
 */
struct output {
	int fd;		     /* -1: nothing is written */
	const char *name;    /* for messages */
	const char *path;    /* NULL: standard output, or nothing */
	bool force;	     /* replace an existing file */
	mode_t mask;	     /* umask of the process */
	atomic_bool pending; /* @temporary exists */
	char temporary[PATH_MAX];
};

/* Once, before the first task. */
void output_init(struct output *output);

/* [suspends] Open @path, which is kept; NULL for standard output. A failure carries its message. */
int output_open(struct output *output, const char *path, bool force);

/* Be an output that takes everything and writes nothing. */
void output_open_nothing(struct output *output);

/* [suspends] Write all of @count pieces, which are used up. A failure carries its message. */
int output_write(struct output *output, struct iovec *pieces, unsigned count);

/*
 * [suspends] Complete: give the file its name and, when @like is that of a regular file, its owner,
 * permissions and time. A failure carries its message.
 */
int output_commit(struct output *output, const struct stat *like);

/* Close it, and remove what is incomplete. Also on an output that was not opened. */
void output_discard(struct output *output);

/* Remove the temporary file if there is one, from any thread, before the process leaves at once. */
void output_abandon(struct output *output);

#endif /* PGZIP_OUTPUT_H */
