/* SPDX-License-Identifier: MIT */
/*
 * fork_steal.c - who runs what is stolen: idle workers, which take from the task that another one runs. (And tasks that
 * are queued when one suspends with forks not joined: fork_help.c.)
 *
 * Whoever takes a fork runs it as a task of its own, with a stack and a block for what it forks in turn; all three are
 * there before it takes, so that nothing taken is ever without. The owner, when it joins, waits for that task
 * as for any other. So the last one to end resumes the parent through the slot of its loop, which is a direct switch.
 *
 * An idle worker asks, and the owner answers with its next fork or join, by publishing. It looks for some microseconds
 * whether that comes. When what it took is over within a microsecond it asks less and less often, up to a
 * millisecond: moving so short a fork costs more than running it.
 *
 * Rejected: to have thieves take forks one by one as tasks that the owner queues. Each would cost the owner the
 * price of a spawn, most of them for nothing, as it joins them itself.
 */
#include "scheduler/fork_helper.h"

#include <errno.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/panic.h"
#include "scheduler/locals.h"
#include "scheduler/measure.h"
#include "scheduler/reason.h"
#include "scheduler/task_new.h"
#include "scheduler/worker.h"

/* The answer to a request takes a few cache misses if the owner forks or joins at all. */
#define ANSWER_US 2
/* What is stolen should last that long at least, or we come less often ... */
#define WORTH_US 1
/* ... but so often. */
#define PATIENCE_US 1000
/* Work for less than this is not worth a wake-up, as in turn.c. */
#define WAKE_US 40
/* Regions within each other that a thief looks at. */
#define OUTER_MAX 4
/*
 * What a function that forks, with all that it calls, may use of a stack: a quarter, between these. The library itself
 * takes some 2 KiB, and AddressSanitizer several times as much.
 */
#ifdef HILO__ASAN
#define STACK_RESERVE_LEAST ((size_t)10240)
#else
#define STACK_RESERVE_LEAST ((size_t)6144)
#endif
#define STACK_RESERVE_MOST ((size_t)32768)

#ifdef HILO_TESTING
enum forks_forced hilo__forks_forced;
#endif

/* [holder of @fiber] @forks has become its innermost region: a request from before was told to another one, or none. */
static void forks_look(struct forks *forks, struct fiber *fiber)
{
	if (!(forks->flags & HILO_REGION_CANCELLABLE))
		return;
	(void)or_acq_rel(&fiber->task->state, 0); /* P7 */
	forks_ask(forks);
}

void hilo__fork_attach(struct forks *forks, struct fiber *fiber, struct hilo_runtime *runtime, unsigned kind,
		       struct binding *locals)
{
	size_t reserve = fiber->stack_size / 4;
	struct forks *outer = load_relaxed(&fiber->forks); /* relaxed: our own */

	if (reserve < STACK_RESERVE_LEAST)
		reserve = STACK_RESERVE_LEAST;
	if (reserve > STACK_RESERVE_MOST)
		reserve = STACK_RESERVE_MOST;
	forks->stack_low = (char *)fiber->stack_low + reserve;
	forks->flags = KIND_FLAGS(kind);
	forks->locals = locals;
	forks->measured = false;
	forks->measure = NULL;
	forks->began = 0;
	forks->checked = runtime->debug != 0;
	forks->since = outer ? outer->since : 0;
	hilo__forks_open(forks, runtime, kind, outer);
	if (hilo__forks_forced)
		forks_ask(forks);
	else if (HILO__UNLIKELY(forks->checked))
		forks_ask_join(forks);
	store_release(&fiber->forks, forks); /* P1 */
	forks_look(forks, fiber);
}

static void forks_detach(struct forks *forks, struct fiber *fiber)
{
	struct forks *outer = load_relaxed(&forks->outer); /* relaxed: our own */

	store_relaxed(&fiber->forks, outer); /* relaxed: who still finds it takes nothing */
	if (outer)
		forks_look(outer, fiber);
}

struct forks *hilo__fork_region_of(const struct thread *self)
{
	return self->loop && self->task ? load_relaxed(&self->fiber->forks) : NULL; /* relaxed: our own */
}

/* [owner] The end of what is private, though the head is in a register: I2. */
static struct hilo_fork *forks_find_end(struct forks *forks)
{
	struct hilo_fork *end = forks->split, *last = forks_end(forks);

	while (end < last && fork_is_made(end))
		end++;
	return end;
}

void hilo__fork_publish_all(struct forks *forks)
{
	hilo__forks_publish(forks, forks_find_end(forks), true);
	forks_set_floor(forks);
}

struct forks *hilo__fork_enter(struct thread *self, unsigned flags)
{
	struct hilo_loop *loop = self->loop;
	struct hilo_task *task = self->task;
	struct forks *forks = hilo__forks_get(loop), *outer = hilo__fork_region_of(self);

