/* SPDX-License-Identifier: MIT */
#include "tests/support/calls.h"

#include <errno.h>
#include <unistd.h>

/* Await a task. */
static void task_make(struct scene *scene)
{
	scene->future = hilo_future_new();
	scene->other = hilo_spawn(test_entry_wait, scene->future);
}

static int task_call(struct scene *scene, hilo_time deadline)
{
	return hilo_await(scene->other, deadline);
}

static void future_fire(struct scene *scene)
{
	TASK_CHECK(hilo_future_set(scene->future, NULL, NULL), ==, 0);
}

static void task_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_task_is_done(scene->other), ==, 1);
	if (!hilo_future_is_done(scene->future))
		future_fire(scene);
	TASK_CHECK(hilo_await(scene->other, HILO_FOREVER), ==, 0);
}

static void task_end(struct scene *scene)
{
	hilo_task_unref(scene->other);
	hilo_future_unref(scene->future);
}

/* Join one: the handle ends with success only. */
static int join_call(struct scene *scene, hilo_time deadline)
{
	(void)hilo_task_ref(scene->other);
	if (hilo_join(scene->other, deadline) == 0)
		return 0;
	hilo_task_unref(scene->other);
	return hilo_error_code();
}

/* Await a future. */
static void future_make(struct scene *scene)
{
	scene->future = hilo_future_new();
}

static int future_call(struct scene *scene, hilo_time deadline)
{
	void *value = scene;
	int rc = hilo_future_await(scene->future, &value, deadline);

	TASK_CHECK(value, ==, rc == 0 ? NULL : scene);
	return rc;
}

static void future_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_future_is_done(scene->future), ==, 1);
	else if (!hilo_future_is_done(scene->future))
		future_fire(scene); /* the end of a wait has not completed it */
	TASK_CHECK(hilo_future_await(scene->future, NULL, HILO_NO_WAIT), ==, 0);
}

static void future_end(struct scene *scene)
{
	hilo_future_unref(scene->future);
}

/* A call in an executor whose only thread is blocked until `fire`. */
static int block_until_released(void *arg)
{
	struct scene *scene = arg;

	store_release(&scene->blocked, 1);
	TEST_UNTIL(load_acquire(&scene->release));
	return 0;
}

static int blocker_main(void *arg)
{
	struct scene *scene = arg;

	return hilo_run_in_executor(scene->executor, block_until_released, scene, HILO_FOREVER);
}

static void executor_make_with(struct scene *scene, const hilo_executor_opts *opts)
{
	TASK_CHECK(hilo_executor_new(opts, &scene->executor), ==, 0);
	scene->blocker = hilo_spawn(blocker_main, scene);
	TEST_UNTIL(load_acquire(&scene->blocked));
}

static void executor_make(struct scene *scene)
{
	executor_make_with(scene,
			   &(hilo_executor_opts){.size = sizeof(hilo_executor_opts), .max_threads = 1});
}

static int count_call(void *arg)
{
	struct scene *scene = arg;

	return (int)add_release(&scene->calls, 1) + 77;
}

static int executor_call(struct scene *scene, hilo_time deadline)
{
	return hilo_run_in_executor(scene->executor, count_call, scene, deadline);
}

static void executor_fire(struct scene *scene)
{
	store_release(&scene->release, 1);
}

static void executor_check(struct scene *scene, int result)
{
	TASK_CHECK(load_acquire(&scene->calls), ==, result == 77);
}

static void executor_shut(struct scene *scene)
{
	TASK_CHECK(hilo_executor_close(scene->executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_NO_WAIT), ==,
		   -ETIMEDOUT);
}

