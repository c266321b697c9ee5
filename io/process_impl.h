/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_PROCESS_IMPL_H
#define HILO_IO_PROCESS_IMPL_H

/*
 * process_impl.h - a process, who starts it, and who reaps it.
 *
 *	process_open.c   what the caller asks for, as what the child needs: texts, tables, descriptors
 *	process_spawn.c  the child is made, on which thread
 *	process_child.c  what it does up to its program; shares our memory meanwhile
 *	process.c        the object: waiting, signals
 *	process_keep.c   who reaps it when nobody waits, and its end
 *	process_talk.c   communication
 *
 * The kernel tells of the end by a descriptor, the pidfd, which is waited for like any other; so there is no handler
 * of SIGCHLD, and nobody else's children are waited for. Whoever finds the process ended first reaps it, under the
 * lock, and keeps the status: a waiter, one who polls, or the keeper. The keeper is a task of the runtime, which
 * waits for nothing else; it is there before the process is, so that nothing can fail after. When it is cancelled, by
 * the end of the runtime or by hilo_process_free, it ends the process first. Who has no runtime has no keeper:
 * hilo_process_free starts a thread for a process that runs.
 *
 * I1  `state`, `code`, `owned` and `kept` change under the lock. A process is ENDED once, and is then reaped. It is
 *     signalled by its number only under the lock, before that: the number is its own as long as it is not reaped.
 *     The lock is held over waitid and kill, which do not wait.
 * I2  refs: the owner, the keeper, the thread that has started it or ends it, and each call that waits. The last one
 *     closes the pidfd.
 * I3  The keeper goes on only after `begun`, which is set by the one who spawns, whatever has come of it.
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended.
 *
 * Rejected: posix_spawn. It cannot tell a directory from a program that is missing, closes no descriptors by range,
 * and gives no pidfd in the C libraries that we build with; a number that is opened later may be another's by then,
 * if SIGCHLD is ignored. Rejected: fork. It copies the tables of all stacks, and runs the handlers of pthread_atfork.
 * Rejected: a thread for each process that waits for it, or one for all: the poller is there for that.
 */
#include <hilo/io/process.h>
#include <hilo/sync/event.h>

#include "runtime/contend_impl.h"
#include "runtime/debug_impl.h"

enum process_state {
	PROCESS_NONE, /* not begun, or could not be */
	PROCESS_RUNS,
	PROCESS_ENDED,
};

/* What was read of an output. */
struct process_text {
	char *data;
	size_t size, room;
	bool over; /* to the end */
};

struct hilo_process {
	struct spinlock lock;
	atomic(uint32_t) refs; /* I2 */
	enum process_state state;
	int code;	   /* ENDED: the status ... */
	bool lost;	   /* ... unless nobody knows it */
	bool owned;	   /* hilo_process_free was not called */
	bool kept;	   /* the keeper runs, or will */
	bool keeper_began; /* the keeper's: else its runtime has ended before that */
	bool talks;	   /* somebody is in hilo_process_communicate */
	bool has_group;
	bool ends_with_us;
	int pid, pidfd;
	enum hilo_process_end end;
	int end_signal;
	hilo_time grace;
	struct hilo_runtime *runtime; /* NULL: none */
	hilo_task *keeper;	      /* NULL: there never was one */
	hilo_event begun;	      /* I3 */
	hilo_stream *stream[3];
	struct process_text text[3];
	size_t fed; /* bytes of the input that were taken */
	struct debug_mark open;
	char name[16]; /* of the program */
};

/* One descriptor of the program. */
struct spawn_map {
	int from, to;
	bool may_be_closed; /* inherited, and we may have none */
};

/* Where a child has failed. */
enum spawn_stage {
	SPAWN_PROGRAM,
	SPAWN_DESCRIPTORS,
	SPAWN_FOLDER,
	SPAWN_SESSION,
};

/* What is to be executed, and how. Belongs to who spawns; the child writes `error` and `stage`, and uses `stack`. */
struct spawn {
	const char *call;
	const char *const *argv;
	const char *const *env;
	const char *program;
	const char *const *paths; /* the files to try, in order; ends with NULL */
	const char *folder;
	struct spawn_map *map;
	size_t maps;
	int limit; /* above all descriptors that the program has */
	unsigned flags, umask;
	unsigned most; /* descriptors there may be */
	pid_t parent;
	int error; /* of the child, below 0; 0: it has executed its program */
	enum spawn_stage stage;
	char *stack;
	struct hilo_process *process;
	hilo_event done; /* of a thread that spawns */
	int result;

	/* process_open.c */
	int ours[3];   /* our ends of pipes; -1 */
	int theirs[3]; /* what is closed afterwards; -1 */
	int null;
	void *tables;
	void *texts;
};

/* Enough for the child: it has no large frames, and none of a sanitizer's. */
#define SPAWN_STACK_SIZE ((size_t)32 * 1024)

/* [any] What @opts, which were read, and @argv say, in @spawn, to be ended with hilo__spawn_close. 0 or a failure. */
int hilo__spawn_open(struct spawn *spawn, const char *const *argv, const hilo_process_opts *opts);

/* [who has opened it] Close and free what is left of it. */
void hilo__spawn_close(struct spawn *spawn);

/* [task, plain thread; suspends] Execute it: 0, and spawn->process runs; or a failure, with a message. */
int hilo__spawn_run(struct spawn *spawn, hilo_time deadline);

/* [child] From its first step to its program. Only returns by failing: what is left then is to exit. */
void hilo__child_run(struct spawn *spawn);

/* process.c */

static inline void process_ref(struct hilo_process *process)
{
	(void)add_relaxed(&process->refs, 1); /* relaxed: made from one that is held */
}

/* [holder of a reference] One less. */
void hilo__process_unref(struct hilo_process *process);

/* [holder of a reference] Reap it, if it has ended. 1: it has; 0; less: that cannot be told. */
int hilo__process_look(struct hilo_process *process);

/* [holder of a reference] Signal it, or its group if it has one. 0 or less. */
int hilo__process_signal(struct hilo_process *process, int signo);

/*
 * [holder of a reference] Kill it, and its group if it has one. 0: it ends, or has ended; -EPERM: it has become
 * another user's, and need not end.
 */
int hilo__process_kill(struct hilo_process *process);

/* process_keep.c */

/* [who spawns] Have a keeper in the process's runtime, which is not NULL. 0, -ENOMEM, HILO_ECLOSED. */
int hilo__process_keep(struct hilo_process *process, const void *site);

/*
 * [task, plain thread; suspends] End it as its options say. 0: reaped, or detached; -EPERM: it cannot be killed; else
 * not yet.
 */
int hilo__process_end(struct hilo_process *process, hilo_time deadline);

/* [any; consumes a reference] Nobody else sees to its end. Does not wait, unless there is no thread for that. */
void hilo__process_abandon(struct hilo_process *process);

/* [who spawns] A plain thread, detached, in no pool, with all signals blocked. 0, -EAGAIN. */
int hilo__process_thread(void *(*main)(void *arg), void *arg);

#endif /* HILO_IO_PROCESS_IMPL_H */
