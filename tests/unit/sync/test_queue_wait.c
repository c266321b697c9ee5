/* SPDX-License-Identifier: MIT */
/* Waiting in queues: who is served and in which order, what ends a wait, and from where it can be done. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "scheduler/base/mem.h"
#include "sync/queue_impl.h"

#define CROWD 20

/* One call in a task or a thread of its own. */
struct attempt {
	hilo_queue *queue;
	void *item; /* to put, or got */
	hilo_time deadline;
	int rc;
	hilo_task *task;
};

static int get_call(void *arg)
{
	struct attempt *call = arg;

	call->rc = hilo_queue_get(call->queue, &call->item, call->deadline);
	return 0;
}

static int put_call(void *arg)
{
	struct attempt *call = arg;

	call->rc = hilo_queue_put(call->queue, call->item, call->deadline);
	return 0;
}

static int join_call(void *arg)
{
	struct attempt *call = arg;

	call->rc = hilo_queue_join(call->queue, call->deadline);
	return 0;
}

static size_t waiting(hilo_queue *queue)
{
	size_t n;

	hilo__queue_lock(queue);
	n = queue->waiting;
	hilo__queue_unlock(queue);
	return n;
}

/* Start one more that waits in @queue; returns when it does. */
static void start(struct attempt *call, hilo_task_fn fn, hilo_queue *queue, intptr_t item, hilo_time deadline)
{
	size_t before = waiting(queue);

	*call = (struct attempt){queue, (void *)item, deadline, 1, NULL};
	call->task = hilo_spawn(fn, call);
	TEST_UNTIL(waiting(queue) == before + 1);
}

static int end(struct attempt *call)
{
	TASK_CHECK(hilo_join(call->task, HILO_FOREVER), ==, 0);
	return call->rc;
}

static void put_now(hilo_queue *queue, intptr_t item)
{
	TASK_CHECK(hilo_queue_try_put(queue, (void *)item), ==, 0);
}

static intptr_t get_now(hilo_queue *queue)
{
	void *item = NULL;

	TASK_CHECK(hilo_queue_try_get(queue, &item), ==, 0);
	return (intptr_t)item;
}

