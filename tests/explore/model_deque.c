/* SPDX-License-Identifier: MIT */
/*
 * model_deque.c - the shipped deque, of 4 slots, against thieves.
 *
 * In all of them each task that was pushed is taken once, with its payload: what is taken, and what is
 * left at the end, adds up to what was pushed.
 */
#include "tests/explore/explore.h"

#include "scheduler/deque.h"
#include "tests/explore/tasks.h"

static struct deque dq;

static void setup(void)
{
	tasks_reset();
	hilo__deque_init(&dq);
}

static void finish(void)
{
	struct hilo_task *task;

	while ((task = hilo__deque_pop(&dq)) != NULL)
		task_take(task);
	tasks_check();
}

/* If it is full, the owner runs the task itself. */
static void push(void)
{
	struct hilo_task *task = task_make();

	if (hilo__deque_push(&dq, task) < 0)
		task_take(task);
}

static void pop(void)
{
	struct hilo_task *task = hilo__deque_pop(&dq);

	if (task != NULL)
		task_take(task);
}

static void pop_oldest(void)
{
	struct hilo_task *task = hilo__deque_pop_oldest(&dq);

	if (task != NULL)
		task_take(task);
}

static void steal(void)
{
	struct hilo_task *task;

	if (hilo__deque_steal(&dq, &task) == 0)
		task_take(task);
}

static void steal_many(void)
{
	struct hilo_task *task[2];
	int n = hilo__deque_steal_many(&dq, task, 2);

	for (int i = 0; i < n; i++)
		task_take(task[i]);
}

/* The older half goes to another queue. */
static void spill(void)
{
	struct link *first = NULL, *last = NULL;
	int n = hilo__deque_spill(&dq, &first, &last);

	for (int i = 0; i < n; i++) {
		struct hilo_task *task = hilo__link_task(first);

		EXPLORE_CHECK((i == n - 1) == (first == last));
		first = plain_load(&first->next);
		task_take(task);
	}
}

/* With three inside from before, so that a few pushes go round the slots. */
static void setup_three(void)
{
	setup();
	push();
	push();
	push();
}

static void owner_one_by_one(void)
{
	for (int i = 0; i < 3; i++) {
		push();
		pop();
	}
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

static void owner_wrap(void)
{
	for (int i = 0; i < 5; i++)
		push();
	pop();
	pop();
	pop();
}

static void owner_wrap_mixed(void)
{
	push();
	push();
	pop();
	push();
	push();
	push();
	pop();
	pop();
}

static void owner_oldest(void)
{
	push();
	push();
	pop_oldest();
	push();
	pop();
	push();
	pop_oldest();
	pop();
}

static void owner_spill(void)
{
	push();
	push();
	spill();
	push();
	push();
	pop();
	pop();
}

static void thief_two(void)
{
	steal();
	steal();
}

static void thief_three(void)
{
	steal();
	steal();
	steal();
}

static void thief_many(void)
{
	steal_many();
}

static const struct explore_model models[] = {
	/* The last task is fought for again and again. */
	EXPLORE_MODEL("deque_one_by_one", "owner: 3 x (push, pop); 2 thieves: 3 x steal", setup, finish,
		      owner_one_by_one, thief_three, thief_three),
	/* Pops without a CAS while thieves come up from below. */
	EXPLORE_MODEL("deque_three", "owner: 3 x push, 3 x pop; 2 thieves: 3 x steal", setup, finish,
		      owner_three, thief_three, thief_three),
	EXPLORE_MODEL("deque_three_thieves", "owner: 3 x push, 3 x pop; 3 thieves: 2 x steal", setup, finish,
		      owner_three, thief_two, thief_two, thief_two),
	EXPLORE_MODEL("deque_wrap", "3 of 4 slots full; owner: 5 x push, 3 x pop; 2 thieves: 3 x steal",
		      setup_three, finish, owner_wrap, thief_three, thief_three),
	EXPLORE_MODEL("deque_wrap_mixed",
		      "3 of 4 slots full; owner: 2 x push, pop, 3 x push, 2 x pop; 2 thieves: 3 x steal",
		      setup_three, finish, owner_wrap_mixed, thief_three, thief_three),
	EXPLORE_MODEL("deque_oldest",
		      "owner: 2 x push, pop_oldest, push, pop, push, pop_oldest, pop; 2 thieves: 2 x steal",
		      setup, finish, owner_oldest, thief_two, thief_two),
	EXPLORE_MODEL("deque_spill",
		      "owner: 2 x push, spill, 2 x push, 2 x pop; thieves: steal_many; 2 x steal", setup,
		      finish, owner_spill, thief_many, thief_two),
	EXPLORE_MODEL("deque_spill_wrap",
		      "3 of 4 slots full; owner: 2 x push, spill, 2 x push, 2 x pop; thieves: steal_many; 2 "
		      "x steal",
		      setup_three, finish, owner_spill, thief_many, thief_two),
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, models, array_size(models));
}
