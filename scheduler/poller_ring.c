/* SPDX-License-Identifier: MIT */
/*
 * poller_ring.c - operations of poll_io.h on a ring of the kernel's (uring.h). How it is made and ended is in
 * poller_ring_end.c, how the kernel is told to end an operation in poller_ring_cancel.c.
 *
 * What is started is queued; it gets to the kernel at the next turn of the loop, before its thread sleeps, or when
 * somebody stands in for that: all of it in one system call, the one that fetches completions. So the answer of a
 * server and its next receive are one call, for many connections.
 *
 * An operation's completion carries its address. It exists until then, and completes once, so there is none that is
 * stale. Its end can only be asked for: until the kernel says so, it uses the buffer.
 *
 *	IDLE -> QUEUED -> RUNNING -> (completion) IDLE, or QUEUED again, or WAITING (poller_ready.c)
 *	           |         `-> STOPPING -> (completion) IDLE
 *	           |             `-> (one that accepts) LAST -> STOPPING
 *	           `-> (stop) IDLE
 *
 * I1  Queue, later, cancels, told and the filling of the submission queue are under the lock. Entering the kernel is
 *     not: it takes submissions in their order, whoever enters.
 * I2  `stopping` is set before the lock is taken to look at an operation's state, and looked at under the lock when an
 *     operation is queued again: who asks for its end and who starts it anew meet under this lock.
 * I3  A cancel that the kernel is given stands behind its operation in the submission queue, and before whatever is
 *     started at the same address later: it ends that operation or none. What may be told again is in `told`; who
 *     completes an operation takes it off that list, under the lock, before it can be started anew.
 * P1  The completion's exchange of `state` comes before or after that of stop, which is under the lock: before, stop
 *     finds IDLE, or what came after; after, the completion finds STOPPING, and takes the lock to take the operation
 *     off its list. It acquires what was released when the operation was given to the kernel, so who completes sees
 *     what who has started it did.
 * P2  `queued` is set before the eventfd is written to, by who starts an operation on a loop that is not his: that
 *     ends the owner's sleep, and what is queued is submitted in its next turn. A guest, who reaps for an owner that is
 *     held, and may be asleep by now, submits himself what he has queued by that.
 * P3  Who reaps takes `reaping` with acquire and lets it go with release: the next one sees the completion queue's
 *     head. He counts himself in `finishing` before, and out of it, with release, when he has told of what he has
 *     taken: who takes `reaping` for good, and then acquires that it is 0, is alone with what the kernel has.
 *
 * A receive that would have to wait, because the one before it has got all there was, is given a turn later than what
 * answers that one, if there is much to give, and so another turn soon. What it waits for has mostly come by then: the
 * kernel moves it at once, where it would have had to watch the socket, to be told, and to come back to it. Who sleeps
 * gives all there is before, and so does a guest. Those whose turn has come stand behind what is queued by then: what
 * comes after them does not pass them by, however little room there is.
 *
 * The ring watches the eventfd, for wake-ups, and the epoll instance, for operations that wait for readiness. Whoever
 * finds the wake-up's completion, and is not the owner, writes once more: the owner may sleep already, and the
 * kernel, having found no completion left, let it sleep on.
 *
 * A submission belongs to the thread that enters the kernel with it: there its completion comes up, when that thread
 * is in the kernel or on its way through. One that waits in a call that no signal ends either (a disk, a page that is
 * read) posts nothing until the call ends, nor can others have that: what is under way on its ring waits with it, and
 * so does the timer of cancels, if that thread has set it.
 *
 * The kernel ends the operations of a thread that ends (a spare worker's): -ECANCELED though nobody asked. They had
 * no effect, and are started again. A descriptor that says O_NONBLOCK is answered -EAGAIN: its operation waits for
 * readiness instead.
 *
 * Of those who accept from one socket the kernel wakes one for a connection. If it ends that one on its way, it has
 * not tried, and wakes no other: the connection would lie there until the next one comes. So if the socket is readable
 * when it was ended, it is tried once more, with the next cancel right behind it. If it is not, what it may have been
 * woken for has been taken, and for what comes later another one is woken: it is no longer among those that wait.
 *
 * Rejected: DEFER_TASKRUN (uring.c). One ring for all loops: its lock and its completions would be shared by all
 * cores. Buffers and descriptors that are registered with the ring: they tie a connection to it, and tasks move.
 */
#include "scheduler/poller_ring_impl.h"

#include <errno.h>
#include <poll.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/panic.h"
#include "scheduler/base/sys.h"

