/* SPDX-License-Identifier: MIT */
#ifndef HILO_SCHEDULER_LOOP_H
#define HILO_SCHEDULER_LOOP_H

/*
 * loop.h - the loop of one worker: everything it has to run, wait for and answer. A thread drives
 * it; the loop itself knows of its thread only how to wake it. Others serve it while its thread is held
 * (standin.h).
 *
 *	slot     the task that the running one has woken last: runs next, 3 times in a row at most
 *	deque    fresh tasks: the owner takes the newest, thieves the oldest
 *	ring     woken and yielded tasks, first in, first out; thieves take half
 *	inbox    tasks from other threads, any thread may take them all
 *	backlog  what the inbox held and the ring has no room for, oldest first; any thread may take it all
 *	fresh    what the deque had no room for, newest first; any thread may take it all
 *	starved  fresh tasks that found no stack: the owner tries them again, or who stands in for it
 *	pinned   tasks bound to this loop
 *	high     tasks of high priority, bound or not: before all others, 7 times in a row at most
 *	low      tasks of low priority, bound or not: when there are no others, and now and then
 *	calls    callbacks, strictly in order, one at a time
 *
 * One turn of the loop (turn.c): callbacks; timers that are due; completions of the poller, if the
 * last visit is long enough ago; the inbox into the ring; then up to `budget` tasks, or
 * those of 50 us, of twice that with the poller, whichever is less; again.
 */
#include <hilo/runtime/types.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/pool.h"
#include "scheduler/base/proc.h"
#include "scheduler/base/random.h"
#include "scheduler/base/trace.h"
#include "scheduler/deque.h"
#include "scheduler/fiber/stack.h"
#include "scheduler/inbox.h"
#include "scheduler/poller.h"
#include "scheduler/queue.h"
#include "scheduler/ring.h"
#include "scheduler/task.h"
#include "scheduler/timer.h"

struct forks;
struct thread;

/* What the loop's thread is doing, in its park word. */
enum park_state {
	PARK_RUNNING = 0,
	PARK_SLEEPING = 1, /* in the poller; who changes this to NOTIFIED wakes it */
	PARK_NOTIFIED = 2,
};

#define SIGHTING_NO_CPU INT64_MIN

/* What a worker has seen of another loop. The times are in cycles. */
struct sighting {
	uint64_t since; /* when it was first seen with a backlog in this search; 0: not */
	uint64_t tick;	/* its tick at that moment ... */
	uint64_t began; /* ... and when that was seen last: since then, runs of what was queued */
	uint64_t steps; /* changes whenever the worker runs, pushes or takes something */
	uint64_t still; /* since when it has not changed, as far as we have seen */
	uint64_t turn;	/* its turns and sleeps when we looked last, and one; 0: it slept, or we never have */
	uint64_t held;	/* since when that has not changed, as far as we have seen */
	uint64_t stood; /* the turn for which we stand in */
	int64_t cpu;	/* CPU time that its thread had used about then; SIGHTING_NO_CPU: not looked at */
	bool is_held;	/* found so by a spare worker, and no turn since */
	uint64_t suspect; /* a spare worker's: it may be held since then, and `cpu` is of now; 0: no */
	uint64_t told;	  /* the turn that was told to be slow */
};

/* Only the owner writes; others read them one by one, racily on purpose. */
struct loop_stats {
	atomic(uint64_t) switches, spawned, completed, steals, stolen, wakes, sleeps, polls, timers;
	atomic(uint64_t) fibers_taken, fibers_put;
};

struct hilo_loop {
	/* Owner only. */
	struct hilo_runtime *runtime;
	struct heap *heap;
	atomic(struct hilo_task *) current; /* the task that runs; read by who looks in */
	unsigned index;
	unsigned countdown; /* tasks until the next turn */
	unsigned budget;    /* tasks of one turn */
	unsigned choices;   /* between the queues: which one is next */
	bool ring_is_long;  /* when the turn began */
	bool special; /* there may be something in pinned, high or low; or somebody looks at suspensions */
	unsigned slot_runs;   /* how often in a row the slot was taken */
	unsigned free_waits;  /* waits that were over at once, until the clock is looked at again */
	uint64_t turn_cycles; /* when this turn began */
	uint64_t work_cycles; /* when its tasks began to run */
	uint64_t poll_cycles; /* when the poller was visited last */
	uint64_t run_cycles;  /* average length of a task's run, for how many a turn is to have */
	uint64_t run_last;    /* that of the last turn, with what the poller did ... */
	uint64_t run_least;   /* ... and the lesser of the last two */
	uint64_t next_id, last_id;
	unsigned forking;	    /* a spare one: for how many searches more it ticks each millisecond */
	struct sighting *sightings; /* one for each loop that the runtime may have */
	struct hilo_loop *held;	    /* found by a search: its thread is held, and it has callbacks to run */
	void (*fiber_main)(struct fiber *fiber); /* what its fibers begin with */
	struct stack_cache stacks;
	struct random random;
	uint64_t idle_cycles; /* average length of the last idle gaps */
	unsigned spin_misses;
	unsigned idle_ticks;
	hilo_time slept_at; /* when the last sleep began */
	uint64_t
		fair_cycles; /* when the oldest fresh tasks were moved to the ring last, or there were none */
	uint64_t starved_cycles; /* when those without a stack were tried last ... */
	uint64_t starved_put;	 /* ... and how many stacks had come back by then */
	uint64_t drain_cycles;	 /* when the inbox, or the backlog, was looked at last */
	uint64_t serve_cycles;	 /* when the loops that it stands in for were looked at last */
	unsigned serves;	 /* how often they were */
	uint64_t relief_cycles;	 /* a spare one: when it looked for somebody to give work back to last */
	bool standing;		 /* it stands in for some loop, or did until just now */
	struct hilo_loop *host;	 /* on whose wheel timers are armed here: ours, but for a spare one */
	struct proc_thread proc; /* of its thread; read by those who see it run */
	bool slept;		 /* since the last task was run */
	bool spare;		 /* a spare worker's, see spare.c */
	unsigned high_runs;	 /* how often in a row a task of high priority was taken */
	unsigned bound_runs;	 /* choices that one of pinned might have been */
	uint64_t low_turn;	 /* when one of low was taken last, or there was none */
	bool yielder_first;	 /* what was chosen last comes after the task that yields */
	struct forks *forks;	 /* blocks that it keeps, fork_pool.c */
	unsigned forks_kept;	 /* how many those are */
	uint64_t forks_after;	 /* when it takes a fork from another worker next ... */
	uint64_t forks_patience; /* ... and how long it has waited for that */
	uint64_t forks_last;	 /* cycles that the last region of forks has taken here ... */
	uint64_t forks_usual;	 /* ... and the lesser of the last two */
	bool helping;		 /* a spare one: has looked at all workers since it took something */
#ifdef HILO_TESTING
	bool chaos;
#endif
	TRACE_RING(trace) /* its thread's */

