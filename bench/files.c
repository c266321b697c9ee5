/* SPDX-License-Identifier: MIT */
/*
 * files.c - small files read by many tasks, beside plain threads that do the same; and what each operation on a file
 * costs by each way there is: the plain call, a call in an executor, a bare ring, and Hilo's own choice.
 *
 * Everything lies in a directory of its own in $TMPDIR, else in /var/tmp, which is to be on a disk. What is not in
 * memory is dropped from there before each round: bytes with posix_fadvise, names with /proc/sys/vm/drop_caches, which
 * only root may. What a way has no operation for, or cannot be measured, is a dash.
 */
#include "files_ring.h"
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TASKS 64
#define SMALL 1000
#define ROUNDS 5
#define FILES 64 /* of the table */
#define COLD 512 /* others, for operations on names that are not in memory */
#define ENTRIES 100
#define LARGEST ((size_t)16 * 1024 * 1024)

static char folder[256];
static struct counter next_file, read_bytes;
static long files;

static void file_name(char path[320], long i)
{
	(void)snprintf(path, 320, "%s/%ld", folder, i);
}

static void folder_open(void)
{
	const char *root = getenv("TMPDIR");

	(void)snprintf(folder, sizeof folder, "%s/hilo-bench-XXXXXX", root && *root ? root : "/var/tmp");
	if (!mkdtemp(folder))
		bench_die("%s cannot be made", folder);
}

static int folder_close(void *arg)
{
	(void)arg;
	return hilo_path_remove_all(folder, HILO_FOREVER);
}

static void file_make(long i, size_t size)
{
	char path[320], *data = bench_alloc(1, size);
	int fd;

	file_name(path, i);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0)
		bench_die("%s cannot be written", path);
	free(data);
}

/* files_read */

