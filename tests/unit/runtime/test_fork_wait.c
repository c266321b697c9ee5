/* SPDX-License-Identifier: MIT */
/* Forks that wait, lock, fail or are cancelled: as tasks do, wherever they run. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/sys.h"
#include "tests/unit/runtime/forks.h"

HILO_FORKABLE(int, await_it, hilo_future *, future)
{
	return hilo_future_await(future, NULL, HILO_FOREVER);
}

HILO_FORKABLE(int, set_it, hilo_future *, future)
{
	return hilo_future_set(future, NULL, NULL);
}

/* The one that is joined first waits for the other one: when it suspends that is work for others. */
HILO_FORKABLE(int, wait_for_sibling, hilo_future *, future)
{
	int rc;

	HILO_FORK(set_it, future);
	HILO_FORK(await_it, future);
	rc = HILO_JOIN(await_it);
	TASK_CHECK(HILO_JOIN(set_it), ==, 0);
	return rc;
}

FORK_TEST(test_a_fork_waits_for_an_older_one)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(HILO_REGION(wait_for_sibling, NULL, future), ==, 0);
	hilo_future_unref(future);
	return 0;
}

HILO_FORKABLE(int, pass_barrier, hilo_barrier *, barrier)
{
	int rc = hilo_barrier_wait(barrier, HILO_FOREVER);

	return rc < 0 ? rc : 0;
}

/* All have to wait at the same time, at any depth. */
HILO_FORKABLE(int, tree_waits, hilo_barrier *, barrier, int, depth)
{
	int rc, rc2;

	if (depth == 0)
		return HILO_CALL(pass_barrier, barrier);
	HILO_FORK(tree_waits, barrier, depth - 1);
	rc = HILO_CALL(tree_waits, barrier, depth - 1);
	rc2 = HILO_JOIN(tree_waits);
	return rc < 0 ? rc : rc2;
}

FORK_TEST(test_all_forks_of_a_tree_wait_at_the_same_time)
{
	hilo_barrier barrier;

	TASK_CHECK(hilo_barrier_init(&barrier, 32, NULL, NULL), ==, 0);
	for (int i = 0; i < 3; i++)
		TASK_CHECK(HILO_REGION(tree_waits, NULL, &barrier, 5), ==, 0);
	return hilo_barrier_destroy(&barrier);
}

/* Those of the region around are work for others, too. */
HILO_FORKABLE(int, inner_waits, hilo_future *, future)
{
	return hilo_future_await(future, NULL, HILO_FOREVER);
}

HILO_FORKABLE(int, outer_sets, hilo_future *, future)
{
	int rc;

	HILO_FORK(set_it, future);
	rc = HILO_REGION(inner_waits, NULL, future);
	TASK_CHECK(HILO_JOIN(set_it), ==, 0);
	return rc;
}

FORK_TEST(test_a_region_waits_for_a_fork_of_the_one_around)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(HILO_REGION(outer_sets, NULL, future), ==, 0);
	hilo_future_unref(future);
	return 0;
}

struct shared {
	hilo_mutex mutex;
	long value;
};

HILO_FORKABLE(int, add_locked, struct shared *, shared, int, times)
{
	for (int i = 0; i < times; i++) {
		int rc = hilo_mutex_lock(&shared->mutex, HILO_FOREVER);

		if (rc < 0)
			return rc;
		if (i % 4 == 0)
			(void)hilo_yield();
		shared->value++;
		TASK_CHECK(hilo_mutex_unlock(&shared->mutex), ==, 0);
	}
	return 0;
}

HILO_FORKABLE(int, tree_locks, struct shared *, shared, int, depth)
{
	int rc, rc2;

	if (depth == 0)
		return HILO_CALL(add_locked, shared, 10);
	HILO_FORK(tree_locks, shared, depth - 1);
	rc = HILO_CALL(tree_locks, shared, depth - 1);
	rc2 = HILO_JOIN(tree_locks);
	return rc < 0 ? rc : rc2;
}

