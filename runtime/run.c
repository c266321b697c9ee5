/* SPDX-License-Identifier: MIT */
/*
 * run.c - running tasks from outside of their runtime: hilo_run, run_until_complete, run_forever and stop.
 *
 * Whoever is in one of them from outside is a *user* of the runtime, which is not closed under his feet:
 *
 *	 31                          2   1   0
 *	| users, in steps of 4        | E | F |
 *
 * F  FOREVER  one of them is in run_forever.
 * E  ENDING   somebody ends the runtime, or has ended it.
 *
 * A task of the runtime and a thread of its default executor are inside: what they run is a task like others,
 * and ends with the runtime, before they do. They are not counted, or hilo_run would wait for calls that wait for
 * its end.
 *
 * A user has a hold (P1 of closing.c) besides: while he is on his way out the runtime is not freed. So hilo_run,
 * which ends its runtime whoever has got hold of it, cancels the tasks that others wait for, stops their
 * run_forever, and has seen them leave.
 *
 * P1  All change the word by CAS, acquire and release: who ends a runtime sees what its users did, and what one
 *     attempt to end it did the next one sees.
 * P2  stop releases, run_forever acquires: what was done before the stop is visible after it.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/log.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>

#include "runtime/interrupt_impl.h"
#include "runtime/log_impl.h"
#include "runtime/run_impl.h"
#include "scheduler/base/lock.h"
#include "scheduler/reason.h"

/* To make a spare worker and to end it takes 30 us. It finds a worker held for 4.5 ms, at a look each 5 ms. */
#define SPARE_AFTER HILO_MILLISECOND

#define USERS_FOREVER 1u
#define USERS_ENDING 2u
#define USERS_ONE 4u

/* [outside] Come in; @forever is USERS_FOREVER or 0. 0, HILO_ECLOSED, -EBUSY: one is in run_forever already. */
static int user_enter(hilo_runtime *runtime, uint32_t forever)
{
	uint32_t word = load_relaxed(&runtime->users); /* relaxed: only an expected value */
	int rc = 0;

	if (!runtime_hold(runtime))
		return HILO_ECLOSED;
	do {
		if (word & USERS_ENDING)
			rc = HILO_ECLOSED;
		else if (word & forever)
			rc = hilo_fail(-EBUSY, "somebody is in hilo_runtime_run_forever already");
	} while (rc == 0 && !cas_acq_rel(&runtime->users, &word, (word + USERS_ONE) | forever)); /* P1 */
	if (rc < 0)
		hilo__runtime_release(runtime);
	return rc;
}

static void user_leave(hilo_runtime *runtime, uint32_t forever)
{
	(void)sub_acq_rel(&runtime->users, USERS_ONE + forever); /* P1 */
	hilo__runtime_release(runtime);
}

bool hilo__run_end_begin(hilo_runtime *runtime)
{
	uint32_t nobody = 0;

	return cas_acq_rel(&runtime->users, &nobody, USERS_ENDING); /* P1 */
}

void hilo__run_end_failed(hilo_runtime *runtime)
{
	(void)and_acq_rel(&runtime->users, ~USERS_ENDING); /* P1 */
}

int hilo_runtime_is_running(const hilo_runtime *runtime)
{
	/* relaxed: at some moment */
	return runtime && load_relaxed(&((hilo_runtime *)(uintptr_t)runtime)->users) >= USERS_ONE;
}

/* [any] Run what @spec says. */
static int child_start(hilo_runtime *runtime, struct task_spec *spec, hilo_task **ret)
{
	struct thread *self = thread_self();

	if (self->loop && self->loop->runtime == runtime)
		return hilo__spawn(spec, NULL, ret);
	/* Before: once it runs there must be nothing that keeps us from waiting for it. */
	if (!self->loop && !hilo__thread_record(self))
		return -ENOMEM;
	return hilo__submit(runtime, spec, NULL, ret);
}

/* [task, plain thread; suspends] Run @main as a child, which ends before we do. */
static int child_run(hilo_runtime *runtime, hilo_task_fn main, void *arg, const void *site)
{
	struct task_spec spec = {.entry = main, .arg = arg, .flags = TASK_MAIN, .site = site};
	hilo_task *child;
	int rc = child_start(runtime, &spec, &child);

	if (rc < 0)
		return rc;
	hilo__interrupt_main(child); /* if Ctrl-C is for what this thread runs */
	rc = hilo_await(child, HILO_FOREVER);
	if (!hilo_task_is_done(child)) {
		/* We were cancelled: the child is cancelled, and ends before we go on. */
		(void)hilo__task_cancel(child, REASON_WAITER);
		(void)hilo_shield_enter();
		(void)hilo_await(child, HILO_FOREVER);
		(void)hilo_shield_leave();
		(void)hilo__error_own(rc);
	}
	rc = hilo__interrupt_result(rc);
	hilo_task_unref(child);
	return rc;
}

/* [outside] The same; if this is the main thread Ctrl-C is for @main meanwhile. */
static int child_run_interruptible(hilo_runtime *runtime, hilo_task_fn main, void *arg, const void *site)
{
	struct thread *self = thread_self();
	int rc;

	/* Before: by its record the handler rouses this thread. */
	if (!self->loop && !hilo__thread_record(self))
		return -ENOMEM;
	hilo__interrupt_begin(runtime);
	rc = child_run(runtime, main, arg, site);
	hilo__interrupt_end();
	return rc;
}

