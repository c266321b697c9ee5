/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls in an executor, and what other threads may do. There are real threads here, so whatever could
 * come in another order is held by a gate.
 */
#include "tests/conformance/conformance.h"

#include <semaphore.h>

struct work {
	const char *name; /* said when it runs, unless NULL */
	int code;	  /* what it returns */
	sem_t *gate;	  /* what it waits for */
	hilo_future *begun;
};

static int work_run(void *arg)
{
	struct work *work = arg;

	if (work->name)
		say("%s runs", work->name);
	if (work->begun)
		OK(hilo_future_set(work->begun, NULL, NULL));
	while (work->gate && sem_wait(work->gate) != 0)
		;
	return work->code;
}

/* A task that makes one call. */
struct caller {
	hilo_executor *executor;
	struct work work;
	hilo_future *calls; /* set when it makes the call */
};

static int caller(void *arg)
{
	struct caller *self = arg;
	int rc;

	if (self->calls)
		OK(hilo_future_set(self->calls, NULL, NULL));
	rc = hilo_run_in_executor(self->executor, work_run, &self->work, HILO_FOREVER);
	say_end("call", rc);
	if (rc >= 0)
		say_end("next", hilo_yield());
	return rc;
}

/* The same without a word, for ends whose order is not promised. */
static int silent_caller(void *arg)
{
	struct caller *self = arg;

	if (self->calls)
		OK(hilo_future_set(self->calls, NULL, NULL));
	return hilo_run_in_executor(self->executor, work_run, &self->work, HILO_FOREVER);
}

/* An executor of one thread, which is held by a call until the gate opens. */
struct held {
	hilo_executor *executor;
	sem_t gate;
	struct caller caller;
	hilo_task *task; /* it has returned 1 in the end */
};

static void await_and_unref(hilo_future *future)
{
	OK(hilo_future_await(future, NULL, HILO_FOREVER));
	hilo_future_unref(future);
}

static void held_begin(struct held *held)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1};

	OK(hilo_executor_new(&opts, &held->executor));
	OK(sem_init(&held->gate, 0, 0));
	held->caller.executor = held->executor;
	held->caller.work = (struct work){.code = 1, .gate = &held->gate, .begun = hilo_future_new()};
	held->caller.calls = NULL;
	held->task = hilo_spawn(silent_caller, &held->caller);
	await_and_unref(held->caller.work.begun);
	say("the thread is held");
}

static void held_open(struct held *held)
{
	say("the gate opens");
	OK(sem_post(&held->gate));
}

static void held_end(struct held *held)
{
	say_end("held", hilo_join(held->task, HILO_FOREVER));
	OK(hilo_executor_close(held->executor, 0, HILO_FOREVER));
	OK(sem_destroy(&held->gate));
}

/* A task whose call waits in the queue. */
static hilo_task *queue_call(struct held *held, struct caller *self, hilo_task_fn fn)
{
	hilo_task *task;

	self->executor = held->executor;
	self->calls = hilo_future_new();
	task = hilo_spawn(fn, self);
	await_and_unref(self->calls); /* with one worker it has queued its call when we run again */
	return task;
}

static void call_returns(void)
{
	say_end("call", hilo_run_in_executor(NULL, work_run, &(struct work){.code = 7}, HILO_FOREVER));
}

static void call_fails(void)
{
	say_end("call", hilo_run_in_executor(NULL, work_run, &(struct work){.code = -EIO}, HILO_FOREVER));
}

static void loop_goes_on_during_a_call(void)
{
	struct held held;

	held_begin(&held);
	call_soon(say_text, as_arg("callback"));
	OK(sleep_for(1));
	held_open(&held);
	held_end(&held);
}

static void calls_of_one_thread_in_order(void)
{
	struct caller a = {.work = {.name = "a", .code = 2}}, b = {.work = {.name = "b", .code = 3}},
		      c = {.work = {.name = "c", .code = 4}};
	hilo_task *task[3];
	struct held held;
	int results[3];

	held_begin(&held);
	task[0] = queue_call(&held, &a, silent_caller);
	task[1] = queue_call(&held, &b, silent_caller);
	task[2] = queue_call(&held, &c, silent_caller);
	held_open(&held);
	OK(hilo_gather(task, array_size(task), results, HILO_FOREVER));
	for (size_t i = 0; i < array_size(task); i++)
		say_end("call", results[i]);
	held_end(&held);
}

