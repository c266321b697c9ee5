/* SPDX-License-Identifier: MIT */
/* test_inbox.c - the inbox as one thread sees it: order, chains, taking, filling. */
#include <string.h>

#include "scheduler/inbox.h"
#include "scheduler/task.h"
#include "tests/support/test.h"

#define LINKS 8

static struct inbox inbox;
static struct link links[LINKS];

static int setup(void **state)
{
	(void)state;
	memset(links, 0x5a, sizeof(links)); /* push is to overwrite what it finds */
	hilo__inbox_init(&inbox);
	return 0;
}

/* The list is the links of @numbers, in this order; -1 ends. */
static void assert_list(const struct link *first, const int *numbers)
{
	for (; *numbers >= 0; numbers++, first = first->next)
		assert_ptr_equal(first, &links[*numbers]);
	assert_null(first);
}

static void assert_empty(void)
{
	assert_true(hilo__inbox_is_empty(&inbox));
	assert_true(hilo__inbox_is_empty_seq_cst(&inbox));
	assert_null(hilo__inbox_take_all(&inbox));
	assert_null(hilo__inbox_take_fifo(&inbox));
}

static void test_inbox_new_is_empty(void **state)
{
	(void)state;
	assert_empty();
}

static void test_inbox_push_tells_whether_it_was_empty(void **state)
{
	(void)state;
	assert_true(hilo__inbox_push(&inbox, &links[0]));
	assert_false(hilo__inbox_is_empty(&inbox));
	assert_false(hilo__inbox_is_empty_seq_cst(&inbox));
	assert_false(hilo__inbox_push(&inbox, &links[1]));
	assert_non_null(hilo__inbox_take_all(&inbox));
	assert_true(hilo__inbox_push(&inbox, &links[2]));
}

static void test_inbox_take_all_is_newest_first(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		(void)hilo__inbox_push(&inbox, &links[i]);
	assert_list(hilo__inbox_take_all(&inbox), (int[]){2, 1, 0, -1});
	assert_empty();
}

static void test_inbox_take_fifo_is_oldest_first(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		(void)hilo__inbox_push(&inbox, &links[i]);
	assert_list(hilo__inbox_take_fifo(&inbox), (int[]){0, 1, 2, -1});
	assert_empty();
}

static void test_inbox_push_chain_keeps_the_chain_together(void **state)
{
	(void)state;
	links[3].next = &links[2];
	links[2].next = &links[1];
	(void)hilo__inbox_push(&inbox, &links[0]);
	assert_false(hilo__inbox_push_chain(&inbox, &links[3], &links[1]));
	(void)hilo__inbox_push(&inbox, &links[4]);
	assert_list(hilo__inbox_take_fifo(&inbox), (int[]){0, 1, 2, 3, 4, -1});
	assert_empty();
}

static void test_inbox_append_goes_behind_what_the_list_has(void **state)
{
	struct link *first = NULL;
	struct link **end = &first;

	(void)state;
	hilo__inbox_append(&inbox, &end);
	assert_null(first);
	assert_ptr_equal(end, &first);
	(void)hilo__inbox_push(&inbox, &links[0]);
	(void)hilo__inbox_push(&inbox, &links[1]);
	hilo__inbox_append(&inbox, &end);
	assert_list(first, (int[]){0, 1, -1});
	(void)hilo__inbox_push(&inbox, &links[2]);
	hilo__inbox_append(&inbox, &end);
	assert_list(first, (int[]){0, 1, 2, -1});
	assert_ptr_equal(end, &links[2].next);
	assert_empty();
}

static void test_inbox_fill_is_taken_as_it_is(void **state)
{
	(void)state;
	links[5].next = &links[6];
	links[6].next = NULL;
	hilo__inbox_fill(&inbox, &links[5]);
	assert_list(hilo__inbox_take_all(&inbox), (int[]){5, 6, -1});
	assert_empty();
}

static void test_link_reverse_turns_round(void **state)
{
	(void)state;
	assert_null(hilo__link_reverse(NULL));
	links[0].next = NULL;
	assert_list(hilo__link_reverse(&links[0]), (int[]){0, -1});
	links[2].next = &links[1];
	links[1].next = &links[0];
	assert_list(hilo__link_reverse(&links[2]), (int[]){0, 1, 2, -1});
}

static void test_link_and_task_lead_to_each_other(void **state)
{
	static struct hilo_task task;

	(void)state;
	assert_ptr_equal(hilo__task_link(&task), &task.link);
	assert_ptr_equal(hilo__link_task(&task.link), &task);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_inbox_new_is_empty, setup),
		cmocka_unit_test_setup(test_inbox_push_tells_whether_it_was_empty, setup),
		cmocka_unit_test_setup(test_inbox_take_all_is_newest_first, setup),
		cmocka_unit_test_setup(test_inbox_take_fifo_is_oldest_first, setup),
		cmocka_unit_test_setup(test_inbox_push_chain_keeps_the_chain_together, setup),
		cmocka_unit_test_setup(test_inbox_append_goes_behind_what_the_list_has, setup),
		cmocka_unit_test_setup(test_inbox_fill_is_taken_as_it_is, setup),
		cmocka_unit_test_setup(test_link_reverse_turns_round, setup),
		cmocka_unit_test_setup(test_link_and_task_lead_to_each_other, setup),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
