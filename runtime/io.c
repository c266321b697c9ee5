/* SPDX-License-Identifier: MIT */
/*
 * io.c - waiting for operations of the kernel, and finding the poller for them.
 *
 * P1  The completion of an operation releases `happened`, its waiter acquires.
 */
#include "runtime/io_impl.h"

#include <errno.h>

#include <hilo/runtime/loop.h>
#include <hilo/runtime/task.h>

#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

atomic(uint64_t) hilo__io_memory_max;
void (*hilo__on_io_memory_max)(void);

void hilo__io_set_memory_max(uint64_t bytes)
{
	store_seq_cst(&hilo__io_memory_max, bytes); /* P1 of stream_room.c */
	if (hilo__on_io_memory_max)
		hilo__on_io_memory_max();
}

struct io_run {
	struct wait wait;
	atomic(uint32_t) happened;
};

static void io_run_complete(struct poll_op *op)
{
	struct poll_io *io = container_of(op, struct poll_io, op);
	struct io_run *run = io->owner;
	struct hilo_task *task = run->wait.task;
	uint32_t episode = run->wait.episode;

	store_release(&run->happened, 1); /* P1; from here on its waiter may be gone */
	hilo__task_wake(task, episode);
}

/* A plain thread makes the call itself. */
static int io_run_thread(struct poll_io *io, hilo_time deadline)
{
	bool blocks = (io->op.kind >= POLL_IO_READ && io->op.kind <= POLL_IO_WRITEV) ||
		      io->op.kind == POLL_IO_ACCEPT;
	int rc;

	if (thread_self()->closing)
		return -EDEADLK; /* a callback at the end of a runtime */
	for (;;) {
		if (blocks) {
			rc = hilo_fd_wait(io->op.fd, hilo__poll_io_event(io), deadline);
			if (rc < 0 && rc != -EPERM)
				return rc;
		}
		rc = hilo__poll_io_call(io);
		if (rc != -EAGAIN || (io->op.kind == POLL_IO_CONNECT && !io->begun))
			return rc;
		rc = hilo_fd_wait(io->op.fd, hilo__poll_io_event(io), deadline);
		if (rc < 0)
			return rc;
	}
}

/* A callback may not suspend, but need not where the call would not wait. */
static int io_run_callback(struct poll_io *io)
{
	int rc = io->op.kind < POLL_IO_ACCEPT ? hilo__poll_io_call(io) : -EAGAIN;

	return rc == -EAGAIN ? -EDEADLK : rc;
}

/* The wait is over for @rc, and the operation is not. */
static int io_run_stop(struct io_run *run, struct poll_io *io, int rc)
{
	/* Tried once, also if it was not given to the kernel yet. */
	if (rc == -ETIMEDOUT)
		hilo__poller_flush(io->poller);
	(void)hilo_shield_enter();
	hilo__io_stop(io);
	run->wait.deadline = HILO_FOREVER;
	while (!load_acquire(&run->happened)) /* P1 */
		(void)hilo__wait_park(&run->wait);
	(void)hilo_shield_leave();
	if (io->op.result != -ECANCELED)
		return io->op.result;
	/* It need not have been tried: it was to wait for readiness, or the kernel has not taken it. */
	if (rc == -ETIMEDOUT && io->op.kind < POLL_IO_ACCEPT) {
		int once = hilo__poll_io_call(io);

		return once == -EAGAIN ? rc : once;
	}
	return rc;
}

int hilo__io_run(struct poll_io *io, int kind, const void *object, hilo_time deadline)
{
	struct io_run run;
	struct hilo_loop *loop = thread_self()->loop;
	int rc;

	if (!loop)
		return io_run_thread(io, deadline);
	if (!thread_self()->task)
		return io_run_callback(io);
	rc = hilo__wait_begin(&run.wait, (enum wait_kind)kind, object, deadline);
	if (rc < 0)
		return rc;
	atomic_setup(&run.happened, 0);
	io->owner = &run;
	io->op.complete = io_run_complete;
	if (hilo__poller_start(&loop->poller, io)) {
		hilo__wait_end(&run.wait);
		return io->op.result;
	}
	while (!load_acquire(&run.happened) && rc == 0) /* P1 */
		rc = hilo__wait_park(&run.wait);
	rc = load_acquire(&run.happened) ? io->op.result : io_run_stop(&run, io, rc); /* P1 */
	hilo__wait_end(&run.wait);
	return rc;
}

bool hilo__io_start(struct hilo_runtime *runtime, struct poll_io *io)
{
	struct hilo_loop *loop = thread_self()->loop;
	struct poller *poller;
	bool done;

	if (HILO__LIKELY(loop != NULL))
		return hilo__poller_start(&loop->poller, io);
	if (!runtime) {
		io->op.result = -EOPNOTSUPP;
		return true;
	}
	poller = &runtime->loops[0]->poller;
	done = hilo__poller_start(poller, io);
	if (!done)
		hilo__poller_wake(poller);
	return done;
}

void hilo__io_stop(struct poll_io *io)
{
	struct poller *poller = io->poller; /* before: it may be complete, and gone, after */
	struct hilo_loop *loop = thread_self()->loop;

	hilo__poller_stop(io);
	if (poller->is_ring && (!loop || poller != &loop->poller))
		hilo__poller_wake(poller);
}

void hilo__io_forget(struct hilo_runtime *runtime, int fd)
{
	uint32_t all = runtime ? runtime_loops(runtime) : 0;

	for (uint32_t i = 0; i < all; i++)
		hilo__poller_forget(&runtime->loops[i]->poller, fd);
}

struct hilo_runtime *hilo__io_runtime(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->loop->runtime : self->closing;
}

bool hilo__io_is_ring(struct hilo_runtime *runtime)
{
	return runtime && runtime->is_ring;
}

int hilo__io_socket_flags(struct hilo_runtime *runtime)
{
	return hilo__io_is_ring(runtime) ? 0 : SOCK_NONBLOCK;
}
