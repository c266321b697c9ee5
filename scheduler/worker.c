/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the thread that drives a loop: turns, and the way from one task to the next.
 *
 * There is no scheduler stack between two tasks. A task that suspends picks the next one itself and
 * switches straight to it; what is to be done with the fiber that was left (park it, queue it, cache
 * it) is done by the next one as its first act, because only then nobody stands on that stack any
 * more. A fiber whose task has ended runs the next fresh task by a plain call, without any switch.
 * Only when there is nothing to pick, or the turn is over, the worker's own stack (the root) is
 * switched to: callbacks, timers, poller, inboxes, stealing and sleeping happen there.
 *
 * Order of picking: the slot (3 times in a row at most); then ring and deque in turn, so that
 * neither fresh nor woken tasks starve. A long ring comes more often while its tasks have begun: they
 * have stacks, and somebody waits for them. Fresh ones come in through the ring as well, from outside;
 * to prefer those to their own children would run trees breadth first. Now and then the oldest fresh
 * tasks are moved to the ring, so that the newest-first order of the deque starves nobody either.
 *
 * Rejected: one queue, first in first out, for all tasks. A tree of tasks is then run breadth first:
 * every inner node holds a stack at the same time.
 * Rejected: returning to the root between two tasks. It costs a second switch for each run.
 */
#include "scheduler/worker.h"

#include <errno.h>
#include <sys/prctl.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/panic.h"
#include "scheduler/fiber/fiber.h"
#include "scheduler/spare.h"
#include "scheduler/standin.h"

/* A turn lasts this long at most when tasks are short; one task at least. */
#define TURN_US 50
#define TURN_TASKS 61
/* Work for less than this is not worth a wake-up: it costs the waker 6 to 11 us (docs/design/scheduling.md). */
#define WAKE_WORK_US 40
#define WAKE_RUN_NS 200
#define TIMERS_PER_TURN 256
/* Few at a time: whatever is woken next waits for them. */
#define FAIR_US 1000
#define FAIR_TASKS 12
#define POLLS_PER_TURN 128
/* A task that found no stack tries again so often, or when one came back here. */
#define STARVED_US 1000
/* With more than that in the ring it has seven of eight choices. */
#define RING_LONG 8
/* However full the ring is, what waits to get into it is looked at so often. */
#define DRAIN_US 1000

bool hilo__worker_is_empty(struct hilo_loop *loop)
{
	return !load_relaxed(&loop->slot) &&
	       hilo__ring_size(&loop->ring) == 0 && /* relaxed: hints, or own values */
	       hilo__deque_size(&loop->deque) == 0;
}

/* [owner] The task that was woken last, if it may go first. */
static inline struct hilo_task *loop_take_slot(struct hilo_loop *loop)
{
	struct hilo_task *task;

	if (!load_relaxed(&loop->slot)) { /* relaxed: only we fill it */
		loop->slot_runs = 0;
		return NULL;
	}
	task = xchg_acquire(&loop->slot, NULL); /* pairs with the exchange that filled it */
	if (task)
		loop->slot_runs++;
	return task;
}

/*
 * [owner] Have the lines of the tasks that come after the one just popped on their way: with many
 * tasks on a worker the next one's context is in no near cache, and that miss is half of the price
 * of a switch. The slots may be stale; records are never unmapped, so looking at one is harmless.
 */
static inline void ring_prefetch(struct ring *ring)
{
#if !defined(HILO__ASAN) && !defined(HILO__TSAN)
	int64_t head = ring->own.head;
	struct hilo_task *next = load_relaxed(&ring->slot[head & RING_MASK]);	     /* relaxed: a hint */
	struct hilo_task *later = load_relaxed(&ring->slot[(head + 1) & RING_MASK]); /* relaxed: a hint */

	__builtin_prefetch(later);
	if (next) {
		char *fiber = (char *)load_relaxed(&next->fiber); /* relaxed: a hint */

		__builtin_prefetch(fiber);
		__builtin_prefetch(fiber - 64);
	}
#else
	(void)ring;
#endif
}

