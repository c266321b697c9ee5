/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_RUNTIME_H
#define HILO_RUNTIME_RUNTIME_H

#include <hilo/runtime/types.h>
#include <hilo/runtime/task.h>

HILO_BEGIN_DECLS

/*
 * runtime.h - everything that one hilo_run starts: workers, loops, pools, tasks. Several runtimes
 * may live in one process, one after the other or side by side; there is no default one.
 *
 * hilo_run is a runtime for one task. As an object, which outlives what is run in it, a runtime is made with
 * hilo_runtime_new, used with hilo_submit, hilo_runtime_run_until_complete and hilo_runtime_run_forever,
 * ended with hilo_runtime_close, and given back with hilo_runtime_free. From hilo_runtime_new on its
 * workers run whatever there is to run, whether a thread waits in one of these calls or not.
 *
 * After hilo_runtime_close every call that takes a runtime is still defined: what would run something
 * answers HILO_ECLOSED, figures and configuration stay what they were, there are no tasks and no loops.
 *
 * In a child that fork has made while a runtime ran, that runtime is closed (HILO_ECLOSED), and there are no new ones
 * (-EPERM). In a task, a callback or an executor's call the child can call exec or _exit; if it suspends or returns
 * it is ended, with a message. The parent is not affected, nor is who calls exec, nor vfork.
 *
 * Environment, read when a runtime starts, and stronger than what its options say:
 *
 *	HILO_WORKERS=N			 workers, from 1 on
 *	HILO_STACK=16K|64K|256K|1M|8M	 stacks of tasks that ask for none
 *	HILO_SPIN_US=N			 the most a worker spins before it sleeps; 0: not at all
 *	HILO_CONFIG=1			 print the effective configuration, as HILO_PRINT_CONFIG; 0: do not
 *	HILO_DEBUG=1			 debug mode, as HILO_DEBUG_MODE; 0: not
 *	HILO_POLLER=auto|epoll|uring	 how the kernel is asked to wait and to move bytes
 *	HILO_SLOW_MS=N			 tell of what has held its loop for N milliseconds; 0: of nothing
 *	HILO_STREAM_MEMORY_MAX=N	 the most bytes that buffers of streams are to take; 0: as many as they like
 *
 * Another value than these is -EINVAL, with a message. For the whole process there is HILO_LOG (log.h) besides,
 * and, in builds with event points, HILO_TRACE=FILE.
 */

/* Zero means the default in every field. Environment variables override what the options say. */
typedef struct hilo_opts {
	size_t size;		      /* sizeof(hilo_opts) */
	unsigned workers;	      /* HILO_WORKERS; default: CPUs allowed by affinity and cgroups */
	enum hilo_stack_class stack;  /* HILO_STACK=16K|64K|256K|1M|8M; of tasks that ask for none */
	hilo_time shutdown;	      /* how long leftover tasks get to end once cancelled; default 10 s */
	unsigned flags;		      /* of those below */
	unsigned spin_us;	      /* HILO_SPIN_US; the most a worker spins before it sleeps; default 50 */
	const hilo_task_hooks *hooks; /* told of every task; copied; NULL: none */
	hilo_time slow; /* HILO_SLOW_MS; see below; default 100 ms in debug mode, else for ever */
	uint64_t
		stream_memory_max; /* HILO_STREAM_MEMORY_MAX, in bytes; of the whole process: see io/stream.h */
} hilo_opts;

/*
 * A task or a callback that has held its loop for longer than `slow`, without suspending or coming to its end, is
 * told of in the log, at level WARNING: once, while it still does, and at most some 5 ms late. By then others are
 * served elsewhere; but a core does nothing else, or blocks.
 */

#define HILO_PRINT_CONFIG 1u /* print the effective configuration to standard error at start */
#define HILO_NO_SPIN 2u	     /* never spin before sleeping */

/*
 * Debug mode. When the runtime ends the log tells, at level WARNING, what is still open, and where in the
 * program it was opened: tasks that are left over, and what they wait for; of what tasks and callbacks have
 * made executors that were not closed, watches that were not ended, futures that were not released;
 * callbacks that have not run, and handles of callbacks and of ended tasks that were not ended. While it runs
 * the log tells of what is slow, as above, of locks that are taken in both orders, and of forks that end with one.
 */
#define HILO_DEBUG_MODE 4u
#define HILO_KEEP_SIGINT 8u /* hilo_run leaves SIGINT alone */

/* hilo_runtime_run_until_complete does with Ctrl-C what hilo_run does, each time. Not with HILO_KEEP_SIGINT. */
#define HILO_HANDLE_SIGINT 16u

/*
 * What operations on descriptors are given to; HILO_POLLER=auto|epoll|uring. With io_uring the kernel makes them; with
 * epoll it tells when they can be made. What a program sees is the same. Without one of these flags it is io_uring
 * where the kernel has it (Linux 5.19) and lets us have it, else epoll, without a word: hilo_runtime_config tells.
 * With HILO_POLLER_URING it is io_uring, or -EOPNOTSUPP.
 */
