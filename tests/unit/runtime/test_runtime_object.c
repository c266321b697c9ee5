/* SPDX-License-Identifier: MIT */
/* A runtime as an object: what runs in it from outside, its end, and what is left of it afterwards. */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static hilo_runtime *runtime_new(unsigned workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers, .shutdown = HILO_MINUTE};
	hilo_runtime *runtime = NULL;

	TASK_CHECK(hilo_runtime_new(&opts, &runtime), ==, 0);
	return runtime;
}

/* Takes no notice of a cancel until @arg, a future, is complete. */
static int stubborn_main(void *arg)
{
	int rc;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	rc = hilo_future_await(arg, NULL, HILO_FOREVER);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return rc;
}

static int fail_main(void *arg)
{
	(void)arg;
	return hilo_fail(-EIO, "from inside");
}

/* ---- hilo_runtime_run_until_complete ---- */

static void test_run_until_complete_returns_what_main_returned(void **state)
{
	hilo_runtime *runtime = runtime_new(2);

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(
			hilo_runtime_run_until_complete(runtime, test_entry_return, (void *)(intptr_t)i), i);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, fail_main, NULL), -EIO);
	assert_string_equal(hilo_error_message(), "from inside");
	assert_non_null(hilo_error_task());
	assert_int_equal(hilo_runtime_run_until_complete(runtime, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_runtime_run_until_complete(NULL, fail_main, NULL), -EINVAL);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static int run_inside(void *arg)
{
	hilo_runtime *runtime = hilo_runtime_current();

	/* In a task a child, in a thread of the executor a task that is waited for. */
	return hilo_runtime_run_until_complete(runtime ? runtime : arg, test_entry_return,
					       (void *)(intptr_t)11);
}

TASK_TEST(test_run_until_complete_inside_is_a_child)
{
	hilo_runtime *runtime = hilo_runtime_current();

	TASK_CHECK(run_inside(NULL), ==, 11);
	TASK_CHECK(hilo_run_in_executor(NULL, run_inside, runtime, HILO_FOREVER), ==, 11);
	TASK_CHECK(
		hilo_run_in_executor(NULL, (hilo_blocking_fn)hilo_runtime_is_running, runtime, HILO_FOREVER),
		==, 1);
	return 0;
}

static int run_elsewhere(void *arg)
{
	TASK_CHECK(hilo_runtime_run_until_complete(arg, test_entry_return, (void *)(intptr_t)5), ==, 5);
	TASK_CHECK(hilo_runtime_run_until_complete(arg, fail_main, NULL), ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "from inside");
	return hilo_run_in_executor(NULL, run_inside, arg, HILO_FOREVER);
}

static void test_run_until_complete_in_a_task_of_another_runtime(void **state)
{
	hilo_runtime *runtime = runtime_new(1);

	(void)state;
	for (unsigned workers = 1; workers <= 4; workers++)
		assert_int_equal(test_run(workers, run_elsewhere, runtime), 11);
	assert_int_equal(hilo_runtime_is_running(runtime), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

struct callback {
	hilo_runtime *other;
	hilo_future *done;
	int until, forever, close, free;
};

static void call_all(void *arg)
{
	struct callback *c = arg;

	c->until = hilo_runtime_run_until_complete(c->other, test_entry_return, NULL);
	c->forever = hilo_runtime_run_forever(c->other);
	c->close = hilo_runtime_close(c->other, HILO_FOREVER);
	c->free = hilo_runtime_free(c->other);
	TASK_CHECK(hilo_future_set(c->done, NULL, NULL), ==, 0);
}

static int callback_main(void *arg)
{
	struct callback *c = arg;

	TASK_CHECK(hilo_call_soon(call_all, c, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(c->done, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_runtime_run_forever(c->other), ==, -EDEADLK);
	return 0;
}

static void test_callbacks_do_not_wait_for_runtimes(void **state)
{
	struct callback c = {.other = runtime_new(1), .done = hilo_future_new()};

	(void)state;
	assert_int_equal(test_run(2, callback_main, &c), 0);
	assert_int_equal(c.until, -EDEADLK);
	assert_int_equal(c.forever, -EDEADLK);
	assert_int_equal(c.close, -EDEADLK);
	assert_int_equal(c.free, -EDEADLK);
	assert_int_equal(hilo_runtime_run_until_complete(c.other, test_entry_return, NULL), 0);
	hilo_future_unref(c.done);
	assert_int_equal(hilo_runtime_free(c.other), 0);
}

/* ---- hilo_runtime_run_forever, hilo_runtime_stop ---- */

/* A plain thread that is in one of them. */
struct visitor {
	hilo_runtime *runtime;
	hilo_future *future; /* NULL: in run_forever */
	int result;
	pthread_t thread;
};

static void *visitor_main(void *arg)
{
	struct visitor *visitor = arg;

	visitor->result = visitor->future ? hilo_runtime_run_until_complete(visitor->runtime, test_entry_wait,
									    visitor->future)
					  : hilo_runtime_run_forever(visitor->runtime);
	return NULL;
}

static void visitor_start(struct visitor *visitor, hilo_runtime *runtime, hilo_future *future)
{
	*visitor = (struct visitor){.runtime = runtime, .future = future, .result = 77};
	TASK_CHECK(pthread_create(&visitor->thread, NULL, visitor_main, visitor), ==, 0);
}

static int visitor_end(struct visitor *visitor)
{
	test_join_thread(visitor->thread);
	return visitor->result;
}

static void test_stop_ends_run_forever_and_tasks_go_on(void **state)
{
	hilo_runtime *runtime = runtime_new(2);
	hilo_future *future = hilo_future_new();
	struct visitor visitor;
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_submit(runtime, test_entry_wait, future, NULL, &task), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(hilo_runtime_is_running(runtime), 0);
		visitor_start(&visitor, runtime, NULL);
		TEST_UNTIL(hilo_runtime_is_running(runtime));
		assert_int_equal(hilo_runtime_run_forever(runtime), -EBUSY);
		assert_int_equal(hilo_runtime_stop(runtime), 0);
		assert_int_equal(visitor_end(&visitor), 0);
	}
	assert_int_equal(hilo_task_is_done(task), 0);
	assert_int_equal(hilo_future_set(future, NULL, NULL), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	hilo_future_unref(future);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static void test_a_stop_before_run_forever_makes_it_return_at_once(void **state)
{
	hilo_runtime *runtime = runtime_new(1);

	(void)state;
	assert_int_equal(hilo_runtime_stop(runtime), 0);
	assert_int_equal(hilo_runtime_stop(runtime), 0); /* one that is set is set */
	assert_int_equal(hilo_runtime_run_forever(runtime), 0);
	assert_int_equal(hilo_runtime_stop(NULL), -EINVAL);
	assert_int_equal(hilo_runtime_run_forever(NULL), -EINVAL);
	/* It is not for the others. */
	assert_int_equal(hilo_runtime_stop(runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, (void *)(intptr_t)3), 3);
	assert_int_equal(hilo_runtime_run_forever(runtime), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static int stop_main(void *arg)
{
	(void)arg;
	return hilo_runtime_stop(hilo_runtime_current());
}

static hilo_runtime *signalled;

static void on_signal(int signo)
{
	(void)signo;
	(void)hilo_runtime_stop(signalled);
}

static int signal_main(void *arg)
{
	return kill(getpid(), (int)(intptr_t)arg);
}

static void test_stop_from_a_task_and_from_a_signal_handler(void **state)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	hilo_runtime *runtime = runtime_new(1);

	(void)state;
	assert_int_equal(hilo_submit(runtime, stop_main, NULL, NULL, NULL), 0);
	assert_int_equal(hilo_runtime_run_forever(runtime), 0);
	signalled = runtime;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(hilo_submit(runtime, signal_main, (void *)(intptr_t)SIGUSR1, NULL, NULL), 0);
	assert_int_equal(hilo_runtime_run_forever(runtime), 0);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static int inside_main(void *arg)
{
	hilo_runtime *runtime = arg ? arg : hilo_runtime_current();

	TASK_CHECK(hilo_runtime_run_forever(runtime), ==, -EDEADLK);
	TASK_CHECK(hilo_runtime_close(runtime, HILO_NO_WAIT), ==, -EDEADLK);
	TASK_CHECK(hilo_runtime_free(runtime), ==, -EDEADLK);
	return 0;
}

TASK_TEST(test_inside_neither_run_forever_nor_the_end)
{
	TASK_CHECK(inside_main(NULL), ==, 0);
	TASK_CHECK(hilo_run_in_executor(NULL, inside_main, hilo_runtime_current(), HILO_FOREVER), ==, 0);
	return 0;
}

/* ---- hilo_runtime_close ---- */

static void test_close_is_refused_while_somebody_is_in_it(void **state)
{
	hilo_runtime *runtime = runtime_new(2);
	struct visitor forever, until;
	hilo_future *future = hilo_future_new();

	(void)state;
	visitor_start(&forever, runtime, NULL);
	TEST_UNTIL(hilo_runtime_is_running(runtime));
	assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), -EBUSY);
	assert_int_equal(hilo_runtime_free(runtime), -EBUSY);
	assert_int_equal(hilo_runtime_stop(runtime), 0);
	assert_int_equal(visitor_end(&forever), 0);
	visitor_start(&until, runtime, future);
	TEST_UNTIL(hilo_runtime_is_running(runtime));
	assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), -EBUSY);
	/* Nothing was begun: it still takes tasks. */
	assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, (void *)(intptr_t)4), 4);
	assert_int_equal(hilo_future_set(future, NULL, NULL), 0);
	assert_int_equal(visitor_end(&until), 0);
	assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	hilo_future_unref(future);
}

static void test_close_can_be_repeated_after_a_timeout(void **state)
{
	hilo_runtime *runtime = runtime_new(2);
	hilo_future *future = hilo_future_new();
	hilo_task_opts named = {.size = sizeof(named), .name = "the-stubborn-one"};
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_submit(runtime, stubborn_main, future, &named, &task), 0);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	test_log_begin();
	assert_int_equal(hilo_runtime_close(runtime, HILO_NO_WAIT), -ETIMEDOUT);
	assert_int_equal(hilo_runtime_close(runtime, hilo_after(HILO_MILLISECOND)), -ETIMEDOUT);
	assert_int_equal(test_log_count("task the-stubborn-one did not end at shutdown"), 2);
	test_log_end();
	assert_int_equal(hilo_runtime_is_closed(runtime), 0);
	/* It takes nothing more. */
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, NULL, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_run_forever(runtime), HILO_ECLOSED);
	assert_int_equal(hilo_future_set(future, NULL, NULL), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_is_closed(runtime), 1);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	hilo_future_unref(future);
}

