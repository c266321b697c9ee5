/* SPDX-License-Identifier: MIT */
/*
 * Memory, threads and descriptors that are not to be had: each request in turn is refused. What was
 * asked for fails with the documented code, nothing is leaked, and afterwards everything works.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#ifdef HILO__TSAN
#define MANY 100 /* each task is a fiber of its own there, which may cost a millisecond */
#else
#define MANY 700 /* more than a slab holds */
#endif

static bool is_refusal(int rc)
{
	return rc == -ENOMEM || rc == -EAGAIN;
}

static int nothing_main(void *arg)
{
	(void)arg;
	return 0;
}

/* What start asks for, one by one. */
static void test_start(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 3};
	unsigned fds, threads;
	long live, calls = 0;

	(void)state;
	assert_int_equal(test_run(3, nothing_main, NULL), 0);
	fds = test_fds();
	threads = test_threads();
	live = hilo__mem_live();
	for (long n = 1; n == 1 || n <= calls + 1; n++) {
		hilo_runtime *runtime = NULL;
		int rc;

		hilo__mem_fail_at(n, false);
		rc = hilo_runtime_new(&opts, &runtime);
		calls = hilo__mem_calls();
		hilo__mem_fail_at(0, false);
		if (rc < 0)
			assert_int_equal(rc, -ENOMEM);
		else
			assert_int_equal(hilo_runtime_free(runtime), 0);
		if (n > calls)
			break;
		assert_int_equal(test_fds(), fds);
		assert_int_equal(hilo__mem_live(), live);
	}
	test_threads_settle(threads);
	assert_int_equal(test_run(3, nothing_main, NULL), 0);
}

/* The calls of start that are no requests for memory: threads, descriptors, mappings. */
static void test_start_without_threads_or_descriptors(void **state)
{
	static const enum sys_call calls[] = {SYS_CALL_PTHREAD_CREATE, SYS_CALL_EPOLL_CREATE1,
					      SYS_CALL_EVENTFD, SYS_CALL_EPOLL_CTL, SYS_CALL_MMAP};
	hilo_opts opts = {.size = sizeof(opts), .workers = 3};
	unsigned fds = test_fds(), threads = test_threads();
	long live = hilo__mem_live();

	(void)state;
	for (size_t i = 0; i < array_size(calls); i++) {
		for (long n = 1; n < 100; n++) {
			hilo_runtime *runtime = NULL;
			long made;
			int rc;

			hilo__sys_fail(calls[i], n, 0, false);
			rc = hilo_runtime_new(&opts, &runtime);
			made = hilo__sys_calls(calls[i]);
			hilo__sys_fail(calls[i], 0, 0, false);
			if (rc == 0)
				assert_int_equal(hilo_runtime_free(runtime), 0);
			else
				assert_in_range(-rc, 1, 200);
			assert_int_equal(test_fds(), fds);
			assert_int_equal(hilo__mem_live(), live);
			if (made < n)
				break;
		}
		test_threads_settle(threads);
	}
	assert_int_equal(test_run(3, nothing_main, NULL), 0);
}

static atomic(unsigned) made, destroyed;

static void destroy_count(void *arg)
{
	(void)arg;
	(void)add_release(&destroyed, 1);
}

static int fail_main(void *arg)
{
	(void)arg;
	(void)hilo_yield();
	return hilo_fail(-EIO, "with a message");
}

static void call_nothing(void *arg)
{
	(void)arg;
}

static void watch_nothing(int fd, unsigned events, void *arg)
{
	(void)fd, (void)events, (void)arg;
}

static int worst(int a, int b)
{
	return a < 0 ? a : b;
}

static int ask_for_tasks(void)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "named", .destroy = destroy_count};
	hilo_task *task;
	int rc = hilo_spawn_with(fail_main, NULL, &opts, &task), joined;

	if (rc == 0) {
		(void)add_release(&made, 1);
		rc = hilo_task_set_name(task, "renamed");
		joined = hilo_join(task, HILO_FOREVER);
		if (joined != -EIO) {
			TASK_CHECK(joined, ==, -ENOMEM);
			rc = joined;
		}
	}
	joined = hilo_join(hilo_spawn(nothing_main, NULL), HILO_FOREVER);
	return worst(rc, joined);
}

