/* SPDX-License-Identifier: MIT */
/*
 * executor.c - a pool of plain threads for calls that block.
 *
 *	callers -> queue (first in, first out, bounded) -> threads -> wake the caller where it waits
 *
 * A call lies on its caller's stack: nothing is allocated for it. The caller leaves only when the
 * call has run or was taken out of the queue unrun; its state decides, once.
 *
 * The executor may be freed as soon as its last call has ended. So a caller whose wait ends early
 * touches the executor only if it has won the call, which then stays in the queue, and so keeps the
 * executor, until the caller has taken it out; and those who wait for room are counted.
 *
 * Whom a new call wakes: nobody if a thread spins or one is on its way; else the thread that went
 * idle last (so the others age out); if none is idle, a new one, at once up to the base number. A
 * thread that takes a call and leaves others behind wakes the next. So a burst costs one wake-up at
 * a time, each paid by a thread that has just been woken, not by the caller.
 *
 * Beyond the base number threads come one at a time: when all are busy and calls wait, one reserve
 * thread is started; it takes a call only if no thread has taken any for 200 us. So calls that are
 * short never grow the pool, and calls that block do.
 *
 * P1  The state of a call is set to DONE with release as the last touch of it; its caller acquires.
 *     Task and episode are copied before, for the wake after.
 * P2  `queued` is a hint for the thread that spins; the lock orders the queue itself.
 * P3  pool_wake releases, pool_sleep acquires: the thread sees what its waker did.
 * P4  The CAS that makes a pool the default one releases it, whoever finds it acquires.
 *
 * Rejected: a condition variable. Each call pays a system call for a thread that another would have
 * served in the meantime.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/executor.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runtime/runtime_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define DEFAULT_MAX_THREADS 512
#define DEFAULT_MAX_QUEUED 65536
#define DEFAULT_IDLE (10 * HILO_SECOND)
#define RESERVE_WAIT (200 * HILO_MICROSECOND)
#define SPIN_US 50
#define BASE_MORE 4

enum job_state {
	JOB_QUEUED,
	JOB_LEAVING, /* its caller takes it out unrun; nobody else touches it */
	JOB_RUNNING,
	JOB_DONE,
	JOB_REFUSED, /* taken out unrun when the executor was closed */
};

struct job {
	struct list link; /* under the lock, while QUEUED */
	hilo_blocking_fn fn;
	void *arg;
	int result;
	atomic(uint32_t) state; /* leaves QUEUED once, by CAS */
	struct hilo_task *task;
	uint32_t episode;
	struct hilo_runtime *runtime;
};

/* Somebody who waits for room in the queue. */
struct room {
	struct list link;
	struct hilo_task *task;
	uint32_t episode;
	bool counted; /* in visitors */
};

/* One thread, on its own stack. */
struct pool_thread {
	struct pool_thread *next; /* below it in the stack of idle ones, under the lock */
	atomic(uint32_t) futex;	  /* 1: go on */
};

struct hilo_executor {
	HILO__ISOLATED struct spinlock lock;
	struct list queue;
	struct list rooms;
	struct pool_thread *idle; /* last one first */
	unsigned threads, base, max_threads, peak;
	unsigned max_queued;
	unsigned visitors; /* callers that wait for room, or are about to look again */
	bool ending;	   /* somebody was found to be the last, and sets gone */
	bool waking;	   /* a thread was woken or started and has not looked at the queue yet */
	bool spinning;	   /* a thread spins */
	bool reserve;	   /* a reserve thread waits */
	bool closed;
	bool may_spin;
	bool has_exited;
	pthread_t exited; /* the thread that ended last: joined by the next that ends */
	uint64_t taken;
	uint64_t cancelled;
	enum hilo_overflow overflow;
	hilo_time idle_time;
	char name[16];
	struct completion gone; /* the last thread and the last visitor have ended, after close */
	HILO__ISOLATED atomic(uint32_t) queued; /* P2; written under the lock */
};

static void *pool_main(void *arg);
static void *pool_reserve_main(void *arg);

static void executor_count(struct hilo_executor *ex, int change)
{
	/* relaxed: P2 */
	store_relaxed(&ex->queued, (uint32_t)((int)load_relaxed(&ex->queued) + change));
}

