/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_IO_IMPL_H
#define HILO_RUNTIME_IO_IMPL_H

/*
 * io_impl.h - the kernel's operations (scheduler/poll_io.h) for the layers above: on which poller, and how a task
 * or a plain thread waits for one.
 *
 * There are two ways to use an operation.
 *
 *	hilo__io_run	The caller waits for it. A cancel, a deadline: it is asked to end, and waited for, because until
 *			then the kernel may use the buffer. What it answers outranks both, so nothing is lost.
 *	hilo__io_start	Its owner is an object, a stream say, that lives until it has completed: nobody has to wait, and
 *			who stops waiting leaves it running. What it brings is there for the next one.
 */
#include <hilo/runtime/types.h>

#include "scheduler/poll_io.h"

struct hilo_runtime;

/*
 * [any] Make the call of @io, prepared with poll_io_init (without `complete`), and wait for it up to @deadline. What
 * the call answered; -ECANCELED; -ETIMEDOUT; -EDEADLK in a callback, unless it need not wait; -EMFILE, -ENFILE, -ENOMEM
 * when there is no ring for it yet. Suspends a task; a plain thread blocks, and makes the call itself.
 * @kind, @object: for dumps, as in scheduler/wait.h. Order of reasons as everywhere: a cancel that is set at entry
 * comes first, a deadline that has passed still tries once.
 */
int hilo__io_run(struct poll_io *io, int kind, const void *object, hilo_time deadline);

/*
 * [any] Start @io on the poller of the caller's loop; from a plain thread on one of @runtime's, which is not closed.
 * As hilo__poller_start.
 */
bool hilo__io_start(struct hilo_runtime *runtime, struct poll_io *io);

/* [any] As hilo__poller_stop. */
void hilo__io_stop(struct poll_io *io);

/*
 * [any] @fd is about to be closed, and no operation of hilo__io_run or hilo__io_start that uses it is under way:
 * those with POLL_KEPT have left something behind. Not needed for a descriptor that never had one.
 */
void hilo__io_forget(struct hilo_runtime *runtime, int fd);

/* [any] The runtime whose tasks or callbacks the caller is one of; NULL: a plain thread. */
struct hilo_runtime *hilo__io_runtime(void);

/*
 * [any] @runtime's pollers are rings, so that POLL_IO_FSYNC and what follows, and regular files, can be given to them.
 */
bool hilo__io_is_ring(struct hilo_runtime *runtime);

/* [any] SOCK_NONBLOCK or 0: what sockets of @runtime (NULL: of plain threads) are made with, beside SOCK_CLOEXEC. */
int hilo__io_socket_flags(struct hilo_runtime *runtime);

/*
 * The most memory that buffers of streams are to take in this process; 0: any. io/stream_room.c keeps it, if it is part
 * of the program: it is told when there is another one.
 */
extern atomic(uint64_t) hilo__io_memory_max;
extern void (*hilo__on_io_memory_max)(void);

/* [any] Set it, and tell. */
void hilo__io_set_memory_max(uint64_t bytes);

#endif /* HILO_RUNTIME_IO_IMPL_H */
