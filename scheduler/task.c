/* SPDX-License-Identifier: MIT */
/*
 * task.c - making, finding and freeing the records of tasks, and getting ready ones into a queue.
 *
 * Where a ready task goes: a pinned one to its loop; one with a priority to the queue for those; one that
 * a task of the same runtime has woken to the slot of that task's loop, which runs it next (what was there
 * before goes to the ring); of those that a turn has woken (timers, poller, callbacks) the first to the
 * slot and the others to the ring; one that another thread has woken to the inbox of the loop it ran on
 * last.
 *
 * P1  A record's fields are written before it is queued; each queue publishes them. A visitor, who has
 *     only found the record in its slab, reads `runtime` (acquire), then the word (acquire), and lets
 *     it alone if it is DONE: so nobody but the holders of references ever touches the word of a
 *     finished or a dead record. Making one stores DONE, then `runtime` (release), then the word of
 *     its new life (release); the first matters in a record that was never used.
 * P2  A visitor of a loop releases when it leaves; hilo__loop_fini acquires.
 */
#include "scheduler/scheduler.h"

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/panic.h"
#include "scheduler/fork.h"
#include "scheduler/task_new.h"

void (*hilo__on_lost_failure)(struct hilo_task *task);
void (*hilo__on_error_free)(struct error *error);

/* The numbers of tasks are handed out to threads in runs, so that a spawn touches nothing shared. */
#define ID_RUN 4096
static atomic(uint64_t) task_next_id = 1;

HILO__COLD uint64_t hilo__task_number(struct hilo_loop *loop)
{
	if (!loop)
		return add_relaxed(&task_next_id, 1);	    /* relaxed: a number, orders nothing */
	loop->next_id = add_relaxed(&task_next_id, ID_RUN); /* relaxed: as above */
	loop->last_id = loop->next_id + ID_RUN;
	return loop->next_id++;
}

struct hilo_task *hilo__task_new(struct heap *heap, struct hilo_runtime *runtime,
				 const struct task_spec *spec)
{
	return task_new(heap, thread_self()->loop, runtime, spec);
}

/* Whoever has asked for a name keeps its text as long as the task: so one that was replaced stays. */
struct name {
	struct name *older;
	char text[];
};

static struct name *name_of(const char *text)
{
	return (struct name *)(void *)((char *)(uintptr_t)text - offsetof(struct name, text));
}

const char *hilo__name_new(const char *text)
{
	size_t size = strlen(text) + 1;
	struct name *name = hilo__malloc(sizeof(*name) + size);

	if (!name)
		return NULL;
	name->older = NULL;
	return memcpy(name->text, text, size);
}

bool hilo__name_replace(struct hilo_task *task, const char **older, const char *name)
{
	name_of(name)->older = *older ? name_of(*older) : NULL;
	return cas_acq_rel(&task->name, older,
			   name); /* pairs with itself, and the load in hilo__task_label */
}

void hilo__names_free(const char *newest)
{
	struct name *name = newest ? name_of(newest) : NULL;

	while (name) {
		struct name *older = name->older;

		hilo__free(name);
		name = older;
	}
}

static HILO__COLD void task_free_rest(struct hilo_task *task)
{
	if (task->done.result < 0 && !load_relaxed(&task->looked) &&
	    hilo__on_lost_failure) /* relaxed: nobody else is left */
		hilo__on_lost_failure(task);
	if (task->error)
		hilo__on_error_free(task->error);
	hilo__names_free(load_relaxed(&task->name)); /* relaxed: nobody else is left */
}

void hilo__task_free(struct hilo_task *task)
{
	struct heap *heap = thread_self()->heap;

	/* relaxed: nobody else is left */
	if (HILO__UNLIKELY(task->error || load_relaxed(&task->name) || task->done.result < 0))
		task_free_rest(task);
	store_release(&task->done.word, COMPLETION_DONE); /* P1: dead, for task_try_ref */
	if (HILO__LIKELY(heap))
		pool_free(heap, POOL_TASK, task);
	else
		hilo__pool_free_any(POOL_TASK, task);
}

