/* SPDX-License-Identifier: MIT */
/* signal.c - one handler for all subscribers of a signal. The protocol is in signal_impl.h. */
#include "runtime/signal_impl.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <unistd.h>

#include "scheduler/base/sys.h"

struct signal_state hilo__signals;

static void signal_handler(int signo, siginfo_t *info, void *context);

/* [any, async-signal-safe] Our handler is installed. */
static bool signal_comes_here(int signo)
{
	struct sigaction action;

	return hilo__sys_sigaction(signo, NULL, &action) == 0 && action.sa_flags & SA_SIGINFO &&
	       action.sa_sigaction == signal_handler;
}

/* [handler] Tell all of its sinks. False: there is none. */
static bool signal_tell(int signo, const siginfo_t *info)
{
	struct signal_sink *sink;
	bool any = false;

	(void)MUTANT(450, add_seq_cst(&hilo__signals.visitors, 1), 0); /* P1 */
	for (sink = load_seq_cst(&hilo__signals.of[signo].first); sink;
	     sink = load_seq_cst(&sink->next)) { /* P1, P3 */
		sink->deliver(sink, info);
		any = true;
	}
	(void)MUTANT(450, sub_release(&hilo__signals.visitors, 1), 0); /* P2 */
	return any;
}

/*
 * [handler] It has found no sink: that was when the last one had left. Under the lock it is known what there is now:
 * sinks that have come since, which are told; or what was there before, for which it is raised again, and delivered
 * when we have returned. If it is our handler all the same the program has kept that, and put it back: it would be
 * called again and again, so it gives way to the default action.
 */
static void signal_again(int signo, const siginfo_t *info)
{
	const struct sigaction none = {.sa_handler = SIG_DFL};
	bool told;

	spin_lock(&hilo__signals.lock); /* I3 */
	told = signal_tell(signo, info);
	if (!told && signal_comes_here(signo))
		(void)hilo__sys_sigaction(signo, &none, NULL);
	spin_unlock(&hilo__signals.lock);
	if (!told)
		(void)raise(signo);
}

/*
 * [handler] In a child that fork has made: the sinks are the parent's, and their descriptors, too. It does what it did
 * before there were any, when we have returned.
 */
static HILO__COLD void signal_of_child(int signo)
{
	(void)hilo__sys_sigaction(signo, &hilo__signals.of[signo].before, NULL);
	(void)raise(signo);
}

static void signal_handler(int signo, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* relaxed: a process that has subscribed finds itself */
	if (HILO__UNLIKELY(getpid() != load_relaxed(&hilo__signals.process)))
		signal_of_child(signo);
	else if (!signal_tell(signo, info))
		signal_again(signo, info);
	errno = saved;
}

int hilo__signal_check(const char *call, int signo)
{
	switch (signo) {
	case SIGKILL:
	case SIGSTOP:
		return hilo_fail(-EINVAL, "%s: %s cannot be caught", call,
				 signo == SIGKILL ? "SIGKILL" : "SIGSTOP");
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
		return hilo_fail(-EINVAL, "%s: signal %d is of the instruction that has caused it", call,
				 signo);
	default:
		break;
	}
	if (signo < 1 || signo > SIGNAL_MAX || (signo > 31 && signo < SIGRTMIN))
		return hilo_fail(-EINVAL, "%s: there is no signal %d", call, signo);
	return 0;
}

/* [lock] For the first sink of @signo, which is in the list. */
static int signal_install(int signo)
{
	struct sigaction action = {.sa_sigaction = signal_handler,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

	(void)sigfillset(&action.sa_mask); /* in one thread one at a time */
	return hilo__sys_sigaction(signo, &action, &hilo__signals.of[signo].before);
}

/* [any, but no handler] I3 */
static void signals_lock(sigset_t *before)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, before);
	spin_lock(&hilo__signals.lock);
}

static void signals_unlock(const sigset_t *before)
{
	spin_unlock(&hilo__signals.lock);
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

int hilo__signal_add(struct signal_sink *sink)
{
	struct signal_sink *first;
	sigset_t before;
	int rc = 0;

	signals_lock(&before);
	store_relaxed(&hilo__signals.process, getpid()); /* relaxed: the same for all in a process */
	first = load_relaxed(&hilo__signals.of[sink->signo].first); /* relaxed: changes under the lock */
	atomic_setup(&sink->next, first);
	store_seq_cst(&hilo__signals.of[sink->signo].first, sink); /* P3 */
	if (!first)
		rc = signal_install(sink->signo); /* I1 */
	if (rc < 0)
		store_seq_cst(&hilo__signals.of[sink->signo].first, NULL); /* P1 */
	signals_unlock(&before);
	return rc;
}

/* [lock] Out of its list. */
static void signal_unlink(struct signal_sink *sink)
{
	atomic(struct signal_sink *) *link = &hilo__signals.of[sink->signo].first;
	struct signal_sink *at;

	while ((at = load_relaxed(link)) != sink) /* relaxed: changes under the lock */
		link = &at->next;
	store_seq_cst(link, load_relaxed(&sink->next)); /* P1; relaxed: as above */
}

void hilo__signal_remove(struct signal_sink *sink)
{
	int signo = sink->signo;
	sigset_t before;

	signals_lock(&before);
	/* relaxed, both: they change under the lock */
	if (load_relaxed(&hilo__signals.of[signo].first) == sink && !load_relaxed(&sink->next) &&
	    signal_comes_here(signo)) /* I1 */
		(void)hilo__sys_sigaction(signo, &hilo__signals.of[signo].before, NULL);
	signal_unlink(sink);
	signals_unlock(&before);
	for (unsigned round = 0; MUTANT(451, load_seq_cst(&hilo__signals.visitors), 0); round++) /* P1, P2 */
		spin_pause(round);
}
