/* SPDX-License-Identifier: MIT */
/*
 * poller_probe.c - what I/O tests run on here: "poller: io_uring", or "poller: epoll" and why, on standard output.
 * Status 1 if the kernel has what is needed for io_uring, nobody has asked for something else, and a receive was made
 * without it. What the kernel has is asked by calls made here, so that a library that is wrong about it is found out.
 *
 *	poller_probe --refused    the same with a library that takes the kernel to have none
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hilo/runtime/error.h>

#include "runtime/io_impl.h"
#include "scheduler/base/sys.h"
#include "scheduler/wait.h"
#include "tests/support/test.h"

/* From the kernel's interface, which does not change; its header may be older than the kernel. */
#define RING_FLAGS                                                                                           \
	(1u << 3 | 1u << 7 | 1u << 8 | 1u << 9) /* CQSIZE, SUBMIT_ALL, COOP_TASKRUN, TASKRUN_FLAG */
/* SINGLE_MMAP, NODROP, SUBMIT_STABLE, FAST_POLL, EXT_ARG */
#define RING_FEATURES (1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 8)
#define RING_PROBE 8
#define RING_SUPPORTED 1u

/* READV, WRITEV, FSYNC, POLL_ADD, SENDMSG, RECVMSG, TIMEOUT, ACCEPT, ASYNC_CANCEL, CONNECT, ... */
static const unsigned char operations_needed[] = {
	1,  2,	3,  6,	9,  10, 11, 13, 14, 16, /* ... OPENAT, STATX, READ, WRITE, SEND, RECV, ... */
	18, 21, 22, 23, 26, 27, 35, 36, 37,	/* ... RENAMEAT, UNLINKAT, MKDIRAT */
};

/* 0: the kernel has all that the library says to need; a negative errno: why not. */
static int kernel_has_rings(void)
{
#if defined(SYS_io_uring_setup) && defined(SYS_membarrier)
	uint32_t setup[30] = {[2] = RING_FLAGS, [1] = 16};
	struct {
		uint8_t last, count, pad[14];
		struct {
			uint8_t code, pad;
			uint16_t flags;
			uint32_t more;
		} known[64];
	} known = {0};
	long fd = syscall(SYS_io_uring_setup, 4, setup), rc;

	if (fd < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	rc = syscall(SYS_io_uring_register, fd, RING_PROBE, &known, 64) < 0 ? -errno : 0;
	(void)close((int)fd);
	if ((setup[5] & RING_FEATURES) != RING_FEATURES)
		rc = rc < 0 ? rc : -EOPNOTSUPP;
	for (size_t i = 0; rc == 0 && i < sizeof(operations_needed); i++)
		if (!(known.known[operations_needed[i]].flags & RING_SUPPORTED))
			rc = -EOPNOTSUPP;
	if (rc == 0 && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0)
		rc = -errno;
	return (int)rc;
#else
	return -ENOSYS;
#endif
}

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

int main(int argc, char **argv)
{
	const char *asked = getenv("HILO_POLLER");
	int has, operations;

	if (argc > 1 && strcmp(argv[1], "--refused") == 0)
		hilo__sys_fail(SYS_CALL_IO_URING_SETUP, 1, EOPNOTSUPP, true);
	has = kernel_has_rings();
	operations = hilo_run(probe, NULL, NULL);
	if (operations < 0)
		return 1;
	if (operations > 0)
		(void)puts("poller: io_uring");
	else if (asked)
		(void)printf("poller: epoll (HILO_POLLER=%s)\n", asked);
	else if (test_on_valgrind()) /* where the library uses none */
		(void)puts("poller: epoll (valgrind)");
	else
		(void)printf("poller: epoll (%s)\n", has < 0 ? hilo_errname(has) : "the kernel has io_uring");
	return operations == 0 && has == 0 && !asked && !test_on_valgrind();
}
