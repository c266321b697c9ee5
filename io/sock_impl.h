/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SOCK_IMPL_H
#define HILO_IO_SOCK_IMPL_H

/*
 * sock_impl.h - the calls on sockets that never wait: making, naming and setting them. 0 or more on success, else a
 * negative errno. Each is a function of its own, in another file: the compiler may not keep the address of errno from
 * before a suspension to after it.
 */
#include <hilo/io/address.h>

#include <stdbool.h>

/* [any] A socket that is closed on exec and fits the pollers of @flags (hilo__io_socket_flags). */
int hilo__sock_new(int family, int type, int flags);

/* [any] As the system calls. */
int hilo__sock_bind(int fd, const hilo_address *address);
int hilo__sock_listen(int fd, int backlog);
int hilo__sock_shutdown(int fd, int how);
int hilo__sock_connect(int fd, const hilo_address *address);

/* [any] An option that is an int. */
int hilo__sock_set(int fd, int level, int option, int value);
int hilo__sock_get(int fd, int level, int option, int *ret);

/* [any] Set or clear O_NONBLOCK; look at it. */
int hilo__sock_set_nonblocking(int fd, bool on);
int hilo__sock_is_nonblocking(int fd);

/* [any] Another descriptor of the same socket, closed on exec. */
int hilo__sock_copy(int fd);

/* [any] accept4 and close at once: the client is turned away. @fd does not block. 0, -EAGAIN, ... */
int hilo__sock_turn_away(int fd);

/* [any] The numbers of the file at @path, which is a socket; else -ENOTSOCK. Remove it. */
int hilo__sock_file(const char *path, uint64_t *device, uint64_t *inode);
int hilo__sock_unlink(const char *path);

/* [any] A descriptor of nothing, that keeps a place. */
int hilo__sock_reserve(void);

/* [any] Without waiting: -EAGAIN. */
struct mmsghdr;
int hilo__sock_recvmmsg(int fd, struct mmsghdr *messages, unsigned n);
int hilo__sock_sendmmsg(int fd, struct mmsghdr *messages, unsigned n);
int hilo__sock_sendmsg(int fd, const struct msghdr *message);

#endif /* HILO_IO_SOCK_IMPL_H */
