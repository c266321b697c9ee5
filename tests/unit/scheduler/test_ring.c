/* SPDX-License-Identifier: MIT */
/* test_ring.c - the run queue as one thread sees it: order, limits, batches, halves, wrap-around. */
#include <errno.h>
#include <string.h>

#include "scheduler/ring.h"
#include "scheduler/task.h"
#include "tests/support/test.h"

static struct ring ring, other;
static struct hilo_task tasks[3 * RING_CAP];
static struct hilo_task *pointers[3 * RING_CAP];
static struct hilo_task *taken[RING_CAP];

static int setup(void **state)
{
	(void)state;
	memset(tasks, 0, sizeof(tasks));
	memset(taken, 0, sizeof(taken));
	for (int i = 0; i < 3 * RING_CAP; i++)
		pointers[i] = &tasks[i];
	hilo__ring_init(&ring);
	hilo__ring_init(&other);
	return 0;
}

static void push_range(int from, int to)
{
	for (int i = from; i <= to; i++)
		assert_int_equal(hilo__ring_push(&ring, &tasks[i]), 0);
}

static void assert_pops(struct ring *from, int first, int last)
{
	for (int i = first; i <= last; i++)
		assert_ptr_equal(hilo__ring_pop(from), &tasks[i]);
}

static void assert_empty(struct ring *which)
{
	assert_int_equal(hilo__ring_size(which), 0);
	assert_null(hilo__ring_pop(which));
	assert_int_equal(hilo__ring_steal_many(which, taken, RING_CAP), -ENODATA);
}

static void test_ring_new_is_empty(void **state)
{
	(void)state;
	assert_empty(&ring);
	assert_int_equal(hilo__ring_room(&ring), RING_CAP);
}

static void test_ring_pop_takes_oldest_first(void **state)
{
	(void)state;
	push_range(0, 4);
	assert_int_equal(hilo__ring_size(&ring), 5);
	assert_pops(&ring, 0, 4);
	assert_empty(&ring);
}

static void test_ring_push_to_full_returns_enospc(void **state)
{
	(void)state;
	push_range(0, RING_CAP - 1);
	assert_int_equal(hilo__ring_room(&ring), 0);
	assert_int_equal(hilo__ring_push(&ring, &tasks[RING_CAP]), -ENOSPC);
	assert_pops(&ring, 0, 0);
	push_range(RING_CAP, RING_CAP);
	assert_int_equal(hilo__ring_push(&ring, &tasks[RING_CAP + 1]), -ENOSPC);
	assert_pops(&ring, 1, RING_CAP);
	assert_empty(&ring);
}

static void test_ring_push_finds_room_that_thieves_made(void **state)
{
	(void)state;
	push_range(0, RING_CAP - 1);
	assert_int_equal(hilo__ring_steal_many(&ring, taken, 1), 1);
	assert_ptr_equal(taken[0], &tasks[0]);
	push_range(RING_CAP, RING_CAP);
	assert_int_equal(hilo__ring_push(&ring, &tasks[RING_CAP + 1]), -ENOSPC);
	assert_pops(&ring, 1, RING_CAP);
}

static void test_ring_goes_round_its_slots(void **state)
{
	(void)state;
	for (int round = 0; round < 4 * RING_CAP; round++) {
		push_range(0, 2);
		assert_pops(&ring, 0, 0);
		assert_int_equal(hilo__ring_steal_many(&ring, taken, RING_CAP), 1);
		assert_ptr_equal(taken[0], &tasks[1]);
		assert_pops(&ring, 2, 2);
	}
	assert_empty(&ring);
}

static void test_ring_push_many_takes_what_fits(void **state)
{
	(void)state;
	assert_int_equal(hilo__ring_push_many(&ring, pointers, 0), 0);
	assert_empty(&ring);
	assert_int_equal(hilo__ring_push_many(&ring, pointers, 3), 3);
	assert_int_equal(hilo__ring_push_many(&ring, pointers + 3, RING_CAP), RING_CAP - 3);
	assert_int_equal(hilo__ring_push_many(&ring, pointers, 1), 0);
	assert_pops(&ring, 0, 1);
	assert_int_equal(hilo__ring_push_many(&ring, pointers + RING_CAP, 5), 2);
	assert_pops(&ring, 2, RING_CAP + 1);
	assert_empty(&ring);
}

static void test_ring_steal_many_takes_older_half_rounded_up(void **state)
{
	(void)state;
	push_range(0, 4);
	assert_int_equal(hilo__ring_steal_many(&ring, taken, RING_CAP), 3);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(taken[i], &tasks[i]);
	assert_int_equal(hilo__ring_steal_many(&ring, taken, RING_CAP), 1);
	assert_ptr_equal(taken[0], &tasks[3]);
	assert_pops(&ring, 4, 4);
	assert_empty(&ring);
}

static void test_ring_steal_many_takes_no_more_than_asked(void **state)
{
	(void)state;
	push_range(0, RING_CAP - 1);
	assert_int_equal(hilo__ring_steal_many(&ring, taken, 2), 2);
	assert_ptr_equal(taken[1], &tasks[1]);
	assert_int_equal(hilo__ring_size(&ring), RING_CAP - 2);
	assert_int_equal(hilo__ring_steal_many(&ring, taken, RING_CAP), RING_CAP / 2 - 1);
}

static void test_ring_steal_moves_half_and_returns_the_oldest(void **state)
{
	struct hilo_task *oldest = NULL;

	(void)state;
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), -ENODATA);
	assert_null(oldest);
	push_range(0, 6);
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), 4);
	assert_ptr_equal(oldest, &tasks[0]);
	assert_pops(&other, 1, 3);
	assert_empty(&other);
	assert_pops(&ring, 4, 6);
	push_range(7, 7);
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), 1);
	assert_ptr_equal(oldest, &tasks[7]);
	assert_empty(&other);
	assert_empty(&ring);
}