	/* Written by the owner, read by all. */
	HILO__ISOLATED atomic(uint64_t) tick; /* bumped for each task that is run */
	atomic(uint64_t) turns;		      /* bumped for each turn */
	struct loop_stats stats;

	/* Shared. */
	HILO__ISOLATED atomic(struct hilo_task *) slot;
	HILO__ISOLATED atomic(uint32_t) park; /* enum park_state */
	atomic(hilo_time) sleeps_until;	      /* while asleep: when it wakes by itself; else HILO_FOREVER */
	atomic(bool) left;		      /* its thread has no more to do with it */
	atomic(bool) turn_called;	      /* a task that forks is to give way; a hint */
	atomic(uint32_t) standin;	      /* index + 1 of the loop that stands in for it; a hint */
	HILO__ISOLATED atomic(uint32_t) visitors; /* threads inside hilo__loop_post */
	struct inbox inbox;
	struct inbox backlog;
	struct inbox fresh;
	struct inbox starved;
	struct queue pinned;
	struct queue high;
	struct queue low;
	struct queue calls;
	atomic(uint32_t) calling; /* somebody runs callbacks: the owner, or who stands in for it */
	struct spinlock ties_lock;
	struct list ties; /* under its lock */
	struct timers timers;
	struct poller poller;
	struct deque deque;
	struct ring ring;
};

/*
 * In test builds a runtime started with HILO_TEST_SEED in its environment decides by lot what is a
 * matter of taste: which queue comes first, whether the slot may, whether a steal pays, whether a
 * spawn wakes somebody. So tests cannot lean on an order that is not promised. HILO_TEST_NATURAL leaves
 * all that as it is in a program, where other paths are the common ones.
 */
#ifdef HILO_TESTING
#define LOT(loop, of) ((loop)->chaos && random_below(&(loop)->random, of) == 0)
#else
#define LOT(loop, of) false
#endif

#define stat_add(counter, n)                                                                                 \
	store_relaxed(counter, load_relaxed(counter) + (n)) /* relaxed: statistics, one writer */

/* A callback waiting to run, or a timer that will make one: call_soon, call_later, watches. */
struct call {
	struct link link;
	hilo_callback_fn fn;
	void *arg;
	void (*run)(struct call *);  /* how to run it; it may free the call */
	void (*drop)(struct call *); /* how to end it when its loop has ended before */
};

/*
 * Something outside that will call the loop one day: a future's done callback. The loop must not end
 * before it: what is still tied then is cut.
 */
struct tie {
	struct list link;
	void (*cut)(struct tie *); /* [closing thread] sees to it that the loop is not called any more */
};

/* [any] Tie and untie; to untie what is not tied (any more) is harmless. */
void hilo__loop_tie(struct hilo_loop *loop, struct tie *tie);
void hilo__loop_untie(struct hilo_loop *loop, struct tie *tie);

/* [any] Put @link into @inbox, one of @loop's, and wake the loop if it sleeps. */
void hilo__loop_post(struct hilo_loop *loop, struct inbox *inbox, struct link *link);

/* [any] Queue @call on @loop, in order, and wake the loop if it sleeps. Never allocates. */
void hilo__loop_call(struct hilo_loop *loop, struct call *call);

/* [any] Take @call out of the queue of @loop before it has run. False: it is not there. */
bool hilo__loop_uncall(struct hilo_loop *loop, struct call *call);

/*
 * [worker, on its own stack] Run the callbacks of @loop that were asked for before, unless another
 * thread is at it: ours, or of one that is held.
 */
void hilo__loop_run_calls(struct thread *self, struct hilo_loop *loop);

/* [owner] There are callbacks, and nobody runs them. A hint. */
static inline bool loop_has_calls(struct hilo_loop *loop)
{
	return !queue_is_empty(&loop->calls) && !load_relaxed(&loop->calling); /* relaxed: a hint */
}

/* [any] Make sure that the loop looks at its inboxes soon. */
void hilo__loop_notify(struct hilo_loop *loop);

int hilo__loop_init(struct hilo_loop *loop, struct hilo_runtime *runtime, unsigned index);

/*
 * [closing thread] End the calls, timers, ties and operations that are left; of the latter, the kernel gets until
 * @deadline to end them. True: there were some.
 */
bool hilo__loop_drop(struct hilo_loop *loop, hilo_time deadline);

/* [closing thread] Free what the loop has, after hilo__loop_drop. */
void hilo__loop_fini(struct hilo_loop *loop);

#endif /* HILO_SCHEDULER_LOOP_H */
