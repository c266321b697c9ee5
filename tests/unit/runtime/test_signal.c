/* SPDX-License-Identifier: MIT */
/*
 * test_signal.c - signals that are waited for, and called back for: who is told, what is put back, what is not lost.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define SIGNOS(...) ((const int[]){__VA_ARGS__, 0})

/*
 * ThreadSanitizer calls handlers when their thread next calls something that it knows. The main thread sleeps in
 * calls that it does not, so there the signals go to a thread that is always in one.
 */
#ifdef HILO__TSAN
static void *taker_main(void *arg)
{
	sigset_t none;

	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	for (;;)
		usleep(1000);
	return arg;
}

static void taker_start(void)
{
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	TASK_CHECK(pthread_create(&thread, NULL, taker_main, NULL), ==, 0);
	TASK_CHECK(pthread_detach(thread), ==, 0);
}
#else
static void taker_start(void)
{
}
#endif

static hilo_signals *opens(const int *signos)
{
	hilo_signals *signals = NULL;

	TASK_CHECK(hilo_signals_open(signos, &signals), ==, 0);
	return signals;
}

static void send_signal(int signo)
{
	TASK_CHECK(kill(getpid(), signo), ==, 0);
}

static void send_value(int signo, int value)
{
	int rc;

	do
		rc = sigqueue(getpid(), signo, (union sigval){.sival_int = value});
	while (rc < 0 && errno == EAGAIN);
	TASK_CHECK(rc, ==, 0);
}

static int next(hilo_signals *signals)
{
	return hilo_signals_next(signals, NULL, HILO_FOREVER);
}