FORK_TEST(test_forks_lock)
{
	struct shared shared = {HILO_MUTEX_INIT, 0};

	TASK_CHECK(HILO_REGION(tree_locks, NULL, &shared, 5), ==, 0);
	TASK_CHECK(shared.value, ==, 320);
	return hilo_mutex_destroy(&shared.mutex);
}

/* Failures. */

HILO_FORKABLE(int, fail_at, int, place, int, failing)
{
	(void)hilo_yield();
	return place == failing ? hilo_fail(-EBADF, "fork %d", place) : place;
}

HILO_FORKABLE(int, one_fails, int, forks, int, failing)
{
	int found = 0;

	for (int i = 0; i < forks; i++)
		HILO_FORK(fail_at, i, failing);
	for (int i = forks; i-- > 0;) {
		int rc = HILO_JOIN(fail_at);

		TASK_CHECK(rc, ==, i == failing ? -EBADF : i);
		if (rc < 0) {
			char text[24];

			(void)snprintf(text, sizeof(text), "fork %d", i);
			TASK_CHECK_TEXT(hilo_error_message(), text);
			found++;
		}
	}
	return found;
}

FORK_TEST(test_a_failure_at_each_position_reaches_its_join)
{
	for (int failing = -1; failing < 6; failing++)
		TASK_CHECK(HILO_REGION(one_fails, NULL, 6, failing), ==, failing >= 0);
	return 0;
}

HILO_FORKABLE(int, fails, int, code)
{
	return hilo_fail(code, "for a reason");
}

FORK_TEST(test_the_failure_of_a_region)
{
	int code = 0;

	TASK_CHECK(HILO_REGION(fails, NULL, -EXDEV), ==, -EXDEV);
	TASK_CHECK_TEXT(hilo_error_message(), "for a reason");
	TASK_CHECK(HILO_REGION(fails, &code, -EXDEV), ==, 0);
	TASK_CHECK(code, ==, -EXDEV);
	return 0;
}

/* What belongs to a task. */

static const hilo_local user = HILO_LOCAL("user", NULL, NULL);

HILO_FORKABLE(int, tree_looks, int, depth)
{
	int rc;

	(void)hilo_yield();
	TASK_CHECK(hilo_local_get(&user), ==, &user);
	TASK_CHECK(hilo_local_set(&user, NULL, NULL), ==, -EPERM);
	if (depth == 0)
		return 1;
	HILO_FORK(tree_looks, depth - 1);
	rc = HILO_CALL(tree_looks, depth - 1);
	return HILO_JOIN(tree_looks) + rc;
}

FORK_TEST(test_forks_have_the_values_of_their_region)
{
	hilo_local_token token;

	TASK_CHECK(hilo_local_set(&user, (void *)(uintptr_t)&user, &token), ==, 0);
	TASK_CHECK(HILO_REGION(tree_looks, NULL, 4), ==, 16);
	TASK_CHECK(hilo_local_reset(&token), ==, 0);
	TASK_CHECK(hilo_local_get(&user), ==, NULL);
	return 0;
}

/* Cancelling. */

struct stopped {
	test_flag waiting, stopped, begun;
	hilo_task *task;
};

HILO_FORKABLE(int, until_cancelled, struct stopped *, s)
{
	int rc;

	(void)add_relaxed(&s->waiting, 1);
	rc = hilo_sleep(HILO_FOREVER);
	(void)add_relaxed(&s->stopped, rc == -ECANCELED);
	return rc;
}

HILO_FORKABLE(int, tree_sleeps, struct stopped *, s, int, depth)
{
	int rc, rc2;

	if (depth == 0)
		return HILO_CALL(until_cancelled, s);
	HILO_FORK(tree_sleeps, s, depth - 1);
	rc = HILO_CALL(tree_sleeps, s, depth - 1);
	rc2 = HILO_JOIN(tree_sleeps);
	return rc < 0 ? rc : rc2;
}

static int sleeping_region(void *arg)
{
	return HILO_REGION(tree_sleeps, NULL, arg, 4);
}

