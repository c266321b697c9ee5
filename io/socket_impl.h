/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_SOCKET_IMPL_H
#define HILO_IO_SOCKET_IMPL_H

/* socket_impl.h - what others need to wait for sockets. */
#include <hilo/io/address.h>

#include "scheduler/poll_io.h"

/* [any, suspends] hilo__io_run, with what is said about a failure, and a turn for others now and then. */
int hilo__socket_run(struct poll_io *io, hilo_time deadline);

/*
 * [any, suspends] Accept on @fd, which does not block where it must not. The descriptor; nothing is said of
 * failures.
 */
int hilo__socket_accept(int fd, hilo_address *from, hilo_time deadline);

/* One piece, and a name: of @length bytes in @name, or none (0). All but @message is kept by it. */
void hilo__message_init(struct msghdr *message, struct iovec *piece, const void *data, size_t size,
			struct sockaddr_storage *name, socklen_t length);

/* Who has sent @message, into *@ret unless that is NULL; zero if it does not say. */
void hilo__message_from(const struct msghdr *message, hilo_address *ret);

#endif /* HILO_IO_SOCKET_IMPL_H */