static void executor_end(struct scene *scene)
{
	executor_fire(scene);
	TASK_CHECK(hilo_join(scene->blocker, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(scene->executor, 0, HILO_FOREVER), ==, 0);
}

/* The same with a full queue: waits for room. */
static int filler_call(void *arg)
{
	(void)arg;
	return 0;
}

static int filler_main(void *arg)
{
	struct scene *scene = arg;

	return hilo_run_in_executor(scene->executor, filler_call, NULL, HILO_FOREVER);
}

static void room_make(struct scene *scene)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .max_threads = 1, .max_queued = 1};
	hilo_executor_stats stats = {.size = sizeof(stats)};

	executor_make_with(scene, &opts);
	scene->other = hilo_spawn(filler_main, scene);
	do {
		test_pause();
		TASK_CHECK(hilo_executor_get_stats(scene->executor, &stats), ==, 0);
	} while (stats.queued < 1);
}

static void room_end(struct scene *scene)
{
	int rc;

	executor_fire(scene);
	rc = hilo_join(scene->other, HILO_FOREVER);
	if (rc != HILO_ECLOSED)
		TASK_CHECK(rc, ==, 0);
	executor_end(scene);
}

/* Submit a call: waits for room only, and the call runs once it was queued, waited for or not. */
static int submit_call(struct scene *scene, hilo_time deadline)
{
	hilo_future *future = NULL;
	void *value = NULL;
	int rc = hilo_executor_submit(scene->executor, count_call, scene, &future, deadline);

	TASK_CHECK(future != NULL, ==, rc == 0);
	if (rc < 0)
		return rc;
	(void)hilo_shield_enter();
	rc = hilo_future_await(future, &value, HILO_FOREVER);
	(void)hilo_shield_leave();
	hilo_future_unref(future);
	return rc < 0 ? rc : (int)(intptr_t)value;
}

/* A map of two, one after the other: its results tell which were called. */
static int map_call(struct scene *scene, hilo_time deadline)
{
	unsigned before = load_acquire(&scene->calls), called = 0;
	int results[2] = {0, 0}, rc;

	rc = hilo_executor_map(scene->executor, count_call, scene, 0, 2, results, 1, deadline);
	for (int i = 0; i < 2; i++) {
		called += results[i] >= 77;
		TASK_CHECK(results[i] >= 77 || results[i] == -ECANCELED || results[i] == HILO_ECLOSED, ==,
			   true);
	}
	TASK_CHECK(called, ==, load_acquire(&scene->calls) - before);
	TASK_CHECK(called == 2, ==, rc == 0);
	return rc;
}

/* Close an executor: waits for the call that runs. */
static int close_call(struct scene *scene, hilo_time deadline)
{
	int rc = hilo_executor_close(scene->executor, 0, deadline);

	if (rc == 0)
		scene->executor = NULL;
	return rc;
}

