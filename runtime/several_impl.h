/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_SEVERAL_IMPL_H
#define HILO_RUNTIME_SEVERAL_IMPL_H

/*
 * several_impl.h - waiting for several completions at once.
 *
 * Each that is not done gets a node in its list of waiters, of the kind that is called. Who completes it
 * calls the node: that counts down, and wakes the one that waits when there is a reason to.
 *
 * P1  The countdown is a call's last access to the nodes, and to what the waiter has beside them; it
 *     releases. The waiter takes out what was not called, and goes on when the count says that all calls
 *     that it could not prevent are over (acquire). For these it spins: the completer is between taking
 *     a node out of the list and calling it.
 *
 * Rejected: a task of its own for each that is waited for. A node is 56 bytes and no switch.
 */
#include <hilo/runtime/types.h>

#include <errno.h>

#include "scheduler/base/compiler.h"
#include "scheduler/completion.h"
#include "scheduler/wait.h"

struct several;

/* A place in one list of waiters. */
struct several_node {
	struct waiter waiter;
	struct completion *of;
	struct several *several;
};

/* What the nodes of one that waits have in common. */
struct several {
	atomic(size_t) left; /* P1: nodes that were added and not called */
};

/* [waiter] Before the first node. */
static inline void several_init(struct several *several)
{
	atomic_setup(&several->left, 0);
}

/* [waiter] Have @call called with @node by who completes @of. False: that is done, and it will not be. */
bool hilo__several_add(struct several *several, struct several_node *node, struct completion *of,
		       void (*call)(struct waiter *));

/* [call] Its last access to the nodes and their waiter: P1. True: it was the last one. */
static inline bool several_count(struct several *several)
{
	return MUTANT(110, sub_acq_rel(&several->left, 1), sub_relaxed(&several->left, 1)) == 1; /* P1 */
}

/* [waiter] Take out of @nodes, all that were added among them, what was not called; wait for the other calls. */
void hilo__several_remove(struct several *several, struct several_node *nodes, size_t n);

/* [waiter] The same for nodes that do not lie in a row: take out each that was added. True: it was not called. */
static inline bool several_take_out(struct several_node *node)
{
	return waiter_is_linked(&node->waiter) && hilo__completion_remove(node->of, &node->waiter);
}

/* [waiter] ... and wait for the calls of all but those @removed. */
void hilo__several_settle(struct several *several, size_t removed);

/* What is waited for. */
struct several_of {
	/* NULL: it could not be made, which is done and ends no wait. */
	struct completion *(*at)(const void *array, size_t i);
	const void *array;
	size_t n;
	enum wait_kind kind; /* for dumps */
};

/* What ends a wait before all are done. */
enum several_stop {
	STOP_NEVER,
	STOP_ENDED,	/* any of them */
	STOP_FAILED,	/* a failure */
	STOP_EXCEPTION, /* a failure that is not a cancel */
};

static inline bool several_stops(enum several_stop stop, int code)
{
	return stop == STOP_ENDED || (stop == STOP_FAILED && code < 0) ||
	       (stop == STOP_EXCEPTION && code < 0 && code != -ECANCELED);
}

/* [waiter] One ends the wait, as @stop asks, or all are done; the former is *@ret_first, which is NULL before. */
bool hilo__several_look(const struct several_of *of, enum several_stop stop, struct completion **ret_first);

/*
 * [task, plain thread; suspends] Wait until all are done or one ends the wait, which *@ret_first is then
 * (else left alone). With STOP_ENDED one must be done: none at all, or such as could not be made, end nothing.
 * 0; else why the wait ended early: who waits has to look once more. -ENOMEM: no wait has begun.
 */
int hilo__several_wait(const struct several_of *of, enum several_stop stop, hilo_time deadline,
		       struct completion **ret_first);

/* [any] Whether a wait may begin: 0; -ECANCELED: a cancel is set; -ENOMEM: a plain thread's first wait; -EDEADLK. */
int hilo__several_enter(const void *object);

/* [any] -EDEADLK, said in the name of @call, if the caller is a callback; if @task is the caller. Else 0. */
int hilo__several_check_caller(const char *call);
int hilo__several_check_task(const char *call, const hilo_task *task);

/* [any] -EINVAL if there are no @tasks though @n is not 0; -EDEADLK if the caller is among them. Else 0. */
int hilo__several_check_tasks(const char *call, hilo_task *const *tasks, size_t n);

#endif /* HILO_RUNTIME_SEVERAL_IMPL_H */