/* With so many operations in a turn there is another one soon. */
#define BUSY 16

/* After a kick the other thread is in the kernel; how long it is waited for there. */
#define KICK_PAUSES 100

/* The most that one call moves. */
#define LENGTH_MAX 0x7ffff000u

/*
 * What was done before a submission comes before its completion is taken: the kernel acquires the one queue's tail and
 * releases the other's. ThreadSanitizer, which does not see the kernel, is told so.
 */
#ifdef HILO__TSAN
static atomic(uint32_t) ring_given;

static inline void ring_gives(void)
{
	(void)add_release(&ring_given, 1); /* pairs with ring_takes */
}

static inline void ring_takes(void)
{
	(void)load_acquire(&ring_given); /* pairs with ring_gives */
}
#else
static inline void ring_gives(void)
{
}

static inline void ring_takes(void)
{
}
#endif

/* [lock] @io as a submission. */
static void sqe_fill(struct uring_sqe *sqe, const struct poll_io *io)
{
	static const uint8_t codes[] = {
		[POLL_IO_RECV] = URING_RECV,	     [POLL_IO_SEND] = URING_SEND,
		[POLL_IO_RECVMSG] = URING_RECVMSG,   [POLL_IO_SENDMSG] = URING_SENDMSG,
		[POLL_IO_ACCEPT] = URING_ACCEPT,     [POLL_IO_CONNECT] = URING_CONNECT,
		[POLL_IO_READ] = URING_READ,	     [POLL_IO_WRITE] = URING_WRITE,
		[POLL_IO_READV] = URING_READV,	     [POLL_IO_WRITEV] = URING_WRITEV,
		[POLL_IO_FSYNC] = URING_FSYNC,	     [POLL_IO_OPENAT] = URING_OPENAT,
		[POLL_IO_STATX] = URING_STATX,	     [POLL_IO_UNLINKAT] = URING_UNLINKAT,
		[POLL_IO_RENAMEAT] = URING_RENAMEAT, [POLL_IO_MKDIRAT] = URING_MKDIRAT,
	};

	sqe->code = codes[io->op.kind];
	sqe->fd = io->op.fd;
	sqe->addr = (uintptr_t)io->data;
	sqe->len = io->length > LENGTH_MAX ? LENGTH_MAX : (uint32_t)io->length;
	sqe->call_flags = io->flags;
	sqe->user_data = (uintptr_t)io;
	switch ((enum poll_io_kind)io->op.kind) {
	case POLL_IO_RECV:
		sqe->ioprio = io->op.flags & POLL_LATER ? URING_RECV_POLL_FIRST : 0;
		sqe->len = (uint32_t)hilo__sys_shorten(SYS_CALL_RECV, sqe->len);
		break;
	case POLL_IO_SEND:
		sqe->len = (uint32_t)hilo__sys_shorten(SYS_CALL_SEND, sqe->len);
		sqe->call_flags |= MSG_NOSIGNAL;
		break;
	case POLL_IO_SENDMSG:
		sqe->call_flags |= MSG_NOSIGNAL;
		sqe->len = 1;
		break;
	case POLL_IO_RECVMSG:
		sqe->len = 1;
		break;
	case POLL_IO_ACCEPT:
		sqe->len = 0;
		sqe->off = (uintptr_t)io->more;
		break;
	case POLL_IO_CONNECT:
		sqe->len = 0;
		sqe->off = io->length;
		break;
	case POLL_IO_READ:
	case POLL_IO_WRITE:
		sqe->len = (uint32_t)hilo__sys_shorten(
			io->op.kind == POLL_IO_READ ? SYS_CALL_READ : SYS_CALL_WRITE, sqe->len);
		sqe->off = (uint64_t)io->offset;
		break;
	case POLL_IO_READV:
	case POLL_IO_WRITEV:
		sqe->off = (uint64_t)io->offset;
		break;
	case POLL_IO_RENAMEAT:
		sqe->len = (uint32_t)io->offset;
		sqe->off = (uintptr_t)io->more;
		break;
	case POLL_IO_STATX:
		sqe->off = (uintptr_t)io->more;
		break;
	default:
		break;
	}
}

/* [lock] Have the kernel tell of @fd, unless it does. */
static void ring_watch(struct poll_ring *ring, bool *watches, int fd, uint64_t user, unsigned multi)
{
	struct uring_sqe *sqe = *watches ? NULL : uring_next(&ring->uring);

	if (!sqe)
		return;
	sqe->code = URING_POLL_ADD;
	sqe->fd = fd;
	sqe->len = multi;
	sqe->call_flags = POLLIN;
	sqe->user_data = user;
	uring_push(&ring->uring);
	*watches = true;
}

