/* SPDX-License-Identifier: MIT */
/* Selecting among objects: one case is done, and the others leave no trace. */
#include "tests/support/test.h"

#include <errno.h>

#include "scheduler/base/mem.h"

#define MANY 20 /* more cases than need no memory */

static void *number(intptr_t i)
{
	return (void *)i;
}

static void expect(hilo_queue *queue, intptr_t i)
{
	void *item = NULL;

	TASK_CHECK(hilo_queue_try_get(queue, &item), ==, 0);
	TASK_CHECK((intptr_t)item, ==, i);
}

static int puts_after_a_while(void *queue)
{
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_queue_put(queue, number(77), HILO_FOREVER);
}

TASK_TEST(test_an_item_that_is_there_is_got)
{
	hilo_queue *empty = hilo_queue_new(2), *full = hilo_queue_new(2);
	hilo_future *never = hilo_future_new();
	void *item = NULL;
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(never), HILO_SELECT_GET(empty, &item),
				    HILO_SELECT_GET(full, &item), HILO_SELECT_PUT(empty, number(3))};

	TASK_CHECK(hilo_queue_try_put(full, number(1)), ==, 0);
	TASK_CHECK(hilo_queue_try_put(full, number(2)), ==, 0);
	for (int i = 1; i <= 2; i++) {
		TASK_CHECK(hilo_select(cases, 4, HILO_FOREVER), ==, 2);
		TASK_CHECK(cases[2].code, ==, 0);
		TASK_CHECK((intptr_t)item, ==, i);
	}
	TASK_CHECK(hilo_queue_size(empty), ==, 0); /* the last case has left no trace */
	TASK_CHECK(hilo_select(cases, 4, HILO_FOREVER), ==, 3);
	TASK_CHECK(hilo_queue_size(empty), ==, 1);
	TASK_CHECK(hilo_select(cases, 4, HILO_FOREVER), ==, 1);
	TASK_CHECK((intptr_t)item, ==, 3);
	TASK_CHECK(hilo_select(cases, 3, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_select(cases, 3, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_free(empty), ==, 0); /* so nobody waits in it */
	TASK_CHECK(hilo_queue_free(full), ==, 0);
	hilo_future_unref(never);
	return 0;
}

/* What comes later is handed over, to one case, and the others are out of their lists. */
TASK_TEST(test_an_item_that_comes_is_got)
{
	hilo_queue *queues[MANY];
	hilo_select_case cases[MANY];
	void *item = NULL;

	for (int i = 0; i < MANY; i++)
		queues[i] = hilo_queue_new(1);
	for (size_t n = 2; n <= MANY; n += 6) {
		hilo_task *task;

		for (size_t i = 0; i < n; i++)
			cases[i] = (hilo_select_case)HILO_SELECT_GET(queues[i], &item);
		task = hilo_spawn(puts_after_a_while, queues[n - 2]);
		TASK_CHECK(hilo_select(cases, n, HILO_FOREVER), ==, n - 2);
		TASK_CHECK(cases[n - 2].code, ==, 0);
		TASK_CHECK((intptr_t)item, ==, 77);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	for (int i = 0; i < MANY; i++)
		TASK_CHECK(hilo_queue_free(queues[i]), ==, 0);
	return 0;
}

static int gets_after_a_while(void *queue)
{
	void *item = NULL;

	(void)hilo_sleep(HILO_MILLISECOND);
	TASK_CHECK(hilo_queue_get(queue, &item, HILO_FOREVER), ==, 0);
	return (int)(intptr_t)item;
}

TASK_TEST(test_an_item_is_put_once_there_is_room)
{
	hilo_queue *one = hilo_queue_new(1), *other = hilo_queue_new(1);
	hilo_select_case cases[] = {HILO_SELECT_PUT(one, number(2)), HILO_SELECT_PUT(other, number(3))};
	hilo_task *task;

	TASK_CHECK(hilo_queue_try_put(one, number(0)), ==, 0);
	TASK_CHECK(hilo_queue_try_put(other, number(1)), ==, 0);
	task = hilo_spawn(gets_after_a_while, other);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 1);
	expect(other, 3);
	expect(one, 0);
	TASK_CHECK(hilo_queue_is_empty(one), ==, 1);
	TASK_CHECK(hilo_queue_free(one), ==, 0);
	TASK_CHECK(hilo_queue_free(other), ==, 0);
	return 0;
}

/* The same queue, and the same thing, in several cases. */
TASK_TEST(test_several_cases_of_one_queue)
{
	hilo_queue *queue = hilo_queue_new(1), *meeting = hilo_queue_new_rendezvous();
	void *first = NULL, *second = NULL;
	hilo_select_case cases[] = {HILO_SELECT_GET(queue, &first), HILO_SELECT_GET(queue, &second)};
	hilo_select_case both[] = {HILO_SELECT_GET(meeting, &first), HILO_SELECT_PUT(meeting, number(5))};
	hilo_task *task = hilo_spawn(puts_after_a_while, queue);
	int won = hilo_select(cases, 2, HILO_FOREVER);

	TASK_CHECK(won == 0 || won == 1, ==, 1);
	TASK_CHECK((intptr_t)first + (intptr_t)second, ==, 77);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_is_empty(queue), ==, 1);
	/* Nobody meets itself. */
	TASK_CHECK(hilo_select(both, 2, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	TASK_CHECK(hilo_queue_free(meeting), ==, 0);
	return 0;
}

TASK_TEST(test_the_code_of_the_case_tells_how_it_went)
{
	hilo_queue *queue = hilo_queue_new(1), *down = hilo_queue_new(1);
	void *item = &item;
	hilo_select_case cases[] = {HILO_SELECT_GET(queue, &item), HILO_SELECT_GET(down, &item),
				    HILO_SELECT_PUT(down, NULL)};
	hilo_select_case none[] = {HILO_SELECT_GET(queue, &item), HILO_SELECT_GET(NULL, &item)};

	TASK_CHECK(hilo_queue_shutdown(down, 0), ==, 0);
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 1);
	TASK_CHECK(cases[1].code, ==, -EPIPE);
	cases[1].off = 1;
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(cases[2].code, ==, -EPIPE);
	TASK_CHECK(hilo_select(none, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(none[1].code, ==, -ENOMEM);
	TASK_CHECK(item, ==, &item);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	TASK_CHECK(hilo_queue_free(down), ==, 0);
	return 0;
}

static int shuts_after_a_while(void *queue)
{
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_queue_shutdown(queue, 0);
}

TASK_TEST(test_a_shutdown_ends_the_wait)
{
	hilo_queue *queue = hilo_queue_new(1), *down = hilo_queue_new(1);
	void *item = &item;
	hilo_select_case cases[] = {HILO_SELECT_GET(queue, &item), HILO_SELECT_GET(down, &item)};
	hilo_task *task = hilo_spawn(shuts_after_a_while, down);

	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(cases[1].code, ==, -EPIPE);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	TASK_CHECK(hilo_queue_free(down), ==, 0);
	return 0;
}

struct in_callback {
	hilo_queue *full, *empty, *filled;
	test_flag called;
};

static void selects_in_a_callback(void *arg)
{
	struct in_callback *in = arg;
	void *item = NULL;
	hilo_select_case cases[] = {HILO_SELECT_GET(in->empty, &item), HILO_SELECT_PUT(in->full, number(1)),
				    HILO_SELECT_GET(in->filled, &item)};

	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
	TASK_CHECK(cases[2].code, ==, 0);
	TASK_CHECK(item, ==, number(3));
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, -EDEADLK);
	TASK_CHECK(hilo_select_fair(cases, 3, HILO_NO_WAIT), ==, -ETIMEDOUT);
	store_release(&in->called, 1);
}

TASK_TEST(test_a_callback_does_what_need_not_wait)
{
	struct in_callback in = {hilo_queue_new(1), hilo_queue_new(1), hilo_queue_new(1), 0};

	TASK_CHECK(hilo_queue_try_put(in.full, number(2)), ==, 0);
	TASK_CHECK(hilo_queue_try_put(in.filled, number(3)), ==, 0);
	TASK_CHECK(hilo_call_soon(selects_in_a_callback, &in, NULL), ==, 0);
	TEST_UNTIL(load_acquire(&in.called));
	TASK_CHECK(hilo_queue_size(in.full), ==, 1);
	TASK_CHECK(hilo_queue_free(in.full), ==, 0);
	TASK_CHECK(hilo_queue_free(in.empty), ==, 0);
	TASK_CHECK(hilo_queue_free(in.filled), ==, 0);
	return 0;
}

/* Room that has to be asked for, under no lock. */
TASK_TEST(test_a_put_that_needs_memory)
{
	hilo_queue *queue = hilo_queue_new_unbounded();
	hilo_select_case cases[] = {HILO_SELECT_OFF, HILO_SELECT_PUT(queue, number(1))};
	unsigned failed = 0;

	for (unsigned i = 0; i < 1000; i++) {
		hilo__mem_fail_at(1, true);
		TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
		hilo__mem_fail_at(0, false);
		failed += cases[1].code == -ENOMEM;
		if (cases[1].code == -ENOMEM)
			TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
		TASK_CHECK(cases[1].code, ==, 0);
		TASK_CHECK(hilo_queue_size(queue), ==, i + 1);
	}
	TASK_CHECK(failed, >, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

static void count_drop(void *item)
{
	(void)add_release((atomic(unsigned) *)item, 1);
}

TASK_TEST(test_broadcast_and_watch_are_cases)
{
	atomic(unsigned) items[6];
	hilo_broadcast *b = hilo_broadcast_new(2, count_drop);
	hilo_receiver *receiver = hilo_broadcast_subscribe(b);
	hilo_watch *watch;
	hilo_watcher *watcher;
	void *got = NULL, *value = NULL;
	hilo_select_case cases[2];

	for (int i = 0; i < 6; i++)
		atomic_setup(&items[i], 0);
	watch = hilo_watch_new(&items[4], count_drop);
	watcher = hilo_watch_subscribe(watch);
	cases[0] = (hilo_select_case)HILO_SELECT_RECEIVE(receiver, &got);
	cases[1] = (hilo_select_case)HILO_SELECT_WATCH(watcher, &value);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(value, ==, &items[4]);
	TASK_CHECK(hilo_select(cases, 2, hilo_after(HILO_MICROSECOND)), ==, -ETIMEDOUT);
	for (int i = 0; i < 3; i++)
		TASK_CHECK(hilo_broadcast_send(b, &items[i]), ==, 1);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 0);
	TASK_CHECK(cases[0].code, ==, -ENOBUFS);
	TASK_CHECK(hilo_broadcast_missed(receiver), ==, 1);
	for (int i = 1; i < 3; i++) {
		TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 0);
		TASK_CHECK(cases[0].code, ==, 0);
		TASK_CHECK(got, ==, &items[i]);
	}
	TASK_CHECK(load_acquire(&items[1]), ==, 1);
	TASK_CHECK(load_acquire(&items[2]), ==, 0);
	TASK_CHECK(hilo_watch_set(watch, &items[5]), ==, 0);
	TASK_CHECK(load_acquire(&items[4]), ==, 0);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(value, ==, &items[5]);
	TASK_CHECK(load_acquire(&items[4]), ==, 1);
	hilo_watch_free(watch);
	hilo_broadcast_free(b);
	TASK_CHECK(hilo_select_fair(cases, 2, HILO_FOREVER), >=, 0);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 0);
	TASK_CHECK(cases[0].code, ==, -EPIPE);
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	for (int i = 0; i < 6; i++)
		TASK_CHECK(load_acquire(&items[i]), ==, i != 3);
	return 0;
}

static int sets_after_a_while(void *event)
{
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_event_set(event);
}

/* The event lies with who waits, and is gone when it was told. */
TASK_TEST(test_an_event_is_a_case)
{
	hilo_queue *queue = hilo_queue_new(1);
	void *item;

	for (int i = 0; i < 10; i++) {
		hilo_event never = HILO_EVENT_INIT, event = HILO_EVENT_INIT;
		hilo_select_case cases[] = {HILO_SELECT_EVENT(&never), HILO_SELECT_GET(queue, &item),
					    HILO_SELECT_EVENT(&event)};
		hilo_task *task = hilo_spawn(sets_after_a_while, &event);

		TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 2);
		TASK_CHECK(cases[2].code, ==, 0);
		TASK_CHECK(hilo_select(cases, 3, HILO_NO_WAIT), ==, 2);
		TASK_CHECK(hilo_event_destroy(&never), ==, 0); /* nobody waits for it */
		TASK_CHECK(hilo_event_clear(&event), ==, 0);
		TASK_CHECK(hilo_select(cases, 3, HILO_NO_WAIT), ==, -ETIMEDOUT);
		TASK_CHECK(hilo_event_destroy(&event), ==, 0);
		TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	}
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

static int acquires_two(void *semaphore)
{
	return hilo_semaphore_acquire(semaphore, 2, HILO_FOREVER);
}

static int releases_two_after_a_while(void *semaphore)
{
	(void)hilo_sleep(HILO_MILLISECOND);
	return hilo_semaphore_release(semaphore, 2);
}

TASK_TEST(test_permits_are_a_case)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(3);
	void *item;
	hilo_select_case cases[] = {HILO_SELECT_GET(queue, &item), HILO_SELECT_ACQUIRE(&semaphore, 2)};
	hilo_task *task;

	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(cases[1].code, ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	TASK_CHECK(hilo_select(cases, 2, HILO_NO_WAIT), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_select(cases, 2, hilo_after(HILO_MILLISECOND)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, 0); /* nobody waits */
	task = hilo_spawn(releases_two_after_a_while, &semaphore);
	TASK_CHECK(hilo_select_fair(cases, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1);
	task = hilo_spawn(puts_after_a_while, queue);
	TASK_CHECK(hilo_select(cases, 2, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_join(task, HILO_FOREVER), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 1); /* nothing was taken */
	TASK_CHECK(hilo_semaphore_try_acquire(&semaphore, 1), ==, 0);
	TASK_CHECK(hilo_queue_free(queue), ==, 0);
	return 0;
}

TASK_TEST(test_permits_of_one_semaphore_in_several_cases)
{
	hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2), limited;
	hilo_select_case cases[] = {HILO_SELECT_ACQUIRE(&semaphore, 3), HILO_SELECT_ACQUIRE(&semaphore, 2),
				    HILO_SELECT_ACQUIRE(&semaphore, 1)};
	hilo_select_case bad[] = {HILO_SELECT_ACQUIRE(&semaphore, 3), HILO_SELECT_ACQUIRE(&limited, 3)};
	hilo_select_case none = HILO_SELECT_ACQUIRE(&semaphore, 0);

	TASK_CHECK(hilo_semaphore_init(&limited, 2, 2), ==, 0);
	TASK_CHECK(hilo_select(cases, 3, HILO_FOREVER), ==, 1);
	TASK_CHECK(hilo_select(cases, 3, hilo_after(1000)), ==, -ETIMEDOUT);
	TASK_CHECK(hilo_select(&none, 1, HILO_NO_WAIT), ==, 0);
	TASK_CHECK(none.code, ==, 0);
	TASK_CHECK(hilo_select(bad, 2, HILO_FOREVER), ==, 1);
	TASK_CHECK(bad[1].code, ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "3 permits");
	TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
	TASK_CHECK(hilo_semaphore_value(&limited), ==, 2);
	TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, 0);
	return 0;
}

struct selector {
	hilo_semaphore *semaphore;
	hilo_future *stop;
};

static int wants_three_or_stops(void *arg)
{
	const struct selector *self = arg;
	hilo_select_case cases[] = {HILO_SELECT_FUTURE(self->stop), HILO_SELECT_ACQUIRE(self->semaphore, 3)};

	return hilo_select(cases, 2, HILO_FOREVER);
}

/* It waits in the line as others do, and lets those behind it go on when it leaves. */
TASK_TEST(test_select_for_permits_has_its_place_in_the_line)
{
	for (int cancelled = 0; cancelled < 2; cancelled++) {
		hilo_semaphore semaphore = HILO_SEMAPHORE_INIT(2);
		struct selector self = {&semaphore, hilo_future_new()};
		hilo_task *first = hilo_spawn(wants_three_or_stops, &self), *second;
		hilo_select_case one = HILO_SELECT_ACQUIRE(&semaphore, 1);

		TEST_UNTIL(hilo_task_get_state(first) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_semaphore_try_acquire(&semaphore, 1), ==, -EAGAIN);
		TASK_CHECK(hilo_select(&one, 1, HILO_NO_WAIT), ==, -ETIMEDOUT);
		second = hilo_spawn(acquires_two, &semaphore);
		TEST_UNTIL(hilo_task_get_state(second) == HILO_TASK_SUSPENDED);
		TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, -EBUSY);
		if (cancelled)
			TASK_CHECK(hilo_task_cancel(first), ==, 0);
		else
			TASK_CHECK(hilo_future_set(self.stop, NULL, NULL), ==, 0);
		TASK_CHECK(hilo_join(first, HILO_FOREVER), ==, cancelled ? -ECANCELED : 0);
		TASK_CHECK(hilo_join(second, HILO_FOREVER), ==, 0);
		TASK_CHECK(hilo_semaphore_value(&semaphore), ==, 0);
		TASK_CHECK(hilo_semaphore_destroy(&semaphore), ==, 0);
		hilo_future_unref(self.stop);
	}
	return 0;
}

/* Two of them wait for both; one send, one value. */
struct two {
	hilo_broadcast *b;
	hilo_watch *watch;
	hilo_queue *queue;
};

static int follows_both(void *arg)
{
	const struct two *two = arg;
	hilo_receiver *receiver = hilo_broadcast_subscribe(two->b);
	hilo_watcher *watcher = hilo_watch_subscribe(two->watch);
	void *got, *value, *item;
	hilo_select_case cases[] = {
		HILO_SELECT_RECEIVE(receiver, &got),
		HILO_SELECT_WATCH(watcher, &value),
		HILO_SELECT_GET(two->queue, &item),
	};
	intptr_t sum = 0, last = 0;

	while (!cases[0].off || !cases[1].off) {
		int won = hilo_select_fair(cases, 3, HILO_FOREVER);

		TASK_CHECK(won == 0 || won == 1, ==, 1);
		if (cases[won].code == -EPIPE)
			cases[won].off = 1;
		else if (won == 0)
			sum += (intptr_t)got;
		else
			last = (intptr_t)value;
	}
	TASK_CHECK(hilo_broadcast_unsubscribe(receiver), ==, 0);
	TASK_CHECK(hilo_watch_unsubscribe(watcher), ==, 0);
	TASK_CHECK(last, ==, 100);
	return (int)sum;
}

TASK_TEST(test_a_crowd_follows_two_channels)
{
	struct two two = {hilo_broadcast_new(4, NULL), hilo_watch_new(NULL, NULL), hilo_queue_new(1)};
	hilo_task *tasks[30];

	for (int i = 0; i < 30; i++)
		tasks[i] = hilo_spawn(follows_both, &two);
	TEST_UNTIL(hilo_broadcast_receivers(two.b) == 30);
	for (intptr_t i = 1; i <= 100; i++) {
		TASK_CHECK(hilo_broadcast_send_wait(two.b, number(i), HILO_FOREVER), ==, 30);
		TASK_CHECK(hilo_watch_set(two.watch, number(i)), ==, 0);
	}
	/* Those who have not come to their watcher yet need it. */
	for (int i = 0; i < 30; i++)
		TEST_UNTIL(hilo_task_get_state(tasks[i]) == HILO_TASK_SUSPENDED);
	hilo_broadcast_free(two.b);
	hilo_watch_free(two.watch);
	for (int i = 0; i < 30; i++)
		TASK_CHECK(hilo_await(tasks[i], HILO_FOREVER), ==, 5050);
	TASK_CHECK(hilo_queue_free(two.queue), ==, 0);
	return 0;
}

/*
 * Pairs that select both ends of the same rendezvous, in any order: whoever puts finds one that gets, and each item
 * arrives once.
 */
#define TRADERS 8

struct trade {
	hilo_queue *queues[2];
	atomic(uint64_t) put, got, sent, received;
	atomic(unsigned) left; /* trades */
	hilo_future *end;
};

static int trades(void *arg)
{
	struct trade *trade = arg;
	void *item[2];
	hilo_select_case cases[] = {
		HILO_SELECT_GET(trade->queues[0], &item[0]),
		HILO_SELECT_PUT(trade->queues[1], number(1)),
		HILO_SELECT_PUT(trade->queues[0], number(2)),
		HILO_SELECT_GET(trade->queues[1], &item[1]),
		HILO_SELECT_FUTURE(trade->end),
	};
	int won;

	while ((won = hilo_select_fair(cases, 5, HILO_FOREVER)) < 4) {
		TASK_CHECK(won, >=, 0);
		TASK_CHECK(cases[won].code, ==, 0);
		if (won == 0 || won == 3) {
			(void)add_relaxed(&trade->received, (uintptr_t)item[won == 3]); /* relaxed: sums */
			/* One more has gone on. */
			if (add_relaxed(&trade->got, 1) + 1 == 2000) /* relaxed: a count */
				(void)hilo_future_set(trade->end, NULL, NULL);
		} else {
			(void)add_relaxed(&trade->sent, won == 1 ? 1 : 2); /* relaxed: sums */
			(void)add_relaxed(&trade->put, 1);		   /* relaxed: a count */
		}
	}
	return 0;
}

static void *trades_in_a_thread(void *trade)
{
	(void)trades(trade);
	return NULL;
}

TASK_TEST(test_selects_meet_each_other_at_a_rendezvous)
{
	struct trade trade = {.queues = {hilo_queue_new_rendezvous(), hilo_queue_new_rendezvous()},
			      .end = hilo_future_new()};
	hilo_task *tasks[TRADERS - 1];
	pthread_t thread;

	TASK_CHECK(pthread_create(&thread, NULL, trades_in_a_thread, &trade), ==, 0);
	for (int i = 0; i < TRADERS - 1; i++)
		tasks[i] = hilo_spawn(trades, &trade);
	TASK_CHECK(hilo_gather(tasks, TRADERS - 1, NULL, HILO_FOREVER), ==, 0);
	test_join_thread(thread);
	TASK_CHECK(trade.got, >=, 2000);
	TASK_CHECK(trade.put, ==, trade.got);
	TASK_CHECK(trade.sent, ==, trade.received);
	for (int i = 0; i < 2; i++)
		TASK_CHECK(hilo_queue_free(trade.queues[i]), ==, 0);
	hilo_future_unref(trade.end);
	return 0;
}

/* A result outranks a cancel that comes after it; a cancelled select has taken nothing. */
struct taker {
	hilo_queue *queues[2];
	void *item;
};

static int takes(void *arg)
{
	struct taker *taker = arg;
	hilo_select_case cases[] = {HILO_SELECT_GET(taker->queues[0], &taker->item),
				    HILO_SELECT_GET(taker->queues[1], &taker->item)};

	return hilo_select(cases, 2, HILO_FOREVER);
}

TASK_TEST(test_a_cancel_takes_nothing)
{
	for (unsigned round = 0; round < test_rounds(200); round++) {
		struct taker taker = {{hilo_queue_new(1), hilo_queue_new(1)}, NULL};
		hilo_task *task = hilo_spawn(takes, &taker);
		int rc;

		if (round % 2)
			TEST_UNTIL(hilo_task_get_state(task) == HILO_TASK_SUSPENDED);
		if (round % 3)
			TASK_CHECK(hilo_queue_try_put(taker.queues[1], number(9)), ==, 0);
		(void)hilo_task_cancel(task);
		if (round % 3 == 0)
			TASK_CHECK(hilo_queue_try_put(taker.queues[1], number(9)), ==, 0);
		rc = hilo_join(task, HILO_FOREVER);
		if (rc == -ECANCELED)
			expect(taker.queues[1], 9);
		else
			TASK_CHECK(rc, ==, 1);
		if (round % 2 && round % 3)
			TASK_CHECK(rc, ==, 1); /* it was given before it was cancelled */
		for (int i = 0; i < 2; i++)
			TASK_CHECK(hilo_queue_free(taker.queues[i]), ==, 0);
	}
	return 0;
}

TASK_TEST(test_what_receives_needs_a_place)
{
	hilo_queue *queue = hilo_queue_new(1);
	hilo_select_case cases[] = {HILO_SELECT_GET(queue, NULL)};

	TASK_CHECK(hilo_queue_try_put(queue, NULL), ==, 0);
	TASK_CHECK(hilo_select(cases, 1, HILO_FOREVER), ==, -EINVAL);
	TASK_CHECK_CONTAINS(hilo_error_message(), "case 0 has no place");
	TASK_CHECK(hilo_queue_size(queue), ==, 1);
	return hilo_queue_free(queue);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_item_that_is_there_is_got),
		cmocka_unit_test(test_an_item_that_comes_is_got),
		cmocka_unit_test(test_an_item_is_put_once_there_is_room),
		cmocka_unit_test(test_several_cases_of_one_queue),
		cmocka_unit_test(test_the_code_of_the_case_tells_how_it_went),
		cmocka_unit_test(test_a_shutdown_ends_the_wait),
		cmocka_unit_test(test_a_callback_does_what_need_not_wait),
		cmocka_unit_test(test_a_put_that_needs_memory),
		cmocka_unit_test(test_an_event_is_a_case),
		cmocka_unit_test(test_broadcast_and_watch_are_cases),
		cmocka_unit_test(test_permits_are_a_case),
		cmocka_unit_test(test_permits_of_one_semaphore_in_several_cases),
		cmocka_unit_test(test_select_for_permits_has_its_place_in_the_line),
		cmocka_unit_test(test_a_crowd_follows_two_channels),
		cmocka_unit_test(test_selects_meet_each_other_at_a_rendezvous),
		cmocka_unit_test(test_a_cancel_takes_nothing),
		cmocka_unit_test(test_what_receives_needs_a_place),
	};

	test_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
