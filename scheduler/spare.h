/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_SPARE_H
#define HILO_SCHEDULER_SPARE_H

/*
 * spare.h - the workers beyond the number of cores. They take from a worker only what its thread is
 * kept from serving by a task that computes or blocks, and give it back as soon as they can.
 *
 * One of them is *on duty*: while anybody runs it looks round every 5 ms. When it has found something to
 * run it may be held itself; so before it runs it gives the duty up, and calls another one, or has
 * one made if all of them are held. So there are as many as there are tasks that block at the same
 * time, up to SPARES_MAX, and one that watches. Those that are not on duty and stand in for nobody sleep
 * for good. The first one is made with the workers; in hilo_run, whose thread waits outside and is held by
 * no task, that thread makes it a moment later, and not at all for what has ended by then.
 *
 * What they have seen of the others is one for all of them: who takes the duty over goes on where the
 * last one was.
 *
 * A thread is held when its loop has made no turn for 4.5 ms and either sleeps in the kernel, at two looks
 * 200 us apart, or has used 2 ms of CPU in that one turn. One that only waits for a CPU, because others
 * have it, is not: a further thread would make that worse.
 *
 * P1  A new one is made known by the store of `all` (release), before it does anything; whoever looks
 *     at loops reads `all` (acquire). So counts that it makes are never missed where they matter: who
 *     sees a task that it has made, or one that it has ended, sees its loop.
 * P2  `spare_starting` is taken, then `phase` is read; stopping sets `phase`, then waits until
 *     `spare_starting` is free; all seq_cst. So either no thread is made any more or stopping knows of it.
 *     The new thread gives it back itself, once it is known.
 * P3  The duty. A spare one that is going to sleep sets its park word, then tries to take the duty. The
 *     one that gives the duty up stores that, then reads the park words of the others; all seq_cst. So
 *     either the first takes it, or the second sees it sleeping and wakes it. P3 of search.c holds for
 *     `spare_ticking` as for `ticking`.
 */
#include "scheduler/worker.h"

#define SPARES_MAX 256

/* [spare] Something to run from a worker that is held; NULL: none is, or what it had is ours now. */
struct hilo_task *hilo__spare_search(struct hilo_loop *loop);

/* [spare, its park word set to SLEEPING] True: it is on duty, so it must not sleep too long. */
bool hilo__spare_is_on_duty(struct hilo_loop *loop);

/* [spare that has slept, about to run something] Somebody else must be on duty meanwhile. */
void hilo__spare_leave(struct hilo_loop *loop);

/* [spare, now and then] If nobody is on duty, because no thread was to be had: again. */
void hilo__spare_retry(struct hilo_loop *loop);

/* [worker that has slept, about to run something] Have the one on duty look after us. */
void hilo__spare_rouse(struct hilo_runtime *runtime);

/* [spare, each turn] Give what is queued here to a worker that gets to it; fire the host's timers if it does not. */
void hilo__spare_turn(struct hilo_loop *loop);

#endif /* HILO_SCHEDULER_SPARE_H */
