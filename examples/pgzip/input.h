/* SPDX-License-Identifier: MIT */
#ifndef PGZIP_INPUT_H
#define PGZIP_INPUT_H

#include <stddef.h>
#include <sys/stat.h>

/* input.h - the file, pipe or terminal that is read. */
struct input {
	int fd;
	const char *name; /* for messages */
	const char *path; /* NULL: standard input */
	struct stat stat;
};

/* [suspends] Open @path, "-" for standard input; it is kept. A failure carries its message. */
int input_open(struct input *input, const char *path);

/* [suspends] Read @size bytes, fewer only at the end; returns how many. A failure carries its message. */
int input_read(struct input *input, void *data, size_t size);

/* Also on an input that was not opened. */
void input_close(struct input *input);

#endif /* PGZIP_INPUT_H */