/* All wait, some of them on stacks of their own; the request reaches each of them. */
FORK_TEST(test_a_cancel_reaches_all_forks_that_wait)
{
	struct stopped s = {0};
	hilo_task *task = hilo_spawn(sleeping_region, &s);

	TEST_UNTIL(load_relaxed(&s.waiting) == 16);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(load_relaxed(&s.stopped), ==, 16);
	return 0;
}

/* Those that have not begun begin nevertheless. */
FORK_TEST(test_a_region_that_was_cancelled_before_runs)
{
	struct stopped s = {0};
	int rc;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	rc = HILO_REGION(tree_sleeps, NULL, &s, 4);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(load_relaxed(&s.stopped), ==, 16);
	return 0;
}

FORK_TEST(test_a_timeout_around_a_region)
{
	struct stopped s = {0};
	int rc = 0, inner = 0;

	HILO_TIMEOUT (limit, hilo_after(HILO_MILLISECOND), &rc) {
		rc = inner = HILO_REGION(tree_sleeps, NULL, &s, 3);
	}
	TASK_CHECK(inner, ==, -ECANCELED);
	TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(load_relaxed(&s.stopped), ==, 8);
	return 0;
}

HILO_FORKABLE(int, timeout_inside, struct stopped *, s)
{
	int rc = 0;

	HILO_TIMEOUT (limit, hilo_after(HILO_MILLISECOND), &rc) {
		rc = hilo_sleep(HILO_FOREVER);
	}
	(void)s;
	return rc == -ETIMEDOUT ? 1 : rc;
}

HILO_FORKABLE(int, timeouts_inside, struct stopped *, s)
{
	int sum = 0;

	for (int i = 0; i < 5; i++)
		HILO_FORK(timeout_inside, s);
	for (int i = 0; i < 5; i++)
		sum += HILO_JOIN(timeout_inside);
	return sum;
}

FORK_TEST(test_scopes_within_forks)
{
	struct stopped s = {0};

	TASK_CHECK(HILO_REGION(timeouts_inside, NULL, &s), ==, 5);
	return 0;
}

HILO_FORKABLE(int, count_begun, struct stopped *, s)
{
	(void)add_relaxed(&s->begun, 1);
	return 0;
}

/* What is forked after the cancel is left out, at the join or before. */
HILO_FORKABLE(int, cancel_then_fork, struct stopped *, s)
{
	int left_out = 0;

	TASK_CHECK(hilo_task_cancel(s->task), ==, 0);
	for (int i = 0; i < 10; i++)
		HILO_FORK(count_begun, s);
	for (int i = 0; i < 10; i++)
		left_out += HILO_JOIN(count_begun) == -ECANCELED;
	return left_out;
}

FORK_TEST(test_a_cancellable_region_leaves_out_what_has_not_begun)
{
	hilo_region_opts opts = {.size = sizeof(opts), .flags = HILO_REGION_CANCELLABLE};
	struct stopped s = {.task = hilo_task_current()};
	int left_out = 0, rc;

	rc = HILO_REGION_WITH(&opts, cancel_then_fork, &left_out, &s);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(left_out + (int)load_relaxed(&s.begun), ==, 10);
	TASK_CHECK(left_out, ==, 10);
	rc = HILO_REGION_WITH(&opts, count_begun, NULL, &s);
	TASK_CHECK(rc, ==, 0);
	return 0;
}

HILO_FORKABLE(int, ten_left_out, struct stopped *, s)
{
	int left_out = 0;

	for (int i = 0; i < 10; i++)
		HILO_FORK(count_begun, s);
	for (int i = 0; i < 10; i++)
		left_out += HILO_JOIN(count_begun) == -ECANCELED;
	return left_out;
}

/* Whoever is asked meanwhile finds nothing to leave out yet. */
HILO_FORKABLE(int, cancel_in_shield, struct stopped *, s)
{
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_task_cancel(s->task), ==, 0);
	HILO_FORK(count_begun, s);
	TASK_CHECK(HILO_JOIN(count_begun), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return HILO_CALL(ten_left_out, s);
}

