/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_RESTART_H
#define SERVICE_RESTART_H

#include <hilo/hilo.h>

/*
 * restart.h - the socket that listens, and how it goes from one process to the next.
 *
 * The way of service managers (LISTEN_FDS): descriptor 3 listens. LISTEN_PID, if it is there, has to be the number
 * of the process; one service that starts the next cannot know that, and leaves it out. SERVICE_READY_FD is a socket
 * into which the new one says that it is about to serve: what could go wrong has not. Until then the old one goes on,
 * and if that never comes it goes on for good: a program that does not start, or a configuration that is wrong, costs
 * nobody a request. An old one that waits no longer shuts its end before it looks for the last time: so either it finds
 * what was said, or that cannot be said any more, and the new one ends without having served anybody.
 */

/*
 * [task, suspends] The socket that was inherited, or a new one at @host and @port: a descriptor, or why not, with a
 * message.
 */
int restart_socket(const char *host, unsigned port);

/*
 * [any] Tell who has started us, if somebody did and waits for that, that we are about to serve. 0; -EPIPE, with a
 * message: he waits no longer.
 */
int restart_ready(void);

/*
 * [task, suspends] Start argv[0] anew with the socket @fd, and wait until it serves. 0, or why it does not, with a
 * message.
 */
int restart_next(char **argv, int fd);

#endif /* SERVICE_RESTART_H */