static void cancel_while_the_call_waits(void)
{
	struct caller queued = {.work = {.name = "queued", .code = 2}};
	struct held held;
	hilo_task *task;

	held_begin(&held);
	task = queue_call(&held, &queued, caller);
	ask_to_cancel("task", task);
	say_end("task", hilo_join(task, HILO_FOREVER));
	held_open(&held);
	held_end(&held);
}

static void limit_while_the_call_waits(void)
{
	struct work queued = {.name = "queued", .code = 2};
	struct held held;

	held_begin(&held);
	say_end("call", hilo_run_in_executor(held.executor, work_run, &queued, after(1)));
	held_open(&held);
	held_end(&held);
}

static void cancel_while_the_call_runs(void)
{
	sem_t gate;
	struct caller self = {.work = {.code = 7, .gate = &gate, .begun = hilo_future_new()}};
	hilo_task *task;

	OK(sem_init(&gate, 0, 0));
	task = hilo_spawn(caller, &self);
	await_and_unref(self.work.begun);
	ask_to_cancel("task", task);
	OK(sleep_for(1));
	say("the gate opens");
	OK(sem_post(&gate));
	say_end("task", hilo_join(task, HILO_FOREVER));
	OK(sem_destroy(&gate));
}

static void close_runs_what_waits(void)
{
	struct caller queued = {.work = {.name = "queued", .code = 2}};
	struct held held;
	hilo_task *task;

	held_begin(&held);
	task = queue_call(&held, &queued, silent_caller);
	held_open(&held);
	OK(hilo_executor_close(held.executor, 0, HILO_FOREVER));
	say("closed");
	say_end("held", hilo_join(held.task, HILO_FOREVER));
	say_end("queued", hilo_join(task, HILO_FOREVER));
	OK(sem_destroy(&held.gate));
}

static void close_refuses_what_waits(void)
{
	struct caller queued = {.work = {.name = "queued", .code = 2}};
	struct held held;
	hilo_task *task;

	held_begin(&held);
	task = queue_call(&held, &queued, caller);
	TASK_CHECK(hilo_executor_close(held.executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
	say_end("task", hilo_join(task, HILO_FOREVER));
	held_open(&held);
	held_end(&held);
}

static void call_of_a_closed_executor(void)
{
	struct work late = {.name = "late", .code = 2};
	struct held held;

	held_begin(&held);
	TASK_CHECK(hilo_executor_close(held.executor, 0, HILO_NO_WAIT), ==, -ETIMEDOUT);
	say_end("call", hilo_run_in_executor(held.executor, work_run, &late, HILO_FOREVER));
	held_open(&held);
	held_end(&held);
}

static int sets_future(void *future)
{
	return hilo_future_set(future, (void *)5, NULL);
}

static void future_set_by_a_thread(void)
{
	hilo_future *future = hilo_future_new();

	say_end("call", hilo_run_in_executor(NULL, sets_future, future, HILO_FOREVER));
	say_end("future", await_value(future, HILO_FOREVER));
	hilo_future_unref(future);
}

static int calls_the_loop(void *loop)
{
	OK(hilo_call_soon_threadsafe(loop, say_text, as_arg("a"), NULL));
	OK(hilo_call_soon_threadsafe(loop, say_text, as_arg("b"), NULL));
	OK(hilo_call_soon_threadsafe(loop, say_text, as_arg("c"), NULL));
	return 6;
}

static void callbacks_asked_by_a_thread(void)
{
	int rc = hilo_run_in_executor(NULL, calls_the_loop, hilo_loop_current(), HILO_FOREVER);

	OK(sleep_for(1)); /* callbacks are not ordered against tasks */
	say_end("call", rc);
}

TOPIC(executors, SCENARIO(call_returns, THREADS), SCENARIO(call_fails, THREADS),
      SCENARIO(loop_goes_on_during_a_call, THREADS), SCENARIO(calls_of_one_thread_in_order, THREADS),
      SCENARIO(cancel_while_the_call_waits, THREADS), SCENARIO(limit_while_the_call_waits, THREADS),
      SCENARIO(cancel_while_the_call_runs, THREADS), SCENARIO(close_runs_what_waits, THREADS),
      SCENARIO(close_refuses_what_waits, THREADS), SCENARIO(call_of_a_closed_executor, THREADS),
      SCENARIO(future_set_by_a_thread, THREADS), SCENARIO(callbacks_asked_by_a_thread, THREADS));