FORK_TEST(test_a_cancel_counts_once_a_shield_has_ended)
{
	hilo_region_opts opts = {.size = sizeof(opts), .flags = HILO_REGION_CANCELLABLE};
	struct stopped s = {.task = hilo_task_current()};
	int left_out = 0, rc = HILO_REGION_WITH(&opts, cancel_in_shield, &left_out, &s);

	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(left_out, ==, 10);
	TASK_CHECK(load_relaxed(&s.begun), ==, 1);
	return 0;
}

HILO_FORKABLE(int, cancel_now, struct stopped *, s)
{
	return hilo_task_cancel(s->task);
}

HILO_FORKABLE(int, cancel_in_region, struct stopped *, s)
{
	HILO_FORK(count_begun, s);
	TASK_CHECK(HILO_JOIN(count_begun), ==, 0);
	TASK_CHECK(HILO_REGION(cancel_now, NULL, s), ==, 0);
	return HILO_CALL(ten_left_out, s);
}

FORK_TEST(test_a_cancel_counts_once_an_inner_region_has_ended)
{
	hilo_region_opts opts = {.size = sizeof(opts), .flags = HILO_REGION_CANCELLABLE};
	struct stopped s = {.task = hilo_task_current()};
	int left_out = 0, rc = HILO_REGION_WITH(&opts, cancel_in_region, &left_out, &s);

	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(left_out, ==, 10);
	TASK_CHECK(load_relaxed(&s.begun), ==, 1);
	return 0;
}

HILO_FORKABLE(long, long_result, struct stopped *, s)
{
	(void)add_relaxed(&s->begun, 1);
	return 7;
}

HILO_FORKABLE(long, cancelled_long, struct stopped *, s)
{
	TASK_CHECK(hilo_task_cancel(s->task), ==, 0);
	HILO_FORK(long_result, s);
	return HILO_JOIN(long_result);
}

FORK_TEST(test_the_result_of_what_was_left_out_is_zero)
{
	hilo_region_opts opts = {.size = sizeof(opts), .flags = HILO_REGION_CANCELLABLE};
	struct stopped s = {.task = hilo_task_current()};
	long value = 1;
	int rc = HILO_REGION_WITH(&opts, cancelled_long, &value, &s);

	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(value, ==, 0);
	return 0;
}

static int region_in_other(void *arg)
{
	struct stopped *s = arg;
	hilo_region_opts opts = {.size = sizeof(opts), .runtime = hilo_task_runtime(s->task)};

	return HILO_REGION_WITH(&opts, tree_sleeps, NULL, s, 3);
}

/* Who waits for a region in another runtime, and is cancelled, passes it on. */
static void test_a_cancel_reaches_a_region_elsewhere(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_runtime *runtime, *other;
	struct stopped s = {0};
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_runtime_new(&opts, &other), 0);
	assert_int_equal(hilo_submit(other, test_entry_sleep_forever, NULL, NULL, &s.task), 0);
	assert_int_equal(hilo_submit(runtime, region_in_other, &s, NULL, &task), 0);
	TEST_UNTIL(load_relaxed(&s.waiting) == 8);
	assert_int_equal(hilo_task_cancel(task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), -ECANCELED);
	assert_int_equal(load_relaxed(&s.stopped), 8);
	assert_int_equal(hilo_task_cancel(s.task), 0);
	assert_int_equal(hilo_join(s.task, HILO_FOREVER), -ECANCELED);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(hilo_runtime_free(other), 0);
}

/* The wake-up that a region elsewhere costs is not over before that has ended: so it has when it is waited for. */
static hilo_task *first_told; /* of the other runtime */
static bool first_is_awaited;
static atomic(pid_t) first_waiter; /* looked at by all; what it has told is its own */
static ssize_t (*machine_write)(int fd, const void *buf, size_t size);

static void region_spawned(hilo_task *task, void *arg)
{
	(void)arg;
	first_told = task;
	store_relaxed(&first_waiter, gettid());
}

