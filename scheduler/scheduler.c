/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - starting the workers of a runtime and ending them, and the records of plain threads.
 *
 * The end, in phases: CLOSING refuses new tasks and cancels those that are left; when the last one has ended
 * (closing.c) STOPPED lets the workers leave; then the threads are joined, callbacks that are left end, and
 * what the loops used goes back. CLOSED is the object alone, with the memory of its loops: who comes too
 * late with a pointer to them finds the phase. The thread that ends a runtime does all that; in hilo_run, where it
 * has to be woken first, the worker that has run the first task to its end begins, and if no other task is left,
 * lets the workers leave.
 *
 * P1  Who calls a loop from outside counts himself among its visitors, then reads the phase; ending sets
 *     STOPPED, then waits until there are none; all seq_cst. So either he sees that he came too late, or
 *     his call is there when those that are left are dropped.
 */
#include "scheduler/scheduler.h"

#include <hilo/runtime/error.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/log.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"
#include "scheduler/forked.h"
#include "scheduler/locals.h"
#include "scheduler/spare.h"

/* What comes to its end by itself, and is waited for, gets that long at least. */
#define END_GRACE HILO_SECOND

_Thread_local struct thread hilo__thread;

#if !(defined(__x86_64__) || defined(__aarch64__)) || defined(HILO_UCONTEXT)
HILO__NOINLINE struct thread *thread_self(void)
{
	struct thread *self = &hilo__thread;

	__asm__ volatile("" : "+r"(self));
	return self;
}
#endif

struct heap *hilo__thread_heap(struct thread *self)
{
	if (HILO__UNLIKELY(!self->heap))
		return hilo__heap_thread();
	return self->heap;
}

/* The record is the thread's for good; at its end it goes back to the pool. */
static pthread_key_t record_key;
static pthread_once_t record_once = PTHREAD_ONCE_INIT;
static bool record_key_made;

static void record_end(void *arg)
{
	struct hilo_task *record = arg;

	hilo__thread.task = NULL;
	if (hilo__thread.error)
		hilo__on_error_free(hilo__thread.error);
	hilo__thread.error = NULL;
	hilo__locals_drop(&hilo__thread.locals);
	/* As a task ends: somebody who took it for one, in its earlier life, may hold it for a moment. */
	record->done.result = 0;
	(void)completion_set(&record->done);
	if (completion_unref(&record->done))
		hilo__task_free(record);
}

static void record_key_make(void)
{
	record_key_made = pthread_key_create(&record_key, record_end) == 0;
}

struct hilo_task *hilo__thread_record(struct thread *self)
{
	static const struct task_spec spec = {.flags = TASK_THREAD, .references = 1};
	struct heap *heap;
	struct hilo_task *record = self->task;

	if (HILO__LIKELY(record != NULL))
		return record;
	(void)pthread_once(&record_once, record_key_make);
	heap = hilo__thread_heap(self);
	if (!record_key_made || !heap)
		return NULL;
	record = hilo__task_new(heap, NULL, &spec);
	if (!record)
		return NULL;
	store_relaxed(&record->futex, 0); /* relaxed: nobody knows it yet */
	if (pthread_setspecific(record_key, record) != 0) {
		hilo__task_free(record);
		return NULL;
	}
	self->task = record;
	return record;
}

struct foreach {
	struct hilo_runtime *runtime;
	void (*fn)(struct hilo_task *task, void *ctx);
	void *ctx;
};

static bool slab_foreach(struct pool_slab *slab, void *ctx)
{
	struct foreach *each = ctx;
	size_t count, stride;
	void *first;

	hilo__slab_objects(slab, &first, &count, &stride);
	for (size_t i = 0; i < count; i++) {
		struct hilo_task *task = (void *)((char *)first + i * stride);

		if (!hilo__task_try_ref(task, each->runtime))
			continue;
		each->fn(task, each->ctx);
		if (completion_unref(&task->done))
			hilo__task_free(task);
	}
	return true;
}

