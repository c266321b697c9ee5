/* SPDX-License-Identifier: MIT */
/*
 * test_forked.c - children of a process in which a runtime runs: what they are told, and that nothing of it happens to
 * the parent. Each on epoll and on io_uring.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hilo/runtime/error.h>
#include <hilo/runtime/loop.h>

#include "runtime/io_impl.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait.h"
#include "tests/unit/runtime/pollers.h"

extern char **environ;

static int receive(int fd, void *buf, size_t size, hilo_time deadline)
{
	struct poll_io io;

	poll_io_init(&io, POLL_IO_RECV, fd, buf, size, NULL);
	return hilo__io_run(&io, WAIT_FD, NULL, deadline);
}

/* [child] Not a word on standard error, no core. */
static void child_quiet(void)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
}

/* [parent] How @pid has ended; without keeping others from going on. */
static int child_status(pid_t pid)
{
	int status = 0;

	TEST_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	return status;
}

/* A receive that is under way in the parent, which children do not disturb. */
struct talk {
	int fd[2];
	char buf[8];
	int result;
};

static int talk_receive(void *arg)
{
	struct talk *talk = arg;

	talk->result = receive(talk->fd[0], talk->buf, 4, HILO_FOREVER);
	return talk->result;
}

static hilo_task *talk_begin(struct talk *talk)
{
	hilo_task *task;

	memset(talk, 0, sizeof(*talk));
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk->fd), ==, 0);
	task = hilo_spawn(talk_receive, talk);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	return task;
}

static void talk_end(struct talk *talk, hilo_task *task)
{
	TASK_CHECK(write(talk->fd[1], "hola", 4), ==, 4);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(talk->buf, "hola");
	hilo__io_forget(hilo__io_runtime(), talk->fd[0]);
	TASK_CHECK(close(talk->fd[0]), ==, 0);
	TASK_CHECK(close(talk->fd[1]), ==, 0);
}

/* [child, in a task] Each call that would touch what is the parent's is refused. */
static int child_asks(struct talk *talk)
{
	hilo_runtime *runtime = hilo_runtime_current();
	struct hilo_loop *loop = thread_self()->loop;
	char buf[8];

	if (hilo_spawn(test_entry_return, NULL) || !hilo_runtime_is_closed(runtime))
		return 1;
	if (receive(talk->fd[0], buf, 4, HILO_FOREVER) >= 0)
		return 2;
	if (hilo_fd_wait(talk->fd[0], HILO_READABLE, HILO_FOREVER) >= 0)
		return 3;
	if (hilo_run(test_entry_return, NULL, NULL) >= 0)
		return 4;
	/* What others do is without effect. */
	for (unsigned i = 0; i < runtime_loops(runtime); i++) {
		hilo__poller_wake(&runtime->loops[i]->poller);
		hilo__poller_flush(&runtime->loops[i]->poller);
		(void)hilo__poller_reap(&runtime->loops[i]->poller, POLL_BATCH, POLL_OWNER);
	}
	hilo__io_forget(runtime, talk->fd[0]);
	return loop->poller.wake_fd == -1 ? 0 : 5;
}

IO_TEST(a_child_of_a_task_is_refused_and_the_parent_goes_on)
{
	for (unsigned i = 0; i < test_rounds(5); i++) {
		struct talk talk;
		hilo_task *task = talk_begin(&talk);
		pid_t pid = fork();

		TASK_CHECK(pid, >=, 0);
		if (pid == 0) {
			child_quiet();
			_exit(child_asks(&talk));
		}
		TASK_CHECK(child_status(pid), ==, 0);
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0);
		talk_end(&talk, task);
	}
	return 0;
}

/* A task of the child's that goes on as one ends it: nothing of the parent's is done twice. */
static int fork_and_return(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		child_quiet();
	else
		*(pid_t *)arg = pid;
	return 0;
}

static int fork_and_suspend(void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		child_quiet();
		(void)hilo_sleep(HILO_MILLISECOND);
		_exit(0);
	}
	*(pid_t *)arg = pid;
	return 0;
}

static test_flag called;

static void fork_in_callback(void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		child_quiet();
		return;
	}
	*(pid_t *)arg = pid;
	store_release(&called, 1);
}

static int fork_in_executor(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		child_quiet();
	else
		*(pid_t *)arg = pid;
	return 0;
}