	if (HILO__UNLIKELY(!forks))
		return NULL;
	if (outer && !outer->measured)
		hilo__fork_publish_all(outer); /* while we are in the inner one nobody answers for it */
	else if (!outer)
		hilo__fork_expect(loop, loop->forks_usual);
	hilo__fork_attach(forks, self->fiber, loop->runtime,
			  fork_kind(self->fiber->class, task->flags, flags), task->locals);
	forks->began = outer ? 0 : cycles_now();
	if (HILO__UNLIKELY(outer && outer->measured))
		hilo__fork_measure(forks, outer->measure);
	return forks;
}

/* [owner] A region that was in no other has taken so many cycles. The lesser of two says what the next one may take. */
static void region_measure(struct hilo_loop *loop, uint64_t took)
{
	loop->forks_usual = took < loop->forks_last ? took : loop->forks_last;
	loop->forks_last = took;
}

int hilo__fork_leave(struct forks *forks)
{
	struct thread *self = thread_self();
	int failed = forks->failed;

	if (HILO__UNLIKELY(forks->split != forks->record || fork_is_made(forks->record) || forks->late))
		HILO__PANIC("a function has returned without having joined what it has forked");
	if (HILO__UNLIKELY(forks != hilo__fork_region_of(self)))
		HILO__PANIC(
			"a region of forks is left by another task, or before one that was entered later");
	if (forks->began)
		region_measure(self->loop, cycles_now() - forks->began);
	forks_detach(forks, self->fiber);
	hilo__forks_put(self->loop, forks); /* it may be another's from here on */
	return failed;
}

bool hilo__fork_is_skipping(const struct forks *forks)
{
	return HILO__UNLIKELY(forks->flags & HILO_REGION_CANCELLABLE) &&
	       task_is_interrupted(thread_self()->task);
}

/* [owner, in tests] A task of this loop takes the oldest. */
static HILO__NOINLINE void forks_force(struct forks *forks, struct hilo_fork *end)
{
	struct thread *self = thread_self();
	struct hilo_task *task;
	struct hilo_fork *fork;

	if (forks->split < end && (hilo__forks_forced == FORKS_EACH || !LOT(self->loop, 4)) &&
	    (task = hilo__fork_task(self, forks))) {
		hilo__forks_publish(forks, end, true);
		/* relaxed: our own */
		fork = hilo__forks_take(forks, self->loop->runtime, load_relaxed(&forks->kind));
		if (fork) {
			fork_set_thief(fork, task);
			hilo__fork_start(self, task, fork, forks->locals);
		} else {
			hilo__fork_drop(self, task); /* another worker was faster */
		}
	}
	forks_ask(forks);
}

/* [worker] There is something for others: wake one if nobody is up to look. */
static void fork_wake(struct hilo_loop *loop)
{
	struct idle *idle = &loop->runtime->idle;

	if (idle_sleepers(idle) && !load_relaxed(&idle->searching)) /* relaxed: hints */
		(void)hilo__worker_wake_one(loop->runtime, loop);
}

/* [owner, who was asked] Whoever has asked may have gone to sleep since. */
static void forks_hand_out(struct forks *forks, struct hilo_fork *end)
{
	hilo__forks_give(forks, end);
	if (forks_have_public(forks))
		fork_wake(thread_self()->loop);
}

/* [owner] A request is set that a shield or a scope keeps off: it counts once that has ended, which nobody tells us. */
static bool forks_must_look(const struct forks *forks)
{
	return forks->flags & HILO_REGION_CANCELLABLE && task_is_cancelled(thread_self()->task);
}

bool hilo__fork_answer(struct forks *forks, struct hilo_fork *end)
{
	bool asked = hilo__forks_settle(forks), skips = hilo__fork_is_skipping(forks);

	if (HILO__UNLIKELY(skips || forks->late_forks))
		forks_ask(forks); /* so that we are here again with the next one */
	else if (HILO__UNLIKELY(hilo__forks_forced))
		forks_force(forks, end);
	else if (asked)
		forks_hand_out(forks, end);
	if (HILO__UNLIKELY(forks->checked || forks_must_look(forks)))
		forks_ask_join(forks);
	return skips;
}

/* [worker] What was stolen began at @began: come again at once, or later. */
static void loop_learn(struct hilo_loop *loop, uint64_t began)
{
	uint64_t us = hilo__cycles_per_us(), now = cycles_now();

	if (now - began >= WORTH_US * us)
		loop->forks_patience = 0;
	else if (loop->forks_patience < PATIENCE_US * us)
		loop->forks_patience = 2 * loop->forks_patience + us;
	loop->forks_after = now + loop->forks_patience;
}

