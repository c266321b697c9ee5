/* SPDX-License-Identifier: MIT */
/* test_deque.c - the work-stealing deque as one thread sees it: order, limits, wrap-around, spilling. */
#include <errno.h>
#include <string.h>

#include "scheduler/deque.h"
#include "scheduler/task.h"
#include "tests/support/test.h"

static struct deque dq;
static struct hilo_task tasks[3 * DEQUE_CAP];

static int setup(void **state)
{
	(void)state;
	memset(tasks, 0, sizeof(tasks));
	hilo__deque_init(&dq);
	return 0;
}

/* Tasks @from .. @to, each pushed. */
static void push_range(int from, int to)
{
	for (int i = from; i <= to; i++)
		assert_int_equal(hilo__deque_push(&dq, &tasks[i]), 0);
}

static void assert_steals(int number)
{
	struct hilo_task *task = NULL;

	assert_int_equal(hilo__deque_steal(&dq, &task), 0);
	assert_ptr_equal(task, &tasks[number]);
}

static void assert_empty(void)
{
	struct hilo_task *task = &tasks[0];

	assert_int_equal(hilo__deque_size(&dq), 0);
	assert_null(hilo__deque_pop(&dq));
	assert_null(hilo__deque_pop_oldest(&dq));
	assert_int_equal(hilo__deque_steal(&dq, &task), -ENODATA);
	assert_ptr_equal(task, &tasks[0]);
}

static void test_deque_new_is_empty(void **state)
{
	(void)state;
	assert_empty();
	assert_int_equal(hilo__deque_own_count(&dq), 0);
}

static void test_deque_pop_takes_newest_first(void **state)
{
	(void)state;
	push_range(0, 3);
	for (int i = 3; i >= 0; i--)
		assert_ptr_equal(hilo__deque_pop(&dq), &tasks[i]);
	assert_empty();
}

static void test_deque_steal_takes_oldest_first(void **state)
{
	(void)state;
	push_range(0, 3);
	for (int i = 0; i <= 3; i++)
		assert_steals(i);
	assert_empty();
}

static void test_deque_pop_oldest_takes_oldest_first(void **state)
{
	(void)state;
	push_range(0, 2);
	assert_ptr_equal(hilo__deque_pop_oldest(&dq), &tasks[0]);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[2]);
	assert_ptr_equal(hilo__deque_pop_oldest(&dq), &tasks[1]);
	assert_empty();
}

static void test_deque_both_ends_meet_at_the_last_task(void **state)
{
	(void)state;
	push_range(0, 2);
	assert_steals(0);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[2]);
	assert_steals(1);
	assert_empty();
	push_range(3, 3);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[3]);
	assert_empty();
}

/* The owner has not looked at top since thieves took all but one, or all. */
static void test_deque_pop_after_thieves_takes_what_is_left(void **state)
{
	(void)state;
	push_range(0, 2);
	assert_steals(0);
	assert_steals(1);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[2]);
	assert_empty();
	push_range(3, 5);
	assert_steals(3);
	assert_steals(4);
	assert_steals(5);
	assert_null(hilo__deque_pop(&dq));
	push_range(6, 7);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[7]);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[6]);
	assert_empty();
}

static void test_deque_push_to_full_returns_enospc(void **state)
{
	(void)state;
	push_range(0, DEQUE_CAP - 1);
	assert_int_equal(hilo__deque_size(&dq), DEQUE_CAP);
	assert_int_equal(hilo__deque_push(&dq, &tasks[DEQUE_CAP]), -ENOSPC);
	assert_int_equal(hilo__deque_size(&dq), DEQUE_CAP);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[DEQUE_CAP - 1]);
	assert_int_equal(hilo__deque_push(&dq, &tasks[DEQUE_CAP]), 0);
	assert_int_equal(hilo__deque_push(&dq, &tasks[DEQUE_CAP + 1]), -ENOSPC);
}

static void test_deque_push_finds_room_that_thieves_made(void **state)
{
	(void)state;
	push_range(0, DEQUE_CAP - 1);
	assert_steals(0);
	assert_int_equal(hilo__deque_push(&dq, &tasks[DEQUE_CAP]), 0);
	assert_int_equal(hilo__deque_push(&dq, &tasks[DEQUE_CAP + 1]), -ENOSPC);
	for (int i = 1; i <= DEQUE_CAP; i++)
		assert_steals(i);
	assert_empty();
}

static void test_deque_goes_round_its_slots(void **state)
{
	(void)state;
	for (int round = 0; round < 4 * DEQUE_CAP; round++) {
		push_range(0, 2);
		assert_steals(0);
		assert_ptr_equal(hilo__deque_pop(&dq), &tasks[2]);
		assert_ptr_equal(hilo__deque_pop(&dq), &tasks[1]);
	}
	assert_empty();
}

