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
 * The victim pays nothing for this but a counter it keeps anyway.
 *
 * A worker that has made no step for STUCK_US and has run all that time is stuck: what waits in its
 * slot, its inboxes, its timers and its poller is served by the watcher as well.
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
#include "scheduler/base/trace.h"

#define STILL_US 3
#define RUN_NS 200
#define RUN_WORK_US 4
#define BACKLOG_US 100
#define STUCK_US 500
/* Between two looks: each look takes the victim's lines away from it. */
#define LOOK_EVERY_US 1
#define STEAL_MAX 64
#define WATCH_TICK HILO_MILLISECOND
#define SPARE_TICK (5 * HILO_MILLISECOND)
#define SPARE_STUCK_US 4500
#define SPARE_LINGER_TICKS 4
#define COALESCE (80 * HILO_MICROSECOND)
/* An idle runtime ticks on for 16 ms, so that events that are not sparse find a watcher at work. */
#define LINGER_TICKS 16

static bool loop_has_news(struct hilo_loop *loop)
{
	return !hilo__inbox_is_empty(&loop->inbox) || !hilo__inbox_is_empty(&loop->backlog) ||
	       !hilo__inbox_is_empty(&loop->fresh) || !hilo__inbox_is_empty(&loop->pinned) ||
	       !hilo__inbox_is_empty(&loop->calls) || loop->pinned_first || loop->calls_first ||
	       !hilo__worker_is_empty(loop);
}

/* [searcher] Take half of what @victim has queued; one to run is returned, the rest is ours. */
static struct hilo_task *steal_half(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task = NULL, *taken[STEAL_MAX];
	int n = hilo__ring_steal(&victim->ring, &loop->ring, &task);

	if (n <= 0) {
		n = hilo__deque_steal_many(&victim->deque, taken, STEAL_MAX);
		if (n <= 0)
			return NULL;
		task = taken[0];
		for (int i = 1; i < n; i++)
			if (hilo__deque_push(&loop->deque, taken[i]) < 0)
				loop_push_ring(loop, taken[i]);
	}
	stat_add(&loop->stats.steals, 1);
	stat_add(&loop->stats.stolen, (uint64_t)n);
	return task;
}

/* [searcher] What a stuck worker keeps from running besides its queues. */
static struct hilo_task *serve_stuck(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task =
		xchg_acquire(&victim->slot, NULL); /* pairs with the exchange that filled it */
	struct link *chain;

	if (task)
		return task;
	chain = hilo__inbox_take_all(&victim->fresh);
	if (chain) {
		hilo__inbox_fill(&loop->fresh, chain); /* ours is empty: the caller has looked for news */
		return NULL;
	}
	chain = hilo__inbox_take_all(&victim->backlog);
	if (!chain)
		chain = hilo__inbox_take_fifo(&victim->inbox);
	if (chain)
		hilo__worker_take_list(loop, chain);
	if (hilo__timers_next(&victim->timers) != HILO_FOREVER)
		(void)hilo__timers_try_expire(&victim->timers, hilo__clock_now(), STEAL_MAX);
	if (hilo__poller_armed(&victim->poller))
		(void)hilo__poller_reap(&victim->poller, STEAL_MAX);
	return NULL;
}

/* [searcher] Note whether @victim has made a step since we looked last. */
static void sighting_update(struct sighting *seen, struct hilo_loop *victim, uint64_t now)
{
	/* relaxed: hints, all of them */
	uint64_t steps = 2 * load_relaxed(&victim->tick) + (uint64_t)load_relaxed(&victim->ring.tail) +
			 (uint64_t)load_relaxed(&victim->deque.bottom);

	if (steps != seen->steps || load_relaxed(&victim->park) != PARK_RUNNING) { /* relaxed: as above */
		seen->steps = steps;
		seen->still = now;
	}
}

/* [spare] Something to run from a worker that is stuck; NULL: none is, or what it had is ours now. */
static struct hilo_task *spare_look_round(struct hilo_loop *loop)
{
	unsigned workers = loop->runtime->workers, first = random_below(&loop->random, workers);
	uint64_t now = cycles_now();
	struct hilo_task *task = NULL;

	/* Until there is news: what serve_stuck fills must be empty. */
	for (unsigned i = 0; i < workers && !task && !loop_has_news(loop); i++) {
		struct hilo_loop *victim = loop->runtime->loops[(first + i) % workers];
		struct sighting *seen = &loop->sightings[victim->index];

		sighting_update(seen, victim, now);
		if (now - seen->still < SPARE_STUCK_US * hilo__cycles_per_us())
			continue;
		task = serve_stuck(loop, victim);
		if (!task)
			task = steal_half(loop, victim);
	}
	return task;
}

