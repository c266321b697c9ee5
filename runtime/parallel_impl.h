/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_PARALLEL_IMPL_H
#define HILO_RUNTIME_PARALLEL_IMPL_H

/*
 * parallel_impl.h - what the algorithms over forks share: their options, whether they are to stop, who is told how
 * far they are.
 *
 * P1  Who tells holds `telling` (acquire, release), so that the function is called by one at a time, with numbers
 * that
 *     grow: it reads what is done after it has got it.
 */
#include <hilo/runtime/fork.h>
#include <hilo/runtime/parallel.h>

#include <errno.h>

#include "scheduler/base/atomic.h"

struct error;

struct parallel {
	hilo_parallel_opts opts;
	int64_t total;	      /* items; -1: nobody knows */
	int64_t weight;	      /* pieces of work that make an item */
	uint64_t period;      /* cycles */
	atomic(int64_t) done; /* pieces of work */
	atomic(uint64_t) due; /* cycles: not before that is anybody told */
	atomic(bool) telling; /* P1 */
	atomic(bool) stopped; /* a hint: what has not begun need not */
};

/* [any] Begin with @given, or NULL, for the function @name. 0, or the code, with a message. */
int hilo__parallel_begin(struct parallel *parallel, const hilo_parallel_opts *given, int64_t total,
			 int64_t weight, const char *name);

/* [any] Read @from for the function @name, which is also to have a @value. 0, or the code, with a message. */
int hilo__parallel_reduction(hilo_reduction *to, const hilo_reduction *from, const void *value,
			     const char *name);

/* [any] Nothing more may begin: 0, or -ECANCELED. */
int hilo__parallel_stops(struct parallel *parallel);

/* [any] So many pieces of work are done; whoever is to be told is told, if that is due. */
void hilo__parallel_done(struct parallel *parallel, int64_t pieces);

/* [any] All has ended with @rc, which is returned. */
int hilo__parallel_end(struct parallel *parallel, int rc);

/* [task, executor's thread] How many workers there are for the caller. */
unsigned hilo__parallel_workers(void);

/* [task, executor's thread] How many items a piece has at most, of @length at least one, for what was asked for. */
int64_t hilo__parallel_grain(uint64_t length, int64_t grain);

/*
 * [task, suspends] As hilo_parallel_for; each of its items counts as @unit pieces of work that are done. The range is
 * not empty.
 */
int hilo__parallel_range(struct parallel *parallel, int64_t begin, int64_t end, int64_t grain, int64_t unit,
			 hilo_range_fn body, void *arg);

/* [owner] What was said about @rc is not to be lost to what another part has to say: it is kept for the next one. */
struct error *hilo__parallel_keep(int rc);

/*
 * [owner] The code of two parts: the first one has ended with @rc, about which @said; then the other one
 * with @later.
 */
int hilo__parallel_codes(int rc, int later, struct error *said);

/* [task] One piece has taken so many @cycles, and so many are left: wake somebody if it is worth it. */
void hilo__parallel_expect(uint64_t cycles, uint64_t left);

/* Of regions that leave out what has not begun when they are cancelled. */
extern const hilo_region_opts hilo__parallel_cancellable;

/* The code of a region that has ended with @rc, whose function has returned @code. */
static inline int parallel_region_code(int rc, int code)
{
	return code < 0 && code != -ECANCELED ? code : rc < 0 ? rc : code;
}

static inline uint64_t range_length(int64_t begin, int64_t end)
{
	return (uint64_t)end - (uint64_t)begin;
}

#endif /* HILO_RUNTIME_PARALLEL_IMPL_H */