/*
 * [lock] Wake-ups are watched for by the owner: what the kernel tells of it comes up in the thread that has asked, and
 * that is the one to be woken. A guest who has found that the watch has ended only asks once: the eventfd is readable,
 * so that fires at once, and if the owner is asleep already it wakes, and asks by itself.
 */
static void ring_watch_wake(struct poller *poller, struct poll_ring *ring, enum poll_reaper reaper)
{
	bool never = false;

	if (reaper == POLL_OWNER) {
		ring_watch(ring, &ring->watches_wake, poller->wake_fd, USER_WAKE, URING_POLL_MULTI);
		ring->watch_ended = ring->watch_ended && !ring->watches_wake;
	} else if (ring->watch_ended) {
		ring_watch(ring, &never, poller->wake_fd, USER_WAKE, 0);
		ring->watch_ended = !never;
	}
}

/* [lock] Remember that the kernel has @io. */
static inline void ring_keep(struct poll_ring *ring, struct poll_io *io)
{
	atomic(struct poll_io *) * place;

	do {
		if (ring->next == PLACES) {
			ring->hand = ring->hand->next ? ring->hand->next : ring->places;
			ring->next = 0;
		}
		place = &ring->hand->io[ring->next++];
	} while (load_relaxed(place)); /* relaxed: filled under the lock */
	store_relaxed(place, io);      /* relaxed: as above; read by who is alone */
	io->place = place;
}

/* [lock] @io into the submission queue. */
static void ring_give(struct poll_ring *ring, struct poll_io *io, struct uring_sqe *sqe)
{
	bool last = load_relaxed(&io->state) == POLL_IO_LAST; /* relaxed: under the lock */

	sqe_fill(sqe, io);
	ring_keep(ring, io);
	store_release(&io->state, last ? POLL_IO_STOPPING : POLL_IO_RUNNING); /* P1 */
	ring_gives();
	uring_push(&ring->uring);
	if (last)
		list_add_tail(&ring->cancels, &io->op.link);
}

/* [lock] @queue into the submission queue, as far as there is room: how many. */
static unsigned ring_give_some(struct poll_ring *ring, struct list *queue)
{
	struct uring_sqe *sqe;
	struct poll_io *io;
	unsigned given = 0;

	for (; (io = ring_next(ring, queue, &sqe)); given++)
		ring_give(ring, io, sqe);
	return given;
}

/* [lock] Those of `later` that have been there for a turn are as others from now on, and need not wait: how many. */
static unsigned ring_age_later(struct poll_ring *ring)
{
	struct list *link;
	unsigned n = 0;

	for (; n < ring->later_aged && (link = list_pop_first(&ring->later)); n++) {
		list_entry(link, struct poll_op, link)->flags &= (uint8_t)~POLL_LATER;
		list_add_tail(&ring->queue, link);
	}
	ring->later_aged = ring->later_new;
	ring->later_new = 0;
	return n;
}

/* [lock] What was started, @all of it or what is not to wait, as far as there is room: how many. */
static unsigned ring_give_started(struct poll_ring *ring, bool all)
{
	unsigned aged = ring_age_later(ring), given = ring_give_some(ring, &ring->queue);

	if (all || given < BUSY + aged)
		given += ring_give_some(ring, &ring->later);
	if (list_empty(&ring->later))
		ring->later_aged = 0;
	return given;
}

/* [any] What is to be told to the kernel, @all of it or what is not to wait, as far as there is room. */
static void ring_fill(struct poller *poller, struct poll_ring *ring, enum poll_reaper reaper, bool all)
{
	unsigned given;

	spin_lock(&ring->lock);
	if (HILO__UNLIKELY(load_relaxed(&poller->fallen))) { /* relaxed: under the lock */
		spin_unlock(&ring->lock);
		return;
	}
	ring_watch_wake(poller, ring, reaper);
	ring_watch(ring, &ring->watches_epoll, poller->backend->epoll_fd, USER_EPOLL, 0);
	given = ring_give_started(ring, all);
	/* relaxed: statistics, under the lock */
	store_relaxed(&poller->counts.operations, load_relaxed(&poller->counts.operations) + given);
	hilo__ring_tell_cancels(ring);
	/* relaxed: P2, by the eventfd; and for the owner its own */
	store_relaxed(&ring->queued, list_first(&ring->queue) || list_first(&ring->later) ||
					     list_first(&ring->cancels) || !ring->watches_epoll ||
					     ring->watch_ended || ring->again_wanted);
	spin_unlock(&ring->lock);
}

