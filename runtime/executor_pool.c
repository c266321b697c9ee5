/* SPDX-License-Identifier: MIT */
/*
 * executor_pool.c - the threads of an executor: when one is started, what it runs, how it goes idle,
 * how it ends. The protocol is in executor_impl.h.
 */
#include <hilo/runtime/error.h>

#include <errno.h>
#include <signal.h>

#include "runtime/executor_impl.h"
#include "runtime/log_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/slice.h"
#include "scheduler/base/sys.h"
#include "scheduler/forked.h"

#define RESERVE_WAIT (200 * HILO_MICROSECOND)
#define SPIN_US 50

static void *pool_main(void *arg);
static void *pool_reserve_main(void *arg);

/* [lock ex] Somebody has to come for what is queued, and nobody is on his way. */
static bool pool_is_wanted(struct hilo_executor *ex)
{
	return !ex->waking && !ex->spinning && executor_queued(ex) > ex->entering;
}

/* [lock ex] The thread that went idle last, to be woken; NULL: none is idle. */
static struct pool_thread *pool_take_idle(struct hilo_executor *ex)
{
	struct pool_thread *thread = ex->idle;

	if (!thread)
		return NULL;
	ex->idle = thread->next;
	ex->waking = true;
	return thread;
}

/* [lock ex] Decide to start a thread, if one may be. */
static enum grow pool_grow(struct hilo_executor *ex)
{
	enum grow grow = ex->threads < ex->base ? GROW_THREAD : GROW_RESERVE;

	if (grow == GROW_RESERVE && (ex->threads >= ex->max_threads || ex->reserve))
		return GROW_NOT;
	ex->threads++; /* I1 */
	if (grow == GROW_THREAD)
		ex->waking = true;
	else
		ex->reserve = true;
	return grow;
}

void hilo__pool_summon(struct hilo_executor *ex, struct errands *errands)
{
	if (!pool_is_wanted(ex))
		return;
	errands->thread = pool_take_idle(ex);
	if (!errands->thread)
		errands->grow = pool_grow(ex);
}

void hilo__pool_wake(struct pool_thread *thread)
{
	store_release(&thread->futex, 1); /* P3; the thread may end at once: waking nobody is harmless */
	(void)hilo__futex_wake(&thread->futex, 1);
}

/*
 * [any] The thread that was decided on cannot be had. Others may have relied on it, and gone idle
 * since: I2. It stays counted until nobody relies on it any more, and keeps the executor meanwhile.
 */
static HILO__COLD void pool_start_failed(struct hilo_executor *ex, enum grow grow)
{
	struct pool_thread *idle = NULL;
	bool last;

	spin_lock(&ex->lock);
	if (grow == GROW_THREAD)
		ex->waking = false;
	else
		ex->reserve = false;
	while (hilo__stuck_all(ex, ex->threads - 1) && hilo__executor_refuse(ex, -EAGAIN, NULL))
		;
	ex->threads--;
	if (pool_is_wanted(ex))
		idle = pool_take_idle(ex);
	last = executor_is_last(ex);
	spin_unlock(&ex->lock);
	if (idle)
		hilo__pool_wake(idle);
	if (last)
		(void)completion_set(&ex->gone);
}

/* [any] Start the thread that was decided on. It may have come and gone when this returns, with @ex. */
static HILO__COLD void pool_start(struct hilo_executor *ex, enum grow grow)
{
	sigset_t before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	(void)pthread_attr_init(&attr); /* of Linux: neither fails nor takes memory */
	if (ex->stack_size)
		(void)pthread_attr_setstacksize(&attr, ex->stack_size); /* checked when it was made */
	hilo__signals_block(&before);
	rc = hilo__sys_pthread_create(&thread, &attr, grow == GROW_RESERVE ? pool_reserve_main : pool_main,
				      ex);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (rc < 0)
		pool_start_failed(ex, grow);
}

void hilo__pool_run_errands(struct hilo_executor *ex, const struct errands *errands)
{
	if (errands->thread)
		hilo__pool_wake(errands->thread);
	if (HILO__UNLIKELY(errands->grow != GROW_NOT))
		pool_start(ex, errands->grow);
	if (HILO__UNLIKELY(errands->room.task != NULL))
		hilo__task_wake(errands->room.task, errands->room.episode);
}

