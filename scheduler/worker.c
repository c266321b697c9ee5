/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the thread that drives a loop, and the way from one task to the next; its turns are in turn.c.
 *
 * There is no scheduler stack between two tasks. A task that suspends picks the next one itself and
 * switches straight to it; what is to be done with the fiber that was left (park it, queue it, cache
 * it) is done by the next one as its first act, because only then nobody stands on that stack any
 * more. A fiber whose task has ended runs the next fresh task by a plain call, without any switch.
 * Only when there is nothing to pick, or the turn is over, the worker's own stack (the root) is
 * switched to: callbacks, timers, poller, inboxes, stealing and sleeping happen there.
 *
 * Order of picking: tasks of high priority (7 times in a row at most); the slot (3 times in a row at most);
 * then ring and deque in turn, so that neither fresh nor woken tasks starve. A long ring comes more often
 * while its tasks have begun: they have stacks, and somebody waits for them. Fresh ones come in through the
 * ring as well, from outside; to prefer those to their own children would run trees breadth first. Now and
 * then the oldest fresh tasks are moved to the ring, so that the newest-first order of the deque starves
 * nobody either. Tasks that are bound to the loop come in between, those of low priority when nothing else
 * is there.
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
#include "scheduler/fork.h"
#include "scheduler/forked.h"
#include "scheduler/locals.h"
#include "scheduler/share.h"

/* Of high priority, in a row, while there are others. */
#define HIGH_RUNS 7
/* Between two tasks of low priority while there are others: 3 ms at most if runs are short. */
#define LOW_TURNS 64

void (*hilo__on_suspend)(struct hilo_task *task);

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
 * of a switch. It goes back through the frames in which it has left: each is another miss. The slots may be stale;
 * records are never unmapped, so looking at one is harmless.
 */
