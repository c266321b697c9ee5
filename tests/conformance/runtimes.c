/* SPDX-License-Identifier: MIT */
/*
 * A runtime as an object, from a plain thread: run, stop, close. Its worker runs beside us, so whatever could come
 * in another order is waited for.
 */
#include "tests/conformance/conformance.h"

#include <semaphore.h>

/* What the parts of a scenario share; each begins with a fresh one. */
static struct {
	hilo_runtime *runtime;
	hilo_future *future;
	hilo_task *task;
	sem_t gate;
} shared;

static hilo_runtime *new_runtime(void)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_runtime *runtime;

	OK(hilo_runtime_new(&opts, &runtime));
	return runtime;
}

static void begin(void)
{
	shared.runtime = new_runtime();
	shared.future = hilo_future_new();
	shared.task = NULL;
	OK(sem_init(&shared.gate, 0, 0));
}

static void end(void)
{
	hilo_task_unref(shared.task);
	OK(hilo_runtime_free(shared.runtime));
	hilo_future_unref(shared.future);
	OK(sem_destroy(&shared.gate));
}

static void run(hilo_task_fn main, void *arg)
{
	say_end("run", hilo_runtime_run_until_complete(shared.runtime, main, arg));
}

static void run_forever(void)
{
	say_end("run forever", hilo_runtime_run_forever(shared.runtime));
}

static void stop(void)
{
	OK(hilo_runtime_stop(shared.runtime));
}

static void say_state(void)
{
	say("running %d, closed %d", hilo_runtime_is_running(shared.runtime),
	    hilo_runtime_is_closed(shared.runtime));
}

static int call(hilo_callback_fn fn, const char *text)
{
	return hilo_call_soon_threadsafe(hilo_runtime_loop(shared.runtime, 0), fn, as_arg(text), NULL);
}

/* The same, and wait until it has been called. */
static void opens_gate(void *text)
{
	say_text(text);
	OK(sem_post(&shared.gate));
}

static void await_gate(void)
{
	while (sem_wait(&shared.gate) != 0)
		;
}

static void run_returns_the_result(void)
{
	begin();
	run(sleeper, AS_SLEEPER("a", 1, 7));
	run(sleeper, AS_SLEEPER("b", 1, -EIO));
	run(sleeper, AS_SLEEPER("c", 1, 8));
	end();
}

static int awaits_the_future(void *arg)
{
	int rc = await_value(shared.future, HILO_FOREVER);

	(void)arg;
	say_end("task", rc);
	return rc;
}

static int leaves_a_task(void *arg)
{
	(void)arg;
	shared.task = hilo_spawn(awaits_the_future, NULL);
	return 3;
}

static int ends_the_task(void *arg)
{
	(void)arg;
	say("second run");
	OK(hilo_future_set(shared.future, (void *)5, NULL));
	return hilo_await(shared.task, HILO_FOREVER);
}

static void task_outlives_its_run(void)
{
	begin();
	run(leaves_a_task, NULL);
	run(ends_the_task, NULL);
	end();
}

static int says_state(void *arg)
{
	(void)arg;
	say_state();
	return 0;
}

static void state_of_a_runtime(void)
{
	begin();
	say_state();
	run(says_state, NULL);
	say_state();
	OK(hilo_runtime_close(shared.runtime, HILO_FOREVER));
	say_state();
	end();
}

static void used_after_close(void)
{
	hilo_loop *loop;

	begin();
	loop = hilo_runtime_loop(shared.runtime, 0);
	OK(hilo_runtime_close(shared.runtime, HILO_FOREVER));
	run(say_task, as_arg("never"));
	run_forever();
	say_end("task", hilo_submit(shared.runtime, say_task, as_arg("never"), NULL, NULL));
	say_end("callback", hilo_call_soon_threadsafe(loop, say_text, as_arg("never"), NULL));
	end();
}

static void closed_twice(void)
{
	begin();
	run(say_task, as_arg("main"));
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	end();
}

static void closed_without_a_run(void)
{
	begin();
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	end();
}

static void stop_of_a_closed_one(void)
{
	begin();
	OK(hilo_runtime_close(shared.runtime, HILO_FOREVER));
	say_end("stop", hilo_runtime_stop(shared.runtime));
	end();
}

