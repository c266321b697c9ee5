/* SPDX-License-Identifier: MIT */
/*
 * stress_executor.c - executors of random shapes, called by tasks and plain threads that set random
 * deadlines and cancel each other, while starting a thread fails or takes long, and threads go idle
 * and end all the time; closed at a random moment, in the midst of all of this. Some wait for their calls,
 * some for futures of them, which they cancel or let go, some map. Checked: each call ran once if its result
 * says so, never if it says that it did not, and at most once otherwise; nobody waits for ever, the figures
 * add up, and nothing enters the kernel while a spinlock of the executor is held.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "scheduler/base/lock.h"
#include "scheduler/base/sys.h"

#define TASKS 24
#define THREADS 3
#define ROUNDS 150
#define RAN 7
#define MAPPED 5   /* calls of one map */
#define SENT 16384 /* calls with a future in one round; who comes later waits himself */

/* One round. */
static struct {
	hilo_executor *executor;
	enum hilo_overflow overflow;
	uint64_t seed;
	test_flag stop; /* begin no more calls */
	test_flag holding, let_go;
	atomic(unsigned) threads; /* plain ones that still call */
	atomic(uint64_t) asked, ran, said_so;
	atomic(hilo_task *) task[TASKS];
} world;

/* What became of a call with a future, which may outlive whoever has made it. */
enum fate {
	FATE_OPEN, /* nobody knows: it was abandoned, or forgotten */
	FATE_RAN,
	FATE_NEVER,
};

static struct {
	atomic(unsigned) used;
	struct {
		atomic(unsigned) ran;
		atomic(enum fate) fate;
	} call[SENT];
} sent;

static atomic(uint64_t) told_closed, told_no_thread;

/* Starting a thread: sometimes slow, sometimes impossible. */
static struct {
	atomic(uint64_t) draws;
	atomic(uint64_t) seed;
	atomic(unsigned) failing, slow; /* of a thousand */
	atomic(uint64_t) failed;
} creation;

static struct sys_table machine;

static uint64_t creation_draw(void)
{
	return random_mix(load_relaxed(&creation.seed) + random_mix(add_relaxed(&creation.draws, 1)));
}

static int create_thread(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct timespec span = {0, 100000};

	TASK_CHECK(hilo__spin_held(), ==, 0);
	if (creation_draw() % 1000 < load_relaxed(&creation.slow))
		(void)nanosleep(&span, NULL);
	if (creation_draw() % 1000 < load_relaxed(&creation.failing)) {
		(void)add_relaxed(&creation.failed, 1);
		return -EAGAIN;
	}
	return machine.pthread_create(ret, attr, fn, arg);
}

static int call_futex(void *word, int op, uint32_t value, const struct timespec *timeout, uint32_t bits)
{
	TASK_CHECK(hilo__spin_held(), ==, 0);
	return machine.futex(word, op, value, timeout, bits);
}

/* What is called: counts itself, now and then blocks. */
static int call_main(void *arg)
{
	unsigned *ran = arg;
	struct timespec span = {0, 30000};

	TASK_CHECK((*ran)++, ==, 0);
	if (add_relaxed(&world.ran, 1) % 16 == 3)
		(void)nanosleep(&span, NULL);
	return RAN;
}

/* The code of a call that was made with @deadline. True if the executor still takes calls. */
static bool code_check(int rc, hilo_time deadline)
{
	switch (rc) {
	case RAN:
		(void)add_relaxed(&world.said_so, 1);
		break;
	case HILO_EOVERFLOW:
		TASK_CHECK(world.overflow, ==, HILO_OVERFLOW_FAIL);
		break;
	case HILO_ECLOSED:
		(void)add_relaxed(&told_closed, 1);
		return false;
	case -EAGAIN:
		(void)add_relaxed(&told_no_thread, 1);
		break;
	case -ECANCELED:
		(void)hilo_task_uncancel();
		break;
	default:
		TASK_CHECK(rc, ==, -ETIMEDOUT);
		TASK_CHECK(deadline, !=, HILO_FOREVER);
	}
	return true;
}

static bool call_waited(hilo_time deadline)
{
	unsigned ran = 0;
	int rc = hilo_run_in_executor(world.executor, call_main, &ran, deadline);

	TASK_CHECK(ran, ==, rc == RAN);
	return code_check(rc, deadline);
}

static int sent_main(void *arg)
{
	(void)add_release((atomic(unsigned) *)arg, 1);
	return RAN;
}

/* What the future says in the end, after a cancel if the wait ended early or one was wanted. */
static int sent_result(hilo_future *future, bool cancel, hilo_time deadline)
{
	void *value;
	int rc = 0;

	if (!cancel)
		rc = hilo_future_await(future, &value, deadline);
	if (!hilo_future_is_done(future))
		(void)hilo_future_cancel(future);
	if (rc == -ECANCELED)
		(void)hilo_task_uncancel();
	while (!hilo_future_is_done(future))
		test_pause(); /* somebody is about to complete it */
	rc = hilo_future_result(future, &value);
	return rc < 0 ? rc : (int)(intptr_t)value;
}