static inline void ring_prefetch(struct ring *ring)
{
#if !defined(HILO__ASAN) && !defined(HILO__TSAN)
	int64_t head = ring->own.head;
	struct hilo_task *next = load_relaxed(&ring->slot[head & RING_MASK]);	     /* relaxed: a hint */
	struct hilo_task *later = load_relaxed(&ring->slot[(head + 1) & RING_MASK]); /* relaxed: a hint */

	__builtin_prefetch(later);
	__builtin_prefetch((const char *)later + 64);
	if (next)
		task_prefetch(next);
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

/* [owner] The oldest of those that are not ordinary. */
static struct hilo_task *loop_take_special(struct queue *queue)
{
	struct link *link = hilo__queue_take(queue);

	if (!link && !hilo__inbox_is_empty(&queue->inbox) && hilo__queue_gather(queue))
		link = hilo__queue_take(queue);
	return link ? hilo__link_task(link) : NULL;
}

/* [owner] One of low priority, which comes again when all others have had some turns. */
static struct hilo_task *loop_take_low(struct hilo_loop *loop)
{
	loop->low_turn = load_relaxed(&loop->turns); /* relaxed: own value */
	return loop_take_special(&loop->low);
}

/*
 * [owner] What to run next of those that are bound or have a priority; NULL: an ordinary one, or, if
 * yielder_first is set, the running one, which yields and has the higher priority, once it is queued. High
 * ones come first, but leave each eighth run to others. Low ones come last, but one each LOW_TURNS turns.
 * Those that are bound have each fourth choice that the others leave.
 */
static HILO__COLD struct hilo_task *loop_choose_special(struct hilo_loop *loop)
{
	const struct thread *self = thread_self();
	bool yields = self->leave == LEAVE_YIELD, high = yields && self->task->flags & TASK_HIGH;
	uint64_t turns = load_relaxed(&loop->turns); /* relaxed: own value */
	struct hilo_task *task = NULL;
	bool alone;

	if (loop->high_runs < HIGH_RUNS) {
		task = loop_take_special(&loop->high);
		loop->high_runs += task != NULL;
		loop->yielder_first = !task && high;
		if (task || loop->yielder_first)
			return task;
	}
	loop->high_runs = 0;
	if (queue_is_empty(&loop->low))
		loop->low_turn = turns;
	else if (turns - loop->low_turn >= LOW_TURNS && (task = loop_take_low(loop)))
		return task;
	alone = hilo__worker_is_empty(loop);
	if ((loop->bound_runs++ % 4 == 1 || alone) && (task = loop_take_special(&loop->pinned)))
		return task;
	if (alone && (task = loop_take_special(&loop->high)))
		return task;
	loop->yielder_first = alone && yields && !(self->task->flags & TASK_LOW);
	if (alone && !loop->yielder_first && (task = loop_take_low(loop)))
		return task;
	loop->special = hilo__loop_is_watched(loop) || !hilo__loop_is_ordinary(loop);
	return NULL;
}

/* [owner] A run begins. */
static inline void loop_count_run(struct hilo_loop *loop)
{
	/* relaxed: own value, a hint for thieves */
	store_relaxed(&loop->tick, load_relaxed(&loop->tick) + 1);
}

/*
 * [owner] What to run next of the ordinary ones, in the order that the top of this file gives. The queues
 * alternate by a count of their own: one that counted the slot as well would keep its parity while each task
 * from a queue wakes one into the slot, and always find the same queue.
 */
static inline struct hilo_task *loop_choose_ordinary(struct hilo_loop *loop)
{
	struct hilo_task *task;
	unsigned choice;

	task = LOT(loop, 8) ? NULL : loop_take_slot(loop);
	if (task)
		return task;
	choice = loop->choices++;
	if (LOT(loop, 4))
		choice++;
	if (LOT(loop, 8) && (task = hilo__deque_pop_oldest(&loop->deque)))
		return task;
	if (choice & 1 || (HILO__UNLIKELY(loop->ring_is_long) && choice & 7 && ring_has_begun(&loop->ring))) {
		task = loop_take_ring(loop);
		return task ? task : hilo__deque_pop(&loop->deque);
	}
	task = hilo__deque_pop(&loop->deque);
	return task ? task : loop_take_ring(loop);
}

/* [owner] What to run next. What has come from outside, and was not gathered yet, comes with the next turn. */
static inline struct hilo_task *loop_choose(struct hilo_loop *loop)
{
	struct hilo_task *task;

	if (HILO__UNLIKELY(loop->special) && ((task = loop_choose_special(loop)) || loop->yielder_first))
		return task;
	return loop_choose_ordinary(loop);
}

/* [owner] @task, or NULL, is what runs next. Returns it. */
static inline struct hilo_task *loop_picked(struct hilo_loop *loop, struct hilo_task *task)
{
	if (task) {
		loop->countdown--;
		loop_count_run(loop);
	}
	return task;
}

/* [owner] What to run next; NULL: nothing at hand, or the turn is over. */
static inline struct hilo_task *loop_pick(struct hilo_loop *loop)
{
	return HILO__UNLIKELY(loop->countdown == 0) ? NULL : loop_picked(loop, loop_choose(loop));
}

/* [owner, nothing special] The same. */
static inline struct hilo_task *loop_pick_ordinary(struct hilo_loop *loop)
{
	return HILO__UNLIKELY(loop->countdown == 0) ? NULL : loop_picked(loop, loop_choose_ordinary(loop));
}

/*
 * [owner] @task has started another one before it went on: it is next. While it waits for that in the slot
 * nobody else may jump the queue. Its own starter, if it was started so itself, comes after it: the newest
 * first, and thieves take the oldest.
 */
static HILO__COLD void worker_queue_next(struct hilo_loop *loop, struct hilo_task *task)
{
	if (task->flags & TASK_SPECIAL) {
		hilo__task_ready(task);
		return;
	}
	if (loop->slot_runs < SLOT_RUNS)
		loop->slot_runs = SLOT_RUNS;
	task = loop_fill_slot(loop, task);
	if (task)
		loop_push_deque(loop, task);
}

/* [the fiber switched to] Do with the fiber that was left what it asked for. */
static HILO__ALWAYS_INLINE void finish_leave(struct thread *self)
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
	case LEAVE_NEXT:
		worker_queue_next(loop, task);
		break;
	case LEAVE_FREE:
		/* Release: who sees this put sees its taking. relaxed: own value */
		store_release(&loop->stats.fibers_put,
			      load_relaxed(&loop->stats.fibers_put) + 1); /* P2 of closing.c */
		hilo__fiber_put(&loop->stacks, self->left);
		break;
	}
	self->leave = LEAVE_NOTHING;
}

