/* SPDX-License-Identifier: MIT */
/* The frames of suspended tasks and of the calling one. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST 64

/* A task that waits two calls below its entry, and where each of these goes on afterwards. */
struct nested {
	hilo_future *gate;
	hilo_task *task;
	void *expected[2];  /* in middle(), in nested_main() */
	volatile int depth; /* each caller has something left to do, so that no call becomes a jump */
	int (*innermost)(struct nested *nested);
};

static HILO__NOINLINE int innermost(struct nested *nested)
{
	int rc;

	nested->expected[0] = __builtin_extract_return_addr(__builtin_return_address(0));
	rc = nested->innermost(nested);
	nested->depth++;
	return rc;
}

static HILO__NOINLINE int middle(struct nested *nested)
{
	int rc;

	nested->expected[1] = __builtin_extract_return_addr(__builtin_return_address(0));
	rc = innermost(nested);
	nested->depth++;
	return rc;
}

static int nested_main(void *arg)
{
	struct nested *nested = arg;
	int rc = middle(nested);

	nested->depth++;
	return rc;
}

static int wait_at_gate(struct nested *nested)
{
	return hilo_future_await(nested->gate, NULL, HILO_FOREVER);
}

/* Where @frame is among the first @n; -1: it is not. */
static int find(void *const *frames, int n, const void *frame)
{
	for (int i = 0; i < n; i++)
		if (frames[i] == frame)
			return i;
	return -1;
}

/* The user's functions lie side by side in it, the library's before them, and it has an end. */
static void check_frames(const struct nested *nested, void *const *frames, int n)
{
	int first = find(frames, n, nested->expected[0]);

	TASK_CHECK(n, <, MOST);
	TASK_CHECK(first, >=, 1);
	TASK_CHECK(find(frames, n, nested->expected[1]), ==, first + 1);
	TASK_CHECK(n, >=, first + 3);
	for (int i = 0; i < n; i++)
		TASK_CHECK(frames[i], !=, NULL);
}

/* A task can be asked as soon as it has parked; somebody may be waking it in vain just then. */
static int ask(hilo_task *task, void **frames)
{
	int n;

	while ((n = hilo_task_get_stack(task, frames, MOST)) == -EAGAIN)
		test_pause();
	return n;
}

static void nested_begin(struct nested *nested, enum hilo_stack_class class)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = class, .name = "nested"};

	nested->gate = hilo_future_new();
	nested->innermost = wait_at_gate;
	TASK_CHECK(hilo_spawn_with(nested_main, nested, &opts, &nested->task), ==, 0);
}

static void nested_end(struct nested *nested)
{
	TASK_CHECK(hilo_future_set(nested->gate, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_join(nested->task, HILO_FOREVER), ==, 0);
	TASK_CHECK(nested->depth, ==, 3);
	hilo_future_unref(nested->gate);
}

/* On some processors, without assembly of ours, there is no way. */
static bool can_walk(void)
{
	void *frame;

	return hilo_task_get_stack(hilo_task_current(), &frame, 1) != -EOPNOTSUPP;
}

TASK_TEST(test_a_suspended_task)
{
	if (!can_walk())
		return 0;
	for (int class = HILO_STACK_16K; class <= HILO_STACK_8M; class ++) {
		struct nested nested = {.depth = 0};
		void *frames[MOST];

		nested_begin(&nested, (enum hilo_stack_class) class);
		for (int i = 0; i < 3; i++)
			check_frames(&nested, frames, ask(nested.task, frames));
		TASK_CHECK(hilo_task_get_state(nested.task), ==, HILO_TASK_SUSPENDED);
		nested_end(&nested);
	}
	return 0;
}

/* A small stack is enough for who asks. */
static int small_main(void *arg)
{
	struct nested *nested = arg;
	void *frames[MOST];

	check_frames(nested, frames, ask(nested->task, frames));
	return 0;
}

TASK_TEST(test_from_a_small_stack)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_16K};
	struct nested nested = {.depth = 0};
	hilo_task *task;

	if (!can_walk())
		return 0;
	nested_begin(&nested, HILO_STACK_16K);
	TASK_CHECK(hilo_spawn_with(small_main, &nested, &opts, &task), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	nested_end(&nested);
	return 0;
}