void hilo__scheduler_foreach(struct hilo_runtime *runtime, void (*fn)(struct hilo_task *task, void *ctx),
			     void *ctx)
{
	struct foreach each = {runtime, fn, ctx};

	hilo__pool_foreach_slab(POOL_TASK, slab_foreach, &each);
}

struct hilo_runtime *hilo__runtimes;
struct spinlock hilo__runtimes_lock;

static void runtimes_add(struct hilo_runtime *runtime)
{
	spin_lock(&hilo__runtimes_lock);
	runtime->next = hilo__runtimes;
	hilo__runtimes = runtime;
	spin_unlock(&hilo__runtimes_lock);
}

static void runtimes_remove(struct hilo_runtime *runtime)
{
	spin_lock(&hilo__runtimes_lock);
	for (struct hilo_runtime **at = &hilo__runtimes; *at; at = &(*at)->next)
		if (*at == runtime) {
			*at = runtime->next;
			break;
		}
	spin_unlock(&hilo__runtimes_lock);
}

void hilo__scheduler_end(struct hilo_runtime *runtime, hilo_time deadline)
{
	struct thread *self = thread_self();
	struct hilo_runtime *closing = self->closing;
	struct hilo_loop *loop = self->loop;
	unsigned all = runtime_loops(runtime);
	bool again;

	for (unsigned i = 0; i < all; i++)
		while (load_seq_cst(&runtime->loops[i]->visitors)) /* P1 */
			(void)sched_yield();
	/*
	 * Done callbacks, and completions of what the kernel has, run even now, and may cause others on any loop:
	 * none goes before all are quiet. They belong to no loop any more, neither to that of a task which ends
	 * another runtime.
	 */
	self->loop = NULL;
	self->closing = runtime;
	for (unsigned i = 0; i < all; i++)
		hilo__poller_close(&runtime->loops[i]->poller);
	do {
		again = false;
		for (unsigned i = 0; i < all; i++)
			again |= hilo__loop_drop(runtime->loops[i], deadline);
	} while (again);
	for (unsigned i = 0; i < all; i++)
		hilo__loop_fini(runtime->loops[i]);
	self->closing = closing; /* of one whose callback has made this one, in vain */
	self->loop = loop;
}

void hilo__scheduler_free(struct hilo_runtime *runtime)
{
	unsigned all = runtime_loops(runtime);

	for (unsigned i = 0; i < all; i++)
		hilo__free(runtime->loops[i]);
	hilo__free(runtime->spare_seen);
	hilo__free(runtime->loops);
	hilo__free(runtime->threads);
	runtime->loops = NULL;
	runtime->threads = NULL;
}

static int loop_make(struct hilo_runtime *runtime, unsigned index, struct hilo_loop **ret)
{
	struct hilo_loop *loop = hilo__aligned_alloc(_Alignof(struct hilo_loop), sizeof(struct hilo_loop));
	int rc;

	if (!loop)
		return -ENOMEM;
	memset(loop, 0, sizeof(*loop));
	rc = hilo__loop_init(loop, runtime, index);
	if (rc < 0)
		hilo__free(loop);
	else
		*ret = loop;
	return rc;
}

/* The workers and, unless somebody sees to that, the first spare one: who runs a task has somebody on duty. */
static int scheduler_make_loops(struct hilo_runtime *runtime)
{
	unsigned first = runtime->workers + !runtime->spare_later;
	int rc = 0;

	runtime->limit = runtime->workers + SPARES_MAX;
	spin_init(&runtime->spare_lock);
	runtime->spare_seen = hilo__calloc(runtime->limit, sizeof(struct sighting));
	runtime->loops = hilo__calloc(runtime->limit, sizeof(struct hilo_loop *));
	runtime->threads = hilo__calloc(runtime->limit, sizeof(pthread_t));
	if (!runtime->spare_seen || !runtime->loops || !runtime->threads)
		rc = -ENOMEM;
	for (unsigned i = 0; i < first && rc == 0; i++) {
		rc = loop_make(runtime, i, &runtime->loops[i]);
		if (rc == 0)
			store_relaxed(&runtime->all, i + 1); /* relaxed: nobody else is there yet */
	}
	if (rc < 0) {
		hilo__scheduler_end(runtime, HILO_FOREVER);
		hilo__scheduler_free(runtime);
	}
	return rc;
}

