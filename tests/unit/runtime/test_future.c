/* SPDX-License-Identifier: MIT */
#include "tests/support/test.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/pool.h"

static atomic(unsigned) dropped;

static void drop_count(void *value)
{
	(void)value;
	(void)add_release(&dropped, 1);
}

TASK_TEST(test_set_once_read_often)
{
	hilo_future *future = hilo_future_new();
	int value = 5, other = 6;
	void *got = NULL;

	TASK_CHECK(hilo_future_is_done(future), ==, 0);
	TASK_CHECK(hilo_future_result(future, &got), ==, -EAGAIN);
	TASK_CHECK(hilo_future_take(future, &got), ==, -EAGAIN);
	TASK_CHECK(hilo_future_set(future, &value, NULL), ==, 0);
	TASK_CHECK(hilo_future_is_done(future), ==, 1);
	TASK_CHECK(hilo_future_set(future, &other, NULL), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_future_set_error(future, -EIO), ==, HILO_EINVALSTATE);
	TASK_CHECK(hilo_future_cancel(future), ==, HILO_EINVALSTATE);
	for (int i = 0; i < 3; i++) {
		got = NULL;
		TASK_CHECK(hilo_future_await(future, &got, HILO_FOREVER), ==, 0);
		TASK_CHECK(got, ==, &value);
		TASK_CHECK(hilo_future_result(future, &got), ==, 0);
		TASK_CHECK(hilo_future_await(future, NULL, HILO_NO_WAIT), ==, 0);
	}
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_failures_are_codes_below_zero)
{
	hilo_future *future = hilo_future_new();
	void *got = &future;

	TASK_CHECK(hilo_future_set_error(future, 0), ==, -EINVAL);
	TASK_CHECK(hilo_future_set_error(future, 5), ==, -EINVAL);
	TASK_CHECK(hilo_future_is_done(future), ==, 0);
	TASK_CHECK(hilo_future_set_error(future, -EIO), ==, 0);
	TASK_CHECK(hilo_future_await(future, &got, HILO_FOREVER), ==, -EIO);
	TASK_CHECK(hilo_future_result(future, &got), ==, -EIO);
	TASK_CHECK(got, ==, &future);
	TASK_CHECK(hilo_error_code(), ==, -EIO);
	TASK_CHECK(hilo_error_task(), ==, NULL);
	hilo_future_unref(future);

	future = hilo_future_new();
	TASK_CHECK(hilo_future_cancel(future), ==, 0);
	TASK_CHECK(hilo_future_await(future, &got, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_future_is_done(future), ==, 1);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_null_is_out_of_memory)
{
	void *got;
	hilo_done_node node;

	TASK_CHECK(hilo_future_set(NULL, NULL, NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_future_set_error(NULL, -EIO), ==, -ENOMEM);
	TASK_CHECK(hilo_future_cancel(NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_future_await(NULL, &got, HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_future_result(NULL, &got), ==, -ENOMEM);
	TASK_CHECK(hilo_future_take(NULL, &got), ==, -ENOMEM);
	TASK_CHECK(hilo_future_on_done(NULL, &node, drop_count, NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_future_is_done(NULL), ==, 0);
	TASK_CHECK(hilo_future_ref(NULL), ==, NULL);
	hilo_future_unref(NULL);
	return 0;
}

TASK_TEST(test_drop_is_called_once_or_the_value_is_taken)
{
	hilo_future *future = hilo_future_new(), *second;
	int value;
	void *got = NULL;

	store_release(&dropped, 0);
	TASK_CHECK(hilo_future_set(future, &value, drop_count), ==, 0);
	second = hilo_future_ref(future);
	TASK_CHECK(second, ==, future);
	TASK_CHECK(hilo_future_take(future, &got), ==, -EBUSY);
	hilo_future_unref(second);
	TASK_CHECK(load_acquire(&dropped), ==, 0);
	hilo_future_unref(future);
	TASK_CHECK(load_acquire(&dropped), ==, 1);

	future = hilo_future_new();
	TASK_CHECK(hilo_future_set(future, &value, drop_count), ==, 0);
	TASK_CHECK(hilo_future_take(future, &got), ==, 0);
	TASK_CHECK(got, ==, &value);
	TASK_CHECK(hilo_future_take(future, &got), ==, HILO_EINVALSTATE);
	hilo_future_unref(future);
	TASK_CHECK(load_acquire(&dropped), ==, 1);

	future = hilo_future_new();
	TASK_CHECK(hilo_future_set_error(future, -EIO), ==, 0);
	TASK_CHECK(hilo_future_take(future, &got), ==, -EIO);
	hilo_future_unref(future);
	hilo_future_unref(hilo_future_new()); /* pending */
	return 0;
}

#define CROWD 64

struct crowd {
	hilo_future *future;
	atomic(unsigned) ready, called;
	int value;
};

static int crowd_wait(void *arg)
{
	struct crowd *crowd = arg;
	void *got = NULL;

	(void)add_release(&crowd->ready, 1);
	TASK_CHECK(hilo_future_await(crowd->future, &got, HILO_FOREVER), ==, 0);
	TASK_CHECK(got, ==, &crowd->value);
	hilo_future_unref(crowd->future);
	return 0;
}

static void *crowd_thread(void *arg)
{
	(void)crowd_wait(arg);
	return NULL;
}

static void *crowd_set(void *arg)
{
	struct crowd *crowd = arg;

	TASK_CHECK(hilo_future_set(crowd->future, &crowd->value, drop_count), ==, 0);
	hilo_future_unref(crowd->future);
	return NULL;
}

/* More than a batch of waiters, of both kinds; set by a plain thread; the last of all frees. */
TASK_TEST(test_tasks_and_threads_await_what_a_thread_sets)
{
	struct crowd crowd = {.future = hilo_future_new()};
	hilo_task *task[CROWD];
	pthread_t thread[5];

	store_release(&dropped, 0);
	atomic_setup(&crowd.ready, 0);
	for (int i = 0; i < CROWD; i++) {
		(void)hilo_future_ref(crowd.future);
		task[i] = hilo_spawn(crowd_wait, &crowd);
	}
	for (int i = 0; i < 4; i++) {
		(void)hilo_future_ref(crowd.future);
		TASK_CHECK(pthread_create(&thread[i], NULL, crowd_thread, &crowd), ==, 0);
	}
	TEST_UNTIL(load_acquire(&crowd.ready) == CROWD + 4);
	for (int i = 0; i < CROWD; i++)
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED);
	TASK_CHECK(pthread_create(&thread[4], NULL, crowd_set, &crowd), ==, 0);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	for (int i = 0; i < 5; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(load_acquire(&dropped), ==, 1);
	return 0;
}

static int crowd_hurry(void *arg)
{
	struct crowd *crowd = arg;
	hilo_time begin = hilo_now();
	int rc = hilo_future_await(
		crowd->future, NULL,
		hilo_after((hilo_time)(add_release(&crowd->ready, 1) % 8 + 1) * 20 * HILO_MICROSECOND));

	if (rc != 0)
		TASK_CHECK(rc, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_now(), >=, begin);
	hilo_future_unref(crowd->future);
	return rc;
}

static void crowd_called(void *arg)
{
	(void)add_release(&((struct crowd *)arg)->called, 1);
}

/* The waiters' time is up while they are being woken, batch after batch; callbacks are among them. */
TASK_TEST(test_a_crowd_in_a_hurry)
{
	for (unsigned round = 0; round < test_rounds(200); round++) {
		struct crowd crowd = {.future = hilo_future_new()};
		hilo_done_node node[CROWD / 8];
		hilo_task *task[CROWD];
		unsigned there = 0, late = 0;

		store_release(&dropped, 0);
		atomic_setup(&crowd.ready, 0);
		atomic_setup(&crowd.called, 0);
		for (int i = 0; i < CROWD; i++) {
			(void)hilo_future_ref(crowd.future);
			task[i] = hilo_spawn(crowd_hurry, &crowd);
			if (i % 8 == 0)
				TASK_CHECK(
					hilo_future_on_done(crowd.future, &node[i / 8], crowd_called, &crowd),
					==, 0);
		}
		TEST_UNTIL(load_acquire(&crowd.ready) == CROWD);
		TASK_CHECK(hilo_sleep((hilo_time)(round % 8) * 20 * HILO_MICROSECOND), ==, 0);
		TASK_CHECK(hilo_future_set(crowd.future, &crowd.value, drop_count), ==, 0);
		hilo_future_unref(crowd.future);
		for (int i = 0; i < CROWD; i++)
			(void)(hilo_join(task[i], HILO_FOREVER) ? late++ : there++);
		TASK_CHECK(there + late, ==, CROWD);
		TEST_UNTIL(load_acquire(&crowd.called) == CROWD / 8);
		TEST_UNTIL(load_acquire(&dropped) == 1);
	}
	return 0;
}

struct race {
	hilo_future *future;
	atomic(unsigned) won, turn, left;
	unsigned rounds;
};

/* Both drop a reference at the same time; the first one also makes the future, for each round. */
static void *race_unref(void *arg)
{
	struct race *race = arg;
	bool makes = add_relaxed(&race->turn, 1) == 0;

	for (unsigned round = 1; round <= race->rounds; round++) {
		if (makes) {
			race->future = hilo_future_ref(hilo_future_new());
			store_release(&race->won, 2 * round - 1);
			TEST_UNTIL(load_acquire(&race->won) == 2 * round);
		} else {
			TEST_UNTIL(load_acquire(&race->won) == 2 * round - 1);
			store_release(&race->won, 2 * round);
		}
		hilo_future_unref(race->future);
		(void)add_release(&race->left, 1);
		TEST_UNTIL(load_acquire(&race->left) == 2 * round);
	}
	return NULL;
}

/* Two drop the last references of a pending future at the same time: it is freed. */
static void test_two_give_up_a_pending_future_at_once(void **state)
{
	struct race race = {.rounds = test_rounds(4000)};
	pthread_t thread[2];
	size_t before;

	(void)state;
	hilo_future_unref(hilo_future_new());
	before = hilo__mem_mapped();
	atomic_setup(&race.won, 0);
	atomic_setup(&race.turn, 0);
	atomic_setup(&race.left, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race_unref, &race), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_in_range(hilo__mem_mapped(), 0, before + 4 * POOL_SLAB_SIZE);
}

static void *race_set(void *arg)
{
	struct race *race = arg;

	for (unsigned round = 1; round <= race->rounds; round++) {
		TEST_UNTIL(load_acquire(&race->turn) >= round);
		if (hilo_future_set(race->future, race, drop_count) == 0)
			(void)add_release(&race->won, 1);
		hilo_future_unref(race->future);
	}
	return NULL;
}

/* Of two that set at the same time one wins, and its value is dropped once. */
static void test_the_first_of_two_setters_wins(void **state)
{
	struct race race = {.rounds = test_rounds(3000)};
	pthread_t thread[2];

	(void)state;
	store_release(&dropped, 0);
	atomic_setup(&race.won, 0);
	atomic_setup(&race.turn, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race_set, &race), 0);
	for (unsigned round = 1; round <= race.rounds; round++) {
		void *got = NULL;

		race.future = hilo_future_ref(hilo_future_ref(hilo_future_new()));
		store_release(&race.turn, round);
		assert_int_equal(hilo_future_await(race.future, &got, HILO_FOREVER), 0);
		assert_ptr_equal(got, &race);
		while (hilo_future_take(race.future, &got) == -EBUSY)
			test_pause();
		hilo_future_unref(race.future);
		assert_int_equal(load_acquire(&race.won), round);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(load_acquire(&dropped), 0);
}

struct called {
	hilo_loop *loop;
	atomic(unsigned) count;
	unsigned order[8];
};

struct registration {
	hilo_done_node node;
	struct called *called;
	unsigned number;
};

static void on_done(void *arg)
{
	struct registration *registration = arg;
	struct called *called = registration->called;

	TASK_CHECK(hilo_loop_current(), ==, called->loop);
	TASK_CHECK(hilo_task_current(), ==, NULL);
	called->order[load_relaxed(&called->count)] = registration->number;
	(void)add_release(&called->count, 1);
}

static int on_done_pinned(void *arg)
{
	struct called called = {.loop = hilo_loop_current()};
	struct registration registration[6];
	hilo_future *future = hilo_future_new();

	(void)arg;
	atomic_setup(&called.count, 0);
	for (unsigned i = 0; i < 5; i++) {
		registration[i].called = &called;
		registration[i].number = i;
		TASK_CHECK(hilo_future_on_done(future, &registration[i].node, on_done, &registration[i]), ==,
			   0);
	}
	TASK_CHECK(hilo_future_remove_on_done(future, &registration[2].node), ==, 0);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(load_acquire(&called.count), ==, 0); /* never inside of set */
	/* Queued, but not called: it can still be taken back. */
	TASK_CHECK(hilo_future_remove_on_done(future, &registration[3].node), ==, 0);
	TEST_UNTIL(load_acquire(&called.count) == 3);
	TASK_CHECK(called.order[0], ==, 0);
	TASK_CHECK(called.order[1], ==, 1);
	TASK_CHECK(called.order[2], ==, 4);
	TASK_CHECK(hilo_future_remove_on_done(future, &registration[4].node), ==, -EALREADY);

	/* Complete already: soon, but not inside of the call. */
	registration[5].called = &called;
	registration[5].number = 5;
	TASK_CHECK(hilo_future_on_done(future, &registration[5].node, on_done, &registration[5]), ==, 0);
	TASK_CHECK(load_acquire(&called.count), ==, 3);
	TEST_UNTIL(load_acquire(&called.count) == 4);
	TASK_CHECK(called.order[3], ==, 5);
	hilo_future_unref(future);
	return 0;
}

LOOP_TEST(test_done_callbacks_come_in_order_on_the_loop_that_asked)
{
	hilo_runtime *runtime = hilo_runtime_current();

	for (unsigned i = 0; i < hilo_runtime_workers(runtime); i++) {
		hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
		hilo_task *task;

		opts.loop = hilo_runtime_loop(runtime, i);
		TASK_CHECK(hilo_spawn_with(on_done_pinned, NULL, &opts, &task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

static void *thread_set(void *arg)
{
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
	return NULL;
}

static int remove_race(void *arg)
{
	unsigned rounds = test_rounds(100);
	unsigned removed = 0, ran = 0;

	(void)arg;
	for (unsigned round = 0; round < rounds; round++) {
		struct called called = {.loop = hilo_loop_current()};
		struct registration registration = {.called = &called};
		hilo_future *future = hilo_future_new();
		pthread_t thread;

		atomic_setup(&called.count, 0);
		TASK_CHECK(hilo_future_on_done(future, &registration.node, on_done, &registration), ==, 0);
		TASK_CHECK(pthread_create(&thread, NULL, thread_set, future), ==, 0);
		for (unsigned i = 0; i < round % 8; i++)
			(void)hilo_yield();
		if (hilo_future_remove_on_done(future, &registration.node) == 0) {
			removed++;
			TASK_CHECK(load_acquire(&called.count), ==, 0);
		} else {
			ran++;
			TASK_CHECK(load_acquire(&called.count), ==, 1);
		}
		test_join_thread(thread);
		hilo_future_unref(future);
	}
	TASK_CHECK(removed + ran, ==, rounds);
	return 0;
}

LOOP_TEST(test_a_done_callback_is_removed_or_runs)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(remove_race, NULL, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* A registration that may outlive its runtime. */
struct late {
	hilo_done_node node;
	hilo_future *future;
	struct late *other;
	unsigned calls;
	int done; /* what the callback saw */
	pthread_t thread;
};

static void late_on_done(void *arg)
{
	struct late *late = arg;

	late->calls++;
	late->done = hilo_future_is_done(late->future);
	late->thread = pthread_self();
}

static test_flag taken;

/* The sole owner takes the value: the node's own reference is gone by then. */
static void take_on_done(void *arg)
{
	struct late *late = arg;
	void *got = NULL;

	TASK_CHECK(hilo_future_take(late->future, &got), ==, 0);
	TASK_CHECK(got, ==, late);
	store_release(&taken, 1);
}

TASK_TEST(test_a_done_callback_may_take_the_value)
{
	struct late late = {.future = hilo_future_new()};

	atomic_setup(&taken, 0);
	TASK_CHECK(hilo_future_on_done(late.future, &late.node, take_on_done, &late), ==, 0);
	TASK_CHECK(hilo_future_set(late.future, &late, drop_count), ==, 0);
	TEST_UNTIL(load_acquire(&taken));
	hilo_future_unref(late.future);
	return 0;
}

#define LATE 12

static int late_register(void *arg)
{
	struct late *late = arg;

	for (int i = 0; i < LATE; i++)
		TASK_CHECK(hilo_future_on_done(late[i].future, &late[i].node, late_on_done, &late[i]), ==, 0);
	return 0;
}

static void late_init(struct late *late)
{
	for (int i = 0; i < LATE; i++) {
		late[i] = (struct late){.future = hilo_future_new()};
		assert_non_null(late[i].future);
	}
}

/* The runtime ends first: the callbacks are called by who ends it, and never again. */
static void test_done_callbacks_run_when_their_loop_ends(void **state)
{
	struct late late[LATE];
	hilo_done_node node;

	(void)state;
	late_init(late);
	assert_int_equal(test_run(2, late_register, late), 0);
	for (int i = 0; i < LATE; i++) {
		assert_int_equal(late[i].calls, 1);
		assert_int_equal(late[i].done, 0);
		assert_true(pthread_equal(late[i].thread, pthread_self()));
		assert_int_equal(hilo_future_remove_on_done(late[i].future, &late[i].node), -EALREADY);
		assert_int_equal(hilo_future_on_done(late[i].future, &node, late_on_done, NULL), -EDEADLK);
		assert_int_equal(hilo_future_set(late[i].future, NULL, NULL), 0);
		assert_int_equal(late[i].calls, 1);
		hilo_future_unref(late[i].future);
	}
}

static void count_on_done(void *arg)
{
	((struct late *)arg)->calls++;
}

static int late_abandon(void *arg)
{
	struct late *late = arg;

	for (int i = 0; i < LATE; i++) {
		TASK_CHECK(hilo_future_on_done(late[i].future, &late[i].node, count_on_done, &late[i]), ==,
			   0);
		hilo_future_unref(late[i].future);
	}
	return 0;
}

/* A pending future that nobody else holds is kept by its registrations. */
static void test_done_callbacks_keep_their_future(void **state)
{
	struct late late[LATE];

	(void)state;
	late_init(late);
	assert_int_equal(test_run(1, late_abandon, late), 0);
	for (int i = 0; i < LATE; i++)
		assert_int_equal(late[i].calls, 1);
}

/* How often it lets others run before each. */
static unsigned late_pauses;

static void *late_set(void *arg)
{
	struct late *late = arg;

	for (int i = 0; i < LATE; i++) {
		for (unsigned n = 0; n < late_pauses; n++)
			(void)sched_yield();
		TASK_CHECK(hilo_future_set(late[i].future, NULL, NULL), ==, 0);
	}
	return NULL;
}

/* Completed by a thread that knows nothing of the runtime, while that ends. */
static void test_done_callbacks_run_once_when_completion_races_the_end(void **state)
{
	unsigned done = 0;

	(void)state;
	for (unsigned round = 0; round < test_rounds(200); round++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = 1 + round % 2};
		struct late late[LATE];
		hilo_runtime *runtime;
		hilo_task *task;
		pthread_t thread;

		late_init(late);
		assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
		assert_int_equal(hilo_submit(runtime, late_register, late, NULL, &task), 0);
		assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
		late_pauses = round % 64;
		assert_int_equal(pthread_create(&thread, NULL, late_set, late), 0);
		assert_int_equal(hilo_runtime_free(runtime), 0);
		for (int i = 0; i < LATE; i++) {
			assert_int_equal(late[i].calls, 1);
			done += late[i].done;
		}
		assert_int_equal(pthread_join(thread, NULL), 0);
		for (int i = 0; i < LATE; i++) {
			assert_int_equal(late[i].calls, 1);
			hilo_future_unref(late[i].future);
		}
	}
	(void)fprintf(stderr, "%u callbacks saw their future complete\n", done);
}

/* While the runtime ends: takes another registration back and completes what a third one waits for. */
static void meddle_on_done(void *arg)
{
	struct late *late = arg;
	hilo_done_node node;

	late_on_done(arg);
	TASK_CHECK(hilo_future_remove_on_done(late->future, &late->node), ==, -EALREADY);
	TASK_CHECK(hilo_future_remove_on_done(late[1].future, &late[1].node), ==, 0);
	TASK_CHECK(hilo_future_remove_on_done(late[1].future, &late[1].node), ==, -EALREADY);
	TASK_CHECK(hilo_future_set(late[2].future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_future_on_done(late->future, &node, late_on_done, late), ==, -EDEADLK);
	/* A callback like any other: it may not suspend. */
	TASK_CHECK(hilo_sleep(HILO_MICROSECOND), ==, -EDEADLK);
	TASK_CHECK(hilo_yield(), ==, -EDEADLK);
	TASK_CHECK(hilo_checkpoint(), ==, -EDEADLK);
	TASK_CHECK(hilo_future_await(late[1].future, NULL, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_run(test_entry_return, NULL, NULL), ==, -EDEADLK);
}

static int register_one(void *arg)
{
	struct late *late = arg;

	return hilo_future_on_done(late->future, &late->node, late->other ? meddle_on_done : late_on_done,
				   late);
}

static int register_on_all(void *arg)
{
	struct late *late = arg;
	hilo_runtime *runtime = hilo_runtime_current();

	late->other = late;
	for (unsigned i = 0; i < LATE; i++) {
		hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
		hilo_task *task;

		opts.loop = hilo_runtime_loop(runtime, i % 2);
		TASK_CHECK(hilo_spawn_with(register_one, &late[i], &opts, &task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

static void test_done_callbacks_meddle_while_the_runtime_ends(void **state)
{
	struct late late[LATE];

	(void)state;
	late_init(late);
	assert_int_equal(test_run(2, register_on_all, late), 0);
	for (int i = 0; i < LATE; i++) {
		assert_int_equal(late[i].calls, i != 1);
		assert_int_equal(late[i].done, i == 2);
		hilo_future_unref(late[i].future);
	}
}

static int remove_elsewhere(void *arg)
{
	struct late *late = arg;
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	opts.loop = hilo_runtime_loop(runtime, 0);
	TASK_CHECK(hilo_spawn_with(register_one, late, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

/* Another loop, a plain thread: not theirs to remove. */
static void test_done_callbacks_are_removed_on_their_loop_only(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	struct late late = {.future = hilo_future_new()};
	hilo_runtime *runtime;
	hilo_task *task;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, remove_elsewhere, &late, NULL, &task), 0);
	assert_int_equal(hilo_join(task, HILO_FOREVER), 0);
	assert_int_equal(hilo_future_remove_on_done(late.future, &late.node), -EDEADLK);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	assert_int_equal(late.calls, 1);
	hilo_future_unref(late.future);
}

static void drop_suspends(void *value)
{
	TASK_CHECK(hilo_sleep(10 * HILO_MICROSECOND), ==, 0);
	drop_count(value);
}

static int gives_up_futures(void *arg)
{
	for (int i = 0; i < 200; i++) {
		hilo_future *future = hilo_future_new();

		TASK_CHECK(hilo_future_set(future, &dropped, drop_suspends), ==, 0);
		hilo_future_unref(future);
	}
	(void)arg;
	return 0;
}

/* The task that drops the value may come back on another thread, whose memory is not the first one's. */
TASK_TEST(test_a_drop_may_suspend)
{
	hilo_task *task[8];

	store_release(&dropped, 0);
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(gives_up_futures, NULL);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&dropped), ==, 200 * array_size(task));
	return 0;
}

/* Taking a done callback back a second time leaves alone who was registered since. */
TASK_TEST(test_a_done_callback_is_removed_once)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node first, second;

	store_release(&dropped, 0);
	TASK_CHECK(hilo_future_on_done(future, &first, drop_count, NULL), ==, 0);
	TASK_CHECK(hilo_future_remove_on_done(future, &first), ==, 0);
	TASK_CHECK(hilo_future_on_done(future, &second, drop_count, NULL), ==, 0);
	TASK_CHECK(hilo_future_remove_on_done(future, &first), ==, -EALREADY);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	while (load_acquire(&dropped) == 0)
		TASK_CHECK(hilo_yield(), ==, 0);
	TASK_CHECK(load_acquire(&dropped), ==, 1);
	hilo_future_unref(future);
	return 0;
}

static void test_on_done_needs_a_loop(void **state)
{
	hilo_future *future = hilo_future_new();
	hilo_done_node node;

	(void)state;
	assert_int_equal(hilo_future_on_done(future, &node, drop_count, NULL), -EDEADLK);
	assert_int_equal(hilo_future_on_done(future, NULL, drop_count, NULL), -EINVAL);
	assert_int_equal(hilo_future_on_done(future, &node, NULL, NULL), -EINVAL);
	hilo_future_unref(future);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_once_read_often),
		cmocka_unit_test(test_failures_are_codes_below_zero),
		cmocka_unit_test(test_null_is_out_of_memory),
		cmocka_unit_test(test_drop_is_called_once_or_the_value_is_taken),
		cmocka_unit_test(test_tasks_and_threads_await_what_a_thread_sets),
		cmocka_unit_test(test_a_crowd_in_a_hurry),
		cmocka_unit_test(test_two_give_up_a_pending_future_at_once),
		cmocka_unit_test(test_the_first_of_two_setters_wins),
		cmocka_unit_test(test_done_callbacks_come_in_order_on_the_loop_that_asked),
		cmocka_unit_test(test_a_done_callback_is_removed_or_runs),
		cmocka_unit_test(test_a_done_callback_may_take_the_value),
		cmocka_unit_test(test_a_drop_may_suspend),
		cmocka_unit_test(test_a_done_callback_is_removed_once),
		cmocka_unit_test(test_done_callbacks_run_when_their_loop_ends),
		cmocka_unit_test(test_done_callbacks_keep_their_future),
		cmocka_unit_test(test_done_callbacks_run_once_when_completion_races_the_end),
		cmocka_unit_test(test_done_callbacks_meddle_while_the_runtime_ends),
		cmocka_unit_test(test_done_callbacks_are_removed_on_their_loop_only),
		cmocka_unit_test(test_on_done_needs_a_loop),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
