/* SPDX-License-Identifier: MIT */
/*
 * model_inbox.c - the shipped inbox: several producers, several takers, and the last look before sleep.
 *
 * In all of them each task that was pushed is taken once, with its payload; where a model says "in
 * order", a taker that takes all of what a producer pushed gets it in that producer's order.
 */
#include "tests/explore/explore.h"

#include "scheduler/inbox.h"
#include "tests/explore/tasks.h"

#define AWAKE 0u
#define SLEEPING 1u
#define NOTIFIED 2u

static struct inbox inbox;
static struct inbox other;
static atomic(uint32_t) park; /* the sleeper's state, as a loop's park word */
static unsigned sleeper_took;

static void setup(void)
{
	tasks_reset();
	hilo__inbox_init(&inbox);
	hilo__inbox_init(&other);
	park = AWAKE;
	sleeper_took = 0;
}

static void take_list(struct link *first)
{
	int last[EXPLORE_THREADS] = {-1, -1, -1, -1};

	while (first != NULL) {
		struct hilo_task *task = hilo__link_task(first);
		int maker = (int)((task - &tasks[0][0]) / TASKS_MAX);
		int place = (int)((task - &tasks[0][0]) % TASKS_MAX);

		EXPLORE_CHECK(place > last[maker]); /* in order */
		last[maker] = place;
		first = plain_load(&first->next);
		task_take(task);
	}
}

static void finish(void)
{
	take_list(hilo__inbox_take_fifo(&inbox));
	take_list(hilo__inbox_take_fifo(&other));
	tasks_check();
}

static void push(void)
{
	(void)hilo__inbox_push(&inbox, &task_make()->link);
}

static void push_chain(void)
{
	struct hilo_task *older = task_make(), *newer = task_make();

	plain_store(&newer->link.next, &older->link);
	(void)hilo__inbox_push_chain(&inbox, &newer->link, &older->link);
}

static void producer_two(void)
{
	push();
	push();
}

static void producer_chain(void)
{
	push_chain();
	push();
}

static void taker_two(void)
{
	take_list(hilo__inbox_take_fifo(&inbox));
	take_list(hilo__inbox_take_fifo(&inbox));
}

/* What it takes comes back: links that leave and return while others push. */
static void recycler(void)
{
	for (int i = 0; i < 2; i++) {
		struct link *first = hilo__inbox_take_all(&inbox);

		while (first != NULL) {
			struct link *next = plain_load(&first->next);

			(void)hilo__inbox_push(&inbox, first);
			first = next;
		}
	}
}

/* In no order, since recyclers turn lists round. */
static void taker_any(void)
{
	struct link *first = hilo__inbox_take_all(&inbox);

	while (first != NULL) {
		struct hilo_task *task = hilo__link_task(first);

		first = plain_load(&first->next);
		task_take(task);
	}
}

static void finish_any(void)
{
	taker_any();
	tasks_check();
}

/* Twice to the same list: the second batch goes behind the first. */
static void appender(void)
{
	struct link *first = NULL;
	struct link **end = &first;

	hilo__inbox_append(&inbox, &end);
	hilo__inbox_append(&inbox, &end);
	take_list(first);
}

/* What was taken from the one inbox is kept in the other, where a thief may get it. */
static void filler(void)
{
	for (int i = 0; i < 2; i++) {
		struct link *first;

		if (!hilo__inbox_is_empty(&other))
			continue;
		first = hilo__inbox_take_fifo(&inbox);
		if (first != NULL)
			hilo__inbox_fill(&other, first);
	}
	take_list(hilo__inbox_take_all(&other));
}

static void thief_of_other(void)
{
	take_list(hilo__inbox_take_all(&other));
	take_list(hilo__inbox_take_all(&other));
}

/* What was filled is a list, oldest first already. */
static void finish_other(void)
{
	take_list(hilo__inbox_take_all(&other));
	take_list(hilo__inbox_take_fifo(&inbox));
	tasks_check();
}

