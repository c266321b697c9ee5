/* SPDX-License-Identifier: MIT */
/*
 * held.c - answers that are held back, because more requests lie behind them, are sent as soon as the task waits for
 * anything. It cannot know whether the next handler will; so it leaves a callback with its loop, which runs when the
 * task lets go of the thread.
 *
 * Who may touch `out` is told by `held`:
 *
 *	NONE     the task, and no callback is queued
 *	QUEUED   nobody; the callback is queued
 *	TASK     the task; the callback is queued
 *	MISSED   the task; the callback has run meanwhile, and left it alone
 *	SENDING  the callback
 *
 * Rejected: to send each answer before the next handler is called, a system call for each; and to guess from how long
 * handlers have taken, which is wrong each time that it matters.
 */
#include "io/http/http_impl.h"

#include <hilo/runtime/loop.h>
#include <hilo/runtime/task.h>

#include <errno.h>

enum held {
	HELD_NONE,
	HELD_QUEUED,
	HELD_TASK,
	HELD_MISSED,
	HELD_SENDING,
};

/* [callback] Send what is held, if the task leaves it to us. */
static void held_send(void *arg)
{
	struct connection *c = arg;
	int expected = HELD_QUEUED;

	while (!cas_acq_rel(&c->held, &expected, expected == HELD_QUEUED ? HELD_SENDING : HELD_MISSED))
		continue; /* pairs with hilo__http_out_take: expected is what it is by now */
	if (MUTANT(500, expected != HELD_QUEUED, false))
		return; /* the connection may be gone */
	/* If that cannot be without waiting, or fails, the task will see. */
	if (c->out.used && hilo_stream_write(c->stream, c->out.data, c->out.used, HILO_NO_WAIT) > 0)
		c->out.used = 0;
	/* Pairs with hilo__http_out_take; the connection may be gone afterwards. */
	MUTANT(501, store_release(&c->held, HELD_NONE), store_relaxed(&c->held, HELD_NONE));
}

void hilo__http_out_take(struct connection *c)
{
	int expected = HELD_QUEUED;
	unsigned round = 0;

	/* Pairs with held_send: what it has sent is not sent again. */
	if (load_acquire(&c->held) == HELD_NONE || cas_acq_rel(&c->held, &expected, HELD_TASK))
		return;
	/* Pairs with held_send. */
	while (MUTANT(504, load_acquire(&c->held) == HELD_SENDING, 0))
		spin_pause(round++);
}

void hilo__http_out_give(struct connection *c)
{
	int expected = HELD_TASK;

	/* Pairs with held_send. */
	if (cas_acq_rel(&c->held, &expected, HELD_QUEUED) || MUTANT(502, 0, expected == HELD_MISSED))
		return;
	store_release(&c->held, HELD_QUEUED); /* pairs with held_send, which the queue calls later */
	if (hilo_call_soon_signalsafe(hilo_loop_current(), &c->call, held_send, c) == 0)
		return;
	store_relaxed(&c->held, HELD_NONE); /* relaxed: nobody was told */
	(void)hilo__http_flush(c, NULL, 0, HILO_FOREVER);
}

void hilo__http_out_end(struct connection *c)
{
	unsigned round = 0;

	hilo__http_out_take(c);
	if (load_relaxed(&c->held) == HELD_NONE) /* relaxed: ours */
		return;
	if (hilo_call_node_cancel(&c->call) == 0)
		return;
	/* It is about to run, on a loop whose thread need not be ours. Pairs with held_send. */
	while (MUTANT(503, load_acquire(&c->held) == HELD_TASK, 0))
		spin_pause(round++);
}
