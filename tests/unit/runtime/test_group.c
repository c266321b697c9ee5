/* SPDX-License-Identifier: MIT */
/* test_group.c - tasks that end before their block does: who waits, who is cancelled, what is told. */
#include <errno.h>
#include <stdlib.h>

#include "scheduler/base/mem.h"
#include "tests/support/test.h"

static int add_one(void *arg)
{
	(void)add_relaxed((atomic(unsigned) *)arg, 1);
	return 0;
}

static int sleep_then_add(void *arg)
{
	int rc = hilo_sleep(HILO_MILLISECOND);

	return rc < 0 ? rc : add_one(arg);
}

static int fail_with(void *arg)
{
	return hilo_fail(-(int)(intptr_t)arg, "failure %d", (int)(intptr_t)arg);
}

static int fail_when_cancelled(void *arg)
{
	(void)hilo_sleep_until(HILO_FOREVER - 1);
	return fail_with(arg);
}

TASK_TEST(test_block_waits_for_its_tasks)
{
	atomic(unsigned) ran = 0;
	int rc;

	HILO_GROUP (group, &rc) {
		for (int i = 0; i < 100; i++)
			TASK_CHECK(hilo_group_spawn(group, i % 2 ? add_one : sleep_then_add, &ran), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(load_relaxed(&ran), ==, 100);
	return 0;
}

TASK_TEST(test_block_without_tasks)
{
	int rc;

	HILO_GROUP (group, &rc)
		rc = 42;
	TASK_CHECK(rc, ==, 42);
	HILO_GROUP (group, &rc)
		rc = -EIO;
	TASK_CHECK(rc, ==, -EIO);
	return 0;
}

TASK_TEST(test_first_failure_cancels_the_others)
{
	int rc;

	HILO_GROUP (group, &rc) {
		for (int i = 0; i < 20; i++)
			(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		(void)hilo_group_spawn(group, fail_with, (void *)EPROTO);
	}
	TASK_CHECK(rc, ==, -EPROTO);
	TASK_CHECK_TEXT(hilo_error_message(), "failure 71");
	TASK_CHECK(hilo_error_task(), !=, NULL);
	TASK_CHECK(hilo_error_other(1, NULL, NULL), ==, NULL);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	return 0;
}

TASK_TEST(test_failure_interrupts_the_block)
{
	int rc, inside = 0;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, fail_with, (void *)EPROTO);
		inside = hilo_sleep_until(HILO_FOREVER - 1);
		TASK_CHECK_CONTAINS(hilo_task_cancel_reason(hilo_task_current()), "failed");
		rc = inside;
	}
	TASK_CHECK(inside, ==, -ECANCELED);
	TASK_CHECK(rc, ==, -EPROTO);
	TASK_CHECK(hilo_sleep(1), ==, 0);
	return 0;
}

TASK_TEST(test_failure_of_the_block_cancels_its_tasks)
{
	int rc;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		rc = hilo_fail(-EIO, "the block");
	}
	TASK_CHECK(rc, ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "the block");
	return 0;
}

TASK_TEST(test_all_failures_are_kept)
{
	int rc, codes = 0;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, fail_when_cancelled, (void *)1);
		(void)hilo_group_spawn(group, fail_when_cancelled, (void *)2);
		(void)hilo_group_spawn(group, fail_when_cancelled, (void *)4);
		TASK_CHECK(hilo_sleep(HILO_MILLISECOND), ==, 0); /* else they never start */
		while (hilo_group_size(group) < 3)
			test_pause();
		(void)hilo_group_spawn(group, fail_with, (void *)EPROTO);
	}
	TASK_CHECK(rc, ==, -EPROTO);
	for (unsigned i = 1;; i++) {
		const char *task = NULL;
		int code = 0;

		if (!hilo_error_other(i, &code, &task))
			break;
		TASK_CHECK(task, !=, NULL);
		codes += -code;
	}
	TASK_CHECK(codes & ~7, ==, 0); /* one that was cancelled before it began has no failure */
	TASK_CHECK(hilo_error_other(0, NULL, NULL), ==, NULL);
	return 0;
}

