/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_LOCALS_H
#define HILO_SCHEDULER_LOCALS_H

/*
 * locals.h - task-local values: a chain of bindings, newest first, that tasks share.
 *
 *	slot -> (user, 7) -> (trace, 3) -> (user, 5) -> NULL       the first binding of a key counts
 *
 * A task, a callback and a plain thread each have a slot. What is spawned gets the chain of whoever spawns
 * it, by one more reference on its first binding; a binding that may be shared is never changed. So to set a
 * value puts a binding in front, and to inherit all of them costs one atomic addition, and nothing if there
 * are none. When too many bindings are hidden by newer ones the chain is made anew without those.
 *
 * To go back to what was there before never asks for memory: whoever sets a value and wants to go back gets
 * the binding for that, too.
 *
 * Rejected: a copy of a table for each task. Spawning is what must be cheap; keys are few.
 *
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended. Who finds that
 *     he holds the only reference acquires, too, and may change the binding then.
 */
#include "scheduler/base/atomic.h"
#include "scheduler/task.h"
#include "scheduler/thread.h"

/* A value, shared by the bindings that show it. */
struct local_value {
	atomic(uint32_t) refs;
	void *data;
	void (*drop)(void *data);
};

struct binding {
	atomic(uint32_t) refs;
	unsigned hidden; /* bindings from here on that newer ones hide */
	const void *key;
	struct local_value *value; /* a reference; NULL: the key has no value */
	struct binding *next;	   /* a reference */
};

/* [any] The slot of whoever runs: a task, a callback, a plain thread. */
static inline struct binding **locals_slot(struct thread *self)
{
	return self->loop && self->task ? &self->task->locals : &self->locals;
}

/* [holder] One more reference on @chain, which may be NULL and is returned. */
static inline struct binding *locals_ref(struct binding *chain)
{
	if (HILO__UNLIKELY(chain != NULL))
		(void)add_relaxed(&chain->refs, 1); /* relaxed: the caller's own keeps it alive */
	return chain;
}

/* [any] What is spawned, or called later, by whoever runs now gets. */
static inline struct binding *locals_inherit(struct thread *self)
{
	return locals_ref(*locals_slot(self));
}

/* [owner of *@slot] Empty it; values that nobody else has are dropped. */
void hilo__locals_drop(struct binding **slot);

/* What runs with the values of somebody else: a callback, a call in an executor. */
struct locals_frame {
	struct binding *outer; /* what was in the slot */
	uint64_t number;       /* of the frame around this one: thread.h */
};

/* [any] Have @chain, which is taken over, in the slot until hilo__locals_leave. */
void hilo__locals_enter(struct locals_frame *frame, struct binding *chain);
void hilo__locals_leave(struct locals_frame *frame);

/* [owner] The value that @chain has for @key, borrowed; NULL: none. */
struct local_value *hilo__locals_find(const struct binding *chain, const void *key);

/*
 * [owner] Give @key the value @data, which is taken over, with @drop. With @ret_back a binding for the way back
 * is put there, and the value that was there before in *@ret_before: hilo__locals_restore. -ENOMEM.
 */
int hilo__locals_set(struct binding **slot, const void *key, void *data, void (*drop)(void *),
		     struct binding **ret_back, struct local_value **ret_before);

/* [owner] Consumes both: @key has the value @before (NULL: none) again. Never fails. */
void hilo__locals_restore(struct binding **slot, const void *key, struct binding *back,
			  struct local_value *before);

#endif /* HILO_SCHEDULER_LOCALS_H */
