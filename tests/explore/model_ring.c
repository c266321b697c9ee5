/* SPDX-License-Identifier: MIT */
/*
 * model_ring.c - the shipped run queue, of 4 slots, against thieves that take half in one step.
 *
 * In all of them each task that was pushed is taken once, with its payload, and whoever takes several
 * gets them in the order in which they were pushed.
 */
#include "tests/explore/explore.h"

#include "scheduler/ring.h"
#include "tests/explore/tasks.h"

static struct ring rings[3]; /* that of T0, T1, T2 */
static int last_taken[EXPLORE_THREADS];

static void setup(void)
{
	tasks_reset();
	for (int i = 0; i < 3; i++)
		hilo__ring_init(&rings[i]);
	for (int i = 0; i < EXPLORE_THREADS; i++)
		last_taken[i] = -1;
}

static void finish(void)
{
	struct hilo_task *task;

	for (int i = 0; i < 3; i++)
		while ((task = hilo__ring_pop(&rings[i])) != NULL)
			task_take(task);
	tasks_check();
}

/* All tasks of a model are T0's, so their order is that of their places. */
static void take_in_order(struct hilo_task *task)
{
	int place = (int)(task - tasks[0]);

	EXPLORE_CHECK(place > last_taken[explore_self()]);
	last_taken[explore_self()] = place;
	task_take(task);
}

/* If it is full, the owner runs the task itself. */
static void push(void)
{
	struct hilo_task *task = task_make();

	if (hilo__ring_push(&rings[0], task) < 0)
		task_take(task);
}

static void push_two(void)
{
	struct hilo_task *batch[2] = {task_make(), task_make()};

	for (int n = hilo__ring_push_many(&rings[0], batch, 2); n < 2; n++)
		task_take(batch[n]);
}

static void pop_from(unsigned owner)
{
	struct hilo_task *task = hilo__ring_pop(&rings[owner]);

	if (task != NULL)
		take_in_order(task);
}

static void pop(void)
{
	pop_from(0);
}

static void spill(void)
{
	struct link *first = NULL, *last = NULL;
	int n = hilo__ring_spill(&rings[0], &first, &last);

	for (int i = 0; i < n; i++) {
		struct hilo_task *task = hilo__link_task(first);

		EXPLORE_CHECK((i == n - 1) == (first == last));
		first = plain_load(&first->next);
		task_take(task);
	}
}

static void steal_half(void)
{
	struct hilo_task *task[RING_CAP];
	int n = hilo__ring_steal_many(&rings[0], task, RING_CAP);

	for (int i = 0; i < n; i++)
		take_in_order(task[i]);
}

/* Into the thief's own ring; the oldest is run at once. */
static void steal_from(unsigned victim)
{
	struct hilo_task *task;

	if (hilo__ring_steal(&rings[victim], &rings[explore_self()], &task) > 0)
		take_in_order(task);
}

static void setup_three(void)
{
	setup();
	push();
	push();
	push();
}

/* The thief's ring as well, so that it takes only what it has room for. */
static void setup_thief_full(void)
{
	setup();
	for (int i = 0; i < 4; i++)
		EXPLORE_CHECK(hilo__ring_push(&rings[1], task_make()) == 0);
	for (int i = 0; i < 4; i++)
		push();
}

static void owner_three(void)
{
	push();
	push();
	push();
	pop();
	pop();
	pop();
}

static void owner_one_by_one(void)
{
	for (int i = 0; i < 3; i++) {
		push();
		pop();
	}
}

static void owner_wrap(void)
{
	for (int i = 0; i < 4; i++)
		push();
	pop();
	push();
	push();
	pop();
}

static void owner_batches(void)
{
	push_two();
	pop();
	push_two();
	pop();
	push_two();
}

static void owner_spill(void)
{
	push();
	push();
	spill();
	push();
	push();
	pop();
}

static void thief_two(void)
{
	steal_half();
	steal_half();
}

static void thief_keeps(void)
{
	steal_from(0);
	pop_from(1);
	steal_from(0);
	pop_from(1);
}

static void thief_of_thief(void)
{
	steal_from(1);
	pop_from(2);
	steal_from(1);
	pop_from(2);
}

static void thief_full(void)
{
	struct hilo_task *task;

	if (hilo__ring_steal(&rings[0], &rings[1], &task) > 0)
		task_take(task);
	for (int i = 0; i < 4; i++)
		if ((task = hilo__ring_pop(&rings[1])) != NULL)
			task_take(task);
}

static void owner_pops(void)
{
	pop();
	push();
	pop();
}

static const struct explore_model models[] = {
	EXPLORE_MODEL("ring_one_by_one", "owner: 3 x (push, pop); 2 thieves: 2 x steal half", setup, finish,
		      owner_one_by_one, thief_two, thief_two),
	EXPLORE_MODEL("ring_three", "owner: 3 x push, 3 x pop; 2 thieves: 2 x steal half", setup, finish,
		      owner_three, thief_two, thief_two),
	EXPLORE_MODEL_LONG(
		0, "ring_wrap",
		"3 of 4 slots full; owner: 4 x push, pop, 2 x push, pop; 2 thieves: 2 x steal half",
		setup_three, finish, owner_wrap, thief_two, thief_two),
	EXPLORE_MODEL("ring_batches", "owner: 3 x push_many of 2, 2 x pop between; 2 thieves: 2 x steal half",
		      setup, finish, owner_batches, thief_two, thief_two),
	EXPLORE_MODEL_LONG(
		0, "ring_spill",
		"3 of 4 slots full; owner: 2 x push, spill, 2 x push, pop; 2 thieves: 2 x steal half",
		setup_three, finish, owner_spill, thief_two, thief_two),
	EXPLORE_MODEL(
		"ring_thief_of_thief",
		"T0: 3 x push, 3 x pop; T1: 2 x (steal half of T0's, pop); T2: 2 x (steal half of T1's, pop)",
		setup, finish, owner_three, thief_keeps, thief_of_thief),
	EXPLORE_MODEL("ring_thief_wrap",
		      "3 of 4 slots full; T0: 4 x push, pop, 2 x push, pop; T1, T2: 2 x (steal half of T0's, "
		      "T1's, pop)",
		      setup_three, finish, owner_wrap, thief_keeps, thief_of_thief),
	EXPLORE_MODEL("ring_thief_full",
		      "T0, full: pop, push, pop; T1, full: steal what fits, 4 x pop; T2: 2 x steal half",
		      setup_thief_full, finish, owner_pops, thief_full, thief_two),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
