/* SPDX-License-Identifier: MIT */
/* task.c - tasks as users see them: making, awaiting, cancelling, asking. */
#include <hilo/runtime/error.h>
#include <hilo/runtime/runtime.h>
#include <hilo/runtime/task.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error_impl.h"
#include "runtime/runtime_impl.h"
#include "runtime/sized_impl.h"
#include "scheduler/base/clock.h"
#include "scheduler/base/mem.h"
#include "scheduler/locals.h"
#include "scheduler/reason.h"
#include "scheduler/scheduler.h"
#include "scheduler/task_new.h"
#include "scheduler/wait.h"

static int opts_check(const hilo_task_opts *opts, const struct hilo_runtime *runtime)
{
	if ((unsigned)opts->stack > HILO_STACK_8M)
		return hilo_fail(-EINVAL, "hilo_task_opts.stack is %d: no such class", (int)opts->stack);
	if (opts->flags & ~(HILO_TASK_PINNED | HILO_TASK_EAGER | HILO_TASK_HIGH | HILO_TASK_LOW))
		return hilo_fail(-EINVAL, "hilo_task_opts.flags is %#x: unknown flag", opts->flags);
	if (opts->flags & HILO_TASK_HIGH && opts->flags & HILO_TASK_LOW)
		return hilo_fail(-EINVAL, "hilo_task_opts.flags is %#x: both high and low", opts->flags);
	if (opts->loop && opts->loop->runtime != runtime)
		return hilo_fail(-EINVAL, "hilo_task_opts.loop belongs to another runtime");
	return 0;
}

static int spec_add_opts(struct task_spec *spec, struct hilo_runtime *runtime, const hilo_task_opts *given)
{
	struct hilo_loop *here = thread_home(thread_self());
	hilo_task_opts opts;
	int rc = SIZED_IN(hilo_task_opts, &opts, given, destroy);

	if (rc == 0)
		rc = opts_check(&opts, runtime);
	if (rc < 0)
		return rc;
	if (opts.stack)
		spec->stack_class = opts.stack;
	if (opts.flags & HILO_TASK_EAGER)
		spec->flags |= TASK_EAGER;
	if (opts.flags & HILO_TASK_HIGH)
		spec->flags |= TASK_HIGH;
	if (opts.flags & HILO_TASK_LOW)
		spec->flags |= TASK_LOW;
	if (opts.flags & HILO_TASK_PINNED) {
		spec->flags |= TASK_PINNED;
		spec->loop = opts.loop				? opts.loop
			     : here && here->runtime == runtime ? here
								: runtime->loops[0];
	}
	spec->destroy = opts.destroy;
	if (opts.name && *opts.name) {
		spec->name = hilo__name_new(opts.name);
		if (!spec->name)
			return -ENOMEM;
	}
	return 0;
}

static inline int spec_from_opts(struct task_spec *spec, struct hilo_runtime *runtime,
				 const hilo_task_opts *opts)
{
	spec->stack_class = runtime->stack_class;
	spec->flags |= runtime->task_flags;
	return HILO__UNLIKELY(opts != NULL) ? spec_add_opts(spec, runtime, opts) : 0;
}

/* [worker, its runtime not closing] Make and queue a task, with the values of @locals. NULL: no memory. */
static inline struct hilo_task *spec_spawn(struct thread *self, const struct task_spec *spec,
					   struct binding *locals)
{
	struct hilo_loop *loop = self->loop;
	struct hilo_task *task = task_new(loop->heap, loop, loop->runtime, spec);

	if (HILO__UNLIKELY(!task))
		return NULL;
	if (HILO__UNLIKELY(locals != NULL))
		task->locals = locals_ref(locals);
	hilo__task_start(self, task);
	return task;
}

static inline bool loop_is_closing(const struct hilo_loop *loop)
{
	/* relaxed: closing looks again for late ones */
	return HILO__UNLIKELY(load_relaxed(&loop->runtime->phase) != PHASE_OPEN);
}

/* [worker] The same with options. */
static int task_spawn(struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = self->loop;
	struct hilo_task *task;
	int rc;

	if (loop_is_closing(loop))
		return HILO_ECLOSED;
	rc = spec_from_opts(spec, loop->runtime, opts);
	if (rc < 0)
		return rc;
	spec->references = ret ? 1 : 0;
	task = hilo__task_new(loop->heap, loop->runtime, spec);
	if (!task) {
		hilo__names_free(spec->name);
		return -ENOMEM;
	}
	/* Before: an eager one is run by the start, and may have ended after it. */
	if (ret)
		*ret = task;
	task->locals = locals_inherit(self);
	hilo__task_start(self, task);
	return 0;
}