static ssize_t write_and_wait(int fd, const void *buf, size_t size)
{
	ssize_t rc = machine_write(fd, buf, size);

	if (load_relaxed(&first_waiter) == gettid() && first_told) {
		TEST_UNTIL(hilo_task_is_done(first_told));
		first_is_awaited = true;
	}
	return rc;
}

HILO_FORKABLE(int, fails_aloud, int, n)
{
	return hilo_fail(-EBADF, "fork %d has failed", n);
}

static int region_has_ended(void *other)
{
	hilo_region_opts opts = {.size = sizeof(opts), .runtime = other};

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	while (!first_is_awaited) { /* until its worker had gone to sleep */
		int rc = HILO_REGION_WITH(&opts, fails_aloud, NULL, 7);

		if (rc == -EBADF)
			TASK_CHECK_TEXT(hilo_error_message(), "fork 7 has failed");
		else /* it was cancelled before it began */
			TASK_CHECK(rc == -ECANCELED && !first_is_awaited, ==, true);
		first_told = NULL;
	}
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

/* Who is asked to stop hears of a region that has ended by then. */
static void test_the_failure_of_a_region_elsewhere_outranks_a_cancel(void **state)
{
	hilo_task_hooks hooks = {.size = sizeof(hooks), .spawned = region_spawned};
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	hilo_runtime *runtime, *other;
	hilo_task *task;

	(void)state;
	machine_write = hilo__sys.write;
	hilo__sys.write = write_and_wait;
	test_log_begin();
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	opts.hooks = &hooks;
	assert_int_equal(hilo_runtime_new(&opts, &other), 0);
	assert_int_equal(hilo_submit(runtime, region_has_ended, other, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(hilo_runtime_free(other), 0);
	hilo__sys_reset();
	assert_int_equal(test_log_count("has failed"), 0);
	test_log_end();
}

HILO_FORKABLE(int, nothing, int, n)
{
	return n;
}

HILO_FORKABLE(int, fork_until, test_flag *, flag)
{
	int sum = 0;

	while (!load_relaxed(flag)) {
		HILO_FORK(nothing, 1);
		sum += HILO_JOIN(nothing);
	}
	return sum > 0;
}

static int set_flag_later(void *arg)
{
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	(void)add_relaxed((test_flag *)arg, 1);
	return 0;
}

/* Nobody stands in, so the timer and the pinned task are served by the loop itself, in the midst of forks. */
LOOP_TEST(test_a_task_that_forks_lets_its_loop_make_a_turn)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;
	test_flag flag;

	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_spawn_with(set_flag_later, &flag, &opts, &task), ==, 0);
	TASK_CHECK(HILO_REGION(fork_until, NULL, &flag), ==, 1);
	return hilo_join(task, HILO_FOREVER);
}

HILO_FORKABLE(int, is_in, hilo_task *, task)
{
	return hilo_task_current() == task;
}

HILO_FORKABLE(int, keep_one, test_flag *, flag)
{
	int rc;

	HILO_FORK(is_in, hilo_task_current());
	rc = HILO_CALL(fork_until, flag);
	return HILO_JOIN(is_in) ? rc : -1;
}

static void count_spawned(hilo_task *task, void *arg)
{
	(void)task;
	(*(int *)arg)++;
}

static int fork_and_give_way(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;
	test_flag flag;

	(void)arg;
	atomic_setup(&flag, 0);
	TASK_CHECK(hilo_spawn_with(set_flag_later, &flag, &opts, &task), ==, 0);
	TASK_CHECK(HILO_REGION(keep_one, NULL, &flag), ==, 1);
	return hilo_join(task, HILO_FOREVER);
}

/* It goes on by itself, so nobody is called for what it has forked before: that would be one more task each time. */
static void test_what_was_forked_before_a_turn_waits_for_it(void **state)
{
	int spawned = 0, rc;
	hilo_task_hooks hooks = {.size = sizeof(hooks), .spawned = count_spawned, .arg = &spawned};
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .hooks = &hooks};

	(void)state;
	hilo__nobody_stands_in = true;
	rc = hilo_run(fork_and_give_way, NULL, &opts);
	hilo__nobody_stands_in = false;
	assert_int_equal(rc, 0);
	assert_int_equal(spawned, 2); /* that of the run, and that which sets the flag */
}

