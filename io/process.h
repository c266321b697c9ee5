/* SPDX-License-Identifier: MIT */
#ifndef HILO_IO_PROCESS_H
#define HILO_IO_PROCESS_H

#include <hilo/io/stream.h>
#include <hilo/runtime/types.h>
#include <hilo/runtime/with.h>

HILO_BEGIN_DECLS

/*
 * process.h - other programs: start them, talk to them, wait for them, end them.
 *
 *	const char *argv[] = {"sort", "-n", NULL};
 *	hilo_process_io io = {.size = sizeof(io), .input = text, .input_size = strlen(text)};
 *	int rc = hilo_process_run(argv, NULL, &io, hilo_after(5 * HILO_SECOND));
 *
 *	if (rc == 0)
 *		printf("%d: %s", io.status, io.out);
 *	hilo_process_io_free(&io);
 *
 * Failure    What keeps the program from being executed is the failure of the spawn, with a message that names it:
 *            -ENOENT, -EACCES, -ENOEXEC (neither a program nor a script with #!), -E2BIG, a directory that is not
 *            there. Nothing is left then, no process and no descriptor.
 * Status     What a program exits with, 0 to 255; or, if a signal has ended it, that signal's number, negative.
 * Signals    The program begins with no signal blocked, and with each one's default action, whatever the caller has
 *            set. The library has no handler of SIGCHLD and no list of processes; it waits for its own alone.
 * Descriptors  The program has those that it is given, and no others.
 * The end    hilo_process_free, and the end of the runtime, end a process that runs in the way that its options
 *            say; by default it is killed. Nobody who ends is left as a zombie: it is reaped in the background, by a
 *            task of the runtime that is named after it.
 *
 * Linux 5.4 and later; before, -ENOSYS. All calls answer -EINVAL for a NULL process, but for hilo_process_free and
 * those that return something else.
 */
typedef struct hilo_process hilo_process;

/* What standard input, output and error of a program are. */
enum hilo_stdio {
	HILO_STDIO_INHERIT = 0, /* the caller's */
	HILO_STDIO_PIPE = 1,	/* a stream of the process: hilo_process_stdin and so on */
	HILO_STDIO_NULL = 2,	/* /dev/null */
	HILO_STDIO_FD = 3,	/* the descriptor that is named beside it; borrowed for the spawn */
	HILO_STDIO_STDOUT = 4	/* of standard error: the same as standard output */
};

/* What happens to a process that runs when it is freed, or closed, or when its runtime ends. */
enum hilo_process_end {
	HILO_PROCESS_KILL = 0, /* SIGKILL */
	HILO_PROCESS_TERMINATE =
		1, /* SIGTERM, or another one, and SIGKILL if it has not ended after a time of grace */
	HILO_PROCESS_DETACH = 2 /* it goes on by itself */
};

/* A descriptor @fd that the program has as number @as. Borrowed for the spawn. */
typedef struct hilo_fd_as {
	int fd;
	int as;
} hilo_fd_as;

/* A process group of its own; it gets the signals of its end as a whole. */
#define HILO_PROCESS_GROUP 1u
/* A session of its own, and so a group: no terminal, no Ctrl-C. */
#define HILO_PROCESS_SESSION 2u
/*
 * The kernel kills it when this process dies, however that happens. Costs a thread that waits as long as it runs.
 * Does not last over the execution of a program that gains privileges.
 */
#define HILO_PROCESS_DIES_WITH_US 4u
/* What is not closed on exec is left open in it. */
#define HILO_PROCESS_KEEP_FDS 8u
/* Signals that this process ignores it ignores, too (nohup). */
#define HILO_PROCESS_KEEP_IGNORED 16u
/* Its umask is `umask`. */
#define HILO_PROCESS_UMASK 32u

