/* SPDX-License-Identifier: MIT */
#include "tests/support/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/sys.h"

struct thread_seen {
	pthread_t thread;
	char name[32];
};

static int see_thread(void *arg)
{
	struct thread_seen *seen = arg;

	TASK_CHECK(hilo_task_current(), ==, NULL);
	TASK_CHECK(hilo_loop_current(), ==, NULL);
	seen->thread = pthread_self();
	(void)prctl(PR_GET_NAME, seen->name);
	return 4;
}

TASK_TEST(test_calls_run_on_threads_of_the_pool)
{
	struct thread_seen seen;
	hilo_executor *executor = pool_make(1, 0, 0);

	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_run_in_executor(NULL, see_thread, &seen, HILO_FOREVER), ==, 4);
		TASK_CHECK(pthread_equal(seen.thread, pthread_self()), ==, 0);
	}
	TASK_CHECK(hilo_run_in_executor(executor, see_thread, &seen, HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(seen.name, "gatekeeper");
	TASK_CHECK(hilo_run_in_executor(executor, test_entry_return, (void *)(intptr_t)-EIO, HILO_FOREVER),
		   ==, -EIO);
	TASK_CHECK(hilo_run_in_executor(executor, NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	pool_end(executor);
	return 0;
}

#define MANY 64

/* All at the same time: the pool grows past its base number, since the calls block. */
TASK_TEST(test_many_calls_block_at_once)
{
	struct gate gate;
	struct pass pass = {NULL, gate_pass, &gate, HILO_FOREVER};
	hilo_task *task[MANY];
	hilo_executor_stats stats;

	gate_init(&gate);
	for (int i = 0; i < MANY; i++)
		task[i] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside) == MANY);
	stats = pool_stats(NULL);
	TASK_CHECK(stats.threads, >=, MANY);
	TASK_CHECK(stats.peak, >=, MANY);
	TASK_CHECK(stats.calls, ==, MANY);
	TASK_CHECK(stats.queued, ==, 0);
	gate_open(&gate);
	for (int i = 0; i < MANY; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	return 0;
}

/* While a call blocks, tasks run, sleep and wake each other: it ends after them, not before. */
static int busy_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		TASK_CHECK(hilo_yield(), ==, 0);
		TASK_CHECK(hilo_sleep(10 * HILO_MICROSECOND), ==, 0);
	}
	return 0;
}

TASK_TEST(test_a_long_call_delays_no_task)
{
	struct gate gate;
	struct pass pass = {NULL, gate_pass, &gate, HILO_FOREVER};
	hilo_task *blocked, *busy[4];

	gate_init(&gate);
	blocked = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside));
	for (int i = 0; i < 4; i++)
		busy[i] = hilo_spawn(busy_main, NULL);
	for (int i = 0; i < 4; i++)
		TASK_CHECK(hilo_join(busy[i], HILO_FOREVER), ==, 0);
	TASK_CHECK(load_acquire(&gate.inside), ==, 1);
	TASK_CHECK(hilo_task_is_done(blocked), ==, 0);
	gate_open(&gate);
	TASK_CHECK(hilo_join(blocked, HILO_FOREVER), ==, 1);
	return 0;
}

