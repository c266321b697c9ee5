/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_GATE_IMPL_H
#define HILO_RUNTIME_GATE_IMPL_H

/*
 * gate_impl.h - the way into a stage that takes one item at a time, or so many, or in order.
 *
 * Nobody waits at a gate, only items do: who finds that his item cannot go in leaves it there and does something else.
 * Whoever finds the gate free holds it. All others post their items, in one word, to the holder, and he sees
 * them before he can give it up. What is waiting, and who is next, is the holder's alone.
 *
 * Where one item is inside at a time (GATE_ONE, GATE_ORDER) the gate is held as long as that takes, and handed over
 * with the next item. Where several are (GATE_SOME) it is held for some instructions; who leaves counts himself, and
 * has the holder look again.
 *
 * I1  The gate is held by one, or free; it is free only if nothing is posted, and nothing waits that could go in.
 * I2  Of GATE_ORDER at most `mask` + 1 numbers wait: those from `next` on that are in flight, and there are no others.
 * P1  Posting releases, collecting acquires: the holder sees the item.
 * P2  Giving up the gate releases, taking it acquires: the next holder sees what the last one has left.
 * P3  Who leaves a GATE_SOME counts himself before he asks the holder to look (release); the holder reads the count
 *     after he has seen that (acquire).
 *
 * Rejected: a spinlock for each gate. Who is preempted in it holds up everybody who comes by; here they leave their
 * item and go on. Rejected: a queue between any two stages. An item would change workers at each of them.
 */
#include <stdint.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

enum gate_kind {
	GATE_NONE, /* everybody goes in; there is no gate */
	GATE_ONE,  /* one at a time, first come, first served */
	GATE_ORDER,
	GATE_SOME
};

/* An item, as gates see it. */
struct gate_node {
	struct gate_node *next; /* posted, or waiting, or in a chain of those that go in */
	uint64_t number;
};

struct gate {
	HILO__ISOLATED atomic(uintptr_t) word; /* GATE_* below, and the latest that was posted */
	atomic(uint32_t) left;		       /* GATE_SOME: have left, and were not seen; P3 */
	enum gate_kind kind;
	/* The holder's. */
	unsigned most, inside;		/* GATE_SOME */
	uint64_t next;			/* GATE_ORDER: whose turn it is */
	uint64_t mask;			/* places in `place`, less 1: 2^n - 1 */
	struct gate_node **place;	/* GATE_ORDER: those that wait, by their numbers */
	struct gate_node *first, *last; /* the others, in the order in which they came */
	unsigned waiting, most_waiting;
	uint64_t waits; /* have waited */
};

#define GATE_HELD ((uintptr_t)1)
#define GATE_LOOK ((uintptr_t)2) /* somebody has left; with GATE_HELD */
#define GATE_BITS ((uintptr_t)3)

/* Before it is used. @place: of GATE_ORDER, @mask + 1 times NULL. */
void hilo__gate_init(struct gate *gate, enum gate_kind kind, unsigned most, struct gate_node **place,
		     uint64_t mask);

/*
 * [any] @node comes to @gate. Returns a chain of those that go in now: with GATE_ONE and GATE_ORDER one at most, whose
 * leaving is to be told. Before @node can be another's @parks(@node) is called, perhaps twice; @node may be in the
 * chain all the same.
 */
struct gate_node *hilo__gate_enter(struct gate *gate, struct gate_node *node,
				   void (*parks)(struct gate_node *node));

/* [who was let in] One leaves. Returns a chain of those that go in now, as above. */
struct gate_node *hilo__gate_leave(struct gate *gate);

#endif /* HILO_RUNTIME_GATE_IMPL_H */