static void count_nothing(hilo_task *task, void *arg)
{
	(void)task, (void)arg;
	TASK_CHECK(0, ==, "no task is left");
}

static void call_nothing(void *arg)
{
	(void)arg;
}

/* Each call that takes a runtime. */
static void closed_answers(hilo_runtime *runtime, hilo_loop *loop, unsigned workers)
{
	hilo_worker_stats stats = {.size = sizeof(stats)};
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	hilo_call_node signal_node = {0};
	hilo_task *task = NULL;
	char text[1024];

	assert_int_equal(hilo_runtime_is_closed(runtime), 1);
	assert_int_equal(hilo_runtime_is_running(runtime), 0);
	assert_int_equal(hilo_runtime_get_debug(runtime), 0);
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, NULL, &task), HILO_ECLOSED);
	assert_int_equal(hilo_submit(runtime, test_entry_return, NULL, &pinned, &task), HILO_ECLOSED);
	assert_null(task);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_run_forever(runtime), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_stop(runtime), HILO_ECLOSED);
	assert_int_equal(hilo_runtime_close(runtime, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0);
	assert_null(hilo_runtime_loop(runtime, 0));
	assert_int_equal(hilo_runtime_workers(runtime), workers);
	assert_true(hilo_runtime_loops(runtime) > workers);
	assert_int_equal(hilo_call_soon_threadsafe(loop, call_nothing, NULL, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_call_soon_signalsafe(loop, &signal_node, call_nothing, NULL), HILO_ECLOSED);
	assert_int_equal(hilo_call_node_cancel(&signal_node), -EALREADY);
	assert_true(hilo_runtime_config(runtime, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "workers="));
	assert_int_equal(hilo_runtime_get_stats(runtime, 0, &stats), 0);
	assert_int_equal(hilo_runtime_dump(runtime, STDERR_FILENO), 0);
	assert_int_equal(hilo_task_foreach(runtime, count_nothing, NULL), 0);
}

/* A call in the executor waits for what a callback does, when the last task has ended. */
struct handover {
	hilo_future *first, *second;
	hilo_done_node node;
	test_flag called;
};

static int await_second(void *arg)
{
	return hilo_future_await(((struct handover *)arg)->second, NULL, HILO_FOREVER);
}

static void set_second(void *arg)
{
	struct handover *late = arg;

	(void)hilo_future_set(late->second, NULL, NULL);
	store_release(&late->called, 1);
}

static int handover_main(void *arg)
{
	struct handover *late = arg;

	TASK_CHECK(hilo_executor_submit(NULL, await_second, late, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_future_on_done(late->first, &late->node, set_second, late), ==, 0);
	return hilo_future_set(late->first, NULL, NULL);
}

static void test_calls_are_waited_for_before_the_workers_leave(void **state)
{
	(void)state;
	test_log_begin();
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct handover late = {hilo_future_new(), hilo_future_new(), {{0}}, 0};

		assert_int_equal(test_run(workers, handover_main, &late), 0);
		assert_int_equal(load_acquire(&late.called), 1);
		hilo_future_unref(late.first);
		hilo_future_unref(late.second);
	}
	assert_int_equal(test_log_count("did not end"), 0);
	test_log_end();
}

static int much_main(void *arg)
{
	hilo_task *tasks[20];

	(void)arg;
	for (size_t i = 0; i < array_size(tasks); i++)
		tasks[i] = hilo_spawn(test_entry_sleep_forever, NULL);
	for (size_t i = 0; i < array_size(tasks); i++)
		hilo_task_detach(tasks[i]);
	TASK_CHECK(hilo_call_later(HILO_MINUTE, call_nothing, NULL, NULL), ==, 0);
	return hilo_run_in_executor(NULL, test_entry_return, (void *)(intptr_t)6, HILO_FOREVER);
}

static void test_what_a_closed_runtime_answers(void **state)
{
	unsigned fds = test_fds(), threads = test_threads();

	(void)state;
	for (unsigned workers = 1; workers <= 4; workers++) {
		hilo_runtime *runtime = runtime_new(workers);
		hilo_loop *loop = hilo_runtime_loop(runtime, 0);

		assert_int_equal(hilo_runtime_run_until_complete(runtime, much_main, NULL), 6);
		assert_int_equal(hilo_runtime_is_closed(runtime), 0);
		assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0);
		/* What costs anything is gone before the object is. */
		assert_int_equal(test_fds(), fds);
		test_threads_settle(threads);
		closed_answers(runtime, loop, workers);
		assert_int_equal(hilo_runtime_free(runtime), 0);
	}
	assert_int_equal(hilo_runtime_close(NULL, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_is_closed(NULL), 0);
	assert_int_equal(hilo_runtime_is_running(NULL), 0);
	assert_int_equal(hilo_runtime_get_debug(NULL), 0);
}

static int close_main(void *arg)
{
	return hilo_runtime_close(arg, HILO_FOREVER);
}

static int close_in_executor(void *arg)
{
	return hilo_run_in_executor(NULL, close_main, arg, HILO_FOREVER);
}

/* By a thread, by a task of another runtime, and by a thread of its executor. */
static void test_close_from_anywhere_but_inside(void **state)
{
	static const hilo_task_fn mains[] = {close_main, close_in_executor};

	(void)state;
	for (size_t i = 0; i < array_size(mains); i++)
		for (unsigned workers = 1; workers <= 2; workers++) {
			hilo_runtime *runtime = runtime_new(2);

			assert_int_equal(hilo_runtime_run_until_complete(runtime, much_main, NULL), 6);
			assert_int_equal(test_run(workers, mains[i], runtime), 0);
			assert_int_equal(hilo_runtime_is_closed(runtime), 1);
			assert_int_equal(hilo_runtime_free(runtime), 0);
		}
}

/* Callbacks that the end runs belong to no loop, neither to that of the task that ends the runtime. */
struct late {
	hilo_future *future;
	hilo_done_node node;
	unsigned calls;
};

static void late_called(void *arg)
{
	struct late *late = arg;
	hilo_done_node node;

	late->calls++;
	TASK_CHECK(hilo_loop_current(), ==, NULL);
	TASK_CHECK(hilo_runtime_current(), ==, NULL);
	TASK_CHECK(hilo_task_current(), ==, NULL);
	TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, -EDEADLK);
	TASK_CHECK(hilo_yield(), ==, -EDEADLK);
	TASK_CHECK(hilo_fail(-EIO, "in a callback"), ==, -EIO);
	TASK_CHECK(hilo_call_soon(call_nothing, NULL, NULL), ==, -EDEADLK);
	TASK_CHECK(hilo_future_on_done(late->future, &node, call_nothing, NULL), ==, -EDEADLK);
	TASK_CHECK(hilo_future_await(late->future, NULL, HILO_FOREVER), ==, -EDEADLK);
}