/* [any, no task is left] Let the workers leave. */
static void scheduler_dismiss(struct hilo_runtime *runtime)
{
	/* P1, and P1 of idle.h: before the park words are read */
	store_seq_cst(&runtime->phase, PHASE_STOPPED);
	for (unsigned i = 0; i < runtime_loops(runtime); i++)
		hilo__loop_notify(runtime->loops[i]);
}

/* pthread_join, until @deadline: 0, -ETIMEDOUT. In pieces, for the clock that it goes by may be set. */
static int thread_join_until(pthread_t thread, hilo_time deadline)
{
	struct timespec until;
	int rc = 0;

	if (deadline == HILO_FOREVER)
		return -pthread_join(thread, NULL);
	do {
		hilo_time span = deadline - hilo__clock_now();

		span = span < 0 ? 0 : span < HILO_SECOND ? span : HILO_SECOND;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		span += until.tv_nsec;
		until.tv_sec += span / HILO_SECOND;
		until.tv_nsec = span % HILO_SECOND;
		rc = pthread_timedjoin_np(thread, NULL, &until);
	} while (rc == ETIMEDOUT && hilo__clock_now() < deadline);
	return -rc;
}

/*
 * The thread of @loop, which was let go. As long as it may be in a callback it is waited for. Once it has left its
 * loop it touches nothing of ours: only the kernel can keep it from ending, which waits for what it does on its
 * behalf.
 */
static void thread_join(pthread_t thread, struct hilo_loop *loop, hilo_time deadline)
{
	while (thread_join_until(thread, deadline) == -ETIMEDOUT) {
		if (load_acquire(&loop->left)) { /* pairs with hilo__worker_main */
			hilo__log_write(LOG_LEVEL_WARNING,
					"the thread of %s %u did not end at shutdown, the kernel keeps it: "
					"left behind",
					loop->spare ? "spare worker" : "worker", loop->index);
			(void)pthread_detach(thread);
			return;
		}
		deadline = hilo__clock_now() + END_GRACE;
	}
}

static void scheduler_join(struct hilo_runtime *runtime, hilo_time deadline)
{
	store_seq_cst(&runtime->phase, PHASE_STOPPED); /* P2 of spare.h */
	while (load_seq_cst(&runtime->spare_starting)) /* P2 of spare.h */
		(void)sched_yield();
	scheduler_dismiss(runtime); /* those too that have come meanwhile */
	for (unsigned i = 0; i < runtime->threads_started; i++)
		thread_join(runtime->threads[i], runtime->loops[i], deadline);
	runtime->threads_started = 0;
}

void hilo__signals_block(sigset_t *before)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSEGV);
	(void)sigdelset(&all, SIGBUS);
	(void)sigdelset(&all, SIGFPE);
	(void)sigdelset(&all, SIGILL);
	(void)sigdelset(&all, SIGABRT);
	(void)sigdelset(&all, SIGTRAP);
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, before);
}

static void thread_set_name(struct hilo_loop *loop)
{
	char name[16];

	if (loop->spare)
		(void)snprintf(name, sizeof(name), "hilo-spare-%u",
			       (loop->index - loop->runtime->workers) % 10000);
	else
		(void)snprintf(name, sizeof(name), "hilo-%u", loop->index % 100000);
	(void)pthread_setname_np(pthread_self(), name);
}

static void *worker_main(void *arg)
{
	thread_set_name(arg);
	return hilo__worker_main(arg);
}

#ifdef HILO_TESTING
bool hilo__scheduler_threadless;
#endif