static unsigned executor_queued(struct hilo_executor *ex)
{
	return load_relaxed(&ex->queued); /* relaxed: P2 */
}

/* [lock ex] One more thread. */
static int executor_grow(struct hilo_executor *ex, bool reserve)
{
	sigset_t all, before;
	pthread_t thread;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = hilo__sys_pthread_create(&thread, NULL, reserve ? pool_reserve_main : pool_main, ex);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc < 0)
		return rc;
	(void)pthread_setname_np(thread, ex->name);
	ex->threads++;
	if (ex->threads > ex->peak)
		ex->peak = ex->threads;
	if (reserve)
		ex->reserve = true;
	else
		ex->waking = true;
	return 0;
}

/*
 * [lock ex] See to it that somebody comes for what is queued. Returns the idle thread that is to be
 * woken once the lock is free, or NULL. -EAGAIN in *@rc: there is no thread, and none can be had.
 */
static struct pool_thread *executor_summon(struct hilo_executor *ex, int *rc)
{
	struct pool_thread *thread = ex->idle;

	*rc = 0;
	if (ex->waking || ex->spinning || !executor_queued(ex))
		return NULL;
	if (thread) {
		ex->idle = thread->next;
		ex->waking = true;
		return thread;
	}
	if (ex->threads < ex->base)
		*rc = executor_grow(ex, false);
	else if (ex->threads < ex->max_threads && !ex->reserve)
		*rc = executor_grow(ex, true);
	if (ex->threads)
		*rc = 0;
	return NULL;
}

static void pool_wake(struct pool_thread *thread)
{
	if (!thread)
		return;
	store_release(&thread->futex, 1); /* P3; the thread may end at once: waking nobody is harmless */
	(void)hilo__futex_wake(&thread->futex, 1);
}

/* [lock ex] Somebody who waits for room may try again. */
static void rooms_wake(struct hilo_executor *ex)
{
	struct room *room;

	if (HILO__LIKELY(list_empty(&ex->rooms)))
		return;
	room = container_of(list_first(&ex->rooms), struct room, link);
	list_del(&room->link);
	hilo__task_wake(room->task, room->episode);
}

/* [any] Decide what becomes of a queued call; one of its caller and the executor wins. */
static bool job_decide(struct job *job, enum job_state state)
{
	uint32_t queued = JOB_QUEUED;

	return cas_acq_rel(&job->state, &queued,
			   (uint32_t)state); /* pairs with itself; the lock orders the rest */
}

/* [lock ex] Take the oldest call out of the queue, now nobody else's; NULL: none. */
static struct job *executor_pop(struct hilo_executor *ex)
{
	struct job *job;

	while (!list_empty(&ex->queue)) {
		job = container_of(list_first(&ex->queue), struct job, link);
		if (job_decide(job, JOB_RUNNING)) {
			list_del(&job->link);
			executor_count(ex, -1);
			return job;
		}
		/* Its caller is just taking it out, and needs the lock for that. */
		spin_unlock(&ex->lock);
		cpu_relax();
		spin_lock(&ex->lock);
	}
	return NULL;
}

/* [lock ex] The oldest call, now running; NULL: none. */
static struct job *executor_take(struct hilo_executor *ex)
{
	struct job *job = executor_pop(ex);

	if (!job)
		return NULL;
	ex->taken++;
	rooms_wake(ex);
	return job;
}

/* [pool thread] Run @job and wake its caller. */
static void job_run(struct job *job)
{
	struct thread *self = thread_self();
	struct hilo_task *task = job->task;
	uint32_t episode = job->episode;

	self->pool_runtime = job->runtime;
	job->result = job->fn(job->arg);
	self->pool_runtime = NULL;
	store_release(&job->state, JOB_DONE); /* P1 */
	hilo__task_wake(task, episode);
}

/* [pool thread, lock ex] Take and run calls until there are none; the lock is given up meanwhile. */
static void pool_work(struct hilo_executor *ex)
{
	struct job *job;

	while ((job = executor_take(ex))) {
		int rc;
		struct pool_thread *next = executor_summon(ex, &rc);

		spin_unlock(&ex->lock);
		pool_wake(next);
		job_run(job);
		spin_lock(&ex->lock);
	}
}

