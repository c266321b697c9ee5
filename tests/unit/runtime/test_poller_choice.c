/* SPDX-License-Identifier: MIT */
/*
 * test_poller_choice.c - which poller a runtime has: where io_uring is forbidden it is epoll, and nothing is said.
 * Each in a process of its own, for a filter of system calls stays, and what was found out as well.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/io_impl.h"
#include "scheduler/poller.h"
#include "scheduler/wait.h"

#define CHILD_SKIPS 77

static char is_epoll[] = "poller=epoll\n", is_uring[] = "poller=uring\n";

/* [child] From now on @call is answered with @error, to all threads. False: there are no filters here. */
static bool forbid(long call, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = array_size(filter), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* [test] What @body returns in a child, and what it has written to standard error. */
static int in_child(int (*body)(int), int arg, char *said, size_t size)
{
	size_t length = 0;
	int out[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)unsetenv("HILO_POLLER");
		(void)dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		_exit(body(arg));
	}
	close(out[1]);
	while ((n = read(out[0], said + length, size - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* [task] Bytes go through a pair of sockets, made by the poller that @arg names. */
static int talk(void *arg)
{
	char config[512], buf[8] = "";
	struct poll_io io;
	int fd[2];

	TASK_CHECK(hilo_runtime_config(hilo_runtime_current(), config, sizeof(config)), >, 0);
	TASK_CHECK_CONTAINS(config, arg);
	TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
	poll_io_init(&io, POLL_IO_RECV, fd[0], buf, 4, NULL);
	TASK_CHECK(hilo__io_run(&io, WAIT_FD, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(write(fd[1], "hola", 4), ==, 4);
	poll_io_init(&io, POLL_IO_RECV, fd[0], buf, 4, NULL);
	TASK_CHECK(hilo__io_run(&io, WAIT_FD, NULL, HILO_FOREVER), ==, 4);
	TASK_CHECK_TEXT(buf, "hola");
	for (int i = 0; i < 2; i++) {
		hilo__io_forget(hilo__io_runtime(), fd[i]);
		(void)close(fd[i]);
	}
	return 0;
}

static int child_forbidden(int error)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};

	if (!forbid(SYS_io_uring_setup, error))
		return CHILD_SKIPS;
	TASK_CHECK(hilo_run(talk, is_epoll, &opts), ==, 0);
	opts.flags = HILO_POLLER_URING;
	TASK_CHECK(hilo_run(talk, NULL, &opts), ==, -EOPNOTSUPP);
	TASK_CHECK(hilo__poller_ring_works(), ==, -error);
	return 0;
}

static void test_where_a_filter_forbids_rings_it_is_epoll_without_a_word(void **state)
{
	static const int errors[] = {EPERM, ENOSYS};
	char said[512];

	(void)state;
	for (size_t i = 0; i < array_size(errors); i++) {
		int rc = in_child(child_forbidden, errors[i], said, sizeof(said));

		if (rc == CHILD_SKIPS)
			TEST_SKIP("no filters of system calls here");
		assert_string_equal(said, "");
		assert_int_equal(rc, 0);
	}
}

/* membarrier(2) is needed as well: it makes who computes pass through the kernel. */
static int child_without_membarrier(int error)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};

	if (!forbid(SYS_membarrier, error))
		return CHILD_SKIPS;
	TASK_CHECK(hilo_run(talk, is_epoll, &opts), ==, 0);
	return 0;
}

static void test_without_membarrier_it_is_epoll(void **state)
{
	char said[512];
	int rc = in_child(child_without_membarrier, EPERM, said, sizeof(said));

	(void)state;
	if (rc == CHILD_SKIPS)
		TEST_SKIP("no filters of system calls here");
	assert_string_equal(said, "");
	assert_int_equal(rc, 0);
}

/* [task] What was under way when rings were forbidden fails, once on each loop; what comes later goes on. */
static int forbidden_later(void *arg)
{
	unsigned failed = 0;

	TASK_CHECK(talk(arg), ==, 0);
	if (!forbid(SYS_io_uring_enter, EPERM))
		return CHILD_SKIPS;
	for (int i = 0; i < 100; i++) {
		struct poll_io io;
		char buf[8] = "";
		int fd[2], rc;

		TASK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
		TASK_CHECK(write(fd[1], "hola", 4), ==, 4);
		poll_io_init(&io, POLL_IO_RECV, fd[0], buf, 4, NULL);
		rc = hilo__io_run(&io, WAIT_FD, NULL, HILO_FOREVER);
		if (rc != 4)
			TASK_CHECK(rc, ==, -EPERM);
		failed += rc != 4;
		hilo__io_forget(hilo__io_runtime(), fd[0]);
		(void)close(fd[0]);
		(void)close(fd[1]);
		TASK_CHECK(hilo_sleep(100 * HILO_MICROSECOND), ==, 0);
	}
	TASK_CHECK(failed, <=, hilo_runtime_workers(hilo_runtime_current()) + 4);
	return 0;
}

static int child_forbidden_later(int workers)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = (unsigned)workers};

	if (hilo__poller_ring_works() < 0)
		return CHILD_SKIPS;
	return hilo_run(forbidden_later, is_uring, &opts);
}

static void test_where_rings_are_forbidden_later_it_goes_on_over_epoll(void **state)
{
	char said[4096];

	(void)state;
	for (int workers = 1; workers <= 4; workers *= 2) {
		int rc = in_child(child_forbidden_later, workers, said, sizeof(said));

		if (rc == CHILD_SKIPS)
			TEST_SKIP("no io_uring, or no filters of system calls here");
		assert_int_equal(rc, 0);
		assert_non_null(strstr(said, "io_uring_enter fails (EPERM)"));
	}
}

static int child_as_it_is(int disabled)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	int works = hilo__poller_ring_works();

	if (disabled == 2)
		TASK_CHECK(works, ==, -EPERM);
	if (disabled == 0)
		TASK_CHECK(works, !=, -EPERM);
	return hilo_run(talk, works == 0 ? is_uring : is_epoll, &opts);
}

/* kernel.io_uring_disabled: 2 is for nobody, 1 for the privileged only, 0 for all. */
static void test_it_is_what_the_machine_allows(void **state)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int disabled = -1;
	char said[512];

	(void)state;
	if (file && fscanf(file, "%d", &disabled) != 1)
		disabled = -1;
	if (file)
		(void)fclose(file);
	assert_int_equal(in_child(child_as_it_is, disabled, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_a_filter_forbids_rings_it_is_epoll_without_a_word),
		cmocka_unit_test(test_without_membarrier_it_is_epoll),
		cmocka_unit_test(test_where_rings_are_forbidden_later_it_goes_on_over_epoll),
		cmocka_unit_test(test_it_is_what_the_machine_allows),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
