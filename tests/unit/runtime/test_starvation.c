/* SPDX-License-Identifier: MIT */
/*
 * A task that does not give its thread back delays no other, whatever the other waits for, with one
 * worker as with two. The hog here blocks until the others have done their work: if they cannot,
 * nothing ever ends, and the test's limit in time says so. No clock is looked at.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/base/atomic.h"
#include "scheduler/base/sys.h"

#define TICKS 20

#define MORE 5 /* hogs beyond the number of workers */

struct world {
	unsigned hogs;
	int pipe[2];  /* the hogs block in reading it */
	int ready[2]; /* a task waits for it to become readable */
	atomic(unsigned) hogging;
	atomic(unsigned) ticks;
	hilo_runtime *runtime;
	hilo_future *future;
	hilo_loop *loop; /* that a callback or a pinned task belongs to */
	hilo_done_node node;
	hilo_fd_watcher *watch;
	atomic(unsigned) called;
	atomic(unsigned) wrong; /* what callbacks found amiss; the hogs' ends do not order it */
};

/* Blocks its thread in the kernel until a byte comes. */
static int hog_blocks(void *arg)
{
	struct world *w = arg;
	char byte;

	(void)add_seq_cst(&w->hogging, 1);
	return read(w->pipe[0], &byte, 1) == 1 ? 0 : -EIO;
}

/* Burns its thread until the ticker has ticked. */
static int hog_spins(void *arg)
{
	struct world *w = arg;

	(void)add_seq_cst(&w->hogging, 1);
	while (load_seq_cst(&w->ticks) < TICKS)
		cpu_relax();
	return 0;
}

static int release(struct world *w)
{
	for (unsigned i = 0; i < w->hogs; i++)
		if (write(w->pipe[1], "x", 1) != 1)
			return -EIO;
	return 0;
}

/* Until every worker has a hog. Yields, since the hogs may be queued behind us. */
static void wait_for_hogs(struct world *w)
{
	while (load_seq_cst(&w->hogging) < w->hogs)
		(void)hilo_yield();
}

static int ticker(void *arg)
{
	struct world *w = arg;

	wait_for_hogs(w);
	for (int i = 0; i < TICKS; i++) {
		int rc = hilo_sleep(HILO_MILLISECOND);

		if (rc < 0)
			return rc;
		(void)add_seq_cst(&w->ticks, 1);
	}
	return 0;
}

static int ticker_releases(void *arg)
{
	int rc = ticker(arg);

	return rc < 0 ? rc : release(arg);
}

static int plain_release(void *arg)
{
	return release(arg);
}

/* A fresh task, made just before its maker begins to hog: it lies in the same worker's queue. */
static int hog_with_child(void *arg)
{
	struct world *w = arg;

	hilo_task_detach(hilo_spawn(plain_release, w));
	return hog_blocks(w);
}

static int wakes_releaser(void *arg)
{
	struct world *w = arg;
	int rc = hilo_future_await(w->future, NULL, HILO_FOREVER);

	return rc < 0 ? rc : release(w);
}

/* Its last act before hogging is to wake somebody, who then lies in the worker's slot. */
static int hog_with_woken(void *arg)
{
	struct world *w = arg;

	(void)hilo_future_set(w->future, NULL, NULL);
	return hog_blocks(w);
}

static int waits_for_fd(void *arg)
{
	struct world *w = arg;
	int rc = hilo_fd_wait(w->ready[0], HILO_READABLE, HILO_FOREVER);

	return rc < 0 ? rc : release(w);
}

/* Outside of the runtime: once all workers are hogged, submit a task, or make a descriptor ready. */
static void *outside_submits(void *arg)
{
	struct world *w = arg;

	while (load_seq_cst(&w->hogging) < w->hogs)
		cpu_relax();
	return (void *)(intptr_t)hilo_submit(w->runtime, plain_release, w, NULL, NULL);
}

static void *outside_writes(void *arg)
{
	struct world *w = arg;

	while (load_seq_cst(&w->hogging) < w->hogs)
		cpu_relax();
	return (void *)(intptr_t)(write(w->ready[1], "x", 1) == 1 ? 0 : -EIO);
}