/* Zero means the default in every field but `size`. */
typedef struct hilo_process_opts {
	size_t size; /* sizeof(hilo_process_opts) */
	/* Whose pollers serve its streams, and who reaps it; default the caller's, and none for a plain thread. */
	hilo_runtime *runtime;
	enum hilo_stdio in, out, err;
	int in_fd, out_fd, err_fd;	/* with HILO_STDIO_FD */
	const hilo_fd_as *fds;		/* more descriptors, each `as` 3 or more, and once */
	size_t fds_count;		/* how many */
	const char *program;		/* what is executed, if it is not argv[0] */
	const char *cwd;		/* where it begins; default where we are */
	const char *const *env;		/* "NAME=value", ends with NULL; default what we have */
	const char *const *env_add;	/* likewise, over those; "NAME" alone takes one away */
	const hilo_stream_opts *stream; /* limits of its streams; its runtime is not looked at */
	hilo_time grace;		/* of HILO_PROCESS_TERMINATE; default 5 s */
	enum hilo_process_end end;
	unsigned flags; /* HILO_PROCESS_* above */
	unsigned umask; /* with HILO_PROCESS_UMASK */
	int end_signal; /* of HILO_PROCESS_TERMINATE; default SIGTERM */
} hilo_process_opts;

/*
 * [task, plain thread; suspends] Execute argv[0] with the arguments @argv, which ends with NULL, and have the process
 * in *@ret, to be ended with hilo_process_free. A name without a slash is looked for in the directories of PATH, as
 * it is in the program's environment, seen from its directory. In a task a thread of the default executor does it,
 * since the thread that starts a process sleeps until the program is executed, half a millisecond mostly.
 *
 * 0. What execution answers, as above, and what the options are wrong in; -EINVAL, -E2BIG (options); -EAGAIN: the
 * limit of processes, or no thread; -EMFILE, -ENFILE; -ENOMEM; -EBADF: a descriptor that is not open; -EDEADLK: in a
 * callback, or a plain thread wants pipes and names no runtime; HILO_ECLOSED: the runtime ends; -ETIMEDOUT,
 * -ECANCELED: it was not begun. Once the process is being made this is waited for, and a cancel is seen by the next
 * call.
 */
HILO_API HILO_MUST_CHECK int hilo_process_spawn(const char *const *argv, const hilo_process_opts *opts,
						hilo_process **ret, hilo_time deadline);

/* [task, plain thread; suspends] The same for /bin/sh -c @command. A command that is not found is a status of 127. */
HILO_API HILO_MUST_CHECK int hilo_process_shell(const char *command, const hilo_process_opts *opts,
						hilo_process **ret, hilo_time deadline);

/*
 * [any] Consumes @process, and ends it as its options say, without waiting; its streams are aborted. Who waits for it
 * is told how it ended; nobody may communicate with it. NULL: no-op.
 */
HILO_API void hilo_process_free(hilo_process *process);

/*
 * [task, plain thread; suspends] End the process as its options say, and wait until it was reaped: its input ends; if
 * it is to be terminated it has its time of grace, which ends early at @deadline, or by a cancel. The object stays.
 * 0, also for one that is detached, at once; -ETIMEDOUT, -ECANCELED: that was so, and it was killed; -EDEADLK;
 * -EPERM: it cannot be killed, having become another user's, and runs on.
 */
HILO_API int hilo_process_close(hilo_process *process, hilo_time deadline);

/* Leaves by hilo_process_close with a limit of 10 s over the time of grace: for HILO_WITH. */
HILO_API extern const hilo_manager hilo_process_manager;

/* A block with @process, which is closed when it is left: HILO_WITH in runtime/with.h says the rest. */
#define HILO_WITH_PROCESS(process, code) HILO_WITH (&hilo_process_manager, process, code)

/*
 * [any, suspends] Wait until the process has ended, and have its status in *@status, which may be NULL. By any
 * number, any number of times. 0; -ECHILD: it has ended, and nobody knows how, for somebody else in this process has
 * waited for it, or SIGCHLD is ignored (from Linux 6.15 on the kernel tells all the same); -ETIMEDOUT, -ECANCELED,
 * -EDEADLK; others as hilo_fd_wait.
 */
HILO_API int hilo_process_wait(hilo_process *process, int *status, hilo_time deadline);

