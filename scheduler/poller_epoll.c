/* SPDX-License-Identifier: MIT */
/*
 * poller_epoll.c - operations emulated over epoll.
 *
 * For each number of a descriptor the table (poll_table.h) has a poll_fd: what the kernel was told
 * about it, and the operations that wait for it, oldest first.
 *
 * Each submission tells the kernel again (EPOLL_CTL_MOD), one-shot, with a new sequence number in the
 * event's data. That costs a system call for each wait, and buys that a descriptor which was closed
 * behind our back is always noticed: the kernel has forgotten it, MOD answers ENOENT, whatever still
 * waited gets -EBADF, and ADD follows. Being told again the kernel looks at the file again, so a file
 * that is ready already is reported; being one-shot, a file that stays open elsewhere after we
 * closed it (a duplicate, a child) reports at most one event that nobody wants.
 *
 * With POLL_KEPT the caller rules that case out, and the registration is level-triggered and stays
 * after the event: the next wait finds it armed and makes no system call. It is narrowed to what is
 * wanted only when it reports what nobody waits for: at once before a sleep, at the second time
 * otherwise, since the first time mostly means that the reader is about to read.
 *
 * I1  All of a poll_fd is under its lock. It lives until the poller is freed.
 * I2  An event counts only if its sequence number is that of the last registration. A one-shot event
 *     that counts was therefore seen by the kernel after the last submission: it completes no wait
 *     that is younger than itself, whichever thread carries it and however late it is.
 * I3  The union of what is waited for is armed, whenever the lock is free.
 * I4  `stopping` of an operation of poll_io.h is set before the lock is taken to look whether it waits, and looked at
 *     under the lock before it does: who asks for its end and who has it wait meet under this lock.
 * P1  Both sides exchange `woken` with acq_rel. Who finds it clear writes to the eventfd; who finds it
 *     set comes before the owner's reset, which therefore sees the cause. While it is set the eventfd
 *     is readable, or will be: it is level-triggered, so a thief that sees it takes nothing away.
 * P2  The store of pending = 0 is the poller's last access to a completed operation and releases;
 *     cancel's load acquires: whoever has read 0 may reuse the operation.
 *
 * The lock of a poll_fd is held over epoll_ctl, which does not block: the order in which the kernel
 * hears of the registrations must be that of the sequence numbers. Only threads that use the same
 * descriptor on the same loop at the same moment meet there.
 *
 * complete is called under that lock. The alternative, to collect first and call later, would need a
 * third state of the operation, for cancel to wait for: the same wait, with more to go wrong.
 *
 * Rejected: edge-triggered registrations, which report each packet to a reader that is busy, and
 * still need MOD before each wait, because nobody knows whether the caller has read everything.
 */
#include "scheduler/poller_impl.h"

#include <errno.h>
#include <limits.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"

/* In place of a descriptor, in the data of the events that are the poller's own. */
#define POLL_WAKE UINT32_MAX
#define POLL_TIMER (UINT32_MAX - 1)

/* In `silent`: 0, or nothing to report until resumed, or that its file has gone. */
#define POLL_SILENT 1
#define POLL_GONE 2

/* How often in a row a lasting registration may report what nobody waits for. */
#define POLL_PATIENCE 2

/* [any] The place for @fd, which is made if it does not exist; not for a number that is no descriptor. */
static int poller_find_or_make(struct poll_backend *backend, int fd, struct poll_fd **ret)
{
	struct epoll_event nothing = {.events = EPOLLONESHOT};
	int rc;

	*ret = poll_table_find(&backend->table, fd);
	if (HILO__LIKELY(*ret != NULL))
		return 0;
	/* Fails in any case. How, tells a descriptor from a number for which no memory should be spent. */
	rc = hilo__sys_epoll_ctl(backend->epoll_fd, EPOLL_CTL_MOD, fd, &nothing);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	return hilo__poll_table_make(&backend->table, fd, ret);
}

