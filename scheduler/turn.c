/* SPDX-License-Identifier: MIT */
/*
 * turn.c - one turn of a loop, on its thread's own stack: callbacks, timers, descriptors, what came in from
 * elsewhere, loops that it stands in for; and what is moved between its queues so that none starves.
 */
#include "scheduler/worker.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/spare.h"
#include "scheduler/standin.h"

/* Work for less than this is not worth a wake-up: it costs the waker 6 to 11 us (docs/design/scheduling.md). */
#define WAKE_WORK_US 40
#define WAKE_RUN_NS 200
#define TIMERS_PER_TURN 256
/* Few at a time: whatever is woken next waits for them. */
#define FAIR_US 1000
#define FAIR_TASKS 12
#define POLLS_PER_TURN 128
/* A task that found no stack tries again so often, or when one came back here. */
#define STARVED_US 1000
/* With more than that in the ring it has seven of eight choices. */
#define RING_LONG 8
/* However full the ring is, what waits to get into it is looked at so often. */
#define DRAIN_US 1000

/*
 * A turn is TURN_US of work, or twice that with the poller's calls, in which the kernel does what tasks have started:
 * the more of that in one call the less it costs, and the longer it is until the core is offered (share.h).
 */
static void loop_measure(struct hilo_loop *loop)
{
	uint64_t now = cycles_now();
	unsigned ran = loop->budget - loop->countdown;
	uint64_t turn = TURN_US * hilo__cycles_per_us();

	if (ran) {
		uint64_t run = (now - loop->turn_cycles) / ran, work = (now - loop->work_cycles) / ran;

		loop->run_least = run < loop->run_last ? run : loop->run_last;
		loop->run_last = run;
		loop->run_cycles = (loop->run_cycles + (run / 2 > work ? run / 2 : work)) / 2;
	}
	loop->turn_cycles = now;
	loop->work_cycles = now;
	store_relaxed(&loop->turns, load_relaxed(&loop->turns) + 1); /* relaxed: a hint for those who look */
	loop->budget = TURN_TASKS;
	if (loop->run_cycles * TURN_TASKS > turn)
		loop->budget = (unsigned)(turn / (loop->run_cycles + 1)) + 1;
	loop->countdown = loop->budget;
}

/* [owner] Whether it is worth trying. */
static bool starved_may_retry(struct hilo_loop *loop)
{
	uint64_t put = load_relaxed(&loop->stats.fibers_put); /* relaxed: own value */

	if (put == loop->starved_put &&
	    loop->turn_cycles - loop->starved_cycles < STARVED_US * hilo__cycles_per_us())
		return false;
	loop->starved_put = put;
	loop->starved_cycles = loop->turn_cycles;
	return true;
}

/* [owner] Tasks that found no stack: again, or, when nobody holds one that could come free, the end. */
static HILO__COLD void loop_retry_starved(struct hilo_loop *loop)
{
	struct link *link = starved_may_retry(loop) ? hilo__inbox_take_fifo(&loop->starved) : NULL;

	while (link) {
		struct hilo_task *task = hilo__link_task(link);

		link = link->next;
		if (hilo__scheduler_fibers(loop->runtime) == 0)
			hilo__task_finish(task, -ENOMEM);
		else
			worker_requeue(loop, task);
	}
}

/* [owner] From a list, oldest first, into the ring, half of it at most; the rest is the backlog. */
void hilo__worker_take_list(struct hilo_loop *loop, struct link *first)
{
	for (unsigned n = 0; first && n < RING_CAP / 2; n++) {
		struct link *next = first->next;

		loop_push_ring(loop, hilo__link_task(first));
		first = next;
	}
	/* Nobody but the owner fills the backlog, and it is empty now. */
	if (first)
		hilo__inbox_fill(&loop->backlog, first);
}

/* [owner] Fresh tasks that had no room, newest first, back into the deque: a quarter of it. */
void hilo__worker_take_fresh(struct hilo_loop *loop)
{
	struct link *first = hilo__inbox_take_all(&loop->fresh);
	struct link *some[DEQUE_CAP / 4];
	unsigned n = 0;

	for (; first && n < array_size(some); first = first->next)
		some[n++] = first;
	if (first)
		hilo__inbox_fill(&loop->fresh, first);
	while (n > 0)
		(void)hilo__deque_push(&loop->deque, hilo__link_task(some[--n]));
}

/* [owner] Where thieves see them. */
static HILO__NOINLINE void loop_gather_special(struct hilo_loop *loop)
{
	loop_expect_special(loop);
	(void)hilo__queue_gather(&loop->pinned);
	(void)hilo__queue_gather(&loop->high);
	(void)hilo__queue_gather(&loop->low);
}