static void close_end(struct scene *scene)
{
	executor_fire(scene);
	TASK_CHECK(hilo_join(scene->blocker, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_executor_close(scene->executor, 0, HILO_FOREVER), ==, 0);
}

/* A descriptor that becomes readable. */
static void fd_make(struct scene *scene)
{
	TASK_CHECK(pipe(scene->fds), ==, 0);
}

static int fd_call(struct scene *scene, hilo_time deadline)
{
	return hilo_fd_wait(scene->fds[0], HILO_READABLE, deadline);
}

static void fd_fire(struct scene *scene)
{
	TASK_CHECK(write(scene->fds[1], "x", 1), ==, 1);
}

static void fd_check(struct scene *scene, int result)
{
	if (result == HILO_READABLE)
		TASK_CHECK(hilo_fd_wait(scene->fds[0], HILO_READABLE, HILO_NO_WAIT), ==, HILO_READABLE);
}

static void fd_end(struct scene *scene)
{
	(void)close(scene->fds[0]);
	(void)close(scene->fds[1]);
}

/* A descriptor that becomes writable. */
static void full_make(struct scene *scene)
{
	static char bytes[1 << 16];

	fd_make(scene);
	TASK_CHECK(write(scene->fds[1], bytes, sizeof(bytes)), ==, sizeof(bytes));
}

static int full_call(struct scene *scene, hilo_time deadline)
{
	return hilo_fd_wait(scene->fds[1], HILO_WRITABLE, deadline);
}

static void full_fire(struct scene *scene)
{
	static char bytes[1 << 16];

	TASK_CHECK(read(scene->fds[0], bytes, sizeof(bytes)), ==, sizeof(bytes));
}

static void check_nothing(struct scene *scene, int result)
{
	(void)scene, (void)result;
}

/* hilo_run in a task: its child waits. */
static int run_call(struct scene *scene, hilo_time deadline)
{
	(void)deadline;
	return hilo_run(test_entry_wait, scene->future, NULL);
}

/* Wait for two tasks, or for the first of them. */
static void tasks_make(struct scene *scene)
{
	task_make(scene);
	scene->blocker = hilo_spawn(test_entry_wait, scene->future);
}

static int wait_call(struct scene *scene, hilo_time deadline)
{
	hilo_task *const tasks[] = {scene->other, scene->blocker};

	return hilo_wait(tasks, 2, HILO_ALL_COMPLETED, deadline);
}

static void tasks_check(struct scene *scene, int result)
{
	if (result == 2)
		TASK_CHECK(hilo_task_is_done(scene->blocker), ==, 1);
	task_check(scene, result == 2 ? 0 : result);
	TASK_CHECK(hilo_await(scene->blocker, HILO_FOREVER), ==, 0);
}

static void tasks_end(struct scene *scene)
{
	hilo_task_unref(scene->blocker);
	task_end(scene);
}

static void first_make(struct scene *scene)
{
	task_make(scene);
	scene->blocker = hilo_spawn(test_entry_sleep_forever, NULL);
}

static int first_call(struct scene *scene, hilo_time deadline)
{
	hilo_task *const tasks[] = {scene->blocker, scene->other};

	return hilo_wait(tasks, 2, HILO_FIRST_COMPLETED, deadline);
}

static void first_check(struct scene *scene, int result)
{
	TASK_CHECK(hilo_task_is_done(scene->blocker), ==, 0);
	TASK_CHECK(hilo_task_cancel(scene->blocker), ==, 0);
	TASK_CHECK(hilo_await(scene->blocker, HILO_FOREVER), ==, -ECANCELED);
	task_check(scene, result == 1 ? 0 : result);
}

/* Gather two: an early end is theirs, too. */
static int gather_call(struct scene *scene, hilo_time deadline)
{
	hilo_task *const tasks[] = {hilo_task_ref(scene->other), hilo_task_ref(scene->blocker)};

	return hilo_gather(tasks, 2, NULL, deadline);
}

static int gather_results_call(struct scene *scene, hilo_time deadline)
{
	hilo_task *const tasks[] = {hilo_task_ref(scene->other), hilo_task_ref(scene->blocker)};
	int results[2] = {77, 77}, rc = hilo_gather(tasks, 2, results, deadline);

	for (int i = 0; i < 2; i++)
		TASK_CHECK(results[i] == 0 || (rc < 0 && results[i] == -ECANCELED), ==, 1);
	return rc;
}

static void gather_check(struct scene *scene, int result)
{
	hilo_task *const tasks[] = {scene->other, scene->blocker};

	for (int i = 0; i < 2; i++) {
		int code = 77;

		TASK_CHECK(hilo_task_result(tasks[i], &code), ==, 0);
		TASK_CHECK(code == 0 || (result < 0 && code == -ECANCELED), ==, 1);
	}
}

/* Select one of a task, a future and a timer: of the two that are let go, whichever comes first. */
static int select_call(struct scene *scene, hilo_time deadline)
{
	hilo_select_case cases[] = {
		HILO_SELECT_TASK(scene->other),
		HILO_SELECT_FUTURE(scene->future),
		HILO_SELECT_TIMER(HILO_FOREVER),
	};
	int ready = hilo_select(cases, 3, deadline);

	return ready > 0 ? 0 : ready;
}

static void select_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_future_is_done(scene->future), ==, 1);
	task_check(scene, -EAGAIN); /* nothing was consumed, nothing completed */
}

