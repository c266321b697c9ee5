/* SPDX-License-Identifier: MIT */
/*
 * fd.c - waiting for a descriptor, and watching one.
 *
 * P1  The completion of a wait releases `happened`, its waiter acquires.
 * P2  Dropping a reference on a watch releases, the last drop acquires: who frees sees all uses ended.
 * P3  hilo_fd_unwatch releases `ended`; a call that runs on the loop acquires, and leaves the user alone.
 * P4  Who has made a watch that is to be called later releases `ready` when it is where the call will look for
 *     it; a call that comes before acquires, and lets the descriptor, which stays ready, cause the next one.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>

#include "runtime/debug_impl.h"
#include "runtime/error_impl.h"
#include "runtime/fd_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/locals.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"

struct fd_wait {
	struct poll_op op;
	struct wait wait;
	atomic(uint32_t) happened;
};

static void fd_wait_complete(struct poll_op *op)
{
	struct fd_wait *w = container_of(op, struct fd_wait, op);

	store_release(&w->happened, 1); /* P1 */
	hilo__task_wake(w->wait.task, w->wait.episode);
}

static int fd_wait_thread(int fd, unsigned events, hilo_time deadline)
{
	struct pollfd poll = {.fd = fd,
			      .events = (short)((events & HILO_READABLE ? POLLIN | POLLRDHUP : 0) |
						(events & HILO_WRITABLE ? POLLOUT : 0))};
	unsigned there = 0;
	int rc;

	do {
		hilo_time left = deadline == HILO_FOREVER ? 0 : deadline - hilo__clock_now();
		struct timespec timeout = {.tv_sec = left > 0 ? left / HILO_SECOND : 0,
					   .tv_nsec = left > 0 ? (long)(left % HILO_SECOND) : 0};

		rc = hilo__sys_ppoll(&poll, 1, deadline == HILO_FOREVER ? NULL : &timeout);
	} while (rc == -EINTR);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return -ETIMEDOUT;
	if (poll.revents & POLLNVAL)
		return -EBADF;
	if (poll.revents & (POLLERR | POLLHUP))
		return (int)events;
	if (poll.revents & (POLLIN | POLLRDHUP))
		there |= HILO_READABLE;
	if (poll.revents & POLLOUT)
		there |= HILO_WRITABLE;
	return (int)there;
}

static int fd_wait_task(int fd, unsigned events, hilo_time deadline)
{
	struct fd_wait w;
	struct hilo_loop *loop = thread_self()->loop;
	struct poller *poller;
	int rc = hilo__wait_begin(&w.wait, WAIT_FD, (void *)(intptr_t)fd, deadline);

	if (rc < 0)
		return rc;
	poller = &loop->poller;
	atomic_setup(&w.happened, 0);
	poll_op_init(&w.op, POLL_OP_WAIT, fd, events, fd_wait_complete);
	rc = hilo__poller_submit(poller, &w.op);
	if (rc < 0) {
		hilo__wait_end(&w.wait);
		return rc;
	}
	while (!load_acquire(&w.happened) && rc == 0) /* P1 */
		rc = hilo__wait_park(&w.wait);
	if (!hilo__poller_cancel(poller, &w.op))
		rc = w.op.result;
	hilo__wait_end(&w.wait);
	if (rc != -ETIMEDOUT)
		return rc;
	/* Once more by ourselves: a deadline that has passed still tries, and the event may not be fetched yet. */
	rc = fd_wait_thread(fd, events, HILO_NO_WAIT);
	return rc > 0 ? rc : -ETIMEDOUT;
}

static int fd_check(const char *what, int fd, unsigned events)
{
	if (fd < 0)
		return hilo_fail(-EBADF, "%s: descriptor %d", what, fd);
	if (!events || events & ~(HILO_READABLE | HILO_WRITABLE))
		return hilo_fail(-EINVAL, "%s: events %#x", what, events);
	return 0;
}

int hilo_fd_wait(int fd, unsigned events, hilo_time deadline)
{
	int rc = fd_check("hilo_fd_wait", fd, events);

	if (rc < 0)
		return rc;
	if (!thread_self()->loop && thread_self()->closing)
		return -EDEADLK; /* a callback at the end of a runtime */
	rc = thread_self()->loop ? fd_wait_task(fd, events, deadline) : fd_wait_thread(fd, events, deadline);
	return rc < 0 ? hilo__error_own_fd(rc, fd) : rc;
}

/*
 * A watch: each completion queues its call on the loop, whose run calls the user and resumes the
 * operation. Two holders: the user, until unwatch, and the call while it is queued.
 */