void hilo__fork_execute(struct hilo_fork *fork)
{
	struct thread *self = thread_self();
	struct forks *forks = hilo__fork_region_of(self);
	struct fork_state *state = fork_state(fork);
	uint64_t began = cycles_now();

	if (HILO__UNLIKELY(fork_start(fork))) {
		(void)hilo__task_cancel(self->task, REASON_WAITER);
		if (forks->flags & HILO_REGION_CANCELLABLE)
			(void)or_relaxed(&state->flags, FORK_LEFT_OUT); /* relaxed: seen with the end */
	}
	if (HILO__UNLIKELY(forks->measure != NULL)) {
		hilo__measure_arrive(forks->measure);
		measure_go(forks->measure);
	}
	if (HILO__LIKELY(!(load_relaxed(&state->flags) & FORK_LEFT_OUT))) /* relaxed: our own */
		(void)fork->run(forks_face(forks), forks->record, fork);
	if (HILO__UNLIKELY(forks->measure != NULL))
		measure_stop(forks->measure);
	if (HILO__UNLIKELY(forks->checked))
		hilo__fork_check_locks(forks, (const void *)(uintptr_t)fork->run);
	state->code = forks->failed;
	self = thread_self();
	loop_learn(self->loop, began);
	forks_detach(forks, self->fiber);
	hilo__forks_put(self->loop, forks);
}

void hilo__fork_not_begun(struct hilo_task *task, void (*run)(void *arg), void *arg)
{
	task->shield--; /* the fork is to see that it was cancelled; a destructor is shielded */
	run(arg);
	task->shield++;
}

static void helper_run(void *arg)
{
	hilo__fork_execute(arg);
}

static int helper_entry(void *arg)
{
	thread_self()->task->destroy = NULL; /* it has begun */
	helper_run(arg);
	return 0;
}

/* It was cancelled before it could begin. The fork has to run nevertheless: others may wait for what it does. */
static void helper_not_begun(void *arg)
{
	hilo__fork_not_begun(thread_self()->task, helper_run, arg);
}

/* [worker] A stack for @task. False: no memory. */
static bool helper_get_fiber(struct hilo_loop *loop, struct hilo_task *task)
{
	struct fiber *fiber = hilo__fiber_get(&loop->stacks, task->stack_class);

	if (HILO__UNLIKELY(!fiber))
		return false;
	hilo__fiber_restart(fiber, loop->fiber_main);
	stat_add(&loop->stats.fibers_taken, 1);
	fiber->task = task;
	store_release(&task->fiber, fiber); /* P5 */
	return true;
}

struct hilo_task *hilo__fork_new_task(struct hilo_loop *loop, hilo_task_fn entry, unsigned kind,
				      unsigned references)
{
	struct task_spec spec = {.entry = entry,
				 .loop = loop,
				 .references = references,
				 .stack_class = KIND_CLASS(kind),
				 .flags = KIND_TASK_FLAGS(kind) | loop->runtime->task_flags};
	struct hilo_task *task;

	task = task_new(loop->heap, loop, loop->runtime, &spec);
	if (task)
		store_relaxed(&task->looked,
			      1); /* relaxed: published as the rest; its failure is the fork's */
	return task;
}

/* [worker] End @task, which was made and never queued, and is known to who walks through all records at most. */
static void helper_free(struct hilo_task *task)
{
	task->done.result = 0;
	if (!completion_set(&task->done) && !completion_unref(&task->done))
		return;
	hilo__task_free(task);
}

/* [worker] A task for a fork that is yet to be taken, of @kind. NULL: no memory. */
static struct hilo_task *helper_new(struct hilo_loop *loop, unsigned kind)
{
	struct forks *forks = hilo__forks_get(loop);
	struct hilo_task *task = forks ? hilo__fork_new_task(loop, helper_entry, kind, 1) : NULL;
	struct fiber *fiber;

	if (task && helper_get_fiber(loop, task)) {
		task->destroy = helper_not_begun;
		fiber = load_relaxed(&task->fiber); /* relaxed: our own */
		hilo__fork_attach(forks, fiber, loop->runtime, kind, NULL);
		return task;
	}
	if (task)
		helper_free(task);
	if (forks)
		hilo__forks_put(loop, forks);
	return NULL;
}

void hilo__fork_drop(struct thread *self, struct hilo_task *task)
{
	struct hilo_loop *loop = self->loop;
	struct fiber *fiber = load_relaxed(&task->fiber);  /* relaxed: our own */
	struct forks *forks = load_relaxed(&fiber->forks); /* relaxed: as above */

	forks_detach(forks, fiber);
	hilo__forks_put(loop, forks);
	store_relaxed(&task->fiber, NULL); /* relaxed: as in helper_get_fiber */
	fiber->task = NULL;
	/* Release: who sees this put sees its taking. relaxed: own value */
	store_release(&loop->stats.fibers_put,
		      load_relaxed(&loop->stats.fibers_put) + 1); /* P2 of closing.c */
	hilo__fiber_put(&loop->stacks, fiber);
	helper_free(task);
}