/* [owner] The fiber that runs @task; attaches one to a fresh task. NULL: no memory for a stack. */
static HILO__ALWAYS_INLINE struct fiber *task_fiber(struct hilo_loop *loop, struct hilo_task *task)
{
	struct fiber *fiber = load_relaxed(&task->fiber); /* relaxed: ours, since we run it */

	if (fiber)
		return fiber;
	fiber = hilo__fiber_get(&loop->stacks, task->stack_class);
	if (HILO__UNLIKELY(!fiber))
		return NULL;
	hilo__fiber_restart(fiber, loop->fiber_main);
	stat_add(&loop->stats.fibers_taken, 1);
	fiber->task = task;
	store_release(&task->fiber, fiber); /* P5 of fork.h */
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
static HILO__ALWAYS_INLINE struct fiber *thread_enter(struct thread *self, struct hilo_task *task)
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
	store_release(&loop->current, task); /* P5 of fork.h; a hint for who looks in */
	return to;
}

/* [owner] From @from to @task, or to the root if NULL; returns when @from is switched to again. */
static HILO__ALWAYS_INLINE void thread_switch(struct thread *self, struct fiber *from, struct hilo_task *task)
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

/* [task, about to leave @fiber] So that its frames are found when it is about to go on: task_prefetch. */
static HILO__ALWAYS_INLINE void task_note_depth(struct hilo_task *task, const struct fiber *fiber)
{
	/* relaxed: a hint */
	store_relaxed(&task->depth,
		      (uint32_t)((const char *)fiber - (const char *)__builtin_frame_address(0)));
}

/* [task] Leave for @next, or for the root if NULL. */
static HILO__ALWAYS_INLINE void leave_to(struct thread *self, enum leave leave, struct hilo_task *next)
{
	struct hilo_task *task = self->task;
	struct fiber *fiber = self->fiber;

	if (leave == LEAVE_PARK) {
		if (!next)
			wait_is_last(self->loop, fiber);
		/* Before the commit, after which others may wake it. relaxed: own value */
		TRACE_EVENT(self->loop->trace, TRACE_PARK, task->id, load_relaxed(&fiber->wait.kind));
	}
	task_note_depth(task, fiber);
	self->left = fiber;
	self->left_task = task;
	thread_switch(self, fiber, next);
}

/* [task, about to leave its thread] Tell whoever wants to know. */
static HILO__COLD void task_tell_suspended(const struct thread *self)
{
	const struct task_hooks *hooks = &self->loop->runtime->hooks;

	if (hilo__on_suspend)
		hilo__on_suspend(self->task);
	if (hooks->suspended && !self->fiber->silent)
		hooks->suspended(self->task, hooks->arg);
}

/* [task, just switched to] The same. @self is of now: the task may have left another thread. */
static HILO__COLD void task_tell_resumed(const struct thread *self)
{
	const struct task_hooks *hooks = &self->loop->runtime->hooks;

	if (hooks->resumed && !self->fiber->silent)
		hooks->resumed(self->task, hooks->arg);
}

/*
 * [task] hilo__leave where there is something special. Both are told on the stack of the task, so between it and the
 * next one nobody has to know whether that is to be told.
 */
static HILO__COLD void leave_special(struct thread *self, enum leave leave)
{
	forked_check("a task that suspends");
	task_tell_suspended(self);
	self->leave = leave; /* before: it may make a difference */
	leave_to(self, leave, loop_pick(self->loop));
	task_tell_resumed(thread_self());
}

/*
 * [task, about to leave its fiber] What it has forked and not joined is to go on without it. True: tell its forks when
 * it is back.
 */
static inline bool leave_forks(struct thread *self)
{
	return HILO__UNLIKELY(load_relaxed(&self->fiber->forks) != NULL) && /* relaxed: our own */
	       hilo__fork_suspend(self);
}

/* Inline, twice, so that who is not measured pays nothing for those who are. */
static HILO__ALWAYS_INLINE void leave_now(struct thread *self, enum leave leave)
{
	if (HILO__UNLIKELY(self->loop->special)) {
		leave_special(self, leave);
		return;
	}
	self->leave = leave;
	leave_to(self, leave, loop_pick_ordinary(self->loop));
}

