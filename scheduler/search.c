/* SPDX-License-Identifier: MIT */
/*
 * search.c - a worker with nothing to run: when it takes work from others, how it sleeps, who watches.
 *
 * Stealing must pay. Moving a task to another core costs some 200 ns in cache misses, more than an
 * empty task costs to run; so a searcher does not take what the victim would have finished by itself
 * in less. It looks at a victim for some microseconds, and its own clock and the victim's counters
 * tell it how long a run takes there:
 *
 *	the victim makes no step for 3 us with work queued         it is in a long task: take half
 *	runs take 200 ns and more, and 4 us of work are queued     take half
 *	the queue has not been empty for 100 us                    the work keeps coming: take half
 *	otherwise                                                  leave it alone
 *
 * The victim pays nothing for this but a counter it keeps anyway. The run that was on when we came is
 * not measured: it may be the one that spawns all the others, and last as long as all of them.
 *
 * A worker that has made no turn for HELD_US and was not asleep is held by a task: the searcher, or the
 * watcher, stands in for it in all things (standin.h).
 *
 * Pairs P1, P2: idle.h.
 * P3  A watcher that ends its ticking stores `ticking`, then reads the park words; a worker that
 *     wakes stores its park word, then reads `ticking` and when the sleepers wake; all seq_cst. So
 *     either the watcher sees the worker and goes on, or the worker sees that nobody will look and
 *     wakes somebody. A watcher keeps its role while it sleeps, also without a limit, and nobody else
 *     can take it then: so if there is one, it is the one to wake. The same is done by a worker that goes to
 *     sleep while another one runs, if it finds the role taken by one that does not tick. Taking the
 *     role is seq_cst and comes before the look at the park words.
 *
 * Rejected: stealing whatever is there, one by one, as soon as it is there. With empty tasks two
 * workers are then two to four times slower than one, in every system that was measured.
 */
#include "scheduler/worker.h"

#include "scheduler/base/clock.h"
#include "scheduler/fork.h"
#include "scheduler/spare.h"
#include "scheduler/standin.h"

#define STILL_US 3
#define RUN_NS 200
#define RUN_WORK_US 4
#define BACKLOG_US 100
/* Between two looks: each look takes the victim's lines away from it. */
#define LOOK_EVERY_US 1
/*
 * Of the time that others spin, a worker with descriptors does so for this part: what comes for these the kernel has
 * ready while the worker waits in it, not while it spins, and who sends may need the core.
 */
#define SPIN_SERVING 25
#define WATCH_TICK HILO_MILLISECOND
#define SPARE_TICK (5 * HILO_MILLISECOND)
#define SPARE_LINGER_TICKS 4
#define COALESCE (80 * HILO_MICROSECOND)
/* An idle runtime ticks on for 16 ms, so that events that are not sparse find a watcher at work. */
#define LINGER_TICKS 16

static bool steal_pays(const struct sighting *seen, uint64_t queued, uint64_t tick, uint64_t now)
{
	uint64_t us = hilo__cycles_per_us();
	uint64_t span = now - seen->began, ran = tick - seen->tick, run;

	if (now - seen->still >= STILL_US * us || now - seen->since >= BACKLOG_US * us)
		return true;
	if (!ran || span < us)
		return false;
	run = span / ran;
	return run * 1000 >= RUN_NS * us && run * queued >= RUN_WORK_US * us;
}

/* [searcher] Look at @victim. *@watching is set when there is something that may pay in a while. */
static struct hilo_task *look_at(struct hilo_loop *loop, struct hilo_loop *victim, bool *watching)
{
	struct sighting *seen = &loop->sightings[victim->index];
	uint64_t now = cycles_now();
	uint64_t tick = load_relaxed(&victim->tick); /* relaxed: hints, all of them */
	uint64_t queued = hilo__loop_queued(victim);
	struct hilo_task *task = NULL;

