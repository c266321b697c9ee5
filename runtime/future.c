/* SPDX-License-Identifier: MIT */
/*
 * future.c - one-shot results. The hand-over itself is scheduler/completion.h.
 *
 * A failure that nobody has read is told by whoever frees the future: nobody can look any more. To have
 * waited in vain, or to be called back, is not to have read it.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/future.h>

#include <errno.h>
#include <sched.h>

#include "runtime/debug_impl.h"
#include "runtime/error_impl.h"
#include "runtime/exception_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/pool.h"

/* Looks at the queue before the CPU is offered to others: more than the completer needs. */
#define SPIN_ROUNDS 100

struct hilo_future {
	uint64_t unused;	  /* the pool's word */
	atomic(uint32_t) claimed; /* 1 once somebody has begun to complete it: the first one wins */
	atomic(uint32_t) taken;	  /* 1 once the value was moved out */
	atomic(bool) looked;	  /* somebody has read the failure */
	struct completion done;
	void *value;
	void (*drop)(void *value);
	const void *failed_at; /* return address of the call that completed it with a failure */
	struct debug_mark open;
};

_Static_assert(sizeof(struct hilo_future) <= POOL_OBJECT_SIZE, "one object of the pool");

hilo_future *hilo_future_new(void)
{
	struct thread *self = thread_self();
	struct heap *heap = hilo__thread_heap(self);
	hilo_future *future = heap ? pool_alloc(heap, POOL_OBJECT) : NULL;

	if (!future)
		return NULL;
	atomic_setup(&future->claimed, 0);
	atomic_setup(&future->taken, 0);
	atomic_setup(&future->looked, false);
	future->value = NULL;
	future->drop = NULL;
	future->done.result = 0;
	completion_init(&future->done, 1);
	debug_opened(&future->open, self->loop ? self->loop->runtime : NULL, DEBUG_FUTURE,
		     __builtin_return_address(0));
	return future;
}

static void future_free(hilo_future *future)
{
	struct heap *heap;

	/* relaxed: nobody else is left */
	if (HILO__UNLIKELY(future->done.result < 0) && future->done.result != -ECANCELED &&
	    MUTANT(67, !load_relaxed(&future->looked), true))
		hilo__exception_future(future->done.result, future->failed_at);
	/* relaxed: nobody else is left */
	if (future->drop && MUTANT(64, !load_relaxed(&future->taken), true))
		future->drop(future->value);
	debug_ended(&future->open);
	heap = thread_self()->heap; /* only here: drop is the user's, and may have suspended */
	if (heap)
		pool_free(heap, POOL_OBJECT, future);
	else
		hilo__pool_free_any(POOL_OBJECT, future);
}

hilo_future *hilo_future_ref(hilo_future *future)
{
	if (future)
		completion_ref(&future->done);
	return future;
}

/* Unlike a task, a pending future has no holder of its own: with the last reference it goes. */
void hilo_future_unref(hilo_future *future)
{
	uint32_t word;

	if (!future)
		return;
	/* The last holder sees all uses ended: P3 of completion.h. */
	word = MUTANT(61, sub_acq_rel(&future->done.word, COMPLETION_REF),
		      sub_relaxed(&future->done.word, COMPLETION_REF));
	if (word < MUTANT(62, 2, 3) * COMPLETION_REF &&
	    (word & (COMPLETION_DONE | COMPLETION_WAITERS)) != (COMPLETION_DONE | COMPLETION_WAITERS))
		future_free(future);
}

/* The first of those who complete at the same time; the others find it claimed. */
static bool future_claim(hilo_future *future)
{
	uint32_t no = 0;

	/* Pairs with itself: one winner; the completion publishes the result. */
	return MUTANT(60, cas_acq_rel(&future->claimed, &no, 1),
		      load_relaxed(&future->claimed) == no && (store_relaxed(&future->claimed, 1), true));
}

static int future_complete(hilo_future *future, int result)
{
	future->done.result = result;
	/* Whoever sets it knows of a reference; that one may be dropped while the waiters are woken. */
	if (completion_set(&future->done))
		future_free(future);
	return 0;
}

int hilo_future_set(hilo_future *future, void *value, void (*drop)(void *value))
{
	if (!future)
		return -ENOMEM;
	if (!future_claim(future))
		return HILO_EINVALSTATE;
	future->value = value;
	future->drop = drop;
	return future_complete(future, 0);
}

int hilo_future_set_error(hilo_future *future, int code)
{
	if (!future)
		return -ENOMEM;
	if (code >= 0)
		return hilo_fail(-EINVAL, "hilo_future_set_error: %d is not a failure", code);
	if (!future_claim(future))
		return HILO_EINVALSTATE;
	future->failed_at = __builtin_return_address(0);
	return future_complete(future, code);
}

int hilo_future_cancel(hilo_future *future)
{
	return hilo_future_set_error(future, -ECANCELED);
}

static int future_read(hilo_future *future, void **ret)
{
	if (future->done.result < 0) {
		store_relaxed(&future->looked, true); /* relaxed: read by whoever drops the last reference */
		return hilo__error_own(future->done.result);
	}
	if (ret)
		*ret = future->value;
	return 0;
}