/* [any] A callback, also one that runs while its runtime ends: it must not suspend. */
static bool is_callback(const struct thread *self)
{
	return self->loop ? !self->task : self->closing != NULL;
}

int hilo_runtime_run_until_complete(hilo_runtime *runtime, hilo_task_fn main, void *arg)
{
	const void *site = __builtin_return_address(0);
	struct thread *self = thread_self();
	int rc;

	if (!runtime || !main)
		return hilo_fail(-EINVAL, "hilo_runtime_run_until_complete: %s is NULL",
				 runtime ? "main" : "runtime");
	if (is_callback(self))
		return -EDEADLK;
	if (thread_is_inside(self, runtime))
		return child_run(runtime, main, arg, site);
	rc = user_enter(runtime, 0);
	if (rc < 0)
		return rc;
	rc = runtime->handle_sigint ? child_run_interruptible(runtime, main, arg, site)
				    : child_run(runtime, main, arg, site);
	user_leave(runtime, 0);
	return rc;
}

int hilo_runtime_run_forever(hilo_runtime *runtime)
{
	struct thread *self = thread_self();
	bool ending;
	int rc;

	if (!runtime)
		return hilo_fail(-EINVAL, "hilo_runtime_run_forever: runtime is NULL");
	if (self->loop || self->closing || thread_is_inside(self, runtime))
		return -EDEADLK;
	rc = user_enter(runtime, USERS_FOREVER);
	if (rc < 0)
		return rc;
	while (!xchg_acquire(&runtime->stop, 0)) /* P2 */
		(void)hilo__futex_wait(&runtime->stop, 0, HILO_FOREVER);
	ending = load_acquire(&runtime->users) & USERS_ENDING; /* P1 */
	user_leave(runtime, USERS_FOREVER);
	return ending ? HILO_ECLOSED : 0;
}

int hilo_runtime_stop(hilo_runtime *runtime)
{
	if (!runtime)
		return -EINVAL;
	if (hilo_runtime_is_closed(runtime))
		return HILO_ECLOSED;
	store_release(&runtime->stop, 1); /* P2 */
	(void)hilo__futex_wake(&runtime->stop, 1);
	return 0;
}

/* [plain thread] End the runtime of hilo_run, whoever is in it. */
static void alone_end(hilo_runtime *runtime)
{
	/* Others leave: their tasks are cancelled, their run_forever is stopped. */
	(void)or_acq_rel(&runtime->users, USERS_ENDING); /* P1 */
	(void)hilo_runtime_stop(runtime);
	if (hilo__runtime_end(runtime, hilo_after(runtime->shutdown)) == 0) {
		hilo__runtime_delete(runtime);
		return;
	}
	(void)sub_acq_rel(&runtime->users, USERS_ONE); /* P1 */
	hilo__run_end_failed(runtime);
	hilo__log(HILO_LOG_WARNING, "hilo_run returns while tasks are left: they go on in the background");
}

/*
 * [who started @runtime] Wait for @task, its first. If that lasts, make the first spare worker; should there be
 * no memory or no thread for it, again, less and less often.
 */
static int main_join(hilo_runtime *runtime, hilo_task *task)
{
	hilo_time after = SPARE_AFTER;

	while (hilo__await_completion(&task->done, WAIT_TASK, task, hilo_after(after)) == -ETIMEDOUT &&
	       runtime_loops(runtime) == runtime->workers) {
		hilo__scheduler_need_spare(runtime);
		after *= 2;
	}
	return hilo_join(task, HILO_FOREVER);
}

/* [plain thread] A runtime for @main alone. We are a user of it from its begin to its end. */
static int run_alone(hilo_task_fn main, void *arg, const hilo_opts *opts, const void *site)
{
	struct task_spec spec = {.entry = main, .arg = arg, .site = site};
	hilo_runtime *runtime;
	hilo_task *task;
	int rc = hilo__runtime_new(opts, true, &runtime);

	if (rc < 0)
		return rc;
	store_relaxed(&runtime->users, USERS_ONE); /* relaxed: nobody else knows it yet */
	hilo__interrupt_begin(runtime);
	/* In debug mode the end begins with a look at what is left over: here, not where the task has ended. */
	spec.flags = runtime->debug ? TASK_MAIN : TASK_MAIN | TASK_ENDS;
	rc = child_start(runtime, &spec, &task);
	if (rc == 0) {
		hilo__interrupt_main(task);
		rc = hilo__interrupt_result(main_join(runtime, task));
	}
	alone_end(runtime);
	hilo__interrupt_end();
	return rc;
}

int hilo_run(hilo_task_fn main, void *arg, const hilo_opts *opts)
{
	const void *site = __builtin_return_address(0);
	struct thread *self = thread_self();
	hilo_runtime *here = self->loop ? self->loop->runtime : self->pool_runtime;

	if (!main)
		return hilo_fail(-EINVAL, "hilo_run: main is NULL");
	if (is_callback(self))
		return -EDEADLK;
	if (here && opts)
		return hilo_fail(-EBUSY, "hilo_run inside of a runtime: options must be NULL");
	return here ? child_run(here, main, arg, site) : run_alone(main, arg, opts, site);
}
