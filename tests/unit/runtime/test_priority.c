/* SPDX-License-Identifier: MIT */
/* Which ready task comes first, and that none has to wait for ever. */
#include "tests/support/simulate.h"

#include <errno.h>
#include <string.h>

#define HIGH HILO_TASK_HIGH
#define LOW HILO_TASK_LOW

static hilo_task *spawn(hilo_task_fn entry, const void *arg, unsigned flags)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = flags};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(entry, (void *)(uintptr_t)arg, &opts, &task), ==, 0);
	return task;
}

static void join_all(hilo_task **tasks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		TASK_CHECK(hilo_join(tasks[i], HILO_FOREVER), ==, 0);
}

/* On one loop, in the order of a program, with nobody else. */
static void run_alone(hilo_task_fn body)
{
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run_natural(1, body, NULL), 0);
	hilo__nobody_stands_in = false;
}

/* What ran, in its order. */
static char order[64];
static size_t order_length;

static void order_clear(void)
{
	memset(order, 0, sizeof(order));
	order_length = 0;
}

static int run_once(void *arg)
{
	order[order_length++] = *(const char *)arg;
	return 0;
}

static int run_thrice(void *arg)
{
	for (int i = 0; i < 3; i++) {
		(void)run_once(arg);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	return 0;
}

static int fresh_main(void *arg)
{
	hilo_task *tasks[6];

	(void)arg;
	order_clear();
	tasks[0] = spawn(run_once, "l", LOW);
	tasks[1] = spawn(run_once, "n", 0);
	tasks[2] = spawn(run_once, "h", HIGH);
	tasks[3] = spawn(run_once, "L", LOW);
	tasks[4] = spawn(run_once, "n", 0);
	tasks[5] = spawn(run_once, "H", HIGH);
	join_all(tasks, array_size(tasks));
	TASK_CHECK_TEXT(order, "hHnnlL");
	return 0;
}

static int yield_main(void *arg)
{
	hilo_task *tasks[4];

	(void)arg;
	order_clear();
	tasks[0] = spawn(run_thrice, "l", LOW);
	tasks[1] = spawn(run_thrice, "n", 0);
	tasks[2] = spawn(run_thrice, "h", HIGH);
	tasks[3] = spawn(run_thrice, "H", HIGH | HILO_TASK_PINNED);
	join_all(tasks, array_size(tasks));
	/* Of eight runs one is an ordinary one's. */
	TASK_CHECK_TEXT(order, "hHhHhHnnnlll");
	return 0;
}

/* Woken from a task: an ordinary one would be next, in the slot. */
static struct {
	hilo_future *gate[3];
} woken;

static int wait_main(void *arg)
{
	const char *letter = arg;
	int which = *letter == 'l' ? 0 : *letter == 'n' ? 1 : 2;
	int rc = hilo_future_await(woken.gate[which], NULL, HILO_FOREVER);

	(void)run_once(arg);
	return rc;
}

static int woken_main(void *arg)
{
	static const unsigned flags[] = {LOW, 0, HIGH};
	static char letters[] = "l\0n\0h";
	hilo_task *tasks[3];

	(void)arg;
	order_clear();
	for (int i = 0; i < 3; i++) {
		woken.gate[i] = hilo_future_new();
		tasks[i] = spawn(wait_main, &letters[2 * i], flags[i]);
	}
	for (int i = 0; i < 3; i++)
		TEST_UNTIL(hilo_task_get_state(tasks[i]) == HILO_TASK_SUSPENDED);
	for (int i = 0; i < 3; i++)
		TASK_CHECK(hilo_future_set(woken.gate[i], NULL, NULL), ==, 0);
	join_all(tasks, 3);
	TASK_CHECK_TEXT(order, "hnl");
	for (int i = 0; i < 3; i++)
		hilo_future_unref(woken.gate[i]);
	return 0;
}

static hilo_time nap_end;

static int nap_main(void *arg)
{
	int rc = hilo_sleep_until(nap_end);

	(void)run_once(arg);
	return rc;
}

/* Are the three asleep, and was there time to see it before they are due? */
static bool nap_begins(hilo_time nap)
{
	hilo_task *tasks[3];
	bool asleep = true;

	order_clear();
	nap_end = hilo_after(nap);
	tasks[0] = spawn(nap_main, "l", LOW);
	tasks[1] = spawn(nap_main, "n", 0);
	tasks[2] = spawn(nap_main, "h", HIGH);
	for (int i = 0; i < 3; i++) {
		TEST_UNTIL(hilo_task_get_state(tasks[i]) == HILO_TASK_SUSPENDED || hilo_now() >= nap_end);
		asleep &= hilo_task_get_state(tasks[i]) == HILO_TASK_SUSPENDED;
	}
	asleep &= hilo_now() < nap_end;
	while (hilo_now() <= nap_end)
		cpu_relax();
	join_all(tasks, 3);
	return asleep;
}

/*
 * Woken by timers that are due at once: while this task keeps the worker all of them become so. A thread that was
 * kept waiting for its processor comes too late for that: it says nothing about the order, so the nap gets longer.
 */
static int timers_main(void *arg)
{
	hilo_time nap = 5 * HILO_MILLISECOND;

	(void)arg;
	while (!nap_begins(nap))
		nap *= 2;
	TASK_CHECK_TEXT(order, "hnl");
	return 0;
}

static void test_high_ones_come_first_and_low_ones_last(void **state)
{
	(void)state;
	run_alone(fresh_main);
	run_alone(yield_main);
	run_alone(woken_main);
	run_alone(timers_main);
}

/* Always ready, until told to stop. */
struct crowd {
	test_flag stop;
	atomic(unsigned) runs;
};

static int always_ready(void *arg)
{
	struct crowd *crowd = arg;

	while (!load_acquire(&crowd->stop)) {
		(void)add_relaxed(&crowd->runs, 1);
		TASK_CHECK(hilo_yield(), ==, 0);
	}
	return 0;
}

#define STEPS 30

static int steps_then_stop(void *arg)
{
	for (int i = 0; i < STEPS; i++)
		TASK_CHECK(hilo_yield(), ==, 0);
	store_release(&((struct crowd *)arg)->stop, 1);
	return 0;
}

/* Some of @others are always ready; one of @flags gets its turn all the same. How many runs they had. */
static unsigned crowded(unsigned others, unsigned flags)
{
	struct crowd crowd;
	hilo_task *tasks[5];

	atomic_setup(&crowd.stop, 0);
	atomic_setup(&crowd.runs, 0);
	for (int i = 0; i < 4; i++)
		tasks[i] = spawn(always_ready, &crowd, others);
	tasks[4] = spawn(steps_then_stop, &crowd, flags);
	join_all(tasks, array_size(tasks));
	return load_relaxed(&crowd.runs);
}

static int crowd_main(void *arg)
{
	(void)arg;
	(void)crowded(HIGH, 0);
	(void)crowded(HIGH, LOW);
	(void)crowded(0, LOW);
	(void)crowded(HIGH, HILO_TASK_PINNED);
	(void)crowded(HIGH | HILO_TASK_PINNED, LOW | HILO_TASK_PINNED);
	(void)crowded(HILO_TASK_PINNED, LOW);
	(void)crowded(LOW, 0);
	return 0;
}

static void test_none_starves(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		assert_int_equal(test_run_natural(workers, crowd_main, NULL), 0);
		assert_int_equal(test_run(workers, crowd_main, NULL), 0);
	}
}