void hilo__job_run(struct job *job)
{
	struct error *before = hilo__error_swap(NULL);
	struct locals_frame frame;
	struct error *said;

	hilo__locals_enter(&frame, locals_ref(job->locals));
	job->result = job->fn(job->arg);
	forked_check("a call in an executor");
	said = hilo__error_swap(NULL);
	hilo__locals_leave(&frame);
	hilo__error_free(hilo__error_swap(before)); /* what has dropped a value is not the call */
	if (HILO__UNLIKELY(said != NULL))
		job->error = hilo__error_match(said, job->result);
	job->over(job); /* P1: our last touch */
}

/* [pool thread] It is in @what of the program from now on; NULL: not any more. */
static inline void pool_tell(struct pool_thread *me, const void *what)
{
	if (what)
		store_relaxed(&me->since, cycles_now()); /* relaxed: published by the next line */
	store_release(&me->runs, what);			 /* P4 */
}

/* [pool thread] As hilo__job_run; hilo_run in the call goes to the runtime that the call belongs to. */
static void pool_run(struct pool_thread *me, struct job *job)
{
	struct thread *self = thread_self();

	self->pool_runtime = job->runtime;
	pool_tell(me, (const void *)(uintptr_t)job->fn);
	hilo__job_run(job);
	pool_tell(me, NULL);
	self->pool_runtime = NULL;
}

/* [pool thread, lock ex] Take and run calls until there are none; the lock is given up meanwhile. */
static bool pool_work(struct hilo_executor *ex, struct pool_thread *me)
{
	struct errands errands;
	struct job *job;
	bool any = false;

	while ((job = hilo__executor_take(ex, &errands))) {
		spin_unlock(&ex->lock);
		hilo__pool_run_errands(ex, &errands);
		pool_run(me, job);
		any = true;
		spin_lock(&ex->lock);
	}
	return any;
}

/* [pool thread, lock ex] Wait a little for the next call, awake. False: better not. */
static bool pool_spin(struct hilo_executor *ex)
{
	uint64_t until;

	if (ex->spinning || !ex->may_spin)
		return false;
	ex->spinning = true;
	spin_unlock(&ex->lock);
	until = cycles_now() + SPIN_US * hilo__cycles_per_us();
	while (!executor_queued(ex) && cycles_now() < until)
		for (int i = 0; i < 4; i++)
			cpu_relax();
	spin_lock(&ex->lock);
	ex->spinning = false;
	return true;
}

/* [lock ex] False: it was not in the list. */
static bool pool_forget_idle(struct hilo_executor *ex, struct pool_thread *me)
{
	for (struct pool_thread **at = &ex->idle; *at; at = &(*at)->next)
		if (*at == me) {
			*at = me->next;
			return true;
		}
	return false;
}

/* [pool thread, lock ex] Sleep until woken. False: nothing came for so long that the thread can go. */
static bool pool_sleep(struct hilo_executor *ex, struct pool_thread *me)
{
	hilo_time until;

	/* relaxed: whoever wakes us takes us from the list first, under the lock */
	store_relaxed(&me->futex, 0);
	me->next = ex->idle;
	ex->idle = me;
	spin_unlock(&ex->lock);
	until = hilo_after(ex->idle_time);
	while (!load_acquire(&me->futex)) /* P3 */
		if (hilo__futex_wait(&me->futex, 0, until) == -ETIMEDOUT)
			break;
	spin_lock(&ex->lock);
	if (load_acquire(&me->futex)) /* P3 */
		return true;
	if (pool_forget_idle(ex, me))
		return false;
	/* Taken from the list but not yet told: wait for it, since `me` must outlive the telling. */
	spin_unlock(&ex->lock);
	while (!load_acquire(&me->futex)) /* P3 */
		(void)hilo__futex_wait(&me->futex, 0, HILO_FOREVER);
	spin_lock(&ex->lock);
	return true;
}

/* [pool thread, lock ex, which is given up meanwhile] The initializer has failed: nobody is to wait for threads. */
static HILO__COLD void pool_break(struct hilo_executor *ex, int code)
{
	struct error *error;
	bool first;

	spin_unlock(&ex->lock);
	/* What the initializer has said is quoted, and is then ours no more. */
	(void)hilo_fail(code, "executor %s is broken, its initializer has failed with %s: %s", ex->name,
			hilo_errname(code),
			hilo_error_code() == code ? hilo_error_message() : hilo_strerror(code));
	error = hilo__error_swap(NULL);
	spin_lock(&ex->lock);
	first = !ex->broken;
	if (first) {
		ex->broken = code;
		ex->broken_error = error;
	}
	while (hilo__executor_refuse(ex, ex->broken, ex->broken_error))
		;
	hilo__executor_clear_rooms(ex);
	spin_unlock(&ex->lock);
	if (first)
		hilo__log(HILO_LOG_ERROR, "%s", error ? hilo__error_text(error) : "an executor is broken");
	else
		hilo__error_free(error);
	spin_lock(&ex->lock);
}

