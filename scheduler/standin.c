/* SPDX-License-Identifier: MIT */
/* standin.c - taking from another loop: half of its queues, or, if its thread is held, all that waits there. */
#include "scheduler/standin.h"

#include "scheduler/base/clock.h"

#define STEAL_MAX 64

bool hilo__loop_has_news(struct hilo_loop *loop)
{
	return !hilo__inbox_is_empty(&loop->inbox) || !hilo__inbox_is_empty(&loop->backlog) ||
	       !hilo__inbox_is_empty(&loop->fresh) || !queue_is_empty(&loop->pinned) ||
	       loop_has_calls(loop) || !hilo__worker_is_empty(loop);
}

struct hilo_task *hilo__steal_half(struct hilo_loop *loop, struct hilo_loop *victim)
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
	TRACE_EVENT(loop->trace, TRACE_STEAL, victim->index, n);
	return task;
}

void hilo__sighting_update(struct sighting *seen, struct hilo_loop *victim, uint64_t now)
{
	/* relaxed: hints, all of them */
	uint64_t tick = load_relaxed(&victim->tick);
	uint64_t steps = 2 * tick + (uint64_t)load_relaxed(&victim->ring.tail) +
			 (uint64_t)load_relaxed(&victim->deque.bottom);
	uint64_t run = 1 + tick + load_relaxed(&victim->stats.sleeps); /* a sleep between two looks counts */
	bool idle = load_relaxed(&victim->park) != PARK_RUNNING;

	if (steps != seen->steps || idle) {
		seen->steps = steps;
		seen->still = now;
	}
	if (run != seen->run || idle) {
		seen->run = idle ? 0 : run; /* 0: whoever wakes up now was not held before */
		seen->held = now;
	}
}

/* [searcher] Tasks that have waited in a list of the loop's: one of its lists. */
static void stand_in_lists(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct link *chain = hilo__inbox_take_all(&victim->fresh);

	if (chain)
		hilo__inbox_fill(&loop->fresh, chain); /* ours is empty: the caller has looked for news */
	chain = hilo__inbox_take_all(&victim->backlog);
	if (!chain)
		chain = hilo__inbox_take_fifo(&victim->inbox);
	if (chain)
		hilo__worker_take_list(loop, chain);
	if (!queue_is_empty(&victim->pinned))
		hilo__queue_move(&victim->pinned, &loop->pinned);
}

#ifdef HILO_TESTING
bool hilo__nobody_stands_in;
#else
#define hilo__nobody_stands_in false
#endif

struct hilo_task *hilo__stand_in(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task;

	if (hilo__nobody_stands_in)
		return NULL;
	task = xchg_acquire(&victim->slot, NULL); /* pairs with the exchange that filled it */
	if (task) {
		TRACE_EVENT(loop->trace, TRACE_STEAL, victim->index, 1);
		return task;
	}
	stand_in_lists(loop, victim);
	if (hilo__timers_next(&victim->timers) != HILO_FOREVER)
		(void)hilo__timers_try_expire(&victim->timers, hilo__clock_now(), STANDIN_BATCH);
	if (hilo__poller_armed(&victim->poller))
		(void)hilo__poller_reap(&victim->poller, STANDIN_BATCH);
	if (loop_has_calls(victim))
		loop->held = victim;
	return NULL;
}
