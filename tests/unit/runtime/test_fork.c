/* SPDX-License-Identifier: MIT */
/* Forks: what they compute, wherever they run; regions, in and out of tasks. */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "tests/unit/runtime/forks.h"

#ifdef HILO__TSAN
#define FIB_N 12 /* each fork that is taken is a fiber there, which may cost a millisecond */
#define FIB_VALUE 144
#define DEEP 600
#define MANY_MORE 20
#else
#define FIB_N 20
#define FIB_VALUE 6765
#ifdef HILO__ASAN
#define DEEP 5000 /* the shadow of each further stack is cleared there */
#else
#define DEEP 20000
#endif
#define MANY_MORE 300
#endif

HILO_FORKABLE(long, fib, long, n)
{
	long right;

	if (n < 2)
		return n;
	HILO_FORK(fib, n - 1);
	right = HILO_CALL(fib, n - 2);
	return HILO_JOIN(fib) + right;
}

FORK_TEST(test_a_region_gives_the_result)
{
	long value = 0;

	TASK_CHECK(HILO_REGION(fib, &value, FIB_N), ==, 0);
	TASK_CHECK(value, ==, FIB_VALUE);
	TASK_CHECK(HILO_REGION(fib, NULL, 3), ==, 0);
	return 0;
}

static void test_with_8_and_64_workers(void **state)
{
	(void)state;
	fork_test_wide(test_a_region_gives_the_result_body);
}

struct pair {
	double x, y;
	const char *name;
};

HILO_FORKABLE(struct pair, take_five, char, a, double, b, const char *, c, short, d, uint64_t, e)
{
	return (struct pair){a + b, (double)(d + (long)e), c};
}

HILO_FORKABLE(struct pair, twice, struct pair, pair, int, by)
{
	struct pair other;

	HILO_FORK(take_five, 1, 2.5, "five", 4, 5);
	HILO_FORK(take_five, 2, 0.5, "more", 8, 1);
	other = HILO_JOIN(take_five);
	TASK_CHECK_TEXT(other.name, "more");
	TASK_CHECK(other.x * 2, ==, 5);
	other = HILO_JOIN(take_five);
	TASK_CHECK_TEXT(other.name, "five");
	return (struct pair){pair.x * by + other.x, pair.y * by + other.y, pair.name};
}

FORK_TEST(test_arguments_and_results_of_all_kinds)
{
	struct pair pair = {1.5, 2, "pair"};

	TASK_CHECK(HILO_REGION(twice, &pair, pair, 2), ==, 0);
	TASK_CHECK(pair.x * 2, ==, 13);
	TASK_CHECK(pair.y, ==, 13);
	TASK_CHECK_TEXT(pair.name, "pair");
	return 0;
}

HILO_FORK_DECLARE_INLINE(int, odd, int, n);

HILO_FORKABLE(int, even, int, n)
{
	if (n == 0)
		return 1;
	HILO_FORK(odd, n - 1);
	return HILO_JOIN(odd);
}

HILO_FORK_DEFINE(int, odd, int, n)
{
	if (n == 0)
		return 0;
	HILO_FORK(even, n - 1);
	return HILO_JOIN(even);
}

FORK_TEST(test_functions_that_fork_each_other)
{
	int is_even = 0;

	TASK_CHECK(HILO_REGION(even, &is_even, 30), ==, 0);
	TASK_CHECK(is_even, ==, 1);
	TASK_CHECK(HILO_REGION(odd, NULL, 31), ==, 1);
	return 0;
}

HILO_FORKABLE_INLINE(long, identity, long, n)
{
	return n;
}

HILO_FORKABLE(long, tens, long, n, long, more)
{
	long value;

	HILO_FORK(identity, n);
	HILO_FORK(identity, n + 1);
	value = HILO_JOIN(identity);
	return 10 * value + HILO_JOIN(identity) + more;
}

