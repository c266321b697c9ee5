/* SPDX-License-Identifier: MIT */
/*
 * signal_call.c - calling back on a loop from anywhere, signal handlers included.
 *
 * The node is the caller's, and in use from the claim until its turn has come: `loop` says on which loop, NULL
 * that it is free. Whoever asks for a call that is queued already is answered by that one.
 *
 * P1  Each request is a read-modify-write of `loop`, releasing, even if it changes nothing because the node is
 *     queued; the turn frees the node by an exchange, acquiring, before it calls. So the turn either comes
 *     after the request in the order of that word, and sees what was done before it; or the request finds
 *     the node free.
 * P2  Who takes a call back reads `loop` (acquire): what he waits for is in the queue of that loop, or about to
 *     be, until `loop` is NULL again (release).
 *
 * Why a signal handler may do this, whatever it has interrupted:
 *
 *	the claim	a compare-and-swap, which fails only because another thread has changed the word
 *	the visit	hilo__loop_post counts itself in and out; only the end of the runtime waits for that
 *	the push	a compare-and-swap of the inbox's head: nobody waits for one that was interrupted
 *	the wake-up	two words, changed by compare-and-swap and exchange, and write(2) to an eventfd, which
 *			neither blocks nor fails, so that errno stays what it was. Of two requests the first to
 *			change a word goes on, the other one has nothing to do: if that first one was interrupted,
 *			it goes on when the handler returns, and nobody may count on being woken before
 *
 * Nothing is allocated, no lock is taken, no thread-local variable is used. A handler that interrupts the very
 * thread that drives the loop finds that thread awake, or, between its last look and its sleep, has the sleep
 * end at once, as any other thread would.
 *
 * Rejected: that a second request looks at the word, and does nothing when it is set. What it has done before
 * may become visible after that look; the turn then frees the node, calls, and does not see it.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>

#include "scheduler/base/lock.h"
#include "scheduler/locals.h"
#include "scheduler/scheduler.h"

/* What a hilo_call_node holds. All zero: free. */
struct call_node {
	struct call call;
	atomic(struct hilo_loop *) loop; /* P1, P2 */
};

/* [loop] Its turn has come. The node is the user's again as soon as fn is called. */
static void node_run(struct call *call)
{
	struct call_node *node = container_of(call, struct call_node, call);
	hilo_callback_fn fn = call->fn;
	void *arg = call->arg;
	struct locals_frame frame;

	MUTANT(124, (void)xchg_acq_rel(&node->loop, NULL), store_release(&node->loop, NULL)); /* P1, P2 */
	hilo__locals_enter(&frame, NULL);
	fn(arg);
	hilo__locals_leave(&frame);
}

/* [closing thread] Nobody calls any more. */
static void node_drop(struct call *call)
{
	struct call_node *node = container_of(call, struct call_node, call);

	store_release(&node->loop, NULL); /* P2 */
}

/* [visitor of @loop, which has not ended] Have @node called there. 0, -EALREADY. */
static int node_queue(struct hilo_loop *loop, struct call_node *node, hilo_callback_fn fn, void *arg)
{
	struct hilo_loop *queued = load_relaxed(&node->loop), *next; /* relaxed: only an expected value */

	do
		next = queued ? queued : loop;
	while (MUTANT(123, true, !queued) && !cas_acq_rel(&node->loop, &queued, next)); /* P1 */
	if (queued)
		return -EALREADY;
	node->call.fn = fn;
	node->call.arg = arg;
	node->call.run = node_run;
	node->call.drop = node_drop;
	hilo__loop_call(loop, &node->call);
	return 0;
}

int hilo_call_soon_signalsafe(hilo_loop *loop, hilo_call_node *place, hilo_callback_fn fn, void *arg)
{
	int rc = HILO_ECLOSED;

	_Static_assert(sizeof(struct call_node) <= sizeof(hilo_call_node),
		       "the caller's place is large enough");
	if (!loop || !place || !fn)
		return -EINVAL;		       /* without a message, which would ask for memory */
	(void)add_seq_cst(&loop->visitors, 1); /* P3 of scheduler.c */
	if (load_seq_cst(&loop->runtime->phase) < PHASE_STOPPED) /* P3 of scheduler.c */
		rc = node_queue(loop, (struct call_node *)(void *)place, fn, arg);
	(void)sub_release(&loop->visitors, 1); /* P2 of task.c */
	return rc;
}

int hilo_call_node_cancel(hilo_call_node *place)
{
	struct call_node *node = (struct call_node *)(void *)place;
	struct hilo_loop *loop;

	if (!place)
		return -EINVAL;
	loop = load_acquire(&node->loop); /* P2 */
	for (unsigned round = 0; loop; round++) {
		if (MUTANT(125, hilo__loop_uncall(loop, &node->call), true)) {
			store_release(&node->loop, NULL); /* P2 */
			return 0;
		}
		/* Its turn has come, and frees the node; or who has claimed it is about to queue it. */
		loop = load_acquire(&node->loop); /* P2 */
		if (loop)
			spin_pause(round);
	}
	return -EALREADY;
}