struct hilo_fd_watcher {
	struct poll_op op;
	struct call call;
	struct hilo_loop *loop;
	hilo_fd_fn fn;		   /* either this ... */
	hilo_callback_fn callback; /* ... or this */
	void *arg;
	int fd;
	int result; /* of the completion whose call is queued */
	atomic(uint32_t) refs;
	atomic(uint32_t) ended;
	atomic(bool) ready;	/* P4: may be called */
	struct binding *locals; /* what it runs with; a reference */
	struct debug_mark open;
};

static void watch_unref(struct hilo_fd_watcher *watch)
{
	if (sub_acq_rel(&watch->refs, 1) != 1) /* P2 */
		return;
	hilo__locals_drop(&watch->locals);
	hilo__free(watch);
}

static void watch_complete(struct poll_op *op)
{
	struct hilo_fd_watcher *watch = container_of(op, struct hilo_fd_watcher, op);

	watch->result = op->result;
	(void)add_relaxed(&watch->refs, 1); /* relaxed: the user's own keeps it until cancel returns */
	hilo__loop_call(watch->loop, &watch->call);
}

static void watch_run(struct call *call)
{
	struct hilo_fd_watcher *watch = container_of(call, struct hilo_fd_watcher, call);
	/* A descriptor that broke for good: every event asked for, so that the user's own call finds out. */
	unsigned events = watch->result > 0 ? (unsigned)watch->result : watch->op.events;

	if (HILO__UNLIKELY(!load_acquire(&watch->ready))) { /* P4 */
		hilo__poller_resume(&watch->loop->poller, &watch->op);
	} else if (!load_acquire(&watch->ended)) { /* P3 */
		struct locals_frame frame;

		hilo__locals_enter(&frame, locals_ref(watch->locals));
		if (watch->fn)
			watch->fn(watch->fd, events, watch->arg);
		else
			watch->callback(watch->arg);
		hilo__locals_leave(&frame);
		if (!load_acquire(&watch->ended)) /* P3 */
			hilo__poller_resume(&watch->loop->poller, &watch->op);
	}
	watch_unref(watch);
}

static void watch_drop(struct call *call)
{
	watch_unref(container_of(call, struct hilo_fd_watcher, call));
}

int hilo_fd_watch(int fd, unsigned events, hilo_fd_fn fn, void *arg, hilo_fd_watcher **ret)
{
	struct watch_spec spec = {.call = "hilo_fd_watch",
				  .fd = fd,
				  .events = events,
				  .fn = fn,
				  .arg = arg,
				  .site = __builtin_return_address(0)};

	return hilo__fd_watch(&spec, ret);
}

int hilo__fd_watch(const struct watch_spec *spec, hilo_fd_watcher **ret)
{
	struct hilo_loop *loop = thread_home(thread_self());
	struct hilo_fd_watcher *watch;
	int rc = fd_check(spec->call, spec->fd, spec->events);

	if (rc < 0)
		return rc;
	if ((!spec->fn && !spec->callback) || !ret)
		return hilo_fail(-EINVAL, "%s: %s is NULL", spec->call, ret ? "fn" : "ret");
	if (!loop)
		return -EDEADLK;
	watch = hilo__calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->call.run = watch_run;
	watch->call.drop = watch_drop;
	watch->loop = loop;
	watch->fn = spec->fn;
	watch->callback = spec->callback;
	watch->arg = spec->arg;
	watch->locals = locals_inherit(thread_self());
	atomic_setup(&watch->ready, !spec->later);
	watch->fd = spec->fd;
	atomic_setup(&watch->refs, 1);
	poll_op_init(&watch->op, POLL_OP_WATCH, spec->fd, spec->events, watch_complete);
	*ret = watch; /* before: its first call may come on another thread, at once */
	debug_opened(&watch->open, loop->runtime, DEBUG_WATCH, spec->site);
	rc = hilo__poller_submit(&loop->poller, &watch->op);
	if (rc < 0) {
		debug_ended(&watch->open);
		*ret = NULL;
		watch_unref(watch);
	}
	return rc;
}

void hilo__watch_ready(hilo_fd_watcher *watch)
{
	store_release(&watch->ready, true); /* P4 */
}

void hilo_fd_unwatch(hilo_fd_watcher *watch)
{
	if (!watch)
		return;
	store_release(&watch->ended, 1); /* P3 */
	(void)hilo__poller_cancel(&watch->loop->poller, &watch->op);
	debug_ended(&watch->open);
	watch_unref(watch);
}
