/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_PIPELINE_IMPL_H
#define HILO_RUNTIME_PIPELINE_IMPL_H

/*
 * pipeline_impl.h - items on their way through stages.
 *
 * There is a token for each item that may be in flight. A token goes through all stages, and then around again to the
 * first one, for a new item. Who takes it along is a *runner*, a task: it has one token in hand, calls a stage after
 * the other for it, and where a gate does not let it in it leaves it there. When it leaves a gate, others go in: it
 * takes along the one that is furthest, and makes a runner for each of the rest. One that has nothing in hand ends.
 * So there are as many runners as tokens that can go on; no task waits for its turn anywhere.
 *
 * Items have numbers, in the order in which they were made. What is to stop is one number, the `limit`: items from
 * there on are doomed. It is that of the first item that has failed, of the end of the input, 0 when the caller was
 * asked to stop.
 *
 * I1  A token is in hand of one runner, at a gate, or over: there are no more items for it, or its item was doomed.
 * I2  When there is no runner any more only tokens that are doomed are at gates: of the others the one with the least
 *     number has its turn wherever it is, and who left it there does not end before it is somebody's.
 * P1  The number and the runner of a token are stored, then the limit is read; who lowers the limit stores it, then
 *     reads runner and number. All of them seq_cst: so the runner sees that its item is doomed, or is cancelled.
 * P2  Who cancels a runner keeps the token's word meanwhile (acquire, release); the runner takes its name away before
 *     anybody else has the token, or it ends. So the task that is cancelled is there, and is at that item.
 * P3  The count of runners is lowered with release and acquire: who sees its end sees all that they have done.
 */
#include <hilo/runtime/future.h>
#include <hilo/runtime/pipeline.h>
#include <hilo/runtime/task.h>

#include "runtime/gate_impl.h"
#include "scheduler/base/lock.h"

#define STAGES_MOST 64
#define IN_FLIGHT_MOST 65536u
#define IN_FLIGHT_PER_WORKER 4
#define PROGRESS_EVERY (100 * HILO_MILLISECOND)

/* What one token has seen of one stage. */
struct count {
	uint64_t items;
	hilo_time busy, waited;
};

struct token {
	HILO__ISOLATED struct gate_node node; /* first */
	struct pipeline *pipeline;
	void *item;
	unsigned stage;		  /* where it is, or is about to go in */
	atomic(uint64_t) number;  /* of its item; NO_NUMBER: it has none yet; P1 */
	atomic(uintptr_t) runner; /* the task that has it in hand, TOKEN_KEPT; 0: P1, P2 */
	atomic(uint64_t) through; /* items that it has taken to the end */
	hilo_time since;	  /* when it came to its stage, where that is measured */
	struct count *counts;	  /* one for each stage; NULL: nothing is measured */
};

#define NO_NUMBER UINT64_MAX
#define TOKEN_KEPT ((uintptr_t)1)

struct stage {
	hilo_stage what;
	struct gate gate; /* GATE_NONE: without one */
};

struct error;

struct pipeline {
	struct stage *stages;
	unsigned count;
	unsigned in_flight;
	struct token *tokens;
	struct count *counts;
	struct gate_node **places;
	hilo_pipeline_opts opts;
	hilo_task_opts task_opts;
	hilo_future *over; /* set by the last runner, with a reference of its own */

	HILO__ISOLATED atomic(uint64_t) limit; /* P1 */
	atomic(uint64_t) made;		       /* items, or the number of the next one */
	atomic(bool) ended;		       /* the first stage has said so */
	atomic(bool) lost;		       /* an item was dropped, or never begun */
	struct spinlock lock;		       /* of what follows */
	int code;			       /* of the item with the number `limit`, which has failed */
	int stopped;			       /* why all were asked to stop */
	struct error *said;		       /* with `code` */

	HILO__ISOLATED atomic(uint32_t) runners; /* and the caller, while it begins; P3 */
};

/* pipeline_stop.c */

/* [runner] Item @number has failed with @code, or is the one that there is not (0). It counts if it is the first. */
void hilo__pipeline_limit(struct pipeline *pipeline, uint64_t number, int code);

/* [any] All are to stop, for @code. */
void hilo__pipeline_stop(struct pipeline *pipeline, int code);

/* pipeline_make.c */

/* [task] Make what a pipeline of @stages needs. 0, -EINVAL, -E2BIG, -ENOMEM. To be ended with _free in any case. */
int hilo__pipeline_make(struct pipeline *pipeline, const hilo_stage *stages, size_t count,
			const hilo_pipeline_opts *opts);
void hilo__pipeline_free(struct pipeline *pipeline);

/* [caller] How many items are through, as it seems. */
uint64_t hilo__pipeline_through(struct pipeline *pipeline);

/* [caller, at the end] Fill in what stages have come to. */
void hilo__pipeline_tell_stats(struct pipeline *pipeline);

#endif /* HILO_RUNTIME_PIPELINE_IMPL_H */
