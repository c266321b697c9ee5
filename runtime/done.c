/* SPDX-License-Identifier: MIT */
/*
 * done.c - done callbacks, of whatever ends by a completion.
 *
 * A node is tied to its loop from the registration until the callback is called or was removed, and is a
 * reference on what it waits for as long. So a loop that ends finds all that could still call it:
 *
 * I1  The loop ends first, and what is not done forgets the node.
 * I2  It is done, but who completes it has not come to the loop yet: he is waited for, and afterwards is
 *     among the visitors of the loop, for whom hilo__loop_fini waits.
 *     Either way the callback is called then, by the thread that ends the loop.
 * P1  The callback may run on a thread that stands in for the loop's, while a task of the loop removes
 *     it. Who runs it releases `ran` as his last touch of the node, who removes it acquires.
 *
 * Rejected: to drop the callbacks of a loop that ends, as event loops do. Whoever counts on them to free
 * something would leak it.
 */
#include "runtime/done_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/task.h>

#include <errno.h>

#include "scheduler/base/lock.h"
#include "scheduler/locals.h"
#include "scheduler/scheduler.h"

/* What a hilo_done_node holds. */
struct done_node {
	struct waiter waiter;
	struct call call;
	struct tie tie;
	struct hilo_loop *loop;
	struct completion *done;
	void (*unref)(struct completion *done);
	struct binding *locals; /* what it runs with; a reference */
	atomic(bool) ran;	/* P1: the callback was called, or is about to be */
};

/* [the completer] Queue the callback on the loop that asked. */
static void done_queue(struct waiter *waiter)
{
	struct done_node *node = container_of(waiter, struct done_node, waiter);

	hilo__loop_call(node->loop, &node->call);
}

/* [loop, closing thread] Its time has come. The node is the user's again as soon as fn is called. */
static void done_run(struct call *call)
{
	struct done_node *node = container_of(call, struct done_node, call);
	hilo_callback_fn fn = call->fn;
	void *arg = call->arg;
	void (*unref)(struct completion * done) = node->unref;
	struct completion *done = node->done;
	struct binding *locals = node->locals;
	struct locals_frame frame;

	hilo__loop_untie(node->loop, &node->tie);
	store_release(&node->ran, true); /* P1: our last touch */
	unref(done); /* before: the callback may be the sole owner of a future, and take the value */
	hilo__locals_enter(&frame, locals);
	fn(arg);
	hilo__locals_leave(&frame);
}

/*
 * [loop, closing thread] Take the node out of the list, or its call out of the queue. False: it has run.
 * When that is done which it waits for, the completer has put the call there, or is just about to.
 */
static bool done_take_back(struct done_node *node)
{
	if (hilo__completion_remove(node->done, &node->waiter))
		return true;
	for (unsigned round = 0; !load_acquire(&node->ran); round++) { /* P1 */
		if (MUTANT(65, hilo__loop_uncall(node->loop, &node->call), true))
			return true;
		spin_pause(round);
	}
	return false;
}

/* [closing thread] The loop ends: I1, I2. */
static void done_cut(struct tie *tie)
{
	struct done_node *node = container_of(tie, struct done_node, tie);

	if (done_take_back(node))
		done_run(&node->call);
}

int hilo__done_add(const char *call, struct completion *done, void (*unref)(struct completion *done),
		   hilo_done_node *place, hilo_callback_fn fn, void *arg)
{
	struct done_node *node = (struct done_node *)(void *)place;
	struct hilo_loop *loop = thread_home(thread_self());

	_Static_assert(sizeof(struct done_node) <= sizeof(hilo_done_node),
		       "the caller's place is large enough");
	if (!place || !fn)
		return hilo_fail(-EINVAL, "%s: %s is NULL", call, place ? "fn" : "node");
	if (!loop)
		return -EDEADLK;
	node->waiter.task = NULL;
	node->waiter.call = done_queue;
	node->waiter.episode = 0;
	node->call.fn = fn;
	node->call.arg = arg;
	node->call.run = done_run;
	node->call.drop = done_run; /* a closed loop's are run all the same */
	node->tie.cut = done_cut;
	node->loop = loop;
	node->done = done;
	node->unref = unref;
	node->locals = locals_inherit(thread_self());
	atomic_setup(&node->ran, false);
	completion_ref(done);
	hilo__loop_tie(loop, &node->tie);
	if (!hilo__completion_add(done, &node->waiter) && MUTANT(66, true, false))
		hilo__loop_call(loop, &node->call);
	return 0;
}

int hilo__done_remove(hilo_done_node *place)
{
	struct done_node *node = (struct done_node *)(void *)place;
	struct thread *self = thread_self();

	if (!place)
		return -EINVAL;
	if (load_acquire(&node->ran)) /* P1; its loop may be gone */
		return -EALREADY;
	if (thread_home(self) != node->loop && (!self->closing || self->closing != node->loop->runtime))
		return -EDEADLK;
	if (!done_take_back(node))
		return -EALREADY;
	hilo__loop_untie(node->loop, &node->tie);
	store_relaxed(&node->ran, true); /* relaxed: the caller's own again; not to be removed twice */
	hilo__locals_drop(&node->locals);
	node->unref(node->done);
	return 0;
}

/* What a done callback of a task holds is a handle like others. */
static void task_release(struct completion *done)
{
	hilo_task_unref(container_of(done, hilo_task, done));
}

int hilo_task_on_done(hilo_task *task, hilo_done_node *node, hilo_callback_fn fn, void *arg)
{
	if (!task)
		return -ENOMEM;
	return hilo__done_add("hilo_task_on_done", &task->done, task_release, node, fn, arg);
}

int hilo_task_remove_on_done(hilo_task *task, hilo_done_node *node)
{
	return task ? hilo__done_remove(node) : -EINVAL;
}
