/* SPDX-License-Identifier: MIT */
/*
 * Memory that has run out and stays so: from the n-th request on each one is refused, for every n that
 * there is. What asks fails with the documented code and has taken nothing; what was taken before is
 * finished; nothing is leaked; and when there is memory again everything works. test_oom.c refuses
 * single requests.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <unistd.h>

#include "scheduler/base/mem.h"

/* More objects than a heap can have at hand: it maps room for 8000 at a time. */
#define MANY 20000

/* What a sweep calls: 0, or how it was refused; with memory it must be 0. */
typedef int (*ask_fn)(void *arg);

/* The caller holds one failure, whatever it held before: two of its own in a row have no cause. */
static void failure_settle(void)
{
	(void)hilo_fail(-EIO, "first");
	(void)hilo_fail(-EIO, "second");
}

/*
 * Once for each request of @ask: the memory ends there. Returns how often it was refused. @alone: no
 * runtime is there meanwhile which could make a spare worker, so each block must be back at once.
 */
static unsigned sweep(ask_fn ask, void *arg, bool alone)
{
	unsigned refused = 0;
	long live, calls = 0;

	TASK_CHECK(ask(arg), ==, 0);
	failure_settle();
	live = hilo__mem_live();
	for (long n = 1; n < 1000; n++) {
		int rc;

		hilo__mem_fail_at(n, true);
		rc = ask(arg);
		calls = hilo__mem_calls();
		hilo__mem_fail_at(0, false);
		if (rc != 0)
			TASK_CHECK(rc, ==, -ENOMEM);
		refused += rc != 0;
		TASK_CHECK(ask(arg), ==, 0);
		failure_settle();
		if (alone)
			TASK_CHECK(hilo__mem_live(), ==, live);
		if (calls < n)
			return refused;
	}
	TASK_CHECK(calls, ==, 0); /* it never ends */
	return 0;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Blocks that are there when all that this thread may keep is there. */
static long live_settled(void)
{
	TASK_CHECK(test_run(2, nothing, NULL), ==, 0);
	failure_settle();
	return hilo__mem_live();
}

static void watch_nothing(int fd, unsigned events, void *arg)
{
	(void)fd, (void)events, (void)arg;
}

/* A whole runtime with a task that does not ask for anything itself. */
static int ask_for_a_runtime(void *arg)
{
	return test_run(*(const unsigned *)arg, nothing, NULL);
}

/* Before there is any: heaps, which are kept for ever, must be made as well. */
static void test_the_first_runtime(void **state)
{
	unsigned workers = 2, fds = test_fds();
	long live;
	int rc;

	(void)state;
	failure_settle();
	live = hilo__mem_live();
	for (long n = 1; n < 100; n++) {
		hilo__mem_fail_at(n, true);
		rc = ask_for_a_runtime(&workers);
		hilo__mem_fail_at(0, false);
		failure_settle();
		assert_int_equal(hilo__mem_live(), live);
		assert_int_equal(test_fds(), fds);
		if (rc == 0)
			return;
		assert_int_equal(rc, -ENOMEM);
	}
	fail();
}

static void test_runtimes(void **state)
{
	static const unsigned workers[] = {1, 2, 4};
	unsigned fds = test_fds();

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++) {
		assert_true(sweep(ask_for_a_runtime, (void *)(uintptr_t)&workers[i], true) >= 4);
		assert_int_equal(test_fds(), fds);
	}
}

/* The arguments of tasks: each that was taken is destroyed once, each that was not is still ours. */
static struct {
	atomic(unsigned) ran, destroyed;
	unsigned taken;
} tasks;

static int count_run(void *arg)
{
	(void)arg;
	(void)add_release(&tasks.ran, 1);
	return 0;
}

static void count_destroyed(void *arg)
{
	TASK_CHECK(arg, ==, &tasks);
	(void)add_release(&tasks.destroyed, 1);
}

static void tasks_begin(void)
{
	store_release(&tasks.ran, 0);
	store_release(&tasks.destroyed, 0);
	tasks.taken = 0;
}

static void tasks_taken(int rc, hilo_task **task)
{
	if (rc == 0)
		tasks.taken++;
	else
		TASK_CHECK(*task, ==, NULL);
}

static void tasks_end(void)
{
	TEST_UNTIL(load_acquire(&tasks.destroyed) == tasks.taken);
	TASK_CHECK(load_acquire(&tasks.ran), <=, tasks.taken);
}

