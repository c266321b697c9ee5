/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_SCOPE_H
#define HILO_SCHEDULER_SCOPE_H

/*
 * scope.h - sections of what a task does that make it stop by themselves (a timeout, a group whose child has
 * failed), and sections that keep requests to stop off until their grace is over.
 *
 * They lie on the task's stack and are linked from its fiber, innermost first. A request that a scope makes
 * is an ordinary one (task_state.h), which is taken back when the scope is left. Which of them a task has
 * to obey is decided by where it stands:
 *
 *	a request of a scope, or one from outside, which is the outermost, counts unless there is a shield
 *	further in: a shielding scope that has not expired, or a depth of task->shield that the scope
 *	did not have when it was entered
 *
 * So a timeout inside of a cleanup stops that cleanup, while the cancel that the cleanup is about does not.
 *
 * P1  Who fires a scope stores `fired`, then changes the task's state word (release). The task finds the
 *     request there (acquire: consume, end of a wait), then reads `fired`: if it sees the request it sees
 *     whose it is.
 */
#include "scheduler/fiber/fiber.h"
#include "scheduler/task.h"

struct scope {
	struct scope *outer;
	struct hilo_task *task;
	bool shields;	    /* keeps off what comes from further out */
	uint8_t depth;	    /* of task->shield when it was entered */
	atomic(bool) fired; /* has asked its task to stop; if it shields: does so no longer */
	uint8_t waited;	    /* the task's: enum wait_kind of the wait that has ended by that; 0: none has */
	const void *object; /* of that wait; may be gone */
};

/* [task] Enter @scope, which stays where it is until hilo__scope_leave. */
void hilo__scope_enter(struct scope *scope, bool shields);

/* [task] Leave the innermost scope, which nobody can fire any more, and take its request back. */
void hilo__scope_leave(struct scope *scope);

/* [any, while it is entered] Ask its task to stop, for @reason (reason.h), or end the shield. Once. */
void hilo__scope_fire(struct scope *scope, uint8_t reason);

/* [task] Whether the scope has fired. */
static inline bool scope_has_fired(struct scope *scope)
{
	return load_acquire(&scope->fired); /* P1 */
}

#endif /* HILO_SCHEDULER_SCOPE_H */
