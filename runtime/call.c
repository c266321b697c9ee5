/* SPDX-License-Identifier: MIT */
/*
 * call.c - callbacks of a loop: soon, later, at a time; and their handles.
 *
 * A handle has two holders: the user, if he asked for it, and the queue or the wheel that it is in.
 * Its state decides once between running and being cancelled. Another thread may fire the timer of a
 * loop that is stuck: whoever takes the handle out of the queue waits for it with hilo__timer_del.
 *
 * P1  Dropping a reference releases, the last drop acquires: who frees sees all uses ended.
 * P2  Run and cancel meet in one CAS; the winner releases for the loser, who learns that it lost, and for whoever
 *     asks whether it was cancelled.
 */
#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>
#include <hilo/runtime/runtime.h>

#include <errno.h>

#include "runtime/debug_impl.h"
#include "scheduler/base/pool.h"
#include "scheduler/locals.h"
#include "scheduler/scheduler.h"
#include "scheduler/standin.h"

enum handle_state {
	HANDLE_PENDING,
	HANDLE_CANCELLED, /* by the user */
	HANDLE_RUN,
	HANDLE_DROPPED, /* its runtime has ended */
};

struct hilo_handle {
	uint64_t unused; /* the pool's word */
	atomic(uint32_t) refs;
	atomic(uint32_t) state; /* enum handle_state; leaves PENDING once, by CAS */
	struct call call;
	struct hilo_loop *loop;
	struct binding *locals; /* what it runs with; a reference, until then */
	hilo_time when;		/* constant; 0: soon */
	struct timer timer;
	struct debug_mark open;
};

_Static_assert(sizeof(struct hilo_handle) <= POOL_OBJECT_SIZE, "one object of the pool");

void hilo_handle_unref(hilo_handle *handle)
{
	struct heap *heap;

	if (!handle || sub_acq_rel(&handle->refs, 1) != 1) /* P1 */
		return;
	debug_ended(&handle->open);
	hilo__locals_drop(&handle->locals);
	heap = thread_self()->heap; /* only here: a value may have been dropped */
	if (heap)
		pool_free(heap, POOL_OBJECT, handle);
	else
		hilo__pool_free_any(POOL_OBJECT, handle);
}

static bool handle_decide(hilo_handle *handle, enum handle_state state)
{
	uint32_t pending = HANDLE_PENDING;

	return cas_acq_rel(&handle->state, &pending, (uint32_t)state); /* P2 */
}

/* [loop] Its turn has come. */
static void handle_run(struct call *call)
{
	hilo_handle *handle = container_of(call, hilo_handle, call);

	(void)hilo__timer_del(&handle->loop->timers, &handle->timer);
	if (handle_decide(handle, HANDLE_RUN)) {
		struct locals_frame frame;

		hilo__locals_enter(&frame, handle->locals);
		handle->locals = NULL;
		call->fn(call->arg);
		hilo__locals_leave(&frame);
	}
	hilo_handle_unref(handle);
}

static void handle_drop(struct call *call)
{
	hilo_handle *handle = container_of(call, hilo_handle, call);

	(void)handle_decide(handle, HANDLE_DROPPED);
	hilo_handle_unref(handle);
}

/* [any, the wheel's lock held] Its time has come: into the queue of the loop it was asked on. */
static void handle_fire(struct timer *timer)
{
	hilo_handle *handle = container_of(timer, hilo_handle, timer);

	hilo__loop_call(handle->loop, &handle->call);
}

static hilo_handle *handle_new(struct hilo_loop *loop, hilo_time when, hilo_callback_fn fn, void *arg,
			       const void *site, hilo_handle **ret)
{
	struct heap *heap = hilo__thread_heap(thread_self());
	hilo_handle *handle = heap ? pool_alloc(heap, POOL_OBJECT) : NULL;

	if (!handle)
		return NULL;
	atomic_setup(&handle->refs, ret ? 2 : 1);
	atomic_setup(&handle->state, HANDLE_PENDING);
	handle->call.fn = fn;
	handle->call.arg = arg;
	handle->call.run = handle_run;
	handle->call.drop = handle_drop;
	handle->locals = locals_inherit(thread_self());
	handle->loop = loop;
	handle->when = when;
	timer_init(&handle->timer, handle_fire);
	debug_opened(&handle->open, loop->runtime, DEBUG_CALL, site);
	if (ret)
		*ret = handle;
	return handle;
}