static void check(struct world *w, bool right)
{
	if (!right)
		(void)add_seq_cst(&w->wrong, 1);
}

/* A callback runs for the loop that it was asked on, whichever thread it is. */
static void callback_releases(void *arg)
{
	struct world *w = arg;

	check(w, hilo_loop_current() == w->loop && !hilo_task_current());
	check(w, release(w) == 0);
}

/* The hog asks for a callback on its own loop, and hogs. */
static int hog_with_call_soon(void *arg)
{
	struct world *w = arg;

	w->loop = hilo_loop_current();
	return hilo_call_soon(callback_releases, w, NULL) < 0 ? -EPROTO : hog_blocks(w);
}

static int hog_with_call_later(void *arg)
{
	struct world *w = arg;

	w->loop = hilo_loop_current();
	return hilo_call_later(HILO_MILLISECOND, callback_releases, w, NULL) < 0 ? -EPROTO : hog_blocks(w);
}

/* Ticks by arming itself again: each arms a timer of the held loop from the thread that stands in. */
static void callback_ticks(void *arg)
{
	struct world *w = arg;

	if (add_seq_cst(&w->ticks, 1) + 1 >= TICKS)
		callback_releases(w);
	else
		check(w, hilo_call_later(HILO_MILLISECOND, callback_ticks, w, NULL) == 0);
}

static int hog_with_ticks(void *arg)
{
	struct world *w = arg;

	w->loop = hilo_loop_current();
	return hilo_call_later(HILO_MILLISECOND, callback_ticks, w, NULL) < 0 ? -EPROTO : hog_blocks(w);
}

static int hog_with_done_callback(void *arg)
{
	struct world *w = arg;

	w->loop = hilo_loop_current();
	return hilo_future_on_done(w->future, &w->node, callback_releases, w) < 0 ? -EPROTO : hog_blocks(w);
}

static void watch_releases(int fd, unsigned events, void *arg)
{
	struct world *w = arg;

	check(w, fd == w->ready[0] && events == HILO_READABLE);
	hilo_fd_unwatch(w->watch);
	callback_releases(w);
}

static int hog_with_watch(void *arg)
{
	struct world *w = arg;

	w->loop = hilo_loop_current();
	if (hilo_fd_watch(w->ready[0], HILO_READABLE, watch_releases, w, &w->watch) < 0)
		return -EPROTO;
	return hog_blocks(w);
}

/* A pinned task, which goes home again and again: each time it is queued on the held loop. */
static int pinned_releases(void *arg)
{
	struct world *w = arg;

	for (int i = 0; i < 3; i++) {
		int rc = i < 2 ? hilo_yield() : hilo_sleep(HILO_MILLISECOND);

		if (rc < 0)
			return rc;
		check(w, hilo_loop_current() == w->loop);
	}
	return release(w);
}

static int hog_with_pinned(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	struct world *w = arg;
	hilo_task *pinned;

	opts.loop = w->loop = hilo_loop_current();
	if (hilo_spawn_with(pinned_releases, w, &opts, &pinned) < 0)
		return -EPROTO;
	hilo_task_detach(pinned);
	return hog_blocks(w);
}

/* Outside: completes the future once all workers are hogged. */
static void *outside_completes(void *arg)
{
	struct world *w = arg;

	while (load_seq_cst(&w->hogging) < w->hogs)
		cpu_relax();
	return (void *)(intptr_t)hilo_future_set(w->future, NULL, NULL);
}

struct scenario {
	hilo_task_fn hog, other;
	void *(*outside)(void *arg);
	bool one_hog; /* only the first worker's: the others have plain ones */
	unsigned more;
};