TASK_TEST(test_getters_are_served_in_order_of_arrival)
{
	hilo_queue *queue = hilo_queue_new(CROWD);
	struct attempt call[CROWD];

	for (int i = 0; i < CROWD; i++)
		start(&call[i], get_call, queue, -1, HILO_FOREVER);
	for (int i = 0; i < CROWD; i++)
		put_now(queue, i);
	TASK_CHECK(hilo_queue_size(queue), ==, 0); /* each went to a getter at once */
	for (int i = 0; i < CROWD; i++) {
		TASK_CHECK(end(&call[i]), ==, 0);
		TASK_CHECK((intptr_t)call[i].item, ==, i);
	}
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

TASK_TEST(test_putters_are_served_in_order_of_arrival)
{
	hilo_queue *queue = hilo_queue_new(2);
	struct attempt call[CROWD];

	put_now(queue, 0);
	put_now(queue, 1);
	for (int i = 0; i < CROWD; i++)
		start(&call[i], put_call, queue, 2 + i, HILO_FOREVER);
	TASK_CHECK(hilo_queue_try_put(queue, NULL), ==, -EAGAIN);
	for (int i = 0; i < CROWD; i++) {
		TASK_CHECK(get_now(queue), ==, i);
		TASK_CHECK(hilo_queue_size(queue), ==, 2); /* that of the first who waited took the place */
		TASK_CHECK(end(&call[i]), ==, 0);
	}
	TASK_CHECK(get_now(queue), ==, CROWD);
	TASK_CHECK(get_now(queue), ==, CROWD + 1);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* The item of a putter that waited takes its own place among the others. */
static int compare_numbers(const void *a, const void *b, void *arg)
{
	(void)arg;
	return ((intptr_t)a > (intptr_t)b) - ((intptr_t)a < (intptr_t)b);
}

TASK_TEST(test_an_item_that_waited_is_ordered_as_others)
{
	hilo_queue *low = hilo_queue_new_priority(2, compare_numbers, NULL), *newest = hilo_queue_new_lifo(2);
	struct attempt one, other;

	put_now(low, 5);
	put_now(low, 7);
	put_now(newest, 5);
	put_now(newest, 7);
	start(&one, put_call, low, 6, HILO_FOREVER);
	start(&other, put_call, newest, 6, HILO_FOREVER);
	TASK_CHECK(get_now(low), ==, 5);
	TASK_CHECK(get_now(low), ==, 6);
	TASK_CHECK(get_now(low), ==, 7);
	TASK_CHECK(get_now(newest), ==, 7);
	TASK_CHECK(get_now(newest), ==, 6);
	TASK_CHECK(get_now(newest), ==, 5);
	TASK_CHECK(end(&one), ==, 0);
	TASK_CHECK(end(&other), ==, 0);
	/* And to who waits for one it is handed in each kind. */
	start(&one, get_call, low, -1, HILO_FOREVER);
	start(&other, get_call, newest, -1, HILO_FOREVER);
	put_now(low, 3);
	put_now(newest, 4);
	TASK_CHECK(end(&one), ==, 0);
	TASK_CHECK(end(&other), ==, 0);
	TASK_CHECK((intptr_t)one.item, ==, 3);
	TASK_CHECK((intptr_t)other.item, ==, 4);
	TASK_CHECK(hilo_queue_free(low), ==, 0);
	TASK_CHECK(hilo_queue_free(newest), ==, 0);
	return 0;
}

TASK_TEST(test_a_deadline_leaves_the_item_where_it_is)
{
	hilo_queue *queue = hilo_queue_new(1);
	void *item = &item;
	struct attempt call;

	TASK_CHECK(hilo_queue_get(queue, &item, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_get(queue, &item, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(item, ==, &item);
	put_now(queue, 1); /* to nobody */
	TASK_CHECK(hilo_queue_size(queue), ==, 1);
	TASK_CHECK(hilo_queue_put(queue, NULL, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_put(queue, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_error_code(), ==, -ETIMEDOUT);
	TASK_CHECK(get_now(queue), ==, 1);
	TASK_CHECK(hilo_queue_size(queue), ==, 0); /* what was not put is not there */
	/* One that passed while its task waits, with others before and behind it. */
	start(&call, get_call, queue, -1, HILO_FOREVER);
	TASK_CHECK(hilo_queue_get(queue, &item, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	put_now(queue, 2);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK((intptr_t)call.item, ==, 2);
	TASK_CHECK(hilo_queue_join(queue, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* What can be done at once is tried once, also when the deadline has passed. */
TASK_TEST(test_a_passed_deadline_tries_once)
{
	hilo_queue *queue = hilo_queue_new(1), *rendezvous = hilo_queue_new_rendezvous();
	struct attempt call;
	void *item;

	TASK_CHECK(hilo_queue_put(queue, queue, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(item, ==, queue);
	start(&call, get_call, rendezvous, -1, HILO_FOREVER);
	TASK_CHECK(hilo_queue_put(rendezvous, (void *)5, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(end(&call), ==, 0);
	start(&call, put_call, rendezvous, 6, HILO_FOREVER);
	TASK_CHECK(hilo_queue_get(rendezvous, &item, HILO_NO_WAIT), ==, 0);
	TASK_CHECK((intptr_t)item, ==, 6);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	TASK_CHECK(hilo_queue_free(rendezvous), ==, 0);
	return 0;
}

TASK_TEST(test_a_cancel_ends_the_wait_and_takes_nothing)
{
	hilo_queue *queue = hilo_queue_new(1);
	struct attempt first, second;

	start(&first, get_call, queue, -1, HILO_FOREVER);
	start(&second, get_call, queue, -1, HILO_FOREVER);
	TASK_CHECK(hilo_task_cancel(first.task), ==, 0);
	TASK_CHECK(end(&first), ==, -ECANCELED);
	put_now(queue, 1);
	TASK_CHECK(end(&second), ==, 0); /* the next one is served instead */
	TASK_CHECK((intptr_t)second.item, ==, 1);

	put_now(queue, 2);
	start(&first, put_call, queue, 3, HILO_FOREVER);
	start(&second, put_call, queue, 4, HILO_FOREVER);
	TASK_CHECK(hilo_task_cancel(first.task), ==, 0);
	TASK_CHECK(end(&first), ==, -ECANCELED);
	TASK_CHECK(get_now(queue), ==, 2);
	TASK_CHECK(end(&second), ==, 0);
	TASK_CHECK(get_now(queue), ==, 4);
	TASK_CHECK(hilo_queue_size(queue), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* Whoever was handed an item has it, whatever comes before he runs. */
TASK_TEST(test_what_was_handed_over_outranks_a_later_cancel)
{
	hilo_queue *queue = hilo_queue_new(1);
	struct attempt call;

	start(&call, get_call, queue, -1, HILO_FOREVER);
	put_now(queue, 1);
	(void)hilo_task_cancel(call.task);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK((intptr_t)call.item, ==, 1);

	put_now(queue, 2);
	start(&call, put_call, queue, 3, HILO_FOREVER);
	TASK_CHECK(get_now(queue), ==, 2);
	(void)hilo_task_cancel(call.task);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK(get_now(queue), ==, 3);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

static int cancelled_main(void *arg)
{
	hilo_queue *queue = arg;
	void *item;

	TASK_CHECK(hilo_task_cancel(hilo_task_current()), ==, 0);
	TASK_CHECK(hilo_queue_put(queue, NULL, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_NO_WAIT), ==, -ECANCELED);
	TASK_CHECK(hilo_queue_join(queue, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_queue_try_get(queue, &item), ==, 0); /* those that never wait do not ask */
	TASK_CHECK(hilo_queue_try_put(queue, item), ==, 0);
	TASK_CHECK(hilo_shield_enter(), ==, 0);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_put(queue, item, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_shield_leave(), ==, 0);
	return 0;
}

TASK_TEST(test_a_cancel_that_is_set_comes_before_the_try)
{
	hilo_queue *queue = hilo_queue_new(2);

	put_now(queue, 1);
	TASK_CHECK(hilo_join(hilo_spawn(cancelled_main, queue), HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_size(queue), ==, 1);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

TASK_TEST(test_shutdown_tells_all_who_wait)
{
	struct attempt call[CROWD];

	for (int immediate = 0; immediate <= 1; immediate++) {
		hilo_queue *getters = hilo_queue_new(1), *putters = hilo_queue_new(1);

		put_now(putters, 1);
		for (int i = 0; i < CROWD; i++)
			start(&call[i], i % 2 ? get_call : put_call, i % 2 ? getters : putters, 2,
			      HILO_FOREVER);
		TASK_CHECK(hilo_queue_shutdown(getters, immediate), ==, 0);
		TASK_CHECK(hilo_queue_shutdown(putters, immediate), ==, 0);
		for (int i = 0; i < CROWD; i++)
			TASK_CHECK(end(&call[i]), ==, -EPIPE);
		TASK_CHECK(hilo_queue_size(putters), ==, 1 - immediate); /* nothing of theirs */
		TASK_CHECK(hilo_queue_free(getters), ==, 0);
		TASK_CHECK(hilo_queue_free(putters), ==, 0);
	}
	return 0;
}

TASK_TEST(test_join_waits_for_the_last_item_to_be_done)
{
	hilo_queue *queue = hilo_queue_new(2);
	struct attempt call[CROWD];

	put_now(queue, 1);
	put_now(queue, 2);
	for (int i = 0; i < CROWD; i++)
		start(&call[i], join_call, queue, 0, HILO_FOREVER);
	(void)get_now(queue);
	(void)get_now(queue);
	TASK_CHECK(hilo_queue_task_done(queue), ==, 0);
	TASK_CHECK(waiting(queue), ==, CROWD);
	TASK_CHECK(hilo_queue_task_done(queue), ==, 0);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(end(&call[i]), ==, 0);

	put_now(queue, 3);
	start(&call[0], join_call, queue, 0, HILO_FOREVER);
	TASK_CHECK(hilo_queue_shutdown(queue, 0), ==, 0);
	TASK_CHECK(waiting(queue), ==, 1); /* it may be got, and done */
	TASK_CHECK(hilo_queue_shutdown(queue, 1), ==, 0);
	TASK_CHECK(end(&call[0]), ==, 0); /* it was dropped */
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

TASK_TEST(test_a_rendezvous_holds_nothing)
{
	hilo_queue *queue = hilo_queue_new_rendezvous();
	struct attempt call[CROWD];
	void *item;

	for (int i = 0; i < CROWD; i++)
		start(&call[i], put_call, queue, i, HILO_FOREVER);
	TASK_CHECK(hilo_queue_size(queue), ==, 0);
	for (int i = 0; i < CROWD; i++) {
		TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, 0);
		TASK_CHECK((intptr_t)item, ==, i);
		TASK_CHECK(end(&call[i]), ==, 0);
	}
	for (int i = 0; i < CROWD; i++)
		start(&call[i], get_call, queue, -1, HILO_FOREVER);
	for (int i = 0; i < CROWD; i++)
		TASK_CHECK(hilo_queue_put(queue, (void *)(intptr_t)i, HILO_FOREVER), ==, 0);
	for (int i = 0; i < CROWD; i++) {
		TASK_CHECK(end(&call[i]), ==, 0);
		TASK_CHECK((intptr_t)call[i].item, ==, i);
	}
	/* Who puts in vain keeps the item. */
	TASK_CHECK(hilo_queue_put(queue, NULL, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_try_get(queue, &item), ==, -EAGAIN);
	TASK_CHECK(hilo_queue_shutdown(queue, 0), ==, 0);
	TASK_CHECK(hilo_queue_put(queue, NULL, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

TASK_TEST(test_a_queue_is_not_freed_while_somebody_waits)
{
	hilo_queue *queue = hilo_queue_new(1);
	struct attempt call;

	start(&call, get_call, queue, -1, HILO_FOREVER);
	TASK_CHECK(hilo_queue_free(queue), ==, -EBUSY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "1 wait");
	put_now(queue, 1);
	TASK_CHECK(end(&call), ==, 0);
	put_now(queue, 2);
	start(&call, join_call, queue, 0, HILO_FOREVER);
	TASK_CHECK(hilo_queue_free(queue), ==, -EBUSY);
	TASK_CHECK(hilo_queue_shutdown(queue, 1), ==, 0);
	TASK_CHECK(hilo_queue_task_done(queue), ==, 0);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* Who is woken does not run before the next statement of who has put. */
static void *order_seen;

static int order_get(void *arg)
{
	TASK_CHECK(hilo_queue_get(arg, &order_seen, HILO_FOREVER), ==, 0);
	return 0;
}

static int order_main(void *arg)
{
	hilo_task *task = hilo_spawn(order_get, arg);

	order_seen = NULL;
	TEST_UNTIL(waiting(arg) == 1);
	put_now(arg, 1);
	TASK_CHECK(order_seen, ==, NULL);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK((intptr_t)order_seen, ==, 1);
	return 0;
}

static void test_who_puts_goes_on_first(void **state)
{
	(void)state;
	hilo__nobody_stands_in = true;
	for (int i = 0; i < 10; i++) {
		hilo_queue *queue = hilo_queue_new(1);

		assert_non_null(queue);
		assert_int_equal(test_run_natural(1, order_main, queue), 0);
		assert_int_equal(hilo_queue_free(queue), 0);
	}
	hilo__nobody_stands_in = false;
}

struct callback {
	hilo_queue *queue, *rendezvous;
	hilo_future *done;
};

static void use_in_callback(void *arg)
{
	struct callback *callback = arg;
	void *item = NULL;

	TASK_CHECK(hilo_queue_put(callback->queue, callback, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_put(callback->queue, callback, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_queue_put(callback->queue, callback, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_get(callback->queue, &item, HILO_FOREVER), ==, 0);
	TASK_CHECK(item, ==, callback);
	TASK_CHECK(hilo_queue_get(callback->queue, &item, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_queue_get(callback->queue, &item, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_try_get(callback->queue, &item), ==, -EAGAIN);
	TASK_CHECK(hilo_queue_join(callback->queue, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_queue_join(callback->queue, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_task_done(callback->queue), ==, 0);
	TASK_CHECK(hilo_queue_join(callback->queue, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_put(callback->rendezvous, callback, HILO_FOREVER), ==, 0); /* somebody waits */
	TASK_CHECK(hilo_queue_shutdown(callback->queue, 0), ==, 0);
	TASK_CHECK(hilo_queue_get(callback->queue, &item, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_future_set(callback->done, NULL, NULL), ==, 0);
}

TASK_TEST(test_a_callback_does_what_need_not_wait)
{
	struct callback callback = {hilo_queue_new(1), hilo_queue_new_rendezvous(), hilo_future_new()};
	struct attempt call;

	start(&call, get_call, callback.rendezvous, -1, HILO_FOREVER);
	TASK_CHECK(hilo_call_soon(use_in_callback, &callback, NULL), ==, 0);
	TASK_CHECK(hilo_future_await(callback.done, NULL, HILO_FOREVER), ==, 0);
	TASK_CHECK(end(&call), ==, 0);
	TASK_CHECK(call.item, ==, &callback);
	hilo_future_unref(callback.done);
	TASK_CHECK(hilo_queue_free(callback.queue), ==, 0);
	TASK_CHECK(hilo_queue_free(callback.rendezvous), ==, 0);
	return 0;
}

static void *put_in_thread(void *arg)
{
	TASK_CHECK(put_call(arg), ==, 0);
	return NULL;
}

static void *get_in_thread(void *arg)
{
	TASK_CHECK(get_call(arg), ==, 0);
	return NULL;
}

/* A plain thread blocks where a task suspends, at both ends. */
TASK_TEST(test_plain_threads_wait_as_tasks_do)
{
	hilo_queue *queue = hilo_queue_new(1);
	struct attempt call = {queue, NULL, HILO_FOREVER, 1, NULL};
	pthread_t thread;
	void *item;

	TASK_CHECK(pthread_create(&thread, NULL, get_in_thread, &call), ==, 0);
	TEST_UNTIL(waiting(queue) == 1);
	put_now(queue, 1);
	test_join_thread(thread);
	TASK_CHECK(call.rc, ==, 0);
	TASK_CHECK((intptr_t)call.item, ==, 1);

	put_now(queue, 2);
	call.item = (void *)3;
	TASK_CHECK(pthread_create(&thread, NULL, put_in_thread, &call), ==, 0);
	TEST_UNTIL(waiting(queue) == 1);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(call.rc, ==, 0);
	TASK_CHECK(get_now(queue), ==, 3);

	call.deadline = hilo_after(HILO_MILLISECOND);
	TASK_CHECK(pthread_create(&thread, NULL, get_in_thread, &call), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(call.rc, ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* The first wait of a thread needs memory; what is there need not be waited for. */
static void *get_without_memory(void *arg)
{
	hilo_queue *queue = arg;
	void *item;
	int rc;

	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, 0);
	TASK_CHECK((intptr_t)item, ==, 1);
	rc = hilo_queue_get(queue, &item,
			    hilo_after(HILO_MILLISECOND)); /* a record may lie ready all the same */
	hilo__mem_fail_at(0, false);
	TASK_CHECK(rc == -ENOMEM || rc == -ETIMEDOUT, ==, true);
	TASK_CHECK(waiting(queue), ==, 0);
	return NULL;
}

static void test_a_thread_without_memory_gets_what_is_there(void **state)
{
	hilo_queue *queue = hilo_queue_new(1);
	pthread_t thread;

	(void)state;
	put_now(queue, 1);
	assert_int_equal(pthread_create(&thread, NULL, get_without_memory, queue), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_queue_free(queue), 0);
}

/* Tasks of two runtimes. */
struct pair {
	hilo_queue *there, *back;
};

static int echo_main(void *arg)
{
	struct pair *pair = arg;
	void *item;
	int rc;

	while ((rc = hilo_queue_get(pair->there, &item, HILO_FOREVER)) == 0)
		TASK_CHECK(hilo_queue_put(pair->back, item, HILO_FOREVER), ==, 0);
	TASK_CHECK(rc, ==, -EPIPE);
	return hilo_queue_shutdown(pair->back, 0);
}

static int ask_main(void *arg)
{
	struct pair *pair = arg;
	void *item;

	for (intptr_t i = 0; i < (intptr_t)test_rounds(200); i++) {
		TASK_CHECK(hilo_queue_put(pair->there, (void *)i, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_queue_get(pair->back, &item, HILO_FOREVER), ==, 0);
		TASK_CHECK((intptr_t)item, ==, i);
	}
	TASK_CHECK(hilo_queue_shutdown(pair->there, 0), ==, 0);
	TASK_CHECK(hilo_queue_get(pair->back, &item, HILO_FOREVER), ==, -EPIPE);
	return 0;
}

static void test_tasks_of_two_runtimes_meet_in_a_queue(void **state)
{
	struct pair pair = {hilo_queue_new(1), hilo_queue_new_rendezvous()};
	hilo_opts opts = {.size = sizeof(opts), .workers = 2};
	hilo_runtime *one, *other;
	hilo_task *echo;

	(void)state;
	assert_int_equal(hilo_runtime_new(&opts, &one), 0);
	assert_int_equal(hilo_runtime_new(&opts, &other), 0);
	assert_int_equal(hilo_submit(other, echo_main, &pair, NULL, &echo), 0);
	assert_int_equal(hilo_runtime_run_until_complete(one, ask_main, &pair), 0);
	assert_int_equal(hilo_join(echo, HILO_FOREVER), 0);
	assert_int_equal(hilo_runtime_free(one), 0);
	assert_int_equal(hilo_runtime_free(other), 0);
	assert_int_equal(hilo_queue_free(pair.there), 0);
	assert_int_equal(hilo_queue_free(pair.back), 0);
}

/* Whoever gets the last item, or is told that there is none, frees the queue, while who has told him still runs. */
static int get_and_free(void *arg)
{
	hilo_queue *queue = arg;
	void *item;

	while (hilo_queue_get(queue, &item, HILO_FOREVER) == 0 && item)
		;
	return hilo_queue_free(queue);
}

TASK_TEST(test_who_was_told_last_may_free_the_queue)
{
	for (unsigned i = 0; i < test_rounds(500); i++) {
		hilo_queue *queue = i % 4 < 2 ? hilo_queue_new(3) : hilo_queue_new_rendezvous();
		hilo_task *task = hilo_spawn(get_and_free, queue);

		TASK_CHECK(hilo_queue_put(queue, queue, HILO_FOREVER), ==, 0);
		if (i % 2)
			TASK_CHECK(hilo_queue_put(queue, NULL, HILO_FOREVER), ==, 0);
		else
			TASK_CHECK(hilo_queue_shutdown(queue, 0), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

static int done_all(void *arg)
{
	void *item;

	while (hilo_queue_get(arg, &item, HILO_FOREVER) == 0 && item)
		TASK_CHECK(hilo_queue_task_done(arg), ==, 0);
	return hilo_queue_task_done(arg);
}

/* Drops slowly, and looks at who waits meanwhile. */
static struct {
	struct attempt join, get;
	unsigned dropped;
} slow;

static void drops_slowly(void *item)
{
	(void)item;
	for (int i = 0; i < 10; i++)
		hilo_yield();
	slow.dropped++;
	TASK_CHECK(hilo_task_is_done(slow.join.task), ==, 0);
}

static int joins_and_counts(void *arg)
{
	TASK_CHECK(hilo_queue_join(arg, HILO_FOREVER), ==, 0);
	TASK_CHECK(slow.dropped, ==, 2);
	return 0;
}

TASK_TEST(test_who_joins_is_told_when_the_rest_has_been_dropped)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = 2, .drop = drops_slowly};
	hilo_queue *queue;

	slow.dropped = 0;
	TASK_CHECK(hilo_queue_new_with(&opts, &queue), ==, 0);
	put_now(queue, 1);
	put_now(queue, 2);
	slow.join.task = hilo_spawn(joins_and_counts, queue);
	TEST_UNTIL(waiting(queue) == 1);
	TASK_CHECK(hilo_queue_shutdown(queue, 1), ==, 0);
	TASK_CHECK(hilo_join(slow.join.task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

/* Who is told meanwhile that there is nothing any more frees the queue. */
static int gets_nothing_and_frees(void *queue)
{
	void *item;

	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, -EPIPE);
	return hilo_queue_free(queue);
}

static void drops_while_freed(void *item)
{
	(void)item;
	slow.dropped++;
	slow.get.task = hilo_spawn(gets_nothing_and_frees, slow.get.queue);
	TASK_CHECK(hilo_join(slow.get.task, HILO_FOREVER), ==, 0);
}

TASK_TEST(test_a_queue_may_be_freed_while_its_rest_is_dropped)
{
	hilo_queue_opts opts = {.size = sizeof(opts), .capacity = 2, .drop = drops_while_freed};

	slow.dropped = 0;
	TASK_CHECK(hilo_queue_new_with(&opts, &slow.get.queue), ==, 0);
	put_now(slow.get.queue, 1);
	TASK_CHECK(hilo_queue_shutdown(slow.get.queue, 1), ==, 0);
	TASK_CHECK(slow.dropped, ==, 1);
	return 0;
}

TASK_TEST(test_who_has_joined_may_free_the_queue)
{
	for (unsigned i = 0; i < test_rounds(500); i++) {
		hilo_queue *queue = hilo_queue_new(2);
		hilo_task *task = hilo_spawn(done_all, queue);

		TASK_CHECK(hilo_queue_put(queue, queue, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_queue_put(queue, NULL, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_queue_join(queue, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_queue_free(queue), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	return 0;
}

/* A loop that finds all it asks for lets others run. */
static int endless(void *arg)
{
	int rc = 0;
	void *item;

	while (rc == 0 && (rc = hilo_queue_put(arg, NULL, HILO_FOREVER)) == 0)
		rc = hilo_queue_get(arg, &item, HILO_FOREVER);
	return rc;
}

TASK_TEST(test_a_loop_that_never_waits_lets_others_run)
{
	hilo_queue *queue = hilo_queue_new(8);
	hilo_task *task[8];

	for (int i = 0; i < 8; i++)
		task[i] = hilo_spawn(endless, queue);
	for (int i = 0; i < 10; i++)
		hilo_yield();
	TASK_CHECK(hilo_queue_shutdown(queue, 0), ==, 0);
	for (int i = 0; i < 8; i++)
		TASK_CHECK(hilo_join(task[i], HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_getters_are_served_in_order_of_arrival),
		cmocka_unit_test(test_putters_are_served_in_order_of_arrival),
		cmocka_unit_test(test_an_item_that_waited_is_ordered_as_others),
		cmocka_unit_test(test_a_deadline_leaves_the_item_where_it_is),
		cmocka_unit_test(test_a_passed_deadline_tries_once),
		cmocka_unit_test(test_a_cancel_ends_the_wait_and_takes_nothing),
		cmocka_unit_test(test_what_was_handed_over_outranks_a_later_cancel),
		cmocka_unit_test(test_a_cancel_that_is_set_comes_before_the_try),
		cmocka_unit_test(test_shutdown_tells_all_who_wait),
		cmocka_unit_test(test_join_waits_for_the_last_item_to_be_done),
		cmocka_unit_test(test_a_rendezvous_holds_nothing),
		cmocka_unit_test(test_a_queue_is_not_freed_while_somebody_waits),
		cmocka_unit_test(test_who_puts_goes_on_first),
		cmocka_unit_test(test_a_callback_does_what_need_not_wait),
		cmocka_unit_test(test_plain_threads_wait_as_tasks_do),
		cmocka_unit_test(test_a_thread_without_memory_gets_what_is_there),
		cmocka_unit_test(test_tasks_of_two_runtimes_meet_in_a_queue),
		cmocka_unit_test(test_who_was_told_last_may_free_the_queue),
		cmocka_unit_test(test_who_joins_is_told_when_the_rest_has_been_dropped),
		cmocka_unit_test(test_a_queue_may_be_freed_while_its_rest_is_dropped),
		cmocka_unit_test(test_who_has_joined_may_free_the_queue),
		cmocka_unit_test(test_a_loop_that_never_waits_lets_others_run),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
