/* SPDX-License-Identifier: MIT */
/*
 * spare.c - the workers beyond the number of cores; what they are for, and the pairs, are in spare.h.
 *
 * Under spare_lock threads are asked for their CPU clocks, one for each loop that has made a turn since:
 * system calls that do not sleep, and who waits for the lock has nothing else to do.
 */
#include "scheduler/spare.h"

#include <time.h>

#include "scheduler/base/clock.h"
#include "scheduler/fork.h"
#include "scheduler/standin.h"

void (*hilo__on_slow)(struct hilo_loop *loop, uint64_t cycles);

#define SPARE_HELD_US 4500
/* CPU time without a turn that makes a hog; less is what others have left to the thread. */
#define SPARE_BURNT (2 * HILO_MILLISECOND)
/* What a thread may use between two looks and still be asleep at both: one that polls, with short sleeps. */
#define SPARE_DOZED (PROC_LOOK_AGAIN_NS / 4)
/* Between two looks for somebody to give work back to. */
#define RELIEF_US 200
/* Without a turn for so long, the host is not about to come to its timers. */
#define HOST_US 1000
/* Who forks gives way, so when we look it may be another task that runs: go on looking for a while. */
#define FORK_LINGER_TICKS 16
/* Fresh tasks that are given back at once. */
#define FRESH_MAX 64
#define FRESH_FEW 16

/*
 * [spare_lock] Look at @victim. What all have seen says whether it is held, until it makes a turn. True: it
 * may be, if its thread goes on sleeping.
 */
static bool spare_suspects(struct hilo_loop *loop, struct hilo_loop *victim, uint64_t now)
{
	struct sighting *seen = &loop->runtime->spare_seen[victim->index];
	struct sighting *ours = &loop->sightings[victim->index];

	ours->suspect = 0;
	hilo__sighting_update(seen, victim, now);
	if (seen->cpu == SIGHTING_NO_CPU) {
		seen->cpu = hilo__proc_thread_cpu(&victim->proc);
		return false;
	}
	if (seen->is_held || now - seen->held < SPARE_HELD_US * hilo__cycles_per_us())
		return false;
	ours->cpu = hilo__proc_thread_cpu(&victim->proc);
	seen->is_held = ours->cpu < 0 || ours->cpu - seen->cpu >= SPARE_BURNT;
	if (seen->is_held)
		return false;
	ours->suspect = seen->held;
	return true;
}

/* [spare] One more look at the suspects; what is not asleep, or has used CPU time, is none. True: some are left. */
static bool spare_look_again(struct hilo_loop *loop, unsigned all)
{
	bool left = false;

	for (unsigned i = 0; i < all; i++) {
		struct sighting *ours = &loop->sightings[i];
		struct proc_thread *thread = &loop->runtime->loops[i]->proc;

		if (ours->suspect && (hilo__proc_thread_cpu(thread) - ours->cpu > SPARE_DOZED ||
				      !hilo__proc_thread_sleeps(thread)))
			ours->suspect = 0;
		left |= ours->suspect != 0;
	}
	return left;
}

/* [spare] Find out who is held. Naps for a moment, once for all of them, if somebody seems to sleep. */
static void spare_find_held(struct hilo_loop *loop, unsigned all)
{
	const struct timespec moment = {0, PROC_LOOK_AGAIN_NS};
	struct hilo_runtime *runtime = loop->runtime;
	bool suspects = false;
	uint64_t now;

	spin_lock(&runtime->spare_lock);
	now = cycles_now(); /* not before: what another one has seen meanwhile would lie in the future */
	for (unsigned i = 0; i < all; i++)
		if (i != loop->index)
			suspects |= spare_suspects(loop, runtime->loops[i], now);
	spin_unlock(&runtime->spare_lock);
	if (!suspects || !spare_look_again(loop, all))
		return;
	(void)nanosleep(&moment, NULL);
	if (!spare_look_again(loop, all))
		return;
	spin_lock(&runtime->spare_lock);
	for (unsigned i = 0; i < all; i++)
		if (loop->sightings[i].suspect && loop->sightings[i].suspect == runtime->spare_seen[i].held)
			runtime->spare_seen[i].is_held = true;
	spin_unlock(&runtime->spare_lock);
}

/* [spare] Whether @victim is to be told slow now: once for each turn of it. For how long it is held so far. */
static bool spare_finds_slow(struct hilo_runtime *runtime, unsigned victim, uint64_t *ret_cycles)
{
	struct sighting *seen = &runtime->spare_seen[victim];
	bool slow;

	spin_lock(&runtime->spare_lock);
	*ret_cycles = cycles_now() - seen->held;
	slow = seen->is_held && seen->turn != seen->told && *ret_cycles >= runtime->slow_cycles;
	if (slow)
		seen->told = seen->turn;
	spin_unlock(&runtime->spare_lock);
	return slow;
}

/* [spare] Tell of each loop that was held for too long; where nobody wants to know there is no such thing. */
static HILO__COLD void spare_tell_slow(struct hilo_runtime *runtime, unsigned all)
{
	uint64_t cycles;

	for (unsigned i = 0; i < all; i++)
		if (spare_finds_slow(runtime, i, &cycles))
			hilo__on_slow(runtime->loops[i], cycles);
}

/* [spare_lock] Nobody stands in for @victim but us, or somebody who is held himself. */
static bool spare_is_needed(struct hilo_loop *loop, struct hilo_loop *victim)
{
	uint32_t standin = load_relaxed(&victim->standin); /* relaxed: a hint */

	return standin == 0 || standin == loop->index + 1 || loop->runtime->spare_seen[standin - 1].is_held;
}