/* Seven of eight runs are high ones'; an ordinary one has more than its share with low ones. */
static int shares_main(void *arg)
{
	unsigned high = crowded(HIGH, 0), low = crowded(LOW, 0);

	(void)arg;
	TASK_CHECK(high, >=, 6 * STEPS);
	TASK_CHECK(low, <=, STEPS);
	return 0;
}

static void test_how_much_the_others_get(void **state)
{
	(void)state;
	run_alone(shares_main);
}

/* Begins on the worker of its spawner, and waits there until another one has taken it. */
static int wander(void *arg)
{
	unsigned home = (unsigned)(intptr_t)arg;

	while (hilo_loop_index(hilo_loop_current()) == home)
		TASK_CHECK(hilo_yield(), ==, 0);
	return 0;
}

static int keep_worker(void *arg)
{
	unsigned here = hilo_loop_index(hilo_loop_current()), flags = *(unsigned *)arg;
	hilo_task *tasks[8];

	for (size_t i = 0; i < array_size(tasks); i++)
		tasks[i] = spawn(wander, (void *)(intptr_t)here, flags);
	for (size_t i = 0; i < array_size(tasks); i++)
		while (!hilo_task_is_done(tasks[i]))
			cpu_relax();
	join_all(tasks, array_size(tasks));
	return 0;
}