static int late_main(void *arg)
{
	struct late *late = arg;

	return hilo_future_on_done(late->future, &late->node, late_called, late);
}

static int close_late(void *arg)
{
	hilo_task *self = hilo_task_current();

	TASK_CHECK(hilo_runtime_free(arg), ==, 0);
	TASK_CHECK(hilo_task_current(), ==, self);
	TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, 0);
	return 0;
}

static void test_callbacks_at_an_end_that_a_task_makes(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 4; workers++) {
		struct late late = {.future = hilo_future_new()};
		hilo_runtime *runtime = runtime_new(workers);

		assert_int_equal(hilo_runtime_run_until_complete(runtime, late_main, &late), 0);
		assert_int_equal(test_run(workers, close_late, runtime), 0);
		assert_int_equal(late.calls, 1);
		hilo_future_unref(late.future);
	}
}

/* Two at once: one ends it, the other is told so. */
static void *close_thread(void *arg)
{
	int rc = hilo_runtime_close(arg, HILO_FOREVER);

	TASK_CHECK(rc == 0 || rc == -EBUSY, ==, 1);
	return NULL;
}

static void test_two_close_at_once(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(50); round++) {
		hilo_runtime *runtime = runtime_new(1 + round % 2);
		pthread_t thread;
		int rc;

		assert_int_equal(hilo_runtime_run_until_complete(runtime, much_main, NULL), 6);
		assert_int_equal(pthread_create(&thread, NULL, close_thread, runtime), 0);
		rc = hilo_runtime_close(runtime, HILO_FOREVER);
		assert_true(rc == 0 || rc == -EBUSY);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(hilo_runtime_close(runtime, HILO_FOREVER), 0);
		assert_int_equal(hilo_runtime_free(runtime), 0);
	}
}

