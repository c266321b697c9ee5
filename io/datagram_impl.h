/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_DATAGRAM_IMPL_H
#define HILO_IO_DATAGRAM_IMPL_H

/*
 * datagram_impl.h - a UDP socket and those who use it.
 *
 *	 31                         2   1   0
 *	| users, in steps of 4        | F | C |
 *
 * C  CLOSED  nobody comes in any more.
 * F  FREED   the owner has given it up; nobody comes in, or looks, any more.
 *
 * Who takes the users of a closed socket to 0 closes the descriptor, and if it is freed, too, frees the memory. Who
 * closes is a user meanwhile. He wakes the tasks that wait, and each ends its own operation; plain threads, which
 * wait in the kernel, are roused by shutdown.
 *
 * I1  A task that waits is in `waiters` from after its operation was started until it goes on. It looks for CLOSED
 *     under the lock when it comes in, who closes takes the lock after he has set it: one of them sees the other.
 * P1  Coming in acquires, leaving releases, and the last one acquires: who closes sees all uses ended.
 * P2  The completion of an operation releases `happened`, its task acquires.
 *
 * Rejected: shutdown alone. The kernel does not tell of it who asks without waiting (MSG_DONTWAIT), only that there
 * is something to ask for: an operation over epoll would go round in circles. Rejected: that who closes stops the
 * operations. One that is about to be started can not be stopped yet.
 */
#include <hilo/io/datagram.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"
#include "scheduler/poll_io.h"

#define UDP_CLOSED 1u
#define UDP_FREED 2u
#define UDP_USER 4u

struct hilo_udp {
	atomic(uint32_t) word;
	int fd;
	struct spinlock lock;
	struct list waiters;	   /* I1 */
	atomic(uint32_t) segments; /* datagrams of fewer bytes may go as segments; 0: not known yet; a hint */
	struct debug_mark open;
};

/* [any] A socket around @fd, which it consumes on success, opened at @site. 0, -ENOMEM. */
int hilo__udp_new(int fd, const void *site, hilo_udp **ret);

/* [any] Come in. 0; HILO_ECLOSED; -EINVAL, with a message in the name of @call. */
int hilo__udp_enter(hilo_udp *udp, const char *call);

/* [user, suspends] As hilo__socket_run, and ends when @udp is closed. */
int hilo__udp_run(hilo_udp *udp, struct poll_io *io, hilo_time deadline);

/* [who closes, is a user] Have all end that wait. */
void hilo__udp_rouse(hilo_udp *udp);

/* [user] Leave with @rc, which is returned; a failure of a socket that was closed is HILO_ECLOSED. */
ssize_t hilo__udp_leave(hilo_udp *udp, ssize_t rc);

#endif /* HILO_IO_DATAGRAM_IMPL_H */