TASK_TEST(test_what_is_known_of_a_signal)
{
	hilo_signals *signals = opens(SIGNOS(SIGUSR1, SIGRTMIN, SIGUSR1));
	hilo_signal_info info = {.size = sizeof(info)};

	TASK_CHECK(hilo_signals_next(signals, &info, HILO_NO_WAIT), ==, -ETIMEDOUT);
	send_signal(SIGUSR1);
	TASK_CHECK(hilo_signals_next(signals, &info, HILO_FOREVER), ==, SIGUSR1);
	TASK_CHECK(info.signo, ==, SIGUSR1);
	TASK_CHECK(info.code, ==, SI_USER);
	TASK_CHECK(info.pid, ==, getpid());
	TASK_CHECK(info.uid, ==, getuid());
	TASK_CHECK(info.missed, ==, 0);
	for (int i = 0; i < 10; i++) {
		send_value(SIGRTMIN, i);
		TASK_CHECK(hilo_signals_next(signals, &info, HILO_FOREVER), ==, SIGRTMIN);
		TASK_CHECK(info.code, ==, SI_QUEUE);
		TASK_CHECK((int)info.value, ==, i);
	}
	TASK_CHECK(hilo_signals_next(signals, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	hilo_signals_free(signals);
	return 0;
}

TASK_TEST(test_each_subscriber_sees_each_signal)
{
	hilo_signals *one = opens(SIGNOS(SIGUSR1)), *both = opens(SIGNOS(SIGUSR1, SIGUSR2)),
		     *same = opens(SIGNOS(SIGUSR1));

	send_signal(SIGUSR1);
	TASK_CHECK(next(one), ==, SIGUSR1);
	TASK_CHECK(next(both), ==, SIGUSR1);
	TASK_CHECK(next(same), ==, SIGUSR1);
	send_signal(SIGUSR2);
	TASK_CHECK(next(both), ==, SIGUSR2);
	hilo_signals_free(both);
	send_signal(SIGUSR1);
	TASK_CHECK(next(one), ==, SIGUSR1);
	hilo_signals_free(one);
	TASK_CHECK(next(same), ==, SIGUSR1);
	hilo_signals_free(same);
	return 0;
}

static int next_main(void *arg)
{
	return next(arg);
}

static void until_suspended(hilo_task *task)
{
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
}

TASK_TEST(test_waiting_ends_in_all_ways)
{
	hilo_signals *signals = opens(SIGNOS(SIGUSR1));
	hilo_task *task = hilo_spawn(next_main, signals), *other;

	until_suspended(task);
	TASK_CHECK(hilo_signals_next(signals, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	/* Of two one gets it. */
	other = hilo_spawn(next_main, signals);
	until_suspended(other);
	send_signal(SIGUSR1);
	TEST_UNTIL(hilo_task_is_done(task) || hilo_task_is_done(other));
	send_signal(SIGUSR1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, SIGUSR1);
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, SIGUSR1);
	/* One that is cancelled takes none. */
	task = hilo_spawn(next_main, signals);
	until_suspended(task);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	send_signal(SIGUSR1);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	/* Freed under who waits. */
	task = hilo_spawn(next_main, signals);
	other = hilo_spawn(next_main, signals);
	until_suspended(task);
	until_suspended(other);
	hilo_signals_free(signals);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, HILO_ECLOSED);
	TASK_CHECK(hilo_join(other, HILO_FOREVER), ==, HILO_ECLOSED);
	return 0;
}

static int cancelled_main(void *arg)
{
	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(next(arg), ==, -ECANCELED);
	TASK_CHECK(hilo_signal_wait(SIGUSR1, NULL, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

/* A cancel and a signal at the same time: the signal was taken or is there. */
TASK_TEST(test_cancel_loses_no_signal)
{
	hilo_signals *signals = opens(SIGNOS(SIGUSR1));

	send_signal(SIGUSR1);
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_main, signals), HILO_FOREVER), ==, 0);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	for (unsigned round = 0; round < test_rounds(200); round++) {
		hilo_task *task = hilo_spawn(next_main, signals);
		int rc;

		for (unsigned i = 0; i < round % 5; i++)
			(void)hilo_yield();
		send_signal(SIGUSR1);
		for (unsigned i = 0; i < round % 7; i++)
			(void)hilo_yield();
		(void)hilo_task_cancel(task);
		rc = hilo_join(task, HILO_FOREVER);
		if (rc == -ECANCELED)
			rc = next(signals);
		TASK_CHECK(rc, ==, SIGUSR1);
	}
	TASK_CHECK(hilo_signals_next(signals, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	hilo_signals_free(signals);
	return 0;
}

static atomic(int) own_calls;

static void own(int signo)
{
	(void)signo;
	(void)add_release(&own_calls, 1);
}

static void *handler_of(int signo)
{
	struct sigaction action;

	TASK_CHECK(sigaction(signo, NULL, &action), ==, 0);
	if (action.sa_flags & SA_SIGINFO)
		return (void *)action.sa_sigaction;
	return (void *)action.sa_handler;
}

TASK_TEST(test_what_was_there_before_is_put_back)
{
	hilo_signals *first, *second;

	TASK_CHECK(handler_of(SIGUSR2), ==, (void *)SIG_DFL);
	signal(SIGUSR1, own);
	atomic_setup(&own_calls, 0);
	first = opens(SIGNOS(SIGUSR1, SIGUSR2));
	TASK_CHECK(handler_of(SIGUSR1), !=, (void *)own);
	second = opens(SIGNOS(SIGUSR1));
	send_signal(SIGUSR1);
	TASK_CHECK(next(second), ==, SIGUSR1);
	TASK_CHECK(load_acquire(&own_calls), ==, 0);
	hilo_signals_free(first);
	TASK_CHECK(handler_of(SIGUSR2), ==, (void *)SIG_DFL);
	TASK_CHECK(handler_of(SIGUSR1), !=, (void *)own);
	hilo_signals_free(second);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)own);
	send_signal(SIGUSR1);
	TEST_UNTIL(load_acquire(&own_calls) == 1);
	/* Unless the program has set something else meanwhile. */
	first = opens(SIGNOS(SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	hilo_signals_free(first);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_IGN);
	signal(SIGUSR1, SIG_DFL);
	return 0;
}

/* Both have it, and one has acted on it: when the other one leaves the program is not told of it once more. */
TASK_TEST(test_what_was_not_fetched_is_not_raised_again)
{
	hilo_signals *first, *second;

	signal(SIGUSR1, own);
	atomic_setup(&own_calls, 0);
	first = opens(SIGNOS(SIGUSR1));
	second = opens(SIGNOS(SIGUSR1)); /* is told before */
	for (int i = 0; i < 3; i++) {
		send_signal(SIGUSR1);
		TASK_CHECK(next(first), ==, SIGUSR1);
	}
	hilo_signals_free(first);
	hilo_signals_free(second);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)own);
	TASK_CHECK(hilo_signal_wait(SIGUSR1, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(load_acquire(&own_calls), ==, 0);
	send_signal(SIGUSR1);
	TEST_UNTIL(load_acquire(&own_calls) == 1);
	signal(SIGUSR1, SIG_DFL);
	return 0;
}

static void ignore_call(void *arg)
{
	(void)arg;
}

static void cannot(int signo, const char *part)
{
	hilo_signals *signals = (hilo_signals *)&signals;

	TASK_CHECK(hilo_signals_open(SIGNOS(SIGUSR1, signo), &signals), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(signals, ==, &signals);
	TASK_CHECK(hilo_signal_wait(signo, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(hilo_add_signal_handler(signo, ignore_call, NULL), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), part);
	TASK_CHECK(hilo_remove_signal_handler(signo), ==, -EINVAL);
}

TASK_TEST(test_mistakes)
{
	hilo_signal_info info = {.size = 8};
	hilo_signals *signals;

	cannot(SIGKILL, "SIGKILL");
	cannot(SIGSTOP, "SIGSTOP");
	cannot(SIGSEGV, "signal 11");
	cannot(-3, "signal -3");
	cannot(4711, "signal 4711");
	cannot(32, "signal 32"); /* the C library's */
	TASK_CHECK(hilo_signals_open(NULL, &signals), ==, -EINVAL);
	TASK_CHECK(hilo_signals_open((const int[]){0}, &signals), ==, -EINVAL);
	TASK_CHECK(hilo_signals_open(SIGNOS(SIGUSR1), NULL), ==, -EINVAL);
	TASK_CHECK(hilo_signal_wait(0, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_add_signal_handler(SIGUSR1, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_signals_next(NULL, NULL, HILO_FOREVER), ==, -EINVAL);
	signals = opens(SIGNOS(SIGUSR1));
	TASK_CHECK(hilo_signals_next(signals, &info, HILO_FOREVER), ==, -EINVAL);
	hilo_signals_free(signals);
	hilo_signals_free(NULL);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_DFL);
	return 0;
}

/* In a runtime other threads may meet the failure: once more then. */
static int handler_without_memory(void *arg)
{
	int rc;

	do {
		hilo__mem_fail_at(1, false);
		rc = hilo_add_signal_handler(SIGUSR1, ignore_call, NULL);
		hilo__mem_fail_at(0, false);
		if (rc == 0)
			TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 1);
	} while (rc == 0);
	TASK_CHECK(rc, ==, -ENOMEM);
	return arg != NULL;
}

static void test_what_cannot_be_had(void **state)
{
	hilo_signals *signals;
	unsigned fds = test_fds();

	(void)state;
	hilo__mem_fail_at(1, false);
	assert_int_equal(hilo_signals_open(SIGNOS(SIGUSR1), &signals), -ENOMEM);
	hilo__mem_fail_at(0, false);
	hilo__sys_fail(SYS_CALL_EVENTFD, 1, EMFILE, false);
	assert_int_equal(hilo_signals_open(SIGNOS(SIGUSR1), &signals), -EMFILE);
	hilo__sys_fail(SYS_CALL_EVENTFD, 0, 0, false);
	hilo__sys_fail(SYS_CALL_SIGACTION, 2, EINVAL, false);
	assert_int_equal(hilo_signals_open(SIGNOS(SIGUSR1, SIGUSR2), &signals), -EINVAL);
	hilo__sys_fail(SYS_CALL_SIGACTION, 0, 0, false);
	test_each(handler_without_memory);
	assert_ptr_equal(handler_of(SIGUSR1), (void *)SIG_DFL);
	assert_ptr_equal(handler_of(SIGUSR2), (void *)SIG_DFL);
	assert_int_equal(test_fds(), fds);
}

/* More than are kept, while nobody fetches: the first ones in order, and how many there were besides. */
static int more_than_are_kept(void *arg)
{
	hilo_signals *signals = opens(SIGNOS(SIGRTMIN, SIGUSR1));
	hilo_signal_info info = {.size = sizeof(info)};
	unsigned total = 0, kept = 0;
	int last = -1;

	for (int i = 0; i < 200; i++)
		send_value(SIGRTMIN, i);
	/* Until all were delivered. */
	for (sigset_t pending; sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN);)
		test_pause();
	while (total < 200) {
		TASK_CHECK(hilo_signals_next(signals, &info, HILO_FOREVER), ==, SIGRTMIN);
		if (!info.missed) {
			TASK_CHECK((int)info.value, >, last); /* in order, though some may be left out */
			last = (int)info.value;
			kept++;
		}
		total += info.missed ? info.missed : 1;
	}
	TASK_CHECK(total, ==, 200);
	TASK_CHECK(kept, >=, 64);
	TASK_CHECK(hilo_signals_next(signals, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	send_signal(SIGUSR1);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	hilo_signals_free(signals);
	return arg != NULL;
}

/* A storm from other threads: what comes is counted, and nothing is left. */
#define STORM 2000

static void *storm_main(void *arg)
{
	for (unsigned i = 0; i < test_rounds(STORM); i++)
		send_value((int)(intptr_t)arg, (int)i);
	return NULL;
}

static int storm(void *arg)
{
	hilo_signals *signals = opens(SIGNOS(SIGRTMIN, SIGRTMIN + 1));
	hilo_signal_info info = {.size = sizeof(info)};
	unsigned seen[2] = {0}, all = test_rounds(STORM);
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, storm_main, (void *)(intptr_t)(SIGRTMIN + i)), ==,
			   0);
	while (seen[0] < all || seen[1] < all) {
		int signo = hilo_signals_next(signals, &info, HILO_FOREVER);

		TASK_CHECK(signo, >=, SIGRTMIN);
		seen[signo - SIGRTMIN] += info.missed ? info.missed : 1;
	}
	TASK_CHECK(seen[0], ==, all);
	TASK_CHECK(seen[1], ==, all);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	hilo_signals_free(signals);
	return arg != NULL;
}

static void test_more_than_are_kept(void **state)
{
	(void)state;
#if defined(HILO__TSAN) || defined(HILO_TEST_EMULATED)
	TEST_SKIP("ThreadSanitizer, and qemu, keep one signal of each number");
#endif
	test_each(more_than_are_kept);
}

static void test_storm(void **state)
{
	(void)state;
#if defined(HILO__TSAN) || defined(HILO_TEST_EMULATED)
	TEST_SKIP("ThreadSanitizer, and qemu, keep one signal of each number");
#endif
	test_each(storm);
}

/* Subscriptions come and go while signals do. */
static test_flag enough;

static void *trouble_main(void *arg)
{
	while (!load_acquire(&enough)) {
		send_signal(SIGUSR1);
		send_signal(SIGUSR2);
	}
	return arg;
}

static int comes_and_goes(void *arg)
{
	for (unsigned i = 0; i < test_rounds(300); i++) {
		hilo_signals *signals = opens(SIGNOS(SIGUSR1, SIGUSR2));

		if (i % 3 == 0)
			TASK_CHECK(next(signals), >, 0);
		(void)hilo_yield();
		hilo_signals_free(signals);
		TASK_CHECK(hilo_add_signal_handler(i % 2 ? SIGUSR1 : SIGUSR2, ignore_call, NULL), ==, 0);
		if (i % 4 == 0)
			(void)hilo_remove_signal_handler(SIGUSR1);
	}
	return arg != NULL;
}

static int comes_and_goes_in_a_storm(void *arg)
{
	hilo_task *task[3];
	pthread_t thread;

	(void)arg;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	store_release(&enough, 0);
	TASK_CHECK(pthread_create(&thread, NULL, trouble_main, NULL), ==, 0);
	for (int i = 0; i < 3; i++)
		task[i] = hilo_spawn(comes_and_goes, NULL);
	TASK_CHECK(hilo_gather(task, 3, NULL, HILO_FOREVER), ==, 0);
	store_release(&enough, 1);
	test_join_thread(thread);
	(void)hilo_remove_signal_handler(SIGUSR1);
	(void)hilo_remove_signal_handler(SIGUSR2);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_IGN);
	TASK_CHECK(handler_of(SIGUSR2), ==, (void *)SIG_IGN);
	return 0;
}

static void test_coming_and_going_in_a_storm(void **state)
{
	(void)state;
#ifdef HILO_TEST_EMULATED
	TEST_SKIP("qemu sets a handler and its flags one after the other: it may be called without what it "
		  "is to be told");
#endif
	test_each(comes_and_goes_in_a_storm);
	/* Not before: this thread may have been in the handler, about to raise one again that was to be ignored. */
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

/* Two runtimes and a plain thread. */
static atomic(unsigned) ready, got;

static int one_runtime(void *arg)
{
	hilo_signals *signals = opens(SIGNOS(SIGUSR1));

	(void)add_release(&ready, 1);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	(void)add_release(&got, 1);
	hilo_signals_free(signals);
	return arg != NULL;
}

static void *runs_one(void *arg)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};

	TASK_CHECK(arg ? hilo_run(one_runtime, NULL, &opts) : one_runtime(NULL), ==, 0);
	return NULL;
}

static void test_two_runtimes_and_a_thread(void **state)
{
	pthread_t thread[3];

	(void)state;
	atomic_setup(&ready, 0);
	atomic_setup(&got, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, runs_one, i ? &thread : NULL), 0);
	TEST_UNTIL(load_acquire(&ready) == 3);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(load_acquire(&got), 3);
	assert_ptr_equal(handler_of(SIGUSR1), (void *)SIG_DFL);
}

static int wait_main(void *arg)
{
	hilo_signal_info info = {.size = sizeof(info)};

	TASK_CHECK(hilo_signal_wait((int)(intptr_t)arg, &info, HILO_FOREVER), ==, (intptr_t)arg);
	return info.signo;
}

TASK_TEST(test_wait_for_one)
{
	hilo_task *task;

	TASK_CHECK(hilo_signal_wait(SIGUSR1, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_DFL);
	task = hilo_spawn(wait_main, (void *)(intptr_t)SIGUSR1);
	TEST_UNTIL(handler_of(SIGUSR1) != (void *)SIG_DFL);
	send_signal(SIGUSR1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, SIGUSR1);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_DFL);
	return 0;
}

static void test_a_child_of_fork_is_not_the_one_that_has_subscribed(void **state)
{
	hilo_signals *signals;
	sigset_t none;
	int status;
	pid_t pid;

	(void)state;
#ifdef HILO__TSAN
	TEST_SKIP("ThreadSanitizer delays signals, also beyond the end of the process");
#endif
	signals = opens(SIGNOS(SIGUSR1));
	pid = fork();
	if (pid == 0) {
		(void)sigemptyset(&none);
		(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
		(void)raise(SIGUSR1);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	assert_int_equal(hilo_signals_next(signals, NULL, HILO_NO_WAIT), -ETIMEDOUT);
	hilo_signals_free(signals);
}

static atomic(bool) raises;

/* The wait is over, and then there is a signal after all. */
static int ppoll_late(struct pollfd *polls, nfds_t n, const struct timespec *timeout)
{
	int rc = sys_real_ppoll(polls, n, timeout);

	if (load_relaxed(&raises))
		(void)raise(SIGUSR1);
	return rc;
}

static void test_a_wait_that_ends_loses_no_signal(void **state)
{
	hilo_signal_info info = {.size = sizeof(info)};

	(void)state;
#ifdef HILO__TSAN
	TEST_SKIP("the signal would come later");
#endif
	hilo__sys.ppoll = ppoll_late;
	store_relaxed(&raises, true);
	assert_int_equal(hilo_signal_wait(SIGUSR1, &info, hilo_after(HILO_MILLISECOND)), SIGUSR1);
	store_relaxed(&raises, false);
	hilo__sys_reset();
	assert_int_equal(info.signo, SIGUSR1);
	assert_int_equal(info.pid, getpid());
	assert_ptr_equal(handler_of(SIGUSR1), (void *)SIG_DFL);
}

/* Callbacks. */
struct counted {
	atomic(unsigned) calls;
	hilo_loop *loop;
	bool removes;
};

static void count(void *arg)
{
	struct counted *counted = arg;

	TASK_CHECK(hilo_loop_current(), ==, counted->loop);
	if (counted->removes)
		TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 1);
	(void)add_release(&counted->calls, 1);
}

static int handlers(void *arg)
{
	struct counted first = {.loop = hilo_loop_current()}, second = first;
	hilo_signals *signals = opens(SIGNOS(SIGUSR1));

	atomic_setup(&first.calls, 0);
	atomic_setup(&second.calls, 0);
	TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 0);
	TASK_CHECK(hilo_add_signal_handler(SIGUSR1, count, &first), ==, 0);
	send_signal(SIGUSR1);
	TEST_UNTIL(load_acquire(&first.calls) == 1);
	/* Subscribers see it, too. */
	TASK_CHECK(next(signals), ==, SIGUSR1);
	/* Replaced. */
	TASK_CHECK(hilo_add_signal_handler(SIGUSR1, count, &second), ==, 0);
	send_signal(SIGUSR1);
	TEST_UNTIL(load_acquire(&second.calls) == 1);
	TASK_CHECK(load_acquire(&first.calls), ==, 1);
	TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 1);
	TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 0);
	send_signal(SIGUSR1);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	TASK_CHECK(next(signals), ==, SIGUSR1);
	/* One that removes itself. */
	second.removes = true;
	TASK_CHECK(hilo_add_signal_handler(SIGUSR1, count, &second), ==, 0);
	send_signal(SIGUSR1);
	TEST_UNTIL(load_acquire(&second.calls) == 2);
	TASK_CHECK(hilo_remove_signal_handler(SIGUSR1), ==, 0);
	hilo_signals_free(signals);
	TASK_CHECK(handler_of(SIGUSR1), ==, (void *)SIG_DFL);
	return arg != NULL;
}

