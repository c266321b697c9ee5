/* SPDX-License-Identifier: MIT */
/* Queues as stores: what is in them, in which order, what they take, what they refuse. Nobody waits here. */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/base/mem.h"
#include "sync/queue_impl.h"

#define MANY 5000

static void *number(intptr_t i)
{
	return (void *)i;
}

static int compare_numbers(const void *a, const void *b, void *arg)
{
	intptr_t x = (intptr_t)a, y = (intptr_t)b;

	(void)arg;
	return (x > y) - (x < y);
}

/* Only the tens: so there are equal ones. */
static int compare_tens(const void *a, const void *b, void *arg)
{
	assert_ptr_equal(arg, &compare_numbers);
	return compare_numbers(number((intptr_t)a / 10), number((intptr_t)b / 10), NULL);
}

/* By either of two calls, which are the same where nobody waits. */
static int put_either(hilo_queue *queue, void *item)
{
	static unsigned calls;
	int rc = random_mix(calls++) % 2 ? hilo_queue_put(queue, item, HILO_NO_WAIT)
					 : hilo_queue_try_put(queue, item);

	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

static int get_either(hilo_queue *queue, void **ret)
{
	static unsigned calls;
	int rc = random_mix(calls++ ^ 1) % 2 ? hilo_queue_get(queue, ret, HILO_NO_WAIT)
					     : hilo_queue_try_get(queue, ret);

	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

static void put_all(hilo_queue *queue, intptr_t from, intptr_t to)
{
	for (intptr_t i = from; i < to; i++)
		assert_int_equal(put_either(queue, number(i)), 0);
}

static intptr_t get_one(hilo_queue *queue)
{
	void *item = NULL;

	assert_int_equal(get_either(queue, &item), 0);
	return (intptr_t)item;
}

static void get_none(hilo_queue *queue)
{
	void *item = &item;

	assert_int_equal(get_either(queue, &item), -EAGAIN);
	assert_ptr_equal(item, &item); /* set on success only */
}

static void test_the_oldest_item_comes_first(void **state)
{
	hilo_queue *queue = hilo_queue_new(100);

	(void)state;
	put_all(queue, 0, 100);
	for (intptr_t i = 0; i < 100; i++)
		assert_int_equal(get_one(queue), i);
	get_none(queue);
	assert_int_equal(hilo_queue_free(queue), 0);
}

/* Every capacity around the sizes of the pieces, filled and emptied by all kinds of amounts. */
static void test_order_holds_across_pieces_of_memory(void **state)
{
	static const size_t capacities[] = {
		1, 2, 14, 15, 16, 62, 63, 64, 78, 79, 141, 1024, HILO_QUEUE_UNBOUNDED};

	(void)state;
	for (size_t c = 0; c < array_size(capacities); c++) {
		hilo_queue *queue = hilo_queue_new(capacities[c]);
		struct random random = {test_seed() + c};
		intptr_t next_put = 0, next_get = 0;

		for (unsigned round = 0; round < test_rounds(300); round++) {
			for (unsigned n = random_below(&random, 200); n > 0; n--) {
				int rc = put_either(queue, number(next_put));

				if ((size_t)(next_put - next_get) < capacities[c]) {
					assert_int_equal(rc, 0);
					next_put++;
				} else {
					assert_int_equal(rc, -EAGAIN);
					assert_int_equal(hilo_queue_is_full(queue), 1);
				}
			}
			assert_int_equal(hilo_queue_size(queue), next_put - next_get);
			for (unsigned n = random_below(&random, 200); n > 0 && next_get < next_put; n--)
				assert_int_equal(get_one(queue), next_get++);
			if (random_below(&random, 20) == 0)
				(void)hilo_queue_trim(queue);
		}
		while (next_get < next_put)
			assert_int_equal(get_one(queue), next_get++);
		get_none(queue);
		assert_int_equal(hilo_queue_free(queue), 0);
	}
}

static void test_the_newest_item_comes_first_in_a_lifo_queue(void **state)
{
	hilo_queue *queue = hilo_queue_new_lifo(MANY);

	(void)state;
	put_all(queue, 0, MANY);
	assert_int_equal(hilo_queue_try_put(queue, NULL), -EAGAIN);
	for (intptr_t i = MANY - 1; i >= MANY / 2; i--)
		assert_int_equal(get_one(queue), i);
	put_all(queue, MANY / 2, MANY);
	for (intptr_t i = MANY - 1; i >= 0; i--)
		assert_int_equal(get_one(queue), i);
	get_none(queue);
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_the_lowest_item_comes_first_in_a_priority_queue(void **state)
{
	hilo_queue *queue = hilo_queue_new_priority(HILO_QUEUE_UNBOUNDED, compare_numbers, NULL);
	struct random random = {test_seed()};
	intptr_t last = -1, next;

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(put_either(queue, number(random_below(&random, 1000))), 0);
	for (int i = 0; i < MANY; i++) {
		next = get_one(queue);
		assert_true(next >= last);
		last = next;
	}
	get_none(queue);
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_equal_items_of_a_priority_queue_come_in_order_of_arrival(void **state)
{
	hilo_queue *queue = hilo_queue_new_priority(MANY, compare_tens, (void *)&compare_numbers);

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(put_either(queue, number((MANY - 1 - i) / 10 * 10 + i % 10)), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(get_one(queue), i);
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_null_is_an_item_like_others(void **state)
{
	hilo_queue *queue = hilo_queue_new(2);
	void *item = &item;

	(void)state;
	assert_int_equal(hilo_queue_put(queue, NULL, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_queue_size(queue), 1);
	assert_int_equal(hilo_queue_get(queue, &item, HILO_NO_WAIT), 0);
	assert_null(item);
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_sizes_are_told(void **state)
{
	hilo_queue *bounded = hilo_queue_new(2), *unbounded = hilo_queue_new_unbounded();
	hilo_queue *rendezvous = hilo_queue_new_rendezvous();

	(void)state;
	assert_int_equal(hilo_queue_capacity(bounded), 2);
	assert_true(hilo_queue_is_empty(bounded));
	put_all(bounded, 0, 1);
	assert_false(hilo_queue_is_empty(bounded));
	assert_false(hilo_queue_is_full(bounded));
	put_all(bounded, 1, 2);
	assert_true(hilo_queue_is_full(bounded));
	assert_int_equal(hilo_queue_size(bounded), 2);

	assert_true(hilo_queue_capacity(unbounded) == HILO_QUEUE_UNBOUNDED);
	put_all(unbounded, 0, MANY);
	assert_int_equal(hilo_queue_size(unbounded), MANY);
	assert_false(hilo_queue_is_full(unbounded));

	assert_int_equal(hilo_queue_capacity(rendezvous), 0);
	assert_int_equal(hilo_queue_size(rendezvous), 0);
	assert_true(hilo_queue_is_empty(rendezvous));
	assert_true(hilo_queue_is_full(rendezvous));
	assert_int_equal(hilo_queue_try_put(rendezvous, NULL), -EAGAIN); /* nobody waits for it */
	get_none(rendezvous);

	assert_int_equal(hilo_queue_free(bounded), 0);
	assert_int_equal(hilo_queue_free(unbounded), 0);
	assert_int_equal(hilo_queue_free(rendezvous), 0);
}

/* There is an end to everything. */
#if defined(HILO__ASAN) || defined(HILO__TSAN)
#define TEST_SANITIZED true
#else
#define TEST_SANITIZED false
#endif

static void test_more_items_than_there_can_be_are_refused(void **state)
{
	hilo_queue *stack = hilo_queue_new_lifo(HILO_QUEUE_UNBOUNDED);
	unsigned chunks = stack->vector->chunks;

	(void)state;
	if (TEST_SANITIZED || test_on_valgrind()) {
		assert_int_equal(hilo_queue_free(stack), 0);
		TEST_SKIP("sanitizers end the process when so much memory is asked for");
	}
	stack->vector->chunks = QUEUE_CHUNKS;
	stack->count = (size_t)QUEUE_CHUNK << (QUEUE_CHUNKS - 1);
	assert_int_equal(hilo_queue_try_put(stack, number(1)), -ENOMEM);
	assert_int_equal(hilo_queue_put(stack, number(1), HILO_NO_WAIT), -ENOMEM);
	stack->vector->chunks = chunks;
	stack->count = 0;
	assert_int_equal(hilo_queue_free(stack), 0);
}

static int compare_with_the_queue(const void *a, const void *b, void *arg)
{
	(void)hilo_queue_put(*(hilo_queue **)arg, (void *)a, HILO_NO_WAIT);
	return a < b;
}

static void test_a_compare_function_that_uses_its_queue_ends_the_process(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		static hilo_queue *queue;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(STDERR_FILENO);
		queue = hilo_queue_new_priority(3, compare_with_the_queue, &queue);
		(void)hilo_queue_put(queue, number(1), HILO_NO_WAIT);
		(void)hilo_queue_put(queue, number(2), HILO_NO_WAIT);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_misuse_is_answered(void **state)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = 1, .order = HILO_QUEUE_PRIORITY};
	hilo_queue *queue = NULL;

	(void)state;
	assert_null(hilo_queue_new(0));
	assert_int_equal(hilo_error_code(), -EINVAL);
	assert_non_null(strstr(hilo_error_message(), "HILO_QUEUE_UNBOUNDED"));
	for (int i = 1; i <= 3; i++) { /* what a mistake gives */
		assert_null(hilo_queue_new((size_t)-i));
		assert_int_equal(hilo_error_code(), -EINVAL);
	}
	assert_non_null(strstr(hilo_error_message(), "capacity is -3: no limit is HILO_QUEUE_UNBOUNDED"));
	assert_null(hilo_queue_new_priority(1, NULL, NULL));
	assert_int_equal(hilo_queue_new_with(NULL, &queue), -EINVAL);
	assert_int_equal(hilo_queue_new_with(&opts, NULL), -EINVAL);
	assert_int_equal(hilo_queue_new_with(&opts, &queue), -EINVAL); /* no compare */
	opts.compare = compare_numbers;
	opts.capacity = HILO_QUEUE_RENDEZVOUS;
	assert_int_equal(hilo_queue_new_with(&opts, &queue), -EINVAL);
	opts.capacity = 1;
	opts.order = HILO_QUEUE_FIFO;
	assert_int_equal(hilo_queue_new_with(&opts, &queue), -EINVAL); /* compare for nothing */
	opts.order = (enum hilo_queue_order)7;
	assert_int_equal(hilo_queue_new_with(&opts, &queue), -EINVAL);
	assert_null(queue);

	queue = hilo_queue_new(1);
	assert_int_equal(hilo_queue_try_get(queue, NULL), -EINVAL);
	assert_int_equal(hilo_queue_get(queue, NULL, HILO_NO_WAIT), -EINVAL);
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_null_could_not_be_made(void **state)
{
	void *item;

	(void)state;
	assert_int_equal(hilo_queue_put(NULL, NULL, HILO_FOREVER), -ENOMEM);
	assert_int_equal(hilo_queue_get(NULL, &item, HILO_FOREVER), -ENOMEM);
	assert_int_equal(hilo_queue_try_put(NULL, NULL), -ENOMEM);
	assert_int_equal(hilo_queue_try_get(NULL, &item), -ENOMEM);
	assert_int_equal(hilo_queue_task_done(NULL), -ENOMEM);
	assert_int_equal(hilo_queue_join(NULL, HILO_FOREVER), -ENOMEM);
	assert_int_equal(hilo_queue_shutdown(NULL, 0), -ENOMEM);
	assert_int_equal(hilo_queue_free(NULL), 0);
	assert_int_equal(hilo_queue_size(NULL), 0);
	assert_int_equal(hilo_queue_capacity(NULL), 0);
	assert_int_equal(hilo_queue_trim(NULL), 0);
	assert_true(hilo_queue_is_empty(NULL));
	assert_true(hilo_queue_is_full(NULL));
}

static void test_done_is_said_once_for_each_item(void **state)
{
	hilo_queue *queue = hilo_queue_new(2);

	(void)state;
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), 0); /* nothing was put */
	assert_int_equal(hilo_queue_task_done(queue), HILO_EINVALSTATE);
	put_all(queue, 0, 2);
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), -ETIMEDOUT);
	(void)get_one(queue);
	(void)get_one(queue);
	assert_int_equal(hilo_queue_task_done(queue), 0);
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), -ETIMEDOUT);
	assert_int_equal(hilo_queue_task_done(queue), 0);
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_queue_task_done(queue), HILO_EINVALSTATE);
	assert_non_null(strstr(hilo_error_message(), "hilo_queue_task_done"));
	assert_int_equal(hilo_queue_free(queue), 0);
}

static void test_what_is_there_at_shutdown_can_be_got(void **state)
{
	hilo_queue *queue = hilo_queue_new(3);
	void *item;

	(void)state;
	put_all(queue, 0, 2);
	assert_int_equal(hilo_queue_shutdown(queue, 0), 0);
	assert_int_equal(hilo_queue_try_put(queue, NULL), -EPIPE);
	assert_int_equal(hilo_queue_put(queue, NULL, HILO_FOREVER), -EPIPE);
	assert_int_equal(get_one(queue), 0);
	assert_int_equal(hilo_queue_shutdown(queue, 0), 0);
	assert_int_equal(hilo_queue_get(queue, &item, HILO_FOREVER), 0);
	assert_int_equal(hilo_queue_try_get(queue, &item), -EPIPE);
	assert_int_equal(hilo_queue_get(queue, &item, HILO_FOREVER), -EPIPE);
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), -ETIMEDOUT); /* nobody has said done */
	assert_int_equal(hilo_queue_free(queue), 0);
}