static bool steal_pays(const struct sighting *seen, uint64_t queued, uint64_t tick, uint64_t now)
{
	uint64_t us = hilo__cycles_per_us();
	uint64_t age = now - seen->since, ran = tick - seen->tick, run;

	if (now - seen->still >= STILL_US * us || age >= BACKLOG_US * us)
		return true;
	if (!ran || age < us)
		return false;
	run = age / ran;
	return run * 1000 >= RUN_NS * us && run * queued >= RUN_WORK_US * us;
}

/* [searcher] Look at @victim. *@watching is set when there is something that may pay in a while. */
static struct hilo_task *look_at(struct hilo_loop *loop, struct hilo_loop *victim, bool *watching)
{
	struct sighting *seen = &loop->sightings[victim->index];
	uint64_t now = cycles_now();
	uint64_t tick = load_relaxed(&victim->tick); /* relaxed: hints, all of them */
	int64_t in_ring = hilo__ring_size(&victim->ring), in_deque = hilo__deque_size(&victim->deque);
	uint64_t queued = (uint64_t)(in_ring + in_deque);

	sighting_update(seen, victim, now);
	if (load_relaxed(&victim->park) != PARK_RUNNING) { /* relaxed: as above */
		if (!queued)
			return NULL;
	} else if (now - seen->still >= STUCK_US * hilo__cycles_per_us()) {
		struct hilo_task *task = serve_stuck(loop, victim);

		if (task)
			return task;
	}
	if (!queued) {
		seen->since = 0;
		return NULL;
	}
	if (!seen->since) {
		seen->since = now;
		seen->tick = tick;
	}
	*watching = true;
	return LOT(loop, 2) || steal_pays(seen, queued, tick, now) ? steal_half(loop, victim) : NULL;
}

/* [searcher] Once round the others, from a random one on. */
static struct hilo_task *look_round(struct hilo_loop *loop, bool *watching)
{
	struct hilo_runtime *runtime = loop->runtime;
	unsigned first = random_below(&loop->random, runtime->all);

	for (unsigned i = 0; i < runtime->all; i++) {
		struct hilo_loop *victim = runtime->loops[(first + i) % runtime->all];
		struct hilo_task *task = victim == loop ? NULL : look_at(loop, victim, watching);

		/* News: serve_stuck has filled our own queues, which must be empty for another one. */
		if (task || loop_has_news(loop))
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
	return loop->idle_cycles < limit ? limit : limit / 10;
}

static void pause_until(struct hilo_loop *loop, uint64_t until)
{
	do {
		for (int i = 0; i < 8; i++)
			cpu_relax();
	} while (cycles_now() < until && !loop_has_news(loop));
}

/* [searcher] Look at the others for a while. NULL: nothing found, or something came in for ourselves. */
static struct hilo_task *search_others(struct hilo_loop *loop)
{
	uint64_t us = hilo__cycles_per_us(), now = cycles_now(), start = now;
	uint64_t until = now + spin_budget(loop);
	struct hilo_task *task;
	bool watching;

	for (unsigned i = 0; i < loop->runtime->all; i++)
		loop->sightings[i].since = 0;
	do {
		watching = false;
		task = look_round(loop, &watching);
		if (task || loop_has_news(loop))
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
	if (now != start && !task && !loop_has_news(loop))
		loop->spin_misses++;
	else
		loop->spin_misses = 0;
	return task;
}

static bool somebody_runs(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;

	for (unsigned i = 0; i < runtime->all; i++)
		if (i != loop->index && i != runtime->workers &&
		    load_seq_cst(&runtime->loops[i]->park) != PARK_SLEEPING) /* P3 */
			return true;
	return loop->spare ? false
			   : load_seq_cst(&runtime->loops[runtime->workers]->park) != PARK_SLEEPING; /* P3 */
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
			return hilo__clock_now() + (loop->spare ? SPARE_TICK : WATCH_TICK);
		}
		store_seq_cst(ticking, 0); /* P3: then look again */
	}
	return HILO_FOREVER;
}

/*
 * [owner] Until when to sleep. Timers that come thick and fast are met in groups: a sleep that follows
 * on another lasts COALESCE at least. One that comes alone is met to the point.
 */
