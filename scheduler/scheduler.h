/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_SCHEDULER_H
#define HILO_SCHEDULER_SCHEDULER_H

/*
 * scheduler.h - a runtime as its workers see it, and the face the upper layers use: make a task,
 * make it ready, leave the running one.
 */
#include <hilo/runtime/types.h>

#include <pthread.h>
#include <signal.h>

#include "scheduler/idle.h"
#include "scheduler/loop.h"
#include "scheduler/task.h"
#include "scheduler/thread.h"

/* How often in a row the slot may jump the queue: two tasks that wake each other must not starve others. */
#define SLOT_RUNS 3
/* A spawning task looks this often whether another worker should be woken. */
#define SPAWNS_PER_LOOK 32

/* The runtime's life, in its phase word; only ever raised. */
enum phase {
	PHASE_OPEN = 0,
	PHASE_CLOSING = 1, /* no new tasks; those that are left were cancelled */
	PHASE_STOPPED = 2, /* no tasks left; workers leave */
	PHASE_CLOSED = 3,  /* all has ended, and only the memory is left */
};

/* Who is told of tasks; see hilo_task_hooks. */
struct task_hooks {
	void (*spawned)(struct hilo_task *task, void *arg);
	void (*ended)(struct hilo_task *task, int result, void *arg);
	void (*resumed)(struct hilo_task *task, void *arg);
	void (*suspended)(struct hilo_task *task, void *arg);
	void *arg;
};

struct readers;
struct signal_table;

/* The executors that a runtime has itself, each for calls that must not wait behind the others. */
enum lane {
	LANE_DEFAULT,
	LANE_RESOLVER,
	LANE_FILES,
	LANES,
};

struct hilo_runtime {
	unsigned workers;
	unsigned limit;		  /* workers and the most spare ones there may be */
	struct hilo_loop **loops; /* room for that many: workers first, then spare ones */
	pthread_t *threads;
	unsigned threads_started;  /* workers and spare ones; written by who holds spare_starting */
	atomic(bool) spare_failed; /* the last try to make one has; a hint */
	bool spare_said;	   /* that was told once; written by who holds spare_starting */
	bool spare_later;	   /* who starts the runtime sees to the first spare one, once it is needed */
	struct spinlock spare_lock;  /* of spare_seen; see spare.c */
	struct sighting *spare_seen; /* one for each loop there may be; under spare_lock */

	/* Effective options, fixed at start. */
	uint8_t stack_class;
	uint8_t task_flags; /* of all its tasks: TASK_TOLD if there are hooks */
	struct task_hooks hooks;
	bool spin;
	bool is_ring; /* its pollers have rings */
	hilo_time shutdown;
	uint64_t spin_cycles; /* the most a worker spins before it sleeps */
	unsigned cpus;	      /* what the machine allows */
	unsigned affinity;
	double quota; /* CPUs the tightest cgroup allows; 0: no limit */
	bool keep_sigint;
	bool handle_sigint;
	uint32_t debug; /* the number of this runtime in debug mode, unique in the process; 0: not in it */
	hilo_time slow; /* what has held its loop for so long is told of; 0: nothing is ... */
	uint64_t slow_cycles; /* ... and the same in cycles */

	struct idle idle;
	HILO__ISOLATED atomic(uint32_t) all; /* loops that exist; only rises, P1 of spare.h */
	atomic(uint32_t) spare_starting;     /* somebody makes one more: P2 of spare.h */
	HILO__ISOLATED atomic(uint32_t) phase;
	atomic(uint32_t) quiet;			   /* bumped by completions while closing: P2 of closing.c */
	atomic(struct hilo_task *) closer;	   /* who waits for that, or did ... */
	atomic(uint32_t) closer_episode;	   /* ... in this wait */
	atomic(uint32_t) users;			   /* who runs it from outside: run.c */
	atomic(uint32_t) stop;			   /* futex: run_forever is to return */
	HILO__ISOLATED atomic(uint64_t) submitted; /* tasks made from outside, and holds: P1 of closing.c */
	HILO__ISOLATED atomic(uintptr_t) lane[LANES]; /* its executors, made at first use */
	atomic(struct readers *) readers;      /* its table of readers and writers, made at first use */
	atomic(struct signal_table *) signals; /* its callbacks for signals, likewise */
	atomic(uint32_t) calls_out; /* calls that tasks wait for in executors: their results will come soon */
	struct hilo_runtime *next;  /* in hilo__runtimes */
};