/* A join that is an argument comes first, and what is called or forked then has its place. */
HILO_FORKABLE(long, join_is_argument, long, n)
{
	long value;

	HILO_FORK(identity, 3);
	HILO_FORK(identity, n);
	value = HILO_CALL(tens, HILO_JOIN(identity), 100);
	HILO_FORK(tens, value, HILO_JOIN(identity));
	return HILO_JOIN(tens);
}

FORK_TEST(test_a_join_is_an_argument)
{
	long value = 0;

	TASK_CHECK(HILO_REGION(join_is_argument, &value, 1), ==, 0);
	TASK_CHECK(value, ==, 10 * 122 + 121 + 3);
	return 0;
}

HILO_FORKABLE(long, many, long, n)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		HILO_FORK(identity, i);
	for (long i = n; i-- > 0;) {
		long value = HILO_JOIN(identity);

		TASK_CHECK(value, ==, i);
		sum += value;
	}
	return sum;
}

FORK_TEST(test_joins_are_in_reverse_order)
{
	long sum = 0;

	for (long n = 1; n < 12; n++) {
		TASK_CHECK(HILO_REGION(many, &sum, n), ==, 0);
		TASK_CHECK(sum, ==, n * (n - 1) / 2);
	}
	return 0;
}

/* More than there are records: those beyond run at once. */
TASK_TEST(test_more_forks_than_there_is_room_for)
{
	long n = (long)FORKS_RECORDS + MANY_MORE, sum = 0;

	TASK_CHECK(HILO_REGION(many, &sum, n), ==, 0);
	TASK_CHECK(sum, ==, n * (n - 1) / 2);
	TASK_CHECK(HILO_REGION(many, &sum, (long)FORKS_RECORDS), ==, 0);
	TASK_CHECK(sum, ==, (long)FORKS_RECORDS * ((long)FORKS_RECORDS - 1) / 2);
	return 0;
}

HILO_FORKABLE(long, many_then_fib, long, n)
{
	long value;

	for (long i = 0; i < n; i++)
		HILO_FORK(identity, i);
	HILO_FORK(fib, 10);
	value = HILO_JOIN(fib);
	for (long i = 0; i < n; i++)
		(void)HILO_JOIN(identity);
	return value;
}

TASK_TEST(test_what_runs_at_once_forks_itself)
{
	long value = 0;

	for (long n = (long)FORKS_RECORDS - 4; n < (long)FORKS_RECORDS + 4; n++) {
		TASK_CHECK(HILO_REGION(many_then_fib, &value, n), ==, 0);
		TASK_CHECK(value, ==, 55);
	}
	return 0;
}

/* Without memory for what is beyond the records it is left out, and said so. */
TASK_TEST(test_no_memory_for_what_runs_at_once)
{
	long value = 0;

	hilo__mem_fail_at(1, true);
	TASK_CHECK(HILO_REGION(many_then_fib, &value, (long)FORKS_RECORDS), ==, -ENOMEM);
	hilo__mem_fail_at(0, false);
	TASK_CHECK(value, ==, 0);
	return 0;
}

/* Each level has a frame of more than 100 bytes, and there are stacks of 64 KiB. */
HILO_FORKABLE(long, down, long, n)
{
	volatile char frame[100];

	frame[0] = (char)n;
	if (n == 0)
		return frame[0];
	if (n % 3 == 0)
		return HILO_CALL(down, n - 1) + 1;
	HILO_FORK(down, n - 1);
	return HILO_JOIN(down) + 1;
}

FORK_TEST(test_recursion_deeper_than_the_stack)
{
	long depth = 0;

	TASK_CHECK(HILO_REGION(down, &depth, DEEP), ==, 0);
	TASK_CHECK(depth, ==, DEEP);
	return 0;
}

static int deep_region(void *arg)
{
	long depth = 0;

	(void)arg;
	TASK_CHECK(HILO_REGION(down, &depth, DEEP / 4), ==, 0);
	TASK_CHECK(depth, ==, DEEP / 4);
	return 0;
}