TASK_TEST(test_queued_calls_that_end_early_never_run)
{
	struct gate gate, counted;
	hilo_executor *executor = pool_make(1, 0, 0);
	struct pass first = {executor, gate_pass, &gate, HILO_FOREVER};
	struct pass queued = {executor, gate_pass, &counted, HILO_FOREVER};
	hilo_task *running, *task[10];

	gate_init(&gate);
	gate_init(&counted);
	gate_open(&counted);
	running = hilo_spawn(pass_main, &first);
	TEST_UNTIL(load_acquire(&gate.inside));
	for (int i = 0; i < 10; i++)
		task[i] = hilo_spawn(pass_main, &queued);
	TEST_UNTIL(pool_stats(executor).queued == 10);
	TASK_CHECK(hilo_run_in_executor(executor, gate_pass, &counted, hilo_after(HILO_MILLISECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_run_in_executor(executor, gate_pass, &counted, HILO_NO_WAIT), ==, -ETIMEDOUT);
	for (int i = 0; i < 10; i += 2)
		TASK_CHECK(hilo_task_cancel(task[i]), ==, 0);
	for (int i = 0; i < 10; i += 2)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(pool_stats(executor).queued, ==, 5);
	TASK_CHECK(pool_stats(executor).cancelled, ==, 7);
	gate_open(&gate);
	for (int i = 1; i < 10; i += 2)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(running, HILO_FOREVER), ==, 1);
	TASK_CHECK(load_acquire(&counted.calls), ==, 5);
	TASK_CHECK(pool_stats(executor).calls, ==, 6);
	pool_end(executor);
	return 0;
}

static int run_then_sleep(void *arg)
{
	struct pass *pass = arg;

	TASK_CHECK(hilo_run_in_executor(NULL, gate_pass, pass->arg, pass->deadline), ==, 1);
	return hilo_sleep(HILO_MINUTE);
}

/* Once it runs, neither a cancel nor the deadline ends the wait: the argument is on the stack. */
TASK_TEST(test_running_calls_are_waited_for)
{
	struct gate gate;
	struct pass pass = {NULL, NULL, &gate, 0};
	hilo_task *task;

	gate_init(&gate);
	pass.deadline =
		hilo_after(300 * HILO_MILLISECOND); /* far enough for a slow machine to start the call */
	task = hilo_spawn(run_then_sleep, &pass);
	TEST_UNTIL(load_acquire(&gate.inside));
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_sleep_until(pass.deadline + HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_task_is_done(task), ==, 0);
	TASK_CHECK(load_acquire(&gate.inside), ==, 1);
	gate_open(&gate);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED); /* seen by the sleep */
	return 0;
}

static int return_overflow(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
	return HILO_EOVERFLOW;
}

TASK_TEST(test_a_full_queue_fails_or_runs_inline)
{
	for (int policy = HILO_OVERFLOW_FAIL; policy <= HILO_OVERFLOW_INLINE; policy++) {
		struct gate gate;
		hilo_executor *executor = pool_make(1, 1, (enum hilo_overflow)policy);
		struct pass pass = {executor, gate_pass, &gate, HILO_FOREVER};
		hilo_task *first, *second;
		atomic(unsigned) calls;

		gate_init(&gate);
		atomic_setup(&calls, 0);
		/* The code of the function itself is no overflow. */
		TASK_CHECK(hilo_run_in_executor(executor, return_overflow, &calls, HILO_FOREVER), ==,
			   HILO_EOVERFLOW);
		TASK_CHECK(load_acquire(&calls), ==, 1);
		first = hilo_spawn(pass_main, &pass);
		TEST_UNTIL(load_acquire(&gate.inside));
		second = hilo_spawn(pass_main, &pass);
		TEST_UNTIL(pool_stats(executor).queued == 1);
		if (policy == HILO_OVERFLOW_FAIL) {
			TASK_CHECK(hilo_run_in_executor(executor, return_overflow, &calls, HILO_FOREVER), ==,
				   HILO_EOVERFLOW);
			TASK_CHECK(load_acquire(&calls), ==, 1);
		} else {
			TASK_CHECK(hilo_run_in_executor(executor, test_entry_return, (void *)(intptr_t)3,
							HILO_FOREVER),
				   ==, 3);
			/* A failure of before is not its message. */
			(void)hilo_fail(-EIO, "of before");
			TASK_CHECK(hilo_run_in_executor(executor, test_entry_return, (void *)(intptr_t)-EIO,
							HILO_FOREVER),
				   ==, -EIO);
			TASK_CHECK_TEXT(hilo_error_message(), hilo_strerror(-EIO));
		}
		gate_open(&gate);
		TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, 1);
		TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 1);
		pool_end(executor);
	}
	return 0;
}

static int short_call(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
	return 1;
}