/* A request that comes between a join and a fork is met by the fork, which answers it: the join does not once more. */
HILO_FORKABLE(int, called_before_a_fork, int *, suspended)
{
	struct thread *self = thread_self();
	struct forks *forks = hilo__fork_region_of(self);
	uint64_t since = cycles_now();
	int before, sum = 0;

	for (int i = 0; i < 5; i++)
		HILO_FORK(nothing, 1);
	while (cycles_now() - since < 1000 * hilo__cycles_per_us()) /* a turn may have been just now */
		cpu_relax();
	before = *suspended;
	store_relaxed(&self->loop->turn_called, true); /* relaxed: ours */
	forks_ask(forks);
	HILO_FORK(nothing, 2);
	TASK_CHECK(forks->split - forks->record, ==, 3);
	TASK_CHECK(HILO_JOIN(nothing), ==, 2);
	TASK_CHECK(*suspended, ==, before + 1);
	TASK_CHECK(forks->split - forks->record, ==, 3);
	for (int i = 0; i < 5; i++)
		sum += HILO_JOIN(nothing);
	return sum;
}

static void count_suspended(hilo_task *task, void *arg)
{
	(void)task;
	(*(int *)arg)++;
}

static int begin_called(void *suspended)
{
	TASK_CHECK(HILO_REGION(called_before_a_fork, NULL, suspended), ==, 5);
	return 0;
}

static void test_a_call_that_a_fork_meets_waits_for_the_join(void **state)
{
	int suspended = 0, rc;
	hilo_task_hooks hooks = {.size = sizeof(hooks), .suspended = count_suspended, .arg = &suspended};
	hilo_opts opts = {.size = sizeof(opts), .workers = 1, .hooks = &hooks};

	(void)state;
	hilo__nobody_stands_in = true;
	rc = hilo_run(begin_called, &suspended, &opts);
	hilo__nobody_stands_in = false;
	assert_int_equal(rc, 0);
}

static void cancel_each(hilo_task *task, void *arg)
{
	if (task != arg)
		(void)hilo_task_cancel(task);
}

HILO_FORKABLE(int, count_all, struct stopped *, s, int, depth)
{
	int rc;

	hilo_task_foreach(hilo_task_runtime(hilo_task_current()), cancel_each, s->task);
	if (depth == 0)
		return 1;
	HILO_FORK(count_all, s, depth - 1);
	rc = HILO_CALL(count_all, s, depth - 1);
	return HILO_JOIN(count_all) + rc;
}

/* The tasks that run them may be cancelled by anybody, before they begin too: nothing is left out. */
FORK_TEST(test_the_tasks_of_forks_are_cancelled)
{
	struct stopped s = {.task = hilo_task_current()};
	int value = 0;

	TASK_CHECK(HILO_REGION(count_all, &value, &s, 5), ==, 0);
	TASK_CHECK(value, ==, 32);
	return 0;
}

static atomic(unsigned) spawned;

/* Two of three are cancelled before they can begin. */
static void cancel_at_birth(hilo_task *task, void *arg)
{
	unsigned n = add_relaxed(&spawned, 1);

	(void)arg;
	if (n > 0 && n % 3 != 0)
		TASK_CHECK(hilo_task_cancel(task), ==, 0);
}

static int regions_that_need_help(void *arg)
{
	hilo_future *future = hilo_future_new();
	int value = 0, rc = HILO_REGION(wait_for_sibling, NULL, future);

	(void)arg;
	TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1); /* the fork that waits may be one of those */
	TASK_CHECK(hilo_future_is_done(future), ==, 1);
	hilo_future_unref(future);
	TASK_CHECK(HILO_REGION(one_fails, &value, 6, 3), ==, 0);
	return value - 1;
}

