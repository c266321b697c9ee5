/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_PARALLEL_IMPL_H
#define HILO_RUNTIME_PARALLEL_IMPL_H

/*
 * parallel_impl.h - what the algorithms over forks share: their options, whether they are to stop, who is told how far
 * they are.
 *
 * P1  Who tells holds `telling` (acquire, release), so that the function is called by one at a time, with numbers that
 *     grow: it reads what is done after it has got it.
 */
#include <hilo/runtime/parallel.h>

#include "scheduler/base/atomic.h"

struct parallel {
	hilo_parallel_opts opts;
	int64_t total;
	int64_t weight;	      /* pieces of work that make an item */
	uint64_t period;      /* cycles */
	atomic(int64_t) done; /* pieces of work */
	atomic(uint64_t) due; /* cycles: not before that is anybody told */
	atomic(bool) telling; /* P1 */
	atomic(bool) stopped; /* a hint: what has not begun need not */
};

/* [any] Begin with @given, or NULL, for @name. 0, or the code, with a message. */
int hilo__parallel_begin(struct parallel *parallel, const hilo_parallel_opts *given, int64_t total,
			 int64_t weight, const char *name);

/* [any] Nothing more may begin: 0, or -ECANCELED. */
int hilo__parallel_stops(struct parallel *parallel);

/* [any] So many pieces of work are done; whoever is to be told is told, if that is due. */
void hilo__parallel_done(struct parallel *parallel, int64_t pieces);

/* [any] All has ended with @rc, which is returned. */
int hilo__parallel_end(struct parallel *parallel, int rc);

/* [task, executor's thread] How many workers there are for the caller. */
unsigned hilo__parallel_workers(void);

#endif /* HILO_RUNTIME_PARALLEL_IMPL_H */
