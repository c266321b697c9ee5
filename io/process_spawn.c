/* SPDX-License-Identifier: MIT */
/*
 * process_spawn.c - making a child. The thread that does so sleeps until the child executes its program or has
 * failed: it shares our memory, and uses what lies on our side. So in a task that is a thread of the executor: a
 * worker would run nothing else until then, and a disk may be slow.
 *
 * What kills a child with its parent (PR_SET_PDEATHSIG) is sent when the thread ends that has made it, not the
 * process. A child that asks for it is made by a thread of its own therefore, which stays as long as the child runs.
 */
#include "io/process_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error_impl.h"
#include "runtime/io_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define GRACE_DEFAULT (5 * HILO_SECOND)
#define PROCESS_FLAGS                                                                                        \
	(HILO_PROCESS_GROUP | HILO_PROCESS_SESSION | HILO_PROCESS_DIES_WITH_US | HILO_PROCESS_KEEP_FDS |     \
	 HILO_PROCESS_KEEP_IGNORED | HILO_PROCESS_UMASK)

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

__attribute__((no_sanitize("address", "thread", "undefined"))) static int child_main(void *arg)
{
	hilo__child_run(arg);
	(void)syscall(SYS_exit_group, 127);
	return 127;
}

/* The child has failed, and is gone: what it has said. */
static int spawn_failed(const struct spawn *spawn)
{
	const char *text = hilo_strerror(spawn->error);

	switch (spawn->stage) {
	case SPAWN_DESCRIPTORS:
		return hilo_fail(spawn->error, "%s: %s: its descriptors: %s", spawn->call, spawn->argv[0],
				 text);
	case SPAWN_FOLDER:
		return hilo_fail(spawn->error, "%s: %s: the directory %s: %s", spawn->call, spawn->argv[0],
				 spawn->folder, text);
	case SPAWN_SESSION:
		return hilo_fail(spawn->error, "%s: %s: its session or group: %s", spawn->call,
				 spawn->argv[0], text);
	case SPAWN_PROGRAM:
		break;
	}
	return hilo_fail(spawn->error, "%s: %s: %s", spawn->call, spawn->program, text);
}

/* All signals, those of the C library too: no handler may run in the child. */
static void signals_block(uint64_t *before)
{
	uint64_t all = ~UINT64_C(0);

	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, before, sizeof(all));
}

static void signals_restore(const uint64_t *before)
{
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, sizeof(*before));
}

/* [any thread] Make the child, and sleep until its program is executed. 0, or a failure with its message. */
static int spawn_make(void *arg)
{
	struct spawn *spawn = arg;
	struct hilo_process *process = spawn->process;
	siginfo_t info;
	uint64_t before;
	int pidfd = -1, pid;

	spawn->parent = getpid();
	signals_block(&before);
	pid = hilo__sys_clone(child_main, spawn->stack + SPAWN_STACK_SIZE,
			      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, spawn, &pidfd);
	signals_restore(&before);
	if (pid < 0)
		return hilo_fail(pid, "%s: %s: no process: %s", spawn->call, spawn->argv[0],
				 hilo_strerror(pid));
	if (spawn->error < 0) {
		while (hilo__sys_waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) == -EINTR)
			;
		(void)hilo__sys_close(pidfd);
		return spawn_failed(spawn);
	}
	spin_lock(&process->lock);
	process->pid = pid;
	process->pidfd = pidfd;
	process->state = PROCESS_RUNS;
	spin_unlock(&process->lock);
	return 0;
}

/* The thread that a process dies with. */
static void *anchor_main(void *arg)
{
	struct spawn *spawn = arg;
	struct hilo_process *process = spawn->process;
	struct pollfd poll = {.events = POLLIN};
	int rc;

	spawn->result = spawn_make(spawn);
	rc = spawn->result;
	poll.fd = process->pidfd;
	(void)hilo_event_set(&spawn->done); /* from here on it may be gone */
	while (rc == 0 && hilo__sys_ppoll(&poll, 1, NULL) != 1)
		;
	hilo__process_unref(process);
	return NULL;
}

static int spawn_anchored(struct spawn *spawn)
{
	bool shielded;
	int rc;

	if (!thread_self()->loop && !hilo__thread_record(thread_self()))
		return -ENOMEM;
	process_ref(spawn->process);
	rc = hilo__process_thread(anchor_main, spawn);
	if (rc < 0) {
		hilo__process_unref(spawn->process);
		return hilo_fail(rc, "%s: %s: no thread for it: %s", spawn->call, spawn->argv[0],
				 hilo_strerror(rc));
	}
	shielded = hilo_shield_enter() == 0;
	(void)hilo_event_wait(&spawn->done, HILO_FOREVER);
	if (shielded)
		(void)hilo_shield_leave();
	/* What the thread has said is its own. */
	return spawn->result < 0 && spawn->error < 0 ? spawn_failed(spawn) : spawn->result;
}

