/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_FILES_H
#define TESTS_UNIT_IO_FILES_H

/* files.h - a directory for a test, and files in it; made and looked at with the system's own calls. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hilo/io/directory.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "tests/support/test.h"

struct folder {
	char path[64];
	char name[8][192];
	unsigned next;
};

static inline void folder_make(struct folder *folder)
{
	(void)snprintf(folder->path, sizeof(folder->path), "/tmp/hilo_files_XXXXXX");
	TASK_CHECK(mkdtemp(folder->path) != NULL, ==, 1);
	folder->next = 0;
}

/* The path of @name in it; of the last eight. */
static inline const char *in(struct folder *folder, const char *name)
{
	char *path = folder->name[folder->next++ % 8];
	size_t length = strlen(folder->path);

	memcpy(path, folder->path, length);
	(void)snprintf(path + length, sizeof(folder->name[0]) - length, "/%s", name);
	return path;
}

static inline int remove_one(const char *path, __attribute__((unused)) const struct stat *about,
			     __attribute__((unused)) int kind, __attribute__((unused)) struct FTW *at)
{
	return remove(path);
}

/* Not by rm: an emulator that starts a child of a process with threads may wait for a lock of its own for ever. */
static inline void folder_remove(struct folder *folder)
{
	TASK_CHECK(nftw(folder->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}

static inline void put(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	TASK_CHECK(fd, >=, 0);
	TASK_CHECK(write(fd, data, size), ==, size);
	close(fd);
}

/* What is in a file, of 63 bytes at most. */
static inline const char *got(const char *path, char text[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, 63);

	TASK_CHECK(n, >=, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

/* Some descriptor is of the file @path. */
static inline bool is_open(const char *path)
{
	char name[64], target[256];
	bool found = false;

	for (int fd = 0; fd < 256 && !found; fd++) {
		ssize_t n;

		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found = strcmp(target, path) == 0;
	}
	return found;
}

static inline hilo_file *opened(const char *path, const char *mode)
{
	hilo_file *file = NULL;

	TASK_CHECK(hilo_file_open(path, mode, NULL, &file, HILO_FOREVER), ==, 0);
	return file;
}

static inline void closed(hilo_file *file)
{
	TASK_CHECK(hilo_file_close(file, HILO_FOREVER), ==, 0);
}

static inline void said(hilo_file *file, const char *text)
{
	TASK_CHECK(hilo_file_write(file, text, strlen(text), HILO_FOREVER), ==, strlen(text));
}

#endif /* TESTS_UNIT_IO_FILES_H */