/* Callers wait for room, all get their turn; some give up meanwhile. */
TASK_TEST(test_a_full_queue_suspends_until_there_is_room)
{
	hilo_executor *executor = pool_make(2, 2, HILO_OVERFLOW_SUSPEND);
	atomic(unsigned) calls;
	struct pass pass = {executor, short_call, &calls, HILO_FOREVER};
	hilo_task *task[100];
	unsigned ran = 0;

	atomic_setup(&calls, 0);
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(pass_main, &pass);
		for (size_t i = 0; i < array_size(task); i += 3)
			(void)hilo_task_cancel(task[i]);
		for (size_t i = 0; i < array_size(task); i++) {
			int rc = hilo_join(task[i], HILO_FOREVER);

			ran += rc == 1;
			if (rc != 1)
				TASK_CHECK(rc, ==, -ECANCELED);
		}
	}
	TASK_CHECK(load_acquire(&calls), ==, ran);
	TASK_CHECK(ran, >=, 5 * 66);
	pool_end(executor);
	return 0;
}

TASK_TEST(test_close_waits_for_what_is_queued)
{
	struct gate gate;
	hilo_executor *executor = pool_make(1, 0, 0);
	struct pass pass = {executor, gate_pass, &gate, HILO_FOREVER};
	hilo_task *task[6];

	gate_init(&gate);
	for (int i = 0; i < 6; i++)
		task[i] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside) && pool_stats(executor).queued == 5);
	TASK_CHECK(hilo_executor_close(executor, 2, HILO_NO_WAIT), ==, -EINVAL);
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_executor_close(executor, 0, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_run_in_executor(executor, gate_pass, &gate, HILO_FOREVER), ==, HILO_ECLOSED);
	gate_open(&gate);
	pool_end(executor);
	for (int i = 0; i < 6; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	TASK_CHECK(load_acquire(&gate.calls), ==, 6);
	pool_end(NULL);
	return 0;
}

TASK_TEST(test_close_can_refuse_what_is_queued)
{
	struct gate gate;
	hilo_executor *executor = pool_make(1, 3, HILO_OVERFLOW_SUSPEND);
	struct pass pass = {executor, gate_pass, &gate, HILO_FOREVER};
	hilo_task *task[6];
	unsigned ran = 0;

	gate_init(&gate);
	for (int i = 0; i < 6; i++)
		task[i] = hilo_spawn(pass_main, &pass);
	TEST_UNTIL(load_acquire(&gate.inside) && pool_stats(executor).queued == 3);
	for (int i = 0; i < 6; i++) /* two of them wait for room */
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED);
	TASK_CHECK(hilo_executor_close(executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_NO_WAIT), ==, -ETIMEDOUT);
	gate_open(&gate);
	TASK_CHECK(hilo_executor_close(executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 6; i++) {
		int rc = hilo_join(task[i], HILO_FOREVER);

		ran += rc == 1;
		if (rc != 1)
			TASK_CHECK(rc, ==, HILO_ECLOSED);
	}
	TASK_CHECK(ran, ==, 1);
	TASK_CHECK(load_acquire(&gate.calls), ==, 1);
	return 0;
}

/* Callers give up, or find it closed, just when it is freed. */
TASK_TEST(test_close_races_callers_that_leave)
{
	for (unsigned round = 0; round < test_rounds(60); round++) {
		atomic(unsigned) calls;
		hilo_executor *executor = pool_make(1 + round % 3, 1 + round % 2, HILO_OVERFLOW_SUSPEND);
		struct pass pass = {executor, short_call, &calls, HILO_FOREVER};
		hilo_task *task[12];
		unsigned ran = 0;

		atomic_setup(&calls, 0);
		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(pass_main, &pass);
		/* Whoever is past the entry is the executor's; the others must not begin once it is closed. */
		for (size_t i = 0; i < array_size(task); i++)
			TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED ||
				   hilo_task_is_done(task[i]));
		for (size_t i = 0; i < array_size(task); i += 2)
			(void)hilo_task_cancel(task[i]);
		TASK_CHECK(hilo_executor_close(executor, round & 1, HILO_FOREVER), ==, 0);
		for (size_t i = 0; i < array_size(task); i++)
			ran += hilo_join(task[i], HILO_FOREVER) == 1;
		TASK_CHECK(load_acquire(&calls), ==, ran);
	}
	return 0;
}

