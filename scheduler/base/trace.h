/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_BASE_TRACE_H
#define HILO_SCHEDULER_BASE_TRACE_H

/*
 * trace.h - event points. Without -DHILO_TRACE they compile to nothing; with it each writes a record
 * of 32 bytes to the ring of its worker, about 10 ns, overwriting the oldest.
 *
 *	struct worker { ... TRACE_RING(trace) ... };
 *	TRACE_OPEN(worker->trace, worker->index); ... TRACE_CLOSE(worker->trace);
 *	TRACE_EVENT(worker->trace, TRACE_STEAL, victim->index, count);
 *
 * A ring belongs to one thread at a time. hilo__trace_dump may read it meanwhile: a record that is
 * being overwritten then shows a mixture of two, never anything but numbers.
 *
 * Threads that are no workers come and go, and what wakes must not allocate: they have no rings of
 * their own but share one, whose places they take by an atomic count. It also has the events of a
 * worker for whose ring there was no memory.
 */
#include <stdint.h>

/* What the two numbers of a record say. A task stands as its id, 0 for none. */
enum trace_event {
	TRACE_NONE,	/* a record never written */
	TRACE_SPAWN,	/* task; the task that made it */
	TRACE_RUN,	/* task; 0 */
	TRACE_PARK,	/* task, still on its stack; enum wait_kind */
	TRACE_WAKE,	/* task, not queued yet; the task that has woken it */
	TRACE_STEAL,	/* index of the loop it was taken from; tasks */
	TRACE_COMPLETE, /* task, before whoever awaits it is woken; its result */
	TRACE_POLL,	/* 1: after a sleep; 0: in a turn */
	TRACE_SLEEP,	/* until when, in ns; 1: it watches meanwhile */
	TRACE_EVENTS
};

#ifdef HILO_TRACE

#include "scheduler/base/atomic.h"
#include "scheduler/base/clock.h"

#define TRACE_RECORDS 8192u /* of each ring: 256 KiB; a power of two */

struct trace_record {
	atomic(uint64_t) cycles;
	atomic(uint64_t) event; /* enum trace_event */
	atomic(uint64_t) a, b;
};

struct trace_ring {
	atomic(uint64_t) next;	     /* [owner] records written so far */
	struct trace_ring *older;    /* [any] constant */
	atomic(unsigned) worker;     /* [any] a label */
	atomic(unsigned char) taken; /* [any] 0: its worker has ended */
	struct trace_record record[TRACE_RECORDS];
};

/* [any] A ring for the worker @worker. NULL: no memory. */
struct trace_ring *hilo__trace_open(unsigned worker);

/* [owner] Let @ring go; its records stay until another worker takes it over. NULL: no-op. */
void hilo__trace_close(struct trace_ring *ring);

/*
 * [any] Write the records of all rings to @fd as text, a line each, oldest first in each ring: cycles,
 * worker ("-": a thread that is none), event, the two numbers.
 */
void hilo__trace_dump(int fd);

/* [any] Dump to the file that the environment's HILO_TRACE names, if it is set. */
void hilo__trace_save(void);

/* [any] Write a record to the ring that threads without one share. */
void hilo__trace_other(enum trace_event event, uint64_t a, uint64_t b);

/* Fill in a record. All relaxed: each field stands for itself, readers accept mixtures. */
static inline void trace_fill(struct trace_record *record, enum trace_event event, uint64_t a, uint64_t b)
{
	store_relaxed(&record->cycles, cycles_now());
	store_relaxed(&record->event, (uint64_t)event);
	store_relaxed(&record->a, a);
	store_relaxed(&record->b, b);
}

/* [owner] Write a record. NULL: to the shared ring. */
static inline void trace_event(struct trace_ring *ring, enum trace_event event, uint64_t a, uint64_t b)
{
	uint64_t next;

	if (!ring) {
		hilo__trace_other(event, a, b);
		return;
	}
	next = load_relaxed(&ring->next); /* relaxed: own value */
	trace_fill(&ring->record[next % TRACE_RECORDS], event, a, b);
	store_relaxed(&ring->next, next + 1); /* relaxed: as in trace_fill */
}

#define TRACE_RING(name) struct trace_ring *name;
#define TRACE_OPEN(ring, worker) ((void)((ring) = hilo__trace_open(worker)))
#define TRACE_CLOSE(ring) hilo__trace_close(ring)
#define TRACE_EVENT(ring, event, a, b) trace_event(ring, event, (uint64_t)(a), (uint64_t)(b))
#define TRACE_SAVE() hilo__trace_save()

#else

#define TRACE_RING(name)
#define TRACE_OPEN(ring, worker) ((void)0)
#define TRACE_CLOSE(ring) ((void)0)
#define TRACE_EVENT(ring, event, a, b) ((void)0)
#define TRACE_SAVE() ((void)0)

#endif /* HILO_TRACE */

#endif /* HILO_SCHEDULER_BASE_TRACE_H */