/* [pool thread, lock ex] Wait a little for the next call, awake. */
static void pool_spin(struct hilo_executor *ex)
{
	uint64_t until;

	if (ex->spinning || !ex->may_spin || ex->closed)
		return;
	ex->spinning = true;
	spin_unlock(&ex->lock);
	until = cycles_now() + SPIN_US * hilo__cycles_per_us();
	while (!executor_queued(ex) && cycles_now() < until)
		for (int i = 0; i < 4; i++)
			cpu_relax();
	spin_lock(&ex->lock);
	ex->spinning = false;
}

static void pool_forget_idle(struct hilo_executor *ex, struct pool_thread *me)
{
	for (struct pool_thread **at = &ex->idle; *at; at = &(*at)->next)
		if (*at == me) {
			*at = me->next;
			return;
		}
}

/* [pool thread, lock ex] Sleep until woken. False: nothing came for so long that the thread can go. */
static bool pool_sleep(struct hilo_executor *ex, struct pool_thread *me)
{
	hilo_time until = hilo_after(ex->idle_time);
	bool woken;

	store_relaxed(&me->futex,
		      0); /* relaxed: whoever wakes us takes us from the list first, under the lock */
	me->next = ex->idle;
	ex->idle = me;
	spin_unlock(&ex->lock);
	while (!load_acquire(&me->futex)) /* P3 */
		if (hilo__futex_wait(&me->futex, 0, until) == -ETIMEDOUT)
			break;
	spin_lock(&ex->lock);
	woken = load_acquire(&me->futex); /* P3 */
	if (woken)
		return true;
	/* Taken from the list but not yet told: wait for it, since `me` must outlive the telling. */
	for (struct pool_thread *idle = ex->idle; idle; idle = idle->next)
		if (idle == me) {
			pool_forget_idle(ex, me);
			return false;
		}
	spin_unlock(&ex->lock);
	while (!load_acquire(&me->futex)) /* P3 */
		cpu_relax();
	spin_lock(&ex->lock);
	return true;
}

/* [lock ex] After a thread or a visitor has left: was it the last of a closed executor, to set gone? */
static bool executor_is_last(struct hilo_executor *ex)
{
	if (!ex->closed || ex->threads || ex->visitors || ex->ending)
		return false;
	ex->ending = true;
	return true;
}

/* [pool thread, lock ex, which is given up] The last act: whoever ended before us is joined. */
static void pool_exit(struct hilo_executor *ex)
{
	pthread_t before = ex->exited;
	bool join = ex->has_exited;
	bool last;

	ex->threads--;
	last = executor_is_last(ex);
	ex->exited = pthread_self();
	ex->has_exited = true;
	spin_unlock(&ex->lock);
	if (join)
		(void)pthread_join(before, NULL);
	if (last)
		(void)completion_set(&ex->gone);
}

static void *pool_main(void *arg)
{
	struct hilo_executor *ex = arg;
	struct pool_thread me;

	thread_self()->is_pool = true;
	spin_lock(&ex->lock);
	ex->waking = false;
	for (;;) {
		pool_work(ex);
		if (ex->closed)
			break;
		pool_spin(ex);
		if (executor_queued(ex) || ex->closed)
			continue;
		if (!pool_sleep(ex, &me))
			break;
		ex->waking = false;
	}
	pool_exit(ex);
	return NULL;
}

/* The reserve: waits until nothing was taken for a while, then is a thread like the others. */
static void *pool_reserve_main(void *arg)
{
	struct hilo_executor *ex = arg;
	atomic(uint32_t) never;
	uint64_t taken;

	atomic_setup(&never, 0);
	spin_lock(&ex->lock);
	while (executor_queued(ex) && !ex->closed) {
		taken = ex->taken;
		spin_unlock(&ex->lock);
		(void)hilo__futex_wait(&never, 0, hilo_after(RESERVE_WAIT));
		spin_lock(&ex->lock);
		if (taken == ex->taken)
			break;
	}
	ex->reserve = false;
	spin_unlock(&ex->lock);
	return pool_main(arg);
}

