/* SPDX-License-Identifier: MIT */
/* executor.c - executors as users see them: making, calling, closing. The protocol is in executor_impl.h. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/executor_impl.h"
#include "runtime/log_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"

#define DEFAULT_MAX_THREADS 512
#define DEFAULT_MAX_QUEUED 65536
#define DEFAULT_IDLE (10 * HILO_SECOND)
#define BASE_MORE 4

static int opts_check(const hilo_executor_opts *opts)
{
	if ((unsigned)opts->overflow > HILO_OVERFLOW_INLINE)
		return hilo_fail(-EINVAL, "hilo_executor_opts.overflow is %d: no such policy",
				 (int)opts->overflow);
	if (opts->idle < 0)
		return hilo_fail(-EINVAL, "hilo_executor_opts.idle is %lld: negative", (long long)opts->idle);
	if (opts->stack_size && opts->stack_size < (size_t)PTHREAD_STACK_MIN)
		return hilo_fail(-EINVAL, "hilo_executor_opts.stack_size is %zu, less than %zu",
				 opts->stack_size, (size_t)PTHREAD_STACK_MIN);
	if (opts->flags)
		return hilo_fail(-EINVAL, "hilo_executor_opts.flags is %#x: unknown flag", opts->flags);
	return 0;
}

/* What @opts say, on a machine with @cpus. */
static void executor_configure(struct hilo_executor *ex, const hilo_executor_opts *opts, unsigned cpus)
{
	ex->max_threads = opts->max_threads ? opts->max_threads : DEFAULT_MAX_THREADS;
	ex->base = cpus + BASE_MORE < ex->max_threads ? cpus + BASE_MORE : ex->max_threads;
	ex->max_queued = opts->max_queued ? opts->max_queued : DEFAULT_MAX_QUEUED;
	ex->idle_time = opts->idle ? opts->idle : DEFAULT_IDLE;
	ex->stack_size = opts->stack_size;
	ex->initializer = opts->initializer;
	ex->finalizer = opts->finalizer;
	ex->init_arg = opts->init_arg;
	ex->overflow = opts->overflow;
	(void)snprintf(ex->name, sizeof(ex->name), "%s", opts->name ? opts->name : "hilo-pool");
}

int hilo__executor_new(const hilo_executor_opts *given, unsigned cpus, bool may_spin, hilo_executor **ret)
{
	hilo_executor_opts opts = {.size = sizeof(opts)};
	struct hilo_executor *ex;
	int rc = 0;

	if (given)
		rc = SIZED_IN(hilo_executor_opts, &opts, given, flags);
	if (rc == 0)
		rc = opts_check(&opts);
	if (rc < 0)
		return rc;
	ex = hilo__aligned_alloc(_Alignof(struct hilo_executor), sizeof(*ex));
	if (!ex)
		return -ENOMEM;
	memset(ex, 0, sizeof(*ex));
	spin_init(&ex->lock);
	list_init(&ex->queue);
	list_init(&ex->rooms);
	list_init(&ex->stuck);
	list_init(&ex->crew);
	completion_init(&ex->gone, 1);
	executor_configure(ex, &opts, cpus);
	ex->may_spin = may_spin;
	*ret = ex;
	return 0;
}

int hilo_executor_new(const hilo_executor_opts *opts, hilo_executor **ret)
{
	struct hilo_loop *loop = thread_self()->loop;
	unsigned cpus = loop ? loop->runtime->cpus : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	int rc;

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_executor_new: ret is NULL");
	rc = hilo__executor_new(opts, cpus, loop ? loop->runtime->spin : false, ret);
	if (rc == 0)
		debug_opened(&(*ret)->open, loop ? loop->runtime : NULL, DEBUG_EXECUTOR,
			     __builtin_return_address(0));
	return rc;
}