static int ask_self(struct nested *nested)
{
	void *frames[MOST];
	int n = hilo_task_get_stack(hilo_task_current(), frames, MOST);

	/* The first is in this very function. */
	check_frames(nested, frames, n);
	TASK_CHECK(find(frames, n, nested->expected[0]), <=, 2);
	return 0;
}

TASK_TEST(test_the_calling_task)
{
	struct nested nested = {.innermost = ask_self};

	if (!can_walk())
		return 0;
	TASK_CHECK(nested_main(&nested), ==, 0);
	return 0;
}

TASK_TEST(test_no_more_than_there_is_room_for)
{
	struct nested nested = {.depth = 0};
	void *frames[MOST], *few[3] = {NULL, NULL, &few};

	if (!can_walk())
		return 0;
	nested_begin(&nested, HILO_STACK_DEFAULT);
	(void)ask(nested.task, frames);
	TASK_CHECK(hilo_task_get_stack(nested.task, few, 2), ==, 2);
	TASK_CHECK(few[0] == frames[0] && few[1] == frames[1] && few[2] == &few, ==, 1);
	TASK_CHECK(hilo_task_get_stack(nested.task, NULL, 0), ==, 0);
	nested_end(&nested);
	return 0;
}

static int spin(void *arg)
{
	test_flag *flags = arg;

	store_release(&flags[0], 1);
	while (!load_acquire(&flags[1]))
		cpu_relax();
	return 0;
}

static int ask_spinning(void *arg)
{
	test_flag flags[2];
	void *frames[MOST];
	hilo_task *task;

	(void)arg;
	atomic_setup(&flags[0], 0);
	atomic_setup(&flags[1], 0);
	task = hilo_spawn(spin, flags);
	TASK_CHECK(hilo_task_get_stack(NULL, frames, MOST), ==, -ENOMEM);
	TEST_UNTIL(load_acquire(&flags[0]));
	TASK_CHECK(hilo_task_get_stack(task, frames, MOST), ==, -EAGAIN);
	store_release(&flags[1], 1);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_task_get_stack(task, frames, MOST), ==, -EAGAIN);
	hilo_task_unref(task);
	return 0;
}

static int ask_fresh(void *arg)
{
	hilo_task_opts opts = {.size = sizeof(opts), .flags = HILO_TASK_PINNED};
	void *frames[MOST];
	hilo_task *task;

	(void)arg;
	TASK_CHECK(hilo_spawn_with(test_entry_return, NULL, &opts, &task), ==, 0);
	TASK_CHECK(hilo_task_get_stack(task, frames, MOST), ==, -EAGAIN);
	return hilo_join(task, HILO_FOREVER);
}

static void test_a_task_that_is_not_suspended_is_refused(void **state)
{
	(void)state;
	assert_int_equal(test_run(2, ask_spinning, NULL), 0);
	hilo__nobody_stands_in = true;
	assert_int_equal(test_run(1, ask_fresh, NULL), 0);
	hilo__nobody_stands_in = false;
}

static void *thread_asks(void *arg)
{
	struct nested *nested = arg;
	void *frames[MOST];

	for (unsigned i = 0; i < test_rounds(500); i++)
		check_frames(nested, frames, ask(nested->task, frames));
	return NULL;
}

static void callback_asks(void *arg)
{
	struct nested *nested = arg;
	void *frames[MOST];

	check_frames(nested, frames, ask(nested->task, frames));
	TASK_CHECK(hilo_future_set(nested->gate, NULL, NULL), ==, 0);
}

