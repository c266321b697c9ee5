/* SPDX-License-Identifier: MIT */
/*
 * fork_measure.c - regions that are measured: how they are kept to one worker, and the strand as it changes stacks.
 *
 * Thieves look for forks of their own runtime, and these are of none. What is asked for with limit and floor is not
 * taken back here, so all that are made and joined are seen.
 */
#include "scheduler/measure.h"

#include <time.h>

#include "scheduler/scheduler.h"

#ifdef HILO_TESTING
uint64_t (*hilo__measure_clock)(void);
#endif

static int64_t time_used(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

void hilo__measure_arrive(struct measure *measure)
{
	if (!measure->large)
		return;
	measure->looked_used = time_used();
	measure->looked = cycles_now();
}

HILO__COLD uint64_t hilo__measure_correct(struct measure *measure, uint64_t took)
{
	int64_t passed = hilo__cycles_to_ns(cycles_now() - measure->looked), used = measure->looked_used;
	uint64_t taken;

	hilo__measure_arrive(measure);
	passed -= measure->looked_used - used;
	taken = passed > 0 ? (uint64_t)passed * hilo__cycles_per_us() / 1000 : 0;
	return took > taken ? took - taken : 0;
}

void hilo__fork_measure(struct forks *forks, struct measure *measure)
{
	forks->measured = true;
	forks->checked = false;
	forks->measure = measure;
	forks->began = 0;
	store_relaxed(&forks->runtime, NULL); /* relaxed: there is never anything to take */
	forks_ask(forks);
}

struct measure *hilo__fork_hand_on(struct forks *forks, struct hilo_task *helper)
{
	struct measure *measure = forks->measure;
	struct fiber *fiber = load_relaxed(&helper->fiber); /* relaxed: our own, as below */

	if (HILO__LIKELY(!measure))
		return NULL;
	measure_stop(measure);
	forks->measure = NULL;
	hilo__fork_measure(load_relaxed(&fiber->forks), measure); /* relaxed: published with the helper */
	return measure;
}

void hilo__fork_take_back(struct forks *forks, struct measure *measure)
{
	if (HILO__LIKELY(!measure))
		return;
	forks->measure = measure;
	hilo__measure_arrive(measure);
	measure_go(measure);
}

HILO__COLD void hilo__fork_resume(struct thread *self)
{
	struct measure *measure = load_relaxed(&self->fiber->forks)->measure; /* relaxed: our own */

	hilo__measure_arrive(measure);
	measure_go(measure);
}