/* [who has the call] P1: its caller may be gone as soon as it is over. */
static void call_over(struct job *job)
{
	struct waited *call = container_of(job, struct waited, job);
	struct hilo_task *task = call->task;
	uint32_t episode = call->episode;

	store_release(&job->state, JOB_OVER); /* P1: our last touch */
	hilo__task_wake(task, episode);
}

/* Make the call and wait for it. Its result, which its error goes with, or PUT_INLINE: *@ret_inline. */
static int call_make(hilo_executor *executor, struct waited *call, hilo_time deadline, bool *ret_inline)
{
	struct hilo_runtime *runtime = call->job.runtime;
	struct wait wait;
	bool at_once;
	int rc = hilo__wait_begin(&wait, WAIT_EXECUTOR, executor, deadline);

	if (rc < 0)
		return rc;
	call->task = wait.task;
	call->episode = wait.episode;
	if (!wait.thread)
		(void)add_relaxed(&runtime->calls_out, 1); /* relaxed: a hint for how to idle */
	rc = hilo__executor_put(executor, &call->job, &wait);
	*ret_inline = rc == PUT_INLINE;
	at_once = rc != 0 ||
		  hilo__waited_is_over(call); /* refused, mostly: by us or, once queued, by another */
	if (rc == 0)
		rc = hilo__executor_await(executor, call, &wait);
	if (!wait.thread)
		(void)sub_relaxed(&runtime->calls_out, 1); /* relaxed: as above */
	hilo__wait_end(&wait);
	if (at_once && !wait.thread && deadline > 0)
		hilo__wait_was_free(thread_self());
	return rc;
}

/* [caller] What to say of @call, which ends with the failure @code: its own, or that of the wait for it. */
static HILO__COLD void call_failed(struct waited *call, int code)
{
	if (call->job.error || hilo__waited_is_over(call))
		hilo__error_adopt(code, call->job.error);
	else if (load_relaxed(&call->job.state) == JOB_LEAVING) /* relaxed: ours, since it is not over */
		(void)hilo__error_own_wait(code, WAIT_EXECUTOR, NULL);
	else
		(void)hilo__error_own_wait(code, WAIT_EXECUTOR_ROOM, NULL);
}

int hilo_run_in_executor(hilo_executor *executor, hilo_blocking_fn fn, void *arg, hilo_time deadline)
{
	struct waited call;
	bool run_inline = false;
	int rc;

	if (!fn)
		return hilo_fail(-EINVAL, "hilo_run_in_executor: fn is NULL");
	job_init(&call.job, fn, arg, call_over);
	rc = hilo__executor_pick(executor, &executor);
	if (rc == 0)
		rc = call_make(executor, &call, deadline, &run_inline);
	if (HILO__UNLIKELY(run_inline)) {
		hilo__job_run(&call.job); /* its wake-up is for a wait that is over, and wakes nobody */
		rc = call.job.result;
	}
	if (HILO__UNLIKELY(rc < 0))
		call_failed(&call, rc);
	return rc;
}

int hilo_to_thread(hilo_blocking_fn fn, void *arg, hilo_time deadline)
{
	return hilo_run_in_executor(NULL, fn, arg, deadline);
}

/* Take no more calls. Returns the idle threads, which are to be woken. */
static struct pool_thread *executor_shut(struct hilo_executor *ex, unsigned flags)
{
	struct pool_thread *idle;
	bool last;

	spin_lock(&ex->lock);
	ex->closed = true;
	if (flags & HILO_EXECUTOR_CANCEL_QUEUED)
		while (hilo__executor_refuse(ex, HILO_ECLOSED, NULL))
			;
	hilo__executor_clear_rooms(ex);
	idle = ex->idle;
	ex->idle = NULL;
	last = executor_is_last(ex);
	spin_unlock(&ex->lock);
	if (last)
		(void)completion_set(&ex->gone);
	return idle;
}

