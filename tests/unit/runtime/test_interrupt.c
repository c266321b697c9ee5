/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C while the main thread is in hilo_run, or runs a runtime that was made to handle it. Each case is a process of
 * its own, which says when it is ready and is sent the signal then.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child: what it writes to standard error, how it says something and is told something. */
static struct child {
	pid_t pid;
	int says[2], told[2], errors[2];
	char text[1 << 15];
} child;

static void child_says(char what)
{
	TASK_CHECK(write(child.says[1], &what, 1), ==, 1);
}

/* [task of the child] Wait for the parent's word. */
static void child_is_told(void)
{
	char what;

	TASK_CHECK(read(child.told[0], &what, 1), ==, 1);
}

static void child_start(int (*body)(void))
{
	assert_int_equal(pipe(child.says) | pipe(child.told) | pipe(child.errors), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(child.errors[1], STDERR_FILENO);
		(void)close(child.errors[1]);
		_exit(body());
	}
	(void)close(child.errors[1]);
	(void)close(child.says[1]);
}

static void expect(char what)
{
	char said = '-';

	assert_int_equal(read(child.says[0], &said, 1), 1);
	assert_int_equal(said, what);
}

static void interrupt(void)
{
	assert_int_equal(kill(child.pid, SIGINT), 0);
}

static void tell(void)
{
	assert_int_equal(write(child.told[1], "!", 1), 1);
}

/* How it ended: its status, or minus the signal. What it has written is in child.text. */
static int child_end(void)
{
	size_t used = 0;
	ssize_t n;
	int status;

	while ((n = read(child.errors[0], child.text + used, sizeof(child.text) - 1 - used)) > 0)
		used += (size_t)n;
	child.text[used] = '\0';
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	(void)close(child.errors[0]);
	(void)close(child.says[0]);
	(void)close(child.told[0]);
	(void)close(child.told[1]);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static bool sigint_is_default(void)
{
	struct sigaction action;

	TASK_CHECK(sigaction(SIGINT, NULL, &action), ==, 0);
	return action.sa_handler == SIG_DFL;
}

static const hilo_opts two_workers = {.size = sizeof(two_workers), .workers = 2};

/* ---- the first ---- */

static int sleep_main(void *arg)
{
	(void)arg;
	TASK_CHECK(sigint_is_default(), ==, false);
	child_says('r');
	return hilo_sleep_until(HILO_FOREVER);
}

static int first_body(void)
{
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(hilo_run(sleep_main, NULL, &two_workers), ==, -EINTR);
		TASK_CHECK(hilo_error_code(), ==, -EINTR);
		TASK_CHECK_TEXT(hilo_error_message(), "interrupted by SIGINT");
		TASK_CHECK(sigint_is_default(), ==, true);
	}
	return 3;
}

static void test_the_first_cancels_main(void **state)
{
	(void)state;
	child_start(first_body);
	for (int i = 0; i < 3; i++) {
		expect('r');
		interrupt();
	}
	assert_int_equal(child_end(), 3);
	assert_string_equal(child.text, "");
}