/*
 * [callback] No task lives on while a callback spawns one, so closing must be told of it: as P1 of
 * closing.c, but for the time of the spawn only, which then counts itself.
 */
static HILO__COLD int callback_spawn(struct hilo_runtime *runtime, struct task_spec *spec,
				     const hilo_task_opts *opts, hilo_task **ret)
{
	int rc;

	if (!runtime_hold(runtime))
		return HILO_ECLOSED;
	rc = task_spawn(spec, opts, ret);
	hilo__runtime_release(runtime);
	return rc;
}

int hilo__spawn(struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret)
{
	struct thread *self = thread_self();

	if (!self->loop)
		return -EDEADLK;
	if (!self->task)
		return callback_spawn(self->loop->runtime, spec, opts, ret);
	return task_spawn(spec, opts, ret);
}

/* Not from a task. */
static HILO__COLD hilo_task *spawn_elsewhere(hilo_task_fn entry, void *arg, const void *site)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = site};
	hilo_task *task;

	return entry && hilo__spawn(&spec, NULL, &task) == 0 ? task : NULL;
}

hilo_task *hilo_spawn(hilo_task_fn entry, void *arg)
{
	struct thread *self = thread_self();
	struct task_spec spec = {
		.entry = entry, .arg = arg, .site = __builtin_return_address(0), .references = 1};

	if (HILO__UNLIKELY(!self->loop || !self->task || !entry))
		return spawn_elsewhere(entry, arg, spec.site);
	if (loop_is_closing(self->loop))
		return NULL;
	spec.stack_class = self->loop->runtime->stack_class;
	spec.flags = self->loop->runtime->task_flags;
	return spec_spawn(self, &spec, self->task->locals);
}

int hilo_spawn_with(hilo_task_fn entry, void *arg, const hilo_task_opts *opts, hilo_task **ret)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = __builtin_return_address(0)};

	if (!entry)
		return hilo_fail(-EINVAL, "hilo_spawn_with: entry is NULL");
	return hilo__spawn(&spec, opts, ret);
}

int hilo__submit(hilo_runtime *runtime, struct task_spec *spec, const hilo_task_opts *opts, hilo_task **ret)
{
	struct heap *heap = hilo__thread_heap(thread_self());
	struct hilo_task *task;
	int rc = spec_from_opts(spec, runtime, opts);

	if (rc < 0)
		return rc;
	spec->references = ret ? 1 : 0;
	task = heap ? hilo__task_new(heap, runtime, spec) : NULL;
	if (!task) {
		hilo__names_free(spec->name);
		return -ENOMEM;
	}
	if (!runtime_hold(runtime)) {
		task->done.result = 0;
		hilo__task_free(task);
		return HILO_ECLOSED;
	}
	if (ret)
		*ret = task;
	task->locals = locals_inherit(thread_self());
	task_tell_spawned(runtime, task);
	hilo__task_inject(runtime, task);
	return 0;
}

int hilo_submit(hilo_runtime *runtime, hilo_task_fn entry, void *arg, const hilo_task_opts *opts,
		hilo_task **ret)
{
	struct task_spec spec = {.entry = entry, .arg = arg, .site = __builtin_return_address(0)};

	if (!runtime)
		return -ENOMEM;
	if (!entry)
		return hilo_fail(-EINVAL, "hilo_submit: entry is NULL");
	return hilo__submit(runtime, &spec, opts, ret);
}

/* Wait until @done is done; the reasons for an early end as wait.h says. */
int hilo__await_completion(struct completion *done, enum wait_kind kind, const void *object,
			   hilo_time deadline)
{
	struct waiter waiter;
	struct wait wait;
	int rc = hilo__wait_begin(&wait, kind, object, deadline);

	if (rc < 0)
		return rc;
	waiter.task = wait.task;
	waiter.call = NULL;
	waiter.episode = wait.episode;
	if (completion_is_done(done)) {
		hilo__wait_end(&wait);
		if (deadline > 0 && !wait.thread)
			hilo__wait_was_free(thread_self());
		return 0;
	}
	if (deadline <= 0) {
		hilo__wait_end(&wait);
		return -ETIMEDOUT;
	}
	if (hilo__completion_add(done, &waiter)) {
		while (!completion_is_done(done) && rc == 0)
			rc = hilo__wait_park(&wait);
		if (waiter_is_linked(&waiter))
			(void)hilo__completion_remove(done, &waiter);
		if (rc < 0 && completion_is_done(done))
			rc = 0;
	}
	hilo__wait_end(&wait);
	return rc;
}