/* With and without a name, from a task or from a plain thread. */
static int ask_for_named_tasks(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "named", .destroy = count_destroyed};
	hilo_task *spawned = NULL, *submitted = NULL;
	int rc, rc2 = 0;

	tasks_begin();
	rc = hilo_submit(arg, count_run, &tasks, &opts, &submitted);
	tasks_taken(rc, &submitted);
	if (hilo_task_current()) {
		rc2 = hilo_spawn_with(count_run, &tasks, &opts, &spawned);
		tasks_taken(rc2, &spawned);
	}
	if (submitted)
		TASK_CHECK(hilo_join(submitted, HILO_FOREVER), ==, 0);
	if (spawned)
		TASK_CHECK(hilo_join(spawned, HILO_FOREVER), ==, 0);
	tasks_end();
	return rc < 0 ? rc : rc2;
}

static int named_tasks_main(void *arg)
{
	(void)arg;
	TASK_CHECK(sweep(ask_for_named_tasks, hilo_runtime_current(), false), >=, 2);
	return 0;
}

/* A copy of the name is there already when the record is refused. */
static void name_goes_back(hilo_runtime *runtime)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "named"};
	long live = hilo__mem_live();

	hilo__mem_fail_at(2, true);
	TASK_CHECK(hilo_submit(runtime, nothing, NULL, &opts, NULL), ==, -ENOMEM);
	TASK_CHECK(hilo__mem_calls(), >=, 2);
	TASK_CHECK(hilo__mem_live(), ==, live);
}

/* Records: until there are none, which the pools put off for long. */
static int submit_until_refused(hilo_runtime *runtime)
{
	hilo_task_opts opts = {.size = sizeof(opts), .destroy = count_destroyed};
	static hilo_task *made[MANY];
	int rc = 0;

	tasks_begin();
	hilo__mem_fail_at(1, true);
	while (rc == 0 && tasks.taken < MANY) {
		hilo_task *task = NULL;

		rc = hilo_submit(runtime, count_run, &tasks, &opts, &task);
		made[tasks.taken] = task; /* kept: an ended one's record must not be used again */
		tasks_taken(rc, &task);
	}
	name_goes_back(runtime);
	hilo__mem_fail_at(0, false);
	for (unsigned i = 0; i < tasks.taken; i++)
		TASK_CHECK(hilo_join(made[i], HILO_FOREVER), ==, 0);
	tasks_end();
	TASK_CHECK(load_acquire(&tasks.ran), ==, tasks.taken);
	return rc;
}

static int submit_main(void *arg)
{
	(void)arg;
	TASK_CHECK(submit_until_refused(hilo_runtime_current()), ==, -ENOMEM);
	TASK_CHECK(hilo_join(hilo_spawn(nothing, NULL), HILO_FOREVER), ==, 0);
	return 0;
}

static int run_until_complete(void *arg)
{
	return hilo_runtime_run_until_complete(arg, nothing, NULL);
}

static int close_at_once(void *arg)
{
	return hilo_runtime_close(arg, HILO_FOREVER);
}

