/* SPDX-License-Identifier: MIT */
#ifndef HILO_RUNTIME_EXECUTOR_IMPL_H
#define HILO_RUNTIME_EXECUTOR_IMPL_H

/*
 * executor_impl.h - pools of plain threads for calls that block; what their files share.
 *
 *	callers -> queue (first in, first out, bounded) -> threads -> over(): hand the result on
 *	executor.c, executor_submit.c, executor_map.c	executor_queue.c	   executor_pool.c
 *
 * What is queued is a job. What becomes of it afterwards is its maker's concern: a call that is waited for
 * lies on its caller's stack, so nothing is allocated for it; one with a future lies on the heap; those of a
 * map are a fixed set that is used again and again. Whoever takes a job out of the queue, to run it, to
 * refuse it or to give it up, has it alone: its state decides, once.
 *
 * The executor may be freed as soon as its last call has ended. So a caller whose wait ends early, and
 * whoever cancels a future, touches the executor only if he has won the call, which then stays in the queue,
 * and so keeps the executor, until he has taken it out; and those who wait for room are counted.
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
 * The lock is a spinlock, so nothing that may enter the kernel happens under it. What there is to do
 * is decided under it, noted as errands, and done afterwards.
 *
 * I1  A thread is counted in `threads` from the decision to start it until it has ended, or could
 *     not be started. So an executor that closes waits for one that is just being made.
 * I2  While a call is QUEUED, somebody comes for it: a thread that was woken or is being started
 *     (waking, reserve), that spins, that is in its initializer (entering: for one call each), or that runs
 *     a call and looks again after it. A thread goes idle only under the lock, having found nothing QUEUED,
 *     and one that ends looks once more when it is not counted any longer. Who could not start a thread
 *     keeps I2 in its stead: it wakes an idle one, and if no thread is left that could come it refuses what
 *     is queued.
 * I3  A call that is LEAVING is his who has won it; threads pass it by, and wait for nobody who has.
 *
 * P1  Whoever has a job alone writes its result and calls over, which hands it on and is the last touch of
 *     it: over of a call that is waited for stores OVER with release, its caller acquires.
 * P2  `queued` is a hint for the thread that spins; the lock orders the queue itself.
 * P3  pool_wake releases, pool_sleep acquires: the thread sees what its waker did.
 * P4  What a thread runs is released after since when, and acquired before, by a report.
 *
 *
 * Rejected: a condition variable. Each call pays a system call for a thread that another would have
 * served in the meantime.
 * Rejected: starting threads under the lock, which makes their number simpler to know. It takes some
 * 20 us when all goes well, and whoever wants the lock meanwhile burns them, or, if the holder loses
 * its processor in the kernel, some milliseconds.
 */
#include <hilo/runtime/executor.h>

#include "runtime/debug_impl.h"
#include "runtime/runtime_impl.h"
#include "scheduler/base/list.h"
#include "scheduler/base/lock.h"
#include "scheduler/locals.h"

enum job_state {
	JOB_QUEUED,
	JOB_LEAVING, /* whoever has won it takes it out unrun; nobody else touches it */
	JOB_TAKEN,   /* by a thread, which runs it */
	JOB_REFUSED, /* taken out by the executor, which does not run it */
	JOB_OVER,    /* of a call that is waited for: the result is there */
};

struct job {
	struct list link; /* under the lock, while QUEUED or LEAVING */
	hilo_blocking_fn fn;
	void *arg;
	void (*over)(struct job *job); /* [whoever has it] P1; may free it */
	struct hilo_runtime *runtime;  /* where hilo_run in the call goes to, or NULL */
	struct error *error;	       /* owned; what was said about the failure, or NULL */
	struct binding *locals;	       /* what it runs with: the maker's, who keeps them meanwhile */
	int result;
	atomic(uint32_t) state; /* leaves QUEUED once, by CAS */
};

/* A call that is waited for, on its caller's stack. */
struct waited {
	struct job job;
	struct hilo_task *task;
	uint32_t episode;
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
	struct pool_thread *next;  /* below it in the stack of idle ones, under the lock */
	atomic(uint32_t) futex;	   /* 1: go on */
	struct list link;	   /* in the crew, under the lock */
	atomic(uint64_t) since;	   /* when it began what it runs, in cycles */
	atomic(const void *) runs; /* the function of the program that it is in; NULL: none. P4 */
};