/* 0 when done, and looked at; else why the wait ended. */
static int task_wait(hilo_task *task, hilo_time deadline)
{
	struct thread *self = thread_self();
	int rc;

	if (HILO__UNLIKELY(!task))
		return -ENOMEM;
	/* The common case: it has ended, and nobody wants us to stop. */
	if (completion_is_done(&task->done) && self->loop && self->task && !task_is_interrupted(self->task)) {
		if (deadline > 0)
			hilo__wait_was_free(self);
		return 0;
	}
	if (self->task == task)
		return hilo_fail(-EDEADLK, "task %s awaits itself", hilo_task_name(task));
	rc = hilo__await_completion(&task->done, WAIT_TASK, task, deadline);
	return rc < 0 ? hilo__error_own_wait(rc, WAIT_TASK, task) : 0;
}

int hilo_await(hilo_task *task, hilo_time deadline)
{
	int rc = task_wait(task, deadline);

	if (rc < 0)
		return rc;
	hilo__task_looked(task);
	return task->done.result;
}

int hilo_join(hilo_task *task, hilo_time deadline)
{
	int rc = task_wait(task, deadline);

	if (rc < 0)
		return rc;
	hilo__task_looked(task);
	rc = task->done.result;
	hilo_task_unref(task);
	return rc;
}

int hilo_task_result(const hilo_task *task, int *ret)
{
	if (!task)
		return -ENOMEM;
	if (!completion_is_done(&task->done))
		return -EAGAIN;
	store_relaxed(&((hilo_task *)(uintptr_t)task)->looked, 1); /* relaxed: as in hilo__task_looked */
	*ret = task->done.result;
	return 0;
}

void hilo_task_detach(hilo_task *task)
{
	if (task && completion_unref(&task->done))
		hilo__task_free(task);
}

hilo_task *hilo_task_ref(hilo_task *task)
{
	if (task)
		completion_ref(&task->done);
	return task;
}

void hilo_task_unref(hilo_task *task)
{
	hilo_task_detach(task);
}

int hilo_task_cancel(hilo_task *task)
{
	return hilo_task_cancel_with(task, NULL);
}

int hilo_task_cancel_with(hilo_task *task, const char *reason)
{
	return task ? hilo__task_cancel(task, hilo__reason_number(reason)) : -ENOMEM;
}

const char *hilo_task_cancel_reason(const hilo_task *task)
{
	/* relaxed: at some moment; the text is found by its number */
	return task ? hilo__reason_text(
			      task_state_reason(load_relaxed(&((hilo_task *)(uintptr_t)task)->state)))
		    : NULL;
}

/* The calling task; NULL in a callback and in a plain thread. */
static inline struct hilo_task *task_self(void)
{
	struct thread *self = thread_self();

	return self->loop ? self->task : NULL;
}

int hilo_task_uncancel(void)
{
	struct hilo_task *task = task_self();

	return task ? (int)task_state_uncancel(&task->state) : -EDEADLK;
}

unsigned hilo_task_cancelling(const hilo_task *task)
{
	/* relaxed: a number, at some moment */
	return task ? task_state_cancels(load_relaxed(&((hilo_task *)(uintptr_t)task)->state)) : 0;
}

int hilo_shield_enter(void)
{
	struct hilo_task *task = task_self();

	if (!task)
		return -EDEADLK;
	HILO__ASSERT(task->shield < UINT8_MAX);
	task->shield++;
	return 0;
}

int hilo_shield_leave(void)
{
	struct hilo_task *task = task_self();

	if (!task)
		return -EDEADLK;
	HILO__ASSERT(task->shield > 0);
	task->shield--;
	return 0;
}

int hilo_yield(void)
{
	struct thread *self = thread_self();

	if (HILO__UNLIKELY(!self->loop))
		return self->closing ? -EDEADLK : sched_yield();
	if (HILO__UNLIKELY(!self->task))
		return -EDEADLK;
	if (task_is_interrupted(self->task))
		return -ECANCELED;
	hilo__leave(self, LEAVE_YIELD);
	return 0;
}

