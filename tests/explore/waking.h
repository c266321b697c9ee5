/* SPDX-License-Identifier: MIT */
#ifndef HILO_TESTS_EXPLORE_WAKING_H
#define HILO_TESTS_EXPLORE_WAKING_H

/*
 * waking.h - what the shipped task.c does with a task that waits, for models that have no run queues: whoever
 * makes it ready puts it into the queue of waiting.h.
 */
#include <errno.h>

#include "tests/explore/waiting.h"

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode))
		waiting_ready(task);
}

int hilo__task_cancel(struct hilo_task *task, uint8_t reason)
{
	if (completion_is_done(&task->done))
		return -EALREADY;
	if (task_state_cancel(&task->state, reason))
		waiting_ready(task);
	return 0;
}

void hilo__task_nudge(struct hilo_task *task)
{
	if (task_state_nudge(&task->state))
		waiting_ready(task);
}

/* Since when somebody waits; nobody reads it. */
uint64_t cycles_now(void)
{
	return 0;
}

int64_t hilo__cycles_to_ns(uint64_t cycles)
{
	return (int64_t)cycles;
}

#endif /* HILO_TESTS_EXPLORE_WAKING_H */
