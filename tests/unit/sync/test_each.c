/* SPDX-License-Identifier: MIT */
/* Items of an input whose length nobody knows: each that is given is done, once. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>

#include <hilo/sync/each.h>

#include "scheduler/base/mem.h"
#include "tests/unit/runtime/forks.h"

#define MOST 2000

struct input {
	int length;
	int given;	/* under the library's mutex */
	int next_fails; /* the item instead of which next fails; -1: none */
	int body_fails; /* the item with which body fails */
	int cancels_at; /* the item with which the task is cancelled */
	bool yields;
	unsigned most;
	hilo_task *task;
	atomic(unsigned) inside_next, inside_body;
	atomic(unsigned) done[MOST];
};

static struct input *input_new(int length)
{
	struct input *input = calloc(1, sizeof(*input));

	input->length = length;
	input->next_fails = input->body_fails = input->cancels_at = -1;
	input->task = hilo_task_current();
	return input;
}

static int next_number(void *item, void *arg)
{
	struct input *input = arg;

	TASK_CHECK(add_relaxed(&input->inside_next, 1), ==, 0);
	if (input->yields && input->given % 3 == 0)
		(void)hilo_yield();
	(void)sub_relaxed(&input->inside_next, 1);
	if (input->given == input->next_fails)
		return hilo_fail(-EBADF, "no item %d", input->given);
	if (input->given == input->length)
		return 0;
	*(int *)item = input->given++;
	return 1;
}

static int do_number(void *item, void *arg)
{
	struct input *input = arg;
	int number = *(int *)item;
	unsigned inside = add_relaxed(&input->inside_body, 1);

	if (input->most)
		TASK_CHECK(inside, <, input->most);
	TASK_CHECK((uintptr_t)item % _Alignof(max_align_t), ==, 0);
	(void)add_relaxed(&input->done[number], 1);
	if (input->yields && number % 4 == 0)
		(void)hilo_yield();
	if (number == input->cancels_at)
		TASK_CHECK(hilo_task_cancel(input->task), ==, 0);
	(void)sub_relaxed(&input->inside_body, 1);
	return number == input->body_fails ? hilo_fail(-EDOM, "item %d", number) : number;
}

/* What was given was done once, and nothing else. */
static void input_free(struct input *input)
{
	for (int i = 0; i < MOST; i++)
		TASK_CHECK(load_relaxed(&input->done[i]), ==, i < input->given ? 1 : 0);
	free(input);
}

static int do_everything(void *arg)
{
	struct random random;

	(void)arg;
	random_init(&random, test_seed(), 1);
	for (unsigned round = 0; round < test_rounds(20); round++) {
		hilo_parallel_opts opts = {.size = sizeof(opts), .grain = (int64_t)random_below(&random, 5)};
		struct input *input = input_new((int)random_below(&random, round % 2 ? 20 : MOST));

		input->yields = round % 3 == 0;
		input->most = random_below(&random, 2) ? 1 + random_below(&random, 100) : 0;
		TASK_CHECK(hilo_parallel_each(sizeof(int), next_number, do_number, input->most, input, &opts),
			   ==, 0);
		TASK_CHECK(input->given, ==, input->length);
		input_free(input);
	}
	return 0;
}

static void test_each_item_is_done_once(void **state)
{
	static const unsigned workers[] = {1, 2, 8, 64};

	(void)state;
	for (size_t i = 0; i < array_size(workers); i++)
		assert_int_equal(test_run(workers[i], do_everything, NULL), 0);
}

FORK_TEST(test_each_item_is_done_once_with_each_fork_taken)
{
	return do_everything(NULL);
}

FORK_TEST(test_a_failure_at_each_item_is_told)
{
	for (int failing = 0; failing < 20; failing++) {
		for (int64_t grain = 1; grain < 4; grain++) {
			hilo_parallel_opts opts = {.size = sizeof(opts), .grain = grain};
			struct input *input = input_new(20);

			input->body_fails = failing;
			input->yields = failing % 2;
			TASK_CHECK(hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, &opts),
				   ==, -EDOM);
			TASK_CHECK_CONTAINS(hilo_error_message(), "item ");
			input_free(input);
			input = input_new(20);
			input->next_fails = failing;
			TASK_CHECK(hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, &opts),
				   ==, -EBADF);
			TASK_CHECK_CONTAINS(hilo_error_message(), "no item ");
			TASK_CHECK(input->given, ==, failing);
			input_free(input);
		}
	}
	return 0;
}

