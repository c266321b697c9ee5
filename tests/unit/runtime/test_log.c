/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hilo/runtime/log.h>

#include "runtime/log_impl.h"
#include "scheduler/base/atomic.h"
#include "scheduler/base/log.h"

/* What a callback was told last. */
struct record {
	enum hilo_log_level level;
	char line[LOG_LINE_SIZE];
	int calls;
};

static void record_line(enum hilo_log_level level, const char *line, void *arg)
{
	struct record *record = arg;

	record->level = level;
	snprintf(record->line, sizeof(record->line), "%s", line);
	record->calls++;
}

static int log_restore(void **state)
{
	(void)state;
	hilo_log_set(NULL, NULL);
	return 0;
}

static void test_log_set_receives_lines_of_both_layers(void **state)
{
	struct record record = {0};

	(void)state;
	hilo_log_set(record_line, &record);
	hilo__log(HILO_LOG_DEBUG, "task %d is %s", 7, "slow");
	assert_int_equal(record.level, HILO_LOG_DEBUG);
	assert_string_equal(record.line, "task 7 is slow");
	hilo__log_write(LOG_LEVEL_ERROR, "stack of %u bytes", 16384u);
	assert_int_equal(record.level, HILO_LOG_ERROR);
	assert_string_equal(record.line, "stack of 16384 bytes");
	assert_int_equal(record.calls, 2);
}

static void test_log_long_line_is_cut(void **state)
{
	struct record record = {0};
	char text[2000];

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	hilo_log_set(record_line, &record);
	hilo__log(HILO_LOG_INFO, "%s", text);
	assert_int_equal(strlen(record.line), LOG_LINE_SIZE - 1);
	assert_string_equal(record.line + LOG_LINE_SIZE - 5, "y...");
}

static void test_log_line_stays_one_line(void **state)
{
	struct record record = {0};

	(void)state;
	hilo_log_set(record_line, &record);
	hilo__log(HILO_LOG_INFO, "name %s", "a\nb\x1b[31m\x7f\tc \xc3\xb1");
	assert_string_equal(record.line, "name a?b?[31m?\tc \xc3\xb1");
}

static void log_nested(enum hilo_log_level level, const char *line, void *arg)
{
	struct record *record = arg;

	record_line(level, line, arg);
	if (record->calls == 1) {
		hilo__log(level, "inner");
		hilo_log_set(record_line, arg);
	}
}

static void test_log_set_from_inside_takes_effect(void **state)
{
	struct record record = {0};

	(void)state;
	hilo_log_set(log_nested, &record);
	hilo__log(HILO_LOG_INFO, "outer");
	assert_int_equal(record.calls, 2);
	assert_string_equal(record.line, "inner");
	record.calls = 0;
	hilo__log(HILO_LOG_INFO, "next");
	assert_int_equal(record.calls, 1);
}

/* What the child with HILO_LOG=@setting writes to standard error. */
static void child_log(const char *setting, char *buf, size_t size)
{
	int fds[2];
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		if (setting)
			setenv("HILO_LOG", setting, 1);
		else
			unsetenv("HILO_LOG");
		hilo__log(HILO_LOG_ERROR, "one");
		hilo__log(HILO_LOG_WARNING, "two");
		hilo__log(HILO_LOG_INFO, "three");
		hilo__log(HILO_LOG_DEBUG, "four");
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

#define ONE "hilo: error: one\n"
#define TWO "hilo: warning: two\n"
#define THREE "hilo: info: three\n"
#define FOUR "hilo: debug: four\n"

static void test_log_default_prints_what_environment_asks_for(void **state)
{
	static const struct {
		const char *setting, *text;
	} cases[] = {
		{NULL, ONE TWO},
		{"error", ONE},
		{"warning", ONE TWO},
		{"info", ONE TWO THREE},
		{"debug", ONE TWO THREE FOUR},
		{"off", ""},
		{"nonsense", ONE TWO},
		{"", ONE TWO},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		child_log(cases[i].setting, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

/* A pair of function and argument that may be freed once it was replaced. */
struct target {
	atomic(bool) alive;
	atomic(int) calls;
};

static atomic(bool) log_stop;
static atomic(int) log_dead_calls;

static void target_line(enum hilo_log_level level, const char *line, void *arg)
{
	struct target *target = arg;

	(void)level;
	(void)line;
	if (!load_acquire(&target->alive))
		add_relaxed(&log_dead_calls, 1);
	add_relaxed(&target->calls, 1);
	if (!load_acquire(&target->alive))
		add_relaxed(&log_dead_calls, 1);
}

static void *thread_log(void *arg)
{
	(void)arg;
	while (!load_acquire(&log_stop))
		hilo__log(HILO_LOG_INFO, "line");
	return NULL;
}

static void test_log_set_waits_for_calls_of_the_old_pair(void **state)
{
	enum {
		THREADS = 3,
		ROUNDS = 300
	};
	static struct target targets[2];
	pthread_t threads[THREADS];

	(void)state;
	store_relaxed(&targets[0].alive, true);
	hilo_log_set(target_line, &targets[0]);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_log, NULL), 0);
	for (int round = 1; round <= ROUNDS; round++) {
		struct target *next = &targets[round % 2], *last = &targets[(round + 1) % 2];

		store_release(&next->alive, true);
		hilo_log_set(target_line, next);
		store_release(&last->alive, false);
	}
	store_release(&log_stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(load_relaxed(&log_dead_calls), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_log_default_prints_what_environment_asks_for), /* before the first line */
		cmocka_unit_test_teardown(test_log_set_receives_lines_of_both_layers, log_restore),
		cmocka_unit_test_teardown(test_log_long_line_is_cut, log_restore),
		cmocka_unit_test_teardown(test_log_line_stays_one_line, log_restore),
		cmocka_unit_test_teardown(test_log_set_from_inside_takes_effect, log_restore),
		cmocka_unit_test_teardown(test_log_set_waits_for_calls_of_the_old_pair, log_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
