/* SPDX-License-Identifier: MIT */
/* Calls with a place of the caller's own: from tasks, threads and signal handlers, under load. */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>

#include "scheduler/base/mem.h"

static void count(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
}

static int run_pinned(hilo_task_fn entry, void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(entry, arg, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* On one loop, whose turn cannot come while we look. */
static int queued_once(void *arg)
{
	hilo_loop *loop = hilo_loop_current();
	hilo_call_node node = {0}, other = {0};
	atomic(unsigned) calls, others;

	(void)arg;
	atomic_setup(&calls, 0);
	atomic_setup(&others, 0);
	for (unsigned i = 1; i <= 3; i++) {
		TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &calls), ==, 0);
		/* The one that is queued stands for these, with what it was asked with. */
		TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &others), ==, -EALREADY);
		TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &others), ==, -EALREADY);
		TASK_CHECK(hilo_call_soon_signalsafe(loop, &other, count, &others), ==, 0);
		TASK_CHECK(load_acquire(&calls), ==, i - 1);
		TEST_UNTIL(load_acquire(&others) == i);
		TASK_CHECK(load_acquire(&calls), ==, i); /* in order */
	}
	return 0;
}

LOOP_TEST(test_a_node_is_queued_once)
{
	return run_pinned(queued_once, NULL);
}

static int taken_back(void *arg)
{
	hilo_loop *loop = hilo_loop_current();
	hilo_call_node node = {0}, other = {0};
	atomic(unsigned) calls, others;

	(void)arg;
	atomic_setup(&calls, 0);
	atomic_setup(&others, 0);
	TASK_CHECK(hilo_call_node_cancel(&node), ==, -EALREADY);
	TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &calls), ==, 0);
	TASK_CHECK(hilo_call_node_cancel(&node), ==, 0);
	TASK_CHECK(hilo_call_node_cancel(&node), ==, -EALREADY);
	TASK_CHECK(hilo_call_soon_signalsafe(loop, &other, count, &others), ==, 0);
	TEST_UNTIL(load_acquire(&others));
	TASK_CHECK(load_acquire(&calls), ==, 0);
	TASK_CHECK(hilo_call_node_cancel(&other), ==, -EALREADY);
	/* And it can be used again. */
	TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &calls), ==, 0);
	TEST_UNTIL(load_acquire(&calls));
	return 0;
}

LOOP_TEST(test_a_call_is_taken_back)
{
	return run_pinned(taken_back, NULL);
}

/* The node is free before the callback is called: it may be used for the next one there. */
struct again {
	hilo_call_node node;
	hilo_loop *loop;
	atomic(unsigned) calls;
};

static void calls_again(void *arg)
{
	struct again *again = arg;

	TASK_CHECK(hilo_loop_current(), ==, again->loop);
	if (load_relaxed(&again->calls) < 10) {
		TASK_CHECK(hilo_call_node_cancel(&again->node), ==, -EALREADY);
		TASK_CHECK(hilo_call_soon_signalsafe(again->loop, &again->node, calls_again, again), ==, 0);
	}
	(void)add_release(&again->calls, 1);
}

TASK_TEST(test_a_callback_uses_its_node_again)
{
	hilo_runtime *runtime = hilo_runtime_current();

	for (unsigned i = 0; i < hilo_runtime_workers(runtime); i++) {
		struct again again = {.loop = hilo_runtime_loop(runtime, i)};

		atomic_setup(&again.calls, 0);
		TASK_CHECK(hilo_call_soon_signalsafe(again.loop, &again.node, calls_again, &again), ==, 0);
		TEST_UNTIL(load_acquire(&again.calls) == 11);
	}
	return 0;
}

/* Taken back while its turn comes on another thread: one or the other. */
TASK_TEST(test_a_call_is_taken_back_or_runs)
{
	hilo_runtime *runtime = hilo_runtime_current();
	unsigned workers = hilo_runtime_workers(runtime);

	for (unsigned round = 0; round < test_rounds(2000); round++) {
		hilo_loop *loop = hilo_runtime_loop(runtime, round % workers);
		hilo_call_node node = {0};
		atomic(unsigned) calls;

		atomic_setup(&calls, 0);
		TASK_CHECK(hilo_call_soon_signalsafe(loop, &node, count, &calls), ==, 0);
		for (unsigned i = 0; i < round % 3; i++)
			TASK_CHECK(hilo_yield(), ==, 0);
		if (hilo_call_node_cancel(&node) == 0)
			TASK_CHECK(load_acquire(&calls), ==, 0);
		else
			TEST_UNTIL(load_acquire(&calls) == 1);
	}
	return 0;
}