int hilo_future_await(hilo_future *future, void **ret, hilo_time deadline)
{
	int rc;

	if (!future)
		return -ENOMEM;
	rc = hilo__await_completion(&future->done, WAIT_FUTURE, future, deadline);
	return rc < 0 ? hilo__error_own(rc) : future_read(future, ret);
}

int hilo_future_result(hilo_future *future, void **ret)
{
	if (!future)
		return -ENOMEM;
	return completion_is_done(&future->done) ? future_read(future, ret) : -EAGAIN;
}

int hilo_future_take(hilo_future *future, void **ret)
{
	uint32_t word;

	if (!future)
		return -ENOMEM;
	word = load_acquire(&future->done.word); /* P1 of completion.h */
	if (!(word & COMPLETION_DONE))
		return -EAGAIN;
	if (MUTANT(63, word >= 2 * COMPLETION_REF, false))
		return -EBUSY;
	if (load_relaxed(&future->taken)) /* relaxed: the sole owner asks */
		return HILO_EINVALSTATE;
	if (future->done.result < 0)
		return future_read(future, ret);
	store_relaxed(&future->taken, 1); /* relaxed: as above */
	*ret = future->value;
	return 0;
}

int hilo_future_is_done(const hilo_future *future)
{
	return future && completion_is_done(&future->done);
}

/*
 * What a hilo_done_node holds. It is tied to its loop from the registration until the callback is
 * called or was removed, and is a reference on its future as long. So a loop that ends finds all that
 * could still call it: D1 and D2 below.
 *
 * D3  The callback may run on a thread that stands in for the loop's, while a task of the loop removes
 *     it. Who runs it releases `ran` as his last touch of the node, who removes it acquires.
 */
struct done_node {
	struct waiter waiter;
	struct call call;
	struct tie tie;
	struct hilo_loop *loop;
	hilo_future *future;
	atomic(bool) ran; /* the callback was called, or is about to be */
};

/* [the completer] The future is complete: queue the callback on the loop that asked. */
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
	hilo_future *future = node->future;

	hilo__loop_untie(node->loop, &node->tie);
	store_release(&node->ran, true); /* D3 pairs with the acquires below: our last touch */
	hilo_future_unref(future);	 /* before: the callback may be the sole owner, and take the value */
	fn(arg);
}

/*
 * [loop, closing thread] Take the node out of its future, or its call out of the queue. False: it has
 * run. When the future is complete, its completer has put the call there, or is just about to.
 */
static bool done_take_back(struct done_node *node)
{
	if (hilo__completion_remove(&node->future->done, &node->waiter))
		return true;
	for (unsigned round = 0; !load_acquire(&node->ran); round++) { /* pairs with done_run, D3 */
		if (MUTANT(65, hilo__loop_uncall(node->loop, &node->call), true))
			return true;
		if (round < SPIN_ROUNDS)
			cpu_relax();
		else
			(void)sched_yield();
	}
	return false;
}

/*
 * [closing thread] The loop ends first. D1: a future that is not complete forgets the node. D2: one
 * that is, but whose completer has not come to the loop yet, is waited for; afterwards it is among
 * the visitors of the loop, for whom hilo__loop_fini waits. Either way the callback is called now.
 */
static void done_cut(struct tie *tie)
{
	struct done_node *node = container_of(tie, struct done_node, tie);

	if (done_take_back(node))
		done_run(&node->call);
}

int hilo_future_on_done(hilo_future *future, hilo_done_node *place, hilo_callback_fn fn, void *arg)
{
	struct done_node *node = (struct done_node *)(void *)place;
	struct hilo_loop *loop = thread_home(thread_self());

	_Static_assert(sizeof(struct done_node) <= sizeof(hilo_done_node),
		       "the caller's place is large enough");
	if (!future)
		return -ENOMEM;
	if (!place || !fn)
		return hilo_fail(-EINVAL, "hilo_future_on_done: %s is NULL", place ? "fn" : "node");
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
	node->future = hilo_future_ref(future);
	atomic_setup(&node->ran, false);
	hilo__loop_tie(loop, &node->tie);
	if (!hilo__completion_add(&future->done, &node->waiter) && MUTANT(66, true, false))
		hilo__loop_call(loop, &node->call);
	return 0;
}

int hilo_future_remove_on_done(hilo_future *future, hilo_done_node *place)
{
	struct done_node *node = (struct done_node *)(void *)place;
	struct thread *self = thread_self();

	if (!future || !place)
		return -EINVAL;
	if (load_acquire(&node->ran)) /* pairs with done_run, D3; its loop may be gone */
		return -EALREADY;
	if (thread_home(self) != node->loop && (!self->closing || self->closing != node->loop->runtime))
		return -EDEADLK;
	if (!done_take_back(node))
		return -EALREADY;
	hilo__loop_untie(node->loop, &node->tie);
	store_relaxed(&node->ran, true); /* relaxed: the caller's own again; not to be removed twice */
	hilo_future_unref(future);
	return 0;
}