/* All runtimes of the process that have workers, for who looks in from outside; under the lock. */
extern struct hilo_runtime *hilo__runtimes;
extern struct spinlock hilo__runtimes_lock;

/* [any] The loops that exist at the moment: all below that index can be looked at. */
static inline unsigned runtime_loops(const struct hilo_runtime *runtime)
{
	return load_acquire(&((struct hilo_runtime *)runtime)->all); /* P1 of spare.h */
}

/*
 * [any] The loop that the running callback or task belongs to; NULL: a plain thread. It is not the one
 * that the thread drives when the thread stands in for another, which is held.
 */
static inline struct hilo_loop *thread_home(const struct thread *self)
{
	if (HILO__UNLIKELY(self->calling != NULL))
		return self->calling;
	return self->loop && self->task ? self->task->loop : self->loop;
}

/* [any] An event of the calling thread. */
#define TRACE_HERE(self, event, a, b) TRACE_EVENT((self)->loop ? (self)->loop->trace : NULL, event, a, b)

/* [any] The calling thread runs a task, a callback or an executor's call of @runtime, or ends it. */
static inline bool thread_is_inside(const struct thread *self, const struct hilo_runtime *runtime)
{
	return (self->loop && self->loop->runtime == runtime) || self->pool_runtime == runtime ||
	       self->closing == runtime;
}

/* [any] @task of @runtime was made, and is about to be queued. */
static inline void task_tell_spawned(const struct hilo_runtime *runtime, struct hilo_task *task)
{
	if (HILO__UNLIKELY(runtime->hooks.spawned != NULL))
		runtime->hooks.spawned(task, runtime->hooks.arg);
}

/* [any] The task that runs on the calling thread, as events name it. */
static inline uint64_t trace_id(const struct thread *self)
{
	return self->loop && self->task ? self->task->id : 0;
}

/* What a task is made from. */
struct task_spec {
	hilo_task_fn entry;
	void *arg;
	void (*destroy)(void *arg);
	const char *name; /* consumed on success */
	const void *site;
	struct hilo_loop *loop; /* with TASK_PINNED */
	uint32_t references;
	uint32_t stack_class; /* words: bytes that are stored one by one and loaded as two stall the load */
	uint32_t flags;
};

/* [thread with @heap] A record for @spec, in no queue yet. NULL: out of memory. task_new.h has it inline. */
struct hilo_task *hilo__task_new(struct heap *heap, struct hilo_runtime *runtime,
				 const struct task_spec *spec);

/* [any] A copy of @text as a name, which has no older one yet. NULL: out of memory. */
const char *hilo__name_new(const char *text);

/* [any] Make @name, in place of @older, the newest of @task. False: *@older was not, and is now. */
bool hilo__name_replace(struct hilo_task *task, const char **older, const char *name);

/* [the last who knows them] Free @newest and all that it has replaced. NULL: none. */
void hilo__names_free(const char *newest);

/* [whoever the word says] Give the record back. */
void hilo__task_free(struct hilo_task *task);

/* [worker] Queue a fresh task on the calling loop; a pinned one where it belongs. Never fails. */
void hilo__task_start(struct thread *self, struct hilo_task *task);

/* [any] Queue a fresh task of @runtime from outside. */
void hilo__task_inject(struct hilo_runtime *runtime, struct hilo_task *task);

/* [any] Queue a task that has become ready: its P bit was cleared by the caller. */
void hilo__task_ready(struct hilo_task *task);

/* [who has ended its wait while it was parked] Queue it, once it can see what for: task_state_win. */
void hilo__task_woken(struct hilo_task *task);

/* [any, async-signal-safe] See hilo_task_cancel_with; the reason by its number. */
int hilo__task_cancel(struct hilo_task *task, uint8_t reason);

/* [any, async-signal-safe] Have @task, or a plain thread, by its record, look again at what it waits for. */
void hilo__task_nudge(struct hilo_task *task);

/* [any] A reference on the live task in record @task of @runtime; false if there is none. */
bool hilo__task_try_ref(struct hilo_task *task, struct hilo_runtime *runtime);

/* [owner] Something is, or is about to be, in one of the queues for tasks that are not ordinary. */
static inline void loop_expect_special(struct hilo_loop *loop)
{
	if (loop->special)
		return;
	loop->special = true;
	loop->low_turn = load_relaxed(&loop->turns); /* relaxed: own value */
}