/* The next task that ends, of one that is let go and one that sleeps. */
static int as_completed_call(struct scene *scene, hilo_time deadline)
{
	hilo_task *const tasks[] = {scene->blocker, scene->other};
	hilo_as_completed *set;
	hilo_task *task = NULL;
	int rc;

	TASK_CHECK(hilo_as_completed_new(tasks, 2, &set), ==, 0);
	rc = hilo_as_completed_next(set, &task, deadline);
	TASK_CHECK(task, ==, rc == 1 ? scene->other : NULL);
	hilo_as_completed_free(set);
	return rc;
}

/* Wait for a function that is run as a task. */
static int wait_for_call(struct scene *scene, hilo_time deadline)
{
	return hilo_wait_for(test_entry_wait, scene->future, deadline);
}

/* The end of a block waits for its group. */
static int group_call(struct scene *scene, hilo_time deadline)
{
	int rc;

	(void)deadline;
	HILO_GROUP (group, &rc)
		(void)hilo_group_spawn(group, test_entry_wait, scene->future);
	return rc;
}

/* A wait without a deadline, in a block that has one. */
static int timeout_call(struct scene *scene, hilo_time deadline)
{
	int rc;

	HILO_TIMEOUT (limit, deadline, &rc)
		rc = future_call(scene, HILO_FOREVER);
	return rc;
}

/* Run a task in another runtime, and close one in which a task takes its time. */
static void runtime_make(struct scene *scene)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};

	future_make(scene);
	TASK_CHECK(hilo_runtime_new(&opts, &scene->runtime), ==, 0);
}

static int until_complete_call(struct scene *scene, hilo_time deadline)
{
	(void)deadline;
	return hilo_runtime_run_until_complete(scene->runtime, test_entry_wait, scene->future);
}

static void runtime_end(struct scene *scene)
{
	TASK_CHECK(hilo_runtime_free(scene->runtime), ==, 0);
	future_end(scene);
}

static int wait_shielded(void *arg)
{
	int rc;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	rc = test_entry_wait(arg);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return rc;
}

static void closing_make(struct scene *scene)
{
	runtime_make(scene);
	TASK_CHECK(hilo_submit(scene->runtime, wait_shielded, scene->future, NULL, &scene->other), ==, 0);
	TEST_UNTIL(hilo_task_get_state(scene->other) == HILO_TASK_SUSPENDED);
}

static int closing_call(struct scene *scene, hilo_time deadline)
{
	return hilo_runtime_close(scene->runtime, deadline);
}

static void closing_check(struct scene *scene, int result)
{
	TASK_CHECK(hilo_runtime_is_closed(scene->runtime), ==, result == 0);
	TASK_CHECK(hilo_task_is_done(scene->other) || result < 0, ==, 1);
	task_check(scene, result);
}

static void closing_end(struct scene *scene)
{
	TASK_CHECK(hilo_runtime_close(scene->runtime, HILO_FOREVER), ==, 0);
	hilo_task_unref(scene->other);
	runtime_end(scene);
}

/* An event. */
static void event_make(struct scene *scene)
{
	TASK_CHECK(hilo_event_init(&scene->sync.event, 0), ==, 0);
}

static int event_call(struct scene *scene, hilo_time deadline)
{
	return hilo_event_wait(&scene->sync.event, deadline);
}

static void event_fire(struct scene *scene)
{
	TASK_CHECK(hilo_event_set(&scene->sync.event), ==, 0);
}

static void event_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_event_is_set(&scene->sync.event), ==, 1);
	event_fire(scene);
	TASK_CHECK(hilo_event_wait(&scene->sync.event, HILO_NO_WAIT), ==, 0);
}

static void event_end(struct scene *scene)
{
	TASK_CHECK(hilo_event_destroy(&scene->sync.event), ==, 0);
}

