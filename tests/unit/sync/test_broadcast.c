/* SPDX-License-Identifier: MIT */
/* Broadcast: who sees what, in which order, what is missed, and when an item is dropped. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define ITEMS 64

/* An item is one of these; dropping it counts. */
static atomic(unsigned) drops[ITEMS];

static void *item(unsigned i)
{
	return &drops[i];
}

static unsigned index_of(void *item)
{
	return (unsigned)((atomic(unsigned) *)item - drops);
}

static void count_drop(void *item)
{
	(void)add_release((atomic(unsigned) *)item, 1);
}

static unsigned dropped(unsigned i)
{
	return load_acquire(&drops[i]);
}

static hilo_broadcast *channel(size_t capacity)
{
	for (unsigned i = 0; i < ITEMS; i++)
		atomic_setup(&drops[i], 0);
	return hilo_broadcast_new(capacity, count_drop);
}

/* The next one is @i, and is there. */
static void expect(hilo_receiver *receiver, unsigned i)
{
	void *got = NULL;

	TASK_CHECK(hilo_broadcast_receive(receiver, &got, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(index_of(got), ==, i);
}

static void expect_code(hilo_receiver *receiver, int code)
{
	void *got = &got;

	TASK_CHECK(hilo_broadcast_try_receive(receiver, &got), ==, code);
	TASK_CHECK(got, ==, &got); /* set on success only */
}

TASK_TEST(test_each_receiver_sees_what_is_sent_after_it_has_subscribed)
{
	hilo_broadcast *b = channel(8);
	hilo_receiver *first = hilo_broadcast_subscribe(b), *second;

	TASK_CHECK(hilo_broadcast_send(b, item(0)), ==, 1);
	second = hilo_broadcast_subscribe(b);
	TASK_CHECK(hilo_broadcast_send(b, item(1)), ==, 2);
	TASK_CHECK(hilo_broadcast_send(b, item(2)), ==, 2);
	TASK_CHECK(hilo_broadcast_receivers(b), ==, 2);
	TASK_CHECK(hilo_broadcast_pending(first), ==, 3);
	TASK_CHECK(hilo_broadcast_pending(second), ==, 2);
	expect(second, 1);
	for (unsigned i = 0; i < 3; i++)
		expect(first, i);
	expect(second, 2);
	expect_code(first, -EAGAIN);
	expect_code(second, -EAGAIN);
	TASK_CHECK(hilo_broadcast_unsubscribe(first), ==, 0);
	TASK_CHECK(hilo_broadcast_unsubscribe(second), ==, 0);
	hilo_broadcast_free(b);
	return 0;
}

TASK_TEST(test_an_item_is_dropped_once_the_last_receiver_has_passed_it)
{
	hilo_broadcast *b = channel(8);
	hilo_receiver *first = hilo_broadcast_subscribe(b), *second = hilo_broadcast_subscribe(b);

	for (unsigned i = 0; i < 2; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 2);
	expect(first, 0);
	expect(first, 1);
	TASK_CHECK(dropped(0), ==, 0); /* the second one has not seen it */
	expect(second, 0);
	TASK_CHECK(dropped(0), ==, 0); /* it looks at it */
	expect(second, 1);
	TASK_CHECK(dropped(0), ==, 1);
	expect_code(first, -EAGAIN);
	TASK_CHECK(dropped(1), ==, 0);
	TASK_CHECK(hilo_broadcast_receive(second, &(void *){NULL}, hilo_after(HILO_MICROSECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(dropped(1), ==, 1);
	/* What nobody is there for. */
	TASK_CHECK(hilo_broadcast_unsubscribe(first), ==, 0);
	TASK_CHECK(hilo_broadcast_unsubscribe(second), ==, 0);
	TASK_CHECK(hilo_broadcast_send(b, item(2)), ==, 0);
	TASK_CHECK(dropped(2), ==, 1);
	hilo_broadcast_free(b);
	return 0;
}

TASK_TEST(test_a_receiver_that_lags_is_told_how_many_it_has_missed)
{
	hilo_broadcast *b = channel(3);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);

	for (unsigned i = 0; i < 5; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 1);
	TASK_CHECK(dropped(0) + dropped(1), ==, 2);
	TASK_CHECK(hilo_broadcast_pending(receiver), ==, 3);
	expect_code(receiver, -ENOBUFS);
	TASK_CHECK(hilo_broadcast_missed(receiver), ==, 2);
	for (unsigned i = 2; i < 5; i++)
		expect(receiver, i);
	expect_code(receiver, -EAGAIN);
	for (unsigned i = 5; i < 9; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 1);
	TASK_CHECK(hilo_broadcast_receive(receiver, &(void *){NULL}, HILO_FOREVER), ==, -ENOBUFS);
	TASK_CHECK(hilo_error_code(), ==, -ENOBUFS);
	TASK_CHECK(hilo_broadcast_missed(receiver), ==, 1);
	expect(receiver, 6);
	/* It leaves with two unseen. */
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	for (unsigned i = 0; i < 9; i++)
		TASK_CHECK(dropped(i), ==, 1);
	hilo_broadcast_free(b);
	return 0;
}

TASK_TEST(test_what_a_receiver_looks_at_stays_when_it_is_overwritten)
{
	hilo_broadcast *b = channel(2);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b), *other = hilo_broadcast_subscribe(b);

	TASK_CHECK(hilo_broadcast_send(b, item(0)), ==, 2);
	expect(receiver, 0);
	for (unsigned i = 1; i < 20; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 2);
	TASK_CHECK(dropped(0), ==, 0);
	TASK_CHECK(dropped(17), ==, 1);
	expect_code(receiver, -ENOBUFS);
	TASK_CHECK(dropped(0), ==, 0); /* it got no other */
	expect(receiver, 18);
	TASK_CHECK(dropped(0), ==, 1);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	TASK_CHECK(dropped(18), ==, 0);
	TASK_CHECK(hilo_broadcast_unsubscribe(other), ==, 0);
	for (unsigned i = 0; i < 20; i++)
		TASK_CHECK(dropped(i), ==, 1);
	hilo_broadcast_free(b);
	return 0;
}

static int receives_until_the_end(void *receiver)
{
	void *got;
	int n = 0, rc;

	while ((rc = hilo_broadcast_receive(receiver, &got, HILO_FOREVER)) == 0)
		TASK_CHECK(index_of(got), ==, n++);
	TASK_CHECK(rc, ==, -EPIPE);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	return n;
}

TASK_TEST(test_after_a_shutdown_receivers_get_what_is_there)
{
	hilo_broadcast *b = channel(8);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	hilo_task *waiting = hilo_spawn(receives_until_the_end, hilo_broadcast_subscribe(b));

	TEST_UNTIL(hilo_task_get_state(waiting) == HILO_TASK_SUSPENDED);
	for (unsigned i = 0; i < 3; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 2);
	TASK_CHECK(hilo_broadcast_shutdown(b), ==, 0);
	TASK_CHECK(hilo_broadcast_shutdown(b), ==, 0);
	TASK_CHECK(hilo_broadcast_send(b, item(3)), ==, -EPIPE);
	TASK_CHECK(hilo_broadcast_send_wait(b, item(3), HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(dropped(3), ==, 0); /* still ours */
	/* What receivers share goes with the last of them. */
	hilo_broadcast_free(b);
	TASK_CHECK(hilo_await(waiting, HILO_FOREVER), ==, 3);
	TASK_CHECK(receives_until_the_end(receiver), ==, 3);
	for (unsigned i = 0; i < 3; i++)
		TASK_CHECK(dropped(i), ==, 1);
	return 0;
}

/* More than are told under one hold of the lock. */
#define CROWD 40

TASK_TEST(test_all_who_wait_get_an_item)
{
	hilo_broadcast *b = channel(4);
	hilo_task *tasks[CROWD];

	for (int i = 0; i < CROWD; i++)
		tasks[i] = hilo_spawn(receives_until_the_end, hilo_broadcast_subscribe(b));
	for (unsigned i = 0; i < 3; i++) {
		for (int k = 0; k < CROWD; k++)
			TEST_UNTIL(hilo_task_get_state(tasks[k]) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, CROWD);
	}
	hilo_broadcast_free(b);
	for (int k = 0; k < CROWD; k++)
		TASK_CHECK(hilo_await(tasks[k], HILO_FOREVER), ==, 3);
	for (unsigned i = 0; i < 3; i++)
		TASK_CHECK(dropped(i), ==, 1);
	return 0;
}

static int receives_one(void *receiver)
{
	void *got;
	int rc = hilo_broadcast_receive(receiver, &got, HILO_FOREVER);

	return rc < 0 ? rc : (int)index_of(got);
}

TASK_TEST(test_who_waits_is_cancelled_and_has_missed_nothing)
{
	hilo_broadcast *b = channel(4);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	hilo_task *task = hilo_spawn(receives_one, receiver);

	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	expect_code(receiver, -EBUSY);
	TASK_CHECK(hilo_broadcast_receive(receiver, &(void *){NULL}, HILO_FOREVER), ==, -EBUSY);
	TASK_CHECK_CONTAINS(hilo_error_message(), "somebody else waits");
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, -EBUSY);
	TASK_CHECK(hilo_task_cancel(task), ==, 0);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_broadcast_send(b, item(7)), ==, 1);
	expect(receiver, 7);
	TASK_CHECK(hilo_broadcast_receive(receiver, &(void *){NULL}, hilo_after(HILO_MICROSECOND)), ==,
		   -ETIMEDOUT);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	hilo_broadcast_free(b);
	return 0;
}

struct sends {
	hilo_broadcast *b;
	unsigned from, to;
};

static int sends_and_waits(void *arg)
{
	const struct sends *sends = arg;

	for (unsigned i = sends->from; i < sends->to; i++)
		TASK_CHECK(hilo_broadcast_send_wait(sends->b, item(i), HILO_FOREVER), ==, 1);
	return 0;
}

TASK_TEST(test_a_sender_may_wait_for_the_slowest_receiver)
{
	hilo_broadcast *b = channel(2);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	struct sends sends = {b, 0, 20};
	hilo_task *sender = hilo_spawn(sends_and_waits, &sends);

	for (unsigned i = 0; i < 20; i++) {
		TEST_UNTIL(hilo_task_is_done(sender) || hilo_task_get_state(sender) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_broadcast_pending(receiver), <=, 2);
		TASK_CHECK(receives_one(receiver), ==, i);
	}
	TASK_CHECK(hilo_await(sender, HILO_FOREVER), ==, 0);
	/* Full: a deadline, and who need not wait goes on. */
	for (unsigned i = 20; i < 22; i++)
		TASK_CHECK(hilo_broadcast_send_wait(b, item(i), HILO_NO_WAIT), ==, 1);
	TASK_CHECK(hilo_broadcast_send_wait(b, item(22), HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_broadcast_send_wait(b, item(22), hilo_after(HILO_MICROSECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(dropped(22), ==, 0);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	hilo_broadcast_free(b);
	for (unsigned i = 0; i < 22; i++)
		TASK_CHECK(dropped(i), ==, 1);
	return 0;
}

static int sends_one(void *arg)
{
	const struct sends *sends = arg;

	return hilo_broadcast_send_wait(sends->b, item(sends->from), HILO_FOREVER);
}

/* The only receiver leaves: all who wait for room send to nobody. */
TASK_TEST(test_senders_do_not_wait_for_a_receiver_that_has_left)
{
	hilo_broadcast *b = channel(1);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	struct sends sends[5];
	hilo_task *tasks[5];

	TASK_CHECK(hilo_broadcast_send(b, item(0)), ==, 1);
	for (unsigned i = 0; i < 5; i++) {
		sends[i] = (struct sends){b, i + 1, 0};
		tasks[i] = hilo_spawn(sends_one, &sends[i]);
		TEST_UNTIL(hilo_task_get_state(tasks[i]) == HILO_TASK_SUSPENDED);
	}
	TASK_CHECK(hilo_broadcast_send_wait(b, item(6), HILO_NO_WAIT), ==, -ETIMEDOUT); /* no overtaking */
	TASK_CHECK(hilo_task_cancel(tasks[2]), ==, 0);
	TASK_CHECK(hilo_await(tasks[2], HILO_FOREVER), ==, -ECANCELED);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	for (unsigned i = 0; i < 5; i++) {
		if (i != 2)
			TASK_CHECK(hilo_await(tasks[i], HILO_FOREVER), ==, 0);
		TASK_CHECK(dropped(i + 1), ==, i != 2);
	}
	hilo_broadcast_free(b);
	return 0;
}

TASK_TEST(test_senders_that_wait_are_told_of_a_shutdown)
{
	hilo_broadcast *b = channel(1);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	struct sends sends = {b, 1, 0};
	hilo_task *task;

	TASK_CHECK(hilo_broadcast_send(b, item(0)), ==, 1);
	task = hilo_spawn(sends_one, &sends);
	TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
	hilo_broadcast_free(b);
	TASK_CHECK(hilo_await(task, HILO_FOREVER), ==, -EPIPE);
	TASK_CHECK(dropped(1), ==, 0);
	expect(receiver, 0);
	expect_code(receiver, -EPIPE);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	return 0;
}

/* Sends one more for each that is dropped, to those that are subscribed then. */
static struct {
	hilo_broadcast *b;
	unsigned drops, sends, seen;
	bool inside;
} busy;

static void sends_when_dropping(void *item)
{
	(void)item;
	busy.drops++;
	if (busy.inside || busy.drops > 1000)
		return;
	busy.inside = true;
	TASK_CHECK(hilo_broadcast_send(busy.b, item), ==, busy.seen);
	busy.sends++;
	busy.inside = false;
}

TASK_TEST(test_what_is_sent_while_a_receiver_leaves_is_not_for_it)
{
	hilo_receiver *receiver;

	memset(&busy, 0, sizeof(busy));
	busy.b = hilo_broadcast_new(ITEMS, sends_when_dropping);
	receiver = hilo_broadcast_subscribe(busy.b);
	for (unsigned i = 0; i < ITEMS; i++)
		TASK_CHECK(hilo_broadcast_send(busy.b, item(i)), ==, 1);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	TASK_CHECK(busy.sends, ==, ITEMS);
	TASK_CHECK(busy.drops, ==, 2 * ITEMS);
	hilo_broadcast_free(busy.b);
	return 0;
}

/* The same beside one that receives: it sees all, and the one that leaves drops only what was there. */
TASK_TEST(test_a_receiver_leaves_beside_others_that_are_busy)
{
	hilo_receiver *leaves, *stays;
	unsigned got = 0;
	void *item_got;

	memset(&busy, 0, sizeof(busy));
	busy.seen = 1;
	busy.b = hilo_broadcast_new(ITEMS, sends_when_dropping);
	leaves = hilo_broadcast_subscribe(busy.b);
	for (unsigned i = 0; i < ITEMS; i++)
		TASK_CHECK(hilo_broadcast_send(busy.b, item(i)), ==, 1);
	stays = hilo_broadcast_subscribe(busy.b);
	TASK_CHECK(hilo_broadcast_unsubscribe(leaves), ==, 0);
	TASK_CHECK(busy.sends, ==, ITEMS);
	busy.drops = 1001; /* no more */
	while (hilo_broadcast_try_receive(stays, &item_got) == 0)
		got++;
	TASK_CHECK(got, ==, ITEMS);
	TASK_CHECK(hilo_broadcast_unsubscribe(stays), ==, 0);
	TASK_CHECK(busy.drops, ==, 1001 + ITEMS);
	hilo_broadcast_free(busy.b);
	return 0;
}

/* The first wait of a thread needs memory; what need not be waited for is done all the same. */
static void *uses_without_memory(void *arg)
{
	hilo_receiver *receiver = arg;
	void *got;
	int rc;

	hilo__mem_fail_at(1, true);
	TASK_CHECK(hilo_broadcast_receive(receiver, &got, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_broadcast_send_wait(busy.b, item(1), HILO_FOREVER), ==, 1);
	rc = hilo_broadcast_send_wait(busy.b, item(2),
				      hilo_after(HILO_MILLISECOND)); /* a record may lie ready */
	hilo__mem_fail_at(0, false);
	TASK_CHECK(rc == -ENOMEM || rc == -ETIMEDOUT, ==, true);
	return NULL;
}

/* No runtime: there is no memory for anybody meanwhile. */
static void test_a_thread_without_memory_does_what_can_be_done(void **state)
{
	hilo_receiver *receiver;
	pthread_t thread;

	(void)state;
	busy.b = channel(1);
	receiver = hilo_broadcast_subscribe(busy.b);
	assert_int_equal(hilo_broadcast_send(busy.b, item(0)), 1);
	assert_int_equal(pthread_create(&thread, NULL, uses_without_memory, receiver), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hilo_broadcast_unsubscribe(receiver), 0);
	hilo_broadcast_free(busy.b);
}

TASK_TEST(test_what_broadcast_refuses)
{
	hilo_broadcast *b;
	hilo_receiver *receiver;

	TASK_CHECK(hilo_broadcast_new(0, NULL), ==, NULL);
	TASK_CHECK_TEXT(hilo_error_message(), "hilo_broadcast_new: a capacity of 0");
	TASK_CHECK(hilo_broadcast_send(NULL, item(0)), ==, -ENOMEM);
	TASK_CHECK(hilo_broadcast_send_wait(NULL, item(0), HILO_FOREVER), ==, -ENOMEM);
	TASK_CHECK(hilo_broadcast_shutdown(NULL), ==, -ENOMEM);
	TASK_CHECK(hilo_broadcast_subscribe(NULL), ==, NULL);
	TASK_CHECK(hilo_broadcast_unsubscribe(NULL), ==, 0);
	TASK_CHECK(hilo_broadcast_receivers(NULL), ==, 0);
	TASK_CHECK(hilo_broadcast_missed(NULL), ==, 0);
	TASK_CHECK(hilo_broadcast_pending(NULL), ==, 0);
	expect_code(NULL, -ENOMEM);
	TASK_CHECK(hilo_broadcast_receive(NULL, &(void *){NULL}, HILO_FOREVER), ==, -ENOMEM);
	hilo_broadcast_free(NULL);
	/* Itself, and a share for each item. All from then on: other threads of the runtime ask for memory as well. */
	for (long i = 1; i <= 5; i++) {
		hilo__mem_fail_at(i, true);
		TASK_CHECK(hilo_broadcast_new(4, NULL), ==, NULL);
	}
	hilo__mem_fail_at(0, false);
	b = hilo_broadcast_new(4, NULL);
	for (long i = 1; i <= 2; i++) {
		hilo__mem_fail_at(i, true);
		TASK_CHECK(hilo_broadcast_subscribe(b), ==, NULL);
	}
	hilo__mem_fail_at(0, false);
	receiver = hilo_broadcast_subscribe(b);
	TASK_CHECK(hilo_broadcast_receive(receiver, NULL, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK(hilo_broadcast_try_receive(receiver, NULL), ==, -EINVAL);
	/* To send, to receive and to leave take no memory. */
	hilo__mem_fail_at(1, true);
	for (unsigned i = 0; i < 10; i++)
		TASK_CHECK(hilo_broadcast_send(b, item(i)), ==, 1);
	expect_code(receiver, -ENOBUFS);
	for (unsigned i = 6; i < 10; i++)
		expect(receiver, i);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	hilo__mem_fail_at(0, false);
	hilo_broadcast_free(b);
	return 0;
}

struct in_callback {
	hilo_broadcast *b;
	hilo_receiver *receiver;
	test_flag called;
};

static void in_a_callback(void *arg)
{
	struct in_callback *in = arg;

	TASK_CHECK(hilo_broadcast_receive(in->receiver, &(void *){NULL}, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_broadcast_send_wait(in->b, item(0), HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_broadcast_send_wait(in->b, item(1), HILO_FOREVER), ==, -EDEADLK);
	expect(in->receiver, 0);
	store_release(&in->called, 1);
}

TASK_TEST(test_callbacks_send_and_receive_as_long_as_they_need_not_wait)
{
	struct in_callback in = {.b = channel(1)};

	in.receiver = hilo_broadcast_subscribe(in.b);
	atomic_setup(&in.called, 0);
	TASK_CHECK(hilo_call_soon(in_a_callback, &in, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&in.called));
	TASK_CHECK(hilo_broadcast_unsubscribe(in.receiver), ==, 0);
	hilo_broadcast_free(in.b);
	return 0;
}

/* Several senders and receivers on all workers and in a thread: each sees all, each sender's in order. */
#define SENDERS 3
#define RECEIVERS 6
#define EACH 2000

static int sends_numbers(void *arg)
{
	const struct sends *sends = arg;

	for (uintptr_t i = 1; i <= EACH; i++)
		TASK_CHECK(
			hilo_broadcast_send_wait(sends->b, (void *)(sends->from * 65536 + i), HILO_FOREVER),
			==, RECEIVERS);
	return 0;
}

static int receives_numbers(void *receiver)
{
	uintptr_t last[SENDERS] = {0};
	void *got;

	while (hilo_broadcast_receive(receiver, &got, HILO_FOREVER) == 0) {
		uintptr_t sender = (uintptr_t)got / 65536;

		TASK_CHECK((uintptr_t)got % 65536, ==, last[sender] + 1);
		last[sender]++;
	}
	for (int i = 0; i < SENDERS; i++)
		TASK_CHECK(last[i], ==, EACH);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	return 0;
}

static void *receives_in_a_thread(void *receiver)
{
	(void)receives_numbers(receiver);
	return NULL;
}

TASK_TEST(test_each_receiver_sees_the_items_of_each_sender_in_order)
{
	hilo_broadcast *b = hilo_broadcast_new(16, NULL);
	struct sends sends[SENDERS];
	hilo_task *receivers[RECEIVERS - 1], *senders[SENDERS];
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, receives_in_a_thread, hilo_broadcast_subscribe(b)), ==, 0);
	for (int i = 0; i < RECEIVERS - 1; i++)
		receivers[i] = hilo_spawn(receives_numbers, hilo_broadcast_subscribe(b));
	for (unsigned i = 0; i < SENDERS; i++) {
		sends[i] = (struct sends){b, i, 0};
		senders[i] = hilo_spawn(sends_numbers, &sends[i]);
	}
	TASK_CHECK(hilo_gather(senders, SENDERS, NULL, HILO_FOREVER), ==, 0);
	hilo_broadcast_free(b);
	TASK_CHECK(hilo_gather(receivers, RECEIVERS - 1, NULL, HILO_FOREVER), ==, 0);
	test_join_thread(thread);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_receiver_sees_what_is_sent_after_it_has_subscribed),
		cmocka_unit_test(test_an_item_is_dropped_once_the_last_receiver_has_passed_it),
		cmocka_unit_test(test_a_receiver_that_lags_is_told_how_many_it_has_missed),
		cmocka_unit_test(test_what_a_receiver_looks_at_stays_when_it_is_overwritten),
		cmocka_unit_test(test_after_a_shutdown_receivers_get_what_is_there),
		cmocka_unit_test(test_all_who_wait_get_an_item),
		cmocka_unit_test(test_who_waits_is_cancelled_and_has_missed_nothing),
		cmocka_unit_test(test_a_sender_may_wait_for_the_slowest_receiver),
		cmocka_unit_test(test_senders_do_not_wait_for_a_receiver_that_has_left),
		cmocka_unit_test(test_senders_that_wait_are_told_of_a_shutdown),
		cmocka_unit_test(test_what_is_sent_while_a_receiver_leaves_is_not_for_it),
		cmocka_unit_test(test_a_receiver_leaves_beside_others_that_are_busy),
		cmocka_unit_test(test_a_thread_without_memory_does_what_can_be_done),
		cmocka_unit_test(test_what_broadcast_refuses),
		cmocka_unit_test(test_callbacks_send_and_receive_as_long_as_they_need_not_wait),
		cmocka_unit_test(test_each_receiver_sees_the_items_of_each_sender_in_order),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
