/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - Ctrl-C while the main thread is in hilo_run, or in hilo_runtime_run_until_complete of a runtime that
 * was made with HILO_HANDLE_SIGINT. Either is a run here; each has a count of its own, from its begin to its end.
 *
 *	first SIGINT	cancels the main task; the run returns -EINTR if that ends with -ECANCELED
 *	second		dumps all tasks to standard error, and ends the process by the signal's default action
 *	third		ends it at once, should the main thread not come to that
 *
 * The handler does next to nothing: it counts, and rouses the main thread, which waits for the main task or
 * for the end of the runtime. Whatever there is to do is done there, in ordinary context: each time before it
 * sleeps the main thread calls `on_park` (wait.c), which compares the count with what it has dealt with.
 *
 * The handler may run on any thread that does not block the signal: the workers and the pools' threads do. It
 * needs nothing that could be gone: the waiter is the record of the main thread, whose memory is never anything
 * but a task's or a thread's, and to be roused in vain harms neither. So it may even run when the run has
 * returned. If another one has begun by then it counts as a signal of that.
 *
 * One word has the count, and whether a run takes signals at all:
 *
 *	 31                        1   0
 *	| signals                    | O |		O  ON, from the begin of a run to its end
 *
 * P1  The handler adds to the count, then changes the state word of the waiter (release); the main thread changes
 *     that word in the same way when it consumes a notification, commits a wait, or ends one (acquire), and calls
 *     on_park before the next commit. In the order of that word the handler's change is either before one of
 *     these, and then the count is seen by the on_park that follows, or it comes after the commit, and wakes. So
 *     no count is slept over.
 * P2  The waiter is published with ON (release), which is set before the handler is installed. Who sees ON (acquire)
 *     sees the waiter.
 * P3  The end puts the default action back, then takes the word, all at once. A handler that was under way adds to
 *     it either before, and then it is in the count that the end compares, or after, and then it finds no ON: it
 *     raises the signal again, which is delivered when it has returned, with the action that there is by then.
 *     Either way it takes effect once (model interrupt_end).
 * P4  ON is set before the handler is installed, and taken when it is not any more. So a handler that finds none, and
 *     itself installed, was put back by the application, and would be called again and again: it gives way to
 *     the default action.
 *
 * The rules for when are asyncio's: in the main thread only, and only if the application has left SIGINT
 * alone. One that has blocked the signal, to read it from a descriptor, has not. A child that was forked
 * meanwhile and runs on has no main task; there the signal does what it does by default.
 *
 * Rejected: a thread or a descriptor that the signal is read from. Whoever has blocked the signal everywhere
 * takes it away from the application's own threads, and from children, which inherit the mask.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/interrupt_impl.h"
#include "runtime/log_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/sys.h"
#include "scheduler/reason.h"

#define INTERRUPT_ON 1u
#define INTERRUPT_ONE 2u

static struct {
	atomic(unsigned) word;		   /* P1, P3 */
	atomic(struct hilo_task *) waiter; /* P2; the record of the main thread */
	atomic(pid_t) process;		   /* of the last run */

	/* Main thread only. */
	unsigned seen; /* signals that were dealt with */
	bool ended;    /* the last run has ended by one */
	hilo_runtime *runtime;
	hilo_task *main; /* NULL: it is not there yet, or has ended */
} interrupt;

/* [any, async-signal-safe] */
static void sigint_default(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	(void)sigaction(SIGINT, &action, NULL);
}

static void interrupt_handler(int signo);