static int clean_up_main(void *arg)
{
	TASK_CHECK(sleep_main(arg), ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	return 44;
}

static int clean_up_body(void)
{
	return hilo_run(clean_up_main, NULL, &two_workers);
}

static void test_main_may_end_in_its_own_way(void **state)
{
	(void)state;
	child_start(clean_up_body);
	expect('r');
	interrupt();
	assert_int_equal(child_end(), 44);
}

static int cancelled_main(void *arg)
{
	(void)arg;
	return -ECANCELED;
}

static void test_main_may_be_cancelled_by_others(void **state)
{
	(void)state;
	assert_int_equal(hilo_run(cancelled_main, NULL, NULL), -ECANCELED);
}

/* ---- the second ---- */

static int stubborn_main(void *arg)
{
	hilo_task *self = hilo_task_current();

	(void)arg;
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	child_says('r');
	TEST_UNTIL(hilo_task_cancelling(self) > 0);
	child_says('c');
	return hilo_sleep_until(HILO_FOREVER);
}

static int stubborn_body(void)
{
	return hilo_run(stubborn_main, NULL, &two_workers);
}

static void test_the_second_dumps_all_and_ends_the_process(void **state)
{
	(void)state;
	child_start(stubborn_body);
	expect('r');
	interrupt();
	expect('c');
	interrupt();
	assert_int_equal(child_end(), -SIGINT);
	assert_non_null(strstr(child.text, "interrupted twice"));
	assert_non_null(strstr(child.text, " entry=0x"));
}

/* ---- while the runtime ends ---- */

/* Main has returned; a task that is left over takes its time. */
static test_flag started;

static int slow_end(void *arg)
{
	hilo_task *self = hilo_task_current();

	(void)arg;
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	store_release(&started, 1);
	TEST_UNTIL(hilo_task_cancelling(self) > 0);
	child_says('c');
	child_is_told();
	return hilo_shield_leave();
}

static void leave_one(void)
{
	hilo_task_detach(hilo_spawn(slow_end, NULL));
	TEST_UNTIL(load_acquire(&started));
}

static int leave_main(void *arg)
{
	(void)arg;
	leave_one();
	return 9;
}

static int leave_body(void)
{
	hilo_opts opts = two_workers;

	opts.shutdown = HILO_FOREVER;
	return hilo_run(leave_main, NULL, &opts);
}

static void test_one_that_is_late_takes_effect_at_the_end(void **state)
{
	(void)state;
	child_start(leave_body);
	expect('c');
	interrupt();
	tell();
	assert_int_equal(child_end(), -SIGINT);
	assert_null(strstr(child.text, "interrupted twice"));
	child_start(leave_body);
	expect('c');
	tell();
	assert_int_equal(child_end(), 9);
}

static int both_main(void *arg)
{
	leave_one();
	return sleep_main(arg);
}

static int both_body(void)
{
	hilo_opts opts = two_workers;

	opts.shutdown = HILO_FOREVER;
	return hilo_run(both_main, NULL, &opts);
}

static void test_the_second_while_the_runtime_ends(void **state)
{
	(void)state;
	child_start(both_body);
	expect('r');
	interrupt();
	expect('c');
	interrupt();
	assert_int_equal(child_end(), -SIGINT);
	assert_non_null(strstr(child.text, "interrupted twice"));
	assert_non_null(strstr(child.text, " entry=0x"));
}

/* ---- a handler that is under way when the run ends ---- */

static void (*handler_of_run)(int signo);

static int tell_handler_main(void *arg)
{
	struct sigaction action;

	(void)arg;
	TASK_CHECK(sigaction(SIGINT, NULL, &action), ==, 0);
	handler_of_run = action.sa_handler;
	return 6;
}

static int late_handler_body(void)
{
	TASK_CHECK(hilo_run(tell_handler_main, NULL, &two_workers), ==, 6);
	TASK_CHECK(sigint_is_default(), ==, true);
	child_says('l');
	handler_of_run(SIGINT);
	return 1;
}

static void test_one_under_way_at_the_end_is_raised_again(void **state)
{
	(void)state;
	child_start(late_handler_body);
	expect('l');
	assert_int_equal(child_end(), -SIGINT);
	assert_string_equal(child.text, "");
}

static int handle_main(void *arg)
{
	(void)arg;
	errno = ENOTTY;
	handler_of_run(SIGINT);
	TASK_CHECK(errno, ==, ENOTTY);
	return hilo_sleep_until(HILO_FOREVER);
}

static int next_run_body(void)
{
	TASK_CHECK(hilo_run(tell_handler_main, NULL, &two_workers), ==, 6);
	return hilo_run(handle_main, NULL, &two_workers) == -EINTR ? 5 : 1;
}

static void test_one_under_way_counts_in_the_next_run(void **state)
{
	(void)state;
	child_start(next_run_body);
	assert_int_equal(child_end(), 5);
}

/* The application has kept what was there during the run, and puts it back afterwards. */
static int put_back_body(void)
{
	struct sigaction action = {.sa_flags = 0};

	TASK_CHECK(hilo_run(tell_handler_main, NULL, &two_workers), ==, 6);
	action.sa_handler = handler_of_run;
	TASK_CHECK(sigaction(SIGINT, &action, NULL), ==, 0);
	child_says('l');
	(void)raise(SIGINT);
	return 1;
}

static void test_a_handler_that_is_put_back_ends_the_process(void **state)
{
	(void)state;
	child_start(put_back_body);
	expect('l');
	assert_int_equal(child_end(), -SIGINT);
}

/* ---- HILO_MAIN ---- */

static int main_that_cleans_up(void *arg)
{
	(void)arg;
	TASK_CHECK(sleep_main(NULL), ==, -ECANCELED);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	(void)fputs("cleaned up", stderr);
	return -ECANCELED;
}

static int main_that_cleans_up_body(void)
{
	(void)setvbuf(stderr, NULL, _IOFBF, 1000);
	return hilo_main_run(main_that_cleans_up, NULL);
}

static void test_a_program_that_is_interrupted_dies_by_the_signal(void **state)
{
	(void)state;
	child_start(main_that_cleans_up_body);
	expect('r');
	interrupt();
	assert_int_equal(child_end(), -SIGINT);
	assert_string_equal(child.text, "cleaned up");
}

static int main_with_another_end(void *arg)
{
	(void)arg;
	TASK_CHECK(sleep_main(NULL), ==, -ECANCELED);
	return -EIO;
}

/* Nobody has interrupted it. */
static int main_that_only_says_so(void *arg)
{
	(void)arg;
	return -EINTR;
}

static int main_with_another_end_body(void)
{
	int status = hilo_main_run(main_with_another_end, NULL);

	return status * 10 + hilo_main_run(main_that_only_says_so, NULL);
}

static void test_a_program_that_ends_otherwise_exits(void **state)
{
	(void)state;
	child_start(main_with_another_end_body);
	expect('r');
	interrupt();
	assert_int_equal(child_end(), 11);
	assert_non_null(strstr(child.text, "Input/output error"));
	assert_non_null(strstr(child.text, "Interrupted system call"));
}

static int main_interrupted_then_says_so_body(void)
{
	TASK_CHECK(hilo_run(sleep_main, NULL, &two_workers), ==, -EINTR);
	return hilo_main_run(main_that_only_says_so, NULL);
}

static void test_an_interrupt_before_is_none_of_the_programs(void **state)
{
	(void)state;
	child_start(main_interrupted_then_says_so_body);
	expect('r');
	interrupt();
	assert_int_equal(child_end(), 1);
}

/* ---- whose SIGINT it is ---- */

static int is_default_main(void *arg)
{
	(void)arg;
	return sigint_is_default();
}

static void on_signal(int signo)
{
	(void)signo;
}

static void test_what_the_application_has_set_stays(void **state)
{
	struct sigaction own = {.sa_handler = on_signal}, before, now;

	(void)state;
	assert_int_equal(sigaction(SIGINT, &own, &before), 0);
	assert_int_equal(hilo_run(is_default_main, NULL, NULL), 0);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)on_signal);
	own.sa_handler = SIG_IGN;
	assert_int_equal(sigaction(SIGINT, &own, NULL), 0);
	assert_int_equal(hilo_run(is_default_main, NULL, NULL), 0);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)SIG_IGN);
	assert_int_equal(sigaction(SIGINT, &before, NULL), 0);
}