static unsigned drops;
static intptr_t drops_sum;

static void drop_number(void *item)
{
	drops++;
	drops_sum += (intptr_t)item;
}

/* Each kind of store, with more items than are dropped at a time. */
static void test_an_immediate_shutdown_drops_what_is_there(void **state)
{
	(void)state;
	for (int order = HILO_QUEUE_FIFO; order <= HILO_QUEUE_PRIORITY; order++) {
		hilo_queue_opts opts = {.size = sizeof(opts),
					.capacity = HILO_QUEUE_UNBOUNDED,
					.order = (enum hilo_queue_order)order,
					.compare = order == HILO_QUEUE_PRIORITY ? compare_numbers : NULL,
					.drop = drop_number};
		long live = hilo__mem_live();
		hilo_queue *queue;
		void *item;

		drops = 0;
		drops_sum = 0;
		assert_int_equal(hilo_queue_new_with(&opts, &queue), 0);
		put_all(queue, 0, 200);
		(void)get_one(queue);
		assert_int_equal(hilo_queue_shutdown(queue, 0), 0);
		assert_int_equal(hilo_queue_shutdown(queue, 1), 0);
		assert_int_equal(drops, 199);
		assert_true(drops_sum == 199 * 200 / 2 || drops_sum == 198 * 199 / 2);
		assert_int_equal(hilo_queue_size(queue), 0);
		assert_int_equal(hilo_queue_try_get(queue, &item), -EPIPE);
		/* The one that was got is not done. */
		assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), -ETIMEDOUT);
		assert_int_equal(hilo_queue_task_done(queue), 0);
		assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), 0);
		assert_int_equal(hilo_queue_free(queue), 0);
		assert_int_equal(drops, 199);
		assert_int_equal(hilo__mem_live(), live);
	}
}

