/* SPDX-License-Identifier: MIT */
/*
 * loop.c - making and ending a loop, and its callbacks.
 *
 * Callbacks run one after the other, in the order in which they were queued, whoever runs them: the
 * owner in its turn, or a worker that stands in for one whose thread is held. The word `calling` sees
 * to that. A callback that holds its own thread therefore holds up those behind it, and nothing else.
 *
 * P1  `calling` is taken with acquire and given back with seq_cst: the next callback sees what the last
 *     one did, whichever thread ran it.
 * P2  An owner does not stay awake for callbacks that another thread is running: it sets its park word,
 *     then reads `calling`, then goes to sleep in spite of them. The other one gives `calling` back,
 *     then looks whether some have come meanwhile, then reads the park word; all seq_cst. So either the
 *     owner sees that it is free, or the other one sees that the owner sleeps and wakes it.
 */
#include "scheduler/loop.h"

#include <errno.h>
#include <sched.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"
#include "scheduler/fork.h"
#include "scheduler/forked.h"
#include "scheduler/scheduler.h"
#include "scheduler/worker.h"

/* A first guess that makes a new runtime spread its work at once; measured from the first turn on. */
#define FIRST_RUN_US 20

static void loop_init_owner(struct hilo_loop *loop)
{
	loop->countdown = 1;
	loop->special = hilo__loop_is_watched(loop);
	loop->fiber_main = hilo__loop_tells(loop) ? hilo__fiber_main_told : hilo__fiber_main;
	loop->budget = 1;
	loop->turn_cycles = cycles_now();
	loop->work_cycles = loop->turn_cycles;
	loop->run_cycles = FIRST_RUN_US * hilo__cycles_per_us();
	loop->run_last = loop->run_cycles;
	loop->run_least = loop->run_cycles;
	loop->idle_cycles = 10 * hilo__cycles_per_us();
	random_init(&loop->random, hilo__random_seed(), loop->index);
#ifdef HILO_TESTING
	if (getenv("HILO_TEST_SEED")) {
		loop->chaos = !getenv("HILO_TEST_NATURAL");
		random_init(&loop->random, strtoull(getenv("HILO_TEST_SEED"), NULL, 0), loop->index);
	}
#endif
}

static void loop_init_shared(struct hilo_loop *loop)
{
	hilo__inbox_init(&loop->inbox);
	hilo__inbox_init(&loop->backlog);
	hilo__inbox_init(&loop->fresh);
	hilo__inbox_init(&loop->starved);
	queue_init(&loop->pinned);
	queue_init(&loop->high);
	queue_init(&loop->low);
	queue_init(&loop->calls);
	atomic_setup(&loop->calling, 0);
	spin_init(&loop->ties_lock);
	list_init(&loop->ties);
	atomic_setup(&loop->sleeps_until, HILO_FOREVER);
	hilo__deque_init(&loop->deque);
	hilo__ring_init(&loop->ring);
	hilo__timers_init(&loop->timers, hilo__clock_now());
}

int hilo__loop_init(struct hilo_loop *loop, struct hilo_runtime *runtime, unsigned index)
{
	int rc;

	loop->runtime = runtime;
	loop->index = index;
	loop->spare = index >= runtime->workers;
	loop->host = loop->spare ? runtime->loops[index % runtime->workers] : loop;
	loop->slept = loop->spare; /* before it runs anything it sees to it that another one is on duty */
	loop_init_owner(loop);
	loop_init_shared(loop);
	loop->sightings = hilo__calloc(runtime->limit, sizeof(*loop->sightings));
	if (!loop->sightings)
		return -ENOMEM;
	loop->heap = hilo__heap_lease();
	if (!loop->heap) {
		hilo__free(loop->sightings);
		return -ENOMEM;
	}
	rc = hilo__poller_init(&loop->poller, runtime->is_ring);
	if (rc < 0) {
		hilo__heap_return(loop->heap);
		hilo__free(loop->sightings);
	}
	return rc;
}

