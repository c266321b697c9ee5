/* SPDX-License-Identifier: MIT */
/* no_forks.c - no model but model_fork has forks: what the others' sources ask of them. */
#include "scheduler/fork.h"

void hilo__forks_drain(struct hilo_loop *loop)
{
	(void)loop;
}

bool hilo__fork_suspend(struct thread *self)
{
	(void)self;
	return false;
}

void hilo__fork_resume(struct thread *self)
{
	(void)self;
}

struct hilo_task *hilo__fork_steal(struct hilo_loop *loop, struct hilo_loop *victim)
{
	(void)loop;
	(void)victim;
	return NULL;
}

void hilo__fork_poke(struct hilo_task *task)
{
	(void)task;
}

bool hilo__fork_call_turns(struct hilo_loop *loop)
{
	(void)loop;
	return false;
}