static int ask_for_calls(void)
{
	hilo_handle *handle = NULL;
	hilo_fd_watcher *watch = NULL;
	int fds[2], rc = hilo_call_later(HILO_MINUTE, call_nothing, NULL, &handle);

	if (rc == 0) {
		TASK_CHECK(hilo_handle_cancel(handle), ==, 0);
		hilo_handle_unref(handle);
	}
	rc = worst(rc, hilo_call_soon(call_nothing, NULL, NULL));
	TASK_CHECK(pipe(fds), ==, 0);
	rc = worst(rc, hilo_fd_watch(fds[0], HILO_READABLE, watch_nothing, NULL, &watch));
	hilo_fd_unwatch(watch);
	rc = worst(rc, hilo_add_reader(fds[0], call_nothing, NULL));
	(void)hilo_remove_reader(fds[0]);
	if (hilo_fd_wait(fds[0], HILO_READABLE, hilo_after(HILO_MICROSECOND)) == -ENOMEM)
		rc = -ENOMEM;
	(void)close(fds[0]);
	(void)close(fds[1]);
	return rc;
}

/* More than have room on a stack, with one of them ready; and one after the other. */
static int ask_for_several(void)
{
	hilo_select_case cases[20];
	hilo_task *sleeper = hilo_spawn(test_entry_sleep_forever, NULL), *task;
	hilo_as_completed *set;
	int rc = sleeper ? 0 : -ENOMEM, selected;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < array_size(cases); i++)
		cases[i] = (hilo_select_case)HILO_SELECT_TASK(sleeper);
	selected = hilo_select(cases, array_size(cases), hilo_after(HILO_MICROSECOND));
	if (selected != -ETIMEDOUT)
		rc = selected;
	TASK_CHECK(hilo_task_cancel(sleeper), ==, 0);
	selected = hilo_as_completed_new(&sleeper, 1, &set);
	if (selected == 0) {
		TASK_CHECK(hilo_as_completed_next(set, &task, HILO_FOREVER), ==, 1);
		hilo_as_completed_free(set);
	}
	(void)hilo_join(sleeper, HILO_FOREVER);
	return worst(rc, selected);
}

/* Kept until the end, so that each round needs new memory. */
static struct {
	hilo_future *future[MANY * 64];
	hilo_task *task[MANY * 64];
	unsigned count, tasks;
} kept;

static void kept_drop(void)
{
	while (kept.count)
		hilo_future_unref(kept.future[--kept.count]);
	while (kept.tasks)
		hilo_task_unref(kept.task[--kept.tasks]);
}

/* A failure with its message, once it was queued; the code comes without it when there is no memory. */
static int ask_for_calls_of(hilo_executor *executor)
{
	hilo_future *future = NULL;
	int rc = hilo_executor_submit(executor, fail_main, NULL, &future, HILO_FOREVER), failed;

	TASK_CHECK(future != NULL, ==, rc == 0);
	if (rc == 0) {
		failed = hilo_future_await(future, NULL, HILO_FOREVER);
		if (failed != -EIO)
			rc = failed; /* no thread */
		if (kept.count < array_size(kept.future))
			kept.future[kept.count++] = future;
		else
			hilo_future_unref(future);
	}
	rc = worst(rc, hilo_executor_submit(executor, nothing_main, NULL, NULL, HILO_FOREVER));
	return worst(rc, hilo_executor_map(executor, nothing_main, NULL, 0, 100, NULL, 40, HILO_FOREVER));
}

static int ask_for_executors(void)
{
	hilo_executor *executor, *resolver;
	int rc = hilo_executor_new(NULL, &executor), called;

	if (rc < 0)
		return rc;
	called = hilo_run_in_executor(executor, nothing_main, NULL, HILO_FOREVER);
	called = worst(called, ask_for_calls_of(executor));
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	called = worst(called, hilo_run_in_executor(NULL, nothing_main, NULL, HILO_FOREVER));
	rc = hilo_resolver_executor(&resolver);
	return worst(called, rc < 0 ? rc : hilo_run_in_executor(resolver, nothing_main, NULL, HILO_FOREVER));
}

static int ask_for_futures(void)
{
	for (int i = 0; i < MANY && kept.count < array_size(kept.future); i++) {
		hilo_future *future = hilo_future_new();

		if (!future)
			return -ENOMEM;
		kept.future[kept.count++] = future;
	}
	return 0;
}

