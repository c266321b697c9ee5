/* SPDX-License-Identifier: MIT */
/*
 * local.c - task-local values as users see them. The chains are in scheduler/locals.h.
 *
 * P1  A context is entered by a CAS that acquires, and left by a store that releases.
 *
 * Whoever runs in a context does so with a slot that is the same as outside. A token has to tell the two apart:
 * so a context has a value of its own in it, which says which one it is.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/local.h>

#include <errno.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/fork.h"
#include "scheduler/locals.h"

/* What a hilo_local_token holds. */
struct token {
	const hilo_local *local; /* NULL: it was used */
	struct binding **slot;	 /* of who has set it: to tell, not to look into */
	void *context;		 /* that he ran in; likewise */
	uint64_t number;	 /* of the callback or call that it was; a task has none */
	struct binding *back;
	struct local_value *before;
};

_Static_assert(sizeof(struct token) <= sizeof(hilo_local_token), "the caller's place is large enough");

static const hilo_local context_key = HILO_LOCAL("context", NULL, NULL);

static void *chain_get(const struct binding *chain, const hilo_local *local)
{
	struct local_value *value = hilo__locals_find(chain, local);

	return value ? value->data : local->initial;
}

void *hilo_local_get(const hilo_local *local)
{
	return local ? chain_get(*locals_slot(thread_self()), local) : NULL;
}

/* The slot of whoever runs; of a plain thread, once something is there that will empty it. NULL: no memory. */
static struct binding **slot_to_fill(void)
{
	struct thread *self = thread_self();

	if (!self->loop && !self->closing && !hilo__thread_record(self))
		return NULL;
	return locals_slot(self);
}

/* Callbacks share the slot of their thread, one after the other. */
static uint64_t slot_number(struct binding *const *slot)
{
	struct thread *self = thread_self();

	return slot == &self->locals ? self->locals_number : 0;
}

int hilo_local_set(const hilo_local *local, void *value, hilo_local_token *place)
{
	struct token *token = (struct token *)(void *)place;
	struct binding **slot;
	int rc;

	if (!local)
		return hilo_fail(-EINVAL, "hilo_local_set: local is NULL");
	if (HILO__UNLIKELY(hilo__fork_region_of(thread_self()) != NULL))
		return hilo_fail(-EPERM,
				 "hilo_local_set: a fork has the values of its region, and sets none");
	slot = slot_to_fill();
	if (!slot)
		return -ENOMEM;
	rc = hilo__locals_set(slot, local, value, local->drop, token ? &token->back : NULL,
			      token ? &token->before : NULL);
	if (rc == 0 && token) {
		token->local = local;
		token->slot = slot;
		token->context = chain_get(*slot, &context_key);
		token->number = slot_number(slot);
	}
	return rc;
}

int hilo_local_reset(hilo_local_token *place)
{
	struct token *token = (struct token *)(void *)place;
	struct binding **slot = locals_slot(thread_self());
	const hilo_local *local;

	if (!token)
		return hilo_fail(-EINVAL, "hilo_local_reset: token is NULL");
	if (!token->local)
		return HILO_EINVALSTATE;
	if (hilo__fork_region_of(thread_self()) || token->slot != slot ||
	    token->number != slot_number(slot) || token->context != chain_get(*slot, &context_key))
		return hilo_fail(-EINVAL,
				 "hilo_local_reset: %s was set by another task, callback, thread or context",
				 token->local->name);
	local = token->local;
	token->local = NULL; /* before: a value that is dropped may do anything */
	hilo__locals_restore(slot, local, token->back, token->before);
	return 0;
}

struct hilo_context {
	atomic(bool) entered;
	struct binding *chain;
};

hilo_context *hilo_context_copy(void)
{
	hilo_context *context = hilo__malloc(sizeof(*context));

	if (!context)
		return NULL;
	atomic_setup(&context->entered, false);
	context->chain = locals_inherit(thread_self());
	if (hilo__locals_set(&context->chain, &context_key, context, NULL, NULL, NULL) < 0) {
		hilo_context_free(context);
		return NULL;
	}
	return context;
}

/* Exchange what whoever runs has for what @context has. */
static void context_swap(hilo_context *context, struct binding **slot)
{
	struct binding *chain = *slot;

	*slot = context->chain;
	context->chain = chain;
}

int hilo_context_run(hilo_context *context, int (*fn)(void *arg), void *arg)
{
	struct binding **slot = slot_to_fill();
	bool no = false;
	int rc;

	if (!context || !slot)
		return -ENOMEM;
	if (!fn)
		return hilo_fail(-EINVAL, "hilo_context_run: fn is NULL");
	if (!cas_acquire(&context->entered, &no, true)) /* P1 */
		return hilo_fail(-EBUSY, "hilo_context_run: somebody runs in this context");
	context_swap(context, slot);
	rc = fn(arg);
	context_swap(context, slot); /* a task's slot stays where it is, whichever thread runs it */
	store_release(&context->entered, false); /* P1 */
	return rc;
}

void hilo_context_free(hilo_context *context)
{
	if (!context)
		return;
	hilo__locals_drop(&context->chain);
	hilo__free(context);
}