bool hilo__task_try_ref(struct hilo_task *task, struct hilo_runtime *runtime)
{
	uint32_t word;

	if (load_acquire(&task->runtime) != runtime) /* P1 */
		return false;
	word = load_acquire(&task->done.word); /* P1 */
	do {
		if (word & COMPLETION_DONE)
			return false;
	} while (!cas_acq_rel(&task->done.word, &word, word + COMPLETION_REF)); /* P1 */
	/* The record may have died and begun another life in between: then it is that one we hold. */
	if (load_relaxed(&task->runtime) == runtime) /* relaxed: the word published it */
		return true;
	if (completion_unref(&task->done))
		hilo__task_free(task);
	return false;
}

/* [owner] Make room in a full ring: the older half goes to the inbox. */
HILO__COLD void hilo__loop_spill_ring(struct hilo_loop *loop)
{
	struct link *first, *last;

	if (hilo__ring_spill(&loop->ring, &first, &last) > 0)
		(void)hilo__inbox_push_chain(&loop->inbox, first, last);
}

/* [owner] Make room in a full deque: the older half goes to `fresh`, newest on top. */
HILO__COLD void hilo__loop_spill_deque(struct hilo_loop *loop)
{
	struct link *first, *last;

	if (hilo__deque_spill(&loop->deque, &first, &last) > 0)
		(void)hilo__inbox_push_chain(&loop->fresh, first, last);
}

/*
 * [any] Put @link into @inbox of @loop and wake it. As soon as the link is in, the task may run, end,
 * and the whole runtime with it; so we register as a visitor first, and whoever frees the loop waits
 * for visitors (P2: our last release with its acquire).
 */
void hilo__loop_post(struct hilo_loop *loop, struct inbox *inbox, struct link *link)
{
	(void)add_relaxed(&loop->visitors, 1); /* relaxed: the push that follows releases it */
	(void)hilo__inbox_push(inbox, link);
	hilo__loop_notify(loop);
	(void)sub_release(&loop->visitors, 1); /* P2 */
}

static HILO__COLD void thread_wake(struct hilo_task *record)
{
	/* pairs with the acquire in wait.c */
	(void)MUTANT(73, add_release(&record->futex, 1), add_relaxed(&record->futex, 1));
	(void)hilo__futex_wake(&record->futex, 1);
}

/* [any] From a thread that is none of the runtime's workers. */
static void task_ready_remote(struct hilo_task *task)
{
	hilo__loop_post(task->loop, &task->loop->inbox, &task->link);
}

/* [any] One that is not ordinary: into a queue of its loop if it is bound, else of ours if we have one. */
static HILO__NOINLINE void task_ready_special(struct thread *self, struct hilo_task *task)
{
	struct hilo_loop *loop = task->loop, *ours = self->loop;
	unsigned flags = task->flags;
	struct queue *queue;

	if (flags & TASK_THREAD) {
		thread_wake(task);
		return;
	}
	/* relaxed: constant while it lives */
	if (!(flags & TASK_PINNED) && ours && ours->runtime == load_relaxed(&task->runtime))
		loop = ours;
	if (loop == ours)
		loop_expect_special(loop);
	queue = flags & TASK_HIGH ? &loop->high : flags & TASK_LOW ? &loop->low : &loop->pinned;
	hilo__loop_post(loop, &queue->inbox, &task->link);
}

void hilo__task_ready(struct hilo_task *task)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = self->loop;

	if (HILO__UNLIKELY(task->flags & TASK_SPECIAL)) {
		task_ready_special(self, task);
		return;
	}
	if (!loop || loop->runtime != load_relaxed(&task->runtime)) { /* relaxed: constant while it lives */
		task_ready_remote(task);
		return;
	}
	/* The last one that a task has woken, or the first one that the turn has. */
	if (loop->slot_runs < SLOT_RUNS &&
	    (self->task || !load_relaxed(&loop->slot))) { /* relaxed: only we fill it */
		task_prefetch(task);
		task = loop_fill_slot(loop, task);
		if (!task)
			return;
	}
	loop_push_ring(loop, task);
}

/* [who has cleared P] Before the task is queued: it may run, and more, as soon as it is. */
static inline void trace_wake(const struct hilo_task *task)
{
	if (!(task->flags & TASK_THREAD))
		TRACE_HERE(thread_self(), TRACE_WAKE, task->id, trace_id(thread_self()));
}