TASK_TEST(test_a_plain_thread_and_a_callback_may_ask)
{
	struct nested nested = {.depth = 0};
	pthread_t thread[2];

	if (!can_walk())
		return 0;
	nested_begin(&nested, HILO_STACK_DEFAULT);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, thread_asks, &nested), ==, 0);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	TASK_CHECK(hilo_call_soon(callback_asks, &nested, NULL), ==, 0);
	TASK_CHECK(hilo_join(nested.task, HILO_FOREVER), ==, 0);
	hilo_future_unref(nested.gate);
	return 0;
}

/* Wakes, cancels and deadlines that meet somebody who looks are not lost. */
struct busy {
	hilo_task *task;
	test_flag stop;
};

static void *thread_looks(void *arg)
{
	struct busy *busy = arg;
	void *frames[MOST];

	while (!load_acquire(&busy->stop)) {
		int n = hilo_task_get_stack(busy->task, frames, MOST);

		TASK_CHECK(n > 1 || n == -EAGAIN || n == -EOPNOTSUPP, ==, 1);
	}
	return NULL;
}

static int nap(void *arg)
{
	int rc = 0;

	(void)arg;
	for (unsigned i = 0; i < test_rounds(2000) && rc == 0; i++)
		rc = hilo_sleep(i % 2 ? HILO_MICROSECOND : 20 * HILO_MICROSECOND);
	return rc == 0 ? hilo_sleep_until(HILO_FOREVER) : rc;
}

TASK_TEST(test_nothing_is_lost_while_others_look)
{
	pthread_t thread[2];
	struct busy busy;

	atomic_setup(&busy.stop, 0);
	busy.task = hilo_spawn(nap, NULL);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(pthread_create(&thread[i], NULL, thread_looks, &busy), ==, 0);
	TASK_CHECK(hilo_await(busy.task, hilo_after(20 * HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_task_cancel(busy.task), ==, 0);
	TASK_CHECK(hilo_await(busy.task, HILO_FOREVER), ==, -ECANCELED);
	store_release(&busy.stop, 1);
	for (int i = 0; i < 2; i++)
		test_join_thread(thread[i]);
	hilo_task_unref(busy.task);
	return 0;
}

TASK_TEST(test_as_text)
{
	struct nested nested = {.depth = 0};
	char text[8192] = "", first[64];
	int fds[2];

	if (!can_walk())
		return 0;
	nested_begin(&nested, HILO_STACK_DEFAULT);
	TASK_CHECK(pipe(fds), ==, 0);
	TASK_CHECK(hilo_task_print_stack(nested.task, -1), ==, -EINVAL);
	TASK_CHECK(hilo_task_print_stack(NULL, fds[1]), ==, -ENOMEM);
	while (hilo_task_print_stack(nested.task, fds[1]) == -EAGAIN)
		test_pause();
	TASK_CHECK(read(fds[0], text, sizeof(text) - 1), >, 0);
	(void)snprintf(first, sizeof(first), "#%llu nested\n  #0  0x",
		       (unsigned long long)hilo_task_id(nested.task));
	TASK_CHECK(strncmp(text, first, strlen(first)), ==, 0);
	(void)snprintf(first, sizeof(first), " %p ", nested.expected[0]);
	TASK_CHECK_CONTAINS(text, first);
	TASK_CHECK_CONTAINS(text, "stack_of_task");
	(void)close(fds[0]);
	TASK_CHECK(hilo_task_print_stack(nested.task, fds[0]), ==, -EBADF);
	(void)close(fds[1]);
	nested_end(&nested);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_suspended_task),
		cmocka_unit_test(test_from_a_small_stack),
		cmocka_unit_test(test_the_calling_task),
		cmocka_unit_test(test_no_more_than_there_is_room_for),
		cmocka_unit_test(test_a_task_that_is_not_suspended_is_refused),
		cmocka_unit_test(test_a_plain_thread_and_a_callback_may_ask),
		cmocka_unit_test(test_nothing_is_lost_while_others_look),
		cmocka_unit_test(test_as_text),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
