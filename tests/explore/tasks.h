/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_TASKS_H
#define HILO_TESTS_EXPLORE_TASKS_H

/*
 * tasks.h - stand-ins for tasks that models put through queues: each has a payload, written by its
 * maker and read by its taker without any order of their own, so that a queue that does not order them
 * is a data race; and each is counted, so that none is lost or taken twice.
 */
#include "scheduler/inbox.h"
#include "tests/explore/explore.h"

struct hilo_task {
	uint64_t word; /* where a real one has its state */
	struct link link;
	unsigned payload;
	unsigned taken;
};

_Static_assert(offsetof(struct hilo_task, link) == TASK_LINK_OFFSET, "as in the real one");

#define TASKS_MAX 16

static struct hilo_task tasks[EXPLORE_THREADS][TASKS_MAX];
static unsigned tasks_made[EXPLORE_THREADS];

static inline void tasks_reset(void)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++) {
		for (unsigned i = 0; i < tasks_made[t]; i++)
			tasks[t][i] = (struct hilo_task){0};
		tasks_made[t] = 0;
	}
}

/* A new task of the thread that asks. */
static inline struct hilo_task *task_make(void)
{
	unsigned t = explore_self();
	struct hilo_task *task = &tasks[t][tasks_made[t]++];

	plain_store(&task->payload, 7u);
	return task;
}

/* The taker's: it has the task to itself. */
static inline void task_take(struct hilo_task *task)
{
	EXPLORE_CHECK(task != NULL);
	EXPLORE_CHECK(plain_load(&task->payload) == 7u);
	plain_store(&task->payload, 7u);
	if (++task->taken > 1)
		explore_fail("task %d of T%d was taken twice", (int)((task - &tasks[0][0]) % TASKS_MAX),
			     (int)((task - &tasks[0][0]) / TASKS_MAX));
}

/* At the end: each was taken. */
static inline void tasks_check(void)
{
	for (unsigned t = 0; t < EXPLORE_THREADS; t++)
		for (unsigned i = 0; i < tasks_made[t]; i++)
			if (tasks[t][i].taken != 1)
				explore_fail("task %u of T%u was lost", i, t);
}

#endif /* HILO_TESTS_EXPLORE_TASKS_H */