static int fails_beside_others(void *arg)
{
	int rc;

	(void)arg;
	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, fail_with, (void *)1);
		rc = hilo_fail(-EIO, "inner");
	}
	return rc;
}

TASK_TEST(test_failures_of_an_inner_group_come_along)
{
	const char *other;
	int rc = hilo_join(hilo_spawn(fails_beside_others, NULL), HILO_FOREVER), code = 0;

	TASK_CHECK(rc, ==, -EIO);
	TASK_CHECK_TEXT(hilo_error_message(), "inner");
	other = hilo_error_other(1, &code, NULL);
	if (other) { /* it may have been cancelled before it began */
		TASK_CHECK_TEXT(other, "failure 1");
		TASK_CHECK(code, ==, -1);
	}
	return 0;
}

/* A task that fails after the other one of its group, with a group of the same kind behind it. */
struct nest {
	unsigned left;
	hilo_group *group;
	atomic(bool) begun;
};

static int fails_first(void *arg)
{
	struct nest *nest = arg;

	while (!load_acquire(&nest->begun))
		(void)hilo_yield();
	return fail_with((void *)1);
}

static int fails_with_a_nest(void *arg)
{
	struct nest *above = arg, nest = {.left = above->left - 1};
	int rc = -EIO;

	(void)hilo_shield_enter();
	store_release(&above->begun, true);
	while (hilo_group_size(above->group) > 1)
		(void)hilo_yield();
	if (above->left > 0) {
		HILO_GROUP (group, &rc) {
			nest.group = group;
			(void)hilo_group_spawn(group, fails_first, &nest);
			(void)hilo_group_spawn(group, fails_with_a_nest, &nest);
		}
	}
	(void)hilo_shield_leave();
	return hilo_fail(rc, "level %u", above->left);
}

static int holds_and_drops_a_nest(void *arg)
{
	struct nest nest = {.left = 1500};
	int rc;

	(void)arg;
	HILO_GROUP (group, &rc) {
		nest.group = group;
		(void)hilo_group_spawn(group, fails_first, &nest);
		(void)hilo_group_spawn(group, fails_with_a_nest, &nest);
	}
	TASK_CHECK(rc, ==, -1);
	TASK_CHECK_TEXT(hilo_error_message(), "failure 1");
	TASK_CHECK_TEXT(hilo_error_other(1, NULL, NULL), "level 1500");
	TASK_CHECK(hilo_error_other(2, NULL, NULL), ==, NULL);
	(void)hilo_fail(-EIO, "with all that as its cause");
	TASK_CHECK_TEXT(hilo_error_cause(1, NULL, NULL), "failure 1");
	(void)hilo_fail(-EIO, "without");
	TASK_CHECK(hilo_error_cause(1, NULL, NULL), ==, NULL);
	return 0;
}

/* What has failed besides a cause is told by nobody, so it is not kept: else such a tree would have any depth. */
TASK_TEST(test_failures_besides_a_cause_go)
{
	hilo_task_opts opts = {.size = sizeof(opts), .stack = HILO_STACK_16K};
	hilo_task *task;

	TASK_CHECK(hilo_spawn_with(holds_and_drops_a_nest, NULL, &opts, &task), ==, 0);
	return hilo_join(task, HILO_FOREVER);
}

TASK_TEST(test_cancel_of_the_group_is_no_failure)
{
	int rc, inside = 0;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		TASK_CHECK(hilo_group_cancel(group), ==, 0);
		TASK_CHECK(hilo_group_cancel(group), ==, 0);
		TASK_CHECK(hilo_group_spawn(group, test_entry_sleep_forever, NULL), ==, HILO_ECLOSED);
		inside = hilo_sleep(HILO_SECOND);
		rc = inside;
	}
	TASK_CHECK(inside, ==, -ECANCELED);
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_sleep(1), ==, 0);
	return 0;
}

