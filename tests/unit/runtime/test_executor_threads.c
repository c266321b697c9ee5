/* SPDX-License-Identifier: MIT */
/* The threads of pools: what runs on them, how the program prepares and finishes them, how large they are. */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define CALLS 300

/* Where tasks run, and where calls do. */
struct places {
	pthread_t thread[CALLS + 8];
	atomic(unsigned) used;
};

static void place_note(struct places *places)
{
	unsigned at = add_acq_rel(&places->used, 1);

	TASK_CHECK(at, <, array_size(places->thread));
	places->thread[at] = pthread_self();
}

static int call_notes(void *arg)
{
	TASK_CHECK(hilo_task_current(), ==, NULL);
	TASK_CHECK(hilo_runtime_current(), ==, NULL);
	place_note(arg);
	return 0;
}

/* The threads of the runtime, as far as a task can come to them. */
static int task_notes(void *arg)
{
	place_note(arg);
	return hilo_yield();
}

static bool places_meet(const struct places *a, const struct places *b)
{
	for (unsigned i = 0; i < load_acquire(&((struct places *)(uintptr_t)a)->used); i++)
		for (unsigned k = 0; k < load_acquire(&((struct places *)(uintptr_t)b)->used); k++)
			if (pthread_equal(a->thread[i], b->thread[k]))
				return true;
	return false;
}