static int ask_for_many_tasks(void)
{
	unsigned first = kept.tasks;
	int rc = 0;

	for (int i = 0; i < MANY && kept.tasks < array_size(kept.task) && rc == 0; i++) {
		hilo_task *task = hilo_spawn(nothing_main, NULL);

		if (task)
			kept.task[kept.tasks++] = task;
		else
			rc = -ENOMEM;
	}
	/* Each runs, though there may be no memory for its stack until another one has ended. */
	for (; first < kept.tasks; first++)
		TASK_CHECK(hilo_await(kept.task[first], HILO_FOREVER), ==, 0);
	return rc;
}

static const hilo_local some_local = HILO_LOCAL("some", NULL, NULL);

static int return_zero(void *arg)
{
	(void)arg;
	return 0;
}

static int ask_for_locals(void)
{
	hilo_local_token token;
	hilo_context *context;
	int rc = hilo_local_set(&some_local, NULL, NULL);

	/* Going back asks for nothing. */
	if (hilo_local_set(&some_local, &token, &token) == 0) {
		TASK_CHECK(hilo_local_reset(&token), ==, 0);
		TASK_CHECK(hilo_local_get(&some_local), ==, NULL);
	} else {
		rc = -ENOMEM;
	}
	context = hilo_context_copy();
	if (context)
		TASK_CHECK(hilo_context_run(context, return_zero, NULL), ==, 0);
	else
		rc = -ENOMEM;
	hilo_context_free(context);
	return rc;
}

/* What cannot be spawned has failed, and so has the group. */
static int ask_for_a_group(void)
{
	int rc, spawned = 0;

	HILO_GROUP (group, &rc)
		for (int i = 0; i < MANY && spawned == 0; i++)
			spawned = hilo_group_spawn(group, nothing_main, NULL);
	if (spawned == HILO_ECLOSED)
		spawned = rc; /* one that had been spawned found no stack */
	TASK_CHECK(rc, ==, spawned);
	return rc;
}

static int ask_for_all(void)
{
	int rc = ask_for_tasks();

	rc = worst(rc, ask_for_locals());
	rc = worst(rc, ask_for_a_group());
	rc = worst(rc, ask_for_calls());
	rc = worst(rc, ask_for_several());
	rc = worst(rc, ask_for_executors());
	rc = worst(rc, ask_for_many_tasks());
	return worst(rc, ask_for_futures());
}

static int refused_main(void *arg)
{
	unsigned refusals = 0;
	long calls = 0;

	(void)arg;
	TASK_CHECK(ask_for_all(), ==, 0);
	for (long n = 1; n == 1 || n <= calls + 1; n++) {
		int rc;

		hilo__mem_fail_at(n, false);
		rc = ask_for_all();
		calls = hilo__mem_calls();
		hilo__mem_fail_at(0, false);
		if (rc < 0)
			TASK_CHECK(is_refusal(rc), ==, 1);
		refusals += rc < 0;
		TASK_CHECK(ask_for_all(), ==, 0);
		if (n > calls)
			break;
	}
	TASK_CHECK(refusals, >=, 3);
	/* And all at once. */
	hilo__mem_fail_at(1, true);
	for (int i = 0; i < 20; i++) {
		int rc = ask_for_all();

		if (rc < 0)
			TASK_CHECK(is_refusal(rc), ==, 1);
	}
	hilo__mem_fail_at(0, false);
	TASK_CHECK(ask_for_all(), ==, 0);
	TEST_UNTIL(load_acquire(&destroyed) == load_acquire(&made));
	return 0;
}

static void test_each_request_is_refused_once(void **state)
{
	static const unsigned workers[] = {1, 2, 4};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++) {
		unsigned fds = test_fds();
		long live;

		assert_int_equal(test_run(workers[i], nothing_main, NULL), 0);
		live = hilo__mem_live();
		store_release(&made, 0);
		store_release(&destroyed, 0);
		assert_int_equal(test_run(workers[i], refused_main, NULL), 0);
		kept_drop();
		assert_int_equal(hilo__mem_live(), live);
		assert_int_equal(test_fds(), fds);
	}
}

