/* SPDX-License-Identifier: MIT */
/* A task that runs out of stack ends the program with a line that says which, and what to set. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int for_ever = 1;

static HILO__NOINLINE int deep(volatile char *above)
{
	volatile char frame[256];

	frame[0] = above ? (char)(above[0] + 1) : 1;
	return (for_ever ? deep(frame) : 0) + frame[0];
}

static int overflow_main(void *arg)
{
	(void)arg;
	(void)hilo_yield(); /* other fibers have run meanwhile */
	return deep(NULL);
}

static int spawn_main(void *arg)
{
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(overflow_main, NULL, arg, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

/* [test] What a child prints in which @opts' task overflows. */
static void overflow_run(hilo_task_opts *opts, char *text, size_t size)
{
	struct rlimit none = {0, 0};
	size_t length = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)dup2(fds[1], STDERR_FILENO);
		(void)test_run(2, spawn_main, opts);
		_exit(0);
	}
	(void)close(fds[1]);
	while (length < size - 1 && (n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("child: status 0x%x, %s", (unsigned)status, text);
}

static void test_an_overflow_names_task_entry_size_and_remedy(void **state)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "parser", .stack = HILO_STACK_64K};
	char text[4096], entry[64];

	(void)state;
	overflow_run(&opts, text, sizeof(text));
	(void)snprintf(entry, sizeof(entry), "entry %p", (void *)(uintptr_t)overflow_main);
	TASK_CHECK_CONTAINS(text, "hilo: stack overflow in task parser (#");
	TASK_CHECK_CONTAINS(text, entry);
	TASK_CHECK_CONTAINS(text, "stack size 64 KiB");
	TASK_CHECK_CONTAINS(text, "set hilo_task_opts.stack = HILO_STACK_256K (or HILO_STACK=256K)");
}

static void test_an_overflow_without_a_name_has_the_number(void **state)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_8M};
	char text[4096];

	(void)state;
	overflow_run(&opts, text, sizeof(text));
	TASK_CHECK_CONTAINS(text, "hilo: stack overflow in task (#");
	TASK_CHECK_CONTAINS(text, "stack size 8 MiB, the largest there is");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_overflow_names_task_entry_size_and_remedy),
		cmocka_unit_test(test_an_overflow_without_a_name_has_the_number),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
