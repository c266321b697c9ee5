/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_HOOK_IMPL_H
#define HILO_RUNTIME_HOOK_IMPL_H

/*
 * hook_impl.h - a function of the user's with its argument, for the whole process, which may be replaced at
 * any time: where log lines go, who is told of failures that nobody has looked at. The protocol is in hook.c.
 */
#include "scheduler/base/lock.h"

/* As the hook keeps functions of any type; they are called as what they are. */
typedef void (*hook_fn)(void);

/* All zero is a hook without a function. */
struct hook {
	struct spinlock lock;
	hook_fn fn;
	void *arg;
	unsigned half;	    /* where new calls are counted */
	unsigned active[2]; /* calls that have not returned */
};

/* One call of it. */
struct hook_call {
	hook_fn fn; /* NULL: the default */
	void *arg;
	unsigned half;
};

/* [any] Function and argument, which stay what they are until the end. Not to be suspended in between. */
void hilo__hook_begin(struct hook *hook, struct hook_call *call);
void hilo__hook_end(struct hook *hook, const struct hook_call *call);

/*
 * [any] Replace both. Returns when nobody is inside the old function any more, so that its argument may be
 * freed; at once if the caller is himself inside one of any hook.
 */
void hilo__hook_replace(struct hook *hook, hook_fn fn, void *arg);

#endif /* HILO_RUNTIME_HOOK_IMPL_H */
