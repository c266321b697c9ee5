/* SPDX-License-Identifier: MIT */
/* scope.c - which requests to stop a task has to obey. The rules are in scope.h. */
#include "scheduler/scope.h"

#include "scheduler/base/panic.h"
#include "scheduler/scheduler.h"

void hilo__scope_enter(struct scope *scope, bool shields)
{
	struct thread *self = thread_self();

	scope->task = self->task;
	scope->shields = shields;
	scope->depth = self->task->shield;
	atomic_setup(&scope->fired, false);
	scope->waited = 0;
	scope->outer = self->fiber->scopes;
	self->fiber->scopes = scope;
}

void hilo__scope_leave(struct scope *scope)
{
	struct thread *self = thread_self();

	if (self->task != scope->task || self->fiber->scopes != scope)
		HILO__PANIC("a scope is left by another task, or before one that was entered later");
	self->fiber->scopes = scope->outer;
	if (!scope->shields && MUTANT(140, scope_has_fired(scope), false))
		(void)task_state_uncancel(&scope->task->state);
}

void hilo__scope_fire(struct scope *scope, uint8_t reason)
{
	/* Pairs with itself: one of several who come at once. For the task: P1. */
	if (MUTANT(151, xchg_acq_rel(&scope->fired, true), load_acquire(&scope->fired)))
		return;
	if (scope->shields)
		hilo__task_nudge(scope->task);
	else
		(void)hilo__task_cancel(scope->task, reason);
	MUTANT(151, (void)0, store_release(&scope->fired, true)); /* P1: before, not now */
}

/* [task] The first wait that ends because of @scope; outside of a wait there is none. */
static void scope_note(struct scope *scope, struct fiber *fiber)
{
	if (scope->waited)
		return;
	scope->waited = (uint8_t)load_relaxed(&fiber->wait.kind); /* relaxed: the task's own */
	scope->object = load_relaxed(&fiber->wait.object);	  /* relaxed: as above */
}

bool hilo__task_must_stop(struct hilo_task *task)
{
	struct fiber *fiber = load_relaxed(&task->fiber); /* relaxed: its own */
	unsigned depth = task->shield;

	for (struct scope *scope = fiber ? fiber->scopes : NULL; scope; scope = scope->outer) {
		bool fired = load_acquire(&scope->fired); /* P1 */

		if (scope->depth != depth || (scope->shields && !fired))
			return false;
		if (!scope->shields && fired) {
			scope_note(scope, fiber);
			return true;
		}
	}
	return depth == 0;
}
