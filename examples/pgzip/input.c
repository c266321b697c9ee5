/* SPDX-License-Identifier: MIT */
/*
 * input.c - opening and reading what is to be compressed or decompressed.
 */
#include "input.h"
#include "blocking.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* [executor] A path on a slow disk or a pipe without a writer may take its time. */
static int input_open_blocking(void *arg)
{
	struct input *input = arg;

	input->fd = input->path ? open(input->path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
	if (input->fd < 0 || fstat(input->fd, &input->stat) < 0)
		return -errno;
	if (S_ISDIR(input->stat.st_mode))
		return -EISDIR;
	posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int input_open(struct input *input, const char *path)
{
	int ret;

	memset(input, 0, sizeof(*input));
	input->fd = -1;
	input->path = strcmp(path, "-") != 0 ? path : NULL;
	input->name = input->path ? path : "stdin";
	ret = hilo_run_in_executor(NULL, input_open_blocking, input, HILO_FOREVER);
	if (ret == -EISDIR)
		return hilo_fail(ret, "%s is a directory", input->name);
	if (ret < 0)
		return hilo_fail(ret, "cannot open %s: %s", input->name, strerror(-ret));
	return 0;
}

int input_read(struct input *input, void *data, size_t size)
{
	int ret = blocking_read(input->fd, data, size);

	if (ret < 0 && ret != -ECANCELED)
		return hilo_fail(ret, "cannot read %s: %s", input->name, strerror(-ret));
	return ret;
}

void input_close(struct input *input)
{
	if (input->path && input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}