static void test_free_drops_what_is_left(void **state)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = 100, .drop = drop_number};
	hilo_queue *queue;

	(void)state;
	drops = 0;
	assert_int_equal(hilo_queue_new_with(&opts, &queue), 0);
	put_all(queue, 0, 100);
	assert_int_equal(hilo_queue_free(queue), 0);
	assert_int_equal(drops, 100);
}

/* After a burst there is a piece more than at the beginning, at most, and trim gives that back. */
static void test_memory_goes_back_after_a_burst(void **state)
{
	long before = hilo__mem_live();

	(void)state;
	for (int order = HILO_QUEUE_FIFO; order <= HILO_QUEUE_PRIORITY; order++) {
		hilo_queue *queue =
			order == HILO_QUEUE_FIFO ? hilo_queue_new_unbounded()
			: order == HILO_QUEUE_LIFO
				? hilo_queue_new_lifo(HILO_QUEUE_UNBOUNDED)
				: hilo_queue_new_priority(HILO_QUEUE_UNBOUNDED, compare_numbers, NULL);
		long live = hilo__mem_live();

		for (int round = 0; round < 3; round++) {
			put_all(queue, 0, MANY);
			assert_true(hilo__mem_live() > live + 5);
			for (int i = 0; i < MANY; i++)
				(void)get_one(queue);
			assert_true(hilo__mem_live() <= live + 1);
		}
		put_all(queue, 0, MANY);
		for (int i = 0; i < MANY; i++)
			(void)get_one(queue);
		assert_int_equal(hilo_queue_trim(queue) > 0,
				 order == HILO_QUEUE_FIFO); /* a vector keeps none */
		assert_int_equal(hilo_queue_trim(queue), 0);
		assert_int_equal(hilo__mem_live(), live);
		put_all(queue, 0, MANY);
		assert_int_equal(hilo_queue_free(queue), 0);
	}
	assert_int_equal(hilo__mem_live(), before);
}