/* [lock @file] Tell the kernel what to report for @fd. On failure all is as before. */
static int poll_fd_tell(struct poller *poller, struct poll_fd *file, int call, int fd, unsigned events,
			bool lasting)
{
	struct poll_backend *backend = poller->backend;
	uint32_t sequence = file->sequence + 1;
	struct epoll_event event = {0};
	int rc;

	if (events & POLL_READABLE)
		event.events |= EPOLLIN;
	if (events & POLL_WRITABLE)
		event.events |= EPOLLOUT;
	/* A lasting registration for nothing would still report a broken file, for ever. */
	if (!lasting || !events)
		event.events |= EPOLLONESHOT;
	event.data.u64 = (uint64_t)sequence << 32 | (uint32_t)fd;

	(void)add_relaxed(&poller->counts.polls, 1); /* relaxed: statistics */
	rc = hilo__sys_epoll_ctl(backend->epoll_fd, call, fd, &event);
	if (rc < 0)
		return rc;
	file->sequence = sequence;
	file->armed = (uint8_t)events;
	file->lasting = lasting;
	file->known = true;
	file->unwanted = 0;
	return 0;
}

static inline bool op_is_io(const struct poll_op *op)
{
	return op->kind >= POLL_IO_RECV;
}

/* [lock of its poll_fd] @op, an operation of poll_io.h, is ready: its call is made by who has @due, or by anybody. */
static void poller_make_due(struct poller *poller, struct poll_op *op, struct list *due)
{
	struct poll_io *io = container_of(op, struct poll_io, op);

	list_del(&op->link);
	if (!due) {
		hilo__ready_due(poller, io);
		return;
	}
	store_relaxed(&io->state, POLL_IO_DUE); /* relaxed: under the lock */
	list_add_tail(due, &op->link);
	poll_io_prefetch(io);
}