/* No thread for a call: it fails, or runs on the one that there is. */
static int no_threads_main(void *arg)
{
	(void)arg;
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, true);
	TASK_CHECK(hilo_run_in_executor(NULL, nothing_main, NULL, HILO_FOREVER), ==, -EAGAIN);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	TASK_CHECK(hilo_run_in_executor(NULL, nothing_main, NULL, HILO_FOREVER), ==, 0);
	return 0;
}

static void test_no_thread_for_a_call(void **state)
{
	(void)state;
	assert_int_equal(test_run(2, no_threads_main, NULL), 0);
}

/*
 * A stack that is not to be had: the task waits while others hold one. Each test needs a class of
 * stacks that nobody has used before in this program.
 */
static void stacks_refuse(void)
{
	hilo__sys_fail(SYS_CALL_MMAP, 1, ENOMEM, true);
	hilo__mem_fail_at(1, true);
}

static void stacks_allow(void)
{
	hilo__mem_fail_at(0, false);
	hilo__sys_fail(SYS_CALL_MMAP, 0, 0, false);
}

static int no_stack_main(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_8M, .destroy = destroy_count};
	hilo_task *task;

	(void)arg;
	store_release(&destroyed, 0);
	TASK_CHECK(hilo_spawn_with(nothing_main, NULL, &opts, &task), ==, 0);
	stacks_refuse();
	for (int i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(load_acquire(&destroyed), ==, 0);
	stacks_allow();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&destroyed), ==, 1);
	return 0;
}

static void test_a_task_waits_for_a_stack_while_others_hold_one(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, no_stack_main, NULL), 0);
}

/* A task that is to begin inside its spawn waits like any other; its spawner goes on. */
static int no_stack_eager_main(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts),
			       .stack = HILO_STACK_256K,
			       .flags = HILO_TASK_EAGER,
			       .destroy = destroy_count};
	hilo_task *task;

	(void)arg;
	store_release(&destroyed, 0);
	TASK_CHECK(hilo_spawn_with(nothing_main, NULL, NULL, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0); /* from now on there are records */
	stacks_refuse();
	TASK_CHECK(hilo_spawn_with(nothing_main, NULL, &opts, &task), ==, 0);
	for (int i = 0; i < 20; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(load_acquire(&destroyed), ==, 0);
	stacks_allow();
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&destroyed), ==, 1);
	return 0;
}

static void test_an_eager_task_waits_for_a_stack(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, no_stack_eager_main, NULL), 0);
}

static void test_nobody_holds_a_stack(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_task_opts large = {.size = sizeof(large), .stack = HILO_STACK_1M, .destroy = destroy_count};
	hilo_runtime *runtime;
	hilo_task *task;

	(void)state;
	store_release(&destroyed, 0);
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, nothing_main, NULL, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	large.flags = HILO_TASK_PINNED;
	stacks_refuse();
	assert_int_equal(hilo_submit(runtime, test_entry_return, (void *)(intptr_t)5, &large, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), -ENOMEM);
	stacks_allow();
	assert_int_equal(load_acquire(&destroyed), 1);
	assert_int_equal(hilo_submit(runtime, test_entry_return, (void *)(intptr_t)5, &large, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 5);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(load_acquire(&destroyed), 2);
}

/* A message that has no memory leaves the code. */
static void test_a_failure_without_its_message(void **state)
{
	(void)state;
	assert_int_equal(hilo_fail(-EIO, "with"), -EIO);
	assert_string_equal(hilo_error_message(), "with");
	hilo__mem_fail_at(1, true);
	assert_int_equal(hilo_fail(-EPERM, "without"), -EPERM);
	assert_string_equal(hilo_error_message(), "");
	hilo__mem_fail_at(0, false);
	assert_int_equal(hilo_fail(-EIO, "again"), -EIO);
	assert_string_equal(hilo_error_message(), "again");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_start_without_threads_or_descriptors),
		cmocka_unit_test(test_each_request_is_refused_once),
		cmocka_unit_test(test_no_thread_for_a_call),
		cmocka_unit_test(test_a_task_waits_for_a_stack_while_others_hold_one),
		cmocka_unit_test(test_an_eager_task_waits_for_a_stack),
		cmocka_unit_test(test_nobody_holds_a_stack),
		cmocka_unit_test(test_a_failure_without_its_message),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
