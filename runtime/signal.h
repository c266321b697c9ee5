/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SIGNAL_H
#define HILO_RUNTIME_SIGNAL_H

#include <hilo/runtime/types.h>

#include <sys/types.h>

HILO_BEGIN_DECLS

/*
 * signal.h - signals of the operating system, waited for by tasks and plain threads, or called back for on a loop.
 *
 *	hilo_signals *signals;
 *	int rc = hilo_signals_open((const int[]){SIGTERM, SIGHUP, 0}, &signals);
 *
 *	while (rc >= 0 && (rc = hilo_signals_next(signals, NULL, HILO_FOREVER)) == SIGHUP)
 *		rc = read_configuration();
 *	hilo_signals_free(signals);
 *
 * Subscribers  As many as like, in all runtimes of the process: each sees each signal that comes while it subscribes.
 *            While there is one for a signal it does nothing else: neither what it does by default nor what the
 *            program has set, which is put back when the last one leaves, unless somebody has set something else
 *            meanwhile.
 * Ctrl-C     To subscribe for SIGINT takes the place of what hilo_run does with it, for as long as it lasts.
 * How many   A signal that comes again before the kernel has delivered it is one, as ever, but for real-time ones.
 *            What was delivered is kept in order, 64 at a time; of those that come when there is no room each number
 *            is told once more after them, with how many could not be kept. So none is the last and goes unseen.
 * Where      A signal is delivered to a thread that does not block it: workers and threads of executors block all,
 *            the main thread does not unless the program says so. raise() in a task is for the worker's own thread,
 *            where it stays: kill(getpid(), signo) is for the process.
 * Which      Not SIGKILL and SIGSTOP, which cannot be caught, and not SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and
 *            SIGSYS, which are of the instruction that caused them: -EINVAL, with a message. SIGCHLD is like any
 *            other.
 */
typedef struct hilo_signals hilo_signals;

/* What is known of one. */
typedef struct hilo_signal_info {
	size_t size; /* sizeof(hilo_signal_info), set by the caller */
	int signo;
	int code;	 /* si_code: SI_USER, SI_QUEUE, CLD_EXITED, ... */
	pid_t pid;	 /* who has sent it, or of SIGCHLD, the child; 0: the kernel */
	uid_t uid;	 /* as whom */
	int status;	 /* of SIGCHLD */
	unsigned missed; /* more than 0: so many of this number were not kept, and nothing else is known */
	uint64_t value;	 /* of sigqueue: the union sigval */
} hilo_signal_info;

/*
 * [any] Subscribe for all of @signos, which ends with 0: *@ret, to be ended with hilo_signals_free. Signals count
 * from here on. Has a descriptor of its own. 0; -EINVAL, with a message that names the signal: it cannot be caught,
 * or there is none of that number, or @signos is empty; -EMFILE, -ENFILE; -ENOMEM.
 */
HILO_API HILO_MUST_CHECK int hilo_signals_open(const int *signos, hilo_signals **ret);

/*
 * [any, suspends] The next signal: its number, above 0, and what is known of it in *@info, which may be NULL. Of
 * several who wait one gets it. Who ends early has taken none. -ETIMEDOUT, -ECANCELED, -EDEADLK; HILO_ECLOSED: it was
 * freed; -EINVAL; others as hilo_fd_wait.
 */
HILO_API int hilo_signals_next(hilo_signals *signals, hilo_signal_info *info, hilo_time deadline);

/*
 * [any] End the subscription, with what was not fetched: that was delivered, to each subscriber, and is not raised
 * again when the last one leaves. Who wants all of it fetches until there is none, and takes for over what comes after
 * that. Who waits is told HILO_ECLOSED; nobody may begin to. Waits for handlers that are under way in other threads,
 * which takes some microseconds. NULL: no-op. Not in a signal handler.
 */
HILO_API void hilo_signals_free(hilo_signals *signals);

/*
 * [any, suspends] Wait for one signal @signo that comes from now on, and return it. As hilo_signals_open, _next and
 * _free: between two calls nobody subscribes, and the signal does what it did before; of those that come before it has
 * returned all but the one are dropped.
 */
HILO_API int hilo_signal_wait(int signo, hilo_signal_info *info, hilo_time deadline);

/*
 * [task, callback] Call @fn(@arg) on the calling loop for signal @signo, until hilo_remove_signal_handler or the end
 * of the runtime. Signals that come before its turn has are one call. There is one for each signal of a runtime: one
 * that is there is replaced, and both may be called for a signal that comes just then. -EINVAL as hilo_signals_open;
 * -ENOMEM; -EDEADLK outside of a loop.
 */
HILO_API HILO_MUST_CHECK int hilo_add_signal_handler(int signo, hilo_callback_fn fn, void *arg);

/*
 * [task, callback] 1: removed, with a call that has not been made; 0: there was none. On the loop that calls it, it is
 * not called any more; on another one a call may be under way. -EINVAL; -EDEADLK outside of a loop.
 */
HILO_API int hilo_remove_signal_handler(int signo);

HILO_END_DECLS

#endif /* HILO_RUNTIME_SIGNAL_H */
