/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_MEASURE_H
#define HILO_SCHEDULER_MEASURE_H

/*
 * measure.h - work and span of what is forked in regions that are measured.
 *
 * Such a region runs on one worker: nothing of it is published, each fork runs at its join. Limit and floor are at
 * their ends all the time, so that each fork and each join comes to the library, which takes the time of the strand
 * that ends there. A fork keeps the span so far in its record. Its join begins the fork's path with that, and goes on
 * with the longer one of the two that meet. While its task is suspended the clock stands still.
 *
 * One strand runs at a time, on whatever stack: so nothing here is shared, but handed on with the strand.
 *
 * A thread that the system has stopped for a while has not worked. That shows in a strand that took long; from one of
 * those to the next what the thread has not had of the processor's time is taken off.
 */
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/fork.h"

/* The length of a path: in time, and with what it would cost to have others take the forks on it. Cycles. */
struct path {
	uint64_t span, burdened;
};

struct measure {
	uint64_t work;
	struct path path; /* to where the strand began */
	uint64_t forks;
	uint64_t began;	 /* the strand that runs */
	uint64_t bias;	 /* what an empty strand takes */
	uint64_t burden; /* of each fork */
	uint64_t large;	 /* strands from here on took long; 0: there are none */
	/* When that was last looked at, on this thread: */
	uint64_t looked;     /* cycles */
	int64_t looked_used; /* ns of the processor's time that the thread had had */
	bool runs;
};

#ifdef HILO_TESTING
/* Where the time comes from, in nanoseconds; NULL: from cycles_now. To be changed while nothing is measured. */
extern uint64_t (*hilo__measure_clock)(void);
#endif

static inline uint64_t measure_now(void)
{
#ifdef HILO_TESTING
	if (hilo__measure_clock)
		return hilo__measure_clock();
#endif
	return cycles_now();
}

/* [who runs the strand] It took long: what it took without what the system has taken. */
uint64_t hilo__measure_correct(struct measure *measure, uint64_t took);

/* [who runs the strand, which is stopped] It goes on on this thread. */
void hilo__measure_arrive(struct measure *measure);

/* [who runs the strand] It ends, or is interrupted. */
static inline void measure_stop(struct measure *measure)
{
	uint64_t took;

	if (!measure->runs)
		return;
	took = measure_now() - measure->began;
	took = took > measure->bias ? took - measure->bias : 0;
	measure->runs = false;
	if (HILO__UNLIKELY(measure->large && took >= measure->large))
		took = hilo__measure_correct(measure, took);
	measure->work += took;
	measure->path.span += took;
	measure->path.burdened += took;
}

/* [who runs the strand] It goes on. */
static inline void measure_go(struct measure *measure)
{
	measure->runs = true;
	measure->began = measure_now();
}

/* The longer one of two paths that meet, each for itself. */
static inline struct path path_longer(struct path a, struct path b)
{
	return (struct path){a.span > b.span ? a.span : b.span,
			     a.burdened > b.burdened ? a.burdened : b.burdened};
}

_Static_assert(sizeof(struct path) <= sizeof(((struct hilo_fork *)0)->hilo_private),
	       "a path fits into what is the library's in a record");

static inline void fork_set_path(struct hilo_fork *fork, const struct path *path)
{
	memcpy(fork->hilo_private, path, sizeof(*path));
}

static inline struct path fork_path(const struct hilo_fork *fork)
{
	struct path path;

	memcpy(&path, fork->hilo_private, sizeof(path));
	return path;
}

#endif /* HILO_SCHEDULER_MEASURE_H */
