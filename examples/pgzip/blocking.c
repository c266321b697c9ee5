/* SPDX-License-Identifier: MIT */
/*
 * blocking.c - read(2) and write(2) through the executor.
 *
 * A call that an executor thread has begun cannot be taken back. So a read from a pipe or a terminal
 * stays on its thread only as long as data keep coming; when nothing came for a moment, it goes back
 * to its task, which waits for the descriptor with hilo_fd_wait: that wait can be cancelled and costs
 * no thread.
 */
#include "blocking.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

/* Long enough that a program which fills the pipe at full speed is never left, in ms. */
#define PATIENCE 10

static int fd_poll(int fd, short events, int timeout)
{
	struct pollfd entry = {.fd = fd, .events = events};

	return poll(&entry, 1, timeout);
}

/* One read, on the stack of the task that waits for it. */
struct reading {
	int fd;
	char *data;
	size_t size;
	size_t done;
	bool ended; /* end of the input */
};

/* [executor] Read until all is there, the input ends, or nothing comes for a while. */
static int reading_run(void *arg)
{
	struct reading *reading = arg;
	ssize_t count;

	while (reading->done < reading->size) {
		if (fd_poll(reading->fd, POLLIN, PATIENCE) == 0)
			return 0;
		count = read(reading->fd, reading->data + reading->done, reading->size - reading->done);
		if (count == 0) {
			reading->ended = true;
			return 0;
		}
		if (count > 0)
			reading->done += (size_t)count;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

int blocking_read(int fd, void *data, size_t size)
{
	struct reading reading = {.fd = fd, .data = data, .size = size};
	int ret;

	for (;;) {
		ret = hilo_run_in_executor(NULL, reading_run, &reading, HILO_FOREVER);
		if (ret < 0)
			return ret;
		if (reading.ended || reading.done == size)
			return (int)reading.done;
		ret = hilo_fd_wait(fd, HILO_READABLE, HILO_FOREVER);
		if (ret < 0 && ret != -EPERM) /* -EPERM: a file, which is always ready */
			return ret;
	}
}

struct writing {
	int fd;
	struct iovec *pieces;
	unsigned count;
};

/* Leave out what is written. */
static void writing_advance(struct writing *writing, size_t done)
{
	while (writing->count > 0 && done >= writing->pieces->iov_len) {
		done -= writing->pieces->iov_len;
		writing->pieces++;
		writing->count--;
	}
	if (writing->count > 0) {
		writing->pieces->iov_base = (char *)writing->pieces->iov_base + done;
		writing->pieces->iov_len -= done;
	}
}

/* [executor] Write all of it. */
static int writing_run(void *arg)
{
	struct writing *writing = arg;
	ssize_t done = 0;

	for (;;) {
		writing_advance(writing, done > 0 ? (size_t)done : 0);
		if (writing->count == 0)
			return 0;
		done = writev(writing->fd, writing->pieces,
			      (int)(writing->count < IOV_MAX ? writing->count : IOV_MAX));
		if (done < 0 && errno == EAGAIN)
			fd_poll(writing->fd, POLLOUT, -1);
		else if (done < 0 && errno != EINTR)
			return -errno;
	}
}

int blocking_write(int fd, struct iovec *pieces, unsigned count)
{
	struct writing writing = {fd, pieces, count};

	return hilo_run_in_executor(NULL, writing_run, &writing, HILO_FOREVER);
}
