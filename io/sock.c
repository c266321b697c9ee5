/* SPDX-License-Identifier: MIT */
/* sock.c - see sock_impl.h. */
#include "io/sock_impl.h"

#include <sys/stat.h>

#include "scheduler/base/sys.h"

int hilo__sock_new(int family, int type, int flags)
{
	return (int)sys_result(socket(family, type | SOCK_CLOEXEC | flags, 0));
}

int hilo__sock_bind(int fd, const hilo_address *address)
{
	return (int)sys_result(bind(fd, &address->any, address->length));
}

int hilo__sock_listen(int fd, int backlog)
{
	return (int)sys_result(listen(fd, backlog));
}

int hilo__sock_shutdown(int fd, int how)
{
	return (int)sys_result(shutdown(fd, how));
}

int hilo__sock_connect(int fd, const hilo_address *address)
{
	return hilo__sys_connect(fd, &address->any, address->length);
}

int hilo__sock_set(int fd, int level, int option, int value)
{
	return (int)sys_result(setsockopt(fd, level, option, &value, sizeof(value)));
}

int hilo__sock_get(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof(*ret);

	return (int)sys_result(getsockopt(fd, level, option, ret, &size));
}

int hilo__sock_set_nonblocking(int fd, bool on)
{
	int flags = (int)sys_result(fcntl(fd, F_GETFL));
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (flags < 0 || flags == wanted)
		return flags < 0 ? flags : 0;
	return (int)sys_result(fcntl(fd, F_SETFL, wanted));
}

int hilo__sock_is_nonblocking(int fd)
{
	int flags = (int)sys_result(fcntl(fd, F_GETFL));

	return flags < 0 ? flags : (flags & O_NONBLOCK) != 0;
}

int hilo__sock_copy(int fd)
{
	return (int)sys_result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int hilo__sock_turn_away(int fd)
{
	int client = hilo__sys_accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	return client < 0 ? client : hilo__sys_close(client);
}

int hilo__sock_file(const char *path, uint64_t *device, uint64_t *inode)
{
	struct stat file;
	int rc = (int)sys_result(stat(path, &file));

	if (rc < 0)
		return rc;
	*device = file.st_dev;
	*inode = file.st_ino;
	return S_ISSOCK(file.st_mode) ? 0 : -ENOTSOCK;
}

int hilo__sock_unlink(const char *path)
{
	return hilo__sys_unlinkat(AT_FDCWD, path, 0);
}

int hilo__sock_reserve(void)
{
	return hilo__sys_open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int hilo__sock_recvmmsg(int fd, struct mmsghdr *messages, unsigned n)
{
	return (int)sys_result(recvmmsg(fd, messages, n, MSG_DONTWAIT | MSG_TRUNC, NULL));
}

int hilo__sock_sendmmsg(int fd, struct mmsghdr *messages, unsigned n)
{
	return (int)sys_result(sendmmsg(fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int hilo__sock_sendmsg(int fd, const struct msghdr *message)
{
	return (int)hilo__sys_sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int hilo_address_of_socket(int fd, hilo_address *ret)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	int rc = (int)sys_result(getsockname(fd, (struct sockaddr *)&name, &size));

	return rc < 0 ? rc : hilo_address_from((struct sockaddr *)&name, size, ret);
}

int hilo_address_of_peer(int fd, hilo_address *ret)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	int rc = (int)sys_result(getpeername(fd, (struct sockaddr *)&name, &size));

	return rc < 0 ? rc : hilo_address_from((struct sockaddr *)&name, size, ret);
}
