/* SPDX-License-Identifier: MIT */
/* Pools as a whole: whose they are and how they end. Calls are in test_executor.c. */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

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

/* Who closes in vain reads which calls run, in which pool, for how long and where. */
TASK_TEST(test_a_close_that_is_late_tells_what_runs)
{
	struct busy_pool pool;
	char line[320];

	test_log_begin();
	busy_pool_begin(&pool, 0, 0);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_executor_submit(pool.executor, test_entry_return, NULL, NULL, HILO_FOREVER),
			   ==, 0);
	TASK_CHECK(pool_stats(pool.executor).running, ==, 1);
	TASK_CHECK(hilo_executor_close(pool.executor, 0, HILO_NO_WAIT), ==, -ETIMEDOUT); /* only a look */
	TASK_CHECK(test_log_count("did not end"), ==, 0);
	TASK_CHECK(hilo_executor_close(pool.executor, 0, hilo_after(2 * HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(test_log_count("did not end"), ==, 1);
	test_log_last(line, sizeof(line));
	TASK_CHECK_CONTAINS(line, "executor gatekeeper");
	TASK_CHECK_CONTAINS(line, "run in 1 threads");
	TASK_CHECK_CONTAINS(line, "2 calls are queued");
	TASK_CHECK(strstr(line, "for 0.000 s"), ==, NULL);
	busy_pool_end(&pool);
	test_log_end();
	return 0;
}

static int leave_running(void *arg)
{
	TASK_CHECK(hilo_executor_submit(NULL, gate_pass, arg, NULL, HILO_FOREVER), ==, 0);
	return 0;
}

/* A call that nobody waits for keeps its runtime from ending, and is named. */
static void test_a_runtime_that_is_late_tells_what_runs(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .shutdown = 2 * HILO_MILLISECOND};
	hilo_runtime *runtime;
	hilo_task *task;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	test_log_begin();
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, leave_running, &gate, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	TEST_UNTIL(load_acquire(&gate.inside));
	assert_int_equal(hilo_runtime_free(runtime), -ETIMEDOUT);
	assert_int_equal(test_log_count("executor hilo-pool did not end: calls run in 1 threads"), 1);
	gate_open(&gate);
	while (hilo_runtime_free(runtime) < 0)
		;
	test_log_end();
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
		cmocka_unit_test(test_a_close_that_is_late_tells_what_runs),
		cmocka_unit_test(test_a_runtime_that_is_late_tells_what_runs),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
