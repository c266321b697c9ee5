/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_PROCESSES_H
#define TESTS_UNIT_IO_PROCESSES_H

/* processes.h - what the tests of processes share. */
#include "tests/support/test.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PROCESS_OPTS(...) (&(hilo_process_opts){.size = sizeof(hilo_process_opts), __VA_ARGS__})

/* State and parent of process @pid; 0: there is none. */
static inline char process_state(int pid, int *parent)
{
	char path[64], line[512], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	end = strrchr(line, ')');
	if (!end)
		return 0;
	*parent = atoi(end + 4);
	return end[2];
}

/* How many children we have, zombies among them. */
static inline unsigned children(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;
	int parent;

	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && process_state(atoi(entry->d_name), &parent) &&
		    parent == getpid())
			n++;
	closedir(proc);
	return n;
}

/* Process @pid has ended, whether somebody has waited for it or not. */
static inline bool process_is_over(int pid)
{
	int parent;
	char state = process_state(pid, &parent);

	return !state || state == 'Z' || state == 'X';
}

static inline hilo_process *start(const char *const *argv, const hilo_process_opts *opts)
{
	hilo_process *process = NULL;
	int rc = hilo_process_spawn(argv, opts, &process, HILO_FOREVER);

	if (rc < 0)
		fprintf(stderr, "%s\n", hilo_error_message());
	TASK_CHECK(rc, ==, 0);
	return process;
}

static inline hilo_process *start_shell(const char *command, const hilo_process_opts *opts)
{
	hilo_process *process = NULL;

	TASK_CHECK(hilo_process_shell(command, opts, &process, HILO_FOREVER), ==, 0);
	return process;
}

/* Wait for it, and free it: its status. */
static inline int finish(hilo_process *process)
{
	int status = 12345;

	TASK_CHECK(hilo_process_wait(process, &status, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_process_poll(process, NULL), ==, 1);
	hilo_process_free(process);
	return status;
}

/* What @command writes to its standard output, which is in @io. */
static inline const char *says(const char *command, hilo_process_opts *opts, hilo_process_io *io)
{
	hilo_process_opts none = {.size = sizeof(none)};

	memset(io, 0, sizeof(*io));
	io->size = sizeof(*io);
	opts = opts ? opts : &none;
	opts->out = HILO_STDIO_PIPE;
	TASK_CHECK(hilo_process_run(ARGV("/bin/sh", "-c", command), opts, io, HILO_FOREVER), ==, 0);
	return io->out ? io->out : "";
}

#define CHECK_SAYS(command, opts, text)                                                                      \
	do {                                                                                                 \
		hilo_process_io io_;                                                                         \
                                                                                                             \
		TASK_CHECK_TEXT(says(command, opts, &io_), text);                                            \
		hilo_process_io_free(&io_);                                                                  \
	} while (0)

/* [plain thread] Descriptors and children are as they were. */
struct books {
	unsigned fds;
};

static inline void books_open(struct books *books)
{
	TASK_CHECK(children(), ==, 0);
	books->fds = test_fds();
}

/* What was freed while it ran is reaped soon. */
static inline void books_close(const struct books *books)
{
	TEST_UNTIL(children() == 0);
	TEST_UNTIL(test_fds() <= books->fds);
}

/* A TASK_TEST whose runtimes leave nothing. */
#define CLEAN_TEST(name)                                                                                     \
	static int name##_body(void *arg);                                                                   \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		struct books books;                                                                          \
                                                                                                             \
		(void)state;                                                                                 \
		books_open(&books);                                                                          \
		test_each(name##_body);                                                                      \
		books_close(&books);                                                                         \
	}                                                                                                    \
	static int name##_body(__attribute__((unused)) void *arg)

/* Under valgrind and emulators a child does not share our memory: nothing of this works there. */
static inline bool processes_work(void)
{
#ifdef HILO_TEST_EMULATED
	return false;
#else
	return !test_on_valgrind();
#endif
}

#define PROCESSES_OR_SKIP()                                                                                  \
	do {                                                                                                 \
		if (!processes_work()) {                                                                     \
			printf("SKIP: emulators do not have vfork\n");                                       \
			return 77;                                                                           \
		}                                                                                            \
	} while (0)

#endif /* TESTS_UNIT_IO_PROCESSES_H */