/* [pool thread, lock ex, which is given up meanwhile] Get ready to serve: I2. False: that has failed. */
static bool pool_initialize(struct hilo_executor *ex, struct pool_thread *me)
{
	struct errands errands = {.thread = NULL};
	int rc;

	if (HILO__LIKELY(!ex->initializer))
		return true;
	ex->entering++;
	hilo__pool_summon(ex, &errands);
	spin_unlock(&ex->lock);
	hilo__pool_run_errands(ex, &errands);
	pool_tell(me, (const void *)(uintptr_t)ex->initializer);
	rc = ex->initializer(ex->init_arg);
	pool_tell(me, NULL);
	spin_lock(&ex->lock);
	ex->entering--;
	if (rc < 0)
		pool_break(ex, rc);
	return rc >= 0;
}

/*
 * [pool thread, lock ex, which is given up] The last act: whoever ended before us is joined. What was queued
 * while we were in the finalizer relies on others, if need be on new ones: I2.
 */
static void pool_exit(struct hilo_executor *ex, struct pool_thread *me)
{
	struct errands errands = {.thread = NULL};
	pthread_t before = ex->exited;
	bool join = ex->has_exited;
	bool last;

	list_del(&me->link);
	ex->threads--;
	hilo__pool_summon(ex, &errands);
	last = executor_is_last(ex);
	ex->exited = pthread_self();
	ex->has_exited = true;
	spin_unlock(&ex->lock);
	hilo__pool_run_errands(ex, &errands);
	if (join)
		(void)pthread_join(before, NULL);
	if (last)
		(void)completion_set(&ex->gone);
}

/* [pool thread, lock ex, which is given up] Work until there is nothing to do for long. */
static void pool_serve(struct hilo_executor *ex, struct pool_thread *me)
{
	bool spun = false;

	for (;;) {
		/* After every wait the queue is looked at again: I2. */
		if (pool_work(ex, me))
			spun = false;
		if (ex->closed)
			break;
		if (!spun && pool_spin(ex)) {
			spun = true;
			continue;
		}
		if (!pool_sleep(ex, me))
			break;
		spun = false;
		ex->waking = false;
	}
	if (ex->finalizer) {
		spin_unlock(&ex->lock);
		pool_tell(me, (const void *)(uintptr_t)ex->finalizer);
		ex->finalizer(ex->init_arg);
		pool_tell(me, NULL);
		spin_lock(&ex->lock);
	}
}

/* [pool thread] The first thing it does; it comes back with the lock. */
static void pool_enter(struct hilo_executor *ex, struct pool_thread *me)
{
	atomic_setup(&me->futex, 0);
	atomic_setup(&me->since, 0);
	atomic_setup(&me->runs, NULL);
	list_init(&me->link);
	thread_self()->pool = ex;
	(void)pthread_setname_np(pthread_self(), ex->name);
	hilo__slice_restore(); /* a worker may have made it */
	spin_lock(&ex->lock);
	list_add_tail(&ex->crew, &me->link);
	if (ex->threads > ex->peak)
		ex->peak = ex->threads;
}

/* [pool thread, lock ex, which is given up] It has come, and is on nobody's way any more. */
static void pool_live(struct hilo_executor *ex, struct pool_thread *me)
{
	if (pool_initialize(ex, me))
		pool_serve(ex, me);
	pool_exit(ex, me);
}

static void *pool_main(void *arg)
{
	struct hilo_executor *ex = arg;
	struct pool_thread me;

	pool_enter(ex, &me);
	ex->waking = false;
	pool_live(ex, &me);
	return NULL;
}

/* The reserve: waits until nothing was taken for a while, then is a thread like the others. */
static void *pool_reserve_main(void *arg)
{
	struct hilo_executor *ex = arg;
	struct pool_thread me;
	atomic(uint32_t) never;
	uint64_t taken;

	atomic_setup(&never, 0);
	pool_enter(ex, &me);
	while (executor_queued(ex) && !ex->closed) {
		taken = ex->taken;
		spin_unlock(&ex->lock);
		(void)hilo__futex_wait(&never, 0, hilo_after(RESERVE_WAIT));
		spin_lock(&ex->lock);
		if (taken == ex->taken)
			break;
	}
	ex->reserve = false;
	pool_live(ex, &me);
	return NULL;
}