/* [owner] Make room in the loop's ring. */
void hilo__loop_spill_ring(struct hilo_loop *loop);

/* [owner] At the back of the loop's ring. Never fails. */
static inline void loop_push_ring(struct hilo_loop *loop, struct hilo_task *task)
{
	while (HILO__UNLIKELY(hilo__ring_push(&loop->ring, task) < 0))
		hilo__loop_spill_ring(loop);
}

/*
 * [owner] Into the loop's slot. Returns what was there before, which the caller queues; NULL: nothing was.
 */
static inline struct hilo_task *loop_fill_slot(struct hilo_loop *loop, struct hilo_task *task)
{
	/* Only we fill it, so an empty one stays empty: a store will do, which saves 7 ns. relaxed: as just said */
	if (HILO__LIKELY(!load_relaxed(&loop->slot))) {
		store_release(&loop->slot, task); /* pairs with the exchange that takes it */
		return NULL;
	}
	return xchg_acq_rel(&loop->slot, task); /* pairs with itself: owner and thieves exchange */
}

/* [owner] Make room in the loop's deque. */
void hilo__loop_spill_deque(struct hilo_loop *loop);

/* [owner] Into the loop's deque, as its newest. Never fails. */
static inline void loop_push_deque(struct hilo_loop *loop, struct hilo_task *task)
{
	while (HILO__UNLIKELY(hilo__deque_push(&loop->deque, task) < 0))
		hilo__loop_spill_deque(loop);
}

/* [any] Claim the sleep of @loop's thread and end it; false if it does not sleep. P1, P2 of idle.h. */
bool hilo__loop_wake(struct hilo_loop *loop);

/* [any] Wake one sleeping worker; true if there was one. @from counts it. */
bool hilo__worker_wake_one(struct hilo_runtime *runtime, struct hilo_loop *from);

/* [owner] Would it pay to wake somebody for what is queued here? If so, do. */
void hilo__worker_look(struct hilo_loop *loop);

/* [task, suspends] Leave the running fiber in the way of @leave; returns when it runs again. */
void hilo__leave(struct thread *self, enum leave leave);

/*
 * [task, suspends] Run @task, which is fresh and in no queue, at once; the running one goes on when that
 * waits or has ended, unless another worker has taken it over meanwhile.
 */
void hilo__leave_for(struct thread *self, struct hilo_task *task);

/* [task, may suspend] Before hilo__leave_for: go to the back of the queue if that was done often enough. */
void hilo__leave_late_for(struct thread *self);

/* [task, may suspend] Go to the back of the queue if the turn has lasted long enough. */
void hilo__leave_late(struct thread *self);

/* [task that forks, may suspend] The same, but what it has forked waits for it: it is queued, and goes on by itself. */
void hilo__leave_called(struct thread *self);

/* A task whose waits are over at once looks this often at the clock: one such wait takes 20 to 300 ns. */
#define FREE_WAITS 32

/* [task] One more of them. True: look. */
static inline bool hilo__wait_was_often_free(struct thread *self)
{
	return HILO__UNLIKELY(++self->loop->free_waits % FREE_WAITS == 0);
}

/*
 * [task, may suspend] What the running task asked for was there already, or refused at once. It may go
 * on so for ever, so others get their turn now and then.
 */
static inline void hilo__wait_was_free(struct thread *self)
{
	if (hilo__wait_was_often_free(self))
		hilo__leave_late(self);
}

/*
 * [any] Keep from the threads that are started next what is the application's: all signals but the
 * synchronous ones, which cannot be kept out. @before is to be set again afterwards.
 */
void hilo__signals_block(sigset_t *before);

#ifdef HILO_TESTING
/* A runtime starts without threads: a simulation drives its loops. To be changed while none starts. */
extern bool hilo__scheduler_threadless;
#else
#define hilo__scheduler_threadless false
#endif

/* [creator] Fill in a runtime whose options are set; start its threads. 0, -ENOMEM, -EAGAIN. */
int hilo__scheduler_start(struct hilo_runtime *runtime);

/* [spare] One more spare worker, unless the runtime stops, somebody is at it, or there are SPARES_MAX. */
void hilo__scheduler_add_spare(struct hilo_runtime *runtime);

/* [who started @runtime] Its tasks have not ended yet: let there be a spare worker, if there is none. */
void hilo__scheduler_need_spare(struct hilo_runtime *runtime);

