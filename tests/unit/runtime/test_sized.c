/* SPDX-License-Identifier: MIT */
/* Structures with a size, between programs and libraries of different versions. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "runtime/sized_impl.h"

/* Three versions of one structure. */
struct first {
	size_t size;
	unsigned a, b;
};

struct second {
	size_t size;
	unsigned a, b;
	uint64_t c;
};

struct third {
	size_t size;
	unsigned a, b;
	uint64_t c, d;
};

/* What a library of the second version reads. */
static int second_reads(const void *from, struct second *to)
{
	memset(to, 0xee, sizeof(*to));
	return SIZED_IN(struct second, to, (const struct second *)from, b);
}

static void test_options_of_the_same_version_are_copied(void **state)
{
	struct second from = {.size = sizeof(from), .a = 1, .b = 2, .c = 3}, to;

	(void)state;
	assert_int_equal(second_reads(&from, &to), 0);
	assert_memory_equal(&from, &to, sizeof(to));
}

static void test_options_of_an_older_program_have_defaults(void **state)
{
	/* Behind it lies something else, which is not read. */
	struct {
		struct first from;
		uint64_t other;
	} program = {{.size = sizeof(struct first), .a = 1, .b = 2}, UINT64_MAX};
	struct second to;

	(void)state;
	assert_int_equal(second_reads(&program.from, &to), 0);
	assert_int_equal(to.size, sizeof(to));
	assert_int_equal(to.a, 1);
	assert_int_equal(to.b, 2);
	assert_int_equal(to.c, 0);
}

static void test_options_of_a_newer_program_may_not_be_used(void **state)
{
	struct third from = {.size = sizeof(from), .a = 1, .b = 2, .c = 3};
	struct second to;

	(void)state;
	assert_int_equal(second_reads(&from, &to), 0);
	assert_int_equal(to.size, sizeof(to));
	assert_int_equal(to.c, 3);
	from.d = (uint64_t)1 << 63; /* its last byte */
	assert_int_equal(second_reads(&from, &to), -E2BIG);
	assert_non_null(strstr(hilo_error_message(), "struct second"));
	assert_non_null(strstr(hilo_error_message(), "24 bytes"));
	assert_int_equal(hilo_error_code(), -E2BIG);
}

static void test_options_without_a_size_are_refused(void **state)
{
	struct second from = {.size = 0, .a = 1}, to;

	(void)state;
	assert_int_equal(second_reads(&from, &to), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "struct second.size is 0, less than 16"));
	from.size = sizeof(struct first) - 1;
	assert_int_equal(second_reads(&from, &to), -EINVAL);
	from.size = SIZE_MAX; /* not looked at: there is no such memory */
	assert_int_equal(second_reads(&from, &to), -E2BIG);
	assert_non_null(strstr(hilo_error_message(), "more than 1024"));
}

static void test_figures_are_as_many_as_there_is_room_for(void **state)
{
	struct second from = {.size = 99, .a = 1, .b = 2, .c = 3};
	struct third to, full = {.size = sizeof(full), .a = 1, .b = 2, .c = 3};

	(void)state;
	memset(&to, 0xee, sizeof(to));
	to.size = sizeof(struct first);
	assert_int_equal(SIZED_OUT(struct second, (struct second *)(void *)&to, &from, b), 0);
	assert_int_equal(to.size, sizeof(struct first));
	assert_int_equal(to.a, 1);
	assert_int_equal(to.b, 2);
	assert_int_equal(to.c, UINT64_C(0xeeeeeeeeeeeeeeee)); /* not the caller's, for all we know */
	to.size = sizeof(to);
	assert_int_equal(SIZED_OUT(struct second, (struct second *)(void *)&to, &from, b), 0);
	assert_memory_equal(&to, &full, sizeof(to));
	to.size = sizeof(struct first) - 1;
	assert_int_equal(SIZED_OUT(struct second, (struct second *)(void *)&to, &from, b), -EINVAL);
	to.size = SIZE_MAX;
	assert_int_equal(SIZED_OUT(struct second, (struct second *)(void *)&to, &from, b), -EINVAL);
}

/* A program of tomorrow: the options of today, and some more. */
#define NEWER(type)                                                                                          \
	struct {                                                                                             \
		type now;                                                                                    \
		uint64_t more;                                                                               \
	}

static int newer_main(void *arg)
{
	NEWER(hilo_task_opts) task = {{.size = sizeof(task)}, 0};
	NEWER(hilo_executor_opts) pool = {{.size = sizeof(pool)}, 0};
	NEWER(hilo_worker_stats) worker = {{.size = sizeof(worker)}, 5};
	NEWER(hilo_executor_stats) calls = {{.size = sizeof(calls)}, 5};
	hilo_executor *executor;
	hilo_task *child;

	TASK_CHECK(hilo_spawn_with(test_entry_return, arg, &task.now, &child), ==, 0);
	TASK_CHECK(hilo_join(child, HILO_FOREVER), ==, (intptr_t)arg);
	task.more = 1;
	TASK_CHECK(hilo_spawn_with(test_entry_return, arg, &task.now, &child), ==, -E2BIG);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_task_opts");
	TASK_CHECK(hilo_executor_new(&pool.now, &executor), ==, 0);
	TASK_CHECK(hilo_executor_get_stats(executor, &calls.now), ==, 0);
	TASK_CHECK(calls.more, ==, 0);
	TASK_CHECK(hilo_executor_close(executor, 0, HILO_FOREVER), ==, 0);
	pool.more = 1;
	TASK_CHECK(hilo_executor_new(&pool.now, &executor), ==, -E2BIG);
	TASK_CHECK_CONTAINS(hilo_error_message(), "hilo_executor_opts");
	TASK_CHECK(hilo_runtime_get_stats(hilo_runtime_current(), 0, &worker.now), ==, 0);
	TASK_CHECK(worker.now.spawned, >, 0);
	TASK_CHECK(worker.more, ==, 0);
	return 7;
}

static void test_a_newer_program_is_understood(void **state)
{
	NEWER(hilo_opts) opts = {{.size = sizeof(opts), .workers = 1}, 0};

	(void)state;
	assert_int_equal(hilo_run(newer_main, (void *)(intptr_t)3, &opts.now), 7);
	opts.more = 1;
	assert_int_equal(hilo_run(newer_main, (void *)(intptr_t)3, &opts.now), -E2BIG);
	assert_non_null(strstr(hilo_error_message(), "hilo_opts: a field is set beyond the"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_of_the_same_version_are_copied),
		cmocka_unit_test(test_options_of_an_older_program_have_defaults),
		cmocka_unit_test(test_options_of_a_newer_program_may_not_be_used),
		cmocka_unit_test(test_options_without_a_size_are_refused),
		cmocka_unit_test(test_figures_are_as_many_as_there_is_room_for),
		cmocka_unit_test(test_a_newer_program_is_understood),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