/* [lock of its poll_fd] Complete @op. The contract with complete is in poller.h. */
static void poller_complete(struct poller *poller, struct poll_op *op, int result, struct list *due)
{
	op->result = result;
	if (op_is_io(op)) {
		poller_make_due(poller, op, due);
		return;
	}
	if (op->kind == POLL_OP_WATCH && result > 0) {
		op->silent = POLL_SILENT;
		op->complete(op);
		return;
	}
	list_del(&op->link);
	(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
	op->complete(op);
	store_release(&op->pending, 0); /* P2 */
}

/*
 * [lock @file] The kernel will not report what waits for the descriptor. A watch that is silent has
 * nothing to report before it is resumed, so that its owner never sees two completions at once.
 */
static int poll_fd_fail(struct poller *poller, struct poll_fd *file, int error)
{
	struct list *node, *next;
	int completed = 0;

	file->known = false;
	file->armed = 0;
	list_for_each_safe(node, next, &file->ops)
	{
		struct poll_op *op = list_entry(node, struct poll_op, link);

		if (!op->silent) {
			poller_complete(poller, op, error, NULL);
			completed++;
		} else if (error == -EBADF) {
			op->silent = POLL_GONE;
		}
	}
	return completed;
}

/* [lock @file] What is waited for. */
static unsigned poll_fd_wanted(const struct poll_fd *file)
{
	struct list *node;
	unsigned events = 0;

	list_for_each (node, &file->ops) {
		const struct poll_op *op = list_entry(node, struct poll_op, link);

		if (!op->silent)
			events |= op->events;
	}
	return events;
}

/* True if MOD's answer means that the number stands for another file now, or for none. */
static inline bool poll_is_gone(int rc)
{
	return rc == -ENOENT || rc == -EBADF || rc == -EPERM;
}

/* [lock @file] Arm for what waits already; if that fails, it all ends. Returns what was completed. */
static int poll_fd_rearm(struct poller *poller, struct poll_fd *file, int fd, bool lasting)
{
	int rc = poll_fd_tell(poller, file, EPOLL_CTL_MOD, fd, poll_fd_wanted(file), lasting);

	if (rc == 0)
		return 0;
	return poll_fd_fail(poller, file, poll_is_gone(rc) ? -EBADF : rc);
}

/* [lock @file] Make sure that the events of @op will be reported; it is not on the list yet. */
static int poll_fd_arm(struct poller *poller, struct poll_fd *file, const struct poll_op *op)
{
	bool lasting = op->flags & POLL_KEPT;
	unsigned events = op->events;
	int rc = -ENOENT;

	if (lasting && file->lasting) {
		if (!(events & ~file->armed))
			return 0;
		events |= file->armed; /* as good as another wait soon */
	}
	if (file->known) {
		rc = poll_fd_tell(poller, file, EPOLL_CTL_MOD, op->fd, events | poll_fd_wanted(file),
				  lasting);
		if (poll_is_gone(rc))
			(void)poll_fd_fail(poller, file, -EBADF);
	}
	if (rc == -ENOENT)
		rc = poll_fd_tell(poller, file, EPOLL_CTL_ADD, op->fd, op->events, lasting);
	/* The number has come back to a file that was registered under it before. */
	if (rc == -EEXIST)
		rc = poll_fd_tell(poller, file, EPOLL_CTL_MOD, op->fd, op->events, lasting);
	return rc;
}

int hilo__poller_submit(struct poller *poller, struct poll_op *op)
{
	struct poll_fd *file;
	int rc;

	HILO__ASSERT(!load_relaxed(&op->pending)); /* relaxed: the caller's own */
	if (!op->events || (op->events & ~POLL_EVENTS))
		return -EINVAL;
	if (op->fd < 0 || HILO__UNLIKELY(poller->backend->epoll_fd < 0))
		return -EBADF;
	rc = poller_find_or_make(poller->backend, op->fd, &file);
	if (rc < 0)
		return rc;

	spin_lock(&file->lock);
	rc = poll_fd_arm(poller, file, op);
	if (rc == 0) {
		op->silent = 0;
		store_relaxed(&op->pending, 1); /* relaxed: published by the lock */
		list_add_tail(&file->ops, &op->link);
		file->unwanted = 0;
		(void)add_relaxed(&poller->armed, 1); /* relaxed: a count */
	}
	spin_unlock(&file->lock);
	hilo__ready_settle(poller);
	return rc;
}

bool hilo__poller_cancel(struct poller *poller, struct poll_op *op)
{
	struct poll_fd *file;
	bool pending;

	if (!load_acquire(&op->pending)) /* P2 */
		return false;
	file = poll_table_find(&poller->backend->table, op->fd);
	spin_lock(&file->lock);
	pending = load_relaxed(&op->pending); /* relaxed: under the lock */
	if (pending) {
		list_del(&op->link);
		(void)sub_relaxed(&poller->armed, 1); /* relaxed: a count */
		store_relaxed(&op->pending, 0);	      /* relaxed: the caller's own from here on */
	}
	spin_unlock(&file->lock);
	return pending;
}

/* [lock @file] @op, which is silent, shall report again; or it ends, because its file has gone. */
static void poll_fd_resume(struct poller *poller, struct poll_fd *file, struct poll_op *op)
{
	bool lasting = op->flags & POLL_KEPT;

	if (op->silent == POLL_GONE) {
		poller_complete(poller, op, -EBADF, NULL);
		return;
	}
	op->silent = 0;
	file->unwanted = 0;
	if (!lasting || !file->lasting || (op->events & ~file->armed))
		(void)poll_fd_rearm(poller, file, op->fd, lasting);
}

void hilo__poller_resume(struct poller *poller, struct poll_op *op)
{
	struct poll_fd *file;

	if (!load_acquire(&op->pending)) /* P2 */
		return;
	file = poll_table_find(&poller->backend->table, op->fd);
	spin_lock(&file->lock);
	if (load_relaxed(&op->pending) && op->silent) /* relaxed: under the lock */
		poll_fd_resume(poller, file, op);
	spin_unlock(&file->lock);
	hilo__ready_settle(poller);
}

void hilo__poller_forget(struct poller *poller, int fd)
{
	struct poll_fd *file = fd < 0 ? NULL : poll_table_find(&poller->backend->table, fd);

	if (!file || HILO__UNLIKELY(poller->backend->epoll_fd < 0)) /* in a child: a lock may be another's */
		return;
	spin_lock(&file->lock);
	if (file->known) {
		(void)hilo__sys_epoll_ctl(poller->backend->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		(void)poll_fd_fail(poller, file, -EBADF);
	}
	spin_unlock(&file->lock);
	hilo__ready_settle(poller);
}

int hilo__epoll_await(struct poller *poller, struct poll_io *io)
{
	struct poll_fd *file;
	int rc;

	if (io->op.fd < 0)
		return -EBADF;
	rc = poller_find_or_make(poller->backend, io->op.fd, &file);
	if (rc < 0)
		return rc;
	spin_lock(&file->lock);
	rc = load_relaxed(&io->stopping) ? -ECANCELED : poll_fd_arm(poller, file, &io->op); /* relaxed: I4 */
	if (rc == 0) {
		io->op.silent = 0;
		store_relaxed(&io->state, POLL_IO_WAITING); /* relaxed: under the lock */
		list_add_tail(&file->ops, &io->op.link);
		file->unwanted = 0;
	}
	spin_unlock(&file->lock);
	return rc;
}

bool hilo__epoll_take_back(struct poller *poller, struct poll_io *io)
{
	struct poll_table *table = &poller->backend->table;
	struct poll_fd *file = io->op.fd < 0 ? NULL : poll_table_find(table, io->op.fd);
	bool waiting;

	if (!file && io->op.fd >= 0) {
		/* I4, where there is no lock of the descriptor yet: who makes it does so under this one. */
		spin_lock(&table->growing);
		spin_unlock(&table->growing);
		file = poll_table_find(table, io->op.fd);
	}
	if (!file)
		return false;
	spin_lock(&file->lock);
	waiting = load_relaxed(&io->state) == POLL_IO_WAITING; /* relaxed: under the lock */
	if (waiting) {
		list_del(&io->op.link);
		store_relaxed(&io->state, POLL_IO_IDLE); /* relaxed: nobody else has it */
	}
	spin_unlock(&file->lock);
	return waiting;
}

/* [lock @file] Complete what waits for one of @ready. */
static int poll_fd_complete(struct poller *poller, struct poll_fd *file, unsigned ready, struct list *due)
{
	struct list *node, *next;
	int completed = 0;

	list_for_each_safe(node, next, &file->ops)
	{
		struct poll_op *op = list_entry(node, struct poll_op, link);

		if (op->silent || !(op->events & ready))
			continue;
		poller_complete(poller, op, (int)(op->events & ready), due);
		completed++;
	}
	return completed;
}

/* [lock @file] After an event: keep I3, and be rid of what is only noise. */
static int poll_fd_after(struct poller *poller, struct poll_fd *file, int fd, bool wanted, bool sleeping)
{
	if (poll_fd_wanted(file) & ~file->armed)
		return poll_fd_rearm(poller, file, fd, file->lasting);
	if (wanted)
		file->unwanted = 0;
	else if (file->lasting && file->armed && (sleeping || ++file->unwanted >= POLL_PATIENCE))
		return poll_fd_rearm(poller, file, fd, true);
	return 0;
}

/* [any] One event of a descriptor. Returns how many operations it completed, or made the caller's in @due. */
static int poller_dispatch(struct poller *poller, const struct epoll_event *event, bool sleeping,
			   struct list *due)
{
	int fd = (int)(uint32_t)event->data.u64;
	struct poll_fd *file = poll_table_find(&poller->backend->table, fd);
	unsigned ready = 0;
	int completed = 0;

	if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		ready |= POLL_READABLE;
	if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		ready |= POLL_WRITABLE;

	spin_lock(&file->lock);
	if ((uint32_t)(event->data.u64 >> 32) == file->sequence) { /* I2 */
		if (!file->lasting)
			file->armed = 0;
		completed = poll_fd_complete(poller, file, ready, due);
		completed += poll_fd_after(poller, file, fd, completed > 0, sleeping);
	}
	spin_unlock(&file->lock);
	return completed;
}

/* What the event after the next is of is on its way meanwhile. */
static inline void events_prefetch(struct poller *poller, const struct epoll_event *events, int i, int n)
{
	if (i + 2 < n && (uint32_t)events[i + 2].data.u64 < POLL_TIMER)
		__builtin_prefetch(
			poll_table_find(&poller->backend->table, (int)(uint32_t)events[i + 2].data.u64));
}

int hilo__epoll_reap(struct poller *poller, unsigned max)
{
	struct poll_backend *backend = poller->backend;
	struct epoll_event events[POLL_BATCH];
	struct list due = LIST_INIT(due);
	int completed = 0;
	int n;

	/* relaxed, here and below: protects nothing, it spares two threads the same work */
	if (load_relaxed(&backend->reaping) || xchg_relaxed(&backend->reaping, true))
		return -EBUSY;
	(void)add_relaxed(&poller->counts.calls, 1); /* relaxed: statistics */
	n = hilo__sys_epoll_wait(backend->epoll_fd, events, max < POLL_BATCH ? (int)max : POLL_BATCH, 0);
	for (int i = 0; i < n; i++) {
		events_prefetch(poller, events, i, n);
		if ((uint32_t)events[i].data.u64 < POLL_TIMER)
			completed += poller_dispatch(poller, &events[i], false, &due);
	}
	hilo__ready_make(poller, &due);
	hilo__ready_settle(poller);
	store_relaxed(&backend->reaping, false);
	return completed;
}

/* [owner] Set the timer to @span nanoseconds from now, 0: off. */
static int poller_set_timer(struct poll_backend *backend, hilo_time span)
{
	struct itimerspec when = {.it_value = {span / HILO_SECOND, span % HILO_SECOND}};
	int rc = hilo__sys_timerfd_settime(backend->timer_fd, 0, &when);

	if (rc == 0)
		backend->timer_on = span != 0;
	return rc;
}

/* [owner] Take events, sleeping for @span nanoseconds, > 0, in one of three ways. */
static int poller_sleep(struct poll_backend *backend, struct epoll_event *events, hilo_time span)
{
	struct timespec timeout = {.tv_sec = span / HILO_SECOND, .tv_nsec = span % HILO_SECOND};
	hilo_time ms = (span + HILO_MILLISECOND - 1) / HILO_MILLISECOND;
	int rc;

	if (backend->timer_fd < 0) {
		rc = hilo__sys_epoll_pwait2(backend->epoll_fd, events, POLL_BATCH, &timeout);
		if (rc != -ENOSYS)
			return rc;
	} else if (poller_set_timer(backend, span) == 0) {
		return hilo__sys_epoll_wait(backend->epoll_fd, events, POLL_BATCH, -1);
	}
	return hilo__sys_epoll_wait(backend->epoll_fd, events, POLL_BATCH, ms < INT_MAX ? (int)ms : INT_MAX);
}

/* [owner] Take events, sleeping until @deadline. */
static int poller_take(struct poll_backend *backend, struct epoll_event *events, hilo_time deadline)
{
	hilo_time span;

	if (deadline == HILO_FOREVER) {
		if (backend->timer_on)
			(void)poller_set_timer(backend, 0);
		return hilo__sys_epoll_wait(backend->epoll_fd, events, POLL_BATCH, -1);
	}
	span = deadline <= 0 ? 0 : deadline - hilo__clock_now();
	if (span > 0)
		return poller_sleep(backend, events, span);
	return hilo__sys_epoll_wait(backend->epoll_fd, events, POLL_BATCH, 0);
}

int hilo__epoll_wait(struct poller *poller, hilo_time deadline)
{
	struct epoll_event events[POLL_BATCH];
	struct list due = LIST_INIT(due);
	int completed = 0;
	uint64_t count;
	int n;

	(void)add_relaxed(&poller->counts.calls, 1); /* relaxed: statistics */
	n = poller_take(poller->backend, events, deadline);
	for (int i = 0; i < n; i++) {
		uint32_t what = (uint32_t)events[i].data.u64;

		events_prefetch(poller, events, i, n);
		if (what == POLL_WAKE) {
			/*
			 * In this order. A wake-up in between is not written, but its cause is seen after
			 * the wait; the other way round the read could swallow it and leave `woken` set.
			 */
			(void)hilo__sys_read(poller->wake_fd, &count, sizeof(count));
			(void)xchg_acq_rel(&poller->woken, 0); /* P1 */
		} else if (what != POLL_TIMER) {
			completed += poller_dispatch(poller, &events[i], true, &due);
		}
	}
	hilo__ready_make(poller, &due);
	hilo__ready_settle(poller);
	return completed;
}

/* Register a descriptor of the poller's own, level-triggered. */
static int poller_register(struct poll_backend *backend, int fd, uint32_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

	return hilo__sys_epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Find out how to sleep for nanoseconds: with epoll_pwait2, else (before Linux 5.11) a timer. */
static int poller_init_timer(struct poll_backend *backend)
{
	const struct timespec zero = {0, 0};
	struct epoll_event event;
	int rc = hilo__sys_epoll_pwait2(backend->epoll_fd, &event, 1, &zero);

	/* EPERM: a filter of system calls that is older than the call. */
	if (rc != -ENOSYS && rc != -EPERM)
		return 0;
	rc = hilo__sys_timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rc < 0)
		return rc;
	backend->timer_fd = rc;
	return poller_register(backend, backend->timer_fd, POLL_TIMER);
}

void hilo__epoll_leave_wake(struct poller *poller)
{
	struct poll_backend *backend = poller->backend;

	(void)hilo__sys_epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, poller->wake_fd, NULL);
	if (backend->timer_fd >= 0)
		(void)hilo__sys_epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, backend->timer_fd, NULL);
}