static int opts_check(const hilo_executor_opts *opts)
{
	if (opts->size != sizeof(*opts))
		return hilo_fail(-EINVAL, "hilo_executor_opts.size is %zu, not %zu", opts->size,
				 sizeof(*opts));
	if ((unsigned)opts->overflow > HILO_OVERFLOW_INLINE)
		return hilo_fail(-EINVAL, "hilo_executor_opts.overflow is %d: no such policy",
				 (int)opts->overflow);
	if (opts->idle < 0)
		return hilo_fail(-EINVAL, "hilo_executor_opts.idle is %lld: negative", (long long)opts->idle);
	return 0;
}

/* What @opts say, on a machine with @cpus. */
static void executor_configure(struct hilo_executor *ex, const hilo_executor_opts *opts, unsigned cpus)
{
	ex->max_threads = opts->max_threads ? opts->max_threads : DEFAULT_MAX_THREADS;
	ex->base = cpus + BASE_MORE < ex->max_threads ? cpus + BASE_MORE : ex->max_threads;
	ex->max_queued = opts->max_queued ? opts->max_queued : DEFAULT_MAX_QUEUED;
	ex->idle_time = opts->idle ? opts->idle : DEFAULT_IDLE;
	ex->overflow = opts->overflow;
	(void)snprintf(ex->name, sizeof(ex->name), "%s", opts->name ? opts->name : "hilo-pool");
}

static int executor_new(const hilo_executor_opts *opts, unsigned cpus, bool may_spin, hilo_executor **ret)
{
	static const hilo_executor_opts none = {.size = sizeof(none)};
	struct hilo_executor *ex;
	int rc = opts_check(opts ? opts : &none);

	if (rc < 0)
		return rc;
	ex = hilo__aligned_alloc(_Alignof(struct hilo_executor), sizeof(*ex));
	if (!ex)
		return -ENOMEM;
	memset(ex, 0, sizeof(*ex));
	spin_init(&ex->lock);
	list_init(&ex->queue);
	list_init(&ex->rooms);
	completion_init(&ex->gone, 1);
	executor_configure(ex, opts ? opts : &none, cpus);
	ex->may_spin = may_spin;
	*ret = ex;
	return 0;
}

int hilo_executor_new(const hilo_executor_opts *opts, hilo_executor **ret)
{
	struct hilo_loop *loop = thread_self()->loop;
	unsigned cpus = loop ? loop->runtime->cpus : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	if (!ret)
		return hilo_fail(-EINVAL, "hilo_executor_new: ret is NULL");
	return executor_new(opts, cpus, loop ? loop->runtime->spin : false, ret);
}

static struct hilo_runtime *runtime_of_caller(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->loop->runtime : self->pool_runtime;
}

/* The default executor of the caller's runtime, made at first use. */
static int executor_default(hilo_executor **ret)
{
	struct hilo_runtime *runtime = runtime_of_caller();
	uintptr_t none = 0;
	hilo_executor *made;
	int rc;

	if (!runtime)
		return -EDEADLK;
	*ret = (hilo_executor *)load_acquire(&runtime->executor); /* P4 */
	if (HILO__LIKELY(*ret != NULL))
		return 0;
	rc = executor_new(NULL, runtime->cpus, runtime->spin, &made);
	if (rc < 0)
		return rc;
	if (cas_acq_rel(&runtime->executor, &none, (uintptr_t)made)) { /* P4: the first one stays */
		*ret = made;
		return 0;
	}
	hilo__free(made);
	*ret = (hilo_executor *)none;
	return 0;
}

/* [lock ex] Put @job into the queue if the executor takes it. 0, -EAGAIN: full, HILO_ECLOSED. */
static int executor_put(struct hilo_executor *ex, struct job *job)
{
	if (ex->closed)
		return HILO_ECLOSED;
	if (executor_queued(ex) >= ex->max_queued)
		return -EAGAIN;
	list_add_tail(&ex->queue, &job->link);
	executor_count(ex, 1);
	return 0;
}