	hilo__sighting_update(seen, victim, now);
	if (load_relaxed(&victim->park) != PARK_RUNNING) { /* relaxed: as above */
		if (!queued)
			return NULL;
	} else if (now - seen->held >= HELD_US * hilo__cycles_per_us()) {
		hilo__stand_in(loop, victim, now);
		if (loop->held || hilo__loop_has_news(loop))
			return NULL; /* what came of it goes first */
	}
	if (!queued) {
		seen->since = 0;
		return hilo__fork_steal(loop, victim);
	}
	if (!seen->since) {
		seen->since = now;
		seen->tick = tick;
	}
	/* A run that goes on spawning is not one of those that are queued. */
	if (tick == seen->tick)
		seen->began = now;
	*watching = true;
	if (LOT(loop, 2) || steal_pays(seen, queued, tick, now))
		task = hilo__steal_half(loop, victim);
	return task ? task : hilo__fork_steal(loop, victim);
}

/* [searcher] Once round the others, from a random one on. */
static struct hilo_task *look_round(struct hilo_loop *loop, bool *watching)
{
	struct hilo_runtime *runtime = loop->runtime;
	unsigned all = runtime_loops(runtime), first = random_below(&loop->random, all);

	for (unsigned i = 0; i < all; i++) {
		struct hilo_loop *victim = runtime->loops[(first + i) % all];
		struct hilo_task *task = victim == loop ? NULL : look_at(loop, victim, watching);

		/* News: we stand in for one, and our own queues, which must be empty for another, have been filled. */
		if (task || loop->held || hilo__loop_has_news(loop))
			return task;
	}
	return NULL;
}

/* How long to spin, from how long the last idle gaps were: never longer than it is likely to help. */
static uint64_t spin_budget(const struct hilo_loop *loop)
{
	uint64_t limit = loop->runtime->spin_cycles;

	if (!loop->runtime->spin || loop->spin_misses >= 8)
		return 0;
	/* Alone there is nobody to take from but the spare; an executor may be about to answer, though. */
	if (loop->runtime->workers == 1 && !load_relaxed(&loop->runtime->calls_out)) /* relaxed: a hint */
		return 0;
	if (hilo__poller_armed(&loop->poller))
		return limit / SPIN_SERVING;
	return loop->idle_cycles < limit ? limit : limit / 10;
}

static void pause_until(struct hilo_loop *loop, uint64_t until)
{
	do {
		for (int i = 0; i < 8; i++)
			cpu_relax();
	} while (cycles_now() < until && !hilo__loop_has_news(loop));
}

/* [searcher] Look at the others for a while. NULL: nothing found, or something came in for ourselves. */
static struct hilo_task *search_others(struct hilo_loop *loop)
{
	uint64_t us = hilo__cycles_per_us(), now = cycles_now(), start = now;
	uint64_t until = now + spin_budget(loop);
	struct hilo_task *task;
	bool watching;

	for (unsigned i = 0; i < runtime_loops(loop->runtime); i++)
		loop->sightings[i].since = 0;
	do {
		watching = false;
		task = look_round(loop, &watching);
		if (task || loop->held || hilo__loop_has_news(loop))
			break;
		/* A backlog is being watched: long enough for the last of the rules to apply. */
		if (watching && until < start + (BACKLOG_US + 20) * us && loop->runtime->spin)
			until = start + (BACKLOG_US + 20) * us;
		if (until <= now)
			break;
		pause_until(loop, now + LOOK_EVERY_US * us);
		now = cycles_now();
	} while (now < until &&
		 load_relaxed(&loop->runtime->phase) != PHASE_STOPPED); /* relaxed: seen before sleep */
	if (now != start && !task && !hilo__loop_has_news(loop))
		loop->spin_misses++;
	else
		loop->spin_misses = 0;
	return task;
}

static bool somebody_runs(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	unsigned all = runtime_loops(runtime);

	for (unsigned i = 0; i < all; i++)
		if (i != loop->index && load_seq_cst(&runtime->loops[i]->park) != PARK_SLEEPING) /* P3 */
			return true;
	return false;
}