/* Others submit and call until they are told that it is over. */
struct knocker {
	hilo_runtime *runtime;
	hilo_loop *loop;
	test_flag started;
	atomic(unsigned) * ran;
	unsigned taken;
};

static int knock_entry(void *arg)
{
	(void)arg;
	return 0;
}

static void knock_destroy(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
}

static void *knock(void *arg)
{
	struct knocker *k = arg;
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = knock_destroy};
	int task = 0, call = 0, run = 0;

	store_release(&k->started, 1);
	while (task == 0 || call == 0 || run == 0) {
		if (task == 0) {
			task = hilo_submit(k->runtime, knock_entry, k->ran, &opts, NULL);
			k->taken += task == 0;
			opts.flags ^= HILO_TASK_PINNED;
		}
		if (call == 0)
			call = hilo_call_soon_threadsafe(k->loop, call_nothing, NULL, NULL);
		if (run == 0)
			run = hilo_runtime_run_until_complete(k->runtime, knock_entry, NULL);
		if (run == -ECANCELED)
			run = 0;
	}
	TASK_CHECK(task, ==, HILO_ECLOSED);
	TASK_CHECK(call, ==, HILO_ECLOSED);
	TASK_CHECK(run, ==, HILO_ECLOSED);
	return NULL;
}

static void test_late_comers_race_the_end(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(100); round++) {
		atomic(unsigned) ran = 0;
		struct knocker k = {.runtime = runtime_new(1 + round % 2), .ran = &ran};
		pthread_t thread;
		int rc;

		atomic_setup(&k.started, 0);
		k.loop = hilo_runtime_loop(k.runtime, 0);
		assert_int_equal(pthread_create(&thread, NULL, knock, &k), 0);
		TEST_UNTIL(load_acquire(&k.started));
		while ((rc = hilo_runtime_close(k.runtime, HILO_FOREVER)) == -EBUSY)
			test_pause();
		assert_int_equal(rc, 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(load_acquire(&ran), k.taken);
		assert_int_equal(hilo_runtime_free(k.runtime), 0);
	}
}