/* Takes until it has had @n, and sleeps when there is nothing. */
static void sleeper_take(unsigned n)
{
	while (sleeper_took < n) {
		struct link *first = hilo__inbox_take_fifo(&inbox);

		if (first != NULL) {
			for (struct link *link = first; link != NULL; link = plain_load(&link->next))
				sleeper_took++;
			take_list(first);
			continue;
		}
		(void)xchg_seq_cst(&park, SLEEPING); /* P2 of inbox.h */
		if (hilo__inbox_is_empty_seq_cst(&inbox))
			explore_park();
		(void)xchg_seq_cst(&park, AWAKE); /* P2 of inbox.h */
	}
}

static void notify(void)
{
	uint32_t sleeping = SLEEPING;

	if (load_seq_cst(&park) == SLEEPING && cas_seq_cst(&park, &sleeping, NOTIFIED)) /* P2 of inbox.h */
		explore_unpark(0);
}

static void sleeper_two(void)
{
	sleeper_take(2);
}

static void sleeper_three(void)
{
	sleeper_take(3);
}

static void waker_one(void)
{
	push();
	notify();
}

static void waker_two(void)
{
	push();
	notify();
	push();
	notify();
}

/* Looks at the sleeper only if its push found the inbox empty. */
static void waker_if_empty(void)
{
	for (int i = 0; i < 2; i++)
		if (MUTANT(45, hilo__inbox_push(&inbox, &task_make()->link),
			   !hilo__inbox_push(&inbox, &task_make()->link)))
			notify();
}

static void waker_one_if_empty(void)
{
	if (hilo__inbox_push(&inbox, &task_make()->link))
		notify();
}

static bool work_remains(void)
{
	return inbox.head != NULL;
}

#define SLEEP_MODEL(NAME, OPERATIONS, ...)                                                                   \
	{                                                                                                    \
		.name = NAME, .operations = OPERATIONS, .setup = setup, .finish = finish,                    \
		.work_remains = work_remains,                                                                \
		.threads = sizeof((void (*[])(void)){__VA_ARGS__}) / sizeof(void (*)(void)),                 \
		.thread = {__VA_ARGS__},                                                                     \
	}

static const struct explore_model models[] = {
	EXPLORE_MODEL("inbox_two_two", "2 producers: 2 x push; 2 takers: 2 x take, in order", setup, finish,
		      producer_two, producer_two, taker_two, taker_two),
	EXPLORE_MODEL("inbox_chain",
		      "producers: push chain of 2, push; 2 x push; 2 takers: 2 x take, in order", setup,
		      finish, producer_chain, producer_two, taker_two, taker_two),
	EXPLORE_MODEL("inbox_append", "2 producers: 2 x push; one taker: 2 x append to its list, in order",
		      setup, finish, producer_two, producer_two, appender),
	EXPLORE_MODEL("inbox_recycle",
		      "producer: 2 x push; 2 recyclers: 2 x (take all, push each again); taker: take", setup,
		      finish_any, producer_two, recycler, recycler, taker_any),
	EXPLORE_MODEL("inbox_fill",
		      "producer: 2 x push; owner: 2 x (take, fill another), take that; thief: 2 x take that",
		      setup, finish_other, producer_two, filler, thief_of_other),
	SLEEP_MODEL("inbox_sleep", "T0: takes 3, sleeping in between; T1: push, wake; T2: 2 x (push, wake)",
		    sleeper_three, waker_one, waker_two),
	SLEEP_MODEL("inbox_sleep_if_empty",
		    "T0: takes 3, sleeping in between; T1, T2: push, and wake if it was empty", sleeper_three,
		    waker_if_empty, waker_one_if_empty),
	SLEEP_MODEL("inbox_sleep_two", "T0: takes 2, sleeping in between; T1: 2 x (push, wake)", sleeper_two,
		    waker_two),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