static bool call_sent(struct random *random, hilo_time deadline)
{
	unsigned at = add_relaxed(&sent.used, 1), kind = random_below(random, 4);
	hilo_future *future = NULL;
	int rc;

	if (at >= SENT)
		return call_waited(deadline);
	rc = hilo_executor_submit(world.executor, sent_main, &sent.call[at].ran, kind ? &future : NULL,
				  deadline);
	if (rc < 0) {
		store_release(&sent.call[at].fate, FATE_NEVER);
		return code_check(rc, deadline);
	}
	if (!kind)
		return true;
	rc = kind == 1 ? 0 : sent_result(future, kind == 2, deadline);
	hilo_future_unref(future); /* of the first kind: whatever comes of it */
	if (rc == RAN)
		store_release(&sent.call[at].fate, FATE_RAN);
	else if (rc < 0 && rc != -ECANCELED)
		store_release(&sent.call[at].fate, FATE_NEVER);
	return rc != HILO_ECLOSED;
}

static bool call_mapped(hilo_time deadline)
{
	unsigned ran[MAPPED] = {0}, count = 0;
	int results[MAPPED], rc;

	(void)add_relaxed(&world.asked, MAPPED - 1);
	rc = hilo_executor_map(world.executor, call_main, ran, sizeof(ran[0]), MAPPED, results, 2, deadline);
	for (int i = 0; i < MAPPED; i++) {
		TASK_CHECK(ran[i], ==, results[i] == RAN);
		count += ran[i];
	}
	TASK_CHECK(count == MAPPED, ==, rc == 0);
	(void)add_relaxed(&world.said_so, count);
	return rc == 0 || code_check(rc, deadline);
}

/* True if the executor still takes calls. */
static bool call_once(struct random *random)
{
	static const hilo_time spans[] = {0, HILO_MICROSECOND, 50 * HILO_MICROSECOND, HILO_MILLISECOND};
	unsigned kind = random_below(random, 8);
	hilo_time deadline = kind < array_size(spans) ? hilo_after(spans[kind]) : HILO_FOREVER;

	(void)add_relaxed(&world.asked, 1);
	switch (random_below(random, 6)) {
	case 0:
		return call_mapped(deadline);
	case 1:
	case 2:
		return call_sent(random, deadline);
	default:
		return call_waited(deadline);
	}
}

/* Suspends nowhere but in its calls and their futures, so that a suspended one is past the entry of the executor. */
static int caller_main(void *arg)
{
	struct random random;

	random_init(&random, world.seed, (uint64_t)(uintptr_t)arg);
	while (!load_acquire(&world.stop) && call_once(&random))
		if (random_below(&random, 6) == 0)
			(void)hilo_task_cancel(load_acquire(&world.task[random_below(&random, TASKS)]));
	return 0;
}

static void *caller_thread(void *arg)
{
	struct random random;

	random_init(&random, world.seed, (uint64_t)(uintptr_t)arg);
	while (!load_acquire(&world.stop) && call_once(&random))
		;
	(void)sub_release(&world.threads, 1);
	return NULL;
}

/* Keeps the executor from being gone while callers still come and find it closed. */
static int hold(void *arg)
{
	(void)arg;
	store_release(&world.holding, 1);
	while (!load_acquire(&world.let_go))
		test_pause();
	return RAN;
}

static int holder_main(void *arg)
{
	(void)arg;
	return hilo_run_in_executor(world.executor, hold, NULL, HILO_FOREVER);
}

static void executor_make(struct random *random, bool held)
{
	static const hilo_time idle[] = {1, 20 * HILO_MICROSECOND, HILO_MILLISECOND, HILO_SECOND};
	hilo_executor_opts opts = {.size = sizeof(opts),
				   .max_threads = 1 + held + random_below(random, 12),
				   .max_queued = 1 + random_below(random, 12),
				   .idle = idle[random_below(random, 4)],
				   .overflow = (enum hilo_overflow)random_below(random, 3)};

	world.overflow = opts.overflow;
	world.seed = random_u64(random);
	TASK_CHECK(hilo_executor_new(&opts, &world.executor), ==, 0);
	atomic_setup(&world.stop, 0);
	atomic_setup(&world.holding, 0);
	atomic_setup(&world.let_go, 0);
	atomic_setup(&world.threads, THREADS);
	atomic_setup(&world.asked, 0);
	atomic_setup(&world.ran, 0);
	atomic_setup(&world.said_so, 0);
	for (unsigned i = 0; i < SENT && i < load_relaxed(&sent.used); i++) {
		store_relaxed(&sent.call[i].ran, 0);
		store_relaxed(&sent.call[i].fate, FATE_OPEN);
	}
	store_relaxed(&sent.used, 0);
	for (int i = 0; i < TASKS; i++)
		store_relaxed(&world.task[i], NULL);
}

