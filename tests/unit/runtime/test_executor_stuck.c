/* SPDX-License-Identifier: MIT */
/* Calls that wait for calls of their own executor: served while a thread can come, and told when none ever will. */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>

#include "scheduler/base/sys.h"

/* In what way a call waits for another one of the same executor. */
enum way {
	WAY_RUN,
	WAY_FUTURE,
	WAY_MAP,
	WAY_ROOM,
	WAYS
};

struct nest {
	hilo_executor *executor;
	enum way way;
	unsigned depth;	    /* calls below this one */
	hilo_time deadline; /* of each wait */
	test_flag *line_up; /* wait until so many are inside; NULL: none */
	atomic(unsigned) * told;
};

static int nest_call(void *arg);

/* Make a call of @below, and wait for it. */
static int nest_wait(const struct nest *nest, struct nest *below)
{
	hilo_future *future;
	void *value = NULL;
	int rc;

	switch (nest->way) {
	case WAY_RUN:
		return hilo_run_in_executor(nest->executor, nest_call, below, nest->deadline);
	case WAY_MAP:
		return hilo_executor_map(nest->executor, nest_call, below, 0, 1, NULL, 1, nest->deadline);
	case WAY_FUTURE:
		TASK_CHECK(hilo_executor_submit(nest->executor, nest_call, below, &future, HILO_FOREVER), ==,
			   0);
		rc = hilo_future_await(future, &value, nest->deadline);
		if (rc < 0)
			(void)hilo_future_cancel(future); /* `below` is on our stack */
		hilo_future_unref(future);
		return rc < 0 ? rc : (int)(intptr_t)value;
	default: /* the first fills the queue, the second waits for room */
		rc = hilo_executor_submit(nest->executor, test_entry_return, NULL, NULL, nest->deadline);
		return rc < 0 ? rc
			      : hilo_executor_submit(nest->executor, test_entry_return, NULL, NULL,
						     nest->deadline);
	}
}

static int nest_call(void *arg)
{
	struct nest *nest = arg, below = *nest;
	int rc;

	if (!nest->depth)
		return 0;
	below.depth--;
	below.line_up = NULL;
	if (nest->line_up) {
		(void)sub_release(nest->line_up, 1);
		TEST_UNTIL(load_acquire(nest->line_up) == 0);
	}
	rc = nest_wait(nest, &below);
	if (rc == -EDEADLK) {
		TASK_CHECK_CONTAINS(hilo_error_message(), "gatekeeper");
		(void)add_release(nest->told, 1);
		return 0; /* whoever waits for us goes on */
	}
	return rc;
}

static int nest_main(void *arg)
{
	struct nest *nest = arg;

	return hilo_run_in_executor(nest->executor, nest_call, nest, HILO_FOREVER);
}

static struct nest nest_make(unsigned threads, enum way way, unsigned depth, atomic(unsigned) * told)
{
	atomic_setup(told, 0);
	return (struct nest){.executor = pool_make(threads, way == WAY_ROOM, 0),
			     .way = way,
			     .depth = depth,
			     .deadline = HILO_FOREVER,
			     .told = told};
}

/* The only thread waits for itself. */
static int alone_main(void *arg)
{
	enum way *way = arg;
	atomic(unsigned) told;
	struct nest nest = nest_make(1, *way, 1, &told);

	for (unsigned i = 1; i <= 3; i++) {
		TASK_CHECK(nest_main(&nest), ==, 0);
		TASK_CHECK(load_acquire(&told), ==, i);
		TEST_UNTIL(pool_stats(nest.executor).queued == 0);
	}
	/* A deadline changes nothing: until then nobody would come. None at all is none that could wait. */
	nest.deadline = hilo_after(HILO_MINUTE);
	TASK_CHECK(nest_main(&nest), ==, 0);
	TASK_CHECK(load_acquire(&told), ==, 4);
	if (*way != WAY_ROOM) {
		nest.deadline = HILO_NO_WAIT;
		TASK_CHECK(nest_main(&nest), ==, -ETIMEDOUT);
	}
	pool_end(nest.executor);
	return 0;
}

static void test_the_only_thread_is_told_that_it_waits_for_itself(void **state)
{
	(void)state;
	for (enum way way = 0; way < WAYS; way++) {
		test_log_begin();
		assert_int_equal(test_run(2, alone_main, &way), 0);
		assert_int_equal(test_log_count("executor gatekeeper: all its 1 threads wait"), 1); /* once */
		test_log_end();
	}
}

/* Two wait for two calls that nobody takes: the second one is told, and then takes the other's. */
static int pair_main(void *arg)
{
	enum way *way = arg;
	atomic(unsigned) told;
	test_flag line_up;
	struct nest nest = nest_make(2, *way, 1, &told);
	hilo_task *task[2];

	nest.line_up = &line_up;
	atomic_setup(&line_up, 2);
	for (int i = 0; i < 2; i++)
		task[i] = hilo_spawn(nest_main, &nest);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&told), ==, 1);
	pool_end(nest.executor);
	return 0;
}