static void test_plain_threads_use_an_executor(void **state)
{
	hilo_executor *executor = pool_make(2, 0, 0);
	struct thread_seen seen;
	hilo_executor_stats wrong = {.size = 1};

	(void)state;
	assert_int_equal(hilo_run_in_executor(executor, see_thread, &seen, HILO_FOREVER), 4);
	assert_false(pthread_equal(seen.thread, pthread_self()));
	assert_int_equal(hilo_run_in_executor(NULL, see_thread, &seen, HILO_FOREVER), -EDEADLK);
	assert_int_equal(hilo_executor_get_stats(NULL, &(hilo_executor_stats){.size = sizeof(wrong)}),
			 -EDEADLK);
	assert_int_equal(hilo_executor_get_stats(executor, &wrong), -EINVAL);
	assert_int_equal(hilo_executor_get_stats(executor, NULL), -EINVAL);
	assert_int_equal(pool_stats(executor).calls, 1);
	assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0);
}

static void test_options_are_checked(void **state)
{
	hilo_executor_opts size = {.size = 3}, policy = {.size = sizeof(policy), .overflow = 7};
	hilo_executor_opts idle = {.size = sizeof(idle), .idle = -1};
	hilo_executor_opts flags = {.size = sizeof(flags), .flags = 6};
	hilo_executor *executor = NULL;

	(void)state;
	assert_int_equal(hilo_executor_new(&size, &executor), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "3"));
	assert_int_equal(hilo_executor_new(&policy, &executor), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "7"));
	assert_int_equal(hilo_executor_new(&idle, &executor), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "-1"));
	assert_int_equal(hilo_executor_new(&flags, &executor), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "0x6"));
	assert_int_equal(hilo_executor_new(NULL, NULL), -EINVAL);
	assert_null(executor);
	assert_int_equal(hilo_executor_new(NULL, &executor), 0);
	assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0); /* never used */
}

static void test_idle_threads_end(void **state)
{
	hilo_executor_opts opts = {.size = sizeof(opts), .idle = HILO_MILLISECOND};
	hilo_executor *executor;
	unsigned before = test_threads();

	(void)state;
	assert_int_equal(hilo_executor_new(&opts, &executor), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(
			hilo_run_in_executor(executor, test_entry_return, (void *)(intptr_t)2, HILO_FOREVER),
			2);
		TEST_UNTIL(pool_stats(executor).threads == 0);
	}
	assert_int_equal(pool_stats(executor).calls, 5);
	assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0);
	test_threads_settle(before);
}

static void test_no_thread_is_to_be_had(void **state)
{
	hilo_executor *executor = pool_make(0, 0, 0);
	atomic(unsigned) calls;

	(void)state;
	atomic_setup(&calls, 0);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, true);
	assert_int_equal(hilo_run_in_executor(executor, short_call, &calls, HILO_FOREVER), -EAGAIN);
	assert_int_equal(pool_stats(executor).queued, 0);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	assert_int_equal(load_acquire(&calls), 0);
	assert_int_equal(hilo_run_in_executor(executor, short_call, &calls, HILO_FOREVER), 1);
	/* One is there: that more cannot be had is no failure. */
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 1, 0, true);
	for (int i = 0; i < 20; i++)
		assert_int_equal(hilo_run_in_executor(executor, short_call, &calls, HILO_FOREVER), 1);
	hilo__sys_fail(SYS_CALL_PTHREAD_CREATE, 0, 0, false);
	assert_int_equal(load_acquire(&calls), 21);
	assert_int_equal(hilo_executor_close(executor, 0, HILO_FOREVER), 0);
}

static struct sys_table machine;

static int create_without_lock(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	TASK_CHECK(hilo__spin_held(), ==, 0);
	return machine.pthread_create(ret, attr, fn, arg);
}

static int futex_without_lock(void *word, int op, uint32_t value, const struct timespec *timeout,
			      uint32_t bits)
{
	TASK_CHECK(hilo__spin_held(), ==, 0);
	return machine.futex(word, op, value, timeout, bits);
}

static ssize_t write_without_lock(int fd, const void *buf, size_t size)
{
	TASK_CHECK(hilo__spin_held(), ==, 0);
	return machine.write(fd, buf, size);
}