/* [worker] @task, which has a stack, runs @fork of the region @from with its values. It is counted. */
static void helper_give(struct hilo_loop *loop, struct hilo_task *task, struct hilo_fork *fork,
			struct binding *locals)
{
	struct fiber *fiber = load_relaxed(&task->fiber); /* relaxed: our own */

	task->arg = fork;
	task->locals = locals_ref(locals);
	if (fiber)
		load_relaxed(&fiber->forks)->locals = locals; /* relaxed: our own */
	/* relaxed: for reports */
	store_relaxed(&task->spawn_site, (const void *)(uintptr_t)fork->run);
	stat_add(&loop->stats.spawned, 1);
	task_tell_spawned(loop->runtime, task);
}

struct hilo_task *hilo__fork_task(struct thread *self, struct forks *forks)
{
	return helper_new(self->loop, load_relaxed(&forks->kind)); /* relaxed: our own */
}

void hilo__fork_start(struct thread *self, struct hilo_task *task, struct hilo_fork *fork,
		      struct binding *locals)
{
	struct hilo_loop *loop = self->loop;

	helper_give(loop, task, fork, locals);
	TRACE_EVENT(loop->trace, TRACE_SPAWN, task->id, trace_id(self));
	if (task->flags & TASK_SPECIAL)
		hilo__task_ready(task);
	else
		loop_push_deque(loop, task);
}

struct forks *hilo__fork_region_in(struct hilo_loop *loop)
{
	/* Hints; neither records of tasks nor the tops of stacks nor blocks go away. */
	struct hilo_task *task = load_acquire(&loop->current);		/* P5 */
	struct fiber *fiber = task ? load_acquire(&task->fiber) : NULL; /* P5 */

	return fiber ? load_acquire(&fiber->forks) : NULL; /* P1 */
}

/* [searcher] Of @forks and those around it the outermost that has something; NULL: none has. */
static struct forks *forks_pick(struct forks *forks)
{
	struct forks *pick = NULL;

	for (unsigned n = 0; forks && n < OUTER_MAX; n++) {
		if (forks_have_public(forks))
			pick = forks;
		forks = load_relaxed(&forks->outer); /* relaxed: a hint */
	}
	return pick;
}

/* [searcher] Ask @forks for something, and wait whether it comes. NULL: it does not. */
static struct forks *forks_beg(struct forks *forks)
{
	uint64_t until = cycles_now() + ANSWER_US * hilo__cycles_per_us();
	struct forks *pick;

	forks_ask(forks);
	do {
		for (int i = 0; i < 4; i++)
			cpu_relax();
		pick = forks_pick(forks);
	} while (!pick && cycles_now() < until);
	return pick;
}

struct hilo_task *hilo__fork_steal(struct hilo_loop *loop, struct hilo_loop *victim)
{
	struct forks *forks = hilo__fork_region_in(victim), *pick;
	struct hilo_fork *fork;
	struct hilo_task *task;
	unsigned kind;

	/* relaxed: compared when something is taken */
	if (!forks || load_relaxed(&forks->runtime) != loop->runtime || cycles_now() < loop->forks_after)
		return NULL;
	pick = forks_pick(forks);
	if (!pick && !(pick = forks_beg(forks)))
		return NULL;
	kind = load_relaxed(&pick->kind); /* relaxed: as above */
	if (!KIND_CLASS(kind))
		return NULL; /* of a block that is so new that we do not see its kind yet */
	task = helper_new(loop, kind);
	if (!task)
		return NULL;
	fork = hilo__forks_take(pick, loop->runtime, kind);
	if (!fork) {
		hilo__fork_drop(thread_self(), task);
		return NULL;
	}
	helper_give(loop, task, fork, pick->locals);
	fork_set_thief(fork, task);
	stat_add(&loop->stats.steals, 1);
	stat_add(&loop->stats.stolen, 1);
	TRACE_EVENT(loop->trace, TRACE_STEAL, victim->index, 1);
	/* The next one comes by itself while we run this: one searcher at a time. */
	if (idle_sleepers(&loop->runtime->idle) && forks_have_public(pick))
		(void)hilo__worker_wake_one(loop->runtime, loop);
	return task;
}

void hilo__fork_expect(struct hilo_loop *loop, uint64_t cycles)
{
	if (cycles >= WAKE_US * hilo__cycles_per_us())
		fork_wake(loop);
}

void hilo__fork_poke(struct hilo_task *task)
{
	struct fiber *fiber = load_acquire(&task->fiber); /* P5; a stack's top does not go away */
	struct forks *forks = fiber ? load_acquire(&fiber->forks) : NULL; /* P1 */

	if (forks)
		forks_ask(forks);
}