static void test_a_blocked_signal_is_the_applications(void **state)
{
	sigset_t set, before;

	(void)state;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
	assert_int_equal(hilo_run(is_default_main, NULL, NULL), 1);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(hilo_run(is_default_main, NULL, NULL), 0);
	assert_true(sigint_is_default());
}

static void test_an_option_leaves_it_alone(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .flags = HILO_KEEP_SIGINT};

	(void)state;
	assert_int_equal(hilo_run(is_default_main, NULL, &opts), 1);
}

static void *run_in_a_thread(void *arg)
{
	TASK_CHECK(hilo_run(is_default_main, NULL, NULL), ==, 1);
	return arg;
}

static void test_other_threads_and_other_calls_leave_it_alone(void **state)
{
	hilo_runtime *runtime;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_in_a_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_runtime_new(NULL, &runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, is_default_main, NULL), 1);
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

/* A handler of the application's own, set while it runs, stays. */
static int set_own_main(void *arg)
{
	struct sigaction own = {.sa_handler = on_signal};

	(void)arg;
	return sigaction(SIGINT, &own, NULL);
}

static void test_what_was_set_meanwhile_stays(void **state)
{
	struct sigaction now, none = {.sa_handler = SIG_DFL};

	(void)state;
	assert_int_equal(hilo_run(set_own_main, NULL, NULL), 0);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)on_signal);
	assert_int_equal(sigaction(SIGINT, &none, NULL), 0);
}

