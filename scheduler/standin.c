/* SPDX-License-Identifier: MIT */
/* standin.c - taking from another loop: half of its queues, or, if its thread is held, all that waits there. */
#include "scheduler/standin.h"

#include "scheduler/base/clock.h"
#include "scheduler/spare.h"

#define STEAL_MAX 64
/* Between two looks at a loop that we stand in for, while we have work of our own ... */
#define SERVE_US 1000
/* ... so many of them for one at what can be taken in bulk ... */
#define SERVES_PER_BULK 4
/* ... and for a try to make a thread when that has failed. */
#define SERVES_PER_RETRY 32

bool hilo__loop_has_news(struct hilo_loop *loop)
{
	return !hilo__inbox_is_empty(&loop->inbox) || !hilo__inbox_is_empty(&loop->backlog) ||
	       !hilo__inbox_is_empty(&loop->fresh) || !hilo__loop_is_ordinary(loop) || loop_has_calls(loop) ||
	       !hilo__worker_is_empty(loop);
}

bool hilo__standin_finds(struct hilo_loop *victim)
{
	return hilo__timers_next(&victim->timers) != HILO_FOREVER || hilo__poller_armed(&victim->poller) ||
	       !hilo__inbox_is_empty(&victim->starved) || hilo__loop_has_news(victim);
}

bool hilo__link_is_unbound(struct link *link)
{
	return !(hilo__link_task(link)->flags & TASK_PINNED);
}

/* [searcher] Half of those of one priority, the oldest. One that is bound bars those behind it. */
static int steal_priority(struct hilo_loop *loop, struct queue *from, struct queue *to,
			  struct hilo_task **ret)
{
	unsigned most = (queue_gathered(from) + 1) / 2, n;
	struct link *link, *next;

	if (HILO__LIKELY(!most))
		return 0;
	n = hilo__queue_take_some(from, most < STEAL_MAX ? most : STEAL_MAX, hilo__link_is_unbound, &link);
	if (!n)
		return 0;
	*ret = hilo__link_task(link);
	for (link = link->next; link; link = next) {
		next = link->next;
		loop_expect_special(loop);
		(void)hilo__inbox_push(&to->inbox, link);
	}
	return (int)n;
}

static int steal_fresh(struct hilo_loop *loop, struct hilo_loop *victim, struct hilo_task **ret)
{
	struct hilo_task *taken[STEAL_MAX];
	int n = hilo__deque_steal_many(&victim->deque, taken, STEAL_MAX);

	if (n <= 0)
		return 0;
	*ret = taken[0];
	for (int i = 1; i < n; i++)
		if (hilo__deque_push(&loop->deque, taken[i]) < 0)
			loop_push_ring(loop, taken[i]);
	return n;
}

struct hilo_task *hilo__steal_half(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task = NULL;
	int n = steal_priority(loop, &victim->high, &loop->high, &task);

	if (!n)
		n = hilo__ring_steal(&victim->ring, &loop->ring, &task);
	if (n <= 0)
		n = steal_fresh(loop, victim, &task);
	if (!n)
		n = steal_priority(loop, &victim->low, &loop->low, &task);
	if (!n)
		return NULL;
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
	uint64_t turn = 1 + load_relaxed(&victim->turns) + load_relaxed(&victim->stats.sleeps);
	bool idle = load_relaxed(&victim->park) != PARK_RUNNING;

	if (steps != seen->steps || idle) {
		seen->steps = steps;
		seen->still = now;
	}
	if (turn != seen->turn || idle) {
		seen->turn = idle ? 0 : turn; /* 0: whoever wakes up now was not held before */
		seen->held = now;
		seen->cpu = SIGHTING_NO_CPU;
		seen->is_held = false;
	}
}

/* [worker] Tasks that have waited in a list of the loop's: one of its lists. Where ours has some, they come first. */
static void stand_in_lists(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct link *chain;

	if (hilo__inbox_is_empty(&loop->fresh) && (chain = hilo__inbox_take_all(&victim->fresh)))
		hilo__inbox_fill(&loop->fresh, chain);
	if (hilo__inbox_is_empty(&loop->backlog)) {
		chain = hilo__inbox_take_all(&victim->backlog);
		if (!chain)
			chain = hilo__inbox_take_fifo(&victim->inbox);
		if (chain)
			hilo__worker_take_list(loop, chain);
	}
	for (chain = hilo__inbox_take_fifo(&victim->starved); chain;) {
		struct link *link = chain;

		chain = link->next;
		(void)hilo__inbox_push(&loop->starved, link);
	}
	if (hilo__loop_is_ordinary(victim))
		return;
	loop_expect_special(loop);
	hilo__queue_move(&victim->pinned, &loop->pinned);
	hilo__queue_move(&victim->high, &loop->high);
	hilo__queue_move(&victim->low, &loop->low);
}

/*
 * [worker] Whatever waits in @victim besides ring and deque. Timers and descriptors first: what they wake
 * is the most urgent, and if it is pinned it has to be in the loop's list when that is moved.
 */