/* One hog for each worker, and perhaps more; all of them must end. */
static void run(const struct scenario *scenario, unsigned workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = workers};
	struct world w = {.hogs = workers + scenario->more};
	hilo_task *hogs[2 + MORE], *other = NULL;
	pthread_t thread;

	assert_int_equal(pipe(w.pipe), 0);
	assert_int_equal(pipe(w.ready), 0);
	w.future = hilo_future_new();
	assert_non_null(w.future);
	assert_int_equal(hilo_runtime_new(&opts, &w.runtime), 0);
	if (scenario->other)
		assert_int_equal(hilo_submit(w.runtime, scenario->other, &w, NULL, &other), 0);
	if (scenario->outside)
		assert_int_equal(pthread_create(&thread, NULL, scenario->outside, &w), 0);
	/* The one that wakes or spawns comes last, when the others hog already. */
	for (unsigned i = w.hogs; i-- > 0;) {
		hilo_task_fn hog = scenario->one_hog && i > 0 ? hog_blocks : scenario->hog;

		assert_int_equal(hilo_submit(w.runtime, hog, &w, NULL, &hogs[i]), 0);
	}
	for (unsigned i = 0; i < w.hogs; i++)
		assert_int_equal(hilo_join(hogs[i], HILO_FOREVER), 0);
	assert_int_equal(load_seq_cst(&w.wrong), 0);
	if (other)
		assert_int_equal(hilo_join(other, HILO_FOREVER), 0);
	if (scenario->outside) {
		void *result;

		assert_int_equal(pthread_join(thread, &result), 0);
		assert_null(result);
	}
	assert_int_equal(hilo_runtime_free(w.runtime), 0);
	hilo_future_unref(w.future);
	for (int i = 0; i < 2; i++) {
		(void)close(w.pipe[i]);
		(void)close(w.ready[i]);
	}
}

static void run_all(struct scenario scenario)
{
	run(&scenario, 1);
	run(&scenario, 2);
}

static void test_timers_go_on_while_all_workers_burn(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_spins, .other = ticker});
}

static void test_timers_go_on_while_all_workers_block(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_blocks, .other = ticker_releases});
}

static void test_a_fresh_task_is_taken_from_a_blocked_worker(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_child, .one_hog = true});
}

static void test_a_woken_task_is_taken_from_the_slot_of_a_blocked_worker(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_woken, .other = wakes_releaser, .one_hog = true});
}

static void test_a_task_from_outside_runs_while_all_workers_block(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_blocks, .outside = outside_submits});
}

static void test_a_descriptor_is_served_while_all_workers_block(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_blocks, .other = waits_for_fd, .outside = outside_writes});
}

static void test_timers_go_on_however_many_tasks_block(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_blocks, .other = ticker_releases, .more = MORE});
}

static void test_a_fresh_task_is_taken_however_many_tasks_block(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_child, .one_hog = true, .more = MORE});
}

static void test_callbacks_of_a_blocked_loop_run(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_call_soon, .one_hog = true});
	run_all((struct scenario){.hog = hog_with_call_later, .one_hog = true});
	run_all((struct scenario){.hog = hog_with_ticks, .one_hog = true});
	run_all((struct scenario){
		.hog = hog_with_done_callback, .outside = outside_completes, .one_hog = true});
	run_all((struct scenario){.hog = hog_with_call_soon, .one_hog = true, .more = MORE});
}

static void test_a_watch_of_a_blocked_loop_reports(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_watch, .outside = outside_writes, .one_hog = true});
}

static void test_pinned_tasks_of_a_blocked_loop_run(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = hog_with_pinned, .one_hog = true});
	run_all((struct scenario){.hog = hog_with_pinned, .one_hog = true, .more = MORE});
}

/* Those that block in a callback hold up the callbacks of their loop alone, which run one at a time. */
static void callback_blocks(void *arg)
{
	struct world *w = arg;
	char byte;

	(void)add_seq_cst(&w->hogging, 1);
	check(w, read(w->pipe[0], &byte, 1) == 1 && !load_seq_cst(&w->called));
	(void)add_seq_cst(&w->called, 1);
}

static void callback_is_second(void *arg)
{
	struct world *w = arg;

	check(w, add_seq_cst(&w->called, 1) == 1);
	(void)hilo_future_set(w->future, NULL, NULL);
}