/* ---- the runtime of hilo_run, in the hands of others ---- */

struct lent {
	struct visitor forever, until;
	hilo_future *future;
};

static int lend_main(void *arg)
{
	struct lent *lent = arg;
	hilo_runtime *runtime = hilo_runtime_current();

	TASK_CHECK(hilo_runtime_is_running(runtime), ==, 1);
	visitor_start(&lent->forever, runtime, NULL);
	visitor_start(&lent->until, runtime, lent->future);
	TEST_UNTIL(load_relaxed(&runtime->users) / 4 == 3); /* both are in, and hilo_run */
	return 8;
}

static void *close_lent(void *arg)
{
	TASK_CHECK(hilo_runtime_close(arg, HILO_FOREVER), ==, -EBUSY);
	return NULL;
}

static int close_refused_main(void *arg)
{
	pthread_t thread;

	(void)arg;
	TASK_CHECK(pthread_create(&thread, NULL, close_lent, hilo_runtime_current()), ==, 0);
	test_join_thread(thread);
	return 0;
}

static void test_hilo_run_ends_whoever_is_in_its_runtime(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(20); round++) {
		struct lent lent = {.future = hilo_future_new()};

		assert_int_equal(test_run(1 + round % 4, lend_main, &lent), 8);
		assert_int_equal(visitor_end(&lent.forever), HILO_ECLOSED);
		/* Its task was cancelled, or came too late, though he was in before. */
		if (visitor_end(&lent.until) != HILO_ECLOSED)
			assert_int_equal(lent.until.result, -ECANCELED);
		hilo_future_unref(lent.future);
	}
	assert_int_equal(test_run(2, close_refused_main, NULL), 0);
}

