/* SPDX-License-Identifier: MIT */
/* poller_ring_end.c - whether there are rings; how one is made, and how it ends. The pairs are in poller_ring.c. */
#include "scheduler/poller_ring_impl.h"

#include <errno.h>

#include <hilo/runtime/error.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/log.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/fiber/sanitize.h"

#define RING_ENTRIES 256
/* The kernel gets that long to end what a ring had: some ticks. */
#define FALL_NS (20 * HILO_MILLISECOND)
/* So often the kernel is told to end all that it has: each time it answers, and that ends a wait. */
#define END_AGAIN_NS (5 * HILO_MILLISECOND)
/* Operations of a loop that are told of at its end. */
#define TOLD_MOST 16

static struct ring_places *places_new(struct ring_places *next)
{
	struct ring_places *places = hilo__malloc(sizeof(*places));

	if (!places)
		return NULL;
	places->next = next;
	for (unsigned i = 0; i < PLACES; i++)
		atomic_setup(&places->io[i], NULL);
	return places;
}

int hilo__ring_make_room(struct poller *poller, struct poll_ring *ring)
{
	struct ring_places *more;
	unsigned armed = load_relaxed(&poller->armed); /* relaxed: the caller's own is counted */

	if (HILO__LIKELY(armed + armed / 2 < load_relaxed(&ring->room))) /* relaxed: only rises */
		return 0;
	more = places_new(NULL);
	if (!more)
		return -ENOMEM;
	spin_lock(&ring->lock);
	more->next = ring->places;
	ring->places = more;
	store_relaxed(&ring->room, load_relaxed(&ring->room) + PLACES); /* relaxed: under the lock */
	spin_unlock(&ring->lock);
	return 0;
}

static void ring_free(struct poll_ring *ring)
{
	struct ring_places *places;

	while ((places = ring->places)) {
		ring->places = places->next;
		hilo__free(places);
	}
	hilo__free(ring);
}

int hilo__ring_make(struct poll_ring **ret)
{
	struct poll_ring *ring = hilo__calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	ring->places = ring->hand = places_new(NULL);
	rc = ring->places ? hilo__uring_init(&ring->uring, RING_ENTRIES) : -ENOMEM;
	if (rc < 0) {
		ring_free(ring);
		return rc;
	}
	list_init(&ring->queue);
	list_init(&ring->later);
	list_init(&ring->cancels);
	list_init(&ring->told);
	ring->again.ns = AGAIN_NS;
	atomic_setup(&ring->room, PLACES);
	atomic_setup(&ring->queued, true);
	*ret = ring;
	return 0;
}

void hilo__ring_fini(struct poller *poller)
{
	struct poll_ring *ring = ring_of(poller);

	store_relaxed(&poller->ring, NULL); /* relaxed: nobody else is left */
	hilo__uring_fini(&ring->uring);
	ring_free(ring);
}

/* What is shared with the kernel is not there in a child (uring.c), and the rest was the parent's. */
void hilo__ring_sever(struct poll_ring *ring)
{
	if (!ring->uring.is_lost)
		(void)hilo__sys_close(ring->uring.fd);
}

/* [closing thread] The kernel shall end whatever it has. */
static void ring_end_all(struct poll_ring *ring)
{
	struct uring_sqe *sqe;

	spin_lock(&ring->lock);
	sqe = uring_next(&ring->uring);
	if (sqe) {
		sqe->code = URING_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->call_flags = URING_CANCEL_ALL | URING_CANCEL_ANY;
		sqe->user_data = USER_NOTHING;
		uring_push(&ring->uring);
	}
	spin_unlock(&ring->lock);
}

/* [closing thread] Operations that were not given to the kernel. */
static void ring_end_queued(struct poller *poller, struct poll_ring *ring)
{
	struct list *first;

	while ((first = list_pop_first(&ring->queue)) || (first = list_pop_first(&ring->later))) {
		struct poll_io *io =
			container_of(list_entry(first, struct poll_op, link), struct poll_io, op);

		store_relaxed(&io->state, POLL_IO_IDLE); /* relaxed: nobody else is left */
		hilo__poller_complete_io(poller, io, -ECANCELED);
	}
}

/* [alone with what the kernel has] The next of it, which is the caller's then; NULL: none. */
static struct poll_io *ring_take_back(struct poll_ring *ring)
{
	for (struct ring_places *places = ring->places; places; places = places->next)
		for (unsigned i = 0; i < PLACES; i++) {
			struct poll_io *io =
				load_relaxed(&places->io[i]); /* relaxed: nobody else does this */

			if (!io)
				continue;
			store_relaxed(&places->io[i], NULL); /* relaxed: as above */
			spin_lock(&ring->lock);
			store_relaxed(&io->state, POLL_IO_IDLE); /* relaxed: under the lock */
			list_del(&io->op.link);
			spin_unlock(&ring->lock);
			return io;
		}
	return NULL;
}

/* [closing thread] The kernel does not end what is left: that is no longer waited for. */
static HILO__COLD void ring_give_up(struct poller *poller, struct poll_ring *ring)
{
	struct poll_io *io;
	unsigned n = 0;

	while ((io = ring_take_back(ring))) {
		if (n++ < TOLD_MOST)
			hilo__log_write(LOG_LEVEL_WARNING,
					"an operation of the kernel did not end at shutdown (%s, descriptor "
					"%d): given "
					"up, its memory is not used again",
					hilo__poll_io_name(io), io->op.fd);
		io->given_up = true;
		hilo__poller_complete_io(poller, io, -EIO);
	}
	if (n > TOLD_MOST)
		hilo__log_write(LOG_LEVEL_WARNING, "... and %u other ones", n - TOLD_MOST);
	(void)add_relaxed(&poller->counts.given_up, n); /* relaxed: statistics */
}