/* A thread that has never waited: without memory it neither runs nor closes anything, and nothing has happened. */
static void *new_thread(void *arg)
{
	hilo_runtime *made = NULL;

	TASK_CHECK(sweep(run_until_complete, arg, false), >=, 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_runtime_new(NULL, &made), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(made, ==, NULL);
	return NULL;
}

static void *new_thread_closes(void *arg)
{
	TASK_CHECK(close_at_once(arg), ==, 0);
	return NULL;
}

static void test_runtimes_as_objects(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	long live = live_settled();

	(void)state;
	for (int round = 0; round < 3; round++) {
		hilo_runtime *runtime;
		pthread_t thread;

		assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
		(void)sweep(run_until_complete, runtime, false);
		assert_int_equal(pthread_create(&thread, NULL, new_thread, runtime), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (round == 0) {
			hilo__mem_fail_at(1, true); /* the thread that has made it needs no memory */
			assert_int_equal(close_at_once(runtime), 0);
			hilo__mem_fail_at(0, false);
		} else if (round == 1) {
			assert_int_equal(pthread_create(&thread, NULL, new_thread_closes, runtime), 0);
			assert_int_equal(pthread_join(thread, NULL), 0);
		}
		assert_int_equal(hilo_runtime_free(runtime), 0);
	}
	assert_int_equal(live_settled(), live);
}

static void test_submit(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_runtime *runtime;
	long live = live_settled();

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		assert_int_equal(test_run(workers, submit_main, NULL), 0);
		assert_int_equal(test_run(workers, named_tasks_main, NULL), 0);
	}
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(submit_until_refused(runtime), -ENOMEM);
	assert_true(sweep(ask_for_named_tasks, runtime, false) >= 1);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(live_settled(), live);
}

/* Calls: those that were taken run once, or are cancelled; the others leave no handle. */
static atomic(unsigned) called;

static void count_called(void *arg)
{
	(void)arg;
	(void)add_release(&called, 1);
}

typedef int (*call_fn)(hilo_handle **ret);

static int call_soon(hilo_handle **ret)
{
	return hilo_call_soon(count_called, NULL, ret);
}

static int call_threadsafe(hilo_handle **ret)
{
	return hilo_call_soon_threadsafe(hilo_runtime_loop(hilo_runtime_current(), 0), count_called, NULL,
					 ret);
}

static int call_later(hilo_handle **ret)
{
	return hilo_call_later(HILO_MILLISECOND, count_called, NULL, ret);
}

static int call_at(hilo_handle **ret)
{
	return hilo_call_at(hilo_after(HILO_MINUTE), count_called, NULL, ret);
}

/* The handles are kept, so that their memory is not used again. */
static void call_until_refused(call_fn call, bool runs)
{
	static hilo_handle *handle[MANY];
	unsigned taken = 0;
	int rc = 0;

	store_release(&called, 0);
	hilo__mem_fail_at(1, true);
	while (rc == 0 && taken < MANY) {
		handle[taken] = NULL;
		rc = call(&handle[taken]);
		if (rc == 0)
			taken++;
		else
			TASK_CHECK(handle[taken], ==, NULL);
	}
	hilo__mem_fail_at(0, false);
	TASK_CHECK(rc, ==, -ENOMEM);
	if (runs)
		TEST_UNTIL(load_acquire(&called) == taken);
	for (unsigned i = 0; i < taken; i++) {
		TASK_CHECK(hilo_handle_cancel(handle[i]), ==, runs ? -EALREADY : 0);
		hilo_handle_unref(handle[i]);
	}
	TASK_CHECK(load_acquire(&called), ==, runs ? taken : 0);
	/* There is memory again. */
	TASK_CHECK(call(&handle[0]), ==, 0);
	(void)hilo_handle_cancel(handle[0]);
	hilo_handle_unref(handle[0]);
}

static int calls_main(void *arg)
{
	(void)arg;
	call_until_refused(call_soon, true);
	call_until_refused(call_threadsafe, true);
	call_until_refused(call_later, true);
	call_until_refused(call_at, false);
	return 0;
}

/* Futures: their own memory is asked for; a done callback brings its own. */
static struct done {
	hilo_done_node node;
	hilo_future *future;
} done[MANY];

static int futures_main(void *arg)
{
	unsigned taken = 0;

	(void)arg;
	store_release(&called, 0);
	hilo__mem_fail_at(1, true);
	while (taken < MANY && (done[taken].future = hilo_future_new())) {
		TASK_CHECK(hilo_future_on_done(done[taken].future, &done[taken].node, count_called, NULL), ==,
			   0);
		taken++;
	}
	TASK_CHECK(taken, <, MANY);
	TASK_CHECK(hilo_future_on_done(NULL, &done[taken].node, count_called, NULL), ==, -ENOMEM);
	for (unsigned i = 0; i < taken; i++)
		TASK_CHECK(hilo_future_set(done[i].future, NULL, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&called) == taken);
	hilo__mem_fail_at(0, false);
	for (unsigned i = 0; i < taken; i++)
		hilo_future_unref(done[i].future);
	return 0;
}

static void test_calls_and_futures(void **state)
{
	long live = live_settled();

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		assert_int_equal(test_run(workers, calls_main, NULL), 0);
		assert_int_equal(test_run(workers, futures_main, NULL), 0);
		assert_int_equal(live_settled(), live);
	}
}