/* Before its first task, which is not even begun then. */
TASK_TEST(test_cancel_of_a_group_without_tasks)
{
	atomic(unsigned) ran = 0;
	int rc;

	HILO_GROUP (group, &rc) {
		TASK_CHECK(hilo_group_cancel(group), ==, 0);
		TASK_CHECK(hilo_group_spawn(group, add_one, &ran), ==, HILO_ECLOSED);
		TASK_CHECK(hilo_group_size(group), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(load_relaxed(&ran), ==, 0);
	TASK_CHECK(hilo_sleep(1), ==, 0);
	return 0;
}

static int cancel_group(void *group)
{
	return hilo_group_cancel(group);
}

TASK_TEST(test_task_cancels_its_group)
{
	int rc;

	HILO_GROUP (group, &rc) {
		for (int i = 0; i < 40; i++)
			(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		(void)hilo_group_spawn(group, cancel_group, group);
		rc = hilo_sleep_until(HILO_FOREVER - 1);
	}
	TASK_CHECK(rc, ==, 0);
	return 0;
}

struct tree {
	atomic(hilo_group *) group;
	atomic(unsigned) ran;
};

static int spawn_two(void *arg)
{
	struct tree *tree = arg;

	if (add_relaxed(&tree->ran, 1) < 200)
		for (int i = 0; i < 2; i++)
			TASK_CHECK(hilo_group_spawn(tree->group, spawn_two, tree), ==, 0);
	return 0;
}

TASK_TEST(test_tasks_spawn_into_their_group)
{
	struct tree tree = {.ran = 0};
	int rc;

	HILO_GROUP (group, &rc) {
		tree.group = group;
		(void)hilo_group_spawn(group, spawn_two, &tree);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(load_relaxed(&tree.ran), >=, 201);
	return 0;
}

struct waits {
	atomic(unsigned) ready;
	int inner;
};

static int waits_in_a_group(void *arg)
{
	struct waits *waits = arg;
	int rc;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		store_release(&waits->ready, 1);
	}
	waits->inner = rc;
	return rc;
}

TASK_TEST(test_cancel_of_the_owner_cancels_the_tasks)
{
	struct waits waits = {.ready = 0};
	hilo_task *task = hilo_spawn(waits_in_a_group, &waits);

	TEST_UNTIL(load_acquire(&waits.ready));
	TASK_CHECK(hilo_task_cancel_with(task, "enough"), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(waits.inner, ==, -ECANCELED);
	TASK_CHECK_CONTAINS(hilo_error_message(), "enough");
	return 0;
}

TASK_TEST(test_cancel_before_the_block_cancels_the_tasks)
{
	hilo_task *task = NULL;
	int rc;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	HILO_GROUP (group, &rc)
		(void)hilo_group_spawn_with(group, test_entry_sleep_forever, NULL, NULL, &task);
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, -ECANCELED);
	return 0;
}

/* In a cleanup the request does not reach it. */
TASK_TEST(test_cancel_that_a_shield_keeps_off_does_not_reach_the_group)
{
	int rc;

	TASK_CHECK(hilo_shield_enter(), ==, 0);
	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
		TASK_CHECK(hilo_group_cancel(group), ==, 0);
		rc = hilo_sleep_until(HILO_FOREVER - 1);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	TASK_CHECK(hilo_task_uncancel(), ==, 0);
	return 0;
}

TASK_TEST(test_block_that_ends_as_cancelled_by_itself)
{
	int rc;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		rc = -ECANCELED; /* of a task that it has awaited, maybe */
	}
	TASK_CHECK(rc, ==, -ECANCELED);
	TASK_CHECK(hilo_task_cancelling(hilo_task_current()), ==, 0);
	return hilo_sleep(1);
}

static int sleeps_in_nested_groups(void *arg)
{
	int inner = 0, rc;

	(void)arg;
	HILO_GROUP (outside, &rc) {
		HILO_GROUP (inside, &inner) {
			(void)hilo_group_spawn(inside, test_entry_sleep_forever, NULL);
			(void)hilo_group_spawn(outside, fail_with, (void *)EPROTO);
		}
		TASK_CHECK(inner, ==, -ECANCELED); /* the outer group's request */
		rc = inner;
	}
	TASK_CHECK(rc, ==, -EPROTO);
	return hilo_sleep(1);
}

TASK_TEST(test_failure_in_the_outer_group_reaches_the_inner_one)
{
	return hilo_join(hilo_spawn(sleeps_in_nested_groups, NULL), HILO_FOREVER);
}

TASK_TEST(test_timeout_around_a_group)
{
	int rc, limit = 0;

	HILO_TIMEOUT (timeout, hilo_after(2 * HILO_MILLISECOND), &limit) {
		HILO_GROUP (group, &rc)
			(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		TASK_CHECK(rc, ==, -ECANCELED);
		limit = rc;
	}
	TASK_CHECK(limit, ==, -ETIMEDOUT);
	return hilo_sleep(1);
}

static int leaves_by_return(atomic(unsigned) * ran)
{
	int rc;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, sleep_then_add, ran);
		return 7;
	}
	return rc;
}

TASK_TEST(test_every_way_out_waits)
{
	atomic(unsigned) ran = 0;
	int rc;

	TASK_CHECK(leaves_by_return(&ran), ==, 7);
	TASK_CHECK(load_relaxed(&ran), ==, 1);
	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, sleep_then_add, &ran);
		break;
	}
	TASK_CHECK(load_relaxed(&ran), ==, 2);
	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, sleep_then_add, &ran);
		goto out;
	}
