/* SPDX-License-Identifier: MIT */
/*
 * model_gate.c - the shipped gate.c, with an item for each thread and more.
 *
 * Checked: each item goes in once; with GATE_ONE and GATE_ORDER one is inside at a time, in order if that is asked for;
 * with GATE_SOME as many as may be; what one has left inside the next one sees; nobody is left outside.
 */
#include <string.h>

#include "runtime/gate_impl.h"
#include "tests/explore/explore.h"

#define ITEMS 6

static struct gate gate;
static struct gate_node node[ITEMS], *place[8];
static unsigned went_in[ITEMS];
static int left_inside, payload[ITEMS];
static atomic(uint32_t) inside;

static void setup_kind(enum gate_kind kind, unsigned most)
{
	memset(place, 0, sizeof(place));
	memset(node, 0, sizeof(node));
	memset(went_in, 0, sizeof(went_in));
	memset(payload, 0, sizeof(payload));
	left_inside = 0;
	inside = 0;
	hilo__gate_init(&gate, kind, most, place, 7);
	for (unsigned i = 0; i < ITEMS; i++)
		node[i].number = i;
}

static void setup_one(void)
{
	setup_kind(GATE_ONE, 0);
}

static void setup_order(void)
{
	setup_kind(GATE_ORDER, 0);
}

static void setup_some(void)
{
	setup_kind(GATE_SOME, 2);
}

static void finish_count(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (went_in[i] != 1)
			explore_fail("item %u went in %u times", i, went_in[i]);
	EXPLORE_CHECK(gate.word == 0 && gate.waiting == 0 && !gate.first && inside == 0);
	EXPLORE_CHECK(gate.kind != GATE_SOME || (gate.inside == 0 && gate.left == 0));
}

static void finish_three(void)
{
	finish_count(3);
}

static void finish_four(void)
{
	finish_count(4);
}

static void parks(struct gate_node *n)
{
	(void)n;
}

/* Whoever lets items in takes them through, as a runner does. */
static void work(struct gate_node *chain)
{
	struct gate_node *more, *last;

	while (chain) {
		struct gate_node *in = chain;
		unsigned i = (unsigned)(in - node);

		chain = in->next;
		EXPLORE_CHECK(plain_load(&payload[i]) == (int)i + 1);
		if (gate.kind == GATE_SOME) {
			EXPLORE_CHECK(add_relaxed(&inside, 1) < 2);
		} else {
			EXPLORE_CHECK(gate.kind == GATE_ONE || (unsigned)plain_load(&left_inside) == i);
			plain_store(&left_inside, plain_load(&left_inside) + 1);
		}
		went_in[i]++;
		if (gate.kind == GATE_SOME)
			(void)sub_relaxed(&inside, 1);
		more = hilo__gate_leave(&gate);
		for (last = more; last && last->next; last = last->next)
			;
		if (last) {
			last->next = chain;
			chain = more;
		}
	}
}

static void come(unsigned i)
{
	plain_store(&payload[i], (int)i + 1);
	work(hilo__gate_enter(&gate, &node[i], parks));
}

static void come_0(void)
{
	come(0);
}

static void come_1(void)
{
	come(1);
}

static void come_2(void)
{
	come(2);
}

static void come_0_and_2(void)
{
	come(0);
	come(2);
}

static void come_1_and_3(void)
{
	come(1);
	come(3);
}

static void come_2_and_0(void)
{
	come(2);
	come(0);
}

static void come_3_and_1(void)
{
	come(3);
	come(1);
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("gate_one", "T0, T1, T2: an item each", setup_one, finish_three, come_0, come_1,
		      come_2),
	EXPLORE_MODEL("gate_one_again", "T0, T1: two items each", setup_one, finish_four, come_0_and_2,
		      come_1_and_3),
	EXPLORE_MODEL("gate_order", "T0, T1, T2: an item each, in order", setup_order, finish_three, come_2,
		      come_0, come_1),
	EXPLORE_MODEL("gate_order_late", "T0: items 2, 0; T1: 3, 1", setup_order, finish_four, come_2_and_0,
		      come_3_and_1),
	EXPLORE_MODEL("gate_some", "T0, T1, T2: an item each, two inside", setup_some, finish_three, come_0,
		      come_1, come_2),
	EXPLORE_MODEL("gate_some_again", "T0, T1: two items each, two inside", setup_some, finish_four,
		      come_0_and_2, come_1_and_3),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
