/* SPDX-License-Identifier: MIT */
/* What the dump of a runtime and the report of its end say of tasks. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/simulate.h"

/* Read all of @fd, up to the end of the file or until there is no more. */
static void dump_read(hilo_runtime *runtime, char *text, size_t size)
{
	char path[] = "/tmp/hilo-dump-XXXXXX";
	int fd = mkstemp(path);
	ssize_t length;

	TASK_CHECK(fd, >=, 0);
	(void)unlink(path);
	TASK_CHECK(hilo_runtime_dump(runtime, fd), ==, 0);
	length = pread(fd, text, size - 1, 0);
	TASK_CHECK(length, >=, 0);
	text[length] = '\0';
	(void)close(fd);
}

TASK_TEST(test_dump_shows_what_tasks_wait_for)
{
	static const char *const names[] = {"a-sleeper", "a-waiter"};
	hilo_runtime *runtime = hilo_runtime_current();
	hilo_future *future = hilo_future_new();
	hilo_task_opts opts = {.size = sizeof(opts)};
	static char text[1 << 16];
	char *line;
	hilo_task *task[2];

	opts.name = names[0];
	TASK_CHECK(hilo_spawn_with(test_entry_sleep_forever, NULL, &opts, &task[0]), ==, 0);
	opts.name = names[1];
	TASK_CHECK(hilo_spawn_with(test_entry_wait, future, &opts, &task[1]), ==, 0);
	for (int i = 0; i < 2; i++)
		TEST_UNTIL(hilo_task_get_state(task[i]) == HILO_TASK_SUSPENDED);
	dump_read(runtime, text, sizeof(text));
	line = strstr(text, "a-sleeper suspended");
	TASK_CHECK(line, !=, NULL);
	TASK_CHECK_CONTAINS(line, "waits=sleep since=0.");
	line = strstr(text, "a-waiter suspended");
	TASK_CHECK(line, !=, NULL);
	TASK_CHECK_CONTAINS(line, "waits=future");
	TASK_CHECK_CONTAINS(text, "runnable");
	TASK_CHECK(hilo_runtime_dump(runtime, -1), ==, -EINVAL);
	TASK_CHECK(hilo_runtime_dump(NULL, 1), ==, -EINVAL);
	TASK_CHECK(hilo_task_cancel(task[0]), ==, 0);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task[0], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_join(task[1], HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void *dump_thread(void *arg)
{
	static char text[1 << 16];

	for (unsigned i = 0; i < test_rounds(100); i++)
		dump_read(arg, text, sizeof(text));
	return NULL;
}

/* While tasks come and go. */
TASK_TEST(test_dump_of_what_changes)
{
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, dump_thread, hilo_runtime_current()), ==, 0);
	for (unsigned round = 0; round < test_rounds(200); round++) {
		hilo_task *task[50];

		for (size_t i = 0; i < array_size(task); i++)
			task[i] = hilo_spawn(test_entry_return, NULL);
		for (size_t i = 0; i < array_size(task); i++)
			TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, 0);
	}
	test_join_thread(thread);
	return 0;
}

/* The number behind @key in the dump's line of the task with @name. */
static double dump_number(const char *name, const char *key)
{
	static char text[1 << 16];
	const char *line;

	dump_read(hilo_runtime_current(), text, sizeof(text));
	line = strstr(text, name);
	TASK_CHECK(line, !=, NULL);
	TASK_CHECK_CONTAINS(line, key);
	return strtod(strstr(line, key) + strlen(key), NULL);
}

static hilo_task *spawn_named(const char *name, hilo_task_fn entry, void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = name};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(entry, arg, &opts, &task), ==, 0);
	return task;
}

static int selects(void *future)
{
	return hilo_select((hilo_select_case[]){HILO_SELECT_FUTURE(future)}, 1, HILO_FOREVER);
}

static int takes_the_next(void *set)
{
	hilo_task *task;

	return hilo_as_completed_next(set, &task, HILO_FOREVER) - 1;
}

/* Who waits for several is told from who waits for one. */
TASK_TEST(test_dump_of_waits_for_several)
{
	static char text[1 << 16];
	hilo_future *future = hilo_future_new();
	hilo_task *selector = spawn_named("the-selector", selects, future), *taker;
	hilo_as_completed *set;

	TASK_CHECK(hilo_as_completed_new(&selector, 1, &set), ==, 0);
	taker = spawn_named("the-taker", takes_the_next, set);
	TEST_UNTIL(hilo_task_get_state(selector) == HILO_TASK_SUSPENDED &&
		   hilo_task_get_state(taker) == HILO_TASK_SUSPENDED);
	dump_read(hilo_runtime_current(), text, sizeof(text));
	TASK_CHECK_CONTAINS(strstr(text, "the-selector suspended"), "waits=select");
	TASK_CHECK_CONTAINS(strstr(text, "the-taker suspended"), "waits=tasks");
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(taker, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(selector, HILO_FOREVER), ==, 0);
	hilo_as_completed_free(set);
	hilo_future_unref(future);
	return 0;
}