static int call_soon(struct hilo_loop *loop, hilo_callback_fn fn, void *arg, const void *site,
		     hilo_handle **ret)
{
	hilo_handle *handle = handle_new(loop, 0, fn, arg, site, ret);

	if (!handle)
		return -ENOMEM;
	hilo__loop_call(loop, &handle->call);
	return 0;
}

int hilo_call_soon_threadsafe(hilo_loop *loop, hilo_callback_fn fn, void *arg, hilo_handle **ret)
{
	int rc = HILO_ECLOSED;

	if (!loop || !fn)
		return hilo_fail(-EINVAL, "hilo_call_soon: %s is NULL", loop ? "fn" : "loop");
	(void)add_seq_cst(&loop->visitors, 1);			 /* P1 of scheduler.c */
	if (load_seq_cst(&loop->runtime->phase) < PHASE_STOPPED) /* P1 of scheduler.c */
		rc = call_soon(loop, fn, arg, __builtin_return_address(0), ret);
	(void)sub_release(&loop->visitors, 1); /* P1 of scheduler.c */
	return rc;
}

int hilo_call_soon(hilo_callback_fn fn, void *arg, hilo_handle **ret)
{
	struct hilo_loop *loop = thread_home(thread_self());

	if (!loop)
		return -EDEADLK;
	if (!fn)
		return hilo_fail(-EINVAL, "hilo_call_soon: fn is NULL");
	return call_soon(loop, fn, arg, __builtin_return_address(0), ret);
}

static int call_at(hilo_time when, hilo_callback_fn fn, void *arg, const void *site, hilo_handle **ret)
{
	struct thread *self = thread_self();
	struct hilo_loop *loop = thread_home(self);
	hilo_handle *handle;

	if (!loop)
		return -EDEADLK;
	if (!fn)
		return hilo_fail(-EINVAL, "hilo_call_at: fn is NULL");
	if (when == HILO_FOREVER)
		return hilo_fail(-EINVAL, "hilo_call_at: HILO_FOREVER never comes");
	handle = handle_new(loop, when, fn, arg, site, ret);
	if (!handle)
		return -ENOMEM;
	hilo__timer_add(&loop->timers, &handle->timer, when);
	/* Its thread, for which ours stands in, may be back, and asleep; or ours may be held, with a stand-in. */
	hilo__standin_armed(self->loop, loop);
	return 0;
}

int hilo_call_at(hilo_time when, hilo_callback_fn fn, void *arg, hilo_handle **ret)
{
	return call_at(when, fn, arg, __builtin_return_address(0), ret);
}

int hilo_call_later(hilo_time delay, hilo_callback_fn fn, void *arg, hilo_handle **ret)
{
	hilo_time when = hilo_after(delay);

	return call_at(when == HILO_FOREVER ? when - 1 : when, fn, arg, __builtin_return_address(0), ret);
}

int hilo_handle_cancel(hilo_handle *handle)
{
	if (!handle)
		return -ENOMEM;
	if (!handle_decide(handle, HANDLE_CANCELLED))
		return -EALREADY;
	/* Still in the wheel: its holder goes with it. In a queue: its turn will find it cancelled. */
	if (hilo__timer_del(&handle->loop->timers, &handle->timer))
		hilo_handle_unref(handle);
	return 0;
}

hilo_time hilo_handle_when(const hilo_handle *handle)
{
	return handle ? handle->when : HILO_FOREVER;
}

int hilo_handle_cancelled(const hilo_handle *handle)
{
	return handle &&
	       load_acquire(&((hilo_handle *)(uintptr_t)handle)->state) == HANDLE_CANCELLED; /* P2 */
}

hilo_loop *hilo_loop_current(void)
{
	return thread_home(thread_self());
}

unsigned hilo_runtime_workers(const hilo_runtime *runtime)
{
	return runtime ? runtime->workers : 0;
}

hilo_loop *hilo_runtime_loop(hilo_runtime *runtime, unsigned index)
{
	if (!runtime || hilo_runtime_is_closed(runtime))
		return NULL;
	return index < runtime_loops(runtime) ? runtime->loops[index] : NULL;
}

unsigned hilo_runtime_loops(const hilo_runtime *runtime)
{
	return runtime ? runtime->limit : 0;
}

unsigned hilo_loop_index(const hilo_loop *loop)
{
	return loop ? loop->index : 0;
}