static inline bool io_is_later(const struct poll_io *io)
{
	return io->op.kind == POLL_IO_RECV && io->op.flags & POLL_LATER;
}

/*
 * [owner of @io] Queue it, as @state says. False: it was told to end, and is not to be tried once more; or the ring
 * has fallen.
 */
static bool ring_queue(struct poller *poller, struct poll_ring *ring, struct poll_io *io,
		       enum poll_io_state state)
{
	bool refused;

	spin_lock(&ring->lock);
	refused = load_relaxed(&poller->fallen);			   /* relaxed: under the lock */
	refused |= state == POLL_IO_QUEUED && load_relaxed(&io->stopping); /* relaxed: I2 */
	if (!refused) {
		list_add_tail(io_is_later(io) ? &ring->later : &ring->queue, &io->op.link);
		ring->later_new += io_is_later(io);
		store_relaxed(&io->state, state);   /* relaxed: under the lock */
		store_relaxed(&ring->queued, true); /* relaxed: P2 */
	}
	spin_unlock(&ring->lock);
	return !refused;
}

int hilo__ring_start(struct poller *poller, struct poll_io *io)
{
	struct poll_ring *ring = ring_of(poller);
	int rc = hilo__ring_make_room(poller, ring);

	if (rc < 0)
		return rc;
	if (HILO__LIKELY(ring_queue(poller, ring, io, POLL_IO_QUEUED)))
		return 0;
	return load_acquire(&poller->fallen) ? RING_HAS_FALLEN : -ECANCELED; /* P3 of poller.c */
}

/* What can be made again, if it was ended and nobody asked for that: it has had no effect, or goes on from there. */
static inline bool io_restarts(const struct poll_io *io)
{
	return io->op.kind <= POLL_IO_WRITEV;
}

/* [owner of @io] Does @rc mean that it has to wait for readiness? */
static bool io_has_to_wait(struct poll_io *io, int *rc)
{
	if (HILO__LIKELY(io->op.kind != POLL_IO_CONNECT))
		return *rc == -EAGAIN;
	/* One that was made again finds what the first try has begun. */
	if (io->begun && *rc == -EISCONN)
		*rc = 0;
	return io->begun && *rc == -EALREADY;
}

/* [owner of @io] It was ended, and may have been woken for a connection that is there. */
static bool io_tries_again(const struct poll_io *io)
{
	struct pollfd listener = {.fd = io->op.fd, .events = POLLIN};
	const struct timespec now = {0, 0};
	int rc;

	if (io->op.kind != POLL_IO_ACCEPT)
		return false;
	rc = hilo__sys_ppoll(&listener, 1, &now);
	return rc == -EINTR || (rc > 0 && listener.revents & POLLIN);
}

/* [reaper] The kernel has ended @io. Returns whether it is complete. */
static bool ring_finish(struct poller *poller, struct poll_ring *ring, struct poll_io *io,
			const struct uring_cqe *cqe)
{
	bool stopped = xchg_acq_rel(&io->state, POLL_IO_IDLE) == POLL_IO_STOPPING; /* P1 */
	bool ended = cqe->res == -ECANCELED || cqe->res == -EINTR;
	int rc = cqe->res;

	store_relaxed(io->place, NULL); /* relaxed: free is all that it says */
	if (stopped) {
		spin_lock(&ring->lock);
		list_del(&io->op.link);
		ring_has_ended(ring);
		spin_unlock(&ring->lock);
	}
	/* relaxed: set by who is alone */
	if (io_restarts(io) && !load_relaxed(&poller->closing)) {
		if (ended) {
			io->begun = io->op.kind == POLL_IO_CONNECT;
			if (ring_queue(poller, ring, io, POLL_IO_QUEUED))
				return false;
		}
		if (ended && io_tries_again(io) && ring_queue(poller, ring, io, POLL_IO_LAST))
			return false;
		if (ended && load_acquire(&poller->fallen)) { /* P3 of poller.c */
			rc = io->begun ? -EALREADY : -EAGAIN;
			ended = false;
		}
		if (io_has_to_wait(io, &rc) && hilo__ready_again(poller, io, &rc))
			return false;
	}
	io->more_is_there = cqe->flags & URING_CQE_SOCK_NONEMPTY;
	hilo__poller_complete_io(poller, io, ended ? -ECANCELED : rc);
	return true;
}