/* Each of them, whichever way it was made, and none on a thread that runs tasks. */
TASK_TEST(test_every_call_runs_on_a_thread_of_the_pool)
{
	static struct places calls, tasks;
	hilo_task *task[CALLS / 4];
	struct pass pass = {NULL, call_notes, &calls, HILO_FOREVER};

	atomic_setup(&calls.used, 0);
	atomic_setup(&tasks.used, 0);
	for (int i = 0; i < CALLS / 4; i++) {
		task[i] = hilo_spawn(pass_main, &pass);
		TASK_CHECK(hilo_join(hilo_spawn(task_notes, &tasks), HILO_FOREVER), ==, 0);
	}
	for (int i = 0; i < CALLS / 4; i++) {
		hilo_future *future;

		TASK_CHECK(hilo_executor_submit(NULL, call_notes, &calls, &future, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
		hilo_future_unref(future);
		TASK_CHECK(hilo_to_thread(call_notes, &calls, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	}
	TASK_CHECK(hilo_executor_map(NULL, call_notes, &calls, 0, CALLS / 4, NULL, 0, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&calls.used), ==, CALLS);
	TASK_CHECK(places_meet(&calls, &tasks), ==, false);
	return 0;
}

struct second {
	test_flag begun, over;
	atomic(unsigned) ticks;
};

#define TICKS 10

/* Really blocks its thread, for a second in one system call, and until the task has ticked meanwhile. */
static int sleep_a_second(void *arg)
{
	struct second *second = arg;
	struct timespec span = {.tv_sec = 1};

	store_release(&second->begun, 1);
	do
		TASK_CHECK(nanosleep(&span, NULL), ==, 0);
	while (load_acquire(&second->ticks) < TICKS);
	store_release(&second->over, 1);
	return 0;
}

/* Ticks of 1 ms until the call is over. */
static int tick_main(void *arg)
{
	struct second *second = arg;

	TEST_UNTIL(load_acquire(&second->begun));
	for (;;) {
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
		if (load_acquire(&second->over))
			return 0;
		(void)add_release(&second->ticks, 1);
	}
}

/* A worker that the call holds would never tick. */
TASK_TEST(test_a_call_of_a_second_delays_no_task)
{
	struct second second;
	hilo_task *ticker;

	atomic_setup(&second.begun, 0);
	atomic_setup(&second.over, 0);
	atomic_setup(&second.ticks, 0);
	ticker = hilo_spawn(tick_main, &second);
	TASK_CHECK(hilo_to_thread(sleep_a_second, &second, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(ticker, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&second.ticks), >=, TICKS);
	return 0;
}

/* What the threads of a pool are made of. */
struct threads {
	atomic(unsigned) begun, prepared, ended, calls;
	atomic(unsigned) fails_at; /* the n-th initializer fails; 0: none */
	struct gate gate;
	bool gated;
};

static _Thread_local struct threads *mine;

static void threads_init(struct threads *threads)
{
	atomic_setup(&threads->begun, 0);
	atomic_setup(&threads->prepared, 0);
	atomic_setup(&threads->ended, 0);
	atomic_setup(&threads->calls, 0);
	atomic_setup(&threads->fails_at, 0);
	gate_init(&threads->gate);
	threads->gated = false;
}

static int thread_prepare(void *arg)
{
	struct threads *threads = arg;
	unsigned number = add_acq_rel(&threads->begun, 1) + 1;

	TASK_CHECK(mine, ==, NULL);
	if (threads->gated)
		(void)gate_pass(&threads->gate);
	if (number == load_acquire(&threads->fails_at))
		return hilo_fail(-ENOTTY, "no line to %s", "the printer");
	mine = threads;
	(void)add_release(&threads->prepared, 1);
	return 0;
}

static void thread_finish(void *arg)
{
	struct threads *threads = arg;

	TASK_CHECK(mine, ==, threads); /* on the same thread, once, and not where it has failed */
	mine = NULL;
	(void)add_release(&threads->ended, 1);
}

static int prepared_call(void *arg)
{
	struct threads *threads = arg;

	TASK_CHECK(mine, ==, threads);
	(void)add_release(&threads->calls, 1);
	return 1;
}

static hilo_executor *prepared_pool(struct threads *threads, unsigned most, hilo_time idle)
{
	hilo_executor_opts opts = {.size = sizeof(opts),
				   .name = "prepared",
				   .max_threads = most,
				   .idle = idle,
				   .initializer = thread_prepare,
				   .finalizer = thread_finish,
				   .init_arg = threads};
	hilo_executor *executor;

	TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
	return executor;
}

/* One second of idleness is for ever here, one microsecond no time at all. */
TASK_TEST(test_each_thread_is_prepared_and_finished_once)
{
	static const hilo_time idle[] = {HILO_SECOND, HILO_MICROSECOND};

	for (size_t i = 0; i < array_size(idle); i++) {
		struct threads threads;
		hilo_executor *executor;
		struct pass pass = {.fn = prepared_call, .arg = &threads, .deadline = HILO_FOREVER};
		hilo_task *task[100];

		threads_init(&threads);
		pass.executor = executor = prepared_pool(&threads, 5, idle[i]);
		for (size_t k = 0; k < array_size(task); k++)
			task[k] = hilo_spawn(pass_main, &pass);
		for (size_t k = 0; k < array_size(task); k++)
			TASK_CHECK(hilo_join(task[k], HILO_FOREVER), ==, 1);
		for (int k = 0; k < 20; k++) /* against threads that are just going */
			TASK_CHECK(pass_main(&pass), ==, 1);
		TASK_CHECK(pool_stats(executor).peak, <=, 5);
		pool_end(executor);
		TASK_CHECK(load_acquire(&threads.calls), ==, array_size(task) + 20);
		TASK_CHECK(load_acquire(&threads.begun), >=, 1);
		TASK_CHECK(load_acquire(&threads.begun), ==, load_acquire(&threads.prepared));
		TASK_CHECK(load_acquire(&threads.begun), ==, load_acquire(&threads.ended));
	}
	return 0;
}

/* A slow initializer holds up nobody but its own thread; and for one call one thread is enough. */
TASK_TEST(test_threads_are_prepared_side_by_side)
{
	struct threads threads;
	struct pass pass = {.fn = prepared_call, .arg = &threads, .deadline = HILO_FOREVER};
	hilo_task *task[3];

	threads_init(&threads);
	threads.gated = true;
	pass.executor = prepared_pool(&threads, 3, HILO_MINUTE);
	task[0] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&threads.gate.inside) == 1);
	TASK_CHECK(pool_stats(pass.executor).threads, ==, 1);
	task[1] = hilo_spawn(pass_main, &pass);
	task[2] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&threads.gate.inside) == 3);
	gate_open(&threads.gate);
	for (size_t k = 0; k < array_size(task); k++)
		TASK_CHECK(hilo_join(task[k], HILO_FOREVER), ==, 1);
	TASK_CHECK(load_acquire(&threads.begun), ==, 3);
	pool_end(pass.executor);
	return 0;
}

/* All that is queued, that waits for room and that comes later is told, and why. */
static int break_main(void *arg)
{
	struct threads threads;
	struct pass pass = {.fn = prepared_call, .arg = &threads, .deadline = HILO_FOREVER};
	hilo_task *task[8];
	hilo_future *future;

	(void)arg;
	threads_init(&threads);
	threads.gated = true;
	store_release(&threads.fails_at, 1);
	pass.executor = prepared_pool(&threads, 1, 0);
	TASK_CHECK(hilo_executor_submit(pass.executor, prepared_call, &threads, &future, HILO_FOREVER), ==,
		   0);
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&threads.gate.inside) == 1 &&
		   pool_stats(pass.executor).queued == array_size(task) + 1);
	gate_open(&threads.gate);
	for (size_t i = 0; i < array_size(task); i++) {
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, -ENOTTY);
		TASK_CHECK_CONTAINS(hilo_error_message(), "prepared");
		TASK_CHECK_CONTAINS(hilo_error_message(), "no line to the printer");
	}
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, -ENOTTY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "no line to the printer");
	hilo_future_unref(future);
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(pass_main(&pass), ==, -ENOTTY);
		TASK_CHECK_CONTAINS(hilo_error_message(), "no line to the printer");
		TASK_CHECK(hilo_executor_submit(pass.executor, prepared_call, &threads, NULL, HILO_FOREVER),
			   ==, -ENOTTY);
		TASK_CHECK_CONTAINS(hilo_error_message(), "no line to the printer");
		TASK_CHECK(hilo_executor_map(pass.executor, prepared_call, &threads, 0, 3, NULL, 0,
					     HILO_FOREVER),
			   ==, -ENOTTY);
		TASK_CHECK_CONTAINS(hilo_error_message(), "no line to the printer");
	}
	pool_end(pass.executor);
	TASK_CHECK(load_acquire(&threads.calls), ==, 0);
	TASK_CHECK(load_acquire(&threads.ended), ==, 0);
	TASK_CHECK(load_acquire(&threads.begun), ==, 1);
	return 0;
}