int hilo_checkpoint(void)
{
	struct thread *self = thread_self();

	if (!self->loop)
		return self->closing ? -EDEADLK : 0;
	if (!self->task)
		return -EDEADLK;
	if (task_is_interrupted(self->task))
		return -ECANCELED;
	if (self->loop->countdown == 0)
		return hilo_yield();
	self->loop->countdown--;
	return 0;
}

int hilo_sleep_until(hilo_time when)
{
	struct wait wait;
	int rc = hilo__wait_begin(&wait, WAIT_SLEEP, NULL, when);

	if (rc < 0)
		return rc;
	while (rc == 0)
		rc = hilo__wait_park(&wait);
	hilo__wait_end(&wait);
	return rc == -ETIMEDOUT ? 0 : rc;
}

int hilo_sleep(hilo_time span)
{
	return span <= 0 ? hilo_yield() : hilo_sleep_until(hilo_after(span));
}

hilo_task *hilo_task_current(void)
{
	return task_self();
}

/* "task-" and @id, as snprintf does it; that takes 60 ns, and who receives a failure receives a label. */
static void label_write(char buf[TASK_LABEL_SIZE], uint64_t id)
{
	char digits[20], *first = digits + sizeof(digits);

	do
		*--first = (char)('0' + id % 10);
	while (id /= 10);
	memcpy(buf, "task-", 5);
	memcpy(buf + 5, first, (size_t)(digits + sizeof(digits) - first));
	buf[5 + (digits + sizeof(digits) - first)] = '\0';
}

const char *hilo__task_label(const hilo_task *task, char buf[TASK_LABEL_SIZE])
{
	/* pairs with hilo__name_replace */
	const char *name = load_acquire(&((hilo_task *)(uintptr_t)task)->name);

	if (!name)
		label_write(buf, task->id);
	return name ? name : buf;
}

/* A task without a name gets its text when somebody asks for it. */
const char *hilo_task_name(const hilo_task *task)
{
	hilo_task *named = (hilo_task *)(uintptr_t)task;
	const char *name, *none = NULL;
	char text[TASK_LABEL_SIZE];

	if (!task)
		return "none";
	name = hilo__task_label(task, text);
	if (name != text)
		return name;
	name = hilo__name_new(text);
	if (!name)
		return "task";
	/* Two ask at once: the first one's text stays. */
	if (!hilo__name_replace(named, &none, name)) {
		hilo__names_free(name);
		return none;
	}
	return name;
}

int hilo_task_set_name(hilo_task *task, const char *name)
{
	char text[TASK_LABEL_SIZE];
	const char *older, *newer;

	if (!task)
		return -ENOMEM;
	if (!name || !*name) {
		label_write(text, task->id);
		name = text;
	}
	older = load_acquire(&task->name); /* pairs with hilo__name_replace */
	if (older && strcmp(older, name) == 0)
		return 0;
	newer = hilo__name_new(name);
	if (!newer)
		return -ENOMEM;
	while (!hilo__name_replace(task, &older, newer))
		;
	return 0;
}

uint64_t hilo_task_id(const hilo_task *task)
{
	return task ? task->id : 0;
}

hilo_task_fn hilo_task_entry(const hilo_task *task)
{
	return task ? task->entry : NULL;
}

hilo_runtime *hilo_task_runtime(const hilo_task *task)
{
	return task ? load_relaxed(
			      &((hilo_task *)(uintptr_t)task)->runtime) /* relaxed: constant while it lives */
		    : NULL;
}

hilo_loop *hilo_task_loop(const hilo_task *task)
{
	return task && task->flags & TASK_PINNED ? task->loop : NULL;
}

int hilo_task_is_done(const hilo_task *task)
{
	return !task || completion_is_done(&task->done);
}

enum hilo_task_state hilo_task_get_state(const hilo_task *task)
{
	uint64_t state;

	if (!task || completion_is_done(&task->done))
		return HILO_TASK_DONE;
	state = load_relaxed(&((hilo_task *)(uintptr_t)task)->state); /* relaxed: at some moment */
	if (state & TASK_PARKED)
		return HILO_TASK_SUSPENDED;
	return load_relaxed(&((hilo_task *)(uintptr_t)task)->fiber)
		       ? HILO_TASK_RUNNABLE
		       : HILO_TASK_CREATED; /* relaxed: as above */
}
