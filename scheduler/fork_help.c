/* SPDX-License-Identifier: MIT */
/*
 * fork_help.c - when a task suspends with forks not joined, they become work for every worker; mostly not when it only
 * makes room for a turn (fork_turn.c).
 *
 * One task is queued for all of them. It takes the oldest and, before it runs that, queues the next one if there is
 * more: so there are no more of these tasks than workers want. It knows the block alone, and takes from whatever region
 * of its runtime that is of by then. One that is cancelled before it has begun does the same.
 */
#include "scheduler/fork_helper.h"

#include "scheduler/locals.h"
#include "scheduler/measure.h"

/* [any] @forks is of a region of our runtime, as far as can be told without taking something. */
static bool forks_are_ours(struct forks *forks, const struct hilo_runtime *runtime)
{
	return load_relaxed(&forks->runtime) ==
	       runtime; /* relaxed: a hint; compared when something is taken */
}

static void forks_call_help(struct thread *self, struct forks *forks);

/* [task] Take something from @forks and make this fiber ready to run it. NULL: there is nothing, or no memory. */
static struct hilo_fork *help_take(struct thread *self, struct forks *forks)
{
	unsigned kind = load_relaxed(&forks->kind); /* relaxed: compared when something is taken */
	struct hilo_loop *loop = self->loop;
	struct hilo_fork *fork;
	struct forks *own;

	/* Another region may have the block by now. */
	if (KIND_CLASS(kind) != self->task->stack_class || !forks_are_ours(forks, loop->runtime))
		return NULL;
	forks_help_looks(forks);
	own = forks_have_public(forks) ? hilo__forks_get(loop) : NULL;
	if (!own)
		return NULL;
	fork = hilo__forks_take(forks, loop->runtime, kind);
	if (!fork) {
		hilo__forks_put(loop, own);
		return NULL;
	}
	self->task->locals = locals_ref(forks->locals);
	hilo__fork_attach(own, self->fiber, loop->runtime, kind, forks->locals);
	return fork;
}

/* [task] Run the oldest fork of those of @arg, if any is left. */
static void help_run(void *arg)
{
	struct thread *self = thread_self();
	struct hilo_task *task = self->task;
	struct forks *forks = arg;
	struct hilo_fork *fork = help_take(self, forks);

	if (!fork)
		return;
	completion_ref(&task->done); /* for the join */
	/* relaxed: for reports */
	store_relaxed(&task->spawn_site, (const void *)(uintptr_t)fork->run);
	fork_set_thief(fork, task);
	if (forks_have_public(forks))
		forks_call_help(self, forks);
	hilo__fork_execute(fork);
}

/* A task that was queued for @arg, the forks of a task that suspended. */
static int help_entry(void *arg)
{
	thread_self()->task->destroy = NULL; /* it has begun */
	help_run(arg);
	return 0;
}

/*
 * It was cancelled before it could begin: as in fork_steal.c. Or its loop ends it, as it found no stack and nobody in
 * the runtime has one: so there are no forks either.
 */
static void help_not_begun(void *arg)
{
	if (thread_self()->task)
		hilo__fork_not_begun(thread_self()->task, help_run, arg);
}

/* [worker] Queue a task that will take from @forks; without memory for one the owner runs all at its joins. */
static void forks_call_help(struct thread *self, struct forks *forks)
{
	struct hilo_task *task;

	if (!forks_want_help(forks))
		return;
	task = hilo__fork_new_task(self->loop, help_entry, load_relaxed(&forks->kind),
				   0); /* relaxed: our own, or of what we have taken from */
	if (!task) {
		forks_help_looks(forks);
		return;
	}
	task->arg = forks;
	task->destroy = help_not_begun;
	hilo__task_start(self, task);
}

HILO__COLD bool hilo__fork_suspend(struct thread *self)
{
	struct forks *inner = load_relaxed(&self->fiber->forks); /* relaxed: our own, as those below */
	struct forks *forks;

	for (forks = inner; forks; forks = load_relaxed(&forks->outer)) { /* relaxed: as above */
		if (forks->measured)
			continue;
		hilo__fork_publish_all(forks);
		if (forks_have_public(forks))
			forks_call_help(self, forks);
	}
	if (HILO__LIKELY(!inner->measure))
		return false;
	measure_stop(inner->measure);
	return true;
}