#define HILO_POLLER_EPOLL 32u
#define HILO_POLLER_URING 64u

/*
 * [any, suspends] Start a runtime, run @main(@arg) as its first task, wait for it, and end all it started: tasks
 * that are left over are cancelled and get `shutdown` to end. Returns what @main returned.
 * @opts is borrowed and may be NULL.
 *
 * In a plain thread: a new runtime; the thread blocks. In a task: runs @main as a child task of the
 * same runtime and waits for it (-EBUSY if @opts is not NULL); likewise in a call in an executor, as a
 * child in the runtime that the call belongs to (executor.h). In a callback: -EDEADLK.
 * -EINVAL (the value is in hilo_error_message), -E2BIG (an option that this version does not know is
 * set), -ENOMEM, -EAGAIN (no thread), -EOPNOTSUPP (io_uring is asked for, and not to be had).
 *
 * Ctrl-C   In the main thread of the process, and unless the application has set SIGINT's disposition, or
 *          blocked the signal, or set HILO_KEEP_SIGINT: the first SIGINT cancels @main's task, and if that
 *          ends with -ECANCELED the result is -EINTR. The second one, also while the runtime ends, writes all
 *          tasks to standard error, as hilo_runtime_dump, and ends the process by the signal's default
 *          action. Who subscribes for SIGINT (signal.h) takes the place of all this for as long as that lasts. One that
 *          came when @main had ended takes effect when hilo_run is about to return, or, if its
 *          handler was under way then, when that has returned. None is lost.
 */
HILO_API int hilo_run(hilo_task_fn main, void *arg, const hilo_opts *opts);

/*
 * The main function of a program that is one task: it runs @fn in hilo_run, without options, so that the environment
 * has them. What @fn gets is argv, a char ** that ends with NULL. The program exits with 0 if @fn returns 0 or
 * more, whatever that is; with 1 if it fails, or could not be run, after a line "PROGRAM: message" on standard
 * error. A program that Ctrl-C ends, @fn having cleaned up and returned -ECANCELED, dies by SIGINT, as shells and
 * other parents expect who have to stop then, too: without a message, after stdio was flushed, without atexit's
 * functions. Outside of any function, with a semicolon:
 *
 *	static int program(void *arg)
 *	{
 *		char **argv = arg;
 *		...
 *	}
 *
 *	HILO_MAIN(program);
 */
#define HILO_MAIN(fn)                                                                                        \
	int main(int hilo_argc, char **hilo_argv)                                                            \
	{                                                                                                    \
		(void)hilo_argc;                                                                             \
		return hilo_main_run(fn, hilo_argv);                                                         \
	}                                                                                                    \
	struct hilo_opts

/* [plain thread] What HILO_MAIN does: the status to exit with, 130 if SIGINT is blocked. @argv is what @main gets. */
HILO_API int hilo_main_run(hilo_task_fn main, char **argv);

/*
 * [plain thread] Start a runtime in the background; tasks reach it with hilo_submit. Errors as
 * hilo_run. Ended with hilo_runtime_free.
 */
HILO_API HILO_MUST_CHECK int hilo_runtime_new(const hilo_opts *opts, hilo_runtime **ret);

/*
 * [any, suspends] Run @main(@arg) as a task of @runtime, wait until it has ended, and return what it returned,
 * with its message. Suspends a task, blocks a plain thread. A caller that is cancelled cancels it, and gets
 * -ECANCELED when it has really ended. Any number of callers at a time.
 *
 * Ctrl-C   If @runtime was made with HILO_HANDLE_SIGINT, and in the main thread of the process: as in hilo_run, from
 *          begin to end of this call. One after the other each has a first SIGINT of its own. Between them the
 *          signal does what it does by default.
 *
 * -EDEADLK from a callback, HILO_ECLOSED when the runtime is ended, -ENOMEM, -EINVAL for NULL.
 */
HILO_API int hilo_runtime_run_until_complete(hilo_runtime *runtime, hilo_task_fn main, void *arg);

/*
 * [plain thread] Wait until hilo_runtime_stop; 0. By one thread at a time: -EBUSY. -EDEADLK in a task, in a
 * callback, and on a thread that runs a call of the runtime; HILO_ECLOSED when the runtime is ended; -EINVAL for NULL.
 *
 * Unlike that of asyncio the calling thread does not run the tasks, the workers do. So they run before this is
 * called, and go on after it has returned, until the runtime is closed.
 */
HILO_API int hilo_runtime_run_forever(hilo_runtime *runtime);

/*
 * [any, async-signal-safe] Have hilo_runtime_run_forever return; if nobody is in it, the next one, at once. No
 * task is told. 0, HILO_ECLOSED, -EINVAL for NULL, without a message.
 */
