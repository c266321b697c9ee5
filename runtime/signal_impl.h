/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SIGNAL_IMPL_H
#define HILO_RUNTIME_SIGNAL_IMPL_H

/*
 * signal_impl.h - from the one handler of the process to its subscribers.
 *
 *	the kernel -> signal_handler -> each sink of that signal -> a queue and an eventfd (signal_wait.c)
 *	              signal.c                                      or a call on a loop (signal_handler.c)
 *
 * What the handler does may come at any point of any thread that does not block the signal, and in several threads at
 * a time. It asks for no memory, and takes no lock but in the case of I1. A sink is in the list of its signal, which
 * is changed under a lock and read without one.
 *
 * I1  While a signal has a sink, our handler is installed for it: the first sink is in the list before it is, the
 *     last one leaves the list after what was there before was put back. So a handler that finds no sink was under
 *     way when the last one left, and raises the signal again, which is delivered when it has returned, with the
 *     action that there is by then: none is lost.
 * I2  A sink stays as it is until its removal has returned; then no handler looks at it any more.
 * I3  The lock is held with all signals blocked, so that no handler comes while its own thread has it. Handlers take
 *     it when they have found no sink, and then alone.
 * P1  A handler counts itself in `visitors`, then reads the list; who removes a sink takes it out, then reads the
 *     count; all seq_cst. So either the handler does not find it, or its removal waits for the handler.
 * P2  Leaving releases, who waits for it acquires: what the handler did with the sink has happened.
 * P3  A sink is published by a release of the link to it; handlers acquire.
 *
 * Rejected: signalfd. It sees a signal only if all threads of the process block it, which takes it away from the
 * threads that are not ours, and children inherit that mask. Rejected: one byte for each signal into one pipe for
 * all, as CPython has it: somebody has to read the pipe and pass them on, on a loop that may end before others do;
 * and when the pipe is full signals are lost.
 */
#include <hilo/runtime/signal.h>

#include <signal.h>
#include <stdbool.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/lock.h"

/* Signals have the numbers 1 to 64. */
#define SIGNAL_MAX 64

struct hilo_runtime;

/* Who is told of one signal. */
struct signal_sink {
	atomic(struct signal_sink *) next; /* P3; written under the lock */
	/* [signal handler] It has come. */
	void (*deliver)(struct signal_sink *sink, const siginfo_t *info);
	int signo;
};

/* Of the process; the file's own, and models'. The lock is held over sigaction, which does not wait. */
struct signal_state {
	struct spinlock lock;
	atomic(uint32_t) visitors; /* P1, P2 */
	atomic(int) process; /* of the last one who has subscribed: not a child that fork has made of it */
	struct {
		atomic(struct signal_sink *) first; /* P3 */
		struct sigaction before;	    /* under the lock; of the time before the first sink */
	} of[SIGNAL_MAX + 1];
};

extern struct signal_state hilo__signals;

/* [any] 0, or -EINVAL, with a message in the name of @call: nobody can subscribe for @signo. */
int hilo__signal_check(const char *call, int signo);

/* [any] From here on @sink, which names its signal, is told. 0 or what sigaction answers. */
int hilo__signal_add(struct signal_sink *sink);

/* [any, but no signal handler] It is not told any more, and not being told: I2. */
void hilo__signal_remove(struct signal_sink *sink);

/* [closing thread, its workers have left] Nobody calls the handlers of @runtime any more. */
void hilo__runtime_end_signals(struct hilo_runtime *runtime);

/* [closing thread, its loops have ended] Free them. */
void hilo__runtime_free_signals(struct hilo_runtime *runtime);

#endif /* HILO_RUNTIME_SIGNAL_IMPL_H */