static void stop_before_the_run(void)
{
	begin();
	stop();
	run_forever();
	stop();
	stop();
	run_forever();
	say_state();
	end();
}

static void asks_for_one_more(void *text)
{
	say_text(text);
	call_soon(opens_gate, "c");
}

/* On the loop, so that both are asked for before the first one runs. */
static void asks_for_two(void *arg)
{
	(void)arg;
	call_soon(asks_for_one_more, "a");
	call_soon(say_text, "b");
}

static void stop_and_what_is_ready(void)
{
	begin();
	OK(call(asks_for_two, NULL));
	await_gate();
	stop();
	run_forever();
	stop();
	run_forever();
	end();
}

static void callback_before_the_run(void)
{
	begin();
	OK(call(opens_gate, "callback"));
	await_gate();
	say("asked");
	run(say_task, as_arg("main"));
	end();
}

static void sets_the_future(void *arg)
{
	(void)arg;
	OK(hilo_future_set(shared.future, (void *)5, NULL));
}

static int awaits_both(void *arg)
{
	(void)arg;
	say_end("task", hilo_await(shared.task, HILO_FOREVER));
	return await_value(shared.future, HILO_FOREVER);
}

static int returns_four(void *arg)
{
	(void)arg;
	return 4;
}

static void asked_for_before_the_run(void)
{
	begin();
	OK(hilo_submit(shared.runtime, returns_four, NULL, NULL, &shared.task));
	OK(call(sets_the_future, NULL));
	run(awaits_both, NULL);
	end();
}

static int stops_and_goes_on(void *arg)
{
	say("task stops");
	stop();
	return awaits_the_future(arg);
}

static void stopped_by_a_task(void)
{
	begin();
	OK(hilo_submit(shared.runtime, stops_and_goes_on, NULL, NULL, &shared.task));
	run_forever();
	run(ends_the_task, NULL);
	end();
}

static void stops(void *text)
{
	say_text(text);
	stop();
}

static void stopped_by_a_callback(void)
{
	begin();
	OK(call(stops, "callback stops"));
	run_forever();
	end();
}

static void *stopping_thread(void *arg)
{
	(void)arg;
	stops(as_arg("thread stops"));
	return NULL;
}

/* Run forever, beside a thread. */
static void run_beside(void *(*fn)(void *arg))
{
	pthread_t thread;

	OK(pthread_create(&thread, NULL, fn, NULL));
	run_forever();
	OK(pthread_join(thread, NULL));
}

static void stopped_by_a_thread(void)
{
	begin();
	run_beside(stopping_thread);
	end();
}

static int stops_its_own_run(void *arg)
{
	(void)arg;
	stop();
	OK(hilo_yield());
	say("main goes on");
	return 2;
}

static void stop_in_run_until_complete(void)
{
	begin();
	run(stops_its_own_run, NULL);
	run(say_task, as_arg("second run"));
	end();
}

static int runs_forever_inside(void *arg)
{
	(void)arg;
	run_forever();
	return 0;
}

static void run_forever_in_a_task(void)
{
	begin();
	run(runs_forever_inside, NULL);
	end();
}

static int runs_inside(void *arg)
{
	(void)arg;
	run(say_task, as_arg("inside"));
	return 0;
}

static void run_until_complete_in_a_task(void)
{
	begin();
	run(runs_inside, NULL);
	end();
}

static int closes_inside(void *arg)
{
	(void)arg;
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	return 0;
}

static void close_in_a_task(void)
{
	begin();
	run(closes_inside, NULL);
	say_state();
	end();
}

static void *closing_thread(void *arg)
{
	(void)arg;
	TEST_UNTIL(hilo_runtime_is_running(shared.runtime));
	say("close: %s", hilo_runtime_close(shared.runtime, HILO_FOREVER) < 0 ? "refused" : "done");
	stop();
	return NULL;
}

static void close_while_it_runs(void)
{
	begin();
	run_beside(closing_thread);
	say_state();
	end();
}

static int begins_and_sleeps(void *arg)
{
	OK(hilo_future_set(shared.future, NULL, NULL));
	return sleeper(arg);
}

static int leaves_a_sleeper(void *arg)
{
	static struct sleeper left = {.name = "left", .ms = 100000};

	(void)arg;
	hilo_task_detach(hilo_spawn(begins_and_sleeps, &left));
	return await_value(shared.future, HILO_FOREVER);
}