static void test_a_failing_initializer_breaks_the_pool(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		test_log_begin();
		assert_int_equal(test_run(workers, break_main, NULL), 0);
		assert_int_equal(test_log_count("is broken"), 1);
		assert_int_equal(test_log_count("ENOTTY: no line to the printer"), 1);
		test_log_end();
	}
}

/* The second thread cannot be prepared: what the first one runs is run to its end. */
static int break_second_main(void *arg)
{
	struct threads threads;
	struct gate gate;
	struct pass block = {.fn = gate_pass, .arg = &gate, .deadline = HILO_FOREVER};
	struct pass pass = {.fn = prepared_call, .arg = &threads, .deadline = HILO_FOREVER};
	hilo_task *task;

	(void)arg;
	threads_init(&threads);
	gate_init(&gate);
	store_release(&threads.fails_at, 2);
	pass.executor = block.executor = prepared_pool(&threads, 2, 0);
	task = hilo_spawn(pass_main, &block);
	TEST_UNTIL(load_acquire(&gate.inside));
	TASK_CHECK(pass_main(&pass), ==, -ENOTTY);
	TASK_CHECK(pass_main(&pass), ==, -ENOTTY);
	gate_open(&gate);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	pool_end(pass.executor);
	TASK_CHECK(load_acquire(&threads.begun), ==, 2);
	TASK_CHECK(load_acquire(&threads.ended), ==, 1);
	return 0;
}

static void test_a_broken_pool_ends_what_it_has_begun(void **state)
{
	(void)state;
	test_log_begin();
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, break_second_main, NULL), 0);
	test_log_end();
}

static int stack_of_thread(void *arg)
{
	pthread_attr_t attr;

	TASK_CHECK(pthread_getattr_np(pthread_self(), &attr), ==, 0);
	TASK_CHECK(pthread_attr_getstacksize(&attr, arg), ==, 0);
	return pthread_attr_destroy(&attr);
}

/* The C library may hand out a larger one that it has kept. */
static void test_threads_have_the_stack_that_was_asked_for(void **state)
{
	static const size_t sizes[] = {256 << 10, 16 << 20};

	(void)state;
	for (size_t i = 0; i < array_size(sizes); i++) {
		hilo_executor_opts opts = {.size = sizeof(opts), .stack_size = sizes[i]};
		hilo_executor *executor;
		size_t size = 0;

		assert_int_equal(hilo_executor_new(&opts, &executor), 0);
		assert_int_equal(hilo_run_in_executor(executor, stack_of_thread, &size, HILO_FOREVER), 0);
		assert_true(size >= sizes[i]);
		pool_end(executor);
	}
}

static void test_a_stack_may_not_be_too_small(void **state)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .stack_size = 1000};
	hilo_executor *executor = NULL;

	(void)state;
	assert_int_equal(hilo_executor_new(&opts, &executor), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "1000"));
	assert_null(executor);
}

static int call_tells_its_thread(void *name)
{
	return pthread_getname_np(pthread_self(), name, 16);
}

TASK_TEST(test_threads_have_the_name_that_was_asked_for)
{
	static const char *const asked[] = {NULL, "baker", "butcher-and-baker"}, *const given[] = {
											 "hilo-pool", "baker",
											 "butcher-and-ba"};
	hilo_executor *resolver;
	char name[16];

	TASK_CHECK(hilo_to_thread(call_tells_its_thread, name, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(name, "hilo-pool");
	TASK_CHECK(hilo_resolver_executor(&resolver), ==, 0);
	TASK_CHECK(hilo_run_in_executor(resolver, call_tells_its_thread, name, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(name, "hilo-resolve");
	for (size_t i = 0; i < array_size(asked); i++) {
		hilo_executor_opts opts = {.size = sizeof(opts), .name = asked[i]};
		hilo_executor *executor;

		TASK_CHECK(hilo_executor_new(&opts, &executor), ==, 0);
		TASK_CHECK(hilo_run_in_executor(executor, call_tells_its_thread, name, HILO_FOREVER), ==, 0);
		TASK_CHECK_CONTAINS(name, given[i]);
		pool_end(executor);
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_runs_on_a_thread_of_the_pool),
		cmocka_unit_test(test_a_call_of_a_second_delays_no_task),
		cmocka_unit_test(test_each_thread_is_prepared_and_finished_once),
		cmocka_unit_test(test_threads_are_prepared_side_by_side),
		cmocka_unit_test(test_a_failing_initializer_breaks_the_pool),
		cmocka_unit_test(test_a_broken_pool_ends_what_it_has_begun),
		cmocka_unit_test(test_threads_have_the_stack_that_was_asked_for),
		cmocka_unit_test(test_threads_have_the_name_that_was_asked_for),
		cmocka_unit_test(test_a_stack_may_not_be_too_small),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