bool hilo__ring_error_lasts(int error)
{
	switch (error) {
	case -EPERM: /* a filter of system calls */
	case -EACCES:
	case -ENOSYS:
	case -EBADF: /* somebody has closed the descriptor, and another file may have its number */
	case -EBADFD:
	case -EOPNOTSUPP:
	case -ENXIO:
	case -EINVAL:
	case -EFAULT:
		return true;
	default: /* short of something; or none */
		return false;
	}
}

/* [owner] Be alone with what the kernel has: nobody takes completions any more, nor is still at some. */
static void ring_seize(struct poller *poller, struct poll_ring *ring)
{
	struct uring_cqe cqes[POLL_BATCH];
	unsigned n;

	for (unsigned i = 0; xchg_acquire(&ring->reaping, true); i++) /* P3 of poller_ring.c */
		spin_pause(i);
	while ((n = hilo__uring_take(&ring->uring, cqes, POLL_BATCH)))
		(void)hilo__ring_finish_all(poller, ring, cqes, n, POLL_OWNER);
	for (unsigned i = 0; load_acquire(&ring->finishing); i++) /* P3 of poller_ring.c */
		spin_pause(i);
}

/* [owner, fallen] What was not given to the kernel goes on over readiness. */
static void ring_pass_on(struct poller *poller, struct list *queue)
{
	struct list *first;

	while ((first = list_pop_first(queue))) {
		struct poll_io *io =
			container_of(list_entry(first, struct poll_op, link), struct poll_io, op);

		(void)sub_relaxed(&poller->armed, 1);	 /* relaxed: a count */
		store_relaxed(&io->state, POLL_IO_IDLE); /* relaxed: nobody else has it */
		if (hilo__ready_start(poller, io, io->op.flags & POLL_LATER))
			io->op.complete(&io->op);
	}
}

HILO__COLD void hilo__ring_fall(struct poller *poller, int error)
{
	const struct timespec moment = {0, FALL_NS};
	struct poll_ring *ring = ring_of(poller);
	bool is_ours = error != -EBADF && error != -EOPNOTSUPP && error != -ENXIO;
	struct list queue, *first;
	struct poll_io *io;
	bool severed;

	hilo__log_write(
		LOG_LEVEL_WARNING,
		"io_uring_enter fails (%s): a loop goes on over epoll, what it had given to the kernel fails",
		hilo_errname(error));
	list_init(&queue);
	spin_lock(&ring->lock);
	store_release(&poller->fallen, true); /* P3 of poller.c */
	while ((first = list_pop_first(&ring->queue)) || (first = list_pop_first(&ring->later)))
		list_add_tail(&queue, first);
	spin_unlock(&ring->lock);
	ring_seize(poller, ring);
	severed = hilo__uring_sever(&ring->uring, is_ours, poller->wake_fd) == 0;
	/* The kernel ends what it has in the threads that have submitted it, as soon as they pass through it. */
	(void)hilo__sys_ppoll(NULL, 0, &moment);
	hilo__epoll_take_wake(poller);
	while ((io = ring_take_back(ring))) {
		/* A thread of the kernel's may be at it. */
		io->given_up = !severed || io->op.kind >= POLL_IO_READ;
		hilo__poller_complete_io(poller, io, error);
	}
	ring_pass_on(poller, &queue);
}

void hilo__ring_abandon(struct poller *poller, hilo_time deadline)
{
	struct poll_ring *ring = ring_of(poller);
	hilo_time next = 0, now;

	ring_end_queued(poller, ring);
	while (load_relaxed(&poller->armed)) { /* relaxed: nobody else is left */
		now = hilo__clock_now();
		if (now >= next) {
			ring_end_all(ring);
			next = now + END_AGAIN_NS;
		}
		if (hilo__ring_error_lasts(ring_enter(poller, ring, HILO_MILLISECOND)))
			deadline = HILO_NO_WAIT;
		while (hilo__ring_consume(poller, ring, POLL_BATCH, POLL_OWNER) > 0)
			;
		if (deadline != HILO_FOREVER && hilo__clock_now() >= deadline) {
			ring_give_up(poller, ring);
			return;
		}
	}
}

/* Whether rings work here: 1, or why not. 0: not asked yet. Two threads that ask at once find the same. */
static atomic(int) ring_works;

static int ring_try(void)
{
	struct uring uring;
	int rc;

	if (runs_on_valgrind()) /* where nobody else runs while one sleeps in io_uring_enter */
		return -ENOSYS;
	rc = hilo__uring_init(&uring, 4);
	if (rc < 0)
		return rc;
	rc = hilo__uring_probe(&uring);
	hilo__uring_fini(&uring);
	if (rc == 0)
		rc = hilo__sys_membarrier(MEMBARRIER_REGISTER);
	return rc;
}

int hilo__poller_ring_works(void)
{
	int works = load_relaxed(&ring_works); /* relaxed: says it all itself */

	if (!works) {
		works = ring_try();
		works = works < 0 ? works : 1;
		/* Out of descriptors, of memory: that may be better next time. */
		if (works != -EMFILE && works != -ENFILE && works != -ENOMEM)
			store_relaxed(&ring_works, works); /* relaxed: as above */
	}
	return works < 0 ? works : 0;
}
