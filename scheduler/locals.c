/* SPDX-License-Identifier: MIT */
/* locals.c - the chains of task-local values; what they are is told in locals.h. */
#include "scheduler/locals.h"

#include <errno.h>

#include "scheduler/base/mem.h"

/* So many hidden bindings are borne before the chain is made anew. */
#ifdef HILO_EXPLORE
#define HIDDEN_MAX 2
#else
#define HIDDEN_MAX 8
#endif

static void value_unref(struct local_value *value)
{
	if (!value || MUTANT(157, sub_acq_rel(&value->refs, 1), sub_release(&value->refs, 1)) != 1) /* P1 */
		return;
	if (value->drop)
		value->drop(value->data);
	hilo__free(value);
}

static struct local_value *value_ref(struct local_value *value)
{
	if (value)
		(void)add_relaxed(&value->refs, 1); /* relaxed: a binding keeps it alive */
	return value;
}

static void binding_free(struct binding *binding)
{
	value_unref(binding->value);
	hilo__free(binding);
}

static void chain_unref(struct binding *chain)
{
	while (chain &&
	       MUTANT(156, sub_acq_rel(&chain->refs, 1), sub_release(&chain->refs, 1)) == 1) { /* P1 */
		struct binding *next = chain->next;

		binding_free(chain);
		chain = next;
	}
}

void hilo__locals_drop(struct binding **slot)
{
	struct binding *chain;

	while ((chain = *slot)) {
		*slot = NULL; /* before: the function that drops a value may ask for others, and set one */
		chain_unref(chain);
	}
}

void hilo__locals_enter(struct locals_frame *frame, struct binding *chain)
{
	struct thread *self = thread_self();
	struct binding **slot = locals_slot(self);

	frame->outer = *slot;
	frame->number = self->locals_number;
	*slot = chain;
	self->locals_number = ++self->locals_last;
}

void hilo__locals_leave(struct locals_frame *frame)
{
	struct binding **slot = locals_slot(thread_self());

	if (HILO__UNLIKELY(*slot != NULL))
		hilo__locals_drop(slot);
	*slot = frame->outer;
	/* A task may be on another thread now, and again once values were dropped: a number there means nothing. */
	thread_self()->locals_number = frame->number;
}

static const struct binding *chain_find(const struct binding *chain, const void *key)
{
	while (chain && chain->key != key)
		chain = chain->next;
	return chain;
}

struct local_value *hilo__locals_find(const struct binding *chain, const void *key)
{
	const struct binding *binding = chain_find(chain, key);

	return binding ? binding->value : NULL;
}

/* Put @binding, which is nobody else's, in front; takes the value over. */
static void chain_push(struct binding **slot, struct binding *binding, const void *key,
		       struct local_value *value)
{
	atomic_setup(&binding->refs, 1);
	binding->key = key;
	binding->value = value;
	binding->next = *slot;
	binding->hidden = *slot ? (*slot)->hidden + (chain_find(*slot, key) != NULL) : 0;
	*slot = binding;
}

/* The bindings of @chain that count, in the same order; NULL: no memory, or there are none. */
static struct binding *chain_compact(const struct binding *chain)
{
	struct binding *fresh = NULL, **end = &fresh;

	for (const struct binding *at = chain; at; at = at->next) {
		struct binding *copy;

		if (!at->value || chain_find(chain, at->key) != at)
			continue;
		copy = hilo__malloc(sizeof(*copy));
		if (!copy) {
			chain_unref(fresh);
			return NULL;
		}
		atomic_setup(&copy->refs, 1);
		copy->hidden = 0;
		copy->key = at->key;
		copy->value = value_ref(at->value);
		copy->next = NULL;
		*end = copy;
		end = &copy->next;
	}
	return fresh;
}

/* Make the chain anew if that is worth it; without memory another time will do. */
static void chain_tidy(struct binding **slot)
{
	struct binding *chain = *slot, *fresh;

	if (!chain || chain->hidden < HIDDEN_MAX)
		return;
	fresh = chain_compact(chain);
	if (!fresh)
		return;
	*slot = fresh;
	chain_unref(chain);
}

int hilo__locals_set(struct binding **slot, const void *key, void *data, void (*drop)(void *),
		     struct binding **ret_back, struct local_value **ret_before)
{
	struct local_value *value = hilo__malloc(sizeof(*value));
	struct binding *binding = hilo__malloc(sizeof(*binding));
	struct binding *back = ret_back ? hilo__malloc(sizeof(*back)) : NULL;

	if (!value || !binding || (ret_back && !back)) {
		hilo__free(value);
		hilo__free(binding);
		hilo__free(back);
		return -ENOMEM;
	}
	atomic_setup(&value->refs, 1);
	value->data = data;
	value->drop = drop;
	if (ret_back) {
		*ret_back = back;
		*ret_before = value_ref(hilo__locals_find(*slot, key));
	}
	chain_push(slot, binding, key, value);
	chain_tidy(slot);
	return 0;
}

void hilo__locals_restore(struct binding **slot, const void *key, struct binding *back,
			  struct local_value *before)
{
	struct binding *first = *slot;

	/* The common case: what was set is in front, and nobody else's. */
	if (first && first->key == key &&
	    MUTANT(158, load_acquire(&first->refs), load_relaxed(&first->refs)) == 1 && /* P1 */
	    hilo__locals_find(first->next, key) == before) {
		*slot = first->next;
		binding_free(first);
		value_unref(before);
		hilo__free(back);
		return;
	}
	chain_push(slot, back, key, before);
}