/* [who ends it] Take no more tasks. */
void hilo__scheduler_shut(struct hilo_runtime *runtime);

/*
 * [outside, suspends; one at a time] Take no more tasks, cancel those that are left, wait for them to end. 0;
 * -ETIMEDOUT, -ECANCELED: can be repeated; -EDEADLK, -ENOMEM as hilo__wait_begin.
 */
int hilo__scheduler_close(struct hilo_runtime *runtime, hilo_time deadline);

/*
 * [closing thread, after close] Stop the threads and join them. One that has come to its end, but that the kernel
 * keeps because of what it does on its behalf, is left behind at @deadline, and named in the log.
 */
void hilo__scheduler_stop(struct hilo_runtime *runtime, hilo_time deadline);

/*
 * [closing thread, after stop] End what is left of callbacks and operations, the latter by @deadline; give back all
 * that the loops use but their memory.
 */
void hilo__scheduler_end(struct hilo_runtime *runtime, hilo_time deadline);

/* [sole owner, after end] Free the loops. */
void hilo__scheduler_free(struct hilo_runtime *runtime);

/* [any] Tasks that have not ended, and holds; exact only while nothing changes. */
uint64_t hilo__scheduler_live(const struct hilo_runtime *runtime);

/* [holder] End a hold: the last touch of @runtime. */
void hilo__runtime_release(struct hilo_runtime *runtime);

/* [any] Keep @runtime from ending until the hold is released. False: it ends already, and is not held. */
static inline bool runtime_hold(struct hilo_runtime *runtime)
{
	(void)MUTANT(161, add_seq_cst(&runtime->submitted, 1),
		     add_acq_rel(&runtime->submitted, 1));	       /* P1 of closing.c */
	if (HILO__LIKELY(load_seq_cst(&runtime->phase) == PHASE_OPEN)) /* P1 of closing.c */
		return true;
	hilo__runtime_release(runtime);
	return false;
}

/*
 * [worker, no task on it] The task that the runtime ends with has ended: close it, and if nothing else is left
 * send the workers home. They are on their way then before the thread that waits for them is awake.
 */
void hilo__scheduler_main_ended(struct hilo_runtime *runtime);

/* [any] A task has ended while the runtime closes: whoever waits for that looks again. */
void hilo__scheduler_quiet(struct hilo_runtime *runtime);

/* [owner] A task has ended here, and is completed ... */
static inline void loop_count_end(struct hilo_loop *loop)
{
	/* Release: who sees this end counted sees its start counted, which was another's. relaxed: own value */
	store_release(&loop->stats.completed, load_relaxed(&loop->stats.completed) + 1); /* P2 of closing.c */
}

/* ... and is counted: who closes may wait for it. */
static inline void loop_tell_end(struct hilo_loop *loop)
{
	/* relaxed: closing looks again by itself */
	if (HILO__UNLIKELY(load_relaxed(&loop->runtime->phase) != PHASE_OPEN))
		hilo__scheduler_quiet(loop->runtime);
}

/* [any] How many tasks hold a stack, at most. */
uint64_t hilo__scheduler_fibers(const struct hilo_runtime *runtime);

/* [any] Call @fn for each live record of @runtime, holding a reference. */
void hilo__scheduler_foreach(struct hilo_runtime *runtime, void (*fn)(struct hilo_task *task, void *ctx),
			     void *ctx);

/* [plain thread] The record that stands for the calling thread; NULL: out of memory. */
struct hilo_task *hilo__thread_record(struct thread *self);

/* [any] The heap of the calling thread; NULL: out of memory. */
struct heap *hilo__thread_heap(struct thread *self);

/* Called when a failed task goes without anybody having read its result; set by the upper layer. */
extern void (*hilo__on_lost_failure)(struct hilo_task *task);

/* The thread of @loop has been held for so many cycles by now, as many as are slow; set by the upper layer. */
extern void (*hilo__on_slow)(struct hilo_loop *loop, uint64_t cycles);

/* Called with each task that is about to suspend; NULL, as mostly: nobody looks. Set by the upper layer. */
extern void (*hilo__on_suspend)(struct hilo_task *task);

/* Frees what hilo_fail attached; set by the upper layer. */
extern void (*hilo__on_error_free)(struct error *error);

#endif /* HILO_SCHEDULER_SCHEDULER_H */
