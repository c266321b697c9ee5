/* SPDX-License-Identifier: MIT */
/* process_keep.c - who reaps a process when nobody waits for it, and how one is ended. See process_impl.h. */
#include "io/process_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "runtime/log_impl.h"
#include "scheduler/base/sys.h"

/* How soon to look again where the kernel cannot tell: no memory, or too many files are watched. */
#define LOOK_AGAIN (10 * HILO_MILLISECOND)

/* Of a thread that waits for one process. */
#define THREAD_STACK ((size_t)128 * 1024)

/* [task, plain thread; suspends] Wait until it was reaped: 0; -ETIMEDOUT, -ECANCELED. */
static int wait_reaped(struct hilo_process *process, hilo_time deadline)
{
	int rc, seen;

	for (;;) {
		seen = hilo__process_look(process);
		if (seen > 0)
			return 0;
		rc = seen < 0 ? seen : hilo_fd_wait(process->pidfd, HILO_READABLE, deadline);
		if (rc == -ETIMEDOUT || rc == -ECANCELED)
			return rc;
		if (rc < 0) {
			rc = hilo_sleep(LOOK_AGAIN);
			if (rc < 0)
				return rc;
			if (hilo_now() >= deadline)
				return -ETIMEDOUT;
		}
	}
}

/* Ask it to end, and give it time for that. 0: it has; -EAGAIN: the time is over; -ETIMEDOUT, -ECANCELED: before. */
static int end_kindly(struct hilo_process *process, hilo_time deadline)
{
	hilo_time grace = hilo_after(process->grace);
	int rc;

	(void)hilo__process_signal(process, process->end_signal);
	rc = wait_reaped(process, grace < deadline ? grace : deadline);
	return rc == -ETIMEDOUT && grace <= deadline ? -EAGAIN : rc;
}

int hilo__process_end(struct hilo_process *process, hilo_time deadline)
{
	bool shielded;
	int rc = 0, killed;

	if (hilo__process_look(process) > 0 || process->end == HILO_PROCESS_DETACH)
		return 0;
	if (process->end == HILO_PROCESS_TERMINATE) {
		rc = end_kindly(process, deadline);
		if (rc == 0)
			return 0;
	}
	killed = hilo__process_kill(process);
	if (killed < 0)
		return killed;
	shielded = hilo_shield_enter() == 0;
	(void)wait_reaped(process, HILO_FOREVER);
	if (shielded)
		(void)hilo_shield_leave();
	return rc == -EAGAIN ? 0 : rc;
}

/* [keeper] In dumps, and in what is told of a runtime that does not end. */
static void keeper_name(const struct hilo_process *process)
{
	char name[48];

	(void)snprintf(name, sizeof(name), "process %d %s", process->pid, process->name);
	(void)hilo_task_set_name(hilo_task_current(), name);
}

static int keeper_main(void *arg)
{
	struct hilo_process *process = arg;

	process->keeper_began = true;
	(void)hilo_shield_enter();
	(void)hilo_event_wait(&process->begun, HILO_FOREVER); /* I3 */
	(void)hilo_shield_leave();
	if (process->pidfd < 0)
		return 0;
	keeper_name(process);
	if (wait_reaped(process, HILO_FOREVER) < 0) {
		(void)hilo_shield_enter();
		(void)hilo__process_end(process, HILO_FOREVER);
		(void)hilo_shield_leave();
	}
	return 0;
}

/* [any] The keeper has ended, or was cancelled before it began. */
static void keeper_gone(void *arg)
{
	struct hilo_process *process = arg;
	bool left;

	spin_lock(&process->lock);
	process->kept = false;
	left = process->state == PROCESS_RUNS &&
	       (!process->owned || (!process->keeper_began && process->end != HILO_PROCESS_DETACH));
	spin_unlock(&process->lock);
	if (left)
		hilo__process_abandon(process);
	else
		hilo__process_unref(process);
}

int hilo__process_keep(struct hilo_process *process, const void *site)
{
	struct task_spec spec = {.entry = keeper_main, .arg = process, .site = site};
	hilo_task_opts opts = {.size = sizeof(opts), .name = process->name, .destroy = keeper_gone};
	struct thread *self = thread_self();
	int rc;

	process_ref(process);
	process->kept = true;
	if (self->loop && self->loop->runtime == process->runtime)
		rc = hilo__spawn(&spec, &opts, &process->keeper);
	else
		rc = hilo__submit(process->runtime, &spec, &opts, &process->keeper);
	if (rc < 0) {
		process->kept = false;
		hilo__process_unref(process);
	}
	return rc;
}

int hilo__process_thread(void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t before;
	int rc;

	(void)pthread_attr_init(&attr); /* of Linux: neither fails nor takes memory */
	(void)pthread_attr_setstacksize(&attr, THREAD_STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	hilo__signals_block(&before);
	rc = hilo__sys_pthread_create(&thread, &attr, main, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return rc;
}

/* [plain thread] End it, or wait for its own end. */
static void *abandon_main(void *arg)
{
	struct hilo_process *process = arg;

	(void)pthread_setname_np(pthread_self(), "hilo-process");
	if (process->end == HILO_PROCESS_DETACH || hilo__process_end(process, HILO_FOREVER) < 0)
		(void)wait_reaped(process, HILO_FOREVER);
	hilo__process_unref(process);
	return NULL;
}

/* There is no thread for it. */
static void abandon_here(struct hilo_process *process)
{
	struct pollfd poll = {.fd = process->pidfd, .events = POLLIN};

	if (process->end == HILO_PROCESS_DETACH || hilo__process_kill(process) < 0) {
		hilo__log(HILO_LOG_WARNING,
			  "%s, process %d, is left running, and there is no thread to wait for its end",
			  process->name, process->pid);
	} else {
		while (hilo__process_look(process) == 0)
			(void)hilo__sys_ppoll(&poll, 1, NULL);
	}
	hilo__process_unref(process);
}

void hilo__process_abandon(struct hilo_process *process)
{
	if (process->end == HILO_PROCESS_KILL)
		(void)hilo__process_kill(process);
	if (hilo__process_thread(abandon_main, process) < 0)
		abandon_here(process);
}
