/* SPDX-License-Identifier: MIT */
/*
 * poller_probe.c - what I/O tests run on here: "io_uring", or "epoll" and why, on standard output. Status 1 if
 * io_uring is to be had, nobody has asked for something else, and a receive was made without it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hilo/runtime/error.h>

#include "runtime/io_impl.h"
#include "scheduler/wait.h"
#include "tests/support/test.h"

/* [task] Operations that the kernel was given for a receive that has to wait. */
static int probe(void *arg)
{
	hilo_worker_stats stats = {.size = sizeof(stats)};
	uint64_t operations = 0;
	struct poll_io io;
	char buf[4];
	int fd[2];

	(void)arg;
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
	poll_io_init(&io, POLL_IO_RECV, fd[0], buf, sizeof(buf), NULL);
	TASK_CHECK(hilo__io_run(&io, WAIT_FD, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	for (unsigned i = 0; hilo_runtime_get_stats(hilo_runtime_current(), i, &stats) == 0; i++)
		operations += stats.operations;
	hilo__io_forget(hilo__io_runtime(), fd[0]);
	(void)close(fd[0]);
	(void)close(fd[1]);
	return (int)operations;
}

int main(void)
{
	const char *asked = getenv("HILO_POLLER");
	int works = hilo__poller_ring_works();
	int operations = hilo_run(probe, NULL, NULL);

	if (operations < 0)
		return 1;
	if (operations > 0)
		(void)puts("io_uring");
	else if (asked)
		(void)printf("epoll (HILO_POLLER=%s)\n", asked);
	else
		(void)printf("epoll (%s)\n", works < 0 ? hilo_errname(works) : "io_uring is to be had");
	return operations == 0 && works == 0 && !asked;
}
