/* SPDX-License-Identifier: MIT */
/* spare.c - the workers beyond the number of cores; what they are for, and the pairs, are in spare.h. */
#include "scheduler/spare.h"

#include "scheduler/base/clock.h"
#include "scheduler/standin.h"

#define SPARE_HELD_US 4500
/* CPU time without a run that makes a hog; less is what others have left to the thread. */
#define SPARE_BURNT (2 * HILO_MILLISECOND)
/* Fresh tasks that are given back at once. */
#define FRESH_MAX 64

/* [spare_lock] Whether the thread of @victim is held, as spare.h says; once found, until it makes a run. */
static bool spare_finds_held(struct hilo_loop *victim, uint64_t now)
{
	struct sighting *seen = &victim->runtime->spare_seen[victim->index];
	int64_t cpu;

	hilo__sighting_update(seen, victim, now);
	if (seen->is_held)
		return true;
	if (seen->cpu == SIGHTING_NO_CPU) {
		seen->cpu = hilo__proc_thread_cpu(&victim->proc);
		return false;
	}
	if (now - seen->held < SPARE_HELD_US * hilo__cycles_per_us())
		return false;
	cpu = hilo__proc_thread_cpu(&victim->proc);
	seen->is_held = cpu < 0 || cpu - seen->cpu >= SPARE_BURNT || hilo__proc_thread_blocks(&victim->proc);
	return seen->is_held;
}

/* [spare_lock] Nobody stands in for @victim but us, or somebody who is held himself. */
static bool spare_is_needed(struct hilo_loop *loop, struct hilo_loop *victim, uint64_t now)
{
	uint32_t standin = load_relaxed(&victim->standin); /* relaxed: a hint */

	return standin == 0 || standin == loop->index + 1 ||
	       spare_finds_held(loop->runtime->loops[standin - 1], now);
}

/* [spare_lock] Once round all loops. */
static struct hilo_task *spare_look_round(struct hilo_loop *loop)
{
	unsigned all = runtime_loops(loop->runtime), first = random_below(&loop->random, all);
	uint64_t now = cycles_now();
	struct hilo_task *task = NULL;

	/* Until there is news: what we have now may keep us from looking further. */
	for (unsigned i = 0; i < all && !task && !loop->held && !hilo__loop_has_news(loop); i++) {
		struct hilo_loop *victim = loop->runtime->loops[(first + i) % all];

		if (victim == loop || !spare_finds_held(victim, now) || !spare_is_needed(loop, victim, now))
			continue;
		hilo__stand_in(loop, victim);
		if (!hilo__loop_has_news(loop))
			task = hilo__steal_half(loop, victim);
	}
	return task;
}

struct hilo_task *hilo__spare_search(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	struct hilo_task *task;

	loop->helping = false;
	/* Another one that looks will do: it takes what there is, or the duty. */
	if (!spin_trylock(&runtime->spare_lock))
		return NULL;
	task = spare_look_round(loop);
	spin_unlock(&runtime->spare_lock);
	return task;
}

bool hilo__spare_is_on_duty(struct hilo_loop *loop)
{
	uint32_t none = 0;

	return load_seq_cst(&loop->runtime->idle.duty) == loop->index + 1 ||
	       cas_seq_cst(&loop->runtime->idle.duty, &none, loop->index + 1); /* P3 */
}

/* [spare, nobody on duty] Have another one take the duty. */
static void spare_call(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	unsigned all = runtime_loops(runtime);

	for (unsigned i = runtime->workers; i < all; i++)
		if (i != loop->index && hilo__loop_wake(runtime->loops[i])) /* P3 */
			return;
	hilo__scheduler_add_spare(runtime);
}

void hilo__spare_leave(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;

	if (load_relaxed(&idle->duty) == loop->index + 1) { /* relaxed: only we change it while it is ours */
		store_seq_cst(&idle->spare_ticking, 0);	    /* P3 of search.c */
		store_seq_cst(&idle->duty, 0);		    /* P3 */
	}
	if (load_seq_cst(&idle->duty)) /* P3 */
		hilo__spare_rouse(loop->runtime);
	else
		spare_call(loop);
}

void hilo__spare_retry(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;

	/* relaxed: hints; a thread that is just being made has no duty yet, so not where that works */
	if (load_relaxed(&runtime->spare_failed) && !load_relaxed(&runtime->idle.duty))
		spare_call(loop);
}

void hilo__spare_rouse(struct hilo_runtime *runtime)
{
	uint32_t duty;

	if (load_seq_cst(&runtime->idle.spare_ticking)) /* P3 of search.c */
		return;
	duty = load_seq_cst(&runtime->idle.duty); /* P3 of search.c */
	if (duty)
		(void)hilo__loop_wake(runtime->loops[duty - 1]);
}

/* [spare] A worker that can take something on: it sleeps, or has made a run since we looked last. */
static struct hilo_loop *spare_find_relief(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	struct hilo_loop *relief = NULL;
	uint64_t now = cycles_now();

	for (unsigned i = 0; i < runtime->workers; i++) {
		struct hilo_loop *worker = runtime->loops[i];
		struct sighting *seen = &loop->sightings[i];

		if (load_relaxed(&worker->park) == PARK_SLEEPING) /* relaxed: a preference */
			return worker;
		hilo__sighting_update(seen, worker, now);
		if (seen->held != now)
			continue;
		/* The first look after a search compares with what was seen a tick ago: that is too long. */
		if (loop->helping)
			relief = worker;
	}
	return relief;
}

/* [owner] The next of what is ours and not bound to a loop; of fresh tasks *@fresh at most. */
static struct hilo_task *spare_take_own(struct hilo_loop *loop, unsigned *fresh)
{
	struct hilo_task *task = NULL;

	if (load_relaxed(&loop->slot))			/* relaxed: only we fill it */
		task = xchg_acquire(&loop->slot, NULL); /* pairs with the exchange that filled it */
	if (!task)
		task = hilo__ring_pop(&loop->ring);
	if (!task && *fresh > 0) {
		task = hilo__deque_pop_oldest(&loop->deque);
		--*fresh;
	}
	return task;
}

void hilo__spare_give_back(struct hilo_loop *loop)
{
	struct link *newest = NULL, *oldest = NULL;
	struct hilo_loop *relief;
	struct hilo_task *task;
	unsigned fresh = FRESH_MAX;

	if (hilo__worker_is_empty(loop))
		return;
	relief = spare_find_relief(loop);
	loop->helping = true;
	if (!relief)
		return;
	/* The next lot when the last was looked at: else it would wait there while we do what can wait longer. */
	if (!hilo__inbox_is_empty(&relief->inbox) || !hilo__inbox_is_empty(&relief->backlog))
		return;
	while ((task = spare_take_own(loop, &fresh))) {
		struct link *link = hilo__task_link(task);

		link->next = newest;
		newest = link;
		if (!oldest)
			oldest = link;
	}
	if (!newest)
		return; /* somebody was faster, or they have to wait */
	(void)hilo__inbox_push_chain(&relief->inbox, newest, oldest);
	(void)hilo__loop_wake(relief); /* P1 of idle.h */
}