LOOP_TEST(test_handlers_on_a_loop)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(handlers, NULL, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* A runtime that ends takes its handlers with it; until its tasks have ended they are called. */
static int cleans_up(void *arg)
{
	struct counted *counted = arg;

	TASK_CHECK(hilo_sleep_until(HILO_FOREVER), ==, -ECANCELED);
	send_signal(SIGUSR1);
	(void)hilo_shield_enter();
	TEST_UNTIL(load_acquire(&counted->calls) == 1);
	(void)hilo_shield_leave();
	return 0;
}

static void count_anywhere(void *arg)
{
	(void)add_release(&((struct counted *)arg)->calls, 1);
}

static int leaves_handlers(void *arg)
{
	TASK_CHECK(hilo_add_signal_handler(SIGUSR1, count_anywhere, arg), ==, 0);
	TASK_CHECK(hilo_add_signal_handler(SIGUSR2, count_anywhere, arg), ==, 0);
	hilo_task_detach(hilo_spawn(cleans_up, arg));
	(void)hilo_yield();
	return 0;
}

static void test_a_runtime_ends_with_its_handlers(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 4; workers *= 2) {
		struct counted counted = {.loop = NULL};

		atomic_setup(&counted.calls, 0);
		assert_int_equal(test_run(workers, leaves_handlers, &counted), 0);
		assert_ptr_equal(handler_of(SIGUSR1), (void *)SIG_DFL);
		assert_ptr_equal(handler_of(SIGUSR2), (void *)SIG_DFL);
	}
}

