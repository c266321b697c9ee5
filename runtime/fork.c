/* SPDX-License-Identifier: MIT */
/*
 * fork.c - forks as programs see them: regions, and what the code compiled into programs asks for when a fork or a join
 * is not the common case. The protocol is in scheduler/fork.h.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/fork.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <string.h>

#include "runtime/fork_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"
#include "scheduler/fork.h"
#include "scheduler/reason.h"

/* A join waits so long for a fork that another worker runs before it suspends. */
#define SPIN_US 2

/* What has not run has no result: zero, or @code. */
static void fork_set_nothing(struct hilo_fork *fork, int is_code, int code)
{
	memset(fork->data, 0, sizeof(fork->data));
	if (is_code)
		memcpy(fork->data, &code, sizeof(code));
}

/* [owner] Something was left out for @code. */
static void forks_fail(struct forks *forks, int code)
{
	if (forks->failed == 0)
		forks->failed = code;
}

/*
 * [owner] Where the fork whose place is @fork is to be put. Beyond the last record it runs at once, and only its result
 * waits. NULL: no memory for that.
 */
struct hilo_fork *hilo_fork_place(struct hilo_forks *face, struct hilo_fork *fork)
{
	struct forks *forks = forks_of(face);
	struct late_fork *late;

	if (HILO__LIKELY(fork < forks_end(forks)))
		return fork;
	forks->late_forks++;
	forks_ask(forks); /* so that its join comes here */
	late = hilo__aligned_alloc(_Alignof(struct late_fork), sizeof(*late));
	if (!late) {
		forks_fail(forks, -ENOMEM);
		return NULL;
	}
	late->place = fork;
	late->older = forks->late;
	forks->late = late;
	return &late->fork;
}

/* [owner] @fork is filled in. */
void hilo_fork_made(struct hilo_forks *face, struct hilo_fork *fork, int is_code)
{
	struct forks *forks = forks_of(face);
	struct late_fork *late = forks->late;

	if (HILO__UNLIKELY(forks->measured)) {
		hilo__fork_measured_made(forks, fork, is_code);
		return;
	}
	if (HILO__LIKELY(!late || fork != &late->fork)) {
		(void)hilo__fork_answer(forks, fork + 1);
		if (load_relaxed(&thread_self()->loop->turn_called)) /* relaxed: a hint */
			forks_ask_join(forks);			     /* which is where it gives way */
		return;
	}
	if (hilo__fork_is_skipping(forks))
		fork->run = NULL;
	else if (hilo__fork_is_low(face))
		hilo_fork_elsewhere(face, fork, is_code);
	else if (HILO__UNLIKELY(forks->checked))
		hilo__fork_run_checked(forks, late->place + 1, fork);
	else
		(void)fork->run(face, late->place + 1, fork);
}

struct hilo_fork *hilo__fork_late_join(struct forks *forks, struct hilo_fork *fork, int is_code)
{
	struct late_fork *late = forks->late;
	int code = -ENOMEM;

	forks->late_forks--;
	if (late && late->place == fork) {
		forks->result = late->fork;
		forks->late = late->older;
		hilo__free(late);
		if (forks->result.run)
			return &forks->result;
		code = -ECANCELED;
	}
	forks_fail(forks, code);
	forks->result.run = NULL;
	fork_set_nothing(&forks->result, is_code, code);
	return &forks->result;
}

void hilo__fork_left_out(struct forks *forks, struct hilo_fork *fork, int is_code)
{
	forks_fail(forks, -ECANCELED);
	fork_set_nothing(fork, is_code, -ECANCELED);
	fork_set_free(fork);
}

/* [task] Give a fork that runs elsewhere at this moment the time to end. */
static bool fork_ends_soon(struct hilo_task *helper)
{
	const struct hilo_runtime *runtime = thread_self()->loop->runtime;
	uint64_t until;

	if (runtime->workers == 1 || !runtime->spin)
		return completion_is_done(&helper->done);
	until = cycles_now() + SPIN_US * hilo__cycles_per_us();
	while (!completion_is_done(&helper->done)) {
		if (cycles_now() >= until)
			return false;
		cpu_relax();
	}
	return true;
}

/*
 * [task, suspends] Wait until @helper, who runs @fork, has ended. A request to stop is passed on to it, and we wait on:
 * what it works on may be ours.
 */
