/* SPDX-License-Identifier: MIT */
/* process.c - a process: waiting for it, signals to it, its end. The protocol is in process_impl.h. */
#include "io/process_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "runtime/error_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* What the kernel tells of a pidfd, as far as we ask: linux/pidfd.h of Linux 6.15. */
struct pidfd_exit {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t status;
};

#define PIDFD_EXIT_MASK 8u
#define PIDFD_EXIT_GET _IOWR(0xff, 11, struct pidfd_exit)

void hilo__process_unref(struct hilo_process *process)
{
	if (sub_acq_rel(&process->refs, 1) != 1) /* P1 */
		return;
	if (process->pidfd >= 0)
		(void)hilo__sys_close(process->pidfd);
	for (int i = 0; i < 3; i++)
		hilo__free(process->text[i].data);
	hilo_task_unref(process->keeper);
	hilo__free(process);
}

/* Somebody else has reaped it. Its status in *@code, if the kernel has kept that. */
static bool code_of_lost(const struct hilo_process *process, int *code)
{
	struct pidfd_exit info = {.mask = PIDFD_EXIT_MASK};

	if (ioctl(process->pidfd, PIDFD_EXIT_GET, &info) < 0 || !(info.mask & PIDFD_EXIT_MASK))
		return false;
	*code = WIFSIGNALED(info.status) ? -WTERMSIG(info.status) : WEXITSTATUS(info.status);
	return true;
}

/* [lock] */
static int process_reap(struct hilo_process *process)
{
	siginfo_t info = {.si_pid = 0};
	int rc;

	do
		rc = hilo__sys_waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG);
	while (rc == -EINTR);
	if (rc < 0 && rc != -ECHILD)
		return rc;
	if (rc == 0 && !info.si_pid)
		return 0;
	if (rc < 0) {
		process->lost = !code_of_lost(process, &process->code);
	} else {
		process->code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	}
	process->state = PROCESS_ENDED;
	return 1;
}

int hilo__process_look(struct hilo_process *process)
{
	int rc = 1;

	spin_lock(&process->lock);
	if (process->state == PROCESS_RUNS)
		rc = process_reap(process);
	spin_unlock(&process->lock);
	return rc;
}

/* It has ended: how. 0, -ECHILD. Written once, and seen under the lock since. */
static int process_status(const struct hilo_process *process, const char *call, int *status)
{
	if (process->lost)
		return hilo_fail(-ECHILD,
				 "%s: %s, process %d, has ended, and somebody else in this program has "
				 "waited for it, or SIGCHLD is ignored",
				 call, process->name, process->pid);
	if (status)
		*status = process->code;
	return 0;
}

static int process_check(const hilo_process *process, const char *call)
{
	return process ? 0 : hilo_fail(-EINVAL, "%s: process is NULL", call);
}

/* [holder of a reference, suspends] */
static int process_wait(struct hilo_process *process, int *status, hilo_time deadline)
{
	int rc;

	if (contend_is_interrupted(thread_self()))
		return hilo__error_own(-ECANCELED);
	for (;;) {
		rc = hilo__process_look(process);
		if (rc > 0)
			return process_status(process, "hilo_process_wait", status);
		if (rc < 0)
			return hilo_fail(rc, "hilo_process_wait: %s, process %d: %s", process->name,
					 process->pid, hilo_strerror(rc));
		rc = hilo_fd_wait(process->pidfd, HILO_READABLE, deadline);
		if (rc < 0)
			break;
	}
	if (rc == -ETIMEDOUT)
		return hilo_fail(rc, "hilo_process_wait: %s, process %d, has not ended", process->name,
				 process->pid);
	return rc;
}

int hilo_process_wait(hilo_process *process, int *status, hilo_time deadline)
{
	int rc = process_check(process, "hilo_process_wait");

	if (rc < 0)
		return rc;
	process_ref(process);
	rc = process_wait(process, status, deadline);
	hilo__process_unref(process);
	return rc;
}

int hilo_process_poll(hilo_process *process, int *status)
{
	int rc = process_check(process, "hilo_process_poll");

	if (rc == 0)
		rc = hilo__process_look(process);
	if (rc <= 0)
		return rc;
	rc = process_status(process, "hilo_process_poll", status);
	return rc < 0 ? rc : 1;
}

/*
 * [lock] One that has ended is not reaped here: who waits for it shall find it. If somebody else has, its number may be
 * that of another group by now.
 */
static int group_signal(struct hilo_process *process, int signo)
{
	if (process->state != PROCESS_RUNS || hilo__sys_pidfd_send_signal(process->pidfd, 0) == -ESRCH)
		return -ESRCH;
	return hilo__sys_kill(-process->pid, signo);
}