static void test_outside_of_a_loop(void **state)
{
	(void)state;
	assert_int_equal(hilo_add_signal_handler(SIGUSR1, ignore_call, NULL), -EDEADLK);
	assert_int_equal(hilo_remove_signal_handler(SIGUSR1), -EDEADLK);
}

/* As another program: Ctrl-C is its own while it subscribes, and afterwards cancels its main task. */
static int sigint_main(void *arg)
{
	hilo_signals *signals = opens(SIGNOS(SIGINT));

	(void)arg;
	puts("ready");
	fflush(stdout);
	TASK_CHECK(next(signals), ==, SIGINT);
	hilo_signals_free(signals);
	puts("again");
	fflush(stdout);
	return hilo_sleep_until(HILO_FOREVER);
}

static void expect_line(hilo_stream *stream, const char *line)
{
	char text[16];

	TASK_CHECK(hilo_stream_read_line(stream, text, sizeof(text), HILO_FOREVER), ==, strlen(line));
	TASK_CHECK_TEXT(text, line);
}

static int interrupts_itself(void *arg)
{
	hilo_process_opts opts = {.size = sizeof(opts), .out = HILO_STDIO_PIPE};
	hilo_process *process;
	int status;

	(void)arg;
	TASK_CHECK(hilo_process_spawn((const char *const[]){"/proc/self/exe", "sigint", NULL}, &opts,
				      &process, HILO_FOREVER),
		   ==, 0);
	expect_line(hilo_process_stdout(process), "ready\n");
	TASK_CHECK(hilo_process_send_signal(process, SIGINT), ==, 0);
	expect_line(hilo_process_stdout(process), "again\n");
	TASK_CHECK(hilo_process_send_signal(process, SIGINT), ==, 0);
	TASK_CHECK(hilo_process_wait(process, &status, HILO_FOREVER), ==, 0);
	TASK_CHECK(status, ==, 3);
	hilo_process_free(process);
	return 0;
}