static void test_deque_steal_many_takes_half_and_no_more_than_asked(void **state)
{
	struct hilo_task *taken[8] = {NULL};

	(void)state;
	assert_int_equal(hilo__deque_steal_many(&dq, taken, 8), -ENODATA);
	push_range(0, 8);
	assert_int_equal(hilo__deque_steal_many(&dq, taken, 8), 5);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(taken[i], &tasks[i]);
	assert_int_equal(hilo__deque_steal_many(&dq, taken, 1), 1);
	assert_ptr_equal(taken[0], &tasks[5]);
	assert_int_equal(hilo__deque_size(&dq), 3);
	assert_int_equal(hilo__deque_steal_many(&dq, taken, 8), 2);
	assert_int_equal(hilo__deque_steal_many(&dq, taken, 8), 1);
	assert_ptr_equal(taken[0], &tasks[8]);
	assert_empty();
}

static void test_deque_spill_chains_older_half_newest_first(void **state)
{
	struct link *first = NULL, *last = NULL;

	(void)state;
	push_range(0, 6);
	assert_int_equal(hilo__deque_spill(&dq, &first, &last), 4);
	for (int i = 3; i >= 0; i--) {
		assert_ptr_equal(hilo__link_task(first), &tasks[i]);
		if (i == 0)
			assert_ptr_equal(first, last);
		first = first->next;
	}
	assert_int_equal(hilo__deque_size(&dq), 3);
	assert_ptr_equal(hilo__deque_pop(&dq), &tasks[6]);
	assert_ptr_equal(hilo__deque_pop_oldest(&dq), &tasks[4]);
}

static void test_deque_spill_of_empty_leaves_outputs_alone(void **state)
{
	struct link *first = &tasks[1].link, *last = &tasks[2].link;

	(void)state;
	assert_int_equal(hilo__deque_spill(&dq, &first, &last), 0);
	assert_ptr_equal(first, &tasks[1].link);
	assert_ptr_equal(last, &tasks[2].link);
}

static void test_deque_spill_of_full_makes_room_for_half(void **state)
{
	struct link *first, *last;

	(void)state;
	push_range(0, DEQUE_CAP - 1);
	assert_int_equal(hilo__deque_spill(&dq, &first, &last), DEQUE_CAP / 2);
	push_range(DEQUE_CAP, DEQUE_CAP + DEQUE_CAP / 2 - 1);
	assert_int_equal(hilo__deque_push(&dq, &tasks[0]), -ENOSPC);
}

/* Any mixture of operations does what an array does. */
static void test_deque_does_what_a_list_does(void **state)
{
	int model[DEQUE_CAP], count = 0, next = 0;
	struct random random;

	(void)state;
	random_init(&random, test_seed(), 0);
	for (int step = 0; step < 20000; step++) {
		struct hilo_task *task = NULL;

		switch (random_below(&random, 5)) {
		case 0:
		case 1:
			task = &tasks[next];
			if (hilo__deque_push(&dq, task) == 0)
				model[count++] = next;
			else
				assert_int_equal(count, DEQUE_CAP);
			next = (next + 1) % (3 * DEQUE_CAP);
			break;
		case 2:
			task = hilo__deque_pop(&dq);
			assert_ptr_equal(task, count ? &tasks[model[count - 1]] : NULL);
			count -= count > 0;
			break;
		case 3:
			task = hilo__deque_pop_oldest(&dq);
			assert_ptr_equal(task, count ? &tasks[model[0]] : NULL);
			count -= count > 0;
			memmove(model, model + 1, count * sizeof(model[0]));
			break;
		case 4:
			assert_int_equal(hilo__deque_steal(&dq, &task), count ? 0 : -ENODATA);
			assert_ptr_equal(task, count ? &tasks[model[0]] : NULL);
			count -= count > 0;
			memmove(model, model + 1, count * sizeof(model[0]));
			break;
		}
		assert_int_equal(hilo__deque_size(&dq), count);
		assert_true(hilo__deque_own_count(&dq) >= count);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_deque_new_is_empty, setup),
		cmocka_unit_test_setup(test_deque_pop_takes_newest_first, setup),
		cmocka_unit_test_setup(test_deque_steal_takes_oldest_first, setup),
		cmocka_unit_test_setup(test_deque_pop_oldest_takes_oldest_first, setup),
		cmocka_unit_test_setup(test_deque_both_ends_meet_at_the_last_task, setup),
		cmocka_unit_test_setup(test_deque_pop_after_thieves_takes_what_is_left, setup),
		cmocka_unit_test_setup(test_deque_push_to_full_returns_enospc, setup),
		cmocka_unit_test_setup(test_deque_push_finds_room_that_thieves_made, setup),
		cmocka_unit_test_setup(test_deque_goes_round_its_slots, setup),
		cmocka_unit_test_setup(test_deque_steal_many_takes_half_and_no_more_than_asked, setup),
		cmocka_unit_test_setup(test_deque_spill_chains_older_half_newest_first, setup),
		cmocka_unit_test_setup(test_deque_spill_of_empty_leaves_outputs_alone, setup),
		cmocka_unit_test_setup(test_deque_spill_of_full_makes_room_for_half, setup),
		cmocka_unit_test_setup(test_deque_does_what_a_list_does, setup),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