void hilo__task_wake(struct hilo_task *task, uint32_t episode)
{
	if (task_state_wake(&task->state, episode)) {
		trace_wake(task);
		hilo__task_ready(task);
	}
}

void hilo__task_woken(struct hilo_task *task)
{
	trace_wake(task);
	hilo__task_ready(task);
}

int hilo__task_cancel(struct hilo_task *task, uint8_t reason)
{
	bool parked;

	if (completion_is_done(&task->done))
		return -EALREADY;
	parked = task_state_cancel(&task->state, reason);
	hilo__fork_poke(task); /* P4, P7 of fork.h: after the request */
	if (parked) {
		trace_wake(task);
		hilo__task_ready(task);
	}
	return 0;
}

void hilo__task_nudge(struct hilo_task *task)
{
	if (task_state_nudge(&task->state)) {
		trace_wake(task);
		hilo__task_ready(task);
	}
}

/* [worker] It asks to be started eagerly, and can be: by a task, on the loop that it may run on. */
static bool task_is_eager(struct thread *self, const struct hilo_task *task)
{
	return task->flags & TASK_EAGER && self->task &&
	       (!(task->flags & TASK_PINNED) || task->loop == self->loop);
}

/* [worker] Start what is not simply queued here. False: @task is, after all. */
static HILO__COLD bool task_start_special(struct thread *self, struct hilo_task *task)
{
	task_tell_spawned(self->loop->runtime, task);
	if (task_is_eager(self, task)) {
		hilo__leave_late_for(self);
		self = thread_self();
		if (task_is_eager(self, task)) {
			task->loop = self->loop;
			hilo__leave_for(self, task);
			return true;
		}
	}
	if (!(task->flags & TASK_SPECIAL))
		return false;
	if (!(task->flags & TASK_PINNED))
		task->loop = self->loop;
	task_ready_special(self, task);
	return true;
}

void hilo__task_start(struct thread *self, struct hilo_task *task)
{
	struct hilo_loop *loop = self->loop;

	stat_add(&loop->stats.spawned, 1);
	TRACE_EVENT(loop->trace, TRACE_SPAWN, task->id, trace_id(self));
	if (HILO__UNLIKELY(task->flags & (TASK_SPECIAL | TASK_EAGER | TASK_TOLD)) &&
	    task_start_special(self, task))
		return;
	task->loop = loop;
	loop_push_deque(loop, task);
	if (HILO__UNLIKELY(hilo__deque_own_count(&loop->deque) % SPAWNS_PER_LOOK == 0))
		hilo__worker_look(loop);
	if (LOT(loop, 16))
		(void)hilo__worker_wake_one(loop->runtime, loop);
}

/*
 * [any] The loop that a fresh task from outside prefers: each thread has one, so that batches stay together. The
 * first task in hilo_run goes to the first loop, whose thread is the first to be there: for that of another
 * loop it would have to wait, perhaps behind the first one, which spins.
 */
static unsigned inject_index(const struct hilo_runtime *runtime, const struct hilo_task *task)
{
	if (task->flags & TASK_ENDS)
		return 0;
	return (unsigned)(random_mix((uintptr_t)thread_self()) % runtime->workers);
}

/* If the preferred loop is awake, a sleeping one is better, since that one may be stuck. */
void hilo__task_inject(struct hilo_runtime *runtime, struct hilo_task *task)
{
	unsigned index = inject_index(runtime, task);
	struct hilo_loop *loop = runtime->loops[index];

	TRACE_HERE(thread_self(), TRACE_SPAWN, task->id, trace_id(thread_self()));
	if (task->flags & TASK_PINNED) {
		task_ready_special(thread_self(), task);
		return;
	}
	if (load_relaxed(&loop->park) == PARK_RUNNING &&
	    idle_sleepers(&runtime->idle)) { /* relaxed: a preference */
		int sleeper = idle_pick(&runtime->idle, runtime->workers, index);

		if (sleeper >= 0)
			loop = runtime->loops[sleeper];
	}
	task->loop = loop;
	if (task->flags & TASK_SPECIAL)
		task_ready_special(thread_self(), task);
	else
		task_ready_remote(task);
}