/* Plain threads, with no memory to be had; the loop sleeps, or does not. */
static void test_without_memory(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_runtime *runtime;
	hilo_call_node node = {0};
	atomic(unsigned) calls;
	long asked;

	(void)state;
	atomic_setup(&calls, 0);
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	for (unsigned i = 1; i <= test_rounds(500); i++) {
		asked = hilo__mem_calls_here();
		test_errno_set(77);
		assert_int_equal(
			hilo_call_soon_signalsafe(hilo_runtime_loop(runtime, 0), &node, count, &calls), 0);
		assert_int_equal(test_errno_get(), 77);
		assert_int_equal(hilo__mem_calls_here(), asked);
		TEST_UNTIL(load_acquire(&calls) == i);
	}
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/* What is left when a runtime ends is dropped, as other calls are: the node is free, whatever became of it. */
static struct left {
	hilo_call_node node;
	atomic(unsigned) calls;
} left;

static int leaves_one_behind(void *arg)
{
	(void)arg;
	return hilo_call_soon_signalsafe(hilo_loop_current(), &left.node, count, &left.calls);
}

static void test_the_end_of_a_runtime(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(100); round++) {
		atomic_setup(&left.calls, 0);
		assert_int_equal(test_run(1 + round % 2, leaves_one_behind, NULL), 0);
		assert_int_equal(hilo_call_node_cancel(&left.node), -EALREADY);
		assert_true(load_acquire(&left.calls) <= 1);
	}
}

/* A done callback that is called by who ends the runtime: no loop will have a turn any more. */
struct late {
	hilo_done_node node;
	hilo_future *future;
	hilo_loop *loop;
	int rc;
};

static void asks_too_late(void *arg)
{
	struct late *late = arg;
	hilo_call_node node = {0};

	late->rc = hilo_call_soon_signalsafe(late->loop, &node, count, NULL);
}

static int asks_at_the_end(void *arg)
{
	struct late *late = arg;

	late->loop = hilo_loop_current();
	return hilo_future_on_done(late->future, &late->node, asks_too_late, late);
}

static void test_too_late(void **state)
{
	struct late late = {.future = hilo_future_new()};

	(void)state;
	assert_int_equal(test_run(1, asks_at_the_end, &late), 0);
	assert_int_equal(late.rc, HILO_ECLOSED);
	hilo_future_unref(late.future);
}

static void test_what_is_refused(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_call_node node = {0};
	hilo_runtime *runtime;
	hilo_loop *loop;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	loop = hilo_runtime_loop(runtime, 0);
	assert_int_equal(hilo_call_soon_signalsafe(NULL, &node, count, NULL), -EINVAL);
	assert_int_equal(hilo_call_soon_signalsafe(loop, NULL, count, NULL), -EINVAL);
	assert_int_equal(hilo_call_soon_signalsafe(loop, &node, NULL, NULL), -EINVAL);
	assert_int_equal(hilo_call_node_cancel(NULL), -EINVAL);
	assert_int_equal(hilo_call_node_cancel(&node), -EALREADY);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/*
 * Signal handlers, in plain threads and in the workers' own, which are busy with everything that a loop does.
 * Each handler makes requests on all loops; what was asked for last is seen by a turn that comes after it.
 */
#define LOOPS 2

static struct place {
	hilo_call_node node;
	hilo_loop *loop;
	atomic(unsigned) asked, served;
} places[LOOPS];

static atomic(unsigned) handled;
static pthread_t workers[LOOPS];
static atomic(unsigned) ready;
static test_flag over;

static void serve(void *arg)
{
	struct place *place = arg;
	unsigned asked = load_relaxed(&place->asked); /* relaxed: the request orders it */

	TASK_CHECK(hilo_loop_current(), ==, place->loop);
	TASK_CHECK(asked, >=, load_relaxed(&place->served)); /* relaxed: turns come one after the other */
	store_release(&place->served, asked);		     /* pairs with the last look of the test */
}

static void handler(int number)
{
	int before = errno;

	(void)number;
	errno = 77;
	for (int i = 0; i < LOOPS; i++) {
		int rc;

		(void)add_relaxed(&places[i].asked, 1); /* relaxed: as in serve */
		rc = hilo_call_soon_signalsafe(places[i].loop, &places[i].node, serve, &places[i]);
		if (rc != 0 && rc != -EALREADY)
			abort();
	}
	if (errno != 77)
		abort();
	errno = before;
	(void)add_release(&handled, 1);
}

static void handler_unblock(bool unblock)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	TASK_CHECK(pthread_sigmask(unblock ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL), ==, 0);
}