/* ---- several runs of one runtime ---- */

static hilo_runtime *runtime_handling_sigint(void)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = HILO_HANDLE_SIGINT};
	hilo_runtime *runtime;

	TASK_CHECK(hilo_runtime_new(&opts, &runtime), ==, 0);
	return runtime;
}

static int runs_body(void)
{
	hilo_runtime *runtime = runtime_handling_sigint();
	hilo_task *other;

	TASK_CHECK(hilo_submit(runtime, test_entry_sleep_forever, NULL, NULL, &other), ==, 0);
	for (int i = 0; i < 3; i++) {
		TASK_CHECK(sigint_is_default(), ==, true);
		TASK_CHECK(hilo_runtime_run_until_complete(runtime, sleep_main, NULL), ==, -EINTR);
		TASK_CHECK_TEXT(hilo_error_message(), "interrupted by SIGINT");
		TASK_CHECK(sigint_is_default(), ==, true);
		TASK_CHECK(hilo_runtime_run_until_complete(runtime, is_default_main, NULL), ==, 0);
	}
	TASK_CHECK(hilo_runtime_run_until_complete(runtime, clean_up_main, NULL), ==, 44);
	TASK_CHECK(hilo_task_cancelling(other), ==, 0);
	hilo_task_detach(other);
	TASK_CHECK(hilo_runtime_free(runtime), ==, 0);
	return 4;
}

static void test_the_first_cancels_main_of_each_run(void **state)
{
	(void)state;
	child_start(runs_body);
	for (int i = 0; i < 4; i++) {
		expect('r');
		interrupt();
	}
	assert_int_equal(child_end(), 4);
	assert_string_equal(child.text, "");
}

static int second_body(void)
{
	hilo_runtime *runtime = runtime_handling_sigint();

	TASK_CHECK(hilo_runtime_run_until_complete(runtime, sleep_main, NULL), ==, -EINTR);
	return hilo_runtime_run_until_complete(runtime, stubborn_main, NULL);
}

static void test_the_second_of_one_run_ends_the_process(void **state)
{
	(void)state;
	child_start(second_body);
	expect('r');
	interrupt();
	expect('r');
	interrupt();
	expect('c');
	interrupt();
	assert_int_equal(child_end(), -SIGINT);
	assert_non_null(strstr(child.text, "interrupted twice"));
	assert_non_null(strstr(child.text, " entry=0x"));
}

static int between_body(void)
{
	hilo_runtime *runtime = runtime_handling_sigint();

	TASK_CHECK(hilo_runtime_run_until_complete(runtime, is_default_main, NULL), ==, 0);
	child_says('b');
	child_is_told();
	return 1;
}

static void test_between_two_runs_it_ends_the_process(void **state)
{
	(void)state;
	child_start(between_body);
	expect('b');
	interrupt();
	assert_int_equal(child_end(), -SIGINT);
	assert_string_equal(child.text, "");
}

static void *run_it_in_a_thread(void *runtime)
{
	TASK_CHECK(hilo_runtime_run_until_complete(runtime, is_default_main, NULL), ==, 1);
	return NULL;
}

/* Another task's run is none of the main thread's. */
static int run_it_in_a_task(void *runtime)
{
	return hilo_runtime_run_until_complete(runtime, is_default_main, NULL);
}

