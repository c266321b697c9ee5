/* SPDX-License-Identifier: MIT */
/* forked.c - what becomes of runtimes in a child that fork(2) has made; see forked.h. */
#include "scheduler/forked.h"

#include <errno.h>

#include "scheduler/base/panic.h"
#include "scheduler/scheduler.h"

atomic(bool) hilo__forked;

/* Nobody adds or removes a runtime meanwhile. */
static void forked_prepare(void)
{
	spin_lock(&hilo__runtimes_lock);
}

static void forked_parent(void)
{
	spin_unlock(&hilo__runtimes_lock);
}

HILO__COLD HILO__NORETURN void hilo__forked_end(const char *who)
{
	HILO__PANIC("%s goes on in a child that fork has made: there it can only call exec or _exit", who);
}

/* In the place of the destroy function of the task that has called fork. */
static void forked_task_ends(void *arg)
{
	(void)arg;
	hilo__forked_end("a task that has ended");
}

static void forked_child(void)
{
	struct thread *self = thread_self();

	for (struct hilo_runtime *runtime = hilo__runtimes; runtime; runtime = runtime->next) {
		for (unsigned i = 0; i < runtime_loops(runtime); i++)
			hilo__poller_sever(&runtime->loops[i]->poller);
		store_relaxed(&runtime->phase, PHASE_CLOSED); /* relaxed: there is no other thread */
		store_relaxed(&hilo__forked, true);	      /* relaxed: as above */
	}
	hilo__runtimes = NULL;
	spin_unlock(&hilo__runtimes_lock);
	if (!self->loop)
		return;
	self->loop->special = true; /* whoever suspends looks twice */
	if (self->task)
		self->task->destroy = forked_task_ends;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int rc_once;

static void forked_once(void)
{
	rc_once = -pthread_atfork(forked_prepare, forked_parent, forked_child);
}

int hilo__forked_init(void)
{
	(void)pthread_once(&once, forked_once);
	return rc_once;
}