FORK_TEST(test_deep_recursion_on_each_kind_of_stack)
{
	hilo_task_opts opts = {.size = sizeof(opts)};
	hilo_task *task;

	for (int class = HILO_STACK_16K; class <= HILO_STACK_8M; class ++) {
		opts.stack = (enum hilo_stack_class) class;
		TASK_CHECK(hilo_spawn_with(deep_region, NULL, &opts, &task), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* The same with several levels in one function, if the compiler makes it so. */
HILO_FORKABLE_INLINE(long, down_inline, long, n)
{
	volatile char frame[32];

	frame[0] = (char)n;
	if (n == 0)
		return frame[0];
	if (n % 3 == 0)
		return HILO_CALL(down_inline, n - 1) + 1;
	HILO_FORK(down_inline, n - 1);
	return HILO_JOIN(down_inline) + 1;
}

static int deep_inline_region(void *arg)
{
	long depth = 0;

	(void)arg;
	TASK_CHECK(HILO_REGION(down_inline, &depth, DEEP / 4), ==, 0);
	TASK_CHECK(depth, ==, DEEP / 4);
	return 0;
}

FORK_TEST(test_deep_recursion_of_an_inline_function)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_16K};
	hilo_task *task;
	long depth = 0;

	TASK_CHECK(HILO_REGION(down_inline, &depth, DEEP), ==, 0);
	TASK_CHECK(depth, ==, DEEP);
	TASK_CHECK(hilo_spawn_with(deep_inline_region, NULL, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

/* A large frame for each level: GCC at -O3 would make four levels one function, if it may. */
HILO_FORKABLE(long, wide, long, n)
{
	volatile char frame[1536];
	long right;

	frame[0] = frame[sizeof(frame) - 1] = (char)n;
	if (n < 2)
		return n;
	HILO_FORK(wide, n - 1);
	right = HILO_CALL(wide, n - 2);
	return HILO_JOIN(wide) + right + frame[0] - (char)n;
}

static int wide_region(void *arg)
{
	long value = 0;

	(void)arg;
	TASK_CHECK(HILO_REGION(wide, &value, FIB_N), ==, 0);
	TASK_CHECK(value, ==, FIB_VALUE);
	return 0;
}

FORK_TEST(test_large_frames_on_small_stacks)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_16K};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(wide_region, NULL, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	return 0;
}

TASK_TEST(test_no_memory_for_deep_recursion)
{
	long depth = 0;

	hilo__mem_fail_at(1, true);
	for (int i = 0; i < 100; i++) {
		int rc = HILO_REGION(down, &depth, DEEP);

		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, 1);
		TASK_CHECK(depth <= DEEP, ==, 1);
		TASK_CHECK((rc == 0) == (depth == DEEP), ==, 1);
	}
	hilo__mem_fail_at(0, false);
	return 0;
}

HILO_FORKABLE(long, nested, int, levels, long, n)
{
	long value = 0, own;

	if (levels == 0)
		return HILO_CALL(fib, n);
	HILO_FORK(fib, n);
	HILO_FORK(nested, levels - 1, n);
	TASK_CHECK(HILO_REGION(nested, &value, levels - 1, n), ==, 0);
	own = HILO_JOIN(nested);
	return HILO_JOIN(fib) + own + value;
}

FORK_TEST(test_regions_within_forks)
{
	long value = 0;

	TASK_CHECK(HILO_REGION(nested, &value, 3, 8), ==, 0);
	TASK_CHECK(value, ==, 21 * 15);
	return 0;
}

static int main_in_a_fork(void *arg)
{
	return HILO_REGION(fib, arg, 8);
}

HILO_FORKABLE(int, run_inside, long *, values)
{
	int rc;

	HILO_FORK(fib, 7);
	rc = hilo_run(main_in_a_fork, &values[0], NULL);
	values[1] = HILO_JOIN(fib);
	return rc;
}

FORK_TEST(test_a_run_within_a_fork)
{
	long values[2] = {0};

	TASK_CHECK(HILO_REGION(run_inside, NULL, values), ==, 0);
	TASK_CHECK(values[0], ==, 21);
	TASK_CHECK(values[1], ==, 13);
	return 0;
}

/* Outside of tasks. */

static void test_a_plain_thread_wants_a_runtime(void **state)
{
	long value = 1;

	(void)state;
	assert_int_equal(HILO_REGION(fib, &value, 10), -EDEADLK);
	assert_int_equal(value, 0);
	assert_non_null(strstr(hilo_error_message(), "wants a runtime"));
}

static void test_a_plain_thread_enters_a_runtime(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_region_opts region = {.size = sizeof(region), .stack = HILO_STACK_256K};
	long value = 0;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &region.runtime), 0);
	assert_int_equal(HILO_REGION_WITH(&region, fib, &value, 15), 0);
	assert_int_equal(value, 610);
	assert_int_equal(HILO_REGION_WITH(&region, even, NULL, 7), 0);
	assert_int_equal(HILO_REGION_WITH(&region, even, NULL, 8), 1);
	region.flags = 64;
	assert_int_equal(HILO_REGION_WITH(&region, fib, &value, 15), -EINVAL);
	assert_int_equal(value, 0);
	region.flags = 0;
	region.stack = 77;
	assert_int_equal(HILO_REGION_WITH(&region, fib, &value, 15), -EINVAL);
	region.stack = 0;
	region.size = 3;
	assert_int_equal(HILO_REGION_WITH(&region, fib, &value, 15), -EINVAL);
	assert_int_equal(hilo_runtime_free(region.runtime), 0);
}