int hilo__scheduler_start(struct hilo_runtime *runtime)
{
	sigset_t before;
	unsigned first;
	int rc = hilo__forked_init();

	if (rc == 0)
		rc = scheduler_make_loops(runtime);
	if (rc < 0)
		return rc;
	first = runtime_loops(runtime);
	hilo__overflow_install();
	runtimes_add(runtime); /* a thread of it that forks is one of a runtime */
	hilo__signals_block(&before);
	for (unsigned i = 0; i < first && rc == 0 && !hilo__scheduler_threadless; i++) {
		runtime->threads_started = i + 1; /* before it runs: the spare one may start another */
		rc = hilo__sys_pthread_create(&runtime->threads[i], NULL, worker_main, runtime->loops[i]);
		if (rc < 0)
			runtime->threads_started = i;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		return 0;
	scheduler_join(runtime, HILO_FOREVER);
	runtimes_remove(runtime);
	hilo__scheduler_end(runtime, HILO_FOREVER);
	hilo__scheduler_free(runtime);
	return rc;
}

/* A spare worker that was made when all others were held. */
static void *spare_main(void *arg)
{
	struct hilo_loop *loop = arg;
	struct hilo_runtime *runtime = loop->runtime;

	thread_set_name(loop);
	runtime->threads[loop->index] = pthread_self();
	runtime->threads_started = loop->index + 1;
	store_release(&runtime->all, loop->index + 1); /* P1 of spare.h */
	store_seq_cst(&runtime->spare_starting, 0);    /* P2 of spare.h */
	return hilo__worker_main(loop);
}

/* [spare_starting taken] One more. */
static int spare_make(struct hilo_runtime *runtime)
{
	unsigned index = runtime_loops(runtime);
	struct hilo_loop *loop;
	pthread_t thread;
	sigset_t before;
	int rc;

	if (index == runtime->limit)
		return -EAGAIN;
	rc = loop_make(runtime, index, &loop);
	if (rc < 0)
		return rc;
	runtime->loops[index] = loop;
	hilo__signals_block(&before);
	rc = hilo__sys_pthread_create(&thread, NULL, spare_main, loop);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc < 0) {
		hilo__loop_fini(loop);
		hilo__free(loop);
	}
	return rc;
}

void hilo__scheduler_add_spare(struct hilo_runtime *runtime)
{
	uint32_t none = 0;
	bool say;
	int rc;

	/* If somebody else is at it, that one will do. */
	if (!cas_seq_cst(&runtime->spare_starting, &none, 1)) /* P2 of spare.h */
		return;
	if (load_seq_cst(&runtime->phase) == PHASE_STOPPED) { /* P2 of spare.h */
		store_seq_cst(&runtime->spare_starting, 0);   /* P2 of spare.h */
		return;
	}
	rc = spare_make(runtime);
	store_relaxed(&runtime->spare_failed, rc < 0); /* relaxed: a hint */
	if (rc == 0)
		return; /* the new thread gives it back */
	say = !runtime->spare_said;
	runtime->spare_said = true;
	store_seq_cst(&runtime->spare_starting,
		      0); /* P2 of spare.h; before the log function, which may wait */
	if (say)
		hilo__log_write(
			LOG_LEVEL_WARNING,
			"no spare worker beyond %u (%s): tasks that block their threads now delay others",
			runtime_loops(runtime) - runtime->workers, hilo_errname(rc));
}

void hilo__scheduler_need_spare(struct hilo_runtime *runtime)
{
	if (runtime_loops(runtime) == runtime->workers)
		hilo__scheduler_add_spare(runtime);
}

void hilo__scheduler_main_ended(struct hilo_runtime *runtime)
{
	hilo__scheduler_shut(runtime);
	/* Calls in its executors are waited for first, and may need the loops; without tasks there come no more. */
	for (unsigned i = 0; i < LANES; i++)
		if (load_acquire(&runtime->lane[i])) /* pairs with P1 of executor_lane.c */
			return;
	if (hilo__scheduler_live(runtime) == 0)
		scheduler_dismiss(runtime);
}

void hilo__scheduler_stop(struct hilo_runtime *runtime, hilo_time deadline)
{
	scheduler_join(runtime, deadline);
	runtimes_remove(runtime); /* its threads may have forked until now */
}