/* What is refused has changed nothing, and a small queue needs no more than it has. */
static void test_without_memory_nothing_is_put(void **state)
{
	hilo_queue *small = hilo_queue_new(15), *queue = hilo_queue_new_unbounded();
	hilo_queue *stack = hilo_queue_new_lifo(HILO_QUEUE_UNBOUNDED);
	intptr_t n = 0;
	int rc;

	(void)state;
	hilo__mem_fail_at(1, true);
	assert_null(hilo_queue_new(1));
	for (int round = 0; round < 100; round++) {
		put_all(small, 0, 15);
		assert_int_equal(hilo_queue_try_put(small, NULL), -EAGAIN);
		for (intptr_t i = 0; i < 15 - round % 7; i++)
			assert_int_equal(get_one(small), i);
		for (intptr_t i = 15 - round % 7; i < 15; i++)
			assert_int_equal(get_one(small), i);
	}
	while ((rc = hilo_queue_try_put(queue, number(n))) == 0)
		n++;
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(hilo_queue_put(queue, number(n), HILO_FOREVER), -ENOMEM);
	assert_int_equal(hilo_queue_size(queue), n);
	while ((rc = hilo_queue_try_put(stack, NULL)) == 0)
		;
	assert_int_equal(rc, -ENOMEM);
	hilo__mem_fail_at(0, false);
	assert_int_equal(hilo_queue_put(queue, number(n), HILO_FOREVER), 0);
	for (intptr_t i = 0; i <= n; i++)
		assert_int_equal(get_one(queue), i);
	assert_int_equal(hilo_queue_free(small), 0);
	assert_int_equal(hilo_queue_free(queue), 0);
	assert_int_equal(hilo_queue_free(stack), 0);
}