/* Whom to wake once the lock is free; its task NULL: nobody. */
struct wakeup {
	struct hilo_task *task;
	uint32_t episode;
};

/*
 * A thread of a pool that waits for that pool: see executor_stuck.c. To be filled in from happened to leaves by
 * who waits; on its stack.
 */
struct stuck {
	bool (*happened)(const void *object); /* [lock] the wait is over, though its thread sleeps yet */
	const void *object;
	bool leaves; /* the wait can end though it has not happened */
	bool told;   /* it is to end; under the lock */
	struct list link;
	struct hilo_task *record;
	struct hilo_executor *executor; /* in whose list it is; NULL: in none */
};

enum grow {
	GROW_NOT,
	GROW_THREAD,
	GROW_RESERVE,
};

/* What was decided under the lock, to be done without it. */
struct errands {
	struct pool_thread *thread; /* to be woken, or NULL */
	enum grow grow;		    /* the thread to be started; counted already: I1 */
	struct wakeup room;	    /* who waits for room may try again */
};

struct hilo_executor {
	HILO__ISOLATED struct spinlock lock;
	struct list queue;
	struct list rooms;
	struct pool_thread *idle; /* last one first */
	struct list crew;	  /* all threads that have come and not ended */
	unsigned threads;	  /* I1 */
	unsigned base, max_threads, peak;
	unsigned max_queued;
	unsigned visitors; /* callers that wait for room, or are about to look again, and maps */
	bool ending;	   /* somebody was found to be the last, and sets gone */
	bool waking;	   /* a thread was woken or is being started and has not looked at the queue yet */
	bool spinning;	   /* a thread spins */
	bool reserve;	   /* a reserve thread waits, or is being started */
	struct list stuck; /* threads that wait for their own pool, without a deadline */
	unsigned stuck_count;
	bool stuck_said;   /* it was logged that all do */
	unsigned entering; /* threads in their initializer: each comes for one call */
	int broken;	   /* what an initializer has failed with; 0: none has */
	bool closed;
	bool may_spin;
	bool has_exited;
	pthread_t exited; /* the thread that ended last: joined by the next that ends */
	uint64_t taken;
	uint64_t cancelled;
	uint64_t abandoned;
	enum hilo_overflow overflow;
	hilo_time idle_time;
	size_t stack_size;
	hilo_blocking_fn initializer;
	void (*finalizer)(void *arg);
	void *init_arg;
	struct error *broken_error; /* what is said about that, to each caller */
	char name[16];
	struct debug_mark open;
	atomic(bool) owned;		       /* a runtime's, which closes it */
	atomic(struct hilo_runtime *) runtime; /* that one; set after it was owned */
	struct completion
		gone; /* the last thread, visitor and caller on its way out have left, after close */
	HILO__ISOLATED atomic(uint32_t) queued; /* P2; written under the lock */
};

/* [lock @ex; else a hint] Calls in the queue, those included whose callers are just leaving. */
static inline unsigned executor_queued(struct hilo_executor *ex)
{
	return load_relaxed(&ex->queued); /* relaxed: P2 */
}

/* [lock @ex] After somebody has left: was it the last of a closed executor? Then it sets gone. */
static inline bool executor_is_last(struct hilo_executor *ex)
{
	if (HILO__LIKELY(!ex->closed) || ex->threads || ex->visitors || !list_empty(&ex->queue) || ex->ending)
		return false;
	ex->ending = true;
	return true;
}

/* [any] The runtime that the caller belongs to; NULL: none. */
static inline struct hilo_runtime *runtime_of_caller(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->loop->runtime : self->pool_runtime;
}

/* [its maker] Before @job is put into a queue. */
static inline void job_init(struct job *job, hilo_blocking_fn fn, void *arg, void (*over)(struct job *))
{
	list_init(&job->link);
	job->fn = fn;
	job->arg = arg;
	job->over = over;
	job->runtime = runtime_of_caller();
	job->error = NULL;
	job->locals = *locals_slot(thread_self());
	atomic_setup(&job->state, JOB_QUEUED);
}

/* executor.c */

/* [any] A pool on a machine with @cpus; @opts (or NULL) is borrowed. 0, -EINVAL, -E2BIG, -ENOMEM. */
int hilo__executor_new(const hilo_executor_opts *opts, unsigned cpus, bool may_spin, hilo_executor **ret);

/* Close @executor and wait until all its threads have ended, but for the last few steps of the last one. */
int hilo__executor_end(hilo_executor *executor, unsigned flags, hilo_time deadline);