static void test_the_last_of_two_is_told(void **state)
{
	(void)state;
	for (enum way way = 0; way < WAY_ROOM; way++) { /* with room for one both may get on */
		test_log_begin();
		assert_int_equal(test_run(2, pair_main, &way), 0);
		assert_int_equal(test_log_count("all its 2 threads wait"), 1);
		test_log_end();
	}
}

/* The first waits for a call that runs, and that waits for one that nobody takes. */
static int chain_main(void *arg)
{
	enum way *way = arg;

	for (unsigned threads = 2; threads <= 5; threads++) {
		atomic(unsigned) told;
		struct nest nest = nest_make(threads, *way, threads, &told);

		TASK_CHECK(nest_main(&nest), ==, 0);
		TASK_CHECK(load_acquire(&told), ==, 1);
		/* With one less there is a thread for each. */
		nest.depth--;
		TASK_CHECK(nest_main(&nest), ==, 0);
		TASK_CHECK(load_acquire(&told), ==, 1);
		pool_end(nest.executor);
	}
	return 0;
}

static void test_a_chain_is_told_when_it_has_no_thread_left(void **state)
{
	(void)state;
	test_log_begin();
	for (enum way way = 0; way < WAY_ROOM; way++)
		assert_int_equal(test_run(2, chain_main, &way), 0);
	test_log_end();
}

/* As many as there are threads but one wait, all the time: nobody is ever told. */
static int busy_main(void *arg)
{
	struct nest *nest = arg;

	for (unsigned i = 0; i < test_rounds(300); i++) {
		struct nest one = *nest;

		one.way = (nest->way + i) % WAY_ROOM;
		TASK_CHECK(nest_main(&one), ==, 0);
	}
	return 0;
}

TASK_TEST(test_waits_that_end_are_not_counted)
{
	for (unsigned waiting = 1; waiting <= 3; waiting++) {
		atomic(unsigned) told;
		struct nest nest = nest_make(waiting + 1, WAY_RUN, 1, &told);
		hilo_task *task[3];

		for (unsigned i = 0; i < waiting; i++)
			task[i] = hilo_spawn(busy_main, &nest);
		for (unsigned i = 0; i < waiting; i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(load_acquire(&told), ==, 0);
		pool_end(nest.executor);
	}
	return 0;
}

/* More waits than threads, of all kinds: some are told, all end. */
TASK_TEST(test_nobody_waits_for_ever)
{
	for (unsigned threads = 1; threads <= 3; threads++) {
		atomic(unsigned) told;
		struct nest nest = nest_make(threads, WAY_RUN, threads, &told);
		hilo_task *task[6];

		test_log_begin();
		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(busy_main, &nest);
		for (size_t i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(load_acquire(&told), >=, 1);
		pool_end(nest.executor);
		test_log_end();
	}
	return 0;
}

/* With room to grow the pool grows. */
TASK_TEST(test_a_pool_that_may_grow_does)
{
	atomic(unsigned) told;
	struct nest nest = nest_make(0, WAY_RUN, 40, &told);

	TASK_CHECK(nest_main(&nest), ==, 0);
	TASK_CHECK(load_acquire(&told), ==, 0);
	TASK_CHECK(pool_stats(nest.executor).peak, ==, 41);
	pool_end(nest.executor);
	return 0;
}

/* One that may grow, and cannot: what is queued is refused, rather than wait for the one that waits for it. */
TASK_TEST(test_no_thread_is_to_be_had_while_the_only_one_waits)
{
	for (enum way way = 0; way < WAY_ROOM; way++) {
		atomic(unsigned) told;
		struct nest nest = nest_make(4, way, 1, &told);

		hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 2, 0, true);
		TASK_CHECK(nest_main(&nest), ==, -EAGAIN);
		hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
		TASK_CHECK(load_acquire(&told), ==, 0);
		TASK_CHECK(nest_main(&nest), ==, 0);
		pool_end(nest.executor);
	}
	return 0;
}

static int await_future(void *arg)
{
	return hilo_future_await(arg, NULL, HILO_FOREVER);
}

/* What is not the pool's to do is waited for as ever: a future of somebody else. */
TASK_TEST(test_other_waits_are_none_of_the_pools)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	hilo_future *future = hilo_future_new();
	struct pass pass = {executor, await_future, future, HILO_FOREVER};
	hilo_task *task = hilo_spawn(pass_main, &pass);

	TEST_UNTIL(pool_stats(executor).calls == 1);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	pool_end(executor);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_only_thread_is_told_that_it_waits_for_itself),
		cmocka_unit_test(test_the_last_of_two_is_told),
		cmocka_unit_test(test_a_chain_is_told_when_it_has_no_thread_left),
		cmocka_unit_test(test_waits_that_end_are_not_counted),
		cmocka_unit_test(test_nobody_waits_for_ever),
		cmocka_unit_test(test_a_pool_that_may_grow_does),
		cmocka_unit_test(test_no_thread_is_to_be_had_while_the_only_one_waits),
		cmocka_unit_test(test_other_waits_are_none_of_the_pools),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