static hilo_time tick_of(const struct hilo_loop *loop)
{
	return loop->spare && !loop->forking ? SPARE_TICK : WATCH_TICK;
}

/* [watcher, spare] Until when to sleep at most: a tick while somebody runs, and for some ticks after. */
static hilo_time watch_limit(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;
	atomic(uint32_t) *ticking = loop->spare ? &idle->spare_ticking : &idle->ticking;
	unsigned linger = loop->spare ? SPARE_LINGER_TICKS : LINGER_TICKS;

	for (int look = 0; look < 2; look++) {
		bool running = somebody_runs(loop);

		if (running)
			loop->idle_ticks = 0;
		if (running || loop->idle_ticks < linger) {
			loop->idle_ticks += !running;
			store_seq_cst(ticking, 1); /* P3 */
			return hilo__clock_now() + tick_of(loop);
		}
		MUTANT(92, store_seq_cst(ticking, 0), store_release(ticking, 0)); /* P3: then look again */
	}
	return loop->spare ? HILO_FOREVER : hilo__stack_trim_due();
}

/*
 * [owner] Until when to sleep. Timers that come thick and fast are met in groups: a sleep that follows
 * on another lasts COALESCE at least. One that comes alone is met to the point.
 */
static hilo_time sleep_deadline(struct hilo_loop *loop, bool watch)
{
	hilo_time deadline = hilo__timers_settle(&loop->timers), now = hilo__clock_now();
	hilo_time limit = watch ? watch_limit(loop) : HILO_FOREVER;

	if (HILO__UNLIKELY(loop->standing)) {
		hilo_time next = hilo__standin_next(loop), tick = now + tick_of(loop);

		deadline = next < deadline ? next : deadline;
		limit = tick < limit ? tick : limit;
	}
	if (deadline < now + COALESCE && now - loop->slept_at < 3 * COALESCE)
		deadline = now + COALESCE;
	loop->slept_at = now;
	if (!hilo__inbox_is_empty(&loop->starved) && limit > now + WATCH_TICK)
		limit = now + WATCH_TICK;
	return deadline < limit ? deadline : limit;
}

/* [owner] The last look before sleep, after the park word was set: P1. */
static bool nothing_came(struct hilo_loop *loop)
{
	return hilo__inbox_is_empty_seq_cst(&loop->inbox) && queue_is_empty_seq_cst(&loop->pinned) &&
	       queue_is_empty_seq_cst(&loop->high) && queue_is_empty_seq_cst(&loop->low) &&
	       (queue_is_empty_seq_cst(&loop->calls) || load_seq_cst(&loop->calling)) && /* P2 of loop.c */
	       load_seq_cst(&loop->runtime->phase) != PHASE_STOPPED;			 /* P1 */
}

bool hilo__loop_wake(struct hilo_loop *loop)
{
	uint32_t sleeping = PARK_SLEEPING;

	if (MUTANT(94, load_seq_cst(&loop->park), load_relaxed(&loop->park)) != PARK_SLEEPING || /* P1 */
	    !cas_seq_cst(&loop->park, &sleeping, PARK_NOTIFIED))				 /* P2 */
		return false;
	hilo__poller_wake(&loop->poller);
	return true;
}

/* [worker] Have the watcher, if there is one, look at who runs: it may sleep without a limit. False: none. */
static bool watcher_rouse(struct hilo_runtime *runtime)
{
	uint32_t watcher = load_seq_cst(&runtime->idle.watcher); /* P3 */

	if (watcher)
		(void)hilo__loop_wake(
			runtime->loops[watcher - 1]); /* else it is awake, and looks before it sleeps */
	return watcher != 0;
}

/* [worker about to sleep] Take the part of an idle worker: true, to watch. */
static bool sleep_watching(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;

	if (loop->spare)
		return hilo__spare_is_on_duty(loop);
	if (idle_watch_begin(idle, loop->index))
		return true;
	if (!load_seq_cst(&idle->ticking) && somebody_runs(loop)) /* P3 */
		(void)watcher_rouse(loop->runtime);
	return false;
}