void hilo__worker_drain(struct hilo_loop *loop)
{
	if (HILO__UNLIKELY(!hilo__loop_is_ordinary(loop)))
		loop_gather_special(loop);
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->fresh)) &&
	    hilo__deque_size(&loop->deque) <= DEQUE_CAP / 4)
		hilo__worker_take_fresh(loop);
	/*
	 * So much is queued already that moving more would only be moved back. Now and then it is moved
	 * all the same: tasks that are always ready would keep the others out for ever.
	 */
	if (hilo__ring_size(&loop->ring) > RING_CAP / 4 &&
	    loop->turn_cycles - loop->drain_cycles < DRAIN_US * hilo__cycles_per_us())
		return;
	loop->drain_cycles = loop->turn_cycles;
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->backlog)))
		hilo__worker_take_list(loop, hilo__inbox_take_all(&loop->backlog));
	else if (!hilo__inbox_is_empty(&loop->inbox))
		hilo__worker_take_list(loop, hilo__inbox_take_fifo(&loop->inbox));
}

/*
 * [owner] Newest first is the order of the deque: it keeps trees of tasks small and caches warm. So
 * that a steady stream of new tasks starves none, the oldest go to the ring, half of them but a dozen
 * at most, when the deque was not found empty for FAIR_US.
 */
static void loop_be_fair(struct hilo_loop *loop)
{
	int64_t queued = hilo__deque_size(&loop->deque);
	struct link *waiting;
	struct hilo_task *oldest;

	if (queued == 0) {
		loop->fair_cycles = loop->turn_cycles;
		return;
	}
	if (loop->turn_cycles - loop->fair_cycles < FAIR_US * hilo__cycles_per_us())
		return;
	loop->fair_cycles = loop->turn_cycles;
	/* Those that had no room in the deque have waited longest. */
	waiting = hilo__inbox_take_all(&loop->fresh);
	for (int n = 0; waiting && n < FAIR_TASKS; n++) {
		struct link *next = waiting->next;

		loop_push_ring(loop, hilo__link_task(waiting));
		waiting = next;
	}
	if (waiting)
		hilo__inbox_fill(&loop->fresh, waiting);
	for (int64_t n = 0; n < (queued + 1) / 2 && n < FAIR_TASKS; n++) {
		oldest = hilo__deque_pop_oldest(&loop->deque);
		if (!oldest)
			break;
		loop_push_ring(loop, oldest);
	}
}

/* [owner] Timers that are due wake their tasks into our ring, or queue their callbacks. */
static void loop_fire_timers(struct hilo_loop *loop)
{
	unsigned fired;

	if (hilo__timers_next(&loop->timers) == HILO_FOREVER)
		return;
	fired = hilo__timers_expire(&loop->timers, hilo__clock_now(), TIMERS_PER_TURN);
	stat_add(&loop->stats.timers, fired);
}

static void loop_poll(struct hilo_loop *loop)
{
	/* A ring is looked at in each turn: it is memory, and what was started since the last one goes to it. */
	if (hilo__poller_armed(&loop->poller) == 0 ||
	    (!hilo__poller_has_news(&loop->poller) &&
	     loop->turn_cycles - loop->poll_cycles < TURN_US * hilo__cycles_per_us()))
		return;
	loop->poll_cycles = loop->turn_cycles;
	stat_add(&loop->stats.polls, 1);
	TRACE_EVENT(loop->trace, TRACE_POLL, 0, 0);
	(void)hilo__poller_reap(&loop->poller, POLLS_PER_TURN, POLL_OWNER);
	loop->work_cycles = cycles_now();
}

void hilo__worker_turn(struct thread *self, struct hilo_loop *loop)
{
	loop_measure(loop);
	hilo__loop_run_calls(self, loop);
	loop_fire_timers(loop);
	loop_poll(loop);
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->starved)))
		loop_retry_starved(loop);
	hilo__worker_drain(loop);
	loop->ring_is_long = hilo__ring_size(&loop->ring) > RING_LONG;
	if (HILO__UNLIKELY(loop->standing))
		hilo__standin_serve(loop);
	if (HILO__UNLIKELY(loop->spare))
		hilo__spare_turn(loop);
	loop_be_fair(loop);
	hilo__worker_look(loop);
}

/*
 * [owner] Wake somebody if what is queued here is worth it: work for 40 us, in pieces longer than it
 * takes to move one to another core. Shorter work is found by the watcher. The average of a turn in
 * which a task has spawned all the others says little of those: hence the lesser of two.
 */
void hilo__worker_look(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;
	uint64_t queued, us = hilo__cycles_per_us();

	if (!idle_sleepers(idle) || load_relaxed(&idle->searching)) /* relaxed: hints */
		return;
	if (loop->run_least * 1000 < WAKE_RUN_NS * us)
		return;
	queued = hilo__loop_queued(loop);
	if (queued && queued * loop->run_least >= WAKE_WORK_US * us)
		(void)hilo__worker_wake_one(loop->runtime, loop);
}