static void fork_await(struct hilo_fork *fork, struct hilo_task *helper)
{
	struct hilo_task *task = thread_self()->task;

	if (fork_ends_soon(helper) ||
	    hilo__await_completion(&helper->done, WAIT_FORK, helper, HILO_FOREVER) == 0)
		return;
	if (fork_ask(fork))
		/* relaxed: the reason of some request */
		(void)hilo__task_cancel(helper, task_state_reason(load_relaxed(&task->state)));
	task->shield++;
	(void)hilo__await_completion(&helper->done, WAIT_FORK, helper, HILO_FOREVER);
	task->shield--;
}

/* [task, suspends] The same, and take over what it has to say. */
static void fork_finish(struct forks *forks, struct hilo_fork *fork, struct hilo_task *helper, int is_code)
{
	int code;

	fork_await(fork, helper);
	HILO__ASSERT(fork_has_started(fork));
	if (fork_state(fork)->code < 0)
		forks_fail(forks, fork_state(fork)->code);
	if (load_relaxed(&fork_state(fork)->flags) & FORK_LEFT_OUT) { /* relaxed: its end was seen */
		forks_fail(forks, -ECANCELED);
		fork_set_nothing(fork, is_code, -ECANCELED);
	} else if (is_code) {
		memcpy(&code, fork->data, sizeof(code));
		if (code < 0)
			hilo__error_receive(helper, code);
	}
	hilo_task_unref(helper);
}

struct hilo_fork *hilo_fork_join(struct hilo_forks *face, struct hilo_fork *fork, int is_code)
{
	struct forks *forks = forks_of(face);
	bool skips;

	if (HILO__UNLIKELY(fork >= forks_end(forks) && !forks->measured))
		return hilo__fork_late_join(forks, fork, is_code);
	if (HILO__UNLIKELY(load_relaxed(&thread_self()->loop->turn_called))) /* relaxed: a hint */
		hilo__fork_turn(thread_self());
	if (HILO__UNLIKELY(forks->measured))
		return hilo__fork_measured_join(forks, fork, is_code);
	skips = hilo__fork_answer(forks, fork);
	if (fork >= forks->split || hilo__forks_retract(forks, fork)) {
		if (HILO__UNLIKELY(skips))
			hilo__fork_left_out(forks, fork, is_code);
		else if (HILO__LIKELY(!forks->checked) || hilo__fork_is_low(face))
			return NULL;
		else
			hilo__fork_run_checked(forks, fork, fork);
		return fork;
	}
	fork_finish(forks, fork, hilo__fork_thief(fork), is_code);
	hilo__forks_joined(forks, fork);
	return fork;
}

/* [task, suspends] Run @fork, which is the caller's own, on another stack. */
void hilo_fork_elsewhere(struct hilo_forks *face, struct hilo_fork *fork, int is_code)
{
	struct forks *forks = forks_of(face);
	struct thread *self = thread_self();
	struct hilo_task *helper = hilo__fork_task(self, forks);
	struct measure *measure;

	if (!helper) {
		forks_fail(forks, -ENOMEM);
		fork_set_nothing(fork, is_code, -ENOMEM);
		return;
	}
	atomic_setup(&fork_state(fork)->flags, 0);
	measure = hilo__fork_hand_on(forks, helper);
	hilo__fork_start(self, helper, fork, forks->locals);
	fork_finish(forks, fork, helper, is_code);
	hilo__fork_take_back(forks, measure);
}

/* [task, suspends] Run @fork as the first of a region. Its code; *@ret_failed: why something was left out. */
static int region_run(struct hilo_fork *fork, unsigned flags, int is_code, int *ret_failed)
{
	struct forks *forks = hilo__fork_enter(thread_self(), flags);
	int rc = 0;

	if (!forks) {
		fork_set_nothing(fork, is_code, -ENOMEM);
		*ret_failed = -ENOMEM;
		return 0;
	}
	if (HILO__UNLIKELY(hilo__fork_is_low(forks_face(forks))))
		hilo_fork_elsewhere(forks_face(forks), fork, is_code);
	else
		rc = fork->run(forks_face(forks), forks->record, fork);
	*ret_failed = hilo__fork_leave(forks);
	return rc;
}

/* A region in a task that was made for it. */
struct region_call {
	struct hilo_fork *fork;
	unsigned flags;
	int is_code;
	int failed;
	bool ran;
};