/* Whoever is to run a fork may be cancelled before: it runs nevertheless. */
static void test_helpers_are_cancelled_before_they_begin(void **state)
{
	hilo_task_hooks hooks = {.size = sizeof(hooks), .spawned = cancel_at_birth};
	hilo_opts opts = {.size = sizeof(opts), .hooks = &hooks};

	(void)state;
	for (int forced = FORKS_AS_EVER; forced <= FORKS_EACH; forced++) {
		hilo__forks_forced = (enum forks_forced)forced;
		for (opts.workers = 1; opts.workers <= 4; opts.workers *= 2) {
			store_relaxed(&spawned, 0);
			assert_int_equal(hilo_run(regions_that_need_help, NULL, &opts), 0);
			assert_true(load_relaxed(&spawned) > 1);
		}
	}
	hilo__forks_forced = FORKS_AS_EVER;
}

/* All of these with more workers than there are processors. */
static void test_with_8_and_64_workers(void **state)
{
	static const hilo_task_fn bodies[] = {
		test_a_fork_waits_for_an_older_one_body,
		test_all_forks_of_a_tree_wait_at_the_same_time_body,
		test_a_region_waits_for_a_fork_of_the_one_around_body,
		test_forks_lock_body,
		test_a_failure_at_each_position_reaches_its_join_body,
		test_the_failure_of_a_region_body,
		test_forks_have_the_values_of_their_region_body,
		test_a_cancel_reaches_all_forks_that_wait_body,
		test_a_region_that_was_cancelled_before_runs_body,
		test_a_timeout_around_a_region_body,
		test_scopes_within_forks_body,
		test_a_cancellable_region_leaves_out_what_has_not_begun_body,
		test_a_cancel_counts_once_a_shield_has_ended_body,
		test_a_cancel_counts_once_an_inner_region_has_ended_body,
		test_the_result_of_what_was_left_out_is_zero_body,
		test_the_tasks_of_forks_are_cancelled_body,
	};

	(void)state;
	for (size_t i = 0; i < array_size(bodies); i++) {
		fork_test_with(bodies[i], 8);
		fork_test_with(bodies[i], 64);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fork_waits_for_an_older_one),
		cmocka_unit_test(test_all_forks_of_a_tree_wait_at_the_same_time),
		cmocka_unit_test(test_a_region_waits_for_a_fork_of_the_one_around),
		cmocka_unit_test(test_forks_lock),
		cmocka_unit_test(test_a_failure_at_each_position_reaches_its_join),
		cmocka_unit_test(test_the_failure_of_a_region),
		cmocka_unit_test(test_forks_have_the_values_of_their_region),
		cmocka_unit_test(test_a_cancel_reaches_all_forks_that_wait),
		cmocka_unit_test(test_a_region_that_was_cancelled_before_runs),
		cmocka_unit_test(test_a_timeout_around_a_region),
		cmocka_unit_test(test_scopes_within_forks),
		cmocka_unit_test(test_a_cancellable_region_leaves_out_what_has_not_begun),
		cmocka_unit_test(test_a_cancel_counts_once_a_shield_has_ended),
		cmocka_unit_test(test_a_cancel_counts_once_an_inner_region_has_ended),
		cmocka_unit_test(test_the_result_of_what_was_left_out_is_zero),
		cmocka_unit_test(test_a_cancel_reaches_a_region_elsewhere),
		cmocka_unit_test(test_the_failure_of_a_region_elsewhere_outranks_a_cancel),
		cmocka_unit_test(test_a_task_that_forks_lets_its_loop_make_a_turn),
		cmocka_unit_test(test_what_was_forked_before_a_turn_waits_for_it),
		cmocka_unit_test(test_a_call_that_a_fork_meets_waits_for_the_join),
		cmocka_unit_test(test_the_tasks_of_forks_are_cancelled),
		cmocka_unit_test(test_helpers_are_cancelled_before_they_begin),
		cmocka_unit_test(test_with_8_and_64_workers),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