int hilo__executor_end(hilo_executor *executor, unsigned flags, hilo_time deadline)
{
	struct pool_thread *idle, *next;

	for (idle = executor_shut(executor, flags); idle; idle = next) {
		next = idle->next; /* it goes on, and may be gone, once it is woken */
		hilo__pool_wake(idle);
	}
	return hilo__await_completion(&executor->gone, WAIT_EXECUTOR, executor, deadline);
}

/* What runs in @ex: how many calls, and the one that has run longest. */
struct running {
	unsigned calls, queued;
	const void *first;
	int64_t age; /* of that one, in cycles */
};

static struct running executor_running(struct hilo_executor *ex)
{
	struct running running = {0};
	struct list *at;

	spin_lock(&ex->lock);
	running.queued = executor_queued(ex);
	list_for_each (at, &ex->crew) {
		struct pool_thread *thread = container_of(at, struct pool_thread, link);
		const void *runs = load_acquire(&thread->runs); /* P4 */
		/* relaxed: P4; processors may differ by a little */
		int64_t age = (int64_t)(cycles_now() - load_relaxed(&thread->since));

		if (!runs)
			continue;
		if (running.calls++ == 0 || age > running.age) {
			running.first = runs;
			running.age = age;
		}
	}
	spin_unlock(&ex->lock);
	return running;
}

void hilo__executor_report(hilo_executor *executor)
{
	struct running running = executor_running(executor);
	uint64_t cycles = running.age > 0 ? (uint64_t)running.age : 0;

	if (running.calls)
		hilo__log(HILO_LOG_WARNING,
			  "executor %s did not end: calls run in %u threads, the longest for %.3f s in %p; "
			  "%u calls are queued",
			  executor->name, running.calls,
			  (double)hilo__cycles_to_ns(cycles) / (double)HILO_SECOND, running.first,
			  running.queued);
}

void hilo__executor_free(hilo_executor *executor)
{
	if (executor->has_exited)
		(void)pthread_join(executor->exited, NULL);
	debug_ended(&executor->open);
	hilo__error_free(executor->broken_error);
	hilo__free(executor);
}

int hilo_executor_close(hilo_executor *executor, unsigned flags, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc;

	if (!executor)
		return 0;
	if (flags & ~HILO_EXECUTOR_CANCEL_QUEUED)
		return hilo_fail(-EINVAL, "hilo_executor_close: flags %#x", flags);
	if (self->loop ? !self->task : self->closing != NULL)
		return hilo_fail(-EDEADLK, "hilo_executor_close: a callback may not wait");
	if (!self->loop && !hilo__thread_record(self))
		return -ENOMEM; /* before anything has happened */
	if (self->pool == executor)
		return hilo_fail(-EDEADLK, "hilo_executor_close: executor %s would wait for its own caller",
				 executor->name);
	if (load_relaxed(&executor->owned)) /* relaxed: the caller's own doing, else */
		return hilo_fail(-EBUSY, "hilo_executor_close: executor %s is a runtime's, which closes it",
				 executor->name);
	rc = hilo__executor_end(executor, flags, deadline);
	if (rc == 0)
		hilo__executor_free(executor);
	else if (rc == -ETIMEDOUT && deadline > 0) /* else it was not to wait */
		hilo__executor_report(executor);
	return rc;
}

int hilo_executor_get_stats(hilo_executor *executor, hilo_executor_stats *stats)
{
	hilo_executor_stats now = {.size = sizeof(now)};
	int rc;

	if (!stats)
		return -EINVAL;
	rc = hilo__executor_pick(executor, &executor);
	if (rc < 0)
		return rc;
	now.running = executor_running(executor).calls;
	spin_lock(&executor->lock);
	now.calls = executor->taken;
	now.cancelled = executor->cancelled;
	now.threads = executor->threads;
	now.peak = executor->peak;
	now.queued = executor_queued(executor);
	now.abandoned = executor->abandoned;
	spin_unlock(&executor->lock);
	return SIZED_OUT(hilo_executor_stats, stats, &now, queued);
}
