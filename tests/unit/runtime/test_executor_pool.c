/* SPDX-License-Identifier: MIT */
/* Pools as a whole: whose they are, what their threads are made of, how they end. Calls are in test_executor.c. */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "scheduler/base/sys.h"

static int thread_name(void *arg)
{
	return prctl(PR_GET_NAME, arg);
}

TASK_TEST(test_a_default_executor_can_be_supplied_before_it_is_used)
{
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_executor *mine = pool_make(1, 0, 0), *other = pool_make(1, 0, 0);
	char name[32];

	TASK_CHECK(hilo_runtime_set_default_executor(NULL, mine), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_set_default_executor(runtime, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_set_default_executor(runtime, mine), ==, 0);
	TASK_CHECK(hilo_runtime_set_default_executor(runtime, mine), ==, -EBUSY);
	TASK_CHECK(hilo_runtime_set_default_executor(runtime, other), ==, -EBUSY);
	TASK_CHECK(hilo_to_thread(thread_name, name, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(name, "gatekeeper");
	TASK_CHECK(pool_stats(NULL).calls, ==, 1);
	TASK_CHECK(pool_stats(mine).calls, ==, 1);
	/* It is the runtime's now, which ends it; the other one is still ours. */
	TASK_CHECK(hilo_executor_close(mine, 0, HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "gatekeeper");
	pool_end(other);
	return 0;
}

TASK_TEST(test_a_default_executor_that_was_used_stays)
{
	hilo_executor *executor = pool_make(1, 0, 0);

	TASK_CHECK(hilo_to_thread(test_entry_return, (void *)(intptr_t)3, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_runtime_set_default_executor(hilo_runtime_current(), executor), ==, -EBUSY);
	pool_end(executor);
	return 0;
}

/* Two runtimes, one executor: it has one owner. */
static void test_an_executor_belongs_to_one_runtime(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_runtime *first, *second;
	hilo_executor *executor = pool_make(1, 0, 0);

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &first), 0);
	assert_int_equal(hilo_runtime_new(&opts, &second), 0);
	assert_int_equal(hilo_runtime_set_default_executor(first, executor), 0);
	assert_int_equal(hilo_runtime_set_default_executor(second, executor), -EBUSY);
	assert_int_equal(hilo_run_in_executor(executor, test_entry_return, NULL, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(second), 0);
	assert_int_equal(hilo_runtime_free(first), 0);
}

/* Names are resolved while the default executor is full, and its queue is, too. */
TASK_TEST(test_the_resolver_does_not_wait_for_the_default_executor)
{
	struct gate gate;
	struct pass pass = {NULL, gate_pass, &gate, HILO_FOREVER};
	hilo_executor *resolver, *again;
	hilo_task *blocked, *queued;
	char name[32];

	gate_init(&gate);
	TASK_CHECK(hilo_runtime_set_default_executor(hilo_runtime_current(), pool_make(1, 0, 0)), ==, 0);
	blocked = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside));
	queued = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(pool_stats(NULL).queued == 1);
	TASK_CHECK(hilo_resolver_executor(&resolver), ==, 0);
	TASK_CHECK(hilo_run_in_executor(resolver, thread_name, name, HILO_FOREVER), ==, 0);
	TASK_CHECK_TEXT(name, "hilo-resolve");
	TASK_CHECK(load_acquire(&gate.inside), ==, 1);
	TASK_CHECK(pool_stats(NULL).queued, ==, 1);
	TASK_CHECK(hilo_resolver_executor(&again), ==, 0);
	TASK_CHECK(again, ==, resolver);
	TASK_CHECK(hilo_executor_close(resolver, 0, HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK(hilo_resolver_executor(NULL), ==, -EINVAL);
	gate_open(&gate);
	TASK_CHECK(hilo_join(blocked, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(queued, HILO_FOREVER), ==, 1);
	return 0;
}

#define NAMES 40

/* Many names at once: no more threads than it may have, and all are resolved. */
TASK_TEST(test_the_resolver_has_few_threads)
{
	struct gate gate;
	struct pass pass = {NULL, gate_pass, &gate, HILO_FOREVER};
	hilo_task *task[NAMES];

	gate_init(&gate);
	TASK_CHECK(hilo_resolver_executor(&pass.executor), ==, 0);
	for (int i = 0; i < NAMES; i++)
		task[i] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside) == 16);
	TASK_CHECK(pool_stats(pass.executor).threads, ==, 16);
	gate_open(&gate);
	for (int i = 0; i < NAMES; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	TASK_CHECK(pool_stats(pass.executor).peak, ==, 16);
	return 0;
}

static void test_there_is_no_resolver_outside_of_a_runtime(void **state)
{
	hilo_executor *executor = NULL;

	(void)state;
	assert_int_equal(hilo_resolver_executor(&executor), -EDEADLK);
	assert_null(executor);
	assert_int_equal(hilo_to_thread(test_entry_return, NULL, HILO_FOREVER), -EDEADLK);
}

/* What a callback that runs while the runtime ends is told. */
static void look_for_the_resolver(void *arg)
{
	hilo_executor *executor;
	int rc = hilo_resolver_executor(&executor);

	TASK_CHECK(rc == 0 || rc == HILO_ECLOSED, ==, true);
	(void)add_release((atomic(unsigned) *)arg, 1);
}

static int leave_callbacks(void *arg)
{
	for (int i = 0; i < 1000; i++)
		TASK_CHECK(hilo_call_soon(look_for_the_resolver, arg, NULL), ==, 0);
	return 0;
}

static void test_the_resolver_is_not_made_while_the_runtime_ends(void **state)
{
	atomic(unsigned) asked;

	(void)state;
	for (unsigned round = 0; round < test_rounds(40); round++) {
		atomic_setup(&asked, 0);
		assert_int_equal(test_run(1 + round % 2, leave_callbacks, &asked), 0);
	}
}

static int close_own(void *arg)
{
	return hilo_executor_close(arg, 0, HILO_FOREVER);
}

TASK_TEST(test_a_call_cannot_close_its_own_executor)
{
	hilo_executor *executor = pool_make(1, 0, 0);

	TASK_CHECK(hilo_run_in_executor(executor, close_own, executor, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK_CONTAINS(hilo_error_message(), "gatekeeper");
	pool_end(executor);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_default_executor_can_be_supplied_before_it_is_used),
		cmocka_unit_test(test_a_default_executor_that_was_used_stays),
		cmocka_unit_test(test_an_executor_belongs_to_one_runtime),
		cmocka_unit_test(test_the_resolver_does_not_wait_for_the_default_executor),
		cmocka_unit_test(test_the_resolver_has_few_threads),
		cmocka_unit_test(test_there_is_no_resolver_outside_of_a_runtime),
		cmocka_unit_test(test_the_resolver_is_not_made_while_the_runtime_ends),
		cmocka_unit_test(test_a_call_cannot_close_its_own_executor),
		cmocka_unit_test(test_each_thread_is_prepared_and_finished_once),
		cmocka_unit_test(test_threads_are_prepared_side_by_side),
		cmocka_unit_test(test_a_failing_initializer_breaks_the_pool),
		cmocka_unit_test(test_a_broken_pool_ends_what_it_has_begun),
		cmocka_unit_test(test_threads_have_the_stack_that_was_asked_for),
		cmocka_unit_test(test_a_stack_may_not_be_too_small),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