static void test_interrupts_are_the_programs_while_it_subscribes(void **state)
{
	(void)state;
#if defined(HILO__TSAN) || defined(HILO_TEST_EMULATED)
	TEST_SKIP("signals do not interrupt the main thread here, or there is no vfork");
#endif
	if (test_on_valgrind())
		TEST_SKIP("valgrind has no vfork");
	assert_int_equal(test_run(2, interrupts_itself, NULL), 0);
}

/* What is known of a child that has ended. */
static int child_ends(void *arg)
{
	hilo_signals *signals = opens(SIGNOS(SIGCHLD));
	hilo_signal_info info = {.size = sizeof(info)};
	hilo_process *process;

	(void)arg;
	TASK_CHECK(hilo_process_shell("exit 5", NULL, &process, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_signals_next(signals, &info, HILO_FOREVER), ==, SIGCHLD);
	TASK_CHECK(info.code, ==, CLD_EXITED);
	TASK_CHECK(info.pid, ==, hilo_process_pid(process));
	TASK_CHECK(info.status, ==, 5);
	hilo_process_free(process);
	hilo_signals_free(signals);
	return 0;
}

static void test_a_child_has_ended(void **state)
{
	(void)state;
#ifdef HILO_TEST_EMULATED
	TEST_SKIP("there is no vfork");
#endif
	if (test_on_valgrind())
		TEST_SKIP("valgrind has no vfork");
	assert_int_equal(test_run(2, child_ends, NULL), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_known_of_a_signal),
		cmocka_unit_test(test_each_subscriber_sees_each_signal),
		cmocka_unit_test(test_waiting_ends_in_all_ways),
		cmocka_unit_test(test_cancel_loses_no_signal),
		cmocka_unit_test(test_what_was_there_before_is_put_back),
		cmocka_unit_test(test_what_was_not_fetched_is_not_raised_again),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_what_cannot_be_had),
		cmocka_unit_test(test_more_than_are_kept),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_coming_and_going_in_a_storm),
		cmocka_unit_test(test_two_runtimes_and_a_thread),
		cmocka_unit_test(test_wait_for_one),
		cmocka_unit_test(test_a_wait_that_ends_loses_no_signal),
		cmocka_unit_test(test_a_child_of_fork_is_not_the_one_that_has_subscribed),
		cmocka_unit_test(test_handlers_on_a_loop),
		cmocka_unit_test(test_a_runtime_ends_with_its_handlers),
		cmocka_unit_test(test_outside_of_a_loop),
		cmocka_unit_test(test_a_child_has_ended),
		cmocka_unit_test(test_interrupts_are_the_programs_while_it_subscribes),
	};

	if (argc == 2 && strcmp(argv[1], "sigint") == 0)
		return hilo_run(sigint_main, NULL, NULL) == -EINTR ? 3 : 4;
	test_begin();
	taker_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