/* [owner] The first of the ring has a stack, unless it has just been stolen: it has run before. */
static inline bool ring_has_begun(struct ring *ring)
{
	struct hilo_task *next = load_relaxed(&ring->slot[ring->own.head & RING_MASK]); /* relaxed: a hint */

	return next && load_relaxed(&next->fiber); /* relaxed: a hint; records are never unmapped */
}

static inline struct hilo_task *loop_take_ring(struct hilo_loop *loop)
{
	struct hilo_task *task = hilo__ring_pop(&loop->ring);

	if (task)
		ring_prefetch(&loop->ring);
	return task;
}

static HILO__NOINLINE struct hilo_task *loop_take_pinned(struct hilo_loop *loop)
{
	struct link *link = hilo__queue_take(&loop->pinned);

	return link ? hilo__link_task(link) : NULL;
}

/* [owner] A run begins. */
static inline void loop_count_run(struct hilo_loop *loop)
{
	/* relaxed: own value, a hint for thieves */
	store_relaxed(&loop->tick, load_relaxed(&loop->tick) + 1);
}

/*
 * [owner] What to run next, in the order that the top of this file gives. The queues alternate by a count
 * of their own: one that counted the slot as well would keep its parity while each task from a queue
 * wakes one into the slot, and always find the same queue.
 */
static inline struct hilo_task *loop_choose(struct hilo_loop *loop)
{
	struct hilo_task *task = LOT(loop, 8) ? NULL : loop_take_slot(loop);
	unsigned choice;

	if (task)
		return task;
	choice = loop->choices++;
	if (LOT(loop, 4))
		choice++;
	if (LOT(loop, 8) && (task = hilo__deque_pop_oldest(&loop->deque)))
		return task;
	/* relaxed: a hint; one that was not gathered yet comes with the next turn */
	if (HILO__UNLIKELY(load_relaxed(&loop->pinned.count)) &&
	    (choice % 4 == 1 || hilo__worker_is_empty(loop)) && (task = loop_take_pinned(loop)))
		return task;
	if (choice & 1 || (HILO__UNLIKELY(loop->ring_is_long) && choice & 7 && ring_has_begun(&loop->ring))) {
		task = loop_take_ring(loop);
		return task ? task : hilo__deque_pop(&loop->deque);
	}
	task = hilo__deque_pop(&loop->deque);
	return task ? task : loop_take_ring(loop);
}

/* [owner] What to run next; NULL: nothing at hand, or the turn is over. */
static inline struct hilo_task *loop_pick(struct hilo_loop *loop)
{
	struct hilo_task *task;

	if (HILO__UNLIKELY(loop->countdown == 0))
		return NULL;
	task = loop_choose(loop);
	if (task) {
		loop->countdown--;
		loop_count_run(loop);
	}
	return task;
}

static inline void worker_requeue(struct hilo_loop *loop, struct hilo_task *task)
{
	if (HILO__UNLIKELY(task->flags & TASK_PINNED))
		hilo__task_ready(task);
	else
		loop_push_ring(loop, task);
}

/* [the fiber switched to] Do with the fiber that was left what it asked for. */
static inline void finish_leave(struct thread *self)
{
	struct hilo_task *task = self->left_task;
	struct hilo_loop *loop = self->loop;

	switch (self->leave) {
	case LEAVE_NOTHING:
		break;
	case LEAVE_PARK:
		if (!task_state_commit(&task->state)) {
			TRACE_EVENT(loop->trace, TRACE_WAKE, task->id, 0);
			worker_requeue(loop, task);
		}
		break;
	case LEAVE_YIELD:
		worker_requeue(loop, task);
		break;
	case LEAVE_FREE:
		/* Release: who sees this put sees its taking. relaxed: own value */
		store_release(&loop->stats.fibers_put,
			      load_relaxed(&loop->stats.fibers_put) + 1); /* P2 of scheduler.c */
		hilo__fiber_put(&loop->stacks, self->left);
		break;
	}
	self->leave = LEAVE_NOTHING;
}

static void fiber_main(struct fiber *fiber);