static void standin_take(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task;

	if (hilo__timers_next(&victim->timers) != HILO_FOREVER)
		(void)hilo__timers_try_expire(&victim->timers, hilo__clock_now(), STANDIN_BATCH);
	if (hilo__poller_armed(&victim->poller))
		(void)hilo__poller_reap(&victim->poller, STANDIN_BATCH, POLL_GUEST);
	if (load_relaxed(&victim->slot)) {		  /* relaxed: spares the exchange */
		task = xchg_acquire(&victim->slot, NULL); /* pairs with the exchange that filled it */
		if (task) {
			TRACE_EVENT(loop->trace, TRACE_STEAL, victim->index, 1);
			loop_push_ring(loop, task);
		}
	}
	stand_in_lists(loop, victim);
	if (loop_has_calls(victim))
		loop->held = victim;
}

#ifdef HILO_TESTING
bool hilo__nobody_stands_in;
#else
#define hilo__nobody_stands_in false
#endif

/* [worker, no spare one] Nobody stands in for @victim but us or a spare one, or one that is held itself. */
static bool standin_is_wanted(struct hilo_loop *loop, struct hilo_loop *victim, uint64_t now)
{
	uint32_t standin = load_relaxed(&victim->standin); /* relaxed: a hint */
	struct sighting *seen;

	if (standin == 0 || standin == loop->index + 1 || standin > loop->runtime->workers)
		return true;
	seen = &loop->sightings[standin - 1];
	hilo__sighting_update(seen, loop->runtime->loops[standin - 1], now);
	return now - seen->held >= HELD_US * hilo__cycles_per_us();
}

void hilo__stand_in(struct hilo_loop *loop, struct hilo_loop *victim, uint64_t now)
{
	struct sighting *seen = &loop->sightings[victim->index];

	if (hilo__nobody_stands_in)
		return;
	if (loop->spare || standin_is_wanted(loop, victim, now)) {
		hilo__sighting_update(seen, victim, now);
		seen->stood = seen->turn;
		store_release(&victim->standin, loop->index + 1); /* pairs with hilo__standin_armed */
		loop->standing = true;
	}
	if (loop->spare && !victim->spare)
		loop->host = victim;
	standin_take(loop, victim);
}

HILO__COLD void hilo__standin_run_calls(struct hilo_loop *loop)
{
	struct hilo_loop *held = loop->held;

	loop->held = NULL;
	hilo__loop_run_calls(thread_self(), held);
}

/* [worker] The next loop from *@i on that we stand in for and that has made no turn; NULL: no more. */
static struct hilo_loop *standin_each(struct hilo_loop *loop, unsigned *i)
{
	uint64_t now = cycles_now();
	uint32_t ours = loop->index + 1;

	for (unsigned all = runtime_loops(loop->runtime); *i < all;) {
		struct hilo_loop *victim = loop->runtime->loops[(*i)++];
		struct sighting *seen = &loop->sightings[victim->index];

		if (load_relaxed(&victim->standin) != ours) /* relaxed: a hint */
			continue;
		hilo__sighting_update(seen, victim, now);
		if (seen->turn && seen->turn == seen->stood) /* no turn, and no sleep either */
			return victim;
		(void)cas_relaxed(&victim->standin, &(uint32_t){ours}, 0); /* relaxed: as above */
	}
	return NULL;
}

/* [worker] Take over from @victim what it would come to by itself: all but the bulk at each look. */
static void standin_look(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct hilo_task *task = NULL;

	standin_take(loop, victim);
	if (loop->serves % SERVES_PER_BULK == 0 || hilo__worker_is_empty(loop))
		task = hilo__steal_half(loop, victim);
	if (task)
		worker_requeue(loop, task);
	if (loop->held)
		hilo__standin_run_calls(loop);
}

HILO__COLD void hilo__standin_serve(struct hilo_loop *loop)
{
	struct hilo_loop *victim;
	unsigned i = 0;

	if (loop->turn_cycles - loop->serve_cycles < SERVE_US * hilo__cycles_per_us())
		return;
	loop->serve_cycles = loop->turn_cycles;
	loop->serves++;
	if (loop->spare && loop->serves % SERVES_PER_RETRY == 0)
		hilo__spare_retry(loop);
	loop->standing = false;
	while ((victim = standin_each(loop, &i))) {
		loop->standing = true;
		standin_look(loop, victim);
	}
}

void hilo__standin_armed(struct hilo_loop *loop, struct hilo_loop *armed)
{
	/* Pairs with the stores of who stands in: a spare one's loop may be young. */
	uint32_t standin = load_acquire(&armed->standin);

	if (armed != loop)
		hilo__loop_notify(armed);
	if (standin && !(loop && standin == loop->index + 1))
		hilo__loop_notify(armed->runtime->loops[standin - 1]);
}

hilo_time hilo__standin_next(struct hilo_loop *loop)
{
	hilo_time next = HILO_FOREVER;
	struct hilo_loop *victim;
	unsigned i = 0;

	loop->serve_cycles = 0; /* so that they are served as soon as it wakes */
	while ((victim = standin_each(loop, &i))) {
		hilo_time due = hilo__timers_settle(&victim->timers); /* pairs with hilo__standin_armed */

		if (due < next)
			next = due;
	}
	return next;
}