void hilo__epoll_take_wake(struct poller *poller)
{
	struct poll_backend *backend = poller->backend;

	/* Cannot fail but for a limit that it was within before; a fault that a test plants is survived. */
	while (poller_register(backend, poller->wake_fd, POLL_WAKE) == -ENOMEM)
		;
	if (backend->timer_fd >= 0)
		(void)poller_register(backend, backend->timer_fd, POLL_TIMER);
}

void hilo__epoll_sever(struct poller *poller)
{
	struct poll_backend *backend = poller->backend;

	(void)hilo__sys_close(backend->epoll_fd);
	if (backend->timer_fd >= 0)
		(void)hilo__sys_close(backend->timer_fd);
	backend->epoll_fd = backend->timer_fd = -1;
}

void hilo__epoll_fini(struct poller *poller)
{
	struct poll_backend *backend = poller->backend;

	hilo__poll_table_fini(&backend->table);
	if (backend->timer_fd >= 0)
		(void)hilo__sys_close(backend->timer_fd);
	if (backend->epoll_fd >= 0)
		(void)hilo__sys_close(backend->epoll_fd);
	hilo__free(backend);
	poller->backend = NULL;
}

int hilo__epoll_init(struct poller *poller)
{
	struct poll_backend *backend = hilo__calloc(1, sizeof(*backend));
	int rc;

	if (!backend)
		return -ENOMEM;
	list_init(&backend->due);
	poller->backend = backend;
	backend->timer_fd = -1;
	rc = backend->epoll_fd = hilo__sys_epoll_create1(EPOLL_CLOEXEC);
	if (rc >= 0)
		rc = poller_register(backend, poller->wake_fd, POLL_WAKE);
	if (rc == 0)
		rc = poller_init_timer(backend);
	if (rc < 0)
		hilo__epoll_fini(poller);
	return rc < 0 ? rc : 0;
}

void hilo__epoll_abandon(struct poller *poller)
{
	struct poll_array *array =
		load_relaxed(&poller->backend->table.array); /* relaxed: nobody else is left */

	for (size_t i = 0; array && i < array->size; i++) {
		struct poll_chunk *chunk = load_relaxed(&array->chunk[i]); /* relaxed: likewise */

		for (unsigned k = 0; chunk && k < POLL_CHUNK; k++) {
			struct list *node;

			while ((node = list_first(&chunk->fd[k].ops))) {
				struct poll_op *op = list_entry(node, struct poll_op, link);

				if (op_is_io(op))
					hilo__ready_stop(container_of(op, struct poll_io, op));
				else
					(void)hilo__poller_cancel(poller, op);
			}
		}
	}
}