/* [owner] The fiber that runs @task; attaches one to a fresh task. NULL: no memory for a stack. */
static inline struct fiber *task_fiber(struct hilo_loop *loop, struct hilo_task *task)
{
	struct fiber *fiber = load_relaxed(&task->fiber); /* relaxed: ours, since we run it */

	if (fiber)
		return fiber;
	fiber = hilo__fiber_get(&loop->stacks, task->stack_class);
	if (HILO__UNLIKELY(!fiber))
		return NULL;
	hilo__fiber_restart(fiber, fiber_main);
	stat_add(&loop->stats.fibers_taken, 1);
	fiber->task = task;
	store_relaxed(&task->fiber, fiber); /* relaxed: others only ask whether there is one */
	return fiber;
}

/*
 * No stack is to be had. If some other task holds one, @task waits for it: it goes to the starved
 * ones, looked at now and then. Else nothing would ever free one: it ends with -ENOMEM.
 */
static HILO__COLD void task_starved(struct hilo_loop *loop, struct hilo_task *task)
{
	(void)hilo__inbox_push(&loop->starved, &task->link);
	loop->countdown = 0;
}

/* [owner] The fiber to switch to for @task, or the root for NULL; makes it the thread's. */
static inline struct fiber *thread_enter(struct thread *self, struct hilo_task *task)
{
	struct hilo_loop *loop = self->loop;
	struct fiber *to = &self->root;

	if (task) {
		to = task_fiber(loop, task);
		if (HILO__UNLIKELY(!to)) {
			task_starved(loop, task);
			task = NULL;
			to = &self->root;
		} else if (task->loop != loop && !(task->flags & TASK_PINNED)) {
			task->loop = loop; /* a pinned one is a guest: its own loop's thread is held */
		}
	}
	if (task)
		TRACE_EVENT(loop->trace, TRACE_RUN, task->id, 0);
	self->task = task;
	self->fiber = to;
	loop->current = task;
	return to;
}

/* [owner] From @from to @task, or to the root if NULL; returns when @from is switched to again. */
static inline void thread_switch(struct thread *self, struct fiber *from, struct hilo_task *task)
{
	struct fiber *to = thread_enter(self, task);

	if (HILO__UNLIKELY(to == from))
		return; /* the root stays: there was no stack for the task */
	fiber_tsan_release(self);
	fiber_switch(from, to);
	self = thread_self();
	fiber_tsan_acquire(self);
	finish_leave(self);
}

/*
 * [task, about to park] The turn is over, or there is nothing else to run: a moment when the clock may be
 * read. The wait, if it began in this turn, began now. Where runs are long a turn is one task, so that
 * what such a task has computed does not count as waiting.
 */
static inline void wait_is_last(struct hilo_loop *loop, struct fiber *fiber)
{
	/* relaxed: own value, which reports read */
	if (load_relaxed(&fiber->wait.since) == loop->turn_cycles)
		store_relaxed(&fiber->wait.since, cycles_now()); /* relaxed: as above */
}

void hilo__leave(struct thread *self, enum leave leave)
{
	struct hilo_task *task = self->task;
	struct fiber *fiber = self->fiber;
	struct hilo_task *next = loop_pick(self->loop);

	if (leave == LEAVE_PARK) {
		if (!next)
			wait_is_last(self->loop, fiber);
		/* Before the commit, after which others may wake it. relaxed: own value */
		TRACE_EVENT(self->loop->trace, TRACE_PARK, task->id, load_relaxed(&fiber->wait.kind));
	}
	self->leave = leave;
	self->left = fiber;
	self->left_task = task;
	thread_switch(self, fiber, next);
}

void hilo__leave_late(struct thread *self)
{
	struct hilo_loop *loop = self->loop;

	if (cycles_now() - loop->turn_cycles < TURN_US * hilo__cycles_per_us())
		return;
	loop->countdown = 0;
	hilo__leave(self, LEAVE_YIELD);
}