/* [who keeps @executor] Tell the log which calls keep it from ending, if there are any. */
void hilo__executor_report(hilo_executor *executor);

/* [sole owner] What has ended. */
void hilo__executor_free(hilo_executor *executor);

/* executor_lane.c */

/*
 * [any] The executor that @given stands for: NULL is the default one of the caller's runtime. 0, -EDEADLK,
 * -ENOMEM, HILO_ECLOSED.
 */
int hilo__executor_pick(hilo_executor *given, hilo_executor **ret);

/* executor_queue.c */

#define PUT_INLINE 1 /* the queue is full, and the caller is to run the call itself */

/*
 * [any, suspends] Get @job into the queue, waiting for room if the policy says so. 0; PUT_INLINE;
 * HILO_ECLOSED; HILO_EOVERFLOW; -ETIMEDOUT; -ECANCELED; -EDEADLK, or why the pool is broken: the error of @job
 * is then what is said about it. @ex may be gone unless this is 0.
 */
int hilo__executor_put(struct hilo_executor *ex, struct job *job, struct wait *wait);

/* [any] The same without waiting, whatever the policy. Somebody keeps @ex. */
int hilo__executor_try(struct hilo_executor *ex, struct job *job);

/* [any] Keep @ex until hilo__executor_leave, for several calls one after the other. 0, HILO_ECLOSED. */
int hilo__executor_visit(struct hilo_executor *ex);

/* [visitor] @ex may be gone afterwards. */
void hilo__executor_leave(struct hilo_executor *ex);

/*
 * [maker of @job, or who cancels it] Take it out of the queue unrun. False: it runs, or has run; then @ex
 * may be gone and was not touched. True: it is the caller's alone, and @ex may be gone now.
 */
bool hilo__executor_withdraw(struct hilo_executor *ex, struct job *job);

/* [who has put @call] Whether its result is there. */
bool hilo__waited_is_over(const struct waited *call);

/* [who has put @call, suspends] Its result, or why it was not run. */
int hilo__executor_await(struct hilo_executor *ex, struct waited *call, struct wait *wait);

/* [pool thread, lock @ex] The oldest job, now the caller's, and what else is to be done; NULL: none is queued. */
struct job *hilo__executor_take(struct hilo_executor *ex, struct errands *errands);

/*
 * [lock @ex, which is given up meanwhile] Refuse some of what is queued, with @code and what is to be said
 * about it (borrowed, or NULL). False: there was nothing. Somebody keeps @ex.
 */
bool hilo__executor_refuse(struct hilo_executor *ex, int code, struct error *error);

/* [who keeps @ex] The result of a call that was run is wanted by nobody. */
void hilo__executor_abandoned(struct hilo_executor *ex);

/* [lock @ex, which is given up meanwhile] Let all who wait for room look again. Somebody keeps @ex. */
void hilo__executor_clear_rooms(struct hilo_executor *ex);

/* executor_pool.c */

/* [who has @job] Run it and hand on its result. What the caller has said before is his own again afterwards. */
void hilo__job_run(struct job *job);

/* [lock @ex] See to it that somebody comes for what is queued: note in @errands what that takes. */
void hilo__pool_summon(struct hilo_executor *ex, struct errands *errands);

/* [any, without the lock] Do what was noted; @ex may be gone afterwards, if only @errands kept it. */
void hilo__pool_run_errands(struct hilo_executor *ex, const struct errands *errands);

/* [any] Wake an idle thread that was taken from the list. */
void hilo__pool_wake(struct pool_thread *thread);

/* executor_stuck.c */

/* [any] Begin a wait for @ex, which matters if the caller is a thread of it. 0; -EDEADLK: it would never end. */
int hilo__stuck_begin(struct stuck *stuck, struct hilo_executor *ex, hilo_time deadline);

/* [who has begun it] The wait has ended with @rc, which is returned; -EDEADLK when it was told to. */
int hilo__stuck_end(struct stuck *stuck, int rc);

/* [thread of @ex] What is to be said about the -EDEADLK that it got; the log is told once. NULL: no memory. */
struct error *hilo__stuck_say(struct hilo_executor *ex);

/* [lock @ex] Exactly @n threads wait for their own pool, without an end. */
bool hilo__stuck_all(struct hilo_executor *ex, unsigned n);

#endif /* HILO_RUNTIME_EXECUTOR_IMPL_H */