/* [spare] Whether to stand in for @victim. Under the lock, so that one of us does. */
static bool spare_claims(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_runtime *runtime = loop->runtime;
	struct sighting *seen = &runtime->spare_seen[victim->index];
	bool claims;

	spin_lock(&runtime->spare_lock);
	if (seen->is_held)
		hilo__sighting_update(seen, victim, cycles_now());
	claims = seen->is_held && spare_is_needed(loop, victim) && hilo__standin_finds(victim);
	if (claims)
		store_release(&victim->standin, loop->index + 1); /* pairs with hilo__standin_armed */
	spin_unlock(&runtime->spare_lock);
	return claims;
}

struct hilo_task *hilo__spare_search(struct hilo_loop *loop)
{
	unsigned all = runtime_loops(loop->runtime), first = random_below(&loop->random, all);
	struct hilo_task *task = NULL;

	loop->helping = false;
	if (hilo__fork_call_turns(loop))
		loop->forking = FORK_LINGER_TICKS;
	else if (loop->forking > 0)
		loop->forking--;
	spare_find_held(loop, all);
	if (HILO__UNLIKELY(loop->runtime->slow_cycles))
		spare_tell_slow(loop->runtime, all);
	/* Until there is news: what we have now may keep us from looking further. */
	for (unsigned i = 0; i < all && !task && !loop->held && !hilo__loop_has_news(loop); i++) {
		struct hilo_loop *victim = loop->runtime->loops[(first + i) % all];

		if (victim == loop || !spare_claims(loop, victim))
			continue;
		hilo__stand_in(loop, victim, cycles_now());
		if (!loop->held && !hilo__loop_has_news(loop))
			task = hilo__steal_half(loop, victim);
	}
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

	for (unsigned i = runtime->workers; i < all; i++) {
		/* One that was woken and has not come to itself yet has the duty before it, in any case. */
		if (i != loop->index && (load_seq_cst(&runtime->loops[i]->park) == PARK_NOTIFIED ||
					 hilo__loop_wake(runtime->loops[i]))) /* P3 */
			return;
	}
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
		MUTANT(96, spare_call(loop), (void)0); /* P3 */
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

	if (MUTANT(93, load_seq_cst(&runtime->idle.spare_ticking),
		   load_relaxed(&runtime->idle.spare_ticking))) /* P3 of search.c */
		return;
	duty = load_seq_cst(&runtime->idle.duty); /* P3 of search.c */
	if (duty)
		(void)hilo__loop_wake(runtime->loops[duty - 1]);
}

/*
 * [spare] A worker that can take something on: it sleeps, or has made a turn since we looked last. Not one
 * that has not come to what it was given before: there it would wait while we do what can wait longer.
 */
static struct hilo_loop *spare_find_relief(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	struct hilo_loop *relief = NULL, *sleeper = NULL;
	uint64_t now = cycles_now();

	for (unsigned i = 0; i < runtime->workers; i++) {
		struct hilo_loop *worker = runtime->loops[i];
		struct sighting *seen = &loop->sightings[i];
		bool takes = hilo__inbox_is_empty(&worker->inbox) && hilo__inbox_is_empty(&worker->backlog);

		hilo__sighting_update(seen, worker, now);
		if (takes && load_relaxed(&worker->park) == PARK_SLEEPING) /* relaxed: a preference */
			sleeper = worker;
		/* The first look after a search compares with what was seen a tick ago: that is too long. */
		if (takes && seen->held == now && loop->helping)
			relief = worker;
	}
	return sleeper ? sleeper : relief;
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

/* [spare] All of one priority that are not bound. True: there were some. */
static bool spare_give_priority(struct queue *from, struct queue *to)
{
	unsigned n = hilo__queue_gather(from);
	struct link *oldest;

	if (!hilo__queue_take_some(from, n, hilo__link_is_unbound, &oldest))
		return false;
	(void)hilo__inbox_push_chain(&to->inbox, hilo__link_reverse(oldest), oldest);
	return true;
}

/* [spare] Give what is queued here to a worker that gets to it. */
static void spare_give_back(struct hilo_loop *loop)
{
	struct hilo_loop *relief = spare_find_relief(loop);
	struct link *newest = NULL, *oldest = NULL;
	struct hilo_task *task;
	unsigned fresh;
	bool given;

	loop->helping = true;
	if (!relief)
		return;
	given = spare_give_priority(&loop->high, &relief->high);
	given |= spare_give_priority(&loop->low, &relief->low);
	/* Fresh ones only for who has few: they come into its ring, before what wakes there next. */
	fresh = hilo__deque_size(&relief->deque) < FRESH_FEW ? FRESH_MAX : 0;
	while ((task = spare_take_own(loop, &fresh))) {
		struct link *link = hilo__task_link(task);

		link->next = newest;
		newest = link;
		if (!oldest)
			oldest = link;
	}
	if (newest)
		(void)hilo__inbox_push_chain(&relief->inbox, newest, oldest);
	if (newest || given)		       /* else somebody was faster, or they have to wait */
		(void)hilo__loop_wake(relief); /* P1 of idle.h */
}

void hilo__spare_turn(struct hilo_loop *loop)
{
	struct hilo_loop *host = loop->host;

	if ((hilo__worker_is_empty(loop) && hilo__loop_is_ordinary(loop)) ||
	    loop->turn_cycles - loop->relief_cycles < RELIEF_US * hilo__cycles_per_us())
		return;
	loop->relief_cycles = loop->turn_cycles;
	spare_give_back(loop);
	/* Just seen again. Others may stand in for it by now, but timers of ours are among its own. */
	if (cycles_now() - loop->sightings[host->index].held >= HOST_US * hilo__cycles_per_us())
		(void)hilo__timers_try_expire(&host->timers, hilo__clock_now(), STANDIN_BATCH);
}