/* [owner] The task has run, or was cancelled before it could: everything that waits for it goes on. */
static void task_finish(struct hilo_task *task, int result)
{
	struct thread *self;
	struct hilo_loop *loop;

	if (task->destroy) {
		task->shield++; /* it cleans up after a task that was cancelled, and may have to wait for that */
		task->destroy(task->arg);
		task->shield--;
	}
	self = thread_self(); /* only here: destroy is the user's, and may have suspended */
	loop = self->loop;
	TRACE_EVENT(loop->trace, TRACE_COMPLETE, task->id, result);
	task->done.result = result;
	store_relaxed(&task->fiber, NULL); /* relaxed: as above */
	if (completion_set(&task->done)) {
		self->task = NULL; /* the log may be called with its failure: by nobody who could suspend */
		hilo__task_free(task);
	}
	/* Release: who sees this end counted sees its start counted, which was another's. relaxed: own value */
	store_release(&loop->stats.completed,
		      load_relaxed(&loop->stats.completed) + 1); /* P2 of scheduler.c */
	if (HILO__UNLIKELY(load_relaxed(&loop->runtime->phase) !=
			   PHASE_OPEN)) /* relaxed: closing looks again by itself */
		hilo__scheduler_quiet(loop->runtime);
}

static inline void task_execute(struct hilo_task *task)
{
	int result = -ECANCELED;

	if (!task_is_cancelled(task))
		result = task->entry(task->arg);
	task_finish(task, result);
}

/* A fiber: runs its task, then fresh ones that need the same stack, then gives itself back. */
static void fiber_main(struct fiber *fiber)
{
	struct hilo_task *next;
	struct thread *self;
	struct fiber *to;

	fiber_enter_finish(fiber);
	fiber_tsan_acquire(thread_self());
	finish_leave(thread_self());
	for (;;) {
		task_execute(fiber->task);
		self = thread_self();
		next = loop_pick(self->loop);
		/* relaxed: ours, since we run it */
		if (!next || load_relaxed(&next->fiber) || next->stack_class != fiber->class ||
		    HILO__UNLIKELY(next->flags & TASK_PINNED))
			break;
		store_relaxed(&next->fiber, fiber); /* relaxed: as above */
		next->loop = self->loop;
		fiber->task = next;
		self->task = next;
		self->loop->current = next;
		TRACE_EVENT(self->loop->trace, TRACE_RUN, next->id, 0);
	}
	fiber->task = NULL;
	self->leave = LEAVE_FREE;
	self->left = fiber;
	self->left_task = NULL;
	to = thread_enter(self, next);
	fiber_tsan_release(self);
	fiber_switch_last(fiber, to);
}

/* [owner] Run @task from the root, and whatever it leads to, until the root is switched to. */
static void worker_run(struct thread *self, struct hilo_task *task)
{
	if (HILO__UNLIKELY(self->loop->slept))
		hilo__worker_awake(self->loop);
	self->leave = LEAVE_NOTHING;
	thread_switch(self, &self->root, task);
}

static void loop_measure(struct hilo_loop *loop)
{
	uint64_t now = cycles_now();
	unsigned ran = loop->budget - loop->countdown;
	uint64_t turn = TURN_US * hilo__cycles_per_us();

	if (ran) {
		uint64_t run = (now - loop->turn_cycles) / ran;

		loop->run_least = run < loop->run_last ? run : loop->run_last;
		loop->run_last = run;
		loop->run_cycles = (loop->run_cycles + run) / 2;
	}
	loop->turn_cycles = now;
	store_relaxed(&loop->turns, load_relaxed(&loop->turns) + 1); /* relaxed: a hint for those who look */
	loop->budget = TURN_TASKS;
	if (loop->run_cycles * TURN_TASKS > turn)
		loop->budget = (unsigned)(turn / (loop->run_cycles + 1)) + 1;
	loop->countdown = loop->budget;
}

/* [owner] Whether it is worth trying. */
static bool starved_may_retry(struct hilo_loop *loop)
{
	uint64_t put = load_relaxed(&loop->stats.fibers_put); /* relaxed: own value */

	if (put == loop->starved_put &&
	    loop->turn_cycles - loop->starved_cycles < STARVED_US * hilo__cycles_per_us())
		return false;
	loop->starved_put = put;
	loop->starved_cycles = loop->turn_cycles;
	return true;
}