static int other_runtime_task(void *arg)
{
	hilo_region_opts region = {.size = sizeof(region), .runtime = arg};
	long value = 0;

	TASK_CHECK(HILO_REGION_WITH(&region, nested, &value, 2, 8), ==, 0);
	TASK_CHECK(value, ==, 21 * 7);
	region.runtime = hilo_task_runtime(hilo_task_current());
	TASK_CHECK(HILO_REGION_WITH(&region, fib, &value, 8), ==, 0);
	return (int)value;
}

static void test_a_task_enters_another_runtime(void **state)
{
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_runtime *other;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &other), 0);
	assert_int_equal(test_run(2, other_runtime_task, other), 21);
	assert_int_equal(hilo_runtime_free(other), 0);
}

static int blocking_region(void *arg)
{
	return HILO_REGION(fib, arg, 12);
}

TASK_TEST(test_a_call_in_an_executor_is_in_its_runtime)
{
	long value = 0;

	TASK_CHECK(hilo_run_in_executor(NULL, blocking_region, &value, HILO_FOREVER), ==, 0);
	TASK_CHECK(value, ==, 144);
	return 0;
}

static void callback_region(void *arg)
{
	long value = 1;

	TASK_CHECK(HILO_REGION(fib, &value, 12), ==, -EDEADLK);
	TASK_CHECK(value, ==, 0);
	TASK_CHECK(hilo_future_set(arg, NULL, NULL), ==, 0);
}