static int asks_for_callbacks(void *arg)
{
	struct world *w = arg;
	int rc = hilo_call_soon(callback_blocks, w, NULL);

	if (rc == 0)
		rc = hilo_call_soon(callback_is_second, w, NULL);
	/* Runs only because the callbacks keep the thread, but not the loop. */
	while (rc == 0 && load_seq_cst(&w->hogging) < 1)
		rc = hilo_yield();
	for (int i = 0; rc == 0 && i < TICKS; i++)
		rc = hilo_sleep(HILO_MILLISECOND);
	if (rc == 0)
		rc = release(w);
	return rc < 0 ? rc : hilo_future_await(w->future, NULL, HILO_FOREVER);
}

static void test_a_callback_that_blocks_holds_up_only_callbacks(void **state)
{
	(void)state;
	run_all((struct scenario){.hog = asks_for_callbacks, .one_hog = true});
}

static int wanderer(void *arg)
{
	atomic(unsigned) *away = arg;

	while (hilo_loop_index(hilo_loop_current()) == 0)
		(void)hilo_yield();
	store_seq_cst(away, 1);
	while (hilo_loop_index(hilo_loop_current()) != 0)
		(void)hilo_yield();
	return 0;
}

/* Holds the only worker until the spare one has taken the other task; is always ready afterwards. */
static int hog_for_a_while(void *arg)
{
	atomic(unsigned) away;
	hilo_task *task;

	(void)arg;
	atomic_setup(&away, 0);
	/* We ourselves may have been taken, before the worker came to its first turn. */
	while (hilo_loop_index(hilo_loop_current()) != 0)
		(void)hilo_yield();
	task = hilo_spawn(wanderer, &away);
	while (!load_seq_cst(&away))
		cpu_relax();
	while (!hilo_task_is_done(task))
		(void)hilo_yield();
	return hilo_join(task, HILO_FOREVER);
}

static void test_the_spare_worker_gives_back_what_it_has_taken(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};

	(void)state;
	assert_int_equal(hilo_run(hog_for_a_while, NULL, &opts), 0);
}

static int pipe_writes(void *arg)
{
	return write(((int *)arg)[1], "x", 1) == 1 ? 0 : -EIO;
}

static int pipe_reads(void *arg)
{
	char byte;

	return read(((int *)arg)[0], &byte, 1) == 1 ? 0 : -EIO;
}

/* Holds the only worker until the other task has run, which somebody else must do. */
static int reads_what_a_child_writes(void *arg)
{
	hilo_task *child = hilo_spawn(pipe_writes, arg);
	int rc = pipe_reads(arg);

	return rc < 0 ? rc : hilo_join(child, HILO_FOREVER);
}

static atomic(unsigned) threads_asked, lines_logged;

/* The worker's thread can be had, and all but the first of spare ones. */
static int refuse_the_second(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	if (add_seq_cst(&threads_asked, 1) == 1)
		return -EAGAIN;
	return -pthread_create(ret, attr, fn, arg);
}

static void count_line(enum hilo_log_level level, const char *line, void *arg)
{
	(void)level, (void)line, (void)arg;
	(void)add_seq_cst(&lines_logged, 1);
}