static int region_task(void *arg)
{
	struct region_call *call = arg;

	call->ran = true;
	return region_run(call->fork, call->flags, call->is_code, &call->failed);
}

/*
 * [any, suspends] Wait for @task; a request to stop is passed on. Its result, looked at: it may have ended after a wait
 * was interrupted, or before it began, so that what counts is the task and not how we have waited.
 */
static int region_await(struct hilo_task *task)
{
	int rc;

	(void)hilo__await_completion(&task->done, WAIT_TASK, task, HILO_FOREVER);
	if (!completion_is_done(&task->done)) {
		struct hilo_task *self = thread_self()->task; /* a plain thread's record has requests, too */

		(void)hilo__task_cancel(task, REASON_WAITER);
		self->shield++;
		(void)hilo__await_completion(&task->done, WAIT_TASK, task, HILO_FOREVER);
		self->shield--;
	}
	hilo__task_looked(task);
	rc = task->done.result;
	hilo_task_unref(task);
	return rc;
}

/* [any, suspends] Run @fork in a task of @runtime. */
static int region_submit(struct hilo_runtime *runtime, struct hilo_fork *fork, const hilo_region_opts *opts,
			 int is_code, bool *ret_ran)
{
	struct region_call call = {.fork = fork, .flags = opts->flags, .is_code = is_code};
	struct task_spec spec = {.entry = region_task, .arg = &call, .site = (void *)(uintptr_t)fork->run};
	hilo_task_opts task_opts = {.size = sizeof(task_opts), .stack = (enum hilo_stack_class)opts->stack};
	struct thread *self = thread_self();
	struct hilo_task *task;
	int rc;

	/* Before: once it runs there must be nothing that keeps us from waiting for it. */
	if (!self->loop && !hilo__thread_record(self))
		return -ENOMEM;
	rc = hilo__submit(runtime, &spec, &task_opts, &task);
	if (rc < 0)
		return rc;
	rc = region_await(task);
	*ret_ran = call.ran;
	return call.ran ? call.failed : rc;
}

/* [any] Where a region of the caller's with @opts runs; *@ret NULL: here. 0, or why nowhere. */
static int region_where(const hilo_region_opts *opts, struct hilo_runtime **ret)
{
	struct thread *self = thread_self();
	struct hilo_runtime *own = self->loop ? self->loop->runtime : self->pool_runtime;

	if (self->closing || (self->loop && !self->task))
		return hilo_fail(-EDEADLK, "a region of forks suspends, which a callback may not");
	*ret = opts->runtime ? opts->runtime : own;
	if (!*ret)
		return hilo_fail(-EDEADLK, "a region of forks in a plain thread wants a runtime: "
					   "hilo_region_opts.runtime");
	if (self->loop && *ret == own)
		*ret = NULL;
	return 0;
}

static int region_check(const hilo_region_opts *opts)
{
	if (opts->flags & ~HILO_REGION_CANCELLABLE)
		return hilo_fail(-EINVAL, "hilo_region_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_region_opts.stack is %u: no such class", opts->stack);
	return 0;
}

/* *@ret_ran: there is a result, if only nothing. */
static int region_with(struct hilo_fork *fork, const hilo_region_opts *given, int is_code, bool *ret_ran)
{
	hilo_region_opts opts = {.size = sizeof(opts)};
	struct hilo_runtime *runtime = NULL;
	int rc = given ? SIZED_IN(hilo_region_opts, &opts, given, runtime) : 0, failed;

	if (rc == 0)
		rc = region_check(&opts);
	if (rc == 0)
		rc = region_where(&opts, &runtime);
	if (rc < 0)
		return rc;
	if (runtime)
		return region_submit(runtime, fork, &opts, is_code, ret_ran);
	*ret_ran = true;
	(void)region_run(fork, opts.flags, is_code, &failed);
	return failed;
}

int hilo_fork_region(struct hilo_fork *fork, const hilo_region_opts *opts, int is_code, unsigned abi)
{
	bool ran = false;
	int rc;

	if (abi != HILO_FORK_ABI)
		rc = hilo_fail(-ENOTSUP,
			       "the program was compiled for forks of version %u, this library has %u", abi,
			       HILO_FORK_ABI);
	else
		rc = region_with(fork, opts, is_code, &ran);
	if (!ran)
		fork_set_nothing(fork, is_code, rc);
	return rc;
}