/* [reaper] A wake-up. Its cause is seen by the owner after its next wait, which does not sleep. */
static void ring_woken(struct poller *poller, struct poll_ring *ring, bool ended, enum poll_reaper reaper)
{
	if (ended) {
		spin_lock(&ring->lock);
		ring->watches_wake = false;
		ring->watch_ended = true;
		store_relaxed(&ring->queued, true); /* relaxed: P2 */
		spin_unlock(&ring->lock);
	}
	if (reaper == POLL_OWNER)
		ring->wake_seen = true;
	else
		hilo__poller_signal(poller);
}

/* [reaper] Something waits for readiness, and is ready. */
static int ring_ready(struct poller *poller, struct poll_ring *ring)
{
	int completed = hilo__epoll_reap(poller, POLL_BATCH);

	/* After: told again, the kernel looks whether there is more. */
	spin_lock(&ring->lock);
	ring->watches_epoll = false;
	store_relaxed(&ring->queued, true); /* relaxed: P2 */
	spin_unlock(&ring->lock);
	return completed > 0 ? completed : 0;
}

/* The operation that the @i-th of @n completions is of; NULL: none. */
static inline const struct poll_io *ring_io(const struct uring_cqe *cqes, unsigned i, unsigned n)
{
	return i < n && cqes[i].user_data > USER_LAST ? (const struct poll_io *)(uintptr_t)cqes[i].user_data
						      : NULL;
}

/*
 * What is completed after the next one comes from no near cache: its operation is on its way meanwhile, then what its
 * owner looks at first and who has started it, and then the frames in which that waits.
 */
static inline void ring_prefetch(const struct uring_cqe *cqes, unsigned i, unsigned n)
{
	const struct poll_io *io = ring_io(cqes, i + 3, n);

	if (io) {
		__builtin_prefetch(io);
		__builtin_prefetch((const char *)io + 64);
	}
	if ((io = ring_io(cqes, i + 2, n)))
		poll_io_prefetch(io);
	if ((io = ring_io(cqes, i + 1, n)))
		poll_io_prefetch_waiter(io);
}

int hilo__ring_finish_all(struct poller *poller, struct poll_ring *ring, const struct uring_cqe *cqes,
			  unsigned n, enum poll_reaper reaper)
{
	int completed = 0;

	ring_takes();
	for (unsigned i = 0; i < n; i++) {
		bool ended = !(cqes[i].flags & URING_CQE_MORE);

		ring_prefetch(cqes, i, n);
		if (cqes[i].user_data == USER_WAKE)
			ring_woken(poller, ring, ended, reaper);
		else if (cqes[i].user_data == USER_EPOLL)
			completed += ring_ready(poller, ring);
		else if (cqes[i].user_data == USER_AGAIN)
			hilo__ring_cancel_again(ring);
		else if (cqes[i].user_data == USER_CANCEL && cqes[i].res < 0)
			hilo__ring_not_cancelled(ring);
		else if (cqes[i].user_data > USER_LAST)
			completed += ring_finish(poller, ring, (struct poll_io *)(uintptr_t)cqes[i].user_data,
						 &cqes[i]);
	}
	return completed;
}

int hilo__ring_consume(struct poller *poller, struct poll_ring *ring, unsigned max, enum poll_reaper reaper)
{
	struct uring_cqe cqes[POLL_BATCH];
	unsigned n;
	int completed;

	if (!uring_completions(&ring->uring))
		return 0;
	if (load_relaxed(&ring->reaping) || xchg_acquire(&ring->reaping, true)) /* P3; relaxed: saves that */
		return -EBUSY;
	n = hilo__uring_take(&ring->uring, cqes, max < POLL_BATCH ? max : POLL_BATCH);
	(void)add_relaxed(&ring->finishing, 1); /* relaxed: P3, by what comes next */
	store_release(&ring->reaping, false);	/* P3 */
	completed = hilo__ring_finish_all(poller, ring, cqes, n, reaper);
	(void)sub_release(&ring->finishing, 1); /* P3 */
	return completed;
}

bool hilo__ring_has_news(const struct poll_ring *ring)
{
	return load_relaxed(&((struct poll_ring *)ring)->queued) || /* relaxed: a hint */
	       uring_completions(&ring->uring) || hilo__uring_wants_enter(&ring->uring);
}