/* A permit. */
static void semaphore_make(struct scene *scene)
{
	TASK_CHECK(hilo_semaphore_init(&scene->sync.semaphore, 1, 2), ==, 0);
}

static int semaphore_call(struct scene *scene, hilo_time deadline)
{
	return hilo_semaphore_acquire(&scene->sync.semaphore, 2, deadline);
}

static void semaphore_fire(struct scene *scene)
{
	(void)add_relaxed(&scene->calls, 1);
	TASK_CHECK(hilo_semaphore_release(&scene->sync.semaphore, 1), ==, 0);
}

static void semaphore_check(struct scene *scene, int result)
{
	TASK_CHECK(hilo_semaphore_value(&scene->sync.semaphore), ==,
		   1 + load_relaxed(&scene->calls) - (result == 0 ? 2 : 0));
}

static void semaphore_end(struct scene *scene)
{
	TASK_CHECK(hilo_semaphore_destroy(&scene->sync.semaphore), ==, 0);
}

/* A barrier, at which another task arrives. */
static void barrier_make(struct scene *scene)
{
	TASK_CHECK(hilo_barrier_init(&scene->sync.barrier, 2, NULL, NULL), ==, 0);
}

static int barrier_call(struct scene *scene, hilo_time deadline)
{
	int rc = hilo_barrier_wait(&scene->sync.barrier, deadline);

	return rc > 0 ? 0 : rc;
}

static int barrier_arrive(void *arg)
{
	return barrier_call(arg, HILO_FOREVER);
}

static void barrier_fire(struct scene *scene)
{
	scene->other = hilo_spawn(barrier_arrive, scene);
}

/* Who has left was not counted: the other one still waits. */
static void barrier_check(struct scene *scene, int result)
{
	if (scene->other && result < 0)
		TASK_CHECK(barrier_call(scene, HILO_FOREVER), ==, 0);
	if (scene->other)
		TASK_CHECK(hilo_join(scene->other, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_barrier_n_waiting(&scene->sync.barrier), ==, 0);
	TASK_CHECK(hilo_barrier_broken(&scene->sync.barrier), ==, 0);
}

static void barrier_end(struct scene *scene)
{
	TASK_CHECK(hilo_barrier_destroy(&scene->sync.barrier), ==, 0);
}

/* A wait group, and a latch. */
static void group_make(struct scene *scene)
{
	TASK_CHECK(hilo_wait_group_init(&scene->sync.group), ==, 0);
	TASK_CHECK(hilo_wait_group_add(&scene->sync.group, 1), ==, 0);
}

static int wait_group_call(struct scene *scene, hilo_time deadline)
{
	return hilo_wait_group_wait(&scene->sync.group, deadline);
}

static void wait_group_fire(struct scene *scene)
{
	TASK_CHECK(hilo_wait_group_done(&scene->sync.group), ==, 0);
}

static void wait_group_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_wait_group_count(&scene->sync.group), ==, 0);
}

static void wait_group_end(struct scene *scene)
{
	TASK_CHECK(hilo_wait_group_destroy(&scene->sync.group), ==, 0);
}

static void latch_make(struct scene *scene)
{
	TASK_CHECK(hilo_latch_init(&scene->sync.latch, 1), ==, 0);
}

static int latch_call(struct scene *scene, hilo_time deadline)
{
	return hilo_latch_wait(&scene->sync.latch, deadline);
}

static void latch_fire(struct scene *scene)
{
	TASK_CHECK(hilo_latch_count_down(&scene->sync.latch, 1), ==, 0);
}

static void latch_check(struct scene *scene, int result)
{
	if (result == 0)
		TASK_CHECK(hilo_latch_count(&scene->sync.latch), ==, 0);
}

static void latch_end(struct scene *scene)
{
	TASK_CHECK(hilo_latch_destroy(&scene->sync.latch), ==, 0);
}