void hilo__loop_tie(struct hilo_loop *loop, struct tie *tie)
{
	list_init(&tie->link);
	spin_lock(&loop->ties_lock);
	list_add_tail(&loop->ties, &tie->link);
	spin_unlock(&loop->ties_lock);
}

void hilo__loop_untie(struct hilo_loop *loop, struct tie *tie)
{
	spin_lock(&loop->ties_lock);
	list_del(&tie->link);
	spin_unlock(&loop->ties_lock);
}

/* [closing thread] The oldest tie, now nobody's; NULL: none. */
static struct tie *loop_take_tie(struct hilo_loop *loop)
{
	struct list *first;

	spin_lock(&loop->ties_lock);
	first = list_pop_first(&loop->ties);
	spin_unlock(&loop->ties_lock);
	return first ? container_of(first, struct tie, link) : NULL;
}

bool hilo__loop_drop(struct hilo_loop *loop, hilo_time deadline)
{
	struct link *link;
	struct tie *tie;
	bool any = false;

	/* Timers that are still armed become calls. */
	while (hilo__timers_expire(&loop->timers, HILO_FOREVER, 1024))
		;
	(void)hilo__queue_gather(&loop->calls);
	while ((link = hilo__queue_take(&loop->calls))) {
		struct call *call = container_of(link, struct call, link);

		call->drop(call);
		any = true;
	}
	/* After the calls: callbacks that were due come before those that were not. */
	while ((tie = loop_take_tie(loop))) {
		tie->cut(tie);
		any = true;
	}
	/* Watches that nobody has ended: hilo_fd_unwatch, which may come later, finds them cancelled. */
	any |= hilo__poller_abandon(&loop->poller, deadline);
	return any;
}

void hilo__loop_fini(struct hilo_loop *loop)
{
	/* A thread that has posted here may still be on its way out: P2 of task.c. */
	while (load_acquire(&loop->visitors))
		(void)sched_yield();
	hilo__poller_fini(&loop->poller);
	hilo__forks_drain(loop);
	hilo__stack_cache_drain(&loop->stacks);
	hilo__heap_return(loop->heap);
	hilo__free(loop->sightings);
}

void hilo__loop_call(struct hilo_loop *loop, struct call *call)
{
	hilo__loop_post(loop, &loop->calls.inbox, &call->link);
}

bool hilo__loop_uncall(struct hilo_loop *loop, struct call *call)
{
	bool found = hilo__queue_remove(&loop->calls, &call->link);

	/* P2 of queue.h. Not for the owner, who is awake. */
	if (thread_self()->loop != loop && !queue_is_empty_seq_cst(&loop->calls))
		hilo__loop_notify(loop);
	return found;
}

void hilo__loop_run_calls(struct thread *self, struct hilo_loop *loop)
{
	struct link *link;
	unsigned n;

	/* relaxed: spares only the exchange, which decides */
	if (queue_is_empty(&loop->calls) || load_relaxed(&loop->calling))
		return;
	if (self->loop->slept)
		hilo__worker_awake(self->loop); /* before: it may take its time */
	if (xchg_acquire(&loop->calling, 1))	/* P1 */
		return;
	self->calling = loop;
	/* Those that callbacks ask for come in the next turn, so that a chain of them starves nobody. */
	for (n = hilo__queue_gather(&loop->calls); n > 0 && (link = hilo__queue_take(&loop->calls)); n--) {
		struct call *call = container_of(link, struct call, link);

		call->run(call);
		forked_check("a callback that has ended");
	}
	self->calling = NULL;
	MUTANT(90, store_seq_cst(&loop->calling, 0), store_release(&loop->calling, 0));	    /* P1, P2 */
	if (MUTANT(91, self->loop != loop && !queue_is_empty_seq_cst(&loop->calls), false)) /* P2 */
		hilo__loop_notify(loop);
}