/* Unless others have taken all by then; and nothing is taken once it is cancelled. */
FORK_TEST(test_who_is_cancelled_takes_no_more)
{
	int rc;

	for (int at = 0; at < 20; at++) {
		hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1 + at % 3};
		struct input *input = input_new(MOST);

		input->cancels_at = at;
		input->yields = at % 2;
		rc = hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, &opts);
		TASK_CHECK(rc == -ECANCELED || (rc == 0 && input->given == MOST), ==, true);
		input_free(input);
		input = input_new(MOST);
		TASK_CHECK(hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, &opts), ==,
			   -ECANCELED);
		TASK_CHECK(input->given, ==, 0);
		input_free(input);
		while (hilo_task_uncancel() > 0)
			;
	}
	return 0;
}

/* Items that wait for each other: as many as may be done at a time. */
static int meet_others(void *item, void *arg)
{
	return hilo_barrier_wait(arg, HILO_FOREVER) < 0 ? -1 : *(int *)item;
}

struct meeting {
	int given;
	hilo_barrier barrier;
};

static int next_party(void *item, void *arg)
{
	struct meeting *meeting = arg;

	*(int *)item = 1;
	return meeting->given++ < 8;
}

static int meet_in(void *item, void *arg)
{
	return meet_others(item, &((struct meeting *)arg)->barrier);
}

TASK_TEST(test_items_that_wait_are_done_side_by_side)
{
	struct meeting meeting = {0};

	TASK_CHECK(hilo_barrier_init(&meeting.barrier, 4, NULL, NULL), ==, 0);
	TASK_CHECK(hilo_parallel_each(sizeof(int), next_party, meet_in, 4, &meeting, NULL), ==, 0);
	TASK_CHECK(hilo_barrier_destroy(&meeting.barrier), ==, 0);
	return 0;
}

/* A first batch fails while who takes the second one waits for the input, and all others wait for him. */
struct failing {
	int given; /* under the library's mutex */
	int batch;
	atomic(int) done;
	hilo_event waits, fails;
};

static int next_while_it_fails(void *item, void *arg)
{
	struct failing *failing = arg;

	if (failing->given == failing->batch) {
		TASK_CHECK(hilo_event_set(&failing->waits), ==, 0);
		TASK_CHECK(hilo_event_wait(&failing->fails, HILO_FOREVER), ==, 0);
	}
	*(int *)item = failing->given++;
	return failing->given <= MOST;
}

static int fail_while_it_waits(void *item, void *arg)
{
	struct failing *failing = arg;

	(void)add_relaxed(&failing->done, 1);
	if (*(int *)item != failing->batch - 1)
		return 0;
	TASK_CHECK(hilo_event_wait(&failing->waits, HILO_FOREVER), ==, 0);
	for (int i = 0; i < 100; i++)
		(void)hilo_yield(); /* others come to wait for their turn; if not, there is less to see */
	TASK_CHECK(hilo_event_set(&failing->fails), ==, 0);
	return hilo_fail(-EDOM, "the first batch");
}

static int take_while_it_fails(void *arg)
{
	(void)arg;
	for (int batch = 1; batch <= 3; batch++) {
		struct failing failing = {.batch = batch};
		hilo_parallel_opts opts = {.size = sizeof(opts), .grain = batch};

		TASK_CHECK(hilo_event_init(&failing.waits, 0), ==, 0);
		TASK_CHECK(hilo_event_init(&failing.fails, 0), ==, 0);
		TASK_CHECK(hilo_parallel_each(sizeof(int), next_while_it_fails, fail_while_it_waits, 32,
					      &failing, &opts),
			   ==, -EDOM);
		TASK_CHECK_TEXT(hilo_error_message(), "the first batch");
		TASK_CHECK(failing.given, ==, batch + 1);
		TASK_CHECK(load_relaxed(&failing.done), ==, batch + 1);
		TASK_CHECK(hilo_event_destroy(&failing.waits), ==, 0);
		TASK_CHECK(hilo_event_destroy(&failing.fails), ==, 0);
	}
	return 0;
}

