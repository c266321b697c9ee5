/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_FORKED_H
#define HILO_SCHEDULER_FORKED_H

/*
 * forked.h - a child that fork(2) has made while runtimes run.
 *
 * It has the memory of its parent, one of its threads, and its descriptors: an epoll instance, an eventfd and a ring
 * that are the parent's, too. Whatever the child does with those happens to the parent. So in the child all pollers
 * are cut off before fork returns there, and each runtime is a closed one: HILO_ECLOSED to who asks it for
 * something, and its object can be freed. A task or a callback that finds itself in the child can make plain calls,
 * exec, and _exit; when it suspends or returns, which would go on with the parent's tasks, the child is ended with a
 * message. A new runtime cannot be had there either: locks may be held by threads that are not there any more.
 *
 * A child of vfork or posix_spawn, and one that calls exec, has nothing to do with this: descriptors are closed on
 * exec.
 */
#include "scheduler/base/atomic.h"
#include "scheduler/base/compiler.h"

/* This process was forked while a runtime ran. Set before any other thread of it is there. */
extern atomic(bool) hilo__forked;

/* [any] Once, before there is a runtime. 0, -ENOMEM. */
int hilo__forked_init(void);

/* End this process: @who cannot go on in it. */
HILO__COLD HILO__NORETURN void hilo__forked_end(const char *who);

/* [any] Where @who would go on with what belongs to the parent. */
static inline void forked_check(const char *who)
{
#ifndef HILO_EXPLORE
	if (HILO__UNLIKELY(load_relaxed(&hilo__forked))) /* relaxed: set by this very thread */
		hilo__forked_end(who);
#else
	(void)who;
#endif
}

#endif /* HILO_SCHEDULER_FORKED_H */