static int fill_and_close(void *arg)
{
	hilo_executor *executor = pool_make(3, 2, HILO_OVERFLOW_SUSPEND);
	atomic(unsigned) calls;
	struct pass pass = {executor, short_call, &calls, HILO_FOREVER};
	hilo_task *task[50];

	(void)arg;
	atomic_setup(&calls, 0);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(pass_main, &pass);
		for (size_t i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 1);
	}
	for (size_t i = 0; i < array_size(task); i++)
		task[i] = hilo_spawn(pass_main, &pass);
	for (size_t i = 0; i < array_size(task); i++)
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED || hilo_task_is_done(task[i]));
	TASK_CHECK(hilo_executor_close(executor, HILO_EXECUTOR_CANCEL_QUEUED, HILO_FOREVER), ==, 0);
	for (size_t i = 0; i < array_size(task); i++)
		(void)hilo_join(task[i], HILO_FOREVER);
	return 0;
}

/* Threads are started, threads and loops woken, by nobody who holds a spinlock. No timer is involved. */
static void test_the_kernel_is_entered_without_the_lock(void **state)
{
	(void)state;
	machine = hilo__sys;
	hilo__sys.pthread_create = create_without_lock;
	hilo__sys.futex = futex_without_lock;
	hilo__sys.write = write_without_lock;
	for (unsigned workers = 1; workers <= 2; workers++)
		assert_int_equal(test_run(workers, fill_and_close, NULL), 0);
	hilo__sys_reset();
}

/* hilo_run on a thread of the pool goes back to the runtime. */
static int inner_main(void *arg)
{
	return hilo_runtime_current() == arg && hilo_task_current() ? 11 : -EINVAL;
}

static int outer_call(void *arg)
{
	hilo_opts opts = {.size = sizeof(opts)};

	TASK_CHECK(hilo_run(inner_main, arg, &opts), ==, -EBUSY);
	TASK_CHECK(hilo_runtime_free(arg), ==, -EDEADLK);
	return hilo_run(inner_main, arg, NULL);
}

TASK_TEST(test_a_call_may_run_tasks)
{
	hilo_executor *executor = pool_make(1, 0, 0);
	hilo_runtime *runtime = hilo_runtime_current();

	TASK_CHECK(hilo_run_in_executor(NULL, outer_call, runtime, HILO_FOREVER), ==, 11);
	TASK_CHECK(hilo_run_in_executor(executor, outer_call, runtime, HILO_FOREVER), ==, 11);
	pool_end(executor);
	return 0;
}

static int count_one(void *arg)
{
	(void)arg;
	return 0;
}

/* Whether @signal can reach this thread. */
static bool signal_reaches(int signal)
{
	sigset_t blocked;

	return pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && !sigismember(&blocked, signal);
}

static int signals_of_a_call(void *arg)
{
	(void)arg;
	/* A program's handler of its own faults works here as it does anywhere else. */
	TASK_CHECK(signal_reaches(SIGSEGV) && signal_reaches(SIGBUS) && signal_reaches(SIGFPE), ==, true);
	TASK_CHECK(signal_reaches(SIGABRT) && signal_reaches(SIGILL), ==, true);
	TASK_CHECK(signal_reaches(SIGINT) || signal_reaches(SIGCHLD) || signal_reaches(SIGALRM), ==, false);
	return 0;
}

TASK_TEST(test_pool_threads_take_synchronous_signals_only)
{
	return hilo_run_in_executor(NULL, signals_of_a_call, NULL, HILO_FOREVER);
}

#define CALLBACKS 4000 /* of one turn, during which the runtime ends */

struct curious {
	atomic(unsigned) asked;
	bool uses;
};

static void looks_at_the_executor(void *arg)
{
	hilo_executor_stats stats = {.size = sizeof(stats)};
	struct curious *curious = arg;
	int rc = hilo_executor_get_stats(NULL, &stats);

	TASK_CHECK(rc == 0 || rc == HILO_ECLOSED, ==, true);
	if (rc == 0 && curious->uses)
		TASK_CHECK(stats.calls, ==, 1);
	(void)add_release(&curious->asked, 1);
}

