/* SPDX-License-Identifier: MIT */
/*
 * fork_locks.c - in debug mode: what a fork locks ends in it, and what its ancestors have is not its own.
 *
 * A lock belongs to a task, so a fork that runs on its parent's stack could unlock what the parent has, and leave it
 * what it has locked itself: both go wrong as soon as it is stolen. In a region that is checked each join comes to the
 * library, as in one that is measured, and runs the fork from here, so that its beginning and its end are seen. All
 * locks that are taken have numbers that grow (sync/order.c): those from before its beginning are its ancestors', those
 * from after it that its task still has at its end it has left behind.
 *
 * relaxed: a task compares the number with those of the locks that it has taken itself.
 */
#include "scheduler/fork.h"

#include "scheduler/scheduler.h"

atomic(uint64_t) hilo__locks_taken;
atomic(locks_left_fn) hilo__locks_left;

HILO__COLD void hilo__fork_check_locks(const struct forks *forks, const void *run)
{
	locks_left_fn left = load_relaxed(&hilo__locks_left); /* relaxed: as above */

	if (left)
		left(thread_self()->task, forks->since, run);
}

HILO__COLD void hilo__fork_run_checked(struct forks *forks, struct hilo_fork *head, struct hilo_fork *fork)
{
	uint64_t since = forks->since;
	__typeof__(fork->run) run = fork->run;

	if (head == fork)
		fork_set_free(fork);
	forks->since = load_relaxed(&hilo__locks_taken); /* relaxed: as above */
	(void)run(forks_face(forks), head, fork);
	hilo__fork_check_locks(forks, (const void *)(uintptr_t)run);
	forks->since = since;
}

uint64_t hilo__fork_locks_since(const struct thread *self)
{
	const struct forks *forks = hilo__fork_region_of(self);

	return forks ? forks->since : 0;
}