/* [any] 1, and *@status (or NULL): it has ended; 0: it runs; -ECHILD as above. Never waits. */
HILO_API int hilo_process_poll(hilo_process *process, int *status);

/*
 * [any] Send it the signal @signo; 0 for @signo: see whether that could be done. Never sent to another process that
 * has got its number since. 0; -ESRCH: it has ended; -EPERM; -EINVAL: there is no such signal.
 */
HILO_API int hilo_process_send_signal(hilo_process *process, int signo);
HILO_API int hilo_process_terminate(hilo_process *process); /* SIGTERM */
HILO_API int hilo_process_kill(hilo_process *process);	    /* SIGKILL */

/*
 * [any] The same to all of its group, while it has not been reaped itself. -EOPNOTSUPP: it has no group of its own.
 */
HILO_API int hilo_process_signal_group(hilo_process *process, int signo);

/* [any] Its number; that may be another process's once this one has ended. */
HILO_API int hilo_process_pid(const hilo_process *process);

/* [any] A descriptor that is readable once it has ended (pidfd_open); borrowed until hilo_process_free. */
HILO_API int hilo_process_fd(const hilo_process *process);

/* [any] Its streams, borrowed until hilo_process_free; NULL: that is no pipe. */
HILO_API hilo_stream *hilo_process_stdin(const hilo_process *process);
HILO_API hilo_stream *hilo_process_stdout(const hilo_process *process);
HILO_API hilo_stream *hilo_process_stderr(const hilo_process *process);

/* The process is killed when its communication ends early. */
#define HILO_COMMUNICATE_KILL 1u

/* What is said to a program, and what it says. Fields that are not named have to be zero. */
typedef struct hilo_process_io {
	size_t size;	   /* sizeof(hilo_process_io) */
	const void *input; /* borrowed for the call */
	size_t input_size;
	size_t limit;	/* bytes of output, and of errors, at most; 0: 64 MiB */
	unsigned flags; /* HILO_COMMUNICATE_* */

	/* What came of it. A NUL stands behind each text; NULL: it is no pipe, or was never read. */
	int status;
	char *out;
	size_t out_size;
	char *err;
	size_t err_size;
} hilo_process_io;

/*
 * [task, plain thread; suspends] Write all of the input, and its end; read output and errors to their ends; all at
 * the same time, so that nobody waits for the other; and wait for the end of the process. What is no pipe is left
 * out. A program that does not read all of its input is no failure.
 *
 * 0: the status, and what was read, is in @io, to be ended with hilo_process_io_free. Otherwise @io is as it was, and
 * nothing is lost: the same call, made again with the same input, goes on, and hilo_process_take_output has what was
 * read so far. -EMSGSIZE, with a message: more than the limit; -ETIMEDOUT, -ECANCELED; -EBUSY: somebody else does
 * this, or reads; -EDEADLK, in a callback; -ENOMEM; -ECHILD as hilo_process_wait.
 * The pipes end when the last one closes them who has them: a process that the program has left behind may be that.
 */
HILO_API int hilo_process_communicate(hilo_process *process, hilo_process_io *io, hilo_time deadline);

/* [any] What communications that have ended early have read so far, into @io; it is the caller's then. 0; -EBUSY. */
HILO_API int hilo_process_take_output(hilo_process *process, hilo_process_io *io);

/* [owner] Give back what is in @io, which may be used again. NULL: no-op. */
HILO_API void hilo_process_io_free(hilo_process_io *io);

/*
 * [task, plain thread; suspends] Run a program from begin to end. With @opts NULL it has pipes for output and errors,
 * and for its input if @io has some, /dev/null else; with options it is as they say, but its input is a pipe if @io
 * has some. 0 when it was run, whatever its status is. When that ends early the process is killed, and has ended when
 * this returns, unless it has become another user's; what it had said by then is in @io, to be freed in any case.
 * Codes of hilo_process_spawn and hilo_process_communicate.
 */
HILO_API int hilo_process_run(const char *const *argv, const hilo_process_opts *opts, hilo_process_io *io,
			      hilo_time deadline);

HILO_END_DECLS

#endif /* HILO_IO_PROCESS_H */
