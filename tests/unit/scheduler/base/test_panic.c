/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/panic.h"

/* An emulator adds a line of its own when a signal ends the program; it is not the program's. */
static void drop_emulators_line(char *text)
{
	char *line = strstr(text, "qemu: uncaught target signal");

	if (line)
		*line = '\0';
}

/* Run @fn in a child; what it wrote to standard error, and how it ended. */
static int child_run(void (*fn)(void), char *buf, size_t size)
{
	int fds[2];
	ssize_t n;
	size_t used = 0;
	int status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	drop_emulators_line(buf);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void panic_short(void)
{
	hilo__panic("some/file.c", 12, "state %d, wanted %s", 3, "READY");
}

static void panic_long(void)
{
	static char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	hilo__panic("some/file.c", 12, "%s", text);
}

static int wrong_sum = 5;

static void assert_wrong(void)
{
	HILO__ASSERT(2 + 2 == wrong_sum);
}

static void assert_right(void)
{
	HILO__ASSERT(2 + 3 == wrong_sum);
}

static void test_panic_names_place_and_aborts(void **state)
{
	char text[256];
	int status = child_run(panic_short, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_string_equal(text, "hilo: panic: some/file.c:12: state 3, wanted READY\n");
}

static void test_panic_cuts_a_long_message(void **state)
{
	char text[8000];
	int status = child_run(panic_long, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_true(strlen(text) < 1100);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(strncmp(text, "hilo: panic: some/file.c:12: xxxx", 33), 0);
}

static void test_assert_panics_only_when_false(void **state)
{
	char text[512];
	int status = child_run(assert_wrong, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "assertion failed: 2 + 2 == wrong_sum"));
	status = child_run(assert_right, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_string_equal(text, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_panic_names_place_and_aborts),
		cmocka_unit_test(test_panic_cuts_a_long_message),
		cmocka_unit_test(test_assert_panics_only_when_false),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
