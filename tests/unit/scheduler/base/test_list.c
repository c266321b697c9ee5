/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/list.h"

struct item {
	int number;
	struct list node;
};

/* The numbers on the list as one decimal number, first to last. */
static int list_read(struct list *head)
{
	struct list *pos;
	int number = 0;

	list_for_each (pos, head) {
		number = number * 10 + list_entry(pos, struct item, node)->number;
	}
	return number;
}

static int list_read_backwards(struct list *head)
{
	int number = 0;

	for (struct list *pos = head->prev; pos != head; pos = pos->prev)
		number = number * 10 + list_entry(pos, struct item, node)->number;
	return number;
}

static void items_init(struct item *items, int count)
{
	for (int i = 0; i < count; i++) {
		items[i].number = i + 1;
		list_init(&items[i].node);
	}
}

static void test_list_empty_has_no_first(void **state)
{
	struct list head = LIST_INIT(head);

	(void)state;
	assert_true(list_empty(&head));
	assert_null(list_first(&head));
	assert_null(list_last(&head));
	assert_null(list_pop_first(&head));
	assert_int_equal(list_read(&head), 0);
}

static void test_list_add_keeps_order(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[4];

	(void)state;
	items_init(items, 4);
	list_add_tail(&head, &items[1].node);
	list_add_tail(&head, &items[3].node);
	list_add_head(&head, &items[0].node);
	list_add_before(&items[3].node, &items[2].node);
	assert_int_equal(list_read(&head), 1234);
	assert_int_equal(list_read_backwards(&head), 4321);
	assert_ptr_equal(list_first(&head), &items[0].node);
	assert_ptr_equal(list_last(&head), &items[3].node);
}

static void test_list_zeroed_node_can_be_added(void **state)
{
	struct list head = LIST_INIT(head);
	struct item item = {.number = 5};

	(void)state;
	assert_false(list_is_linked(&item.node));
	list_add_tail(&head, &item.node);
	assert_int_equal(list_read(&head), 5);
}

static void test_list_del_leaves_node_linked_to_itself(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[3];

	(void)state;
	items_init(items, 3);
	for (int i = 0; i < 3; i++)
		list_add_tail(&head, &items[i].node);
	assert_true(list_is_linked(&items[1].node));
	list_del(&items[1].node);
	assert_false(list_is_linked(&items[1].node));
	assert_true(list_empty(&items[1].node));
	list_del(&items[1].node); /* no-op */
	assert_int_equal(list_read(&head), 13);
	list_add_head(&head, &items[1].node);
	assert_int_equal(list_read(&head), 213);
}

static void test_list_pop_first_takes_in_order(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[2];

	(void)state;
	items_init(items, 2);
	list_add_tail(&head, &items[0].node);
	list_add_tail(&head, &items[1].node);
	assert_ptr_equal(list_pop_first(&head), &items[0].node);
	assert_ptr_equal(list_pop_first(&head), &items[1].node);
	assert_true(list_empty(&head));
}

static void test_list_splice_moves_all_to_the_end(void **state)
{
	struct list to = LIST_INIT(to);
	struct list from = LIST_INIT(from);
	struct item items[4];

	(void)state;
	items_init(items, 4);
	list_splice(&to, &from);
	assert_true(list_empty(&to));
	list_add_tail(&from, &items[0].node);
	list_add_tail(&from, &items[1].node);
	list_splice(&to, &from);
	assert_true(list_empty(&from));
	list_add_tail(&from, &items[2].node);
	list_add_tail(&from, &items[3].node);
	list_splice(&to, &from);
	assert_int_equal(list_read(&to), 1234);
	assert_int_equal(list_read_backwards(&to), 4321);
	assert_true(list_empty(&from));
}

static void test_list_for_each_safe_allows_taking_off(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[5];
	struct list *pos, *tmp;

	(void)state;
	items_init(items, 5);
	for (int i = 0; i < 5; i++)
		list_add_tail(&head, &items[i].node);
	list_for_each_safe(pos, tmp, &head)
	{
		if (list_entry(pos, struct item, node)->number % 2 == 0)
			list_del(pos);
	}
	assert_int_equal(list_read(&head), 135);
}

static void test_list_adding_twice_panics(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[2];
	pid_t child;
	int status;

	(void)state;
	items_init(items, 2);
	list_add_tail(&head, &items[0].node);
	list_add_tail(&head, &items[1].node);
	child = fork();
	if (child == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		list_add_tail(&head, &items[0].node);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_empty_has_no_first),
		cmocka_unit_test(test_list_add_keeps_order),
		cmocka_unit_test(test_list_zeroed_node_can_be_added),
		cmocka_unit_test(test_list_del_leaves_node_linked_to_itself),
		cmocka_unit_test(test_list_pop_first_takes_in_order),
		cmocka_unit_test(test_list_splice_moves_all_to_the_end),
		cmocka_unit_test(test_list_for_each_safe_allows_taking_off),
		cmocka_unit_test(test_list_adding_twice_panics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
