/* SPDX-License-Identifier: MIT */
/*
 * loop.c - making and ending a loop, and its queue of callbacks.
 */
#include "scheduler/loop.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"
#include "scheduler/scheduler.h"

/* A first guess that makes a new runtime spread its work at once; measured from the first turn on. */
#define FIRST_RUN_US 20

static void loop_init_owner(struct hilo_loop *loop)
{
	loop->countdown = 1;
	loop->budget = 1;
	loop->turn_cycles = cycles_now();
	loop->run_cycles = FIRST_RUN_US * hilo__cycles_per_us();
	loop->idle_cycles = 10 * hilo__cycles_per_us();
	loop->calls_last = &loop->calls_first;
	loop->pinned_last = &loop->pinned_first;
	random_init(&loop->random, hilo__random_seed(), loop->index);
#ifdef HILO_TESTING
	if (getenv("HILO_TEST_SEED")) {
		loop->chaos = true;
		random_init(&loop->random, strtoull(getenv("HILO_TEST_SEED"), NULL, 0), loop->index);
	}
#endif
}

static void loop_init_shared(struct hilo_loop *loop)
{
	hilo__inbox_init(&loop->inbox);
	hilo__inbox_init(&loop->backlog);
	hilo__inbox_init(&loop->fresh);
	hilo__inbox_init(&loop->pinned);
	hilo__inbox_init(&loop->calls);
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
	loop->spare = index == runtime->workers;
	loop_init_owner(loop);
	loop_init_shared(loop);
	loop->sightings = hilo__calloc(runtime->all, sizeof(*loop->sightings));
	if (!loop->sightings)
		return -ENOMEM;
	loop->heap = hilo__heap_lease();
	if (!loop->heap) {
		hilo__free(loop->sightings);
		return -ENOMEM;
	}
	rc = hilo__poller_init(&loop->poller);
	if (rc < 0) {
		hilo__heap_return(loop->heap);
		hilo__free(loop->sightings);
	}
	return rc;
}

bool hilo__loop_drop(struct hilo_loop *loop)
{
	struct link *first;
	bool any = false;

	/* Timers that are still armed become calls. */
	while (hilo__timers_expire(&loop->timers, HILO_FOREVER, 1024))
		;
	hilo__inbox_append(&loop->calls, &loop->calls_last);
	while ((first = loop->calls_first)) {
		struct call *call = container_of(first, struct call, link);

		loop->calls_first = first->next;
		if (!loop->calls_first)
			loop->calls_last = &loop->calls_first;
		call->drop(call);
		any = true;
	}
	return any;
}

void hilo__loop_fini(struct hilo_loop *loop)
{
	/* A thread that has posted here may still be on its way out: P2 of task.c. */
	while (load_acquire(&loop->visitors))
		cpu_relax();
	/* Watches that nobody has ended: hilo_fd_unwatch, which may come later, finds them cancelled. */
	hilo__poller_abandon(&loop->poller);
	hilo__poller_fini(&loop->poller);
	hilo__stack_cache_drain(&loop->stacks);
	hilo__heap_return(loop->heap);
	hilo__free(loop->sightings);
}

void hilo__loop_call(struct hilo_loop *loop, struct call *call)
{
	hilo__loop_post(loop, &loop->calls, &call->link);
}

bool hilo__loop_uncall(struct hilo_loop *loop, struct call *call)
{
	hilo__inbox_append(&loop->calls, &loop->calls_last);
	for (struct link **at = &loop->calls_first; *at; at = &(*at)->next) {
		if (*at != &call->link)
			continue;
		*at = call->link.next;
		if (!*at)
			loop->calls_last = at;
		return true;
	}
	return false;
}