/* On one worker: who fails has told it before anybody else goes on. */
static void test_who_waits_for_his_turn_takes_nothing_after_a_failure(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	hilo__forks_forced = FORKS_EACH;
	assert_int_equal(test_run(1, take_while_it_fails, NULL), 0);
	hilo__forks_forced = FORKS_AS_EVER;
	hilo__nobody_stands_in = false;
}

/* From a queue that another task fills. */
static int feed(void *arg)
{
	int rc = 0;

	for (intptr_t i = 1; i <= 500 && rc == 0; i++)
		rc = hilo_queue_put(arg, (void *)i, HILO_FOREVER);
	hilo_queue_shutdown(arg, 0);
	return rc;
}

struct fed {
	hilo_queue *queue;
	atomic(long) sum;
};

static int next_fed(void *item, void *arg)
{
	int rc = hilo_queue_get(((struct fed *)arg)->queue, item, HILO_FOREVER);

	return rc == -EPIPE ? 0 : rc < 0 ? rc : 1;
}

static int add_fed(void *item, void *arg)
{
	(void)add_relaxed(&((struct fed *)arg)->sum, (long)*(intptr_t *)item);
	return 0;
}

FORK_TEST(test_items_of_a_queue)
{
	struct fed fed = {.queue = hilo_queue_new(3)};
	hilo_task *feeder = hilo_spawn(feed, fed.queue);

	atomic_setup(&fed.sum, 0);
	TASK_CHECK(hilo_parallel_each(sizeof(void *), next_fed, add_fed, 0, &fed, NULL), ==, 0);
	TASK_CHECK(load_relaxed(&fed.sum), ==, 500 * 501 / 2);
	TASK_CHECK(hilo_join(feeder, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_free(fed.queue), ==, 0);
	return 0;
}

TASK_TEST(test_without_memory)
{
	for (long n = 1; n < 4; n++) {
		struct input *input = input_new(50);
		int rc;

		hilo__mem_fail_at(n, true);
		rc = hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, NULL);
		hilo__mem_fail_at(0, false);
		TASK_CHECK(rc == 0 || rc == -ENOMEM, ==, true);
		TASK_CHECK(n > 1 || rc == -ENOMEM, ==, true);
		input_free(input);
	}
	return 0;
}

static void tell(int64_t done, int64_t total, void *arg)
{
	int64_t *last = arg;

	TASK_CHECK(done, >=, *last);
	TASK_CHECK(total == -1 || total == done, ==, true);
	*last = done;
}

TASK_TEST(test_progress_is_what_is_done)
{
	int64_t last = 0;
	hilo_parallel_opts opts = {sizeof(opts), 0, tell, &last, 1};
	struct input *input = input_new(300);

	TASK_CHECK(hilo_parallel_each(sizeof(int), next_number, do_number, 0, input, &opts), ==, 0);
	TASK_CHECK(last, ==, 300);
	input_free(input);
	return 0;
}

TASK_TEST(test_misuse)
{
	hilo_parallel_opts bad = {.size = 1};
	int x = 0;

	TASK_CHECK(hilo_parallel_each(4, NULL, do_number, 0, &x, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_each(4, next_number, NULL, 0, &x, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_each(4, next_number, do_number, 5000, &x, NULL), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_each(4, next_number, do_number, 0, &x, &bad), ==, -EINVAL);
	TASK_CHECK(hilo_parallel_each(SIZE_MAX, next_number, do_number, 0, &x, NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_parallel_each(SIZE_MAX / 4, next_number, do_number, 4000, &x, NULL), ==, -ENOMEM);
	return 0;
}

static void test_from_a_plain_thread(void **state)
{
	struct input *input = input_new(3);

	(void)state;
	assert_int_equal(hilo_parallel_each(4, next_number, do_number, 0, input, NULL), -EDEADLK);
	input_free(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_item_is_done_once),
		cmocka_unit_test(test_each_item_is_done_once_with_each_fork_taken),
		cmocka_unit_test(test_a_failure_at_each_item_is_told),
		cmocka_unit_test(test_who_is_cancelled_takes_no_more),
		cmocka_unit_test(test_items_that_wait_are_done_side_by_side),
		cmocka_unit_test(test_who_waits_for_his_turn_takes_nothing_after_a_failure),
		cmocka_unit_test(test_items_of_a_queue),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_progress_is_what_is_done),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_from_a_plain_thread),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