static void creation_disturb(struct random *random)
{
	store_relaxed(&creation.seed, world.seed);
	store_relaxed(&creation.failing, random_below(random, 3) ? random_below(random, 1001) : 0);
	store_relaxed(&creation.slow, random_below(random, 2) * 300);
}

/* Every call is in the executor or over, and none begins: the contract of who frees it. */
static void callers_settle(void)
{
	store_release(&world.stop, 1);
	store_release(&world.let_go, 1);
	TEST_UNTIL(load_acquire(&world.threads) == 0); /* where those wait nobody can see */
	for (int i = 0; i < TASKS; i++)
		TEST_UNTIL(hilo_task_get_state(world.task[i]) == HILO_TASK_SUSPENDED ||
			   hilo_task_is_done(world.task[i]));
}

/* Close it, perhaps in several attempts, while callers are on their way out of it. */
static void executor_end(struct random *random, unsigned flags)
{
	hilo_executor_stats stats = {.size = sizeof(stats)};
	hilo_time span = (hilo_time)random_below(random, 200000);
	bool patient = random_below(random, 2);
	int rc;

	TASK_CHECK(hilo_executor_get_stats(world.executor, &stats), ==, 0);
	TASK_CHECK(stats.calls + stats.cancelled, <=, load_acquire(&world.asked) + 1);
	do
		rc = hilo_executor_close(world.executor, flags, patient ? HILO_FOREVER : hilo_after(span));
	while (rc == -ETIMEDOUT);
	TASK_CHECK(rc, ==, 0);
}

/* [all calls have ended] */
static void sent_check(void)
{
	unsigned used = load_acquire(&sent.used);

	for (unsigned i = 0; i < used && i < SENT; i++) {
		unsigned ran = load_acquire(&sent.call[i].ran);

		switch (load_acquire(&sent.call[i].fate)) {
		case FATE_OPEN:
			TASK_CHECK(ran, <=, 1);
			break;
		case FATE_RAN:
			TASK_CHECK(ran, ==, 1);
			break;
		case FATE_NEVER:
			TASK_CHECK(ran, ==, 0);
		}
	}
}

static void round_run(struct random *random, bool held)
{
	unsigned flags = random_below(random, 2) ? HILO_EXECUTOR_CANCEL_QUEUED : 0;
	pthread_t thread[THREADS];
	hilo_task *holder = NULL;

	executor_make(random, held);
	if (held) {
		holder = hilo_spawn(holder_main, NULL);
		TEST_UNTIL(load_acquire(&world.holding));
	}
	creation_disturb(random);
	for (uintptr_t i = 0; i < THREADS; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, caller_thread, (void *)(TASKS + i)), ==, 0);
	for (uintptr_t i = 0; i < TASKS; i++)
		store_release(&world.task[i], hilo_spawn(caller_main, (void *)i));
	TEST_UNTIL(load_acquire(&world.asked) > 20 * (1 + random_below(random, 20)));
	if (held)
		TASK_CHECK(hilo_executor_close(world.executor, flags, HILO_NO_WAIT), ==, -ETIMEDOUT);
	callers_settle();
	executor_end(random, flags);
	for (int i = 0; i < TASKS; i++) {
		int rc = hilo_join(world.task[i], HILO_FOREVER);

		TASK_CHECK(rc == 0 || rc == -ECANCELED, ==, 1); /* cancelled before its first run */
	}
	if (holder)
		TASK_CHECK(hilo_join(holder, HILO_FOREVER), ==, RAN);
	store_relaxed(&creation.failing, 0);
	for (int i = 0; i < THREADS; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(load_acquire(&world.ran), ==, load_acquire(&world.said_so));
	sent_check();
}

static int rounds_main(void *arg)
{
	struct random random;

	for (unsigned round = 0; round < test_rounds(ROUNDS); round++) {
		random_init(&random, test_seed() + (uintptr_t)arg, round);
		round_run(&random, round & 1);
	}
	return 0;
}

static void test_calls_run_once_and_closing_waits_for_all(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (uintptr_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], rounds_main, (void *)i), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_run_once_and_closing_waits_for_all),
	};
	int rc;

	test_begin();
	machine = hilo__sys;
	hilo__sys.pthread_create = create_thread;
	hilo__sys.futex = call_futex;
	test_log_begin(); /* closings that are late, and failures that nobody reads */
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	test_log_end();
	(void)fprintf(stderr,
		      "%llu threads could not be started; %llu calls were told so, %llu that it is closed\n",
		      (unsigned long long)load_relaxed(&creation.failed),
		      (unsigned long long)load_relaxed(&told_no_thread),
		      (unsigned long long)load_relaxed(&told_closed));
	hilo__sys_reset();
	return rc;
}