/* [lock ex] Take @job out of the queue unrun. */
static void executor_remove(struct hilo_executor *ex, struct job *job, enum job_state state)
{
	list_del(&job->link);
	executor_count(ex, -1);
	ex->cancelled++;
	store_relaxed(&job->state, (uint32_t)state); /* relaxed: under the lock */
	rooms_wake(ex);
}

/* Queue @job and see to it that somebody comes for it. -EAGAIN: full; -EBUSY: no thread can be had. */
static int executor_submit(struct hilo_executor *ex, struct job *job, struct room *room)
{
	struct pool_thread *thread = NULL;
	bool last = false;
	int rc, none;

	spin_lock(&ex->lock);
	rc = executor_put(ex, job);
	if (rc == 0) {
		thread = executor_summon(ex, &none);
		if (HILO__UNLIKELY(none < 0)) {
			executor_remove(ex, job, JOB_REFUSED);
			rc = -EBUSY;
		}
	} else if (rc == -EAGAIN && room) {
		list_add_tail(&ex->rooms, &room->link);
		ex->visitors += !room->counted;
		room->counted = true;
	}
	if (rc != -EAGAIN && room && room->counted) {
		ex->visitors--;
		last = executor_is_last(ex);
	}
	spin_unlock(&ex->lock);
	pool_wake(thread);
	if (HILO__UNLIKELY(last))
		(void)completion_set(&ex->gone);
	return rc;
}

/* Wait until there may be room. 0: try again. */
static int room_wait(struct hilo_executor *ex, struct room *room, struct wait *wait)
{
	bool linked = true, last = false;
	int rc = 0;

	while (rc == 0 && linked) {
		rc = hilo__wait_park(wait);
		spin_lock(&ex->lock);
		linked = !list_empty(&room->link);
		if (rc < 0 && linked)
			list_del(&room->link);
		else if (rc < 0)
			rooms_wake(ex); /* it was our turn, but we leave: the next one's, then */
		if (rc < 0) {
			ex->visitors--;
			last = executor_is_last(ex);
		}
		spin_unlock(&ex->lock);
	}
	if (last)
		(void)completion_set(&ex->gone);
	return rc;
}

/* Get @job into the queue, waiting for room if the policy says so. */
static int job_submit(struct hilo_executor *ex, struct job *job, struct wait *wait)
{
	struct room room = {.task = wait->task, .episode = wait->episode};
	bool may_suspend = ex->overflow ==
			   HILO_OVERFLOW_SUSPEND; /* read before: a refused caller does not keep it open */
	bool suspend = may_suspend && wait->deadline > 0;
	int rc;

	list_init(&room.link);
	do {
		rc = executor_submit(ex, job, suspend ? &room : NULL);
		if (rc != -EAGAIN)
			return rc == -EBUSY ? -EAGAIN : rc;
		if (!suspend)
			return may_suspend ? -ETIMEDOUT : HILO_EOVERFLOW;
		rc = room_wait(ex, &room, wait);
	} while (rc == 0);
	return rc;
}

static bool job_is_done(struct job *job)
{
	return load_acquire(&job->state) >= JOB_DONE; /* P1 */
}

/* The wait has ended early: out of the queue with the job, or, since it runs, on until it has run. */
static int job_leave(struct hilo_executor *ex, struct job *job, struct wait *wait, int rc)
{
	if (job_decide(job, JOB_LEAVING)) {
		spin_lock(&ex->lock);
		executor_remove(ex, job, JOB_REFUSED);
		spin_unlock(&ex->lock);
		return rc;
	}
	wait->deadline = HILO_FOREVER;
	wait->task->shield++;
	while (!job_is_done(job))
		(void)hilo__wait_park(wait);
	wait->task->shield--;
	return 0;
}

static int job_await(struct hilo_executor *ex, struct job *job, struct wait *wait)
{
	int rc = 0;

	while (!job_is_done(job) && rc == 0)
		rc = hilo__wait_park(wait);
	if (rc < 0 && !job_is_done(job))
		rc = job_leave(ex, job, wait, rc);
	else
		rc = 0;
	return rc < 0 ? rc : job->result;
}