static void check_aborted(pid_t pid)
{
	int status = child_status(pid);

	TASK_CHECK(WIFSIGNALED(status), ==, 1);
	TASK_CHECK(WTERMSIG(status), ==, SIGABRT);
}

IO_TEST(a_child_that_goes_on_in_the_runtime_is_ended)
{
	struct talk talk;
	hilo_task *task = talk_begin(&talk);
	pid_t pid = 0;

	TASK_CHECK(hilo_join(hilo_spawn(fork_and_return, &pid), HILO_FOREVER), ==, 0);
	check_aborted(pid);
	TASK_CHECK(hilo_join(hilo_spawn(fork_and_suspend, &pid), HILO_FOREVER), ==, 0);
	check_aborted(pid);
	store_relaxed(&called, 0);
	TASK_CHECK(hilo_call_soon(fork_in_callback, &pid, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&called));
	check_aborted(pid);
	TASK_CHECK(hilo_to_thread(fork_in_executor, &pid, HILO_FOREVER), ==, 0);
	check_aborted(pid);
	talk_end(&talk, task);
	return 0;
}

/* exec closes what was the parent's, whatever has made the child. */
IO_TEST(a_child_that_calls_exec_has_nothing_of_it)
{
	static char script[] = "! ls -l /proc/self/fd | grep -E 'io_uring|eventpoll|eventfd|timerfd'";
	static char sh[] = "/bin/sh", option[] = "-c";
	char *args[] = {sh, option, script, NULL};
	struct talk talk;
	hilo_task *task = talk_begin(&talk);
	pid_t pid = fork();

	TASK_CHECK(pid, >=, 0);
	if (pid == 0) {
		(void)execv(sh, args);
		_exit(127);
	}
	TASK_CHECK(child_status(pid), ==, 0);
	TASK_CHECK(posix_spawn(&pid, sh, NULL, NULL, args, environ), ==, 0);
	TASK_CHECK(child_status(pid), ==, 0);
	talk_end(&talk, task);
	return 0;
}

/* [plain thread] It sees a runtime that is closed. */
static int child_of_thread(hilo_runtime *runtime)
{
	if (!hilo_runtime_is_closed(runtime))
		return 1;
	if (hilo_submit(runtime, test_entry_return, NULL, NULL, NULL) != HILO_ECLOSED)
		return 2;
	if (hilo_runtime_run_until_complete(runtime, test_entry_return, NULL) != HILO_ECLOSED)
		return 3;
	if (hilo_run(test_entry_return, NULL, NULL) != -EPERM)
		return 4;
	if (!strstr(hilo_error_message(), "forked"))
		return 5;
	if (hilo_runtime_close(runtime, HILO_FOREVER) != 0 || hilo_runtime_free(runtime) != 0)
		return 6;
	return 0;
}

static void test_a_child_of_a_plain_thread_sees_a_runtime_that_is_closed(void **state)
{
	static const unsigned flags[] = {HILO_POLLER_EPOLL, 0};

	(void)state;
	for (size_t i = 0; i < array_size(flags); i++) {
		hilo_opts opts = {.size = sizeof(opts), .workers = 2, .flags = flags[i]};
		hilo_runtime *runtime;
		int status;
		pid_t pid;

		assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
		assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, NULL), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(child_of_thread(runtime));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(hilo_runtime_run_until_complete(runtime, test_entry_return, NULL), 0);
		assert_int_equal(hilo_runtime_free(runtime), 0);
	}
}

/* Between two runtimes nothing is held, and a child may have its own. */
static void test_a_child_of_before_and_after_has_runtimes_of_its_own(void **state)
{
	(void)state;
#ifdef HILO__TSAN
	TEST_SKIP("ThreadSanitizer starts no threads in such a child");
#endif
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(hilo_run(test_entry_return, (void *)3, NULL));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 3);
		assert_int_equal(hilo_run(test_entry_return, (void *)4, NULL), 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_of_before_and_after_has_runtimes_of_its_own),
		BOTH(a_child_of_a_task_is_refused_and_the_parent_goes_on),
		BOTH(a_child_that_goes_on_in_the_runtime_is_ended),
		BOTH(a_child_that_calls_exec_has_nothing_of_it),
		cmocka_unit_test(test_a_child_of_a_plain_thread_sees_a_runtime_that_is_closed),
	};

	if (test_on_valgrind()) {
		printf("SKIP: valgrind looks for leaks in the children\n");
		return 77;
	}
	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