int hilo__process_signal(struct hilo_process *process, int signo)
{
	int rc;

	if (!process->has_group)
		return hilo__sys_pidfd_send_signal(process->pidfd, signo);
	spin_lock(&process->lock);
	rc = group_signal(process, signo);
	spin_unlock(&process->lock);
	return rc;
}

int hilo__process_kill(struct hilo_process *process)
{
	int rc;

	if (process->has_group)
		(void)hilo__process_signal(process, SIGKILL);
	rc = hilo__sys_pidfd_send_signal(process->pidfd, SIGKILL); /* it may have left its group */
	return rc == -ESRCH ? 0 : rc;
}

static int signal_failed(const hilo_process *process, const char *call, int signo, int rc)
{
	return rc < 0 ? hilo_fail(rc, "%s: signal %d to %s, process %d: %s", call, signo, process->name,
				  process->pid, hilo_strerror(rc))
		      : 0;
}

static int process_send(hilo_process *process, const char *call, int signo)
{
	int rc = process_check(process, call);

	if (rc < 0)
		return rc;
	/* The kernel would accept one for a zombie. */
	rc = hilo__process_look(process) > 0 ? -ESRCH : hilo__sys_pidfd_send_signal(process->pidfd, signo);
	return signal_failed(process, call, signo, rc);
}

int hilo_process_send_signal(hilo_process *process, int signo)
{
	return process_send(process, "hilo_process_send_signal", signo);
}

int hilo_process_terminate(hilo_process *process)
{
	return process_send(process, "hilo_process_terminate", SIGTERM);
}

int hilo_process_kill(hilo_process *process)
{
	return process_send(process, "hilo_process_kill", SIGKILL);
}

int hilo_process_signal_group(hilo_process *process, int signo)
{
	int rc = process_check(process, "hilo_process_signal_group");

	if (rc < 0)
		return rc;
	rc = process->has_group ? hilo__process_signal(process, signo) : -EOPNOTSUPP;
	return signal_failed(process, "hilo_process_signal_group", signo, rc);
}

int hilo_process_pid(const hilo_process *process)
{
	return process ? process->pid : -EINVAL;
}

int hilo_process_fd(const hilo_process *process)
{
	return process ? process->pidfd : -EINVAL;
}

hilo_stream *hilo_process_stdin(const hilo_process *process)
{
	return process ? process->stream[0] : NULL;
}

hilo_stream *hilo_process_stdout(const hilo_process *process)
{
	return process ? process->stream[1] : NULL;
}

hilo_stream *hilo_process_stderr(const hilo_process *process)
{
	return process ? process->stream[2] : NULL;
}

int hilo_process_close(hilo_process *process, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc = process_check(process, "hilo_process_close");

	if (rc < 0)
		return rc;
	if (self->loop ? !self->task : self->closing != NULL)
		return hilo_fail(-EDEADLK, "hilo_process_close: a callback cannot wait for it");
	if (!self->loop && !hilo__thread_record(self))
		return hilo__error_own(-ENOMEM);
	process_ref(process);
	if (process->stream[0])
		(void)hilo_stream_write_eof(process->stream[0]);
	rc = hilo__process_end(process, deadline);
	hilo__process_unref(process); /* not the last one */
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		return hilo__error_own(rc);
	return signal_failed(process, "hilo_process_close", SIGKILL, rc);
}

static int manager_exit(void *self, int code)
{
	hilo_process *process = self;
	hilo_time grace = process->end == HILO_PROCESS_TERMINATE ? process->grace : 0;
	int rc = hilo_process_close(process, hilo_after(10 * HILO_SECOND + grace));

	return code < 0 ? code : rc < 0 ? rc : code;
}

const hilo_manager hilo_process_manager = {NULL, manager_exit};

void hilo_process_free(hilo_process *process)
{
	bool runs, kept;

	if (!process)
		return;
	debug_ended(&process->open);
	for (int i = 0; i < 3; i++) {
		hilo_stream_free(process->stream[i]);
		process->stream[i] = NULL;
	}
	(void)hilo__process_look(process);
	spin_lock(&process->lock);
	process->owned = false;
	runs = process->state == PROCESS_RUNS;
	kept = process->kept;
	spin_unlock(&process->lock);
	if (runs && !kept) {
		hilo__process_abandon(process);
		return;
	}
	if (runs && process->end == HILO_PROCESS_KILL)
		(void)hilo__process_kill(process);
	if (runs && process->end == HILO_PROCESS_TERMINATE)
		(void)hilo_task_cancel_with(process->keeper, "the process was freed");
	hilo__process_unref(process);
}