int hilo_run_in_executor(hilo_executor *executor, hilo_blocking_fn fn, void *arg, hilo_time deadline)
{
	struct job job = {.fn = fn, .arg = arg, .result = HILO_ECLOSED, .runtime = runtime_of_caller()};
	struct wait wait;
	bool run_inline;
	int rc = 0;

	if (!fn)
		return hilo_fail(-EINVAL, "hilo_run_in_executor: fn is NULL");
	if (!executor)
		rc = executor_default(&executor);
	if (rc == 0)
		rc = hilo__wait_begin(&wait, WAIT_EXECUTOR, executor, deadline);
	if (rc < 0)
		return rc;
	list_init(&job.link);
	atomic_setup(&job.state, JOB_QUEUED);
	job.task = wait.task;
	job.episode = wait.episode;
	if (!wait.thread)
		(void)add_relaxed(&job.runtime->calls_out, 1); /* relaxed: a hint for how to idle */
	run_inline = executor->overflow == HILO_OVERFLOW_INLINE;
	rc = job_submit(executor, &job, &wait);
	run_inline = run_inline && rc == HILO_EOVERFLOW;
	if (rc == 0)
		rc = job_await(executor, &job, &wait);
	if (!wait.thread)
		(void)sub_relaxed(&job.runtime->calls_out, 1); /* relaxed: as above */
	hilo__wait_end(&wait);
	return run_inline ? fn(arg) : rc; /* not if fn ran and returned that code itself */
}

/* [lock ex] What is queued is refused. */
static void executor_refuse_queued(struct hilo_executor *ex)
{
	struct job *job;

	while ((job = executor_pop(ex))) {
		struct hilo_task *task = job->task;
		uint32_t episode = job->episode;

		ex->cancelled++;
		store_release(&job->state, JOB_REFUSED); /* P1 */
		hilo__task_wake(task, episode);
	}
}

static struct pool_thread *executor_shut(struct hilo_executor *ex, unsigned flags)
{
	struct pool_thread *idle;
	bool last;

	spin_lock(&ex->lock);
	ex->closed = true;
	if (flags & HILO_EXECUTOR_CANCEL_QUEUED)
		executor_refuse_queued(ex);
	while (!list_empty(&ex->rooms))
		rooms_wake(ex);
	idle = ex->idle;
	ex->idle = NULL;
	last = executor_is_last(ex);
	spin_unlock(&ex->lock);
	if (last)
		(void)completion_set(&ex->gone);
	return idle;
}

int hilo_executor_close(hilo_executor *executor, unsigned flags, hilo_time deadline)
{
	struct pool_thread *idle, *next;
	int rc;

	if (!executor)
		return 0;
	if (flags & ~HILO_EXECUTOR_CANCEL_QUEUED)
		return hilo_fail(-EINVAL, "hilo_executor_close: flags %#x", flags);
	for (idle = executor_shut(executor, flags); idle; idle = next) {
		next = idle->next; /* it goes on, and may be gone, once it is woken */
		pool_wake(idle);
	}
	rc = hilo__await_completion(&executor->gone, WAIT_EXECUTOR, executor, deadline);
	if (rc < 0)
		return rc;
	if (executor->has_exited)
		(void)pthread_join(executor->exited, NULL);
	hilo__free(executor);
	return 0;
}

int hilo__runtime_close_executor(hilo_runtime *runtime, hilo_time deadline)
{
	hilo_executor *executor = (hilo_executor *)load_acquire(&runtime->executor); /* P4 */
	int rc = hilo_executor_close(executor, HILO_EXECUTOR_CANCEL_QUEUED, deadline);

	if (rc == 0)
		store_relaxed(&runtime->executor, 0); /* relaxed: nobody is left who could use it */
	return rc;
}

int hilo_executor_get_stats(hilo_executor *executor, hilo_executor_stats *stats)
{
	int rc = 0;

	if (!stats || stats->size != sizeof(*stats))
		return -EINVAL;
	if (!executor)
		rc = executor_default(&executor);
	if (rc < 0)
		return rc;
	spin_lock(&executor->lock);
	stats->calls = executor->taken;
	stats->cancelled = executor->cancelled;
	stats->threads = executor->threads;
	stats->peak = executor->peak;
	stats->queued = executor_queued(executor);
	spin_unlock(&executor->lock);
	return 0;
}
