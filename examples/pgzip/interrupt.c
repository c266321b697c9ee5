/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - signals through a descriptor.
 *
 * No handler runs, so nothing is interrupted anywhere, and no code has to be safe inside one.
 */
#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool signal_is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int interrupt_init(struct interrupt *interrupt)
{
	sigset_t set;

	interrupt->signal = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (!signal_is_ignored(SIGHUP)) /* nohup */
		sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN); /* a broken pipe is then the -EPIPE of a write, */
	signal(SIGXFSZ, SIG_IGN); /* and a file beyond the limit the -EFBIG of one */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	interrupt->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return interrupt->fd < 0 ? -errno : 0;
}

int interrupt_wait(struct interrupt *interrupt, hilo_time deadline)
{
	struct signalfd_siginfo info;
	int ret;

	do {
		ret = hilo_fd_wait(interrupt->fd, HILO_READABLE, deadline);
		if (ret < 0)
			return ret;
	} while (read(interrupt->fd, &info, sizeof(info)) != sizeof(info));
	interrupt->signal = (int)info.ssi_signo;
	return 0;
}