out:
	TASK_CHECK(load_relaxed(&ran), ==, 3);
	return rc;
}

static void count_drop(void *arg)
{
	(void)add_relaxed((atomic(unsigned) *)arg, 1);
}

TASK_TEST(test_spawn_with_options_and_handle)
{
	hilo_task_opts opts = {.size = sizeof(opts), .name = "child", .destroy = count_drop};
	atomic(unsigned) count = 0;
	hilo_task *task = NULL;
	int rc;

	HILO_GROUP (group, &rc) {
		TASK_CHECK(hilo_group_spawn_with(group, add_one, &count, &opts, &task), ==, 0);
		TASK_CHECK_TEXT(hilo_task_name(task), "child");
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(load_relaxed(&count), ==, 2);
	opts.flags = 1u << 30;
	HILO_GROUP (group, &rc)
		TASK_CHECK(hilo_group_spawn_with(group, add_one, &count, &opts, NULL), ==, -EINVAL);
	TASK_CHECK(rc, ==, -EINVAL); /* it has failed like any other */
	return 0;
}

TASK_TEST(test_task_that_cannot_be_spawned_has_failed)
{
	atomic(unsigned) ran = 0;
	int rc;

	HILO_GROUP (group, &rc) {
		(void)hilo_group_spawn(group, test_entry_sleep_forever, NULL);
		hilo__mem_fail_at(1, true);
		while (hilo_group_spawn(group, sleep_then_add, &ran) == 0)
			;
		hilo__mem_fail_at(0, false);
	}
	TASK_CHECK(rc, ==, -ENOMEM);
	return 0;
}

static void spawn_late(void *arg)
{
	struct tree *tree = arg;

	TASK_CHECK(hilo_group_spawn(tree->group, add_one, &tree->ran), ==, 0);
	store_release(&tree->group, NULL);
}

TASK_TEST(test_callback_spawns_into_a_group)
{
	struct tree tree = {.ran = 0};
	int rc;

	HILO_GROUP (group, &rc) {
		store_release(&tree.group, group);
		TASK_CHECK(hilo_call_soon(spawn_late, &tree, NULL), ==, 0);
		TEST_UNTIL(!load_acquire(&tree.group));
	}
	TASK_CHECK(rc, ==, 0);
	TASK_CHECK(load_relaxed(&tree.ran), ==, 1);
	return 0;
}

TASK_TEST(test_wrong_calls_are_refused)
{
	int rc;

	TASK_CHECK(hilo_group_enter(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_group_leave(NULL, 0), ==, -EINVAL);
	TASK_CHECK(hilo_group_cancel(NULL), ==, -EINVAL);
	TASK_CHECK(hilo_group_size(NULL), ==, 0);
	TASK_CHECK(hilo_group_spawn(NULL, add_one, NULL), ==, -EINVAL);
	HILO_GROUP (group, &rc)
		TASK_CHECK(hilo_group_spawn(group, NULL, NULL), ==, -EINVAL);
	TASK_CHECK(rc, ==, 0);
	return 0;
}

static void test_only_a_task_can(void **state)
{
	int rc = 0;

	(void)state;
	HILO_GROUP (group, &rc)
		rc = 1;
	assert_int_equal(rc, -EDEADLK);
}

/* Everything at once: tasks that fail, spawn, are cancelled, and an owner that is cancelled or not. */
static int in_disorder(void *arg)
{
	hilo_group *group = arg;
	unsigned lot = (unsigned)hilo_task_id(hilo_task_current()) * 2654435761u >> 28;

	if (lot < 6)
		(void)hilo_group_spawn(group, in_disorder, group);
	if (lot == 7)
		return -EPROTO;
	if (lot == 8)
		return hilo_group_cancel(group);
	return lot % 2 ? hilo_yield() : hilo_sleep(lot * HILO_MICROSECOND);
}

static int runs_a_group(void *arg)
{
	int rc;

	(void)arg;
	HILO_GROUP (group, &rc) {
		for (int i = 0; i < 10; i++)
			(void)hilo_group_spawn(group, in_disorder, group);
		if (hilo_task_id(hilo_task_current()) % 2)
			rc = hilo_yield();
	}
	if (rc < 0 && rc != -EPROTO)
		TASK_CHECK(rc, ==, -ECANCELED);
	return rc == -EPROTO ? 0 : rc;
}

TASK_TEST(test_groups_in_disorder)
{
	hilo_task *tasks[16];

	for (unsigned round = 0; round < test_rounds(50); round++) {
		for (int i = 0; i < 16; i++)
			tasks[i] = hilo_spawn(runs_a_group, NULL);
		for (int i = 0; i < 16; i += 3)
			(void)hilo_task_cancel(tasks[i]);
		for (int i = 0; i < 16; i++) {
			int rc = hilo_join(tasks[i], HILO_FOREVER);

			if (rc < 0)
				TASK_CHECK(rc, ==, -ECANCELED);
		}
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_waits_for_its_tasks),
		cmocka_unit_test(test_block_without_tasks),
		cmocka_unit_test(test_first_failure_cancels_the_others),
		cmocka_unit_test(test_failure_interrupts_the_block),
		cmocka_unit_test(test_failure_of_the_block_cancels_its_tasks),
		cmocka_unit_test(test_all_failures_are_kept),
		cmocka_unit_test(test_failures_of_an_inner_group_come_along),
		cmocka_unit_test(test_failures_besides_a_cause_go),
		cmocka_unit_test(test_cancel_of_the_group_is_no_failure),
		cmocka_unit_test(test_cancel_of_a_group_without_tasks),
		cmocka_unit_test(test_task_cancels_its_group),
		cmocka_unit_test(test_tasks_spawn_into_their_group),
		cmocka_unit_test(test_cancel_of_the_owner_cancels_the_tasks),
		cmocka_unit_test(test_cancel_before_the_block_cancels_the_tasks),
		cmocka_unit_test(test_cancel_that_a_shield_keeps_off_does_not_reach_the_group),
		cmocka_unit_test(test_block_that_ends_as_cancelled_by_itself),
		cmocka_unit_test(test_failure_in_the_outer_group_reaches_the_inner_one),
		cmocka_unit_test(test_timeout_around_a_group),
		cmocka_unit_test(test_every_way_out_waits),
		cmocka_unit_test(test_spawn_with_options_and_handle),
		cmocka_unit_test(test_task_that_cannot_be_spawned_has_failed),
		cmocka_unit_test(test_callback_spawns_into_a_group),
		cmocka_unit_test(test_wrong_calls_are_refused),
		cmocka_unit_test(test_only_a_task_can),
		cmocka_unit_test(test_groups_in_disorder),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
