/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_DISK_H
#define TESTS_UNIT_IO_DISK_H

/*
 * disk.h - files to be sent, and a disk that hangs when it is told to: for tests that have hilo__sys call it. For good:
 * threads of the pool live on, and look at the calls.
 */
#include <sys/stat.h>

#include <hilo/io/file.h>

#include "scheduler/base/sys.h"
#include "tests/unit/io/streams.h"

/* More than sockets hold, than a stream buffers besides, and than goes through a pipe at a time. */
#define FILE_SIZE ((size_t)1280 * 1024 + 17)

/* Of bytes of which each tells where it belongs (bytes_fill). */
static inline int file_new(size_t size)
{
	char path[] = "/tmp/hilo_sendfile_XXXXXX", block[8192];
	int fd = mkstemp(path);

	TASK_CHECK(unlink(path), ==, 0);
	for (size_t at = 0, n; at < size; at += n) {
		n = size - at < sizeof(block) ? size - at : sizeof(block);
		bytes_fill(block, n, at);
		TASK_CHECK(write(fd, block, n), ==, n);
	}
	return fd;
}

/* A disk that answers no more, until it is told to, what it has not in memory. */
static struct {
	atomic(unsigned) held; /* calls that wait for it */
	atomic(bool) answers;
	atomic(bool) forgets; /* has nothing in memory */
	atomic(bool) hangs;   /* it is that disk; else one as any */
} disk;

static inline void disk_wait(void)
{
	(void)add_seq_cst(&disk.held, 1);
	while (!load_seq_cst(&disk.answers))
		test_pause();
}

static inline ssize_t disk_preadv2(int fd, const struct iovec *vector, int n, int64_t offset, int flags)
{
	if (!load_seq_cst(&disk.hangs))
		return sys_real_preadv2(fd, vector, n, offset, flags);
	if (flags & RWF_NOWAIT)
		return load_seq_cst(&disk.forgets) ? -EAGAIN : sys_real_preadv2(fd, vector, n, offset, 0);
	disk_wait();
	return sys_real_preadv2(fd, vector, n, offset, flags);
}

static inline ssize_t disk_splice(int in, int64_t *offset, int out, size_t size, unsigned flags)
{
	if (offset && load_seq_cst(&disk.hangs))
		disk_wait();
	return sys_real_splice(in, offset, out, size, flags);
}

static inline void disk_begin(bool forgets)
{
	store_seq_cst(&disk.held, 0);
	store_seq_cst(&disk.answers, false);
	store_seq_cst(&disk.forgets, forgets);
}

static inline hilo_file_stats figures(void)
{
	hilo_file_stats stats = {.size = sizeof(stats)};

	TASK_CHECK(hilo_file_get_stats(&stats), ==, 0);
	return stats;
}

/* Descriptors of that file; by name: others come and go meanwhile, and ThreadSanitizer looks after their numbers. */
static inline unsigned copies_of(const struct stat *of)
{
	struct stat found;
	unsigned n = 0;
	char name[32];

	for (int fd = 0; fd < 256; fd++) {
		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n += stat(name, &found) == 0 && found.st_ino == of->st_ino && found.st_dev == of->st_dev;
	}
	return n;
}

static inline struct stat stat_of(int fd)
{
	struct stat stat;

	TASK_CHECK(fstat(fd, &stat), ==, 0);
	return stat;
}

#endif /* TESTS_UNIT_IO_DISK_H */