/* [owner] Tasks that found no stack: again, or, when nobody holds one that could come free, the end. */
static HILO__COLD void loop_retry_starved(struct hilo_loop *loop)
{
	struct link *link = starved_may_retry(loop) ? hilo__inbox_take_fifo(&loop->starved) : NULL;

	while (link) {
		struct hilo_task *task = hilo__link_task(link);

		link = link->next;
		if (hilo__scheduler_fibers(loop->runtime) == 0)
			task_finish(task, -ENOMEM);
		else
			worker_requeue(loop, task);
	}
}

/* [owner] From a list, oldest first, into the ring, half of it at most; the rest is the backlog. */
void hilo__worker_take_list(struct hilo_loop *loop, struct link *first)
{
	for (unsigned n = 0; first && n < RING_CAP / 2; n++) {
		struct link *next = first->next;

		loop_push_ring(loop, hilo__link_task(first));
		first = next;
	}
	/* Nobody but the owner fills the backlog, and it is empty now. */
	if (first)
		hilo__inbox_fill(&loop->backlog, first);
}

/* [owner] Fresh tasks that had no room, newest first, back into the deque: a quarter of it. */
void hilo__worker_take_fresh(struct hilo_loop *loop)
{
	struct link *first = hilo__inbox_take_all(&loop->fresh);
	struct link *some[DEQUE_CAP / 4];
	unsigned n = 0;

	for (; first && n < array_size(some); first = first->next)
		some[n++] = first;
	if (first)
		hilo__inbox_fill(&loop->fresh, first);
	while (n > 0)
		(void)hilo__deque_push(&loop->deque, hilo__link_task(some[--n]));
}

void hilo__worker_drain(struct hilo_loop *loop)
{
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->pinned.inbox)))
		(void)hilo__queue_gather(&loop->pinned);
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->fresh)) &&
	    hilo__deque_size(&loop->deque) <= DEQUE_CAP / 4)
		hilo__worker_take_fresh(loop);
	/*
	 * So much is queued already that moving more would only be moved back. Now and then it is moved
	 * all the same: tasks that are always ready would keep the others out for ever.
	 */
	if (hilo__ring_size(&loop->ring) > RING_CAP / 4 &&
	    loop->turn_cycles - loop->drain_cycles < DRAIN_US * hilo__cycles_per_us())
		return;
	loop->drain_cycles = loop->turn_cycles;
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->backlog)))
		hilo__worker_take_list(loop, hilo__inbox_take_all(&loop->backlog));
	else if (!hilo__inbox_is_empty(&loop->inbox))
		hilo__worker_take_list(loop, hilo__inbox_take_fifo(&loop->inbox));
}

/*
 * [owner] Newest first is the order of the deque: it keeps trees of tasks small and caches warm. So
 * that a steady stream of new tasks starves none, the oldest go to the ring, half of them but a dozen
 * at most, when the deque was not found empty for FAIR_US.
 */
static void loop_be_fair(struct hilo_loop *loop)
{
	int64_t queued = hilo__deque_size(&loop->deque);
	struct link *waiting;
	struct hilo_task *oldest;

	if (queued == 0) {
		loop->fair_cycles = loop->turn_cycles;
		return;
	}
	if (loop->turn_cycles - loop->fair_cycles < FAIR_US * hilo__cycles_per_us())
		return;
	loop->fair_cycles = loop->turn_cycles;
	/* Those that had no room in the deque have waited longest. */
	waiting = hilo__inbox_take_all(&loop->fresh);
	for (int n = 0; waiting && n < FAIR_TASKS; n++) {
		struct link *next = waiting->next;

		loop_push_ring(loop, hilo__link_task(waiting));
		waiting = next;
	}
	if (waiting)
		hilo__inbox_fill(&loop->fresh, waiting);
	for (int64_t n = 0; n < (queued + 1) / 2 && n < FAIR_TASKS; n++) {
		oldest = hilo__deque_pop_oldest(&loop->deque);
		if (!oldest)
			break;
		loop_push_ring(loop, oldest);
	}
}