/* ---- several of them ---- */

static int talk_main(void *arg)
{
	for (int i = 0; i < 20; i++) {
		TASK_CHECK(hilo_join(hilo_spawn(test_entry_return, arg), HILO_FOREVER), ==, (intptr_t)arg);
		TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, 0);
	}
	return (int)(intptr_t)arg;
}

struct owner {
	hilo_runtime *runtime;
	int number;
};

static void *owner_main(void *arg)
{
	struct owner *owner = arg;

	for (int i = 0; i < 10; i++)
		TASK_CHECK(hilo_runtime_run_until_complete(owner->runtime, talk_main,
							   (void *)(intptr_t)owner->number),
			   ==, owner->number);
	return NULL;
}

static void test_several_side_by_side(void **state)
{
	struct owner owners[8];
	pthread_t threads[8];

	(void)state;
	for (int i = 0; i < 8; i++) { /* two threads for each */
		owners[i] =
			(struct owner){i % 2 ? owners[i - 1].runtime : runtime_new(1 + (unsigned)i % 3), i};
		assert_int_equal(pthread_create(&threads[i], NULL, owner_main, &owners[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < 8; i += 2) {
		assert_int_equal(hilo_runtime_close(owners[i].runtime, HILO_FOREVER), 0);
		assert_int_equal(hilo_runtime_free(owners[i].runtime), 0);
	}
}

/* ---- hilo_task_foreach ---- */

struct census {
	unsigned seen;
	hilo_task *kept;
};

static void count_task(hilo_task *task, void *arg)
{
	struct census *census = arg;

	TASK_CHECK(hilo_task_id(task), >, 0);
	if (strcmp(hilo_task_name(task), "one-of-many") != 0)
		return;
	census->seen++;
	if (!census->kept)
		census->kept = hilo_task_ref(task);
}

TASK_TEST(test_foreach_sees_every_task)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "one-of-many"};
	hilo_runtime *runtime = hilo_runtime_current();
	struct census census = {0};
	hilo_task *tasks[30];

	for (size_t i = 0; i < array_size(tasks); i++)
		TASK_CHECK(hilo_spawn_with(test_entry_sleep_forever, NULL, &opts, &tasks[i]), ==, 0);
	TASK_CHECK(hilo_task_foreach(runtime, count_task, &census), ==, 0);
	TASK_CHECK(census.seen, ==, array_size(tasks));
	for (size_t i = 0; i < array_size(tasks); i++) {
		TASK_CHECK(hilo_task_cancel(tasks[i]), ==, 0);
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, -ECANCELED);
	}
	TASK_CHECK(hilo_join(census.kept, HILO_FOREVER), ==, -ECANCELED);
	census = (struct census){0};
	TASK_CHECK(hilo_task_foreach(runtime, count_task, &census), ==, 0);
	TASK_CHECK(census.seen, ==, 0);
	TASK_CHECK(hilo_task_foreach(NULL, count_task, &census), ==, -EINVAL);
	TASK_CHECK(hilo_task_foreach(runtime, NULL, &census), ==, -EINVAL);
	return 0;
}