static void *plain_reader(void *arg)
{
	char path[320], buf[4096];
	long i;

	while ((i = (long)counter_add(&next_file, 1) - 1) < files) {
		int fd;

		file_name(path, i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		counter_add(&read_bytes, (uint64_t)read(fd, buf, sizeof buf));
		close(fd);
	}
	return arg;
}

static int reading_task(void *arg)
{
	hilo_file_opts opts = {.size = sizeof opts, .buffer = HILO_FILE_UNBUFFERED};
	char path[320], buf[4096];
	hilo_file *file;
	ssize_t n;
	long i;
	int rc;

	(void)arg;
	while ((i = (long)counter_add(&next_file, 1) - 1) < files) {
		file_name(path, i);
		rc = hilo_file_open(path, "r", &opts, &file, HILO_FOREVER);
		if (rc < 0)
			return rc;
		n = hilo_file_read(file, buf, sizeof buf, HILO_FOREVER);
		rc = hilo_file_close(file, HILO_FOREVER);
		if (n < 0 || rc < 0)
			return n < 0 ? (int)n : rc;
		counter_add(&read_bytes, (uint64_t)n);
	}
	return 0;
}

static void round_check(void)
{
	if (counter_get(&read_bytes) != (uint64_t)files * SMALL)
		bench_die("%llu bytes were read", (unsigned long long)counter_get(&read_bytes));
	counter_set(&next_file, 0);
	counter_set(&read_bytes, 0);
}

/* By as many threads as there are workers. */
static hilo_time plain_round(unsigned workers)
{
	pthread_t threads[64];
	hilo_time start = hilo_now();

	for (unsigned i = 0; i < workers; i++)
		if (pthread_create(&threads[i], NULL, plain_reader, NULL))
			bench_die("no thread");
	for (unsigned i = 0; i < workers; i++)
		(void)pthread_join(threads[i], NULL);
	start = hilo_now() - start;
	round_check();
	return start;
}

static int hilo_round(void *arg)
{
	hilo_task *task[TASKS];

	(void)arg;
	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(reading_task, NULL);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return 0;
}

static int time_compare(const void *a, const void *b)
{
	hilo_time x = *(const hilo_time *)a, y = *(const hilo_time *)b;

	return (x > y) - (x < y);
}

void bench_files_read(struct bench *b)
{
	hilo_time ours[ROUNDS], plain[ROUNDS], start;
	hilo_runtime *runtime = bench_runtime_new(b);

	folder_open();
	files = b->n;
	for (long i = 0; i < files; i++)
		file_make(i, SMALL);
	(void)plain_round(b->workers < 64 ? b->workers : 64);
	for (int i = 0; i < ROUNDS; i++) {
		plain[i] = plain_round(b->workers < 64 ? b->workers : 64);
		start = hilo_now();
		if (hilo_runtime_run_until_complete(runtime, hilo_round, NULL) < 0)
			bench_die("%s", hilo_error_message());
		ours[i] = hilo_now() - start;
		round_check();
	}
	(void)hilo_runtime_run_until_complete(runtime, folder_close, NULL);
	bench_runtime_free(b, runtime);
	qsort(ours, ROUNDS, sizeof *ours, time_compare);
	qsort(plain, ROUNDS, sizeof *plain, time_compare);
	b->ops = (uint64_t)files;
	b->check = (uint64_t)files * SMALL;
	b->took = ours[ROUNDS / 2];
	bench_extra(b, "\"plain_ns_per_op\":%.1f,\"of_plain\":%.3f",
		    (double)plain[ROUNDS / 2] / (double)files,
		    (double)plain[ROUNDS / 2] / (double)ours[ROUNDS / 2]);
}

/* files_table */

enum cell_op {
	CELL_OPEN,
	CELL_STAT,
	CELL_READ,
	CELL_WRITE,
	CELL_FSYNC,
	CELL_UNLINK,
	CELL_RENAME,
	CELL_MKDIR,
	CELL_READDIR,
};

struct cell {
	const char *name;
	enum cell_op op;
	size_t size;
	bool cold;
	long n;
};

static const struct cell cells[] = {
	{"openat and close, in memory", CELL_OPEN, 0, false, 20000},
	{"stat, in memory", CELL_STAT, 0, false, 20000},
	{"read 4 KiB, in memory", CELL_READ, 4096, false, 20000},
	{"read 64 KiB, in memory", CELL_READ, 65536, false, 5000},
	{"read 1 MiB, in memory", CELL_READ, 1 << 20, false, 256},
	{"read 16 MiB, in memory", CELL_READ, LARGEST, false, 32},
	{"read 4 KiB, from the disk", CELL_READ, 4096, true, FILES},
	{"read 64 KiB, from the disk", CELL_READ, 65536, true, FILES},
	{"read 1 MiB, from the disk", CELL_READ, 1 << 20, true, FILES},
	{"read 16 MiB, from the disk", CELL_READ, LARGEST, true, 4},
	{"write 4 KiB", CELL_WRITE, 4096, false, 20000},
	{"write 64 KiB", CELL_WRITE, 65536, false, 2000},
	{"write 1 MiB", CELL_WRITE, 1 << 20, false, 128},
	{"write 16 MiB", CELL_WRITE, LARGEST, false, 8},
	{"write 4 KiB and fsync", CELL_FSYNC, 4096, false, 128},
	{"unlink", CELL_UNLINK, 0, false, 5000},
	{"rename", CELL_RENAME, 0, false, 5000},
	{"mkdir", CELL_MKDIR, 0, false, 2000},
	{"a directory of 100 entries", CELL_READDIR, 0, false, 2000},
	{"openat and close, from the disk", CELL_OPEN, 0, true, COLD},
	{"stat, from the disk", CELL_STAT, 0, true, COLD},
};

static const struct cell *cell;

/* The file of the @i-th operation: only eight are of the largest size. */
static long cell_file(long i)
{
	return cell->size > 1 << 20 ? i % 8 : i % FILES;
}

static int fds[FILES];
static hilo_file *objects[FILES];
static char *buffers[FILES];

/* Where the operation's file is: one of those that are open, or one of its own. */
static void cell_path(char path[320], long i)
{
	bool own = cell->op >= CELL_UNLINK || (cell->cold && cell->op < CELL_READ);

	if (cell->op == CELL_READDIR)
		(void)snprintf(path, 320, "%s/entries", folder);
	else
		file_name(path, own ? FILES + i : cell_file(i));
}

static void cell_target(char path[320], long i)
{
	file_name(path, FILES + cell->n + i);
}

static void cell_failed(long i, int rc)
{
	bench_die("%s: operation %ld: %d", cell->name, i, rc);
}

static int entries_wrong(long n)
{
	return n == ENTRIES ? 0 : -1;
}

static int readdir_call(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	long n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	return closedir(dir) < 0 ? -1 : entries_wrong(n);
}

static int readdir_hilo(const char *path)
{
	hilo_dir_entry entry;
	hilo_dir *dir;
	int rc = hilo_dir_open(path, &dir, HILO_FOREVER);
	long n = 0;

	if (rc < 0)
		return rc;
	while ((rc = hilo_dir_read(dir, &entry, HILO_FOREVER)) > 0)
		n++;
	(void)hilo_dir_close(dir);
	return rc < 0 ? rc : entries_wrong(n);
}

/* The plain call. */
static int cell_call(long i)
{
	long f = cell_file(i);
	struct stat stat;
	char path[320], target[320];
	int fd, rc;

	cell_path(path, i);
	switch (cell->op) {
	case CELL_OPEN:
		fd = open(path, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? fd : close(fd);
	case CELL_STAT:
		return fstatat(AT_FDCWD, path, &stat, 0);
	case CELL_READ:
		return (int)pread(fds[f], buffers[f], cell->size, 0) - (int)cell->size;
	case CELL_WRITE:
		return (int)pwrite(fds[f], buffers[f], cell->size, 0) - (int)cell->size;
	case CELL_FSYNC:
		rc = (int)pwrite(fds[f], buffers[f], cell->size, 0) - (int)cell->size;
		return rc ? rc : fsync(fds[f]);
	case CELL_RENAME:
		cell_target(target, i);
		return rename(path, target);
	case CELL_MKDIR:
		return mkdir(path, 0755);
	case CELL_READDIR:
		return readdir_call(path);
	default:
		return unlink(path);
	}
}

/* The same with Hilo. */
static int cell_hilo(long i)
{
	long f = cell_file(i);
	hilo_file *file;
	struct stat stat;
	char path[320], target[320];
	int rc;

	cell_path(path, i);
	switch (cell->op) {
	case CELL_OPEN:
		rc = hilo_file_open(path, "r", NULL, &file, HILO_FOREVER);
		return rc < 0 ? rc : hilo_file_close(file, HILO_FOREVER);
	case CELL_STAT:
		return hilo_path_stat(path, &stat, HILO_FOREVER);
	case CELL_READ:
		return (int)hilo_file_pread(objects[f], buffers[f], cell->size, 0, HILO_FOREVER) -
		       (int)cell->size;
	case CELL_WRITE:
		return (int)hilo_file_pwrite(objects[f], buffers[f], cell->size, 0, HILO_FOREVER) -
		       (int)cell->size;
	case CELL_FSYNC:
		rc = (int)hilo_file_pwrite(objects[f], buffers[f], cell->size, 0, HILO_FOREVER) -
		     (int)cell->size;
		return rc ? rc : hilo_file_sync(objects[f], HILO_FOREVER);
	case CELL_RENAME:
		cell_target(target, i);
		return hilo_path_rename(path, target, 0, HILO_FOREVER);
	case CELL_MKDIR:
		return hilo_path_mkdir(path, 0755, HILO_FOREVER);
	case CELL_READDIR:
		return readdir_hilo(path);
	default:
		return hilo_path_unlink(path, HILO_FOREVER);
	}
}

static char ring_paths[FILES][320], ring_targets[FILES][320];
static struct statx ring_stats[FILES];

static void cell_fill(struct io_uring_sqe *sqe, long i)
{
	long f = cell_file(i);

	cell_path(ring_paths[f], i);
	sqe->fd = AT_FDCWD;
	sqe->addr = (unsigned long)ring_paths[f];
	switch (cell->op) {
	case CELL_OPEN:
		sqe->opcode = IORING_OP_OPENAT;
		sqe->open_flags = O_RDONLY | O_CLOEXEC;
		break;
	case CELL_STAT:
		sqe->opcode = IORING_OP_STATX;
		sqe->len = STATX_BASIC_STATS;
		sqe->off = (unsigned long)&ring_stats[f];
		break;
	case CELL_UNLINK:
		sqe->opcode = IORING_OP_UNLINKAT;
		break;
	case CELL_RENAME:
		cell_target(ring_targets[f], i);
		sqe->opcode = IORING_OP_RENAMEAT;
		sqe->len = (unsigned)AT_FDCWD;
		sqe->off = (unsigned long)ring_targets[f];
		break;
	case CELL_MKDIR:
		sqe->opcode = IORING_OP_MKDIRAT;
		sqe->len = 0755;
		break;
	default:
		sqe->opcode = cell->op == CELL_READ ? IORING_OP_READ : IORING_OP_WRITE;
		sqe->fd = fds[f];
		sqe->addr = (unsigned long)buffers[f];
		sqe->len = (unsigned)cell->size;
		break;
	}
}

static void fsync_fill(struct io_uring_sqe *sqe, long i)
{
	sqe->opcode = IORING_OP_FSYNC;
	sqe->fd = fds[i % FILES];
}

static void cell_done(long i, int result)
{
	if (result < 0)
		cell_failed(i, result);
	if (cell->op == CELL_OPEN)
		(void)close(result);
}

/* Who makes the operations: one after the other, until there are no more. */
static int cell_work(int (*call)(long i))
{
	long i;

	while ((i = (long)counter_add(&next_file, 1) - 1) < cell->n) {
		int rc = call(i);

		if (rc)
			cell_failed(i, rc);
	}
	return 0;
}

static void *cell_thread(void *arg)
{
	(void)cell_work(cell_call);
	return arg;
}

static int cell_in_executor(void *arg)
{
	return cell_call(*(const long *)arg);
}

static int cell_executor(long i)
{
	return hilo_to_thread(cell_in_executor, &i, HILO_FOREVER);
}

static int cell_task(void *arg)
{
	int (*call)(long i) = *(int (**)(long))arg;

	return cell_work(call);
}

static int cell_tasks(int (*call)(long i))
{
	hilo_task *task[TASKS];

	for (int i = 0; i < TASKS; i++)
		task[i] = hilo_spawn(cell_task, &call);
	for (int i = 0; i < TASKS; i++)
		bench_join(task[i], 0);
	return 0;
}

static int way_executor(void *arg)
{
	(void)arg;
	return cell_tasks(cell_executor);
}

static int way_hilo(void *arg)
{
	(void)arg;
	return cell_tasks(cell_hilo);
}

static void way_plain(unsigned workers)
{
	pthread_t threads[64];

	for (unsigned i = 0; i < workers && i < 64; i++)
		if (pthread_create(&threads[i], NULL, cell_thread, NULL))
			bench_die("no thread");
	for (unsigned i = 0; i < workers && i < 64; i++)
		(void)pthread_join(threads[i], NULL);
}

static void way_ring(struct ring *ring)
{
	ring_run(ring, cell->n, 32, cell_fill, cell_done);
	if (cell->op == CELL_FSYNC)
		ring_run(ring, cell->n, 32, fsync_fill, cell_done);
}

/* Names and what is known of their files go from memory. False: we may not do that. */
static bool names_drop(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	sync();
	done = write(fd, "3", 1) == 1;
	(void)close(fd);
	return done;
}

/* [after the round] What would be in the way of the next, or of another cell. */
static void cell_tidy(void)
{
	char path[320];

	for (long i = 0; cell->op >= CELL_UNLINK && i < 2 * cell->n; i++) {
		file_name(path, FILES + i);
		(void)remove(path);
	}
}

/* What the cell needs, anew. False: it cannot be measured. */
static bool cell_prepare(void)
{
	bool own = cell->op == CELL_UNLINK || cell->op == CELL_RENAME || (cell->cold && cell->op < CELL_READ);

	counter_set(&next_file, 0);
	for (long i = 0; own && i < cell->n; i++)
		file_make(FILES + i, 1);
	if (cell->cold && cell->op < CELL_READ)
		return names_drop();
	for (int i = 0; cell->cold && i < FILES; i++)
		if (fsync(fds[i]) || posix_fadvise(fds[i], 0, 0, POSIX_FADV_DONTNEED))
			bench_die("files cannot be dropped from memory");
	return true;
}

static void table_open(void)
{
	char path[320];

	folder_open();
	(void)snprintf(path, sizeof path, "%s/entries", folder);
	if (mkdir(path, 0755) < 0)
		bench_die("%s cannot be made", path);
	for (long i = 0; i < ENTRIES; i++) {
		int fd;

		(void)snprintf(path, sizeof path, "%s/entries/%ld", folder, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || close(fd) < 0)
			bench_die("%s cannot be made", path);
	}
	for (long i = 0; i < FILES; i++) {
		file_make(i, i < 8 ? LARGEST : 1 << 20);
		file_name(path, i);
		fds[i] = open(path, O_RDWR | O_CLOEXEC);
		buffers[i] = bench_alloc(1, i < 8 ? LARGEST : 1 << 20);
		if (hilo_file_from_fd(dup(fds[i]), NULL, &objects[i]) < 0)
			bench_die("%s", hilo_error_message());
	}
}

/* One way of @cell: microseconds for an operation, the best of three rounds; 0: it cannot be measured. */
static double cell_measure(hilo_runtime *runtime, struct ring *ring, unsigned workers, int way)
{
	hilo_time best = HILO_FOREVER, start;

	for (int round = 0; round < 3; round++) {
		if (!cell_prepare())
			return 0;
		start = hilo_now();
		if (way == 0)
			way_plain(workers);
		else if (way == 1)
			(void)hilo_runtime_run_until_complete(runtime, way_executor, NULL);
		else if (way == 2)
			way_ring(ring);
		else
			(void)hilo_runtime_run_until_complete(runtime, way_hilo, NULL);
		start = hilo_now() - start;
		best = start < best ? start : best;
		cell_tidy();
	}
	return (double)best / 1e3 / (double)cell->n;
}

void bench_files_table(struct bench *b)
{
	hilo_runtime *runtime = bench_runtime_new(b);
	hilo_time start = hilo_now();
	struct ring ring;
	int ways = ring_open(&ring) < 0 ? -1 : 2;

	table_open();
	fprintf(stderr,
		"| us for each | %u threads | executor | ring | Hilo |\n| --- | --- | --- | --- | --- |\n",
		b->workers);
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		struct cell now = cells[i];

		cell = &now;
		fprintf(stderr, "| %s |", now.name);
		for (int way = 0; way < 4; way++) {
			bool lacks = way == 2 && (ways < 0 || now.op == CELL_READDIR);
			double us = lacks ? 0 : cell_measure(runtime, &ring, b->workers, way);

			if (us > 0)
				fprintf(stderr, " %.2f |", us);
			else
				fprintf(stderr, " - |");
		}
		fprintf(stderr, "\n");
		b->ops += (uint64_t)now.n;
	}
	for (int i = 0; i < FILES; i++)
		(void)hilo_file_close(objects[i], HILO_FOREVER);
	(void)hilo_runtime_run_until_complete(runtime, folder_close, NULL);
	bench_runtime_free(b, runtime);
	b->check = b->ops;
	b->took = hilo_now() - start;
}
