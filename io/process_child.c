/* SPDX-License-Identifier: MIT */
/*
 * process_child.c - a child from its first step to its program.
 *
 * It runs in our memory, on a stack of its own, while the thread that has made it sleeps in the kernel (CLONE_VM and
 * CLONE_VFORK); other threads go on. Its descriptors, signal actions, directory and umask are copies, its
 * thread-local variables are those of the sleeping thread. So it asks for no memory, takes no lock, and calls nothing
 * that keeps books: the system calls are made bare, for sanitizers watch those of the C library, and would take the
 * closing of a descriptor for the parent's. What it has to tell it writes into *spawn.
 *
 * Signals: all are blocked when it begins, by the thread that makes it, for a handler of ours would run in our
 * memory. First every action becomes the default one, and only then is nothing blocked any more.
 *
 * Descriptors: first all from 3 on are to be closed by exec, whoever has opened them; then those that the program is
 * to have are put in their places, which clears that mark. One that lies where another one is to be is moved out of
 * the way before.
 */
#include "io/process_impl.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "scheduler/base/sys.h"

#define CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

/* Of the kernel: signals have the numbers 1 to 64. Its sigset has as many bits. */
#define CHILD_SIGNALS 64
#define CHILD_SIGSET_SIZE 8

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* As the kernel has it, whichever fields are where; all zero is the default action. */
struct child_action {
	uintptr_t handler;
	uintptr_t more[7];
};

CHILD static bool child_failed(struct spawn *spawn, enum spawn_stage stage, long rc)
{
	spawn->stage = stage;
	spawn->error = (int)rc;
	return false;
}

/* No handler of ours is called any more. */
CHILD static void child_signals(const struct spawn *spawn)
{
	struct child_action action, none;
	bool keep = spawn->flags & HILO_PROCESS_KEEP_IGNORED;

	none.handler = 0;
	for (size_t i = 0; i < array_size(none.more); i++)
		none.more[i] = 0;
	for (int signo = 1; signo <= CHILD_SIGNALS; signo++) {
		if (keep && syscall(SYS_rt_sigaction, signo, NULL, &action, CHILD_SIGSET_SIZE) == 0 &&
		    action.handler == (uintptr_t)SIG_IGN)
			continue;
		(void)syscall(SYS_rt_sigaction, signo, &none, NULL, CHILD_SIGSET_SIZE);
	}
}

CHILD static void child_unblock(void)
{
	uint64_t none = 0;

	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, CHILD_SIGSET_SIZE);
}

/* Session, group, what happens to it when we die. */
CHILD static bool child_place(struct spawn *spawn)
{
	long rc = 0;

	if (spawn->flags & HILO_PROCESS_SESSION)
		rc = sys_result(syscall(SYS_setsid));
	else if (spawn->flags & HILO_PROCESS_GROUP)
		rc = sys_result(syscall(SYS_setpgid, 0, 0));
	if (rc >= 0 && spawn->flags & HILO_PROCESS_DIES_WITH_US) {
		rc = sys_result(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
		if (rc >= 0 && syscall(SYS_getppid) != spawn->parent)
			rc = -ESRCH; /* that was too late, and nobody reads this */
	}
	return rc >= 0 || child_failed(spawn, SPAWN_SESSION, rc);
}

/* All from 3 on are closed by exec. */
CHILD static void child_close_later(const struct spawn *spawn)
{
	if (spawn->flags & HILO_PROCESS_KEEP_FDS ||
	    syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	for (unsigned fd = 3; fd < spawn->most; fd++) /* before Linux 5.11 */
		(void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

CHILD static bool child_descriptors(struct spawn *spawn)
{
	long rc;

	child_close_later(spawn);
	for (size_t i = 0; i < spawn->maps; i++) {
		struct spawn_map *map = &spawn->map[i];

		if (map->from == map->to || map->from >= spawn->limit)
			continue;
		rc = sys_result(syscall(SYS_fcntl, map->from, F_DUPFD_CLOEXEC, spawn->limit));
		if (rc < 0 && !map->may_be_closed)
			return child_failed(spawn, SPAWN_DESCRIPTORS, rc);
		map->from = (int)rc;
	}
	for (size_t i = 0; i < spawn->maps; i++) {
		struct spawn_map *map = &spawn->map[i];

		if (map->from == map->to)
			rc = sys_result(syscall(SYS_fcntl, map->from, F_SETFD, 0));
		else
			rc = sys_result(syscall(SYS_dup3, map->from, map->to, 0));
		if (rc < 0 && !map->may_be_closed)
			return child_failed(spawn, SPAWN_DESCRIPTORS, rc);
	}
	return true;
}

/* As execvp, but that a file of an unknown form is not given to the shell. */
CHILD static long child_exec(const struct spawn *spawn)
{
	long rc = -ENOENT;
	bool refused = false;

	for (const char *const *path = spawn->paths; *path; path++) {
		rc = sys_result(syscall(SYS_execve, *path, spawn->argv, spawn->env));
		if (rc == -EACCES)
			refused = true;
		else if (rc != -ENOENT && rc != -ENOTDIR && rc != -ESTALE && rc != -ENODEV &&
			 rc != -ETIMEDOUT)
			return rc;
	}
	return refused ? -EACCES : rc;
}

CHILD void hilo__child_run(struct spawn *spawn)
{
	long rc;

	child_signals(spawn);
	if (!child_place(spawn))
		return;
	if (spawn->flags & HILO_PROCESS_UMASK)
		(void)syscall(SYS_umask, spawn->umask);
	if (!child_descriptors(spawn))
		return;
	rc = spawn->folder ? sys_result(syscall(SYS_chdir, spawn->folder)) : 0;
	if (rc < 0) {
		(void)child_failed(spawn, SPAWN_FOLDER, rc);
		return;
	}
	child_unblock();
	(void)child_failed(spawn, SPAWN_PROGRAM, child_exec(spawn));
}
