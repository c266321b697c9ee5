/* SPDX-License-Identifier: MIT */
/*
 * fork_turn.c - a task that forks and joins for long lets its loop make a turn now and then.
 *
 * Like any task that computes it keeps its thread from timers, descriptors and what else waits there, until an idle
 * worker or a spare one stands in. But it comes to the library as soon as it is asked to: so the spare one on duty,
 * which looks each millisecond while somebody forks, calls for a turn where something waits, and the task gives way at
 * its next join. A server beside a long computation waits for a millisecond or two, not for a time slice.
 *
 * What it has forked waits for it, but for half of it, as the call is answered like a thief's: it is in a queue, and
 * goes on as soon as what waited was served, or is stolen with all of it. No task is queued for its forks, as when it
 * suspends for a reason of its own: that would be a new task at each turn, which forks, gives way and is queued in
 * turn, until the queues are full of parts of the one tree and a request stands in line behind a hundred of them. Only
 * who is bound to his loop, and cannot be stolen, or is measured does as always.
 */
#include "scheduler/fork.h"
#include "scheduler/scheduler.h"
#include "scheduler/standin.h"

bool hilo__fork_call_turns(struct hilo_loop *loop)
{
	struct hilo_runtime *runtime = loop->runtime;
	unsigned all = runtime_loops(runtime);
	bool some = false;

	for (unsigned i = 0; i < all; i++) {
		struct hilo_loop *victim = runtime->loops[i];
		struct forks *forks = victim == loop ? NULL : hilo__fork_region_in(victim);

		if (!forks)
			continue;
		some = true;
		if (hilo__standin_finds(victim)) {
			store_relaxed(&victim->turn_called, true); /* relaxed: a hint */
			forks_ask(forks);
		}
	}
	return some;
}

HILO__COLD void hilo__fork_turn(struct thread *self)
{
	store_relaxed(&self->loop->turn_called, false); /* relaxed: as above */
	hilo__leave_called(self);
}
