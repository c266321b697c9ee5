/* SPDX-License-Identifier: MIT */
/* Programs in the deterministic simulation of tests/support/simulate.h, and the simulation itself. */
#include "tests/support/simulate.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR (60 * HILO_MINUTE)

/* What happened, in its order, as a number. */
static uint64_t trace;
static unsigned trace_length;

static void trace_add(uint64_t what)
{
	trace = random_mix(trace ^ random_mix(what + 1));
	trace_length++;
}

static int sleep_main(void *arg)
{
	hilo_time before = hilo_now();

	(void)arg;
	TASK_CHECK(before, >=, SIMULATE_BEGIN);
	TASK_CHECK(hilo_sleep(24 * HOUR), ==, 0);
	TASK_CHECK(hilo_now() - before, >=, 24 * HOUR);
	TASK_CHECK(hilo_now() - before, <=, 24 * HOUR + HILO_MILLISECOND);
	TASK_CHECK(test_simulate_jumps(), <=, 100);
	return 7;
}

static void test_a_day_passes_at_once(void **state)
{
	(void)state;
	assert_int_equal(test_simulate(1, sleep_main, NULL), 7);
}

static int no_call(void *arg)
{
	return *(int *)arg;
}

static int executor_main(void *arg)
{
	return hilo_run_in_executor(NULL, no_call, arg, HILO_FOREVER);
}

static void test_there_are_no_other_threads(void **state)
{
	int value = 3;

	(void)state;
	assert_int_equal(test_simulate(1, executor_main, &value), -EAGAIN);
}

static int left_main(void *arg)
{
	for (int i = 0; i < 10; i++)
		TASK_CHECK(hilo_spawn_with(test_entry_sleep_forever, NULL, NULL, NULL), ==, 0);
	(void)hilo_yield();
	return *(int *)arg;
}

static void test_tasks_that_are_left_are_cancelled(void **state)
{
	int value = 5;

	(void)state;
	assert_int_equal(test_simulate(1, left_main, &value), 5);
}

static int dead_main(void *arg)
{
	(void)arg;
	return hilo_future_await(hilo_future_new(), NULL, HILO_FOREVER);
}

/* Nobody could ever complete it: that is noticed, not waited for. */
static void test_a_dead_end_is_noticed(void **state)
{
	struct rlimit none = {0, 0};
	char text[2048] = "";
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)dup2(fds[1], STDERR_FILENO);
		(void)test_simulate(1, dead_main, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("child: status 0x%x, %s", (unsigned)status, text);
	TASK_CHECK_CONTAINS(text, "nothing is ready");
	(void)close(fds[0]);
	(void)close(fds[1]);
}

#define TIMERS 200

struct timed {
	hilo_time when;
	unsigned number;
};

static hilo_time timed_last;
static unsigned timed_count;

static void on_timer(void *arg)
{
	struct timed *timed = arg;

	TASK_CHECK(hilo_now(), >=, timed->when);
	TASK_CHECK(timed->when, >=, timed_last);
	timed_last = timed->when;
	timed_count++;
}

static int timers_main(void *arg)
{
	static struct timed timed[TIMERS];
	struct random random;

	random_init(&random, *(uint64_t *)arg, 1);
	timed_last = 0;
	timed_count = 0;
	for (unsigned i = 0; i < TIMERS; i++) {
		timed[i].when = hilo_after((hilo_time)(random_u64(&random) % (3 * HOUR)));
		TASK_CHECK(hilo_call_at(timed[i].when, on_timer, &timed[i], NULL), ==, 0);
	}
	TASK_CHECK(hilo_sleep(4 * HOUR), ==, 0);
	TASK_CHECK(timed_count, ==, TIMERS);
	return 0;
}

static void test_timers_fire_in_order_and_never_early(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < test_rounds(50); seed++)
		assert_int_equal(test_simulate(seed, timers_main, &seed), 0);
}

/* ---- a program drawn by lot ---- */

#define FUTURES 8
#define TASKS 40
#define STEPS 12
/* Nothing takes time here: whatever is due happens within a few ticks of the worker's own. */
#define PROMPT HILO_MILLISECOND

static struct {
	uint64_t seed;
	hilo_future *future[FUTURES];
	hilo_task *task[TASKS];
	hilo_done_node node[FUTURES];
	unsigned started, ended, done_calls, completed, cancels;
	int value[FUTURES];
} program;

static void program_done(void *arg)
{
	unsigned index = (unsigned)(uintptr_t)arg;

	TASK_CHECK(hilo_future_is_done(program.future[index]), ==, 1);
	trace_add(1000 + index);
	program.done_calls++;
}

static void step_sleep(struct random *random)
{
	hilo_time span = (hilo_time)(random_u64(random) % (2 * HOUR)), when = hilo_after(span);
	int rc = hilo_sleep_until(when);

	trace_add((uint64_t)hilo_now());
	if (rc == 0) {
		TASK_CHECK(hilo_now(), >=, when);
		TASK_CHECK(hilo_now(), <=, when + PROMPT);
	} else {
		TASK_CHECK(rc, ==, -ECANCELED);
	}
}

