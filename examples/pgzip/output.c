/* SPDX-License-Identifier: MIT */
/*
 * output.c - a file that is whole or not there.
 */
#include "output.h"
#include "blocking.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct commit {
	struct output *output;
	const struct stat *like;
};

void output_init(struct output *output)
{
	memset(output, 0, sizeof(*output));
	output->fd = -1;
	output->mask = umask(0);
	umask(output->mask);
}

/* Make the temporary file beside @output->path. */
static int temporary_open(struct output *output)
{
	const char *slash = strrchr(output->path, '/');
	int folder = slash ? (int)(slash + 1 - output->path) : 0;
	int length;

	length = snprintf(output->temporary, sizeof(output->temporary), "%.*s.pgzip-XXXXXX", folder,
			  output->path);
	if (length < 0 || (size_t)length >= sizeof(output->temporary))
		return -ENAMETOOLONG;
	output->fd = mkostemp(output->temporary, O_CLOEXEC);
	if (output->fd < 0)
		return -errno;
	atomic_store_explicit(&output->pending, true, memory_order_release);
	return 0;
}

/* [executor] A device or a named pipe is written directly, a file under its temporary name. */
static int output_open_blocking(void *arg)
{
	struct output *output = arg;
	struct stat stat_now;

	if (stat(output->path, &stat_now) < 0)
		return errno == ENOENT ? temporary_open(output) : -errno;
	if (S_ISDIR(stat_now.st_mode))
		return -EISDIR;
	if (S_ISREG(stat_now.st_mode))
		return output->force ? temporary_open(output) : -EEXIST;
	output->fd = open(output->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return output->fd < 0 ? -errno : 0;
}

int output_open(struct output *output, const char *path, bool force)
{
	int ret;

	output->path = path;
	output->name = path ? path : "stdout";
	output->force = force;
	output->fd = STDOUT_FILENO;
	if (!path)
		return 0;
	output->fd = -1;
	ret = hilo_run_in_executor(NULL, output_open_blocking, output, HILO_FOREVER);
	if (ret == -EEXIST)
		return hilo_fail(ret, "%s already exists; use -f to overwrite it", path);
	if (ret == -EISDIR)
		return hilo_fail(ret, "%s is a directory", path);
	if (ret < 0)
		return hilo_fail(ret, "cannot create %s: %s", path, strerror(-ret));
	return 0;
}

void output_open_nothing(struct output *output)
{
	output->path = NULL;
	output->name = "nothing";
	output->fd = -1;
}

/* The message for a write that failed. */
static int output_fail(struct output *output, int code)
{
	if (code == -ECANCELED)
		return code;
	return hilo_fail(code, "cannot write %s: %s", output->name, strerror(-code));
}

int output_write(struct output *output, struct iovec *pieces, unsigned count)
{
	int ret = output->fd >= 0 ? blocking_write(output->fd, pieces, count) : 0;

	return ret < 0 ? output_fail(output, ret) : 0;
}

/* Owner first, as a change of owner may take permissions away. Not everybody may give files away. */
static void output_copy_attributes(struct output *output, const struct stat *like)
{
	struct timespec times[2] = {like->st_atim, like->st_mtim};
	mode_t mode = like->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);

	if (!S_ISREG(like->st_mode)) {
		(void)fchmod(output->fd,
			     (S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH) & ~output->mask);
		return;
	}
	if (fchown(output->fd, like->st_uid, like->st_gid) < 0)
		mode &= (mode_t) ~(S_IRWXG & ~(mode << 3)); /* a foreign group gets no more than others */
	(void)fchmod(output->fd, mode);
	(void)futimens(output->fd, times);
}

/* The last step: the file gets its name. Without -f, never over a file that came up meanwhile. */
static int output_rename(struct output *output)
{
	unsigned flags = output->force ? 0 : RENAME_NOREPLACE;
	int ret = renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, flags);

	if (ret < 0 && errno == EINVAL) /* a file system without RENAME_NOREPLACE */
		ret = rename(output->temporary, output->path);
	if (ret < 0)
		return -errno;
	atomic_store_explicit(&output->pending, false, memory_order_release);
	return 0;
}

/* [executor] */
static int output_commit_blocking(void *arg)
{
	struct commit *commit = arg;
	struct output *output = commit->output;
	int fd = output->fd;

	if (!output->path)
		return 0;
	if (output->pending)
		output_copy_attributes(output, commit->like);
	output->fd = -1;
	if (close(fd) < 0)
		return -errno;
	return output->pending ? output_rename(output) : 0;
}

int output_commit(struct output *output, const struct stat *like)
{
	struct commit commit = {output, like};
	int ret = hilo_run_in_executor(NULL, output_commit_blocking, &commit, HILO_FOREVER);

	return ret < 0 ? output_fail(output, ret) : 0;
}

void output_discard(struct output *output)
{
	if (output->path && output->fd >= 0)
		close(output->fd);
	output->fd = -1;
	output_abandon(output);
}

void output_abandon(struct output *output)
{
	if (atomic_exchange_explicit(&output->pending, false, memory_order_acq_rel))
		unlink(output->temporary);
}
