/* SPDX-License-Identifier: MIT */
/*
 * stress_select.c - select under cancels and deadlines: what is put is got once, or is still there.
 *
 * Relaxed: all counts are compared when nobody acts.
 */
#include "tests/stress/cancel_safety.h"

#include <errno.h>
#include <stdlib.h>

/* Two queues that hold something, and one where putters and getters meet. */
#define HOLDING 2
#define MEETING 2

struct market {
	hilo_queue *queues[HOLDING + 1];
	atomic(uint64_t) put, got, sum_put, sum_got;
	atomic(uint64_t) number;
};

static void *market_up(unsigned workers)
{
	struct market *market = calloc(1, sizeof(*market));

	TASK_CHECK(market, !=, NULL);
	for (unsigned i = 0; i < HOLDING; i++)
		market->queues[i] = hilo_queue_new(i + (workers == 1 ? 1 : 2));
	market->queues[MEETING] = hilo_queue_new_rendezvous();
	return market;
}

static void market_down(void *object)
{
	struct market *market = object;

	for (unsigned i = 0; i <= HOLDING; i++)
		TASK_CHECK(hilo_queue_free(market->queues[i]), ==, 0); /* nobody is left in it */
	free(market);
}

static void market_note(atomic(uint64_t) * count, atomic(uint64_t) * sum, const void *item)
{
	(void)add_relaxed(count, 1);
	(void)add_relaxed(sum, (uintptr_t)item);
}

/* A new item for each try: a number. */
static void *market_item(struct market *market)
{
	return (void *)(uintptr_t)(add_relaxed(&market->number, 1) + 1);
}

/* Select among @n cases; those that put have put @item. */
static int market_select(struct market *market, struct safety_actor *actor, hilo_select_case *cases, size_t n,
			 void *const *got, unsigned puts, hilo_time deadline)
{
	int won = safety_choose(actor, 2) ? hilo_select(cases, n, deadline)
					  : hilo_select_fair(cases, n, deadline);

	if (won < 0)
		return won;
	TASK_CHECK(cases[won].code, ==, 0);
	if (puts & 1u << won)
		market_note(&market->put, &market->sum_put, cases[won].of.item);
	else
		market_note(&market->got, &market->sum_got, *got);
	return 0;
}

static int market_select_get(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct market *market = object;
	void *got = NULL;
	hilo_select_case cases[] = {
		HILO_SELECT_GET(market->queues[MEETING], &got),
		HILO_SELECT_GET(market->queues[0], &got),
		HILO_SELECT_OFF,
		HILO_SELECT_GET(market->queues[1], &got),
	};

	return market_select(market, actor, cases, 4, &got, 0, deadline);
}

static int market_select_put(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct market *market = object;
	hilo_select_case cases[] = {
		HILO_SELECT_PUT(market->queues[1], market_item(market)),
		HILO_SELECT_PUT(market->queues[MEETING], market_item(market)),
		HILO_SELECT_PUT(market->queues[0], market_item(market)),
	};

	return market_select(market, actor, cases, 3, NULL, 7, deadline);
}

/* Both ends of everything; and with a deadline as a case. */
static int market_select_any(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct market *market = object;
	void *got = NULL;
	hilo_select_case cases[] = {
		HILO_SELECT_PUT(market->queues[MEETING], market_item(market)),
		HILO_SELECT_GET(market->queues[MEETING], &got),
		HILO_SELECT_GET(market->queues[0], &got),
		HILO_SELECT_PUT(market->queues[0], market_item(market)),
		HILO_SELECT_GET(market->queues[0], &got),
		HILO_SELECT_TIMER(deadline),
	};
	int won;

	if (safety_choose(actor, 4)) /* with it there is always one at once */
		cases[3] = (hilo_select_case)HILO_SELECT_OFF;
	won = hilo_select_fair(cases, 6, HILO_FOREVER);
	if (won == 5)
		return -ETIMEDOUT;
	if (won < 0)
		return won;
	TASK_CHECK(cases[won].code, ==, 0);
	if (won == 0 || won == 3)
		market_note(&market->put, &market->sum_put, cases[won].of.item);
	else
		market_note(&market->got, &market->sum_got, got);
	return 0;
}

static int market_get(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct market *market = object;
	void *got;
	int rc = hilo_queue_get(market->queues[safety_choose(actor, HOLDING)], &got, deadline);

	if (rc == 0)
		market_note(&market->got, &market->sum_got, got);
	return rc;
}

static int market_put(void *object, struct safety_actor *actor, hilo_time deadline)
{
	struct market *market = object;
	void *item = market_item(market);
	int rc = hilo_queue_put(market->queues[safety_choose(actor, HOLDING)], item, deadline);

	if (rc == 0)
		market_note(&market->put, &market->sum_put, item);
	return rc;
}

/* Nobody waits for what is there: of a queue that is full something is got, into an empty one something put. */
static void market_wake(void *object)
{
	struct market *market = object;

	for (unsigned i = 0; i < HOLDING; i++) {
		hilo_queue *queue = market->queues[i];
		void *item = market_item(market);

		if (hilo_queue_is_empty(queue)) {
			if (hilo_queue_try_put(queue, item) == 0)
				market_note(&market->put, &market->sum_put, item);
		} else if (hilo_queue_is_full(queue)) {
			if (hilo_queue_try_get(queue, &item) == 0)
				market_note(&market->got, &market->sum_got, item);
		}
	}
}

static void market_check(void *object, struct safety_actor *actors, unsigned count)
{
	struct market *market = object;
	void *item;

	(void)actors, (void)count;
	for (unsigned i = 0; i <= HOLDING; i++)
		while (hilo_queue_try_get(market->queues[i], &item) == 0)
			market_note(&market->got, &market->sum_got, item);
	TASK_CHECK(load_relaxed(&market->put), ==, load_relaxed(&market->got));
	TASK_CHECK(load_relaxed(&market->sum_put), ==, load_relaxed(&market->sum_got));
}

static const struct safety_op market_ops[] = {
	{"select of gets", market_select_get, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"select of puts", market_select_put, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"select of both", market_select_any, {-ETIMEDOUT, -ECANCELED}, .weight = 3},
	{"get", market_get, {-ETIMEDOUT, -ECANCELED}, .weight = 1},
	{"put", market_put, {-ETIMEDOUT, -ECANCELED}, .weight = 1},
};

static const struct safety_object market = {
	"select",
	.up = market_up,
	.down = market_down,
	.wake = market_wake,
	.check = market_check,
	SAFETY_OPS(market_ops),
};

int main(void)
{
	test_begin();
	safety_prove(&market);
	return 0;
}