HILO_API int hilo_runtime_stop(hilo_runtime *runtime);

/*
 * [any, suspends] End @runtime: take no more tasks, cancel those that are left, wait for them, and for calls
 * in its own executors, the default one and that of resolvers, up to @deadline; then stop the workers and end
 * all that is left, which takes as long as callbacks that have begun. Those that are called at the end
 * (hilo_future_on_done) run on the caller's stack. The object stays, to be given back with
 * hilo_runtime_free. Suspends a task of another runtime, blocks a plain thread. 0, also when it was closed
 * before, and for NULL.
 *
 * What the kernel does on descriptors and does not end by @deadline (a disk or a file system that hangs), though a
 * second is left to it in any case, is given up: it is named in the log, counted, and its memory is not used again.
 * So are threads that it keeps from ending.
 *
 * -ETIMEDOUT: what did not end is named in the log, with what it waits for and since when. That and -ECANCELED
 * leave the runtime running on purpose, without new tasks; the call can be repeated.
 * -EBUSY: another caller is in hilo_runtime_run_until_complete or hilo_runtime_run_forever, from outside, or in
 * this call; or the runtime is that of hilo_run. -EDEADLK from inside the runtime, and from a callback. -ENOMEM,
 * nothing has happened: a plain thread, other than the one that has made it, waits for the first time.
 */
HILO_API int hilo_runtime_close(hilo_runtime *runtime, hilo_time deadline);

/*
 * [any, suspends] Close @runtime, with the shutdown option as the limit, unless it is closed, and give its memory
 * back: loops and figures, too. 0; otherwise, errors as hilo_runtime_close, @runtime stays valid. NULL: 0.
 */
HILO_API int hilo_runtime_free(hilo_runtime *runtime);

/* [any] Some thread runs it: is in hilo_run, hilo_runtime_run_until_complete or hilo_runtime_run_forever of it. */
HILO_API int hilo_runtime_is_running(const hilo_runtime *runtime);

/* [any] True once hilo_runtime_close has ended it. */
HILO_API int hilo_runtime_is_closed(const hilo_runtime *runtime);

/* [any] True in debug mode: HILO_DEBUG_MODE, HILO_DEBUG=1. */
HILO_API int hilo_runtime_get_debug(const hilo_runtime *runtime);

/* [any] The runtime of the calling task or callback; NULL in a plain thread. */
HILO_API hilo_runtime *hilo_runtime_current(void);

/*
 * [any] Write the effective configuration as text, one `name=value` a line, into @buf of @size
 * bytes, and return the length it has (as snprintf does). -EINVAL for NULL.
 */
HILO_API int hilo_runtime_config(const hilo_runtime *runtime, char *buf, size_t size);

/* Figures of one worker, read one by one without stopping it: for statistics only. */
typedef struct hilo_worker_stats {
	size_t size;	    /* sizeof(hilo_worker_stats), set by the caller */
	uint64_t switches;  /* tasks that were given the thread */
	uint64_t spawned;   /* tasks made here */
	uint64_t completed; /* tasks that ended here */
	uint64_t steals;    /* successful steals by this worker */
	uint64_t stolen;    /* tasks it got that way */
	uint64_t wakes;	    /* other workers that it woke with a system call */
	uint64_t sleeps;    /* times it went to sleep in the kernel */
	uint64_t polls;	    /* visits to the poller */
	uint64_t timers;    /* timers that fired here */
	/* Operations on descriptors that were given to the kernel; 0 without io_uring. */
	uint64_t operations;
	/* Times that the kernel was told to watch a descriptor: for readiness; without io_uring also for operations. */
	uint64_t watches;
	/* Operations that the kernel had not ended when the runtime was closed: see hilo_runtime_close. */
	uint64_t given_up;
	/* System calls that handed operations over, fetched what has happened, or slept. */
	uint64_t poll_calls;
} hilo_worker_stats;

/*
 * [any] The figures of worker @index; from hilo_runtime_workers() on those of the spare ones that
 * there are. -EINVAL when there is no such worker.
 */
HILO_API HILO_MUST_CHECK int hilo_runtime_get_stats(const hilo_runtime *runtime, unsigned index,
						    hilo_worker_stats *stats);

/*
 * [any] Write every live task to @fd, one a line: id, name, state, entry address; of one that is suspended
 * also what kind of thing it waits for, since when, and on which: a task by its number and name, a
 * descriptor by its own, anything else by its address. The time may be too long by what the worker did
 * in one go before the task suspended: 50 us, more if tasks computed for longer.
 * Safe while the runtime runs; tasks that change meanwhile may be missing. -EINVAL, or write's error.
 */
HILO_API int hilo_runtime_dump(const hilo_runtime *runtime, int fd);

HILO_END_DECLS

#endif /* HILO_RUNTIME_RUNTIME_H */