/* [owner] Timers that are due wake their tasks into our ring, or queue their callbacks. */
static void loop_fire_timers(struct hilo_loop *loop)
{
	unsigned fired;

	if (hilo__timers_next(&loop->timers) == HILO_FOREVER)
		return;
	fired = hilo__timers_expire(&loop->timers, hilo__clock_now(), TIMERS_PER_TURN);
	stat_add(&loop->stats.timers, fired);
}

static void loop_poll(struct hilo_loop *loop)
{
	if (hilo__poller_armed(&loop->poller) == 0 ||
	    loop->turn_cycles - loop->poll_cycles < TURN_US * hilo__cycles_per_us())
		return;
	loop->poll_cycles = loop->turn_cycles;
	stat_add(&loop->stats.polls, 1);
	TRACE_EVENT(loop->trace, TRACE_POLL, 0, 0);
	(void)hilo__poller_reap(&loop->poller, POLLS_PER_TURN);
}

void hilo__worker_turn(struct thread *self, struct hilo_loop *loop)
{
	loop_measure(loop);
	hilo__loop_run_calls(self, loop);
	loop_fire_timers(loop);
	loop_poll(loop);
	if (HILO__UNLIKELY(!hilo__inbox_is_empty(&loop->starved)))
		loop_retry_starved(loop);
	hilo__worker_drain(loop);
	loop->ring_is_long = hilo__ring_size(&loop->ring) > RING_LONG;
	if (HILO__UNLIKELY(loop->standing))
		hilo__standin_serve(loop);
	if (HILO__UNLIKELY(loop->spare))
		hilo__spare_turn(loop);
	loop_be_fair(loop);
	hilo__worker_look(loop);
}

/*
 * [owner] Wake somebody if what is queued here is worth it: work for 40 us, in pieces longer than it
 * takes to move one to another core. Shorter work is found by the watcher. The average of a turn in
 * which a task has spawned all the others says little of those: hence the lesser of two.
 */
void hilo__worker_look(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;
	uint64_t queued, us = hilo__cycles_per_us();

	if (!idle_sleepers(idle) || load_relaxed(&idle->searching)) /* relaxed: hints */
		return;
	if (loop->run_least * 1000 < WAKE_RUN_NS * us)
		return;
	queued = (uint64_t)(hilo__ring_size(&loop->ring) + hilo__deque_size(&loop->deque));
	if (queued && queued * loop->run_least >= WAKE_WORK_US * us)
		(void)hilo__worker_wake_one(loop->runtime, loop);
}

static void worker_enter(struct thread *self, struct hilo_loop *loop)
{
	self->loop = loop;
	self->heap = loop->heap;
	self->task = NULL;
	TRACE_OPEN(loop->trace, loop->index);
	hilo__proc_thread_init(&loop->proc);
	hilo__fiber_init_root(&self->root);
	self->fiber = &self->root;
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	hilo__overflow_thread_init();
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

static void worker_leave(struct thread *self, struct hilo_loop *loop)
{
	if (self->error)
		hilo__on_error_free(self->error);
	self->error = NULL;
	hilo__heap_flush(loop->heap);
	hilo__overflow_thread_fini();
	hilo__fiber_fini_root(&self->root);
	TRACE_CLOSE(loop->trace);
	self->loop = NULL;
	self->heap = NULL;
}

void *hilo__worker_main(void *arg)
{
	struct hilo_loop *loop = arg;
	struct thread *self = thread_self();
	struct hilo_task *task;

	worker_enter(self, loop);
	while (load_acquire(&loop->runtime->phase) != PHASE_STOPPED) { /* pairs with scheduler_stop */
		hilo__worker_turn(self, loop);
		task = loop_pick(loop);
		if (!task && (task = hilo__worker_search(loop)))
			loop_count_run(loop);
		if (task)
			worker_run(self, task);
	}
	worker_leave(self, loop);
	return NULL;
}