/* [any, async-signal-safe] */
static bool sigint_comes_here(void)
{
	struct sigaction action;

	return sigaction(SIGINT, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
	       action.sa_handler == interrupt_handler;
}

/* [handler] No run takes it: it is delivered once more when we have returned. */
static void sigint_again(int signo)
{
	if (sigint_comes_here() && !(load_acquire(&interrupt.word) & INTERRUPT_ON)) /* P4 */
		sigint_default();
	MUTANT(360, (void)raise(signo), (void)signo);
}

static void interrupt_count(int signo)
{
	unsigned word = add_acq_rel(&interrupt.word, INTERRUPT_ONE); /* P1, P2, P3 */

	if (!MUTANT(361, word & INTERRUPT_ON, true)) {
		sigint_again(signo);
		return;
	}
	if (word >= INTERRUPT_ON + INTERRUPT_ONE && sigint_comes_here())
		sigint_default();
	/* relaxed: P2; if another run has begun since, it is roused in vain */
	hilo__task_nudge(load_relaxed(&interrupt.waiter));
}

static void interrupt_handler(int signo)
{
	int saved = errno;

	/* relaxed: each run of a process writes the same */
	if (getpid() == load_relaxed(&interrupt.process)) {
		interrupt_count(signo);
	} else {
		sigint_default();
		(void)raise(signo); /* is delivered when we have returned */
	}
	errno = saved;
}

/* [main thread] What the second signal is for. */
static HILO__NORETURN void interrupt_die(void)
{
	hilo__log(HILO_LOG_WARNING,
		  "interrupted twice: the process ends, and these are the tasks that are left");
	(void)hilo_runtime_dump(interrupt.runtime, STDERR_FILENO);
	_exit(hilo__interrupt_die()); /* somebody has blocked it meanwhile */
}

/* [main thread, about to sleep] */
static void interrupt_look(void)
{
	unsigned count = load_acquire(&interrupt.word) / INTERRUPT_ONE; /* P1 */

	if (count > 1)
		interrupt_die();
	if (count == interrupt.seen || !interrupt.main)
		return;
	/* It may have ended just now: then the signal takes effect at the end, as one that comes later. */
	if (hilo__task_cancel(interrupt.main, REASON_INTERRUPT) == 0)
		interrupt.seen = count;
}

/* [main thread] The application has left SIGINT alone. */
static bool sigint_is_ours(void)
{
	struct sigaction action;
	sigset_t blocked;

	return pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && !sigismember(&blocked, SIGINT) &&
	       sigaction(SIGINT, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
	       action.sa_handler == SIG_DFL;
}

void hilo__interrupt_begin(hilo_runtime *runtime)
{
	struct sigaction action = {.sa_handler = interrupt_handler, .sa_flags = SA_ONSTACK};
	struct thread *self = thread_self();

	if (getpid() != (pid_t)syscall(SYS_gettid))
		return;
	interrupt.ended = false;
	if (runtime->keep_sigint || !sigint_is_ours())
		return;
	interrupt.runtime = runtime;
	interrupt.main = NULL;
	interrupt.seen = 0;
	store_relaxed(&interrupt.process, getpid());  /* relaxed: published with the word, as the next one */
	store_relaxed(&interrupt.waiter, self->task); /* relaxed: P2 */
	store_release(&interrupt.word, INTERRUPT_ON); /* P2 */
	self->on_park = interrupt_look;
	(void)sigaction(SIGINT, &action, NULL);
}

/* [any] This thread has begun, and not ended. */
static bool interrupt_is_on(void)
{
	return thread_self()->on_park == interrupt_look;
}

void hilo__interrupt_main(hilo_task *main)
{
	if (interrupt_is_on())
		interrupt.main = main;
}

int hilo__interrupt_result(int rc)
{
	if (!interrupt_is_on())
		return rc;
	interrupt.main = NULL;
	if (!interrupt.seen || rc != -ECANCELED)
		return rc;
	interrupt.ended = true;
	return hilo_fail(-EINTR, "interrupted by SIGINT");
}

void hilo__interrupt_end(void)
{
	unsigned word;

	if (!interrupt_is_on())
		return;
	thread_self()->on_park = NULL;
	if (sigint_comes_here())
		sigint_default();
	word = MUTANT(362, xchg_acq_rel(&interrupt.word, 0), load_acquire(&interrupt.word)); /* P3 */
	if (word / INTERRUPT_ONE != interrupt.seen)
		(void)raise(SIGINT);
}

bool hilo__interrupt_has_ended_it(void)
{
	return getpid() == (pid_t)syscall(SYS_gettid) && interrupt.ended;
}

int hilo__interrupt_die(void)
{
	sigint_default();
	(void)raise(SIGINT);
	return 128 + SIGINT;
}