/* Pinned to its loop, whose thread takes signals from here on. */
static int takes_signals(void *arg)
{
	struct place *place = arg;

	TASK_CHECK(hilo_loop_current(), ==, place->loop);
	workers[place - places] = pthread_self();
	handler_unblock(true);
	(void)add_release(&ready, 1);
	while (!load_acquire(&over))
		TASK_CHECK(hilo_sleep(100 * HILO_MICROSECOND), ==, 0);
	handler_unblock(false);
	return 0;
}

/* What interrupts best: queues, timers, wake-ups between loops, calls. */
static int busy(void *arg)
{
	(void)arg;
	while (!load_acquire(&over)) {
		atomic(unsigned) calls;

		atomic_setup(&calls, 0);
		TASK_CHECK(hilo_join(hilo_spawn(test_entry_return, NULL), HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_call_soon(count, &calls, NULL), ==, 0);
		TASK_CHECK(hilo_sleep(20 * HILO_MICROSECOND), ==, 0);
		TEST_UNTIL(load_acquire(&calls));
	}
	return 0;
}

static void *thread_takes_signals(void *arg)
{
	(void)arg;
	handler_unblock(true);
	while (!load_acquire(&over))
		test_pause();
	return NULL;
}

static hilo_task *submit(hilo_runtime *runtime, hilo_task_fn entry, void *arg, hilo_loop *loop)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = loop ? HILO_TASK_PINNED : 0, .loop = loop};
	hilo_task *task;

	assert_int_equal(hilo_submit(runtime, entry, arg, &opts, &task), 0);
	return task;
}

/* Until one more signal was handled. ThreadSanitizer keeps one for the fiber that it has met, which may be over. */
static void until_handled(pthread_t target, unsigned wanted)
{
	while (load_acquire(&handled) < wanted) {
#ifdef HILO__TSAN
		assert_int_equal(pthread_kill(target, SIGUSR1), 0);
#endif
		test_pause();
	}
	(void)target;
}

static void test_signal_handlers_under_load(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = LOOPS};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
	pthread_t thread, targets[LOOPS + 1];
	hilo_task *tasks[LOOPS + 4];
	hilo_runtime *runtime;
	unsigned wanted;

	(void)state;
	hilo__nobody_stands_in = true;
	atomic_setup(&ready, 0);
	atomic_setup(&over, 0);
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		places[i].loop = hilo_runtime_loop(runtime, i);
	for (unsigned i = 0; i < LOOPS; i++)
		tasks[i] = submit(runtime, takes_signals, &places[i], places[i].loop);
	for (unsigned i = LOOPS; i < LOOPS + 4; i++)
		tasks[i] = submit(runtime, busy, NULL, NULL);
	TEST_UNTIL(load_acquire(&ready) == LOOPS);
	assert_int_equal(pthread_create(&thread, NULL, thread_takes_signals, NULL), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		targets[i] = workers[i];
	targets[LOOPS] = thread;
	for (unsigned round = 0; round < test_rounds(3000); round++) {
		wanted = load_acquire(&handled) + 1;
		assert_int_equal(pthread_kill(targets[round % (LOOPS + 1)], SIGUSR1), 0);
		if (round % 8 == 7) /* else it may meet others, or be one with them */
			until_handled(targets[round % (LOOPS + 1)], wanted);
	}
	for (int i = 0; i < LOOPS; i++)
		TEST_UNTIL(load_acquire(&places[i].served) == load_acquire(&places[i].asked));
	store_release(&over, 1);
	for (unsigned i = 0; i < LOOPS + 4; i++)
		assert_int_equal(hilo_join(tasks[i], HILO_FOREVER), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(load_acquire(&handled) >= test_rounds(3000) / 8);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	hilo__nobody_stands_in = false;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_node_is_queued_once),
		cmocka_unit_test(test_a_call_is_taken_back),
		cmocka_unit_test(test_a_callback_uses_its_node_again),
		cmocka_unit_test(test_a_call_is_taken_back_or_runs),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_the_end_of_a_runtime),
		cmocka_unit_test(test_too_late),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_signal_handlers_under_load),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