static void test_ring_steal_appends_to_what_the_thief_has(void **state)
{
	struct hilo_task *oldest;

	(void)state;
	assert_int_equal(hilo__ring_push(&other, &tasks[RING_CAP]), 0);
	push_range(0, 3);
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), 2);
	assert_ptr_equal(hilo__ring_pop(&other), &tasks[RING_CAP]);
	assert_pops(&other, 1, 1);
}

static void test_ring_steal_takes_what_the_thief_has_room_for(void **state)
{
	struct hilo_task *oldest;

	(void)state;
	assert_int_equal(hilo__ring_push_many(&other, pointers + RING_CAP, RING_CAP - 2), RING_CAP - 2);
	push_range(0, 19);
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), 3);
	assert_ptr_equal(oldest, &tasks[0]);
	assert_int_equal(hilo__ring_size(&other), RING_CAP);
	assert_int_equal(hilo__ring_steal(&ring, &other, &oldest), 1);
	assert_ptr_equal(oldest, &tasks[3]);
	assert_pops(&other, RING_CAP, 2 * RING_CAP - 3);
	assert_pops(&other, 1, 2);
	assert_pops(&ring, 4, 19);
}

static void test_ring_spill_chains_older_half_newest_first(void **state)
{
	struct link *first = NULL, *last = NULL;

	(void)state;
	assert_int_equal(hilo__ring_spill(&ring, &first, &last), 0);
	assert_null(first);
	push_range(0, 4);
	assert_int_equal(hilo__ring_spill(&ring, &first, &last), 3);
	for (int i = 2; i >= 0; i--) {
		assert_ptr_equal(hilo__link_task(first), &tasks[i]);
		if (i == 0)
			assert_ptr_equal(first, last);
		first = first->next;
	}
	assert_pops(&ring, 3, 4);
	assert_empty(&ring);
}

/* Spilled to an inbox and taken from there, tasks are in the order they had. */
static void test_ring_spill_keeps_order_through_an_inbox(void **state)
{
	static struct inbox inbox;
	struct link *first, *last;

	(void)state;
	hilo__inbox_init(&inbox);
	push_range(0, 7);
	assert_int_equal(hilo__ring_spill(&ring, &first, &last), 4);
	assert_true(hilo__inbox_push_chain(&inbox, first, last));
	assert_int_equal(hilo__ring_spill(&ring, &first, &last), 2);
	assert_false(hilo__inbox_push_chain(&inbox, first, last));
	first = hilo__inbox_take_fifo(&inbox);
	for (int i = 0; i < 6; i++, first = first->next)
		assert_ptr_equal(hilo__link_task(first), &tasks[i]);
	assert_null(first);
}

/* Any mixture of operations does what an array does. */
static void test_ring_does_what_a_list_does(void **state)
{
	int model[RING_CAP], count = 0, next = 0, n;
	struct random random;

	(void)state;
	random_init(&random, test_seed(), 0);
	for (int step = 0; step < 20000; step++) {
		struct hilo_task *task;

		switch (random_below(&random, 6)) {
		case 0:
		case 1:
		case 2:
			if (hilo__ring_push(&ring, &tasks[next]) == 0)
				model[count++] = next;
			else
				assert_int_equal(count, RING_CAP);
			next = (next + 1) % (2 * RING_CAP);
			break;
		case 3:
			n = hilo__ring_push_many(&ring, pointers + next, 5);
			assert_int_equal(n, count > RING_CAP - 5 ? RING_CAP - count : 5);
			for (int i = 0; i < n; i++)
				model[count++] = next + i;
			next = (next + n) % (2 * RING_CAP);
			break;
		case 4:
			task = hilo__ring_pop(&ring);
			assert_ptr_equal(task, count ? &tasks[model[0]] : NULL);
			count -= count > 0;
			memmove(model, model + 1, count * sizeof(model[0]));
			break;
		case 5:
			n = hilo__ring_steal_many(&ring, taken, 9);
			assert_int_equal(n, count == 0 ? -ENODATA : count < 18 ? (count + 1) / 2 : 9);
			for (int i = 0; i < n; i++)
				assert_ptr_equal(taken[i], &tasks[model[i]]);
			if (n > 0) {
				count -= n;
				memmove(model, model + n, count * sizeof(model[0]));
			}
			break;
		}
		assert_int_equal(hilo__ring_size(&ring), count);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ring_new_is_empty, setup),
		cmocka_unit_test_setup(test_ring_pop_takes_oldest_first, setup),
		cmocka_unit_test_setup(test_ring_push_to_full_returns_enospc, setup),
		cmocka_unit_test_setup(test_ring_push_finds_room_that_thieves_made, setup),
		cmocka_unit_test_setup(test_ring_goes_round_its_slots, setup),
		cmocka_unit_test_setup(test_ring_push_many_takes_what_fits, setup),
		cmocka_unit_test_setup(test_ring_steal_many_takes_older_half_rounded_up, setup),
		cmocka_unit_test_setup(test_ring_steal_many_takes_no_more_than_asked, setup),
		cmocka_unit_test_setup(test_ring_steal_moves_half_and_returns_the_oldest, setup),
		cmocka_unit_test_setup(test_ring_steal_appends_to_what_the_thief_has, setup),
		cmocka_unit_test_setup(test_ring_steal_takes_what_the_thief_has_room_for, setup),
		cmocka_unit_test_setup(test_ring_spill_chains_older_half_newest_first, setup),
		cmocka_unit_test_setup(test_ring_spill_keeps_order_through_an_inbox, setup),
		cmocka_unit_test_setup(test_ring_does_what_a_list_does, setup),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
