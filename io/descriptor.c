/* SPDX-License-Identifier: MIT */
/* descriptor.c - see descriptor_impl.h. */
#include "io/descriptor_impl.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/io_impl.h"
#include "scheduler/base/sys.h"

/* What is no socket, pipe or terminal can be waited for if an epoll instance takes it. */
static enum descriptor_kind kind_of_other(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = hilo__sys_epoll_create1(EPOLL_CLOEXEC), rc;

	if (epoll < 0)
		return DESCRIPTOR_WAITS;
	rc = hilo__sys_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	(void)hilo__sys_close(epoll);
	return rc == -EPERM ? DESCRIPTOR_DIRECT : DESCRIPTOR_WAITS;
}

static enum descriptor_kind kind_of(int fd, const struct stat *stat)
{
	if (S_ISSOCK(stat->st_mode))
		return DESCRIPTOR_SOCKET;
	if (S_ISFIFO(stat->st_mode))
		return DESCRIPTOR_PIPE;
	if (S_ISREG(stat->st_mode))
		return DESCRIPTOR_DIRECT;
	return S_ISCHR(stat->st_mode) && isatty(fd) ? DESCRIPTOR_TERMINAL : kind_of_other(fd);
}

int hilo__descriptor_look(int fd, struct descriptor *ret)
{
	struct stat stat;
	int rc = (int)sys_result(fstat(fd, &stat)), flags;

	if (rc < 0)
		return rc;
	if (S_ISDIR(stat.st_mode))
		return -EISDIR;
	flags = (int)sys_result(fcntl(fd, F_GETFL));
	if (flags < 0)
		return flags;
	if (flags & O_PATH)
		return -EBADF;
	ret->kind = kind_of(fd, &stat);
	ret->can_read = (flags & O_ACCMODE) != O_WRONLY;
	ret->can_write = (flags & O_ACCMODE) != O_RDONLY;
	ret->blocks = !(flags & O_NONBLOCK);
	return 0;
}

int hilo__descriptor_flags(int fd)
{
	return (int)sys_result(fcntl(fd, F_GETFL));
}

int hilo__descriptor_connected(int fd)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	int type, listens = 0, rc;

	size = sizeof(type);
	rc = (int)sys_result(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size));
	if (rc < 0)
		return rc;
	if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
		return 1;
	size = sizeof(listens);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
		return 0;
	size = sizeof(name);
	rc = (int)sys_result(getpeername(fd, (struct sockaddr *)&name, &size));
	/* A connection that has failed already is one: what comes of it is told to who reads. */
	return rc == -ENOTCONN ? hilo__descriptor_shut(fd, false) != -ENOTCONN : 1;
}

int hilo__descriptor_reopen(int fd, const struct descriptor *descriptor)
{
	char path[32];
	int mode = !descriptor->can_write ? O_RDONLY : !descriptor->can_read ? O_WRONLY : O_RDWR;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return hilo__sys_open(path, mode | O_NONBLOCK | O_NOCTTY);
}

void hilo__descriptor_unblock(int fd)
{
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int hilo__descriptor_shut(int fd, bool both)
{
	return (int)sys_result(shutdown(fd, both ? SHUT_RDWR : SHUT_WR));
}

void hilo__descriptor_quiet(struct descriptor_quiet *quiet)
{
	sigset_t pipe, before;

	(void)sigpending(&before);
	quiet->was_pending = sigismember(&before, SIGPIPE) == 1;
	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
	quiet->was_blocked = sigismember(&before, SIGPIPE) == 1;
}

void hilo__descriptor_quiet_end(const struct descriptor_quiet *quiet)
{
	const struct timespec none = {0, 0};
	sigset_t pipe;

	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	if (!quiet->was_pending)
		(void)sigtimedwait(&pipe, NULL, &none);
	if (!quiet->was_blocked)
		(void)pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}

ssize_t hilo__descriptor_send_pipe(int fd, int pipe, size_t size)
{
	struct descriptor_quiet quiet;
	bool plain = !hilo__io_runtime();
	ssize_t n;

	if (plain)
		hilo__descriptor_quiet(&quiet);
	n = hilo__sys_splice(pipe, NULL, fd, size, SPLICE_F_NONBLOCK);
	if (plain)
		hilo__descriptor_quiet_end(&quiet);
	return n;
}