static void worker_sleep(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;
	hilo_time deadline;
	bool watch;

	hilo__heap_flush(loop->heap);
	if (!loop->spare)
		idle_sleep_begin(idle, loop->index);
	MUTANT(95, (void)xchg_seq_cst(&loop->park, PARK_SLEEPING),
	       store_release(&loop->park, PARK_SLEEPING)); /* P1 */
	if (nothing_came(loop)) {
		watch = sleep_watching(loop);
		stat_add(&loop->stats.sleeps, 1);
		deadline = sleep_deadline(loop, watch);
		store_seq_cst(&loop->sleeps_until, deadline); /* P3 */
		TRACE_EVENT(loop->trace, TRACE_SLEEP, deadline, watch);
		(void)hilo__poller_wait(&loop->poller, deadline);
		TRACE_EVENT(loop->trace, TRACE_POLL, 1, 0);
		store_seq_cst(&loop->sleeps_until, HILO_FOREVER); /* P3 */
		if (watch && !loop->spare) {
			store_seq_cst(&idle->ticking, 0); /* P3 */
			idle_watch_end(idle);
		}
	}
	(void)xchg_seq_cst(&loop->park, PARK_RUNNING); /* P3 */
	if (!loop->spare)
		idle_sleep_end(idle, loop->index);
	loop->slept = true;
}

struct hilo_task *hilo__worker_search(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;
	struct hilo_task *task = NULL;
	uint64_t begin = cycles_now();

	if (loop->countdown == 0 || hilo__loop_has_news(loop))
		return NULL;
	if (loop->spare) {
		task = hilo__spare_search(loop);
	} else if (idle_search_begin(idle)) {
		task = search_others(loop);
		idle_search_end(idle);
	}
	if (loop->held) {
		/* In a queue, where others find it: the callbacks may take their time. */
		if (task)
			worker_requeue(loop, task);
		task = NULL;
		hilo__standin_run_calls(loop);
	} else if (!task && !hilo__loop_has_news(loop) && !hilo__stack_trim_some(hilo__clock_now()))
		worker_sleep(loop);
	loop->idle_cycles = (loop->idle_cycles * 3 + (cycles_now() - begin)) / 4;
	loop->turn_cycles = cycles_now();
	loop->work_cycles = loop->turn_cycles;
	return task;
}

/* [worker] Somebody else is asleep who will wake by himself within two ticks, and look around then. */
static bool somebody_wakes_soon(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	hilo_time now = hilo__clock_now();

	for (unsigned i = 0; i < runtime->workers; i++) { /* no spare one: those take from the held only */
		hilo_time until = load_seq_cst(&runtime->loops[i]->sleeps_until); /* P3 */

		if (i != loop->index && until >= now && until <= now + 2 * WATCH_TICK)
			return true;
	}
	return false;
}

/* [worker that has slept, about to run something] Keep I1 of idle.h: somebody must watch meanwhile. */
void hilo__worker_awake(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;

	loop->slept = false;
	if (loop->spare)
		hilo__spare_leave(loop);
	else
		hilo__spare_rouse(runtime);
	/* A lone worker is watched by the spare alone; the spare itself by any worker. */
	if ((runtime->workers > 1 || loop->spare) && !load_seq_cst(&runtime->idle.ticking) && /* P3 */
	    idle_sleepers(&runtime->idle) && !somebody_wakes_soon(loop) && !watcher_rouse(runtime))
		(void)hilo__worker_wake_one(runtime, loop);
}

void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)hilo__loop_wake(loop);
}

bool hilo__worker_wake_one(struct hilo_runtime *runtime, struct hilo_loop *from)
{
	for (unsigned word = 0; word * 64 < runtime->workers; word++) {
		uint64_t mask = load_relaxed(&runtime->idle.mask[word]); /* relaxed: the park word decides */

		for (; mask; mask &= mask - 1) {
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(mask);

			if (!hilo__loop_wake(runtime->loops[index]))
				continue;
			stat_add(&from->stats.wakes, 1);
			return true;
		}
	}
	return false;
}