static hilo_time sleep_deadline(struct hilo_loop *loop, bool watch)
{
	hilo_time deadline = hilo__timers_settle(&loop->timers), now = hilo__clock_now();
	hilo_time limit = watch ? watch_limit(loop) : HILO_FOREVER;

	if (deadline < now + COALESCE && now - loop->slept_at < 3 * COALESCE)
		deadline = now + COALESCE;
	loop->slept_at = now;
	if (loop->starved && limit > now + WATCH_TICK)
		limit = now + WATCH_TICK;
	return deadline < limit ? deadline : limit;
}

/* [owner] The last look before sleep, after the park word was set: P1. */
static bool nothing_came(struct hilo_loop *loop)
{
	return hilo__inbox_is_empty_seq_cst(&loop->inbox) && hilo__inbox_is_empty_seq_cst(&loop->pinned) &&
	       hilo__inbox_is_empty_seq_cst(&loop->calls) &&
	       load_seq_cst(&loop->runtime->phase) != PHASE_STOPPED; /* P1 */
}

/* [any] Claim the sleep of @loop (P2) and end it. */
static bool loop_wake(struct hilo_loop *loop)
{
	uint32_t sleeping = PARK_SLEEPING;

	if (load_seq_cst(&loop->park) != PARK_SLEEPING ||	 /* P1 */
	    !cas_seq_cst(&loop->park, &sleeping, PARK_NOTIFIED)) /* P2 */
		return false;
	hilo__poller_wake(&loop->poller);
	return true;
}

/* [worker] Have the watcher, if there is one, look at who runs: it may sleep without a limit. False: none. */
static bool watcher_rouse(struct hilo_runtime *runtime)
{
	uint32_t watcher = load_seq_cst(&runtime->idle.watcher); /* P3 */

	if (watcher)
		(void)loop_wake(
			runtime->loops[watcher - 1]); /* else it is awake, and looks before it sleeps */
	return watcher != 0;
}

/* [worker about to sleep] Take the part of an idle worker: true, to watch. The spare one always does. */
static bool sleep_watching(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;

	if (loop->spare)
		return true;
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
	(void)xchg_seq_cst(&loop->park, PARK_SLEEPING); /* P1 */
	if (nothing_came(loop)) {
		watch = sleep_watching(loop);
		stat_add(&loop->stats.sleeps, 1);
		deadline = sleep_deadline(loop, watch);
		store_seq_cst(&loop->sleeps_until, deadline); /* P3 */
		(void)hilo__poller_wait(&loop->poller, deadline);
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

	if (loop->countdown == 0 || loop_has_news(loop))
		return NULL;
	if (loop->spare) {
		task = spare_look_round(loop);
	} else if (idle_search_begin(idle)) {
		task = search_others(loop);
		idle_search_end(idle);
	}
	if (!task && !loop_has_news(loop))
		worker_sleep(loop);
	loop->idle_cycles = (loop->idle_cycles * 3 + (cycles_now() - begin)) / 4;
	loop->turn_cycles = cycles_now();
	return task;
}

/* [worker] Somebody else is asleep who will wake by himself within two ticks, and look around then. */
static bool somebody_wakes_soon(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	hilo_time now = hilo__clock_now();

	for (unsigned i = 0; i < runtime->workers; i++) { /* not the spare: it takes from the stuck only */
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
	if (!load_seq_cst(&runtime->idle.spare_ticking)) /* P3 */
		hilo__loop_notify(runtime->loops[runtime->workers]);
	/* A lone worker is watched by the spare alone; the spare itself by any worker. */
	if ((runtime->workers > 1 || loop->spare) && !load_seq_cst(&runtime->idle.ticking) && /* P3 */
	    idle_sleepers(&runtime->idle) && !somebody_wakes_soon(loop) && !watcher_rouse(runtime))
		(void)hilo__worker_wake_one(runtime, loop);
}

void hilo__loop_notify(struct hilo_loop *loop)
{
	(void)loop_wake(loop);
}

bool hilo__worker_wake_one(struct hilo_runtime *runtime, struct hilo_loop *from)
{
	for (unsigned word = 0; word * 64 < runtime->workers; word++) {
		uint64_t mask = load_relaxed(&runtime->idle.mask[word]); /* relaxed: the park word decides */

		for (; mask; mask &= mask - 1) {
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(mask);

			if (!loop_wake(runtime->loops[index]))
				continue;
			stat_add(&from->stats.wakes, 1);
			return true;
		}
	}
	return false;
}