static void task_left_at_close(void)
{
	begin();
	run(leaves_a_sleeper, NULL);
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	end();
}

static int leaves_a_timer(void *arg)
{
	(void)arg;
	call_later(100000, say_text, "never");
	return 0;
}

static void timer_left_at_close(void)
{
	begin();
	run(leaves_a_timer, NULL);
	say_end("close", hilo_runtime_close(shared.runtime, HILO_FOREVER));
	end();
}

static void *submitting_thread(void *arg)
{
	struct sleeper a = {.name = "a", .ms = 1, .code = 7}, b = {.name = "b", .ms = 1, .code = -EIO};
	hilo_task *task;

	(void)arg;
	OK(hilo_submit(shared.runtime, sleeper, &a, NULL, &task));
	say_end("thread", hilo_join(task, HILO_FOREVER));
	OK(hilo_submit(shared.runtime, sleeper, &b, NULL, &task));
	say_end("thread", hilo_join(task, HILO_FOREVER));
	stop();
	return NULL;
}

static void submitted_by_a_thread(void)
{
	begin();
	run_beside(submitting_thread);
	end();
}

static void *cancelling_thread(void *arg)
{
	struct sleeper a = {.name = "a", .ms = 100000};
	hilo_task *task;

	(void)arg;
	OK(hilo_submit(shared.runtime, begins_and_sleeps, &a, NULL, &task));
	OK(await_value(shared.future, HILO_FOREVER));
	say_end("thread", hilo_await(task, after(1)));
	OK(hilo_task_cancel(task));
	say_end("thread", hilo_join(task, HILO_FOREVER));
	stop();
	return NULL;
}

static void cancelled_by_a_thread(void)
{
	begin();
	run_beside(cancelling_thread);
	end();
}

static void nothing_outside(void)
{
	say("loop: %s", hilo_loop_current() ? "some" : "none");
	say("task: %s", hilo_task_current() ? "some" : "none");
	say_end("callback", hilo_call_soon(say_text, as_arg("never"), NULL));
	say_end("spawn", hilo_spawn_with(say_task, as_arg("never"), NULL, NULL));
}

static int sets_it_later(void *arg)
{
	OK(sleep_for(1));
	sets_the_future(arg);
	return 0;
}

static void future_of_another_loop(void)
{
	hilo_runtime *other = new_runtime();

	begin();
	OK(hilo_submit(other, sets_it_later, NULL, NULL, &shared.task));
	run(awaits_the_future, NULL);
	say_end("set", hilo_await(shared.task, HILO_FOREVER));
	end();
	OK(hilo_runtime_free(other));
}

TOPIC(runtimes, SCENARIO(run_returns_the_result, OUTSIDE), SCENARIO(task_outlives_its_run, OUTSIDE),
      SCENARIO(state_of_a_runtime, OUTSIDE), SCENARIO(used_after_close, OUTSIDE),
      SCENARIO(closed_twice, OUTSIDE), SCENARIO(closed_without_a_run, OUTSIDE),
      SCENARIO(stop_of_a_closed_one, OUTSIDE), SCENARIO(stop_before_the_run, OUTSIDE),
      SCENARIO(stop_and_what_is_ready, OUTSIDE), SCENARIO(callback_before_the_run, OUTSIDE),
      SCENARIO(asked_for_before_the_run, OUTSIDE), SCENARIO(stopped_by_a_task, OUTSIDE),
      SCENARIO(stopped_by_a_callback, OUTSIDE), SCENARIO(stopped_by_a_thread, OUTSIDE),
      SCENARIO(stop_in_run_until_complete, OUTSIDE), SCENARIO(run_forever_in_a_task, OUTSIDE),
      SCENARIO(run_until_complete_in_a_task, OUTSIDE), SCENARIO(close_in_a_task, OUTSIDE),
      SCENARIO(close_while_it_runs, OUTSIDE), SCENARIO(task_left_at_close, OUTSIDE),
      SCENARIO(timer_left_at_close, OUTSIDE), SCENARIO(submitted_by_a_thread, OUTSIDE),
      SCENARIO(cancelled_by_a_thread, OUTSIDE), SCENARIO(nothing_outside, OUTSIDE),
      SCENARIO(future_of_another_loop, OUTSIDE));