static HILO__COLD HILO__NOINLINE void leave_measured(struct thread *self, enum leave leave)
{
	leave_now(self, leave);
	hilo__fork_resume(thread_self());
}

void hilo__leave(struct thread *self, enum leave leave)
{
	if (leave_forks(self))
		leave_measured(self, leave);
	else
		leave_now(self, leave);
}

HILO__COLD void hilo__leave_for(struct thread *self, struct hilo_task *task)
{
	struct hilo_loop *loop = self->loop;
	bool measured = leave_forks(self);

	task_tell_suspended(self);
	if (loop->countdown)
		loop->countdown--;
	loop_count_run(loop);
	self->leave = LEAVE_NEXT;
	task_note_depth(self->task, self->fiber);
	self->left = self->fiber;
	self->left_task = self->task;
	thread_switch(self, self->fiber, task);
	task_tell_resumed(thread_self());
	if (measured)
		hilo__fork_resume(thread_self());
}

/*
 * Two runs that fit in the turn, that of the task that is started and the one after it, come from the slot
 * as often as there are runs in a turn; longer ones no more often than anything else may.
 */
HILO__COLD void hilo__leave_late_for(struct thread *self)
{
	struct hilo_loop *loop = self->loop;

	if (loop->slot_runs >= (loop->countdown >= 2 ? TURN_TASKS : SLOT_RUNS))
		hilo__leave(self, LEAVE_YIELD);
}

/* [owner] End the turn if it has lasted long enough. */
static bool turn_ends(struct hilo_loop *loop)
{
	uint64_t now = cycles_now(), turn = TURN_US * hilo__cycles_per_us();

	if (now - loop->work_cycles < turn && now - loop->turn_cycles < 2 * turn) /* as loop_measure */
		return false;
	loop->countdown = 0;
	return true;
}

void hilo__leave_late(struct thread *self)
{
	if (turn_ends(self->loop))
		hilo__leave(self, LEAVE_YIELD);
}

HILO__COLD void hilo__leave_called(struct thread *self)
{
	if (!turn_ends(self->loop))
		return;
	/*
	 * Measured forks are given to nobody, and their clock has to stop; who is bound to this loop cannot be stolen
	 * with all that it has forked. relaxed: our own
	 */
	if (HILO__LIKELY(!load_relaxed(&self->fiber->forks)->measure &&
			 (!(self->task->flags & TASK_PINNED) || self->loop->runtime->workers == 1)))
		leave_now(self, LEAVE_YIELD);
	else
		hilo__leave(self, LEAVE_YIELD);
}

/* Its result is there, and whoever waits is told; it is counted. @ends: so is who ends its runtime. */
static HILO__ALWAYS_INLINE void task_complete(struct hilo_task *task, int result, bool ends)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = self->loop;

	TRACE_EVENT(loop->trace, TRACE_COMPLETE, task->id, result);
	task->done.result = result;
	store_relaxed(&task->fiber, NULL); /* relaxed: ours, since we run it */
	if (completion_set(&task->done)) {
		self->task = NULL; /* the log may be called with its failure: by nobody who could suspend */
		hilo__task_free(task);
	}
	loop_count_end(loop);
	if (ends)
		hilo__scheduler_main_ended(loop->runtime);
	loop_tell_end(loop);
}

/* What there is to do before, for the few that have something. What is the user's may suspend. */
static HILO__NOINLINE void task_finish_special(struct hilo_task *task, int result)
{
	const struct task_hooks *hooks;

	if (task->destroy) {
		task->shield++; /* it cleans up after a task that was cancelled, and may have to wait for that */
		task->destroy(task->arg);
		task->shield--;
	}
	hooks = &thread_self()->loop->runtime->hooks;
	if (hooks->ended)
		hooks->ended(task, result, hooks->arg);
	thread_self()->fiber->silent = true; /* what follows may suspend, and that was its end */
	if (task->locals)
		hilo__locals_drop(&task->locals);
	task_complete(task, result, task->flags & TASK_ENDS);
}

