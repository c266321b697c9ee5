/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_DESCRIPTOR_IMPL_H
#define HILO_IO_DESCRIPTOR_IMPL_H

/*
 * descriptor_impl.h - what a descriptor is, and calls on it that never wait. 0 or more on success, else a negative
 * errno. Each is a function in another file: the compiler may not keep the address of errno from before a suspension
 * to after it.
 */
#include <stdbool.h>
#include <sys/types.h>

enum descriptor_kind {
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_PIPE,
	DESCRIPTOR_TERMINAL,
	DESCRIPTOR_WAITS,  /* something else that can be waited for: an eventfd, inotify, a device */
	DESCRIPTOR_DIRECT, /* something that need not be waited for: a regular file, /dev/null */
};

struct descriptor {
	enum descriptor_kind kind;
	bool can_read, can_write;
	bool blocks; /* O_NONBLOCK is not set */
};

/* [any] What @fd is. 0; -EBADF; -EISDIR. */
int hilo__descriptor_look(int fd, struct descriptor *ret);

/* [any] 1: @fd is a socket that is connected, or has no connections; 0: it listens, or is not connected. */
int hilo__descriptor_connected(int fd);

/*
 * [any] Open what @fd, a @kind, is once more: it has an O_NONBLOCK of its own then, which is set, and nobody else sees
 * it. The descriptor; -ENXIO, -EACCES, ...: it cannot be had again.
 */
int hilo__descriptor_reopen(int fd, const struct descriptor *descriptor);

/* [any] Set O_NONBLOCK of @fd, which nobody else has: of a pipe it is that end's alone. */
void hilo__descriptor_unblock(int fd);

/* [any] How @fd was opened, and its flags: as F_GETFL. */
int hilo__descriptor_flags(int fd);

/* [any] The end of what is sent on socket @fd; or, with @both, of both directions. */
int hilo__descriptor_shut(int fd, bool both);

/*
 * [any] Keep SIGPIPE from the calling thread while it writes to what may have no reader. Needed in plain threads alone:
 * threads of workers have all signals blocked.
 */
struct descriptor_quiet {
	bool was_pending, was_blocked;
};

void hilo__descriptor_quiet(struct descriptor_quiet *quiet);
void hilo__descriptor_quiet_end(const struct descriptor_quiet *quiet);

/* [any] Up to @size bytes of @pipe, which has as many, to @fd, which does not block. How many; no signal is raised. */
ssize_t hilo__descriptor_send_pipe(int fd, int pipe, size_t size);

#endif /* HILO_IO_DESCRIPTOR_IMPL_H */