static int is_curious(void *arg)
{
	struct curious *curious = arg;

	if (curious->uses)
		TASK_CHECK(hilo_run_in_executor(NULL, count_one, NULL, HILO_FOREVER), ==, 0);
	for (int i = 0; i < CALLBACKS; i++)
		TASK_CHECK(hilo_call_soon(looks_at_the_executor, arg, NULL), ==, 0);
	return 0;
}

/* The executor outlives the callbacks, and a runtime that ends makes none. */
static void test_callbacks_may_look_at_the_executor_until_the_end(void **state)
{
	(void)state;
	for (unsigned round = 0; round < test_rounds(40); round++) {
		struct curious curious = {.uses = round % 2};
		hilo_opts opts = {.size = sizeof(opts), .workers = 1 + round / 2 % 2};

		assert_int_equal(hilo_run(is_curious, &curious, &opts), 0);
	}
}

#define STUBBORN 8

struct stubborn {
	hilo_executor *executor;
	atomic(unsigned) asking;
	atomic(bool) stop;
};

static int no_more_threads(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	(void)ret, (void)attr, (void)fn, (void)arg;
	return -EAGAIN;
}

static int asks_again(void *arg)
{
	struct stubborn *stubborn = arg;

	(void)add_release(&stubborn->asking, 1);
	while (!load_acquire(&stubborn->stop))
		TASK_CHECK(hilo_run_in_executor(stubborn->executor, count_one, NULL, HILO_FOREVER), ==,
			   -EAGAIN);
	return 0;
}

static int stops_them(void *arg)
{
	struct stubborn *stubborn = arg;

	while (load_acquire(&stubborn->asking) < STUBBORN)
		TASK_CHECK(hilo_yield(), ==, 0);
	store_release(&stubborn->stop, true);
	return 0;
}

/* Calls that are refused at once, again and again, by more tasks than there are threads: others go on. */
static void test_refused_calls_let_others_run(void **state)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		hilo__sys.pthread_create;
	hilo_opts opts = {.size = sizeof(opts), .workers = 1};
	struct stubborn stubborn = {0};
	hilo_task *task[STUBBORN + 1];
	hilo_runtime *runtime;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_executor_new(NULL, &stubborn.executor), 0);
	hilo__sys.pthread_create = no_more_threads;
	for (int i = 0; i < STUBBORN; i++)
		assert_int_equal(hilo_submit(runtime, asks_again, &stubborn, NULL, &task[i]), 0);
	assert_int_equal(hilo_submit(runtime, stops_them, &stubborn, NULL, &task[STUBBORN]), 0);
	for (int i = 0; i <= STUBBORN; i++)
		assert_int_equal(hilo_join(task[i], HILO_FOREVER), 0);
	hilo__sys.pthread_create = create;
	assert_int_equal(hilo_executor_close(stubborn.executor, 0, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_run_on_threads_of_the_pool),
		cmocka_unit_test(test_many_calls_block_at_once),
		cmocka_unit_test(test_a_long_call_delays_no_task),
		cmocka_unit_test(test_queued_calls_that_end_early_never_run),
		cmocka_unit_test(test_running_calls_are_waited_for),
		cmocka_unit_test(test_a_full_queue_fails_or_runs_inline),
		cmocka_unit_test(test_a_full_queue_suspends_until_there_is_room),
		cmocka_unit_test(test_close_waits_for_what_is_queued),
		cmocka_unit_test(test_close_can_refuse_what_is_queued),
		cmocka_unit_test(test_close_races_callers_that_leave),
		cmocka_unit_test(test_plain_threads_use_an_executor),
		cmocka_unit_test(test_options_are_checked),
		cmocka_unit_test(test_idle_threads_end),
		cmocka_unit_test(test_no_thread_is_to_be_had),
		cmocka_unit_test(test_the_kernel_is_entered_without_the_lock),
		cmocka_unit_test(test_a_call_may_run_tasks),
		cmocka_unit_test(test_refused_calls_let_others_run),
		cmocka_unit_test(test_pool_threads_take_synchronous_signals_only),
		cmocka_unit_test(test_callbacks_may_look_at_the_executor_until_the_end),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