static void touch_task(hilo_task *task, void *arg)
{
	TASK_CHECK(hilo_task_name(task), !=, NULL);
	(void)hilo_task_get_state(task);
	if (load_acquire((test_flag *)arg))
		hilo_task_unref(hilo_task_ref(task));
}

static int foreach_blocking(void *arg)
{
	static test_flag keep = 1;

	for (unsigned i = 0; i < test_rounds(200); i++)
		TASK_CHECK(hilo_task_foreach(arg, touch_task, &keep), ==, 0);
	return 0;
}

static int look_all_the_time(void *arg)
{
	return hilo_run_in_executor(NULL, foreach_blocking, arg, HILO_FOREVER);
}

TASK_TEST(test_foreach_while_tasks_come_and_go)
{
	hilo_task *looker = hilo_spawn(look_all_the_time, hilo_runtime_current());

	while (!hilo_task_is_done(looker)) {
		hilo_task *tasks[20];

		for (size_t i = 0; i < array_size(tasks); i++)
			tasks[i] = hilo_spawn(test_entry_return, NULL);
		for (size_t i = 0; i < array_size(tasks); i++)
			TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
	}
	return hilo_join(looker, HILO_FOREVER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_until_complete_returns_what_main_returned),
		cmocka_unit_test(test_run_until_complete_inside_is_a_child),
		cmocka_unit_test(test_run_until_complete_in_a_task_of_another_runtime),
		cmocka_unit_test(test_callbacks_do_not_wait_for_runtimes),
		cmocka_unit_test(test_stop_ends_run_forever_and_tasks_go_on),
		cmocka_unit_test(test_a_stop_before_run_forever_makes_it_return_at_once),
		cmocka_unit_test(test_stop_from_a_task_and_from_a_signal_handler),
		cmocka_unit_test(test_inside_neither_run_forever_nor_the_end),
		cmocka_unit_test(test_close_is_refused_while_somebody_is_in_it),
		cmocka_unit_test(test_close_can_be_repeated_after_a_timeout),
		cmocka_unit_test(test_what_a_closed_runtime_answers),
		cmocka_unit_test(test_close_from_anywhere_but_inside),
		cmocka_unit_test(test_callbacks_at_an_end_that_a_task_makes),
		cmocka_unit_test(test_two_close_at_once),
		cmocka_unit_test(test_late_comers_race_the_end),
		cmocka_unit_test(test_hilo_run_ends_whoever_is_in_its_runtime),
		cmocka_unit_test(test_several_side_by_side),
		cmocka_unit_test(test_foreach_sees_every_task),
		cmocka_unit_test(test_foreach_while_tasks_come_and_go),
		cmocka_unit_test(test_calls_are_waited_for_before_the_workers_leave),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
