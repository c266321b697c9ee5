/* SPDX-License-Identifier: MIT */
/*
 * executor_submit.c - calls whose results are futures.
 *
 * Such a call is the source of its future and is freed with it. The executor holds a reference on the future
 * from before the call is queued until it is over, so the call lives at least as long as it is needed.
 *
 * Three may want to decide what becomes of it. Each does so by taking the job out of the state QUEUED, which
 * one of them can (executor_impl.h), and only he touches the executor or the call on that account.
 *
 *	a thread takes it	the call runs, and completes the future; if that was cancelled meanwhile,
 *				the result is dropped, and counted as abandoned
 *	the pool refuses it	(it closes, or no thread can be had, or its threads cannot be prepared) the
 *				future fails
 *	its future is cancelled	it leaves the queue, which is what keeps the executor until then; it never
 *				runs. Whoever cancels has claimed the future before, so nobody else completes it
 *
 * Whoever it is gives the executor's reference back as his last step. Who cancels does so before the future
 * is complete, when his own reference still keeps it.
 *
 * Rejected: a future which contains the call. The futures of all others would pay for it, and one object
 * of the pool hardly has room.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/future.h>

#include <errno.h>

#include "runtime/executor_impl.h"
#include "runtime/future_impl.h"
#include "scheduler/base/pool.h"

struct submitted {
	struct job job;
	struct future_source source;
	struct hilo_executor *executor; /* touched by who has won the call only */
	hilo_future *future;		/* the executor's reference */
	const void *site;		/* where it was submitted, for a report */
	bool forgotten;			/* nobody but the executor ever holds the future */
};

_Static_assert(sizeof(struct submitted) <= POOL_OBJECT_SIZE, "one object of the pool");

static void submitted_free(struct submitted *call)
{
	struct heap *heap;

	hilo__locals_drop(&call->job.locals);
	heap = thread_self()->heap; /* only here: a value may have been dropped */
	if (heap)
		pool_free(heap, POOL_OBJECT, call);
	else
		hilo__pool_free_any(POOL_OBJECT, call);
}

/* [who has the call] Complete the future; it may be gone afterwards, and the call with it. */
static void submitted_over(struct job *job)
{
	struct submitted *call = container_of(job, struct submitted, job);
	struct hilo_executor *executor = call->executor; /* a thread of it, or who refuses, keeps it */
	hilo_future *future = call->future;
	bool refused = load_relaxed(&job->state) == JOB_REFUSED; /* relaxed: ours alone */
	struct error *error = job->error;
	int rc;

	job->error = NULL;
	if (refused && job->result == HILO_ECLOSED && call->forgotten)
		rc = 0; /* whoever closes the pool has said so, and nobody else asks: no failure */
	else if (job->result < 0)
		rc = hilo__future_fail(future, job->result, error, call->site);
	else
		rc = hilo_future_set(future, (void *)(intptr_t)job->result, NULL);
	if (HILO__UNLIKELY(rc < 0) && !refused)
		hilo__executor_abandoned(executor);
	hilo_future_unref(future);
}

/* [who cancels the future] */
static void source_cancelled(struct future_source *source)
{
	struct submitted *call = container_of(source, struct submitted, source);

	if (hilo__executor_withdraw(call->executor, &call->job))
		hilo_future_unref(call->future); /* the executor's; not the last one */
}

static bool source_happened(const void *object)
{
	return completion_is_done(object);
}

static int source_await(struct future_source *source, struct completion *done, hilo_time deadline)
{
	struct submitted *call = container_of(source, struct submitted, source);
	struct stuck stuck = {.happened = source_happened, .object = done, .leaves = true};
	int rc = hilo__stuck_begin(&stuck, call->executor, deadline);
	bool stuck_at_once = rc < 0;

	if (rc == 0)
		rc = hilo__stuck_end(&stuck,
				     hilo__await_completion(done, WAIT_FUTURE, call->future, deadline));
	if (rc < 0)
		hilo__error_own_with(rc, WAIT_EXECUTOR,
				     stuck_at_once || stuck.told ? hilo__stuck_say(call->executor) : NULL);
	return rc;
}

static void source_free(struct future_source *source)
{
	submitted_free(container_of(source, struct submitted, source));
}

static const struct future_source_ops submitted_ops = {
	.cancelled = source_cancelled,
	.await = source_await,
	.free = source_free,
};

/* A call and its future, with the executor's reference. NULL: no memory. */
static struct submitted *submitted_new(struct hilo_executor *executor, hilo_blocking_fn fn, void *arg,
				       const void *site)
{
	struct heap *heap = hilo__thread_heap(thread_self());
	struct submitted *call = heap ? pool_alloc(heap, POOL_OBJECT) : NULL;

	if (!call)
		return NULL;
	job_init(&call->job, fn, arg, submitted_over);
	(void)locals_ref(call->job.locals); /* nobody waits for it, and keeps them */
	/* The caller's may be gone when it runs; the one that has the executor is not. */
	call->job.runtime =
		load_relaxed(&executor->runtime); /* relaxed: none, if it is just being given to one */
	call->source.ops = &submitted_ops;
	call->executor = executor;
	call->site = site;
	call->future = hilo__future_new_from(&call->source, site);
	if (call->future)
		return call;
	submitted_free(call);
	return NULL;
}

/* Queue @call, or have the caller run it. On failure it is gone; its message is the caller's. */
static int submitted_put(struct submitted *call, struct wait *wait)
{
	hilo_future *future = call->future;
	struct error *error;
	int rc = hilo__executor_put(call->executor, &call->job, wait);

	if (rc == PUT_INLINE) {
		hilo__job_run(&call->job);
		rc = 0;
	}
	if (rc < 0) {
		error = call->job.error;
		hilo_future_unref(future);
		hilo__error_own_with(rc, WAIT_EXECUTOR_ROOM, error);
	}
	return rc;
}

int hilo_executor_submit(hilo_executor *executor, hilo_blocking_fn fn, void *arg, hilo_future **ret,
			 hilo_time deadline)
{
	struct submitted *call = NULL;
	hilo_future *future = NULL;
	struct wait wait;
	int rc;

	if (!fn)
		return hilo_fail(-EINVAL, "hilo_executor_submit: fn is NULL");
	rc = hilo__executor_pick(executor, &executor);
	if (rc == 0)
		rc = hilo__wait_begin(&wait, WAIT_EXECUTOR_ROOM, executor, deadline);
	if (rc == 0) {
		call = submitted_new(executor, fn, arg, __builtin_return_address(0));
		if (!call) {
			hilo__wait_end(&wait);
			rc = -ENOMEM;
		}
	}
	if (rc < 0) {
		hilo__error_own(rc);
		return rc;
	}
	call->forgotten = !ret;
	if (ret)
		future = hilo_future_ref(call->future); /* it may be over as soon as it is queued */
	rc = submitted_put(call, &wait);
	hilo__wait_end(&wait);
	if (!wait.thread && deadline > 0)
		hilo__wait_was_free(thread_self());
	if (rc < 0)
		hilo_future_unref(future);
	else if (ret)
		*ret = future;
	return rc;
}