/* Never leaves its worker to anything else for long, but lets it make turns: no stand-in comes. */
static int busy_main(void *arg)
{
	unsigned home = hilo_loop_index(hilo_loop_current()), flags = *(unsigned *)arg;
	hilo_task *pinned, *tasks[8];
	struct crowd crowd;

	atomic_setup(&crowd.stop, 0);
	atomic_setup(&crowd.runs, 0);
	pinned = spawn(always_ready, &crowd, HILO_TASK_PINNED);
	for (size_t i = 0; i < array_size(tasks); i++)
		tasks[i] = spawn(wander, (void *)(intptr_t)home, flags);
	join_all(tasks, array_size(tasks));
	store_release(&crowd.stop, 1);
	return hilo_join(pinned, HILO_FOREVER);
}

static void test_other_workers_take_them(void **state)
{
	unsigned flags[] = {HIGH, LOW};

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(test_run(2, keep_worker, &flags[i]), 0);
		assert_int_equal(test_run(1, keep_worker, &flags[i]), 0); /* a spare one */
		assert_int_equal(test_run_natural(2, busy_main, &flags[i]), 0);
	}
}

static void *submit_some(void *arg)
{
	hilo_runtime *runtime = arg;

	for (unsigned i = 0; i < 30; i++) {
		static const unsigned flags[] = {0, HIGH, LOW};
		hilo_task_opts opts = {.size = sizeof(opts), .flags = flags[i % 3]};
		hilo_task *task;

		TASK_CHECK(hilo_submit(runtime, test_entry_return, NULL, &opts, &task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return NULL;
}

TASK_TEST(test_from_outside)
{
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, submit_some, hilo_runtime_current()), ==, 0);
	test_join_thread(thread);
	return 0;
}

static int refused_main(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HIGH | LOW};

	(void)arg;
	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, NULL), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "both high and low");
	return 0;
}

static void test_both_are_refused(void **state)
{
	(void)state;
	assert_int_equal(test_run(1, refused_main, NULL), 0);
}

/* In the simulation nothing takes time, and whose turn it is is drawn by lot; priorities are not. */
static int simulated_main(void *arg)
{
	hilo_task *tasks[4];

	(void)arg;
	TASK_CHECK(yield_main(NULL), ==, 0);
	(void)crowded(HIGH, LOW);
	order_clear();
	nap_end = hilo_after(HILO_MINUTE);
	for (int i = 0; i < 4; i++)
		tasks[i] = spawn(nap_main, i == 2 ? "h" : "n", i == 2 ? HIGH : 0);
	join_all(tasks, 4);
	TASK_CHECK(order[0], ==, 'h');
	return 0;
}

static void test_in_the_simulation(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < test_rounds(20); seed++)
		assert_int_equal(test_simulate(seed, simulated_main, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_high_ones_come_first_and_low_ones_last),
		cmocka_unit_test(test_none_starves),
		cmocka_unit_test(test_how_much_the_others_get),
		cmocka_unit_test(test_other_workers_take_them),
		cmocka_unit_test(test_from_outside),
		cmocka_unit_test(test_both_are_refused),
		cmocka_unit_test(test_in_the_simulation),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