/*
 * What a guest gives to the kernel is the guest's thread's: its completions come up when that passes through the
 * kernel, within a tick at the latest.
 */
void hilo__ring_flush(struct poller *poller, enum poll_reaper reaper)
{
	struct poll_ring *ring = ring_of(poller);
	int rc = 0;

	if (load_relaxed(&ring->queued)) /* relaxed: a hint; the owner sees its own */
		ring_fill(poller, ring, reaper, reaper == POLL_GUEST);
	if (uring_unsubmitted(&ring->uring) || hilo__uring_wants_enter(&ring->uring))
		rc = ring_enter(poller, ring, 0);
	if (HILO__UNLIKELY(hilo__ring_error_lasts(rc)) && reaper == POLL_OWNER) {
		hilo__ring_fall(poller, rc);
		return;
	}
	/* The owner may have begun to sleep before there was something to submit. */
	if (rc < 0 && reaper == POLL_GUEST && uring_unsubmitted(&ring->uring))
		hilo__poller_wake(poller);
}

/*
 * [guest] What the owner's thread would do in the kernel: it computes, and is not going there by itself. Readiness
 * needs no help of it.
 */
static int ring_help(struct poller *poller, struct poll_ring *ring)
{
	if (!uring_completions(&ring->uring) && hilo__uring_wants_enter(&ring->uring)) {
		(void)hilo__sys_membarrier(MEMBARRIER_KICK);
		for (int i = 0; i < KICK_PAUSES && !uring_completions(&ring->uring); i++)
			cpu_relax();
	}
	return hilo__epoll_reap(poller, POLL_BATCH);
}

int hilo__ring_reap(struct poller *poller, unsigned max, enum poll_reaper reaper)
{
	struct poll_ring *ring = ring_of(poller);
	int helped = 0, completed;

	hilo__ring_flush(poller, reaper);
	if (HILO__UNLIKELY(load_acquire(&poller->fallen))) /* P3 of poller.c */
		return hilo__epoll_reap(poller, max);
	if (reaper == POLL_GUEST)
		helped = ring_help(poller, ring);
	completed = hilo__ring_consume(poller, ring, max, reaper);
	/* The owner may sleep by now, and not know what has to be told to the kernel because of what we have found. */
	if (reaper == POLL_GUEST &&
	    load_relaxed(&ring->queued)) /* relaxed: we have set it, or another guest */
		hilo__ring_flush(poller, reaper);
	return completed < 0 || helped < 0 ? (completed > helped ? completed : helped) : completed + helped;
}

/* [owner] For how long to sleep: nanoseconds, -1 for ever. */
static int64_t ring_span(struct poller *poller, struct poll_ring *ring, hilo_time deadline)
{
	int64_t span;

	if (ring->wake_seen) {
		ring->wake_seen = false;
		(void)xchg_acq_rel(&poller->woken, 0); /* P1 of poller_epoll.c */
		return 0;
	}
	if (deadline <= 0 || uring_completions(&ring->uring))
		return 0;
	if (deadline == HILO_FOREVER)
		return -1;
	span = deadline - hilo__clock_now();
	return span > 0 ? span : 0;
}

int hilo__ring_wait(struct poller *poller, hilo_time deadline)
{
	struct poll_ring *ring = ring_of(poller);
	const struct timespec pause = {0, HILO_MILLISECOND};
	int64_t span;
	int rc;

	if (!ring->adopted) {
		hilo__epoll_leave_wake(poller);
		ring->adopted = true;
	}
	span = ring_span(poller, ring, deadline);
	ring_fill(poller, ring, POLL_OWNER, true);
	/* There is more than the queue has room for, or a guest has just added to it: P2. */
	rc = ring_enter(poller, ring, load_relaxed(&ring->queued) ? 0 : span); /* relaxed: P2 */
	if (HILO__UNLIKELY(hilo__ring_error_lasts(rc))) {
		hilo__ring_fall(poller, rc);
		return 0;
	}
	/* The kernel is short of something: completions that are reaped, or time, will help. */
	if (rc < 0 && rc != -ETIME && rc != -EINTR && !uring_completions(&ring->uring))
		(void)hilo__sys_ppoll(NULL, 0, &pause);
	rc = hilo__ring_consume(poller, ring, POLL_BATCH, POLL_OWNER);
	if (ring->wake_seen) {
		ring->wake_seen = false;
		(void)xchg_acq_rel(&poller->woken, 0); /* P1 of poller_epoll.c */
	}
	return rc > 0 ? rc : 0;
}
