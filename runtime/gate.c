/* SPDX-License-Identifier: MIT */
/* gate.c - the way into a stage of a pipeline. Invariants and pairs: gate_impl.h. */
#include "runtime/gate_impl.h"

#include <stddef.h>

void hilo__gate_init(struct gate *gate, enum gate_kind kind, unsigned most, struct gate_node **place,
		     uint64_t mask)
{
	*gate = (struct gate){.kind = kind, .most = most, .place = place, .mask = mask};
	atomic_setup(&gate->word, 0);
	atomic_setup(&gate->left, 0);
}

/* [holder] @node waits. */
static void gate_keep(struct gate *gate, struct gate_node *node)
{
	if (gate->kind == GATE_ORDER) {
		gate->place[node->number & gate->mask] = node;
	} else {
		node->next = NULL;
		if (gate->first)
			gate->last->next = node;
		else
			gate->first = node;
		gate->last = node;
	}
	gate->waits++;
	if (++gate->waiting > gate->most_waiting)
		gate->most_waiting = gate->waiting;
}

/* [holder] The next one that can go in; NULL: none can. */
static struct gate_node *gate_pick(struct gate *gate)
{
	struct gate_node **place = &gate->first, *node;

	if (gate->kind == GATE_SOME && gate->inside == gate->most)
		return NULL;
	if (gate->kind == GATE_ORDER)
		place = &gate->place[gate->next & gate->mask];
	node = *place;
	if (!node)
		return NULL;
	*place = gate->kind == GATE_ORDER ? NULL : node->next;
	gate->waiting--;
	gate->inside++;
	return node;
}

/* [holder] Keep what was posted, oldest first. False: nothing was, and the gate is not ours any more. */
static bool gate_collect(struct gate *gate)
{
	struct gate_node *chain = NULL, *node, *next;
	uintptr_t word = load_relaxed(&gate->word); /* relaxed: looked at again below */

	if (word == GATE_HELD &&
	    MUTANT(520, cas_release(&gate->word, &word, 0), cas_relaxed(&gate->word, &word, 0))) /* P2 */
		return false;
	word = MUTANT(521, xchg_acquire(&gate->word, GATE_HELD),
		      xchg_relaxed(&gate->word, GATE_HELD));			  /* P1, P3 */
	for (node = (struct gate_node *)(word & ~GATE_BITS); node; node = next) { /* newest first */
		next = node->next;
		node->next = chain;
		chain = node;
	}
	for (node = chain; node; node = next) {
		next = node->next;
		gate_keep(gate, node);
	}
	if (word & GATE_LOOK)
		gate->inside -= MUTANT(522, xchg_relaxed(&gate->left, 0), 1); /* relaxed: ordered by P3 */
	return true;
}

/* [holder] Who goes in next. With NULL, and with GATE_SOME, the gate is not ours any more. */
static struct gate_node *gate_serve(struct gate *gate)
{
	struct gate_node *first = NULL, **end = &first, *node;

	do {
		while ((node = gate_pick(gate))) {
			*end = node;
			end = &node->next;
			*end = NULL;
			if (gate->kind != GATE_SOME)
				return first;
		}
	} while (gate_collect(gate));
	return first;
}

/* [any] Hold the gate: true; or post @node to who does. */
static bool gate_hold(struct gate *gate, struct gate_node *node, void (*parks)(struct gate_node *node))
{
	uintptr_t word = load_relaxed(&gate->word); /* relaxed: only an expected value */
	bool parked = false;

	for (;;) {
		if (!(word & GATE_HELD)) {
			if (MUTANT(523, cas_acquire(&gate->word, &word, GATE_HELD),
				   cas_relaxed(&gate->word, &word, GATE_HELD))) /* P2 */
				return true;
			continue;
		}
		if (!parked)
			parks(node);
		parked = true;
		node->next = (struct gate_node *)(word & ~GATE_BITS);
		if (MUTANT(524,
			   cas_release(&gate->word, &word,
				       (uintptr_t)node | (word & MUTANT(525, GATE_BITS, GATE_HELD))),
			   cas_relaxed(&gate->word, &word, (uintptr_t)node | (word & GATE_BITS)))) /* P1 */
			return false;
	}
}

/* [holder] Whether @node, which has just come, can go in. */
static bool gate_admits(const struct gate *gate, const struct gate_node *node)
{
	if (gate->kind == GATE_ORDER)
		return node->number == gate->next;
	return !gate->first && (gate->kind == GATE_ONE || gate->inside < gate->most);
}

struct gate_node *hilo__gate_enter(struct gate *gate, struct gate_node *node,
				   void (*parks)(struct gate_node *node))
{
	if (!gate_hold(gate, node, parks))
		return NULL;
	if (!gate_admits(gate, node)) {
		parks(node);
		gate_keep(gate, node);
		return gate_serve(gate);
	}
	gate->inside++;
	node->next = NULL;
	if (gate->kind == GATE_SOME)
		node->next = gate_serve(gate);
	return node;
}

/* [any] Count one that has left a GATE_SOME. True: the gate is ours, and we look; else the holder does. */
static bool gate_count_left(struct gate *gate)
{
	(void)add_relaxed(&gate->left, 1); /* relaxed: ordered by P3 */
	/* P3; P2 if it was free */
	return !(or_acq_rel(&gate->word, GATE_HELD | GATE_LOOK) & GATE_HELD);
}

struct gate_node *hilo__gate_leave(struct gate *gate)
{
	if (gate->kind == GATE_SOME)
		return gate_count_left(gate) ? gate_serve(gate) : NULL;
	gate->inside--;
	gate->next++;
	return gate_serve(gate);
}