static void test_the_first_spare_worker_is_tried_for_again(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	hilo_log_set(count_line, NULL);
	hilo__sys.pthread_create = refuse_the_second;
	assert_int_equal(hilo_run(reads_what_a_child_writes, fds, &opts), 0);
	hilo__sys_reset();
	hilo_log_set(NULL, NULL);
	assert_true(load_seq_cst(&threads_asked) >= 3); /* and more: who is on duty has itself relieved */
	assert_int_equal(load_seq_cst(&lines_logged), 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* Its cancel stays set, and hinders no plain write. */
static int writes_when_cancelled(void *arg)
{
	int rc = hilo_sleep_until(HILO_FOREVER);

	return rc == -ECANCELED ? pipe_writes(arg) : -EIO;
}

/* Ends at once, with one task that waits and one that will block until that one has written. */
static int leaves_a_reader_and_a_writer(void *arg)
{
	hilo_task *writer = hilo_spawn(writes_when_cancelled, arg);

	while (hilo_task_get_state(writer) != HILO_TASK_SUSPENDED)
		(void)hilo_yield();
	hilo_task_detach(writer);
	hilo_task_detach(hilo_spawn(pipe_reads, arg));
	return hilo_yield();
}

static void test_what_is_left_behind_is_served_while_it_blocks(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hilo_run(leaves_a_reader_and_a_writer, fds, &opts), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/*
 * One parent for each worker spawns a child and joins it, for ever: the child wakes the parent into the
 * slot, so there is always something that is newer than all the others.
 */
struct crowded {
	atomic(unsigned) stop;
	atomic(unsigned) turns[4]; /* of a task that yields, a pinned one, two that sleep */
};

static int crowded_child(void *arg)
{
	(void)arg;
	return 0;
}

static int crowded_parent(void *arg)
{
	struct crowded *crowded = arg;

	while (!load_acquire(&crowded->stop)) {
		int rc = hilo_join(hilo_spawn(crowded_child, NULL), HILO_FOREVER);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int crowded_yields(void *arg)
{
	int rc = 0;

	for (int i = 0; i < TICKS && rc == 0; i++) {
		(void)add_release((atomic(unsigned) *)arg, 1);
		rc = hilo_yield();
	}
	return rc;
}

static int crowded_sleeps(void *arg)
{
	int rc = 0;

	for (int i = 0; i < TICKS && rc == 0; i++) {
		(void)add_release((atomic(unsigned) *)arg, 1);
		rc = hilo_sleep(HILO_MILLISECOND);
	}
	return rc;
}

static int crowd_main(void *arg)
{
	unsigned workers = hilo_runtime_workers(hilo_runtime_current());
	hilo_task_opts pinned = {.size = sizeof(pinned), .flags = HILO_TASK_PINNED};
	struct crowded *crowded = arg;
	hilo_task *parent[2], *other[4];
	int rc = 0;

	for (unsigned i = 0; i < workers; i++)
		parent[i] = hilo_spawn(crowded_parent, crowded);
	other[0] = hilo_spawn(crowded_yields, &crowded->turns[0]);
	if (hilo_spawn_with(crowded_yields, &crowded->turns[1], &pinned, &other[1]) < 0)
		return -ENOMEM;
	other[2] = hilo_spawn(crowded_sleeps, &crowded->turns[2]);
	other[3] = hilo_spawn(crowded_sleeps, &crowded->turns[3]);
	for (int i = 0; i < 4; i++)
		rc |= hilo_join(other[i], HILO_FOREVER);
	store_release(&crowded->stop, 1);
	for (unsigned i = 0; i < workers; i++)
		rc |= hilo_join(parent[i], HILO_FOREVER);
	return rc;
}

/* In the natural order of the queues: an order by lot starves nobody. */
static void test_tasks_that_join_children_for_ever_starve_nobody(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct crowded crowded;

		memset(&crowded, 0, sizeof(crowded));
		assert_int_equal(test_run_natural(workers, crowd_main, &crowded), 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(load_acquire(&crowded.turns[i]), TICKS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_go_on_however_many_tasks_block),
		cmocka_unit_test(test_a_fresh_task_is_taken_however_many_tasks_block),
		cmocka_unit_test(test_callbacks_of_a_blocked_loop_run),
		cmocka_unit_test(test_a_watch_of_a_blocked_loop_reports),
		cmocka_unit_test(test_pinned_tasks_of_a_blocked_loop_run),
		cmocka_unit_test(test_a_callback_that_blocks_holds_up_only_callbacks),
		cmocka_unit_test(test_timers_go_on_while_all_workers_burn),
		cmocka_unit_test(test_timers_go_on_while_all_workers_block),
		cmocka_unit_test(test_a_fresh_task_is_taken_from_a_blocked_worker),
		cmocka_unit_test(test_a_woken_task_is_taken_from_the_slot_of_a_blocked_worker),
		cmocka_unit_test(test_a_task_from_outside_runs_while_all_workers_block),
		cmocka_unit_test(test_a_descriptor_is_served_while_all_workers_block),
		cmocka_unit_test(test_the_spare_worker_gives_back_what_it_has_taken),
		cmocka_unit_test(test_the_first_spare_worker_is_tried_for_again),
		cmocka_unit_test(test_what_is_left_behind_is_served_while_it_blocks),
		cmocka_unit_test(test_tasks_that_join_children_for_ever_starve_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