/* Executors, new and at first use. */
static int ask_for_an_executor(void *arg)
{
	hilo_executor *executor = NULL;
	int rc = hilo_executor_new(NULL, &executor);

	(void)arg;
	if (rc < 0) {
		TASK_CHECK(executor, ==, NULL);
		return rc;
	}
	/* The call itself takes no memory. */
	TASK_CHECK(hilo_run_in_executor(executor, nothing, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	return 0;
}

static int executors_main(void *arg)
{
	hilo_executor_stats stats = {.size = sizeof(stats)};
	hilo_executor *resolver;

	(void)arg;
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_run_in_executor(NULL, nothing, NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_executor_get_stats(NULL, &stats), ==, -ENOMEM);
	TASK_CHECK(hilo_executor_submit(NULL, nothing, NULL, NULL, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_executor_map(NULL, nothing, NULL, 0, 1, NULL, 1, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_resolver_executor(&resolver), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_resolver_executor(&resolver), ==, 0);
	TASK_CHECK(hilo_run_in_executor(NULL, nothing, NULL, HILO_FOREVER), ==, 0);
	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_run_in_executor(NULL, nothing, NULL, HILO_FOREVER), ==, 0);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(sweep(ask_for_an_executor, NULL, false), ==, 1);
	return 0;
}

/* Calls with a future: until there is no memory for one. What was taken runs, what was not is nowhere. */
static int submit_calls_until_refused(hilo_executor *executor)
{
	static hilo_future *future[MANY];
	unsigned taken = 0;
	int rc = 0;

	tasks_begin();
	hilo__mem_fail_at(1, true);
	while (rc == 0 && taken < MANY) {
		future[taken] = NULL;
		rc = hilo_executor_submit(executor, count_run, &tasks, &future[taken], HILO_FOREVER);
		TASK_CHECK(future[taken] != NULL, ==, rc == 0);
		taken += rc == 0;
	}
	hilo__mem_fail_at(0, false);
	for (unsigned i = 0; i < taken; i++) {
		TASK_CHECK(hilo_future_await(future[i], NULL, HILO_FOREVER), ==, 0);
		hilo_future_unref(future[i]);
	}
	TASK_CHECK(load_acquire(&tasks.ran), ==, taken);
	return rc;
}

static int submit_calls_main(void *arg)
{
	hilo_executor *executor;

	(void)arg;
	TASK_CHECK(hilo_executor_new(NULL, &executor), ==, 0);
	TASK_CHECK(submit_calls_until_refused(executor), ==, -ENOMEM);
	TASK_CHECK(hilo_run_in_executor(executor, nothing, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	return 0;
}

static void test_calls_in_executors(void **state)
{
	long live = live_settled();

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, submit_calls_main, NULL), 0);
	assert_int_equal(live_settled(), live);
}

static void test_executors(void **state)
{
	long live = live_settled();

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, executors_main, NULL), 0);
	assert_int_equal(sweep(ask_for_an_executor, NULL, true), 1);
	assert_int_equal(live_settled(), live);
}

/* Descriptors: the poller's table is made as they come, for each loop anew. */
struct files {
	int fds[2];
	int watched, added, waited;
};

static int files_main(void *arg)
{
	struct files *files = arg;
	hilo_fd_watcher *watch = NULL;

	files->watched = hilo_fd_watch(files->fds[0], HILO_READABLE, watch_nothing, NULL, &watch);
	TASK_CHECK(files->watched < 0, ==, watch == NULL);
	hilo_fd_unwatch(watch);
	files->added = hilo_add_reader(files->fds[0], count_called, NULL);
	TASK_CHECK(hilo_remove_reader(files->fds[0]), ==, files->added == 0);
	files->waited = hilo_fd_wait(files->fds[1], HILO_WRITABLE, HILO_FOREVER);
	return 1;
}

static int ask_for_files(void *arg)
{
	struct files *files = arg;
	int rc;

	files->watched = files->added = files->waited = 0;
	rc = test_run(1, files_main, files);
	if (rc != 1)
		return rc;
	TASK_CHECK(files->waited == HILO_WRITABLE || files->waited == -ENOMEM, ==, 1);
	if (files->watched < 0 || files->added < 0)
		return files->watched < 0 ? files->watched : files->added;
	return files->waited < 0 ? files->waited : 0;
}

static void test_descriptors(void **state)
{
	struct files files;
	unsigned fds;

	(void)state;
	assert_int_equal(pipe(files.fds), 0);
	fds = test_fds();
	/* Those of the runtime, the watch, the poller's table, the table of readers. */
	assert_true(sweep(ask_for_files, &files, true) >= 12);
	assert_int_equal(test_fds(), fds);
	(void)close(files.fds[0]);
	(void)close(files.fds[1]);
}

/* A plain thread that has never waited needs a record for it; that it was refused one is not for good. */
static void *first_wait_main(void *arg)
{
	int rc;

	hilo__mem_fail_at(1, true);
	rc = hilo_future_await(arg, NULL, HILO_NO_WAIT);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(hilo_future_await(arg, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	return (void *)(intptr_t)rc;
}

static void test_the_first_wait_of_a_thread(void **state)
{
	hilo_future *future = hilo_future_new();
	pthread_t thread;
	void *result;
	long live = hilo__mem_live();

	(void)state;
	assert_non_null(future);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, first_wait_main, future), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		/* Later ones find what this one left: heaps are kept. */
		assert_int_equal((intptr_t)result, i ? -ETIMEDOUT : -ENOMEM);
		assert_int_equal(hilo__mem_live(), live);
	}
	hilo_future_unref(future);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_wait_of_a_thread), /* these two first: there are no heaps yet */
		cmocka_unit_test(test_the_first_runtime),	   cmocka_unit_test(test_runtimes),
		cmocka_unit_test(test_runtimes_as_objects),	   cmocka_unit_test(test_submit),
		cmocka_unit_test(test_calls_and_futures),	   cmocka_unit_test(test_executors),
		cmocka_unit_test(test_calls_in_executors),	   cmocka_unit_test(test_descriptors),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