int hilo__spawn_run(struct spawn *spawn, hilo_time deadline)
{
	struct thread *self = thread_self();

	if (contend_is_interrupted(self))
		return hilo__error_own(-ECANCELED);
	if (spawn->flags & HILO_PROCESS_DIES_WITH_US)
		return spawn_anchored(spawn);
	return self->loop ? hilo_to_thread(spawn_make, spawn, deadline) : spawn_make(spawn);
}

/* Its last component, cut. */
static void process_name(struct hilo_process *process, const char *program)
{
	const char *slash = strrchr(program, '/');

	(void)snprintf(process->name, sizeof(process->name), "%s", slash && slash[1] ? slash + 1 : program);
}

static struct hilo_process *process_new(const hilo_process_opts *opts, const char *program, const void *site)
{
	struct hilo_process *process = hilo__calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	spin_init(&process->lock);
	atomic_setup(&process->refs, 1);
	process->owned = true;
	process->pidfd = -1;
	process->end = opts->end;
	process->end_signal = opts->end_signal ? opts->end_signal : SIGTERM;
	process->grace = opts->grace ? opts->grace : GRACE_DEFAULT;
	process->has_group = opts->flags & (HILO_PROCESS_GROUP | HILO_PROCESS_SESSION);
	process->runtime = opts->runtime;
	process_name(process, program);
	debug_opened(&process->open, process->runtime, DEBUG_PROCESS, site);
	return process;
}

/* Our ends of its pipes, as streams. */
static int process_streams(struct hilo_process *process, struct spawn *spawn, const hilo_process_opts *opts)
{
	hilo_stream_opts stream = {.size = sizeof(stream)};
	int rc = opts->stream ? SIZED_IN(hilo_stream_opts, &stream, opts->stream, low) : 0;

	stream.runtime = process->runtime;
	for (int i = 0; i < 3 && rc == 0; i++) {
		if (spawn->ours[i] < 0)
			continue;
		rc = hilo_stream_from_fd(spawn->ours[i], &stream, &process->stream[i]);
		if (rc == 0)
			spawn->ours[i] = -1;
	}
	return rc;
}

/* All that can fail before there is a child; then that. */
static int process_begin(struct spawn *spawn, const hilo_process_opts *opts, const void *site,
			 hilo_time deadline)
{
	struct hilo_process *process = spawn->process;
	int rc = process_streams(process, spawn, opts);

	if (rc == 0 && process->runtime)
		rc = hilo__process_keep(process, site);
	if (rc == 0)
		rc = hilo__spawn_run(spawn, deadline);
	(void)hilo_event_set(&process->begun); /* I3 */
	return rc;
}

static int opts_read(const char *call, hilo_process_opts *to, const hilo_process_opts *from)
{
	int rc = 0;

	memset(to, 0, sizeof(*to));
	if (from)
		rc = SIZED_IN(hilo_process_opts, to, from, end_signal);
	if (rc < 0)
		return rc;
	if (to->flags & ~PROCESS_FLAGS || (unsigned)to->end > HILO_PROCESS_DETACH || to->grace < 0)
		return hilo_fail(-EINVAL, "%s: flags %#x, end %d, grace %lld ns", call, to->flags,
				 (int)to->end, (long long)to->grace);
	if (to->end_signal < 0 || to->end_signal > SIGRTMAX)
		return hilo_fail(-EINVAL, "%s: end_signal %d", call, to->end_signal);
	if (!to->runtime)
		to->runtime = hilo__io_runtime();
	return 0;
}

static int process_spawn(const char *call, const char *const *argv, const hilo_process_opts *from,
			 const void *site, hilo_process **ret, hilo_time deadline)
{
	struct spawn spawn = {.call = call};
	struct thread *self = thread_self();
	hilo_process_opts opts;
	int rc;

	if (!argv || !argv[0] || !ret)
		return hilo_fail(-EINVAL, "%s: %s", call, !ret ? "ret is NULL" : "there is no argv[0]");
	if (self->loop ? !self->task : self->closing != NULL)
		return hilo_fail(-EDEADLK, "%s: a callback cannot wait for it", call);
	rc = opts_read(call, &opts, from);
	if (rc < 0)
		return rc;
	rc = hilo__spawn_open(&spawn, argv, &opts);
	if (rc == 0) {
		spawn.process = process_new(&opts, spawn.program, site);
		rc = spawn.process ? process_begin(&spawn, &opts, site, deadline) : -ENOMEM;
	}
	hilo__spawn_close(&spawn);
	if (rc == 0)
		*ret = spawn.process;
	else
		hilo_process_free(spawn.process);
	return rc;
}

int hilo_process_spawn(const char *const *argv, const hilo_process_opts *opts, hilo_process **ret,
		       hilo_time deadline)
{
	return process_spawn("hilo_process_spawn", argv, opts, __builtin_return_address(0), ret, deadline);
}

int hilo_process_shell(const char *command, const hilo_process_opts *opts, hilo_process **ret,
		       hilo_time deadline)
{
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};

	if (!command)
		return hilo_fail(-EINVAL, "hilo_process_shell: command is NULL");
	return process_spawn("hilo_process_shell", argv, opts, __builtin_return_address(0), ret, deadline);
}