static void test_runs_by_others_leave_it_alone(void **state)
{
	hilo_runtime *runtime = runtime_handling_sigint();
	struct sigaction own = {.sa_handler = on_signal}, before, now;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_it_in_a_thread, runtime), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(test_run(2, run_it_in_a_task, runtime), 0); /* that of hilo_run itself */
	assert_int_equal(sigaction(SIGINT, &own, &before), 0);
	assert_int_equal(test_run(2, run_it_in_a_task, runtime), 0);
	assert_int_equal(hilo_runtime_run_until_complete(runtime, is_default_main, NULL), 0);
	assert_int_equal(sigaction(SIGINT, &before, &now), 0);
	assert_ptr_equal((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)on_signal);
	/* Inside a run is a child of the same runtime. */
	assert_int_equal(hilo_runtime_run_until_complete(runtime, run_it_in_a_task, runtime), 0);
	assert_true(sigint_is_default());
	assert_int_equal(hilo_runtime_free(runtime), 0);
}

static void test_it_is_kept_or_handled(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .flags = HILO_HANDLE_SIGINT | HILO_KEEP_SIGINT};
	hilo_runtime *runtime;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "SIGINT is both kept and handled");
}

/* ---- a child that is forked meanwhile ---- */

static void *fork_in_a_thread(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)raise(SIGINT);
		_exit(1);
	}
	TASK_CHECK(waitpid(pid, &status, 0), ==, pid);
	TASK_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, ==, 1);
	store_release((test_flag *)arg, 1);
	return NULL;
}

static test_flag may_fork, forked;

static void *fork_when_told(void *arg)
{
	TEST_UNTIL(load_acquire(&may_fork));
	return fork_in_a_thread(arg);
}

static int fork_main(void *arg)
{
	(void)arg;
	store_release(&may_fork, 1);
	TEST_UNTIL(load_acquire(&forked));
	return 5;
}

static void test_a_forked_child_is_not_ours(void **state)
{
	pthread_t thread;

	(void)state;
#ifdef HILO__TSAN
	TEST_SKIP("ThreadSanitizer delays signals, also beyond the end of the process");
#endif
	/* Not of a worker, which blocks the signal. */
	assert_int_equal(pthread_create(&thread, NULL, fork_when_told, &forked), 0);
	assert_int_equal(hilo_run(fork_main, NULL, NULL), 5);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	/* Those with children first: ThreadSanitizer ends children of processes that had threads. */
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_cancels_main),
		cmocka_unit_test(test_main_may_end_in_its_own_way),
		cmocka_unit_test(test_the_second_dumps_all_and_ends_the_process),
		cmocka_unit_test(test_one_that_is_late_takes_effect_at_the_end),
		cmocka_unit_test(test_the_second_while_the_runtime_ends),
		cmocka_unit_test(test_one_under_way_at_the_end_is_raised_again),
		cmocka_unit_test(test_one_under_way_counts_in_the_next_run),
		cmocka_unit_test(test_a_handler_that_is_put_back_ends_the_process),
		cmocka_unit_test(test_a_program_that_is_interrupted_dies_by_the_signal),
		cmocka_unit_test(test_a_program_that_ends_otherwise_exits),
		cmocka_unit_test(test_an_interrupt_before_is_none_of_the_programs),
		cmocka_unit_test(test_the_first_cancels_main_of_each_run),
		cmocka_unit_test(test_the_second_of_one_run_ends_the_process),
		cmocka_unit_test(test_between_two_runs_it_ends_the_process),
		cmocka_unit_test(test_main_may_be_cancelled_by_others),
		cmocka_unit_test(test_what_the_application_has_set_stays),
		cmocka_unit_test(test_a_blocked_signal_is_the_applications),
		cmocka_unit_test(test_an_option_leaves_it_alone),
		cmocka_unit_test(test_other_threads_and_other_calls_leave_it_alone),
		cmocka_unit_test(test_runs_by_others_leave_it_alone),
		cmocka_unit_test(test_it_is_kept_or_handled),
		cmocka_unit_test(test_what_was_set_meanwhile_stays),
		cmocka_unit_test(test_a_forked_child_is_not_ours),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