static int shielded_wait(void *future)
{
	int rc;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	rc = hilo_future_await(future, NULL, HILO_FOREVER);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return rc;
}

/* A cancel that is held off wakes the task, which goes on waiting: for as long as before. */
static int since_main(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = spawn_named("the-waiter", shielded_wait, future);
	double since;

	(void)arg;
	TASK_CHECK(hilo_sleep(3 * HILO_SECOND), ==, 0);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_sleep(2 * HILO_SECOND), ==, 0);
	since = dump_number("the-waiter suspended", "since=");
	TASK_CHECK(since * 1000, >=, 5000);
	TASK_CHECK(since * 1000, <=, 5001);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void test_dump_tells_since_when_a_task_waits(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++)
		assert_int_equal(test_simulate(test_seed() + seed, since_main, NULL), 0);
}

#define COMPUTED (10 * HILO_MILLISECOND)

/* Time goes on with each look at the clock. */
static int compute_and_wait(void *future)
{
	hilo_time until = hilo_after(COMPUTED);

	while (hilo_now() < until)
		;
	return hilo_future_await(future, NULL, HILO_FOREVER);
}

static int computed_main(void *arg)
{
	hilo_future *future = hilo_future_new();
	hilo_task *task = spawn_named("the-computer", compute_and_wait, future);
	double since;

	(void)arg;
	TASK_CHECK(hilo_sleep(HILO_SECOND), ==, 0);
	since = dump_number("the-computer suspended", "since=");
	TASK_CHECK(since * 1000, >=, 1000 - COMPUTED / HILO_MILLISECOND - 1);
	TASK_CHECK(since * 1000, <=, 1000 - COMPUTED / HILO_MILLISECOND + 1);
	TASK_CHECK(hilo_future_set(future, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

static void test_what_a_task_has_computed_is_no_waiting(void **state)
{
	(void)state;
	assert_int_equal(test_simulate(test_seed(), computed_main, NULL), 0);
}

static int wait_for_task(void *task)
{
	int rc;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	rc = hilo_await(task, HILO_FOREVER);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return rc;
}

struct chain {
	hilo_future *future;
	hilo_task *first, *second;
	uint64_t id;
};

static int chain_main(void *arg)
{
	struct chain *chain = arg;

	chain->first = spawn_named("the-first", shielded_wait, chain->future);
	chain->second = spawn_named("the-second", wait_for_task, chain->first);
	chain->id = hilo_task_id(chain->first);
	TEST_UNTIL(hilo_task_get_state(chain->first) == HILO_TASK_SUSPENDED);
	TEST_UNTIL(hilo_task_get_state(chain->second) == HILO_TASK_SUSPENDED);
	return 0;
}

static void test_report_names_what_does_not_end_and_what_it_waits_for(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2, .shutdown = HILO_MILLISECOND};
	struct chain chain = {.future = hilo_future_new()};
	char part[128];
	hilo_runtime *runtime;
	hilo_task *main;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &runtime), 0);
	assert_int_equal(hilo_submit(runtime, chain_main, &chain, NULL, &main), 0);
	assert_int_equal(hilo_join(main, HILO_FOREVER), 0);
	test_log_begin();
	/* Woken by the cancel, they may be running when the time is over. */
	while (!test_log_count("task the-first did not end at shutdown: suspended, has waited 0.") ||
	       !test_log_count("task the-second did not end at shutdown: suspended, has waited 0."))
		assert_int_equal(hilo_runtime_free(runtime), -ETIMEDOUT);
	assert_true(test_log_count(" s for a future (0x") > 0);
	(void)snprintf(part, sizeof(part), " s for a task (#%llu the-first) (spawned at ",
		       (unsigned long long)chain.id);
	assert_true(test_log_count(part) > 0);
	test_log_end();
	assert_int_equal(hilo_future_set(chain.future, NULL, NULL), 0);
	assert_int_equal(hilo_join(chain.second, HILO_FOREVER), 0);
	assert_int_equal(hilo_join(chain.first, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(runtime), 0);
	hilo_future_unref(chain.future);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_shows_what_tasks_wait_for),
		cmocka_unit_test(test_dump_of_what_changes),
		cmocka_unit_test(test_dump_of_waits_for_several),
		cmocka_unit_test(test_dump_tells_since_when_a_task_waits),
		cmocka_unit_test(test_what_a_task_has_computed_is_no_waiting),
		cmocka_unit_test(test_report_names_what_does_not_end_and_what_it_waits_for),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
