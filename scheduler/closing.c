/* SPDX-License-Identifier: MIT */
/*
 * closing.c - when the last task of a runtime has ended: what is counted, and who waits for it.
 *
 * P1  A submitter counts itself in `submitted`, then reads the phase; closing sets the phase, then
 *     reads the count; all seq_cst. So either the submitter sees that it came too late, or closing
 *     sees its task. A hold is a submission without a task.
 * P2  A completion counts itself, then bumps `quiet`, then reads `closer` and wakes it. Closing begins a
 *     wait, stores its task and episode in `closer`, then reads `quiet`, then the counts; `quiet` and
 *     `closer` seq_cst. So either the completion finds the closer, or the closer reads what it has
 *     bumped, and with it the count. A closer that is found in a later wait, or has left, is woken in
 *     vain, which is harmless.
 */
#include "scheduler/scheduler.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/reason.h"
#include "scheduler/wait.h"

static uint64_t loops_sum(const struct hilo_runtime *runtime, size_t offset)
{
	unsigned all = runtime_loops(runtime);
	uint64_t sum = 0;

	for (unsigned i = 0; i < all; i++) {
		atomic(uint64_t) *counter = (void *)((char *)&runtime->loops[i]->stats + offset);

		/* P2: orders the sums after each other */
		sum += MUTANT(163, load_acquire(counter), load_relaxed(counter));
	}
	return sum;
}

uint64_t hilo__scheduler_live(const struct hilo_runtime *runtime)
{
	/*
	 * Ends before starts: the difference is never too small while tasks come and go. A callback that
	 * spawns is among the submitted until its task is among the spawned, hence in this order.
	 */
	uint64_t completed = loops_sum(runtime, offsetof(struct loop_stats, completed));
	uint64_t submitted = load_seq_cst(&((struct hilo_runtime *)runtime)->submitted); /* P1 */
	uint64_t spawned = loops_sum(runtime, offsetof(struct loop_stats, spawned));

	(void)MUTANT(162, 0, completed = loops_sum(runtime, offsetof(struct loop_stats, completed)));
	return spawned + submitted - completed;
}

uint64_t hilo__scheduler_fibers(const struct hilo_runtime *runtime)
{
	uint64_t put = loops_sum(runtime, offsetof(struct loop_stats, fibers_put));

	return loops_sum(runtime, offsetof(struct loop_stats, fibers_taken)) - put;
}

void hilo__scheduler_quiet(struct hilo_runtime *runtime)
{
	struct hilo_task *closer;

	(void)add_seq_cst(&runtime->quiet, 1);						      /* P2 */
	closer = MUTANT(164, load_seq_cst(&runtime->closer), load_acquire(&runtime->closer)); /* P2 */
	if (closer)
		hilo__task_wake(closer,
				load_relaxed(&runtime->closer_episode)); /* relaxed: closer published it */
}

void hilo__runtime_release(struct hilo_runtime *runtime)
{
	/* Before: whoever closes may free it at once. He looks again by himself. relaxed: as in loop_tell_end */
	if (HILO__UNLIKELY(load_relaxed(&runtime->phase) != PHASE_OPEN))
		MUTANT(160, hilo__scheduler_quiet(runtime), (void)0);
	(void)sub_seq_cst(&runtime->submitted, 1); /* P1 */
	MUTANT(160, (void)0, hilo__scheduler_quiet(runtime));
}

static void task_cancel_left(struct hilo_task *task, void *ctx)
{
	(void)ctx;
	if (!task_is_cancelled(task))
		(void)hilo__task_cancel(task, REASON_SHUTDOWN);
}

/* Spawns that were under way when the phase changed are found by a later round. */
#ifdef HILO_EXPLORE
#define CANCEL_AGAIN HILO_FOREVER /* who sleeps without a limit has to be woken */
#else
#define CANCEL_AGAIN (20 * HILO_MILLISECOND)
#endif

void hilo__scheduler_shut(struct hilo_runtime *runtime)
{
	uint32_t open = PHASE_OPEN;

	(void)cas_seq_cst(&runtime->phase, &open, PHASE_CLOSING); /* P1 */
}

/* One round: look, cancel what is left, and wait. 0: nothing is left; -EAGAIN: look again. */
static int close_round(struct hilo_runtime *runtime, hilo_time deadline)
{
	struct wait wait;
	int rc = hilo__wait_begin(&wait, WAIT_RUNTIME, runtime, deadline);

	if (rc < 0)
		return rc;
	hilo__scheduler_shut(runtime);
	store_relaxed(&runtime->closer_episode, wait.episode); /* relaxed: published by the next line */
	MUTANT(165, store_seq_cst(&runtime->closer, wait.task),
	       store_release(&runtime->closer, wait.task)); /* P2 */
	(void)load_seq_cst(&runtime->quiet);		    /* P2 */
	if (hilo__scheduler_live(runtime) > 0) {
		hilo__scheduler_foreach(runtime, task_cancel_left, NULL);
		hilo__scheduler_need_spare(runtime);
		rc = hilo__wait_park(&wait);
		if (hilo__scheduler_live(runtime) == 0)
			rc = 0;
		else if (rc == 0)
			rc = -EAGAIN;
	}
	hilo__wait_end(&wait);
	return rc;
}

int hilo__scheduler_close(struct hilo_runtime *runtime, hilo_time deadline)
{
	hilo_time now, again;
	int rc;

	do {
		now = hilo__clock_now();
		again = now < HILO_FOREVER - CANCEL_AGAIN ? now + CANCEL_AGAIN : HILO_FOREVER;
		rc = close_round(runtime, again < deadline ? again : deadline);
	} while (rc == -EAGAIN || (rc == -ETIMEDOUT && again < deadline));
	return rc;
}