TASK_TEST(test_a_callback_may_not)
{
	hilo_future *future = hilo_future_new();

	TASK_CHECK(hilo_call_soon(callback_region, future, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(future, NULL, HILO_FOREVER), ==, 0);
	hilo_future_unref(future);
	return 0;
}

TASK_TEST(test_a_program_for_another_layout_is_refused)
{
	struct hilo_fork fork;
	int code;

	identity__fill(&fork, 7);
	TASK_CHECK(hilo_fork_region(&fork, NULL, 1, HILO_FORK_ABI + 1), ==, -ENOTSUP);
	memcpy(&code, fork.data, sizeof(code));
	TASK_CHECK(code, ==, -ENOTSUP);
	TASK_CHECK(hilo_fork_region(&fork, NULL, 0, HILO_FORK_ABI + 1), ==, -ENOTSUP);
	TASK_CHECK(fork.data[0], ==, 0);
	return 0;
}

HILO_FORKABLE(long, forgets, long, n)
{
	HILO_FORK(identity, n);
	return n;
}

static int forgetting_main(void *arg)
{
	return HILO_REGION(forgets, NULL, 1) + (arg == NULL);
}

static void test_a_fork_that_is_not_joined_ends_the_process(void **state)
{
	int status;
	pid_t pid;

	(void)state;
#ifdef HILO__TSAN
	TEST_SKIP("a child of a process with threads cannot make any there");
#endif
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(STDERR_FILENO);
		(void)hilo_run(forgetting_main, NULL, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Each request for memory in turn is refused; what cannot be made is left to the one who has forked it. */
static void test_no_memory(void **state)
{
	(void)state;
	for (int forced = FORKS_AS_EVER; forced <= FORKS_EACH; forced++) {
		hilo__forks_forced = (enum forks_forced)forced;
		for (unsigned workers = 1; workers <= 2; workers++) {
			hilo_opts opts = {.size = sizeof(opts), .workers = workers};
			hilo_region_opts region = {.size = sizeof(region)};
			long value;

			assert_int_equal(hilo_runtime_new(&opts, &region.runtime), 0);
			for (long n = 1; n < 30; n++) {
				int rc;

				hilo__mem_fail_at(n, true);
				rc = HILO_REGION_WITH(&region, fib, &value, 10);
				hilo__mem_fail_at(0, false);
				assert_true(rc == 0 || rc == -ENOMEM);
				assert_int_equal(value, rc == 0 ? 55 : 0);
			}
			assert_int_equal(HILO_REGION_WITH(&region, fib, &value, 10), 0);
			assert_int_equal(hilo_runtime_free(region.runtime), 0);
		}
	}
	hilo__forks_forced = FORKS_AS_EVER;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: valgrind looks through every stack that there ever was before it lets the child die. */
		cmocka_unit_test(test_a_fork_that_is_not_joined_ends_the_process),
		cmocka_unit_test(test_a_region_gives_the_result),
		cmocka_unit_test(test_with_8_and_64_workers),
		cmocka_unit_test(test_arguments_and_results_of_all_kinds),
		cmocka_unit_test(test_functions_that_fork_each_other),
		cmocka_unit_test(test_a_join_is_an_argument),
		cmocka_unit_test(test_joins_are_in_reverse_order),
		cmocka_unit_test(test_more_forks_than_there_is_room_for),
		cmocka_unit_test(test_what_runs_at_once_forks_itself),
		cmocka_unit_test(test_no_memory_for_what_runs_at_once),
		cmocka_unit_test(test_recursion_deeper_than_the_stack),
		cmocka_unit_test(test_deep_recursion_on_each_kind_of_stack),
		cmocka_unit_test(test_deep_recursion_of_an_inline_function),
		cmocka_unit_test(test_large_frames_on_small_stacks),
		cmocka_unit_test(test_no_memory_for_deep_recursion),
		cmocka_unit_test(test_regions_within_forks),
		cmocka_unit_test(test_a_run_within_a_fork),
		cmocka_unit_test(test_a_plain_thread_wants_a_runtime),
		cmocka_unit_test(test_a_plain_thread_enters_a_runtime),
		cmocka_unit_test(test_a_task_enters_another_runtime),
		cmocka_unit_test(test_a_call_in_an_executor_is_in_its_runtime),
		cmocka_unit_test(test_a_callback_may_not),
		cmocka_unit_test(test_a_program_for_another_layout_is_refused),
		cmocka_unit_test(test_no_memory),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