const struct call_kind test_call_kinds[] = {
	{"await", task_make, task_call, future_fire, NULL, task_check, task_end, 0, 0, 0},
	{"join", task_make, join_call, future_fire, NULL, task_check, task_end, 0, 0, 0},
	{"future", future_make, future_call, future_fire, NULL, future_check, future_end, 0, 0, 0},
	{"run", future_make, run_call, future_fire, NULL, future_check, future_end, 0, 0, KIND_NO_DEADLINE},
	{"run until complete", runtime_make, until_complete_call, future_fire, NULL, future_check,
	 runtime_end, 0, 0, KIND_NO_DEADLINE},
	{"runtime close", closing_make, closing_call, future_fire, NULL, closing_check, closing_end, 0, 0, 0},
	{"executor", executor_make, executor_call, executor_fire, executor_shut, executor_check, executor_end,
	 77, HILO_ECLOSED, 0},
	{"room", room_make, executor_call, executor_fire, executor_shut, executor_check, room_end, 77,
	 HILO_ECLOSED, 0},
	{"submit", room_make, submit_call, executor_fire, executor_shut, executor_check, room_end, 77,
	 HILO_ECLOSED, 0},
	{"map", executor_make, map_call, executor_fire, executor_shut, check_nothing, executor_end, 0,
	 HILO_ECLOSED, 0},
	{"executor close", executor_make, close_call, executor_fire, NULL, check_nothing, close_end, 0, 0, 0},
	{"readable", fd_make, fd_call, fd_fire, NULL, fd_check, fd_end, HILO_READABLE, 0, 0},
	{"writable", full_make, full_call, full_fire, NULL, check_nothing, fd_end, HILO_WRITABLE, 0, 0},
	{"wait", tasks_make, wait_call, future_fire, NULL, tasks_check, tasks_end, 2, 0, 0},
	{"wait first", first_make, first_call, future_fire, NULL, first_check, tasks_end, 1, 0, 0},
	{"gather", tasks_make, gather_call, future_fire, NULL, gather_check, tasks_end, 0, 0, KIND_ONCE},
	{"gather results", tasks_make, gather_results_call, future_fire, NULL, gather_check, tasks_end, 0, 0,
	 KIND_ONCE},
	{"select", task_make, select_call, future_fire, NULL, select_check, task_end, 0, 0, 0},
	{"as completed", first_make, as_completed_call, future_fire, NULL, first_check, tasks_end, 1, 0, 0},
	{"wait_for", future_make, wait_for_call, future_fire, NULL, future_check, future_end, 0, 0,
	 KIND_TASK_ONLY},
	{"group", future_make, group_call, future_fire, NULL, future_check, future_end, 0, 0,
	 KIND_NO_DEADLINE | KIND_TASK_ONLY},
	{"timeout", future_make, timeout_call, future_fire, NULL, future_check, future_end, 0, 0,
	 KIND_TASK_ONLY},
	{"event", event_make, event_call, event_fire, NULL, event_check, event_end, 0, 0, 0},
	{"semaphore", semaphore_make, semaphore_call, semaphore_fire, NULL, semaphore_check, semaphore_end, 0,
	 0, 0},
	{"barrier", barrier_make, barrier_call, barrier_fire, NULL, barrier_check, barrier_end, 0, 0, 0},
	{"wait group", group_make, wait_group_call, wait_group_fire, NULL, wait_group_check, wait_group_end,
	 0, 0, 0},
	{"latch", latch_make, latch_call, latch_fire, NULL, latch_check, latch_end, 0, 0, 0},
};

const size_t test_call_kinds_count = array_size(test_call_kinds);

void scene_begin(const struct call_kind *kind, struct scene *scene)
{
	*scene = (struct scene){.fds = {-1, -1}};
	atomic_setup(&scene->release, 0);
	atomic_setup(&scene->blocked, 0);
	atomic_setup(&scene->calls, 0);
	kind->make(scene);
}

void scene_finish(const struct call_kind *kind, struct scene *scene, int result)
{
	kind->check(scene, result);
	kind->end(scene);
}
