/* SPDX-License-Identifier: MIT */
/* restart.c - see restart.h. */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INHERITED 3
#define READY 4
#define BACKLOG 4096
#define PATIENCE (60 * HILO_SECOND)

/* The number in the environment's @name; -1: it is not there. */
static long environment_number(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 10) : -1;
}

static int socket_at(const hilo_address *address)
{
	int on = 1, fd = socket(hilo_address_family(address), SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	/* Those that are accepted have TCP_NODELAY from it. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, &address->any, address->length) < 0 || listen(fd, BACKLOG) < 0)
		rc = -errno;
	if (rc < 0)
		(void)close(fd);
	return rc < 0 ? rc : fd;
}

int restart_socket(const char *host, unsigned port)
{
	hilo_address address;
	int rc;

	if (environment_number("LISTEN_FDS") >= 1 &&
	    (environment_number("LISTEN_PID") < 0 || environment_number("LISTEN_PID") == getpid())) {
		if (fcntl(INHERITED, F_SETFD, FD_CLOEXEC) < 0)
			return hilo_fail(-errno, "LISTEN_FDS is set, and descriptor %d is not open",
					 INHERITED);
		return INHERITED;
	}
	rc = hilo_resolve(host, NULL, NULL, &address, 1, HILO_FOREVER);
	if (rc < 0)
		return rc;
	rc = hilo_address_set_port(&address, port);
	if (rc == 0)
		rc = socket_at(&address);
	return rc < 0 ? hilo_fail(rc, "%s, port %u: %s", host, port, hilo_strerror(rc)) : rc;
}

int restart_ready(void)
{
	long fd = environment_number("SERVICE_READY_FD");
	int rc;

	if (fd < 0)
		return 0;
	rc = send((int)fd, "1", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
	(void)close((int)fd);
	(void)unsetenv("SERVICE_READY_FD");
	return rc < 0 ? hilo_fail(rc, "nobody waits any more for this process to be ready: %s",
				  hilo_strerror(rc))
		      : 0;
}

/*
 * [suspends] Wait until the process says that it serves. When that has taken too long it cannot say so any more, and
 * ends of its own; what it has said before that is there, and it may have clients already.
 */
static int ready_wait(hilo_process *process, int fd)
{
	char byte;
	int rc = hilo_fd_wait(fd, HILO_READABLE, hilo_after(PATIENCE)), status = 0;

	if (rc < 0)
		(void)shutdown(fd, SHUT_RD);
	if (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		return 0;
	if (rc < 0 && rc != -ETIMEDOUT)
		return rc;
	if (rc == -ETIMEDOUT)
		return hilo_fail(-ETIMEDOUT, "the new process is not ready after %d s",
				 (int)(PATIENCE / HILO_SECOND));
	(void)hilo_process_wait(process, &status, hilo_after(HILO_SECOND));
	return hilo_fail(-ECHILD, "the new process has ended before it was ready, with status %d", status);
}

int restart_next(char **argv, int fd)
{
	const char *const environment[] = {"LISTEN_FDS=1", "LISTEN_PID", "SERVICE_READY_FD=4", NULL};
	int channel[2], status;
	hilo_fd_as fds[] = {{.fd = fd, .as = INHERITED}, {.as = READY}};
	hilo_process_opts opts = {.size = sizeof(opts),
				  .fds = fds,
				  .fds_count = 2,
				  .env_add = environment,
				  .end = HILO_PROCESS_DETACH};
	hilo_process *process;
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		return hilo_fail(-errno, "socketpair: %s", strerror(errno));
	fds[1].fd = channel[1];
	rc = hilo_process_spawn((const char *const *)argv, &opts, &process, hilo_after(PATIENCE));
	(void)close(channel[1]);
	if (rc == 0) {
		rc = ready_wait(process, channel[0]);
		if (rc < 0 && hilo_process_kill(process) == 0)
			(void)hilo_process_wait(process, &status, hilo_after(HILO_SECOND));
		hilo_process_free(process);
	}
	(void)close(channel[0]);
	return rc;
}