static void step_await(struct random *random)
{
	unsigned index = random_below(random, FUTURES);
	hilo_time deadline = hilo_after((hilo_time)(random_u64(random) % HOUR));
	void *got = NULL;
	int rc = hilo_future_await(program.future[index], &got, deadline);

	trace_add((uint64_t)(rc + 2000));
	TASK_CHECK(hilo_now(), <=, deadline + PROMPT);
	if (rc == 0)
		TASK_CHECK(got, ==, &program.value[index]);
	else if (rc == -ETIMEDOUT)
		TASK_CHECK(hilo_now(), >=, deadline);
	else
		TASK_CHECK(rc, ==, -ECANCELED);
}

static void step_complete(struct random *random)
{
	unsigned index = random_below(random, FUTURES);
	bool was = hilo_future_is_done(program.future[index]);
	int rc = hilo_future_set(program.future[index], &program.value[index], NULL);

	TASK_CHECK(rc, ==, was ? HILO_EINVALSTATE : 0);
	program.completed += rc == 0;
	trace_add(3000 + index);
}

static void step_cancel(struct random *random)
{
	(void)hilo_task_cancel(program.task[random_below(random, TASKS)]);
	program.cancels++;
}

static int program_task(void *arg)
{
	struct random random;

	random_init(&random, program.seed, (uint64_t)(uintptr_t)arg);
	program.started++;
	for (unsigned i = 0; i < STEPS; i++) {
		trace_add((uint64_t)(uintptr_t)arg * 100 + i);
		switch (random_below(&random, 8)) {
		case 0:
			step_complete(&random);
			break;
		case 1:
			step_cancel(&random);
			break;
		case 2:
		case 3:
			step_await(&random);
			break;
		case 4:
			(void)hilo_yield();
			break;
		default:
			step_sleep(&random);
		}
		if (random_below(&random, 2))
			(void)hilo_task_uncancel();
	}
	program.ended++;
	return 0;
}

static int program_main(void *arg)
{
	unsigned joined = 0, never = 0;

	program.seed = *(uint64_t *)arg;
	program.started = program.ended = program.done_calls = program.completed = program.cancels = 0;
	memset(program.task, 0, sizeof(program.task));
	for (uintptr_t i = 0; i < FUTURES; i++) {
		program.future[i] = hilo_future_new();
		TASK_CHECK(hilo_future_on_done(program.future[i], &program.node[i], program_done, (void *)i),
			   ==, 0);
	}
	for (uintptr_t i = 0; i < TASKS; i++)
		program.task[i] = hilo_spawn(program_task, (void *)i);
	for (unsigned i = 0; i < TASKS; i++) {
		int rc = hilo_await(program.task[i], HILO_FOREVER);

		never += rc == -ECANCELED;
		joined++;
		trace_add((uint64_t)(rc + 5000));
	}
	for (unsigned i = 0; i < TASKS; i++)
		hilo_task_unref(program.task[i]);
	TASK_CHECK(joined, ==, TASKS);
	TASK_CHECK(program.started, ==, program.ended);
	TASK_CHECK(program.started + never, ==, TASKS);
	(void)hilo_sleep(HILO_MILLISECOND);
	TASK_CHECK(program.done_calls, ==, program.completed);
	for (unsigned i = 0; i < FUTURES; i++) {
		if (!hilo_future_is_done(program.future[i]))
			TASK_CHECK(hilo_future_remove_on_done(program.future[i], &program.node[i]), ==, 0);
		hilo_future_unref(program.future[i]);
	}
	trace_add((uint64_t)hilo_now());
	return 0;
}

static uint64_t program_run(uint64_t seed)
{
	trace = 0;
	trace_length = 0;
	assert_int_equal(test_simulate(seed, program_main, &seed), 0);
	assert_in_range(trace_length, TASKS, SIZE_MAX);
	return trace;
}

static void test_programs_by_lot_keep_their_promises(void **state)
{
	(void)state;
	for (unsigned i = 0; i < test_rounds(1000); i++)
		(void)program_run(test_seed() + i);
}

static void test_the_same_seed_gives_the_same_run(void **state)
{
	(void)state;
	for (unsigned i = 0; i < test_rounds(50); i++) {
		uint64_t first = program_run(test_seed() + i);

		assert_true(program_run(test_seed() + i) == first);
	}
}

/* The same program, other choices of the scheduler. */
static int order_task(void *arg)
{
	for (int i = 0; i < 5; i++) {
		trace_add((uint64_t)(uintptr_t)arg);
		(void)hilo_yield();
	}
	return 0;
}

static int order_main(void *arg)
{
	hilo_task *task[8];

	(void)arg;
	for (uintptr_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(order_task, (void *)i);
	for (size_t i = 0; i < array_size(task); i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	return 0;
}

static void test_different_seeds_give_different_orders(void **state)
{
	unsigned different = 0;
	uint64_t last = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		trace = 0;
		assert_int_equal(test_simulate(seed, order_main, NULL), 0);
		different += trace != last;
		last = trace;
	}
	assert_in_range(different, 18, 20);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		/* First: ThreadSanitizer lets nobody fork who has had threads. */
		cmocka_unit_test(test_a_dead_end_is_noticed),
		cmocka_unit_test(test_a_day_passes_at_once),
		cmocka_unit_test(test_there_are_no_other_threads),
		cmocka_unit_test(test_tasks_that_are_left_are_cancelled),
		cmocka_unit_test(test_timers_fire_in_order_and_never_early),
		cmocka_unit_test(test_the_same_seed_gives_the_same_run),
		cmocka_unit_test(test_different_seeds_give_different_orders),
		cmocka_unit_test(test_programs_by_lot_keep_their_promises),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
