/* SPDX-License-Identifier: MIT */
/*
 * signal_handler.c - callbacks on a loop for signals: a call with a place of its own (signal_call.c), asked for by
 * the signal's handler. There is one for each signal of a runtime, in a table that is made at first use.
 *
 * P1  The table is published with release, once, and read with acquire. What is in it is under its lock.
 */
#include "runtime/signal_impl.h"

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include <errno.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"
#include "scheduler/scheduler.h"

struct called {
	struct signal_sink sink;
	hilo_call_node node;
	hilo_loop *loop;
	hilo_callback_fn fn;
	void *arg;
	bool ended; /* the runtime ends, and has removed the sink */
};

struct signal_table {
	struct spinlock lock; /* of what follows */
	struct called *of[SIGNAL_MAX + 1];
};

/* [signal handler] */
static void called_deliver(struct signal_sink *sink, const siginfo_t *info)
{
	struct called *called = container_of(sink, struct called, sink);

	(void)info;
	(void)hilo_call_soon_signalsafe(called->loop, &called->node, called->fn, called->arg);
}

/* [any] The table of @runtime, made now if need be. NULL: no memory. */
static struct signal_table *table_of(struct hilo_runtime *runtime)
{
	struct signal_table *table = load_acquire(&runtime->signals), *none = NULL; /* P1 */

	if (table)
		return table;
	table = hilo__calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	spin_init(&table->lock);
	if (cas_acq_rel(&runtime->signals, &none, table)) /* P1 */
		return table;
	hilo__free(table);
	return none;
}

static struct called *table_exchange(struct signal_table *table, int signo, struct called *called)
{
	struct called *before;

	spin_lock(&table->lock);
	before = table->of[signo];
	table->of[signo] = called;
	spin_unlock(&table->lock);
	return before;
}

/* [any] It is out of the table: nobody asks for it any more, and what was asked for is taken back. */
static void called_end(struct called *called)
{
	if (!called->ended)
		hilo__signal_remove(&called->sink);
	(void)hilo_call_node_cancel(&called->node);
	hilo__free(called);
}

int hilo_add_signal_handler(int signo, hilo_callback_fn fn, void *arg)
{
	struct hilo_loop *loop = thread_home(thread_self());
	struct called *called;
	struct signal_table *table;
	int rc = hilo__signal_check("hilo_add_signal_handler", signo);

	if (rc < 0)
		return rc;
	if (!fn)
		return hilo_fail(-EINVAL, "hilo_add_signal_handler: fn is NULL");
	if (!loop)
		return -EDEADLK;
	table = table_of(loop->runtime);
	called = table ? hilo__calloc(1, sizeof(*called)) : NULL;
	if (!called)
		return -ENOMEM;
	called->sink.signo = signo;
	called->sink.deliver = called_deliver;
	called->loop = loop;
	called->fn = fn;
	called->arg = arg;
	rc = hilo__signal_add(&called->sink);
	if (rc < 0) {
		hilo__free(called);
		return hilo_fail(rc, "hilo_add_signal_handler: sigaction: %s", hilo_strerror(rc));
	}
	called = table_exchange(table, signo, called);
	if (called)
		called_end(called);
	return 0;
}

int hilo_remove_signal_handler(int signo)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = thread_home(self);
	struct hilo_runtime *runtime = loop ? loop->runtime : self->closing;
	struct signal_table *table;
	struct called *called;
	int rc = hilo__signal_check("hilo_remove_signal_handler", signo);

	if (rc < 0)
		return rc;
	if (!runtime)
		return -EDEADLK;
	table = load_acquire(&runtime->signals); /* P1 */
	called = table ? table_exchange(table, signo, NULL) : NULL;
	if (!called)
		return 0;
	called_end(called);
	return 1;
}

void hilo__runtime_end_signals(struct hilo_runtime *runtime)
{
	struct signal_table *table = load_acquire(&runtime->signals); /* P1 */

	for (int signo = 1; table && signo <= SIGNAL_MAX; signo++) {
		struct called *called = table->of[signo];

		if (!called)
			continue;
		hilo__signal_remove(&called->sink);
		called->ended = true;
	}
}

void hilo__runtime_free_signals(struct hilo_runtime *runtime)
{
	struct signal_table *table = load_acquire(&runtime->signals); /* P1 */

	for (int signo = 1; table && signo <= SIGNAL_MAX; signo++)
		hilo__free(table->of[signo]);
	hilo__free(table);
}