/* Inline where it is called for each task: a call takes 18 instructions more, of some 340 of a short one. */
static HILO__ALWAYS_INLINE void task_finish(struct hilo_task *task, int result)
{
	if (HILO__UNLIKELY(task->destroy || task->locals || task->flags & (TASK_ENDS | TASK_TOLD)))
		task_finish_special(task, result);
	else
		task_complete(task, result, false);
}

void hilo__task_finish(struct hilo_task *task, int result)
{
	task_finish(task, result);
}

static HILO__ALWAYS_INLINE void task_execute(const struct fiber *fiber)
{
	struct hilo_task *task = fiber->task;
	int result = -ECANCELED;

	if (!task_is_cancelled(task))
		result = task->entry(task->arg);
	if (HILO__UNLIKELY(fiber->scopes != NULL))
		HILO__PANIC("a task has ended inside of a scope that it has not left");
	task_finish(task, result);
}

/* [owner, on @fiber, whose task has ended] Give the fiber back, for @next, or for the root if NULL. */
static HILO__ALWAYS_INLINE HILO__NORETURN void fiber_leave_to(struct thread *self, struct fiber *fiber,
							      struct hilo_task *next)
{
	struct fiber *to;

	fiber->task = NULL;
	self->leave = LEAVE_FREE;
	self->left = fiber;
	self->left_task = NULL;
	to = thread_enter(self, next);
	fiber_tsan_release(self);
	fiber_switch_last(fiber, to);
}

/* A fiber whose task is told of. The next one has a fiber of its own, where it is told of first. */
HILO__COLD void hilo__fiber_main_told(struct fiber *fiber)
{
	fiber_enter_finish(fiber);
	fiber_tsan_acquire(thread_self());
	finish_leave(thread_self());
	fiber->silent = false;
	task_tell_resumed(thread_self());
	task_execute(fiber);
	fiber_leave_to(thread_self(), fiber, loop_pick(thread_self()->loop));
}

/* A fiber: runs its task, then fresh ones that need the same stack, then gives itself back. */
void hilo__fiber_main(struct fiber *fiber)
{
	struct hilo_task *next;
	struct thread *self;

	fiber_enter_finish(fiber);
	fiber_tsan_acquire(thread_self());
	finish_leave(thread_self());
	for (;;) {
		task_execute(fiber);
		self = thread_self();
		next = loop_pick(self->loop);
		/* relaxed: ours, since we run it */
		if (!next || load_relaxed(&next->fiber) || next->stack_class != fiber->class ||
		    HILO__UNLIKELY(next->flags & TASK_PINNED))
			break;
		store_release(&next->fiber, fiber); /* P5 of fork.h */
		next->loop = self->loop;
		fiber->task = next;
		self->task = next;
		store_release(&self->loop->current, next); /* P5 of fork.h */
		TRACE_EVENT(self->loop->trace, TRACE_RUN, next->id, 0);
	}
	fiber_leave_to(self, fiber, next);
}

/* [owner] Run @task from the root, and whatever it leads to, until the root is switched to. */
static void worker_run(struct thread *self, struct hilo_task *task)
{
	if (HILO__UNLIKELY(self->loop->slept))
		hilo__worker_awake(self->loop);
	self->leave = LEAVE_NOTHING;
	thread_switch(self, &self->root, task);
}

static void worker_enter(struct thread *self, struct hilo_loop *loop)
{
	self->loop = loop;
	self->heap = loop->heap;
	self->task = NULL;
	self->mutex_guess = loop->runtime->debug ? MUTEX_GUESS_NEVER : 0;
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
	hilo__locals_drop(&self->locals); /* of whoever was told of failures */
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
	struct share share = {loop->turn_cycles, SHARE_UNKNOWN};
	struct hilo_task *task;

	worker_enter(self, loop);
	while (load_acquire(&loop->runtime->phase) != PHASE_STOPPED) { /* pairs with scheduler_stop */
		hilo__worker_turn(self, loop); /* what was answered is on its way then */
		if (share_offers(&share, loop))
			hilo__worker_turn(self, loop);
		task = loop_pick(loop);
		if (!task && (task = hilo__worker_search(loop)))
			loop_count_run(loop);
		if (task)
			worker_run(self, task);
	}
	worker_leave(self, loop);
	store_release(&loop->left, true); /* pairs with thread_join */
	return NULL;
}
