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

#include "runtime/debug_impl.h"
#include "runtime/done_impl.h"
#include "runtime/error_impl.h"
#include "runtime/exception_impl.h"
#include "runtime/future_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/pool.h"

struct hilo_future {
	uint64_t unused;	  /* the pool's word */
	atomic(uint32_t) claimed; /* 1 once somebody has begun to complete it: the first one wins */
	atomic(uint32_t) taken;	  /* 1 once the value was moved out */
	atomic(bool) looked;	  /* somebody has read the failure */
	struct completion done;
	struct error *error; /* what who failed it has said of that, shared with him; or NULL */
	void *value;
	void (*drop)(void *value);
	const void *failed_at;	      /* return address of the call that completed it with a failure */
	struct future_source *source; /* what will complete it, if that is to know of a cancel; fixed */
	struct debug_mark open;
};

_Static_assert(sizeof(struct hilo_future) <= POOL_OBJECT_SIZE, "one object of the pool");

static inline hilo_future *future_new(struct future_source *source, const void *site)
{
	struct thread *self = thread_self();
	struct heap *heap = hilo__thread_heap(self);
	hilo_future *future = heap ? pool_alloc(heap, POOL_OBJECT) : NULL;

	if (!future)
		return NULL;
	atomic_setup(&future->claimed, 0);
	atomic_setup(&future->taken, 0);
	atomic_setup(&future->looked, false);
	future->error = NULL;
	future->value = NULL;
	future->drop = NULL;
	future->source = source;
	future->done.result = 0;
	completion_init(&future->done, 1);
	debug_opened(&future->open, self->loop ? self->loop->runtime : NULL, DEBUG_FUTURE, site);
	return future;
}

hilo_future *hilo_future_new(void)
{
	return future_new(NULL, __builtin_return_address(0));
}

hilo_future *hilo__future_new_from(struct future_source *source, const void *site)
{
	return future_new(source, site);
}

static void future_free(hilo_future *future)
{
	struct heap *heap;

	/* relaxed: nobody else is left */
	if (HILO__UNLIKELY(future->done.result < 0) && future->done.result != -ECANCELED &&
	    MUTANT(67, !load_relaxed(&future->looked), true))
		hilo__exception_future(future->done.result, hilo__error_text(future->error),
				       future->failed_at);
	hilo__error_free(future->error);
	/* relaxed: nobody else is left */
	if (future->drop && MUTANT(64, !load_relaxed(&future->taken), true))
		future->drop(future->value);
	if (future->source)
		future->source->ops->free(future->source);
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

int hilo__future_fail(hilo_future *future, int code, struct error *error, const void *site)
{
	if (!future_claim(future)) {
		hilo__error_free(error);
		return HILO_EINVALSTATE;
	}
	future->failed_at = site;
	future->error = error;
	return future_complete(future, code);
}

int hilo_future_set_error(hilo_future *future, int code)
{
	if (!future)
		return -ENOMEM;
	if (code >= 0)
		return hilo_fail(-EINVAL, "hilo_future_set_error: %d is not a failure", code);
	return hilo__future_fail(future, code, hilo__error_share(code), __builtin_return_address(0));
}

int hilo_future_cancel(hilo_future *future)
{
	if (!future)
		return -ENOMEM;
	if (!future_claim(future))
		return HILO_EINVALSTATE;
	future->failed_at = __builtin_return_address(0);
	if (future->source)
		future->source->ops->cancelled(
			future->source); /* the caller's reference keeps it meanwhile */
	return future_complete(future, -ECANCELED);
}

struct completion *hilo__future_done(hilo_future *future)
{
	return &future->done;
}

static int future_read(hilo_future *future, void **ret)
{
	if (future->done.result < 0) {
		store_relaxed(&future->looked, true); /* relaxed: read by whoever drops the last reference */
		return hilo__error_receive_shared(future->error, future->done.result);
	}
	if (ret)
		*ret = future->value;
	return 0;
}

/* 0 when complete; else why the wait ended, which the caller's failure is then. */
static int future_wait(hilo_future *future, hilo_time deadline)
{
	int rc;

	if (HILO__UNLIKELY(future->source != NULL))
		return future->source->ops->await(future->source, &future->done, deadline);
	rc = hilo__await_completion(&future->done, WAIT_FUTURE, future, deadline);
	return rc < 0 ? hilo__error_own_wait(rc, WAIT_FUTURE, NULL) : 0;
}

int hilo_future_await(hilo_future *future, void **ret, hilo_time deadline)
{
	int rc;

	if (!future)
		return -ENOMEM;
	rc = future_wait(future, deadline);
	return rc < 0 ? rc : future_read(future, ret);
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

/* What a done callback of a future holds is a reference like others. */
static void future_release(struct completion *done)
{
	hilo_future_unref(container_of(done, hilo_future, done));
}

int hilo_future_on_done(hilo_future *future, hilo_done_node *node, hilo_callback_fn fn, void *arg)
{
	if (!future)
		return -ENOMEM;
	return hilo__done_add("hilo_future_on_done", &future->done, future_release, node, fn, arg);
}

int hilo_future_remove_on_done(hilo_future *future, hilo_done_node *node)
{
	return future ? hilo__done_remove(node) : -EINVAL;
}