/* The header says so. */
static void test_a_queue_takes_what_is_documented(void **state)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = 1};

	(void)state;
	assert_int_equal(hilo__queue_bytes(&opts), 208 + 8);
	opts.capacity = HILO_QUEUE_UNBOUNDED;
	assert_int_equal(hilo__queue_bytes(&opts), 208 + 15 * 8);
	opts.order = HILO_QUEUE_LIFO;
	assert_true(hilo__queue_bytes(&opts) <= 768);
}

static void test_items_said_to_be_done_too_early_are_done(void **state)
{
	hilo_queue *queue = hilo_queue_new(2);

	(void)state;
	assert_int_equal(hilo_queue_try_put(queue, NULL), 0);
	assert_int_equal(hilo_queue_try_put(queue, NULL), 0);
	assert_int_equal(hilo_queue_task_done(queue), 0);
	assert_int_equal(hilo_queue_shutdown(queue, 1), 0);
	assert_int_equal(hilo_queue_task_done(queue), HILO_EINVALSTATE);
	assert_int_equal(hilo_queue_join(queue, HILO_NO_WAIT), 0);
	assert_int_equal(hilo_queue_free(queue), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_oldest_item_comes_first),
		cmocka_unit_test(test_order_holds_across_pieces_of_memory),
		cmocka_unit_test(test_the_newest_item_comes_first_in_a_lifo_queue),
		cmocka_unit_test(test_the_lowest_item_comes_first_in_a_priority_queue),
		cmocka_unit_test(test_equal_items_of_a_priority_queue_come_in_order_of_arrival),
		cmocka_unit_test(test_null_is_an_item_like_others),
		cmocka_unit_test(test_sizes_are_told),
		cmocka_unit_test(test_more_items_than_there_can_be_are_refused),
		cmocka_unit_test(test_a_compare_function_that_uses_its_queue_ends_the_process),
		cmocka_unit_test(test_misuse_is_answered),
		cmocka_unit_test(test_null_could_not_be_made),
		cmocka_unit_test(test_done_is_said_once_for_each_item),
		cmocka_unit_test(test_what_is_there_at_shutdown_can_be_got),
		cmocka_unit_test(test_an_immediate_shutdown_drops_what_is_there),
		cmocka_unit_test(test_free_drops_what_is_left),
		cmocka_unit_test(test_memory_goes_back_after_a_burst),
		cmocka_unit_test(test_without_memory_nothing_is_put),
		cmocka_unit_test(test_a_queue_takes_what_is_documented),
		cmocka_unit_test(test_items_said_to_be_done_too_early_are_done),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
